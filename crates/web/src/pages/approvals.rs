//! Requests: everything that is decided, in the wallet's words, and the buttons that decide it. A plugin's own words
//! stand apart, quoted; its screens never stand here.

use entresol_host::messages::{AccountView, ApprovalView, Row, Status};
use maud::{Markup, html};
use serde_json::Value;

use super::{badge, code, facts, table, value};
use crate::text::{document, shown, time, when};

/// Kind of the requests to see accounts.
pub(crate) const CONNECT: &str = "connect";
/// Label of the rows of an install or update that stand for permissions asked for: each can be refused.
const PERMISSION: &str = "May";

/// Requests that wait. `accounts` are the user's, where one of the requests is to see some.
pub(crate) fn approvals(approvals: &[ApprovalView], accounts: &[AccountView], locked: bool) -> Markup {
    html! {
        div.title { h1 { "Waiting for your decision" } a href="approvals/all" { "All requests" } }
        @if approvals.is_empty() { p.empty { "No request waits for you." } }
        @for approval in approvals { (request(approval, accounts, locked)) }
    }
}

pub(crate) fn all_approvals(approvals: &[ApprovalView]) -> Markup {
    let rows: Vec<_> = approvals
        .iter()
        .map(|approval| {
            vec![
                html! { a href=(approval.id) { (approval.id) } },
                when(approval.created_at),
                shown(&approval.kind),
                html! { a href=(approval.id) { (shown(&approval.sentence)) } },
                badge(&approval.state),
            ]
        })
        .collect();
    html! {
        div.title { h1 { "All requests" } a href="../approvals" { "Only those that wait" } }
        (table(&["#", "Asked", "Kind", "Request", "State"], &rows, &html! { "Nobody has asked for anything yet." }))
    }
}

pub(crate) fn approval(approval: &ApprovalView, accounts: &[AccountView], status: &Status) -> Markup {
    let others = status.pending_approvals.saturating_sub(u64::from(approval.state == "pending"));
    html! {
        div.title {
            h1 { "Request " (approval.id) }
            @if others > 0 { a href="../approvals" { (others) " more waiting" } } @else { a href="all" { "All requests" } }
        }
        (request(approval, accounts, status.locked))
    }
}

/// What kind of thing is asked for, in plain words, and the word on the button.
fn words(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "install" => ("A plugin wants to be installed", "Install"),
        "update" => ("A plugin gets another version", "Update"),
        "caller" => ("Someone wants to ask for actions", "Allow"),
        "connect" => ("Someone wants to see your accounts", "Connect"),
        "network" => ("Someone wants to use another network", "Allow"),
        "propose" => ("Someone proposes a layer 2", "Fetch it and look"),
        "call" => ("An action of a layer 2", "Approve"),
        "deposit" => ("Money goes into a layer 2", "Approve"),
        "withdraw" | "exit" => ("A call to leave a layer 2", "Approve"),
        "fund" => ("Money goes to a layer-2 account", "Approve"),
        "send" => ("A transaction from your account", "Send"),
        "bundle" => ("Several transactions from your account", "Send"),
        "replace" | "cancel" => ("A transaction is replaced", "Approve"),
        "sign" => ("A signature", "Sign"),
        "permission" => ("A plugin wants a permission", "Allow"),
        _ => ("A request", "Approve"),
    }
}

/// Everything the command line shows, nothing shortened, and how to decide.
fn request(approval: &ApprovalView, accounts: &[AccountView], locked: bool) -> Markup {
    let waits = approval.state == "pending";
    let (topic, verb) = words(&approval.kind);
    html! {
        article.request data-scope data-request=(approval.id) data-digest=(approval.digest) id={ "request-" (approval.id) } {
            p.topic { span { (topic) } " " (badge(&approval.state)) }
            h2.sentence data-see { (shown(&approval.sentence)) }
            @for warning in &approval.warnings { p.warning role="note" { strong { "Careful: " } (shown(warning)) } }
            (rows(&approval.rows, waits && matches!(approval.kind.as_str(), "install" | "update")))
            @if waits && approval.kind == CONNECT { (choice(&approval.rows, accounts)) }
            @if !approval.causes.is_empty() {
                (facts(&[("Caused by", html! { @for cause in &approval.causes { div { (shown(cause)) } } })]))
            }
            (says(approval))
            @if waits { (decide(approval, locked, verb)) } @else { (decided(approval)) }
            @if let Some(solution) = &approval.solution { (facts(&[("Solution", shown(solution))])) }
            (facts(&[
                ("Digest of what is decided", code(&approval.digest)),
                ("Asked", shown(&time(approval.created_at))),
                ("Waits until", html! { (shown(&time(approval.expires_at))) @if waits { " " small data-left=(approval.expires_at) data-keep {} } }),
            ]))
        }
    }
}

/// The wallet's rows; with `refusable` each permission has a box.
fn rows(rows: &[Row], refusable: bool) -> Markup {
    let permissions = rows.iter().filter(|row| row.label == PERMISSION);
    html! {
        dl.rows {
            @for row in rows.iter().filter(|row| !refusable || row.label != PERMISSION) {
                dt { (shown(&row.label)) }
                dd { (value(&row.value)) }
            }
        }
        @if refusable && permissions.clone().next().is_some() {
            fieldset.permissions {
                legend { "It may (untick what you refuse):" }
                @for row in permissions {
                    label.check { input type="checkbox" checked data-refuse=(row.value); span { (shown(&row.value)) } }
                }
            }
        }
    }
}

/// Which accounts a caller will see: those that the request shows are ticked.
fn choice(rows: &[Row], accounts: &[AccountView]) -> Markup {
    let shown_there = |account: &AccountView| rows.iter().any(|row| row.value.contains(&account.address));
    html! {
        @if !accounts.is_empty() {
            fieldset.permissions {
                legend { "It will see these accounts (tick those that you choose):" }
                @for account in accounts {
                    label.check {
                        input type="checkbox" data-account=(account.index) checked[shown_there(account)];
                        span { "Account " (account.index) " " (code(&account.address)) }
                    }
                }
            }
        }
    }
}

/// The plugin's own rows: quoted, and never among the wallet's.
fn says(approval: &ApprovalView) -> Markup {
    let who = approval.solution.as_deref().unwrap_or("the plugin");
    html! {
        @if !approval.says.is_empty() {
            section.says {
                h3 { "The plugin “" (shown(who)) "” says" }
                p.empty { "Its own words. The wallet does not check them." }
                dl { @for row in &approval.says { dt { "“" (shown(&row.label)) "”" } dd { "“" (shown(&row.value)) "”" } } }
            }
        }
    }
}

fn decide(approval: &ApprovalView, locked: bool, verb: &str) -> Markup {
    html! {
        div.decide {
            @if locked {
                p.warning { "Unlock the wallet above to decide." }
            } @else {
                button.primary type="button" data-decide="approve" data-arm disabled { (verb) }
                button type="button" data-decide="reject" data-arm disabled { "Reject" }
                span.hint data-keep {}
            }
            output data-keep {}
        }
        noscript {
            p { "Decide in a terminal:" }
            pre { "entresol approvals approve " (approval.id) " --digest " (shown(&approval.digest)) "\n"
                  "entresol approvals reject " (approval.id) " --digest " (shown(&approval.digest)) }
        }
    }
}

fn plainly(one: &Value) -> Markup {
    match one {
        Value::String(text) => value(text),
        Value::Array(_) | Value::Object(_) => document(one),
        other => shown(&other.to_string()),
    }
}

fn decided(approval: &ApprovalView) -> Markup {
    let who = match approval.decided_by.as_deref() {
        Some("page") => "you, on this page".to_owned(),
        Some("user") => "you, in a terminal".to_owned(),
        Some(policy) if policy.starts_with("policy ") => format!("{policy}, without asking you"),
        Some(other) => other.to_owned(),
        None => "nobody".to_owned(),
    };
    html! {
        div.decided {
            p {
                @match approval.state.as_str() {
                    "approved" => "Approved. The wallet is at work on it; this page shows its end.",
                    "done" => "Done.",
                    "failed" => "It was approved, and then failed.",
                    "rejected" => "Rejected: nothing has happened.",
                    "expired" => "Nobody decided in time, or who asked has left: nothing has happened.",
                    _ => "It has its end.",
                }
                " " small { "Decided by " (shown(&who)) "." }
            }
            @if let Some(error) = approval.outcome["error"].as_str() {
                p.warning { (shown(error)) }
            } @else if let Some(outcome) = approval.outcome.as_object().filter(|outcome| !outcome.is_empty()) {
                dl { @for (name, one) in outcome.iter().filter(|(_, one)| !one.is_null()) {
                    dt { (shown(name)) }
                    dd { (plainly(one)) }
                } }
            }
        }
    }
}
