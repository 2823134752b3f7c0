//! The accounts that a caller sees.

use crate::callers::Asked;
use crate::error::HostError;
use crate::{Actor, Operation};
use serde_json::{Value as Json, json};

/// `eth_accounts` (EIP-1474): the addresses granted to the caller, none while the seed is locked.
pub(crate) async fn eth_accounts(asked: Asked) -> Result<Json, HostError> {
    asked.host.authorize(&Actor::Caller(asked.caller.clone()), &Operation::Introduce, asked.method)?;
    let addresses = asked.host.caller_addresses(&asked.caller)?;
    Ok(json!(addresses.iter().map(|address| address.to_checksum(None)).collect::<Vec<_>>()))
}
