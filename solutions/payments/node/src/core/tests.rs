//! Ordering, writing and reading beside each other, with a disk that takes as long as the test wants.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Poll;

use alloy::primitives::{Address, B256};
use futures_util::future::join_all;
use payments_protocol::{Leaf, SignedMessage};

use super::*;
use crate::chain::testing::{Layer1, User};
use crate::chain::{Base, Key};
use crate::layer1::StepBlock;
use crate::store::{Identity, Seal, SettledBatch, SqliteStore};

/// Tells when it begins to write messages, and waits for leave to.
struct SlowStore {
    inner: SqliteStore,
    begun: Sender<usize>,
    leave: Receiver<()>,
}

impl Store for SlowStore {
    fn append_messages(&mut self, messages: &[LoggedMessage], seals: &[Seal]) -> Result<(), StoreError> {
        self.begun.send(messages.len()).expect("the test listens");
        // A test that has ended lets everything through.
        let _ = self.leave.recv();
        self.inner.append_messages(messages, seals)
    }

    fn identity(&mut self) -> Result<Option<Identity>, StoreError> {
        self.inner.identity()
    }

    fn claim(&mut self, identity: &Identity) -> Result<(), StoreError> {
        self.inner.claim(identity)
    }

    fn messages(&mut self, from: u64) -> Result<Vec<LoggedMessage>, StoreError> {
        self.inner.messages(from)
    }

    fn seals(&mut self, from: u64) -> Result<Vec<Seal>, StoreError> {
        self.inner.seals(from)
    }

    fn first_unsettled(&mut self, from: u64, used_up: &dyn Fn(Address, u64) -> bool) -> Result<u64, StoreError> {
        self.inner.first_unsettled(from, used_up)
    }

    fn last_message(&mut self) -> Result<Option<LoggedMessage>, StoreError> {
        self.inner.last_message()
    }

    fn folder(&self) -> std::path::PathBuf {
        self.inner.folder()
    }

    fn has_batch(&mut self, base: &Base, accumulator: B256) -> Result<bool, StoreError> {
        self.inner.has_batch(base, accumulator)
    }

    fn below(&self) -> Result<Box<dyn Below>, StoreError> {
        self.inner.below()
    }

    fn settle(&mut self, batches: &[SettledBatch]) -> Result<(), StoreError> {
        self.inner.settle(batches)
    }

    fn settled_to(&mut self) -> Result<u64, StoreError> {
        self.inner.settled_to()
    }

    fn apply_blocks(&mut self, drop_from: Option<u64>, blocks: &[StepBlock]) -> Result<(), StoreError> {
        self.inner.apply_blocks(drop_from, blocks)
    }

    fn blocks(&mut self, from: u64, limit: u64) -> Result<Vec<StepBlock>, StoreError> {
        self.inner.blocks(from, limit)
    }

    fn note_found(&mut self, batches: &[Key], anew: bool) -> Result<(), StoreError> {
        self.inner.note_found(batches, anew)
    }

    fn found(&mut self) -> Result<HashSet<Key>, StoreError> {
        self.inner.found()
    }

    fn put_transaction(&mut self, transaction: &OutgoingTransaction) -> Result<(), StoreError> {
        self.inner.put_transaction(transaction)
    }

    fn set_transaction(&mut self, hash: B256, state: TransactionState) -> Result<(), StoreError> {
        self.inner.set_transaction(hash, state)
    }

    fn transactions(&mut self, settled: u64) -> Result<Vec<OutgoingTransaction>, StoreError> {
        self.inner.transactions(settled)
    }
}

/// A core in which alice has money, over a slow disk.
struct Slow {
    core: CoreHandle,
    alice: User,
    begun: Receiver<usize>,
    leave: Sender<()>,
    end: oneshot::Receiver<Result<(), StoreError>>,
    _folder: tempfile::TempDir,
}

impl Slow {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let alice = User::new(1);
        let mut layer1 = Layer1::new();
        layer1.mine(Vec::new());
        layer1.deposit(alice.address, 1_000_000);
        let batch = layer1.batch(&[]);
        layer1.submit(&batch);
        let key = folder.path().join("key");
        entresol_durable::write_file_atomically(&key, "11".repeat(32).as_bytes(), false).expect("written");
        let setup = Setup {
            role: Role::Operator,
            key: Some(NodeKey::read(&key).expect("a key")),
            confirmations: 1,
            batch_age_ms: 0,
            misbehave: None,
        };
        let inner = SqliteStore::open(&folder.path().join("data")).expect("a store");
        let ((begin, begun), (leave, left)) = (channel(), channel());
        let store = SlowStore { inner, begun: begin, leave: left };
        let (core, _) = Core::load(setup, layer1.chain, Box::new(store)).expect("loaded");
        let (core, end) = core.start().expect("threads");
        Self { core, alice, begun, leave, end, _folder: folder }
    }

    /// Payments that follow each other.
    fn payments(&self, count: usize) -> Vec<SignedMessage> {
        let (mut leaf, bob) = (Leaf { balance: 1_000_000, ..Leaf::default() }, User::new(2));
        let mut payments = Vec::with_capacity(count);
        for _ in 0..count {
            let message = self.alice.pay(&leaf, bob.address, 1);
            (leaf.nonce, leaf.head) = (leaf.nonce + 1, message.message.id());
            payments.push(message);
        }
        payments
    }

    async fn bob(&self) -> (u128, usize) {
        let bob = User::new(2).address;
        let read = self.core.read(move |core| {
            let sequencer = core.sequencer.as_ref().expect("an operator");
            Ok((sequencer.soft_leaf(bob).balance, sequencer.pending_count()))
        });
        read.await.expect("readable")
    }
}

/// Hands messages in, in their order, without waiting for answers.
async fn hand_in<'a>(
    core: &'a CoreHandle,
    messages: &[SignedMessage],
) -> Vec<impl Future<Output = handle::Answer> + 'a> {
    let mut sent: Vec<_> = messages.iter().map(|message| Box::pin(core.send(message.clone()))).collect();
    for answer in &mut sent {
        let polled = std::future::poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await;
        assert!(polled.is_pending(), "nothing is answered before it is on the disk: {polled:?}");
    }
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_does_not_wait_for_a_flush_and_sees_nothing_of_it() {
    let slow = Slow::new();
    let payments = slow.payments(2);
    let sent = hand_in(&slow.core, &payments[..1]).await;
    assert_eq!(slow.begun.recv().expect("it writes"), 1);
    assert_eq!(slow.bob().await, (0, 0), "the disk has not answered, the reader is answered");
    // Ordering goes on meanwhile: what comes after is judged on what is not durable yet.
    let next = hand_in(&slow.core, &payments[1..]).await;
    assert_eq!(slow.bob().await, (0, 0));
    slow.leave.send(()).expect("it waits");
    let first = join_all(sent).await.remove(0).expect("promised");
    assert_eq!(slow.bob().await, (1, 1));
    slow.leave.send(()).expect("it waits");
    let second = join_all(next).await.remove(0).expect("promised");
    assert_eq!(second.receipt.previous_receipt, first.receipt.hash());
    assert_eq!(slow.bob().await, (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_no_place_is_told_and_nothing_grows() {
    let slow = Slow::new();
    let payments = slow.payments(PLACES + 1);
    let sent = hand_in(&slow.core, &payments[..PLACES]).await;
    let refused = slow.core.send(payments[PLACES].clone()).await.expect_err("no place is free");
    assert_eq!(refused.code, code::BUSY);
    // The disk goes on.
    drop(slow.leave);
    let answers = join_all(sent).await;
    assert!(answers.iter().all(Result::is_ok));
    slow.core.send(payments[PLACES].clone()).await.expect("there are places again");
    let groups: Vec<usize> = slow.begun.try_iter().collect();
    assert_eq!(groups.iter().sum::<usize>(), PLACES + 1);
    assert!(groups.len() < PLACES / 8, "one flush serves many: {groups:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_handed_in_is_answered_before_the_end() {
    let slow = Slow::new();
    let payments = slow.payments(10);
    let sent = hand_in(&slow.core, &payments).await;
    slow.core.stop().await;
    drop(slow.leave);
    assert!(join_all(sent).await.iter().all(Result::is_ok));
    slow.end.await.expect("a word").expect("a clean end");
    assert!(slow.core.send(payments[0].clone()).await.is_err(), "and nothing is taken after it");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flush_of_many_groups_gives_each_its_own_receipt_and_again_the_same() {
    let slow = Slow::new();
    let payments = slow.payments(400);
    let first = hand_in(&slow.core, &payments[..1]).await;
    assert_eq!(slow.begun.recv().expect("it writes"), 1);
    // All that comes while the disk is busy; it is more than one signature is for.
    let rest = hand_in(&slow.core, &payments[1..]).await;
    drop(slow.leave);
    let mut receipts: Vec<_> = join_all(first).await.into_iter().map(|answer| answer.expect("promised")).collect();
    receipts.extend(join_all(rest).await.into_iter().map(|answer| answer.expect("promised")));

    let known = slow.core.read(|core| Ok((core.chain.domain, core.setup.key.as_ref().map(NodeKey::address))));
    let (domain, operator) = known.await.expect("readable");
    for (sequence, signed) in receipts.iter().enumerate() {
        assert_eq!(signed.receipt.sequence, sequence as u64);
        assert_eq!(signed.signer(&domain).ok(), operator, "{signed:?}");
        assert!(signed.group.as_ref().is_some_and(|group| group.path.len() <= 7), "{signed:?}");
    }
    // Old ones from all over, in any order.
    for place in [399, 0, 1, 200, 128, 129, 256, 257, 399] {
        let again = slow.core.send(payments[place].clone()).await.expect("promised before");
        assert_eq!(again, receipts[place]);
    }
}
