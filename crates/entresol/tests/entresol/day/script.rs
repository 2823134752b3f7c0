//! The day, step by step. A step that was cut off is done again from its beginning: it looks first, then does what is
//! not there yet, as a person or a careful script would.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use alloy::primitives::{Address, U256, address};
use serde_json::{Value as Json, json};

use super::life::{Day, EVENING, IMPORTED, MORNING, Step};

/// Whoever is paid on layer 1.
pub(crate) const FRIEND: Address = address!("00000000000000000000000000000000000F41e5");
/// What the day's owners have in the morning, in wei.
pub(crate) const START: u128 = 10_000_000_000_000_000_000;
/// What the plugin tells the user.
pub(crate) const WORDS: &str = "The shop opens at nine";
/// Of the plugin's own transfer.
pub(crate) const PROMISED: &str = "77";

/// A WebAssembly asset of the boss's, which the wallet fetches.
const WORK: &[u8] = include_bytes!("../../../../sandbox/assets/work.wasm");
const WORK_SHA256: &str = "40f3f52a38a8a86e70cbf9badde7d8834fcca84e4490972e162d04048c16ec09";
/// What the boss may with its new version.
pub(crate) const COMPUTE: &str =
    "run heavy computations beside itself, each with up to 1 MiB of memory and 1 s of processor time";

pub(crate) const READ: &str = "read layer 1";
pub(crate) const BLOCKS: &str = "be told of new layer-1 blocks";
pub(crate) const EVENTS: &str = "be told of the gateway's events";
const SHOP: &str = "app:shop";
pub(crate) const DESK: &str = "site:home:https://desk.example";

/// Thousandths of an ETH.
pub(crate) fn finney(count: u64) -> U256 {
    U256::from(count) * U256::from(1_000_000_000_000_000_u64)
}

pub(crate) type Line = (&'static str, fn(&mut Day) -> Step);

pub(crate) const SCRIPT: &[Line] = &[
    ("network", |day| {
        day.call("network_add", json!({ "name": "dev", "rpcUrls": [day.chain.url()] }))?;
        Ok(())
    }),
    ("second account", |day| {
        if day.list("accounts", json!({}))?.len() < 2 {
            day.call("account_add", json!({}))?;
        }
        Ok(())
    }),
    ("settings", |day| {
        day.call("settings_set", json!({ "autoLockSeconds": 0, "layer2WhileLocked": true }))?;
        Ok(())
    }),
    ("import", |day| {
        let imported = |day: &mut Day| Ok(day.list("accounts", json!({}))?.iter().any(|one| one["imported"] == true));
        if !imported(day)? {
            day.call("account_import", json!({ "privateKey": IMPORTED, "passphrase": day.passphrases[0] }))?;
        }
        let owners = [day.owner(0)?, day.owner(2)?];
        owners.into_iter().for_each(|owner| day.chain.give(owner, U256::from(START)));
        Ok(())
    }),
    ("install till", |day| {
        let contract = json!({
            "abi": ["function deposit(address to) payable returns (uint256 index)", "function requestExit() returns (uint256 index)",
                    "event Deposited(address indexed depositor, address indexed to, uint256 value, uint256 index)"],
            "deposit": ["deposit"], "withdraw": ["requestExit"] });
        let layer2 = json!({
            "contracts": { "gateway": contract },
            "permissions": { "keys": { "curve": "secp256k1" }, "localDatabase": { "quota": "1 MiB" }, "layer1": ["read", "blocks", "events"] } });
        install(day, "till", layer2, &[])
    }),
    ("install boss", |day| {
        let layer2 = json!({
            "permissions": { "keys": { "curve": "secp256k1" }, "localDatabase": { "quota": "1 MiB" }, "layer1": ["read"] },
            "optionalPermissions": { "layer1": ["blocks"] } });
        install(day, "boss", layer2, &[READ])
    }),
    ("install spare", |day| {
        let layer2 =
            json!({ "permissions": { "keys": { "curve": "secp256k1" }, "localDatabase": { "quota": "1 MiB" } } });
        install(day, "spare", layer2, &[])
    }),
    ("grant what was refused", |day| {
        if !granted(day, "boss", READ)? {
            day.call("grant_add", json!({ "solution": "boss", "permission": READ }))?;
        }
        Ok(())
    }),
    ("revoke", |day| {
        if granted(day, "till", EVENTS)? {
            day.call("grant_revoke", json!({ "solution": "till", "permission": EVENTS }))?;
        }
        Ok(())
    }),
    ("boss may ask till", |day| {
        let boss = boss(day)?;
        grant(day, &boss, "till", &["pay", "recall"])
    }),
    ("boss may ask spare", |day| {
        let boss = boss(day)?;
        grant(day, &boss, "spare", &["risk"])
    }),
    ("a policy for till", |day| {
        let boss = boss(day)?;
        policy(day, &boss, "till", "pay", &["deposit(address)"])
    }),
    ("a policy for spare", |day| {
        let boss = boss(day)?;
        policy(day, &boss, "spare", "risk", &[])
    }),
    ("the shop may ask", |day| grant(day, SHOP, "till", &["pay"])),
    ("a policy for the shop", |day| policy(day, SHOP, "till", "pay", &[])),
    ("no policy for the shop", |day| {
        if let Some(policy) = find(day, "policies", SHOP, "till")? {
            day.call("policy_revoke", json!({ "id": policy["id"] }))?;
        }
        Ok(())
    }),
    ("the shop may not ask", |day| {
        if let Some(grant) = find(day, "callers", SHOP, "till")? {
            day.call("caller_revoke", json!({ "id": grant["id"] }))?;
        }
        Ok(())
    }),
    ("the desk and the shop see accounts", |day| {
        connect(day, DESK, &[1])?;
        connect(day, SHOP, &[0, 1])
    }),
    ("the shop sees none", |day| {
        if connected(day)?.iter().any(|one| one["caller"] == SHOP) {
            day.call("caller_disconnect", json!({ "caller": SHOP }))?;
        }
        Ok(())
    }),
    ("an app", |day| {
        if !has_app(day, "desk")? {
            let added = day.call("app_add", json!({ "name": "desk" }))?;
            assert!(added["url"].as_str().is_some_and(|url| url.contains("/app/desk/")), "{added}");
        }
        grant(day, "app:desk", "till", &["pay"])
    }),
    ("no app", |day| {
        if has_app(day, "desk")? {
            day.call("app_remove", json!({ "name": "desk" }))?;
        }
        assert!(find(day, "callers", "app:desk", "till")?.is_none(), "its grant has ended with it");
        Ok(())
    }),
    ("a browser", |day| {
        day.install_bridge();
        Ok(())
    }),
    ("remember", |day| {
        for (key, value) in [("breakfast", "bread"), ("lunch", "soup"), ("breakfast", "eggs")] {
            day.act("boss", "remember", json!({ "key": key, "value": value }))?;
            day.model.kept.insert(key.to_owned(), value.to_owned());
        }
        Ok(())
    }),
    ("add", |day| {
        for n in 1..=3_u64 {
            day.act("boss", "add", json!({ "id": format!("n{n}"), "n": n.to_string() }))?;
            day.model.sum = day.model.sum.max(n * (n + 1) / 2);
        }
        Ok(())
    }),
    ("another version of boss", |day| {
        let folder = day.desk.path().join("boss-2");
        if !folder.exists() {
            let layer2 = json!({
                "permissions": {
                    "keys": { "curve": "secp256k1" }, "localDatabase": { "quota": "1 MiB" }, "layer1": ["read"],
                    "compute": { "memory": "1 MiB", "seconds": 1 } },
                "optionalPermissions": { "layer1": ["blocks"] },
                "assets": [{ "name": "work", "url": serve(WORK), "sha256": WORK_SHA256, "size": WORK.len() }] });
            write_package(&folder, "boss", "1.1.0", &layer2);
        }
        let script = format!("folder:{}", folder.display());
        let request = json!({ "solution": "boss", "script": script, "requestKey": "update boss" });
        let request = day.call("solution_update", request)?;
        day.approve(&request, &[])?;
        // A daemon that was killed right after the switch lets it sleep until it is asked.
        let recall = json!({ "solution": "boss", "action": "recall", "params": { "key": "breakfast" } });
        assert_eq!(day.call("call", recall)?, "eggs");
        until_fired(day, "updated")
    }),
    ("accounts on layer 2", |day| {
        day.act("till", "open", json!({}))?;
        day.act("boss", "open", json!({}))?;
        day.act("boss", "sign", json!({ "message": "good morning" }))?;
        Ok(())
    }),
    ("a wake-up", |day| {
        if fired(day, "soon")?.is_none() {
            day.act("boss", "plan", json!({ "name": "soon", "after": "50", "block": "0", "task": "{}" }))?;
        }
        until_fired(day, "soon")
    }),
    ("a wake-up taken back", |day| {
        day.act("boss", "plan", json!({ "name": "never", "after": "86400000", "block": "0", "task": "{}" }))?;
        day.act("boss", "unplan", json!({ "name": "never" }))?;
        Ok(())
    }),
    ("a wake-up tomorrow", |day| {
        day.act("boss", "plan", json!({ "name": "tomorrow", "after": "86400000", "block": "0", "task": "{}" }))?;
        Ok(())
    }),
    ("pay by policy", |day| pay(day, 3)),
    ("pay again", |day| pay(day, 5)),
    ("risk", |day| {
        for attempt in 1..=8 {
            let requests = day.list("approvals", json!({ "all": true }))?;
            let given_back = |one: &Json| one["state"] == "failed" && one["outcome"]["data"]["delivered"] == false;
            if requests.iter().any(|one| one["solution"] == "spare" && one["kind"] == "call" && given_back(one)) {
                return Ok(());
            }
            let task =
                json!({ "call": "spare", "action": "risk", "id": attempt.to_string(), "value": finney(1).to_string() });
            job(day, &format!("risk-{attempt}"), task)?;
        }
        panic!("no call came while the plugin lay on the floor\n{}", day.last_words());
    }),
    ("a notice", |day| {
        if notice(day)?.is_none() {
            day.act("boss", "tell", json!({ "words": WORDS }))?;
        }
        Ok(())
    }),
    ("read", |day| {
        let id = notice(day)?.expect("acknowledged")["id"].clone();
        day.call("notice_read", json!({ "id": id }))?;
        Ok(())
    }),
    ("a transfer of the plugin's", |day| {
        if promised(day)?.is_none() {
            day.act("boss", "track", json!({ "amount": PROMISED }))?;
        }
        Ok(())
    }),
    ("its stage", |day| {
        let transfer = promised(day)?.expect("acknowledged")["id"].to_string();
        day.act("boss", "stage", json!({ "transfer": transfer, "stage": "paid" }))?;
        Ok(())
    }),
    ("one more permission", |day| {
        day.act(
            "boss",
            "plan",
            json!({ "name": "want", "after": "0", "block": "0", "task": json!({ "ask": { "layer1": "blocks" } }).to_string() }),
        )?;
        until_fired(day, "want")
    }),
    ("deposit", |day| {
        let request = json!({ "solution": "till", "value": finney(7).to_string(), "requestKey": "deposit" });
        let request = day.call("deposit", request)?;
        day.approve(&request, &[])?;
        settled(day, 7)
    }),
    ("miners sleep", |day| {
        day.chain.automine(false);
        Ok(())
    }),
    ("send", |day| send(day, 0, 11)),
    ("speed up", |day| {
        let hash = day.model.hashes[&11].clone();
        let open = day.list("transactions", json!({}))?;
        let nonce = open.iter().find(|one| one["transaction"] == hash).expect("it waits")["nonce"].clone();
        if open.iter().any(|one| one["nonce"] == nonce && one["transaction"] != hash) {
            return Ok(());
        }
        let replaced = day.call("transaction_speed_up", json!({ "transaction": hash, "requestKey": "speed" }))?;
        if replaced["approval"].is_object() {
            day.approve(&replaced["approval"], &[])?;
        }
        Ok(())
    }),
    ("send and regret", |day| send(day, 0, 13)),
    ("cancel", |day| {
        let hash = day.model.hashes[&13].clone();
        let request = day.call("transaction_cancel", json!({ "transaction": hash, "requestKey": "cancel" }))?;
        day.approve(&request, &[])?;
        Ok(())
    }),
    ("miners wake", |day| {
        day.until("nothing waits", |day| {
            day.chain.mine();
            Ok(day.list("transactions", json!({}))?.is_empty().then_some(()))
        })?;
        day.chain.automine(true);
        Ok(())
    }),
    ("send from the imported key", |day| send(day, 1 << 31, 2)),
    ("another passphrase", |day| {
        if day.passphrases == [MORNING] {
            day.passphrases.push(EVENING);
            day.call("passphrase_change", json!({ "passphrase": MORNING, "newPassphrase": EVENING }))?;
        }
        day.passphrases = vec![EVENING];
        Ok(())
    }),
    ("backup", |day| {
        let file = (1..).map(|n| day.desk.path().join(format!("backup-{n}"))).find(|file| !file.exists());
        let file = file.expect("a free name");
        day.call("backup", json!({ "file": file, "passphrase": day.passphrases[0] }))?;
        day.model.backup = Some(file);
        Ok(())
    }),
    ("lock", |day| {
        day.call("lock", json!({}))?;
        assert_eq!(day.call("status", json!({}))?["locked"], true);
        day.call("unlock", json!({ "passphrase": day.passphrases[0] }))?;
        Ok(())
    }),
    ("remove", |day| {
        if day.list("solutions", json!({}))?.iter().any(|one| one["name"] == "spare") {
            day.call("solution_remove", json!({ "solution": "spare" }))?;
        }
        Ok(())
    }),
];

fn write_package(folder: &Path, name: &str, version: &str, layer2: &Json) {
    std::fs::create_dir(folder).expect("made");
    let mut manifest = json!({
        "name": format!("day-{name}"), "version": version, "type": "module", "main": "index.js",
        "layer2": { "apiVersion": 1, "dataVersion": 1, "title": name, "description": "A plugin of the day." },
    });
    for (field, value) in layer2.as_object().expect("an object") {
        manifest["layer2"][field] = value.clone();
    }
    std::fs::write(folder.join("package.json"), manifest.to_string()).expect("written");
    std::fs::write(folder.join("index.js"), include_str!("../day_plugin.js")).expect("written");
}

/// A web server that has this one file, until the test ends; gives its address.
fn serve(file: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/file", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 4096];
            let head_of = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", file.len());
            // A daemon that was killed meanwhile hears nothing.
            let _ = stream.read(&mut head);
            let _ = stream.write_all(head_of.as_bytes()).and_then(|()| stream.write_all(file));
        }
    });
    url
}

fn install(day: &mut Day, name: &str, layer2: Json, refuse: &[&str]) -> Step {
    let folder = day.desk.path().join(name);
    if !folder.exists() {
        write_package(&folder, name, "1.0.0", &layer2);
    }
    let mut input = json!({
        "name": name, "network": "dev", "script": format!("folder:{}", folder.display()), "requestKey": format!("install {name}"),
    });
    if layer2.get("contracts").is_some() {
        input["gateway"] = json!(day.chain.gateway);
    }
    let request = day.call("solution_add", input)?;
    day.approve(&request, refuse)?;
    day.until("the plugin runs", |day| {
        let view = day.call("solution", json!({ "solution": name }))?;
        // A daemon that was killed meanwhile lets it sleep until it is asked.
        Ok((view["plugin"] == "running" || view["plugin"] == "asleep").then_some(()))
    })
}

pub(crate) fn grants(day: &mut Day, solution: &str) -> Step<Vec<Json>> {
    let view = day.call("solution", json!({ "solution": solution }))?;
    Ok(view["grants"].as_array().expect("a list").clone())
}

fn has_app(day: &mut Day, name: &str) -> Step<bool> {
    Ok(day.list("apps", json!({}))?.iter().any(|app| app["name"] == name))
}

fn granted(day: &mut Day, solution: &str, permission: &str) -> Step<bool> {
    Ok(grants(day, solution)?.contains(&json!(permission)))
}

/// The boss as a caller.
pub(crate) fn boss(day: &mut Day) -> Step<String> {
    let view = day.call("solution", json!({ "solution": "boss" }))?;
    Ok(format!("solution:{}", view["id"]))
}

/// The row of a caller on a solution.
pub(crate) fn find(day: &mut Day, what: &str, caller: &str, solution: &str) -> Step<Option<Json>> {
    let rows = day.list(what, json!({}))?;
    Ok(rows.into_iter().find(|row| row["caller"] == caller && row["solution"] == solution))
}

fn grant(day: &mut Day, caller: &str, solution: &str, actions: &[&str]) -> Step {
    if find(day, "callers", caller, solution)?.is_none() {
        day.call("caller_grant", json!({ "caller": caller, "solution": solution, "actions": actions }))?;
    }
    Ok(())
}

/// Who sees which accounts.
pub(crate) fn connected(day: &mut Day) -> Step<Vec<Json>> {
    day.list("caller_connections", json!({}))
}

fn connect(day: &mut Day, caller: &str, accounts: &[u32]) -> Step {
    if !connected(day)?.iter().any(|one| one["caller"] == caller) {
        day.call("caller_connect", json!({ "caller": caller, "accounts": accounts, "network": "dev" }))?;
    }
    Ok(())
}

fn policy(day: &mut Day, caller: &str, solution: &str, action: &str, contracts: &[&str]) -> Step {
    if find(day, "policies", caller, solution)?.is_none() {
        let rule = json!({
            "actions": [action], "contracts": contracts, "perCall": finney(1000).to_string(),
            "perWindow": finney(5000).to_string(), "windowMs": 86_400_000,
        });
        day.call("policy_add", json!({ "caller": caller, "solution": solution, "rule": rule }))?;
    }
    Ok(())
}

/// What the boss's job has left behind, once it was fired.
pub(crate) fn fired(day: &mut Day, name: &str) -> Step<Option<()>> {
    let view = day.call("state", json!({ "solution": "boss" }))?;
    if view["state"][name].is_null() {
        return Ok(None);
    }
    day.model.fired.insert(name.to_owned());
    Ok(Some(()))
}

/// A wake-up at the next block, which comes when the user's call has ended: while it is open, whatever the plugin asks
/// for is asked on the user's behalf too, and no policy covers that.
fn job(day: &mut Day, name: &str, task: Json) -> Step {
    if fired(day, name)?.is_none() {
        let block = day.chain.head() + 1;
        let plan = json!({ "name": name, "after": "0", "block": block.to_string(), "task": task.to_string() });
        day.act("boss", "plan", plan)?;
        day.chain.mine();
    }
    until_fired(day, name)
}

/// Waits for a job of the boss. What asks the user meanwhile is allowed: a job that a crash has cut off comes again
/// while the user's own call is open, and is then asked for on the user's behalf too.
fn until_fired(day: &mut Day, name: &str) -> Step {
    day.until("the job is fired", |day| {
        for request in day.list("approvals", json!({}))? {
            let decision = json!({ "id": request["id"], "approve": true, "digest": request["digest"] });
            day.call("approval_decide", decision)?;
        }
        fired(day, name)
    })
}

/// Nobody is asked: the boss's policy lets the call pass, and the deposit that follows from it. After a crash the user
/// looks whether the money went, and has it paid again only if it did not.
fn pay(day: &mut Day, count: u64) -> Step {
    for attempt in 1..=3 {
        day.until("requests have their end", |day| {
            let requests = day.list("approvals", json!({ "all": true }))?;
            Ok(requests.iter().all(|one| one["state"] != "approved").then_some(()))
        })?;
        if deposit(day, count)?.is_some() {
            return settled(day, count);
        }
        let id = format!("pay-{count}-{attempt}");
        let task = json!({ "call": "till", "action": "pay", "id": id, "value": finney(count).to_string() });
        job(day, &id, task)?;
    }
    let state = day.call("state", json!({ "solution": "boss" }))?;
    panic!("three attempts to pay: {state}\n{}", day.last_words());
}

fn deposit(day: &mut Day, count: u64) -> Step<Option<Json>> {
    let transfers = day.list("transfers", json!({ "solution": "till" }))?;
    Ok(transfers.into_iter().find(|one| one["kind"] == "deposit" && one["amount"] == finney(count).to_string()))
}

fn settled(day: &mut Day, count: u64) -> Step {
    day.until("the deposit is confirmed", |day| {
        Ok(deposit(day, count)?.filter(|one| one["stage"] == "confirmed").map(|_| ()))
    })
}

fn notice(day: &mut Day) -> Step<Option<Json>> {
    Ok(day.list("notices", json!({ "all": true }))?.into_iter().find(|one| one["text"] == WORDS))
}

fn promised(day: &mut Day) -> Step<Option<Json>> {
    let transfers = day.list("transfers", json!({ "solution": "boss" }))?;
    Ok(transfers.into_iter().find(|one| one["plugin"] == true && one["amount"] == PROMISED))
}

fn send(day: &mut Day, from: u32, count: u64) -> Step {
    let request = json!({
        "network": "dev", "from": from, "to": FRIEND.to_checksum(None), "amount": finney(count).to_string(),
        "requestKey": format!("send {count}"),
    });
    let request = day.call("send", request)?;
    let done = day.approve(&request, &[])?;
    let hash = done["outcome"]["transaction"].as_str().expect("a hash").to_owned();
    day.model.hashes.insert(count, hash);
    Ok(())
}
