use secrecy::{ExposeSecret, SecretString};

use super::*;

fn words(text: &str) -> Result<Words, VaultError> {
    Words::from_phrase(&SecretString::from(text))
}

/// Vectors of BIP-39's reference implementation (Trezor, english), with their BIP-32 root keys. They use the BIP-39
/// passphrase "TREZOR", so the seed is checked through the library that `Words` wraps.
const VECTORS: &[(&str, &str, &str)] = &[
    (
        "00000000000000000000000000000000",
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
        "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04",
    ),
    (
        "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
        "legal winner thank year wave sausage worth useful legal winner thank yellow",
        "2e8905819b8723fe2c1d161860e5ee1830318dbf49a83bd451cfb8440c28bd6fa457fe1296106559a3c80937a1c1069be3a3a5bd381ee6260e8d9739fce1f607",
    ),
    (
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote",
        "dd48c104698c30cfe2b6142103248622fb7bb0ff692eebb00089b32d22484e1613912f0a5b694407be899ffd31ed3992c456cdf60f5d4564b8ba3f05a69890ad",
    ),
];

#[test]
fn bip39_vectors() {
    for (entropy, phrase, seed) in VECTORS {
        let words = words(phrase).expect("a good phrase");
        assert_eq!(hex::encode(words.entropy()), *entropy);
        assert_eq!(words.phrase().expose_secret(), *phrase);
        let found = words.0.to_seed(Some("TREZOR")).expect("a seed");
        assert_eq!(hex::encode(&found[..]), *seed);
    }
}

#[test]
fn typing_habits_are_no_mistakes() {
    let plain = words(VECTORS[1].1).expect("a good phrase");
    let typed = words("  Legal winner\tTHANK year wave\n sausage worth useful legal winner thank yellow\n")
        .expect("a good phrase");
    assert_eq!(plain.entropy(), typed.entropy());
}

#[test]
fn mistakes_are_told_apart_and_located() {
    let good = VECTORS[1].1;
    for (position, word) in good.split(' ').enumerate() {
        let mut all: Vec<_> = good.split(' ').collect();
        let misspelt = format!("{word}x");
        all[position] = &misspelt;
        let error = words(&all.join(" ")).err().expect("an error");
        assert!(matches!(error, VaultError::UnknownWord { position: found } if found == position + 1), "{error}");
        assert!(error.to_string().contains(&format!("word {} of the phrase", position + 1)));
        assert!(!error.to_string().contains(&misspelt), "an error never repeats a word of the phrase");
    }
    let swapped = "winner legal thank year wave sausage worth useful legal winner thank yellow";
    assert!(matches!(words(swapped), Err(VaultError::Checksum)));
    assert!(matches!(words("abandon abandon"), Err(VaultError::WordCount { found: 2 })));
    assert!(matches!(words(" "), Err(VaultError::WordCount { found: 0 })));
    assert!(matches!(words(&"zoo ".repeat(13)), Err(VaultError::WordCount { found: 13 })));
}

#[test]
fn new_words_are_twelve_and_differ() {
    let (one, two) = (Words::generate().expect("random"), Words::generate().expect("random"));
    assert_ne!(one.entropy(), two.entropy());
    let phrase = one.phrase();
    assert_eq!(phrase.expose_secret().split(' ').count(), 12);
    assert_eq!(Words::from_phrase(&phrase).expect("its own phrase").entropy(), one.entropy());
}
