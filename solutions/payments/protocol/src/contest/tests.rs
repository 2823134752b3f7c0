//! Witnesses suffice, exactly, and nothing else passes.

use alloy::primitives::B256;

use super::*;
use crate::{
    Outcome, Reason, Replay,
    message::GWEI,
    state::{Slot, WitnessError},
    testing::{ETHER, deposit, domain, forced_exit, funded, person, posted, record},
    transition::apply_record,
};

/// Two inbox chunks and two message chunks with every kind of outcome.
fn mixed() -> (State, Vec<Item>, Batch) {
    let before = funded(&[(1, ETHER), (2, ETHER), (3, 5)]);
    let mut items: Vec<_> = (0..7).map(|i| deposit(i, person(30 + i as u8).address, 9)).collect();
    items.push(posted(7, &before, person(2).address, ETHER / 2, GWEI));
    items.push(forced_exit(8, person(3).address));
    items.push(posted(9, &before, person(2).address, 1, 0)); // stale by then
    let mut state = before.clone();
    for item in &items {
        crate::transition::apply_item(&domain(), &mut state, item);
    }
    let mut records = Vec::new();
    let mut add = |state: &mut State, signed: &crate::SignedMessage| {
        let record = record(signed);
        apply_record(&domain(), state, &record);
        records.push(record);
    };
    let one = person(1);
    for _ in 0..5 {
        let signed = one.pay(&state, person(40).address, 100, GWEI);
        add(&mut state, &signed);
    }
    for signed in [
        one.pay(&state, one.address, 7, 0),
        one.pay(&state, one.address, 7, 0),
        one.withdraw(&state, 50, 0),
        person(3).pay(&state, one.address, 1, 0),  // empty-handed
        person(99).pay(&state, one.address, 0, 0), // never seen, and yet effective: zero value
    ] {
        add(&mut state, &signed);
    }
    let proposer = person(100).address;
    let built = Batch::build(&domain(), &before, 1, B256::ZERO, proposer, 0, &items, &records);
    (before, items, built.unwrap().batch)
}

#[test]
fn every_chunk_is_proven_by_witnesses_alone() {
    let (before, items, batch) = mixed();
    let Replay::Equal { reports, .. } = batch.replay(&domain(), &before, &items).unwrap() else {
        panic!("an honest batch");
    };
    assert_eq!(reports.len(), 4);
    for (index, report) in reports.iter().enumerate() {
        let contest = Contest::of_chunk(&domain(), &batch, &before, &items, index).unwrap();
        assert_eq!(contest.check(&domain()).as_ref(), Ok(report));
        assert!(contest.witnesses.len() <= MAX_WITNESSES);
        let json = serde_json::to_value(&contest).unwrap();
        assert_eq!(serde_json::from_value::<Contest>(json).unwrap(), contest);
    }
    assert_eq!(Contest::of_chunk(&domain(), &batch, &before, &items, 4), None);
}

#[test]
fn reads_are_counted_as_documented() {
    let (before, items, batch) = mixed();
    let witnesses = |index| Contest::of_chunk(&domain(), &batch, &before, &items, index).unwrap().witnesses.len();
    // One an item.
    assert_eq!((witnesses(0), witnesses(1)), (8, 2));
    // Five payments and one to oneself are two each, the same once more and the withdrawal signed for its nonce one each; the proposer.
    assert_eq!(witnesses(2), 12 + 1 + 1 + 1);
    // No balance: one. Zero payment: two. No fee, no proposer.
    assert_eq!(witnesses(3), 1 + 2);
}

#[test]
fn a_contest_that_is_altered_is_refused() {
    let (before, items, batch) = mixed();
    let good = Contest::of_chunk(&domain(), &batch, &before, &items, 2).unwrap();
    let check = |change: &dyn Fn(&mut Contest)| {
        let mut contest = good.clone();
        change(&mut contest);
        assert!(contest.check(&domain()).is_err());
    };
    check(&|c| c.chunk = 1);
    check(&|c| c.chunk = 9);
    check(&|c| c.previous_root = B256::ZERO);
    check(&|c| c.previous_data_hash = B256::repeat_byte(1));
    check(&|c| c.claimed_root = B256::ZERO);
    check(&|c| c.items = vec![deposit(0, person(1).address, 1)]);
    check(&|c| c.records = c.records.slice(Record::LENGTH..));
    check(&|c| c.records = Bytes::new());
    check(&|c| c.records = c.records.slice(1..));
    check(&|c| {
        c.witnesses.pop();
    });
    check(&|c| c.witnesses.push(c.witnesses[0].clone()));
    check(&|c| c.witnesses.swap(0, 1));
    check(&|c| c.witnesses[3].balance += 1);
    check(&|c| c.preimage.leaves[2] = B256::ZERO);
}

/// A slot that another account holds: nothing takes effect, not even half of a payment. Nobody can make two addresses whose
/// hashes share 160 bits, so only a state that cannot be shows it.
#[test]
fn nothing_takes_effect_on_anothers_slot() {
    let (payer, wanted, holder) = (person(1), person(2).address, person(3).address);
    let mut state = funded(&[(1, ETHER)]);
    state.squat(wanted, holder, Leaf { balance: 9, ..Default::default() });
    let before = state.root();
    let taken = Outcome::NoEffect(Reason::Taken { wanted, holder });
    for signed in [payer.pay(&state, wanted, 1, GWEI), person(2).pay(&state, payer.address, 0, 0)] {
        assert_eq!(apply_record(&domain(), &mut state, &record(&signed)), taken);
        assert_eq!(state.root(), before);
    }
    assert_eq!(crate::transition::apply_item(&domain(), &mut state, &deposit(0, wanted, 5)), taken);
    crate::transition::credit_fees(&mut state, wanted, 5);
    assert_eq!(state.root(), before);
}

/// The leaf of somebody whose path leads elsewhere is no proof, even on the root of a tree that has it there: such a root is
/// false, and the chunk that came to it is the one to contest.
#[test]
fn a_leaf_in_anothers_slot_proves_nothing() {
    let (payer, wanted, holder) = (person(1), person(2).address, person(3).address);
    let mut state = funded(&[(1, ETHER)]);
    state.squat(wanted, holder, Leaf { balance: 9, ..Default::default() });
    let chunk = Chunk::Inbox(vec![deposit(0, wanted, 5)]);
    let witness = state.witness(wanted);
    // The payer is the only other, so that the shorter the path, the sooner the holder's could lead there.
    let apart = Slot::of(holder).divergence(&Slot::of(wanted)).unwrap();
    assert_eq!((witness.account, witness.siblings.len() > apart), (holder, true));
    let source = WitnessError::Place(holder);
    let refused = execute(&domain(), state.root(), payer.address, &chunk, &[witness]);
    assert_eq!(refused, Err(BadWitness::Proof { index: 0, source }));
}
