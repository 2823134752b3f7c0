//! The vault from outside: files, locking, derivation.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use alloy::consensus::TxEip1559;
use alloy::primitives::{Address, B256, Bytes, Signature, TxKind, U256, address};
use coins_bip32::primitives::Hint;
use coins_bip32::xkeys::{Parent, XPriv};
use secrecy::{ExposeSecret, SecretString};

use crate::{Approved, Intent, KdfCost, SubtreePath, SubtreePayload, Vault, VaultError};

mod debug;
mod import;
mod locks;
#[cfg(target_os = "linux")]
mod memory;
mod model;
mod passphrase;

const CHEAP: KdfCost = KdfCost { memory_kib: 8, passes: 1, lanes: 1 };
const JUNK: &str = "test test test test test test test test test test test junk";

struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory") }
    }

    fn keystore(&self) -> PathBuf {
        self.directory.path().join("home/keystore.json")
    }

    fn create(&self, phrase: Option<&str>) -> Result<SecretString, VaultError> {
        let phrase = phrase.map(SecretString::from);
        Vault::create(&self.keystore(), phrase.as_ref(), &passphrase(), CHEAP)
    }

    fn open(&self) -> Vault {
        Vault::open(&self.keystore(), &passphrase()).expect("open").0
    }
}

fn passphrase() -> SecretString {
    SecretString::from("correct horse battery staple")
}

fn junk() -> Vault {
    let home = Home::new();
    home.create(Some(JUNK)).expect("created");
    home.open()
}

fn subtree() -> SubtreePath {
    "m/43'/60'/1775'/7'".parse().expect("allowed")
}

#[test]
fn bip32_vectors() {
    // BIP-32, test vector 1 (with hardened and plain levels) and 3 (leading zeros).
    let check = |seed: &str, path: &[u32], expect: &str| {
        let mut key = XPriv::root_from_seed(&hex::decode(seed).expect("hex"), Some(Hint::Legacy)).expect("a root");
        key = path.iter().fold(key, |key, number| key.derive_child(*number).expect("a child"));
        assert_eq!(key.to_base58().as_str(), expect);
    };
    let hardened = 1 << 31;
    let one = "000102030405060708090a0b0c0d0e0f";
    check(
        one,
        &[],
        "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi",
    );
    check(
        one,
        &[hardened],
        "xprv9uHRZZhk6KAJC1avXpDAp4MDc3sQKNxDiPvvkX8Br5ngLNv1TxvUxt4cV1rGL5hj6KCesnDYUhd7oWgT11eZG7XnxHrnYeSvkzY7d2bhkJ7",
    );
    check(
        one,
        &[hardened, 1],
        "xprv9wTYmMFdV23N2TdNG573QoEsfRrWKQgWeibmLntzniatZvR9BmLnvSxqu53Kw1UmYPxLgboyZQaXwTCg8MSY3H2EU4pWcQDnRnrVA1xe8fs",
    );
    let three = "4b381541583be4423346c643850da4b320e46a87ae3d2a4e6da11eba819cd4acba45d239319ac14f863b8d5ab5a0d0c64d2e8a1e7d1457df2e5a3c51c73235be";
    check(
        three,
        &[hardened],
        "xprv9uPDJpEQgRQfDcW7BkF7eTya6RPxXeJCqCJGHuCJ4GiRVLzkTXBAJMu2qaMWPrS7AANYqdq6vcBcBUdJCVVFceUvJFjaPdGZ2y9WACViL4L",
    );
}

#[test]
fn bip44_vectors() {
    // The development accounts that every Ethereum tool derives from these words.
    let vault = junk();
    for (index, expect) in [
        (0, address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")),
        (1, address!("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")),
        (9, address!("0xa0Ee7A142d267C1f36714E4a8F75612F20a79720")),
    ] {
        let account = vault.owner(index).expect("derived");
        assert_eq!((account.address, account.index), (expect, index));
        assert_eq!(account.path, format!("m/44'/60'/0'/0/{index}"));
        assert!(matches!(account.public_key[0], 2 | 3));
    }
}

#[test]
fn erc1775_vectors() {
    // Computed by an implementation of BIP-32, secp256k1 and keccak256 that shares no code with this one.
    let vault = junk();
    let gateway = Some(address!("0x5FbDB2315678afecb367f032d93F642f64180aa3"));
    let last = (1 << 31) - 1;
    for (root, index, expect) in [
        (SubtreePath::default_for(1, gateway, "payments"), 0, address!("0x4D452977539F197026CfC7B128a9985970104CeB")),
        (SubtreePath::default_for(1, gateway, "payments"), 1, address!("0xC337F578ED89dbc8dd5130fFC47530FC51E1108f")),
        (
            SubtreePath::default_for(1, gateway, "payments"),
            last,
            address!("0x5576D2a4480825aBBFe952fe9E3d29ca092754A8"),
        ),
        (SubtreePath::default_for(1, None, "payments"), 0, address!("0xd9ce50Ec42935005EfCFE7654353E4d3b47cC06A")),
        (
            SubtreePath::default_for(31337, gateway, "@entresol/payments"),
            1,
            address!("0x7f9e617120eb10358804C8b25Af0Cc730dE9aF2b"),
        ),
    ] {
        assert_eq!(vault.subtree_account(&root, index).expect("derived").address, expect, "{root}/{index}");
    }
}

#[test]
fn a_new_wallet_opens_with_its_passphrase_and_is_restored_from_its_words() {
    let home = Home::new();
    let phrase = home.create(None).expect("created");
    let (vault, key) = Vault::open(&home.keystore(), &passphrase()).expect("open");
    assert_eq!(Vault::open(&home.keystore(), &passphrase()).expect("open").1.expose(), key.expose());

    let other = Home::new();
    other.create(Some(phrase.expose_secret())).expect("restored");
    let (restored, other_key) = Vault::open(&other.keystore(), &passphrase()).expect("open");
    assert_eq!(vault.owner(3).expect("derived"), restored.owner(3).expect("derived"));
    assert_ne!(key.expose(), other_key.expose(), "a database's key belongs to the file, not to the words");

    let mode = std::fs::metadata(home.keystore()).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_file_contains_no_secret() {
    let home = Home::new();
    let phrase = home.create(None).expect("created");
    let content = std::fs::read_to_string(home.keystore()).expect("text");
    let (_, key) = Vault::open(&home.keystore(), &passphrase()).expect("open");
    assert!(!content.contains(&hex::encode(key.expose())));
    assert!(!content.contains(passphrase().expose_secret()));
    let pairs: Vec<_> = phrase.expose_secret().split(' ').collect();
    assert!(pairs.windows(2).all(|pair| !content.contains(&pair.join(" "))));
}

#[test]
fn a_wallet_is_never_overwritten() {
    let home = Home::new();
    home.create(Some(JUNK)).expect("created");
    let before = std::fs::read(home.keystore()).expect("there");
    assert!(matches!(home.create(None), Err(VaultError::Exists { .. })));
    assert_eq!(std::fs::read(home.keystore()).expect("there"), before);
}

#[test]
fn nothing_is_written_for_a_bad_phrase_or_passphrase() {
    let home = Home::new();
    assert!(matches!(home.create(Some("test test junk")), Err(VaultError::WordCount { found: 3 })));
    assert!(matches!(home.create(Some(&JUNK.replace("junk", "test"))), Err(VaultError::Checksum)));
    let misspelt = JUNK.replace("junk", "jank");
    assert!(matches!(home.create(Some(&misspelt)), Err(VaultError::UnknownWord { position: 12 })));
    let empty = Vault::create(&home.keystore(), None, &SecretString::from(""), CHEAP);
    assert!(matches!(empty, Err(VaultError::EmptyPassphrase)));
    assert!(!home.keystore().exists());
    assert!(matches!(Vault::open(&home.keystore(), &passphrase()), Err(VaultError::Missing { .. })));
}

#[test]
fn a_wrong_passphrase_opens_nothing_and_changes_nothing() {
    let home = Home::new();
    home.create(Some(JUNK)).expect("created");
    let wrong = SecretString::from("correct horse");
    assert!(matches!(Vault::open(&home.keystore(), &wrong), Err(VaultError::WrongPassphrase)));
    let vault = home.open();
    assert!(matches!(vault.verify_passphrase(&wrong), Err(VaultError::WrongPassphrase)));
    vault.verify_passphrase(&passphrase()).expect("right");
    assert!(matches!(vault.unlock(&wrong), Err(VaultError::WrongPassphrase)));
    assert!(!vault.is_locked());
    vault.lock();
    assert!(matches!(vault.unlock(&wrong), Err(VaultError::WrongPassphrase)));
    assert!(vault.is_locked());
}

#[test]
fn a_locked_vault_gives_nothing_until_it_is_unlocked() {
    let vault = junk();
    let clone = vault.clone();
    let payload = SubtreePayload::Hash(B256::ZERO);
    let before = vault.sign_with_subtree(&subtree(), 0, &payload).expect("signed");
    let intent = Intent::Message { from: Address::ZERO, message: Bytes::new() };
    let approved = Approved::new(intent.clone(), 1, intent.digest()).expect("its own digest");

    clone.lock();
    assert!(vault.is_locked());
    vault.verify_passphrase(&passphrase()).expect("works while locked");
    assert!(matches!(vault.owner(0), Err(VaultError::Locked)));
    assert!(matches!(vault.subtree_account(&subtree(), 0), Err(VaultError::Locked)));
    assert!(matches!(vault.sign_with_subtree(&subtree(), 0, &payload), Err(VaultError::Locked)));
    assert!(matches!(vault.sign_message(0, &approved), Err(VaultError::Locked)));
    assert!(matches!(vault.sign_transaction(0, &TxEip1559::default(), &approved), Err(VaultError::Locked)));

    vault.unlock(&passphrase()).expect("unlocked");
    assert_eq!(vault.sign_with_subtree(&subtree(), 0, &payload).expect("signed"), before);
}

#[test]
fn subtree_accounts_are_plain_children_of_their_root() {
    let vault = junk();
    let zero = vault.subtree_account(&subtree(), 0).expect("derived");
    let one = vault.subtree_account(&subtree(), 1).expect("derived");
    assert_eq!(one.path, "m/43'/60'/1775'/7'/1");
    assert_ne!(zero.address, one.address);
    // Pinned; the value was computed by an implementation of BIP-32 that shares no code with this one.
    expect_test::expect!["0x5Ce5A1F67749a5c111C8525749ee2A46Ba1Ac7bE"].assert_eq(&zero.address.to_string());

    let last = (1 << 31) - 1;
    assert_eq!(vault.subtree_account(&subtree(), last).expect("derived").index, last);
    for index in [1 << 31, u32::MAX] {
        assert!(matches!(vault.subtree_account(&subtree(), index), Err(VaultError::Index { .. })));
        let payload = SubtreePayload::Hash(B256::ZERO);
        assert!(matches!(vault.sign_with_subtree(&subtree(), index, &payload), Err(VaultError::Index { .. })));
        assert!(matches!(vault.owner(index), Err(VaultError::NotImported { .. })));
    }
}

#[test]
fn subtree_signatures_recover_to_the_account() {
    let vault = junk();
    let account = vault.subtree_account(&subtree(), 4).expect("derived").address;
    let hash = B256::repeat_byte(0x5a);
    let signature = vault.sign_with_subtree(&subtree(), 4, &SubtreePayload::Hash(hash)).expect("signed");
    let signature = Signature::from_raw_array(&signature).expect("a signature");
    assert_eq!(signature.recover_address_from_prehash(&hash).expect("a signer"), account);
}

#[test]
fn an_owner_signs_only_what_was_approved_for_it() {
    let vault = junk();
    let (owner, to) = (vault.owner(0).expect("derived").address, vault.owner(1).expect("derived").address);
    let intent = Intent::Transaction {
        chain_id: 31337,
        from: owner,
        to: TxKind::Call(to),
        value: U256::from(1),
        input: Bytes::new(),
        max_total_fee: U256::from(21_000_u64 * 7),
    };
    let approved = Approved::new(intent.clone(), 1, intent.digest()).expect("its own digest");
    let tx = TxEip1559 {
        chain_id: 31337,
        gas_limit: 21_000,
        max_fee_per_gas: 7,
        to: TxKind::Call(to),
        value: U256::from(1),
        ..TxEip1559::default()
    };
    let signed = vault.sign_transaction(0, &tx, &approved).expect("signed");
    assert_eq!(signed.from, owner);
    assert_eq!(signed.raw[0], 2, "an EIP-1559 envelope");
    let another = vault.sign_transaction(1, &tx, &approved);
    assert!(matches!(another, Err(VaultError::DiffersFromIntent { field: "the sender", .. })));
    let dearer = TxEip1559 { max_fee_per_gas: 8, ..tx };
    assert!(matches!(vault.sign_transaction(0, &dearer, &approved), Err(VaultError::FeeAboveCeiling { .. })));
    assert!(matches!(vault.sign_message(0, &approved), Err(VaultError::DiffersFromIntent { .. })));

    let message = Intent::Message { from: owner, message: Bytes::from_static(b"hello") };
    let approved = Approved::new(message.clone(), 2, message.digest()).expect("its own digest");
    let signature = Signature::from_raw_array(&vault.sign_message(0, &approved).expect("signed")).expect("a signature");
    assert_eq!(signature.recover_address_from_msg("hello").expect("a signer"), owner);
    assert!(matches!(vault.sign_message(1, &approved), Err(VaultError::DiffersFromIntent { .. })));
}

#[test]
fn a_vault_is_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<Vault>();
}

#[test]
fn the_default_cost_opens_too() {
    let home = Home::new();
    Vault::create(&home.keystore(), None, &passphrase(), KdfCost::default()).expect("created");
    assert!(!home.open().is_locked());
}
