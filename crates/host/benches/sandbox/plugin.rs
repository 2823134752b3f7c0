//! A plugin without a wallet: started as the daemon does, its requests answered from a table.

use std::collections::VecDeque;
use std::time::Duration;

use entresol_host::measured::Installed;
use entresol_sandbox::{Engine, Input, Instance, Limits, Outgoing, Runner};
use serde_json::{Value, json};

use crate::Bundle;

/// The limits of an ordinary plugin, but for CPU: what is measured is how fast, not how long one may.
pub(crate) fn limits() -> Limits {
    Limits {
        memory_bytes: 64 << 20,
        turn: Duration::from_secs(60),
        cpu_percent: 100,
        cpu_burst: Duration::from_secs(3600),
        ..Limits::default()
    }
}

/// What the constructor is given; `mark` makes each user's different.
fn context(mark: usize) -> Value {
    json!({
        "layer1": {
            "networkId": 31337, "ownerAddress": format!("0x{mark:040x}"),
            "contracts": { "gateway": "0x5FbDB2315678afecb367f032d93F642f64180aa3" },
        },
        "network": { "urls": ["ws://127.0.0.1:9545"] },
        "solution": { "id": mark, "name": format!("one of many {mark}"), "title": "Measured" },
    })
}

/// What the wallet would say: an empty database, one account, a node that is down.
fn answer(method: &str) -> Value {
    match method {
        "wallet.getAccounts" | "wallet.listLocalDb" => json!({ "ok": [] }),
        "wallet.getAccount" => json!({ "ok": {
            "index": 0, "path": "m/43'/60'/1775'/0", "address": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
            "publicKey": { "$b": format!("0x02{}", "11".repeat(32)) },
        } }),
        "network.connect" | "network.fetch" | "layer1.request" => {
            json!({ "error": { "code": 4900, "message": "nothing is there", "data": null } })
        }
        _ => json!({ "ok": null }),
    }
}

pub(crate) fn call(id: u64, action: &str, value: &Value) -> Vec<u8> {
    json!({ "t": "call", "id": id, "action": action, "params": { "value": value }, "context": { "caller": "you" } })
        .to_string()
        .into_bytes()
}

pub(crate) fn start(engine: &Engine, bundle: &Bundle, mark: usize) -> Instance {
    wake(engine, &installed(bundle, mark))
}

/// The bundle as the daemon keeps it.
pub(crate) fn installed(bundle: &Bundle, mark: usize) -> Installed {
    Installed::new("index.js", &bundle.source, &limits(), &context(mark))
}

/// Starts what is installed, up to where calls are taken.
pub(crate) fn wake(engine: &Engine, installed: &Installed) -> Instance {
    let (mut instance, outgoing) = installed.start(engine).expect("the plugin starts");
    begin(&mut instance, outgoing);
    instance
}

/// `onStart`, as the actor does it before any call.
pub(crate) fn begin(instance: &mut Instance, outgoing: Vec<Outgoing>) {
    let hook = json!({ "t": "hook", "id": 1, "hook": "onStart", "arg": { "restored": false } });
    let more = instance.turn(hook.to_string().as_bytes()).expect("a turn");
    settle(instance, outgoing.into_iter().chain(more).collect(), 1);
}

/// Calls the bundle's first action; what it came to.
pub(crate) fn first(instance: &mut Instance, bundle: &Bundle) -> Value {
    ask(instance, bundle.first.0, &bundle.first.1)
}

pub(crate) fn ask(instance: &mut Instance, action: &str, value: &Value) -> Value {
    let outgoing = instance.turn(&call(2, action, value)).expect("a turn");
    settle(instance, outgoing, 2)
}

/// Answers requests until `id` is done.
fn settle(instance: &mut Instance, outgoing: Vec<Outgoing>, id: u64) -> Value {
    let mut work = VecDeque::from(outgoing);
    let mut done = None;
    while let Some(one) = work.pop_front() {
        let Outgoing::Message(bytes) = one else { continue };
        let message: Value = serde_json::from_slice(&bytes).expect("JSON");
        if message["t"] == "request" {
            let mut reply = answer(message["method"].as_str().expect("a method"));
            reply["t"] = json!("reply");
            reply["id"] = message["id"].clone();
            work.extend(instance.turn(reply.to_string().as_bytes()).expect("a turn"));
        } else if message["id"] == id {
            assert!(message.get("error").is_none(), "{message}");
            done = Some(message["ok"].clone());
        }
    }
    done.expect("an answer")
}

/// Calls of one action with so many under way; the time of each.
pub(crate) async fn calls(
    runner: &mut Runner,
    action: &str,
    value: &Value,
    count: usize,
    flight: usize,
) -> Vec<Duration> {
    let mut begun = VecDeque::new();
    let mut times = Vec::with_capacity(count);
    let mut sent = 0;
    while times.len() < count {
        while begun.len() < flight && sent < count {
            begun.push_back(std::time::Instant::now());
            runner.send(Input::Message(call(sent as u64 + 10, action, value))).expect("taken");
            sent += 1;
        }
        let outgoing = runner.next().await.expect("it lives").expect("a turn");
        // Read as the host reads it.
        let [Outgoing::Message(bytes)] = &outgoing[..] else { panic!("{outgoing:?}") };
        let message: Value = serde_json::from_slice(bytes).expect("JSON");
        assert!(message["t"] == "done" && message.get("error").is_none(), "{message}");
        times.push(begun.pop_front().expect("a call").elapsed());
    }
    times
}
