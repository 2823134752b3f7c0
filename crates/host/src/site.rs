//! What a website or a local app sees of layer 1, as EIP-1193 has it: the accounts that the user let it see, the network
//! it looks at, and what it is told when they change.
//!
//! Everything is kept by caller (see [`Caller::key`]): one origin in two browser profiles is two callers, and what one
//! switches to, no other notices. A caller that holds nothing (no account, no grant on a solution) sees an empty list of
//! accounts and the wallet's first network, and may ask.

mod accounts;
mod asking;
mod bundle;
mod chains;
mod events;
mod permissions;
mod propose;
mod rates;
mod reads;
mod send;
mod sign;

pub(crate) use accounts::{ConnectPlan, eth_accounts, eth_request_accounts};
pub(crate) use bundle::{Bundle, calls_status, capabilities, send_calls, show_calls};
pub(crate) use chains::{NetworkPlan, add_chain, eth_chain_id, net_version, switch_chain, web3_client_version};
pub use events::{CallerEvent, CallerEvents};
pub(crate) use permissions::{get_permissions, request_permissions, revoke_permissions};
pub(crate) use propose::{ProposePlan, add_solution};
pub(crate) use rates::{Bucket, CallerRates};
pub(crate) use reads::read;
pub(crate) use send::send_transaction;
pub(crate) use sign::{personal_sign, refused, sign_typed_data};

use crate::callers::Caller;
use crate::error::HostError;
use crate::networks::Runtime;
use crate::policies::locked_error;
use crate::{Actor, Host, Operation};
use alloy::primitives::Address;
use entresol_store::Network;

/// What a caller sees of layer 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Connection {
    /// Owner indices, in the order in which the caller is given them.
    pub(crate) accounts: Vec<u32>,
    /// Name of its network; the wallet's first when absent.
    pub(crate) network: Option<String>,
}

impl Host {
    /// What `caller` was granted of layer 1, also while the seed is locked.
    pub(crate) fn connection(&self, caller: &Caller) -> Result<Connection, HostError> {
        let kept = self.store().caller_connection(&caller.key())?;
        Ok(kept.map(|kept| Connection { accounts: kept.accounts, network: kept.network }).unwrap_or_default())
    }

    /// True when the user has let the caller see or ask for anything: an account, or a grant on a solution.
    pub(crate) fn is_connected(&self, caller: &Caller) -> Result<bool, HostError> {
        if !self.connection(caller)?.accounts.is_empty() {
            return Ok(true);
        }
        Ok(!self.grants_of(caller)?.is_empty())
    }

    /// The network that `caller` looks at, as it is registered.
    pub(crate) fn caller_chain(&self, caller: &Caller) -> Result<Network, HostError> {
        let chosen = match self.connection(caller)?.network {
            Some(name) => self.store().network(&name)?,
            None => None,
        };
        match chosen {
            Some(network) => Ok(network),
            None => self.first_network(),
        }
    }

    /// The network that `caller` looks at, connected.
    ///
    /// # Errors
    /// The wallet has no network; it does not answer now (4900).
    pub(crate) fn caller_network(&self, caller: &Caller) -> Result<(String, Runtime), HostError> {
        let name = self.caller_chain(caller)?.name;
        let runtime = self.runtime(&name)?;
        Ok((name, runtime))
    }

    /// The owner account behind an address that `caller` names.
    ///
    /// # Errors
    /// 4100 when the address is not among the accounts granted to it, whether the wallet has it or not, and while the
    /// seed is locked.
    pub(crate) fn caller_account(&self, caller: &Caller, address: Address) -> Result<u32, HostError> {
        let accounts = self.connection(caller)?.accounts;
        // While locked it is not said which address is right: the caller sees none.
        if self.vault().is_locked() && !accounts.is_empty() {
            return Err(locked_error());
        }
        for index in accounts {
            if self.owner(index).is_ok_and(|account| account.address == address) {
                let act = Operation::Act { account: index };
                self.authorize(&Actor::Caller(caller.clone()), &act, &address.to_checksum(None))?;
                return Ok(index);
            }
        }
        Err(HostError::unauthorized(format!(
            "{} is not granted to this caller; ask for accounts with eth_requestAccounts",
            address.to_checksum(None)
        )))
    }

    /// The addresses that `caller` sees now: none while the seed is locked.
    pub(crate) fn caller_addresses(&self, caller: &Caller) -> Result<Vec<Address>, HostError> {
        if self.vault().is_locked() {
            return Ok(Vec::new());
        }
        let accounts = self.connection(caller)?.accounts;
        accounts.into_iter().map(|index| Ok(self.owner(index)?.address)).collect()
    }

    /// What callers look at that have not chosen: the network that was there first, whatever has been added since.
    fn first_network(&self) -> Result<Network, HostError> {
        let noted = self.store().meta(FIRST_NETWORK)?;
        let first = match noted.as_ref().and_then(|name| name.as_str()) {
            Some(name) => self.store().network(name)?,
            None => None,
        };
        let first = match first {
            Some(network) => Some(network),
            None => self.store().networks()?.into_iter().next(),
        };
        first.ok_or_else(|| {
            HostError::new(
                crate::error::code::DISCONNECTED,
                "the wallet knows no network yet; its user adds one with `entresol network add`",
            )
        })
    }
}

/// Key of the setting that names the network which was there first.
pub(crate) const FIRST_NETWORK: &str = "first_network";
