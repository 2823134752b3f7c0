//! What callers see of layer 1: the accounts each was granted, and the network it looks at.

use entresol_durable::write_point;
use rusqlite::{OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::approvals::{self, ApprovalState};
use crate::database::{Store, begin};
use crate::{StoreError, row};

/// One caller's view of layer 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerConnection {
    /// The caller in the host's canonical text, such as `app:shop`.
    pub caller: String,
    /// Owner indices that it sees; empty: none, it is not connected.
    pub accounts: Vec<u32>,
    /// Name of the network it looks at; the wallet's first when absent.
    pub network: Option<String>,
    /// Unix milliseconds.
    pub changed_at: u64,
}

fn read(r: &Row<'_>) -> rusqlite::Result<CallerConnection> {
    Ok(CallerConnection {
        caller: r.get("caller")?,
        accounts: row::json(r, "accounts")?,
        network: r.get("network")?,
        changed_at: r.get("changed_at")?,
    })
}

impl Store {
    /// Sets what a caller sees, in place of what it saw before, and ends `approval` (state `done`, the given outcome) in
    /// the same transaction.
    ///
    /// # Errors
    /// [`NotApproved`](StoreError::NotApproved) when the approval is in any other state, [`NotFound`](StoreError::NotFound)
    /// for the approval. Nothing has changed then.
    pub fn put_connection(
        &self,
        connection: &CallerConnection,
        approval: Option<(u64, &Value)>,
    ) -> Result<(), StoreError> {
        let mut database = self.connection();
        let tx = begin(&mut database)?;
        tx.execute(
            "INSERT INTO connections (caller, accounts, network, changed_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (caller) DO UPDATE SET accounts = ?2, network = ?3, changed_at = ?4",
            (&connection.caller, row::to_json(&connection.accounts)?, &connection.network, connection.changed_at),
        )?;
        if let Some((approval, outcome)) = approval {
            approvals::finish(&tx, approval, ApprovalState::Done, outcome, None)?;
        }
        write_point!("store.connection.put", tx.commit())?;
        Ok(())
    }

    /// What `caller` sees, if it was ever connected.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn caller_connection(&self, caller: &str) -> Result<Option<CallerConnection>, StoreError> {
        let database = self.reader();
        let mut statement = database.prepare_cached("SELECT * FROM connections WHERE caller = ?1")?;
        Ok(statement.query_row([caller], read).optional()?)
    }

    /// What every caller sees, by caller.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn caller_connections(&self) -> Result<Vec<CallerConnection>, StoreError> {
        let database = self.reader();
        let mut statement = database.prepare_cached("SELECT * FROM connections ORDER BY caller")?;
        Ok(statement.query_map([], read)?.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests;
