//! The base: the newest batch below which nothing can change any more.
//!
//! **The rule.** A batch may become the base when it is true, as were all before it, and its challenge window was over
//! at a block that layer 1 does not take back: one that lies deeper than the reorganisations which the follower goes
//! back through ([`WINDOW`] blocks), and not above layer 1's finalized block where `--final-at` asks for that. All
//! batches of one block become final together, and the gateway contests none of them any more. So the chain of events
//! up to the base's own is fixed, and what it folds to need not be folded again.
//!
//! A reorganisation that reaches below the base nonetheless is a failure of layer 1, or of the endpoint. Then the base
//! is worth nothing: the core drops this view and folds a new one from what layer 1 has.

use std::collections::{HashMap, HashSet};

use alloy::primitives::{Address, B256, U256};
use payments_protocol::{Inbox, ItemKind, State, inbox::OutOfOrder};

use super::{Chain, Place, StandingBatch};
use crate::args::FinalAt;
use crate::gateway::{self, GatewayEvent};
use crate::layer1::{BlockRef, GatewayLog, StepBlock, WINDOW};
use crate::store::snapshot::Snapshot;

/// What everything up to the event of one batch folds to. Batch 0 is genesis.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    pub(crate) id: u64,
    pub(crate) commitment: B256,
    pub(crate) root: B256,
    pub(crate) state: State,
    /// Where its event lies: the block, and the log within it.
    pub(crate) block: BlockRef,
    pub(crate) log_index: u64,
    /// First inbox item that it has not consumed.
    pub(crate) inbox_end: u64,
    /// Inbox items that came before its event.
    pub(crate) inbox_len: u64,
    /// Wei claimed until then.
    pub(crate) claimed: HashMap<Address, U256>,
}

impl Base {
    pub(crate) fn genesis() -> Self {
        let block = BlockRef { number: 0, hash: B256::ZERO, parent: B256::ZERO, timestamp: 0 };
        Self {
            id: 0,
            commitment: B256::ZERO,
            root: B256::ZERO,
            state: State::new(),
            block,
            log_index: 0,
            inbox_end: 0,
            inbox_len: 0,
            claimed: HashMap::new(),
        }
    }

    /// Whether an event lies at or before the base's own.
    pub(crate) fn covers(&self, log: &GatewayLog) -> bool {
        self.id > 0 && (log.block_number, log.log_index) <= (self.block.number, self.log_index)
    }

    /// Whether dropping the blocks from `from` on would take something back that the base rests on.
    pub(crate) fn rests_on(&self, from: u64) -> bool {
        self.id > 0 && from <= self.block.number
    }
}

impl Chain {
    /// The id up to which everything may become the base now, if that is above the present one.
    pub(crate) fn next_base(&self) -> Option<u64> {
        let judge = self.settled_block()?;
        let settled = |batch: &&StandingBatch| {
            batch.verdict.is_true()
                && batch.block.number <= judge.number
                && judge.timestamp >= batch.block.timestamp.saturating_add(self.terms.challenge)
        };
        match self.standing.iter().take_while(settled).count() {
            0 => None,
            count => Some(self.base.id + count as u64),
        }
    }

    /// The newest block that was read and is never taken back.
    fn settled_block(&self) -> Option<BlockRef> {
        let deep = self.head.number.checked_sub(WINDOW as u64)?;
        let limit = match self.final_at {
            FinalAt::Latest => deep,
            FinalAt::Finalized => deep.min(self.depths.finalized?.number),
        };
        self.recent.iter().rev().find(|block| block.number <= limit).copied()
    }

    /// Makes batch `id` the base and forgets what lies below it. Nothing happens unless it stands and is true.
    pub(crate) fn rebase(&mut self, id: u64) {
        let Some(batch) = self.batch_at(id) else { return };
        let Some(state) = batch.state().cloned() else { return };
        let mut base = Base {
            id,
            commitment: batch.event.commitment,
            root: batch.event.root,
            state,
            block: batch.block,
            log_index: batch.log_index,
            inbox_end: batch.event.inbox_end,
            inbox_len: self.base.inbox_len,
            claimed: std::mem::take(&mut self.base.claimed),
        };
        for log in self.eventful.iter().flat_map(|step| &step.logs) {
            if !base.covers(log) {
                break;
            }
            match gateway::read(log) {
                GatewayEvent::Claimed { account, total } => {
                    base.claimed.insert(account, total);
                }
                GatewayEvent::Item(item) => base.inbox_len = item.index + 1,
                _ => {}
            }
        }
        self.eventful.retain_mut(|step| above(&base, step));
        self.eventful.shrink_to_fit();
        self.spend_below(&base);
        let count = usize::try_from(id - self.base.id).unwrap_or(usize::MAX).min(self.standing.len());
        for batch in self.standing.drain(..count) {
            for (_, outcome) in batch.outcomes(batch.event.id) {
                if let Some(id) = super::message_of(outcome) {
                    self.places.remove(&id);
                }
            }
            for account in batch.accounts() {
                if let Some(places) = self.history.get_mut(&account) {
                    places.drain(..places.partition_point(|place| place.batch <= id));
                    if places.is_empty() {
                        self.history.remove(&account);
                    }
                }
            }
        }
        self.replays.forget_to(id);
        self.places.shrink_to_fit();
        self.history.shrink_to_fit();
        self.stand_on(base);
    }

    /// What a later start needs to begin at the base; `None` for genesis. `first_message`: see [`Snapshot`].
    pub(crate) fn snapshot(&self, first_message: u64) -> Option<Snapshot> {
        let base = &self.base;
        let items = self.inbox.range(base.inbox_end, base.inbox_len)?;
        let accumulator = self.inbox.accumulator(base.inbox_end)?;
        let waiting = self.item_blocks.iter().copied().zip(items.iter().copied()).collect();
        (base.id > 0).then(|| Snapshot { base: base.clone(), accumulator, waiting, first_message })
    }

    /// Begins at the base of an earlier run. Only for a view that has read nothing yet.
    pub(crate) fn resume(&mut self, snapshot: Snapshot) -> Result<(), OutOfOrder> {
        self.inbox = Inbox::resume(snapshot.base.inbox_end, snapshot.accumulator);
        for (block, item) in snapshot.waiting {
            self.inbox.push(item)?;
            self.item_blocks.push(block);
        }
        self.claimed.clone_from(&snapshot.base.claimed);
        self.base = snapshot.base;
        Ok(())
    }

    /// The view of somebody who knows the base and has read nothing above it.
    pub(crate) fn again(&self) -> Self {
        let mut again = self.anew();
        again.inbox = self.inbox.clone();
        again.inbox.truncate(self.base.inbox_len);
        let kept = usize::try_from(again.inbox.len() - again.inbox.start()).unwrap_or(usize::MAX);
        again.item_blocks = self.item_blocks.iter().copied().take(kept).collect();
        again.claimed.clone_from(&self.base.claimed);
        again.spent.clone_from(&self.spent);
        again.base = self.base.clone();
        again
    }

    /// Takes a base; the inbox keeps what it has not consumed.
    fn stand_on(&mut self, base: Base) {
        let before = self.inbox.start();
        self.inbox.forget_before(base.inbox_end);
        let gone = usize::try_from(self.inbox.start() - before).unwrap_or(usize::MAX);
        self.item_blocks.drain(..gone.min(self.item_blocks.len()));
        self.base = base;
    }

    /// Posted withdrawals that wait in the inbox though they took effect: below the base their places are not known
    /// here any more.
    fn spend_below(&mut self, base: &Base) {
        let waiting: HashSet<B256> = (base.inbox_end..self.inbox.len())
            .filter_map(|index| self.inbox.item(index))
            .filter(|item| item.kind == ItemKind::PostedWithdraw)
            .map(|item| item.message_id)
            .collect();
        self.spent.retain(|id| waiting.contains(id));
        let (places, spent) = (&self.places, &mut self.spent);
        let below = |id: &B256| places.get(id).is_some_and(|place: &Place| place.batch <= base.id);
        spent.extend(waiting.into_iter().filter(below));
    }

    /// Says that a message took effect below the base, before an inbox item that posts it once more is folded.
    pub(crate) fn spend(&mut self, message: B256) {
        self.spent.insert(message);
    }
}

/// Keeps of a block what lies above the base; false when that is nothing.
fn above(base: &Base, step: &mut StepBlock) -> bool {
    step.logs.retain(|log| !base.covers(log));
    !step.logs.is_empty()
}

/// Messages that inbox items of these blocks post.
pub(crate) fn posted(blocks: &[StepBlock]) -> Vec<B256> {
    let logs = blocks.iter().flat_map(|step| &step.logs);
    let items = logs.filter_map(|log| match gateway::read(log) {
        GatewayEvent::Item(item) if item.kind == ItemKind::PostedWithdraw => Some(item.message_id),
        _ => None,
    });
    items.collect()
}
