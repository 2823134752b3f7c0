//! What was acknowledged, and the comparison at the end of the day.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use alloy::primitives::{Address, U256};
use entresol_store::Store;
use entresol_vault::Vault;
use serde_json::{Value as Json, json};

use super::life::{Day, Step};
use super::script::{
    BLOCKS, COMPUTE, DESK, EVENTS, FRIEND, PROMISED, READ, START, WORDS, boss, connected, find, finney, grants,
};

/// What the user was told had happened.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// Calls with an id, and what they gave.
    pub(crate) acted: Vec<(Json, Json)>,
    /// The boss's memory.
    pub(crate) kept: BTreeMap<String, String>,
    /// What the boss has added up.
    pub(crate) sum: u64,
    /// Jobs that were fired.
    pub(crate) fired: BTreeSet<String>,
    /// Transactions of the user's own sends, by their thousandths of an ETH.
    pub(crate) hashes: BTreeMap<u64, String>,
    pub(crate) backup: Option<PathBuf>,
}

/// Compares the wallet and the chain with the model. Called while the daemon runs, when everything has its end.
pub(crate) fn compare(day: &mut Day) -> Step {
    day.until("everything has its end", |day| {
        let open = day.list("transactions", json!({}))?.len();
        let requests = day.list("approvals", json!({ "all": true }))?;
        let ends = requests.iter().all(|one| one["state"] != "approved" && one["state"] != "pending");
        Ok((open == 0 && ends).then_some(()))
    })?;
    // Whatever is asked again with the same id gives the same answer; that it did nothing is seen below.
    for (input, result) in day.model.acted.clone() {
        assert_eq!(day.call("call", input.clone())?, result, "{input}");
    }
    let status = day.call("status", json!({}))?;
    assert_eq!((&status["locked"], &status["pendingApprovals"]), (&json!(false), &json!(0)), "{status}");
    let settings = day.call("settings", json!({}))?;
    assert_eq!(settings, json!({ "autoLockSeconds": 0, "layer2WhileLocked": true }));
    compare_chain(day)?;
    compare_policy(day)?;
    let callers: Vec<_> = day.list("callers", json!({}))?.into_iter().filter(|one| one["solution"] == "till").collect();
    assert_eq!(callers.len(), 1, "{callers:?}");
    assert_eq!(callers[0]["actions"], json!(["pay", "recall"]), "{callers:?}");
    let seen = connected(day)?;
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((&seen[0]["caller"], &seen[0]["network"]), (&json!(DESK), &json!("dev")));
    assert_eq!(seen[0]["accounts"][0]["index"], 1, "{seen:?}");
    let boss = grants(day, "boss")?;
    let held = [READ, BLOCKS, COMPUTE].iter().all(|&permission| boss.contains(&json!(permission)));
    assert!(held && boss.len() == 5, "{boss:?}");
    assert_eq!(day.call("solution", json!({ "solution": "boss" }))?["package"], "day-boss@1.1.0");
    let till = grants(day, "till")?;
    assert!(till.contains(&json!(READ)) && till.contains(&json!(BLOCKS)) && !till.contains(&json!(EVENTS)), "{till:?}");
    let names: Vec<_> = day.list("solutions", json!({}))?.into_iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, [json!("till"), json!("boss")]);
    for (key, value) in day.model.kept.clone() {
        let found = day.call("call", json!({ "solution": "boss", "action": "recall", "params": { "key": key } }))?;
        assert_eq!(found, value, "{key}");
    }
    let sum = day.call("call", json!({ "solution": "boss", "action": "add", "params": { "id": "n3", "n": "3" } }))?;
    assert_eq!(sum, day.model.sum.to_string());
    let notices = day.list("notices", json!({ "all": true }))?;
    let told: Vec<_> = notices.iter().filter(|one| one["text"] == WORDS).collect();
    assert!(told.len() == 1 && told[0]["read"] == true, "{notices:?}");
    let state = day.call("state", json!({ "solution": "boss" }))?["state"].clone();
    assert_eq!(state["updated"]["from"], "1.0.0", "{state}");
    for name in &day.model.fired {
        assert!(state[name]["times"].as_u64().is_some_and(|times| times >= 1), "{name}: {state}");
    }
    assert!(state["never"].is_null() && state["tomorrow"].is_null(), "{state}");
    Ok(())
}

/// To the wei: what is on the chain is what was asked for, once each.
fn compare_chain(day: &mut Day) -> Step {
    let (owner, imported, gateway) = (day.owner(0)?, day.owner(2)?, day.chain.gateway);
    let mined = day.chain.mined(&[owner, imported]);
    assert!(mined.iter().all(|one| one.success), "{mined:?}");
    let mut moved: Vec<_> = mined.iter().map(|one| (one.from, one.to, one.value)).collect();
    let mut expected = vec![
        (owner, gateway, finney(3)),
        (owner, gateway, finney(5)),
        (owner, gateway, finney(7)),
        (owner, FRIEND, finney(11)),
        // In the place of the one that was regretted.
        (owner, owner, U256::ZERO),
        (imported, FRIEND, finney(2)),
    ];
    moved.sort();
    expected.sort();
    assert_eq!(moved, expected);
    for account in [owner, imported] {
        let own: Vec<_> = mined.iter().filter(|one| one.from == account).collect();
        let nonces: Vec<_> = own.iter().map(|one| one.nonce).collect();
        assert_eq!(nonces, (0..own.len() as u64).collect::<Vec<_>>(), "one after the other, none twice");
        assert_eq!(day.chain.nonce(account), own.len() as u64);
        let spent: U256 = own.iter().map(|one| one.fee + if one.to == account { U256::ZERO } else { one.value }).sum();
        assert_eq!(day.chain.balance(account), U256::from(START) - spent);
    }
    assert_eq!(day.chain.balance(gateway), finney(15));
    assert_eq!(day.chain.balance(FRIEND), finney(13));
    let mut transfers: Vec<_> = day
        .list("transfers", json!({}))?
        .into_iter()
        .map(|one| format!("{} {} {}", one["kind"], one["amount"], one["stage"]).replace('"', ""))
        .collect();
    transfers.sort();
    let mut expected: Vec<_> = [3, 5, 7].map(|count| format!("deposit {} confirmed", finney(count))).into();
    expected.push(format!("payment-out {PROMISED} paid"));
    expected.sort();
    assert_eq!(transfers, expected);
    Ok(())
}

/// The policy's sums are those of the requests that it let pass and that had an effect: to the wei, fees included.
fn compare_policy(day: &mut Day) -> Step {
    let boss = boss(day)?;
    assert!(find(day, "policies", "app:shop", "till")?.is_none(), "the shop's policy was revoked");
    let policy = find(day, "policies", &boss, "till")?.expect("acknowledged");
    assert_eq!(policy["state"], "active", "{policy}");
    let by = format!("policy {}", policy["id"]);
    let transfers = day.list("transfers", json!({ "solution": "till" }))?;
    let (owner, mut amount, mut fees, mut count) = (day.owner(0)?, U256::ZERO, U256::ZERO, 0_u64);
    let mined = day.chain.mined(&[owner]);
    for request in day.list("approvals", json!({ "all": true }))? {
        let given_back = request["outcome"]["data"]["delivered"] == false;
        if request["decidedBy"] != by || given_back || (request["kind"] == "deposit" && request["state"] == "failed") {
            continue;
        }
        count += 1;
        if request["kind"] == "deposit" {
            let transfer = transfers.iter().find(|one| one["approval"] == request["id"]).expect("its transfer");
            let value: U256 = transfer["amount"].as_str().expect("an amount").parse().expect("a number");
            amount += value;
            fees += mined.iter().find(|one| one.value == value).expect("mined").fee;
        } else {
            amount += value_row(&request);
        }
    }
    assert!(count >= 2, "at least one payment passed without asking, however the day was cut");
    let expected = (amount.to_string(), fees.to_string(), count);
    let found = (policy["used"].clone(), policy["usedFees"].clone(), policy["usedCount"].clone());
    assert_eq!(found, (json!(expected.0), json!(expected.1), json!(expected.2)));
    Ok(())
}

fn value_row(request: &Json) -> U256 {
    let rows = request["rows"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["label"] == "value").unwrap_or_else(|| panic!("no value in {request}"));
    let text = row["value"].as_str().expect("text");
    // `0.003 ETH (3000000000000000 wei)`
    let wei = text.split_once('(').and_then(|(_, rest)| rest.strip_suffix(" wei)"));
    wei.and_then(|wei| wei.parse().ok()).unwrap_or_else(|| panic!("no wei in {text}"))
}

/// What only the database tells; nobody else has it open.
pub(crate) fn compare_store(home: &Path, passphrase: &str) {
    let store = open(home, passphrase);
    store.integrity_check().expect("sound");
    let open = store.open_reservations().expect("read");
    assert!(open.is_empty(), "reserved for ever: {open:?}");
    assert!(store.open_approved().expect("read").is_empty());
    let jobs: Vec<_> = store.all_jobs().expect("read").into_iter().map(|job| job.name).collect();
    assert_eq!(jobs, ["tomorrow"]);
}

/// The wallet that came out of the backup: what the day had brought until then.
pub(crate) fn compare_restored(home: &Path, passphrase: &str, owner: Address) {
    let store = open(home, passphrase);
    store.integrity_check().expect("sound");
    let names: Vec<_> = store.solutions().expect("read").into_iter().map(|one| one.spec.name.clone()).collect();
    assert_eq!(names, ["till", "boss", "spare"]);
    assert_eq!(store.all_jobs().expect("read").len(), 1);
    let (vault, _) = Vault::open(&home.join("keystore.json"), &passphrase.into()).expect("opens");
    assert_eq!(vault.owner(0).expect("derived").address, owner);
    assert_eq!(vault.imported().len(), 1);
}

fn open(home: &Path, passphrase: &str) -> Store {
    let (_, key) = Vault::open(&home.join("keystore.json"), &passphrase.into()).expect("opens");
    Store::open(&home.join("wallet.db"), key.expose()).expect("opens")
}
