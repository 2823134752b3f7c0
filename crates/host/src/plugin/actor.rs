//! The actor that owns a sandbox instance. See [`crate::plugin`] for who owns whom.

use super::lifecycle::{BackOff, Calls, GRACE, Idle, Queue, Stir, Waiting, survives, while_down};
use super::vitals::{Vitals, Wrong};
use super::{Answer, Cause, Command, Order, Program, Status, instantiate, stopped, undelivered};
use crate::error::{HostError, code};
use crate::{Host, now};
use entresol_package::manifest::LimitName;
use entresol_sandbox::record::Recorder;
use entresol_sandbox::{Engine, Input, LogLevel, Outgoing, Runner, SandboxError};
use serde::Serialize;
use serde_json::{Value as Json, json};
use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Between two looks whether a turn that is over has given its instance back.
const MOMENT: Duration = Duration::from_millis(1);

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
    /// A hook that the next life gets if this one ends before it has resolved.
    again: Option<Again>,
}

/// A hook as it was told.
struct Again {
    hook: &'static str,
    arg: Json,
    tries: u32,
    left: bool,
}

/// Why a life ended.
enum End {
    /// The actor was told to stop.
    Cancelled,
    /// Nothing can happen in it any more before it is asked again.
    Idle,
    /// It was told to finish what is open, and has.
    Drained(Order),
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
    orders: mpsc::Receiver<Order>,
    status: watch::Sender<Status>,
    vitals: Arc<Vitals>,
    /// What waits for the next life.
    queue: Queue,
    /// It starts when it is asked for something.
    lazy: bool,
    /// Where the next life is recorded.
    recorder: Option<Recorder>,
    cancel: CancellationToken,
}

/// A life that takes in nothing new and ends when what is open is done.
struct Draining {
    /// What comes then.
    order: Order,
    /// When it ends all the same.
    deadline: Instant,
}

/// One instance and what hangs on it. Dropping it aborts its timers and requests.
struct Life {
    /// `None` only while its recording is finished.
    runner: Option<Runner>,
    /// For each input whose outcome has not come: the call or hook it begins.
    sent: VecDeque<Option<u64>>,
    internal: mpsc::UnboundedSender<Internal>,
    open: HashMap<u64, Open>,
    next_id: u64,
    timers: HashMap<u32, AbortHandle>,
    requests: usize,
    /// Calls that came before `onStart` had resolved.
    backlog: VecDeque<Waiting>,
    started: bool,
    idle: Idle,
    draining: Option<Draining>,
    recorded: bool,
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

    /// The next that may go of those that wait.
    fn take_next(&mut self) -> Option<Waiting> {
        if self.backlog.is_empty() {
            return None;
        }
        let again = || self.open.values().filter_map(|open| open.again.as_ref());
        let mut left = again().filter(|again| again.left).map(|again| again.hook).peekable();
        if left.peek().is_none() {
            return self.backlog.pop_front();
        }
        let left: Vec<&str> = left.collect();
        let at = self.backlog.iter().position(|waiting| waiting.may_go(left.iter().copied()))?;
        self.backlog.remove(at)
    }

    fn input(&mut self, input: Input, begins: Option<u64>) -> Result<(), Refused> {
        let Some(runner) = &self.runner else {
            return Err(Refused::Ended(HostError::internal("the sandbox instance is gone")));
        };
        match runner.send(input) {
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
        (commands, orders): (mpsc::Receiver<Command>, mpsc::Receiver<Order>),
        (status, vitals): (watch::Sender<Status>, Arc<Vitals>),
        waiting: Vec<Waiting>,
        cancel: CancellationToken,
    ) -> Self {
        let (queue, lazy) = (Queue::new(waiting), *status.borrow() == Status::Asleep);
        Self { host, engine, program, commands, orders, status, vitals, queue, lazy, recorder: None, cancel }
    }

    /// The one loop: asleep until there is something to do, a life, a pause after a bad one; until cancelled.
    pub(super) async fn run(mut self) {
        let mut back_off = BackOff::default();
        loop {
            if std::mem::take(&mut self.lazy) && self.queue.is_empty() {
                self.status.send_replace(Status::Asleep);
                self.host.changed();
                if !self.between_lives(None).await {
                    return;
                }
            }
            self.status.send_replace(Status::Starting);
            let born = Instant::now();
            let end = self.live().await;
            self.vitals.end_life();
            match end {
                End::Cancelled => {
                    self.status.send_replace(Status::Stopped("it was stopped".into()));
                    return;
                }
                End::Drained(order) => {
                    if !self.obey(order) {
                        return;
                    }
                }
                End::Idle => {
                    self.lazy = true;
                    self.vitals.note(|figures| figures.slept += 1);
                }
                End::OtherInterface(error) => {
                    tracing::warn!(solution = %self.program.name, %error, "plugin suspended");
                    self.vitals.wrong(Wrong::Ended, &error.message, "");
                    self.host
                        .pause_policies(self.program.solution, "the plugin declares another interface than before");
                    self.status.send_replace(Status::Stopped(error.message));
                    self.host.changed();
                    return;
                }
                End::Failed(error) => {
                    tracing::warn!(solution = %self.program.name, %error, "plugin stopped");
                    self.vitals.wrong(Wrong::Ended, &error.message, "");
                    self.host.plugin_failed(self.program.solution, &error).await;
                    self.status.send_replace(Status::Failed(error.message));
                    self.host.changed();
                    if !self.between_lives(Some(back_off.after(born.elapsed()))).await {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for the end of a pause, or asleep for something to do. False when the actor ends.
    async fn between_lives(&mut self, pause: Option<Duration>) -> bool {
        let until = pause.map(|pause| Instant::now() + pause);
        let at = pause.map(|pause| now() + u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        self.vitals.note(|figures| figures.next_start_at = at);
        loop {
            self.vitals.note(|figures| figures.waiting = self.queue.len());
            tokio::select! {
                () = self.cancel.cancelled() => {
                    self.status.send_replace(Status::Stopped("it was stopped".into()));
                    return false;
                }
                () = tokio::time::sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => return true,
                Some(order) = self.orders.recv() => match order {
                    Order::Seal(sealed) => drop(sealed.send(Ok(()))),
                    order => return self.obey(order),
                },
                command = self.commands.recv() => match command {
                    None => return false,
                    Some(command) if pause.is_some() => while_down(&mut self.queue, command, &self.status.borrow()),
                    Some(command) => {
                        self.queue.push(command);
                        return true;
                    }
                },
            }
        }
    }

    /// Does what was ordered, between two lives. False when the actor ends.
    fn obey(&mut self, order: Order) -> bool {
        match order {
            Order::Leave(calls, rest) => {
                self.commands.close();
                while let Ok(command) = self.commands.try_recv() {
                    self.queue.push(command);
                }
                let gone = "it was stopped";
                self.status.send_replace(Status::Stopped(gone.into()));
                if calls == Calls::Refuse {
                    self.queue.refuse_calls(&stopped(gone));
                }
                let _ = rest.send(std::mem::take(&mut self.queue).into_rest());
                false
            }
            Order::Record(recorder, begun) => {
                self.recorder = Some(recorder);
                let _ = begun.send(());
                true
            }
            Order::Seal(sealed) => {
                let _ = sealed.send(Ok(()));
                true
            }
        }
    }

    async fn live(&mut self) -> End {
        let (engine, program) = (self.engine.clone(), Arc::clone(&self.program));
        let recorder = self.recorder.take();
        let recorded = recorder.is_some();
        self.vitals.begin_life(recorder.as_ref().map(|recorder| recorder.path().display().to_string()));
        let started = tokio::task::spawn_blocking(move || instantiate(&engine, &program, recorder)).await;
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
        self.vitals.follow(instance.meter());
        let (internal, mut answers) = mpsc::unbounded_channel();
        let mut life = Life {
            runner: Some(instance.into_runner()),
            sent: VecDeque::new(),
            internal,
            open: HashMap::new(),
            next_id: ON_START + 1,
            timers: HashMap::new(),
            requests: 0,
            backlog: VecDeque::new(),
            started: false,
            idle: Idle::new(self.host.inner.config.idle_stop),
            draining: None,
            recorded,
            cancel: self.cancel.child_token(),
        };
        life.open.insert(ON_START, Open { answer: None, begun: false, causes: Vec::new(), again: None });
        while let Some(waiting) = self.queue.pop() {
            life.backlog.push_back(waiting);
        }
        self.handle(&mut life, outgoing);
        // When nobody knows, the plugin is told to look: its data may be older than what it has signed.
        let restored = self.host.restored(self.program.solution).unwrap_or(true);
        let updated = self.host.updated(self.program.solution).unwrap_or_default();
        let dials = self.host.dials_told(self.program.solution).unwrap_or_default();
        let arg = json!({ "restored": restored, "updated": updated, "dials": dials });
        let on_start = Message::Hook { id: ON_START, hook: "onStart", arg: &arg };
        let mut end = life.send(&on_start, Some(ON_START)).err().map(Refused::into_end);
        // Made once: registering with the clock and with the token at every turn of the loop costs as much as a call.
        let mut cancelled = pin!(self.cancel.clone().cancelled_owned());
        let mut alarm = pin!(tokio::time::sleep_until(life.idle.due()));
        while end.is_none() {
            self.note(&life);
            // Calls that came before `onStart` had resolved go first.
            if life.started
                && life.draining.is_none()
                && let Some(waiting) = life.take_next()
            {
                end = self.command(&mut life, waiting);
                continue;
            }
            if life.open.is_empty()
                && let Some(draining) = life.draining.take()
            {
                end = Some(End::Drained(draining.order));
                continue;
            }
            let deadline = life.draining.as_ref().map(|draining| draining.deadline);
            // What is due later now is looked at again when the alarm goes off.
            let due = deadline.unwrap_or(life.idle.due());
            if due < alarm.deadline() {
                alarm.as_mut().reset(due);
            }
            end = tokio::select! {
                () = &mut cancelled => Some(End::Cancelled),
                outcome = next(&mut life.runner) => self.outcomes(&mut life, outcome),
                Some(internal) = answers.recv() => internal_input(&mut life, internal),
                Some(order) = self.orders.recv() => self.order(&mut life, order).await,
                () = &mut alarm => {
                    let end = if Instant::now() < due {
                        None
                    } else {
                        match life.draining.take() {
                            Some(draining) => Some(End::Drained(draining.order)),
                            None => self.look(&mut life),
                        }
                    };
                    alarm.as_mut().reset(life.draining.as_ref().map_or(life.idle.due(), |draining| draining.deadline));
                    end
                }
                // Before it has started they wait in the mailbox, which has a bound.
                command = self.commands.recv(), if life.started && deadline.is_none() => match command {
                    None => Some(End::Cancelled),
                    Some(command) => {
                        life.backlog.push_back(command.into());
                        // Whoever else is there needs no turn of the loop of their own.
                        while let Ok(command) = self.commands.try_recv() {
                            life.backlog.push_back(command.into());
                        }
                        None
                    }
                },
            };
        }
        let end = end.unwrap_or(End::Cancelled);
        let why = match &end {
            End::Cancelled | End::Idle | End::Drained(_) => stopped("it was stopped"),
            End::Failed(error) | End::OtherInterface(error) => error.clone(),
        };
        // Whoever gets the error and looks finds the plugin failed, not running still.
        if let End::Failed(error) = &end {
            self.status.send_replace(Status::Failed(error.message.clone()));
        }
        // The recording is whole before anybody hears of the end.
        if let Err(error) = self.seal(&mut life).await {
            tracing::warn!(solution = %self.program.name, %error, "the recording is not whole");
        }
        self.leave_behind(&mut life, &end, &why);
        self.host.connections().close_all(self.program.solution);
        self.host.inner.screens.close_all(self.program.solution);
        end
    }

    /// Hooks that were not finished wait for the next life; everybody else is told.
    fn leave_behind(&mut self, life: &mut Life, end: &End, why: &HostError) {
        let ends_here = matches!(end, End::Cancelled | End::OtherInterface(_));
        let failed = matches!(end, End::Failed(_));
        let (mut blamed, mut unseen) = (Vec::new(), Vec::new());
        let mut open: Vec<_> = life.open.drain().collect();
        open.sort_by_key(|(id, _)| *id);
        for (_, Open { answer, begun, again, .. }) in open {
            match (again, answer) {
                (Some(Again { hook, arg, tries, left }), Some(answer)) if !ends_here => {
                    let waiting = Waiting { command: Command::Hook { hook, arg, answer }, tries, left };
                    if begun { blamed.push(waiting) } else { unseen.push(waiting) }
                }
                (_, Some(answer)) => {
                    // Calls behind the one that broke a limit have not reached the script.
                    let error = if !begun && failed { undelivered(why.clone()) } else { why.clone() };
                    let _ = answer.send(Err(error));
                }
                (_, None) => {}
            }
        }
        self.queue.take_back(life.backlog.drain(..).collect(), false);
        self.queue.take_back(unseen, false);
        for one in self.queue.take_back(blamed, failed) {
            if let Command::Hook { hook, answer, .. } = one.command {
                self.vitals.wrong(Wrong::GivenUp, &format!("{hook} ended the plugin {} times", one.tries), "");
                let _ = answer.send(Err(why.clone()));
            }
        }
        if failed || ends_here {
            self.queue.refuse_calls(why);
        }
        if ends_here {
            self.commands.close();
            while let Ok(command) = self.commands.try_recv() {
                self.queue.push(command);
            }
        }
        while ends_here && let Some(one) = self.queue.pop() {
            let _ = one.command.into_answer().send(Err(undelivered(why.clone())));
        }
    }

    /// What the life has under way, for whoever looks.
    fn note(&self, life: &Life) {
        self.vitals.note(|figures| {
            figures.open = life.open.len();
            figures.waiting = life.backlog.len();
            figures.open_requests = life.requests;
            figures.timers = life.timers.len();
        });
    }

    /// Ends a life in which nothing can happen any more before it is asked.
    fn look(&self, life: &mut Life) -> Option<End> {
        let stir = Stir {
            open: life.open.len() + life.backlog.len() + life.sent.len(),
            requests: life.requests,
            timers: life.timers.len(),
            connections: self.host.connections().count(self.program.solution),
            screens: self.host.inner.screens.count(self.program.solution),
            recorded: life.recorded,
        };
        if stir.is_still() {
            return Some(End::Idle);
        }
        life.idle.touch();
        None
    }

    async fn order(&mut self, life: &mut Life, order: Order) -> Option<End> {
        match order {
            Order::Seal(sealed) => {
                let _ = sealed.send(self.seal(life).await);
            }
            order => life.draining = Some(Draining { order, deadline: Instant::now() + GRACE }),
        }
        None
    }

    /// Ends the recording of this life, if there is one, between two turns.
    async fn seal(&self, life: &mut Life) -> Result<(), HostError> {
        if !std::mem::take(&mut life.recorded) {
            return Ok(());
        }
        self.vitals.note(|figures| figures.recording = None);
        let deadline = Instant::now() + GRACE;
        let mut instance = loop {
            let Some(runner) = life.runner.take() else { return Err(HostError::internal("the instance is gone")) };
            // Nothing is lost: what the turns have asked for is taken before.
            let idle = if life.sent.is_empty() { runner.into_instance() } else { Err(runner) };
            match idle {
                Ok(instance) => break instance,
                Err(runner) => life.runner = Some(runner),
            }
            if life.sent.is_empty() {
                tokio::time::sleep(MOMENT).await;
            } else if let Ok(outcome) = tokio::time::timeout_at(deadline, next(&mut life.runner)).await
                && self.outcome(life, outcome).is_some()
            {
                life.sent.clear();
            }
            if Instant::now() >= deadline {
                return Err(HostError::new(code::LIMIT, "a turn took too long for the recording to be finished"));
            }
        };
        let (instance, sealed) = tokio::task::spawn_blocking(move || {
            let sealed = instance.finish_recording();
            (instance, sealed)
        })
        .await
        .map_err(|join| fault(&join))?;
        life.runner = Some(instance.into_runner());
        sealed.map_err(|error| HostError::new(code::LIMIT, crate::error::chain(&error)))
    }

    /// Hands a call or hook to the script. It takes its turn when those before it have had theirs.
    fn command(&mut self, life: &mut Life, Waiting { command, tries, left }: Waiting) -> Option<End> {
        life.idle.touch();
        if life.open.len() >= self.program.budgets.most(LimitName::OpenCalls) {
            let busy = HostError::new(code::LIMIT, "the plugin is busy: too many calls are open");
            let _ = command.into_answer().send(Err(undelivered(busy)));
            return None;
        }
        let id = life.next_id;
        life.next_id += 1;
        let mut again = None;
        let (sent, answer, causes) = match command {
            Command::Call { action, params, causes, answer } => {
                self.vitals.note(|figures| figures.calls += 1);
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
                self.vitals.note(|figures| {
                    figures.hooks += 1;
                    figures.hooks_again += u64::from(tries > 0);
                });
                let sent = life.send(&Message::Hook { id, hook, arg: &arg }, Some(id));
                again = survives(hook).then_some(Again { hook, arg, tries, left });
                (sent, answer, Vec::new())
            }
        };
        match sent {
            Ok(()) => {
                life.open.insert(id, Open { answer: Some(answer), begun: false, causes, again });
                None
            }
            Err(Refused::TooLarge) => {
                let large = HostError::new(code::LIMIT, "the parameters are too large for the plugin");
                let _ = answer.send(Err(undelivered(large)));
                None
            }
            // The outcomes that have not been read yet come first; the last of them says the same.
            Err(Refused::Ended(_)) if again.is_some() => {
                life.open.insert(id, Open { answer: Some(answer), begun: false, causes, again });
                None
            }
            Err(Refused::Ended(error)) => {
                let _ = answer.send(Err(undelivered(error)));
                None
            }
        }
    }

    /// An outcome and those that are there already, as many as may wait; whatever else there is to do goes next.
    fn outcomes(&self, life: &mut Life, first: Option<Result<Vec<Outgoing>, SandboxError>>) -> Option<End> {
        const AT_ONCE: usize = 64;
        let mut end = self.outcome(life, first);
        for _ in 1..AT_ONCE {
            if end.is_some() {
                break;
            }
            let Some(outcome) = life.runner.as_mut().and_then(Runner::try_next) else { break };
            end = self.outcome(life, Some(outcome));
        }
        end
    }

    /// What a turn asked for. The outcomes come in the order of the inputs.
    fn outcome(&self, life: &mut Life, outcome: Option<Result<Vec<Outgoing>, SandboxError>>) -> Option<End> {
        if let Some(id) = life.sent.pop_front().flatten()
            && let Some(open) = life.open.get_mut(&id)
        {
            open.begun = true;
        }
        life.idle.touch();
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
                    if self.may_log(message.len() + stack.len()) {
                        tracing::warn!(target: "plugin", solution = %self.program.name, %message, %stack, "uncaught error");
                    }
                    self.vitals.wrong(Wrong::Uncaught, &message, &stack);
                }
                Outgoing::Timer { id, delay_ms } => {
                    // No more than the sandbox's own limit wait.
                    let sender = life.internal.clone();
                    let delay = Duration::from_millis(delay_ms);
                    let task = tokio::spawn(async move {
                        tokio::time::sleep(delay).await;
                        let _ = sender.send(Internal::Timer(id));
                    });
                    life.timers.insert(id, task.abort_handle());
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
                    Some(error) => {
                        let said = script_error(error);
                        self.vitals.wrong(Wrong::Threw, &said.message, error["stack"].as_str().unwrap_or_default());
                        Err(said)
                    }
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
                    self.host.update_told(self.program.solution);
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
        self.vitals.note(|figures| figures.requests += 1);
        let sender = life.internal.clone();
        let most = self.program.budgets.most(LimitName::HostCalls);
        if life.requests > most {
            let error = HostError::new(code::LIMIT, format!("more than {most} requests at once: await some first"));
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

    /// Whether the log has room for so many bytes of this plugin; says so when it had none for a while.
    fn may_log(&self, bytes: usize) -> bool {
        let kept = self.program.budgets.log_line(bytes);
        if let Some(dropped @ 1..) = kept {
            tracing::warn!(target: "plugin", solution = %self.program.name, dropped, "log lines were dropped: too many in a minute");
        }
        kept.is_some()
    }

    fn log(&self, level: LogLevel, text: &str) {
        if !self.may_log(text.len()) {
            return;
        }
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
pub(crate) fn script_error(error: &Json) -> HostError {
    const LONGEST: usize = 2000;
    let message: String = error["message"].as_str().unwrap_or("the plugin failed").chars().take(LONGEST).collect();
    let number = error["code"].as_i64().and_then(|c| i32::try_from(c).ok()).unwrap_or(code::PLUGIN_ERROR);
    let stack = entresol_sandbox::own_frames(error["stack"].as_str().unwrap_or_default());
    if !stack.is_empty() {
        tracing::info!(target: "plugin", %message, stack, "the plugin threw");
    }
    HostError::new(number, message).with(crate::wire::untag(&error["data"]))
}

fn limit(error: &SandboxError) -> HostError {
    HostError::new(code::PLUGIN_STOPPED, format!("the plugin was stopped: {error}"))
}

/// The outcome of the oldest input; none when the instance is gone.
async fn next(runner: &mut Option<Runner>) -> Option<Result<Vec<Outgoing>, SandboxError>> {
    runner.as_mut()?.next().await
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
