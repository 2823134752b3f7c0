//! What the gateway should be: its bookkeeping written down a second time, from `payments.md` and not from the Solidity.
//! Every call is judged here first, to the error; the contract must come to the same.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use alloy::primitives::{Address, B256, U256};
use alloy::sol_types::SolError;
use payments_contract::PaymentsGateway as Gateway;
use payments_protocol::{Batch, ChunkReport, Inbox, Item, ItemKind, Submission};

pub(crate) const ETH: u128 = 1_000_000_000_000_000_000;
pub(crate) const GWEI: u128 = 1_000_000_000;
pub(crate) const CHALLENGE: u64 = 3600;
pub(crate) const FORCE: u64 = 1200;
pub(crate) const MIN_BOND: u128 = 24 * ETH / 10;

/// What a call should come to: through, or this error's selector.
pub(crate) type Expected = Result<(), [u8; 4]>;

/// It should end with this error.
pub(crate) fn refused<E: SolError>() -> Expected {
    Err(E::SELECTOR)
}

/// What the model knows of one chunk's claimed root.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// The root before has no state that anybody knows: a false root lies before.
    Unknown,
    /// It follows.
    Right(ChunkReport),
    /// It does not: this one would.
    False(B256),
}

/// A batch that stands.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) batch: Batch,
    pub(crate) items: Vec<Item>,
    pub(crate) time: u64,
    /// Number of rewards when it was submitted.
    rewards: usize,
    /// One a chunk.
    pub(crate) verdicts: Vec<Verdict>,
}

impl Standing {
    pub(crate) fn is_right(&self) -> bool {
        self.verdicts.iter().all(|verdict| matches!(verdict, Verdict::Right(_)))
    }

    /// The first chunk that can be proven false.
    pub(crate) fn false_chunk(&self) -> Option<usize> {
        self.verdicts.iter().position(|verdict| matches!(verdict, Verdict::False(_)))
    }
}

/// Half of a slashed bond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reward {
    pub(crate) challenger: Address,
    pub(crate) id: u64,
    pub(crate) amount: u128,
    pub(crate) paid: bool,
}

#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) operator: Address,
    pub(crate) inbox: Inbox,
    pub(crate) reclaimed: BTreeSet<u64>,
    /// Batch 1 first.
    pub(crate) standing: Vec<Rc<Standing>>,
    pub(crate) bond: u128,
    pub(crate) rewards: Vec<Reward>,
    pub(crate) floor: u64,
    pub(crate) grace_end: u64,
    pub(crate) halted: bool,
    pub(crate) claimed: BTreeMap<Address, u128>,
    pub(crate) locked: BTreeMap<Address, u128>,
    /// Wei that ever came in by deposits, and went out by claims and reclaims.
    pub(crate) deposited: u128,
    pub(crate) claims: u128,
    pub(crate) reclaims: u128,
}

impl Model {
    pub(crate) fn next_id(&self) -> u64 {
        self.standing.len() as u64 + 1
    }

    /// The batch with this id, if it stands; none of genesis.
    pub(crate) fn batch(&self, id: u64) -> Option<&Rc<Standing>> {
        self.standing.get(usize::try_from(id.checked_sub(1)?).unwrap())
    }

    pub(crate) fn root(&self, id: u64) -> B256 {
        self.batch(id).map_or(B256::ZERO, |standing| standing.batch.last_root())
    }

    pub(crate) fn commitment(&self, id: u64) -> B256 {
        self.batch(id).map_or(B256::ZERO, |standing| standing.batch.commitment())
    }

    pub(crate) fn tip(&self) -> u64 {
        self.standing.len() as u64
    }

    pub(crate) fn cursor(&self) -> u64 {
        self.standing.last().map_or(0, |standing| standing.batch.inbox_end)
    }

    pub(crate) fn is_final(&self, id: u64, now: u64) -> bool {
        self.batch(id).is_none_or(|standing| now >= standing.time + CHALLENGE)
    }

    pub(crate) fn finalised(&self, now: u64) -> u64 {
        (0..=self.tip()).rev().find(|id| self.is_final(*id, now)).unwrap_or(0)
    }

    /// The last second in which the oldest unserved item is not overdue.
    pub(crate) fn due(&self) -> Option<u64> {
        let item = self.inbox.item(self.cursor())?;
        let floor = if item.index < self.grace_end { self.floor } else { 0 };
        Some(item.time.max(floor) + FORCE)
    }

    pub(crate) fn is_overdue(&self, now: u64) -> bool {
        self.due().is_some_and(|due| now > due)
    }

    /// The earliest chunk that is false and can be proven so.
    pub(crate) fn earliest_false(&self) -> Option<(u64, usize)> {
        self.standing.iter().find_map(|standing| Some((standing.batch.id, standing.false_chunk()?)))
    }

    /// The batches before the first that is not right.
    pub(crate) fn right(&self) -> impl Iterator<Item = &Rc<Standing>> {
        self.standing.iter().take_while(|standing| standing.is_right())
    }

    // ---- Inbox ----

    pub(crate) fn running(&self) -> Expected {
        if self.halted { refused::<Gateway::IsHalted>() } else { Ok(()) }
    }

    pub(crate) fn enter(&mut self, item: Item) {
        if item.kind == ItemKind::Deposit {
            *self.locked.entry(item.who).or_default() += item.value;
            self.deposited += item.value;
        }
        self.inbox.push(item).unwrap();
    }

    // ---- Batches ----

    pub(crate) fn submission(&self, now: u64, from: Address, submission: &Submission) -> Expected {
        self.running()?;
        if from != self.operator {
            return refused::<Gateway::NotOperator>();
        }
        if self.bond < MIN_BOND {
            return refused::<Gateway::BondTooLow>();
        }
        if submission.id != self.next_id() {
            return refused::<Gateway::WrongId>();
        }
        if submission.previous_commitment != self.commitment(self.tip()) {
            return refused::<Gateway::WrongPrevious>();
        }
        if submission.inbox_end < self.cursor() || submission.inbox_end > self.inbox.len() {
            return refused::<Gateway::WrongInboxEnd>();
        }
        if Some(submission.accumulator) != self.inbox.accumulator(submission.inbox_end) {
            return refused::<Gateway::WrongAccumulator>();
        }
        if self.is_overdue(now) {
            return refused::<Gateway::Overdue>();
        }
        let items = self.inbox.range(self.cursor(), submission.inbox_end).unwrap();
        match submission.clone().into_batch(from, self.cursor()).chunks(items) {
            Ok(_) => Ok(()),
            Err(payments_protocol::BatchError::Empty) => refused::<Gateway::EmptyBatch>(),
            Err(_) => refused::<Gateway::WrongShape>(),
        }
    }

    pub(crate) fn submitted(&mut self, now: u64, batch: Batch, items: Vec<Item>, verdicts: Vec<Verdict>) {
        let rewards = self.rewards.len();
        self.standing.push(Rc::new(Standing { batch, items, time: now, rewards, verdicts }));
    }

    /// Whether a contest of the batch is heard at all.
    pub(crate) fn contestable(&self, id: u64, now: u64) -> Expected {
        if id > self.tip() {
            return refused::<Gateway::NotStanding>();
        }
        if self.is_final(id, now) { refused::<Gateway::NotContestable>() } else { Ok(()) }
    }

    /// Batch `id` and all after it fall; gives what is burned and what is escrowed.
    pub(crate) fn fall(&mut self, now: u64, id: u64, challenger: Address) -> (u128, u128) {
        let settled = self.batch(self.finalised(now)).map_or(0, |standing| standing.batch.inbox_end);
        if settled >= self.grace_end {
            (self.floor, self.grace_end) = (now, self.inbox.len());
        }
        let first = self.batch(id).unwrap().rewards;
        self.standing.truncate(usize::try_from(id).unwrap() - 1);
        let later: Vec<_> = self.rewards.drain(first..).collect();
        assert!(later.iter().all(|reward| !reward.paid), "a reward was paid although its batch could still fall");
        let half = self.bond / 2;
        let burned = self.bond - half;
        self.bond = 0;
        let amount = half + later.iter().map(|reward| reward.amount).sum::<u128>();
        if amount > 0 {
            self.rewards.push(Reward { challenger, id, amount, paid: false });
        }
        (burned, amount)
    }

    pub(crate) fn collection(&self, reward: usize, now: u64) -> Expected {
        match self.rewards.get(reward) {
            None | Some(Reward { paid: true, .. }) => refused::<Gateway::NoSuchReward>(),
            Some(reward) if reward.id - 1 > self.tip() => refused::<Gateway::NotStanding>(),
            Some(reward) if !self.is_final(reward.id - 1, now) => refused::<Gateway::NotFinal>(),
            Some(_) => Ok(()),
        }
    }

    // ---- Leaving ----

    /// Whether claims at this batch are heard at all.
    pub(crate) fn claimable(&self, id: u64, now: u64) -> Expected {
        if id > self.tip() {
            return refused::<Gateway::NotStanding>();
        }
        if !self.is_final(id, now) {
            return refused::<Gateway::NotFinal>();
        }
        if self.halted && id != self.tip() { refused::<Gateway::NotLastStanding>() } else { Ok(()) }
    }

    pub(crate) fn claimed(&self, account: Address) -> u128 {
        self.claimed.get(&account).copied().unwrap_or(0)
    }

    pub(crate) fn claim(&mut self, account: Address, due: u128) -> u128 {
        let paid = due - self.claimed.insert(account, due).unwrap_or(0);
        self.claims += paid;
        paid
    }

    pub(crate) fn reclaim(&self, index: u64) -> Expected {
        if !self.halted {
            return refused::<Gateway::NotHalted>();
        }
        match self.inbox.item(index) {
            None => refused::<Gateway::NoSuchItem>(),
            Some(item)
                if item.kind != ItemKind::Deposit || index < self.cursor() || self.reclaimed.contains(&index) =>
            {
                refused::<Gateway::NotReclaimable>()
            }
            Some(_) => Ok(()),
        }
    }

    pub(crate) fn reclaimed(&mut self, index: u64) -> Item {
        let item = *self.inbox.item(index).unwrap();
        self.reclaimed.insert(index);
        *self.locked.get_mut(&item.who).unwrap() -= item.value;
        self.reclaims += item.value;
        item
    }

    // ---- Money ----

    /// What the gateway must hold, to the wei.
    pub(crate) fn holdings(&self) -> U256 {
        let rewards: u128 = self.rewards.iter().filter(|reward| !reward.paid).map(|reward| reward.amount).sum();
        U256::from(self.deposited - self.claims - self.reclaims + self.bond + rewards)
    }
}
