//! What `submitBatch` takes.

use alloy::primitives::{B256, Bytes, U256, address, keccak256};
use alloy::sol_types::SolCall;
use payments_contract::{MAX_CHUNK, MAX_CHUNKS, PaymentsGateway as Gateway};
use payments_protocol::{Record, Submission};

use crate::chain::{Revert, passed, refused};
use crate::code::{FORWARDER, through_forwarder};
use crate::world::{CHALLENGE, ETH, MIN_BOND, World, records};

#[tokio::test]
async fn a_batch_continues_the_last_standing_one() {
    let mut world = World::new().await.with_alice(10 * ETH).await;
    world.deposit(world.bob.address, ETH).await;
    let built = world.build(&records(&[world.pay(&world.alice.clone(), world.bob.address, ETH, 0)]));
    let tried = async |change: &dyn Fn(&mut Gateway::submitBatchCall)| {
        let mut call = world.submission(&built.batch);
        change(&mut call);
        world.call(world.operator, 0, call).await
    };
    let wrong = refused::<Gateway::WrongId>(tried(&|c| c.id = U256::from(1)).await);
    assert_eq!(wrong.expected, U256::from(2));
    refused::<Gateway::WrongId>(tried(&|c| c.id = U256::from(3)).await);
    refused::<Gateway::WrongId>(tried(&|c| c.id = U256::ZERO).await);
    let wrong = refused::<Gateway::WrongPrevious>(tried(&|c| c.previousCommitment = B256::ZERO).await);
    assert_eq!(wrong.expected, world.standing[0].batch.commitment());
    refused::<Gateway::WrongInboxEnd>(tried(&|c| c.inboxEnd = 0).await);
    refused::<Gateway::WrongInboxEnd>(tried(&|c| c.inboxEnd = 3).await);
    refused::<Gateway::WrongAccumulator>(tried(&|c| c.accumulator = B256::ZERO).await);
    refused::<Gateway::WrongAccumulator>(tried(&|c| c.inboxEnd = 1).await);
    refused::<Gateway::WrongShape>(tried(&|c| c.roots.truncate(1)).await);
    refused::<Gateway::WrongShape>(tried(&|c| c.roots.push(B256::ZERO)).await);
    refused::<Gateway::WrongShape>(tried(&|c| c.records = vec![0; Record::LENGTH - 1].into()).await);
    refused::<Gateway::WrongShape>(tried(&|c| c.records = vec![0; 9 * Record::LENGTH].into()).await);
    refused::<Gateway::NotOperator>(world.call(world.anyone, 0, world.submission(&built.batch)).await);

    let receipt = passed(tried(&|_| ()).await);
    let event: Gateway::BatchSubmitted = world.event(&receipt);
    assert_eq!((event.id, event.commitment), (U256::from(2), built.batch.commitment()));
    assert_eq!((event.proposer, event.inboxStart, event.inboxEnd), (world.operator, 1, 2));
    assert_eq!(event.root, built.state.root());
    let stored = world.view(Gateway::batchesCall { id: U256::from(2) }).await;
    assert_eq!((stored.commitment, stored.root), (event.commitment, event.root));
    assert_eq!((stored.time, stored.inboxEnd), (world.chain.now().await, 2));
}

#[tokio::test]
async fn an_empty_batch_is_refused() {
    let world = World::new().await;
    let call = Gateway::submitBatchCall {
        id: U256::from(1),
        previousCommitment: B256::ZERO,
        inboxEnd: 0,
        accumulator: B256::ZERO,
        roots: vec![],
        records: Bytes::new(),
    };
    refused::<Gateway::EmptyBatch>(world.call(world.operator, 0, call.clone()).await);
    let call = Gateway::submitBatchCall { roots: vec![B256::ZERO], ..call };
    refused::<Gateway::EmptyBatch>(world.call(world.operator, 0, call).await);
}

#[tokio::test]
async fn as_many_chunks_as_a_contest_can_carry() {
    let world = World::new().await;
    let of = |chunks: usize| Gateway::submitBatchCall {
        id: U256::from(1),
        previousCommitment: B256::ZERO,
        inboxEnd: 0,
        accumulator: B256::ZERO,
        roots: vec![keccak256("root"); chunks],
        records: vec![1; chunks * MAX_CHUNK * Record::LENGTH].into(),
    };
    refused::<Gateway::WrongShape>(world.call(world.operator, 0, of(MAX_CHUNKS + 1)).await);
    passed(world.call(world.operator, 0, of(MAX_CHUNKS)).await);
}

#[tokio::test]
async fn aliased_abi() {
    let world = World::new().await.with_alice(10 * ETH).await;
    // Three records: 366 bytes, 18 of padding.
    let built = world.build(&world.payments(&world.alice.clone(), world.bob.address, ETH, 0, 3));
    let canonical = world.submission(&built.batch).abi_encode();
    let submission = built.batch.submission(world.inbox.accumulator(1).unwrap());
    assert_eq!(submission.encode(), canonical, "the protocol crate's own encoder agrees");
    assert_eq!(Submission::decode(&canonical), Ok(submission), "and so does its decoder");
    let word = |index: usize| 4 + 32 * index..4 + 32 * (index + 1);
    let with = |index: usize, value: u64| {
        let mut bytes = canonical.clone();
        bytes[word(index)].copy_from_slice(&U256::from(value).to_be_bytes::<32>());
        bytes
    };
    let mut aliases = Vec::new();
    // More at the end: a byte, a word.
    aliases.push([&canonical[..], &[0]].concat());
    aliases.push([&canonical[..], &[0; 32]].concat());
    // Padding left out, or not zero.
    aliases.push(canonical[..canonical.len() - 18].to_vec());
    for at in [18, 1] {
        let mut dirty = canonical.clone();
        *dirty.iter_mut().rev().nth(at - 1).unwrap() = 1;
        aliases.push(dirty);
    }
    // A gap before the roots, and before the records.
    let mut gap = with(4, 7 * 32);
    gap[word(5)].copy_from_slice(&U256::from(9 * 32).to_be_bytes::<32>());
    gap.splice(4 + 6 * 32..4 + 6 * 32, [0; 32]);
    aliases.push(gap);
    let mut gap = with(5, 9 * 32);
    gap.splice(4 + 8 * 32..4 + 8 * 32, [0; 32]);
    aliases.push(gap);
    // The records first, then the roots.
    let (roots, tail) = (&canonical[4 + 6 * 32..4 + 8 * 32], &canonical[4 + 8 * 32..]);
    let mut swapped = canonical[..4 + 6 * 32].to_vec();
    swapped[word(4)].copy_from_slice(&U256::from(6 * 32 + tail.len()).to_be_bytes::<32>());
    swapped[word(5)].copy_from_slice(&U256::from(6 * 32).to_be_bytes::<32>());
    swapped.extend(tail);
    swapped.extend(roots);
    aliases.push(swapped);
    for alias in aliases {
        let result = world.chain.send(world.operator, Some(world.gateway), 0, alias).await;
        let Err(Revert(data)) = &result else { panic!("an alias passed") };
        // Some do not get past the ABI decoder; those revert without data.
        if !data.is_empty() {
            refused::<Gateway::NotCanonical>(result);
        }
    }
    // Values beyond their type.
    let mut dirty = canonical.clone();
    dirty[word(2).start] = 1;
    assert!(world.chain.send(world.operator, Some(world.gateway), 0, dirty).await.is_err());
    passed(world.chain.send(world.operator, Some(world.gateway), 0, canonical).await);
}

#[tokio::test]
async fn data_outside_the_transaction_input() {
    // The operator is a contract, so the data is in an inner call: refused.
    let contract = address!("0x00000000000000000000000000000000c0417ac7");
    let mut world = World::with_operator(contract).await;
    world.chain.set_code(contract, FORWARDER).await;
    let bond = through_forwarder(world.gateway, &Gateway::bondCall {}.abi_encode());
    passed(world.chain.send(world.anyone, Some(contract), MIN_BOND, bond).await);
    world.deposit(world.alice.address, ETH).await;
    let call = world.submission(&world.build(&[]).batch);
    let inner = through_forwarder(world.gateway, &call.abi_encode());
    let refusal = refused::<Gateway::NotPlainAccount>(world.chain.send(world.anyone, Some(contract), 0, inner).await);
    assert_eq!(refusal.caller, contract);

    // A plain account that delegates to code (EIP-7702) could be called and call on: refused while it does.
    let delegating = [&alloy::hex!("ef0100")[..], contract.as_slice()].concat();
    let mut world = World::new().await;
    world.deposit(world.alice.address, ETH).await;
    let batch = world.build(&[]).batch;
    world.chain.set_code(world.operator, &delegating).await;
    refused::<Gateway::NotPlainAccount>(world.submit(&batch).await);
    world.chain.set_code(world.operator, &[]).await;
    passed(world.submit(&batch).await);
}

#[tokio::test]
async fn contest_of_a_final_batch() {
    let world = World::new().await.with_alice(10 * ETH).await;
    let payment = world.pay(&world.alice.clone(), world.bob.address, ETH, 0);
    let batch = crate::fraud::with_false_root(&world.build(&records(&[payment])), 0);
    passed(world.submit(&batch).await);
    let time = world.chain.now().await;
    let (contest, _) = world.fraud(&batch);
    let before = world.chain.snapshot().await;
    world.chain.next_at(time + CHALLENGE).await;
    refused::<Gateway::NotContestable>(world.contest(world.anyone, &contest).await);
    assert!(world.view(Gateway::isFinalCall { id: U256::from(2) }).await);
    world.chain.revert_to(&before).await;
    world.chain.next_at(time + CHALLENGE - 1).await;
    passed(world.contest(world.anyone, &contest).await);
}

#[tokio::test]
async fn fraud_buried_under_many_batches() {
    let world = World::new().await.with_alice(10 * ETH).await;
    let payment = world.pay(&world.alice.clone(), world.bob.address, ETH, 0);
    let batch = crate::fraud::with_false_root(&world.build(&records(&[payment])), 0);
    passed(world.submit(&batch).await);
    let (contest, _) = world.fraud(&batch);
    let shallow = world.chain.snapshot().await;
    let at_once = passed(world.contest(world.anyone, &contest).await).gas_used;
    world.chain.revert_to(&shallow).await;
    let mut top = batch.clone();
    for id in 3..43 {
        top = payments_protocol::Batch { id, previous_commitment: top.commitment(), ..top };
        passed(world.submit(&top).await);
    }
    let buried = passed(world.contest(world.anyone, &contest).await).gas_used;
    assert_eq!(world.next_id().await, 2);
    println!("contest of the last batch {at_once} gas, of one under 40 more {buried} gas");
    // A few more steps of the search for the newest final batch, that is all.
    assert!(buried < at_once + 6 * 3_000);
}

#[tokio::test]
async fn the_newest_final_batch() {
    let mut world = World::new().await;
    let finalised = async |world: &World| world.view(Gateway::finalisedIdCall {}).await.to::<u64>();
    assert_eq!(finalised(&world).await, 0);
    for id in 1u64..6 {
        world.deposit(world.alice.address, ETH).await;
        world.advance_with(&[]).await;
        assert_eq!(finalised(&world).await, id.saturating_sub(3));
        world.chain.advance(CHALLENGE / 3).await;
    }
    world.finalise().await;
    assert_eq!(finalised(&world).await, 5);
}
