//! Leaving by a final batch.

use alloy::primitives::{Address, B256, Bytes, U256, address};
use alloy::sol_types::SolCall;
use payments_contract::PaymentsGateway as Gateway;
use payments_protocol::ClaimTo;
use serde_json::json;

use crate::chain::{passed, refused};
use crate::code::{BOMB, FORWARDER, REFUSER, caller_back, through_forwarder};
use crate::world::{CHALLENGE, ETH, GWEI, World, claim_call, records};

const ELSEWHERE: Address = address!("0x00000000000000000000000000000000e15e3e4e");

/// Alice owned 10 ETH and has withdrawn 3, in a batch that is not final yet.
async fn withdrawn() -> World {
    let mut world = World::new().await.with_alice(10 * ETH).await;
    let withdrawal = world.withdraw(&world.alice.clone(), 3 * ETH, 0);
    world.advance_with(&records(&[withdrawal])).await;
    world
}

#[tokio::test]
async fn bad_root_then_early_claim() {
    let world = withdrawn().await;
    let time = world.view(Gateway::batchesCall { id: U256::from(2) }).await.time;
    world.chain.next_at(time + CHALLENGE - 1).await;
    refused::<Gateway::NotFinal>(world.claim(world.alice.address).await);
    world.chain.next_at(time + CHALLENGE).await;
    let before = world.chain.balance(world.alice.address).await;
    let receipt = passed(world.claim(world.alice.address).await);
    let event: Gateway::Claimed = world.event(&receipt);
    assert_eq!((event.account, event.recipient), (world.alice.address, world.alice.address));
    assert_eq!((event.amount, event.total, event.batch), (U256::from(3 * ETH), U256::from(3 * ETH), U256::from(2)));
    assert_eq!(world.chain.balance(world.alice.address).await - before, U256::from(3 * ETH));
}

#[tokio::test]
async fn double_withdrawal() {
    let mut world = withdrawn().await;
    world.finalise().await;
    passed(world.claim(world.alice.address).await);
    let again = refused::<Gateway::NothingToClaim>(world.claim(world.alice.address).await);
    assert_eq!((again.due, again.claimed), (U256::from(3 * ETH), U256::from(3 * ETH)));
    // A later batch pays what the counter has grown, whoever asks, by whichever final batch.
    let withdrawal = world.withdraw(&world.alice.clone(), 2 * ETH, GWEI);
    world.advance_with(&records(&[withdrawal])).await;
    world.finalise().await;
    let receipt = passed(world.claim(world.alice.address).await);
    assert_eq!(world.event::<Gateway::Claimed>(&receipt).amount, U256::from(2 * ETH));
    assert_eq!(world.claimed(world.alice.address).await, 5 * ETH);
    let old = claim_call(2, &world.standing[1].state.witness(world.alice.address), world.alice.address, Bytes::new());
    refused::<Gateway::NothingToClaim>(world.call(world.anyone, 0, old).await);
}

#[tokio::test]
async fn net_payee_frozen_by_locked_arithmetic() {
    // Bob never deposited, Alice did: what is locked for whom plays no part.
    let mut world = World::new().await.with_alice(10 * ETH).await;
    let bob = world.bob.clone();
    let payment = world.pay(&world.alice.clone(), bob.address, 9 * ETH, 0);
    world.advance_with(&records(&[payment])).await;
    let withdrawal = world.withdraw(&bob, 9 * ETH, 0);
    world.advance_with(&records(&[withdrawal])).await;
    world.finalise().await;
    assert_eq!(world.view(Gateway::lockedBalanceCall { account: bob.address }).await, U256::ZERO);
    passed(world.claim(bob.address).await);
    assert_eq!(world.view(Gateway::lockedBalanceCall { account: world.alice.address }).await, U256::from(10 * ETH));
}

#[tokio::test]
async fn another_recipient_needs_the_account() {
    let world = withdrawn().await;
    world.finalise().await;
    let (alice, bob) = (world.alice.clone(), world.bob.clone());
    let permit = ClaimTo { account: alice.address, recipient: ELSEWHERE, claimed_before: 0, claimed_after: 3 * ETH };
    let signature = |permit: &ClaimTo| permit.sign(&world.domain, &alice.key).to_bytes();
    let tried =
        async |signature: &[u8]| world.claim_to(world.anyone, alice.address, ELSEWHERE, signature.to_vec()).await;
    refused::<Gateway::BadSignature>(tried(&[]).await);
    refused::<Gateway::BadSignature>(tried(&[0; 65]).await);
    refused::<Gateway::BadSignature>(tried(&permit.sign(&world.domain, &bob.key).to_bytes()).await);
    for other in [
        ClaimTo { account: bob.address, ..permit },
        ClaimTo { recipient: bob.address, ..permit },
        ClaimTo { claimed_before: 1, ..permit },
        ClaimTo { claimed_after: 3 * ETH - 1, ..permit },
        ClaimTo { claimed_after: 10 * ETH, ..permit },
    ] {
        refused::<Gateway::BadSignature>(tried(&signature(&other)).await);
    }
    let elsewhere = payments_protocol::Domain::new(1, world.gateway);
    refused::<Gateway::BadSignature>(tried(&permit.sign(&elsewhere, &alice.key).to_bytes()).await);
    let mut twin = signature(&permit);
    let order = U256::from_be_bytes(alloy::hex!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"));
    let high = order - U256::from_be_slice(&twin[32..64]);
    twin[32..64].copy_from_slice(&high.to_be_bytes::<32>());
    twin[64] = 55 - twin[64];
    refused::<Gateway::BadSignature>(tried(&twin).await);
    let mut longer = signature(&permit).to_vec();
    longer.push(0);
    refused::<Gateway::BadSignature>(tried(&longer).await);
    let nobody = world.claim_to(alice.address, alice.address, Address::ZERO, vec![]).await;
    refused::<Gateway::ZeroAddress>(nobody);

    passed(tried(&signature(&permit)).await);
    assert_eq!(world.chain.balance(ELSEWHERE).await, U256::from(3 * ETH));
}

#[tokio::test]
async fn claim_to_replay() {
    let mut world = withdrawn().await;
    world.finalise().await;
    let alice = world.alice.clone();
    let permit = ClaimTo { account: alice.address, recipient: ELSEWHERE, claimed_before: 0, claimed_after: 3 * ETH };
    let signature = permit.sign(&world.domain, &alice.key).to_bytes();
    passed(world.claim_to(world.anyone, alice.address, ELSEWHERE, signature).await);
    // A second withdrawal of the same value: the permit was for the first.
    let withdrawal = world.withdraw(&alice, 3 * ETH, 0);
    world.advance_with(&records(&[withdrawal])).await;
    world.finalise().await;
    refused::<Gateway::BadSignature>(world.claim_to(world.anyone, alice.address, ELSEWHERE, signature).await);
    assert_eq!(world.chain.balance(ELSEWHERE).await, U256::from(3 * ETH));
}

#[tokio::test]
async fn the_account_itself_names_any_recipient() {
    let world = withdrawn().await;
    world.finalise().await;
    let alice = world.alice.address;
    passed(world.claim_to(alice, alice, ELSEWHERE, vec![]).await);
    assert_eq!(world.chain.balance(ELSEWHERE).await, U256::from(3 * ETH));
}

#[tokio::test]
async fn a_contract_leaves_by_a_forced_exit() {
    let mut world = World::new().await;
    let contract = address!("0x00000000000000000000000000000000c0417ac7");
    world.chain.set_code(contract, FORWARDER).await;
    world.deposit(contract, ETH).await;
    let exit = through_forwarder(world.gateway, &Gateway::requestExitCall {}.abi_encode());
    let receipt = passed(world.chain.send(world.anyone, Some(contract), 0, exit).await);
    assert_eq!(world.entered(&receipt).who, contract);
    world.advance_with(&[]).await;
    world.finalise().await;
    let claim = claim_call(1, &world.witness(contract), ELSEWHERE, vec![]).abi_encode();
    let claim = through_forwarder(world.gateway, &claim);
    passed(world.chain.send(world.anyone, Some(contract), 0, claim).await);
    assert_eq!(world.chain.balance(ELSEWHERE).await, U256::from(ETH));
}

#[tokio::test]
async fn a_recipient_can_refuse_but_nothing_more() {
    let world = withdrawn().await;
    world.finalise().await;
    let alice = world.alice.address;
    let to_elsewhere = async || world.claim_to(alice, alice, ELSEWHERE, vec![]).await;
    let before = world.chain.snapshot().await;

    world.chain.set_code(ELSEWHERE, REFUSER).await;
    refused::<Gateway::PaymentRefused>(to_elsewhere().await);
    assert_eq!(world.claimed(alice).await, 0);
    // The gateway takes no plain ETH either, so nobody pays it by mistake.
    refused::<Gateway::PaymentRefused>(world.claim_to(alice, alice, world.gateway, vec![]).await);

    // A flood of returned data is not read.
    world.chain.set_code(ELSEWHERE, BOMB).await;
    let bombed = passed(to_elsewhere().await);
    println!("claim to a recipient that returns 1 MB: {} gas", bombed.gas_used);
    world.chain.revert_to(&before).await;

    // Claiming again from within the payment fails; the payment does not.
    let again = claim_call(2, &world.witness(alice), alice, vec![]).abi_encode();
    world.chain.set_code(ELSEWHERE, &caller_back(world.gateway, &again)).await;
    let paid = world.chain.balance(world.gateway).await;
    passed(to_elsewhere().await);
    let slot = world.chain.request("eth_getStorageAt", json!([ELSEWHERE, "0x0", "latest"])).await;
    assert_eq!(slot, json!(B256::with_last_byte(2)), "the second claim was tried and refused");
    assert_eq!(paid - world.chain.balance(world.gateway).await, U256::from(3 * ETH));
}

#[tokio::test]
async fn only_the_leaf_in_the_root_counts() {
    let mut world = withdrawn().await;
    let payment = world.pay(&world.alice.clone(), world.bob.address, 1, 0);
    world.advance_with(&records(&[payment])).await;
    world.finalise().await;
    let witness = world.witness(world.alice.address);
    let tried = async |change: &dyn Fn(&mut payments_protocol::Witness)| {
        let mut witness = witness.clone();
        change(&mut witness);
        world.call(world.anyone, 0, claim_call(3, &witness, witness.account, vec![])).await
    };
    refused::<Gateway::BadWitness>(tried(&|w| w.withdrawn += 1).await);
    refused::<Gateway::BadWitness>(tried(&|w| w.balance += 1).await);
    refused::<Gateway::BadWitness>(tried(&|w| w.nonce += 1).await);
    refused::<Gateway::BadWitness>(tried(&|w| w.head = B256::ZERO).await);
    refused::<Gateway::BadWitness>(tried(&|w| w.account = world.bob.address).await);
    refused::<Gateway::BadWitness>(tried(&|w| w.siblings.push(B256::ZERO)).await);
    refused::<Gateway::BadWitness>(tried(&|w| w.siblings.insert(0, B256::ZERO)).await);
    refused::<Gateway::BadWitness>(tried(&|w| w.siblings.clear()).await);
    refused::<Gateway::BadWitness>(tried(&|w| w.siblings = vec![B256::ZERO; 161]).await);
    let claim = async |witness: &payments_protocol::Witness| {
        world.call(world.anyone, 0, claim_call(3, witness, witness.account, vec![])).await
    };
    // Bob has received and not withdrawn.
    refused::<Gateway::NothingToClaim>(claim(&world.witness(world.bob.address)).await);
    // Carol has nothing, and the proof of that is somebody else's leaf: none of hers.
    let mut beside = world.witness(world.carol.address);
    assert!(beside.account == world.alice.address || beside.account == world.bob.address);
    beside.account = world.carol.address;
    refused::<Gateway::BadWitness>(claim(&beside).await);
    refused::<Gateway::NotStanding>(
        world.call(world.anyone, 0, claim_call(4, &witness, witness.account, vec![])).await,
    );
    passed(tried(&|_| ()).await);
}
