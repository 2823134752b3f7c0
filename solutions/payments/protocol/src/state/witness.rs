//! Proof of what an account has.

use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use super::{DEPTH, Found, Leaf, Slot};
use crate::abi::hash_pair;

/// The leaf at the end of an account's path, and the siblings that lead from there to the root. The gateway's struct of the
/// same name.
///
/// The end is the account's own leaf; or nothing; or the leaf of a **neighbour**, another account whose slot begins with the same
/// `siblings.len()` bits and with which nothing else shares them: the account then has no leaf. In one state each account has exactly
/// one witness.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Witness {
    /// Whose leaf lies at the end. Without meaning when all four leaf fields are zero: nothing lies there.
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
    /// The sibling of every level of the path, from its end to below the root: at most [`DEPTH`], zero where nothing lies.
    pub siblings: Vec<B256>,
}

/// Why a witness proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// More siblings than a path has levels.
    #[error("the witness holds {held} siblings, and a path has at most {DEPTH} levels")]
    Siblings {
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
    /// The leaf at the end is another account's, whose own path does not lead there.
    #[error("the witness shows the leaf of {0} in a place where it cannot lie")]
    Place(Address),
    /// The slot holds another account's leaf.
    #[error("the slot holds the account {0}, not the one asked for")]
    Taken(Address),
}

/// What lies at the end of an account's path.
enum End {
    /// Its own leaf, or nothing.
    Own,
    /// The leaf of another with the same slot.
    Taken,
    /// A neighbour's leaf, which parts from the account's slot at this depth.
    Neighbour { apart: usize },
}

impl Witness {
    pub(super) fn new(account: Address, leaf: Leaf, siblings: Vec<B256>) -> Self {
        let Leaf { balance, withdrawn, nonce, head } = leaf;
        Self { account, balance, withdrawn, nonce, head, siblings }
    }

    /// The leaf at the end of the path, whosever it is; what the account has is told by [`find`](Self::find).
    pub fn leaf(&self) -> Leaf {
        let Self { balance, withdrawn, nonce, head, .. } = *self;
        Leaf { balance, withdrawn, nonce, head }
    }

    /// The root once `account`, whose witness this is, has a leaf with this hash.
    ///
    /// Beside a neighbour both move down to where their slots part. An absent account that gets no leaf (hash zero) changes nothing;
    /// one that has a leaf keeps one in every true state, so that a hash of zero then leads to the root of no state.
    ///
    /// # Errors
    /// Too many siblings, or an end that is none of the account's.
    pub fn root_with(&self, account: Address, leaf_hash: B256) -> Result<B256, WitnessError> {
        let slot = Slot::of(account);
        let found = self.leaf().hash(self.account);
        let end = match self.end(account, &slot)? {
            End::Own | End::Taken => leaf_hash,
            End::Neighbour { .. } if leaf_hash.is_zero() => found,
            End::Neighbour { apart } => {
                let fork = on_side(slot.bit(apart), leaf_hash, found);
                let levels = self.siblings.len()..apart;
                levels.rev().fold(fork, |hash, level| on_side(slot.bit(level), hash, B256::ZERO))
            }
        };
        Ok(self.climb(&slot, end))
    }

    /// Checks the proof: what the account has in the state with this root.
    ///
    /// # Errors
    /// Too many siblings, another root, or an end that is none of the account's.
    pub fn find(&self, root: B256, account: Address) -> Result<Found, WitnessError> {
        let (slot, leaf) = (Slot::of(account), self.leaf());
        let end = self.end(account, &slot)?;
        let computed = self.climb(&slot, leaf.hash(self.account));
        if computed != root {
            return Err(WitnessError::Root { computed, expected: root });
        }
        Ok(match end {
            End::Own => Found::Own(leaf),
            End::Taken => Found::Taken(self.account),
            End::Neighbour { .. } => Found::Own(Leaf::default()),
        })
    }

    /// What the path of `account` ends at, if that can be.
    fn end(&self, account: Address, slot: &Slot) -> Result<End, WitnessError> {
        let held = self.siblings.len();
        if held > DEPTH {
            return Err(WitnessError::Siblings { held });
        }
        if self.account == account || self.leaf().is_empty() {
            return Ok(End::Own);
        }
        match Slot::of(self.account).divergence(slot) {
            None => Ok(End::Taken),
            Some(apart) if apart >= held => Ok(End::Neighbour { apart }),
            Some(_) => Err(WitnessError::Place(self.account)),
        }
    }

    /// The root above the end of the path when this hash is there.
    pub(super) fn climb(&self, slot: &Slot, end: B256) -> B256 {
        let levels = (0..self.siblings.len()).rev();
        levels.zip(&self.siblings).fold(end, |hash, (level, sibling)| on_side(slot.bit(level), hash, *sibling))
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

/// The node above `hash`, which lies on this side (0 left, 1 right), and its sibling.
fn on_side(side: usize, hash: B256, sibling: B256) -> B256 {
    match side {
        0 => hash_pair(&hash, &sibling),
        _ => hash_pair(&sibling, &hash),
    }
}
