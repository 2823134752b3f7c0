//! What an observation of the chain means for a transaction, without IO.

use alloy::primitives::{B256, U256};
use serde::Deserialize;

use super::{Inclusion, TransactionStatus};
use crate::tracker::{BlockRef, quantity};

/// The fields of a JSON-RPC receipt that are needed here.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Receipt {
    #[serde(deserialize_with = "quantity")]
    block_number: u64,
    block_hash: B256,
    #[serde(deserialize_with = "quantity")]
    gas_used: u64,
    #[serde(deserialize_with = "quantity")]
    effective_gas_price: u128,
    status: U256,
}

impl Receipt {
    pub(crate) fn inclusion(&self) -> Inclusion {
        Inclusion {
            block_number: self.block_number,
            block_hash: self.block_hash,
            gas_used: self.gas_used,
            effective_gas_price: self.effective_gas_price,
            success: self.status == U256::ONE,
        }
    }
}

/// The chain as the tracker sees it, and what counts on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// Recent blocks, oldest first.
    pub(crate) recent: &'a [BlockRef],
    /// Blocks until something is confirmed.
    pub(crate) confirmations: u64,
    /// Blocks until nothing moves any more.
    pub(crate) burial: u64,
    /// False while the endpoints are on different chains: then nothing is confirmed.
    pub(crate) agreed: bool,
}

impl View<'_> {
    /// How many blocks there are from `number` to the head, both counted.
    fn depth(&self, number: u64) -> u64 {
        let head = self.recent.last().map_or(0, |block| block.number);
        head.saturating_add(1).saturating_sub(number)
    }

    /// Whether the block is in the chain; `None` where that height is not remembered.
    fn holds(&self, inclusion: &Inclusion) -> Option<bool> {
        let known = self.recent.iter().find(|known| known.number == inclusion.block_number)?;
        Some(known.hash == inclusion.block_hash)
    }
}

/// What the endpoint says about a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Observation {
    /// It has a receipt.
    Mined(Inclusion),
    /// It is known and waits.
    Pending,
    /// It is unknown.
    Unknown {
        /// Whether its account has used its nonce with something else.
        nonce: NonceUse,
    },
}

/// How deep in the chain a nonce was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NonceUse {
    /// It is free.
    No,
    /// In a recent block.
    Recent,
    /// With the network's confirmations.
    Confirmed,
    /// So deep that nothing moves any more.
    Buried,
}

/// The other transactions with the same sender and nonce: replacements, and what they replace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Siblings {
    /// One of them offers more, so this one is not the one that pools keep.
    pub(crate) outbid: bool,
}

/// What to do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// This is its status now.
    Status(TransactionStatus),
    /// This is its status for good: deeper than any reorganisation that is followed.
    Bury(TransactionStatus),
    /// Broadcast the same bytes again.
    Broadcast,
    /// The endpoint and the tracker disagree, or the endpoints among themselves: look again with the next head.
    Wait,
}

/// Decides for a transaction that is in a block which the tracker remembers, without asking anybody. `None`: ask.
pub(crate) fn decide_by_view(status: &TransactionStatus, view: &View<'_>) -> Option<Decision> {
    let inclusion = status.inclusion()?;
    view.holds(inclusion).filter(|holds| *holds).map(|_| included(inclusion, status, view))
}

/// Decides for a transaction that `status` was the last known of.
pub(crate) fn decide(
    status: &TransactionStatus,
    observation: Observation,
    siblings: Siblings,
    view: &View<'_>,
) -> Decision {
    match observation {
        Observation::Mined(inclusion) if view.holds(&inclusion) == Some(false) => Decision::Wait,
        Observation::Mined(inclusion) => included(&inclusion, status, view),
        Observation::Pending if siblings.outbid => Decision::Status(TransactionStatus::Superseded),
        Observation::Pending => Decision::Status(TransactionStatus::Broadcast),
        Observation::Unknown { nonce: NonceUse::No } if siblings.outbid => {
            Decision::Status(TransactionStatus::Superseded)
        }
        Observation::Unknown { nonce: NonceUse::No } => Decision::Broadcast,
        Observation::Unknown { nonce: NonceUse::Buried } if view.agreed => Decision::Bury(TransactionStatus::Replaced),
        Observation::Unknown { nonce: NonceUse::Confirmed | NonceUse::Buried } if view.agreed => {
            Decision::Status(TransactionStatus::Replaced)
        }
        // While the endpoints disagree, what was said before stands.
        Observation::Unknown { .. } if !view.agreed && status.is_settled() => Decision::Wait,
        Observation::Unknown { .. } => Decision::Status(TransactionStatus::Superseded),
    }
}

fn included(inclusion: &Inclusion, status: &TransactionStatus, view: &View<'_>) -> Decision {
    let depth = view.depth(inclusion.block_number);
    let confirmed = TransactionStatus::Confirmed(*inclusion);
    if !view.agreed {
        // Nothing is newly confirmed, and nothing that was is taken back for a quarrel alone.
        return if *status == confirmed {
            Decision::Wait
        } else {
            Decision::Status(TransactionStatus::Included(*inclusion))
        };
    }
    // A receipt ahead of the tracker has no depth yet.
    if depth >= view.burial.max(1) {
        Decision::Bury(confirmed)
    } else if depth >= view.confirmations.max(1) {
        Decision::Status(confirmed)
    } else {
        Decision::Status(TransactionStatus::Included(*inclusion))
    }
}

/// What an endpoint's refusal of a signed transaction means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It has the transaction already: as good as accepted.
    AlreadyKnown,
    /// The nonce is used: by this very transaction or by another, to be looked up.
    NonceUsed,
    /// It refuses this transaction.
    Rejected,
}

/// Reads the endpoint's words. There are no agreed codes; the phrases are those of geth, erigon, nethermind, besu,
/// reth and anvil.
pub(crate) fn classify(message: &str) -> Refusal {
    let words = message.to_ascii_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
    if says(&["already known", "alreadyknown", "known transaction", "already imported", "already exists"]) {
        Refusal::AlreadyKnown
    } else if says(&["nonce too low", "nonce is too low", "nonce_too_low", "oldnonce", "nonce too old"]) {
        Refusal::NonceUsed
    } else {
        Refusal::Rejected
    }
}

#[cfg(test)]
mod tests;
