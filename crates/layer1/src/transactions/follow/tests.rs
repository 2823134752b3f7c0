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

#[track_caller]
fn check(observation: Observation, head: u64, confirmations: u64, expect: Decision) {
    assert_eq!(decide(observation, &recent(1..=head), confirmations), expect);
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
    check(Observation::Unknown { nonce_settled: false }, 9, 1, Decision::Broadcast);
    check(Observation::Unknown { nonce_settled: true }, 9, 1, Decision::Status(TransactionStatus::Replaced));
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
