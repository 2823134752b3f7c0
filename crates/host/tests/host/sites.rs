//! Websites and local apps in the words of EIP-1193: accounts, networks, permissions, reads, and what they are told.

use crate::consent::*;
use crate::says;
use crate::support::*;
use entresol_host::callers::CallerMethod;
use entresol_host::error::code;
use entresol_host::messages::{ApprovalView, CallerGrantInput, ConnectionInput, Decision, NetworkInput};
use entresol_host::{Caller, CallerEvent, CallerEvents};
use serde_json::{Value as Json, json};
use tokio::task::JoinHandle;

/// The first two owner accounts of the tests' phrase.
const OWNERS: [&str; 2] = ["0x9858EfFD232B4033E47d90003D41EC34EcaEda94", "0x6Fac4D18c912343BF86fa7049364Dd4E424Ab9C0"];

pub(crate) fn market() -> Caller {
    Caller::Site { profile: "p".into(), origin: "https://market.example".into() }
}

/// A caller's request, in time.
pub(crate) async fn ask(wallet: &Wallet, caller: &Caller, method: &str, params: Json) -> Answer {
    let method = CallerMethod::by_name(method).expect("in the table");
    tokio::time::timeout(DEADLINE, method.run(wallet.host(), caller, params)).await.expect("an answer in time")
}

/// A caller's request, which goes on by itself.
pub(crate) fn asking(wallet: &Wallet, caller: &Caller, method: &'static str, params: Json) -> JoinHandle<Answer> {
    let (host, caller) = (wallet.host().clone(), caller.clone());
    tokio::spawn(async move { CallerMethod::by_name(method).expect("in the table").run(&host, &caller, params).await })
}

/// Connects a caller by the user's own hand.
pub(crate) async fn connect(wallet: &Wallet, caller: &Caller, accounts: &[u32]) {
    let input = ConnectionInput { caller: caller.key(), accounts: accounts.to_vec(), network: None };
    wallet.host().caller_connect(&USER, input).await.expect("connected");
}

/// The events found so far, up to and with the one of that name.
async fn told(events: &mut CallerEvents, name: &str) -> Vec<CallerEvent> {
    let mut all = Vec::new();
    loop {
        let next = tokio::time::timeout(DEADLINE, events.next()).await;
        let event = next.unwrap_or_else(|_| panic!("no {name} in time, only {all:?}")).expect("the wallet goes on");
        let found = event.name == name;
        all.push(event);
        if found {
            return all;
        }
    }
}

/// That one event and no other.
async fn only(events: &mut CallerEvents, name: &'static str, data: Json) {
    assert_eq!(told(events, name).await, [CallerEvent { name, data }]);
}

/// Nothing was told: what is told next is the answer to something done now.
async fn nothing_until(events: &mut CallerEvents, wallet: &Wallet, caller: &Caller) {
    let before = ask(wallet, caller, "eth_accounts", json!([])).await.expect("accounts");
    assert_ne!(before, json!([]), "for connected callers");
    wallet.host().lock(&USER).await.expect("locked");
    only(events, "accountsChanged", json!([])).await;
    wallet.host().unlock(&USER, &PASSPHRASE.into()).await.expect("unlocked");
    only(events, "accountsChanged", before).await;
}

async fn the_one(wallet: &Wallet, kind: &str) -> ApprovalView {
    let waiting = wallet.waiting().await;
    assert_eq!((waiting.kind.as_str(), queue(wallet.host()).await.len()), (kind, 1));
    waiting
}

async fn bare() -> (Anvil, Wallet) {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    (anvil, wallet)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_sees_the_accounts_that_the_user_chose_and_nobody_elses() {
    let (_anvil, wallet) = bare().await;
    wallet.host().account_add(&USER).await.expect("added");
    assert_eq!(ask(&wallet, &shop(), "eth_accounts", json!([])).await.expect("accounts"), json!([]));
    let asking_for = asking(&wallet, &shop(), "eth_requestAccounts", json!([]));
    let request = the_one(&wallet, "connect").await;
    assert!(request.sentence.contains("https://shop.example (browser profile p)"), "{}", request.sentence);
    let rows = serde_json::to_string(&request.rows).expect("JSON");
    assert!(rows.contains(OWNERS[0]) && rows.contains("dev (chain 31337)"), "{rows}");
    assert_eq!(ask(&wallet, &shop(), "eth_accounts", json!([])).await.expect("accounts"), json!([]), "not yet");
    let decision = |accounts: &[u32]| Decision {
        id: request.id,
        approve: true,
        digest: request.digest.clone(),
        refuse: Vec::new(),
        accounts: accounts.to_vec(),
    };
    for (accounts, words) in [(vec![2], "account add"), (vec![1, 1], "twice"), ((0..40).collect(), "at most")] {
        says(wallet.host().approval_decide(&USER, decision(&accounts)).await, code::INVALID_PARAMS, words);
    }
    wallet.host().approval_decide(&USER, decision(&[1])).await.expect("decided");
    assert_eq!(answer(asking_for).await.expect("accounts"), json!([OWNERS[1]]));
    assert_eq!(ask(&wallet, &shop(), "eth_accounts", json!([])).await.expect("accounts"), json!([OWNERS[1]]));
    // Granted is granted: nobody is asked again.
    assert_eq!(ask(&wallet, &shop(), "eth_requestAccounts", json!([])).await.expect("accounts"), json!([OWNERS[1]]));
    // Another origin, the same origin in another profile, and an app are other callers.
    let elsewhere = Caller::Site { profile: "q".into(), origin: "https://shop.example".into() };
    for other in [market(), elsewhere, bot()] {
        assert_eq!(ask(&wallet, &other, "eth_accounts", json!([])).await.expect("accounts"), json!([]));
        says(ask(&wallet, &other, "eth_blockNumber", json!([])).await, code::UNAUTHORIZED, "eth_requestAccounts");
    }
    assert!(queue(wallet.host()).await.is_empty());
    let connected = wallet.host().caller_connections(&USER).await.expect("connections");
    assert_eq!((connected.len(), connected[0].caller.as_str()), (1, "site:p:https://shop.example"));
    assert_eq!(connected[0].accounts[0].address.as_deref(), Some(OWNERS[1]));
    // Accounts are chosen for requests to connect only.
    let asking_for = asking(&wallet, &shop(), "wallet_requestPermissions", json!([{ "eth_accounts": {} }]));
    wallet.reject(&the_one(&wallet, "connect").await).await;
    says(answer(asking_for).await, code::REJECTED, "rejected");
    assert_eq!(ask(&wallet, &shop(), "eth_accounts", json!([])).await.expect("accounts"), json!([OWNERS[1]]), "kept");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_sees_outlives_a_restart_and_what_it_waits_for_does_not() {
    let (_anvil, mut wallet, _) = world().await;
    connect(&wallet, &shop(), &[0]).await;
    // A question whose page does not get to say that it is gone, as when the wallet is killed.
    let wanted = CallerGrantInput { solution: "probe".into(), actions: vec!["pay".into()], ..Default::default() };
    let id = wallet.host().caller_request(&market(), wanted).await.expect("asked");
    wallet.restart().await;
    assert_eq!(ask(&wallet, &shop(), "eth_accounts", json!([])).await.expect("accounts"), json!([OWNERS[0]]));
    assert_eq!(ask(&wallet, &market(), "eth_accounts", json!([])).await.expect("accounts"), json!([]));
    assert_eq!(wallet.host().approval(&USER, id).await.expect("there").state, "expired");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_07_one_caller_that_asks_many_times_is_one_question_and_leaves_with_the_last_who_waits() {
    let (_anvil, wallet) = bare().await;
    let mut waiting: Vec<_> = (0..20).map(|_| asking(&wallet, &shop(), "eth_requestAccounts", json!([]))).collect();
    let other = asking(&wallet, &market(), "eth_requestAccounts", json!([]));
    until("both callers wait", async || (queue(wallet.host()).await.len() == 2).then_some(())).await;
    // All but one leave: the question stays; the last one takes it along.
    let last = waiting.pop().expect("twenty");
    for one in waiting {
        cut(one).await;
    }
    assert_eq!(queue(wallet.host()).await.len(), 2);
    cut(last).await;
    until("it leaves the queue", async || (queue(wallet.host()).await.len() == 1).then_some(())).await;
    // Two who wait get one answer each from one decision.
    let together = asking(&wallet, &market(), "eth_requestAccounts", json!([]));
    until("the second one has asked", async || {
        let popup = wallet.host().caller_view_for_popup(&market()).expect("a view");
        (popup.approvals.len() == 1 && popup.pending == 1).then_some(())
    })
    .await;
    let request = the_one(&wallet, "connect").await;
    wallet.approve(&request).await;
    for one in [other, together] {
        assert_eq!(answer(one).await.expect("accounts"), json!([OWNERS[0]]));
    }
    // After three rejections in a row it has to wait.
    for _ in 0..3 {
        let one = asking(&wallet, &shop(), "eth_requestAccounts", json!([]));
        wallet.reject(&the_one(&wallet, "connect").await).await;
        says(answer(one).await, code::REJECTED, "rejected");
    }
    let hasty = ask(&wallet, &shop(), "eth_requestAccounts", json!([])).await.expect_err("too soon");
    assert_eq!(hasty.code, code::LIMIT);
    assert!(hasty.data["retryAfterMs"].as_u64().is_some_and(|wait| wait > 30_000), "{:?}", hasty.data);
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_wallet_shows_no_accounts_and_says_so() {
    let (_anvil, wallet) = bare().await;
    connect(&wallet, &shop(), &[0]).await;
    let mut events = wallet.host().caller_events(&shop());
    only(&mut events, "connect", json!({ "chainId": "0x7a69" })).await;
    wallet.host().lock(&USER).await.expect("locked");
    only(&mut events, "accountsChanged", json!([])).await;
    assert_eq!(ask(&wallet, &shop(), "eth_accounts", json!([])).await.expect("accounts"), json!([]));
    for (caller, method) in [(shop(), "eth_requestAccounts"), (market(), "eth_requestAccounts")] {
        says(ask(&wallet, &caller, method, json!([])).await, code::UNAUTHORIZED, "locked");
    }
    let again = json!([{ "eth_accounts": {} }]);
    says(ask(&wallet, &shop(), "wallet_requestPermissions", again).await, code::UNAUTHORIZED, "locked");
    let held = ask(&wallet, &shop(), "wallet_getPermissions", json!([])).await.expect("permissions");
    assert_eq!(held[0]["caveats"][0]["value"], json!([]), "{held}");
    // The chain is no secret of the wallet: a page that is open goes on showing it.
    assert!(ask(&wallet, &shop(), "eth_blockNumber", json!([])).await.is_ok());
    assert!(wallet.host().caller_view_for_popup(&shop()).expect("a view").locked);
    wallet.host().unlock(&USER, &PASSPHRASE.into()).await.expect("unlocked");
    only(&mut events, "accountsChanged", json!([OWNERS[0]])).await;
    assert!(queue(wallet.host()).await.is_empty());
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_are_asked_for_shown_and_given_back_as_erc_2255_has_them() {
    let (_anvil, wallet, _) = world().await;
    let id = wallet.host().solution(&USER, "probe").await.expect("there").id;
    let mut events = wallet.host().caller_events(&shop());
    only(&mut events, "connect", json!({ "chainId": "0x7a69" })).await;
    let wanted = json!([{ "layer2": { "solution": "probe", "actions": ["count"], "state": ["paid"] } }]);
    // No, then yes.
    let first = asking(&wallet, &shop(), "wallet_requestPermissions", wanted.clone());
    wallet.reject(&the_one(&wallet, "caller").await).await;
    says(answer(first).await, code::REJECTED, "rejected");
    let second = asking(&wallet, &shop(), "wallet_requestPermissions", wanted.clone());
    wallet.approve(&the_one(&wallet, "caller").await).await;
    let held = answer(second).await.expect("permissions");
    assert_eq!(held.as_array().map(Vec::len), Some(1), "{held}");
    assert_eq!((&held[0]["invoker"], &held[0]["parentCapability"]), (&json!("https://shop.example"), &json!("layer2")));
    let caveats = json!([
        { "type": "solution", "value": id },
        { "type": "actions", "value": ["count"] },
        { "type": "state", "value": ["paid"] },
    ]);
    assert_eq!(held[0]["caveats"], caveats);
    let seen = ask(&wallet, &shop(), "layer2_getSolutions", json!([])).await.expect("solutions");
    only(&mut events, "layer2Changed", seen.clone()).await;
    assert_eq!((&seen[0]["id"], seen[0]["actions"].as_array().map(Vec::len)), (&json!(id), Some(1)));
    // A solution goes by its number, its number as text, and its handle; parameters as a list or an object.
    for solution in [json!(id), json!(id.to_string()), json!("probe")] {
        for params in
            [json!({ "solution": solution, "action": "count" }), json!([{ "solution": solution, "action": "count" }])]
        {
            assert_eq!(ask(&wallet, &shop(), "layer2_call", params).await.expect("counted"), json!("0"));
        }
    }
    // Both at once: two questions, one after the other.
    let both = json!([{ "layer2": { "solution": id, "actions": ["count", "pay"] }, "eth_accounts": {} }]);
    let third = asking(&wallet, &shop(), "wallet_requestPermissions", both);
    wallet.approve(&the_one(&wallet, "connect").await).await;
    let next =
        until("the second question", async || queue(wallet.host()).await.into_iter().find(|a| a.kind == "caller"))
            .await;
    wallet.approve(&next).await;
    let held = answer(third).await.expect("permissions");
    let names: Vec<_> = held.as_array().expect("a list").iter().map(|one| one["parentCapability"].clone()).collect();
    assert_eq!(names, ["eth_accounts", "layer2"]);
    assert_eq!(held[0]["caveats"], json!([{ "type": "restrictReturnedAccounts", "value": [OWNERS[0]] }]));
    assert_eq!(ask(&wallet, &shop(), "wallet_getPermissions", json!([])).await.expect("permissions"), held);
    // Given back: at once, and told.
    let given = json!([{ "eth_accounts": {}, "layer2": { "solution": id } }]);
    assert_eq!(ask(&wallet, &shop(), "wallet_revokePermissions", given).await.expect("given back"), Json::Null);
    assert_eq!(ask(&wallet, &shop(), "wallet_getPermissions", json!([])).await.expect("permissions"), json!([]));
    says(asked(&wallet, &shop(), "count", json!({}), None).await, code::UNAUTHORIZED, "not granted");
    let mut last = told(&mut events, "layer2Changed").await;
    while last.last().is_some_and(|event| event.data != json!([])) {
        last = told(&mut events, "layer2Changed").await;
    }
    for (params, words) in [
        (json!([]), "name a permission"),
        (json!([{ "eth_sign": {} }]), "there is no permission"),
        (json!([{ "eth_accounts": 1 }]), "an object"),
        (json!([{ "layer2": { "solution": "probe", "caller": "app:bot" } }]), "{ solution, actions, state }"),
        (json!([{ "eth_accounts": {} }, { "eth_accounts": {} }]), "not several"),
        (json!("eth_accounts"), "params"),
    ] {
        says(ask(&wallet, &shop(), "wallet_requestPermissions", params).await, code::INVALID_PARAMS, words);
    }
    assert!(queue(wallet.host()).await.is_empty());
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_leaves_the_queue_with_its_page() {
    let (_anvil, wallet, _) = world().await;
    for (method, params, kind) in [
        ("eth_requestAccounts", json!([]), "connect"),
        ("wallet_requestPermissions", json!([{ "layer2": { "solution": "probe", "actions": ["pay"] } }]), "caller"),
        ("layer2_addSolution", json!([{ "layer2Script": "npm:payments@1.0.0" }]), "propose"),
    ] {
        let one = asking(&wallet, &shop(), method, params);
        the_one(&wallet, kind).await;
        cut(one).await;
        until("it leaves the queue", async || queue(wallet.host()).await.is_empty().then_some(())).await;
    }
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_pass_through_with_the_endpoints_own_answers_and_errors() {
    let (anvil, wallet, gateway) = world().await;
    connect(&wallet, &shop(), &[0]).await;
    // A caller without accounts, with a grant on a solution, is connected as well.
    grant(&wallet, &bot(), &["count"]).await;
    let beside = anvil.network().await;
    for (method, params) in [
        ("eth_getBalance", json!([OWNERS[0], "latest"])),
        ("eth_getCode", json!([gateway, "latest"])),
        ("eth_getBlockByNumber", json!(["0x1", false])),
        ("eth_getTransactionCount", json!([OWNERS[0], "latest"])),
        ("eth_chainId", json!([])),
        ("net_version", json!([])),
    ] {
        let straight = beside.request(method, params.clone()).await.expect("an answer");
        for caller in [shop(), bot()] {
            assert_eq!(ask(&wallet, &caller, method, params.clone()).await.expect(method), straight, "{method}");
        }
    }
    // A revert reaches the page with the code and the data by which libraries know it.
    let refused = json!([{ "to": gateway, "data": "0x12345678" }, "latest"]);
    let error = ask(&wallet, &shop(), "eth_call", refused).await.expect_err("reverts");
    assert!(error.code == 3 || error.code == -32000, "{error:?}");
    assert!(error.message.contains("revert"), "{error:?}");
    // Logs over a range that is asked for in parts.
    for _ in 0..5 {
        beside.request("anvil_mine", json!(["0x1b8"])).await.expect("mined");
    }
    until("the wallet sees them", async || {
        let head = ask(&wallet, &shop(), "eth_blockNumber", json!([])).await.expect("a number");
        (head.as_str() >= Some("0x898")).then_some(())
    })
    .await;
    let logs = json!([{ "address": gateway, "fromBlock": "earliest", "toBlock": "latest" }]);
    assert!(ask(&wallet, &shop(), "eth_getLogs", logs).await.expect("logs").is_array());
    for (filter, number, words) in [
        (json!([{ "fromBlock": "0x10", "toBlock": "0x1" }]), code::INVALID_PARAMS, "above"),
        (json!([{ "fromBlock": "0x0", "toBlock": "0xffffffff" }]), code::LIMIT, "at most"),
    ] {
        says(ask(&wallet, &shop(), "eth_getLogs", filter).await, number, words);
    }
    says(ask(&wallet, &shop(), "eth_call", json!("0x")).await, code::INVALID_PARAMS, "a list");
    let huge = json!([{ "to": gateway, "data": format!("0x{}", "00".repeat(300_000)) }, "latest"]);
    says(ask(&wallet, &shop(), "eth_call", huge).await, code::LIMIT, "at most");
    // The endpoint's own methods are not the page's: only what stands in the table exists.
    for method in
        ["anvil_setBalance", "debug_traceCall", "eth_sendRawTransaction", "personal_listAccounts", "eth_subscribe"]
    {
        assert!(CallerMethod::by_name(method).is_none(), "{method}");
    }
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_07_a_caller_that_reads_in_a_loop_is_slowed_and_others_are_not() {
    let (_anvil, wallet) = bare().await;
    for caller in [shop(), market()] {
        connect(&wallet, &caller, &[0]).await;
    }
    // Counted before it goes out: what is wrong counts as well, and needs no endpoint, however slow that is today.
    let wrong = json!([{ "fromBlock": "0x2", "toBlock": "0x1" }]);
    let mut counted = 0;
    let error = loop {
        let error = ask(&wallet, &shop(), "eth_getLogs", wrong.clone()).await.expect_err("wrong, or too often");
        if error.code != code::INVALID_PARAMS {
            break error;
        }
        counted += 1;
        assert!(counted < 100_000, "it is never slowed");
    };
    assert!(counted >= 1000, "an ordinary page is not slowed: {counted}");
    assert_eq!((error.code, error.data["retryAfterMs"].is_u64()), (code::LIMIT, true));
    assert!(ask(&wallet, &market(), "eth_gasPrice", json!([])).await.is_ok(), "another caller");
    assert!(ask(&wallet, &shop(), "eth_accounts", json!([])).await.is_ok(), "what the wallet answers by itself");
    let again =
        until("it is answered again", async || ask(&wallet, &shop(), "eth_gasPrice", json!([])).await.ok()).await;
    assert!(again.is_string(), "{again}");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_caller_looks_at_a_network_of_its_own() {
    let (_anvil, wallet) = bare().await;
    let second = Anvil::start_with(&["--chain-id", "1337"]).await;
    let input =
        NetworkInput { name: "aaa".into(), rpc_urls: vec![second.url.clone()], chain_id: None, confirmations: None };
    wallet.host().network_add(&USER, input).await.expect("added");
    connect(&wallet, &shop(), &[0]).await;
    connect(&wallet, &market(), &[0]).await;
    let mut events = [wallet.host().caller_events(&shop()), wallet.host().caller_events(&market())];
    for events in &mut events {
        only(events, "connect", json!({ "chainId": "0x7a69" })).await;
    }
    // A stranger sees the network that was there first, whatever its name.
    assert_eq!(ask(&wallet, &bot(), "eth_chainId", json!([])).await.expect("a chain"), json!("0x7a69"));
    let switch = |to: &str| json!([{ "chainId": to }]);
    says(ask(&wallet, &bot(), "wallet_switchEthereumChain", switch("0x539")).await, code::UNAUTHORIZED, "connected");
    for (to, number) in [("0x1", code::UNKNOWN_CHAIN), ("1337", code::INVALID_PARAMS), ("0x0539", code::INVALID_PARAMS)]
    {
        says(ask(&wallet, &shop(), "wallet_switchEthereumChain", switch(to)).await, number, to);
    }
    assert_eq!(
        ask(&wallet, &shop(), "wallet_switchEthereumChain", switch("0x539")).await.expect("switched"),
        Json::Null
    );
    only(&mut events[0], "chainChanged", json!("0x539")).await;
    assert_eq!(ask(&wallet, &shop(), "eth_chainId", json!([])).await.expect("a chain"), json!("0x539"));
    assert_eq!(ask(&wallet, &shop(), "net_version", json!([])).await.expect("a chain"), json!("1337"));
    assert_eq!(ask(&wallet, &market(), "eth_chainId", json!([])).await.expect("a chain"), json!("0x7a69"));
    // Reads go where the caller looks.
    assert_eq!(
        ask(&wallet, &shop(), "eth_getBalance", json!([OWNERS[0], "latest"])).await.expect("read"),
        json!("0x0")
    );
    assert_ne!(
        ask(&wallet, &market(), "eth_getBalance", json!([OWNERS[0], "latest"])).await.expect("read"),
        json!("0x0")
    );
    // Its network is lost: this caller is told, the other is not.
    drop(second);
    let lost = told(&mut events[0], "disconnect").await;
    assert_eq!((lost.len(), &lost[0].data["code"]), (1, &json!(code::DISCONNECTED)));
    assert!(ask(&wallet, &shop(), "eth_blockNumber", json!([])).await.is_err());
    assert_eq!(ask(&wallet, &shop(), "eth_chainId", json!([])).await.expect("still known"), json!("0x539"));
    nothing_until(&mut events[1], &wallet, &market()).await;
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_is_known_stays_as_it_is_and_another_is_asked_for() {
    let (_anvil, wallet) = bare().await;
    connect(&wallet, &shop(), &[0]).await;
    let chain = |id: &str, url: &str| {
        json!([{ "chainId": id, "chainName": "Evil\u{202e} Chain", "rpcUrls": [url], "iconUrls": ["https://x.example"],
                 "nativeCurrency": { "name": "Evil", "symbol": "EVL", "decimals": 18 }, "blockExplorerUrls": null }])
    };
    let before = serde_json::to_value(wallet.host().networks(&USER).await.expect("networks")).expect("JSON");
    // Known: null, without a question, and nothing is overwritten.
    let known = ask(&wallet, &shop(), "wallet_addEthereumChain", chain("0x7a69", "https://evil.example")).await;
    assert_eq!(known.expect("known"), Json::Null);
    assert!(queue(wallet.host()).await.is_empty());
    let urls = |value: &Json| value[0]["rpcUrls"].clone();
    let now = serde_json::to_value(wallet.host().networks(&USER).await.expect("networks")).expect("JSON");
    assert_eq!(urls(&before), urls(&now));
    let stranger = ask(&wallet, &market(), "wallet_addEthereumChain", chain("0x7a69", "https://evil.example")).await;
    says(stranger, code::UNAUTHORIZED, "connected");
    // Another one is a question that shows everything, and quotes what is not the wallet's.
    let asked_for =
        asking(&wallet, &shop(), "wallet_addEthereumChain", chain("0x64", "https://rpc.evil.invalid.example"));
    let request = the_one(&wallet, "network").await;
    let rows = serde_json::to_string(&request.rows).expect("JSON");
    assert!(rows.contains("100") && rows.contains("rpc.evil.invalid.example") && rows.contains("⟨U+202E⟩"), "{rows}");
    wallet.reject(&request).await;
    says(answer(asked_for).await, code::REJECTED, "rejected");
    // A yes to what does not answer adds nothing, and the page is told at once.
    let asked_for = asking(&wallet, &shop(), "wallet_addEthereumChain", chain("0x64", "https://nobody.example:1"));
    wallet.approve(&the_one(&wallet, "network").await).await;
    assert!(answer(asked_for).await.is_err());
    assert_eq!(wallet.host().networks(&USER).await.expect("networks").len(), 1);
    assert_eq!(ask(&wallet, &shop(), "eth_chainId", json!([])).await.expect("a chain"), json!("0x7a69"));
    // The user's own hand was quicker: what it added stays, and the caller looks at it.
    let second = Anvil::start_with(&["--chain-id", "100"]).await;
    let asked_for = asking(&wallet, &shop(), "wallet_addEthereumChain", chain("0x64", "https://rpc.evil.example"));
    let request = the_one(&wallet, "network").await;
    let input =
        NetworkInput { name: "own".into(), rpc_urls: vec![second.url.clone()], chain_id: None, confirmations: None };
    wallet.host().network_add(&USER, input).await.expect("added");
    assert_eq!(wallet.approve(&request).await.state, "done");
    assert_eq!(answer(asked_for).await.expect("added"), Json::Null);
    let networks = wallet.host().networks(&USER).await.expect("networks");
    assert_eq!((networks.len(), networks[1].name.as_str()), (2, "own"));
    assert_eq!(ask(&wallet, &shop(), "eth_chainId", json!([])).await.expect("a chain"), json!("0x64"));
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_17_a_site_adds_no_network_on_this_machine() {
    let (_anvil, wallet) = bare().await;
    connect(&wallet, &shop(), &[0]).await;
    let (local, mut fetched) = serve("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".into()).await;
    let port = local.rsplit(':').next().expect("a port");
    for url in [
        local.clone(),
        format!("https://127.0.0.1:{port}"),
        format!("https://localhost:{port}"),
        "https://10.0.0.1".into(),
    ] {
        let params = json!([{ "chainId": "0x64", "chainName": "X", "rpcUrls": ["https://rpc.example.org", url],
                              "nativeCurrency": { "name": "X", "symbol": "X", "decimals": 18 } }]);
        says(ask(&wallet, &shop(), "wallet_addEthereumChain", params).await, code::INVALID_PARAMS, "rpcUrls");
    }
    assert!(queue(wallet.host()).await.is_empty());
    assert!(fetched.try_recv().is_err(), "nothing was fetched");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_27_a_proposed_solution_is_not_fetched_before_the_first_yes_nor_installed_before_the_second() {
    let (_anvil, wallet, gateway) = world().await;
    let proposal = json!({
        "layer2Script": "npm:entresol-no-such-package@1.0.0",
        "layer2SolutionContractAddress": gateway,
        "layer2NetworkUrl": ["wss://node.evil.example"],
    });
    let solutions = wallet.host().solutions(&USER).await.expect("solutions").len();
    let asked_for = asking(&wallet, &shop(), "layer2_addSolution", proposal.clone());
    let request = the_one(&wallet, "propose").await;
    let rows = serde_json::to_string(&request.rows).expect("JSON");
    for shown in ["npm:entresol-no-such-package@1.0.0", &gateway.to_checksum(None), "wss://node.evil.example"] {
        assert!(rows.contains(shown), "{shown}: {rows}");
    }
    assert!(request.sentence.starts_with("https://shop.example (browser profile p) proposes"), "{}", request.sentence);
    wallet.reject(&request).await;
    says(answer(asked_for).await, code::REJECTED, "rejected");
    // After a yes the wallet looks, and what does not fit is told to the site at once: there is no contract at this
    // gateway, so that no registry is asked either. Nothing has changed.
    let asked_for =
        asking(&wallet, &shop(), "layer2_addSolution", json!({ "script": "npm:nobody@1.0.0", "gateway": OWNERS[0] }));
    wallet.approve(&the_one(&wallet, "propose").await).await;
    says(answer(asked_for).await, code::INVALID_PARAMS, "no contract");
    assert_eq!(wallet.host().solutions(&USER).await.expect("solutions").len(), solutions);
    for script in ["folder:/etc", "tarball:x.tgz", "npm:x@latest"] {
        let refused = ask(&wallet, &shop(), "layer2_addSolution", json!({ "script": script })).await;
        says(refused, code::INVALID_PARAMS, "exact version");
    }
    assert!(queue(wallet.host()).await.is_empty());
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_05_a_granted_caller_is_told_of_its_own_and_a_stranger_of_nothing() {
    let (_anvil, wallet, _) = world().await;
    let id = wallet.host().solution(&USER, "probe").await.expect("there").id;
    connect(&wallet, &shop(), &[0]).await;
    connect(&wallet, &market(), &[0]).await;
    let of_state = CallerGrantInput {
        caller: Some(shop().key()),
        solution: "probe".into(),
        actions: vec!["pay".into()],
        state: vec!["paid".into()],
        expires_at: None,
    };
    wallet.host().caller_grant(&USER, of_state.clone()).await.expect("granted");
    let mut granted = wallet.host().caller_events(&shop());
    let mut twice = wallet.host().caller_events(&shop());
    let mut stranger = wallet.host().caller_events(&market());
    let seen = ask(&wallet, &shop(), "layer2_getSolutions", json!([])).await.expect("solutions");
    for events in [&mut granted, &mut twice] {
        let first = told(events, "layer2Changed").await;
        assert_eq!(first.iter().map(|event| event.name).collect::<Vec<_>>(), ["connect", "layer2Changed"]);
        assert_eq!(first[1].data, seen);
    }
    only(&mut stranger, "connect", json!({ "chainId": "0x7a69" })).await;
    // The plugin publishes a name that is granted, and one that is not.
    wallet.call("probe", "pay", pay("5")).await.expect("paid");
    let state = ask(&wallet, &shop(), "layer2_getState", json!({ "solution": "probe" })).await.expect("a state");
    let message = json!({
        "type": "layer2_stateChanged", "data": { "solution": id, "name": "probe", "state": state["state"] },
    });
    for events in [&mut granted, &mut twice] {
        only(events, "message", message.clone()).await;
    }
    assert_eq!(
        state["state"].as_object().map(|names| names.keys().cloned().collect::<Vec<_>>()),
        Some(vec!["paid".into()])
    );
    // A restart of the plugin with the same state is no news; neither is anything of this to the stranger.
    wallet.host().solution_restart(&USER, "probe").await.expect("restarted");
    wallet.plugin("probe", "running").await;
    nothing_until(&mut stranger, &wallet, &market()).await;
    // Whoever looks late is not told of what is over: the lock in between. The grant is taken back, and ends what is told.
    let grant = wallet.host().callers(&USER).await.expect("grants")[0].id;
    wallet.host().caller_revoke(&USER, grant).await.expect("revoked");
    only(&mut granted, "layer2Changed", json!([])).await;
    wallet.call("probe", "pay", pay("6")).await.expect("paid");
    wallet.host().caller_disconnect(&USER, &shop().key()).await.expect("disconnected");
    only(&mut granted, "accountsChanged", json!([])).await;
    says(ask(&wallet, &shop(), "eth_blockNumber", json!([])).await, code::UNAUTHORIZED, "connected");
    says(wallet.host().caller_disconnect(&USER, &shop().key()).await, code::NOT_FOUND, "entresol callers");
    // A grant that ends by itself is told when it ends, without anything else happening.
    let soon = CallerGrantInput { expires_at: Some(in_ms(600)), ..of_state };
    wallet.host().caller_grant(&USER, soon).await.expect("granted");
    let again = told(&mut granted, "layer2Changed").await;
    assert_eq!(again[0].data.as_array().map(Vec::len), Some(1), "{again:?}");
    only(&mut granted, "layer2Changed", json!([])).await;
    // The end of the wallet is the end of its events; a caller of odd parts has none.
    let mut odd = wallet.host().caller_events(&Caller::App { name: "a:b".into() });
    assert!(odd.next().await.is_none());
    wallet.host().shutdown().await;
    assert!(told_nothing_more(&mut stranger).await);
}

/// Unix milliseconds, so far from now.
fn in_ms(ms: u64) -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("fits") + ms
}

async fn told_nothing_more(events: &mut CallerEvents) -> bool {
    tokio::time::timeout(DEADLINE, events.next()).await.expect("an end in time").is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_popup_shows_a_pages_own_and_of_others_a_number() {
    let (_anvil, wallet, _) = world().await;
    grant(&wallet, &shop(), &["pay"]).await;
    let own = asking(&wallet, &shop(), "eth_requestAccounts", json!([]));
    let other = asking(&wallet, &market(), "eth_requestAccounts", json!([]));
    until("both wait", async || (queue(wallet.host()).await.len() == 2).then_some(())).await;
    let view = wallet.host().caller_view_for_popup(&shop()).expect("a view");
    assert_eq!((view.pending, view.approvals.len(), view.locked, view.accounts.len()), (2, 1, false, 0));
    assert!(view.approvals[0].sentence.contains("https://shop.example"), "{view:?}");
    assert_eq!(
        view.grants,
        ask(&wallet, &shop(), "wallet_getPermissions", json!([]))
            .await
            .expect("held")
            .as_array()
            .cloned()
            .expect("a list")
    );
    let text = serde_json::to_string(&view).expect("JSON");
    assert!(!text.contains("market"), "{text}");
    for one in [own, other] {
        cut(one).await;
    }
    wallet.host().shutdown().await;
}
