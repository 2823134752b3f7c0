use super::*;

fn inclusion(number: u64, hash: u8) -> Inclusion {
    Inclusion {
        block_number: number,
        block_hash: B256::repeat_byte(hash),
        gas_used: 21_000,
        effective_gas_price: 1,
        success: true,
    }
}

fn recent(numbers: std::ops::RangeInclusive<u64>) -> Vec<BlockRef> {
    numbers.map(|number| BlockRef { number, hash: B256::repeat_byte(number as u8) }).collect()
}

const BURIAL: u64 = 6;

#[track_caller]
fn check(observation: Observation, head: u64, confirmations: u64, expect: Decision) {
    let recent = recent(1..=head);
    let view = View { recent: &recent, confirmations, burial: BURIAL, agreed: true };
    assert_eq!(decide(&TransactionStatus::Broadcast, observation, Siblings::default(), &view), expect);
}

#[test]
fn included_then_confirmed() {
    let mined = Observation::Mined(inclusion(10, 10));
    check(mined, 10, 3, Decision::Status(TransactionStatus::Included(inclusion(10, 10))));
    check(mined, 11, 3, Decision::Status(TransactionStatus::Included(inclusion(10, 10))));
    check(mined, 12, 3, Decision::Status(TransactionStatus::Confirmed(inclusion(10, 10))));
    check(mined, 10, 1, Decision::Status(TransactionStatus::Confirmed(inclusion(10, 10))));
}

#[test]
fn a_receipt_ahead_of_the_tracker_is_never_confirmed() {
    let mined = Observation::Mined(inclusion(10, 10));
    check(mined, 9, 0, Decision::Status(TransactionStatus::Included(inclusion(10, 10))));
}

#[test]
fn a_receipt_from_another_chain_than_the_trackers_waits() {
    check(Observation::Mined(inclusion(10, 99)), 12, 1, Decision::Wait);
}

#[test]
fn unknown_is_broadcast_again_until_its_nonce_is_settled() {
    check(Observation::Pending, 9, 1, Decision::Status(TransactionStatus::Broadcast));
    check(Observation::Unknown { nonce: NonceUse::No }, 9, 1, Decision::Broadcast);
    let used = |nonce, expect| check(Observation::Unknown { nonce }, 9, 1, expect);
    used(NonceUse::Recent, Decision::Status(TransactionStatus::Superseded));
    used(NonceUse::Confirmed, Decision::Status(TransactionStatus::Replaced));
    used(NonceUse::Buried, Decision::Bury(TransactionStatus::Replaced));
}

#[test]
fn a_confirmed_one_stays_until_it_is_buried_and_goes_back_before() {
    let confirmed = TransactionStatus::Confirmed(inclusion(10, 10));
    let seen = |head, status: &TransactionStatus| {
        let recent = recent(1..=head);
        decide_by_view(status, &View { recent: &recent, confirmations: 2, burial: BURIAL, agreed: true })
    };
    assert_eq!(seen(14, &confirmed), Some(Decision::Status(confirmed.clone())));
    assert_eq!(seen(15, &confirmed), Some(Decision::Bury(confirmed.clone())));
    assert_eq!(
        seen(10, &confirmed),
        Some(Decision::Status(TransactionStatus::Included(inclusion(10, 10)))),
        "a shorter chain"
    );
    assert_eq!(seen(12, &TransactionStatus::Confirmed(inclusion(10, 99))), None, "its block is gone: ask");
    assert_eq!(seen(12, &TransactionStatus::Broadcast), None);
}

#[test]
fn nothing_is_confirmed_and_nothing_taken_back_while_endpoints_disagree() {
    let recent = recent(1..=20);
    let view = View { recent: &recent, confirmations: 2, burial: BURIAL, agreed: false };
    let none = Siblings::default();
    let included = TransactionStatus::Included(inclusion(10, 10));
    let confirmed = TransactionStatus::Confirmed(inclusion(10, 10));
    assert_eq!(decide_by_view(&included, &view), Some(Decision::Status(included.clone())), "however deep it is");
    assert_eq!(decide_by_view(&confirmed, &view), Some(Decision::Wait));
    for nonce in [NonceUse::Recent, NonceUse::Confirmed, NonceUse::Buried] {
        let unknown = Observation::Unknown { nonce };
        assert_eq!(decide(&confirmed, unknown, none, &view), Decision::Wait);
        let superseded = Decision::Status(TransactionStatus::Superseded);
        assert_eq!(decide(&TransactionStatus::Broadcast, unknown, none, &view), superseded);
    }
}

#[test]
fn who_is_outbid_is_not_broadcast_again() {
    let recent = recent(1..=20);
    let view = View { recent: &recent, confirmations: 2, burial: BURIAL, agreed: true };
    for observation in [Observation::Pending, Observation::Unknown { nonce: NonceUse::No }] {
        let decision = decide(&TransactionStatus::Superseded, observation, Siblings { outbid: true }, &view);
        assert_eq!(decision, Decision::Status(TransactionStatus::Superseded));
    }
}

#[test]
fn endpoints_words_are_understood() {
    for known in ["already known", "AlreadyKnown", "transaction already imported", "Known transaction"] {
        assert_eq!(classify(known), Refusal::AlreadyKnown, "{known}");
    }
    for used in ["nonce too low", "nonce too low: next nonce 5, tx nonce 4", "OldNonce"] {
        assert_eq!(classify(used), Refusal::NonceUsed, "{used}");
    }
    for refused in ["insufficient funds for gas * price + value", "intrinsic gas too low", "what?"] {
        assert_eq!(classify(refused), Refusal::Rejected, "{refused}");
    }
}
