//! The list of attacks on the protocol, each with its answer. The test of an attack has its name, with `_` between the words.

use std::path::{Path, PathBuf};

/// What was thought of, and what stands against it.
const ATTACKS: &[(&str, &str)] = &[
    ("stale slot after a rollback", "only ids below nextId stand, in every function and view"),
    ("contest of a final batch", "contestable only before time + CHALLENGE"),
    ("old balance after a halt", "claims use the last standing batch alone"),
    ("data outside the transaction input", "submitBatch only from a plain account, as a top-level transaction"),
    ("aliased ABI", "calldata must be the canonical encoding, byte for byte"),
    ("library laxer than ecrecover", "v, r and s are checked before any library is asked"),
    ("freeze by self-contest", "one grace an item"),
    ("inbox spam", "a batch names the accumulator at its own inboxEnd"),
    ("ClaimTo replay", "good for one step of claimed, from and to"),
    ("bond emptied by a cheap self-contest", "rewards are escrowed, and move to a contest of a lower id"),
    ("halt raced by a false batch", "no batch is taken while an item is overdue; a contest works after the halt"),
    ("net payee frozen by locked arithmetic", "claims neither read nor write lockedBalance"),
    ("light payee undone by a later chunk", "a leaf of a batch that is not final is provisional"),
    ("message that revives", "pending while its nonce fits; cancelled by a payment of nothing to oneself"),
    ("replay elsewhere", "chain and gateway are in the EIP-712 domain"),
    ("replay within", "nonce and prev, and one leaf an address"),
    ("malleable signature", "low s only; a message's id is its struct hash"),
    ("sender equivocation", "one takes effect; a payee waits for sequenced"),
    ("operator equivocation", "receipts are a signed chain; two in one place are proof"),
    ("stale withdrawal", "nonce and prev differ: no effect"),
    ("double withdrawal", "withdrawn is a counter, and claimed another"),
    ("deposit reorg", "the accumulator is another, the batch reverts"),
    ("false inclusion", "a payee checks the effect, never inclusion"),
    ("bad root then early claim", "claims need a final batch"),
    ("fraud buried under many batches", "a roll-back is one write, however many fall"),
    ("unprovable fraud", "hashed keys, chunks of eight, no revert from a batch's bytes"),
    ("front-run challenger", "half burns; the batch falls whoever contests"),
    ("griefing contests", "an honest batch cannot be contested; trying costs gas"),
    ("inbox flood", "an item costs its sender more than the operator"),
    ("operator key stolen", "the bond is lost and the gateway halts; balances stay"),
];

/// Where tests of the protocol lie, from this crate's folder.
const SOURCES: &[&str] = &["tests", "../protocol/src"];

fn files(folder: PathBuf, into: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(std::fs::read_to_string(path).unwrap());
        }
    }
}

/// The name of an attack's test: `ClaimTo` is two words, everything else as it is written.
fn name(attack: &str) -> String {
    attack.replace("ClaimTo", "claim to").to_lowercase().replace([' ', '-'], "_")
}

#[test]
fn every_attack_has_a_test_of_its_name() {
    let mut sources = Vec::new();
    for folder in SOURCES {
        files(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut sources);
    }
    for (attack, answer) in ATTACKS {
        let name = name(attack);
        let forms = [format!("#[test]\nfn {name}()"), format!("#[tokio::test]\nasync fn {name}()")];
        let found =
            sources.iter().map(|source| forms.iter().filter(|form| source.contains(*form)).count()).sum::<usize>();
        assert_eq!(found, 1, "the attack {attack:?} ({answer}) has no test `{name}`, or more than one");
    }
}
