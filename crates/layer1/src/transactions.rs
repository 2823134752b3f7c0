//! Sending transactions.
//!
//! The order is: [`prepare`](Transactions::prepare) (nonce, gas, fees) → the vault signs → [`submit`](Transactions::submit)
//! (stored, then broadcast) → [`follow`](Transactions::follow). After a start [`resume`](Transactions::resume) finds what
//! was stored, looks for it by hash, and broadcasts the same bytes again where the chain does not know them.
//!
//! Ownership: [`Transactions`] is a handle; the last clone ends the task that follows. The task writes every status; the
//! log has it before any watcher sees it.

mod book;
mod follow;
mod replace;
mod stored;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use alloy::consensus::TxEip1559;
use alloy::primitives::{Address, B256, U64, U256};
use entresol_durable::write_point;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::Layer1Error;
use crate::network::{CallRequest, Network};
use book::{Answer, Book, Step};
use follow::{NonceUse, Observation, Receipt, Refusal, View};

pub use replace::{OpenTransaction, Stuck, StuckReason};
pub use stored::{Inclusion, StoredTransaction, TransactionStatus};

/// An error of the [`TransactionLog`], whatever its storage is.
pub type TransactionLogError = Box<dyn std::error::Error + Send + Sync>;

/// The durable list of transactions. Synchronous: each call returns when the change is on disk.
pub trait TransactionLog: Send + Sync {
    /// Adds a transaction; the same hash again is no error.
    ///
    /// # Errors
    /// Whatever keeps it from being durable; then nothing is broadcast.
    fn insert(&self, transaction: &StoredTransaction) -> Result<(), TransactionLogError>;

    /// Notes how far a transaction is.
    ///
    /// # Errors
    /// Whatever keeps it from being durable; the status is tried again with the next block.
    fn update(&self, hash: B256, status: &TransactionStatus) -> Result<(), TransactionLogError>;

    /// Adds `new`, which replaces `old` at the same nonce, and notes `old` as [`TransactionStatus::Superseded`]: both
    /// or nothing. `old` stays among the [open](TransactionLog::open) ones, because either may be mined.
    ///
    /// The default marks `old` first and then inserts: a crash in between leaves an `old` that is followed as before.
    ///
    /// # Errors
    /// Whatever keeps it from being durable; then nothing is broadcast.
    fn replace(&self, old: B256, new: &StoredTransaction) -> Result<(), TransactionLogError> {
        self.update(old, &TransactionStatus::Superseded)?;
        self.insert(new)
    }

    /// All transactions of a chain whose status is not [settled](TransactionStatus::is_settled).
    ///
    /// # Errors
    /// Whatever keeps them from being read.
    fn open(&self, chain_id: u64) -> Result<Vec<StoredTransaction>, TransactionLogError>;

    /// The newest `most` transactions of a chain that are confirmed or replaced. After a start each is looked up once: a
    /// reorganisation may have taken it back while nobody looked.
    ///
    /// The default knows none: then what was settled before a start is not taken back after it.
    ///
    /// # Errors
    /// Whatever keeps them from being read.
    fn settled(&self, chain_id: u64, most: usize) -> Result<Vec<StoredTransaction>, TransactionLogError> {
        let _ = (chain_id, most);
        Ok(Vec::new())
    }
}

/// Sends and follows the transactions of one network. Clones are handles to the same ledger.
#[derive(Clone)]
pub struct Transactions {
    shared: Arc<Shared>,
    _stop_on_drop: Arc<DropGuard>,
}

struct Shared {
    network: Network,
    log: Arc<dyn TransactionLog>,
    book: Mutex<Book>,
    /// Held while statuses are found out, so that an older observation never overwrites a newer one.
    turn: tokio::sync::Mutex<()>,
    wake: Notify,
}

/// What a transaction keeps to while it is prepared. The default: no margin, no bounds, the account's next nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Gas added to the estimate, in percent.
    pub gas_margin_percent: u64,
    /// Least gas limit, whatever the estimate says.
    pub least_gas: u64,
    /// Gas × maximal fee is at most this many wei: the ceiling that was approved.
    pub max_total_fee: U256,
    /// The nonce that it must have; then it is prepared only once this is the next.
    pub nonce: Option<u64>,
}

impl Default for Terms {
    fn default() -> Self {
        Self { gas_margin_percent: 0, least_gas: 0, max_total_fee: U256::MAX, nonce: None }
    }
}

/// So many settled transactions are looked up after a start.
const SETTLED_AT_START: usize = 100;

/// A look at transactions that wait for a block happens with every head, and at the latest after so many polls: an
/// endpoint may know the receipt only after it told the head.
const POLLS_BETWEEN_LOOKS: u32 = 4;

impl Transactions {
    /// Starts following on `network`. Call [`Transactions::resume`] next.
    ///
    /// Needs a tokio runtime.
    #[must_use]
    pub fn new(network: Network, log: Arc<dyn TransactionLog>) -> Self {
        let shared = Arc::new(Shared {
            network,
            log,
            book: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            wake: Notify::new(),
        });
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(Arc::clone(&shared).run()));
        Self { shared, _stop_on_drop: Arc::new(stop.drop_guard()) }
    }

    /// The network it sends on.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.shared.network
    }

    /// Completes `call` to an unsigned transaction: next nonce, estimated gas plus `gas_margin_percent`, fees of now.
    ///
    /// The nonce is reserved until the transaction is [submitted](Transactions::submit) or
    /// [released](Transactions::release).
    ///
    /// # Errors
    /// [`Layer1Error::Reverted`] when the call would fail, and those of [`Network::request`].
    pub async fn prepare(&self, call: &CallRequest, gas_margin_percent: u64) -> Result<TxEip1559, Layer1Error> {
        self.prepare_within(call, Terms { gas_margin_percent, ..Terms::default() }).await
    }

    /// As [`Transactions::prepare`], within `terms`.
    ///
    /// # Errors
    /// [`Layer1Error::FeeAboveCeiling`] when even the base fee of now is above the ceiling, [`Layer1Error::NonceNotNext`],
    /// and those of [`Transactions::prepare`].
    pub async fn prepare_within(&self, call: &CallRequest, terms: Terms) -> Result<TxEip1559, Layer1Error> {
        let network = &self.shared.network;
        let gas = network.estimate_gas(call).await?;
        let gas_limit = gas.saturating_add(gas.saturating_mul(terms.gas_margin_percent) / 100).max(terms.least_gas);
        let fees = network.fees().await?.within(gas_limit, terms.max_total_fee)?;
        let nonce = self.shared.reserve_nonce(call.from, terms.nonce).await?;
        Ok(TxEip1559 {
            chain_id: network.chain_id(),
            nonce,
            gas_limit,
            max_fee_per_gas: fees.max_fee_per_gas,
            max_priority_fee_per_gas: fees.max_priority_fee_per_gas,
            to: call.to,
            value: call.value,
            access_list: alloy::eips::eip2930::AccessList::default(),
            input: call.input.clone(),
        })
    }

    /// The nonce that the next transaction of `account` would have, promised to nobody.
    ///
    /// # Errors
    /// Those of [`Network::request`].
    pub async fn next_nonce(&self, account: Address) -> Result<u64, Layer1Error> {
        let pending = self.shared.pending_count(account).await?;
        let next = locked(&self.shared.book).next(account, pending, Instant::now());
        next.ok_or_else(no_nonce_left)
    }

    /// Gives back the nonce of a prepared transaction that will not be signed.
    pub fn release(&self, from: Address, nonce: u64) {
        locked(&self.shared.book).release(from, nonce);
    }

    /// Stores a signed transaction, then broadcasts it. `status` should be [`TransactionStatus::Stored`].
    ///
    /// Once this returns `Ok` the transaction will not be lost: where no endpoint answers it stays
    /// [`TransactionStatus::Stored`] and is tried again. Submitting the same hash twice follows the first.
    ///
    /// # Errors
    /// [`Layer1Error::TransactionLog`] (nothing was sent), [`Layer1Error::Rejected`] (stored as failed, nonce free),
    /// [`Layer1Error::Config`] where hash, chain id or nonce do not fit the signed bytes.
    pub async fn submit(
        &self,
        transaction: StoredTransaction,
    ) -> Result<watch::Receiver<TransactionStatus>, Layer1Error> {
        let shared = &self.shared;
        check(&transaction, shared.network.chain_id())?;
        if let Ok(known) = self.follow(transaction.hash) {
            return Ok(known);
        }
        {
            let mut book = locked(&shared.book);
            if let Some(holder) = book.claim(transaction.from, transaction.nonce) {
                return Err(Layer1Error::Config(format!(
                    "nonce {} belongs to transaction {holder} by now; prepare this one again, or replace that one",
                    transaction.nonce
                )));
            }
            if let Err(error) = shared.log.insert(&transaction) {
                book.release(transaction.from, transaction.nonce);
                return Err(Layer1Error::TransactionLog(error));
            }
            book.adopt(transaction.clone(), shared.head());
        }
        shared.send(transaction).await
    }

    /// After a start: takes up every open transaction of the log and the recently settled ones, looks each up by its hash
    /// and broadcasts the same bytes again where the chain does not know them. Gives their hashes.
    ///
    /// Where no endpoint answers they are taken up all the same, and looked up as soon as one does.
    ///
    /// # Errors
    /// [`Layer1Error::TransactionLog`].
    pub async fn resume(&self) -> Result<Vec<B256>, Layer1Error> {
        let shared = &self.shared;
        let chain_id = shared.network.chain_id();
        let mut stored = shared.log.open(chain_id).map_err(Layer1Error::TransactionLog)?;
        stored.extend(shared.log.settled(chain_id, SETTLED_AT_START).map_err(Layer1Error::TransactionLog)?);
        let hashes = stored.iter().map(|transaction| transaction.hash).collect();
        {
            let mut book = locked(&shared.book);
            for transaction in stored {
                book.resume(transaction, shared.head());
            }
        }
        shared.look().await;
        Ok(hashes)
    }

    /// The status of a transaction submitted or resumed by this process, and its changes. The watch closes once nothing
    /// can change any more: it has failed, or is deeper in the chain than the network's reorg limit.
    ///
    /// # Errors
    /// [`Layer1Error::UnknownTransaction`].
    pub fn follow(&self, hash: B256) -> Result<watch::Receiver<TransactionStatus>, Layer1Error> {
        locked(&self.shared.book).follow(hash).ok_or(Layer1Error::UnknownTransaction(hash))
    }
}

impl Shared {
    fn head(&self) -> u64 {
        self.network.head().borrow().number
    }

    /// Broadcasts a transaction that log and book have.
    async fn send(&self, transaction: StoredTransaction) -> Result<watch::Receiver<TransactionStatus>, Layer1Error> {
        let hash = transaction.hash;
        let receiver = locked(&self.book).follow(hash).ok_or(Layer1Error::UnknownTransaction(hash))?;
        {
            let _turn = self.turn.lock().await;
            // The following task may have been faster.
            if *receiver.borrow() == TransactionStatus::Stored {
                self.broadcast(&transaction).await;
            }
        }
        self.wake.notify_one();
        let status = receiver.borrow().clone();
        match status {
            TransactionStatus::Failed { reason } => Err(Layer1Error::Rejected { reason }),
            _ => Ok(receiver),
        }
    }

    /// The task: looks with every head, when woken, and while something waits.
    async fn run(self: Arc<Self>) {
        let mut head = self.network.head();
        let poll = self.network.config().poll_interval;
        loop {
            let patience = match self.waiting() {
                Waiting::Nothing => None,
                Waiting::ForBlock => Some(poll * POLLS_BETWEEN_LOOKS),
                Waiting::ForEndpoint => Some(poll),
            };
            let pause = async {
                match patience {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = head.changed() => if changed.is_err() { return },
                () = self.wake.notified() => {}
                () = pause => {}
            }
            self.look().await;
        }
    }

    fn waiting(&self) -> Waiting {
        let head = self.head();
        let open = locked(&self.book).open();
        let waits = open.iter().map(|one| match one.status {
            TransactionStatus::Stored => Waiting::ForEndpoint,
            TransactionStatus::Broadcast | TransactionStatus::Superseded => Waiting::ForBlock,
            // The tracker has not seen its block: were it undone now, no new head would say so.
            TransactionStatus::Included(inclusion) if inclusion.block_number > head => Waiting::ForBlock,
            _ => Waiting::Nothing,
        });
        waits.max().unwrap_or(Waiting::Nothing)
    }

    /// Finds out about every followed transaction, lowest nonce first.
    async fn look(&self) {
        let _turn = self.turn.lock().await;
        let followed = locked(&self.book).followed();
        for hash in followed {
            if let Err(error) = self.look_at(hash).await {
                tracing::debug!(%hash, %error, "cannot find out about a transaction now");
                // Nobody answers: the others would wait in vain. Any other error is of this transaction alone.
                if matches!(error, Layer1Error::Unreachable { .. } | Layer1Error::ChainIdMismatch { .. }) {
                    return;
                }
            }
        }
    }

    async fn look_at(&self, hash: B256) -> Result<(), Layer1Error> {
        let Some(transaction) = locked(&self.book).transaction(hash) else { return Ok(()) };
        let known = self.with_view(|book, view| book.decide_by_view(hash, view));
        let decision = match known {
            Some(decision) => decision,
            None => {
                let observation = self.observe(&transaction).await?;
                self.with_view(|book, view| book.decide(hash, observation, view))
            }
        };
        for step in Book::steps(decision) {
            match step {
                // What is not durable is not acted on: the next look finds it out again.
                Step::Record(status) => {
                    if !self.record(&transaction, status) {
                        break;
                    }
                }
                Step::Broadcast => self.broadcast(&transaction).await,
                Step::Bury => locked(&self.book).bury(hash),
            }
        }
        Ok(())
    }

    fn with_view<T>(&self, act: impl FnOnce(&Book, &View<'_>) -> T) -> T {
        let config = self.network.config();
        let recent = self.network.recent();
        let view = View {
            recent: &recent,
            confirmations: config.confirmations,
            burial: config.reorg_limit.max(config.confirmations),
            agreed: self.network.endpoints_agree(),
        };
        act(&locked(&self.book), &view)
    }

    async fn observe(&self, transaction: &StoredTransaction) -> Result<Observation, Layer1Error> {
        let receipt: Option<Receipt> = self.network.get("eth_getTransactionReceipt", json!([transaction.hash])).await?;
        if let Some(receipt) = receipt {
            return Ok(Observation::Mined(receipt.inclusion()));
        }
        let known: Value = self.network.request("eth_getTransactionByHash", json!([transaction.hash])).await?;
        if !known.is_null() {
            return Ok(Observation::Pending);
        }
        Ok(Observation::Unknown { nonce: self.nonce_use(transaction).await? })
    }

    /// How deep in the chain the nonce of a transaction was used: asked at the head, then deeper as long as it was.
    async fn nonce_use(&self, transaction: &StoredTransaction) -> Result<NonceUse, Layer1Error> {
        let config = self.network.config();
        let head = self.head();
        let confirmed = head.checked_sub(config.confirmations.saturating_sub(1));
        let buried = head.checked_sub(config.reorg_limit.max(config.confirmations).saturating_sub(1));
        let mut found = NonceUse::No;
        let depths = [(Some(head), NonceUse::Recent), (confirmed, NonceUse::Confirmed), (buried, NonceUse::Buried)];
        for (block, depth) in depths {
            let Some(block) = block else { break };
            let count: U64 =
                self.network.get("eth_getTransactionCount", json!([transaction.from, U64::from(block)])).await?;
            if count.to::<u64>() <= transaction.nonce {
                break;
            }
            found = depth;
        }
        Ok(found)
    }

    /// Sends the bytes and records what came of it.
    async fn broadcast(&self, transaction: &StoredTransaction) {
        let sent = write_point!(
            "layer1.transaction.broadcast",
            self.network.request("eth_sendRawTransaction", json!([transaction.raw])).await
        );
        let answer = match sent {
            Ok(_) => Answer::Taken,
            Err(Layer1Error::Rpc { message, code, .. }) => match follow::classify(&message) {
                Refusal::AlreadyKnown => Answer::Taken,
                Refusal::NonceUsed => match self.observe(transaction).await {
                    Ok(Observation::Mined(_) | Observation::Pending) => Answer::Taken,
                    Ok(Observation::Unknown { .. }) => Answer::Refused {
                        reason: format!("{message}; another transaction used nonce {}", transaction.nonce),
                        for_now: false,
                    },
                    Err(_) => Answer::None,
                },
                Refusal::Rejected => Answer::Refused { reason: message, for_now: is_temporary(code) },
            },
            Err(error) => {
                tracing::warn!(hash = %transaction.hash, %error, "a transaction waits for an endpoint");
                Answer::None
            }
        };
        let status = locked(&self.book).answered(transaction.hash, answer);
        if let Some(status) = status {
            self.record(transaction, status);
        }
    }

    /// Log first, watchers second. A status that cannot be written is found out again with the next look. True when it is
    /// written, or was the status already.
    fn record(&self, transaction: &StoredTransaction, status: TransactionStatus) -> bool {
        if self.status(transaction.hash).as_ref() == Some(&status) {
            return true;
        }
        if let Err(error) = self.log.update(transaction.hash, &status) {
            tracing::error!(hash = %transaction.hash, %error, "the status of a transaction could not be stored");
            return false;
        }
        locked(&self.book).set(transaction.hash, status);
        true
    }

    fn status(&self, hash: B256) -> Option<TransactionStatus> {
        locked(&self.book).status(hash)
    }

    /// The chain's count of an account's transactions, with pending ones.
    async fn pending_count(&self, account: Address) -> Result<u64, Layer1Error> {
        let pending: U64 = self.network.get("eth_getTransactionCount", json!([account, "pending"])).await?;
        Ok(pending.to())
    }

    /// Promises the next nonce, which must be the `wanted` one where one is.
    async fn reserve_nonce(&self, account: Address, wanted: Option<u64>) -> Result<u64, Layer1Error> {
        loop {
            let settlements = locked(&self.book).settlements();
            let pending = self.pending_count(account).await?;
            let mut book = locked(&self.book);
            if settlements == book.settlements()
                && let Some(wanted) = wanted
                && let Some(next) = book.next(account, pending, Instant::now())
                && next != wanted
            {
                return Err(Layer1Error::NonceNotNext { wanted, next });
            }
            if let Some(nonce) = book.reserve(account, pending, settlements, Instant::now()) {
                return Ok(nonce);
            }
            if settlements == book.settlements() {
                return Err(no_nonce_left());
            }
        }
    }
}

fn no_nonce_left() -> Layer1Error {
    Layer1Error::BadAnswer { method: "eth_getTransactionCount".to_owned(), reason: "no nonce is left".to_owned() }
}

/// What the open transactions wait for; the more urgent is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Waiting {
    Nothing,
    ForBlock,
    ForEndpoint,
}

fn is_temporary(code: i64) -> bool {
    Layer1Error::Rpc { method: String::new(), code, message: String::new(), data: None }.is_temporary()
}

/// A poisoned lock means that another thread panicked between two plain assignments; the data are whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hash, chain id and nonce must be those of the signed bytes: the log is searched by them.
fn check(transaction: &StoredTransaction, chain_id: u64) -> Result<(), Layer1Error> {
    use alloy::consensus::{Transaction as _, TxEnvelope};
    use alloy::eips::eip2718::Decodable2718 as _;

    let refuse = |what: &str| Err(Layer1Error::Config(format!("the signed transaction {what}; sign it again")));
    let Ok(envelope) = TxEnvelope::decode_2718_exact(&transaction.raw) else {
        return refuse("cannot be decoded");
    };
    if *envelope.tx_hash() != transaction.hash {
        return refuse("has another hash than the one to be stored");
    }
    if envelope.chain_id() != Some(chain_id) || transaction.chain_id != chain_id {
        return refuse("is for another chain");
    }
    if envelope.nonce() != transaction.nonce {
        return refuse("has another nonce than the one to be stored");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
