use super::*;
use crate::tests::Fixture;

#[test]
fn a_newer_database_is_refused_and_kept() {
    let fixture = Fixture::with_network();
    fixture.connection().pragma_update(None, "user_version", 99).expect("changed");
    let path = fixture.path();
    let Fixture { store, .. } = &fixture;
    assert!(matches!(
        migrate(&mut store.connection()),
        Err(StoreError::NewerSchema { found: 99, known }) if known as usize == MIGRATIONS.len()
    ));
    assert!(path.exists());
}

#[test]
fn opening_again_migrates_nothing() {
    let fixture = Fixture::with_network().reopen();
    let version: usize =
        fixture.connection().query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a version");
    assert_eq!(version, MIGRATIONS.len());
    assert_eq!(fixture.networks().expect("read").len(), 1);
}

#[test]
fn later_migrations_run_once_in_order_and_keep_the_data() {
    let fixture = Fixture::with_network();
    let mut connection = fixture.connection();
    let mut longer = MIGRATIONS.to_vec();
    longer.push("CREATE TABLE added (n INTEGER) STRICT; INSERT INTO added SELECT chain_id FROM networks;");
    longer.push("UPDATE added SET n = n + 1;");
    run(&mut connection, &longer).expect("migrated");
    run(&mut connection, &longer).expect("nothing to do");
    let n: u64 = connection.query_row("SELECT n FROM added", [], |row| row.get(0)).expect("a row");
    assert_eq!(n, 31338);
}

#[test]
fn a_migration_that_fails_changes_nothing() {
    let fixture = Fixture::with_network();
    let mut longer = MIGRATIONS.to_vec();
    longer.push("CREATE TABLE added (n INTEGER) STRICT; DROP TABLE networks_that_are_not_there;");
    assert!(run(&mut fixture.connection(), &longer).is_err());
    let fixture = fixture.reopen();
    let version: usize =
        fixture.connection().query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a version");
    assert_eq!(version, MIGRATIONS.len());
    assert!(!fixture.connection().table_exists(None, "added").expect("read"));
}

#[test]
fn every_connection_is_set_to_durable_and_checked() {
    let fixture = Fixture::new();
    for connection in [fixture.store.connection(), fixture.store.reader()] {
        check_settings(&connection);
    }
}

fn check_settings(connection: &Connection) {
    let text = |pragma: &str| -> String {
        connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0)).expect("a setting")
    };
    let number = |pragma: &str| -> i64 {
        connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0)).expect("a setting")
    };
    assert_eq!(text("journal_mode"), "wal");
    assert_eq!(number("synchronous"), 2, "FULL");
    assert_eq!(number("foreign_keys"), 1);
    assert_eq!(number("temp_store"), 2, "memory");
    assert!(!text("cipher_version").is_empty());
}

/// A database of version 1 as that version of the program left it.
#[allow(clippy::disallowed_methods, reason = "a test's own database")]
fn version_1(path: &std::path::Path) {
    let connection = Connection::open(path).expect("created");
    let key = hex::encode(crate::tests::KEY);
    connection.execute_batch(&format!("PRAGMA key = \"x'{key}'\"")).expect("keyed");
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).expect("set");
    connection.execute_batch(include_str!("v1.sql")).expect("tables");
    connection.execute_batch(include_str!("tests/v1-rows.sql")).expect("rows");
    connection.pragma_update(None, "user_version", 1).expect("set");
}

#[test]
fn a_database_of_version_1_is_migrated_with_nothing_lost() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("wallet.db");
    version_1(&path);
    let store = crate::Store::open(&path, &crate::tests::KEY).expect("migrated");
    let version: usize = store.connection().query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a version");
    assert_eq!(version, MIGRATIONS.len());
    store.integrity_check().expect("sound");

    let solution = store.solution(3).expect("read").expect("there");
    assert_eq!((solution.name.as_str(), solution.manifest["apiVersion"].as_u64()), ("payments", Some(1)));
    assert_eq!(store.networks().expect("read")[0].rpc_urls, ["http://127.0.0.1:8545"]);
    assert_eq!(store.meta("owners").expect("read"), Some(serde_json::json!([0, 1])));
    assert_eq!(store.active_grants(3).expect("read"), ["\"keys\""]);
    assert_eq!(store.account_indices(3).expect("read"), [0, 4]);
    let approval = store.approval(5).expect("read");
    assert_eq!((approval.state, &approval.choice), (crate::ApprovalState::Done, &serde_json::Value::Null));
    assert_eq!(approval.intent["value"], "0x1");
    let transaction = store.transaction_by_approval(5).expect("read").expect("there");
    assert_eq!((transaction.hash.as_str(), transaction.block_number), ("0xaa", Some(12)));
    let transfer = store.transfer_by_approval(5).expect("read").expect("there");
    assert_eq!((transfer.stage.as_str(), transfer.plugin), ("confirmed", false));
    assert_eq!(store.kv_get(3, "key").expect("read"), Some(b"value".to_vec()));
    assert_eq!(store.kv_used(3).expect("read"), 8);
    assert_eq!(store.layer2_state(3).expect("read"), Some(serde_json::json!({ "balance": "1" })));
    assert_eq!(store.cursor(3).expect("read"), Some(serde_json::json!({ "number": 12 })));
    assert_eq!(store.journal(&crate::JournalFilter::default()).expect("read").len(), 1);
    assert_eq!(store.counters(3).expect("read")[0].count, 9);
    // A call that was made before is known, so it is not made again.
    let call = crate::NewCall {
        caller: "app".to_owned(),
        call_id: "1".to_owned(),
        solution: 3,
        action: "pay".to_owned(),
        digest: "0x".to_owned(),
    };
    assert!(matches!(store.begin_call(&call, 20), Ok(crate::CallState::Finished { .. })));

    // The old rules hold on the old rows, and ids go on from where they were.
    let again = crate::Transaction { hash: "0xbb".to_owned(), ..transaction.clone() };
    assert!(matches!(store.insert_transaction(&again), Err(StoreError::ApprovalUsed { .. })));
    let open = crate::Transaction { hash: "0xcc".to_owned(), approval_id: None, nonce: 8, ..transaction };
    let taken = crate::Transaction { state: crate::TransactionState::Stored, ..open };
    assert!(matches!(store.insert_transaction(&taken), Err(StoreError::NonceTaken { .. })));
    assert_eq!(store.create_approval(&crate::tests::request(None)).expect("stored").id, 6);
    store.put_policy("app:a", 3, &serde_json::json!({}), None, 1).expect("the new tables are there");
}
