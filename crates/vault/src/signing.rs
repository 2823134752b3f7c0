//! What is signed and how: secp256k1, low s, `r ‖ s ‖ v` with v 27 or 28.

use alloy::consensus::{SignableTransaction, TxEip1559};
use alloy::dyn_abi::TypedData;
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Address, B256, Bytes, Signature, U256, eip191_hash_message};
use coins_bip32::ecdsa::SigningKey;
use serde_json::Value;

use crate::{Approved, Intent, VaultError, keys};

/// What a solution's own key may sign: anything, the money of a solution is the plugin's to handle.
#[allow(clippy::large_enum_variant, reason = "made, signed and dropped one at a time")]
#[derive(Clone, Debug)]
pub enum SubtreePayload {
    /// A hash, signed as it is.
    Hash(B256),
    /// EIP-712 typed data.
    TypedData(TypedData),
    /// A message, signed as EIP-191 (`personal_sign`).
    Message(Vec<u8>),
}

/// A transaction ready to be stored and broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedTransaction {
    /// Transaction hash.
    pub hash: B256,
    /// EIP-2718 bytes for `eth_sendRawTransaction`.
    pub raw: Bytes,
    /// Sender.
    pub from: Address,
}

impl SubtreePayload {
    pub(crate) fn hash(&self) -> Result<B256, VaultError> {
        match self {
            Self::Hash(hash) => Ok(*hash),
            Self::TypedData(data) => typed_data_hash(data),
            Self::Message(message) => Ok(eip191_hash_message(message)),
        }
    }
}

fn typed_data_hash(data: &TypedData) -> Result<B256, VaultError> {
    data.eip712_signing_hash().map_err(|error| VaultError::TypedData { reason: error.to_string() })
}

/// The hash that an approved message or typed data stands for.
pub(crate) fn approved_hash(from: Address, approved: &Approved) -> Result<B256, VaultError> {
    let differs = |field| VaultError::DiffersFromIntent { approval_id: approved.approval_id(), field };
    if approved.intent().from() != from {
        return Err(differs("the signing account"));
    }
    match approved.intent() {
        Intent::Message { message, .. } => Ok(eip191_hash_message(message)),
        Intent::TypedData { typed_data, .. } => typed_data_hash(&read_typed_data(typed_data)?),
        Intent::Transaction { .. } => Err(differs("the kind (a transaction was approved)")),
    }
}

fn read_typed_data(value: &Value) -> Result<TypedData, VaultError> {
    // An object only: as a string it would be parsed once more, and what was shown might not be what is signed.
    if !value.is_object() {
        return Err(VaultError::TypedData { reason: "it is not an object".to_owned() });
    }
    serde_json::from_value(value.clone()).map_err(|error| VaultError::TypedData { reason: error.to_string() })
}

/// Compares every field of a transaction with what was approved.
pub(crate) fn check(from: Address, tx: &TxEip1559, approved: &Approved) -> Result<(), VaultError> {
    let approval_id = approved.approval_id();
    let Intent::Transaction { chain_id, from: approved_from, to, value, input, max_total_fee } = approved.intent()
    else {
        return Err(VaultError::DiffersFromIntent { approval_id, field: "the kind (no transaction was approved)" });
    };
    let fields = [
        (*chain_id == tx.chain_id, "the chain id"),
        (*approved_from == from, "the sender"),
        (*to == tx.to, "the recipient"),
        (*value == tx.value, "the value"),
        (*input == tx.input, "the calldata"),
        (tx.access_list.is_empty(), "the access list"),
    ];
    if let Some((_, field)) = fields.into_iter().find(|(same, _)| !same) {
        return Err(VaultError::DiffersFromIntent { approval_id, field });
    }
    // u64 times u128 fits in 256 bits.
    let fee = U256::from(tx.gas_limit) * U256::from(tx.max_fee_per_gas);
    if fee > *max_total_fee {
        let (fee, ceiling) = (fee.to_string(), max_total_fee.to_string());
        return Err(VaultError::FeeAboveCeiling { approval_id, fee, ceiling });
    }
    Ok(())
}

/// Signs a transaction if it is the approved one.
pub(crate) fn sign_approved_transaction(
    key: &SigningKey,
    tx: &TxEip1559,
    approved: &Approved,
) -> Result<SignedTransaction, VaultError> {
    let from = keys::account(key, 0, String::new()).address;
    check(from, tx, approved)?;
    let signature = Signature::from_raw_array(&sign_hash(key, &tx.signature_hash())?)
        .map_err(|_| VaultError::Crypto { what: "reading the signature back" })?;
    let signed = tx.clone().into_signed(signature);
    Ok(SignedTransaction { hash: *signed.hash(), raw: signed.encoded_2718().into(), from })
}

/// Deterministic (RFC 6979).
pub(crate) fn sign_hash(key: &SigningKey, hash: &B256) -> Result<[u8; 65], VaultError> {
    let (signature, recovery) = key.sign_prehash_recoverable(hash.as_slice());
    // A recovery id of 2 or 3 (r above the group's order) has no v in Ethereum; it occurs once in 2¹²⁷.
    if recovery.is_x_reduced() {
        return Err(VaultError::Crypto { what: "a signature without a v" });
    }
    let mut bytes = [0; 65];
    bytes[..64].copy_from_slice(&signature.to_bytes());
    bytes[64] = 27 + u8::from(recovery.is_y_odd());
    Ok(bytes)
}

#[cfg(test)]
mod tests;
