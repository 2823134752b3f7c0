//! Admission: everything about a message that needs no state, on all cores. The dear part is recovering its signer.
//!
//! Nothing here knows accounts or order, so it may run anywhere; today it is a pool of threads beside the sequencer. The
//! queue has no bound of its own: whoever hands a message in holds one of the node's places for it (see
//! [`CoreHandle::send`](crate::core::CoreHandle::send)), so it is never longer than there are places.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use alloy::primitives::B256;
use payments_protocol::{Domain, Message, Record, SignedMessage};
use tokio::sync::oneshot;

use crate::rpc::{RpcError, chain_text, code};

/// A message whose form and signature are right. Made here only.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    id: B256,
    message: Message,
    record: Record,
}

impl Checked {
    /// Everything that can be checked without state.
    pub(crate) fn of(domain: &Domain, signed: &SignedMessage) -> Result<Self, RpcError> {
        let record = signed.record().map_err(|error| RpcError::params(error.to_string()))?;
        signed.check(domain).map_err(|error| RpcError::new(code::BAD_SIGNATURE, chain_text(&error)))?;
        Ok(Self { id: signed.message.id(), message: signed.message.clone(), record })
    }

    pub(crate) fn id(&self) -> B256 {
        self.id
    }

    pub(crate) fn message(&self) -> &Message {
        &self.message
    }

    pub(crate) fn record(&self) -> Record {
        self.record
    }
}

/// What becomes of a message that was handed in. Nothing when the pool is gone.
pub(crate) type Verdict = oneshot::Receiver<Result<Checked, RpcError>>;

struct Job {
    message: SignedMessage,
    verdict: oneshot::Sender<Result<Checked, RpcError>>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
}

/// The pool. Its threads end when it is dropped.
pub(crate) struct Admission {
    shared: Arc<Shared>,
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admission")
    }
}

impl Admission {
    /// One thread a core.
    pub(crate) fn start(domain: Domain) -> std::io::Result<Self> {
        let admission = Self { shared: Arc::default() };
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            let shared = Arc::clone(&admission.shared);
            std::thread::Builder::new().name("payments-admit".to_owned()).spawn(move || {
                while let Some(job) = shared.next() {
                    // Whoever waited may have gone.
                    let _ = job.verdict.send(Checked::of(&domain, &job.message));
                }
            })?;
        }
        Ok(admission)
    }

    /// Hands a message in. Verdicts are given in no order; who needs one waits for each.
    pub(crate) fn check(&self, message: SignedMessage) -> Verdict {
        let (verdict, checked) = oneshot::channel();
        let mut queue = self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.jobs.push_back(Job { message, verdict });
        drop(queue);
        self.shared.filled.notify_one();
        checked
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.shared.filled.notify_all();
    }
}

impl Shared {
    /// The next job; waits for one. `None` when the pool closed.
    fn next(&self) -> Option<Job> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if queue.closed {
                return None;
            }
            match queue.jobs.pop_front() {
                Some(job) => return Some(job),
                None => queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

#[cfg(test)]
mod tests;
