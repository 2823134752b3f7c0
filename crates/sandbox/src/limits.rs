//! What one script may use.

use std::time::Duration;

/// The limits of one instance. [`Limits::default`] suits an ordinary plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The engine's whole linear memory in bytes, code and stack of the interpreter included: an exact cap. The
    /// script's own heap may take three quarters of it, so that it sees an error it can catch before the wall.
    /// Default 64 MiB; below [`Limits::LEAST_MEMORY`] nothing starts.
    pub memory_bytes: usize,
    /// The most of it that may be in use when the script has been evaluated and before it is asked anything; after
    /// that it may grow to [`Limits::memory_bytes`]. What evaluation leaves is kept as a snapshot for each version of
    /// each script, in memory and on disk. Default [`Limits::START_MEMORY`].
    pub start_memory_bytes: usize,
    /// CPU time of one turn, promise jobs and host calls included; waiting for other instances is not counted.
    /// Stopped to within [`Limits::TICK`]; a turn that used more is over also if it came to its end in that time. The
    /// script cannot catch it. Default 5 s.
    pub turn: Duration,
    /// Share of one core over time, in percent, at least 1: whoever uses more is held back, its turns wait. Default
    /// [`Limits::CPU_PERCENT`].
    pub cpu_percent: u32,
    /// CPU time that may be used at once before the share counts; unused share fills it again. Default
    /// [`Limits::CPU_BURST`].
    pub cpu_burst: Duration,
    /// Stack of the script's own calls in bytes, at most [`Limits::MOST_STACK`]; beyond it calls throw `RangeError`.
    pub stack: usize,
    /// Largest message in bytes, in either direction, and largest payload of a host call. Default 1 MiB.
    pub message_bytes: usize,
    /// Most messages and timer orders that one turn may post. Default 1000.
    pub messages_per_turn: usize,
    /// Bytes of log text (and of reports of uncaught errors) kept from one turn; the rest is dropped and counted.
    /// Default 64 KiB.
    pub log_bytes_per_turn: usize,
    /// Most timers that may be waiting at once; beyond it `setTimeout` throws `RangeError`. Default 1000.
    pub timers: usize,
    /// The clock of the script moves in steps of this length: enough for time stamps and timeouts, too coarse to
    /// measure what other code in this process does. Default 10 ms.
    pub clock_step: Duration,
    /// Whether the script has the JavaScript `WebAssembly` API: its modules are compiled to machine code, which takes
    /// time and memory of the host for each script that asks. Default false.
    pub webassembly: bool,
}

impl Limits {
    /// The smallest memory in which the engine and the globals start.
    pub const LEAST_MEMORY: usize = 4 << 20;
    /// Room for the largest bundles: ethers leaves 6 MiB, and its source is held twice while it is read.
    pub const START_MEMORY: usize = 48 << 20;
    /// The engine's own C stack is 1 MiB; the rest of it is for the interpreter itself.
    pub const MOST_STACK: usize = 800_000;
    /// All messages of one turn together may be as large as this many of the largest: until they are read they lie
    /// outside of the instance's memory and its cap.
    pub const LARGE_MESSAGES_PER_TURN: usize = 16;
    /// Half a core: an instance that computes for ever leaves as much again for others even on a small machine.
    pub const CPU_PERCENT: u32 = 50;
    /// Two turns of the longest kind in a row, as at a start: nobody who works for seconds now and then is held back.
    pub const CPU_BURST: Duration = Duration::from_secs(10);
    /// How finely deadlines are measured.
    pub const TICK: Duration = Duration::from_millis(10);
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            start_memory_bytes: Self::START_MEMORY,
            turn: Duration::from_secs(5),
            cpu_percent: Self::CPU_PERCENT,
            cpu_burst: Self::CPU_BURST,
            stack: Self::MOST_STACK,
            message_bytes: 1 << 20,
            messages_per_turn: 1000,
            log_bytes_per_turn: 64 << 10,
            timers: 1000,
            clock_step: Duration::from_millis(10),
            webassembly: false,
        }
    }
}
