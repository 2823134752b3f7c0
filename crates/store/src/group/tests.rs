use std::collections::BTreeMap;
use std::sync::Barrier;

use super::*;
use crate::tests::{Fixture, solution};

const QUOTA: u64 = 1_000_000;

fn put(key: &str, value: &[u8]) -> KvOp {
    KvOp::Put { key: key.to_owned(), value: value.to_vec() }
}

/// Puts a job into the queue of a store that somebody else leads, so that a test decides what is one group.
fn enqueue(store: &Store, solution: SolutionId, ops: Vec<KvOp>, quota: u64) -> Receiver<Turn> {
    let (reply, turns) = channel();
    let mut state = store.queue().lock();
    state.led = true;
    state.jobs.push_back(Job { solution, ops, quota, reply });
    turns
}

#[test]
fn one_group_has_one_commit_and_a_result_for_each() {
    let (fixture, first) = Fixture::with_solution();
    let second = fixture.install(&solution("other", "m/43'/60'/1775'/2'"), &[], None, 2).expect("installed");
    fixture.kv_put(first.id, "n", b"1", QUOTA).expect("stored");
    let expect = |value: &[u8]| KvOp::Expect { key: "n".to_owned(), value: Some(value.to_vec()) };
    let waiting = [
        enqueue(&fixture.store, first.id, vec![expect(b"1"), put("n", b"2")], QUOTA),
        enqueue(&fixture.store, first.id, vec![put("lost", b"x"), expect(b"1")], QUOTA),
        enqueue(&fixture.store, second.id, vec![put("k", &[0; 100])], 50),
        enqueue(&fixture.store, 99, vec![put("k", b"")], QUOTA),
        enqueue(&fixture.store, second.id, vec![put("k", b"fits")], 50),
        enqueue(&fixture.store, first.id, vec![expect(b"2"), put("n", b"3")], QUOTA),
    ];
    let commits = |fixture: &Fixture| -> u32 {
        // Moves with every commit of the other connection.
        fixture.store.reader().query_row("PRAGMA data_version", [], |row| row.get(0)).expect("a number")
    };
    let before = commits(&fixture);
    fixture.store.lead();
    assert_eq!(commits(&fixture), before + 1, "one commit for all");
    let results: Vec<_> = waiting
        .iter()
        .map(|turns| match turns.try_recv() {
            Ok(Turn::Done(result)) => result.map_err(|error| error.to_string()),
            _ => panic!("no result"),
        })
        .collect();
    assert!(results[0].is_ok() && results[4].is_ok() && results[5].is_ok(), "{results:?}");
    assert!(results[1].as_ref().is_err_and(|error| error.contains("expected")), "{results:?}");
    assert!(results[2].as_ref().is_err_and(|error| error.contains("quota")), "{results:?}");
    assert!(results[3].is_err(), "no such solution: {results:?}");
    assert_eq!(fixture.kv_get(first.id, "n").expect("read"), Some(b"3".to_vec()), "in order");
    assert_eq!(fixture.kv_get(first.id, "lost").expect("read"), None, "a refused batch leaves nothing");
    assert_eq!(fixture.kv_used(second.id).expect("read"), 5);
    assert!(!fixture.store.queue().lock().led, "nobody leads an empty queue");
}

#[test]
fn a_leader_hands_the_lead_to_the_front_and_a_panic_loses_only_its_own_group() {
    let (fixture, solution) = Fixture::with_solution();
    let taken = enqueue(&fixture.store, solution.id, vec![put("a", b"1")], QUOTA);
    let panicked = std::thread::scope(|scope| {
        let store = fixture.store.clone();
        scope
            .spawn(move || {
                let _lead = Lead(store.queue());
                let _taken = std::mem::take(&mut store.queue().lock().jobs);
                panic!("a fault while leading");
            })
            .join()
    });
    assert!(panicked.is_err());
    assert!(matches!(fixture.store.wait(&taken), Err(StoreError::Abandoned)));
    assert!(!fixture.store.queue().lock().led);
    fixture.kv_put(solution.id, "a", b"2", QUOTA).expect("the next write is not held up");

    // Who has gone away is passed over.
    drop(enqueue(&fixture.store, solution.id, vec![put("a", b"3")], QUOTA));
    let front = enqueue(&fixture.store, solution.id, vec![put("a", b"4")], QUOTA);
    drop(Lead(fixture.store.queue()));
    fixture.store.wait(&front).expect("led, then done");
    assert_eq!(fixture.kv_get(solution.id, "a").expect("read"), Some(b"4".to_vec()));
}

#[test]
fn concurrent_writes_readers_and_other_writes_all_come_through() {
    const WRITERS: usize = 16;
    const WRITES: usize = 40;
    let (fixture, solution) = Fixture::with_solution();
    let store = &fixture.store;
    let start = Barrier::new(WRITERS + 3);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                for n in 0..WRITES {
                    let (key, value) = (format!("{writer}/{n}"), n.to_string());
                    store.kv_put(solution.id, &key, value.as_bytes(), QUOTA).expect("stored");
                    let read = store.kv_get(solution.id, &key).expect("read");
                    assert_eq!(read, Some(value.into_bytes()), "a writer reads what it was told is written");
                }
            });
        }
        // A counter that two raise by compare and set: each success counts once.
        for _ in 0..2 {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                let mut raised = 0;
                while raised < WRITES {
                    let found = store.kv_get(solution.id, "counter").expect("read");
                    let n: u64 = found
                        .as_deref()
                        .map_or(0, |text| std::str::from_utf8(text).expect("text").parse().expect("a number"));
                    let ops = [
                        KvOp::Expect { key: "counter".to_owned(), value: found },
                        put("counter", (n + 1).to_string().as_bytes()),
                    ];
                    match store.kv_batch(solution.id, &ops, QUOTA) {
                        Ok(()) => raised += 1,
                        Err(StoreError::ExpectationFailed { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        // The wallet's own writes are not starved.
        scope.spawn(|| {
            start.wait();
            (0..20).for_each(|n| store.put_meta("n", &serde_json::json!(n)).expect("stored"));
        });
    });
    let fixture = fixture.reopen();
    let all: BTreeMap<_, _> =
        fixture.kv_list(solution.id, "").expect("read").into_iter().map(|entry| (entry.key, entry.value)).collect();
    assert_eq!(all.len(), WRITERS * WRITES + 1);
    assert_eq!(all["counter"], (2 * WRITES).to_string().into_bytes(), "no increment is lost or counted twice");
    let bytes: usize = all.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert_eq!(fixture.kv_used(solution.id).expect("read"), bytes as u64, "the quota's count is right");
    assert_eq!(fixture.meta("n").expect("read"), Some(serde_json::json!(19)));
}

#[test]
fn a_read_does_not_wait_for_a_write() {
    let (fixture, solution) = Fixture::with_solution();
    fixture.kv_put(solution.id, "key", b"before", QUOTA).expect("stored");
    // A transaction in the middle of its work, on the connection that writes.
    let mut connection = fixture.store.connection();
    let tx = begin(&mut connection).expect("begun");
    kv::batch(&tx, solution.id, &[put("key", b"after")], QUOTA).expect("written, not committed");
    let read = std::thread::scope(|scope| scope.spawn(|| fixture.store.kv_get(solution.id, "key")).join());
    assert_eq!(read.expect("no panic").expect("read"), Some(b"before".to_vec()), "what is committed");
}
