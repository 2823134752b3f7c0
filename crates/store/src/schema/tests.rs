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
