use clap::Parser;
use entresol_host::messages::DryRunRow;

use super::*;
use crate::cli::{Cli, Command};

const SHOP: &str = "https://shop.example (browser profile home)";

fn parsed(options: &[&str]) -> anyhow::Result<Rule> {
    let all = ["entresol", "policy", "add", "app:till", "payments", "--action", "pay"];
    match Cli::try_parse_from(all.iter().chain(options))?.command {
        Command::Policy { command: Some(Policy::Add(args)) } => rule(args),
        other => bail!("{other:?}"),
    }
}

fn view(rule: Rule) -> PolicyView {
    PolicyView {
        id: 3,
        caller: "site:home:https://shop.example".into(),
        solution: "payments".into(),
        state: "active".into(),
        reason: None,
        rule,
        used: "100000000000000000".into(),
        used_fees: "20000000000000000".into(),
        used_count: 2,
        created_at: 0,
        expires_at: Some(1_798_761_600_000),
    }
}

#[test]
fn a_policy_is_one_plain_paragraph() {
    let token = "0x00000000000000000000000000000000000000AA";
    let rule = parsed(&[
        "--action",
        "refund",
        "--per-call",
        "0.1 ether",
        "--per-week",
        "0.5 ether",
        "--count",
        "1",
        "--contract",
        "deposit(address)",
        "--token",
        token,
        "5",
        "10",
    ])
    .expect("a rule");
    expect_test(
        &meaning(&view(rule), SHOP),
        &[
            "https://shop.example (browser profile home) may call pay and refund of payments without asking you",
            "0.1 ETH a request and 0.5 ETH in any 7 days, fees included",
            "with at most one request in any 7 days",
            "until 2027-01-01 00:00 UTC.",
            "When such a call leads to the layer-1 function deposit(address), that passes too",
            "5 units a request and 10 in any 7 days",
            "entresol policy revoke 3",
        ],
    );
    let rule = parsed(&["--per-call", "1 gwei", "--per-month", "1 gwei"]).expect("a rule");
    let text = meaning(&PolicyView { expires_at: None, ..view(rule) }, SHOP);
    expect_test(&text, &["until you revoke it. A layer-1 call that follows from it still asks you.", "in any 30 days"]);
    assert!(!text.contains("token"), "{text}");
}

#[track_caller]
fn expect_test(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in\n{text}");
    }
}

#[test]
fn a_list_tells_what_is_used_and_what_is_paused() {
    let rule = parsed(&["--per-call", "0.1 ether", "--per-day", "0.5 ether"]).expect("a rule");
    let mut policy = view(rule);
    policy.state = "paused".into();
    policy.reason = Some("the gateway's code has changed".into());
    let text = list_text(&[policy], &Names::default());
    expect_test(
        &text,
        &["0.12 ETH of 0.5 ETH in any 24 hours", "paused: the gateway's code has changed", "entresol policy resume 3"],
    );
}

#[test]
fn limits_that_make_no_sense_are_named() {
    let check = |options: &[&str], part: &str| {
        let error = format!("{:#}", parsed(options).expect_err("refused"));
        assert!(error.contains(part), "{error}");
    };
    check(&["--per-call", "1"], "--per-day");
    check(&["--per-call", "1", "--per-day", "1.5"], "needs a unit");
    check(&["--per-call", "1", "--per-day", "1", "--to", "0x12"], "--to");
    check(&["--per-call", "1", "--per-day", "1", "--token", "0x12", "5"], "3");
    let token = "0x00000000000000000000000000000000000000aa";
    check(&["--per-call", "1", "--per-day", "1", "--token", token, "1.5", "2"], "smallest unit");
}

#[test]
fn a_dry_run_tells_what_you_rejected() {
    let row = |amount: &str, decided: &str, passes: bool| DryRunRow {
        at: 0,
        action: "pay".into(),
        kind: "call".into(),
        amount: amount.into(),
        decided: decided.into(),
        passes,
        reason: (!passes).then(|| "more than the policy's limit for one request".to_owned()),
    };
    let rows = vec![row("10", "done", true), row("20", "rejected", true), row("30", "rejected", false)];
    let text = dry_run(&DryRunView { passed: 2, total: "120000000000000000".into(), rows }, 0);
    expect_test(
        &text,
        &[
            "2 of 3 requests without asking you, 0.12 ETH in all",
            "you rejected 1 back then",
            "asks you: more than the policy's limit for one request",
            "Nothing was changed",
        ],
    );
}
