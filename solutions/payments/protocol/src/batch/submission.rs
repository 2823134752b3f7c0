//! The calldata of `submitBatch`.
//!
//! `submitBatch(uint256 id, bytes32 previousCommitment, uint64 inboxEnd, bytes32 accumulator, bytes32[] roots, bytes records)`,
//! byte for byte in the canonical encoding (the gateway reverts on any other, and on a sender that is not the transaction's
//! origin). So every replica finds the data in a top-level transaction's input at fixed offsets:
//!
//! ```text
//! 0    selector
//! 4    id · 36 previousCommitment · 68 inboxEnd · 100 accumulator · 132 offset of roots (0xc0) · 164 offset of records
//! 196  number of roots, the roots
//! …    number of record bytes, the bytes, zeros up to a whole word
//! ```

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};

use super::Batch;
use crate::abi;

/// The arguments of `submitBatch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// See [`Batch::id`].
    pub id: u64,
    /// See [`Batch::previous_commitment`].
    pub previous_commitment: B256,
    /// See [`Batch::inbox_end`].
    pub inbox_end: u64,
    /// The inbox's accumulator after `inbox_end` items.
    pub accumulator: B256,
    /// See [`Batch::roots`].
    pub roots: Vec<B256>,
    /// See [`Batch::records`].
    pub records: Bytes,
}

/// Calldata that is not the canonical encoding of a `submitBatch` call. After a *successful* submission: an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{length} bytes of calldata are not the canonical encoding of submitBatch: {what}")]
pub struct SubmissionError {
    /// Bytes given.
    pub length: usize,
    /// What is wrong first.
    pub what: &'static str,
}

const SIGNATURE: &str = "submitBatch(uint256,bytes32,uint64,bytes32,bytes32[],bytes)";
/// Offset of the roots in the arguments: after six words.
const ROOTS_OFFSET: u64 = 6 * 32;

impl Submission {
    /// The function's selector.
    pub fn selector() -> [u8; 4] {
        let hash = keccak256(SIGNATURE);
        [hash[0], hash[1], hash[2], hash[3]]
    }

    /// The calldata.
    pub fn encode(&self) -> Bytes {
        let roots = self.roots.len() as u64;
        let records_offset = roots.saturating_mul(32).saturating_add(ROOTS_OFFSET + 32);
        let head = abi::encode([
            &self.id,
            &self.previous_commitment,
            &self.inbox_end,
            &self.accumulator,
            &ROOTS_OFFSET,
            &records_offset,
            &roots,
        ]);
        let padded = self.records.len().next_multiple_of(32);
        let mut bytes = Vec::with_capacity(4 + 32 * (8 + self.roots.len()) + padded);
        bytes.extend_from_slice(&Self::selector());
        bytes.extend_from_slice(head.as_flattened());
        bytes.extend(self.roots.iter().flatten());
        bytes.extend_from_slice(&U256::from(self.records.len()).to_be_bytes::<32>());
        bytes.extend_from_slice(&self.records);
        bytes.resize(bytes.len() - self.records.len() + padded, 0);
        bytes.into()
    }

    /// Reads calldata; whatever `decode` takes, `encode` gives back byte for byte.
    pub fn decode(calldata: &[u8]) -> Result<Self, SubmissionError> {
        let wrong = |what| SubmissionError { length: calldata.len(), what };
        let Some(arguments) = calldata.strip_prefix(&Self::selector()) else {
            return Err(wrong("another selector"));
        };
        let (words, rest) = arguments.as_chunks::<32>();
        let [id, previous_commitment, inbox_end, accumulator, _, _, count, tail @ ..] = words else {
            return Err(wrong("shorter than its head"));
        };
        if !rest.is_empty() {
            return Err(wrong("no whole number of words"));
        }
        let count = number(count).and_then(|count| usize::try_from(count).ok());
        let Some((roots, tail)) = count.and_then(|count| tail.split_at_checked(count)) else {
            return Err(wrong("fewer roots than it announces"));
        };
        let Some((length, data)) = tail.split_first() else {
            return Err(wrong("no records"));
        };
        let length = number(length).and_then(|length| usize::try_from(length).ok());
        let Some(records) = length.and_then(|length| data.as_flattened().get(..length)) else {
            return Err(wrong("fewer record bytes than it announces"));
        };
        let submission = Self {
            id: number(id).ok_or_else(|| wrong("an id above 2^64"))?,
            previous_commitment: B256::from(*previous_commitment),
            inbox_end: number(inbox_end).ok_or_else(|| wrong("an inbox end above 2^64"))?,
            accumulator: B256::from(*accumulator),
            roots: roots.iter().map(B256::from).collect(),
            records: Bytes::copy_from_slice(records),
        };
        // Offsets, padding and length are whatever the canonical encoding says.
        match *submission.encode() == *calldata {
            true => Ok(submission),
            false => Err(wrong("offsets, padding or length")),
        }
    }

    /// The batch that layer 1 made of it: sender and inbox cursor are known to the gateway, not said by the submitter.
    pub fn into_batch(self, proposer: Address, inbox_start: u64) -> Batch {
        Batch {
            id: self.id,
            previous_commitment: self.previous_commitment,
            proposer,
            inbox_start,
            inbox_end: self.inbox_end,
            roots: self.roots,
            records: self.records,
        }
    }
}

fn number(word: &[u8; 32]) -> Option<u64> {
    u64::try_from(U256::from_be_bytes(*word)).ok()
}
