//! The methods, one line each; what they say is made in [`crate::show`].

use alloy::primitives::{Address, B256};
use payments_protocol::{SignedMessage, SignedReceipt};
use serde_json::Value;

use super::{Outcome, RpcError, code};
use crate::core::{Core, CoreHandle};
use crate::show;

/// Answers one call.
pub(super) async fn call(core: &CoreHandle, method: &str, params: Value) -> Result<Outcome, RpcError> {
    if method == "l2_sendMessage" {
        return send(core, params).await;
    }
    read(core, method, params).await.map(Outcome::Value)
}

async fn read(core: &CoreHandle, method: &str, params: Value) -> Result<Value, RpcError> {
    match method {
        "l2_status" => core.read(|core| Ok(show::status(core))).await,
        "l2_getAccount" => {
            let address = address(&params)?;
            let batch = optional_quantity(&params, 1, "batch")?;
            core.read(move |core| synced(core).and_then(|core| show::account(core, address, batch))).await
        }
        "l2_getMessages" => {
            let address = address(&params)?;
            let cursor = optional_quantity(&params, 1, "cursor")?.unwrap_or(0);
            core.read(move |core| synced(core).and_then(|core| show::messages(core, address, cursor))).await
        }
        "l2_getMessage" => {
            let id: B256 = text(&params, 0)
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| RpcError::params("the first parameter is the message's id, 32 bytes of 0x-hex"))?;
            core.read(move |core| synced(core).and_then(|core| show::message(core, id))).await
        }
        "l2_getReceipts" => {
            let from = quantity(&params, 0, "fromSequence")?;
            let limit = optional_quantity(&params, 1, "limit")?.unwrap_or(u64::MAX);
            core.read(move |core| show::receipts(core, from, limit)).await
        }
        "l2_getAlerts" => core.read(|core| Ok(Value::from(core.alerts.newest()))).await,
        "l2_getEvidence" => core.read(|core| core.evidence()).await,
        "l2_submitReceipt" => {
            let receipt: SignedReceipt = serde_json::from_value(params.get(0).cloned().unwrap_or_default())
                .map_err(|error| RpcError::params(format!("l2_submitReceipt takes one signed receipt: {error}")))?;
            core.change(move |core| core.bring_receipt(&receipt)).await
        }
        "l2_getBatch" => {
            let id = quantity(&params, 0, "batch")?;
            core.read(move |core| show::batch(core, id)).await
        }
        "l2_getContestWitness" => {
            let id = quantity(&params, 0, "batch")?;
            let chunk = optional_quantity(&params, 1, "chunk")?;
            let chunk = chunk.map(|chunk| usize::try_from(chunk).unwrap_or(usize::MAX));
            core.read(move |core| show::contest_witness(core, id, chunk)).await
        }
        "l2_getExitProof" => {
            let address = address(&params)?;
            core.read(move |core| synced(core).and_then(|core| show::exit_proof(core, address))).await
        }
        _ => Err(RpcError::new(code::METHOD, format!("there is no method {method:?}"))),
    }
}

/// Reaches the order as this is first polled, so that the messages of one caller keep theirs.
async fn send(core: &CoreHandle, params: Value) -> Result<Outcome, RpcError> {
    let message = match params {
        Value::Array(mut list) if list.len() == 1 => list.remove(0),
        Value::Object(_) => params,
        _ => return Err(RpcError::params("l2_sendMessage takes one signed message")),
    };
    let signed: SignedMessage = serde_json::from_value(message).map_err(|error| RpcError::params(error.to_string()))?;
    core.send(signed).await.map(|receipt| Outcome::Receipt(Box::new(receipt)))
}

/// An error with its sources, in one line.
pub(crate) fn chain_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

/// Answers about accounts make no sense before the node has read layer 1.
fn synced(core: &Core) -> Result<&Core, RpcError> {
    if core.chain.synced {
        return Ok(core);
    }
    Err(RpcError::new(code::SYNCING, "the node has not caught up with layer 1 yet; try again"))
}

fn text(params: &Value, index: usize) -> Option<&str> {
    params.get(index)?.as_str()
}

fn address(params: &Value) -> Result<Address, RpcError> {
    text(params, 0)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| RpcError::params("the first parameter is an address, 20 bytes of 0x-hex"))
}

fn quantity(params: &Value, index: usize, name: &str) -> Result<u64, RpcError> {
    optional_quantity(params, index, name)?
        .ok_or_else(|| RpcError::params(format!("parameter {index}, {name}, is missing: a decimal string")))
}

fn optional_quantity(params: &Value, index: usize, name: &str) -> Result<Option<u64>, RpcError> {
    let wrong = || RpcError::params(format!("parameter {index}, {name}, must be a decimal string like \"42\""));
    match params.get(index) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => text.parse().map(Some).map_err(|_| wrong()),
        Some(Value::Number(number)) => number.as_u64().map(Some).ok_or_else(wrong),
        Some(_) => Err(wrong()),
    }
}
