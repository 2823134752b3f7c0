//! The host against a real chain, a real database and the real sandbox: what a plugin may, and may not.

mod authorize_gaps;
mod callers;
mod calls_of_layer1;
mod consent;
mod database;
mod duties;
mod heavy;
mod hostile;
mod keys;
mod layer2_keys;
mod lifecycle;
mod neighbours;
mod object;
mod others;
mod page;
mod policies;
mod probe;
mod reorg;
mod schedule;
mod site_bundles;
mod site_signing;
mod sites;
mod support;
mod update;

use entresol_host::error::code;
use entresol_host::messages::{ActivityFilter, Decision, GatewayCallInput};
use entresol_host::{Actor, HostError};
use serde_json::{Value as Json, json};
use support::*;

const PROBE: &str = include_str!("probe.js");

fn about(solution: &str) -> ActivityFilter {
    ActivityFilter { solution: Some(solution.into()), ..ActivityFilter::default() }
}

pub(crate) fn says<T: std::fmt::Debug>(result: Result<T, HostError>, number: i32, words: &str) {
    let error = result.expect_err("refused");
    assert_eq!(error.code, number, "{error}");
    assert!(error.message.contains(words), "{error} says nothing of {words:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_15_a_plugin_that_loops_or_eats_loses_its_instance_and_nobody_else_does() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    for name in ["hostile", "neighbour"] {
        wallet.install(name, PROBE, None).await.expect("installed");
        wallet.plugin(name, "running").await;
    }
    // A loop ends the instance; a heap that is full is first an error that the script can catch.
    for (action, number, words) in
        [("spin", code::PLUGIN_STOPPED, "the plugin was stopped"), ("eat", code::PLUGIN_ERROR, "out of memory")]
    {
        let hostile = wallet.call("hostile", action, json!({}));
        let neighbour = wallet.call("neighbour", "echo", json!({ "text": "here" }));
        let (stopped, answered) = tokio::join!(hostile, neighbour);
        says(stopped, number, words);
        assert_eq!(answered.expect("answers"), json!("here"));
        // It is started afresh by itself, and is reported.
        wallet.plugin("hostile", "running").await;
        assert_eq!(wallet.call("hostile", "echo", json!({ "text": "again" })).await.expect("answers"), json!("again"));
    }
    let journal = wallet.host().activity(&USER, about("hostile")).await.expect("a journal");
    assert_eq!(journal.iter().filter(|row| row.action == "plugin stopped").count(), 1);
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_16_a_plugin_reaches_only_its_own_database_keys_network_and_gateway() {
    let anvil = Anvil::start().await;
    let gateway = anvil.deploy().await;
    let wallet = Wallet::new(&anvil).await;
    wallet.install("one", PROBE, Some(gateway)).await.expect("installed");
    wallet.install("two", PROBE, Some(gateway)).await.expect("installed");
    wallet.call("one", "put", json!({ "key": "secret", "value": "of one" })).await.expect("kept");
    assert_eq!(wallet.call("one", "get", json!({ "key": "secret" })).await.expect("read"), json!("of one"));
    assert_eq!(wallet.call("two", "get", json!({ "key": "secret" })).await.expect("read"), Json::Null);
    says(wallet.call("one", "put", json!({ "key": "big", "value": "x".repeat(70_000) })).await, code::LIMIT, "");
    says(wallet.call("one", "connect", json!({ "url": "ws://127.0.0.1:1" })).await, code::UNAUTHORIZED, "not granted");
    says(wallet.call("one", "rpc", json!({ "method": "eth_sendTransaction" })).await, code::UNSUPPORTED, "not a read");
    assert_eq!(wallet.call("one", "rpc", json!({ "method": "eth_chainId" })).await.expect("read"), json!("0x7a69"));
    says(wallet.call("one", "exit", json!({ "name": "unbond" })).await, code::UNAUTHORIZED, "does not allow");
    says(wallet.call("one", "signWith", json!({ "index": "7" })).await, code::INVALID_PARAMS, "never asked for");
    let (one, two) = (wallet.host().solution(&USER, "one").await, wallet.host().solution(&USER, "two").await);
    assert_ne!(one.expect("there").key_path, two.expect("there").key_path, "row 30: no two solutions share keys");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_17_fetch_reaches_granted_hosts_only_and_follows_no_redirect() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    let (other, mut asked_of_other) = serve("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nother".into()).await;
    let redirect =
        format!("HTTP/1.1 302 Found\r\nlocation: {other}\r\ncontent-length: 4\r\nconnection: close\r\n\r\ngone");
    let (own, mut asked) = serve(redirect).await;
    let folder = wallet.home.path().join("source-web");
    write_package(&folder, PROBE, false);
    let mut wanted = input("web", &folder, None);
    wanted.network_urls = vec![own.clone()];
    let proposed = wallet.host().solution_add(&USER, wanted).await.expect("proposed");
    wallet.approve(&proposed).await;
    let answer = wallet.call("web", "fetch", json!({ "url": format!("{own}/path") })).await.expect("answers");
    assert_eq!(answer, json!({ "status": 302, "ok": false, "location": other, "text": "gone" }));
    let request = asked.recv().await.expect("asked");
    assert!(request.starts_with("POST /path HTTP/1.1") && request.contains("x-probe: 1"), "{request}");
    says(wallet.call("web", "fetch", json!({ "url": other })).await, code::UNAUTHORIZED, "not granted");
    assert!(asked_of_other.try_recv().is_err(), "nobody asked the other host");
    // A page larger than a message is an error, not a flood.
    let (large, _asked) = serve(format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", "x".repeat(300_000))).await;
    let folder = wallet.home.path().join("source-large");
    write_package(&folder, PROBE, false);
    let mut wanted = input("large", &folder, None);
    wanted.network_urls = vec![large.clone()];
    let proposed = wallet.host().solution_add(&USER, wanted).await.expect("proposed");
    wallet.approve(&proposed).await;
    says(wallet.call("large", "fetch", json!({ "url": large })).await, code::LIMIT, "more than");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_grant_holds_at_once_on_a_running_plugin() {
    let anvil = Anvil::start().await;
    let mut wallet = Wallet::new(&anvil).await;
    wallet.install("probe", PROBE, None).await.expect("installed");
    wallet.call("probe", "put", json!({ "key": "k", "value": "v" })).await.expect("kept");
    let grants = wallet.host().grants(&USER, "probe").await.expect("grants");
    let database = grants.iter().find(|grant| grant.contains("data in this wallet")).expect("granted").clone();
    says(
        wallet.host().grant_revoke(&Actor::User { session: false }, "probe", &database).await,
        code::UNAUTHORIZED,
        "passphrase",
    );
    wallet.host().grant_revoke(&USER, "probe", &database).await.expect("revoked");
    says(wallet.call("probe", "get", json!({ "key": "k" })).await, code::UNAUTHORIZED, "not granted");
    wallet.restart().await;
    says(wallet.call("probe", "get", json!({ "key": "k" })).await, code::UNAUTHORIZED, "not granted");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_moves_only_after_the_decision_on_what_was_shown() {
    let anvil = Anvil::start().await;
    let gateway = anvil.deploy().await;
    let wallet = Wallet::new(&anvil).await;
    wallet.install("probe", PROBE, Some(gateway)).await.expect("installed");
    let network = anvil.network().await;
    let locked = async || network.balance(gateway).await.expect("a balance").to_string();

    // Rejected: code 4001, nothing moves.
    let (answer, ()) = tokio::join!(wallet.call_as("probe", "pay", json!({ "value": "5" }), Some("pay-1")), async {
        let request = wallet.waiting().await;
        assert!(request.sentence.contains("0.000000000000000005 ETH (5 wei)"), "{}", request.sentence);
        assert!(request.causes.iter().any(|cause| cause.contains("pay (id pay-1)")), "{:?}", request.causes);
        // Row 9: another digest than the one shown, or no passphrase session, decides nothing.
        let other = Decision {
            id: request.id,
            approve: true,
            digest: format!("0x{}", "11".repeat(32)),
            refuse: Vec::new(),
            accounts: Vec::new(),
        };
        says(wallet.host().approval_decide(&USER, other.clone()).await, code::INVALID_PARAMS, "");
        let right = Decision { digest: request.digest.clone(), ..other };
        says(
            wallet.host().approval_decide(&Actor::User { session: false }, right.clone()).await,
            code::UNAUTHORIZED,
            "passphrase",
        );
        says(
            wallet.host().approval_decide(&Actor::Plugin { solution: 1 }, right).await,
            code::UNAUTHORIZED,
            "not for plugin",
        );
        wallet.reject(&request).await;
    });
    says(answer, code::REJECTED, "rejected");
    assert_eq!(locked().await, "0");
    // The same id answers the same, without asking again; with other parameters it is refused.
    says(wallet.call_as("probe", "pay", json!({ "value": "5" }), Some("pay-1")).await, code::REJECTED, "rejected");
    says(wallet.call_as("probe", "pay", json!({ "value": "6" }), Some("pay-1")).await, code::INVALID_PARAMS, "");

    // Approved: exactly that much moves, and the plugin is told by the gateway's own event.
    let (answer, ()) = tokio::join!(wallet.call("probe", "pay", json!({ "value": "7" })), async {
        let request = wallet.waiting().await;
        wallet.approve(&request).await;
        // Decided is decided.
        let again = Decision {
            id: request.id,
            approve: false,
            digest: request.digest,
            refuse: Vec::new(),
            accounts: Vec::new(),
        };
        says(wallet.host().approval_decide(&USER, again).await, code::INVALID_PARAMS, "");
    });
    let outcome = answer.expect("sent");
    assert!(outcome["transaction"].as_str().is_some_and(|hash| hash.len() == 66), "{outcome}");
    until("the gateway holds 7 wei", async || (locked().await == "7").then_some(())).await;
    let state = until("the plugin is told of the deposit", async || {
        let state = wallet.host().state(&USER, "probe", None, false).await.expect("a state").state;
        (state["events"] == 1).then_some(state)
    })
    .await;
    assert_eq!((&state["last"], &state["value"]), (&json!("Deposited"), &json!("7")));
    let transfers = until("the transfer is confirmed", async || {
        let transfers = wallet.host().transfers(&USER, Some("probe")).await.expect("transfers");
        (transfers.len() == 1 && transfers[0].stage == "confirmed").then_some(transfers)
    })
    .await;
    assert_eq!(
        (transfers[0].amount.as_str(), transfers[0].transaction.as_deref()),
        ("7", outcome["transaction"].as_str())
    );
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_proposals_are_refused_by_name_and_change_nothing() {
    let anvil = Anvil::start().await;
    let gateway = anvil.deploy().await;
    let wallet = Wallet::new(&anvil).await;
    wallet.install("probe", PROBE, Some(gateway)).await.expect("installed");
    let deposit = |value: &str| GatewayCallInput {
        solution: "probe".into(),
        value: Some(value.into()),
        ..GatewayCallInput::default()
    };
    let too_much = "20000000000000000000";
    says(wallet.host().deposit(&USER, deposit(too_much)).await, code::TRANSACTION_REJECTED, "20 ETH");
    says(wallet.host().deposit(&USER, deposit("1 ether")).await, code::INVALID_PARAMS, "not an amount of wei");
    says(wallet.call("probe", "echo", json!({ "text": 5 })).await, code::INVALID_PARAMS, "\"text\"");
    says(wallet.call("probe", "nothing", json!({})).await, code::NOT_FOUND, "echo");
    says(wallet.call("nobody", "echo", json!({})).await, code::NOT_FOUND, "solution list");

    let folder = wallet.home.path().join("source-again");
    write_package(&folder, PROBE, true);
    let add = |change: &dyn Fn(&mut entresol_host::messages::SolutionInput)| {
        let mut wanted = input("again", &folder, Some(gateway));
        change(&mut wanted);
        wallet.host().solution_add(&USER, wanted)
    };
    let path = wallet.host().solution(&USER, "probe").await.expect("there").key_path;
    says(add(&|i| i.key_path = Some("m/44'/60'/0'".into())).await, code::INVALID_PARAMS, "m/44'");
    says(add(&|i| i.key_path = Some(path.clone())).await, code::INVALID_PARAMS, "overlaps");
    says(add(&|i| i.key_path = Some(format!("{path}/1'"))).await, code::INVALID_PARAMS, "overlaps");
    says(
        add(&|i| i.gateway = Some("0x00000000000000000000000000000000000000aa".into())).await,
        code::INVALID_PARAMS,
        "no contract",
    );
    says(add(&|i| i.gateway = None).await, code::INVALID_PARAMS, "--gateway");
    says(add(&|i| i.network = "moon".into()).await, code::NOT_FOUND, "network add");
    says(add(&|i| i.name = Some("probe".into())).await, code::INVALID_PARAMS, "already");
    says(add(&|i| i.network_urls = vec!["ftp://x".into()]).await, code::INVALID_PARAMS, "ws, wss");
    says(add(&|i| i.script = "npm:probe".into()).await, code::INVALID_PARAMS, "exact version");
    says(add(&|i| i.owner = 9).await, code::INVALID_PARAMS, "account add");
    assert_eq!(wallet.host().solutions(&USER).await.expect("solutions").len(), 1);
    assert!(wallet.host().approvals(&USER, false).await.expect("approvals").is_empty());
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_26_a_read_only_action_causes_nothing() {
    let anvil = Anvil::start().await;
    let gateway = anvil.deploy().await;
    let wallet = Wallet::new(&anvil).await;
    wallet.install("probe", PROBE, Some(gateway)).await.expect("installed");
    says(wallet.call("probe", "peek", json!({})).await, code::UNAUTHORIZED, "readOnly");
    assert!(wallet.host().approvals(&USER, true).await.expect("approvals").iter().all(|a| a.kind == "install"));
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_7_a_plugin_cannot_flood_the_user() {
    let anvil = Anvil::start().await;
    let gateway = anvil.deploy().await;
    let wallet = Wallet::new(&anvil).await;
    wallet.install("probe", PROBE, Some(gateway)).await.expect("installed");
    let refused = wallet.call("probe", "flood", json!({ "times": "30" })).await;
    says(refused, code::LIMIT, "wait for a decision already");
    let waiting = wallet.host().approvals(&USER, false).await.expect("approvals");
    assert!(waiting.len() <= 16, "{} requests wait", waiting.len());
    // The user can still ask for something: the queue is each requester's own.
    let own = GatewayCallInput { solution: "probe".into(), value: Some("1".into()), ..GatewayCallInput::default() };
    wallet.host().deposit(&USER, own).await.expect("proposed");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_8_the_owner_signs_only_for_the_solutions_own_chain_and_contract() {
    let anvil = Anvil::start().await;
    let gateway = anvil.deploy().await;
    let wallet = Wallet::new(&anvil).await;
    wallet.install("probe", PROBE, Some(gateway)).await.expect("installed");
    let typed =
        |chain: &str, contract: &str, kind: &str| json!({ "chainId": chain, "contract": contract, "kind": kind });
    let own = gateway.to_string();
    let other = "0x00000000000000000000000000000000000000AA";
    for (params, words) in [
        (typed("1", &own, "Vote"), "own chainId"),
        (typed("31337", other, "Vote"), "own chainId"),
        (typed("31337", &own, "Permit"), "moves tokens"),
    ] {
        says(wallet.call("probe", "signTyped", params).await, code::UNAUTHORIZED, words);
    }
    let siwe = "shop.example wants you to sign in with your Ethereum account:\n0x";
    says(wallet.call("probe", "signText", json!({ "text": siwe })).await, code::UNAUTHORIZED, "sign-in");
    let (signed, ()) = tokio::join!(wallet.call("probe", "signTyped", typed("31337", &own, "Vote")), async {
        let request = wallet.waiting().await;
        assert_eq!(request.kind, "sign");
        wallet.approve(&request).await;
    });
    assert_eq!(signed.expect("signed")["signature"].as_str().map(str::len), Some(132));
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_28_a_script_that_declares_other_actions_later_is_suspended() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    // What it declares depends on chance, which a script cannot keep the same.
    let script = "export default class { constructor() { this.layer2Interface = { actions: [{ name: 'a' + \
                  Math.floor(crypto.getRandomValues(new Uint32Array(1))[0]), call() {} }] }; } }";
    wallet.install("changing", script, None).await.expect("installed");
    wallet.plugin("changing", "stopped: the script declares other actions").await;
    let name = wallet.host().solution(&USER, "changing").await.expect("there").actions[0].name.clone();
    says(wallet.call("changing", &name, json!({})).await, code::PLUGIN_STOPPED, "other actions");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_14_a_polluted_realm_does_not_reach_the_glue() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    wallet.install("probe", PROBE, None).await.expect("installed");
    assert_eq!(wallet.call("probe", "pollute", json!({})).await.expect("answers"), json!("done"));
    assert_eq!(wallet.call("probe", "echo", json!({ "text": "still" })).await.expect("answers"), json!("still"));
    wallet.call("probe", "put", json!({ "key": "k", "value": "v" })).await.expect("kept");
    assert_eq!(wallet.call("probe", "get", json!({ "key": "k" })).await.expect("read"), json!("v"));
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_and_wrong_answers_of_a_script_reach_its_caller_as_errors() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    wallet.install("probe", PROBE, None).await.expect("installed");
    let error = wallet.call("probe", "fail", json!({})).await.expect_err("fails");
    assert_eq!((error.code, error.message.as_str()), (4321, "no such luck"));
    assert_eq!(error.data, json!({ "why": "1" }));
    says(wallet.call("probe", "lie", json!({})).await, code::PLUGIN_ERROR, "does not fit");
    let broken = "export default class { constructor() { throw new Error('never') } }";
    says(wallet.install("broken", broken, None).await.map(|a| a.id), code::PLUGIN_ERROR, "never");
    says(wallet.install("none", "export const x = 1;", None).await.map(|a| a.id), code::PLUGIN_ERROR, "");
    says(wallet.install("syntax", "class {", None).await.map(|a| a.id), code::PLUGIN_STOPPED, "does not start");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_call_is_of_unknown_outcome_after_a_restart_never_repeated() {
    let anvil = Anvil::start().await;
    let mut wallet = Wallet::new(&anvil).await;
    wallet.install("probe", PROBE, None).await.expect("installed");
    wallet.plugin("probe", "running").await;
    let host = wallet.host().clone();
    let cut_off = tokio::spawn(async move {
        let input = entresol_host::messages::CallInput {
            solution: "probe".into(),
            action: "never".into(),
            params: serde_json::Map::new(),
            id: Some("cut".into()),
        };
        host.call(&USER, input).await
    });
    until("the call is in the journal", async || {
        let rows = wallet.host().activity(&USER, about("probe")).await.expect("a journal");
        rows.iter().any(|row| row.resource == "probe.never").then_some(())
    })
    .await;
    says(wallet.call_as("probe", "never", json!({}), Some("cut")).await, code::LIMIT, "still running");
    // As a kill would: the task goes away in the middle.
    cut_off.abort();
    let _ = cut_off.await;
    wallet.restart().await;
    says(wallet.call_as("probe", "never", json!({}), Some("cut")).await, code::OUTCOME_UNKNOWN, "unknown");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_wallet_signs_nothing_and_goes_on_after_unlock() {
    let anvil = Anvil::start().await;
    let gateway = anvil.deploy().await;
    let wallet = Wallet::new(&anvil).await;
    wallet.install("probe", PROBE, Some(gateway)).await.expect("installed");
    let deposit = GatewayCallInput {
        solution: "probe".into(),
        value: Some("9".into()),
        request_key: Some("once".into()),
        ..GatewayCallInput::default()
    };
    let proposed = wallet.host().deposit(&USER, deposit.clone()).await.expect("proposed");
    let same = wallet.host().deposit(&USER, deposit).await.expect("the same");
    assert_eq!(proposed.id, same.id, "the same request key gives the same request");
    wallet.host().lock(&USER).await.expect("locked");
    assert_eq!(wallet.host().accounts(&USER).await.expect("known").len(), 1);
    let decision = Decision {
        id: proposed.id,
        approve: true,
        digest: proposed.digest.clone(),
        refuse: Vec::new(),
        accounts: Vec::new(),
    };
    wallet.host().approval_decide(&USER, decision).await.expect("decided");
    until("the request is approved", async || {
        // The attempt is over when it has been journaled or refused; a locked vault leaves the request approved.
        let state = wallet.host().approval(&USER, proposed.id).await.expect("there").state;
        (state == "approved").then_some(())
    })
    .await;
    says(wallet.host().unlock(&USER, &"wrong".into()).await, code::UNAUTHORIZED, "passphrase");
    wallet.host().unlock(&USER, &"correct horse battery staple".into()).await.expect("unlocked");
    let done = wallet.host().approval_wait(&USER, proposed.id, true, DEADLINE).await.expect("there");
    assert_eq!(done.state, "done", "{:?}", done.outcome);
    wallet.host().shutdown().await;
}
