use std::os::unix::fs::PermissionsExt;

use super::*;

/// The first of the well-known development accounts.
const DEVELOPMENT: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

fn file(text: &str, mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("key");
    entresol_durable::write_file_atomically(&path, text.as_bytes(), false).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
    (dir, path)
}

#[test]
fn a_key_file_gives_the_address_of_its_key() {
    let (_dir, path) = file(&format!("{DEVELOPMENT}\n"), 0o600);
    let key = NodeKey::read(&path).expect("a good file");
    assert_eq!(key.address().to_string(), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
    assert!(!format!("{key:?}").contains("ac0974"), "Debug must not show the key");
}

#[test]
fn a_key_file_others_may_read_is_refused_and_the_error_says_what_to_do() {
    let (_dir, path) = file(DEVELOPMENT, 0o640);
    let error = NodeKey::read(&path).expect_err("too open").to_string();
    assert!(error.contains("chmod 600"), "{error}");
}

#[test]
fn a_malformed_key_is_refused_without_being_shown() {
    let malformed = &DEVELOPMENT[..40];
    let (_dir, path) = file(malformed, 0o600);
    let error = NodeKey::read(&path).expect_err("too short").to_string();
    assert!(error.contains("64 hex digits") && !error.contains("ac0974"), "{error}");
}
