//! The open vault: derives accounts and signs.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use alloy::consensus::TxEip1559;
use alloy::primitives::Address;
use coins_bip32::ecdsa::SigningKey;
use coins_bip32::xkeys::{Parent, XPriv};
use secrecy::SecretString;

use crate::keystore::{DatabaseKey, KdfCost, Keystore};
use crate::mnemonic::Words;
use crate::signing::{self, SignedTransaction, SubtreePayload};
use crate::{Approved, SubtreePath, VaultError};

/// BIP-32's mark of a hardened child.
const HARDENED: u32 = 1 << 31;

/// `m/44'/60'/0'/0`, the parent of the owner accounts (BIP-44, coin 60 of SLIP-44).
const OWNERS: [u32; 4] = [44 | HARDENED, 60 | HARDENED, HARDENED, 0];

/// The public side of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its index under its parent.
    pub index: u32,
    /// Its full path.
    pub path: String,
    /// Its address.
    pub address: Address,
    /// Its public key, compressed (SEC 1).
    pub public_key: [u8; 33],
}

/// The wallet's keys. Cheap to clone; all clones lock and unlock together.
#[derive(Clone)]
pub struct Vault {
    inner: Arc<Inner>,
}

struct Inner {
    /// As read when the vault was opened: unlocking again does not depend on the disk.
    keystore: Keystore,
    /// The root key while unlocked. It wipes itself when dropped.
    root: RwLock<Option<XPriv>>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("locked", &self.is_locked()).finish_non_exhaustive()
    }
}

fn account(key: &SigningKey, index: u32, path: String) -> Account {
    let public = key.verifying_key();
    let mut public_key = [0; 33];
    public_key.copy_from_slice(&public.to_sec1_point(true).as_bytes()[..33]);
    // The uncompressed form is a tag byte and the 64 bytes that Ethereum hashes.
    let address = Address::from_raw_public_key(&public.to_sec1_point(false).as_bytes()[1..]);
    Account { index, path, address, public_key }
}

/// The child at the end of a path. The library moves on to the next number in the case (2⁻¹²⁷) that a number has no
/// key; BIP-32 asks for the same.
fn descend(root: &XPriv, numbers: impl IntoIterator<Item = u32>) -> Result<XPriv, VaultError> {
    numbers.into_iter().try_fold(root.clone(), |key, number| {
        key.derive_child(number).map_err(|_| VaultError::Crypto { what: "deriving a key" })
    })
}

fn plain(index: u32) -> Result<u32, VaultError> {
    if index < HARDENED { Ok(index) } else { Err(VaultError::Index { index }) }
}

impl Vault {
    /// Twelve new words (BIP-39), from the system's randomness. Nothing is written: show them to their owner, then
    /// [`create`](Self::create) the wallet with them, so that no crash leaves a wallet whose words nobody has seen.
    ///
    /// # Errors
    /// [`Randomness`](VaultError::Randomness).
    pub fn new_phrase() -> Result<SecretString, VaultError> {
        Ok(Words::generate()?.phrase())
    }

    /// Writes a new keystore and gives back the phrase, for showing it once. Without `phrase` twelve new words are
    /// made; with one the wallet is restored from it. Takes as long as `cost` says; not for an async thread.
    ///
    /// # Errors
    /// [`Exists`](VaultError::Exists), [`EmptyPassphrase`](VaultError::EmptyPassphrase), [`Cost`](VaultError::Cost),
    /// and for a bad phrase [`WordCount`](VaultError::WordCount), [`UnknownWord`](VaultError::UnknownWord) or
    /// [`Checksum`](VaultError::Checksum). Nothing is written then.
    pub fn create(
        path: &Path,
        phrase: Option<&SecretString>,
        passphrase: &SecretString,
        cost: KdfCost,
    ) -> Result<SecretString, VaultError> {
        // Before the words are made: nobody should note down words that are then thrown away.
        if path.symlink_metadata().is_ok() {
            return Err(VaultError::Exists { path: path.to_owned() });
        }
        let words = phrase.map_or_else(Words::generate, Words::from_phrase)?;
        Keystore::seal(words.entropy(), passphrase, cost)?.write_new(path)?;
        Ok(words.phrase())
    }

    /// Opens a keystore, unlocked. Takes as long as its cost says; not for an async thread.
    ///
    /// # Errors
    /// [`Missing`](VaultError::Missing), [`WrongPassphrase`](VaultError::WrongPassphrase),
    /// [`Damaged`](VaultError::Damaged), [`NewerVersion`](VaultError::NewerVersion).
    pub fn open(path: &Path, passphrase: &SecretString) -> Result<(Self, DatabaseKey), VaultError> {
        let keystore = Keystore::read(path)?;
        let opened = keystore.open(passphrase)?;
        let root = Words::from_entropy(&opened.entropy)?.root()?;
        let vault = Self { inner: Arc::new(Inner { keystore, root: RwLock::new(Some(root)) }) };
        Ok((vault, opened.database_key))
    }

    /// Checks a passphrase, locked or not, and changes nothing. As slow as [`open`](Self::open).
    ///
    /// # Errors
    /// [`WrongPassphrase`](VaultError::WrongPassphrase).
    pub fn verify_passphrase(&self, passphrase: &SecretString) -> Result<(), VaultError> {
        self.inner.keystore.master(passphrase).map(|_| ())
    }

    /// Forgets the seed until [`unlock`](Self::unlock).
    pub fn lock(&self) {
        *self.inner.root.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Opens the seed again. As slow as [`open`](Self::open).
    ///
    /// # Errors
    /// [`WrongPassphrase`](VaultError::WrongPassphrase); the vault stays as it was.
    pub fn unlock(&self, passphrase: &SecretString) -> Result<(), VaultError> {
        let opened = self.inner.keystore.open(passphrase)?;
        let root = Words::from_entropy(&opened.entropy)?.root()?;
        *self.inner.root.write().unwrap_or_else(PoisonError::into_inner) = Some(root);
        Ok(())
    }

    /// True while there is no seed in memory.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.inner.root.read().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn descend(&self, numbers: impl IntoIterator<Item = u32>) -> Result<XPriv, VaultError> {
        let root = self.inner.root.read().unwrap_or_else(PoisonError::into_inner);
        descend(root.as_ref().ok_or(VaultError::Locked)?, numbers)
    }

    fn owner_key(&self, index: u32) -> Result<XPriv, VaultError> {
        self.descend(OWNERS.into_iter().chain([plain(index)?]))
    }

    fn subtree_key(&self, root: &SubtreePath, index: u32) -> Result<XPriv, VaultError> {
        self.descend(root.child_numbers().chain([plain(index)?]))
    }

    /// The owner account `m/44'/60'/0'/0/index`.
    ///
    /// # Errors
    /// [`Locked`](VaultError::Locked), [`Index`](VaultError::Index).
    pub fn owner(&self, index: u32) -> Result<Account, VaultError> {
        let key = self.owner_key(index)?;
        Ok(account(key.as_ref(), index, format!("m/44'/60'/0'/0/{index}")))
    }

    /// The account `index` (a non-hardened child) of a solution.
    ///
    /// # Errors
    /// [`Locked`](VaultError::Locked), [`Index`](VaultError::Index).
    pub fn subtree_account(&self, root: &SubtreePath, index: u32) -> Result<Account, VaultError> {
        let key = self.subtree_key(root, index)?;
        Ok(account(key.as_ref(), index, format!("{root}/{index}")))
    }

    /// Signs with an account of a solution: `r ‖ s ‖ v`, v 27 or 28, low s.
    ///
    /// # Errors
    /// [`Locked`](VaultError::Locked), [`Index`](VaultError::Index), [`TypedData`](VaultError::TypedData).
    pub fn sign_with_subtree(
        &self,
        root: &SubtreePath,
        index: u32,
        payload: &SubtreePayload,
    ) -> Result<[u8; 65], VaultError> {
        let key = self.subtree_key(root, index)?;
        signing::sign_hash(key.as_ref(), &payload.hash()?)
    }

    /// Signs a transaction of an owner, if it is the approved one.
    ///
    /// # Errors
    /// [`DiffersFromIntent`](VaultError::DiffersFromIntent) naming the first field that differs,
    /// [`FeeAboveCeiling`](VaultError::FeeAboveCeiling), [`Locked`](VaultError::Locked), [`Index`](VaultError::Index).
    pub fn sign_transaction(
        &self,
        owner: u32,
        tx: &TxEip1559,
        approved: &Approved,
    ) -> Result<SignedTransaction, VaultError> {
        let key = self.owner_key(owner)?;
        let from = account(key.as_ref(), owner, String::new()).address;
        signing::check(from, tx, approved)?;
        signing::sign_transaction(key.as_ref(), from, tx)
    }

    /// Signs the approved message (EIP-191) or typed data (EIP-712) of an owner: `r ‖ s ‖ v`, v 27 or 28, low s.
    ///
    /// # Errors
    /// [`DiffersFromIntent`](VaultError::DiffersFromIntent) when a transaction or another account was approved,
    /// [`TypedData`](VaultError::TypedData), [`Locked`](VaultError::Locked), [`Index`](VaultError::Index).
    pub fn sign_message(&self, owner: u32, approved: &Approved) -> Result<[u8; 65], VaultError> {
        let key = self.owner_key(owner)?;
        let from = account(key.as_ref(), owner, String::new()).address;
        signing::sign_hash(key.as_ref(), &signing::approved_hash(from, approved)?)
    }
}
