//! Each solution's own key-value database: isolated by the solution id the host passes, bounded by a quota.
//!
//! Reads have a connection of their own and never wait for a flush. Writes: see [`group`](crate::group).

use entresol_durable::write_point;
use rusqlite::{Connection, OptionalExtension};

use crate::database::{Store, begin};
use crate::{SolutionId, StoreError};

/// One key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvEntry {
    /// The key.
    pub key: String,
    /// The value, opaque bytes.
    pub value: Vec<u8>,
}

/// One operation of a batch; they are carried out in order, all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KvOp {
    /// Go on only if `key` has this value now (`None`: is absent).
    Expect {
        /// The key.
        key: String,
        /// What it must hold.
        value: Option<Vec<u8>>,
    },
    /// Set `key`.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: Vec<u8>,
    },
    /// Delete `key`, if it is there.
    Delete {
        /// The key.
        key: String,
    },
}

fn get(connection: &Connection, solution: SolutionId, key: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut statement = connection.prepare_cached("SELECT value FROM kv WHERE solution = ?1 AND key = ?2")?;
    statement.query_row((solution, key), |row| row.get(0)).optional()
}

fn used(connection: &Connection, solution: SolutionId) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached("SELECT bytes FROM kv_usage WHERE solution = ?1")?;
    Ok(statement.query_row([solution], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Bytes that an entry counts towards the quota.
fn size(key: &str, value_bytes: usize) -> u64 {
    (key.len() + value_bytes) as u64
}

/// Removes an entry and says how many bytes that gave back.
fn remove(tx: &Connection, solution: SolutionId, key: &str) -> rusqlite::Result<u64> {
    let length: Option<usize> = tx
        .prepare_cached("DELETE FROM kv WHERE solution = ?1 AND key = ?2 RETURNING length(value)")?
        .query_row((solution, key), |row| row.get(0))
        .optional()?;
    Ok(length.map_or(0, |length| size(key, length)))
}

fn apply(tx: &Connection, solution: SolutionId, op: &KvOp) -> Result<(u64, u64), StoreError> {
    match op {
        KvOp::Expect { key, value } => {
            if get(tx, solution, key)? == *value {
                Ok((0, 0))
            } else {
                Err(StoreError::ExpectationFailed { key: key.clone() })
            }
        }
        KvOp::Put { key, value } => {
            let length: Option<usize> = tx
                .prepare_cached("SELECT length(value) FROM kv WHERE solution = ?1 AND key = ?2")?
                .query_row((solution, key), |row| row.get(0))
                .optional()?;
            let freed = length.map_or(0, |length| size(key, length));
            // In place, so that replacing a value changes one page.
            tx.prepare_cached(
                "INSERT INTO kv (solution, key, value) VALUES (?1, ?2, ?3)
                 ON CONFLICT (solution, key) DO UPDATE SET value = excluded.value",
            )?
            .execute((solution, key, value))?;
            Ok((size(key, value.len()), freed))
        }
        KvOp::Delete { key } => Ok((0, remove(tx, solution, key)?)),
    }
}

/// Carries out a batch inside a transaction or savepoint, which the caller rolls back on an error.
pub(crate) fn batch(tx: &Connection, solution: SolutionId, ops: &[KvOp], quota: u64) -> Result<(), StoreError> {
    let before = used(tx, solution)?;
    let (mut added, mut freed) = (0, 0);
    for op in ops {
        let (plus, minus) = apply(tx, solution, op)?;
        added += plus;
        freed += minus;
    }
    let after = (before + added).saturating_sub(freed);
    if after > quota && after > before {
        return Err(StoreError::QuotaExceeded { used: after, quota });
    }
    if after != before {
        tx.prepare_cached("INSERT OR REPLACE INTO kv_usage (solution, bytes) VALUES (?1, ?2)")?
            .execute((solution, after))?;
    }
    Ok(())
}

impl Store {
    /// The value of `key`.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn kv_get(&self, solution: SolutionId, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(get(&self.reader(), solution, key)?)
    }

    /// Sets `key`. `quota` bounds the bytes of all keys and values of the solution.
    ///
    /// # Errors
    /// [`QuotaExceeded`](StoreError::QuotaExceeded).
    pub fn kv_put(&self, solution: SolutionId, key: &str, value: &[u8], quota: u64) -> Result<(), StoreError> {
        self.kv_batch(solution, &[KvOp::Put { key: key.to_owned(), value: value.to_vec() }], quota)
    }

    /// Deletes `key`; no error when it is not there.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn kv_delete(&self, solution: SolutionId, key: &str) -> Result<(), StoreError> {
        self.kv_batch(solution, &[KvOp::Delete { key: key.to_owned() }], u64::MAX)
    }

    /// Carries out a batch in order, all or none. Batches that come at the same time from several threads share one
    /// flush of the disk. A solution that is over its quota (after the
    /// quota was lowered) can still write what makes it smaller.
    ///
    /// # Errors
    /// [`QuotaExceeded`](StoreError::QuotaExceeded), [`ExpectationFailed`](StoreError::ExpectationFailed).
    pub fn kv_batch(&self, solution: SolutionId, ops: &[KvOp], quota: u64) -> Result<(), StoreError> {
        self.write_in_group(solution, ops.to_vec(), quota)
    }

    /// Keys with this prefix, in byte order.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn kv_keys(&self, solution: SolutionId, prefix: &str) -> Result<Vec<String>, StoreError> {
        let connection = self.reader();
        let mut statement = connection.prepare_cached(
            "SELECT key FROM kv WHERE solution = ?1 AND key >= ?2 AND substr(key, 1, length(?2)) = ?2 ORDER BY key",
        )?;
        Ok(statement.query_map((solution, prefix), |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    /// Entries whose key has this prefix, in byte order of the keys.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn kv_list(&self, solution: SolutionId, prefix: &str) -> Result<Vec<KvEntry>, StoreError> {
        let connection = self.reader();
        let mut statement = connection.prepare_cached(
            "SELECT key, value FROM kv
             WHERE solution = ?1 AND key >= ?2 AND substr(key, 1, length(?2)) = ?2 ORDER BY key",
        )?;
        let rows = statement
            .query_map((solution, prefix), |row| Ok(KvEntry { key: row.get("key")?, value: row.get("value")? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Bytes of keys and values that the solution holds.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn kv_used(&self, solution: SolutionId) -> Result<u64, StoreError> {
        Ok(used(&self.reader(), solution)?)
    }

    /// Deletes everything the solution holds.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn kv_delete_all(&self, solution: SolutionId) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        tx.execute("DELETE FROM kv WHERE solution = ?1", [solution])?;
        tx.execute("DELETE FROM kv_usage WHERE solution = ?1", [solution])?;
        write_point!("store.kv.write", tx.commit())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
