//! What must survive a kill, behind a trait: embedded SQLite today, a server for operators who outgrow one machine.
//!
//! Every method that writes is one transaction, flushed to the disk when it returns. The core is the only writer.

mod sqlite;

pub(crate) use sqlite::SqliteStore;

use std::collections::HashSet;

use alloy::primitives::{Address, B256, Bytes};
use payments_protocol::{Record, Signature};
use thiserror::Error;

use crate::chain::Key;
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

/// Everything durable of a node.
pub(crate) trait Store: Send {
    /// The identity, if the store has one.
    fn identity(&mut self) -> Result<Option<Identity>, StoreError>;
    /// Claims an empty store for `identity`; refuses a store of another one.
    fn claim(&mut self, identity: &Identity) -> Result<(), StoreError>;
    /// Appends to the message log, with the signatures under its receipts. All or nothing.
    fn append_messages(&mut self, messages: &[LoggedMessage], seals: &[Seal]) -> Result<(), StoreError>;
    /// The whole log, in order.
    fn messages(&mut self) -> Result<Vec<LoggedMessage>, StoreError>;
    /// The signatures under the log's receipts, in order.
    fn seals(&mut self) -> Result<Vec<Seal>, StoreError>;
    /// Forgets blocks from a number on, then appends blocks. All or nothing.
    fn apply_blocks(&mut self, drop_from: Option<u64>, blocks: &[StepBlock]) -> Result<(), StoreError>;
    /// All remembered blocks that hold logs, and the newest others, ascending.
    fn blocks(&mut self) -> Result<Vec<StepBlock>, StoreError>;
    /// Notes batches that were found true, every signature its sender's. The same again is fine. With `anew` those noted
    /// before are forgotten: they did not add up.
    fn note_found(&mut self, batches: &[Key], anew: bool) -> Result<(), StoreError>;
    /// All that were noted.
    fn found(&mut self) -> Result<HashSet<Key>, StoreError>;
    /// Stores a signed transaction.
    fn put_transaction(&mut self, transaction: &OutgoingTransaction) -> Result<(), StoreError>;
    /// Records how far a transaction has come.
    fn set_transaction(&mut self, hash: B256, state: TransactionState) -> Result<(), StoreError>;
    /// Every transaction, by nonce.
    fn transactions(&mut self) -> Result<Vec<OutgoingTransaction>, StoreError>;
}

/// The newest blocks of a list that may serve as the follower's memory: gapless, ascending.
pub(crate) fn tail_of(blocks: &[StepBlock]) -> Vec<BlockRef> {
    let mut tail: Vec<BlockRef> = Vec::new();
    for step in blocks.iter().rev() {
        if tail.last().is_some_and(|above| above.number != step.block.number + 1) {
            break;
        }
        tail.push(step.block);
    }
    tail.reverse();
    tail
}

#[cfg(test)]
mod tests;
