//! Why a contract refused.

use alloy::primitives::{Bytes, hex};
use alloy::sol_types::{Panic, Revert, SolError};
use serde_json::Value;

use crate::error::Layer1Error;

/// Longest reason shown; the contract chooses the words.
const REASON_LIMIT: usize = 300;
/// Longest raw data shown, in bytes.
const DATA_LIMIT: usize = 132;

/// Turns an endpoint's error about a reverted execution into [`Layer1Error::Reverted`].
///
/// Code 3 is the agreed one (with the return data); some endpoints use -32000 or -32015 and only the words.
pub(crate) fn recognise(error: Layer1Error) -> Layer1Error {
    let Layer1Error::Rpc { code, message, data, .. } = &error else { return error };
    let says_so = *code == 3 || message.to_ascii_lowercase().contains("revert");
    if !says_so {
        return error;
    }
    let bytes = data.as_ref().and_then(return_data).unwrap_or_default();
    let reason = reason(&bytes, message);
    Layer1Error::Reverted { reason, data: bytes }
}

/// The return data: a hex string, or an object that holds one under `data` or `result`.
fn return_data(value: &Value) -> Option<Bytes> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Object(fields) => ["data", "result"].iter().find_map(|name| fields.get(*name)?.as_str()?.parse().ok()),
        _ => None,
    }
}

/// Why it reverted: by the return data, or without any in the endpoint's words.
pub(crate) fn reason(data: &[u8], words: &str) -> String {
    if data.is_empty() { cap(words) } else { describe(data) }
}

fn describe(data: &[u8]) -> String {
    if let Ok(error) = Revert::abi_decode(data) {
        return cap(&error.reason);
    }
    if let Ok(panic) = Panic::abi_decode(data) {
        return panic.kind().map_or_else(|| format!("panic {:#x}", panic.code), |kind| kind.as_str().to_owned());
    }
    let shown = hex::encode_prefixed(data.get(..DATA_LIMIT).unwrap_or(data));
    let more = if data.len() > DATA_LIMIT { "…" } else { "" };
    format!("error with data {shown}{more}")
}

fn cap(text: &str) -> String {
    text.chars().take(REASON_LIMIT).collect()
}

#[cfg(test)]
mod tests;
