//! Every transaction of one network and the nonces they hold, without IO.
//!
//! Transactions with the same sender and nonce are *siblings*: one replaces the other, and at most one is ever mined.
//! Two transactions that are not siblings by a replacement never share a nonce: [`Book::claim`] refuses the second.

use std::collections::BTreeMap;
use std::time::Instant;

use alloy::consensus::{Transaction as _, TxEnvelope};
use alloy::eips::eip2718::Decodable2718 as _;
use alloy::primitives::{Address, B256, Bytes};
use tokio::sync::watch;

use super::follow::{self, Decision, Observation, Siblings, View};
use super::{OpenTransaction, StoredTransaction, TransactionStatus};
use crate::nonce::NonceLedger;

/// The transactions that this process submitted or took up, and the nonce ledger.
#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: BTreeMap<B256, Entry>,
    nonces: NonceLedger,
}

#[derive(Debug)]
struct Entry {
    transaction: StoredTransaction,
    offered: (u128, u128),
    first_seen_block: u64,
    /// An endpoint may have it although none has said so: it was broadcast without an answer, or by a process before this
    /// one. Then a refusal is no proof that it will never be mined.
    doubtful: bool,
    /// The last refusal, in the endpoint's words.
    refusal: Option<String>,
    /// The sending end is dropped when nothing changes any more.
    updates: Option<watch::Sender<TransactionStatus>>,
    last: watch::Receiver<TransactionStatus>,
}

/// What came of a broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// An endpoint has it, or its block.
    Taken,
    /// No endpoint took it; `for_now` when the same may be taken later.
    Refused { reason: String, for_now: bool },
    /// Nobody answered.
    None,
}

/// What follows from a decision, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Write this status to the log, then to the book.
    Record(TransactionStatus),
    /// Broadcast the bytes, and tell the book the answer.
    Broadcast,
    /// Follow it no longer.
    Bury,
}

impl Entry {
    fn status(&self) -> TransactionStatus {
        self.last.borrow().clone()
    }

    fn has_failed(&self) -> bool {
        matches!(&*self.last.borrow(), TransactionStatus::Failed { .. })
    }

    fn slot(&self) -> (Address, u64) {
        (self.transaction.from, self.transaction.nonce)
    }
}

impl Book {
    /// See [`NonceLedger::settlements`].
    pub(crate) const fn settlements(&self) -> u64 {
        self.nonces.settlements()
    }

    /// See [`NonceLedger::reserve`].
    pub(crate) fn reserve(&mut self, account: Address, pending: u64, settlements: u64, now: Instant) -> Option<u64> {
        self.nonces.reserve(account, pending, settlements, now)
    }

    /// See [`NonceLedger::next`].
    pub(crate) fn next(&self, account: Address, pending: u64, now: Instant) -> Option<u64> {
        self.nonces.next(account, pending, now)
    }

    /// Gives a promised nonce back.
    pub(crate) fn release(&mut self, account: Address, nonce: u64) {
        self.nonces.release(account, nonce);
    }

    /// The transaction that keeps another one from using this nonce, if any.
    pub(crate) fn claim(&self, account: Address, nonce: u64) -> Option<B256> {
        // What is buried keeps nobody away: the chain itself counts past it.
        let held = self.siblings(account, nonce).find(|one| one.updates.is_some());
        held.map(|one| one.transaction.hash)
    }

    /// Takes up a transaction that the log has. The same hash again changes nothing.
    pub(crate) fn adopt(&mut self, transaction: StoredTransaction, head: u64) -> watch::Receiver<TransactionStatus> {
        let hash = transaction.hash;
        if !matches!(transaction.status, TransactionStatus::Failed { .. }) {
            self.nonces.take(transaction.from, transaction.nonce);
        }
        let entry = self.entries.entry(hash).or_insert_with(|| {
            let (sender, last) = watch::channel(transaction.status.clone());
            let offered = offered(&transaction.raw).unwrap_or_default();
            Entry {
                transaction,
                offered,
                first_seen_block: head,
                doubtful: false,
                refusal: None,
                updates: Some(sender),
                last,
            }
        });
        entry.last.clone()
    }

    /// As [`Book::adopt`], for a transaction that an earlier process stored.
    pub(crate) fn resume(&mut self, transaction: StoredTransaction, head: u64) {
        let hash = transaction.hash;
        self.adopt(transaction, head);
        if let Some(entry) = self.entries.get_mut(&hash) {
            entry.doubtful = true;
        }
    }

    /// The watch of a transaction.
    pub(crate) fn follow(&self, hash: B256) -> Option<watch::Receiver<TransactionStatus>> {
        self.entries.get(&hash).map(|one| one.last.clone())
    }

    pub(crate) fn status(&self, hash: B256) -> Option<TransactionStatus> {
        self.entries.get(&hash).map(Entry::status)
    }

    /// The transaction with its bytes, while it is followed.
    pub(crate) fn transaction(&self, hash: B256) -> Option<StoredTransaction> {
        self.entries.get(&hash).map(|one| one.transaction.clone())
    }

    /// Maximal fee and tip that are offered for a nonce, each the highest among the siblings that have not failed.
    pub(crate) fn highest_offer(&self, account: Address, nonce: u64) -> (u128, u128) {
        self.siblings(account, nonce).fold((0, 0), |high, one| (high.0.max(one.offered.0), high.1.max(one.offered.1)))
    }

    /// The statuses of all that have this nonce and have not failed.
    pub(crate) fn statuses(&self, account: Address, nonce: u64) -> Vec<TransactionStatus> {
        self.siblings(account, nonce).map(Entry::status).collect()
    }

    fn siblings(&self, account: Address, nonce: u64) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(move |one| one.slot() == (account, nonce) && !one.has_failed())
    }

    /// What is still followed, by sender and nonce, the highest offer first: a pool takes them in this order.
    pub(crate) fn followed(&self) -> Vec<B256> {
        let mut open: Vec<&Entry> =
            self.entries.values().filter(|one| one.updates.is_some() && !one.has_failed()).collect();
        open.sort_by(|a, b| a.slot().cmp(&b.slot()).then(b.offered.cmp(&a.offered)));
        open.iter().map(|one| one.transaction.hash).collect()
    }

    /// What is not settled, by sender and nonce.
    pub(crate) fn open(&self) -> Vec<OpenTransaction> {
        let entries = self.followed().into_iter().filter_map(|hash| self.entries.get(&hash));
        let open = entries.map(|one| OpenTransaction {
            hash: one.transaction.hash,
            from: one.transaction.from,
            nonce: one.transaction.nonce,
            first_seen_block: one.first_seen_block,
            status: one.status(),
        });
        open.filter(|one| !one.status.is_settled()).collect()
    }

    /// Decides without asking anybody, where the view suffices.
    pub(crate) fn decide_by_view(&self, hash: B256, view: &View<'_>) -> Option<Decision> {
        follow::decide_by_view(&self.entries.get(&hash)?.last.borrow(), view)
    }

    /// Decides by what an endpoint says.
    pub(crate) fn decide(&self, hash: B256, observation: Observation, view: &View<'_>) -> Decision {
        let Some(entry) = self.entries.get(&hash) else { return Decision::Wait };
        let (account, nonce) = entry.slot();
        let rank = |one: &Entry| (one.offered, one.transaction.hash);
        let outbid = self.siblings(account, nonce).any(|one| rank(one) > rank(entry));
        follow::decide(&entry.status(), observation, Siblings { outbid }, view)
    }

    /// What follows from a decision.
    pub(crate) fn steps(decision: Decision) -> Vec<Step> {
        match decision {
            Decision::Status(status) => vec![Step::Record(status)],
            Decision::Bury(status) => vec![Step::Record(status), Step::Bury],
            Decision::Broadcast => vec![Step::Broadcast],
            Decision::Wait => Vec::new(),
        }
    }

    /// Takes what came of a broadcast; gives the status that follows, to be written to the log.
    ///
    /// Only the first definite refusal of a transaction that nobody can have is a failure. Later ones, and those of a
    /// doubtful one, may be followed by its being mined all the same.
    pub(crate) fn answered(&mut self, hash: B256, answer: Answer) -> Option<TransactionStatus> {
        let entry = self.entries.get_mut(&hash)?;
        let never_taken = entry.status() == TransactionStatus::Stored && !entry.doubtful;
        match answer {
            Answer::Taken => {
                entry.refusal = None;
                Some(TransactionStatus::Broadcast)
            }
            Answer::Refused { reason, for_now: false } if never_taken => Some(TransactionStatus::Failed { reason }),
            Answer::Refused { reason, .. } => {
                tracing::warn!(%hash, %reason, "a transaction is not taken at the moment");
                entry.refusal = Some(reason);
                entry.not_taken()
            }
            Answer::None => {
                entry.doubtful = true;
                entry.not_taken()
            }
        }
    }

    /// Why the endpoint does not take a transaction now.
    pub(crate) fn refusal(&self, hash: B256) -> Option<String> {
        self.entries.get(&hash)?.refusal.clone()
    }

    /// Notes a status that the log has; watchers see it now.
    pub(crate) fn set(&mut self, hash: B256, status: TransactionStatus) {
        let Some(entry) = self.entries.get_mut(&hash) else { return };
        let (account, nonce) = entry.slot();
        let failed = matches!(status, TransactionStatus::Failed { .. });
        if let Some(updates) = &entry.updates {
            updates.send_replace(status);
        }
        if failed {
            entry.close();
            if self.claim(account, nonce).is_none() {
                self.nonces.give_up(account, nonce);
            }
        }
    }

    /// Ends following a transaction whose status is its last.
    pub(crate) fn bury(&mut self, hash: B256) {
        let Some(entry) = self.entries.get_mut(&hash) else { return };
        entry.close();
        let (account, nonce) = entry.slot();
        self.nonces.settle(account, nonce);
    }
}

impl Entry {
    /// What was in a block, or lost to another, and is neither any more, waits for an endpoint again; others do already.
    fn not_taken(&mut self) -> Option<TransactionStatus> {
        if matches!(self.status(), TransactionStatus::Stored | TransactionStatus::Broadcast) {
            return None;
        }
        self.doubtful = true;
        Some(TransactionStatus::Stored)
    }

    /// It stays, without its bytes, for late followers.
    fn close(&mut self) {
        self.updates = None;
        self.transaction.raw = Bytes::new();
    }
}

/// Maximal fee and tip of signed bytes, wei per gas.
pub(crate) fn offered(raw: &[u8]) -> Option<(u128, u128)> {
    let envelope = TxEnvelope::decode_2718_exact(raw).ok()?;
    Some((envelope.max_fee_per_gas(), envelope.max_priority_fee_per_gas().unwrap_or_default()))
}

#[cfg(test)]
mod tests;
