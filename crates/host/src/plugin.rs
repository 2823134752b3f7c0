//! A running plugin: one actor that owns one sandbox instance.
//!
//! **Who owns whom.** [`Plugin`] is a handle; the actor task owns the instance, its timers and its open calls. The
//! host holds the handle; dropping it (or [`Plugin::stop`]) ends the actor.
//!
//! **Which messages flow.** In: calls of actions, hooks, answers to the script's requests, timers. Out: the script's
//! requests, each handed to [`Host`](crate::Host) with the callers on whose behalf it is made. Mailboxes are bounded.
//!
//! **Who ends when.** A broken limit or a trap ends the instance, never the daemon: open calls get an error, the
//! actor waits with growing pauses and starts a fresh instance. An instance in which nothing happens ends too, and a
//! new one is started for whatever is asked next ([`lifecycle`]). Another interface than the pinned one ends the actor.

mod actor;
pub(crate) mod assets;
pub(crate) mod budgets;
pub(crate) mod connections;
pub(crate) mod crypto;
pub(crate) mod desk;
pub(crate) mod fetch;
pub(crate) mod lifecycle;
#[doc(hidden)]
pub mod measured;
pub(crate) mod pool;
#[cfg(test)]
mod realm;
pub(crate) mod vitals;

use crate::error::{HostError, code};
use crate::interface::Interface;
use actor::Actor;
pub(crate) use actor::script_error;
use budgets::Budgets;
use entresol_package::manifest::LimitName;
use entresol_sandbox::record::Recorder;
use entresol_sandbox::{Engine, Instance, Limits, ModuleKind, Outgoing, Prepared, Script};
use lifecycle::{Calls, Waiting};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use vitals::Vitals;

/// On whose behalf something is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// Who called, in words.
    pub caller: String,
    /// Who called, canonical: [`Caller::key`](crate::Caller::key), or [`USER`](Cause::USER).
    #[serde(default)]
    pub key: String,
    /// Which action of this solution.
    pub action: String,
    /// The caller's idempotency id, if it gave one.
    pub call_id: Option<String>,
    /// The action is declared free of effects.
    pub read_only: bool,
}

impl Cause {
    /// Key of the user's own calls: they are consent to the action, and no policy covers what follows from them.
    pub const USER: &'static str = "user";
    /// Key of the wallet's own question for confirmation rows.
    pub(crate) const CONFIRMATION: &'static str = "confirmation";
}

/// Everything an actor needs to start its script.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) solution: i64,
    /// Solution and file, for logs.
    pub(crate) name: String,
    pub(crate) script: Prepared,
    pub(crate) budgets: Arc<Budgets>,
    /// `{ layer1, network, solution }` for the constructor, tagged values.
    pub(crate) context: Json,
    /// What its computations bring and take.
    pub(crate) desk: Arc<desk::Desk>,
    /// Digest pinned at install, 0x-hex.
    pub(crate) interface_digest: String,
}

/// What a plugin is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// There is no instance; the next call or hook makes one.
    Asleep,
    Starting,
    Running,
    /// Stopped by an error; starts again after a pause.
    Failed(String),
    /// Will not start again by itself.
    Stopped(String),
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Asleep => f.write_str("asleep"),
            Self::Starting => f.write_str("starting"),
            Self::Running => f.write_str("running"),
            Self::Failed(why) => write!(f, "failed: {why}"),
            Self::Stopped(why) => write!(f, "stopped: {why}"),
        }
    }
}

/// The answer to a call or hook.
pub(crate) type Answer = oneshot::Sender<Result<Json, HostError>>;

/// What the host asks of the actor.
#[derive(Debug)]
pub(crate) enum Command {
    /// An action. The last cause is the call itself; those before it are the callers it acts for.
    Call { action: String, params: Json, causes: Vec<Cause>, answer: Answer },
    /// Rows for the wallet's own approval of a call; may cause nothing.
    Confirm { action: String, params: Json, answer: Answer },
    /// A hook of the script; absent hooks answer `null`.
    Hook { hook: &'static str, arg: Json, answer: Answer },
}

impl Command {
    fn into_answer(self) -> Answer {
        let (Self::Call { answer, .. } | Self::Confirm { answer, .. } | Self::Hook { answer, .. }) = self;
        answer
    }
}

/// What the host orders an actor to do, besides its work.
#[derive(Debug)]
pub(crate) enum Order {
    /// Finish what is open, end, and hand over what waits.
    Leave(Calls, oneshot::Sender<Vec<Waiting>>),
    /// Finish what is open and start afresh, recorded. Answered when that life begins.
    Record(Recorder, oneshot::Sender<()>),
    /// End the recording; the life goes on.
    Seal(oneshot::Sender<Result<(), HostError>>),
}

/// Orders that may wait: each comes from somebody at a terminal.
const MOST_ORDERS: usize = 4;

/// Handle of a running plugin.
#[derive(Debug)]
pub(crate) struct Plugin {
    mailbox: mpsc::Sender<Command>,
    orders: mpsc::Sender<Order>,
    status: watch::Receiver<Status>,
    vitals: Arc<Vitals>,
    cancel: CancellationToken,
    pub(crate) memory_limit: usize,
}

impl Plugin {
    /// Starts the actor, and with it the script unless it is `lazy`. `waiting` is what an actor before it left.
    pub(crate) fn start(
        host: crate::Host,
        engine: Engine,
        program: Arc<Program>,
        lazy: bool,
        waiting: Vec<Waiting>,
    ) -> Self {
        let (mailbox, commands) = mpsc::channel(program.budgets.most(LimitName::Mailbox));
        let (orders, ordered) = mpsc::channel(MOST_ORDERS);
        let first = if lazy { Status::Asleep } else { Status::Starting };
        let (status_sender, status) = watch::channel(first);
        let vitals = Arc::<Vitals>::default();
        let (cancel, memory_limit) = (host.child_token(), program.script.limits().memory_bytes);
        let told = (status_sender, Arc::clone(&vitals));
        let actor = Actor::new(host.clone(), engine, program, (commands, ordered), told, waiting, cancel.clone());
        host.spawn(actor.run());
        Self { mailbox, orders, status, vitals, cancel, memory_limit }
    }

    pub(crate) fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    pub(crate) fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    /// Calls and hooks that its actor has not taken in.
    pub(crate) fn in_mailbox(&self) -> usize {
        self.mailbox.max_capacity() - self.mailbox.capacity()
    }

    /// Ends it when what is open is done, or soon; gives the hooks that were not done, and maybe the calls that wait.
    pub(crate) async fn leave(&self, calls: Calls) -> Vec<Waiting> {
        let (rest, left) = oneshot::channel();
        if self.orders.send(Order::Leave(calls, rest)).await.is_err() {
            return Vec::new();
        }
        left.await.unwrap_or_default()
    }

    /// Starts it afresh, with everything that enters it recorded.
    pub(crate) async fn record(&self, recorder: Recorder) -> Result<(), HostError> {
        let (begun, begins) = oneshot::channel();
        let gone = || stopped("it was stopped");
        self.orders.send(Order::Record(recorder, begun)).await.map_err(|_| gone())?;
        begins.await.map_err(|_| gone())
    }

    /// Ends its recording.
    pub(crate) async fn seal(&self) -> Result<(), HostError> {
        let (sealed, ended) = oneshot::channel();
        let gone = || stopped("it was stopped");
        self.orders.send(Order::Seal(sealed)).await.map_err(|_| gone())?;
        ended.await.map_err(|_| gone())?
    }

    pub(crate) fn stop(&self) {
        self.cancel.cancel();
    }

    /// Calls an action; the answer is the script's (tagged values). An error with `data.delivered == false` says that
    /// the script never saw the call.
    pub(crate) async fn call(&self, action: &str, params: Json, causes: Vec<Cause>) -> Result<Json, HostError> {
        let (answer, result) = oneshot::channel();
        self.send(Command::Call { action: action.to_owned(), params, causes, answer }, result).await
    }

    /// Asks the script for its rows of an approval.
    pub(crate) async fn confirm(&self, action: &str, params: Json) -> Result<Json, HostError> {
        let (answer, result) = oneshot::channel();
        self.send(Command::Confirm { action: action.to_owned(), params, answer }, result).await
    }

    /// Runs a hook of the script and waits until its promise has resolved.
    pub(crate) async fn hook(&self, hook: &'static str, arg: Json) -> Result<Json, HostError> {
        let (answer, result) = oneshot::channel();
        self.send(Command::Hook { hook, arg, answer }, result).await
    }

    async fn send(
        &self,
        command: Command,
        result: oneshot::Receiver<Result<Json, HostError>>,
    ) -> Result<Json, HostError> {
        if let Status::Stopped(why) = self.status() {
            return Err(undelivered(stopped(&why)));
        }
        if matches!(command, Command::Call { .. } | Command::Confirm { .. }) {
            // A caller is told at once that the plugin is busy; hooks wait their turn.
            self.mailbox.try_send(command).map_err(|error| {
                undelivered(match error {
                    mpsc::error::TrySendError::Full(_) => {
                        HostError::new(code::LIMIT, "the plugin is busy: too many calls wait; try again in a moment")
                    }
                    mpsc::error::TrySendError::Closed(_) => stopped("it was stopped"),
                })
            })?;
        } else {
            self.mailbox.send(command).await.map_err(|_| stopped("it was stopped"))?;
        }
        result.await.unwrap_or_else(|_| Err(stopped("it was stopped before it answered")))
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// Marks an error of a call that the script never saw: what was reserved for it is given back.
pub(crate) fn undelivered(error: HostError) -> HostError {
    error.with(json!({ "delivered": false }))
}

/// The error a caller gets when the plugin is not there to answer.
pub(crate) fn stopped(why: &str) -> HostError {
    HostError::new(code::PLUGIN_STOPPED, format!("the plugin does not answer: {why}"))
}

pub(crate) const GLUE: Script<'static> =
    Script { name: "entresol:glue", source: include_str!("plugin/glue.js"), kind: ModuleKind::CommonJs };

/// A script as all plugins are started. Its name in its own stacks is the file within the package: it is part of what
/// the evaluation leaves behind, which is kept and shared by all solutions of the package, so nothing of the user's is
/// in it.
pub(crate) fn prepare(limits: &Limits, file: String, source: String, kind: ModuleKind) -> Prepared {
    Prepared::new(limits, &[GLUE], file, source, kind)
}

/// Starts an instance and lets the script's class be constructed. Gives the instance, what it asked for, and the
/// interface it declared.
pub(crate) fn instantiate(
    engine: &Engine,
    program: &Program,
    recorder: Option<Recorder>,
) -> Result<(Instance, Vec<Outgoing>, Interface), HostError> {
    program.desk.clear();
    let calls = desk::Calls { crypto: crypto::Crypto, desk: Arc::clone(&program.desk) };
    let (mut instance, mut outgoing) = Instance::start_prepared(engine, &program.script, Box::new(calls), recorder)
        .map_err(|e| HostError::new(code::PLUGIN_STOPPED, format!("the script does not start: {e}")))?;
    let start = json!({ "t": "start", "id": 0, "context": program.context }).to_string();
    let more = instance
        .turn(start.as_bytes())
        .map_err(|e| HostError::new(code::PLUGIN_STOPPED, format!("the script does not start: {e}")))?;
    outgoing.extend(more);
    let mut interface = None;
    let mut rest = Vec::with_capacity(outgoing.len());
    for item in outgoing {
        if let Outgoing::Message(bytes) = &item
            && let Ok(message) = serde_json::from_slice::<Json>(bytes)
            && message["t"] == "done"
            && message["id"] == 0
        {
            interface = Some(match message.get("error") {
                Some(error) => Err(script_error(error)),
                None => Interface::parse(&message["ok"]),
            });
            continue;
        }
        rest.push(item);
    }
    match interface {
        Some(interface) => Ok((instance, rest, interface?)),
        None => Err(HostError::new(code::PLUGIN_ERROR, "the script's constructor did not finish")),
    }
}
