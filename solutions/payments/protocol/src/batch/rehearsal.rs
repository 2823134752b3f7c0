//! Replaying a batch on many threads, with the outcome of [`Batch::replay`] to the bit.
//!
//! What a message does depends on who signed it, and what it signed depends on the messages before it: executed as it
//! stands, a batch recovers one signature after another. A rehearsal executes it in order and **takes every signature
//! whose ranges are right for its sender's**. After that nothing depends on anything: each chunk's signatures can be
//! recovered and its root be hashed on any thread ([`RehearsedChunk::confirm`]), also while later chunks are still being
//! executed ([`Batch::rehearse_ahead`]). Is every chunk confirmed, then the rehearsal is what happened; is one not, then it
//! says nothing and the batch is replayed as it stands.
//!
//! No threads in here: they are the caller's.

use std::sync::Arc;

use alloy::primitives::{Address, B256};

use super::{Batch, BatchError, BuiltBatch, Chunk, ChunkReport, Replay};
use crate::{
    contest::Contest,
    domain::Domain,
    inbox::Item,
    message::Record,
    signature::Signature,
    state::State,
    transition::{Outcome, apply_item, apply_record_by, credit_fees},
};

/// A batch that was executed on trust in its signatures. See the [module](self).
#[derive(Clone, Debug)]
pub struct Rehearsal {
    domain: Domain,
    before: State,
    chunks: Vec<RehearsedChunk>,
}

/// A chunk that was executed on trust in its signatures. Cloning is O(1).
#[derive(Clone, Debug)]
pub struct RehearsedChunk(Arc<Rehearsed>);

#[derive(Clone, Debug)]
struct Rehearsed {
    domain: Domain,
    chunk: Chunk,
    outcomes: Vec<Outcome>,
    fees: u128,
    after: State,
    trusted: Vec<Trusted>,
}

/// A signature that was taken for its sender's.
#[derive(Clone, Copy, Debug)]
struct Trusted {
    id: B256,
    signature: Signature,
    from: Address,
}

impl Batch {
    /// Executes the batch on `before` on trust in its signatures. `items` as for [`replay`](Self::replay).
    pub fn rehearse(&self, domain: &Domain, before: &State, items: &[Item]) -> Result<Rehearsal, BatchError> {
        self.rehearse_ahead(domain, before, items, |_| ())
    }

    /// [`rehearse`](Self::rehearse) that hands out each chunk as soon as it was executed, in order, so that it can be
    /// confirmed on another thread while the next one is executed here.
    pub fn rehearse_ahead(
        &self,
        domain: &Domain,
        before: &State,
        items: &[Item],
        mut executed: impl FnMut(RehearsedChunk),
    ) -> Result<Rehearsal, BatchError> {
        let mut state = before.clone();
        let chunks = self.chunks(items)?.into_iter().map(|chunk| {
            let rehearsed = RehearsedChunk(Arc::new(Rehearsed::of(domain, &mut state, self.proposer, chunk)));
            executed(rehearsed.clone());
            rehearsed
        });
        Ok(Rehearsal { domain: *domain, before: before.clone(), chunks: chunks.collect() })
    }
}

impl RehearsedChunk {
    /// Checks the signatures that were taken on trust and hashes the root after the chunk; true if all are their senders'.
    ///
    /// `known(id, signature)` may spare a recovery: true only where the caller has recovered this very signature over the
    /// message of this id, and found its sender. Chunks may be confirmed in any order, and on several threads.
    pub fn confirm(&self, known: impl Fn(B256, &Signature) -> bool) -> bool {
        let rehearsed = &self.0;
        let genuine = rehearsed.trusted.iter().all(|Trusted { id, signature, from }| {
            known(*id, signature) || signature.recover(rehearsed.domain.digest(*id)) == Ok(*from)
        });
        if genuine {
            rehearsed.after.root();
        }
        genuine
    }

    /// What is known of the chunk, without a copy where nobody else holds it any more.
    fn into_inner(self) -> Rehearsed {
        Arc::unwrap_or_clone(self.0)
    }
}

impl Rehearsal {
    /// Its chunks, in order.
    pub fn chunks(&self) -> &[RehearsedChunk] {
        &self.chunks
    }

    /// What [`Batch::replay`] says of `batch`, the batch that was rehearsed. Only when **every** chunk was confirmed.
    pub fn replay(self, batch: &Batch) -> Replay {
        let (mut state, mut reports) = (self.before, Vec::with_capacity(self.chunks.len()));
        let chunks = self.chunks.into_iter().map(RehearsedChunk::into_inner);
        for (index, (rehearsed, &claimed)) in chunks.zip(&batch.roots).enumerate() {
            let computed = rehearsed.after.root();
            if computed != claimed {
                let contest = Contest::prove(&self.domain, batch, &state, index, &rehearsed.chunk, claimed);
                return Replay::Different { chunk: index, claimed, computed, contest: Box::new(contest) };
            }
            reports.push(ChunkReport { outcomes: rehearsed.outcomes, fees: rehearsed.fees, root: computed });
            state = rehearsed.after;
        }
        Replay::Equal { state, reports }
    }

    /// The state and the reports of a batch that was found true before, its roots taken as claimed: nothing is hashed.
    pub fn recall(self, batch: &Batch) -> (State, Vec<ChunkReport>) {
        let state = self.chunks.last().map_or(self.before, |last| last.0.after.clone());
        let chunks = self.chunks.into_iter().map(RehearsedChunk::into_inner).zip(&batch.roots);
        let reports = chunks.map(|(Rehearsed { outcomes, fees, .. }, &root)| ChunkReport { outcomes, fees, root });
        (state, reports.collect())
    }

    /// `batch` with the roots that it leads to: what [`Batch::build`] gives. Only when **every** chunk was confirmed.
    pub fn build(self, mut batch: Batch) -> BuiltBatch {
        batch.roots = self.chunks.iter().map(|rehearsed| rehearsed.0.after.root()).collect();
        let state = self.chunks.last().map_or(self.before, |last| last.0.after.clone());
        let reports = self.chunks.into_iter().map(RehearsedChunk::into_inner).map(|rehearsed| {
            let root = rehearsed.after.root();
            ChunkReport { outcomes: rehearsed.outcomes, fees: rehearsed.fees, root }
        });
        BuiltBatch { batch, reports: reports.collect(), state }
    }
}

impl Rehearsed {
    fn of(domain: &Domain, state: &mut State, proposer: Address, chunk: Chunk) -> Self {
        let mut trusted = Vec::new();
        let mut trusting = |state: &mut State, record: &Record| {
            apply_record_by(state, record, |id, signature| {
                signature.check()?;
                trusted.push(Trusted { id, signature: *signature, from: record.from });
                Ok(record.from)
            })
        };
        let outcomes: Vec<_> = match &chunk {
            Chunk::Inbox(items) => items.iter().map(|item| apply_item(domain, state, item)).collect(),
            Chunk::Messages(records) => records.iter().map(|record| trusting(state, record)).collect(),
        };
        let fees = outcomes.iter().map(Outcome::fee).fold(0, u128::wrapping_add);
        credit_fees(state, proposer, fees);
        Self { domain: *domain, chunk, outcomes, fees, after: state.clone(), trusted }
    }
}

#[cfg(test)]
mod tests;
