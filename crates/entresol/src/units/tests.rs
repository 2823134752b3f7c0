use super::*;

fn check(text: &str, expected: Result<u128, &str>) {
    match (parse_amount(text), expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found, U256::from(expected), "{text}"),
        (Err(error), Err(part)) => assert!(format!("{error:#}").contains(part), "{text}: {error:#}"),
        (found, _) => panic!("{text}: {found:?}, expected {expected:?}"),
    }
}

#[test]
fn amounts_are_read() {
    check("7", Ok(7));
    check("7 wei", Ok(7));
    check("20 gwei", Ok(20_000_000_000));
    check("0.5 ether", Ok(500_000_000_000_000_000));
    check("0.5ether", Ok(500_000_000_000_000_000));
    check(" 1 ETH ", Ok(1_000_000_000_000_000_000));
    check("0.000000000000000001 ether", Ok(1));
    check("0.5", Err("needs a unit"));
    check("0.5 wei", Err("finer than one wei"));
    check("1 pound", Err("not a unit"));
    check("-1 ether", Err("not a unit"));
    check("", Err("not an amount"));
    check(".5 ether", Err("not an amount"));
    check("5. ether", Err("not an amount"));
    check("1.2.3 ether", Err("not an amount"));
    check("1e18", Err("not a unit"));
    check(&"9".repeat(79), Err("too large"));
}

#[test]
fn only_a_stated_unit_counts_among_other_words() {
    assert_eq!(amount_with_unit("1 gwei"), Some(U256::from(1_000_000_000)));
    assert_eq!(amount_with_unit("1"), None);
    assert_eq!(amount_with_unit("hello"), None);
}

#[test]
fn amounts_are_shown_exactly() {
    assert_eq!(ether("0"), "0 ETH");
    assert_eq!(ether("1000000000000000000"), "1 ETH");
    assert_eq!(ether("10000000000000000000"), "10 ETH");
    assert_eq!(ether("1"), "0.000000000000000001 ETH");
    assert_eq!(ether("none"), "none");
}
