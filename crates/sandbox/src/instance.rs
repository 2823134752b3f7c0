//! One running script.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::account::Account;
use crate::guest::Guest;
use crate::machine::{Layer, Machine, globals};
use crate::record::{RecordError, Recorder, Tape};
use crate::snapshot::{Key, Restored, Source};
use crate::turns::{end_turn, enter, leave, on_thread, turn};
use crate::{
    Engine, HostCalls, HostFault, Input, Limits, Meter, Outgoing, Prepared, Runner, SandboxError, Script, prepared,
};

/// One running script with its own memory. `Send`, and synchronous: a turn blocks the calling thread, also while it
/// waits for CPU. Programs with many instances use [`Instance::into_runner`].
///
/// After [`SandboxError::Deadline`], `Memory`, `Stack`, `TooManyMessages`, `Trap` or `Host` the instance is dead:
/// every later call returns the same error. Drop it and start another; other instances do not notice.
pub struct Instance {
    engine: Engine,
    account: Arc<Account>,
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
        Self::start_on(engine, limits, globals(limits), prelude, script, host, Tape::Off)
    }

    /// [`Instance::start`] of a script that was prepared for it, recorded where there is a recorder.
    ///
    /// # Errors
    /// As [`Instance::start`] and [`Instance::start_recorded`].
    pub fn start_prepared(
        engine: &Engine,
        prepared: &Prepared,
        host: Box<dyn HostCalls>,
        recorder: Option<Recorder>,
    ) -> Result<(Self, Vec<Outgoing>), SandboxError> {
        let limits = prepared.limits();
        let Some(recorder) = recorder else {
            return Self::start_sources(engine, limits, prepared.sources(), || prepared.key(), host, Tape::Off);
        };
        let (prelude, script) = prepared.files();
        Self::start_recorded(engine, limits, &prelude, script, host, recorder)
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
        let started = Self::start_on(engine, limits, globals(limits), prelude, script, host, tape);
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
        let owned = |layer, script: &Script<'_>| Source {
            layer,
            kind: script.kind,
            name: script.name.to_owned().into(),
            text: script.source.to_owned().into(),
        };
        let mut sources = vec![prepared::globals(globals.to_owned().into())];
        sources.extend(prelude.iter().map(|file| owned(Layer::Prelude, file)));
        sources.extend(script.iter().map(|file| owned(Layer::Script, file)));
        let sources = sources.into();
        Self::start_sources(engine, limits, &sources, || Key::new(limits, &sources), host, tape)
    }

    fn start_sources(
        engine: &Engine,
        limits: &Limits,
        sources: &Arc<[Source]>,
        key: impl FnOnce() -> Key,
        host: Box<dyn HostCalls>,
        tape: Tape,
    ) -> Result<(Self, Vec<Outgoing>), SandboxError> {
        if limits.memory_bytes < Limits::LEAST_MEMORY {
            return Err(SandboxError::Memory);
        }
        // A recording begins with the evaluation itself, so that it can be replayed from the sources.
        let recorded = !matches!(tape, Tape::Off);
        let account = Account::new(limits);
        let mut guest = Guest::new(limits.clone(), host);
        guest.tape = tape;
        let evaluate = |guest| Self::evaluated(engine, &account, guest, Arc::clone(sources));
        let (machine, outgoing) = if recorded {
            evaluate(guest)?
        } else {
            let key = key();
            match engine.snapshots().restore(engine, &key, guest)? {
                Restored::Machine(started) => started,
                Restored::Nothing(guest) => engine.snapshots().settle(engine, &key, *guest, evaluate)?,
            }
        };
        account.set_memory(machine.memory.data_size(&machine.store));
        Ok((Self { engine: engine.clone(), account, state: State::Alive(machine), recorder: None }, outgoing))
    }

    /// A new engine that has evaluated the sources, all of them in one turn.
    fn evaluated(
        engine: &Engine,
        account: &Arc<Account>,
        guest: Guest,
        sources: Arc<[Source]>,
    ) -> Result<(Box<Machine>, Vec<Outgoing>), SandboxError> {
        let mut store = engine.store(guest);
        let (account, theirs) = (Arc::clone(account), engine.clone());
        on_thread(engine, &Arc::clone(&account), move |permit| {
            store.data_mut().permit = Some(permit);
            store.data_mut().begin_turn();
            store.set_epoch_deadline(1);
            let mut machine = Machine::fresh(&theirs, store)?;
            let outcome = sources
                .iter()
                .try_for_each(|source| machine.evaluate(source.layer, source.kind, &source.name, &source.text))
                .and_then(|()| machine.settled());
            let outgoing = end_turn(&mut machine, outcome)?;
            leave(&mut machine, &account);
            Ok((machine, outgoing))
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
        self.run(Input::Message(message.to_vec()))
    }

    /// Runs the callback of a timer that is due. A timer that is unknown, cleared or already fired does nothing.
    ///
    /// # Errors
    /// As [`Instance::turn`].
    pub fn fire_timer(&mut self, id: u32) -> Result<Vec<Outgoing>, SandboxError> {
        self.run(Input::Timer(id))
    }

    /// Lets the instance work through its inputs on the sandbox's threads, without a thread that waits for it.
    #[must_use]
    pub fn into_runner(self) -> Runner {
        match self.state {
            State::Alive(machine) => Runner::new(self.engine, self.account, machine, self.recorder),
            State::Dead(reason) => Runner::ended(self.engine, self.account, reason),
        }
    }

    /// The way back from [`Instance::into_runner`].
    pub(crate) fn again(
        engine: Engine,
        account: Arc<Account>,
        machine: Result<Box<Machine>, SandboxError>,
        recorder: Option<Recorder>,
    ) -> Self {
        let state = match machine {
            Ok(machine) => State::Alive(machine),
            Err(reason) => State::Dead(reason),
        };
        Self { engine, account, state, recorder }
    }

    /// Reads what the instance has used; goes on reading when the instance has become a [`Runner`] or has ended.
    #[must_use]
    pub fn meter(&self) -> Meter {
        Meter { account: Arc::clone(&self.account) }
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

    fn run(&mut self, input: Input) -> Result<Vec<Outgoing>, SandboxError> {
        // Dead until proven alive: a panic in a host call leaves it so.
        let lost = State::Dead(SandboxError::Host(HostFault::Panicked));
        let mut machine = match std::mem::replace(&mut self.state, lost) {
            State::Alive(machine) => machine,
            State::Dead(reason) => {
                self.state = State::Dead(reason.clone());
                return Err(reason);
            }
        };
        let account = Arc::clone(&self.account);
        let (state, outcome) = on_thread(&self.engine, &self.account, move |permit| {
            enter(&mut machine, permit);
            let outcome = turn(&mut machine, input);
            leave(&mut machine, &account);
            match outcome {
                Ok(outgoing) => (State::Alive(machine), Ok(outgoing)),
                Err(reason) => {
                    account.set_memory(0);
                    (State::Dead(reason.clone()), Err(reason))
                }
            }
        })?;
        self.state = state;
        outcome
    }
}

#[cfg(test)]
mod tests;
