//! The `"layer2"` block of a plugin's `package.json`.
//!
//! Everything unknown is an error that names the field: a manifest is a request for power, and what the wallet does
//! not understand it cannot show to the user.

mod asset;
mod contract;
mod limits;
mod permission;
mod values;

pub use asset::{ASSET_LIMIT, ASSETS_LIMIT, Asset, AssetDigest, Compute};
pub use contract::{Contract, ContractFunction, GATEWAY, Role};
pub use limits::{LIMITS, Limit, LimitName, LimitSet, LimitValue, Unit};
pub use permission::{
    Curve, Keys, Layer1Access, LocalDatabase, NetworkTarget, OptionalPermissions, Permission, Permissions, SignAccess,
};
pub use values::{ByteSize, Chain, PackagePath};

use std::collections::BTreeMap;

use alloy::primitives::Address;
use serde::{Deserialize, Serialize};

/// The manifest format that this wallet speaks.
pub const API_VERSION: u32 = 1;

/// Longest `title`, in characters: it stands in the wallet's own sentences.
pub const TITLE_LIMIT: usize = 48;

/// Longest `description`, in characters.
pub const DESCRIPTION_LIMIT: usize = 400;

/// Most entries of any list or table in a manifest; a page that the user has to read is longer than useful before.
pub const ENTRY_LIMIT: usize = 64;

/// The `"layer2"` block of `package.json`, validated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// [`API_VERSION`].
    pub api_version: u32,
    /// Version of what the plugin keeps in its database; 1 when not stated.
    #[serde(default = "one")]
    pub data_version: u32,
    /// Short name of the layer 2, the publisher's words: quote and attribute it wherever it is shown.
    pub title: String,
    /// A sentence, the publisher's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// SVG file of the package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<PackagePath>,
    /// Layer-1 contracts by name; `gateway` takes its address from the registration, others name one per chain.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub contracts: BTreeMap<String, Contract>,
    /// Where the publisher says this layer 2 runs. Anything else is "not known to the publisher".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deployments: Vec<Deployment>,
    /// WebAssembly that its computations run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assets: Vec<Asset>,
    /// What the plugin cannot do without.
    #[serde(default)]
    pub permissions: Permissions,
    /// What it may ask for later.
    #[serde(default, skip_serializing_if = "OptionalPermissions::is_empty")]
    pub optional_permissions: OptionalPermissions,
    /// How much of the layer-2 node the plugin can take into the wallet.
    #[serde(default)]
    pub dials: Dials,
}

fn one() -> u32 {
    1
}

/// One known place of the layer 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deployment {
    /// CAIP-2 name of the layer-1 network, such as `eip155:1`.
    pub chain: Chain,
    /// The gateway contract there; none for a layer 2 without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Address>,
    /// Its network address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_url: Option<String>,
    /// Block at which the gateway was deployed: logs are read from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_block: Option<u64>,
}

/// The positions that the plugin offers on each dial, the first one being its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dials {
    /// `node` (one node), `nodes` (several, compared), `peers` (gossip).
    #[serde(default = "Dials::default_networking")]
    pub networking: Vec<Networking>,
    /// `node` (its word), `light` (proofs), `full` (replay).
    #[serde(default = "Dials::default_state")]
    pub state: Vec<State>,
    /// `node` (keeps it), `own` (own messages kept), `all`.
    #[serde(default = "Dials::default_history")]
    pub history: Vec<History>,
}

/// A position of the networking dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Networking {
    /// One node over WebSocket.
    Node,
    /// Several nodes, compared.
    Nodes,
    /// Peer-to-peer gossip.
    Peers,
}

/// A position of the state dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The node's word.
    Node,
    /// Proofs checked against layer 1.
    Light,
    /// Full replay; contests by itself.
    Full,
}

/// A position of the history dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum History {
    /// The node keeps it.
    Node,
    /// Own messages kept.
    Own,
    /// All kept.
    All,
}

impl Dials {
    fn default_networking() -> Vec<Networking> {
        vec![Networking::Node]
    }
    fn default_state() -> Vec<State> {
        vec![State::Node]
    }
    fn default_history() -> Vec<History> {
        vec![History::Node]
    }
}

impl Default for Dials {
    fn default() -> Self {
        Self { networking: Self::default_networking(), state: Self::default_state(), history: Self::default_history() }
    }
}

/// A manifest that is refused. `field` is its path from the top of `package.json`.
#[derive(Debug, thiserror::Error)]
#[error("package.json: {field}: {problem}")]
pub struct ManifestError {
    /// Path of the field, such as `layer2.permissions.keys.curve`.
    pub field: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl ManifestError {
    pub(crate) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

impl Manifest {
    /// Reads and validates the value of `"layer2"`.
    ///
    /// # Errors
    /// [`ManifestError`] names the field.
    pub fn from_json(value: &serde_json::Value) -> Result<Self, ManifestError> {
        let mut manifest: Self = serde_path_to_error::deserialize(value).map_err(|error| {
            let path = error.path().to_string();
            let field = if path == "." { "layer2".to_owned() } else { format!("layer2.{path}") };
            ManifestError::new(field, error.into_inner().to_string())
        })?;
        if let Some(gateway) = manifest.contracts.get_mut(GATEWAY) {
            gateway.assume_standard_interface();
        }
        manifest.validate()?;
        Ok(manifest)
    }

    /// Every permission that is needed, in a stable order, for the install screen and the grants.
    #[must_use]
    pub fn requested(&self) -> Vec<Permission> {
        let mut all = self.permissions.list();
        for (name, contract) in &self.contracts {
            // `validate` has parsed every function already.
            for function in contract.functions().unwrap_or_default() {
                all.push(Permission::Contract {
                    contract: name.clone(),
                    function: function.function.signature(),
                    role: function.role,
                });
            }
        }
        all
    }

    /// The permissions that the plugin may ask for later.
    #[must_use]
    pub fn optional(&self) -> Vec<Permission> {
        self.optional_permissions.list()
    }

    /// True when the publisher lists this gateway on this chain.
    #[must_use]
    pub fn knows_gateway(&self, chain_id: u64, gateway: Address) -> bool {
        self.deployments.iter().any(|known| known.chain.id() == chain_id && known.gateway == Some(gateway))
    }

    /// True when the publisher lists this network address on this chain.
    #[must_use]
    pub fn knows_url(&self, chain_id: u64, url: &str) -> bool {
        self.deployments.iter().any(|known| known.chain.id() == chain_id && known.network_url.as_deref() == Some(url))
    }

    fn validate(&self) -> Result<(), ManifestError> {
        if self.api_version != API_VERSION {
            let problem =
                format!("{} is not a version that this wallet speaks; it speaks {API_VERSION}", self.api_version);
            return Err(ManifestError::new("layer2.apiVersion", problem));
        }
        if self.data_version == 0 {
            return Err(ManifestError::new("layer2.dataVersion", "versions start at 1"));
        }
        values::check_text("layer2.title", &self.title, 1, TITLE_LIMIT)?;
        if let Some(description) = &self.description {
            values::check_text("layer2.description", description, 0, DESCRIPTION_LIMIT)?;
        }
        if let Some(icon) = &self.icon
            && !icon.as_str().ends_with(".svg")
        {
            return Err(ManifestError::new("layer2.icon", format!("\"{icon}\" is no SVG file (.svg)")));
        }
        values::check_count("layer2.contracts", self.contracts.len())?;
        for (name, contract) in &self.contracts {
            contract.validate(name)?;
        }
        values::check_count("layer2.deployments", self.deployments.len())?;
        for (index, deployment) in self.deployments.iter().enumerate() {
            let field = format!("layer2.deployments[{index}]");
            if let Some(url) = &deployment.network_url {
                values::check_url(&format!("{field}.networkUrl"), url)?;
            }
            if deployment.gateway.is_some() && !self.contracts.contains_key(GATEWAY) {
                return Err(ManifestError::new(format!("{field}.gateway"), "layer2.contracts describes no gateway"));
            }
        }
        asset::validate(&self.assets, self.permissions.compute)?;
        self.permissions.validate("layer2.permissions")?;
        self.optional_permissions.validate("layer2.optionalPermissions")?;
        check_dial("networking", &self.dials.networking)?;
        check_dial("state", &self.dials.state)?;
        check_dial("history", &self.dials.history)
    }
}

fn check_dial<T: Ord>(name: &str, positions: &[T]) -> Result<(), ManifestError> {
    let field = format!("layer2.dials.{name}");
    if positions.is_empty() {
        return Err(ManifestError::new(field, "needs at least one position"));
    }
    if positions.iter().enumerate().any(|(i, position)| positions[..i].contains(position)) {
        return Err(ManifestError::new(field, "a position stands twice"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
