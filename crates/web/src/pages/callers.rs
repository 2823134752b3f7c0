//! Who may ask, what they may see, and what passes without asking; the browsers and apps that they come through.

use entresol_host::Caller;
use entresol_host::messages::{
    AppView, CallerGrantView, ConnectionView, PairingView, PolicyView, ProfileView, SolutionView,
};
use maud::{Markup, html};
use serde_json::json;

use super::{act, badge, code, facts};
use crate::text::{ether, foreign, shown, time};

/// Milliseconds of an hour.
const HOUR: u64 = 60 * 60 * 1000;

/// What the page is made of.
pub(crate) struct Callers<'a> {
    pub(crate) grants: &'a [CallerGrantView],
    pub(crate) policies: &'a [PolicyView],
    pub(crate) connections: &'a [ConnectionView],
    pub(crate) solutions: &'a [SolutionView],
    pub(crate) profiles: &'a [ProfileView],
    pub(crate) pairings: &'a [PairingView],
    pub(crate) apps: &'a [AppView],
}

pub(crate) fn callers(all: &Callers<'_>) -> Markup {
    let policies: Vec<&PolicyView> = all.policies.iter().filter(|policy| policy.state != "revoked").collect();
    let mut names: Vec<&str> = all.grants.iter().map(|grant| grant.caller.as_str()).collect();
    names.extend(policies.iter().map(|policy| policy.caller.as_str()));
    names.extend(all.connections.iter().map(|connection| connection.caller.as_str()));
    names.sort_unstable();
    names.dedup();
    html! {
        h1 { "Websites & apps" }
        p.lead { "Who may ask this wallet for something. A grant lets them " em { "ask" } ": each action still waits for you, unless a \
                  policy lets it pass within limits that you set." }
        @if names.is_empty() { p.empty { "Nobody was granted anything yet." } }
        @for name in names {
            section.caller {
                (heading(name, all.solutions))
                @for connection in all.connections.iter().filter(|connection| connection.caller == name) { (sees(connection)) }
                @for grant in all.grants.iter().filter(|grant| grant.caller == name) { (granted(grant)) }
                @for policy in policies.iter().filter(|policy| policy.caller == name) { (passes(policy)) }
            }
        }
        (browsers(all.profiles, all.pairings))
        (apps(all.apps))
    }
}

fn moment(at: u64) -> Markup {
    shown(&time(i64::try_from(at).unwrap_or(i64::MAX)))
}

/// A caller as a person knows it.
fn heading(key: &str, solutions: &[SolutionView]) -> Markup {
    html! {
        @match Caller::parse(key) {
            Ok(Caller::Site { profile, origin }) => {
                h2 { (shown(&origin)) }
                p.empty { "A website, in the browser profile " (shown(&profile)) }
            }
            Ok(Caller::App { name }) => { h2 { (shown(&name)) } p.empty { "An app on this computer" } }
            Ok(Caller::Solution { id }) => {
                @let name = solutions.iter().find(|solution| solution.id == id).map(|solution| solution.name.as_str());
                h2 { (shown(name.unwrap_or("a removed solution"))) }
                p.empty { "The plugin of another solution" }
            }
            Err(_) => h2 { (shown(key)) },
        }
    }
}

fn list(items: &[String], none: &str) -> Markup {
    html! { @for item in items { div { code { (shown(item)) } } } @if items.is_empty() { (none) } }
}

/// The accounts and the network of a caller.
fn sees(connection: &ConnectionView) -> Markup {
    let accounts = html! {
        @for account in &connection.accounts {
            div { "Account " (account.index) @if let Some(address) = &account.address { " " (code(address)) } }
        }
        @if connection.accounts.is_empty() { "none" }
    };
    html! {
        (facts(&[
            ("Sees your accounts", accounts),
            ("On the network", html! { (shown(&connection.network)) " (chain " (connection.chain_id) ")" }),
            ("Since", moment(connection.changed_at)),
        ]))
        @if !connection.accounts.is_empty() {
            (act("caller-disconnect", &json!({ "caller": connection.caller }), "Disconnect", "danger"))
        }
    }
}

fn granted(grant: &CallerGrantView) -> Markup {
    html! {
        div.grant {
            (facts(&[
                ("On", html! { a href={ "solutions/" (grant.solution) } { (shown(&grant.solution)) } }),
                ("May ask for", list(&grant.actions, "nothing")),
                ("May see", list(&grant.state, "nothing")),
                ("Since", moment(grant.granted_at)),
                ("Until", grant.expires_at.map_or_else(|| html! { "you take it back" }, moment)),
            ]))
            (act("caller-revoke", &json!({ "id": grant.id }), "Take back", "danger"))
        }
    }
}

fn passes(policy: &PolicyView) -> Markup {
    let rule = &policy.rule;
    let window = match (rule.window_ms / HOUR, rule.window_ms % HOUR) {
        (24, 0) => "a day".to_owned(),
        (hours, 0) if hours.is_multiple_of(24) => format!("{} days", hours / 24),
        (hours, 0) => format!("{hours} hours"),
        _ => format!("{} s", rule.window_ms / 1000),
    };
    let recipients = match &rule.recipients {
        Some(list) => html! { @for one in list { div { code { (shown(&one.to_checksum(None))) } } } },
        None => html! { "anybody" },
    };
    html! {
        div.policy {
            h3 { "Passes without asking you " (badge(&policy.state)) }
            @if let Some(reason) = &policy.reason { p.warning { (shown(reason)) } }
            (facts(&[
                ("On", shown(&policy.solution)),
                ("Actions", list(&rule.actions, "none")),
                ("Layer-1 calls", list(&rule.contracts, "none")),
                ("Each time at most", shown(&ether(&rule.per_call.to_string()))),
                ("In all at most", html! { (shown(&ether(&rule.per_window.to_string()))) " in " (window) }),
                ("Passed in that time", html! { (shown(&ether(&policy.used))) " and " (shown(&ether(&policy.used_fees))) " of fees, in " (policy.used_count) " requests" }),
                ("To", recipients),
                ("Until", policy.expires_at.map_or_else(|| html! { "you end it" }, moment)),
            ]))
            @if policy.state == "paused" { (act("policy-resume", &json!({ "id": policy.id }), "Let it hold again", "")) " " }
            @if policy.state != "expired" { (act("policy-revoke", &json!({ "id": policy.id }), "End this policy", "danger")) }
        }
    }
}

/// Paired browsers, and the code of a new one.
fn browsers(profiles: &[ProfileView], pairings: &[PairingView]) -> Markup {
    html! {
        section #browsers {
            h2 { "Browsers" }
            p.empty { "A browser with the extension is paired once. Its websites ask through it." }
            ul.grants {
                @for profile in profiles {
                    li {
                        span { strong { (shown(&profile.name)) } " " small { "paired " (moment(profile.paired_at)) ", key " (shown(&profile.key)) } }
                        (act("profile-remove", &json!({ "name": profile.name }), "Remove", "danger small"))
                    }
                }
            }
            @for pairing in pairings {
                p.warning { "A browser that calls itself " (foreign(&pairing.proposed)) " shows a code and waits to be paired." }
            }
            form data-act="pair" data-clear data-scope {
                div.field {
                    label for="pair-code" { "Code that the extension's window shows" }
                    input #pair-code.code type="text" name="code" autocomplete="off" spellcheck="false" placeholder="XXXX-XXXX" required;
                }
                div.field {
                    label for="pair-name" { "Your name for this browser (may stay empty)" }
                    input #pair-name type="text" name="name" autocomplete="off" spellcheck="false";
                }
                button type="submit" data-arm disabled { "Pair this browser" }
                output data-keep {}
            }
        }
    }
}

fn apps(apps: &[AppView]) -> Markup {
    html! {
        section #apps {
            h2 { "Apps on this computer" }
            p.empty { "Each has an address of its own with a secret in it, which a terminal shows once: " code { "entresol app add NAME" } "." }
            @if apps.is_empty() { p.empty { "None yet." } }
            ul.grants {
                @for app in apps {
                    li {
                        span { strong { (shown(&app.name)) } " " small { "added " (moment(app.added_at)) } }
                        (act("app-remove", &json!({ "name": app.name }), "Remove", "danger small"))
                    }
                }
            }
        }
    }
}
