//! The operator's order: what was promised, what is still to be posted, and the next batch. No IO.
//!
//! **Architecture Invariant:** the queue is a function of the log and of layer 1: the receipted messages, in the order
//! of their receipts, that took effect in no standing batch and still can. A batch that falls puts its messages back
//! into the queue without anybody doing anything.

use std::collections::HashMap;

use alloy::primitives::{Address, B256};
use payments_protocol::{Batch, BatchError, ItemKind, Leaf, Receipt, Record, SignedMessage, SignedReceipt, State};
use payments_protocol::{Reason, batch::MAX_CHUNK, batch::MAX_CHUNKS, transition};
use serde_json::json;

use crate::chain::Chain;
use crate::key::NodeKey;
use crate::rpc::{RpcError, code};
use crate::store::LoggedMessage;

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

/// The answer to a message that was taken.
#[derive(Clone, Debug)]
pub(crate) enum Promise {
    /// Promised now; to be logged.
    New(LoggedMessage),
    /// Promised before; the same receipt again.
    Again(LoggedMessage),
}

/// What the operator has promised.
#[derive(Debug)]
pub(crate) struct Sequencer {
    /// Every receipted message; place = sequence.
    log: Vec<LoggedMessage>,
    by_id: HashMap<B256, usize>,
    /// Places in the log of what waits for a batch, in order.
    pending: Vec<usize>,
    /// The newest true state with everything pending applied.
    soft: State,
    /// Hash of the newest receipt.
    last_receipt: B256,
}

impl Sequencer {
    pub(crate) fn new(log: Vec<LoggedMessage>) -> Self {
        let by_id = log.iter().enumerate().map(|(place, message)| (message.id, place)).collect();
        let last_receipt = log.last().map_or(B256::ZERO, |message| message.receipt().hash());
        Self { log, by_id, pending: Vec::new(), soft: State::new(), last_receipt }
    }

    /// Takes over what layer 1 says now. With `rolled_back` the whole log is gone through: what stood may not any more.
    pub(crate) fn refresh(&mut self, chain: &Chain, rolled_back: bool) {
        if rolled_back {
            self.pending = (0..self.log.len()).collect();
        }
        let settled = chain.verified_state();
        let log = &self.log;
        let mut soft = settled.clone();
        self.pending.retain(|place| {
            let Some(message) = log.get(*place) else { return false };
            // A nonce below the leaf's is used up: this message, or another of the same sender, took effect.
            if chain.place(message.id).is_some() || message.nonce < settled.leaf(message.record.from).nonce {
                return false;
            }
            transition::apply_record(&chain.domain, &mut soft, &message.record);
            true
        });
        self.soft = soft;
    }

    /// The account after everything promised.
    pub(crate) fn soft_leaf(&self, account: Address) -> Leaf {
        self.soft.leaf(account)
    }

    /// The message with this place in the order.
    pub(crate) fn at(&self, sequence: u64) -> Option<&LoggedMessage> {
        self.log.get(usize::try_from(sequence).ok()?)
    }

    pub(crate) fn logged(&self, id: B256) -> Option<&LoggedMessage> {
        self.log.get(*self.by_id.get(&id)?)
    }

    pub(crate) fn pending(&self) -> impl Iterator<Item = &LoggedMessage> {
        self.pending.iter().filter_map(|place| self.log.get(*place))
    }

    pub(crate) fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// Receipted messages in their order, from a sequence number on, at most `limit`.
    pub(crate) fn from(&self, sequence: u64, limit: usize) -> impl Iterator<Item = &LoggedMessage> {
        let start = usize::try_from(sequence).unwrap_or(usize::MAX);
        self.log.iter().skip(start).take(limit)
    }

    /// Number of receipts given.
    pub(crate) fn receipts(&self) -> usize {
        self.log.len()
    }

    /// Promises a message: gives the row to log and changes the soft state. The receipt may be handed out only when
    /// the row is durable. `now`: Unix seconds. The caller has checked the signature.
    pub(crate) fn promise(
        &mut self,
        chain: &Chain,
        key: &NodeKey,
        signed: &SignedMessage,
        now: u64,
    ) -> Result<Promise, RpcError> {
        let message = &signed.message;
        let id = message.id();
        if let Some(known) = self.logged(id) {
            return Ok(Promise::Again(known.clone()));
        }
        self.admit(chain, signed, id)?;
        let record = signed.record().map_err(|error| RpcError::params(error.to_string()))?;
        let mut soft = self.soft.clone();
        if let transition::Outcome::NoEffect(reason) = transition::apply_record(&chain.domain, &mut soft, &record) {
            return Err(refusal(reason));
        }
        self.soft = soft;
        let receipt =
            Receipt { message_id: id, sequence: self.log.len() as u64, previous_receipt: self.last_receipt, time: now };
        let logged = LoggedMessage {
            sequence: receipt.sequence,
            id,
            record,
            nonce: message.nonce,
            prev: message.prev,
            time: receipt.time,
            previous_receipt: receipt.previous_receipt,
            receipt_signature: key.sign(chain.domain.digest(receipt.hash())),
        };
        self.last_receipt = receipt.hash();
        self.by_id.insert(id, self.log.len());
        self.pending.push(self.log.len());
        self.log.push(logged.clone());
        Ok(Promise::New(logged))
    }

    /// The checks that have an answer better than "no effect".
    fn admit(&self, chain: &Chain, signed: &SignedMessage, id: B256) -> Result<(), RpcError> {
        let message = &signed.message;
        if chain.halted {
            return Err(RpcError::new(code::HALTED, "the gateway is halted; claim what is yours on layer 1"));
        }
        if self.pending.len() >= MAX_PENDING {
            return Err(RpcError::new(code::BUSY, "too many messages wait for a batch; try again in a minute"));
        }
        if chain.place(id).is_some() {
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
        self.pending.len() >= MAX_CHUNKS * MAX_CHUNK
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
        let (id, previous) = (chain.next_id(), chain.last().map_or(B256::ZERO, |last| last.event.commitment));
        if items.is_empty() && records.is_empty() {
            return Ok(None);
        }
        let built = Batch::build(&chain.domain, &before, id, previous, proposer, start, items, &records)?;
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
            if item.kind != ItemKind::Deposit
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
        let records = self.pending().map(|message| message.record);
        records
            .filter(|record| transition::apply_record(&chain.domain, &mut state, record).effect().is_some())
            .take(room)
            .collect()
    }
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

    /// The promise as it was handed out.
    pub(crate) fn signed_receipt(&self) -> SignedReceipt {
        SignedReceipt { receipt: self.receipt(), signature: self.receipt_signature }
    }
}

#[cfg(test)]
mod tests;
