//! Hundreds of tiny deposits and requests, to keep the operator from his work.

use alloy::primitives::{Bytes, U256};
use alloy::sol_types::SolCall;
use payments_contract::PaymentsGateway as Gateway;
use payments_node::NodeArgs;
use serde_json::{Value, json};

use super::{number, settled};
use crate::world::{ETHER, Process, RICH, User, World, message_of};

/// Items of the flood.
const FLOOD: u64 = 600;

/// Row "inbox flood (each item costs its sender more than the operator)".
#[tokio::test(flavor = "multi_thread")]
async fn inbox_flood() {
    let world = World::new().await;
    // Old enough that the payments and the flood wait together.
    let operator = Process::start(&NodeArgs { batch_age_ms: 1_500, ..world.operator_args() }).await;
    let client = &operator.client;
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    settled(&world, client).await;
    let batches = number(&client.status().await["standing"]);

    // A third are requests to leave. All in one block, the worst for the operator.
    world.layer1.call("evm_setAutomine", json!([false])).await;
    let mut hashes = Vec::new();
    for number in 0..FLOOD {
        let (value, input) = match number % 3 {
            0 => (0, Gateway::requestExitCall {}.abi_encode()),
            _ => (1, Gateway::depositCall { to: RICH }.abi_encode()),
        };
        let request = json!({ "from": RICH, "to": world.gateway, "value": U256::from(value), "input": Bytes::from(input), "gas": "0x30000" });
        hashes.push(world.layer1.call("eth_sendTransaction", json!([request])).await);
    }
    // Payments go on meanwhile.
    let mut receipts = Vec::new();
    for _ in 0..20 {
        receipts.push(alice.pay(&world, client, bob.address, 1).await);
    }
    world.layer1.call("evm_setBlockGasLimit", json!(["0x10000000"])).await;
    world.layer1.call("evm_mine", json!([])).await;
    world.layer1.call("evm_setAutomine", json!([true])).await;
    let first = message_of(&receipts[0]);
    let effective = |m: &Value| m["effective"] == true;
    let placed = client.until("l2_getMessage", json!([first]), "a payment gets through", effective).await;
    let status = settled(&world, client).await;
    assert_eq!(status["inbox"]["length"], (FLOOD + 1).to_string());
    client.until_balance(bob.address, 20).await;

    // The payment did not wait for the whole flood, and the flood was dearer to its sender than to the operator.
    let batch = client.call("l2_getBatch", json!([placed["place"]["batch"]])).await;
    assert!(number(&batch["inboxEnd"]) <= u128::from(FLOOD), "{}", batch["inboxEnd"]);
    let gas = async |hash: &Value| {
        let receipt = world.layer1.call("eth_getTransactionReceipt", json!([hash])).await;
        receipt["gasUsed"].as_str().expect("gas").parse::<U256>().expect("a quantity")
    };
    let mut senders = U256::ZERO;
    for hash in &hashes {
        senders += gas(hash).await;
    }
    let mut operators = U256::ZERO;
    for id in batches + 1..=number(&status["standing"]) {
        let batch = client.call("l2_getBatch", json!([id.to_string()])).await;
        operators += gas(&batch["transaction"]).await;
    }
    assert!(senders > operators * U256::from(10), "{senders} gas for {operators}");
}
