//! The keystore file: a master key sealed by the passphrase, and all else sealed by the master key.
//!
//! ```text
//! passphrase ──Argon2id(salt, cost)──▶ key ──XChaCha20-Poly1305──▶ master key ──┬──▶ seed (BIP-39 entropy)
//!                                                                              ├──▶ database key
//!                                                                              └──▶ imported keys, each, and their list
//! ```
//! Each seal covers, as associated data, a version, a cost, a salt and what is sealed, so that no part can be changed or
//! put in another's place. The file is JSON in one spelling with a checksum: damage is told apart from a wrong
//! passphrase, and found before Argon2 is run with numbers that damage made.
//!
//! Version 2 adds imported keys and the change of the passphrase. That change seals the master key anew, with another
//! salt, and leaves every other seal as it is; these go on naming the cost and the salt that the wallet was created
//! with, kept as `origin`. The list of imported keys is sealed as a whole too, so that none can be taken away. A file
//! of version 1 is read as it is and becomes one of version 2 when it is next written.

use std::io::ErrorKind;
use std::path::Path;

use alloy::primitives::keccak256;
use chacha20poly1305::aead::{AeadInOut, Tag};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use coins_bip32::ecdsa::VerifyingKey;
use entresol_durable::{create_private_dir, write_file_atomically, write_point};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::kdf::{KdfCost, not_empty, random, random_key, stretch};
use crate::locked::Locked;
use crate::secret::DatabaseKey;
use crate::vault::Account;
use crate::{VaultError, keys};

/// Version of a file that is written now.
const VERSION: u64 = 2;

/// Version named by the seals under the master key. They outlive changes of the file.
const SEAL_VERSION: u64 = 1;

/// The largest file that is read: a sound one with all the keys it takes has less than 128 KiB.
const MAX_FILE: usize = 256 * 1024;

/// Keys that can be imported. Nobody has so many; the bound keeps the file small.
pub(crate) const MAX_IMPORTED: usize = 256;

/// Bytes that a seal is longer than what is in it.
const TAG: usize = 16;

/// How a passphrase becomes a key.
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

/// An imported key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Imported {
    /// Compressed (SEC 1): the account is known while the wallet is locked.
    public_key: String,
    key: Sealed,
}

/// What version 2 adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Extension {
    /// What the seals under the master key name; nothing is stretched with it.
    origin: Kdf,
    imported: Vec<Imported>,
    /// Nothing, sealed with the whole list as associated data.
    list: Sealed,
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
    /// Present from version 2 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    extension: Option<Extension>,
    checksum: String,
}

/// What a keystore holds, open.
pub(crate) struct Opened {
    entropy: Locked,
    entropy_length: usize,
    /// The database's key.
    pub(crate) database_key: DatabaseKey,
    /// The imported keys, in their order.
    pub(crate) imported: Locked,
}

impl Opened {
    /// BIP-39 entropy.
    pub(crate) fn entropy(&self) -> &[u8] {
        &self.entropy.get(0)[..self.entropy_length]
    }
}

const fn damaged(reason: &'static str) -> VaultError {
    VaultError::Damaged { reason }
}

fn bytes<const N: usize>(text: &str, reason: &'static str) -> Result<[u8; N], VaultError> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| damaged(reason))?;
    Ok(bytes)
}

/// Associated data of a seal. All numbers have a fixed length, the name comes last.
fn header(version: u64, cost: KdfCost, salt: &[u8; 32], what: &str) -> Vec<u8> {
    let mut text = b"entresol keystore\n".to_vec();
    text.extend(version.to_be_bytes());
    text.extend(cost.to_bytes());
    text.extend(salt);
    text.extend(what.as_bytes());
    text
}

fn seal(key: &Locked, aad: &[u8], plain: &[u8]) -> Result<Sealed, VaultError> {
    let nonce = random::<24>()?;
    // Encrypted in a locked page: no copy of what is sealed stays behind elsewhere.
    let mut slot = Locked::one(plain);
    let text = slot.get_mut(0).get_mut(..plain.len()).ok_or(VaultError::Crypto { what: "sealing the keystore" })?;
    let tag = XChaCha20Poly1305::new(key.get(0).into())
        .encrypt_inout_detached(&XNonce::from(nonce), aad, (&mut *text).into())
        .map_err(|_| VaultError::Crypto { what: "sealing the keystore" })?;
    Ok(Sealed { nonce: hex::encode(nonce), ciphertext: hex::encode(text) + &hex::encode(tag) })
}

/// Opens a seal into `slot` and gives the length of what was in it; `None` when the key or anything else does not fit.
fn unseal(key: &Locked, aad: &[u8], sealed: &Sealed, slot: &mut [u8; 32]) -> Result<Option<usize>, VaultError> {
    let nonce: [u8; 24] = bytes(&sealed.nonce, "a nonce")?;
    let ciphertext = hex::decode(&sealed.ciphertext).map_err(|_| damaged("a sealed value"))?;
    let Some((text, tag)) = ciphertext.split_last_chunk::<TAG>() else { return Ok(None) };
    let Some(plain) = slot.get_mut(..text.len()) else { return Ok(None) };
    plain.copy_from_slice(text);
    let tag: Tag<XChaCha20Poly1305> = (*tag).into();
    let opened =
        XChaCha20Poly1305::new(key.get(0).into()).decrypt_inout_detached(&XNonce::from(nonce), aad, plain.into(), &tag);
    Ok(opened.is_ok().then_some(text.len()))
}

/// Opens a seal of exactly 32 bytes.
fn unseal_key(key: &Locked, aad: &[u8], sealed: &Sealed, slot: &mut [u8; 32]) -> Result<bool, VaultError> {
    match unseal(key, aad, sealed, slot)? {
        Some(32) => Ok(true),
        Some(_) => Err(damaged("a key's length")),
        None => Ok(false),
    }
}

impl Kdf {
    fn new(cost: KdfCost, salt: &[u8; 32]) -> Self {
        Self { algorithm: "argon2id".to_owned(), cost, salt: hex::encode(salt) }
    }

    fn salt(&self) -> Result<[u8; 32], VaultError> {
        bytes(&self.salt, "the salt")
    }

    fn check(&self) -> Result<(), VaultError> {
        if self.algorithm != "argon2id" {
            return Err(damaged("the key derivation's name"));
        }
        self.salt()?;
        self.cost.params().map(|_| ())
    }

    fn header(&self, version: u64, what: &str) -> Result<Vec<u8>, VaultError> {
        Ok(header(version, self.cost, &self.salt()?, what))
    }

    fn stretch(&self, passphrase: &SecretString) -> Result<Locked, VaultError> {
        stretch(passphrase, &self.salt()?, self.cost)
    }
}

impl Imported {
    /// Associated data: its place and its public key belong to it.
    fn header(&self, origin: &Kdf, number: usize) -> Result<Vec<u8>, VaultError> {
        origin.header(SEAL_VERSION, &format!("imported key {number} {}", self.public_key))
    }

    fn account(&self, number: usize) -> Result<Account, VaultError> {
        let public: [u8; 33] = bytes(&self.public_key, "an imported key")?;
        let public = VerifyingKey::from_sec1_bytes(&public).map_err(|_| damaged("an imported key"))?;
        Ok(keys::imported_account(&public, number))
    }
}

/// The seal of the whole list.
fn list_header(origin: &Kdf, imported: &[Imported]) -> Result<Vec<u8>, VaultError> {
    let mut text = origin.header(SEAL_VERSION, "imported keys\n")?;
    for key in imported {
        for part in [&key.public_key, &key.key.nonce, &key.key.ciphertext] {
            text.extend(part.as_bytes());
            text.push(b'\n');
        }
    }
    Ok(text)
}

impl Keystore {
    /// Seals `entropy` and a new database key.
    pub(crate) fn seal(entropy: &[u8], passphrase: &SecretString, cost: KdfCost) -> Result<Self, VaultError> {
        not_empty(passphrase)?;
        let kdf = Kdf::new(cost, &random()?);
        let key = kdf.stretch(passphrase)?;
        let (master, database_key) = (random_key()?, random_key()?);
        let list = seal(&master, &list_header(&kdf, &[])?, &[])?;
        Self {
            version: VERSION,
            master: seal(&key, &kdf.header(VERSION, "master")?, master.get(0))?,
            seed: seal(&master, &kdf.header(SEAL_VERSION, "seed")?, entropy)?,
            database_key: seal(&master, &kdf.header(SEAL_VERSION, "database key")?, database_key.get(0))?,
            extension: Some(Extension { origin: kdf.clone(), imported: Vec::new(), list }),
            kdf,
            checksum: String::new(),
        }
        .with_checksum()
    }

    /// What the seals under the master key name.
    fn origin(&self) -> &Kdf {
        self.extension.as_ref().map_or(&self.kdf, |extension| &extension.origin)
    }

    /// Opens everything with the passphrase. Takes as long as the cost says.
    pub(crate) fn open(&self, passphrase: &SecretString) -> Result<Opened, VaultError> {
        self.open_with(&self.master(passphrase)?)
    }

    /// Opens everything with the master key.
    pub(crate) fn open_with(&self, master: &Locked) -> Result<Opened, VaultError> {
        let origin = self.origin();
        let broken = || damaged("a sealed value");
        let mut entropy = Locked::new(1);
        let aad = origin.header(SEAL_VERSION, "seed")?;
        let entropy_length = unseal(master, &aad, &self.seed, entropy.get_mut(0))?.ok_or_else(broken)?;
        let mut database_key = Locked::new(1);
        let aad = origin.header(SEAL_VERSION, "database key")?;
        if !unseal_key(master, &aad, &self.database_key, database_key.get_mut(0))? {
            return Err(broken());
        }
        Ok(Opened {
            entropy,
            entropy_length,
            database_key: DatabaseKey::new(database_key),
            imported: self.open_imported(master)?,
        })
    }

    fn open_imported(&self, master: &Locked) -> Result<Locked, VaultError> {
        let Some(Extension { origin, imported, list }) = &self.extension else { return Ok(Locked::new(0)) };
        let aad = list_header(origin, imported)?;
        if unseal(master, &aad, list, &mut [0; 32])?.is_none() {
            return Err(damaged("the list of imported keys"));
        }
        let mut opened = Locked::new(imported.len());
        for (number, sealed) in imported.iter().enumerate() {
            let aad = sealed.header(origin, number)?;
            if !unseal_key(master, &aad, &sealed.key, opened.get_mut(number))? {
                return Err(damaged("an imported key"));
            }
            let account = keys::account(&keys::signing_key(opened.get(number))?, 0, String::new());
            if hex::encode(account.public_key) != sealed.public_key {
                return Err(damaged("an imported key"));
            }
        }
        Ok(opened)
    }

    /// The master key, which only the right passphrase gives.
    pub(crate) fn master(&self, passphrase: &SecretString) -> Result<Locked, VaultError> {
        let key = self.kdf.stretch(passphrase)?;
        let mut master = Locked::new(1);
        let aad = self.kdf.header(self.version, "master")?;
        if unseal_key(&key, &aad, &self.master, master.get_mut(0))? {
            Ok(master)
        } else {
            Err(VaultError::WrongPassphrase)
        }
    }

    /// The imported accounts; no secret is needed.
    pub(crate) fn imported(&self) -> Result<Vec<Account>, VaultError> {
        let list = self.extension.iter().flat_map(|extension| &extension.imported);
        list.enumerate().map(|(number, key)| key.account(number)).collect()
    }

    /// The same keystore, the master key sealed by another passphrase. Nothing else is sealed anew.
    pub(crate) fn with_passphrase(
        &self,
        master: &Locked,
        passphrase: &SecretString,
        cost: KdfCost,
    ) -> Result<Self, VaultError> {
        not_empty(passphrase)?;
        let kdf = Kdf::new(cost, &random()?);
        let key = kdf.stretch(passphrase)?;
        let extension = self.extension(master)?;
        Self {
            version: VERSION,
            master: seal(&key, &kdf.header(VERSION, "master")?, master.get(0))?,
            kdf,
            extension: Some(extension),
            ..self.clone()
        }
        .with_checksum()
    }

    /// The same keystore with one more key. `passphrase` is the one that gave `master`.
    pub(crate) fn with_imported(
        &self,
        passphrase: &SecretString,
        master: &Locked,
        key: &Locked,
    ) -> Result<Self, VaultError> {
        let mut extension = self.extension(master)?;
        let number = extension.imported.len();
        if number >= MAX_IMPORTED {
            return Err(VaultError::TooManyImported { most: MAX_IMPORTED });
        }
        let account = keys::account(&keys::signing_key(key.get(0))?, 0, String::new());
        let empty = Sealed { nonce: String::new(), ciphertext: String::new() };
        let mut imported = Imported { public_key: hex::encode(account.public_key), key: empty };
        imported.key = seal(master, &imported.header(&extension.origin, number)?, key.get(0))?;
        extension.imported.push(imported);
        extension.list = seal(master, &list_header(&extension.origin, &extension.imported)?, &[])?;
        let mut keystore = Self { extension: Some(extension), ..self.clone() };
        if self.version != VERSION {
            // The master key's seal names the version of the file.
            keystore.version = VERSION;
            let key = self.kdf.stretch(passphrase)?;
            keystore.master = seal(&key, &self.kdf.header(VERSION, "master")?, master.get(0))?;
        }
        keystore.with_checksum()
    }

    /// What version 2 has; made for a file of version 1.
    fn extension(&self, master: &Locked) -> Result<Extension, VaultError> {
        if let Some(extension) = &self.extension {
            return Ok(extension.clone());
        }
        let list = seal(master, &list_header(&self.kdf, &[])?, &[])?;
        Ok(Extension { origin: self.kdf.clone(), imported: Vec::new(), list })
    }

    fn with_checksum(mut self) -> Result<Self, VaultError> {
        self.checksum = self.compute_checksum()?;
        Ok(self)
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
            return Err(damaged("it is far too long"));
        }
        // The version first: a newer file has other fields, which is no damage.
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let not_json = |_| damaged("it is not a keystore");
        let versioned: Versioned = serde_json::from_slice(content).map_err(not_json)?;
        let keystore = match versioned.version {
            1..=VERSION => serde_json::from_slice::<Self>(content).map_err(not_json)?,
            0 => return Err(damaged("its version")),
            found => return Err(VaultError::NewerVersion { found, known: VERSION }),
        };
        if keystore.checksum != keystore.compute_checksum()? || keystore.to_text()?.as_bytes() != content {
            return Err(damaged("its checksum"));
        }
        if (keystore.version == VERSION) != keystore.extension.is_some() {
            return Err(damaged("its version"));
        }
        keystore.kdf.check()?;
        keystore.origin().check()?;
        if keystore.imported()?.len() > MAX_IMPORTED {
            return Err(damaged("the list of imported keys"));
        }
        Ok(keystore)
    }

    pub(crate) fn read(path: &Path) -> Result<Self, VaultError> {
        Self::parse(&read_file(path)?)
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

    /// Writes this keystore in place of `old`, whole or not at all. Refused when the file is not `old` any more: nobody
    /// else's change is undone.
    pub(crate) fn replace(&self, old: &Self, path: &Path) -> Result<(), VaultError> {
        if read_file(path)? != old.to_text()?.as_bytes() {
            return Err(VaultError::Changed { path: path.to_owned() });
        }
        let content = self.to_text()?;
        write_point!("vault.keystore.replace", write_file_atomically(path, content.as_bytes(), false))
            .map_err(|source| VaultError::File { path: path.to_owned(), source })
    }

    /// True when the file at `path` is this keystore.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        let text = self.to_text();
        read_file(path).is_ok_and(|content| text.is_ok_and(|text| text.as_bytes() == content))
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, VaultError> {
    std::fs::read(path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => VaultError::Missing { path: path.to_owned() },
        _ => VaultError::File { path: path.to_owned(), source },
    })
}

#[cfg(test)]
mod tests;
