//! What matters now, on one page.

use entresol_host::messages::{AccountView, ApprovalView, NetworkView, NoticeView, ScreenView, SolutionView, Status};
use maud::{Markup, html};

use super::records::{balances, notice_list};
use super::{badge, copyable, facts, table};
use crate::text::{foreign, shown};

/// What the page is made of.
pub(crate) struct Overview<'a> {
    pub(crate) status: &'a Status,
    pub(crate) accounts: Result<&'a [AccountView], &'a str>,
    pub(crate) solutions: &'a [SolutionView],
    pub(crate) approvals: &'a [ApprovalView],
    pub(crate) notices: &'a [NoticeView],
    pub(crate) screens: &'a [ScreenView],
}

pub(crate) fn overview(all: &Overview<'_>) -> Markup {
    html! {
        h1 { "Overview" }
        @if !all.approvals.is_empty() {
            section.attention {
                h2 { "Waiting for your decision" }
                ul.links {
                    @for approval in all.approvals {
                        li { a href={ "approvals/" (approval.id) } { (shown(&approval.sentence)) } }
                    }
                }
            }
        }
        @if !all.screens.is_empty() {
            section {
                h2 { "Plugins show you something" }
                ul.links {
                    @for screen in all.screens {
                        li { a href={ "solutions/" (screen.solution) } {
                            (shown(&screen.solution)) @if screen.asks { " asks you something" } @else { " shows a screen" }
                        } }
                    }
                }
            }
        }
        @if !all.notices.is_empty() { section { h2 { "News" } (notice_list(all.notices)) p { a href="notices" { "All notices" } } } }
        section {
            h2 { "Accounts" }
            @match all.accounts {
                Ok(accounts) => ul.accounts { @for account in accounts { li {
                    div { (copyable(&account.address)) }
                    div { (balances(account)) }
                } } },
                Err(why) => p.warning { (shown(why)) },
            }
        }
        section {
            h2 { "Layer-2 solutions" }
            @let rows: Vec<_> = all.solutions.iter().map(|s| vec![
                html! { a href={ "solutions/" (s.name) } { strong { (shown(&s.name)) } } },
                foreign(&s.title), shown(&s.network), badge(&s.plugin),
            ]).collect();
            (table(&["Name", "It calls itself", "Network", "Plugin"], &rows, &html! { "None yet. Add one in a terminal with " code { "entresol solution add" } "." }))
        }
        section { h2 { "Networks" } (networks(&all.status.networks)) }
        details {
            summary { "About this wallet" }
            (facts(&[
                ("Version", shown(&all.status.version)),
                ("Home", html! { code { (shown(&all.status.home)) } }),
                ("Seed", html! { @if all.status.locked { "locked: nothing is signed" } @else { "open" } }),
            ]))
        }
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
    table(
        &["Name", "Chain id", "Newest block", "Confirmations", "State"],
        &rows,
        &html! { "There is no network. Add one in a terminal with " code { "entresol network add" } "." },
    )
}
