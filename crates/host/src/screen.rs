//! Screens of plugins: a tree of components, never HTML.
//!
//! The wallet reads the tree strictly (unknown types and properties are errors that name their place), cleans every
//! text and renders it itself, with the plugin's name around it. An answer authorises nothing in the wallet.
//!
//! | component | properties | children |
//! |---|---|---|
//! | `Box` | `direction` (`vertical`, `horizontal`), `alignment` | components |
//! | `Heading`, `Text` | `size`; `color`, `weight` | text |
//! | `Row` | `label`*, `variant` | components |
//! | `Value` | `value`*, `extra` | – |
//! | `Divider`, `Spinner` | –; `label` | – |
//! | `Address` | `address`* | – |
//! | `Copyable` | `value`* | – |
//! | `Link` | `href`* (https) | text |
//! | `Image` | `svg`*, `alt` | – |
//! | `Button` | `name`*, `variant`, `submit`, `disabled` | text |
//! | `Form` | `name`* | components |
//! | `Field` | `label`*, `error` | components |
//! | `Input` | `name`*, `type` (`text`, `number`, `address`, `amount`), `value`, `placeholder`, `required` | – |
//! | `Dropdown` | `name`*, `options`* (`{ value, label }`), `value` | – |
//! | `Checkbox` | `name`*, `label`*, `checked` | – |
//! | `Banner` | `title`*, `severity` (`info`, `success`, `warning`, `danger`) | components |
//! | `Tooltip` | `content`* | components |

mod answer;
mod render;
mod svg;

use crate::error::HostError;
use crate::text::clean;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::collections::BTreeSet;

pub use answer::Answer;
pub use render::render_text;

/// How deep a tree may be.
pub const MAX_DEPTH: usize = 16;
/// Most components of one screen.
pub const MAX_NODES: usize = 500;
/// Longest text of one component, in characters.
pub const MAX_TEXT: usize = 2000;
/// All text of a screen together, in characters.
pub const MAX_ALL_TEXT: usize = 50_000;
/// Longest name of an input or button.
const MAX_NAME: usize = 64;
/// Most options of one dropdown.
const MAX_OPTIONS: usize = 200;

/// A screen that was checked. Its texts are clean; its names are unique.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Screen {
    root: Node,
}

/// One component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Which component.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Its checked properties.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub props: Map<String, Json>,
    /// Its text, of those that have text for children.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// What is in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Node>,
}

/// The components there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the module's table says what each is")]
pub enum Kind {
    Box,
    Heading,
    Text,
    Row,
    Value,
    Divider,
    Address,
    Copyable,
    Link,
    Image,
    Button,
    Form,
    Field,
    Input,
    Dropdown,
    Checkbox,
    Banner,
    Spinner,
    Tooltip,
}

/// What may be in a component.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    Text,
    Nodes,
}

/// The type of a property.
#[derive(Clone, Copy)]
enum Prop {
    Text,
    Name,
    Bool,
    OneOf(&'static [&'static str]),
    Https,
    Address,
    Svg,
    Options,
}

use Prop::{Bool, OneOf};
const VARIANT: Prop = OneOf(&["default", "primary", "secondary", "warning", "danger"]);
const COLOR: Prop = OneOf(&["default", "muted", "success", "warning", "danger"]);

/// Name, type, and whether it must be there.
type Property = (&'static str, Prop, bool);

impl Kind {
    fn known(name: &str) -> Option<Self> {
        serde_json::from_value(Json::String(name.to_owned())).ok()
    }

    const fn rule(self) -> (Inside, &'static [Property]) {
        match self {
            Self::Box => (
                Inside::Nodes,
                &[
                    ("direction", OneOf(&["vertical", "horizontal"]), false),
                    ("alignment", OneOf(&["start", "center", "end", "space-between"]), false),
                ],
            ),
            Self::Heading => (Inside::Text, &[("size", OneOf(&["sm", "md", "lg"]), false)]),
            Self::Text => {
                (Inside::Text, &[("color", COLOR, false), ("weight", OneOf(&["regular", "medium", "bold"]), false)])
            }
            Self::Row => (Inside::Nodes, &[("label", Prop::Text, true), ("variant", VARIANT, false)]),
            Self::Value => (Inside::Nothing, &[("value", Prop::Text, true), ("extra", Prop::Text, false)]),
            Self::Divider => (Inside::Nothing, &[]),
            Self::Address => (Inside::Nothing, &[("address", Prop::Address, true)]),
            Self::Copyable => (Inside::Nothing, &[("value", Prop::Text, true)]),
            Self::Link => (Inside::Text, &[("href", Prop::Https, true)]),
            Self::Image => (Inside::Nothing, &[("svg", Prop::Svg, true), ("alt", Prop::Text, false)]),
            Self::Button => (
                Inside::Text,
                &[
                    ("name", Prop::Name, true),
                    ("variant", VARIANT, false),
                    ("submit", Bool, false),
                    ("disabled", Bool, false),
                ],
            ),
            Self::Form => (Inside::Nodes, &[("name", Prop::Name, true)]),
            Self::Field => (Inside::Nodes, &[("label", Prop::Text, true), ("error", Prop::Text, false)]),
            Self::Input => (
                Inside::Nothing,
                &[
                    ("name", Prop::Name, true),
                    // No `password`: a plugin never asks for one.
                    ("type", OneOf(&["text", "number", "address", "amount"]), false),
                    ("value", Prop::Text, false),
                    ("placeholder", Prop::Text, false),
                    ("required", Bool, false),
                ],
            ),
            Self::Dropdown => (
                Inside::Nothing,
                &[("name", Prop::Name, true), ("options", Prop::Options, true), ("value", Prop::Text, false)],
            ),
            Self::Checkbox => {
                (Inside::Nothing, &[("name", Prop::Name, true), ("label", Prop::Text, true), ("checked", Bool, false)])
            }
            Self::Banner => (
                Inside::Nodes,
                &[("title", Prop::Text, true), ("severity", OneOf(&["info", "success", "warning", "danger"]), false)],
            ),
            Self::Spinner => (Inside::Nothing, &[("label", Prop::Text, false)]),
            Self::Tooltip => (Inside::Nodes, &[("content", Prop::Text, true)]),
        }
    }
}

impl Node {
    /// A text property; empty where absent.
    #[must_use]
    pub fn prop(&self, name: &str) -> &str {
        self.props.get(name).and_then(Json::as_str).unwrap_or_default()
    }

    /// A yes or no; no where absent.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.props.get(name).and_then(Json::as_bool).unwrap_or_default()
    }
}

impl Screen {
    /// Reads and checks a tree as the plugin gave it (plain JSON).
    ///
    /// # Errors
    /// Names the place in the tree and what would be right there.
    pub fn parse(json: &Json) -> Result<Self, HostError> {
        let mut reader = Reader::default();
        let root = reader.node(json, "screen", 1).map_err(HostError::invalid)?;
        Ok(Self { root })
    }

    /// The outermost component.
    #[must_use]
    pub const fn root(&self) -> &Node {
        &self.root
    }

    fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Node)) {
        fn inner<'a>(node: &'a Node, visit: &mut impl FnMut(&'a Node)) {
            visit(node);
            node.children.iter().for_each(|child| inner(child, visit));
        }
        inner(&self.root, visit);
    }
}

#[derive(Default)]
struct Reader {
    nodes: usize,
    text: usize,
    names: BTreeSet<String>,
}

impl Reader {
    fn node(&mut self, json: &Json, at: &str, depth: usize) -> Result<Node, String> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(format!("{at}: more than {MAX_NODES} components"));
        }
        if depth > MAX_DEPTH {
            return Err(format!("{at}: deeper than {MAX_DEPTH}"));
        }
        let object = json.as_object().ok_or_else(|| format!("{at}: {{ type, props, children }} is needed"))?;
        if let Some(key) = object.keys().find(|key| !["type", "props", "children"].contains(&key.as_str())) {
            return Err(format!("{at}: {} is unknown; a component has type, props and children", name_of(key)));
        }
        let name = object.get("type").and_then(Json::as_str).ok_or_else(|| format!("{at}.type is missing"))?;
        let kind = Kind::known(name).ok_or_else(|| format!("{at}.type: there is no component {}", name_of(name)))?;
        let (inside, properties) = kind.rule();
        let at = format!("{at}:{name}");
        let props = self.props(object.get("props"), properties, &at)?;
        let mut node = Node { kind, props, text: String::new(), children: Vec::new() };
        let given = match object.get("children") {
            None | Some(Json::Null) => &[],
            Some(Json::Array(list)) => list.as_slice(),
            Some(one) => std::slice::from_ref(one),
        };
        match inside {
            Inside::Nothing if !given.is_empty() => return Err(format!("{at}: has no children")),
            Inside::Nothing => {}
            Inside::Text => {
                let mut text = String::new();
                for (index, part) in given.iter().enumerate() {
                    text.push_str(part.as_str().ok_or_else(|| format!("{at}[{index}]: only text may stand here"))?);
                }
                node.text = self.text(&text, &at)?;
            }
            Inside::Nodes => {
                for (index, child) in given.iter().enumerate() {
                    let place = format!("{at}[{index}]");
                    // Bare text is a Text.
                    node.children.push(match child.as_str() {
                        Some(text) => {
                            self.nodes += 1;
                            let text = self.text(text, &place)?;
                            Node { kind: Kind::Text, props: Map::new(), text, children: Vec::new() }
                        }
                        None => self.node(child, &place, depth + 1)?,
                    });
                }
            }
        }
        if self.nodes > MAX_NODES {
            return Err(format!("{at}: more than {MAX_NODES} components"));
        }
        Ok(node)
    }

    fn props(&mut self, json: Option<&Json>, rules: &[Property], at: &str) -> Result<Map<String, Json>, String> {
        let empty = Map::new();
        let given = match json {
            None | Some(Json::Null) => &empty,
            Some(Json::Object(map)) => map,
            Some(_) => return Err(format!("{at}.props: an object is needed")),
        };
        if let Some(key) = given.keys().find(|key| !rules.iter().any(|(name, ..)| name == key)) {
            let names: Vec<&str> = rules.iter().map(|(name, ..)| *name).collect();
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(format!("{at}.props.{}: unknown; it has: {known}", clean(key, MAX_NAME)));
        }
        let mut props = Map::new();
        for (name, rule, required) in rules {
            let place = format!("{at}.props.{name}");
            match given.get(*name).filter(|value| !value.is_null()) {
                Some(value) => {
                    props.insert((*name).to_owned(), self.prop(value, *rule, &place)?);
                }
                None if *required => return Err(format!("{place} is missing")),
                None => {}
            }
        }
        Ok(props)
    }

    fn prop(&mut self, value: &Json, rule: Prop, at: &str) -> Result<Json, String> {
        let text = || value.as_str().ok_or_else(|| format!("{at}: a text is needed"));
        Ok(match rule {
            Prop::Text => Json::String(self.text(text()?, at)?),
            Prop::Name => {
                let name = text()?;
                let fits = (1..=MAX_NAME).contains(&name.len())
                    && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
                if !fits {
                    return Err(format!("{at}: 1 to {MAX_NAME} letters, digits, `_`, `-` and `.`"));
                }
                if !self.names.insert(name.to_owned()) {
                    return Err(format!("{at}: {name:?} stands twice"));
                }
                value.clone()
            }
            Prop::Bool => Json::Bool(value.as_bool().ok_or_else(|| format!("{at}: true or false"))?),
            Prop::OneOf(words) => match value.as_str() {
                Some(word) if words.contains(&word) => value.clone(),
                _ => return Err(format!("{at}: one of {}", words.join(", "))),
            },
            Prop::Https => {
                let url = url::Url::parse(text()?).map_err(|_| format!("{at}: an https URL is needed"))?;
                let secret = !url.username().is_empty() || url.password().is_some();
                if url.scheme() != "https" || url.host_str().is_none() || secret {
                    return Err(format!("{at}: an https URL without user and password is needed"));
                }
                // The parsed form: a host in other letters stands there in its ASCII form.
                Json::String(self.text(url.as_str(), at)?)
            }
            Prop::Address => {
                let parsed =
                    crate::gateway::parse_address("address", text()?).map_err(|_| format!("{at}: no address"))?;
                Json::String(parsed.to_checksum(None))
            }
            Prop::Svg => Json::String(svg::sanitise(text()?).map_err(|why| format!("{at}: {why}"))?),
            Prop::Options => {
                let list = value.as_array().filter(|list| (1..=MAX_OPTIONS).contains(&list.len()));
                let list = list.ok_or_else(|| format!("{at}: a list of 1 to {MAX_OPTIONS} options"))?;
                let mut seen = BTreeSet::new();
                let mut options = Vec::new();
                for (index, option) in list.iter().enumerate() {
                    let place = format!("{at}[{index}]");
                    let known = option.as_object().is_some_and(|map| map.keys().all(|k| k == "value" || k == "label"));
                    let value = option["value"].as_str().filter(|_| known);
                    let value = value.ok_or_else(|| format!("{place}: {{ value, label }} is needed"))?;
                    if !seen.insert(value) {
                        return Err(format!("{place}: the value stands twice"));
                    }
                    let label = self.text(option["label"].as_str().unwrap_or(value), &place)?;
                    options.push(serde_json::json!({ "value": self.text(value, &place)?, "label": label }));
                }
                Json::Array(options)
            }
        })
    }

    /// A text, cleaned: control and bidirectional characters are made visible.
    fn text(&mut self, text: &str, at: &str) -> Result<String, String> {
        let length = text.chars().count();
        if length > MAX_TEXT {
            return Err(format!("{at}: longer than {MAX_TEXT} characters"));
        }
        self.text += length;
        if self.text > MAX_ALL_TEXT {
            return Err(format!("{at}: all texts together are longer than {MAX_ALL_TEXT} characters"));
        }
        Ok(clean(text, MAX_TEXT))
    }
}

fn name_of(foreign: &str) -> String {
    format!("\"{}\"", clean(foreign, MAX_NAME))
}

#[cfg(test)]
mod tests;
