//! The operator's bond, and where it goes.

use alloy::primitives::{Address, U256};
use alloy::rpc::types::TransactionReceipt;
use payments_contract::PaymentsGateway as Gateway;
use payments_protocol::Batch;

use crate::chain::{Revert, passed, refused};
use crate::fraud::with_false_root;
use crate::world::{CHALLENGE, ETH, MIN_BOND, Standing, World, records};

async fn unbond(world: &World) -> Result<TransactionReceipt, Revert> {
    world.call(world.operator, 0, Gateway::unbondCall {}).await
}

async fn collect(world: &World, reward: u64) -> Result<TransactionReceipt, Revert> {
    world.call(world.anyone, 0, Gateway::collectRewardCall { reward: U256::from(reward) }).await
}

/// A false batch on top of the last standing one: Alice pays Bob once more, with a false root.
fn false_batch(world: &World) -> Batch {
    with_false_root(&world.build(&records(&[world.pay(&world.alice.clone(), world.bob.address, 1, 0)])), 0)
}

#[tokio::test]
async fn a_batch_needs_the_bond() {
    let mut world = World::with_operator(crate::world::person("operator").address).await;
    world.deposit(world.alice.address, ETH).await;
    let batch = world.build(&[]).batch;
    refused::<Gateway::BondTooLow>(world.submit(&batch).await);
    world.bond(MIN_BOND - 1).await;
    let low = refused::<Gateway::BondTooLow>(world.submit(&batch).await);
    assert_eq!((low.bond, low.minimum), (U256::from(MIN_BOND - 1), U256::from(MIN_BOND)));
    world.bond(1).await;
    passed(world.submit(&batch).await);
    refused::<Gateway::NotOperator>(world.call(world.anyone, 1, Gateway::bondCall {}).await);
    refused::<Gateway::BadValue>(world.call(world.operator, 0, Gateway::bondCall {}).await);
}

#[tokio::test]
async fn unbond_only_when_every_standing_batch_is_final() {
    let mut world = World::new().await;
    world.deposit(world.alice.address, ETH).await;
    refused::<Gateway::NotOperator>(world.call(world.anyone, 0, Gateway::unbondCall {}).await);
    let before = world.chain.snapshot().await;
    passed(unbond(&world).await);
    refused::<Gateway::BadValue>(unbond(&world).await);
    refused::<Gateway::BondTooLow>(world.submit(&world.build(&[]).batch).await);
    world.chain.revert_to(&before).await;

    world.advance_with(&[]).await;
    let time = world.view(Gateway::batchesCall { id: U256::from(1) }).await.time;
    world.chain.next_at(time + CHALLENGE - 1).await;
    refused::<Gateway::NotFinal>(unbond(&world).await);
    world.chain.next_at(time + CHALLENGE).await;
    let receipt = passed(unbond(&world).await);
    assert_eq!(world.event::<Gateway::Unbonded>(&receipt).amount, U256::from(MIN_BOND));
    assert_eq!(world.bond_balance().await, 0);
    assert_eq!(world.chain.balance(world.gateway).await, U256::from(ETH));
}

#[tokio::test]
async fn half_burns_half_waits_for_the_batch_before() {
    let world = World::new().await.with_alice(ETH).await;
    world.bond(1).await; // odd: the odd wei burns
    let burned = world.chain.balance(Address::ZERO).await;
    let receipt = world.falls(&false_batch(&world)).await;
    let slashed: Gateway::BondSlashed = world.event(&receipt);
    assert_eq!((slashed.burned, slashed.escrowed), (U256::from(MIN_BOND / 2 + 1), U256::from(MIN_BOND / 2)));
    assert_eq!(world.chain.balance(Address::ZERO).await - burned, slashed.burned);
    assert_eq!(world.bond_balance().await, 0);
    let not_final = refused::<Gateway::NotFinal>(collect(&world, 0).await);
    assert_eq!(not_final.id, U256::from(1));
    refused::<Gateway::NoSuchReward>(collect(&world, 1).await);
    world.finalise().await;
    let before = world.chain.balance(world.gateway).await;
    let receipt = passed(collect(&world, 0).await);
    let event: Gateway::RewardCollected = world.event(&receipt);
    assert_eq!((event.challenger, event.amount), (world.anyone, U256::from(MIN_BOND / 2)));
    assert_eq!(before - world.chain.balance(world.gateway).await, U256::from(MIN_BOND / 2));
    refused::<Gateway::NoSuchReward>(collect(&world, 0).await);
    // Paid, it stays in its place, and the next one follows.
    world.bond(MIN_BOND).await;
    let receipt = world.falls(&false_batch(&world)).await;
    assert_eq!(world.event::<Gateway::BondSlashed>(&receipt).reward, U256::from(1));
}

#[tokio::test]
async fn a_contest_of_batch_1_pays_at_once() {
    let mut world = World::new().await;
    world.deposit(world.alice.address, ETH).await;
    let batch = with_false_root(&world.build(&[]), 0);
    world.falls(&batch).await;
    passed(collect(&world, 0).await);
}

#[tokio::test]
async fn bond_emptied_by_a_cheap_self_contest() {
    // Batch 2 is the theft: by its root, Alice's payment never happened. The operator builds obviously false batches on
    // it and contests them itself, to have half its bond back before somebody proves batch 2 false.
    let mut world = World::new().await.with_alice(ETH).await;
    world.falls(&false_batch(&world)).await; // a reward that nothing of this concerns
    world.bond(MIN_BOND).await;
    let mut theft = false_batch(&world);
    theft.roots = vec![world.state().root()];
    passed(world.submit(&theft).await);
    let (proof, _) = world.fraud(&theft);
    let state = world.state();
    world.standing.push(Standing { batch: theft.clone(), state });
    for round in 0..3 {
        let decoy = false_batch(&world);
        passed(world.submit(&decoy).await);
        let (contest, _) = world.fraud(&decoy);
        passed(world.contest(world.operator, &contest).await);
        let reward = world.view(Gateway::rewardsCall { reward: U256::from(1 + round) }).await;
        assert_eq!((reward.challenger, reward.id), (world.operator, U256::from(3)));
        world.bond(MIN_BOND).await;
    }
    world.standing.pop();
    let burned = world.chain.balance(Address::ZERO).await;
    let receipt = passed(world.contest(world.anyone, &proof).await);
    let slashed: Gateway::BondSlashed = world.event(&receipt);
    // The three escrows of the operator's own contests and half of the bond.
    assert_eq!(slashed.escrowed, U256::from(4 * MIN_BOND / 2));
    assert_eq!(world.chain.balance(Address::ZERO).await - burned, U256::from(MIN_BOND / 2));
    assert_eq!(slashed.reward, U256::from(1));
    assert_eq!(world.view(Gateway::rewardCountCall {}).await, 2);
    refused::<Gateway::NoSuchReward>(collect(&world, 2).await);
    world.finalise().await;
    for (reward, amount) in [(0, MIN_BOND / 2), (1, 2 * MIN_BOND)] {
        let event: Gateway::RewardCollected = world.event(&passed(collect(&world, reward).await));
        assert_eq!((event.challenger, event.amount), (world.anyone, U256::from(amount)));
    }
    assert_eq!(world.chain.balance(world.gateway).await, U256::from(ETH));
}

#[tokio::test]
async fn a_contest_works_with_no_bond_left() {
    let mut world = World::new().await.with_alice(ETH).await;
    let mut theft = false_batch(&world);
    theft.roots = vec![world.state().root()];
    passed(world.submit(&theft).await);
    let (proof, _) = world.fraud(&theft);
    let state = world.state();
    world.standing.push(Standing { batch: theft, state });
    world.falls(&false_batch(&world)).await;
    assert_eq!((world.next_id().await, world.bond_balance().await), (3, 0));
    let receipt = passed(world.contest(world.operator, &proof).await);
    let slashed: Gateway::BondSlashed = world.event(&receipt);
    assert_eq!((slashed.burned, slashed.escrowed), (U256::ZERO, U256::from(MIN_BOND / 2)));
    assert_eq!((world.next_id().await, world.view(Gateway::rewardCountCall {}).await), (2, 1));
}

#[tokio::test]
async fn front_run_challenger() {
    let world = World::new().await.with_alice(ETH).await;
    let batch = false_batch(&world);
    passed(world.submit(&batch).await);
    let (contest, _) = world.fraud(&batch);
    let burned = world.chain.balance(Address::ZERO).await;
    // The operator copies the contest and comes first: it still loses half, and the batch falls all the same.
    passed(world.contest(world.operator, &contest).await);
    refused::<Gateway::NotStanding>(world.contest(world.anyone, &contest).await);
    assert_eq!(world.chain.balance(Address::ZERO).await - burned, U256::from(MIN_BOND / 2));
    assert_eq!(world.next_id().await, 2);
}

#[tokio::test]
async fn griefing_contests() {
    let mut world = World::new().await.with_alice(ETH).await;
    let payment = world.pay(&world.alice.clone(), world.bob.address, 1, 0);
    let before = world.state();
    let receipt = world.advance_with(&records(&[payment])).await;
    assert!(receipt.status());
    let batch = world.standing[1].batch.clone();
    let contest = payments_protocol::Contest::of_chunk(&world.domain, &batch, &before, &[], 0).unwrap();
    let operator = world.chain.balance(world.operator).await;
    for _ in 0..3 {
        refused::<Gateway::NotFraud>(world.contest(world.anyone, &contest).await);
    }
    assert_eq!(world.chain.balance(world.operator).await, operator);
    assert_eq!((world.next_id().await, world.bond_balance().await), (3, MIN_BOND));
}
