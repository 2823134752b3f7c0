//! Passphrase sessions: for ten minutes after the passphrase was given, this terminal may decide.
//!
//! A session belongs to (user id, terminal session of the peer process, start time of that session's leader), all
//! taken from the kernel, never from what the peer says. Another terminal, or an agent in a terminal of its own, has
//! none. Known weakness: a process in the *same* terminal shares the session for those ten minutes, as with sudo;
//! and the peer's process id is read once, when it connects, so a process id reused within that moment would be
//! taken for its predecessor.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

/// How long a session lasts after the passphrase was given. The same as sudo's usual setting is five to fifteen.
pub const SESSION_LENGTH: Duration = Duration::from_secs(600);

/// Whose session it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey {
    uid: u32,
    terminal: Terminal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Terminal {
    /// Session id (getsid) and start time of its leader in clock ticks since boot, 0 when the leader has ended. The
    /// kernel does not reuse a process id that still names a session.
    Session { sid: i32, started: u64 },
    /// Where the system does not tell: this connection only.
    Connection(u64),
}

impl SessionKey {
    /// The session that a process belongs to; `connection` stands in where /proc does not say.
    #[must_use]
    pub fn of_peer(uid: u32, pid: Option<i32>, connection: u64) -> Self {
        let terminal = pid
            .and_then(stat)
            .map(|(sid, _)| Terminal::Session { sid, started: stat(sid).map_or(0, |(_, started)| started) });
        Self { uid, terminal: terminal.unwrap_or(Terminal::Connection(connection)) }
    }
}

/// Session id and start time of a process: fields 6 and 22 of proc_pid_stat(5).
fn stat(pid: i32) -> Option<(i32, u64)> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<(i32, u64)> {
    // The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
    let sid = fields.nth(3)?.parse().ok()?;
    let started = fields.nth(15)?.parse().ok()?;
    Some((sid, started))
}

/// Both clocks: the monotonic one stops while the machine sleeps, the wall clock can be set back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) monotonic: Instant,
    pub(crate) wall: SystemTime,
}

impl Now {
    pub(crate) fn read() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }

    /// True when, by either clock, `length` has passed since `earlier`, or the wall clock went backwards.
    fn is_past(&self, earlier: &Self, length: Duration) -> bool {
        self.monotonic.saturating_duration_since(earlier.monotonic) >= length
            || self.wall.duration_since(earlier.wall).is_ok_and(|passed| passed >= length)
            || self.wall.duration_since(earlier.wall).is_err()
    }
}

/// The open sessions. In memory only: a restarted daemon knows none.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    opened: HashMap<SessionKey, Now>,
}

impl Sessions {
    pub(crate) fn open(&mut self, key: SessionKey, now: Now) {
        self.opened.retain(|_, since| !now.is_past(since, SESSION_LENGTH));
        self.opened.insert(key, now);
    }

    pub(crate) fn is_open(&self, key: &SessionKey, now: Now) -> bool {
        self.opened.get(key).is_some_and(|since| !now.is_past(since, SESSION_LENGTH))
    }

    pub(crate) fn close_all(&mut self) {
        self.opened.clear();
    }
}

#[cfg(test)]
mod tests;
