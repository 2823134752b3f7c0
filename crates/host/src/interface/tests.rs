use super::*;
use serde_json::json;

fn payments() -> Interface {
    Interface::parse(&json!({
        "actions": [{
            "name": "makePayment", "description": "Pay",
            "params": [{ "name": "toAddress", "type": "address", "role": "recipient" }, { "name": "value", "type": "uint" }],
            "returns": [{ "name": "messageId", "type": "bytes32" }], "readOnly": false, "confirmation": true
        }],
        "state": [{ "name": "balance", "type": "uint", "unit": "wei" }]
    }))
    .expect("well formed")
}

fn given(json: Json) -> Map<String, Json> {
    json.as_object().expect("an object").clone()
}

#[test]
fn types_are_normalised_and_the_digest_is_pinned_by_content() {
    let interface = payments();
    assert_eq!(interface.actions[0].signature(), "makePayment(address toAddress, uint256 value)");
    let mut other = interface.clone();
    assert_eq!(interface.digest().expect("digest"), other.digest().expect("digest"));
    other.actions[0].read_only = true;
    assert_ne!(interface.digest().expect("digest"), other.digest().expect("digest"), "row 28: readOnly counts");
}

#[test]
fn parameters_are_typed_before_the_script_sees_them() {
    let interface = payments();
    let action = interface.action("makePayment").expect("declared");
    let to = "0x00000000000000000000000000000000000000AA";
    let typed = action.typed_params(&given(json!({ "toAddress": to, "value": "100" }))).expect("fits");
    assert_eq!(typed["value"], json!({ "$n": "100" }));
    for (bad, says) in [
        (json!({ "toAddress": to }), "\"value\" (uint256) is missing"),
        (json!({ "toAddress": to, "value": "ten" }), "\"ten\" is not an uint256"),
        (json!({ "toAddress": to, "value": "-1" }), "is not an uint256"),
        (json!({ "toAddress": to, "value": 1.5 }), "1.5 is not an uint256"),
        (json!({ "toAddress": "0x12", "value": "1" }), "\"0x12\" is not an address"),
        (json!({ "toAddress": to, "value": "1", "extra": 1 }), "there is no parameter \"extra\""),
    ] {
        let error = action.typed_params(&given(bad)).expect_err("refused");
        assert!(error.message.contains(says), "{}", error.message);
        assert_eq!(error.code, crate::error::code::INVALID_PARAMS);
    }
    assert!(interface.action("steal").expect_err("unknown").message.contains("makePayment"));
}

#[test]
fn hostile_interfaces_are_refused_by_name() {
    let action =
        |name: &str, ty: &str| json!({ "actions": [{ "name": name, "params": [{ "name": "x", "type": ty }] }] });
    for (bad, says) in [
        (action("then", "uint"), "then"),
        (action("constructor", "uint"), "constructor"),
        (action("__proto__", "uint"), "__proto__"),
        (action("Upper", "uint"), "Upper"),
        (action("pay", "money"), "is not an ABI type"),
        (json!({ "actions": [{ "name": "a" }, { "name": "a" }] }), "stands twice"),
        (json!({ "actions": [{ "name": "a", "grants": [] }] }), "grants"),
        (json!({ "actions": "many" }), "layer2Interface"),
        (json!({ "actions": [{ "name": "a", "description": "x".repeat(501) }] }), "description"),
        (json!({ "actions": vec![json!({ "name": "a" }); 65] }), "more than 64 actions"),
    ] {
        let error = Interface::parse(&bad).expect_err("refused");
        assert!(error.message.contains(says), "{bad}: {}", error.message);
    }
}
