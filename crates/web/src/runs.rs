//! The user's own calls from the page. A call can wait for an approval on another page, so it goes on when the page that
//! began it is left, and what came of it is kept here for the next look.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value as Json;
use tokio::sync::watch;

use crate::server::locked;

/// Calls kept; the oldest ended one falls out.
const MOST: usize = 32;
/// Calls that may be at work at once.
const MOST_AT_WORK: usize = 16;

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    id: u64,
    /// Handle of the solution.
    pub(crate) solution: String,
    /// Name of the action.
    pub(crate) action: String,
    /// When it was begun, Unix milliseconds.
    pub(crate) at: i64,
    /// What came of it: none while it is at work.
    pub(crate) end: Option<Result<Json, String>>,
}

#[derive(Default)]
struct Kept {
    last: u64,
    runs: VecDeque<Run>,
}

/// The calls of this daemon's life. Clones are handles to the same ones.
#[derive(Clone, Default)]
pub(crate) struct Runs {
    kept: Arc<Mutex<Kept>>,
    changes: watch::Sender<u64>,
}

impl Runs {
    /// Notes a call that begins; its number, or none when too many are at work.
    pub(crate) fn begin(&self, solution: &str, action: &str) -> Option<u64> {
        let mut kept = locked(&self.kept);
        if kept.runs.iter().filter(|run| run.end.is_none()).count() >= MOST_AT_WORK {
            return None;
        }
        if kept.runs.len() >= MOST {
            let oldest = kept.runs.iter().position(|run| run.end.is_some())?;
            kept.runs.remove(oldest);
        }
        kept.last += 1;
        let id = kept.last;
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        kept.runs.push_back(Run {
            id,
            solution: solution.to_owned(),
            action: action.to_owned(),
            at: i64::try_from(at).unwrap_or(i64::MAX),
            end: None,
        });
        drop(kept);
        self.changed();
        Some(id)
    }

    /// Notes how it ended.
    pub(crate) fn end(&self, id: u64, end: Result<Json, String>) {
        if let Some(run) = locked(&self.kept).runs.iter_mut().find(|run| run.id == id) {
            run.end = Some(end);
        }
        self.changed();
    }

    /// Those of one solution, newest first.
    pub(crate) fn of(&self, solution: &str) -> Vec<Run> {
        locked(&self.kept).runs.iter().rev().filter(|run| run.solution == solution).cloned().collect()
    }

    /// Moves with every beginning and end.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn changed(&self) {
        self.changes.send_modify(|version| *version += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ended_calls_make_room_and_those_at_work_are_bounded() {
        let runs = Runs::default();
        for _ in 0..100 {
            let id = runs.begin("payments", "pay").expect("room");
            runs.end(id, Ok(Json::Null));
        }
        assert_eq!(runs.of("payments").len(), MOST);
        for _ in 0..MOST_AT_WORK {
            runs.begin("payments", "pay").expect("room");
        }
        assert_eq!(runs.begin("payments", "pay"), None);
        assert!(runs.of("other").is_empty());
        assert!(runs.of("payments").first().is_some_and(|run| run.end.is_none()), "newest first");
    }
}
