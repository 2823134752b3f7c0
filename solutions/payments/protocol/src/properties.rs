//! The invariants, over random histories.

use alloy::primitives::{Address, B256};
use proptest::prelude::*;

use crate::{
    Batch, BuiltBatch, Contest, Inbox, Item, Record, Replay, Signature, State, Submission,
    message::GWEI,
    testing::{deposit, domain, forced_exit, person, posted, record},
    transition::{apply_item, apply_record},
};

const PEOPLE: u8 = 6;
const PROPOSER: u8 = 100;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Act {
    Deposit(u8, u64),
    Exit(u8),
    Post(u8, u64),
    Pay {
        from: u8,
        to: u8,
        value: u64,
        fee_gwei: u32,
    },
    Withdraw {
        from: u8,
        value: u64,
        fee_gwei: u32,
    },
    /// An earlier record once more.
    Repeat(usize),
    /// A record with one byte changed.
    Damaged {
        from: u8,
        byte: usize,
        to: u8,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let who = 0..PEOPLE;
    let value = prop_oneof![0u64..3, 0..5 * GWEI as u64];
    prop_oneof![
        3 => (who.clone(), 1..9 * GWEI as u64).prop_map(|(who, value)| Act::Deposit(who, value)),
        1 => who.clone().prop_map(Act::Exit),
        1 => (who.clone(), value.clone()).prop_map(|(who, value)| Act::Post(who, value)),
        6 => (who.clone(), who.clone(), value.clone(), 0..2u32)
            .prop_map(|(from, to, value, fee_gwei)| Act::Pay { from, to, value, fee_gwei }),
        2 => (who.clone(), value, 0..2u32)
            .prop_map(|(from, value, fee_gwei)| Act::Withdraw { from, value, fee_gwei }),
        1 => any::<usize>().prop_map(Act::Repeat),
        1 => (who, 0..Record::LENGTH, any::<u8>())
            .prop_map(|(from, byte, to)| Act::Damaged { from, byte, to }),
    ]
}

/// The batches that a history of acts makes, a few acts each.
fn history(acts: &[Vec<Act>]) -> (Inbox, Vec<(State, Vec<Item>, BuiltBatch)>) {
    let proposer = person(PROPOSER).address;
    let (mut inbox, mut batches, mut earlier) = (Inbox::new(), Vec::new(), Vec::<Record>::new());
    let (mut state, mut commitment) = (State::new(), B256::ZERO);
    for acts in acts {
        let (before, start) = (state.clone(), inbox.len());
        let mut soft = before.clone();
        for act in acts {
            let index = inbox.len();
            let item = match act {
                Act::Deposit(who, value) => deposit(index, person(*who).address, (*value).into()),
                Act::Exit(who) => forced_exit(index, person(*who).address),
                Act::Post(who, value) => posted(index, &soft, person(*who).address, (*value).into(), 0),
                _ => continue,
            };
            apply_item(&domain(), &mut soft, &item);
            inbox.push(item).unwrap();
        }
        let mut records = Vec::new();
        for act in acts {
            let new = match act {
                Act::Pay { from, to, value, fee_gwei } => {
                    let fee = u128::from(*fee_gwei) * GWEI;
                    record(&person(*from).pay(&soft, person(*to).address, (*value).into(), fee))
                }
                Act::Withdraw { from, value, fee_gwei } => {
                    let fee = u128::from(*fee_gwei) * GWEI;
                    record(&person(*from).withdraw(&soft, (*value).into(), fee))
                }
                Act::Repeat(which) => match earlier.get(which % earlier.len().max(1)) {
                    Some(record) => *record,
                    None => continue,
                },
                Act::Damaged { from, byte, to } => {
                    let good = person(*from).pay(&soft, person(0).address, 1, 0);
                    let mut bytes = record(&good).encode();
                    bytes[*byte] = *to;
                    Record::decode(&bytes)
                }
                _ => continue,
            };
            apply_record(&domain(), &mut soft, &new);
            earlier.push(new);
            records.push(new);
        }
        let id = batches.len() as u64 + 1;
        let items = inbox.range(start, inbox.len()).unwrap().to_vec();
        let Ok(built) = Batch::build(&domain(), &before, id, commitment, proposer, start, &items, &records) else {
            continue; // Empty: an act without anything to repeat.
        };
        commitment = built.batch.commitment();
        state = built.state.clone();
        batches.push((before, items, built));
    }
    (inbox, batches)
}

fn acts() -> impl Strategy<Value = Vec<Vec<Act>>> {
    prop::collection::vec(prop::collection::vec(act(), 1..30), 1..4)
}

fn everyone() -> impl Iterator<Item = Address> {
    (0..PEOPLE).chain([PROPOSER]).map(|number| person(number).address)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Invariants 1 and 4: value is conserved; nonce and withdrawn never fall; no balance is made.
    #[test]
    fn value_is_conserved_and_counters_rise(acts in acts()) {
        let (inbox, batches) = history(&acts);
        for (before, _, built) in &batches {
            let consumed = inbox.range(0, built.batch.inbox_end).unwrap();
            let deposited: u128 = consumed
                .iter()
                .filter(|item| item.kind == crate::ItemKind::Deposit)
                .map(|item| item.value)
                .sum();
            prop_assert_eq!(built.state.total(), deposited);
            for account in everyone() {
                let (old, new) = (before.leaf(account), built.state.leaf(account));
                prop_assert!(new.nonce >= old.nonce && new.withdrawn >= old.withdrawn);
                // What the gateway relies on: it never has to take a leaf out of the tree.
                prop_assert!(old.is_empty() || !new.is_empty());
                // Invariant 7: a balance falls only with an own message, and that moves the head.
                prop_assert!(new.balance >= old.balance || new.head != old.head);
            }
        }
    }

    /// Invariant 8: replay from calldata and inbox alone gives the same roots; a light client finds every leaf.
    #[test]
    fn replay_from_layer_1_is_the_state(acts in acts()) {
        let (inbox, batches) = history(&acts);
        let (mut state, mut cursor) = (State::new(), 0);
        for (_, _, built) in &batches {
            let accumulator = inbox.accumulator(built.batch.inbox_end).unwrap();
            let calldata = built.batch.submission(accumulator).encode();
            let read = Submission::decode(&calldata).unwrap();
            let batch = read.into_batch(person(PROPOSER).address, cursor);
            prop_assert_eq!(batch.commitment(), built.batch.commitment());
            let items = inbox.range(cursor, batch.inbox_end).unwrap();
            cursor = batch.inbox_end;
            let Replay::Equal { state: after, .. } = batch.replay(&domain(), &state, items).unwrap() else {
                return Err(TestCaseError::fail("an honest batch replays unequal"));
            };
            state = after;
            prop_assert_eq!(state.root(), batch.last_root());
            for account in everyone() {
                let leaf = state.witness(account).verify(batch.last_root(), account);
                prop_assert_eq!(leaf, Ok(built.state.leaf(account)));
            }
        }
    }

    /// Witnesses alone give what the full state gives, of every chunk of every batch.
    #[test]
    fn stateless_is_stateful(acts in acts()) {
        for (before, items, built) in history(&acts).1 {
            for (index, report) in built.reports.iter().enumerate() {
                let contest = Contest::of_chunk(&domain(), &built.batch, &before, &items, index);
                let checked = contest.unwrap().check(&domain());
                prop_assert_eq!(checked.as_ref(), Ok(report));
            }
        }
    }

    /// Invariants 5 and 6: a batch is contestable iff a root differs from the data it claims to follow from.
    #[test]
    fn a_mutated_batch_is_caught(acts in acts(), at in any::<usize>(), with in any::<u8>()) {
        for (before, items, built) in history(&acts).1 {
            let mut batch = built.batch;
            if batch.records.is_empty() {
                continue;
            }
            let mut bytes = batch.records.to_vec();
            let at = at % bytes.len();
            bytes[at] = with;
            batch.records = bytes.into();
            let records = Record::decode_all(&batch.records).unwrap();
            let truth = Batch::build(
                &domain(), &before, batch.id, batch.previous_commitment, batch.proposer,
                batch.inbox_start, &items, &records,
            ).unwrap();
            let first = truth.batch.roots.iter().zip(&batch.roots).position(|(a, b)| a != b);
            match batch.replay(&domain(), &before, &items).unwrap() {
                Replay::Equal { .. } => prop_assert_eq!(first, None),
                Replay::Different { chunk, computed, contest, .. } => {
                    prop_assert_eq!(first, Some(chunk));
                    prop_assert_eq!(contest.check(&domain()).unwrap().root, computed);
                }
            }
        }
    }

    /// No function panics on any bytes.
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = Submission::decode(&bytes);
        let mut call = Submission::selector().to_vec();
        call.extend(&bytes);
        let _ = Submission::decode(&call);
        let _ = crate::PostedWithdraw::decode(&bytes);
        let _ = Signature::from_bytes(&bytes);
        let mut state = State::new();
        for record in bytes.as_chunks::<{ Record::LENGTH }>().0 {
            apply_record(&domain(), &mut state, &Record::decode(record));
        }
        prop_assert!(state.is_empty());
    }
}
