//! The two locks.

use super::*;

fn path(text: &str) -> SubtreePath {
    text.parse().expect("allowed")
}

fn other() -> SubtreePath {
    path("m/43'/60'/1775'/8'")
}

/// A transaction of an account and its approval.
fn transaction(from: Address) -> (TxEip1559, Approved) {
    let intent = Intent::Transaction {
        chain_id: 31337,
        from,
        to: TxKind::Call(Address::repeat_byte(1)),
        value: U256::ZERO,
        input: Bytes::from_static(&[1, 2, 3]),
        max_total_fee: U256::from(1_000_000),
    };
    let tx = TxEip1559 {
        chain_id: 31337,
        gas_limit: 100_000,
        max_fee_per_gas: 10,
        to: TxKind::Call(Address::repeat_byte(1)),
        input: Bytes::from_static(&[1, 2, 3]),
        ..TxEip1559::default()
    };
    let digest = intent.digest();
    (tx, Approved::new(intent, 1, digest).expect("its own digest"))
}

/// Everything but the kept subtree answers `Locked`.
#[track_caller]
fn locked_but_for(vault: &Vault, kept: Option<&SubtreePath>) {
    assert!(vault.is_locked());
    let message = Intent::Message { from: Address::ZERO, message: Bytes::new() };
    let approved = Approved::new(message.clone(), 1, message.digest()).expect("its own digest");
    let hash = SubtreePayload::Hash(B256::ZERO);
    let key = SecretString::from(format!("0x{}", "11".repeat(32)));
    assert!(matches!(vault.owner(0), Err(VaultError::Locked)));
    assert!(matches!(vault.owner(Vault::IMPORTED), Err(VaultError::Locked)));
    assert!(matches!(vault.sign_message(0, &approved), Err(VaultError::Locked)));
    assert!(matches!(vault.sign_transaction(0, &TxEip1559::default(), &approved), Err(VaultError::Locked)));
    assert!(matches!(vault.export_owner_key(0, &passphrase()), Err(VaultError::Locked)));
    assert!(matches!(vault.import_key(&key, &passphrase()), Err(VaultError::Locked)));
    for root in [subtree(), other(), path("m/43'/60'/1775'/7'/0'")] {
        assert_eq!(vault.subtree_is_open(&root), kept == Some(&root));
        // Keys leave only while the seed is open, whatever was kept.
        assert!(matches!(vault.export_subtree_key(&root, 0), Err(VaultError::Locked)));
        assert!(matches!(vault.subtree_secret(&root, "x"), Err(VaultError::Locked)));
        if kept != Some(&root) {
            assert!(matches!(vault.subtree_account(&root, 0), Err(VaultError::Locked)));
            assert!(matches!(vault.sign_with_subtree(&root, 0, &hash), Err(VaultError::Locked)));
            let sent = vault.sign_subtree_transaction(&root, 0, &TxEip1559::default(), &approved);
            assert!(matches!(sent, Err(VaultError::Locked)));
        }
    }
}

#[test]
fn a_kept_subtree_goes_on_while_the_seed_is_locked() {
    let vault = junk();
    let hash = SubtreePayload::Hash(B256::repeat_byte(7));
    let account = vault.subtree_account(&subtree(), 3).expect("derived");
    let signature = vault.sign_with_subtree(&subtree(), 3, &hash).expect("signed");
    let (tx, approved) = transaction(account.address);
    let sent = vault.sign_subtree_transaction(&subtree(), 3, &tx, &approved).expect("signed");

    vault.clone().lock_seed(&[subtree(), subtree()]).expect("locked");
    locked_but_for(&vault, Some(&subtree()));
    assert_eq!(vault.subtree_account(&subtree(), 3).expect("kept"), account);
    assert_eq!(vault.sign_with_subtree(&subtree(), 3, &hash).expect("kept"), signature);
    assert_eq!(vault.sign_subtree_transaction(&subtree(), 3, &tx, &approved).expect("kept"), sent);
    // An index that was never asked for before.
    let new = vault.subtree_account(&subtree(), 999).expect("kept").address;
    assert!(matches!(vault.subtree_account(&subtree(), 1 << 31), Err(VaultError::Index { .. })));

    vault.unlock(&passphrase()).expect("unlocked");
    assert_eq!(vault.subtree_account(&subtree(), 999).expect("derived").address, new);
    assert!(vault.subtree_is_open(&other()));
}

#[test]
fn lock_forgets_the_kept_subtrees_too() {
    let vault = junk();
    vault.lock_seed(&[subtree(), other()]).expect("locked");
    assert!(vault.subtree_is_open(&subtree()) && vault.subtree_is_open(&other()));
    // Fewer, while the seed is locked.
    vault.lock_seed(&[other()]).expect("kept before");
    locked_but_for(&vault, Some(&other()));
    // More is not possible any more; what was open stays open.
    assert!(matches!(vault.lock_seed(&[subtree(), other()]), Err(VaultError::Locked)));
    locked_but_for(&vault, Some(&other()));
    vault.lock();
    locked_but_for(&vault, None);
    assert!(matches!(vault.lock_seed(&[other()]), Err(VaultError::Locked)));
    locked_but_for(&vault, None);
    vault.unlock(&passphrase()).expect("unlocked");
    vault.lock_seed(&[]).expect("locked");
    locked_but_for(&vault, None);
}

#[test]
fn many_subtrees_can_be_kept() {
    let vault = junk();
    let roots: Vec<_> = (0..150).map(|number| path(&format!("m/43'/60'/1775'/{number}'"))).collect();
    let addresses = |vault: &Vault| -> Vec<_> {
        roots.iter().map(|root| vault.subtree_account(root, 0).expect("open").address).collect()
    };
    let before = addresses(&vault);
    vault.lock_seed(&roots).expect("locked");
    assert_eq!(addresses(&vault), before);
}

#[test]
fn a_transaction_of_a_subtree_is_compared_field_by_field() {
    let vault = junk();
    let from = vault.subtree_account(&subtree(), 0).expect("derived").address;
    let (tx, approved) = transaction(from);
    let signed = vault.sign_subtree_transaction(&subtree(), 0, &tx, &approved).expect("signed");
    assert_eq!((signed.from, signed.raw[0]), (from, 2));
    let differs = |root: &SubtreePath, index, tx: &TxEip1559| match vault
        .sign_subtree_transaction(root, index, tx, &approved)
        .expect_err("refused")
    {
        VaultError::DiffersFromIntent { field, .. } => field,
        VaultError::FeeAboveCeiling { .. } => "the fee",
        error => panic!("{error}"),
    };
    assert_eq!(differs(&subtree(), 1, &tx), "the sender");
    assert_eq!(differs(&other(), 0, &tx), "the sender");
    assert_eq!(differs(&subtree(), 0, &TxEip1559 { chain_id: 1, ..tx.clone() }), "the chain id");
    assert_eq!(differs(&subtree(), 0, &TxEip1559 { to: TxKind::Create, ..tx.clone() }), "the recipient");
    assert_eq!(differs(&subtree(), 0, &TxEip1559 { value: U256::from(1), ..tx.clone() }), "the value");
    assert_eq!(differs(&subtree(), 0, &TxEip1559 { input: Bytes::new(), ..tx.clone() }), "the calldata");
    assert_eq!(differs(&subtree(), 0, &TxEip1559 { max_fee_per_gas: 11, ..tx }), "the fee");
}

#[test]
fn secrets_of_a_subtree_are_its_own_and_no_keys() {
    let vault = junk();
    let secret = |root: &SubtreePath, label: &str| *vault.subtree_secret(root, label).expect("derived").expose();
    // Computed by an implementation that shares no code with this one.
    let gateway = Some(address!("0x5FbDB2315678afecb367f032d93F642f64180aa3"));
    let payments = SubtreePath::default_for(1, gateway, "payments");
    for (root, label, expect) in [
        (&payments, "", "dbb8329b23bb19a96424846c62f09e2f6eb417a7fa43f0b190e833449af5ea2f"),
        (&payments, "channel", "583c292ac70b070a60f54e14695916b31e83e8d9ca0724a451765d32094592c2"),
        (&subtree(), "channel", "63ed358a7395a5f70296fdd0a67ac9f7f7160b6d0b069e2d30070262e3d6a8aa"),
    ] {
        assert_eq!(hex::encode(secret(root, label)), expect, "{root} {label:?}");
    }
    let mut all =
        vec![secret(&subtree(), ""), secret(&subtree(), "a"), secret(&subtree(), "a\0"), secret(&other(), "a")];
    for index in 0..20 {
        let key = vault.export_subtree_key(&subtree(), index).expect("exported");
        let mut bytes = [0; 32];
        hex::decode_to_slice(&key.expose_secret()[2..], &mut bytes).expect("0x and 64 digits");
        all.push(bytes);
    }
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count, "all differ");
}

#[test]
fn threads_that_change_the_wallet_at_once_lose_nothing() {
    let home = Home::new();
    home.create(Some(JUNK)).expect("created");
    let vault = home.open();
    std::thread::scope(|scope| {
        for number in 1..=8_u8 {
            let vault = vault.clone();
            scope.spawn(move || {
                let key = SecretString::from(hex::encode([number; 32]));
                // Locked by another thread now and then; then it is tried again.
                for _ in 0..10_000 {
                    match vault.import_key(&key, &passphrase()) {
                        Ok(account) => {
                            // The other threads' keys came before or after, this one has its place for good.
                            let place = (account.index - Vault::IMPORTED) as usize;
                            assert_eq!(vault.imported()[place], account);
                            return;
                        }
                        Err(VaultError::Locked) => vault.unlock(&passphrase()).expect("unlocked"),
                        Err(error) => panic!("{error}"),
                    }
                }
                panic!("key {number} was never imported");
            });
        }
        for _ in 0..2 {
            let vault = vault.clone();
            scope.spawn(move || {
                for _ in 0..100 {
                    vault.lock_seed(&[subtree()]).or_else(|_| vault.unlock(&passphrase())).expect("one or the other");
                    vault.lock();
                    vault.change_passphrase(&passphrase(), &passphrase(), CHEAP).expect("changed");
                    vault.unlock(&passphrase()).expect("unlocked");
                }
            });
        }
    });
    vault.unlock(&passphrase()).expect("unlocked");
    let all = vault.imported();
    assert_eq!(all.len(), 8);
    for vault in [&vault, &home.open()] {
        assert_eq!(vault.imported(), all);
        assert!(all.iter().all(|account| vault.owner(account.index).expect("there") == *account));
    }
}
