//! From a passphrase to a key.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::VaultError;
use crate::locked::Locked;

/// What one guess of the passphrase costs. Kept in the file, so that it can be raised for new wallets.
///
/// The default takes 64 MiB, 3 passes, 1 lane (RFC 9106's second recommendation, with one lane because one core is what
/// a guess and an unlock both can count on): some tenths of a second on a laptop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KdfCost {
    /// Memory, KiB: 8 per lane at least, 4 GiB at most.
    pub memory_kib: u32,
    /// Passes over the memory: 1 to 100.
    pub passes: u32,
    /// Lanes: 1 to 16.
    pub lanes: u32,
}

impl Default for KdfCost {
    fn default() -> Self {
        Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 }
    }
}

impl KdfCost {
    /// The upper bounds keep an edited file from eating the machine before the passphrase is even checked.
    pub(crate) fn params(self) -> Result<Params, VaultError> {
        let bound = |reason| Err(VaultError::Cost { reason });
        match self {
            Self { lanes, .. } if !(1..=16).contains(&lanes) => bound("1 to 16 lanes"),
            Self { passes, .. } if !(1..=100).contains(&passes) => bound("1 to 100 passes"),
            Self { memory_kib, lanes, .. } if memory_kib < 8 * lanes => bound("at least 8 KiB per lane"),
            Self { memory_kib, .. } if memory_kib > 4 * 1024 * 1024 => bound("at most 4 GiB"),
            Self { memory_kib, passes, lanes } => Params::new(memory_kib, passes, lanes, Some(32))
                .map_err(|_| VaultError::Cost { reason: "Argon2 refuses it" }),
        }
    }

    /// Big-endian, 12 bytes.
    pub(crate) fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        for (place, number) in bytes.chunks_exact_mut(4).zip([self.memory_kib, self.passes, self.lanes]) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }
}

/// Argon2id. The key lies in locked memory. Argon2's working memory, from whose last blocks the key could be made
/// again, is too large to be locked; it is wiped here, because the library does not wipe what it allocates itself.
pub(crate) fn stretch(passphrase: &SecretString, salt: &[u8; 32], cost: KdfCost) -> Result<Locked, VaultError> {
    let params = cost.params()?;
    let mut blocks = Zeroizing::new(Vec::new());
    // A file may ask for more than this machine has; that is an error and no end of the process.
    let memory = VaultError::Cost { reason: "this machine has not that much memory" };
    blocks.try_reserve_exact(params.block_count()).map_err(|_| memory)?;
    blocks.resize(params.block_count(), Block::new());
    let mut key = Locked::new(1);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(passphrase.expose_secret().as_bytes(), salt, key.get_mut(0), &mut *blocks)
        .map_err(|_| VaultError::Crypto { what: "stretching the passphrase" })?;
    Ok(key)
}

/// Every file of this wallet has a passphrase.
pub(crate) fn not_empty(passphrase: &SecretString) -> Result<(), VaultError> {
    if passphrase.expose_secret().is_empty() { Err(VaultError::EmptyPassphrase) } else { Ok(()) }
}

/// Public random bytes: salts and nonces.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| VaultError::Randomness)?;
    Ok(bytes)
}

/// A new key.
pub(crate) fn random_key() -> Result<Locked, VaultError> {
    let mut key = Locked::new(1);
    getrandom::fill(key.get_mut(0)).map_err(|_| VaultError::Randomness)?;
    Ok(key)
}
