//! The memory of all computations together.
//!
//! Each computation has a cap of its own, which the user has agreed to. Without one over all of them, a handful of
//! plugins that keep to theirs could still take all memory of the machine. A computation counts with its whole cap from
//! its begin to its end: what it may still take is not there for others either. Where there is not enough it waits,
//! first come first served.

use crate::error::{HostError, code};
use entresol_package::manifest::ByteSize;
use serde_json::json;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Most memory of all computations that run: two of the largest. Half of the machine's memory where that is less, so
/// that what else runs on it keeps as much.
pub(crate) const MOST_MEMORY: u64 = 2 << 30;

/// What is counted in: more exact than anybody writes into a manifest.
const UNIT: u64 = 64 << 10;

/// Memory that computations share.
#[derive(Debug)]
pub(crate) struct Pool {
    free: Semaphore,
    units: u32,
}

/// One plugin's part of a [`Pool`]: half of it, so that no plugin alone lets all others wait.
#[derive(Debug)]
pub(crate) struct Share {
    free: Semaphore,
    units: u32,
}

/// Memory that a computation may use. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Reserved<'a> {
    _own: SemaphorePermit<'a>,
    _all: SemaphorePermit<'a>,
}

impl Default for Pool {
    fn default() -> Self {
        Self::of(machine_memory())
    }
}

impl Pool {
    /// For a machine with that much memory, if it says how much that is.
    fn of(machine: Option<u64>) -> Self {
        let bytes = machine.map_or(MOST_MEMORY, |all| MOST_MEMORY.min(all / 2));
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX);
        Self { free: Semaphore::new(units as usize), units }
    }

    pub(crate) fn share(&self) -> Share {
        let units = self.units / 2;
        Share { free: Semaphore::new(units as usize), units }
    }

    /// Waits until there is so much for a computation of the plugin with this share.
    ///
    /// # Errors
    /// It is more than there is on this machine.
    pub(crate) async fn reserve<'a>(&'a self, share: &'a Share, bytes: usize) -> Result<Reserved<'a>, HostError> {
        let bytes = bytes as u64;
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        if units > self.units {
            let all = ByteSize::new(u64::from(self.units) * UNIT);
            return Err(HostError::new(
                code::LIMIT,
                format!(
                    "the computation may use up to {}, and all computations of this wallet together have {all} on this \
                     machine; ask for less in the manifest, or run it on a machine with more memory",
                    ByteSize::new(bytes)
                ),
            )
            .with(json!({ "reason": "memory" })));
        }
        // One that is larger than the share takes the whole of it.
        let own = share.free.acquire_many(units.min(share.units)).await;
        let all = self.free.acquire_many(units).await;
        let gone = |_| HostError::internal("the wallet is ending");
        Ok(Reserved { _own: own.map_err(gone)?, _all: all.map_err(gone)? })
    }
}

/// Memory of this machine in bytes, where the system tells.
fn machine_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    const GIB: u64 = 1 << 30;

    /// Whether it can be had without waiting, and what it is then.
    fn at_once<'a>(pool: &'a Pool, share: &'a Share, bytes: u64) -> Option<Reserved<'a>> {
        let bytes = usize::try_from(bytes).expect("fits");
        pool.reserve(share, bytes).now_or_never().map(|reserved| reserved.expect("not too much"))
    }

    #[test]
    fn row_15_all_computations_together_have_a_cap_and_none_alone_takes_it() {
        let pool = Pool::of(Some(64 * GIB));
        let (one, other, third) = (pool.share(), pool.share(), pool.share());
        let first = at_once(&pool, &one, GIB).expect("there is room");
        assert!(at_once(&pool, &one, 1).is_none(), "its own half is taken, and nobody else's");
        let second = at_once(&pool, &other, GIB).expect("there is room");
        assert!(at_once(&pool, &third, 1).is_none(), "the cap is over all of them");
        drop(first);
        let small: Vec<_> = (0..4).map(|_| at_once(&pool, &third, GIB / 4).expect("room again")).collect();
        assert!(at_once(&pool, &one, 1).is_none());
        drop((small, second));
        assert!(at_once(&pool, &one, GIB).is_some() && pool.free.available_permits() == pool.units as usize);
    }

    #[test]
    fn the_cap_is_half_of_a_small_machine_and_what_never_fits_is_refused() {
        let small = Pool::of(Some(GIB));
        let share = small.share();
        let whole = at_once(&small, &share, GIB / 2).expect("larger than its share, and all there is");
        assert!(at_once(&small, &share, 1).is_none());
        drop(whole);
        let refused = small.reserve(&share, usize::try_from(GIB).expect("fits")).now_or_never();
        let refused = refused.expect("at once").expect_err("too much");
        assert_eq!((refused.code, &refused.data), (code::LIMIT, &json!({ "reason": "memory" })));
        assert!(refused.message.contains("up to 1 GiB") && refused.message.contains("have 512 MiB"), "{refused}");
        assert_eq!(u64::from(Pool::of(None).units) * UNIT, MOST_MEMORY);
        assert!(machine_memory().is_none_or(|bytes| bytes > 16 << 20));
    }

    #[tokio::test]
    async fn who_waits_gets_its_turn_and_who_gives_up_leaves_nothing_behind() {
        let pool = Pool::of(Some(4 * GIB));
        let (one, other, third) = (pool.share(), pool.share(), pool.share());
        let half = usize::try_from(GIB).expect("fits");
        let held = (pool.reserve(&one, half).await.expect("room"), pool.reserve(&other, half).await.expect("room"));
        {
            let mut given_up = Box::pin(pool.reserve(&third, half));
            assert!((&mut given_up).now_or_never().is_none());
        }
        let mut waits = Box::pin(pool.reserve(&third, half));
        assert!((&mut waits).now_or_never().is_none());
        drop(held.0);
        let got = waits.await.expect("its turn");
        drop((got, held.1));
        assert_eq!(pool.free.available_permits(), pool.units as usize);
        assert_eq!(third.free.available_permits(), third.units as usize);
    }
}
