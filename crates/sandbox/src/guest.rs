//! What the host keeps for one guest, and the functions the guest imports (`engine/shim.c` has the other side).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::{Caller, Linker, Memory, ResourceLimiter};

use crate::gate::Permit;
use crate::record::Tape;
use crate::webassembly::{self, Compiler};
use crate::{HostCalls, Limits, LogLevel, Outgoing, SandboxError, own_frames, services};

/// How far apart the clocks of evaluations that are compared are: another year, month, day, hour, minute and second.
const CLOCK_ROUND_MS: u64 = 40_694_462_120;

/// What a log line costs beside its text, so that empty lines are not free.
const LINE_COST: usize = 32;

/// Most entries of a guest's function tables; the engine has a fixed one of about a thousand.
const MOST_TABLE_ENTRIES: usize = 10_000;

/// WASI's "bad file descriptor".
const EBADF: i32 = 8;

/// Host state of one guest.
pub(crate) struct Guest {
    pub(crate) limits: Limits,
    /// Held while a turn runs.
    pub(crate) permit: Option<Permit>,
    /// Known from instantiation on.
    pub(crate) memory: Option<Memory>,
    /// False until the engine itself has started: what it reads before that is not the script's.
    pub(crate) begun: bool,
    /// The script has been evaluated and is asked something: its memory may grow.
    pub(crate) asked: bool,
    /// Everything that enters the guest goes over it.
    pub(crate) tape: Tape,
    host: Box<dyn HostCalls>,
    outgoing: Vec<Outgoing>,
    posted: usize,
    /// Bytes of messages of this turn.
    posted_bytes: usize,
    log_left: usize,
    lines_dropped: usize,
    /// Timers that were asked for and have neither fired nor been cleared.
    timers: HashSet<u32>,
    /// Result of a host call, until the guest has made room for it.
    answer: Vec<u8>,
    /// It has asked for randomness or the clock.
    pub(crate) drew: bool,
    /// It has made a host call that another life would be answered differently.
    pub(crate) impure: bool,
    /// Which of several evaluations that are compared: each is answered other randomness and another time.
    round: u8,
    /// Modules of the script and what it made of them.
    pub(crate) webassembly: webassembly::State,
    pub(crate) compiler: Option<Arc<Compiler>>,
    /// Entries of all tables, the engine's own among them.
    table_entries: usize,
    /// An evaluation that threw.
    pub(crate) thrown: Option<SandboxError>,
    /// A limit broke and the host function that saw it has stopped the guest.
    pub(crate) broken: Option<SandboxError>,
}

impl Guest {
    pub(crate) fn new(limits: Limits, host: Box<dyn HostCalls>) -> Self {
        Self {
            permit: None,
            memory: None,
            begun: false,
            asked: false,
            tape: Tape::Off,
            host,
            outgoing: Vec::new(),
            posted: 0,
            posted_bytes: 0,
            log_left: limits.log_bytes_per_turn,
            lines_dropped: 0,
            timers: HashSet::new(),
            answer: Vec::new(),
            drew: false,
            impure: false,
            round: 0,
            webassembly: webassembly::State::default(),
            compiler: None,
            table_entries: 0,
            thrown: None,
            broken: None,
            limits,
        }
    }

    /// Time passed while it runs: an error ends the turn.
    pub(crate) fn tick(&mut self) -> Result<(), SandboxError> {
        self.permit.as_mut().map_or(Ok(()), Permit::tick)
    }

    /// [`Guest::tick`] when no turn runs: others may go first, and no turn can be too long.
    pub(crate) fn tick_between_turns(&mut self) -> Result<(), SandboxError> {
        self.permit.as_mut().map_or(Ok(()), Permit::tick_between_turns)
    }

    /// The guest after an evaluation, which is taken from a snapshot.
    pub(crate) fn evaluated(mut self, timers: &[u32]) -> Self {
        self.timers = timers.iter().copied().collect();
        self.begun = true;
        // Another store has other tables.
        self.table_entries = 0;
        self
    }

    /// Another guest of the same host, which is told other randomness and another time, also by a host that repeats
    /// itself.
    pub(crate) fn again(&mut self, round: u8) -> Self {
        let host = std::mem::replace(&mut self.host, Box::new(Nobody));
        Self { round, ..Self::new(self.limits.clone(), host) }
    }

    /// Takes the host back from [`Guest::again`].
    pub(crate) fn take_host(&mut self, other: &mut Self) {
        self.host = std::mem::replace(&mut other.host, Box::new(Nobody));
    }

    /// In order, as a snapshot has them.
    pub(crate) fn waiting_timers(&self) -> Vec<u32> {
        let mut timers: Vec<u32> = self.timers.iter().copied().collect();
        timers.sort_unstable();
        timers
    }

    /// Opens the budgets of a new turn.
    pub(crate) fn begin_turn(&mut self) {
        if let Some(permit) = &mut self.permit {
            permit.begin_turn(self.limits.turn);
        }
        self.posted = 0;
        self.posted_bytes = 0;
        self.log_left = self.limits.log_bytes_per_turn;
        self.lines_dropped = 0;
    }

    /// What the turn asked for.
    pub(crate) fn end_turn(&mut self) -> Vec<Outgoing> {
        if self.lines_dropped > 0 {
            let text = format!("{} more log lines or errors of this turn were dropped", self.lines_dropped);
            self.outgoing.push(Outgoing::Log { level: LogLevel::Warn, text });
        }
        self.tape.end(Ok(&self.outgoing));
        std::mem::take(&mut self.outgoing)
    }

    /// True when the timer was waiting; it no longer is.
    pub(crate) fn take_timer(&mut self, id: u32) -> bool {
        self.timers.remove(&id)
    }

    /// Another thread works for this guest and says how long: others run meanwhile. An error ends the turn.
    pub(crate) fn away<T>(&mut self, work: impl FnOnce() -> (T, Duration)) -> (T, Result<(), SandboxError>) {
        match &mut self.permit {
            Some(permit) => permit.away(work),
            None => (work().0, Ok(())),
        }
    }

    /// What the guest takes next.
    pub(crate) fn answer_with(&mut self, answer: Vec<u8>) {
        self.answer = answer;
    }

    pub(crate) fn stop<T>(&mut self, reason: SandboxError) -> wasmtime::Result<T> {
        let error = wasmtime::Error::msg(reason.to_string());
        self.broken = Some(reason);
        Err(error)
    }

    /// Room for one more message or timer order in this turn.
    fn count(&mut self) -> wasmtime::Result<()> {
        self.posted += 1;
        if self.posted > self.limits.messages_per_turn { self.stop(SandboxError::TooManyMessages) } else { Ok(()) }
    }

    /// As much of `text` as this turn may still log.
    fn within_log_budget(&mut self, text: &[u8]) -> Option<String> {
        if self.log_left <= LINE_COST {
            self.lines_dropped += 1;
            return None;
        }
        let room = self.log_left - LINE_COST;
        self.log_left = room.saturating_sub(text.len());
        if text.len() <= room {
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        let mut kept = String::from_utf8_lossy(&text[..room]).into_owned();
        kept.push('…');
        Some(kept)
    }
}

/// In the place of a host that is lent out.
struct Nobody;

impl HostCalls for Nobody {
    fn call(&mut self, name: &str, _: &[u8]) -> Result<Vec<u8>, String> {
        Err(format!("nobody is there to answer {name}"))
    }
}

impl ResourceLimiter for Guest {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let start = if self.asked { usize::MAX } else { self.limits.start_memory_bytes };
        Ok(desired <= self.limits.memory_bytes.min(start))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.table_entries.saturating_add(desired.saturating_sub(current));
        let most = MOST_TABLE_ENTRIES + if self.limits.webassembly { webassembly::MOST_TABLE_ENTRIES } else { 0 };
        if used > most {
            self.webassembly.table_refused = true;
            return Ok(false);
        }
        self.table_entries = used;
        Ok(true)
    }
}

/// A piece of the guest's memory beside the host's state.
fn piece<'a>(
    caller: &'a mut Caller<'_, Guest>,
    at: u32,
    length: u32,
) -> wasmtime::Result<(&'a mut [u8], &'a mut Guest)> {
    let memory = caller.data().memory.ok_or_else(|| wasmtime::Error::msg("the guest has no memory"))?;
    let (bytes, guest) = memory.data_and_store_mut(caller);
    let start = usize::try_from(at)?;
    let end = start.saturating_add(usize::try_from(length)?);
    let piece =
        bytes.get_mut(start..end).ok_or_else(|| wasmtime::Error::msg("the guest pointed outside its memory"))?;
    Ok((piece, guest))
}

/// Adds every import of the engine.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    const OURS: &str = "entresol";
    linker.func_wrap(OURS, "post", post)?;
    linker.func_wrap(OURS, "log", log)?;
    linker.func_wrap(OURS, "timer", timer)?;
    linker.func_wrap(OURS, "clear_timer", clear_timer)?;
    linker.func_wrap(OURS, "random", random)?;
    linker.func_wrap(OURS, "call", call)?;
    linker.func_wrap(OURS, "take", take)?;
    linker.func_wrap(OURS, "report", report)?;
    linker.func_wrap(OURS, "exhausted", exhausted)?;
    webassembly::link(linker)?;
    // The C library's own imports: a clock, and files that do not exist.
    const WASI: &str = "wasi_snapshot_preview1";
    linker.func_wrap(WASI, "clock_time_get", clock)?;
    linker.func_wrap(WASI, "fd_write", |_: i32, _: i32, _: i32, _: i32| EBADF)?;
    linker.func_wrap(WASI, "fd_seek", |_: i32, _: i64, _: i32, _: i32| EBADF)?;
    linker.func_wrap(WASI, "fd_close", |_: i32| EBADF)?;
    linker.func_wrap(WASI, "fd_fdstat_get", |_: i32, _: i32| EBADF)?;
    Ok(())
}

fn post(mut caller: Caller<'_, Guest>, at: u32, length: u32) -> wasmtime::Result<i32> {
    let (text, guest) = piece(&mut caller, at, length)?;
    guest.count()?;
    if text.len() > guest.limits.message_bytes {
        return Ok(1);
    }
    let bytes = text.len();
    guest.posted_bytes += bytes;
    if guest.posted_bytes > guest.limits.message_bytes.saturating_mul(Limits::LARGE_MESSAGES_PER_TURN) {
        return guest.stop(SandboxError::TooManyMessages);
    }
    guest.outgoing.push(Outgoing::Message(text.to_vec()));
    Ok(0)
}

fn log(mut caller: Caller<'_, Guest>, level: i32, at: u32, length: u32) -> wasmtime::Result<()> {
    let (text, guest) = piece(&mut caller, at, length)?;
    let level = match level {
        0 => LogLevel::Debug,
        2 => LogLevel::Warn,
        3 => LogLevel::Error,
        _ => LogLevel::Info,
    };
    if let Some(text) = guest.within_log_budget(text) {
        guest.outgoing.push(Outgoing::Log { level, text });
    }
    Ok(())
}

fn timer(mut caller: Caller<'_, Guest>, id: u32, milliseconds: f64) -> wasmtime::Result<i32> {
    let guest = caller.data_mut();
    guest.count()?;
    if guest.timers.len() >= guest.limits.timers && !guest.timers.contains(&id) {
        return Ok(1);
    }
    guest.timers.insert(id);
    // A float that fits no integer becomes the nearest one that does: no delay can be negative or without end.
    let delay_ms = (milliseconds as u64).clamp(1, u64::from(u32::MAX));
    guest.outgoing.push(Outgoing::Timer { id, delay_ms });
    Ok(0)
}

fn clear_timer(mut caller: Caller<'_, Guest>, id: u32) {
    let guest = caller.data_mut();
    if guest.timers.remove(&id) {
        guest.outgoing.push(Outgoing::ClearTimer { id });
    }
}

fn random(mut caller: Caller<'_, Guest>, at: u32, length: u32) -> wasmtime::Result<i32> {
    let (bytes, guest) = piece(&mut caller, at, length)?;
    guest.drew = true;
    match guest.tape.random(&mut *guest.host, bytes) {
        Ok(filled) => {
            bytes.iter_mut().for_each(|byte| *byte ^= guest.round.wrapping_mul(0x35));
            Ok(i32::from(!filled))
        }
        Err(reason) => guest.stop(reason),
    }
}

/// Services of [`call`].
const EMBEDDER: i32 = 0;
const SANDBOX: i32 = 1;

fn call(
    mut caller: Caller<'_, Guest>,
    service: i32,
    name_at: u32,
    name_length: u32,
    at: u32,
    length: u32,
) -> wasmtime::Result<i32> {
    let (name, _) = piece(&mut caller, name_at, name_length)?;
    let name = String::from_utf8_lossy(name).into_owned();
    if service == webassembly::SERVICE {
        let payload = piece(&mut caller, at, length)?.0.to_vec();
        let answer = webassembly::serve(&mut caller, &name, &payload)?;
        let length = i32::try_from(answer.len())?;
        caller.data_mut().answer_with(answer);
        return Ok(length);
    }
    let (payload, guest) = piece(&mut caller, at, length)?;
    let answer = if payload.len() > guest.limits.message_bytes {
        Err(format!("the payload of {} bytes is larger than the host takes", payload.len()))
    } else {
        guest.impure |= service == EMBEDDER && !guest.host.is_pure(&name);
        let host = &mut guest.host;
        let asked = guest.tape.call(&name, payload, || match service {
            EMBEDDER => host.call(&name, payload),
            SANDBOX => services::answer(&name, payload),
            _ => Err("no such service".to_owned()),
        });
        match asked {
            Ok(answer) => answer,
            Err(reason) => return guest.stop(reason),
        }
    };
    let failed = answer.is_err();
    guest.answer = answer.unwrap_or_else(String::into_bytes);
    let length = i32::try_from(guest.answer.len())?;
    Ok(if failed { -1 - length } else { length })
}

fn take(mut caller: Caller<'_, Guest>, at: u32) -> wasmtime::Result<()> {
    let answer = std::mem::take(&mut caller.data_mut().answer);
    let (room, _) = piece(&mut caller, at, u32::try_from(answer.len())?)?;
    room.copy_from_slice(&answer);
    Ok(())
}

fn report(
    mut caller: Caller<'_, Guest>,
    fatal: i32,
    message_at: u32,
    message_length: u32,
    stack_at: u32,
    stack_length: u32,
) -> wasmtime::Result<()> {
    // The engine's own words when a large allocation fails. Nobody caught it, so what came after it did not happen.
    const OUT_OF_MEMORY: &[u8] = b"InternalError: out of memory";
    let (message, guest) = piece(&mut caller, message_at, message_length)?;
    if message == OUT_OF_MEMORY {
        return guest.stop(SandboxError::Memory);
    }
    let message = guest.within_log_budget(message);
    let (stack, guest) = piece(&mut caller, stack_at, stack_length)?;
    // A stack is the script's to write: no more of it is looked at than could be kept.
    let stack = own_frames(&String::from_utf8_lossy(&stack[..stack.len().min(guest.limits.log_bytes_per_turn)]));
    let stack = guest.within_log_budget(stack.as_bytes()).unwrap_or_default();
    if fatal != 0 {
        let message = message.unwrap_or_else(|| "an error that was not reported".to_owned());
        guest.thrown = Some(SandboxError::Script { message, stack });
    } else if let Some(message) = message {
        guest.outgoing.push(Outgoing::Uncaught { message, stack });
    }
    Ok(())
}

/// The heap is full, and the interpreter cannot be trusted to go on.
fn exhausted(mut caller: Caller<'_, Guest>) -> wasmtime::Result<()> {
    caller.data_mut().stop(SandboxError::Memory)
}

fn clock(mut caller: Caller<'_, Guest>, _clock: i32, _precision: i64, at: u32) -> wasmtime::Result<i32> {
    const NANOSECONDS: u64 = 1_000_000;
    let (into, guest) = piece(&mut caller, at, 8)?;
    // The engine seeds itself with the time when it starts, for randomness that no script of ours sees. It gets none:
    // two starts of the same script are the same to the byte, which snapshots and replays rest on.
    let now = if guest.begun {
        guest.drew = true;
        let now = guest.tape.clock(&mut *guest.host);
        now.map(|now| now.saturating_add(u64::from(guest.round) * CLOCK_ROUND_MS))
    } else {
        Ok(0)
    };
    let step = u64::try_from(guest.limits.clock_step.as_millis()).unwrap_or(u64::MAX).max(1);
    let now = match now {
        Ok(now) => now / step * step,
        Err(reason) => return guest.stop(reason),
    };
    into.copy_from_slice(&now.saturating_mul(NANOSECONDS).to_le_bytes());
    Ok(0)
}
