//! Trees in which paths have as many siblings as there are levels. Nobody can fill a tree so, but an operator can claim
//! the root of one, and whoever contests the chunk after it must prove on that root.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256, keccak256};
use payments_protocol::signature::address_of;
use payments_protocol::state::Slot;
use payments_protocol::{Batch, Contest, Domain, Leaf, Message, Record, Witness};
use secp256k1::SecretKey;

/// Levels of a path.
const DEPTH: usize = 160;
/// Chunks of a batch, and messages of a chunk, at most.
const CHUNKS: usize = 120;
const CHUNK: usize = 8;

/// Whether a path has a sibling at the depth.
pub(crate) type Dense = fn(usize) -> bool;

/// A false batch of 120 chunks whose last is eight payments among distinct accounts with a fee for the proposer, on a root
/// that only its maker can prove; and the proof against it.
pub(crate) struct Fraud {
    pub(crate) batch: Batch,
    pub(crate) contest: Contest,
}

/// `dense` says below which depths a path has a sibling. Values, nonces and fees are such that few bytes are zero. Without
/// `recipients` those who are paid have no leaf before, which takes a tree that is not dense.
pub(crate) fn fraud(domain: &Domain, operator: Address, keys: &[SecretKey], dense: Dense, recipients: bool) -> Fraud {
    let address = |key: &SecretKey| address_of(&key.public_key());
    let rich = Leaf { balance: u128::MAX / 3, withdrawn: u128::MAX / 5, nonce: u64::MAX / 3, head: keccak256("head") };
    let mut forest = Forest::new(dense);
    let present = if recipients { keys.len() } else { CHUNK };
    for account in keys[..present].iter().map(address).chain([operator]) {
        forest.set(account, rich);
    }
    let previous_root = forest.root();
    let mut witnesses = Vec::new();
    let mut chunk = Vec::new();
    let (value, fee) = ((1 << 96) / 3 * 2, 1_000_000_000 * 0xfefe_fefe);
    for (key, to) in keys.iter().zip(keys.iter().skip(CHUNK).map(address)) {
        let from = address(key);
        let message = Message::payment(from, &rich, to, value, fee);
        witnesses.push(forest.witness(from));
        let nonce = rich.nonce + 1;
        forest.set(from, Leaf { balance: rich.balance - value - fee, nonce, head: message.id(), ..rich });
        witnesses.push(forest.witness(to));
        let before = if recipients { rich } else { Leaf::default() };
        forest.set(to, Leaf { balance: before.balance + value, ..before });
        chunk.push(message.sign(domain, key).record().unwrap());
    }
    witnesses.push(forest.witness(operator));

    let mut data = vec![0xee; (CHUNKS - 1) * CHUNK * Record::LENGTH];
    data.extend(Record::encode_all(&chunk));
    let mut roots = vec![keccak256("some root"); CHUNKS];
    roots[CHUNKS - 2] = previous_root;
    let batch = Batch {
        id: 1,
        previous_commitment: B256::ZERO,
        proposer: operator,
        inbox_start: 0,
        inbox_end: 0,
        roots,
        records: data.into(),
    };
    let contest = Contest {
        preimage: batch.preimage(),
        chunk: CHUNKS - 1,
        previous_data_hash: batch.data_hash(CHUNKS - 2),
        previous_root,
        claimed_root: batch.last_root(),
        items: Vec::new(),
        records: Record::encode_all(&chunk).into(),
        witnesses,
    };
    Fraud { batch, contest }
}

/// A tree in which subtrees without an account of ours have some hash that is not zero.
struct Forest {
    accounts: BTreeMap<B256, (Address, Leaf)>,
    /// Whether subtrees that begin at this depth do.
    dense: Dense,
}

impl Forest {
    fn new(dense: Dense) -> Self {
        Self { accounts: BTreeMap::new(), dense }
    }

    fn key(account: Address) -> B256 {
        let mut key = keccak256(account);
        key[20..].fill(0);
        key
    }

    fn bit(key: &B256, depth: usize) -> bool {
        key[depth / 8] >> (7 - depth % 8) & 1 == 1
    }

    fn set(&mut self, account: Address, leaf: Leaf) {
        self.accounts.insert(Self::key(account), (account, leaf));
    }

    fn root(&self) -> B256 {
        self.node(0, &self.accounts.keys().copied().collect::<Vec<_>>(), B256::ZERO)
    }

    /// Whether the subtree at `depth` over these accounts is no more than the one leaf in it.
    fn is_leaf(&self, depth: usize, keys: &[B256]) -> bool {
        keys.len() == 1 && (depth + 1..=DEPTH).all(|below| !(self.dense)(below))
    }

    /// The node at `depth` on the path of `prefix` over these accounts.
    fn node(&self, depth: usize, keys: &[B256], prefix: B256) -> B256 {
        let Some(first) = keys.first() else {
            return match (self.dense)(depth) {
                true => keccak256([&prefix[..], &[depth as u8]].concat()),
                false => B256::ZERO,
            };
        };
        if self.is_leaf(depth, keys) {
            let (account, leaf) = self.accounts[first];
            return leaf.hash(account);
        }
        let (right, left): (Vec<B256>, Vec<B256>) = keys.iter().partition(|key| Self::bit(key, depth));
        let mut children = left_and_right(prefix, depth).into_iter().zip([left, right]);
        let mut child = || children.next().map(|(prefix, keys)| self.node(depth + 1, &keys, prefix)).unwrap();
        keccak256([child().0, child().0].concat())
    }

    fn witness(&self, account: Address) -> Witness {
        let key = Self::key(account);
        let mut keys: Vec<_> = self.accounts.keys().copied().collect();
        let (mut prefix, mut depth, mut siblings) = (B256::ZERO, 0, Vec::new());
        while !keys.is_empty() && !self.is_leaf(depth, &keys) {
            let [left, right] = left_and_right(prefix, depth);
            let (own, other) = if Self::bit(&key, depth) { (right, left) } else { (left, right) };
            let (mine, others): (Vec<B256>, Vec<B256>) =
                keys.iter().partition(|other| Self::bit(other, depth) == Self::bit(&key, depth));
            siblings.push(self.node(depth + 1, &others, other));
            (keys, prefix, depth) = (mine, own, depth + 1);
        }
        siblings.reverse();
        let (account, leaf) = keys.first().map_or((account, Leaf::default()), |end| self.accounts[end]);
        let Leaf { balance, withdrawn, nonce, head } = leaf;
        Witness { account, balance, withdrawn, nonce, head, siblings }
    }
}

fn left_and_right(prefix: B256, depth: usize) -> [B256; 2] {
    let mut right = prefix;
    right[depth / 8] |= 1 << (7 - depth % 8);
    [prefix, right]
}

#[test]
fn a_forest_is_a_tree_of_the_protocol() {
    let people = ["a", "b", "c"].map(|name| SecretKey::from_secret_bytes(keccak256(name).0).unwrap());
    let [a, b, c] = people.map(|key| address_of(&key.public_key()));
    assert_ne!(Slot::of(a), Slot::of(b));
    for dense in [|_| true, |_| false, |depth| depth % 3 == 1] as [Dense; 3] {
        let mut forest = Forest::new(dense);
        for account in [a, b, c] {
            forest.set(account, Leaf { balance: 1, ..Leaf::default() });
        }
        assert_eq!(forest.witness(b).verify(forest.root(), b).unwrap().balance, 1);
    }
}
