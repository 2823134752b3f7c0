//! Consent: what a grant lets a caller do, what is shown, what a decision decides, and what outlives a restart.

use crate::says;
use crate::support::*;
use alloy::primitives::Address;
use entresol_host::error::code;
use entresol_host::messages::{ApprovalView, CallInput, CallerGrantInput, CallerGrantView, Decision, GatewayCallInput};
use entresol_host::{Actor, Caller, Host, HostError};
use serde_json::{Value as Json, json};
use tokio::task::JoinHandle;

pub(crate) const CONSENT: &str = include_str!("probe_consent.js");
pub(crate) const ALICE: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

pub(crate) type Answer = Result<Json, HostError>;

pub(crate) fn shop() -> Caller {
    Caller::Site { profile: "p".into(), origin: "https://shop.example".into() }
}

pub(crate) fn bot() -> Caller {
    Caller::App { name: "bot".into() }
}

/// A wallet with the probe of this file, as solution `probe`, on its own chain.
pub(crate) async fn world() -> (Anvil, Wallet, Address) {
    let anvil = Anvil::start().await;
    let gateway = anvil.deploy().await;
    let wallet = Wallet::new(&anvil).await;
    wallet.install("probe", CONSENT, Some(gateway)).await.expect("installed");
    wallet.plugin("probe", "running").await;
    (anvil, wallet, gateway)
}

pub(crate) async fn grant(wallet: &Wallet, caller: &Caller, actions: &[&str]) -> CallerGrantView {
    let input = CallerGrantInput {
        caller: Some(caller.key()),
        solution: "probe".into(),
        actions: actions.iter().map(|name| (*name).to_owned()).collect(),
        state: vec!["paid".into()],
        expires_at: None,
    };
    wallet.host().caller_grant(&USER, input).await.expect("granted")
}

pub(crate) fn call_input(solution: &str, action: &str, params: &Json, id: Option<&str>) -> CallInput {
    CallInput {
        solution: solution.into(),
        action: action.into(),
        params: params.as_object().cloned().unwrap_or_default(),
        id: id.map(Into::into),
    }
}

/// A caller's call, which goes on by itself.
pub(crate) fn asks(
    wallet: &Wallet,
    caller: &Caller,
    action: &str,
    params: Json,
    id: Option<&str>,
) -> JoinHandle<Answer> {
    let (host, caller) = (wallet.host().clone(), caller.clone());
    let input = call_input("probe", action, &params, id);
    tokio::spawn(async move { host.call_as(&caller, input, Vec::new()).await })
}

/// Its answer, in time.
pub(crate) async fn answer(call: JoinHandle<Answer>) -> Answer {
    tokio::time::timeout(DEADLINE, call).await.expect("an answer in time").expect("no panic")
}

pub(crate) async fn asked(wallet: &Wallet, caller: &Caller, action: &str, params: Json, id: Option<&str>) -> Answer {
    answer(asks(wallet, caller, action, params, id)).await
}

/// Leaves a call as a process that is killed does.
pub(crate) async fn cut(call: JoinHandle<Answer>) {
    call.abort();
    let _ = call.await;
}

pub(crate) async fn queue(host: &Host) -> Vec<ApprovalView> {
    host.approvals(&USER, false).await.expect("approvals")
}

/// How often the probe has really done something.
pub(crate) async fn paid(wallet: &Wallet) -> u64 {
    let count = wallet.call("probe", "count", json!({})).await.expect("counted");
    count.as_str().and_then(|text| text.parse().ok()).expect("a number")
}

pub(crate) fn pay(value: &str) -> Json {
    json!({ "to": ALICE, "value": value })
}

/// Says yes without waiting for the end.
pub(crate) async fn decide(wallet: &Wallet, request: &ApprovalView) {
    let decision = Decision {
        id: request.id,
        approve: true,
        digest: request.digest.clone(),
        refuse: Vec::new(),
        accounts: Vec::new(),
    };
    wallet.host().approval_decide(&USER, decision).await.expect("decided");
}

/// Changes the database while the wallet is stopped, as somebody with its key could.
#[allow(clippy::disallowed_methods, reason = "the test plays the attacker")]
pub(crate) async fn tamper(wallet: &mut Wallet, sql: &str) -> usize {
    wallet.stop().await;
    let home = wallet.home.path().to_owned();
    let (_, key) =
        entresol_vault::Vault::open(&home.join("keystore.json"), &"correct horse battery staple".into()).expect("open");
    let changed = {
        let connection = rusqlite::Connection::open(home.join("wallet.db")).expect("opened");
        connection.execute_batch(&format!("PRAGMA key = \"x'{}'\"", hex::encode(key.expose()))).expect("the key");
        connection.execute(sql, []).expect("changed")
    };
    wallet.restart().await;
    changed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_lets_a_caller_ask_and_nothing_else() {
    let (_anvil, wallet, _) = world().await;
    // Nothing is granted: everything is one and the same refusal, for what is there and for what is not.
    let here = asked(&wallet, &shop(), "pay", pay("1"), None).await.expect_err("refused");
    let input = call_input("nobody", "pay", &pay("1"), None);
    let there = wallet.host().call_as(&shop(), input, Vec::new()).await.expect_err("refused");
    assert_eq!((here.code, &here.data), (code::UNAUTHORIZED, &there.data));
    assert_eq!(here.message.replace("probe", "nobody"), there.message);
    let odd = asked(&wallet, &shop(), "pay", json!({ "what": 1 }), None).await.expect_err("refused");
    assert_eq!(odd.message, here.message, "parameters are not looked at before the grant");
    let here = wallet.host().state_as(&shop(), "probe", None).await.expect_err("refused");
    let there = wallet.host().state_as(&shop(), "nobody", None).await.expect_err("refused");
    assert_eq!((here.code, here.message.replace("probe", "nobody")), (code::UNAUTHORIZED, there.message));
    assert!(wallet.host().solutions_as(&shop()).await.expect("a list").is_empty());

    // Granted: it may ask for this action, sees this state, and nothing happens without the user.
    grant(&wallet, &shop(), &["pay", "count"]).await;
    says(asked(&wallet, &shop(), "free", json!({}), None).await, code::UNAUTHORIZED, "not granted");
    says(asked(&wallet, &bot(), "pay", pay("1"), None).await, code::UNAUTHORIZED, "not granted");
    let other = Caller::Site { profile: "q".into(), origin: "https://shop.example".into() };
    says(asked(&wallet, &other, "pay", pay("1"), None).await, code::UNAUTHORIZED, "not granted");
    says(asked(&wallet, &shop(), "pay", json!({ "to": ALICE }), None).await, code::INVALID_PARAMS, "value");
    assert_eq!(asked(&wallet, &shop(), "count", json!({}), None).await.expect("reads"), json!("0"));
    let call = asks(&wallet, &shop(), "pay", pay("5"), None);
    let request = wallet.waiting().await;
    assert_eq!(paid(&wallet).await, 0, "nothing before the decision");
    wallet.reject(&request).await;
    says(answer(call).await, code::REJECTED, "rejected");
    let call = asks(&wallet, &shop(), "pay", pay("5"), None);
    wallet.approve(&wallet.waiting().await).await;
    assert_eq!(answer(call).await.expect("done"), json!(1));
    assert_eq!(paid(&wallet).await, 1);
    let seen = wallet.host().state_as(&shop(), "probe", None).await.expect("granted").state;
    assert_eq!(seen, json!({ "paid": 1 }), "only the names of the grant");
    let all = Some(vec!["paid".into(), "secret".into()]);
    says(wallet.host().state_as(&shop(), "probe", all).await, code::UNAUTHORIZED, "not granted");
    let listed = wallet.host().solutions_as(&shop()).await.expect("a list");
    let names: Vec<&str> =
        listed[0]["actions"].as_array().expect("a list").iter().filter_map(|a| a["name"].as_str()).collect();
    assert_eq!((listed.len(), names), (1, vec!["pay", "count"]));
    // A caller is no user: it decides nothing and looks at nothing else.
    let actor = Actor::Caller(shop());
    says(wallet.host().approvals(&actor, true).await, code::UNAUTHORIZED, "");
    says(wallet.host().accounts(&actor).await, code::UNAUTHORIZED, "");
    let input = call_input("probe", "free", &json!({}), None);
    says(wallet.host().call(&actor, input).await, code::UNAUTHORIZED, "");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_29_the_approval_of_a_call_says_who_what_and_to_whom_in_the_wallets_own_words() {
    let (_anvil, wallet, _) = world().await;
    grant(&wallet, &shop(), &["pay"]).await;
    let call = asks(&wallet, &shop(), "pay", pay("1500000000000000000"), Some("order-7"));
    let request = wallet.waiting().await;
    assert_eq!((request.kind.as_str(), request.solution.as_deref()), ("call", Some("probe")));
    assert_eq!(
        request.sentence,
        format!(
            "https://shop.example (browser profile p) asks probe for pay 1.5 ETH (1500000000000000000 wei) to {ALICE}. \
             Allow it?"
        )
    );
    let row = |label: &str| request.rows.iter().find(|row| row.label == label).map(|row| row.value.as_str());
    assert_eq!(row("Caller"), Some("https://shop.example (browser profile p)"));
    assert_eq!(row("Solution"), Some("probe"));
    assert_eq!(row("Action"), Some("pay(address to, uint256 value)"));
    assert_eq!(row("to"), Some(ALICE), "never shortened");
    assert_eq!(row("value"), Some("1.5 ETH (1500000000000000000 wei)"));
    assert!(request.causes[0].contains("called pay (id order-7)"), "{:?}", request.causes);
    // The plugin's words stand apart, quoted, capped, without control characters.
    assert_eq!(request.says.len(), 8, "{:?}", request.says);
    assert_eq!((request.says[0].label.as_str(), request.says[0].value.as_str()), ("“Arrives”", "“at once”"));
    let hostile = &request.says[1];
    assert!(hostile.label.contains("⟨U+202E⟩") && hostile.value.contains("⟨U+001B⟩"), "{hostile:?}");
    assert!(request.says.iter().all(|row| row.value.chars().count() <= 320 && row.value.starts_with('“')));
    let own = serde_json::to_string(&(&request.sentence, &request.rows, &request.warnings)).expect("JSON");
    assert!(!own.contains("Arrives") && !own.contains("approve"), "{own}");
    wallet.reject(&request).await;
    says(answer(call).await, code::REJECTED, "");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_26_confirmation_rows_and_read_only_calls_cause_nothing() {
    let (_anvil, wallet, _) = world().await;
    wallet.install("second", CONSENT, None).await.expect("installed");
    grant(&wallet, &shop(), &["peekTopUp", "peekSign", "peekCall", "stuck", "wait"]).await;
    let own = wallet.host().solution(&USER, "probe").await.expect("there").id;
    let second = CallerGrantInput {
        caller: Some(Caller::Solution { id: own }.key()),
        solution: "second".into(),
        actions: vec!["free".into()],
        ..CallerGrantInput::default()
    };
    wallet.host().caller_grant(&USER, second).await.expect("granted");
    let before = wallet.host().approvals(&USER, true).await.expect("approvals").len();
    for action in ["peekTopUp", "peekSign"] {
        says(asked(&wallet, &shop(), action, json!({}), None).await, code::UNAUTHORIZED, "readOnly");
    }
    let through = asked(&wallet, &shop(), "peekCall", json!({ "solution": "second" }), None).await;
    says(through, code::UNAUTHORIZED, "readOnly");
    assert_eq!(wallet.host().approvals(&USER, true).await.expect("approvals").len(), before);
    // A confirmation that deposits is refused, has no rows, and the call is asked for all the same.
    let call = asks(&wallet, &shop(), "stuck", json!({}), None);
    let request = wallet.waiting().await;
    assert_eq!((request.kind.as_str(), request.says.len()), ("call", 0), "{request:?}");
    assert_eq!(queue(wallet.host()).await.len(), 1);
    wallet.reject(&request).await;
    says(answer(call).await, code::REJECTED, "");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_07_a_caller_waits_after_rejections_and_its_queue_is_bounded() {
    let (_anvil, wallet, _) = world().await;
    grant(&wallet, &shop(), &["pay", "free"]).await;
    grant(&wallet, &bot(), &["pay"]).await;
    for _ in 0..3 {
        let call = asks(&wallet, &shop(), "pay", pay("1"), None);
        wallet.reject(&wallet.waiting().await).await;
        says(answer(call).await, code::REJECTED, "");
    }
    let refused = asked(&wallet, &shop(), "pay", pay("1"), None).await.expect_err("cooling down");
    assert_eq!(refused.code, code::LIMIT, "{refused}");
    let wait = refused.data["retryAfterMs"].as_u64().expect("a time");
    assert!((1..=60_000).contains(&wait), "{wait}");
    assert!(queue(wallet.host()).await.is_empty());
    // Nobody else waits for it, and a queue of one caller is not another's.
    let mut calls: Vec<_> = (0..20).map(|n| asks(&wallet, &bot(), "pay", pay(&n.to_string()), None)).collect();
    let limited = until("four calls are too many", async || {
        let over: Vec<usize> = (0..calls.len()).filter(|i| calls[*i].is_finished()).collect();
        (over.len() == 4).then_some(over)
    })
    .await;
    for index in limited.into_iter().rev() {
        says(answer(calls.remove(index)).await, code::LIMIT, "wait for a decision already");
    }
    assert_eq!(queue(wallet.host()).await.len(), 16);
    let own = GatewayCallInput { solution: "probe".into(), value: Some("1".into()), ..GatewayCallInput::default() };
    wallet.host().deposit(&USER, own).await.expect("the user's own hand is never held up");
    // Calls without an id leave the queue with their callers.
    for call in calls {
        cut(call).await;
    }
    assert_eq!(queue(wallet.host()).await.len(), 1);
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_with_an_id_has_one_result_also_after_a_restart() {
    let (_anvil, mut wallet, _) = world().await;
    grant(&wallet, &shop(), &["pay", "hold"]).await;
    grant(&wallet, &bot(), &["pay"]).await;
    let call = asks(&wallet, &shop(), "pay", pay("5"), Some("a"));
    let request = wallet.waiting().await;
    // The same call again, while it waits, is the same request; another one is refused.
    let again = asks(&wallet, &shop(), "pay", pay("5"), Some("a"));
    says(asked(&wallet, &shop(), "pay", pay("6"), Some("a")).await, code::INVALID_PARAMS, "another call");
    assert_eq!(queue(wallet.host()).await.len(), 1);
    wallet.approve(&request).await;
    assert_eq!(answer(call).await.expect("done"), json!(1));
    assert_eq!(answer(again).await.expect("the same"), json!(1));
    // An id is the caller's own.
    let other = asks(&wallet, &bot(), "pay", pay("5"), Some("a"));
    wallet.reject(&wallet.waiting().await).await;
    says(answer(other).await, code::REJECTED, "");
    // One that is cut off while it runs is never tried again.
    let held = asks(&wallet, &shop(), "hold", json!({}), Some("b"));
    let request = wallet.waiting().await;
    decide(&wallet, &request).await;
    until("the call runs", async || (paid(&wallet).await == 2).then_some(())).await;
    cut(held).await;
    // One that waits for a decision keeps its place; one without an id has nobody who waits.
    let kept = asks(&wallet, &shop(), "pay", pay("7"), Some("c"));
    let unnamed = asks(&wallet, &shop(), "pay", pay("8"), None);
    until("both wait", async || (queue(wallet.host()).await.len() == 2).then_some(())).await;
    cut(kept).await;
    cut(unnamed).await;
    wallet.restart().await;
    wallet.plugin("probe", "running").await;
    assert_eq!(asked(&wallet, &shop(), "pay", pay("5"), Some("a")).await.expect("kept"), json!(1));
    says(asked(&wallet, &shop(), "pay", pay("6"), Some("a")).await, code::INVALID_PARAMS, "another call");
    says(asked(&wallet, &shop(), "hold", json!({}), Some("b")).await, code::OUTCOME_UNKNOWN, "unknown");
    let waiting = queue(wallet.host()).await;
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    let kept = asks(&wallet, &shop(), "pay", pay("7"), Some("c"));
    wallet.approve(&waiting[0]).await;
    assert_eq!(answer(kept).await.expect("done"), json!(3));
    assert_eq!(asked(&wallet, &shop(), "pay", pay("7"), Some("c")).await.expect("kept"), json!(3));
    assert_eq!(paid(&wallet).await, 3, "each once");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_caller_is_stopped_at_once_and_so_is_what_it_asked_for() {
    let (_anvil, wallet, _) = world().await;
    let held = grant(&wallet, &shop(), &["pay", "hold"]).await;
    grant(&wallet, &bot(), &["pay"]).await;
    let waits = asks(&wallet, &shop(), "pay", pay("1"), Some("waits"));
    let others = asks(&wallet, &bot(), "pay", pay("1"), None);
    until("both wait", async || (queue(wallet.host()).await.len() == 2).then_some(())).await;
    says(wallet.host().caller_revoke(&Actor::User { session: false }, held.id).await, code::UNAUTHORIZED, "passphrase");
    wallet.host().caller_revoke(&USER, held.id).await.expect("revoked");
    says(answer(waits).await, code::REJECTED, "expired");
    says(asked(&wallet, &shop(), "pay", pay("1"), None).await, code::UNAUTHORIZED, "not granted");
    says(asked(&wallet, &shop(), "pay", pay("1"), Some("waits")).await, code::UNAUTHORIZED, "not granted");
    says(wallet.host().state_as(&shop(), "probe", None).await, code::UNAUTHORIZED, "not granted");
    // Nobody else is touched.
    wallet.approve(&wallet.waiting().await).await;
    assert_eq!(answer(others).await.expect("done"), json!(1));
    says(wallet.host().caller_revoke(&USER, held.id).await, code::NOT_FOUND, "no caller grant");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_09_what_was_shown_is_what_is_done_or_nothing_is() {
    let (anvil, mut wallet, gateway) = world().await;
    let deposit = |value: &str| GatewayCallInput {
        solution: "probe".into(),
        value: Some(value.into()),
        ..GatewayCallInput::default()
    };
    let host = wallet.host();
    let one = host.deposit(&USER, deposit("5")).await.expect("proposed");
    let two = host.deposit(&USER, deposit("6")).await.expect("proposed");
    let three = host.deposit(&USER, deposit("7")).await.expect("proposed");
    grant(&wallet, &shop(), &["pay"]).await;
    let call = asks(&wallet, &shop(), "pay", pay("8"), Some("edited"));
    let four =
        until("the call waits", async || queue(wallet.host()).await.into_iter().find(|a| a.kind == "call")).await;
    cut(call).await;
    let verdict = |of: &ApprovalView, digest: &str| Decision {
        id: of.id,
        approve: true,
        digest: digest.to_owned(),
        refuse: Vec::new(),
        accounts: Vec::new(),
    };
    // The digest of another request, or none, decides nothing.
    for digest in [two.digest.as_str(), "", "0x00"] {
        says(wallet.host().approval_decide(&USER, verdict(&one, digest)).await, code::INVALID_PARAMS, "");
    }
    // Somebody who can write the database changes the value of the first, the whole of the second, and the call.
    let changed = tamper(&mut wallet, &format!(
        "UPDATE approvals SET intent = replace(intent, '\"value\":\"0x5\"', '\"value\":\"0x500000\"') WHERE id = {}", one.id
    )).await;
    assert_eq!(changed, 1);
    let (from, to) = (two.id, three.id);
    tamper(
        &mut wallet,
        &format!(
            "UPDATE approvals SET intent = (SELECT intent FROM approvals WHERE id = {to}),
                digest = (SELECT digest FROM approvals WHERE id = {to}) WHERE id = {from}"
        ),
    )
    .await;
    tamper(
        &mut wallet,
        &format!("UPDATE approvals SET intent = replace(intent, '\"8\"', '\"800\"') WHERE id = {}", four.id),
    )
    .await;
    let host = wallet.host();
    says(host.approval_decide(&USER, verdict(&two, &two.digest)).await, code::INVALID_PARAMS, "another intent");
    for edited in [&one, &four] {
        host.approval_decide(&USER, verdict(edited, &edited.digest)).await.expect("decided on what was shown");
        let end = host.approval_wait(&USER, edited.id, true, DEADLINE).await.expect("there");
        assert_eq!(end.state, "failed", "{end:?}");
        let why = end.outcome["error"].as_str().unwrap_or_default();
        assert!(why.contains("not what was approved"), "{why}");
    }
    assert_eq!(paid(&wallet).await, 0);
    // The one that nobody touched is what it was.
    wallet.approve(&three).await;
    let network = anvil.network().await;
    until("7 wei arrive", async || {
        (network.balance(gateway).await.expect("a balance").to_string() == "7").then_some(())
    })
    .await;
    assert_eq!(wallet.host().transfers(&USER, None).await.expect("transfers").len(), 1);
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_time_is_over_is_told_to_its_caller_and_decides_nothing() {
    let (_anvil, mut wallet, _) = world().await;
    grant(&wallet, &shop(), &["pay"]).await;
    let call = asks(&wallet, &shop(), "pay", pay("1"), Some("late"));
    let request = wallet.waiting().await;
    cut(call).await;
    // An hour is long: its end is brought near.
    let soon = request.created_at + 8_000;
    let changed =
        tamper(&mut wallet, &format!("UPDATE approvals SET expires_at = {soon} WHERE id = {}", request.id)).await;
    assert_eq!(changed, 1);
    let call = asks(&wallet, &shop(), "pay", pay("1"), Some("late"));
    says(answer(call).await, code::REJECTED, "expired without a decision");
    let late = Decision {
        id: request.id,
        approve: true,
        digest: request.digest.clone(),
        refuse: Vec::new(),
        accounts: Vec::new(),
    };
    says(wallet.host().approval_decide(&USER, late).await, code::INVALID_PARAMS, "");
    assert_eq!(paid(&wallet).await, 0);
    assert!(queue(wallet.host()).await.is_empty());
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_08_a_sign_in_message_is_not_signed_through_a_plugin() {
    let (_anvil, wallet, _) = world().await;
    grant(&wallet, &shop(), &["signIt"]).await;
    let plain = "bank.example wants you to sign in with your Ethereum account:\n0x70997970C51812dc3A010C7d01b50e0d17dc79C8\n\n\
                 URI: https://bank.example\nVersion: 1\nChain ID: 1\nNonce: 12345678\nIssued At: 2030-01-01T00:00:00Z";
    for text in [plain.to_owned(), format!("https://{plain}"), plain.replace('\n', "\r\n")] {
        let call = asks(&wallet, &shop(), "signIt", json!({ "text": text }), None);
        let request = wallet.waiting().await;
        assert_eq!(request.kind, "call");
        wallet.approve(&request).await;
        says(answer(call).await, code::UNAUTHORIZED, "sign-in");
    }
    assert!(wallet.host().approvals(&USER, true).await.expect("approvals").iter().all(|a| a.kind != "sign"));
    // An ordinary message is asked for, with the site behind it named.
    let call = asks(&wallet, &shop(), "signIt", json!({ "text": "hello" }), None);
    decide(&wallet, &wallet.waiting().await).await;
    let request = until("it asks", async || queue(wallet.host()).await.into_iter().find(|a| a.kind == "sign")).await;
    assert!(request.causes.iter().any(|cause| cause.contains("shop.example")), "{:?}", request.causes);
    wallet.reject(&request).await;
    says(answer(call).await, code::REJECTED, "");
    wallet.host().shutdown().await;
}
