//! Layer 1 is reorganised under a batch: it vanishes, and the inbox below it changes.

use payments_contract::PaymentsGateway as Gateway;
use payments_node::{Misbehave, NodeArgs};
use serde_json::{Value, json};

use super::settled;
use crate::world::{ETHER, Process, User, World, message_of};

/// Row "deposit reorg (accumulator)".
#[tokio::test(flavor = "multi_thread")]
async fn deposit_reorg_under_a_batch_loses_no_promise_and_doubles_none() {
    let world = World::new().await;
    let operator = Process::start(&world.operator_args()).await;
    let replica = Process::start(&world.replica_args(true)).await;
    let users: Vec<User> = (1..=4).map(User::new).collect();
    let (alice, bob, carol, dave) = (&users[0], &users[1], &users[2], &users[3]);
    world.deposit(alice.address, ETHER).await;
    operator.client.until_balance(alice.address, ETHER).await;
    let snapshot = world.layer1.call("evm_snapshot", json!([])).await;

    // A deposit, and a batch with it and with payments that do and do not rest on it.
    world.deposit(carol.address, 1_000).await;
    operator.client.until_balance(carol.address, 1_000).await;
    let mut receipts = vec![alice.pay(&world, &operator.client, bob.address, 3).await];
    let resting = carol.pay(&world, &operator.client, bob.address, 600).await;
    receipts.push(bob.pay(&world, &operator.client, alice.address, 1).await);
    operator.client.until_balance(bob.address, 602).await;

    world.layer1.call("evm_revert", json!([snapshot])).await;
    world.pass(60).await;
    // Another item in that place of the inbox; promises go on.
    world.deposit(dave.address, 5).await;
    world.layer1.call("anvil_mine", json!(["0x5"])).await;
    operator.client.until_balance(dave.address, 5).await;
    receipts.push(dave.pay(&world, &operator.client, alice.address, 2).await);
    let effective = |m: &Value| m["effective"] == true;
    for receipt in &receipts {
        for node in [&operator.client, &replica.client] {
            node.until("l2_getMessage", json!([message_of(receipt)]), "it stands on the new fork", effective).await;
        }
    }
    // What rested on the lost deposit waits for it: promised, not effective, not forgotten.
    let told = operator.client.call("l2_getMessage", json!([message_of(&resting)])).await;
    assert_eq!((&told["state"], &told["receipt"]), (&json!("pending"), &resting));
    assert_eq!(operator.client.account(carol.address).await["balance"], "0");
    world.deposit(carol.address, 1_000).await;
    operator.client.until("l2_getMessage", json!([message_of(&resting)]), "the deposit came back", effective).await;
    settled(&world, &operator.client).await;
    for node in [&operator.client, &replica.client] {
        node.until_balance(carol.address, 400).await;
        node.until_balance(bob.address, 602).await;
        node.until_balance(alice.address, ETHER).await;
        node.until_balance(dave.address, 3).await;
        node.until_status("nobody is accused", |s| s["fault"].is_null()).await;
    }
}

/// A batch lies in the pool while the inbox that it names is replaced: it reverts, and another takes its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_in_the_pool_during_a_reorganisation_takes_no_effect_twice() {
    let world = World::new().await;
    let args = NodeArgs { resend_ms: 500, ..world.operator_args() };
    let operator = Process::start(&args).await;
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    operator.client.until_balance(alice.address, ETHER).await;
    let snapshot = world.layer1.call("evm_snapshot", json!([])).await;
    world.deposit(bob.address, 5).await;
    operator.client.until_balance(bob.address, 5).await;
    world.layer1.call("evm_setAutomine", json!([false])).await;
    let receipt = bob.pay(&world, &operator.client, alice.address, 4).await;
    let open = |status: &Value| status["openTransactions"].as_array().is_some_and(|open| !open.is_empty());
    operator.client.until_status("the batch is in the pool", open).await;

    world.layer1.call("evm_revert", json!([snapshot])).await;
    world.pass(60).await;
    world.layer1.call("evm_setAutomine", json!([true])).await;
    world.deposit(bob.address, 7).await;
    world.layer1.call("anvil_mine", json!(["0x5"])).await;
    let effective = |m: &Value| m["effective"] == true;
    operator.client.until("l2_getMessage", json!([message_of(&receipt)]), "the promise is kept", effective).await;
    settled(&world, &operator.client).await;
    operator.client.until_balance(bob.address, 3).await;
    operator.client.until_balance(alice.address, ETHER + 4).await;
}

/// The contest that brought a false batch down is reorganised away: the batch stands again, and is contested again.
#[tokio::test(flavor = "multi_thread")]
async fn a_contest_that_is_reorganised_away_is_sent_again() {
    let world = World::new().await;
    let args = NodeArgs { misbehave: Some(Misbehave::FalseRootOnce), ..world.operator_args() };
    let operator = Process::start(&args).await;
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    operator.client.until_status("the false batch stands", |s| !s["fault"].is_null()).await;
    let snapshot = world.layer1.call("evm_snapshot", json!([])).await;
    let replica = Process::start(&world.replica_args(true)).await;
    let contested = async || world.events::<Gateway::Contested>().await.len() == 1;
    world.until("it is contested", &contested).await;
    operator.client.until_balance(alice.address, ETHER).await;
    let receipt = alice.pay(&world, &operator.client, bob.address, 8).await;
    replica.client.until_balance(bob.address, 8).await;

    world.layer1.call("evm_revert", json!([snapshot])).await;
    world.pass(60).await;
    world.layer1.call("anvil_mine", json!(["0x5"])).await;
    world.until("it is contested on the new fork", &contested).await;
    settled(&world, &operator.client).await;
    let effective = |m: &Value| m["effective"] == true;
    for node in [&operator.client, &replica.client] {
        node.until("l2_getMessage", json!([message_of(&receipt)]), "the promise is kept", effective).await;
        node.until_balance(bob.address, 8).await;
        node.until_status("nobody is accused", |s| s["fault"].is_null()).await;
    }
}
