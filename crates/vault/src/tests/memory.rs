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

/// Changes every byte.
const MASK: u8 = 0x5a;

fn masked(bytes: &[u8]) -> String {
    hex::encode(bytes.iter().map(|byte| byte ^ MASK).collect::<Vec<_>>())
}

/// Names of what was found in writable memory.
fn found(needles: &[(String, Vec<u8>)]) -> Vec<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("the kernel's table");
    let memory = File::open("/proc/self/mem").expect("its own memory");
    let mut found = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().expect("a range"), words.next().expect("rights"));
        let (begin, end) = range.split_once('-').expect("a range");
        let address = |text| u64::from_str_radix(text, 16).expect("an address");
        let mut content = vec![0; (address(end) - address(begin)) as usize];
        if !rights.starts_with("rw") || memory.read_exact_at(&mut content, address(begin)).is_err() {
            continue;
        }
        content.iter_mut().for_each(|byte| *byte ^= MASK);
        for (name, needle) in needles {
            found.extend(content.windows(needle.len()).filter(|window| window == needle).map(|_| name.clone()));
        }
        content.fill(0);
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
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "tests::memory::keys_lie_on_their_pages_only_and_nowhere_once_locked", "--nocapture"])
        .env(VICTIM, home.keystore())
        .env(NEEDLES, text.join(","))
        .output()
        .expect("a child process");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
