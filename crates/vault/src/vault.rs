//! The open vault: derives accounts and signs.
//!
//! Two locks lie on a wallet: the database's, which opens when the daemon starts, and the seed's, which is here. While
//! the seed is locked there is no root key and no imported key in memory; the keys of single subtrees may stay, so
//! that what protects a user's money on a layer 2 goes on.
//!
//! The master key of the keystore is never kept: what needs it (a new passphrase, an imported key) asks for the
//! passphrase.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use alloy::consensus::TxEip1559;
use alloy::primitives::Address;
use coins_bip32::ecdsa::SigningKey;
use coins_bip32::xkeys::XPriv;
use secrecy::SecretString;

use crate::kdf::KdfCost;
use crate::keys::{self, EXTENDED, HARDENED};
use crate::keystore::{Keystore, Opened};
use crate::locked::Locked;
use crate::mnemonic::Words;
use crate::secret::{DatabaseKey, SecretBytes32};
use crate::signing::{self, SignedTransaction, SubtreePayload};
use crate::{Approved, SubtreePath, VaultError};

/// `m/44'/60'/0'/0`, the parent of the owner accounts (BIP-44, coin 60 of SLIP-44).
const OWNERS: [u32; 4] = [44 | HARDENED, 60 | HARDENED, HARDENED, 0];

/// Owner accounts that an imported key is compared with, from index 0 on. Which of them are in use is not known here;
/// wallets look for used accounts in steps of 20 (BIP-44), so this is far beyond what people have.
const OWNERS_COMPARED: u32 = 100;

/// The public side of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its index under its parent, or [`Vault::IMPORTED`] and the number of an imported key.
    pub index: u32,
    /// Its full path, `imported/0` for an imported key.
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
    path: PathBuf,
    /// As it stands on the disk: unlocking again does not depend on reading it.
    keystore: RwLock<Arc<Keystore>>,
    /// Held by whoever opens the keystore to change it or to unlock, from the passphrase to the end.
    changing: Mutex<()>,
    secrets: RwLock<Secrets>,
    /// False once the system has refused to lock a page.
    memory_locked: AtomicBool,
}

/// The keys in memory.
enum Secrets {
    Open {
        /// The root key and its chain code.
        root: Locked,
        /// The imported keys, in the keystore's order.
        imported: Locked,
    },
    SeedLocked {
        kept: Kept,
    },
}

/// Subtrees that are open while the seed is locked.
struct Kept {
    paths: Vec<SubtreePath>,
    /// For each path its root key and chain code.
    keys: Locked,
}

impl Kept {
    fn find(&self, root: &SubtreePath) -> Option<usize> {
        self.paths.iter().position(|path| path == root)
    }
}

impl Secrets {
    fn owners(&self) -> Result<(&Locked, &Locked), VaultError> {
        match self {
            Self::Open { root, imported } => Ok((root, imported)),
            Self::SeedLocked { .. } => Err(VaultError::Locked),
        }
    }

    /// The root of a subtree, from the seed or as it was kept.
    fn subtree(&self, path: &SubtreePath) -> Result<XPriv, VaultError> {
        match self {
            Self::Open { root, .. } => keys::descend(&keys::load(root, 0)?, path.child_numbers()),
            Self::SeedLocked { kept } => keys::load(&kept.keys, EXTENDED * kept.find(path).ok_or(VaultError::Locked)?),
        }
    }

    fn holds(&self) -> bool {
        match self {
            Self::Open { root, imported } => root.holds() && imported.holds(),
            Self::SeedLocked { kept } => kept.keys.holds(),
        }
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("locked", &self.is_locked()).finish_non_exhaustive()
    }
}

fn plain(index: u32) -> Result<u32, VaultError> {
    if index < HARDENED { Ok(index) } else { Err(VaultError::Index { index }) }
}

fn owner_path(index: u32) -> String {
    format!("m/44'/60'/0'/0/{index}")
}

/// The root key, in locked memory.
fn root_of(opened: &Opened) -> Result<Locked, VaultError> {
    let mut root = Locked::new(EXTENDED);
    keys::keep(&Words::from_entropy(opened.entropy())?.root()?, &mut root, 0);
    Ok(root)
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
        let open = keystore.open(passphrase)?;
        let root = root_of(&open)?;
        let holds = root.holds() && open.imported.holds() && open.database_key.holds();
        let inner = Inner {
            path: path.to_owned(),
            keystore: RwLock::new(Arc::new(keystore)),
            changing: Mutex::new(()),
            secrets: RwLock::new(Secrets::Open { root, imported: open.imported }),
            memory_locked: AtomicBool::new(holds),
        };
        Ok((Self { inner: Arc::new(inner) }, open.database_key))
    }

    fn keystore(&self) -> Arc<Keystore> {
        self.inner.keystore.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn secrets(&self) -> RwLockReadGuard<'_, Secrets> {
        self.inner.secrets.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn secrets_mut(&self) -> RwLockWriteGuard<'_, Secrets> {
        self.inner.secrets.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.inner.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts other keys in place; the old ones are wiped.
    fn set(&self, place: &mut Secrets, secrets: Secrets) {
        self.inner.memory_locked.fetch_and(secrets.holds(), Ordering::Relaxed);
        *place = secrets;
    }

    /// True while every secret that this vault has held lay in memory that the system does not write to a swap file.
    /// False where the system's limit on locked memory (`ulimit -l`) was too small for it.
    #[must_use]
    pub fn memory_locked(&self) -> bool {
        self.inner.memory_locked.load(Ordering::Relaxed)
    }

    /// Checks a passphrase, locked or not, and changes nothing. As slow as [`open`](Self::open).
    ///
    /// # Errors
    /// [`WrongPassphrase`](VaultError::WrongPassphrase).
    pub fn verify_passphrase(&self, passphrase: &SecretString) -> Result<(), VaultError> {
        self.keystore().master(passphrase).map(|_| ())
    }

    /// Forgets the seed and every key below it until [`unlock`](Self::unlock).
    pub fn lock(&self) {
        self.set(
            &mut self.secrets_mut(),
            Secrets::SeedLocked { kept: Kept { paths: Vec::new(), keys: Locked::new(0) } },
        );
    }

    /// Forgets the seed, the imported keys and every subtree but those of `keep`. These go on deriving and signing:
    /// [`subtree_account`](Self::subtree_account), [`sign_with_subtree`](Self::sign_with_subtree) and
    /// [`sign_subtree_transaction`](Self::sign_subtree_transaction). What else a locked wallet may do with them is for
    /// the caller to decide.
    ///
    /// # Errors
    /// [`Locked`](VaultError::Locked) when the seed was locked already and a path of `keep` was not open. The seed is
    /// locked in every case, and the others of `keep` stay open.
    pub fn lock_seed(&self, keep: &[SubtreePath]) -> Result<(), VaultError> {
        let mut secrets = self.secrets_mut();
        let mut wanted = keep.to_vec();
        wanted.sort();
        wanted.dedup();
        let mut outcome = Ok(());
        let mut paths = Vec::with_capacity(wanted.len());
        let mut keys = Locked::new(EXTENDED * wanted.len());
        for path in wanted {
            match secrets.subtree(&path) {
                Ok(key) => {
                    keys::keep(&key, &mut keys, EXTENDED * paths.len());
                    paths.push(path);
                }
                Err(error) => outcome = Err(error),
            }
        }
        self.set(&mut secrets, Secrets::SeedLocked { kept: Kept { paths, keys } });
        outcome
    }

    /// Opens the seed again. As slow as [`open`](Self::open).
    ///
    /// # Errors
    /// [`WrongPassphrase`](VaultError::WrongPassphrase); the vault stays as it was.
    pub fn unlock(&self, passphrase: &SecretString) -> Result<(), VaultError> {
        let _changing = self.changing();
        let open = self.keystore().open(passphrase)?;
        let root = root_of(&open)?;
        self.set(&mut self.secrets_mut(), Secrets::Open { root, imported: open.imported });
        Ok(())
    }

    /// True while there is no seed in memory.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        matches!(*self.secrets(), Secrets::SeedLocked { .. })
    }

    /// True when accounts of this subtree can sign now: the seed is open, or this subtree was kept by
    /// [`lock_seed`](Self::lock_seed).
    #[must_use]
    pub fn subtree_is_open(&self, root: &SubtreePath) -> bool {
        match &*self.secrets() {
            Secrets::Open { .. } => true,
            Secrets::SeedLocked { kept } => kept.find(root).is_some(),
        }
    }

    /// Another passphrase, and another cost of guessing it, for the same keystore. Only the master key is sealed anew:
    /// the seed, the database's key and the imported keys stay sealed as they are. After a crash the old passphrase or
    /// the new one is right, never both and never none. Works locked or not, and changes neither. As slow as opening
    /// twice.
    ///
    /// A copy of the old file still opens with the old passphrase.
    ///
    /// # Errors
    /// [`WrongPassphrase`](VaultError::WrongPassphrase), [`EmptyPassphrase`](VaultError::EmptyPassphrase),
    /// [`Cost`](VaultError::Cost), [`Changed`](VaultError::Changed), [`File`](VaultError::File).
    pub fn change_passphrase(&self, old: &SecretString, new: &SecretString, cost: KdfCost) -> Result<(), VaultError> {
        let _changing = self.changing();
        let before = self.keystore();
        let master = before.master(old)?;
        let after = before.with_passphrase(&master, new, cost)?;
        self.replace(&before, after)
    }

    /// Writes a changed keystore, then uses it.
    fn replace(&self, before: &Keystore, after: Keystore) -> Result<(), VaultError> {
        let outcome = after.replace(before, &self.inner.path);
        // An error after the file was put in place (its directory could not be flushed) leaves the new one there.
        if outcome.is_ok() || after.is_at(&self.inner.path) {
            *self.inner.keystore.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(after);
        }
        outcome
    }

    /// Index of the first imported account; the `n`-th has this index plus `n`. [`owner`](Self::owner) and the owner's
    /// signatures take these indices too.
    pub const IMPORTED: u32 = 1 << 31;

    /// Takes in a single private key: 0x and 64 hex digits. It is sealed in the keystore and is an owner account from
    /// then on. The words of the wallet do not restore it. As slow as [`open`](Self::open).
    ///
    /// # Errors
    /// [`PrivateKey`](VaultError::PrivateKey), [`Duplicate`](VaultError::Duplicate) (compared with the imported keys
    /// and the first 100 owner accounts), [`TooManyImported`](VaultError::TooManyImported), [`Locked`](VaultError::Locked),
    /// [`WrongPassphrase`](VaultError::WrongPassphrase), [`Changed`](VaultError::Changed), [`File`](VaultError::File).
    pub fn import_key(&self, private_key: &SecretString, passphrase: &SecretString) -> Result<Account, VaultError> {
        let key = keys::read_private_key(private_key)?;
        let _changing = self.changing();
        if self.is_locked() {
            return Err(VaultError::Locked);
        }
        let before = self.keystore();
        let master = before.master(passphrase)?;
        let imported = before.imported()?;
        let signing = keys::signing_key(key.get(0))?;
        let account = keys::imported_account(signing.verifying_key(), imported.len());
        self.refuse_duplicate(&account, &imported)?;
        let after = before.with_imported(passphrase, &master, &key)?;
        // All keys again, with the new one, as the next unlock will find them.
        let open = after.open_with(&master)?;
        self.replace(&before, after)?;
        let mut secrets = self.secrets_mut();
        // Locked in the meantime: it stays locked.
        if let Secrets::Open { imported, .. } = &mut *secrets {
            self.inner.memory_locked.fetch_and(open.imported.holds(), Ordering::Relaxed);
            *imported = open.imported;
        }
        Ok(account)
    }

    fn refuse_duplicate(&self, account: &Account, imported: &[Account]) -> Result<(), VaultError> {
        let refuse = |found: &Account| Err(VaultError::Duplicate { address: found.address, path: found.path.clone() });
        if let Some(found) = imported.iter().find(|found| found.address == account.address) {
            return refuse(found);
        }
        let parent = keys::descend(&keys::load(self.secrets().owners()?.0, 0)?, OWNERS)?;
        for index in 0..OWNERS_COMPARED {
            let key = keys::descend(&parent, [index])?;
            let owner = keys::account(key.as_ref(), index, owner_path(index));
            if owner.address == account.address {
                return refuse(&owner);
            }
        }
        Ok(())
    }

    /// The imported accounts, locked or not.
    #[must_use]
    pub fn imported(&self) -> Vec<Account> {
        // The file was checked when it was read.
        self.keystore().imported().unwrap_or_default()
    }

    /// The private key of an owner account, derived or imported: 0x and 64 hex digits. Asks for the passphrase each
    /// time. As slow as [`open`](Self::open).
    ///
    /// # Errors
    /// [`WrongPassphrase`](VaultError::WrongPassphrase), [`Locked`](VaultError::Locked), [`Index`](VaultError::Index),
    /// [`NotImported`](VaultError::NotImported).
    pub fn export_owner_key(&self, index: u32, passphrase: &SecretString) -> Result<SecretString, VaultError> {
        self.verify_passphrase(passphrase)?;
        keys::write_private_key(&self.owner_key(index)?)
    }

    /// The private key of an account of a solution (`exportPrivateKey`): 0x and 64 hex digits.
    ///
    /// # Errors
    /// [`Locked`](VaultError::Locked) while the seed is, even where the subtree was kept; [`Index`](VaultError::Index).
    pub fn export_subtree_key(&self, root: &SubtreePath, index: u32) -> Result<SecretString, VaultError> {
        let index = plain(index)?;
        let key = keys::descend(&self.subtree_of_open_seed(root)?, [index])?;
        keys::write_private_key(key.as_ref())
    }

    /// 32 bytes for a solution (`getSecret`), the same for the same label, different from every key and from every
    /// other label and solution: HMAC-SHA-512 under the subtree's root key and chain code.
    ///
    /// # Errors
    /// [`Locked`](VaultError::Locked) while the seed is, even where the subtree was kept.
    pub fn subtree_secret(&self, root: &SubtreePath, label: &str) -> Result<SecretBytes32, VaultError> {
        keys::subtree_secret(&self.subtree_of_open_seed(root)?, label)
    }

    fn subtree_of_open_seed(&self, root: &SubtreePath) -> Result<XPriv, VaultError> {
        let secrets = self.secrets();
        secrets.owners()?;
        secrets.subtree(root)
    }

    fn owner_key(&self, index: u32) -> Result<SigningKey, VaultError> {
        let secrets = self.secrets();
        let (root, imported) = secrets.owners()?;
        if index < Self::IMPORTED {
            let key = keys::descend(&keys::load(root, 0)?, OWNERS.into_iter().chain([index]))?;
            let key: &SigningKey = key.as_ref();
            return Ok(key.clone());
        }
        let number = index - Self::IMPORTED;
        match usize::try_from(number) {
            Ok(place) if place < imported.len() => keys::signing_key(imported.get(place)),
            _ => Err(VaultError::NotImported { number }),
        }
    }

    fn subtree_key(&self, root: &SubtreePath, index: u32) -> Result<XPriv, VaultError> {
        let index = plain(index)?;
        keys::descend(&self.secrets().subtree(root)?, [index])
    }

    fn owner_account(key: &SigningKey, index: u32) -> Account {
        match index.checked_sub(Self::IMPORTED) {
            // A number above what a machine can count has no key.
            Some(number) => keys::imported_account(key.verifying_key(), usize::try_from(number).unwrap_or(usize::MAX)),
            None => keys::account(key, index, owner_path(index)),
        }
    }

    /// The owner account `m/44'/60'/0'/0/index`, or an [imported](Self::IMPORTED) one.
    ///
    /// # Errors
    /// [`Locked`](VaultError::Locked), [`NotImported`](VaultError::NotImported).
    pub fn owner(&self, index: u32) -> Result<Account, VaultError> {
        Ok(Self::owner_account(&self.owner_key(index)?, index))
    }

    /// The account `index` (a non-hardened child) of a solution.
    ///
    /// # Errors
    /// [`Locked`](VaultError::Locked), [`Index`](VaultError::Index).
    pub fn subtree_account(&self, root: &SubtreePath, index: u32) -> Result<Account, VaultError> {
        let key = self.subtree_key(root, index)?;
        Ok(keys::account(key.as_ref(), index, format!("{root}/{index}")))
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
    /// [`FeeAboveCeiling`](VaultError::FeeAboveCeiling), [`Locked`](VaultError::Locked),
    /// [`NotImported`](VaultError::NotImported).
    pub fn sign_transaction(
        &self,
        owner: u32,
        tx: &TxEip1559,
        approved: &Approved,
    ) -> Result<SignedTransaction, VaultError> {
        signing::sign_approved_transaction(&self.owner_key(owner)?, tx, approved)
    }

    /// Signs a transaction of an account of a solution, if it is the approved one: the same comparison, field by field,
    /// as for an owner. Works while the seed is locked where the subtree was kept.
    ///
    /// # Errors
    /// [`DiffersFromIntent`](VaultError::DiffersFromIntent) naming the first field that differs,
    /// [`FeeAboveCeiling`](VaultError::FeeAboveCeiling), [`Locked`](VaultError::Locked), [`Index`](VaultError::Index).
    pub fn sign_subtree_transaction(
        &self,
        root: &SubtreePath,
        index: u32,
        tx: &TxEip1559,
        approved: &Approved,
    ) -> Result<SignedTransaction, VaultError> {
        signing::sign_approved_transaction(self.subtree_key(root, index)?.as_ref(), tx, approved)
    }

    /// Signs the approved message (EIP-191) or typed data (EIP-712) of an owner: `r ‖ s ‖ v`, v 27 or 28, low s.
    ///
    /// # Errors
    /// [`DiffersFromIntent`](VaultError::DiffersFromIntent) when a transaction or another account was approved,
    /// [`TypedData`](VaultError::TypedData), [`Locked`](VaultError::Locked), [`NotImported`](VaultError::NotImported).
    pub fn sign_message(&self, owner: u32, approved: &Approved) -> Result<[u8; 65], VaultError> {
        let key = self.owner_key(owner)?;
        let from = keys::account(&key, owner, String::new()).address;
        signing::sign_hash(&key, &signing::approved_hash(from, approved)?)
    }
}
