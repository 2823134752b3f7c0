//! Calls of an honest plugin through the whole host, alone and beside fifty hostile ones that are installed and at work.
//!
//! `cargo xtask bench neighbours` runs it after the same at the sandbox's level. Each line of the output is one figure as
//! JSON: `name`, `value`, `unit`; `aim`, `aim_is` and `met` where one was set; `baseline`, `baseline_value` and `ratio`
//! where there is something to compare with.

#![allow(clippy::print_stdout, reason = "the figures are its output")]
#![allow(clippy::print_stderr, reason = "who was not stopped is told beside the figures")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that fails has nothing to say")]

#[path = "../tests/host/neighbours/crowd.rs"]
mod crowd;
#[path = "../tests/host/support.rs"]
#[allow(dead_code, reason = "the tests beside it use the rest")]
mod support;

use crowd::{Watch, arm_all, ask_honest, hostile, inspect, install_all, met_its_fate, sum_of_caps};
use serde_json::json;
use std::time::Duration;
use support::{Anvil, Wallet};
use tokio::time::Instant;

/// Calls that are measured for each figure.
const CALLS: usize = 1500;
/// An honest plugin rests between two calls: somebody, or a page, asks now and then.
const REST: Duration = Duration::from_millis(5);
/// Milliseconds of CPU that a hostile turn may take: so long that all of them are busy while the calls are measured.
const TURN: u64 = 1000;
/// Longest wait for the last of them to be stopped.
const PATIENCE: Duration = Duration::from_secs(600);
/// What was asked for: this many times the same plugin alone, and this many milliseconds.
const MOST_RATIO: f64 = 5.0;
const MOST_MS: f64 = 25.0;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run());
}

async fn run() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    install_all(&wallet, TURN).await;
    for number in 0..CALLS {
        ask_honest(&wallet, "greet", number).await;
    }
    let actions = [("greet", "a call"), ("note", "a call that writes and reads its database")];
    let mut alone = Vec::new();
    for (action, _) in actions {
        alone.push(paced(&wallet, action).await);
    }
    let watch = Watch::start();
    arm_all(&wallet).await;
    for ((action, name), mut alone) in actions.into_iter().zip(alone) {
        let mut beside = paced(&wallet, action).await;
        for share in [50, 99] {
            let name = format!("{name} through the host beside {} hostile plugins, p{share}", hostile().len());
            figure(
                &name,
                at(&mut beside, share),
                "ms",
                Some(("alone", at(&mut alone, share))),
                (share == 99).then_some(MOST_MS),
            );
            if share == 99 {
                let ratio = at(&mut beside, share) / at(&mut alone, share);
                figure(&format!("{name}, by the same alone"), ratio, "×", None, Some(MOST_RATIO));
            }
        }
    }
    let deadline = Instant::now() + PATIENCE;
    let (mut stopped, mut ends) = (0, 0);
    for one in hostile() {
        loop {
            let view = inspect(&wallet, &one).await;
            // Beside so many others a storm may never come as far as its own share: it waits for theirs instead.
            let waits = one.fate.lives_on() && view.waited_micros > 10 * view.cpu_micros;
            if met_its_fate(&one, &view) || waits {
                (stopped, ends) = (stopped + 1, ends + view.ended);
                break;
            }
            if Instant::now() > deadline {
                eprintln!("not stopped: {}: {view:?}", one.name);
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let mebibytes = |bytes: f64| bytes / f64::from(1 << 20);
    let left = hostile().len() - stopped;
    figure("hostile plugins that were not stopped and reported", left as f64, "of 50", None, Some(0.0));
    figure("lives of theirs that were ended", ends as f64, "lives", None, None);
    let caps = mebibytes(sum_of_caps() as f64);
    figure(
        "most memory of the whole process",
        mebibytes(watch.most() as f64),
        "MiB",
        Some(("sum of all caps", caps)),
        Some(caps),
    );
    wallet.host().shutdown().await;
}

async fn paced(wallet: &Wallet, action: &str) -> Vec<Duration> {
    let mut taken = Vec::with_capacity(CALLS);
    for number in 0..CALLS {
        tokio::time::sleep(REST).await;
        let started = Instant::now();
        ask_honest(wallet, action, number).await;
        taken.push(started.elapsed());
    }
    taken
}

/// Milliseconds below which this share of them lies.
fn at(taken: &mut [Duration], share: usize) -> f64 {
    taken.sort_unstable();
    taken[(taken.len() * share / 100).min(taken.len() - 1)].as_secs_f64() * 1000.0
}

fn figure(name: &str, value: f64, unit: &str, baseline: Option<(&str, f64)>, at_most: Option<f64>) {
    let mut line = json!({ "name": name, "value": value, "unit": unit });
    if let Some((baseline, baseline_value)) = baseline {
        line["baseline"] = json!(baseline);
        line["baseline_value"] = json!(baseline_value);
        line["ratio"] = json!(value / baseline_value);
    }
    if let Some(aim) = at_most {
        line["aim"] = json!(aim);
        line["aim_is"] = json!("most");
        line["met"] = json!(value <= aim);
    }
    println!("{line}");
}
