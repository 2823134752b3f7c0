//! Fifty hostile scripts of every kind at once, on all cores, beside an honest one.

mod crowd;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crowd::{Fate, KINDS, Seen, greet, honest, provoke, start};
use entresol_sandbox::{Engine, Limits, SandboxError};
use tokio::task::JoinSet;
use tokio::time::Instant;

const HOSTILE: usize = 50;
const MEMORY: usize = 16 << 20;
/// Reached only when the test fails.
const DEADLINE: Duration = Duration::from_secs(240);

fn hostile_limits(expected: Fate) -> Limits {
    let limits = Limits { memory_bytes: MEMORY, turn: Duration::from_secs(30), ..Limits::default() };
    match expected {
        Fate::Deadline => Limits { turn: Duration::from_millis(250), ..limits },
        // A storm of short turns breaks no limit of a turn: it meets its share, also on a machine that is busy with
        // other things and gives it little.
        Fate::HeldBack => Limits { cpu_percent: 1, cpu_burst: Duration::from_millis(100), ..limits },
        _ => limits,
    }
}

/// Ends a hostile script, or finds it harmless; panics when neither comes.
async fn fate(engine: Engine, index: usize) -> (usize, Fate) {
    let (name, body, expected) = KINDS[index % KINDS.len()];
    let runner = start(&engine, &hostile_limits(expected), body).await.expect("starting is harmless");
    let (meter, seen) = (runner.meter(), Arc::new(Seen::default()));
    let theirs = Arc::clone(&seen);
    let mut life = tokio::spawn(async move { provoke(runner, &theirs).await });
    let deadline = Instant::now() + DEADLINE;
    let mut look = tokio::time::interval(Duration::from_millis(20));
    let fate = loop {
        tokio::select! {
            reason = &mut life => {
                let reason = reason.expect("no panic");
                assert!(reason.is_guests_doing(), "{name}: {reason:?}");
                assert_eq!(meter.read().memory, 0, "{name}: its memory goes with it");
                break match reason {
                    SandboxError::Deadline => Fate::Deadline,
                    SandboxError::Memory => Fate::Memory,
                    SandboxError::Stack => Fate::Stack,
                    SandboxError::TooManyMessages => Fate::Flood,
                    other => panic!("{name}: {other:?}"),
                };
            }
            _ = look.tick() => {
                assert!(Instant::now() < deadline, "{name} goes on: {:?}, {seen:?}", meter.read());
                let usage = meter.read();
                assert!(usage.memory <= MEMORY, "{name}: {usage:?}");
                match expected {
                    Fate::HeldBack if usage.throttled > Duration::ZERO => break Fate::HeldBack,
                    Fate::Cut if seen.dropped_logs.load(Ordering::Relaxed) > 0 => break Fate::Cut,
                    Fate::Reported if seen.uncaught.load(Ordering::Relaxed) > 0 => break Fate::Reported,
                    _ => {}
                }
            }
        }
    };
    // Those that broke nothing are stopped by their embedder, also while they run or wait.
    life.abort();
    (index, fate)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_15_fifty_hostile_scripts_are_stopped_and_an_honest_one_goes_on() {
    let engine = Engine::new(None).expect("the engine");
    let (mut runner, meter) = honest(&engine).await;
    let mut hostile: JoinSet<_> = (0..HOSTILE).map(|index| fate(engine.clone(), index)).collect();
    let (mut calls, mut wrong) = (0, Vec::new());
    while !hostile.is_empty() {
        greet(&mut runner, calls).await;
        calls += 1;
        while let Some(done) = hostile.try_join_next() {
            let (index, fate) = done.expect("no panic");
            let (name, _, expected) = KINDS[index % KINDS.len()];
            if fate != expected {
                wrong.push((name, fate));
            }
        }
    }
    assert_eq!(wrong, [], "each is stopped and reported for what it did");
    // It has answered all along; a call that waited for the others to be done would be one of a few.
    assert!(calls > 200, "{calls} calls in all: {:?}", meter.read());
    greet(&mut runner, calls).await;
    assert_eq!(meter.read().turns, calls as u64 + 1, "one for each call");
}
