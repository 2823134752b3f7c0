//! The core: one thread that owns the store, the view of layer 1 and the operator's queue.
//!
//! Everything reaches it through one bounded queue. It takes what lies there, decides message by message, writes the
//! new promises in **one** transaction, and answers after that (group commit). Anything but a message is run as a
//! closure, after the promises before it are durable, so nobody ever sees a promise that a kill could take back.

mod outgoing;

pub(crate) use outgoing::Job;

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use alloy::primitives::B256;
use payments_protocol::{Domain, SignedMessage, SignedReceipt};
use serde_json::json;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::adversary::Adversary;
use crate::args::{Misbehave, Role};
use crate::chain::{Chain, Changes};
use crate::key::NodeKey;
use crate::layer1::{BlockRef, Depths, Step};
use crate::rpc::{Notice, RpcError, Topic, code};
use crate::sequencer::{Promise, Sequencer};
use crate::show;
use crate::store::{LoggedMessage, OutgoingTransaction, Store, StoreError, TransactionState, tail_of};

/// Commands that wait for the core. Beyond it callers are told that the node is busy.
const QUEUE: usize = 4_096;

/// Most commands taken at once, so that one flush serves many and none waits long.
const DRAIN: usize = 1_024;

/// Notices kept for slow subscribers.
const NOTICES: usize = 1_024;

/// The answer to a message.
type Answer = Result<SignedReceipt, RpcError>;

type Task = Box<dyn FnOnce(&mut Core) -> Result<(), StoreError> + Send>;

enum Command {
    Send(SignedMessage, oneshot::Sender<Answer>),
    Run(Task),
    Stop,
}

/// The core has ended; so does whoever meets this.
#[derive(Debug)]
pub(crate) struct CoreGone;

/// How the other tasks reach the core. Cheap to clone.
#[derive(Clone)]
pub(crate) struct CoreHandle {
    commands: mpsc::Sender<Command>,
    notices: broadcast::Sender<Notice>,
    domain: Domain,
}

impl fmt::Debug for CoreHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CoreHandle")
    }
}

impl CoreHandle {
    /// What signatures are bound to.
    pub(crate) fn domain(&self) -> Domain {
        self.domain
    }

    /// What subscribers are told from now on.
    pub(crate) fn notices(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    /// Runs `f` on the core; waits for a place in the queue. For the node's own tasks.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Core) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, CoreGone> {
        let (reply, answer) = oneshot::channel();
        let task = Box::new(move |core: &mut Core| {
            // Nobody waiting for the answer any more is no fault.
            let _ = reply.send(f(core)?);
            Ok(())
        });
        self.commands.send(Command::Run(task)).await.map_err(|_| CoreGone)?;
        answer.await.map_err(|_| CoreGone)
    }

    /// Reads on behalf of a caller from outside; refused when the queue is full.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Core) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let (reply, answer) = oneshot::channel();
        let task = Box::new(move |core: &mut Core| {
            let _ = reply.send(f(core));
            Ok(())
        });
        self.ask(Command::Run(task))?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Hands a message to the operator; answers when the promise is durable.
    pub(crate) async fn send(&self, message: SignedMessage) -> Result<SignedReceipt, RpcError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Command::Send(message, reply))?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    fn ask(&self, command: Command) -> Result<(), RpcError> {
        self.commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => RpcError::new(code::BUSY, "the node is busy; try again"),
            mpsc::error::TrySendError::Closed(_) => gone(),
        })
    }

    /// Lets the core finish what is queued, and end.
    pub(crate) async fn stop(&self) {
        // Already gone is as good.
        let _ = self.commands.send(Command::Stop).await;
    }
}

fn gone() -> RpcError {
    RpcError::new(code::INTERNAL, "the node is stopping")
}

/// What the core is started with.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) role: Role,
    pub(crate) key: Option<NodeKey>,
    pub(crate) confirmations: u64,
    pub(crate) batch_age_ms: u64,
    pub(crate) misbehave: Option<Misbehave>,
}

/// All state of the node.
pub(crate) struct Core {
    pub(crate) setup: Setup,
    pub(crate) chain: Chain,
    /// Role operator only.
    pub(crate) sequencer: Option<Sequencer>,
    store: Box<dyn Store>,
    transactions: Vec<OutgoingTransaction>,
    notices: broadcast::Sender<Notice>,
    /// Rises whenever something changed that a plan was made from.
    epoch: u64,
    /// Since when (Unix milliseconds) something waits for a batch.
    waiting_since: Option<u64>,
    /// What breaks the protocol on purpose.
    adversary: Option<Adversary>,
    /// Newest batch that subscribers were told is final.
    told_final: u64,
    /// False batch for which the half-time alarm was raised.
    half_time: Option<B256>,
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
        let blocks = store.blocks()?;
        let known = tail_of(&blocks);
        let mut seen = Vec::new();
        if let Some(newest) = known.last() {
            let head = *newest;
            seen = chain
                .apply(Step { drop_from: None, blocks, head, depths: Depths::default(), synced: false })
                .transactions;
        }
        let mut sequencer = match setup.role {
            Role::Operator => Some(Sequencer::new(store.messages()?)),
            Role::Replica => None,
        };
        if let Some(sequencer) = &mut sequencer {
            sequencer.refresh(&chain, true);
        }
        let transactions = store.transactions()?;
        let told_final = chain.final_id();
        let adversary = setup.misbehave.map(Adversary::new);
        let mut core = Self {
            setup,
            chain,
            sequencer,
            store,
            transactions,
            notices: broadcast::Sender::new(NOTICES),
            epoch: 0,
            waiting_since: None,
            adversary,
            told_final,
            half_time: None,
            layer1_trouble: None,
        };
        // A kill may have come between the blocks and this.
        core.settle(&seen)?;
        Ok((core, known))
    }

    /// Starts the thread. The second value resolves when it has ended.
    pub(crate) fn start(self) -> std::io::Result<(CoreHandle, oneshot::Receiver<Result<(), StoreError>>)> {
        let (commands, queue) = mpsc::channel(QUEUE);
        let handle = CoreHandle { commands, notices: self.notices.clone(), domain: self.chain.domain };
        let (ended, end) = oneshot::channel();
        std::thread::Builder::new().name("payments-core".to_owned()).spawn(move || {
            // The receiver is gone only when the node itself is.
            let _ = ended.send(self.serve(queue));
        })?;
        Ok((handle, end))
    }

    fn serve(mut self, mut queue: mpsc::Receiver<Command>) -> Result<(), StoreError> {
        while let Some(first) = queue.blocking_recv() {
            let mut commands = vec![first];
            while commands.len() < DRAIN
                && let Ok(next) = queue.try_recv()
            {
                commands.push(next);
            }
            if self.work(commands)? {
                break;
            }
        }
        Ok(())
    }

    /// Works commands off; true when asked to stop.
    fn work(&mut self, commands: Vec<Command>) -> Result<bool, StoreError> {
        let mut group = Group::default();
        for command in commands {
            match command {
                Command::Send(message, reply) => self.promise(&message, reply, &mut group),
                Command::Run(task) => {
                    self.commit(&mut group)?;
                    task(self)?;
                }
                Command::Stop => {
                    self.commit(&mut group)?;
                    return Ok(true);
                }
            }
        }
        self.commit(&mut group)?;
        Ok(false)
    }

    fn promise(&mut self, message: &SignedMessage, reply: oneshot::Sender<Answer>, group: &mut Group) {
        let outcome = match (&mut self.sequencer, &self.setup.key) {
            (Some(_), Some(_)) if !self.chain.synced => {
                Err(RpcError::new(code::SYNCING, "the node has not caught up with layer 1 yet; try again"))
            }
            (Some(sequencer), Some(key)) => sequencer.promise(&self.chain, key, message, now_ms() / 1000),
            _ => Err(RpcError::new(code::NOT_OPERATOR, "this node is a replica; send to the operator's node")),
        };
        let answer = match outcome {
            Ok(Promise::New(logged)) => {
                let receipt = self.receipt(&logged);
                group.rows.push(logged);
                Ok(receipt)
            }
            // Its row may be in this very group, so it waits for the flush as well.
            Ok(Promise::Again(logged)) => Ok(self.receipt(&logged)),
            Err(error) => match (&self.adversary, &self.sequencer, &self.setup.key) {
                (Some(adversary), Some(sequencer), Some(key)) => {
                    adversary.second_promise(&self.chain, key, sequencer, message).ok_or(error)
                }
                _ => Err(error),
            },
        };
        group.replies.push((reply, answer));
    }

    /// The receipt of a logged message, as everybody who asks gets it.
    pub(crate) fn receipt(&self, logged: &LoggedMessage) -> SignedReceipt {
        match (&self.adversary, &self.sequencer, &self.setup.key) {
            (Some(adversary), Some(sequencer), Some(key)) => adversary.receipt(&self.chain, key, sequencer, logged),
            _ => logged.signed_receipt(),
        }
    }

    fn commit(&mut self, group: &mut Group) -> Result<(), StoreError> {
        if !group.rows.is_empty() {
            self.store.append_messages(&group.rows)?;
        }
        for (reply, answer) in group.replies.drain(..) {
            let _ = reply.send(answer);
        }
        let rows = std::mem::take(&mut group.rows);
        if self.notices.receiver_count() > 0 {
            for row in rows {
                self.tell_account(row.record.from);
                if !row.record.to.is_zero() {
                    self.tell_account(row.record.to);
                }
            }
        }
        Ok(())
    }

    /// Takes news from layer 1: durable first, then acted on.
    pub(crate) fn layer1(&mut self, step: Step) -> Result<(), StoreError> {
        if step.drop_from.is_some() || !step.blocks.is_empty() {
            self.store.apply_blocks(step.drop_from, &step.blocks)?;
        }
        if let Some(from) = step.drop_from {
            self.reopen(from)?;
        }
        let changes = self.chain.apply(step);
        self.settle(&changes.transactions)?;
        if changes.moved {
            self.epoch += 1;
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
        if self.notices.receiver_count() > 0 {
            for account in accounts {
                self.tell_account(account);
            }
        }
    }

    /// A false batch that still stands when half of its challenge window is over needs a human.
    fn alarm_at_half_time(&mut self) {
        let Some(fault) = self.chain.fault() else { return };
        let commitment = fault.event.commitment;
        let half = fault.block.timestamp.saturating_add(self.chain.terms.challenge / 2);
        if self.chain.head.timestamp < half || self.half_time == Some(commitment) {
            return;
        }
        let facts = json!({ "batch": fault.event.id.to_string(), "transaction": fault.transaction });
        let text = format!("batch {} is false and half of its challenge window is over: contest it", fault.event.id);
        self.half_time = Some(commitment);
        self.notify(Notice::alert("half-time", text, facts));
    }

    fn tell_account(&self, account: alloy::primitives::Address) {
        if let Ok(body) = show::account(self, account, None) {
            self.notify(Notice { topic: Topic::Account(account), body });
        }
    }

    /// Tells subscribers; none is fine.
    pub(crate) fn notify(&self, notice: Notice) {
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

    pub(crate) fn message(&self, id: B256) -> Option<&LoggedMessage> {
        self.sequencer.as_ref()?.logged(id)
    }
}

/// Promises of one drain, and who waits for them.
#[derive(Default)]
struct Group {
    rows: Vec<LoggedMessage>,
    replies: Vec<(oneshot::Sender<Answer>, Answer)>,
}

/// The operator's clock: Unix milliseconds. Rules of the protocol never read it, only receipts and the batch's age do.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
