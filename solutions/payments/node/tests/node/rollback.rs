//! Layer 1 takes things back.

use serde_json::json;

use crate::world::{ETHER, User, World, message_of, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_reorganised_deposit_is_taken_back_everywhere() {
    let world = World::new().await;
    let (operator, client) = start(world.operator_args()).await;
    let (replica, copy) = start(world.replica_args(false)).await;
    let (alice, bob) = (User::new(1), User::new(2));
    let snapshot = world.layer1.call("evm_snapshot", json!([])).await;
    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;
    copy.until_balance(alice.address, ETHER).await;

    world.layer1.call("evm_revert", json!([snapshot])).await;
    // Another fork, longer, whose blocks differ by their time.
    world.pass(60).await;
    world.deposit(bob.address, 5).await;
    world.layer1.call("anvil_mine", json!(["0x5"])).await;
    for node in [&client, &copy] {
        node.until_balance(bob.address, 5).await;
        assert_eq!(node.account(alice.address).await["balance"], "0");
        node.until_status("the inbox is the new fork's", |s| s["inbox"]["length"] == "1" && s["fault"].is_null()).await;
    }
    replica.stop().await.expect("a clean stop");
    operator.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorganised_batch_stands_again_with_the_same_messages() {
    let world = World::new().await;
    let (operator, client) = start(world.operator_args()).await;
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;
    let snapshot = world.layer1.call("evm_snapshot", json!([])).await;
    let first = alice.pay(&world, &client, bob.address, 3).await;
    client.until_balance(bob.address, 3).await;
    let second = bob.pay(&world, &client, alice.address, 1).await;
    client.until_balance(bob.address, 2).await;

    world.layer1.call("evm_revert", json!([snapshot])).await;
    world.pass(60).await;
    for receipt in [first, second] {
        client
            .until("l2_getMessage", json!([message_of(&receipt)]), "the promise is kept on the new fork", |m| {
                m["effective"] == true
            })
            .await;
    }
    client.until_balance(bob.address, 2).await;
    let status = client.until_status("nothing waits", |s| s["pending"] == "0").await;
    assert_eq!(status["receipts"], "2");
    operator.stop().await.expect("a clean stop");
}
