//! kill -9 of the daemon in the middle of a bundle of calls (EIP-5792): it goes on behind what was sent, and nothing is
//! sent twice.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use entresol_durable::KILL_AT;
use serde_json::{Value as Json, json};

use crate::support::{Devnet, Running, Wallet, until};

const NOBODY: &str = "0x00000000000000000000000000000000000000AA";
/// Calls of each bundle.
const CALLS: u64 = 3;

/// Where the daemon is killed: at the first and the second of the calls, and around the decision and the end.
const MOMENTS: [&str; 11] = [
    "store.approval.decide:after:1",
    "store.transaction.insert:before:1",
    "store.transaction.insert:after:1",
    "store.transaction.insert:before:2",
    "store.transaction.insert:after:2",
    "layer1.transaction.broadcast:before:1",
    "layer1.transaction.broadcast:after:1",
    "layer1.transaction.broadcast:before:2",
    "layer1.transaction.broadcast:after:2",
    "store.approval.finish:before:1",
    "store.approval.finish:after:1",
];

/// A request as JSON-RPC; none when the connection ends without an answer, as it does when the daemon is killed.
fn post(url: &str, method: &str, params: &Json) -> Option<Json> {
    let (host, path) = url.strip_prefix("http://")?.split_once('/')?;
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let mut stream = TcpStream::connect(host).ok()?;
    let head = format!(
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: \
         close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    serde_json::from_str(body.get(body.find('{')?..=body.rfind('}')?)?).ok()
}

fn result(url: &str, method: &str, params: &Json) -> Json {
    let answer = post(url, method, params).unwrap_or_else(|| panic!("{method}: no answer"));
    assert_eq!(answer["error"], Json::Null, "{method}: {answer}");
    answer["result"].clone()
}

fn start(wallet: &Wallet, kill_at: Option<&str>) -> Running {
    let mut command = wallet.command(&["daemon", "--poll-ms", "100"]);
    command.stderr(Stdio::null());
    command.envs(kill_at.map(|at| (KILL_AT, at)));
    Running::start(command)
}

#[test]
fn row_20_a_kill_in_the_middle_of_a_bundle_loses_nothing_and_sends_nothing_twice() {
    let wallet = Wallet::new();
    let daemon = start(&wallet, None);
    let owner = wallet.run(&["account", "list"]).json()[0]["address"].clone();
    let devnet = Devnet::start(&["--fund", owner.as_str().expect("an address")]);
    wallet.run(&["network", "add", "devnet", &devnet.fact("rpc")]).json();
    let url = wallet.run(&["app", "add", "script"]).json()["url"].as_str().expect("an address").to_owned();
    wallet.run(&["callers", "connect", "app:script"]).json();
    assert_eq!(daemon.stop(), 0);

    let calls: Vec<Json> = (0..CALLS).map(|_| json!({ "to": NOBODY, "value": "0x1" })).collect();
    for (round, moment) in (1..).zip(MOMENTS) {
        let mut daemon = start(&wallet, Some(moment));
        until("the network is connected", || {
            (post(&url, "eth_blockNumber", &json!([]))?["result"].is_string()).then_some(())
        });
        let given = json!([{
            "version": "2.0.0", "id": moment, "from": owner, "chainId": "0x7a69", "atomicRequired": false, "calls": calls
        }]);
        let asking = {
            let url = url.clone();
            std::thread::spawn(move || post(&url, "wallet_sendCalls", &given))
        };
        let request = until("the request waits", || {
            let waiting = wallet.run(&["approvals"]).json();
            waiting.as_array().and_then(|all| all.first().cloned())
        });
        let (id, digest) = (request["id"].to_string(), request["digest"].as_str().expect("a digest").to_owned());
        // It may be gone before it answers.
        wallet.run(&["approvals", "approve", &id, "--digest", &digest]);
        let status = until("the daemon is killed", || daemon.child.try_wait().expect("waited"));
        assert_eq!(status.signal(), Some(9), "{moment}: not killed there");
        let _ = asking.join();

        let daemon = start(&wallet, None);
        let told = until("the bundle has ended", || {
            let answer = post(&url, "wallet_getCallsStatus", &json!([moment]))?;
            (answer["result"]["status"].as_u64()? != 100).then(|| answer["result"].clone())
        });
        assert_eq!(told["status"], 200, "{moment}: {told}");
        assert_eq!(told["receipts"].as_array().map(Vec::len), Some(3), "{moment}: {told}");
        let count = result(&url, "eth_getTransactionCount", &json!([owner, "pending"]));
        assert_eq!(count, json!(format!("{:#x}", CALLS * round)), "{moment}: sent once each");
        let arrived = result(&url, "eth_getBalance", &json!([NOBODY, "latest"]));
        assert_eq!(arrived, json!(format!("{:#x}", CALLS * round)), "{moment}: arrived once each");
        assert_eq!(daemon.stop(), 0);
    }
}
