//! Synchronous functions of the host that a script calls by `crypto.eth`: hashing and curve
//! operations are orders of magnitude slower in the sandbox.

use crate::wire;
use alloy::primitives::{Address, B256, Signature, keccak256};
use entresol_sandbox::HostCalls;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

/// Most signatures in one `recoverBatch`.
const MAX_BATCH: usize = 1024;

/// The synchronous host functions of one plugin.
#[derive(Debug, Default)]
pub(crate) struct Crypto;

impl HostCalls for Crypto {
    /// All of them: hashes and recovered addresses follow from the payload alone. So a bundle that hashes while it is
    /// evaluated, as those with tables of selectors do, starts from a snapshot still.
    fn is_pure(&self, name: &str) -> bool {
        matches!(name, "keccak256" | "sha256" | "recover" | "verify" | "recoverBatch")
    }

    fn call(&mut self, name: &str, payload: &[u8]) -> Result<Vec<u8>, String> {
        let args: Vec<Json> = serde_json::from_slice(payload).map_err(|e| format!("{name}: {e}"))?;
        let answer = match name {
            "keccak256" => wire::bytes(keccak256(data(&args, 0)?).as_slice()),
            "sha256" => wire::bytes(&Sha256::digest(data(&args, 0)?)),
            "recover" => match recover(&args) {
                Ok(address) => Json::String(address.to_checksum(None)),
                Err(why) => return Err(format!("recover: {why}")),
            },
            "verify" => {
                let claimed: Address =
                    text(&args, 2)?.parse().map_err(|_| "verify: the third argument is no address")?;
                Json::Bool(recover(&args).is_ok_and(|address| address == claimed))
            }
            "recoverBatch" => {
                let list =
                    args.first().and_then(Json::as_array).ok_or("recoverBatch takes a list of { hash, signature }")?;
                if list.len() > MAX_BATCH {
                    return Err(format!("recoverBatch takes at most {MAX_BATCH} signatures"));
                }
                let one = |item: &Json| {
                    let pair = [item["hash"].clone(), item["signature"].clone()];
                    recover(&pair).map_or(Json::Null, |address| Json::String(address.to_checksum(None)))
                };
                Json::Array(list.iter().map(one).collect())
            }
            other => return Err(format!("the host has no function {other:?}")),
        };
        serde_json::to_vec(&answer).map_err(|e| e.to_string())
    }
}

fn recover(args: &[Json]) -> Result<Address, String> {
    let hash = data(args, 0)?;
    let hash = B256::try_from(hash.as_slice()).map_err(|_| "the hash must have 32 bytes".to_owned())?;
    let raw = data(args, 1)?;
    let signature = Signature::from_raw(&raw).map_err(|e| e.to_string())?;
    if signature.normalize_s().is_some() {
        return Err("the signature is malleable (high s)".to_owned());
    }
    signature.recover_address_from_prehash(&hash).map_err(|e| e.to_string())
}

fn text(args: &[Json], index: usize) -> Result<&str, String> {
    args.get(index).and_then(Json::as_str).ok_or_else(|| format!("argument {} must be a string", index + 1))
}

/// Bytes out of a tagged Uint8Array or a 0x-hex string; any other string is taken as UTF-8.
fn data(args: &[Json], index: usize) -> Result<Vec<u8>, String> {
    let plain = wire::untag(args.get(index).unwrap_or(&json!(null)));
    let text = plain.as_str().ok_or_else(|| format!("argument {} must be bytes or a 0x-hex string", index + 1))?;
    match text.strip_prefix("0x") {
        Some(digits) => hex::decode(digits).map_err(|e| format!("argument {}: {e}", index + 1)),
        None => Ok(text.as_bytes().to_vec()),
    }
}

#[cfg(test)]
mod tests;
