//! The recent chain, without IO.
//!
//! The caller [offers](Tracker::offer) the newest block, fetches what the tracker [wants](Want) and
//! [answers](Tracker::answer) until nothing more is wanted. Gaps and forks are closed in the same way: from the new
//! block back over parent hashes until a known block is met. Forward by number would race a reorganisation; hashes
//! cannot.

use std::collections::VecDeque;

use alloy::primitives::{B256, U256};
use serde::{Deserialize, Deserializer, Serialize};

use crate::network::Head;

/// How many looks in a row must show a shorter chain before it is believed. Behind one RPC URL often stand several
/// nodes, and one of them lags; a chain really becomes shorter only on a development node that was set back.
const SHORTER_CHAIN_PATIENCE: u32 = 3;

/// Number and hash of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRef {
    /// Height.
    pub number: u64,
    /// Hash.
    pub hash: B256,
}

/// The fields of a JSON-RPC block that are needed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Block {
    /// Height.
    #[serde(deserialize_with = "quantity")]
    pub number: u64,
    /// Hash.
    pub hash: B256,
    /// Hash of the block below.
    pub parent_hash: B256,
    /// Unix seconds.
    #[serde(deserialize_with = "quantity")]
    pub timestamp: u64,
    /// Wei per gas; absent before EIP-1559.
    #[serde(default, deserialize_with = "optional_quantity")]
    pub base_fee_per_gas: Option<u128>,
}

impl Block {
    const fn reference(&self) -> BlockRef {
        BlockRef { number: self.number, hash: self.hash }
    }
}

/// A JSON-RPC quantity that must fit `T`.
pub(crate) fn quantity<'de, D: Deserializer<'de>, T: TryFrom<U256>>(deserializer: D) -> Result<T, D::Error> {
    T::try_from(U256::deserialize(deserializer)?).map_err(|_| serde::de::Error::custom("the number is too large"))
}

fn optional_quantity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u128>, D::Error> {
    let value = Option::<U256>::deserialize(deserializer)?;
    value.map(u128::try_from).transpose().map_err(|_| serde::de::Error::custom("the number is too large"))
}

/// A block that the tracker needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// The block with this hash.
    Hash(B256),
    /// The block that is now at this height.
    Number(u64),
}

#[derive(Debug)]
enum Walk {
    /// Back over parents; the blocks passed, newest first.
    Parents { top: Block, passed: Vec<Block> },
    /// The chain grew by more than is remembered: only ask which remembered blocks are still in it.
    Jump { top: Block },
}

/// The recent chain and the walk under way.
#[derive(Debug)]
pub struct Tracker {
    /// Oldest first, consecutive, never empty.
    chain: VecDeque<BlockRef>,
    head: Head,
    limit: usize,
    walk: Option<Walk>,
    shorter: u32,
}

impl Tracker {
    /// Starts at `first`, remembering at most `limit` blocks.
    #[must_use]
    pub fn new(first: Block, limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
        Self { chain: VecDeque::from([first.reference()]), head: head(&first, 0), limit, walk: None, shorter: 0 }
    }

    /// The newest block.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// The remembered chain, oldest first.
    #[must_use]
    pub fn recent(&self) -> Vec<BlockRef> {
        self.chain.iter().copied().collect()
    }

    /// Forgets the walk under way; the next [`Tracker::offer`] begins another.
    pub fn abandon(&mut self) {
        self.walk = None;
    }

    /// Takes the newest block, as an endpoint says; gives what is needed to place it.
    pub fn offer(&mut self, latest: Block) -> Option<Want> {
        self.walk = None;
        if latest.hash == self.head.hash {
            self.shorter = 0;
            return None;
        }
        if let Some(index) = self.index_of(latest.hash) {
            self.shorter += 1;
            if self.shorter >= SHORTER_CHAIN_PATIENCE {
                self.join(index, latest, &[]);
            }
            return None;
        }
        self.shorter = 0;
        let reach = self.head.number.saturating_add(self.limit as u64);
        if latest.number > reach {
            self.walk = Some(Walk::Jump { top: latest });
            return Some(Want::Number(self.head.number));
        }
        self.step(latest, vec![latest])
    }

    /// Takes the block that was wanted, `None` where the endpoint has none; gives what is needed next.
    ///
    /// An answer that does not fit ends the walk: the chain has moved on meanwhile, and the next look starts afresh.
    pub fn answer(&mut self, want: Want, block: Option<Block>) -> Option<Want> {
        match (self.walk.take()?, want) {
            (Walk::Parents { top, mut passed }, Want::Hash(hash)) => {
                let child = *passed.last()?;
                let block = block?;
                if block.hash != hash || child.parent_hash != hash || block.number.checked_add(1) != Some(child.number)
                {
                    return None;
                }
                passed.push(block);
                self.step(top, passed)
            }
            (Walk::Jump { top }, Want::Number(number)) => {
                let index = self.chain.iter().position(|known| known.number == number)?;
                let still = block.is_some_and(|block| self.chain.get(index).is_some_and(|k| k.hash == block.hash));
                if !still && let Some(below) = index.checked_sub(1).and_then(|below| self.chain.get(below)) {
                    let want = Want::Number(below.number);
                    self.walk = Some(Walk::Jump { top });
                    return Some(want);
                }
                let common = if still { number } else { number.saturating_sub(1) };
                self.restart(top, self.head.number.saturating_sub(common), &[top]);
                None
            }
            _ => None,
        }
    }

    fn step(&mut self, top: Block, passed: Vec<Block>) -> Option<Want> {
        let lowest = *passed.last()?;
        if let Some(index) = self.index_of(lowest.parent_hash)
            && self.chain.get(index).is_some_and(|known| known.number.checked_add(1) == Some(lowest.number))
        {
            self.join(index, top, &passed);
            return None;
        }
        let oldest = self.chain.front().map_or(0, |block| block.number);
        if lowest.number <= oldest || lowest.number == 0 {
            // Nothing remembered is left. The depth is what is known to be undone; it can be more.
            let depth = self.head.number.saturating_sub(oldest).saturating_add(1);
            self.restart(top, depth, &passed);
            return None;
        }
        self.walk = Some(Walk::Parents { top, passed });
        Some(Want::Hash(lowest.parent_hash))
    }

    fn index_of(&self, hash: B256) -> Option<usize> {
        self.chain.iter().rposition(|known| known.hash == hash)
    }

    /// Cuts the chain above `index` and puts `passed` (newest first) on it.
    fn join(&mut self, index: usize, top: Block, passed: &[Block]) {
        let common = self.chain.get(index).map_or(0, |block| block.number);
        let depth = self.head.number.saturating_sub(common);
        self.chain.truncate(index + 1);
        self.extend(top, depth, passed);
    }

    /// Forgets the chain and starts again with `passed` (newest first).
    fn restart(&mut self, top: Block, depth: u64, passed: &[Block]) {
        self.chain.clear();
        self.extend(top, depth, passed);
    }

    fn extend(&mut self, top: Block, depth: u64, passed: &[Block]) {
        self.chain.extend(passed.iter().rev().map(Block::reference));
        while self.chain.len() > self.limit {
            self.chain.pop_front();
        }
        self.head = head(&top, depth);
        self.shorter = 0;
    }
}

const fn head(block: &Block, reorg_depth: u64) -> Head {
    Head {
        number: block.number,
        hash: block.hash,
        parent_hash: block.parent_hash,
        timestamp: block.timestamp,
        reorg_depth,
    }
}

#[cfg(test)]
mod tests;
