use alloy::primitives::address;

use super::*;

fn check(text: &str, expect: Result<&str, PathError>) {
    let found = text.parse::<SubtreePath>().map(|path| path.to_string());
    assert_eq!(found, expect.map(str::to_owned), "{text:?}");
}

#[test]
fn one_spelling_comes_out() {
    check("m/43'/60'/1775'/7'", Ok("m/43'/60'/1775'/7'"));
    check("m/43h/60H/1775'/0h", Ok("m/43'/60'/1775'/0'"));
    check("m/1775'/60'/2147483647'", Ok("m/1775'/60'/2147483647'"));
}

#[test]
fn wallet_paths_are_refused() {
    let owner = "BIP-44 wallets, this one's own owner accounts among them";
    let money = |purpose, owner| Err(PathError::Money { purpose, owner });
    // Above, equal to, below and beside the owner accounts.
    for path in
        ["m/44'", "m/44'/60'", "m/44'/60'/0'", "m/44h/60h/0h", "m/44'/60'/0'/0'", "m/44'/60'/0'/0'/0'", "m/44'/60'/7'"]
    {
        check(path, money(44, owner));
    }
    check("m/49'/0'/0'", money(49, "BIP-49 wallets"));
    check("m/84'/0'/0'", money(84, "BIP-84 wallets"));
    check("m/86'/0'/0'", money(86, "BIP-86 wallets"));
    check("m/0'/0'/0'", money(0, "BIP-32 wallets"));
    check("m/83696968'/39'/0'/12'/0'", money(83_696_968, "BIP-85, which makes whole wallets of one"));
}

#[test]
fn every_level_is_hardened() {
    check("m/43'/60'/1775'/7", Err(PathError::NotHardened { level: 4 }));
    check("m/43/60'/1775'", Err(PathError::NotHardened { level: 1 }));
    // The owner accounts as they are usually written.
    check("m/44'/60'/0'/0/0", Err(PathError::NotHardened { level: 4 }));
}

#[test]
fn odd_spellings_are_refused() {
    for text in ["", "m", "43'/60'/7'", "M/43'/60'/7'", " m/43'/60'/7'", "/43'/60'/7'", "m'/43'/60'/7'"] {
        check(text, Err(PathError::Start));
    }
    for text in [
        "m/",
        "m//43'/60'/7'",
        "m/+43'/60'/7'",
        "m/-1'/60'/7'",
        "m/043'/60'/7'",
        "m/00'/60'/7'",
        "m/0x2b'/60'/7'",
        "m/4 3'/60'/7'",
        "m/２'/60'/7'",
        "m/2147483648'/60'/7'",
        "m/99999999999999999999'/60'/7'",
        "m/43''/60'/7'",
        "m/43'h/60'/7'",
        "m/'/60'/7'",
        "m/43’/60'/7'",
        "m/*'/60'/7'",
        "m/../60'/7'",
    ] {
        check(text, Err(PathError::Number { level: 1 }));
    }
    check("m/43'/60'/7'/", Err(PathError::Number { level: 4 }));
    check("m/43'//60'/7'", Err(PathError::Number { level: 2 }));
    check("m/43'/60'/7' ", Err(PathError::Number { level: 3 }));
    check("m/43'/60'/2147483648", Err(PathError::Number { level: 3 }));
}

#[test]
fn roots_that_claim_too_much_are_refused() {
    check("m/43'", Err(PathError::AboveDefaults));
    check("m/43'/60'", Err(PathError::AboveDefaults));
    check("m/43'/60'/1775'", Err(PathError::AboveDefaults));
    check("m/43'/61'", Err(PathError::Levels { found: 2 }));
    check("m/7'", Err(PathError::Levels { found: 1 }));
    check(&format!("m{}", "/7'".repeat(16)), Ok(&format!("m{}", "/7'".repeat(16))));
    check(&format!("m{}", "/7'".repeat(17)), Err(PathError::Levels { found: 17 }));
    check(&format!("m/{}", "/".repeat(100_000)), Err(PathError::Levels { found: 100_001 }));
}

#[test]
fn overlap_is_equal_above_or_below() {
    let path = |text: &str| text.parse::<SubtreePath>().expect("allowed");
    let root = path("m/43'/60'/9'");
    for (other, overlaps) in [
        ("m/43h/60h/9h", true),
        ("m/43'/60'/9'/0'", true),
        ("m/43'/60'/9'/0'/1'", true),
        ("m/43'/60'/8'", false),
        ("m/43'/60'/90'", false),
        ("m/42'/60'/9'", false),
    ] {
        assert_eq!(root.overlaps(&path(other)), overlaps, "{other}");
        assert_eq!(path(other).overlaps(&root), overlaps, "{other}, the other way round");
    }
}

#[test]
fn default_roots_depend_on_chain_gateway_and_package_and_never_change() {
    let gateway = address!("0x5FbDB2315678afecb367f032d93F642f64180aa3");
    let all = [
        SubtreePath::default_for(1, Some(gateway), "payments"),
        SubtreePath::default_for(2, Some(gateway), "payments"),
        SubtreePath::default_for(1, None, "payments"),
        SubtreePath::default_for(1, Some(Address::ZERO), "payments"),
        SubtreePath::default_for(1, Some(gateway), "payment"),
    ];
    for (i, one) in all.iter().enumerate() {
        assert_eq!(one.to_string().parse().as_ref(), Ok(one), "a default root is an allowed path");
        assert_eq!(one.to_string().split('/').count(), 8);
        assert!(all[..i].iter().all(|other| !one.overlaps(other)));
    }
    // Pinned: users find their keys again after a restore only if this never changes.
    expect_test::expect!["m/43'/60'/1775'/1078252738'/1558610476'/46304231'/1945530857'"]
        .assert_eq(&all[0].to_string());
}

/// Golden values: users find their keys again after a restore only if these never change. They were computed by an
/// implementation of keccak256 and of the splitting that shares no code with this one.
#[test]
fn erc1775_default_roots_are_pinned() {
    let gateway = Some(address!("0x5FbDB2315678afecb367f032d93F642f64180aa3"));
    let all_bits = Some(Address::repeat_byte(0xff));
    for (chain, gateway, package, expect) in [
        (1, gateway, "payments", "m/43'/60'/1775'/1078252738'/1558610476'/46304231'/1945530857'"),
        (1, None, "payments", "m/43'/60'/1775'/1484741291'/2034388639'/657365097'/53478830'"),
        (31337, gateway, "@entresol/payments", "m/43'/60'/1775'/650967466'/2088748670'/1825486931'/267542543'"),
        (11_155_111, None, "", "m/43'/60'/1775'/885882296'/2022348849'/777513569'/1030818330'"),
        (u64::MAX, all_bits, "ünï/çødé", "m/43'/60'/1775'/1398651654'/904111456'/1773600212'/494368956'"),
    ] {
        assert_eq!(SubtreePath::default_for(chain, gateway, package).to_string(), expect);
    }
}

#[test]
fn erc1775_splits_the_first_124_bits_of_the_hash_from_the_left() {
    let path = SubtreePath::default_for(7, None, "split");
    let mut text = b"entresol subtree v1\n".to_vec();
    text.extend([0, 0, 0, 0, 0, 0, 0, 7, 0]);
    text.extend([0; 20]);
    text.extend(b"split");
    let bits: String = keccak256(text).iter().map(|byte| format!("{byte:08b}")).collect();
    let numbers = (0..4).map(|level| u32::from_str_radix(&bits[31 * level..31 * (level + 1)], 2).expect("31 bits"));
    assert_eq!(path.levels, [43, 60, 1775].into_iter().chain(numbers).collect::<Vec<_>>());
    assert!(path.child_numbers().all(|number| number >= HARDENED), "hardened at every level");
}

#[test]
fn json_goes_through_the_parser() {
    let path: SubtreePath = serde_json::from_str("\"m/43h/60h/9h\"").expect("allowed");
    assert_eq!(serde_json::to_string(&path).expect("text"), "\"m/43'/60'/9'\"");
    assert!(serde_json::from_str::<SubtreePath>("\"m/44'/60'/0'\"").is_err());
}

proptest::proptest! {
    #[test]
    fn no_text_panics_and_what_is_accepted_is_canonical(text in "m?/?[0-9'hH/+m ]{0,40}") {
        if let Ok(path) = text.parse::<SubtreePath>() {
            let canonical = path.to_string();
            proptest::prop_assert_eq!(canonical.parse::<SubtreePath>(), Ok(path));
            proptest::prop_assert_eq!(text.replace(['h', 'H'], "'"), canonical);
        }
    }
}
