//! What a script's evaluation left behind, to begin with instead of evaluating it again.
//!
//! **Why.** Evaluating the globals, the glue and a bundle takes tens of milliseconds, and every instance would hold its
//! own copy of the outcome. It depends on nothing but the sources and the limits, so it is done once: the memory of the
//! engine is kept, and further instances begin with it ([`crate::image`] says how they share it).
//!
//! **What is in it.** The linear memory, and what the evaluation asked of the embedder (log lines, timers, messages).
//! Nothing else of an instance changes while it runs: the engine has one mutable global, its stack pointer, which is
//! back at its first value whenever no call is under way; its table of functions is constant (both are checked, the
//! first at every start by [`crate::image::split`], the second by a test). The stack of calls that are over is wiped.
//!
//! **No user data.** A snapshot is taken inside [`Instance::start`](crate::Instance::start), when nothing has been
//! delivered yet. What goes in are the sources: code that is the same for everybody who installed it.
//!
//! **Randomness and clock.** Each instance gets its own from the host, whenever it asks. A script that asks *while it
//! is evaluated* and keeps something of the answer would find the same in every life, so it gets no snapshot: it is
//! evaluated afresh each time. Many only try whether there is randomness and throw it away (the curves of noble do), so
//! such a script is evaluated [`COMPARED`] times more, with other randomness and another clock; if all leave the same
//! memory to the byte, nothing of the answers is in it. For that to show, the engine zeros what it frees while it
//! evaluates. Computing with what was drawn in numbers of varying length (a blinded multiplication, say) moves later
//! allocations about and so counts as keeping something: such a script is evaluated afresh. What can escape: a script that keeps less than a few bits, such as a coin it tossed, may keep it for all
//! lives; any number one could call a secret cannot come out the same three times.
//! Host calls that the embedder does not declare pure ([`HostCalls::is_pure`](crate::HostCalls::is_pure)) mean no
//! snapshot at all; nor is there one of a script that compiles WebAssembly meanwhile, as modules and their instances lie
//! outside of the engine's memory. The engine itself seeds a generator with the clock when it
//! starts; it is told zero then, for the generator is not used: `Math.random` comes from the host.
//!
//! **On disk** ([`file`]) a snapshot lies beside the compiled engine, in the directory that only this user can write to.
//! It is data, never code: a file that somebody managed to forge is a forged guest, within a guest's walls.

mod file;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};
use wasmtime::Module;

use crate::cache::ENGINE;
use crate::guest::Guest;
use crate::image::{self, WASM_PAGE};
use crate::machine::{Layer, Machine};
use crate::{Engine, HostFault, Limits, ModuleKind, Outgoing, SandboxError};

/// Changes whenever a snapshot means something else than before: the shim's exports, the file's layout.
const ABI: &[u8] = b"entresol snapshot 2";

/// Evaluations that are compared with the first, of a script that asks for randomness or the clock meanwhile.
const COMPARED: u8 = 2;

/// Most snapshots held in memory. A wallet runs a few dozen scripts; what falls out is read from disk again.
const MOST_HELD: usize = 64;

/// Most bytes of them. Instances that run keep theirs beyond it.
const MOST_HELD_BYTES: usize = 256 << 20;

/// Evaluations remembered as having no snapshot; beyond it all are forgotten and compared again.
const MOST_DEPENDENT: usize = 1024;

/// Of the engine's bytes: a megabyte, and every start asks.
fn engine_digest() -> &'static [u8; 32] {
    static DIGEST: LazyLock<[u8; 32]> = LazyLock::new(|| Sha256::digest(ENGINE).into());
    &DIGEST
}

/// One source of an evaluation, in its order.
pub(crate) struct Source {
    pub(crate) layer: Layer,
    pub(crate) kind: ModuleKind,
    pub(crate) name: Cow<'static, str>,
    pub(crate) text: Cow<'static, str>,
}

/// Which evaluation: the engine, every source, and the limits that an evaluation can notice.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

impl Key {
    pub(crate) fn new(limits: &Limits, sources: &[Source]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(ABI);
        hasher.update(engine_digest());
        // Heap and stack are written into the engine's memory; the others decide what a call of the host answers.
        // How long a turn may take shows only by ending it, and what was ended leaves no snapshot.
        for limit in [
            limits.memory_bytes,
            limits.start_memory_bytes,
            limits.stack.min(Limits::MOST_STACK),
            limits.message_bytes,
            limits.messages_per_turn,
            limits.log_bytes_per_turn,
            limits.timers,
        ] {
            hasher.update((limit as u64).to_be_bytes());
        }
        hasher.update([u8::from(limits.webassembly)]);
        for source in sources {
            let kind = match source.kind {
                ModuleKind::EsModule => 0,
                ModuleKind::CommonJs => 1,
            };
            hasher.update([source.layer as u8, kind]);
            for text in [&source.name, &source.text] {
                hasher.update((text.len() as u64).to_be_bytes());
                hasher.update(text.as_bytes());
            }
        }
        Self(hasher.finalize().into())
    }

    fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.hex())
    }
}

/// What an evaluation left behind.
pub(crate) struct Snapshot {
    image: Module,
    /// Bytes of memory that a restored instance begins with.
    memory: usize,
    /// Bytes that it costs to hold.
    size: usize,
    outgoing: Vec<Outgoing>,
    timers: Vec<u32>,
}

impl Snapshot {
    fn new(engine: &Engine, memory: &[u8], outgoing: Vec<Outgoing>, timers: Vec<u32>) -> Result<Self, HostFault> {
        Self::of(engine, &image::encode(memory), memory.len(), outgoing, timers)
    }

    /// `encoded` says what a memory of so many bytes begins with.
    fn of(
        engine: &Engine,
        encoded: &[u8],
        memory: usize,
        outgoing: Vec<Outgoing>,
        timers: Vec<u32>,
    ) -> Result<Self, HostFault> {
        let image = image::module(engine.wasmtime(), encoded)?;
        Ok(Self { image, memory, size: encoded.len(), outgoing, timers })
    }

    /// An instance that begins with it, and what the embedder is asked for.
    fn restore(&self, engine: &Engine, guest: Guest) -> Result<(Box<Machine>, Vec<Outgoing>), SandboxError> {
        if self.memory > guest.limits.memory_bytes.min(guest.limits.start_memory_bytes) {
            return Err(SandboxError::Memory);
        }
        let machine = Machine::restored(engine, engine.store(guest.evaluated(&self.timers)), &self.image)?;
        Ok((machine, self.outgoing.clone()))
    }
}

/// The snapshots of one engine, in memory and, with a directory, on disk.
pub(crate) struct Snapshots {
    dir: Option<PathBuf>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    snapshots: HashMap<Key, (u64, Arc<Snapshot>)>,
    /// Counts up with each use.
    uses: u64,
    bytes: usize,
    /// Evaluations that keep something of the randomness or time that they are told.
    dependent: HashSet<Key>,
}

impl Snapshots {
    /// `dir` has been checked to be this user's alone.
    pub(crate) fn new(dir: Option<&Path>) -> Self {
        Self { dir: dir.map(Path::to_owned), held: Mutex::default() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing in there is left half done by a panic: each change is one insertion or removal and its count.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The instance to begin with, if this evaluation was done before; gives `guest` back if not.
    pub(crate) fn restore(&self, engine: &Engine, key: &Key, guest: Guest) -> Result<Restored, SandboxError> {
        match self.find(engine, key, &guest.limits) {
            Some(snapshot) => snapshot.restore(engine, guest).map(Restored::Machine),
            None => Ok(Restored::Nothing(Box::new(guest))),
        }
    }

    fn find(&self, engine: &Engine, key: &Key, limits: &Limits) -> Option<Arc<Snapshot>> {
        if let Some(snapshot) = self.held().get(key) {
            return Some(snapshot);
        }
        let dir = self.dir.as_deref()?;
        let found = file::read(dir, key, limits.memory_bytes, |parts| {
            parts.into_snapshot(engine).map_err(|error| error.to_string())
        });
        match found {
            Ok(snapshot) => Some(self.held().put(*key, Arc::new(snapshot))),
            Err(reason) => {
                tracing::debug!(?key, reason, "evaluating a script");
                None
            }
        }
    }

    /// Lets `guest` be evaluated. The instance that goes on is one that begins with the snapshot, as all after it will, so
    /// that it shares what they share and differs from them in nothing. Where no snapshot may or can be taken, the
    /// machine that has evaluated goes on itself.
    pub(crate) fn settle(
        &self,
        engine: &Engine,
        key: &Key,
        guest: Guest,
        mut evaluate: impl FnMut(Guest) -> Result<(Box<Machine>, Vec<Outgoing>), SandboxError>,
    ) -> Result<(Box<Machine>, Vec<Outgoing>), SandboxError> {
        let (mut machine, outgoing) = evaluate(guest)?;
        machine.wipe_dead_stack(engine.stack());
        let guest = machine.store.data();
        if guest.impure || (guest.drew && self.held().dependent.contains(key)) {
            return Ok((machine, outgoing));
        }
        if guest.drew && !self.is_independent(engine, &mut machine, &outgoing, evaluate)? {
            // Asked once: comparing costs as much as evaluating, each time.
            let dependent = &mut self.held().dependent;
            if dependent.len() >= MOST_DEPENDENT {
                dependent.clear();
            }
            dependent.insert(*key);
            return Ok((machine, outgoing));
        }
        let guest = machine.store.data();
        let timers = guest.waiting_timers();
        let memory = machine.memory.data(&machine.store);
        if let Some(dir) = &self.dir
            && let Err(error) = file::write(dir, key, memory, &outgoing, &timers)
        {
            // The cache is full or gone; scripts start without it.
            tracing::warn!(%error, "a snapshot was not kept on disk");
        }
        let snapshot = match Snapshot::new(engine, memory, outgoing.clone(), timers) {
            Ok(snapshot) => self.held().put(*key, Arc::new(snapshot)),
            Err(error) => {
                tracing::warn!(%error, "no snapshot of a script");
                return Ok((machine, outgoing));
            }
        };
        snapshot.restore(engine, machine.store.into_data())
    }

    /// Whether evaluations that draw other randomness and read another clock leave the same memory, to the byte, and ask
    /// for the same. `machine` has done the first.
    fn is_independent(
        &self,
        engine: &Engine,
        machine: &mut Machine,
        outgoing: &[Outgoing],
        mut evaluate: impl FnMut(Guest) -> Result<(Box<Machine>, Vec<Outgoing>), SandboxError>,
    ) -> Result<bool, SandboxError> {
        for round in 1..=COMPARED {
            let again = machine.store.data_mut().again(round);
            let (mut other, asked) = evaluate(again)?;
            other.wipe_dead_stack(engine.stack());
            machine.store.data_mut().take_host(other.store.data_mut());
            let (one, two) = (machine.store.data(), other.store.data());
            if two.impure
                || asked != outgoing
                || one.waiting_timers() != two.waiting_timers()
                || machine.memory.data(&machine.store) != other.memory.data(&other.store)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What [`Snapshots::restore`] came to.
pub(crate) enum Restored {
    Machine((Box<Machine>, Vec<Outgoing>)),
    Nothing(Box<Guest>),
}

impl Held {
    fn get(&mut self, key: &Key) -> Option<Arc<Snapshot>> {
        self.uses += 1;
        let (used, snapshot) = self.snapshots.get_mut(key)?;
        *used = self.uses;
        Some(Arc::clone(snapshot))
    }

    /// Adds it, and lets go of those that were not used for longest. Gives the one that is held under the key.
    fn put(&mut self, key: Key, snapshot: Arc<Snapshot>) -> Arc<Snapshot> {
        if let Some(other) = self.get(&key) {
            return other;
        }
        self.bytes += snapshot.size;
        self.snapshots.insert(key, (self.uses, Arc::clone(&snapshot)));
        while self.snapshots.len() > 1 && (self.snapshots.len() > MOST_HELD || self.bytes > MOST_HELD_BYTES) {
            let oldest = self.snapshots.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| *key);
            let Some((_, gone)) = oldest.and_then(|key| self.snapshots.remove(&key)) else { break };
            self.bytes = self.bytes.saturating_sub(gone.size);
        }
        snapshot
    }
}

/// Whole pages, as memories have them.
fn is_whole(bytes: usize) -> bool {
    bytes.is_multiple_of(WASM_PAGE)
}

#[cfg(test)]
mod tests;
