//! Synchronous functions of the host that a script calls by `crypto.eth`: hashing and curve operations are orders of
//! magnitude slower in the sandbox.
//!
//! They take and give bytes as they are: JSON and hex would cost more than a hash. Each has a second name with `.text`
//! for callers that have texts (0x-hex, or UTF-8 to be hashed); hex is then read here and not by the script's engine.
//! `glue.js` is the only caller; every payload is checked here all the same.

use alloy::primitives::{Address, Signature, keccak256};
use entresol_sandbox::HostCalls;
use secp256k1::Message;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use sha2::{Digest, Sha256};

/// Most signatures in one `recoverBatch`: a small part of a turn's time.
const MAX_BATCH: usize = 1024;

/// Bytes of an address as text, which is how answers carry it.
const ADDRESS: usize = 42;

/// A hash and a signature, one behind the other.
const PAIR: usize = 32 + 65;

/// What `recoverBatch` answers for a signature that is none.
const NOBODY: &[u8; ADDRESS] = b"                                          ";

/// The synchronous host functions of one plugin.
#[derive(Debug, Default)]
pub(crate) struct Crypto;

impl HostCalls for Crypto {
    /// All of them: hashes and recovered addresses follow from the payload alone. So a bundle that hashes while it is
    /// evaluated, as those with tables of selectors do, starts from a snapshot still.
    fn is_pure(&self, name: &str) -> bool {
        let name = name.strip_suffix(".text").unwrap_or(name);
        matches!(name, "keccak256" | "sha256" | "recover" | "verify" | "recoverBatch")
    }

    fn call(&mut self, name: &str, payload: &[u8]) -> Result<Vec<u8>, String> {
        Ok(match name {
            "keccak256" => keccak256(payload).to_vec(),
            "keccak256.text" => keccak256(data(payload)?).to_vec(),
            "sha256" => Sha256::digest(payload).to_vec(),
            "sha256.text" => Sha256::digest(data(payload)?).to_vec(),
            "recover" => {
                let (hash, signature) = payload.split_at_checked(32).ok_or("recover: the hash must have 32 bytes")?;
                text(recover(hash, signature).map_err(|why| format!("recover: {why}"))?)
            }
            "recover.text" => text(recover_text(payload).map_err(|why| format!("recover: {why}"))?),
            "verify" => {
                let (claimed, rest) =
                    payload.split_at_checked(ADDRESS).ok_or("verify: the third argument is no address")?;
                let claimed = address(claimed)?;
                let (hash, signature) = rest.split_at_checked(32).ok_or("verify: the hash must have 32 bytes")?;
                vec![u8::from(recover(hash, signature).is_ok_and(|address| address == claimed))]
            }
            "verify.text" => {
                let (claimed, pair) =
                    payload.split_at_checked(ADDRESS).ok_or("verify: the third argument is no address")?;
                let claimed = address(claimed)?;
                let pair = pair.strip_prefix(b" ").ok_or("verify: the hash is missing")?;
                let good = recover_text(pair).is_ok_and(|address| address == claimed);
                vec![if good { b'1' } else { b'0' }]
            }
            "recoverBatch" => {
                let pairs = payload.chunks(PAIR);
                at_most(pairs.len())?;
                pairs
                    .flat_map(|pair| or_nobody(pair.split_at_checked(32).and_then(|(h, s)| recover(h, s).ok())))
                    .collect()
            }
            "recoverBatch.text" => {
                let pairs = || payload.split(|&byte| byte == b',');
                at_most(pairs().count())?;
                pairs().flat_map(|pair| or_nobody(recover_text(pair).ok())).collect()
            }
            other => return Err(format!("the host has no function {other:?}")),
        })
    }
}

fn at_most(count: usize) -> Result<(), String> {
    if count > MAX_BATCH { Err(format!("recoverBatch takes at most {MAX_BATCH} signatures")) } else { Ok(()) }
}

fn text(address: Address) -> Vec<u8> {
    address.to_checksum(None).into_bytes()
}

fn or_nobody(address: Option<Address>) -> Vec<u8> {
    address.map_or_else(|| NOBODY.to_vec(), text)
}

fn address(text: &[u8]) -> Result<Address, String> {
    let text = std::str::from_utf8(text).unwrap_or_default();
    text.parse().map_err(|_| "verify: the third argument is no address".to_owned())
}

/// `0x…hash 0x…signature`
fn recover_text(pair: &[u8]) -> Result<Address, String> {
    let mut parts = pair.splitn(2, |&byte| byte == b' ');
    let mut next = || parts.next().map(hex_of).unwrap_or_else(|| Err("the signature is missing".to_owned()));
    recover(&next()?, &next()?)
}

fn hex_of(text: &[u8]) -> Result<Vec<u8>, String> {
    let digits = text.strip_prefix(b"0x").ok_or("hash and signature must be bytes or 0x-hex")?;
    hex::decode(digits).map_err(|error| error.to_string())
}

/// 0x-hex, or any other text as its UTF-8.
fn data(text: &[u8]) -> Result<Vec<u8>, String> {
    if text.starts_with(b"0x") {
        hex_of(text).map_err(|error| format!("argument 1: {error}"))
    } else {
        Ok(text.to_vec())
    }
}

/// Who signed. By libsecp256k1; a test holds it against the library that checks the same elsewhere here.
fn recover(hash: &[u8], signature: &[u8]) -> Result<Address, String> {
    let hash = <[u8; 32]>::try_from(hash).map_err(|_| "the hash must have 32 bytes".to_owned())?;
    let parsed = Signature::from_raw(signature).map_err(|error| error.to_string())?;
    if parsed.normalize_s().is_some() {
        return Err("the signature is malleable (high s)".to_owned());
    }
    let id = if parsed.v() { RecoveryId::One } else { RecoveryId::Zero };
    let key = RecoverableSignature::from_compact(&signature[..64], id)
        .and_then(|signature| signature.recover_ecdsa(Message::from_digest(hash)))
        .map_err(|_| "the signature does not belong to any key".to_owned())?;
    Ok(Address::from_raw_public_key(&key.serialize_uncompressed()[1..]))
}

#[cfg(test)]
mod tests;
