//! Witnesses suffice, exactly, and nothing else passes.

use alloy::primitives::B256;

use super::*;
use crate::{
    Outcome, Reason, Replay,
    message::GWEI,
    state::Slot,
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

/// A slot that another account holds: nothing takes effect, not even half of a payment. Only a false state has one, so it is
/// made here from a witness.
#[test]
fn nothing_takes_effect_on_anothers_slot() {
    let state = funded(&[(1, ETHER)]);
    let (payer, wanted, holder) = (person(1), person(2).address, person(3).address);
    // A tree of two leaves in which `holder` lies in the slot of `wanted`.
    let held = Leaf { balance: 9, ..Default::default() };
    let absent = state.witness(wanted);
    let root = absent.root_with(wanted, held.hash(holder)).unwrap();
    let mut with_wanted = state.clone();
    with_wanted.set(wanted, held);
    let sibling_at = 160 - 1 - Slot::of(payer.address).divergence(&Slot::of(wanted)).unwrap();
    let mut sender = with_wanted.witness(payer.address);
    // The sender's only sibling is the subtree with the foreign leaf in it.
    let mut foreign = held.hash(holder);
    for level in 0..sibling_at {
        let zero = B256::ZERO;
        foreign = match Slot::of(wanted).bit(159 - level) {
            0 => crate::abi::hash_pair(&foreign, &zero),
            _ => crate::abi::hash_pair(&zero, &foreign),
        };
    }
    sender.siblings = vec![foreign];
    let signed = payer.pay(&state, wanted, 1, GWEI);
    let chunk = Chunk::Messages(vec![record(&signed)]);
    let debited = crate::transition::debit(&domain(), &record(&signed), &sender.leaf()).unwrap().2;
    let mut recipient = with_wanted.witness(wanted);
    recipient.account = holder;
    let mut after = state.clone();
    after.set(payer.address, debited);
    recipient.siblings = after.witness(wanted).siblings;
    let report = execute(&domain(), root, person(100).address, &chunk, &[sender, recipient]).unwrap();
    assert_eq!(report.outcomes, [Outcome::NoEffect(Reason::Taken { wanted, holder })]);
    assert_eq!((report.root, report.fees), (root, 0));
}
