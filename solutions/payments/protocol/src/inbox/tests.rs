//! Item hashes against alloy's ABI encoding; the accumulator's rules.

use alloy::{primitives::keccak256, sol_types::SolValue};

use super::*;
use crate::testing::{deposit, domain, forced_exit, person};

#[test]
fn hashes_are_abi_encodings() {
    let item = deposit(7, person(1).address, 12345);
    let reference = (
        item.index,
        alloy::primitives::U256::from(1),
        item.who,
        item.value,
        item.fee,
        item.time,
        item.message_id,
        item.depositor,
    );
    assert_eq!(item.hash(), keccak256(reference.abi_encode()));
    let head = (domain().gateway(), domain().chain_id(), 7u64, item.hash());
    assert_eq!(item.exit_head(&domain()), keccak256(head.abi_encode()));
}

#[test]
fn follows_and_goes_back() {
    let mut inbox = Inbox::new();
    assert_eq!(inbox.accumulator(0), Some(B256::ZERO));
    let items = [deposit(0, person(1).address, 1), forced_exit(1, person(2).address), deposit(2, person(3).address, 3)];
    for item in items {
        inbox.push(item).unwrap();
    }
    let expected = items.iter().fold(B256::ZERO, accumulate);
    assert_eq!(inbox.accumulator(3), Some(expected));
    assert_eq!(inbox.accumulator(4), None);
    assert_eq!(inbox.push(items[0]), Err(OutOfOrder { expected: 3, found: 0 }));
    assert_eq!(inbox.range(1, 3), Some(&items[1..]));
    assert_eq!(inbox.range(1, 4), None);
    assert_eq!(inbox.range(3, 1), None);

    let before = inbox.accumulator(1);
    inbox.truncate(1);
    assert_eq!((inbox.len(), inbox.accumulator(1), inbox.accumulator(2)), (1, before, None));
    inbox.push(deposit(1, person(9).address, 9)).unwrap();
    assert_ne!(inbox.accumulator(2), Some(items[..2].iter().fold(B256::ZERO, accumulate)));
}
