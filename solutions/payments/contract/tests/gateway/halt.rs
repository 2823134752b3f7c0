//! An operator that does not serve the inbox, and how everyone leaves.

use alloy::primitives::{Address, B256, U256};
use payments_contract::PaymentsGateway as Gateway;
use payments_protocol::ClaimTo;

use crate::chain::{passed, refused};
use crate::fraud::with_false_root;
use crate::world::{CHALLENGE, ETH, FORCE, GWEI, MIN_BOND, World, claim_call, contest_call, posted, records};

impl World {
    pub(crate) async fn halt(&self) -> Result<alloy::rpc::types::TransactionReceipt, crate::chain::Revert> {
        self.call(self.anyone, 0, Gateway::haltCall {}).await
    }

    async fn reclaim(&self, index: u64) -> Result<alloy::rpc::types::TransactionReceipt, crate::chain::Revert> {
        self.call(self.anyone, 0, Gateway::reclaimDepositCall { index }).await
    }
}

#[tokio::test]
async fn overdue_to_the_second() {
    let mut world = World::new().await;
    refused::<Gateway::NotOverdue>(world.halt().await);
    let item = world.deposit(world.alice.address, ETH).await;
    let due = world.view(Gateway::dueTimeCall {}).await;
    assert_eq!((due.index, due.time), (0, item.time + FORCE));
    let before = world.chain.snapshot().await;

    // In its last second the item can be served, and the gateway not halted.
    world.chain.next_at(item.time + FORCE).await;
    refused::<Gateway::NotOverdue>(world.halt().await);
    world.chain.revert_to(&before).await;
    let before = world.chain.snapshot().await;
    world.chain.next_at(item.time + FORCE).await;
    passed(world.submit(&world.build(&[]).batch).await);
    refused::<Gateway::NotOverdue>(world.halt().await);
    world.chain.revert_to(&before).await;

    // A second later it is the other way round.
    world.chain.next_at(item.time + FORCE + 1).await;
    let overdue = refused::<Gateway::Overdue>(world.submit(&world.build(&[]).batch).await);
    assert_eq!(overdue.index, 0);
    let halted: Gateway::Halted = world.event(&passed(world.halt().await));
    assert_eq!(halted.index, 0);
    assert!(world.halted().await);
}

#[tokio::test]
async fn halt_is_for_ever() {
    let mut world = World::new().await.with_alice(ETH).await;
    let withdrawal = world.withdraw(&world.alice.clone(), 1, 0);
    let batch = world.build(&records(&[world.pay(&world.alice.clone(), world.bob.address, 1, 0)])).batch;
    world.request_exit(world.alice.address).await;
    world.chain.advance(FORCE + 1).await;
    passed(world.halt().await);
    refused::<Gateway::IsHalted>(world.halt().await);
    refused::<Gateway::IsHalted>(world.call(world.anyone, 1, Gateway::depositCall { to: world.anyone }).await);
    refused::<Gateway::IsHalted>(world.call(world.anyone, 0, Gateway::requestExitCall {}).await);
    let request = Gateway::requestWithdrawPaymentCall { from: world.alice.address, latestMessage: posted(&withdrawal) };
    refused::<Gateway::IsHalted>(world.call(world.anyone, 0, request).await);
    refused::<Gateway::IsHalted>(world.submit(&batch).await);
    refused::<Gateway::IsHalted>(world.call(world.operator, 1, Gateway::bondCall {}).await);
    // What the operator still has is its own once nothing can be contested.
    refused::<Gateway::NotFinal>(world.call(world.operator, 0, Gateway::unbondCall {}).await);
    world.finalise().await;
    passed(world.call(world.operator, 0, Gateway::unbondCall {}).await);
}

#[tokio::test]
async fn after_a_halt_everyone_leaves_in_full() {
    let mut world = World::new().await;
    let [alice, bob, carol] = [world.alice.clone(), world.bob.clone(), world.carol.clone()];
    world.deposit(alice.address, 10 * ETH).await;
    world.deposit(bob.address, 5 * ETH).await;
    world.advance_with(&[]).await;
    let payments = [world.pay(&alice, carol.address, ETH, 7 * GWEI), world.withdraw(&bob, 2 * ETH, 0)];
    world.advance_with(&records(&payments)).await;
    world.finalise().await;
    passed(world.claim(bob.address).await);
    // Now the operator stops.
    world.deposit(bob.address, 3 * ETH).await;
    world.request_exit(carol.address).await;
    world.deposit(alice.address, 4 * ETH).await;
    refused::<Gateway::NotHalted>(world.reclaim(2).await);
    world.chain.advance(FORCE + 1).await;
    passed(world.halt().await);

    let unclaimed = |account: Address| {
        let leaf = world.leaf(account);
        leaf.balance + leaf.withdrawn
    };
    for (account, claimed) in [(carol.address, 0), (world.operator, 0), (bob.address, 2 * ETH), (alice.address, 0)] {
        let receipt = passed(world.claim(account).await);
        let event: Gateway::Claimed = world.event(&receipt);
        assert_eq!(event.amount, U256::from(unclaimed(account) - claimed));
        refused::<Gateway::NothingToClaim>(world.claim(account).await);
    }
    // Deposits that no batch consumed go back, once; other items and consumed deposits do not.
    refused::<Gateway::NotReclaimable>(world.reclaim(0).await);
    refused::<Gateway::NotReclaimable>(world.reclaim(3).await);
    refused::<Gateway::NoSuchItem>(world.reclaim(5).await);
    let before = world.chain.balance(alice.address).await;
    let receipt = passed(world.reclaim(4).await);
    let event: Gateway::DepositReclaimed = world.event(&receipt);
    assert_eq!((event.index, event.to, event.value), (4, alice.address, U256::from(4 * ETH)));
    assert_eq!(world.chain.balance(alice.address).await - before, U256::from(4 * ETH));
    refused::<Gateway::NotReclaimable>(world.reclaim(4).await);
    passed(world.reclaim(2).await);
    assert_eq!(world.view(Gateway::lockedBalanceCall { account: alice.address }).await, U256::from(10 * ETH));
    // Nothing but the bond is left: to the wei.
    assert_eq!(world.chain.balance(world.gateway).await, U256::from(MIN_BOND));
}

#[tokio::test]
async fn old_balance_after_a_halt() {
    let mut world = World::new().await.with_alice(10 * ETH).await;
    let (alice, bob) = (world.alice.clone(), world.bob.clone());
    world.finalise().await;
    let payment = world.pay(&alice, bob.address, 10 * ETH, 0);
    world.advance_with(&records(&[payment])).await;
    world.request_exit(bob.address).await;
    world.chain.advance(FORCE + 1).await;
    passed(world.halt().await);
    // Batch 1 is final and says that Alice has 10 ETH, but it is not the last.
    let old = claim_call(1, &world.standing[0].state.witness(alice.address), alice.address, vec![]);
    let refusal = refused::<Gateway::NotLastStanding>(world.call(alice.address, 0, old.clone()).await);
    assert_eq!((refusal.id, refusal.last), (U256::from(1), U256::from(2)));
    // The last one has to be final first.
    refused::<Gateway::NotFinal>(world.claim(bob.address).await);
    world.finalise().await;
    passed(world.claim(bob.address).await);
    refused::<Gateway::NothingToClaim>(world.claim(alice.address).await);
    refused::<Gateway::NotLastStanding>(world.call(alice.address, 0, old).await);
}

#[tokio::test]
async fn halt_raced_by_a_false_batch() {
    let mut world = World::new().await.with_alice(10 * ETH).await;
    world.finalise().await;
    // The operator sees its halt coming and submits a false batch just in time, which consumes the waiting item.
    world.request_exit(world.alice.address).await;
    world.chain.advance(FORCE - 10).await;
    let false_batch = with_false_root(&world.build(&[]), 0);
    passed(world.submit(&false_batch).await);
    refused::<Gateway::NotOverdue>(world.halt().await);
    // The contest brings the item back, with FORCE anew, once.
    let (contest, _) = world.fraud(&false_batch);
    passed(world.contest(world.anyone, &contest).await);
    refused::<Gateway::NotOverdue>(world.halt().await);
    world.chain.advance(FORCE + 1).await;
    world.bond(MIN_BOND).await;
    refused::<Gateway::Overdue>(world.submit(&false_batch).await);
    passed(world.halt().await);
    passed(world.claim(world.alice.address).await);
}

#[tokio::test]
async fn a_contest_works_after_a_halt() {
    let mut world = World::new().await.with_alice(10 * ETH).await;
    world.finalise().await;
    let payment = world.pay(&world.alice.clone(), world.bob.address, ETH, 0);
    let false_batch = with_false_root(&world.build(&records(&[payment])), 0);
    passed(world.submit(&false_batch).await);
    world.request_exit(world.alice.address).await;
    world.chain.advance(FORCE + 1).await;
    passed(world.halt().await);
    let (contest, _) = world.fraud(&false_batch);
    passed(world.contest(world.anyone, &contest).await);
    // The halt stays, and the last standing batch is the final one before.
    assert!(world.halted().await);
    assert_eq!(world.next_id().await, 2);
    passed(world.claim(world.alice.address).await);
}

#[tokio::test]
async fn genesis_counts_as_final() {
    let mut world = World::new().await;
    world.deposit(world.alice.address, ETH).await;
    // A false batch in which the operator owns what Alice paid in.
    let false_batch = with_false_root(&world.build(&[]), 0);
    world.falls(&false_batch).await;
    world.chain.advance(FORCE + 1).await;
    passed(world.halt().await);
    assert_eq!(world.view(Gateway::finalisedIdCall {}).await, U256::ZERO);
    passed(world.reclaim(0).await);
    refused::<Gateway::NothingToClaim>(world.claim(world.alice.address).await);
}

#[tokio::test]
async fn freeze_by_self_contest() {
    let mut world = World::new().await.with_alice(10 * ETH).await;
    world.finalise().await;
    let item = world.request_exit(world.alice.address).await;
    let false_batch = with_false_root(&world.build(&[]), 0);
    let fall = async |world: &World| {
        passed(world.submit(&false_batch).await);
        let (contest, _) = world.fraud(&false_batch);
        passed(world.contest(world.operator, &contest).await);
        world.bond(MIN_BOND).await;
    };
    // The first contest gives the waiting item one grace …
    world.chain.advance(FORCE / 2).await;
    fall(&world).await;
    let grace = world.view(Gateway::graceCall {}).await;
    assert_eq!(grace.end, 2);
    assert!(grace.floor > item.time);
    let due = world.view(Gateway::dueTimeCall {}).await.time;
    assert_eq!(due, grace.floor + FORCE);
    // … and the second none, nor the third.
    world.chain.advance(FORCE / 2).await;
    fall(&world).await;
    world.chain.advance(FORCE / 4).await;
    fall(&world).await;
    assert_eq!(world.view(Gateway::dueTimeCall {}).await.time, due);
    world.chain.next_at(due + 1).await;
    passed(world.halt().await);
}

#[tokio::test]
async fn a_new_grace_needs_the_last_one_consumed_for_good() {
    let mut world = World::new().await.with_alice(10 * ETH).await;
    world.finalise().await;
    world.request_exit(world.alice.address).await;
    let fall = async |world: &World| {
        let false_batch = with_false_root(&world.build(&[]), 0);
        world.falls(&false_batch).await;
        world.bond(MIN_BOND).await;
        world.view(Gateway::graceCall {}).await
    };
    let first = fall(&world).await;
    assert_eq!(first.end, 2);
    // Consumed, but not for good.
    world.advance_with(&[]).await;
    let item = world.deposit(world.bob.address, ETH).await;
    let second = fall(&world).await;
    assert_eq!((second.floor, second.end), (first.floor, 2));
    assert_eq!(world.view(Gateway::dueTimeCall {}).await.time, item.time + FORCE);
    // An honest batch with the item becomes final; the next contest gives a grace again.
    world.advance_with(&[]).await;
    world.finalise().await;
    world.request_exit(world.carol.address).await;
    let third = fall(&world).await;
    assert_eq!(third.end, 4);
    assert!(third.floor > second.floor);
}

#[tokio::test]
async fn operator_key_stolen() {
    // The thief posts a false batch, loses the bond, and can do no more: everyone leaves with what the last true batch says.
    let mut world = World::new().await.with_alice(10 * ETH).await;
    world.finalise().await;
    let payment = world.pay(&world.alice.clone(), world.bob.address, 4 * ETH, 0);
    world.advance_with(&records(&[payment])).await;
    let theft = with_false_root(&world.build(&world.payments(&world.alice.clone(), world.operator, ETH, 0, 1)), 0);
    world.falls(&theft).await;
    assert_eq!(world.bond_balance().await, 0);
    refused::<Gateway::BondTooLow>(world.submit(&theft).await);
    world.request_exit(world.alice.address).await;
    world.chain.advance(CHALLENGE + FORCE + 1).await;
    passed(world.halt().await);
    for (person, owned) in [(world.alice.clone(), 6 * ETH), (world.bob.clone(), 4 * ETH)] {
        let recipient = Address::repeat_byte(7);
        let before = world.chain.balance(recipient).await;
        let permit = ClaimTo { account: person.address, recipient, claimed_before: 0, claimed_after: owned };
        let signature = permit.sign(&world.domain, &person.key).to_bytes();
        passed(world.claim_to(world.anyone, person.address, recipient, signature).await);
        assert_eq!(world.chain.balance(recipient).await - before, U256::from(owned));
    }
}

#[tokio::test]
async fn stale_slot_after_a_rollback() {
    let world = World::new().await.with_alice(10 * ETH).await;
    let payment = world.pay(&world.alice.clone(), world.bob.address, ETH, 0);
    let built = world.build(&records(&[payment]));
    let false_batch = with_false_root(&built, 0);
    passed(world.submit(&false_batch).await);
    let (contest, _) = world.fraud(&false_batch);
    // Another one on top, in whose root the operator owns everything: of a state that nobody has.
    let mut top = false_batch.clone();
    top.id = 3;
    top.previous_commitment = false_batch.commitment();
    top.inbox_start = false_batch.inbox_end;
    let state: payments_protocol::State =
        [(world.operator, payments_protocol::Leaf { withdrawn: 10 * ETH, ..Default::default() })].into_iter().collect();
    top.roots = vec![state.root()];
    passed(world.submit(&top).await);
    passed(world.contest(world.anyone, &contest).await);
    world.finalise().await;
    // Its slot is still written, but its id stands for nothing, however much time passes.
    for id in [2u64, 3] {
        let id = U256::from(id);
        let (chain, gateway) = (&world.chain, world.gateway);
        refused::<Gateway::NotStanding>(chain.view(gateway, Gateway::batchesCall { id }).await);
        refused::<Gateway::NotStanding>(chain.view(gateway, Gateway::isFinalCall { id }).await);
        refused::<Gateway::NotStanding>(chain.view(gateway, Gateway::isContestableCall { id }).await);
    }
    let theft = claim_call(3, &state.witness(world.operator), world.operator, vec![]);
    refused::<Gateway::NotStanding>(world.call(world.operator, 0, theft).await);
    refused::<Gateway::NotStanding>(world.contest(world.anyone, &contest).await);
    let mut again = contest_call(&contest);
    again.batch.id = U256::from(3);
    refused::<Gateway::NotStanding>(world.call(world.anyone, 0, again).await);
    // The next batch takes id 2, on batch 1, whose commitment is unchanged.
    world.bond(MIN_BOND).await;
    passed(world.submit(&built.batch).await);
    assert_ne!(world.view(Gateway::batchesCall { id: U256::from(2) }).await.commitment, B256::ZERO);
    assert!(!world.view(Gateway::isFinalCall { id: U256::from(2) }).await);
}
