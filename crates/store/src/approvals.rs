//! Requests that wait for the user, the decision, and what became of them.
//!
//! ```text
//! pending ──decide──▶ approved ──finish──▶ done | failed
//!    └──────────────▶ rejected | expired
//! ```

use entresol_durable::write_point;
use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::database::{Store, begin};
use crate::row::text_enum;
use crate::{SolutionId, StoreError, row};

text_enum! {
    /// How far a request has come.
    pub enum ApprovalState {
        /// Waits for the user.
        Pending = "pending",
        /// The user, or a policy, agreed; the effect has not been acknowledged yet.
        Approved = "approved",
        /// The user refused.
        Rejected = "rejected",
        /// Nobody decided in time, or the asker is gone.
        Expired = "expired",
        /// The effect happened; see the outcome.
        Done = "done",
        /// The effect could not be had; see the outcome.
        Failed = "failed",
    }
}

/// What is decided about a pending request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Do it.
    Approve,
    /// Do not.
    Reject,
    /// The time is over, or the asker is gone.
    Expire,
}

/// A request to be stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewApproval {
    /// What sort of request, such as `install`, `transaction`, `signature`.
    pub kind: String,
    /// Who asks.
    pub requester: Value,
    /// Idempotency: a second request with the same key is the first one.
    pub request_key: Option<String>,
    /// The solution concerned, once there is one.
    pub solution: Option<SolutionId>,
    /// The open callers on whose behalf it is asked.
    pub cause: Value,
    /// Exactly what is agreed to.
    pub intent: Value,
    /// Digest of the intent, hex.
    pub digest: String,
    /// What the user sees.
    pub shown: Value,
    /// Unix milliseconds.
    pub created_at: u64,
    /// From this time on it can no longer be approved, unix milliseconds.
    pub expires_at: u64,
}

/// A stored request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// Its number, as in `entresol approvals approve ID`.
    pub id: u64,
    /// What was asked.
    #[serde(flatten)]
    pub request: NewApproval,
    /// How far it has come.
    pub state: ApprovalState,
    /// Who decided.
    pub decided_by: Option<String>,
    /// Unix milliseconds.
    pub decided_at: Option<u64>,
    /// What became of it, once done or failed.
    pub outcome: Option<Value>,
}

/// `approval.intent` reads better than `approval.request.intent`.
impl std::ops::Deref for Approval {
    type Target = NewApproval;

    fn deref(&self) -> &NewApproval {
        &self.request
    }
}

/// Which approvals to list; the default is all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalFilter {
    /// Only this state.
    pub state: Option<ApprovalState>,
    /// Only this solution.
    pub solution: Option<SolutionId>,
    /// The newest so many.
    pub limit: Option<u32>,
}

fn read(r: &Row<'_>) -> rusqlite::Result<Approval> {
    Ok(Approval {
        id: r.get("id")?,
        request: NewApproval {
            kind: r.get("kind")?,
            requester: row::json(r, "requester")?,
            request_key: r.get("request_key")?,
            solution: r.get("solution")?,
            cause: row::json(r, "cause")?,
            intent: row::json(r, "intent")?,
            digest: r.get("digest")?,
            shown: row::json(r, "shown")?,
            created_at: r.get("created_at")?,
            expires_at: r.get("expires_at")?,
        },
        state: r.get("state")?,
        decided_by: r.get("decided_by")?,
        decided_at: r.get("decided_at")?,
        outcome: row::optional_json(r, "outcome")?,
    })
}

fn get(connection: &Connection, id: u64) -> Result<Approval, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM approvals WHERE id = ?1")?;
    let found = statement.query_row([id], read).optional()?;
    found.ok_or_else(|| StoreError::NotFound { what: "approval", id: id.to_string() })
}

/// Ends an approved request inside a transaction of the caller's.
pub(crate) fn finish(
    tx: &Transaction<'_>,
    id: u64,
    state: ApprovalState,
    outcome: &Value,
    solution: Option<SolutionId>,
) -> Result<(), StoreError> {
    let approval = get(tx, id)?;
    if approval.state != ApprovalState::Approved {
        return Err(StoreError::NotApproved { id, state: approval.state });
    }
    tx.execute(
        "UPDATE approvals SET state = ?2, outcome = ?3, solution = coalesce(?4, solution) WHERE id = ?1",
        (id, state, row::to_json(outcome)?, solution),
    )?;
    Ok(())
}

impl Store {
    /// Stores a request. One with a `request_key` that is known already is not stored again: the first one is
    /// returned, in whatever state it is, so that asking again after a crash cannot ask twice.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn create_approval(&self, new: &NewApproval) -> Result<Approval, StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        if let Some(key) = &new.request_key {
            let known = tx
                .prepare_cached("SELECT * FROM approvals WHERE request_key = ?1")?
                .query_row([key], read)
                .optional()?;
            if let Some(known) = known {
                return Ok(known);
            }
        }
        tx.execute(
            "INSERT INTO approvals
                (kind, requester, request_key, solution, cause, intent, digest, shown, state, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            rusqlite::params![
                new.kind,
                row::to_json(&new.requester)?,
                new.request_key,
                new.solution,
                row::to_json(&new.cause)?,
                row::to_json(&new.intent)?,
                new.digest,
                row::to_json(&new.shown)?,
                ApprovalState::Pending,
                new.created_at,
                new.expires_at
            ],
        )?;
        let id = u64::try_from(tx.last_insert_rowid()).unwrap_or_default();
        let approval = get(&tx, id)?;
        write_point!("store.approval.create", tx.commit())?;
        Ok(approval)
    }

    /// Decides a pending request. `digest` is that of the intent the decider saw.
    ///
    /// # Errors
    /// [`NotPending`](StoreError::NotPending), [`DigestMismatch`](StoreError::DigestMismatch),
    /// [`ApprovalExpired`](StoreError::ApprovalExpired) for an approval at or after its time,
    /// [`NotFound`](StoreError::NotFound). The request stays as it was.
    pub fn decide_approval(
        &self,
        id: u64,
        digest: &str,
        decision: Decision,
        decided_by: &str,
        now: u64,
    ) -> Result<Approval, StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        let approval = get(&tx, id)?;
        if approval.state != ApprovalState::Pending {
            return Err(StoreError::NotPending { id, state: approval.state });
        }
        if !approval.digest.eq_ignore_ascii_case(digest) {
            return Err(StoreError::DigestMismatch { id });
        }
        let state = match decision {
            Decision::Approve if now >= approval.expires_at => return Err(StoreError::ApprovalExpired { id }),
            Decision::Approve => ApprovalState::Approved,
            Decision::Reject => ApprovalState::Rejected,
            Decision::Expire => ApprovalState::Expired,
        };
        tx.execute(
            "UPDATE approvals SET state = ?2, decided_by = ?3, decided_at = ?4 WHERE id = ?1",
            (id, state, decided_by, now),
        )?;
        let approval = get(&tx, id)?;
        write_point!("store.approval.decide", tx.commit())?;
        Ok(approval)
    }

    /// Expires every pending request whose time is over, and returns them.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn expire_approvals(&self, now: u64) -> Result<Vec<Approval>, StoreError> {
        let pending = self.approvals(ApprovalFilter { state: Some(ApprovalState::Pending), ..Default::default() })?;
        let late = pending.into_iter().filter(|approval| now >= approval.expires_at);
        late.map(|approval| self.decide_approval(approval.id, &approval.digest, Decision::Expire, "time", now))
            .collect()
    }

    /// Notes what became of an approved request: done (`Ok`) or failed (`Err`), each with its data. A request that
    /// is finished already keeps its first outcome, so that resuming after a crash may say it again.
    ///
    /// # Errors
    /// [`NotApproved`](StoreError::NotApproved) when it was never approved, [`NotFound`](StoreError::NotFound).
    pub fn finish_approval(&self, id: u64, outcome: Result<&Value, &Value>) -> Result<Approval, StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        let approval = get(&tx, id)?;
        if matches!(approval.state, ApprovalState::Done | ApprovalState::Failed) {
            return Ok(approval);
        }
        let (state, outcome) = match outcome {
            Ok(outcome) => (ApprovalState::Done, outcome),
            Err(outcome) => (ApprovalState::Failed, outcome),
        };
        finish(&tx, id, state, outcome, None)?;
        let approval = get(&tx, id)?;
        write_point!("store.approval.finish", tx.commit())?;
        Ok(approval)
    }

    /// One approval.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound).
    pub fn approval(&self, id: u64) -> Result<Approval, StoreError> {
        get(&self.connection(), id)
    }

    /// The approval stored under this idempotency key.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn approval_by_request_key(&self, key: &str) -> Result<Option<Approval>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT * FROM approvals WHERE request_key = ?1")?;
        Ok(statement.query_row([key], read).optional()?)
    }

    /// Approvals, oldest first; with a limit the newest ones.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn approvals(&self, filter: ApprovalFilter) -> Result<Vec<Approval>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM (SELECT * FROM approvals
                WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR solution = ?2)
                ORDER BY id DESC LIMIT ?3) ORDER BY id",
        )?;
        let limit = filter.limit.map_or(-1, i64::from);
        Ok(statement.query_map((filter.state, filter.solution, limit), read)?.collect::<Result<_, _>>()?)
    }

    /// Approved and not finished: what a start after a crash has to resume, oldest first.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn open_approved(&self) -> Result<Vec<Approval>, StoreError> {
        self.approvals(ApprovalFilter { state: Some(ApprovalState::Approved), ..Default::default() })
    }
}

#[cfg(test)]
mod tests;
