//! Transfers, notices, screens, further permissions, and other solutions' actions.

use crate::probe::Package;
use crate::says;
use crate::support::*;
use entresol_host::error::code;
use entresol_host::messages::CallerGrantInput;
use entresol_host::screen::Answer;
use entresol_host::{Actor, Host};
use serde_json::{Value as Json, json};

#[tokio::test(flavor = "multi_thread")]
async fn row_16_a_plugin_moves_only_the_transfers_it_tracks() {
    let anvil = Anvil::start().await;
    let gateway = anvil.deploy_test("App").await;
    let mut wallet = Wallet::new(&anvil).await;
    let package = Package { contracts: json!({ "gateway": crate::probe::app_contract() }), ..Package::default() };
    wallet.probe("one", &package, Some(gateway)).await;
    wallet.probe("two", &package, Some(gateway)).await;
    let track = async |wallet: &Wallet, given: Json| wallet.ask("one", "wallet.trackTransfer", json!([given])).await;
    let stages = json!(["seen", "proved", "done"]);
    let id = track(
        &wallet,
        json!({ "kind": "payment-in", "amount": { "$n": "70" }, "asset": "DAI\u{202e}", "stages": stages }),
    )
    .await
    .expect("tracked");
    let update = async |wallet: &Wallet, name: &str, id: &Json, stage: &str| {
        wallet.ask(name, "wallet.updateTransfer", json!([id, stage])).await
    };
    for stage in ["proved", "done", "seen"] {
        update(&wallet, "one", &id, stage).await.expect("moved");
        wallet.restart().await;
        wallet.plugin("one", "running").await;
        let known = wallet.host().transfers(&USER, Some("one")).await.expect("transfers");
        assert_eq!((known.len(), known[0].stage.as_str()), (1, stage), "durable, and it may go back");
        assert!(known[0].plugin && known[0].kind == "payment-in" && known[0].amount == "70", "{known:?}");
        assert_eq!(known[0].asset, "DAI⟨U+202E⟩");
    }
    wallet.plugin("two", "running").await;
    says(update(&wallet, "one", &id, "lost").await, code::INVALID_PARAMS, "seen, proved, done");
    says(update(&wallet, "two", &id, "done").await, code::NOT_FOUND, "tracks no transfer");
    // The wallet's own are not the plugin's to move.
    let (_, answer) = wallet.ask_approved("one", "wallet.deposit", json!([{ "value": { "$n": "5" } }])).await;
    let own = answer.expect("sent")["transfer"].clone();
    says(update(&wallet, "one", &own, "done").await, code::NOT_FOUND, "tracks no transfer");
    says(update(&wallet, "one", &json!(999), "done").await, code::NOT_FOUND, "tracks no transfer");
    let (kind, amount) = (json!("deposit"), json!({ "$n": "1" }));
    for (bad, words) in [
        (json!({ "kind": "gift", "amount": amount, "stages": stages }), "kind"),
        (json!({ "kind": kind, "amount": -1, "stages": stages }), "amount"),
        (json!({ "kind": kind, "amount": amount }), "stages"),
        (json!({ "kind": kind, "amount": amount, "stages": [] }), "stages"),
        (json!({ "kind": kind, "amount": amount, "stages": ["a", "a"] }), "stages"),
        (json!({ "kind": kind, "amount": amount, "stages": ["a", 5] }), "stages"),
        (json!({ "kind": kind, "amount": amount, "stages": ["1", "2", "3", "4", "5", "6", "7", "8", "9"] }), "stages"),
        (json!({ "kind": kind, "amount": amount, "asset": 7, "stages": stages }), "asset"),
    ] {
        says(track(&wallet, bad).await, code::INVALID_PARAMS, words);
    }
    let mut tracked = 0;
    let refused = loop {
        match track(&wallet, json!({ "kind": kind, "amount": amount, "stages": ["a"] })).await {
            Ok(_) => tracked += 1,
            Err(error) => break error,
        }
        assert!(tracked <= 120, "no limit");
    };
    assert_eq!(refused.code, code::LIMIT, "{refused}");
    assert!(refused.data["retryAfterMs"].is_u64(), "{}", refused.data);
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_are_cleaned_kept_bounded_and_wake_those_who_watch() {
    let anvil = Anvil::start().await;
    let mut wallet = Wallet::new(&anvil).await;
    wallet.probe("probe", &Package::default(), None).await;
    let notify = async |wallet: &Wallet, given: Json| wallet.ask("probe", "wallet.notify", json!([given])).await;
    let before = wallet.host().status(&USER).await.expect("a status").changes;
    let text = format!("paid\u{1b}[2J{}", "x".repeat(1000));
    notify(&wallet, json!({ "level": "warning", "text": text, "action": "double" })).await.expect("told");
    assert!(wallet.host().changes_wait(&USER, before, DEADLINE).await.expect("woken") > before);
    wallet.restart().await;
    wallet.plugin("probe", "running").await;
    let notices = wallet.host().notices(&USER, true).await.expect("notices");
    let one = &notices[0];
    assert!(one.plugin && one.level == "warning" && one.action.as_deref() == Some("double"), "{one:?}");
    assert_eq!(one.solution.as_deref(), Some("probe"));
    assert!(one.text.starts_with("paid⟨U+001B⟩[2Jxxx") && one.text.chars().count() < 400, "{}", one.text);
    wallet.host().notice_read(&USER, one.id).await.expect("read");
    assert!(wallet.host().notices(&USER, true).await.expect("notices").is_empty());
    says(wallet.host().notice_read(&Actor::Plugin { solution: 1 }, one.id).await, code::UNAUTHORIZED, "not for");
    says(wallet.host().notice_read(&USER, 999).await, code::NOT_FOUND, "notice");
    says(wallet.host().notices(&Actor::Plugin { solution: 1 }, true).await, code::UNAUTHORIZED, "not for");
    for (bad, words) in [
        (json!({ "text": "x", "level": "loud" }), "level"),
        (json!({ "level": "info" }), "text"),
        (json!({ "text": "  " }), "text"),
        (json!({ "text": "x", "action": "steal" }), "action"),
    ] {
        says(notify(&wallet, bad).await, code::INVALID_PARAMS, words);
    }
    for _ in 0..10 {
        notify(&wallet, json!({ "text": "again" })).await.expect("told");
    }
    says(notify(&wallet, json!({ "text": "again" })).await, code::LIMIT, "at most 10");
    wallet.host().shutdown().await;
}

fn form(button: &str) -> Json {
    json!({ "type": "Box", "children": [
        { "type": "Input", "props": { "name": "who", "type": "text" } },
        { "type": "Button", "props": { "name": button }, "children": "Go" } ] })
}

async fn open_screen(host: &Host) -> entresol_host::messages::ScreenView {
    until("a screen is open", async || host.screens(&USER).await.expect("screens").pop()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn screens_are_answered_by_the_user_and_authorise_nothing() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    wallet.probe("probe", &Package::default(), None).await;
    wallet.probe("other", &Package::default(), None).await;
    let (host, answer) = (wallet.host(), |button: &str, fields: Json| Answer {
        button: button.into(),
        fields: fields.as_object().cloned().unwrap_or_default(),
    });
    // One that asks: closed by the answer.
    let (answered, ()) =
        tokio::join!(wallet.ask("probe", "wallet.displayUi", json!([form("pay"), { "ask": true }])), async {
            let screen = open_screen(host).await;
            assert!(screen.asks && screen.solution == "probe" && screen.text.contains("probe"), "{screen:?}");
            let pressed = |button: &str| answer(button, json!({ "who": "me" }));
            says(host.screen_answer(&USER, screen.id, pressed("steal")).await, code::INVALID_PARAMS, "no button");
            says(
                host.screen_answer(&Actor::Plugin { solution: 2 }, screen.id, pressed("pay")).await,
                code::UNAUTHORIZED,
                "not for",
            );
            host.screen_answer(&USER, screen.id, pressed("pay")).await.expect("answered");
            says(host.screen_answer(&USER, screen.id, pressed("pay")).await, code::NOT_FOUND, "closed");
        });
    assert_eq!(answered.expect("answered"), json!({ "button": "pay", "fields": { "who": "me" } }));
    wallet.assert_nothing_was_asked().await;
    // Closed without an answer.
    let (closed, ()) =
        tokio::join!(wallet.ask("probe", "wallet.displayUi", json!([form("pay"), { "ask": true }])), async {
            let screen = open_screen(host).await;
            host.screen_close(&USER, screen.id).await.expect("closed");
        });
    says(closed, code::REJECTED, "closed the screen");

    // One that stays: its plugin is told of what the user does, may change it, and nobody else's plugin may.
    let id = wallet.ask("probe", "wallet.displayUi", json!([form("first")])).await.expect("shown");
    let number = id.as_u64().expect("a number");
    host.screen_event(&USER, number, "who", json!("you")).await.expect("told");
    says(host.screen_event(&USER, number, "else", json!("you")).await, code::INVALID_PARAMS, "no field");
    says(host.screen_event(&USER, number, "who", json!(7)).await, code::INVALID_PARAMS, "takes this value");
    host.screen_answer(&USER, number, answer("first", json!({ "who": "you" }))).await.expect("told");
    says(wallet.ask("other", "wallet.updateUi", json!([id, form("stolen")])).await, code::NOT_FOUND, "no screen");
    wallet.ask("probe", "wallet.updateUi", json!([id, form("second")])).await.expect("changed");
    says(host.screen_answer(&USER, number, answer("first", json!({}))).await, code::INVALID_PARAMS, "no button");
    let seen = until("the plugin was told of both", async || {
        let seen = wallet.ask("probe", "wallet.getFromLocalDb", json!(["seen:onUserInput"])).await.expect("read");
        (seen.as_array().map(Vec::len) == Some(2)).then_some(seen)
    })
    .await;
    let seen = seen.as_array().expect("a list");
    assert!(seen.contains(&json!({ "screen": number, "type": "change", "field": "who", "value": "you" })), "{seen:?}");
    assert!(
        seen.contains(&json!({ "screen": number, "type": "press", "button": "first", "fields": { "who": "you" } })),
        "{seen:?}"
    );
    wallet.ask("probe", "wallet.updateUi", json!([id, null])).await.expect("closed");
    assert!(host.screens(&USER).await.expect("screens").is_empty());

    for (bad, words) in [
        (json!([{ "type": "Script" }]), "Script"),
        (json!([{ "type": "Input", "props": { "name": "pin", "type": "password" } }]), "type"),
        (json!(["<b>hello</b>"]), ""),
        (json!([form("x"), { "modal": true }]), "ask"),
    ] {
        says(wallet.ask("probe", "wallet.displayUi", bad).await, code::INVALID_PARAMS, words);
    }
    for _ in 0..8 {
        wallet.ask("probe", "wallet.displayUi", json!([form("x")])).await.expect("shown");
    }
    says(wallet.ask("probe", "wallet.displayUi", json!([form("x")])).await, code::LIMIT, "8 screens");
    wallet.ask("other", "wallet.displayUi", json!([form("x")])).await.expect("each its own");
    // They end with the instance.
    let _ = wallet.call("probe", "crash", json!({})).await;
    until("its screens are closed", async || {
        let open = host.screens(&USER).await.expect("screens");
        (open.len() == 1 && open[0].solution == "other").then_some(())
    })
    .await;
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_optional_permission_is_asked_for_and_holds_at_once() {
    let anvil = Anvil::start().await;
    let mut wallet = Wallet::new(&anvil).await;
    let (url, _asked) = serve("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into()).await;
    let package = Package {
        permissions: json!({ "keys": { "curve": "secp256k1", "export": true }, "localDatabase": { "quota": "64 KiB" } }),
        optional: json!({ "network": [url], "layer1": ["read"] }),
        ..Package::default()
    };
    wallet.probe("probe", &package, None).await;
    let fetch = async |wallet: &Wallet| wallet.ask("probe", "network.fetch", json!([url, {}])).await;
    let chain = json!([{ "method": "eth_chainId", "params": [] }]);
    says(fetch(&wallet).await, code::UNAUTHORIZED, "not granted");
    for (bad, number, words) in [
        (json!([{ "network": "wss://elsewhere.example" }]), code::UNAUTHORIZED, "optionalPermissions"),
        (json!([{ "sign": "message" }]), code::UNAUTHORIZED, "optionalPermissions"),
        (json!([{ "keys": 1 }]), code::INVALID_PARAMS, "one entry"),
        (json!([{ "layer1": "write" }]), code::INVALID_PARAMS, "one entry"),
        (json!([{ "keys": { "curve": "secp256k1" } }]), code::INVALID_PARAMS, "one entry"),
        (json!([{}]), code::INVALID_PARAMS, "one entry"),
        (json!(["network"]), code::INVALID_PARAMS, "one entry"),
    ] {
        says(wallet.ask("probe", "wallet.requestPermission", bad).await, number, words);
    }
    wallet.assert_nothing_was_asked().await;
    // Refused is refused; nothing is granted.
    let wanted = json!([{ "network": url }]);
    let (answer, ()) = tokio::join!(wallet.ask("probe", "wallet.requestPermission", wanted.clone()), async {
        let request = wallet.waiting().await;
        assert!(request.warnings.iter().any(|words| words.contains("network as well")), "{:?}", request.warnings);
        wallet.reject(&request).await;
    });
    says(answer, code::REJECTED, "rejected");
    says(fetch(&wallet).await, code::UNAUTHORIZED, "not granted");
    let (request, answer) = wallet.ask_approved("probe", "wallet.requestPermission", wanted.clone()).await;
    assert_eq!(request.kind, "permission");
    assert!(request.rows.iter().any(|row| row.value.contains(&url)), "{:?}", request.rows);
    assert_eq!(answer.expect("granted"), json!(true));
    // Granted: what stops it now is that a manifest's URL may not be this machine.
    says(fetch(&wallet).await, code::UNAUTHORIZED, "private address");
    assert_eq!(wallet.ask("probe", "wallet.requestPermission", wanted).await.expect("held already"), json!(true));
    let (_, answer) = wallet.ask_approved("probe", "wallet.requestPermission", json!([{ "layer1": "read" }])).await;
    answer.expect("granted");
    assert_eq!(wallet.ask("probe", "layer1.request", chain.clone()).await.expect("read"), json!("0x7a69"));
    wallet.restart().await;
    wallet.plugin("probe", "running").await;
    assert_eq!(wallet.ask("probe", "layer1.request", chain.clone()).await.expect("durable"), json!("0x7a69"));
    let grants = wallet.host().grants(&USER, "probe").await.expect("grants");
    let read = grants.iter().find(|grant| *grant == "read layer 1").expect("granted").clone();
    wallet.host().grant_revoke(&USER, "probe", &read).await.expect("revoked");
    says(wallet.ask("probe", "layer1.request", chain).await, code::UNAUTHORIZED, "not granted");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_26_a_plugin_calls_another_only_as_its_granted_caller_and_never_in_a_circle() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    wallet.probe("one", &Package::default(), None).await;
    wallet.probe("two", &Package::default(), None).await;
    let double = json!(["two", "double", { "value": { "$n": "21" } }]);
    says(wallet.ask("one", "wallet.callPlugin", double.clone()).await, code::UNAUTHORIZED, "");
    let (one, two) = (
        wallet.host().solution(&USER, "one").await.expect("one"),
        wallet.host().solution(&USER, "two").await.expect("two"),
    );
    for (caller, solution) in [(one.id, "two"), (two.id, "one")] {
        let input = CallerGrantInput {
            caller: Some(format!("solution:{caller}")),
            solution: solution.into(),
            actions: vec!["double".into(), "ask".into()],
            state: Vec::new(),
            expires_at: None,
        };
        wallet.host().caller_grant(&USER, input).await.expect("granted");
    }
    let (request, answer) = wallet.ask_approved("one", "wallet.callPlugin", double.clone()).await;
    assert_eq!(request.kind, "call");
    assert!(request.causes.iter().any(|cause| cause.contains("user")), "inherited: {:?}", request.causes);
    assert_eq!(answer.expect("answered"), json!({ "$n": "42" }), "typed as declared");
    // By id as well; wrong parameters and unknown actions are errors of the caller.
    let by_id = json!([two.id, "double", { "value": "x" }]);
    says(wallet.ask("one", "wallet.callPlugin", by_id).await, code::INVALID_PARAMS, "value");
    says(wallet.ask("one", "wallet.callPlugin", json!(["two", "crash"])).await, code::UNAUTHORIZED, "");
    says(wallet.ask("one", "wallet.callPlugin", json!(["two", "double", 7])).await, code::INVALID_PARAMS, "params");
    says(wallet.ask("one", "wallet.callPlugin", json!([{}, "double"])).await, code::INVALID_PARAMS, "solution");
    says(wallet.through("one", "peek", "wallet.callPlugin", double).await, code::UNAUTHORIZED, "readOnly");
    // one → two → one: refused where it would close.
    let back = json!(["one", "double", { "value": { "$n": "1" } }]).to_string();
    let circle = json!(["two", "ask", { "method": "wallet.callPlugin", "args": back }]);
    let (_, answer) = wallet.ask_approved("one", "wallet.callPlugin", circle).await;
    let error = answer.expect_err("refused");
    assert_eq!(error.code, code::UNAUTHORIZED, "{error}");
    wallet.host().shutdown().await;
}
