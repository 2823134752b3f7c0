//! Wrong passphrases slow the next ones down. One limiter for the whole wallet: who guesses on the control socket waits
//! on the wallet's page too.

use crate::Host;
use crate::error::{HostError, code};
use serde_json::json;
use std::time::{Duration, Instant};

/// Wrong passphrases that are answered at once; from then on each one doubles the wait. Argon2id already makes one
/// attempt cost a fraction of a second, and attempts run one at a time.
const FREE_ATTEMPTS: u32 = 3;

/// Longest wait between two attempts, so that a mistyping owner is never locked out for long.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Wrong passphrases since the last right one.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    wrong: u32,
    last: Option<Instant>,
}

impl Attempts {
    /// How long to wait before the next attempt; zero when one is allowed.
    fn wait(&self, now: Instant) -> Duration {
        let (Some(last), Some(over)) = (self.last, self.wrong.checked_sub(FREE_ATTEMPTS)) else {
            return Duration::ZERO;
        };
        let pause = Duration::from_secs(1_u64 << over.min(6)).min(LONGEST_WAIT);
        pause.saturating_sub(now.saturating_duration_since(last))
    }

    fn wrong(&mut self, now: Instant) {
        self.wrong = self.wrong.saturating_add(1);
        self.last = Some(now);
    }

    fn right(&mut self) {
        *self = Self::default();
    }
}

impl Host {
    /// Does with a passphrase what `attempt` does; attempts run one at a time. Every method that takes the wallet's
    /// passphrase goes through here, after [`Host::authorize`].
    pub(crate) async fn with_passphrase<T>(
        &self,
        attempt: impl Future<Output = Result<T, HostError>>,
    ) -> Result<T, HostError> {
        let mut attempts = self.inner.attempts.lock().await;
        let wait = attempts.wait(Instant::now());
        if !wait.is_zero() {
            let seconds = wait.as_secs().max(1);
            let message = format!("too many wrong passphrases; try again in {seconds} s");
            let data = json!({ "retryAfterMs": u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) });
            return Err(HostError::new(code::LIMIT, message).with(data));
        }
        let result = attempt.await;
        match &result {
            Ok(_) => attempts.right(),
            // Anything else, such as a full disk, says nothing about the passphrase.
            Err(error) if error.code == code::UNAUTHORIZED => attempts.wrong(Instant::now()),
            Err(_) => {}
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_passphrases_slow_down() {
        let now = Instant::now();
        let mut attempts = Attempts::default();
        for _ in 0..FREE_ATTEMPTS {
            assert_eq!(attempts.wait(now), Duration::ZERO);
            attempts.wrong(now);
        }
        assert_eq!(attempts.wait(now), Duration::from_secs(1));
        assert_eq!(attempts.wait(now + Duration::from_secs(1)), Duration::ZERO);
        attempts.wrong(now);
        assert_eq!(attempts.wait(now), Duration::from_secs(2));
        for _ in 0..100 {
            attempts.wrong(now);
        }
        assert_eq!(attempts.wait(now), LONGEST_WAIT);
        attempts.right();
        assert_eq!(attempts.wait(now), Duration::ZERO);
    }
}
