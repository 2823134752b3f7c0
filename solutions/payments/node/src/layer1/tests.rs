use super::*;

#[test]
fn a_transaction_that_is_known_already_counts_as_broadcast() {
    assert!(is_known("already known"));
    assert!(is_known("Transaction ALREADY KNOWN: 0x00"));
    assert!(!is_known("nonce too low"));
}

#[test]
fn revert_data_is_found_where_endpoints_put_it() {
    let bytes = Some(Bytes::from_static(&[0xab, 0xcd]));
    assert_eq!(revert_data(&json!("0xabcd")), bytes);
    assert_eq!(revert_data(&json!({ "data": "0xabcd" })), bytes);
    assert_eq!(revert_data(&Value::Null), None);
    assert_eq!(revert_data(&json!("reverted")), None);
}

#[tokio::test]
async fn an_address_with_a_token_does_not_appear_in_errors() {
    // Nothing listens on port 1.
    let url = "http://127.0.0.1:1/secret-token".parse().expect("a URL");
    let error = Layer1::connect(url, Address::ZERO, None).await.expect_err("nothing listens");
    assert!(!format!("{error:?} {}", crate::rpc::chain_text(&error)).contains("secret-token"), "{error:?}");
}
