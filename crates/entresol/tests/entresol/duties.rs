//! What any wallet does, from the command line: keys, backups, sending, signing, books, screens.

use std::process::Stdio;

use serde_json::{Value as Json, json};

use crate::support::{House, PASSPHRASE, Running, Said, Wallet, entresol, until};

const KEY: &str = "0x4646464646464646464646464646464646464646464646464646464646464646";
/// The address of [`KEY`], from EIP-155's example.
const KEY_ADDRESS: &str = "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F";
const NOBODY: &str = "0x00000000000000000000000000000000000000AA";

/// A command with another passphrase.
fn with_passphrase(wallet: &Wallet, passphrase: &str, arguments: &[&str]) -> Said {
    let file = wallet.secret("another-passphrase", passphrase);
    let mut command = entresol();
    command.arg("--json").arg("--home").arg(wallet.home()).arg("--passphrase-file").arg(file).args(arguments);
    Said::of(command.output().expect("started"))
}

fn addresses(wallet: &Wallet) -> Vec<Json> {
    let accounts = wallet.run(&["account", "list"]).json();
    accounts.as_array().expect("a list").iter().map(|account| account["address"].clone()).collect()
}

#[test]
fn keys_go_in_and_out_with_the_passphrase_only() {
    let wallet = Wallet::new();
    let log = wallet.dir.path().join("log");
    let mut command = wallet.command(&["daemon", "--poll-ms", "100"]);
    command.env("ENTRESOL_LOG", "trace").stderr(std::fs::File::create(&log).expect("made"));
    let daemon = Running::start(command);

    let file = wallet.secret("key", KEY);
    let file = file.to_str().expect("text");
    let import = ["account", "import", "--key-file", file];
    with_passphrase(&wallet, "a wrong one", &import).fails(5, &["passphrase"]);
    let odd = wallet.secret("odd", "0x1234");
    wallet.run(&["account", "import", "--key-file", odd.to_str().expect("text")]).fails(1, &["64 hexadecimal digits"]);
    wallet.run(&["account", "import"]).fails(1, &["--key-file FILE"]);
    assert_eq!(addresses(&wallet).len(), 1);
    wallet.tell(&import).says(&["imported-1", KEY_ADDRESS, "do not restore this account"]);
    wallet.run(&import).fails(1, &["already"]);
    assert_eq!(addresses(&wallet)[1..], [json!(KEY_ADDRESS)]);

    for name in ["imported-1", KEY_ADDRESS] {
        assert_eq!(wallet.run(&["account", "export", name]).json()["privateKey"], KEY);
    }
    with_passphrase(&wallet, "a wrong one", &["account", "export", "0"]).fails(5, &["passphrase"]);
    wallet.run_without_passphrase(&["account", "export", "0"]).fails(1, &["--passphrase-file"]);
    wallet.run(&["account", "export", "7"]).fails(1, &["no owner account 7"]);
    wallet.run(&["account", "export", "imported-2"]).fails(1, &["no own account `imported-2`"]);
    // The words' own key, in another wallet, is the same account.
    let own = wallet.run(&["account", "export", "0"]).json()["privateKey"].as_str().expect("text").to_owned();
    let other = Wallet::new();
    let _other_daemon = other.daemon();
    let file = other.secret("key", &own);
    let there = other.run(&["account", "import", "--key-file", file.to_str().expect("text")]).json();
    assert_eq!(there["address"], addresses(&wallet)[0]);

    assert_eq!(daemon.stop(), 0);
    let log = std::fs::read_to_string(log).expect("readable");
    assert!(!log.is_empty(), "nothing was logged");
    for secret in [&KEY[2..], &own[2..], PASSPHRASE] {
        assert!(!log.contains(secret), "a secret stands in the log");
    }
}

#[test]
fn a_backup_is_the_whole_wallet_and_opens_with_its_passphrase() {
    let wallet = Wallet::new();
    let daemon = wallet.daemon();
    let key = wallet.secret("key", KEY);
    wallet.run(&["account", "import", "--key-file", key.to_str().expect("text")]).json();
    let before = addresses(&wallet);
    let file = wallet.dir.path().join("backup");
    let file = file.to_str().expect("text");
    with_passphrase(&wallet, "a wrong one", &["backup", file]).fails(5, &["passphrase"]);
    assert!(!std::path::Path::new(file).exists());
    wallet.tell(&["backup", file]).says(&["The wallet is in", "kB", "restore"]);
    let sealed = std::fs::read(file).expect("readable");
    wallet.run(&["backup", file]).fails(1, &["is there already"]);
    wallet.run(&["backup", "/nonexistent/folder/backup"]).fails(1, &["/nonexistent/folder/backup"]);
    assert_eq!(std::fs::read(file).expect("readable"), sealed, "the backup was written over");

    // A new passphrase; the backup keeps the old one.
    let short = wallet.secret("short", "short");
    let change = |file: &std::path::Path| {
        wallet.run(&["passphrase", "change", "--new-passphrase-file", file.to_str().expect("text")])
    };
    change(&short).fails(1, &["too short"]);
    let new = wallet.secret("new", "a new passphrase");
    with_passphrase(
        &wallet,
        "a wrong one",
        &["passphrase", "change", "--new-passphrase-file", new.to_str().expect("text")],
    )
    .fails(5, &["passphrase"]);
    change(&new).json();
    wallet.run(&["lock"]).json();
    wallet.run(&["unlock"]).fails(5, &["passphrase"]);
    with_passphrase(&wallet, "a new passphrase", &["unlock"]).json();
    assert_eq!(daemon.stop(), 0);

    // Not over a wallet that is there, and not with another passphrase.
    wallet.run(&["restore", file]).fails(1, &["holds a wallet already", "--home"]);
    let place = Wallet::nowhere();
    with_passphrase(&place, "a wrong one", &["restore", file]).fails(1, &["passphrase"]);
    let torn = place.dir.path().join("torn");
    std::fs::write(&torn, &sealed[..sealed.len() / 2]).expect("written");
    place.run(&["restore", torn.to_str().expect("text")]).fails(1, &[]);
    place.run(&["restore", "no/such/file"]).fails(1, &["no/such/file"]);
    assert!(!place.home().exists(), "a restore that failed left something");
    place.tell(&["restore", file]).says(&["The wallet is restored", "0 solutions", "entresol daemon"]);
    let _daemon = place.daemon();
    assert_eq!(addresses(&place), before);
}

#[test]
fn settings_are_shown_and_changed() {
    let wallet = Wallet::new();
    let _daemon = wallet.daemon();
    wallet.tell(&["settings", "show"]).says(&["The seed locks", "Layer 2 while locked"]);
    let before = wallet.run(&["settings", "show"]).json();
    wallet.run_without_passphrase(&["settings", "set", "--auto-lock", "1h"]).fails(1, &["--passphrase-file"]);
    wallet.run(&["settings", "set"]).fails(2, &["--auto-lock"]);
    wallet.run(&["settings", "set", "--auto-lock", "soon"]).fails(1, &["`soon`", "15min"]);
    wallet.run(&["settings", "set", "--auto-lock", "60d"]).fails(1, &["week"]);
    assert_eq!(wallet.run(&["settings", "show"]).json(), before);
    wallet.run(&["settings", "set", "--auto-lock", "1h", "--layer2-while-locked", "off"]).json();
    let after = wallet.run(&["settings", "show"]).json();
    assert_eq!(after, json!({ "autoLockSeconds": 3600, "layer2WhileLocked": false }));
    wallet.tell(&["settings", "show"]).says(&["after 1 h", "off: plugins cannot sign"]);
}

#[test]
fn money_is_sent_signed_for_and_booked() {
    let house = House::rich();
    let wallet = &house.wallet;
    house.install(&["--name", "payments"]);
    wallet.tell(&["fees"]).says(&["slow", "normal", "fast", "ETH", "gwei"]);
    wallet.run(&["fees", "elsewhere"]).fails(1, &["elsewhere"]);

    let refuse = |arguments: &[&str], code: i32, words: &[&str]| {
        wallet.run(arguments).fails(code, words);
        assert_eq!(house.pending(), 0, "{arguments:?} left a request");
    };
    refuse(&["send", "1", NOBODY], 1, &["`1` is no amount of ETH", "0.5 ether"]);
    refuse(&["send", "0 ether", NOBODY], 1, &["nothing would be sent"]);
    refuse(&["send", "99 ether", NOBODY], 1, &["10 ETH"]);
    refuse(&["send", "1 ether", "0x12"], 1, &["to"]);
    refuse(&["send", "1 ether", "0x00000000000000000000000000000000000000Bb"], 1, &["to"]);
    refuse(&["send", "1 ether", NOBODY, "--from", "8"], 1, &["account"]);
    refuse(&["send", "1 ether", NOBODY, "--from", NOBODY], 1, &["no own account"]);
    refuse(&["send", "1 ether", NOBODY, "--network", "elsewhere"], 1, &["elsewhere"]);
    refuse(&["send", "1", NOBODY, "--token", NOBODY], 1, &["token", "no contract"]);
    refuse(&["sign", "message"], 2, &["<TEXT>"]);
    refuse(&["sign", "typed", "no/such/file"], 1, &["no/such/file"]);
    refuse(&["transactions", "speed-up", "0x12"], 1, &["transaction hash"]);
    refuse(&["transactions", "cancel", &format!("0x{}", "11".repeat(32))], 1, &["has sent no transaction"]);
    refuse(&["fund", "payments", "9", "0.1 ether"], 1, &["no layer-2 account 9"]);
    refuse(&["fund", "payments", "0", "much"], 1, &["unit"]);
    refuse(&["activity", "--since", "whenever"], 1, &["`whenever`", "`7d`"]);
    refuse(&["activity", "--since", "1d", "--until", "7d"], 1, &["--since lies after --until"]);
    refuse(&["transfers", "--csv"], 1, &["--csv or --json"]);

    let sent = wallet.approve(&wallet.run(&["send", "1.5 ether", NOBODY, "--speed", "fast"]));
    assert_eq!(sent["state"], "done", "{sent}");
    let hash = sent["outcome"]["transaction"].as_str().expect("a hash").to_owned();
    until("it is settled", || (wallet.run(&["transactions"]).json() == json!([])).then_some(()));
    wallet.tell(&["transactions"]).says(&["No transaction waits"]);

    let signed = wallet.approve(&wallet.run(&["sign", "message", "Good morning"]));
    assert_eq!(signed["outcome"]["signature"].as_str().map(str::len), Some(132), "{signed}");
    let typed = json!({
        "types": { "EIP712Domain": [{ "name": "chainId", "type": "uint256" }], "Mail": [{ "name": "text", "type": "string" }] },
        "primaryType": "Mail", "domain": { "chainId": 1 }, "message": { "text": "hello" },
    });
    let file = wallet.secret("typed.json", &typed.to_string());
    let file = file.to_str().expect("text");
    refuse(&["sign", "typed", file, "--network", "devnet"], 5, &["for chain 1"]);
    wallet.tell(&["sign", "typed", file]).says(&["Mail", "hello", "entresol approvals approve"]);
    let id = wallet.run(&["approvals"]).json()[0]["id"].to_string();
    wallet.run(&["approvals", "reject", &id, "--yes"]).json();

    // A layer-2 account without ETH cannot pay for its exit, and the way out is told.
    until("the first account is there", || house.state("payments")["accounts"][0]["address"].is_string().then_some(()));
    refuse(&["exit", "payments", "--no-fund"], 1, &["has 0 ETH", "entresol fund payments 0"]);
    let funded = wallet.approve(&wallet.run(&["fund", "payments", "0", "0.25 ether"]));
    assert_eq!(funded["state"], "done", "{funded}");
    let deposited = wallet.approve(&wallet.run(&["deposit", "payments", "1 ether"]));
    assert_eq!(deposited["state"], "done", "{deposited}");
    until("everything is settled", || (wallet.run(&["transactions"]).json() == json!([])).then_some(()));
    wallet.tell(&["solution", "check", "payments"]).says(&[
        "Locked for you, says layer 1",
        "1 ETH",
        "Can it pay everybody?",
    ]);
    wallet.run(&["solution", "check", "nobody"]).fails(1, &["entresol solution list"]);

    let csv = wallet.tell(&["transfers", "--csv"]);
    let mut reader = csv::Reader::from_reader(csv.says(&[]).as_bytes());
    let header = reader.headers().expect("a header").clone();
    let lines: Vec<csv::StringRecord> = reader.records().map(|line| line.expect("CSV")).collect();
    let field = |line: &csv::StringRecord, name: &str| {
        line[header.iter().position(|field| field == name).expect("a column")].to_owned()
    };
    let kinds: Vec<String> = lines.iter().map(|line| field(line, "kind")).collect();
    assert_eq!(kinds, ["send", "fund", "deposit"], "{}", csv.out);
    assert_eq!(field(&lines[0], "amount_eth"), "1.5");
    assert_eq!(field(&lines[0], "counterparty"), NOBODY);
    assert_eq!(field(&lines[0], "transaction"), hash);
    assert_eq!(field(&lines[1], "amount_eth"), "0.25");
    assert_eq!((field(&lines[2], "solution"), field(&lines[2], "amount_eth")), ("payments".into(), "1".into()));
    for line in &lines {
        assert!(field(line, "fee_wei").parse::<u128>().expect("a number") > 0, "{line:?}");
        assert_eq!(field(line, "state"), "confirmed");
    }
    assert_eq!(
        wallet.tell(&["transfers", "--csv", "--until", "1d"]).says(&[]).lines().count(),
        1,
        "more than the header"
    );
    wallet.tell(&["transfers", "--until", "1d"]).says(&["Nothing has been deposited"]);

    let actions = |filter: &[&str]| -> Vec<Json> {
        let all: Vec<&str> = ["activity"].iter().chain(filter).copied().collect();
        let rows = wallet.run(&all).json();
        rows.as_array().expect("a list").iter().map(|row| row["action"].clone()).collect()
    };
    assert_eq!(actions(&["--action", "transaction"]).len(), 3);
    assert_eq!(actions(&["--action", "transaction", "--limit", "1"]).len(), 1);
    assert_eq!(actions(&["--until", "1d"]).len(), 0);
    assert!(actions(&["--solution", "payments", "--since", "1d"]).contains(&json!("transaction")));
    assert!(actions(&["--actor", "user"]).len() > 3);
    wallet.tell(&["activity", "--limit", "2"]).says(&["newest 2", "--limit"]);
    wallet.tell(&["activity", "--csv"]).says(&["date,who,did,on,detail,outcome", "transaction"]);
}

#[test]
fn a_plugin_shows_a_screen_and_tells_something() {
    let house = House::new();
    let script = "export default class { constructor({ wallet }) { this.layer2Interface = { actions: [
        { name: 'ask', description: 'asks', params: [], returns: [{ name: 'answer', type: 'string' }], call: async () => {
            const screen = { type: 'Form', props: { name: 'order' }, children: [
                { type: 'Heading', props: {}, children: 'What would you like?' },
                { type: 'Input', props: { name: 'dish', required: true }, children: [] },
                { type: 'Checkbox', props: { name: 'hot', label: 'Hot' }, children: [] },
                { type: 'Button', props: { name: 'send', submit: true }, children: 'Order' } ] };
            return JSON.stringify(await wallet.displayUi(screen, { ask: true })); } },
        { name: 'tell', description: 'tells', params: [], returns: [], call: async () => {
            await wallet.notify({ level: 'warning', text: 'The soup is \\u001b[31mhot', action: 'ask' }); } },
      ], state: [] }; } }";
    house.install_script("kitchen", json!({}), script);
    let wallet = &house.wallet;
    wallet.tell(&["screens"]).says(&["No plugin shows a screen"]);
    wallet.tell(&["notices"]).says(&["Nothing new"]);

    let call = wallet.command(&["call", "kitchen", "ask"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let call = call.expect("started");
    let id = until("the screen is shown", || wallet.run(&["screens"]).json()[0]["id"].as_u64()).to_string();
    wallet.tell(&["screens"]).says(&["kitchen", "waits for your answer", "screens show"]);
    wallet.tell(&["screens", "show", &id]).says(&[
        "WHAT WOULD YOU LIKE?",
        "dish",
        "nothing that you answer here authorises",
    ]);
    let answer = |extra: &[&str]| {
        let all: Vec<&str> = ["screens", "answer", id.as_str()].iter().chain(extra).copied().collect();
        wallet.run(&all)
    };
    answer(&["send"]).fails(1, &["dish"]);
    answer(&["pay"]).fails(1, &["pay"]);
    answer(&["send", "--field", "dish"]).fails(1, &["NAME=VALUE"]);
    answer(&["send", "--field", "dish=soup", "--field", "hot=maybe"]).fails(1, &["checkbox"]);
    answer(&["send", "--field", "dish=soup", "--field", "wine=red"]).fails(1, &["wine"]);
    wallet.run(&["screens", "show", "99"]).fails(1, &["no screen 99"]);
    assert_eq!(wallet.run(&["screens"]).json().as_array().map(Vec::len), Some(1), "a wrong answer closed the screen");
    answer(&["send", "--field", "dish=soup", "--field", "hot=true"]).json();
    let said = Said::of(call.wait_with_output().expect("waited")).json();
    let given: Json = serde_json::from_str(said.as_str().expect("text")).expect("JSON");
    assert_eq!(given["button"], "send");
    assert_eq!(given["fields"], json!({ "dish": "soup", "hot": true }));
    assert_eq!(wallet.run(&["screens"]).json(), json!([]));

    wallet.run(&["call", "kitchen", "tell"]).json();
    let told = wallet.tell(&["notices"]);
    told.says(&["kitchen says", "warning", "The soup is", "entresol call kitchen ask", "notices read"]);
    assert!(!told.out.contains('\u{1b}'), "{told:?}");
    wallet.run(&["notices", "read", "99"]).fails(1, &[]);
    wallet.tell(&["notices", "read"]).says(&["One notice"]);
    wallet.tell(&["notices"]).says(&["Nothing new"]);
    wallet.tell(&["notices", "--all"]).says(&["The soup is"]);
}
