//! The payments solution in the whole wallet, with nodes and an operator that cannot be trusted: what the user is shown,
//! and how the money comes back.

mod liar;
mod misbehaving;

use alloy::primitives::{Address, B256, U256};
use payments_protocol::{Domain, Receipt, SignedReceipt};
use secp256k1::SecretKey;
use serde_json::{Value as Json, json};

use crate::day::chain::ask;
use crate::support::{House, Said, Wallet, until};
use liar::Liar;

const NAME: &str = "payments";
/// The same package as the program carries; a change in it needs no new program.
const PLUGIN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../solutions/payments/plugin");
const ETHER: u128 = 1_000_000_000_000_000_000;
const SHOP: &str = "0x00000000000000000000000000000000000000AA";
/// A port on which nothing answers.
const NOWHERE: &str = "ws://127.0.0.1:9";

/// A wallet whose 1 ETH in the payments layer 2 is final.
struct Account {
    house: House,
}

impl Account {
    fn new(options: &[&str], urls: impl FnOnce(&House) -> Vec<String>) -> Self {
        let house = House::rich_on(Wallet::new(), options);
        let all = urls(&house);
        let this = Self { house };
        this.add(&all);
        this.wallet().approve(&this.wallet().run(&["deposit", NAME, "1 ether"]));
        this.until("the deposit is credited", |state| {
            let account = &state["accounts"][0];
            (account["balance"] == ETHER.to_string() && account["verified"] == true).then_some(())
        });
        this
    }

    /// The solution with these URLs.
    fn add(&self, urls: &[String]) {
        let gateway = self.house.devnet.fact("gateway");
        let mut arguments =
            vec!["solution", "add", PLUGIN, "--network", "devnet", "--name", NAME, "--gateway", &gateway];
        for url in urls {
            arguments.extend(["--url", url]);
        }
        let from = self.house.devnet.running.ready["fromBlock"].to_string();
        arguments.extend(["--from-block", &from]);
        let approved = self.wallet().approve(&self.wallet().run(&arguments));
        assert_eq!(approved["state"], "done", "{approved}");
        self.house.runs(NAME);
    }

    fn wallet(&self) -> &Wallet {
        &self.house.wallet
    }

    fn state(&self) -> Json {
        self.house.state(NAME)
    }

    #[track_caller]
    fn until<T>(&self, what: &str, mut look: impl FnMut(&Json) -> Option<T>) -> T {
        let mut last = Json::Null;
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until(what, || {
                last = self.state();
                look(&last)
            })
        }));
        found.unwrap_or_else(|_| panic!("{what}; the last state: {last:#}"))
    }

    /// Waits for an alert of this kind; gives it.
    #[track_caller]
    fn alert(&self, kind: &str) -> Json {
        self.until(&format!("an alert {kind}"), |state| alert_of(state, kind))
    }

    #[track_caller]
    fn no_alert(&self, kind: &str) {
        self.until(&format!("no alert {kind}"), |state| alert_of(state, kind).is_none().then_some(()));
    }

    fn pay(&self, id: &str, to: &str, value: &str) -> Said {
        let value = format!("value={value}");
        self.wallet().run(&[
            "call",
            NAME,
            "makePayment",
            "--param",
            &format!("toAddress={to}"),
            "--param",
            &value,
            "--id",
            id,
        ])
    }

    fn stage_of(state: &Json, reference: &str) -> Option<String> {
        let payments = state["payments"].as_array()?;
        Some(payments.iter().find(|payment| payment["reference"] == reference)?["stage"].as_str()?.to_owned())
    }

    /// The one screen that is shown has these words.
    #[track_caller]
    fn shows(&self, words: &[&str]) {
        let screen = until("a screen is shown", || {
            let list = self.wallet().run(&["screens"]).json();
            Some(list[0]["screen"].to_string()).filter(|screen| screen != "null")
        });
        for word in words {
            assert!(screen.contains(word), "`{word}` is missing in {screen}");
        }
    }

    /// Presses a button of the one screen that is shown, once it has it: the state is told before the screen follows.
    fn press(&self, button: &str) {
        let quoted = Json::from(button).to_string();
        let id = until(&format!("a screen with the button {button} is shown"), || {
            let shown = self.wallet().run(&["screens"]).json()[0].take();
            shown["id"].as_u64().filter(|_| shown["screen"].to_string().contains(&quoted))
        });
        self.wallet().run(&["screens", "answer", &id.to_string(), button]).json();
    }

    /// Approves the next request, which is of this kind; gives it as it was shown.
    fn approve_next(&self, kind: &str) -> Json {
        let request = until(&format!("a request of kind {kind}"), || {
            let list = self.wallet().run(&["approvals"]).json();
            list.as_array()?.iter().find(|request| request["kind"] == kind).cloned()
        });
        let (id, digest) = (request["id"].to_string(), request["digest"].as_str().expect("a digest").to_owned());
        self.wallet().run(&["approvals", "approve", &id, "--digest", &digest]).json();
        request
    }

    fn chain(&self, method: &str, params: Json) -> Json {
        let rpc = self.house.devnet.fact("rpc");
        ask(rpc.trim_start_matches("http://").trim_end_matches('/'), method, &params)
    }

    fn pass(&self, seconds: u64) {
        self.chain("evm_increaseTime", json!([seconds]));
        self.chain("evm_mine", json!([]));
    }

    fn owner_has(&self) -> U256 {
        let owner = self.wallet().run(&["account", "list"]).json()[0]["address"].clone();
        serde_json::from_value(self.chain("eth_getBalance", json!([owner, "latest"]))).expect("a quantity")
    }

    /// From now on the operator promises and answers, and puts nothing on layer 1: it has no ETH to send with.
    fn operator_withholds(&self) {
        let operator = self.house.devnet.running.ready["accounts"][1]["address"].clone();
        self.chain("anvil_setBalance", json!([operator, "0x0"]));
    }
}

fn alert_of(state: &Json, kind: &str) -> Option<Json> {
    state["alerts"].as_array()?.iter().find(|alert| alert["kind"] == kind).cloned()
}

fn text(alert: &Json) -> &str {
    alert["text"].as_str().expect("a text")
}

/// A leaf with more money in it than there is, its proof untouched.
fn richer(method: &str, _: &Json, answer: &mut Json) {
    if method == "l2_getAccount" && answer["result"]["balance"] != "0" {
        answer["result"]["balance"] = json!((5 * ETHER).to_string());
        answer["result"]["pending"]["balance"] = json!((5 * ETHER).to_string());
    }
}

#[test]
fn a_node_that_tells_a_false_balance_is_not_believed_and_the_user_is_told() {
    let liar = std::cell::OnceCell::new();
    let account =
        Account::new(&[], |house| vec![liar.get_or_init(|| Liar::before(&house.devnet.fact("node"))).url.clone()]);
    let liar = liar.get().expect("made");
    liar.lies(richer);
    account.pay("wakes it", SHOP, "1 gwei");
    let alert = account.alert("false-proof");
    assert!(text(&alert).contains(&liar.url) && text(&alert).contains("proves that this is false"), "{alert}");
    let state = account.state();
    assert_eq!(state["accounts"][0]["verified"], false, "{state:#}");
    assert_ne!(state["balance"], (5 * ETHER).to_string(), "the lie is shown as the balance");
    assert_eq!(state["node"]["warning"], alert["text"]);
    // Nothing is signed on top of a lie, and a person sees why.
    account.shows(&["A node tells something false", "You have here", "approve"]);
    account.wallet().tell(&["notices"]).says(&["danger", &liar.url]);
    // The word of the node, for whoever wants it: shown, and not as proven.
    account.wallet().run(&["solution", "dials", NAME, "--state", "node"]).json();
    account.until("the node's word is shown", |state| {
        (state["balance"] == (5 * ETHER).to_string() && state["accounts"][0]["verified"] == false).then_some(())
    });
    assert_eq!(account.wallet().run(&["screens"]).json(), json!([]), "position node watches nothing");
    // Honest again, and proven again.
    liar.is_honest_again();
    account.wallet().run(&["solution", "dials", NAME, "--state", "light"]).json();
    account.until("the balance is proven again", |state| (state["accounts"][0]["verified"] == true).then_some(()));
    account.no_alert("false-proof");
}

#[test]
fn two_nodes_that_disagree_are_named_and_the_one_that_is_proven_wrong_is_left() {
    let liar = std::cell::OnceCell::new();
    let account = Account::new(&[], |house| {
        let honest = house.devnet.fact("node");
        vec![liar.get_or_init(|| Liar::before(&honest)).url.clone(), honest]
    });
    let liar = liar.get().expect("made");
    let honest = account.house.devnet.fact("node");
    let wallet = account.wallet();
    wallet.run(&["solution", "dials", NAME, "--state", "full"]).fails(1, &["offers light, node"]);
    wallet.run(&["solution", "dials", NAME, "--networking", "nodes", "--state", "node"]).json();
    let dials = wallet.run(&["solution", "dials", NAME]).json();
    assert_eq!(
        (&dials[0]["position"], &dials[1]["position"], &dials[2]["position"]),
        (&json!("nodes"), &json!("node"), &json!("own"))
    );
    account.until("both are asked", |state| {
        let nodes = state["node"]["nodes"].as_array()?;
        (nodes.len() == 2 && nodes.iter().all(|node| node["connected"] == true)).then_some(())
    });
    liar.lies(richer);
    account.pay("wakes them", SHOP, "1 gwei").json();
    let alert = account.alert("disagree");
    for words in [liar.url.as_str(), honest.as_str(), "5 ETH", "balance"] {
        assert!(text(&alert).contains(words), "{words} in {alert}");
    }
    // With proofs it is known which of them lies; the wallet goes on with the other.
    wallet.run(&["solution", "dials", NAME, "--state", "light"]).json();
    let alert = account.alert("false-proof");
    assert_eq!(alert["node"], liar.url.as_str());
    account.until("the honest node is believed", |state| {
        (state["accounts"][0]["verified"] == true && state["node"]["url"] == honest.as_str()).then_some(())
    });
    account.pay("goes on", SHOP, "2 gwei").json();
    account.until("a payment goes through the honest one", |state| {
        Account::stage_of(state, "goes on").filter(|stage| stage == "sequenced" || stage == "final")
    });
    // One node only has nothing to compare with.
    let wallet = account.wallet();
    wallet.run(&["solution", "remove", NAME]).json();
    account.add(&[honest]);
    wallet.run(&["solution", "dials", NAME, "--networking", "nodes"]).fails(1, &["several --url"]);
}

#[test]
fn an_operator_that_signs_two_promises_in_one_place_is_shown_and_the_evidence_kept() {
    let liar = std::cell::OnceCell::new();
    let mut account =
        Account::new(&[], |house| vec![liar.get_or_init(|| Liar::before(&house.devnet.fact("node"))).url.clone()]);
    let gateway: Address = account.house.devnet.fact("gateway").parse().expect("an address");
    let domain = Domain::new(31337, gateway);
    let key = account.house.devnet.running.ready["accounts"][1]["key"].as_str().expect("a key").to_owned();
    let key: SecretKey = key.trim_start_matches("0x").parse().expect("a key");
    // The chain of receipts that is told has another message in the place that was promised to this wallet.
    let mut promised: Option<Receipt> = None;
    liar.get().expect("made").lies(move |method, _, answer| match (method, promised) {
        ("l2_sendMessage", None) => {
            let honest = serde_json::from_value::<SignedReceipt>(answer["result"].clone());
            promised = honest.ok().map(|signed| signed.receipt);
        }
        ("l2_getReceipts", Some(honest)) => {
            let other = Receipt { message_id: B256::repeat_byte(7), ..honest }.sign(&domain, &key);
            *answer = json!({ "jsonrpc": "2.0", "id": answer["id"], "result": { "receipts": [other], "next": null } });
        }
        _ => {}
    });
    // So that the promise is open still when the chain of receipts is read.
    account.operator_withholds();
    account.pay("promised", SHOP, "1 gwei").json();
    let alert = account.alert("equivocation");
    assert!(text(&alert).contains("contradict each other"), "{alert}");
    account.shows(&["The operator contradicts itself", "Leave with everything"]);
    // Both signatures stand in the database: the next life knows it from the start, whatever the node tells then.
    liar.get().expect("made").is_honest_again();
    account.house.restart_daemon();
    account.house.runs(NAME);
    account.alert("equivocation");
    until("the screen is shown again", || account.wallet().run(&["screens"]).json()[0]["id"].as_u64());
}

#[test]
fn one_leaves_an_operator_that_withholds_with_one_click_and_in_full() {
    // A promise is late after a twenty-fourth of this.
    let account = Account::new(&["--force", "240"], |house| vec![house.devnet.fact("node")]);
    let before = account.owner_has();
    account.operator_withholds();
    account.pay("promised", SHOP, "0.25 ether").json();
    account
        .until("the payment is promised", |state| Account::stage_of(state, "promised").filter(|stage| stage == "soft"));
    let alert = account.alert("withheld");
    assert!(text(&alert).contains("promised 1 payment of yours"), "{alert}");
    account.shows(&[
        "A promised payment does not appear on layer 1",
        "without the operator's help",
        "Leave with everything: 1 ETH",
        "4 minutes",
    ]);
    // One click; the wallet asks for each of the two transactions, and moves nothing before.
    account.press("leave");
    let funding = account.approve_next("fund");
    assert!(funding["sentence"].as_str().is_some_and(|words| words.contains("for its own fees")), "{funding}");
    let exit = account.approve_next("withdraw");
    let rows = exit["rows"].to_string();
    assert!(rows.contains("requestExit()") && rows.contains("layer-2 account 0"), "{exit}");
    account.alert("leaving");
    account.until("the exit is shown", |state| (state["withdrawals"][0]["stage"] == "requested").then_some(()));
    // Nothing is signed on top of it.
    account.pay("another", SHOP, "1 gwei").fails(1, &["withdrawal under way"]);
    // The operator does not serve it: whoever waits for the gateway's time may halt it, and claims.
    account.pass(241);
    account.alert("overdue");
    account.press("halt");
    let halt = account.approve_next("withdraw");
    assert!(halt["sentence"].as_str().is_some_and(|words| words.contains("protect your value")), "{halt}");
    account.alert("halted");
    account.pass(61);
    account.press("claim");
    account.approve_next("withdraw");
    // All that was there, less what the three transactions and the funding cost: the promised payment never took effect.
    until("everything is back", || {
        let now = account.owner_has();
        (now > before + U256::from(ETHER) - U256::from(ETHER / 50)).then_some(())
    });
}

#[test]
fn a_wallet_restored_from_its_words_finds_its_accounts_and_balances_again() {
    let place = Wallet::nowhere();
    let words = place.run(&["init"]).json()["phrase"].as_str().expect("words").to_owned();
    let house = House::rich_on(place, &[]);
    let account = Account { house };
    let node = vec![account.house.devnet.fact("node")];
    account.add(&node);
    let wallet = account.wallet();
    for _ in 0..3 {
        wallet.run(&["call", NAME, "newAccount"]).json();
    }
    let addresses = |state: &Json| -> Vec<String> {
        let list = state["accounts"].as_array().expect("a list").iter();
        list.map(|one| one["address"].as_str().expect("text").to_owned()).collect()
    };
    let all = account.until("four accounts", |state| Some(addresses(state)).filter(|all| all.len() == 4));
    // Two are funded from layer 1, one by a payment; account 2 is never used.
    wallet.approve(&wallet.run(&["deposit", NAME, "1 ether"]));
    wallet.approve(&wallet.run(&["deposit", NAME, "0.5 ether", "--arg", &all[1]]));
    let has = |state: &Json, index: usize| state["accounts"][index]["balance"].as_str().unwrap_or_default().to_owned();
    account.until("the deposits are credited", |state| {
        (has(state, 0) == ETHER.to_string() && has(state, 1) == (ETHER / 2).to_string()).then_some(())
    });
    account.pay("one", &all[3], "0.125 ether").json();
    account.pay("two", SHOP, "0.25 ether").json();
    let facts = |state: &Json| -> Json {
        let accounts = state["accounts"].as_array().cloned().unwrap_or_default();
        let of = |one: &Json| json!([one["address"], one["balance"], one["withdrawn"], one["nonce"], one["head"]]);
        json!([state["balance"], accounts.iter().map(of).collect::<Vec<_>>()])
    };
    let settled = |state: &Json| {
        let accounts = state["accounts"].as_array()?;
        let done =
            |one: &Json| one["verified"] == true && (one["finality"] == "sequenced" || one["finality"] == "final");
        (accounts.len() == 4 && accounts.iter().all(done) && has(state, 3) == (ETHER / 8).to_string())
            .then(|| facts(state))
    };
    let before = account.until("everything is in a batch", settled);

    // The disk is lost; the words are not.
    let Account { house: House { devnet, wallet, daemon } } = account;
    assert_eq!(daemon.stop(), 0);
    drop(wallet);
    let place = Wallet::nowhere();
    let file = place.secret("words", &words);
    place.run(&["init", "--restore", "--phrase-file", file.to_str().expect("text")]).json();
    let daemon = place.daemon();
    place.run(&["network", "add", "devnet", &devnet.fact("rpc")]).json();
    let account = Account { house: House { devnet, wallet: place, daemon } };
    account.add(&node);
    let after = account.until("the accounts are found again", settled);
    assert_eq!(after, before);
    account.until("the payments are told by the node", |state| {
        let payments = state["payments"].as_array()?;
        let found = |direction: &str, to: &str| {
            payments.iter().any(|one| {
                one["direction"] == direction && one["to"].as_str().is_some_and(|one| one.eq_ignore_ascii_case(to))
            })
        };
        (found("in", &all[3]) && payments.len() >= 2).then_some(())
    });
    // It pays on from there, and makes the account after the last.
    account.pay("three", SHOP, "0.125 ether").json();
    let fresh = account.wallet().run(&["call", NAME, "newAccount"]).json();
    assert!(!all.iter().any(|known| fresh.to_string().contains(known.as_str())), "{fresh} was one of {all:?}");
    account.until("the payment is in a batch", |state| {
        Account::stage_of(state, "three").filter(|stage| stage == "sequenced" || stage == "final")
    });
    assert_eq!(account.state()["accounts"].as_array().map(Vec::len), Some(5));
}

#[test]
fn one_leaves_without_plugin_and_node_after_a_restore() {
    let place = Wallet::nowhere();
    let words = place.run(&["init"]).json()["phrase"].as_str().expect("words").to_owned();
    let account = Account { house: House::rich_on(place, &[]) };
    account.add(&[account.house.devnet.fact("node")]);
    account.wallet().approve(&account.wallet().run(&["deposit", NAME, "1 ether"]));
    let address = account.until("the deposit is credited", |state| {
        let one = &state["accounts"][0];
        (one["balance"] == ETHER.to_string()).then(|| one["address"].clone())
    });
    let Account { house: House { devnet, wallet, daemon } } = account;
    assert_eq!(daemon.stop(), 0);
    drop(wallet);
    // From the words; no node answers; and what is on the disk of the plugin is broken.
    let place = Wallet::nowhere();
    let file = place.secret("words", &words);
    place.run(&["init", "--restore", "--phrase-file", file.to_str().expect("text")]).json();
    let daemon = place.daemon();
    place.run(&["network", "add", "devnet", &devnet.fact("rpc")]).json();
    let mut account = Account { house: House { devnet, wallet: place, daemon } };
    account.add(&[NOWHERE.to_owned()]);
    let packages = account.wallet().home().join("packages");
    let broken: Vec<_> =
        std::fs::read_dir(packages).expect("readable").map(|entry| entry.expect("readable").path()).collect();
    for folder in broken {
        std::fs::write(folder.join("index.js"), "broken").expect("written");
    }
    account.house.restart_daemon();
    let wallet = account.wallet();
    assert_ne!(wallet.run(&["solution", "show", NAME]).json()["plugin"], "running");
    until("the network is connected", || {
        (!wallet.tell(&["exit", NAME, "--no-fund"]).err.contains("still connecting")).then_some(())
    });
    wallet.run(&["exit", NAME, "--no-fund"]).fails(1, &["the fee is about", "entresol fund"]);
    wallet.tell(&["exit", NAME]).says(&["lacks the fee", "entresol exit payments --account 0"]);
    let fund = account.approve_next("fund");
    assert!(fund["sentence"].as_str().is_some_and(|words| words.contains("for the fee of leaving")), "{fund}");
    let shown = until("the account has its fee", || {
        let said = wallet.tell(&["exit", NAME, "--no-fund", "--request-key", "leave"]);
        (said.code == 0).then_some(said)
    });
    let gateway = account.house.devnet.fact("gateway").parse::<Address>().expect("an address").to_string();
    let itself = address.as_str().expect("an address");
    shown.says(&["requestExit()", "What comes next", "node payments exit --from-layer1", &gateway, itself]);
    account.approve_next("exit");
    // The operator is honest and serves it: what is withdrawn can be claimed, by anyone's proof.
    until("the gateway's inbox has the request", || {
        let gateway = account.house.devnet.fact("gateway");
        let filter = json!([{ "fromBlock": "0x0", "address": gateway }]);
        let logs = account.chain("eth_getLogs", filter);
        let who = address.as_str()?.trim_start_matches("0x").to_lowercase();
        // An inbox item of kind 2, a forced exit, of this account.
        logs.as_array()?
            .iter()
            .any(|log| {
                let named = log["topics"][2].as_str().is_some_and(|topic| topic.ends_with(&who));
                named && log["data"].as_str().is_some_and(|data| data.get(2..66) == Some(&format!("{:064x}", 2)))
            })
            .then_some(())
    });
    // The command that was named, with nothing but layer 1 and anybody's key for the fee.
    let (rpc, gateway) = (account.house.devnet.fact("rpc"), account.house.devnet.fact("gateway"));
    let key = account.house.devnet.running.ready["accounts"][2]["key"].as_str().expect("a key").to_owned();
    let key = account.wallet().secret("payer", key.trim_start_matches("0x"));
    let text = address.as_str().expect("an address");
    let way_out =
        ["node", "payments", "exit", "--from-layer1", "--rpc", &rpc, "--gateway", &gateway, "--account", text];
    until("the exit lies in a true batch", || {
        let report = account.wallet().run(&way_out).json();
        (report["withdrawn"] == ETHER.to_string()).then_some(())
    });
    account.pass(61);
    let has = || -> U256 {
        serde_json::from_value(account.chain("eth_getBalance", json!([address, "latest"]))).expect("a quantity")
    };
    let before = has();
    let paying = [&way_out[..], &["--key-file", key.to_str().expect("text")]].concat();
    let claimed = account.wallet().run(&paying).json();
    assert!(claimed["transaction"].is_string(), "{claimed}");
    assert_eq!(has(), before + U256::from(ETHER));
    assert_eq!(account.wallet().run(&way_out).json()["claimable"], "0");
}
