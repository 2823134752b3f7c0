//! One thread per engine that lets time pass for running turns.
//!
//! wasmtime checks a counter, the epoch, at every loop and call of the guest. The ticker raises it every
//! [`Limits::TICK`] while at least one turn is running, and sleeps without waking up otherwise.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::Limits;
use crate::error::HostFault;

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    stop: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is two plain fields that are never half written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Owns the thread; dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
}

/// While it lives, time passes.
#[derive(Debug)]
pub(crate) struct Running {
    shared: Arc<Shared>,
}

impl Ticker {
    pub(crate) fn start(engine: &wasmtime::Engine) -> Result<Self, HostFault> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let engine = engine.weak();
        std::thread::Builder::new()
            .name("sandbox ticker".to_owned())
            .spawn(move || tick(&theirs, &engine))
            .map_err(|error| HostFault::Thread(Arc::new(error)))?;
        Ok(Self { shared })
    }

    pub(crate) fn running(&self) -> Running {
        self.shared.lock().running += 1;
        self.shared.changed.notify_one();
        Running { shared: Arc::clone(&self.shared) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.lock().running -= 1;
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_one();
    }
}

fn tick(shared: &Shared, engine: &wasmtime::EngineWeak) {
    loop {
        let mut state = shared.lock();
        while state.running == 0 && !state.stop {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.stop {
            return;
        }
        drop(state);
        std::thread::sleep(Limits::TICK);
        match engine.upgrade() {
            Some(engine) => engine.increment_epoch(),
            None => return,
        }
    }
}
