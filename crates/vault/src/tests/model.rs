//! The locks against a simple model: random sequences of everything that can be done to a vault.
//!
//! `PROPTEST_CASES` sets the number of cases for each seed, `ENTRESOL_SEED` one seed instead of the fixed ones.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;

/// The same on every machine; another one by `ENTRESOL_SEED`.
const SEEDS: [u64; 3] = [1, 2, 3];

/// Cases for each seed.
const CASES: u32 = 64;

const PASSPHRASES: [&str; 3] = ["the first", "the second", "the third"];

/// Private keys that are imported; the last one is the first owner's own.
const KEYS: [&str; 4] = [
    "1111111111111111111111111111111111111111111111111111111111111111",
    "2222222222222222222222222222222222222222222222222222222222222222",
    "3333333333333333333333333333333333333333333333333333333333333333",
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
];

const ROOTS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Lock,
    LockSeed(BTreeSet<usize>),
    Unlock(usize),
    Verify(usize),
    /// Imported accounts have numbers from 10 on.
    SignOwner(u32),
    SignSubtree(usize, u32),
    SendSubtree(usize),
    Secret(usize),
    ExportSubtree(usize),
    Export(u32, usize),
    Import(usize, usize),
    Change(usize, usize),
    /// The process ends and starts again.
    Reopen(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (word, root, owner) = (0..PASSPHRASES.len(), 0..ROOTS, prop_oneof![0..3_u32, 10..14_u32]);
    let step = prop_oneof![
        2 => Just(Step::Lock),
        4 => proptest::collection::btree_set(root.clone(), 0..=ROOTS).prop_map(Step::LockSeed),
        6 => word.clone().prop_map(Step::Unlock),
        1 => word.clone().prop_map(Step::Verify),
        4 => owner.clone().prop_map(Step::SignOwner),
        5 => (root.clone(), 0..5_u32).prop_map(|(root, index)| Step::SignSubtree(root, index)),
        2 => root.clone().prop_map(Step::SendSubtree),
        1 => root.clone().prop_map(Step::Secret),
        1 => root.prop_map(Step::ExportSubtree),
        1 => (owner, word.clone()).prop_map(|(owner, word)| Step::Export(owner, word)),
        3 => (0..KEYS.len(), word.clone()).prop_map(|(key, word)| Step::Import(key, word)),
        3 => (word.clone(), word.clone()).prop_map(|(old, new)| Step::Change(old, new)),
        2 => word.prop_map(Step::Reopen),
    ];
    vec(step, 1..40)
}

/// What a vault should be.
struct Model {
    passphrase: usize,
    locked: bool,
    kept: BTreeSet<usize>,
    imported: Vec<usize>,
}

/// What a step should give.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    Locked,
    WrongPassphrase,
    NotImported,
    Duplicate,
}

impl Outcome {
    fn of<T>(result: Result<T, VaultError>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(VaultError::Locked) => Self::Locked,
            Err(VaultError::WrongPassphrase) => Self::WrongPassphrase,
            Err(VaultError::NotImported { .. }) => Self::NotImported,
            Err(VaultError::Duplicate { .. }) => Self::Duplicate,
            Err(error) => panic!("{error}"),
        }
    }
}

impl Model {
    fn subtree_open(&self, root: usize) -> bool {
        !self.locked || self.kept.contains(&root)
    }

    fn when(open: bool) -> Outcome {
        if open { Outcome::Done } else { Outcome::Locked }
    }

    fn owner(&self, number: u32) -> Outcome {
        match number.checked_sub(10) {
            _ if self.locked => Outcome::Locked,
            Some(imported) if imported as usize >= self.imported.len() => Outcome::NotImported,
            _ => Outcome::Done,
        }
    }

    fn step(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Lock => {
                (self.locked, self.kept) = (true, BTreeSet::new());
                Outcome::Done
            }
            Step::LockSeed(keep) => {
                let open: BTreeSet<_> = keep.iter().copied().filter(|root| self.subtree_open(*root)).collect();
                let all = open.len() == keep.len();
                (self.locked, self.kept) = (true, open);
                Self::when(all)
            }
            Step::Unlock(word) | Step::Reopen(word) | Step::Verify(word) if *word != self.passphrase => {
                Outcome::WrongPassphrase
            }
            Step::Verify(_) => Outcome::Done,
            Step::Unlock(_) | Step::Reopen(_) => {
                (self.locked, self.kept) = (false, BTreeSet::new());
                Outcome::Done
            }
            Step::SignOwner(number) => self.owner(*number),
            Step::SignSubtree(root, _) | Step::SendSubtree(root) => Self::when(self.subtree_open(*root)),
            Step::Secret(_) | Step::ExportSubtree(_) => Self::when(!self.locked),
            Step::Export(_, word) if *word != self.passphrase => Outcome::WrongPassphrase,
            Step::Export(number, _) => self.owner(*number),
            Step::Import(..) if self.locked => Outcome::Locked,
            Step::Import(_, word) if *word != self.passphrase => Outcome::WrongPassphrase,
            // The last key is a derived owner's.
            Step::Import(key, _) if *key == 3 || self.imported.contains(key) => Outcome::Duplicate,
            Step::Import(key, _) => {
                self.imported.push(*key);
                Outcome::Done
            }
            Step::Change(old, _) if *old != self.passphrase => Outcome::WrongPassphrase,
            Step::Change(_, new) => {
                self.passphrase = *new;
                Outcome::Done
            }
        }
    }
}

fn secret(number: usize) -> SecretString {
    SecretString::from(PASSPHRASES[number])
}

fn root(number: usize) -> SubtreePath {
    format!("m/43'/60'/1775'/{number}'").parse().expect("allowed")
}

fn index(number: u32) -> u32 {
    number.checked_sub(10).map_or(number, |imported| Vault::IMPORTED + imported)
}

/// What is always the same, whatever was done before.
struct Known {
    subtrees: Vec<Vec<Address>>,
    secrets: Vec<[u8; 32]>,
}

impl Known {
    fn new() -> Self {
        let vault = junk();
        let addresses = |number| {
            (0..5).map(|index| vault.subtree_account(&root(number), index).expect("derived").address).collect()
        };
        let secret = |number| *vault.subtree_secret(&root(number), "x").expect("derived").expose();
        Self { subtrees: (0..ROOTS).map(addresses).collect(), secrets: (0..ROOTS).map(secret).collect() }
    }
}

fn address_of(key: usize) -> Address {
    let key = crate::keys::read_private_key(&SecretString::from(KEYS[key])).expect("a key");
    crate::keys::account(&crate::keys::signing_key(key.get(0)).expect("a key"), 0, String::new()).address
}

/// Does the step to the real vault; the results of what succeeds are checked against what is known.
fn real(vault: &mut Vault, path: &std::path::Path, step: &Step, known: &Known, model: &Model) -> Outcome {
    match step {
        Step::Lock => {
            vault.lock();
            Outcome::Done
        }
        Step::LockSeed(keep) => {
            Outcome::of(vault.lock_seed(&keep.iter().map(|number| root(*number)).collect::<Vec<_>>()))
        }
        Step::Unlock(word) => Outcome::of(vault.unlock(&secret(*word))),
        Step::Verify(word) => Outcome::of(vault.verify_passphrase(&secret(*word))),
        Step::SignOwner(number) => {
            let owner = match number.checked_sub(10).and_then(|place| model.imported.get(place as usize)) {
                Some(key) => address_of(*key),
                None => junk_owner(*number),
            };
            let intent = Intent::Message { from: owner, message: Bytes::from_static(b"m") };
            let approved = Approved::new(intent.clone(), 1, intent.digest()).expect("its own digest");
            Outcome::of(vault.sign_message(index(*number), &approved).map(|signature| {
                let signature = Signature::from_raw_array(&signature).expect("a signature");
                assert_eq!(signature.recover_address_from_msg("m").expect("a signer"), owner);
            }))
        }
        Step::SignSubtree(number, index) => {
            let signed = vault.sign_with_subtree(&root(*number), *index, &SubtreePayload::Hash(B256::repeat_byte(9)));
            Outcome::of(signed.map(|signature| {
                let signature = Signature::from_raw_array(&signature).expect("a signature");
                let signer = signature.recover_address_from_prehash(&B256::repeat_byte(9)).expect("a signer");
                assert_eq!(signer, known.subtrees[*number][*index as usize]);
            }))
        }
        Step::SendSubtree(number) => {
            let from = known.subtrees[*number][0];
            let intent = Intent::Transaction {
                chain_id: 1,
                from,
                to: TxKind::Call(Address::ZERO),
                value: U256::ZERO,
                input: Bytes::new(),
                max_total_fee: U256::ZERO,
            };
            let approved = Approved::new(intent.clone(), 1, intent.digest()).expect("its own digest");
            let tx = TxEip1559 { chain_id: 1, to: TxKind::Call(Address::ZERO), ..TxEip1559::default() };
            let sent = vault.sign_subtree_transaction(&root(*number), 0, &tx, &approved);
            Outcome::of(sent.map(|signed| assert_eq!(signed.from, from)))
        }
        Step::Secret(number) => Outcome::of(
            vault
                .subtree_secret(&root(*number), "x")
                .map(|secret| assert_eq!(*secret.expose(), known.secrets[*number])),
        ),
        Step::ExportSubtree(number) => Outcome::of(vault.export_subtree_key(&root(*number), 0)),
        Step::Export(number, word) => {
            Outcome::of(vault.export_owner_key(index(*number), &secret(*word)).map(|exported| {
                if let Some(key) = number.checked_sub(10) {
                    assert_eq!(exported.expose_secret()[2..], *KEYS[model.imported[key as usize]]);
                }
            }))
        }
        Step::Import(key, word) => {
            Outcome::of(vault.import_key(&SecretString::from(KEYS[*key]), &secret(*word)).map(|account| {
                assert_eq!(account.address, address_of(*key));
            }))
        }
        Step::Change(old, new) => Outcome::of(vault.change_passphrase(&secret(*old), &secret(*new), CHEAP)),
        Step::Reopen(word) => Outcome::of(Vault::open(path, &secret(*word)).map(|(opened, _)| *vault = opened)),
    }
}

fn junk_owner(number: u32) -> Address {
    match number {
        0 => address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
        1 => address!("0x70997970C51812dc3A010C7d01b50e0d17dc79C8"),
        _ => address!("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
    }
}

fn live(steps: &[Step], known: &Known) {
    let home = Home::new();
    Vault::create(&home.keystore(), Some(&SecretString::from(JUNK)), &secret(0), CHEAP).expect("created");
    let (mut vault, database) = Vault::open(&home.keystore(), &secret(0)).expect("open");
    let mut model = Model { passphrase: 0, locked: false, kept: BTreeSet::new(), imported: Vec::new() };
    for (number, step) in steps.iter().enumerate() {
        let clone = vault.clone();
        let found = real(&mut vault, &home.keystore(), step, known, &model);
        assert_eq!(found, model.step(step), "step {number}: {step:?}");
        // Every clone of the same vault agrees; after a new start the old ones are another process's.
        let all = if matches!(step, Step::Reopen(_)) { vec![&vault] } else { vec![&vault, &clone] };
        for vault in all {
            assert_eq!(vault.is_locked(), model.locked, "step {number}");
            let imported: Vec<_> = vault.imported().iter().map(|account| account.address).collect();
            assert_eq!(imported, model.imported.iter().map(|key| address_of(*key)).collect::<Vec<_>>());
            for root_number in 0..ROOTS {
                let open = model.subtree_open(root_number);
                assert_eq!(vault.subtree_is_open(&root(root_number)), open, "step {number}");
            }
        }
        for word in 0..PASSPHRASES.len() {
            let right = vault.verify_passphrase(&secret(word)).is_ok();
            assert_eq!(right, word == model.passphrase, "step {number}: passphrase {word}");
        }
    }
    // What is on the disk is what the model says, and the database's key never changes.
    let (reopened, same) = Vault::open(&home.keystore(), &secret(model.passphrase)).expect("open");
    assert_eq!(same.expose(), database.expose());
    assert_eq!(reopened.imported().len(), model.imported.len());
}

#[test]
fn locks_follow_the_model() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = number("ENTRESOL_SEED").map_or_else(|| SEEDS.to_vec(), |seed| vec![seed]);
    let cases = number("PROPTEST_CASES").and_then(|cases| u32::try_from(cases).ok()).unwrap_or(CASES);
    let known = Known::new();
    for seed in &seeds {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let config = Config { cases, failure_persistence: None, ..Config::default() };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let outcome = TestRunner::new_with_rng(config, rng).run(&steps(), |steps| {
            live(&steps, &known);
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("ENTRESOL_SEED={seed}: {error}");
        }
    }
    println!(
        "locks against the model: {} cases, {cases} for each of the seeds {seeds:?}",
        cases as usize * seeds.len()
    );
}
