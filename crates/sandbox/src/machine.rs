//! The engine's instance in linear memory, and what its exports do.

use wasmtime::{Instance, Memory, Module, Store, Trap, TypedFunc};

use crate::guest::Guest;
use crate::image::{MEMORY, MEMORY_MODULE};
use crate::record::Input;
use crate::{Engine, HostFault, Limits, ModuleKind, SandboxError};

/// The sandbox's globals: one function body in seven files, eight with WebAssembly.
pub(crate) const GLOBALS: &str = concat!(
    include_str!("js/primordials.js"),
    include_str!("js/basics.js"),
    include_str!("js/text.js"),
    include_str!("js/events.js"),
    include_str!("js/url.js"),
    include_str!("js/clone.js"),
    include_str!("js/boundary.js")
);

/// [`GLOBALS`] with the JavaScript `WebAssembly` API, for scripts that may have it.
pub(crate) const GLOBALS_WITH_WEBASSEMBLY: &str = concat!(
    include_str!("js/primordials.js"),
    include_str!("js/basics.js"),
    include_str!("js/text.js"),
    include_str!("js/events.js"),
    include_str!("js/url.js"),
    include_str!("js/clone.js"),
    include_str!("js/webassembly.js"),
    include_str!("js/boundary.js")
);

/// What a script of these limits finds.
pub(crate) fn globals(limits: &Limits) -> &'static str {
    if limits.webassembly { GLOBALS_WITH_WEBASSEMBLY } else { GLOBALS }
}

/// `shim.c`'s names for whose code is evaluated.
#[derive(Clone, Copy)]
pub(crate) enum Layer {
    Globals = 0,
    Prelude = 1,
    Script = 2,
}

/// The engine's instance and its exports.
pub(crate) struct Machine {
    pub(crate) store: Store<Guest>,
    pub(crate) memory: Memory,
    allocate: TypedFunc<u32, u32>,
    evaluate: TypedFunc<(i32, i32, u32, u32, u32), i32>,
    deliver: TypedFunc<(u32, u32), ()>,
    fire: TypedFunc<u32, ()>,
    settled: TypedFunc<(), ()>,
}

/// Why the guest stopped within a call: a trap, to be classified with the guest's state, or a reason known already.
pub(crate) enum Stop {
    Wasm(wasmtime::Error),
    Known(SandboxError),
}

impl From<wasmtime::Error> for Stop {
    fn from(error: wasmtime::Error) -> Self {
        Self::Wasm(error)
    }
}

/// The reason in words that whoever runs the script can use.
pub(crate) fn why(guest: &mut Guest, stop: Stop) -> SandboxError {
    let reason = reason(guest, stop);
    guest.tape.end(Err(&reason));
    reason
}

/// [`why`], for a guest that may not have ended yet.
pub(crate) fn reason(guest: &mut Guest, stop: Stop) -> SandboxError {
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

fn fault(error: wasmtime::Error) -> SandboxError {
    SandboxError::Host(HostFault::Engine(format!("{error:#}")))
}

impl Machine {
    /// An engine that has just been set up and has evaluated nothing.
    pub(crate) fn fresh(engine: &Engine, store: Store<Guest>) -> Result<Box<Self>, SandboxError> {
        let (mut machine, instance) = Self::instantiate(engine, store, engine.fresh())?;
        let store = &mut machine.store;
        let initialize = instance.get_typed_func::<(), ()>(&mut *store, "_initialize").map_err(fault)?;
        let start = instance.get_typed_func::<(u32, u32), i32>(&mut *store, "start").map_err(fault)?;
        let limits = &store.data().limits;
        let heap = u32::try_from(limits.memory_bytes / 4 * 3).unwrap_or(u32::MAX);
        let stack = u32::try_from(limits.stack.min(Limits::MOST_STACK)).unwrap_or(u32::MAX);
        let begun = initialize.call(&mut *store, ()).and_then(|()| start.call(&mut *store, (heap, stack)));
        store.data_mut().begun = true;
        match begun {
            Ok(0) => Ok(machine),
            Ok(_) => Err(SandboxError::Memory),
            Err(error) => Err(why(store.data_mut(), Stop::Wasm(error))),
        }
    }

    /// An engine that goes on with the memory of another. Runs nothing of the guest.
    pub(crate) fn restored(engine: &Engine, store: Store<Guest>, image: &Module) -> Result<Box<Self>, SandboxError> {
        Self::instantiate(engine, store, image).map(|(machine, _)| machine)
    }

    fn instantiate(
        engine: &Engine,
        mut store: Store<Guest>,
        image: &Module,
    ) -> Result<(Box<Self>, Instance), SandboxError> {
        let missing = || SandboxError::Host(HostFault::Engine("it exports no memory".to_owned()));
        let holder = Instance::new(&mut store, image, &[]).map_err(fault)?;
        let memory = holder.get_memory(&mut store, MEMORY).ok_or_else(missing)?;
        store.data_mut().memory = Some(memory);
        // A copy of a table of a dozen imports: the memory is another in each store.
        let mut linker = engine.linker().clone();
        linker.define(&store, MEMORY_MODULE, MEMORY, memory).map_err(fault)?;
        let instance = linker.instantiate(&mut store, engine.code()).map_err(fault)?;
        let allocate = instance.get_typed_func(&mut store, "allocate").map_err(fault)?;
        let evaluate = instance.get_typed_func(&mut store, "evaluate").map_err(fault)?;
        let deliver = instance.get_typed_func(&mut store, "deliver").map_err(fault)?;
        let fire = instance.get_typed_func(&mut store, "fire").map_err(fault)?;
        let settled = instance.get_typed_func(&mut store, "settled").map_err(fault)?;
        Ok((Box::new(Self { store, memory, allocate, evaluate, deliver, fire, settled }), instance))
    }

    /// Everything is evaluated.
    pub(crate) fn settled(&mut self) -> Result<(), Stop> {
        Ok(self.settled.call(&mut self.store, ())?)
    }

    /// Zeros what calls that are over have left below the stack's beginning. Pages that are zeros are only looked at.
    pub(crate) fn wipe_dead_stack(&mut self, stack: usize) {
        const PAGE: usize = 4096;
        let memory = self.memory.data_mut(&mut self.store);
        let dead = memory.len().min(stack);
        for page in memory[..dead].chunks_mut(PAGE) {
            if page.iter().any(|byte| *byte != 0) {
                page.fill(0);
            }
        }
    }

    /// Copies `bytes` and a zero byte into the guest, which frees them.
    pub(crate) fn place(&mut self, bytes: &[u8]) -> Result<u32, Stop> {
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

    /// Hands a message to `boundary.onMessage`.
    pub(crate) fn message(&mut self, message: &[u8]) -> Result<(), Stop> {
        self.store.data().tape.begin(|| Input::Message(message.to_vec()));
        let at = self.place(message)?;
        let length = u32::try_from(message.len()).map_err(|_| Stop::Known(SandboxError::MessageTooLarge))?;
        Ok(self.deliver.call(&mut self.store, (at, length))?)
    }

    /// Runs the callback of a timer.
    pub(crate) fn timer(&mut self, id: u32) -> Result<(), Stop> {
        self.store.data().tape.begin(|| Input::Timer(id));
        Ok(self.fire.call(&mut self.store, id)?)
    }

    pub(crate) fn evaluate(&mut self, layer: Layer, kind: ModuleKind, name: &str, source: &str) -> Result<(), Stop> {
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
