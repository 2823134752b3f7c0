//! What is long final lies on the disk alone: the answers stay, a start is made from the snapshot, and a kill loses
//! nothing.

use std::os::unix::process::ExitStatusExt;

use entresol_durable::REGISTRY;
use payments_protocol::Message;
use serde_json::{Value, json};

use crate::world::{CHALLENGE, Client, ETHER, User, World, message_of, spawn, start};

/// Blocks beyond the reorganisations that a node goes back through.
const DEEP: &str = "0x12c";

/// A deposit, and three payments, each in a batch of its own. Gives the first one as it was sent, and the receipts.
async fn payments(world: &World, client: &Client, alice: &User, bob: &User) -> (Value, Vec<Value>) {
    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;
    pay(world, client, alice, bob).await
}

async fn pay(world: &World, client: &Client, alice: &User, bob: &User) -> (Value, Vec<Value>) {
    let first = Message::payment(alice.address, &alice.next(client).await, bob.address, 1, 0);
    let first = json!([alice.sign(world, first)]);
    let mut receipts = vec![client.call("l2_sendMessage", first.clone()).await];
    client.until_balance(bob.address, 1).await;
    for paid in [2, 3] {
        receipts.push(alice.pay(world, client, bob.address, 1).await);
        client.until_balance(bob.address, paid).await;
    }
    (first, receipts)
}

/// Layer 1 goes on until everything is long final.
async fn settle(world: &World) {
    world.pass(CHALLENGE + 1).await;
    world.layer1.call("anvil_mine", json!([DEEP])).await;
}

async fn until_deep(client: &Client) -> Value {
    client.until_status("the batches are the base", |s| s["base"] == "4" && s["synced"] == true).await
}

/// Everything that was promised and done is told as it was.
async fn check(client: &Client, receipts: &[Value], alice: &User) {
    let told = client.call("l2_getReceipts", json!(["0"])).await;
    assert_eq!(told["receipts"], json!(receipts));
    for receipt in receipts {
        let message = client.call("l2_getMessage", json!([message_of(receipt)])).await;
        assert_eq!(
            (&message["receipt"], &message["state"], &message["effective"]),
            (receipt, &json!("final"), &json!(true))
        );
    }
    let history = client.call("l2_getMessages", json!([alice.address, "0"])).await;
    assert_eq!((history["messages"].as_array().map(Vec::len), &history["cursor"]), (Some(4), &json!("4")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_long_final_is_told_from_the_disk_and_a_start_needs_none_of_it() {
    let world = World::new().await;
    let (operator, client) = start(world.operator_args()).await;
    let (alice, bob) = (User::new(1), User::new(2));
    let (first, receipts) = payments(&world, &client, &alice, &bob).await;
    settle(&world).await;
    let root = until_deep(&client).await["root"].clone();
    check(&client, &receipts, &alice).await;
    assert_eq!(client.call("l2_sendMessage", first.clone()).await, receipts[0], "the same receipt");
    operator.stop().await.expect("a clean stop");

    let (operator, client) = start(world.operator_args()).await;
    until_deep(&client).await;
    check(&client, &receipts, &alice).await;
    assert_eq!(client.call("l2_sendMessage", first).await, receipts[0], "the same receipt");
    let next = bob.pay(&world, &client, alice.address, 2).await;
    assert_eq!(next["sequence"], "3", "the chain of receipts goes on");
    client.until_balance(bob.address, 1).await;
    // Somebody who has nothing but layer 1 comes to the same, and has the same base.
    let (replica, copy) = start(world.replica_args(false)).await;
    copy.until_balance(bob.address, 1).await;
    let status = copy
        .until_status("it has the same base", |s| s["base"] == "4" && s["verified"] == "5" && s["synced"] == true)
        .await;
    assert_ne!(status["root"], root);
    assert_eq!(status["root"], client.status().await["root"]);
    assert_eq!(
        copy.call("l2_getMessages", json!([alice.address, "0"])).await["messages"],
        client.call("l2_getMessages", json!([alice.address, "0"])).await["messages"]
    );
    replica.stop().await.expect("a clean stop");
    operator.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_killed_while_its_base_moves_loses_nothing() {
    let mut killed = 0;
    for point in REGISTRY.iter().filter(|point| point.in_base()) {
        for moment in ["before", "after"] {
            let kill_at = format!("{}:{moment}", point.name);
            let world = World::new().await;
            let args = world.operator_args();
            let (alice, bob) = (User::new(1), User::new(2));
            let (mut child, client) = spawn(&args, Some(&kill_at)).await;
            let client = client.expect("it starts");
            client.until_status("it has caught up", |status| status["synced"] == true).await;
            let (_, receipts) = payments(&world, &client, &alice, &bob).await;
            settle(&world).await;
            assert_eq!(child.wait().await.expect("it died").signal(), Some(9), "{kill_at}");

            let (node, client) = start(args).await;
            until_deep(&client).await;
            check(&client, &receipts, &alice).await;
            bob.pay(&world, &client, alice.address, 2).await;
            client.until_balance(bob.address, 1).await;
            node.stop().await.expect("a clean stop");
            killed += 1;
        }
    }
    assert_eq!(killed, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_killed_while_its_base_moves_answers_as_its_operator() {
    for point in REGISTRY.iter().filter(|point| point.in_base()) {
        for moment in ["before", "after"] {
            let kill_at = format!("{}:{moment}", point.name);
            let world = World::new().await;
            let (operator, client) = start(world.operator_args()).await;
            let args = world.replica_args(true);
            let (mut child, copy) = spawn(&args, Some(&kill_at)).await;
            let (alice, bob) = (User::new(1), User::new(2));
            payments(&world, &client, &alice, &bob).await;
            copy.expect("it starts").until_status("it has read everything", |s| s["verified"] == "4").await;
            settle(&world).await;
            assert_eq!(child.wait().await.expect("it died").signal(), Some(9), "{kill_at}");

            let (replica, copy) = start(args).await;
            until_deep(&copy).await;
            until_deep(&client).await;
            for (method, params) in (1..=4)
                .map(|batch: u64| ("l2_getBatch", json!([batch.to_string()])))
                .chain([&alice, &bob].map(|user| ("l2_getMessages", json!([user.address, "0"]))))
                .chain([("l2_getExitProof", json!([alice.address]))])
            {
                let told = copy.call(method, params.clone()).await;
                assert_eq!(told, client.call(method, params).await, "{kill_at}: {method}");
            }
            replica.stop().await.expect("a clean stop");
            operator.stop().await.expect("a clean stop");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn layer_1_that_takes_back_what_was_final_costs_no_promise() {
    let world = World::new().await;
    let (operator, client) = start(world.operator_args()).await;
    let (replica, copy) = start(world.replica_args(true)).await;
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;
    let snapshot = world.layer1.call("evm_snapshot", json!([])).await;
    let (_, receipts) = pay(&world, &client, &alice, &bob).await;
    settle(&world).await;
    for node in [&client, &copy] {
        until_deep(node).await;
    }

    world.layer1.call("evm_revert", json!([snapshot])).await;
    world.pass(60).await;
    world.layer1.call("anvil_mine", json!(["0x5"])).await;
    let effective = |m: &Value| m["effective"] == true && m["state"] == "final";
    for node in [&client, &copy] {
        node.until_status("it says so", |s| s["alerts"]["base-lost"] == 1 && s["synced"] == true).await;
    }
    client.until_status("everything is posted again", |s| s["pending"] == "0" && s["standing"] != "1").await;
    settle(&world).await;
    for node in [&client, &copy] {
        for receipt in &receipts {
            node.until("l2_getMessage", json!([message_of(receipt)]), "the promise is kept", effective).await;
        }
        node.until_balance(bob.address, 3).await;
        node.until_status("nobody is accused", |s| s["fault"].is_null() && s["synced"] == true).await;
    }
    check(&client, &receipts, &alice).await;
    operator.stop().await.expect("a clean stop");
    let (operator, client) = start(world.operator_args()).await;
    check(&client, &receipts, &alice).await;
    bob.pay(&world, &client, alice.address, 2).await;
    copy.until_balance(bob.address, 1).await;
    operator.stop().await.expect("a clean stop");
    replica.stop().await.expect("a clean stop");
}
