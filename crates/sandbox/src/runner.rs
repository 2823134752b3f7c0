//! An instance that works through a queue of inputs by itself.
//!
//! **Who owns whom.** [`Runner`] is the embedder's handle. The machine lies in the queue while nothing is to be done;
//! when there is an input, a thread of the sandbox takes the machine, works through what has come, and puts it back:
//! a *visit*. Ten thousand idle instances need no thread.
//!
//! **Which messages flow.** In: [`Runner::send`]. Out: [`Runner::next`], one result for each input, in order, as soon
//! as its turn is over; the next turn runs meanwhile. Each turn has its own budgets. A visit pauses at
//! [`MOST_UNREAD`] results, so that an embedder who is slow is not buried.
//!
//! **Who ends when.** A broken limit ends the instance: [`Runner::next`] gives the reason, then `None`. Dropping the
//! handle ends the turn that is running or waiting, within a tick, and then the machine.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::account::Account;
use crate::gate::Permit;
use crate::machine::Machine;
use crate::record::Recorder;
use crate::turns::{enter, leave, turn};
use crate::{Engine, HostFault, Input, Instance, Meter, Outgoing, SandboxError};

/// Results that may wait for the embedder before the instance pauses: enough that neither waits for the other while
/// both keep up.
const MOST_UNREAD: usize = 64;

/// What a turn asked for, or why the instance has ended.
type Outcome = Result<Vec<Outgoing>, SandboxError>;

/// A running script that takes its inputs one after the other, on threads of the sandbox.
#[derive(Debug)]
pub struct Runner {
    shared: Arc<Shared>,
    results: mpsc::UnboundedReceiver<Outcome>,
}

struct Shared {
    engine: Engine,
    account: Arc<Account>,
    message_bytes: usize,
    recorder: Option<Recorder>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    inputs: VecDeque<Input>,
    /// Here while nobody works; gone for good when the instance has ended.
    work: Option<Work>,
    /// A visit was asked for or is under way.
    busy: bool,
    /// Results the embedder has not taken.
    unread: usize,
    /// Set when the instance has ended.
    ended: Option<SandboxError>,
}

/// The machine and the way out for its results, which closes with it.
struct Work {
    machine: Box<Machine>,
    results: mpsc::UnboundedSender<Outcome>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Runner {
    pub(crate) fn new(
        engine: Engine,
        account: Arc<Account>,
        machine: Box<Machine>,
        recorder: Option<Recorder>,
    ) -> Self {
        let (sender, results) = mpsc::unbounded_channel();
        let message_bytes = machine.store.data().limits.message_bytes;
        let queue = Mutex::new(Queue { work: Some(Work { machine, results: sender }), ..Queue::default() });
        Self { shared: Arc::new(Shared { engine, account, message_bytes, recorder, queue }), results }
    }

    pub(crate) fn ended(engine: Engine, account: Arc<Account>, reason: SandboxError) -> Self {
        let (_, results) = mpsc::unbounded_channel();
        let queue = Mutex::new(Queue { ended: Some(reason), ..Queue::default() });
        Self { shared: Arc::new(Shared { engine, account, message_bytes: 0, recorder: None, queue }), results }
    }

    /// The instance, when nothing is queued and nothing runs, as to finish its recording. Results that were not taken
    /// are lost.
    ///
    /// # Errors
    /// The runner itself, while it has something to do.
    pub fn into_instance(self) -> Result<Instance, Self> {
        let mut queue = self.shared.lock();
        let machine = match (queue.work.take(), &queue.ended) {
            (Some(work), _) if queue.inputs.is_empty() => Ok(work.machine),
            (None, Some(reason)) => Err(reason.clone()),
            (work, _) => {
                queue.work = work;
                drop(queue);
                return Err(self);
            }
        };
        drop(queue);
        let Shared { engine, account, recorder, .. } = &*self.shared;
        Ok(Instance::again(engine.clone(), Arc::clone(account), machine, recorder.clone()))
    }

    /// Puts an input at the end of the queue, which has no bound of its own: the embedder knows how many calls,
    /// answers and timers it has under way.
    ///
    /// # Errors
    /// [`SandboxError::MessageTooLarge`]: nothing was queued and the instance lives on. Any other error: why it has
    /// ended.
    pub fn send(&self, input: Input) -> Result<(), SandboxError> {
        let mut queue = self.shared.lock();
        if let Some(reason) = &queue.ended {
            return Err(reason.clone());
        }
        if let Input::Message(message) = &input
            && message.len() > self.shared.message_bytes
        {
            return Err(SandboxError::MessageTooLarge);
        }
        queue.inputs.push_back(input);
        Shared::schedule(&self.shared, queue);
        Ok(())
    }

    /// The outcome of the oldest input that has none yet; waits for it. `None` when the instance has ended and its
    /// last outcome, the reason, was taken. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Outcome> {
        let outcome = self.results.recv().await?;
        self.taken();
        Some(outcome)
    }

    /// [`Runner::next`] if it is there already.
    pub fn try_next(&mut self) -> Option<Outcome> {
        let outcome = self.results.try_recv().ok()?;
        self.taken();
        Some(outcome)
    }

    fn taken(&self) {
        let mut queue = self.shared.lock();
        queue.unread = queue.unread.saturating_sub(1);
        if queue.unread == MOST_UNREAD - 1 {
            Shared::schedule(&self.shared, queue);
        }
    }

    /// Reads what the instance has used.
    #[must_use]
    pub fn meter(&self) -> Meter {
        Meter { account: Arc::clone(&self.shared.account) }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.inputs.clear();
        queue.ended.get_or_insert(SandboxError::Cancelled);
        let work = queue.work.take();
        let busy = std::mem::take(&mut queue.busy);
        drop(queue);
        // Nobody works on it, or somebody does and is told.
        if busy {
            self.shared.engine.gate().cancel(&self.shared.account);
        }
        if work.is_some() {
            self.shared.account.set_memory(0);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing that can panic runs under the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a visit if there is something to do and nobody is at it.
    fn schedule(shared: &Arc<Self>, mut queue: MutexGuard<'_, Queue>) {
        if queue.inputs.is_empty() || queue.unread >= MOST_UNREAD {
            return;
        }
        let Some(work) = queue.work.take() else { return };
        queue.busy = true;
        drop(queue);
        let theirs = Arc::clone(shared);
        let job = move |permit: Result<Permit, HostFault>| match permit {
            Ok(permit) => theirs.visit(work, permit),
            Err(fault) => theirs.end(&work.results, SandboxError::Host(fault)),
        };
        shared.engine.gate().submit(&shared.account, Box::new(job));
    }

    /// Works through the queue.
    fn visit(self: Arc<Self>, mut work: Work, permit: Permit) {
        enter(&mut work.machine, permit);
        loop {
            let mut queue = self.lock();
            let input = if queue.unread < MOST_UNREAD { queue.inputs.pop_front() } else { None };
            let Some(input) = input else {
                queue.busy = false;
                if queue.ended.is_none() {
                    // The permit outlives the lock, as giving it back wakes others.
                    let permit = work.machine.store.data_mut().permit.take();
                    queue.work = Some(work);
                    drop(queue);
                    drop(permit);
                }
                return;
            };
            drop(queue);
            let results = work.results.clone();
            let outcome = match catch_unwind(AssertUnwindSafe(|| turn(&mut work.machine, input))) {
                Ok(outcome) => outcome,
                Err(_) => Err(SandboxError::Host(HostFault::Panicked)),
            };
            match outcome {
                Ok(outgoing) => {
                    self.account.set_memory(work.machine.memory.data_size(&work.machine.store));
                    self.lock().unread += 1;
                    let _ = results.send(Ok(outgoing));
                    // Others may have waited long enough.
                    if let Err(reason) = work.machine.store.data_mut().tick_between_turns() {
                        return self.end(&results, reason);
                    }
                }
                Err(reason) => {
                    leave(&mut work.machine, &self.account);
                    return self.end(&results, reason);
                }
            }
        }
    }

    /// The instance is dead; `results` closes when the last sender goes, which is the caller's.
    fn end(&self, results: &mpsc::UnboundedSender<Outcome>, reason: SandboxError) {
        let mut queue = self.lock();
        queue.inputs.clear();
        queue.busy = false;
        queue.ended = Some(reason.clone());
        drop(queue);
        self.account.set_memory(0);
        let _ = results.send(Err(reason));
    }
}
