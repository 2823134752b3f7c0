//! Callers, policies and permissions from the command line: what is granted, what it means in words, what is refused.

use serde_json::{Value as Json, json};

use crate::support::{House, Said};

const SHOP: &str = "site:home:https://shop.example";

/// A script with an action that pays and one that reads.
const TILL: &str = "export default class { constructor() { this.layer2Interface = { actions: [
    { name: 'pay', description: 'pays', returns: [], call: () => null,
      params: [{ name: 'to', type: 'address', role: 'recipient' },
               { name: 'value', type: 'uint', role: 'amount', unit: 'wei' }] },
    { name: 'price', description: 'tells a price', params: [], returns: [], readOnly: true, call: () => null },
  ], state: [{ name: 'balance', type: 'uint' }] }; } }";

fn till() -> House {
    let house = House::new();
    house.install_script("till", json!({ "permissions": { "keys": { "curve": "secp256k1" } } }), TILL);
    house
}

fn list(house: &House, what: &[&str]) -> Vec<Json> {
    house.wallet.run(what).json().as_array().expect("a list").clone()
}

#[test]
fn a_caller_is_granted_shown_and_revoked() {
    let house = till();
    let wallet = &house.wallet;
    wallet.tell(&["callers"]).says(&["No website, app or other solution may ask"]);
    let grant = ["callers", "grant", SHOP, "till", "--action", "pay", "--state", "balance", "--until", "30d"];
    wallet.tell(&grant).says(&["https://shop.example (browser profile home)", "pay", "balance", "still waits for you"]);
    let granted = list(&house, &["callers"]);
    assert_eq!(granted[0]["caller"], SHOP);
    assert_eq!(granted[0]["actions"], json!(["pay"]));

    // Wrong ones change nothing.
    let refuse = |arguments: &[&str], code: i32, words: &[&str]| {
        wallet.run(arguments).fails(code, words);
        assert_eq!(list(&house, &["callers"]), granted, "{arguments:?} changed something");
    };
    refuse(&["callers", "grant", "shop", "till", "--action", "pay"], 1, &["app:NAME"]);
    refuse(&["callers", "grant", "site:home:https://shop.example/x", "till", "--action", "pay"], 1, &["site:PROFILE"]);
    refuse(&["callers", "grant", SHOP, "till", "--action", "steal"], 1, &["steal"]);
    refuse(&["callers", "grant", SHOP, "till", "--state", "secrets"], 1, &["secrets"]);
    refuse(&["callers", "grant", SHOP, "till"], 2, &["--action"]);
    refuse(&["callers", "grant", SHOP, "nobody", "--action", "pay"], 1, &["entresol solution list"]);
    refuse(&["callers", "grant", SHOP, "till", "--action", "pay", "--until", "soon"], 1, &["`soon`", "30min"]);
    refuse(&["callers", "grant", SHOP, "till", "--action", "pay", "--until", "2020-01-01"], 1, &["passed already"]);
    refuse(&["callers", "grant", "solution:till", "till", "--action", "pay"], 1, &["no grant on itself"]);
    refuse(&["callers", "revoke", "99"], 1, &["99", "entresol callers"]);

    wallet.tell(&["callers", "revoke", &granted[0]["id"].to_string()]).says(&["taken back"]);
    assert_eq!(list(&house, &["callers"]), Vec::<Json>::new());
}

#[test]
fn a_caller_is_connected_shown_and_disconnected() {
    let house = till();
    let wallet = &house.wallet;
    wallet.tell(&["callers", "connected"]).says(&["No website or app sees an account"]);
    wallet.run(&["account", "add"]).json();
    let connect = ["callers", "connect", SHOP, "--account", "1", "--account", "0"];
    wallet.tell(&connect).says(&["https://shop.example (browser profile home)", "(account 1)", "still waits for you"]);
    let connected = list(&house, &["callers", "connected"]);
    let accounts: Vec<_> = connected[0]["accounts"].as_array().expect("a list").iter().map(|a| &a["index"]).collect();
    assert_eq!((connected[0]["caller"].as_str(), accounts), (Some(SHOP), vec![&json!(1), &json!(0)]));
    wallet.tell(&["callers"]).says(&["https://shop.example", "(account 1)"]);
    let refuse = |arguments: &[&str], code: i32, words: &[&str]| {
        wallet.run(arguments).fails(code, words);
        assert_eq!(list(&house, &["callers", "connected"]), connected, "{arguments:?} changed something");
    };
    refuse(&["callers", "connect", SHOP, "--account", "9"], 1, &["account add"]);
    refuse(&["callers", "connect", SHOP, "--network", "moon"], 1, &["network list"]);
    refuse(&["callers", "connect", "solution:till"], 1, &["only sites and apps"]);
    refuse(&["callers", "connect", "shop"], 1, &["app:NAME"]);
    refuse(&["callers", "disconnect", "app:nobody"], 1, &["sees no accounts"]);
    wallet.tell(&["callers", "disconnect", SHOP]).says(&["sees no account any more"]);
    assert_eq!(list(&house, &["callers", "connected"]), Vec::<Json>::new());
}

#[test]
fn a_policy_says_what_it_means_and_ends_with_its_grant() {
    let house = till();
    let wallet = &house.wallet;
    let to = "0x00000000000000000000000000000000000000AA";
    let rule = ["--action", "pay", "--per-call", "0.1 ether", "--per-day", "0.5 ether", "--to", to, "--until", "30d"];
    let policy = |verb: &str, extra: &[&str]| -> Vec<String> {
        let head = ["policy", verb, SHOP, "till"];
        head.iter().chain(&rule).chain(extra).map(|text| (*text).to_owned()).collect()
    };
    let run = |arguments: &[String]| -> Said { wallet.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()) };
    // Who may not ask cannot pass either.
    run(&policy("add", &[])).fails(1, &["may not even ask for pay", "entresol callers grant"]);
    wallet.run(&["callers", "grant", SHOP, "till", "--action", "pay"]).json();
    // Trying needs no grant's policy and changes nothing.
    let tried = run(&policy("try", &["--since", "7d"])).json();
    assert_eq!(tried["rows"], json!([]));
    assert_eq!(list(&house, &["policy"]), Vec::<Json>::new());

    let add = policy("add", &["--count", "10"]);
    let said = wallet.tell(&add.iter().map(String::as_str).collect::<Vec<_>>());
    said.says(&[
        "https://shop.example (browser profile home) may call pay of till without asking you",
        "at most 0.1 ETH a request and 0.5 ETH in any 24 hours, fees included",
        "at most 10 requests",
        to,
        "nothing passes while the wallet is locked",
        "does not limit what the plugin of till signs with its own layer-2 accounts",
        "entresol policy revoke 1",
    ]);
    let made = list(&house, &["policy"]);
    assert_eq!(made[0]["rule"]["perCall"], "100000000000000000");
    assert_eq!(made[0]["rule"]["windowMs"], 86_400_000);
    wallet.tell(&["policy", "list"]).says(&["0 ETH of 0.5 ETH in any 24 hours", "active", to]);

    let refuse = |arguments: &[&str], code: i32, words: &[&str]| {
        let arguments: Vec<&str> = ["policy"].iter().chain(arguments).copied().collect();
        wallet.run(&arguments).fails(code, words);
        assert_eq!(list(&house, &["policy"]), made, "{arguments:?} changed something");
    };
    let pay = ["add", SHOP, "till", "--action", "pay"];
    let with = |more: &[&'static str]| -> Vec<&str> { pay.iter().chain(more).copied().collect() };
    refuse(&with(&["--per-call", "0.1 ether"]), 2, &["--per-day"]);
    refuse(&with(&["--per-call", "1", "--per-day", "1", "--per-week", "2"]), 2, &["--per-week"]);
    refuse(&with(&["--per-call", "much", "--per-day", "1 ether"]), 1, &["--per-call"]);
    refuse(&with(&["--per-call", "0.1", "--per-day", "1 ether"]), 1, &["--per-call", "unit"]);
    refuse(&with(&["--per-call", "2 ether", "--per-day", "1 ether"]), 1, &["perCall", "larger"]);
    refuse(&with(&["--per-call", "1", "--per-day", "1", "--to", "shop"]), 1, &["--to", "no address"]);
    let mistyped = "0x00000000000000000000000000000000000000Bb";
    refuse(&with(&["--per-call", "1", "--per-day", "1", "--to", mistyped]), 1, &["--to", "mistyped"]);
    refuse(&with(&["--per-call", "1", "--per-day", "1", "--token", "0x12", "1", "1"]), 1, &["--token", "no address"]);
    refuse(&["add", SHOP, "till", "--action", "steal", "--per-call", "1", "--per-day", "1"], 1, &["steal"]);
    refuse(&["revoke", "7"], 1, &["7"]);
    refuse(&["resume", "7"], 1, &["7"]);

    // The grant goes, the policy goes.
    let grant = list(&house, &["callers"])[0]["id"].to_string();
    wallet.run(&["callers", "revoke", &grant]).json();
    assert_eq!(list(&house, &["policy"]), Vec::<Json>::new());
    wallet.tell(&["policy"]).says(&["There is no policy"]);
    wallet.run(&["policy", "resume", "1"]).fails(1, &["no policy 1"]);
}

#[test]
fn single_permissions_are_refused_given_and_taken() {
    let house = House::new();
    let wallet = &house.wallet;
    let layer2 = json!({ "permissions": {
        "keys": { "curve": "secp256k1" }, "localDatabase": { "quota": "1 MiB" }, "layer1": ["read"] } });
    let folder = house.wallet.script("till", layer2, TILL);
    let request = wallet
        .run(&["solution", "add", folder.to_str().expect("text"), "--network", "devnet", "--name", "till"])
        .json();
    let id = request["id"].to_string();
    wallet.tell(&["approvals", "show", &id]).says(&["May (1)", "May (2)", "--refuse NUMBER"]);
    let asked: Vec<&str> = request["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .filter(|row| row["label"] == "May")
        .map(|row| row["value"].as_str().expect("text"))
        .collect();
    let refuse = |what: &str, words: &[&str]| {
        wallet.run(&["approvals", "approve", &id, "--yes", "--refuse", what]).fails(1, words);
        assert_eq!(wallet.run(&["approvals", "show", &id]).json()["state"], "pending");
    };
    refuse("9", &["no permission 9", "it has 3"]);
    refuse("0", &["no permission 0"]);
    refuse("camera", &["no permission is called `camera`", "approvals show"]);
    refuse("e", &["`e` stands in"]);

    let database = asked.iter().position(|text| text.contains("of data")).expect("asked for");
    wallet.run(&["approvals", "approve", &id, "--yes", "--refuse", &(database + 1).to_string()]).json();
    house.runs("till");
    let granted = || wallet.run(&["grants", "list", "till"]).json()["granted"].as_array().expect("a list").clone();
    assert!(!granted().contains(&json!(asked[database])), "{:?}", granted());
    assert_eq!(granted().len(), asked.len() - 1);

    wallet.tell(&["grants", "list", "till"]).says(&["It asks for this too", asked[database]]);
    wallet.run(&["grants", "add", "till", "camera"]).fails(1, &["camera", "entresol grants list till"]);
    wallet.tell(&["grants", "add", "till", "of data"]).says(&["Granted to till", asked[database]]);
    assert_eq!(granted().len(), asked.len());
    wallet.run(&["grants", "revoke", "till", "camera"]).fails(1, &["entresol grants list till"]);
    wallet.tell(&["grants", "revoke", "till", "of data"]).says(&["Taken away from till, at once", asked[database]]);
    assert_eq!(granted().len(), asked.len() - 1);
}
