//! The values that cross between the host and a script: JSON plus BigInt plus bytes.
//!
//! JSON has neither, so the glue tags them: `{"$n":"123"}` is a BigInt, `{"$b":"0x…"}` a Uint8Array, and a plain
//! object whose only key begins with `$` gets one more `$` in front. On JSON-RPC wires a BigInt is a decimal string
//! and bytes are 0x-hex ([`untag`]).

use alloy::dyn_abi::DynSolValue;
use alloy::primitives::U256;
use serde_json::{Value as Json, json};

/// Tag of a BigInt.
const BIGINT: &str = "$n";
/// Tag of bytes.
const BYTES: &str = "$b";

/// A tagged BigInt.
#[must_use]
pub(crate) fn bigint(value: impl std::fmt::Display) -> Json {
    json!({ BIGINT: value.to_string() })
}

/// Tagged bytes.
#[must_use]
pub(crate) fn bytes(value: &[u8]) -> Json {
    json!({ BYTES: format!("0x{}", hex::encode(value)) })
}

/// A tagged value as plain JSON: BigInt to decimal string, bytes to 0x-hex.
#[must_use]
pub(crate) fn untag(value: &Json) -> Json {
    match value {
        Json::Array(list) => Json::Array(list.iter().map(untag).collect()),
        Json::Object(map) => {
            if let (1, Some((key, inner))) = (map.len(), map.iter().next()) {
                if key == BIGINT || key == BYTES {
                    return inner.clone();
                }
                if let Some(escaped) = key.strip_prefix('$').filter(|k| k.starts_with('$')) {
                    return json!({ escaped: untag(inner) });
                }
            }
            Json::Object(map.iter().map(|(key, inner)| (key.clone(), untag(inner))).collect())
        }
        other => other.clone(),
    }
}

/// Plain JSON as a tagged value: the only difference is an object that looks like a tag.
#[must_use]
pub(crate) fn tag(value: &Json) -> Json {
    match value {
        Json::Array(list) => Json::Array(list.iter().map(tag).collect()),
        Json::Object(map) => {
            if let (1, Some((key, inner))) = (map.len(), map.iter().next())
                && key.starts_with('$')
            {
                return json!({ format!("${key}"): tag(inner) });
            }
            Json::Object(map.iter().map(|(key, inner)| (key.clone(), tag(inner))).collect())
        }
        other => other.clone(),
    }
}

/// An ABI value as the script sees it: integers BigInt, bytes Uint8Array except fixed ones (`bytes32` and shorter)
/// which are 0x-hex as everywhere in Ethereum tooling, addresses EIP-55 strings, tuples and arrays lists.
#[must_use]
pub(crate) fn from_abi(value: &DynSolValue) -> Json {
    match value {
        DynSolValue::Bool(b) => Json::Bool(*b),
        DynSolValue::Int(i, _) => bigint(i),
        DynSolValue::Uint(u, _) => bigint(u),
        DynSolValue::FixedBytes(word, size) => Json::String(format!("0x{}", hex::encode(&word[..*size]))),
        DynSolValue::Address(address) => Json::String(address.to_checksum(None)),
        DynSolValue::Function(f) => Json::String(f.to_string()),
        DynSolValue::Bytes(b) => bytes(b),
        DynSolValue::String(s) => Json::String(s.clone()),
        DynSolValue::Array(list) | DynSolValue::FixedArray(list) | DynSolValue::Tuple(list) => {
            Json::Array(list.iter().map(from_abi).collect())
        }
        #[allow(unreachable_patterns, reason = "alloy adds a variant under a feature that another crate may turn on")]
        _ => Json::Null,
    }
}

/// An amount of wei out of a tagged BigInt, a decimal or 0x string, or a whole number.
#[must_use]
pub(crate) fn uint(value: &Json) -> Option<U256> {
    match untag(value) {
        Json::String(text) => match text.strip_prefix("0x") {
            Some(hex) => U256::from_str_radix(hex, 16).ok(),
            None if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                U256::from_str_radix(&text, 10).ok()
            }
            None => None,
        },
        Json::Number(number) => number.as_u64().map(U256::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
