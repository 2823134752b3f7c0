use super::*;
use alloy::primitives::Bytes;

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
