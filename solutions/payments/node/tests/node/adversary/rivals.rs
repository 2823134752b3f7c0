//! Several who contest the same false batch.

use std::sync::{Arc, Mutex};

use alloy::primitives::{Address, U256, address};
use futures_util::{SinkExt, StreamExt};
use payments_contract::PaymentsGateway as Gateway;
use payments_node::{Misbehave, NodeArgs};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message as Frame;

use super::settled;
use crate::world::{Client, ETHER, Process, RICH, User, World};

/// anvil's third and fourth accounts.
const FIRST: Address = address!("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC");
const SECOND: Address = address!("0x90F79bf6EB2c4f870365E785982E1f101E93b906");
const SECOND_KEY: &str = "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6";

/// Kinds of the alerts of a node, as they come.
async fn alerts(node: &Client) -> Arc<Mutex<Vec<String>>> {
    let (mut socket, _) = tokio_tungstenite::connect_async(node.websocket()).await.expect("a WebSocket");
    let subscribe = json!({ "jsonrpc": "2.0", "id": 1, "method": "l2_subscribe", "params": ["alerts"] });
    socket.send(Frame::text(subscribe.to_string())).await.expect("sent");
    socket.next().await.expect("open").expect("the subscription");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Some(Ok(frame)) = socket.next().await {
            let Ok(told) = serde_json::from_str::<Value>(frame.to_text().unwrap_or_default()) else { continue };
            let kind = told["params"]["result"]["kind"].as_str().unwrap_or_default().to_owned();
            hears.lock().expect("not poisoned").push(kind);
        }
    });
    heard
}

/// Two contests in one block: one wins, the other settles, and both go on.
#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_that_contest_at_once_settle_quietly() {
    let world = World::new().await;
    let first = world.replica_args(true);
    let key = world.key_file("second.key", SECOND_KEY);
    let data_dir = world.dir.path().join("second");
    let second = NodeArgs { challenger_key_file: Some(key), data_dir, ..first.clone() };
    let replicas = [Process::start(&first).await, Process::start(&second).await];
    let heard = [alerts(&replicas[0].client).await, alerts(&replicas[1].client).await];
    let purses = [world.eth(FIRST).await, world.eth(SECOND).await];
    let args = NodeArgs { misbehave: Some(Misbehave::FalseRootOnce), ..world.operator_args() };
    let operator = Process::start(&args).await;
    let alice = User::new(1);

    // Nothing is mined by itself until both contests lie in the pool.
    world.deposit(alice.address, ETHER).await;
    world.layer1.call("evm_setAutomine", json!([false])).await;
    let open = |status: &Value| status["openTransactions"].as_array().is_some_and(|open| !open.is_empty());
    world
        .until("the false batch stands", async || {
            world.layer1.call("evm_mine", json!([])).await;
            !operator.client.status().await["fault"].is_null()
                || !world.events::<Gateway::BatchSubmitted>().await.is_empty()
        })
        .await;
    // A contest is open from when it is stored; it is in the pool a little later.
    for account in [FIRST, SECOND] {
        let sent = json!([account, "pending"]);
        world.layer1.until("eth_getTransactionCount", sent, "its contest is in the pool", |count| count == "0x1").await;
    }
    world.layer1.call("evm_mine", json!([])).await;
    world.layer1.call("evm_setAutomine", json!([true])).await;
    assert_eq!(world.events::<Gateway::Contested>().await.len(), 1);

    settled(&world, &operator.client).await;
    for replica in &replicas {
        replica.client.until_balance(alice.address, ETHER).await;
        let quiet = |s: &Value| s["fault"].is_null() && !open(s);
        replica.client.until_status("nothing is open", quiet).await;
    }
    // The loser paid for one transaction that reverted, no more; the winner gets half of the bond.
    let winner = world.events::<Gateway::Contested>().await[0].challenger;
    for (account, before) in [FIRST, SECOND].into_iter().zip(purses) {
        let spent = before - world.eth(account).await;
        assert!(spent > U256::ZERO && spent < U256::from(ETHER / 100), "{account} spent {spent} wei");
        let sent = world.layer1.call("eth_getTransactionCount", json!([account, "latest"])).await;
        assert_eq!(sent, "0x1", "{account}");
    }
    let before = world.eth(winner).await;
    world.send(RICH, 0, Gateway::collectRewardCall { reward: U256::ZERO }).await;
    assert_eq!(world.eth(winner).await - before, U256::from(ETHER / 2));
    for heard in heard {
        world.until("both alerts came", async || heard.lock().expect("not poisoned").len() >= 2).await;
        let mut heard = heard.lock().expect("not poisoned").clone();
        heard.sort();
        assert_eq!(heard, ["contested", "false-batch"]);
    }
}

/// Row "front-run challenger (half burns; safety unaffected)": a contest in the pool that is never mined keeps no
/// other from being sent.
#[tokio::test(flavor = "multi_thread")]
async fn front_run_challenger_contests_all_the_same() {
    let world = World::new().await;
    let args = NodeArgs { misbehave: Some(Misbehave::FalseRootOnce), ..world.operator_args() };
    let operator = Process::start(&args).await;
    let alice = User::new(1);
    world.deposit(alice.address, ETHER).await;
    operator.client.until_status("the false batch stands", |s| !s["fault"].is_null()).await;
    world.layer1.call("evm_setAutomine", json!([false])).await;
    let proof = operator.client.call("l2_getContestWitness", json!(["1"])).await;
    let input = &proof["call"]["input"];
    let request = json!({ "from": RICH, "to": world.gateway, "input": input, "gas": "0x800000" });
    let bait = world.layer1.call("eth_sendTransaction", json!([request])).await;

    let replica = Process::start(&world.replica_args(true)).await;
    let open = |status: &Value| status["openTransactions"].as_array().is_some_and(|open| !open.is_empty());
    replica.client.until_status("its contest is sent", open).await;
    world.layer1.call("anvil_dropTransaction", json!([bait])).await;
    world.layer1.call("evm_setAutomine", json!([true])).await;
    world.layer1.call("evm_mine", json!([])).await;
    let contested = async || world.events::<Gateway::Contested>().await;
    world.until("the batch is contested", async || contested().await.len() == 1).await;
    assert_eq!(contested().await[0].challenger, FIRST);
    operator.client.until_balance(alice.address, ETHER).await;
}
