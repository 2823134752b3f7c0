use alloy::primitives::U256;
use serde_json::json;

use super::*;

fn refused(code: i64, message: &str, data: Option<Value>) -> String {
    let error = Layer1Error::Rpc { method: "eth_call".to_owned(), code, message: message.to_owned(), data };
    recognise(error).to_string()
}

#[test]
fn the_contracts_own_words_are_decoded() {
    let data = Revert::from("window closed").abi_encode();
    let text = refused(3, "execution reverted: window closed", Some(json!(hex::encode_prefixed(data))));
    assert_eq!(text, "the contract refuses this call: window closed");
}

#[test]
fn panics_are_named() {
    let data = Panic { code: U256::from(0x11) }.abi_encode();
    let text = refused(3, "execution reverted", Some(json!({ "data": hex::encode_prefixed(data) })));
    assert_eq!(text, "the contract refuses this call: arithmetic underflow or overflow");
}

#[test]
fn custom_errors_show_selector_and_data() {
    let text = refused(3, "execution reverted", Some(json!("0xdeadbeef01")));
    assert_eq!(text, "the contract refuses this call: error with data 0xdeadbeef01");
}

#[test]
fn words_without_data_are_kept_and_capped() {
    let long = format!("execution reverted {}", "x".repeat(10_000));
    assert!(refused(-32000, &long, None).len() < 400);
}

#[test]
fn other_errors_stay_what_they_are() {
    assert!(refused(-32601, "method not found", None).starts_with("eth_call was refused by the endpoint"));
}

#[test]
fn data_that_is_not_hex_does_not_matter() {
    assert_eq!(
        refused(3, "execution reverted", Some(json!("zz"))),
        "the contract refuses this call: execution reverted"
    );
}
