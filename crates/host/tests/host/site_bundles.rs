//! Bundles of calls (EIP-5792): one question, several transactions, never one of them twice.

use crate::consent::{decide, queue};
use crate::duties::{FRIEND, contract, deploy, hex_of, owner, row, warned};
use crate::says;
use crate::site_signing::{agree, app, refused_and_left, site};
use crate::sites::{ask, asking, connect};
use crate::support::*;
use alloy::primitives::{Address, U256};
use entresol_host::error::code;
use serde_json::{Value as Json, json};

fn bundle(from: Address, id: Option<&str>, calls: Json) -> Json {
    json!([{ "version": "2.0.0", "id": id, "from": from, "chainId": "0x7a69", "atomicRequired": false, "calls": calls }])
}

fn transfer(to: Address, units: u64) -> String {
    format!("0xa9059cbb{:0>64}{units:064x}", hex_of(to))
}

async fn status(wallet: &Wallet, id: &str) -> Json {
    ask(wallet, site(), "wallet_getCallsStatus", json!([id])).await.expect("known")
}

async fn ended(wallet: &Wallet, id: &str) -> Json {
    until("the bundle has ended", async || Some(status(wallet, id).await).filter(|answer| answer["status"] != 100))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn row_09_a_bundle_is_one_question_with_every_call_and_is_sent_in_that_order() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    connect(&wallet, site(), &[0]).await;
    connect(&wallet, app(), &[0]).await;
    let (host, network) = (wallet.host(), anvil.network().await);
    let me = owner(&wallet).await;
    let coin = deploy(&network, "Coin", Some(me)).await;

    let capabilities = ask(&wallet, site(), "wallet_getCapabilities", json!([me, ["0x7a69", "0x5"]])).await;
    assert_eq!(capabilities.expect("an answer"), json!({ "0x7a69": { "atomic": { "status": "unsupported" } } }));
    says(ask(&wallet, site(), "wallet_getCapabilities", json!([FRIEND])).await, code::UNAUTHORIZED, "not granted");
    let one = || json!([{ "to": FRIEND, "value": "0x1" }]);
    let with = |name: &str, value: Json| {
        let mut given = bundle(me, None, one());
        given[0][name] = value;
        given
    };
    let cases = [
        (with("atomicRequired", json!(true)), code::NOT_ATOMIC, "one after the other"),
        (with("chainId", json!("0x1")), code::UNSUPPORTED_CHAIN, "31337"),
        (with("version", json!("1.0")), code::INVALID_PARAMS, "2.0.0"),
        (with("calls", json!([])), code::INVALID_PARAMS, "at least one"),
        (with("calls", json!(vec![json!({ "to": FRIEND }); 17])), code::BUNDLE_TOO_LARGE, "at most 16"),
        (
            with("capabilities", json!({ "paymasterService": { "url": "x" } })),
            code::UNSUPPORTED_CAPABILITY,
            "paymasterService",
        ),
        (with("from", json!(FRIEND)), code::UNAUTHORIZED, "not granted"),
        // The second call spends what the first one has sent away already.
        (
            with(
                "calls",
                json!([{ "to": coin, "data": transfer(FRIEND, 600_000_000) }, { "to": coin, "data": transfer(FRIEND, 600_000_000) }]),
            ),
            code::TRANSACTION_REJECTED,
            "call 2 of 2",
        ),
    ];
    for (given, number, words) in cases {
        says(ask(&wallet, site(), "wallet_sendCalls", given).await, number, words);
    }
    says(ask(&wallet, site(), "wallet_getCallsStatus", json!(["one"])).await, code::UNKNOWN_BUNDLE, "no bundle");
    assert!(host.approvals(&USER, true).await.expect("approvals").is_empty(), "nothing was asked");

    // Each call is tried behind those before it.
    let calls = json!([
        { "to": coin, "data": transfer(FRIEND, 7) },
        { "to": coin, "data": transfer(FRIEND, 8) },
        { "to": FRIEND, "value": "0x5" },
    ]);
    let (answer, request) =
        agree(&wallet, site(), "wallet_sendCalls", bundle(me, Some("order-1"), calls.clone())).await;
    assert_eq!(answer.expect("agreed")["id"], "order-1");
    assert_eq!((request.kind.as_str(), row(&request, "Caller")), ("bundle", site().to_string().as_str()));
    assert!(row(&request, "1. Calls").starts_with("Send 0.000007 "), "{request:#?}");
    assert!(row(&request, "2. Changes").starts_with("account 0: −0.000008 "), "{request:#?}");
    assert_eq!(row(&request, "3. Sends"), "0.000000000000000005 ETH (5 wei)");
    assert!(row(&request, "Fees together").contains("at most"), "{request:#?}");
    assert!(
        warned(&request, "Call 3: You have not sent") && warned(&request, "those before it stay done"),
        "{request:#?}"
    );
    let told = ended(&wallet, "order-1").await;
    assert_eq!((&told["status"], &told["atomic"], &told["version"]), (&json!(200), &json!(false), &json!("2.0.0")));
    assert_eq!((&told["id"], &told["chainId"]), (&json!("order-1"), &json!("0x7a69")));
    let receipts = told["receipts"].as_array().expect("receipts");
    assert_eq!(receipts.len(), 3);
    for receipt in receipts {
        assert_eq!(receipt["status"], "0x1");
        let fields: Vec<&String> = receipt.as_object().expect("an object").keys().collect();
        assert_eq!(fields, ["blockHash", "blockNumber", "gasUsed", "logs", "status", "transactionHash"]);
    }
    assert_eq!(receipts[1]["logs"].as_array().map(Vec::len), Some(1));
    assert_eq!(network.balance(FRIEND).await.expect("a balance"), U256::from(5));
    let count = network.request("eth_getTransactionCount", json!([me, "latest"])).await.expect("a count");
    assert_eq!(count, "0x3");

    // A contract that the first call makes and the second one calls. This node tries no creation before other calls: the
    // wallet says so.
    let made = json!([
        { "data": contract("Coin", Some(me)) },
        { "to": me.create(3), "data": transfer(FRIEND, 7) },
    ]);
    let (answer, request) = agree(&wallet, site(), "wallet_sendCalls", bundle(me, Some("made"), made)).await;
    answer.expect("agreed");
    assert!(row(&request, "1. Creates").starts_with("Create a contract"), "{request:#?}");
    assert!(warned(&request, "Call 2: Your node cannot simulate several calls"), "{request:#?}");
    let told = ended(&wallet, "made").await;
    assert_eq!((&told["status"], told["receipts"].as_array().map(Vec::len)), (&json!(200), Some(2)), "{told}");

    // The same id again is no second bundle; another caller neither has nor sees it.
    says(
        ask(&wallet, site(), "wallet_sendCalls", bundle(me, Some("order-1"), calls)).await,
        code::DUPLICATE_BUNDLE,
        "order-1",
    );
    says(ask(&wallet, app(), "wallet_getCallsStatus", json!(["order-1"])).await, code::UNKNOWN_BUNDLE, "");
    ask(&wallet, site(), "wallet_showCallsStatus", json!(["order-1"])).await.expect("shown");
    let notices = host.notices(&USER, true).await.expect("notices");
    assert!(notices[0].text.contains("asks you to look at its calls"), "{notices:#?}");

    // A no; a page that leaves takes along what it could not ask for again.
    refused_and_left(&wallet, "wallet_sendCalls", bundle(me, Some("no"), one()), bundle(me, None, one())).await;
    assert_eq!(status(&wallet, "no").await["status"], 400);
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_stops_at_the_call_that_fails_and_says_what_is_done() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    connect(&wallet, site(), &[0]).await;
    let (host, network) = (wallet.host(), anvil.network().await);
    let me = owner(&wallet).await;
    let coin = deploy(&network, "Coin", Some(me)).await;
    let calls = json!([
        { "to": FRIEND, "value": "0x5" },
        { "to": coin, "data": transfer(FRIEND, 1_000_000_000) },
        { "to": FRIEND, "value": "0x6" },
    ]);
    let asked = asking(&wallet, site(), "wallet_sendCalls", bundle(me, Some("partly"), calls));
    let request = wallet.waiting().await;
    assert_eq!(status(&wallet, "partly").await["status"], 100);
    // Between question and answer the coins leave by another way.
    network.request("anvil_impersonateAccount", json!([me])).await.expect("anvil can");
    let away = json!([{ "from": me, "to": coin, "data": transfer(RICH, 1), "gas": "0x186a0" }]);
    network.request("eth_sendTransaction", away).await.expect("sent");
    let done = wallet.approve(&request).await;
    asked.await.expect("ran").expect("agreed");
    assert_eq!(done.state, "failed", "{done:#?}");
    let told = done.outcome["error"].as_str().expect("words").to_owned();
    assert!(told.starts_with("call 2 of 3 failed") && told.contains("the 1 before it are done"), "{told}");
    let told = ended(&wallet, "partly").await;
    assert_eq!((&told["status"], told["receipts"].as_array().map(Vec::len)), (&json!(600), Some(1)));
    assert_eq!(network.balance(FRIEND).await.expect("a balance"), U256::from(5));
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_20_a_bundle_goes_on_after_a_restart_and_sends_nothing_twice() {
    let anvil = Anvil::start().await;
    let mut wallet = Wallet::new(&anvil).await;
    connect(&wallet, site(), &[0]).await;
    let network = anvil.network().await;
    let me = owner(&wallet).await;
    let sent = async || network.request("eth_getTransactionCount", json!([me, "pending"])).await.expect("a count");
    let mine = async || network.request("evm_mine", json!([])).await.expect("mined");
    network.request("evm_setAutomine", json!([false])).await.expect("set");
    let call = || json!({ "to": FRIEND, "value": "0x1" });

    // What waits for an answer when the wallet stops: a bundle with a name stays, a transaction's asker is gone.
    let tasks = [
        asking(&wallet, site(), "wallet_sendCalls", bundle(me, Some("waits"), json!([call(), call(), call()]))),
        asking(&wallet, site(), "eth_sendTransaction", json!([{ "from": me, "to": FRIEND, "value": "0x9" }])),
    ];
    until("both wait", async || (queue(wallet.host()).await.len() == 2).then_some(())).await;
    for task in tasks {
        task.abort();
        let _ = task.await;
    }
    wallet.restart().await;
    let request = wallet.waiting().await;
    assert_eq!((queue(wallet.host()).await.len(), request.kind.as_str()), (1, "bundle"));
    assert_eq!(status(&wallet, "waits").await["status"], 100);

    // Stopped in the middle, twice: each call is sent once.
    decide(&wallet, &request).await;
    for count in ["0x1", "0x2", "0x3"] {
        until("the next call is sent", async || (sent().await == count).then_some(())).await;
        wallet.restart().await;
        assert_eq!(status(&wallet, "waits").await["status"], 100);
        assert_eq!(sent().await, count, "nothing is sent behind one that is not in a block");
        mine().await;
    }
    let told = ended(&wallet, "waits").await;
    assert_eq!((&told["status"], told["receipts"].as_array().map(Vec::len)), (&json!(200), Some(3)), "{told}");
    assert_eq!(sent().await, "0x3");
    assert_eq!(network.balance(FRIEND).await.expect("a balance"), U256::from(3));
    assert_eq!(wallet.host().approval(&USER, request.id).await.expect("there").state, "done");
    wallet.host().shutdown().await;
}
