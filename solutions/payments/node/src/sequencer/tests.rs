use payments_protocol::{ItemKind, SignedMessage};

use super::*;
use crate::chain::testing::{Layer1, OPERATOR, User, item_log};
use crate::key::NodeKey;

fn key() -> NodeKey {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("key");
    entresol_durable::write_file_atomically(&path, "11".repeat(32).as_bytes(), false).expect("written");
    NodeKey::read(&path).expect("a key")
}

struct Operator {
    layer1: Layer1,
    sequencer: Sequencer,
    key: NodeKey,
}

impl Operator {
    /// Alice has 100 wei.
    fn new(alice: &User) -> Self {
        let mut layer1 = Layer1::new();
        layer1.mine(Vec::new());
        layer1.deposit(alice.address, 100);
        let mut operator = Self { layer1, sequencer: Sequencer::new(Vec::new(), Vec::new(), None), key: key() };
        operator.post();
        operator
    }

    fn refresh(&mut self, rolled_back: bool) {
        self.sequencer.refresh(&self.layer1.chain, rolled_back);
    }

    fn plan(&self) -> Option<Plan> {
        let confirmed = self.layer1.chain.inbox.len();
        self.sequencer.plan(&self.layer1.chain, OPERATOR, confirmed).expect("a plan can be built")
    }

    /// Posts the next batch; gives its records and inbox end.
    fn post(&mut self) -> (usize, u64) {
        let Plan { batch, .. } = self.plan().expect("something waits");
        self.layer1.submit(&batch);
        self.refresh(false);
        (batch.records.len() / Record::LENGTH, batch.inbox_end)
    }

    fn order(&mut self, message: &SignedMessage) -> Result<Ordered, RpcError> {
        let checked = Checked::of(&self.layer1.chain.domain, message)?;
        self.sequencer.order(&self.layer1.chain, &checked, 1)
    }

    /// What the committer does, with a disk that never fails.
    fn commit(&mut self) {
        let rows = self.sequencer.close_group();
        let seal = ReceiptTree::new(rows.iter().map(LoggedMessage::receipt)).map(|tree| Seal {
            first: tree.group().first,
            count: tree.group().count,
            signature: self.key.sign(tree.group().digest(&self.layer1.chain.domain)),
        });
        self.sequencer.committed(&rows, seal.as_slice());
    }

    fn promise(&mut self, message: &SignedMessage) -> Result<Ordered, RpcError> {
        let ordered = self.order(message);
        self.commit();
        ordered
    }

    fn pay(&mut self, from: &User, to: &User, value: u128) -> SignedMessage {
        let message = from.pay(&self.sequencer.soft_leaf(from.address), to.address, value);
        assert!(matches!(self.promise(&message), Ok(Ordered::New(_))));
        message
    }
}

#[test]
fn promises_are_posted_in_their_order_and_chained() {
    let (alice, bob) = (User::new(1), User::new(2));
    let mut operator = Operator::new(&alice);
    operator.pay(&alice, &bob, 30);
    // Bob spends what is only promised to him.
    operator.pay(&bob, &alice, 20);
    operator.pay(&alice, &bob, 90);
    let receipts: Vec<_> = operator.sequencer.log.iter().map(LoggedMessage::receipt).collect();
    assert!(receipts.windows(2).all(|pair| pair[1].previous_receipt == pair[0].hash()));
    assert_eq!(operator.post(), (3, 1));
    assert_eq!((operator.sequencer.pending_count(), operator.layer1.chain.leaf(bob.address).balance), (0, 100));
    assert!(operator.plan().is_none(), "nothing waits, so no batch");
}

#[test]
fn the_same_message_gets_the_same_receipt_and_no_second_effect() {
    let (alice, bob) = (User::new(1), User::new(2));
    let mut operator = Operator::new(&alice);
    let message = operator.pay(&alice, &bob, 30);
    assert_eq!(operator.promise(&message).expect("promised before"), Ordered::Again(0));
    assert_eq!((operator.sequencer.receipts(), operator.sequencer.soft_leaf(bob.address).balance), (1, 30));
}

#[test]
fn a_batch_that_falls_puts_its_messages_back_in_order() {
    let (alice, bob) = (User::new(1), User::new(2));
    let mut operator = Operator::new(&alice);
    operator.pay(&alice, &bob, 30);
    operator.pay(&bob, &alice, 10);
    operator.post();
    operator.pay(&alice, &bob, 5);
    operator.layer1.contested(2);
    operator.refresh(true);
    assert_eq!(operator.sequencer.pending_count(), 3);
    assert_eq!(operator.post(), (3, 1));
    assert_eq!(operator.layer1.chain.leaf(bob.address).balance, 25);
}

#[test]
fn nothing_is_built_on_a_false_batch() {
    let (alice, bob) = (User::new(1), User::new(2));
    let mut operator = Operator::new(&alice);
    operator.pay(&alice, &bob, 30);
    let mut batch = operator.plan().expect("a payment waits").batch;
    batch.roots[0].0[0] ^= 1;
    operator.layer1.submit(&batch);
    operator.refresh(false);
    assert!(operator.plan().is_none());
    assert_eq!(operator.sequencer.pending_count(), 1, "the promise still holds");
    operator.layer1.contested(2);
    operator.refresh(true);
    assert_eq!(operator.post(), (1, 1));
}

#[test]
fn promises_come_before_a_forced_exit_of_the_same_account_and_none_are_made_after() {
    let (alice, bob) = (User::new(1), User::new(2));
    let mut operator = Operator::new(&alice);
    let deposit = operator.layer1.item(ItemKind::Deposit, bob.address, 7);
    operator.layer1.mine(vec![item_log(&deposit)]);
    operator.pay(&alice, &bob, 30);
    let exit = operator.layer1.item(ItemKind::ForcedExit, alice.address, 0);
    operator.layer1.mine(vec![item_log(&exit)]);
    operator.refresh(false);

    let late = alice.pay(&operator.sequencer.soft_leaf(alice.address), bob.address, 1);
    assert_eq!(operator.promise(&late).expect_err("an exit waits").code, code::EXIT_PENDING);
    assert_eq!(operator.post(), (1, 2), "bob's deposit and alice's promise, not yet her exit");
    assert_eq!(operator.post(), (0, 3), "then the exit");
    let leaf = operator.layer1.chain.leaf(alice.address);
    assert_eq!((leaf.balance, leaf.withdrawn, leaf.nonce), (0, 70, 2));
    assert_eq!(operator.layer1.chain.leaf(bob.address).balance, 37);
}

#[test]
fn a_promise_whose_money_was_reorganised_away_waits_and_comes_back() {
    let (alice, bob) = (User::new(1), User::new(2));
    let mut operator = Operator::new(&alice);
    operator.pay(&alice, &bob, 30);
    operator.layer1.reorganise(2);
    operator.refresh(true);
    assert!(operator.plan().is_none(), "without the deposit the payment would have no effect");
    assert_eq!(operator.sequencer.pending_count(), 1);
    operator.layer1.deposit(alice.address, 100);
    operator.refresh(false);
    assert_eq!(operator.post(), (1, 1));
    assert_eq!(operator.layer1.chain.leaf(bob.address).balance, 30);
}

#[test]
fn a_full_batch_leaves_the_rest_for_the_next() {
    let (alice, bob) = (User::new(1), User::new(2));
    let mut operator = Operator::new(&alice);
    for _ in 0..MAX_CHUNKS * MAX_CHUNK + 1 {
        operator.pay(&alice, &bob, 0);
    }
    assert!(operator.sequencer.is_full());
    let Plan { batch, accumulator } = operator.plan().expect("full");
    assert!(batch.submission(accumulator).encode().len() <= MAX_SUBMISSION);
    assert_eq!(operator.post(), (MAX_CHUNKS * MAX_CHUNK, 1));
    assert_eq!(operator.post(), (1, 1));
}

#[test]
fn what_is_not_durable_is_not_shown_and_not_posted() {
    let (alice, bob) = (User::new(1), User::new(2));
    let mut operator = Operator::new(&alice);
    operator.pay(&alice, &bob, 30);
    let late = bob.pay(&operator.sequencer.soft_leaf(bob.address), alice.address, 20);
    assert_eq!(operator.order(&late).expect("bob has it"), Ordered::New(1));
    let rows = operator.sequencer.close_group();
    for rolled_back in [false, true] {
        assert_eq!(operator.sequencer.soft_leaf(bob.address).balance, 30);
        assert!(operator.sequencer.logged(late.message.id()).is_none() && operator.sequencer.at(1).is_none());
        assert_eq!((operator.sequencer.pending_count(), operator.sequencer.receipts()), (1, 1));
        // News from layer 1 in between changes nothing about that.
        operator.refresh(rolled_back);
    }
    assert_eq!(operator.post(), (1, 1), "only the durable one");
    assert_eq!(operator.sequencer.soft_leaf(bob.address).balance, 30);
    operator.sequencer.committed(&rows, &[]);
    assert_eq!(operator.sequencer.soft_leaf(bob.address).balance, 10);
    assert_eq!(operator.post(), (1, 1));
    assert_eq!(operator.layer1.chain.leaf(bob.address).balance, 10);
}

#[test]
fn groups_become_durable_in_their_order() {
    let (alice, bob) = (User::new(1), User::new(2));
    let mut operator = Operator::new(&alice);
    let mut leaf = operator.sequencer.soft_leaf(alice.address);
    let mut groups = Vec::new();
    for _ in 0..3 {
        let message = alice.pay(&leaf, bob.address, 10);
        (leaf.nonce, leaf.head) = (leaf.nonce + 1, message.message.id());
        operator.order(&message).expect("she has it");
        groups.push(operator.sequencer.close_group());
    }
    let mut seen = Vec::new();
    for rows in [groups[0].clone(), groups[1..].concat()] {
        operator.sequencer.committed(&rows, &[]);
        seen.push((operator.sequencer.receipts(), operator.sequencer.soft_leaf(bob.address).balance));
    }
    assert_eq!(seen, [(1, 10), (3, 30)]);
    assert!(operator.sequencer.close_group().is_empty());
}

#[test]
fn receipts_of_groups_of_any_size_are_made_again_from_the_log_and_their_seals() {
    let (alice, bob) = (User::new(1), User::new(2));
    let mut operator = Operator::new(&alice);
    let mut handed_out = Vec::new();
    for size in [1, 3, 2, 5] {
        let mut leaf = operator.sequencer.soft_leaf(alice.address);
        for _ in 0..size {
            let message = alice.pay(&leaf, bob.address, 1);
            (leaf.nonce, leaf.head) = (leaf.nonce + 1, message.message.id());
            let Ok(Ordered::New(sequence)) = operator.order(&message) else { panic!("she has it") };
            assert!(operator.sequencer.at(sequence).is_none(), "nothing is shown before it is durable");
        }
        operator.commit();
        let mut tree = None;
        let sequencer = &operator.sequencer;
        handed_out.extend(
            sequencer.from(handed_out.len() as u64, 99).filter_map(|logged| sequencer.receipt(logged, &mut tree)),
        );
    }
    assert_eq!(handed_out.len(), 11);
    assert!(handed_out.windows(2).all(|pair| pair[1].receipt.previous_receipt == pair[0].receipt.hash()));
    for signed in &handed_out {
        assert_eq!(signed.signer(&operator.layer1.chain.domain), Ok(operator.key.address()));
    }
    // After a restart there are the log and the seals alone.
    let restarted =
        Sequencer::new(operator.sequencer.log.clone(), operator.sequencer.seals.clone(), operator.sequencer.log.last());
    let mut tree = None;
    for signed in handed_out.iter().chain(handed_out.iter().rev()) {
        let logged = restarted.logged(signed.receipt.message_id).expect("logged");
        assert_eq!(restarted.receipt(logged, &mut tree).as_ref(), Some(signed));
    }
}

#[test]
fn what_can_take_effect_no_more_is_forgotten_and_comes_back_when_asked() {
    let (alice, bob) = (User::new(1), User::new(2));
    let mut operator = Operator::new(&alice);
    let first = operator.pay(&alice, &bob, 30);
    operator.pay(&bob, &alice, 10);
    operator.post();
    let base = operator.layer1.chain.verified_state();
    operator.pay(&alice, &bob, 5);
    let (log, seals) = (operator.sequencer.log.clone(), operator.sequencer.seals.clone());
    operator.sequencer.settle(&base);
    assert_eq!((operator.sequencer.first(), operator.sequencer.receipts()), (2, 3));
    assert_eq!((operator.sequencer.pending_count(), operator.sequencer.from(0, 9).count()), (1, 1));
    assert!(operator.sequencer.logged(first.message.id()).is_none() && operator.sequencer.at(1).is_none());
    // Nothing of what was forgotten comes into the queue again; the chain of receipts goes on.
    operator.refresh(true);
    operator.pay(&bob, &alice, 1);
    assert_eq!(operator.sequencer.log[1].previous_receipt, log[2].receipt().hash());
    assert_eq!(operator.post(), (2, 1));
    // A start from the middle of the log is the same.
    let again = Sequencer::new(log[2..].to_vec(), seals[2..].to_vec(), log.last());
    assert_eq!((again.first(), again.receipts(), again.last_receipt), (2, 3, log[2].receipt().hash()));
    let empty = Sequencer::new(Vec::new(), Vec::new(), log.last());
    assert_eq!((empty.first(), empty.receipts()), (3, 3));
    // Layer 1 took everything back: it all waits again, in its order.
    operator.sequencer.unsettle(log, seals);
    operator.layer1.contested(2);
    operator.refresh(true);
    assert_eq!((operator.sequencer.first(), operator.sequencer.pending_count()), (0, 4));
    assert_eq!(operator.post(), (4, 1));
}

#[test]
fn groups_are_forgotten_whole_so_that_each_receipt_can_be_made_again() {
    let (alice, bob) = (User::new(1), User::new(2));
    let mut operator = Operator::new(&alice);
    operator.pay(&alice, &bob, 1);
    let mut leaf = operator.sequencer.soft_leaf(alice.address);
    for _ in 0..2 {
        let message = alice.pay(&leaf, bob.address, 1);
        (leaf.nonce, leaf.head) = (leaf.nonce + 1, message.message.id());
        operator.order(&message).expect("she has it");
    }
    operator.commit();
    let last = operator.sequencer.at(2).cloned().expect("durable");
    let receipt = operator.sequencer.receipt(&last, &mut None);
    let after = |nonce| [(alice.address, Leaf { nonce, ..Leaf::default() })].into_iter().collect::<State>();
    operator.sequencer.settle(&after(2));
    assert_eq!(operator.sequencer.first(), 1, "its group is still needed");
    assert!(receipt.is_some());
    assert_eq!(operator.sequencer.receipt(&last, &mut None), receipt);
    operator.sequencer.settle(&after(3));
    assert_eq!((operator.sequencer.first(), operator.sequencer.receipts()), (3, 3));
    assert!(operator.sequencer.seals.is_empty() && operator.sequencer.pending_count() == 0);
    operator.pay(&bob, &alice, 1);
    assert!(operator.sequencer.at(3).is_some_and(|logged| operator.sequencer.receipt(logged, &mut None).is_some()));
}
