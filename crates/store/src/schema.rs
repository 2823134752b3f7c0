//! The tables, as a list of migrations. A migration that has been released is never edited; a new one is appended.

use entresol_durable::write_point;
use rusqlite::Connection;

use crate::{StoreError, database};

/// Migration `n` (from 1) leads from version `n - 1` to version `n`, kept in SQLite's `user_version`.
const MIGRATIONS: &[&str] =
    &[include_str!("schema/v1.sql"), include_str!("schema/v2.sql"), include_str!("schema/v3.sql")];

/// Brings the tables to the newest version, all in one transaction.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    run(connection, MIGRATIONS)
}

#[allow(clippy::disallowed_methods, reason = "inside the transaction that write_point! commits")]
fn run(connection: &mut Connection, migrations: &[&str]) -> Result<(), StoreError> {
    let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(StoreError::NewerSchema { found, known });
    }
    if found == known {
        return Ok(());
    }
    let tx = database::begin(connection)?;
    for migration in migrations.iter().skip(found as usize) {
        tx.execute_batch(migration)?;
    }
    tx.pragma_update(None, "user_version", known)?;
    write_point!("store.schema.migrate", tx.commit())?;
    Ok(())
}

#[cfg(test)]
mod tests;
