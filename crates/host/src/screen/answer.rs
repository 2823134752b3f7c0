//! What the user answered: which button, and the fields by name with their types.

use super::{Kind, Node, Screen};
use crate::error::HostError;
use crate::gateway::parse_address;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// Longest value of one field.
const MAX_VALUE: usize = 10_000;

/// An answer to a screen, checked against it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answer {
    /// The button that was pressed.
    pub button: String,
    /// Value of every input (text), dropdown (text) and checkbox (boolean) by name.
    #[serde(default)]
    pub fields: Map<String, Json>,
}

impl Screen {
    /// Checks an answer and completes it by the values that the screen showed.
    ///
    /// # Errors
    /// Names the button or field that does not fit.
    pub fn answer(&self, given: &Answer) -> Result<Answer, HostError> {
        let (mut button, mut inputs) = (None, Vec::new());
        self.walk(&mut |node| match node.kind {
            Kind::Button if node.prop("name") == given.button => button = Some(node),
            Kind::Input | Kind::Dropdown | Kind::Checkbox => inputs.push(node),
            _ => {}
        });
        match button {
            None => return Err(HostError::invalid(format!("the screen has no button {:?}", given.button))),
            Some(button) if button.flag("disabled") => {
                return Err(HostError::invalid(format!("the button {:?} is disabled", given.button)));
            }
            Some(_) => {}
        }
        if let Some(name) = given.fields.keys().find(|name| !inputs.iter().any(|node| node.prop("name") == *name)) {
            return Err(HostError::invalid(format!("the screen has no field {name:?}")));
        }
        let mut fields = Map::new();
        for node in inputs {
            let name = node.prop("name");
            let value = field(node, given.fields.get(name))
                .map_err(|why| HostError::invalid(format!("the field {name:?}: {why}")))?;
            fields.insert(name.to_owned(), value);
        }
        Ok(Answer { button: given.button.clone(), fields })
    }
}

fn field(node: &Node, given: Option<&Json>) -> Result<Json, String> {
    if node.kind == Kind::Checkbox {
        let shown = Json::Bool(node.flag("checked"));
        return match given.unwrap_or(&shown) {
            value @ Json::Bool(_) => Ok(value.clone()),
            _ => Err("true or false is needed".to_owned()),
        };
    }
    let text = match given {
        None => node.prop("value"),
        Some(value) => value.as_str().ok_or("a text is needed")?,
    };
    if text.len() > MAX_VALUE {
        return Err(format!("longer than {MAX_VALUE} bytes"));
    }
    if node.kind == Kind::Dropdown {
        let options = node.props.get("options").and_then(Json::as_array);
        let known = options.into_iter().flatten().any(|option| option["value"] == *text);
        return if known { Ok(text.into()) } else { Err("none of the options".to_owned()) };
    }
    if text.is_empty() {
        return if node.flag("required") { Err("a value is needed".to_owned()) } else { Ok(text.into()) };
    }
    let number = |text: &str| {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        plain(whole) && plain(fraction)
    };
    match node.prop("type") {
        "address" => {
            parse_address("it", text).map_err(|_| "no address")?;
        }
        "number" if !number(text) => return Err("no number".to_owned()),
        "amount" if !number(text) || text.starts_with('-') => return Err("no amount".to_owned()),
        _ => {}
    }
    Ok(text.into())
}
