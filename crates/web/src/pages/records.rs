//! Accounts, sending, and what has happened.

use entresol_host::messages::{AccountView, ActivityView, NetworkView, NoticeView, TransferView};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::{act, badge, code, copyable, or_dash, table};
use crate::text::{ether, foreign, shown, time, when};

pub(crate) fn balances(account: &AccountView) -> Markup {
    html! {
        @for (network, wei) in &account.balances {
            div { span.balance { (shown(&ether(wei))) } " " small { "on " (shown(network)) } }
        }
        @if account.balances.is_empty() { small { "No network answers." } }
    }
}

pub(crate) fn accounts(accounts: &[AccountView]) -> Markup {
    html! {
        div.title { h1 { "Accounts" } (act("account-add", &json!({}), "Add an account", "")) }
        @for account in accounts {
            section.account {
                h2 { "Account " (account.index) @if account.imported { " " span.badge.plain { "imported" } } }
                p { (copyable(&account.address)) }
                (balances(account))
                p.empty {
                    @if account.imported { "An imported key: the twelve words do not restore it, a backup does." }
                    @else { "Path " (code(&account.path)) }
                }
            }
        }
        p.empty { "Keys come in and go out only in a terminal: " code { "entresol account import" } ", " code { "entresol backup" } "." }
    }
}

pub(crate) fn send(networks: &[NetworkView], accounts: &[AccountView]) -> Markup {
    html! {
        h1 { "Send" }
        p.lead { "You see what it will do and what it costs before anything is sent." }
        form.panel data-act="send" data-scope {
            div.field {
                label for="send-from" { "From" }
                select #send-from name="from" {
                    @for account in accounts { option value=(account.index) { "Account " (account.index) ": " (account.address) } }
                }
            }
            div.field {
                label for="send-network" { "Network" }
                select #send-network name="network" {
                    @for network in networks { option value=(network.name) { (network.name) " (chain " (network.chain_id) ")" } }
                }
            }
            div.field {
                label for="send-to" { "To" }
                input #send-to.code type="text" name="to" placeholder="0x…" autocomplete="off" spellcheck="false" required;
            }
            div.field {
                label for="send-amount" { "Amount in ETH, or in whole units of the token" }
                input #send-amount type="text" name="amount" inputmode="decimal" autocomplete="off" placeholder="0.0" required;
            }
            details {
                summary { "A token, or another speed" }
                div.field {
                    label for="send-token" { "Contract of the token (empty for ETH)" }
                    input #send-token.code type="text" name="token" placeholder="0x…" autocomplete="off" spellcheck="false";
                }
                div.field {
                    label for="send-speed" { "Speed" }
                    select #send-speed name="speed" {
                        option value="slow" { "slow: cheap" } option value="normal" selected { "normal" } option value="fast" { "fast: dear" }
                    }
                }
            }
            button.primary type="submit" { "Look at it" }
            output data-keep {}
        }
    }
}

pub(crate) fn transfers(transfers: &[TransferView]) -> Markup {
    html! { h1 { "Transfers" } (transfer_table(transfers)) }
}

pub(super) fn transfer_table(transfers: &[TransferView]) -> Markup {
    let rows: Vec<_> = transfers
        .iter()
        .map(|transfer| {
            let moved = match transfer.asset.as_str() {
                "" | "ETH" => html! { strong { (shown(&ether(&transfer.amount))) } },
                asset if asset.starts_with("0x") => html! { (shown(&transfer.amount)) " of " (code(asset)) },
                asset => html! { (shown(&transfer.amount)) " " (foreign(asset)) },
            };
            vec![
                when(transfer.created_at),
                shown(&transfer.solution),
                html! { (shown(&transfer.kind)) @if transfer.plugin { br; small { "as the plugin tells it" } } },
                moved,
                badge(&transfer.stage),
                or_dash(transfer.transaction.as_deref().map(code)),
                or_dash(transfer.block.map(|n| html! { (n) })),
                or_dash(transfer.approval.map(|n| html! { (n) })),
            ]
        })
        .collect();
    let head = ["Begun", "Solution", "Kind", "Amount", "Stage", "Transaction", "Block", "Request"];
    table(&head, &rows, &html! { "Nothing was deposited or withdrawn yet." })
}

pub(crate) fn notices(notices: &[NoticeView]) -> Markup {
    html! { h1 { "Notices" } @if notices.is_empty() { p.empty { "Nobody has told you anything." } } (notice_list(notices)) }
}

pub(super) fn notice_list(notices: &[NoticeView]) -> Markup {
    html! {
        ul.notices {
            @for notice in notices {
                li class={ "notice " (notice.level) } {
                    p {
                        @if notice.plugin {
                            "The plugin of " strong { (shown(notice.solution.as_deref().unwrap_or("a removed solution"))) } " says: "
                            (foreign(&notice.text))
                        } @else { (shown(&notice.text)) }
                    }
                    p.empty {
                        (shown(&time(i64::try_from(notice.created_at).unwrap_or(i64::MAX))))
                        @if let (Some(solution), Some(action)) = (&notice.solution, &notice.action) {
                            " · it points to " code { (shown(action)) } " of " (shown(solution))
                        }
                        @if !notice.read { " " (act("notice-read", &json!({ "id": notice.id }), "Read", "quiet small")) }
                    }
                }
            }
        }
    }
}

pub(crate) fn activity(rows: &[ActivityView]) -> Markup {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let detail = if row.detail == Value::Null {
                html! {}
            } else {
                code(&row.detail.to_string())
            };
            vec![
                html! { (row.id) },
                when(row.at),
                shown(&row.actor),
                shown(&row.action),
                shown(&row.resource),
                detail,
                row.outcome.as_deref().map_or_else(|| badge("no outcome"), badge),
            ]
        })
        .collect();
    let head = ["#", "When", "Who", "Did", "On", "Detail", "Outcome"];
    html! {
        h1 { "Activity" }
        p.lead { "Everything that has had an effect, with who caused it. Keys and database values never stand here." }
        (table(&head, &rows, &html! { "Nothing happened yet." }))
    }
}
