//! A site proposes a solution: nothing is fetched before the first yes, nothing installed before the second.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use entresol_package::Integrity;
use serde_json::{Value as Json, json};

use super::http::{Raw, parts, read, rpc};
use super::{TILL, anvil};
use crate::day::chain::Chain;
use crate::support::{Running, Wallet, until};

/// An npm registry with one package, on this machine; what it was asked for is noted.
struct Shelf {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Shelf {
    fn new(tarball: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let dist = json!({ "tarball": format!("{url}/till/-/till-1.0.0.tgz"), "integrity": Integrity::of(&tarball).to_string() });
        let packument =
            json!({ "name": "till", "versions": { "1.0.0": { "name": "till", "version": "1.0.0", "dist": dist } } });
        let (packument, noted) = (packument.to_string().into_bytes(), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let mut lines = BufReader::new(stream.try_clone().expect("cloned")).lines().map_while(Result::ok);
                let Some(first) = lines.next() else { continue };
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let body = if first.contains(".tgz") { &tarball } else { &packument };
                noted.lock().expect("not poisoned").push(first);
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> usize {
        self.asked.lock().expect("not poisoned").len()
    }
}

fn waiting(wallet: &Wallet, kind: &str) -> Json {
    until("the question waits", || {
        let list = wallet.run(&["approvals"]).json();
        list.as_array().expect("a list").iter().find(|one| one["kind"] == kind).cloned()
    })
}

fn decide(wallet: &Wallet, verb: &str, request: &Json) -> Json {
    let (id, digest) = (request["id"].to_string(), request["digest"].as_str().expect("a digest"));
    wallet.run(&["approvals", verb, &id, "--digest", digest]).json()
}

#[test]
fn row_27_a_proposed_package_is_fetched_after_the_first_yes_and_installed_after_the_second() {
    let (chain, wallet) = (Chain::start(&anvil()), Wallet::new());
    let folder = wallet.script("till", json!({ "permissions": { "keys": { "curve": "secp256k1" } } }), TILL);
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(&folder).args(["--transform", "s,^,package/,", "-cz", "package.json", "index.js"]);
    let packed = tar.stderr(Stdio::inherit()).output().expect("tar runs");
    let shelf = Shelf::new(packed.stdout);
    let mut command = wallet.command(&["daemon", "--poll-ms", "100"]);
    command.env("npm_config_registry", &shelf.url).stderr(Stdio::null());
    let _daemon = Running::start(command);
    wallet.run(&["network", "add", "dev", &chain.url()]).json();
    let url = wallet.run(&["app", "add", "forge"]).json()["url"].as_str().expect("an address").to_owned();
    let (authority, _) = parts(&url);
    let propose = Raw::rpc(
        &url,
        &json!({ "jsonrpc": "2.0", "id": 1, "method": "layer2_addSolution",
        "params": [{ "layer2Script": "npm:till@1.0.0" }] }),
    );

    // No, twice: at the first question nothing is fetched, at the second nothing is installed.
    let mut asking = propose.begin(authority);
    let first = waiting(&wallet, "propose");
    assert!(
        first["sentence"].as_str().is_some_and(|words| words.starts_with("the local app forge proposes")),
        "{first}"
    );
    assert_eq!(shelf.asked(), 0, "nothing is fetched before the first yes");
    decide(&wallet, "reject", &first);
    assert_eq!(read(&mut asking).json()["error"]["code"], 4001);
    assert_eq!(shelf.asked(), 0);
    let mut asking = propose.begin(authority);
    assert_eq!(decide(&wallet, "approve", &waiting(&wallet, "propose"))["state"], "done");
    let second = waiting(&wallet, "install");
    let rows = second["rows"].to_string();
    assert!(rows.contains("Proposed by") && rows.contains("till@1.0.0") && shelf.asked() == 2, "{rows}");
    decide(&wallet, "reject", &second);
    assert_eq!(read(&mut asking).json()["error"]["code"], 4001);
    assert_eq!(wallet.run(&["solution", "list"]).json(), json!([]));

    // Yes, twice. To have proposed it is no grant on it.
    let mut asking = propose.begin(authority);
    decide(&wallet, "approve", &waiting(&wallet, "propose"));
    assert_eq!(decide(&wallet, "approve", &waiting(&wallet, "install"))["state"], "done");
    let added = read(&mut asking).json()["result"].clone();
    assert_eq!((&added["solution"], added["id"].is_i64()), (&json!("till"), true), "{added}");
    assert_eq!(rpc(&url, "layer2_getSolutions", json!([]))["result"], json!([]));
    let call = json!({ "solution": added["id"], "action": "price" });
    assert_eq!(rpc(&url, "layer2_call", call)["error"]["code"], 4100);
}
