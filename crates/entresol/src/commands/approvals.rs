//! Requests that wait for a decision, and deciding them.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use entresol_host::messages::{ApprovalView, Decision};
use serde_json::json;

use crate::cli::{Approvals, Approve, Decide};
use crate::context::{Context, Daemon};
use crate::exit;
use crate::output::{Progress, table, visible};
use crate::times;

/// How long one wait for an outcome asks the daemon to hold the line.
const POLL_MS: u64 = 30_000;

pub(crate) async fn approvals(context: &Context, command: Option<Approvals>) -> anyhow::Result<ExitCode> {
    let mut daemon = context.daemon().await?;
    match command.unwrap_or(Approvals::List { all: false }) {
        Approvals::List { all } => {
            let list: Vec<ApprovalView> = daemon.get("approvals", json!({ "all": all })).await?;
            context.out.either(&list, |list| {
                let rows = list.iter().map(|a| {
                    [
                        a.id.to_string(),
                        a.kind.clone(),
                        a.solution.clone().unwrap_or_default(),
                        a.state.clone(),
                        a.sentence.clone(),
                        if a.state == "pending" { times::distance(a.expires_at) } else { String::new() },
                    ]
                });
                let table = table(&["#", "Kind", "Solution", "State", "Request", "Expires"], rows);
                if list.is_empty() { "No request waits for you.".to_owned() } else { table }
            })?;
        }
        Approvals::Show { id } => {
            let approval: ApprovalView = daemon.get("approval", json!({ "id": id })).await?;
            context.out.either(&approval, show)?;
        }
        Approvals::Approve(Approve { decide: args, refuse, accounts }) => {
            return decide(context, &mut daemon, args, Some((&refuse, accounts))).await;
        }
        Approvals::Reject(args) => return decide(context, &mut daemon, args, None).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// `yes`: the permissions that are not granted while approving, and the accounts chosen; none to reject the request.
async fn decide(
    context: &Context,
    daemon: &mut Daemon,
    args: Decide,
    yes: Option<(&[String], Vec<u32>)>,
) -> anyhow::Result<ExitCode> {
    let approve = yes.is_some();
    let (refuse, accounts) = yes.unwrap_or_default();
    let approval: ApprovalView = daemon.get("approval", json!({ "id": args.id })).await?;
    if approval.state != "pending" {
        bail!("request {} is {} already; see `entresol approvals list --all`", approval.id, visible(&approval.state));
    }
    let refuse = refused(&approval, refuse)?;
    context.out.line(show(&approval));
    if !refuse.is_empty() {
        context.out.line("You refuse:");
        refuse.iter().for_each(|permission| context.out.line(format!("  {}", visible(permission))));
    }
    let digest = match args.digest {
        // The daemon compares: it refuses a digest that is not this request's.
        Some(digest) => digest,
        None if args.yes || ask(context, approve)? => approval.digest.clone(),
        None => {
            context.out.line("Nothing was decided.");
            return Ok(ExitCode::from(exit::FAILED));
        }
    };
    let decision = Decision { id: approval.id, approve, digest, refuse, accounts };
    let mut approval: ApprovalView = daemon.get("approval_decide", decision).await?;
    if approve && !args.no_wait {
        let progress = Progress::new(context.out, "approved; waiting for what comes of it");
        while matches!(approval.state.as_str(), "approved" | "pending") {
            let params = json!({ "id": approval.id, "finished": true, "timeoutMs": POLL_MS });
            approval = daemon.get("approval_wait", params).await?;
        }
        drop(progress);
    }
    context.out.either(&approval, outcome)?;
    Ok(if approval.state == "failed" { ExitCode::from(exit::FAILED) } else { ExitCode::SUCCESS })
}

fn ask(context: &Context, approve: bool) -> anyhow::Result<bool> {
    // With --json the request was not shown to anybody who could answer.
    if context.out.is_json() || !std::io::stdin().is_terminal() {
        bail!("there is no terminal to ask on; decide with --digest HEX (from `entresol approvals show`) or --yes");
    }
    let question = if approve { "Approve this request? [y/N] " } else { "Reject this request? [y/N] " };
    let mut err = std::io::stderr();
    write!(err, "{question}").and_then(|()| err.flush()).context("cannot ask on the terminal")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("cannot read the answer from the terminal")?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Label of an install's rows that stand for permissions.
const PERMISSION: &str = "May";

/// The permissions meant by `--refuse`: numbers among the rows "May", or words that only one of them has.
fn refused(approval: &ApprovalView, texts: &[String]) -> anyhow::Result<Vec<String>> {
    let asked: Vec<&str> =
        approval.rows.iter().filter(|row| row.label == PERMISSION).map(|row| row.value.as_str()).collect();
    if !texts.is_empty() && asked.is_empty() {
        bail!("request {} asks for no permissions; approve it whole or reject it", approval.id);
    }
    let mut refused: Vec<String> = Vec::new();
    for text in texts {
        let permission = match text.parse::<usize>() {
            Ok(number) => number.checked_sub(1).and_then(|at| asked.get(at)).copied().with_context(|| {
                format!("there is no permission {number} in request {}; it has {}", approval.id, asked.len())
            })?,
            Err(_) => one_of(&asked, text)
                .with_context(|| format!("give its number, see `entresol approvals show {}`", approval.id))?,
        };
        if !refused.iter().any(|known| known == permission) {
            refused.push(permission.to_owned());
        }
    }
    Ok(refused)
}

/// The one of `known` that is `text` or holds it.
pub(crate) fn one_of<'a>(known: &[&'a str], text: &str) -> anyhow::Result<&'a str> {
    if let Some(same) = known.iter().find(|one| **one == text) {
        return Ok(same);
    }
    let wanted = text.to_lowercase();
    let found: Vec<_> = known.iter().filter(|one| one.to_lowercase().contains(&wanted)).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => bail!("no permission is called `{text}`"),
        several => bail!("`{text}` stands in {} permissions", several.len()),
    }
}

/// The whole request, nothing shortened: the wallet's rows, its warnings, and below them what the plugin says.
pub(crate) fn show(approval: &ApprovalView) -> String {
    let mut text = format!("Request {}: {}\n", approval.id, visible(&approval.sentence));
    let mut permissions = 0;
    let mut rows: Vec<[String; 2]> = Vec::new();
    for row in &approval.rows {
        let label = if row.label == PERMISSION {
            permissions += 1;
            format!("{PERMISSION} ({permissions})")
        } else {
            row.label.clone()
        };
        rows.push([label, row.value.clone()]);
    }
    if let Some(solution) = &approval.solution {
        rows.push(["Solution".to_owned(), solution.clone()]);
    }
    rows.extend(approval.causes.iter().map(|cause| ["Caused by".to_owned(), cause.clone()]));
    rows.push(["State".to_owned(), approval.state.clone()]);
    if let Some(who) = &approval.decided_by {
        rows.push(["Decided by".to_owned(), decided_by(who)]);
    }
    rows.push(["Digest of the intent".to_owned(), approval.digest.clone()]);
    if approval.state == "pending" {
        rows.push(["Expires".to_owned(), times::distance(approval.expires_at)]);
    }
    text.push_str(&table(&[], rows));
    for warning in &approval.warnings {
        text.push_str(&format!("\n! {}", visible(warning)));
    }
    if permissions > 0 && approval.state == "pending" {
        text.push_str(&format!(
            "\nYou can refuse single permissions: `entresol approvals approve {} --refuse NUMBER`.",
            approval.id
        ));
    }
    if !approval.says.is_empty() {
        let who = approval.solution.as_deref().unwrap_or("the plugin");
        text.push_str(&format!("\n{} says (its own words; the wallet does not check them):\n", visible(who)));
        text.push_str(&table(&[], approval.says.iter().map(|row| [row.label.clone(), row.value.clone()])));
    }
    if !approval.outcome.is_null() && approval.state != "pending" {
        text.push_str(&format!("\nOutcome: {}", visible(&approval.outcome.to_string())));
    }
    text
}

/// Who decided, in words.
fn decided_by(who: &str) -> String {
    match who {
        "user" => "you".to_owned(),
        "page" => "you, on the wallet's page".to_owned(),
        policy if policy.starts_with("policy ") => format!("{policy}, without asking you (see `entresol policy list`)"),
        other => other.to_owned(),
    }
}

fn outcome(approval: &ApprovalView) -> String {
    let mut text = format!("Request {} is {}.", approval.id, visible(&approval.state));
    if let Some(outcome) = approval.outcome.as_object() {
        for (name, value) in outcome.iter().filter(|(_, value)| !value.is_null()) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text.push_str(&format!("\n  {}: {}", visible(name), visible(&value)));
        }
    }
    text
}

/// What a proposal answers: the request, and how to decide it.
pub(crate) fn proposed(context: &Context, approval: &ApprovalView) -> anyhow::Result<()> {
    context.out.either(approval, |approval| {
        if approval.state == "pending" {
            format!(
                "{}\nDecide with `entresol approvals approve {}` or `… reject {}`.",
                show(approval),
                approval.id,
                approval.id
            )
        } else {
            outcome(approval)
        }
    })
}

#[cfg(test)]
mod tests;
