use super::*;

fn now() -> Fees {
    Fees { base_fee: 100, max_fee_per_gas: 210, max_priority_fee_per_gas: 10 }
}

#[test]
fn both_fees_rise_by_an_eighth_or_to_the_estimate() {
    let free = U256::MAX;
    assert_eq!(bump((1_000, 80), now(), 1, free).expect("fits"), (1_125, 90));
    assert_eq!(bump((1_001, 81), now(), 1, free).expect("fits"), (1_127, 92), "rounded up");
    assert_eq!(bump((100, 1), now(), 1, free).expect("fits"), (210, 10));
    assert_eq!(bump((100, 1_000), now(), 1, free).expect("fits"), (1_125, 1_125), "the tip is part of the fee");
}

#[test]
fn the_ceiling_is_kept_and_a_bump_above_it_refused() {
    assert_eq!(bump((150, 8), now(), 10, U256::from(1_800)).expect("lowered"), (180, 10));
    let error = bump((150, 8), now(), 10, U256::from(1_680)).expect_err("an eighth more than 150 is 169");
    assert!(matches!(error, Layer1Error::FeeAboveCeiling { needed, .. } if needed == U256::from(1_690)), "{error}");
    let error = bump((10, 1), now(), 10, U256::from(999)).expect_err("below the base fee");
    assert!(matches!(error, Layer1Error::FeeAboveCeiling { needed, .. } if needed == U256::from(1_000)), "{error}");
}

#[test]
fn absurd_fees_do_not_panic() {
    assert!(bump((u128::MAX, u128::MAX), now(), u64::MAX, U256::from(1)).is_err());
    assert_eq!(bump((u128::MAX, 1), now(), 0, U256::ZERO).expect("no gas, no fee").0, u128::MAX);
}

#[test]
fn reasons_say_what_to_do() {
    for (reason, words) in [
        (StuckReason::NonceGap { missing: 3, nonce: 5 }, "nonce gap"),
        (StuckReason::Underpriced { max_fee_per_gas: 1, base_fee: 2 }, "underpriced"),
        (StuckReason::Unknown, "unknown to the node"),
        (StuckReason::SmallTip { tip: 1, usual: 2 }, "small tip"),
    ] {
        let text = reason.to_string();
        assert!(text.starts_with(words) && text.contains("speed"), "{text}");
    }
}
