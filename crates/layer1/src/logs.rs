//! The logs of one contract, in order, at least once, and taken back when their block is undone.
//!
//! A [`LogFollower`] has no storage. Each [`LogBatch`] carries the [`Position`] behind it, which the caller persists after
//! it has acted; a crash in between delivers the batch again. The position holds the recent blocks and what was
//! delivered of them, so that logs are taken back also when the reorganisation happened while nobody looked.

use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes, U64};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::Layer1Error;
use crate::network::{Head, Network};
use crate::tracker::{Block, BlockRef, quantity};

/// Most blocks asked for in one `eth_getLogs`; halved where the endpoint refuses. Public endpoints take 1 000 to 10 000.
const RANGE: u64 = 2_000;
/// Longest wait for the tracker to catch up with an endpoint that answered from a newer chain.
const CATCH_UP: Duration = Duration::from_secs(1);

/// A log as the chain holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// The contract that wrote it.
    pub address: Address,
    /// Topics; the first is the event's selector, unless it is anonymous.
    pub topics: Vec<B256>,
    /// ABI-encoded data.
    pub data: Bytes,
    /// Height of its block.
    pub block_number: u64,
    /// Hash of its block.
    pub block_hash: B256,
    /// Hash of its transaction.
    pub transaction_hash: B256,
    /// Its index in the block.
    pub log_index: u64,
}

/// A log that appeared, or was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEvent {
    /// The log, exactly as it was delivered first.
    pub log: Log,
    /// True when its block is no longer in the chain.
    pub removed: bool,
}

/// What is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogBatch {
    /// First what is taken back, newest first; then what appeared, oldest first.
    pub events: Vec<LogEvent>,
    /// The head when the batch was made. Blocks up to `position.next_block()` are covered, which can be below.
    pub head: Head,
    /// How many of the blocks covered before are undone.
    pub reorg_depth: u64,
    /// Where to go on from, once the caller has acted.
    pub position: Position,
}

/// How far a follower is; serialisable, opaque to its keeper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    next: u64,
    /// Recent blocks, oldest first; every recent block with a delivered log is among them.
    window: Vec<Seen>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    block: BlockRef,
    logs: Vec<Log>,
}

impl Position {
    /// Before `from_block`: nothing seen.
    #[must_use]
    pub const fn at(from_block: u64) -> Self {
        Self { next: from_block, window: Vec::new() }
    }

    /// The first block that is not covered yet.
    #[must_use]
    pub const fn next_block(&self) -> u64 {
        self.next
    }

    fn top(&self) -> Option<BlockRef> {
        self.window.last().map(|seen| seen.block)
    }

    /// Takes the newest block back; its logs, newest first.
    fn undo(&mut self) -> Vec<Log> {
        let Some(seen) = self.window.pop() else { return Vec::new() };
        self.next = self.top().map_or(seen.block.number, |below| below.number.saturating_add(1));
        seen.logs.into_iter().rev().collect()
    }

    /// Covers all blocks up to `end`. `known` are hashes of blocks in between, `logs` are in order.
    fn advance(&mut self, end: u64, known: &[BlockRef], logs: &[Log], limit: u64) {
        let lowest = end.saturating_sub(limit.saturating_sub(1)).max(self.next);
        let mut blocks = known.to_vec();
        blocks.extend(logs.iter().map(|log| BlockRef { number: log.block_number, hash: log.block_hash }));
        blocks.retain(|block| (lowest..=end).contains(&block.number));
        blocks.sort_by_key(|block| block.number);
        blocks.dedup_by_key(|block| block.number);
        for block in blocks {
            let logs = logs.iter().filter(|log| log.block_number == block.number).cloned().collect();
            self.window.push(Seen { block, logs });
        }
        self.next = end.saturating_add(1);
        let oldest = self.next.saturating_sub(limit);
        self.window.retain(|seen| seen.block.number >= oldest);
    }
}

/// Follows one contract's logs.
#[derive(Debug)]
pub struct LogFollower {
    network: Network,
    address: Address,
    position: Position,
    /// Blocks to ask for at once now, and at most.
    range: u64,
    most: u64,
}

impl LogFollower {
    /// Follows `address` from `from_block` on, or from where `position` stands.
    #[must_use]
    pub fn new(network: Network, address: Address, from_block: u64, position: Option<Position>) -> Self {
        let position = position.unwrap_or(Position::at(from_block));
        Self { network, address, position, range: RANGE, most: RANGE }
    }

    /// Asks for at most `blocks` at once (2 000 when this is not called; at least 1), for endpoints that allow less.
    #[must_use]
    pub fn with_range(mut self, blocks: u64) -> Self {
        self.most = blocks.max(1);
        self.range = self.most;
        self
    }

    /// Waits until the chain is ahead of the position, or has left it; then gives one batch.
    ///
    /// A batch can be empty of events: then it says that the chain moved. After an error the follower stands where it
    /// stood; the next call tries again. Dropping the future loses nothing.
    ///
    /// # Errors
    /// Those of [`Network::request`], and [`Layer1Error::Closed`].
    pub async fn next(&mut self) -> Result<LogBatch, Layer1Error> {
        let mut head = self.network.head();
        loop {
            let now = *head.borrow_and_update();
            match self.step(now).await? {
                Step::Batch(batch) => {
                    self.position = batch.position.clone();
                    return Ok(*batch);
                }
                Step::UpToDate => head.changed().await.map_err(|_| Layer1Error::Closed)?,
                Step::Moving => {
                    // A closed network ends the wait at once, and the next round says so.
                    let changed = tokio::time::timeout(CATCH_UP, head.changed()).await;
                    if matches!(changed, Ok(Err(_))) {
                        return Err(Layer1Error::Closed);
                    }
                }
            }
        }
    }

    /// Where the follower stands: the position of the last batch it gave.
    #[must_use]
    pub const fn position(&self) -> &Position {
        &self.position
    }

    async fn step(&mut self, head: Head) -> Result<Step, Layer1Error> {
        let mut position = self.position.clone();
        let mut events = Vec::new();
        let before = position.next;
        while let Some(top) = position.top() {
            if self.hash_at(top.number, head).await? == Some(top.hash) {
                break;
            }
            events.extend(position.undo().into_iter().map(|log| LogEvent { log, removed: true }));
        }
        let reorg_depth = before.saturating_sub(position.next);
        if position.next <= head.number {
            let Some(read) = self.read(position.next, head).await? else { return Ok(Step::Moving) };
            position.advance(read.end, &read.known, &read.logs, self.network.config().reorg_limit);
            events.extend(read.logs.into_iter().map(|log| LogEvent { log, removed: false }));
        } else if reorg_depth == 0 {
            return Ok(Step::UpToDate);
        }
        Ok(Step::Batch(Box::new(LogBatch { events, head, reorg_depth, position })))
    }

    /// Reads from `next` on, as far as one request goes; `None` when the chain moved meanwhile.
    async fn read(&mut self, next: u64, head: Head) -> Result<Option<Read>, Layer1Error> {
        loop {
            let end = next.saturating_add(self.range - 1).min(head.number);
            match self.read_range(next, end, head).await {
                // Endpoints limit the range, or the size of the answer, each in its own words.
                Err(Layer1Error::Rpc { .. } | Layer1Error::BadAnswer { .. }) if end > next => {
                    self.range = ((end - next) / 2).max(1);
                }
                result => {
                    if result.is_ok() {
                        // The refusal may have been of the moment: slowly back to the full range.
                        self.range = self.range.saturating_add(self.range / 8 + 1).min(self.most);
                    }
                    return result;
                }
            }
        }
    }

    async fn read_range(&self, next: u64, end: u64, head: Head) -> Result<Option<Read>, Layer1Error> {
        let limit = self.network.config().reorg_limit;
        // Below the limit nothing moves any more: no hashes are needed there.
        let settled = end.saturating_add(limit) <= head.number;
        let end_hash = if settled { None } else { self.hash_at(end, head).await? };
        let filter = match end_hash {
            // The ordinary case, one new block: asked for by hash, the answer cannot be from another chain.
            Some(hash) if next == end => json!({ "address": self.address, "blockHash": hash }),
            _ => json!({ "address": self.address, "fromBlock": U64::from(next), "toBlock": U64::from(end) }),
        };
        let wire: Vec<WireLog> = self.network.get("eth_getLogs", json!([filter])).await?;
        let mut logs: Vec<Log> = wire.into_iter().map(Log::from).collect();
        if logs.iter().any(|log| log.address != self.address || !(next..=end).contains(&log.block_number)) {
            return Err(Layer1Error::BadAnswer {
                method: "eth_getLogs".to_owned(),
                reason: "it holds logs that were not asked for".to_owned(),
            });
        }
        logs.sort_by_key(|log| (log.block_number, log.log_index));
        let mut known: Vec<BlockRef> =
            self.network.recent().iter().copied().filter(|block| (next..=end).contains(&block.number)).collect();
        if let Some(hash) = end_hash {
            let same_chain = logs.iter().all(|log| {
                let agrees = |block: &BlockRef| block.number != log.block_number || block.hash == log.block_hash;
                known.iter().all(agrees) && agrees(&BlockRef { number: end, hash })
            });
            // A range is of one chain when its last block is the same before and after.
            if !same_chain || (next < end && self.canonical_hash(end).await? != Some(hash)) {
                return Ok(None);
            }
            known.retain(|block| block.number != end);
            known.push(BlockRef { number: end, hash });
        } else if !settled {
            return Ok(None);
        }
        Ok(Some(Read { end, known, logs }))
    }

    /// The hash at a height: from the tracker where it remembers, else from an endpoint.
    async fn hash_at(&self, number: u64, head: Head) -> Result<Option<B256>, Layer1Error> {
        if number > head.number {
            return Ok(None);
        }
        match self.network.recent().iter().find(|block| block.number == number) {
            Some(block) => Ok(Some(block.hash)),
            None => self.canonical_hash(number).await,
        }
    }

    async fn canonical_hash(&self, number: u64) -> Result<Option<B256>, Layer1Error> {
        let block: Option<Block> = self.network.get("eth_getBlockByNumber", json!([U64::from(number), false])).await?;
        Ok(block.map(|block| block.hash))
    }
}

enum Step {
    Batch(Box<LogBatch>),
    UpToDate,
    /// Endpoint and tracker are on different chains; one of them is about to follow.
    Moving,
}

struct Read {
    end: u64,
    known: Vec<BlockRef>,
    logs: Vec<Log>,
}

/// A log as JSON-RPC writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireLog {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
    #[serde(deserialize_with = "quantity")]
    block_number: u64,
    block_hash: B256,
    transaction_hash: B256,
    #[serde(deserialize_with = "quantity")]
    log_index: u64,
}

impl From<WireLog> for Log {
    fn from(wire: WireLog) -> Self {
        let WireLog { address, topics, data, block_number, block_hash, transaction_hash, log_index } = wire;
        Self { address, topics, data, block_number, block_hash, transaction_hash, log_index }
    }
}

#[cfg(test)]
mod tests;
