//! Requests that wait for a decision, and deciding them.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use entresol_host::messages::{ApprovalView, Decision};
use serde_json::json;

use crate::cli::{Approvals, Decide};
use crate::commands::value::time;
use crate::context::{Context, Daemon};
use crate::exit;
use crate::output::{Progress, table, visible};

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
                        time(a.expires_at),
                    ]
                });
                let table = table(&["#", "Kind", "Solution", "State", "Request", "Until"], rows);
                if list.is_empty() { "No request waits for you.".to_owned() } else { table }
            })?;
        }
        Approvals::Show { id } => {
            let approval: ApprovalView = daemon.get("approval", json!({ "id": id })).await?;
            context.out.either(&approval, show)?;
        }
        Approvals::Approve(args) => return decide(context, &mut daemon, args, true).await,
        Approvals::Reject(args) => return decide(context, &mut daemon, args, false).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn decide(context: &Context, daemon: &mut Daemon, args: Decide, approve: bool) -> anyhow::Result<ExitCode> {
    let approval: ApprovalView = daemon.get("approval", json!({ "id": args.id })).await?;
    if approval.state != "pending" {
        bail!("request {} is {} already; see `entresol approvals list --all`", approval.id, visible(&approval.state));
    }
    context.out.line(show(&approval));
    let digest = match args.digest {
        // The daemon compares: it refuses a digest that is not this request's.
        Some(digest) => digest,
        None if args.yes || ask(context, approve)? => approval.digest.clone(),
        None => {
            context.out.line("Nothing was decided.");
            return Ok(ExitCode::from(exit::FAILED));
        }
    };
    let decision = Decision { id: approval.id, approve, digest, refuse: Vec::new() };
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

/// The whole request, nothing shortened.
pub(crate) fn show(approval: &ApprovalView) -> String {
    let mut text = format!("Request {}: {}\n", approval.id, visible(&approval.sentence));
    let mut rows: Vec<[String; 2]> = approval.rows.iter().map(|row| [row.label.clone(), row.value.clone()]).collect();
    rows.push(["State".to_owned(), approval.state.clone()]);
    if let Some(solution) = &approval.solution {
        rows.push(["Solution".to_owned(), solution.clone()]);
    }
    if !approval.causes.is_empty() {
        rows.push(["Caused by".to_owned(), approval.causes.join("; ")]);
    }
    rows.push(["Digest of the intent".to_owned(), approval.digest.clone()]);
    rows.push(["Waits until".to_owned(), time(approval.expires_at)]);
    text.push_str(&table(&[], rows));
    for warning in &approval.warnings {
        text.push_str(&format!("\n! {}", visible(warning)));
    }
    if !approval.outcome.is_null() && approval.state != "pending" {
        text.push_str(&format!("\nOutcome: {}", visible(&approval.outcome.to_string())));
    }
    text
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
