use super::*;

fn fees() -> Fees {
    Fees { base_fee: 100, max_fee_per_gas: 210, max_priority_fee_per_gas: 10 }
}

#[test]
fn fees_below_the_ceiling_stay() {
    assert_eq!(fees().within(1_000, U256::from(210_000)).expect("fits"), fees());
}

#[test]
fn fees_are_lowered_to_the_ceiling() {
    let fitted = fees().within(1_000, U256::from(150_000)).expect("fits");
    assert_eq!((fitted.max_fee_per_gas, fitted.max_priority_fee_per_gas), (150, 10));
    let fitted = Fees { base_fee: 1, ..fees() }.within(1_000, U256::from(5_000)).expect("fits");
    assert_eq!((fitted.max_fee_per_gas, fitted.max_priority_fee_per_gas), (5, 5), "the priority fee is part of it");
}

#[test]
fn a_ceiling_below_the_base_fee_is_refused_with_both_numbers() {
    let error = fees().within(1_000, U256::from(99_999)).expect_err("too low");
    let text = error.to_string();
    assert!(text.contains("100000 wei") && text.contains("99999 wei"), "{text}");
}

#[test]
fn the_speeds_are_in_order_and_empty_blocks_do_not_count() {
    let history: History = serde_json::from_value(json!({
        "oldestBlock": "0x1",
        "baseFeePerGas": ["0x64", "0x64", "0x64", "0x65"],
        "gasUsedRatio": [0.5, 0.0, 0.9],
        "reward": [["0x1", "0x5", "0x9"], ["0x0", "0x0", "0x0"], ["0x2", "0x6", "0xa"]],
    }))
    .expect("an answer");
    assert_eq!(history.next_base_fee(), Some(101));
    let tips = [FeeSpeed::Slow, FeeSpeed::Normal, FeeSpeed::Fast].map(|speed| history.priority(speed));
    assert_eq!(tips, [Some(2), Some(6), Some(10)]);
    let [slow, normal, fast] = [FeeSpeed::Slow, FeeSpeed::Normal, FeeSpeed::Fast].map(|s| Fees::at(s, 100, 10));
    assert_eq!((slow.max_fee_per_gas, normal.max_fee_per_gas, fast.max_fee_per_gas), (135, 210, 310));
}

#[test]
fn a_history_without_tips_names_none() {
    let history: History =
        serde_json::from_value(json!({ "oldestBlock": "0x1", "baseFeePerGas": ["0x0"] })).expect("an answer");
    assert_eq!((history.next_base_fee(), history.priority(FeeSpeed::Fast)), (None, None));
}

#[test]
fn speeds_are_lower_case_words() {
    assert_eq!(serde_json::to_string(&FeeSpeed::Normal).expect("serialised"), "\"normal\"");
}
