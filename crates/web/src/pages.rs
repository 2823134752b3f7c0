//! The pages, from the host's plain data. Every text goes through [`text`](crate::text). What the script finds here:
//!
//! | attribute | means |
//! |---|---|
//! | `data-act` | a form or button that asks for this act; `data-fixed` is JSON that goes with it |
//! | `data-arm` | a button that works only after what stands around it (`data-scope`) was visible for a moment |
//! | `data-see` | what must have been visible before that |
//! | `data-keep` | filled by the script: a refreshed page leaves it alone |
//! | `data-copy` | a button that copies this text |
//! | `data-left` | Unix milliseconds: the time left until then is written here |

mod approvals;
mod callers;
mod overview;
mod records;
mod screen;
mod solutions;

pub(crate) use approvals::{CONNECT, all_approvals, approval, approvals};
pub(crate) use callers::{Callers, callers};
pub(crate) use overview::{Overview, overview};
pub(crate) use records::{accounts, activity, notices, send, transfers};
pub(crate) use solutions::{Solution, solution, solutions};

use entresol_host::messages::Status;
use maud::{DOCTYPE, Markup, html};

use crate::text::{ether, shown};

/// Seconds until a page without the script loads itself again.
const REFRESH: &str = "5";

/// Which entry of the navigation is lit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Overview,
    Approvals,
    Solutions,
    Callers,
    Accounts,
    Send,
    Transfers,
    Activity,
    Notices,
}

const NAVIGATION: &[(Page, &str, &str)] = &[
    (Page::Overview, "Overview", ""),
    (Page::Approvals, "Approvals", "approvals"),
    (Page::Solutions, "Solutions", "solutions"),
    (Page::Callers, "Websites & apps", "callers"),
    (Page::Accounts, "Accounts", "accounts"),
    (Page::Send, "Send", "send"),
    (Page::Transfers, "Transfers", "transfers"),
    (Page::Activity, "Activity", "activity"),
];

/// What stands around a page.
pub(crate) struct Frame<'a> {
    /// The session's part of the path.
    pub(crate) session: &'a str,
    /// Its token, for the script.
    pub(crate) token: &'a str,
    /// Which page it is.
    pub(crate) page: Page,
    /// How the wallet is, if it can be told.
    pub(crate) status: Option<&'a Status>,
}

fn document_of(title: &str, head: &Markup, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Entresol" }
                link rel="icon" href="/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/style.css";
                (head)
            }
            body { (body) }
        }
    }
}

/// A whole page with its navigation.
pub(crate) fn frame(frame: &Frame<'_>, content: &Markup) -> Markup {
    let title = NAVIGATION.iter().find(|(page, _, _)| *page == frame.page).map_or("Notices", |(_, title, _)| title);
    let base = format!("/w/{}/", frame.session);
    let waiting = frame.status.map_or(0, |status| status.pending_approvals);
    let locked = frame.status.is_some_and(|status| status.locked);
    let head = html! {
        meta name="entresol-base" content=(base);
        meta name="entresol-token" content=(frame.token);
        script src="/app.js" defer {}
        noscript { meta http-equiv="refresh" content=(REFRESH); }
    };
    let body = html! {
        header {
            a.brand href=(base) { img src="/icon.svg" alt="" width="28" height="28"; "Entresol" }
            nav aria-label="Pages" {
                @for (page, title, path) in NAVIGATION {
                    a href={ (base) (path) } aria-current=[(*page == frame.page).then_some("page")] {
                        (title)
                        @if *page == Page::Approvals && waiting > 0 { " " span.count { (waiting) } }
                    }
                }
            }
            div.state {
                @if locked { span.badge.bad { "locked" } } @else {
                    span.badge.good { "unlocked" }
                    button.quiet type="button" data-act="lock" title="Nothing is signed until the passphrase is given again" { "Lock" }
                }
                button.quiet type="button" data-act="leave" title="End this session in this browser" { "Sign out" }
            }
        }
        p #connection.banner data-keep hidden {}
        noscript { p.banner { "Without JavaScript this page only shows. Decide in a terminal." } }
        @if locked { (unlock()) }
        main { (content) }
        footer { "Entresol, on this computer only. Plugins, websites and their words are always marked as theirs." }
    };
    document_of(title, &head, &body)
}

/// The one place of the page where the passphrase is asked for.
fn unlock() -> Markup {
    html! {
        form.banner.unlock data-act="unlock" data-clear {
            p { strong { "The wallet is locked." } " Nothing is signed and nothing is decided until you unlock it." }
            label for="passphrase" { "Passphrase of this wallet" }
            div.line {
                input #passphrase type="password" name="passphrase" autocomplete="current-password" required;
                button.primary type="submit" { "Unlock" }
            }
            output data-keep {}
        }
    }
}

/// A page outside any session.
pub(crate) fn message(text: &str) -> Markup {
    let body = html! { main.alone { (brand()) p { (shown(text)) } } };
    document_of("Entresol", &html! {}, &body)
}

/// The page at the address itself: nothing of the wallet stands here.
pub(crate) fn door() -> Markup {
    let body = html! {
        main.alone {
            (brand())
            h1 { "Your wallet is running" }
            p { "To open it in this browser, run this in a terminal and open the link that it prints:" }
            pre { "entresol web" }
            p.empty { "The link works once and for five minutes. It asks for your passphrase there, so that no other program on \
                       this computer can open the wallet for itself. Never type the passphrase into a page that you came to \
                       by another link." }
        }
    };
    document_of("Open the wallet", &html! {}, &body)
}

fn brand() -> Markup {
    html! { p.brand { img src="/icon.svg" alt="" width="28" height="28"; "Entresol" } }
}

/// A page whose content could not be had.
pub(crate) fn problem(why: &str) -> Markup {
    html! { h1 { "This cannot be shown" } p.warning { (shown(why)) } }
}

/// `name: value` lines.
fn facts(rows: &[(&str, Markup)]) -> Markup {
    html! { dl { @for (name, value) in rows { dt { (name) } dd { (value) } } } }
}

fn table(head: &[&str], rows: &[Vec<Markup>], empty: &Markup) -> Markup {
    html! {
        @if rows.is_empty() {
            p.empty { (empty) }
        } @else {
            div.scroll {
                table {
                    thead { tr { @for name in head { th scope="col" { (name) } } } }
                    // The labels stand beside the cells where the screen is too narrow for columns.
                    tbody { @for row in rows { tr { @for (cell, name) in row.iter().zip(head) { td data-label=(name) { (cell) } } } } }
                }
            }
        }
    }
}

fn code(text: &str) -> Markup {
    html! { code { (shown(text)) } }
}

/// A value for people; hexadecimal ones in their own letters.
fn value(text: &str) -> Markup {
    let digits = text.len() >= 32 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
    if text.starts_with("0x") || text.starts_with("m/") || digits { code(text) } else { shown(text) }
}

/// A text with a button that copies it.
fn copyable(text: &str) -> Markup {
    html! {
        span.copyable { (code(text)) button.quiet.small type="button" data-copy=(text) aria-label={ "Copy " (text) } { "Copy" } }
    }
}

/// One of the states below as a coloured word.
fn badge(state: &str) -> Markup {
    let kind = match state.split(':').next().unwrap_or_default() {
        "running" | "asleep" | "active" | "confirmed" | "done" | "approved" | "ok" => "good",
        "failed" | "rejected" | "expired" | "error" | "suspended" | "paused" => "bad",
        "pending" => "waits",
        _ => "plain",
    };
    let words = if state == "pending" { "waits for you" } else { state };
    html! { span class={ "badge " (kind) } { (shown(words)) } }
}

fn amount(wei: &str) -> Markup {
    html! { strong { (shown(&ether(wei))) } " " small { (shown(wei)) " wei" } }
}

fn or_dash(text: Option<Markup>) -> Markup {
    text.unwrap_or_else(|| html! { "–" })
}

/// What goes with an act, as JSON for an attribute: in ASCII, so that nothing in it acts on the text around it.
fn given(fixed: &serde_json::Value) -> String {
    let mut out = String::new();
    for c in fixed.to_string().chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
    out
}

/// A small form with one button and an answer.
fn act(name: &str, fixed: &serde_json::Value, label: &str, class: &str) -> Markup {
    html! {
        span.act {
            button class=(class) type="button" data-act=(name) data-fixed=(given(fixed)) { (label) }
            output data-keep {}
        }
    }
}

#[cfg(test)]
mod tests;
