//! Solutions, and one of them: its screens, actions, state, money and permissions.

use entresol_host::messages::{ActionView, ScreenView, SolutionView, StateView, TransferView};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::records::transfer_table;
use super::{act, amount, badge, code, facts, given, screen, value};
use crate::form;
use crate::runs::Run;
use crate::text::{document, foreign, shown, time};

/// Most addresses that a form suggests.
const MOST_KNOWN: usize = 20;

pub(crate) fn solutions(views: &[SolutionView], screens: &[ScreenView]) -> Markup {
    html! {
        h1 { "Solutions" }
        p.lead { "The layer 2s that this wallet speaks to, each by a plugin that has only what you granted." }
        @if views.is_empty() { p.empty { "No solution is registered. Add one in a terminal with " code { "entresol solution add" } "." } }
        @for view in views {
            section {
                h2 { a href={ "solutions/" (view.name) } { (shown(&view.name)) } " " (badge(&view.plugin)) @if view.status != "active" { " " (badge(&view.status)) } }
                p { "Calls itself " (foreign(&view.title)) " · " (view.actions.len()) " actions · on " (shown(&view.network)) }
                @let open = screens.iter().filter(|screen| screen.solution == view.name).count();
                @if open > 0 { p { a href={ "solutions/" (view.name) } { "It shows you a screen" } } }
            }
        }
    }
}

/// What the page of one solution is made of.
pub(crate) struct Solution<'a> {
    pub(crate) view: &'a SolutionView,
    pub(crate) state: Result<&'a StateView, &'a str>,
    pub(crate) refused: &'a [String],
    pub(crate) screens: &'a [ScreenView],
    pub(crate) runs: &'a [Run],
    pub(crate) transfers: &'a [TransferView],
    pub(crate) locked: bool,
}

pub(crate) fn solution(all: &Solution<'_>) -> Markup {
    let view = all.view;
    html! {
        div.title {
            h1 { (shown(&view.name)) " " (badge(&view.plugin)) @if view.status != "active" { " " (badge(&view.status)) } }
            (act("solution-restart", &json!({ "solution": view.name }), "Restart the plugin", "quiet"))
        }
        p.lead { "Calls itself " (foreign(&view.title)) ". On " (shown(&view.network)) ", for account " (view.owner) "." }
        @for one in all.screens.iter().filter(|one| one.solution == view.name) { (screen::framed(one)) }
        @if !all.runs.is_empty() { section { h2 { "Your calls" } @for run in all.runs { (made(run)) } } }
        section { h2 { "State" } p.empty { "As the plugin publishes it." } (published(view, all.state)) }
        section #actions {
            h2 { "Actions" }
            @if all.locked { p.warning { "Unlock the wallet to call an action." } }
            @if view.actions.is_empty() { p.empty { "It declares no action." } }
            datalist id=(form::KNOWN) { @for address in known(all.state) { option value=(address) {} } }
            @for action in &view.actions { (action_form(view, action, all.locked)) }
        }
        @if view.gateway.is_some() { (deposit(view)) }
        @if !all.transfers.is_empty() { section { h2 { "Recent transfers" } (transfer_table(all.transfers)) } }
        (dials(view))
        (permissions(all))
        (details(view))
    }
}

/// A call of the user's own from this page.
fn made(run: &Run) -> Markup {
    html! {
        div.run {
            p { code { (shown(&run.action)) } " " small { (shown(&time(run.at))) } " "
                @match &run.end {
                    None => span.badge.waits { "at work" },
                    Some(Ok(_)) => (badge("done")),
                    Some(Err(_)) => (badge("failed")),
                }
            }
            @match &run.end {
                Some(Ok(answer)) if !answer.is_null() => (document(answer)),
                Some(Err(why)) => p.warning { (shown(why)) },
                _ => {}
            }
        }
    }
}

fn published(view: &SolutionView, state: Result<&StateView, &str>) -> Markup {
    let is_wei = |name: &str| view.state_types.iter().any(|one| one.name == name && one.unit.as_deref() == Some("wei"));
    html! {
        @match state {
            Ok(state) => @match state.state.as_object() {
                Some(fields) if !fields.is_empty() => dl.published { @for (name, one) in fields {
                    dt { (shown(&form::words(name))) }
                    dd { @match one.as_str() { Some(wei) if is_wei(name) => (amount(wei)), _ => (tree(one)) } }
                } },
                Some(_) => p.empty { "Nothing yet." },
                None => (document(&state.state)),
            },
            Err(why) => p.empty { (shown(why)) },
        }
    }
}

/// A JSON value for people: lists and objects as lines, one within the other.
fn tree(one: &Value) -> Markup {
    html! {
        @match one {
            Value::Null => "–",
            Value::Bool(yes) => @if *yes { "yes" } @else { "no" },
            Value::Number(number) => (shown(&number.to_string())),
            Value::String(text) if text.is_empty() => "–",
            Value::String(text) => (value(text)),
            Value::Array(items) if items.is_empty() => "none",
            Value::Array(items) => @for item in items { div.item { (tree(item)) } },
            Value::Object(fields) => dl { @for (name, field) in fields { dt { (shown(&form::words(name))) } dd { (tree(field)) } } },
        }
    }
}

/// Addresses that the published state names: suggested where an action takes one, never for whom a payment goes to.
fn known(state: Result<&StateView, &str>) -> Vec<String> {
    fn collect(one: &Value, found: &mut Vec<String>) {
        match one {
            Value::String(text)
                if found.len() < MOST_KNOWN && text.len() == 42 && text.starts_with("0x") && !found.contains(text) =>
            {
                found.push(text.clone());
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            Value::Object(fields) => fields.values().for_each(|field| collect(field, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    if let Ok(state) = state {
        collect(&state.state, &mut found);
    }
    found
}

/// `makePayment` as `Make payment`.
fn title(name: &str) -> String {
    let words = form::words(name);
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn action_form(view: &SolutionView, action: &ActionView, locked: bool) -> Markup {
    let fixed = json!({ "solution": view.name, "action": action.name });
    html! {
        form.action data-act="call" data-fixed=(given(&fixed)) data-scope id={ "action-" (action.name) } {
            h3 data-see { (shown(&title(&action.name))) @if action.read_only { " " span.badge.plain { "only reads" } } }
            @if !action.description.is_empty() { p { (foreign(&action.description)) } }
            (form::inputs(&format!("in-{}", action.name), &action.params))
            div.line {
                @if action.read_only {
                    button type="submit" disabled[locked] { "Look" }
                } @else {
                    button.primary type="submit" data-arm disabled { "Do it" }
                }
                small { code { (shown(&action.signature)) } }
            }
            output data-keep {}
        }
    }
}

fn deposit(view: &SolutionView) -> Markup {
    html! {
        section {
            h2 { "Deposit" }
            p.empty { "From account " (view.owner) " into the gateway. You see all of it before anything is sent." }
            form data-act="deposit" data-fixed=(given(&json!({ "solution": view.name }))) {
                div.field {
                    label for="deposit-value" { "Amount" }
                    div.amount {
                        input #deposit-value type="text" name="value" inputmode="decimal" autocomplete="off" placeholder="0.0" required;
                        (form::units("unit", "the deposit"))
                    }
                }
                button type="submit" { "Look at it" }
                output data-keep {}
            }
        }
    }
}

/// Only where there is something to choose.
fn dials(view: &SolutionView) -> Markup {
    html! {
        @if view.dials.iter().any(|dial| dial.positions.len() > 1) {
            section #dials {
                h2 { "How much it checks itself" }
                p.empty { "What the plugin takes on itself, and what it leaves to the layer-2 node." }
                form data-act="solution-dials" data-fixed=(given(&json!({ "solution": view.name }))) {
                    @for dial in &view.dials {
                        div.field {
                            label for={ "dial-" (dial.name) } { (question(&dial.name)) }
                            select id={ "dial-" (dial.name) } name=(dial.name) {
                                @for position in &dial.positions {
                                    option value=(position) selected[*position == dial.position] { (meaning(&dial.name, position)) }
                                }
                            }
                        }
                    }
                    button type="submit" { "Move the dials" }
                    output data-keep {}
                }
            }
        }
    }
}

fn question(dial: &str) -> &'static str {
    match dial {
        "networking" => "Whom it asks",
        "state" => "What it believes",
        _ => "Who keeps what happened",
    }
}

/// A position in plain words.
fn meaning<'a>(dial: &str, position: &'a str) -> &'a str {
    match (dial, position) {
        ("networking", "node") => "one node",
        ("networking", "nodes") => "several nodes, and compares what they say",
        ("networking", "peers") => "other wallets",
        ("state", "node") => "what the node says",
        ("state", "light") => "what layer 1 proves about your accounts",
        ("state", "full") => "nothing: it checks every batch itself",
        ("history", "node") => "the node",
        ("history", "own") => "this wallet keeps your own messages and proofs",
        ("history", "all") => "this wallet keeps everything",
        _ => position,
    }
}

fn permissions(all: &Solution<'_>) -> Markup {
    let name = &all.view.name;
    let line = |permission: &String, name_of_act: &str, label: &str, class: &str| {
        html! {
            li { span { (shown(permission)) }
                (act(name_of_act, &json!({ "solution": name, "permission": permission }), label, class)) }
        }
    };
    html! {
        section {
            h2 { "What this plugin may do" }
            @if all.view.grants.is_empty() { p.empty { "Nothing." } }
            ul.grants { @for permission in &all.view.grants { (line(permission, "grant-revoke", "Take back", "danger small")) } }
            @if !all.refused.is_empty() {
                h3 { "What it asked for and may not" }
                ul.grants { @for permission in all.refused { (line(permission, "grant-add", "Allow", "small")) } }
            }
        }
    }
}

fn details(view: &SolutionView) -> Markup {
    let list =
        |items: &[String]| html! { @for item in items { div { (value(item)) } } @if items.is_empty() { "none" } };
    html! {
        details {
            summary { "Package, contract and keys" }
            (facts(&[
                ("Gateway", view.gateway.as_deref().map_or_else(|| html! { "none" }, code)),
                ("Layer-2 URLs", list(&view.network_urls)),
                ("Keys below", code(&view.key_path)),
                ("Package", shown(&view.package)),
                ("SHA-512", code(&view.package_sha512)),
                ("Interface", code(&view.interface_digest)),
                ("Publishes", list(&view.state_names)),
            ]))
        }
    }
}
