//! The twelve invariants of `payments.md`, each under its number. What can change at every step is looked at after every step,
//! what a batch does when the batch comes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use alloy::primitives::{Address, B256, U256};
use payments_contract::PaymentsGateway as Gateway;
use payments_protocol::{Effect, ItemKind, Outcome, State, claim};

use crate::calls::{claim_call, contest_call};
use crate::chance::Chance;
use crate::follower::Follower;
use crate::model::{CHALLENGE, Standing, Verdict, refused};
use crate::people::{ANYONE, EVERYONE, OPERATOR, accounts};
use crate::world::{MOST_GAS, World, agree};

/// After every step.
pub(crate) fn after_a_step(world: &mut World, chance: &mut Chance, claimed_before: &BTreeMap<Address, u128>) {
    assert!(world.counts.most_gas <= MOST_GAS);
    the_gateway_is_what_the_model_says(world, chance);
    invariant_1_value_is_conserved(world);
    invariant_2_the_gateway_holds_what_it_owes(world);
    invariant_3_claimed_is_never_above_withdrawn(world);
    invariant_4_counters_never_fall(world, claimed_before);
    if let Some((id, chunk)) = something_contestable(world, chance) {
        invariants_5_and_6_contestable_iff_false(world, id, chunk);
    }
    invariant_8_layer_1_alone_tells_the_root(world);
    // Whoever leaves changes nothing for the others, so that it need not be at every step.
    if world.model.halted && chance.once_in(4) {
        invariant_9_after_a_halt_everyone_leaves_in_full(world, chance);
    }
    invariant_10_nothing_takes_effect_twice(world);
    invariant_11_the_inbox_is_consumed_in_order(world);
    invariant_12_both_sides_agree_on_hashes(world, chance);
    the_clock_is_read_to_the_second(world, chance);
}

/// After a batch that continues a true history; gives how many of its messages took effect.
pub(crate) fn after_a_batch(world: &World) -> u64 {
    invariant_1_value_is_conserved(world);
    invariant_7_nothing_falls_without_its_owner(world)
}

fn the_gateway_is_what_the_model_says(world: &mut World, chance: &mut Chance) {
    let now = world.chain.now;
    let model = world.model.clone();
    assert_eq!(world.view(Gateway::nextIdCall {}), U256::from(model.next_id()));
    assert_eq!(world.view(Gateway::finalisedIdCall {}), U256::from(model.finalised(now)));
    assert_eq!(world.view(Gateway::haltedCall {}), model.halted);
    assert_eq!(world.view(Gateway::bondBalanceCall {}), U256::from(model.bond));
    let grace = world.view(Gateway::graceCall {});
    assert_eq!((grace.floor, grace.end), (model.floor, model.grace_end));
    let due = world.view(Gateway::dueTimeCall {});
    assert_eq!((due.index, due.time), (model.cursor(), model.due().unwrap_or(0)));
    assert_eq!(world.view(Gateway::rewardCountCall {}), model.rewards.len() as u64);
    // Of what there are many, one a step: it is the same at the next.
    if !model.rewards.is_empty() {
        let number = chance.below(model.rewards.len());
        let reward = &model.rewards[number];
        let found = world.view(Gateway::rewardsCall { reward: U256::from(number) });
        assert_eq!((found.challenger, found.paid), (reward.challenger, reward.paid));
        assert_eq!((found.id, found.amount), (U256::from(reward.id), U256::from(reward.amount)));
    }
    let account = *chance.of(&accounts().collect::<Vec<_>>());
    let locked = model.locked.get(&account).copied().unwrap_or(0);
    assert_eq!(world.view(Gateway::lockedBalanceCall { account }), U256::from(locked));
    let claimed = world.view(Gateway::claimedCall { account });
    assert_eq!(claimed, U256::from(model.claimed(account)));
}

/// Were it the last second in which a batch can be contested, or the first in which it is final; the last in which an item is
/// not overdue, or the next: the gateway says what the model says. Steps seldom fall on such a second.
fn the_clock_is_read_to_the_second(world: &mut World, chance: &mut Chance) {
    let now = world.chain.now;
    let first = world.model.finalised(now) + 1;
    if first <= world.model.tip() && chance.once_in(3) {
        let id = first + chance.word() % (world.model.tip() + 1 - first);
        let last = world.model.batch(id).unwrap().time + CHALLENGE - 1;
        let chunk = chance.below(world.model.batch(id).unwrap().verdicts.len());
        for second in [last, last + 1] {
            world.chain.now = second;
            assert_eq!(world.view(Gateway::isFinalCall { id: U256::from(id) }), world.model.is_final(id, second));
            assert_eq!(world.view(Gateway::finalisedIdCall {}), U256::from(world.model.finalised(second)));
            invariants_5_and_6_contestable_iff_false(world, id, chunk);
            let account = chance.of(&EVERYONE).address;
            let state = world.known.get(&world.model.root(id)).cloned().unwrap_or_default();
            let witness = state.witness(account);
            let expected = world.claim_expected(ANYONE.address, id, &witness, account, false);
            let call = claim_call(id, &witness, account, vec![]);
            agree(expected, &world.chain.try_call(ANYONE.address, world.gateway, &call));
        }
    }
    if let Some(due) = world.model.due() {
        for second in [due, due + 1].into_iter().filter(|second| *second >= now) {
            world.chain.now = second;
            let expected = world.halt_expected();
            agree(expected, &world.chain.try_call(ANYONE.address, world.gateway, &Gateway::haltCall {}));
        }
    }
    world.chain.now = now;
}

/// Balances and withdrawals over all leaves are the deposits consumed, at every root.
fn invariant_1_value_is_conserved(world: &World) {
    let mut consumed = 0;
    for standing in world.model.right() {
        let mut items = standing.items.chunks(8);
        for root in &standing.batch.roots {
            let deposits = items.next().into_iter().flatten().filter(|item| item.kind == ItemKind::Deposit);
            consumed += deposits.map(|item| item.value).sum::<u128>();
            assert_eq!(world.known[root].total(), consumed, "invariant 1, batch {}", standing.batch.id);
        }
    }
}

/// The gateway's ETH is what it owes, to the wei: deposits less claims and reclaims, the bond, and rewards not yet paid.
fn invariant_2_the_gateway_holds_what_it_owes(world: &mut World) {
    let held = world.chain.balance(world.gateway);
    let model = &world.model;
    assert!(held >= U256::from(model.deposited - model.claims - model.reclaims + model.bond), "invariant 2");
    assert_eq!(held, model.holdings(), "invariant 2");
}

/// Nobody has claimed more than it has withdrawn at the newest final root; after a halt, than it has at the last.
fn invariant_3_claimed_is_never_above_withdrawn(world: &World) {
    let newest = match world.model.halted {
        false => world.model.finalised(world.chain.now),
        true => world.model.tip(),
    };
    let Some(state) = world.known.get(&world.model.root(newest)).cloned() else {
        return;
    };
    for account in accounts() {
        // The gateway's own number is compared at each claim, by its event, and of one account at every step.
        let claimed = world.model.claimed(account);
        let due = claim::claimable(&state.leaf(account), world.model.halted);
        assert!(claimed <= due, "invariant 3: {account} has claimed {claimed} of {due}");
    }
}

/// Nonce and withdrawn along the batches that stand, claimed along the steps of one fork.
fn invariant_4_counters_never_fall(world: &World, claimed_before: &BTreeMap<Address, u128>) {
    let states = world.model.right().map(|standing| &world.known[&standing.batch.last_root()]);
    let genesis = State::new();
    let mut before = &genesis;
    for state in states {
        for account in accounts() {
            let (old, new) = (before.leaf(account), state.leaf(account));
            assert!(new.nonce >= old.nonce && new.withdrawn >= old.withdrawn, "invariant 4: {account}");
        }
        before = state;
    }
    for (account, claimed) in claimed_before {
        assert!(world.model.claimed(*account) >= *claimed, "invariant 4: {account}");
    }
}

/// Some chunk of a batch that still can be contested.
fn something_contestable(world: &World, chance: &mut Chance) -> Option<(u64, usize)> {
    let first = world.model.finalised(world.chain.now) + 1;
    let open: Vec<u64> = (first..=world.model.tip()).collect();
    if open.is_empty() || !chance.once_in(6) {
        return None;
    }
    let id = *chance.of(&open);
    let chunks = world.model.batch(id).unwrap().verdicts.len();
    Some((id, chance.below(chunks)))
}

/// A chunk can be contested if and only if its root is not the one that the protocol comes to.
pub(crate) fn invariants_5_and_6_contestable_iff_false(world: &mut World, id: u64, chunk: usize) {
    let Some(proof) = world.proof(id, chunk) else { return };
    let expected = world.contest_expected(id, chunk);
    let standing = Rc::clone(world.model.batch(id).unwrap());
    // The protocol's own check of the proof, which knows no state either.
    let report = proof.check(&world.domain).unwrap();
    match &standing.verdicts[chunk] {
        Verdict::Right(right) => assert_eq!(&report, right, "invariant 6: batch {id}, chunk {chunk}"),
        Verdict::False(root) => assert_eq!(report.root, *root, "invariant 5: batch {id}, chunk {chunk}"),
        Verdict::Unknown => unreachable!("a proof was made of it"),
    }
    let result = world.chain.try_call(ANYONE.address, world.gateway, &contest_call(&proof));
    agree(expected, &result);
    if let Ok((_, gas)) = result {
        world.counts.most_gas = world.counts.most_gas.max(gas.tx_gas_used());
    } else {
        world.counts.refused_contests += 1;
    }
}

/// Of the batch that came last: whatever it took from a balance, its owner signed for or asked for on layer 1; and what is
/// not accounted for by effects did not change.
fn invariant_7_nothing_falls_without_its_owner(world: &World) -> u64 {
    let standing = world.model.standing.last().unwrap();
    let before = &world.known[&world.model.root(standing.batch.id - 1)];
    let after = &world.known[&standing.batch.last_root()];
    let mut balances: HashMap<Address, i128> = HashMap::new();
    let mut add = |account: Address, wei: i128| *balances.entry(account).or_default() += wei;
    let signed = |id: &B256| assert!(world.signed.contains(id), "invariant 7: nobody signed {id}");
    let mut effective = 0;
    let mut items = standing.items.iter();
    for report in reports(standing) {
        for outcome in &report.outcomes {
            match outcome {
                Outcome::NoEffect(_) => (),
                Outcome::Effective(Effect::Message { id, message }) => {
                    signed(id);
                    effective += 1;
                    add(message.from, -((message.value + message.fee) as i128));
                    add(OPERATOR.address, message.fee as i128);
                    if !message.to.is_zero() {
                        add(message.to, message.value as i128);
                    }
                }
                Outcome::Effective(Effect::Deposit { account, value }) => add(*account, *value as i128),
                Outcome::Effective(Effect::ForcedExit { account, value, .. }) => add(*account, -(*value as i128)),
                Outcome::Effective(Effect::PostedWithdraw { account, value, id }) => {
                    signed(id);
                    add(*account, -(*value as i128));
                }
            }
        }
        // Forced by nobody but the account itself, with a transaction of its own.
        for item in items.by_ref().take(8) {
            assert!(item.kind != ItemKind::ForcedExit || item.depositor == item.who, "invariant 7");
        }
    }
    let everyone: HashSet<Address> = before.iter().chain(after.iter()).map(|(account, _)| account).collect();
    for account in everyone.into_iter().chain(balances.keys().copied().collect::<Vec<_>>()) {
        let change = after.leaf(account).balance as i128 - before.leaf(account).balance as i128;
        assert_eq!(change, balances.get(&account).copied().unwrap_or(0), "invariant 7: {account}");
    }
    effective
}

/// A replica that read nothing but layer 1 has come to the same batches, the same states, and the same first fraud.
fn invariant_8_layer_1_alone_tells_the_root(world: &World) {
    let (model, follower) = (&world.model, &world.follower);
    assert_eq!(follower.standing.len(), model.standing.len(), "invariant 8");
    for (followed, standing) in follower.standing.iter().zip(&model.standing) {
        assert_eq!(followed.batch, standing.batch, "invariant 8");
    }
    for (followed, standing) in follower.standing.iter().zip(model.right()) {
        let root = followed.state.as_ref().map(State::root);
        assert_eq!(root, Some(standing.batch.last_root()), "invariant 8");
    }
    assert_eq!(follower.fraud, model.earliest_false(), "invariant 8");
    assert_eq!(follower.halted, model.halted, "invariant 8");
    assert_eq!(follower.claims.iter().map(|(_, wei)| wei).sum::<u128>(), model.claims, "invariant 8");
}

/// The same of a replica that begins now, with the first transaction.
pub(crate) fn invariant_8_from_the_beginning(world: &World) {
    let mut fresh = Follower::new(world.domain);
    fresh.follow(&world.chain.transactions);
    assert!(fresh.agrees(&world.follower), "invariant 8: replicas differ by when they read");
}

/// On a fork that nobody keeps: what is false is contested, the last batch becomes final, and everyone leaves with all it has.
pub(crate) fn invariant_9_after_a_halt_everyone_leaves_in_full(world: &mut World, chance: &mut Chance) {
    let (here, counts, fallen) = (world.checkpoint(), world.counts, world.fallen.len());
    while let Some((id, chunk)) = world.model.earliest_false() {
        world.contest(ANYONE.address, id, chunk);
    }
    world.chain.now += CHALLENGE;
    let (id, state) = (world.model.tip(), world.tip().unwrap());
    let mut left = world.model.deposited - world.model.claims - world.model.reclaims;
    for (account, leaf) in chance.shuffled(state.iter()) {
        let due = leaf.balance + leaf.withdrawn - world.model.claimed(account);
        let result = world.chain.send(
            ANYONE.address,
            world.gateway,
            0,
            &claim_call(id, &state.witness(account), account, vec![]),
        );
        agree(if due > 0 { Ok(()) } else { refused::<Gateway::NothingToClaim>() }, &result);
        if let Ok(transaction) = result {
            let paid = transaction.event::<Gateway::Claimed>().amount;
            assert_eq!(paid, U256::from(due), "invariant 9: {account}");
        }
        left -= due;
    }
    for index in chance.shuffled(world.model.cursor()..world.model.inbox.len()) {
        let expected = world.model.reclaim(index);
        let call = Gateway::reclaimDepositCall { index };
        let result = world.chain.send(ANYONE.address, world.gateway, 0, &call);
        agree(expected, &result);
        if result.is_ok() {
            left -= world.model.inbox.item(index).unwrap().value;
        }
    }
    assert_eq!(left, 0, "invariant 9: value that is nobody's");
    world.restore(&here);
    world.counts = counts;
    world.fallen.truncate(fallen);
}

/// No message in two places of the history that stands, and none that was signed for elsewhere.
fn invariant_10_nothing_takes_effect_twice(world: &World) {
    let mut seen = HashSet::new();
    for standing in world.model.right() {
        for outcome in reports(standing).flat_map(|report| &report.outcomes) {
            let id = match outcome {
                Outcome::Effective(Effect::Message { id, .. } | Effect::PostedWithdraw { id, .. }) => *id,
                Outcome::Effective(Effect::ForcedExit { head, .. }) => *head,
                _ => continue,
            };
            assert!(seen.insert(id), "invariant 10: {id} took effect twice");
        }
    }
}

/// The ranges of the batches that stand are one another's continuation, and every item has one outcome.
fn invariant_11_the_inbox_is_consumed_in_order(world: &mut World) {
    let mut cursor = 0;
    for standing in &world.model.standing {
        assert_eq!(standing.batch.inbox_start, cursor, "invariant 11");
        cursor = standing.batch.inbox_end;
        let indices: Vec<u64> = standing.items.iter().map(|item| item.index).collect();
        assert_eq!(indices, (standing.batch.inbox_start..cursor).collect::<Vec<_>>(), "invariant 11");
        if standing.is_right() {
            let chunks = standing.items.chunks(8).map(<[_]>::len);
            let outcomes = reports(standing).map(|report| report.outcomes.len());
            assert!(chunks.eq(outcomes.take(standing.items.len().div_ceil(8))), "invariant 11");
        }
    }
    assert_eq!(world.view(Gateway::inboxCursorCall {}), cursor, "invariant 11");
    assert_eq!(world.view(Gateway::inboxLengthCall {}), world.model.inbox.len(), "invariant 11");
}

/// Commitments, roots and accumulators; a contest's root, a posted message's id and a claim's leaf are compared where
/// they occur.
fn invariant_12_both_sides_agree_on_hashes(world: &mut World, chance: &mut Chance) {
    assert_eq!(world.view(Gateway::DOMAIN_SEPARATORCall {}), world.domain.separator(), "invariant 12");
    let tip = world.model.tip();
    // The newest, and any other: what lies deep must not change either.
    for id in [tip, 1 + chance.word() % tip.max(1)].into_iter().filter(|_| tip > 0) {
        let found = world.view(Gateway::batchesCall { id: U256::from(id) });
        let standing = Rc::clone(world.model.batch(id).unwrap());
        let expected =
            (standing.batch.commitment(), standing.batch.last_root(), standing.time, standing.batch.inbox_end);
        assert_eq!((found.commitment, found.root, found.time, found.inboxEnd), expected, "invariant 12");
    }
    let length = world.model.inbox.len();
    for index in [length, chance.word() % (length + 1)] {
        let found = world.view(Gateway::accumulatorCall { index });
        assert_eq!(Some(found), world.model.inbox.accumulator(index), "invariant 12");
    }
}

fn reports(standing: &Standing) -> impl Iterator<Item = &payments_protocol::ChunkReport> {
    standing.verdicts.iter().filter_map(|verdict| match verdict {
        Verdict::Right(report) => Some(report),
        _ => None,
    })
}
