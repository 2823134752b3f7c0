//! The local database of a plugin, and what a restore does to a critical one.

use crate::probe::{Package, app_contract, everything};
use crate::says;
use crate::support::*;
use entresol_host::error::code;
use serde_json::{Value as Json, json};

#[tokio::test(flavor = "multi_thread")]
async fn values_come_back_as_they_went_and_batches_are_all_or_nothing() {
    let anvil = Anvil::start().await;
    let mut wallet = Wallet::new(&anvil).await;
    wallet.probe("probe", &Package::default(), None).await;
    let value = json!({ "n": { "$n": "-115792089237316195423570985008687907853269984665640564039457584007913129639936" },
        "b": { "$b": [0, 255, 1] }, "list": [1, 1.5, null, true, "\u{202e}\"\\ü"], "deep": { "$": [{ "$$n": "x" }] } });
    let put = async |key: &str, value: &Json| wallet.ask("probe", "wallet.persist", json!([key, value])).await;
    put("v", &value).await.expect("kept");
    put("w", &json!(1)).await.expect("kept");
    let batch = async |ops: Json| wallet.ask("probe", "wallet.batchLocalDb", json!([ops])).await;
    // The expectation sees equal values as equal, whatever the order of their names.
    let turned = json!({ "deep": value["deep"], "list": value["list"], "b": value["b"], "n": value["n"] });
    batch(json!([{ "expect": "v", "value": turned }, { "expect": "none" }, { "put": "x", "value": { "$n": "2" } }, { "delete": "w" }]))
        .await
        .expect("written");
    let failed = batch(json!([{ "put": "y", "value": 1 }, { "expect": "x", "value": 2 }])).await;
    let error = failed.expect_err("the expectation fails");
    assert_eq!((error.code, &error.data), (code::EXPECTATION_FAILED, &json!({ "key": "x" })), "{error}");
    says(batch(json!([{ "expect": "x" }])).await, code::EXPECTATION_FAILED, "read again");
    says(batch(json!([{ "put": "y" , "drop": 1 }])).await, code::INVALID_PARAMS, "each operation");
    let error = put("big", &json!("x".repeat(70_000))).await.expect_err("over the quota");
    assert_eq!((error.code, error.data["quota"].as_str()), (code::LIMIT, None), "{error}");
    assert_eq!(error.data["quota"], json!(65536));
    assert!(error.data["used"].as_u64().is_some_and(|used| used > 70_000), "{}", error.data);
    for (method, args) in [
        ("wallet.persist", json!(["", 1])),
        ("wallet.persist", json!([5, 1])),
        ("wallet.persist", json!(["x".repeat(513), 1])),
        ("wallet.getFromLocalDb", json!([])),
        ("wallet.listLocalDb", json!([7])),
        ("wallet.batchLocalDb", json!([{}])),
    ] {
        says(wallet.ask("probe", method, args).await, code::INVALID_PARAMS, "");
    }
    wallet.restart().await;
    wallet.plugin("probe", "running").await;
    assert_eq!(wallet.ask("probe", "wallet.getFromLocalDb", json!(["v"])).await.expect("read"), value);
    assert_eq!(wallet.ask("probe", "wallet.listLocalDb", json!([])).await.expect("read"), json!(["v", "x"]));
    wallet.ask("probe", "wallet.deleteFromLocalDb", json!(["v"])).await.expect("deleted");
    wallet.ask("probe", "wallet.persist", json!(["x", null])).await.expect("null is nothing");
    assert_eq!(wallet.ask("probe", "wallet.listLocalDb", json!([""])).await.expect("read"), json!([]));
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_31_after_a_restore_a_critical_plugin_signs_nothing_until_it_confirms() {
    let anvil = Anvil::start().await;
    let app = anvil.deploy_test("App").await;
    let mut wallet = Wallet::new(&anvil).await;
    let mut permissions = everything();
    permissions["localDatabase"]["critical"] = json!(true);
    permissions["keys"]["export"] = json!(true);
    let contracts = json!({ "gateway": app_contract() });
    let package = Package { permissions, contracts: contracts.clone(), ..Package::default() };
    wallet.probe("channel", &package, Some(app)).await;
    wallet.probe("other", &Package { contracts, ..Package::default() }, Some(app)).await;
    for name in ["channel", "other"] {
        wallet.ask(name, "wallet.getAccount", json!([0])).await.expect("an account");
    }
    let state = async |wallet: &Wallet, name: &str| {
        wallet.host().state(&USER, name, None, false).await.expect("a state").state["restored"].clone()
    };
    assert_eq!(state(&wallet, "channel").await, json!(false));
    roll_back(&mut wallet).await;
    for name in ["channel", "other"] {
        wallet.plugin(name, "running").await;
        assert_eq!(state(&wallet, name).await, json!(true), "onStart tells it");
    }
    let signing = [
        ("wallet.signWithAccount", json!([0, { "message": "hello" }])),
        ("wallet.sign", json!([{ "message": "hello" }])),
        ("wallet.withdraw", json!([{ "function": "poke", "args": [{ "$n": "1" }], "from": 0 }])),
        ("wallet.withdraw", json!([{ "function": "contest", "args": [{ "$n": "1" }], "from": 0 }])),
        ("wallet.exportPrivateKey", json!([0])),
        ("wallet.getSecret", json!(["label"])),
    ];
    for (method, args) in signing.clone() {
        says(wallet.ask("channel", method, args).await, code::UNAUTHORIZED, "confirmRestored()");
    }
    // Reading and writing go on, so that it can catch up; a database that is not critical stops nothing.
    wallet.ask("channel", "wallet.persist", json!(["k", 1])).await.expect("kept");
    wallet.ask("other", "wallet.signWithAccount", json!([0, { "message": "hello" }])).await.expect("signed");
    // Taking the database away does not open the door.
    let grants = wallet.host().grants(&USER, "channel").await.expect("grants");
    let database = grants.iter().find(|grant| grant.contains("data in this wallet")).expect("granted").clone();
    wallet.host().grant_revoke(&USER, "channel", &database).await.expect("revoked");
    says(
        wallet.ask("channel", "wallet.signWithAccount", json!([0, { "message": "hello" }])).await,
        code::UNAUTHORIZED,
        "confirmRestored()",
    );
    wallet.host().grant_add(&USER, "channel", &database).await.expect("given back");
    wallet.restart().await;
    wallet.plugin("channel", "running").await;
    says(wallet.ask("channel", "wallet.getSecret", json!(["label"])).await, code::UNAUTHORIZED, "confirmRestored()");
    wallet.ask("channel", "wallet.confirmRestored", json!([])).await.expect("confirmed");
    wallet.ask("channel", "wallet.signWithAccount", json!([0, { "message": "hello" }])).await.expect("signed");
    wallet.restart().await;
    wallet.plugin("channel", "running").await;
    assert_eq!(state(&wallet, "channel").await, json!(false), "the confirmation is durable");
    assert_eq!(state(&wallet, "other").await, json!(true), "each for itself");
    wallet.host().shutdown().await;
}

/// Puts a database back that is older than the last start, as a user might.
#[allow(clippy::disallowed_methods, reason = "files of the test's own")]
async fn roll_back(wallet: &mut Wallet) {
    let database = wallet.home.path().join("wallet.db");
    wallet.stop().await;
    let old = std::fs::read(&database).expect("the database");
    wallet.restart().await;
    wallet.stop().await;
    std::fs::write(&database, old).expect("put back");
    wallet.restart().await;
}
