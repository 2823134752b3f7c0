//! The secrets that leave this crate.

use std::fmt;
use std::sync::Arc;

use crate::locked::{Locked, Slot};

/// The key of the wallet's database: 32 random bytes, made with the wallet and sealed in its keystore. Clones share
/// one page of locked memory, which is wiped with the last of them.
#[derive(Clone)]
pub struct DatabaseKey(Arc<Locked>);

impl DatabaseKey {
    pub(crate) fn new(key: Locked) -> Self {
        Self(Arc::new(key))
    }

    pub(crate) fn holds(&self) -> bool {
        self.0.holds()
    }

    /// The bytes, for opening the database and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &Slot {
        self.0.get(0)
    }
}

impl fmt::Debug for DatabaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseKey([redacted])")
    }
}

/// 32 secret bytes for a plugin (`getSecret`), in locked memory, wiped when dropped.
pub struct SecretBytes32(Locked);

impl SecretBytes32 {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(Locked::one(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn expose(&self) -> &Slot {
        self.0.get(0)
    }
}

impl fmt::Debug for SecretBytes32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes32([redacted])")
    }
}
