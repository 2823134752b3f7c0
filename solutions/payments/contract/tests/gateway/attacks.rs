//! Attacks on what messages do: the model says what happens, and the contract agrees. In each, the batch that says the
//! truth cannot be contested, and the one whose root has the attack succeed falls.

use alloy::primitives::Address;
use payments_contract::PaymentsGateway as Gateway;
use payments_protocol::{Batch, Contest, Domain, Leaf, Message, Record, Signature, State};

use crate::chain::{passed, refused};
use crate::fraud::twin;
use crate::world::{ETH, Person, World};

/// The batch of these records is uncontestable as the model has it, with these effects; with the root of `wish`, it falls.
async fn check(world: &World, records: &[Record], effects: &[bool], wish: &State) {
    let built = world.build(records);
    let found: Vec<_> =
        built.reports.iter().flat_map(|report| &report.outcomes).map(|outcome| outcome.effect().is_some()).collect();
    assert_eq!(found, effects);
    assert_ne!(built.state.root(), wish.root(), "the wish is what happens anyway");
    let before = world.chain.snapshot().await;
    passed(world.submit(&built.batch).await);
    let items = world.items_of(&built.batch);
    let contest = Contest::of_chunk(&world.domain, &built.batch, &world.state(), items, 0).unwrap();
    refused::<Gateway::NotFraud>(world.contest(world.anyone, &contest).await);
    world.chain.revert_to(&before).await;
    let before = world.chain.snapshot().await;
    world.falls(&Batch { roots: vec![wish.root()], ..built.batch }).await;
    world.chain.revert_to(&before).await;
}

/// A state in which this much went from one to another, by however many messages, the last of this id.
fn moved(world: &World, from: &Person, to: Address, value: u128, messages: &[Message]) -> State {
    let mut state = world.state();
    let leaf = state.leaf(from.address);
    let head = messages.last().map_or(leaf.head, Message::id);
    let nonce = leaf.nonce + messages.len() as u64;
    state.set(from.address, Leaf { balance: leaf.balance - value, nonce, head, ..leaf });
    let leaf = state.leaf(to);
    state.set(to, Leaf { balance: leaf.balance + value, ..leaf });
    state
}

async fn alice_has_ten() -> (World, Person, Address) {
    let world = World::new().await.with_alice(10 * ETH).await;
    let (alice, bob) = (world.alice.clone(), world.bob.address);
    (world, alice, bob)
}

#[tokio::test]
async fn replay_elsewhere() {
    let (world, alice, bob) = alice_has_ten().await;
    let message = Message::payment(alice.address, &world.leaf(alice.address), bob, ETH, 0);
    let wish = moved(&world, &alice, bob, ETH, std::slice::from_ref(&message));
    for domain in [Domain::new(1, world.gateway), Domain::new(31337, bob)] {
        let record = message.clone().sign(&domain, &alice.key).record().unwrap();
        check(&world, &[record], &[false], &wish).await;
    }
}

#[tokio::test]
async fn replay_within() {
    let (mut world, alice, bob) = alice_has_ten().await;
    let signed = world.pay(&alice, bob, ETH, 0);
    let record = signed.record().unwrap();
    let twice = moved(&world, &alice, bob, 2 * ETH, &[signed.message.clone(), signed.message.clone()]);
    check(&world, &[record, record], &[true, false], &twice).await;
    // And in a later batch, also after the money has come back.
    world.advance_with(&[record]).await;
    let back = world.pay(&world.bob.clone(), alice.address, ETH, 0).record().unwrap();
    world.advance_with(&[back]).await;
    let again = moved(&world, &alice, bob, ETH, &[signed.message]);
    check(&world, &[record], &[false], &again).await;
}

#[tokio::test]
async fn malleable_signature() {
    let (world, alice, bob) = alice_has_ten().await;
    let signed = world.pay(&alice, bob, ETH, 0);
    let record = signed.record().unwrap();
    let once = moved(&world, &alice, bob, ETH, std::slice::from_ref(&signed.message));
    check(&world, &[twin(&record)], &[false], &once).await;
    let twice = moved(&world, &alice, bob, 2 * ETH, &[signed.message.clone(), signed.message]);
    check(&world, &[record, twin(&record)], &[true, false], &twice).await;
}

#[tokio::test]
async fn library_laxer_than_ecrecover() {
    // What some libraries take or mend: v as 0 or 1, v by EIP-155, a high s. Whoever does computes another root, and is wrong.
    let (world, alice, bob) = alice_has_ten().await;
    let signed = world.pay(&alice, bob, ETH, 0);
    let record = signed.record().unwrap();
    let taken = moved(&world, &alice, bob, ETH, &[signed.message]);
    let with_v = |v| Record { signature: Signature { v, ..record.signature }, ..record };
    let v = record.signature.v;
    for lax in [with_v(v - 27), with_v(v + 8), with_v(v + 10), twin(&record)] {
        check(&world, &[lax], &[false], &taken).await;
    }
}

#[tokio::test]
async fn sender_equivocation() {
    // Two messages with one nonce, more together than there is: the first takes effect.
    let (world, alice, bob) = alice_has_ten().await;
    let carol = world.carol.address;
    let (first, second) = (world.pay(&alice, bob, 6 * ETH, 0), world.pay(&alice, carol, 6 * ETH, 0));
    let [one, two] = [&first, &second].map(|signed| signed.record().unwrap());
    let other = moved(&world, &alice, carol, 6 * ETH, &[second.message]);
    check(&world, &[one, two], &[true, false], &other).await;
    let neither = world.state();
    check(&world, &[two, one], &[true, false], &neither).await;
}

#[tokio::test]
async fn message_that_revives() {
    // More than she has: without effect now, with effect once a deposit has come, as its nonce still fits.
    let (mut world, alice, bob) = alice_has_ten().await;
    let large = world.pay(&alice, bob, 20 * ETH, 0).record().unwrap();
    let mut wish = world.state();
    wish.set(bob, Leaf { balance: 20 * ETH, ..Leaf::default() });
    check(&world, &[large], &[false], &wish).await;
    world.advance_with(&[large]).await;
    world.deposit(alice.address, 10 * ETH).await;
    world.advance_with(&[]).await;
    let cancelled = world.state();
    check(&world, &[large], &[true], &cancelled).await;
    // A payment of nothing to herself takes the nonce, and with it the life of the other.
    let cancel = world.pay(&alice, alice.address, 0, 0).record().unwrap();
    let mut wish = world.state();
    wish.set(bob, Leaf { balance: 20 * ETH, ..Leaf::default() });
    check(&world, &[cancel, large], &[true, false], &wish).await;
}
