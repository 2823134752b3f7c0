//! One-time links and sessions, without IO: time and randomness come in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long a link that nobody used stays good. Long enough to copy it from a terminal.
const LINK_LIFE: Duration = Duration::from_secs(5 * 60);
/// Most links that wait; the oldest falls out.
const MOST_LINKS: usize = 8;
/// How long a session lasts. A working day; the daemon's end ends it too.
const SESSION_LIFE: Duration = Duration::from_secs(12 * 60 * 60);
/// Most sessions; the oldest falls out.
const MOST_SESSIONS: usize = 16;

/// 256 random bits.
pub(crate) type Secret = [u8; 32];

/// What stands in a link, a path or a cookie: 64 lower-case hex digits.
pub(crate) fn spell(secret: &Secret) -> String {
    hex::encode(secret)
}

fn parse(text: &str) -> Option<Secret> {
    // One spelling only.
    let lower = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let mut secret = Secret::default();
    (lower && hex::decode_to_slice(text, &mut secret).is_ok()).then_some(secret)
}

/// Compares without saying by its time where two secrets differ.
fn same(a: &Secret, b: &Secret) -> bool {
    a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

struct Link {
    token: Secret,
    until: Instant,
}

struct Session {
    cookie: Secret,
    token: Secret,
    until: Instant,
}

/// The links and sessions of one daemon.
#[derive(Default)]
pub(crate) struct Sessions {
    links: Vec<Link>,
    sessions: HashMap<Secret, Session>,
}

/// A session that was just opened.
pub(crate) struct Opened {
    /// Part of every path of the session.
    pub(crate) path: String,
    /// Value of its cookie.
    pub(crate) cookie: String,
}

/// A visitor that showed path and cookie of a living session.
pub(crate) struct Admitted {
    token: Secret,
}

impl Admitted {
    /// What the session's pages hand to their script, and no other page can read.
    pub(crate) fn token(&self) -> String {
        spell(&self.token)
    }

    /// True when `token` is the session's: whoever has it has read one of its pages.
    pub(crate) fn may_act(&self, token: &str) -> bool {
        parse(token).is_some_and(|token| same(&self.token, &token))
    }
}

impl Sessions {
    /// Adds a link with a fresh random `token`; gives what stands in the address.
    pub(crate) fn add_link(&mut self, token: Secret, now: Instant) -> String {
        self.links.retain(|link| link.until > now);
        if self.links.len() >= MOST_LINKS {
            self.links.remove(0);
        }
        self.links.push(Link { token, until: now + LINK_LIFE });
        spell(&token)
    }

    /// Uses a link up. `fresh` are three random secrets for the session.
    pub(crate) fn enter(&mut self, token: &str, fresh: [Secret; 3], now: Instant) -> Option<Opened> {
        let token = parse(token)?;
        let index = self.links.iter().position(|link| same(&link.token, &token))?;
        if self.links.remove(index).until <= now {
            return None;
        }
        self.sessions.retain(|_, session| session.until > now);
        if self.sessions.len() >= MOST_SESSIONS
            && let Some(oldest) = self.sessions.iter().min_by_key(|(_, session)| session.until).map(|(path, _)| *path)
        {
            self.sessions.remove(&oldest);
        }
        let [path, cookie, token] = fresh;
        self.sessions.insert(path, Session { cookie, token, until: now + SESSION_LIFE });
        Some(Opened { path: spell(&path), cookie: spell(&cookie) })
    }

    /// Admits whoever has `path` and `cookie` of one living session.
    pub(crate) fn admit(&self, path: &str, cookie: &str, now: Instant) -> Option<Admitted> {
        let (path, cookie) = (parse(path)?, parse(cookie)?);
        let session = self.sessions.get(&path).filter(|session| session.until > now)?;
        same(&session.cookie, &cookie).then_some(Admitted { token: session.token })
    }

    /// Ends a session.
    pub(crate) fn close(&mut self, path: &str) {
        if let Some(path) = parse(path) {
            self.sessions.remove(&path);
        }
    }
}

#[cfg(test)]
mod tests;
