//! The accounts of the layer 2, as a sparse Merkle tree of depth 160.
//!
//! - **slot** of an account: the first 20 bytes of keccak256(address), most significant bit first from the root. Keyed by
//!   the *hashed* address: with raw addresses an attacker could fill a path with siblings and make fraud too large to prove; with
//!   indices one owner could hold two leaves and a message would replay from the second.
//! - **leaf** = `keccak256(abi.encode(account, balance, withdrawn, nonce, head))`; an account whose four fields are zero has none.
//! - **subtree** of the slots that begin with the same bits: without a leaf it is 0; with exactly one it *is* that leaf, at whatever
//!   height; with more it is `keccak256(left || right)` of the two subtrees that one more bit parts. The root is the subtree of all slots.
//!
//! So a path is as long as it takes to part a slot from all others, about the binary logarithm of the number of accounts, and not 160
//! levels. Why that is sound:
//! - *One state, one root.* The definition knows the leaves only, not how they came there.
//! - *No confusion.* A leaf is the hash of 160 bytes, a node that of 64, nothing is 0. Two zeros have a parent in no tree, nor
//!   has a leaf beside a zero: a witness that is longer or shorter than the path leads to another root.
//! - *Nothing need ever be taken out.* Once an account has a leaf it keeps one: nonce and withdrawn never fall, and a leaf without either came
//!   of a deposit or a payment, whose value only a message or an exit can take away, which raise the nonce. So the gateway can
//!   insert and replace, and needs no third way. [`State::set`] can also remove, for tests.
//! - *No long way to prove.* To make a victim's path k levels long takes 2^k attempts at an address, and to make two of one's own so
//!   takes 2^(k/2); no path has more than 160, and the dearest contest is measured with that many everywhere.
//!
//! # How it is kept
//! Only branchings and leaves are stored (a crit-bit tree): about 256 bytes an account. Hashes are
//! computed when asked for and kept until something below changes. Nodes are shared between clones, so
//! [`State::clone`] is O(1) and changing a clone copies one path: keep one state a batch for proofs and roll-back.

use alloy::primitives::{Address, B256, keccak256};
use serde::{Deserialize, Serialize};

use crate::abi;

mod tree;
mod witness;

pub use witness::{Witness, WitnessError};

/// The most levels between the root and a leaf.
pub const DEPTH: usize = 160;

/// Parts of the tree that can be hashed by themselves: one for each value of a slot's first byte.
pub const PARTS: usize = 256;

/// What the layer 2 knows of one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Leaf {
    /// Wei that the account can spend.
    #[serde(with = "crate::wire::decimal")]
    pub balance: u128,
    /// Wei that have ever left the balance towards layer 1: a counter that never falls.
    /// A claim pays `withdrawn − claimed`.
    #[serde(with = "crate::wire::decimal")]
    pub withdrawn: u128,
    /// Number of effective outgoing messages and forced exits.
    #[serde(with = "crate::wire::decimal")]
    pub nonce: u64,
    /// Id of the latest of those; zero at first.
    pub head: B256,
}

impl Leaf {
    /// All four fields zero: the account has no leaf.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The hash of `account`'s leaf; zero when empty.
    pub fn hash(&self, account: Address) -> B256 {
        if self.is_empty() {
            return B256::ZERO;
        }
        abi::hash([&account, &self.balance, &self.withdrawn, &self.nonce, &self.head])
    }
}

/// Where an account lies in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot([u8; 20]);

impl Slot {
    /// The slot of an account.
    pub fn of(account: Address) -> Self {
        let mut slot = [0u8; 20];
        slot.copy_from_slice(&keccak256(account)[..20]);
        Self(slot)
    }

    /// Which child the path takes below a node at `depth` (the root's is 0): 0 left, 1 right.
    pub(crate) fn bit(&self, depth: usize) -> usize {
        let byte = self.0.get(depth / 8).copied().unwrap_or(0);
        usize::from(byte >> (7 - depth % 8) & 1)
    }

    /// Depth of the first bit in which two slots differ.
    pub(crate) fn divergence(&self, other: &Self) -> Option<usize> {
        let byte = self.0.iter().zip(&other.0).position(|(a, b)| a != b)?;
        let differing = self.0[byte] ^ other.0[byte];
        Some(byte * 8 + differing.leading_zeros() as usize)
    }
}

/// What lies in the slot of an account that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The account's own leaf, or an empty slot (a default leaf).
    Own(Leaf),
    /// Another account's non-empty leaf: the hashes of the two addresses share all 160 bits. Nothing takes effect on it.
    Taken(Address),
}

/// All accounts. Cloning is O(1); equality is equality of roots.
#[derive(Clone, Debug, Default)]
pub struct State {
    tree: tree::Tree,
}

impl State {
    /// Genesis: no accounts, root 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// The root. Hashes what changed since it was last asked for.
    pub fn root(&self) -> B256 {
        self.tree.root()
    }

    /// Computes the hashes of one of [`PARTS`] parts of the tree and keeps them for [`root`](Self::root). Parts may be hashed
    /// on several threads: a state of which nothing is hashed yet takes two to three hashes an account.
    pub fn hash_part(&self, part: u8) {
        let mut slot = [0u8; 20];
        slot[0] = part;
        self.tree.hash_below(&Slot(slot), 8);
    }

    /// Number of non-empty leaves.
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// No account has a leaf.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The account's leaf; empty if it has none.
    pub fn leaf(&self, account: Address) -> Leaf {
        match self.find(account) {
            Found::Own(leaf) => leaf,
            Found::Taken(_) => Leaf::default(),
        }
    }

    /// What lies in the account's slot.
    pub fn find(&self, account: Address) -> Found {
        match self.tree.get(&Slot::of(account)) {
            None => Found::Own(Leaf::default()),
            Some(entry) if entry.account == account => Found::Own(entry.leaf),
            Some(entry) => Found::Taken(entry.account),
        }
    }

    /// Puts a leaf into the account's slot; an empty leaf takes away what lies there.
    ///
    /// For restoring snapshots and for tests. The protocol changes state by [`transition`](crate::transition) only.
    pub fn set(&mut self, account: Address, leaf: Leaf) {
        self.tree.set(tree::Entry { slot: Slot::of(account), account, leaf });
    }

    /// Proof of what lies in the account's slot, against [`root`](Self::root).
    pub fn witness(&self, account: Address) -> Witness {
        let slot = Slot::of(account);
        let (end, siblings) = self.tree.path(&slot);
        let (account, leaf) = match end {
            Some(entry) => (entry.account, entry.leaf),
            None => (account, Leaf::default()),
        };
        Witness::new(account, leaf, siblings)
    }

    /// All accounts in slot order. [`FromIterator`] is its inverse.
    pub fn iter(&self) -> impl Iterator<Item = (Address, Leaf)> {
        self.tree.iter().map(|entry| (entry.account, entry.leaf))
    }

    /// Sum of `balance + withdrawn` over all leaves in wei: equals the deposits consumed. Saturates.
    pub fn total(&self) -> u128 {
        self.iter().fold(0u128, |sum, (_, leaf)| sum.saturating_add(leaf.balance).saturating_add(leaf.withdrawn))
    }
}

impl FromIterator<(Address, Leaf)> for State {
    fn from_iter<I: IntoIterator<Item = (Address, Leaf)>>(accounts: I) -> Self {
        let mut state = Self::new();
        for (account, leaf) in accounts {
            state.set(account, leaf);
        }
        state
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.root() == other.root()
    }
}

impl Eq for State {}

#[cfg(test)]
mod tests;
