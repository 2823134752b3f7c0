//! The allow-list of layer-1 calls.

use std::collections::BTreeMap;
use std::fmt;

use alloy::json_abi::{Event, Function, StateMutability};
use alloy::primitives::Address;
use serde::{Deserialize, Serialize};

use super::{Chain, ManifestError, values};

/// A contract that the plugin may ask to call, with the functions it may name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Contract {
    /// Functions and events in Solidity's words: `function deposit(address to) payable`, `event Deposited(…)`.
    #[serde(default)]
    pub abi: Vec<String>,
    /// Its address per chain; never for `gateway`, whose address comes from the registration.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub addresses: BTreeMap<Chain, Address>,
    /// Functions that bring value in, by name or signature.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deposit: Vec<String>,
    /// Functions that bring value out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withdraw: Vec<String>,
    /// Functions that protect the user's value: contest, halt, refute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub defend: Vec<String>,
    /// Anything else of a layer-1 app.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub call: Vec<String>,
}

/// What a declared function is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Brings value in; may carry ETH where the ABI says payable.
    Deposit,
    /// Brings value out; carries none.
    Withdraw,
    /// Protects the user's value; carries none.
    Defend,
    /// Anything else; carries none.
    Call,
}

impl Role {
    /// The word of the manifest.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deposit => "deposit",
            Self::Withdraw => "withdraw",
            Self::Defend => "defend",
            Self::Call => "call",
        }
    }

    pub(super) const fn sentence(self) -> &'static str {
        match self {
            Self::Deposit => "to bring value in",
            Self::Withdraw => "to bring value out",
            Self::Defend => "to protect your value",
            Self::Call => "neither deposit nor withdrawal",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A function of the allow-list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractFunction {
    /// Its role.
    pub role: Role,
    /// Its parsed declaration.
    pub function: Function,
}

/// The name of the contract whose address comes from the registration.
pub const GATEWAY: &str = "gateway";

/// What a gateway without an abi of its own is taken to have: the standard interface (`docs/erc-layer2-gateway.md`).
const STANDARD_ABI: [&str; 4] = [
    "function deposit(address to) payable returns (uint256 index)",
    "function lockedBalance(address account) view returns (uint256)",
    "function requestExit() returns (uint256 index)",
    "event Deposited(address indexed depositor, address indexed to, uint256 value, uint256 index)",
];

impl Contract {
    /// Fills in the standard interface where neither an abi nor a role is stated.
    pub(super) fn assume_standard_interface(&mut self) {
        if self.abi.is_empty() && self.deposit.is_empty() && self.withdraw.is_empty() {
            self.abi = STANDARD_ABI.map(str::to_owned).to_vec();
            self.deposit = vec!["deposit".to_owned()];
            self.withdraw = vec!["requestExit".to_owned()];
        }
    }

    /// The functions with roles: what the plugin may ask for, in the order deposit, withdraw, defend, call.
    ///
    /// # Errors
    /// A text that names the field below the contract; none once the manifest is validated.
    pub fn functions(&self) -> Result<Vec<ContractFunction>, ManifestError> {
        let declared = self.declared_functions("abi")?;
        let mut listed = Vec::new();
        for (role, names) in [
            (Role::Deposit, &self.deposit),
            (Role::Withdraw, &self.withdraw),
            (Role::Defend, &self.defend),
            (Role::Call, &self.call),
        ] {
            for (index, name) in names.iter().enumerate() {
                let field = format!("{role}[{index}]");
                let mut matching =
                    declared.iter().filter(|function| function.name == *name || function.signature() == *name);
                let Some(function) = matching.next() else {
                    return Err(ManifestError::new(field, format!("\"{name}\" is no function of this contract's abi")));
                };
                if matching.next().is_some() {
                    let problem = format!("\"{name}\" has several declarations; write its full signature");
                    return Err(ManifestError::new(field, problem));
                }
                if matches!(function.state_mutability, StateMutability::Pure | StateMutability::View) {
                    let problem = format!("\"{name}\" only reads: no transaction is needed, so it has no role");
                    return Err(ManifestError::new(field, problem));
                }
                let signature = function.signature();
                if listed.iter().any(|known: &ContractFunction| known.function.signature() == signature) {
                    return Err(ManifestError::new(field, format!("\"{name}\" has a role already")));
                }
                listed.push(ContractFunction { role, function: function.clone() });
            }
        }
        Ok(listed)
    }

    /// Every function that the abi declares, also those without a role.
    ///
    /// # Errors
    /// As [`Contract::functions`].
    pub fn all_functions(&self) -> Result<Vec<Function>, ManifestError> {
        self.declared_functions("abi")
    }

    /// Every event that the abi declares.
    ///
    /// # Errors
    /// As [`Contract::functions`].
    pub fn events(&self) -> Result<Vec<Event>, ManifestError> {
        let events = self.abi.iter().enumerate().filter(|(_, item)| item.trim_start().starts_with("event "));
        events
            .map(|(index, item)| {
                Event::parse(&without_field_names(item)).map_err(|error| not_parsed(index, item, &error))
            })
            .collect()
    }

    fn declared_functions(&self, field: &str) -> Result<Vec<Function>, ManifestError> {
        let mut functions: Vec<Function> = Vec::new();
        for (index, item) in self.abi.iter().enumerate() {
            let start = item.trim_start();
            if start.starts_with("function ") {
                let function =
                    Function::parse(&without_field_names(item)).map_err(|error| not_parsed(index, item, &error))?;
                if functions.iter().any(|known| known.signature() == function.signature()) {
                    let problem = format!("{} is declared twice", function.signature());
                    return Err(ManifestError::new(format!("{field}[{index}]"), problem));
                }
                functions.push(function);
            } else if !start.starts_with("event ") && !start.starts_with("error ") {
                let problem = format!("{item:?} is neither a function, an event nor an error");
                return Err(ManifestError::new(format!("{field}[{index}]"), problem));
            }
        }
        Ok(functions)
    }

    pub(super) fn validate(&self, name: &str) -> Result<(), ManifestError> {
        let field = format!("layer2.contracts.{name}");
        let below = |error: ManifestError| ManifestError::new(format!("{field}.{}", error.field), error.problem);
        let well_formed = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.len() <= 32
            && name.bytes().all(|b| b.is_ascii_alphanumeric());
        if !well_formed {
            let problem = "a contract's name is a lower-case letter and up to 31 letters or digits";
            return Err(ManifestError::new(field, problem));
        }
        if name == GATEWAY && !self.addresses.is_empty() {
            let problem = "the gateway's address comes from the registration; list known ones in layer2.deployments";
            return Err(ManifestError::new(format!("{field}.addresses"), problem));
        }
        if name != GATEWAY && self.addresses.is_empty() {
            let problem = "every contract but the gateway names its address per chain";
            return Err(ManifestError::new(format!("{field}.addresses"), problem));
        }
        values::check_count(&format!("{field}.abi"), self.abi.len())?;
        self.functions().map_err(below)?;
        self.events().map_err(below)?;
        Ok(())
    }
}

/// Drops the names of tuple fields, `(address to, uint96 value) order` → `(address,uint96) order`: authors write them,
/// as other libraries take them, our parser does not, and neither signature nor encoding depends on them.
fn without_field_names(declaration: &str) -> String {
    let mut result = String::with_capacity(declaration.len());
    // One entry a parenthesis that is open: whether the field begun there has its type already.
    let mut open: Vec<bool> = Vec::new();
    let mut in_name = false;
    for c in declaration.chars() {
        match c {
            '(' if !in_name => open.push(false),
            ')' => {
                in_name = false;
                open.pop();
                open.last_mut().into_iter().for_each(|typed| *typed = true);
            }
            ',' => {
                in_name = false;
                open.last_mut().into_iter().for_each(|typed| *typed = false);
            }
            c if c.is_whitespace() && open.len() > 1 => {
                in_name |= open.last().is_some_and(|typed| *typed);
                continue;
            }
            _ if in_name => continue,
            _ => open.last_mut().into_iter().for_each(|typed| *typed = true),
        }
        result.push(c);
    }
    result
}

fn not_parsed(index: usize, item: &str, error: &dyn fmt::Display) -> ManifestError {
    ManifestError::new(format!("abi[{index}]"), format!("{item:?} is no Solidity declaration: {error}"))
}
