//! The state a plugin published, and how far it has read the chain's events.

use entresol_durable::write_point;
use rusqlite::OptionalExtension;
use serde_json::Value;

use crate::database::{Store, begin};
use crate::{SolutionId, StoreError, row};

impl Store {
    /// The last published state.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn layer2_state(&self, solution: SolutionId) -> Result<Option<Value>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT state FROM layer2_state WHERE solution = ?1")?;
        Ok(statement.query_row([solution], |r| row::json(r, "state")).optional()?)
    }

    /// Replaces the published state.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn put_layer2_state(&self, solution: SolutionId, state: &Value, now: u64) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        tx.execute(
            "INSERT OR REPLACE INTO layer2_state (solution, state, updated_at) VALUES (?1, ?2, ?3)",
            (solution, row::to_json(state)?, now),
        )?;
        write_point!("store.layer2_state.put", tx.commit())?;
        Ok(())
    }

    /// How far the solution has read the gateway's events.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn cursor(&self, solution: SolutionId) -> Result<Option<Value>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT position FROM cursors WHERE solution = ?1")?;
        Ok(statement.query_row([solution], |r| row::json(r, "position")).optional()?)
    }

    /// Moves the cursor, in either direction. Call it after what the events led to is durable.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn put_cursor(&self, solution: SolutionId, position: &Value) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        tx.execute(
            "INSERT OR REPLACE INTO cursors (solution, position) VALUES (?1, ?2)",
            (solution, row::to_json(position)?),
        )?;
        write_point!("store.cursor.put", tx.commit())?;
        Ok(())
    }
}
