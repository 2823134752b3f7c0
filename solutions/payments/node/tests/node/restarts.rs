//! kill -9 at every write point of the node: nothing acknowledged is lost, nothing is done twice.

use std::os::unix::process::ExitStatusExt;

use entresol_durable::{Process, REGISTRY};
use futures_util::StreamExt;
use payments_contract::PaymentsGateway;
use payments_node::{Misbehave, NodeArgs};
use payments_protocol::{Message, SignedReceipt};
use serde_json::{Value, json};
use tokio::process::Child;

use crate::world::{Client, ETHER, OPERATOR, PATIENCE, User, World, message_of, spawn, start};

/// Deposit, then one payment after another, until the node dies. Gives the receipts that were handed out.
async fn until_it_dies(
    world: &World,
    child: &mut Child,
    client: Option<Client>,
    payer: &User,
    to: &User,
) -> Vec<Value> {
    let mut receipts = Vec::new();
    let Some(client) = client else {
        child.wait().await.expect("it died");
        return receipts;
    };
    let start = std::time::Instant::now();
    while start.elapsed() < PATIENCE {
        if child.try_wait().expect("a child").is_some() {
            return receipts;
        }
        let account = client.try_call("l2_getAccount", json!([payer.address])).await;
        let Ok(account) = account else { continue };
        if account["pending"]["balance"] == "0" {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            continue;
        }
        let leaf = serde_json::from_value(account["pending"].clone()).expect("a leaf");
        let message = payments_protocol::Message::payment(payer.address, &leaf, to.address, 1, 0);
        if let Ok(receipt) = client.try_call("l2_sendMessage", json!([payer.sign(world, message)])).await {
            receipts.push(receipt);
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the node was never killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_at_any_write_point() {
    let points: Vec<_> = REGISTRY
        .iter()
        .filter(|point| point.process == Process::Node && !point.in_comparison() && !point.in_base())
        .collect();
    let mut killed = 0;
    for point in &points {
        for moment in ["before", "after"] {
            let world = World::new().await;
            let args = world.operator_args();
            let (alice, bob) = (User::new(1), User::new(2));
            world.deposit(alice.address, ETHER).await;
            let kill_at = format!("{}:{moment}", point.name);
            let (mut child, client) = spawn(&args, Some(&kill_at)).await;
            let receipts = until_it_dies(&world, &mut child, client, &alice, &bob).await;
            let status = child.wait().await.expect("it died");
            assert_eq!(status.signal(), Some(9), "{kill_at}");

            let (node, client) = start(args).await;
            for receipt in &receipts {
                let told = client
                    .until("l2_getMessage", json!([message_of(receipt)]), "a receipted message takes effect", |m| {
                        m["effective"] == true
                    })
                    .await;
                assert_eq!(told["receipt"], *receipt, "{kill_at}: the same receipt after the restart");
            }
            client.until_balance(alice.address, ETHER - client_total(&client, &bob).await).await;
            let status =
                client.until_status("nothing waits", |s| s["pending"] == "0" && s["inbox"]["consumed"] == "1").await;
            assert!(status["fault"].is_null(), "{kill_at}: {status}");
            node.stop().await.expect("a clean stop");
            killed += 1;
        }
    }
    assert_eq!(killed, 2 * points.len(), "{killed}/{} moments", 2 * points.len());
}

async fn client_total(client: &Client, user: &User) -> u128 {
    let status = client.until_status("nothing waits", |s| s["pending"] == "0" && s["inbox"]["consumed"] == "1").await;
    assert!(status["fault"].is_null());
    client.account(user.address).await["balance"].as_str().expect("a quantity").parse().expect("a quantity")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_was_signed_and_not_written_was_promised_to_nobody() {
    let world = World::new().await;
    let args = world.operator_args();
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    // Between the group's signature and its flush.
    let (mut child, client) = spawn(&args, Some("node.messages.append:before")).await;
    let client = client.expect("it starts");
    client.until_balance(alice.address, ETHER).await;
    let leaf = alice.next(&client).await;
    let pay = |value| json!([alice.sign(&world, Message::payment(alice.address, &leaf, bob.address, value, 0))]);
    assert!(client.try_call("l2_sendMessage", pay(1)).await.is_err(), "no receipt before the flush");
    assert_eq!(child.wait().await.expect("it died").signal(), Some(9));

    // The same place, in other words: nobody holds the first ones.
    let (node, client) = start(args.clone()).await;
    client.until_balance(alice.address, ETHER).await;
    let receipt = client.call("l2_sendMessage", pay(2)).await;
    let signed: SignedReceipt = serde_json::from_value(receipt.clone()).expect("a receipt");
    assert_eq!((signed.receipt.sequence, signed.signer(&world.domain)), (0, Ok(OPERATOR)));
    node.stop().await.expect("a clean stop");
    let (node, client) = start(args).await;
    client.until_balance(bob.address, 2).await;
    assert_eq!(client.call("l2_sendMessage", pay(2)).await, receipt, "the same message again, the same receipt");
    node.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_receipts_and_accounts() {
    let world = World::new().await;
    let (node, client) = start(world.operator_args()).await;
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;
    let receipt = alice.pay(&world, &client, bob.address, 9).await;
    node.stop().await.expect("a clean stop");

    let (node, client) = start(world.operator_args()).await;
    let told = client.call("l2_getMessage", json!([message_of(&receipt)])).await;
    assert_eq!(told["receipt"], receipt);
    client.until_balance(bob.address, 9).await;
    let next = bob.pay(&world, &client, alice.address, 1).await;
    assert_eq!(next["sequence"], "1", "the chain of receipts goes on: {next}");
    node.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_killed_at_any_write_point_while_it_contests_still_contests() {
    let points =
        REGISTRY.iter().filter(|point| point.process == Process::Node && !point.in_comparison() && !point.in_base());
    // A replica promises nothing.
    let points = points.map(|point| point.name).filter(|name| *name != "node.messages.append");
    let moments = points.flat_map(|name| ["before", "after"].map(|moment| format!("{name}:{moment}")));
    futures_util::stream::iter(moments).for_each_concurrent(3, still_contests).await;
}

async fn still_contests(kill_at: String) {
    let world = World::new().await;
    let (alice, bob) = (User::new(1), User::new(2));
    let args = NodeArgs { misbehave: Some(Misbehave::FalseRootOnce), ..world.operator_args() };
    let (operator, client) = start(args).await;
    world.deposit(alice.address, ETHER).await;
    client.until_status("the false batch stands", |status| !status["fault"].is_null()).await;

    let args = world.replica_args(true);
    let (mut child, _) = spawn(&args, Some(&kill_at)).await;
    assert_eq!(child.wait().await.expect("it died").signal(), Some(9), "{kill_at}");
    let (replica, copy) = start(args).await;
    for node in [&client, &copy] {
        node.until_balance(alice.address, ETHER).await;
    }
    alice.pay(&world, &client, bob.address, 1).await;
    copy.until_balance(bob.address, 1).await;
    let contested = world.events::<PaymentsGateway::Contested>().await;
    assert_eq!(contested.len(), 1, "{kill_at}");
    replica.stop().await.expect("a clean stop");
    operator.stop().await.expect("a clean stop");
}
