//! The node while layer 1 is dear, its key poor, or its transactions stuck.

use alloy::primitives::Bytes;
use alloy::sol_types::SolCall;
use payments_contract::PaymentsGateway;
use payments_node::NodeArgs;
use serde_json::{Value, json};

use crate::world::{ETHER, FORCE, OPERATOR, RICH, User, World, start};

const GWEI: u128 = 1_000_000_000;

async fn base_fee(world: &World, gwei: u128) {
    world.layer1.call("anvil_setNextBlockBaseFeePerGas", json!([format!("{:#x}", gwei * GWEI)])).await;
    world.layer1.call("evm_mine", json!([])).await;
}

fn has(alerts: &Value, kind: &str) -> bool {
    alerts.as_array().is_some_and(|all| all.iter().any(|alert| alert["kind"] == kind))
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_wait_while_layer_1_is_dear_but_not_longer_than_force_allows() {
    let world = World::new().await;
    let args = NodeArgs { max_fee_per_gas: Some(50 * GWEI), ..world.operator_args() };
    let (node, client) = start(args).await;
    let (alice, bob) = (User::new(1), User::new(2));
    base_fee(&world, 100).await;
    world.deposit(alice.address, ETHER).await;
    base_fee(&world, 100).await;
    let waits = |status: &Value| status["waitsForGas"] == true;
    assert_eq!(client.until_status("it waits for cheaper gas", waits).await["standing"], "0");
    // Cheaper.
    base_fee(&world, 1).await;
    client.until_balance(alice.address, ETHER).await;

    // A promise waits as well, but not for more than a quarter of FORCE; nor does an inbox item.
    base_fee(&world, 1_000).await;
    let promised = alice.pay(&world, &client, bob.address, 7).await;
    client.until_status("it waits for cheaper gas", waits).await;
    world.deposit(RICH, 1).await;
    base_fee(&world, 1_000).await;
    assert_eq!(client.status().await["standing"], "1");
    world.pass(FORCE / 4 + 1).await;
    client.until_balance(RICH, 1).await;
    let told = client.call("l2_getMessage", json!([promised["messageId"]])).await;
    assert_eq!(told["effective"], true, "what waits beside a forced item goes with it: {told}");
    node.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poor_key_is_told_and_shown() {
    let world = World::new().await;
    let (node, client) = start(world.operator_args()).await;
    let status = client.until_status("it has looked", |status| status["purse"].is_object()).await;
    assert_eq!((&status["purse"]["bond"], &status["purse"]["account"]), (&json!(ETHER.to_string()), &json!(OPERATOR)));
    assert_eq!(client.call("l2_getAlerts", json!([])).await, json!([]));
    world.layer1.call("anvil_setBalance", json!([OPERATOR, "0x1"])).await;
    client.until("l2_getAlerts", json!([]), "it is told", |alerts| has(alerts, "bond-low")).await;
    node.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_nobody_mines_is_told_and_lands_in_the_end() {
    let world = World::new().await;
    let args = NodeArgs { resend_ms: 100, ..world.operator_args() };
    let (node, client) = start(args).await;
    let alice = User::new(1);
    world.layer1.call("evm_setAutomine", json!([false])).await;
    let input = Bytes::from(PaymentsGateway::depositCall { to: alice.address }.abi_encode());
    let request = json!({ "from": RICH, "to": world.gateway, "value": "0x5", "input": input, "gas": "0x100000" });
    world.layer1.call("eth_sendTransaction", json!([request])).await;
    world.layer1.call("evm_mine", json!([])).await;
    client.until("l2_getAlerts", json!([]), "it is told", |alerts| has(alerts, "stuck")).await;
    world.layer1.call("evm_setAutomine", json!([true])).await;
    world.layer1.call("evm_mine", json!([])).await;
    client.until_balance(alice.address, 5).await;
    let settled = |status: &Value| status["openTransactions"].as_array().is_some_and(Vec::is_empty);
    client.until_status("all is settled", settled).await;
    node.stop().await.expect("a clean stop");
}
