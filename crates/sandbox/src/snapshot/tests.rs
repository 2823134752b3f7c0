//! Files of snapshots: what is taken, what is refused. How instances behave that begin with one is tested beside the
//! other instances (`instance/tests/snapshots.rs`).
#![allow(clippy::disallowed_methods, reason = "the tests damage files on purpose")]

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::time::{Duration, SystemTime};

use super::*;
use crate::LogLevel;

const MOST: usize = 8 * WASM_PAGE;

fn key(byte: u8) -> Key {
    Key([byte; 32])
}

fn memory() -> Vec<u8> {
    let mut memory = vec![0; 2 * WASM_PAGE];
    memory[70_000..70_100].fill(7);
    memory[10] = 1;
    memory
}

fn outgoing() -> Vec<Outgoing> {
    vec![
        Outgoing::Message(vec![0, 1, 255]),
        Outgoing::Log { level: LogLevel::Error, text: "é".to_owned() },
        Outgoing::Timer { id: 7, delay_ms: 2_147_483_647 },
        Outgoing::ClearTimer { id: u32::MAX },
        Outgoing::Uncaught { message: "m".to_owned(), stack: String::new() },
    ]
}

fn encoded() -> Vec<u8> {
    file::encode(&key(1), &memory(), &outgoing(), &[7, 9])
}

#[test]
fn a_file_says_everything_again() {
    let file = encoded();
    let parts = file::decode(&file, &key(1), MOST).expect("taken");
    let mut said = vec![0; parts.length];
    for (at, piece) in &parts.pieces {
        said[*at..at + piece.len()].copy_from_slice(piece);
    }
    assert_eq!(said, memory());
    assert_eq!(parts.outgoing, outgoing());
    assert_eq!(parts.timers, [7, 9]);
}

#[test]
fn damaged_and_foreign_files_are_refused() {
    let good = encoded();
    for at in 0..good.len() {
        // Every byte near the ends, and some of the memory between.
        if at < 200 || at > good.len() - 200 || at % 97 == 0 {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(file::decode(&bad, &key(1), MOST).is_err(), "byte {at} does not matter");
            assert!(file::decode(&good[..at], &key(1), MOST).is_err(), "cut at {at}");
        }
    }
    let longer = [&good[..], &[0]].concat();
    assert!(file::decode(&longer, &key(1), MOST).is_err());
    let refusal = |byte, most| file::decode(&good, &key(byte), most).map(|_| ()).expect_err("refused");
    assert!(refusal(2, MOST).contains("another script"));
    assert!(refusal(1, WASM_PAGE).contains("no snapshot says"), "more memory than the limit");
}

/// Whoever could forge the digest, as it has no key, still says nothing that harms the host.
#[test]
fn forged_files_end_in_a_refusal_or_in_a_memory_within_its_limit() {
    let good = encoded();
    let forge = |body: &[u8]| {
        let digest = Sha256::new().chain_update([1; 32]).chain_update(body).finalize();
        [&[1; 32][..], &digest[..], body].concat()
    };
    let body = &good[64..];
    file::decode(&forge(body), &key(1), MOST).map(|_| ()).expect("the forger knows how");
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut taken = 0;
    for _ in 0..20_000 {
        let mut bad = body.to_vec();
        for _ in 0..1 + random % 4 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Mostly among the numbers at both ends.
            let span = if random & 1 == 0 { 48 } else { bad.len() };
            let at = (random >> 20) as usize % span;
            let at = if random & 2 == 0 { at } else { bad.len() - 1 - at };
            bad[at] = (random >> 8) as u8;
        }
        if let Ok(parts) = file::decode(&forge(&bad), &key(1), MOST) {
            assert!(parts.length <= MOST && is_whole(parts.length));
            let mut end = 0;
            for (at, piece) in parts.pieces {
                assert!(at >= end && at + piece.len() <= parts.length);
                end = at + piece.len();
            }
            taken += 1;
        }
    }
    assert!(taken > 0, "some of them only change a byte of the memory");
}

#[test]
fn a_file_that_others_may_use_a_link_or_anything_else_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    file::write(dir.path(), &key(1), &memory(), &[], &[]).expect("written");
    let path = file::path(dir.path(), &key(1));
    assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    file::read(dir.path(), &key(1), MOST, |_| Ok(())).expect("taken");
    let refusal = |key| file::read(dir.path(), &key, MOST, |_| Ok(())).expect_err("refused");
    for mode in [0o604, 0o640, 0o620, 0o602] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("changed");
        assert_eq!(refusal(key(1)), "others may use it");
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("changed");
    file::read(dir.path(), &key(1), MOST, |_| Ok(())).expect("taken again");
    // The same file under a link, and under the name of another script.
    symlink(&path, file::path(dir.path(), &key(2))).expect("linked");
    refusal(key(2));
    std::fs::copy(&path, file::path(dir.path(), &key(3))).expect("copied");
    assert!(refusal(key(3)).contains("another script"));
    std::fs::create_dir(file::path(dir.path(), &key(4))).expect("created");
    assert_eq!(refusal(key(4)), "it is not a file");
    refusal(key(5));
    let me = std::fs::metadata(&path).expect("there").uid();
    assert!(file::allowed(true, me, 0o100_600, me).is_ok());
    assert!(file::allowed(true, me + 1, 0o100_600, me).is_err_and(|reason| reason.contains("another user")));
}

#[test]
fn the_directory_keeps_what_was_used_last() {
    let dir = tempfile::tempdir().expect("a directory");
    for byte in 1..=5 {
        file::write(dir.path(), &key(byte), &memory(), &[], &[]).expect("written");
        let file = std::fs::File::options().write(true).open(file::path(dir.path(), &key(byte))).expect("opened");
        file.set_modified(SystemTime::now() - Duration::from_secs(1000 - u64::from(byte))).expect("dated");
    }
    std::fs::write(dir.path().join("engine.cwasm"), "not ours").expect("written");
    // Reading is using.
    file::read(dir.path(), &key(1), MOST, |_| Ok(())).expect("taken");
    let left = || (1..=5).filter(|byte| file::path(dir.path(), &key(*byte)).exists()).collect::<Vec<_>>();
    file::prune(dir.path(), 3, u64::MAX).expect("pruned");
    assert_eq!(left(), [1, 4, 5]);
    let length = std::fs::metadata(file::path(dir.path(), &key(1))).expect("there").len();
    file::prune(dir.path(), 100, 2 * length).expect("pruned");
    assert_eq!(left(), [1, 5]);
    file::prune(dir.path(), 0, 0).expect("pruned");
    assert_eq!(left(), [1]);
    assert!(dir.path().join("engine.cwasm").exists());
}

#[test]
fn memory_holds_as_many_as_its_limits_say_and_lets_the_unused_go() {
    let engine = Engine::new(None).expect("the committed engine compiles");
    let mut held = Held::default();
    let snapshot = || Arc::new(Snapshot::new(&engine, &[1; WASM_PAGE], Vec::new(), Vec::new()).expect("an image"));
    let first = snapshot();
    held.put(key(0), Arc::clone(&first));
    for byte in 1..=MOST_HELD as u8 {
        held.get(&key(0)).expect("used again and again");
        held.put(key(byte), snapshot());
    }
    assert_eq!(held.snapshots.len(), MOST_HELD);
    assert!(held.get(&key(1)).is_none(), "the one that was not used for longest");
    assert!(held.get(&key(2)).is_some() && held.get(&key(0)).is_some());
    assert_eq!(held.bytes, held.snapshots.values().map(|(_, one)| one.size).sum::<usize>());
    assert!(Arc::ptr_eq(&held.put(key(0), snapshot()), &first), "two that came at once share the first");
}

#[test]
fn every_source_and_every_limit_that_an_evaluation_notices_is_in_the_key() {
    let source = |layer, kind, name: &str, text: &str| Source {
        layer,
        kind,
        name: name.to_owned().into(),
        text: text.to_owned().into(),
    };
    let plain = || {
        vec![
            source(Layer::Globals, ModuleKind::CommonJs, "a", "bc"),
            source(Layer::Script, ModuleKind::EsModule, "d", "e"),
        ]
    };
    let limits = Limits::default();
    let mut keys = vec![
        Key::new(&limits, &plain()),
        Key::new(&limits, &plain()[..1]),
        Key::new(&limits, &[source(Layer::Globals, ModuleKind::CommonJs, "ab", "c"), plain().remove(1)]),
        Key::new(&limits, &[source(Layer::Globals, ModuleKind::EsModule, "a", "bc"), plain().remove(1)]),
        Key::new(&limits, &[source(Layer::Prelude, ModuleKind::CommonJs, "a", "bc"), plain().remove(1)]),
        Key::new(&limits, &[plain().remove(1), plain().remove(0)]),
    ];
    for changed in [
        Limits { memory_bytes: limits.memory_bytes + WASM_PAGE, ..limits.clone() },
        Limits { stack: limits.stack - 1, ..limits.clone() },
        Limits { message_bytes: 1, ..limits.clone() },
        Limits { messages_per_turn: 1, ..limits.clone() },
        Limits { log_bytes_per_turn: 1, ..limits.clone() },
        Limits { timers: 1, ..limits.clone() },
    ] {
        keys.push(Key::new(&changed, &plain()));
    }
    let distinct: std::collections::HashSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len());
    let slower = Limits { turn: Duration::from_secs(1), ..limits };
    assert_eq!(Key::new(&slower, &plain()), keys[0]);
}
