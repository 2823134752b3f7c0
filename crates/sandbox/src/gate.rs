//! Fair CPU: who runs, for how long, and who waits.
//!
//! **Permits.** Guest code runs only while it holds one of as many permits as there are cores. A turn that gets none
//! waits as an entry in a list, not as a thread. The callback of the epoch, which wasmtime calls on the guest's own
//! thread, is where a running turn is charged, stopped, or made to hand its permit over and wait to go on
//! ([`Permit::tick`]).
//!
//! **Who is next** (`account.rs` has the numbers). *Light* instances, which sleep at least as long as they run, go
//! before *heavy* ones; within each, whoever has used the least CPU. A light one that arrives while every permit is
//! taken raises the epoch at once, so a heavy one makes room within microseconds instead of at the next tick.
//! Heavy ones never hold all permits where there is more than one core: a core is left for light turns and for the
//! program itself, which no permit protects. And they are never starved: after [`PATIENCE`] without any heavy turn the
//! next permit is theirs for a slice.
//!
//! **Who ends when.** The gate lives as long as the engine; its thread (`ticker.rs`) ends with it. A waiting turn is
//! let in, or leaves when its embedder has dropped it ([`Gate::cancel`]).
//!
//! Locks: the gate's, then an account's; never the other way.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;

use crate::account::Account;
use crate::error::HostFault;
use crate::threads::Threads;
use crate::{SandboxError, ticker};

/// CPU time after which a turn lets one of the same kind go first: long enough that changing threads, some ten
/// microseconds, costs nothing.
const SLICE: Duration = Duration::from_millis(2);

/// Heavy turns get a slice at least this often, however many light ones there are.
const PATIENCE: Duration = Duration::from_millis(100);

/// What runs with a permit, or learns why it cannot have one.
pub(crate) type Job = Box<dyn FnOnce(Result<Permit, HostFault>) + Send>;

/// Lets turns in. Dropping it ends the ticker.
#[derive(Debug)]
pub(crate) struct Gate {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    /// Wakes the ticker.
    pub(crate) changed: Condvar,
    engine: wasmtime::EngineWeak,
    threads: Threads,
}

#[derive(Debug)]
pub(crate) struct State {
    slots: usize,
    heavy_slots: usize,
    /// Accounts that hold a permit.
    running: Vec<Arc<Account>>,
    heavy_running: usize,
    waiting: Vec<Waiter>,
    /// Least virtual time of those who run or wait; never falls.
    floor: u64,
    next_number: u64,
    heavy_ran: Instant,
    ran: bool,
    /// The ticker sleeps without a tick ahead: whoever lets a turn in wakes it.
    idle: bool,
    stopped: bool,
}

/// How a permit is held.
#[derive(Clone, Copy, Debug, Default)]
struct Seat {
    heavy: bool,
    /// Let in by [`PATIENCE`]: keeps its slice.
    patient: bool,
}

struct Waiter {
    account: Arc<Account>,
    heavy: bool,
    number: u64,
    since: Instant,
    /// Its share of CPU is used up until then.
    due: Option<Instant>,
    entry: Entry,
}

enum Entry {
    /// Has not begun.
    Job(Job),
    /// Has begun and waits on its thread.
    Thread(Arc<Parked>),
}

/// Let in, to be told so without the lock.
pub(crate) struct Grant {
    account: Arc<Account>,
    seat: Seat,
    entry: Entry,
}

/// A thread in the middle of a turn.
#[derive(Debug, Default)]
struct Parked {
    outcome: Mutex<Option<Outcome>>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Granted(Seat),
    Cancelled,
}

impl std::fmt::Debug for Waiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiter").field("heavy", &self.heavy).field("due", &self.due).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Parked {
    fn wait(&self) -> Outcome {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match *outcome {
                Some(outcome) => return outcome,
                None => outcome = self.changed.wait(outcome).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn tell(&self, told: Outcome) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
        self.changed.notify_one();
    }
}

impl Gate {
    /// `slots` permits; the ticker's thread starts.
    pub(crate) fn start(engine: &wasmtime::Engine, slots: usize) -> Result<Self, HostFault> {
        let slots = slots.max(1);
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                slots,
                heavy_slots: slots.saturating_sub(1).max(1),
                running: Vec::with_capacity(slots),
                heavy_running: 0,
                waiting: Vec::new(),
                floor: 0,
                next_number: 0,
                heavy_ran: Instant::now(),
                ran: false,
                idle: false,
                stopped: false,
            }),
            changed: Condvar::new(),
            engine: engine.weak(),
            threads: Threads::default(),
        });
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("sandbox ticker".to_owned())
            .spawn(move || ticker::tick(&theirs))
            .map_err(|error| HostFault::Thread(Arc::new(error)))?;
        Ok(Self { shared })
    }

    /// Runs `job` on a thread of the sandbox as soon as the account may run.
    pub(crate) fn submit(&self, account: &Arc<Account>, job: Job) {
        let now = Instant::now();
        let due = account.held_back_until(now);
        let mut state = self.shared.lock();
        account.wake(now, state.floor);
        let heavy = account.is_heavy();
        state.enqueue(account, heavy, now, due, Entry::Job(job));
        let grants = state.dispatch(now);
        let wake_ticker = state.idle;
        // A waiter that is not held back wants somebody to make room.
        let kick = grants.is_empty() && due.is_none();
        drop(state);
        if kick {
            self.shared.raise_epoch();
        }
        if wake_ticker || kick || due.is_some() {
            self.shared.changed.notify_one();
        }
        Shared::grant(&self.shared, grants);
    }

    /// Ends the account's turn: one that waits leaves now, one that runs at its next loop or call.
    pub(crate) fn cancel(&self, account: &Arc<Account>) {
        account.cancel();
        let mut state = self.shared.lock();
        let (leaving, staying) =
            std::mem::take(&mut state.waiting).into_iter().partition(|waiter| Arc::ptr_eq(&waiter.account, account));
        state.waiting = staying;
        drop(state);
        self.shared.raise_epoch();
        let leaving: Vec<Waiter> = leaving;
        for waiter in leaving {
            match waiter.entry {
                // Nobody waits for its outcome.
                Entry::Job(job) => drop(job),
                Entry::Thread(parked) => parked.tell(Outcome::Cancelled),
            }
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes every running guest look at its account.
    pub(crate) fn raise_epoch(&self) {
        if let Some(engine) = self.engine.upgrade() {
            engine.increment_epoch();
        }
    }

    /// Tells those who were let in.
    pub(crate) fn grant(shared: &Arc<Self>, grants: Vec<Grant>) {
        for Grant { account, seat, entry } in grants {
            match entry {
                Entry::Thread(parked) => parked.tell(Outcome::Granted(seat)),
                Entry::Job(job) => {
                    // Made here and not on the thread, so that the permit comes back whatever happens to the job.
                    let permit = Permit {
                        shared: Arc::clone(shared),
                        account,
                        seat,
                        held: true,
                        clock: None,
                        turn: Duration::ZERO,
                        slice: Duration::ZERO,
                        budget: Duration::MAX,
                    };
                    // The job must be had back when no thread can be started, but it is called by value there.
                    let cell = Arc::new(Mutex::new(Some((job, permit))));
                    let theirs = Arc::clone(&cell);
                    let run = Box::new(move || {
                        if let Some((job, permit)) = take(&theirs) {
                            job(Ok(permit));
                        }
                    });
                    if let Err((_, fault)) = shared.threads.spawn(run)
                        && let Some((job, permit)) = take(&cell)
                    {
                        drop(permit);
                        job(Err(fault));
                    }
                }
            }
        }
    }
}

fn take<T>(cell: &Mutex<Option<T>>) -> Option<T> {
    cell.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl State {
    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }

    pub(crate) fn is_running(&self) -> bool {
        !self.running.is_empty()
    }

    /// True when something ran since the last tick.
    pub(crate) fn has_run(&self) -> bool {
        self.ran
    }

    pub(crate) fn forget_runs(&mut self) {
        self.ran = self.is_running();
    }

    pub(crate) fn set_idle(&mut self, idle: bool) {
        self.idle = idle;
    }

    /// True when somebody waits for others and not for its own share.
    pub(crate) fn is_contended(&self, now: Instant) -> bool {
        self.waiting.iter().any(|waiter| waiter.due.is_none_or(|due| due <= now))
    }

    pub(crate) fn earliest_due(&self) -> Option<Instant> {
        self.waiting.iter().filter_map(|waiter| waiter.due).min()
    }

    fn enqueue(&mut self, account: &Arc<Account>, heavy: bool, now: Instant, due: Option<Instant>, entry: Entry) {
        let number = self.next_number;
        self.next_number += 1;
        self.waiting.push(Waiter { account: Arc::clone(account), heavy, number, since: now, due, entry });
    }

    /// Lets in whoever may run now.
    pub(crate) fn dispatch(&mut self, now: Instant) -> Vec<Grant> {
        let mut grants = Vec::new();
        while self.running.len() < self.slots {
            let heavy_slot = self.heavy_running < self.heavy_slots;
            let Some((index, patient)) = self.best(now, heavy_slot) else { break };
            let waiter = self.waiting.swap_remove(index);
            waiter.account.add_wait(now.saturating_duration_since(waiter.since), waiter.due.is_some());
            let seat = Seat { heavy: waiter.heavy, patient };
            self.sit(&waiter.account, seat, now);
            grants.push(Grant { account: waiter.account, seat, entry: waiter.entry });
        }
        grants
    }

    /// Who should run next, and whether [`PATIENCE`] chose it.
    fn best(&self, now: Instant, heavy_slot: bool) -> Option<(usize, bool)> {
        let may = |waiter: &Waiter| (heavy_slot || !waiter.heavy) && waiter.due.is_none_or(|due| due <= now);
        let key = |waiter: &Waiter| (waiter.account.virtual_time(), waiter.number);
        let of_kind = |heavy| {
            let candidates = self.waiting.iter().enumerate().filter(|(_, waiter)| waiter.heavy == heavy && may(waiter));
            candidates.min_by_key(|(_, waiter)| key(waiter)).map(|(index, _)| index)
        };
        let long_ago = |then| now.saturating_duration_since(then) > PATIENCE;
        if self.heavy_running == 0
            && long_ago(self.heavy_ran)
            && let Some(index) = of_kind(true)
            && long_ago(self.waiting[index].since)
        {
            return Some((index, true));
        }
        of_kind(false).or_else(|| of_kind(true)).map(|index| (index, false))
    }

    fn sit(&mut self, account: &Arc<Account>, seat: Seat, now: Instant) {
        self.running.push(Arc::clone(account));
        self.ran = true;
        if seat.heavy {
            self.heavy_running += 1;
            self.heavy_ran = now;
        }
    }

    fn stand(&mut self, account: &Arc<Account>, seat: Seat, now: Instant) {
        if let Some(index) = self.running.iter().position(|one| Arc::ptr_eq(one, account)) {
            self.running.swap_remove(index);
        }
        if seat.heavy {
            self.heavy_running = self.heavy_running.saturating_sub(1);
            self.heavy_ran = now;
        }
    }

    /// Moves the floor to what everybody has reached.
    fn raise_floor(&mut self) {
        let waiting = self.waiting.iter().filter(|waiter| waiter.due.is_none()).map(|waiter| &waiter.account);
        if let Some(least) = self.running.iter().chain(waiting).map(|account| account.virtual_time()).min() {
            self.floor = self.floor.max(least);
        }
    }

    /// True when the permit is better used by somebody who waits.
    fn should_yield(&self, permit: &Permit, now: Instant) -> bool {
        if self.running.len() > self.slots {
            return true;
        }
        let heavy_slot = self.heavy_running - usize::from(permit.seat.heavy) < self.heavy_slots;
        let Some((index, patient)) = self.best(now, heavy_slot) else { return false };
        if permit.seat.patient && permit.slice < SLICE {
            return false;
        }
        let waiter = &self.waiting[index];
        match (permit.seat.heavy, waiter.heavy) {
            (true, false) => true,
            (false, true) => patient,
            _ => {
                let ahead = u64::try_from(SLICE.as_nanos()).unwrap_or(u64::MAX);
                waiter.account.virtual_time().saturating_add(ahead) <= permit.account.virtual_time()
            }
        }
    }
}

/// The right to run guest code on one core. Dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct Permit {
    shared: Arc<Shared>,
    account: Arc<Account>,
    seat: Seat,
    held: bool,
    /// CPU time of this thread at the last charge.
    clock: Option<Duration>,
    /// CPU time of this turn, and since the permit was given.
    turn: Duration,
    slice: Duration,
    budget: Duration,
}

impl Permit {
    /// A turn begins on this thread, with so much CPU time.
    pub(crate) fn begin_turn(&mut self, budget: Duration) {
        // Between two turns of one visit the clock runs on: handing out what a turn asked for is its cost as well.
        self.clock.get_or_insert_with(thread_time);
        self.turn = Duration::ZERO;
        self.budget = budget;
    }

    /// The turn that began is for an input, and no evaluation.
    pub(crate) fn count_turn(&self) {
        self.account.count_turn();
    }

    /// Charges what ran since the last time.
    fn charge(&mut self) {
        let now = thread_time();
        let spent = now.saturating_sub(self.clock.unwrap_or(now));
        self.clock = Some(now);
        self.turn += spent;
        self.slice += spent;
        self.account.charge(spent, self.turn);
    }

    /// Gives the permit away while another thread works for the turn and this one only waits, and comes back for it.
    /// `work` says what the other thread has used, which is charged as the turn's own.
    ///
    /// # Errors
    /// As [`Permit::tick`].
    pub(crate) fn away<T>(&mut self, work: impl FnOnce() -> (T, Duration)) -> (T, Result<(), SandboxError>) {
        self.charge();
        let shared = Arc::clone(&self.shared);
        let now = Instant::now();
        let mut state = shared.lock();
        state.raise_floor();
        state.stand(&self.account, self.seat, now);
        self.held = false;
        let grants = state.dispatch(now);
        drop(state);
        Shared::grant(&shared, grants);
        let (outcome, elsewhere) = work();
        self.charge();
        self.turn += elsewhere;
        self.account.charge(elsewhere, self.turn);
        if self.turn > self.budget {
            return (outcome, Err(SandboxError::Deadline));
        }
        let now = Instant::now();
        let due = self.account.held_back_until(now);
        let heavy = self.account.is_heavy();
        (outcome, self.queue(&shared, shared.lock(), heavy, now, due))
    }

    /// Called at each tick: charges, and waits while others go first.
    ///
    /// # Errors
    /// The turn must end: its CPU time is used up, or nobody wants it any more.
    pub(crate) fn tick(&mut self) -> Result<(), SandboxError> {
        self.charge();
        self.go_on()
    }

    fn go_on(&mut self) -> Result<(), SandboxError> {
        if self.account.is_cancelled() {
            return Err(SandboxError::Cancelled);
        }
        if self.turn > self.budget {
            return Err(SandboxError::Deadline);
        }
        let now = Instant::now();
        let due = self.account.held_back_until(now);
        let heavy = self.account.is_heavy();
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        state.raise_floor();
        // It has become heavy since it was let in: it may stay where heavy ones have room.
        let mut crowded = false;
        if heavy && !self.seat.heavy {
            if state.heavy_running < state.heavy_slots {
                state.heavy_running += 1;
                self.seat.heavy = true;
            } else {
                crowded = true;
            }
        }
        if due.is_none() && !crowded && !state.should_yield(self, now) {
            return Ok(());
        }
        state.stand(&self.account, self.seat, now);
        self.queue(&shared, state, heavy, now, due)
    }

    /// Waits in the list, without a permit, until it is given one.
    fn queue(
        &mut self,
        shared: &Arc<Shared>,
        mut state: MutexGuard<'_, State>,
        heavy: bool,
        now: Instant,
        due: Option<Instant>,
    ) -> Result<(), SandboxError> {
        let parked = Arc::new(Parked::default());
        self.held = false;
        state.enqueue(&self.account, heavy, now, due, Entry::Thread(Arc::clone(&parked)));
        let grants = state.dispatch(now);
        let wake_ticker = state.idle || due.is_some();
        // A dropped embedder may have looked for it before it waited.
        let cancelled = self.account.is_cancelled();
        drop(state);
        if wake_ticker {
            shared.changed.notify_one();
        }
        Shared::grant(shared, grants);
        if cancelled && shared.leave(&parked) {
            return Err(SandboxError::Cancelled);
        }
        match parked.wait() {
            Outcome::Granted(seat) => {
                self.seat = seat;
                self.held = true;
                self.slice = Duration::ZERO;
                // Waiting took no CPU, but waking up may have.
                self.clock = Some(thread_time());
                if self.account.is_cancelled() { Err(SandboxError::Cancelled) } else { Ok(()) }
            }
            Outcome::Cancelled => Err(SandboxError::Cancelled),
        }
    }

    /// [`Permit::tick`] when no turn runs and the last one has been charged: reading the clock of a thread is a call
    /// of the system.
    pub(crate) fn tick_between_turns(&mut self) -> Result<(), SandboxError> {
        self.turn = Duration::ZERO;
        self.go_on()
    }

    /// The turn is over: charges the rest of it. What it used counts to the end, also where no tick came to stop it
    /// (a machine may keep the ticker from running for longer than the turn took).
    ///
    /// # Errors
    /// It used more CPU time than it had.
    pub(crate) fn end_turn(&mut self) -> Result<(), SandboxError> {
        self.charge();
        if self.turn > self.budget { Err(SandboxError::Deadline) } else { Ok(()) }
    }
}

impl Shared {
    /// Takes a thread out of the list; false when it is no longer in it.
    fn leave(&self, parked: &Arc<Parked>) -> bool {
        let mut state = self.lock();
        let found = state
            .waiting
            .iter()
            .position(|waiter| matches!(&waiter.entry, Entry::Thread(theirs) if Arc::ptr_eq(theirs, parked)));
        found.map(|index| state.waiting.swap_remove(index)).is_some()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut state = self.shared.lock();
        if self.held {
            state.raise_floor();
            state.stand(&self.account, self.seat, now);
        }
        self.account.rest(now);
        let grants = state.dispatch(now);
        drop(state);
        Shared::grant(&self.shared, grants);
    }
}

/// CPU time of this thread. Not the time that passes: a machine that is busy with other programs must not make a
/// script's turn shorter.
fn thread_time() -> Duration {
    ThreadTime::now().as_duration()
}

#[cfg(test)]
mod tests;
