//! Wake-ups that plugins asked for, at a time or at a layer-1 block. How many a solution may have is the host's
//! business.

use entresol_durable::write_point;
use rusqlite::Row;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::database::{Store, begin};
use crate::{SolutionId, StoreError, row};

/// One wake-up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its number; the same name put again has another.
    pub id: u64,
    /// Whose.
    pub solution: SolutionId,
    /// The plugin's name for it.
    pub name: String,
    /// When, unix milliseconds.
    pub at_ms: Option<u64>,
    /// At which block of the solution's network.
    pub block: Option<u64>,
    /// Handed back to the plugin.
    pub data: Value,
    /// Unix milliseconds.
    pub created_at: u64,
}

fn read(r: &Row<'_>) -> rusqlite::Result<Job> {
    Ok(Job {
        id: r.get("id")?,
        solution: r.get("solution")?,
        name: r.get("name")?,
        at_ms: r.get("at_ms")?,
        block: r.get("block")?,
        data: row::json(r, "data")?,
        created_at: r.get("created_at")?,
    })
}

impl Store {
    /// Stores a wake-up in place of the solution's one of that name.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound) for the solution.
    pub fn put_job(
        &self,
        solution: SolutionId,
        name: &str,
        at_ms: Option<u64>,
        block: Option<u64>,
        data: &Value,
        now: u64,
    ) -> Result<Job, StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        crate::solutions::require(&tx, solution)?;
        tx.execute("DELETE FROM jobs WHERE solution = ?1 AND name = ?2", (solution, name))?;
        tx.execute(
            "INSERT INTO jobs (solution, name, at_ms, block, data, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (solution, name, at_ms, block, row::to_json(data)?, now),
        )?;
        let id = row::last_id(&tx);
        write_point!("store.job.put", tx.commit())?;
        Ok(Job { id, solution, name: name.to_owned(), at_ms, block, data: data.clone(), created_at: now })
    }

    fn select_jobs(&self, condition: &str, values: impl rusqlite::Params) -> Result<Vec<Job>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(&format!("SELECT * FROM jobs WHERE {condition}"))?;
        Ok(statement.query_map(values, read)?.collect::<Result<_, _>>()?)
    }

    /// The wake-ups of a solution, in the order they were asked for.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn jobs(&self, solution: SolutionId) -> Result<Vec<Job>, StoreError> {
        self.select_jobs("solution = ?1 ORDER BY id", [solution])
    }

    /// All wake-ups, in the order they were asked for.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn all_jobs(&self) -> Result<Vec<Job>, StoreError> {
        self.select_jobs("1 ORDER BY id", [])
    }

    /// The wake-ups whose time has come, the earliest first.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn due_jobs(&self, now: u64) -> Result<Vec<Job>, StoreError> {
        self.select_jobs("at_ms <= ?1 ORDER BY at_ms, id", [now])
    }

    /// The wake-ups of a solution whose block has come, the lowest first.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn jobs_due_at_block(&self, solution: SolutionId, block: u64) -> Result<Vec<Job>, StoreError> {
        self.select_jobs("solution = ?1 AND block <= ?2 ORDER BY block, id", (solution, block))
    }

    /// Takes a wake-up back; false when there is none of that name.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn delete_job(&self, solution: SolutionId, name: &str) -> Result<bool, StoreError> {
        self.remove_job("DELETE FROM jobs WHERE solution = ?1 AND name = ?2", (solution, name))
    }

    /// Ends a wake-up that was delivered. One of the same name that the plugin asked for meanwhile stays.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn finish_job(&self, id: u64) -> Result<bool, StoreError> {
        self.remove_job("DELETE FROM jobs WHERE id = ?1", [id])
    }

    fn remove_job(&self, delete: &str, values: impl rusqlite::Params) -> Result<bool, StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        let found = tx.execute(delete, values)? > 0;
        if found {
            write_point!("store.job.delete", tx.commit())?;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
