//! What can go wrong with layer 1, in words that say what to do.

use alloy::primitives::{Bytes, U256};
use serde_json::Value;

use crate::transactions::TransactionLogError;

/// Every error of this crate.
///
/// RPC addresses appear without path and query, because providers put API keys there.
#[derive(Debug, thiserror::Error)]
pub enum Layer1Error {
    /// The endpoint serves another chain than the one registered.
    #[error(
        "network \"{name}\" is registered with chain id {expected}, but {endpoint} serves chain id {found}; \
         correct the chain id or the RPC URL of the network"
    )]
    ChainIdMismatch {
        /// Name of the network.
        name: String,
        /// Scheme, host and port of the endpoint.
        endpoint: String,
        /// The chain id that is registered.
        expected: u64,
        /// The chain id that the endpoint serves.
        found: u64,
    },
    /// No endpoint of the network answered.
    #[error("{endpoint} does not answer ({reason}); check that the node runs and that the RPC URL is right")]
    Unreachable {
        /// Scheme, host and port of the last endpoint tried.
        endpoint: String,
        /// What happened: refused, timed out, HTTP status.
        reason: String,
    },
    /// The endpoint answered with a JSON-RPC error.
    #[error("{method} was refused by the endpoint: {message} (code {code})")]
    Rpc {
        /// The method called.
        method: String,
        /// JSON-RPC error code.
        code: i64,
        /// The endpoint's words.
        message: String,
        /// The endpoint's data, as it came.
        data: Option<Value>,
    },
    /// The endpoint's answer is not what the method promises.
    #[error("the endpoint's answer to {method} makes no sense: {reason}; use another RPC URL")]
    BadAnswer {
        /// The method called.
        method: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The contract reverts this call.
    #[error("the contract refuses this call: {reason}")]
    Reverted {
        /// `Error(string)` and `Panic(uint256)` decoded; otherwise selector and data in hex.
        reason: String,
        /// The raw return data.
        data: Bytes,
    },
    /// The endpoint will not take a signed transaction.
    #[error("the transaction was not accepted: {reason}")]
    Rejected {
        /// The endpoint's words.
        reason: String,
    },
    /// The fee needed now is above the ceiling that was approved.
    #[error("the transaction would cost up to {needed} wei in fees, above the approved {ceiling} wei; ask again")]
    FeeAboveCeiling {
        /// Least total fee with which it could be included now, in wei.
        needed: U256,
        /// The approved ceiling, in wei.
        ceiling: U256,
    },
    /// A transaction was to have a nonce that is not the account's next.
    #[error(
        "nonce {wanted} was asked for, and the next of this account is {next}; leave it out, or ask again with {next}"
    )]
    NonceNotNext {
        /// What was asked for.
        wanted: u64,
        /// What comes next.
        next: u64,
    },
    /// A setting cannot be used.
    #[error("{0}")]
    Config(String),
    /// The log of transactions could not be read or written.
    #[error("the transaction log failed; nothing was sent")]
    TransactionLog(#[source] TransactionLogError),
    /// No transaction with this hash is known here.
    #[error("no transaction {0} was sent from this wallet")]
    UnknownTransaction(alloy::primitives::B256),
    /// A transaction cannot be replaced or cancelled.
    #[error("transaction {hash} cannot be replaced: {reason}")]
    NotReplaceable {
        /// The transaction.
        hash: alloy::primitives::B256,
        /// Why.
        reason: String,
    },
    /// The network was closed while the call waited.
    #[error("the network was closed")]
    Closed,
}

impl Layer1Error {
    /// True when trying the same again later can help: the endpoint is away or overloaded.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            // EIP-1474: -32005 limit exceeded, -32002 resource unavailable, -32603 internal error.
            Self::Rpc { code, .. } => matches!(code, -32005 | -32002 | -32603 | 429),
            _ => false,
        }
    }
}
