//! Replacing and cancelling transactions that wait, and why they wait.
//!
//! A replacement is another transaction with the same sender and nonce: at most one of the two is ever mined. Which one
//! is for the chain to say, so both are followed until one is confirmed.

use std::fmt;

use alloy::consensus::{TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Decodable2718 as _;
use alloy::primitives::{Address, B256, Bytes, U64, U256};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::watch;

use super::book::offered;
use super::{StoredTransaction, TransactionStatus, Transactions, locked};
use crate::error::Layer1Error;
use crate::fees::{FeeSpeed, Fees};
use crate::network::CallRequest;

/// A transfer of nothing to oneself costs this much gas, unless the account has code.
const CANCEL_GAS: u64 = 21_000;

/// A transaction that is not settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenTransaction {
    /// Its hash.
    pub hash: B256,
    /// Who signed it.
    pub from: Address,
    /// Its nonce.
    pub nonce: u64,
    /// The head when this process submitted it, or took it up after a start.
    pub first_seen_block: u64,
    /// How far it is.
    pub status: TransactionStatus,
}

/// A transaction that should have been included by now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stuck {
    /// For how many blocks it has waited, as far as this process saw.
    pub waiting_blocks: u64,
    /// Why.
    pub reason: StuckReason,
}

/// Why a transaction waits. [`fmt::Display`] says it in words, with what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum StuckReason {
    /// A transaction with a lower nonce is missing or waits itself; nothing behind it is ever mined.
    NonceGap {
        /// The lowest nonce that the chain waits for.
        missing: u64,
        /// Its own nonce.
        nonce: u64,
    },
    /// It offers less than the base fee.
    Underpriced {
        /// What it offers at most, wei per gas.
        max_fee_per_gas: u128,
        /// The base fee, wei per gas.
        base_fee: u128,
    },
    /// The node does not have it. It is broadcast again with every block.
    Unknown,
    /// The node does not take it at the moment. It is tried again with every block.
    Refused {
        /// The node's words.
        reason: String,
    },
    /// It pays the base fee; its tip attracts nobody.
    SmallTip {
        /// What is left for the block's builder, wei per gas.
        tip: u128,
        /// What others pay at ordinary speed, wei per gas.
        usual: u128,
    },
    /// It pays what others pay. It only waits.
    Waiting,
}

impl fmt::Display for StuckReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NonceGap { missing, nonce } => write!(
                f,
                "nonce gap: it has nonce {nonce}, and the chain waits for nonce {missing} first; speed up or cancel the \
                 transaction with nonce {missing}, or send another one, which will fill the gap"
            ),
            Self::Underpriced { max_fee_per_gas, base_fee } => write!(
                f,
                "underpriced: it pays at most {max_fee_per_gas} wei per gas and the base fee is {base_fee}; speed it up, \
                 cancel it, or wait until the base fee falls"
            ),
            Self::Unknown => write!(
                f,
                "unknown to the node: the node dropped it or never had it; it is broadcast again with every block; \
                 where that does not help, speed it up or use another RPC URL"
            ),
            Self::Refused { reason } => write!(
                f,
                "refused by the node: {reason}; it is tried again with every block; where the reason stays, cancel it"
            ),
            Self::SmallTip { tip, usual } => write!(
                f,
                "small tip: {tip} wei per gas are left for the block's builder, others pay {usual}; speed it up, or wait"
            ),
            Self::Waiting => {
                write!(f, "it pays what others pay and should be included soon; speed it up if it must be now")
            }
        }
    }
}

impl Transactions {
    /// The transaction of `hash` once more, with higher fees: same nonce, recipient, value, data and gas limit.
    ///
    /// Both fees are at least 12.5 % higher, which every node's pool accepts as a replacement, and at least the estimate
    /// for `speed`, except that the maximal fee is lowered to the ceiling where the bump and the base fee of now still
    /// fit below it. Sign it and hand it to [`Transactions::submit_replacement`].
    ///
    /// # Errors
    /// [`Layer1Error::FeeAboveCeiling`] when gas limit × maximal fee cannot stay within `max_total_fee` wei;
    /// [`Layer1Error::NotReplaceable`], [`Layer1Error::UnknownTransaction`], and those of
    /// [`Network::fees_at`](crate::Network::fees_at).
    pub async fn prepare_replacement(
        &self,
        hash: B256,
        speed: FeeSpeed,
        max_total_fee: U256,
    ) -> Result<TxEip1559, Layer1Error> {
        let old = self.replaceable(hash)?;
        let gas_limit = old.tx.gas_limit;
        let fees = self.shared.network.fees_at(speed).await?;
        let (max_fee_per_gas, max_priority_fee_per_gas) = bump(old.highest, fees, gas_limit, max_total_fee)?;
        Ok(TxEip1559 { max_fee_per_gas, max_priority_fee_per_gas, ..old.tx })
    }

    /// A transfer of nothing from the account to itself, with the nonce of `hash` and fees as for a fast replacement:
    /// once mined, `hash` never is. Gives the call, for showing, and the transaction, for signing.
    ///
    /// # Errors
    /// As [`Transactions::prepare_replacement`].
    pub async fn prepare_cancel(
        &self,
        hash: B256,
        max_total_fee: U256,
    ) -> Result<(CallRequest, TxEip1559), Layer1Error> {
        let old = self.replaceable(hash)?;
        let call = CallRequest { from: old.from, to: old.from.into(), value: U256::ZERO, input: Bytes::new() };
        let network = &self.shared.network;
        // An account can have code since EIP-7702, and then receiving nothing costs more.
        let gas_limit = network.estimate_gas(&call).await?.max(CANCEL_GAS);
        let fees = network.fees_at(FeeSpeed::Fast).await?;
        let (max_fee_per_gas, max_priority_fee_per_gas) = bump(old.highest, fees, gas_limit, max_total_fee)?;
        let tx = TxEip1559 {
            chain_id: old.tx.chain_id,
            nonce: old.tx.nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to: call.to,
            ..TxEip1559::default()
        };
        Ok((call, tx))
    }

    /// Stores a signed replacement of `old`, then broadcasts it. Both are followed: whichever is mined wins, the other
    /// becomes [`TransactionStatus::Replaced`] once the winner is confirmed.
    ///
    /// # Errors
    /// As [`Transactions::submit`]; [`Layer1Error::NotReplaceable`] when `stored` has another sender or nonce than `old`,
    /// or `old` is settled by now. When the endpoint refuses the replacement, `old` stays what it was.
    pub async fn submit_replacement(
        &self,
        old: B256,
        stored: StoredTransaction,
    ) -> Result<watch::Receiver<TransactionStatus>, Layer1Error> {
        super::check(&stored, self.shared.network.chain_id())?;
        if let Ok(known) = self.follow(stored.hash) {
            return Ok(known);
        }
        let replaced = self.replaceable(old)?;
        if (stored.from, stored.nonce) != (replaced.from, replaced.tx.nonce) {
            let reason = "the replacement has another sender or nonce; prepare it again".to_owned();
            return Err(Layer1Error::NotReplaceable { hash: old, reason });
        }
        {
            let mut book = locked(&self.shared.book);
            self.shared.log.replace(old, &stored).map_err(Layer1Error::TransactionLog)?;
            book.set(old, TransactionStatus::Superseded);
            book.adopt(stored.clone(), self.shared.head());
        }
        self.shared.send(stored).await
    }

    /// Every transaction of this process that is not settled, by sender and nonce.
    #[must_use]
    pub fn open(&self) -> Vec<OpenTransaction> {
        locked(&self.shared.book).open()
    }

    /// Why a transaction is not included although it has waited for `patience` blocks or more; `None` while it has not,
    /// or once it is included.
    ///
    /// # Errors
    /// [`Layer1Error::UnknownTransaction`], and those of [`Network::request`](crate::Network::request).
    pub async fn is_stuck(&self, hash: B256, patience: u64) -> Result<Option<Stuck>, Layer1Error> {
        let known = self.open().into_iter().find(|one| one.hash == hash);
        let Some(open) = known else {
            self.follow(hash)?;
            return Ok(None);
        };
        let network = &self.shared.network;
        let waiting_blocks = network.head().borrow().number.saturating_sub(open.first_seen_block);
        if open.status.inclusion().is_some() || waiting_blocks < patience {
            return Ok(None);
        }
        let stuck = |reason| Ok(Some(Stuck { waiting_blocks, reason }));
        let transaction = self.stored(hash)?;
        let count: U64 = network.get("eth_getTransactionCount", json!([open.from, "latest"])).await?;
        let missing = count.to::<u64>();
        if missing < open.nonce {
            return stuck(StuckReason::NonceGap { missing, nonce: open.nonce });
        }
        let fees = network.fees().await?;
        if let Some((max_fee_per_gas, priority)) = offered(&transaction.raw) {
            let base_fee = fees.base_fee;
            if max_fee_per_gas < base_fee {
                return stuck(StuckReason::Underpriced { max_fee_per_gas, base_fee });
            }
            if self.is_unknown(hash).await? {
                let refusal = locked(&self.shared.book).refusal(hash);
                return stuck(refusal.map_or(StuckReason::Unknown, |reason| StuckReason::Refused { reason }));
            }
            let tip = priority.min(max_fee_per_gas - base_fee);
            let usual = fees.max_priority_fee_per_gas;
            if tip < usual {
                return stuck(StuckReason::SmallTip { tip, usual });
            }
        }
        stuck(StuckReason::Waiting)
    }

    async fn is_unknown(&self, hash: B256) -> Result<bool, Layer1Error> {
        let known = self.shared.network.request("eth_getTransactionByHash", json!([hash])).await?;
        Ok(known.is_null())
    }

    fn stored(&self, hash: B256) -> Result<StoredTransaction, Layer1Error> {
        locked(&self.shared.book).transaction(hash).ok_or(Layer1Error::UnknownTransaction(hash))
    }

    fn replaceable(&self, hash: B256) -> Result<Replaceable, Layer1Error> {
        let refuse = |reason: &str| Layer1Error::NotReplaceable { hash, reason: reason.to_owned() };
        let transaction = self.stored(hash)?;
        let (from, nonce) = (transaction.from, transaction.nonce);
        let book = locked(&self.shared.book);
        if matches!(book.status(hash), Some(TransactionStatus::Failed { .. })) {
            return Err(refuse("it has failed; nothing of it is left to replace"));
        }
        for status in book.statuses(from, nonce) {
            match status {
                TransactionStatus::Included(_) | TransactionStatus::Confirmed(_) => {
                    return Err(refuse("a transaction with its nonce is in a block"));
                }
                TransactionStatus::Replaced => return Err(refuse("another transaction used its nonce")),
                _ => {}
            }
        }
        match TxEnvelope::decode_2718_exact(&transaction.raw) {
            Ok(TxEnvelope::Eip1559(signed)) => {
                Ok(Replaceable { from, tx: signed.strip_signature(), highest: book.highest_offer(from, nonce) })
            }
            _ => Err(refuse("it is no EIP-1559 transaction")),
        }
    }
}

/// A transaction that may be replaced.
struct Replaceable {
    from: Address,
    tx: TxEip1559,
    /// The highest maximal fee and tip that were offered for its nonce: the pool compares with the last replacement.
    highest: (u128, u128),
}

/// An eighth more, rounded up.
const fn eighth_more(fee: u128) -> u128 {
    fee.saturating_add(fee.div_ceil(8))
}

/// Maximal fee and tip of a replacement for what was offered before.
fn bump(before: (u128, u128), now: Fees, gas_limit: u64, ceiling: U256) -> Result<(u128, u128), Layer1Error> {
    let (least_fee, least_tip) = (eighth_more(before.0), eighth_more(before.1));
    let tip = now.max_priority_fee_per_gas.max(least_tip);
    let wanted = now.max_fee_per_gas.max(least_fee).max(tip);
    let gas = U256::from(gas_limit);
    let affordable = ceiling.checked_div(gas).map_or(u128::MAX, |fee| u128::try_from(fee).unwrap_or(u128::MAX));
    let max_fee = wanted.min(affordable);
    let needed = least_fee.max(now.base_fee).max(least_tip);
    if max_fee < needed {
        return Err(Layer1Error::FeeAboveCeiling { needed: gas.saturating_mul(U256::from(needed)), ceiling });
    }
    Ok((max_fee, tip.min(max_fee)))
}

#[cfg(test)]
mod tests;
