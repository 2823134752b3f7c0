//! The operator's order: what was promised, what is still to be posted, and the next batch. No IO.
//!
//! **Architecture Invariant:** the queue is a function of the log and of layer 1: the receipted messages, in the order
//! of their receipts, that took effect in no standing batch and still can. A batch that falls puts its messages back
//! into the queue without anybody doing anything.
//!
//! Ordering runs ahead of the disk: what is ordered is closed into groups, and a group counts once it is written. Until
//! then nobody but the ordering itself sees it: everything that is asked here, and every batch, is of the durable part.

use std::collections::{HashMap, VecDeque};

use alloy::primitives::{Address, B256};
use payments_protocol::{
    Batch, BatchError, Leaf, Outcome, Receipt, ReceiptTree, Record, Signature, SignedReceipt, State,
};
use payments_protocol::{Reason, batch::MAX_CHUNK, batch::MAX_CHUNKS, transition};
use serde_json::json;

use crate::admission::Checked;
use crate::chain::{Chain, rehearse};
use crate::rpc::{RpcError, code};
use crate::store::{LoggedMessage, Seal};

/// Largest encoded submission in bytes; a signed transaction above 128 KiB is not relayed by layer-1 nodes.
const MAX_SUBMISSION: usize = 130_000 - 512;

/// Most inbox chunks of one batch, so that a flood of deposits leaves room for messages.
const MAX_INBOX_CHUNKS: usize = MAX_CHUNKS / 2;

/// Most messages that wait for a batch. Beyond it the node is busy: memory and the promise's delay stay bounded.
const MAX_PENDING: usize = 100_000;

/// The next batch, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) batch: Batch,
    /// The inbox's accumulator at the batch's end.
    pub(crate) accumulator: B256,
}

/// Where a message that was taken stands in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ordered {
    /// It has this sequence since now.
    New(u64),
    /// It had this sequence before; the same receipt is due again.
    Again(u64),
}

/// A point in the log, and the newest true state with everything pending up to there applied.
#[derive(Clone, Debug)]
struct Mark {
    /// Sequence number of the first message beyond it.
    count: u64,
    soft: State,
}

/// What the operator has promised.
#[derive(Debug)]
pub(crate) struct Sequencer {
    /// Sequence number of the first message of `log`, which is the first of a group. Those before it can take effect no
    /// more, whatever becomes of the batches above the base: they are in the store alone.
    first: u64,
    /// Ordered messages, by sequence.
    log: Vec<LoggedMessage>,
    /// Signatures under the receipts of those that are durable, ascending.
    seals: Vec<Seal>,
    /// Their sequence numbers.
    by_id: HashMap<B256, u64>,
    /// Sequence numbers of what waits for a batch, ascending.
    pending: Vec<u64>,
    /// The newest true state with everything pending applied.
    soft: State,
    /// Hash of the newest receipt.
    last_receipt: B256,
    /// How much of the log is on the disk.
    durable: Mark,
    /// Ends of the groups that are on their way there, oldest first.
    under_way: VecDeque<Mark>,
}

impl Sequencer {
    /// `log`: the messages from some sequence number on, all of which are settled before it, and their seals; `last`:
    /// the newest of all.
    pub(crate) fn new(log: Vec<LoggedMessage>, seals: Vec<Seal>, last: Option<&LoggedMessage>) -> Self {
        let by_id = log.iter().map(|message| (message.id, message.sequence)).collect();
        let last_receipt = last.map_or(B256::ZERO, |message| message.receipt().hash());
        let count = last.map_or(0, |message| message.sequence + 1);
        Self {
            first: log.first().map_or(count, |message| message.sequence),
            log,
            seals,
            by_id,
            pending: Vec::new(),
            soft: State::new(),
            last_receipt,
            durable: Mark { count, soft: State::new() },
            under_way: VecDeque::new(),
        }
    }

    /// Forgets the oldest messages as far as they are durable and can take effect no more after `base`, whose state
    /// nothing takes back: their nonces are used up. Groups are forgotten whole, since a receipt is made from its group.
    pub(crate) fn settle(&mut self, base: &State) {
        let durable = usize::try_from(self.durable.count - self.first).unwrap_or(usize::MAX);
        let used_up = |message: &&LoggedMessage| message.nonce < base.leaf(message.record.from).nonce;
        let count = self.log.iter().take(durable).take_while(used_up).count();
        let next = self.first + count as u64;
        let seals = self.seals.partition_point(|seal| seal.first <= next);
        // Where the next one to be kept is not the first of its group, the group is kept.
        let (count, seals) = match self.seals.get(seals.wrapping_sub(1)) {
            Some(seal) if count < durable => (usize::try_from(seal.first - self.first).unwrap_or(count), seals - 1),
            _ => (count, seals),
        };
        self.seals.drain(..seals);
        for message in self.log.drain(..count) {
            self.by_id.remove(&message.id);
        }
        self.first += count as u64;
        self.pending.retain(|sequence| *sequence >= self.first);
        // Memory follows what is kept, and does not wander with every batch.
        if self.log.capacity() / 4 > self.log.len() {
            self.log.shrink_to(self.log.len() * 2);
            self.by_id.shrink_to(self.by_id.len() * 2);
        }
    }

    /// Takes the forgotten messages back: `log` and `seals` are all that is durable. The caller refreshes.
    pub(crate) fn unsettle(&mut self, log: Vec<LoggedMessage>, seals: Vec<Seal>) {
        let first = self.first;
        let mut whole: Vec<LoggedMessage> = log.into_iter().filter(|message| message.sequence < first).collect();
        self.by_id.extend(whole.iter().map(|message| (message.id, message.sequence)));
        self.first = first - whole.len() as u64;
        whole.append(&mut self.log);
        self.log = whole;
        let mut seals: Vec<Seal> = seals.into_iter().filter(|seal| seal.first < first).collect();
        seals.append(&mut self.seals);
        self.seals = seals;
    }

    /// Sequence number of the oldest message that is kept here.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Sequence number of the next message.
    fn next(&self) -> u64 {
        self.first + self.log.len() as u64
    }

    /// A message, durable or not.
    fn ordered(&self, sequence: u64) -> Option<&LoggedMessage> {
        self.log.get(usize::try_from(sequence.checked_sub(self.first)?).ok()?)
    }

    /// Takes over what layer 1 says now. With `rolled_back` the whole log is gone through: what stood may not any more.
    pub(crate) fn refresh(&mut self, chain: &Chain, rolled_back: bool) {
        if rolled_back {
            self.pending = (self.first..self.next()).collect();
        }
        let settled = chain.verified_state();
        let (log, first) = (&self.log, self.first);
        let mut soft = settled.clone();
        let mut marks = std::iter::once(&mut self.durable).chain(&mut self.under_way).peekable();
        self.pending.retain(|place| {
            while let Some(mark) = marks.next_if(|mark| mark.count <= *place) {
                mark.soft = soft.clone();
            }
            let place = place.checked_sub(first).and_then(|place| usize::try_from(place).ok());
            let Some(message) = place.and_then(|place| log.get(place)) else { return false };
            // A nonce below the leaf's is used up: this message, or another of the same sender, took effect.
            if chain.place(message.id).is_some() || message.nonce < settled.leaf(message.record.from).nonce {
                return false;
            }
            apply(chain, &mut soft, message);
            true
        });
        for mark in marks {
            mark.soft = soft.clone();
        }
        self.soft = soft;
    }

    /// The account after everything promised.
    pub(crate) fn soft_leaf(&self, account: Address) -> Leaf {
        self.durable.soft.leaf(account)
    }

    /// The message with this place in the order.
    pub(crate) fn at(&self, sequence: u64) -> Option<&LoggedMessage> {
        if sequence < self.durable.count { self.ordered(sequence) } else { None }
    }

    pub(crate) fn logged(&self, id: B256) -> Option<&LoggedMessage> {
        self.at(*self.by_id.get(&id)?)
    }

    /// Whether this very signature over the message of this id was found to be its sender's: then it need not be
    /// recovered again.
    pub(crate) fn vouches(&self, id: B256, signature: &Signature) -> bool {
        let place = self.by_id.get(&id);
        place.and_then(|place| self.ordered(*place)).is_some_and(|message| message.record.signature == *signature)
    }

    pub(crate) fn pending(&self) -> impl Iterator<Item = &LoggedMessage> {
        self.pending[..self.pending_count()].iter().filter_map(|place| self.ordered(*place))
    }

    pub(crate) fn pending_count(&self) -> usize {
        self.pending.partition_point(|place| *place < self.durable.count)
    }

    /// Receipted messages in their order, from a sequence number on, at most `limit`. Only those that are kept here.
    pub(crate) fn from(&self, sequence: u64, limit: usize) -> impl Iterator<Item = &LoggedMessage> {
        (sequence.max(self.first)..self.durable.count).take(limit).filter_map(|sequence| self.ordered(sequence))
    }

    /// The promise as it is handed out. `tree` is the caller's, to be given again for the next: it holds the tree of the
    /// group that was needed last, and receipts are mostly asked for in runs. `None` for what is not durable.
    pub(crate) fn receipt(&self, logged: &LoggedMessage, tree: &mut Option<ReceiptTree>) -> Option<SignedReceipt> {
        let seal = self.seals[..self.seals.partition_point(|seal| seal.first <= logged.sequence)].last()?;
        let group = || {
            let count = usize::try_from(seal.count).unwrap_or(usize::MAX);
            ReceiptTree::new(self.from(seal.first, count).map(LoggedMessage::receipt))
        };
        seal.receipt(logged, tree, group)
    }

    /// Number of receipts given.
    pub(crate) fn receipts(&self) -> u64 {
        self.durable.count
    }

    /// Gives a message its place and changes the soft state. Its receipt is signed and handed out when the group that
    /// it is closed into is durable. `now`: Unix seconds.
    pub(crate) fn order(&mut self, chain: &Chain, checked: &Checked, now: u64) -> Result<Ordered, RpcError> {
        let (id, message) = (checked.id(), checked.message());
        if let Some(place) = self.by_id.get(&id) {
            return Ok(Ordered::Again(*place));
        }
        self.admit(chain, checked)?;
        let logged = LoggedMessage {
            sequence: self.next(),
            id,
            record: checked.record(),
            nonce: message.nonce,
            prev: message.prev,
            time: now,
            previous_receipt: self.last_receipt,
        };
        let mut soft = self.soft.clone();
        if let Outcome::NoEffect(reason) = apply(chain, &mut soft, &logged) {
            return Err(refusal(reason));
        }
        self.soft = soft;
        self.last_receipt = logged.receipt().hash();
        let sequence = logged.sequence;
        self.by_id.insert(id, sequence);
        self.pending.push(sequence);
        self.log.push(logged);
        Ok(Ordered::New(sequence))
    }

    /// Closes what was ordered since the last group into one, to be signed, written and [`committed`](Self::committed)
    /// in the order of the groups.
    pub(crate) fn close_group(&mut self) -> Vec<LoggedMessage> {
        let from = self.under_way.back().unwrap_or(&self.durable).count;
        let next = self.next();
        if from < next {
            self.under_way.push_back(Mark { count: next, soft: self.soft.clone() });
        }
        (from..next).filter_map(|sequence| self.ordered(sequence)).cloned().collect()
    }

    /// Groups are on the disk: `rows` are all their messages, `seals` the signatures under their receipts.
    pub(crate) fn committed(&mut self, rows: &[LoggedMessage], seals: &[Seal]) {
        self.seals.extend(seals);
        let count = rows.last().map_or(0, |row| row.sequence + 1);
        while let Some(mark) = self.under_way.pop_front_if(|mark| mark.count <= count) {
            self.durable = mark;
        }
    }

    /// The checks that have an answer better than "no effect".
    fn admit(&self, chain: &Chain, checked: &Checked) -> Result<(), RpcError> {
        let message = checked.message();
        if chain.halted {
            return Err(RpcError::new(code::HALTED, "the gateway is halted; claim what is yours on layer 1"));
        }
        if self.pending.len() >= MAX_PENDING {
            return Err(RpcError::new(code::BUSY, "too many messages wait for a batch; try again in a minute"));
        }
        if chain.place(checked.id()).is_some() {
            return Err(RpcError::new(code::WRONG_NONCE, "this message took effect already"));
        }
        if chain.exit_waits(message.from) {
            return Err(RpcError::new(
                code::EXIT_PENDING,
                "a layer-1 withdrawal request of this account waits to be served; send again once it is",
            ));
        }
        let leaf = self.soft.leaf(message.from);
        if message.nonce != leaf.nonce {
            let text =
                format!("nonce {} was given, {} is next; fetch the account and sign again", message.nonce, leaf.nonce);
            let facts = json!({ "expected": leaf.nonce.to_string(), "prev": leaf.head });
            return Err(RpcError::with(code::WRONG_NONCE, text, facts));
        }
        if message.prev != leaf.head {
            let text = "prev is not the account's latest message; fetch the account and sign again";
            return Err(RpcError::with(code::WRONG_PREV, text, json!({ "expected": leaf.head })));
        }
        let needed = message.value.saturating_add(message.fee);
        if leaf.balance < needed {
            return Err(refusal(Reason::Balance { balance: leaf.balance, needed }));
        }
        Ok(())
    }

    /// Whether a batch made now would be full.
    pub(crate) fn is_full(&self) -> bool {
        self.pending_count() >= MAX_CHUNKS * MAX_CHUNK
    }

    /// The next batch, or `None` when neither a confirmed item nor a message waits, or when the standing batches are
    /// not all true: nothing honest can be built on a false one.
    pub(crate) fn plan(&self, chain: &Chain, proposer: Address, confirmed: u64) -> Result<Option<Plan>, BatchError> {
        if chain.halted || chain.fault().is_some() {
            return Ok(None);
        }
        let start = chain.inbox_cursor();
        let before = chain.verified_state();
        let end = self.inbox_end(chain, &before, start, confirmed);
        let items = chain.inbox.range(start, end).unwrap_or_default();
        let mut trial = before.clone();
        for item in items {
            transition::apply_item(&chain.domain, &mut trial, item);
        }
        let records = self.effective(chain, trial, room(items.len()));
        let (id, previous) = (chain.next_id(), chain.last_commitment());
        if items.is_empty() && records.is_empty() {
            return Ok(None);
        }
        let draft = Batch::draft(id, previous, proposer, start, items, &records);
        let known = |id, signature: &Signature| self.vouches(id, signature);
        let (rehearsal, genuine) = rehearse(&chain.domain, &draft, &before, items, &known)?;
        let built = match genuine {
            true => rehearsal.build(draft),
            false => Batch::build(&chain.domain, &before, id, previous, proposer, start, items, &records)?,
        };
        let accumulator = chain.inbox.accumulator(end).unwrap_or_default();
        Ok(Some(Plan { batch: built.batch, accumulator }))
    }

    /// Up to which item the next batch may go: before a forced item of an account whose promises are not posted yet,
    /// since a batch executes its items before its messages.
    fn inbox_end(&self, chain: &Chain, before: &State, start: u64, confirmed: u64) -> u64 {
        let cap = start.saturating_add((MAX_INBOX_CHUNKS * MAX_CHUNK) as u64);
        let mut trial = before.clone();
        let mut index = start;
        while index < confirmed.min(cap) {
            let Some(item) = chain.inbox.item(index) else { break };
            if chain.may_take(item)
                && self.pending().any(|message| message.record.from == item.who)
                && self.effective(chain, trial.clone(), usize::MAX).iter().any(|record| record.from == item.who)
            {
                break;
            }
            transition::apply_item(&chain.domain, &mut trial, item);
            index += 1;
        }
        index
    }

    /// The pending messages that take effect on `state`, in order, at most `room`. Others stay in the queue: a deposit
    /// that was reorganised away may come back.
    fn effective(&self, chain: &Chain, mut state: State, room: usize) -> Vec<Record> {
        let effective = self.pending().filter(|message| apply(chain, &mut state, message).effect().is_some());
        effective.take(room).map(|message| message.record).collect()
    }
}

/// Applies a message of the log. It was checked when it was taken, so its signer is known as long as nonce and head of
/// the account are still those that it was signed for.
fn apply(chain: &Chain, state: &mut State, message: &LoggedMessage) -> Outcome {
    transition::apply_record_by(state, &message.record, |id, signature| match id == message.id {
        true => Ok(message.record.from),
        false => signature.recover(chain.domain.digest(id)),
    })
}

/// Messages that fit into a batch beside this many items.
fn room(items: usize) -> usize {
    let chunks = MAX_CHUNKS.saturating_sub(items.div_ceil(MAX_CHUNK));
    let bytes = MAX_SUBMISSION.saturating_sub(32 * MAX_CHUNKS) / Record::LENGTH;
    (chunks * MAX_CHUNK).min(bytes)
}

fn refusal(reason: Reason) -> RpcError {
    match reason {
        Reason::Balance { balance, needed } => RpcError::with(
            code::INSUFFICIENT_BALANCE,
            format!("the balance is {balance} wei, value and fee are {needed} wei"),
            json!({ "balance": balance.to_string(), "needed": needed.to_string() }),
        ),
        Reason::Signature(_) | Reason::Signer(_) => RpcError::new(code::BAD_SIGNATURE, reason.to_string()),
        other => RpcError::params(other.to_string()),
    }
}

impl Seal {
    /// The promise under this signature as it is handed out. `tree`: see [`Sequencer::receipt`]; `group` makes it.
    pub(crate) fn receipt(
        &self,
        logged: &LoggedMessage,
        tree: &mut Option<ReceiptTree>,
        group: impl FnOnce() -> Option<ReceiptTree>,
    ) -> Option<SignedReceipt> {
        let sequence = logged.sequence;
        let signed = |group| SignedReceipt { receipt: logged.receipt(), group, signature: self.signature };
        if self.count == 0 {
            return (self.first == sequence).then(|| signed(None));
        }
        if !tree.as_ref().is_some_and(|tree| tree.holds(sequence)) {
            *tree = group();
        }
        tree.as_ref()?.path(sequence).map(|path| signed(Some(path)))
    }
}

impl LoggedMessage {
    /// The promise.
    pub(crate) fn receipt(&self) -> Receipt {
        Receipt {
            message_id: self.id,
            sequence: self.sequence,
            previous_receipt: self.previous_receipt,
            time: self.time,
        }
    }
}

#[cfg(test)]
mod tests;
