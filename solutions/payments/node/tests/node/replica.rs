//! A replica finds the same state from layer 1 alone, and lets no false batch stand.

use alloy::primitives::{Bytes, U256};
use payments_contract::PaymentsGateway;
use payments_node::{Misbehave, NodeArgs};
use payments_protocol::{Contest, Message};
use serde_json::json;

use crate::world::{CHALLENGE, ETHER, FORCE, RICH, User, World, message_of, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_rebuilds_the_state_from_layer_1_alone() {
    let world = World::new().await;
    let (operator, client) = start(world.operator_args()).await;
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;
    alice.pay(&world, &client, bob.address, 7).await;
    let bobs = client.until_balance(bob.address, 7).await;

    let (replica, copy) = start(world.replica_args(false)).await;
    let copied = copy.until_balance(bob.address, 7).await;
    assert_eq!((&copied["root"], &copied["proof"]), (&bobs["root"], &bobs["proof"]));
    let told = copy.call("l2_getContestWitness", json!(["2", "0"])).await;
    let proof: Contest = serde_json::from_value(told["contest"].clone()).expect("a proof");
    let report = proof.check(&world.domain).expect("a light wallet can execute the chunk from it");
    assert_eq!((json!(report.root), report.outcomes.len()), (bobs["root"].clone(), 1));

    let message = Message::payment(alice.address, &alice.next(&copy).await, bob.address, 1, 0);
    let refused = copy.try_call("l2_sendMessage", json!([alice.sign(&world, message)])).await;
    assert_eq!(refused.expect_err("a replica orders nothing")["code"], -32015);
    replica.stop().await.expect("a clean stop");
    operator.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_false_batch_is_contested_falls_and_its_messages_stand_again() {
    let world = World::new().await;
    let (operator, client) = start(world.operator_args()).await;
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;
    operator.stop().await.expect("a clean stop");

    let (replica, copy) = start(world.replica_args(true)).await;
    let args = NodeArgs { misbehave: Some(Misbehave::FalseRootOnce), ..world.operator_args() };
    let (operator, client) = start(args).await;
    let receipt = alice.pay(&world, &client, bob.address, 7).await;

    // The false batch 2 stood and fell, and an honest batch 2 stands with the same message.
    for node in [&client, &copy] {
        let told = node
            .until("l2_getMessage", json!([message_of(&receipt)]), "the payment takes effect", |m| {
                m["effective"] == true
            })
            .await;
        assert_eq!(told["place"]["batch"], "2");
        node.until_balance(bob.address, 7).await;
    }
    let contested = world
        .layer1
        .call("eth_getLogs", json!([{
            "address": world.gateway, "fromBlock": "0x0",
            "topics": [<payments_contract::PaymentsGateway::Contested as alloy::sol_types::SolEvent>::SIGNATURE_HASH],
        }]))
        .await;
    assert_eq!(contested.as_array().map(Vec::len), Some(1), "{contested}");

    // Life goes on: another payment, and finality.
    bob.pay(&world, &client, alice.address, 3).await;
    copy.until_balance(bob.address, 4).await;
    world.pass(CHALLENGE).await;
    copy.until_status("all is final", |s| s["final"] == s["standing"] && s["fault"].is_null()).await;
    replica.stop().await.expect("a clean stop");
    operator.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_halt_everybody_claims_with_what_a_replica_says() {
    let world = World::new().await;
    let (operator, client) = start(world.operator_args()).await;
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;
    alice.pay(&world, &client, bob.address, ETHER / 4).await;
    client.until_balance(bob.address, ETHER / 4).await;
    operator.stop().await.expect("a clean stop");

    // Nobody serves this one any more.
    world.deposit(RICH, 1).await;
    world.pass(FORCE + 1).await;
    world.send(RICH, 0, PaymentsGateway::haltCall {}).await;

    let (replica, copy) = start(world.replica_args(false)).await;
    copy.until_status("the halt is seen", |status| status["halted"] == true).await;
    for (user, owned) in [(&alice, ETHER - ETHER / 4), (&bob, ETHER / 4)] {
        let proof = copy.call("l2_getExitProof", json!([user.address])).await;
        assert_eq!(proof["claimable"], owned.to_string());
        let input: Bytes = serde_json::from_value(proof["call"]["input"].clone()).expect("calldata");
        world.send_input(RICH, 0, input).await;
        assert_eq!(world.eth(user.address).await, U256::from(owned));
    }
    replica.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_catches_up_over_thousands_of_blocks_and_then_follows() {
    let world = World::new().await;
    let (operator, client) = start(world.operator_args()).await;
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;
    // More than one range of logs, and more than the window in which reorganisations are looked for.
    world.layer1.call("anvil_mine", json!(["0x9c4"])).await;
    alice.pay(&world, &client, bob.address, 7).await;
    client.until_balance(bob.address, 7).await;
    world.layer1.call("anvil_mine", json!(["0x190"])).await;

    let (replica, copy) = start(world.replica_args(false)).await;
    copy.until_balance(bob.address, 7).await;
    alice.pay(&world, &client, bob.address, 1).await;
    copy.until_balance(bob.address, 8).await;
    replica.stop().await.expect("a clean stop");
    // From its own store and the blocks it missed.
    alice.pay(&world, &client, bob.address, 1).await;
    client.until_balance(bob.address, 9).await;
    let (replica, copy) = start(world.replica_args(false)).await;
    copy.until_balance(bob.address, 9).await;
    replica.stop().await.expect("a clean stop");
    operator.stop().await.expect("a clean stop");
}
