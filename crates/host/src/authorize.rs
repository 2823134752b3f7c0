//! The one place that decides.
//!
//! Every method of the host and every request of a plugin comes through [`Host::authorize`]; `api`, `web` and the
//! wallet object only translate. What is not written here is refused.

use crate::Host;
use crate::callers::Caller;
use crate::error::HostError;
use crate::plugin::fetch::same_endpoint;
use crate::policies::locked_error;
use entresol_package::Permission;
use entresol_package::manifest::{Layer1Access, NetworkTarget, SignAccess};
use serde_json::json;
use url::Url;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The user at a terminal (control socket, peer uid checked). `session`: a passphrase session is open there.
    User {
        /// True within ten minutes of the passphrase on that terminal.
        session: bool,
    },
    /// The user at the wallet's own page. Its session was opened by a one-time link, and only a terminal with a passphrase
    /// session makes links: so it decides without asking for the passphrase again, until the seed locks. From then on it
    /// only reads and proposes, until the passphrase opens the seed again, there or on a terminal.
    Page,
    /// A running plugin.
    Plugin {
        /// Its solution, as the host started it; never what the script says.
        solution: i64,
    },
    /// A website, a local app, or a solution that calls another.
    Caller(Caller),
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User { .. } => f.write_str("user"),
            Self::Page => f.write_str("page"),
            Self::Plugin { solution } => write!(f, "plugin {solution}"),
            Self::Caller(caller) => f.write_str(&caller.key()),
        }
    }
}

/// What is asked, by weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Looks only.
    Read,
    /// Puts a request before the user; nothing happens without a decision.
    Propose,
    /// Decides, or changes what the wallet trusts.
    Decide,
    /// Handles keys, backups or the passphrase itself: at a terminal only, and the method checks the passphrase.
    Keep,
    /// A plugin's use of one granted capability.
    Use(Capability),
    /// A caller asks for a grant, or looks at and gives back its own: it sees nothing else by that.
    Introduce,
    /// A caller reads layer 1. Whoever was granted anything may: what is there is no secret of the wallet, so a locked
    /// seed does not end it, but a stranger does not spend the user's endpoint.
    ReadLayer1,
    /// A caller asks for something in the name of an owner account: a signature, a transaction.
    Act {
        /// The owner's index.
        account: u32,
    },
    /// A caller asks for an action.
    Ask {
        /// Of this solution.
        solution: i64,
        /// The action's name.
        action: String,
    },
    /// A caller looks at published state.
    See {
        /// Of this solution.
        solution: i64,
        /// The state's name.
        name: String,
    },
}

/// A plugin's capability: each stands for a permission of the manifest that the user granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Derive and sign with layer-2 accounts.
    Keys,
    /// The local database.
    LocalDatabase,
    /// Its own published state: every plugin has it.
    State,
    /// Reach the host of this URL.
    Network(Url),
    /// Read layer 1.
    Layer1Read,
    /// Be told of blocks.
    Layer1Blocks,
    /// Be told of gateway events.
    Layer1Events,
    /// Ask the owner for a signature of typed data.
    SignTypedData,
    /// Ask the owner for a signature of a message.
    SignMessage,
    /// Run the package's WebAssembly assets.
    Compute,
    /// Hold the private keys of layer-2 accounts and secrets of the subtree.
    KeyExport,
    /// Ask for a call of one contract function.
    Contract {
        /// The contract's name in the manifest.
        contract: String,
        /// Canonical signature.
        function: String,
    },
}

impl Host {
    /// Decides whether `actor` may do `operation` on `resource` (a method's name, a solution's handle, a function).
    ///
    /// # Errors
    /// Code 4100 with what would help: `data.needs` is `"session"` where the passphrase session is missing.
    pub fn authorize(&self, actor: &Actor, operation: &Operation, resource: &str) -> Result<(), HostError> {
        // A caller made of parts that its canonical text would not give back could pass for another one.
        if let Actor::Caller(caller) = actor
            && Caller::parse(&caller.key()).ok().as_ref() != Some(caller)
        {
            return Err(HostError::unauthorized(format!("{resource}: there is no such caller")));
        }
        match (actor, operation) {
            (Actor::User { .. }, Operation::Read | Operation::Propose | Operation::Keep)
            | (Actor::Page, Operation::Read | Operation::Propose) => Ok(()),
            (Actor::User { session: true }, Operation::Decide) => {
                self.touch();
                Ok(())
            }
            (Actor::Page, Operation::Decide) if !self.vault().is_locked() => {
                self.touch();
                Ok(())
            }
            (Actor::Page, Operation::Decide) => {
                Err(HostError::unauthorized(format!("{resource}: the wallet is locked; unlock it first"))
                    .with(json!({ "needs": "unlock" })))
            }
            (Actor::Page, Operation::Keep) => {
                Err(HostError::unauthorized(format!("{resource} is not for this page; use the terminal")))
            }
            (Actor::User { session: false }, Operation::Decide) => Err(HostError::unauthorized(format!(
                "{resource} needs your passphrase on this terminal (asked once in ten minutes)"
            ))
            .with(json!({ "needs": "session" }))),
            (Actor::Plugin { solution }, Operation::Use(capability)) => self.granted(*solution, capability, resource),
            (Actor::Caller(_), Operation::Introduce) => Ok(()),
            (Actor::Caller(caller), Operation::ReadLayer1) => {
                if self.is_connected(caller)? {
                    return Ok(());
                }
                Err(HostError::unauthorized(format!(
                    "{resource} is for connected sites; ask for accounts with eth_requestAccounts"
                )))
            }
            (Actor::Caller(caller), Operation::Act { account }) => {
                if !self.connection(caller)?.accounts.contains(account) {
                    return Err(HostError::unauthorized(format!("{resource} is not granted to {actor}")));
                }
                if self.vault().is_locked() {
                    return Err(locked_error());
                }
                Ok(())
            }
            (Actor::Caller(caller), Operation::Ask { solution, action }) => {
                let caveats = self.caveats(&caller.key(), *solution)?.unwrap_or_default();
                if caveats.actions.contains(action) {
                    return Ok(());
                }
                Err(HostError::unauthorized(format!("{resource} is not granted to {actor}")))
            }
            (Actor::Caller(caller), Operation::See { solution, name }) => {
                let caveats = self.caveats(&caller.key(), *solution)?.unwrap_or_default();
                if caveats.state.contains(name) {
                    return Ok(());
                }
                Err(HostError::unauthorized(format!("{resource} is not granted to {actor}")))
            }
            _ => Err(HostError::unauthorized(format!("{resource} is not for {actor}"))),
        }
    }

    /// Manifest asked AND user granted, looked up at every use, so that a revocation holds at once.
    fn granted(&self, solution: i64, capability: &Capability, resource: &str) -> Result<(), HostError> {
        if *capability == Capability::State {
            return Ok(());
        }
        let grants = self.permissions(solution)?;
        let spec = self.store().solution(solution)?;
        let urls = spec.map(|row| row.spec.network_urls).unwrap_or_default();
        let covers = |permission: &Permission| match (permission, capability) {
            (Permission::Keys { .. }, Capability::Keys)
            | (Permission::LocalDatabase { .. }, Capability::LocalDatabase)
            | (Permission::Layer1 { access: Layer1Access::Read }, Capability::Layer1Read)
            | (Permission::Layer1 { access: Layer1Access::Blocks }, Capability::Layer1Blocks)
            | (Permission::Layer1 { access: Layer1Access::Events }, Capability::Layer1Events)
            | (Permission::Sign { access: SignAccess::TypedData }, Capability::SignTypedData)
            | (Permission::Compute { .. }, Capability::Compute)
            | (Permission::Sign { access: SignAccess::Message }, Capability::SignMessage) => true,
            (Permission::Network { target: NetworkTarget::NetworkUrl }, Capability::Network(url)) => {
                urls.iter().any(|own| same_endpoint(own, url))
            }
            (Permission::Network { target: NetworkTarget::Url(granted) }, Capability::Network(url)) => {
                same_endpoint(granted, url)
            }
            (Permission::Keys { export: true, .. }, Capability::KeyExport) => true,
            (
                Permission::Contract { contract, function, .. },
                Capability::Contract { contract: of, function: wanted },
            ) => contract == of && function == wanted,
            _ => false,
        };
        if grants.iter().any(covers) {
            return Ok(());
        }
        Err(HostError::unauthorized(format!(
            "{resource} is not granted to this solution; the manifest must ask for it and the user must grant it \
             (`entresol grants list`)"
        )))
    }

    /// The active grants of a solution.
    pub(crate) fn permissions(&self, solution: i64) -> Result<Vec<Permission>, HostError> {
        self.store()
            .active_grants(solution)?
            .iter()
            .map(|text| serde_json::from_str(text).map_err(|e| HostError::internal(format!("a stored grant: {e}"))))
            .collect()
    }
}
