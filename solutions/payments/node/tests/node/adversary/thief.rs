//! An operator whose batches give him everybody's money.

use alloy::primitives::{Bytes, U256};
use alloy::sol_types::SolCall;
use payments_contract::PaymentsGateway as Gateway;
use payments_node::{Misbehave, NodeArgs};
use payments_protocol::{Leaf, State};
use serde_json::json;

use super::{GWEI, number, pay, settled};
use crate::world::{CHALLENGE, ETHER, FORCE, OPERATOR, Process, RICH, User, World, message_of};

/// Rows "operator key stolen (bond lost, halt; balances stay)" and "fraud buried under many batches".
#[tokio::test(flavor = "multi_thread")]
async fn operator_key_stolen_bond_lost_halt_balances_stay() {
    let world = World::new().await;
    let operator = Process::start(&world.operator_args()).await;
    let users: Vec<User> = (1..=4).map(User::new).collect();
    for user in &users {
        world.deposit(user.address, ETHER).await;
    }
    settled(&world, &operator.client).await;
    let (alice, bob, carol, dave) = (&users[0], &users[1], &users[2], &users[3]);
    pay(&world, &operator.client, alice, bob.address, ETHER / 4, GWEI).await;
    bob.withdraw(&world, &operator.client, ETHER / 8).await;
    settled(&world, &operator.client).await;
    let honest = number(&operator.client.status().await["standing"]);
    operator.kill().await;
    world.pass(CHALLENGE).await;

    // The thief's own wealth pays for one bond more than the one that lies there.
    world.layer1.call("anvil_setBalance", json!([OPERATOR, U256::from(ETHER + ETHER / 2)])).await;
    let thief = NodeArgs { misbehave: Some(Misbehave::Thief), ..world.operator_args() };
    let thief = Process::start(&thief).await;
    assert_eq!(thief.client.status().await["adversary"], true);
    let promised = carol.pay(&world, &thief.client, dave.address, 1).await;
    // Nobody watches for a while: the theft is buried.
    thief
        .client
        .until_status("the theft is buried", |s| {
            number(&s["standing"]) >= honest + 4 && number(&s["verified"]) == honest
        })
        .await;

    let replica = Process::start(&world.replica_args(true)).await;
    // A deposit that only the thief could serve.
    world.deposit(dave.address, 77).await;
    let contests = async || world.events::<Gateway::Contested>().await;
    world.until("the thief has lost two bonds", async || contests().await.len() == 2).await;
    assert_eq!(world.view(Gateway::bondBalanceCall {}).await, U256::ZERO);
    let contested = contests().await;
    // One contest a bond, whatever was buried.
    assert!(contested.iter().all(|event| event.id == U256::from(honest + 1)));
    assert!(world.events::<Gateway::Claimed>().await.is_empty());

    // He can steal no more, and serve nobody: anyone halts, everybody leaves with every wei.
    world.pass(FORCE + 1).await;
    world.send(RICH, 0, Gateway::haltCall {}).await;
    replica.client.until_status("the halt is seen", |s| s["halted"] == true).await;
    assert_eq!(world.claim(&replica.client, dave.address).await, ETHER);
    assert_eq!(world.claim(&replica.client, carol.address).await, ETHER);
    assert_eq!(world.claim(&replica.client, alice.address).await, ETHER - ETHER / 4 - GWEI);
    assert_eq!(world.claim(&replica.client, bob.address).await, ETHER + ETHER / 4);
    assert_eq!(world.claim(&replica.client, OPERATOR).await, GWEI);
    let item = world.view(Gateway::inboxLengthCall {}).await - 1;
    world.send(RICH, 0, Gateway::reclaimDepositCall { index: item }).await;
    assert_eq!(world.eth(dave.address).await, U256::from(ETHER + 77));
    // What was promised and stood in no true batch never happened.
    let told = replica.client.try_call("l2_getMessage", json!([message_of(&promised)])).await;
    assert_eq!(told.expect_err("it took no effect")["code"], -32001);
    // Half of each bond is the challenger's, nothing else is left.
    let rewards = U256::from(ETHER);
    assert_eq!(world.eth(world.gateway).await, rewards);
    world.send(RICH, 0, Gateway::collectRewardCall { reward: U256::ZERO }).await;
}

/// Row "bad root then early claim (claim only after CHALLENGE)": the thief has a proof, and time is against him.
#[tokio::test(flavor = "multi_thread")]
async fn bad_root_then_early_claim() {
    let world = World::new().await;
    let args = NodeArgs { misbehave: Some(Misbehave::Thief), ..world.operator_args() };
    let thief = Process::start(&args).await;
    let alice = User::new(1);
    world.deposit(alice.address, ETHER).await;
    thief.client.until_status("the theft stands", |s| !s["fault"].is_null()).await;
    let batch = thief.client.call("l2_getBatch", json!(["1"])).await;
    thief.kill().await;

    let mut loot = State::new();
    loot.set(OPERATOR, Leaf { withdrawn: ETHER, ..Leaf::default() });
    assert_eq!(batch["root"], json!(loot.root()));
    let proof = loot.witness(OPERATOR);
    let witness = Gateway::Witness {
        account: proof.account,
        balance: proof.balance,
        withdrawn: proof.withdrawn,
        nonce: proof.nonce,
        head: proof.head,
        siblings: proof.siblings,
    };
    let claim = Gateway::claimCall { batch: U256::from(1), witness, recipient: OPERATOR, signature: Bytes::new() };
    world.send_refused(RICH, claim.clone()).await;
    // With nobody to contest it he would have the money at the end of the window: it is the watching that saves it.
    let request = json!({ "from": RICH, "to": world.gateway, "input": Bytes::from(claim.abi_encode()) });
    let head = world.layer1.call("eth_getBlockByNumber", json!(["latest", false])).await;
    let now: U256 = head["timestamp"].as_str().expect("a quantity").parse().expect("a quantity");
    let at =
        async |time: U256| world.layer1.try_call("eth_call", json!([request, "latest", {}, { "time": time }])).await;
    assert!(at(now).await.is_err());
    at(now + U256::from(CHALLENGE)).await.expect("paid out, if the batch still stood then");

    let replica = Process::start(&world.replica_args(true)).await;
    replica.client.until_status("nothing false stands", |s| s["fault"].is_null() && s["standing"] == "0").await;
    world.pass(CHALLENGE).await;
    world.send_refused(RICH, claim).await;
    let operator = Process::start(&world.operator_args()).await;
    for node in [&operator.client, &replica.client] {
        node.until_balance(alice.address, ETHER).await;
    }
}
