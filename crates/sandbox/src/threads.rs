//! Threads with a stack that is large enough for a guest.
//!
//! A guest runs on the stack of the thread that calls it, and may use [`GUEST_STACK`] of it before wasmtime stops it.
//! A thread of an async runtime has half of that: there, deep nesting would not trap but kill the whole process. So
//! turns run on threads of our own. A hand-over costs a few microseconds. How many run at a time is for the gate to
//! say; there are more threads only for turns that have begun and wait to go on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::error::HostFault;

/// Most native stack of a guest, in bytes. The interpreter's own limit ([`Limits::stack`](crate::Limits::stack))
/// comes first for recursion of the script; parsers of deeply nested source and JSON reach this one.
pub(crate) const GUEST_STACK: usize = 4 << 20;

/// What is left below the guest is for the host calls it makes.
const THREAD_STACK: usize = GUEST_STACK + (4 << 20) + LIFTED;

/// Room for a test that lifts the limit, which shows that it is this one that holds.
pub(crate) const LIFTED: usize = if cfg!(test) { 32 << 20 } else { 0 };

/// How many threads may wait for work; more than the usual number of turns at a time gains nothing.
const MOST_IDLE: usize = 8;

type Job = Box<dyn FnOnce() + Send>;

/// A job and the way to give the thread its next one, which goes back to the pool when the job is done: while the
/// thread waits, the pool holds the only sender, so that with the pool the wait ends.
struct Work {
    job: Job,
    next: Sender<Work>,
}

/// Idle threads, ready for the next turn. Dropping it ends them.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    idle: Arc<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    threads: Mutex<Vec<Sender<Work>>>,
}

impl Idle {
    fn lock(&self) -> MutexGuard<'_, Vec<Sender<Work>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Threads {
    /// Runs `job` on a thread with enough stack and does not wait for it. When no thread can be had, the job comes
    /// back with the reason.
    pub(crate) fn spawn(&self, mut job: Job) -> Result<(), (Job, HostFault)> {
        let idle = self.idle.lock().pop();
        if let Some(thread) = idle {
            match thread.send(Work { job, next: thread.clone() }) {
                Ok(()) => return Ok(()),
                Err(refused) => job = refused.0.job,
            }
        }
        let (sender, receiver) = channel::<Work>();
        let pool = Arc::downgrade(&self.idle);
        let spawned = std::thread::Builder::new()
            .name("sandbox turn".to_owned())
            .stack_size(THREAD_STACK)
            .spawn(move || live(&receiver, &pool));
        match spawned {
            Ok(_) => {
                sender.send(Work { job, next: sender.clone() }).map_err(|refused| (refused.0.job, HostFault::Panicked))
            }
            Err(error) => Err((job, HostFault::Thread(Arc::new(error)))),
        }
    }
}

/// A thread's life: a job, then idle until the next. It ends when the pool is gone or has enough others.
fn live(jobs: &Receiver<Work>, pool: &Weak<Idle>) {
    while let Ok(Work { job, next }) = jobs.recv() {
        // The embedder's host calls run in here; whoever waits for the job learns of a panic, as what the job owns
        // is dropped. The thread goes on.
        let _ = catch_unwind(AssertUnwindSafe(job));
        let Some(pool) = pool.upgrade() else { return };
        let mut idle = pool.lock();
        if idle.len() >= MOST_IDLE {
            return;
        }
        idle.push(next);
    }
}
