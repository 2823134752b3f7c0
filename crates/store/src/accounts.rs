//! Which layer-2 account indices a solution has been given.

use entresol_durable::write_point;
use rusqlite::Connection;

use crate::database::{Store, begin};
use crate::{SolutionId, StoreError};

/// Account indices are the non-hardened children of a solution's root (BIP-32).
const END: u32 = 1 << 31;

fn next(connection: &Connection, solution: SolutionId) -> Result<u32, StoreError> {
    // The lowest index that is free, not the highest plus one: a plugin that asks for index 2³¹ − 1 by number must not
    // use up all that lies below.
    let index: u32 = connection
        .prepare_cached(
            "SELECT min(candidate) FROM (
                SELECT 0 AS candidate
                UNION ALL SELECT account_index + 1 FROM accounts WHERE solution = ?1)
             WHERE candidate NOT IN (SELECT account_index FROM accounts WHERE solution = ?1)",
        )?
        .query_row([solution], |row| row.get(0))?;
    if index < END { Ok(index) } else { Err(StoreError::AccountsExhausted { solution }) }
}

impl Store {
    /// Hands out the lowest index that this solution has not been given, durably: no index is the "next" twice.
    ///
    /// # Errors
    /// [`AccountsExhausted`](StoreError::AccountsExhausted).
    pub fn next_account_index(&self, solution: SolutionId, now: u64) -> Result<u32, StoreError> {
        self.hand_out(solution, None, now)
    }

    /// Notes that the solution uses `index`, which it asked for by number.
    ///
    /// # Errors
    /// [`AccountsExhausted`](StoreError::AccountsExhausted) for an index of 2³¹ or more.
    pub fn note_account_index(&self, solution: SolutionId, index: u32, now: u64) -> Result<(), StoreError> {
        self.hand_out(solution, Some(index), now).map(|_| ())
    }

    fn hand_out(&self, solution: SolutionId, wanted: Option<u32>, now: u64) -> Result<u32, StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        let index = match wanted {
            Some(index) if index >= END => return Err(StoreError::AccountsExhausted { solution }),
            Some(index) => index,
            None => next(&tx, solution)?,
        };
        let new = tx.execute(
            "INSERT INTO accounts (solution, account_index, handed_out_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            (solution, index, now),
        )?;
        if new > 0 {
            write_point!("store.account.hand_out", tx.commit())?;
        }
        Ok(index)
    }

    /// The indices the solution has been given, ascending.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn account_indices(&self, solution: SolutionId) -> Result<Vec<u32>, StoreError> {
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached("SELECT account_index FROM accounts WHERE solution = ?1 ORDER BY account_index")?;
        Ok(statement.query_map([solution], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests;
