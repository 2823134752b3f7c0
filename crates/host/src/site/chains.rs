//! The network that a caller looks at.

use crate::callers::Asked;
use crate::error::HostError;
use crate::{Actor, Operation};
use serde_json::{Value as Json, json};

/// `eth_chainId` (EIP-695), as the caller's network is registered: also while it does not answer.
pub(crate) async fn eth_chain_id(asked: Asked) -> Result<Json, HostError> {
    asked.host.authorize(&Actor::Caller(asked.caller.clone()), &Operation::Introduce, asked.method)?;
    Ok(json!(format!("{:#x}", asked.host.caller_chain(&asked.caller)?.chain_id)))
}
