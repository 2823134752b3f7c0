//! What a plugin uses and what went wrong with it, for whoever looks: `entresol plugin inspect`.

use crate::messages::{PluginErrorView, PluginView};
use crate::{locked, now};
use entresol_sandbox::{Meter, Usage};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

/// Errors that are kept: enough to see whether it is one error again and again.
const KEPT_ERRORS: usize = 20;
/// Longest kept text of an error, in characters: what the script says goes no further than this.
const LONGEST_MESSAGE: usize = 500;
/// Longest kept stack, in characters.
const LONGEST_STACK: usize = 2000;

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The instance is gone.
    Ended,
    /// Nobody caught it.
    Uncaught,
    /// A call or hook threw.
    Threw,
    /// A hook is not tried any more.
    GivenUp,
}

impl Wrong {
    const fn word(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Uncaught => "uncaught",
            Self::Threw => "threw",
            Self::GivenUp => "given up",
        }
    }
}

/// Shared by the actor, which writes, and the handle, which reads.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    figures: Mutex<Figures>,
    /// Of the life that is, or was last.
    meter: Mutex<Option<Meter>>,
}

/// Counted since the solution was started in this process, over all its lives.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) started_at: Option<u64>,
    pub(super) next_start_at: Option<u64>,
    pub(super) starts: u64,
    pub(super) ended: u64,
    pub(super) slept: u64,
    /// Of the lives before this one.
    used: Usage,
    pub(super) calls: u64,
    pub(super) hooks: u64,
    pub(super) hooks_again: u64,
    pub(super) threw: u64,
    pub(super) requests: u64,
    pub(super) open: usize,
    pub(super) waiting: usize,
    pub(super) open_requests: usize,
    pub(super) timers: usize,
    pub(super) recording: Option<String>,
    errors: VecDeque<PluginErrorView>,
}

impl Vitals {
    pub(super) fn note(&self, change: impl FnOnce(&mut Figures)) {
        change(&mut locked(&self.figures));
    }

    /// An instance is about to be started; `recording` is the file of its recording.
    pub(super) fn begin_life(&self, recording: Option<String>) {
        self.note(|figures| {
            figures.starts += 1;
            (figures.started_at, figures.next_start_at) = (Some(now()), None);
            figures.recording = recording;
        });
    }

    /// It is there.
    pub(super) fn follow(&self, meter: Meter) {
        *locked(&self.meter) = Some(meter);
    }

    /// It is gone.
    pub(super) fn end_life(&self) {
        let used = locked(&self.meter).take().map(|meter| meter.read()).unwrap_or_default();
        self.note(|figures| {
            figures.used = sum(&figures.used, &used);
            figures.started_at = None;
            (figures.open, figures.open_requests, figures.timers) = (0, 0, 0);
        });
    }

    /// Keeps an error, in place of the oldest.
    pub(super) fn wrong(&self, kind: Wrong, message: &str, stack: &str) {
        let cut = |text: &str, most: usize| text.chars().take(most).collect::<String>();
        let error = PluginErrorView {
            at: now(),
            kind: kind.word().to_owned(),
            message: cut(message, LONGEST_MESSAGE),
            stack: cut(stack, LONGEST_STACK),
        };
        self.note(|figures| {
            match kind {
                Wrong::Ended => figures.ended += 1,
                Wrong::Threw => figures.threw += 1,
                Wrong::Uncaught | Wrong::GivenUp => {}
            }
            if figures.errors.len() == KEPT_ERRORS {
                figures.errors.pop_front();
            }
            figures.errors.push_back(error);
        });
    }

    /// Everything, for people; the caller adds what it alone knows.
    pub(crate) fn view(&self) -> PluginView {
        let figures = locked(&self.figures).clone();
        let now_used = locked(&self.meter).as_ref().map(Meter::read).unwrap_or_default();
        let used = sum(&figures.used, &now_used);
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        PluginView {
            started_at: figures.started_at,
            next_start_at: figures.next_start_at,
            starts: figures.starts,
            ended: figures.ended,
            slept: figures.slept,
            memory_bytes: now_used.memory as u64,
            cpu_micros: micros(used.cpu),
            longest_turn_micros: micros(used.longest_turn),
            waited_micros: micros(used.waited),
            throttled_micros: micros(used.throttled),
            turns: used.turns,
            calls: figures.calls,
            hooks: figures.hooks,
            hooks_again: figures.hooks_again,
            threw: figures.threw,
            requests: figures.requests,
            open: figures.open as u64,
            waiting: figures.waiting as u64,
            open_requests: figures.open_requests as u64,
            timers: figures.timers as u64,
            recording: figures.recording,
            errors: figures.errors.into(),
            ..PluginView::default()
        }
    }
}

/// Of one life and another.
fn sum(one: &Usage, other: &Usage) -> Usage {
    let mut sum = *one;
    sum.cpu += other.cpu;
    sum.longest_turn = sum.longest_turn.max(other.longest_turn);
    sum.turns += other.turns;
    sum.waited += other.waited;
    sum.throttled += other.throttled;
    sum
}
