//! The compiled JavaScript engine, shared by all instances.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wasmtime::{Config, Linker, Module, Store, UpdateDeadline};

use crate::compute::Assets;
use crate::error::HostFault;
use crate::gate::Gate;
use crate::guest::{self, Guest};
use crate::snapshot::Snapshots;
use crate::threads::GUEST_STACK;
use crate::webassembly::Compiler;
use crate::{cache, image};

/// The JavaScript engine, compiled for this machine. Cheap to clone; one for the whole program is enough.
///
/// Owns one thread that lets time pass and a few on which turns run; they end with the last clone and the last
/// instance.
#[derive(Clone)]
pub struct Engine {
    parts: Arc<Parts>,
}

struct Parts {
    engine: wasmtime::Engine,
    /// The engine's code, which imports its memory.
    code: Module,
    /// The imports but for the memory.
    linker: Linker<Guest>,
    /// The memory of an engine that has not run yet.
    fresh: Module,
    /// Where the engine's own stack begins and, as it grows downwards, what lies below it.
    stack: usize,
    snapshots: Snapshots,
    gate: Gate,
    assets: Assets,
    /// For modules of scripts.
    compiler: Arc<Compiler>,
    cache_dir: Option<PathBuf>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    /// Compiles the embedded engine, about two seconds, or takes the compiled one from `cache_dir`, well under a
    /// millisecond. The directory is created with mode 0700 and must belong to this user alone.
    ///
    /// # Errors
    /// The directory cannot be used, or the engine does not fit this build.
    pub fn new(cache_dir: Option<&Path>) -> Result<Self, HostFault> {
        Self::with_stack(cache_dir, GUEST_STACK)
    }

    /// [`Engine::new`] with another native stack for guests, which a test lifts.
    pub(crate) fn with_stack(cache_dir: Option<&Path>, guest_stack: usize) -> Result<Self, HostFault> {
        let fault = |error: wasmtime::Error| HostFault::Engine(format!("{error:#}"));
        let mut config = Config::new();
        config.epoch_interruption(true);
        config.max_wasm_stack(guest_stack);
        // Unused without async guests, but checked to be the larger one.
        config.async_stack_size(2 * guest_stack);
        // The names are stripped; a trap's kind says all there is to say.
        config.wasm_backtrace_max_frames(None);
        let engine = wasmtime::Engine::new(&config).map_err(fault)?;
        let taken_apart = image::split(cache::ENGINE)?;
        let code = cache::load_or_compile(&engine, &taken_apart.code, cache_dir)?;
        let fresh = image::module(&engine, &taken_apart.image)?;
        let mut linker = Linker::new(&engine);
        guest::link(&mut linker).map_err(fault)?;
        // As many turns at a time as cores: more would only take them from one another.
        let gate = Gate::start(&engine, std::thread::available_parallelism().map_or(1, usize::from))?;
        let stack = taken_apart.stack;
        let snapshots = Snapshots::new(cache_dir);
        let compiler = Arc::new(Compiler::new(cache_dir));
        let (assets, cache_dir) = (Assets::default(), cache_dir.map(Path::to_owned));
        let parts = Parts { engine, code, linker, fresh, stack, snapshots, gate, assets, compiler, cache_dir };
        Ok(Self { parts: Arc::new(parts) })
    }

    pub(crate) fn store(&self, mut guest: Guest) -> Store<Guest> {
        if guest.limits.webassembly {
            guest.compiler = Some(Arc::clone(&self.parts.compiler));
        }
        let mut store = Store::new(&self.parts.engine, guest);
        store.limiter(|guest| guest);
        store.epoch_deadline_callback(|mut store| match store.data_mut().tick() {
            Ok(()) => Ok(UpdateDeadline::Continue(1)),
            Err(reason) => {
                store.data_mut().broken = Some(reason);
                Ok(UpdateDeadline::Interrupt)
            }
        });
        store
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.parts.engine
    }

    pub(crate) fn code(&self) -> &Module {
        &self.parts.code
    }

    pub(crate) fn linker(&self) -> &Linker<Guest> {
        &self.parts.linker
    }

    pub(crate) fn fresh(&self) -> &Module {
        &self.parts.fresh
    }

    pub(crate) fn stack(&self) -> usize {
        self.parts.stack
    }

    pub(crate) fn snapshots(&self) -> &Snapshots {
        &self.parts.snapshots
    }

    pub(crate) fn assets(&self) -> &Assets {
        &self.parts.assets
    }

    pub(crate) fn cache_dir(&self) -> Option<&Path> {
        self.parts.cache_dir.as_deref()
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.parts.gate
    }
}
