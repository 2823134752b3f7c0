use entresol_host::messages::{
    AccountView, ActivityView, ApprovalView, CallerGrantView, NoticeView, PolicyView, Row, ScreenView, SolutionView,
    StateView, TransferView,
};
use entresol_host::screen::Screen;
use serde_json::{Value, json};

use super::*;

const HOSTILE: &str = "</bdi></dd><script>alert(1)</script>\u{202e}gnp\u{1b}[2J' \" &amp; onload=x";

fn request_view() -> ApprovalView {
    let mut view = json!({
        "id": 7, "kind": "deposit", "solution": HOSTILE, "state": "pending", "sentence": HOSTILE,
        "rows": [], "warnings": [HOSTILE], "says": [], "causes": [HOSTILE], "digest": "0xabc", "createdAt": 0,
        "expiresAt": 1_000, "decidedBy": null, "outcome": null
    });
    view["rows"] = json!([{ "label": HOSTILE, "value": format!("{HOSTILE} {}", "9".repeat(5_000)) }]);
    serde_json::from_value(view).expect("a view")
}

fn status(locked: bool) -> Status {
    serde_json::from_value(json!({
        "version": "1", "home": HOSTILE, "locked": locked, "solutions": 1, "pendingApprovals": 2, "changes": 0,
        "networks": [{ "name": "n", "chainId": 1, "rpcUrls": [HOSTILE], "confirmations": 1, "head": null,
                       "problem": HOSTILE }]
    }))
    .expect("a view")
}

#[track_caller]
fn harmless(markup: &Markup) {
    let text = &markup.0;
    assert!(!text.contains("<script>"), "{text}");
    assert!(!text.contains('\u{202e}') && !text.contains('\u{1b}'), "{text}");
    assert!(text.contains("U+202E"), "nothing was shown at all: {text}");
}

#[test]
fn row_22_hostile_text_in_a_request_is_shown_whole_and_harmless() {
    let markup = approvals(&[request_view()], &[], false);
    harmless(&markup);
    assert!(markup.0.contains(&"9".repeat(5_000)), "what is decided is never shortened");
    assert!(markup.0.contains("entresol approvals approve 7 --digest <bdi>0xabc"), "{}", markup.0);
    assert!(markup.0.contains("1970-01-01 00:00:01 UTC"));
}

#[test]
fn row_06_buttons_that_decide_come_disarmed_and_with_what_they_decide() {
    let markup = approvals(&[request_view()], &[], false).0;
    assert!(markup.contains(r#"data-request="7" data-digest="0xabc""#), "{markup}");
    for verdict in ["approve", "reject"] {
        assert!(markup.contains(&format!(r#"data-decide="{verdict}" data-arm disabled"#)), "{markup}");
    }
    let locked = approvals(&[request_view()], &[], true).0;
    assert!(!locked.contains("data-decide") && locked.contains("Unlock"), "{locked}");
    let decided = ApprovalView { state: "approved".to_owned(), ..request_view() };
    assert!(!approval(&decided, &[], &status(false)).0.contains("data-decide"));
}

#[test]
fn row_29_the_plugin_s_words_stand_apart_and_quoted() {
    let says = vec![Row { label: "Approved".to_owned(), value: "The wallet says this is safe".to_owned() }];
    let view = ApprovalView { solution: Some("payments".to_owned()), says, ..request_view() };
    let markup = approvals(&[view], &[], false).0;
    let (before, after) = markup.split_once("The plugin “<bdi>payments</bdi>” says").expect("attributed");
    assert!(!before.contains("The wallet says"), "{before}");
    assert!(after.contains("“<bdi>The wallet says this is safe</bdi>”") && after.contains("does not check"), "{after}");
}

#[test]
fn permissions_of_an_install_have_boxes_that_name_them_exactly() {
    let row = |label: &str, value: &str| Row { label: label.to_owned(), value: value.to_owned() };
    let rows = vec![row("Package", "p@1"), row("May", "reach wss://tower.example"), row("May", "keep 16 MiB")];
    let install = ApprovalView { kind: "install".to_owned(), rows, ..request_view() };
    let markup = approvals(std::slice::from_ref(&install), &[], false).0;
    assert!(markup.contains(r#"<input type="checkbox" checked data-refuse="reach wss://tower.example">"#), "{markup}");
    assert_eq!(markup.matches("data-refuse").count(), 2, "{markup}");
    let done = ApprovalView { state: "done".to_owned(), ..install };
    assert!(!approval(&done, &[], &status(false)).0.contains("data-refuse"));
}

#[test]
fn accounts_that_a_site_will_see_are_chosen() {
    let account = |index: u32, address: &str| AccountView {
        index,
        address: address.to_owned(),
        path: String::new(),
        imported: false,
        balances: Default::default(),
    };
    let rows = vec![Row { label: "Account 1".to_owned(), value: "0xbb".to_owned() }];
    let connect = ApprovalView { kind: CONNECT.to_owned(), rows, ..request_view() };
    let accounts = [account(0, "0xaa"), account(1, "0xbb")];
    let markup = approvals(std::slice::from_ref(&connect), &accounts, false).0;
    assert!(markup.contains(r#"data-account="0">"#) && markup.contains(r#"data-account="1" checked>"#), "{markup}");
    let done = ApprovalView { state: "done".to_owned(), ..connect };
    assert!(!approval(&done, &accounts, &status(false)).0.contains("data-account"));
}

#[test]
fn a_decided_request_shows_its_outcome_and_no_command() {
    let decided =
        ApprovalView { state: "done".to_owned(), outcome: json!({ "transaction": HOSTILE }), ..request_view() };
    let markup = approval(&decided, &[], &status(false));
    harmless(&markup);
    harmless(&all_approvals(&[decided]));
    assert!(!markup.0.contains("approvals approve"));
}

fn solution_view() -> SolutionView {
    serde_json::from_value(json!({
        "id": 1, "name": "payments", "title": HOSTILE, "network": HOSTILE, "gateway": HOSTILE,
        "networkUrls": [HOSTILE], "keyPath": HOSTILE, "owner": 0, "package": HOSTILE, "packageSha512": "00",
        "status": "active", "plugin": format!("failed: {HOSTILE}"), "interfaceDigest": "0x0",
        "actions": [{ "name": "act", "description": HOSTILE, "signature": HOSTILE, "readOnly": false,
                      "params": [{ "name": "to", "type": "address" }] }],
        "stateNames": [], "grants": [HOSTILE]
    }))
    .expect("a view")
}

fn screen_view(tree: &Value) -> ScreenView {
    let screen = Screen::parse(tree).expect("a screen");
    ScreenView { id: 3, solution: "payments".to_owned(), asks: true, screen: json!(screen), text: String::new() }
}

fn page_of(state: Result<&StateView, &str>, screens: &[ScreenView], locked: bool) -> Markup {
    let view = solution_view();
    let refused = [HOSTILE.to_owned()];
    solution(&Solution { view: &view, state, refused: &refused, screens, runs: &[], transfers: &[], locked })
}

#[test]
fn row_22_hostile_plugin_words_and_state_are_harmless() {
    let state = StateView { solution: "payments".to_owned(), version: 1, state: json!({ HOSTILE: [HOSTILE] }) };
    harmless(&page_of(Ok(&state), &[], false));
    harmless(&page_of(Err(HOSTILE), &[], true));
    harmless(&solutions(&[solution_view()], &[]));
}

#[test]
fn row_29_a_screen_has_every_component_the_plugin_s_name_around_it_and_no_password() {
    let text = |kind: &str, text: &str| json!({ "type": kind, "children": text });
    let tree = json!({ "type": "Box", "props": { "direction": "vertical" }, "children": [
        text("Heading", HOSTILE), text("Text", "words"), { "type": "Divider" }, { "type": "Spinner" },
        { "type": "Row", "props": { "label": "To" }, "children": [{ "type": "Value", "props": { "value": "1", "extra": "2" } }] },
        { "type": "Address", "props": { "address": "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf" } },
        { "type": "Copyable", "props": { "value": "copy me" } },
        { "type": "Link", "props": { "href": "https://far.example/" }, "children": "near" },
        { "type": "Image", "props": { "svg": "<svg xmlns=\"http://www.w3.org/2000/svg\"><rect/></svg>", "alt": "a square" } },
        { "type": "Banner", "props": { "title": "look", "severity": "danger" }, "children": ["now"] },
        { "type": "Tooltip", "props": { "content": "tip" }, "children": ["it"] },
        { "type": "Form", "props": { "name": "form" }, "children": [
            { "type": "Field", "props": { "label": "Who", "error": "nobody" }, "children": [{ "type": "Input", "props": { "name": "who" } }] },
            { "type": "Dropdown", "props": { "name": "pick", "value": "b", "options": [{ "value": "a", "label": "A" }, { "value": "b", "label": "B" }] } },
            { "type": "Checkbox", "props": { "name": "sure", "label": "Sure", "checked": true } },
            { "type": "Button", "props": { "name": "go", "variant": "primary" }, "children": "Go" },
            { "type": "Button", "props": { "name": "no", "disabled": true }, "children": "No" },
        ] },
    ] });
    let markup = page_of(Err("x"), &[screen_view(&tree)], false);
    harmless(&markup);
    let text = markup.0;
    for piece in [
        "The plugin “<strong><bdi>payments</bdi></strong>” asks you",
        r#"data-screen="3""#,
        r#"data-press="go""#,
        r#"data-press="no" disabled"#,
        r#"data-field="who""#,
        r#"<option value="b" selected>"#,
        r#"data-field="sure" checked"#,
        "https://far.example/",
        r#"src="data:image/svg+xml,%3Csvg"#,
        "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf",
        "severity-danger",
        "authorises anything",
    ] {
        assert!(text.contains(piece), "{piece}: {text}");
    }
    assert!(!text.contains("password"), "{text}");
    // A screen of another plugin does not stand here, and none ever stands among the approvals.
    let other = ScreenView { solution: "other".to_owned(), ..screen_view(&tree) };
    assert!(!page_of(Err("x"), &[other], false).0.contains("data-screen"));
}

#[test]
fn row_22_hostile_words_from_everywhere_else_are_harmless() {
    let account = AccountView {
        index: 0,
        address: "0x1".to_owned(),
        path: "m".to_owned(),
        imported: false,
        balances: [("n".to_owned(), HOSTILE.to_owned())].into(),
    };
    let notice: NoticeView = serde_json::from_value(json!({
        "id": 1, "solution": HOSTILE, "plugin": true, "level": "danger", "text": HOSTILE, "action": HOSTILE, "createdAt": 1,
        "read": false
    }))
    .expect("a view");
    let (views, requests, screens) = ([solution_view()], [request_view()], []);
    let status = status(true);
    let all = |accounts| Overview {
        status: &status,
        accounts,
        solutions: &views,
        approvals: &requests,
        notices: std::slice::from_ref(&notice),
        screens: &screens,
    };
    harmless(&overview(&all(Ok(std::slice::from_ref(&account)))));
    harmless(&overview(&all(Err(HOSTILE))));
    harmless(&accounts(std::slice::from_ref(&account)));
    harmless(&notices(std::slice::from_ref(&notice)));
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
        "transaction": HOSTILE, "gasUsed": 1, "block": 2, "approval": 3, "createdAt": 4, "asset": HOSTILE, "plugin": true
    }))
    .expect("a view");
    harmless(&transfers(&[transfer]));
    harmless(&message(HOSTILE));
    harmless(&problem(HOSTILE));
}

#[test]
fn callers_are_shown_with_what_they_may_and_what_passes() {
    let grant: CallerGrantView = serde_json::from_value(json!({
        "id": 4, "caller": "site:p:https://shop.example", "solution": "payments", "actions": ["makePayment"],
        "state": [HOSTILE], "grantedAt": 0, "expiresAt": null
    }))
    .expect("a view");
    let policy: PolicyView = serde_json::from_value(json!({
        "id": 5, "caller": "app:till", "solution": "payments", "state": "paused", "reason": HOSTILE, "used": "5", "usedFees": "0",
        "usedCount": 1, "createdAt": 0, "expiresAt": 1000,
        "rule": { "actions": ["makePayment"], "perCall": "1000000000000000000", "perWindow": "1", "windowMs": 86_400_000 }
    }))
    .expect("a view");
    let connection = serde_json::from_value(json!({
        "caller": "site:p:https://shop.example", "accounts": [{ "index": 2, "address": "0xaa" }], "network": HOSTILE,
        "chainId": 5, "changedAt": 0
    }))
    .expect("a view");
    let profile = serde_json::from_value(json!({ "name": "home", "key": "ab12", "pairedAt": 0 })).expect("a view");
    let pairing = serde_json::from_value(json!({ "proposed": HOSTILE, "expiresAt": 0 })).expect("a view");
    let app = serde_json::from_value(json!({ "name": "till", "addedAt": 0 })).expect("a view");
    let markup = callers(&Callers {
        grants: &[grant],
        policies: &[policy],
        connections: &[connection],
        solutions: &[],
        profiles: &[profile],
        pairings: &[pairing],
        apps: &[app],
    });
    harmless(&markup);
    for piece in [
        "https://shop.example",
        "caller-revoke",
        "till",
        "1 ETH",
        "a day",
        "policy-resume",
        "policy-revoke",
        "caller-disconnect",
        "Account 2",
        "profile-remove",
        "app-remove",
        r#"data-act="pair""#,
    ] {
        assert!(markup.0.contains(piece), "{piece}: {}", markup.0);
    }
}

#[test]
fn the_frame_marks_the_page_and_links_within_the_session() {
    let open = status(false);
    let of = |status| frame(&Frame { session: "abc", token: "def", page: Page::Transfers, status }, &html! { "x" }).0;
    let page = of(Some(&open));
    assert!(page.contains(r#"<a href="/w/abc/transfers" aria-current="page">"#), "{page}");
    assert!(page.contains(r#"<a href="/w/abc/">"#) || page.contains(r#"href="/w/abc/""#), "{page}");
    assert!(page.contains(r#"<span class="count">2</span>"#), "{page}");
    assert!(page.contains(r#"name="entresol-token" content="def""#) && !page.contains("password"), "{page}");
    assert!(page.contains(r#"<noscript><meta http-equiv="refresh""#), "{page}");
    let locked = status(true);
    assert!(of(Some(&locked)).contains(r#"type="password" name="passphrase""#));
}

#[test]
fn the_door_says_how_to_open_and_holds_nothing() {
    let page = door().0;
    assert!(page.contains("entresol web") && !page.contains("<script") && !page.contains("token"), "{page}");
}

#[test]
fn no_element_has_a_style_or_a_handler_of_its_own() {
    let page = page_of(Err("x"), &[], false).0 + &approvals(&[request_view()], &[], false).0;
    for word in [" style=", " onclick=", "javascript:"] {
        assert!(!page.contains(word), "{word}: {page}");
    }
}
