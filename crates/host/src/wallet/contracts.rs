//! The contracts of a solution on its own chain: the gateway, whose address the registration gave, and those that the
//! manifest names per chain. What is not here cannot be called.

use crate::error::HostError;
use crate::gateway::Gateway;
use alloy::primitives::Address;
use entresol_package::Manifest;
use entresol_package::manifest::GATEWAY;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// One contract with an address.
#[derive(Debug)]
pub(crate) struct Deployed {
    /// Its name in the manifest.
    pub(crate) name: String,
    /// Where it is on the solution's chain.
    pub(crate) address: Address,
    /// What may be called on it, and under which role.
    pub(crate) abi: Gateway,
}

/// The contracts of one solution, by name.
#[derive(Debug, Default)]
pub(crate) struct Contracts {
    here: BTreeMap<String, Deployed>,
    /// Declared, but on other chains only.
    elsewhere: Vec<String>,
}

impl Contracts {
    /// The manifest's contracts on `chain_id`, with the gateway at `gateway`.
    ///
    /// # Errors
    /// Never for a validated manifest.
    pub(crate) fn new(manifest: &Manifest, chain_id: u64, gateway: Option<Address>) -> Result<Self, HostError> {
        let mut contracts = Self::default();
        for (name, contract) in &manifest.contracts {
            let address = if name == GATEWAY {
                gateway
            } else {
                contract.addresses.iter().find(|(chain, _)| chain.id() == chain_id).map(|(_, address)| *address)
            };
            match address {
                Some(address) => {
                    let deployed = Deployed { name: name.clone(), address, abi: Gateway::new(contract)? };
                    contracts.here.insert(name.clone(), deployed);
                }
                None => contracts.elsewhere.push(name.clone()),
            }
        }
        Ok(contracts)
    }

    /// The contract called `name`; the gateway when no name is given.
    ///
    /// # Errors
    /// No such contract, or none on this chain.
    pub(crate) fn get(&self, name: Option<&str>) -> Result<&Deployed, HostError> {
        let wanted = name.unwrap_or(GATEWAY);
        if let Some(found) = self.here.get(wanted) {
            return Ok(found);
        }
        if wanted == GATEWAY && !self.elsewhere.iter().any(|other| other == GATEWAY) {
            return Err(HostError::invalid("this solution has no gateway contract; name one of its contracts"));
        }
        if self.elsewhere.iter().any(|other| other == wanted) {
            return Err(HostError::invalid(format!("the manifest names no address of {wanted:?} on this chain")));
        }
        let names: Vec<&str> = self.here.keys().map(String::as_str).collect();
        Err(HostError::unauthorized(format!(
            "the manifest declares no contract {wanted:?}; it declares: {}",
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        )))
    }

    /// `{ name: address }` for the script.
    pub(crate) fn addresses(&self) -> Json {
        let entries = self.here.iter().map(|(name, one)| (name.clone(), json!(one.address.to_checksum(None))));
        Json::Object(entries.collect::<Map<_, _>>())
    }

    /// Words for the contract `name` of the solution `solution`, for people.
    pub(crate) fn words(name: &str, solution: &str) -> String {
        if name == GATEWAY { format!("the gateway of {solution}") } else { format!("{name:?} of {solution}") }
    }
}
