//! The core: the node's state, and the one thread that changes it.
//!
//! **Who does what.** A message takes four steps on threads of their own. *Admission* ([`crate::admission`]) checks what needs
//! no state, on all cores. The *core thread* orders what was admitted, in the order of arrival, and changes the soft
//! state. The *committer* ([`commit`]) signs the receipts of whole groups, writes each group in **one** transaction, and
//! answers only then: while one group is on its way to the disk the next one is ordered. *Reading* takes the state's
//! lock for as long as it reads; nothing holds that lock while it writes promises to the disk.
//!
//! **Architecture Invariant:** nobody ever sees a promise that a kill could take back. What is ordered and not durable is
//! visible to the ordering alone, see [`Sequencer`].
//!
//! Each message holds one of [`PLACES`] from its arrival until it is answered. So every queue between the steps is
//! bounded, and who finds no place is told at once.

mod alarms;
mod base;
mod commit;
mod handle;
mod outgoing;
mod purse;

pub(crate) use handle::{CoreGone, CoreHandle};
pub(crate) use outgoing::Job;
pub(crate) use purse::Purse;

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use payments_protocol::{ReceiptTree, SignedReceipt};
use serde_json::json;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::admission::Checked;
use crate::adversary::Adversary;
use crate::alerts::Alerts;
use crate::args::{Misbehave, Role};
use crate::chain::{Chain, Changes};
use crate::compare::Comparison;
use crate::key::NodeKey;
use crate::layer1::{BlockRef, Step};
use crate::metrics::Metrics;
use crate::rpc::{Interests, Notice, RpcError, Topic, code};
use crate::sequencer::{Ordered, Sequencer};
use crate::show;
use crate::store::{Below, LoggedMessage, OutgoingTransaction, Store, StoreError, TransactionState};
use commit::{Committer, Due, Group};
use handle::{Command, Sent};

/// Messages between arrival and answer. Beyond it callers are told that the node is busy.
const PLACES: usize = 4_096;

/// Most messages of one group, so that one flush serves many and none waits long.
const GROUP: usize = 1_024;

/// Notices kept for slow subscribers.
const NOTICES: usize = 1_024;

/// What the core is started with.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) role: Role,
    pub(crate) key: Option<NodeKey>,
    pub(crate) confirmations: u64,
    pub(crate) batch_age_ms: u64,
    pub(crate) misbehave: Option<Misbehave>,
}

/// The store: the core thread and the committer write to it.
type SharedStore = Arc<Mutex<Box<dyn Store>>>;

/// All state of the node.
pub(crate) struct Core {
    pub(crate) setup: Setup,
    pub(crate) chain: Chain,
    /// Role operator only.
    pub(crate) sequencer: Option<Sequencer>,
    store: SharedStore,
    /// What lies below the chain's base, and the whole message log.
    below: Box<dyn Below>,
    /// Newest batch whose below-base rows are written: the base, or beyond it after a start.
    settled: u64,
    snapshots: base::Snapshots,
    transactions: Vec<OutgoingTransaction>,
    notices: broadcast::Sender<Notice>,
    /// Which accounts somebody listens for.
    interests: Interests,
    /// Rises whenever something changed that a plan was made from.
    epoch: u64,
    /// Since when (Unix milliseconds) something waits for a batch.
    waiting_since: Option<u64>,
    /// What breaks the protocol on purpose.
    adversary: Option<Adversary>,
    /// A batch is ripe, but layer 1 is dearer than `--max-fee-per-gas`.
    pub(crate) waits_for_gas: bool,
    /// What the node's key and the operator's bond were when they were last looked at.
    pub(crate) purse: Option<Purse>,
    /// Newest batch that subscribers were told is final.
    told_final: u64,
    said: alarms::Said,
    pub(crate) alerts: Arc<Alerts>,
    pub(crate) metrics: Arc<Metrics>,
    /// A replica that compares its operator's answers with its own.
    pub(crate) comparison: Option<Comparison>,
    /// Why layer 1 cannot be followed, while it cannot.
    pub(crate) layer1_trouble: Option<String>,
}

impl Core {
    /// Rebuilds everything from the store. Gives the blocks that the follower starts from.
    pub(crate) fn load(
        setup: Setup,
        mut chain: Chain,
        mut store: Box<dyn Store>,
    ) -> Result<(Self, Vec<BlockRef>), StoreError> {
        let (below, settled) = (store.below()?, store.settled_to()?);
        let first_message = base::resume(&mut chain, store.as_mut(), below.as_ref())?;
        let base::Folded { known, seen, effects } = base::fold(&mut chain, store.as_mut(), below.as_ref(), settled)?;
        let mut sequencer = match setup.role {
            Role::Operator => {
                let state = &chain.base.state;
                let used_up = |from, nonce| nonce < state.leaf(from).nonce;
                let first = store.first_unsettled(first_message, &used_up)?;
                Some(Sequencer::new(store.messages(first)?, store.seals(first)?, store.last_message()?.as_ref()))
            }
            Role::Replica => None,
        };
        if let Some(sequencer) = &mut sequencer {
            sequencer.refresh(&chain, true);
        }
        let transactions = store.transactions(chain.base.block.number)?;
        let snapshots = base::Snapshots::new(store.folder(), effects);
        let told_final = chain.final_id();
        let adversary = setup.misbehave.map(Adversary::new);
        let mut core = Self {
            setup,
            chain,
            sequencer,
            store: Arc::new(Mutex::new(store)),
            below,
            settled,
            snapshots,
            transactions,
            notices: broadcast::Sender::new(NOTICES),
            interests: Interests::default(),
            epoch: 0,
            waiting_since: None,
            adversary,
            waits_for_gas: false,
            purse: None,
            told_final,
            said: alarms::Said::default(),
            alerts: Arc::default(),
            metrics: Arc::default(),
            comparison: None,
            layer1_trouble: None,
        };
        // A kill may have come between the blocks and this.
        core.settle(&seen)?;
        core.advance_alone()?;
        Ok((core, known))
    }

    /// Starts the threads. The second value resolves when they have ended.
    pub(crate) fn start(self) -> std::io::Result<(CoreHandle, oneshot::Receiver<Result<(), StoreError>>)> {
        let (handle, queue) = handle::new(self)?;
        let core = handle.state();
        let (ended, end) = oneshot::channel();
        let committer = Committer::start(&core)?;
        std::thread::Builder::new().name("payments-core".to_owned()).spawn(move || {
            let served = serve(&core, queue, &committer.groups);
            // What was handed over is answered before the end, and why the committer ended comes first.
            let committed = committer.end();
            let writing = write(&core).snapshots.writing();
            writing.end();
            let _ = ended.send(committed.and(served));
        })?;
        Ok((handle, end))
    }

    /// The store. Whoever holds it may be flushing: never taken by readers.
    fn store(&self) -> MutexGuard<'_, Box<dyn Store>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an admitted message its place.
    fn order(&mut self, checked: &Checked) -> Result<Due, RpcError> {
        if let Some(sequence) = self.promised_before(checked)? {
            return Ok(Due::Logged(sequence));
        }
        let ordered = match &mut self.sequencer {
            Some(_) if !self.chain.synced => {
                Err(RpcError::new(code::SYNCING, "the node has not caught up with layer 1 yet; try again"))
            }
            Some(sequencer) => sequencer.order(&self.chain, checked, now_ms() / 1000),
            None => Err(RpcError::new(code::NOT_OPERATOR, "this node is a replica; send to the operator's node")),
        };
        match (ordered, &self.adversary, &self.sequencer, &self.setup.key) {
            (Ok(Ordered::New(sequence) | Ordered::Again(sequence)), ..) => Ok(Due::Logged(sequence)),
            (Err(error), Some(adversary), Some(sequencer), Some(key)) => adversary
                .second_promise(&self.chain, key, sequencer, checked.message())
                .map(|receipt| Due::Contradiction(Box::new(receipt)))
                .ok_or(error),
            (Err(error), ..) => Err(error),
        }
    }

    /// The receipt of a durable message, as everybody who asks gets it. `tree`: see [`Sequencer::receipt`].
    pub(crate) fn receipt(&self, logged: &LoggedMessage, tree: &mut Option<ReceiptTree>) -> Option<SignedReceipt> {
        let sequencer = self.sequencer.as_ref()?;
        let other = match (&self.adversary, &self.setup.key) {
            (Some(adversary), Some(key)) => adversary.receipt(&self.chain, key, sequencer, logged),
            _ => None,
        };
        other.or_else(|| match logged.sequence < sequencer.first() {
            true => self.old_receipt(logged, tree),
            false => sequencer.receipt(logged, tree),
        })
    }

    /// Takes news from layer 1: durable first, then acted on. Readers do not wait for the disk.
    fn follow(core: &RwLock<Self>, step: Step) -> Result<(), StoreError> {
        if step.drop_from.is_some() || !step.blocks.is_empty() {
            let store = Arc::clone(&read(core).store);
            let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
            store.apply_blocks(step.drop_from, &step.blocks)?;
            if step.drop_from.is_some() {
                let settled = store.settled_to()?;
                drop(store);
                write(core).settled = settled;
            }
        }
        let found = {
            let mut core = write(core);
            match step.drop_from.is_some_and(|from| core.chain.base.rests_on(from)) {
                true => core.rebuild(step)?,
                false => core.layer1(step)?,
            }
            core.chain.take_found()
        };
        if !found.is_empty() {
            // Lost in a kill, they are judged again.
            let store = Arc::clone(&read(core).store);
            store.lock().unwrap_or_else(PoisonError::into_inner).note_found(&found, false)?;
        }
        Self::advance(core)
    }

    fn layer1(&mut self, step: Step) -> Result<(), StoreError> {
        if let Some(from) = step.drop_from {
            self.reopen(from)?;
        }
        base::spend(&mut self.chain, self.below.as_ref(), &step.blocks)?;
        let sequencer = self.sequencer.as_ref();
        let vouched = |id, signature: &_| sequencer.is_some_and(|sequencer| sequencer.vouches(id, signature));
        let changes = self.chain.apply(step, &vouched);
        self.take(changes)
    }

    /// Acts on what a step changed.
    fn take(&mut self, changes: Changes) -> Result<(), StoreError> {
        self.settle(&changes.transactions)?;
        if changes.moved {
            self.epoch += 1;
            if let Some(comparison) = &mut self.comparison
                && changes.rolled_back.is_some()
            {
                comparison.rescan()?;
            }
            if let Some(sequencer) = &mut self.sequencer {
                sequencer.refresh(&self.chain, changes.rolled_back.is_some());
            }
        }
        self.tell(changes);
        self.alarm_at_half_time();
        Ok(())
    }

    fn tell(&mut self, changes: Changes) {
        for alert in changes.alerts {
            self.notify(alert);
        }
        if let Some(from) = changes.rolled_back {
            self.notify(Notice { topic: Topic::Batches, body: json!({ "rolledBackTo": (from - 1).to_string() }) });
        }
        for id in changes.appeared {
            if let Some(batch) = self.chain.batch_at(id) {
                let body = show::batch_summary(&self.chain, batch);
                self.notify(Notice { topic: Topic::Batches, body });
            }
        }
        let mut accounts = changes.accounts;
        let final_id = self.chain.final_id();
        for id in self.told_final + 1..=final_id {
            if let Some(batch) = self.chain.batch_at(id) {
                accounts.extend(batch.accounts());
                let body = show::batch_summary(&self.chain, batch);
                self.notify(Notice { topic: Topic::Batches, body });
            }
        }
        self.told_final = final_id;
        for account in accounts {
            self.tell_account(account);
        }
    }

    /// Tells how the account stands to those who listen for it: its proof costs too much to be made for nobody.
    fn tell_account(&self, account: alloy::primitives::Address) {
        if self.interests.wants(account)
            && let Ok(body) = show::account(self, account, None)
        {
            self.notify(Notice { topic: Topic::Account(account), body });
        }
    }

    /// Tells subscribers; none is fine.
    pub(crate) fn notify(&self, notice: Notice) {
        if notice.topic == Topic::Alerts {
            self.alerts.keep(&notice.body, now_ms());
        }
        let _ = self.notices.send(notice);
    }

    /// Layer 1 cannot be followed, or can again. Alerts on a change.
    pub(crate) fn set_trouble(&mut self, trouble: Option<String>) {
        if self.layer1_trouble.is_some() != trouble.is_some() {
            let (kind, text) = match &trouble {
                Some(why) => ("layer1-lost", why.clone()),
                None => ("layer1-back", "layer 1 is followed again".to_owned()),
            };
            self.notify(Notice::alert(kind, text, json!({})));
        }
        self.layer1_trouble = trouble;
    }

    /// Transactions that layer 1 has not settled yet.
    pub(crate) fn open_transactions(&self) -> impl Iterator<Item = &OutgoingTransaction> {
        self.transactions.iter().filter(|transaction| transaction.state == TransactionState::Open)
    }
}

/// The core thread: works off what arrives, in the order in which it arrives.
fn serve(
    core: &RwLock<Core>,
    mut queue: mpsc::Receiver<Command>,
    groups: &SyncSender<Group>,
) -> Result<(), StoreError> {
    let mut waiting = Waiting { core, groups, sent: Vec::new() };
    loop {
        let command = match queue.try_recv() {
            Ok(command) => command,
            Err(TryRecvError::Empty) => {
                if !waiting.hand_over() {
                    return Ok(());
                }
                match queue.blocking_recv() {
                    Some(command) => command,
                    None => return Ok(()),
                }
            }
            Err(TryRecvError::Disconnected) => break,
        };
        let going_on = match command {
            Command::Send(sent) => waiting.take(sent),
            Command::Run(task) => {
                let handed_over = waiting.hand_over();
                task(core)?;
                handed_over
            }
            Command::Stop => break,
        };
        if !going_on {
            return Ok(());
        }
    }
    waiting.hand_over();
    Ok(())
}

/// What was ordered and not handed to the committer yet.
struct Waiting<'a> {
    core: &'a RwLock<Core>,
    groups: &'a SyncSender<Group>,
    sent: Vec<commit::Answerable>,
}

impl Waiting<'_> {
    /// Orders one message; false when the committer is gone.
    fn take(&mut self, mut sent: Sent) -> bool {
        let verdict = match sent.verdict.try_recv() {
            Ok(verdict) => Some(verdict),
            Err(oneshot::error::TryRecvError::Closed) => None,
            Err(oneshot::error::TryRecvError::Empty) => {
                // Admission is behind: what is ordered need not wait for that.
                if !self.hand_over() {
                    return false;
                }
                sent.verdict.blocking_recv().ok()
            }
        };
        let outcome = match verdict {
            Some(Ok(checked)) => write(self.core).order(&checked),
            Some(Err(refused)) => Err(refused),
            None => Err(handle::gone()),
        };
        self.sent.push(commit::Answerable { reply: sent.reply, outcome, _place: sent.place });
        self.sent.len() < GROUP || self.hand_over()
    }

    /// Closes a group and hands it over; waits while the committer has enough. False when it is gone.
    fn hand_over(&mut self) -> bool {
        let Some(group) = self.close() else { return true };
        self.groups.send(group).is_ok()
    }

    fn close(&mut self) -> Option<Group> {
        if self.sent.is_empty() {
            return None;
        }
        let rows = write(self.core).sequencer.as_mut().map(Sequencer::close_group).unwrap_or_default();
        Some(Group { rows, sent: std::mem::take(&mut self.sent) })
    }
}

/// Reads the state. A thread that panicked while it held the lock has ended the node; what it left is still shown.
fn read(core: &RwLock<Core>) -> RwLockReadGuard<'_, Core> {
    core.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(core: &RwLock<Core>) -> RwLockWriteGuard<'_, Core> {
    core.write().unwrap_or_else(PoisonError::into_inner)
}

/// The operator's clock: Unix milliseconds. Rules of the protocol never read it, only receipts and the batch's age do.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
