//! What a caller may do without asking: the rule is the host's data, the store keeps it and its state.

use entresol_durable::write_point;
use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::database::{Store, begin};
use crate::row::text_enum;
use crate::{SolutionId, StoreError, row};

text_enum! {
    /// Whether a policy lets anything pass.
    pub enum PolicyState {
        /// It holds.
        Active = "active",
        /// It holds again once somebody says so.
        Paused = "paused",
        /// It never holds again.
        Revoked = "revoked",
    }
}

/// One policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Its number.
    pub id: u64,
    /// The caller in the host's canonical text.
    pub caller: String,
    /// The solution it is about.
    pub solution: SolutionId,
    /// Limits, recipients and so on, the host's data.
    pub rule: Value,
    /// Whether it lets anything pass.
    pub state: PolicyState,
    /// Why it is in this state, in words.
    pub reason: Option<String>,
    /// Unix milliseconds.
    pub created_at: u64,
    /// Unix milliseconds.
    pub updated_at: u64,
    /// From this time on it lets nothing pass, unix milliseconds.
    pub expires_at: Option<u64>,
}

impl Policy {
    /// True when it may let something pass at `now`.
    #[must_use]
    pub fn is_active(&self, now: u64) -> bool {
        self.state == PolicyState::Active && self.expires_at.is_none_or(|at| now < at)
    }
}

/// Which policies to list; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyFilter {
    /// Only this caller.
    pub caller: Option<String>,
    /// Only this solution.
    pub solution: Option<SolutionId>,
    /// Only this state.
    pub state: Option<PolicyState>,
}

fn read(r: &Row<'_>) -> rusqlite::Result<Policy> {
    Ok(Policy {
        id: r.get("id")?,
        caller: r.get("caller")?,
        solution: r.get("solution")?,
        rule: row::json(r, "rule")?,
        state: r.get("state")?,
        reason: r.get("reason")?,
        created_at: r.get("created_at")?,
        updated_at: r.get("updated_at")?,
        expires_at: r.get("expires_at")?,
    })
}

pub(crate) fn get(connection: &Connection, id: u64) -> Result<Policy, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM policies WHERE id = ?1")?;
    let found = statement.query_row([id], read).optional()?;
    found.ok_or_else(|| StoreError::NotFound { what: "policy", id: id.to_string() })
}

/// Pauses every active policy on a solution whose rule is such, and says how many.
pub(crate) fn pause(
    tx: &Connection,
    solution: SolutionId,
    which: &dyn Fn(&Value) -> bool,
    reason: &str,
    now: u64,
) -> Result<usize, StoreError> {
    let mut statement =
        tx.prepare_cached("SELECT * FROM policies WHERE solution = ?1 AND state = 'active' ORDER BY id")?;
    let active: Vec<Policy> = statement.query_map([solution], read)?.collect::<Result<_, _>>()?;
    let mut paused = 0;
    for policy in active.iter().filter(|policy| which(&policy.rule)) {
        paused += tx.execute(
            "UPDATE policies SET state = ?2, reason = ?3, updated_at = ?4 WHERE id = ?1",
            (policy.id, PolicyState::Paused, reason, now),
        )?;
    }
    Ok(paused)
}

impl Store {
    /// Stores a new policy, active at once. A changed rule is a new policy: revoke the old one.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound) for the solution.
    pub fn put_policy(
        &self,
        caller: &str,
        solution: SolutionId,
        rule: &Value,
        expires_at: Option<u64>,
        now: u64,
    ) -> Result<Policy, StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        crate::solutions::require(&tx, solution)?;
        tx.execute(
            "INSERT INTO policies (caller, solution, rule, state, created_at, updated_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6)",
            (caller, solution, row::to_json(rule)?, PolicyState::Active, now, expires_at),
        )?;
        let policy = get(&tx, row::last_id(&tx))?;
        write_point!("store.policy.put", tx.commit())?;
        Ok(policy)
    }

    /// One policy.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound).
    pub fn policy(&self, id: u64) -> Result<Policy, StoreError> {
        get(&self.connection(), id)
    }

    /// Policies, oldest first. An expired one keeps its state; ask [`Policy::is_active`].
    ///
    /// # Errors
    /// Any error of the database.
    pub fn policies(&self, filter: &PolicyFilter) -> Result<Vec<Policy>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM policies
             WHERE (?1 IS NULL OR caller = ?1) AND (?2 IS NULL OR solution = ?2) AND (?3 IS NULL OR state = ?3)
             ORDER BY id",
        )?;
        Ok(statement.query_map((&filter.caller, filter.solution, filter.state), read)?.collect::<Result<_, _>>()?)
    }

    /// Pauses, resumes or revokes a policy. What is reserved under it stays reserved. The state it has already is not
    /// written again.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound); [`PolicyRevoked`](StoreError::PolicyRevoked): revoking is final.
    pub fn set_policy_state(
        &self,
        id: u64,
        state: PolicyState,
        reason: Option<&str>,
        now: u64,
    ) -> Result<Policy, StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        let policy = get(&tx, id)?;
        if policy.state == state {
            return Ok(policy);
        }
        if policy.state == PolicyState::Revoked {
            return Err(StoreError::PolicyRevoked { id });
        }
        tx.execute(
            "UPDATE policies SET state = ?2, reason = ?3, updated_at = ?4 WHERE id = ?1",
            (id, state, reason, now),
        )?;
        let policy = get(&tx, id)?;
        write_point!("store.policy.state", tx.commit())?;
        Ok(policy)
    }
}

#[cfg(test)]
mod tests;
