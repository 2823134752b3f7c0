//! Settings of the wallet that are not worth a table.

use entresol_durable::write_point;
use rusqlite::OptionalExtension;

use crate::database::{Store, begin};
use crate::{StoreError, row};

impl Store {
    /// The setting `key`.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn meta(&self, key: &str) -> Result<Option<serde_json::Value>, StoreError> {
        let connection = self.reader();
        let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
        Ok(statement.query_row([key], |r| row::json(r, "value")).optional()?)
    }

    /// Sets `key`, replacing what was there.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn put_meta(&self, key: &str, value: &serde_json::Value) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        tx.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", (key, row::to_json(value)?))?;
        write_point!("store.meta.put", tx.commit())?;
        Ok(())
    }

    /// Sets `key` if it is `expect` now (`None`: not there), and says whether it did.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn put_meta_if(
        &self,
        key: &str,
        expect: Option<&serde_json::Value>,
        value: &serde_json::Value,
    ) -> Result<bool, StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        let found: Option<serde_json::Value> = tx
            .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
            .query_row([key], |r| row::json(r, "value"))
            .optional()?;
        if found.as_ref() != expect {
            return Ok(false);
        }
        tx.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", (key, row::to_json(value)?))?;
        write_point!("store.meta.put", tx.commit())?;
        Ok(true)
    }
}
