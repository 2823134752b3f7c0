//! `entresol node payments` as its operator meets it: configuration, help, logs, and the way out when it is gone.

use std::path::{Path, PathBuf};
use std::process::Command;

use alloy::primitives::{Address, U256, address};
use alloy::sol_types::SolCall;
use payments_contract::PaymentsGateway;
use serde_json::{Value as Json, json};

use crate::day::chain::{Chain, anvil};
use crate::support::{Running, Said, entresol, open_up, until};

/// Anvil's well-known accounts: the gateway's operator, two users, and somebody who pays for others.
const OPERATOR: Address = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
const OPERATOR_KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const ALICE: Address = address!("70997970C51812dc3A010C7d01b50e0d17dc79C8");
const BOB: Address = address!("3C44CdDdB6a900fa2b585dd299e03d12FA4293BC");
const PAYER_KEY: &str = "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6";
const ETHER: u128 = 1_000_000_000_000_000_000;

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("written");
    open_up(&path, 0o600);
    path
}

fn payments(arguments: &[&str]) -> Command {
    let mut command = entresol();
    command.args(["node", "payments"]).args(arguments).env_remove("ENTRESOL_LOG");
    command
}

fn said(arguments: &[&str]) -> Said {
    Said::of(payments(arguments).output().expect("started"))
}

#[test]
fn a_nodes_configuration_is_a_file_that_flags_beat_and_that_prints_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "# what this node is\nrole = \"operator\"\nrpc = \"http://127.0.0.1:9\"\n\
        gateway = \"0x00000000000000000000000000000000000000AA\"\ndata-dir = \"op\"\noperator-key-file = \"op.key\"\n\
        keep-bond = \"3000000000000000000\"\npoll-ms = 250\nlimit-loopback = true\n";
    let file = write(folder.path(), "node.toml", text);
    let file = file.to_str().expect("text");
    let printed = said(&["--config", file, "--poll-ms", "9", "--print-config"]);
    let printed = printed.says(&["poll-ms = 9\n", "keep-bond = 3000000000000000000\n", "batch-age-ms = 500"]);
    // What is in force is a file for the same node again, whatever flags made it.
    let again = write(folder.path(), "again.toml", printed);
    let again = format!("--config={}", again.display());
    assert_eq!(said(&[&again, "--print-config"]).says(&["limit-loopback = true"]), printed);
    // Options of the program may stand between the words of the command.
    let mut between = entresol();
    between.args(["node", "--json", "payments", "--config", file, "--print-config"]);
    let between = Said::of(between.output().expect("started")).json();
    assert!(between["config"].as_str().is_some_and(|config| config.contains("poll-ms = 250")), "{between}");

    for (line, words) in [
        ("operator-key = \"ac0974\"", ["node.toml", "unknown key \"operator-key\"", "operator-key-file"]),
        ("pol-ms = 1", ["node.toml", "unknown key \"pol-ms\"", "poll-ms"]),
        ("poll-ms = true", ["node.toml", "poll-ms", "expected a string or a whole number"]),
        ("poll-ms = ", ["node.toml", "line 1", ""]),
    ] {
        let file = write(folder.path(), "node.toml", line);
        said(&["--config", file.to_str().expect("text")]).fails(1, &words);
    }
    said(&["--config", "/nowhere/node.toml"]).fails(1, &["/nowhere/node.toml"]);
    said(&["--role", "replica"]).fails(2, &["--rpc", "--gateway", "--data-dir"]);
    said(&["exit", "--from-layer1"]).fails(2, &["--rpc", "--gateway", "--account"]);
    said(&["--config", file, "--log-format", "xml"]).fails(1, &[]);
}

#[test]
fn a_nodes_help_is_in_groups_with_examples_and_exit_codes() {
    let help = said(&["--help"]);
    for words in [
        "--config <FILE> [OPTIONS]",
        "Node:",
        "Configuration:",
        "Layer 1:",
        "Serving:",
        "Monitoring:",
        "Keys and money:",
        "Examples:",
        "Exit codes:",
    ] {
        assert!(help.says(&[words]).contains("exit"), "the command `exit` is not named");
    }
    said(&["exit", "--help"]).says(&["--from-layer1", "--key-file", "--account"]);
}

/// The payments layer 2 on a chain, its operator a process started from a file.
struct World {
    chain: Chain,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self { chain: Chain::start(&anvil()), folder: tempfile::tempdir().expect("a folder") }
    }

    fn send(&self, from: Address, value: u128, call: impl SolCall) {
        let input = format!("0x{}", alloy::hex::encode(call.abi_encode()));
        let transaction =
            json!([{ "from": from, "to": self.chain.gateway, "value": U256::from(value), "data": input }]);
        let hash = self.chain.ask("eth_sendTransaction", transaction);
        let receipt = until("the transaction is in a block", || {
            Some(self.chain.ask("eth_getTransactionReceipt", json!([hash]))).filter(|receipt| !receipt.is_null())
        });
        assert_eq!(receipt["status"], "0x1", "{receipt}");
    }

    fn pass(&self, seconds: u64) {
        self.chain.ask("evm_increaseTime", json!([seconds]));
        self.chain.mine();
    }

    /// The way out of this account, in JSON.
    fn exit(&self, account: Address, more: &[&str]) -> Json {
        Said::of(self.exit_command(account, more).arg("--json").output().expect("started")).json()
    }

    fn exit_command(&self, account: Address, more: &[&str]) -> Command {
        let (rpc, gateway, account) = (self.chain.url(), self.chain.gateway.to_string(), account.to_string());
        let mut command = payments(&["exit", "--from-layer1", "--rpc", &rpc, "--gateway", &gateway]);
        command.args(["--account", &account]).args(more);
        command
    }

    /// What a person is told.
    #[track_caller]
    fn tells(&self, account: Address, more: &[&str], words: &[&str]) {
        Said::of(self.exit_command(account, more).output().expect("started")).says(words);
    }
}

#[test]
fn one_leaves_from_layer_1_alone_when_operator_and_node_are_gone() {
    let world = World::new();
    let key = write(world.folder.path(), "op.key", OPERATOR_KEY);
    let text = format!(
        "role = \"operator\"\nrpc = \"{}\"\ngateway = \"{}\"\ndata-dir = \"{}\"\noperator-key-file = \"{}\"\n\
         keep-bond = \"1\"\npoll-ms = 100\nbatch-age-ms = 100\nlog-format = \"json\"\nlog-level = \"info\"\n",
        world.chain.url(),
        world.chain.gateway,
        world.folder.path().join("op").display(),
        key.display(),
    );
    let file = write(world.folder.path(), "node.toml", &text);
    let log = world.folder.path().join("op.log");
    let mut command = payments(&["--json", "--config", file.to_str().expect("text")]);
    command.stderr(std::fs::File::create(&log).expect("made"));
    let operator = Running::start(command);
    assert!(operator.ready["listening"].as_str().is_some_and(|url| url.starts_with("ws://127.0.0.1:")));
    world.send(ALICE, ETHER, PaymentsGateway::depositCall { to: ALICE });
    world.send(BOB, ETHER, PaymentsGateway::depositCall { to: BOB });
    // Alice's request is served, and lies in the challenge window when the operator ends.
    world.send(ALICE, 0, PaymentsGateway::requestExitCall {});
    until("both deposits and the exit are in true batches", || {
        let (alice, bob) = (world.exit(ALICE, &[]), world.exit(BOB, &[]));
        (alice["withdrawn"] == ETHER.to_string() && bob["balance"] == ETHER.to_string()).then_some(())
    });
    assert_eq!(operator.stop(), 0);
    let log = std::fs::read_to_string(&log).expect("a log");
    assert!(!log.is_empty(), "nothing was logged");
    for line in log.lines() {
        let line: Json = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for field in ["timestamp", "level", "target", "message"] {
            assert!(line[field].is_string(), "{field} in {line}");
        }
    }

    // Nobody is there any more but layer 1.
    world.tells(ALICE, &[], &["claimable now", "0 ETH", "claimable later", "1 ETH from 20", "UTC, Unix time"]);
    let early = world.exit(ALICE, &[]);
    assert_eq!((&early["claimable"], &early["call"]), (&json!("0"), &Json::Null), "{early}");
    world.tells(BOB, &[], &["in the layer 2", "1 ETH", "after a halt", "1 ETH in all", "requestExit()"]);
    world.pass(61);
    world.tells(ALICE, &[], &["claimable now", "1 ETH", "the call that claims", "--key-file"]);
    let payer = write(world.folder.path(), "payer.key", PAYER_KEY);
    let payer = ["--key-file", payer.to_str().expect("text")];
    // Somebody else pays for the transaction; the ETH goes to the account, all of it, once.
    let claims = |account: Address| {
        let before = world.chain.balance(account);
        let told = world.exit(account, &payer);
        assert!(told["transaction"].is_string() && told["claimable"] == ETHER.to_string(), "{told}");
        assert_eq!(world.chain.balance(account), before + U256::from(ETHER));
        let after = world.exit(account, &payer);
        assert_eq!((&after["claimable"], &after["transaction"]), (&json!("0"), &Json::Null), "{after}");
    };
    claims(ALICE);

    // Nobody serves Bob; the gateway is halted, and pays what lay in the layer 2.
    world.send(BOB, 0, PaymentsGateway::requestExitCall {});
    world.tells(BOB, &[], &["exit asked for", "anybody can call halt()"]);
    let overdue: u64 =
        world.exit(BOB, &[])["waiting"][0]["overdue"].as_str().expect("a time").parse().expect("seconds");
    let now = world.exit(BOB, &[])["time"].as_str().expect("a time").parse::<u64>().expect("seconds");
    assert!(overdue > now, "{overdue} lies before {now}");
    world.pass(overdue - now + 1);
    world.send(OPERATOR, 0, PaymentsGateway::haltCall {});
    world.tells(BOB, &[], &["halted", "yes", "claimable now", "1 ETH"]);
    claims(BOB);
    Said::of(world.exit_command(BOB, &["--key-file", "/nowhere/key"]).output().expect("started"))
        .fails(1, &["/nowhere/key"]);
}
