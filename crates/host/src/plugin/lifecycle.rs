//! When a plugin starts, sleeps, starts again, and what becomes of messages meanwhile. Decisions only: the actor has the
//! instance, the clock and the mailbox.
//!
//! | | |
//! |---|---|
//! | asleep | nothing has been asked of it, and nothing can reach it from outside: it costs no memory |
//! | awake | from the first call or hook until nothing can happen in it by itself for [`HostConfig::idle_stop`] |
//! | failed | a limit or a trap ended it; it starts again after a pause that grows ([`BackOff`]) |
//! | stopped | by the user's hand, or because it declares another interface than the one agreed to |
//!
//! **Architecture Invariant:** a hook that the host has taken in is delivered at least once and in order, whatever
//! happens to the instance: what was not finished waits ([`Waiting`]) and goes first in the next life. A call is
//! delivered at most once: its caller is told, and decides.
//!
//! [`HostConfig::idle_stop`]: crate::HostConfig::idle_stop

use super::{Command, Status, stopped, undelivered};
use crate::error::HostError;
use entresol_package::Permission;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// First pause after a failure; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause between two starts of a plugin that keeps failing.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A life at least this long makes the next pause short again.
const GOOD_LIFE: Duration = Duration::from_secs(30);

/// A hook that was open in so many lives that ended badly is given up: it would end the next one as well, and whatever
/// waits behind it would wait forever.
pub(super) const MOST_TRIES: u32 = 3;

/// Longest wait for what is open when a plugin is stopped or started anew by hand. A call that takes longer waits for
/// somebody, who can ask again.
pub(super) const GRACE: Duration = Duration::from_secs(3);

/// The pauses between the lives of a plugin that fails.
#[derive(Debug)]
pub(super) struct BackOff {
    next: Duration,
}

impl Default for BackOff {
    fn default() -> Self {
        Self { next: FIRST_PAUSE }
    }
}

impl BackOff {
    /// The pause after a life of this length that ended badly.
    pub(super) fn after(&mut self, life: Duration) -> Duration {
        if life >= GOOD_LIFE {
            self.next = FIRST_PAUSE;
        }
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST_PAUSE);
        pause
    }
}

/// A plugin that may use the network opens its connections when it starts: without that nothing reaches it, so it starts
/// with the wallet. All others start when they are asked for something, or when a block, an event or a wake-up is there.
pub(crate) fn is_background(grants: &[Permission]) -> bool {
    grants.iter().any(|grant| matches!(grant, Permission::Network { .. }))
}

/// What could make something happen in an instance without anybody asking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stir {
    /// Calls and hooks whose promise has not resolved, and those that wait.
    pub(super) open: usize,
    /// Requests to the host that have no answer yet.
    pub(super) requests: usize,
    /// Timers that have not fired.
    pub(super) timers: usize,
    /// Open network connections.
    pub(super) connections: usize,
    /// Screens that show.
    pub(super) screens: usize,
    /// Its run is being recorded.
    pub(super) recorded: bool,
}

impl Stir {
    /// Nothing can happen in it before it is asked again.
    pub(super) fn is_still(self) -> bool {
        self == Self::default()
    }
}

/// A command that no instance has seen, or that one has seen and not finished.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(super) command: Command,
    /// Lives that ended badly while it was open.
    pub(super) tries: u32,
    /// A life before this one was told of it, or should have been: nothing newer of its kind overtakes it.
    pub(super) left: bool,
}

impl Waiting {
    /// Whether it may be delivered while these hooks of a life before are open. Whoever tells of events waits for one
    /// before it tells of the next; what is told again is told by nobody who waits, so the order is kept here.
    pub(super) fn may_go<'a>(&self, mut open: impl Iterator<Item = &'a str>) -> bool {
        match &self.command {
            Command::Hook { hook, .. } => open.all(|other| other != *hook),
            _ => true,
        }
    }
}

impl From<Command> for Waiting {
    fn from(command: Command) -> Self {
        Self { command, tries: 0, left: false }
    }
}

/// Hooks that are about something that has happened, and has happened also for the next life. The others ask this
/// life something, or are about a screen of it.
pub(super) fn survives(hook: &str) -> bool {
    !matches!(hook, "onUserInput" | "getLayer2State" | "onStart")
}

/// What becomes of calls that wait when an actor leaves for another of its solution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calls {
    /// Their callers are told that the script has not seen them.
    Refuse,
    /// The next actor gets them: its script has the same actions.
    HandOver,
}

/// What waits for the next life, in order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
}

impl Queue {
    pub(super) fn new(waiting: Vec<Waiting>) -> Self {
        Self { waiting: waiting.into() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// One that came in while there was no instance that wants it.
    pub(super) fn push(&mut self, command: Command) {
        self.waiting.push_back(command.into());
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        self.waiting.pop_front()
    }

    /// Takes in what the ended life leaves, in front of what came later. Answers what will not be tried again, with the
    /// error that it gets.
    pub(super) fn take_back(&mut self, left: Vec<Waiting>, failed: bool) -> Vec<Waiting> {
        let (kept, given_up): (Vec<_>, Vec<_>) = left
            .into_iter()
            .map(|one| Waiting { tries: one.tries + u32::from(failed), left: true, ..one })
            .partition(|one| one.tries < MOST_TRIES);
        for one in kept.into_iter().rev() {
            self.waiting.push_front(one);
        }
        given_up
    }

    /// Calls are not kept for a plugin that is down: who called is told at once.
    pub(super) fn refuse_calls(&mut self, why: &HostError) {
        let (hooks, calls): (VecDeque<_>, VecDeque<_>) = self
            .waiting
            .drain(..)
            .partition(|one| matches!(&one.command, Command::Hook { hook, .. } if survives(hook)));
        self.waiting = hooks;
        for one in calls {
            let _ = one.command.into_answer().send(Err(undelivered(why.clone())));
        }
    }

    /// Everything, for another actor of the same solution.
    pub(super) fn into_rest(self) -> Vec<Waiting> {
        self.waiting.into()
    }
}

/// The pause of a plugin that is down: hooks wait for the next life, calls are refused at once.
pub(super) fn while_down(queue: &mut Queue, command: Command, status: &Status) {
    queue.push(command);
    queue.refuse_calls(&stopped(&status.to_string()));
}

/// When to look again whether an instance may sleep.
#[derive(Debug)]
pub(super) struct Idle {
    after: Duration,
    since: Instant,
}

impl Idle {
    pub(super) fn new(after: Duration) -> Self {
        Self { after, since: Instant::now() }
    }

    /// Something happened in it.
    pub(super) fn touch(&mut self) {
        self.since = Instant::now();
    }

    /// The moment at which it has been idle for long enough.
    pub(super) fn due(&self) -> Instant {
        self.since + self.after
    }
}

#[cfg(test)]
mod tests;
