use super::*;
use proptest::prelude::*;

const GATEWAY: Address = Address::repeat_byte(0x11);
const COIN: Address = Address::repeat_byte(0x22);
const OTHER_COIN: Address = Address::repeat_byte(0x33);
const ALICE: Address = Address::repeat_byte(0xaa);
const MALLORY: Address = Address::repeat_byte(0xbb);

fn n(value: u64) -> U256 {
    U256::from(value)
}

fn rule() -> Rule {
    Rule {
        actions: vec!["pay".into(), "topUp".into()],
        contracts: vec!["deposit(address)".into()],
        per_call: n(100),
        per_window: n(250),
        window_ms: DAY_MS,
        max_count: None,
        recipients: None,
        tokens: Vec::new(),
    }
}

fn ask(amount: u64) -> Ask {
    Ask {
        what: What::Action { name: "pay".into() },
        amount: n(amount),
        fee: U256::ZERO,
        token: None,
        recipients: Vec::new(),
    }
}

fn contract(address: Address, signature: &str, selector: [u8; 4]) -> Ask {
    Ask { what: What::Contract { address, signature: signature.into(), selector }, ..ask(0) }
}

/// `words` is what the refusal says, `None` that it passes.
#[track_caller]
fn check(rule: &Rule, ask: &Ask, spent: &Spent, words: Option<&str>) {
    check_of("pay", rule, ask, spent, words);
}

#[track_caller]
fn check_of(action: &str, rule: &Rule, ask: &Ask, spent: &Spent, words: Option<&str>) {
    match (rule.decide(action, ask, spent), words) {
        (Ok(()), None) => {}
        (Err(why), Some(words)) => assert!(why.contains(words), "{why:?} says nothing of {words:?}"),
        (verdict, words) => panic!("{verdict:?}, expected {words:?}: {ask:?} after {spent:?}"),
    }
}

#[test]
fn every_limit_holds_at_its_edge() {
    let none = Spent::default();
    check(&rule(), &ask(100), &none, None);
    check(&rule(), &ask(101), &none, Some("one request"));
    check(&rule(), &Ask { fee: n(1), ..ask(99) }, &none, None);
    check(&rule(), &Ask { fee: n(1), ..ask(100) }, &none, Some("one request"));
    let spent = Spent { amount: n(140), fee: n(10), count: 2, token: U256::ZERO };
    check(&rule(), &ask(100), &spent, None);
    check(&rule(), &ask(100), &Spent { fee: n(11), ..spent }, Some("window"));
    check(&rule(), &Ask { fee: n(2), ..ask(99) }, &spent, Some("one request"));
    check(&rule(), &ask(0), &Spent { amount: n(250), ..none }, None);
    check(&rule(), &ask(1), &Spent { amount: n(250), ..none }, Some("window"));
    // What was spent while the limit was higher does not wrap round.
    check(&rule(), &ask(1), &Spent { amount: U256::MAX, fee: U256::MAX, ..none }, Some("window"));
    check(&rule(), &Ask { fee: U256::MAX, ..ask(100) }, &none, Some("one request"));
    check(&rule(), &Ask { amount: U256::MAX, fee: n(2), ..ask(0) }, &none, Some("one request"));

    let counted = Rule { max_count: Some(2), ..rule() };
    check(&counted, &ask(1), &Spent { count: 1, ..none }, None);
    check(&counted, &ask(1), &Spent { count: 2, ..none }, Some("number of requests"));
    check(&counted, &ask(0), &Spent { count: 3, ..none }, Some("number of requests"));
}

#[test]
fn only_what_is_named_passes() {
    let none = Spent::default();
    check_of("other", &rule(), &ask(1), &none, Some("other is not in the policy"));
    // The open action is in the policy, the one that is asked for is not.
    let other = Ask { what: What::Action { name: "drain".into() }, ..ask(0) };
    check(&rule(), &other, &none, Some("drain is not in the policy"));
    check(&rule(), &contract(GATEWAY, "deposit(address)", [1, 2, 3, 4]), &none, None);
    check(&rule(), &contract(GATEWAY, "deposit(uint256)", [1, 2, 3, 4]), &none, Some("deposit(uint256)"));
    check_of("other", &rule(), &contract(GATEWAY, "deposit(address)", [1, 2, 3, 4]), &none, Some("other"));
    check(&rule(), &Ask { what: What::Signature, ..ask(0) }, &none, Some("signature"));
    check(&rule(), &Ask { what: What::Other, ..ask(0) }, &none, Some("no policy"));
}

#[test]
fn recipients_are_a_closed_list() {
    let none = Spent::default();
    let rule = Rule { recipients: Some(vec![ALICE]), ..rule() };
    let to = |recipients: &[Address]| Ask { recipients: recipients.to_vec(), ..ask(1) };
    check(&rule, &to(&[ALICE]), &none, None);
    check(&rule, &to(&[ALICE, ALICE]), &none, None);
    check(&rule, &to(&[MALLORY]), &none, Some("is not among"));
    check(&rule, &to(&[ALICE, MALLORY]), &none, Some("is not among"));
    check(&rule, &to(&[Address::ZERO]), &none, Some("is not among"));
    check(&rule, &to(&[]), &none, Some("states none"));
    check(&super::tests::rule(), &to(&[MALLORY]), &none, None);
}

/// Functions that move tokens, or give somebody power over them.
const MOVES_TOKENS: [&str; 13] = [
    "transfer(address,uint256)",
    "transferFrom(address,address,uint256)",
    "approve(address,uint256)",
    "increaseAllowance(address,uint256)",
    "setApprovalForAll(address,bool)",
    "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
    "permit(address,address,uint256,uint256,bool,uint8,bytes32,bytes32)",
    "safeTransferFrom(address,address,uint256)",
    "safeTransferFrom(address,address,uint256,bytes)",
    "safeTransferFrom(address,address,uint256,uint256,bytes)",
    "safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)",
    "approve(address,address,uint160,uint48)",
    "transferFrom(address,address,uint160,address)",
];

#[test]
fn row_23_token_moving_selectors_pass_only_with_a_limit_for_that_very_token() {
    let none = Spent::default();
    let limit = |token, per_call, per_window| TokenLimit { token, per_call: n(per_call), per_window: n(per_window) };
    for function in MOVES_TOKENS {
        let selector = selector(alloy::primitives::keccak256(function).as_slice());
        let signature = "moves()";
        let mut rule = Rule { contracts: vec![signature.into()], ..rule() };
        let moves = |token: Option<(Address, u64)>| Ask {
            token: token.map(|(token, amount)| TokenAmount { token, amount: n(amount) }),
            ..contract(COIN, signature, selector)
        };
        check(&rule, &moves(None), &none, Some("moves tokens"));
        check(&rule, &moves(Some((COIN, 1))), &none, Some("is not in the policy"));
        rule.tokens = vec![limit(OTHER_COIN, 10, 20)];
        check(&rule, &moves(Some((COIN, 1))), &none, Some("is not in the policy"));
        // Naming another token, and none of it, is no way round.
        check(&rule, &moves(Some((OTHER_COIN, 0))), &none, Some("moves tokens"));
        check(&rule, &moves(Some((OTHER_COIN, 1))), &none, Some("moves tokens"));
        rule.tokens.push(limit(COIN, 10, 20));
        check(&rule, &moves(None), &none, Some("moves tokens"));
        check(&rule, &moves(Some((COIN, 10))), &none, None);
        check(&rule, &moves(Some((COIN, 11))), &none, Some("of the token"));
        check(&rule, &moves(Some((COIN, 10))), &Spent { token: n(10), ..none }, None);
        check(&rule, &moves(Some((COIN, 10))), &Spent { token: n(11), ..none }, Some("of the token"));
        let both = Ask { amount: n(1), ..moves(Some((COIN, 1))) };
        check(&rule, &both, &none, Some("at once"));
    }
}

#[test]
fn a_selector_is_padded_with_zeros() {
    assert_eq!(selector(&[]), [0; 4]);
    assert_eq!(selector(&[1, 2]), [1, 2, 0, 0]);
}

#[test]
fn rules_that_make_no_sense_are_refused_by_field() {
    let wrong = |rule: &Rule, field: &str| {
        let error = rule.check().expect_err("refused");
        assert!(error.message.starts_with(&format!("policy: {field}")), "{error}");
    };
    rule().check().expect("a rule");
    wrong(&Rule { actions: Vec::new(), ..rule() }, "actions");
    wrong(&Rule { window_ms: 0, ..rule() }, "windowMs");
    Rule { window_ms: LONGEST_WINDOW_MS, ..rule() }.check().expect("the longest");
    wrong(&Rule { window_ms: LONGEST_WINDOW_MS + 1, ..rule() }, "windowMs");
    Rule { per_call: n(250), ..rule() }.check().expect("the largest");
    wrong(&Rule { per_call: n(251), ..rule() }, "perCall");
    wrong(&Rule { max_count: Some(0), ..rule() }, "maxCount");
    wrong(&Rule { recipients: Some(Vec::new()), ..rule() }, "recipients");
    wrong(&Rule { contracts: vec!["f()".into(); MAX_ENTRIES + 1], ..rule() }, "lists");
    let token = |per_call, per_window| TokenLimit { token: COIN, per_call: n(per_call), per_window: n(per_window) };
    wrong(&Rule { tokens: vec![token(1, 1), token(2, 2)], ..rule() }, "tokens");
    wrong(&Rule { tokens: vec![token(2, 1)], ..rule() }, "tokens");
}

#[test]
fn what_is_not_known_is_no_rule() {
    let text = serde_json::to_value(rule()).expect("JSON");
    assert_eq!(text["perCall"], "100");
    assert_eq!(serde_json::from_value::<Rule>(text.clone()).expect("read"), rule());
    let mut more = text.clone();
    more["perMonth"] = serde_json::json!("1");
    assert!(serde_json::from_value::<Rule>(more).is_err(), "a limit that nobody knows would hold nowhere");
    for number in ["-1", "1e3", "0x10", "", "1.5"] {
        let mut odd = text.clone();
        odd["perCall"] = serde_json::json!(number);
        assert!(serde_json::from_value::<Rule>(odd).is_err(), "{number:?}");
    }
}

proptest! {
    /// What passes after more was spent, or costs more, passes after less and for less as well.
    #[test]
    fn the_rule_is_monotonic(
        amount in 0..300_u64, fee in 0..300_u64, spent in 0..300_u64, fees in 0..300_u64, count in 0..5_u64,
        less in 0..300_u64,
    ) {
        let rule = Rule { max_count: Some(3), ..rule() };
        let one = Ask { fee: n(fee), ..ask(amount) };
        let after = Spent { amount: n(spent), fee: n(fees), count, token: U256::ZERO };
        let verdict = rule.decide("pay", &one, &after).is_ok();
        let expect = amount + fee <= 100 && spent + fees + amount + fee <= 250 && count < 3;
        prop_assert_eq!(verdict, expect);
        if verdict {
            let cheaper = Ask { fee: n(fee.saturating_sub(less)), ..ask(amount.saturating_sub(less)) };
            prop_assert!(rule.decide("pay", &cheaper, &after).is_ok());
        }
    }
}
