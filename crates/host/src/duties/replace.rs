//! Transactions that wait: what keeps them, a higher fee, and cancelling.
//!
//! A replacement has the same nonce: at most one of the two is ever mined. Within the fee that was approved the user's
//! own hand speeds up at once; above it the higher fee is a request of its own. Cancelling is another transaction
//! (nothing, to oneself) and therefore always a request of its own.

use super::OwnIntent;
use crate::approvals::CallIntent;
use crate::approvals::transaction;
use crate::error::HostError;
use crate::messages::{ApprovalView, OpenTransactionView, ReplaceInput, Replacement, Row};
use crate::networks::{Runtime, stage};
use crate::text::{ether, row};
use crate::{Actor, Host, Operation, now};
use alloy::primitives::{B256, U256};
use entresol_layer1::{Layer1Error, TransactionStatus, TxEip1559};
use entresol_store::{Approval, Transaction, TransactionState, TransferUpdate};
use entresol_vault::{Approved, Intent};

/// Purpose of a cancellation: the one replacement without the effect of what it replaces.
/// Role of a cancellation.
pub(crate) const CANCEL: &str = "cancel";
/// Blocks that a transaction may wait before it counts as stuck: five, a minute of Ethereum.
const PATIENCE: u64 = 5;
/// The ceiling of a replacement is this many times the most that it would cost now: room for one more.
const HEADROOM: u64 = 2;

/// A transaction that waits, with what was approved for it.
struct Waiting {
    hash: B256,
    runtime: Runtime,
    row: Transaction,
    approval: Approval,
    call: CallIntent,
    /// What allows to sign the call again.
    approved: Approved,
}

impl Host {
    /// The transactions that are not settled, and why those that wait for long do.
    ///
    /// # Errors
    /// Not authorised; no such network.
    pub async fn open_transactions(
        &self,
        actor: &Actor,
        network: Option<&str>,
    ) -> Result<Vec<OpenTransactionView>, HostError> {
        self.authorize(actor, &Operation::Read, "open_transactions")?;
        let mut views = Vec::new();
        for (name, runtime) in self.inner.networks.ready() {
            if network.is_some_and(|wanted| wanted != name) {
                continue;
            }
            for open in runtime.transactions.open() {
                // Whether it is stuck is help, not a reason to show nothing.
                let stuck = runtime.transactions.is_stuck(open.hash, PATIENCE).await.unwrap_or_default();
                let row = self.store().transaction(&open.hash.to_string())?;
                views.push(OpenTransactionView {
                    transaction: open.hash.to_string(),
                    network: name.clone(),
                    from: open.from.to_checksum(None),
                    nonce: open.nonce,
                    purpose: row.as_ref().map(|row| row.purpose.clone()).unwrap_or_default(),
                    approval: row.and_then(|row| row.approval_id).and_then(|id| i64::try_from(id).ok()),
                    state: state(&open.status).to_owned(),
                    stuck: stuck.map(|stuck| format!("waits for {} blocks: {}", stuck.waiting_blocks, stuck.reason)),
                });
            }
        }
        Ok(views)
    }

    /// Sends a waiting transaction again with a higher fee: at once where the approved fee allows it and the user has a
    /// passphrase session, else as a request for the higher fee.
    ///
    /// # Errors
    /// Not authorised; not found, or settled meanwhile; not one of the wallet's.
    pub async fn speed_up(&self, actor: &Actor, input: ReplaceInput) -> Result<Replacement, HostError> {
        self.authorize(actor, &Operation::Propose, "speed_up")?;
        if let Some(known) = self.known_request(input.request_key.as_deref())? {
            return Ok(Replacement { transaction: None, approval: Some(known) });
        }
        let waiting = self.waiting(&input.transaction)?;
        let Intent::Transaction { max_total_fee, .. } = waiting.call.intent else {
            return Err(HostError::internal("a transaction without one"));
        };
        let transactions = &waiting.runtime.transactions;
        match transactions.prepare_replacement(waiting.hash, input.speed, max_total_fee).await {
            Ok(tx) => {
                self.authorize(actor, &Operation::Decide, "speed_up")?;
                let transaction = self.replace_within(actor, &waiting, &tx).await?;
                Ok(Replacement { transaction: Some(transaction.to_string()), approval: None })
            }
            Err(Layer1Error::FeeAboveCeiling { .. }) => {
                let tx = transactions.prepare_replacement(waiting.hash, input.speed, U256::MAX).await?;
                let ceiling = most(&tx).saturating_mul(U256::from(HEADROOM));
                let mut call = waiting.call.clone();
                if let Intent::Transaction { max_total_fee, .. } = &mut call.intent {
                    *max_total_fee = ceiling;
                }
                // The allowance before it has gone out long ago.
                call.before = None;
                let mut rows = waiting.rows();
                rows.push(row("Approved before", format!("a fee of at most {}", ether(max_total_fee))));
                rows.push(row("Fee", format!("at most {}", ether(ceiling))));
                let intent = OwnIntent { replaces: Some(waiting.hash), ..OwnIntent::new(call, input.speed) };
                let sentence = "Send this waiting transaction again with a higher fee than you approved?".to_owned();
                let (solution, key) = (waiting.row.solution, input.request_key);
                let view =
                    self.propose_own("replace", actor, solution, key, &intent, sentence, rows, Vec::new()).await?;
                Ok(Replacement { transaction: None, approval: Some(view) })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Proposes to cancel a waiting transaction by one of nothing to oneself at the same nonce.
    ///
    /// # Errors
    /// Not authorised; not found, or settled meanwhile.
    pub async fn cancel_transaction(&self, actor: &Actor, input: ReplaceInput) -> Result<ApprovalView, HostError> {
        self.authorize(actor, &Operation::Propose, "cancel")?;
        if let Some(known) = self.known_request(input.request_key.as_deref())? {
            return Ok(known);
        }
        let waiting = self.waiting(&input.transaction)?;
        let (request, tx) = waiting.runtime.transactions.prepare_cancel(waiting.hash, U256::MAX).await?;
        let ceiling = most(&tx).saturating_mul(U256::from(HEADROOM));
        let mut rows = waiting.rows();
        rows.push(row("Instead", "nothing is sent to your own account, at the same nonce"));
        rows.push(row("Fee", format!("at most {}", ether(ceiling))));
        let call = CallIntent {
            intent: transaction(tx.chain_id, &request, ceiling),
            role: CANCEL.to_owned(),
            function: String::new(),
            deadline: None,
            before: None,
            ..waiting.call.clone()
        };
        let intent = OwnIntent { replaces: Some(waiting.hash), ..OwnIntent::new(call, input.speed) };
        let warnings = vec![
            "If the transaction is mined before the cancellation, it stays done: only one of the two can be."
                .to_owned(),
        ];
        let sentence = "Cancel this waiting transaction?".to_owned();
        let solution = waiting.row.solution;
        self.propose_own("cancel", actor, solution, input.request_key, &intent, sentence, rows, warnings).await
    }

    /// Brings the transfers of a transaction to its stage. What was replaced has several transactions at one nonce:
    /// transfers go with the one that is mined, whichever it is, and fail only when none with their effect can be.
    pub(crate) fn note_transfers(&self, hash: B256, status: &TransactionStatus) -> Result<(), HostError> {
        let all = self.store().transactions_of_same_nonce(&hash.to_string())?;
        let (hash, stage) = (hash.to_string(), stage(status));
        let same_effect = |one: &Transaction| one.purpose != CANCEL;
        let this_has = all.iter().any(|one| one.hash == hash && same_effect(one));
        let other_may = all.iter().any(|one| {
            let over = matches!(one.state, TransactionState::Replaced | TransactionState::Failed);
            one.hash != hash && same_effect(one) && !over
        });
        let mined = status.inclusion().is_some() && this_has;
        for one in all.iter().filter(|one| same_effect(one)) {
            let own = one.hash == hash;
            if !(mined || own && !(*status == TransactionStatus::Replaced && other_may)) {
                continue;
            }
            for transfer in self.store().transfers_by_transaction(&one.hash)? {
                let update = TransferUpdate {
                    stage: (transfer.transfer.stage != stage).then(|| stage.to_owned()),
                    tx_hash: (!own).then(|| hash.clone()),
                    ..TransferUpdate::default()
                };
                if update.stage.is_some() || update.tx_hash.is_some() {
                    self.store().update_transfer(transfer.id, &update, now())?;
                }
            }
        }
        Ok(())
    }

    fn waiting(&self, transaction: &str) -> Result<Waiting, HostError> {
        let hash: B256 = transaction.parse().map_err(|_| {
            HostError::invalid(format!("{transaction:?} is no transaction hash (0x and 64 hex digits)"))
        })?;
        let row = self.store().transaction(&hash.to_string())?;
        let row = row.ok_or_else(|| HostError::not_found(format!("the wallet has sent no transaction {hash}")))?;
        let (approval, call, approved) = match row.approval_id {
            Some(id) => {
                let approval = self.store().approval(id)?;
                let call: CallIntent = serde_json::from_value(approval.request.intent.clone())
                    .map_err(|e| HostError::internal(format!("stored intent: {e}")))?;
                let approved = call.approved(&approval, false)?;
                (approval, call, approved)
            }
            None => self
                .bundled_call(&row.hash)?
                .ok_or_else(|| HostError::invalid("this transaction came from no request"))?,
        };
        let runtime = self.runtime(&call.network)?;
        Ok(Waiting { hash, runtime, row, approval, call, approved })
    }

    /// Within the approved fee the approval that allowed the transaction allows its replacement.
    async fn replace_within(&self, actor: &Actor, waiting: &Waiting, tx: &TxEip1559) -> Result<B256, HostError> {
        let (runtime, solution) = (&waiting.runtime, waiting.row.solution);
        let who = actor.to_string();
        let hash =
            self.broadcast(runtime, &waiting.call, solution, tx, &waiting.approved, Some(waiting.hash), who).await?;
        self.follow_transaction(&runtime.transactions, hash);
        self.changed();
        Ok(hash)
    }
}

impl Waiting {
    fn rows(&self) -> Vec<Row> {
        let mut rows = vec![
            row("Network", format!("{} (chain {})", self.call.network, self.row.chain_id)),
            row("Transaction", self.hash.to_string()),
            row("Nonce", self.row.nonce.to_string()),
            row("Approved by", format!("request {}", self.approval.id)),
        ];
        if let Intent::Transaction { from, to, value, .. } = &self.call.intent {
            rows.push(row("From", from.to_checksum(None)));
            rows.push(match to.to() {
                Some(to) => row("To", to.to_checksum(None)),
                None => row("Creates", "a contract"),
            });
            rows.push(row("Sends", ether(*value)));
        }
        if !self.call.function.is_empty() {
            rows.push(row("Calls", self.call.function.clone()));
        }
        rows
    }
}

fn most(tx: &TxEip1559) -> U256 {
    U256::from(tx.gas_limit) * U256::from(tx.max_fee_per_gas)
}

const fn state(status: &TransactionStatus) -> &'static str {
    match status {
        TransactionStatus::Stored => "stored",
        TransactionStatus::Broadcast => "broadcast",
        TransactionStatus::Superseded => "superseded",
        TransactionStatus::Included(_) => "included",
        TransactionStatus::Confirmed(_) => "confirmed",
        TransactionStatus::Failed { .. } => "failed",
        TransactionStatus::Replaced => "replaced",
    }
}
