//! A screen for the terminal: plain lines, the plugin's name above and a frame that no text of its can leave.

use super::{Kind, Node, Screen};
use crate::text::clean;
use serde_json::Value as Json;

/// The narrowest width that is drawn.
const NARROWEST: usize = 20;
/// Longest title, in characters.
const MAX_TITLE: usize = 60;

/// Renders a screen under the plugin's title, at most `width` characters wide. Every line of the plugin's begins with
/// the frame: nothing that it says can pass for the wallet's.
#[must_use]
pub fn render_text(screen: &Screen, title: &str, width: usize) -> String {
    let mut lines = Vec::new();
    let width = width.max(NARROWEST);
    node(screen.root(), width - 2, &mut lines);
    let mut out = format!("{} shows:\n", clean(title, MAX_TITLE));
    for line in lines {
        out.push_str("│ ");
        out.push_str(&line);
        out.push('\n');
    }
    out.push_str("└─\n");
    out
}

fn node(node: &Node, width: usize, out: &mut Vec<String>) {
    match node.kind {
        Kind::Box | Kind::Form => children(node, width, out),
        Kind::Heading => wrap(&node.text.to_uppercase(), width, out),
        Kind::Text => wrap(&node.text, width, out),
        Kind::Row | Kind::Field => {
            let mut inner = Vec::new();
            children(node, width, &mut inner);
            match inner.as_slice() {
                [one] if node.prop("label").chars().count() + 2 + one.chars().count() <= width => {
                    out.push(format!("{}: {one}", node.prop("label")));
                }
                _ => {
                    wrap(&format!("{}:", node.prop("label")), width, out);
                    indent(inner, width, out);
                }
            }
            if !node.prop("error").is_empty() {
                wrap(&format!("! {}", node.prop("error")), width, out);
            }
        }
        Kind::Value => match node.prop("extra") {
            "" => wrap(node.prop("value"), width, out),
            extra => wrap(&format!("{} ({extra})", node.prop("value")), width, out),
        },
        Kind::Divider => out.push("─".repeat(width.min(40))),
        Kind::Address => wrap(node.prop("address"), width, out),
        Kind::Copyable => wrap(node.prop("value"), width, out),
        // The whole URL: where a link leads is never hidden behind its words.
        Kind::Link => wrap(&format!("{} <{}>", node.text, node.prop("href")), width, out),
        Kind::Image => match node.prop("alt") {
            "" => out.push("[image]".to_owned()),
            alt => wrap(&format!("[image: {alt}]"), width, out),
        },
        Kind::Button => {
            let off = if node.flag("disabled") { " (disabled)" } else { "" };
            wrap(&format!("[ {} ] button {}{off}", node.text, node.prop("name")), width, out);
        }
        Kind::Input => {
            let ty = if node.prop("type").is_empty() { "text" } else { node.prop("type") };
            let shown = match (node.prop("value"), node.prop("placeholder")) {
                ("", "") => String::new(),
                ("", placeholder) => format!(" (for example {placeholder})"),
                (value, _) => format!(" = {value}"),
            };
            let required = if node.flag("required") { ", required" } else { "" };
            wrap(&format!("field {} ({ty}{required}){shown}", node.prop("name")), width, out);
        }
        Kind::Dropdown => {
            wrap(&format!("field {} (one of these)", node.prop("name")), width, out);
            let options = node.props.get("options").and_then(Json::as_array);
            for option in options.into_iter().flatten() {
                let (value, label) = (option["value"].as_str().unwrap_or_default(), option["label"].as_str());
                let chosen = if node.prop("value") == value { "*" } else { "-" };
                wrap(&format!("{chosen} {value}: {}", label.unwrap_or_default()), width, out);
            }
        }
        Kind::Checkbox => {
            let mark = if node.flag("checked") { "x" } else { " " };
            wrap(&format!("[{mark}] {} (field {})", node.prop("label"), node.prop("name")), width, out);
        }
        Kind::Banner => {
            let severity = if node.prop("severity").is_empty() { "info" } else { node.prop("severity") };
            wrap(&format!("({severity}) {}", node.prop("title")), width, out);
            let mut inner = Vec::new();
            children(node, width.saturating_sub(2).max(1), &mut inner);
            indent(inner, width, out);
        }
        Kind::Spinner => match node.prop("label") {
            "" => out.push("…".to_owned()),
            label => wrap(&format!("… {label}"), width, out),
        },
        Kind::Tooltip => {
            children(node, width, out);
            wrap(&format!("({})", node.prop("content")), width, out);
        }
    }
}

fn children(parent: &Node, width: usize, out: &mut Vec<String>) {
    parent.children.iter().for_each(|child| node(child, width, out));
}

fn indent(lines: Vec<String>, width: usize, out: &mut Vec<String>) {
    for line in lines {
        let mut cut = Vec::new();
        wrap(&line, width.saturating_sub(2).max(1), &mut cut);
        out.extend(cut.into_iter().map(|line| format!("  {line}")));
    }
}

/// Breaks at spaces where it can; nothing is left out.
fn wrap(text: &str, width: usize, out: &mut Vec<String>) {
    let mut line = String::new();
    let mut length = 0;
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        if length > 0 && length + 1 + word.len() > width {
            out.push(std::mem::take(&mut line));
            length = 0;
        } else if length > 0 {
            line.push(' ');
            length += 1;
        }
        while word.len() > width {
            out.push(word.drain(..width).collect());
        }
        length += word.len();
        line.extend(word);
    }
    out.push(line);
}
