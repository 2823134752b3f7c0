//! Threads with a stack that is large enough for a guest.
//!
//! A guest runs on the stack of the thread that calls it, and may use [`GUEST_STACK`] of it before wasmtime stops it.
//! A thread of an async runtime has half of that: there, deep nesting would not trap but kill the whole process. So
//! turns run on threads of our own, and the caller waits. A hand-over costs a few microseconds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::HostFault;

/// Most native stack of a guest, in bytes. The interpreter's own limit ([`Limits::stack`](crate::Limits::stack))
/// comes first for recursion of the script; parsers of deeply nested source and JSON reach this one.
pub(crate) const GUEST_STACK: usize = 4 << 20;

/// What is left below the guest is for the host calls it makes.
const THREAD_STACK: usize = GUEST_STACK + (4 << 20);

/// How many threads may wait for work; more than the usual number of turns at a time gains nothing.
const MOST_IDLE: usize = 4;

type Job = Box<dyn FnOnce() + Send>;

/// Idle threads, ready for the next turn. Dropping it ends them.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    idle: Mutex<Vec<Sender<Job>>>,
}

impl Threads {
    /// Runs `work` on a thread with enough stack and waits for it.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, HostFault> {
        let (answer, answered) = sync_channel(1);
        let job: Job = Box::new(move || {
            // The embedder's host calls run in here; a panic of theirs ends this instance, not the thread. What
            // `work` owns is dropped, so nobody sees it half changed.
            let outcome = catch_unwind(AssertUnwindSafe(work));
            let _ = answer.send(outcome);
        });
        let thread = self.take()?;
        if thread.send(job).is_err() {
            return Err(HostFault::Panicked);
        }
        let outcome = answered.recv();
        self.give_back(thread);
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) | Err(_) => Err(HostFault::Panicked),
        }
    }

    fn take(&self) -> Result<Sender<Job>, HostFault> {
        if let Some(thread) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(thread);
        }
        let (sender, receiver) = channel::<Job>();
        std::thread::Builder::new()
            .name("sandbox turn".to_owned())
            .stack_size(THREAD_STACK)
            .spawn(move || receiver.into_iter().for_each(|job| job()))
            .map_err(|error| HostFault::Thread(Arc::new(error)))?;
        Ok(sender)
    }

    fn give_back(&self, thread: Sender<Job>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MOST_IDLE {
            idle.push(thread);
        }
    }
}
