//! Calls with an idempotency id: carried out once, their result kept for a day.

use entresol_durable::write_point;
use rusqlite::{OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::database::{Store, begin};
use crate::{SolutionId, StoreError, row};

/// How long a result is kept for its caller, in milliseconds: 24 hours, as the interface promises to websites.
pub const CALL_RESULT_KEPT_MS: u64 = 24 * 60 * 60 * 1000;

/// A call that is about to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewCall {
    /// Who calls; ids of different callers never meet.
    pub caller: String,
    /// The caller's idempotency id.
    pub call_id: String,
    /// The solution called.
    pub solution: SolutionId,
    /// The action called.
    pub action: String,
    /// Digest of the parameters: the same id with other parameters is a mistake of the caller's.
    pub digest: String,
}

/// What is known of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum CallState {
    /// It was not known and is stored now: carry it out.
    New,
    /// It was started and has no result. When this process did not start it, a crash came between and its outcome is
    /// unknown: never carry it out again.
    Running {
        /// Unix milliseconds.
        started_at: u64,
    },
    /// It has been carried out.
    Finished {
        /// What it came to.
        result: Value,
    },
}

struct Known {
    same: bool,
    started_at: u64,
    result: Option<Value>,
}

impl Store {
    /// Asks whether a call may be carried out, and stores that it starts when it is [`CallState::New`]. Results older
    /// than [`CALL_RESULT_KEPT_MS`] are forgotten on the way.
    ///
    /// # Errors
    /// [`CallIdReused`](StoreError::CallIdReused) when the id stands for another solution, action or parameters.
    pub fn begin_call(&self, call: &NewCall, now: u64) -> Result<CallState, StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        tx.execute("DELETE FROM calls WHERE finished_at <= ?1", [now.saturating_sub(CALL_RESULT_KEPT_MS)])?;
        let read = |r: &Row<'_>| {
            let (solution, action, digest): (SolutionId, String, String) =
                (r.get("solution")?, r.get("action")?, r.get("digest")?);
            Ok(Known {
                same: solution == call.solution && action == call.action && digest == call.digest,
                started_at: r.get("started_at")?,
                result: row::optional_json(r, "result")?,
            })
        };
        let known = tx
            .prepare_cached("SELECT * FROM calls WHERE caller = ?1 AND call_id = ?2")?
            .query_row((&call.caller, &call.call_id), read)
            .optional()?;
        match known {
            Some(known) if !known.same => Err(StoreError::CallIdReused { call_id: call.call_id.clone() }),
            Some(Known { result: Some(result), .. }) => Ok(CallState::Finished { result }),
            Some(Known { started_at, .. }) => Ok(CallState::Running { started_at }),
            None => {
                tx.execute(
                    "INSERT INTO calls (caller, call_id, solution, action, digest, started_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    (&call.caller, &call.call_id, call.solution, &call.action, &call.digest, now),
                )?;
                write_point!("store.call.begin", tx.commit())?;
                Ok(CallState::New)
            }
        }
    }

    /// Keeps what a call came to, success or error in the caller's own form. The first result stays.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound) when the call was never begun.
    pub fn finish_call(&self, caller: &str, call_id: &str, result: &Value, now: u64) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        let changed = tx.execute(
            "UPDATE calls SET result = coalesce(result, ?3), finished_at = coalesce(finished_at, ?4)
             WHERE caller = ?1 AND call_id = ?2",
            (caller, call_id, row::to_json(result)?, now),
        )?;
        if changed == 0 {
            return Err(StoreError::NotFound { what: "call", id: call_id.to_owned() });
        }
        write_point!("store.call.finish", tx.commit())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
