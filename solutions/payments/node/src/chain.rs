//! What layer 1 says: the inbox, the standing batches, what each of them really did. No IO.
//!
//! A fold over the gateway's events in chain order. A contest lowers the number of standing batches; a reorganisation
//! folds anew from the [base](Base), which is cheap because a batch that was replayed once is not replayed again.
//! What lies below the base is not here: it is in the store, and answered from there.

mod base;
mod verdict;

pub(crate) use base::{Base, posted};
pub(crate) use verdict::{Key, Known, StandingBatch, Verdict, rehearse};

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use alloy::primitives::{Address, B256, U256};
use payments_protocol::{Domain, Effect, Inbox, Item, ItemKind, Leaf, Outcome, State, state::PARTS};
use serde_json::json;

use crate::args::FinalAt;
use crate::gateway::{self, BatchEvent, GatewayEvent, Terms};
use crate::layer1::{BlockRef, Depths, GatewayLog, Step, StepBlock, WINDOW};
use crate::parallel;
use crate::rpc::Notice;

/// Where a message or item lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Id of the batch.
    pub(crate) batch: u64,
    /// Chunk within the batch, from 0; inbox chunks come first.
    pub(crate) chunk: usize,
    /// Item or record within the chunk, from 0.
    pub(crate) index: usize,
}

/// What one step from layer 1 changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Lowest batch id that fell or was reorganised away.
    pub(crate) rolled_back: Option<u64>,
    /// The inbox or the standing batches are not what they were.
    pub(crate) moved: bool,
    /// Batches that stand since this step.
    pub(crate) appeared: Vec<u64>,
    /// Accounts whose leaf or claim may have changed.
    pub(crate) accounts: BTreeSet<Address>,
    /// Alarms.
    pub(crate) alerts: Vec<Notice>,
    /// Transactions of the gateway that are in blocks now, with their block.
    pub(crate) transactions: Vec<(B256, u64)>,
}

/// The view of layer 1.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) domain: Domain,
    pub(crate) terms: Terms,
    final_at: FinalAt,
    pub(crate) base: Base,
    /// Blocks with events above the base, ascending: all that is needed to fold anew.
    eventful: Vec<StepBlock>,
    /// The newest blocks that were read, ascending, as far back as a base may have to look.
    recent: VecDeque<BlockRef>,
    pub(crate) head: BlockRef,
    depths: Depths,
    pub(crate) synced: bool,
    pub(crate) inbox: Inbox,
    /// Block of each inbox item that is kept.
    item_blocks: Vec<u64>,
    /// Those above the base: batch id i is at i - base - 1.
    standing: Vec<StandingBatch>,
    claimed: HashMap<Address, U256>,
    pub(crate) halted: bool,
    places: HashMap<B256, Place>,
    history: HashMap<Address, Vec<Place>>,
    /// Messages that took effect below the base and are posted again by inbox items above it.
    spent: HashSet<B256>,
    replays: verdict::Replays,
}

impl Chain {
    pub(crate) fn new(domain: Domain, terms: Terms, final_at: FinalAt) -> Self {
        let genesis = BlockRef { number: 0, hash: B256::ZERO, parent: B256::ZERO, timestamp: 0 };
        Self {
            domain,
            terms,
            final_at,
            base: Base::genesis(),
            eventful: Vec::new(),
            recent: VecDeque::new(),
            head: genesis,
            depths: Depths::default(),
            synced: false,
            inbox: Inbox::new(),
            item_blocks: Vec::new(),
            standing: Vec::new(),
            claimed: HashMap::new(),
            halted: false,
            places: HashMap::new(),
            history: HashMap::new(),
            spent: HashSet::new(),
            replays: verdict::Replays::default(),
        }
    }

    /// Takes what an earlier run has noted of batches: they are executed and not judged again. Whether they
    /// [add up](Self::adds_up) must be asked before anything rests on them.
    pub(crate) fn recall(&mut self, found: HashSet<Key>) {
        self.replays.recall(found);
    }

    /// Takes what an earlier run has seen of layer 1, as the first step. `found` are batches that it found true: they are
    /// executed and not judged again, and the root that all of them lead to is compared. Does it differ, then what was
    /// noted is worth nothing, every batch is judged, and the second value is false.
    pub(crate) fn remember(&mut self, step: Step, found: HashSet<Key>, known: &Known<'_>) -> (Changes, bool) {
        let noted = !found.is_empty();
        self.replays.recall(found);
        let changes = self.apply(step.clone(), known);
        if !noted || self.adds_up() {
            return (changes, true);
        }
        tracing::warn!("what was noted of the batches does not add up; each of them is judged again");
        *self = self.again();
        (self.apply(step, known), false)
    }

    /// The view of somebody who has read nothing yet.
    pub(crate) fn anew(&self) -> Self {
        Self::new(self.domain, self.terms, self.final_at)
    }

    /// Batches to note for a later run.
    pub(crate) fn take_found(&mut self) -> Vec<Key> {
        self.replays.take_found()
    }

    /// Whether the newest true batch leads to the root that it claims: then so did all before it, since each state
    /// rests on the one before. Hashes whatever is not hashed, on all cores.
    pub(crate) fn adds_up(&self) -> bool {
        let Some(newest) = self.batch_at(self.verified_id()) else { return true };
        let Some(state) = newest.state() else { return true };
        parallel::all(PARTS, |part| {
            state.hash_part(u8::try_from(part).unwrap_or(u8::MAX));
            true
        });
        state.root() == newest.event.root
    }

    /// Takes news from layer 1. `known`: signatures that were checked before.
    pub(crate) fn apply(&mut self, step: Step, known: &Known<'_>) -> Changes {
        let mut changes = Changes::default();
        if let Some(from) = step.drop_from {
            self.forget(from, known, &mut changes);
        }
        self.head = step.head;
        self.depths = step.depths;
        self.synced = step.synced;
        for mut block in step.blocks {
            self.recent.push_back(block.block);
            block.logs.retain(|log| !self.base.covers(log));
            self.fold(&block, known, &mut changes);
            if !block.logs.is_empty() {
                self.eventful.push(block);
            }
        }
        // One that is deep enough stays, with all above it.
        let deep = self.head.number.saturating_sub(WINDOW as u64);
        while self.recent.get(1).is_some_and(|second| second.number <= deep) {
            self.recent.pop_front();
        }
        changes
    }

    /// Drops the events of blocks from `from` on and folds anew what is left above the base.
    fn forget(&mut self, from: u64, known: &Known<'_>, changes: &mut Changes) {
        self.recent.truncate(self.recent.partition_point(|block| block.number < from));
        let keep = self.eventful.partition_point(|step| step.block.number < from);
        if keep == self.eventful.len() {
            return;
        }
        let before: Vec<B256> = self.standing.iter().map(|batch| batch.event.commitment).collect();
        changes.accounts.extend(self.claimed.keys().copied());
        for batch in &self.standing {
            changes.accounts.extend(batch.accounts());
        }
        self.eventful.truncate(keep);
        self.inbox.truncate(self.base.inbox_len);
        self.item_blocks.truncate(usize::try_from(self.inbox.len() - self.inbox.start()).unwrap_or(usize::MAX));
        self.standing.clear();
        self.claimed.clone_from(&self.base.claimed);
        self.halted = false;
        self.places.clear();
        self.history.clear();
        // Old alarms are not raised twice.
        let mut quiet = Changes::default();
        for block in std::mem::take(&mut self.eventful) {
            self.fold(&block, known, &mut quiet);
            self.eventful.push(block);
        }
        changes.moved = true;
        let common = before.iter().zip(&self.standing).take_while(|(a, b)| **a == b.event.commitment).count();
        if common < before.len() {
            changes.rolled_back = Some(self.base.id + common as u64 + 1);
        }
        changes.alerts.push(Notice::alert(
            "reorganised",
            "layer 1 was reorganised; what lay in the dropped blocks is taken back",
            json!({ "fromBlock": from.to_string(), "standing": (self.next_id() - 1).to_string() }),
        ));
    }

    fn fold(&mut self, step: &StepBlock, known: &Known<'_>, changes: &mut Changes) {
        for log in &step.logs {
            changes.transactions.push((log.transaction, step.block.number));
            match gateway::read(log) {
                GatewayEvent::Item(item) => self.item(item, step.block, changes),
                GatewayEvent::Batch(event) => self.batch(event, log, step.block, known, changes),
                GatewayEvent::Contested { id, challenger, chunk } => {
                    self.fell(id, changes);
                    let facts =
                        json!({ "batch": id.to_string(), "challenger": challenger, "chunk": chunk.to_string() });
                    changes.alerts.push(Notice::alert(
                        "contested",
                        format!("batch {id} was contested and fell"),
                        facts,
                    ));
                }
                GatewayEvent::Claimed { account, total } => {
                    self.claimed.insert(account, total);
                    changes.accounts.insert(account);
                }
                GatewayEvent::Halted => {
                    self.halted = true;
                    changes.moved = true;
                    changes.alerts.push(Notice::alert(
                        "halted",
                        "the gateway is halted; everybody can claim",
                        json!({}),
                    ));
                }
                GatewayEvent::Other => {}
                GatewayEvent::Unreadable(why) => {
                    changes.alerts.push(Notice::alert(
                        "unreadable",
                        format!("the gateway's events do not read: {why}"),
                        json!({}),
                    ));
                }
            }
        }
    }

    fn item(&mut self, item: Item, block: BlockRef, changes: &mut Changes) {
        changes.accounts.insert(item.who);
        changes.moved = true;
        match self.inbox.push(item) {
            Ok(()) => self.item_blocks.push(block.number),
            Err(error) => changes.alerts.push(Notice::alert("unreadable", error.to_string(), json!({}))),
        }
    }

    fn batch(
        &mut self,
        event: BatchEvent,
        log: &GatewayLog,
        block: BlockRef,
        known: &Known<'_>,
        changes: &mut Changes,
    ) {
        let id = event.id;
        if id != self.next_id() {
            let text = format!("batch {id} appeared where {} was next; is --from-block too high?", self.next_id());
            changes.alerts.push(Notice::alert("unreadable", text, json!({ "batch": id.to_string() })));
            return;
        }
        let (commitment, before) = match self.standing.last() {
            None => (self.base.commitment, Some(self.base.state.clone())),
            Some(last) => (last.event.commitment, last.state().cloned()),
        };
        let cursor = self.inbox_cursor();
        let (batch, verdict) =
            self.replays.judge(&self.domain, &self.inbox, &event, commitment, before.as_ref(), cursor, known);
        let (transaction, log_index) = (log.transaction, log.log_index);
        let standing = StandingBatch { event, batch, verdict, block, log_index, transaction };
        for (place, outcome) in standing.outcomes(id) {
            if let Some(id) = message_of(outcome) {
                self.places.insert(id, place);
            }
            for account in accounts_of(outcome) {
                self.history.entry(account).or_default().push(place);
            }
        }
        changes.accounts.extend(standing.accounts());
        if let Some(text) = standing.verdict.alarm() {
            let facts =
                json!({ "batch": id.to_string(), "transaction": log.transaction, "verdict": standing.verdict.name() });
            changes.alerts.push(Notice::alert("false-batch", format!("batch {id} {text}"), facts));
        }
        changes.appeared.push(id);
        changes.moved = true;
        self.standing.push(standing);
    }

    /// Batch `id` and all later ones stand no more.
    fn fell(&mut self, id: u64, changes: &mut Changes) {
        let Some(keep) = id.checked_sub(self.base.id + 1) else {
            let text = format!("final batch {id} was contested: the gateway is not what this node was made for");
            changes.alerts.push(Notice::alert("unreadable", text, json!({ "batch": id.to_string() })));
            return;
        };
        let keep = usize::try_from(keep).unwrap_or(usize::MAX);
        if keep >= self.standing.len() {
            return;
        }
        for batch in self.standing.drain(keep..) {
            for (_, outcome) in batch.outcomes(batch.event.id) {
                if let Some(id) = message_of(outcome) {
                    self.places.remove(&id);
                }
            }
            for account in batch.accounts() {
                if let Some(places) = self.history.get_mut(&account) {
                    places.truncate(places.partition_point(|place| place.batch < id));
                }
                changes.accounts.insert(account);
            }
        }
        changes.appeared.retain(|appeared| *appeared < id);
        changes.rolled_back = Some(changes.rolled_back.map_or(id, |lower| lower.min(id)));
        changes.moved = true;
    }

    /// Id of the batch that comes next.
    pub(crate) fn next_id(&self) -> u64 {
        self.base.id + self.standing.len() as u64 + 1
    }

    /// A batch above the base.
    pub(crate) fn batch_at(&self, id: u64) -> Option<&StandingBatch> {
        self.standing.get(usize::try_from(id.checked_sub(self.base.id + 1)?).ok()?)
    }

    /// The newest standing batch, if it lies above the base.
    pub(crate) fn last(&self) -> Option<&StandingBatch> {
        self.standing.last()
    }

    /// Commitment of the newest standing batch; zero before the first.
    pub(crate) fn last_commitment(&self) -> B256 {
        self.standing.last().map_or(self.base.commitment, |batch| batch.event.commitment)
    }

    /// First inbox item that no standing batch has consumed.
    pub(crate) fn inbox_cursor(&self) -> u64 {
        self.standing.last().map_or(self.base.inbox_end, |batch| batch.event.inbox_end)
    }

    /// The inbox as far as it lies under `confirmations` blocks.
    pub(crate) fn confirmed_items(&self, confirmations: u64) -> u64 {
        // The item's own block is its first confirmation.
        let Some(deepest) = (self.head.number + 1).checked_sub(confirmations.max(1)) else { return 0 };
        self.inbox.start() + self.item_blocks.partition_point(|block| *block <= deepest) as u64
    }

    /// The earliest standing batch that is not what it claims.
    pub(crate) fn fault(&self) -> Option<&StandingBatch> {
        self.batch_at(self.verified_id() + 1)
    }

    /// Id of the newest batch up to which everything was replayed and found true.
    pub(crate) fn verified_id(&self) -> u64 {
        // Nothing that stands on an untrue batch is ever judged true.
        self.base.id + self.standing.partition_point(|batch| batch.verdict.is_true()) as u64
    }

    /// State after a batch; `None` where it does not stand or is not true, or lies below the base. Batch 0 is genesis.
    pub(crate) fn state_after(&self, id: u64) -> Option<State> {
        match id {
            0 => Some(State::new()),
            _ if id == self.base.id => Some(self.base.state.clone()),
            _ => self.batch_at(id)?.state().cloned(),
        }
    }

    /// State after the newest true batch.
    pub(crate) fn verified_state(&self) -> State {
        self.state_after(self.verified_id()).unwrap_or_default()
    }

    /// Judged at the layer-1 block of `--final-at`.
    pub(crate) fn is_final(&self, id: u64) -> bool {
        if id <= self.base.id {
            return true;
        }
        let judge = match self.final_at {
            FinalAt::Latest => Some(self.head),
            FinalAt::Finalized => self.depths.finalized,
        };
        let (Some(batch), Some(judge)) = (self.batch_at(id), judge) else { return false };
        batch.block.number <= judge.number
            && judge.timestamp >= batch.block.timestamp.saturating_add(self.terms.challenge)
    }

    /// The newest final batch; 0 when only genesis is.
    pub(crate) fn final_id(&self) -> u64 {
        (self.base.id + 1..self.next_id()).rev().find(|id| self.is_final(*id)).unwrap_or(self.base.id)
    }

    /// `final`; `sequenced` from layer 1's safe block on; before that layer 1 may still forget it, so it is `soft`.
    pub(crate) fn finality(&self, id: u64) -> &'static str {
        let judge = match self.final_at {
            FinalAt::Latest => Some(self.head),
            FinalAt::Finalized => self.depths.safe,
        };
        match (self.batch_at(id), judge) {
            _ if self.is_final(id) => "final",
            (Some(batch), Some(judge)) if batch.block.number <= judge.number => "sequenced",
            _ => "soft",
        }
    }

    /// Where a message took effect above the base.
    pub(crate) fn place(&self, message: B256) -> Option<Place> {
        self.places.get(&message).copied()
    }

    pub(crate) fn outcome(&self, place: Place) -> Option<&Outcome> {
        self.batch_at(place.batch)?.outcome(place)
    }

    /// Everything that touched the account in a standing batch above the base, in order.
    pub(crate) fn history(&self, account: Address) -> &[Place] {
        self.history.get(&account).map(Vec::as_slice).unwrap_or_default()
    }

    /// Wei the account has claimed in all.
    pub(crate) fn claimed(&self, account: Address) -> U256 {
        self.claimed.get(&account).copied().unwrap_or_default()
    }

    /// Items that no standing batch has consumed, confirmed or not.
    pub(crate) fn waiting_items(&self) -> &[Item] {
        self.inbox.range(self.inbox_cursor(), self.inbox.len()).unwrap_or_default()
    }

    /// Whether a layer-1 exit of the account is under way, so that nothing may be promised about it.
    pub(crate) fn exit_waits(&self, account: Address) -> bool {
        self.waiting_items().iter().any(|item| item.who == account && self.may_take(item))
    }

    /// Whether an item may take something from its account. A Withdraw that took effect already cannot: anybody may post
    /// it again, and must not keep its sender from paying with that.
    pub(crate) fn may_take(&self, item: &Item) -> bool {
        match item.kind {
            ItemKind::Deposit => false,
            ItemKind::ForcedExit => true,
            ItemKind::PostedWithdraw => self.place(item.message_id).is_none() && !self.spent.contains(&item.message_id),
        }
    }

    /// The account after the newest true batch.
    pub(crate) fn leaf(&self, account: Address) -> Leaf {
        self.verified_state().leaf(account)
    }
}

/// The message that took effect, if it was one.
pub(crate) fn message_of(outcome: &Outcome) -> Option<B256> {
    match outcome {
        Outcome::Effective(Effect::Message { id, .. } | Effect::PostedWithdraw { id, .. }) => Some(*id),
        _ => None,
    }
}

/// Whose leaves an outcome changed.
pub(crate) fn accounts_of(outcome: &Outcome) -> BTreeSet<Address> {
    match outcome {
        Outcome::Effective(Effect::Message { message, .. }) => {
            [message.from, message.to].into_iter().filter(|account| !account.is_zero()).collect()
        }
        Outcome::Effective(
            Effect::Deposit { account, .. }
            | Effect::ForcedExit { account, .. }
            | Effect::PostedWithdraw { account, .. },
        ) => BTreeSet::from([*account]),
        Outcome::NoEffect(_) => BTreeSet::new(),
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
