//! A signed transaction as the log keeps it, and how far it is.

use alloy::primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

/// Where a transaction is in its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inclusion {
    /// Height of the block.
    pub block_number: u64,
    /// Hash of the block.
    pub block_hash: B256,
    /// Gas used.
    pub gas_used: u64,
    /// Wei per gas actually paid; a decimal string in JSON.
    #[serde(with = "decimal")]
    pub effective_gas_price: u128,
    /// False when it reverted: it is in the chain, cost its fee, and did nothing else.
    pub success: bool,
}

/// `u128` as a decimal string: a JSON number of this size is cut by many readers.
mod decimal {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How far a transaction is. Every step can be taken back by a reorganisation: `Included` → `Broadcast` (or `Stored`, while
/// no endpoint takes it), and up to the network's reorg limit also `Confirmed` → `Broadcast` and `Replaced` → `Included`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum TransactionStatus {
    /// In the log; no endpoint has taken it yet, or again after its block was undone. It is tried until one does.
    Stored,
    /// An endpoint has taken it.
    Broadcast,
    /// Another transaction with its nonce was sent, or is in a recent block: either may still be the one that counts.
    Superseded,
    /// In a block that is not confirmed yet.
    Included(Inclusion),
    /// In a block with the network's confirmations.
    Confirmed(Inclusion),
    /// No endpoint will take it. Final; its nonce is free again.
    Failed {
        /// The endpoint's words.
        reason: String,
    },
    /// Another transaction with its nonce was confirmed.
    Replaced,
}

impl TransactionStatus {
    /// True for the statuses that count as the end. Only a reorganisation deeper than the network's confirmations, and
    /// within its reorg limit, leaves `Confirmed` and `Replaced` again.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        matches!(self, Self::Confirmed(_) | Self::Failed { .. } | Self::Replaced)
    }

    /// The block, where it is in one.
    #[must_use]
    pub const fn inclusion(&self) -> Option<&Inclusion> {
        match self {
            Self::Included(inclusion) | Self::Confirmed(inclusion) => Some(inclusion),
            _ => None,
        }
    }
}

/// A signed transaction as the log keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredTransaction {
    /// keccak256 of `raw`.
    pub hash: B256,
    /// The chain it is for.
    pub chain_id: u64,
    /// Who signed it.
    pub from: Address,
    /// Its nonce.
    pub nonce: u64,
    /// The signed bytes (EIP-2718).
    pub raw: Bytes,
    /// The approval that allowed it; at most one transaction per approval.
    pub approval_id: Option<i64>,
    /// The solution it was made for.
    pub solution: Option<i64>,
    /// What it is for, in a word: "deposit", "withdraw", "defend".
    pub purpose: String,
    /// How far it is.
    pub status: TransactionStatus,
}
