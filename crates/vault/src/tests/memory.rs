//! What of the keys lies in memory, as the kernel shows it: only on the locked pages, and not at all once locked.
//!
//! The search runs in a process of its own that has done nothing but use the wallet. It is given what to look for with
//! every bit pattern changed, so that it does not find what it was given.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::keystore::Keystore;
use crate::{keys, locked::Locked, mnemonic::Words};

/// Environment variables of the child: the keystore, and what to look for.
const VICTIM: &str = "ENTRESOL_TEST_MEMORY";
const NEEDLES: &str = "ENTRESOL_TEST_NEEDLES";

/// The test that looks for keys.
const KEYS: &str = "keys_lie_on_their_pages_only_and_nowhere_once_locked";

/// Changes every byte.
const MASK: u8 = 0x5a;

fn masked(bytes: &[u8]) -> String {
    hex::encode(bytes.iter().map(|byte| byte ^ MASK).collect::<Vec<_>>())
}

/// Bytes that are looked at at once: no more than a page, so that the buffer, should it lie beside a secret, is not
/// read into itself together with it.
const PART: usize = 4096;

/// Longest thing that is looked for.
const LONGEST: usize = 32;

/// Names of what was found in writable memory.
fn found(needles: &[(String, Vec<u8>)]) -> Vec<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("the kernel's table");
    let memory = File::open("/proc/self/mem").expect("its own memory");
    // One buffer, masked at once: what was read into it is not found in it again.
    let mut buffer = vec![0; PART + LONGEST];
    let mut found = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().expect("a range"), words.next().expect("rights"));
        let (begin, end) = range.split_once('-').expect("a range");
        let address = |text| u64::from_str_radix(text, 16).expect("an address");
        if !rights.starts_with("rw") {
            continue;
        }
        for at in (address(begin)..address(end)).step_by(PART) {
            // The parts overlap, so that nothing is cut in two; what begins in the overlap is the next part's.
            let length = usize::try_from(address(end) - at).expect("small").min(buffer.len());
            let part = &mut buffer[..length];
            // Some pages, the kernel's own, cannot be read.
            if memory.read_exact_at(part, at).is_ok() {
                part.iter_mut().for_each(|byte| *byte ^= MASK);
                for (name, needle) in needles {
                    let places = part.windows(needle.len()).take(PART).filter(|window| window == needle);
                    found.extend(places.map(|_| name.clone()));
                }
            }
            part.fill(0);
        }
    }
    found.sort();
    found
}

#[test]
fn keys_lie_on_their_pages_only_and_nowhere_once_locked() {
    if let Some(path) = std::env::var_os(VICTIM) {
        let text = std::env::var(NEEDLES).expect("what to look for");
        let needles: Vec<_> = text
            .split(',')
            .map(|needle| needle.split_once('=').expect("name=digits"))
            .map(|(name, digits)| (name.to_owned(), hex::decode(digits).expect("hex")))
            .collect();
        let (vault, database) = Vault::open(Path::new(&path), &passphrase()).expect("open");
        let hash = SubtreePayload::Hash(B256::ZERO);
        vault.owner(0).expect("derived");
        vault.sign_with_subtree(&subtree(), 0, &hash).expect("signed");
        assert_eq!(found(&needles), ["database key", "root key"], "each once while unlocked");
        vault.lock_seed(&[subtree()]).expect("locked");
        vault.sign_with_subtree(&subtree(), 0, &hash).expect("signed");
        assert_eq!(found(&needles), ["database key", "subtree root"], "the kept one while the seed is locked");
        vault.lock();
        drop(database);
        assert!(found(&needles).is_empty(), "{:?} once locked", found(&needles));
        return;
    }
    let home = Home::new();
    home.create(Some(JUNK)).expect("created");
    child(KEYS, &home.keystore(), &[(NEEDLES, &needles(&home))], "");
}

/// What the child looks for.
fn needles(home: &Home) -> String {
    let (_, database) = Vault::open(&home.keystore(), &passphrase()).expect("open");
    let words = Words::from_phrase(&SecretString::from(JUNK)).expect("good words");
    let root = words.root().expect("a root");
    let key = |path: &[u32]| {
        let mut slots = Locked::new(2);
        keys::keep(&keys::descend(&root, path.iter().copied()).expect("derived"), &mut slots, 0);
        masked(slots.get(0))
    };
    let hardened = 1 << 31;
    let owner = [44 | hardened, 60 | hardened, hardened, 0, 0];
    let subtree_root: Vec<_> = subtree().child_numbers().collect();
    let account: Vec<_> = subtree_root.iter().copied().chain([0]).collect();
    let master = Keystore::read(&home.keystore()).expect("sound").master(&passphrase()).expect("right");
    let needles = [
        ("root key", key(&[])),
        ("owner key", key(&owner)),
        ("subtree root", key(&subtree_root)),
        ("subtree key", key(&account)),
        ("entropy", masked(words.entropy())),
        ("master key", masked(master.get(0))),
        ("database key", masked(database.expose())),
    ];
    let text: Vec<_> = needles.iter().map(|(name, digits)| format!("{name}={digits}")).collect();
    text.join(",")
}

/// Runs a test of this file again in a process of its own, after these commands of the shell.
#[track_caller]
fn child(test: &str, path: &Path, environment: &[(&str, &str)], first: &str) {
    let output = Command::new("sh")
        .args(["-c", &format!("{first} exec \"$0\" --exact \"$1\" --nocapture")])
        .arg(std::env::current_exe().expect("this program"))
        .arg(format!("tests::memory::{test}"))
        .env(VICTIM, path)
        .envs(environment.iter().copied())
        .output()
        .expect("a child process");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// True when this process may lock as much memory as it likes (CAP_IPC_LOCK, bit 14).
fn may_lock_all() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("the kernel's table");
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("a line");
    u64::from_str_radix(line.trim(), 16).expect("a number") & (1 << 14) != 0
}

#[test]
fn without_lockable_memory_the_wallet_works_and_says_so() {
    if let Some(path) = std::env::var_os(VICTIM) {
        let (vault, _) = Vault::open(Path::new(&path), &passphrase()).expect("open");
        assert_eq!(vault.memory_locked(), may_lock_all());
        vault.lock_seed(&[subtree()]).expect("locked");
        vault.subtree_account(&subtree(), 0).expect("kept");
        vault.unlock(&passphrase()).expect("unlocked");
        assert_eq!(vault.memory_locked(), may_lock_all());
        return;
    }
    let home = Home::new();
    home.create(Some(JUNK)).expect("created");
    child("without_lockable_memory_the_wallet_works_and_says_so", &home.keystore(), &[], "ulimit -l 0;");
}
