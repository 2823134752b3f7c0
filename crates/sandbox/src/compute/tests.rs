//! A real asset (`assets/work.c`) in real instances: what honest ones do, and how each limit ends a hostile one.

use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Asset, ComputeError, ComputeLimits, Progress};
use crate::{Engine, HostCalls, Instance, Limits, ModuleKind, Outgoing, Script};

const WORK: &[u8] = include_bytes!("../../assets/work.wasm");

/// Generous: tests share the machine.
const DEADLINE: Duration = Duration::from_secs(60);

fn engine() -> Engine {
    Engine::new(None).expect("the engine fits this build")
}

fn run(engine: &Engine, asset: &Asset, export: &str, input: &[u8], limits: &ComputeLimits) -> Result<Vec<u8>, String> {
    let computation = engine.compute(asset, export, input.to_vec(), limits).map_err(|error| error.to_string())?;
    computation.wait().map_err(|error| error.to_string())
}

/// Runs `export` and compares the text of its error.
#[track_caller]
fn check(engine: &Engine, asset: &Asset, export: &str, input: &[u8], limits: &ComputeLimits, expected: &str) {
    let error = run(engine, asset, export, input, limits).expect_err(export);
    assert!(error.contains(expected), "{export}: {error:?} should say {expected:?}");
}

fn chained(rounds: u32) -> Vec<u8> {
    (0..rounds).fold(vec![0; 32], |digest, _| Sha256::digest(digest).to_vec())
}

#[test]
fn an_asset_computes_what_native_code_computes() {
    let engine = engine();
    let asset = engine.asset(WORK).expect("compiles");
    let limits = ComputeLimits::default();
    for length in [0, 1, 55, 56, 64, 65, 1_000_000] {
        let input: Vec<u8> = (0..length).map(|i: u32| (i * 7) as u8).collect();
        assert_eq!(run(&engine, &asset, "sha256", &input, &limits), Ok(Sha256::digest(&input).to_vec()), "{length}");
        assert_eq!(run(&engine, &asset, "echo", &input, &limits), Ok(input));
    }
    assert_eq!(run(&engine, &asset, "chain", &10_000_u32.to_le_bytes(), &limits), Ok(chained(10_000)));
}

#[test]
fn every_limit_ends_the_run_with_its_own_words_and_the_asset_runs_again() {
    let engine = engine();
    let asset = engine.asset(WORK).expect("compiles");
    let limits = ComputeLimits { cpu: Duration::from_millis(100), ..ComputeLimits::default() };
    check(&engine, &asset, "spin", b"", &limits, "more processor time than it was given");
    check(&engine, &asset, "hoard", b"", &ComputeLimits::default(), "more memory than it was given");
    check(&engine, &asset, "recurse", b"", &ComputeLimits::default(), "the computation stopped");
    check(&engine, &asset, "crash", b"", &limits, "the computation stopped: wasm trap");
    check(&engine, &asset, "refuse", b"no such leaf", &limits, "the computation failed: no such leaf");
    check(&engine, &asset, "refuse_outside", b"", &limits, "it gave a reason outside of its memory");
    check(&engine, &asset, "outside", b"", &limits, "its output lies outside of its memory");
    check(&engine, &asset, "huge", b"", &limits, "the output of 2147483647 bytes is larger than the 16777216");
    let few = ComputeLimits { input_bytes: 3, ..limits.clone() };
    check(&engine, &asset, "echo", b"four", &few, "the input of 4 bytes is larger than the 3");
    let few = ComputeLimits { output_bytes: 31, ..limits.clone() };
    check(&engine, &asset, "sha256", b"", &few, "the output of 32 bytes is larger than the 31");
    let small = ComputeLimits { memory_bytes: 64 << 10, ..limits.clone() };
    check(&engine, &asset, "echo", b"", &small, "more memory than it was given");
    assert_eq!(run(&engine, &asset, "echo", b"still here", &limits), Ok(b"still here".to_vec()));
}

#[test]
fn the_memory_cap_is_exact() {
    let engine = engine();
    let asset = engine.asset(WORK).expect("compiles");
    // Two pages at first (stack and data); an input of this size needs exactly this many more.
    let input = vec![1; 10 * 65536];
    let least = (1..=20)
        .find(|pages| {
            let limits = ComputeLimits { memory_bytes: pages << 16, ..ComputeLimits::default() };
            run(&engine, &asset, "echo", &input, &limits).is_ok()
        })
        .expect("fits into 20 pages");
    assert_eq!(least, 12);
}

#[test]
fn an_export_that_is_not_there_is_named_with_those_that_are() {
    let engine = engine();
    let asset = engine.asset(WORK).expect("compiles");
    let limits = ComputeLimits::default();
    check(&engine, &asset, "prove", b"", &limits, "it has no export \"prove\"; it has: ");
    check(&engine, &asset, "wrong_type", b"", &limits, "\"wrong_type\" is no function (i32, i32) -> i64");
    check(&engine, &asset, "memory", b"", &limits, "\"memory\" is no function");
}

#[test]
fn what_is_no_asset_is_refused_before_it_is_compiled() {
    let engine = engine();
    let refused = |wasm: &[u8], expected: &str| {
        let error = engine.asset(wasm).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error:?} should say {expected:?}");
    };
    refused(b"", "no WebAssembly");
    refused(b"#!/bin/sh", "no WebAssembly");
    refused(&WORK[..WORK.len() / 2], "cannot be used");
    refused(&vec![0; super::MOST_ASSET_BYTES + 1], "at most 16777216");
    // (import "wasi_snapshot_preview1" "fd_write" (func))
    let mut wasi = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x23\x01\x16".to_vec();
    wasi.extend_from_slice(b"wasi_snapshot_preview1\x08fd_write\0\0");
    refused(&wasi, "it imports \"fd_write\" from \"wasi_snapshot_preview1\"; there is only \"progress\" and \"fail\"");
    // One function of a megabyte of `nop`.
    let body = [vec![0; 1], vec![1; 1 << 20], vec![0x0b]].concat();
    let mut section = vec![1];
    leb(&mut section, body.len());
    section.extend_from_slice(&body);
    let mut large = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a".to_vec();
    leb(&mut large, section.len());
    large.extend_from_slice(&section);
    refused(&large, "one function has");
}

fn leb(into: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        into.push(if number == 0 { low } else { low | 0x80 });
        if number == 0 {
            return;
        }
    }
}

#[tokio::test]
async fn progress_is_told_and_its_numbers_are_sane() {
    let engine = engine();
    let asset = engine.asset(WORK).expect("compiles");
    let mut running = engine.compute(&asset, "spin", Vec::new(), &ComputeLimits::default()).expect("starts");
    let mut progress = running.progress();
    let told = tokio::time::timeout(DEADLINE, progress.wait_for(|progress| progress.total > 0.0));
    assert_eq!(*told.await.expect("in time").expect("runs"), Progress { done: 1.0, total: 2.0 });
    // A run that nobody waits for any more ends; the sender of its progress goes with it.
    drop(running);
    tokio::time::timeout(DEADLINE, async { while progress.changed().await.is_ok() {} }).await.expect("it has ended");
    running = engine.compute(&asset, "odd_progress", Vec::new(), &ComputeLimits::default()).expect("starts");
    let progress = running.progress();
    running.outcome().await.expect("ends");
    assert_eq!(*progress.borrow(), Progress { done: 0.0, total: 0.0 });
    assert!(matches!(running.outcome().await, Err(ComputeError::Cancelled)), "its outcome was taken");
}

struct Nothing;

impl HostCalls for Nothing {
    fn call(&mut self, _: &str, _: &[u8]) -> Result<Vec<u8>, String> {
        Err("there is nothing".to_owned())
    }
}

/// More computations than there are cores, none of which ever ends by itself.
#[test]
fn scripts_run_while_every_core_is_asked_for_by_computations_and_none_starves() {
    let engine = engine();
    let asset = engine.asset(WORK).expect("compiles");
    let forever = ComputeLimits { cpu: Duration::from_secs(3600), ..ComputeLimits::default() };
    let spinning: Vec<_> =
        (0..8).map(|_| engine.compute(&asset, "spin", Vec::new(), &forever).expect("starts")).collect();
    let prelude = [Script {
        name: "glue",
        source: "boundary.onMessage = (text) => boundary.post(text);",
        kind: ModuleKind::CommonJs,
    }];
    let (mut instance, _) =
        Instance::start(&engine, &Limits::default(), &prelude, None, Box::new(Nothing)).expect("starts");
    for turn in 0..200_u32 {
        let message = turn.to_string().into_bytes();
        assert_eq!(instance.turn(&message).expect("answers"), [Outgoing::Message(message.clone())]);
    }
    // Each of the others gets its slices as well.
    for computation in &spinning {
        let until = std::time::Instant::now() + DEADLINE;
        while computation.progress().borrow().done == 0.0 {
            assert!(std::time::Instant::now() < until, "a computation never began");
            std::thread::yield_now();
        }
    }
}

#[test]
fn compiled_assets_are_shared_and_kept() {
    let held = engine();
    let first = held.asset(WORK).expect("compiles");
    let second = held.asset(WORK).expect("is there");
    assert!(std::sync::Arc::ptr_eq(&first.linked, &second.linked), "two holders share one");

    let folder = tempfile::tempdir().expect("a directory");
    let images = |folder: &Path| -> Vec<_> {
        let entries = std::fs::read_dir(folder).expect("readable").flatten();
        entries.map(|entry| entry.path()).filter(|path| path.to_string_lossy().contains("/asset-")).collect()
    };
    let cache = folder.path().join("cache");
    Engine::new(Some(&cache)).expect("starts").asset(WORK).expect("compiles");
    let files = images(&cache);
    assert_eq!(files.len(), 1);
    let bytes = std::fs::read(&files[0]).expect("readable");
    // A byte of the machine code is not what was compiled: it is compiled again.
    let mut damaged = bytes.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    #[allow(clippy::disallowed_methods, reason = "the test damages the cache")]
    std::fs::write(&files[0], &damaged).expect("writable");
    let again = Engine::new(Some(&cache)).expect("starts");
    let asset = again.asset(WORK).expect("compiles again");
    assert_eq!(run(&again, &asset, "echo", b"x", &ComputeLimits::default()), Ok(b"x".to_vec()));
    assert_eq!(std::fs::read(&files[0]).expect("readable").len(), bytes.len());
    assert_ne!(std::fs::read(&files[0]).expect("readable"), damaged);
}
