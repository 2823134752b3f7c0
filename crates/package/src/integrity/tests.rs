use super::*;

// Test vector: SHA-512 of the empty string.
const EMPTY: &str = "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==";

#[test]
fn the_text_is_the_one_of_npm() {
    assert_eq!(Integrity::of(b"").to_string(), EMPTY);
    assert_eq!(EMPTY.parse::<Integrity>().expect("well formed"), Integrity::of(b""));
    let listed = format!("sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk= {EMPTY}");
    assert_eq!(listed.parse::<Integrity>().expect("well formed"), Integrity::of(b""));
}

#[test]
fn anything_weaker_or_odd_is_refused() {
    for text in ["", "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "sha512-", "sha512-AAAA", "sha512-***", "SHA512-AAAA"] {
        let error = text.parse::<Integrity>().expect_err(text).to_string();
        assert!(error.contains("expected sha512-"), "{text}: {error}");
    }
    let two = format!("{EMPTY} {}", Integrity::of(b"x"));
    assert!(two.parse::<Integrity>().is_err(), "two digests leave a choice to the sender");
}

#[test]
fn one_changed_byte_is_named() {
    let pinned = Integrity::of(b"value");
    pinned.verify("the file", b"value").expect("the same bytes");
    let error = pinned.verify("the file", b"Value").expect_err("other bytes").to_string();
    assert!(error.starts_with("the file is not what was pinned: expected sha512-"), "{error}");
}
