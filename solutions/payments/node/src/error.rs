//! Why a node could not start or go on.

use std::net::SocketAddr;

use alloy::primitives::Address;
use thiserror::Error;

pub use crate::layer1::Layer1Error;
pub use crate::store::StoreError;

/// Why a node could not start or go on. Faults of one request are answered to its sender and are not here.
#[derive(Debug, Error)]
pub enum NodeError {
    /// An argument does not fit the others, or the gateway.
    #[error("{0}")]
    Argument(String),
    /// The key file cannot be used. Never holds the key.
    #[error("the key file cannot be used: {0}")]
    KeyFile(String),
    /// Nothing is deployed at the address.
    #[error("there is no contract at {0} on this chain; check --gateway and --rpc")]
    NoGateway(Address),
    /// Layer 1 did not answer, or wrongly.
    #[error("layer 1 cannot be used")]
    Layer1(#[from] Layer1Error),
    /// The database failed.
    #[error("the node's store failed")]
    Store(#[from] StoreError),
    /// The port is not to be had.
    #[error("cannot listen on {address}; give another --listen")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The server failed while running.
    #[error("the JSON-RPC server failed")]
    Serve(#[source] std::io::Error),
    /// The operating system gave no thread.
    #[error("no thread could be started")]
    Thread(#[source] std::io::Error),
    /// Signals cannot be handled.
    #[error("signals cannot be handled")]
    Signals(#[source] std::io::Error),
    /// The claim was sent, and did not succeed (yet).
    #[error("the claim {0}")]
    Claim(String),
    /// A part of the node ended that should not have.
    #[error("the node broke: {0}")]
    Broken(String),
}
