use super::*;
use crate::error::code;
use serde_json::json;

/// The example of EIP-712.
fn mail() -> Json {
    json!({
        "types": {
            "EIP712Domain": [
                { "name": "name", "type": "string" }, { "name": "version", "type": "string" },
                { "name": "chainId", "type": "uint256" }, { "name": "verifyingContract", "type": "address" }
            ],
            "Person": [{ "name": "name", "type": "string" }, { "name": "wallet", "type": "address" }],
            "Mail": [
                { "name": "from", "type": "Person" }, { "name": "to", "type": "Person" },
                { "name": "contents", "type": "string" }
            ]
        },
        "primaryType": "Mail",
        "domain": {
            "name": "Ether Mail", "version": "1", "chainId": 1,
            "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"
        },
        "message": {
            "from": { "name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826" },
            "to": { "name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB" },
            "contents": "Hello, Bob!"
        }
    })
}

fn with(pointer: &str, value: Json) -> Json {
    let mut mail = mail();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match mail.pointer_mut(parent).unwrap() {
        Json::Object(map) => {
            map.insert(name.to_owned(), value);
        }
        Json::Array(list) if name == "-" => list.push(value),
        Json::Array(list) => list[name.parse::<usize>().unwrap()] = value,
        _ => unreachable!(),
    }
    mail
}

fn refused(json: &Json, words: &str) {
    let error = Typed::read(json).expect_err("refused");
    assert_eq!(error.code, code::INVALID_PARAMS);
    assert!(error.message.contains(words), "{error} says nothing of {words:?}");
}

#[test]
fn row_08_the_standards_example_is_shown_in_full_with_its_digests() {
    let typed = Typed::read(&mail()).unwrap();
    let rows = typed.rows();
    let says = |label: &str, value: &str| {
        assert!(rows.iter().any(|row| row.label == label && row.value == value), "no {label}: {value} in {rows:#?}");
    };
    says("Type", "Mail");
    says("Domain chainId (uint256)", "1");
    says("Domain name (string)", "“Ether Mail”");
    says("from.name (string)", "“Cow”");
    says("to.wallet (address)", "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB");
    says("contents (string)", "“Hello, Bob!”");
    // The values that stand in EIP-712's Example.js.
    says("Domain hash", "0xf2cee375fa42b42143804025fc449deafd50cc031ca257e0b194a650a912090f");
    says("Message hash", "0xc52c0ee5d84264471806290a3f2c4cecfc5490626bf912d01f240d7a274b371e");
    says("Signs", "0xbe609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2");
    assert!(typed.moving.is_none() && typed.warnings().is_empty());
}

#[test]
fn what_is_shown_is_what_is_hashed() {
    refused(&with("/message/surprise", json!(1)), "\"surprise\" is not known here");
    refused(&with("/message/from/surprise", json!(1)), "message.from: \"surprise\"");
    refused(&with("/surprise", json!(1)), "\"surprise\"");
    refused(&with("/domain/surprise", json!(1)), "domain: \"surprise\"");
    refused(&with("/message/from/wallet", json!("0xcd2a3D9F938E13CD947Ec05AbC7FE734Df8DD826")), "no address");
    refused(&with("/message/contents", json!(5)), "no string");
    refused(&with("/domain/chainId", json!(1.5)), "domain.chainId");
    refused(&with("/domain/chainId", json!("0b1")), "domain.chainId");
    refused(&with("/domain", json!({})), "types.EIP712Domain is not what domain holds");
    refused(&with("/domain/salt", json!(format!("0x{}", "11".repeat(32)))), "not what domain holds");
    refused(&with("/primaryType", json!("Letter")), "no type \"Letter\"");
    refused(&with("/primaryType", json!("EIP712Domain")), "says nothing");
    let twice = json!({ "name": "name", "type": "string" });
    refused(&with("/types/Person/-", twice), "stands twice in Person");
    refused(&with("/types/Person/0", json!({ "name": "name", "type": "uint" })), "the type \"uint\" is not known");
    refused(&with("/types/Person/0", json!({ "name": "na me", "type": "string" })), "no name");
    refused(&with("/types/uint256", json!([])), "no name of a struct");
    let mut missing = mail();
    missing["message"].as_object_mut().unwrap().remove("contents");
    refused(&missing, "message.contents is missing");
    refused(&json!("text"), "an object is needed");
    // A recursive type ends at the depth that people read.
    let mut deep = json!({});
    for _ in 0..20 {
        deep = json!({ "next": [deep] });
    }
    let endless = json!({
        "types": { "Node": [{ "name": "next", "type": "Node[]" }] }, "primaryType": "Node",
        "domain": { "chainId": 1 }, "message": deep
    });
    refused(&endless, "next");
}

#[test]
fn numbers_bytes_and_lists_are_exact() {
    let all = |ty: &str, value: Json| {
        json!({
            "types": { "All": [{ "name": "x", "type": ty }] }, "primaryType": "All",
            "domain": { "chainId": 1 }, "message": { "x": value }
        })
    };
    for (ty, value, shown) in [
        ("uint256", json!("0xff"), "255"),
        ("uint8", json!(255), "255"),
        ("int8", json!("-128"), "-128"),
        ("bytes3", json!("0x010203"), "0x010203"),
        ("bytes", json!("0x"), "0x"),
        ("uint256[2]", json!([1, 2]), "1"),
        ("bool", json!(true), "true"),
    ] {
        let typed = Typed::read(&all(ty, value)).unwrap_or_else(|error| panic!("{ty}: {error}"));
        assert_eq!(typed.message_rows[0].value, shown, "{ty}");
    }
    for (ty, value) in [
        ("uint8", json!(256)),
        ("uint256", json!(-1)),
        ("uint256", json!(9_007_199_254_740_993_u64)),
        ("uint256", json!("1_000")),
        ("uint256", json!("")),
        ("int8", json!("128")),
        ("bytes3", json!("0x0102")),
        ("bytes", json!([1, 2])),
        ("bool", json!("true")),
        ("uint256[2]", json!([1])),
    ] {
        refused(&all(ty, value.clone()), "message.x");
    }
}

#[test]
fn a_name_that_stands_twice_is_no_typed_data() {
    let text = mail().to_string();
    assert_eq!(parse_text(&text).unwrap(), mail());
    let twice = text.replace("\"contents\":\"Hello, Bob!\"", "\"contents\":\"Hello\",\"contents\":\"Pay\"");
    assert_ne!(text, twice);
    let error = parse_text(&twice).expect_err("refused");
    assert!(error.message.contains("\"contents\" stands twice"), "{error}");
}

#[test]
fn row_08_kinds_that_move_tokens_are_known_by_name_and_by_shape() {
    let kind = |name: &str, fields: &[(&str, &str)]| {
        let fields: Vec<Json> = fields.iter().map(|(name, ty)| json!({ "name": name, "type": ty })).collect();
        let message: Map<String, Json> = fields
            .iter()
            .map(|field| {
                let value = if field["type"] == "address" { json!(Address::ZERO) } else { json!("1") };
                (field["name"].as_str().unwrap().to_owned(), value)
            })
            .collect();
        Typed::read(&json!({
            "types": { name: fields }, "primaryType": name,
            "domain": { "chainId": 1, "verifyingContract": Address::repeat_byte(9) }, "message": message
        }))
        .unwrap()
    };
    for name in MOVING {
        assert!(kind(name, &[("value", "uint256")]).moving.is_some(), "{name}");
    }
    for fields in [
        [("spender", "address"), ("x", "uint256")],
        [("token", "address"), ("amount", "uint256")],
        [("OPERATOR", "address"), ("x", "uint256")],
    ] {
        assert!(kind("Harmless", &fields).moving.is_some(), "{fields:?}");
    }
    let harmless = kind("Vote", &[("proposal", "uint256")]);
    assert!(harmless.moving.is_none());
    let own = [Address::repeat_byte(9)];
    harmless.check_own(1, &own).expect("its own");
    harmless.check_chain(1).expect("its own");
    for result in [
        harmless.check_own(2, &own),
        harmless.check_own(1, &[Address::ZERO]),
        harmless.check_chain(2),
        kind("Permit", &[("value", "uint256")]).check_own(1, &own),
    ] {
        assert_eq!(result.expect_err("refused").code, code::UNAUTHORIZED);
    }
}

proptest::proptest! {
    #[test]
    fn foreign_text_never_panics(text in "\\PC{0,200}", field in "\\PC{0,20}") {
        let _ = parse_text(&text);
        let _ = Typed::read(&with("/message/contents", json!(text)));
        let _ = Typed::read(&with("/types/Person/0", json!({ "name": field, "type": text })));
        let _ = Typed::read(&with("/domain/chainId", json!(field)));
    }
}
