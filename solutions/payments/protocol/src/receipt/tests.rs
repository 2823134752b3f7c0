//! Two promises in one place are proof, whatever they were signed with.

use super::*;
use crate::testing::{Person, domain, person};

/// A chain of `count` receipts from a sequence number on; `salt` tells its messages from others.
fn chain(first: u64, count: usize, salt: u8, mut previous_receipt: B256) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    for sequence in (first..).take(count) {
        let message_id = keccak256([&[salt][..], &sequence.to_be_bytes()].concat());
        let receipt = Receipt { message_id, sequence, previous_receipt, time: 1_700_000_000 };
        previous_receipt = receipt.hash();
        receipts.push(receipt);
    }
    receipts
}

/// What an operator hands out for a group.
fn hand_out(receipts: &[Receipt], operator: &Person) -> Vec<SignedReceipt> {
    let tree = ReceiptTree::new(receipts.iter().copied()).unwrap();
    let signature = sign_digest(&operator.key, tree.group().digest(&domain()));
    let with_path =
        |receipt: &Receipt| SignedReceipt { receipt: *receipt, group: tree.path(receipt.sequence), signature };
    receipts.iter().map(with_path).collect()
}

fn alone(receipt: Receipt, operator: &Person) -> SignedReceipt {
    let signature = sign_digest(&operator.key, domain().digest(receipt.hash()));
    SignedReceipt { receipt, group: None, signature }
}

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
}

#[test]
fn every_receipt_of_a_group_of_any_size_is_checked_alone() {
    let operator = person(100);
    for count in (1..=33).chain([1023, MAX_GROUP]) {
        for signed in hand_out(&chain(7, count, 0, B256::repeat_byte(9)), &operator).iter().step_by(1 + count / 40) {
            assert_eq!(signed.signer(&domain()), Ok(operator.address), "{count}: {signed:?}");
            assert!(signed.group.as_ref().is_some_and(|group| group.path.len() <= 12));
        }
    }
}

#[test]
fn two_receipts_in_one_place_are_proof_whatever_their_groups() {
    let operator = person(100);
    let start = B256::repeat_byte(9);
    // Groups that begin and end elsewhere, a group of one, and the form without a group.
    let fifth = |salt| chain(5, 1, salt, start)[0];
    let mut held = vec![
        hand_out(&chain(0, 16, 1, start), &operator)[5].clone(),
        hand_out(&chain(0, 16, 2, start), &operator)[5].clone(),
        hand_out(&chain(5, 3, 3, start), &operator)[0].clone(),
        hand_out(&chain(4, 2, 4, start), &operator)[1].clone(),
        fifth(5).sign(&domain(), &operator.key),
    ];
    held.push(alone(fifth(6), &operator));
    for (place, one) in held.iter().enumerate() {
        for (other_place, other) in held.iter().enumerate() {
            let proof = one.equivocates(other, &domain(), operator.address);
            assert_eq!(proof, place != other_place, "{one:?} {other:?}");
        }
    }
    // The same promise, signed again with others, is none.
    let receipts = chain(0, 8, 1, start);
    let (eight, five) = (hand_out(&receipts, &operator), hand_out(&receipts[..5], &operator));
    assert_eq!(five[3].signer(&domain()), Ok(operator.address));
    assert_ne!(eight[3].signature, five[3].signature);
    assert!(!eight[3].equivocates(&five[3], &domain(), operator.address));
}

#[test]
fn a_group_that_lies_about_count_place_or_way_is_not_the_operators() {
    let operator = person(100);
    for count in [1, 2, 3, 5, 8, 13] {
        let honest = hand_out(&chain(7, count, 0, B256::repeat_byte(9)), &operator);
        let lies = |signed: &SignedReceipt, lie: &dyn Fn(&mut Receipt, &mut GroupPath)| {
            let mut lying = signed.clone();
            lie(&mut lying.receipt, lying.group.as_mut().unwrap());
            assert_ne!(lying, *signed);
            assert_ne!(lying.signer(&domain()), Ok(operator.address), "{lying:?}");
        };
        for signed in &honest {
            for shift in [1, 2, 4] {
                lies(signed, &|_, group| group.count += shift);
                lies(signed, &|_, group| group.count = group.count.wrapping_sub(shift));
                lies(signed, &|_, group| group.first += shift);
                lies(signed, &|_, group| group.first -= shift);
                // The same receipt in another place of the tree: with the sequence, and with sequence and first.
                lies(signed, &|receipt, _| receipt.sequence += shift);
                lies(signed, &|receipt, group| {
                    (receipt.sequence, group.first) = (receipt.sequence + shift, group.first + shift);
                });
            }
            lies(signed, &|_, group| group.path.push(B256::ZERO));
            lies(signed, &|_, group| group.previous_receipt.0[0] ^= 1);
            lies(signed, &|receipt, _| receipt.previous_receipt.0[0] ^= 1);
            lies(signed, &|receipt, _| receipt.time += 1);
            lies(signed, &|_, group| (group.first, group.count) = (0, u64::MAX));
            lies(signed, &|_, group| group.count = 0);
            if count > 1 {
                lies(signed, &|_, group| group.path.truncate(group.path.len().saturating_sub(1)));
                lies(signed, &|_, group| group.path.reverse_and_flip());
            }
            // Without its group the signature is over something else.
            assert_ne!(SignedReceipt { group: None, ..signed.clone() }.signer(&domain()), Ok(operator.address));
        }
    }
}

trait Flip {
    fn reverse_and_flip(&mut self);
}

impl Flip for Vec<B256> {
    fn reverse_and_flip(&mut self) {
        self.reverse();
        self[0].0[31] ^= 1;
    }
}

#[test]
fn one_place_of_one_tree_has_one_receipt() {
    // An operator that builds its tree as it likes: two receipts with sequence 0 as the leaves of a group of two.
    let operator = person(100);
    let [one, two] = [1, 2].map(|salt| chain(0, 1, salt, B256::ZERO)[0]);
    let root = hash_node(&one.hash(), &two.hash());
    let sign = |count| {
        let group = ReceiptGroup { first: 0, count, previous_receipt: B256::ZERO, root };
        (count, sign_digest(&operator.key, group.digest(&domain())))
    };
    for (count, signature) in [sign(1), sign(2), sign(3), sign(4)] {
        let held = |receipt, sibling: Receipt| {
            let path = vec![sibling.hash()];
            let group = Some(GroupPath { first: 0, count, previous_receipt: B256::ZERO, path });
            SignedReceipt { receipt, group, signature }.signer(&domain()) == Ok(operator.address)
        };
        assert_eq!((held(one, two), held(two, one)), (count == 2, false), "{count}");
    }
}

#[test]
fn a_node_of_the_tree_is_no_receipt_and_no_other_tree() {
    // The hash of a node does not begin as a receipt's does, and a leaf alone is no node of two.
    let operator = person(100);
    let receipts = chain(0, 4, 0, B256::ZERO);
    let honest = hand_out(&receipts, &operator);
    let inner = hash_node(&receipts[0].hash(), &receipts[1].hash());
    assert_ne!(inner, keccak256([receipts[0].hash(), receipts[1].hash()].concat()));
    // Told as a group of two, whose leaves the inner nodes would be: what a way one shorter would need.
    let mut shorter = honest[0].clone();
    let group = shorter.group.as_mut().unwrap();
    (group.count, group.path) = (2, group.path.split_off(1));
    assert_ne!(shorter.signer(&domain()), Ok(operator.address));
    assert!(honest.iter().all(|signed| signed.receipt.hash() != inner));
}

#[test]
fn no_tree_is_made_of_what_is_no_chain() {
    let receipts = chain(3, 4, 0, B256::ZERO);
    assert!(ReceiptTree::new([]).is_none());
    assert!(ReceiptTree::new([receipts[0], receipts[2]]).is_none(), "a gap");
    assert!(ReceiptTree::new([receipts[0], receipts[0]]).is_none(), "one twice");
    assert!(ReceiptTree::new([receipts[0], Receipt { previous_receipt: B256::ZERO, ..receipts[1] }]).is_none());
    assert!(ReceiptTree::new(chain(0, MAX_GROUP + 1, 0, B256::ZERO)).is_none());
    let tree = ReceiptTree::new(receipts).unwrap();
    assert!(tree.path(2).is_none() && tree.path(7).is_none());
    assert_eq!([2, 3, 6, 7].map(|sequence| tree.holds(sequence)), [false, true, true, false]);
}

#[test]
fn json_reads_back_with_and_without_a_group() {
    let operator = person(100);
    let receipts = chain(4, 3, 0, B256::ZERO);
    for one in [hand_out(&receipts, &operator)[1].clone(), alone(receipts[0], &operator)] {
        let json = serde_json::to_value(&one).unwrap();
        assert_eq!(json["sequence"], one.receipt.sequence.to_string());
        assert_eq!(json.get("group").is_some(), one.group.is_some());
        assert_eq!(serde_json::from_value::<SignedReceipt>(json).unwrap(), one);
        assert_eq!(one.signer(&domain()), Ok(operator.address));
    }
}
