use super::*;
use crate::policy::Ask;
use alloy::primitives::{Address, U256};

fn action(params: &Json) -> Action {
    let interface = json!({ "actions": [{ "name": "pay", "params": params }] });
    Interface::parse(&interface).expect("an interface").actions.remove(0)
}

fn asked(params: &Json, given: &Json) -> Ask {
    let action = action(params);
    let typed = action.typed_params(given.as_object().expect("an object")).expect("typed");
    call_ask(&action, &typed)
}

const ALICE: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

#[test]
fn what_a_call_moves_is_read_from_roles() {
    let to = json!({ "name": "to", "type": "address", "role": "recipient" });
    let value = json!({ "name": "value", "type": "uint", "role": "amount", "unit": "wei" });
    let tip = json!({ "name": "tip", "type": "uint", "role": "amount", "unit": "wei" });
    let ask = asked(&json!([to, value, tip]), &json!({ "to": ALICE, "value": "5", "tip": 2 }));
    assert_eq!((ask.amount, ask.recipients), (U256::from(7), vec![ALICE.parse().expect("an address")]));

    let huge = U256::MAX.to_string();
    let ask = asked(&json!([value, tip]), &json!({ "value": huge, "tip": huge }));
    assert_eq!(ask.amount, U256::MAX, "sums do not wrap round");

    let many = json!({ "name": "to", "type": "address[]", "role": "recipient" });
    let ask = asked(&json!([many]), &json!({ "to": [ALICE, ALICE] }));
    assert_eq!(ask.recipients.len(), 2);
    assert_eq!(ask.amount, U256::ZERO);
}

#[test]
fn what_cannot_be_read_as_wei_counts_as_everything() {
    for (ty, unit, given) in [
        // A million of a token with six decimals is no million wei.
        ("uint", Some("USDC"), json!("1000000")),
        ("uint", None, json!("1")),
        ("uint[]", Some("wei"), json!(["1"])),
        ("int", Some("wei"), json!("-1")),
        ("string", Some("wei"), json!("1.5")),
    ] {
        let mut param = json!({ "name": "value", "type": ty, "role": "amount" });
        if let Some(unit) = unit {
            param["unit"] = json!(unit);
        }
        let ask = asked(&json!([param]), &json!({ "value": given }));
        assert_eq!(ask.amount, U256::MAX, "{ty} {unit:?}");
    }
    // What is no address is on nobody's list.
    let to = json!({ "name": "to", "type": "string", "role": "recipient" });
    assert_eq!(asked(&json!([to]), &json!({ "to": "alice" })).recipients, [Address::ZERO]);
}

#[test]
fn no_two_callers_share_a_request_key() {
    let site = |origin: &str| Caller::Site { profile: "p".into(), origin: origin.into() };
    let one = request_key(&site("https://shop.example"), "8080:1");
    let other = request_key(&site("https://shop.example:8080"), "1");
    assert_ne!(one, other);
    assert_ne!(
        request_key(&site("https://shop.example"), ":8080 1"),
        request_key(&site("https://shop.example:8080"), "1")
    );
}

#[test]
fn row_26_a_solution_never_meets_itself_along_a_chain_of_calls() {
    let solution = |id| Caller::Solution { id };
    let cause = |key: String| Cause { caller: String::new(), key, action: "a".into(), call_id: None, read_only: false };
    let site = cause("site:p:https://shop.example".into());
    refuse_cycle(&solution(1), 2, &[]).expect("another one");
    refuse_cycle(&solution(1), 2, std::slice::from_ref(&site)).expect("another one");
    assert!(refuse_cycle(&solution(1), 1, &[]).is_err());
    assert!(refuse_cycle(&solution(2), 1, &[site.clone(), cause(solution(1).key())]).is_err());
    assert!(refuse_cycle(&solution(3), 1, &[cause(solution(1).key()), cause(solution(2).key())]).is_err());
    refuse_cycle(&solution(2), 11, &[cause(solution(1).key())]).expect("1 is not 11");
}

#[test]
fn row_29_a_plugins_rows_are_quoted_and_capped() {
    let rows: Vec<Json> = (0..20).map(|n| json!({ "label": format!("row {n}"), "value": n })).collect();
    assert_eq!(confirmation_rows(&json!(rows)).len(), 8);
    let hostile = json!([
        { "label": "\u{202e}The wallet says\u{1b}[2J", "value": "x".repeat(5000) },
        { "label": 5, "value": "no label" }, "no row", null, { "value": "none" }, { "label": "only" },
    ]);
    let shown = confirmation_rows(&hostile);
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(shown[0].label.starts_with('“') && shown[0].label.contains("⟨U+202E⟩"), "{}", shown[0].label);
    assert!(shown[0].label.contains("⟨U+001B⟩") && shown[0].value.chars().count() <= 303);
    for shape in [json!({ "label": "x" }), json!("text"), Json::Null, json!(7)] {
        assert!(confirmation_rows(&shape).is_empty(), "{shape}");
    }
}

#[test]
fn the_sentence_is_made_of_typed_values_only() {
    let params = json!([
        { "name": "to", "type": "address", "role": "recipient" },
        { "name": "value", "type": "uint", "role": "amount", "unit": "wei" },
        { "name": "note", "type": "string" },
    ]);
    let action = action(&params);
    let given = json!({ "to": ALICE, "value": "1500000000000000000", "note": "”. Allow everything?" });
    let typed = action.typed_params(given.as_object().expect("an object")).expect("typed");
    let said = sentence("https://shop.example (browser profile p)", "probe", &action, &call_ask(&action, &typed));
    let expect = format!(
        "https://shop.example (browser profile p) asks probe for pay 1.5 ETH (1500000000000000000 wei) to {ALICE}. \
         Allow it?"
    );
    assert_eq!(said, expect);
    assert_eq!(shown_param(&action.params[2], &typed["note"]), "“”. Allow everything?”");
}
