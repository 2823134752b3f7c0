//! Callers: how they come to a grant, what they see by it, and solutions that call each other.

use crate::consent::*;
use crate::says;
use crate::support::*;
use entresol_host::error::code;
use entresol_host::messages::{CallerGrantInput, SolutionInput};
use entresol_host::{Actor, Caller, Cause};
use serde_json::{Value as Json, json};

fn wants(solution: &str, actions: &[&str], state: &[&str]) -> CallerGrantInput {
    CallerGrantInput {
        caller: None,
        solution: solution.into(),
        actions: actions.iter().map(|name| (*name).to_owned()).collect(),
        state: state.iter().map(|name| (*name).to_owned()).collect(),
        expires_at: None,
    }
}

async fn id_of(wallet: &Wallet, name: &str) -> i64 {
    wallet.host().solution(&USER, name).await.expect("there").id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_asks_for_a_grant_and_learns_nothing_by_asking() {
    let (_anvil, wallet, _) = world().await;
    let host = wallet.host();
    // What is not there, and what is there but has no such action or state, is refused in the same words.
    let mut refusals = Vec::new();
    for (solution, actions, state) in [
        ("nobody", vec!["pay"], vec![]),
        ("probe", vec!["drain"], vec![]),
        ("probe", vec!["pay"], vec!["balance"]),
        ("1", vec!["drain"], vec![]),
        ("999", vec!["pay"], vec![]),
    ] {
        let error = host.caller_request(&shop(), wants(solution, &actions, &state)).await.expect_err("refused");
        assert_eq!(error.code, code::UNAUTHORIZED, "{error}");
        refusals.push(error.message.replace(solution, "X"));
    }
    assert!(refusals.windows(2).all(|pair| pair[0] == pair[1]), "{refusals:?}");
    assert!(queue(host).await.is_empty(), "the user is not bothered with it");

    let id = host.caller_request(&shop(), wants("probe", &["pay", "count"], &["paid"])).await.expect("asked");
    says(asked(&wallet, &shop(), "count", json!({}), None).await, code::UNAUTHORIZED, "not granted");
    let request = wallet.waiting().await;
    assert_eq!((request.id, request.kind.as_str()), (id, "caller"));
    assert!(request.sentence.contains("https://shop.example"), "{}", request.sentence);
    let rows = serde_json::to_string(&request.rows).expect("JSON");
    assert!(rows.contains("pay(address to, uint256 value) (asks you each time)"), "{rows}");
    assert!(rows.contains("count() (only reads, does not ask)"), "{rows}");
    // Asking is not deciding.
    for actor in [Actor::Caller(shop()), Actor::User { session: false }] {
        let decision = entresol_host::messages::Decision {
            id,
            approve: true,
            digest: request.digest.clone(),
            refuse: Vec::new(),
            accounts: Vec::new(),
        };
        says(host.approval_decide(&actor, decision).await, code::UNAUTHORIZED, "");
    }
    assert_eq!(wallet.approve(&request).await.state, "done");
    assert_eq!(asked(&wallet, &shop(), "count", json!({}), None).await.expect("reads"), json!("0"));
    let grants = host.callers(&USER).await.expect("grants");
    assert_eq!((grants.len(), grants[0].caller.as_str()), (1, "site:p:https://shop.example"));
    // A later grant takes the place of the earlier one: what it does not name is gone.
    grant(&wallet, &shop(), &["pay"]).await;
    says(asked(&wallet, &shop(), "count", json!({}), None).await, code::UNAUTHORIZED, "not granted");
    assert_eq!(host.callers(&USER).await.expect("grants").len(), 1);
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_05_a_caller_made_of_odd_parts_passes_for_nobody() {
    let (_anvil, wallet, _) = world().await;
    grant(&wallet, &Caller::Site { profile: "p".into(), origin: "https://shop.example:8443".into() }, &["count"]).await;
    let odd = [
        // The same canonical text as the granted one, cut elsewhere.
        Caller::Site { profile: "p:https".into(), origin: "//shop.example:8443".into() },
        Caller::Site { profile: String::new(), origin: "https://shop.example:8443".into() },
        Caller::Site { profile: "p".into(), origin: "https://SHOP.example:8443".into() },
        Caller::Site { profile: "p".into(), origin: "null".into() },
        Caller::App { name: "a:b".into() },
        Caller::App { name: "user".to_uppercase() },
    ];
    for caller in odd {
        says(asked(&wallet, &caller, "count", json!({}), None).await, code::UNAUTHORIZED, "");
        says(wallet.host().solutions_as(&caller).await, code::UNAUTHORIZED, "no such caller");
        says(wallet.host().state_as(&caller, "probe", None).await, code::UNAUTHORIZED, "");
        says(wallet.host().caller_request(&caller, wants("probe", &["pay"], &[])).await, code::UNAUTHORIZED, "");
    }
    assert!(queue(wallet.host()).await.is_empty());
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_07_new_names_for_callers_do_not_fill_the_queue() {
    let (_anvil, wallet, _) = world().await;
    let mut asked_for = 0;
    let refused = loop {
        let site = Caller::Site { profile: "p".into(), origin: format!("https://a{asked_for}.evil.example") };
        match wallet.host().caller_request(&site, wants("probe", &["pay"], &[])).await {
            Ok(_) => asked_for += 1,
            Err(error) => break error,
        }
        assert!(asked_for <= 256, "the queue grows without end");
    };
    assert_eq!((refused.code, asked_for), (code::LIMIT, 256));
    let own = entresol_host::messages::GatewayCallInput {
        solution: "probe".into(),
        value: Some("1".into()),
        ..Default::default()
    };
    wallet.host().deposit(&USER, own).await.expect("the user's own requests have their place");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_26_a_plugin_calls_another_only_for_those_behind_it_and_never_in_a_circle() {
    let (_anvil, wallet, gateway) = world().await;
    wallet.install("second", CONSENT, Some(gateway)).await.expect("installed");
    wallet.plugin("second", "running").await;
    let (first, second) = (id_of(&wallet, "probe").await, id_of(&wallet, "second").await);
    let grant_on = async |caller: &Caller, solution: &str, actions: &[&str]| {
        let input = CallerGrantInput { caller: Some(caller.key()), ..wants(solution, actions, &[]) };
        wallet.host().caller_grant(&USER, input).await.expect("granted");
    };
    grant_on(&shop(), "probe", &["relay", "relayTopUp"]).await;
    // Without a grant of its own a plugin is as little as a site.
    let call = asks(&wallet, &shop(), "relay", json!({ "solution": "second", "name": "free" }), None);
    wallet.approve(&wallet.waiting().await).await;
    says(answer(call).await, code::UNAUTHORIZED, "not granted");
    grant_on(&Caller::Solution { id: first }, "second", &["free", "relay", "topUp"]).await;
    grant_on(&Caller::Solution { id: second }, "probe", &["free"]).await;
    // The second approval names the plugin and the site behind it; so does the deposit that follows.
    let call = asks(&wallet, &shop(), "relayTopUp", json!({ "solution": "second", "value": "5" }), None);
    decide(&wallet, &wallet.waiting().await).await;
    let through = until("it asks", async || {
        queue(wallet.host()).await.into_iter().find(|a| a.solution.as_deref() == Some("second"))
    })
    .await;
    assert_eq!(through.kind, "call");
    let causes = through.causes.join("; ");
    assert!(causes.contains("shop.example") && causes.contains("the plugin of probe"), "{causes}");
    decide(&wallet, &through).await;
    let deposit = until("it asks", async || queue(wallet.host()).await.into_iter().find(|a| a.kind == "deposit")).await;
    let causes = deposit.causes.join("; ");
    assert!(causes.contains("shop.example") && causes.contains("the plugin of probe"), "{causes}");
    wallet.reject(&deposit).await;
    says(answer(call).await, code::REJECTED, "");
    // first → second → first is a circle: as the second's request would arrive.
    let behind = Cause {
        caller: "the plugin of probe".into(),
        key: Caller::Solution { id: first }.key(),
        action: "relay".into(),
        call_id: None,
        read_only: false,
    };
    let input = call_input("probe", "free", &json!({}), None);
    let circle = wallet.host().call_as(&Caller::Solution { id: second }, input, vec![behind]).await;
    says(circle, code::UNAUTHORIZED, "cycle");
    let call = asks(&wallet, &shop(), "relay", json!({ "solution": "probe", "name": "free" }), None);
    wallet.approve(&wallet.waiting().await).await;
    assert!(answer(call).await.is_err(), "a plugin does not call itself");
    assert_eq!(paid(&wallet).await, 0);
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::disallowed_methods, reason = "a package of the test's own")]
async fn row_30_the_key_path_of_a_removed_solution_stays_reserved() {
    let (_anvil, wallet, _) = world().await;
    let path = wallet.host().solution(&USER, "probe").await.expect("there").key_path;
    grant(&wallet, &bot(), &["pay"]).await;
    let call = asks(&wallet, &bot(), "pay", pay("1"), Some("waits"));
    let waiting = wallet.waiting().await;
    wallet.host().solution_remove(&USER, "probe").await.expect("removed");
    // What waited for it is over, and its callers see nothing of it any more.
    says(answer(call).await, code::REJECTED, "expired");
    let late = entresol_host::messages::Decision {
        id: waiting.id,
        approve: true,
        digest: waiting.digest,
        refuse: Vec::new(),
        accounts: Vec::new(),
    };
    says(wallet.host().approval_decide(&USER, late).await, code::INVALID_PARAMS, "");
    says(asked(&wallet, &bot(), "pay", pay("1"), None).await, code::UNAUTHORIZED, "not granted");
    // Another package may not take the path, above it or below it.
    let folder = wallet.home.path().join("thief");
    write_package(&folder, CONSENT, false);
    let mut manifest: Json =
        serde_json::from_slice(&std::fs::read(folder.join("package.json")).expect("there")).expect("JSON");
    manifest["name"] = json!("thief");
    std::fs::write(folder.join("package.json"), manifest.to_string()).expect("written");
    let parent = path.rsplit_once('/').expect("levels").0.to_owned();
    for stated in [path.clone(), parent, format!("{path}/0'")] {
        let wanted = SolutionInput { key_path: Some(stated.clone()), ..input("thief", &folder, None) };
        let refused = wallet.host().solution_add(&USER, wanted).await;
        assert_eq!(refused.expect_err(&stated).code, code::INVALID_PARAMS, "{stated}");
    }
    // By default it gets keys of its own.
    let added = wallet.host().solution_add(&USER, input("thief", &folder, None)).await.expect("proposed");
    wallet.approve(&added).await;
    assert_ne!(wallet.host().solution(&USER, "thief").await.expect("there").key_path, path);
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::disallowed_methods, reason = "a package of the test's own")]
async fn row_23_a_gateway_that_is_a_token_is_flagged_before_the_yes() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    let network = anvil.network().await;
    // A contract that answers as a token does: 18 decimals, and so for every other question.
    let code = "0x600a600c600039600a6000f3601260005260206000f3";
    let sent = json!([{ "from": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "data": code, "gas": "0x989680" }]);
    let hash = network.request("eth_sendTransaction", sent).await.expect("sent");
    let token = until("it is deployed", async || {
        let receipt = network.request("eth_getTransactionReceipt", json!([hash])).await.expect("an answer");
        receipt["contractAddress"].as_str().map(|text| text.parse().expect("an address"))
    })
    .await;
    let folder = wallet.home.path().join("source-token");
    write_package(&folder, CONSENT, true);
    let mut manifest: Json =
        serde_json::from_slice(&std::fs::read(folder.join("package.json")).expect("there")).expect("JSON");
    manifest["layer2"]["contracts"]["gateway"] = json!({
        "abi": ["function transfer(address to, uint256 amount)"], "withdraw": ["transfer"]
    });
    std::fs::write(folder.join("package.json"), manifest.to_string()).expect("written");
    let proposed = wallet.host().solution_add(&USER, input("token", &folder, Some(token))).await.expect("proposed");
    let warnings = proposed.warnings.join("; ").to_lowercase();
    assert!(warnings.contains("token"), "{warnings}");
    wallet.host().shutdown().await;
}
