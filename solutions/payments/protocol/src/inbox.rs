//! Deposits and withdrawal requests, in the order layer 1 took them.
//!
//! ```text
//! itemHash          = keccak256(abi.encode(uint64 index, uint8 kind, address who, uint128 value, uint128 fee, uint64 time,
//!                                          bytes32 messageId, address depositor))
//! accumulator(0)    = 0
//! accumulator(i + 1) = keccak256(abi.encode(accumulator(i), itemHash_i))
//! ```
//! Batches consume items in order. A batch names the accumulator at its own `inboxEnd`, so a reorganisation of layer 1 makes
//! it revert and later items never do.

use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::{abi, domain::Domain};

/// What an item does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
#[serde(rename_all = "camelCase")]
pub enum ItemKind {
    /// ETH locked in the gateway for `who`.
    Deposit = 1,
    /// `who` itself asked on layer 1: everything is withdrawn, always.
    ForcedExit = 2,
    /// A signed `Withdraw` that someone posted.
    PostedWithdraw = 3,
}

impl ItemKind {
    /// The kind with this byte of the item's hash.
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Deposit),
            2 => Some(Self::ForcedExit),
            3 => Some(Self::PostedWithdraw),
            _ => None,
        }
    }
}

/// One item of the inbox: every field of its hash is in its layer-1 event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// Place in the inbox, from 0.
    #[serde(with = "crate::wire::decimal")]
    pub index: u64,
    /// What it does.
    pub kind: ItemKind,
    /// The account it is about: payee of a deposit, who exits, sender of the posted message.
    pub who: Address,
    /// Wei; zero for a forced exit.
    #[serde(with = "crate::wire::decimal")]
    pub value: u128,
    /// Wei, of a posted `Withdraw` (signed, not charged); else zero.
    #[serde(with = "crate::wire::decimal")]
    pub fee: u128,
    /// Layer-1 timestamp of its block, in seconds.
    #[serde(with = "crate::wire::decimal")]
    pub time: u64,
    /// Id of a posted `Withdraw`; else zero.
    pub message_id: B256,
    /// Who sent the layer-1 transaction.
    pub depositor: Address,
}

impl Item {
    /// See the [module](self).
    pub fn hash(&self) -> B256 {
        abi::hash([
            &self.index,
            &(self.kind as u8),
            &self.who,
            &self.value,
            &self.fee,
            &self.time,
            &self.message_id,
            &self.depositor,
        ])
    }

    /// The head that a forced exit leaves: `keccak256(abi.encode(gateway, uint256 chainId, uint64 index, itemHash))`.
    ///
    /// Bound to gateway and chain, so no message that was signed after one exit fits after another.
    pub fn exit_head(&self, domain: &Domain) -> B256 {
        abi::hash([&domain.gateway(), &domain.chain_id(), &self.index, &self.hash()])
    }
}

/// The accumulator after one more item.
pub fn accumulate(accumulator: B256, item: &Item) -> B256 {
    abi::hash([&accumulator, &item.hash()])
}

/// The inbox as far as it was followed, from an item on: what lies below may be [forgotten](Self::forget_before).
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    /// Index of the first item that is kept, and the accumulator before it.
    start: u64,
    before: B256,
    items: Vec<Item>,
    /// `accumulators[i]` is the accumulator after `start + i + 1` items.
    accumulators: Vec<B256>,
}

/// An item that does not belong at the inbox's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("inbox item {found} does not follow: item {expected} is next; follow the gateway's events from there")]
pub struct OutOfOrder {
    /// Index that is next.
    pub expected: u64,
    /// Index that came.
    pub found: u64,
}

impl Inbox {
    /// An empty inbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// An inbox whose first `start` items are known to make this accumulator, and are not kept.
    pub fn resume(start: u64, accumulator: B256) -> Self {
        Self { start, before: accumulator, ..Self::default() }
    }

    /// Number of items, forgotten ones included.
    pub fn len(&self) -> u64 {
        self.start + self.items.len() as u64
    }

    /// There never was an item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Index of the first item that is kept.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Forgets the items below `index`; the accumulator there stays.
    pub fn forget_before(&mut self, index: u64) {
        let index = index.min(self.len());
        let (Some(count), Some(before)) = (self.place(index), self.accumulator(index)) else { return };
        self.items.drain(..count);
        self.accumulators.drain(..count);
        self.items.shrink_to_fit();
        self.accumulators.shrink_to_fit();
        (self.start, self.before) = (index, before);
    }

    /// Where an item is kept; `None` for a forgotten one.
    fn place(&self, index: u64) -> Option<usize> {
        usize::try_from(index.checked_sub(self.start)?).ok()
    }

    /// Appends the next item.
    pub fn push(&mut self, item: Item) -> Result<(), OutOfOrder> {
        if item.index != self.len() {
            return Err(OutOfOrder { expected: self.len(), found: item.index });
        }
        let last = self.accumulators.last().copied().unwrap_or(self.before);
        self.accumulators.push(accumulate(last, &item));
        self.items.push(item);
        Ok(())
    }

    /// Forgets the items from `len` on (a reorganisation of layer 1). Of those that are not kept any more none is.
    pub fn truncate(&mut self, len: u64) {
        let len = self.place(len.max(self.start)).unwrap_or(usize::MAX);
        self.items.truncate(len);
        self.accumulators.truncate(len);
    }

    /// The item at an index.
    pub fn item(&self, index: u64) -> Option<&Item> {
        self.items.get(self.place(index)?)
    }

    /// The items of `start..end`, or `None` where the inbox is not known that far or not kept.
    pub fn range(&self, start: u64, end: u64) -> Option<&[Item]> {
        self.items.get(self.place(start)?..self.place(end)?)
    }

    /// The accumulator after the first `len` items.
    pub fn accumulator(&self, len: u64) -> Option<B256> {
        match self.place(len)?.checked_sub(1) {
            None => Some(self.before),
            Some(last) => self.accumulators.get(last).copied(),
        }
    }
}

#[cfg(test)]
mod tests;
