//! No secret is ever printed.

use std::io::{Read, Write};

use alloy::dyn_abi::TypedData;

use super::*;
use crate::backup;

/// Every way in which Rust, JSON or a hasty `format!` would write these bytes, cut to 8 bytes so that a part is found
/// as well.
fn spellings(bytes: &[u8]) -> Vec<String> {
    bytes
        .chunks_exact(8)
        .flat_map(|part| {
            let list = |text: String| text.trim_matches(['[', ']']).to_owned();
            [
                hex::encode(part),
                hex::encode_upper(part),
                list(format!("{part:?}")),
                list(format!("{part:x?}")),
                list(format!("{part:#?}")),
                list(format!("{part:02x?}")),
            ]
        })
        .collect()
}

#[test]
fn no_public_type_prints_a_secret() {
    let home = Home::new();
    home.create(Some(JUNK)).expect("created");
    let (vault, database) = Vault::open(&home.keystore(), &passphrase()).expect("open");
    let imported = SecretString::from("a7".repeat(32));
    let account = vault.import_key(&imported, &passphrase()).expect("imported");
    let secret = vault.subtree_secret(&subtree(), "label").expect("derived");
    let root = {
        let words = crate::mnemonic::Words::from_phrase(&SecretString::from(JUNK)).expect("good words");
        words.root().expect("a root")
    };
    let mut kept = crate::locked::Locked::new(2);
    crate::keys::keep(&root, &mut kept, 0);

    let mut needles: Vec<String> = [kept.get(0), kept.get(1), database.expose(), secret.expose(), &[0xa7; 32]]
        .into_iter()
        .flat_map(|bytes| spellings(bytes))
        .collect();
    for index in [0, Vault::IMPORTED] {
        let key = vault.export_owner_key(index, &passphrase()).expect("exported");
        needles.extend(spellings(&hex::decode(&key.expose_secret()[2..]).expect("hex")));
    }
    let key = vault.export_subtree_key(&subtree(), 0).expect("exported");
    needles.extend(spellings(&hex::decode(&key.expose_secret()[2..]).expect("hex")));
    needles.extend(["test test", "junk", "correct horse", "a7a7"].map(str::to_owned));

    let message = Intent::Message { from: account.address, message: Bytes::from_static(b"hello") };
    let approved = Approved::new(message.clone(), 1, message.digest()).expect("its own digest");
    let transaction = Intent::Transaction {
        chain_id: 1,
        from: account.address,
        to: TxKind::Call(Address::ZERO),
        value: U256::ZERO,
        input: Bytes::new(),
        max_total_fee: U256::MAX,
    };
    let tx = TxEip1559 { chain_id: 1, to: TxKind::Call(Address::ZERO), ..TxEip1559::default() };
    let approved_transaction = Approved::new(transaction.clone(), 1, transaction.digest()).expect("its own digest");
    let signed = vault.sign_transaction(account.index, &tx, &approved_transaction).expect("signed");
    let mut writer = backup::seal(Vec::new(), &passphrase(), CHEAP).expect("begun");
    writer.write_all(JUNK.as_bytes()).expect("written");
    let writing = format!("{writer:?} {writer:#?}");
    let file = writer.finish().expect("finished");
    let mut reader = backup::open(&file[..], &passphrase()).expect("open");
    reader.read_exact(&mut [0; 4]).expect("sound");
    // The rest of the words is in its buffer now.
    let reading = format!("{reader:?} {reader:#?}");
    let typed = TypedData {
        domain: Default::default(),
        resolver: Default::default(),
        primary_type: String::new(),
        message: serde_json::Value::Null,
    };

    let bad = |key: &str| vault.import_key(&SecretString::from(key), &passphrase()).expect_err("refused");
    let open = |path: &std::path::Path, word: &str| Vault::open(path, &SecretString::from(word)).expect_err("refused");
    let create = |words: &str| home.create(Some(words)).expect_err("refused");
    let errors = [
        bad(&format!("0x{}zz", "a7".repeat(31))),
        bad(imported.expose_secret()),
        bad(JUNK),
        open(&home.keystore(), "correct horse battery"),
        open(&home.keystore().join("nowhere"), "correct horse battery"),
        create(JUNK),
        Home::new().create(Some("test test test junk")).expect_err("refused"),
        Home::new().create(Some(&JUNK.replace("junk", "test"))).expect_err("refused"),
        Home::new().create(Some(&JUNK.replace("junk", "junks"))).expect_err("refused"),
        backup::open(&file[..], &SecretString::from("correct horse battery")).expect_err("refused"),
    ];

    macro_rules! both {
        ($name:literal, $value:expr) => {{
            let value = &$value;
            ($name, [format!("{value:?}"), format!("{value:#?}")])
        }};
    }
    let mut printed = vec![
        both!("Vault", vault),
        both!("DatabaseKey", database),
        both!("SecretBytes32", secret),
        both!("Account", account),
        both!("Approved", approved),
        both!("Intent", transaction),
        both!("SignedTransaction", signed),
        both!("SubtreePayload", SubtreePayload::TypedData(typed)),
        both!("SubtreePath", subtree()),
        both!("PathError", "m/44'".parse::<SubtreePath>().expect_err("refused")),
        both!("KdfCost", CHEAP),
        ("backup", [writing, reading]),
        // Not public, but part of what is.
        both!("Locked", kept),
        both!("Keystore", crate::keystore::Keystore::read(&home.keystore()).expect("sound")),
    ];
    printed.extend(errors.iter().map(|error| both!("VaultError", error)));
    printed.extend(errors.iter().map(|error| ("VaultError", [error.to_string(), String::new()])));
    vault.lock_seed(&[subtree()]).expect("locked");
    printed.push(both!("Vault", vault));

    for (name, texts) in &printed {
        for (text, needle) in texts.iter().flat_map(|text| needles.iter().map(move |needle| (text, needle))) {
            // A keystore prints random hexadecimal, in which a few digits stand by chance.
            if *name == "Keystore" && needle.len() < 8 {
                continue;
            }
            assert!(!text.contains(needle), "{name} prints {needle}: {text}");
        }
    }
    // The list above is all there is.
    for line in include_str!("../lib.rs").lines().filter(|line| line.starts_with("pub ")) {
        let names = line.trim_start_matches("pub use ").trim_start_matches("pub mod ").trim_end_matches(';');
        let names = names.rsplit("::").next().expect("a name").trim_matches(['{', '}']);
        for name in names.split(", ") {
            assert!(printed.iter().any(|(covered, _)| *covered == name), "{name} is public and not looked at here");
        }
    }
}

#[test]
fn the_needles_would_be_found() {
    let bytes = [0xa7; 32];
    let needles = spellings(&bytes);
    for text in [format!("{bytes:?}"), format!("{bytes:x?}"), format!("{bytes:#?}"), hex::encode(bytes)] {
        assert!(needles.iter().any(|needle| text.contains(needle)), "{text}");
    }
}
