//! Every kind of fraud is proven, and nothing that is true can be contested (invariants 5 and 6).

use alloy::primitives::{Address, B256, U256, keccak256};
use payments_contract::PaymentsGateway as Gateway;
use payments_protocol::{BuiltBatch, Contest, Domain, Message, Record, Signature};

use crate::chain::{passed, refused};
use crate::world::{CHALLENGE, ETH, GWEI, Person, World, contest_call, records};

/// The order of secp256k1 (SEC 2, section 2.4.1).
const ORDER: [u8; 32] = alloy::hex!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");

pub(crate) fn with_false_root(built: &BuiltBatch, chunk: usize) -> payments_protocol::Batch {
    let mut batch = built.batch.clone();
    batch.roots[chunk] = keccak256("false");
    batch
}

/// The same signature with the other s: valid ECDSA, refused here.
pub(crate) fn twin(record: &Record) -> Record {
    let s = U256::from_be_bytes(ORDER) - U256::from_be_bytes(record.signature.s.0);
    let signature = Signature { s: B256::from(s), v: 55 - record.signature.v, ..record.signature };
    Record { signature, ..*record }
}

/// Submits the batch as it is: no chunk can be contested. Then each chunk with a false root: it falls, and the contract
/// comes to the model's root. Leaves the chain as it was.
async fn check(world: &World, built: &BuiltBatch) {
    let before = world.chain.snapshot().await;
    passed(world.submit(&built.batch).await);
    let items = world.items_of(&built.batch);
    for chunk in 0..built.batch.roots.len() {
        let contest = Contest::of_chunk(&world.domain, &built.batch, &world.state(), items, chunk).unwrap();
        refused::<Gateway::NotFraud>(world.contest(world.anyone, &contest).await);
    }
    world.chain.revert_to(&before).await;
    for chunk in 0..built.batch.roots.len() {
        let before = world.chain.snapshot().await;
        world.falls(&with_false_root(built, chunk)).await;
        world.chain.revert_to(&before).await;
    }
}

async fn check_records(world: &World, records: &[Record], effective: usize) {
    let built = world.build(records);
    let outcomes = built.reports.iter().flat_map(|report| &report.outcomes);
    let found = outcomes.filter(|outcome| outcome.effect().is_some()).count();
    assert_eq!(found, effective, "the case is not what it says: {:?}", built.reports);
    check(world, &built).await;
}

fn signed(world: &World, by: &Person, message: Message) -> Record {
    message.sign(&world.domain, &by.key).record().unwrap()
}

#[tokio::test]
async fn payments_and_withdrawals() {
    let world = World::new().await.with_alice(10 * ETH).await;
    let (alice, bob) = (world.alice.clone(), world.bob.address);
    let operator = world.operator;
    let cases = [
        ("to a new account", world.pay(&alice, bob, ETH, 0)),
        ("with a fee", world.pay(&alice, bob, ETH, 5 * GWEI)),
        ("everything", world.pay(&alice, bob, 10 * ETH, 0)),
        ("to oneself", world.pay(&alice, alice.address, ETH, GWEI)),
        ("nothing, to a new account", world.pay(&alice, bob, 0, 0)),
        ("to the proposer, with a fee", world.pay(&alice, operator, ETH, GWEI)),
        ("a withdrawal", world.withdraw(&alice, ETH, 0)),
        ("a withdrawal with a fee", world.withdraw(&alice, ETH, GWEI)),
        ("a withdrawal of everything", world.withdraw(&alice, 10 * ETH, 0)),
    ];
    for (_, message) in cases {
        check_records(&world, &records(&[message]), 1).await;
    }
}

#[tokio::test]
async fn messages_without_effect() {
    let world = World::new().await.with_alice(ETH).await;
    let (alice, bob) = (world.alice.clone(), world.bob.clone());
    let leaf = world.leaf(alice.address);
    let good = world.pay(&alice, bob.address, ETH / 2, 0).record().unwrap();
    let signature = good.signature;
    let payment = Message::payment(alice.address, &leaf, bob.address, ETH / 2, 0);
    let withdrawal = Message::withdraw(alice.address, &leaf, ETH / 2, 0);
    let elsewhere = |domain: Domain| payment.clone().sign(&domain, &alice.key).record().unwrap();
    let cases = [
        ("kind 0", Record { kind: 0, ..good }),
        ("kind 3", Record { kind: 3, ..good }),
        ("from nobody", Record { from: Address::ZERO, ..good }),
        ("from another", Record { from: bob.address, ..good }),
        ("to another than signed", Record { to: alice.address, ..good }),
        ("another value than signed", Record { value: good.value + 1, ..good }),
        ("another fee than signed", Record { fee_gwei: 1, ..good }),
        ("a payment as a withdrawal", Record { kind: 2, to: Address::ZERO, ..good }),
        (
            "to nobody",
            Record {
                to: Address::ZERO,
                ..signed_raw(&world, &alice, Message { to: Address::ZERO, ..payment.clone() })
            },
        ),
        ("a withdrawal to somebody", Record { to: bob.address, ..signed(&world, &alice, withdrawal) }),
        ("more than there is", world.pay(&alice, bob.address, ETH + 1, 0).record().unwrap()),
        ("no balance for the fee", world.pay(&alice, bob.address, ETH, GWEI).record().unwrap()),
        ("2^96 - 1 wei", world.pay(&alice, bob.address, (1 << 96) - 1, 0).record().unwrap()),
        ("a later nonce", signed(&world, &alice, Message { nonce: 1, ..payment.clone() })),
        ("another prev", signed(&world, &alice, Message { prev: keccak256("x"), ..payment.clone() })),
        ("another signer", signed(&world, &bob, payment.clone())),
        ("for another gateway", elsewhere(Domain::new(31337, bob.address))),
        ("for another chain", elsewhere(Domain::new(1, world.gateway))),
        ("the malleable twin", twin(&good)),
        ("v 0", Record { signature: Signature { v: signature.v - 27, ..signature }, ..good }),
        ("v 29", Record { signature: Signature { v: signature.v + 2, ..signature }, ..good }),
        ("v 255", Record { signature: Signature { v: 255, ..signature }, ..good }),
        ("r 0", Record { signature: Signature { r: B256::ZERO, ..signature }, ..good }),
        ("r = n", Record { signature: Signature { r: B256::from(ORDER), ..signature }, ..good }),
        ("r beyond n", Record { signature: Signature { r: B256::repeat_byte(0xff), ..signature }, ..good }),
        ("r on no point", Record { signature: Signature { r: B256::with_last_byte(5), ..signature }, ..good }),
        ("s 0", Record { signature: Signature { s: B256::ZERO, ..signature }, ..good }),
        ("all zeros", Record::decode(&[0; Record::LENGTH])),
        ("all ones", Record::decode(&[0xff; Record::LENGTH])),
    ];
    for (_, record) in &cases {
        check_records(&world, &[*record], 0).await;
    }
    // All of them in one batch, a good one among them, at the end of a chunk of eight.
    let mut all: Vec<_> = cases.iter().map(|(_, record)| *record).collect();
    all.insert(7, good);
    check_records(&world, &all, 1).await;
}

/// As `signed`, without the checks that a record's maker applies.
fn signed_raw(world: &World, by: &Person, message: Message) -> Record {
    let signature = message.clone().sign(&world.domain, &by.key).signature;
    Record {
        kind: message.kind as u8,
        from: message.from,
        to: message.to,
        value: message.value,
        fee_gwei: u32::try_from(message.fee / GWEI).unwrap(),
        signature,
    }
}

#[tokio::test]
async fn chunks_of_messages_are_proven_one_by_one() {
    let world = World::new().await.with_alice(10 * ETH).await;
    // Three chunks, the last of one record; fees to be credited in each.
    let payments = world.payments(&world.alice.clone(), world.bob.address, ETH / 100, GWEI, 17);
    check_records(&world, &payments, 17).await;
}

#[tokio::test]
async fn inbox_items() {
    let mut world = World::new().await.with_alice(5 * ETH).await;
    let (alice, bob) = (world.alice.clone(), world.bob.clone());
    let before = world.chain.snapshot().await;
    let inbox = world.inbox.clone();
    // Effective: a deposit to an old and to a new account, a posted withdrawal, a forced exit after it, one of nothing.
    world.deposit(alice.address, ETH).await;
    world.deposit(bob.address, ETH).await;
    let withdrawal = world.withdraw(&alice, 2 * ETH, 3 * GWEI);
    world.post_withdraw(&withdrawal).await;
    world.request_exit(alice.address).await;
    world.request_exit(world.carol.address).await;
    // Without effect: posted again, and posted beyond the balance.
    world.post_withdraw(&withdrawal).await;
    let too_much = world.withdraw(&bob, 9 * ETH, 0);
    world.post_withdraw(&too_much).await;
    let empty = world.withdraw(&world.carol.clone(), 0, 0);
    world.post_withdraw(&empty).await;
    // A second chunk of items, and messages after them.
    world.deposit(bob.address, 1).await;
    let built = world.build(&records(&[world.pay(&bob, alice.address, 1, 0)]));
    let effects: Vec<_> = built.reports.iter().flat_map(|r| &r.outcomes).map(|o| o.effect().is_some()).collect();
    assert_eq!(effects, [true, true, true, true, true, false, false, false, true, true]);
    let leaf = built.state.leaf(alice.address);
    assert_eq!((leaf.balance, leaf.withdrawn, leaf.nonce), (1, 6 * ETH, 2));
    check(&world, &built).await;
    world.chain.revert_to(&before).await;
    world.inbox = inbox;
}

#[tokio::test]
async fn a_later_chunk_is_proven_on_the_root_claimed_before_it() {
    let mut world = World::new().await.with_alice(10 * ETH).await;
    for _ in 0..9 {
        world.deposit(world.bob.address, ETH).await;
    }
    let payments = world.payments(&world.alice.clone(), world.bob.address, ETH, 0, 9);
    let built = world.build(&payments);
    assert_eq!(built.batch.roots.len(), 4);
    // Chunk 2 is the first of messages: the one before it has no data.
    world.falls(&with_false_root(&built, 2)).await;
}

#[tokio::test]
async fn only_what_the_batch_committed_to_is_taken() {
    let mut world = World::new().await.with_alice(10 * ETH).await;
    for _ in 0..9 {
        world.deposit(world.bob.address, ETH).await;
    }
    let payments = world.payments(&world.alice.clone(), world.bob.address, ETH, 0, 9);
    let built = world.build(&payments);
    let batch = with_false_root(&built, 3);
    passed(world.submit(&batch).await);
    let (contest, _) = world.fraud(&batch);
    let call = contest_call(&contest);
    let items_call =
        contest_call(&Contest::of_chunk(&world.domain, &batch, &world.state(), world.items_of(&batch), 0).unwrap());
    let tried = async |change: &dyn Fn(&mut Gateway::contestCall)| {
        let mut call = call.clone();
        change(&mut call);
        world.call(world.anyone, 0, call).await
    };
    refused::<Gateway::WrongPreimage>(tried(&|c| c.batch.inboxEnd -= 1).await);
    refused::<Gateway::WrongPreimage>(tried(&|c| c.batch.proposer = world.anyone).await);
    refused::<Gateway::WrongPreimage>(tried(&|c| c.batch.leaves[0] = B256::ZERO).await);
    refused::<Gateway::WrongPreimage>(tried(&|c| c.batch.id = U256::from(1)).await);
    refused::<Gateway::NotStanding>(tried(&|c| c.batch.id = U256::from(3)).await);
    refused::<Gateway::NotContestable>(tried(&|c| c.batch.id = U256::ZERO).await);
    refused::<Gateway::WrongChunk>(tried(&|c| c.chunk = U256::from(4)).await);
    refused::<Gateway::WrongOpening>(tried(&|c| c.chunk = U256::from(2)).await);
    refused::<Gateway::WrongOpening>(tried(&|c| c.previous.root = B256::ZERO).await);
    refused::<Gateway::WrongOpening>(tried(&|c| c.previous.dataHash = B256::ZERO).await);
    refused::<Gateway::WrongOpening>(tried(&|c| c.claimedRoot = B256::ZERO).await);
    refused::<Gateway::WrongOpening>(tried(&|c| c.records = vec![0; Record::LENGTH].into()).await);
    refused::<Gateway::WrongItems>(tried(&|c| c.items = items_call.items.clone()).await);
    refused::<Gateway::BadWitness>(tried(&|c| c.witnesses.clear()).await);
    refused::<Gateway::BadWitness>(tried(&|c| c.witnesses[0].balance += 1).await);
    refused::<Gateway::BadWitness>(tried(&|c| c.witnesses[1].siblings.clear()).await);
    refused::<Gateway::BadWitness>(tried(&|c| c.witnesses[1].siblings.push(B256::ZERO)).await);
    let extra = refused::<Gateway::BadWitness>(tried(&|c| c.witnesses.push(c.witnesses[0].clone())).await);
    assert_eq!(extra.number, U256::from(2));
    passed(tried(&|_| ()).await);

    // The same for items: those of the inbox, all of them, in order.
    let batch = with_false_root(&built, 0);
    world.bond(crate::world::MIN_BOND).await;
    passed(world.submit(&batch).await);
    let (contest, _) = world.fraud(&batch);
    let call = contest_call(&contest);
    let tried = async |change: &dyn Fn(&mut Gateway::contestCall)| {
        let mut call = call.clone();
        change(&mut call);
        world.call(world.anyone, 0, call).await
    };
    refused::<Gateway::WrongItems>(tried(&|c| c.items[3].time += 1).await);
    refused::<Gateway::WrongItems>(tried(&|c| c.items[7].value += 1).await);
    refused::<Gateway::WrongItems>(tried(&|c| c.items.truncate(7)).await);
    refused::<Gateway::WrongItems>(tried(&|c| c.items.push(c.items[0].clone())).await);
    refused::<Gateway::WrongItems>(tried(&|c| c.records = vec![0; Record::LENGTH].into()).await);
    refused::<Gateway::WrongOpening>(tried(&|c| c.previous.root = keccak256("x")).await);
    refused::<Gateway::WrongOpening>(tried(&|c| c.previous.dataHash = keccak256("x")).await);
    passed(tried(&|_| ()).await);
}

#[tokio::test]
async fn mutated_batches_are_contestable_iff_the_model_differs() {
    let mut world = World::new().await.with_alice(10 * ETH).await;
    world.deposit(world.bob.address, ETH).await;
    world.request_exit(world.carol.address).await;
    let payments = world.payments(&world.alice.clone(), world.bob.address, ETH / 2, GWEI, 10);
    let honest = world.build(&payments).batch;
    let flipped = |byte: usize| {
        let mut batch = honest.clone();
        let mut bytes = batch.records.to_vec();
        bytes[byte] ^= 1;
        batch.records = bytes.into();
        batch
    };
    let mut swapped = honest.clone();
    let mut bytes = swapped.records.to_vec();
    bytes[..2 * Record::LENGTH].rotate_left(Record::LENGTH);
    swapped.records = bytes.into();
    let mut duplicated = honest.clone();
    let mut bytes = duplicated.records.to_vec();
    bytes.copy_within(..Record::LENGTH, Record::LENGTH);
    duplicated.records = bytes.into();
    // Without the items, the roots claimed are those with them.
    let mut shorter = honest.clone();
    shorter.inbox_end = shorter.inbox_start + 1;
    let mutants = [
        swapped,
        duplicated,
        shorter,
        flipped(0),
        flipped(20),
        flipped(40),
        flipped(52),
        flipped(56),
        flipped(60),
        flipped(100),
        flipped(121),
        flipped(9 * Record::LENGTH + 60),
    ];
    for mutant in mutants {
        let before = world.chain.snapshot().await;
        world.falls(&mutant).await;
        world.chain.revert_to(&before).await;
    }
    // The window closes by time alone.
    passed(world.submit(&with_false_root(&world.build(&payments), 0)).await);
    let (contest, _) = world.fraud(&with_false_root(&world.build(&payments), 0));
    world.chain.next_at(world.chain.now().await + CHALLENGE).await;
    refused::<Gateway::NotContestable>(world.contest(world.anyone, &contest).await);
}
