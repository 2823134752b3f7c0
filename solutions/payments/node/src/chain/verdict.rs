//! What a batch claims against what it did.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use alloy::primitives::{Address, B256};
use payments_protocol::{
    Batch, BatchError, ChunkReport, Contest, Domain, Inbox, Item, Outcome, Rehearsal, RehearsedChunk, Replay,
    Signature, State, Submission,
};

use super::{Place, accounts_of};
use crate::gateway::BatchEvent;
use crate::layer1::BlockRef;
use crate::parallel;

/// Signatures that need not be recovered again: whether this very one, over the message of this id, was found to be its
/// sender's before.
pub(crate) type Known<'a> = dyn Fn(B256, &Signature) -> bool + Sync + 'a;

/// The outcome of replaying a batch.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// Every chunk leads to the root it claims.
    True {
        /// The state after it.
        state: State,
        /// What each chunk did.
        reports: Arc<Vec<ChunkReport>>,
    },
    /// A chunk leads to another root: fraud.
    False {
        /// What to hand to the gateway.
        contest: Arc<Contest>,
        /// The root the chunk truly leads to.
        computed: B256,
    },
    /// Its data does not read as a batch, though the gateway took it. Must never happen.
    Unreadable(String),
    /// It stands on a batch that is not true, so there is nothing to compare it with.
    OnFalse,
}

impl Verdict {
    pub(crate) fn is_true(&self) -> bool {
        matches!(self, Self::True { .. })
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::True { .. } => "true",
            Self::False { .. } => "false",
            Self::Unreadable(_) => "unreadable",
            Self::OnFalse => "on-false",
        }
    }

    /// What is wrong, to stand after the batch's name.
    pub(crate) fn alarm(&self) -> Option<String> {
        match self {
            Self::True { .. } => None,
            Self::False { contest, computed } => Some(format!(
                "claims root {} after chunk {}, but its data leads to {computed}",
                contest.claimed_root, contest.chunk
            )),
            Self::Unreadable(why) => Some(format!("cannot be read: {why}")),
            Self::OnFalse => Some("stands on a false batch".to_owned()),
        }
    }
}

/// A batch that the gateway holds.
#[derive(Clone, Debug)]
pub(crate) struct StandingBatch {
    pub(crate) event: BatchEvent,
    /// Decoded from the transaction; `None` if unreadable.
    pub(crate) batch: Option<Arc<Batch>>,
    pub(crate) verdict: Verdict,
    pub(crate) block: BlockRef,
    /// Its event's place among the logs of the block.
    pub(crate) log_index: u64,
    pub(crate) transaction: B256,
}

impl StandingBatch {
    /// The state after it, if it is true.
    pub(crate) fn state(&self) -> Option<&State> {
        match &self.verdict {
            Verdict::True { state, .. } => Some(state),
            _ => None,
        }
    }

    /// What each chunk did; empty if it is not true.
    pub(crate) fn reports(&self) -> &[ChunkReport] {
        match &self.verdict {
            Verdict::True { reports, .. } => reports,
            _ => &[],
        }
    }

    pub(crate) fn outcome(&self, place: Place) -> Option<&Outcome> {
        self.reports().get(place.chunk)?.outcomes.get(place.index)
    }

    /// Every outcome with its place.
    pub(crate) fn outcomes(&self, batch: u64) -> impl Iterator<Item = (Place, &Outcome)> {
        self.reports().iter().enumerate().flat_map(move |(chunk, report)| {
            let indexed = report.outcomes.iter().enumerate();
            indexed.map(move |(index, outcome)| (Place { batch, chunk, index }, outcome))
        })
    }

    /// Every account it touched, its proposer included.
    pub(crate) fn accounts(&self) -> BTreeSet<Address> {
        let mut accounts: BTreeSet<Address> =
            self.reports().iter().flat_map(|report| &report.outcomes).flat_map(accounts_of).collect();
        accounts.insert(self.event.proposer);
        accounts
    }
}

/// Batches that were replayed before, so that folding anew after a reorganisation costs no signature checks.
///
/// A commitment binds everything but the content of the inbox items; the accumulator at the batch's end binds that.
#[derive(Debug, Default)]
pub(crate) struct Replays {
    known: HashMap<Key, (Arc<Batch>, Verdict)>,
    /// Batches that this node found true in an earlier run, every signature its sender's: they are executed and not
    /// judged again. Whoever fills it compares the root that all of them lead to.
    recalled: HashSet<Key>,
    /// Batches found so in this run and not noted yet.
    found: Vec<Key>,
}

/// A commitment, and the inbox's accumulator at the batch's end.
pub(crate) type Key = (B256, B256);

impl Replays {
    /// Reads and replays the batch of an event.
    #[expect(clippy::too_many_arguments, reason = "where the batch stands, each part of another kind")]
    pub(crate) fn judge(
        &mut self,
        domain: &Domain,
        inbox: &Inbox,
        event: &BatchEvent,
        previous_commitment: B256,
        before: Option<&State>,
        inbox_cursor: u64,
        known: &Known<'_>,
    ) -> (Option<Arc<Batch>>, Verdict) {
        let accumulator = inbox.accumulator(event.inbox_end);
        let key = accumulator.map(|accumulator| (event.commitment, accumulator));
        if before.is_some()
            && let Some((batch, verdict)) = key.and_then(|key| self.known.get(&key))
        {
            return (Some(Arc::clone(batch)), verdict.clone());
        }
        let batch = match read(event, previous_commitment, inbox_cursor) {
            Ok(batch) => Arc::new(batch),
            Err(why) => return (None, Verdict::Unreadable(why)),
        };
        let Some(before) = before else { return (Some(batch), Verdict::OnFalse) };
        let (Some(items), Some(key)) = (inbox.range(batch.inbox_start, batch.inbox_end), key) else {
            return (Some(batch), Verdict::Unreadable("it consumes inbox items that do not exist".to_owned()));
        };
        let replayed = match self.recalled.contains(&key) {
            true => recall(domain, &batch, before, items),
            false => replay(domain, &batch, before, items, known).map(|(replay, genuine)| {
                if genuine && matches!(replay, Replay::Equal { .. }) {
                    self.found.push(key);
                }
                replay
            }),
        };
        let verdict = match replayed {
            Ok(Replay::Equal { state, reports }) => Verdict::True { state, reports: Arc::new(reports) },
            Ok(Replay::Different { contest, computed, .. }) => Verdict::False { contest: Arc::new(*contest), computed },
            Err(error) => Verdict::Unreadable(error.to_string()),
        };
        self.known.insert(key, (Arc::clone(&batch), verdict.clone()));
        (Some(batch), verdict)
    }

    /// Forgets batches up to an id, wherever they stood.
    pub(crate) fn forget_to(&mut self, id: u64) {
        self.known.retain(|_, (batch, _)| batch.id > id);
        self.known.shrink_to_fit();
    }

    /// Takes batches for true that an earlier run found true. None: every batch is judged from now on.
    pub(crate) fn recall(&mut self, found: HashSet<Key>) {
        *self = Self { recalled: found, ..Self::default() };
    }

    /// Batches found true since this was last asked, whose every signature is its sender's.
    pub(crate) fn take_found(&mut self) -> Vec<Key> {
        std::mem::take(&mut self.found)
    }
}

/// What a batch did that was found true before.
fn recall(domain: &Domain, batch: &Batch, before: &State, items: &[Item]) -> Result<Replay, BatchError> {
    let (state, reports) = batch.rehearse(domain, before, items)?.recall(batch);
    Ok(Replay::Equal { state, reports })
}

/// [`Batch::replay`], on all cores: signatures and roots ahead of what depends on them, see
/// [`Rehearsal`](payments_protocol::Rehearsal). And whether every signature in range was its sender's.
fn replay(
    domain: &Domain,
    batch: &Batch,
    before: &State,
    items: &[Item],
    known: &Known<'_>,
) -> Result<(Replay, bool), BatchError> {
    let (rehearsal, genuine) = rehearse(domain, batch, before, items, known)?;
    let replay = match genuine {
        true => rehearsal.replay(batch),
        // Some signature is not its sender's: what happened is something else.
        false => batch.replay(domain, before, items)?,
    };
    Ok((replay, genuine))
}

/// Executes a batch on trust in its signatures while other cores confirm what was executed. And whether every signature in
/// range was its sender's.
pub(crate) fn rehearse(
    domain: &Domain,
    batch: &Batch,
    before: &State,
    items: &[Item],
    known: &Known<'_>,
) -> Result<(Rehearsal, bool), BatchError> {
    let (rehearsal, genuine) = parallel::all_while_made(
        batch.roots.len(),
        |executed| batch.rehearse_ahead(domain, before, items, executed),
        |chunk: RehearsedChunk| chunk.confirm(known),
    );
    Ok((rehearsal?, genuine))
}

/// The batch, from the transaction's input; everything the event says is compared.
fn read(event: &BatchEvent, previous_commitment: B256, inbox_cursor: u64) -> Result<Batch, String> {
    let submission = Submission::decode(&event.input).map_err(|error| error.to_string())?;
    let batch = submission.into_batch(event.proposer, event.inbox_start);
    let checks = [
        (batch.id == event.id, "its id is another in its data"),
        (batch.previous_commitment == previous_commitment, "it continues another batch"),
        (batch.inbox_start == inbox_cursor, "its inbox range does not start at the cursor"),
        (batch.inbox_end == event.inbox_end, "its inbox range ends elsewhere in its data"),
        (batch.last_root() == event.root, "its last root is another in its data"),
        (batch.commitment() == event.commitment, "its data does not make its commitment"),
    ];
    match checks.iter().find(|(holds, _)| !holds) {
        None => Ok(batch),
        Some((_, why)) => Err((*why).to_owned()),
    }
}
