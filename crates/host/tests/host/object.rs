//! The wallet object's table: what needs which permission, and what does not exist.

use crate::probe::Package;
use crate::says;
use crate::support::*;
use entresol_host::error::code;
use entresol_host::{Actor, Effect, Needs, WALLET_METHODS};
use serde_json::{Value as Json, json};

/// Arguments of a method in the order in which the glue names them.
fn arguments(name: &str, sample: &Json) -> Json {
    const GLUE: &str = include_str!("../../src/plugin/glue.js");
    match name {
        "layer1.request" => json!([sample]),
        "network.connect" => json!([sample["url"]]),
        "network.fetch" => json!([sample["url"], sample["init"]]),
        _ => {
            let start = GLUE.find(&format!("method(\"{name}\"")).unwrap_or_else(|| panic!("the glue has no {name}"));
            let list = GLUE[start + "method(".len()..].split_once(')').expect("a list").0;
            let names = list.split(',').skip(1).map(|text| text.trim().trim_matches('"'));
            names.map(|field| sample[field].clone()).collect()
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_that_needs_a_permission_is_refused_without_it() {
    let anvil = Anvil::start().await;
    let app = anvil.deploy_test("App").await;
    let wallet = Wallet::new(&anvil).await;
    let contracts = json!({ "gateway": {
        "abi": ["function deposit(address to) payable", "function requestExit()"], "deposit": ["deposit"],
        "withdraw": ["requestExit"]
    } });
    wallet.probe("bare", &Package { contracts, ..Package::default() }, Some(app)).await;
    for grant in wallet.host().grants(&USER, "bare").await.expect("grants") {
        wallet.host().grant_revoke(&USER, "bare", &grant).await.expect("revoked");
    }
    let solution = wallet.host().solution(&USER, "bare").await.expect("there").id;
    let mut refused = 0;
    for row in WALLET_METHODS {
        // Connections are objects of their own in the script; see row 16.
        if matches!(row.name, "network.send" | "network.close") {
            continue;
        }
        // One function of the script stands for these; `heavy.rs` calls it.
        let answer = if row.name.starts_with("compute.") {
            wallet.host().wallet_request(&Actor::Plugin { solution }, row.name, (row.sample)()).await
        } else {
            wallet.ask("bare", row.name, arguments(row.name, &(row.sample)())).await
        };
        let free = matches!(row.needs, Needs::Nothing);
        match answer {
            answer if !free => {
                says(answer, code::UNAUTHORIZED, "not granted");
                refused += 1;
            }
            Err(error) => assert_ne!(error.code, code::UNSUPPORTED, "{}: {error}", row.name),
            Ok(_) => assert_ne!(row.effect, Effect::Asks, "{}", row.name),
        }
    }
    println!("{refused} of {} methods refused without their permission", WALLET_METHODS.len());
    assert!(refused >= 20, "{refused}");
    wallet.assert_nothing_was_asked().await;
    says(wallet.ask("bare", "wallet.sendEther", json!([])).await, code::PLUGIN_ERROR, "no method");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_26_what_only_reads_may_ask_for_nothing() {
    let anvil = Anvil::start().await;
    let app = anvil.deploy_test("App").await;
    let wallet = Wallet::new(&anvil).await;
    let package = Package {
        contracts: json!({ "gateway": crate::probe::app_contract() }),
        optional: json!({ "network": ["wss://tower.example"] }),
        ..Package::default()
    };
    wallet.probe("probe", &package, Some(app)).await;
    wallet.ask("probe", "wallet.getAccount", json!([0])).await.expect("an account");
    for (method, args) in [
        ("wallet.deposit", json!([{ "value": { "$n": "1" } }])),
        ("wallet.withdraw", json!([{ "function": "withdraw", "args": [{ "$n": "0" }] }])),
        ("wallet.fundAccount", json!([0, { "$n": "1" }])),
        ("wallet.sign", json!([{ "message": "hello" }])),
        ("wallet.requestPermission", json!([{ "network": "wss://tower.example" }])),
    ] {
        says(wallet.through("probe", "peek", method, args).await, code::UNAUTHORIZED, "readOnly");
    }
    wallet.assert_nothing_was_asked().await;
    wallet.host().shutdown().await;
}
