//! A stranger who sees every message and every transaction, and sends them again: elsewhere, later, after a roll-back.

use alloy::primitives::{Address, Bytes};
use alloy::sol_types::SolCall;
use payments_contract::PaymentsGateway as Gateway;
use payments_node::{Misbehave, NodeArgs};
use payments_protocol::{Kind, Message, PostedWithdraw, SignedMessage};
use serde_json::{Value, json};

use super::{number, settled};
use crate::world::{CHALLENGE, Client, ETHER, Process, RICH, User, World};

/// What was sent to the operator, in order.
#[derive(Default)]
struct Seen(Vec<SignedMessage>);

impl Seen {
    async fn send(&mut self, world: &World, node: &Client, from: &User, to: Option<Address>, value: u128) -> Value {
        let leaf = from.next(node).await;
        let message = match to {
            Some(to) => Message::payment(from.address, &leaf, to, value, 0),
            None => Message::withdraw(from.address, &leaf, value, 0),
        };
        let signed = from.sign(world, message);
        let receipt = node.call("l2_sendMessage", json!([signed])).await;
        self.0.push(signed);
        receipt
    }

    /// Everything again; gives the answers' error codes, zero for a receipt.
    async fn again(&self, node: &Client) -> Vec<i64> {
        let mut codes = Vec::new();
        for signed in &self.0 {
            let answer = node.try_call("l2_sendMessage", json!([signed])).await;
            codes.push(answer.err().map_or(0, |error| error["code"].as_i64().expect("a code")));
        }
        codes
    }

    fn withdrawals(&self) -> impl Iterator<Item = (Address, Bytes)> {
        let withdrawals = self.0.iter().filter(|signed| signed.message.kind == Kind::Withdraw);
        withdrawals.map(|signed| (signed.message.from, PostedWithdraw::of(signed).encode()))
    }
}

/// Row "replay elsewhere (domain)": another gateway of the same chain, and the same address on another chain.
#[tokio::test(flavor = "multi_thread")]
async fn replay_elsewhere() {
    let home = World::new().await;
    let operator = Process::start(&home.operator_args()).await;
    let (alice, bob) = (User::new(1), User::new(2));
    home.deposit(alice.address, ETHER).await;
    operator.client.until_balance(alice.address, ETHER).await;
    let mut seen = Seen::default();
    seen.send(&home, &operator.client, &alice, Some(bob.address), 7).await;
    seen.send(&home, &operator.client, &alice, None, 5).await;
    seen.send(&home, &operator.client, &bob, Some(alice.address), 2).await;
    settled(&home, &operator.client).await;
    // The two operators of one chain share a key.
    operator.kill().await;

    let neighbour = home.sibling().await;
    let abroad = World::on_chain(1_337).await;
    assert_ne!(neighbour.gateway, home.gateway);
    assert_eq!(abroad.gateway, home.gateway);
    for world in [&neighbour, &abroad] {
        let operator = Process::start(&world.operator_args()).await;
        world.deposit(alice.address, ETHER).await;
        world.deposit(bob.address, ETHER).await;
        settled(world, &operator.client).await;
        assert_eq!(seen.again(&operator.client).await, [-32010; 3]);
        for (from, latest_message) in seen.withdrawals() {
            let call = Gateway::requestWithdrawPaymentCall { from, latestMessage: latest_message };
            world.send_refused(RICH, call).await;
        }
        for user in [&alice, &bob] {
            let account = operator.client.account(user.address).await;
            assert_eq!((&account["balance"], &account["nonce"]), (&json!(ETHER.to_string()), &json!("0")));
        }
        operator.kill().await;
    }
}

/// Rows "replay within (nonce + prev, one leaf per address)", "stale withdrawal", "double withdrawal (counter)" and
/// "message that revives": everything again before, during and after a roll-back.
#[tokio::test(flavor = "multi_thread")]
async fn replay_within() {
    let world = World::new().await;
    let args = NodeArgs { misbehave: Some(Misbehave::FalseRootOnce), ..world.operator_args() };
    let honest = Process::start(&world.operator_args()).await;
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    honest.client.until_balance(alice.address, ETHER).await;
    let mut seen = Seen::default();
    seen.send(&world, &honest.client, &alice, Some(bob.address), 100).await;
    seen.send(&world, &honest.client, &alice, None, 50).await;
    settled(&world, &honest.client).await;
    honest.kill().await;

    let operator = Process::start(&args).await;
    let client = &operator.client;
    seen.send(&world, client, &alice, Some(bob.address), 10).await;
    assert_eq!(seen.again(client).await, [0; 3], "the same receipts again");
    client.until_status("the false batch stands", |s| !s["fault"].is_null()).await;
    seen.again(client).await;
    let replica = Process::start(&world.replica_args(true)).await;
    settled(&world, client).await;
    assert_eq!(world.events::<Gateway::Contested>().await.len(), 1);
    assert_eq!(seen.again(client).await, [0; 3]);

    // The withdrawal through the inbox, twice: served without effect.
    for (from, latest_message) in seen.withdrawals().chain(seen.withdrawals()) {
        world.send(RICH, 0, Gateway::requestWithdrawPaymentCall { from, latestMessage: latest_message }).await;
    }
    settled(&world, client).await;
    operator.kill().await;
    let operator = Process::start(&world.operator_args()).await;
    let client = &operator.client;
    assert_eq!(seen.again(client).await, [0; 3]);
    let status = settled(&world, client).await;
    assert_eq!(status["receipts"], "3");
    for node in [client, &replica.client] {
        let account = node.until_balance(alice.address, ETHER - 160).await;
        assert_eq!((&account["withdrawn"], &account["nonce"]), (&json!("50"), &json!("3")));
        node.until_balance(bob.address, 110).await;
    }

    // The claim, twice; the batch's own bytes from a stranger, and again from the operator.
    world.pass(CHALLENGE).await;
    let due = |proof: &Value| number(&proof["claimable"]) == 50;
    let proof = client.until("l2_getExitProof", json!([alice.address]), "it is final", due).await;
    assert_eq!(world.claim(client, alice.address).await, 50);
    let input: Bytes = serde_json::from_value(proof["call"]["input"].clone()).expect("calldata");
    world.send_input_refused(RICH, input).await;
    let batch = client.call("l2_getBatch", json!(["2"])).await;
    let transaction = world.layer1.call("eth_getTransactionByHash", json!([batch["transaction"]])).await;
    let input: Bytes = serde_json::from_value(transaction["input"].clone()).expect("calldata");
    world.send_input_refused(RICH, input.clone()).await;
    world.send_input_refused(crate::world::OPERATOR, input).await;
    client.until_balance(alice.address, ETHER - 160).await;
}

/// Row "stale withdrawal (nonce and prev differ: no effect)": and it keeps nobody from paying while it waits.
#[tokio::test(flavor = "multi_thread")]
async fn stale_withdrawal_posted_again_does_not_keep_its_sender_from_paying() {
    let world = World::new().await;
    let operator = Process::start(&world.operator_args()).await;
    let client = &operator.client;
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;
    let mut seen = Seen::default();
    seen.send(&world, client, &alice, None, 50).await;
    settled(&world, client).await;

    // No batch is mined while the items wait.
    world.layer1.call("evm_setAutomine", json!([false])).await;
    for (from, latest_message) in seen.withdrawals() {
        let call = Gateway::requestWithdrawPaymentCall { from, latestMessage: latest_message };
        let input = Bytes::from(call.abi_encode());
        let request = json!({ "from": RICH, "to": world.gateway, "input": input, "gas": "0x100000" });
        world.layer1.call("eth_sendTransaction", json!([request])).await;
    }
    world.layer1.call("evm_mine", json!([])).await;
    client.until_status("the item waits", |s| s["inbox"]["length"] == "2" && s["inbox"]["consumed"] == "1").await;
    assert_eq!(client.account(alice.address).await["exitWaiting"], false);
    for _ in 0..3 {
        alice.pay(&world, client, bob.address, 1).await;
    }
    world.layer1.call("evm_setAutomine", json!([true])).await;
    world.layer1.call("evm_mine", json!([])).await;
    settled(&world, client).await;
    client.until_balance(bob.address, 3).await;
    let account = client.account(alice.address).await;
    assert_eq!((&account["withdrawn"], &account["nonce"]), (&json!("50"), &json!("4")));
}
