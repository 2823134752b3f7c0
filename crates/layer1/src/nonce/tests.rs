use super::*;

fn now() -> Instant {
    Instant::now()
}

const A: Address = Address::repeat_byte(0xaa);
const B: Address = Address::repeat_byte(0xbb);

#[test]
fn two_reservations_differ_and_accounts_are_apart() {
    let mut ledger = NonceLedger::default();
    assert_eq!(ledger.reserve(A, 5, 0, now()), Some(5));
    assert_eq!(ledger.reserve(A, 5, 0, now()), Some(6));
    assert_eq!(ledger.reserve(B, 0, 0, now()), Some(0));
}

#[test]
fn a_stored_transaction_the_chain_does_not_know_keeps_its_nonce() {
    let mut ledger = NonceLedger::default();
    ledger.take(A, 5);
    assert_eq!(ledger.reserve(A, 5, 0, now()), Some(6));
}

#[test]
fn a_released_nonce_is_given_out_again_before_any_higher_one() {
    let mut ledger = NonceLedger::default();
    assert_eq!(ledger.reserve(A, 5, 0, now()), Some(5));
    assert_eq!(ledger.reserve(A, 5, 0, now()), Some(6));
    ledger.release(A, 5);
    assert_eq!(ledger.reserve(A, 5, 0, now()), Some(5), "a gap would block nonce 6 for ever");
    assert_eq!(ledger.reserve(A, 5, 0, now()), Some(7));
}

#[test]
fn pending_transactions_of_another_wallet_are_passed_over() {
    let mut ledger = NonceLedger::default();
    ledger.take(A, 6);
    assert_eq!(ledger.reserve(A, 6, 0, now()), Some(7));
    assert_eq!(ledger.reserve(A, 9, 0, now()), Some(9));
}

#[test]
fn an_answer_from_before_a_settlement_is_not_used() {
    let mut ledger = NonceLedger::default();
    assert_eq!(ledger.reserve(A, 5, 0, now()), Some(5));
    let before = ledger.settlements();
    ledger.settle(A, 5);
    assert_eq!(ledger.reserve(A, 5, before, now()), None, "nonce 5 is mined; this count is stale");
    assert_eq!(ledger.reserve(A, 6, ledger.settlements(), now()), Some(6));
}

#[test]
fn the_chain_can_go_back_and_the_nonce_with_it() {
    let mut ledger = NonceLedger::default();
    assert_eq!(ledger.reserve(A, 5, 0, now()), Some(5));
    ledger.settle(A, 5);
    assert_eq!(ledger.reserve(A, 5, ledger.settlements(), now()), Some(5));
}

#[test]
fn an_absurd_count_ends_in_none_and_not_in_a_panic() {
    let mut ledger = NonceLedger::default();
    assert_eq!(ledger.reserve(A, u64::MAX, 0, now()), Some(u64::MAX));
    assert_eq!(ledger.reserve(A, u64::MAX, 0, now()), None);
}

#[test]
fn a_promise_that_nobody_kept_runs_out_and_a_stored_transaction_does_not() {
    let mut ledger = NonceLedger::default();
    let start = now();
    assert_eq!(ledger.reserve(A, 5, 0, start), Some(5));
    assert_eq!(ledger.reserve(A, 5, 0, start + PROMISE), Some(6));
    ledger.take(A, 6);
    assert_eq!(ledger.reserve(A, 5, 0, start + PROMISE + Duration::from_secs(1)), Some(5));
    assert_eq!(ledger.reserve(A, 5, 0, start + PROMISE + Duration::from_secs(1)), Some(7));
}

#[test]
fn who_gives_back_what_was_never_promised_frees_nothing() {
    let mut ledger = NonceLedger::default();
    ledger.take(A, 5);
    ledger.release(A, 5);
    assert_eq!(ledger.reserve(A, 5, 0, now()), Some(6));
    ledger.give_up(A, 5);
    assert_eq!(ledger.reserve(A, 5, 0, now()), Some(5));
}
