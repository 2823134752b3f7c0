use super::*;

/// Argon2's least cost: what is tested here is not how long it takes.
const CHEAP: KdfCost = KdfCost { memory_kib: 8, passes: 1, lanes: 1 };

fn passphrase(text: &str) -> SecretString {
    SecretString::from(text)
}

fn sample() -> Keystore {
    Keystore::seal(&[7; 16], &passphrase("correct horse"), CHEAP).expect("sealed")
}

/// As an attacker would: an edited file with a fresh checksum.
fn reread(mut keystore: Keystore) -> Result<Keystore, VaultError> {
    keystore.checksum = keystore.compute_checksum()?;
    Keystore::parse(keystore.to_text()?.as_bytes())
}

/// Written by the last program that knew only version 1, with the words `test test … junk`.
const VERSION_1: &[u8] = include_bytes!("v1.json");

/// The key of its database, as that program opened it.
const VERSION_1_DATABASE: &str = "029ee0fa46b5e0f86b040953f48a566d22a8981a846d3cb1e80147b6fad6e1dc";

fn key(byte: u8) -> Locked {
    Locked::one(&[byte; 32])
}

/// With two imported keys.
fn with_imported() -> Keystore {
    let (keystore, right) = (sample(), passphrase("correct horse"));
    let master = keystore.master(&right).expect("right");
    let keystore = keystore.with_imported(&right, &master, &key(1)).expect("imported");
    keystore.with_imported(&right, &master, &key(2)).expect("imported")
}

fn is_version_1(opened: &Opened) -> bool {
    // The entropy of `test test … junk`.
    hex::encode(opened.entropy()) == "df9bf37e6fcdf9bf37e6fcdf9bf37e3c"
        && hex::encode(opened.database_key.expose()) == VERSION_1_DATABASE
}

#[test]
fn a_file_of_version_1_opens_and_becomes_version_2_when_it_is_written() {
    let right = passphrase("correct horse battery staple");
    let old = Keystore::parse(VERSION_1).expect("sound");
    assert_eq!((old.version, &old.extension), (1, &None));
    assert_eq!(old.to_text().expect("text").as_bytes(), VERSION_1, "reading changes nothing");
    assert!(is_version_1(&old.open(&right).expect("open")));
    assert!(old.imported().expect("sound").is_empty());
    assert!(matches!(old.open(&passphrase("correct horse")), Err(VaultError::WrongPassphrase)));

    let master = old.master(&right).expect("right");
    let new = passphrase("another");
    let changed = old.with_passphrase(&master, &new, CHEAP).expect("changed");
    let imported = old.with_imported(&right, &master, &key(1)).expect("imported");
    let both = changed.with_imported(&new, &master, &key(1)).expect("imported");
    for (what, keystore, passphrase, keys) in
        [("changed", changed, &new, 0), ("imported", imported, &right, 1), ("both", both, &new, 1)]
    {
        let keystore = Keystore::parse(keystore.to_text().expect("text").as_bytes()).expect(what);
        assert_eq!(keystore.version, 2, "{what}");
        assert_eq!((&keystore.seed, &keystore.database_key), (&old.seed, &old.database_key), "{what}");
        let opened = keystore.open(passphrase).expect(what);
        assert!(is_version_1(&opened), "{what}");
        assert_eq!(opened.imported.len(), keys, "{what}");
    }
}

#[test]
fn imported_keys_come_out_in_their_order() {
    let keystore = Keystore::parse(with_imported().to_text().expect("text").as_bytes()).expect("sound");
    let opened = keystore.open(&passphrase("correct horse")).expect("open");
    assert_eq!((opened.imported.get(0), opened.imported.get(1)), (&[1; 32], &[2; 32]));
    let indices: Vec<_> = keystore.imported().expect("sound").iter().map(|account| account.index).collect();
    assert_eq!(indices, [1 << 31, (1 << 31) + 1]);
}

#[test]
fn imported_keys_cannot_be_taken_away_exchanged_or_put_elsewhere() {
    type Change = fn(&mut Extension, &Extension);
    let cases: [(&str, Change); 9] = [
        ("the last one away", |extension, _| drop(extension.imported.pop())),
        ("all away", |extension, _| extension.imported.clear()),
        ("another order", |extension, _| extension.imported.swap(0, 1)),
        ("one twice", |extension, _| extension.imported.push(extension.imported[0].clone())),
        ("another wallet's", |extension, other| extension.imported = other.imported.clone()),
        ("another wallet's list", |extension, other| extension.list = other.list.clone()),
        ("another wallet's origin", |extension, other| extension.origin = other.origin.clone()),
        ("another public key", |extension, _| {
            extension.imported[0].public_key = extension.imported[1].public_key.clone();
        }),
        ("another sealed key", |extension, _| extension.imported[0].key = extension.imported[1].key.clone()),
    ];
    let other = with_imported().extension.expect("version 2");
    for (what, change) in cases {
        let mut keystore = with_imported();
        change(keystore.extension.as_mut().expect("version 2"), &other);
        let outcome = reread(keystore).and_then(|keystore| keystore.open(&passphrase("correct horse")).map(|_| ()));
        assert!(matches!(outcome, Err(VaultError::Damaged { .. })), "{what}: {outcome:?}");
    }
}

#[test]
fn a_file_cannot_be_made_an_older_one() {
    let mut keystore = with_imported();
    (keystore.version, keystore.extension) = (1, None);
    let outcome = reread(keystore).expect("a version 1 by its form").open(&passphrase("correct horse"));
    assert!(matches!(outcome, Err(VaultError::WrongPassphrase)));
    let mut keystore = with_imported();
    keystore.version = 1;
    assert!(matches!(reread(keystore), Err(VaultError::Damaged { .. })));
    let mut keystore = with_imported();
    keystore.extension = None;
    assert!(matches!(reread(keystore), Err(VaultError::Damaged { .. })));
}

#[test]
fn a_full_keystore_is_read_and_takes_no_more() {
    let (mut keystore, right) = (sample(), passphrase("correct horse"));
    let master = keystore.master(&right).expect("right");
    for number in 1..=MAX_IMPORTED {
        let mut secret = Locked::new(1);
        secret.get_mut(0)[24..].copy_from_slice(&(number as u64).to_be_bytes());
        keystore = keystore.with_imported(&right, &master, &secret).expect("imported");
    }
    let text = keystore.to_text().expect("text");
    assert!(text.len() < MAX_FILE / 2, "{} bytes", text.len());
    let keystore = Keystore::parse(text.as_bytes()).expect("sound");
    assert_eq!(keystore.open(&right).expect("open").imported.len(), MAX_IMPORTED);
    let more = keystore.with_imported(&right, &master, &key(7));
    assert!(matches!(more, Err(VaultError::TooManyImported { most: MAX_IMPORTED })));
}

#[test]
fn what_was_sealed_comes_out() {
    let keystore = Keystore::parse(sample().to_text().expect("text").as_bytes()).expect("sound");
    let opened = keystore.open(&passphrase("correct horse")).expect("open");
    assert_eq!(opened.entropy(), [7; 16]);
    assert_ne!(opened.database_key.expose(), &[0; 32]);
    let again = keystore.open(&passphrase("correct horse")).expect("open");
    assert_eq!(opened.database_key.expose(), again.database_key.expose());
}

#[test]
fn nothing_repeats_between_two_keystores_of_the_same_words() {
    let (one, two) = (sample(), sample());
    assert_ne!(one.kdf.salt, two.kdf.salt);
    assert_ne!(one.seed.nonce, two.seed.nonce);
    assert_ne!(one.seed.ciphertext, two.seed.ciphertext);
    let key = |keystore: &Keystore| *keystore.open(&passphrase("correct horse")).expect("open").database_key.expose();
    assert_ne!(key(&one), key(&two));
}

#[test]
fn a_wrong_passphrase_is_called_that() {
    for wrong in ["", "correct horsf", "correct horse ", "Correct horse"] {
        assert!(matches!(sample().open(&passphrase(wrong)), Err(VaultError::WrongPassphrase)), "{wrong:?}");
    }
    assert!(matches!(Keystore::seal(&[7; 16], &passphrase(""), CHEAP), Err(VaultError::EmptyPassphrase)));
}

#[test]
fn every_changed_byte_is_an_error() {
    let content = with_imported().to_text().expect("text").into_bytes();
    for position in 0..content.len() {
        // The lowest bit turns digits into others, 0x20 changes the case of a letter, 0xff makes no UTF-8.
        for mask in [0x01, 0x20, 0xff] {
            let mut changed = content.clone();
            changed[position] ^= mask;
            let error = Keystore::parse(&changed).err();
            let error = error.unwrap_or_else(|| panic!("byte {position} ^ {mask:#x} went unseen"));
            assert!(
                matches!(error, VaultError::Damaged { .. } | VaultError::NewerVersion { .. }),
                "byte {position} ^ {mask:#x}: {error}"
            );
        }
    }
}

#[test]
fn every_cut_and_every_addition_is_an_error() {
    let content = sample().to_text().expect("text").into_bytes();
    for length in 0..content.len() {
        assert!(matches!(Keystore::parse(&content[..length]), Err(VaultError::Damaged { .. })), "{length} bytes");
    }
    let mut longer = content.clone();
    longer.push(b'\n');
    assert!(matches!(Keystore::parse(&longer), Err(VaultError::Damaged { .. })));
    assert!(matches!(Keystore::parse(&vec![b' '; MAX_FILE + 1]), Err(VaultError::Damaged { .. })));
}

#[test]
fn parts_cannot_be_changed_or_exchanged_even_with_a_fresh_checksum() {
    let right = passphrase("correct horse");
    let cases: [fn(&mut Keystore, &Keystore); 8] = [
        |keystore, _| keystore.kdf.cost.passes = 2,
        |keystore, _| keystore.kdf.cost.memory_kib = 16,
        |keystore, other| keystore.kdf.salt = other.kdf.salt.clone(),
        |keystore, other| keystore.master = other.master.clone(),
        |keystore, other| keystore.seed = other.seed.clone(),
        |keystore, other| keystore.database_key = other.database_key.clone(),
        // Sealed under the same key with the same header, but for another place.
        |keystore, _| keystore.seed = keystore.database_key.clone(),
        |keystore, _| keystore.seed.ciphertext.truncate(8),
    ];
    for (number, change) in cases.iter().enumerate() {
        let mut keystore = sample();
        change(&mut keystore, &sample());
        let error = reread(keystore).and_then(|keystore| keystore.open(&right).map(|_| ())).expect_err("refused");
        assert!(matches!(error, VaultError::WrongPassphrase | VaultError::Damaged { .. }), "case {number}: {error}");
    }
}

#[test]
fn costs_out_of_bounds_are_refused_before_they_are_paid() {
    let right = passphrase("correct horse");
    for (memory_kib, passes, lanes) in
        [(u32::MAX, 1, 1), (8, u32::MAX, 1), (8, 0, 1), (7, 1, 1), (8, 1, 0), (8, 1, 2), (1024, 1, 17)]
    {
        let cost = KdfCost { memory_kib, passes, lanes };
        assert!(matches!(Keystore::seal(&[7; 16], &right, cost), Err(VaultError::Cost { .. })), "{cost:?}");
        let mut keystore = sample();
        keystore.kdf.cost = cost;
        assert!(matches!(reread(keystore), Err(VaultError::Cost { .. })), "{cost:?} in a file");
    }
}

#[test]
fn a_newer_file_is_not_called_damaged() {
    let newer = br#"{ "version": 3, "something": "else" }"#;
    let error = Keystore::parse(newer).expect_err("refused");
    assert_eq!(error.to_string(), "the keystore has version 3, this program knows version 2; use a newer entresol");
    assert!(matches!(Keystore::parse(br#"{ "version": 0 }"#), Err(VaultError::Damaged { .. })));
    let mut other = sample();
    other.kdf.algorithm = "scrypt".to_owned();
    assert!(matches!(reread(other), Err(VaultError::Damaged { .. })));
}

#[test]
fn debug_shows_no_secret() {
    let key = sample().open(&passphrase("correct horse")).expect("open").database_key;
    assert_eq!(format!("{key:?}"), "DatabaseKey([redacted])");
}

proptest::proptest! {
    #[test]
    fn no_content_panics(content in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        proptest::prop_assert!(Keystore::parse(&content).is_err());
    }
}
