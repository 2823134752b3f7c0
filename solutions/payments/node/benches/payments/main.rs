//! The payments node at work, beside what the machine can do at most, measured in turns in the same run.
//!
//! `cargo xtask bench payments` runs it: a real operator with its real database on the disk, reached through its port,
//! and anvil as layer 1. Each line of the output is one figure as JSON: `name`, `value`, `unit`; `aim`, `aim_is` and
//! `met` where one was set; `baseline`, `baseline_value` and `ratio` where there is something to compare with. An
//! argument picks a part: `accept`, `latency`, `replay`, `restart` (and a number: of so many accounts), `tree`; `burst` accepts for as long as it is let, for a profile. `ENTRESOL_BENCH_QUICK=1` makes a run of seconds whose
//! figures mean nothing. The load generator shares the cores with the node, so the figures are a lower bound.

#![allow(clippy::print_stdout, reason = "the figures are its output")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that cannot measure should stop")]
#![allow(clippy::disallowed_methods, reason = "measures the disk's own flush, on a file of its own")]

mod limits;
mod load;
mod restart;
mod tree;
#[path = "../../tests/node/world.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod world;

use std::time::Instant;

use payments_node::Node;
use serde_json::json;

use crate::limits::Limits;
use crate::load::Crowd;
use crate::world::{Client, ETHER, User, World, start};

/// How much is measured.
#[derive(Clone, Copy)]
struct Size {
    /// Messages of one round.
    messages: usize,
    /// Rounds; their median is said.
    rounds: usize,
    /// Accounts that pay, one figure each.
    accounts: &'static [usize],
    /// Accounts in the tree, one figure each.
    trees: &'static [usize],
    /// Accounts of the node that is started again.
    restart: usize,
}

const FULL: Size = Size {
    messages: 16_000,
    rounds: 5,
    accounts: &[1, 100, 10_000],
    trees: &[1_000, 100_000, 1_000_000],
    restart: 1_000_000,
};
const QUICK: Size = Size { messages: 200, rounds: 1, accounts: &[1, 100], trees: &[1_000], restart: 1_000 };

fn main() {
    let size = if std::env::var_os("ENTRESOL_BENCH_QUICK").is_some() { QUICK } else { FULL };
    // cargo adds --bench.
    let parts: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if parts.first().is_some_and(|part| part == restart::PART) {
        return restart::node(std::env::args().skip(2).collect());
    }
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|name| name == part);
    if wanted("tree") {
        tree::measure(size.trees);
    }
    if parts.iter().any(|part| part == "burst") {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        return runtime.block_on(burst());
    }
    if wanted("accept") || wanted("latency") || wanted("replay") {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(node(size, wanted("accept"), wanted("latency"), wanted("replay")));
    }
    if wanted("restart") {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let accounts = parts.iter().find_map(|part| part.parse().ok()).unwrap_or(size.restart);
        runtime.block_on(restart::measure(accounts, size.rounds));
    }
}

/// A figure; `baseline`: name, value.
fn say(name: &str, value: f64, unit: &str, baseline: Option<(&str, f64)>, least: Option<f64>) {
    let mut line = json!({ "name": name, "value": value, "unit": unit });
    if let Some((baseline, baseline_value)) = baseline {
        let ratio = value / baseline_value;
        line["baseline"] = json!(baseline);
        line["baseline_value"] = json!(baseline_value);
        line["ratio"] = json!(ratio);
        if let Some(least) = least {
            // The aim is a share of the baseline; said in the figure's own unit.
            line["aim"] = json!(least * baseline_value);
            line["aim_is"] = json!("least");
            line["met"] = json!(ratio >= least);
        }
    }
    println!("{line}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Accepts payments of a hundred accounts until no more may wait for a batch.
async fn burst() {
    let world = World::new().await;
    let (operator, client) = start(world.operator_args()).await;
    let alice = User::new(1);
    world.deposit(alice.address, 1_000 * ETHER).await;
    client.until_balance(alice.address, 1_000 * ETHER).await;
    let mut crowd = Crowd::new(&world, &client, 100, alice).await;
    world.layer1.call("evm_setAutomine", json!([false])).await;
    for _ in 0..16 {
        say("accepted", crowd.burst(&client, 100, 6_000).await, "messages/s", None, None);
    }
    operator.stop().await.expect("a clean stop");
}

/// The figures that need a node.
async fn node(size: Size, accept: bool, latency: bool, replay: bool) {
    let world = World::new().await;
    let limits = Limits::new(&world.domain);
    let (operator, client) = start(world.operator_args()).await;
    let alice = User::new(1);
    world.deposit(alice.address, 1_000 * ETHER).await;
    client.until_balance(alice.address, 1_000 * ETHER).await;
    let most = size.accounts.iter().copied().max().unwrap_or(1);
    let mut crowd = Crowd::new(&world, &client, most, alice).await;
    drain(&world, &client).await;
    for accounts in size.accounts.iter().filter(|_| accept) {
        // Batches wait on layer 1 while it is measured, as they do for most of a block's time.
        world.layer1.call("evm_setAutomine", json!([false])).await;
        let (mut accepted, mut recovered, mut signed, mut flushed) = (vec![], vec![], vec![], vec![]);
        for _ in 0..size.rounds {
            recovered.push(limits.recoveries());
            signed.push(limits.signatures());
            flushed.push(Limits::flushes());
            accepted.push(crowd.burst(&client, *accounts, size.messages).await);
        }
        let (accepted, name) = (median(accepted), format!("accepted, {accounts} accounts"));
        let limit = Some(("recoveries of all cores", median(recovered)));
        say(&name, accepted, "messages/s", limit, Some(0.7));
        say("signatures made on all cores", median(signed), "signatures/s", limit, None);
        say("flushes of the disk", median(flushed), "flushes/s", None, None);
        let drained = Instant::now();
        let messages = drain(&world, &client).await;
        say(
            "posted and replayed by the operator",
            messages / drained.elapsed().as_secs_f64(),
            "messages/s",
            None,
            None,
        );
    }
    if latency {
        world.layer1.call("evm_setAutomine", json!([false])).await;
        let accounts = size.accounts.iter().copied().find(|accounts| *accounts > 1).unwrap_or(1);
        let rate = crowd.burst(&client, accounts, size.messages).await / 2.0;
        let (p50, p99) = crowd.paced(&client, accounts, size.messages, rate).await;
        say("latency at half of that, p50", p50, "ms", None, None);
        say("latency at half of that, p99", p99, "ms", None, None);
        drain(&world, &client).await;
    }
    if replay {
        from_layer1(&world, &client, &limits, size.rounds).await;
    }
    operator.stop().await.expect("a clean stop");
}

/// Lets layer 1 take everything that waits. Gives how many messages that were.
async fn drain(world: &World, client: &Client) -> f64 {
    let number = |value: &serde_json::Value| value.as_str().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    let waiting: f64 = number(&client.status().await["pending"]);
    world.layer1.call("evm_setAutomine", json!([true])).await;
    world.layer1.call("evm_mine", json!([])).await;
    while client.status().await["pending"] != "0" {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    waiting
}

/// A replica that has nothing but layer 1.
async fn from_layer1(world: &World, client: &Client, limits: &Limits, rounds: usize) {
    let status = client.status().await;
    let messages: f64 = status["receipts"].as_str().and_then(|text| text.parse().ok()).expect("a number");
    let (mut replayed, mut recovered) = (vec![], vec![]);
    for round in 0..rounds {
        recovered.push(limits.recoveries());
        let mut args = world.replica_args(false);
        args.data_dir = world.dir.path().join(format!("replica-{round}"));
        let begun = Instant::now();
        let node = Node::start(args).await.expect("a replica");
        let copy = Client::new(format!("http://{}", node.address()).parse().expect("an address"));
        copy.until_status("everything is verified", |s| s["synced"] == true && s["root"] == status["root"]).await;
        replayed.push(messages / begun.elapsed().as_secs_f64());
        node.stop().await.expect("a clean stop");
    }
    let limit = Some(("recoveries of all cores", median(recovered)));
    say("replayed from layer 1", median(replayed), "messages/s", limit, Some(0.8));
    restart(world, rounds).await;
}

/// The last replica again, from its own disk.
async fn restart(world: &World, rounds: usize) {
    let mut times = vec![];
    for _ in 0..rounds {
        let mut args = world.replica_args(false);
        args.data_dir = world.dir.path().join("replica-0");
        let begun = Instant::now();
        let (node, _) = start(args).await;
        times.push(begun.elapsed().as_secs_f64());
        node.stop().await.expect("a clean stop");
    }
    say("restart of that replica", median(times), "s", None, None);
}
