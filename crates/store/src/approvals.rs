//! Requests that wait for the user, the decision, and what became of them.
//!
//! ```text
//! pending ──decide──▶ approved ──finish──▶ done | failed
//!    └──────────────▶ rejected | expired
//! ```
//!
//! What a policy lets pass is stored as approved at once, together with its reservations.

use entresol_durable::write_point;
use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::database::{Store, begin};
use crate::reservations::{self, NewReservation, ReservationView};
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
    /// What the decider narrowed, such as permissions refused one by one; the host's data, null when nothing.
    #[serde(default)]
    pub choice: Value,
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
        choice: row::json(r, "choice")?,
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

fn by_request_key(connection: &Connection, key: Option<&str>) -> rusqlite::Result<Option<Approval>> {
    // A comparison with NULL is never true: a request without a key is a new one.
    let mut statement = connection.prepare_cached("SELECT * FROM approvals WHERE request_key = ?1")?;
    statement.query_row([key], read).optional()
}

/// Stores a request: pending, or approved by somebody at some time.
fn insert(tx: &Transaction<'_>, new: &NewApproval, decided: Option<(&str, u64)>) -> Result<Approval, StoreError> {
    let state = if decided.is_some() { ApprovalState::Approved } else { ApprovalState::Pending };
    tx.execute(
        "INSERT INTO approvals (kind, requester, request_key, solution, cause, intent, digest, shown, state,
            decided_by, decided_at, created_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        rusqlite::params![
            new.kind,
            row::to_json(&new.requester)?,
            new.request_key,
            new.solution,
            row::to_json(&new.cause)?,
            row::to_json(&new.intent)?,
            new.digest,
            row::to_json(&new.shown)?,
            state,
            decided.map(|(by, _)| by),
            decided.map(|(_, at)| at),
            new.created_at,
            new.expires_at
        ],
    )?;
    get(tx, row::last_id(tx))
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
        if let Some(known) = by_request_key(&tx, new.request_key.as_deref())? {
            return Ok(known);
        }
        let approval = insert(&tx, new, None)?;
        write_point!("store.approval.create", tx.commit())?;
        Ok(approval)
    }

    /// Stores a request that needs no answer, in state `approved`: policies let it pass, and what they reserve for it is
    /// written in the same transaction, with the subject `approval:ID` whatever stands in `reserve`. Without
    /// reservations it is what the wallet passes by rule. Then as [`create_approval`](Self::create_approval): a
    /// `request_key` that is known already gives the first request, in whatever state it is.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve). Nothing is stored then.
    pub fn create_decided_approval(
        &self,
        new: &NewApproval,
        decided_by: &str,
        reserve: &[NewReservation],
        check: impl FnOnce(&ReservationView<'_>) -> Result<(), String>,
        now: u64,
    ) -> Result<Approval, StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        if let Some(known) = by_request_key(&tx, new.request_key.as_deref())? {
            return Ok(known);
        }
        let approval = insert(&tx, new, Some((decided_by, now)))?;
        let subject = format!("approval:{}", approval.id);
        let own: Vec<_> =
            reserve.iter().map(|one| NewReservation { subject: subject.clone(), ..one.clone() }).collect();
        reservations::reserve(&tx, &own, check, now)?;
        write_point!("store.approval.pass", tx.commit())?;
        Ok(approval)
    }

    /// Decides a pending request. `digest` is that of the intent the decider saw, `choice` what the decider narrowed.
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
        choice: &Value,
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
            "UPDATE approvals SET state = ?2, choice = ?3, decided_by = ?4, decided_at = ?5 WHERE id = ?1",
            (id, state, row::to_json(choice)?, decided_by, now),
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
        late.map(|late| self.decide_approval(late.id, &late.digest, Decision::Expire, &Value::Null, "time", now))
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
        Ok(by_request_key(&self.connection(), Some(key))?)
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
