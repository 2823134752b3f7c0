//! What lies below the base, in SQLite: written once, read on a connection of its own.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use alloy::primitives::{Address, B256};
use entresol_durable::write_point;
use rusqlite::{Connection, OpenFlags, Row, Transaction, params};

use super::sqlite::{PATIENCE, all, block, hash, log, message, number, seal, stored};
use super::{Below, LoggedMessage, Seal, SettledBatch, SettledRow, StoreError, WrittenBatch};
use crate::chain::Place;
use crate::layer1::StepBlock;

/// Writes batches, each with its effects and the histories that it lengthens; those that were written before are
/// passed over.
pub(super) fn settle(connection: &mut Connection, batches: &[SettledBatch]) -> Result<(), StoreError> {
    let transaction = connection.transaction()?;
    {
        let mut settled =
            transaction.prepare_cached("INSERT INTO settled (batch, block, log_index, tx) VALUES (?1, ?2, ?3, ?4)")?;
        let mut effect = transaction.prepare_cached(
            "INSERT INTO effects (batch, chunk, place, message, outcome) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        let mut history = transaction.prepare_cached(
            "INSERT INTO history (account, position, batch, chunk, place)
             VALUES (?1, (SELECT coalesce(max(position) + 1, 0) FROM history WHERE account = ?1), ?2, ?3, ?4)",
        )?;
        let known: Option<i64> = transaction.query_row("SELECT max(batch) FROM settled", [], |row| row.get(0))?;
        for batch in batches.iter().filter(|batch| known.is_none_or(|known| number(known) < batch.id)) {
            settled.execute(params![
                stored(batch.id),
                stored(batch.block),
                stored(batch.log_index),
                batch.transaction.as_slice()
            ])?;
            for row in &batch.effects {
                let (chunk, place) = (stored(row.place.chunk as u64), stored(row.place.index as u64));
                let id = stored(batch.id);
                let message = row.message.as_ref().map(|message| message.as_slice());
                effect.execute(params![id, chunk, place, message, row.outcome])?;
                for account in &row.accounts {
                    history.execute(params![account.as_slice(), id, chunk, place])?;
                }
            }
        }
    }
    write_point!("node.base.settle", transaction.commit())?;
    Ok(())
}

/// Forgets the batches whose events lay in blocks from `from` on.
pub(super) fn unsettle(transaction: &Transaction<'_>, from: u64) -> Result<(), StoreError> {
    // Batches ascend with their blocks, so that the newest tells of them all.
    let touched: bool = transaction.query_row(
        "SELECT EXISTS (SELECT 1 FROM settled WHERE batch = (SELECT max(batch) FROM settled) AND block >= ?1)",
        [stored(from)],
        |row| row.get(0),
    )?;
    if touched {
        let sql = "SELECT min(batch) FROM settled WHERE block >= ?1";
        let lowest: i64 = transaction.query_row(sql, [stored(from)], |row| row.get(0))?;
        for table in ["settled", "effects", "history"] {
            transaction.execute(&format!("DELETE FROM {table} WHERE batch >= ?1"), [lowest])?;
        }
    }
    Ok(())
}

/// The reader.
#[derive(Debug)]
pub(super) struct Reader {
    connection: Mutex<Connection>,
}

impl Reader {
    pub(super) fn open(file: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(file, flags)?;
        connection.busy_timeout(PATIENCE)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // Nothing is half done in a connection that only reads.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(row: &Row<'_>) -> Result<Place, StoreError> {
    let small = |value: i64| usize::try_from(value).map_err(|_| StoreError::Damaged("a place is negative".to_owned()));
    Ok(Place { batch: number(row.get("batch")?), chunk: small(row.get("chunk")?)?, index: small(row.get("place")?)? })
}

fn settled_row(row: &Row<'_>) -> Result<SettledRow, StoreError> {
    Ok(SettledRow { place: place(row)?, transaction: hash(row, "tx")?, outcome: row.get("outcome")? })
}

impl Below for Reader {
    fn effect(&self, message: B256, base: u64) -> Result<Option<SettledRow>, StoreError> {
        let sql = "SELECT e.batch, e.chunk, e.place, e.outcome, s.tx FROM effects e JOIN settled s ON s.batch = e.batch
             WHERE e.message = ?1 AND e.batch <= ?2";
        Ok(all(&self.connection(), sql, params![message.as_slice(), stored(base)], settled_row)?.pop())
    }

    fn history_len(&self, account: Address, base: u64) -> Result<u64, StoreError> {
        // The newest come first: few are passed over, those of a base that is still to come.
        let sql = "SELECT position FROM history WHERE account = ?1 AND batch <= ?2 ORDER BY position DESC LIMIT 1";
        let newest = all(&self.connection(), sql, params![account.as_slice(), stored(base)], |row| {
            Ok(number(row.get("position")?))
        })?;
        Ok(newest.first().map_or(0, |position| position + 1))
    }

    fn history(&self, account: Address, from: u64, limit: u64, base: u64) -> Result<Vec<SettledRow>, StoreError> {
        let sql = "SELECT h.batch, h.chunk, h.place, e.outcome, s.tx FROM history h
             JOIN effects e ON e.batch = h.batch AND e.chunk = h.chunk AND e.place = h.place
             JOIN settled s ON s.batch = h.batch
             WHERE h.account = ?1 AND h.position >= ?2 AND h.position < ?3 AND h.batch <= ?4 ORDER BY h.position";
        let end = from.saturating_add(limit).min(i64::MAX.cast_unsigned());
        let params = params![account.as_slice(), stored(from.min(end)), stored(end), stored(base)];
        all(&self.connection(), sql, params, settled_row)
    }

    fn batch(&self, id: u64) -> Result<Option<WrittenBatch>, StoreError> {
        let connection = self.connection();
        let sql = "SELECT b.*, s.log_index FROM settled s JOIN blocks b ON b.number = s.block WHERE s.batch = ?1";
        let found = all(&connection, sql, [stored(id)], |row| Ok((block(row)?, row.get::<_, i64>("log_index")?)))?;
        let Some((block, log_index)) = found.into_iter().next() else { return Ok(None) };
        let sql = "SELECT * FROM logs WHERE block = ?1 AND log_index = ?2";
        let logs = all(&connection, sql, [stored(block.number), log_index], |row| log(row, &block))?;
        let sql = "SELECT batch, chunk, place, outcome FROM effects WHERE batch = ?1 ORDER BY chunk, place";
        let mut chunks: Vec<Vec<String>> = Vec::new();
        for (place, outcome) in
            all(&connection, sql, [stored(id)], |row| Ok((place(row)?, row.get::<_, String>("outcome")?)))?
        {
            if chunks.len() <= place.chunk {
                chunks.resize_with(place.chunk + 1, Vec::new);
            }
            if let Some(chunk) = chunks.get_mut(place.chunk) {
                chunk.push(outcome);
            }
        }
        Ok(Some((StepBlock { block, logs }, chunks)))
    }

    fn logged(&self, id: B256) -> Result<Option<LoggedMessage>, StoreError> {
        Ok(all(&self.connection(), "SELECT * FROM messages WHERE id = ?1", [id.as_slice()], message)?.pop())
    }

    fn seal(&self, sequence: u64) -> Result<Option<Seal>, StoreError> {
        let sql = "SELECT * FROM seals WHERE first <= ?1 ORDER BY first DESC LIMIT 1";
        Ok(all(&self.connection(), sql, [stored(sequence)], seal)?.pop())
    }

    fn logged_from(&self, sequence: u64, limit: u64) -> Result<Vec<LoggedMessage>, StoreError> {
        let sql = "SELECT * FROM messages WHERE sequence >= ?1 ORDER BY sequence LIMIT ?2";
        let limit = limit.min(i64::MAX.cast_unsigned());
        all(&self.connection(), sql, [stored(sequence), stored(limit)], message)
    }
}
