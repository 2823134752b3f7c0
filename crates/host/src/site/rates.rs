//! How often one caller may ask. Counted in memory, by caller: a restart forgives.
//!
//! A page that asks in a loop costs the user's endpoint, and with a metered one their money; the wallet's own answers
//! cost its time. So there are two buckets, refilled evenly: reads that go out to layer 1, and everything else.

use crate::error::{HostError, code};
use crate::locked;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

/// Which bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Bucket {
    /// Goes out to the endpoint. A page that draws a whole portfolio asks for some hundred values at once and then for a
    /// few a second; 200 a second for long is more than any page needs, and about what a paid endpoint allows in all.
    Layer1,
    /// Answered by the wallet. 2 000 a second is above what a browser can bring over native messaging (a call takes
    /// more than a millisecond there), and keeps a local app that has gone wild below one processor.
    Own,
}

impl Bucket {
    /// Tokens of a full bucket: so many at once.
    const fn burst(self) -> f64 {
        match self {
            Self::Layer1 => 1000.0,
            Self::Own => 4000.0,
        }
    }

    /// Tokens that come back in a second.
    const fn per_second(self) -> f64 {
        match self {
            Self::Layer1 => 200.0,
            Self::Own => 2000.0,
        }
    }
}

/// Callers that are remembered before full buckets, which are as good as new ones, are thrown out. Names of callers cost
/// nothing to make, so their number is bounded.
const MOST_CALLERS: usize = 1024;

#[derive(Clone, Copy, Debug)]
struct Level {
    tokens: f64,
    at: Instant,
}

/// The levels by caller.
#[derive(Debug, Default)]
pub(crate) struct CallerRates {
    levels: Mutex<HashMap<(String, Bucket), Level>>,
}

impl CallerRates {
    /// Takes one token.
    ///
    /// # Errors
    /// -32005 with `data.retryAfterMs`.
    pub(crate) fn take(&self, caller: &str, bucket: Bucket) -> Result<(), HostError> {
        self.take_at(caller, bucket, Instant::now())
    }

    fn take_at(&self, caller: &str, bucket: Bucket, at: Instant) -> Result<(), HostError> {
        let filled = |level: &Level, bucket: Bucket| {
            let since = at.saturating_duration_since(level.at).as_secs_f64();
            (level.tokens + since * bucket.per_second()).min(bucket.burst())
        };
        let mut levels = locked(&self.levels);
        if levels.len() >= MOST_CALLERS {
            levels.retain(|(_, bucket), level| filled(level, *bucket) < bucket.burst());
        }
        let level = levels.entry((caller.to_owned(), bucket)).or_insert(Level { tokens: bucket.burst(), at });
        let tokens = filled(level, bucket);
        *level = Level { tokens, at: at.max(level.at) };
        if tokens < 1.0 {
            let wait = ((1.0 - tokens) / bucket.per_second() * 1000.0).ceil();
            return Err(HostError::new(
                code::LIMIT,
                format!("too many requests: {} a second are answered for long", bucket.per_second()),
            )
            .with(json!({ "retryAfterMs": wait as u64 })));
        }
        level.tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_bucket_empties_and_fills_evenly_and_each_caller_has_its_own() {
        let (rates, start) = (CallerRates::default(), Instant::now());
        let take = |caller: &str, bucket, ms| rates.take_at(caller, bucket, start + Duration::from_millis(ms));
        for _ in 0..1000 {
            take("a", Bucket::Layer1, 0).expect("a burst");
        }
        let error = take("a", Bucket::Layer1, 0).expect_err("refused");
        assert_eq!((error.code, &error.data), (code::LIMIT, &json!({ "retryAfterMs": 5 })));
        assert!(take("a", Bucket::Layer1, 4).is_err() && take("a", Bucket::Layer1, 5).is_ok());
        assert!(take("a", Bucket::Layer1, 5).is_err(), "one token came back, not two");
        take("a", Bucket::Own, 5).expect("another bucket");
        take("b", Bucket::Layer1, 5).expect("another caller");
        // A clock that is asked late gives nothing twice, and a long pause no more than a burst.
        assert!(take("a", Bucket::Layer1, 0).is_err());
        for _ in 0..1000 {
            take("a", Bucket::Layer1, 3_600_000).expect("full again");
        }
        assert!(take("a", Bucket::Layer1, 3_600_000).is_err());
    }

    #[test]
    fn row_07_made_up_callers_are_forgotten_and_busy_ones_are_not() {
        let (rates, start) = (CallerRates::default(), Instant::now());
        for _ in 0..1000 {
            rates.take_at("busy", Bucket::Layer1, start).expect("a burst");
        }
        for number in 0..10_000_u32 {
            let at = start + Duration::from_micros(u64::from(number) * 100);
            rates.take_at(&format!("app:a{number}"), Bucket::Own, at).expect("its first");
        }
        let kept = locked(&rates.levels).len();
        assert!(kept <= MOST_CALLERS, "{kept} are remembered");
        let at = start + Duration::from_secs(1);
        let left = (0..1000).take_while(|_| rates.take_at("busy", Bucket::Layer1, at).is_ok()).count();
        assert_eq!(left, 200, "what it had used is not forgotten");
    }
}
