use super::*;
use alloy::primitives::{b256, keccak256};

fn gateway() -> Gateway {
    let contract: Contract = serde_json::from_value(json!({
        "abi": [
            "function deposit(address to) payable returns (uint256)",
            "function claim(uint256 batch, bytes signature)",
            "function halt()",
            "function transfer(address to, uint256 value)",
            "function lockedBalance(address account) view returns (uint256)",
            "event Deposited(address indexed to, uint256 value)"
        ],
        "deposit": ["deposit"], "withdraw": ["claim"], "defend": ["halt"]
    }))
    .expect("a contract");
    Gateway::new(&contract).expect("valid")
}

const TO: &str = "0x00000000000000000000000000000000000000AA";

#[test]
fn row_23_only_listed_functions_in_their_role_are_encoded() {
    let gateway = gateway();
    let call = gateway.encode("deposit", &[Role::Deposit], &[json!(TO)], U256::from(5)).expect("allowed");
    assert_eq!(call.signature, "deposit(address)");
    assert_eq!(&call.input[..4], &keccak256("deposit(address)")[..4]);
    assert_eq!(call.input.len(), 36);
    assert_eq!(call.arguments, [("to (address)".to_owned(), TO.to_owned())]);
    for (name, roles) in [("transfer", [Role::Withdraw]), ("claim", [Role::Deposit]), ("nothing", [Role::Withdraw])] {
        let error = gateway.encode(name, &roles, &[json!(TO), json!("1")], U256::ZERO).expect_err("refused");
        assert_eq!(error.code, crate::error::code::UNAUTHORIZED, "{name}");
    }
}

#[test]
fn value_goes_into_payable_deposits_only() {
    let gateway = gateway();
    let error = gateway.encode("halt", &[Role::Defend], &[], U256::from(1)).expect_err("refused");
    assert!(error.message.contains("carries no value"), "{}", error.message);
}

#[test]
fn arguments_are_checked_one_by_one() {
    let gateway = gateway();
    for (args, says) in [
        (vec![json!("1")], "takes 2 arguments, 1 were given"),
        (vec![json!("one"), json!("0x")], "argument batch"),
        (vec![json!("1"), json!("0xzz")], "argument signature"),
    ] {
        let error = gateway.encode("claim", &[Role::Withdraw], &args, U256::ZERO).expect_err("refused");
        assert!(error.message.contains(says), "{}", error.message);
    }
    let bytes = crate::wire::bytes(&[1, 2]);
    gateway.encode("claim", &[Role::Withdraw], &[json!({ "$n": "1" }), bytes], U256::ZERO).expect("tagged values fit");
}

#[test]
fn logs_are_decoded_by_name_and_unknown_ones_passed_on() {
    let gateway = gateway();
    let topics = [
        keccak256("Deposited(address,uint256)"),
        b256!("00000000000000000000000000000000000000000000000000000000000000aa"),
    ];
    let data = Bytes::from(U256::from(9).to_be_bytes::<32>());
    let told = gateway.decode_log(&topics, &data);
    assert_eq!(told, json!({ "event": "Deposited", "args": { "to": TO, "value": { "$n": "9" } } }));
    assert_eq!(gateway.decode_log(&[B256::ZERO], &data)["event"], Json::Null);
    // A log that lies about its shape is passed on raw, not a panic.
    assert_eq!(gateway.decode_log(&topics, &Bytes::from_static(&[1]))["event"], Json::Null);
}

#[test]
fn addresses_need_their_checksum_when_mixed() {
    let right = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    parse_address("gateway", right).expect("right");
    parse_address("gateway", &right.to_lowercase()).expect("lower case");
    for bad in ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", "0x12", "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", ""] {
        assert!(parse_address("gateway", bad).expect_err("refused").message.starts_with("gateway:"), "{bad}");
    }
}
