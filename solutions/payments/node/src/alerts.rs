//! What happened that somebody should look at: the newest alerts, and how many there were of each kind.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

/// Alerts that are kept for whoever was not connected when they were raised. Older ones are in the log.
const KEPT: usize = 256;

/// The newest alerts. In memory only: what still holds is raised again after a restart.
#[derive(Debug, Default)]
pub(crate) struct Alerts {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    newest: VecDeque<Value>,
    counts: BTreeMap<String, u64>,
}

impl Alerts {
    /// Keeps an alert. `now_ms`: Unix milliseconds.
    pub(crate) fn keep(&self, alert: &Value, now_ms: u64) {
        let mut alert = alert.clone();
        let kind = alert["kind"].as_str().unwrap_or_default().to_owned();
        if let Some(object) = alert.as_object_mut() {
            object.insert("timeMs".to_owned(), json!(now_ms.to_string()));
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        *kept.counts.entry(kind).or_default() += 1;
        if kept.newest.len() == KEPT {
            kept.newest.pop_front();
        }
        kept.newest.push_back(alert);
    }

    /// Oldest first.
    pub(crate) fn newest(&self) -> Vec<Value> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).newest.iter().cloned().collect()
    }

    /// Alerts raised since the start, by kind.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).counts.clone()
    }
}
