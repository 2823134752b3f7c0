//! The control socket from outside: who may do what, and what a hostile or clumsy peer gets.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use entresol_api::{MAX_CONNECTIONS, MAX_LINE, METHODS, Proof, socket_path};
use serde_json::{Value as Json, json};

use crate::support::{House, PASSPHRASE, Wallet, until};

struct Peer {
    stream: BufReader<UnixStream>,
}

impl Peer {
    fn of(wallet: &Wallet) -> Self {
        let stream = UnixStream::connect(socket_path(&wallet.home())).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
        Self { stream: BufReader::new(stream) }
    }

    fn send(&mut self, line: &[u8]) {
        self.stream.get_mut().write_all(line).expect("written");
        self.stream.get_mut().write_all(b"\n").expect("written");
    }

    fn answer(&mut self) -> Json {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("an answer");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"))
    }

    fn call(&mut self, method: &str, params: Json) -> Json {
        let request = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        self.send(request.to_string().as_bytes());
        let answer = self.answer();
        assert_eq!(answer["id"], 7, "{answer}");
        answer
    }
}

/// Parameters with which each method would run, were it allowed; none for the others. A new method that decides fails
/// the test below until it stands there: without parameters that fit, it is refused for another reason than the one that
/// is looked for.
const SAMPLES: &str = include_str!("../../../../tests/control_samples.json");

fn plausible(method: &str) -> Json {
    let samples: Json = serde_json::from_str(SAMPLES).expect("JSON");
    samples.get(method).cloned().unwrap_or_else(|| json!({}))
}

/// Calls a method until it is heard: after a few wrong passphrases the next attempt has to wait.
fn patient(peer: &mut Peer, method: &str, params: Json) -> Json {
    until("the pause after wrong passphrases is over", || {
        let answer = peer.call(method, params.clone());
        (answer["error"]["code"] != -32005).then_some(answer)
    })
}

#[test]
fn every_method_that_decides_is_refused_without_a_session() {
    let wallet = Wallet::new();
    let _daemon = wallet.daemon();
    let mut peer = Peer::of(&wallet);
    for method in METHODS.iter().filter(|method| method.name != "shutdown") {
        let error = patient(&mut peer, method.name, plausible(method.name))["error"].clone();
        match method.proof {
            Proof::Session => {
                assert_eq!(error["code"], 4100, "{}: {error}", method.name);
                assert_eq!(error["data"]["needs"], "session", "{}: {error}", method.name);
            }
            Proof::Passphrase => assert_eq!(error["code"], 4100, "{}: {error}", method.name),
            // Looking and proposing are the user's on any of their terminals.
            Proof::Free => assert_ne!(error["data"]["needs"], "session", "{}: {error}", method.name),
        }
    }

    // With the passphrase the same methods get as far as what they are about.
    let opened = patient(&mut peer, "session_open", json!({ "passphrase": PASSPHRASE }));
    assert_eq!(opened["result"]["expiresInMs"], 600_000, "{opened}");
    for method in METHODS.iter().filter(|method| method.proof == Proof::Session) {
        let answer = peer.call(method.name, plausible(method.name));
        assert_ne!(answer["error"]["data"]["needs"], "session", "{}: {answer}", method.name);
    }
    // Locking ends the session.
    peer.call("lock", json!({}));
    let answer = peer.call("web_link", json!({}));
    assert_eq!(answer["error"]["data"]["needs"], "session", "{answer}");
}

#[test]
fn what_is_no_request_gets_an_error_and_harms_nobody() {
    let wallet = Wallet::new();
    let _daemon = wallet.daemon();
    let check = |line: &[u8], code: i32| {
        let mut peer = Peer::of(&wallet);
        peer.send(line);
        let answer = peer.answer();
        assert_eq!(answer["error"]["code"], code, "{answer}");
        // The connection goes on.
        assert!(peer.call("status", json!({}))["result"]["version"].is_string());
    };
    check(b"", -32700);
    check(b"\xff\xfe\x00", -32700);
    check(b"[]", -32600);
    check(br#"{"jsonrpc":"2.0","id":1,"method":"no_such"}"#, -32601);
    check(br#"{"jsonrpc":"2.0","id":1,"method":"solution"}"#, -32602);
    check(br#"{"jsonrpc":"2.0","id":1,"method":"status","params":{"surprise":1}}"#, -32602);
    check(format!("{}{}", "[".repeat(200_000), "]".repeat(200_000)).as_bytes(), -32700);

    let mut flood = Peer::of(&wallet);
    // The daemon may hang up while this is being written.
    let _ = flood.stream.get_mut().write_all(&vec![b'x'; MAX_LINE + 2]);
    let mut said = Vec::new();
    let _ = flood.stream.read_to_end(&mut said);
    assert!(said.len() < 1000, "{} bytes", said.len());
    assert!(Peer::of(&wallet).call("status", json!({}))["result"]["version"].is_string());
}

#[test]
fn a_flood_of_connections_waits_and_passes() {
    let wallet = Wallet::new();
    let _daemon = wallet.daemon();
    let mut held: Vec<_> = (0..MAX_CONNECTIONS).map(|_| Peer::of(&wallet)).collect();
    for peer in &mut held {
        assert!(peer.call("status", json!({}))["result"]["version"].is_string());
    }
    let mut late = Peer::of(&wallet);
    late.send(br#"{"jsonrpc":"2.0","id":7,"method":"status"}"#);
    late.stream.get_mut().set_read_timeout(Some(Duration::from_millis(300))).expect("set");
    assert!(late.stream.fill_buf().is_err(), "one connection too many was served");
    drop(held);
    late.stream.get_mut().set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    assert!(late.answer()["result"]["version"].is_string());
}

#[test]
fn only_the_owner_can_reach_it() {
    let wallet = Wallet::new();
    let daemon = wallet.daemon();
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&wallet.home()), 0o700);
    for file in ["control.sock", "keystore.json", "wallet.db", "daemon.lock"] {
        assert_eq!(mode(&wallet.home().join(file)), 0o600, "{file}");
    }
    drop(daemon);
    std::fs::set_permissions(wallet.home(), std::fs::Permissions::from_mode(0o755)).expect("set");
    wallet.run(&["daemon"]).fails(1, &["chmod 700"]);
}

/// Threat 4: an agent in a terminal of its own may look, but not decide with the session that the user has opened.
#[test]
fn a_session_is_for_one_terminal() {
    let wallet = Wallet::new();
    let _daemon = wallet.daemon();
    let decide = ["solution", "remove", "none"];
    wallet.run_without_passphrase(&decide).fails(1, &["--passphrase-file"]);
    Peer::of(&wallet).call("session_open", json!({ "passphrase": PASSPHRASE }));
    // The same terminal, another process: as with sudo.
    wallet.run_without_passphrase(&decide).fails(1, &["no solution"]);
    let mut elsewhere = std::process::Command::new("setsid");
    elsewhere.args(["--wait", crate::support::PROGRAM, "--home"]).arg(wallet.home()).args(decide);
    elsewhere.env_remove("ENTRESOL_PASSPHRASE_FILE").stdin(std::process::Stdio::null());
    crate::support::Said::of(elsewhere.output().expect("started")).fails(1, &["--passphrase-file"]);
}

/// Threat 4: a process of the same user, with the socket and every number of a request in its hands.
#[test]
fn row_04_a_process_of_the_user_without_the_passphrase_decides_nothing() {
    let house = House::new();
    let wallet = &house.wallet;
    let request = house.add(&[]).json();
    let (id, digest) = (request["id"].clone(), request["digest"].clone());
    let mut peer = Peer::of(wallet);
    // Whatever session this terminal has had ends here.
    peer.call("lock", json!({}));
    let decision = json!({ "id": id, "approve": true, "digest": digest });
    let refused = peer.call("approval_decide", decision.clone());
    assert_eq!((&refused["error"]["code"], &refused["error"]["data"]["needs"]), (&json!(4100), &json!("session")));
    // Saying who one is does not make one so.
    for (name, value) in [
        ("session", json!(true)),
        ("actor", json!({ "user": { "session": true } })),
        ("decidedBy", json!("user")),
        ("passphrase", json!(PASSPHRASE)),
    ] {
        let mut forged = decision.clone();
        forged[name] = value;
        assert_eq!(peer.call("approval_decide", forged)["error"]["code"], -32602, "{name}");
    }
    for wrong in ["", "correct horse batter", "correct horse battery "] {
        let opened = peer.call("session_open", json!({ "passphrase": wrong }));
        assert!(opened["result"].is_null(), "{opened}");
    }
    let slowed = peer.call("session_open", json!({ "passphrase": "one more" }));
    assert_eq!(slowed["error"]["code"], -32005, "guessing is slowed down: {slowed}");
    // A policy, a grant or a page would be a decision as well.
    let rule = json!({ "actions": ["makePayment"], "perCall": "1", "perWindow": "1", "windowMs": 1000 });
    for (method, params) in [
        ("policy_add", json!({ "caller": "app:agent", "solution": "payments", "rule": rule })),
        ("caller_grant", json!({ "caller": "app:agent", "solution": "payments", "actions": ["makePayment"] })),
        ("call", json!({ "solution": "payments", "action": "makePayment" })),
        ("web_link", json!({})),
    ] {
        assert_eq!(peer.call(method, params)["error"]["data"]["needs"], "session", "{method}");
    }
    // Another terminal of the same user, by the program itself.
    let mut elsewhere = std::process::Command::new("setsid");
    elsewhere.args(["--wait", crate::support::PROGRAM, "--json", "--home"]).arg(wallet.home());
    elsewhere.args(["approvals", "approve", &id.to_string(), "--digest", digest.as_str().expect("text")]);
    elsewhere.env_remove("ENTRESOL_PASSPHRASE_FILE").stdin(std::process::Stdio::null());
    crate::support::Said::of(elsewhere.output().expect("started")).fails(1, &["--passphrase-file"]);
    assert_eq!(peer.call("approval", json!({ "id": id }))["result"]["state"], "pending");
    assert_eq!(peer.call("solutions", json!({}))["result"], json!([]));
}

/// Threat 4. Needs root, to become somebody else: the file modes are opened up on purpose, so that only the check of
/// the peer's user id stands between the stranger and the wallet.
#[test]
fn a_process_of_another_user_is_turned_away_before_its_first_byte() {
    use std::os::unix::process::CommandExt;
    if !rustix::process::geteuid().is_root() {
        println!("not root: nobody to play the stranger");
        return;
    }
    let wallet = Wallet::new();
    let _daemon = wallet.daemon();
    let program = wallet.for_strangers();
    let ask = |uid: u32| {
        let mut command = std::process::Command::new(&program);
        command.arg("--home").arg(wallet.home()).arg("status").uid(uid).stdin(std::process::Stdio::null());
        crate::support::Said::of(command.output().expect("started"))
    };
    ask(65_534).fails(5, &["belongs to another user"]);
    crate::support::open_up(&wallet.home(), 0o711);
    crate::support::open_up(&socket_path(&wallet.home()), 0o666);
    ask(65_534).fails(1, &["connection to the daemon broke"]);
    assert_eq!(ask(0).code, 0, "the owner is served all the same");
}

#[test]
fn shutdown_ends_the_daemon_in_good_order() {
    let wallet = Wallet::new();
    let mut daemon = wallet.daemon();
    assert_eq!(Peer::of(&wallet).call("shutdown", json!({}))["result"], Json::Null);
    let status = until("it ends", || daemon.child.try_wait().expect("waited"));
    assert!(status.success(), "{status}");
}

#[test]
fn no_file_holds_a_secret() {
    let wallet = Wallet::nowhere();
    let words = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    let file = wallet.secret("words", words);
    wallet.run(&["init", "--restore", "--phrase-file", file.to_str().expect("text")]).json();
    let daemon = wallet.daemon();
    let mut peer = Peer::of(&wallet);
    peer.call("session_open", json!({ "passphrase": PASSPHRASE }));
    peer.call("unlock", json!({ "passphrase": PASSPHRASE }));
    wallet.run(&["account", "add"]).json();
    assert_eq!(daemon.stop(), 0);
    for entry in std::fs::read_dir(wallet.home()).expect("readable").flatten().filter(|e| e.path().is_file()) {
        let bytes = std::fs::read(entry.path()).expect("readable");
        for secret in [words, "sausage", PASSPHRASE] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds {secret:?}", entry.path().display());
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_daemon_leaves_no_core_dump_and_cannot_be_attached_to() {
    let wallet = Wallet::new();
    let daemon = wallet.daemon();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).expect("the kernel's table");
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a line");
    let numbers: Vec<_> = line.split_whitespace().filter(|word| word.parse::<u64>().is_ok()).collect();
    assert_eq!(numbers, ["0", "0"], "soft and hard limit: {line:?}");
    // A process of the same user may not look into its memory, and its files belong to root. Root may do as it likes
    // and owns them anyway, so with root there is nothing to see here.
    if !rustix::process::getuid().is_root() {
        let environment = std::fs::metadata(format!("/proc/{}/environ", daemon.pid())).expect("there");
        assert_eq!(environment.uid(), 0);
        assert!(std::fs::File::open(format!("/proc/{}/mem", daemon.pid())).is_err());
    }
    // The control socket knows its peers by the kernel's word, not by /proc.
    assert_eq!(Peer::of(&wallet).call("status", json!({}))["error"], Json::Null);
}
