//! Layer-1 transactions of this wallet: stored signed, before they are broadcast, and followed.

use entresol_durable::write_point;
use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};

use crate::database::{Store, begin};
use crate::row::text_enum;
use crate::{SolutionId, StoreError};

text_enum! {
    /// How far a transaction has come. It goes back when the chain reorganises.
    pub enum TransactionState {
        /// Signed and stored, not known to have been broadcast.
        Stored = "stored",
        /// Handed to the network.
        Broadcast = "broadcast",
        /// In a block, successful or reverted.
        Included = "included",
        /// In a block under enough others.
        Confirmed = "confirmed",
        /// Another transaction of the same nonce was signed in its place; still followed, as either may be included.
        Superseded = "superseded",
        /// Can never be included, or was confirmed as reverted.
        Failed = "failed",
        /// Another transaction took its nonce.
        Replaced = "replaced",
    }
}

impl TransactionState {
    /// True while the chain still has to say something about it.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Stored | Self::Broadcast | Self::Included | Self::Superseded)
    }
}

/// One transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Hash, lower-case `0x` hex.
    pub hash: String,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Sender, lower-case `0x` hex.
    pub from: String,
    /// Nonce.
    pub nonce: u64,
    /// The signed bytes (EIP-2718), `0x` hex.
    pub raw: String,
    /// The approval whose effect it is; each has one transaction that is not replaced, and those that replace it.
    pub approval_id: Option<u64>,
    /// The solution it serves.
    pub solution: Option<SolutionId>,
    /// What it is for, such as `deposit`.
    pub purpose: String,
    /// How far it has come.
    pub state: TransactionState,
    /// Block it is in.
    pub block_number: Option<u64>,
    /// Hash of that block.
    pub block_hash: Option<String>,
    /// Whether it succeeded, once in a block.
    pub success: Option<bool>,
    /// Gas.
    pub gas_used: Option<u64>,
    /// Wei per gas, decimal.
    pub effective_gas_price: Option<String>,
    /// Why it failed.
    pub failure: Option<String>,
    /// Unix milliseconds.
    pub created_at: u64,
    /// Unix milliseconds.
    pub updated_at: u64,
}

/// All that the chain says about a transaction: every field replaces the stored one, `None` clears it (a reorganisation
/// takes the block back).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionUpdate {
    /// New state.
    pub state: TransactionState,
    /// Block it is in.
    pub block_number: Option<u64>,
    /// Hash of that block.
    pub block_hash: Option<String>,
    /// Whether it succeeded.
    pub success: Option<bool>,
    /// Gas.
    pub gas_used: Option<u64>,
    /// Wei per gas, decimal.
    pub effective_gas_price: Option<String>,
    /// Why it failed.
    pub failure: Option<String>,
}

impl TransactionUpdate {
    /// A state with nothing known about a block.
    #[must_use]
    pub const fn state(state: TransactionState) -> Self {
        Self {
            state,
            block_number: None,
            block_hash: None,
            success: None,
            gas_used: None,
            effective_gas_price: None,
            failure: None,
        }
    }
}

fn read(r: &Row<'_>) -> rusqlite::Result<Transaction> {
    Ok(Transaction {
        hash: r.get("hash")?,
        chain_id: r.get("chain_id")?,
        from: r.get("sender")?,
        nonce: r.get("nonce")?,
        raw: r.get("raw")?,
        approval_id: r.get("approval_id")?,
        solution: r.get("solution")?,
        purpose: r.get("purpose")?,
        state: r.get("state")?,
        block_number: r.get("block_number")?,
        block_hash: r.get("block_hash")?,
        success: r.get("success")?,
        gas_used: r.get("gas_used")?,
        effective_gas_price: r.get("effective_gas_price")?,
        failure: r.get("failure")?,
        created_at: r.get("created_at")?,
        updated_at: r.get("updated_at")?,
    })
}

fn get(connection: &Connection, hash: &str) -> rusqlite::Result<Option<Transaction>> {
    let mut statement = connection.prepare_cached("SELECT * FROM transactions WHERE hash = ?1")?;
    statement.query_row([hash], read).optional()
}

fn by_approval(connection: &Connection, approval_id: u64) -> rusqlite::Result<Option<Transaction>> {
    // Of those with one nonce, the one that the chain included; else the one that was signed last.
    let mut statement = connection.prepare_cached(
        "SELECT * FROM transactions WHERE approval_id = ?1 AND state <> 'replaced'
         ORDER BY success IS NOT NULL DESC, state IN ('superseded', 'failed'), created_at DESC LIMIT 1",
    )?;
    statement.query_row([approval_id], read).optional()
}

fn refuse_taken(connection: &Connection, new: &Transaction) -> Result<(), StoreError> {
    if let Some(approval_id) = new.approval_id
        && new.state != TransactionState::Replaced
        && let Some(other) = by_approval(connection, approval_id)?
    {
        return Err(StoreError::ApprovalUsed { approval_id, hash: other.hash });
    }
    let nonce_taken = new.state.is_open()
        && connection
            .prepare_cached(
                "SELECT 1 FROM transactions WHERE chain_id = ?1 AND sender = ?2 AND nonce = ?3
                    AND state IN ('stored', 'broadcast', 'included', 'superseded')",
            )?
            .exists((new.chain_id, &new.from, new.nonce))?;
    if nonce_taken {
        return Err(StoreError::NonceTaken { chain_id: new.chain_id, from: new.from.clone(), nonce: new.nonce });
    }
    Ok(())
}

fn insert(tx: &rusqlite::Transaction<'_>, new: &Transaction, replaces: Option<&str>) -> rusqlite::Result<()> {
    tx.execute(
        "INSERT INTO transactions (hash, chain_id, sender, nonce, raw, approval_id, solution, purpose, state,
            block_number, block_hash, success, gas_used, effective_gas_price, failure, created_at, updated_at, replaces)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
        rusqlite::params![
            new.hash,
            new.chain_id,
            new.from,
            new.nonce,
            new.raw,
            new.approval_id,
            new.solution,
            new.purpose,
            new.state,
            new.block_number,
            new.block_hash,
            new.success,
            new.gas_used,
            new.effective_gas_price,
            new.failure,
            new.created_at,
            new.updated_at,
            replaces
        ],
    )?;
    Ok(())
}

impl Store {
    /// Stores a signed transaction; call it before the broadcast. A hash that is stored already is left as it is.
    ///
    /// # Errors
    /// [`ApprovalUsed`](StoreError::ApprovalUsed) when the approval has its transaction,
    /// [`NonceTaken`](StoreError::NonceTaken) when an open transaction of the sender has the nonce.
    pub fn insert_transaction(&self, new: &Transaction) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        if get(&tx, &new.hash)?.is_some() {
            return Ok(());
        }
        refuse_taken(&tx, new)?;
        insert(&tx, new, None)?;
        write_point!("store.transaction.insert", tx.commit())?;
        Ok(())
    }

    /// Stores a signed transaction in the place of an open one with the same chain, sender and nonce; call it before the
    /// broadcast. The old one becomes [`Superseded`](TransactionState::Superseded) and is followed further: the chain
    /// includes at most one of the two, and until then nobody knows which. Without an approval of its own (a cancel has
    /// one) the new one has that of the old one. A hash that is stored already is left as it is.
    ///
    /// # Errors
    /// [`NotAReplacement`](StoreError::NotAReplacement), [`NotFound`](StoreError::NotFound) for the old one,
    /// [`ApprovalUsed`](StoreError::ApprovalUsed) when an approval of its own has its transaction.
    pub fn replace_transaction(&self, old: &str, new: &Transaction) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        if get(&tx, &new.hash)?.is_some() {
            return Ok(());
        }
        let Some(known) = get(&tx, old)? else {
            return Err(StoreError::NotFound { what: "transaction", id: old.to_owned() });
        };
        let refuse = |reason| Err(StoreError::NotAReplacement { old: old.to_owned(), new: new.hash.clone(), reason });
        if (known.chain_id, &known.from, known.nonce) != (new.chain_id, &new.from, new.nonce) {
            return refuse("chain, sender and nonce must be the same");
        }
        if !known.state.is_open() || known.state == TransactionState::Included {
            return refuse("it is in a block or can never be in one");
        }
        if let Some(approval_id) = new.approval_id
            && new.approval_id != known.approval_id
            && let Some(other) = by_approval(&tx, approval_id)?
        {
            return Err(StoreError::ApprovalUsed { approval_id, hash: other.hash });
        }
        tx.execute(
            "UPDATE transactions SET state = 'superseded', updated_at = ?4
             WHERE chain_id = ?1 AND sender = ?2 AND nonce = ?3 AND state IN ('stored', 'broadcast')",
            (new.chain_id, &new.from, new.nonce, new.created_at),
        )?;
        let new = Transaction { approval_id: new.approval_id.or(known.approval_id), ..new.clone() };
        insert(&tx, &new, Some(old))?;
        write_point!("store.transaction.replace", tx.commit())?;
        Ok(())
    }

    /// Notes how far a transaction has come. An update that changes nothing is not written.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound).
    pub fn update_transaction(&self, hash: &str, update: &TransactionUpdate, now: u64) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        let Some(known) = get(&tx, hash)? else {
            return Err(StoreError::NotFound { what: "transaction", id: hash.to_owned() });
        };
        let same = TransactionUpdate {
            state: known.state,
            block_number: known.block_number,
            block_hash: known.block_hash,
            success: known.success,
            gas_used: known.gas_used,
            effective_gas_price: known.effective_gas_price,
            failure: known.failure,
        } == *update;
        if same {
            return Ok(());
        }
        tx.execute(
            "UPDATE transactions SET state = ?2, block_number = ?3, block_hash = ?4, success = ?5, gas_used = ?6,
                effective_gas_price = ?7, failure = ?8, updated_at = ?9 WHERE hash = ?1",
            rusqlite::params![
                hash,
                update.state,
                update.block_number,
                update.block_hash,
                update.success,
                update.gas_used,
                update.effective_gas_price,
                update.failure,
                now
            ],
        )?;
        write_point!("store.transaction.update", tx.commit())?;
        Ok(())
    }

    /// One transaction.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn transaction(&self, hash: &str) -> Result<Option<Transaction>, StoreError> {
        Ok(get(&self.connection(), hash)?)
    }

    /// The transaction of an approval, never a replaced one.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn transaction_by_approval(&self, approval_id: u64) -> Result<Option<Transaction>, StoreError> {
        Ok(by_approval(&self.connection(), approval_id)?)
    }

    /// Everything signed with the nonce of this transaction, the transaction itself and what it replaced or was replaced
    /// by, oldest first.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn transactions_of_same_nonce(&self, hash: &str) -> Result<Vec<Transaction>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT other.* FROM transactions one JOIN transactions other USING (chain_id, sender, nonce)
             WHERE one.hash = ?1 ORDER BY other.created_at, other.replaces IS NOT NULL",
        )?;
        Ok(statement.query_map([hash], read)?.collect::<Result<_, _>>()?)
    }

    /// Transactions of a chain that are not at their end ([`TransactionState::is_open`]), by sender and nonce, oldest
    /// first: what a start has to look up.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn open_transactions(&self, chain_id: u64) -> Result<Vec<Transaction>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM transactions WHERE chain_id = ?1 AND state IN ('stored', 'broadcast', 'included', 'superseded')
             ORDER BY sender, nonce, created_at",
        )?;
        Ok(statement.query_map([chain_id], read)?.collect::<Result<_, _>>()?)
    }

    /// The highest nonce among a sender's open transactions. Closed ones do not count: the chain knows them, and a
    /// devnet that was started anew must not be left with a gap.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn highest_open_nonce(&self, chain_id: u64, from: &str) -> Result<Option<u64>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT max(nonce) FROM transactions WHERE chain_id = ?1 AND sender = ?2
                AND state IN ('stored', 'broadcast', 'included', 'superseded')",
        )?;
        Ok(statement.query_row((chain_id, from), |row| row.get(0))?)
    }

    /// The newest transactions of a chain that came to an end in a block, or were replaced: a reorganisation may have
    /// taken that back while nobody looked.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn settled_transactions(&self, chain_id: u64, limit: u32) -> Result<Vec<Transaction>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM transactions
             WHERE chain_id = ?1 AND (state IN ('confirmed', 'replaced') OR state = 'failed' AND block_hash IS NOT NULL)
             ORDER BY created_at DESC, nonce DESC LIMIT ?2",
        )?;
        Ok(statement.query_map((chain_id, limit), read)?.collect::<Result<_, _>>()?)
    }

    /// The newest transactions, of one solution or of all.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn transactions(&self, solution: Option<SolutionId>, limit: u32) -> Result<Vec<Transaction>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT * FROM transactions WHERE ?1 IS NULL OR solution = ?1 ORDER BY created_at DESC, nonce DESC LIMIT ?2",
        )?;
        Ok(statement.query_map((solution, limit), read)?.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests;
