use alloy::consensus::TxEnvelope;
use alloy::eips::eip2718::Decodable2718;
use alloy::eips::eip2930::{AccessList, AccessListItem};
use alloy::primitives::{TxKind, address};
use serde_json::json;

use super::*;

/// First of the well-known development accounts (`test test … junk`).
const OWNER: Address = address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
const OTHER: Address = address!("0x70997970C51812dc3A010C7d01b50e0d17dc79C8");
const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

fn key() -> SigningKey {
    SigningKey::from_slice(&hex::decode(KEY).expect("hex")).expect("a key")
}

fn intent() -> Intent {
    Intent::Transaction {
        chain_id: 31337,
        from: OWNER,
        to: TxKind::Call(OTHER),
        value: U256::from(5),
        input: Bytes::from_static(&[0xab, 0xcd]),
        max_total_fee: U256::from(21_000_u64 * 100),
    }
}

fn transaction() -> TxEip1559 {
    TxEip1559 {
        chain_id: 31337,
        nonce: 3,
        gas_limit: 21_000,
        max_fee_per_gas: 100,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(OTHER),
        value: U256::from(5),
        access_list: AccessList::default(),
        input: Bytes::from_static(&[0xab, 0xcd]),
    }
}

fn approve(intent: Intent) -> Approved {
    let digest = intent.digest();
    Approved::new(intent, 9, digest).expect("its own digest")
}

#[test]
fn the_approved_transaction_is_signed_and_recovers_to_its_sender() {
    let signed = sign_approved_transaction(&key(), &transaction(), &approve(intent())).expect("signed");
    let TxEnvelope::Eip1559(decoded) = TxEnvelope::decode_2718(&mut &signed.raw[..]).expect("EIP-2718") else {
        panic!("another type of transaction");
    };
    assert_eq!((decoded.tx(), *decoded.hash()), (&transaction(), signed.hash));
    let sender = decoded.signature().recover_address_from_prehash(&decoded.signature_hash()).expect("a signer");
    assert_eq!((sender, signed.from), (OWNER, OWNER));
}

#[test]
fn a_transaction_that_differs_in_any_field_is_refused() {
    type Change = fn(&mut TxEip1559);
    let cases: [(&str, Change); 7] = [
        ("the chain id", |tx| tx.chain_id = 1),
        ("the recipient", |tx| tx.to = TxKind::Call(OWNER)),
        ("the recipient", |tx| tx.to = TxKind::Create),
        ("the value", |tx| tx.value = U256::from(6)),
        ("the calldata", |tx| tx.input = Bytes::new()),
        ("the calldata", |tx| tx.input = Bytes::from_static(&[0xab, 0xcd, 0])),
        ("the access list", |tx| tx.access_list = AccessList(vec![AccessListItem::default()])),
    ];
    for (expect, change) in cases {
        let mut tx = transaction();
        change(&mut tx);
        let error = check(OWNER, &tx, &approve(intent())).expect_err("refused");
        assert!(matches!(error, VaultError::DiffersFromIntent { approval_id: 9, field } if field == expect), "{error}");
    }
    // A creation that was approved is nothing else either, not even a call of the zero address.
    let creation = TxEip1559 { to: TxKind::Create, ..transaction() };
    let mut approved = intent();
    if let Intent::Transaction { to, .. } = &mut approved {
        *to = TxKind::Create;
    }
    let approved = approve(approved);
    check(OWNER, &creation, &approved).expect("the approved creation");
    for to in [OTHER, Address::ZERO] {
        let error = check(OWNER, &TxEip1559 { to: TxKind::Call(to), ..transaction() }, &approved).expect_err("refused");
        assert!(matches!(error, VaultError::DiffersFromIntent { field: "the recipient", .. }), "{error}");
    }
    let error = check(OTHER, &transaction(), &approve(intent())).expect_err("refused");
    assert!(matches!(error, VaultError::DiffersFromIntent { field: "the sender", .. }), "{error}");
}

#[test]
fn the_fee_is_bounded_by_its_ceiling_and_may_move_below_it() {
    let mut tx = transaction();
    for (gas_limit, price, covered) in [
        (21_000, 100, true),
        (42_000, 50, true),
        (21_000, 101, false),
        (21_001, 100, false),
        (u64::MAX, u128::MAX, false),
    ] {
        (tx.gas_limit, tx.max_fee_per_gas) = (gas_limit, price);
        let result = check(OWNER, &tx, &approve(intent()));
        match covered {
            true => result.expect("covered"),
            false => assert!(
                matches!(result, Err(VaultError::FeeAboveCeiling { approval_id: 9, .. })),
                "{gas_limit} {price}"
            ),
        }
    }
    // A replacement at the same nonce, or another nonce, is the same intent.
    tx = TxEip1559 { nonce: 4, max_fee_per_gas: 90, max_priority_fee_per_gas: 90, ..transaction() };
    check(OWNER, &tx, &approve(intent())).expect("covered");
}

#[test]
fn kinds_of_intents_do_not_stand_for_one_another() {
    let message = approve(Intent::Message { from: OWNER, message: Bytes::from_static(b"hello") });
    assert!(matches!(check(OWNER, &transaction(), &message), Err(VaultError::DiffersFromIntent { .. })));
    assert!(matches!(approved_hash(OWNER, &approve(intent())), Err(VaultError::DiffersFromIntent { .. })));
    assert!(matches!(
        approved_hash(OTHER, &message),
        Err(VaultError::DiffersFromIntent { field: "the signing account", .. })
    ));
}

#[test]
fn messages_are_signed_as_personal_sign_does() {
    let approved = approve(Intent::Message { from: OWNER, message: Bytes::from_static(b"hello") });
    let signature = sign_hash(&key(), &approved_hash(OWNER, &approved).expect("a hash")).expect("signed");
    assert!(matches!(signature[64], 27 | 28));
    let parsed = Signature::from_raw_array(&signature).expect("a signature");
    assert_eq!(parsed.recover_address_from_msg("hello").expect("a signer"), OWNER);
    assert_eq!(SubtreePayload::Message(b"hello".to_vec()).hash().expect("a hash"), eip191_hash_message("hello"));
}

#[test]
fn every_signature_has_a_low_s_and_a_fitting_v() {
    let half =
        U256::from_str_radix("7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0", 16).expect("hex");
    for n in 0..64_u64 {
        let hash = B256::from(U256::from(n));
        let signature = Signature::from_raw_array(&sign_hash(&key(), &hash).expect("signed")).expect("a signature");
        assert!(signature.s() <= half);
        assert_eq!(signature.recover_address_from_prehash(&hash).expect("a signer"), OWNER);
    }
}

/// The example of EIP-712.
fn mail() -> Value {
    json!({
        "types": {
            "EIP712Domain": [
                { "name": "name", "type": "string" }, { "name": "version", "type": "string" },
                { "name": "chainId", "type": "uint256" }, { "name": "verifyingContract", "type": "address" }
            ],
            "Person": [{ "name": "name", "type": "string" }, { "name": "wallet", "type": "address" }],
            "Mail": [
                { "name": "from", "type": "Person" }, { "name": "to", "type": "Person" }, { "name": "contents", "type": "string" }
            ]
        },
        "primaryType": "Mail",
        "domain": {
            "name": "Ether Mail", "version": "1", "chainId": 1, "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"
        },
        "message": {
            "from": { "name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826" },
            "to": { "name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB" },
            "contents": "Hello, Bob!"
        }
    })
}

#[test]
fn typed_data_is_hashed_as_the_standard_says() {
    let hash = "0xbe609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2";
    let approved = approve(Intent::TypedData { from: OWNER, typed_data: mail() });
    assert_eq!(approved_hash(OWNER, &approved).expect("a hash").to_string(), hash);
    let payload = SubtreePayload::TypedData(serde_json::from_value(mail()).expect("typed data"));
    assert_eq!(payload.hash().expect("a hash").to_string(), hash);
}

#[test]
fn bad_typed_data_is_an_error() {
    let edit = |pointer: &str, value: Value| {
        let mut data = mail();
        *data.pointer_mut(pointer).expect("a place") = value;
        data
    };
    for data in [
        json!(null),
        json!({}),
        json!(mail().to_string()),
        edit("/primaryType", json!("Letter")),
        edit("/message/to/wallet", json!("nobody")),
        edit("/message/contents", json!({})),
        edit("/types/Person", json!([{ "name": "mail", "type": "Mail" }])),
        edit("/types/Mail/0/type", json!("Nothing")),
        edit("/types/Mail/0/type", json!("uint257")),
    ] {
        let approved = approve(Intent::TypedData { from: OWNER, typed_data: data.clone() });
        assert!(matches!(approved_hash(OWNER, &approved), Err(VaultError::TypedData { .. })), "{data}");
    }
}
