//! Modules of scripts become machine code.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use cpu_time::ThreadTime;
use sha2::{Digest, Sha256};
use wasmtime::Module;

use super::check::{self, MOST_MODULE_BYTES};
use super::rewrite::{self, Interface};
use crate::cache;
use crate::compute::ComputeError;

/// A module, ready to be instantiated.
pub(crate) struct Compiled {
    pub(super) module: Module,
    pub(super) interface: Interface,
    /// Bytes as rewritten.
    pub(super) size: usize,
    /// What an instance of it costs, estimated.
    pub(super) instance_bytes: usize,
}

/// Compiles for all scripts of an engine, one module at a time on a thread of its own: wasmtime would use every core.
/// Code that some script has is shared; code that none has any more is found in the cache directory.
pub(crate) struct Compiler {
    dir: Option<PathBuf>,
    known: Mutex<HashMap<[u8; 32], Weak<Compiled>>>,
    thread: Mutex<Option<rayon::ThreadPool>>,
}

impl Compiler {
    pub(crate) fn new(dir: Option<&Path>) -> Self {
        Self { dir: dir.map(Path::to_owned), known: Mutex::default(), thread: Mutex::default() }
    }

    /// The module, and the processor time that it took, which is the script's also where it comes to nothing.
    pub(super) fn compile(
        &self,
        engine: &wasmtime::Engine,
        wasm: &[u8],
    ) -> (Result<Arc<Compiled>, ComputeError>, Duration) {
        let mut took = Duration::ZERO;
        (self.timed(engine, wasm, &mut took), took)
    }

    fn timed(
        &self,
        engine: &wasmtime::Engine,
        wasm: &[u8],
        took: &mut Duration,
    ) -> Result<Arc<Compiled>, ComputeError> {
        let refused = ComputeError::Refused;
        if wasm.len() > MOST_MODULE_BYTES {
            let found = wasm.len();
            return Err(refused(format!(
                "the module has {found} bytes; at most {MOST_MODULE_BYTES} are compiled within a script: make it smaller, or \
                 an asset of the package, which compute() runs beside the script"
            )));
        }
        check::valid(wasm).map_err(refused)?;
        let rewritten = rewrite::rewrite(wasm).map_err(refused)?;
        check::before_compiling(&rewritten.wasm).map_err(refused)?;
        let digest: [u8; 32] = Sha256::digest(&rewritten.wasm).into();
        // Names are not part of the rewritten bytes: two modules may be the same but for them.
        let whole: [u8; 32] = Sha256::digest(wasm).into();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.known().get(&whole).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let thread = match &mut *thread {
            Some(thread) => thread,
            none => none.insert(crate::compute::one_thread("sandbox modules", 10)?),
        };
        let (module, spent) = thread.install(|| {
            let begun = ThreadTime::try_now().ok();
            let dir = self.dir.as_deref();
            let module = cache::load_or_compile_module(engine, &rewritten.wasm, &digest, dir);
            (module, begun.and_then(|begun| begun.try_elapsed().ok()).unwrap_or_default())
        });
        *took = spent;
        let module = module?;
        let size = rewritten.wasm.len();
        let instance_bytes = super::INSTANCE_BYTES + super::SLOT_BYTES * rewritten.items;
        let compiled = Arc::new(Compiled { module, interface: rewritten.interface, size, instance_bytes });
        let mut known = self.known();
        known.retain(|_, held| held.strong_count() > 0);
        known.insert(whole, Arc::downgrade(&compiled));
        Ok(compiled)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Weak<Compiled>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
