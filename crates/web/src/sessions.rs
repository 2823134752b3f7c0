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

    /// Uses a link up. `fresh` are two random secrets for the session.
    pub(crate) fn enter(&mut self, token: &str, fresh: [Secret; 2], now: Instant) -> Option<Opened> {
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
        let [path, cookie] = fresh;
        self.sessions.insert(path, Session { cookie, until: now + SESSION_LIFE });
        Some(Opened { path: spell(&path), cookie: spell(&cookie) })
    }

    /// True when `path` and `cookie` are those of one living session.
    pub(crate) fn is_open(&self, path: &str, cookie: &str, now: Instant) -> bool {
        let (Some(path), Some(cookie)) = (parse(path), parse(cookie)) else { return false };
        self.sessions.get(&path).is_some_and(|session| session.until > now && same(&session.cookie, &cookie))
    }
}

#[cfg(test)]
mod tests;
