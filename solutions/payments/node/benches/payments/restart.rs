//! A node with many accounts, killed and started again: how long that takes, and the memory of it.

use std::time::Instant;

use payments_node::{NodeArgs, run};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::load::Crowd;
use crate::world::{CHALLENGE, Client, ETHER, User, World, spawn_as, start};
use crate::{drain, median, say};

/// New accounts of one round: fewer than the node lets wait for a batch.
const ROUND: usize = 90_000;

/// Blocks beyond the reorganisations that a node goes back through.
const DEEP: &str = "0x12c";

/// This program as a node of its own, so that nothing else is in its memory.
pub(crate) const PART: &str = "node";

#[derive(clap::Parser)]
struct Arguments {
    #[command(flatten)]
    node: NodeArgs,
}

/// What the process of [`PART`] does, with the arguments of a node after its own.
pub(crate) fn node(arguments: Vec<String>) {
    let Arguments { node } = clap::Parser::parse_from(std::iter::once(PART.to_owned()).chain(arguments));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run(node, |ready| println!("{}", json!(ready)))).expect("a clean end");
}

pub(crate) async fn measure(accounts: usize, starts: usize) {
    let world = World::new().await;
    let args = world.operator_args();
    let (operator, client) = start(args.clone()).await;
    let alice = User::new(1);
    world.deposit(alice.address, 1_000 * ETHER).await;
    client.until_balance(alice.address, 1_000 * ETHER).await;
    let mut crowd = Crowd::new(&world, &client, 6, alice).await;
    let mut settled = vec![];
    for made in (0..accounts).step_by(ROUND) {
        let count = ROUND.min(accounts - made);
        crowd.fill(&client, made, count).await;
        drain(&world, &client).await;
        settled.push(count as f64 / settle(&world, &client).await);
    }
    say("put below the base", median(settled), "messages/s", None, None);
    operator.stop().await.expect("a clean stop");
    let (mut times, mut memory, mut most) = (vec![], vec![], vec![]);
    for _ in 0..starts {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg(PART);
        let begun = Instant::now();
        let (mut child, client) = spawn_as(command, &args, None).await;
        let client = client.expect("it answers");
        until(&client, |status| status["synced"] == true).await;
        times.push(begun.elapsed().as_secs_f64());
        let id = child.id().expect("it runs");
        memory.push(resident(id, "VmRSS:"));
        most.push(resident(id, "VmHWM:"));
        child.kill().await.expect("killed");
    }
    let (memory, most) = (median(memory), median(most));
    say(&format!("restart with {accounts} accounts, after a kill"), median(times), "s", None, None);
    say(&format!("memory of that node, each of {accounts} accounts"), memory / accounts as f64, "bytes", None, None);
    say("memory of that node", memory / 1e6, "MB", None, None);
    say("memory of that node at most while it starts", most / 1e6, "MB", None, None);
}

/// Lets everything become long final; seconds that the node takes for it, with the empty blocks of that.
async fn settle(world: &World, client: &Client) -> f64 {
    world.pass(CHALLENGE + 1).await;
    let begun = Instant::now();
    world.layer1.call("anvil_mine", json!([DEEP])).await;
    until(client, |status| status["base"] == status["standing"]).await;
    begun.elapsed().as_secs_f64()
}

/// Waits as long as it takes.
async fn until(client: &Client, holds: impl Fn(&Value) -> bool) {
    while !holds(&client.status().await) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// A line of what Linux says of a process's memory, in bytes.
fn resident(process: u32, line: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let found = text.lines().find_map(|text| text.strip_prefix(line));
    let kilobytes = found.and_then(|text| text.trim().split(' ').next());
    kilobytes.and_then(|number| number.parse::<f64>().ok()).unwrap_or_default() * 1024.0
}
