//! Reads of layer 1 that a caller passes through.

use crate::callers::Asked;
use crate::error::HostError;
use crate::reads::read_layer1;
use crate::{Actor, Operation};
use serde_json::{Value as Json, json};

/// Largest answer in bytes. The fullest blocks of Ethereum with whole transactions are about 2 MiB; what is larger is
/// asked for in parts.
const MAX_ANSWER: usize = 4 << 20;

/// One of `READ_METHODS` on the caller's network, with the endpoint's answer and the endpoint's error as they are.
pub(crate) async fn read(mut asked: Asked) -> Result<Json, HostError> {
    asked.host.authorize(&Actor::Caller(asked.caller.clone()), &Operation::ReadLayer1, asked.method)?;
    let params = json!(asked.list()?);
    let (_, runtime) = asked.host.caller_network(&asked.caller)?;
    let answer = read_layer1(&runtime.network, asked.method, asked.method, params, MAX_ANSWER).await;
    answer.map_err(crate::reads::ReadError::into_said)
}
