//! How often a plugin may do what others notice. Counted in memory: a restart forgives.

use crate::error::{HostError, code};
use crate::locked;
use serde_json::json;
use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Recent uses by solution and method.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    used: Mutex<HashMap<(i64, &'static str), VecDeque<Instant>>>,
}

impl Rates {
    /// Counts one use, if fewer than `most` were made within `window`.
    ///
    /// # Errors
    /// -32005 with `data.retryAfterMs`.
    pub(crate) fn take(
        &self,
        solution: i64,
        what: &'static str,
        most: usize,
        window: Duration,
    ) -> Result<(), HostError> {
        self.take_at(solution, what, most, window, Instant::now())
    }

    fn take_at(
        &self,
        solution: i64,
        what: &'static str,
        most: usize,
        window: Duration,
        at: Instant,
    ) -> Result<(), HostError> {
        let mut used = locked(&self.used);
        let uses = used.entry((solution, what)).or_default();
        while uses.front().is_some_and(|oldest| at.duration_since(*oldest) >= window) {
            uses.pop_front();
        }
        if let Some(oldest) = uses.front().filter(|_| uses.len() >= most) {
            let wait = window.saturating_sub(at.duration_since(*oldest));
            return Err(HostError::new(
                code::LIMIT,
                format!("{what}: at most {most} in {} s; try again in {} s", window.as_secs(), wait.as_secs() + 1),
            )
            .with(json!({ "retryAfterMs": u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) })));
        }
        uses.push_back(at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_counts_until_the_window_is_over_and_for_its_own_solution_only() {
        let (rates, start, window) = (Rates::default(), Instant::now(), Duration::from_secs(60));
        let take =
            |solution, seconds| rates.take_at(solution, "notify", 2, window, start + Duration::from_secs(seconds));
        assert!(take(1, 0).is_ok() && take(1, 10).is_ok());
        let error = take(1, 30).expect_err("refused");
        assert_eq!((error.code, &error.data["retryAfterMs"]), (code::LIMIT, &json!(30_000)));
        assert!(take(2, 30).is_ok(), "another solution");
        assert!(take(1, 60).is_ok(), "the first use is forgotten");
        assert!(take(1, 61).is_err());
    }
}
