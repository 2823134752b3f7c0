//! Changes of the keystore file: another passphrase, one more key, and what a crash leaves.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use entresol_durable::KILL_AT;

use super::*;

const OTHER: &str = "another battery";

/// Environment variable with the keystore that a child process is to change before it is killed.
const VICTIM: &str = "ENTRESOL_TEST_VAULT";

const KILLED: i32 = 9;

fn other() -> SecretString {
    SecretString::from(OTHER)
}

fn key() -> SecretString {
    SecretString::from("11".repeat(32))
}

/// Text of one part of the file.
fn part(path: &Path, name: &str) -> serde_json::Value {
    let content: serde_json::Value = serde_json::from_slice(&std::fs::read(path).expect("there")).expect("JSON");
    content[name].clone()
}

#[test]
fn a_new_passphrase_seals_only_the_master_key_anew() {
    let home = Home::new();
    home.create(Some(JUNK)).expect("created");
    let (vault, database) = Vault::open(&home.keystore(), &passphrase()).expect("open");
    let clone = vault.clone();
    let imported = vault.import_key(&key(), &passphrase()).expect("imported");
    let parts = ["seed", "database_key", "extension"];
    let before: Vec<_> = parts.iter().map(|name| part(&home.keystore(), name)).collect();
    let (kdf, master) = (part(&home.keystore(), "kdf"), part(&home.keystore(), "master"));

    let cost = KdfCost { memory_kib: 16, passes: 2, lanes: 1 };
    vault.change_passphrase(&passphrase(), &other(), cost).expect("changed");
    for (name, before) in parts.iter().zip(before) {
        assert_eq!(part(&home.keystore(), name), before, "{name}");
        assert_ne!(before, serde_json::Value::Null);
    }
    assert_ne!(part(&home.keystore(), "master"), master);
    assert_ne!(part(&home.keystore(), "kdf")["salt"], kdf["salt"]);
    assert_eq!(part(&home.keystore(), "kdf")["memory_kib"], 16);
    let mode = std::fs::metadata(home.keystore()).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // The new one is right everywhere at once, the old one nowhere.
    for vault in [&vault, &clone] {
        assert!(!vault.is_locked(), "who was unlocked stays so");
        assert!(matches!(vault.verify_passphrase(&passphrase()), Err(VaultError::WrongPassphrase)));
        vault.verify_passphrase(&other()).expect("right");
        vault.lock();
        assert!(matches!(vault.unlock(&passphrase()), Err(VaultError::WrongPassphrase)));
        vault.unlock(&other()).expect("unlocked");
        assert!(matches!(vault.export_owner_key(0, &passphrase()), Err(VaultError::WrongPassphrase)));
    }
    assert!(matches!(Vault::open(&home.keystore(), &passphrase()), Err(VaultError::WrongPassphrase)));
    let (reopened, same) = Vault::open(&home.keystore(), &other()).expect("open");
    assert_eq!(same.expose(), database.expose());
    assert_eq!(reopened.imported(), [imported]);
    // And again, from the locked wallet.
    reopened.lock();
    reopened.change_passphrase(&other(), &passphrase(), CHEAP).expect("changed");
    assert!(reopened.is_locked());
    home.open();
}

#[test]
fn a_refused_change_changes_nothing() {
    let home = Home::new();
    home.create(Some(JUNK)).expect("created");
    let (vault, before) = (home.open(), std::fs::read(home.keystore()).expect("there"));
    let wrong = vault.change_passphrase(&other(), &other(), CHEAP);
    assert!(matches!(wrong, Err(VaultError::WrongPassphrase)));
    let empty = vault.change_passphrase(&passphrase(), &SecretString::from(""), CHEAP);
    assert!(matches!(empty, Err(VaultError::EmptyPassphrase)));
    let cost = vault.change_passphrase(&passphrase(), &other(), KdfCost { memory_kib: 8, passes: 0, lanes: 1 });
    assert!(matches!(cost, Err(VaultError::Cost { .. })));
    assert_eq!(std::fs::read(home.keystore()).expect("there"), before);
    vault.verify_passphrase(&passphrase()).expect("still right");
}

#[test]
fn a_file_that_cannot_be_written_leaves_the_old_one_in_force() {
    let home = Home::new();
    home.create(Some(JUNK)).expect("created");
    let (vault, before) = (home.open(), std::fs::read(home.keystore()).expect("there"));
    // A directory where the temporary file should be: root is refused as well.
    let temporary = home.keystore().with_file_name(format!("keystore.json.{}.new", std::process::id()));
    std::fs::create_dir(&temporary).expect("a directory");
    let change = vault.change_passphrase(&passphrase(), &other(), CHEAP);
    assert!(matches!(change, Err(VaultError::File { .. })), "{change:?}");
    assert!(matches!(vault.import_key(&key(), &passphrase()), Err(VaultError::File { .. })));
    assert_eq!(std::fs::read(home.keystore()).expect("there"), before);
    vault.verify_passphrase(&passphrase()).expect("still right");
    assert!(vault.imported().is_empty());
    assert!(matches!(vault.owner(Vault::IMPORTED), Err(VaultError::NotImported { .. })));

    std::fs::remove_dir(&temporary).expect("removed");
    vault.change_passphrase(&passphrase(), &other(), CHEAP).expect("changed");
}

#[test]
fn a_change_by_another_program_is_not_undone() {
    let home = Home::new();
    home.create(Some(JUNK)).expect("created");
    let (one, two) = (home.open(), home.open());
    two.change_passphrase(&passphrase(), &other(), CHEAP).expect("changed");
    let late = one.change_passphrase(&passphrase(), &SecretString::from("a third"), CHEAP);
    assert!(matches!(late, Err(VaultError::Changed { .. })), "{late:?}");
    assert!(matches!(one.import_key(&key(), &passphrase()), Err(VaultError::Changed { .. })));
    Vault::open(&home.keystore(), &other()).expect("open");
    std::fs::remove_file(home.keystore()).expect("removed");
    assert!(matches!(two.import_key(&key(), &other()), Err(VaultError::Missing { .. })));
    assert!(!home.keystore().exists(), "nothing is made where a file was taken away");
}

/// Starts this test again as another process, which dies at the write point.
fn killed(test: &str, path: &Path, moment: &str) {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", &format!("tests::passphrase::{test}"), "--nocapture"])
        .env(VICTIM, path)
        .env(KILL_AT, format!("vault.keystore.replace:{moment}"))
        .output()
        .expect("a child process");
    assert_eq!(output.status.signal(), Some(KILLED), "{moment} was not reached: {output:?}");
}

#[test]
fn a_kill_leaves_the_old_or_the_new_passphrase() {
    if let Some(path) = std::env::var_os(VICTIM) {
        let (vault, _) = Vault::open(Path::new(&path), &passphrase()).expect("open");
        vault.change_passphrase(&passphrase(), &other(), CHEAP).expect("changed");
        return;
    }
    for (moment, right, wrong) in [("before", passphrase(), other()), ("after", other(), passphrase())] {
        let home = Home::new();
        home.create(Some(JUNK)).expect("created");
        let (_, database) = Vault::open(&home.keystore(), &passphrase()).expect("open");
        killed("a_kill_leaves_the_old_or_the_new_passphrase", &home.keystore(), moment);
        assert!(matches!(Vault::open(&home.keystore(), &wrong), Err(VaultError::WrongPassphrase)), "{moment}");
        let (vault, same) = Vault::open(&home.keystore(), &right).expect("open");
        assert_eq!(same.expose(), database.expose());
        assert_eq!(vault.owner(0).expect("derived").address, address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"));
        let directory = home.keystore().parent().expect("a directory").to_owned();
        assert_eq!(std::fs::read_dir(directory).expect("readable").count(), 1, "{moment}: nothing is left behind");
        // It goes on from there.
        vault.change_passphrase(&right, &other(), CHEAP).expect("changed");
    }
}

#[test]
fn a_kill_leaves_all_of_an_import_or_nothing_of_it() {
    if let Some(path) = std::env::var_os(VICTIM) {
        let (vault, _) = Vault::open(Path::new(&path), &passphrase()).expect("open");
        vault.import_key(&key(), &passphrase()).expect("imported");
        return;
    }
    for (moment, count) in [("before", 0), ("after", 1)] {
        let home = Home::new();
        home.create(Some(JUNK)).expect("created");
        killed("a_kill_leaves_all_of_an_import_or_nothing_of_it", &home.keystore(), moment);
        let vault = home.open();
        assert_eq!(vault.imported().len(), count, "{moment}");
        // Done again: once in the end.
        match vault.import_key(&key(), &passphrase()) {
            Ok(account) => assert_eq!((account.index, count), (Vault::IMPORTED, 0)),
            Err(VaultError::Duplicate { .. }) => assert_eq!(count, 1),
            Err(error) => panic!("{error}"),
        }
        assert_eq!(home.open().imported().len(), 1);
    }
}
