//! What one instance has used, and what it may still use: the ledger behind fair CPU.
//!
//! Three numbers follow every instance, and each answers one question of the gate:
//!
//! - **virtual time**: who is next? CPU used so far; the least goes first. One that slept starts at what the others
//!   have reached, less [`CREDIT`]: sleeping saves nothing up.
//! - **level**: is it *heavy*? CPU used less the time it was idle; new ones are. Whoever sleeps as long as it runs stays light;
//!   waiting for CPU is not sleeping. Light ones go before heavy ones.
//! - **allowance**: may it run at all? Filled at [`Limits::cpu_percent`] of a core, up to [`Limits::cpu_burst`].

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Limits;

/// CPU beyond which an instance that never sleeps is heavy: an ordinary action takes a millisecond or two, and even
/// one with a few signatures in JavaScript stays below this.
const HEAVY: Duration = Duration::from_millis(20);

/// How far an instance that slept may be ahead of those that ran: two slices, so that it replaces a running one.
const CREDIT: Duration = Duration::from_millis(4);

/// A throttled instance waits until it may run at least this long: shorter visits would only be changes of thread.
const LEAST_ALLOWANCE: Duration = Duration::from_millis(10);

/// A share of CPU, in percent of a core, that is never used up: one thread cannot use more than 100.
const EVERYTHING: u32 = 200;

/// What an instance has used so far: see [`Meter::read`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// CPU time of its turns.
    pub cpu: Duration,
    /// CPU time of its longest turn.
    pub longest_turn: Duration,
    /// Turns that began: messages and timers. The evaluation of the script, which a snapshot may spare, is none.
    pub turns: u64,
    /// Time it waited because others were running.
    pub waited: Duration,
    /// Time it was held back because it had used its share of CPU.
    pub throttled: Duration,
    /// Bytes of linear memory after its last turn; 0 when it has ended.
    pub memory: usize,
}

/// Reads what an instance has used, while it runs and after it has ended. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Meter {
    pub(crate) account: Arc<Account>,
}

impl Meter {
    /// The figures as of the last tick ([`Limits::TICK`]) of a turn that is running, and exact between turns.
    #[must_use]
    pub fn read(&self) -> Usage {
        let mut usage = self.account.ledger().usage;
        usage.memory = self.account.memory.load(Ordering::Relaxed);
        usage
    }
}

/// The account of one instance.
#[derive(Debug)]
pub(crate) struct Account {
    ledger: Mutex<Ledger>,
    /// Nanoseconds. Written under the gate's lock or by the thread that holds the permit; read by whoever compares.
    virtual_time: AtomicU64,
    cancelled: AtomicBool,
    memory: AtomicUsize,
    percent: u32,
    burst: Duration,
}

#[derive(Debug)]
struct Ledger {
    usage: Usage,
    level: Duration,
    /// Since when it has neither run nor wanted to; `None` while it does.
    idle_since: Option<Instant>,
    /// May fall below zero by one tick: seconds, as an allowance can be a debt.
    allowance: f64,
    filled: Instant,
}

impl Account {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        let now = Instant::now();
        let percent = limits.cpu_percent.max(1);
        let burst = limits.cpu_burst.max(LEAST_ALLOWANCE);
        Arc::new(Self {
            ledger: Mutex::new(Ledger {
                usage: Usage::default(),
                // Heavy from birth, until it has slept: a start is work that nobody waits for in the middle of
                // something, and many at once, or one again and again, must not delay those that run.
                level: HEAVY * 2,
                idle_since: Some(now),
                allowance: burst.as_secs_f64(),
                filled: now,
            }),
            virtual_time: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
            memory: AtomicUsize::new(0),
            percent,
            burst,
        })
    }

    /// The account of a computation: heavy from the start, as nobody's answer waits for less, and without a share of its
    /// own to use up.
    pub(crate) fn heavy() -> Arc<Self> {
        let account = Self::new(&Limits { cpu_percent: EVERYTHING, ..Limits::default() });
        account.ledger().level = HEAVY * 2;
        account
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // Plain numbers, each valid by itself.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nanoseconds of virtual time.
    pub(crate) fn virtual_time(&self) -> u64 {
        self.virtual_time.load(Ordering::Relaxed)
    }

    pub(crate) fn set_memory(&self, bytes: usize) {
        self.memory.store(bytes, Ordering::Relaxed);
    }

    /// The embedder no longer wants the turn.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// It wants to run, after having been idle; `floor` is the virtual time the others have reached.
    pub(crate) fn wake(&self, now: Instant, floor: u64) {
        let mut ledger = self.ledger();
        if let Some(since) = ledger.idle_since.take() {
            ledger.level = ledger.level.saturating_sub(now.saturating_duration_since(since));
        }
        drop(ledger);
        let least = floor.saturating_sub(nanoseconds(CREDIT));
        self.virtual_time.fetch_max(least, Ordering::Relaxed);
    }

    /// It has nothing left to do.
    pub(crate) fn rest(&self, now: Instant) {
        self.ledger().idle_since = Some(now);
    }

    /// A turn began.
    pub(crate) fn count_turn(&self) {
        self.ledger().usage.turns += 1;
    }

    /// Adds CPU time; `turn` is that of the whole turn so far.
    pub(crate) fn charge(&self, cpu: Duration, turn: Duration) {
        self.virtual_time.fetch_add(nanoseconds(cpu), Ordering::Relaxed);
        let mut ledger = self.ledger();
        ledger.usage.cpu += cpu;
        ledger.usage.longest_turn = ledger.usage.longest_turn.max(turn);
        // Capped, so that one long computation is not held against it for as long again.
        ledger.level = (ledger.level + cpu).min(HEAVY * 2);
        ledger.allowance -= cpu.as_secs_f64();
    }

    /// Adds time spent waiting at the gate.
    pub(crate) fn add_wait(&self, waited: Duration, throttled: bool) {
        let mut ledger = self.ledger();
        if throttled {
            ledger.usage.throttled += waited;
        } else {
            ledger.usage.waited += waited;
        }
    }

    /// True when it uses CPU more than it sleeps.
    pub(crate) fn is_heavy(&self) -> bool {
        self.ledger().level > HEAVY
    }

    /// When it may run again, if its share is used up.
    pub(crate) fn held_back_until(&self, now: Instant) -> Option<Instant> {
        let mut ledger = self.ledger();
        let share = f64::from(self.percent) / 100.0;
        let filled = now.saturating_duration_since(ledger.filled).as_secs_f64() * share;
        ledger.filled = now;
        ledger.allowance = (ledger.allowance + filled).min(self.burst.as_secs_f64());
        if ledger.allowance > 0.0 {
            return None;
        }
        Some(now + Duration::from_secs_f64((LEAST_ALLOWANCE.as_secs_f64() - ledger.allowance) / share))
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4)
}
