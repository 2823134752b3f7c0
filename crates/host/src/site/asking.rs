//! A caller that asks for something in the name of an own account: who it is, which account it may name, and how its
//! question comes before the user.

use crate::approvals::{Proposal, Requester};
use crate::callers::{Asked, Caller};
use crate::calls::OpenCall;
use crate::error::HostError;
use crate::gateway::parse_address;
use crate::networks::Runtime;
use crate::plugin::Cause;
use crate::text::row;
use crate::{Actor, Host};
use alloy::primitives::{Address, U256};
use serde_json::Value as Json;

/// One such question. It counts among the caller's open calls for as long as it lives.
pub(super) struct Asking {
    pub(super) host: Host,
    pub(super) caller: Caller,
    /// Its name in words.
    pub(super) words: String,
    pub(super) owner: u32,
    pub(super) address: Address,
    method: &'static str,
    _open: OpenCall,
}

impl Asking {
    /// The caller may name this account.
    ///
    /// # Errors
    /// 4100 where it may not, and while the seed is locked; too many open calls.
    pub(super) fn new(asked: &Asked, address: Address) -> Result<Self, HostError> {
        let owner = asked.host.caller_account(&asked.caller, address)?;
        Ok(Self {
            words: asked.host.caller_words(&asked.caller)?,
            _open: asked.host.open_call(&asked.caller)?,
            host: asked.host.clone(),
            caller: asked.caller.clone(),
            owner,
            address,
            method: asked.method,
        })
    }

    /// The network that the caller looks at.
    pub(super) fn network(&self) -> Result<(String, Runtime), HostError> {
        self.host.caller_network(&self.caller)
    }

    /// The account in words.
    pub(super) fn from(&self) -> String {
        format!("{} (account {})", self.address.to_checksum(None), self.owner)
    }

    pub(super) fn requester(&self) -> Requester {
        Requester::of(&Actor::Caller(self.caller.clone()))
    }

    /// The proposal with the caller as its cause and in its first row: a locked wallet refuses it, no policy covers it.
    pub(super) fn caused(&self, proposal: Proposal, call_id: Option<String>) -> Proposal {
        let cause = Cause {
            caller: self.words.clone(),
            key: self.caller.key(),
            action: self.method.to_owned(),
            call_id,
            read_only: false,
        };
        let mut rows = vec![row("Caller", self.words.clone())];
        rows.extend(proposal.rows);
        Proposal { rows, causes: vec![cause], ..proposal }
    }

    /// Puts the question before the user and gives its outcome. Undecided, it leaves the queue when this future is
    /// dropped: nobody would get the answer.
    pub(super) async fn ask(&self, proposal: Proposal) -> Result<Json, HostError> {
        let view = self.host.submit(self.caused(proposal, None)).await?;
        let waits = self.host.waits_for(&view);
        let outcome = self.host.outcome(view.id).await;
        drop(waits);
        outcome
    }
}

/// A text among the parameters.
pub(super) fn text<'a>(params: &'a [Json], at: usize, what: &str) -> Result<&'a str, HostError> {
    params.get(at).and_then(Json::as_str).ok_or_else(|| HostError::invalid(format!("{what} is missing, or no text")))
}

/// An address, with the checksum that its spelling promises.
pub(super) fn address(given: &Json, what: &str) -> Result<Address, HostError> {
    parse_address(what, given.as_str().unwrap_or_default())
}

/// A quantity (EIP-1474): `0x` and hex digits, or a whole number of JSON as some clients write small ones. Decimal text
/// is refused: the same digits mean something else in hex.
pub(super) fn quantity(given: &Json, what: &str) -> Result<U256, HostError> {
    let read = match given {
        Json::Number(number) => number.as_u64().map(U256::from),
        Json::String(text) => match text.strip_prefix("0x") {
            Some(digits) if !digits.is_empty() => U256::from_str_radix(digits, 16).ok(),
            _ => None,
        },
        _ => None,
    };
    read.ok_or_else(|| HostError::invalid(format!("{what}: {given} is no quantity (0x and hex digits)")))
}

/// A quantity of at most 64 bits.
pub(super) fn small(given: &Json, what: &str) -> Result<u64, HostError> {
    let number = quantity(given, what)?;
    u64::try_from(number).map_err(|_| HostError::invalid(format!("{what}: {number} is too large")))
}

/// Bytes as `0x`-hex.
pub(super) fn bytes(given: &str, what: &str) -> Result<Vec<u8>, HostError> {
    let read = given.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
    read.ok_or_else(|| HostError::invalid(format!("{what} must be 0x and an even number of hex digits")))
}
