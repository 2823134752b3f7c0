//! Many histories on all processors, and what to do with one that fails.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::history::{Ended, live, words};
use crate::world::Counts;

/// How often progress is told.
const TELL: Duration = Duration::from_secs(60);
/// How many seeds are recorded with what they came to.
const RECORDED: u64 = 8;

/// Lives through the histories with `number` seeds from `first` on; begins no more of them when the time is over.
pub(crate) fn many(first: u64, number: u64, time: Duration) -> Value {
    let begun = Instant::now();
    let (next, failed) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let sum = Mutex::new((Counts::default(), 0u64, begun));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number_of_this = next.fetch_add(1, Ordering::Relaxed);
                    if number_of_this >= number || begun.elapsed() > time || failed.load(Ordering::Relaxed) != u64::MAX
                    {
                        break;
                    }
                    let seed = first + number_of_this;
                    let Some(ended) = quietly(&words(seed)) else {
                        failed.fetch_min(seed, Ordering::Relaxed);
                        break;
                    };
                    let mut sum = sum.lock().unwrap();
                    add(&mut sum.0, &ended.counts);
                    sum.1 += 1;
                    if sum.2.elapsed() > TELL {
                        sum.2 = Instant::now();
                        println!("{} of {number} histories after {} s", sum.1, begun.elapsed().as_secs());
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    if failed != u64::MAX {
        shrink(failed);
    }
    let (counts, histories, _) = sum.into_inner().unwrap();
    let recorded: Vec<Value> = (first..first + RECORDED.min(histories)).map(record).collect();
    json!({
        "histories": histories,
        "firstSeed": first,
        "lastSeed": (first + histories).saturating_sub(1),
        "wanted": number,
        "threads": threads,
        "millisecondsOfHistories": begun.elapsed().as_millis() as u64,
        "steps": counts.steps,
        "batches": counts.batches,
        "falseBatches": counts.false_batches,
        "messages": counts.messages,
        "effective": counts.effective,
        "contests": counts.contests,
        "refusedContests": counts.refused_contests,
        "rollBacks": counts.roll_backs,
        "reorganisations": counts.reorganisations,
        "resubmissions": counts.resubmissions,
        "claims": counts.claims,
        "halts": counts.halts,
        "refusedCalls": counts.refusals,
        "mostGasOfACall": counts.most_gas,
        "recorded": recorded,
    })
}

/// One history, as the evidence keeps it.
pub(crate) fn record(seed: u64) -> Value {
    let ended = live(&words(seed), &mut Vec::new());
    json!({ "seed": seed, "steps": ended.counts.steps, "batches": ended.counts.batches, "finalRoot": ended.root })
}

fn add(sum: &mut Counts, counts: &Counts) {
    sum.steps += counts.steps;
    sum.batches += counts.batches;
    sum.false_batches += counts.false_batches;
    sum.messages += counts.messages;
    sum.effective += counts.effective;
    sum.contests += counts.contests;
    sum.refused_contests += counts.refused_contests;
    sum.roll_backs += counts.roll_backs;
    sum.reorganisations += counts.reorganisations;
    sum.resubmissions += counts.resubmissions;
    sum.claims += counts.claims;
    sum.halts += counts.halts;
    sum.refusals += counts.refusals;
    sum.most_gas = sum.most_gas.max(counts.most_gas);
}

/// What a history comes to; none if an invariant breaks in it.
fn quietly(words: &[u64]) -> Option<Ended> {
    panic::catch_unwind(AssertUnwindSafe(|| live(words, &mut Vec::new()))).ok()
}

/// Takes steps out of a failing history as long as it fails without them, then lets it fail for all to see.
fn shrink(seed: u64) -> ! {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let mut words = words(seed);
    let mut size = words.len() / 2;
    while size > 0 {
        let mut start = 0;
        while start < words.len() {
            let mut fewer = words.clone();
            fewer.drain(start..(start + size).min(words.len()));
            if quietly(&fewer).is_none() {
                words = fewer;
            } else {
                start += size;
            }
        }
        size /= 2;
    }
    panic::set_hook(hook);
    let mut log = Vec::new();
    let broken = panic::catch_unwind(AssertUnwindSafe(|| live(&words, &mut log)));
    println!("the history with seed {seed} fails, and so do these {} steps of it:\n{}", words.len(), log.join("\n"));
    println!("words: {words:?}");
    assert!(
        broken.is_err(),
        "a history that failed does not fail again: something in it depends on more than its seed"
    );
    panic!("history {seed} breaks an invariant; see above (PAYMENTS_HISTORIES_SEED={seed} PAYMENTS_HISTORIES=1)")
}
