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
    let content = sample().to_text().expect("text").into_bytes();
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
