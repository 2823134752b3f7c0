//! What one plugin may ask of this machine: its limits, and what is left of those that are counted by the minute.
//!
//! A budget of a minute is a bucket: full at first, and filled again evenly. It outlives the plugin's instance, so that
//! ending and starting again wins nothing; a restart of the wallet forgives.

use crate::error::{HostError, code};
use crate::locked;
use entresol_package::manifest::{LimitName, LimitSet};
use entresol_sandbox::Limits;
use serde_json::json;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The limits of one plugin, and its budgets.
#[derive(Debug)]
pub(crate) struct Budgets {
    set: LimitSet,
    pub(crate) requests: Bucket,
    pub(crate) database_writes: Bucket,
    pub(crate) database_bytes: Bucket,
    pub(crate) network_bytes: Bucket,
    log_bytes: Bucket,
    /// Log lines that were dropped since the last one that was kept.
    dropped: Mutex<u64>,
}

impl Budgets {
    pub(crate) fn new(set: LimitSet) -> Self {
        let bucket = |name: LimitName| Bucket::new(name, set.get(name));
        Self {
            requests: bucket(LimitName::RequestsPerMinute),
            database_writes: bucket(LimitName::DatabaseWritesPerMinute),
            database_bytes: bucket(LimitName::DatabaseBytesPerMinute),
            network_bytes: bucket(LimitName::NetworkBytesPerMinute),
            log_bytes: bucket(LimitName::LogPerMinute),
            dropped: Mutex::new(0),
            set,
        }
    }

    /// The value of a limit that counts something in memory.
    pub(crate) fn most(&self, name: LimitName) -> usize {
        self.set.count(name)
    }

    /// The sandbox's share of the limits, with the memory that was granted.
    pub(crate) fn sandbox(&self, memory_bytes: Option<usize>) -> Limits {
        let mut limits = Limits::default();
        limits.memory_bytes = memory_bytes.unwrap_or(limits.memory_bytes);
        limits.start_memory_bytes = self.most(LimitName::StartMemory);
        limits.turn = Duration::from_millis(self.set.get(LimitName::TurnTime));
        limits.cpu_percent = u32::try_from(self.set.get(LimitName::CpuShare)).unwrap_or(Limits::CPU_PERCENT);
        limits.cpu_burst = Duration::from_millis(self.set.get(LimitName::CpuBurst));
        limits.messages_per_turn = self.most(LimitName::MessagesPerTurn);
        limits.timers = self.most(LimitName::Timers);
        limits.log_bytes_per_turn = self.most(LimitName::LogPerTurn);
        limits
    }

    /// Whether a log line of this length is kept, and how many were not since the last one that was.
    pub(crate) fn log_line(&self, bytes: usize) -> Option<u64> {
        let mut dropped = locked(&self.dropped);
        if self.log_bytes.take(bytes as u64).is_ok() {
            return Some(std::mem::take(&mut dropped));
        }
        *dropped += 1;
        None
    }
}

/// One budget of a minute.
#[derive(Debug)]
pub(crate) struct Bucket {
    name: LimitName,
    per_minute: f64,
    /// What is left, which may be less than nothing, and when that was.
    left: Mutex<(f64, Instant)>,
}

impl Bucket {
    #[allow(clippy::cast_precision_loss, reason = "budgets are far below 2^52")]
    fn new(name: LimitName, per_minute: u64) -> Self {
        Self { name, per_minute: per_minute as f64, left: Mutex::new((per_minute as f64, Instant::now())) }
    }

    /// Takes as much, if it is there.
    ///
    /// # Errors
    /// -32005 with `data.retryAfterMs` and `data.limit`.
    pub(crate) fn take(&self, amount: u64) -> Result<(), HostError> {
        self.take_at(amount, Instant::now()).map_err(|wait| {
            let limit = self.name.limit();
            let words = format!(
                "{}: {} in a minute are used up; try again in {} s, or ask for more in the manifest",
                limit.spelling(),
                limit.say(self.per_minute as u64),
                wait.as_secs() + 1,
            );
            let retry = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            HostError::new(code::LIMIT, words).with(json!({ "limit": limit.spelling(), "retryAfterMs": retry }))
        })
    }

    /// Takes it in any case, as it has happened already; gives how long nothing more should be let in.
    pub(crate) fn charge(&self, amount: u64) -> Duration {
        self.charge_at(amount, Instant::now())
    }

    #[allow(clippy::cast_precision_loss, reason = "amounts are far below 2^52")]
    fn take_at(&self, amount: u64, now: Instant) -> Result<(), Duration> {
        let mut left = self.filled(now);
        if left.0 < amount as f64 {
            return Err(self.time_for(amount as f64 - left.0));
        }
        left.0 -= amount as f64;
        Ok(())
    }

    #[allow(clippy::cast_precision_loss, reason = "amounts are far below 2^52")]
    fn charge_at(&self, amount: u64, now: Instant) -> Duration {
        let mut left = self.filled(now);
        left.0 -= amount as f64;
        if left.0 < 0.0 { self.time_for(-left.0) } else { Duration::ZERO }
    }

    fn filled(&self, now: Instant) -> std::sync::MutexGuard<'_, (f64, Instant)> {
        let mut left = locked(&self.left);
        let passed = now.saturating_duration_since(left.1).as_secs_f64();
        *left = ((left.0 + passed * self.per_minute / 60.0).min(self.per_minute), now);
        left
    }

    fn time_for(&self, missing: f64) -> Duration {
        Duration::from_secs_f64(missing * 60.0 / self.per_minute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_full_at_first_and_fills_evenly() {
        let (bucket, start) = (Bucket::new(LimitName::DatabaseWritesPerMinute, 60), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(bucket.take_at(60, at(0)), Ok(()));
        assert_eq!(bucket.take_at(1, at(0)), Err(Duration::from_secs(1)));
        assert_eq!(bucket.take_at(10, at(10)), Ok(()));
        assert_eq!(bucket.charge_at(30, at(10)), Duration::from_secs(30), "what has happened is paid for later");
        assert_eq!(bucket.take_at(1, at(40)), Err(Duration::from_secs(1)));
        assert_eq!(bucket.take_at(60, at(1000)), Ok(()), "and never more than a minute's worth");
    }

    #[test]
    fn a_log_beyond_its_budget_is_dropped_and_counted() {
        let budgets = Budgets::new(LimitSet::granted(&[]));
        assert_eq!(budgets.log_line(1 << 20), Some(0));
        assert_eq!(budgets.log_line(1 << 20), None);
        assert_eq!(*locked(&budgets.dropped), 1);
    }

    #[test]
    fn a_grant_reaches_the_sandbox() {
        use entresol_package::Permission;
        let grants = [
            Permission::Limit { name: LimitName::TurnTime, value: 700 },
            Permission::Limit { name: LimitName::Timers, value: 20 },
        ];
        let limits = Budgets::new(LimitSet::granted(&grants)).sandbox(Some(9 << 20));
        assert_eq!((limits.turn, limits.timers, limits.memory_bytes), (Duration::from_millis(700), 20, 9 << 20));
        assert_eq!(limits.cpu_percent, Limits::CPU_PERCENT);
    }
}
