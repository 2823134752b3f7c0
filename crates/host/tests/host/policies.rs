//! Policies at work: what passes without asking, for whom, how much, and what takes the pass away.

use crate::consent::*;
use crate::says;
use crate::support::*;
use alloy::primitives::U256;
use entresol_host::error::code;
use entresol_host::messages::{ApprovalView, PolicyInput, PolicyView};
use entresol_host::policy::{DAY_MS, Rule};
use entresol_host::{Actor, Caller};
use serde_json::{Value as Json, json};

/// Room for a deposit and its fee: 0.05 ETH a call, 0.2 ETH a day.
const CALL: u64 = 50_000_000_000_000_000;
const DAY: u64 = 4 * CALL;

fn rule(actions: &[&str], per_call: u64, per_window: u64) -> Rule {
    Rule {
        actions: actions.iter().map(|name| (*name).to_owned()).collect(),
        contracts: Vec::new(),
        per_call: U256::from(per_call),
        per_window: U256::from(per_window),
        window_ms: DAY_MS,
        max_count: None,
        recipients: None,
        tokens: Vec::new(),
    }
}

/// Deposits too.
fn deposits(actions: &[&str]) -> Rule {
    Rule { contracts: vec!["deposit(address)".into()], ..rule(actions, CALL, DAY) }
}

fn input(caller: &Caller, rule: Rule) -> PolicyInput {
    PolicyInput { caller: caller.key(), solution: "probe".into(), rule, expires_at: None }
}

async fn policy(wallet: &Wallet, caller: &Caller, rule: Rule) -> PolicyView {
    wallet.host().policy_add(&USER, input(caller, rule)).await.expect("a policy")
}

async fn look(wallet: &Wallet, id: u64) -> PolicyView {
    let all = wallet.host().policies(&USER).await.expect("policies");
    all.into_iter().find(|policy| policy.id == id).expect("there")
}

/// The newest request of a kind, decided or not.
async fn newest(wallet: &Wallet, kind: &str) -> ApprovalView {
    let all = wallet.host().approvals(&USER, true).await.expect("approvals");
    all.into_iter().rfind(|approval| approval.kind == kind).expect("one")
}

async fn waiting(wallet: &Wallet, kind: &str) -> ApprovalView {
    until("such a request waits", async || queue(wallet.host()).await.into_iter().find(|a| a.kind == kind)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_passes_what_is_within_its_limits_and_asks_for_the_rest() {
    let (_anvil, wallet, _) = world().await;
    let limits = Rule { recipients: Some(vec![ALICE.parse().expect("an address")]), ..rule(&["pay"], 100, 250) };
    says(
        wallet.host().policy_add(&USER, input(&shop(), limits.clone())).await,
        code::INVALID_PARAMS,
        "may not even ask",
    );
    grant(&wallet, &shop(), &["pay", "free"]).await;
    grant(&wallet, &bot(), &["pay"]).await;
    for actor in [Actor::User { session: false }, Actor::Caller(shop()), Actor::Plugin { solution: 1 }] {
        says(wallet.host().policy_add(&actor, input(&shop(), limits.clone())).await, code::UNAUTHORIZED, "");
    }
    let made = policy(&wallet, &shop(), limits).await;
    // Within: nobody is asked, the journal and the request name the policy.
    assert_eq!(asked(&wallet, &shop(), "pay", pay("100"), None).await.expect("passes"), json!(1));
    let passed = newest(&wallet, "call").await;
    assert_eq!(passed.decided_by, Some(format!("policy {}", made.id)));
    let journal = wallet.host().activity(&USER, crate::about("probe")).await.expect("a journal");
    let by = journal.iter().find(|row| row.action == "call" && row.actor == shop().key()).expect("a row");
    assert_eq!(by.detail["by"], json!(format!("policy {}", made.id)), "each use is in the journal");
    assert_eq!((look(&wallet, made.id).await.used.as_str(), look(&wallet, made.id).await.used_count), ("100", 1));
    // Above, elsewhere, another action, another caller: the user is asked.
    let elsewhere = json!({ "to": "0x00000000000000000000000000000000000000bb", "value": "1" });
    for (caller, action, params) in
        [(shop(), "pay", pay("101")), (shop(), "pay", elsewhere), (shop(), "free", json!({})), (bot(), "pay", pay("1"))]
    {
        let call = asks(&wallet, &caller, action, params, None);
        assert_eq!(waiting(&wallet, "call").await.state, "pending");
        cut(call).await;
        until("it left", async || queue(wallet.host()).await.is_empty().then_some(())).await;
    }
    asked(&wallet, &shop(), "pay", pay("100"), None).await.expect("passes");
    let call = asks(&wallet, &shop(), "pay", pay("51"), None);
    wallet.reject(&waiting(&wallet, "call").await).await;
    says(answer(call).await, code::REJECTED, "");
    asked(&wallet, &shop(), "pay", pay("50"), None).await.expect("the last that fits");
    assert_eq!(look(&wallet, made.id).await.used, "250");
    // What the policy passes is no pass for the plugin's own calls, nor for the user's.
    assert_eq!(paid(&wallet).await, 3);
    wallet.host().policy_revoke(&USER, made.id).await.expect("revoked");
    says(wallet.host().policy_resume(&USER, made.id).await, code::NOT_FOUND, "no policy");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_come_at_once_cannot_both_be_the_last_one() {
    let (_anvil, wallet, _) = world().await;
    grant(&wallet, &shop(), &["pay"]).await;
    let made = policy(&wallet, &shop(), rule(&["pay"], 10, 35)).await;
    let calls: Vec<_> = (0..12).map(|_| asks(&wallet, &shop(), "pay", pay("10"), None)).collect();
    until("three pass and nine ask", async || {
        let over = calls.iter().filter(|call| call.is_finished()).count();
        (over == 3 && queue(wallet.host()).await.len() == 9).then_some(())
    })
    .await;
    assert_eq!((paid(&wallet).await, look(&wallet, made.id).await.used.as_str()), (3, "30"));
    for call in calls {
        cut(call).await;
    }
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_26_a_site_gets_no_deposit_under_a_policy_meant_for_another_caller() {
    let (anvil, wallet, gateway) = world().await;
    grant(&wallet, &shop(), &["topUp", "hold"]).await;
    grant(&wallet, &bot(), &["topUp", "slowTopUp"]).await;
    let bots = policy(&wallet, &bot(), deposits(&["topUp", "slowTopUp"])).await;
    // Alone, the bot passes, both its call and the deposit that follows from it.
    asked(&wallet, &bot(), "topUp", json!({ "value": "5" }), None).await.expect("passes");
    assert_eq!(newest(&wallet, "deposit").await.decided_by, Some(format!("policy {}", bots.id)));
    // The site has no policy: its call asks, and so does the deposit, though the bot's policy would cover it.
    let call = asks(&wallet, &shop(), "topUp", json!({ "value": "6" }), None);
    decide(&wallet, &waiting(&wallet, "call").await).await;
    let request = waiting(&wallet, "deposit").await;
    assert_eq!(request.causes.len(), 1);
    assert!(request.causes[0].starts_with("https://shop.example"), "{:?}", request.causes);
    wallet.reject(&request).await;
    says(answer(call).await, code::REJECTED, "");
    // While the site's call is open, the bot's deposit may be the site's as well: both are shown, the user is asked.
    let held = asks(&wallet, &shop(), "hold", json!({}), None);
    decide(&wallet, &waiting(&wallet, "call").await).await;
    until("the site's call is open", async || (paid(&wallet).await == 1).then_some(())).await;
    let call = asks(&wallet, &bot(), "topUp", json!({ "value": "7" }), None);
    let request = waiting(&wallet, "deposit").await;
    assert_eq!(request.causes.len(), 2, "{:?}", request.causes);
    assert!(request.causes.iter().any(|cause| cause.contains("shop.example")), "{:?}", request.causes);
    assert!(request.causes.iter().any(|cause| cause.contains("the local app bot")), "{:?}", request.causes);
    wallet.reject(&request).await;
    says(answer(call).await, code::REJECTED, "");
    // With a policy of its own that covers what it has open, both policies let it pass, and both pay.
    let shops = policy(&wallet, &shop(), deposits(&["hold"])).await;
    let before = look(&wallet, bots.id).await.used;
    asked(&wallet, &bot(), "topUp", json!({ "value": "8" }), None).await.expect("passes");
    let passed = newest(&wallet, "deposit").await;
    let decided_by = passed.decided_by.expect("decided");
    for id in [bots.id, shops.id] {
        assert!(decided_by.contains(&id.to_string()), "{decided_by}");
    }
    assert_eq!(look(&wallet, shops.id).await.used, "8");
    let after: U256 = look(&wallet, bots.id).await.used.parse().expect("a number");
    assert_eq!(after - before.parse::<U256>().expect("a number"), U256::from(16), "the call and the deposit");
    // The site's call ends: the bot is alone again.
    wallet.call("probe", "go", json!({})).await.expect("said");
    assert_eq!(answer(held).await.expect("held"), json!("held"));
    let network = anvil.network().await;
    until("5 and 8 wei arrived", async || {
        (network.balance(gateway).await.expect("a balance").to_string() == "13").then_some(())
    })
    .await;
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_26_no_policy_covers_what_the_user_or_nobody_has_called_for() {
    let (_anvil, wallet, _) = world().await;
    grant(&wallet, &bot(), &["topUp", "topUpTo", "later", "signIt"]).await;
    policy(&wallet, &bot(), deposits(&["topUp", "topUpTo", "later", "signIt"])).await;
    // The user's own call is consent to the action, not to the deposit.
    let host = wallet.host().clone();
    let own =
        tokio::spawn(
            async move { host.call(&USER, call_input("probe", "topUp", &json!({ "value": "5" }), None)).await },
        );
    let request = waiting(&wallet, "deposit").await;
    // Meanwhile the bot's deposit may be the user's as well.
    let call = asks(&wallet, &bot(), "topUp", json!({ "value": "6" }), None);
    until("both ask", async || (queue(wallet.host()).await.len() == 2).then_some(())).await;
    wallet.reject(&request).await;
    let second = waiting(&wallet, "deposit").await;
    wallet.reject(&second).await;
    says(answer(own).await, code::REJECTED, "");
    says(answer(call).await, code::REJECTED, "");
    // A deposit that comes when the call is over has no cause, and asks.
    asked(&wallet, &bot(), "later", json!({ "value": "7" }), None).await.expect("soon");
    let request = waiting(&wallet, "deposit").await;
    assert!(request.causes.is_empty(), "{:?}", request.causes);
    // An approval of the user's ends the row of rejections.
    wallet.approve(&request).await;
    // The owner's signature passes under no policy.
    let call = asks(&wallet, &bot(), "signIt", json!({ "text": "hello" }), None);
    wallet.reject(&waiting(&wallet, "sign").await).await;
    says(answer(call).await, code::REJECTED, "");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_26_a_policy_with_recipients_knows_whom_a_deposit_names() {
    let (_anvil, wallet, _) = world().await;
    grant(&wallet, &bot(), &["topUp", "topUpTo"]).await;
    let alice = ALICE.parse().expect("an address");
    let limited = Rule { recipients: Some(vec![alice]), ..deposits(&["topUpTo"]) };
    policy(&wallet, &bot(), limited).await;
    let stranger = json!({ "to": "0x00000000000000000000000000000000000000bB", "value": "5" });
    let call = asks(&wallet, &bot(), "topUpTo", stranger, None);
    // Already the call is refused a pass; the user says yes to it, and the deposit to the stranger asks again.
    decide(&wallet, &waiting(&wallet, "call").await).await;
    let request = waiting(&wallet, "deposit").await;
    assert_eq!(request.decided_by, None);
    wallet.reject(&request).await;
    says(answer(call).await, code::REJECTED, "");
    asked(&wallet, &bot(), "topUpTo", json!({ "to": ALICE, "value": "5" }), None).await.expect("passes");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_holds_also_for_the_deposit_of_an_open_call() {
    let (anvil, wallet, gateway) = world().await;
    let network = anvil.network().await;
    let locked = async || network.balance(gateway).await.expect("a balance").to_string();
    for revoke in [false, true] {
        let granted = grant(&wallet, &bot(), &["slowTopUp"]).await;
        policy(&wallet, &bot(), deposits(&["slowTopUp"])).await;
        let before = paid(&wallet).await;
        let call = asks(&wallet, &bot(), "slowTopUp", json!({ "value": "5" }), None);
        until("the call is open", async || (paid(&wallet).await > before).then_some(())).await;
        if revoke {
            wallet.host().caller_revoke(&USER, granted.id).await.expect("revoked");
        }
        wallet.call("probe", "go", json!({})).await.expect("said");
        if revoke {
            let request = waiting(&wallet, "deposit").await;
            assert!(request.causes[0].contains("the local app bot"), "{:?}", request.causes);
            wallet.reject(&request).await;
            says(answer(call).await, code::REJECTED, "");
        } else {
            answer(call).await.expect("passes by the policy");
            until("5 wei arrive", async || (locked().await == "5").then_some(())).await;
            wallet.call("probe", "reset", json!({})).await.expect("said");
        }
    }
    assert_eq!(locked().await, "5");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_ends_by_itself_takes_its_policy_with_it() {
    let (_anvil, wallet, _) = world().await;
    let soon = u64::try_from(
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_millis() + 4_000,
    )
    .expect("a number");
    let granted = entresol_host::messages::CallerGrantInput {
        caller: Some(bot().key()),
        solution: "probe".into(),
        actions: vec!["pay".into(), "slowTopUp".into()],
        state: vec!["paid".into()],
        expires_at: Some(soon),
    };
    wallet.host().caller_grant(&USER, granted.clone()).await.expect("granted");
    policy(&wallet, &bot(), deposits(&["pay", "slowTopUp"])).await;
    asked(&wallet, &bot(), "pay", pay("1"), None).await.expect("passes");
    let open = asks(&wallet, &bot(), "slowTopUp", json!({ "value": "5" }), None);
    until("the grant has ended", async || wallet.host().state_as(&bot(), "probe", None).await.is_err().then_some(()))
        .await;
    says(asked(&wallet, &bot(), "pay", pay("1"), None).await, code::UNAUTHORIZED, "not granted");
    assert!(wallet.host().callers(&USER).await.expect("grants").is_empty());
    says(wallet.host().caller_grant(&USER, granted).await, code::INVALID_PARAMS, "past");
    // A call that was open when it ended: its deposit asks.
    wallet.call("probe", "go", json!({})).await.expect("said");
    wallet.reject(&waiting(&wallet, "deposit").await).await;
    says(answer(open).await, code::REJECTED, "");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_wallet_refuses_callers_even_with_a_policy() {
    let (_anvil, wallet, _) = world().await;
    grant(&wallet, &bot(), &["pay", "slowTopUp", "count"]).await;
    policy(&wallet, &bot(), deposits(&["pay", "slowTopUp"])).await;
    let open = asks(&wallet, &bot(), "slowTopUp", json!({ "value": "5" }), None);
    until("the call is open", async || (paid(&wallet).await == 1).then_some(())).await;
    wallet.host().lock(&USER).await.expect("locked");
    for action in [("pay", pay("1")), ("count", json!({}))] {
        let refused = asked(&wallet, &bot(), action.0, action.1, None).await.expect_err("locked");
        assert_eq!((refused.code, &refused.data["locked"]), (code::UNAUTHORIZED, &json!(true)), "{refused}");
    }
    // An ungranted caller does not even learn that.
    let refused = asked(&wallet, &shop(), "pay", pay("1"), None).await.expect_err("refused");
    assert_eq!(refused.data, Json::Null);
    // What an open call causes is refused as well.
    wallet.call("probe", "go", json!({})).await.expect("said");
    says(answer(open).await, code::UNAUTHORIZED, "locked");
    assert!(queue(wallet.host()).await.is_empty());
    wallet.host().unlock(&USER, &"correct horse battery staple".into()).await.expect("unlocked");
    asked(&wallet, &bot(), "pay", pay("1"), None).await.expect("passes again");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reservations_outlive_a_restart_and_end_with_what_became_of_the_request() {
    let (_anvil, mut wallet, _) = world().await;
    grant(&wallet, &bot(), &["pay", "hold", "topUp", "slowTopUp"]).await;
    let made = policy(&wallet, &bot(), deposits(&["pay", "hold", "topUp", "slowTopUp"])).await;
    // Included: the real fee counts, no longer the ceiling.
    asked(&wallet, &bot(), "topUp", json!({ "value": "5" }), None).await.expect("passes");
    let deposit = newest(&wallet, "deposit").await;
    let ceiling = {
        let fee = deposit.rows.iter().find(|row| row.label == "Fee").expect("a fee").value.clone();
        let most = fee.rsplit_once('(').expect("wei").1.trim_end_matches(" wei)").to_owned();
        most.parse::<U256>().expect("a number")
    };
    until("the deposit is confirmed", async || {
        let fees: U256 = look(&wallet, made.id).await.used_fees.parse().expect("a number");
        (fees > U256::ZERO && fees < ceiling).then_some(())
    })
    .await;
    let settled = look(&wallet, made.id).await;
    assert_eq!(settled.used, "10", "the call's five and the deposit's five");
    // A call that is cut off may have moved its amount: it counts on.
    let call = asks(&wallet, &bot(), "slowTopUp", json!({ "value": "1000" }), Some("cut"));
    until("the call runs", async || (paid(&wallet).await == 1).then_some(())).await;
    assert_eq!(look(&wallet, made.id).await.used, "1010", "reserved before the effect");
    cut(call).await;
    wallet.restart().await;
    wallet.plugin("probe", "running").await;
    says(asked(&wallet, &bot(), "slowTopUp", json!({ "value": "1000" }), Some("cut")).await, code::OUTCOME_UNKNOWN, "");
    let after = look(&wallet, made.id).await;
    assert_eq!((after.used.as_str(), after.used_fees), ("1010", settled.used_fees.clone()));
    wallet.restart().await;
    assert_eq!(look(&wallet, made.id).await.used, "1010", "also after one more");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_28_a_script_that_declares_otherwise_later_stops_and_its_policies_pause() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    // Which of two interfaces it declares depends on chance; it is running while it hits the installed one.
    let script = "export default class { constructor() { const call = () => 'ok'; const actions = [{ name: 'pay', call }]; \
                  if (crypto.getRandomValues(new Uint8Array(1))[0] < 128) actions[0].readOnly = true; \
                  this.layer2Interface = { actions }; } }";
    wallet.install("probe", script, None).await.expect("installed");
    let state = |wanted: &'static str| {
        let host = wallet.host().clone();
        async move {
            until("chance gives the other interface", async || {
                host.solution_restart(&USER, "probe").await.expect("restarted");
                let status = until("it has started", async || {
                    let plugin = host.solution(&USER, "probe").await.expect("there").plugin;
                    (plugin != "starting").then_some(plugin)
                })
                .await;
                status.starts_with(wanted).then_some(())
            })
            .await;
        }
    };
    state("running").await;
    let input_of = entresol_host::messages::CallerGrantInput {
        caller: Some(bot().key()),
        solution: "probe".into(),
        actions: vec!["pay".into()],
        ..Default::default()
    };
    wallet.host().caller_grant(&USER, input_of).await.expect("granted");
    let made = policy(&wallet, &bot(), rule(&["pay"], 10, 10)).await;
    assert_eq!(look(&wallet, made.id).await.state, "active");
    state("stopped: the script declares other actions").await;
    let paused = look(&wallet, made.id).await;
    assert_eq!(
        (paused.state.as_str(), paused.reason.as_deref().unwrap_or_default().contains("another interface")),
        ("paused", true)
    );
    says(asked(&wallet, &bot(), "pay", json!({}), None).await, code::PLUGIN_STOPPED, "");
    // Running again, it asks, until the user takes the policy up again.
    state("running").await;
    if !wallet.host().solution(&USER, "probe").await.expect("there").actions[0].read_only {
        let call = asks(&wallet, &bot(), "pay", json!({}), None);
        wallet.reject(&waiting(&wallet, "call").await).await;
        says(answer(call).await, code::REJECTED, "");
        wallet.host().policy_resume(&USER, made.id).await.expect("resumed");
        assert_eq!(asked(&wallet, &bot(), "pay", json!({}), None).await.expect("passes"), json!("ok"));
    }
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::disallowed_methods, reason = "the test changes the package behind the wallet's back")]
async fn row_28_a_package_that_changed_on_disk_does_not_start_and_its_policies_pause() {
    let (_anvil, mut wallet, _) = world().await;
    grant(&wallet, &bot(), &["pay"]).await;
    let made = policy(&wallet, &bot(), rule(&["pay"], 100, 100)).await;
    asked(&wallet, &bot(), "pay", pay("1"), None).await.expect("passes");
    let mut main = None;
    let mut folders = vec![wallet.home.path().join("packages")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read(&path).expect("readable") == CONSENT.as_bytes() {
                main = Some(path);
            }
        }
    }
    let main = main.expect("the script is kept as a file");
    let evil = CONSENT.replace("const paid = ", "const paid = 1000 + ");
    assert_ne!(evil, CONSENT);
    let mut mode = std::fs::metadata(&main).expect("there").permissions();
    #[allow(clippy::permissions_set_readonly_false, reason = "a file of the test's own")]
    mode.set_readonly(false);
    std::fs::set_permissions(&main, mode).expect("set");
    std::fs::write(&main, evil).expect("written");
    wallet.restart().await;
    assert_eq!(wallet.host().solution(&USER, "probe").await.expect("there").plugin, "stopped");
    let paused = look(&wallet, made.id).await;
    assert_eq!(paused.state, "paused");
    assert!(paused.reason.expect("a reason").contains("package"), "the user is told why");
    says(asked(&wallet, &bot(), "pay", pay("1"), None).await, code::PLUGIN_STOPPED, "");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_a_policy_would_have_passed() {
    let (_anvil, wallet, _) = world().await;
    grant(&wallet, &shop(), &["pay", "free"]).await;
    grant(&wallet, &bot(), &["pay"]).await;
    for (caller, value) in [(shop(), "5"), (shop(), "20"), (bot(), "3"), (shop(), "6"), (shop(), "4")] {
        let call = asks(&wallet, &caller, "pay", pay(value), None);
        wallet.approve(&waiting(&wallet, "call").await).await;
        answer(call).await.expect("done");
    }
    let before = wallet.host().policies(&USER).await.expect("policies").len();
    let tried = wallet.host().policy_dry_run(&USER, input(&shop(), rule(&["pay"], 10, 12)), 0).await.expect("tried");
    let rows: Vec<(&str, bool)> = tried.rows.iter().map(|row| (row.amount.as_str(), row.passes)).collect();
    assert_eq!(rows, [("5", true), ("20", false), ("6", true), ("4", false)], "the window is counted as it was used");
    assert_eq!((tried.passed, tried.total.as_str()), (2, "11"));
    assert!(tried.rows[1].reason.as_deref().unwrap_or_default().contains("one request"));
    assert!(tried.rows[3].reason.as_deref().unwrap_or_default().contains("window"));
    assert_eq!(wallet.host().policies(&USER).await.expect("policies").len(), before, "nothing is written");
    says(
        wallet.host().policy_dry_run(&Actor::Caller(shop()), input(&shop(), rule(&["pay"], 1, 1)), 0).await,
        code::UNAUTHORIZED,
        "",
    );
    wallet.host().shutdown().await;
}
