use super::*;

fn fees() -> Fees {
    Fees { base_fee: 100, max_fee_per_gas: 210, max_priority_fee_per_gas: 10 }
}

#[test]
fn fees_below_the_ceiling_stay() {
    assert_eq!(fit(fees(), 1_000, U256::from(210_000)).expect("fits"), fees());
}

#[test]
fn fees_are_lowered_to_the_ceiling() {
    let fitted = fit(fees(), 1_000, U256::from(150_000)).expect("fits");
    assert_eq!((fitted.max_fee_per_gas, fitted.max_priority_fee_per_gas), (150, 10));
    let fitted = fit(Fees { base_fee: 1, ..fees() }, 1_000, U256::from(5_000)).expect("fits");
    assert_eq!((fitted.max_fee_per_gas, fitted.max_priority_fee_per_gas), (5, 5), "the priority fee is part of it");
}

#[test]
fn a_ceiling_below_the_base_fee_is_refused_with_both_numbers() {
    let error = fit(fees(), 1_000, U256::from(99_999)).expect_err("too low");
    let text = error.to_string();
    assert!(text.contains("100000 wei") && text.contains("99999 wei"), "{text}");
}

#[test]
fn bytes_that_are_no_transaction_are_refused_before_anything_is_stored() {
    let transaction = StoredTransaction {
        hash: B256::ZERO,
        chain_id: 1,
        from: Address::ZERO,
        nonce: 0,
        raw: Bytes::from_static(&[2, 1, 2, 3]),
        approval_id: None,
        solution: None,
        purpose: "deposit".to_owned(),
        status: TransactionStatus::Stored,
    };
    assert!(check(&transaction, 1).expect_err("no transaction").to_string().contains("cannot be decoded"));
}

#[test]
fn statuses_have_stable_names() {
    let failed = TransactionStatus::Failed { reason: "r".to_owned() };
    assert_eq!(serde_json::to_string(&failed).expect("serialised"), r#"{"state":"failed","reason":"r"}"#);
    let included = TransactionStatus::Included(Inclusion {
        block_number: 1,
        block_hash: B256::ZERO,
        gas_used: 2,
        effective_gas_price: 3,
        success: true,
    });
    let text = serde_json::to_string(&included).expect("serialised");
    assert!(text.starts_with(r#"{"state":"included","block_number":1,"#), "{text}");
    assert_eq!(serde_json::from_str::<TransactionStatus>(&text).expect("parsed"), included);
    let value = serde_json::to_value(&included).expect("serialised");
    assert_eq!(serde_json::from_value::<TransactionStatus>(value).expect("parsed"), included);
}
