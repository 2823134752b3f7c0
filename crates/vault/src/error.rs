//! What can go wrong, and what to do about it. No text here ever contains a secret, not even a wrong word of a phrase.

use std::path::PathBuf;

use alloy::primitives::Address;

use crate::PathError;

/// An error of the vault.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// A keystore is there already.
    #[error("{path} exists already; a wallet is never overwritten, move the file away first or use another home", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// There is no keystore.
    #[error("there is no keystore at {path}; create or restore a wallet with `entresol init`", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The keystore could not be read or written.
    #[error("the keystore {path} cannot be read or written; check the directory and its permissions", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The keystore is not as it was written.
    #[error("the keystore is damaged ({reason}); restore the file from a backup, or the wallet from its words")]
    Damaged {
        /// What does not fit.
        reason: &'static str,
    },
    /// The keystore was written by a newer version of the program.
    #[error("the keystore has version {found}, this program knows version {known}; use a newer entresol")]
    NewerVersion {
        /// Version found in the file.
        found: u64,
        /// Newest version known here.
        known: u64,
    },
    /// The keystore on the disk is not the one that was opened.
    #[error(
        "the keystore {path} was changed by another program since the wallet was opened; nothing was written, restart the daemon", path = path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The passphrase does not open the keystore.
    #[error("wrong passphrase; try again, or restore the wallet from its words")]
    WrongPassphrase,
    /// A keystore must have a passphrase.
    #[error("the passphrase is empty; choose one, it protects the keys on this disk")]
    EmptyPassphrase,
    /// The cost of the key derivation is out of bounds.
    #[error("the key derivation cost is out of bounds ({reason}); the default is 65536 KiB, 3 passes, 1 lane")]
    Cost {
        /// Which bound.
        reason: &'static str,
    },
    /// A phrase has a wrong number of words.
    #[error("the phrase has {found} words; it must have 12, 15, 18, 21 or 24")]
    WordCount {
        /// Words found.
        found: usize,
    },
    /// A word is not in the English BIP-39 list.
    #[error("word {position} of the phrase is not in the BIP-39 word list; check its spelling")]
    UnknownWord {
        /// Position, counted from 1.
        position: usize,
    },
    /// All words are known, but they do not belong together.
    #[error(
        "every word of the phrase is known, but its checksum is wrong: a word is mistaken for another, or two have changed places; compare all of them with your copy"
    )]
    Checksum,
    /// The seed is locked.
    #[error("the wallet is locked; unlock it with `entresol unlock`")]
    Locked,
    /// A path that a solution may not have.
    #[error("the derivation path is refused")]
    Path(#[from] PathError),
    /// An account index of 2³¹ or more.
    #[error("account index {index} is out of range; it must be below 2147483648")]
    Index {
        /// The index.
        index: u32,
    },
    /// No key with this index was imported.
    #[error("there is no imported account {number}; list the accounts, or import its key first")]
    NotImported {
        /// Its number among the imported ones, counted from 0.
        number: u32,
    },
    /// What is to be imported is not a private key.
    #[error("the private key is refused: {reason}; it is written as 0x and 64 hex digits")]
    PrivateKey {
        /// Why.
        reason: &'static str,
    },
    /// The key to be imported is here already.
    #[error("the key of {address} is in this wallet already, as {path}; use that account")]
    Duplicate {
        /// Its address.
        address: Address,
        /// The account that has it.
        path: String,
    },
    /// No more keys can be imported.
    #[error("{most} keys are imported already, which is the most a keystore takes; use an account of the seed")]
    TooManyImported {
        /// The limit.
        most: usize,
    },
    /// The file is not a backup.
    #[error("this is not a backup of Entresol; choose the file that `entresol backup` wrote")]
    NotABackup,
    /// The backup is not as it was written.
    #[error("the backup is damaged: {reason}; nothing of it can be used, take another copy")]
    BackupDamaged {
        /// What does not fit.
        reason: &'static str,
    },
    /// The backup was written by a newer version of the program.
    #[error("the backup has version {found}, this program knows version {known}; use a newer entresol")]
    NewerBackup {
        /// Version found in the file.
        found: u32,
        /// Newest version known here.
        known: u32,
    },
    /// The backup could not be read or written.
    #[error("the backup cannot be read or written; check the file, its directory and the free space")]
    BackupFile {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The digest that was approved is not the intent's.
    #[error("approval {approval_id} was given for another intent; ask again")]
    NotTheApprovedIntent {
        /// The approval.
        approval_id: u64,
    },
    /// What is to be signed is not what was approved.
    #[error("approval {approval_id} does not cover this: {field} differs from what was approved; nothing was signed")]
    DiffersFromIntent {
        /// The approval.
        approval_id: u64,
        /// Which field.
        field: &'static str,
    },
    /// The fee could exceed what was approved.
    #[error(
        "approval {approval_id} covers a total fee of {ceiling} wei, this transaction may cost {fee}; nothing was signed, ask again with a higher ceiling"
    )]
    FeeAboveCeiling {
        /// The approval.
        approval_id: u64,
        /// Gas limit times fee per gas, wei.
        fee: String,
        /// Wei approved.
        ceiling: String,
    },
    /// Typed data that cannot be hashed.
    #[error("the typed data is not valid EIP-712: {reason}")]
    TypedData {
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gives no random numbers; nothing was created")]
    Randomness,
    /// The key derivation or a signature failed for a reason that cannot occur with valid keys.
    #[error("a cryptographic operation failed ({what}); nothing was signed")]
    Crypto {
        /// Which operation.
        what: &'static str,
    },
}
