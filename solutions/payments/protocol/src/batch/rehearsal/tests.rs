//! A confirmed rehearsal is the replay; one that is not confirmed says nothing.

use super::*;
use crate::testing::{ETHER, deposit, domain, funded, person, record};

/// How the record in the middle is spoilt.
#[derive(Clone, Copy, Debug)]
enum Spoilt {
    Nothing,
    /// Out of range: no recovery is needed to see that.
    Range,
    /// In range, somebody else's.
    Signer,
    /// Signed for another value.
    Value,
    Kind,
    Root,
}

/// Payments back and forth that each depend on the one before, deposits before them, one of them spoilt.
fn case(spoilt: Spoilt) -> (State, Vec<Item>, Batch) {
    let before = funded(&[(1, ETHER), (2, 10)]);
    let items: Vec<_> = (0..3).map(|n| deposit(n, person(2).address, 5)).collect();
    let mut state = before.clone();
    for item in &items {
        apply_item(&domain(), &mut state, item);
    }
    let mut records = Vec::new();
    for n in 0..20u8 {
        let (from, to) = (person(1 + n % 2), person(2 - n % 2));
        let mut record = record(&from.pay(&state, to.address, u128::from(n), 0));
        if n == 11 {
            match spoilt {
                Spoilt::Range => record.signature.v = 9,
                Spoilt::Signer => record.signature = person(3).pay(&state, to.address, u128::from(n), 0).signature,
                Spoilt::Value => record.value += 1,
                Spoilt::Kind => record.kind = 7,
                Spoilt::Nothing | Spoilt::Root => (),
            }
        }
        crate::transition::apply_record(&domain(), &mut state, &record);
        records.push(record);
    }
    let (previous, proposer) = (B256::repeat_byte(1), person(9).address);
    let built = Batch::build(&domain(), &before, 3, previous, proposer, 0, &items, &records).unwrap();
    let mut batch = built.batch;
    if matches!(spoilt, Spoilt::Root) {
        batch.roots[2] = B256::repeat_byte(3);
    }
    (before, items, batch)
}

#[test]
fn a_confirmed_rehearsal_is_the_replay_to_the_bit() {
    for spoilt in [Spoilt::Nothing, Spoilt::Range, Spoilt::Kind, Spoilt::Root] {
        let (before, items, batch) = case(spoilt);
        let rehearsal = batch.rehearse(&domain(), &before, &items).unwrap();
        // Any order will do.
        assert!(rehearsal.chunks().iter().rev().all(|chunk| chunk.confirm(|_, _| false)), "{spoilt:?}");
        let replay = batch.replay(&domain(), &before, &items).unwrap();
        let (ahead, serial) = (rehearsal.replay(&batch), replay);
        match (&ahead, &serial) {
            (Replay::Equal { state, reports }, Replay::Equal { state: also, reports: the_same }) => {
                assert_eq!((state, reports), (also, the_same), "{spoilt:?}");
            }
            (
                Replay::Different { chunk, computed, contest, .. },
                Replay::Different { chunk: other, computed: root, contest: proof, .. },
            ) => assert_eq!((chunk, computed, contest), (other, root, proof)),
            _ => panic!("{spoilt:?}: {ahead:?} is not {serial:?}"),
        }
    }
}

#[test]
fn a_draft_gets_the_roots_that_building_gives() {
    let (before, items, batch) = case(Spoilt::Nothing);
    let records = Record::decode_all(&batch.records).unwrap();
    let draft = Batch::draft(3, batch.previous_commitment, batch.proposer, 0, &items, &records);
    let rehearsal = draft.rehearse(&domain(), &before, &items).unwrap();
    assert!(rehearsal.chunks().iter().all(|chunk| chunk.confirm(|_, _| false)));
    assert_eq!(rehearsal.build(draft).batch, batch);
}

#[test]
fn a_foreign_signature_is_never_confirmed() {
    for spoilt in [Spoilt::Signer, Spoilt::Value] {
        let (before, items, batch) = case(spoilt);
        let rehearsal = batch.rehearse(&domain(), &before, &items).unwrap();
        assert!(!rehearsal.chunks().iter().all(|chunk| chunk.confirm(|_, _| false)), "{spoilt:?}");
    }
}

#[test]
fn only_what_the_caller_vouches_for_is_not_recovered() {
    let (before, items, batch) = case(Spoilt::Nothing);
    let rehearsal = batch.rehearse(&domain(), &before, &items).unwrap();
    let asked = std::cell::Cell::new(0);
    let vouch = |id: B256, signature: &Signature| {
        asked.set(asked.get() + 1);
        let signer = signature.recover(domain().digest(id)).unwrap();
        signer == person(1).address || signer == person(2).address
    };
    assert!(rehearsal.chunks().iter().all(|chunk| chunk.confirm(vouch)));
    assert_eq!(asked.get(), 20, "one question a record");
}

#[test]
fn a_true_batch_is_recalled_as_it_was_replayed() {
    for spoilt in [Spoilt::Nothing, Spoilt::Range, Spoilt::Kind] {
        let (before, items, batch) = case(spoilt);
        let Replay::Equal { state, reports } = batch.replay(&domain(), &before, &items).unwrap() else {
            panic!("{spoilt:?}: a true batch")
        };
        let recalled = batch.rehearse(&domain(), &before, &items).unwrap().recall(&batch);
        assert_eq!(recalled, (state, reports), "{spoilt:?}");
    }
}

#[test]
fn chunks_that_are_confirmed_while_later_ones_are_executed_lead_to_the_same() {
    let (before, items, batch) = case(Spoilt::Nothing);
    let mut seen = Vec::new();
    let ahead = batch.rehearse_ahead(&domain(), &before, &items, |chunk| {
        assert!(chunk.confirm(|_, _| false));
        seen.push(chunk.0.after.root());
    });
    assert_eq!(seen, batch.roots, "in order, and none left out");
    let Replay::Equal { state, reports } = ahead.unwrap().replay(&batch) else { panic!("a true batch") };
    let Replay::Equal { state: also, reports: the_same } = batch.replay(&domain(), &before, &items).unwrap() else {
        panic!("a true batch")
    };
    assert_eq!((state, reports), (also, the_same));
}
