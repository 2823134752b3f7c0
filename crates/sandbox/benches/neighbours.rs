//! Calls of one instance through its queue, alone and beside fifty hostile ones.
//!
//! `cargo xtask bench neighbours` runs it. Each line of the output is one figure as JSON: `name`, `value`, `unit` and,
//! where there is one, `baseline` (what it is compared with), `baseline_value` and `ratio` (value by baseline value).
//! A hostile one that was stopped starts again after [`PAUSE`]: harder than in a wallet, which waits longer and longer.

#![allow(clippy::print_stdout, reason = "the figures are its output")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a bench that cannot go on ends")]

#[path = "../tests/neighbours/crowd.rs"]
#[allow(dead_code, reason = "the test beside it uses the rest")]
mod crowd;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crowd::{KINDS, Seen, greet, honest, provoke, start};
use entresol_sandbox::{Engine, Input, Limits, Meter, Outgoing, Runner};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

const HOSTILE: usize = 50;
/// Calls that are measured for each figure.
const CALLS: usize = 2000;
/// An honest plugin rests between two calls: somebody, or a page, asks now and then.
const REST: Duration = Duration::from_millis(5);
/// The wallet's first pause after a failure.
const PAUSE: Duration = Duration::from_millis(500);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    // On a worker, as in the wallet: the thread that blocks here would be one more to wake.
    runtime.block_on(async { tokio::spawn(run()).await.expect("no panic") });
}

async fn run() {
    let engine = Engine::new(None).expect("the engine");
    let (mut runner, _) = honest(&engine).await;
    for number in 0..CALLS {
        greet(&mut runner, number).await;
    }
    let mut one = Vec::with_capacity(CALLS);
    for number in 0..CALLS {
        one.push(greet(&mut runner, number).await);
    }
    say("round trip, 1 in flight, p50", milliseconds(at(&mut one, 50)), "ms", None);
    say("round trip, 1 in flight, p99", milliseconds(at(&mut one, 99)), "ms", None);
    let (mut many, rate) = in_flight(&mut runner, 16, 10 * CALLS).await;
    say("round trip, 16 in flight, p50", milliseconds(at(&mut many, 50)), "ms", None);
    say("round trip, 16 in flight, p99", milliseconds(at(&mut many, 99)), "ms", None);
    say("calls, 16 in flight", rate, "per s", None);
    let (mut runner, _) = honest(&engine).await;
    let mut alone = paced(&mut runner).await;
    let crowd = Crowd::start(&engine).await;
    let mut beside = paced(&mut runner).await;
    for (name, share) in [("p50", 50), ("p99", 99), ("worst", 100)] {
        let (alone, beside) = (milliseconds(at(&mut alone, share)), milliseconds(at(&mut beside, share)));
        say(&format!("honest call beside {HOSTILE} hostile, {name}"), beside, "ms", Some(("alone", alone)));
    }
    crowd.report();
}

async fn paced(runner: &mut Runner) -> Vec<Duration> {
    let mut taken = Vec::with_capacity(CALLS);
    for number in 0..CALLS {
        tokio::time::sleep(REST).await;
        taken.push(greet(runner, number).await);
    }
    taken
}

/// Keeps so many calls under way; gives the time of each and how many were answered a second.
async fn in_flight(runner: &mut Runner, width: usize, calls: usize) -> (Vec<Duration>, f64) {
    let message = br#"{"name":"greet","value":{"name":"n","items":[1,2,3,4]}}"#;
    let mut sent = VecDeque::new();
    let mut taken = Vec::with_capacity(calls);
    let started = Instant::now();
    for _ in 0..width {
        sent.push_back(Instant::now());
        runner.send(Input::Message(message.to_vec())).expect("alive");
    }
    while taken.len() < calls {
        let outgoing = runner.next().await.expect("an answer").expect("a turn that ends well");
        assert!(matches!(&outgoing[..], [Outgoing::Message(_)]));
        taken.push(sent.pop_front().expect("as many as were sent").elapsed());
        sent.push_back(Instant::now());
        runner.send(Input::Message(message.to_vec())).expect("alive");
    }
    let rate = calls as f64 / started.elapsed().as_secs_f64();
    while sent.pop_front().is_some() {
        runner.next().await;
    }
    (taken, rate)
}

type Meters = Arc<Vec<Mutex<Option<Meter>>>>;

/// Fifty hostile scripts, each started again whenever it is stopped.
struct Crowd {
    lives: JoinSet<()>,
    stopped: Arc<AtomicU64>,
    most_memory: Arc<AtomicUsize>,
}

impl Crowd {
    const MEMORY: usize = 16 << 20;

    async fn start(engine: &Engine) -> Self {
        let limits = Limits { memory_bytes: Self::MEMORY, ..Limits::default() };
        let stopped = Arc::new(AtomicU64::new(0));
        let most_memory = Arc::new(AtomicUsize::new(0));
        let meters: Meters = Arc::new((0..HOSTILE).map(|_| Mutex::new(None)).collect());
        let begun = Arc::new(tokio::sync::Semaphore::new(0));
        let mut lives = JoinSet::new();
        for index in 0..HOSTILE {
            let (_, body, _) = KINDS[index % KINDS.len()];
            let (engine, limits, stopped) = (engine.clone(), limits.clone(), Arc::clone(&stopped));
            let (meters, begun) = (Arc::clone(&meters), Arc::clone(&begun));
            lives.spawn(async move {
                loop {
                    let runner = start(&engine, &limits, body).await.expect("it starts");
                    *meters[index].lock().expect("unpoisoned") = Some(runner.meter());
                    begun.add_permits(1);
                    provoke(runner, &Seen::default()).await;
                    stopped.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        let most = Arc::clone(&most_memory);
        lives.spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                most.fetch_max(memory_of(&meters), Ordering::Relaxed);
            }
        });
        // A life each, at least.
        let all = u32::try_from(HOSTILE).expect("few");
        begun.acquire_many(all).await.expect("open").forget();
        Self { lives, stopped, most_memory }
    }

    fn report(mut self) {
        self.lives.abort_all();
        say("hostile scripts stopped and started again", self.stopped.load(Ordering::Relaxed) as f64, "times", None);
        let mebibytes = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        let caps = mebibytes(HOSTILE * Self::MEMORY);
        let most = mebibytes(self.most_memory.load(Ordering::Relaxed));
        say("most memory of the hostile ones", most, "MiB", Some(("sum of their caps", caps)));
    }
}

fn memory_of(meters: &[Mutex<Option<Meter>>]) -> usize {
    let memory =
        |meter: &Mutex<Option<Meter>>| meter.lock().expect("unpoisoned").as_ref().map_or(0, |one| one.read().memory);
    meters.iter().map(memory).sum()
}

fn at(taken: &mut [Duration], share: usize) -> Duration {
    taken.sort_unstable();
    taken[(taken.len() * share / 100).min(taken.len() - 1)]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn say(name: &str, value: f64, unit: &str, baseline: Option<(&str, f64)>) {
    let mut line = json!({ "name": name, "value": value, "unit": unit });
    if let (Some((baseline, baseline_value)), Some(object)) = (baseline, line.as_object_mut()) {
        object.insert("baseline".to_owned(), json!(baseline));
        object.insert("baseline_value".to_owned(), json!(baseline_value));
        object.insert("ratio".to_owned(), json!(value / baseline_value));
    }
    println!("{line}");
}
