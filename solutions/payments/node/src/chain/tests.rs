use super::testing::{CHALLENGE, Layer1, OPERATOR, User};
use super::*;

/// What a chain says about everybody, to compare two views.
fn summary(chain: &Chain) -> (Vec<(B256, &'static str)>, B256, u64, usize) {
    let batches = (1..chain.next_id()).filter_map(|id| chain.batch_at(id));
    let batches = batches.map(|batch| (batch.event.commitment, batch.verdict.name())).collect();
    (batches, chain.verified_state().root(), chain.inbox.len(), chain.places.len())
}

#[test]
fn a_true_batch_takes_effect_and_becomes_final() {
    let (alice, bob) = (User::new(1), User::new(2));
    let mut layer1 = Layer1::new();
    layer1.deposit(alice.address, 10);
    layer1.submit(&layer1.batch(&[]));
    let payment = alice.pay(&layer1.chain.leaf(alice.address), bob.address, 3);
    let changes = layer1.submit(&layer1.batch(std::slice::from_ref(&payment)));

    assert_eq!(changes.appeared, [2]);
    assert!(changes.accounts.contains(&bob.address) && changes.alerts.is_empty());
    assert_eq!(layer1.chain.leaf(bob.address).balance, 3);
    let place = layer1.chain.place(payment.message.id()).expect("placed");
    assert_eq!(place, Place { batch: 2, chunk: 0, index: 0 });
    assert_eq!(layer1.chain.history(alice.address).len(), 2);
    assert_eq!((layer1.chain.final_id(), layer1.chain.finality(2)), (0, "sequenced"));
    for _ in 0..CHALLENGE / 12 + 1 {
        layer1.mine(Vec::new());
    }
    assert_eq!((layer1.chain.final_id(), layer1.chain.finality(2)), (2, "final"));
}

#[test]
fn a_false_batch_hides_what_stands_on_it_until_it_falls() {
    let (alice, bob) = (User::new(1), User::new(2));
    let mut layer1 = Layer1::new();
    layer1.deposit(alice.address, 10);
    layer1.submit(&layer1.batch(&[]));
    let payment = alice.pay(&layer1.chain.leaf(alice.address), bob.address, 3);
    let mut batch = layer1.batch(std::slice::from_ref(&payment));
    batch.roots[0].0[31] ^= 1;
    let changes = layer1.submit(&batch);

    let fault = layer1.chain.fault().expect("found");
    assert_eq!((fault.event.id, fault.verdict.name(), changes.alerts.len()), (2, "false", 1));
    let Verdict::False { contest, computed } = &fault.verdict else { panic!("{:?}", fault.verdict) };
    assert_eq!(contest.check(&layer1.chain.domain).expect("a good witness").root, *computed);
    assert_eq!(layer1.chain.leaf(bob.address).balance, 0, "nothing of a false batch counts");

    layer1.deposit(bob.address, 1);
    layer1.submit(&layer1.batch(&[]));
    assert_eq!(layer1.chain.batch_at(3).expect("stands").verdict.name(), "on-false");
    assert_eq!(layer1.chain.verified_id(), 1);

    let changes = layer1.contested(2);
    assert_eq!(changes.rolled_back, Some(2));
    assert!(layer1.chain.fault().is_none());
    assert_eq!((layer1.chain.next_id(), layer1.chain.inbox_cursor()), (2, 1));
    layer1.submit(&layer1.batch(&[payment]));
    assert_eq!((layer1.chain.leaf(bob.address).balance, layer1.chain.verified_id()), (4, 2));
    assert_eq!(summary(&layer1.chain), summary(&layer1.fresh()));
}

#[test]
fn a_true_batch_that_falls_leaves_no_trace() {
    let (alice, bob) = (User::new(1), User::new(2));
    let mut layer1 = Layer1::new();
    layer1.deposit(alice.address, 10);
    layer1.submit(&layer1.batch(&[]));
    let payment = alice.pay(&layer1.chain.leaf(alice.address), bob.address, 3);
    layer1.submit(&layer1.batch(std::slice::from_ref(&payment)));
    // It fell with a false batch before it, say: the view follows the gateway whatever the reason.
    layer1.contested(2);
    assert_eq!(layer1.chain.place(payment.message.id()), None);
    assert_eq!((layer1.chain.history(bob.address).len(), layer1.chain.history(alice.address).len()), (0, 1));
}

#[test]
fn after_a_reorganisation_the_view_is_that_of_a_newcomer() {
    let (alice, bob) = (User::new(1), User::new(2));
    let mut layer1 = Layer1::new();
    layer1.mine(Vec::new());
    layer1.deposit(alice.address, 10);
    layer1.submit(&layer1.batch(&[]));
    layer1.deposit(bob.address, 20);
    layer1.submit(&layer1.batch(&[]));
    for depth in [1, 2, 3] {
        let changes = layer1.reorganise(depth);
        assert!(changes.moved && changes.rolled_back.is_some(), "{depth}");
        assert_eq!(summary(&layer1.chain), summary(&layer1.fresh()), "{depth}");
        layer1.deposit(bob.address, 5);
        layer1.submit(&layer1.batch(&[]));
        assert_eq!(summary(&layer1.chain), summary(&layer1.fresh()), "{depth}");
    }
}

#[test]
fn the_same_commitment_over_other_deposits_is_judged_anew() {
    let (alice, bob) = (User::new(1), User::new(2));
    let mut layer1 = Layer1::new();
    layer1.mine(Vec::new());
    layer1.deposit(alice.address, 10);
    let batch = layer1.batch(&[]);
    layer1.submit(&batch);
    assert!(layer1.chain.fault().is_none());
    layer1.reorganise(2);
    layer1.deposit(bob.address, 10);
    // The gateway would refuse the old accumulator; with the new one these roots are false.
    layer1.submit(&batch);
    assert_eq!(layer1.chain.fault().expect("found").verdict.name(), "false");
}

#[test]
fn items_are_confirmed_by_blocks_on_top_of_them() {
    let mut layer1 = Layer1::new();
    layer1.deposit(User::new(1).address, 1);
    let confirmed = |layer1: &Layer1| [0, 1, 2, 3].map(|k| layer1.chain.confirmed_items(k));
    assert_eq!(confirmed(&layer1), [1, 1, 0, 0]);
    layer1.mine(Vec::new());
    assert_eq!(confirmed(&layer1), [1, 1, 1, 0]);
}

#[test]
fn a_batch_that_skips_an_id_is_an_alarm() {
    let mut layer1 = Layer1::new();
    layer1.deposit(User::new(1).address, 1);
    let mut batch = layer1.batch(&[]);
    batch.id = 2;
    let changes = layer1.submit(&batch);
    assert_eq!((changes.alerts.len(), layer1.chain.next_id()), (1, 1));
}

/// Deposits and payments in a dozen batches; gives what a node notes of them.
fn a_dozen_batches(layer1: &mut Layer1) -> HashSet<Key> {
    let (alice, bob) = (User::new(1), User::new(2));
    for round in 0..12 {
        layer1.deposit(alice.address, 10);
        let payment = alice.pay(&layer1.chain.leaf(alice.address), bob.address, 3);
        let messages = if round == 0 { Vec::new() } else { vec![payment] };
        layer1.submit(&layer1.batch(&messages));
    }
    layer1.chain.take_found().into_iter().collect()
}

#[test]
fn batches_that_were_found_true_are_remembered_as_they_were_judged() {
    let mut layer1 = Layer1::new();
    let found = a_dozen_batches(&mut layer1);
    assert_eq!(found.len(), 12);
    for kept in [0, 5, 12] {
        let notes: HashSet<Key> = found.iter().copied().take(kept).collect();
        let (mut chain, adds_up) = layer1.remembered(notes.clone());
        assert!(adds_up);
        assert_eq!(summary(&chain), summary(&layer1.chain));
        let bob = User::new(2).address;
        assert_eq!(chain.history(bob), layer1.chain.history(bob));
        for id in 1..=12 {
            let reports = |chain: &Chain| chain.batch_at(id).expect("it stands").reports().to_vec();
            assert_eq!(reports(&chain), reports(&layer1.chain));
        }
        let again: HashSet<Key> = chain.take_found().into_iter().collect();
        assert_eq!(again, found.difference(&notes).copied().collect(), "only what was not noted is judged");
    }
}

#[test]
fn a_note_that_is_wrong_is_found_out_and_everything_is_judged_again() {
    let mut layer1 = Layer1::new();
    let mut notes = a_dozen_batches(&mut layer1);
    let alice = User::new(1);
    let mut batch = layer1.batch(&[alice.pay(&layer1.chain.leaf(alice.address), OPERATOR, 2)]);
    batch.roots[0].0[31] ^= 1;
    layer1.submit(&batch);
    assert!(layer1.chain.take_found().is_empty(), "a false batch is never noted");
    let accumulator = layer1.chain.inbox.accumulator(batch.inbox_end).expect("known");
    notes.insert((batch.commitment(), accumulator));
    let (mut chain, adds_up) = layer1.remembered(notes);
    assert!(!adds_up);
    assert_eq!(summary(&chain), summary(&layer1.chain));
    assert_eq!((chain.fault().map(|fault| fault.event.id), chain.take_found().len()), (Some(13), 12));
}

#[test]
fn a_batch_with_a_foreign_signature_in_it_is_judged_at_every_start() {
    let (alice, bob) = (User::new(1), User::new(2));
    let mut layer1 = Layer1::new();
    layer1.deposit(alice.address, 10);
    layer1.submit(&layer1.batch(&[]));
    layer1.chain.take_found();
    let leaf = layer1.chain.leaf(alice.address);
    let mut forged = alice.pay(&leaf, bob.address, 3);
    forged.signature = bob.pay(&leaf, bob.address, 3).signature;
    layer1.submit(&layer1.batch(&[forged]));
    assert_eq!((layer1.chain.verified_id(), layer1.chain.leaf(bob.address).balance), (2, 0), "it has no effect");
    assert!(layer1.chain.take_found().is_empty());
    assert_eq!(summary(&layer1.fresh()), summary(&layer1.chain));
}
