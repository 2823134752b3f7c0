//! The gateway's functions and events: one allow-list of (contract, function) with roles, encoding of calls,
//! decoding of logs. Nothing that is not listed can be sent.

use crate::error::HostError;
use crate::{interface, wire};
use alloy::dyn_abi::{DynSolValue, EventExt, FunctionExt, JsonAbiExt};
use alloy::json_abi::{Event, Function, StateMutability};
use alloy::primitives::{Address, B256, Bytes, LogData, U256};
use entresol_package::manifest::{Contract, ContractFunction, Role};
use serde_json::{Map, Value as Json, json};

/// A gateway contract as the manifest declares it.
#[derive(Clone, Debug)]
pub struct Gateway {
    allowed: Vec<ContractFunction>,
    functions: Vec<Function>,
    events: Vec<Event>,
}

/// An encoded call, ready to be shown and signed.
#[derive(Clone, Debug)]
pub struct EncodedCall {
    /// Role under which it is allowed.
    pub role: Role,
    /// `deposit(address)`.
    pub signature: String,
    /// Calldata.
    pub input: Bytes,
    /// Name (or position) and value of every argument, complete, for the approval.
    pub arguments: Vec<(String, String)>,
}

impl Gateway {
    /// The manifest's `contracts.gateway`.
    ///
    /// # Errors
    /// Names the ABI line or role entry that is wrong; never for a validated manifest.
    pub fn new(contract: &Contract) -> Result<Self, HostError> {
        let refused = |error: entresol_package::ManifestError| HostError::invalid(error.to_string());
        Ok(Self {
            allowed: contract.functions().map_err(refused)?,
            functions: contract.all_functions().map_err(refused)?,
            events: contract.events().map_err(refused)?,
        })
    }

    /// The first function of a role.
    #[must_use]
    pub fn first(&self, role: Role) -> Option<&str> {
        self.allowed.iter().find(|allowed| allowed.role == role).map(|allowed| allowed.function.name.as_str())
    }

    /// The allowed function called `name` (a name or a full signature) in one of `roles`.
    ///
    /// # Errors
    /// Not allowed, naming what is.
    pub fn allowed(&self, name: &str, roles: &[Role]) -> Result<&ContractFunction, HostError> {
        let in_role = || self.allowed.iter().filter(|allowed| roles.contains(&allowed.role));
        in_role().find(|allowed| allowed.function.name == name || allowed.function.signature() == name).ok_or_else(
            || {
                let names: Vec<String> = in_role().map(|allowed| allowed.function.signature()).collect();
                HostError::unauthorized(format!(
                    "the manifest does not allow the function {name:?} here; allowed: {}",
                    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
                ))
            },
        )
    }

    fn view(&self, name: &str) -> Result<&Function, HostError> {
        self.functions
            .iter()
            .find(|function| function.name == name)
            .ok_or_else(|| HostError::not_found(format!("{name} does not stand in the gateway's ABI")))
    }

    /// True when a deposit by this function takes one address and nothing else (the beneficiary).
    #[must_use]
    pub fn takes_one_address(&self, name: &str) -> bool {
        self.view(name).is_ok_and(|f| f.inputs.len() == 1 && f.inputs[0].ty == "address")
    }

    /// Encodes a call of `name` if one of `roles` allows it.
    ///
    /// # Errors
    /// Not allowed, wrong number or type of arguments, value where none may be.
    pub fn encode(&self, name: &str, roles: &[Role], args: &[Json], value: U256) -> Result<EncodedCall, HostError> {
        let ContractFunction { role, function } = self.allowed(name, roles)?;
        let role = *role;
        if function.inputs.len() != args.len() {
            return Err(HostError::invalid(format!(
                "{} takes {} arguments, {} were given",
                function.signature(),
                function.inputs.len(),
                args.len()
            )));
        }
        let payable = role == Role::Deposit && function.state_mutability == StateMutability::Payable;
        if !value.is_zero() && !payable {
            return Err(HostError::invalid(format!(
                "{} carries no value: it is not a payable deposit",
                function.signature()
            )));
        }
        let mut values = Vec::with_capacity(args.len());
        let mut arguments = Vec::with_capacity(args.len());
        for (position, (input, arg)) in function.inputs.iter().zip(args).enumerate() {
            let label = if input.name.is_empty() { format!("#{position}") } else { input.name.clone() };
            let ty = input.selector_type();
            let typed = interface::typed_value(&ty, arg)
                .map_err(|why| HostError::invalid(format!("{name}: argument {label}: {why}")))?;
            arguments.push((format!("{label} ({ty})"), show(&typed)));
            values.push(typed);
        }
        let input = function.abi_encode_input(&values).map_err(|e| HostError::invalid(format!("{name}: {e}")))?;
        Ok(EncodedCall { role, signature: function.signature(), input: input.into(), arguments })
    }

    /// Calls a view function: calldata for `name(args)`, and a decoder of its answer.
    ///
    /// # Errors
    /// As [`Gateway::encode`].
    pub fn encode_view(&self, name: &str, args: &[Json]) -> Result<Bytes, HostError> {
        let function = self.view(name)?;
        let mut values = Vec::with_capacity(args.len());
        for (input, arg) in function.inputs.iter().zip(args) {
            values.push(interface::typed_value(&input.selector_type(), arg).map_err(HostError::invalid)?);
        }
        Ok(function.abi_encode_input(&values).map_err(|e| HostError::invalid(format!("{name}: {e}")))?.into())
    }

    /// The answer of a view function, tagged for the script: one value, or a list.
    ///
    /// # Errors
    /// The contract answered something else than its ABI says.
    pub fn decode_view(&self, name: &str, output: &[u8]) -> Result<Json, HostError> {
        let function = self.view(name)?;
        let values = function
            .abi_decode_output(output)
            .map_err(|e| HostError::new(crate::error::code::TRANSACTION_REJECTED, format!("{name}: {e}")))?;
        Ok(match values.as_slice() {
            [one] => wire::from_abi(one),
            many => Json::Array(many.iter().map(wire::from_abi).collect()),
        })
    }

    /// A log of the gateway as the script sees it: `{ event, args }`, or raw topics and data where the ABI does not
    /// know it.
    #[must_use]
    pub fn decode_log(&self, topics: &[B256], data: &Bytes) -> Json {
        if let Some(topic) = topics.first()
            && let Some(event) = self.events.iter().find(|event| event.selector() == *topic && !event.anonymous)
            && let Some(log) = LogData::new(topics.to_vec(), data.clone())
            && let Ok(decoded) = event.decode_log(&log)
        {
            let mut indexed = decoded.indexed.into_iter();
            let mut body = decoded.body.into_iter();
            let mut args = Map::new();
            for (position, input) in event.inputs.iter().enumerate() {
                let value = if input.indexed { indexed.next() } else { body.next() };
                let name = if input.name.is_empty() { position.to_string() } else { input.name.clone() };
                args.insert(name, value.as_ref().map_or(Json::Null, wire::from_abi));
            }
            return json!({ "event": event.name, "args": args });
        }
        json!({ "event": null, "topics": topics, "data": wire::bytes(data) })
    }
}

/// An ABI value in full, for people.
fn show(value: &DynSolValue) -> String {
    fn plain(value: &Json) -> String {
        match value {
            Json::String(text) => text.clone(),
            Json::Array(list) => format!("[{}]", list.iter().map(plain).collect::<Vec<_>>().join(", ")),
            other => other.to_string(),
        }
    }
    plain(&wire::untag(&wire::from_abi(value)))
}

/// Parses an address, naming the field when it is none. A mixed-case address must carry a valid EIP-55 checksum.
///
/// # Errors
/// Names the field.
pub fn parse_address(field: &str, text: &str) -> Result<Address, HostError> {
    let digits = text.strip_prefix("0x").unwrap_or("");
    let mixed = digits.bytes().any(|b| b.is_ascii_lowercase()) && digits.bytes().any(|b| b.is_ascii_uppercase());
    let parsed = if mixed { Address::parse_checksummed(text, None).ok() } else { text.parse::<Address>().ok() };
    match parsed {
        Some(address) if text.len() == 42 => Ok(address),
        _ => Err(HostError::invalid(format!(
            "{field}: {text:?} is not an address (0x and 40 hex digits, with a right EIP-55 checksum if in mixed case)"
        ))),
    }
}

#[cfg(test)]
mod tests;
