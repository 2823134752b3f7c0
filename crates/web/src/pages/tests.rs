use entresol_host::messages::Row;
use serde_json::json;

use super::*;

const HOSTILE: &str = "</bdi></dd><script>alert(1)</script>\u{202e}gnp\u{1b}[2J' \" &amp; onload=x";

fn request_view() -> ApprovalView {
    ApprovalView {
        id: 7,
        kind: "deposit".to_owned(),
        solution: Some(HOSTILE.to_owned()),
        state: "pending".to_owned(),
        sentence: HOSTILE.to_owned(),
        rows: vec![Row { label: HOSTILE.to_owned(), value: format!("{HOSTILE} {}", "9".repeat(5_000)) }],
        warnings: vec![HOSTILE.to_owned()],
        says: Vec::new(),
        decided_by: None,
        causes: vec![HOSTILE.to_owned()],
        digest: "0xabc".to_owned(),
        created_at: 0,
        expires_at: 1_000,
        outcome: json!(null),
    }
}

#[track_caller]
fn harmless(markup: &Markup) {
    let text = &markup.0;
    assert!(!text.contains("<script"), "{text}");
    assert!(!text.contains('\u{202e}') && !text.contains('\u{1b}'), "{text}");
    assert!(text.contains("U+202E"), "nothing was shown at all: {text}");
}

#[test]
fn row_22_hostile_text_in_a_request_is_shown_whole_and_harmless() {
    let markup = approvals(&[request_view()], false);
    harmless(&markup);
    assert!(markup.0.contains(&"9".repeat(5_000)), "what is decided is never shortened");
    assert!(markup.0.contains("entresol approvals approve 7 --digest <bdi>0xabc"), "{}", markup.0);
    assert!(markup.0.contains("1970-01-01 00:00:01 UTC"));
}

#[test]
fn a_decided_request_shows_its_outcome_and_no_command() {
    let decided =
        ApprovalView { state: "done".to_owned(), outcome: json!({ "transaction": HOSTILE }), ..request_view() };
    let markup = approvals(&[decided], true);
    harmless(&markup);
    assert!(!markup.0.contains("approvals approve"));
}

fn solution_view() -> SolutionView {
    serde_json::from_value(json!({
        "id": 1, "name": "payments", "title": HOSTILE, "network": HOSTILE, "gateway": HOSTILE,
        "networkUrls": [HOSTILE], "keyPath": HOSTILE, "owner": 0, "package": HOSTILE, "packageSha512": "00",
        "status": "active", "plugin": format!("failed: {HOSTILE}"), "interfaceDigest": "0x0",
        "actions": [{ "name": "a", "description": HOSTILE, "signature": HOSTILE, "params": [], "readOnly": false }],
        "stateNames": [], "grants": [HOSTILE]
    }))
    .expect("a view")
}

#[test]
fn row_22_hostile_plugin_words_and_state_are_harmless() {
    let state = StateView { solution: "payments".to_owned(), version: 1, state: json!({ HOSTILE: [HOSTILE] }) };
    harmless(&solution(&solution_view(), Ok(&state)));
    harmless(&solutions(&[(solution_view(), Err(HOSTILE.to_owned()))]));
}

#[test]
fn row_22_hostile_words_from_endpoints_journal_and_transfers_are_harmless() {
    let status: Status = serde_json::from_value(json!({
        "version": "1", "home": HOSTILE, "locked": true, "solutions": 1, "pendingApprovals": 2, "changes": 0,
        "networks": [{ "name": "n", "chainId": 1, "rpcUrls": [HOSTILE], "confirmations": 1, "head": null,
                       "problem": HOSTILE }]
    }))
    .expect("a view");
    let account = AccountView {
        index: 0,
        address: "0x1".to_owned(),
        path: "m".to_owned(),
        imported: false,
        balances: [("n".to_owned(), HOSTILE.to_owned())].into(),
    };
    harmless(&overview(&status, Ok(&[account]), &[solution_view()]));
    harmless(&overview(&status, Err(HOSTILE), &[]));
    harmless(&activity(&[ActivityView {
        id: 1,
        at: 0,
        actor: HOSTILE.to_owned(),
        action: HOSTILE.to_owned(),
        resource: HOSTILE.to_owned(),
        detail: json!({ "x": HOSTILE }),
        outcome: Some(format!("error: {HOSTILE}")),
    }]));
    let transfer: TransferView = serde_json::from_value(json!({
        "id": 1, "solution": HOSTILE, "kind": HOSTILE, "function": HOSTILE, "amount": HOSTILE, "stage": HOSTILE,
        "transaction": HOSTILE, "gasUsed": 1, "block": 2, "approval": 3, "createdAt": 4
    }))
    .expect("a view");
    harmless(&transfers(&[transfer]));
    harmless(&message(HOSTILE));
    harmless(&problem(HOSTILE));
}

#[test]
fn the_frame_marks_the_page_and_links_within_the_session() {
    let page = frame(&Frame { session: "abc", page: Page::Transfers }, &html! { "x" }).0;
    assert!(page.contains(r#"<a href="/w/abc/transfers" aria-current="page">"#), "{page}");
    assert!(page.contains(r#"<a href="/w/abc/">"#), "{page}");
    assert!(page.contains(r#"http-equiv="refresh""#));
}
