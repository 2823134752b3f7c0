//! The wallet before operators that break the protocol by themselves: `--misbehave silent` and `equivocate`, as processes.

use std::cell::RefCell;

use alloy::primitives::U256;
use serde_json::{Value as Json, json};

use super::{Account, ETHER, SHOP, text};
use crate::support::{House, Running, entresol, until};

/// An operator in the place of the devnet's own.
struct Operator {
    running: Running,
    arguments: Vec<String>,
}

impl Operator {
    /// Holds the devnet's operator, for good, and starts another one for the same gateway.
    fn instead_of_the_devnets(house: &House, more: &[&str]) -> Self {
        let devnet = &house.devnet;
        let node = node_of(devnet.running.pid());
        rustix::process::kill_process(node, rustix::process::Signal::STOP).expect("alive");
        let key = devnet.running.ready["accounts"][1]["key"].as_str().expect("a key");
        let key = house.wallet.secret("operator", key.trim_start_matches("0x"));
        let folder = house.wallet.dir.path().join("operator-data");
        let (rpc, gateway) = (devnet.fact("rpc"), devnet.fact("gateway"));
        let arguments = [
            ["--role", "operator"],
            ["--rpc", &rpc],
            ["--gateway", &gateway],
            ["--data-dir", folder.to_str().expect("text")],
            ["--operator-key-file", key.to_str().expect("text")],
            ["--keep-bond", &(4 * ETHER).to_string()],
            ["--poll-ms", "100"],
            ["--batch-age-ms", "200"],
        ];
        let arguments = arguments.into_iter().flatten().map(str::to_owned).collect();
        Self { running: start(&arguments, more), arguments }
    }

    fn url(&self) -> String {
        self.running.ready["listening"].as_str().expect("an address").to_owned()
    }

    /// Ends it, and starts it anew where it was, with one more fault.
    fn turns(self, fault: &str) -> Self {
        let address = self.url().trim_start_matches("ws://").to_owned();
        assert_eq!(self.running.stop(), 0);
        let running = start(&self.arguments, &["--listen", &address, "--misbehave", fault]);
        Self { running, arguments: self.arguments }
    }
}

fn start(arguments: &Vec<String>, more: &[&str]) -> Running {
    let mut command = entresol();
    command.args(["--json", "node", "payments"]).args(arguments).args(more);
    command.stderr(std::process::Stdio::null());
    Running::start(command)
}

/// The payments node among a devnet's children.
fn node_of(devnet: i32) -> rustix::process::Pid {
    let parent = format!("PPid:\t{devnet}\n");
    let found = std::fs::read_dir("/proc").expect("readable").find_map(|entry| {
        let path = entry.ok()?.path();
        let status = std::fs::read_to_string(path.join("status")).ok()?;
        let words = std::fs::read_to_string(path.join("cmdline")).ok()?;
        let is = status.contains(&parent) && words.split('\0').any(|word| word == "--operator-key-file");
        is.then(|| path.file_name()?.to_str()?.parse().ok()).flatten()
    });
    rustix::process::Pid::from_raw(found.expect("the devnet has a node")).expect("a process id")
}

#[test]
fn a_silent_operators_promise_is_shown_as_withheld_and_the_way_out_offered() {
    let operator = RefCell::new(None);
    // A promise is late after a twenty-fourth of this.
    let account = Account::new(&["--force", "240"], |house| {
        let started = Operator::instead_of_the_devnets(house, &[]);
        let url = started.url();
        *operator.borrow_mut() = Some(started);
        vec![url]
    });
    // From now on it promises, and posts nothing.
    let operator = operator.take().expect("started").turns("silent");
    account.until("the node is there again", |state| (state["node"]["connected"] == true).then_some(()));
    account.pay("promised", SHOP, "0.25 ether").json();
    account
        .until("the payment is promised", |state| Account::stage_of(state, "promised").filter(|stage| stage == "soft"));
    let alert = account.alert("withheld");
    assert!(text(&alert).contains("promised 1 payment of yours"), "{alert}");
    account.shows(&["A promised payment does not appear on layer 1", "Leave with everything: 1 ETH"]);
    let before = account.owner_has();
    account.press("leave");
    account.approve_next("fund");
    account.approve_next("withdraw");
    account.until("the exit is shown", |state| (state["withdrawals"][0]["stage"] == "requested").then_some(()));
    // It serves no exit either; the gateway's own rules do.
    account.pass(241);
    account.alert("overdue");
    account.press("halt");
    account.approve_next("withdraw");
    account.alert("halted");
    account.pass(61);
    account.press("claim");
    account.approve_next("withdraw");
    until("everything is back", || {
        (account.owner_has() > before + U256::from(ETHER) - U256::from(ETHER / 50)).then_some(())
    });
    assert_eq!(operator.running.stop(), 0);
}

#[test]
fn an_operator_that_equivocates_by_itself_is_caught_with_the_wallets_own_receipts() {
    let operator = RefCell::new(None);
    let account = Account::new(&[], |house| {
        let started = Operator::instead_of_the_devnets(house, &["--misbehave", "equivocate"]);
        let url = started.url();
        *operator.borrow_mut() = Some(started);
        vec![url]
    });
    account.pay("one", SHOP, "1 gwei").json();
    account.until("the first is promised", |state| Account::stage_of(state, "one"));
    // Every second message gets the place of the one before.
    account.pay("two", SHOP, "2 gwei").json();
    let alert = account.alert("equivocation");
    assert!(text(&alert).contains("contradict each other"), "{alert}");
    account.shows(&["The operator contradicts itself", "Leave with everything"]);
    let state: Json = account.state();
    assert_eq!(state["accounts"][0]["verified"], json!(true), "what layer 1 proves stays proven: {state:#}");
}
