//! What enters the inbox, and what its events tell.

use alloy::primitives::{Address, B256, U256, keccak256};
use payments_contract::PaymentsGateway as Gateway;
use payments_protocol::{ItemKind, Message, SignedMessage};

use crate::chain::{passed, refused};
use crate::world::{ETH, GWEI, World, posted};

async fn request(
    world: &World,
    sender: Address,
    from: Address,
    message: impl Into<alloy::primitives::Bytes>,
) -> Result<alloy::rpc::types::TransactionReceipt, crate::chain::Revert> {
    let call = Gateway::requestWithdrawPaymentCall { from, latestMessage: message.into() };
    world.call(sender, 0, call).await
}

#[tokio::test]
async fn events_carry_every_field_of_the_accumulator() {
    let mut world = World::new().await;
    let alice = world.alice.clone();
    let deposit = world.deposit(alice.address, ETH).await;
    assert_eq!((deposit.index, deposit.kind, deposit.who), (0, ItemKind::Deposit, alice.address));
    assert_eq!((deposit.value, deposit.fee, deposit.message_id), (ETH, 0, B256::ZERO));
    assert_eq!((deposit.depositor, deposit.time), (world.anyone, world.chain.now().await));
    let exit = world.request_exit(alice.address).await;
    assert_eq!((exit.index, exit.kind, exit.who, exit.value), (1, ItemKind::ForcedExit, alice.address, 0));
    let receipt = passed(request(&world, alice.address, alice.address, vec![]).await);
    let empty = world.entered(&receipt);
    assert_eq!((empty.kind, empty.who, empty.depositor), (ItemKind::ForcedExit, alice.address, alice.address));
    let signed = world.withdraw(&alice, 2 * ETH, 3 * GWEI);
    let posted = world.post_withdraw(&signed).await;
    assert_eq!((posted.kind, posted.who, posted.depositor), (ItemKind::PostedWithdraw, alice.address, world.anyone));
    assert_eq!((posted.value, posted.fee, posted.message_id), (2 * ETH, 3 * GWEI, signed.message.id()));
    assert_eq!(world.view(Gateway::inboxLengthCall {}).await, 4);
    assert_eq!(world.view(Gateway::inboxCursorCall {}).await, 0);
    for index in 0..=4 {
        let accumulator = world.view(Gateway::accumulatorCall { index }).await;
        assert_eq!(Some(accumulator), world.inbox.accumulator(index));
    }
    let stored = world.view(Gateway::inboxItemCall { index: 0 }).await;
    assert_eq!((stored.kind, stored.value, stored.time, stored.to), (1, ETH, deposit.time, alice.address));
}

#[tokio::test]
async fn the_standard_event_stands_beside() {
    let world = World::new().await;
    let (alice, bob) = (world.alice.address, world.bob.address);
    let receipt = passed(world.call(bob, ETH, Gateway::depositCall { to: alice }).await);
    let event: Gateway::Deposited = world.event(&receipt);
    assert_eq!((event.depositor, event.to, event.value, event.index), (bob, alice, U256::from(ETH), U256::ZERO));
    assert_eq!(world.view(Gateway::lockedBalanceCall { account: alice }).await, U256::from(ETH));
    assert_eq!(world.view(Gateway::lockedBalanceCall { account: bob }).await, U256::ZERO);
}

#[tokio::test]
async fn what_makes_no_sense_stays_outside() {
    let world = World::new().await;
    let (alice, bob) = (world.alice.clone(), world.bob.clone());
    refused::<Gateway::ZeroAddress>(world.call(alice.address, 1, Gateway::depositCall { to: Address::ZERO }).await);
    refused::<Gateway::BadValue>(world.call(alice.address, 0, Gateway::depositCall { to: alice.address }).await);
    refused::<Gateway::NotYours>(request(&world, bob.address, alice.address, vec![]).await);
    let good = posted(&world.withdraw(&alice, ETH, 0)).to_vec();
    refused::<Gateway::BadMessage>(request(&world, bob.address, alice.address, good[..223].to_vec()).await);
    refused::<Gateway::BadMessage>(request(&world, bob.address, alice.address, [&good[..], &[0]].concat()).await);
    // One bit beyond value, fee, nonce and v.
    for byte in [15, 32 + 15, 64 + 23, 192 + 30] {
        let mut large = good.clone();
        large[byte] = 1;
        refused::<Gateway::BadMessage>(request(&world, bob.address, alice.address, large).await);
    }
    refused::<Gateway::BadSignature>(request(&world, bob.address, bob.address, good.clone()).await);
    refused::<Gateway::BadSignature>(request(&world, bob.address, Address::ZERO, good.clone()).await);
    let mut other = good.clone();
    other[31] ^= 1;
    refused::<Gateway::BadSignature>(request(&world, bob.address, alice.address, other).await);
    let leaf = world.leaf(alice.address);
    let message = Message::withdraw(alice.address, &leaf, ETH, 0);
    let elsewhere = payments_protocol::Domain::new(1, world.gateway);
    let foreign: SignedMessage = message.sign(&elsewhere, &alice.key);
    refused::<Gateway::BadSignature>(request(&world, bob.address, alice.address, posted(&foreign)).await);
    assert_eq!(world.view(Gateway::inboxLengthCall {}).await, 0);
    let plain = world.chain.send(alice.address, Some(world.gateway), 1, vec![]).await;
    assert!(plain.is_err(), "plain ETH is refused, so that nobody pays the gateway by mistake");
    passed(request(&world, bob.address, alice.address, good).await);
}

#[tokio::test]
async fn deposit_reorg() {
    let mut world = World::new().await;
    let before = world.chain.snapshot().await;
    world.deposit(world.alice.address, ETH).await;
    let batch = world.build(&[]).batch;
    let call = world.submission(&batch);
    // Layer 1 forgets the deposit; another one stands in its place.
    world.chain.revert_to(&before).await;
    let again = world.chain.snapshot().await;
    refused::<Gateway::WrongInboxEnd>(world.call(world.operator, 0, call.clone()).await);
    world.chain.revert_to(&again).await;
    passed(world.call(world.anyone, 1, Gateway::depositCall { to: world.operator }).await);
    let wrong = refused::<Gateway::WrongAccumulator>(world.call(world.operator, 0, call).await);
    assert_eq!(wrong.expected, world.view(Gateway::accumulatorCall { index: 1 }).await);
    assert_eq!(world.next_id().await, 1);
}

#[tokio::test]
async fn inbox_spam() {
    // Items that come after a batch was made do not make it revert: it names the accumulator at its own end.
    let mut world = World::new().await;
    world.deposit(world.alice.address, ETH).await;
    let built = world.build(&[]);
    for _ in 0..5 {
        passed(world.call(world.anyone, 1, Gateway::depositCall { to: world.anyone }).await);
    }
    passed(world.submit(&built.batch).await);
    assert_eq!(world.view(Gateway::inboxCursorCall {}).await, 1);
    assert_eq!(world.view(Gateway::inboxLengthCall {}).await, 6);
}

#[tokio::test]
async fn inbox_flood() {
    // An item costs its sender more gas than the operator.
    let mut world = World::new().await;
    let mut cheapest = u64::MAX;
    for index in 0..64 {
        let receipt = passed(world.call(world.anyone, 0, Gateway::requestExitCall {}).await);
        world.entered(&receipt);
        if index > 0 {
            cheapest = cheapest.min(receipt.gas_used);
        }
    }
    let all = world.advance_with(&[]).await.gas_used;
    println!("gas: {cheapest} an item for its sender, {} for the operator", all / 64);
    assert!(all / 64 < cheapest / 10);
}

#[tokio::test]
async fn stale_withdrawal() {
    // Posted, then overtaken by a payment: no effect, and the batch that says so stands.
    let mut world = World::new().await.with_alice(10 * ETH).await;
    let alice = world.alice.clone();
    let withdrawal = world.withdraw(&alice, ETH, 0);
    let payment = world.pay(&alice, world.bob.address, ETH, 0).record().unwrap();
    world.advance_with(&[payment]).await;
    world.post_withdraw(&withdrawal).await;
    let built = world.build(&[]);
    assert_eq!(built.reports[0].outcomes[0].effect(), None);
    world.advance_with(&[]).await;
    assert_eq!(world.leaf(alice.address).withdrawn, 0);
    // Claimed to have had an effect, it falls.
    world.post_withdraw(&withdrawal).await;
    let mut stolen = world.build(&[]).batch;
    stolen.roots = vec![keccak256("withdrawn once more")];
    world.falls(&stolen).await;
}
