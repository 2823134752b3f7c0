//! [`Store`] in one SQLite file.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes};
use entresol_durable::{create_private_dir, write_point};
use payments_protocol::{Record, Signature};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Identity, LoggedMessage, OutgoingTransaction, Purpose, Seal, Store, StoreError, TransactionState};
use crate::chain::Key;
use crate::layer1::{BlockRef, GatewayLog, StepBlock};

/// Name of the file in the data directory.
const FILE: &str = "node.sqlite";

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

/// The embedded store.
#[derive(Debug)]
pub(crate) struct SqliteStore {
    connection: Connection,
}

impl SqliteStore {
    /// Opens or makes the store in `folder` (mode 0700).
    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        create_private_dir(folder)?;
        let connection = Connection::open(folder.join(FILE))?;
        connection.busy_timeout(Duration::from_secs(5))?;
        // FULL: a commit is on the disk when it returns, or a receipt would be worth nothing after a power cut.
        // An exclusive lock keeps a second node off the same folder.
        for (name, value) in
            [("locking_mode", "EXCLUSIVE"), ("journal_mode", "WAL"), ("synchronous", "FULL"), ("foreign_keys", "ON")]
        {
            connection.pragma_update(None, name, value)?;
        }
        let mut store = Self { connection };
        store.migrate()?;
        Ok(store)
    }

    fn migrate(&mut self) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
        let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let steps: &[&str] = match version {
            0 => &[SCHEMA, SCHEMA_2, SCHEMA_3],
            1 => &[SCHEMA_2, SCHEMA_3],
            2 => &[SCHEMA_3],
            3 => &[],
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

fn number(value: i64) -> u64 {
    value.cast_unsigned()
}

fn stored(value: u64) -> i64 {
    value.cast_signed()
}

fn hash(row: &Row<'_>, column: &str) -> Result<B256, StoreError> {
    let bytes: Vec<u8> = row.get(column)?;
    B256::try_from(bytes.as_slice()).map_err(|_| StoreError::Damaged(format!("{column} is not 32 bytes")))
}

fn block(row: &Row<'_>) -> Result<BlockRef, StoreError> {
    Ok(BlockRef {
        number: number(row.get("number")?),
        hash: hash(row, "hash")?,
        parent: hash(row, "parent")?,
        timestamp: number(row.get("timestamp")?),
    })
}

fn message(row: &Row<'_>) -> Result<LoggedMessage, StoreError> {
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

fn seal(row: &Row<'_>) -> Result<Seal, StoreError> {
    let signature: Vec<u8> = row.get("signature")?;
    Ok(Seal {
        first: number(row.get("first")?),
        count: number(row.get("count")?),
        signature: Signature::from_bytes(&signature)
            .map_err(|_| StoreError::Damaged("a receipt's signature does not read back".to_owned()))?,
    })
}

fn log(row: &Row<'_>, block: &BlockRef) -> Result<GatewayLog, StoreError> {
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
fn all<T>(
    connection: &Connection,
    sql: &str,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
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

    fn messages(&mut self) -> Result<Vec<LoggedMessage>, StoreError> {
        all(&self.connection, "SELECT * FROM messages ORDER BY sequence", message)
    }

    fn seals(&mut self) -> Result<Vec<Seal>, StoreError> {
        all(&self.connection, "SELECT * FROM seals ORDER BY first", seal)
    }

    fn apply_blocks(&mut self, drop_from: Option<u64>, blocks: &[StepBlock]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        {
            if let Some(from) = drop_from {
                transaction.execute("DELETE FROM blocks WHERE number >= ?1", [stored(from)])?;
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

    fn blocks(&mut self) -> Result<Vec<StepBlock>, StoreError> {
        let blocks = all(&self.connection, "SELECT * FROM blocks ORDER BY number", block)?;
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
        let keys = all(&self.connection, "SELECT * FROM found", |row| {
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

    fn transactions(&mut self) -> Result<Vec<OutgoingTransaction>, StoreError> {
        all(&self.connection, "SELECT * FROM transactions ORDER BY nonce, rowid", |row| {
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
