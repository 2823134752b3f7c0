//! The pages, from the host's plain data. Every text goes through [`text`](crate::text).

use entresol_host::messages::{
    AccountView, ActivityView, ApprovalView, NetworkView, SolutionView, StateView, Status, TransferView,
};
use maud::{DOCTYPE, Markup, html};

use crate::text::{document, ether, foreign, shown, time};

/// Seconds until a page reloads itself. There is no script that could do better.
const REFRESH: &str = "5";

/// Which entry of the navigation is lit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Overview,
    Solutions,
    Approvals,
    Transfers,
    Activity,
}

const NAVIGATION: &[(Page, &str, &str)] = &[
    (Page::Overview, "Overview", ""),
    (Page::Approvals, "Approvals", "approvals"),
    (Page::Solutions, "Solutions", "solutions"),
    (Page::Transfers, "Transfers", "transfers"),
    (Page::Activity, "Activity", "activity"),
];

/// What stands around a page.
pub(crate) struct Frame<'a> {
    /// The session's part of the path.
    pub(crate) session: &'a str,
    /// Which page it is.
    pub(crate) page: Page,
}

fn document_of(title: &str, refresh: bool, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                @if refresh { meta http-equiv="refresh" content=(REFRESH); }
                title { (title) " · Entresol" }
                link rel="stylesheet" href="/style.css";
            }
            body { (body) }
        }
    }
}

/// A whole page with its navigation.
pub(crate) fn frame(frame: &Frame<'_>, content: &Markup) -> Markup {
    let title = NAVIGATION.iter().find(|(page, _, _)| *page == frame.page).map_or("Entresol", |(_, title, _)| title);
    let body = html! {
        header {
            strong { "Entresol" }
            nav aria-label="Pages" {
                @for (page, title, path) in NAVIGATION {
                    a href={ "/w/" (frame.session) "/" (path) } aria-current=[(*page == frame.page).then_some("page")] {
                        (title)
                    }
                }
            }
        }
        main { (content) }
        footer { "This page only reads. Decide on the command line." }
    };
    document_of(title, true, &body)
}

/// A page outside any session.
pub(crate) fn message(text: &str) -> Markup {
    document_of("Entresol", false, &html! { main { h1 { "Entresol" } p { (shown(text)) } } })
}

/// A page whose content could not be had.
pub(crate) fn problem(why: &str) -> Markup {
    html! { h1 { "This cannot be shown" } p.warning { (shown(why)) } }
}

/// `name: value` lines.
fn facts(rows: &[(&str, Markup)]) -> Markup {
    html! { dl { @for (name, value) in rows { dt { (name) } dd { (value) } } } }
}

fn table(head: &[&str], rows: &[Vec<Markup>], empty: &str) -> Markup {
    html! {
        @if rows.is_empty() {
            p.empty { (empty) }
        } @else {
            div.scroll {
                table {
                    thead { tr { @for name in head { th scope="col" { (name) } } } }
                    tbody { @for row in rows { tr { @for cell in row { td { (cell) } } } } }
                }
            }
        }
    }
}

fn code(text: &str) -> Markup {
    html! { code { (shown(text)) } }
}

/// One of the states below as a coloured word.
fn badge(state: &str) -> Markup {
    let kind = match state.split(':').next().unwrap_or_default() {
        "running" | "active" | "confirmed" | "done" | "approved" | "ok" => "good",
        "failed" | "rejected" | "expired" | "error" | "suspended" => "bad",
        _ => "plain",
    };
    html! { span class={ "badge " (kind) } { (shown(state)) } }
}

fn amount(wei: &str) -> Markup {
    html! { (shown(&ether(wei))) " " small { "(" (shown(wei)) " wei)" } }
}

pub(crate) fn overview(status: &Status, accounts: Result<&[AccountView], &str>, solutions: &[SolutionView]) -> Markup {
    html! {
        h1 { "Overview" }
        @if status.pending_approvals > 0 {
            p.warning { (status.pending_approvals) " waiting for your decision: see Approvals." }
        }
        (facts(&[
            ("Version", shown(&status.version)),
            ("Home", code(&status.home)),
            ("Seed", html! { @if status.locked { "locked: nothing is signed" } @else { "open" } }),
        ]))
        h2 { "Networks" }
        (networks(&status.networks))
        h2 { "Accounts" }
        @match accounts {
            Ok(accounts) => (table(&["#", "Address", "Path", "Balances"], &accounts.iter().map(account).collect::<Vec<_>>(),
                "There is no account.")),
            Err(why) => p.warning { (shown(why)) },
        }
        h2 { "Solutions" }
        @let rows: Vec<_> = solutions.iter().map(|s| vec![
            shown(&s.name), foreign(&s.title), shown(&s.network), badge(&s.status), badge(&s.plugin),
        ]).collect();
        (table(&["Name", "Title", "Network", "Status", "Plugin"], &rows, "No solution is registered."))
    }
}

fn networks(networks: &[NetworkView]) -> Markup {
    let rows: Vec<_> = networks
        .iter()
        .map(|network| {
            vec![
                shown(&network.name),
                html! { (network.chain_id) },
                html! { @match network.head { Some(number) => (number), None => "–" } },
                html! { (network.confirmations) },
                html! { @match &network.problem { Some(problem) => span.bad { (shown(problem)) }, None => (badge("ok")) } },
            ]
        })
        .collect();
    table(&["Name", "Chain id", "Head", "Confirmations", "State"], &rows, "There is no network.")
}

fn account(account: &AccountView) -> Vec<Markup> {
    let balances = html! {
        @for (network, wei) in &account.balances { div { (shown(network)) ": " (amount(wei)) } }
        @if account.balances.is_empty() { "–" }
    };
    vec![html! { (account.index) }, code(&account.address), code(&account.path), balances]
}

pub(crate) fn solutions(entries: &[(SolutionView, Result<StateView, String>)]) -> Markup {
    html! {
        h1 { "Solutions" }
        @if entries.is_empty() { p.empty { "No solution is registered. Add one with " code { "entresol solution add" } "." } }
        @for (view, state) in entries {
            section { (solution_facts(view, true)) (published(state.as_ref().map_err(String::as_str))) }
        }
    }
}

pub(crate) fn solution(view: &SolutionView, state: Result<&StateView, &str>) -> Markup {
    html! { h1 { "Solution" } section { (solution_facts(view, false)) (published(state)) } }
}

fn solution_facts(view: &SolutionView, link: bool) -> Markup {
    let list = |items: &[String]| html! { @for item in items { div { (shown(item)) } } @if items.is_empty() { "–" } };
    html! {
        h2 {
            @if link { a href={ "solutions/" (view.name) } { (shown(&view.name)) } } @else { (shown(&view.name)) }
            " " (badge(&view.status)) " " (badge(&view.plugin))
        }
        (facts(&[
            ("Calls itself", foreign(&view.title)),
            ("Network", shown(&view.network)),
            ("Gateway", view.gateway.as_deref().map_or_else(|| html! { "none" }, code)),
            ("Layer-2 URLs", list(&view.network_urls)),
            ("Owner", html! { "account " (view.owner) }),
            ("Keys below", code(&view.key_path)),
            ("Package", shown(&view.package)),
            ("SHA-512", code(&view.package_sha512)),
            ("Interface", code(&view.interface_digest)),
            ("Granted", list(&view.grants)),
        ]))
        h3 { "Actions" }
        @let rows: Vec<_> = view.actions.iter().map(|action| vec![
            code(&action.signature), foreign(&action.description), html! { @if action.read_only { "reads only" } @else { "acts" } },
        ]).collect();
        (table(&["Action", "The plugin says", ""], &rows, "It declares no action."))
    }
}

fn published(state: Result<&StateView, &str>) -> Markup {
    html! {
        h3 { "State, as the plugin publishes it" }
        @match state {
            Ok(state) => (document(&state.state)),
            Err(why) => p.empty { (shown(why)) },
        }
    }
}

pub(crate) fn approvals(approvals: &[ApprovalView], all: bool) -> Markup {
    html! {
        h1 { @if all { "All requests" } @else { "Waiting for your decision" } }
        p { @if all { a href="../approvals" { "Only those that wait" } } @else { a href="approvals/all" { "All requests" } } }
        @if approvals.is_empty() { p.empty { "No request waits for you." } }
        @for approval in approvals { (request(approval)) }
    }
}

/// Everything the command line shows, nothing shortened, and how to decide.
fn request(approval: &ApprovalView) -> Markup {
    let solution = approval.solution.as_deref().map_or_else(|| html! { "none yet" }, shown);
    let causes = html! {
        @for cause in &approval.causes { div { (shown(cause)) } }
        @if approval.causes.is_empty() { "–" }
    };
    let waits = approval.state == "pending";
    html! {
        section.request {
            h2 { "Request " (approval.id) " " (badge(&approval.state)) }
            p.sentence { (shown(&approval.sentence)) }
            @for warning in &approval.warnings { p.warning { (shown(warning)) } }
            dl {
                @for row in &approval.rows { dt { (shown(&row.label)) } dd { (shown(&row.value)) } }
            }
            (facts(&[
                ("Kind", shown(&approval.kind)),
                ("Solution", solution),
                ("Caused by", causes),
                ("Digest of the intent", code(&approval.digest)),
                ("Asked", shown(&time(approval.created_at))),
                ("Waits until", shown(&time(approval.expires_at))),
            ]))
            @if waits {
                p { "Decide in a terminal:" }
                pre { "entresol approvals approve " (approval.id) " --digest " (shown(&approval.digest)) "\n"
                      "entresol approvals reject " (approval.id) " --digest " (shown(&approval.digest)) }
            } @else if !approval.outcome.is_null() {
                h3 { "Outcome" }
                (document(&approval.outcome))
            }
        }
    }
}

pub(crate) fn transfers(transfers: &[TransferView]) -> Markup {
    let or_dash = |text: Option<String>| text.map_or_else(|| html! { "–" }, |text| shown(&text));
    let rows: Vec<_> = transfers
        .iter()
        .map(|transfer| {
            vec![
                html! { (transfer.id) },
                shown(&time(transfer.created_at)),
                shown(&transfer.solution),
                html! { (shown(&transfer.kind)) br; small { (shown(&transfer.function)) } },
                amount(&transfer.amount),
                badge(&transfer.stage),
                transfer.transaction.as_deref().map_or_else(|| html! { "–" }, code),
                or_dash(transfer.block.map(|n| n.to_string())),
                or_dash(transfer.gas_used.map(|n| n.to_string())),
                or_dash(transfer.approval.map(|n| n.to_string())),
            ]
        })
        .collect();
    let head = ["#", "Begun", "Solution", "Kind", "Amount", "Stage", "Transaction", "Block", "Gas", "Request"];
    html! { h1 { "Transfers" } (table(&head, &rows, "Nothing was deposited or withdrawn yet.")) }
}

pub(crate) fn activity(rows: &[ActivityView]) -> Markup {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let detail = if row.detail.is_null() {
                html! {}
            } else {
                code(&row.detail.to_string())
            };
            vec![
                html! { (row.id) },
                shown(&time(row.at)),
                shown(&row.actor),
                shown(&row.action),
                shown(&row.resource),
                detail,
                row.outcome.as_deref().map_or_else(|| badge("no outcome"), badge),
            ]
        })
        .collect();
    let head = ["#", "When", "Who", "Did", "On", "Detail", "Outcome"];
    html! { h1 { "Activity" } (table(&head, &rows, "Nothing happened yet.")) }
}

#[cfg(test)]
mod tests;
