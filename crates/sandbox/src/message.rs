//! What crosses the boundary.

/// How a script is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleKind {
    /// An ECMAScript module without imports. Its exports are the default export, else the namespace.
    EsModule,
    /// A CommonJS file: `module`, `exports`, and a `require` that refuses.
    CommonJs,
}

/// One file of JavaScript.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a> {
    /// Shown in stacks; no path of this machine should stand in it.
    pub name: &'a str,
    /// The source text.
    pub source: &'a str,
    /// How it is evaluated.
    pub kind: ModuleKind,
}

/// Importance of a line the script logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// `console.debug`, `console.trace`
    Debug,
    /// `console.log`, `console.info`
    Info,
    /// `console.warn`
    Warn,
    /// `console.error`
    Error,
}

/// What a turn is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A message for `boundary.onMessage`: UTF-8 text; other bytes arrive as replacement characters.
    Message(Vec<u8>),
    /// A timer that is due. One that is unknown, cleared or already fired does nothing.
    Timer(u32),
}

/// Something a turn asked of the embedder, in the order in which it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// `boundary.post(text)` of the embedder's glue: UTF-8 text.
    Message(Vec<u8>),
    /// A line of the script's console. Untrusted text.
    Log {
        /// Importance.
        level: LogLevel,
        /// The line, or several.
        text: String,
    },
    /// Call [`Instance::fire_timer`](crate::Instance::fire_timer) with `id` after this delay, once.
    Timer {
        /// The script's name for it, unique among waiting timers.
        id: u32,
        /// Milliseconds, at least 1.
        delay_ms: u64,
    },
    /// The timer is no longer wanted. Firing it anyway does nothing.
    ClearTimer {
        /// As in [`Outgoing::Timer`].
        id: u32,
    },
    /// An error nobody caught: thrown out of the message handler, a timer or a microtask, or a rejected promise
    /// without a handler at the end of the turn. The instance goes on.
    Uncaught {
        /// The error as text, such as `TypeError: x is not a function`.
        message: String,
        /// The script's own stack; empty when something else than an `Error` was thrown.
        stack: String,
    },
}

/// What the embedder does for its glue at once, within a turn.
pub trait HostCalls: Send {
    /// Answers `boundary.call(name, payload)`. An error becomes an `Error` with that text in the guest.
    ///
    /// The time it takes counts against the turn.
    ///
    /// # Errors
    /// Whatever the guest should be told.
    fn call(&mut self, name: &str, payload: &[u8]) -> Result<Vec<u8>, String>;

    /// True when `call(name, …)` answers the same payload with the same bytes for ever, and does nothing else. A script
    /// that makes other calls while it is evaluated is evaluated anew at each start, which takes longer. Default: no
    /// call is.
    fn is_pure(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// Fills `into` for `crypto.getRandomValues`, `crypto.randomUUID` and `Math.random`. Default: the operating
    /// system's randomness; simulations bring their own.
    ///
    /// # Errors
    /// A text for the guest when there is no randomness.
    fn random(&mut self, into: &mut [u8]) -> Result<(), String> {
        getrandom::fill(into).map_err(|error| format!("no randomness: {error}"))
    }

    /// Unix time in milliseconds; the sandbox makes it coarse. Default: the system clock.
    fn now_millis(&mut self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}
