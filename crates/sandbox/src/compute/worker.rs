//! One run of an asset, on a thread of the sandbox, with a permit.

use tokio::sync::watch;
use wasmtime::{Caller, InstancePre, Linker, Memory, ResourceLimiter, Store, Trap, UpdateDeadline};

use super::check::IMPORTS_FROM;
use super::{ComputeError, ComputeLimits, Progress};
use crate::SandboxError;
use crate::gate::Permit;

/// Most entries of the asset's function tables together. Large C++ programs have a few thousand.
const MOST_TABLE_ENTRIES: usize = 100_000;

/// Most linear memories: each reserves address space. Compilers make one.
const MOST_MEMORIES: usize = 4;

/// Longest text of `fail` that is kept, in bytes.
const MOST_FAILURE: u32 = 1024;

/// Host state of one run.
pub(crate) struct Worker {
    limits: ComputeLimits,
    permit: Permit,
    progress: watch::Sender<Progress>,
    memory_used: usize,
    table_entries: usize,
    /// Growth was refused: the likely reason for whatever comes next.
    starved: bool,
    /// Why the host stopped it.
    broken: Option<ComputeError>,
}

impl ResourceLimiter for Worker {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.memory_used.saturating_add(desired.saturating_sub(current));
        let fits = used <= self.limits.memory_bytes;
        if fits {
            self.memory_used = used;
        } else {
            self.starved = true;
        }
        Ok(fits)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let entries = self.table_entries.saturating_add(desired.saturating_sub(current));
        let fits = entries <= MOST_TABLE_ENTRIES;
        if fits {
            self.table_entries = entries;
        } else {
            self.starved = true;
        }
        Ok(fits)
    }

    fn memories(&self) -> usize {
        MOST_MEMORIES
    }
}

/// Adds the imports of assets.
pub(super) fn link(linker: &mut Linker<Worker>) -> wasmtime::Result<()> {
    linker.func_wrap(IMPORTS_FROM, "progress", progress)?;
    linker.func_wrap(IMPORTS_FROM, "fail", fail)?;
    Ok(())
}

fn progress(caller: Caller<'_, Worker>, done: f64, total: f64) {
    let number = |given: f64| if given.is_finite() { given.max(0.0) } else { 0.0 };
    caller.data().progress.send_replace(Progress { done: number(done), total: number(total) });
}

fn fail(mut caller: Caller<'_, Worker>, at: u32, length: u32) -> wasmtime::Result<()> {
    let memory = caller.get_export("memory").and_then(wasmtime::Extern::into_memory);
    let text = memory.and_then(|memory| {
        let start = usize::try_from(at).ok()?;
        let end = start.checked_add(usize::try_from(length.min(MOST_FAILURE)).ok()?)?;
        memory.data(&caller).get(start..end).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    });
    let text = text.unwrap_or_else(|| "it gave a reason outside of its memory".to_owned());
    caller.data_mut().broken = Some(ComputeError::Failed(text));
    Err(wasmtime::Error::msg("the asset has failed"))
}

/// Runs `export` over `input` in a fresh instance.
pub(super) fn run(
    linked: &InstancePre<Worker>,
    mut permit: Permit,
    export: &str,
    input: &[u8],
    limits: ComputeLimits,
    progress: watch::Sender<Progress>,
) -> Result<Vec<u8>, ComputeError> {
    permit.begin_turn(limits.cpu);
    let worker = Worker { limits, permit, progress, memory_used: 0, table_entries: 0, starved: false, broken: None };
    let mut store = Store::new(linked.module().engine(), worker);
    store.limiter(|worker| worker);
    store.epoch_deadline_callback(|mut store| match store.data_mut().permit.tick() {
        Ok(()) => Ok(UpdateDeadline::Continue(1)),
        Err(reason) => {
            store.data_mut().broken = Some(match reason {
                SandboxError::Deadline => ComputeError::Deadline,
                _ => ComputeError::Cancelled,
            });
            Ok(UpdateDeadline::Interrupt)
        }
    });
    store.set_epoch_deadline(1);
    let outcome = call(&mut store, linked, export, input);
    let worker = store.data_mut();
    let in_time = worker.permit.end_turn().map_err(|_| Stop::Known(ComputeError::Deadline));
    outcome.and_then(|answer| in_time.map(|()| answer)).map_err(|stop| match stop {
        Stop::Known(reason) => reason,
        Stop::Wasm(error) => why(worker, &error),
    })
}

enum Stop {
    Wasm(wasmtime::Error),
    Known(ComputeError),
}

impl From<wasmtime::Error> for Stop {
    fn from(error: wasmtime::Error) -> Self {
        Self::Wasm(error)
    }
}

impl From<ComputeError> for Stop {
    fn from(error: ComputeError) -> Self {
        Self::Known(error)
    }
}

fn call(store: &mut Store<Worker>, linked: &InstancePre<Worker>, export: &str, input: &[u8]) -> Result<Vec<u8>, Stop> {
    let interface = |problem: &str| ComputeError::Interface(problem.to_owned());
    let instance = linked.instantiate(&mut *store)?;
    if instance.get_func(&mut *store, "_initialize").is_some() {
        let initialize = instance
            .get_typed_func::<(), ()>(&mut *store, "_initialize")
            .map_err(|_| interface("its export \"_initialize\" takes or gives something"))?;
        initialize.call(&mut *store, ())?;
    }
    let memory = instance.get_memory(&mut *store, "memory").ok_or_else(|| interface("it exports no \"memory\""))?;
    let entry = instance
        .get_typed_func::<(u32, u32), u64>(&mut *store, export)
        .map_err(|_| interface("the export is no function (i32, i32) -> i64"))?;
    let at = if input.is_empty() { 0 } else { place(store, &instance, memory, input)? };
    let length = u32::try_from(input.len()).map_err(|_| ComputeError::Memory)?;
    let packed = entry.call(&mut *store, (at, length))?;
    output(store, memory, packed)
}

/// Copies the input to where the asset wants it.
fn place(store: &mut Store<Worker>, instance: &wasmtime::Instance, memory: Memory, input: &[u8]) -> Result<u32, Stop> {
    let allocate = instance.get_typed_func::<u32, u32>(&mut *store, "allocate").map_err(|_| {
        ComputeError::Interface("it exports no function \"allocate\" (i32) -> i32 for its input".to_owned())
    })?;
    let length = u32::try_from(input.len()).map_err(|_| ComputeError::Memory)?;
    let at = allocate.call(&mut *store, length)?;
    if at == 0 {
        return Err(ComputeError::Memory.into());
    }
    let start = usize::try_from(at).map_err(|_| ComputeError::Memory)?;
    let room = memory.data_mut(&mut *store).get_mut(start..).and_then(|rest| rest.get_mut(..input.len()));
    let room =
        room.ok_or_else(|| ComputeError::Interface("its \"allocate\" gave a place outside of its memory".to_owned()))?;
    room.copy_from_slice(input);
    Ok(at)
}

/// Takes the output out: the upper half of the number is where it is, the lower half its length.
fn output(store: &Store<Worker>, memory: Memory, packed: u64) -> Result<Vec<u8>, Stop> {
    const LOW: u64 = u32::MAX as u64;
    let outside = || ComputeError::Interface("its output lies outside of its memory".to_owned());
    let start = usize::try_from(packed >> 32).map_err(|_| outside())?;
    let length = usize::try_from(packed & LOW).map_err(|_| outside())?;
    let most = store.data().limits.output_bytes;
    if length > most {
        return Err(ComputeError::OutputTooLarge { found: length, most }.into());
    }
    let bytes = memory.data(store).get(start..).and_then(|rest| rest.get(..length)).ok_or_else(outside)?;
    Ok(bytes.to_vec())
}

fn why(worker: &mut Worker, error: &wasmtime::Error) -> ComputeError {
    if let Some(reason) = worker.broken.take() {
        return reason;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => ComputeError::Stack,
        // A C or Rust program that gets no memory traps: say what it was.
        _ if worker.starved => ComputeError::Memory,
        Some(trap) => ComputeError::Trap(trap.to_string()),
        None => ComputeError::Trap(error.root_cause().to_string()),
    }
}
