//! What can go wrong: the guest's mistakes and the host's faults, kept apart.

use std::path::PathBuf;
use std::sync::Arc;

/// Why a script could not be started, or why its instance has ended.
///
/// Every variant but [`SandboxError::Host`] and [`SandboxError::Cancelled`] is the guest's doing: report it to whoever runs the script, never retry it
/// as if the machine had failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// One turn used more CPU time than [`Limits::turn`](crate::Limits::turn). The script cannot catch this.
    #[error("the script did not finish its turn in time; split the work into several turns")]
    Deadline,
    /// The script needed more than [`Limits::memory_bytes`](crate::Limits::memory_bytes) and did not catch the error.
    #[error("the script ran out of its memory; ask for more in the manifest or keep less in memory")]
    Memory,
    /// The engine's own stack was used up, as by source or JSON nested very deeply. (Recursion of the script itself
    /// is an ordinary `RangeError`.)
    #[error("the script ran out of stack; nest source and data less deeply")]
    Stack,
    /// The script, or the embedder's prelude, threw while it was evaluated.
    #[error("{message}")]
    Script {
        /// The error as text, such as `TypeError: x is not a function`.
        message: String,
        /// The script's own stack, one frame a line; empty when something else than an `Error` was thrown.
        stack: String,
    },
    /// A message to the script was larger than [`Limits::message_bytes`](crate::Limits::message_bytes). Nothing was
    /// delivered and the instance is still alive. (A script that posts too large a message gets a `RangeError`.)
    #[error("the message is larger than the sandbox takes; send less or split it")]
    MessageTooLarge,
    /// The script posted more than [`Limits::messages_per_turn`](crate::Limits::messages_per_turn) in one turn, or
    /// more bytes of them than [`Limits::LARGE_MESSAGES_PER_TURN`](crate::Limits::LARGE_MESSAGES_PER_TURN) allows.
    #[error("the script sent too many messages in one turn; send fewer, or wait for answers in between")]
    TooManyMessages,
    /// The engine stopped in another way, as by a defect of the engine itself.
    #[error("the script's engine stopped: {0}; start the script again")]
    Trap(String),
    /// The embedder dropped the turn while it ran or waited.
    #[error("the script was stopped from outside; start it again")]
    Cancelled,
    /// Not the script's doing.
    #[error("the sandbox failed")]
    Host(#[from] HostFault),
}

impl SandboxError {
    /// True when the script caused it, false when this machine or this program did.
    #[must_use]
    pub const fn is_guests_doing(&self) -> bool {
        !matches!(self, Self::Host(_) | Self::Cancelled)
    }
}

/// A fault of this program or this machine.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostFault {
    /// wasmtime refused the embedded engine, or an instance of it.
    #[error("the JavaScript engine could not be set up: {0}; this build of the program is broken, please report it")]
    Engine(String),
    /// A thread could not be started.
    #[error("a thread for the sandbox could not be started; close other programs or raise the limit on threads")]
    Thread(#[source] Arc<std::io::Error>),
    /// The directory of the compiled engine could not be used.
    #[error("the compiled engine cannot be kept in {path}; make that directory writable for this user only")]
    Cache {
        /// The directory or file in question.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// The embedder's own [`HostCalls`](crate::HostCalls) panicked; the instance is lost.
    #[error("a host call of the embedder panicked; please report it")]
    Panicked,
}
