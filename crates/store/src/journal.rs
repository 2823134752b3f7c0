//! The activity journal: a row before each effect, its outcome after; a crash leaves the row open. Cheap calls are
//! counted. Keys and database values never stand here: what is passed in is kept as it is, so the host leaves them out.

use std::collections::BTreeMap;

use entresol_durable::write_point;
use rusqlite::{Row, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::database::{Store, begin};
use crate::{SolutionId, StoreError, row};

/// An effect that is about to happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalIntent {
    /// The solution concerned.
    pub solution: Option<SolutionId>,
    /// Who acts, such as `plugin:1`, `user`.
    pub actor: String,
    /// What it does, such as `deposit`.
    pub action: String,
    /// What it does it to.
    pub resource: String,
    /// Parameters, without secrets and database values.
    pub detail: Value,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Its number.
    pub id: u64,
    /// What was about to happen.
    #[serde(flatten)]
    pub intent: JournalIntent,
    /// Unix milliseconds.
    pub started_at: u64,
    /// Unix milliseconds; `None` after a crash in between.
    pub finished_at: Option<u64>,
    /// What came of it.
    pub result: Option<Value>,
}

/// Which rows to list; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalFilter {
    /// The newest so many.
    pub limit: Option<u32>,
    /// Only this solution.
    pub solution: Option<SolutionId>,
    /// Only this actor.
    pub actor: Option<String>,
    /// Only this action.
    pub action: Option<String>,
    /// Only what started at or after this time, unix milliseconds.
    pub since: Option<u64>,
    /// Only what started before this time, unix milliseconds.
    pub until: Option<u64>,
    /// Only rows older than this one: the next page.
    pub before_id: Option<u64>,
}

/// How often a cheap call was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// By whom.
    pub solution: SolutionId,
    /// Which call.
    pub name: String,
    /// How often.
    pub count: u64,
}

fn read(r: &Row<'_>) -> rusqlite::Result<JournalEntry> {
    Ok(JournalEntry {
        id: r.get("id")?,
        intent: JournalIntent {
            solution: r.get("solution")?,
            actor: r.get("actor")?,
            action: r.get("action")?,
            resource: r.get("resource")?,
            detail: row::json(r, "detail")?,
        },
        started_at: r.get("started_at")?,
        finished_at: r.get("finished_at")?,
        result: row::optional_json(r, "result")?,
    })
}

fn flush(tx: &Transaction<'_>, counts: &BTreeMap<(SolutionId, String), u64>) -> rusqlite::Result<()> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO counters (solution, name, count) VALUES (?1, ?2, ?3)
         ON CONFLICT (solution, name) DO UPDATE SET count = count + ?3",
    )?;
    for ((solution, name), count) in counts {
        statement.execute((solution, name, count))?;
    }
    Ok(())
}

impl Store {
    /// Notes an effect before it happens.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn journal_intent(&self, intent: &JournalIntent, now: u64) -> Result<u64, StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        tx.prepare_cached(
            "INSERT INTO journal (solution, actor, action, resource, detail, started_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((
            intent.solution,
            &intent.actor,
            &intent.action,
            &intent.resource,
            row::to_json(&intent.detail)?,
            now,
        ))?;
        let id = u64::try_from(tx.last_insert_rowid()).unwrap_or_default();
        write_point!("store.journal.intent", tx.commit())?;
        Ok(id)
    }

    /// Notes what came of it. The counts of cheap calls are written along.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound).
    pub fn journal_outcome(&self, id: u64, result: &Value, now: u64) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        let changed = tx
            .prepare_cached("UPDATE journal SET result = ?2, finished_at = ?3 WHERE id = ?1")?
            .execute((id, row::to_json(result)?, now))?;
        if changed == 0 {
            return Err(StoreError::NotFound { what: "journal entry", id: id.to_string() });
        }
        let mut counts = self.counts();
        flush(&tx, &counts)?;
        write_point!("store.journal.outcome", tx.commit())?;
        counts.clear();
        Ok(())
    }

    /// Rows, newest first.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn journal(&self, filter: &JournalFilter) -> Result<Vec<JournalEntry>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM journal
             WHERE (?1 IS NULL OR solution = ?1) AND (?2 IS NULL OR actor = ?2) AND (?3 IS NULL OR action = ?3)
                AND (?4 IS NULL OR started_at >= ?4) AND (?5 IS NULL OR started_at < ?5) AND (?6 IS NULL OR id < ?6)
             ORDER BY id DESC LIMIT ?7",
        )?;
        let JournalFilter { limit, solution, actor, action, since, until, before_id } = filter;
        let limit = limit.map_or(-1, i64::from);
        let rows = statement.query_map((solution, actor, action, since, until, before_id, limit), read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Counts `n` cheap calls, in memory: they become durable with the next [`journal_outcome`](Self::journal_outcome),
    /// and a crash before it loses them, which a count can bear.
    pub fn count(&self, solution: SolutionId, name: &str, n: u64) {
        let mut counts = self.counts();
        let count = counts.entry((solution, name.to_owned())).or_default();
        *count = count.saturating_add(n);
    }

    /// What was counted for a solution, by name.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn counters(&self, solution: SolutionId) -> Result<Vec<Counter>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT name, count FROM counters WHERE solution = ?1")?;
        let mut all: BTreeMap<String, u64> =
            statement.query_map([solution], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        for ((_, name), waiting) in self.counts().iter().filter(|((owner, _), _)| *owner == solution) {
            *all.entry(name.clone()).or_default() += waiting;
        }
        Ok(all.into_iter().map(|(name, count)| Counter { solution, name, count }).collect())
    }
}

#[cfg(test)]
mod tests;
