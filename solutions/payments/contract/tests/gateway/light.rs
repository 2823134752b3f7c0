//! Attacks on who does not replay everything: a payee with a leaf proof, and whoever relies on the operator's promise.

use alloy::primitives::{B256, U256, keccak256};
use payments_contract::PaymentsGateway as Gateway;
use payments_protocol::{Contest, Domain, Reason, Receipt, State};

use crate::chain::{passed, refused};
use crate::world::{ETH, World, person};

#[tokio::test]
async fn light_payee_undone_by_a_later_chunk() {
    // Bob is paid in chunk 0, which is right; chunk 1 of the same batch is false.
    let mut world = World::new().await.with_alice(20 * ETH).await;
    let (alice, bob) = (world.alice.clone(), world.bob.address);
    let payments = world.payments(&alice, bob, ETH, 0, 9);
    let built = world.build(&payments);
    let mut paid = world.state();
    for record in &payments[..8] {
        payments_protocol::transition::apply_record(&world.domain, &mut paid, record);
    }
    assert_eq!(paid.root(), built.batch.roots[0]);
    let false_batch = crate::fraud::with_false_root(&built, 1);
    passed(world.submit(&false_batch).await);
    // His leaf is proven by a root that layer 1 knows, and layer 1 says that it is not final: nobody may show it as received.
    assert_eq!(paid.witness(bob).verify(false_batch.roots[0], bob).unwrap().balance, 8 * ETH);
    assert!(!world.view(Gateway::isFinalCall { id: U256::from(2) }).await);
    let (contest, _) = world.fraud(&false_batch);
    assert_eq!(contest.chunk, 1);
    passed(world.contest(world.anyone, &contest).await);
    // The payment is undone though nothing was wrong with it, and the proof leads to no root of layer 1 any more.
    let gone = world.chain.view(world.gateway, Gateway::batchesCall { id: U256::from(2) }).await;
    refused::<Gateway::NotStanding>(gone.map(|_| unreachable!()));
    let tip = world.view(Gateway::batchesCall { id: U256::from(1) }).await;
    assert!(paid.witness(bob).verify(tip.root, bob).is_err());
    // The messages fit as they did before; in a batch that becomes final the payment is received.
    world.bond(crate::world::MIN_BOND).await;
    world.advance_with(&payments).await;
    world.finalise().await;
    assert!(world.view(Gateway::isFinalCall { id: U256::from(2) }).await);
    let tip = world.view(Gateway::batchesCall { id: U256::from(2) }).await;
    assert_eq!(world.witness(bob).verify(tip.root, bob).unwrap().balance, 9 * ETH);
}

#[tokio::test]
async fn operator_equivocation() {
    // One place in the operator's order is promised to two messages of Alice, one for Bob and one for Carol.
    let (operator, world) = (person("operator"), World::new().await.with_alice(10 * ETH).await);
    let (alice, bob, carol) = (world.alice.clone(), world.bob.address, world.carol.address);
    let (to_bob, to_carol) = (world.pay(&alice, bob, 8 * ETH, 0), world.pay(&alice, carol, 8 * ETH, 0));
    let promise =
        |message_id| Receipt { message_id, sequence: 7, previous_receipt: B256::repeat_byte(6), time: 1_800_000_000 };
    let first = promise(to_bob.message.id()).sign(&world.domain, &operator.key);
    let second = promise(to_carol.message.id()).sign(&world.domain, &operator.key);
    // Anyone who has both proves it with what layer 1 says: the gateway's address and its operator.
    let domain = Domain::new(31337, world.gateway);
    let named = world.view(Gateway::OPERATORCall {}).await;
    assert!(first.equivocates(&second, &domain, named) && second.equivocates(&first, &domain, named));
    // No proof: the same promise twice, another place, another gateway, another's signature.
    let elsewhere = Domain::new(31337, bob);
    let moved = Receipt { sequence: 8, ..second.receipt }.sign(&world.domain, &operator.key);
    let forged = second.receipt.sign(&world.domain, &alice.key);
    let foreign = second.receipt.sign(&elsewhere, &operator.key);
    for innocent in [&first, &moved, &forged, &foreign] {
        assert!(!first.equivocates(innocent, &domain, named));
    }
    // Nobody's money depends on it: in a batch one of the two takes effect, whatever was promised.
    let records = [to_carol.record().unwrap(), to_bob.record().unwrap()];
    let built = world.build(&records);
    let effects: Vec<bool> = built.reports[0].outcomes.iter().map(|outcome| outcome.effect().is_some()).collect();
    assert_eq!(effects, [true, false]);
    assert_eq!((built.state.leaf(bob).balance, built.state.leaf(carol).balance), (0, 8 * ETH));
}

#[tokio::test]
async fn false_inclusion() {
    // Alice's payment lies in a batch, with her good signature and the operator's promise; she does not own so much.
    let mut world = World::new().await.with_alice(10 * ETH).await;
    let (alice, bob) = (world.alice.clone(), world.bob.address);
    let large = world.pay(&alice, bob, 11 * ETH, 0);
    assert_eq!(large.check(&world.domain), Ok(()));
    let record = large.record().unwrap();
    let before = world.state();
    let built = world.build(&[record]);
    world.advance_with(&[record]).await;
    assert!(built.batch.records.windows(122).any(|bytes| *bytes == record.encode()));
    // Who asks for the effect finds none: in his leaf, and in the chunk, which its witnesses prove without any state.
    let root = world.view(Gateway::batchesCall { id: U256::from(2) }).await.root;
    assert_eq!(world.witness(bob).verify(root, bob).unwrap().balance, 0);
    let proof = Contest::of_chunk(&world.domain, &built.batch, &before, &[], 0).unwrap();
    let outcome = &proof.check(&world.domain).unwrap().outcomes[0];
    assert!(matches!(outcome, payments_protocol::Outcome::NoEffect(Reason::Balance { .. })), "{outcome:?}");
    // An operator that claims the effect loses the batch.
    let mut wish: State = world.state();
    wish.set(bob, payments_protocol::Leaf { balance: 11 * ETH, ..Default::default() });
    let mut stolen = world.build(&[record]).batch;
    stolen.roots = vec![wish.root()];
    assert_ne!(wish.root(), keccak256([]));
    world.falls(&stolen).await;
}
