//! One running script.

use crate::{Engine, HostCalls, Limits, Outgoing, SandboxError, Script};

/// One running script with its own memory. `Send`, and synchronous: a turn blocks the calling thread.
///
/// After [`SandboxError::Deadline`], `Memory`, `Stack`, `TooManyMessages`, `Trap` or `Host` the instance is dead:
/// every later call returns the same error. Drop it and start another.
#[derive(Debug)]
pub struct Instance {
    end: SandboxError,
}

impl Instance {
    /// Evaluates the sandbox's globals, then `prelude` (the embedder's glue, which alone sees `boundary`), then
    /// `script`, and runs promise jobs until none is left.
    ///
    /// # Errors
    /// [`SandboxError::Script`] when an evaluation throws; any other error when a limit breaks.
    pub fn start(
        engine: &Engine,
        limits: &Limits,
        prelude: &[Script<'_>],
        script: Option<Script<'_>>,
        host: Box<dyn HostCalls>,
    ) -> Result<(Self, Vec<Outgoing>), SandboxError> {
        let _ = (engine, limits, prelude, script, host);
        Err(SandboxError::Trap("not built yet".to_owned()))
    }

    /// Delivers one message to `boundary.onMessage`, runs promise jobs until none is left, and returns what was
    /// asked of the embedder, in order.
    ///
    /// # Errors
    /// [`SandboxError::MessageTooLarge`] (the instance lives on); any other error ends the instance.
    pub fn turn(&mut self, message: &[u8]) -> Result<Vec<Outgoing>, SandboxError> {
        let _ = message;
        Err(self.end.clone())
    }

    /// Runs the callback of a timer that is due. A timer that is unknown, cleared or already fired does nothing.
    ///
    /// # Errors
    /// As [`Instance::turn`].
    pub fn fire_timer(&mut self, id: u32) -> Result<Vec<Outgoing>, SandboxError> {
        let _ = id;
        Err(self.end.clone())
    }

    /// Bytes of linear memory in use, the number that [`Limits::memory_bytes`] caps. 0 once the instance is dead.
    #[must_use]
    pub fn memory_used(&self) -> usize {
        0
    }

    /// Why the instance is dead, if it is.
    #[must_use]
    pub fn ended(&self) -> Option<&SandboxError> {
        Some(&self.end)
    }
}
