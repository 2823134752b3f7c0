//! Who may ask, what they may see, and what passes without asking.

use entresol_host::Caller;
use entresol_host::messages::{CallerGrantView, PolicyView, SolutionView};
use maud::{Markup, html};
use serde_json::json;

use super::{act, badge, facts};
use crate::text::{ether, shown, time};

/// Milliseconds of an hour.
const HOUR: u64 = 60 * 60 * 1000;

pub(crate) fn callers(grants: &[CallerGrantView], policies: &[PolicyView], solutions: &[SolutionView]) -> Markup {
    let mut names: Vec<&str> = grants.iter().map(|grant| grant.caller.as_str()).collect();
    names.extend(policies.iter().filter(|policy| policy.state != "revoked").map(|policy| policy.caller.as_str()));
    names.sort_unstable();
    names.dedup();
    html! {
        h1 { "Websites & apps" }
        p.lead { "Who may ask this wallet for something. A grant lets them " em { "ask" } ": each action still waits for you, unless a \
                  policy lets it pass within limits that you set." }
        @if names.is_empty() { p.empty { "Nobody was granted anything yet." } }
        @for name in names {
            section.caller {
                (heading(name, solutions))
                @for grant in grants.iter().filter(|grant| grant.caller == name) { (granted(grant)) }
                @for policy in policies.iter().filter(|policy| policy.caller == name && policy.state != "revoked") {
                    (passes(policy))
                }
            }
        }
    }
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

fn list(items: &[String]) -> Markup {
    html! { @for item in items { div { code { (shown(item)) } } } @if items.is_empty() { "nothing" } }
}

fn granted(grant: &CallerGrantView) -> Markup {
    let until = match grant.expires_at {
        Some(at) => shown(&time(i64::try_from(at).unwrap_or(i64::MAX))),
        None => html! { "you take it back" },
    };
    html! {
        (facts(&[
            ("On", html! { a href={ "solutions/" (grant.solution) } { (shown(&grant.solution)) } }),
            ("May ask for", list(&grant.actions)),
            ("May see", list(&grant.state)),
            ("Since", shown(&time(i64::try_from(grant.granted_at).unwrap_or(i64::MAX)))),
            ("Until", until),
        ]))
        (act("caller-revoke", &json!({ "id": grant.id }), "Take back", "danger"))
    }
}

fn passes(policy: &PolicyView) -> Markup {
    let rule = &policy.rule;
    let hours = rule.window_ms / HOUR;
    let window =
        if hours.is_multiple_of(24) && hours > 0 { format!("{} days", hours / 24) } else { format!("{hours} hours") };
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
                ("Actions", list(&rule.actions)),
                ("Layer-1 calls", list(&rule.contracts)),
                ("Each time at most", shown(&ether(&rule.per_call.to_string()))),
                ("In all at most", html! { (shown(&ether(&rule.per_window.to_string()))) " in " (window) }),
                ("Passed in that time", html! { (shown(&ether(&policy.used))) " and " (shown(&ether(&policy.used_fees))) " of fees, " (policy.used_count) " times" }),
                ("To", recipients),
                ("Until", policy.expires_at.map_or_else(|| html! { "you end it" }, |at| shown(&time(i64::try_from(at).unwrap_or(i64::MAX))))),
            ]))
            @if policy.state == "paused" { (act("policy-resume", &json!({ "id": policy.id }), "Let it hold again", "")) " " }
            @if policy.state != "expired" { (act("policy-revoke", &json!({ "id": policy.id }), "End this policy", "danger")) }
        }
    }
}
