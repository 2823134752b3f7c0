//! The tree against the definition, written down naively.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256, U160};
use proptest::prelude::*;

use super::*;
use crate::{abi::hash_pair, testing::person};

/// The definition: hash of the subtree of `leaves` at `depth`.
fn naive(leaves: &[(Slot, B256)], depth: usize) -> B256 {
    if leaves.is_empty() {
        return B256::ZERO;
    }
    if depth == DEPTH {
        return leaves[0].1;
    }
    let (left, right): (Vec<_>, Vec<_>) = leaves.iter().partition(|(slot, _)| slot.bit(depth) == 0);
    let (left, right) = (naive(&left, depth + 1), naive(&right, depth + 1));
    if left.is_zero() && right.is_zero() { B256::ZERO } else { hash_pair(&left, &right) }
}

fn naive_root(accounts: &BTreeMap<Address, Leaf>) -> B256 {
    let leaves: Vec<_> = accounts
        .iter()
        .filter(|(_, leaf)| !leaf.is_empty())
        .map(|(account, leaf)| (Slot::of(*account), leaf.hash(*account)))
        .collect();
    naive(&leaves, 0)
}

fn leaf(balance: u128) -> Leaf {
    Leaf { balance, ..Default::default() }
}

#[test]
fn an_empty_state_has_root_zero() {
    let state = State::new();
    assert_eq!(state.root(), B256::ZERO);
    let witness = state.witness(person(1).address);
    assert_eq!((witness.bitmap, witness.siblings.len()), (U160::ZERO, 0));
    assert_eq!(witness.verify(B256::ZERO, person(1).address), Ok(Leaf::default()));
}

#[test]
fn a_clone_keeps_what_it_was() {
    let mut state: State = (0..50).map(|i| (person(i).address, leaf(1 + u128::from(i)))).collect();
    let (before, root) = (state.clone(), state.root());
    for i in 0..100 {
        state.set(person(i).address, leaf(1000));
    }
    assert_eq!((before.root(), before.len()), (root, 50));
    assert_eq!(before.leaf(person(7).address).balance, 8);
    assert_eq!(state.len(), 100);
    assert_ne!(state.root(), root);
}

#[test]
fn an_absent_account_is_proven_absent() {
    let state: State = (0..20).map(|i| (person(i).address, leaf(5))).collect();
    for i in 20..60 {
        let witness = state.witness(person(i).address);
        assert_eq!(witness.verify(state.root(), person(i).address), Ok(Leaf::default()));
    }
}

#[test]
fn a_witness_proves_one_leaf_in_one_state_only() {
    let state: State = (0..20).map(|i| (person(i).address, leaf(5))).collect();
    let (account, root) = (person(3).address, state.root());
    let good = state.witness(account);
    let check = |change: &dyn Fn(&mut Witness)| {
        let mut witness = good.clone();
        change(&mut witness);
        assert!(witness.verify(root, account).is_err(), "{witness:?}");
    };
    check(&|w| w.balance += 1);
    check(&|w| w.withdrawn += 1);
    check(&|w| w.nonce += 1);
    check(&|w| w.head = B256::with_last_byte(1));
    check(&|w| w.account = person(4).address);
    check(&|w| w.siblings[0] = B256::with_last_byte(1));
    check(&|w| w.siblings.swap(0, 1));
    check(&|w| {
        w.siblings.pop();
    });
    check(&|w| w.siblings.push(B256::with_last_byte(1)));
    check(&|w| w.bitmap <<= 1);
    check(&|w| w.bitmap |= U160::from(1));
    assert!(good.verify(root, person(4).address).is_err());
    assert!(good.verify(B256::repeat_byte(1), account).is_err());
    assert_eq!(good.verify(root, account), Ok(leaf(5)));
}

#[test]
fn a_slot_held_by_another_is_told_apart() {
    // No one can make two addresses share 160 bits of a hash, but a false state can say so.
    let (wanted, holder) = (person(1).address, person(2).address);
    let mut state = State::new();
    state.tree.set(tree::Entry { slot: Slot::of(wanted), account: holder, leaf: leaf(9) });
    assert_eq!(state.find(wanted), Found::Taken(holder));
    assert_eq!(state.leaf(wanted), Leaf::default());
    let witness = state.witness(wanted);
    assert_eq!(witness.find(state.root(), wanted), Ok(Found::Taken(holder)));
    assert_eq!(witness.verify(state.root(), wanted), Err(WitnessError::Taken(holder)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn agrees_with_the_definition(
        writes in prop::collection::vec((0u8..40, 0u128..4, 0u64..2), 1..80),
    ) {
        let mut state = State::new();
        let mut accounts = BTreeMap::new();
        for (number, balance, nonce) in writes {
            let account = person(number).address;
            let leaf = Leaf { balance, nonce, ..Default::default() };
            state.set(account, leaf);
            accounts.insert(account, leaf);
        }
        prop_assert_eq!(state.root(), naive_root(&accounts));
        accounts.retain(|_, leaf| !leaf.is_empty());
        prop_assert_eq!(state.len(), accounts.len());
        prop_assert_eq!(state.iter().collect::<BTreeMap<_, _>>(), accounts);
        let rebuilt: State = state.iter().collect();
        prop_assert_eq!(&rebuilt, &state);
        for number in 0..50 {
            let account = person(number).address;
            let found = state.witness(account).verify(state.root(), account);
            prop_assert_eq!(found, Ok(state.leaf(account)));
        }
    }

    /// A witness is also a way to write: what the gateway does in a contest.
    #[test]
    fn a_witness_leads_to_the_root_after_a_write(
        present in prop::collection::btree_set(0u8..60, 0..40), number in 0u8..60, balance in 0u128..3,
    ) {
        let mut state: State = present.iter().map(|i| (person(*i).address, leaf(7))).collect();
        let account = person(number).address;
        let witness = state.witness(account);
        let after = leaf(balance);
        state.set(account, after);
        prop_assert_eq!(witness.root_with(account, after.hash(account)), Ok(state.root()));
    }
}

#[test]
fn hashing_part_by_part_gives_the_same_root() {
    for accounts in [0u32, 1, 2, 50, 2_000] {
        let fill = || -> State {
            let account = |n: u32| Address::from_slice(&keccak256(n.to_be_bytes())[..20]);
            (0..accounts).map(|n| (account(n), Leaf { balance: u128::from(n) + 1, ..Leaf::default() })).collect()
        };
        let (whole, parts) = (fill(), fill());
        for part in (0..=u8::MAX).rev() {
            parts.hash_part(part);
        }
        assert_eq!(parts.root(), whole.root());
    }
}
