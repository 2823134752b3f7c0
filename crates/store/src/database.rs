//! Opening the file, and the two connections: one that writes and one that reads, each behind a lock.
//!
//! In write-ahead-log mode a reader sees what was committed when it began and waits for nobody. Two connections need
//! SQLite's shared memory, so other processes are kept out by a lock file of our own, not by SQLite's exclusive mode.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use zeroize::Zeroizing;

use crate::group::Queue;
use crate::{SolutionId, StoreError, schema};

/// How long the lock of a process that has just been killed is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Cheap calls counted since the last flush, by solution and name.
pub(crate) type Counts = BTreeMap<(SolutionId, String), u64>;

/// The open database. Cheap to clone; all clones share one writing connection, so that writes follow one another.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    // In this order, in which fields are dropped: the connection that closes last writes the log back into the file, and
    // the reader may not.
    reader: Mutex<Connection>,
    connection: Mutex<Connection>,
    queue: Queue,
    counts: Mutex<Counts>,
    /// Held until the connections are closed.
    _lock: File,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the database at `path`, creates it (mode 0600) when it is not there, and brings its tables up to date.
    ///
    /// The file is locked for this process until the last clone is dropped; a lock of a process that has just been
    /// killed is waited for a few seconds.
    ///
    /// # Errors
    /// [`WrongKey`](StoreError::WrongKey) when `key` does not fit, [`InUse`](StoreError::InUse) when another process
    /// has it open, [`NewerSchema`](StoreError::NewerSchema) after a downgrade of the program.
    pub fn open(path: &Path, key: &[u8; 32]) -> Result<Self, StoreError> {
        let lock = lock(path)?;
        make_private(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        let mut connection = connect(path, key, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        schema::migrate(&mut connection)?;
        let reader = connect(path, key, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        tracing::debug!("database open");
        let inner = Inner {
            reader: Mutex::new(reader),
            connection: Mutex::new(connection),
            queue: Queue::default(),
            counts: Mutex::default(),
            _lock: lock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The connection that writes. A panic while it was held has rolled its transaction back, so the lock's poison says
    /// nothing.
    pub(crate) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.inner.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that reads what is committed. Never held together with the other one.
    pub(crate) fn reader(&self) -> MutexGuard<'_, Connection> {
        self.inner.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes that wait for a group commit.
    pub(crate) fn queue(&self) -> &Queue {
        &self.inner.queue
    }

    /// Counts that wait to be flushed. Taken after the connection, never before.
    pub(crate) fn counts(&self) -> MutexGuard<'_, Counts> {
        self.inner.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts a write. Dropped without commit, it is rolled back.
pub(crate) fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// Locks the file beside the database for this process; the kernel unlocks it when the process ends, however it ends.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push("-lock");
    let name = PathBuf::from(name);
    let file = private(&name).map_err(|source| StoreError::File { path: name.clone(), source })?;
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOCK_WAIT / 250),
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(StoreError::File { path: name, source }),
        }
    }
}

fn connect(path: &Path, key: &[u8; 32], mode: OpenFlags) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| explain(error, path))?;
    unlock(&connection, key)?;
    settle(&connection).map_err(|error| explain(error, path))?;
    Ok(connection)
}

/// SQLite gives the files beside the database the database's own mode, so it is enough to be first.
pub(crate) fn make_private(path: &Path) -> std::io::Result<()> {
    private(path).map(|_| ())
}

/// Opens a file, which is created when it is not there, for the owner alone.
#[allow(clippy::disallowed_methods, reason = "an empty file, as SQLite would create it: nothing to be torn or lost")]
fn private(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

#[allow(clippy::disallowed_methods, reason = "settings of the connection: nothing is written")]
fn unlock(connection: &Connection, key: &[u8; 32]) -> Result<(), StoreError> {
    // SQLCipher writes its complaint about a wrong key to the standard error of the process by itself; it is an error
    // value here.
    connection.execute_batch("PRAGMA cipher_log_level = NONE;")?;
    let version: Option<String> = {
        let mut statement = connection.prepare("PRAGMA cipher_version")?;
        let mut rows = statement.query([])?;
        rows.next()?.map(|row| row.get(0)).transpose()?
    };
    if version.is_none_or(|version| version.is_empty()) {
        return Err(StoreError::NotEncrypted);
    }
    // The raw-key form: 32 random bytes need no stretching. The text is wiped here; SQLite's own copy of the
    // statement lives until it is finalised.
    let mut pragma = Zeroizing::new(String::with_capacity(96));
    pragma.push_str("PRAGMA key = \"x'");
    pragma.push_str(&Zeroizing::new(hex::encode(key)));
    pragma.push_str("'\"");
    connection.execute_batch(&pragma)?;
    Ok(())
}

/// Settings of every connection. The first statement that reads the file is where a wrong key shows.
#[allow(clippy::disallowed_methods, reason = "settings of the connection: nothing is written")]
fn settle(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON;")?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.execute_batch("PRAGMA synchronous = FULL;")
}

fn explain(error: rusqlite::Error, path: &Path) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => StoreError::WrongKey { path: path.to_owned() },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::InUse { path: path.to_owned() },
        _ => error.into(),
    }
}
