//! The address of a local app, used by clients as npm has them. Each request that needs the user is decided by the
//! command line, after it was read there under the app's name.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::Instant;

use serde_json::{Value as Json, json};

use crate::npm;
use crate::support::{House, LIMIT, Said, copy_folder};

/// Who is paid: an address that nobody else pays.
pub(crate) const PAID: &str = "0x00000000000000000000000000000000000c0ffe";
/// A quarter of an ether.
const QUARTER: u128 = 250_000_000_000_000_000;

/// A wallet with money, and the address of an app of it.
struct App {
    house: House,
    name: &'static str,
    url: String,
    owner: String,
}

impl App {
    fn new(name: &'static str) -> Self {
        let house = House::rich();
        let url = house.wallet.run(&["app", "add", name]).json()["url"].as_str().expect("a URL").to_owned();
        let owner =
            house.wallet.run(&["account", "list"]).json()[0]["address"].as_str().expect("an address").to_owned();
        Self { house, name, url, owner }
    }

    /// Runs a client to its end, approving what waits; gives what it said and the kinds of what was approved.
    fn run(&self, command: &mut Command) -> (Said, Vec<String>) {
        command.stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
        let mut approved = Vec::new();
        let said = decide(&self.house, child, |request| {
            let sentence = request["sentence"].as_str().expect("text");
            assert!(sentence.contains(self.name), "the app is not named: {request}");
            approved.push(request["kind"].as_str().expect("text").to_owned());
        });
        (said, approved)
    }

    fn script(&self, name: &str) -> (Json, Vec<String>) {
        let mut command = Command::new("node");
        command.arg(script(name)).args([&self.url, PAID]);
        let (said, approved) = self.run(&mut command);
        (said.json(), approved)
    }
}

/// Approves every request of a wallet until `child` has ended; `look` sees each before.
fn decide(house: &House, child: Child, mut look: impl FnMut(&Json)) -> Said {
    let ended = std::thread::spawn(move || child.wait_with_output());
    let deadline = Instant::now() + LIMIT * 3;
    while !ended.is_finished() {
        let waiting = house.wallet.run(&["approvals"]).json();
        for request in waiting.as_array().expect("a list") {
            look(request);
            let (id, digest) = (request["id"].to_string(), request["digest"].as_str().expect("a digest"));
            let said = house.wallet.run(&["approvals", "approve", &id, "--digest", digest]);
            assert_eq!(said.code, 0, "{request}: {said:?}");
        }
        assert!(Instant::now() < deadline, "a client does not end");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Said::of(ended.join().expect("ended").expect("waited"))
}

/// A script of this folder, beside the others and where it finds the clients' packages.
pub(crate) fn script(name: &str) -> PathBuf {
    let place = npm::clients().join("scripts");
    static COPIED: Once = Once::new();
    COPIED.call_once(|| copy_folder(&npm::source().join("scripts"), &place));
    place.join(name)
}

/// A program of Foundry's, which npm has by platform. Others than this one are in no registry that was seen.
pub(crate) fn foundry(name: &str) -> Command {
    let mut command =
        Command::new(npm::clients().join(format!("node_modules/@foundry-rs/{name}-linux-amd64/bin/{name}")));
    // Loopback has no proxy, whatever the environment says of the world.
    command.env("NO_PROXY", "*").env("no_proxy", "*");
    command
}

/// What both libraries report.
pub(crate) fn check(owner: &str, report: &Json, approved: &[String]) {
    let asked = report["asked"].as_str().expect("text");
    assert!(asked.eq_ignore_ascii_case(owner), "{report}");
    for own in ["account", "signed", "typed"] {
        assert_eq!(report[own], owner, "{own}: {report}");
    }
    assert_eq!(report["chainId"], 31337, "{report}");
    assert_eq!(report["called"], "0x", "{report}");
    assert_eq!((&report["status"], &report["gained"]), (&json!(1), &json!(QUARTER.to_string())), "{report}");
    assert_eq!(report["hash"], report["mined"], "{report}");
    assert_eq!(report["refused"], 4200, "{report}");
    assert_eq!(approved.len(), 4, "an account, a message, typed data, a transaction: {approved:?}");
}

#[test]
fn ethers_uses_an_apps_address_as_any_endpoint() {
    let app = App::new("ethers-script");
    let (report, approved) = app.script("ethers.mjs");
    check(&app.owner, &report, &approved);
}

#[test]
fn viem_uses_an_apps_address_as_any_endpoint() {
    let app = App::new("viem-script");
    let (report, approved) = app.script("viem.mjs");
    check(&app.owner, &report, &approved);
}

#[test]
fn cast_sends_from_an_account_that_is_not_its_own() {
    let app = App::new("cast-script");
    let cast = |arguments: &[&str]| {
        let mut command = foundry("cast");
        command.args(arguments).args(["--rpc-url", &app.url]);
        app.run(&mut command)
    };
    let (accounts, approved) = cast(&["rpc", "eth_requestAccounts"]);
    assert!(accounts.out.to_lowercase().contains(&app.owner.to_lowercase()), "{accounts:?}");
    assert_eq!(approved.len(), 1);
    assert_eq!(cast(&["chain-id"]).0.out.trim(), "31337");
    assert_eq!(cast(&["balance", PAID]).0.out.trim(), "0");
    let send = ["send", PAID, "--value", "0.25ether", "--unlocked", "--from", &app.owner, "--json"];
    let (sent, approved) = cast(&send);
    let receipt = sent.json();
    assert_eq!((&receipt["status"], approved.len()), (&json!("0x1"), 1), "{receipt}");
    assert_eq!(cast(&["balance", PAID]).0.out.trim(), QUARTER.to_string());
    assert_eq!(cast(&["nonce", &app.owner]).0.out.trim(), "1");
}

#[test]
fn a_forge_script_broadcasts_with_the_users_approval() {
    let app = App::new("forge-script");
    let mut command = foundry("cast");
    app.run(command.args(["rpc", "eth_requestAccounts", "--rpc-url", &app.url]));
    let project = tempfile::tempdir().expect("a directory");
    std::fs::copy(script("Pay.s.sol"), project.path().join("Pay.s.sol")).expect("copied");
    let solc = script("solc.cjs");
    executable(&solc);
    let mut command = foundry("forge");
    command.current_dir(project.path()).args(["script", "Pay.s.sol:Pay", "--offline", "--use"]).arg(&solc);
    command.args(["--rpc-url", &app.url, "--unlocked", "--sender", &app.owner, "--broadcast", "--slow"]);
    command.args(["--sig", "run(address,address)", &app.owner, PAID]);
    let (said, approved) = app.run(&mut command);
    assert!(said.code == 0 && said.out.contains("ONCHAIN EXECUTION COMPLETE & SUCCESSFUL"), "{said:?}");
    assert_eq!(approved.len(), 3, "a payment, a deployment and a call: {approved:?}");
    let run = std::fs::read(project.path().join("broadcast/Pay.s.sol/31337/run-latest.json")).expect("written");
    let run: Json = serde_json::from_slice(&run).expect("JSON");
    let receipts = run["receipts"].as_array().expect("a list");
    assert!(receipts.len() == 3 && receipts.iter().all(|receipt| receipt["status"] == "0x1"), "{run:#}");
    let mut command = foundry("cast");
    let counter = receipts[1]["contractAddress"].as_str().expect("an address");
    let (count, _) = app.run(command.args(["call", counter, "count()(uint256)", "--rpc-url", &app.url]));
    assert_eq!(count.out.trim(), "7", "{count:?}");
}

fn executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("set");
}
