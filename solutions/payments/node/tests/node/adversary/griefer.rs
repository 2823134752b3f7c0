//! Who contests what is true, and what fell already.

use alloy::primitives::{Bytes, U256};
use payments_contract::PaymentsGateway as Gateway;
use payments_node::{Misbehave, NodeArgs};
use serde_json::{Value, json};

use super::{number, settled};
use crate::world::{CHALLENGE, ETHER, Process, RICH, User, World};

fn input(call: &Value) -> Bytes {
    serde_json::from_value(call["call"]["input"].clone()).expect("calldata")
}

/// Row "griefing contests (cost only the griefer)".
#[tokio::test(flavor = "multi_thread")]
async fn griefing_contests_cost_only_the_griefer() {
    let world = World::new().await;
    let operator = Process::start(&world.operator_args()).await;
    let client = &operator.client;
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;
    for value in 1..=20 {
        alice.pay(&world, client, bob.address, value).await;
    }
    let before = settled(&world, client).await;
    let bond = world.view(Gateway::bondBalanceCall {}).await;
    let purse = world.eth(RICH).await;
    // Every chunk of every honest batch, with the proof that an honest node itself gives.
    let mut contests = 0;
    for batch in 1..=number(&before["standing"]) {
        let chunks = client.call("l2_getBatch", json!([batch.to_string()])).await;
        for chunk in 0..chunks["roots"].as_array().expect("roots").len() {
            let proof = client.call("l2_getContestWitness", json!([batch.to_string(), chunk.to_string()])).await;
            world.send_input_refused(RICH, input(&proof)).await;
            contests += 1;
        }
    }
    assert!(contests >= 4, "{contests}");
    assert!(world.eth(RICH).await < purse);
    assert_eq!(world.view(Gateway::bondBalanceCall {}).await, bond);
    assert_eq!(client.status().await["standing"], before["standing"]);

    // After the time for contests, not even a well-formed one.
    let proof = client.call("l2_getContestWitness", json!(["1", "0"])).await;
    world.pass(CHALLENGE).await;
    world.send_input_refused(RICH, input(&proof)).await;
    bob.pay(&world, client, alice.address, 10).await;
    client.until_balance(bob.address, 200).await;
}

/// A contest that was right once is worth nothing against the honest batch that has the id next.
#[tokio::test(flavor = "multi_thread")]
async fn a_used_contest_does_not_work_again() {
    let world = World::new().await;
    let args = NodeArgs { misbehave: Some(Misbehave::FalseRootOnce), ..world.operator_args() };
    let operator = Process::start(&args).await;
    let alice = User::new(1);
    world.deposit(alice.address, ETHER).await;
    operator.client.until_status("the false batch stands", |s| !s["fault"].is_null()).await;
    let proof = operator.client.call("l2_getContestWitness", json!(["1"])).await;
    world.send_input(RICH, 0, input(&proof)).await;
    operator.client.until_balance(alice.address, ETHER).await;
    settled(&world, &operator.client).await;
    world.send_input_refused(RICH, input(&proof)).await;
    assert_eq!(operator.client.account(alice.address).await["balance"], ETHER.to_string());

    // The reward waits until what lies below is final, which genesis is; it is paid once.
    let challenger = |_| ();
    let [contested] = world.events::<Gateway::Contested>().await.try_into().map_err(challenger).expect("one");
    assert_eq!(contested.challenger, RICH);
    let held = world.eth(world.gateway).await;
    let collect = Gateway::collectRewardCall { reward: U256::ZERO };
    world.send(RICH, 0, collect.clone()).await;
    assert_eq!(held - world.eth(world.gateway).await, U256::from(ETHER / 2));
    world.send_refused(RICH, collect).await;
}
