//! Carrying out what was approved: layer-1 calls and signatures. Nothing here decides; everything can be called again
//! after a crash and goes on where it was.

use crate::approvals::{GAS_MARGIN_PERCENT, SignIntent};
use crate::error::{HostError, code};
use crate::networks::Runtime;
use crate::{Host, now};
use alloy::primitives::{Address, B256, U256};
use entresol_layer1::{CallRequest, StoredTransaction, TransactionStatus, TxEip1559};
use entresol_store::{Approval, JournalIntent, NewTransfer, TransferKind};
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
    pub(super) fn approved(&self, approval: &Approval, first: bool) -> Result<Approved, HostError> {
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
                self.send(approval, &call, &runtime, false).await.map_err(|error| allowed_already(&call, error))?
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

    /// Prepares, signs, stores and broadcasts the call, or (`first`) the allowance before it.
    async fn send(
        &self,
        approval: &Approval,
        call: &CallIntent,
        runtime: &Runtime,
        first: bool,
    ) -> Result<B256, HostError> {
        let approved = call.approved(approval, first)?;
        let Intent::Transaction { chain_id, from, to, value, ref input, max_total_fee } = *approved.intent() else {
            return Err(HostError::internal("a layer-1 call without a transaction"));
        };
        let request = CallRequest { from, to, value, input: input.clone() };
        let transactions = &runtime.transactions;
        let tx = transactions.prepare_within(&request, GAS_MARGIN_PERCENT, max_total_fee).await?;
        let signed = match self.sign_call(call, approval.request.solution, &tx, &approved) {
            Ok(signed) => signed,
            Err(error) => {
                transactions.release(from, tx.nonce);
                return Err(error);
            }
        };
        if first {
            // Before it is stored: a hash that the store does not know was never sent.
            self.store().put_meta(&allowance_key(approval.id), &json!(signed.hash))?;
        }
        let intent = JournalIntent {
            solution: approval.request.solution,
            actor: approval.request.requester["who"].as_str().unwrap_or_default().to_owned(),
            action: "transaction".into(),
            resource: if first { "approve(address,uint256)".to_owned() } else { call.function.clone() },
            detail: json!({ "approval": approval.id, "hash": signed.hash, "value": value.to_string() }),
        };
        let hash = signed.hash;
        let stored = StoredTransaction {
            hash,
            chain_id,
            from,
            nonce: tx.nonce,
            raw: signed.raw,
            // One transaction per approval is found by it: the one that the approval is for.
            approval_id: if first { None } else { i64::try_from(approval.id).ok() },
            solution: approval.request.solution,
            purpose: if first { "allow".to_owned() } else { call.role.clone() },
            status: TransactionStatus::Stored,
        };
        self.journaled(intent, async { Ok(transactions.submit(stored).await?) }).await?;
        Ok(hash)
    }

    /// Signs with the key that the approval names, after the vault has compared the transaction with the intent.
    pub(crate) fn sign_call(
        &self,
        call: &CallIntent,
        solution: Option<i64>,
        tx: &TxEip1559,
        approved: &Approved,
    ) -> Result<SignedTransaction, HostError> {
        match call.signer {
            Signer::Owner { index } => Ok(self.vault().sign_transaction(index, tx, approved)?),
            Signer::Layer2 { index } => {
                let solution = solution.ok_or_else(|| HostError::internal("a layer-2 account of no solution"))?;
                Ok(self.vault().sign_subtree_transaction(&self.key_path(solution)?, index, tx, approved)?)
            }
        }
    }

    /// Sends the allowance, once, and waits until it is in a block: only then can the deposit be estimated.
    async fn allow_first(&self, approval: &Approval, call: &CallIntent, runtime: &Runtime) -> Result<(), HostError> {
        let noted = self.store().meta(&allowance_key(approval.id))?;
        let noted: Option<B256> = noted.and_then(|hash| hash.as_str()?.parse().ok());
        let hash = match noted {
            Some(hash) if self.store().transaction(&hash.to_string())?.is_some() => hash,
            _ => self.send(approval, call, runtime, true).await?,
        };
        let mut status = match runtime.transactions.follow(hash) {
            Ok(status) => status,
            // Followed to its end by an earlier process.
            Err(_) => {
                let row = self.store().transaction(&hash.to_string())?;
                let done = row.is_some_and(|row| row.success == Some(true));
                return if done { Ok(()) } else { Err(not_allowed("it did not get into the chain")) };
            }
        };
        loop {
            let now_is = status.borrow_and_update().clone();
            match now_is {
                TransactionStatus::Included(inclusion) | TransactionStatus::Confirmed(inclusion) => {
                    return if inclusion.success { Ok(()) } else { Err(not_allowed("the token refused it")) };
                }
                TransactionStatus::Failed { reason } => return Err(not_allowed(&reason)),
                TransactionStatus::Replaced => return Err(not_allowed("another transaction took its place")),
                TransactionStatus::Stored | TransactionStatus::Broadcast | TransactionStatus::Superseded => {}
            }
            let changed = status.changed().await;
            changed.map_err(|_| HostError::new(code::DISCONNECTED, "the network was closed"))?;
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

fn allowance_key(approval: u64) -> String {
    format!("allowance:{approval}")
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
