//! Batches: how items and records become chunks, roots, a commitment and one layer-1 transaction.
//!
//! ```text
//! chunks     = ceil(items / 8) inbox chunks (items in order), then ceil(records / 8) message chunks
//! dataHash   = 0 of an inbox chunk, keccak256(its record bytes) of a message chunk
//! leaf_j     = keccak256(abi.encode(dataHash_j, root_j))
//! commitment = keccak256(abi.encode(uint256 id, bytes32 previousCommitment, address proposer, uint64 inboxStart, uint64 inboxEnd,
//!                                   bytes32[] leaves))
//! ```
//! One claimed root a chunk, so that a contest re-executes at most eight messages. Genesis is batch 0 with commitment 0 and
//! root 0, final; ids ascend from 1.

use alloy::primitives::{Address, B256, Bytes, keccak256};
use serde::{Deserialize, Serialize};

use crate::{
    abi,
    contest::Contest,
    domain::Domain,
    inbox::Item,
    message::Record,
    state::State,
    transition::{Outcome, apply_item, apply_record, credit_fees},
};

mod rehearsal;
mod submission;

pub use rehearsal::{Rehearsal, RehearsedChunk};
pub use submission::{Submission, SubmissionError};

/// Most items or records in a chunk: the gateway's MAX_CHUNK. Bounds the gas of a contest.
pub const MAX_CHUNK: usize = 8;
/// Most chunks in a batch: the gateway's MAX_CHUNKS. Bounds the preimage that a contest carries.
pub const MAX_CHUNKS: usize = 120;

/// A batch as layer 1 knows it: what was submitted, by whom, from which inbox cursor on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    /// From 1.
    #[serde(with = "crate::wire::decimal")]
    pub id: u64,
    /// Commitment of the batch before; zero for batch 1.
    pub previous_commitment: B256,
    /// Who submitted it and earns its fees.
    pub proposer: Address,
    /// First inbox item consumed.
    #[serde(with = "crate::wire::decimal")]
    pub inbox_start: u64,
    /// One past the last inbox item consumed.
    #[serde(with = "crate::wire::decimal")]
    pub inbox_end: u64,
    /// One claimed root a chunk.
    pub roots: Vec<B256>,
    /// Records of 122 bytes, one after another.
    pub records: Bytes,
}

/// The preimage of a batch's commitment: the gateway's struct of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preimage {
    /// See [`Batch::id`].
    #[serde(with = "crate::wire::decimal")]
    pub id: u64,
    /// See [`Batch::previous_commitment`].
    pub previous_commitment: B256,
    /// See [`Batch::proposer`].
    pub proposer: Address,
    /// See [`Batch::inbox_start`].
    #[serde(with = "crate::wire::decimal")]
    pub inbox_start: u64,
    /// See [`Batch::inbox_end`].
    #[serde(with = "crate::wire::decimal")]
    pub inbox_end: u64,
    /// One a chunk.
    pub leaves: Vec<B256>,
}

/// What one chunk does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// Up to eight inbox items.
    Inbox(Vec<Item>),
    /// Up to eight records, and the fee credit at their end.
    Messages(Vec<Record>),
}

/// What a chunk did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkReport {
    /// One per item or record, in order.
    pub outcomes: Vec<Outcome>,
    /// Wei credited to the proposer at the chunk's end.
    pub fees: u128,
    /// The root after the chunk.
    pub root: B256,
}

/// Why a batch cannot be built or replayed. On a batch that layer 1 took, this is an alarm: the data read is not that batch's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Neither items nor records.
    #[error("the batch is empty; the gateway refuses it")]
    Empty,
    /// More than [`MAX_CHUNKS`].
    #[error("the batch has {0} chunks, the gateway takes {MAX_CHUNKS}; leave items or records for the next batch")]
    TooManyChunks(usize),
    /// The records are not whole.
    #[error("{0} bytes of records are no multiple of 122")]
    RecordBytes(usize),
    /// The number of roots is not the number of chunks.
    #[error("the batch claims {roots} roots for {chunks} chunks")]
    Roots {
        /// Roots claimed.
        roots: usize,
        /// Chunks that items and records make.
        chunks: usize,
    },
    /// The items given are not those of the batch's inbox range.
    #[error("the batch consumes inbox items {start}..{end}; the items given are others")]
    Items {
        /// First item.
        start: u64,
        /// One past the last.
        end: u64,
    },
}

/// A batch that was just built, with what it does.
#[derive(Clone, Debug)]
pub struct BuiltBatch {
    /// Ready for [`Batch::submission`].
    pub batch: Batch,
    /// One per chunk.
    pub reports: Vec<ChunkReport>,
    /// The state after it.
    pub state: State,
}

/// The result of replaying a batch.
#[derive(Clone, Debug)]
pub enum Replay {
    /// Every chunk leads to the claimed root.
    Equal {
        /// The state after the batch.
        state: State,
        /// One per chunk.
        reports: Vec<ChunkReport>,
    },
    /// A chunk leads to another root: fraud, with its proof.
    Different {
        /// The first such chunk.
        chunk: usize,
        /// The root claimed after it.
        claimed: B256,
        /// The root it truly leads to.
        computed: B256,
        /// What to hand to the gateway's `contest`.
        contest: Box<Contest>,
    },
}

impl Batch {
    /// Executes items and records on `before` and claims the roots they lead to.
    ///
    /// `items` are the inbox items from `inbox_start` on. Records without effect are taken in all the same: dropping them is the
    /// caller's choice.
    #[expect(
        clippy::too_many_arguments,
        reason = "the fields of a batch, each of another meaning; a struct would only repeat Batch"
    )]
    pub fn build(
        domain: &Domain,
        before: &State,
        id: u64,
        previous_commitment: B256,
        proposer: Address,
        inbox_start: u64,
        items: &[Item],
        records: &[Record],
    ) -> Result<BuiltBatch, BatchError> {
        let mut batch = Self::draft(id, previous_commitment, proposer, inbox_start, items, records);
        let work = batch.chunks(items)?;
        let mut state = before.clone();
        let reports: Vec<_> = work.iter().map(|chunk| chunk.apply(domain, &mut state, proposer)).collect();
        batch.roots = reports.iter().map(|report| report.root).collect();
        Ok(BuiltBatch { batch, reports, state })
    }

    /// A batch whose roots are not known yet and stand as zeros, for [`rehearse`](Self::rehearse).
    pub fn draft(
        id: u64,
        previous_commitment: B256,
        proposer: Address,
        inbox_start: u64,
        items: &[Item],
        records: &[Record],
    ) -> Self {
        Self {
            id,
            previous_commitment,
            proposer,
            inbox_start,
            inbox_end: inbox_start.saturating_add(items.len() as u64),
            roots: vec![B256::ZERO; count(items.len()).saturating_add(count(records.len()))],
            records: Record::encode_all(records).into(),
        }
    }

    /// Executes the batch on `before`, the state after the batch before it, and compares every chunk's root.
    ///
    /// `items` are exactly the inbox items of its range.
    pub fn replay(&self, domain: &Domain, before: &State, items: &[Item]) -> Result<Replay, BatchError> {
        let work = self.chunks(items)?;
        let mut state = before.clone();
        let mut reports = Vec::with_capacity(work.len());
        for (index, (chunk, &claimed)) in work.iter().zip(&self.roots).enumerate() {
            let before_chunk = state.clone();
            let report = chunk.apply(domain, &mut state, self.proposer);
            let computed = report.root;
            if computed != claimed {
                let contest = Contest::prove(domain, self, &before_chunk, index, chunk, claimed);
                return Ok(Replay::Different { chunk: index, claimed, computed, contest: Box::new(contest) });
            }
            reports.push(report);
        }
        Ok(Replay::Equal { state, reports })
    }

    /// The chunks, from the data and the inbox items of its range; checks every rule that `submitBatch` checks about counts.
    pub fn chunks(&self, items: &[Item]) -> Result<Vec<Chunk>, BatchError> {
        let (start, end) = (self.inbox_start, self.inbox_end);
        let in_range = (start..end).zip(items).all(|(index, item)| item.index == index);
        if end.checked_sub(start) != Some(items.len() as u64) || !in_range {
            return Err(BatchError::Items { start, end });
        }
        let records = Record::decode_all(&self.records).ok_or(BatchError::RecordBytes(self.records.len()))?;
        let chunks: Vec<_> = items
            .chunks(MAX_CHUNK)
            .map(|items| Chunk::Inbox(items.to_vec()))
            .chain(records.chunks(MAX_CHUNK).map(|records| Chunk::Messages(records.to_vec())))
            .collect();
        match chunks.len() {
            0 => Err(BatchError::Empty),
            count if count > MAX_CHUNKS => Err(BatchError::TooManyChunks(count)),
            count if count != self.roots.len() => Err(BatchError::Roots { roots: self.roots.len(), chunks: count }),
            _ => Ok(chunks),
        }
    }

    /// Number of inbox chunks: chunk numbers below it are inbox chunks.
    pub fn inbox_chunks(&self) -> usize {
        let items = self.inbox_end.saturating_sub(self.inbox_start);
        usize::try_from(items).map_or(usize::MAX, count)
    }

    /// The record bytes of a chunk; empty for an inbox chunk.
    pub fn chunk_records(&self, chunk: usize) -> &[u8] {
        let Some(index) = chunk.checked_sub(self.inbox_chunks()) else {
            return &[];
        };
        self.records.chunks(MAX_CHUNK * Record::LENGTH).nth(index).unwrap_or_default()
    }

    /// See the [module](self). Zero for an inbox chunk.
    pub fn data_hash(&self, chunk: usize) -> B256 {
        match chunk < self.inbox_chunks() {
            true => B256::ZERO,
            false => keccak256(self.chunk_records(chunk)),
        }
    }

    /// The claimed root after the last chunk.
    pub fn last_root(&self) -> B256 {
        self.roots.last().copied().unwrap_or_default()
    }

    /// The preimage of the commitment.
    pub fn preimage(&self) -> Preimage {
        let leaves = self.roots.iter().enumerate().map(|(chunk, root)| leaf(self.data_hash(chunk), *root)).collect();
        Preimage {
            id: self.id,
            previous_commitment: self.previous_commitment,
            proposer: self.proposer,
            inbox_start: self.inbox_start,
            inbox_end: self.inbox_end,
            leaves,
        }
    }

    /// The commitment that the gateway stores.
    pub fn commitment(&self) -> B256 {
        self.preimage().commitment()
    }

    /// What to send to the gateway; `accumulator` is the inbox's after `inbox_end` items.
    pub fn submission(&self, accumulator: B256) -> Submission {
        Submission {
            id: self.id,
            previous_commitment: self.previous_commitment,
            inbox_end: self.inbox_end,
            accumulator,
            roots: self.roots.clone(),
            records: self.records.clone(),
        }
    }
}

impl Preimage {
    /// See the [module](self).
    pub fn commitment(&self) -> B256 {
        let head = abi::encode([
            &self.id,
            &self.previous_commitment,
            &self.proposer,
            &self.inbox_start,
            &self.inbox_end,
            &192u64,
            &(self.leaves.len() as u64),
        ]);
        let mut bytes = Vec::with_capacity((head.len() + self.leaves.len()) * 32);
        bytes.extend_from_slice(head.as_flattened());
        bytes.extend(self.leaves.iter().flatten());
        keccak256(bytes)
    }
}

impl Chunk {
    /// Executes the chunk, fee credit included.
    pub fn apply(&self, domain: &Domain, state: &mut State, proposer: Address) -> ChunkReport {
        let outcomes: Vec<_> = match self {
            Self::Inbox(items) => items.iter().map(|item| apply_item(domain, state, item)).collect(),
            Self::Messages(records) => records.iter().map(|record| apply_record(domain, state, record)).collect(),
        };
        let fees = outcomes.iter().map(Outcome::fee).fold(0, u128::wrapping_add);
        credit_fees(state, proposer, fees);
        ChunkReport { outcomes, fees, root: state.root() }
    }
}

/// `keccak256(abi.encode(dataHash, root))`.
pub fn leaf(data_hash: B256, root: B256) -> B256 {
    abi::hash_pair(&data_hash, &root)
}

/// Chunks that this many items or records make.
fn count(entries: usize) -> usize {
    entries.div_ceil(MAX_CHUNK)
}

#[cfg(test)]
mod tests;
