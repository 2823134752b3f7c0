//! Websites and local apps from outside: real bridges with real keys, raw sockets, a real daemon.

mod browser;
mod http;
mod proposals;
mod socket;
mod table;

use std::collections::HashSet;
use std::io::Write as _;

use entresol_api::site::site_socket_path;
use serde_json::{Value as Json, json};

use crate::day::anvil;
use crate::day::chain::Chain;
use crate::support::{Running, Wallet, entresol, until};
use browser::{Browser, hello, key};
use http::{Raw, parts, rpc};

const SHOP: &str = "https://shop.example";
const OTHER: &str = "https://other.example";

/// A script with an action that asks and one that only reads.
const TILL: &str = "export default class { constructor({ wallet }) { this.layer2Interface = { actions: [
    { name: 'pay', description: 'pays', params: [{ name: 'value', type: 'uint', role: 'amount', unit: 'wei' }],
      returns: [{ name: 'paid', type: 'uint' }], call: ({ value }) => value },
    { name: 'price', description: 'tells a price', params: [], returns: [{ name: 'price', type: 'uint' }],
      readOnly: true, call: () => 7n },
  ], state: [{ name: 'balance', type: 'uint' }] }; } }";

/// A wallet with a plugin, its daemon and a chain.
struct Town {
    daemon: Option<Running>,
    wallet: Wallet,
    _chain: Chain,
}

impl Town {
    fn new() -> Self {
        let (chain, wallet) = (Chain::start(&anvil()), Wallet::new());
        let daemon = wallet.daemon();
        wallet.run(&["network", "add", "dev", &chain.url()]).json();
        let folder = wallet.script("till", json!({ "permissions": { "keys": { "curve": "secp256k1" } } }), TILL);
        let add = ["solution", "add", folder.to_str().expect("text"), "--network", "dev", "--name", "till"];
        let approved = wallet.approve(&wallet.run(&add));
        assert_eq!(approved["state"], "done", "{approved}");
        until("the plugin runs", || {
            (wallet.run(&["solution", "show", "till"]).json()["plugin"] == "running").then_some(())
        });
        Self { daemon: Some(daemon), wallet, _chain: chain }
    }

    fn grant(&self, caller: &str) {
        self.wallet.run(&["callers", "grant", caller, "till", "--action", "pay", "--action", "price"]).json();
    }

    /// Callers with a grant.
    fn callers(&self) -> Vec<String> {
        let list = self.wallet.run(&["callers"]).json();
        list.as_array().expect("a list").iter().map(|one| one["caller"].as_str().expect("text").to_owned()).collect()
    }

    /// Requests that wait for the user.
    fn waiting(&self) -> Vec<Json> {
        self.wallet.run(&["approvals"]).json().as_array().expect("a list").clone()
    }

    fn until_waiting(&self, count: usize) -> Vec<Json> {
        until("so many requests wait", || Some(self.waiting()).filter(|waiting| waiting.len() == count))
    }

    fn approve(&self, request: &Json) {
        let (id, digest) = (request["id"].to_string(), request["digest"].as_str().expect("a digest"));
        let done = self.wallet.run(&["approvals", "approve", &id, "--digest", digest]).json();
        assert_eq!(done["state"], "done", "{done}");
    }

    fn site(&self) -> String {
        self.daemon.as_ref().expect("running").ready["site"].as_str().expect("an address").to_owned()
    }
}

fn pay(value: &str) -> Json {
    json!([{ "solution": "till", "action": "pay", "params": { "value": value } }])
}

fn price() -> Json {
    json!([{ "solution": "till", "action": "price" }])
}

#[test]
fn a_browser_profile_is_paired_by_its_code_and_has_grants_of_its_own() {
    let town = Town::new();
    let wallet = &town.wallet;
    let mut home = Browser::bare(wallet);
    assert_eq!(home.greet(1), json!({ "type": "unpaired" }));
    wallet.run(&["bridge", "pair", "AAAA-AAAA"]).fails(1, &["no browser shows the code", "AAAA-AAAA", "type the code"]);
    let first = home.code("Chromium");
    let second = home.code("Chromium");
    assert_ne!(first, second);
    wallet.run(&["bridge", "pair", &first]).fails(1, &["no browser shows the code"]);
    wallet.tell(&["bridge", "list"]).says(&["No browser profile is paired", "Chromium", "entresol bridge pair CODE"]);
    // As people type: small, and without the hyphen.
    let typed = second.to_lowercase().replace('-', "");
    wallet.tell(&["bridge", "pair", &typed]).says(&["site:chromium:https://"]);
    assert_eq!(home.hear(), json!({ "type": "welcome", "profile": "chromium" }));
    wallet.run(&["bridge", "pair", &second]).fails(1, &["no browser shows the code"]);

    let mut work = Browser::bare(wallet);
    assert_eq!(work.greet(2)["type"], "unpaired");
    let code = work.code("Chromium");
    wallet.run(&["bridge", "pair", &code, "--name", "chromium"]).fails(1, &["chromium", "choose another name"]);
    wallet.run(&["bridge", "pair", &code, "--name", "a:b"]).fails(1, &["profile name"]);
    // A name that did not do has not used up the code; without one, the taken name gets a number.
    wallet.run(&["bridge", "pair", &code]).json();
    assert_eq!(work.hear(), json!({ "type": "welcome", "profile": "chromium-2" }));
    wallet.tell(&["bridge", "list"]).says(&["chromium", "chromium-2", "UTC"]);
    wallet.tell(&["activity"]).says(&["pair"]);

    town.grant("site:chromium:https://shop.example");
    for browser in [&mut home, &mut work] {
        browser.open(1, SHOP);
        browser.open(2, OTHER);
    }
    assert_eq!(home.ask(1, 1, "layer2_call", &price())["result"], "7");
    assert_eq!(home.ask(2, 1, "layer2_call", &price())["error"]["code"], 4100, "another origin");
    assert_eq!(work.ask(1, 1, "layer2_call", &price())["error"]["code"], 4100, "another profile");
    assert_eq!(work.ask(1, 2, "layer2_getSolutions", &json!([]))["result"], json!([]));
    assert_eq!(home.ask(1, 2, "layer2_steal", &json!([]))["error"]["code"], 4200);
    assert_eq!(home.ask(1, 3, "layer2_call", &json!("x"))["error"]["code"], -32602);

    // A key that is known needs no code at its next connection.
    let mut again = Browser::bare(wallet);
    assert_eq!(again.greet(1), json!({ "type": "welcome", "profile": "chromium" }));

    // Removed: at once, with what was granted; the bridge connects again and is nobody.
    home.request(1, 9, "layer2_call", &pay("5"));
    town.until_waiting(1);
    wallet.tell(&["bridge", "remove", "chromium"]).says(&["removed", "granted"]);
    let refused = home.hear_of("refused");
    assert!(refused["why"].as_str().expect("words").contains("removed"), "{refused}");
    assert_eq!(home.hear()["type"], "down");
    assert_eq!(home.greet(1), json!({ "type": "unpaired" }));
    assert_eq!(town.callers(), [""; 0]);
    assert_eq!(town.waiting(), [Json::Null; 0]);
    assert_eq!(again.hear_of("refused")["type"], "refused");
    assert_eq!(work.ask(1, 3, "layer2_getSolutions", &json!([]))["result"], json!([]), "the other one goes on");
    wallet.run(&["bridge", "remove", "chromium"]).fails(1, &["entresol bridge list"]);
    assert_eq!(work.leave(), 0);
}

/// Threat 4: who started the bridge proves nothing.
#[test]
fn row_04_a_bare_bridge_with_a_granted_origin_gets_4100() {
    let town = Town::new();
    let mut owner = Browser::paired(&town.wallet, 1, "home");
    town.grant("site:home:https://shop.example");
    owner.open(1, SHOP);
    assert_eq!(owner.ask(1, 1, "layer2_call", &price())["result"], "7");
    let denied = |browser: &mut Browser| {
        browser.request(1, 1, "layer2_call", &price());
        assert_eq!(browser.answer(1, 1)["error"]["code"], 4100);
        assert_eq!(browser.hear_of("refused")["type"], "refused");
        assert_eq!(browser.hear()["type"], "down", "the connection has ended");
    };
    // No answer to the challenge at all.
    let mut bare = Browser::bare(&town.wallet);
    let first = bare.hear_of("challenge");
    denied(&mut bare);
    // A key of its own.
    let mut stranger = Browser::bare(&town.wallet);
    assert_eq!(stranger.greet(9), json!({ "type": "unpaired" }));
    denied(&mut stranger);

    // The owner's key, without having it: an answer that was right once, another key's signature, an altered one.
    let mut nonces = HashSet::from([first["nonce"].to_string()]);
    let overheard = hello(&key(1), first["nonce"].as_str().expect("a nonce"));
    let mut attempts = 0;
    let mut tries = |forge: &dyn Fn(&str) -> Json| {
        let mut thief = Browser::bare(&town.wallet);
        let challenge = thief.hear_of("challenge");
        assert!(nonces.insert(challenge["nonce"].to_string()), "a nonce stands once");
        thief.say(&forge(challenge["nonce"].as_str().expect("a nonce")));
        let refused = thief.hear();
        assert_eq!(refused["type"], "refused", "{refused}");
        assert_eq!(thief.hear()["type"], "down");
        attempts += 1;
    };
    tries(&|_| overheard.clone());
    tries(&|nonce| {
        let mut forged = hello(&key(9), nonce);
        forged["key"] = overheard["key"].clone();
        forged
    });
    tries(&|nonce| {
        let mut forged = hello(&key(1), nonce);
        let text = forged["signature"].as_str().expect("text").to_owned();
        let other = if text.starts_with('A') { 'B' } else { 'A' };
        forged["signature"] = json!(format!("{other}{}", &text[1..]));
        forged
    });
    tries(&|_| hello(&key(1), ""));
    tries(&|_| json!({ "type": "welcome", "profile": "home" }));
    tries(&|_| json!({ "type": "open", "document": 1, "origin": SHOP }));
    tries(&|_| json!({ "type": "popup", "id": 1, "origin": SHOP }));
    assert_eq!(attempts, 7);
    assert_eq!(owner.ask(1, 2, "layer2_call", &price())["result"], "7", "the owner is served all the same");
}

#[test]
fn pending_requests_leave_with_their_document_save_those_with_an_id() {
    let town = Town::new();
    let mut browser = Browser::paired(&town.wallet, 1, "home");
    town.grant("site:home:https://shop.example");
    browser.open(1, SHOP);
    browser.open(2, SHOP);
    browser.request(1, 1, "layer2_call", &pay("1"));
    browser.request(2, 1, "layer2_call", &pay("2"));
    let mut named = pay("3");
    named[0]["id"] = json!("order-3");
    browser.request(1, 2, "layer2_call", &named);
    town.until_waiting(3);
    browser.close(1);
    let left = town.until_waiting(2);
    browser.say(&json!({ "type": "popup", "id": 5, "origin": SHOP }));
    let popup = browser.hear_of("popup");
    assert_eq!((&popup["id"], &popup["profile"], &popup["locked"]), (&json!(5), &json!("home"), &json!(false)));
    assert_eq!(popup["grants"], json!([{ "solution": "till", "actions": ["pay", "price"], "state": [] }]));
    assert_eq!(popup["approvals"].as_array().map(Vec::len), Some(2), "{popup}");
    assert_eq!(popup["approvals"][0]["caller"], "site:home:https://shop.example");
    assert!(popup["web"].as_str().is_some_and(|page| page.starts_with("http://127.0.0.1:")), "{popup}");
    browser.say(&json!({ "type": "popup", "id": 6, "origin": OTHER }));
    assert_eq!(browser.hear_of("popup")["grants"], json!([]));
    browser.say(&json!({ "type": "popup", "id": 7, "origin": null }));
    assert_eq!(browser.hear_of("popup")["accounts"], json!([]));
    assert!(left.iter().any(|one| one["sentence"].as_str().is_some_and(|text| text.contains("0.000000000000000002"))));
    // The page is loaded again, and asks with the same id: one request, one answer.
    browser.open(3, SHOP);
    browser.request(3, 1, "layer2_call", &named);
    let request = town
        .until_waiting(2)
        .into_iter()
        .find(|one| one["sentence"].as_str().is_some_and(|text| text.contains("0.000000000000000003")))
        .expect("it is still there");
    town.approve(&request);
    assert_eq!(browser.answer(3, 1)["result"], "3");
    assert_eq!(browser.ask(3, 2, "layer2_call", &named)["result"], "3", "kept");
    // The bridge dies: what was asked through it without an id leaves too.
    drop(browser);
    town.until_waiting(0);
}

#[test]
fn what_a_page_is_told_goes_to_that_page_only() {
    let town = Town::new();
    let mut browser = Browser::paired(&town.wallet, 1, "home");
    let told = |browser: &mut Browser, document: u64, event: &str| loop {
        let said = browser.hear_of("event");
        if said["document"] == document && said["event"] == event {
            return said["data"].clone();
        }
        browser.events.push(said);
    };
    browser.open(1, SHOP);
    browser.open(2, OTHER);
    assert_eq!(told(&mut browser, 2, "connect"), json!({ "chainId": "0x7a69" }));
    town.grant("site:home:https://shop.example");
    let solutions = told(&mut browser, 1, "layer2Changed");
    assert_eq!(solutions[0]["name"], "till", "{solutions}");
    browser.open(3, SHOP);
    assert_eq!(told(&mut browser, 3, "layer2Changed"), solutions, "a new page of it is told at once");
    // Answers come in order with what was told before them.
    assert_eq!(browser.ask(2, 1, "layer2_getSolutions", &json!([]))["result"], json!([]));
    let others: Vec<_> = browser.events.iter().filter(|event| event["document"] == 2).collect();
    assert!(others.iter().all(|event| event["event"] == "connect"), "{others:?}");
}

/// Threat 4. Needs root, to become somebody else: the file modes are opened up on purpose, so that only the check of the
/// peer's user id stands between the stranger and the browsers' socket.
#[test]
fn row_04_a_bridge_of_another_user_is_turned_away() {
    use std::os::unix::process::CommandExt;
    if !rustix::process::geteuid().is_root() {
        println!("not root: nobody to play the stranger");
        return;
    }
    let wallet = Wallet::new();
    let _daemon = wallet.daemon();
    let program = wallet.for_strangers();
    let bridge = |uid: u32| {
        let mut command = std::process::Command::new(&program);
        command.arg("--home").arg(wallet.home()).arg("bridge").uid(uid);
        Browser::run(command).hear()
    };
    let said = bridge(65_534);
    assert!(said["why"].as_str().is_some_and(|why| why.contains("another user")), "{said}");
    crate::support::open_up(&wallet.home(), 0o711);
    crate::support::open_up(&site_socket_path(&wallet.home()), 0o666);
    assert_eq!(bridge(65_534)["type"], "down", "no challenge for a stranger");
    assert_eq!(bridge(0)["type"], "challenge");
}

#[test]
fn the_bridge_waits_for_the_wallet_and_begins_anew() {
    let mut town = Town::new();
    let mut browser = Browser::paired(&town.wallet, 1, "home");
    town.grant("site:home:https://shop.example");
    browser.open(1, SHOP);
    assert_eq!(browser.ask(1, 1, "layer2_call", &price())["result"], "7");
    assert_eq!(town.daemon.take().expect("running").stop(), 0);
    let down = browser.hear_of("down");
    assert_eq!(down["type"], "down");
    // Of the page that did not know yet: it belongs to the connection that was lost.
    browser.request(1, 2, "layer2_call", &price());
    town.daemon = Some(town.wallet.daemon());
    assert_eq!(browser.greet(1), json!({ "type": "welcome", "profile": "home" }));
    browser.open(1, SHOP);
    assert_eq!(browser.ask(1, 3, "layer2_call", &price())["result"], "7");
    // An end by force is no other end.
    drop(town.daemon.take());
    assert_eq!(browser.hear_of("down")["type"], "down");
    assert_eq!(browser.leave(), 0);
    // Started before the wallet: it says so and waits.
    let mut early = Browser::bare(&town.wallet);
    assert!(early.hear()["why"].as_str().expect("words").contains("entresol daemon"));
    town.daemon = Some(town.wallet.daemon());
    assert_eq!(early.greet(1), json!({ "type": "welcome", "profile": "home" }));
}

#[test]
fn an_installed_bridge_is_found_and_started_by_its_manifest() {
    let wallet = Wallet::new();
    let data = wallet.dir.path().join("browser's data");
    let folder = data.to_str().expect("text");
    let nowhere = Wallet::nowhere();
    let install = ["bridge", "install", "--browser", "chromium", "--user-data-dir", folder];
    nowhere.run(&install).fails(3, &["entresol init"]);
    let installed = wallet.run(&install).json();
    let manifest = data.join("NativeMessagingHosts/com.entresol.bridge.json");
    assert_eq!(installed["manifest"], manifest.to_str().expect("text"));
    let manifest: Json = serde_json::from_slice(&std::fs::read(manifest).expect("there")).expect("JSON");
    let origin = format!("chrome-extension://{}/", entresol_api::site::EXTENSION_ID);
    assert_eq!((&manifest["name"], &manifest["type"]), (&json!("com.entresol.bridge"), &json!("stdio")));
    assert_eq!(manifest["allowed_origins"], json!([origin]));
    // Started as a browser does it: no arguments of ours, no environment of ours.
    let script = manifest["path"].as_str().expect("a path");
    let mut command = std::process::Command::new(script);
    command.env_clear().env("PATH", "/usr/bin:/bin").arg(&origin);
    let mut early = Browser::run(command);
    assert_eq!(early.hear()["type"], "down");
    let _daemon = wallet.daemon();
    assert_eq!(early.greet(1), json!({ "type": "unpaired" }));

    let home = wallet.dir.path().join("user");
    let firefox = |arguments: &[&str]| {
        let mut command = entresol();
        command.arg("--json").arg("--home").arg(wallet.home()).args(["bridge", "install", "--browser", "firefox"]);
        let output = command.args(arguments).env("HOME", &home).output().expect("started");
        crate::support::Said::of(output)
    };
    firefox(&["--user-data-dir", folder]).fails(1, &["--user-data-dir"]);
    let installed = firefox(&[]).json();
    let manifest = home.join(".mozilla/native-messaging-hosts/com.entresol.bridge.json");
    assert_eq!(installed["manifest"], manifest.to_str().expect("text"));
    let manifest: Json = serde_json::from_slice(&std::fs::read(manifest).expect("there")).expect("JSON");
    assert_eq!(manifest["allowed_extensions"], json!(["wallet@entresol.example"]));
    assert!(manifest["allowed_origins"].is_null());
}

#[test]
fn a_local_app_has_an_address_of_its_own() {
    let mut town = Town::new();
    let wallet = &town.wallet;
    let said = wallet.tell(&["app", "add", "forge"]);
    said.says(&["shown once", "app:forge"]);
    let url = said.out.lines().next().expect("an address").to_owned();
    let (authority, path) = parts(&url);
    assert_eq!(format!("http://{authority}"), town.site());
    let secret = path.strip_prefix("/app/forge/").expect("its path");
    assert_eq!(secret.len(), 64);
    wallet.tell(&["app", "list"]).says(&["forge", "UTC"]);
    wallet.run(&["app", "add", "forge"]).fails(1, &["forge", "choose another name"]);
    wallet.run(&["app", "add", "For ge"]).fails(1, &["app name"]);
    wallet.tell(&["activity"]).says(&["add app"]);

    assert_eq!(rpc(&url, "layer2_getSolutions", json!([]))["result"], json!([]));
    assert_eq!(rpc(&url, "layer2_call", price())["error"]["code"], 4100);
    assert_eq!(rpc(&url, "no_such", json!([]))["error"]["code"], -32601);
    town.grant("app:forge");
    assert_eq!(rpc(&url, "layer2_call", price())["result"], "7");
    // By its other name.
    let by_name = url.replace("127.0.0.1", "localhost");
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "layer2_call", "params": price() });
    assert_eq!(Raw::rpc(&by_name, &body).send(authority).json()["result"], "7");

    // As Node's own `fetch` sends it.
    let node =
        Raw::rpc(&url, &body).with("Sec-Fetch-Mode", "cors").with("Accept-Language", "*").with("User-Agent", "node");
    assert_eq!(node.send(authority).json()["result"], "7");

    // Batches: in order, with what is wrong in its place, without answers to notifications.
    let one = |id: Json, method: &str| json!({ "jsonrpc": "2.0", "id": id, "method": method });
    let batch = json!([
        one(json!(1), "layer2_getSolutions"),
        one(json!("b"), "no_such"),
        { "jsonrpc": "2.0", "method": "layer2_getSolutions" },
        7,
        { "jsonrpc": "2.0", "id": 3 },
        { "jsonrpc": "1.0", "id": 4, "method": "layer2_getSolutions" },
        { "jsonrpc": "2.0", "id": 5, "method": "layer2_getSolutions", "params": "x" },
        { "jsonrpc": "2.0", "id": [], "method": "layer2_getSolutions" },
    ]);
    let answers = Raw::rpc(&url, &batch).send(authority).json();
    let shown: Vec<_> =
        answers.as_array().expect("a list").iter().map(|a| (a["id"].clone(), a["error"]["code"].clone())).collect();
    assert_eq!(
        shown,
        [
            (json!(1), Json::Null),
            (json!("b"), json!(-32601)),
            (Json::Null, json!(-32600)),
            (json!(3), json!(-32600)),
            (json!(4), json!(-32600)),
            (json!(5), json!(-32602)),
            (Json::Null, json!(-32600)),
        ]
    );
    let silent = Raw::rpc(&url, &json!([{ "jsonrpc": "2.0", "method": "layer2_getSolutions" }])).send(authority);
    assert_eq!((silent.status, silent.body.as_str()), (204, ""));
    let many: Vec<_> = (0..101).map(|id| one(json!(id), "layer2_getSolutions")).collect();
    assert_eq!(Raw::rpc(&url, &json!(many)).send(authority).json()["error"]["code"], -32600);
    let most = Raw::rpc(&url, &json!(many[..100])).send(authority).json();
    assert_eq!(
        most.as_array().expect("a list").iter().map(|a| a["id"].clone()).collect::<Vec<_>>(),
        (0..100).map(|id| json!(id)).collect::<Vec<_>>()
    );
    for (body, code) in [("[]", -32600), ("{", -32700), ("", -32700), ("7", -32600)] {
        assert_eq!(Raw::rpc(&url, &Json::Null).body(body).send(authority).json()["error"]["code"], code, "{body:?}");
    }

    // A client that hangs up waits for nothing; one that stays gets its answer.
    let call = Raw::rpc(&url, &json!({ "jsonrpc": "2.0", "id": 1, "method": "layer2_call", "params": pay("4") }));
    let gone = call.begin(authority);
    let asked = town.until_waiting(1)[0]["sentence"].as_str().expect("words").to_owned();
    assert!(asked.starts_with("the local app forge asks till for pay"), "{asked}");
    drop(gone);
    town.until_waiting(0);
    let mut stays = call.begin(authority);
    let waiting = town.until_waiting(1);
    town.approve(&waiting[0]);
    assert_eq!(http::read(&mut stays).json()["result"], "4");

    // The address stays the same over a restart.
    let before = town.site();
    assert_eq!(town.daemon.take().expect("running").stop(), 0);
    for file in std::fs::read_dir(town.wallet.home()).expect("readable").flatten().filter(|one| one.path().is_file()) {
        let bytes = std::fs::read(file.path()).expect("readable");
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{} holds the app's secret", file.path().display());
    }
    town.daemon = Some(town.wallet.daemon());
    assert_eq!(town.site(), before);
    until("the plugin runs again", || (rpc(&url, "layer2_call", price())["result"] == "7").then_some(()));

    // Removed: what runs ends, the address is as unknown as any.
    let mut running = call.begin(authority);
    town.until_waiting(1);
    town.wallet.tell(&["app", "remove", "forge"]).says(&["removed"]);
    let ended = http::read(&mut running);
    assert_eq!(ended.status, 403, "{ended:?}");
    let removed = call.send(authority);
    assert_eq!((removed.status, &removed.body), (403, &ended.body));
    let unknown = call.clone().target("/app/nobody/00").send(authority);
    assert_eq!((unknown.status, &unknown.body), (403, &ended.body), "the same words");
    assert_eq!(town.waiting(), [Json::Null; 0]);
    assert_eq!(town.callers(), [""; 0]);
    town.wallet.run(&["app", "remove", "forge"]).fails(1, &["entresol app list"]);
    let again = town.wallet.run(&["app", "add", "forge"]).json();
    assert_ne!(again["url"], url.as_str(), "another secret");
    assert_eq!(rpc(again["url"].as_str().expect("an address"), "layer2_call", price())["error"]["code"], 4100);
}

#[test]
fn one_app_that_floods_the_wallet_does_not_keep_another_out() {
    let wallet = Wallet::new();
    let _daemon = wallet.daemon();
    let add = |name: &str| wallet.run(&["app", "add", name]).json()["url"].as_str().expect("an address").to_owned();
    let (flood, other) = (add("flood"), add("other"));
    let authority = parts(&flood).0;
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "layer2_getSolutions" });
    // Each has told of a body that does not come. More than fit: one that comes while a place is taken for a moment by
    // the request below is sent away.
    let half = Raw::rpc(&flood, &body).body("").with("Content-Length", "100");
    let held: Vec<_> = (0..entresol_api::site::MAX_APP_REQUESTS * 2).map(|_| half.begin(authority)).collect();
    let refused = until("its places are taken", || {
        Some(Raw::rpc(&flood, &body).send(authority)).filter(|came| came.status == 429)
    });
    assert_eq!(refused.json()["error"]["code"], -32005);
    assert_eq!(rpc(&other, "layer2_getSolutions", json!([]))["result"], json!([]));
    drop(held);
    until("they are free again", || (Raw::rpc(&flood, &body).send(authority).status == 200).then_some(()));
}

#[test]
fn a_daemon_starts_without_the_port_of_its_apps_and_says_so() {
    let wallet = Wallet::new();
    let daemon = wallet.daemon();
    let site = daemon.ready["site"].as_str().expect("an address").to_owned();
    assert_eq!(daemon.stop(), 0);
    let squatter = std::net::TcpListener::bind(parts(&site).0).expect("free now");
    let daemon = wallet.daemon();
    assert_eq!(daemon.ready["site"], Json::Null);
    wallet.run(&["app", "add", "forge"]).fails(1, &["--site-port"]);
    assert_eq!(daemon.stop(), 0);
    let port = parts(&site).0.rsplit(':').next().expect("a port").to_owned();
    wallet.run(&["daemon", "--site-port", &port]).fails(1, &["is taken", "--site-port"]);
    drop(squatter);
    let daemon = wallet.daemon();
    assert_eq!(daemon.ready["site"], site.as_str());
}

#[test]
fn an_extension_without_native_messaging_is_paired_over_its_websocket() {
    let town = Town::new();
    let site = town.site();
    let mut socket = socket::Socket::open(parts(&site).0);
    let challenge = socket.hear().expect("a challenge");
    socket.say(&hello(&key(5), challenge["nonce"].as_str().expect("a nonce")));
    assert_eq!(socket.hear().expect("words")["type"], "unpaired");
    socket.say(&json!({ "type": "pair", "name": "Firefox" }));
    let code = socket.hear().expect("a code")["code"].as_str().expect("text").to_owned();
    town.wallet.run(&["bridge", "pair", &code]).json();
    assert_eq!(socket.hear(), Some(json!({ "type": "welcome", "profile": "firefox" })));
    town.grant("site:firefox:https://shop.example");
    socket.say(&json!({ "type": "open", "document": 1, "origin": SHOP }));
    socket.say(&json!({ "type": "request", "document": 1, "id": 1, "method": "layer2_call", "params": price() }));
    let answer = std::iter::from_fn(|| socket.hear()).find(|message| message["type"] == "response");
    assert_eq!(answer.expect("an answer")["result"], "7");
    town.wallet.run(&["bridge", "remove", "firefox"]).json();
    let refused = std::iter::from_fn(|| socket.hear()).find(|message| message["type"] == "refused");
    assert!(refused.is_some() && socket.hear().is_none(), "the connection has ended");
}

/// The browsers' socket is as private as the control socket, and the handshake is the same for whoever is in.
#[test]
fn the_browsers_socket_is_private_and_speaks_first() {
    use std::io::{BufRead, BufReader};
    use std::os::unix::fs::PermissionsExt;
    let wallet = Wallet::new();
    let _daemon = wallet.daemon();
    let path = site_socket_path(&wallet.home());
    assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    let mut stream = std::os::unix::net::UnixStream::connect(&path).expect("connected");
    let mut lines = BufReader::new(stream.try_clone().expect("cloned")).lines();
    let mut line = || lines.next().map(|line| serde_json::from_str::<Json>(&line.expect("text")).expect("JSON"));
    assert_eq!(line().expect("a challenge")["type"], "challenge");
    stream.write_all(format!("{{\"type\":\"{}", "x".repeat(2 * 1024 * 1024)).as_bytes()).ok();
    assert_eq!(line().expect("words")["type"], "refused");
    assert!(line().is_none(), "and the connection has ended");
}
