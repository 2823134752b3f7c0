//! What can go wrong, and what to do about it.

use std::path::PathBuf;

use crate::{ApprovalState, SolutionId};

/// An error of the store. Nothing was changed when one is returned.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The key does not fit the file, or the file is damaged or no database.
    #[error("{path} cannot be opened with this key: it belongs to another keystore, or the file is damaged; put the database and the keystore of the same wallet together, or restore a backup with `entresol restore`", path = path.display())]
    WrongKey {
        /// The database.
        path: PathBuf,
    },
    /// Another process has the database open.
    #[error("{path} is in use by another process; stop the other daemon (`entresol status` finds it) and try again", path = path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The database was written by a newer version of the program.
    #[error("the database has version {found}, this program knows versions up to {known}; use a newer entresol")]
    NewerSchema {
        /// Version found in the file.
        found: u32,
        /// Newest version known here.
        known: u32,
    },
    /// The program was linked with an SQLite that cannot encrypt.
    #[error("this build has no database encryption (SQLCipher); build with the workspace's own rusqlite features")]
    NotEncrypted,
    /// The database file could not be created or protected.
    #[error("{path} cannot be created or made private; check the directory and its permissions", path = path.display())]
    File {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Pages of the file are not what was written.
    #[error(
        "the database is damaged ({finding}); stop the daemon and restore the wallet from a backup (`entresol restore`)"
    )]
    Damaged {
        /// What SQLite found.
        finding: String,
    },
    /// No space is left.
    #[error("the disk is full; nothing was changed, make room and try again")]
    DiskFull,
    /// The operating system refuses to read or write the file, for another reason than a full disk.
    #[error(
        "the disk does not take or give the database; nothing was changed, check its health, quotas and file size limits, make room and try again"
    )]
    Disk(#[source] rusqlite::Error),
    /// The thread that was to carry out the write panicked.
    #[error("the write was given up because of a fault in this program; nothing was changed, try again")]
    Abandoned,
    /// Any other error of the database.
    #[error("the database reports an error")]
    Database(#[source] rusqlite::Error),
    /// No such record.
    #[error("there is no {what} {id}")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Its id or name.
        id: String,
    },
    /// The short name is that of another solution.
    #[error("a solution is named {name:?} already; choose another name")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The name, or the key or secret, is that of another peer.
    #[error("there is a {what} named {name:?} already, or one with the same key; choose another name")]
    PeerTaken {
        /// Browser profile, or local app.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Another solution uses exactly this derivation path.
    #[error("the derivation path {key_path} belongs to another solution; choose another path")]
    KeyPathTaken {
        /// The path.
        key_path: String,
    },
    /// The solution has another package than the update starts from, or was removed.
    #[error(
        "solution {id} was changed or removed meanwhile; nothing was changed, look at it and propose the update again"
    )]
    SolutionChanged {
        /// The solution.
        id: SolutionId,
    },
    /// An approval can be decided only while it is pending.
    #[error("approval {id} is {state}, not pending; nothing was decided")]
    NotPending {
        /// The approval.
        id: u64,
        /// Its state.
        state: ApprovalState,
    },
    /// An effect needs an approval that was approved and not yet used.
    #[error("approval {id} is {state}, not approved; nothing was done")]
    NotApproved {
        /// The approval.
        id: u64,
        /// Its state.
        state: ApprovalState,
    },
    /// The decision names another intent than the one that is stored.
    #[error("approval {id} stands for another intent than the one decided on; look at it again and decide anew")]
    DigestMismatch {
        /// The approval.
        id: u64,
    },
    /// The approval's time is over.
    #[error("approval {id} has expired; ask again")]
    ApprovalExpired {
        /// The approval.
        id: u64,
    },
    /// The approval has its transaction already.
    #[error("approval {approval_id} has been used for transaction {hash}")]
    ApprovalUsed {
        /// The approval.
        approval_id: u64,
        /// The transaction that used it.
        hash: String,
    },
    /// Another live transaction of this sender has the nonce.
    #[error("nonce {nonce} of {from} on chain {chain_id} is taken by another transaction")]
    NonceTaken {
        /// Chain.
        chain_id: u64,
        /// Sender.
        from: String,
        /// Nonce.
        nonce: u64,
    },
    /// A plugin's database would grow over its quota.
    #[error("the database of this solution would hold {used} bytes, its quota is {quota}; delete something first")]
    QuotaExceeded {
        /// Bytes of keys and values that the write would have led to.
        used: u64,
        /// Bytes allowed.
        quota: u64,
    },
    /// A batch expected another value.
    #[error("the value of {key:?} is not the expected one; nothing of the batch was written, read again and retry")]
    ExpectationFailed {
        /// The key.
        key: String,
    },
    /// A policy that was revoked never holds again.
    #[error("policy {id} is revoked, which is final; make a new policy")]
    PolicyRevoked {
        /// The policy.
        id: u64,
    },
    /// The policy is paused, revoked or expired.
    #[error("policy {id} does not hold any more; ask the user, or make a new policy")]
    PolicyInactive {
        /// The policy.
        id: u64,
    },
    /// The check of a reservation refused it.
    #[error("no policy covers this: {reason}")]
    PolicyRefused {
        /// Why, in the words of the check.
        reason: String,
    },
    /// What was reserved for this subject was given back.
    #[error("what was reserved for {subject:?} was given back; use a fresh subject for each effect")]
    ReservationReleased {
        /// The subject.
        subject: String,
    },
    /// An amount is no decimal number of at most 78 digits.
    #[error("{amount:?} is not an amount: decimal digits, at most 78")]
    BadAmount {
        /// What was given.
        amount: String,
    },
    /// A replacement must take the place of an open transaction: same chain, sender and nonce.
    #[error("transaction {new} cannot take the place of {old}: {reason}")]
    NotAReplacement {
        /// The transaction to be replaced.
        old: String,
        /// The replacement.
        new: String,
        /// Why.
        reason: &'static str,
    },
    /// A caller used one idempotency id for two different calls.
    #[error("call id {call_id:?} was used for another call; use a fresh id for each call")]
    CallIdReused {
        /// The id.
        call_id: String,
    },
    /// All account indices of a solution are handed out.
    #[error("solution {solution} has no account index left below 2^31")]
    AccountsExhausted {
        /// The solution.
        solution: SolutionId,
    },
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::DiskFull,
            Some(rusqlite::ErrorCode::SystemIoFailure) => Self::Disk(error),
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                Self::Damaged { finding: error.to_string() }
            }
            _ => Self::Database(error),
        }
    }
}
