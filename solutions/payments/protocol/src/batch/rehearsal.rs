//! Replaying a batch on many threads, with the outcome of [`Batch::replay`] to the bit.
//!
//! What a message does depends on who signed it, and what it signed depends on the messages before it: executed as it
//! stands, a batch recovers one signature after another. A rehearsal executes it in order and **takes every signature
//! whose ranges are right for its sender's**. After that nothing depends on anything: each chunk's signatures can be
//! recovered and its root be hashed on any thread ([`Rehearsal::confirm`]). Is every chunk confirmed, then the rehearsal is
//! what happened; is one not, then it says nothing and the batch is replayed as it stands.
//!
//! No threads in here: they are the caller's.

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
    chunks: Vec<Rehearsed>,
}

#[derive(Clone, Debug)]
struct Rehearsed {
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
        let mut state = before.clone();
        let chunks =
            self.chunks(items)?.into_iter().map(|chunk| Rehearsed::of(domain, &mut state, self.proposer, chunk));
        Ok(Rehearsal { domain: *domain, before: before.clone(), chunks: chunks.collect() })
    }
}

impl Rehearsal {
    /// Number of chunks.
    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// Checks the signatures of a chunk that were taken on trust and hashes its root; true if all are their senders'.
    ///
    /// `known(id, signature)` may spare a recovery: true only where the caller has recovered this very signature over the
    /// message of this id, and found its sender. Chunks may be confirmed in any order, and on several threads.
    pub fn confirm(&self, chunk: usize, known: impl Fn(B256, &Signature) -> bool) -> bool {
        let Some(rehearsed) = self.chunks.get(chunk) else {
            return false;
        };
        let genuine = rehearsed.trusted.iter().all(|Trusted { id, signature, from }| {
            known(*id, signature) || signature.recover(self.domain.digest(*id)) == Ok(*from)
        });
        if genuine {
            rehearsed.after.root();
        }
        genuine
    }

    /// What [`Batch::replay`] says of `batch`, the batch that was rehearsed. Only when **every** chunk was confirmed.
    pub fn replay(self, batch: &Batch) -> Replay {
        let (mut state, mut reports) = (self.before, Vec::with_capacity(self.chunks.len()));
        for (index, (rehearsed, &claimed)) in self.chunks.into_iter().zip(&batch.roots).enumerate() {
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
        let state = self.chunks.last().map_or(self.before, |last| last.after.clone());
        let chunks = self.chunks.into_iter().zip(&batch.roots);
        let reports = chunks.map(|(Rehearsed { outcomes, fees, .. }, &root)| ChunkReport { outcomes, fees, root });
        (state, reports.collect())
    }

    /// `batch` with the roots that it leads to: what [`Batch::build`] gives. Only when **every** chunk was confirmed.
    pub fn build(self, mut batch: Batch) -> BuiltBatch {
        batch.roots = self.chunks.iter().map(|rehearsed| rehearsed.after.root()).collect();
        let state = self.chunks.last().map_or(self.before, |last| last.after.clone());
        let reports = self.chunks.into_iter().map(|rehearsed| {
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
        Self { chunk, outcomes, fees, after: state.clone(), trusted }
    }
}

#[cfg(test)]
mod tests;
