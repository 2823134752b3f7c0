use super::*;
use alloy::primitives::{Address, B256, I256};

#[test]
fn tags_come_and_go() {
    let tagged =
        json!({ "amount": { "$n": "5" }, "raw": { "$b": "0x0a" }, "list": [{ "$n": "-1" }], "odd": { "$$n": 3 } });
    assert_eq!(untag(&tagged), json!({ "amount": "5", "raw": "0x0a", "list": ["-1"], "odd": { "$n": 3 } }));
}

#[test]
fn plain_json_that_looks_like_a_tag_is_escaped() {
    for plain in [json!({ "$n": "1" }), json!({ "$b": 3 }), json!({ "$$n": [] }), json!({ "$x": { "$n": null } })] {
        assert_eq!(untag(&tag(&plain)), plain);
    }
    assert_eq!(tag(&json!({ "$n": "1", "more": 2 })), json!({ "$n": "1", "more": 2 }));
}

#[test]
fn abi_values_keep_their_kind() {
    let address = Address::repeat_byte(0xab);
    assert_eq!(from_abi(&DynSolValue::Uint(U256::from(7), 256)), json!({ "$n": "7" }));
    assert_eq!(from_abi(&DynSolValue::Int(I256::MINUS_ONE, 256)), json!({ "$n": "-1" }));
    assert_eq!(from_abi(&DynSolValue::Address(address)), json!(address.to_checksum(None)));
    assert_eq!(from_abi(&DynSolValue::FixedBytes(B256::repeat_byte(1), 2)), json!("0x0101"));
    assert_eq!(from_abi(&DynSolValue::Bytes(vec![1, 2])), json!({ "$b": "0x0102" }));
    assert_eq!(from_abi(&DynSolValue::Tuple(vec![DynSolValue::Bool(true)])), json!([true]));
}

#[test]
fn amounts_are_whole_and_positive() {
    assert_eq!(uint(&json!({ "$n": "12" })), Some(U256::from(12)));
    assert_eq!(uint(&json!("0x10")), Some(U256::from(16)));
    assert_eq!(uint(&json!(3)), Some(U256::from(3)));
    for bad in [json!("-1"), json!(1.5), json!(""), json!("1 ether"), json!(null), json!({ "$n": "-4" })] {
        assert_eq!(uint(&bad), None, "{bad}");
    }
}
