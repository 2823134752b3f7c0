//! `layer2Interface`: what a plugin declares. Checked once at install, pinned by its digest, and used to turn the JSON
//! of a caller into the typed values an action expects.

use crate::error::HostError;
use crate::messages::{ActionView, ParamView};
use crate::wire;
use alloy::dyn_abi::{DynSolType, DynSolValue};
use alloy::primitives::{B256, keccak256};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// Most actions one plugin may declare.
const MAX_ACTIONS: usize = 64;
/// Most parameters one action may have.
const MAX_PARAMS: usize = 16;
/// Longest description that is kept, in characters; more is the plugin's mistake.
const MAX_DESCRIPTION: usize = 500;
/// Names that JavaScript gives a meaning of its own.
const RESERVED: [&str; 6] = ["then", "constructor", "toString", "valueOf", "toJSON", "prototype"];

/// A typed name: parameter, return value or state field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Typed {
    /// Name.
    pub name: String,
    /// Solidity ABI type.
    #[serde(rename = "type")]
    pub ty: String,
    /// `amount`, `recipient`, `balance`, …: how the wallet shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// `wei`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

impl Typed {
    /// For people and programs.
    #[must_use]
    pub fn view(&self) -> ParamView {
        ParamView { name: self.name.clone(), ty: self.ty.clone(), unit: self.unit.clone(), role: self.role.clone() }
    }
}

/// One action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Action {
    /// Name, `^[a-z][A-Za-z0-9]{0,47}$`.
    pub name: String,
    /// The plugin's words.
    #[serde(default)]
    pub description: String,
    /// Parameters in order.
    #[serde(default)]
    pub params: Vec<Typed>,
    /// Results in order.
    #[serde(default)]
    pub returns: Vec<Typed>,
    /// Declared free of effects: may be called without asking, and may not cause any.
    #[serde(default)]
    pub read_only: bool,
    /// Has a `confirmation` function.
    #[serde(default)]
    pub confirmation: bool,
}

/// Everything a plugin declares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// Actions.
    #[serde(default)]
    pub actions: Vec<Action>,
    /// Published state.
    #[serde(default)]
    pub state: Vec<Typed>,
}

impl Interface {
    /// Reads and checks the interface a script published.
    ///
    /// # Errors
    /// Names the action and field that is wrong.
    pub fn parse(json: &Json) -> Result<Self, HostError> {
        let mut interface: Self =
            serde_json::from_value(json.clone()).map_err(|e| HostError::invalid(format!("layer2Interface: {e}")))?;
        if interface.actions.len() > MAX_ACTIONS {
            return Err(HostError::invalid(format!("layer2Interface: more than {MAX_ACTIONS} actions")));
        }
        for index in 0..interface.actions.len() {
            let (before, rest) = interface.actions.split_at_mut(index);
            let action = &mut rest[0];
            let at = format!("layer2Interface.actions[{index}]");
            if !is_action_name(&action.name) {
                return Err(HostError::invalid(format!(
                    "{at}.name: {:?} is not an action name (a lower-case letter, then at most 47 letters and digits; not {})",
                    action.name,
                    RESERVED.join(", ")
                )));
            }
            if before.iter().any(|other| other.name == action.name) {
                return Err(HostError::invalid(format!("{at}.name: {:?} stands twice", action.name)));
            }
            if action.description.chars().count() > MAX_DESCRIPTION {
                return Err(HostError::invalid(format!("{at}.description: longer than {MAX_DESCRIPTION} characters")));
            }
            check_typed(&mut action.params, &format!("{at}.params"))?;
            check_typed(&mut action.returns, &format!("{at}.returns"))?;
        }
        check_typed(&mut interface.state, "layer2Interface.state")?;
        Ok(interface)
    }

    /// Keccak-256 of the canonical JSON; pinned at install, so that a script cannot change its actions afterwards.
    ///
    /// # Errors
    /// Never in practice: the interface is plain data.
    pub fn digest(&self) -> Result<B256, HostError> {
        let bytes = serde_json::to_vec(self).map_err(|e| HostError::internal(e.to_string()))?;
        Ok(keccak256(bytes))
    }

    /// The action called `name`.
    ///
    /// # Errors
    /// Not found, naming the actions there are.
    pub fn action(&self, name: &str) -> Result<&Action, HostError> {
        self.actions.iter().find(|action| action.name == name).ok_or_else(|| {
            let names: Vec<_> = self.actions.iter().map(|a| a.name.as_str()).collect();
            HostError::not_found(format!("there is no action {name:?}; this solution has: {}", names.join(", ")))
        })
    }
}

impl Action {
    /// Checks a caller's JSON against the declared types and gives the tagged values for the script.
    ///
    /// # Errors
    /// Names the parameter, its type and what was given.
    pub fn typed_params(&self, given: &Map<String, Json>) -> Result<Json, HostError> {
        if let Some(unknown) = given.keys().find(|key| !self.params.iter().any(|p| &p.name == *key)) {
            return Err(HostError::invalid(format!(
                "{}: there is no parameter {unknown:?}; it is {}",
                self.name,
                self.signature()
            )));
        }
        let mut typed = Map::new();
        for param in &self.params {
            let value = given.get(&param.name).ok_or_else(|| {
                HostError::invalid(format!("{}: parameter {:?} ({}) is missing", self.name, param.name, param.ty))
            })?;
            let value = typed_value(&param.ty, value)
                .map_err(|why| HostError::invalid(format!("{}: parameter {:?}: {why}", self.name, param.name)))?;
            typed.insert(param.name.clone(), wire::from_abi(&value));
        }
        Ok(Json::Object(typed))
    }

    /// `makePayment(address toAddress, uint256 value)`.
    #[must_use]
    pub fn signature(&self) -> String {
        let params: Vec<_> = self.params.iter().map(|p| format!("{} {}", p.ty, p.name)).collect();
        format!("{}({})", self.name, params.join(", "))
    }

    /// For people and programs.
    #[must_use]
    pub fn view(&self) -> ActionView {
        ActionView {
            name: self.name.clone(),
            description: self.description.clone(),
            signature: self.signature(),
            params: self.params.iter().map(Typed::view).collect(),
            returns: self.returns.iter().map(Typed::view).collect(),
            read_only: self.read_only,
        }
    }
}

/// Reads `value` as the ABI type `ty`.
///
/// # Errors
/// Says what was expected and what came.
pub(crate) fn typed_value(ty: &str, value: &Json) -> Result<DynSolValue, String> {
    let parsed = DynSolType::parse(ty).map_err(|e| format!("{ty:?} is not an ABI type: {e}"))?;
    let plain = wire::untag(value);
    // A number in JSON loses precision beyond 2^53: only whole numbers, and strings for the rest.
    parsed.coerce_json(&plain).map_err(|_| format!("{} is not {} {}", shorten(&plain), article(ty), ty))
}

fn article(ty: &str) -> &'static str {
    if ty.starts_with(['a', 'i', 'u']) { "an" } else { "a" }
}

fn shorten(value: &Json) -> String {
    let text = value.to_string();
    if text.chars().count() > 80 { format!("{}…", text.chars().take(80).collect::<String>()) } else { text }
}

fn is_action_name(name: &str) -> bool {
    let mut chars = name.chars();
    name.len() <= 48
        && chars.next().is_some_and(|c| c.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_alphanumeric())
        && !RESERVED.contains(&name)
}

fn check_typed(list: &mut [Typed], at: &str) -> Result<(), HostError> {
    if list.len() > MAX_PARAMS {
        return Err(HostError::invalid(format!("{at}: more than {MAX_PARAMS}")));
    }
    for index in 0..list.len() {
        let (before, rest) = list.split_at_mut(index);
        let typed = &mut rest[0];
        let identifier = typed.name.len() <= 48
            && typed.name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && typed.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !identifier || before.iter().any(|other| other.name == typed.name) {
            return Err(HostError::invalid(format!(
                "{at}[{index}].name: {:?} is no name, or stands twice",
                typed.name
            )));
        }
        let parsed = DynSolType::parse(&typed.ty)
            .map_err(|e| HostError::invalid(format!("{at}[{index}].type: {:?} is not an ABI type: {e}", typed.ty)))?;
        typed.ty = parsed.sol_type_name().into_owned();
    }
    Ok(())
}

#[cfg(test)]
mod tests;
