//! What callers (websites, apps, other solutions) may ask of a solution.
//!
//! A caller has at most one grant on a solution at a time; replaced, revoked and expired ones stay as history.

use entresol_durable::write_point;
use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::approvals::{self, ApprovalState};
use crate::database::{Store, begin};
use crate::{SolutionId, StoreError, row};

/// One grant: the caller may ask, within the caveats. It never lets anything pass without asking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallerGrant {
    /// Its number.
    pub id: u64,
    /// The caller in the host's canonical text, such as `app:shop`.
    pub caller: String,
    /// What it may ask.
    pub solution: SolutionId,
    /// The narrowing (ERC-2255 caveats), the host's data.
    pub caveats: Value,
    /// Unix milliseconds.
    pub granted_at: u64,
    /// From this time on it does not hold, unix milliseconds.
    pub expires_at: Option<u64>,
    /// From this time on it does not hold, unix milliseconds: revoked, or replaced by a newer grant.
    pub revoked_at: Option<u64>,
}

impl CallerGrant {
    /// True when it holds at `now`.
    #[must_use]
    pub fn is_active(&self, now: u64) -> bool {
        self.revoked_at.is_none_or(|at| now < at) && self.expires_at.is_none_or(|at| now < at)
    }
}

/// Which grants to list; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerGrantFilter {
    /// Only this caller.
    pub caller: Option<String>,
    /// Only this solution.
    pub solution: Option<SolutionId>,
    /// Only those that hold at this time, unix milliseconds.
    pub active_at: Option<u64>,
}

fn read(r: &Row<'_>) -> rusqlite::Result<CallerGrant> {
    Ok(CallerGrant {
        id: r.get("id")?,
        caller: r.get("caller")?,
        solution: r.get("solution")?,
        caveats: row::json(r, "caveats")?,
        granted_at: r.get("granted_at")?,
        expires_at: r.get("expires_at")?,
        revoked_at: r.get("revoked_at")?,
    })
}

fn get(connection: &Connection, id: u64) -> Result<CallerGrant, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM caller_grants WHERE id = ?1")?;
    let found = statement.query_row([id], read).optional()?;
    found.ok_or_else(|| StoreError::NotFound { what: "caller grant", id: id.to_string() })
}

/// Puts what is left of each grant on a solution in the grant's place; the old one stays as history. See
/// [`Consent::narrows`](crate::Consent).
pub(crate) fn narrow(
    tx: &Connection,
    solution: SolutionId,
    narrows: &dyn Fn(&Value) -> Option<Option<Value>>,
    now: u64,
) -> Result<(), StoreError> {
    let mut statement =
        tx.prepare_cached("SELECT * FROM caller_grants WHERE solution = ?1 AND revoked_at IS NULL ORDER BY id")?;
    let held: Vec<CallerGrant> = statement.query_map([solution], read)?.collect::<Result<_, _>>()?;
    for grant in held {
        let Some(left) = narrows(&grant.caveats) else { continue };
        tx.execute("UPDATE caller_grants SET revoked_at = ?2 WHERE id = ?1", (grant.id, now))?;
        if let Some(caveats) = left {
            tx.execute(
                "INSERT INTO caller_grants (caller, solution, caveats, granted_at, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                (&grant.caller, solution, row::to_json(&caveats)?, now, grant.expires_at),
            )?;
        }
    }
    Ok(())
}

impl Store {
    /// Grants a caller access to a solution in place of what it had there, and ends `approval` (state `done`, the given
    /// outcome) in the same transaction.
    ///
    /// # Errors
    /// [`NotApproved`](StoreError::NotApproved) when the approval is in any other state: one decision is one grant.
    /// [`NotFound`](StoreError::NotFound) for the solution or the approval. Nothing is granted then.
    pub fn put_caller_grant(
        &self,
        caller: &str,
        solution: SolutionId,
        caveats: &Value,
        expires_at: Option<u64>,
        approval: Option<(u64, &Value)>,
        now: u64,
    ) -> Result<CallerGrant, StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        crate::solutions::require(&tx, solution)?;
        tx.execute(
            "UPDATE caller_grants SET revoked_at = ?3 WHERE caller = ?1 AND solution = ?2 AND revoked_at IS NULL",
            (caller, solution, now),
        )?;
        tx.execute(
            "INSERT INTO caller_grants (caller, solution, caveats, granted_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            (caller, solution, row::to_json(caveats)?, now, expires_at),
        )?;
        let id = row::last_id(&tx);
        if let Some((approval, outcome)) = approval {
            approvals::finish(&tx, approval, ApprovalState::Done, outcome, Some(solution))?;
        }
        let grant = get(&tx, id)?;
        write_point!("store.caller_grant.put", tx.commit())?;
        Ok(grant)
    }

    /// Grants, oldest first.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn caller_grants(&self, filter: &CallerGrantFilter) -> Result<Vec<CallerGrant>, StoreError> {
        let connection = self.reader();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM caller_grants
             WHERE (?1 IS NULL OR caller = ?1) AND (?2 IS NULL OR solution = ?2)
                AND (?3 IS NULL OR ((revoked_at IS NULL OR revoked_at > ?3) AND (expires_at IS NULL OR expires_at > ?3)))
             ORDER BY id",
        )?;
        let rows = statement.query_map((&filter.caller, filter.solution, filter.active_at), read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Revokes a grant. Revoking twice keeps the first time.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound).
    pub fn revoke_caller_grant(&self, id: u64, now: u64) -> Result<CallerGrant, StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        let grant = get(&tx, id)?;
        if grant.revoked_at.is_some() {
            return Ok(grant);
        }
        tx.execute("UPDATE caller_grants SET revoked_at = ?2 WHERE id = ?1", (id, now))?;
        write_point!("store.caller_grant.revoke", tx.commit())?;
        Ok(CallerGrant { revoked_at: Some(now), ..grant })
    }
}

#[cfg(test)]
mod tests;
