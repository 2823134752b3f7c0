//! What must survive a kill, behind a trait: embedded SQLite today, a server for operators who outgrow one machine.
//!
//! Every method that writes is one transaction, flushed to the disk when it returns. The core is the only writer.

mod below;
pub(crate) mod snapshot;
mod sqlite;

pub(crate) use sqlite::SqliteStore;

use std::collections::HashSet;
use std::path::PathBuf;

use alloy::primitives::{Address, B256, Bytes};
use payments_protocol::{Record, Signature};
use thiserror::Error;

use crate::chain::{Base, Key, Place};
use crate::layer1::{BlockRef, StepBlock};

/// Why the store could not be opened, read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database refused.
    #[error("the node's database refused the operation")]
    Database(#[from] rusqlite::Error),
    /// The folder could not be made.
    #[error("the data directory could not be made")]
    Folder(#[from] std::io::Error),
    /// The store belongs to something else.
    #[error("the data directory belongs to {found}, this node is set up for {expected}; give another --data-dir")]
    Foreign {
        /// What the store says.
        found: String,
        /// What the arguments say.
        expected: String,
    },
    /// A row does not read back.
    #[error("the node's database is damaged: {0}")]
    Damaged(String),
}

/// Whose store this is. Written once, compared at every start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) chain_id: u64,
    pub(crate) gateway: Address,
    pub(crate) role: String,
    pub(crate) from_block: u64,
}

/// One receipted message. `sequence` ascends from 0 without gaps.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LoggedMessage {
    pub(crate) sequence: u64,
    pub(crate) id: B256,
    pub(crate) record: Record,
    pub(crate) nonce: u64,
    pub(crate) prev: B256,
    /// Unix seconds, from the receipt.
    pub(crate) time: u64,
    /// Hash of the receipt before this one; zero for the first.
    pub(crate) previous_receipt: B256,
}

/// The operator's signature under receipts of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    /// Sequence of the first receipt.
    pub(crate) first: u64,
    /// How many are signed together; 0 for a single receipt that is signed without a group, as before there were groups.
    pub(crate) count: u64,
    pub(crate) signature: Signature,
}

/// What a transaction of this node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Submits the batch of this id.
    Batch(u64),
    /// Contests the batch of this id.
    Contest(u64),
    /// Raises the operator's bond.
    Bond,
}

impl Purpose {
    /// One word, as the store and the alerts write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Batch(_) => "batch",
            Self::Contest(_) => "contest",
            Self::Bond => "bond",
        }
    }
}

/// How far a transaction of this node has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransactionState {
    /// Signed and stored; broadcast or about to be.
    Open,
    /// In this block, successful.
    Done { block: u64 },
    /// In this block, reverted.
    Reverted { block: u64 },
    /// Another transaction took its nonce.
    Replaced,
}

/// A transaction of this node, stored before it is broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutgoingTransaction {
    pub(crate) hash: B256,
    pub(crate) nonce: u64,
    pub(crate) purpose: Purpose,
    pub(crate) raw: Bytes,
    pub(crate) state: TransactionState,
}

/// One item or record of a batch that lies below the base.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SettledEffect {
    pub(crate) place: Place,
    /// The message that took effect, if it was one.
    pub(crate) message: Option<B256>,
    /// Whose histories it is part of.
    pub(crate) accounts: Vec<Address>,
    /// What it did, as the node answers it.
    pub(crate) outcome: String,
}

/// A batch that lies below the base: where its event is, and what it did. Its data is in the event's log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SettledBatch {
    pub(crate) id: u64,
    pub(crate) block: u64,
    pub(crate) log_index: u64,
    pub(crate) transaction: B256,
    pub(crate) effects: Vec<SettledEffect>,
}

/// An item or record below the base, as it is read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SettledRow {
    pub(crate) place: Place,
    /// The layer-1 transaction of its batch.
    pub(crate) transaction: B256,
    /// What it did, as it was written.
    pub(crate) outcome: String,
}

/// The block of a batch with the batch's log alone, and its outcomes as they were written, by chunk.
pub(crate) type WrittenBatch = (StepBlock, Vec<Vec<String>>);

/// Answers about what lies below the base and about the whole message log, on a connection of its own: nobody who reads
/// here waits for a flush. `base`: the id up to which the reader's view leaves the answer to the store. What was written
/// for a base that is still to come is not seen.
pub(crate) trait Below: Send + Sync {
    /// Where a message took effect, and which.
    fn effect(&self, message: B256, base: u64) -> Result<Option<SettledRow>, StoreError>;
    /// Length of the account's history.
    fn history_len(&self, account: Address, base: u64) -> Result<u64, StoreError>;
    /// Part of the account's history: the oldest is 0.
    fn history(&self, account: Address, from: u64, limit: u64, base: u64) -> Result<Vec<SettledRow>, StoreError>;
    /// A batch.
    fn batch(&self, id: u64) -> Result<Option<WrittenBatch>, StoreError>;
    /// A receipted message.
    fn logged(&self, id: B256) -> Result<Option<LoggedMessage>, StoreError>;
    /// The signature under the receipt of this sequence number.
    fn seal(&self, sequence: u64) -> Result<Option<Seal>, StoreError>;
    /// Receipted messages from a sequence number on, in order.
    fn logged_from(&self, sequence: u64, limit: u64) -> Result<Vec<LoggedMessage>, StoreError>;
}

/// Everything durable of a node.
pub(crate) trait Store: Send {
    /// The identity, if the store has one.
    fn identity(&mut self) -> Result<Option<Identity>, StoreError>;
    /// Claims an empty store for `identity`; refuses a store of another one.
    fn claim(&mut self, identity: &Identity) -> Result<(), StoreError>;
    /// Appends to the message log, with the signatures under its receipts. All or nothing.
    fn append_messages(&mut self, messages: &[LoggedMessage], seals: &[Seal]) -> Result<(), StoreError>;
    /// The log from a sequence number on, in order.
    fn messages(&mut self, from: u64) -> Result<Vec<LoggedMessage>, StoreError>;
    /// The signatures under the log's receipts, of the groups that begin at a sequence number or after it, in order.
    fn seals(&mut self, from: u64) -> Result<Vec<Seal>, StoreError>;
    /// Sequence number of the first message from `from` on for which `used_up` (of sender and nonce) does not hold, or
    /// rather of the first in its group; the next one to be given if there is none. Reads one at a time, however long the
    /// log.
    fn first_unsettled(&mut self, from: u64, used_up: &dyn Fn(Address, u64) -> bool) -> Result<u64, StoreError>;
    /// The newest message of the log.
    fn last_message(&mut self) -> Result<Option<LoggedMessage>, StoreError>;
    /// Folder of the files that lie beside the database.
    fn folder(&self) -> PathBuf;
    /// Reads beside this writer.
    fn below(&self) -> Result<Box<dyn Below>, StoreError>;
    /// Writes batches that are about to lie below the base, ascending. The same again is fine. All or nothing.
    fn settle(&mut self, batches: &[SettledBatch]) -> Result<(), StoreError>;
    /// Id of the newest batch that was written so; 0 when none was.
    fn settled_to(&mut self) -> Result<u64, StoreError>;
    /// Forgets blocks from a number on, and the settled batches whose events lay in them; then appends blocks. All or
    /// nothing.
    fn apply_blocks(&mut self, drop_from: Option<u64>, blocks: &[StepBlock]) -> Result<(), StoreError>;
    /// Whether the event of this batch is remembered in this block at this place, and names this accumulator.
    fn has_batch(&mut self, base: &Base, accumulator: B256) -> Result<bool, StoreError>;
    /// Remembered blocks from a number on, ascending, at most `limit`: all that hold logs, and the newest others.
    fn blocks(&mut self, from: u64, limit: u64) -> Result<Vec<StepBlock>, StoreError>;
    /// Notes batches that were found true, every signature its sender's. The same again is fine. With `anew` those noted
    /// before are forgotten: they did not add up.
    fn note_found(&mut self, batches: &[Key], anew: bool) -> Result<(), StoreError>;
    /// All that were noted.
    fn found(&mut self) -> Result<HashSet<Key>, StoreError>;
    /// Stores a signed transaction.
    fn put_transaction(&mut self, transaction: &OutgoingTransaction) -> Result<(), StoreError>;
    /// Records how far a transaction has come.
    fn set_transaction(&mut self, hash: B256, state: TransactionState) -> Result<(), StoreError>;
    /// Transactions by nonce: open ones, and all whose nonces come after those that were settled up to block `settled`.
    fn transactions(&mut self, settled: u64) -> Result<Vec<OutgoingTransaction>, StoreError>;
}

/// The newest blocks of a list that may serve as the follower's memory: gapless, ascending.
pub(crate) fn tail_of(blocks: &[BlockRef]) -> Vec<BlockRef> {
    let mut tail: Vec<BlockRef> = Vec::new();
    for block in blocks.iter().rev() {
        if tail.last().is_some_and(|above| above.number != block.number + 1) {
            break;
        }
        tail.push(*block);
    }
    tail.reverse();
    tail
}

#[cfg(test)]
mod tests;
