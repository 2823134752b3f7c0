#![allow(clippy::disallowed_methods, reason = "the test damages files on purpose")]

use super::*;

fn engine() -> wasmtime::Engine {
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true);
    wasmtime::Engine::new(&config).expect("a plain engine")
}

#[test]
fn the_compiled_engine_is_kept_and_anything_else_is_recompiled() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let dir = dir.path().join("cache");
    let engine = engine();
    let path = dir.join(FILE);
    load_or_compile(&engine, ENGINE, Some(&dir)).expect("compiled");
    let good = std::fs::read(&path).expect("written");
    assert_eq!(std::fs::metadata(&dir).expect("there").permissions().mode() & 0o777, 0o700);
    assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    load(&engine, &path, &key(&engine)).expect("what was written is taken");

    // One bit of the code, the digest, the key; a torn file; a file of another build.
    for at in [good.len() - 1, good.len() / 2, DIGEST, 0] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&path, &bad).expect("written");
        load(&engine, &path, &key(&engine)).expect_err("refused");
    }
    for length in [0, 10, DIGEST + 3, good.len() - 1] {
        std::fs::write(&path, &good[..length]).expect("written");
        load(&engine, &path, &key(&engine)).expect_err("refused");
    }
    load_or_compile(&engine, ENGINE, Some(&dir)).expect("recompiled");
    assert_eq!(std::fs::read(&path).expect("written again").len(), good.len());
    load(&engine, &path, &key(&engine)).expect("good again");
}

#[test]
fn a_directory_that_others_may_use_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let open = dir.path().join("open");
    std::fs::create_dir(&open).expect("created");
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).expect("changed");
    assert!(matches!(check_directory(&open), Err(HostFault::Cache { .. })));
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o700)).expect("changed");
    check_directory(&open).expect("private now");
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&open, &link).expect("linked");
    assert!(matches!(check_directory(&link), Err(HostFault::Cache { .. })));
}

#[test]
fn the_committed_engine_is_the_one_whose_digest_is_committed() {
    let committed = include_str!("../../engine/engine.sha256");
    assert_eq!(committed.split_whitespace().next(), Some(hex(&Sha256::digest(ENGINE)).as_str()));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
