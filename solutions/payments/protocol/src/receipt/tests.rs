//! Two promises in one place are proof.

use super::*;
use crate::testing::{domain, person};

#[test]
fn equivocation_is_told_from_anything_else() {
    let operator = person(100);
    let receipt = Receipt {
        message_id: B256::repeat_byte(1),
        sequence: 4,
        previous_receipt: B256::repeat_byte(3),
        time: 1_700_000_000,
    };
    let other = Receipt { message_id: B256::repeat_byte(2), ..receipt };
    let (one, two) = (receipt.sign(&domain(), &operator.key), other.sign(&domain(), &operator.key));
    assert_eq!(one.signer(&domain()), Ok(operator.address));
    assert!(one.equivocates(&two, &domain(), operator.address));
    assert!(!one.equivocates(&one, &domain(), operator.address));
    let later = Receipt { sequence: 5, ..other }.sign(&domain(), &operator.key);
    assert!(!one.equivocates(&later, &domain(), operator.address));
    let forged = other.sign(&domain(), &person(1).key);
    assert!(!one.equivocates(&forged, &domain(), operator.address));
    let json = serde_json::to_value(one).unwrap();
    assert_eq!(json["sequence"], "4");
    assert_eq!(serde_json::from_value::<SignedReceipt>(json).unwrap(), one);
}
