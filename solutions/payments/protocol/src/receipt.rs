//! The operator's promise to put a message into a batch: **soft** finality.
//!
//! `Receipt(bytes32 messageId,uint64 sequence,bytes32 previousReceipt,uint64 time)`. Receipts form a chain: `previousReceipt`
//! is the struct hash of the one before (zero for sequence 0).
//!
//! # One signature for a group
//! A signature costs the operator about as much as checking a message does, so receipts that become durable together share one.
//! In the gateway's [`Domain`] the operator signs
//! `ReceiptGroup(uint64 first,uint64 count,bytes32 previousReceipt,bytes32 root)`: `count` receipts (1 to [`MAX_GROUP`]) with the
//! sequences `first`, `first + 1`, …; `previousReceipt` is that of the first of them. `root` is the root of a Merkle tree over
//! their struct hashes in order: a node is `keccak256(0x01 || left || right)`, and a last node without partner rises a level as it is.
//! A receipt that is handed out carries the group without its root, the siblings on its way there from below (at most 12),
//! and the signature; it is checked alone.
//!
//! What makes that as good as a signature each: `count` fixes the tree's shape, so the place `sequence - first` fixes
//! which levels have a sibling and on which side. A way of any other length is refused, and no node can pass for a receipt (which is
//! a hash of 160 bytes, a node's is of 65 with a byte in front that no type hash begins with). So under one signature one
//! sequence number has one receipt. Two receipts with one sequence number and different hashes, whatever the groups they came
//! with, prove equivocation, and anyone may publish them.
//!
//! A receipt without a group is signed itself: that is how they were before there were groups, and they stay valid.

use std::sync::LazyLock;

use alloy::primitives::{Address, B256, keccak256};
use secp256k1::SecretKey;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    abi,
    domain::Domain,
    signature::{Signature, SignatureError, sign_digest},
};

/// Most receipts under one signature; 12 hashes lead to the root.
pub const MAX_GROUP: usize = 4096;

/// First byte of what a node of the tree is the hash of.
const NODE: u8 = 1;

static RECEIPT_TYPE: LazyLock<B256> =
    LazyLock::new(|| keccak256("Receipt(bytes32 messageId,uint64 sequence,bytes32 previousReceipt,uint64 time)"));
static GROUP_TYPE: LazyLock<B256> =
    LazyLock::new(|| keccak256("ReceiptGroup(uint64 first,uint64 count,bytes32 previousReceipt,bytes32 root)"));

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

/// Receipts that were signed together, as the operator signs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReceiptGroup {
    /// Sequence number of the first.
    pub first: u64,
    /// How many there are.
    pub count: u64,
    /// What the first points to: hash of the last receipt of the group before.
    pub previous_receipt: B256,
    /// Root of the tree over the receipts' hashes.
    pub root: B256,
}

/// The group of one receipt, and its place in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupPath {
    /// Sequence number of the group's first receipt.
    #[serde(with = "crate::wire::decimal")]
    pub first: u64,
    /// Receipts of the group, 1 to [`MAX_GROUP`].
    #[serde(with = "crate::wire::decimal")]
    pub count: u64,
    /// What the group's first receipt points to.
    pub previous_receipt: B256,
    /// Siblings on the way to the root, from below. Levels where there is none are left out.
    pub path: Vec<B256>,
}

/// A promise with the operator's signature.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedReceipt {
    /// What is promised.
    #[serde(flatten)]
    pub receipt: Receipt,
    /// What was signed with it; without a group the signature is over the receipt itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupPath>,
    /// The operator's.
    #[serde(with = "crate::wire::signature")]
    pub signature: Signature,
}

/// Why a receipt shows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReceiptError {
    /// The group is empty or too large.
    #[error("a group has 1 to {MAX_GROUP} receipts, not {0}")]
    Count(u64),
    /// The sequence number is outside of the group.
    #[error("the receipt's sequence number lies outside of its group")]
    Outside,
    /// The way to the root has another length than the place has.
    #[error("the way to the group's root does not have the length that the receipt's place has")]
    Path,
    /// The first receipt of the group points elsewhere than the group says.
    #[error("the group's first receipt does not point to the receipt that the group follows")]
    Previous,
    /// The signature cannot be used.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl Receipt {
    /// EIP-712 struct hash: what the next receipt points to, and the tree's leaf.
    pub fn hash(&self) -> B256 {
        abi::hash([&*RECEIPT_TYPE, &self.message_id, &self.sequence, &self.previous_receipt, &self.time])
    }

    /// Signs with the operator's key, as a group of its own.
    pub fn sign(self, domain: &Domain, key: &SecretKey) -> SignedReceipt {
        let Receipt { sequence: first, previous_receipt, .. } = self;
        let group = ReceiptGroup { first, count: 1, previous_receipt, root: self.hash() };
        let path = GroupPath { first, count: 1, previous_receipt, path: Vec::new() };
        SignedReceipt { receipt: self, group: Some(path), signature: sign_digest(key, group.digest(domain)) }
    }
}

impl ReceiptGroup {
    /// EIP-712 struct hash.
    pub fn hash(&self) -> B256 {
        abi::hash([&*GROUP_TYPE, &self.first, &self.count, &self.previous_receipt, &self.root])
    }

    /// What the operator signs.
    pub fn digest(&self, domain: &Domain) -> B256 {
        domain.digest(self.hash())
    }
}

impl GroupPath {
    /// The group as it was signed, if `receipt` is in it.
    pub fn group(&self, receipt: &Receipt) -> Result<ReceiptGroup, ReceiptError> {
        let Self { first, count, previous_receipt, .. } = *self;
        if count == 0 || count > MAX_GROUP as u64 {
            return Err(ReceiptError::Count(count));
        }
        let place = receipt.sequence.checked_sub(first).filter(|place| *place < count);
        let mut place = place.ok_or(ReceiptError::Outside)?;
        if place == 0 && receipt.previous_receipt != previous_receipt {
            return Err(ReceiptError::Previous);
        }
        let (mut node, mut width, mut path) = (receipt.hash(), count, self.path.iter());
        while width > 1 {
            if place ^ 1 < width {
                let sibling = path.next().ok_or(ReceiptError::Path)?;
                node = if place & 1 == 0 { hash_node(&node, sibling) } else { hash_node(sibling, &node) };
            }
            (place, width) = (place / 2, width.div_ceil(2));
        }
        match path.next() {
            None => Ok(ReceiptGroup { first, count, previous_receipt, root: node }),
            Some(_) => Err(ReceiptError::Path),
        }
    }
}

impl SignedReceipt {
    /// Who signed it.
    pub fn signer(&self, domain: &Domain) -> Result<Address, ReceiptError> {
        let digest = match &self.group {
            Some(path) => path.group(&self.receipt)?.digest(domain),
            None => domain.digest(self.receipt.hash()),
        };
        Ok(self.signature.recover(digest)?)
    }

    /// Whether these two prove that `operator` promised two different things in one place.
    pub fn equivocates(&self, other: &Self, domain: &Domain, operator: Address) -> bool {
        self.receipt.sequence == other.receipt.sequence
            && self.receipt.hash() != other.receipt.hash()
            && self.signer(domain) == Ok(operator)
            && other.signer(domain) == Ok(operator)
    }
}

/// The tree of a group: what the operator signs, and each receipt's way to the root.
#[derive(Clone, Debug)]
pub struct ReceiptTree {
    first: u64,
    previous_receipt: B256,
    /// From the leaves to the root alone.
    levels: Vec<Vec<B256>>,
}

impl ReceiptTree {
    /// The tree over consecutive receipts, each of which points to the one before. `None` for none, for more than
    /// [`MAX_GROUP`], and for what is no such chain.
    pub fn new(receipts: impl IntoIterator<Item = Receipt>) -> Option<Self> {
        let mut leaves: Vec<B256> = Vec::new();
        let mut start = None;
        for receipt in receipts {
            let (first, previous) = *start.get_or_insert((receipt.sequence, receipt.previous_receipt));
            let fits = receipt.sequence.checked_sub(first) == Some(leaves.len() as u64)
                && receipt.previous_receipt == *leaves.last().unwrap_or(&previous);
            if !fits || leaves.len() == MAX_GROUP {
                return None;
            }
            leaves.push(receipt.hash());
        }
        let (first, previous_receipt) = start?;
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let pairs = below.chunks(2).map(|pair| match pair {
                [left, right] => hash_node(left, right),
                lone => lone.first().copied().unwrap_or_default(),
            });
            let above = pairs.collect();
            levels.push(above);
        }
        Some(Self { first, previous_receipt, levels })
    }

    /// What the operator signs.
    pub fn group(&self) -> ReceiptGroup {
        let root = self.levels.last().and_then(|top| top.first()).copied().unwrap_or_default();
        ReceiptGroup { first: self.first, count: self.count(), previous_receipt: self.previous_receipt, root }
    }

    /// Whether the receipt with this sequence number is in it.
    pub fn holds(&self, sequence: u64) -> bool {
        sequence.checked_sub(self.first).is_some_and(|place| place < self.count())
    }

    /// The way of the receipt with this sequence number; `None` when it is not in here.
    pub fn path(&self, sequence: u64) -> Option<GroupPath> {
        let mut place = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
        self.levels.first()?.get(place)?;
        let mut path = Vec::with_capacity(self.levels.len().saturating_sub(1));
        for level in &self.levels {
            // The root has none.
            path.extend(level.get(place ^ 1));
            place /= 2;
        }
        Some(GroupPath { first: self.first, count: self.count(), previous_receipt: self.previous_receipt, path })
    }

    fn count(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }
}

fn hash_node(left: &B256, right: &B256) -> B256 {
    let mut bytes = [NODE; 65];
    bytes[1..33].copy_from_slice(left.as_slice());
    bytes[33..].copy_from_slice(right.as_slice());
    keccak256(bytes)
}

#[cfg(test)]
mod tests;
