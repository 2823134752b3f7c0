//! Which nonce comes next, without IO.
//!
//! The lowest nonce that is neither mined nor pending on the chain, nor promised here. "Lowest free" rather than
//! "highest plus one", because a nonce that was promised and given back would leave a gap, and nothing behind a gap is
//! ever mined.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::Address;

/// The nonces promised on one network.
#[derive(Debug, Default)]
pub struct NonceLedger {
    taken: BTreeMap<Address, BTreeSet<u64>>,
    settlements: u64,
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
    pub fn reserve(&mut self, account: Address, pending: u64, settlements: u64) -> Option<u64> {
        if settlements != self.settlements {
            return None;
        }
        let taken = self.taken.entry(account).or_default();
        let nonce = (pending..=u64::MAX).find(|nonce| !taken.contains(nonce))?;
        taken.insert(nonce);
        Some(nonce)
    }

    /// Notes a nonce that a stored transaction holds.
    pub fn take(&mut self, account: Address, nonce: u64) {
        self.taken.entry(account).or_default().insert(nonce);
    }

    /// Gives a nonce back that nothing was sent with.
    pub fn release(&mut self, account: Address, nonce: u64) {
        if let Some(taken) = self.taken.get_mut(&account) {
            taken.remove(&nonce);
        }
    }

    /// Notes that the chain counts this nonce for good.
    pub fn settle(&mut self, account: Address, nonce: u64) {
        self.settlements += 1;
        self.release(account, nonce);
    }
}

#[cfg(test)]
mod tests;
