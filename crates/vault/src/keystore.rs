//! The keystore file: a master key sealed by the passphrase, and the seed and the database's key sealed by the master
//! key.
//!
//! ```text
//! passphrase ──Argon2id(salt, cost)──▶ key ──XChaCha20-Poly1305──▶ master key ──┬──▶ seed (BIP-39 entropy)
//!                                                                              └──▶ database key
//! ```
//! Each seal covers, as associated data, the version, the cost, the salt and what is sealed, so that no part can be
//! changed or put in another's place. The file is JSON in one spelling with a checksum: damage is told apart from a
//! wrong passphrase, and found before Argon2 is run with numbers that damage made.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use alloy::primitives::keccak256;
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use entresol_durable::{create_private_dir, write_file_atomically, write_point};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::VaultError;

/// Version of the file.
const VERSION: u64 = 1;

/// The largest file that is read: a sound one has less than 2 KiB.
const MAX_FILE: usize = 16 * 1024;

/// A 32-byte secret, wiped when dropped.
pub(crate) type Secret32 = Zeroizing<[u8; 32]>;

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
    fn params(self) -> Result<Params, VaultError> {
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
}

/// The key of the wallet's database: 32 random bytes, made with the wallet and sealed in its keystore.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct DatabaseKey([u8; 32]);

impl DatabaseKey {
    /// The bytes, for opening the database and for nothing else.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for DatabaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseKey([redacted])")
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kdf {
    algorithm: String,
    #[serde(flatten)]
    cost: KdfCost,
    salt: String,
}

/// One sealed value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    nonce: String,
    ciphertext: String,
}

/// The file as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keystore {
    version: u64,
    kdf: Kdf,
    master: Sealed,
    seed: Sealed,
    database_key: Sealed,
    checksum: String,
}

/// What a keystore holds, open.
pub(crate) struct Opened {
    /// BIP-39 entropy.
    pub(crate) entropy: Zeroizing<Vec<u8>>,
    /// The database's key.
    pub(crate) database_key: DatabaseKey,
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, VaultError> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).map_err(|_| VaultError::Randomness)?;
    Ok(bytes)
}

fn bytes<const N: usize>(text: &str, reason: &'static str) -> Result<[u8; N], VaultError> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| VaultError::Damaged { reason })?;
    Ok(bytes)
}

fn exactly32(plain: &[u8], reason: &'static str) -> Result<Secret32, VaultError> {
    let mut bytes = Zeroizing::new([0; 32]);
    if plain.len() != bytes.len() {
        return Err(VaultError::Damaged { reason });
    }
    bytes.copy_from_slice(plain);
    Ok(bytes)
}

fn stretch(passphrase: &SecretString, salt: &[u8; 32], cost: KdfCost) -> Result<Secret32, VaultError> {
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.params()?)
        .hash_password_into(passphrase.expose_secret().as_bytes(), salt, &mut *key)
        .map_err(|_| VaultError::Crypto { what: "stretching the passphrase" })?;
    Ok(key)
}

/// Associated data of a seal. All numbers have a fixed length, the name comes last.
fn header(cost: KdfCost, salt: &[u8; 32], what: &str) -> Vec<u8> {
    let mut text = b"entresol keystore\n".to_vec();
    text.extend(VERSION.to_be_bytes());
    for number in [cost.memory_kib, cost.passes, cost.lanes] {
        text.extend(number.to_be_bytes());
    }
    text.extend(salt);
    text.extend(what.as_bytes());
    text
}

fn seal(key: &Secret32, aad: &[u8], plain: &[u8]) -> Result<Sealed, VaultError> {
    let nonce = random::<24>()?;
    let ciphertext = XChaCha20Poly1305::new((&**key).into())
        .encrypt(&XNonce::from(*nonce), Payload { msg: plain, aad })
        .map_err(|_| VaultError::Crypto { what: "sealing the keystore" })?;
    Ok(Sealed { nonce: hex::encode(*nonce), ciphertext: hex::encode(ciphertext) })
}

/// `None` when the key or anything else does not fit.
fn unseal(key: &Secret32, aad: &[u8], sealed: &Sealed) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
    let nonce: [u8; 24] = bytes(&sealed.nonce, "a nonce")?;
    let ciphertext = hex::decode(&sealed.ciphertext).map_err(|_| VaultError::Damaged { reason: "a sealed value" })?;
    let plain =
        XChaCha20Poly1305::new((&**key).into()).decrypt(&XNonce::from(nonce), Payload { msg: &ciphertext, aad });
    Ok(plain.ok().map(Zeroizing::new))
}

impl Keystore {
    /// Seals `entropy` and a new database key.
    pub(crate) fn seal(entropy: &[u8], passphrase: &SecretString, cost: KdfCost) -> Result<Self, VaultError> {
        if passphrase.expose_secret().is_empty() {
            return Err(VaultError::EmptyPassphrase);
        }
        let salt = *random::<32>()?;
        let key = stretch(passphrase, &salt, cost)?;
        let master = random::<32>()?;
        let database_key = random::<32>()?;
        let mut keystore = Self {
            version: VERSION,
            kdf: Kdf { algorithm: "argon2id".to_owned(), cost, salt: hex::encode(salt) },
            master: seal(&key, &header(cost, &salt, "master"), &*master)?,
            seed: seal(&master, &header(cost, &salt, "seed"), entropy)?,
            database_key: seal(&master, &header(cost, &salt, "database key"), &*database_key)?,
            checksum: String::new(),
        };
        keystore.checksum = keystore.compute_checksum()?;
        Ok(keystore)
    }

    /// Opens everything with the passphrase. Takes as long as the cost says.
    pub(crate) fn open(&self, passphrase: &SecretString) -> Result<Opened, VaultError> {
        let master = self.master(passphrase)?;
        let salt = self.salt()?;
        let part = |sealed: &Sealed, what: &'static str| {
            let plain = unseal(&master, &header(self.kdf.cost, &salt, what), sealed)?;
            plain.ok_or(VaultError::Damaged { reason: "a sealed value" })
        };
        let entropy = part(&self.seed, "seed")?;
        let database_key = exactly32(&part(&self.database_key, "database key")?, "the database key's length")?;
        Ok(Opened { entropy, database_key: DatabaseKey(*database_key) })
    }

    /// The master key, which only the right passphrase gives.
    pub(crate) fn master(&self, passphrase: &SecretString) -> Result<Secret32, VaultError> {
        let salt = self.salt()?;
        let key = stretch(passphrase, &salt, self.kdf.cost)?;
        let plain = unseal(&key, &header(self.kdf.cost, &salt, "master"), &self.master)?;
        exactly32(&plain.ok_or(VaultError::WrongPassphrase)?, "the master key's length")
    }

    fn salt(&self) -> Result<[u8; 32], VaultError> {
        bytes(&self.kdf.salt, "the salt")
    }

    fn compute_checksum(&self) -> Result<String, VaultError> {
        let bare = Self { checksum: String::new(), ..self.clone() };
        Ok(hex::encode(keccak256(bare.to_text()?)))
    }

    fn to_text(&self) -> Result<String, VaultError> {
        let text =
            serde_json::to_string_pretty(self).map_err(|_| VaultError::Crypto { what: "writing the keystore" })?;
        Ok(text + "\n")
    }

    /// Reads a file's content. Any byte that is not as it was written is an error here.
    pub(crate) fn parse(content: &[u8]) -> Result<Self, VaultError> {
        if content.len() > MAX_FILE {
            return Err(VaultError::Damaged { reason: "it is far too long" });
        }
        // The version first: a newer file has other fields, which is no damage.
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let not_json = |_| VaultError::Damaged { reason: "it is not a keystore" };
        let versioned: Versioned = serde_json::from_slice(content).map_err(not_json)?;
        let keystore = match versioned.version {
            VERSION => serde_json::from_slice::<Self>(content).map_err(not_json)?,
            found if found > VERSION => return Err(VaultError::NewerVersion { found, known: VERSION }),
            _ => return Err(VaultError::Damaged { reason: "its version" }),
        };
        if keystore.checksum != keystore.compute_checksum()? || keystore.to_text()?.as_bytes() != content {
            return Err(VaultError::Damaged { reason: "its checksum" });
        }
        if keystore.kdf.algorithm != "argon2id" {
            return Err(VaultError::Damaged { reason: "the key derivation's name" });
        }
        keystore.kdf.cost.params()?;
        Ok(keystore)
    }

    pub(crate) fn read(path: &Path) -> Result<Self, VaultError> {
        let content = std::fs::read(path).map_err(|source| match source.kind() {
            ErrorKind::NotFound => VaultError::Missing { path: path.to_owned() },
            _ => VaultError::File { path: path.to_owned(), source },
        })?;
        Self::parse(&content)
    }

    /// Writes a new file, mode 0600, and its directory when that is missing.
    pub(crate) fn write_new(&self, path: &Path) -> Result<(), VaultError> {
        if path.symlink_metadata().is_ok() {
            return Err(VaultError::Exists { path: path.to_owned() });
        }
        let content = self.to_text()?;
        let file_error = |source| VaultError::File { path: path.to_owned(), source };
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            create_private_dir(directory).map_err(file_error)?;
        }
        write_point!("vault.keystore.write", write_file_atomically(path, content.as_bytes(), false)).map_err(file_error)
    }
}

#[cfg(test)]
mod tests;
