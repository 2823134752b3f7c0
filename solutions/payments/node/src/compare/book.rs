//! What a replica has seen of its operator's receipts, and what they prove. Durable: a receipt that was shown once can
//! be held against one that is shown later, over any number of restarts.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alloy::primitives::{Address, B256};
use entresol_durable::{create_private_dir, write_point};
use payments_protocol::{Domain, GroupPath, Receipt, Signature, SignedReceipt};
use rusqlite::{Connection, Row, params};
use serde_json::{Value, json};

use crate::store::StoreError;

/// Name of the file in the data directory.
const FILE: &str = "comparison.sqlite";

/// The tables. `receipts` is the chain as it was first shown; `loose` holds what strangers brought and the chain has
/// not reached yet; nothing is ever changed or removed but `loose`.
const SCHEMA: &str = "
CREATE TABLE receipts (sequence INTEGER PRIMARY KEY, message_id BLOB NOT NULL, previous BLOB NOT NULL,
  time INTEGER NOT NULL, signature BLOB NOT NULL, seen_ms INTEGER NOT NULL) STRICT;
CREATE TABLE loose (sequence INTEGER NOT NULL, message_id BLOB NOT NULL, previous BLOB NOT NULL,
  time INTEGER NOT NULL, signature BLOB NOT NULL, seen_ms INTEGER NOT NULL, hash BLOB NOT NULL,
  PRIMARY KEY (sequence, hash)) STRICT;
CREATE TABLE evidence (number INTEGER PRIMARY KEY, first BLOB NOT NULL, second BLOB NOT NULL, body TEXT NOT NULL,
  UNIQUE (first, second)) STRICT;
PRAGMA user_version = 1;
";

/// What came with version 2: the group that a receipt was signed in, as JSON; NULL where it was signed alone.
const SCHEMA_2: &str = "
ALTER TABLE receipts ADD COLUMN signed_in TEXT;
ALTER TABLE loose ADD COLUMN signed_in TEXT;
PRAGMA user_version = 2;
";

/// Most receipts of strangers that are kept for later. Each takes the operator's signature, so only a thieving or broken
/// operator can fill it.
const MAX_LOOSE: u64 = 4_096;

/// Most pieces of evidence that are told at once; one is enough.
const MAX_EVIDENCE: usize = 256;

/// What a receipt turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Finding {
    /// As expected, or known already.
    Fits,
    /// Not signed by the operator: whoever sends it lies, which proves nothing about the operator.
    Forged(String),
    /// Receipts between were left out.
    Gap { expected: u64, got: u64 },
    /// The operator contradicts itself. The text is for people, the body is what to publish.
    Evidence { text: String, body: Value },
}

/// A promise that waits to be seen on layer 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Promised {
    pub(crate) sequence: u64,
    pub(crate) message: B256,
    /// When this replica first saw it, Unix milliseconds by its own clock: the operator's is not believed.
    pub(crate) seen_ms: u64,
}

/// The book.
#[derive(Debug)]
pub(crate) struct Book {
    /// Behind a lock because the node's state is read from many threads.
    connection: Mutex<Connection>,
    domain: Domain,
    operator: Address,
    next: u64,
    last: B256,
}

impl Book {
    /// Opens or makes the book in `folder`.
    pub(crate) fn open(folder: &Path, domain: Domain, operator: Address) -> Result<Self, StoreError> {
        create_private_dir(folder)?;
        let mut connection = Connection::open(folder.join(FILE))?;
        connection.busy_timeout(Duration::from_secs(5))?;
        for (name, value) in [("locking_mode", "EXCLUSIVE"), ("journal_mode", "WAL"), ("synchronous", "FULL")] {
            connection.pragma_update(None, name, value)?;
        }
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
        let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let steps: &[&str] = match version {
            0 => &[SCHEMA, SCHEMA_2],
            1 => &[SCHEMA_2],
            2 => &[],
            newer => return Err(StoreError::Damaged(format!("schema {newer} is of a newer version of this program"))),
        };
        for step in steps {
            #[allow(clippy::disallowed_methods, reason = "inside the transaction that is committed below")]
            transaction.execute_batch(step)?;
        }
        write_point!("node.comparison.schema", transaction.commit())?;
        let mut book = Self { connection: Mutex::new(connection), domain, operator, next: 0, last: B256::ZERO };
        let newest: Option<i64> = book.database().query_row("SELECT MAX(sequence) FROM receipts", [], |r| r.get(0))?;
        if let Some(newest) = newest {
            book.next = newest.cast_unsigned() + 1;
            book.last = book.receipt(newest.cast_unsigned())?.map_or(B256::ZERO, |signed| signed.receipt.hash());
        }
        Ok(book)
    }

    fn database(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sequence number of the first receipt that was not seen yet.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// The receipt as it was first shown.
    pub(crate) fn receipt(&self, sequence: u64) -> Result<Option<SignedReceipt>, StoreError> {
        let database = self.database();
        let mut statement = database.prepare_cached("SELECT * FROM receipts WHERE sequence = ?1")?;
        let mut rows = statement.query([sequence.cast_signed()])?;
        rows.next()?.map(signed).transpose()
    }

    /// Takes receipts as the operator's node showed them, in order; stops at the first that has no place. All that
    /// fits is durable when this returns. `now_ms`: Unix milliseconds.
    pub(crate) fn follow(&mut self, page: &[SignedReceipt], now_ms: u64) -> Result<Vec<Finding>, StoreError> {
        let mut findings = Vec::new();
        let mut fresh = Vec::new();
        let (mut next, mut last) = (self.next, self.last);
        for signed in page {
            if let Some(forged) = self.forged(signed) {
                findings.push(forged);
                break;
            }
            let sequence = signed.receipt.sequence;
            if sequence > next {
                findings.push(Finding::Gap { expected: next, got: sequence });
                break;
            }
            if sequence < next {
                let seen = match self.receipt(sequence)? {
                    Some(seen) => Some(seen),
                    None => fresh.iter().find(|f: &&SignedReceipt| f.receipt.sequence == sequence).cloned(),
                };
                if let Some(seen) = seen
                    && seen.receipt.hash() != signed.receipt.hash()
                {
                    findings.push(self.twice(&seen, signed, now_ms)?);
                }
                continue;
            }
            if signed.receipt.previous_receipt != last {
                let before = match fresh.last() {
                    Some(before) => Some(before.clone()),
                    None => self.receipt(sequence.wrapping_sub(1))?,
                };
                findings.push(self.broken(before.as_ref(), signed, now_ms)?);
            }
            for stranger in self.loose(sequence)? {
                if stranger.receipt.hash() != signed.receipt.hash() {
                    findings.push(self.twice(&stranger, signed, now_ms)?);
                }
            }
            (next, last) = (sequence + 1, signed.receipt.hash());
            fresh.push(signed.clone());
        }
        if !fresh.is_empty() {
            self.insert("receipts", &fresh, now_ms)?;
            (self.next, self.last) = (next, last);
        }
        Ok(findings)
    }

    /// Takes a receipt that somebody holds, from wherever. Durable when this returns.
    pub(crate) fn bring(&mut self, signed: &SignedReceipt, now_ms: u64) -> Result<Finding, StoreError> {
        if let Some(forged) = self.forged(signed) {
            return Ok(forged);
        }
        let sequence = signed.receipt.sequence;
        let mut others = self.loose(sequence)?;
        others.extend(self.receipt(sequence)?);
        let hash = signed.receipt.hash();
        if let Some(other) = others.iter().find(|other| other.receipt.hash() != hash) {
            return self.twice(other, signed, now_ms);
        }
        if others.is_empty() {
            let kept: i64 = self.database().query_row("SELECT COUNT(*) FROM loose", [], |row| row.get(0))?;
            if kept.cast_unsigned() < MAX_LOOSE {
                self.insert("loose", std::slice::from_ref(signed), now_ms)?;
            }
        }
        Ok(Finding::Fits)
    }

    /// Everything that proves something, oldest first.
    pub(crate) fn evidence(&self) -> Result<Vec<Value>, StoreError> {
        let database = self.database();
        let mut statement = database.prepare_cached("SELECT body FROM evidence ORDER BY number LIMIT ?1")?;
        let mut rows = statement.query([MAX_EVIDENCE as i64])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let body: String = row.get(0)?;
            all.push(serde_json::from_str(&body).map_err(|_| damaged())?);
        }
        Ok(all)
    }

    /// Promises from a sequence number on, at most `limit`.
    pub(crate) fn promises(&self, from: u64, limit: usize) -> Result<Vec<Promised>, StoreError> {
        let database = self.database();
        let mut statement = database.prepare_cached(
            "SELECT sequence, message_id, seen_ms FROM receipts WHERE sequence >= ?1 ORDER BY sequence LIMIT ?2",
        )?;
        let mut rows = statement.query([from.cast_signed(), i64::try_from(limit).unwrap_or(i64::MAX)])?;
        let mut promises = Vec::new();
        while let Some(row) = rows.next()? {
            promises.push(Promised {
                sequence: row.get::<_, i64>(0)?.cast_unsigned(),
                message: hash(row, "message_id")?,
                seen_ms: row.get::<_, i64>(2)?.cast_unsigned(),
            });
        }
        Ok(promises)
    }

    fn forged(&self, signed: &SignedReceipt) -> Option<Finding> {
        let sequence = signed.receipt.sequence;
        match signed.signer(&self.domain) {
            // SQLite counts in 63 bits, and no operator ever gets there.
            Ok(signer) if signer == self.operator && sequence < i64::MAX as u64 => None,
            Ok(signer) if signer == self.operator => Some(Finding::Forged(format!("receipt {sequence} cannot be"))),
            Ok(signer) => Some(Finding::Forged(format!("receipt {sequence} is signed by {signer}"))),
            Err(error) => Some(Finding::Forged(format!("receipt {sequence} has no valid signature: {error}"))),
        }
    }

    fn loose(&self, sequence: u64) -> Result<Vec<SignedReceipt>, StoreError> {
        let database = self.database();
        let mut statement = database.prepare_cached("SELECT * FROM loose WHERE sequence = ?1")?;
        let mut rows = statement.query([sequence.cast_signed()])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(signed(row)?);
        }
        Ok(all)
    }

    fn twice(&mut self, first: &SignedReceipt, second: &SignedReceipt, now_ms: u64) -> Result<Finding, StoreError> {
        let text = format!("the operator signed two receipts with sequence number {}", first.receipt.sequence);
        self.prove(text, Some(first), second, now_ms)
    }

    fn broken(
        &mut self,
        before: Option<&SignedReceipt>,
        signed: &SignedReceipt,
        now_ms: u64,
    ) -> Result<Finding, StoreError> {
        let sequence = signed.receipt.sequence;
        let text = match before {
            Some(_) => format!("receipt {sequence} does not point to receipt {} that was shown", sequence - 1),
            None => format!("receipt {sequence} points to a receipt before the first"),
        };
        self.prove(text, before, signed, now_ms)
    }

    fn prove(
        &mut self,
        text: String,
        first: Option<&SignedReceipt>,
        second: &SignedReceipt,
        now_ms: u64,
    ) -> Result<Finding, StoreError> {
        let body = json!({
            "kind": "equivocation",
            "text": text,
            "chainId": self.domain.chain_id().to_string(),
            "gateway": self.domain.gateway(),
            "operator": self.operator,
            "first": first,
            "second": second,
            "foundMs": now_ms.to_string(),
        });
        let hashes = [first.map_or(B256::ZERO, |first| first.receipt.hash()), second.receipt.hash()];
        let mut database = self.database();
        let transaction = database.transaction()?;
        let added = transaction.execute(
            "INSERT OR IGNORE INTO evidence (first, second, body) VALUES (?1, ?2, ?3)",
            params![hashes[0].as_slice(), hashes[1].as_slice(), body.to_string()],
        )?;
        if added == 0 {
            // Proven before, and said before.
            return Ok(Finding::Fits);
        }
        write_point!("node.comparison.write", transaction.commit())?;
        Ok(Finding::Evidence { text, body })
    }

    fn insert(&mut self, table: &str, receipts: &[SignedReceipt], now_ms: u64) -> Result<(), StoreError> {
        let mut database = self.database();
        let transaction = database.transaction()?;
        {
            let (more, values) = match table {
                "loose" => (", hash", ", ?8"),
                _ => ("", ""),
            };
            let mut insert = transaction.prepare_cached(&format!(
                "INSERT INTO {table} (sequence, message_id, previous, time, signature, seen_ms, signed_in{more})
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7{values})"
            ))?;
            for SignedReceipt { receipt, group, signature } in receipts {
                let (sequence, time, now) =
                    (receipt.sequence.cast_signed(), receipt.time.cast_signed(), now_ms.cast_signed());
                let (id, previous, hash) = (receipt.message_id, receipt.previous_receipt, receipt.hash());
                let signature = signature.to_bytes();
                let signed_in = group.as_ref().map(|group| json!(group).to_string());
                match table {
                    "loose" => insert.execute(params![
                        sequence,
                        id.as_slice(),
                        previous.as_slice(),
                        time,
                        signature.as_slice(),
                        now,
                        signed_in,
                        hash.as_slice()
                    ])?,
                    _ => insert.execute(params![
                        sequence,
                        id.as_slice(),
                        previous.as_slice(),
                        time,
                        signature.as_slice(),
                        now,
                        signed_in
                    ])?,
                };
            }
        }
        write_point!("node.comparison.write", transaction.commit())?;
        Ok(())
    }
}

fn damaged() -> StoreError {
    StoreError::Damaged("what was seen of the operator does not read back".to_owned())
}

fn hash(row: &Row<'_>, column: &str) -> Result<B256, StoreError> {
    let bytes: Vec<u8> = row.get(column)?;
    B256::try_from(bytes.as_slice()).map_err(|_| damaged())
}

fn signed(row: &Row<'_>) -> Result<SignedReceipt, StoreError> {
    let signature: Vec<u8> = row.get("signature")?;
    let signed_in: Option<String> = row.get("signed_in")?;
    let group = signed_in.map(|text| serde_json::from_str::<GroupPath>(&text)).transpose().map_err(|_| damaged())?;
    Ok(SignedReceipt {
        receipt: Receipt {
            message_id: hash(row, "message_id")?,
            sequence: row.get::<_, i64>("sequence")?.cast_unsigned(),
            previous_receipt: hash(row, "previous")?,
            time: row.get::<_, i64>("time")?.cast_unsigned(),
        },
        group,
        signature: Signature::from_bytes(&signature).map_err(|_| damaged())?,
    })
}

#[cfg(test)]
mod tests;
