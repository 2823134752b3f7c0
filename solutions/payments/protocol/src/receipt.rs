//! The operator's promise to put a message into a batch: **soft** finality.
//!
//! `Receipt(bytes32 messageId,uint64 sequence,bytes32 previousReceipt,uint64 time)`, in the gateway's [`Domain`], signed by the operator's
//! key. Receipts form a chain: `previousReceipt` is the struct hash of the one before (zero for sequence 0). Two signed receipts
//! with one sequence number and different hashes prove equivocation, and anyone may publish them.

use alloy::primitives::{Address, B256, keccak256};
use secp256k1::SecretKey;
use serde::{Deserialize, Serialize};

use crate::{
    abi,
    domain::Domain,
    signature::{Signature, SignatureError, sign_digest},
};

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Id of the message promised.
    pub message_id: B256,
    /// Place in the operator's chain of receipts, from 0.
    #[serde(with = "crate::wire::decimal")]
    pub sequence: u64,
    /// Hash of the receipt before; zero for the first.
    pub previous_receipt: B256,
    /// When it was given, Unix seconds by the operator's clock.
    #[serde(with = "crate::wire::decimal")]
    pub time: u64,
}

/// A promise with the operator's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedReceipt {
    /// What is promised.
    #[serde(flatten)]
    pub receipt: Receipt,
    /// The operator's.
    #[serde(with = "crate::wire::signature")]
    pub signature: Signature,
}

impl Receipt {
    /// EIP-712 struct hash: what the next receipt points to.
    pub fn hash(&self) -> B256 {
        let type_hash = keccak256("Receipt(bytes32 messageId,uint64 sequence,bytes32 previousReceipt,uint64 time)");
        abi::hash([&type_hash, &self.message_id, &self.sequence, &self.previous_receipt, &self.time])
    }

    /// Signs with the operator's key.
    pub fn sign(self, domain: &Domain, key: &SecretKey) -> SignedReceipt {
        let signature = sign_digest(key, domain.digest(self.hash()));
        SignedReceipt { receipt: self, signature }
    }
}

impl SignedReceipt {
    /// Who signed it.
    pub fn signer(&self, domain: &Domain) -> Result<Address, SignatureError> {
        self.signature.recover(domain.digest(self.receipt.hash()))
    }

    /// Whether these two prove that `operator` promised two different things in one place.
    pub fn equivocates(&self, other: &Self, domain: &Domain, operator: Address) -> bool {
        self.receipt.sequence == other.receipt.sequence
            && self.receipt.hash() != other.receipt.hash()
            && self.signer(domain) == Ok(operator)
            && other.signer(domain) == Ok(operator)
    }
}

#[cfg(test)]
mod tests;
