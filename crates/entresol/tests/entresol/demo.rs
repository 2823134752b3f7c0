//! The demo: the whole way, and every way out of it.

use serde_json::Value as Json;

use crate::support::demo;

fn facts(said: &crate::support::Said) -> Json {
    serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"))
}

#[test]
fn the_whole_way_ends_well() {
    let said = demo(&[], &[]);
    let facts = said.json();
    assert_eq!(facts["ok"], true, "{facts}");
    let steps = facts["steps"].as_array().expect("steps");
    let names: Vec<_> = steps.iter().map(|step| step["step"].as_str().expect("a name")).collect();
    let expected = [
        "anvil", "gateway", "node", "wallet", "daemon", "network", "install", "shop", "deposit", "credit", "payees",
        "pay-1", "pay-2", "read", "withdraw", "batch", "window", "claim", "attack", "recovery", "remove",
    ];
    assert_eq!(names, expected);
    let step = |name: &str| &steps[names.iter().position(|n| *n == name).expect("there")];
    for name in ["install", "shop", "deposit", "withdraw", "claim"] {
        assert!(step(name)["approved"].is_string(), "{name}: {}", step(name));
    }
    for name in ["gateway", "deposit", "withdraw", "claim", "attack"] {
        assert!(step(name)["gas"].as_u64().is_some_and(|gas| gas > 21_000), "{name}: {}", step(name));
        assert_eq!(step(name)["id"].as_str().map(str::len), Some(66), "{name}: {}", step(name));
    }
    // 1 - 0.2 - 0.1 ETH came back, to the wei.
    assert_eq!(facts["withdrawn"], "700000000000000000");
    let wei = |name: &str| facts[name].as_str().and_then(|text| text.parse::<i128>().ok()).expect(name);
    assert_eq!(wei("ownerAfter"), wei("ownerBefore") + wei("withdrawn") - wei("claimFee"));
    assert_ne!(facts["attack"]["falseRoot"], facts["attack"]["correctRoot"]);
    assert!(facts["web"].as_str().is_some_and(|web| web.starts_with("http://127.0.0.1:")), "{facts}");
}

fn check_rejection(step: &str) {
    let said = demo(&["--reject", step], &[]);
    assert_eq!(said.code, 4, "{said:?}");
    let facts = facts(&said);
    assert_eq!(facts["ok"], false, "{facts}");
    assert_eq!(facts["rejected"], true, "{facts}");
    assert_eq!(facts["step"], step, "{facts}");
    // The demo itself compares before and after; it tells what it compared.
    for name in ["ownerBalance", "ownerNonce", "gatewayBalance"] {
        assert!(!facts["unchanged"][name].is_null(), "{facts}");
    }
    let steps = facts["steps"].as_array().expect("steps");
    assert!(steps.iter().all(|done| done["step"] != step), "{facts}");
}

#[test]
fn a_rejected_installation_installs_nothing() {
    check_rejection("install");
}

#[test]
fn a_rejected_deposit_moves_nothing() {
    check_rejection("deposit");
}

#[test]
fn a_rejected_withdrawal_moves_nothing() {
    check_rejection("withdraw");
}

#[test]
fn a_rejected_claim_moves_nothing() {
    check_rejection("claim");
}

#[test]
fn a_failure_names_its_step() {
    let nowhere = std::ffi::OsString::from("/no/such/anvil");
    let said = demo(&[], &[("ENTRESOL_ANVIL", nowhere)]);
    assert_eq!(said.code, 1, "{said:?}");
    let facts = facts(&said);
    assert_eq!(facts["ok"], false);
    assert_eq!(facts["step"], "anvil");
    assert!(facts["error"].as_str().is_some_and(|error| error.contains("ENTRESOL_ANVIL")), "{facts}");
}
