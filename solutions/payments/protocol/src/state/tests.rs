//! The tree against the definition, written down naively.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use alloy::primitives::{Address, B256};
use proptest::prelude::*;

use super::*;
use crate::{abi::hash_pair, testing::person};

/// The definition: hash of the subtree of `leaves` at `depth`.
fn naive(leaves: &[(Slot, B256)], depth: usize) -> B256 {
    match leaves {
        [] => B256::ZERO,
        [(_, leaf)] => *leaf,
        _ => {
            let (left, right): (Vec<_>, Vec<_>) = leaves.iter().partition(|(slot, _)| slot.bit(depth) == 0);
            hash_pair(&naive(&left, depth + 1), &naive(&right, depth + 1))
        }
    }
}

/// Accounts whose paths are long: the pairs among many whose slots share most bits, the longest 25 to 30.
static NEIGHBOURS: LazyLock<Vec<Address>> = LazyLock::new(|| {
    let mut all: Vec<(Slot, Address)> = (0..60_000u32)
        .map(|number| Address::from_slice(&keccak256(number.to_be_bytes())[12..]))
        .map(|account| (Slot::of(account), account))
        .collect();
    all.sort_unstable();
    let mut pairs: Vec<_> =
        all.windows(2).map(|pair| (pair[0].0.divergence(&pair[1].0), pair[0].1, pair[1].1)).collect();
    pairs.sort_unstable();
    let longest = &pairs[pairs.len() - 12..];
    assert!(longest[11].0 > Some(25), "{longest:?}");
    longest.iter().flat_map(|(_, one, other)| [*one, *other]).collect()
});

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
    assert!(witness.siblings.is_empty() && witness.leaf().is_empty());
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
    check(&|w| w.siblings.push(B256::ZERO));
    check(&|w| w.siblings.insert(0, B256::ZERO));
    check(&|w| w.siblings.insert(0, w.leaf().hash(w.account)));
    check(&|w| {
        w.siblings.remove(0);
    });
    check(&|w| w.siblings = vec![B256::ZERO; DEPTH + 1]);
    assert!(good.verify(root, person(4).address).is_err());
    assert!(good.verify(B256::repeat_byte(1), account).is_err());
    assert_eq!(good.verify(root, account), Ok(leaf(5)));
}

#[test]
fn a_single_account_is_the_whole_tree() {
    let (one, other) = (person(1).address, person(2).address);
    let state: State = [(one, leaf(7))].into_iter().collect();
    assert_eq!(state.root(), leaf(7).hash(one));
    // It is the other's neighbour, and so the proof that the other has nothing.
    let witness = state.witness(other);
    assert_eq!((witness.account, witness.leaf(), witness.siblings.len()), (one, leaf(7), 0));
    assert_eq!(witness.verify(state.root(), other), Ok(Leaf::default()));
    assert_eq!(witness.verify(state.root(), one), Ok(leaf(7)));
}

/// A leaf proves something of its own path only, whatever root is claimed.
#[test]
fn a_leaf_beside_its_own_path_proves_nothing() {
    let [account, other] = [person(1).address, person(2).address];
    let apart = Slot::of(account).divergence(&Slot::of(other)).unwrap();
    let mut witness = State::from_iter([(other, leaf(9))]).witness(account);
    for depth in 0..=DEPTH {
        witness.siblings = vec![B256::repeat_byte(3); depth];
        // The root to which it leads: only one who made it up could know it.
        let root = witness.climb(&Slot::of(account), leaf(9).hash(other));
        let expected = if depth <= apart { Ok(Found::Own(Leaf::default())) } else { Err(WitnessError::Place(other)) };
        assert_eq!(witness.find(root, account), expected, "at {depth}");
        assert_eq!(witness.root_with(account, leaf(1).hash(account)).is_ok(), depth <= apart);
    }
    witness.siblings.push(B256::ZERO);
    let held = DEPTH + 1;
    assert_eq!(witness.find(B256::ZERO, account), Err(WitnessError::Siblings { held }));
    assert_eq!(witness.root_with(account, B256::ZERO), Err(WitnessError::Siblings { held }));
}

/// Nothing that lies in a tree can be shown as something else that lies in it.
#[test]
fn an_inner_node_is_no_end() {
    let state: State = (0..20).map(|i| (person(i).address, leaf(5))).collect();
    for number in 0..40 {
        let account = person(number).address;
        let good = state.witness(account);
        for end in [Leaf::default(), leaf(5)] {
            for length in (0..good.siblings.len()).chain([good.siblings.len() + 1]) {
                let mut siblings = good.siblings.clone();
                siblings.reverse();
                siblings.resize(length, B256::ZERO);
                siblings.reverse();
                let forged = Witness::new(account, end, siblings);
                assert!(forged.find(state.root(), account).is_err());
            }
        }
    }
}

impl State {
    /// A state that cannot be: `holder` lies in the slot of `wanted`, as if their hashes shared 160 bits.
    pub(crate) fn squat(&mut self, wanted: Address, holder: Address, leaf: Leaf) {
        self.tree.set(tree::Entry { slot: Slot::of(wanted), account: holder, leaf });
    }
}

#[test]
fn a_slot_held_by_another_is_told_apart() {
    let (wanted, holder) = (person(1).address, person(2).address);
    let mut state = State::new();
    state.squat(wanted, holder, leaf(9));
    assert_eq!(state.find(wanted), Found::Taken(holder));
    assert_eq!(state.leaf(wanted), Leaf::default());
    assert_eq!(state.find(holder), Found::Own(Leaf::default()));
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

    /// One state has one root, whatever the way to it, and each account one witness of it.
    #[test]
    fn the_order_of_writes_leaves_no_trace(
        kept in prop::collection::btree_set(0usize..24, 0..24), order in Just((0..24usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let accounts = &*NEIGHBOURS;
        let leaves: BTreeMap<_, _> = kept.iter().map(|at| (accounts[*at], leaf(3))).collect();
        let straight: State = leaves.clone().into_iter().collect();
        prop_assert_eq!(straight.root(), naive_root(&leaves));
        let mut winding = State::new();
        for at in &order {
            winding.set(accounts[*at], leaf(1));
            prop_assert!(!winding.root().is_zero());
        }
        for at in &order {
            winding.set(accounts[*at], if kept.contains(at) { leaf(3) } else { Leaf::default() });
        }
        prop_assert_eq!(winding.root(), straight.root());
        for &account in accounts {
            let witness = winding.witness(account);
            prop_assert_eq!(&witness, &straight.witness(account));
            prop_assert_eq!(witness.verify(straight.root(), account), Ok(straight.leaf(account)));
        }
    }

    /// Insertion beside a neighbour, however many bits the two share, from nothing but witnesses: what the gateway does.
    #[test]
    fn witnesses_alone_build_the_tree(order in Just((0..24usize).collect::<Vec<_>>()).prop_shuffle()) {
        let (accounts, mut state) = (&*NEIGHBOURS, State::new());
        for at in order {
            let account = accounts[at];
            let witness = state.witness(account);
            prop_assert_eq!(witness.root_with(account, B256::ZERO), Ok(state.root()));
            state.set(account, leaf(2));
            prop_assert_eq!(witness.root_with(account, leaf(2).hash(account)), Ok(state.root()));
            let own = state.witness(account);
            state.set(account, leaf(4));
            prop_assert_eq!(own.root_with(account, leaf(4).hash(account)), Ok(state.root()));
        }
    }

    /// A witness is also a way to write: what the gateway does in a contest.
    #[test]
    fn a_witness_leads_to_the_root_after_a_write(
        present in prop::collection::btree_set(0u8..60, 0..40), number in 0u8..60, balance in 1u128..3,
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
