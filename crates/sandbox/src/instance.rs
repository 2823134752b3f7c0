//! One running script.

use wasmtime::{Memory, Store, Trap, TypedFunc};

use crate::guest::Guest;
use crate::{Engine, HostCalls, HostFault, Limits, ModuleKind, Outgoing, SandboxError, Script};

/// The sandbox's globals: one function body in four files.
const GLOBALS: &str = concat!(
    include_str!("js/primordials.js"),
    include_str!("js/basics.js"),
    include_str!("js/web.js"),
    include_str!("js/boundary.js")
);

/// `shim.c`'s names for whose code is evaluated.
#[derive(Clone, Copy)]
enum Layer {
    Globals = 0,
    Prelude = 1,
    Script = 2,
}

/// One running script with its own memory. `Send`, and synchronous: a turn blocks the calling thread.
///
/// After [`SandboxError::Deadline`], `Memory`, `Stack`, `TooManyMessages`, `Trap` or `Host` the instance is dead:
/// every later call returns the same error. Drop it and start another; other instances do not notice.
pub struct Instance {
    engine: Engine,
    state: State,
}

enum State {
    Alive(Box<Machine>),
    Dead(SandboxError),
}

/// The engine's instance and its exports.
struct Machine {
    store: Store<Guest>,
    memory: Memory,
    allocate: TypedFunc<u32, u32>,
    evaluate: TypedFunc<(i32, i32, u32, u32, u32), i32>,
    deliver: TypedFunc<(u32, u32), ()>,
    fire: TypedFunc<u32, ()>,
}

/// Why the guest stopped within a call: a trap, to be classified with the guest's state, or a reason known already.
enum Stop {
    Wasm(wasmtime::Error),
    Known(SandboxError),
}

impl From<wasmtime::Error> for Stop {
    fn from(error: wasmtime::Error) -> Self {
        Self::Wasm(error)
    }
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
        if limits.memory_bytes < Limits::LEAST_MEMORY {
            return Err(SandboxError::Memory);
        }
        let owned = |layer, script: &Script<'_>| (layer, script.kind, script.name.to_owned(), script.source.to_owned());
        let mut sources = vec![(Layer::Globals, ModuleKind::CommonJs, "sandbox.js".to_owned(), GLOBALS.to_owned())];
        sources.extend(prelude.iter().map(|file| owned(Layer::Prelude, file)));
        sources.extend(script.iter().map(|file| owned(Layer::Script, file)));
        let mut store = engine.store(Guest::new(limits.clone(), host));
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
            Ok((Self { engine, state: State::Alive(machine) }, outgoing))
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
        self.run(move |machine| {
            let at = machine.place(&message)?;
            let length = u32::try_from(message.len()).map_err(|_| Stop::Known(SandboxError::MessageTooLarge))?;
            Ok(machine.deliver.call(&mut machine.store, (at, length))?)
        })
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
        self.run(move |machine| Ok(machine.fire.call(&mut machine.store, id)?))
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

fn why(guest: &mut Guest, stop: Stop) -> SandboxError {
    let error = match stop {
        Stop::Known(reason) => return reason,
        Stop::Wasm(error) => error,
    };
    if let Some(reason) = guest.broken.take() {
        return reason;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => SandboxError::Deadline,
        Some(Trap::StackOverflow) => SandboxError::Stack,
        Some(trap) => SandboxError::Trap(trap.to_string()),
        None => SandboxError::Trap(error.root_cause().to_string()),
    }
}

impl Machine {
    fn new(engine: &Engine, mut store: Store<Guest>) -> Result<Box<Self>, SandboxError> {
        let fault = |error: wasmtime::Error| SandboxError::Host(HostFault::Engine(format!("{error:#}")));
        let instance = engine.linked().instantiate(&mut store).map_err(fault)?;
        let missing = || SandboxError::Host(HostFault::Engine("it exports no memory".to_owned()));
        let memory = instance.get_memory(&mut store, "memory").ok_or_else(missing)?;
        store.data_mut().memory = Some(memory);
        let initialize = instance.get_typed_func::<(), ()>(&mut store, "_initialize").map_err(fault)?;
        let start = instance.get_typed_func::<(u32, u32), i32>(&mut store, "start").map_err(fault)?;
        let allocate = instance.get_typed_func(&mut store, "allocate").map_err(fault)?;
        let evaluate = instance.get_typed_func(&mut store, "evaluate").map_err(fault)?;
        let deliver = instance.get_typed_func(&mut store, "deliver").map_err(fault)?;
        let fire = instance.get_typed_func(&mut store, "fire").map_err(fault)?;
        let limits = &store.data().limits;
        let heap = u32::try_from(limits.memory_bytes / 4 * 3).unwrap_or(u32::MAX);
        let stack = u32::try_from(limits.stack.min(Limits::MOST_STACK)).unwrap_or(u32::MAX);
        let begun = initialize.call(&mut store, ()).and_then(|()| start.call(&mut store, (heap, stack)));
        match begun {
            Ok(0) => Ok(Box::new(Self { store, memory, allocate, evaluate, deliver, fire })),
            Ok(_) => Err(SandboxError::Memory),
            Err(error) => Err(why(store.data_mut(), Stop::Wasm(error))),
        }
    }

    /// Copies `bytes` and a zero byte into the guest, which frees them.
    fn place(&mut self, bytes: &[u8]) -> Result<u32, Stop> {
        let memory_error = || Stop::Known(SandboxError::Memory);
        let length = u32::try_from(bytes.len() + 1).map_err(|_| memory_error())?;
        let at = self.allocate.call(&mut self.store, length)?;
        let start = usize::try_from(at).map_err(|_| memory_error())?;
        if start == 0 {
            return Err(memory_error());
        }
        let memory = self.memory.data_mut(&mut self.store);
        let room = memory.get_mut(start..=start + bytes.len()).ok_or_else(memory_error)?;
        room[..bytes.len()].copy_from_slice(bytes);
        room[bytes.len()] = 0;
        Ok(at)
    }

    fn evaluate(&mut self, layer: Layer, kind: ModuleKind, name: &str, source: &str) -> Result<(), Stop> {
        let kind = match kind {
            ModuleKind::EsModule => 0,
            ModuleKind::CommonJs => 1,
        };
        let name = self.place(name.as_bytes())?;
        let at = self.place(source.as_bytes())?;
        let length = u32::try_from(source.len()).map_err(|_| Stop::Known(SandboxError::Memory))?;
        if self.evaluate.call(&mut self.store, (layer as i32, kind, name, at, length))? == 0 {
            return Ok(());
        }
        let unexplained = || SandboxError::Trap("an evaluation failed without a reason".to_owned());
        Err(Stop::Known(self.store.data_mut().thrown.take().unwrap_or_else(unexplained)))
    }
}

#[cfg(test)]
mod tests;
