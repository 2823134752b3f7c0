//! A site connects, is granted, pays with the user's yes and by a policy, is told no, and loses what it was given.

use serde_json::json;

use crate::site::Pages;
use crate::stage::{SHOP, Stage, is_hash, nothing, refused};

#[test]
fn a_site_connects_asks_and_pays_with_a_yes_and_by_policy_until_it_is_revoked() {
    let stage = Stage::paying(Pages::default());
    let wallet = &stage.house.wallet;
    let owner = wallet.run(&["account", "list"]).json()[0]["address"].clone();
    let page = stage.open("127.0.0.1");
    let caller = stage.caller("127.0.0.1");

    // Before: it sees a chain and nothing else.
    assert_eq!(page.eval("ask('eth_chainId')"), "0x7a69");
    assert_eq!(page.eval("ask('eth_accounts')"), nothing());
    assert_eq!(page.eval("ask('layer2_getSolutions')"), nothing());
    assert_eq!(page.eval("Object.keys(ethereum.layer2).length"), 0);
    refused(page.attempt("ask('eth_blockNumber')"), 4100, &[]);
    let call = format!(
        "ask('layer2_call', {{ solution: 'payments', action: 'makePayment', params: {{ toAddress: '{SHOP}', value: 1n }} }})"
    );
    refused(page.attempt(&call), 4100, &[]);
    refused(page.attempt("ask('eth_sign', ['0x00', '0x00'])"), 4100, &[]);
    refused(page.attempt("ask('no_such')"), 4200, &["no_such"]);

    // Connect: the user says no, then yes.
    let asked = page.start("ask('eth_requestAccounts')");
    assert!(stage.pending()["sentence"].as_str().expect("text").contains(&stage.site.origin("127.0.0.1")));
    stage.reject();
    refused(page.finish(asked), 4001, &[]);
    let asked = page.start("ask('eth_requestAccounts')");
    stage.approve();
    assert_eq!(page.finish(asked).expect("connected"), json!([owner]));
    assert_eq!(page.eval("ask('eth_accounts')"), json!([owner]));
    refused(page.attempt("ask('eth_sign', ['0x00', '0x00'])"), 4200, &["eth_sign"]);
    page.until("heard('accountsChanged').length === 1");
    assert_eq!(page.eval("heard('accountsChanged')[0]"), json!([owner]));

    // Ask for a layer 2, and find it in the page.
    let wanted = "ask('wallet_requestPermissions', [{ layer2: { solution: 'payments', actions: ['makePayment'], \
                  state: ['balance'] } }])";
    let asked = page.start(wanted);
    stage.approve();
    let held = page.finish(asked).expect("granted");
    assert!(held.as_array().expect("a list").iter().any(|one| one["parentCapability"] == "layer2"), "{held}");
    page.until("ethereum.layer2.payments?.makePayment");
    assert_eq!(page.eval("Object.keys(ethereum.layer2).sort()"), json!(["1", "payments"]));
    assert_eq!(page.eval("ethereum.layer2.payments === ethereum.layer2[1]"), true);
    for frozen in ["ethereum.layer2", "ethereum.layer2.payments", "ethereum.layer2.payments.makePayment"] {
        assert_eq!(page.eval(&format!("Object.isFrozen({frozen})")), true, "{frozen}");
    }
    assert_eq!(page.eval("Object.getPrototypeOf(ethereum.layer2.payments)"), json!(null));
    assert_eq!(page.eval("ask('layer2_getState', { solution: 'payments' })")["state"]["balance"], stage.balance());

    // Pay: no, then yes. The state event tells the page.
    let paying = stage.pay(&page, 5);
    stage.reject();
    refused(page.finish(paying), 4001, &[]);
    let paying = stage.pay(&page, 5);
    let request = stage.approve();
    assert!(request["sentence"].as_str().expect("text").contains("makePayment"), "{request}");
    is_hash(&page.finish(paying).expect("paid"));
    page.until("heard('message').some((m) => m.type === 'layer2_stateChanged' && m.data.state.balance === '999999999999999995')");

    // A call that does not fit is the page's error.
    refused(
        page.attempt("ethereum.layer2.payments.makePayment({ toAddress: 'me', value: 1 })"),
        -32602,
        &["toAddress"],
    );

    // By policy: nothing waits.
    let rule = ["--action", "makePayment", "--per-call", "100", "--per-day", "100", "--to", SHOP, "--until", "30d"];
    let policy: Vec<&str> = ["policy", "add", &caller, "payments"].into_iter().chain(rule).collect();
    wallet.run(&policy).json();
    let paying = stage.pay(&page, 7);
    is_hash(&page.finish(paying).expect("paid"));
    assert_eq!(stage.house.pending(), 0);
    page.until("heard('message').some((m) => m.data.state.balance === '999999999999999988')");

    // Locked: not even by policy, and no account is seen.
    wallet.run(&["lock"]).json();
    page.until("heard('accountsChanged').at(-1).length === 0");
    assert_eq!(page.eval("ask('eth_accounts')"), nothing());
    let paying = stage.pay(&page, 7);
    refused(page.finish(paying), 4100, &["unlock"]);
    wallet.run(&["unlock"]).json();
    page.until("heard('accountsChanged').at(-1).length === 1");

    // A tab that is closed takes its request along.
    let leaving = stage.open("127.0.0.1");
    let _ = leaving
        .start("ask('wallet_requestPermissions', [{ layer2: { solution: 'payments', actions: ['newAccount'] } }])");
    stage.pending();
    leaving.close();
    stage.nothing_waits();

    // Revoked: gone from the page, and policies with it.
    let grant = wallet.run(&["callers"]).json()[0]["id"].to_string();
    wallet.run(&["callers", "revoke", &grant]).json();
    page.until("ethereum.layer2.payments === undefined");
    refused(page.attempt(&call), 4100, &[]);
    refused(page.attempt("ask('layer2_getState', { solution: 'payments' })"), 4100, &[]);
    // What it gives back by itself is gone too.
    assert_eq!(page.eval("ask('wallet_revokePermissions', [{ eth_accounts: {} }])"), json!(null));
    page.until("heard('accountsChanged').at(-1).length === 0");
}

#[test]
fn only_a_granted_site_is_told_of_layer_2_and_each_only_its_own() {
    let stage = Stage::paying(Pages::default());
    let (granted, other) = (stage.open("127.0.0.1"), stage.open("localhost"));
    stage.grant("127.0.0.1");
    granted.until("ethereum.layer2.payments?.makePayment");
    // A third site may pay, and sees no state.
    let blind = stage.open("shop.localhost");
    let caller = stage.caller("shop.localhost");
    stage.house.wallet.run(&["callers", "grant", &caller, "payments", "--action", "makePayment"]).json();
    blind.until("ethereum.layer2.payments?.makePayment");

    let paying = stage.pay(&blind, 5);
    stage.approve();
    is_hash(&blind.finish(paying).expect("paid"));
    granted.until("heard('message').some((m) => m.data.state.balance === '999999999999999995')");
    // Another thing that all are told has come after it: the others saw nothing of the payment.
    stage.house.wallet.run(&["callers", "connect", &stage.caller("localhost")]).json();
    other.until("heard('accountsChanged').length === 1");
    assert_eq!(other.eval("heard('message')"), nothing());
    assert_eq!(other.eval("heard('layer2Changed').flat()"), nothing());
    assert_eq!(other.eval("ask('layer2_getSolutions')"), nothing());
    refused(other.attempt("ask('layer2_getState', { solution: 'payments' })"), 4100, &[]);
    assert_eq!(blind.eval("heard('message')"), nothing());
    refused(blind.attempt("ask('layer2_getState', { solution: 'payments' })"), 4100, &[]);
    assert_eq!(granted.eval("heard('accountsChanged')"), nothing());
}
