//! A light wallet against a node that says what it likes.

use super::*;
use crate::testing::{ETHER, deposit, domain, forced_exit, funded, person, record};
use crate::transition::{apply_item, apply_record};
use crate::{Batch, State};

fn check(own: &Own, state: &State, number: u8) -> Result<Leaf, LightError> {
    let account = person(number).address;
    own.check(state.root(), account, &state.witness(account))
}

#[test]
fn a_leaf_is_believed_as_long_as_all_in_it_is_ones_own_doing() {
    let (one, two) = (person(1), person(2).address);
    let mut state = funded(&[(1, ETHER)]);
    let mut own = Own::default();
    // Paid to, never sent: nothing to compare with, and nothing that could be wrong but the proof.
    assert_eq!(check(&own, &state, 1).unwrap().balance, ETHER);
    let first = one.pay(&state, two, 1, 0);
    own.signed(&first.message);
    // Not yet there, and there.
    assert!(check(&own, &state, 1).is_ok());
    let before = state.clone();
    apply_record(&domain(), &mut state, &record(&first));
    assert_eq!(check(&own, &state, 1).unwrap().nonce, 1);
    own.settle(&state.leaf(one.address));
    // Somebody else with the key, or a false root.
    let foreign = one.withdraw(&state, 5, 0);
    apply_record(&domain(), &mut state, &record(&foreign));
    let head = foreign.message.id();
    assert_eq!(check(&own, &state, 1), Err(LightError::NotOwn { nonce: 2, head }));
    own.signed(&foreign.message);
    assert!(check(&own, &state, 1).is_ok());
    // The proof of another state.
    let account = one.address;
    let old = own.check(state.root(), account, &before.witness(account));
    assert!(matches!(old, Err(LightError::Witness(_))));
    // What is withdrawn for good does not come back.
    own.settle(&state.leaf(account));
    let mut false_state = state.clone();
    false_state.set(account, Leaf { withdrawn: 4, ..state.leaf(account) });
    assert_eq!(check(&own, &false_state, 1), Err(LightError::Withdrawn { found: 4, known: 5 }));
    // And messages before the final one are not its last again.
    false_state.set(account, Leaf { withdrawn: 5, ..before.leaf(account) });
    assert!(matches!(check(&own, &false_state, 1), Err(LightError::NotOwn { nonce: 0, .. })));
    apply_record(&domain(), &mut false_state, &record(&first));
    assert!(matches!(check(&own, &false_state, 1), Err(LightError::NotOwn { nonce: 1, .. })));
}

#[test]
fn ones_own_exit_is_ones_own_doing() {
    let mut state = funded(&[(1, ETHER)]);
    let exit = forced_exit(0, person(1).address);
    apply_item(&domain(), &mut state, &exit);
    let mut own = Own::default();
    assert!(matches!(check(&own, &state, 1), Err(LightError::NotOwn { .. })));
    own.exited(exit.exit_head(&domain()));
    assert_eq!(check(&own, &state, 1).unwrap().withdrawn, ETHER);
}

#[test]
fn who_paid_is_proven_by_the_effect() {
    let (one, two) = (person(1), person(2).address);
    let items = [deposit(0, one.address, ETHER)];
    let mut soft = State::new();
    apply_item(&domain(), &mut soft, &items[0]);
    let (good, poor) = (one.pay(&soft, two, 7, 0), person(3).pay(&soft, two, 9, 0));
    let records = [record(&good), record(&poor), record(&good)];
    let operator = person(100).address;
    let built = Batch::build(&domain(), &State::new(), 1, B256::ZERO, operator, 0, &items, &records).unwrap();
    let commitment = built.batch.commitment();
    let proof = Contest::of_chunk(&domain(), &built.batch, &State::new(), &items, 1).unwrap();
    let paid = payments_to(&domain(), commitment, &proof, two).unwrap();
    assert_eq!(paid, [good.message]);
    assert_eq!(payments_to(&domain(), commitment, &proof, one.address), Ok(Vec::new()));
    let of_items = Contest::of_chunk(&domain(), &built.batch, &State::new(), &items, 0).unwrap();
    assert_eq!(payments_to(&domain(), commitment, &of_items, two), Ok(Vec::new()));
    // Of another batch; tampered with; false.
    let other = payments_to(&domain(), B256::repeat_byte(1), &proof, two);
    assert!(matches!(other, Err(LightError::Batch { .. })));
    let mut tampered = proof.clone();
    tampered.witnesses[0].balance += 1;
    assert!(matches!(payments_to(&domain(), commitment, &tampered, two), Err(LightError::Proof(_))));
    let mut batch = built.batch;
    batch.roots[1] = B256::repeat_byte(2);
    let proof = Contest::of_chunk(&domain(), &batch, &State::new(), &items, 1).unwrap();
    let fraud = payments_to(&domain(), batch.commitment(), &proof, two);
    assert!(matches!(fraud, Err(LightError::Fraud { .. })));
}
