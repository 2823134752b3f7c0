//! Carrying out what was approved: layer-1 calls and signatures. Nothing here decides; everything can be called again
//! after a crash and goes on where it was.

use crate::approvals::{GAS_MARGIN_PERCENT, SignIntent};
use crate::error::{HostError, code};
use crate::networks::Runtime;
use crate::{Host, now};
use alloy::primitives::{Address, B256, U256};
use entresol_layer1::{CallRequest, StoredTransaction, Terms, TransactionStatus, TxEip1559};
use entresol_store::{Approval, JournalIntent, NewTransfer, Transaction, TransactionState, TransferKind};
use entresol_vault::{Approved, Intent, SignedTransaction};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Whose key signs a layer-1 call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "account", rename_all = "camelCase")]
pub(crate) enum Signer {
    /// An account of the user's.
    Owner {
        /// Its index.
        index: u32,
    },
    /// A layer-2 account of the approval's solution.
    Layer2 {
        /// Its index below the solution's root.
        index: u32,
    },
}

/// A layer-1 call as the approval's intent keeps it: what is signed, and what follows from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CallIntent {
    /// The transaction.
    pub(crate) intent: Intent,
    /// Whose key signs it.
    pub(crate) signer: Signer,
    /// The network's name in the wallet.
    pub(crate) network: String,
    /// Role of the function, or the approval's kind where no contract function is called.
    pub(crate) role: String,
    /// Canonical signature of the function; empty for a transfer of ETH.
    pub(crate) function: String,
    /// Block by which it must be included: the wallet raises the fee up to the ceiling until it is.
    #[serde(default)]
    pub(crate) deadline: Option<u64>,
    /// The allowance that goes first.
    #[serde(default)]
    pub(crate) before: Option<Before>,
}

/// The exact-amount allowance before a deposit of tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Before {
    /// The transaction that allows it.
    pub(crate) intent: Intent,
    /// The token.
    pub(crate) token: Address,
    /// In the token's smallest unit.
    pub(crate) amount: U256,
}

impl CallIntent {
    /// What an approval of this call names: the transaction's digest, or that of both transactions in their order.
    pub(crate) fn digest(&self) -> B256 {
        match &self.before {
            None => self.intent.digest(),
            Some(before) => Intent::digest_in_order(&[before.intent.clone(), self.intent.clone()]),
        }
    }

    /// The proof for the vault that this transaction (with `first`: the allowance) was approved.
    pub(crate) fn approved(&self, approval: &Approval, first: bool) -> Result<Approved, HostError> {
        let digest: B256 = approval.request.digest.parse().map_err(|_| HostError::internal("a stored digest"))?;
        Ok(match &self.before {
            None => Approved::new(self.intent.clone(), approval.id, digest)?,
            Some(before) => {
                let both = [before.intent.clone(), self.intent.clone()];
                Approved::in_order(&both, usize::from(!first), approval.id, digest)?
            }
        })
    }
}

/// One transaction of an approval.
pub(crate) struct Step<'a> {
    pub(crate) approved: Approved,
    pub(crate) signer: Signer,
    /// Canonical signature of the function, for the journal; empty for a transfer of ETH.
    pub(crate) function: &'a str,
    /// What it is for, in a word.
    pub(crate) purpose: &'a str,
    /// Where an approval has several: the setting that keeps this one's hash. The one transaction that an approval is
    /// for needs none.
    pub(crate) noted: Option<String>,
}

/// How one of several transactions ended.
pub(crate) enum End {
    /// In a block, successful.
    Success,
    /// In a block, reverted.
    Reverted,
    /// It never will be in one, and why.
    Never(String),
}

impl Host {
    /// Signs, stores, broadcasts and follows an approved layer-1 call. After a crash the stored transaction is found
    /// by its approval and followed, never made again.
    pub(crate) async fn execute_call(&self, approval: &Approval) -> Result<(), HostError> {
        let call: CallIntent = serde_json::from_value(approval.request.intent.clone())
            .map_err(|e| HostError::internal(format!("stored intent: {e}")))?;
        let Intent::Transaction { chain_id, value, .. } = call.intent else {
            return Err(HostError::internal("a layer-1 call without a transaction"));
        };
        let solution = approval.request.solution;
        let runtime = self.runtime_ready(&call.network).await?;
        if runtime.network.chain_id() != chain_id {
            return Err(HostError::invalid("the network serves another chain than the one approved"));
        }
        let known = self.store().transaction_by_approval(approval.id)?;
        let hash = match known {
            Some(known) => known.hash.parse().map_err(|_| HostError::internal("a stored hash"))?,
            None => {
                if call.before.is_some() {
                    self.allow_first(approval, &call, &runtime).await?;
                }
                let step = Step {
                    approved: call.approved(approval, false)?,
                    signer: call.signer,
                    function: &call.function,
                    purpose: &call.role,
                    noted: None,
                };
                self.send(approval, &runtime, &step).await.map_err(|error| allowed_already(&call, error))?
            }
        };
        // Idempotent by the approval: a crash between these writes is made good by the next run.
        let kind = match call.role.as_str() {
            "deposit" => Some(TransferKind::Deposit),
            "withdraw" | "defend" | "call" | "exit" => Some(TransferKind::Withdrawal),
            // ETH that stays the user's, or leaves for good: no transfer of a solution.
            _ => None,
        };
        let mut outcome = json!({ "transaction": hash });
        if let (Some(kind), Some(solution)) = (kind, solution) {
            let moved = call.before.as_ref();
            let transfer = self.store().create_transfer(
                &NewTransfer {
                    solution,
                    kind,
                    amount: moved.map_or(value, |before| before.amount).to_string(),
                    asset: moved.map_or_else(|| "ETH".to_owned(), |before| before.token.to_checksum(None)),
                    stage: "sent".into(),
                    stages: json!(["sent", "included", "confirmed"]),
                    plugin: false,
                    approval_id: Some(approval.id),
                    tx_hash: Some(hash.to_string()),
                    detail: json!({ "function": call.function, "value": value.to_string() }),
                },
                now(),
            )?;
            outcome["transfer"] = json!(transfer.id);
        }
        if let Ok(status) = runtime.transactions.follow(hash) {
            let status = status.borrow().clone();
            self.note_status(hash, &status)?;
        }
        self.store().finish_approval(approval.id, Ok(&outcome))?;
        self.follow_transaction(&runtime.transactions, hash);
        Ok(())
    }

    /// Prepares, signs, stores and broadcasts one transaction of an approval.
    async fn send(&self, approval: &Approval, runtime: &Runtime, step: &Step<'_>) -> Result<B256, HostError> {
        let Intent::Transaction { chain_id, from, to, value, ref input, max_total_fee } = *step.approved.intent()
        else {
            return Err(HostError::internal("a layer-1 call without a transaction"));
        };
        let request = CallRequest { from, to, value, input: input.clone() };
        let transactions = &runtime.transactions;
        let terms = Terms { gas_margin_percent: GAS_MARGIN_PERCENT, max_total_fee, ..Terms::default() };
        let tx = transactions.prepare_within(&request, terms).await?;
        let signed = match self.sign_call(step.signer, approval.request.solution, &tx, &step.approved) {
            Ok(signed) => signed,
            Err(error) => {
                transactions.release(from, tx.nonce);
                return Err(error);
            }
        };
        if let Some(key) = &step.noted {
            // Before it is stored: a hash that the store does not know was never sent.
            self.store().put_meta(key, &json!(signed.hash))?;
        }
        let intent = JournalIntent {
            solution: approval.request.solution,
            actor: approval.request.requester["who"].as_str().unwrap_or_default().to_owned(),
            action: "transaction".into(),
            resource: step.function.to_owned(),
            detail: json!({ "approval": approval.id, "hash": signed.hash, "value": value.to_string() }),
        };
        let hash = signed.hash;
        let stored = StoredTransaction {
            hash,
            chain_id,
            from,
            nonce: tx.nonce,
            raw: signed.raw,
            // One transaction per approval is found by it; those that are noted are found by their notes.
            approval_id: if step.noted.is_some() { None } else { i64::try_from(approval.id).ok() },
            solution: approval.request.solution,
            purpose: step.purpose.to_owned(),
            status: TransactionStatus::Stored,
        };
        self.journaled(intent, async { Ok(transactions.submit(stored).await?) }).await?;
        Ok(hash)
    }

    /// The hash that was noted under `key`, if its transaction was ever stored: what is noted and not stored was never
    /// sent.
    pub(crate) fn noted_transaction(&self, key: &str) -> Result<Option<Transaction>, HostError> {
        let noted = self.store().meta(key)?;
        let Some(hash) = noted.as_ref().and_then(|hash| hash.as_str()) else { return Ok(None) };
        let row = self.store().transaction(hash)?;
        match row {
            Some(row) if row.state == TransactionState::Replaced => Ok(Some(self.in_its_place(&row)?.unwrap_or(row))),
            other => Ok(other),
        }
    }

    /// The transaction that is in the chain instead of a replaced one with the same effect: the user has raised its fee.
    fn in_its_place(&self, replaced: &Transaction) -> Result<Option<Transaction>, HostError> {
        let all = self.store().transactions_of_same_nonce(&replaced.hash)?;
        Ok(all
            .into_iter()
            .find(|other| other.hash != replaced.hash && other.purpose == replaced.purpose && other.success.is_some()))
    }

    /// Sends one of several transactions of an approval, once whatever happens in between, and waits until it is in a
    /// block: only then can the next be estimated. Gives how it ended, in words where it never will be in one.
    pub(crate) async fn send_in_order(
        &self,
        approval: &Approval,
        runtime: &Runtime,
        step: &Step<'_>,
    ) -> Result<End, HostError> {
        let noted = step.noted.as_deref().map(|key| self.noted_transaction(key)).transpose()?.flatten();
        let hash = match noted {
            Some(row) => row.hash.parse().map_err(|_| HostError::internal("a stored hash"))?,
            None => {
                let hash = self.send(approval, runtime, step).await?;
                self.follow_transaction(&runtime.transactions, hash);
                hash
            }
        };
        let mut status = match runtime.transactions.follow(hash) {
            Ok(status) => status,
            // Followed to its end by an earlier process.
            Err(_) => {
                let success = self.store().transaction(&hash.to_string())?.and_then(|row| row.success);
                return Ok(match success {
                    Some(true) => End::Success,
                    Some(false) => End::Reverted,
                    None => End::Never("it did not get into the chain".to_owned()),
                });
            }
        };
        loop {
            let now_is = status.borrow_and_update().clone();
            match now_is {
                TransactionStatus::Included(inclusion) | TransactionStatus::Confirmed(inclusion) => {
                    return Ok(if inclusion.success { End::Success } else { End::Reverted });
                }
                TransactionStatus::Failed { reason } => return Ok(End::Never(reason)),
                TransactionStatus::Replaced => {
                    let row = self.store().transaction(&hash.to_string())?;
                    let other = row.map(|row| self.in_its_place(&row)).transpose()?.flatten();
                    return Ok(match other.and_then(|other| other.success) {
                        Some(true) => End::Success,
                        Some(false) => End::Reverted,
                        None => End::Never("another transaction took its place".to_owned()),
                    });
                }
                TransactionStatus::Stored | TransactionStatus::Broadcast | TransactionStatus::Superseded => {}
            }
            let changed = status.changed().await;
            changed.map_err(|_| HostError::new(code::DISCONNECTED, "the network was closed"))?;
        }
    }

    /// Signs with the key that the approval names, after the vault has compared the transaction with the intent.
    pub(crate) fn sign_call(
        &self,
        signer: Signer,
        solution: Option<i64>,
        tx: &TxEip1559,
        approved: &Approved,
    ) -> Result<SignedTransaction, HostError> {
        match signer {
            Signer::Owner { index } => Ok(self.vault().sign_transaction(index, tx, approved)?),
            Signer::Layer2 { index } => {
                let solution = solution.ok_or_else(|| HostError::internal("a layer-2 account of no solution"))?;
                Ok(self.vault().sign_subtree_transaction(&self.key_path(solution)?, index, tx, approved)?)
            }
        }
    }

    /// Sends the allowance, once, and waits until it is in a block.
    async fn allow_first(&self, approval: &Approval, call: &CallIntent, runtime: &Runtime) -> Result<(), HostError> {
        let step = Step {
            approved: call.approved(approval, true)?,
            signer: call.signer,
            function: "approve(address,uint256)",
            purpose: "allow",
            noted: Some(format!("allowance:{}", approval.id)),
        };
        match self.send_in_order(approval, runtime, &step).await? {
            End::Success => Ok(()),
            End::Reverted => Err(not_allowed("the token refused it")),
            End::Never(why) => Err(not_allowed(&why)),
        }
    }

    pub(crate) async fn execute_sign(&self, approval: &Approval) -> Result<(), HostError> {
        let sign: SignIntent = serde_json::from_value(approval.request.intent.clone())
            .map_err(|e| HostError::internal(format!("stored intent: {e}")))?;
        let digest: B256 = approval.request.digest.parse().map_err(|_| HostError::internal("a stored digest"))?;
        let approved = Approved::new(sign.intent, approval.id, digest)?;
        let signature = self.vault().sign_message(sign.owner, &approved)?;
        let outcome = json!({ "signature": format!("0x{}", hex::encode(signature)) });
        self.store().finish_approval(approval.id, Ok(&outcome))?;
        Ok(())
    }
}

fn not_allowed(why: &str) -> HostError {
    HostError::new(code::TRANSACTION_REJECTED, format!("the token allowance before the deposit failed: {why}"))
}

/// When the deposit fails behind its allowance, the words say that the allowance stands.
fn allowed_already(call: &CallIntent, error: HostError) -> HostError {
    let (Some(before), true) = (&call.before, error.code == code::TRANSACTION_REJECTED) else { return error };
    HostError::new(
        error.code,
        format!(
            "{}; the contract may still take {} of the token {}: set its allowance to zero if you do not try again",
            error.message,
            before.amount,
            before.token.to_checksum(None)
        ),
    )
}
