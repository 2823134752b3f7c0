//! A plugin's screen: the checked tree as elements of the wallet's, in a frame with the plugin's name. The texts were
//! cleaned by the host; they pass through [`text`](crate::text) all the same.

use entresol_host::messages::ScreenView;
use entresol_host::screen::{Kind, Node, Screen};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::{act, copyable};
use crate::text::shown;

/// The screen with the wallet's frame around it.
pub(super) fn framed(view: &ScreenView) -> Markup {
    let screen: Result<Screen, _> = serde_json::from_value(view.screen.clone());
    html! {
        section.screen aria-label={ "Screen of the plugin " (view.solution) } {
            div.whose {
                p { "The plugin “" strong { (shown(&view.solution)) } "” " @if view.asks { "asks you" } @else { "shows" } }
                (act("screen-close", &json!({ "id": view.id }), "Close", "quiet small"))
            }
            div.tree data-screen=(view.id) {
                @match &screen {
                    Ok(screen) => (node(screen.root(), view.id)),
                    Err(_) => pre { (shown(&view.text)) },
                }
                output data-keep {}
            }
            p.whose.empty { "Drawn by the plugin. Nothing that you answer here authorises anything in the wallet; never type your \
                             passphrase or your twelve words here." }
        }
    }
}

fn children(parent: &Node, screen: u64) -> Markup {
    html! { @for child in &parent.children { (node(child, screen)) } }
}

/// One of the plugin's words for looks as a class of ours; anything else is none.
fn look(node: &Node, name: &str) -> String {
    match node.prop(name) {
        "" => String::new(),
        word if word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') => format!("{name}-{word}"),
        _ => String::new(),
    }
}

fn node(one: &Node, screen: u64) -> Markup {
    let id = format!("screen-{screen}-{}", one.prop("name"));
    html! {
        @match one.kind {
            Kind::Box => div class={ "box " (look(one, "direction")) " " (look(one, "alignment")) } { (children(one, screen)) },
            Kind::Heading => p class={ "heading " (look(one, "size")) } role="heading" aria-level="3" { (shown(&one.text)) },
            Kind::Text => p class={ (look(one, "color")) " " (look(one, "weight")) } { (shown(&one.text)) },
            Kind::Row => div class={ "row " (look(one, "variant")) } { span.label { (shown(one.prop("label"))) } div { (children(one, screen)) } },
            Kind::Value => span.value { (shown(one.prop("value"))) @if !one.prop("extra").is_empty() { " " small { (shown(one.prop("extra"))) } } },
            Kind::Divider => hr;,
            Kind::Address => (copyable(one.prop("address"))),
            Kind::Copyable => (copyable(one.prop("value"))),
            // Where a link leads is never hidden behind its words.
            Kind::Link => p { a href=(one.prop("href")) target="_blank" rel="noopener noreferrer" { (shown(&one.text)) } " " small { (shown(one.prop("href"))) } },
            Kind::Image => img.picture src=(picture(one.prop("svg"))) alt=(one.prop("alt"));,
            Kind::Button => button class=(variant(one)) type="button" data-press=(one.prop("name")) disabled[one.flag("disabled")] { (shown(&one.text)) },
            Kind::Form => div.form role="group" { (children(one, screen)) },
            Kind::Field => div.field { span.label { (shown(one.prop("label"))) } (children(one, screen)) @if !one.prop("error").is_empty() { p.error { (shown(one.prop("error"))) } } },
            Kind::Input => input id=(id) type="text" data-field=(one.prop("name")) value=(one.prop("value")) placeholder=(one.prop("placeholder"))
                aria-label=(one.prop("name")) required[one.flag("required")] autocomplete="off" spellcheck="false"
                inputmode=[matches!(one.prop("type"), "number" | "amount").then_some("decimal")]
                class=[(one.prop("type") == "address").then_some("code")];,
            Kind::Dropdown => select id=(id) data-field=(one.prop("name")) aria-label=(one.prop("name")) { (options(one)) },
            Kind::Checkbox => label.check { input id=(id) type="checkbox" data-field=(one.prop("name")) checked[one.flag("checked")]; span { (shown(one.prop("label"))) } },
            Kind::Banner => div class={ "note " (look(one, "severity")) } { p { strong { (shown(one.prop("title"))) } } (children(one, screen)) },
            Kind::Spinner => p.spinner { (shown(one.prop("label"))) },
            Kind::Tooltip => div.tooltip { (children(one, screen)) small { (shown(one.prop("content"))) } },
        }
    }
}

fn variant(one: &Node) -> &'static str {
    match one.prop("variant") {
        "primary" => "primary",
        "danger" | "warning" => "danger",
        _ => "",
    }
}

fn options(one: &Node) -> Markup {
    html! {
        @for option in one.props.get("options").and_then(Value::as_array).into_iter().flatten() {
            @let value = option["value"].as_str().unwrap_or_default();
            option value=(value) selected[one.prop("value") == value] { (option["label"].as_str().unwrap_or_default()) }
        }
    }
}

/// The cleaned picture as an address that only an `img` follows: nothing in it runs or loads.
fn picture(svg: &str) -> String {
    let mut out = String::from("data:image/svg+xml,");
    for byte in svg.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
