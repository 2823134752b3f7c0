//! Commitments and calldata against alloy's ABI encoding; counts; replay finds the first false chunk.

use alloy::{
    primitives::{U256, keccak256},
    sol,
    sol_types::{SolCall, SolValue},
};

use super::*;
use crate::testing::{ETHER, deposit, domain, funded, person, record};

sol! {
    function submitBatch(uint256 id, bytes32 previousCommitment, uint64 inboxEnd, bytes32 accumulator, bytes32[] roots, bytes records);
}

/// A batch of `items` deposits and `records` payments of person 1.
pub(crate) fn batch_of(items: u64, records: usize) -> (State, Vec<Item>, BuiltBatch) {
    let before = funded(&[(1, ETHER)]);
    let items: Vec<_> = (0..items).map(|i| deposit(10 + i, person(20 + i as u8).address, 5)).collect();
    let mut state = before.clone();
    let records: Vec<_> = (0..records)
        .map(|_| {
            let record = record(&person(1).pay(&state, person(2).address, 3, 1_000_000_000));
            apply_record(&domain(), &mut state, &record);
            record
        })
        .collect();
    let built =
        Batch::build(&domain(), &before, 4, B256::repeat_byte(4), person(100).address, 10, &items, &records).unwrap();
    (before, items, built)
}

#[test]
fn chunks_are_counted_as_the_gateway_counts() {
    for (items, records, inbox_chunks, chunks) in
        [(1, 0, 1, 1), (8, 0, 1, 1), (9, 0, 2, 2), (0, 1, 0, 1), (0, 8, 0, 1), (3, 17, 1, 4)]
    {
        let (_, _, built) = batch_of(items, records);
        assert_eq!((built.batch.inbox_chunks(), built.batch.roots.len()), (inbox_chunks, chunks));
        assert_eq!(built.reports.len(), chunks);
    }
}

#[test]
fn commitment_is_an_abi_encoding() {
    let (_, _, BuiltBatch { batch, .. }) = batch_of(9, 9);
    let hash = |index: usize| match index {
        0 | 1 => B256::ZERO,
        2 => keccak256(&batch.records[..8 * Record::LENGTH]),
        _ => keccak256(&batch.records[8 * Record::LENGTH..]),
    };
    let leaves: Vec<B256> =
        batch.roots.iter().enumerate().map(|(index, root)| keccak256((hash(index), *root).abi_encode())).collect();
    assert_eq!(batch.preimage().leaves, leaves);
    let reference = (U256::from(4), batch.previous_commitment, batch.proposer, 10u64, 19u64, leaves);
    assert_eq!(batch.commitment(), keccak256(reference.abi_encode_params()));
}

#[test]
fn calldata_is_canonical() {
    for (items, records) in [(1, 0), (0, 1), (9, 9), (0, 16)] {
        let (_, _, BuiltBatch { batch, .. }) = batch_of(items, records);
        let submission = batch.submission(B256::repeat_byte(9));
        let reference = submitBatchCall {
            id: U256::from(4),
            previousCommitment: batch.previous_commitment,
            inboxEnd: batch.inbox_end,
            accumulator: B256::repeat_byte(9),
            roots: batch.roots.clone(),
            records: batch.records.clone(),
        };
        let calldata = submission.encode();
        assert_eq!(calldata.to_vec(), reference.abi_encode());
        let decoded = Submission::decode(&calldata).unwrap();
        assert_eq!(decoded, submission);
        assert_eq!(decoded.into_batch(batch.proposer, batch.inbox_start), batch);
    }
}

/// Threats: aliased ABI, data outside the transaction's input.
#[test]
fn no_other_encoding_is_read() {
    let (_, _, BuiltBatch { batch, .. }) = batch_of(1, 9);
    let calldata = batch.submission(B256::ZERO).encode().to_vec();
    for length in 0..calldata.len() {
        assert!(Submission::decode(&calldata[..length]).is_err(), "cut at {length}");
    }
    let refused = |at: usize, to: u8| {
        let mut changed = calldata.clone();
        changed[at] = to;
        assert!(Submission::decode(&changed).is_err(), "byte {at}");
    };
    refused(0, calldata[0] ^ 1); // selector
    refused(4, 1); // id above 2^64
    refused(4 + 5 * 32 - 1, 0xe0); // roots' offset
    refused(4 + 6 * 32 - 1, 0); // records' offset
    refused(4 + 6 * 32, 0xff); // number of roots
    refused(calldata.len() - 1, 1); // padding
    let mut long = calldata.clone();
    long.extend([0; 32]);
    assert!(Submission::decode(&long).is_err());
}

#[test]
fn replay_gives_what_was_built() {
    let (before, items, built) = batch_of(9, 9);
    match built.batch.replay(&domain(), &before, &items).unwrap() {
        Replay::Equal { state, reports } => {
            assert_eq!(state, built.state);
            assert_eq!(reports, built.reports);
        }
        Replay::Different { chunk, .. } => panic!("chunk {chunk} differs"),
    }
}

#[test]
fn replay_finds_the_first_false_root() {
    let (before, items, built) = batch_of(9, 17);
    for false_chunk in 0..built.batch.roots.len() {
        let mut batch = built.batch.clone();
        for root in &mut batch.roots[false_chunk..] {
            *root = keccak256(*root);
        }
        match batch.replay(&domain(), &before, &items).unwrap() {
            Replay::Equal { .. } => panic!("chunk {false_chunk} passed"),
            Replay::Different { chunk, claimed, computed, contest } => {
                assert_eq!(chunk, false_chunk);
                assert_eq!((claimed, computed), (batch.roots[chunk], built.batch.roots[chunk]));
                assert_eq!(contest.check(&domain()).unwrap().root, computed);
            }
        }
    }
}

#[test]
fn says_why_a_batch_is_none() {
    let (before, items, built) = batch_of(2, 2);
    let check = |change: &dyn Fn(&mut Batch), items: &[Item], expected| {
        let mut batch = built.batch.clone();
        change(&mut batch);
        assert_eq!(batch.replay(&domain(), &before, items).unwrap_err(), expected);
    };
    check(&|_| (), &items[1..], BatchError::Items { start: 10, end: 12 });
    check(&|_| (), &[items[1], items[0]], BatchError::Items { start: 10, end: 12 });
    check(&|b| b.inbox_end = 9, &[], BatchError::Items { start: 10, end: 9 });
    check(&|b| b.roots.push(B256::ZERO), &items, BatchError::Roots { roots: 3, chunks: 2 });
    check(&|b| b.records = vec![0; 121].into(), &items, BatchError::RecordBytes(121));
    let empty = |b: &mut Batch| (b.records, b.inbox_end, b.roots) = (Bytes::new(), 10, vec![]);
    check(&empty, &[], BatchError::Empty);
    check(&|b| b.records = vec![0; 120 * MAX_CHUNK * Record::LENGTH].into(), &items, BatchError::TooManyChunks(121));
}

/// A full batch of calldata stays below the 130 000 bytes to which the node caps a transaction.
#[test]
fn a_full_batch_fits_one_transaction() {
    let submission = Submission {
        id: u64::MAX,
        previous_commitment: B256::ZERO,
        inbox_end: u64::MAX,
        accumulator: B256::ZERO,
        roots: vec![B256::ZERO; MAX_CHUNKS],
        records: vec![0; MAX_CHUNKS * MAX_CHUNK * Record::LENGTH].into(),
    };
    assert!(submission.encode().len() < 129_000);
}
