//! A history: a list of words, each of which decides one step by itself. So any part of a history is a history, and one that
//! fails can be made shorter.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256, Bytes, U256};
use payments_contract::PaymentsGateway as Gateway;
use payments_protocol::{ClaimTo, ItemKind, PostedWithdraw, Signature};

use crate::batches;
use crate::calls::contest_call;
use crate::chance::Chance;
use crate::invariants;
use crate::messages::{someone, withdrawal};
use crate::model::{CHALLENGE, ETH, MIN_BOND, refused};
use crate::people::{ANYONE, EVERYONE, OPERATOR, owner};
use crate::world::{Counts, World};

/// Fewest and most steps of a history.
const STEPS: std::ops::Range<usize> = 24..56;

/// The words of the history with this seed.
pub(crate) fn words(seed: u64) -> Vec<u64> {
    let mut chance = Chance::new(seed);
    let count = STEPS.start + chance.below(STEPS.len());
    (0..count).map(|_| chance.word()).collect()
}

/// What a history came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) counts: Counts,
    /// The last standing batch's root.
    pub(crate) root: B256,
}

/// Lives through a history; panics where an invariant does not hold.
pub(crate) fn live(words: &[u64], log: &mut Vec<String>) -> Ended {
    let mut world = World::new();
    let life = |world: &mut World| {
        begin(world, &mut Chance::new(words.len() as u64));
        for word in words {
            let mut chance = Chance::new(*word);
            let before = world.model.claimed.clone();
            // A reorganisation takes claims back too: then they are compared with those of that time.
            let forked = step(world, &mut chance);
            world.counts.steps += 1;
            let before = if forked { BTreeMap::new() } else { before };
            invariants::after_a_step(world, &mut chance, &before);
        }
        end(world, &mut Chance::new(words.len() as u64));
        Ended { counts: world.counts, root: world.model.root(world.model.tip()) }
    };
    // The log is wanted above all when it ends here.
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| life(&mut world)));
    log.append(&mut world.log);
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Money for half of the people, so that there is something to lose from the first step on.
fn begin(world: &mut World, chance: &mut Chance) {
    for person in chance.shuffled(EVERYONE.iter()).into_iter().take(EVERYONE.len() / 2) {
        let value = (1 + chance.below(3000) as u128) * ETH / 1000;
        world.enter(ANYONE.address, value, &Gateway::depositCall { to: person.address }, Ok(()));
    }
    honest_batch(world, chance);
}

/// One step; true if it took layer 1 back.
fn step(world: &mut World, chance: &mut Chance) -> bool {
    let seconds = chance.below(24) as u64;
    pass(world, chance, seconds);
    match chance.below(40) {
        0..=5 => deposit(world, chance),
        6 => exit(world, chance),
        7 | 8 => post(world, chance),
        9..=14 => honest_batch(world, chance),
        15..=18 => false_batch(world, chance),
        19..=21 => contest(world, chance),
        22 => tampered_contest(world, chance),
        23..=25 => claims(world, chance),
        26 | 27 => {
            let seconds = chance.below(1500) as u64;
            pass(world, chance, seconds);
        }
        28 => {
            let seconds = chance.below(2 * CHALLENGE as usize) as u64;
            pass(world, chance, seconds);
        }
        29 => bonds(world, chance),
        30 => {
            let reward = chance.below(world.model.rewards.len() + 1);
            world.note(format!("collect reward {reward}"));
            world.collect(reward);
        }
        31 | 32 => {
            world.note("checkpoint");
            let checkpoint = world.checkpoint();
            world.checkpoints.push(checkpoint);
            if world.checkpoints.len() > 3 {
                world.checkpoints.remove(0);
            }
        }
        33 | 34 => return reorganise(world, chance),
        35 => under_a_batch(world, chance),
        36 => {
            if let Some(submission) = batches::again(world, chance) {
                world.note(format!("batch {} once more", submission.id));
                world.counts.resubmissions += 1;
                world.submit(chance, OPERATOR.address, &submission);
            }
        }
        37 => {
            world.note("halt?");
            world.halt(someone(chance).address);
        }
        38 => {
            let index = chance.below(usize::try_from(world.model.inbox.len()).unwrap() + 1) as u64;
            world.note(format!("reclaim {index}"));
            world.reclaim(index);
        }
        _ => {
            world.silent = chance.once_in(2);
            world.note(if world.silent { "the operator falls silent" } else { "the operator works" });
        }
    }
    false
}

/// Time goes by. A watcher contests what is false, at the latest in the last second for it; an operator that is not silent
/// serves the inbox before it is overdue.
fn pass(world: &mut World, chance: &mut Chance, seconds: u64) {
    let until = world.chain.now + seconds;
    loop {
        if let Some((id, chunk)) = world.model.earliest_false() {
            let last = world.model.batch(id).unwrap().time + CHALLENGE - 1;
            if until > last {
                world.chain.now = world.chain.now.max(last);
                world.note(format!("the watcher contests batch {id} in the last second"));
                world.contest(ANYONE.address, id, chunk);
                continue;
            }
        }
        match world.model.due() {
            Some(due) if until > due && !world.silent && !world.model.halted && world.chain.now <= due => {
                world.chain.now = due.saturating_sub(chance.below(60) as u64).max(world.chain.now);
                if let Some((id, chunk)) = world.model.earliest_false() {
                    world.contest(ANYONE.address, id, chunk);
                }
                let cursor = world.model.cursor();
                honest_batch(world, chance);
                if world.model.cursor() > cursor {
                    continue;
                }
                // This one had no time for the inbox.
            }
            _ => (),
        }
        break;
    }
    world.chain.now = until.max(world.chain.now);
}

fn deposit(world: &mut World, chance: &mut Chance) {
    let (from, mut to) = (someone(chance).address, someone(chance).address);
    let mut value = (1 + chance.below(5000) as u128) * ETH / 1000;
    let mut expected = world.model.running();
    match chance.below(16) {
        0 => {
            value = 0;
            expected = expected.and(refused::<Gateway::BadValue>());
        }
        1 => {
            to = Address::ZERO;
            expected = expected.and(refused::<Gateway::ZeroAddress>());
        }
        _ => (),
    }
    world.note(format!("deposit {value} for {to}"));
    world.enter(from, value, &Gateway::depositCall { to }, expected);
}

fn exit(world: &mut World, chance: &mut Chance) {
    let who = someone(chance).address;
    let expected = world.model.running();
    world.note(format!("forced exit of {who}"));
    match chance.below(3) {
        0 => world.enter(who, 0, &Gateway::requestExitCall {}, expected),
        1 => {
            let call = Gateway::requestWithdrawPaymentCall { from: who, latestMessage: Bytes::new() };
            world.enter(who, 0, &call, expected);
        }
        _ => {
            let call = Gateway::requestWithdrawPaymentCall { from: who, latestMessage: Bytes::new() };
            world.enter(ANYONE.address, 0, &call, expected.and(refused::<Gateway::NotYours>()));
        }
    }
}

fn post(world: &mut World, chance: &mut Chance) {
    let signed = withdrawal(world, chance);
    let mut posted = PostedWithdraw::of(&signed);
    let from = signed.message.from;
    let mut expected = world.model.running();
    match chance.below(12) {
        0 => posted.value += 1,
        1 => posted.nonce = posted.nonce.wrapping_add(1),
        2 => posted.signature = Signature { v: posted.signature.v ^ 7, ..posted.signature },
        _ => (),
    }
    let id = posted.id(from);
    let digest = world.domain.digest(id);
    if posted.signature.recover(digest) != Ok(from) {
        expected = expected.and(refused::<Gateway::BadSignature>());
    }
    let mut message = posted.encode();
    if chance.once_in(12) {
        message = message[..message.len() - 32].to_vec().into();
        expected = world.model.running().and(refused::<Gateway::BadMessage>());
    }
    world.note(format!("withdrawal of {} posted for {from}", posted.value));
    let call = Gateway::requestWithdrawPaymentCall { from, latestMessage: message };
    world.enter(someone(chance).address, 0, &call, expected);
}

fn honest_batch(world: &mut World, chance: &mut Chance) {
    let Some(batch) = batches::honest(world, chance) else {
        if world.tip().is_none() {
            let batch = batches::blind(world, chance);
            world.note(format!("batch {} on a root of nobody", batch.id));
            batches::send(world, chance, &batch);
        }
        return;
    };
    world.note(format!("batch {}: items to {}, {} chunks", batch.id, batch.inbox_end, batch.roots.len()));
    batches::send(world, chance, &batch);
}

fn false_batch(world: &mut World, chance: &mut Chance) {
    let Some(honest) = batches::honest(world, chance) else { return };
    let Some((what, batch)) = batches::mutated(world, chance, &honest) else { return };
    world.note(format!("batch {} with another {what}", batch.id));
    batches::send(world, chance, &batch);
}

/// Of any chunk of any batch, at any time: the model knows what it should come to.
fn contest(world: &mut World, chance: &mut Chance) {
    let earliest = world.model.earliest_false();
    let (id, chunk) = match earliest {
        Some(earliest) if chance.once_in(2) => earliest,
        _ => {
            let Some(standing) = world.model.standing.get(chance.below(world.model.standing.len() + 1)) else { return };
            (standing.batch.id, chance.below(standing.verdicts.len()))
        }
    };
    world.note(format!("contest of batch {id}, chunk {chunk}"));
    let from = someone(chance).address;
    world.contest(from, id, chunk);
}

/// A proof that is not one, of a batch that may well be false: nothing happens.
fn tampered_contest(world: &mut World, chance: &mut Chance) {
    let Some((id, chunk)) = world.model.earliest_false() else { return };
    let Some(mut proof) = world.proof(id, chunk) else { return };
    match chance.below(7) {
        0 => proof.claimed_root = B256::repeat_byte(1),
        1 => proof.previous_root = B256::repeat_byte(2),
        2 => proof.previous_data_hash = B256::repeat_byte(3),
        3 => proof.preimage.inbox_end += 1,
        4 => drop(proof.witnesses.pop()),
        5 => proof.witnesses[0].balance += 1,
        _ => proof.witnesses.push(proof.witnesses[0].clone()),
    }
    world.note(format!("tampered contest of batch {id}"));
    let result = world.chain.try_call(ANYONE.address, world.gateway, &contest_call(&proof));
    assert!(result.is_err(), "a tampered proof goes through");
}

fn claims(world: &mut World, chance: &mut Chance) {
    let finalised = world.model.finalised(world.chain.now);
    for person in chance.shuffled(EVERYONE.iter().chain([&*OPERATOR])).into_iter().take(5) {
        let id = match chance.below(6) {
            0 => chance.below(world.model.standing.len() + 2) as u64,
            _ => finalised,
        };
        // Where no state is known, or none stands: with the proof of another.
        let state = match world.known.get(&world.model.root(id)) {
            Some(state) if !chance.once_in(12) => state.clone(),
            _ => world.tip().unwrap_or_default(),
        };
        let witness = state.witness(person.address);
        let due = witness.withdrawn + if world.model.halted { witness.balance } else { 0 };
        let claim_to = ClaimTo {
            account: person.address,
            recipient: Address::repeat_byte(0x42),
            claimed_before: world.model.claimed(person.address),
            claimed_after: due,
        };
        let sign = |claim: ClaimTo| Bytes::from(claim.sign(&world.domain, &person.key).to_bytes().to_vec());
        let stranger = ANYONE.address;
        let (from, recipient, signature, signed) = match chance.below(10) {
            0 => (stranger, claim_to.recipient, sign(claim_to), true),
            // Signed for a claim that was, or is yet to be; for somebody else; not at all.
            1 => {
                let claimed_before = claim_to.claimed_before.wrapping_add(1);
                (stranger, claim_to.recipient, sign(ClaimTo { claimed_before, ..claim_to }), false)
            }
            2 => {
                let recipient = Address::repeat_byte(0x43);
                (stranger, recipient, sign(claim_to), false)
            }
            3 => (stranger, claim_to.recipient, Bytes::new(), false),
            4 => (person.address, claim_to.recipient, Bytes::new(), false),
            5 => (stranger, Address::ZERO, Bytes::new(), false),
            _ => (stranger, person.address, Bytes::new(), false),
        };
        world.note(format!("claim of {} at batch {id} for {recipient}", person.address));
        // Whose proof shows a neighbour's leaf claims for that one, and cannot have signed for it.
        let signed = signed && witness.account == person.address;
        world.claim(from, id, &witness, recipient, signature, signed);
    }
}

fn bonds(world: &mut World, chance: &mut Chance) {
    let who = if chance.once_in(4) { ANYONE.address } else { OPERATOR.address };
    if chance.once_in(2) {
        let value = [0, ETH, MIN_BOND][chance.below(3)];
        world.note(format!("bond {value} by {who}"));
        world.bond(who, value);
    } else {
        world.note(format!("unbond by {who}"));
        world.unbond(who);
    }
}

fn reorganise(world: &mut World, chance: &mut Chance) -> bool {
    if world.checkpoints.is_empty() {
        return false;
    }
    let number = chance.below(world.checkpoints.len());
    let checkpoint = world.checkpoints.swap_remove(number);
    // Later ones are of a fork that is no more, but a reorganisation may well go back to it.
    world.note("layer 1 goes back to a checkpoint");
    world.reorganise(&checkpoint);
    world.checkpoints.push(checkpoint);
    world.counts.reorganisations += 1;
    world.note("here");
    invariants::invariant_8_from_the_beginning(world);
    true
}

/// A reorganisation between a deposit and the batch that consumed it: on the new fork the batch must not land.
fn under_a_batch(world: &mut World, chance: &mut Chance) {
    if world.model.halted {
        return;
    }
    let checkpoint = world.checkpoint();
    let enter = |world: &mut World, value: u128| {
        let to = EVERYONE[0].address;
        world.enter(ANYONE.address, value, &Gateway::depositCall { to }, Ok(()));
    };
    enter(world, ETH);
    let Some(batch) = batches::honest(world, chance) else { return };
    world.note(format!("a reorganisation under batch {}", batch.id));
    if !batches::send(world, chance, &batch) || batch.inbox_end != world.model.inbox.len() {
        return;
    }
    world.reorganise(&checkpoint);
    world.counts.reorganisations += 1;
    if chance.once_in(2) {
        enter(world, 2 * ETH);
    }
    let submission = world.fallen.last().unwrap().clone();
    world.counts.resubmissions += 1;
    if world.model.bond < MIN_BOND {
        world.bond(OPERATOR.address, MIN_BOND);
    }
    let landed = world.submit(chance, OPERATOR.address, &submission);
    assert!(!landed, "a batch landed on a fork with another inbox");
}

/// Everything is settled: what is false falls, the gateway halts, everyone leaves with all it has, and nothing is left.
fn end(world: &mut World, chance: &mut Chance) {
    invariants::invariant_8_from_the_beginning(world);
    while let Some((id, chunk)) = world.model.earliest_false() {
        world.note(format!("at the end: contest of batch {id}"));
        world.contest(ANYONE.address, id, chunk);
    }
    if !world.model.halted {
        elsewhere(world, chance);
        deposit(world, chance);
        let expected = world.model.running();
        world.enter(EVERYONE[1].address, 0, &Gateway::requestExitCall {}, expected);
        world.chain.now = world.chain.now.max(world.model.due().unwrap() + 1);
        world.halt(ANYONE.address);
    }
    assert!(world.model.halted);
    world.chain.now += CHALLENGE;
    invariants::after_a_step(world, chance, &BTreeMap::new());
    invariants::invariant_9_after_a_halt_everyone_leaves_in_full(world, chance);
    let (id, state) = (world.model.tip(), world.tip().unwrap());
    for (account, _) in chance.shuffled(state.iter()) {
        assert!(owner(account).is_some() || state.leaf(account).nonce == 0);
        world.claim(ANYONE.address, id, &state.witness(account), account, Bytes::new(), false);
    }
    for index in 0..world.model.inbox.len() {
        world.reclaim(index);
    }
    for reward in 0..world.model.rewards.len() {
        world.collect(reward);
    }
    if world.model.bond > 0 {
        world.unbond(OPERATOR.address);
    }
    let left = world.chain.balance(world.gateway);
    assert_eq!(left, U256::ZERO, "invariant 9: value that is nobody's");
}

/// Invariant 10 on another gateway of the same chain, where everyone owns as much: whatever was signed for this one, nothing
/// happens there, and a batch that says otherwise falls.
fn elsewhere(world: &mut World, chance: &mut Chance) {
    if world.pool.is_empty() || !chance.once_in(4) {
        return;
    }
    let mut other = World::numbered(1);
    assert_ne!(other.gateway, world.gateway);
    for person in EVERYONE.iter() {
        other.enter(ANYONE.address, 1000 * ETH, &Gateway::depositCall { to: person.address }, Ok(()));
    }
    let records: Vec<_> = chance.shuffled(world.pool.iter().copied()).into_iter().take(24).collect();
    let batch = batches::of(&other, &records);
    batches::send(&mut other, chance, &batch);
    assert_eq!(other.counts.effective, 0, "invariant 10: a message of another gateway takes effect");
    for chunk in 0..batch.roots.len() {
        invariants::invariants_5_and_6_contestable_iff_false(&mut other, batch.id, chunk);
    }
    let exits = other.model.inbox.range(0, other.model.inbox.len()).unwrap();
    assert!(exits.iter().all(|item| item.kind == ItemKind::Deposit));
}
