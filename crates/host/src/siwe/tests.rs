use super::*;
use crate::error::code;

/// The example of EIP-4361.
const EXAMPLE: &str = "\
https://example.com wants you to sign in with your Ethereum account:
0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2

I accept the ExampleOrg Terms of Service: https://example.com/tos

URI: https://example.com/login
Version: 1
Chain ID: 1
Nonce: 32891756
Issued At: 2021-09-30T16:25:24Z
Resources:
- ipfs://bafybeiemxf5abjwjbikoz4mc3a3dla6ual3jsgpdr4cjr3oz3evfyavhwq/
- https://example.com/my-web2-claim.json";

const NOW: u64 = 1_633_019_124_000;

fn expected(origin: &str) -> Expected<'_> {
    let address = Message::parse(EXAMPLE).unwrap().address;
    Expected { origin, address, chain_id: 1, now: NOW }
}

fn refused(text: &str, words: &str) {
    let error = Message::parse(text).expect_err("refused");
    assert!(error.message.contains(words), "{error} says nothing of {words:?}");
}

#[test]
fn the_standards_example_is_read() {
    let message = Message::parse(EXAMPLE).unwrap();
    assert_eq!((message.scheme.as_deref(), message.domain.as_str()), (Some("https"), "example.com"));
    assert_eq!(message.statement.as_deref(), Some("I accept the ExampleOrg Terms of Service: https://example.com/tos"));
    assert_eq!((message.chain_id, message.nonce.as_str(), message.issued_at), (1, "32891756", NOW));
    assert_eq!(message.resources.len(), 2);
    assert!(message.check(&expected("https://example.com")).is_ok());
    assert!(message.rows().iter().any(|row| row.label == "Issued" && row.value == "2021-09-30T16:25:24Z"));
    let full = EXAMPLE.replace(
        "Resources:",
        "Expiration Time: 2021-10-01T00:00:00.5+02:00\nNot Before: 2021-09-30T00:00:00Z\nRequest ID: a-1\nResources:",
    );
    let message = Message::parse(&full).unwrap();
    assert_eq!(message.expiration_time, Some(1_633_039_200_500));
    assert_eq!(message.request_id.as_deref(), Some("a-1"));
    let bare = EXAMPLE
        .replace("https://example.com wants", "example.com:8080 wants")
        .replace("I accept the ExampleOrg Terms of Service: https://example.com/tos\n", "");
    let message = Message::parse(bare.split("\nResources").next().unwrap()).unwrap();
    assert_eq!((message.domain.as_str(), message.statement, message.scheme), ("example.com:8080", None, None));
}

#[test]
fn what_only_looks_like_a_sign_in_does_not_parse() {
    refused(&EXAMPLE.replace("0xC02a", "0xc02a"), "EIP-55");
    refused(&EXAMPLE.replace("Version: 1", "Version: 2"), "Version");
    refused(&EXAMPLE.replace("32891756", "3289175"), "Nonce");
    refused(&EXAMPLE.replace("Chain ID: 1", "Chain ID: +1"), "Chain ID");
    refused(&EXAMPLE.replace("URI: https://example.com/login", "URI: nowhere"), "URI");
    refused(&EXAMPLE.replace("2021-09-30T16", "2021-02-30T16"), "Issued At");
    refused(&EXAMPLE.replace("Issued At", "Issued at"), "Issued At");
    refused(&EXAMPLE.replace("https://example.com wants", "https://user@example.com wants"), "domain");
    refused(&EXAMPLE.replace("- ipfs", "* ipfs"), "Resources");
    refused(&EXAMPLE.replace("Nonce", "Surprise: 1\nNonce"), "Nonce");
    refused(&EXAMPLE.replace("I accept", "I\naccept"), "one line");
    refused(&EXAMPLE.replace("I accept", "I \u{202e}accept"), "characters");
    refused(&EXAMPLE.replace('\n', "\r\n"), "first line");
    refused(EXAMPLE.split("\nNonce").next().unwrap(), "Nonce");
    for text in [EXAMPLE, &EXAMPLE.replace("wants you", "WANTS  you"), &EXAMPLE.replace("Ethereum account:", "Eth:")] {
        assert!(looks_like_siwe(text), "{text}");
    }
    assert!(!looks_like_siwe("I owe you five"));
}

#[test]
fn row_08_a_sign_in_for_another_site_account_chain_or_time_is_refused() {
    let message = Message::parse(EXAMPLE).unwrap();
    let refused = |expected: Expected<'_>, words: &str| {
        let error = message.check(&expected).expect_err("refused");
        assert_eq!(error.code, code::UNAUTHORIZED);
        assert!(error.message.contains(words), "{error}");
    };
    for origin in
        ["https://evil.example", "https://example.com:8443", "https://example.com.evil.example", "example.com"]
    {
        refused(expected(origin), if origin.contains("://") { "sign in there as you" } else { "origin" });
    }
    refused(expected("http://example.com"), "https://");
    refused(Expected { address: Address::ZERO, ..expected("https://example.com") }, "for the account");
    refused(Expected { chain_id: 5, ..expected("https://example.com") }, "chain 1");
    let timed = |line: &str| Message::parse(&EXAMPLE.replace("Resources:", &format!("{line}\nResources:"))).unwrap();
    for (line, words) in
        [("Expiration Time: 2021-09-30T16:25:24Z", "expired"), ("Not Before: 2021-09-30T16:25:25Z", "not valid yet")]
    {
        let error = timed(line).check(&expected("https://example.com")).expect_err("refused");
        assert!(error.message.contains(words), "{error}");
    }
    // Things that are allowed and told.
    let elsewhere = Message::parse(&EXAMPLE.replace("URI: https://example.com", "URI: https://other.example")).unwrap();
    let warnings = elsewhere.check(&expected("https://example.com")).unwrap();
    assert!(warnings.iter().any(|text| text.contains("not the site that asks")), "{warnings:?}");
    let recap = Message::parse(&EXAMPLE.replace("- ipfs://", "- urn:recap:")).unwrap();
    assert!(recap.check(&expected("https://example.com")).unwrap().iter().any(|text| text.contains("capabilities")));
}

#[test]
fn times_are_read_and_written() {
    for (text, millis) in [
        ("1970-01-01T00:00:00Z", Some(0)),
        ("2000-02-29T12:00:00+12:00", Some(951_782_400_000)),
        ("2021-09-30t16:25:24.123456z", Some(1_633_019_124_123)),
        ("1969-12-31T23:59:59Z", None),
        ("2021-13-01T00:00:00Z", None),
        ("2021-09-30T16:25:24", None),
        ("2021-09-30 16:25:24Z", None),
        ("2021-09-30T16:25:24.Z", None),
        ("2021-09-30T16:25:24+0200", None),
        ("+021-09-30T16:25:24Z", None),
    ] {
        assert_eq!(read_time(text), millis, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn every_second_comes_back(seconds in 0_u64..253_402_300_800) {
        proptest::prop_assert_eq!(read_time(&time_text(seconds * 1000)), Some(seconds * 1000));
    }

    #[test]
    fn foreign_text_never_panics(text in "(\\PC|\n){0,400}", cut in 0_usize..600) {
        let _ = Message::parse(&text);
        let _ = Message::parse(&EXAMPLE.chars().take(cut).collect::<String>());
        let _ = read_time(&text);
    }
}
