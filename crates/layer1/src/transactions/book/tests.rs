//! Nonce ledger and transaction following against a model of the world: a chain that reorganises, a node that forgets and
//! refuses, a miner who takes what it likes, another wallet with the same key, and a process that is killed at any moment.
//!
//! What must hold after every step: transactions of different intents never share a nonce, and what is stored and not
//! settled is followed. What must hold once the world is quiet: every nonce up to the highest is mined, one transaction
//! for each; the log says of every transaction what the chain says.
//!
//! `PROPTEST_CASES` sets the cases per seed, `ENTRESOL_SEED` one seed instead of the fixed ones.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718 as _;
use alloy::primitives::{Signature, U256};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use super::follow::NonceUse;
use super::*;
use crate::tracker::BlockRef;
use crate::transactions::Inclusion;

const SEEDS: [u64; 4] = [1, 2, 3, 4];
const CASES: u32 = 256;
const CONFIRMATIONS: u64 = 3;
const BURIAL: u64 = 6;
const ACCOUNTS: u64 = 2;

#[derive(Clone, Debug)]
enum Op {
    /// Reserve a nonce for a new intent.
    Prepare(u64),
    /// Sign and submit a prepared one; the node answers so; the process is killed there.
    Submit(usize, Node, Kill),
    /// Give a prepared one back.
    Release(usize),
    /// Replace a stored one.
    Replace(usize, Node, Kill),
    /// Look at everything, while broadcasts are answered so.
    Look(Node),
    /// The tracker sees the chain.
    Track,
    /// A block with at most so many transactions; where several compete for a nonce, this one of them.
    Mine(usize, usize),
    /// Another wallet with the same key gets the next nonce.
    Elsewhere(u64),
    /// So many blocks are undone and so many empty ones take their place.
    Reorg(u64, u64),
    /// The node forgets what waits.
    Forget,
    /// The process is killed and starts again.
    Kill,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Takes,
    Refuses,
    /// It gets the transaction, and its answer is lost.
    TakesSilently,
    Away,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kill {
    No,
    AfterStoring,
    AfterBroadcast,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let node = || prop_oneof![6 => Just(Node::Takes), 1 => Just(Node::Refuses), 1 => Just(Node::TakesSilently), 1 => Just(Node::Away)];
    let kill = || prop_oneof![8 => Just(Kill::No), 1 => Just(Kill::AfterStoring), 1 => Just(Kill::AfterBroadcast)];
    let op = prop_oneof![
        4 => (0..ACCOUNTS).prop_map(Op::Prepare),
        5 => (any::<usize>(), node(), kill()).prop_map(|(which, node, kill)| Op::Submit(which, node, kill)),
        1 => any::<usize>().prop_map(Op::Release),
        3 => (any::<usize>(), node(), kill()).prop_map(|(which, node, kill)| Op::Replace(which, node, kill)),
        4 => node().prop_map(Op::Look),
        3 => Just(Op::Track),
        5 => (0..4_usize, any::<usize>()).prop_map(|(most, choice)| Op::Mine(most, choice)),
        1 => (0..ACCOUNTS).prop_map(Op::Elsewhere),
        3 => (1..BURIAL, 0..BURIAL).prop_map(|(undone, new)| Op::Reorg(undone, new)),
        1 => Just(Op::Forget),
        1 => Just(Op::Kill),
    ];
    proptest::collection::vec(op, 1..70)
}

/// A transaction as the network sees it.
#[derive(Clone, Debug)]
struct Tx {
    hash: B256,
    from: Address,
    nonce: u64,
    offer: u128,
}

#[derive(Clone, Debug)]
struct Block {
    hash: B256,
    txs: Vec<Tx>,
}

/// Something that was prepared and not submitted: lost when the process is killed.
#[derive(Clone, Debug)]
struct Prepared {
    from: Address,
    nonce: u64,
    intent: u64,
}

#[derive(Default)]
struct World {
    chain: Vec<Block>,
    highest: usize,
    pool: BTreeMap<(Address, u64), Tx>,
    /// What reached the network once: a miner may have kept it.
    seen: BTreeMap<B256, Tx>,
    log: Vec<StoredTransaction>,
    /// Which intent a stored transaction is of; a replacement is of the intent of what it replaces.
    intents: BTreeMap<B256, u64>,
    book: Book,
    prepared: Vec<Prepared>,
    view: Vec<BlockRef>,
    /// The tracker knows blocks from here on: where it started.
    tracked_from: usize,
    ids: u64,
    kills: usize,
    undone: usize,
}

type Check = Result<(), TestCaseError>;

fn account(index: u64) -> Address {
    Address::left_padding_from(&[0xaa, index as u8])
}

impl World {
    fn new() -> Self {
        let mut world = Self::default();
        for _ in 0..BURIAL {
            world.add_block(Vec::new());
        }
        world.track();
        world
    }

    fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    fn add_block(&mut self, txs: Vec<Tx>) {
        let hash = B256::left_padding_from(&self.id().to_be_bytes());
        for tx in &txs {
            self.pool.remove(&(tx.from, tx.nonce));
        }
        self.chain.push(Block { hash, txs });
        self.highest = self.highest.max(self.chain.len());
    }

    /// The count of an account's transactions in the first so many blocks.
    fn count(&self, from: Address, blocks: usize) -> u64 {
        self.chain.iter().take(blocks).flat_map(|block| &block.txs).filter(|tx| tx.from == from).count() as u64
    }

    fn pending(&self, from: Address) -> u64 {
        let mut count = self.count(from, self.chain.len());
        while self.pool.contains_key(&(from, count)) {
            count += 1;
        }
        count
    }

    fn find(&self, hash: B256) -> Option<(usize, &Block)> {
        self.chain.iter().enumerate().find(|(_, block)| block.txs.iter().any(|tx| tx.hash == hash))
    }

    fn track(&mut self) {
        let from = self.tracked_from.max(self.chain.len().saturating_sub(BURIAL as usize));
        let recent = self.chain.iter().enumerate().skip(from.min(self.chain.len() - 1));
        self.view = recent.map(|(number, block)| BlockRef { number: number as u64, hash: block.hash }).collect();
    }

    fn with_view<T>(&self, act: impl FnOnce(&View<'_>) -> T) -> T {
        act(&View { recent: &self.view, confirmations: CONFIRMATIONS, burial: BURIAL, agreed: true })
    }

    fn head(&self) -> u64 {
        self.view.last().map_or(0, |block| block.number)
    }

    /// What the node says; `None` when the tracker is ahead of it.
    fn observe(&self, stored: &StoredTransaction) -> Option<Observation> {
        if let Some((number, block)) = self.find(stored.hash) {
            return Some(Observation::Mined(Inclusion {
                block_number: number as u64,
                block_hash: block.hash,
                gas_used: 21_000,
                effective_gas_price: 1,
                success: true,
            }));
        }
        if self.pool.get(&(stored.from, stored.nonce)).is_some_and(|tx| tx.hash == stored.hash) {
            return Some(Observation::Pending);
        }
        let head = self.head();
        let mut nonce = NonceUse::No;
        for (depth, found) in
            [(0, NonceUse::Recent), (CONFIRMATIONS - 1, NonceUse::Confirmed), (BURIAL - 1, NonceUse::Buried)]
        {
            let Some(block) = head.checked_sub(depth) else { break };
            if block as usize >= self.chain.len() {
                return None;
            }
            if self.count(stored.from, block as usize + 1) <= stored.nonce {
                break;
            }
            nonce = found;
        }
        Some(Observation::Unknown { nonce })
    }

    fn broadcast(&mut self, stored: &StoredTransaction, node: Node) -> Answer {
        let refused = |reason: &str| Answer::Refused { reason: reason.to_owned(), for_now: false };
        let offer = offered(&stored.raw).expect("a transaction").0;
        let tx = Tx { hash: stored.hash, from: stored.from, nonce: stored.nonce, offer };
        match node {
            Node::Away => return Answer::None,
            Node::Refuses => return refused("insufficient funds"),
            Node::Takes | Node::TakesSilently => {}
        }
        if self.find(stored.hash).is_some() {
            return Answer::Taken;
        }
        if self.count(stored.from, self.chain.len()) > stored.nonce {
            return refused("nonce too low");
        }
        let slot = (stored.from, stored.nonce);
        let known = self.pool.get(&slot);
        if known.is_some_and(|known| known.hash != tx.hash && tx.offer * 10 < known.offer * 11) {
            return refused("replacement transaction underpriced");
        }
        self.seen.insert(tx.hash, tx.clone());
        self.pool.insert(slot, tx);
        if node == Node::Takes { Answer::Taken } else { Answer::None }
    }

    fn record(&mut self, hash: B256, status: TransactionStatus) {
        if let Some(one) = self.log.iter_mut().find(|one| one.hash == hash) {
            let was_confirmed = matches!(one.status, TransactionStatus::Confirmed(_));
            self.undone += usize::from(was_confirmed && !matches!(status, TransactionStatus::Confirmed(_)));
            one.status = status.clone();
        }
        self.book.set(hash, status);
    }

    fn send(&mut self, stored: &StoredTransaction, node: Node, kill: Kill) {
        if kill == Kill::AfterStoring {
            return self.restart();
        }
        let answer = self.broadcast(stored, node);
        if kill == Kill::AfterBroadcast {
            return self.restart();
        }
        if let Some(status) = self.book.answered(stored.hash, answer) {
            self.record(stored.hash, status);
        }
    }

    fn look(&mut self, node: Node) {
        for hash in self.book.followed() {
            let Some(stored) = self.book.transaction(hash) else { continue };
            let decision = match self.with_view(|view| self.book.decide_by_view(hash, view)) {
                Some(decision) => decision,
                None => {
                    let Some(observation) = self.observe(&stored) else { continue };
                    self.with_view(|view| self.book.decide(hash, observation, view))
                }
            };
            for step in Book::steps(decision) {
                match step {
                    Step::Record(status) => self.record(hash, status),
                    Step::Broadcast => {
                        let answer = self.broadcast(&stored, node);
                        if let Some(status) = self.book.answered(hash, answer) {
                            self.record(hash, status);
                        }
                    }
                    Step::Bury => self.book.bury(hash),
                }
            }
        }
    }

    /// A new process: the book from the log, the tracker from the head on.
    fn restart(&mut self) {
        self.kills += 1;
        self.book = Book::default();
        self.prepared.clear();
        self.tracked_from = self.chain.len() - 1;
        self.track();
        for stored in &self.log {
            let recent = !matches!(stored.status, TransactionStatus::Failed { .. });
            if recent {
                self.book.resume(stored.clone(), self.view.last().map_or(0, |block| block.number));
            }
        }
    }

    fn prepare(&mut self, from: Address) -> Result<Option<Prepared>, TestCaseError> {
        let settlements = self.book.settlements();
        let pending = self.pending(from);
        let nonce = self.book.reserve(from, pending, settlements, Instant::now());
        let Some(nonce) = nonce else { return Err(TestCaseError::fail("no nonce was left")) };
        let prepared = Prepared { from, nonce, intent: self.id() };
        prop_assert!(
            !self.prepared.iter().any(|one| (one.from, one.nonce) == (from, nonce)),
            "promised twice: {prepared:?}"
        );
        self.prepared.push(prepared.clone());
        Ok(Some(prepared))
    }

    fn sign(&mut self, from: Address, nonce: u64, offer: u128) -> StoredTransaction {
        let value = U256::from(self.id());
        let tx = TxEip1559 {
            chain_id: 1,
            nonce,
            max_fee_per_gas: offer,
            max_priority_fee_per_gas: 1,
            value,
            ..TxEip1559::default()
        };
        let envelope = TxEnvelope::from(tx.into_signed(Signature::test_signature()));
        StoredTransaction {
            hash: *envelope.tx_hash(),
            chain_id: 1,
            from,
            nonce,
            raw: envelope.encoded_2718().into(),
            approval_id: None,
            solution: None,
            purpose: "test".to_owned(),
            status: TransactionStatus::Stored,
        }
    }

    fn submit(&mut self, prepared: &Prepared, node: Node, kill: Kill) -> Check {
        let stored = self.sign(prepared.from, prepared.nonce, 1_000);
        prop_assert_eq!(self.book.claim(stored.from, stored.nonce), None, "a promised nonce was taken by another");
        self.log.push(stored.clone());
        self.intents.insert(stored.hash, prepared.intent);
        self.book.adopt(stored.clone(), self.head());
        self.send(&stored, node, kill);
        Ok(())
    }

    fn replace(&mut self, which: usize, node: Node, kill: Kill) {
        let open: Vec<_> = self.book.open().into_iter().map(|one| (one.hash, one.from, one.nonce)).collect();
        let Some(&(old, from, nonce)) = open.get(which % open.len().max(1)) else { return };
        let waits = |status: &TransactionStatus| {
            matches!(status, TransactionStatus::Stored | TransactionStatus::Broadcast | TransactionStatus::Superseded)
        };
        if !self.book.statuses(from, nonce).iter().all(waits) {
            return;
        }
        let offer = self.book.highest_offer(from, nonce).0 * 9 / 8 + 1;
        let stored = self.sign(from, nonce, offer);
        self.record(old, TransactionStatus::Superseded);
        self.log.push(stored.clone());
        let intent = self.intents.get(&old).copied().unwrap_or_default();
        self.intents.insert(stored.hash, intent);
        self.book.adopt(stored.clone(), self.head());
        self.send(&stored, node, kill);
    }

    fn mine(&mut self, most: usize, choice: usize) {
        let mut txs = Vec::new();
        for index in 0..ACCOUNTS {
            let from = account(index);
            let mut nonce = self.count(from, self.chain.len());
            while txs.len() < most && self.pool.contains_key(&(from, nonce)) {
                // A miner may have another of the competitors in its pool.
                let rivals: Vec<&Tx> = self.seen.values().filter(|tx| (tx.from, tx.nonce) == (from, nonce)).collect();
                let Some(tx) = rivals.get(choice % rivals.len().max(1)) else { break };
                txs.push((*tx).clone());
                nonce += 1;
            }
        }
        self.add_block(txs);
    }

    fn elsewhere(&mut self, from: Address) {
        let nonce = self.count(from, self.chain.len());
        let hash = B256::left_padding_from(&[&[0xee_u8][..], &self.id().to_be_bytes()].concat());
        let tx = Tx { hash, from, nonce, offer: 1 };
        self.add_block(vec![tx]);
    }

    fn reorg(&mut self, undone: u64, new: u64) {
        // Nothing that was buried once is ever undone: that is what the limit means.
        let floor = (self.highest + 1).saturating_sub(BURIAL as usize);
        let keep = self.chain.len().saturating_sub(undone as usize).max(floor).max(1);
        let removed: Vec<Block> = self.chain.drain(keep.min(self.chain.len())..).collect();
        for tx in removed.into_iter().flat_map(|block| block.txs) {
            if self.seen.contains_key(&tx.hash) {
                let slot = (tx.from, tx.nonce);
                let better = self.pool.get(&slot).is_none_or(|known| known.offer <= tx.offer);
                if better {
                    self.pool.insert(slot, tx);
                }
            }
        }
        for _ in 0..new {
            self.add_block(Vec::new());
        }
    }

    fn act(&mut self, op: Op) -> Check {
        match op {
            Op::Prepare(index) => {
                self.prepare(account(index))?;
            }
            Op::Submit(which, node, kill) if !self.prepared.is_empty() => {
                let prepared = self.prepared.remove(which % self.prepared.len());
                // Another wallet may have used the nonce meanwhile; the node will say so.
                self.submit(&prepared, node, kill)?;
            }
            Op::Release(which) if !self.prepared.is_empty() => {
                let prepared = self.prepared.remove(which % self.prepared.len());
                self.book.release(prepared.from, prepared.nonce);
            }
            Op::Submit(..) | Op::Release(_) => {}
            Op::Replace(which, node, kill) => self.replace(which, node, kill),
            Op::Look(node) => self.look(node),
            Op::Track => self.track(),
            Op::Mine(most, choice) => self.mine(most, choice),
            Op::Elsewhere(index) => self.elsewhere(account(index)),
            Op::Reorg(undone, new) => self.reorg(undone, new),
            Op::Forget => self.pool.clear(),
            Op::Kill => self.restart(),
        }
        self.always()
    }

    /// What holds after every step.
    fn always(&self) -> Check {
        let mut holders: BTreeMap<(Address, u64), u64> = BTreeMap::new();
        for stored in self.log.iter().filter(|one| !matches!(one.status, TransactionStatus::Failed { .. })) {
            let intent = self.intents[&stored.hash];
            // An intent that lost its nonce for good to another wallet keeps it from nobody.
            let lost = stored.status == TransactionStatus::Replaced && self.find(stored.hash).is_none();
            let first = *holders.entry((stored.from, stored.nonce)).or_insert(intent);
            prop_assert!(first == intent || lost, "two intents with nonce {}: {:?}", stored.nonce, self.log);
        }
        let followed: BTreeSet<B256> = self.book.followed().into_iter().collect();
        for stored in self.log.iter().filter(|one| !one.status.is_settled()) {
            prop_assert!(followed.contains(&stored.hash), "{} is lost", stored.hash);
            prop_assert_eq!(self.book.status(stored.hash), Some(stored.status.clone()), "log and book differ");
        }
        Ok(())
    }

    /// Lets the world come to rest, filling gaps as a user who goes on would.
    fn quiet(&mut self) -> Check {
        for prepared in std::mem::take(&mut self.prepared) {
            self.book.release(prepared.from, prepared.nonce);
        }
        for _ in 0..4 {
            for _ in 0..BURIAL + 2 {
                self.track();
                self.look(Node::Takes);
                self.mine(usize::MAX, 0);
            }
            self.fill_gaps()?;
        }
        for _ in 0..BURIAL + 2 {
            self.track();
            self.look(Node::Takes);
            self.mine(usize::MAX, 0);
            self.always()?;
        }
        Ok(())
    }

    fn fill_gaps(&mut self) -> Check {
        for index in 0..ACCOUNTS {
            let from = account(index);
            let waits = |one: &&StoredTransaction| one.from == from && !one.status.is_settled();
            let top = self.log.iter().filter(waits).map(|one| one.nonce).max();
            while let Some(prepared) = self.prepare(from)? {
                self.prepared.clear();
                if top.is_none_or(|top| prepared.nonce > top) {
                    self.book.release(prepared.from, prepared.nonce);
                    break;
                }
                self.submit(&prepared, Node::Takes, Kill::No)?;
            }
        }
        Ok(())
    }

    /// What holds once the world is quiet.
    fn at_rest(&self) -> Check {
        for stored in &self.log {
            let mined = self.find(stored.hash);
            match (&stored.status, mined) {
                (TransactionStatus::Confirmed(inclusion), Some((number, block))) => {
                    prop_assert_eq!((inclusion.block_number, inclusion.block_hash), (number as u64, block.hash));
                }
                (TransactionStatus::Replaced, None) => {
                    let used = self.count(stored.from, self.chain.len()) > stored.nonce;
                    prop_assert!(used, "nonce {} is said to be used", stored.nonce);
                }
                (TransactionStatus::Failed { .. }, None) => {}
                (status, mined) => {
                    return Err(TestCaseError::fail(format!("log: {status:?}, chain: {mined:?}, {stored:?}")));
                }
            }
        }
        prop_assert!(self.book.followed().is_empty(), "everything is buried");
        prop_assert!(self.pool.is_empty(), "nothing waits behind a gap: {:?}", self.pool);
        Ok(())
    }
}

#[test]
fn nonces_and_transactions_hold_under_crashes_and_reorganisations() {
    let own_seed = std::env::var("ENTRESOL_SEED").ok().and_then(|text| text.parse().ok());
    let seeds: Vec<u64> = own_seed.map_or(SEEDS.to_vec(), |seed| vec![seed]);
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES);
    let tally = RefCell::new([0_usize; 5]);
    for seed in &seeds {
        let config = Config { cases, failure_persistence: None, ..Config::default() };
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        let result = runner.run(&ops(), |ops| {
            let mut world = World::new();
            let count = |found: fn(&Op) -> bool| ops.iter().filter(|op| found(op)).count();
            let (steps, reorgs) = (ops.len(), count(|op| matches!(op, Op::Reorg(..))));
            for op in ops {
                world.act(op)?;
            }
            world.quiet()?;
            let found = [steps, reorgs, world.kills, world.log.len(), world.undone];
            tally.borrow_mut().iter_mut().zip(found).for_each(|(sum, one)| *sum += one);
            world.at_rest()
        });
        if let Err(error) = result {
            panic!("seed {seed}: {error}");
        }
    }
    let [steps, reorgs, kills, stored, undone] = tally.into_inner();
    println!(
        "nonce ledger and transactions: {cases} cases for each of the seeds {seeds:?}; {steps} steps, {reorgs} \
         reorganisations, {kills} kills, {stored} transactions stored, {undone} confirmations taken back"
    );
    assert!(kills > 0 && reorgs > 0 && undone > 0, "the world was too quiet to show anything");
}
