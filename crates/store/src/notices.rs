//! What plugins, and the wallet itself, told the user.

use entresol_durable::write_point;
use rusqlite::Row;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::database::{Store, begin};
use crate::{SolutionId, StoreError, row};

/// So many notices are kept, the newest.
pub const NOTICES_KEPT: u32 = 1000;

/// One notice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Its number.
    pub id: u64,
    /// Whose; `None` for the wallet itself.
    pub solution: Option<SolutionId>,
    /// How urgent, in the host's words.
    pub level: String,
    /// The text.
    pub text: String,
    /// What the user may do about it, the host's data.
    pub action: Option<Value>,
    /// Unix milliseconds.
    pub created_at: u64,
    /// Whether the user has seen it.
    pub read: bool,
}

fn read(r: &Row<'_>) -> rusqlite::Result<Notice> {
    Ok(Notice {
        id: r.get("id")?,
        solution: r.get("solution")?,
        level: r.get("level")?,
        text: r.get("text")?,
        action: row::optional_json(r, "action")?,
        created_at: r.get("created_at")?,
        read: r.get("is_read")?,
    })
}

impl Store {
    /// Keeps a notice, forgets all but the newest [`NOTICES_KEPT`], and gives its number.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound) for the solution.
    pub fn add_notice(
        &self,
        solution: impl Into<Option<SolutionId>>,
        level: &str,
        text: &str,
        action: Option<&Value>,
        now: u64,
    ) -> Result<u64, StoreError> {
        let solution = solution.into();
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        solution.map(|solution| crate::solutions::require(&tx, solution)).transpose()?;
        tx.execute(
            "INSERT INTO notices (solution, level, text, action, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            (solution, level, text, action.map(row::to_json).transpose()?, now),
        )?;
        let id = row::last_id(&tx);
        tx.execute(
            "DELETE FROM notices WHERE id <= (SELECT id FROM notices ORDER BY id DESC LIMIT 1 OFFSET ?1)",
            [NOTICES_KEPT],
        )?;
        write_point!("store.notice.add", tx.commit())?;
        Ok(id)
    }

    /// The newest notices, newest first.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn notices(&self, limit: u32, unread_only: bool) -> Result<Vec<Notice>, StoreError> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT * FROM notices WHERE is_read = 0 OR NOT ?2 ORDER BY id DESC LIMIT ?1")?;
        Ok(statement.query_map((limit, unread_only), read)?.collect::<Result<_, _>>()?)
    }

    /// Marks a notice as seen.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound), also when it was forgotten.
    pub fn read_notice(&self, id: u64) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        if tx.execute("UPDATE notices SET is_read = 1 WHERE id = ?1", [id])? == 0 {
            return Err(StoreError::NotFound { what: "notice", id: id.to_string() });
        }
        write_point!("store.notice.read", tx.commit())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
