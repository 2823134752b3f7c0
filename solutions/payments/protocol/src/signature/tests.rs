//! What layer 1's `ecrecover` takes in its low half, and nothing else.

use alloy::primitives::{B256, Signature as Reference, U256, keccak256};

use super::*;
use crate::testing::person;

fn signed() -> (B256, Signature, Address) {
    let person = person(1);
    let digest = keccak256("digest");
    (digest, sign_digest(&person.key, digest), person.address)
}

#[test]
fn recovers_the_signer() {
    for number in 0..32 {
        let person = person(number);
        let digest = keccak256([number, 7]);
        let signature = sign_digest(&person.key, digest);
        assert_eq!(signature.recover(digest), Ok(person.address));
        assert_eq!(Signature::from_bytes(&signature.to_bytes()), Ok(signature));
        // The other library of this workspace agrees.
        let reference =
            Reference::new(U256::from_be_bytes(signature.r.0), U256::from_be_bytes(signature.s.0), signature.v == 28);
        assert_eq!(reference.recover_address_from_prehash(&digest).unwrap(), person.address);
    }
}

#[test]
fn another_digest_recovers_someone_else() {
    let (_, signature, signer) = signed();
    assert_ne!(signature.recover(keccak256("other")), Ok(signer));
}

/// Threat: a library laxer than `ecrecover`, and the malleable twin of a signature.
#[test]
fn refuses_what_layer_1_would_take_otherwise() {
    let (digest, good, _) = signed();
    let order = U256::from_be_bytes(ORDER.0);
    let twin = B256::from(order - U256::from_be_bytes(good.s.0));
    let check = |change: Signature, expected| assert_eq!(change.recover(digest), Err(expected));
    check(Signature { s: twin, v: 55 - good.v, ..good }, SignatureError::S);
    check(Signature { s: twin, ..good }, SignatureError::S);
    check(Signature { s: B256::ZERO, ..good }, SignatureError::S);
    check(Signature { s: B256::from(U256::from_be_bytes(HALF_ORDER.0) + U256::ONE), ..good }, SignatureError::S);
    check(Signature { r: B256::ZERO, ..good }, SignatureError::R);
    check(Signature { r: ORDER, ..good }, SignatureError::R);
    check(Signature { r: B256::repeat_byte(0xff), ..good }, SignatureError::R);
    for v in [0, 1, 2, 26, 29, 30, 255] {
        check(Signature { v, ..good }, SignatureError::V(v));
    }
    assert_eq!(U256::from_be_bytes(HALF_ORDER.0), order >> 1);
}

#[test]
fn an_r_that_is_no_coordinate_belongs_to_no_key() {
    let (digest, good, _) = signed();
    // 5 is no x-coordinate on the curve: 5³ + 7 is no square modulo p.
    let signature = Signature { r: B256::with_last_byte(5), ..good };
    assert_eq!(signature.check(), Ok(()));
    assert_eq!(signature.recover(digest), Err(SignatureError::NoKey));
}

#[test]
fn length_is_checked() {
    for length in [0, 64, 66] {
        assert_eq!(Signature::from_bytes(&vec![1; length]), Err(SignatureError::Length(length)));
    }
}
