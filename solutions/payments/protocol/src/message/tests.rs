//! Against alloy's EIP-712 and ABI implementations, and the edges of records.

use alloy::{
    primitives::{Address, B256, U256},
    sol,
    sol_types::{Eip712Domain, SolStruct, SolValue, eip712_domain},
};

use super::*;
use crate::{
    ClaimTo, Receipt,
    testing::{ETHER, domain, funded, person, record},
};

mod reference {
    super::sol! {
        struct Payment { address from; address to; uint256 value; uint256 fee; uint64 nonce; bytes32 prev; }
        struct Withdraw { address from; uint256 value; uint256 fee; uint64 nonce; bytes32 prev; }
        struct ClaimTo { address account; address recipient; uint256 claimedBefore; uint256 claimedAfter; }
        struct Receipt { bytes32 messageId; uint64 sequence; bytes32 previousReceipt; uint64 time; }
    }
}

fn reference_domain() -> Eip712Domain {
    eip712_domain! {
        name: "Entresol Payments",
        version: "1",
        chain_id: domain().chain_id(),
        verifying_contract: domain().gateway(),
    }
}

fn message(kind: Kind) -> Message {
    let to = if kind == Kind::Payment { person(2).address } else { Address::ZERO };
    Message {
        kind,
        from: person(1).address,
        to,
        value: 123_456_789_012_345_678_901,
        fee: 21 * GWEI,
        nonce: 77,
        prev: B256::repeat_byte(0xab),
    }
}

#[test]
fn payments_are_eip712() {
    let Message { from, to, value, fee, nonce, prev, .. } = message(Kind::Payment);
    let reference = reference::Payment { from, to, value: U256::from(value), fee: U256::from(fee), nonce, prev };
    let ours = message(Kind::Payment);
    assert_eq!(ours.id(), reference.eip712_hash_struct());
    assert_eq!(ours.digest(&domain()), reference.eip712_signing_hash(&reference_domain()));
}

#[test]
fn withdrawals_are_eip712() {
    let Message { from, value, fee, nonce, prev, .. } = message(Kind::Withdraw);
    let reference = reference::Withdraw { from, value: U256::from(value), fee: U256::from(fee), nonce, prev };
    let ours = message(Kind::Withdraw);
    assert_eq!(ours.id(), reference.eip712_hash_struct());
    assert_eq!(ours.digest(&domain()), reference.eip712_signing_hash(&reference_domain()));
}

#[test]
fn claims_and_receipts_are_eip712() {
    let (account, recipient) = (person(1).address, person(2).address);
    let claim = ClaimTo { account, recipient, claimed_before: 5, claimed_after: u128::MAX };
    let reference =
        reference::ClaimTo { account, recipient, claimedBefore: U256::from(5), claimedAfter: U256::from(u128::MAX) };
    assert_eq!(claim.digest(&domain()), reference.eip712_signing_hash(&reference_domain()));

    let (message_id, previous_receipt) = (B256::repeat_byte(1), B256::repeat_byte(2));
    let receipt = Receipt { message_id, sequence: 9, previous_receipt, time: 1_700_000_000 };
    let reference = reference::Receipt {
        messageId: message_id,
        sequence: 9,
        previousReceipt: previous_receipt,
        time: 1_700_000_000,
    };
    assert_eq!(domain().digest(receipt.hash()), reference.eip712_signing_hash(&reference_domain()));
}

#[test]
fn records_come_back() {
    for kind in [Kind::Payment, Kind::Withdraw] {
        let signed = message(kind).sign(&domain(), &person(1).key);
        assert_eq!(signed.check(&domain()), Ok(()));
        let record = signed.record().unwrap();
        assert_eq!(Record::decode(&record.encode()), record);
        let leaf = Leaf { nonce: 77, head: B256::repeat_byte(0xab), ..Default::default() };
        assert_eq!(record.message(&leaf), Some(signed.message.clone()));
    }
}

#[test]
fn any_bytes_are_a_record() {
    for fill in [0u8, 1, 2, 3, 0x7f, 0xff] {
        let bytes = [fill; Record::LENGTH];
        assert_eq!(Record::decode(&bytes).encode(), bytes);
    }
    assert_eq!(Record::decode_all(&[0; 121]), None);
    assert_eq!(Record::decode_all(&[]), Some(vec![]));
    assert_eq!(Record::decode_all(&[0; 244]).map(|records| records.len()), Some(2));
}

#[test]
fn says_why_a_message_cannot_be_sent() {
    let check = |change: fn(&mut Message), expected| {
        let mut message = message(Kind::Payment);
        change(&mut message);
        let signed = message.sign(&domain(), &person(1).key);
        assert_eq!(signed.check(&domain()), Err(expected));
    };
    check(|m| m.value = MAX_VALUE + 1, MessageError::Value(MAX_VALUE + 1));
    check(|m| m.fee = MAX_FEE + GWEI, MessageError::Fee(MAX_FEE + GWEI));
    check(|m| m.fee = 1, MessageError::Fee(1));
    check(|m| m.to = Address::ZERO, MessageError::ZeroRecipient);
    check(|m| m.from = Address::ZERO, MessageError::ZeroSender);
    check(|m| m.kind = Kind::Withdraw, MessageError::WithdrawTo);
    check(|m| m.from = person(3).address, MessageError::Signer(person(1).address));
}

/// Threat 24: replay across chains and gateways.
#[test]
fn a_message_is_for_one_gateway_on_one_chain() {
    let signed = message(Kind::Payment).sign(&domain(), &person(1).key);
    for other in [Domain::new(1, domain().gateway()), Domain::new(31337, person(9).address)] {
        assert!(matches!(signed.check(&other), Err(MessageError::Signer(_))));
    }
}

#[test]
fn a_posted_withdraw_is_seven_words() {
    let state = funded(&[(1, ETHER)]);
    let signed = person(1).withdraw(&state, ETHER / 2, GWEI);
    let posted = PostedWithdraw::of(&signed);
    assert_eq!(posted.id(signed.message.from), signed.message.id());
    let bytes = posted.encode();
    let Signature { r, s, v } = signed.signature;
    let reference = (U256::from(ETHER / 2), U256::from(GWEI), 0u64, B256::ZERO, r, s, U256::from(v));
    assert_eq!(bytes.to_vec(), reference.abi_encode());
    assert_eq!(PostedWithdraw::decode(&bytes), Ok(posted));
    assert_eq!(PostedWithdraw::decode(&bytes[1..]), Err(MessageError::Posted(223)));
    assert_eq!(PostedWithdraw::decode(&[]), Err(MessageError::Posted(0)));
    let mut wide = bytes.to_vec();
    wide[2 * 32] = 1;
    assert_eq!(PostedWithdraw::decode(&wide), Err(MessageError::Posted(224)));
}

#[test]
fn json_is_as_documented() {
    let signed = message(Kind::Payment).sign(&domain(), &person(1).key);
    let json = serde_json::to_value(&signed).unwrap();
    assert_eq!(json["kind"], "payment");
    assert_eq!(json["value"], "123456789012345678901");
    assert_eq!(json["fee"], "21000000000");
    assert_eq!(json["nonce"], "77");
    assert_eq!(json["signature"].as_str().unwrap().len(), 132);
    assert_eq!(serde_json::from_value::<SignedMessage>(json).unwrap(), signed);
    let _ = record(&signed);
}
