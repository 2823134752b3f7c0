//! Proof of fraud: one chunk, executed from witnesses alone.
//!
//! The gateway knows a commitment and nothing of the state. A [`Contest`] opens the commitment at the chunk and at the one
//! before it, brings the chunk's data and one witness a read, and the gateway executes the chunk on the evolving root.
//! [`Contest::check`] is the same computation in Rust, and also how *who paid* is proven to a light wallet.

use alloy::primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use crate::{
    batch::{Batch, Chunk, ChunkReport, Preimage, leaf},
    domain::Domain,
    inbox::Item,
    message::Record,
    state::{Found, Leaf, State, Witness, WitnessError},
    transition::{Accounts, Outcome, fees_on, item_on, record_on},
};

/// Most witnesses a chunk can need: sender and recipient of eight payments, and the proposer.
pub const MAX_WITNESSES: usize = 17;

/// Everything that the gateway's `contest` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contest {
    /// Opens the commitment.
    pub preimage: Preimage,
    /// Number of the chunk, from 0.
    #[serde(with = "crate::wire::decimal")]
    pub chunk: usize,
    /// Data hash of the chunk before; zero if that is an inbox chunk or there is none.
    pub previous_data_hash: B256,
    /// Claimed root of the chunk before; of the first chunk: the last root of the batch before.
    pub previous_root: B256,
    /// The claimed root of this chunk.
    pub claimed_root: B256,
    /// The items of an inbox chunk.
    pub items: Vec<Item>,
    /// The record bytes of a message chunk.
    pub records: Bytes,
    /// One a read, in the order of the [transition](crate::transition), each against the root at that moment.
    pub witnesses: Vec<Witness>,
}

/// Why a contest is not well formed. Says nothing about the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWitness {
    /// A witness does not prove the slot that is read at its place.
    #[error("witness {index} does not prove the slot that is read there")]
    Proof {
        /// Which one, from 0.
        index: usize,
        /// Why.
        #[source]
        source: WitnessError,
    },
    /// Too few or too many.
    #[error("the chunk reads {read} slots and brings {brought} witnesses")]
    Count {
        /// Slots read, as far as it went.
        read: usize,
        /// Witnesses brought.
        brought: usize,
    },
    /// A leaf of the preimage is not what this data and root make.
    #[error("the preimage's leaf of chunk {0} is not made of this data and root")]
    Opening(usize),
    /// Data of the wrong kind or amount for that chunk.
    #[error("chunk {0} holds other data")]
    Data(usize),
}

impl Contest {
    /// The proof for one chunk. `before` is the state before it; `claimed` its claimed root.
    ///
    /// A chunk is proven whether or not it is false, so it also serves as proof of what a true chunk did.
    pub fn prove(domain: &Domain, batch: &Batch, before: &State, index: usize, chunk: &Chunk, claimed: B256) -> Self {
        let mut recorder = Recorder { state: before.clone(), witnesses: Vec::new() };
        // Reading the full state cannot fail.
        let (Ok(_) | Err(_)) = chunk_on(domain, &mut recorder, batch.proposer, chunk);
        let (items, records) = match chunk {
            Chunk::Inbox(items) => (items.clone(), Bytes::new()),
            Chunk::Messages(records) => (Vec::new(), Record::encode_all(records).into()),
        };
        Self {
            preimage: batch.preimage(),
            chunk: index,
            previous_data_hash: index.checked_sub(1).map_or(B256::ZERO, |previous| batch.data_hash(previous)),
            previous_root: before.root(),
            claimed_root: claimed,
            items,
            records,
            witnesses: recorder.witnesses,
        }
    }

    /// The proof for chunk `index` of a batch, given the state after the batch before it.
    ///
    /// `None` if the batch has no such chunk or the items are not its own. For `l2_getContestWitness`; [`Batch::replay`] gives
    /// the proof of the first false chunk by itself.
    pub fn of_chunk(domain: &Domain, batch: &Batch, before: &State, items: &[Item], index: usize) -> Option<Self> {
        let chunks = batch.chunks(items).ok()?;
        let claimed = *batch.roots.get(index)?;
        let mut state = before.clone();
        for chunk in chunks.get(..index)? {
            chunk.apply(domain, &mut state, batch.proposer);
        }
        Some(Self::prove(domain, batch, &state, index, chunks.get(index)?, claimed))
    }

    /// What the gateway does with it: checks both openings, executes the chunk from the witnesses. The batch is false iff the
    /// report's root is not `claimed_root`.
    ///
    /// That [`Preimage::commitment`] is the stored one, that the items are those of the inbox, and, for chunk 0, that
    /// `previous_root` is the last root of the batch before, is for the caller to check against layer 1.
    pub fn check(&self, domain: &Domain) -> Result<ChunkReport, BadWitness> {
        let chunk = self.work()?;
        let data_hash = match chunk {
            Chunk::Inbox(_) => B256::ZERO,
            Chunk::Messages(_) => alloy::primitives::keccak256(&self.records),
        };
        self.open(self.chunk, data_hash, self.claimed_root)?;
        if let Some(previous) = self.chunk.checked_sub(1) {
            self.open(previous, self.previous_data_hash, self.previous_root)?;
        }
        execute(domain, self.previous_root, self.preimage.proposer, &chunk, &self.witnesses)
    }

    fn open(&self, chunk: usize, data_hash: B256, root: B256) -> Result<(), BadWitness> {
        match self.preimage.leaves.get(chunk) == Some(&leaf(data_hash, root)) {
            true => Ok(()),
            false => Err(BadWitness::Opening(chunk)),
        }
    }

    fn work(&self) -> Result<Chunk, BadWitness> {
        let records = Record::decode_all(&self.records).ok_or(BadWitness::Data(self.chunk))?;
        match (self.items.as_slice(), records.as_slice()) {
            ([_, ..], []) => Ok(Chunk::Inbox(self.items.clone())),
            ([], [_, ..]) => Ok(Chunk::Messages(records)),
            _ => Err(BadWitness::Data(self.chunk)),
        }
    }
}

/// Executes a chunk on nothing but the root before it and one witness a read.
pub fn execute(
    domain: &Domain,
    root: B256,
    proposer: Address,
    chunk: &Chunk,
    witnesses: &[Witness],
) -> Result<ChunkReport, BadWitness> {
    let mut stateless = Stateless { root, root_before: root, witnesses, read: 0 };
    let (outcomes, fees) = chunk_on(domain, &mut stateless, proposer, chunk)?;
    if stateless.read != witnesses.len() {
        return Err(BadWitness::Count { read: stateless.read, brought: witnesses.len() });
    }
    Ok(ChunkReport { outcomes, fees, root: stateless.root })
}

fn chunk_on<A: Accounts>(
    domain: &Domain,
    accounts: &mut A,
    proposer: Address,
    chunk: &Chunk,
) -> Result<(Vec<Outcome>, u128), A::Error> {
    let outcomes: Vec<_> = match chunk {
        Chunk::Inbox(items) => items.iter().map(|item| item_on(domain, accounts, item)).collect::<Result<_, _>>()?,
        Chunk::Messages(records) => {
            records.iter().map(|record| record_on(domain, accounts, record)).collect::<Result<_, _>>()?
        }
    };
    let fees = outcomes.iter().map(Outcome::fee).fold(0, u128::wrapping_add);
    fees_on(accounts, proposer, fees)?;
    Ok((outcomes, fees))
}

/// The full state, noting a witness at every read.
struct Recorder {
    state: State,
    witnesses: Vec<Witness>,
}

impl Accounts for Recorder {
    type Error = std::convert::Infallible;

    fn read(&mut self, account: Address) -> Result<Found, Self::Error> {
        self.witnesses.push(self.state.witness(account));
        self.state.read(account)
    }

    fn write(&mut self, account: Address, leaf: Leaf) {
        self.state.write(account, leaf);
    }

    fn undo(&mut self, account: Address, before: Leaf) {
        self.state.undo(account, before);
    }
}

/// No state: a root that evolves, and witnesses against it.
struct Stateless<'a> {
    root: B256,
    /// The root before the last write.
    root_before: B256,
    witnesses: &'a [Witness],
    read: usize,
}

impl Accounts for Stateless<'_> {
    type Error = BadWitness;

    fn read(&mut self, account: Address) -> Result<Found, BadWitness> {
        let index = self.read;
        self.read = index.saturating_add(1);
        let Some(witness) = self.witnesses.get(index) else {
            return Err(BadWitness::Count { read: self.read, brought: self.witnesses.len() });
        };
        witness.find(self.root, account).map_err(|source| BadWitness::Proof { index, source })
    }

    fn write(&mut self, account: Address, leaf: Leaf) {
        self.root_before = self.root;
        let witness = self.read.checked_sub(1).and_then(|last| self.witnesses.get(last));
        // `read` has checked the path and its end, so it leads somewhere.
        if let Some(Ok(root)) = witness.map(|witness| witness.root_with(account, leaf.hash(account))) {
            self.root = root;
        }
    }

    fn undo(&mut self, _account: Address, _before: Leaf) {
        self.root = self.root_before;
    }
}

#[cfg(test)]
mod tests;
