//! What the types and roles of an action say: what a call moves, how it is shown, and whether the answer fits.

use crate::error::{HostError, code};
use crate::interface::{Action, typed_value};
use crate::messages::Row;
use crate::policy::{Ask, What};
use crate::text::{ether, quoted};
use crate::wire;
use alloy::primitives::{Address, U256};
use serde_json::{Map, Value as Json};

/// What a call moves and to whom, as far as the plugin declared roles.
pub(super) fn call_ask(action: &Action, params: &Json) -> Ask {
    let mut ask = Ask {
        what: What::Action { name: action.name.clone() },
        amount: U256::ZERO,
        fee: U256::ZERO,
        token: None,
        recipients: Vec::new(),
    };
    for param in &action.params {
        let value = &params[&param.name];
        match param.role.as_deref() {
            // What cannot be read as a number counts as everything: no policy passes it.
            Some("amount") => {
                // Neither can another unit be counted as wei: a million of a token may be a fortune.
                let wei = if param.unit.as_deref() == Some("wei") { wire::uint(value) } else { None };
                ask.amount = ask.amount.saturating_add(wei.unwrap_or(U256::MAX));
            }
            Some("recipient") => ask.recipients.extend(addresses(&wire::untag(value))),
            _ => {}
        }
    }
    ask
}

fn addresses(value: &Json) -> Vec<Address> {
    match value {
        // What is no address is nobody's: a policy with recipients refuses it.
        Json::String(text) => vec![text.parse().unwrap_or(Address::ZERO)],
        Json::Array(list) => list.iter().flat_map(addresses).collect(),
        _ => vec![Address::ZERO],
    }
}

/// The wallet's own sentence, made of typed values only.
pub(super) fn sentence(caller: &str, solution: &str, action: &Action, ask: &Ask) -> String {
    let has_amount = action.params.iter().any(|param| param.role.as_deref() == Some("amount"));
    let amount = if has_amount && in_wei(action) { format!(" {}", ether(ask.amount)) } else { String::new() };
    let recipients: Vec<String> = ask.recipients.iter().map(|address| address.to_checksum(None)).collect();
    let to = if recipients.is_empty() { String::new() } else { format!(" to {}", recipients.join(", ")) };
    format!("{caller} asks {solution} for {}{amount}{to}. Allow it?", action.name)
}

fn in_wei(action: &Action) -> bool {
    let mut amounts = action.params.iter().filter(|param| param.role.as_deref() == Some("amount"));
    amounts.all(|param| param.unit.as_deref() == Some("wei"))
}

pub(super) fn shown_param(param: &crate::interface::Typed, value: &Json) -> String {
    if param.unit.as_deref() == Some("wei")
        && let Some(wei) = wire::uint(value)
    {
        return ether(wei);
    }
    match wire::untag(value) {
        Json::String(text) if param.ty == "string" => quoted(&text),
        Json::String(text) => text,
        other => quoted(&other.to_string()),
    }
}

/// A plugin's rows, capped: what does not fit is left out.
pub(super) fn confirmation_rows(answer: &Json) -> Vec<Row> {
    const MOST: usize = 8;
    const LABEL: usize = 40;
    let list = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    let rows = list.iter().take(MOST).filter_map(|row| {
        let label: String = row["label"].as_str()?.chars().take(LABEL).collect();
        let value = match &row["value"] {
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some(Row { label: quoted(&label), value: quoted(&value) })
    });
    rows.collect()
}

/// The action's answer against its declared types, as plain JSON: one value, or an object by name.
pub(super) fn check_result(action: &Action, answer: &Json) -> Result<Json, HostError> {
    let wrong = |name: &str, why: String| {
        HostError::new(
            code::PLUGIN_ERROR,
            format!("the plugin's answer to {} does not fit: {name}: {why}", action.name),
        )
    };
    match action.returns.as_slice() {
        [] => Ok(wire::untag(answer)),
        [one] => {
            let value = match answer {
                Json::Object(map) if map.contains_key(&one.name) => &map[&one.name],
                other => other,
            };
            let typed = typed_value(&one.ty, value).map_err(|why| wrong(&one.name, why))?;
            Ok(wire::untag(&wire::from_abi(&typed)))
        }
        many => {
            let mut result = Map::new();
            for one in many {
                let typed = typed_value(&one.ty, &answer[&one.name]).map_err(|why| wrong(&one.name, why))?;
                result.insert(one.name.clone(), wire::untag(&wire::from_abi(&typed)));
            }
            Ok(Json::Object(result))
        }
    }
}
