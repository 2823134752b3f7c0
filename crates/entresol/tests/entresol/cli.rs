//! Wrong inputs: a clear error that names the fix, and nothing changed.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use entresol_durable::KILL_AT;
use serde_json::{Value as Json, json};

use crate::support::{House, Said, Wallet, copy_folder, entresol, until};

const WORDS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

#[test]
fn a_wrong_passphrase_opens_nothing() {
    let wallet = Wallet::new();
    let wrong = wallet.secret("wrong", "not the passphrase");
    let with_wrong = |arguments: &[&str]| {
        let mut command = entresol();
        command.arg("--json").arg("--home").arg(wallet.home()).arg("--passphrase-file").arg(&wrong).args(arguments);
        Said::of(command.output().expect("started"))
    };
    with_wrong(&["daemon"]).fails(1, &["passphrase"]);
    assert!(!wallet.home().join("wallet.db").exists(), "a database was made without the passphrase");

    let _daemon = wallet.daemon();
    wallet.run(&["lock"]).json();
    with_wrong(&["unlock"]).fails(5, &["passphrase"]);
    assert_eq!(wallet.run(&["status"]).json()["locked"], true);
    wallet.run(&["unlock"]).json();
    assert_eq!(wallet.run(&["status"]).json()["locked"], false);
    // Guessing gets slow.
    let guess = || with_wrong(&["unlock"]);
    let refused = until("guessing is slowed down", || Some(guess()).filter(|said| said.err.contains("too many")));
    refused.fails(1, &["try again in"]);
}

#[test]
fn deciding_needs_the_passphrase() {
    let wallet = Wallet::new();
    let _daemon = wallet.daemon();
    // No terminal and no file: asked for, and told how to give it.
    let said = wallet.run_without_passphrase(&["network", "add", "x", "http://127.0.0.1:1"]);
    said.fails(1, &["--passphrase-file", "ENTRESOL_PASSPHRASE_FILE"]);
    // Reading needs none.
    wallet.run_without_passphrase(&["status"]).json();
}

#[test]
fn bad_words_restore_nothing() {
    let wallet = Wallet::nowhere();
    let check = |words: &str, said: &str| {
        let file = wallet.secret("words", words);
        let file = file.to_str().expect("text");
        wallet.run(&["init", "--restore", "--phrase-file", file]).fails(1, &[said]);
        assert!(!wallet.home().join("keystore.json").exists(), "a wallet was made from {words:?}");
    };
    check(&WORDS.replace("about", "above"), "checksum");
    check(&WORDS.replace("about", "entresol"), "word");
    check("abandon abandon", "words");
    let file = wallet.secret("words", WORDS);
    let restored = wallet.run(&["init", "--restore", "--phrase-file", file.to_str().expect("text")]).json();
    assert_eq!(restored["phrase"], Json::Null, "a phrase that the user has is not shown");
    wallet.run(&["init"]).fails(1, &["already a wallet"]);
    let _daemon = wallet.daemon();
    // The first account of this phrase in every wallet of the world.
    let accounts = wallet.run(&["account", "list"]).json();
    assert_eq!(accounts[0]["address"], "0x9858EfFD232B4033E47d90003D41EC34EcaEda94");
}

#[test]
fn new_words_are_shown_before_the_wallet_is_written() {
    for moment in ["before", "after"] {
        let wallet = Wallet::nowhere();
        let mut init = wallet.command(&["init"]);
        let killed = init.env(KILL_AT, format!("vault.keystore.write:{moment}")).output().expect("started");
        assert_eq!(killed.status.signal(), Some(rustix::process::Signal::KILL.as_raw()), "{killed:?}");
        assert_eq!(wallet.home().join("keystore.json").exists(), moment == "after");
        let shown: Json = serde_json::from_slice(&killed.stdout).expect("the words");
        let words = shown["phrase"].as_str().expect("shown").to_owned();
        assert_eq!(words.split(' ').count(), 12);
        if moment == "after" {
            // They are this wallet's words: another wallet made from them has the same account.
            let accounts = |wallet: &Wallet| {
                let _daemon = wallet.daemon();
                wallet.run(&["account", "list"]).json()[0]["address"].clone()
            };
            let twin = Wallet::nowhere();
            let file = twin.secret("words", &words);
            twin.run(&["init", "--restore", "--phrase-file", file.to_str().expect("text")]).json();
            assert_eq!(accounts(&wallet), accounts(&twin));
        }
    }
}

#[test]
fn a_daemon_is_asked_for_and_only_one_runs() {
    let nowhere = Wallet::nowhere();
    nowhere.run(&["status"]).fails(3, &["entresol init"]);
    nowhere.run(&["daemon"]).fails(3, &["entresol init"]);
    let wallet = Wallet::new();
    wallet.run(&["status"]).fails(3, &["entresol daemon"]);
    let daemon = wallet.daemon();
    wallet.run(&["daemon"]).fails(1, &["runs on this wallet already"]);
    assert_eq!(daemon.stop(), 0, "SIGTERM ends a daemon in good order");
    wallet.run(&["status"]).fails(3, &["entresol daemon"]);
    // What is left of a killed one is in nobody's way.
    let killed = wallet.daemon();
    killed.signal(rustix::process::Signal::KILL);
    drop(killed);
    drop(wallet.daemon());
}

#[test]
fn wrong_networks_are_refused() {
    let house = House::new();
    let rpc = house.devnet.fact("rpc");
    let networks = || house.wallet.run(&["network", "list"]).json().as_array().expect("a list").len();
    house.wallet.run(&["network", "add", "main", &rpc, "--chain-id", "1"]).fails(1, &["31337", "1"]);
    house.wallet.run(&["network", "add", "gone", "http://127.0.0.1:9"]).fails(1, &["127.0.0.1:9"]);
    house.wallet.run(&["network", "add", "odd", "ftp://127.0.0.1"]).fails(1, &["http"]);
    assert_eq!(networks(), 1);
    house.add(&["--network", "main"]).fails(1, &["entresol network add"]);
}

#[test]
fn wrong_solutions_are_refused() {
    let house = House::new();
    house.refuses(
        &["--gateway", "0x000000000000000000000000000000000000dEaD"],
        &["no contract at", "check the gateway"],
    );
    house.refuses(&["--gateway", "0x12"], &["address"]);
    house.refuses(&["--key-path", "m/44'/60'/0'"], &["m/44'"]);
    house.refuses(&["--key-path", "m/43'/60'/1775'/7"], &["hardened"]);
    house.refuses(&["--owner", "5"], &["owner"]);
    house.refuses(&["--url", "ftp://127.0.0.1"], &["ws"]);
    house.refuses(&["npm:@entresol/payments-plugin"], &["version"]);

    let plugin = house.wallet.dir.path().join("plugin");
    copy_folder(&PathBuf::from(house.devnet.fact("plugin")), &plugin);
    let manifest = plugin.join("package.json");
    let text = std::fs::read_to_string(&manifest).expect("readable");
    let odd = text.replace("\"memory\": \"64 MiB\"", "\"memory\": \"64 MiB\", \"camera\": true");
    assert_ne!(odd, text);
    std::fs::write(&manifest, odd).expect("written");
    house.refuses(&[plugin.to_str().expect("text")], &["camera"]);

    // A rejected installation installs nothing.
    let request = house.add(&[]).json();
    let rejected = house.wallet.run(&["approvals", "reject", &request["id"].to_string(), "--yes"]).json();
    assert_eq!(rejected["state"], "rejected");
    assert_eq!(house.solutions(), 0);

    // A path that touches another's is refused, also when that solution is gone.
    let own = "m/43'/60'/1775'/7'/1'";
    house.install(&["--name", "payments", "--key-path", own]);
    for path in [own, "m/43'/60'/1775'/7'", "m/43'/60'/1775'/7'/1'/2'", "m/43'/60'/1775'", "m/43h/60h/1775h/7h/1h"] {
        house.refuses(&["--name", "second", "--key-path", path], &["choose a"]);
    }
    house.refuses(&["--name", "payments", "--key-path", "m/43'/60'/1775'/8'"], &["--name"]);
    house.wallet.run(&["solution", "remove", "payments"]).json();
    house.refuses(&["--name", "second", "--key-path", "m/43'/60'/1775'/7'"], &[own, "reserved"]);
}

#[test]
fn decisions_name_what_was_shown() {
    let house = House::new();
    let request = house.add(&[]).json();
    let id = request["id"].to_string();
    house.wallet.run(&["approvals", "approve", &id]).fails(1, &["--digest", "--yes"]);
    let other = format!("0x{}", "11".repeat(32));
    house.wallet.run(&["approvals", "approve", &id, "--digest", &other]).fails(1, &["another intent"]);
    assert_eq!(house.wallet.run(&["approvals", "show", &id]).json()["state"], "pending");
    house.wallet.run(&["approvals", "approve", &id, "--yes"]).json();
    house.wallet.run(&["approvals", "reject", &id, "--yes"]).fails(1, &["done already"]);
    house.wallet.run(&["approvals", "show", "99"]).fails(1, &["99"]);
}

#[test]
fn wrong_calls_and_amounts_move_nothing() {
    let house = House::new();
    house.install(&["--name", "payments"]);
    until("the node is connected", || (house.state("payments")["node"]["connected"] == true).then_some(()));
    let call = |arguments: &[&str]| {
        let mut all = vec!["call", "payments"];
        all.extend(arguments);
        house.wallet.run(&all)
    };
    let to = "toAddress=0x00000000000000000000000000000000000000Aa";
    call(&["makePayment", "--param", to]).fails(1, &["`value` is missing"]);
    call(&["makePayment", "--param", to, "--param", "value=much"]).fails(1, &["value", "unit"]);
    call(&["makePayment", "--param", "toAddress=shop", "--param", "value=1"]).fails(1, &["toAddress", "address"]);
    call(&["makeCoffee"]).fails(1, &["entresol actions payments"]);
    call(&["makePayment", "--param", to, "--param", "value=1 ether"]).fails(1, &["no account can pay"]);
    assert_eq!(house.state("payments")["payments"], json!([]));

    // The owner has nothing on layer 1 either.
    house.wallet.run(&["deposit", "payments", "1 ether"]).fails(1, &["has 0 ETH", "send ETH to it"]);
    house.wallet.run(&["deposit", "payments", "1"]).fails(1, &["has 0 ETH"]);
    house.wallet.run(&["deposit", "payments", "1.5"]).fails(1, &["unit"]);
    house.wallet.run(&["deposit", "nobody", "1 ether"]).fails(1, &["entresol solution list"]);
    house.wallet.run(&["withdraw", "payments", "transferOwnership"]).fails(5, &["transferOwnership", "allowed: "]);
    assert_eq!(house.pending(), 0);
    assert_eq!(house.wallet.run(&["transfers"]).json(), json!([]));
}

/// A loop on the way to the node that can be cut.
struct Wire {
    port: u16,
    cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    fn to(node: &str) -> Self {
        let target = node.trim_start_matches("ws://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let (cut, open) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (is_cut, streams) = (Arc::clone(&cut), Arc::clone(&open));
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(far) = TcpStream::connect(&target) else { continue };
                for (mut from, mut to) in [
                    (near.try_clone().expect("cloned"), far.try_clone().expect("cloned")),
                    (far.try_clone().expect("cloned"), near.try_clone().expect("cloned")),
                ] {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                streams.lock().unwrap_or_else(PoisonError::into_inner).extend([near, far]);
            }
        });
        Self { port, cut, open }
    }

    fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        for stream in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn mend(&self) {
        self.cut.store(false, Ordering::SeqCst);
    }
}

#[test]
fn a_node_that_is_down_is_told_and_found_again() {
    let house = House::new();
    let wire = Wire::to(&house.devnet.fact("node"));
    house.install(&["--name", "payments", "--url", &format!("ws://127.0.0.1:{}", wire.port)]);
    let connected = |wanted: bool| {
        until("the plugin tells the node's state", || {
            (house.state("payments")["node"]["connected"] == wanted).then_some(())
        });
    };
    connected(true);
    wire.cut();
    connected(false);
    assert!(house.state("payments")["node"]["error"].as_str().is_some_and(|error| !error.is_empty()));
    let pay = ["call", "payments", "makePayment", "--param", "toAddress=0x00000000000000000000000000000000000000Aa"];
    let pay: Vec<_> = pay.into_iter().chain(["--param", "value=1"]).collect();
    house.wallet.run(&pay).fails(1, &["node is down", "try again"]);
    assert_eq!(house.state("payments")["payments"], json!([]));
    wire.mend();
    connected(true);
    house.wallet.run(&pay).fails(1, &["no account can pay"]);
}

#[test]
fn a_plugin_that_loops_for_ever_is_stopped_and_the_daemon_goes_on() {
    let house = House::new();
    house.install(&["--name", "payments"]);
    let folder = house.wallet.dir.path().join("loop");
    std::fs::create_dir(&folder).expect("made");
    let manifest = json!({
        "name": "loop", "version": "1.0.0", "type": "module", "main": "index.js",
        "layer2": { "apiVersion": 1, "dataVersion": 1, "title": "Loop", "description": "Never comes back." },
    });
    std::fs::write(folder.join("package.json"), manifest.to_string()).expect("written");
    let script = "export default class { constructor() { this.layer2Interface = { actions: [
        { name: 'spin', description: 'spins', params: [], returns: [], call: () => { for (;;) {} } },
        { name: 'greet', description: 'greets', params: [], returns: [{ name: 'text', type: 'string' }], call: () => 'hello \\u001b[31m\\u202e' },
    ], state: [] }; } }";
    std::fs::write(folder.join("index.js"), script).expect("written");
    let add = ["solution", "add", folder.to_str().expect("text"), "--network", "devnet", "--name", "loop"];
    house.wallet.approve(&house.wallet.run(&add));
    until("it runs", || {
        let view = house.wallet.run(&["solution", "show", "loop"]).json();
        (view["plugin"] == "running").then_some(())
    });

    // What it says does nothing to the terminal.
    let mut command = entresol();
    command.arg("--home").arg(house.wallet.home()).args(["call", "loop", "greet"]);
    let said = Said::of(command.output().expect("started"));
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("hello \\u{1b}[31m\\u{202e}"), "{said:?}");

    // A loop without an end has one here. How soon is measured elsewhere, where nothing else runs.
    let mut spinning = house.wallet.command(&["call", "loop", "spin"]);
    let mut spinning = spinning.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    until("the loop is stopped", || spinning.try_wait().expect("a child"));
    Said::of(spinning.wait_with_output().expect("ended")).fails(1, &["stopped"]);
    assert_eq!(house.wallet.run(&["status"]).json()["locked"], false);
    let view = house.wallet.run(&["solution", "show", "loop"]).json();
    assert!(view["plugin"].as_str().is_some_and(|status| status != "running"), "{view}");
    // Its neighbour has not noticed.
    until("the neighbour answers", || (house.state("payments")["node"]["connected"] == true).then_some(()));
    // And the user may try it again.
    house.wallet.run(&["solution", "restart", "loop"]).json();
    until("it runs again", || {
        let view = house.wallet.run(&["solution", "show", "loop"]).json();
        (view["plugin"] == "running").then_some(())
    });
}

#[test]
fn a_request_key_gives_one_request() {
    let house = House::new();
    let add = || house.add(&["--name", "payments", "--request-key", "k1"]).json()["id"].clone();
    assert_eq!(add(), add());
    assert_eq!(house.pending(), 1);
}

#[test]
fn completions_and_write_points_need_no_wallet() {
    let said = Said::of(entresol().args(["completions", "bash"]).output().expect("started"));
    assert!(said.code == 0 && said.out.contains("entresol"), "{said:?}");
    let points = Said::of(entresol().args(["--json", "debug", "write-points"]).output().expect("started")).json();
    assert_eq!(points.as_array().map(Vec::len), Some(entresol_durable::REGISTRY.len()));
}

#[test]
fn the_quick_start_works_by_hand() {
    let house = House::rich();
    let wallet = &house.wallet;
    house.install(&["--name", "payments"]);
    assert_eq!(wallet.run(&["actions", "payments"]).json().as_array().map(Vec::len), Some(5));
    assert!(!wallet.run(&["grants", "list", "payments"]).json()["granted"].as_array().expect("a list").is_empty());

    let deposited = wallet.approve(&wallet.run(&["deposit", "payments", "1 ether"]));
    assert_eq!(deposited["state"], "done", "{deposited}");
    until("the deposit is credited", || (house.state("payments")["balance"] == "1000000000000000000").then_some(()));
    until("the deposit is confirmed", || {
        let transfers = wallet.run(&["transfers"]).json();
        let transfer = &transfers[0];
        assert_eq!((&transfer["kind"], &transfer["amount"]), (&json!("deposit"), &json!("1000000000000000000")));
        (transfer["stage"] == "confirmed" && transfer["transaction"] == deposited["outcome"]["transaction"])
            .then_some(())
    });

    let pay = |value: &str| {
        let to = "toAddress=0x00000000000000000000000000000000000000Aa";
        wallet.run(&["call", "payments", "makePayment", "--param", to, "--param", value, "--id", "lunch"])
    };
    let paid = pay("value=0.25 ether").json();
    // The same id pays once, also in other words.
    assert_eq!(pay("value=250000000 gwei").json(), paid);
    assert_eq!(house.state("payments")["balance"], "750000000000000000");

    // An action that needs a decision says so while it waits.
    let account = house.state("payments")["accounts"][0]["address"].as_str().expect("an address").to_owned();
    let from = format!("fromAddress={account}");
    let arguments = ["call", "payments", "requestWithdrawPayment", "--param", &from, "--param", "latestMessage="];
    let waiting = wallet.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    let request = until("the action's request is in the queue", || {
        wallet.run(&["approvals"]).json().as_array().and_then(|list| list.first().cloned())
    });
    assert_eq!(request["kind"], "withdraw", "{request}");
    assert!(request["causes"][0].as_str().is_some_and(|cause| cause.contains("requestWithdrawPayment")), "{request}");
    wallet.run(&["approvals", "approve", &request["id"].to_string(), "--yes"]).json();
    let said = Said::of(waiting.wait_with_output().expect("waited"));
    assert_eq!(said.json().as_str().map(str::len), Some(66), "{said:?}");
    assert!(said.err.contains("entresol approvals approve"), "{said:?}");

    let journal = wallet.run(&["activity"]).json();
    let rows = journal.as_array().expect("a list");
    assert!(rows.iter().all(|row| row["outcome"] == "ok"), "{journal}");
    assert!(rows.iter().any(|row| row["resource"] == "payments.makePayment"), "{journal}");
    let link = wallet.run(&["web"]).json();
    assert!(link["url"].as_str().is_some_and(|url| url.starts_with("http://127.0.0.1:")), "{link}");
}
