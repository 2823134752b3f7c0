//! What a website or an app may have signed and sent in the name of an own account: only what was granted, only after a
//! yes, only what was shown.

use crate::consent::{decide, queue};
use crate::duties::{FRIEND, POISON, contract, deploy, hex_of, owner, row, transact, warned};
use crate::says;
use crate::sites::{ask, asking, connect};
use crate::support::*;
use alloy::primitives::{Address, Signature, U256};
use entresol_host::error::code;
use entresol_host::messages::{ApprovalView, SendInput};
use entresol_host::{Caller, HostError};
use serde_json::{Value as Json, json};
use std::sync::LazyLock;

pub(crate) fn site() -> &'static Caller {
    static SITE: LazyLock<Caller> =
        LazyLock::new(|| Caller::Site { profile: "chromium".into(), origin: "https://shop.example:8443".into() });
    &SITE
}

pub(crate) fn app() -> &'static Caller {
    static APP: LazyLock<Caller> = LazyLock::new(|| Caller::App { name: "script".into() });
    &APP
}

/// Asks, and says yes to what is shown; gives the answer and the request.
pub(crate) async fn agree(
    wallet: &Wallet,
    caller: &Caller,
    method: &str,
    params: Json,
) -> (Result<Json, HostError>, ApprovalView) {
    tokio::join!(ask(wallet, caller, method, params), async {
        let request = wallet.waiting().await;
        wallet.approve(&request).await;
        request
    })
}

/// The user says no, and then the asker leaves while the same question waits: nothing stays in the queue.
pub(crate) async fn refused_and_left(wallet: &Wallet, method: &str, refused: Json, left: Json) {
    let (answer, ()) = tokio::join!(ask(wallet, site(), method, refused), async {
        wallet.reject(&wallet.waiting().await).await;
    });
    says(answer, code::REJECTED, "rejected");
    {
        let leaving = ask(wallet, site(), method, left);
        tokio::select! { _ = leaving => panic!("nobody answered"), _ = wallet.waiting() => {} }
    }
    assert!(queue(wallet.host()).await.is_empty());
}

pub(crate) async fn mined(anvil: &Anvil, hash: &Json) -> Json {
    let network = anvil.network().await;
    until("it is mined", async || {
        let answer = network.request("eth_getTransactionReceipt", json!([hash])).await;
        answer.ok().filter(|receipt| !receipt.is_null())
    })
    .await
}

fn sign_in(domain: &str, account: Address, chain: u64) -> String {
    format!(
        "{domain} wants you to sign in with your Ethereum account:\n{}\n\n\nURI: https://{domain}/login\nVersion: 1\nChain \
         ID: {chain}\nNonce: 32891756\nIssued At: 2021-09-30T16:25:24Z",
        account.to_checksum(None)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn row_08_a_site_gets_a_signature_only_of_what_was_shown_and_granted() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    connect(&wallet, site(), &[0]).await;
    connect(&wallet, app(), &[0]).await;
    let host = wallet.host();
    let me = owner(&wallet).await;

    // A message, as text and as hex, by the origin that asks.
    for (data, text) in [("0x68656c6c6f", "hello"), ("good morning", "good morning")] {
        let (answer, request) = agree(&wallet, site(), "personal_sign", json!([data, me, "a password"])).await;
        let signature: Signature = answer.expect("signed").as_str().expect("text").parse().expect("a signature");
        assert_eq!(signature.recover_address_from_msg(text).expect("recovered"), me);
        assert_eq!(row(&request, "Caller"), site().to_string());
        assert_eq!(row(&request, "Message"), format!("“{text}”"));
        assert!(
            request.sentence.starts_with("https://shop.example:8443 (browser profile chromium) asks"),
            "{request:#?}"
        );
    }

    // Nothing is asked for: the other order, another account, another caller, bare hashes, old versions.
    let before = host.approvals(&USER, true).await.expect("approvals").len();
    let stranger = Caller::Site { profile: "firefox".into(), origin: "https://shop.example:8443".into() };
    let typed = |chain: u64, kind: &str| {
        json!({
            "types": { "EIP712Domain": [{ "name": "chainId", "type": "uint256" }], kind: [{ "name": "spender", "type": "address" }] },
            "primaryType": kind, "domain": { "chainId": chain }, "message": { "spender": FRIEND }
        })
    };
    let cases = [
        ("personal_sign", json!([me, "0x68656c6c6f"]), code::INVALID_PARAMS, "in this order"),
        ("personal_sign", json!(["0x123", me]), code::INVALID_PARAMS, "even number"),
        ("personal_sign", json!(["hello", FRIEND]), code::UNAUTHORIZED, "not granted"),
        ("personal_sign", json!(["hello"]), code::INVALID_PARAMS, "not an address"),
        ("personal_sign", json!([]), code::INVALID_PARAMS, "the message is missing"),
        ("eth_sign", json!([me, format!("0x{}", "11".repeat(32))]), code::UNSUPPORTED, "a bare hash"),
        ("eth_signTypedData_v3", json!([me, typed(31337, "Vote")]), code::UNSUPPORTED, "eth_signTypedData_v4"),
        ("eth_signTypedData_v4", json!([typed(31337, "Vote"), me]), code::INVALID_PARAMS, "not an address"),
        // Row 24: for another chain than the one the site is on.
        ("eth_signTypedData_v4", json!([me, typed(1, "Vote")]), code::UNAUTHORIZED, "for chain 1"),
        ("eth_signTypedData_v4", json!([FRIEND, typed(31337, "Vote")]), code::UNAUTHORIZED, "not granted"),
        ("eth_signTypedData_v4", json!([me, "{\"types\":{},\"types\":{}}"]), code::INVALID_PARAMS, "stands twice"),
    ];
    for (method, params, number, words) in cases {
        says(ask(&wallet, site(), method, params.clone()).await, number, words);
        let error = ask(&wallet, &stranger, method, params).await.expect_err("refused");
        assert!([code::UNAUTHORIZED, code::INVALID_PARAMS].contains(&error.code), "{error}");
    }
    assert_eq!(host.approvals(&USER, true).await.expect("approvals").len(), before, "nothing was asked");

    // Typed data, as an object or its text; what moves tokens says so.
    for given in [typed(31337, "Permit"), json!(typed(31337, "Permit").to_string())] {
        let (answer, request) = agree(&wallet, site(), "eth_signTypedData_v4", json!([me, given])).await;
        assert_eq!(answer.expect("signed").as_str().map(str::len), Some(132));
        assert!(warned(&request, "can move tokens"), "{request:#?}");
        assert_eq!(row(&request, "spender (address)"), FRIEND.to_checksum(None));
    }

    // A no is a no; who leaves takes the question along; a locked wallet asks nothing.
    refused_and_left(&wallet, "personal_sign", json!(["no", me]), json!(["leaving", me])).await;
    host.lock(&USER).await.expect("locked");
    for (method, params) in
        [("personal_sign", json!(["hello", me])), ("eth_sendTransaction", json!([{ "from": me, "to": FRIEND }]))]
    {
        says(ask(&wallet, site(), method, params).await, code::UNAUTHORIZED, "locked");
    }
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_05_a_sign_in_is_signed_for_the_site_that_asks_and_for_no_other() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    connect(&wallet, site(), &[0]).await;
    connect(&wallet, app(), &[0]).await;
    let host = wallet.host();
    let me = owner(&wallet).await;
    let own = sign_in("shop.example:8443", me, 31337);
    let cases = [
        (sign_in("bank.example", me, 31337), "sign in there as you"),
        // Another port is another site, and so is none.
        (sign_in("shop.example", me, 31337), "sign in there as you"),
        (sign_in("shop.example:8444", me, 31337), "sign in there as you"),
        (sign_in("shop.example:8443.bank.example", me, 31337), "sign-in refused"),
        (sign_in("shop.example:8443", FRIEND, 31337), "is for the account"),
        (sign_in("shop.example:8443", me, 5), "chain 5"),
        (own.replace("Version: 1", "Version: 7"), "Version"),
        (own.replace("wants you to", "WANTS  you to"), "sign-in refused"),
        (own.replacen("shop", "http://shop", 1), "http://"),
        (format!("{own}\nExpiration Time: 2021-10-30T16:25:24Z"), "expired"),
    ];
    for (text, words) in &cases {
        let hex = format!("0x{}", hex::encode(text));
        for data in [text.as_str(), hex.as_str()] {
            says(ask(&wallet, site(), "personal_sign", json!([data, me])).await, code::UNAUTHORIZED, words);
        }
    }
    assert!(queue(host).await.is_empty());
    let (answer, request) = agree(&wallet, site(), "personal_sign", json!([own, me])).await;
    let signature: Signature = answer.expect("signed").as_str().expect("text").parse().expect("a signature");
    assert_eq!(signature.recover_address_from_msg(&own).expect("recovered"), me);
    assert_eq!(row(&request, "Signs in to"), "shop.example:8443");
    assert!(row(&request, "Sign-in").contains("https://shop.example:8443"), "{request:#?}");
    // An app has no origin: the user is told.
    let (answer, request) = agree(&wallet, app(), "personal_sign", json!([cases[0].0, me])).await;
    answer.expect("signed");
    assert!(warned(&request, "is no website") && warned(&request, "signs you in to bank.example"), "{request:#?}");
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_09_a_sites_transaction_is_sent_as_shown_or_not_at_all() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    connect(&wallet, site(), &[0]).await;
    let (host, network) = (wallet.host(), anvil.network().await);
    let me = owner(&wallet).await;
    let coin = deploy(&network, "Coin", Some(me)).await;
    let send = |given: Json| json!([given]);

    // Refused before anybody is asked.
    let transfer = |to: Address, units: u64| format!("0xa9059cbb{:0>64}{units:064x}", hex_of(to));
    let cases = [
        (json!({ "from": FRIEND, "to": me }), code::UNAUTHORIZED, "not granted"),
        (json!({ "to": FRIEND }), code::INVALID_PARAMS, "from"),
        (json!({ "from": me }), code::INVALID_PARAMS, "state to"),
        (json!({ "from": me, "to": "0x12" }), code::INVALID_PARAMS, "not an address"),
        (json!({ "from": me, "to": FRIEND, "value": "5" }), code::INVALID_PARAMS, "no quantity"),
        (json!({ "from": me, "to": FRIEND, "data": "0x00", "input": "0x01" }), code::INVALID_PARAMS, "differ"),
        (json!({ "from": me, "to": FRIEND, "data": "0x0" }), code::INVALID_PARAMS, "even number"),
        (json!({ "from": me, "to": FRIEND, "type": "0x3" }), code::INVALID_PARAMS, "type"),
        (
            json!({ "from": me, "to": FRIEND, "accessList": [{ "address": coin, "storageKeys": [] }] }),
            code::INVALID_PARAMS,
            "accessList",
        ),
        (json!({ "from": me, "to": FRIEND, "authorizationList": [] }), code::INVALID_PARAMS, "authorizationList"),
        (json!({ "from": me, "to": FRIEND, "gasPrice": "cheap" }), code::INVALID_PARAMS, "gasPrice"),
        (json!({ "from": me, "to": FRIEND, "nonce": "0x7" }), code::INVALID_PARAMS, "the next of this account is 0"),
        // Row 24: another chain.
        (json!({ "from": me, "to": FRIEND, "chainId": "0x1" }), code::UNAUTHORIZED, "for chain 1"),
        // What would fail, or cannot be paid.
        (json!({ "from": me, "to": coin, "data": "0xdeadbeef" }), code::TRANSACTION_REJECTED, ""),
        (json!({ "from": me, "to": coin, "data": transfer(FRIEND, 2_000_000_000) }), code::TRANSACTION_REJECTED, ""),
        (json!({ "from": me, "to": FRIEND, "value": "0x8ac7230489e80001" }), code::TRANSACTION_REJECTED, "has 10 ETH"),
    ];
    for (given, number, words) in cases {
        says(ask(&wallet, site(), "eth_sendTransaction", send(given)).await, number, words);
    }
    says(
        ask(&wallet, site(), "eth_signTransaction", json!([{ "from": me }])).await,
        code::UNSUPPORTED,
        "eth_sendTransaction",
    );
    assert!(host.approvals(&USER, true).await.expect("approvals").is_empty(), "nothing was asked");

    // ETH: the caller, the amount and the recipient in the wallet's own words.
    let given = json!({ "from": me, "to": FRIEND, "value": "0x6f05b59d3b20000", "gasLimit": "0x5208", "gasPrice": "0x1",
                        "maxFeePerGas": null, "type": "0x0", "chainId": "0x7a69", "nonce": "0x0" });
    let (answer, request) = agree(&wallet, site(), "eth_sendTransaction", send(given)).await;
    let shown = FRIEND.to_checksum(None);
    let sentence = format!(
        "https://shop.example:8443 (browser profile chromium) asks you to send 0.5 ETH (500000000000000000 wei) to {shown}. \
         Allow it?"
    );
    assert_eq!(request.sentence, sentence);
    assert_eq!((row(&request, "Caller"), row(&request, "To")), (site().to_string().as_str(), shown.as_str()));
    assert!(row(&request, "Changes").contains("−0.5 ETH") && row(&request, "Nonce").starts_with("0:"), "{request:#?}");
    assert!(warned(&request, "not sent anything") && request.causes.len() == 1, "{request:#?}");
    let receipt = mined(&anvil, &answer.expect("sent")).await;
    assert_eq!(
        (&receipt["status"], receipt["to"].as_str().map(str::to_lowercase)),
        (&json!("0x1"), Some(shown.to_lowercase()))
    );
    assert_eq!(network.balance(FRIEND).await.expect("a balance"), U256::from(5e17 as u64));
    // Row 10: known now, and what resembles it is flagged, for the site as for the user's own hand.
    let (answer, ()) = tokio::join!(
        ask(&wallet, site(), "eth_sendTransaction", send(json!({ "from": me, "to": POISON, "value": "0x1" }))),
        async {
            let request = wallet.waiting().await;
            assert!(warned(&request, "LOOK-ALIKE"), "{request:#?}");
            wallet.reject(&request).await;
        }
    );
    says(answer, code::REJECTED, "rejected");

    // A token: decoded, simulated, its recipient compared.
    let given =
        json!({ "from": me, "to": coin, "input": transfer(POISON, 1_500_000), "data": transfer(POISON, 1_500_000) });
    let (answer, request) = agree(&wallet, site(), "eth_sendTransaction", send(given)).await;
    assert!(row(&request, "Calls").contains("Send 1.5 “CO⟨U+202E⟩IN”"), "{request:#?}");
    assert!(row(&request, "Changes").starts_with("account 0: −1.5 “CO⟨U+202E⟩IN”"), "{request:#?}");
    assert!(warned(&request, "LOOK-ALIKE"), "{request:#?}");
    assert_eq!(mined(&anvil, &answer.expect("sent")).await["status"], "0x1");
    // An unlimited allowance is loud.
    let approve = format!("0x095ea7b3{:0>64}{}", hex_of(FRIEND), "f".repeat(64));
    let (answer, ()) = tokio::join!(
        ask(&wallet, site(), "eth_sendTransaction", send(json!({ "from": me, "to": coin, "data": approve }))),
        async {
            let request = wallet.waiting().await;
            assert!(warned(&request, "UNLIMITED"), "{request:#?}");
            wallet.reject(&request).await;
        }
    );
    says(answer, code::REJECTED, "rejected");

    // A contract is created.
    let given = json!({ "from": me, "data": contract("Coin", Some(me)) });
    let (answer, request) = agree(&wallet, site(), "eth_sendTransaction", send(given)).await;
    assert!(
        row(&request, "Creates").starts_with("Create a contract (") && warned(&request, "A new contract"),
        "{request:#?}"
    );
    assert!(request.sentence.contains("asks you to create a contract"), "{request:#?}");
    let receipt = mined(&anvil, &answer.expect("sent")).await;
    let created: Address = receipt["contractAddress"].as_str().expect("created").parse().expect("an address");
    assert_eq!(created, me.create(2));
    assert!(!network.code(created).await.expect("code").is_empty());

    // What the user sent by their own hand goes the same way.
    let own = SendInput {
        network: "dev".into(),
        from: 0,
        to: FRIEND.to_checksum(None),
        amount: "1".into(),
        whole: false,
        token: None,
        speed: entresol_layer1::FeeSpeed::Normal,
        request_key: None,
    };
    let view = host.send_own(&USER, own).await.expect("proposed");
    assert_eq!(view.warnings, Vec::<String>::new(), "known by what the site was allowed to send");
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stated_nonces_are_kept_in_whatever_order_the_user_agrees() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    connect(&wallet, app(), &[0]).await;
    let host = wallet.host();
    let me = owner(&wallet).await;
    let given =
        |nonce: u64, value: &str| json!([{ "from": me, "to": FRIEND, "value": value, "nonce": format!("{nonce:#x}") }]);
    let send = |nonce: u64, value: &str| asking(&wallet, app(), "eth_sendTransaction", given(nonce, value));
    let waiting = async |count: usize| {
        until("they wait", async || Some(queue(host).await).filter(|all| all.len() == count)).await
    };
    let first = send(0, "0x1");
    waiting(1).await;
    let second = send(1, "0x2");
    let both = waiting(2).await;
    // A gap, and what is used already, are refused.
    says(ask(&wallet, app(), "eth_sendTransaction", given(3, "0x3")).await, code::INVALID_PARAMS, "nonce 3");
    let later = both.iter().find(|one| row(one, "Nonce").starts_with("1:")).expect("there");
    let earlier = both.iter().find(|one| row(one, "Nonce").starts_with("0:")).expect("there");
    decide(&wallet, later).await;
    until("the later one is approved and waits", async || {
        let view = host.approval(&USER, later.id).await.expect("there");
        (view.state == "approved").then_some(())
    })
    .await;
    wallet.approve(earlier).await;
    let first = mined(&anvil, &first.await.expect("ran").expect("sent")).await;
    let second = mined(&anvil, &second.await.expect("ran").expect("sent")).await;
    assert_eq!((&first["status"], &second["status"]), (&json!("0x1"), &json!("0x1")));
    let network = anvil.network().await;
    for (hash, nonce) in [(&first["transactionHash"], "0x0"), (&second["transactionHash"], "0x1")] {
        let sent = network.request("eth_getTransactionByHash", json!([hash])).await.expect("an answer");
        assert_eq!(sent["nonce"], nonce);
    }

    // When the one before it is refused, the other is never sent with another nonce.
    let before = send(2, "0x1");
    waiting(1).await;
    let behind = send(3, "0x2");
    let both = waiting(2).await;
    let behind_view = both.iter().find(|one| row(one, "Nonce").starts_with("3:")).expect("there");
    decide(&wallet, behind_view).await;
    wallet.reject(both.iter().find(|one| one.id != behind_view.id).expect("there")).await;
    says(before.await.expect("ran"), code::REJECTED, "rejected");
    says(behind.await.expect("ran"), code::TRANSACTION_REJECTED, "nonce 3 was asked for");
    transact(&network, Some(FRIEND), "0x").await;
    let count = network.request("eth_getTransactionCount", json!([me, "pending"])).await.expect("a count");
    assert_eq!(count, "0x2");
    host.shutdown().await;
}
