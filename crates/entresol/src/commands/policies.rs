//! Policies: what callers' requests pass without asking.

use alloy::primitives::{Address, U256};
use anyhow::{Context as _, bail};
use entresol_host::messages::{DryRunView, PolicyInput, PolicyView};
use entresol_host::policy::{DAY_MS, Rule, TokenLimit};
use serde_json::json;

use crate::cli::{Policy, PolicyRule};
use crate::commands::callers::{Names, caller_key};
use crate::context::{Context, Daemon};
use crate::output::{table, visible};
use crate::times;
use crate::units::{ether, ether_of, parse_amount};

pub(crate) async fn policy(context: &Context, command: Option<Policy>) -> anyhow::Result<()> {
    let mut daemon = context.daemon().await?;
    match command.unwrap_or(Policy::List) {
        Policy::List => {
            let list: Vec<PolicyView> = daemon.get("policies", json!({})).await?;
            let names = Names::read(&mut daemon).await?;
            context.out.either(&list, |list| list_text(list, &names))
        }
        Policy::Add(rule) => {
            let input = input(&mut daemon, rule).await?;
            let policy: PolicyView = daemon.get("policy_add", input).await?;
            let names = Names::read(&mut daemon).await?;
            context.out.either(&policy, |policy| meaning(policy, &names.words(&policy.caller)))
        }
        Policy::Revoke { id } => {
            daemon.call("policy_revoke", json!({ "id": id })).await?;
            context.out.either(&json!({ "revoked": id }), |_| {
                format!("Policy {id} has ended: such requests wait for your decision again.")
            })
        }
        Policy::Resume { id } => {
            daemon.call("policy_resume", json!({ "id": id })).await?;
            context.out.either(&json!({ "resumed": id }), |_| format!("Policy {id} lets requests pass again."))
        }
        Policy::Try { rule, since: look_back } => {
            let input = input(&mut daemon, rule).await?;
            let since = times::past(&look_back)?;
            let result: DryRunView = daemon.get("policy_dry_run", json!({ "policy": input, "since": since })).await?;
            context.out.either(&result, |result| dry_run(result, since))
        }
    }
}

async fn input(daemon: &mut Daemon, args: PolicyRule) -> anyhow::Result<PolicyInput> {
    let caller = caller_key(daemon, &args.caller).await?;
    let expires_at = args.until.as_deref().map(times::future).transpose()?;
    Ok(PolicyInput { caller, solution: args.solution.clone(), rule: rule(args)?, expires_at })
}

fn rule(args: PolicyRule) -> anyhow::Result<Rule> {
    let (days, per_window) = match (&args.per_day, &args.per_week, &args.per_month) {
        (Some(day), ..) => (1, day),
        (_, Some(week), _) => (7, week),
        (.., Some(month)) => (30, month),
        // clap asks for one of them.
        _ => bail!("give --per-day AMOUNT, --per-week AMOUNT or --per-month AMOUNT"),
    };
    let mut tokens = Vec::new();
    for limit in args.tokens.chunks(3) {
        let [token, per_call, per_window] = limit else { bail!("--token takes an address and two numbers") };
        let number = |text: &str| {
            U256::from_str_radix(text, 10)
                .with_context(|| format!("--token: `{text}` is no whole number of the token's smallest unit"))
        };
        tokens.push(TokenLimit {
            token: address("--token", token)?,
            per_call: number(per_call)?,
            per_window: number(per_window)?,
        });
    }
    let recipients: Vec<Address> =
        args.recipients.iter().map(|text| address("--to", text)).collect::<Result<_, _>>()?;
    Ok(Rule {
        actions: args.actions,
        contracts: args.contracts,
        per_call: parse_amount(&args.per_call).context("--per-call")?,
        per_window: parse_amount(per_window).context("the limit of the day, week or month")?,
        window_ms: days * DAY_MS,
        max_count: args.count,
        recipients: (!recipients.is_empty()).then_some(recipients),
        tokens,
    })
}

/// An address; one in mixed case must have the checksum of EIP-55, which finds mistyped letters.
pub(crate) fn address(option: &str, text: &str) -> anyhow::Result<Address> {
    let address: Address = text
        .parse()
        .map_err(|_| anyhow::anyhow!("{option}: `{text}` is no address; it has 0x and 40 hexadecimal digits"))?;
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let mixed = digits.bytes().any(|b| b.is_ascii_lowercase()) && digits.bytes().any(|b| b.is_ascii_uppercase());
    if mixed && address.to_checksum(None) != text {
        bail!("{option}: `{text}` is mistyped: its capital letters do not fit; copy the address again");
    }
    Ok(address)
}

/// What a policy means, in one paragraph.
fn meaning(policy: &PolicyView, who: &str) -> String {
    let (rule, who, solution) = (&policy.rule, visible(who), visible(&policy.solution));
    let period = period(rule.window_ms);
    let mut text = format!(
        "From now on {who} may call {} of {solution} without asking you, for at most {} a request and {} in any {period}, \
         fees included",
        visible(&list_words(&rule.actions)),
        ether_of(rule.per_call),
        ether_of(rule.per_window),
    );
    if let Some(count) = rule.max_count {
        let times = if count == 1 { "one request".to_owned() } else { format!("{count} requests") };
        text.push_str(&format!(", with at most {times} in any {period}"));
    }
    if let Some(recipients) = &rule.recipients {
        let addresses: Vec<String> = recipients.iter().map(|address| address.to_checksum(None)).collect();
        text.push_str(&format!(", paid to {} only", list_words(&addresses)));
    }
    match policy.expires_at {
        Some(at) => text.push_str(&format!(", until {}.", times::utc(at))),
        None => text.push_str(", until you revoke it."),
    }
    match rule.contracts.is_empty() {
        true => text.push_str(" A layer-1 call that follows from it still asks you."),
        false => text.push_str(&format!(
            " When such a call leads to the layer-1 function {}, that passes too, within the same limits.",
            visible(&list_words(&rule.contracts))
        )),
    }
    for limit in &rule.tokens {
        text.push_str(&format!(
            " Of the token {} it may move {} units a request and {} in any {period} (in the token's smallest unit).",
            limit.token.to_checksum(None),
            limit.per_call,
            limit.per_window
        ));
    }
    text.push_str(&format!(
        " Everything else it asks for waits for your decision as before, and nothing passes while the wallet is locked. \
         A policy limits what {who} asks for; it does not limit what the plugin of {solution} signs with its own \
         layer-2 accounts."
    ));
    format!("{text}\n\nThis is policy {0}; end it with `entresol policy revoke {0}`.", policy.id)
}

fn list_text(list: &[PolicyView], names: &Names) -> String {
    if list.is_empty() {
        return "There is no policy: every request of a caller waits for your decision.".to_owned();
    }
    let rows = list.iter().map(|policy| {
        let rule = &policy.rule;
        let mut state = policy.state.clone();
        if let Some(reason) = &policy.reason {
            state.push_str(&format!(": {reason}"));
        }
        let used = add(&policy.used, &policy.used_fees);
        let recipients = rule
            .recipients
            .as_ref()
            .map(|list| list.iter().map(|address| address.to_checksum(None)).collect::<Vec<_>>().join(", "));
        [
            policy.id.to_string(),
            names.words(&policy.caller),
            format!("{}: {}", policy.solution, rule.actions.join(", ")),
            recipients.unwrap_or_else(|| "anybody".to_owned()),
            ether_of(rule.per_call),
            format!("{used} of {} in any {}", ether_of(rule.per_window), period(rule.window_ms)),
            policy.expires_at.map_or_else(|| "you revoke it".to_owned(), times::utc),
            state,
        ]
    });
    let table = table(&["#", "Caller", "Passes", "Paid to", "A request", "Used", "Until", "State"], rows);
    let mut text =
        format!("{table}\nPolicies limit what callers ask for, not what a plugin signs with its own layer-2 accounts.");
    if let Some(paused) = list.iter().find(|policy| policy.state == "paused") {
        text.push_str(&format!(
            "\nA paused policy lets nothing pass. Look at what has changed, then `entresol policy resume {0}` or \
             `entresol policy revoke {0}`.",
            paused.id
        ));
    }
    text
}

/// Two decimal amounts of wei together, for people.
fn add(amount: &str, fees: &str) -> String {
    let number = |text: &str| U256::from_str_radix(text, 10).unwrap_or_default();
    ether_of(number(amount).saturating_add(number(fees)))
}

fn dry_run(result: &DryRunView, since: u64) -> String {
    let since = times::utc(since);
    if result.rows.is_empty() {
        return format!(
            "Since {since} this caller has asked for nothing of this solution; there is nothing to try it on."
        );
    }
    let mut text = format!(
        "Since {since} it would have passed {} of {} requests without asking you, {} in all.\n",
        result.passed,
        result.rows.len(),
        ether(&result.total)
    );
    let rejected = result.rows.iter().filter(|row| row.passes && row.decided == "rejected").count();
    if rejected > 0 {
        text.push_str(&format!("! Of those that would have passed you rejected {rejected} back then.\n"));
    }
    let rows = result.rows.iter().map(|row| {
        let verdict = match (&row.reason, row.passes) {
            (_, true) => "passes".to_owned(),
            (Some(reason), false) => format!("asks you: {reason}"),
            (None, false) => "asks you".to_owned(),
        };
        [
            times::utc(row.at),
            row.action.clone(),
            row.kind.clone(),
            if row.amount == "0" { String::new() } else { ether(&row.amount) },
            row.decided.clone(),
            verdict,
        ]
    });
    text.push_str(&table(&["When", "Action", "Kind", "Amount", "Back then", "With this policy"], rows));
    text.push_str("\nNothing was changed. Make it with `entresol policy add` and the same options.");
    text
}

fn period(window_ms: u64) -> String {
    match window_ms / DAY_MS {
        1 => "24 hours".to_owned(),
        days if days > 0 && window_ms.is_multiple_of(DAY_MS) => format!("{days} days"),
        _ => format!("{} s", window_ms / 1000),
    }
}

/// `a`, `a and b`, `a, b and c`.
fn list_words(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests;
