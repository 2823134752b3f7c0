//! Two promises in one place: by the operator, and by a sender who spends twice.

use payments_node::{Misbehave, NodeArgs};
use payments_protocol::{Message, SignedReceipt};
use serde_json::{Value, json};

use super::settled;
use crate::world::{ETHER, OPERATOR, Process, User, World, message_of};

fn receipt(value: &Value) -> SignedReceipt {
    serde_json::from_value(value.clone()).expect("a receipt")
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_equivocation_is_proven_by_the_receipts_and_one_payment_takes_effect() {
    let world = World::new().await;
    // Old enough that both promises are given before the batch is made.
    let args = NodeArgs { misbehave: Some(Misbehave::Equivocate), batch_age_ms: 1_500, ..world.operator_args() };
    let operator = Process::start(&args).await;
    let replica = Process::start(&world.replica_args(false)).await;
    let (alice, bob, carol) = (User::new(1), User::new(2), User::new(3));
    world.deposit(alice.address, ETHER).await;
    operator.client.until_balance(alice.address, ETHER).await;

    // All of Alice's money, twice.
    let leaf = alice.next(&operator.client).await;
    let spend = |to: &User| json!([alice.sign(&world, Message::payment(alice.address, &leaf, to.address, ETHER, 0))]);
    let to_bob = operator.client.call("l2_sendMessage", spend(&bob)).await;
    let to_carol = operator.client.call("l2_sendMessage", spend(&carol)).await;
    assert_ne!(message_of(&to_bob), message_of(&to_carol));
    let (first, second) = (receipt(&to_bob), receipt(&to_carol));
    assert!(first.equivocates(&second, &world.domain, OPERATOR), "{to_bob} {to_carol}");
    assert!(!first.equivocates(&first, &world.domain, OPERATOR));
    assert!(!first.equivocates(&second, &world.domain, bob.address), "only the operator's own signatures prove it");

    // A payee who waits for the sequenced effect, and asks somebody else than the operator, is not deceived.
    settled(&world, &operator.client).await;
    replica.client.until_balance(bob.address, ETHER).await;
    let paid = replica.client.call("l2_getMessage", json!([message_of(&to_bob)])).await;
    assert_eq!((&paid["effective"], &paid["state"]), (&json!(true), &json!("sequenced")));
    let never = replica.client.try_call("l2_getMessage", json!([message_of(&to_carol)])).await;
    assert_eq!(never.expect_err("it took no effect")["code"], -32001);
    assert_eq!(replica.client.account(carol.address).await["balance"], "0");

    // Honest senders get hold of the proof as well: the next message has the place of the one before.
    let next = bob.pay(&world, &operator.client, carol.address, 1).await;
    assert!(first.equivocates(&receipt(&next), &world.domain, OPERATOR), "{next}");
    replica.client.until_balance(carol.address, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sender_equivocation_gets_one_promise_and_one_effect() {
    let world = World::new().await;
    let args = NodeArgs { batch_age_ms: 1_500, ..world.operator_args() };
    let operator = Process::start(&args).await;
    let (alice, bob, carol) = (User::new(1), User::new(2), User::new(3));
    world.deposit(alice.address, ETHER).await;
    operator.client.until_balance(alice.address, ETHER).await;
    let leaf = alice.next(&operator.client).await;
    let spend = |to: &User| json!([alice.sign(&world, Message::payment(alice.address, &leaf, to.address, ETHER, 0))]);
    operator.client.call("l2_sendMessage", spend(&bob)).await;
    for _ in 0..2 {
        let refused = operator.client.try_call("l2_sendMessage", spend(&carol)).await.expect_err("spent already");
        assert_eq!(refused["code"], -32011, "{refused}");
        settled(&world, &operator.client).await;
    }
    assert_eq!(operator.client.account(bob.address).await["balance"], ETHER.to_string());
    assert_eq!(operator.client.account(carol.address).await["balance"], "0");
}
