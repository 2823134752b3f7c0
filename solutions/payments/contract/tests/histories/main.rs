//! The gateway's compiled code in an EVM of this process, against the Rust protocol, in random histories.
//!
//! A history is some forty steps: deposits, exits, posted withdrawals, honest batches and false ones of every kind, contests with
//! and without reason, forks of layer 1 on which it goes on differently, batches that are tried again, claims, halts. A model of
//! the gateway says of every call what it must come to; after every step the twelve invariants of the protocol are looked at. At
//! its end everyone leaves, and nothing is left.
//!
//! `PAYMENTS_HISTORIES` says how many (300 without), `PAYMENTS_HISTORIES_SEED` from which seed on,
//! `PAYMENTS_HISTORIES_MINUTES` after which time no more of them are begun. A history that fails is made
//! shorter, and is printed with what happened in it. `cargo xtask test --deep histories` runs ten thousand and keeps the evidence.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test crate: what fails here fails the test, and says why"
)]

mod batches;
#[path = "../shared/calls.rs"]
mod calls;
mod chain;
mod chance;
mod follower;
#[path = "../shared/forest.rs"]
mod forest;
mod history;
mod invariants;
mod messages;
mod model;
mod people;
mod runs;
mod trees;
mod world;

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

fn setting(name: &str, without: u64) -> u64 {
    std::env::var(name).ok().map_or(without, |text| text.parse().unwrap())
}

#[test]
fn random_histories() {
    let (first, number) = (setting("PAYMENTS_HISTORIES_SEED", 1), setting("PAYMENTS_HISTORIES", 300));
    let minutes = setting("PAYMENTS_HISTORIES_MINUTES", 24 * 60);
    let report = runs::many(first, number, Duration::from_secs(60 * minutes));
    println!("{report:#}");
    let number = report["histories"].as_u64().unwrap();
    // Histories in which nothing happens prove nothing.
    let many = |what: &str, least: u64| assert!(report[what].as_u64().unwrap() >= least * number, "{what}: {report:#}");
    for (what, least) in [("steps", 20), ("batches", 5), ("effective", 5), ("contests", 1), ("claims", 1)] {
        many(what, least);
    }
    for what in ["rollBacks", "reorganisations", "resubmissions", "refusedContests", "falseBatches"] {
        assert!(report[what].as_u64().unwrap() > number / 2, "{what}: {report:#}");
    }
    if let Ok(path) = std::env::var("PAYMENTS_HISTORIES_REPORT") {
        #[allow(clippy::disallowed_methods, reason = "a file that the caller named, for it alone")]
        std::fs::write(path, report.to_string()).unwrap();
    }
}

/// The evidence of the deep run is of this code: some of its histories, lived through again, come to what was written down.
#[test]
fn recorded_histories_come_to_the_same() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/evidence/payments-histories.json");
    let evidence: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let recorded = evidence["recorded"].as_array().unwrap();
    assert!(recorded.len() >= 3);
    for record in &recorded[..3] {
        let seed = record["seed"].as_u64().unwrap();
        assert_eq!(
            &runs::record(seed),
            record,
            "history {seed} is another than when the evidence was made; run `cargo xtask test --deep histories`"
        );
    }
}
