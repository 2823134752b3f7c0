//! Heavy work: a WebAssembly asset in an instance of its own, beside the script.
//!
//! **Why not in the script's engine.** JavaScript in the sandbox is interpreted: a proof or a large hash tree would take
//! minutes and hold the script's mailbox all the while. An asset is compiled to machine code by Cranelift as the engine
//! itself is, and runs on another thread with a memory and a time budget of its own.
//!
//! **Who owns whom.** An [`Asset`] is compiled code, shared by everybody who asks for the same bytes. A [`Computation`]
//! owns one run of it; dropping it ends the run at its next loop or call. Runs go through the same gate as turns
//! (`gate.rs`), as heavy ones from the first instruction on: light turns never wait for them, and among themselves and
//! with heavy scripts they share the cores by CPU used.
//!
//! **What it can do.** Numbers in, numbers out: no clock, no randomness, no files, no network, nothing of the wallet.
//! What comes out depends on asset and input alone (but for the bits of a NaN), so that a recorded run need not keep
//! more than the answer.
//!
//! The ABI of an asset stands in `docs/plugins/compute.md`.

mod check;
mod worker;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::{oneshot, watch};
use wasmtime::{InstancePre, Linker};

use crate::account::Account;
use crate::{Engine, HostFault, cache};
use worker::Worker;

/// Largest asset in bytes. Cranelift needs a few seconds for a megabyte on one core; the largest provers are below this.
pub const MOST_ASSET_BYTES: usize = 16 << 20;

/// What one computation may use. [`ComputeLimits::default`] suits an ordinary asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputeLimits {
    /// All its linear memories together, in bytes: an exact cap. Default 64 MiB.
    pub memory_bytes: usize,
    /// CPU time, waiting for a core not counted. Default 10 s.
    pub cpu: Duration,
    /// Largest input in bytes. Default 16 MiB.
    pub input_bytes: usize,
    /// Largest output in bytes. Default 16 MiB.
    pub output_bytes: usize,
}

impl Default for ComputeLimits {
    fn default() -> Self {
        Self { memory_bytes: 64 << 20, cpu: Duration::from_secs(10), input_bytes: 16 << 20, output_bytes: 16 << 20 }
    }
}

/// How far a computation is, in the asset's own units: untrusted numbers, but finite and not negative.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Done so far.
    pub done: f64,
    /// All there is to do; 0 when the asset does not know.
    pub total: f64,
}

/// Why there is no output. Every variant but [`ComputeError::Host`] is the doing of the asset or of who called it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComputeError {
    /// Not WebAssembly, or of a kind that is not taken.
    #[error("the asset cannot be used: {0}")]
    Refused(String),
    /// It lacks what the ABI asks for, or has another type.
    #[error("the asset does not keep to the interface of assets: {0}; see docs/plugins/compute.md")]
    Interface(String),
    /// [`ComputeLimits::cpu`] is used up.
    #[error("the computation took more processor time than it was given; split it, or ask for more in the manifest")]
    Deadline,
    /// It needed more than [`ComputeLimits::memory_bytes`].
    #[error("the computation needs more memory than it was given; ask for more in the manifest")]
    Memory,
    /// Its calls went too deep.
    #[error("the computation ran out of stack; recurse less deeply")]
    Stack,
    /// It stopped in another way.
    #[error("the computation stopped: {0}")]
    Trap(String),
    /// It called `fail`: its own words, untrusted, at most a kilobyte.
    #[error("the computation failed: {0}")]
    Failed(String),
    /// Beyond [`ComputeLimits::input_bytes`].
    #[error("the input of {found} bytes is larger than the {most} that a computation takes")]
    InputTooLarge {
        /// Bytes given.
        found: usize,
        /// The limit.
        most: usize,
    },
    /// Beyond [`ComputeLimits::output_bytes`].
    #[error("the output of {found} bytes is larger than the {most} that a computation may give")]
    OutputTooLarge {
        /// Bytes that the asset wanted to give.
        found: usize,
        /// The limit.
        most: usize,
    },
    /// Nobody wanted it any more.
    #[error("the computation was cancelled")]
    Cancelled,
    /// Not the asset's doing.
    #[error("the sandbox failed")]
    Host(#[from] HostFault),
}

/// Checked and compiled WebAssembly, ready to run. Cheap to clone.
#[derive(Clone)]
pub struct Asset {
    linked: Arc<InstancePre<Worker>>,
}

impl std::fmt::Debug for Asset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asset").finish_non_exhaustive()
    }
}

/// Compiled assets that somebody holds, by the digest of their bytes, and the one thread that compiles.
#[derive(Default)]
pub(crate) struct Assets {
    known: Mutex<HashMap<[u8; 32], Weak<InstancePre<Worker>>>>,
    compiler: Mutex<Option<rayon::ThreadPool>>,
}

impl Engine {
    /// Compiles an asset, or takes it from whoever has it already: another holder, or the cache directory. Blocks for
    /// as long as Cranelift takes; one asset is compiled at a time, on one thread of low priority, because nothing
    /// can stop Cranelift once it has begun.
    ///
    /// # Errors
    /// [`ComputeError::Refused`] or [`ComputeError::Interface`] names what does not fit.
    pub fn asset(&self, wasm: &[u8]) -> Result<Asset, ComputeError> {
        let digest: [u8; 32] = Sha256::digest(wasm).into();
        if let Some(linked) = self.assets().held(&digest) {
            return Ok(Asset { linked });
        }
        check::before_compiling(wasm)?;
        let mut compiler = self.assets().compiler.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever waited for the compiler may find that it has worked for them.
        if let Some(linked) = self.assets().held(&digest) {
            return Ok(Asset { linked });
        }
        let compiler = match &mut *compiler {
            Some(compiler) => compiler,
            none => none.insert(one_thread("sandbox compiler", 10)?),
        };
        // wasmtime compiles functions in parallel on the pool that it is called from: here that is one thread.
        let module =
            compiler.install(|| cache::load_or_compile_asset(self.wasmtime(), wasm, &digest, self.cache_dir()))?;
        let mut linker = Linker::new(self.wasmtime());
        worker::link(&mut linker).map_err(|error| HostFault::Engine(format!("{error:#}")))?;
        check::imports(&module)?;
        let linked = linker.instantiate_pre(&module).map_err(|error| ComputeError::Interface(format!("{error:#}")))?;
        let linked = Arc::new(linked);
        let mut known = self.assets().known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, held| held.strong_count() > 0);
        known.insert(digest, Arc::downgrade(&linked));
        Ok(Asset { linked })
    }

    /// Starts one run of `export` over `input`. It begins as soon as a core is free for heavy work.
    ///
    /// # Errors
    /// [`ComputeError::InputTooLarge`], or the export is not there.
    pub fn compute(
        &self,
        asset: &Asset,
        export: &str,
        input: Vec<u8>,
        limits: &ComputeLimits,
    ) -> Result<Computation, ComputeError> {
        if input.len() > limits.input_bytes {
            return Err(ComputeError::InputTooLarge { found: input.len(), most: limits.input_bytes });
        }
        check::export(asset.linked.module(), export)?;
        let account = Account::heavy();
        let (told, progress) = watch::channel(Progress::default());
        let (answer, outcome) = oneshot::channel();
        let (asset, export, limits) = (asset.clone(), export.to_owned(), limits.clone());
        let job = move |permit: Result<_, HostFault>| {
            let ran = permit
                .map_err(ComputeError::from)
                .and_then(|permit| worker::run(&asset.linked, permit, &export, &input, limits, told));
            let _ = answer.send(ran);
        };
        self.gate().submit(&account, Box::new(job));
        Ok(Computation { engine: self.clone(), account, progress, outcome, over: false })
    }
}

impl Assets {
    fn held(&self, digest: &[u8; 32]) -> Option<Arc<InstancePre<Worker>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(digest).and_then(Weak::upgrade)
    }
}

/// A pool of one thread, for what wasmtime would do on every core. `nice` lowers its priority.
pub(crate) fn one_thread(name: &'static str, nice: i32) -> Result<rayon::ThreadPool, HostFault> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .thread_name(move |_| name.to_owned())
        .start_handler(move |_| {
            // On Linux this is the thread's own priority; elsewhere it would be the whole program's.
            #[cfg(target_os = "linux")]
            let _ = rustix::process::nice(nice);
        })
        .build()
        .map_err(|error| HostFault::Thread(Arc::new(std::io::Error::other(error))))
}

/// One run of an asset. Dropping it cancels the run.
pub struct Computation {
    engine: Engine,
    account: Arc<Account>,
    progress: watch::Receiver<Progress>,
    outcome: oneshot::Receiver<Result<Vec<u8>, ComputeError>>,
    over: bool,
}

impl std::fmt::Debug for Computation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Computation").field("progress", &*self.progress.borrow()).finish_non_exhaustive()
    }
}

impl Computation {
    /// Follows what the asset tells. Only the latest is kept; the sender goes when the run is over.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits for the output. Asked again after the end, it says [`ComputeError::Cancelled`].
    ///
    /// # Errors
    /// As [`ComputeError`] says.
    pub async fn outcome(&mut self) -> Result<Vec<u8>, ComputeError> {
        if self.over {
            return Err(ComputeError::Cancelled);
        }
        let outcome = (&mut self.outcome).await;
        self.over = true;
        // A run that was dropped before it began, or whose thread panicked, tells nothing.
        outcome.unwrap_or(Err(ComputeError::Cancelled))
    }

    /// [`Computation::outcome`] for callers without an async runtime.
    ///
    /// # Errors
    /// As [`ComputeError`] says.
    pub fn wait(mut self) -> Result<Vec<u8>, ComputeError> {
        let (_, never) = oneshot::channel();
        let outcome = std::mem::replace(&mut self.outcome, never);
        self.over = true;
        outcome.blocking_recv().unwrap_or(Err(ComputeError::Cancelled))
    }
}

impl Drop for Computation {
    fn drop(&mut self) {
        if !self.over {
            self.engine.gate().cancel(&self.account);
        }
    }
}

#[cfg(test)]
mod tests;
