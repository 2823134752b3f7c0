//! Grants, approvals, policies with their reservations, and transfers against a model in memory, with crashes: each
//! operation gives the same result in both, and after every crash the database holds what the model holds.
//!
//! `PROPTEST_CASES` sets the number of cases, `ENTRESOL_SEED` a seed in place of the fixed ones.

mod operations;
mod state;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use entresol_durable::{KILL_AT, REGISTRY};
use entresol_store::{Network, NewSolution, Store};
use operations::{Operation, operations};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use state::{Model, carry_out, holds};
use tempfile::TempDir;

const KEY: [u8; 32] = [5; 32];
/// Set in a process that is to be killed: the directory of its database.
const VICTIM: &str = "ENTRESOL_STORE_MODEL_TEST";
const SEEDS: [u64; 3] = [1, 1775, 20_260_101];

fn seeds() -> Vec<u64> {
    match std::env::var("ENTRESOL_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => SEEDS.to_vec(),
    }
}

fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}

fn runner(seed: u64, case: u64, cases: u32) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&case.to_le_bytes());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// A database with two solutions, 1 and 2.
fn create(directory: &Path) -> Store {
    let store = open(directory);
    let network = Network { name: "devnet".to_owned(), chain_id: 1, rpc_urls: vec![], confirmations: 1 };
    store.put_network(&network).expect("stored");
    for name in ["one", "two"] {
        let new = NewSolution {
            name: name.to_owned(),
            title: name.to_owned(),
            network: "devnet".to_owned(),
            owner_index: 0,
            gateway: None,
            network_urls: vec![],
            key_path: format!("m/43'/60'/1775'/{name}"),
            package_name: name.to_owned(),
            package_version: "1.0.0".to_owned(),
            package_sha512: "00".to_owned(),
            package_dir: name.to_owned(),
            from_block: 0,
            interface_digest: "0x00".to_owned(),
            interface: serde_json::json!({}),
            manifest: serde_json::json!({}),
        };
        store.install(&new, &[], None, 0).expect("installed");
    }
    store
}

fn open(directory: &Path) -> Store {
    Store::open(&directory.join("wallet.db"), &KEY).expect("the database opens")
}

/// What a killed process leaves behind: its files as they are now, without the goodbye of a database that is closed.
#[allow(clippy::disallowed_methods, reason = "a test's own files")]
fn crash(store: Store, directory: TempDir) -> (Store, TempDir) {
    let after = tempfile::tempdir().expect("a directory");
    for name in ["wallet.db", "wallet.db-wal"] {
        std::fs::copy(directory.path().join(name), after.path().join(name)).expect("copied");
    }
    drop(store);
    (open(after.path()), after)
}

/// Time of an operation, unix milliseconds.
fn time(index: usize) -> u64 {
    1_000 + 10 * index as u64
}

fn compare(operations: &[Operation]) -> Result<(), TestCaseError> {
    let mut directory = tempfile::tempdir().expect("a directory");
    let (mut store, mut model) = (create(directory.path()), Model::default());
    for (index, operation) in operations.iter().enumerate() {
        match operation {
            Operation::Crash => {
                (store, directory) = crash(store, directory);
                holds(&store, &model)?;
            }
            Operation::Reopen => {
                drop(store);
                store = open(directory.path());
                holds(&store, &model)?;
            }
            operation => {
                let (real, expected) =
                    (carry_out(&store, operation, time(index)), model.carry_out(operation, time(index)));
                proptest::prop_assert_eq!(real, expected, "operation {}: {:?}", index, operation);
            }
        }
    }
    (store, directory) = crash(store, directory);
    holds(&store, &model)?;
    drop((store, directory));
    Ok(())
}

#[test]
fn the_store_is_its_model_also_across_crashes() {
    let (cases, seeds) = (cases(128), seeds());
    for seed in &seeds {
        let outcome = runner(*seed, 0, cases).run(&operations(1..=60), |list| compare(&list));
        assert!(outcome.is_ok(), "seed {seed}: {}", outcome.expect_err("failed"));
    }
    println!("store model: {cases} cases of up to 60 operations for each of the seeds {seeds:?}");
}

/// The operations of a case that is killed: without those that are several writes, or no write at all.
fn killed_operations(seed: u64, case: u64) -> Vec<Operation> {
    let mut list = operations(120..=120).new_tree(&mut runner(seed, case, 1)).expect("generated").current();
    list.retain(|one| !matches!(one, Operation::Crash | Operation::Reopen | Operation::Expire));
    list
}

/// Kills a process at its nth time at a write point; true when it was killed before it came to its end.
fn kill_and_compare(seed: u64, case: u64, points: &[&str]) -> Result<bool, TestCaseError> {
    let list = killed_operations(seed, case);
    let directory = tempfile::tempdir().expect("a directory");
    drop(create(directory.path()));
    let moment = if case.is_multiple_of(2) { "before" } else { "after" };
    let at = format!("{}:{moment}:{}", points[case as usize % points.len()], 1 + case / points.len() as u64 % 3);
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "a_killed_process_leaves_what_it_acknowledged", "--nocapture"])
        .env(VICTIM, directory.path())
        .env("ENTRESOL_SEED", format!("{seed}"))
        .env("PROPTEST_CASES", format!("{case}"))
        .env(KILL_AT, &at)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child process");
    let said = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
    let acknowledged = said.filter(|line| line.starts_with("done ")).count();
    let status = child.wait().expect("it ended");
    let killed = status.signal() == Some(9);
    proptest::prop_assert!(killed || status.success(), "{}: {}", at, status);

    let mut model = Model::default();
    for (index, operation) in list.iter().enumerate().take(acknowledged) {
        let _ = model.carry_out(operation, time(index));
    }
    let store = open(directory.path());
    let mut next = acknowledged;
    if let Err(without) = holds(&store, &model) {
        // The operation that was not acknowledged is there as a whole or not at all.
        proptest::prop_assert!(next < list.len(), "{}: {}", at, without);
        let _ = model.carry_out(&list[next], time(next));
        next += 1;
        holds(&store, &model)?;
    }
    for (index, operation) in list.iter().enumerate().skip(next) {
        let (real, expected) = (carry_out(&store, operation, time(index)), model.carry_out(operation, time(index)));
        proptest::prop_assert_eq!(real, expected, "after {}: operation {}: {:?}", at, index, operation);
    }
    holds(&store, &model)?;
    Ok(killed)
}

#[test]
fn a_killed_process_leaves_what_it_acknowledged() {
    if let Some(directory) = std::env::var_os(VICTIM) {
        let store = open(Path::new(&directory));
        for (index, operation) in killed_operations(seeds()[0], u64::from(cases(0))).iter().enumerate() {
            let _ = carry_out(&store, operation, time(index));
            let mut out = std::io::stdout().lock();
            writeln!(out, "done {index}").and_then(|()| out.flush()).expect("told");
        }
        return;
    }
    let reached = ["approval", "caller_grant", "policy", "reservation", "transfer"];
    let points: Vec<_> = REGISTRY
        .iter()
        .map(|point| point.name)
        .filter(|name| name.strip_prefix("store.").is_some_and(|rest| reached.iter().any(|one| rest.starts_with(one))))
        .collect();
    let (cases, seeds) = (u64::from(cases(26)), seeds());
    let mut kills = 0;
    for seed in &seeds {
        for case in 0..cases {
            match kill_and_compare(*seed, case, &points) {
                Ok(killed) => kills += u64::from(killed),
                Err(error) => panic!("seed {seed}, case {case}: {error}"),
            }
        }
    }
    println!("store model: {kills} kills in {cases} cases for each of the seeds {seeds:?}, at {} points", points.len());
    assert!(kills * 2 > cases * seeds.len() as u64, "most cases come by their write point: {kills}");
}
