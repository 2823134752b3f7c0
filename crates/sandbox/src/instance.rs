//! One running script.

use std::time::Duration;

use sha2::{Digest, Sha256};
use wasmtime::Store;

use crate::guest::Guest;
use crate::machine::{GLOBALS, Layer, Machine, Stop, why};
use crate::record::{RecordError, Recorder, Tape};
use crate::{Engine, HostCalls, HostFault, Limits, ModuleKind, Outgoing, SandboxError, Script};

/// One running script with its own memory. `Send`, and synchronous: a turn blocks the calling thread.
///
/// After [`SandboxError::Deadline`], `Memory`, `Stack`, `TooManyMessages`, `Trap` or `Host` the instance is dead:
/// every later call returns the same error. Drop it and start another; other instances do not notice.
pub struct Instance {
    engine: Engine,
    state: State,
    recorder: Option<Recorder>,
}

enum State {
    Alive(Box<Machine>),
    Dead(SandboxError),
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").field("memory_used", &self.memory_used()).field("ended", &self.ended()).finish()
    }
}

impl Instance {
    /// Evaluates the sandbox's globals, then `prelude` (the embedder's glue, which alone sees `boundary` and
    /// `primordials`), then `script`, and runs promise jobs until none is left. All of it is one turn.
    ///
    /// # Errors
    /// [`SandboxError::Script`] when an evaluation throws; any other error when a limit breaks.
    pub fn start(
        engine: &Engine,
        limits: &Limits,
        prelude: &[Script<'_>],
        script: Option<Script<'_>>,
        host: Box<dyn HostCalls>,
    ) -> Result<(Self, Vec<Outgoing>), SandboxError> {
        Self::start_on(engine, limits, GLOBALS, prelude, script, host, Tape::Off)
    }

    /// [`Instance::start`], with everything that enters the guest from then on written down. Call
    /// [`Instance::finish_recording`] in the end; a start that fails finishes the recording by itself.
    ///
    /// # Errors
    /// As [`Instance::start`]. A recording that cannot be written disturbs nobody: finishing it tells.
    pub fn start_recorded(
        engine: &Engine,
        limits: &Limits,
        prelude: &[Script<'_>],
        script: Option<Script<'_>>,
        host: Box<dyn HostCalls>,
        recorder: Recorder,
    ) -> Result<(Self, Vec<Outgoing>), SandboxError> {
        recorder.start(limits, prelude, script);
        let tape = Tape::Record(recorder.clone());
        let started = Self::start_on(engine, limits, GLOBALS, prelude, script, host, tape);
        match started {
            Ok((mut instance, outgoing)) => {
                recorder.end(Ok(&outgoing));
                instance.recorder = Some(recorder);
                Ok((instance, outgoing))
            }
            Err(error) => {
                recorder.end(Err(&error));
                if let Err(error) = recorder.finish(None) {
                    tracing::warn!(%error, "a recording is lost");
                }
                Err(error)
            }
        }
    }

    /// [`Instance::start`] with other globals: the corpus of hostile scripts lifts one rule of them at a time.
    #[cfg(test)]
    #[allow(dead_code, reason = "for the tests that lift a rule")]
    fn start_with(
        engine: &Engine,
        limits: &Limits,
        globals: &str,
        prelude: &[Script<'_>],
        script: Option<Script<'_>>,
        host: Box<dyn HostCalls>,
    ) -> Result<(Self, Vec<Outgoing>), SandboxError> {
        Self::start_on(engine, limits, globals, prelude, script, host, Tape::Off)
    }

    /// [`Instance::start_with`], with what enters the guest recorded, or taken from a recording.
    pub(crate) fn start_on(
        engine: &Engine,
        limits: &Limits,
        globals: &str,
        prelude: &[Script<'_>],
        script: Option<Script<'_>>,
        host: Box<dyn HostCalls>,
        tape: Tape,
    ) -> Result<(Self, Vec<Outgoing>), SandboxError> {
        if limits.memory_bytes < Limits::LEAST_MEMORY {
            return Err(SandboxError::Memory);
        }
        let owned = |layer, script: &Script<'_>| (layer, script.kind, script.name.to_owned(), script.source.to_owned());
        let mut sources = vec![(Layer::Globals, ModuleKind::CommonJs, "sandbox.js".to_owned(), globals.to_owned())];
        sources.extend(prelude.iter().map(|file| owned(Layer::Prelude, file)));
        sources.extend(script.iter().map(|file| owned(Layer::Script, file)));
        let mut guest = Guest::new(limits.clone(), host);
        guest.tape = tape;
        let mut store = engine.store(guest);
        let threads = engine.clone();
        let engine = engine.clone();
        threads.threads().run(move || {
            let time = engine.running();
            arm(&mut store);
            let machine = Machine::new(&engine, store)?;
            let (machine, outcome) = turn(machine, |machine| {
                sources
                    .into_iter()
                    .try_for_each(|(layer, kind, name, source)| machine.evaluate(layer, kind, &name, &source))
            });
            drop(time);
            let outgoing = outcome?;
            Ok((Self { engine, state: State::Alive(machine), recorder: None }, outgoing))
        })?
    }

    /// Delivers one message to `boundary.onMessage`, runs promise jobs until none is left, and returns what was
    /// asked of the embedder, in order. `message` is UTF-8 text; other bytes arrive as replacement characters.
    ///
    /// # Errors
    /// [`SandboxError::MessageTooLarge`] (the instance lives on); any other error ends the instance.
    pub fn turn(&mut self, message: &[u8]) -> Result<Vec<Outgoing>, SandboxError> {
        if let State::Alive(machine) = &self.state
            && message.len() > machine.store.data().limits.message_bytes
        {
            return Err(SandboxError::MessageTooLarge);
        }
        let message = message.to_vec();
        self.run(move |machine| machine.message(&message))
    }

    /// Runs the callback of a timer that is due. A timer that is unknown, cleared or already fired does nothing.
    ///
    /// # Errors
    /// As [`Instance::turn`].
    pub fn fire_timer(&mut self, id: u32) -> Result<Vec<Outgoing>, SandboxError> {
        if let State::Alive(machine) = &mut self.state
            && !machine.store.data_mut().take_timer(id)
        {
            return Ok(Vec::new());
        }
        self.run(move |machine| machine.timer(id))
    }

    /// Bytes of linear memory in use, the number that [`Limits::memory_bytes`] caps. 0 once the instance is dead.
    #[must_use]
    pub fn memory_used(&self) -> usize {
        match &self.state {
            State::Alive(machine) => machine.memory.data_size(&machine.store),
            State::Dead(_) => 0,
        }
    }

    /// Why the instance is dead, if it is.
    #[must_use]
    pub fn ended(&self) -> Option<&SandboxError> {
        match &self.state {
            State::Alive(_) => None,
            State::Dead(reason) => Some(reason),
        }
    }

    /// The recording of this instance, while it is being made.
    #[must_use]
    pub fn recorder(&self) -> Option<&Recorder> {
        self.recorder.as_ref()
    }

    /// Ends the recording with the digest of the whole memory, which takes up to some tenths of a second; the instance
    /// goes on without. Nothing when it is not recorded.
    ///
    /// # Errors
    /// The recording is not whole.
    pub fn finish_recording(&mut self) -> Result<(), RecordError> {
        let Some(recorder) = self.recorder.take() else {
            return Ok(());
        };
        let digest = self.memory_digest();
        if let State::Alive(machine) = &mut self.state {
            machine.store.data_mut().tape = Tape::Off;
        }
        recorder.finish(digest)
    }

    /// SHA-256 of the linear memory; none once the instance is dead.
    #[must_use]
    pub fn memory_digest(&self) -> Option<[u8; 32]> {
        match &self.state {
            State::Alive(machine) => Some(Sha256::digest(machine.memory.data(&machine.store)).into()),
            State::Dead(_) => None,
        }
    }

    /// Other time for the turns to come.
    pub(crate) fn allow_turn(&mut self, turn: Duration) {
        if let State::Alive(machine) = &mut self.state {
            machine.store.data_mut().limits.turn = turn;
        }
    }

    fn run(
        &mut self,
        work: impl FnOnce(&mut Machine) -> Result<(), Stop> + Send + 'static,
    ) -> Result<Vec<Outgoing>, SandboxError> {
        // Dead until proven alive: a panic in a host call leaves it so.
        let lost = State::Dead(SandboxError::Host(HostFault::Panicked));
        let mut machine = match std::mem::replace(&mut self.state, lost) {
            State::Alive(machine) => machine,
            State::Dead(reason) => {
                self.state = State::Dead(reason.clone());
                return Err(reason);
            }
        };
        let engine = self.engine.clone();
        let (machine, outcome) = self.engine.threads().run(move || {
            let _time = engine.running();
            arm(&mut machine.store);
            turn(machine, work)
        })?;
        self.state = match &outcome {
            Ok(_) => State::Alive(machine),
            Err(reason) => State::Dead(reason.clone()),
        };
        outcome
    }
}

/// Gives the store the time of one turn, from now.
fn arm(store: &mut Store<Guest>) {
    let ticks = store.data().limits.turn.as_millis().div_ceil(Limits::TICK.as_millis());
    // One more, as the current tick has partly passed.
    store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX / 4).saturating_add(1));
}

fn turn(
    mut machine: Box<Machine>,
    work: impl FnOnce(&mut Machine) -> Result<(), Stop>,
) -> (Box<Machine>, Result<Vec<Outgoing>, SandboxError>) {
    machine.store.data_mut().begin_turn();
    let outcome = match work(&mut machine) {
        Ok(()) => Ok(machine.store.data_mut().end_turn()),
        Err(stop) => Err(why(machine.store.data_mut(), stop)),
    };
    (machine, outcome)
}

#[cfg(test)]
mod tests;
