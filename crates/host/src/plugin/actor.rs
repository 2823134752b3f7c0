//! The actor that owns a sandbox instance. See [`crate::plugin`] for who owns whom.

use super::{Answer, Cause, Command, Program, Status, instantiate, stopped, undelivered};
use crate::Host;
use crate::error::{HostError, code};
use entresol_sandbox::{Engine, Input, LogLevel, Outgoing, Runner, SandboxError};
use serde::Serialize;
use serde_json::{Value as Json, json};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinError};
use tokio_util::sync::CancellationToken;

/// Requests of one script that may be under way in the host at once; more are refused, not queued.
const MAX_REQUESTS: usize = 64;
/// Timers of one script.
const MAX_TIMERS: usize = 512;
/// Calls and hooks that may be open in one script.
const MAX_OPEN: usize = 512;
/// First pause after a failure; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause between two starts of a plugin that keeps failing.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A life at least this long makes the next pause short again.
const GOOD_LIFE: Duration = Duration::from_secs(30);

/// What comes back to the actor from the tasks it started.
enum Internal {
    Reply { id: u64, result: Result<Json, HostError> },
    Timer(u32),
}

/// A call or hook whose promise has not resolved.
struct Open {
    answer: Option<Answer>,
    /// Its turn is over: what the script asks for from now on may be on its behalf.
    begun: bool,
    /// The call itself and the callers it acts for; none for a hook.
    causes: Vec<Cause>,
}

/// Why a life ended.
enum End {
    /// The actor was told to stop.
    Cancelled,
    /// The instance is dead or the script failed to start.
    Failed(HostError),
    /// The script declares another interface than the one the user agreed to.
    OtherInterface(HostError),
}

pub(super) struct Actor {
    host: Host,
    engine: Engine,
    program: Arc<Program>,
    commands: mpsc::Receiver<Command>,
    status: watch::Sender<Status>,
    cancel: CancellationToken,
}

/// One instance and what hangs on it. Dropping it aborts its timers and requests.
struct Life {
    runner: Runner,
    /// For each input whose outcome has not come: the call or hook it begins.
    sent: VecDeque<Option<u64>>,
    internal: mpsc::UnboundedSender<Internal>,
    open: HashMap<u64, Open>,
    next_id: u64,
    timers: HashMap<u32, AbortHandle>,
    requests: usize,
    /// Calls that came before `onStart` had resolved.
    backlog: VecDeque<Command>,
    started: bool,
    cancel: CancellationToken,
}

/// A message to the glue, which has the other half of it. Written without a tree of values in between: this is the
/// way of every call.
#[derive(Serialize)]
#[serde(tag = "t", rename_all = "lowercase")]
enum Message<'a> {
    Call {
        id: u64,
        action: &'a str,
        params: &'a Json,
        context: Context<'a>,
    },
    Confirm {
        id: u64,
        action: &'a str,
        params: &'a Json,
    },
    Hook {
        id: u64,
        hook: &'a str,
        arg: &'a Json,
    },
    Reply {
        id: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        ok: Option<&'a Json>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a Json>,
    },
}

/// What a script learns of who calls.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Context<'a> {
    caller: Option<&'a str>,
    caller_key: Option<&'a str>,
    solution: i64,
    id: Option<&'a str>,
}

/// Why an input did not get into the queue.
enum Refused {
    TooLarge,
    Ended(HostError),
}

impl Refused {
    fn into_end(self) -> End {
        End::Failed(match self {
            Self::TooLarge => limit(&SandboxError::MessageTooLarge),
            Self::Ended(error) => error,
        })
    }
}

impl Life {
    /// Queues a message; `begins` is the call or hook that starts with it.
    fn send(&mut self, message: &Message<'_>, begins: Option<u64>) -> Result<(), Refused> {
        match serde_json::to_vec(message) {
            Ok(bytes) => self.input(Input::Message(bytes), begins),
            Err(error) => Err(Refused::Ended(HostError::internal(error.to_string()))),
        }
    }

    fn input(&mut self, input: Input, begins: Option<u64>) -> Result<(), Refused> {
        match self.runner.send(input) {
            Ok(()) => {
                self.sent.push_back(begins);
                Ok(())
            }
            Err(SandboxError::MessageTooLarge) => Err(Refused::TooLarge),
            Err(reason) => Err(Refused::Ended(limit(&reason))),
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.cancel.cancel();
        for timer in self.timers.values() {
            timer.abort();
        }
    }
}

/// Id of the `onStart` hook; 0 is the constructor's.
const ON_START: u64 = 1;

impl Actor {
    pub(super) fn new(
        host: Host,
        engine: Engine,
        program: Arc<Program>,
        commands: mpsc::Receiver<Command>,
        status: watch::Sender<Status>,
        cancel: CancellationToken,
    ) -> Self {
        Self { host, engine, program, commands, status, cancel }
    }

    /// The one loop: a life, then a pause, until cancelled.
    pub(super) async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            self.status.send_replace(Status::Starting);
            let born = tokio::time::Instant::now();
            match self.live().await {
                End::Cancelled => {
                    self.status.send_replace(Status::Stopped("it was stopped".into()));
                    return;
                }
                End::OtherInterface(error) => {
                    tracing::warn!(solution = %self.program.name, %error, "plugin suspended");
                    self.host
                        .pause_policies(self.program.solution, "the plugin declares another interface than before");
                    self.status.send_replace(Status::Stopped(error.message));
                    self.host.changed();
                    return;
                }
                End::Failed(error) => {
                    tracing::warn!(solution = %self.program.name, %error, "plugin stopped");
                    self.host.plugin_failed(self.program.solution, &error).await;
                    self.status.send_replace(Status::Failed(error.message));
                    self.host.changed();
                }
            }
            if born.elapsed() >= GOOD_LIFE {
                pause = FIRST_PAUSE;
            }
            // Callers are not kept waiting for a plugin that is down.
            let until = tokio::time::Instant::now() + pause;
            loop {
                tokio::select! {
                    () = self.cancel.cancelled() => return,
                    () = tokio::time::sleep_until(until) => break,
                    command = self.commands.recv() => match command {
                        None => return,
                        Some(command) => {
                            let why = self.status.borrow().to_string();
                            let _ = command.into_answer().send(Err(undelivered(stopped(&why))));
                        }
                    },
                }
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn live(&mut self) -> End {
        let (engine, program) = (self.engine.clone(), Arc::clone(&self.program));
        let started = tokio::task::spawn_blocking(move || instantiate(&engine, &program)).await;
        let (instance, outgoing, interface) = match started {
            Ok(Ok(parts)) => parts,
            Ok(Err(error)) => return End::Failed(error),
            Err(join) => return End::Failed(fault(&join)),
        };
        match interface.digest() {
            Ok(digest) if digest.to_string() == self.program.interface_digest => {}
            Ok(_) => {
                return End::OtherInterface(HostError::new(
                    code::PLUGIN_STOPPED,
                    "the script declares other actions or state than the ones you agreed to at install; remove the \
                     solution and add it again to see and accept the new ones",
                ));
            }
            Err(error) => return End::Failed(error),
        }
        let (internal, mut answers) = mpsc::unbounded_channel();
        let mut life = Life {
            runner: instance.into_runner(),
            sent: VecDeque::new(),
            internal,
            open: HashMap::new(),
            next_id: ON_START + 1,
            timers: HashMap::new(),
            requests: 0,
            backlog: VecDeque::new(),
            started: false,
            cancel: self.cancel.child_token(),
        };
        life.open.insert(ON_START, Open { answer: None, begun: false, causes: Vec::new() });
        self.handle(&mut life, outgoing);
        // When nobody knows, the plugin is told to look: its data may be older than what it has signed.
        let restored = self.host.restored(self.program.solution).unwrap_or(true);
        let arg = json!({ "restored": restored });
        let on_start = Message::Hook { id: ON_START, hook: "onStart", arg: &arg };
        let mut end = life.send(&on_start, Some(ON_START)).err().map(Refused::into_end);
        while end.is_none() {
            // Calls that came before `onStart` had resolved go first.
            if life.started
                && let Some(command) = life.backlog.pop_front()
            {
                end = self.command(&mut life, command);
                continue;
            }
            end = tokio::select! {
                () = self.cancel.cancelled() => Some(End::Cancelled),
                outcome = life.runner.next() => self.outcome(&mut life, outcome),
                Some(internal) = answers.recv() => internal_input(&mut life, internal),
                command = self.commands.recv() => match command {
                    None => Some(End::Cancelled),
                    Some(command) if life.started => self.command(&mut life, command),
                    Some(command) => {
                        life.backlog.push_back(command);
                        None
                    }
                },
            };
        }
        let end = end.unwrap_or(End::Cancelled);
        let why = match &end {
            End::Cancelled => stopped("it was stopped"),
            End::Failed(error) | End::OtherInterface(error) => error.clone(),
        };
        // Whoever gets the error and looks finds the plugin failed, not running still.
        if let End::Failed(error) = &end {
            self.status.send_replace(Status::Failed(error.message.clone()));
        }
        for (_, Open { answer, begun, .. }) in life.open.drain() {
            // Calls behind the one that broke a limit have not reached the script.
            let unseen = !begun && matches!(end, End::Failed(_));
            let error = if unseen { undelivered(why.clone()) } else { why.clone() };
            let _ = answer.map(|answer| answer.send(Err(error)));
        }
        for command in life.backlog.drain(..) {
            let _ = command.into_answer().send(Err(undelivered(why.clone())));
        }
        self.host.connections().close_all(self.program.solution);
        self.host.inner.screens.close_all(self.program.solution);
        end
    }

    /// Hands a call or hook to the script. It takes its turn when those before it have had theirs.
    fn command(&mut self, life: &mut Life, command: Command) -> Option<End> {
        if life.open.len() >= MAX_OPEN {
            let busy = HostError::new(code::LIMIT, "the plugin is busy: too many calls are open");
            let _ = command.into_answer().send(Err(undelivered(busy)));
            return None;
        }
        let id = life.next_id;
        life.next_id += 1;
        let (sent, answer, causes) = match command {
            Command::Call { action, params, causes, answer } => {
                let direct = causes.last();
                let context = Context {
                    caller: direct.map(|cause| cause.caller.as_str()),
                    caller_key: direct.map(|cause| cause.key.as_str()),
                    solution: self.program.solution,
                    id: direct.and_then(|cause| cause.call_id.as_deref()),
                };
                let message = Message::Call { id, action: &action, params: &params, context };
                (life.send(&message, Some(id)), answer, causes)
            }
            Command::Confirm { action, params, answer } => {
                let sent = life.send(&Message::Confirm { id, action: &action, params: &params }, Some(id));
                // What it asks for meanwhile counts as asked by a call that only reads: it is refused.
                let cause = Cause {
                    caller: "the wallet".into(),
                    key: Cause::CONFIRMATION.into(),
                    action,
                    call_id: None,
                    read_only: true,
                };
                (sent, answer, vec![cause])
            }
            Command::Hook { hook, arg, answer } => {
                (life.send(&Message::Hook { id, hook, arg: &arg }, Some(id)), answer, Vec::new())
            }
        };
        match sent {
            Ok(()) => {
                life.open.insert(id, Open { answer: Some(answer), begun: false, causes });
                None
            }
            Err(Refused::TooLarge) => {
                let large = HostError::new(code::LIMIT, "the parameters are too large for the plugin");
                let _ = answer.send(Err(undelivered(large)));
                None
            }
            // The outcomes that have not been read yet come first; the last of them says the same.
            Err(Refused::Ended(error)) => {
                let _ = answer.send(Err(undelivered(error)));
                None
            }
        }
    }

    /// What a turn asked for. The outcomes come in the order of the inputs.
    fn outcome(&self, life: &mut Life, outcome: Option<Result<Vec<Outgoing>, SandboxError>>) -> Option<End> {
        if let Some(id) = life.sent.pop_front().flatten()
            && let Some(open) = life.open.get_mut(&id)
        {
            open.begun = true;
        }
        match outcome {
            Some(Ok(outgoing)) => self.handle(life, outgoing),
            Some(Err(error)) => Some(End::Failed(limit(&error))),
            None => Some(End::Failed(HostError::internal("the sandbox instance is gone"))),
        }
    }

    fn handle(&self, life: &mut Life, outgoing: Vec<Outgoing>) -> Option<End> {
        for item in outgoing {
            match item {
                Outgoing::Log { level, text } => self.log(level, &text),
                Outgoing::Uncaught { message, stack } => {
                    tracing::warn!(target: "plugin", solution = %self.program.name, %message, %stack, "uncaught error");
                }
                Outgoing::Timer { id, delay_ms } => {
                    if life.timers.len() < MAX_TIMERS {
                        let sender = life.internal.clone();
                        let delay = Duration::from_millis(delay_ms);
                        let task = tokio::spawn(async move {
                            tokio::time::sleep(delay).await;
                            let _ = sender.send(Internal::Timer(id));
                        });
                        life.timers.insert(id, task.abort_handle());
                    }
                }
                Outgoing::ClearTimer { id } => {
                    if let Some(timer) = life.timers.remove(&id) {
                        timer.abort();
                    }
                }
                Outgoing::Message(bytes) => match serde_json::from_slice::<Json>(&bytes) {
                    Ok(message) => {
                        if let Some(end) = self.message(life, message) {
                            return Some(end);
                        }
                    }
                    Err(error) => tracing::warn!(solution = %self.program.name, %error, "the plugin sent no JSON"),
                },
            }
        }
        None
    }

    fn message(&self, life: &mut Life, mut message: Json) -> Option<End> {
        let id = message["id"].as_u64().unwrap_or_default();
        match message["t"].as_str() {
            Some("done") => {
                let result = match message.get("error") {
                    Some(error) => Err(script_error(error)),
                    None => Ok(message["ok"].take()),
                };
                let open = life.open.remove(&id)?;
                if id == ON_START {
                    if let Err(error) = result {
                        return Some(End::Failed(HostError::new(
                            code::PLUGIN_ERROR,
                            format!("onStart failed: {}", error.message),
                        )));
                    }
                    life.started = true;
                    self.status.send_replace(Status::Running);
                    self.host.changed();
                } else if let Some(answer) = open.answer {
                    let _ = answer.send(result);
                }
                None
            }
            Some("request") => {
                self.request(life, id, message);
                None
            }
            _ => {
                tracing::warn!(solution = %self.program.name, "the plugin sent an unknown message");
                None
            }
        }
    }

    /// Hands a request of the script to the host, with the callers on whose behalf it may be made.
    fn request(&self, life: &mut Life, id: u64, mut message: Json) {
        let method = message["method"].as_str().unwrap_or_default().to_owned();
        let params = message["params"].take();
        let mut causes: Vec<Cause> = Vec::new();
        // Not of calls that wait: the turn that asks ran before theirs.
        let mut open: Vec<_> = life.open.iter().filter(|(_, open)| open.begun).collect();
        open.sort_by_key(|(id, _)| **id);
        for cause in open.into_iter().flat_map(|(_, open)| &open.causes) {
            if !causes.contains(cause) {
                causes.push(cause.clone());
            }
        }
        life.requests += 1;
        let sender = life.internal.clone();
        if life.requests > MAX_REQUESTS {
            let error =
                HostError::new(code::LIMIT, format!("more than {MAX_REQUESTS} requests at once: await some first"));
            let _ = sender.send(Internal::Reply { id, result: Err(error) });
            return;
        }
        let (host, solution, cancel) = (self.host.clone(), self.program.solution, life.cancel.clone());
        tokio::spawn(async move {
            tokio::select! {
                // The instance is gone: nobody waits for the answer. What was started durably goes on by itself.
                () = cancel.cancelled() => {}
                result = host.plugin_request(solution, &method, params, causes) => {
                    let _ = sender.send(Internal::Reply { id, result });
                }
            }
        });
    }

    fn log(&self, level: LogLevel, text: &str) {
        let solution = self.program.name.as_str();
        match level {
            LogLevel::Error => tracing::error!(target: "plugin", solution, "{text:?}"),
            LogLevel::Warn => tracing::warn!(target: "plugin", solution, "{text:?}"),
            LogLevel::Info => tracing::info!(target: "plugin", solution, "{text:?}"),
            LogLevel::Debug => tracing::debug!(target: "plugin", solution, "{text:?}"),
        }
    }
}

/// An error the script threw, as its caller sees it: its own words, capped.
pub(super) fn script_error(error: &Json) -> HostError {
    const LONGEST: usize = 2000;
    let message: String = error["message"].as_str().unwrap_or("the plugin failed").chars().take(LONGEST).collect();
    let number = error["code"].as_i64().and_then(|c| i32::try_from(c).ok()).unwrap_or(code::PLUGIN_ERROR);
    if let Some(stack) = error["stack"].as_str().filter(|s| !s.is_empty()) {
        tracing::debug!(target: "plugin", %message, stack, "the plugin threw");
    }
    HostError::new(number, message).with(crate::wire::untag(&error["data"]))
}

fn limit(error: &SandboxError) -> HostError {
    HostError::new(code::PLUGIN_STOPPED, format!("the plugin was stopped: {error}"))
}

/// An answer or a timer for the script.
fn internal_input(life: &mut Life, internal: Internal) -> Option<End> {
    let sent = match internal {
        Internal::Reply { id, result } => {
            life.requests -= 1;
            let sent = match &result {
                Ok(ok) => life.send(&Message::Reply { id, ok: Some(ok), error: None }, None),
                Err(error) => life.send(&Message::Reply { id, ok: None, error: Some(&error.to_json()) }, None),
            };
            match sent {
                Err(Refused::TooLarge) => {
                    let error = HostError::new(code::LIMIT, "the answer is too large; ask for less at once");
                    life.send(&Message::Reply { id, ok: None, error: Some(&error.to_json()) }, None)
                }
                sent => sent,
            }
        }
        Internal::Timer(id) => {
            life.timers.remove(&id);
            life.input(Input::Timer(id), None)
        }
    };
    match sent {
        Err(Refused::TooLarge) => sent.err().map(Refused::into_end),
        // If it has ended, the last outcome says so, after those that came before it.
        Ok(()) | Err(Refused::Ended(_)) => None,
    }
}

fn fault(error: &JoinError) -> HostError {
    HostError::internal(format!("the sandbox thread failed: {error}"))
}
