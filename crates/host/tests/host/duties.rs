//! Ordinary wallet duties on a real chain: sending, signing, waiting transactions, gateways looked at, and leaving.

use crate::support::*;
use crate::{PROBE, says};
use alloy::primitives::{Address, U256, address};
use entresol_host::error::code;
use entresol_host::messages::{
    ApprovalView, CallInput, CallerGrantInput, ExitInput, PolicyInput, ReplaceInput, SendInput, SignInput,
};
use entresol_host::policy::{DAY_MS, Rule};
use entresol_host::{Actor, Caller};
use entresol_layer1::Network;
use serde_json::{Value as Json, json};

/// Another of anvil's development accounts, unlocked there.
const RICH: Address = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
/// Somebody without any ETH.
pub(crate) const FRIEND: Address = address!("70997970C51812dc3A010C7d01b50e0d17dc79C9");
/// Made to look like the friend: the same first and last four digits.
pub(crate) const POISON: Address = address!("7099eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee79C9");
const HALF_ETHER: &str = "500000000000000000";

pub(crate) fn contract(name: &str, argument: Option<Address>) -> String {
    let all: Json = serde_json::from_str(include_str!("../contracts/Duties.json")).expect("JSON");
    let argument = argument.map(|address| format!("{:0>64}", hex_of(address))).unwrap_or_default();
    format!("{}{argument}", all[name].as_str().expect("there"))
}

pub(crate) fn hex_of(address: Address) -> String {
    format!("{address:x}").trim_start_matches("0x").to_owned()
}

pub(crate) async fn transact(network: &Network, to: Option<Address>, data: &str) -> Json {
    let mut call = json!({ "from": RICH, "data": data, "gas": "0x989680" });
    if let Some(to) = to {
        call["to"] = json!(to);
    }
    let hash = network.request("eth_sendTransaction", json!([call])).await.expect("sent");
    until("it is mined", async || {
        let receipt = network.request("eth_getTransactionReceipt", json!([hash])).await.expect("an answer");
        (!receipt.is_null()).then_some(receipt)
    })
    .await
}

pub(crate) async fn deploy(network: &Network, name: &str, argument: Option<Address>) -> Address {
    let receipt = transact(network, None, &contract(name, argument)).await;
    receipt["contractAddress"].as_str().expect("deployed").parse().expect("an address")
}

fn sending(to: Address, amount: &str) -> SendInput {
    SendInput {
        network: "dev".into(),
        from: 0,
        to: to.to_checksum(None),
        amount: amount.into(),
        whole: false,
        token: None,
        speed: entresol_layer1::FeeSpeed::Normal,
        request_key: None,
    }
}

pub(crate) fn row<'a>(view: &'a ApprovalView, label: &str) -> &'a str {
    let found = view.rows.iter().find(|row| row.label == label);
    &found.unwrap_or_else(|| panic!("no row {label:?} in {view:#?}")).value
}

pub(crate) fn warned(view: &ApprovalView, words: &str) -> bool {
    view.warnings.iter().any(|text| text.contains(words))
}

pub(crate) async fn owner(wallet: &Wallet) -> Address {
    wallet.host().accounts(&USER).await.expect("accounts")[0].address.parse().expect("an address")
}

#[tokio::test(flavor = "multi_thread")]
async fn row_10_eth_is_sent_as_shown_and_a_look_alike_is_flagged() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    let (host, network) = (wallet.host(), anvil.network().await);
    let fees = host.fees(&USER, "dev").await.expect("fees");
    let wei = |text: &str| text.parse::<u128>().expect("wei");
    assert!(wei(&fees.slow.max_fee_per_gas) <= wei(&fees.normal.max_fee_per_gas));
    assert!(wei(&fees.normal.max_fee_per_gas) <= wei(&fees.fast.max_fee_per_gas));

    // An address that merely appeared, by a transfer of nothing and by dust, makes nobody known.
    transact(&network, Some(POISON), "0x").await;
    let view = host.send_own(&USER, sending(POISON, "1")).await.expect("proposed");
    assert!(warned(&view, "not sent anything") && !warned(&view, "LOOK-ALIKE"), "{view:#?}");
    wallet.reject(&view).await;

    let key = SendInput { request_key: Some("k".into()), ..sending(FRIEND, HALF_ETHER) };
    let view = host.send_own(&USER, key.clone()).await.expect("proposed");
    assert_eq!(host.send_own(&USER, key).await.expect("the same").id, view.id);
    let shown = FRIEND.to_checksum(None);
    assert_eq!(view.sentence, format!("Send 0.5 ETH (500000000000000000 wei) to {shown}?"));
    assert_eq!(row(&view, "To"), shown);
    assert!(row(&view, "Changes").contains("−0.5 ETH") && row(&view, "Changes").starts_with("account 0"), "{view:#?}");
    assert!(warned(&view, "not sent anything"), "{view:#?}");
    let done = wallet.approve(&view).await;
    assert_eq!(done.state, "done", "{done:#?}");
    until("it has arrived", async || {
        (network.balance(FRIEND).await.expect("a balance") == U256::from(5e17 as u64)).then_some(())
    })
    .await;

    // Known now; what resembles the friend is flagged, also after money came from there.
    let again = host.send_own(&USER, sending(FRIEND, "1")).await.expect("proposed");
    assert_eq!(again.warnings, Vec::<String>::new(), "{again:#?}");
    let poison = host.send_own(&USER, sending(POISON, "1")).await.expect("proposed");
    assert!(warned(&poison, "LOOK-ALIKE") && warned(&poison, &shown), "{poison:#?}");
    let own = host.send_own(&USER, sending(owner(&wallet).await, "1")).await.expect("proposed");
    assert!(warned(&own, "your own account"), "{own:#?}");
    let zero = host.send_own(&USER, sending(Address::ZERO, "1")).await.expect("proposed");
    assert!(warned(&zero, "zero address"), "{zero:#?}");

    let all = network.balance(owner(&wallet).await).await.expect("a balance").to_string();
    for (wrong, number, words) in [
        (sending(FRIEND, "20000000000000000000"), code::TRANSACTION_REJECTED, "20 ETH"),
        (sending(FRIEND, &all), code::TRANSACTION_REJECTED, "a fee of about"),
        (sending(FRIEND, "1.5"), code::INVALID_PARAMS, "smallest unit"),
        (sending(FRIEND, "0"), code::INVALID_PARAMS, "nothing would be sent"),
        (
            SendInput { to: "0x70997970c51812dc3A010C7d01b50e0d17dc79C9".into(), ..sending(FRIEND, "1") },
            code::INVALID_PARAMS,
            "EIP-55",
        ),
        (SendInput { network: "mars".into(), ..sending(FRIEND, "1") }, code::NOT_FOUND, "mars"),
        (
            SendInput { token: Some(FRIEND.to_checksum(None)), ..sending(FRIEND, "1") },
            code::INVALID_PARAMS,
            "no contract",
        ),
    ] {
        says(host.send_own(&USER, wrong).await, number, words);
    }
    for actor in [Actor::Caller(Caller::App { name: "till".into() }), Actor::Plugin { solution: 1 }] {
        says(host.send_own(&actor, sending(FRIEND, "1")).await, code::UNAUTHORIZED, "");
    }
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_22_tokens_are_sent_with_their_own_words_quoted() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    let (host, network) = (wallet.host(), anvil.network().await);
    let coin = deploy(&network, "Coin", Some(owner(&wallet).await)).await;
    let send = |to: Address, amount: &str| SendInput {
        token: Some(coin.to_checksum(None)),
        whole: true,
        ..sending(to, amount)
    };
    let view = host.send_own(&USER, send(FRIEND, "1.5")).await.expect("proposed");
    let amount = format!("1.5 “CO⟨U+202E⟩IN” (1500000 units of the token {})", coin.to_checksum(None));
    assert_eq!(view.sentence, format!("Send {amount} to {}?", FRIEND.to_checksum(None)));
    assert_eq!(row(&view, "Changes"), format!("account 0: −{amount}"));
    assert!(row(&view, "Calls").contains("Send 1.5"), "{view:#?}");
    let done = wallet.approve(&view).await;
    assert_eq!(done.state, "done", "{done:#?}");
    let data = format!("0x70a08231{:0>64}", hex_of(FRIEND));
    until("it has arrived", async || {
        let call = json!([{ "to": coin, "data": data }, "latest"]);
        let balance = network.request("eth_call", call).await.expect("an answer");
        (balance.as_str().is_some_and(|hex| hex.ends_with("16e360"))).then_some(())
    })
    .await;
    let known = host.send_own(&USER, send(FRIEND, "1")).await.expect("proposed");
    assert!(!warned(&known, "not sent anything"), "{known:#?}");
    let poison = host.send_own(&USER, send(POISON, "1")).await.expect("proposed");
    assert!(warned(&poison, "LOOK-ALIKE"), "{poison:#?}");
    let itself = host.send_own(&USER, send(coin, "1")).await.expect("proposed");
    assert!(warned(&itself, "the contract of this very token"), "{itself:#?}");
    says(host.send_own(&USER, send(FRIEND, "1000")).await, code::TRANSACTION_REJECTED, "998.5");
    says(host.send_own(&USER, send(FRIEND, "0.0000001")).await, code::INVALID_PARAMS, "too many decimals");
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_23_a_token_or_a_proxy_as_gateway_is_flagged() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    let (host, network) = (wallet.host(), anvil.network().await);
    let gateway = anvil.deploy().await;
    let coin = deploy(&network, "Coin", Some(RICH)).await;
    let picture = deploy(&network, "Picture", None).await;
    let proxy = deploy(&network, "Proxy", Some(gateway)).await;
    let coin_proxy = deploy(&network, "Proxy", Some(coin)).await;
    // A minimal clone of EIP-1167, deployed by the usual ten bytes before it.
    let clone = format!("0x3d602d80600a3d3981f3363d3d373d3d3d363d73{}5af43d82803e903d91602b57fd5bf3", hex_of(gateway));
    let receipt = transact(&network, None, &clone).await;
    let clone: Address = receipt["contractAddress"].as_str().expect("deployed").parse().expect("an address");

    let propose = async |name: &str, gateway: Address| {
        let folder = wallet.home.path().join(format!("source-{name}"));
        write_package(&folder, PROBE, true);
        host.solution_add(&USER, input(name, &folder, Some(gateway))).await.expect("proposed")
    };
    let plain = propose("plain", gateway).await;
    assert!(row(&plain, "Gateway interface").contains("standard"), "{plain:#?}");
    assert!(!warned(&plain, "token") && !warned(&plain, "exchanged"), "{plain:#?}");
    // Row 27: the package lists no deployments.
    assert!(warned(&plain, "does not list this gateway contract"), "{plain:#?}");
    let token = propose("token", coin).await;
    assert!(warned(&token, "itself a token (ERC-20)"), "{token:#?}");
    assert!(row(&token, "Gateway is").contains("“CO⟨U+202E⟩IN”"), "{token:#?}");
    assert!(warned(&propose("picture", picture).await, "itself a token (ERC-721)"));
    let proxied = propose("proxied", proxy).await;
    assert_eq!(row(&proxied, "Runs the code of"), gateway.to_checksum(None));
    assert!(warned(&proxied, "can be exchanged"), "{proxied:#?}");
    let both = propose("both", coin_proxy).await;
    assert!(warned(&both, "itself a token") && warned(&both, "can be exchanged"), "{both:#?}");
    let cloned = propose("cloned", clone).await;
    assert_eq!(row(&cloned, "Runs the code of"), gateway.to_checksum(None));
    assert!(row(&cloned, "Gateway is").contains("EIP-1167") && !warned(&cloned, "can be exchanged"), "{cloned:#?}");

    // Later: the wallet's own look, beside what the plugin claims.
    wallet.approve(&plain).await;
    wallet.plugin("plain", "running").await;
    let view = host.gateway(&USER, "plain").await.expect("a gateway");
    assert_eq!((view.locked_balance.as_deref(), view.claimed_balance), (None, None));
    assert!(view.solvency.starts_with("cannot tell"), "{}", view.solvency);
    assert!(view.warnings.iter().any(|text| text.contains("does not know this contract")), "{:?}", view.warnings);
    let (paid, ()) = tokio::join!(wallet.call("plain", "pay", json!({ "value": "7" })), async {
        let request = until("a request waits", async || {
            let all = host.approvals(&USER, false).await.expect("approvals");
            all.into_iter().find(|one| one.kind == "deposit")
        });
        wallet.approve(&request.await).await;
    });
    paid.expect("deposited");
    assert_eq!(wallet.call("plain", "count", json!({})).await.expect("a number"), json!(0));
    wallet.call("plain", "signWith", json!({ "index": "0" })).await.expect_err("no account yet");
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_23_policies_pause_when_the_code_behind_a_proxy_changes() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    let (host, network) = (wallet.host(), anvil.network().await);
    let (gateway, other) = (anvil.deploy().await, anvil.deploy().await);
    let proxy = deploy(&network, "Proxy", Some(gateway)).await;
    wallet.install("probe", PROBE, Some(proxy)).await.expect("installed");
    wallet.plugin("probe", "running").await;
    let app = Caller::App { name: "shop".into() };
    let grant = CallerGrantInput {
        caller: Some(app.key()),
        solution: "probe".into(),
        actions: vec!["echo".into()],
        state: Vec::new(),
        expires_at: None,
    };
    host.caller_grant(&USER, grant).await.expect("granted");
    let rule = Rule {
        actions: vec!["echo".into()],
        contracts: Vec::new(),
        per_call: U256::ZERO,
        per_window: U256::ZERO,
        window_ms: DAY_MS,
        max_count: None,
        recipients: None,
        tokens: Vec::new(),
    };
    let policy = PolicyInput { caller: app.key(), solution: "probe".into(), rule, expires_at: None };
    host.policy_add(&USER, policy).await.expect("a policy");
    let call = async || {
        let params = json!({ "text": "hi" }).as_object().cloned().expect("an object");
        let input = CallInput { solution: "probe".into(), action: "echo".into(), params, id: None };
        host.call_as(&app, input, Vec::new()).await
    };
    assert_eq!(call().await.expect("passes"), json!("hi"));
    let upgrade = format!("0x0900f010{:0>64}", hex_of(other));
    transact(&network, Some(proxy), &upgrade).await;
    let (answer, ()) = tokio::join!(call(), async { wallet.reject(&wallet.waiting().await).await });
    says(answer, code::REJECTED, "rejected");
    let policies = host.policies(&USER).await.expect("policies");
    assert_eq!(policies[0].state, "paused");
    assert!(policies[0].reason.as_deref().is_some_and(|why| why.contains("changed")), "{policies:#?}");
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_leaves_a_layer_2_without_its_plugin() {
    let anvil = Anvil::start().await;
    let gateway = anvil.deploy().await;
    let mut wallet = Wallet::new(&anvil).await;
    wallet.install("probe", PROBE, Some(gateway)).await.expect("installed");
    wallet.install("bare", PROBE, None).await.expect("installed");
    let id = wallet.host().solution(&USER, "probe").await.expect("there").id.to_string();
    // The plugin is gone: removed, and the wallet started afresh.
    wallet.host().solution_remove(&USER, "probe").await.expect("removed");
    wallet.restart().await;
    let host = wallet.host();
    let exit = |solution: &str| ExitInput { solution: solution.into(), account: 0, fund: false, request_key: None };
    says(host.exit(&USER, exit("bare")).await, code::INVALID_PARAMS, "no gateway");
    says(host.exit(&USER, exit("probe")).await, code::NOT_FOUND, "solution list");
    says(host.exit(&Actor::Plugin { solution: 1 }, exit(&id)).await, code::UNAUTHORIZED, "");
    let poor = host.exit(&USER, exit(&id)).await.expect_err("no ETH for the fee");
    assert_eq!(poor.code, code::TRANSACTION_REJECTED);
    assert!(poor.message.contains("`entresol fund probe 0 "), "{poor}");
    let account = poor.message.split(['(', ')']).nth(1).expect("an address").to_owned();
    anvil.give(&account, "0x16345785d8a0000").await;
    let view = host.exit(&USER, exit(&id)).await.expect("proposed");
    assert_eq!((view.kind.as_str(), row(&view, "Calls")), ("exit", "requestExit()"));
    assert!(row(&view, "From").starts_with(&account), "{view:#?}");
    let done = wallet.approve(&view).await;
    assert_eq!(done.state, "done", "{done:#?}");
    let network = anvil.network().await;
    let receipt = until("it is mined", async || {
        let answer = network.request("eth_getTransactionReceipt", json!([done.outcome["transaction"]])).await;
        answer.ok().filter(|receipt| !receipt.is_null())
    })
    .await;
    assert_eq!((&receipt["status"], receipt["logs"].as_array().map(Vec::len)), (&json!("0x1"), Some(1)));
    assert_eq!(receipt["from"].as_str().map(str::to_lowercase), Some(account.to_lowercase()));
    // Row 23: a contract without the interface is not asked.
    let coin = deploy(&network, "Coin", Some(RICH)).await;
    let folder = wallet.home.path().join("source-coin");
    write_package(&folder, PROBE, true);
    #[allow(clippy::disallowed_methods, reason = "a file of the test's own")]
    {
        let path = folder.join("package.json");
        let text = std::fs::read_to_string(&path).expect("read");
        let text = text.replace("function requestExit() returns (uint256)", "function leave() returns (uint256)");
        std::fs::write(path, text.replace("\"requestExit\"", "\"leave\"")).expect("written");
    }
    let proposed = host.solution_add(&USER, input("coin", &folder, Some(coin))).await.expect("proposed");
    wallet.approve(&proposed).await;
    says(host.exit(&USER, exit("coin")).await, code::INVALID_PARAMS, "does not offer requestExit()");
    host.lock(&USER).await.expect("locked");
    says(host.exit(&USER, exit(&id)).await, code::UNAUTHORIZED, "");
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_08_signatures_show_everything_and_a_plugin_gets_no_sign_in() {
    let anvil = Anvil::start().await;
    let gateway = anvil.deploy().await;
    let wallet = Wallet::new(&anvil).await;
    let host = wallet.host();
    wallet.install("probe", PROBE, Some(gateway)).await.expect("installed");
    let me = owner(&wallet).await.to_checksum(None);
    let siwe = format!(
        "example.com wants you to sign in with your Ethereum account:\n{me}\n\n\nURI: https://example.com/login\nVersion: \
         1\nChain ID: 31337\nNonce: 32891756\nIssued At: 2021-09-30T16:25:24Z"
    );
    // Through a plugin: refused, also when it only looks like one.
    for text in [siwe.clone(), siwe.replace("wants you to", "WANTS  you to"), siwe.replace("Version: 1", "Version: 7")]
    {
        says(wallet.call("probe", "signText", json!({ "text": text })).await, code::UNAUTHORIZED, "sign-in");
    }
    // By the user's own hand: told what it is.
    let by_hand = |text: &str| SignInput { text: Some(text.into()), ..SignInput::default() };
    let view = host.sign_own(&USER, by_hand(&siwe)).await.expect("proposed");
    assert_eq!(row(&view, "Signs in to"), "example.com");
    assert!(warned(&view, "signs you in to example.com"), "{view:#?}");
    let signed = wallet.approve(&view).await;
    let signature = signed.outcome["signature"].as_str().expect("signed");
    let signature: alloy::primitives::Signature = signature.parse().expect("a signature");
    assert_eq!(signature.recover_address_from_msg(&siwe).expect("recovered").to_checksum(None), me);
    let broken = host.sign_own(&USER, by_hand(&siwe.replace("Version: 1", "Version: 7"))).await.expect("proposed");
    assert!(warned(&broken, "looks like a sign-in"), "{broken:#?}");

    // Typed data of the plugin's own contract: every value and the digests.
    let typed = |kind: &str, chain: u64| json!({ "chainId": chain.to_string(), "contract": gateway.to_checksum(None), "kind": kind });
    let (answer, view) = tokio::join!(wallet.call("probe", "signTyped", typed("Vote", 31337)), async {
        let view = until("a request waits", async || {
            let all = host.approvals(&USER, false).await.expect("approvals");
            all.into_iter().find(|one| one.kind == "sign" && one.solution.is_some())
        })
        .await;
        wallet.approve(&view).await;
        view
    });
    answer.expect("signed");
    assert_eq!(row(&view, "value (uint256)"), "1");
    assert_eq!(row(&view, "Domain verifyingContract (address)"), gateway.to_checksum(None));
    assert_eq!(
        (row(&view, "Domain hash").len(), row(&view, "Message hash").len(), row(&view, "Signs").len()),
        (66, 66, 66)
    );
    for (kind, chain) in [("Permit", 31337), ("PermitSingle", 31337), ("SafeTx", 31337), ("Vote", 1)] {
        says(wallet.call("probe", "signTyped", typed(kind, chain)).await, code::UNAUTHORIZED, "sign");
    }
    // By hand, as text in which a name stands twice, and for another chain.
    let text = json!({
        "types": { "Permit": [{ "name": "spender", "type": "address" }] }, "primaryType": "Permit",
        "domain": { "chainId": 1, "verifyingContract": gateway }, "message": { "spender": FRIEND }
    })
    .to_string();
    let typed = |text: String, network: Option<&str>| SignInput {
        typed_data: Some(Json::String(text)),
        network: network.map(Into::into),
        ..SignInput::default()
    };
    let view = host.sign_own(&USER, typed(text.clone(), None)).await.expect("proposed");
    assert!(warned(&view, "can move tokens"), "{view:#?}");
    says(host.sign_own(&USER, typed(text.clone(), Some("dev"))).await, code::UNAUTHORIZED, "chain 1");
    let twice = text.replace("\"primaryType\":\"Permit\"", "\"primaryType\":\"Permit\",\"primaryType\":\"Vote\"");
    says(host.sign_own(&USER, typed(twice, None)).await, code::INVALID_PARAMS, "stands twice");
    says(host.sign_own(&USER, SignInput::default()).await, code::INVALID_PARAMS, "exactly one");
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_transaction_is_sped_up_within_its_ceiling_asked_above_it_and_cancelled() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    let (host, network) = (wallet.host(), anvil.network().await);
    let mine = async || network.request("evm_mine", json!([])).await.expect("mined");
    let set = async |method: &str, value: Json| network.request(method, json!([value])).await.expect("set");
    let replace = |hash: &Json| ReplaceInput {
        transaction: hash.as_str().expect("a hash").into(),
        speed: entresol_layer1::FeeSpeed::Fast,
        request_key: None,
    };
    let arrived = async |to: Address, wei: u64| {
        until("it is confirmed", async || {
            let settled = host.open_transactions(&USER, Some("dev")).await.expect("a list").is_empty();
            (settled && network.balance(to).await.expect("a balance") == U256::from(wei)).then_some(())
        })
        .await;
    };
    set("evm_setAutomine", json!(false)).await;

    // Within the ceiling: at once, by the user's own hand, with a session.
    let done = wallet.approve(&host.send_own(&USER, sending(FRIEND, "5")).await.expect("proposed")).await;
    let first = done.outcome["transaction"].clone();
    let open = host.open_transactions(&USER, None).await.expect("a list");
    assert_eq!((open.len(), json!(open[0].transaction), open[0].purpose.as_str()), (1, first.clone(), "send"));
    let without = Actor::User { session: false };
    says(host.speed_up(&without, replace(&first)).await, code::UNAUTHORIZED, "passphrase");
    let sped = host.speed_up(&USER, replace(&first)).await.expect("sent");
    let second = sped.transaction.expect("within the ceiling");
    assert_ne!(json!(second), first);
    mine().await;
    arrived(FRIEND, 5).await;

    // Above it: the base fee has risen beyond what was approved; a request of its own.
    let done = wallet.approve(&host.send_own(&USER, sending(FRIEND, "5")).await.expect("proposed")).await;
    let waits = done.outcome["transaction"].clone();
    set("anvil_setNextBlockBaseFeePerGas", json!("0x2e90edd000")).await;
    mine().await;
    let asked = until("the wallet has seen the new block", async || {
        host.speed_up(&USER, replace(&waits)).await.ok().and_then(|answer| answer.approval)
    })
    .await;
    assert_eq!(asked.kind, "replace");
    assert!(row(&asked, "Approved before").starts_with("a fee of at most"), "{asked:#?}");
    let done = wallet.approve(&asked).await;
    assert_eq!(done.state, "done", "{done:#?}");
    set("anvil_setNextBlockBaseFeePerGas", json!("0x3b9aca00")).await;
    mine().await;
    arrived(FRIEND, 10).await;

    // Cancelled: nothing arrives.
    let done = wallet.approve(&host.send_own(&USER, sending(RICH, "5")).await.expect("proposed")).await;
    let before = network.balance(RICH).await.expect("a balance");
    let view = host.cancel_transaction(&USER, replace(&done.outcome["transaction"])).await.expect("proposed");
    assert_eq!(view.kind, "cancel");
    let cancelled = wallet.approve(&view).await;
    assert_eq!(cancelled.state, "done", "{cancelled:#?}");
    mine().await;
    until("it is settled", async || {
        host.open_transactions(&USER, None).await.expect("a list").is_empty().then_some(())
    })
    .await;
    let hash = &cancelled.outcome["transaction"];
    let receipt = network.request("eth_getTransactionReceipt", json!([hash])).await.expect("an answer");
    assert_eq!(receipt["status"], "0x1");
    assert_eq!(network.balance(RICH).await.expect("a balance"), before);
    says(host.speed_up(&USER, replace(&done.outcome["transaction"])).await, code::TRANSACTION_REJECTED, "");
    says(host.cancel_transaction(&USER, replace(&json!("0x12"))).await, code::INVALID_PARAMS, "64 hex digits");
    host.shutdown().await;
}
