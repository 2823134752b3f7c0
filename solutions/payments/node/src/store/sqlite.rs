//! [`Store`] in one SQLite file.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes};
use entresol_durable::{create_private_dir, write_point};
use payments_protocol::{Record, Signature, Submission};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    Below, Identity, LoggedMessage, OutgoingTransaction, Purpose, Seal, SettledBatch, Store, StoreError,
    TransactionState,
};
use crate::chain::{Base, Key};
use crate::gateway::{self, GatewayEvent};
use crate::layer1::{BlockRef, GatewayLog, StepBlock};

/// Name of the file in the data directory.
const FILE: &str = "node.sqlite";

/// Name of the lock beside it.
const LOCK: &str = "lock.sqlite";

/// How long a start waits for a node that is ending.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Blocks without logs that are kept for recognising a reorganisation; the follower's window.
const KEPT_EMPTY_BLOCKS: u64 = crate::layer1::WINDOW as u64;

/// The tables. Nothing in `messages` is ever changed or removed: a trigger refuses it.
pub(super) const SCHEMA: &str = "
CREATE TABLE identity (one INTEGER PRIMARY KEY CHECK (one = 1), chain_id INTEGER NOT NULL, gateway BLOB NOT NULL,
  role TEXT NOT NULL, from_block INTEGER NOT NULL) STRICT;
CREATE TABLE messages (sequence INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, record BLOB NOT NULL,
  nonce INTEGER NOT NULL, prev BLOB NOT NULL, time INTEGER NOT NULL, previous_receipt BLOB NOT NULL,
  receipt_signature BLOB NOT NULL) STRICT;
CREATE TRIGGER messages_stay BEFORE DELETE ON messages BEGIN SELECT RAISE(ABORT, 'the message log is append-only'); END;
CREATE TRIGGER messages_keep BEFORE UPDATE ON messages BEGIN SELECT RAISE(ABORT, 'the message log is append-only'); END;
CREATE TABLE blocks (number INTEGER PRIMARY KEY, hash BLOB NOT NULL, parent BLOB NOT NULL, timestamp INTEGER NOT NULL)
  STRICT;
CREATE TABLE logs (block INTEGER NOT NULL REFERENCES blocks (number) ON DELETE CASCADE, log_index INTEGER NOT NULL,
  tx BLOB NOT NULL, topics BLOB NOT NULL, data BLOB NOT NULL, input BLOB, PRIMARY KEY (block, log_index)) STRICT;
CREATE TABLE transactions (hash BLOB PRIMARY KEY, nonce INTEGER NOT NULL, purpose TEXT NOT NULL, subject INTEGER NOT NULL,
  raw BLOB NOT NULL, state TEXT NOT NULL, block INTEGER NOT NULL) STRICT;
PRAGMA user_version = 1;
";

/// What came with version 2: batches that need not be judged again.
pub(super) const SCHEMA_2: &str = "
CREATE TABLE found (commitment BLOB NOT NULL, accumulator BLOB NOT NULL, PRIMARY KEY (commitment, accumulator)) STRICT;
PRAGMA user_version = 2;
";

/// What came with version 3: one signature under the receipts of a group. Each signature from before is under one receipt.
const SCHEMA_3: &str = "
CREATE TABLE seals (first INTEGER PRIMARY KEY, count INTEGER NOT NULL, signature BLOB NOT NULL) STRICT;
INSERT INTO seals (first, count, signature) SELECT sequence, 0, receipt_signature FROM messages;
ALTER TABLE messages DROP COLUMN receipt_signature;
CREATE TRIGGER seals_stay BEFORE DELETE ON seals BEGIN SELECT RAISE(ABORT, 'the message log is append-only'); END;
CREATE TRIGGER seals_keep BEFORE UPDATE ON seals BEGIN SELECT RAISE(ABORT, 'the message log is append-only'); END;
PRAGMA user_version = 3;
";

/// What came with version 4: what lies below the base. A message takes effect once, so its place is found by its id.
const SCHEMA_4: &str = "
CREATE TABLE settled (batch INTEGER PRIMARY KEY, block INTEGER NOT NULL, log_index INTEGER NOT NULL,
  tx BLOB NOT NULL) STRICT;
CREATE TABLE effects (batch INTEGER NOT NULL, chunk INTEGER NOT NULL, place INTEGER NOT NULL, message BLOB,
  outcome TEXT NOT NULL, PRIMARY KEY (batch, chunk, place)) STRICT, WITHOUT ROWID;
CREATE INDEX effects_by_message ON effects (message) WHERE message IS NOT NULL;
CREATE TABLE history (account BLOB NOT NULL, position INTEGER NOT NULL, batch INTEGER NOT NULL, chunk INTEGER NOT NULL,
  place INTEGER NOT NULL, PRIMARY KEY (account, position)) STRICT, WITHOUT ROWID;
CREATE INDEX transactions_by_nonce ON transactions (nonce, state, block);
PRAGMA user_version = 4;
";

/// Statements of the writer that are kept prepared.
const STATEMENTS: usize = 64;

/// The embedded store.
#[derive(Debug)]
pub(crate) struct SqliteStore {
    pub(super) connection: Connection,
    pub(super) file: PathBuf,
    /// Keeps a second node off the same folder for as long as this lives.
    _lock: Connection,
}

impl SqliteStore {
    /// Opens or makes the store in `folder` (mode 0700).
    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        create_private_dir(folder)?;
        // The node's own file has readers beside the writer, so the lock that keeps a second node off the folder lies on
        // another one. Nothing is ever written there.
        let lock = Connection::open(folder.join(LOCK))?;
        lock.busy_timeout(PATIENCE)?;
        #[allow(clippy::disallowed_methods, reason = "a lock, which writes nothing")]
        lock.execute_batch("BEGIN EXCLUSIVE")?;
        let file = folder.join(FILE);
        let connection = Connection::open(&file)?;
        connection.busy_timeout(PATIENCE)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // FULL: a commit is on the disk when it returns, or a receipt would be worth nothing after a power cut.
        for (name, value) in [("journal_mode", "WAL"), ("synchronous", "FULL"), ("foreign_keys", "ON")] {
            connection.pragma_update(None, name, value)?;
        }
        let mut store = Self { connection, file, _lock: lock };
        store.migrate()?;
        Ok(store)
    }

    fn migrate(&mut self) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
        let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let steps: &[&str] = match version {
            0 => &[SCHEMA, SCHEMA_2, SCHEMA_3, SCHEMA_4],
            1 => &[SCHEMA_2, SCHEMA_3, SCHEMA_4],
            2 => &[SCHEMA_3, SCHEMA_4],
            3 => &[SCHEMA_4],
            4 => &[],
            newer => return Err(StoreError::Damaged(format!("schema {newer} is of a newer version of this program"))),
        };
        for step in steps {
            #[allow(clippy::disallowed_methods, reason = "inside the transaction that is committed below")]
            transaction.execute_batch(step)?;
        }
        write_point!("node.schema.write", transaction.commit())?;
        Ok(())
    }
}

pub(super) fn number(value: i64) -> u64 {
    value.cast_unsigned()
}

pub(super) fn stored(value: u64) -> i64 {
    value.cast_signed()
}

pub(super) fn hash(row: &Row<'_>, column: &str) -> Result<B256, StoreError> {
    let bytes: Vec<u8> = row.get(column)?;
    B256::try_from(bytes.as_slice()).map_err(|_| StoreError::Damaged(format!("{column} is not 32 bytes")))
}

pub(super) fn block(row: &Row<'_>) -> Result<BlockRef, StoreError> {
    Ok(BlockRef {
        number: number(row.get("number")?),
        hash: hash(row, "hash")?,
        parent: hash(row, "parent")?,
        timestamp: number(row.get("timestamp")?),
    })
}

pub(super) fn message(row: &Row<'_>) -> Result<LoggedMessage, StoreError> {
    let record: Vec<u8> = row.get("record")?;
    let damaged = |_| StoreError::Damaged("a logged message does not read back".to_owned());
    let record: [u8; Record::LENGTH] = record.try_into().map_err(damaged)?;
    Ok(LoggedMessage {
        sequence: number(row.get("sequence")?),
        id: hash(row, "id")?,
        record: Record::decode(&record),
        nonce: number(row.get("nonce")?),
        prev: hash(row, "prev")?,
        time: number(row.get("time")?),
        previous_receipt: hash(row, "previous_receipt")?,
    })
}

pub(super) fn seal(row: &Row<'_>) -> Result<Seal, StoreError> {
    let signature: Vec<u8> = row.get("signature")?;
    Ok(Seal {
        first: number(row.get("first")?),
        count: number(row.get("count")?),
        signature: Signature::from_bytes(&signature)
            .map_err(|_| StoreError::Damaged("a receipt's signature does not read back".to_owned()))?,
    })
}

pub(super) fn log(row: &Row<'_>, block: &BlockRef) -> Result<GatewayLog, StoreError> {
    let topics: Vec<u8> = row.get("topics")?;
    let data: Vec<u8> = row.get("data")?;
    let input: Option<Vec<u8>> = row.get("input")?;
    Ok(GatewayLog {
        block_number: block.number,
        block_hash: block.hash,
        log_index: number(row.get("log_index")?),
        transaction: hash(row, "tx")?,
        topics: topics.chunks_exact(32).map(B256::from_slice).collect(),
        data: data.into(),
        input: input.map(Bytes::from),
    })
}

fn purpose(name: &str, subject: u64) -> Result<Purpose, StoreError> {
    match name {
        "batch" => Ok(Purpose::Batch(subject)),
        "contest" => Ok(Purpose::Contest(subject)),
        "bond" => Ok(Purpose::Bond),
        other => Err(StoreError::Damaged(format!("unknown purpose {other:?}"))),
    }
}

fn state(name: &str, block: u64) -> Result<TransactionState, StoreError> {
    match name {
        "open" => Ok(TransactionState::Open),
        "done" => Ok(TransactionState::Done { block }),
        "reverted" => Ok(TransactionState::Reverted { block }),
        "replaced" => Ok(TransactionState::Replaced),
        other => Err(StoreError::Damaged(format!("unknown transaction state {other:?}"))),
    }
}

fn state_columns(state: TransactionState) -> (&'static str, u64) {
    match state {
        TransactionState::Open => ("open", 0),
        TransactionState::Done { block } => ("done", block),
        TransactionState::Reverted { block } => ("reverted", block),
        TransactionState::Replaced => ("replaced", 0),
    }
}

/// Reads every row; the two kinds of error do not fit `query_map` alone.
pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut values = Vec::new();
    while let Some(row) = rows.next()? {
        values.push(read(row)?);
    }
    Ok(values)
}

impl Store for SqliteStore {
    fn identity(&mut self) -> Result<Option<Identity>, StoreError> {
        let row = self
            .connection
            .query_row("SELECT chain_id, gateway, role, from_block FROM identity", [], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get(2)?, row.get::<_, i64>(3)?))
            })
            .optional()?;
        let Some((chain_id, gateway, role, from_block)) = row else { return Ok(None) };
        let gateway = Address::try_from(gateway.as_slice())
            .map_err(|_| StoreError::Damaged("the gateway is not 20 bytes".to_owned()))?;
        Ok(Some(Identity { chain_id: number(chain_id), gateway, role, from_block: number(from_block) }))
    }

    fn claim(&mut self, identity: &Identity) -> Result<(), StoreError> {
        if let Some(found) = self.identity()? {
            if found == *identity {
                return Ok(());
            }
            let show = |i: &Identity| {
                format!("the {} of {} on chain {} from block {}", i.role, i.gateway, i.chain_id, i.from_block)
            };
            return Err(StoreError::Foreign { found: show(&found), expected: show(identity) });
        }
        let transaction = self.connection.transaction()?;
        transaction.execute(
            "INSERT INTO identity (one, chain_id, gateway, role, from_block) VALUES (1, ?1, ?2, ?3, ?4)",
            params![stored(identity.chain_id), identity.gateway.as_slice(), identity.role, stored(identity.from_block)],
        )?;
        write_point!("node.identity.write", transaction.commit())?;
        Ok(())
    }

    fn append_messages(&mut self, messages: &[LoggedMessage], seals: &[Seal]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO messages (sequence, id, record, nonce, prev, time, previous_receipt)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            for message in messages {
                insert.execute(params![
                    stored(message.sequence),
                    message.id.as_slice(),
                    message.record.encode().as_slice(),
                    stored(message.nonce),
                    message.prev.as_slice(),
                    stored(message.time),
                    message.previous_receipt.as_slice(),
                ])?;
            }
            let mut insert =
                transaction.prepare_cached("INSERT INTO seals (first, count, signature) VALUES (?1, ?2, ?3)")?;
            for Seal { first, count, signature } in seals {
                insert.execute(params![stored(*first), stored(*count), signature.to_bytes().as_slice()])?;
            }
        }
        write_point!("node.messages.append", transaction.commit())?;
        Ok(())
    }

    fn messages(&mut self, from: u64) -> Result<Vec<LoggedMessage>, StoreError> {
        let sql = "SELECT * FROM messages WHERE sequence >= ?1 ORDER BY sequence";
        all(&self.connection, sql, [stored(from)], message)
    }

    fn first_unsettled(&mut self, from: u64, used_up: &dyn Fn(Address, u64) -> bool) -> Result<u64, StoreError> {
        let sql = "SELECT * FROM messages WHERE sequence >= ?1 ORDER BY sequence";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([stored(from)])?;
        let mut next = from;
        while let Some(row) = rows.next()? {
            let message = message(row)?;
            if !used_up(message.record.from, message.nonce) {
                let sql = "SELECT max(first) FROM seals WHERE first <= ?1";
                let first: Option<i64> =
                    self.connection.query_row(sql, [stored(message.sequence)], |row| row.get(0))?;
                return first
                    .map(number)
                    .ok_or_else(|| StoreError::Damaged("a logged message has no receipt".to_owned()));
            }
            next = message.sequence + 1;
        }
        Ok(next)
    }

    fn last_message(&mut self) -> Result<Option<LoggedMessage>, StoreError> {
        let sql = "SELECT * FROM messages ORDER BY sequence DESC LIMIT 1";
        Ok(all(&self.connection, sql, [], message)?.pop())
    }

    fn folder(&self) -> PathBuf {
        self.file.parent().map(Path::to_path_buf).unwrap_or_default()
    }

    fn has_batch(&mut self, base: &Base, accumulator: B256) -> Result<bool, StoreError> {
        let sql = "SELECT * FROM blocks WHERE number = ?1";
        let blocks = all(&self.connection, sql, [stored(base.block.number)], block)?;
        let Some(block) = blocks.into_iter().find(|block| *block == base.block) else { return Ok(false) };
        let sql = "SELECT * FROM logs WHERE block = ?1 AND log_index = ?2";
        let logs = all(&self.connection, sql, [stored(block.number), stored(base.log_index)], |row| log(row, &block))?;
        Ok(logs.iter().any(|log| match gateway::read(log) {
            GatewayEvent::Batch(event) => {
                (event.id, event.commitment, event.root, event.inbox_end)
                    == (base.id, base.commitment, base.root, base.inbox_end)
                    && Submission::decode(&event.input).is_ok_and(|data| data.accumulator == accumulator)
            }
            _ => false,
        }))
    }

    fn below(&self) -> Result<Box<dyn Below>, StoreError> {
        Ok(Box::new(super::below::Reader::open(&self.file)?))
    }

    fn settle(&mut self, batches: &[SettledBatch]) -> Result<(), StoreError> {
        super::below::settle(&mut self.connection, batches)
    }

    fn settled_to(&mut self) -> Result<u64, StoreError> {
        let newest: Option<i64> = self.connection.query_row("SELECT max(batch) FROM settled", [], |row| row.get(0))?;
        Ok(newest.map_or(0, number))
    }

    fn seals(&mut self, from: u64) -> Result<Vec<Seal>, StoreError> {
        all(&self.connection, "SELECT * FROM seals WHERE first >= ?1 ORDER BY first", [stored(from)], seal)
    }

    fn apply_blocks(&mut self, drop_from: Option<u64>, blocks: &[StepBlock]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        {
            if let Some(from) = drop_from {
                transaction.execute("DELETE FROM blocks WHERE number >= ?1", [stored(from)])?;
                super::below::unsettle(&transaction, from)?;
            }
            let mut insert_block = transaction
                .prepare_cached("INSERT INTO blocks (number, hash, parent, timestamp) VALUES (?1, ?2, ?3, ?4)")?;
            let mut insert_log = transaction.prepare_cached(
                "INSERT INTO logs (block, log_index, tx, topics, data, input) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            for StepBlock { block, logs } in blocks {
                insert_block.execute(params![
                    stored(block.number),
                    block.hash.as_slice(),
                    block.parent.as_slice(),
                    stored(block.timestamp)
                ])?;
                for log in logs {
                    let topics: Vec<u8> = log.topics.iter().flat_map(|topic| topic.0).collect();
                    insert_log.execute(params![
                        stored(block.number),
                        stored(log.log_index),
                        log.transaction.as_slice(),
                        topics,
                        log.data.as_ref(),
                        log.input.as_ref().map(|input| input.to_vec())
                    ])?;
                }
            }
            if let Some(newest) = blocks.last() {
                transaction.execute(
                    "DELETE FROM blocks WHERE number < ?1 AND number NOT IN (SELECT block FROM logs)",
                    [stored(newest.block.number.saturating_sub(KEPT_EMPTY_BLOCKS))],
                )?;
            }
        }
        write_point!("node.layer1.apply", transaction.commit())?;
        Ok(())
    }

    fn blocks(&mut self, from: u64, limit: u64) -> Result<Vec<StepBlock>, StoreError> {
        let sql = "SELECT * FROM blocks WHERE number >= ?1 ORDER BY number LIMIT ?2";
        let limit = limit.min(i64::MAX.cast_unsigned());
        let blocks = all(&self.connection, sql, [stored(from), stored(limit)], block)?;
        let mut statement = self.connection.prepare_cached("SELECT * FROM logs WHERE block = ?1 ORDER BY log_index")?;
        let mut steps = Vec::with_capacity(blocks.len());
        for block in blocks {
            let mut logs = Vec::new();
            let mut rows = statement.query([stored(block.number)])?;
            while let Some(row) = rows.next()? {
                logs.push(log(row, &block)?);
            }
            steps.push(StepBlock { block, logs });
        }
        Ok(steps)
    }

    fn note_found(&mut self, batches: &[Key], anew: bool) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        {
            if anew {
                transaction.execute("DELETE FROM found", [])?;
            }
            let mut insert = transaction
                .prepare_cached("INSERT INTO found (commitment, accumulator) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
            for (commitment, accumulator) in batches {
                insert.execute(params![commitment.as_slice(), accumulator.as_slice()])?;
            }
        }
        write_point!("node.found.note", transaction.commit())?;
        Ok(())
    }

    fn found(&mut self) -> Result<HashSet<Key>, StoreError> {
        let keys = all(&self.connection, "SELECT * FROM found", [], |row| {
            Ok((hash(row, "commitment")?, hash(row, "accumulator")?))
        })?;
        Ok(keys.into_iter().collect())
    }

    fn put_transaction(&mut self, outgoing: &OutgoingTransaction) -> Result<(), StoreError> {
        let purpose = outgoing.purpose.name();
        let subject = match outgoing.purpose {
            Purpose::Batch(id) | Purpose::Contest(id) => id,
            Purpose::Bond => 0,
        };
        let (state, block) = state_columns(outgoing.state);
        let transaction = self.connection.transaction()?;
        transaction.execute(
            "INSERT INTO transactions (hash, nonce, purpose, subject, raw, state, block) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                outgoing.hash.as_slice(),
                stored(outgoing.nonce),
                purpose,
                stored(subject),
                outgoing.raw.as_ref(),
                state,
                stored(block)
            ],
        )?;
        write_point!("node.transaction.store", transaction.commit())?;
        Ok(())
    }

    fn set_transaction(&mut self, hash: B256, state: TransactionState) -> Result<(), StoreError> {
        let (state, block) = state_columns(state);
        let transaction = self.connection.transaction()?;
        transaction.execute(
            "UPDATE transactions SET state = ?2, block = ?3 WHERE hash = ?1",
            params![hash.as_slice(), state, stored(block)],
        )?;
        write_point!("node.transaction.update", transaction.commit())?;
        Ok(())
    }

    fn transactions(&mut self, settled: u64) -> Result<Vec<OutgoingTransaction>, StoreError> {
        // The old ones hold every batch there ever was: they are picked by the index alone.
        let sql =
            "SELECT * FROM transactions WHERE rowid IN (SELECT rowid FROM transactions WHERE state = 'open' OR nonce >
               (SELECT coalesce(max(nonce), -1) FROM transactions WHERE state IN ('done', 'reverted') AND block <= ?1))
             ORDER BY nonce, rowid";
        all(&self.connection, sql, [stored(settled)], |row| {
            let raw: Vec<u8> = row.get("raw")?;
            Ok(OutgoingTransaction {
                hash: hash(row, "hash")?,
                nonce: number(row.get("nonce")?),
                purpose: purpose(&row.get::<_, String>("purpose")?, number(row.get("subject")?))?,
                raw: raw.into(),
                state: state(&row.get::<_, String>("state")?, number(row.get("block")?))?,
            })
        })
    }
}
