//! One case a rule.

use alloy::primitives::Address;

use super::*;
use crate::{
    Signature,
    message::GWEI,
    testing::{ETHER, deposit, domain, forced_exit, funded, person, posted, record},
};

/// Applies a record and says what changed.
fn apply(state: &mut State, record: &Record) -> Outcome {
    apply_record(&domain(), state, record)
}

#[track_caller]
fn has_no_effect(state: &State, record: &Record, expected: Reason) {
    let mut after = state.clone();
    assert_eq!(apply(&mut after, record), Outcome::NoEffect(expected));
    assert_eq!(after.root(), state.root());
}

#[test]
fn a_payment_moves_value_and_the_senders_chain() {
    let mut state = funded(&[(1, ETHER)]);
    let (payer, payee) = (person(1), person(2));
    let signed = payer.pay(&state, payee.address, ETHER / 4, GWEI);
    let outcome = apply(&mut state, &record(&signed));
    let id = signed.message.id();
    assert_eq!(outcome.fee(), GWEI);
    assert_eq!(outcome, Outcome::Effective(Effect::Message { id, message: signed.message }));
    let expected = Leaf { balance: ETHER - ETHER / 4 - GWEI, withdrawn: 0, nonce: 1, head: id };
    assert_eq!(state.leaf(payer.address), expected);
    assert_eq!(state.leaf(payee.address), Leaf { balance: ETHER / 4, ..Default::default() });
}

#[test]
fn a_payment_to_oneself_costs_the_fee() {
    let mut state = funded(&[(1, ETHER)]);
    let payer = person(1);
    let signed = payer.pay(&state, payer.address, ETHER / 2, GWEI);
    apply(&mut state, &record(&signed));
    let leaf = state.leaf(payer.address);
    assert_eq!((leaf.balance, leaf.nonce, leaf.head), (ETHER - GWEI, 1, signed.message.id()));
}

#[test]
fn a_withdrawal_raises_the_counter() {
    let mut state = funded(&[(1, ETHER)]);
    let signed = person(1).withdraw(&state, ETHER / 4, 0);
    apply(&mut state, &record(&signed));
    let leaf = state.leaf(person(1).address);
    assert_eq!((leaf.balance, leaf.withdrawn, leaf.nonce), (ETHER - ETHER / 4, ETHER / 4, 1));
}

/// Threats: replay within (nonce and prev), sender equivocation.
#[test]
fn a_message_takes_effect_once() {
    let mut state = funded(&[(1, ETHER)]);
    let first = record(&person(1).pay(&state, person(2).address, 1, 0));
    let rival = record(&person(1).pay(&state, person(3).address, 1, 0));
    apply(&mut state, &first);
    for late in [first, rival] {
        let root = state.root();
        assert!(matches!(apply(&mut state, &late), Outcome::NoEffect(Reason::Signer(_))));
        assert_eq!(state.root(), root);
    }
}

#[test]
fn each_rule_has_its_reason() {
    let state = funded(&[(1, ETHER)]);
    let good = record(&person(1).pay(&state, person(2).address, ETHER, 0));
    has_no_effect(&state, &Record { kind: 0, ..good }, Reason::UnknownKind(0));
    has_no_effect(&state, &Record { kind: 3, ..good }, Reason::UnknownKind(3));
    has_no_effect(&state, &Record { from: Address::ZERO, ..good }, Reason::ZeroSender);
    has_no_effect(&state, &Record { to: Address::ZERO, ..good }, Reason::ZeroRecipient);
    has_no_effect(&state, &Record { kind: 2, ..good }, Reason::WithdrawTo);
    let needed = ETHER + GWEI;
    let short = Reason::Balance { balance: ETHER, needed };
    has_no_effect(&state, &Record { fee_gwei: 1, ..good }, short);
    let v = Signature { v: 0, ..good.signature };
    has_no_effect(&state, &Record { signature: v, ..good }, Reason::Signature(SignatureError::V(0)));
    let mut after = state.clone();
    let altered = Record { value: 1, ..good };
    assert!(matches!(apply(&mut after, &altered), Outcome::NoEffect(Reason::Signer(_))));
}

#[test]
fn the_largest_record_does_not_overflow() {
    let state = funded(&[(1, u128::MAX)]);
    let mut after = state.clone();
    let signed = person(1).pay(&state, person(2).address, (1 << 96) - 1, u32::MAX as u128 * GWEI);
    assert!(apply(&mut after, &record(&signed)).effect().is_some());
    assert_eq!(after.leaf(person(2).address).balance, (1 << 96) - 1);
}

#[test]
fn arithmetic_after_the_checks_wraps() {
    let mut state = funded(&[(1, ETHER), (2, u128::MAX)]);
    let signed = person(1).pay(&state, person(2).address, 2, 0);
    apply(&mut state, &record(&signed));
    assert_eq!(state.leaf(person(2).address).balance, 1);
    apply_item(&domain(), &mut state, &deposit(0, person(2).address, u128::MAX));
    assert_eq!(state.leaf(person(2).address).balance, 0);
}

#[test]
fn items() {
    let mut state = State::new();
    let who = person(1).address;
    let item = deposit(0, who, ETHER);
    let outcome = apply_item(&domain(), &mut state, &item);
    assert_eq!(outcome, Outcome::Effective(Effect::Deposit { account: who, value: ETHER }));

    let item = posted(1, &state, who, ETHER / 4, GWEI);
    let outcome = apply_item(&domain(), &mut state, &item);
    let (value, id) = (ETHER / 4, item.message_id);
    assert_eq!(outcome, Outcome::Effective(Effect::PostedWithdraw { account: who, value, id }));
    assert_eq!(outcome.fee(), 0);
    let leaf = Leaf { balance: ETHER - value, withdrawn: value, nonce: 1, head: id };
    assert_eq!(state.leaf(who), leaf);

    // Threat: stale withdrawal. The same item once more: nonce and head have moved.
    let again = apply_item(&domain(), &mut state, &item);
    assert_eq!(again, Outcome::NoEffect(Reason::Stale));

    let poor = posted(2, &state, who, ETHER, 0);
    let expected = Reason::Balance { balance: ETHER - value, needed: ETHER };
    assert_eq!(apply_item(&domain(), &mut state, &poor), Outcome::NoEffect(expected));

    let exit = forced_exit(3, who);
    apply_item(&domain(), &mut state, &exit);
    let head = exit.exit_head(&domain());
    assert_eq!(state.leaf(who), Leaf { balance: 0, withdrawn: ETHER, nonce: 2, head });

    // Also of an account that has nothing: it moves the chain, so what was signed before cannot take effect.
    let nobody = person(9).address;
    apply_item(&domain(), &mut state, &forced_exit(4, nobody));
    assert_eq!((state.leaf(nobody).nonce, state.leaf(nobody).balance), (1, 0));
}

#[test]
fn fees_are_credited_once_and_only_if_any() {
    let mut state = State::new();
    credit_fees(&mut state, person(5).address, 0);
    assert!(state.is_empty());
    credit_fees(&mut state, person(5).address, 7);
    assert_eq!(state.leaf(person(5).address).balance, 7);
}
