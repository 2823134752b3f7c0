use alloy::primitives::address;
use serde_json::json;

use super::*;

const OWNER: Address = address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
const OTHER: Address = address!("0x70997970C51812dc3A010C7d01b50e0d17dc79C8");

fn transaction() -> Intent {
    Intent::Transaction {
        chain_id: 31337,
        from: OWNER,
        to: TxKind::Call(OTHER),
        value: U256::from(10).pow(U256::from(18)),
        input: Bytes::from_static(&[1, 2, 3, 4]),
        max_total_fee: U256::from(1_000_000_u64),
    }
}

fn typed(data: Value) -> Intent {
    Intent::TypedData { from: OWNER, typed_data: data }
}

#[test]
fn a_digest_depends_on_every_field() {
    let change = |edit: fn(&mut Intent)| {
        let mut intent = transaction();
        edit(&mut intent);
        intent
    };
    let all = [
        transaction(),
        change(|i| {
            if let Intent::Transaction { chain_id, .. } = i {
                *chain_id = 1
            }
        }),
        change(|i| {
            if let Intent::Transaction { from, .. } = i {
                *from = OTHER
            }
        }),
        change(|i| {
            if let Intent::Transaction { to, .. } = i {
                *to = TxKind::Call(OWNER)
            }
        }),
        change(|i| {
            if let Intent::Transaction { to, .. } = i {
                *to = TxKind::Call(Address::ZERO)
            }
        }),
        change(|i| {
            if let Intent::Transaction { to, .. } = i {
                *to = TxKind::Create
            }
        }),
        change(|i| {
            if let Intent::Transaction { value, .. } = i {
                *value += U256::from(1)
            }
        }),
        change(|i| {
            if let Intent::Transaction { input, .. } = i {
                *input = Bytes::from_static(&[1, 2, 3])
            }
        }),
        change(|i| {
            if let Intent::Transaction { max_total_fee, .. } = i {
                *max_total_fee += U256::from(1)
            }
        }),
        Intent::Message { from: OWNER, message: Bytes::from_static(b"hello") },
        Intent::Message { from: OTHER, message: Bytes::from_static(b"hello") },
        Intent::Message { from: OWNER, message: Bytes::new() },
        typed(json!({})),
        typed(json!({ "a": 1 })),
        typed(json!({ "a": "1" })),
        typed(json!({ "a": [1, 2] })),
        typed(json!({ "a": [2, 1] })),
        typed(json!({ "a": [[1], 2] })),
        typed(json!({ "a": null })),
        typed(json!({ "a\":1,\"b": 2 })),
        typed(json!({ "a": 1, "b": 2 })),
    ];
    for (i, one) in all.iter().enumerate() {
        assert_eq!(one.digest(), one.clone().digest());
        assert!(all[..i].iter().all(|other| other.digest() != one.digest()), "{one:?}");
    }
}

#[test]
fn the_order_of_keys_does_not_matter_to_a_digest() {
    let one: Value = serde_json::from_str(r#"{ "b": { "d": 1, "c": [true] }, "a": "x" }"#).expect("JSON");
    let two: Value = serde_json::from_str(r#"{"a":"x","b":{"c":[true],"d":1}}"#).expect("JSON");
    assert_eq!(typed(one).digest(), typed(two).digest());
}

#[test]
fn digests_never_change() {
    // Pinned: an approval stored before an update of the program must still fit after it.
    expect_test::expect!["0xb0f4ec6978b986a4d68d8d21b21532796b9e1e3cf875a6a583476d822d1a9b86"]
        .assert_eq(&transaction().digest().to_string());
    let message = Intent::Message { from: OWNER, message: Bytes::from_static(b"hello") };
    expect_test::expect!["0xa750cb6755b1cc604a44918924bc525b7c9eb601979f797c28037ff21eade61f"]
        .assert_eq(&message.digest().to_string());
    expect_test::expect!["0xa778676afb490aa9e5fe880d2c03ba6b7b67716d5a542b9e4ced47850c5f83d6"]
        .assert_eq(&typed(json!({ "b": 1, "a": ["x"] })).digest().to_string());
}

#[test]
fn an_intent_survives_json() {
    expect_test::expect![[r#"
        {
          "kind": "transaction",
          "chain_id": 31337,
          "from": "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
          "to": "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
          "value": "0xde0b6b3a7640000",
          "input": "0x01020304",
          "max_total_fee": "0xf4240"
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&transaction()).expect("JSON"));
    let message = Intent::Message { from: OWNER, message: Bytes::from_static(&[0xff, 0]) };
    let mut creation = transaction();
    if let Intent::Transaction { to, .. } = &mut creation {
        *to = TxKind::Create;
    }
    assert_eq!(serde_json::to_value(&creation).expect("JSON")["to"], Value::Null);
    for intent in
        [transaction(), creation, message, typed(json!({ "n": u64::MAX, "nested": { "list": [1, 2.5, null] } }))]
    {
        let text = serde_json::to_string(&intent).expect("JSON");
        let value = serde_json::to_value(&intent).expect("JSON");
        assert_eq!(serde_json::from_str::<Intent>(&text).expect("from text"), intent);
        assert_eq!(serde_json::from_value::<Intent>(value).expect("from a value"), intent);
    }
}

#[test]
fn an_approval_of_another_intent_is_refused() {
    let approved = Approved::new(transaction(), 5, transaction().digest()).expect("the same intent");
    assert_eq!((approved.intent(), approved.approval_id()), (&transaction(), 5));
    let other = Intent::Message { from: OWNER, message: Bytes::new() };
    let refused = Approved::new(transaction(), 5, other.digest());
    assert!(matches!(refused, Err(VaultError::NotTheApprovedIntent { approval_id: 5 })));
}

#[test]
fn several_intents_are_bound_to_one_approval_in_their_order() {
    let other = Intent::Message { from: OWNER, message: Bytes::from_static(b"hello") };
    let both = [transaction(), other.clone()];
    let digest = Intent::digest_in_order(&both);
    assert_eq!(Approved::in_order(&both, 1, 7, digest).expect("bound").intent(), &other);
    assert!(Approved::in_order(&both, 2, 7, digest).is_err(), "there is no third");
    let turned = [other.clone(), transaction()];
    assert!(Approved::in_order(&turned, 0, 7, digest).is_err(), "another order is another agreement");
    assert!(Approved::in_order(&both[..1], 0, 7, digest).is_err());
    // Neither an intent alone nor a list of one has the other's digest.
    assert!(Approved::new(other.clone(), 7, digest).is_err());
    assert_ne!(Intent::digest_in_order(&both[..1]), both[0].digest());
}
