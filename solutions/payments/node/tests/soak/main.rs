//! Half an hour of payments with everything that goes wrong in half an hour: operator and replica are killed at random
//! moments and at random write points, connections break, a subscriber does not read.
//!
//! `cargo xtask test --deep soak` runs it and keeps what it prints: one JSON object. It ends with an error unless
//! nothing acknowledged was lost and every balance is what the accounts signed. See [`audit`] for what that means.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a long test, run by hand")]
#![allow(dead_code, unused_imports, reason = "the world is shared with the tests, which use more of it")]

mod audit;
mod keeper;
mod load;
#[path = "../node/world.rs"]
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use payments_node::NodeArgs;
use serde_json::{Value, json};

use crate::keeper::{Keeper, rss};
use crate::load::Load;
use crate::world::{ETHER, World};

#[derive(Parser)]
struct Arguments {
    /// Length of the run after the calibration.
    #[arg(long, default_value_t = 0.1)]
    minutes: f64,

    /// Payments a second. Without it: half of what the operator took and posted in the calibration.
    #[arg(long)]
    rate: Option<f64>,

    /// Accounts that pay each other.
    #[arg(long, default_value_t = 100)]
    accounts: usize,

    /// Senders at a time.
    #[arg(long, default_value_t = 32)]
    senders: usize,

    /// Decides who pays whom, and who is killed when.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Names of tests, as every test's program is told them: this one runs when none is named, or when it is.
    #[arg(hide = true, allow_hyphen_values = true, trailing_var_arg = true)]
    filter: Vec<String>,
}

/// Length of the calibration.
const CALIBRATION: Duration = Duration::from_secs(15);

/// Longest time between two kills of a node.
const LONGEST_LIFE: Duration = Duration::from_secs(40);

/// A generator of numbers without a pattern (splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    if !arguments.filter.is_empty() && !arguments.filter.iter().any(|name| name == "soak") {
        return;
    }
    println!("{}", run(&arguments).await);
}

async fn run(arguments: &Arguments) -> Value {
    let length = Duration::from_secs_f64(arguments.minutes * 60.0);
    let life = LONGEST_LIFE.min(length / 2);
    let world = Arc::new(World::new().await);
    let pace = |args: NodeArgs| NodeArgs { poll_ms: 100, batch_age_ms: 500, ..args };
    let operator = Keeper::start("operator", pace(world.operator_args()), life, arguments.seed).await;
    let replica = Keeper::start("replica", pace(world.replica_args(true)), life, arguments.seed + 1).await;
    let load = Load::new(Arc::clone(&world), arguments.accounts, operator.client());
    for account in load.addresses() {
        world.deposit(account, ETHER).await;
    }
    operator.client().borrow().clone().until_balance(load.addresses()[arguments.accounts - 1], ETHER).await;

    let start = Instant::now();
    let taken = load.run(arguments.senders, None, CALIBRATION.min(length / 2), arguments.seed + 2).await;
    audit::settled(&operator).await;
    let capacity = taken as f64 / start.elapsed().as_secs_f64();
    let rate = arguments.rate.unwrap_or(capacity / 2.0);
    eprintln!("the operator takes and posts {capacity:.0} payments/s; {rate:.0}/s from now on");

    operator.unleash();
    replica.unleash();
    let every = length.div_f64(180.0).max(Duration::from_secs(2));
    let slow = tokio::spawn(load::slow_subscriber(operator.client(), load.addresses()));
    let samples = {
        let paying = load.run(arguments.senders, Some(rate), length, arguments.seed + 3);
        tokio::pin!(paying);
        let mut samples = Vec::new();
        let (start, mut before) = (Instant::now(), load.handed_out());
        let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        loop {
            tokio::select! {
                _ = &mut paying => break samples,
                _ = tick.tick() => {
                    let handed_out = load.handed_out();
                    let status = operator.client().borrow().clone().try_call("l2_status", json!([])).await;
                    let latency = load.latency();
                    let sample = json!({
                        "seconds": (start.elapsed().as_secs_f64() * 10.0).round() / 10.0,
                        "paymentsPerSecond": ((handed_out - before) as f64 / every.as_secs_f64()).round(),
                        "receipts": handed_out,
                        "latencyMsP50": latency.0,
                        "latencyMsP99": latency.1,
                        "operatorRssMb": operator.rss_mb(),
                        "replicaRssMb": replica.rss_mb(),
                        "layer1RssMb": rss(world.anvil.id()),
                        "operatorKills": operator.kills(),
                        "replicaKills": replica.kills(),
                        "standing": status.as_ref().map_or(Value::Null, |status| status["standing"].clone()),
                        "pending": status.as_ref().map_or(Value::Null, |status| status["pending"].clone()),
                    });
                    eprintln!("{sample}");
                    before = handed_out;
                    samples.push(sample);
                }
            }
        }
    };
    slow.abort();
    let (operator, replica) = (operator.calm().await, replica.calm().await);
    let audit = audit::audit(&world, &load, &operator, &replica, arguments.seed).await;
    json!({
        "run": {
            "minutes": arguments.minutes, "accounts": arguments.accounts, "senders": arguments.senders,
            "seed": arguments.seed, "capacityPerSecond": capacity.round(), "ratePerSecond": rate.round(),
        },
        "audit": audit,
        "kills": { "operator": operator.report(), "replica": replica.report() },
        "retries": load.retries(),
        "slowSubscriber": load::slow_subscriber_report(),
        "memory": { "operator": slope(&samples, "operatorRssMb"), "replica": slope(&samples, "replicaRssMb") },
        "samples": samples,
    })
}

/// Growth of a column of the samples: MB a minute by least squares over the second half, and bytes a payment.
fn slope(samples: &[Value], column: &str) -> Value {
    let half = &samples[samples.len() / 2..];
    let points: Vec<(f64, f64)> =
        half.iter().filter_map(|sample| Some((sample["seconds"].as_f64()? / 60.0, sample[column].as_f64()?))).collect();
    let count = points.len() as f64;
    if count < 3.0 {
        return Value::Null;
    }
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let covariance: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let variance: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let per_minute = covariance / variance;
    let payments =
        half[half.len() - 1]["receipts"].as_f64().unwrap_or(0.0) - half[0]["receipts"].as_f64().unwrap_or(0.0);
    let minutes = points[points.len() - 1].0 - points[0].0;
    json!({
        "mbPerMinute": (per_minute * 100.0).round() / 100.0,
        "bytesPerPayment": (per_minute * minutes * 1_048_576.0 / payments.max(1.0)).round(),
        "mostMb": samples.iter().filter_map(|sample| sample[column].as_f64()).fold(0.0, f64::max),
    })
}
