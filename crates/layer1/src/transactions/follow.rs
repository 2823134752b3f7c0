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

/// What the endpoint says about a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Observation {
    /// It has a receipt.
    Mined(Inclusion),
    /// It is known and waits.
    Pending,
    /// It is unknown; `nonce_settled` when its account has confirmed this nonce with something else.
    Unknown { nonce_settled: bool },
}

/// What to do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// This is its status now.
    Status(TransactionStatus),
    /// Broadcast the same bytes again.
    Broadcast,
    /// The endpoint and the tracker disagree: look again with the next head.
    Wait,
}

/// Decides for a transaction whose status is not final. `recent` is the tracker's chain, oldest first.
pub(crate) fn decide(observation: Observation, recent: &[BlockRef], confirmations: u64) -> Decision {
    match observation {
        Observation::Mined(inclusion) => {
            let number = inclusion.block_number;
            if recent.iter().any(|known| known.number == number && known.hash != inclusion.block_hash) {
                return Decision::Wait;
            }
            let head = recent.last().map_or(0, |block| block.number);
            let deep = head.saturating_add(1).saturating_sub(number);
            if head >= number && deep >= confirmations {
                Decision::Status(TransactionStatus::Confirmed(inclusion))
            } else {
                Decision::Status(TransactionStatus::Included(inclusion))
            }
        }
        Observation::Pending => Decision::Status(TransactionStatus::Broadcast),
        Observation::Unknown { nonce_settled: true } => Decision::Status(TransactionStatus::Replaced),
        Observation::Unknown { nonce_settled: false } => Decision::Broadcast,
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
