//! Why a node could not start or go on.

use thiserror::Error;

/// Why a node could not start or go on. Faults of one request are answered to its sender and are not here.
#[derive(Debug, Error)]
pub enum NodeError {
    /// An argument does not fit the others.
    #[error("{0}")]
    Argument(String),
    /// The node could not start.
    #[error("the node could not start: {0}")]
    Starting(String),
}
