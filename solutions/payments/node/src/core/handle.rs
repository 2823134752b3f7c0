//! How the other tasks reach the core.

use std::fmt;
use std::sync::{Arc, RwLock};

use payments_protocol::{SignedMessage, SignedReceipt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot};

use super::{Core, PLACES, read, write};
use crate::admission::{Admission, Verdict};
use crate::layer1::Step;
use crate::metrics::Metrics;
use crate::rpc::{Interests, Notice, RpcError, code};
use crate::store::StoreError;

/// Places in the core's queue beyond those that messages may take: for the node's own tasks, which wait for one.
const OWN_TASKS: usize = 64;

/// Reads under way or waiting. Beyond it callers are told that the node is busy.
const READS: usize = 1_024;

/// The answer to a message.
pub(super) type Answer = Result<SignedReceipt, RpcError>;

type Task = Box<dyn FnOnce(&RwLock<Core>) -> Result<(), StoreError> + Send>;

/// What the core thread works off, in order.
pub(super) enum Command {
    Send(Sent),
    Run(Task),
    Stop,
}

/// A message that was handed in.
pub(super) struct Sent {
    pub(super) verdict: Verdict,
    pub(super) reply: oneshot::Sender<Answer>,
    pub(super) place: OwnedSemaphorePermit,
}

/// The core has ended; so does whoever meets this.
#[derive(Debug)]
pub(crate) struct CoreGone;

/// How the other tasks reach the core. Cheap to clone.
#[derive(Clone)]
pub(crate) struct CoreHandle {
    commands: mpsc::Sender<Command>,
    admission: Arc<Admission>,
    places: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    core: Arc<RwLock<Core>>,
    notices: broadcast::Sender<Notice>,
    interests: Interests,
    metrics: Arc<Metrics>,
}

impl fmt::Debug for CoreHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CoreHandle")
    }
}

/// A handle to the core, and what arrives through it.
pub(super) fn new(core: Core) -> std::io::Result<(CoreHandle, mpsc::Receiver<Command>)> {
    let (commands, queue) = mpsc::channel(PLACES + OWN_TASKS);
    let handle = CoreHandle {
        commands,
        admission: Arc::new(Admission::start(core.chain.domain)?),
        places: Arc::new(Semaphore::new(PLACES)),
        reads: Arc::new(Semaphore::new(READS)),
        notices: core.notices.clone(),
        interests: core.interests.clone(),
        metrics: Arc::clone(&core.metrics),
        core: Arc::new(RwLock::new(core)),
    };
    Ok((handle, queue))
}

impl CoreHandle {
    pub(super) fn state(&self) -> Arc<RwLock<Core>> {
        Arc::clone(&self.core)
    }

    /// What subscribers are told from now on.
    pub(crate) fn notices(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Messages between arrival and answer.
    pub(crate) fn queue_depth(&self) -> usize {
        PLACES.saturating_sub(self.places.available_permits())
    }

    /// Which accounts somebody listens for.
    pub(crate) fn interests(&self) -> &Interests {
        &self.interests
    }

    /// Runs `f` on the core thread; waits for a place in the queue. For the node's own tasks.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Core) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, CoreGone> {
        self.task(move |core| f(&mut write(core))).await
    }

    /// Brings the core what layer 1 says.
    pub(crate) async fn layer1(&self, step: Step) -> Result<(), CoreGone> {
        self.task(move |core| Core::follow(core, step)).await
    }

    async fn task<T: Send + 'static>(
        &self,
        f: impl FnOnce(&RwLock<Core>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, CoreGone> {
        let (reply, answer) = oneshot::channel();
        let task = Box::new(move |core: &RwLock<Core>| {
            // Nobody waiting for the answer any more is no fault.
            let _ = reply.send(f(core)?);
            Ok(())
        });
        self.commands.send(Command::Run(task)).await.map_err(|_| CoreGone)?;
        answer.await.map_err(|_| CoreGone)
    }

    /// Reads on behalf of a caller from outside: beside what is ordered and written, not behind it. Refused when too
    /// many read already.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Core) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let place = Arc::clone(&self.reads).try_acquire_owned().map_err(|_| busy())?;
        let core = self.state();
        // The lock may be held for as long as a batch is replayed: no thread of the runtime waits for that.
        let reading = tokio::task::spawn_blocking(move || {
            let _place = place;
            f(&read(&core))
        });
        reading.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Changes something on behalf of a caller from outside; refused when the queue is full.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Core) -> Result<Result<T, RpcError>, StoreError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| busy())?;
        let (reply, answer) = oneshot::channel();
        let task = Box::new(move |core: &RwLock<Core>| {
            let _place = place;
            let _ = reply.send(f(&mut write(core))?);
            Ok(())
        });
        self.commands.try_send(Command::Run(task)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => busy(),
            mpsc::error::TrySendError::Closed(_) => gone(),
        })?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Hands a message to the operator; answers when the promise is durable. Messages are ordered as this is first
    /// polled; who wants an order among several polls them in it, and need not wait for one before the next.
    pub(crate) async fn send(&self, message: SignedMessage) -> Answer {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| busy())?;
        let (reply, answer) = oneshot::channel();
        let verdict = self.admission.check(message);
        self.commands.try_send(Command::Send(Sent { verdict, reply, place })).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => busy(),
            mpsc::error::TrySendError::Closed(_) => gone(),
        })?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Lets the core finish what is queued, and end.
    pub(crate) async fn stop(&self) {
        // Already gone is as good.
        let _ = self.commands.send(Command::Stop).await;
    }
}

pub(super) fn gone() -> RpcError {
    RpcError::new(code::INTERNAL, "the node is stopping")
}

fn busy() -> RpcError {
    RpcError::new(code::BUSY, "the node is busy; try again")
}
