//! Proof of what lies in one slot.

use alloy::primitives::{Address, B256, U160};
use serde::{Deserialize, Serialize};

use super::{DEPTH, Found, Leaf, Slot};
use crate::abi::hash_pair;

/// What lies in an account's slot, and the siblings that lead from it to the root. The gateway's struct of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Witness {
    /// The account **in the slot**: the one asked for, or, were hashes ever to collide, another.
    pub account: Address,
    /// See [`Leaf::balance`].
    #[serde(with = "crate::wire::decimal")]
    pub balance: u128,
    /// See [`Leaf::withdrawn`].
    #[serde(with = "crate::wire::decimal")]
    pub withdrawn: u128,
    /// See [`Leaf::nonce`].
    #[serde(with = "crate::wire::decimal")]
    pub nonce: u64,
    /// See [`Leaf::head`].
    pub head: B256,
    /// Bit i is set iff the sibling i levels above the leaves is not zero (bit 0 = next to the leaf).
    #[serde(with = "crate::wire::decimal")]
    pub bitmap: U160,
    /// The non-zero siblings, leaf upwards.
    pub siblings: Vec<B256>,
}

/// Why a witness proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// The bitmap announces another number of siblings than there are.
    #[error("the witness announces {announced} siblings and holds {held}")]
    Siblings {
        /// Bits set in the bitmap.
        announced: usize,
        /// Siblings given.
        held: usize,
    },
    /// It leads to another root.
    #[error("the witness leads to root {computed}, not to {expected}")]
    Root {
        /// Root that the witness leads to.
        computed: B256,
        /// Root it was checked against.
        expected: B256,
    },
    /// The slot holds another account's leaf.
    #[error("the slot holds the account {0}, not the one asked for")]
    Taken(Address),
}

impl Witness {
    pub(super) fn new(account: Address, leaf: Leaf, bitmap: U160, siblings: Vec<B256>) -> Self {
        let Leaf { balance, withdrawn, nonce, head } = leaf;
        Self { account, balance, withdrawn, nonce, head, bitmap, siblings }
    }

    /// The leaf it shows.
    pub fn leaf(&self) -> Leaf {
        let Self { balance, withdrawn, nonce, head, .. } = *self;
        Leaf { balance, withdrawn, nonce, head }
    }

    /// The root that results when the slot of `account` holds a leaf with this hash.
    ///
    /// `account` names the slot; it need not be the account in it.
    pub fn root_with(&self, account: Address, leaf_hash: B256) -> Result<B256, WitnessError> {
        let announced = self.bitmap.count_ones();
        if announced != self.siblings.len() {
            return Err(WitnessError::Siblings { announced, held: self.siblings.len() });
        }
        let slot = Slot::of(account);
        let mut siblings = self.siblings.iter();
        let mut hash = leaf_hash;
        for level in 0..DEPTH {
            let sibling = match self.bitmap.bit(level) {
                true => siblings.next().copied().unwrap_or_default(),
                false => B256::ZERO,
            };
            hash = match (hash.is_zero() && sibling.is_zero(), slot.bit(DEPTH - 1 - level)) {
                (true, _) => B256::ZERO,
                (false, 0) => hash_pair(&hash, &sibling),
                (false, _) => hash_pair(&sibling, &hash),
            };
        }
        Ok(hash)
    }

    /// Checks the proof: what lies in the slot of `account` in the state with this root.
    pub fn find(&self, root: B256, account: Address) -> Result<Found, WitnessError> {
        let leaf = self.leaf();
        let computed = self.root_with(account, leaf.hash(self.account))?;
        if computed != root {
            return Err(WitnessError::Root { computed, expected: root });
        }
        Ok(match leaf.is_empty() || self.account == account {
            true => Found::Own(leaf),
            false => Found::Taken(self.account),
        })
    }

    /// A light client's check: the account's leaf in the state with this root (empty if it has none).
    ///
    /// The root comes from layer 1; until its batch is final the answer is provisional.
    pub fn verify(&self, root: B256, account: Address) -> Result<Leaf, WitnessError> {
        match self.find(root, account)? {
            Found::Own(leaf) => Ok(leaf),
            Found::Taken(other) => Err(WitnessError::Taken(other)),
        }
    }
}
