//! Moving the [base](crate::chain::Base), and what becomes of what it leaves behind.
//!
//! Write before act: what is about to lie below the base is on the disk before memory forgets it. A kill between the two
//! finds it written, and does not write it again.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use alloy::primitives::B256;
use payments_protocol::{ReceiptTree, SignedReceipt};
use serde_json::json;

use super::{Core, read, write};
use crate::admission::Checked;
use crate::chain::{Chain, Changes, accounts_of, message_of, posted};
use crate::layer1::{BlockRef, Depths, Step, StepBlock, WINDOW};
use crate::rpc::{Notice, RpcError, code};
use crate::sequencer::Sequencer;
use crate::show;
use crate::store::{Below, LoggedMessage, SettledBatch, SettledEffect, Store, StoreError, TransactionState};
use crate::store::{snapshot, tail_of};

/// One part in so many of the accounts: when that many effects came since the last snapshot, the next is due.
const EIGHTH: usize = 8;

/// Batches that go below the base at once, so that a start on a long history needs little memory for it.
const AT_ONCE: u64 = 16;

/// Blocks that a start reads at once; each may hold a batch of 128 KiB.
const BLOCKS_AT_ONCE: u64 = 64;

impl Core {
    /// What lies below the base, and the whole message log.
    pub(crate) fn below(&self) -> &dyn Below {
        self.below.as_ref()
    }

    /// A receipted message, however old.
    pub(crate) fn message(&self, id: B256) -> Result<Option<LoggedMessage>, StoreError> {
        let Some(sequencer) = &self.sequencer else { return Ok(None) };
        match sequencer.logged(id) {
            Some(logged) => Ok(Some(logged.clone())),
            None if sequencer.first() == 0 => Ok(None),
            None => Ok(self.below.logged(id)?.filter(|logged| logged.sequence < sequencer.first())),
        }
    }

    /// Receipted messages from a sequence number on, however old, at most `limit`.
    pub(crate) fn receipted(&self, from: u64, limit: usize) -> Result<Vec<LoggedMessage>, StoreError> {
        let Some(sequencer) = &self.sequencer else { return Ok(Vec::new()) };
        let mut messages = match sequencer.first().checked_sub(from) {
            None | Some(0) => Vec::new(),
            Some(old) => self.below.logged_from(from, old.min(limit as u64))?,
        };
        let rest = limit.saturating_sub(messages.len());
        messages.extend(sequencer.from(from, rest).cloned());
        Ok(messages)
    }

    /// A promise that memory has forgotten, of a message that is handed in again. The store is asked only about
    /// messages that cannot be new.
    pub(super) fn promised_before(&self, checked: &Checked) -> Result<Option<u64>, RpcError> {
        let message = checked.message();
        let forgets = self.sequencer.as_ref().is_some_and(|sequencer| sequencer.first() > 0);
        if !forgets || message.nonce >= self.chain.base.state.leaf(message.from).nonce {
            return Ok(None);
        }
        let found = self.message(checked.id()).map_err(|error| RpcError::new(code::INTERNAL, error.to_string()))?;
        Ok(found.map(|message| message.sequence))
    }

    /// The receipt of a message that memory has forgotten. `None` where the store does not answer, which is logged; the
    /// node ends at its next write. `tree`: see [`Sequencer::receipt`].
    pub(super) fn old_receipt(&self, logged: &LoggedMessage, tree: &mut Option<ReceiptTree>) -> Option<SignedReceipt> {
        let unread = |error| tracing::error!(%error, "an old receipt cannot be read; is the disk in order?");
        let seal = self.below.seal(logged.sequence).map_err(unread).ok()??;
        seal.receipt(logged, tree, || {
            let group = self.below.logged_from(seal.first, seal.count).map_err(unread).ok()?;
            ReceiptTree::new(group.iter().map(LoggedMessage::receipt))
        })
    }

    /// Whether a message took effect in a standing batch.
    pub(crate) fn took_effect(&self, message: B256) -> bool {
        if self.chain.place(message).is_some() {
            return true;
        }
        // A store that does not answer ends the node at its next write; until then nothing is known of what is old.
        self.chain.base.id > 0 && matches!(self.below.effect(message, self.chain.base.id), Ok(Some(_)))
    }

    /// Moves the base as far as it may go. Ordering waits for that; readers do not wait for the disk.
    pub(super) fn advance(core: &RwLock<Self>) -> Result<(), StoreError> {
        loop {
            let (batches, id, store) = {
                let core = read(core);
                let Some(id) = core.chain.next_base() else { break };
                let id = id.min(core.chain.base.id + AT_ONCE);
                (settled(&core.chain, core.settled, id), id, Arc::clone(&core.store))
            };
            if !batches.is_empty() {
                store.lock().unwrap_or_else(PoisonError::into_inner).settle(&batches)?;
            }
            write(core).rebase(id);
        }
        write(core).keep_snapshot();
        Ok(())
    }

    /// [`advance`](Self::advance) before the threads are started.
    pub(super) fn advance_alone(&mut self) -> Result<(), StoreError> {
        while let Some(id) = self.chain.next_base() {
            let id = id.min(self.chain.base.id + AT_ONCE);
            let batches = settled(&self.chain, self.settled, id);
            if !batches.is_empty() {
                self.store().settle(&batches)?;
            }
            self.rebase(id);
        }
        self.keep_snapshot();
        Ok(())
    }

    fn rebase(&mut self, id: u64) {
        let effects = effects(&self.chain, id);
        self.chain.rebase(id);
        self.settled = self.settled.max(id);
        if let Some(sequencer) = &mut self.sequencer {
            sequencer.settle(&self.chain.base.state);
        }
        self.forget_transactions();
        self.snapshots.effects = self.snapshots.effects.saturating_add(effects);
    }

    fn keep_snapshot(&mut self) {
        let first_message = self.sequencer.as_ref().map_or(0, Sequencer::first);
        self.snapshots.keep(&self.chain, first_message);
    }

    /// Forgets transactions that were settled below the base, and those that they replaced.
    fn forget_transactions(&mut self) {
        let deep = self.chain.base.block.number;
        let settled = self.transactions.iter().filter_map(|transaction| match transaction.state {
            TransactionState::Done { block } | TransactionState::Reverted { block } if block <= deep => {
                Some(transaction.nonce)
            }
            _ => None,
        });
        if let Some(newest) = settled.max() {
            let open = TransactionState::Open;
            self.transactions.retain(|transaction| transaction.nonce > newest || transaction.state == open);
        }
    }

    /// Layer 1 has taken back what the base rests on. Everything is folded anew from what is left of it; the follower
    /// brings the rest.
    pub(super) fn rebuild(&mut self, step: Step) -> Result<(), StoreError> {
        let (base, standing) = (self.chain.base.id, self.chain.next_id() - 1);
        tracing::error!(base, from = step.drop_from, "layer 1 contradicts final batches; rebuilding from layer 1");
        let from = step.drop_from.unwrap_or(0);
        // Those that memory has forgotten may be open again as well.
        let transactions = self.store().transactions(from.saturating_sub(1))?;
        self.transactions = transactions;
        self.reopen(from)?;
        let blocks = self.store().blocks(0, u64::MAX)?;
        let settled_to = self.store().settled_to()?;
        self.settled = settled_to;
        let found = self.store().found()?;
        let mut accounts: std::collections::BTreeSet<_> =
            self.chain.base.state.iter().map(|(account, _)| account).collect();
        accounts.extend((1..=standing).filter_map(|id| self.chain.batch_at(id)).flat_map(|batch| batch.accounts()));
        let mut chain = self.chain.anew();
        let sequencer = self.sequencer.as_ref();
        let vouched = |id, signature: &_| sequencer.is_some_and(|sequencer| sequencer.vouches(id, signature));
        let (changes, adds_up) = chain.remember(Step { drop_from: None, blocks, ..step }, found, &vouched);
        if !adds_up {
            self.store().note_found(&[], true)?;
        }
        self.chain = chain;
        if self.sequencer.is_some() {
            // Promises come back whose batches are gone. What is ordered and not durable yet is kept.
            let old = self.store().messages(0)?;
            let seals = self.store().seals(0)?;
            if let Some(sequencer) = &mut self.sequencer {
                sequencer.unsettle(old, seals);
            }
        }
        let text = format!(
            "layer 1 was reorganised below batch {base}, which was final: what was built on it is dropped, and everything \
             is read again; ask another layer-1 endpoint whether this one is to be believed"
        );
        let mut alerts = vec![Notice::alert("base-lost", text, json!({ "base": base.to_string() }))];
        alerts.extend(changes.alerts);
        accounts.extend(&changes.accounts);
        self.told_final = self.told_final.min(self.chain.final_id());
        self.take(Changes { rolled_back: Some(1), moved: true, alerts, accounts, ..changes })
    }
}

/// Begins at the snapshot of an earlier run, if there is one to be believed. Gives the first message that is still of
/// interest.
pub(super) fn resume(chain: &mut Chain, store: &mut dyn Store, below: &dyn Below) -> Result<u64, StoreError> {
    snapshot::sweep(&store.folder());
    let file = snapshot::file_in(&store.folder());
    let why = match snapshot::read(&file, &chain.domain) {
        Ok(None) => return Ok(0),
        Ok(Some(found)) if !store.has_batch(&found.base, found.accumulator)? => {
            "layer 1 has no such batch there".to_owned()
        }
        // Layer 1 went away from this base and came back to it: what it leaves to the database is not there any more.
        Ok(Some(found)) if store.settled_to()? < found.base.id => {
            "the database does not hold what lies below it".to_owned()
        }
        Ok(Some(found)) => {
            let (first_message, mut resumed) = (found.first_message, chain.anew());
            let waiting: Vec<B256> = found.waiting.iter().map(|(_, item)| item.message_id).collect();
            match resumed.resume(found) {
                Ok(()) => {
                    for message in waiting {
                        if below.effect(message, resumed.base.id)?.is_some() {
                            resumed.spend(message);
                        }
                    }
                    *chain = resumed;
                    return Ok(first_message);
                }
                Err(error) => error.to_string(),
            }
        }
        Err(why) => why,
    };
    tracing::warn!(file = %file.display(), why, "the snapshot is passed over; everything is folded from the database");
    Ok(0)
}

/// What a start has read of what the store knows of layer 1.
#[derive(Debug, Default)]
pub(super) struct Folded {
    /// The newest blocks, ascending and without gaps.
    pub(super) known: Vec<BlockRef>,
    /// Transactions of the gateway, with their blocks.
    pub(super) seen: Vec<(B256, u64)>,
    /// Items and records that have gone below the base since the snapshot.
    pub(super) effects: usize,
}

/// Folds what the store knows of layer 1 above the chain's base, part by part. What an earlier run has settled goes below
/// the base at once, so that a start without a snapshot needs no more memory than one with it.
pub(super) fn fold(
    chain: &mut Chain,
    store: &mut dyn Store,
    below: &dyn Below,
    settled: u64,
) -> Result<Folded, StoreError> {
    chain.recall(store.found()?);
    let (folded, adds_up) = match fold_parts(chain, store, below, settled)? {
        Some(folded) => (folded, true),
        None => {
            // The base was compared with its root before it became the base.
            tracing::warn!("what was noted of the batches does not add up; each of them is judged again");
            *chain = chain.again();
            (fold_parts(chain, store, below, settled)?.unwrap_or_default(), false)
        }
    };
    let found = chain.take_found();
    if !adds_up || !found.is_empty() {
        store.note_found(&found, !adds_up)?;
    }
    Ok(folded)
}

/// `None` when what was noted of the batches leads to another root than theirs.
fn fold_parts(
    chain: &mut Chain,
    store: &mut dyn Store,
    below: &dyn Below,
    settled: u64,
) -> Result<Option<Folded>, StoreError> {
    let (mut folded, mut from) = (Folded::default(), chain.base.block.number);
    loop {
        let blocks = store.blocks(from, BLOCKS_AT_ONCE)?;
        let Some(head) = blocks.last().map(|step| step.block) else { break };
        from = head.number + 1;
        folded.known.extend(blocks.iter().map(|step| step.block));
        folded.known.drain(..folded.known.len().saturating_sub(2 * WINDOW));
        spend(chain, below, &blocks)?;
        let step = Step { drop_from: None, blocks, head, depths: Depths::default(), synced: false };
        folded.seen.extend(chain.apply(step, &|_, _| false).transactions);
        if !chain.adds_up() {
            return Ok(None);
        }
        let id = settled.min(chain.verified_id());
        folded.effects += effects(chain, id);
        chain.rebase(id);
    }
    folded.known = tail_of(&folded.known);
    Ok(Some(folded))
}

/// Items and records between the base and a batch.
fn effects(chain: &Chain, to: u64) -> usize {
    let passed = (chain.base.id + 1..=to).filter_map(|id| chain.batch_at(id));
    passed.map(|batch| batch.outcomes(batch.event.id).count()).sum()
}

/// Tells the chain which messages, that inbox items of these blocks post, took effect below its base.
pub(super) fn spend(chain: &mut Chain, below: &dyn Below, blocks: &[StepBlock]) -> Result<(), StoreError> {
    if chain.base.id > 0 {
        for message in posted(blocks) {
            if below.effect(message, chain.base.id)?.is_some() {
                chain.spend(message);
            }
        }
    }
    Ok(())
}

/// Writes snapshots, one at a time, on a thread of its own: a million accounts take a second.
#[derive(Debug)]
pub(super) struct Snapshots {
    file: PathBuf,
    /// Items and records that have gone below the base since the last one.
    effects: usize,
    writing: Writing,
}

/// A snapshot that is being written, or none.
#[derive(Debug, Default)]
pub(super) struct Writing(Option<JoinHandle<()>>);

impl Writing {
    /// Waits for it.
    pub(super) fn end(self) {
        if let Some(thread) = self.0
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes the snapshot broke");
        }
    }
}

impl Snapshots {
    pub(super) fn new(folder: PathBuf, effects: usize) -> Self {
        Self { file: snapshot::file_in(&folder), effects, writing: Writing::default() }
    }

    /// Takes what is being written, to wait for it.
    pub(super) fn writing(&mut self) -> Writing {
        std::mem::take(&mut self.writing)
    }

    /// Writes a snapshot if the base has moved far enough: when folding what came since the last one would cost a start about as
    /// much as reading it does: with many accounts it is large.
    fn keep(&mut self, chain: &Chain, first_message: u64) {
        let busy = self.writing.0.as_ref().is_some_and(|thread| !thread.is_finished());
        if busy || self.effects == 0 || self.effects < chain.base.state.len() / EIGHTH {
            return;
        }
        let Some(snapshot) = chain.snapshot(first_message) else { return };
        let (file, domain) = (self.file.clone(), chain.domain);
        let write = move || {
            if let Err(error) = snapshot::write(&file, &domain, &snapshot) {
                // Nothing is lost: the next start folds from an older one, or from the database.
                tracing::error!(%error, file = %file.display(), "the snapshot could not be written; is the disk full?");
            }
        };
        match std::thread::Builder::new().name("payments-snapshot".to_owned()).spawn(write) {
            Ok(thread) => (self.effects, self.writing) = (0, Writing(Some(thread))),
            Err(error) => tracing::error!(%error, "no thread for the snapshot"),
        }
    }
}

/// What becomes of the batches above `from` up to `to`, as it is written.
fn settled(chain: &Chain, from: u64, to: u64) -> Vec<SettledBatch> {
    let batches = (chain.base.id.max(from) + 1..=to).filter_map(|id| chain.batch_at(id));
    let written = batches.map(|batch| SettledBatch {
        id: batch.event.id,
        block: batch.block.number,
        log_index: batch.log_index,
        transaction: batch.transaction,
        effects: batch
            .outcomes(batch.event.id)
            .map(|(place, outcome)| SettledEffect {
                place,
                message: message_of(outcome),
                accounts: accounts_of(outcome).into_iter().collect(),
                outcome: show::outcome(outcome).to_string(),
            })
            .collect(),
    });
    written.collect()
}

#[cfg(test)]
mod tests;
