//! `ClaimTo`: an account lets its exit be paid to another recipient.
//!
//! `ClaimTo(address account,address recipient,uint256 claimedBefore,uint256 claimedAfter)`, in the gateway's [`Domain`]. Valid iff
//! the gateway's `claimed[account]` equals `claimedBefore` and this claim raises it to exactly `claimedAfter`: it cannot be replayed.

use alloy::primitives::{Address, B256, U256, keccak256};
use secp256k1::SecretKey;
use serde::{Deserialize, Serialize};

use crate::{
    abi,
    domain::Domain,
    signature::{Signature, SignatureError, sign_digest},
    state::Leaf,
};

/// Permission to pay an exit to a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimTo {
    /// Whose exit.
    pub account: Address,
    /// Who is paid.
    pub recipient: Address,
    /// The gateway's `claimed[account]` before, in wei.
    #[serde(with = "crate::wire::decimal")]
    pub claimed_before: u128,
    /// The gateway's `claimed[account]` after, in wei.
    #[serde(with = "crate::wire::decimal")]
    pub claimed_after: u128,
}

impl ClaimTo {
    /// EIP-712 struct hash.
    pub fn hash(&self) -> B256 {
        let type_hash =
            keccak256("ClaimTo(address account,address recipient,uint256 claimedBefore,uint256 claimedAfter)");
        abi::hash([
            &type_hash,
            &self.account,
            &self.recipient,
            &U256::from(self.claimed_before),
            &U256::from(self.claimed_after),
        ])
    }

    /// What the account signs.
    pub fn digest(&self, domain: &Domain) -> B256 {
        domain.digest(self.hash())
    }

    /// Signs with the account's key.
    pub fn sign(&self, domain: &Domain, key: &SecretKey) -> Signature {
        sign_digest(key, self.digest(domain))
    }

    /// Whether the account signed it.
    pub fn is_signed(&self, domain: &Domain, signature: &Signature) -> Result<bool, SignatureError> {
        Ok(signature.recover(self.digest(domain))? == self.account)
    }
}

/// Up to where a claim raises `claimed`: `withdrawn`; after a halt `balance + withdrawn`. Saturates.
pub fn claimable(leaf: &Leaf, halted: bool) -> u128 {
    match halted {
        false => leaf.withdrawn,
        true => leaf.withdrawn.saturating_add(leaf.balance),
    }
}

#[cfg(test)]
mod tests;
