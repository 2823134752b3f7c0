//! Deposits, withdrawals and payments in the user's history, stage by stage.

use entresol_durable::write_point;
use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::database::{Store, begin};
use crate::row::text_enum;
use crate::{SolutionId, StoreError, row};

text_enum! {
    /// Which way value goes.
    pub enum TransferKind {
        /// Layer 1 to layer 2.
        Deposit = "deposit",
        /// Layer 2 to layer 1.
        Withdrawal = "withdrawal",
        /// Received on layer 2.
        PaymentIn = "payment-in",
        /// Sent on layer 2.
        PaymentOut = "payment-out",
    }
}

/// A transfer to be stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewTransfer {
    /// Whose.
    pub solution: SolutionId,
    /// Which way.
    pub kind: TransferKind,
    /// Decimal, in the asset's smallest unit.
    pub amount: String,
    /// `ETH`, or what the plugin calls it.
    pub asset: String,
    /// The stage it starts in.
    pub stage: String,
    /// All stages, in order: the plugin's data.
    pub stages: Value,
    /// True when the plugin itself tracks it; such a transfer has no approval.
    #[serde(default)]
    pub plugin: bool,
    /// The approval it came from; one transfer each.
    pub approval_id: Option<u64>,
    /// Its layer-1 transaction.
    pub tx_hash: Option<String>,
    /// Anything else.
    pub detail: Value,
}

/// A stored transfer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// Its number.
    pub id: u64,
    /// What it is, in its present stage.
    #[serde(flatten)]
    pub transfer: NewTransfer,
    /// Unix milliseconds.
    pub created_at: u64,
    /// Unix milliseconds.
    pub updated_at: u64,
}

/// `transfer.stage` reads better than `transfer.transfer.stage`.
impl std::ops::Deref for Transfer {
    type Target = NewTransfer;

    fn deref(&self) -> &NewTransfer {
        &self.transfer
    }
}

/// What changes; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TransferUpdate {
    /// New stage; it may be an earlier one.
    pub stage: Option<String>,
    /// Its layer-1 transaction.
    pub tx_hash: Option<String>,
    /// Replaces the detail.
    pub detail: Option<Value>,
}

/// Which transfers to list; the default is all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferFilter {
    /// Only this solution.
    pub solution: Option<SolutionId>,
    /// Only this kind.
    pub kind: Option<TransferKind>,
    /// Only those created at or after this time, unix milliseconds.
    pub since: Option<u64>,
    /// Only those created before this time, unix milliseconds.
    pub until: Option<u64>,
    /// The newest so many.
    pub limit: Option<u32>,
}

fn read(r: &Row<'_>) -> rusqlite::Result<Transfer> {
    Ok(Transfer {
        id: r.get("id")?,
        transfer: NewTransfer {
            solution: r.get("solution")?,
            kind: r.get("kind")?,
            amount: r.get("amount")?,
            asset: r.get("asset")?,
            stage: r.get("stage")?,
            stages: row::json(r, "stages")?,
            plugin: r.get("plugin")?,
            approval_id: r.get("approval_id")?,
            tx_hash: r.get("tx_hash")?,
            detail: row::json(r, "detail")?,
        },
        created_at: r.get("created_at")?,
        updated_at: r.get("updated_at")?,
    })
}

fn get(connection: &Connection, id: u64) -> Result<Transfer, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM transfers WHERE id = ?1")?;
    let found = statement.query_row([id], read).optional()?;
    found.ok_or_else(|| StoreError::NotFound { what: "transfer", id: id.to_string() })
}

fn by_approval(connection: &Connection, approval_id: u64) -> rusqlite::Result<Option<Transfer>> {
    let mut statement = connection.prepare_cached("SELECT * FROM transfers WHERE approval_id = ?1")?;
    statement.query_row([approval_id], read).optional()
}

impl Store {
    /// Stores a transfer. A second one for the same approval is not stored: the first is returned.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn create_transfer(&self, new: &NewTransfer, now: u64) -> Result<Transfer, StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        if let Some(approval_id) = new.approval_id
            && let Some(known) = by_approval(&tx, approval_id)?
        {
            return Ok(known);
        }
        tx.execute(
            "INSERT INTO transfers (solution, kind, amount, asset, stage, stages, plugin, approval_id, tx_hash,
                detail, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11)",
            rusqlite::params![
                new.solution,
                new.kind,
                new.amount,
                new.asset,
                new.stage,
                row::to_json(&new.stages)?,
                new.plugin,
                new.approval_id,
                new.tx_hash,
                row::to_json(&new.detail)?,
                now
            ],
        )?;
        let id = u64::try_from(tx.last_insert_rowid()).unwrap_or_default();
        write_point!("store.transfer.create", tx.commit())?;
        Ok(Transfer { id, transfer: new.clone(), created_at: now, updated_at: now })
    }

    /// Moves a transfer to another stage, forwards or back. An update that changes nothing is not written.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound).
    pub fn update_transfer(&self, id: u64, update: &TransferUpdate, now: u64) -> Result<Transfer, StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        let known = get(&tx, id)?;
        let mut changed = known.clone();
        if let Some(stage) = &update.stage {
            changed.transfer.stage.clone_from(stage);
        }
        if let Some(hash) = &update.tx_hash {
            changed.transfer.tx_hash = Some(hash.clone());
        }
        if let Some(detail) = &update.detail {
            changed.transfer.detail = detail.clone();
        }
        if changed == known {
            return Ok(known);
        }
        changed.updated_at = now;
        tx.execute(
            "UPDATE transfers SET stage = ?2, tx_hash = ?3, detail = ?4, updated_at = ?5 WHERE id = ?1",
            (id, &changed.stage, &changed.tx_hash, row::to_json(&changed.detail)?, now),
        )?;
        write_point!("store.transfer.update", tx.commit())?;
        Ok(changed)
    }

    /// One transfer.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound).
    pub fn transfer(&self, id: u64) -> Result<Transfer, StoreError> {
        get(&self.connection(), id)
    }

    /// The transfer of an approval.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn transfer_by_approval(&self, approval_id: u64) -> Result<Option<Transfer>, StoreError> {
        Ok(by_approval(&self.connection(), approval_id)?)
    }

    /// Transfers that a layer-1 transaction carries.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn transfers_by_transaction(&self, hash: &str) -> Result<Vec<Transfer>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT * FROM transfers WHERE tx_hash = ?1 ORDER BY id")?;
        Ok(statement.query_map([hash], read)?.collect::<Result<_, _>>()?)
    }

    /// Transfers, oldest first; with a limit the newest ones.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn transfers(&self, filter: TransferFilter) -> Result<Vec<Transfer>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM (SELECT * FROM transfers
                WHERE (?1 IS NULL OR solution = ?1) AND (?2 IS NULL OR kind = ?2)
                    AND (?3 IS NULL OR created_at >= ?3) AND (?4 IS NULL OR created_at < ?4)
                ORDER BY id DESC LIMIT ?5) ORDER BY id",
        )?;
        let TransferFilter { solution, kind, since, until, limit } = filter;
        let limit = limit.map_or(-1, i64::from);
        Ok(statement.query_map((solution, kind, since, until, limit), read)?.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests;
