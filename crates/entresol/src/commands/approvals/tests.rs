use entresol_host::messages::Row;
use serde_json::Value as Json;

use super::*;

fn request() -> ApprovalView {
    ApprovalView {
        id: 7,
        kind: "deposit".into(),
        solution: Some("pay\u{202e}ments".into()),
        state: "pending".into(),
        sentence: "Deposit 1 ETH\u{1b}[2J".into(),
        rows: vec![Row { label: "To".into(), value: "0x00000000000000000000000000000000000000Aa".into() }],
        warnings: vec!["The publisher does not know this contract.\u{9b}".into()],
        says: Vec::new(),
        decided_by: None,
        causes: vec!["you".into()],
        digest: "0xfeed".into(),
        created_at: 0,
        expires_at: 0,
        outcome: Json::Null,
    }
}

#[test]
fn a_request_is_shown_whole_and_harmless() {
    let text = show(&request());
    for part in ["Request 7", "0x00000000000000000000000000000000000000Aa", "0xfeed", "publisher does not know", "you"]
    {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(text.chars().all(|c| c == '\n' || visible(&c.to_string()) == c.to_string()), "{text:?}");
}

#[test]
fn an_outcome_is_told() {
    let mut approval = request();
    approval.state = "done".into();
    approval.outcome = json!({ "transaction": "0xabc", "error": null });
    assert_eq!(outcome(&approval), "Request 7 is done.\n  transaction: 0xabc");
}
