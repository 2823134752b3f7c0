//! What a plugin asks for.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::limits::{self, LimitName};
use super::{ByteSize, Compute, ManifestError, Role, values};

/// Largest local database that can be asked for.
const QUOTA_LIMIT: u64 = 1 << 30;

/// Largest memory of a plugin instance: the sandbox reserves address space for it.
const MEMORY_LIMIT: u64 = 512 << 20;

/// Smallest memory in which the script engine starts.
const MEMORY_LEAST: u64 = 8 << 20;

/// `"permissions"`: without these the plugin cannot run. What is absent is denied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Permissions {
    /// Layer-2 accounts below the solution's derivation path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Keys>,
    /// The isolated key-value store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_database: Option<LocalDatabase>,
    /// Addresses it may connect to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network: Vec<NetworkTarget>,
    /// Reading layer 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layer1: Vec<Layer1Access>,
    /// Asking for signatures of the owner's account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sign: Vec<SignAccess>,
    /// Memory of the script; the sandbox's own default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// Other limits than the usual ones.
    #[serde(default, skip_serializing_if = "limits::Asked::is_empty")]
    pub limits: limits::Asked,
    /// Running the package's WebAssembly assets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute: Option<Compute>,
    /// The JavaScript `WebAssembly` API within the script.
    #[serde(default, skip_serializing_if = "is_false")]
    pub webassembly: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}

/// `"optionalPermissions"`: asked for when needed, by `requestPermission`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OptionalPermissions {
    /// Further addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network: Vec<NetworkTarget>,
    /// Further reading of layer 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layer1: Vec<Layer1Access>,
    /// Further signatures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sign: Vec<SignAccess>,
}

/// Use of the solution's key subtree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Keys {
    /// The only curve so far.
    pub curve: Curve,
    /// Whether the script may hold private keys and derived secrets itself.
    #[serde(default)]
    pub export: bool,
}

/// The curve of layer-2 accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Curve {
    /// The curve of Ethereum's accounts.
    Secp256k1,
}

/// The isolated key-value store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalDatabase {
    /// Most bytes of keys and values together.
    pub quota: ByteSize,
    /// After a restore no signature until the plugin says that its state is current again.
    #[serde(default)]
    pub critical: bool,
}

/// An address that the plugin may connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum NetworkTarget {
    /// `$networkUrl`: the addresses given when the solution was added.
    NetworkUrl,
    /// One fixed address.
    Url(String),
}

impl TryFrom<String> for NetworkTarget {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "$networkUrl" => Ok(Self::NetworkUrl),
            other if other.starts_with('$') => {
                Err(format!("unknown variable {other:?}; there is only \"$networkUrl\""))
            }
            _ => Ok(Self::Url(text)),
        }
    }
}

impl From<NetworkTarget> for String {
    fn from(target: NetworkTarget) -> Self {
        match target {
            NetworkTarget::NetworkUrl => "$networkUrl".to_owned(),
            NetworkTarget::Url(url) => url,
        }
    }
}

/// A way of looking at layer 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer1Access {
    /// Requests of the read-only list.
    Read,
    /// To be told of new blocks.
    Blocks,
    /// To be told of the gateway's events.
    Events,
}

/// A kind of owner's signature that the plugin may ask for; the user is asked each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SignAccess {
    /// EIP-712 data of the solution's own chain and contract.
    TypedData,
    /// EIP-191 text.
    Message,
}

/// One thing that the user grants or refuses. Its JSON is the record of the grant, so its spelling is stable.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
pub enum Permission {
    /// See [`Keys`].
    Keys {
        /// The curve.
        curve: Curve,
        /// Keys may leave the vault for the script.
        export: bool,
    },
    /// See [`LocalDatabase`].
    LocalDatabase {
        /// Most bytes.
        quota: ByteSize,
        /// See [`LocalDatabase::critical`].
        critical: bool,
    },
    /// See [`NetworkTarget`].
    Network {
        /// Where to.
        target: NetworkTarget,
    },
    /// See [`Layer1Access`].
    Layer1 {
        /// Which.
        access: Layer1Access,
    },
    /// See [`SignAccess`].
    Sign {
        /// Which.
        access: SignAccess,
    },
    /// Memory of the script.
    Memory {
        /// Most bytes.
        limit: ByteSize,
    },
    /// Another limit than the usual one.
    Limit {
        /// Which.
        name: LimitName,
        /// In its own unit.
        value: u64,
    },
    /// See [`Compute`].
    Compute {
        /// Most memory of one computation.
        memory: ByteSize,
        /// Most processor time of one computation.
        seconds: u32,
    },
    /// See [`Permissions::webassembly`].
    Webassembly,
    /// Asking for layer-1 transactions that call one contract function; the user is asked each time.
    Contract {
        /// Its name in `layer2.contracts`.
        contract: String,
        /// Canonical signature, `claim(uint256,address)`.
        function: String,
        /// What it is for.
        role: Role,
    },
}

impl fmt::Display for Permission {
    /// The wallet's own sentence, for the install screen.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys { export: false, .. } => {
                f.write_str("make and use accounts of its own on layer 2 (the keys stay in the vault)")
            }
            Self::Keys { export: true, .. } => f.write_str(
                "make accounts of its own on layer 2 and HOLD THEIR PRIVATE KEYS: whatever it does with them, the \
                 wallet cannot see",
            ),
            Self::LocalDatabase { quota, critical } => {
                write!(f, "keep up to {quota} of data in this wallet")?;
                if *critical { f.write_str(", without which its money may be lost") } else { Ok(()) }
            }
            Self::Network { target: NetworkTarget::NetworkUrl } => f.write_str("connect to this layer 2's network URL"),
            Self::Network { target: NetworkTarget::Url(url) } => write!(f, "connect to {url}"),
            Self::Layer1 { access: Layer1Access::Read } => f.write_str("read layer 1"),
            Self::Layer1 { access: Layer1Access::Blocks } => f.write_str("be told of new layer-1 blocks"),
            Self::Layer1 { access: Layer1Access::Events } => f.write_str("be told of the gateway's events"),
            Self::Sign { access: SignAccess::TypedData } => {
                f.write_str("ask for your signature of data for its own contract (you are asked each time)")
            }
            Self::Sign { access: SignAccess::Message } => {
                f.write_str("ask for your signature of a text (you are asked each time)")
            }
            Self::Memory { limit } => write!(f, "use up to {limit} of memory"),
            Self::Limit { name, value } => f.write_str(&name.limit().sentence(*value)),
            Self::Compute { memory, seconds } => write!(
                f,
                "run heavy computations beside itself, each with up to {memory} of memory and {seconds} s of processor time"
            ),
            Self::Webassembly => f.write_str(
                "bring faster program parts (WebAssembly) that this computer translates when they run; they are shut in with the \
                 plugin's script and can do no more than it",
            ),
            Self::Contract { contract, function, role } => {
                write!(f, "ask for layer-1 transactions that call {contract}.{function} ({})", role.sentence())
            }
        }
    }
}

impl Permissions {
    /// As single permissions, in the order of the fields.
    #[must_use]
    pub fn list(&self) -> Vec<Permission> {
        let mut all = Vec::new();
        all.extend(self.keys.map(|keys| Permission::Keys { curve: keys.curve, export: keys.export }));
        all.extend(self.local_database.map(|db| Permission::LocalDatabase { quota: db.quota, critical: db.critical }));
        push_lists(&mut all, &self.network, &self.layer1, &self.sign);
        all.extend(self.memory.map(|limit| Permission::Memory { limit }));
        all.extend(limits::list(&self.limits));
        all.extend(self.compute.map(|of| Permission::Compute { memory: of.memory, seconds: of.seconds }));
        all.extend(self.webassembly.then_some(Permission::Webassembly));
        all
    }

    pub(super) fn validate(&self, field: &str) -> Result<(), ManifestError> {
        if let Some(database) = self.local_database
            && !(1..=QUOTA_LIMIT).contains(&database.quota.bytes())
        {
            let problem = format!("{} is not between 1 B and {}", database.quota, ByteSize::new(QUOTA_LIMIT));
            return Err(ManifestError::new(format!("{field}.localDatabase.quota"), problem));
        }
        if let Some(memory) = self.memory
            && !(MEMORY_LEAST..=MEMORY_LIMIT).contains(&memory.bytes())
        {
            let (least, most) = (ByteSize::new(MEMORY_LEAST), ByteSize::new(MEMORY_LIMIT));
            return Err(ManifestError::new(
                format!("{field}.memory"),
                format!("{memory} is not between {least} and {most}"),
            ));
        }
        limits::validate(&format!("{field}.limits"), &self.limits)?;
        if let Some(compute) = self.compute {
            compute.validate(&format!("{field}.compute"))?;
        }
        validate_lists(field, &self.network, &self.layer1, &self.sign)
    }
}

impl OptionalPermissions {
    /// As single permissions, in the order of the fields.
    #[must_use]
    pub fn list(&self) -> Vec<Permission> {
        let mut all = Vec::new();
        push_lists(&mut all, &self.network, &self.layer1, &self.sign);
        all
    }

    /// True when nothing stands in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.network.is_empty() && self.layer1.is_empty() && self.sign.is_empty()
    }

    pub(super) fn validate(&self, field: &str) -> Result<(), ManifestError> {
        validate_lists(field, &self.network, &self.layer1, &self.sign)
    }
}

fn push_lists(all: &mut Vec<Permission>, network: &[NetworkTarget], layer1: &[Layer1Access], sign: &[SignAccess]) {
    all.extend(network.iter().map(|target| Permission::Network { target: target.clone() }));
    all.extend(layer1.iter().map(|&access| Permission::Layer1 { access }));
    all.extend(sign.iter().map(|&access| Permission::Sign { access }));
}

fn validate_lists(
    field: &str,
    network: &[NetworkTarget],
    layer1: &[Layer1Access],
    sign: &[SignAccess],
) -> Result<(), ManifestError> {
    for (index, target) in network.iter().enumerate() {
        if let NetworkTarget::Url(url) = target {
            values::check_url(&format!("{field}.network[{index}]"), url)?;
        }
    }
    check_list(&format!("{field}.network"), network)?;
    check_list(&format!("{field}.layer1"), layer1)?;
    check_list(&format!("{field}.sign"), sign)
}

fn check_list<T: PartialEq>(field: &str, entries: &[T]) -> Result<(), ManifestError> {
    values::check_count(field, entries.len())?;
    if entries.iter().enumerate().any(|(i, entry)| entries[..i].contains(entry)) {
        return Err(ManifestError::new(field, "an entry stands twice"));
    }
    Ok(())
}
