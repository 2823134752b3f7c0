//! The store from outside: the file, its key, its locks; and what the other tests start from.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Network, NewApproval, NewSolution, Solution, Store, StoreError};

pub(crate) const KEY: [u8; 32] = [0x42; 32];

/// A store in a directory of its own, which lives as long as this.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    directory: TempDir,
}

impl std::ops::Deref for Fixture {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = Store::open(&directory.path().join("wallet.db"), &KEY).expect("a new store");
        Self { store, directory }
    }

    /// With the network `devnet`.
    pub(crate) fn with_network() -> Self {
        let fixture = Self::new();
        fixture.put_network(&network()).expect("stored");
        fixture
    }

    /// With a network and one solution.
    pub(crate) fn with_solution() -> (Self, Solution) {
        let fixture = Self::with_network();
        let solution = fixture.install(&solution("payments", "m/43'/60'/1775'/1'"), &[], None, 1).expect("installed");
        (fixture, solution)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("wallet.db")
    }

    /// Closes the file and opens it again.
    pub(crate) fn reopen(self) -> Self {
        let Self { store, directory } = self;
        drop(store);
        let store = Store::open(&directory.path().join("wallet.db"), &KEY).expect("the same store");
        Self { store, directory }
    }
}

pub(crate) fn network() -> Network {
    Network {
        name: "devnet".to_owned(),
        chain_id: 31337,
        rpc_urls: vec!["http://127.0.0.1:8545".to_owned()],
        confirmations: 2,
    }
}

pub(crate) fn solution(name: &str, key_path: &str) -> NewSolution {
    NewSolution {
        name: name.to_owned(),
        title: "Payments".to_owned(),
        network: "devnet".to_owned(),
        owner_index: 0,
        gateway: Some("0x5fbdb2315678afecb367f032d93f642f64180aa3".to_owned()),
        network_urls: vec!["ws://127.0.0.1:9000".to_owned()],
        key_path: key_path.to_owned(),
        package_name: "payments".to_owned(),
        package_version: "1.0.0".to_owned(),
        package_sha512: "ab".repeat(64),
        package_dir: "packages/payments-1.0.0".to_owned(),
        from_block: 17,
        interface_digest: "0x01".to_owned(),
        interface: json!({ "actions": [{ "name": "makePayment" }], "state": [] }),
        manifest: json!({ "apiVersion": 1 }),
    }
}

pub(crate) fn request(key: Option<&str>) -> NewApproval {
    NewApproval {
        kind: "transaction".to_owned(),
        requester: json!({ "plugin": 1 }),
        request_key: key.map(str::to_owned),
        solution: None,
        cause: json!([]),
        intent: json!({ "kind": "transaction", "chain_id": 31337_u64, "value": "0x1" }),
        digest: "0xabcd".to_owned(),
        shown: json!({ "title": "Deposit 1 ETH" }),
        created_at: 1_000,
        expires_at: 2_000,
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

fn contains(content: &[u8], text: &[u8]) -> bool {
    content.windows(text.len()).any(|window| window == text)
}

#[test]
fn no_file_of_the_database_contains_what_was_stored() {
    const CANARY: &str = "canary-7f3a-do-not-find-me";
    let (fixture, solution) = Fixture::with_solution();
    fixture.put_meta("note", &json!(CANARY)).expect("stored");
    fixture.kv_put(solution.id, CANARY, CANARY.as_bytes(), 1_000_000).expect("stored");
    // Enough to fill several pages and reach the write-ahead log and the main file.
    fixture.kv_put(solution.id, "long", CANARY.repeat(4_000).as_bytes(), 1_000_000).expect("stored");
    let directory = fixture.path().parent().expect("a directory").to_owned();
    let mut bytes = 0;
    for open in [true, false] {
        for path in files(&directory) {
            let content = std::fs::read(&path).expect("readable");
            bytes += content.len();
            assert!(!contains(&content, CANARY.as_bytes()), "{} (store open: {open})", path.display());
            assert!(!content.starts_with(b"SQLite format 3"), "{} is a plain database", path.display());
            assert!(!contains(&content, b"CREATE TABLE"), "{} shows its tables", path.display());
        }
        if open {
            let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
            fixture.store.connection().query_row(checkpoint, [], |_| Ok(())).expect("checkpoint");
        }
    }
    assert!(bytes > CANARY.len() * 4_000, "the content is in the files that were searched");
    let fixture = fixture.reopen();
    assert_eq!(fixture.meta("note").expect("read"), Some(json!(CANARY)));
}

#[test]
fn every_file_is_private() {
    let fixture = Fixture::with_network();
    let all = files(fixture.path().parent().expect("a directory"));
    assert!(all.len() >= 2, "the database and its log: {all:?}");
    for path in all {
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
    }
}

#[test]
fn a_file_that_others_could_read_is_made_private() {
    let fixture = Fixture::new();
    std::fs::set_permissions(fixture.path(), std::fs::Permissions::from_mode(0o644)).expect("changed");
    let fixture = fixture.reopen();
    let mode = std::fs::metadata(fixture.path()).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_wrong_key_is_called_that_and_harms_nothing() {
    let Fixture { store, directory } = Fixture::with_network();
    let path = directory.path().join("wallet.db");
    drop(store);
    let before = std::fs::read(&path).expect("readable");
    let error = Store::open(&path, &[0x43; 32]).expect_err("refused");
    assert!(matches!(error, StoreError::WrongKey { .. }), "{error}");
    assert!(std::fs::read(&path).expect("readable") == before, "the file is as it was");
    let store = Store::open(&path, &KEY).expect("the right key");
    assert_eq!(store.networks().expect("read"), [network()]);
}

#[test]
fn something_else_than_a_database_is_an_error() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("wallet.db");
    #[allow(clippy::disallowed_methods, reason = "a test's own file")]
    std::fs::write(&path, "This is a letter. ".repeat(500)).expect("written");
    assert!(matches!(Store::open(&path, &KEY), Err(StoreError::WrongKey { .. })));
    let missing = directory.path().join("no/such/directory/wallet.db");
    assert!(matches!(Store::open(&missing, &KEY), Err(StoreError::File { .. })));
}

#[test]
fn one_process_at_a_time() {
    // A second connection of this process is locked out like another process: the lock is SQLite's.
    let fixture = Fixture::with_network();
    let error = Store::open(&fixture.path(), &KEY).expect_err("refused");
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    let fixture = fixture.reopen();
    assert_eq!(fixture.networks().expect("read"), [network()]);
}

#[test]
fn what_was_stored_is_there_after_opening_again() {
    let (fixture, solution) = Fixture::with_solution();
    fixture.put_layer2_state(solution.id, &json!({ "balance": "5" }), 2).expect("stored");
    fixture.put_cursor(solution.id, &json!({ "number": 7 })).expect("stored");
    let fixture = fixture.reopen();
    assert_eq!(fixture.networks().expect("read"), [network()]);
    assert_eq!(fixture.solutions().expect("read"), std::slice::from_ref(&solution));
    assert_eq!(fixture.layer2_state(solution.id).expect("read"), Some(json!({ "balance": "5" })));
    assert_eq!(fixture.cursor(solution.id).expect("read"), Some(json!({ "number": 7 })));
}

#[test]
fn settings_networks_state_and_cursor_are_replaced() {
    let (fixture, solution) = Fixture::with_solution();
    assert_eq!(fixture.meta("owners").expect("read"), None);
    fixture.put_meta("owners", &json!(1)).expect("stored");
    fixture.put_meta("owners", &json!([1, { "a": null }])).expect("stored");
    assert_eq!(fixture.meta("owners").expect("read"), Some(json!([1, { "a": null }])));

    assert!(!fixture.put_meta_if("owners", None, &json!(2)).expect("read"), "it is set");
    assert!(fixture.put_meta_if("owners", Some(&json!([1, { "a": null }])), &json!(2)).expect("stored"));
    assert!(fixture.put_meta_if("other", None, &json!(3)).expect("stored"));
    let settings = [fixture.meta("owners").expect("read"), fixture.meta("other").expect("read")];
    assert_eq!(settings, [Some(json!(2)), Some(json!(3))]);

    // Also while a solution refers to it.
    let changed =
        Network { rpc_urls: vec!["http://b".to_owned(), "http://c".to_owned()], confirmations: 9, ..network() };
    fixture.put_network(&changed).expect("stored");
    assert_eq!(fixture.network("devnet").expect("read"), Some(changed));
    assert_eq!(fixture.network("mainnet").expect("read"), None);

    assert_eq!(fixture.layer2_state(solution.id).expect("read"), None);
    assert_eq!(fixture.cursor(solution.id).expect("read"), None);
    for n in [2, 1] {
        fixture.put_layer2_state(solution.id, &json!({ "n": n }), n).expect("stored");
        fixture.put_cursor(solution.id, &json!({ "number": n })).expect("stored");
    }
    assert_eq!(fixture.layer2_state(solution.id).expect("read"), Some(json!({ "n": 1 })));
    assert_eq!(
        fixture.cursor(solution.id).expect("read"),
        Some(json!({ "number": 1 })),
        "a cursor goes back on a reorg"
    );
    assert!(matches!(fixture.put_layer2_state(99, &Value::Null, 1), Err(StoreError::Database(_))), "no such solution");
}

#[test]
fn records_survive_json() {
    let (fixture, solution) = Fixture::with_solution();
    let approval = fixture.create_approval(&request(Some("k"))).expect("stored");
    let text = serde_json::to_string(&approval).expect("JSON");
    assert_eq!(serde_json::from_str::<crate::Approval>(&text).expect("read back"), approval);
    let value = serde_json::to_value(&solution).expect("JSON");
    assert_eq!(value["name"], "payments", "one flat object");
    assert_eq!(serde_json::from_value::<Solution>(value).expect("read back"), solution);
}

#[test]
fn a_store_is_shared_between_threads_and_no_write_is_lost() {
    let (fixture, solution) = Fixture::with_solution();
    let indices: Vec<u32> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let store = fixture.store.clone();
                scope.spawn(move || {
                    (0..8).map(|n| store.next_account_index(solution.id, n).expect("an index")).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    let mut sorted = indices.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..32).collect::<Vec<u32>>(), "no index is handed out twice");
}
