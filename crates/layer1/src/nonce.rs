//! Which nonce comes next, without IO.
//!
//! The lowest nonce that is neither mined nor pending on the chain, nor promised or held here. "Lowest free" rather than
//! "highest plus one", because a nonce that was promised and given back would leave a gap, and nothing behind a gap is
//! ever mined.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use alloy::primitives::Address;

/// How long a promise lasts that nobody kept or gave back, so that a lost one does not leave a gap for ever. Longer than
/// signing takes. Who comes later still is refused at [`submit`](crate::Transactions::submit) if the nonce has gone to
/// another transaction by then.
const PROMISE: Duration = Duration::from_secs(600);

/// The nonces promised and held on one network.
#[derive(Debug, Default)]
pub struct NonceLedger {
    taken: BTreeMap<Address, BTreeMap<u64, Hold>>,
    settlements: u64,
}

#[derive(Clone, Copy, Debug)]
enum Hold {
    /// For a transaction that is being signed.
    Promised(Instant),
    /// By a stored transaction.
    Stored,
}

impl NonceLedger {
    /// How often a nonce was settled; read it before asking the chain, hand it to [`NonceLedger::reserve`].
    #[must_use]
    pub const fn settlements(&self) -> u64 {
        self.settlements
    }

    /// Promises the lowest free nonce of `account` from `pending` (the chain's count with pending transactions) on.
    ///
    /// `None` when a nonce was settled since `settlements` was read: `pending` may be from before it, and would be given
    /// out a second time. Ask the chain again.
    pub fn reserve(&mut self, account: Address, pending: u64, settlements: u64, now: Instant) -> Option<u64> {
        if settlements != self.settlements {
            return None;
        }
        let nonce = self.next(account, pending, now)?;
        self.taken.entry(account).or_default().insert(nonce, Hold::Promised(now));
        Some(nonce)
    }

    /// The lowest free nonce of `account` from `pending` on, promised to nobody.
    #[must_use]
    pub fn next(&self, account: Address, pending: u64, now: Instant) -> Option<u64> {
        let taken = self.taken.get(&account);
        let free = |nonce: &u64| match taken.and_then(|taken| taken.get(nonce)) {
            None => true,
            Some(Hold::Promised(at)) => now.saturating_duration_since(*at) > PROMISE,
            Some(Hold::Stored) => false,
        };
        (pending..=u64::MAX).find(free)
    }

    /// Notes a nonce that a stored transaction holds.
    pub fn take(&mut self, account: Address, nonce: u64) {
        self.taken.entry(account).or_default().insert(nonce, Hold::Stored);
    }

    /// Gives a nonce back that was promised and nothing stored with. A nonce that a stored transaction holds stays.
    pub fn release(&mut self, account: Address, nonce: u64) {
        if let Some(taken) = self.taken.get_mut(&account)
            && matches!(taken.get(&nonce), Some(Hold::Promised(_)))
        {
            taken.remove(&nonce);
        }
    }

    /// Gives back the nonce of a stored transaction that no endpoint took.
    pub fn give_up(&mut self, account: Address, nonce: u64) {
        if let Some(taken) = self.taken.get_mut(&account) {
            taken.remove(&nonce);
        }
    }

    /// Notes that the chain counts this nonce for good.
    pub fn settle(&mut self, account: Address, nonce: u64) {
        self.settlements += 1;
        self.give_up(account, nonce);
    }
}

#[cfg(test)]
mod tests;
