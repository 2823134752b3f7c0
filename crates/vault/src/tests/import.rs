//! Several owner accounts, imported and exported keys.

use super::*;

const WRONG: &str = "a wrong passphrase";

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

fn key(byte: u8) -> SecretString {
    secret(&format!("0x{}", hex::encode([byte; 32])))
}

#[test]
fn an_imported_key_is_an_owner_from_then_on() {
    let home = Home::new();
    home.create(Some(JUNK)).expect("created");
    let vault = home.open();
    let clone = vault.clone();
    let first = vault.import_key(&key(0x11), &passphrase()).expect("imported");
    // The address of 0x1111…, as every Ethereum tool gives it.
    assert_eq!(first.address, address!("0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"));
    assert_eq!((first.index, first.path.as_str()), (Vault::IMPORTED, "imported/0"));
    let second = clone.import_key(&secret(&hex::encode([0x22; 32])), &passphrase()).expect("imported, without 0x");
    assert_eq!(second.index, Vault::IMPORTED + 1);

    let all = [first.clone(), second.clone()];
    for vault in [&vault, &clone, &home.open()] {
        assert_eq!(vault.imported(), all);
        for account in &all {
            assert_eq!(&vault.owner(account.index).expect("there"), account);
            let intent = Intent::Message { from: account.address, message: Bytes::from_static(b"hello") };
            let approved = Approved::new(intent.clone(), 1, intent.digest()).expect("its own digest");
            let signature = vault.sign_message(account.index, &approved).expect("signed");
            let signature = Signature::from_raw_array(&signature).expect("a signature");
            assert_eq!(signature.recover_address_from_msg("hello").expect("a signer"), account.address);
            // Another owner does not sign it.
            assert!(matches!(vault.sign_message(0, &approved), Err(VaultError::DiffersFromIntent { .. })));
        }
        assert!(matches!(vault.owner(Vault::IMPORTED + 2), Err(VaultError::NotImported { number: 2 })));
    }
    vault.lock();
    assert_eq!(vault.imported(), all, "who they are is known while locked");
    assert!(matches!(vault.owner(first.index), Err(VaultError::Locked)));
    vault.unlock(&passphrase()).expect("unlocked");
    assert_eq!(vault.owner(second.index).expect("there"), second);
}

#[test]
fn what_is_no_key_is_refused_and_not_repeated() {
    let home = Home::new();
    home.create(Some(JUNK)).expect("created");
    let vault = home.open();
    let check = |text: &str, said: &str| {
        let error = vault.import_key(&secret(text), &passphrase()).expect_err("refused").to_string();
        assert!(error.contains(said), "{text:?}: {error}");
        assert!(text.len() < 8 || !error.contains(&text[2..8]), "{error} repeats the key");
    };
    check("", "64 hex digits");
    check("0x", "64 hex digits");
    check(&"12".repeat(31), "64 hex digits");
    check(&format!("0x{}", "12".repeat(33)), "64 hex digits");
    check(&format!("0x{}zz", "12".repeat(31)), "64 hex digits");
    check(JUNK, "64 hex digits");
    check(&format!("0x{}", "00".repeat(32)), "zero");
    let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    check(&format!("0x{order}"), "order");
    check(&format!("0x{}", "ff".repeat(32)), "order");
    assert!(vault.imported().is_empty());
    // The largest key there is.
    let last = order.replace("4141", "4140");
    vault.import_key(&secret(&format!(" 0X{} \n", last.to_uppercase())), &passphrase()).expect("imported");
}

#[test]
fn no_key_is_there_twice() {
    let home = Home::new();
    home.create(Some(JUNK)).expect("created");
    let vault = home.open();
    vault.import_key(&key(0x11), &passphrase()).expect("imported");
    let refused = |text: &SecretString, at: &str| match vault.import_key(text, &passphrase()) {
        Err(VaultError::Duplicate { path, .. }) => assert_eq!(path, at),
        other => panic!("{other:?}"),
    };
    refused(&key(0x11), "imported/0");
    for index in [0, 1, 99] {
        let exported = vault.export_owner_key(index, &passphrase()).expect("exported");
        refused(&exported, &format!("m/44'/60'/0'/0/{index}"));
    }
    assert_eq!((vault.imported().len(), home.open().imported().len()), (1, 1));
}

#[test]
fn a_wrong_passphrase_imports_and_exports_nothing() {
    let home = Home::new();
    home.create(Some(JUNK)).expect("created");
    let (vault, before) = (home.open(), std::fs::read(home.keystore()).expect("there"));
    assert!(matches!(vault.import_key(&key(0x11), &secret(WRONG)), Err(VaultError::WrongPassphrase)));
    assert!(matches!(vault.export_owner_key(0, &secret(WRONG)), Err(VaultError::WrongPassphrase)));
    assert!(vault.imported().is_empty());
    assert_eq!(std::fs::read(home.keystore()).expect("there"), before);
}

#[test]
fn exported_keys_are_the_accounts_keys() {
    let home = Home::new();
    home.create(Some(JUNK)).expect("created");
    let vault = home.open();
    vault.import_key(&key(0x11), &passphrase()).expect("imported");
    let exported = |index| vault.export_owner_key(index, &passphrase()).expect("exported");
    // The first of the development accounts that every Ethereum tool shows.
    assert_eq!(exported(0).expose_secret(), "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
    assert_eq!(exported(Vault::IMPORTED).expose_secret(), key(0x11).expose_secret());
    let other = vault.export_owner_key(Vault::IMPORTED + 1, &passphrase());
    assert!(matches!(other, Err(VaultError::NotImported { number: 1 })));
    // A subtree's key, computed by an implementation that shares no code with this one.
    let root = SubtreePath::default_for(1, None, "payments");
    let exported = vault.export_subtree_key(&root, 1).expect("exported");
    assert_eq!(exported.expose_secret(), "0x365067f4dc91a2c755dc2f7cda1d68a389a1022a26121cad86c7868cf33923c1");
    assert!(matches!(vault.export_subtree_key(&root, 1 << 31), Err(VaultError::Index { .. })));
}

#[test]
fn the_file_of_an_imported_key_contains_it_only_sealed() {
    let home = Home::new();
    home.create(Some(JUNK)).expect("created");
    home.open().import_key(&key(0xa7), &passphrase()).expect("imported");
    let content = std::fs::read_to_string(home.keystore()).expect("text");
    assert!(!content.contains(&"a7".repeat(8)));
    assert_eq!(std::fs::metadata(home.keystore()).expect("there").permissions().mode() & 0o777, 0o600);
}
