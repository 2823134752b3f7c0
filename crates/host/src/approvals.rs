//! Requests to the user: the queue, the decision, and the execution of what was approved.
//!
//! A request is durable before anybody sees it, a decision before anything happens, and what was approved is executed
//! again after a crash until its end is written: the transaction is found by its approval, never sent twice.

use crate::error::{HostError, chain, code};
use crate::messages::{ApprovalView, Decision, Row};
use crate::plugin::Cause;
use crate::policy::Ask;
use crate::{Actor, Host, LONGEST_WAIT, Operation, locked, now};
use alloy::primitives::B256;
use entresol_layer1::{CallRequest, StoredTransaction, TransactionStatus};
use entresol_store::{Approval, ApprovalFilter, ApprovalState, JournalIntent, NewApproval, NewTransfer, TransferKind};
use entresol_vault::{Approved, Intent};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// How long a request waits for the user.
const TIME_TO_LIVE: Duration = Duration::from_secs(3600);
/// Requests of one requester that may wait at once.
const MAX_PENDING: usize = 16;
/// Gas added to the estimate: state may differ a little when the transaction is mined.
pub(crate) const GAS_MARGIN_PERCENT: u64 = 25;

/// Who put a request into the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Requester {
    who: String,
}

impl Requester {
    pub(crate) fn of(actor: &Actor) -> Self {
        Self { who: actor.to_string() }
    }
}

/// A request before it is in the queue.
pub(crate) struct Proposal {
    pub(crate) kind: &'static str,
    pub(crate) requester: Requester,
    pub(crate) request_key: Option<String>,
    pub(crate) solution: Option<i64>,
    pub(crate) causes: Vec<Cause>,
    pub(crate) intent: Json,
    pub(crate) digest: String,
    pub(crate) sentence: String,
    pub(crate) rows: Vec<Row>,
    pub(crate) warnings: Vec<String>,
    /// What a policy would look at; without it no policy lets the request pass.
    pub(crate) ask: Option<Ask>,
    /// A rule of the wallet's own by which the request passes without asking (`role defend`).
    pub(crate) passes: Option<&'static str>,
}

/// What was shown, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Shown {
    sentence: String,
    rows: Vec<Row>,
    warnings: Vec<String>,
}

/// A layer-1 call as the approval's intent keeps it: what is signed, and what follows from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CallIntent {
    pub(crate) intent: Intent,
    pub(crate) owner: u32,
    pub(crate) role: String,
    pub(crate) function: String,
}

/// An owner's signature as the approval's intent keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SignIntent {
    pub(crate) intent: Intent,
    pub(crate) owner: u32,
}

impl Host {
    /// Puts a request before the user, or lets it pass by the policies that cover every cause.
    pub(crate) async fn submit(&self, proposal: Proposal) -> Result<ApprovalView, HostError> {
        self.propose(proposal)
    }

    /// Puts a request into the queue, durably. The same request key gives the same request.
    pub(crate) fn propose(&self, proposal: Proposal) -> Result<ApprovalView, HostError> {
        let requester = serde_json::to_value(&proposal.requester).map_err(|e| HostError::internal(e.to_string()))?;
        // Counting and adding are one step: requests come from many tasks at once.
        let _one_at_a_time = locked(&self.inner.proposing);
        let waiting = self.store().approvals(pending())?;
        if waiting.iter().filter(|approval| approval.request.requester == requester).count() >= MAX_PENDING {
            return Err(HostError::new(
                code::LIMIT,
                format!("{MAX_PENDING} requests wait for a decision already; decide them with `entresol approvals`"),
            ));
        }
        let shown = Shown { sentence: proposal.sentence, rows: proposal.rows, warnings: proposal.warnings };
        let at = now();
        let approval = self.store().create_approval(&NewApproval {
            kind: proposal.kind.to_owned(),
            requester,
            request_key: proposal.request_key,
            solution: proposal.solution,
            cause: json!(proposal.causes),
            intent: proposal.intent,
            digest: proposal.digest,
            shown: serde_json::to_value(&shown).map_err(|e| HostError::internal(e.to_string()))?,
            created_at: at,
            expires_at: at + u64::try_from(TIME_TO_LIVE.as_millis()).unwrap_or(u64::MAX),
        })?;
        self.changed();
        self.approval_view(&approval)
    }

    /// The request made with this key before, if there is one.
    pub(crate) fn known_request(&self, key: Option<&str>) -> Result<Option<ApprovalView>, HostError> {
        let Some(key) = key else { return Ok(None) };
        self.store().approval_by_request_key(key)?.map(|approval| self.approval_view(&approval)).transpose()
    }

    /// Requests, newest first: those that wait, or with `all` every one.
    ///
    /// # Errors
    /// Not authorised.
    pub async fn approvals(&self, actor: &Actor, all: bool) -> Result<Vec<ApprovalView>, HostError> {
        self.authorize(actor, &Operation::Read, "approvals")?;
        self.store().expire_approvals(now())?;
        let filter = if all { ApprovalFilter::default() } else { pending() };
        self.store().approvals(filter)?.iter().map(|approval| self.approval_view(approval)).collect()
    }

    /// One request.
    ///
    /// # Errors
    /// Not authorised; not found.
    pub async fn approval(&self, actor: &Actor, id: i64) -> Result<ApprovalView, HostError> {
        self.authorize(actor, &Operation::Read, "approval")?;
        self.approval_view(&self.store().approval(key(id)?)?)
    }

    /// Decides a request. The decision must name the digest that was shown, so that what is approved is what was read.
    ///
    /// # Errors
    /// Not authorised (no passphrase session); not pending any more; another digest; expired.
    pub async fn approval_decide(&self, actor: &Actor, decision: Decision) -> Result<ApprovalView, HostError> {
        self.authorize(actor, &Operation::Decide, "approval_decide")?;
        let id = key(decision.id)?;
        let verdict =
            if decision.approve { entresol_store::Decision::Approve } else { entresol_store::Decision::Reject };
        let approval =
            self.store().decide_approval(id, &decision.digest, verdict, &Json::Null, &actor.to_string(), now())?;
        self.changed();
        if decision.approve {
            self.execute(approval.clone());
        }
        self.approval_view(&approval)
    }

    /// Waits until a request is decided (or, with `finished`, until its effect has an end), at most `timeout` and a
    /// minute; then gives it as it is.
    ///
    /// # Errors
    /// Not authorised; not found.
    pub async fn approval_wait(
        &self,
        actor: &Actor,
        id: i64,
        finished: bool,
        timeout: Duration,
    ) -> Result<ApprovalView, HostError> {
        self.authorize(actor, &Operation::Read, "approval_wait")?;
        let deadline = tokio::time::Instant::now() + timeout.min(LONGEST_WAIT);
        let approval = self.wait_approval(key(id)?, finished, Some(deadline)).await?;
        self.approval_view(&approval)
    }

    async fn wait_approval(
        &self,
        id: u64,
        finished: bool,
        deadline: Option<tokio::time::Instant>,
    ) -> Result<Approval, HostError> {
        let mut changes = self.inner.changes.subscribe();
        loop {
            changes.borrow_and_update();
            let approval = self.store().approval(id)?;
            let waits = match approval.state {
                ApprovalState::Pending => now() < approval.request.expires_at,
                ApprovalState::Approved => finished,
                // Its end is written, and what follows from it (a plugin that starts) is still being done.
                _ => finished && locked(&self.inner.executing).contains(&id),
            };
            if !waits {
                return Ok(approval);
            }
            let changed = async {
                let _ = changes.changed().await;
            };
            match deadline {
                Some(deadline) => {
                    if tokio::time::timeout_at(deadline, changed).await.is_err() {
                        return Ok(approval);
                    }
                }
                None => changed.await,
            }
        }
    }

    /// Waits for the end of a request that a plugin made, and gives its outcome.
    pub(crate) async fn outcome(&self, id: i64) -> Result<Json, HostError> {
        let approval = self.wait_approval(key(id)?, true, None).await?;
        let outcome = approval.outcome.clone().unwrap_or(Json::Null);
        match approval.state {
            ApprovalState::Done => Ok(outcome),
            ApprovalState::Failed => Err(HostError::new(
                outcome["code"].as_i64().and_then(|c| i32::try_from(c).ok()).unwrap_or(code::INTERNAL),
                outcome["error"].as_str().unwrap_or("it failed").to_owned(),
            )),
            ApprovalState::Rejected => Err(HostError::new(code::REJECTED, format!("the user rejected request {id}"))),
            _ => Err(HostError::new(code::REJECTED, format!("request {id} expired without a decision"))),
        }
    }

    pub(crate) fn pending_approvals(&self) -> Result<usize, HostError> {
        let at = now();
        Ok(self.store().approvals(pending())?.iter().filter(|approval| approval.request.expires_at > at).count())
    }

    /// Takes up everything that was approved and has no end yet.
    pub(crate) fn resume_approved(&self) {
        match self.store().open_approved() {
            Ok(open) => open.into_iter().for_each(|approval| self.execute(approval)),
            Err(error) => tracing::error!(error = %chain(&error), "approved requests could not be read"),
        }
    }

    /// Carries out an approved request, once at a time.
    fn execute(&self, approval: Approval) {
        if !locked(&self.inner.executing).insert(approval.id) {
            return;
        }
        let host = self.clone();
        self.spawn(async move {
            let (id, kind) = (approval.id, approval.request.kind.clone());
            let cancel = host.child_token();
            let work = async {
                match kind.as_str() {
                    "install" => host.execute_install(id, &approval.request.intent).await,
                    "deposit" | "withdraw" => host.execute_call(&approval).await,
                    "sign" => host.execute_sign(&approval).await,
                    other => Err(HostError::internal(format!("an approval of unknown kind {other:?}"))),
                }
            };
            let result = tokio::select! { () = cancel.cancelled() => None, result = work => Some(result) };
            match result {
                // Locked, or the chain is away: it stays approved and is taken up again.
                Some(Err(error)) if later(&error) => {
                    tracing::warn!(approval = id, %error, "an approved request waits");
                }
                Some(Err(error)) => {
                    let outcome = json!({ "error": error.message, "code": error.code });
                    if let Err(error) = host.store().finish_approval(id, Err(&outcome)) {
                        tracing::error!(approval = id, error = %chain(&error), "the end of a request was not stored");
                    }
                }
                Some(Ok(())) | None => {}
            }
            locked(&host.inner.executing).remove(&id);
            host.changed();
        });
    }

    /// Signs, stores, broadcasts and follows an approved layer-1 call. After a crash the stored transaction is found
    /// by its approval and followed, never made again.
    async fn execute_call(&self, approval: &Approval) -> Result<(), HostError> {
        let call: CallIntent = serde_json::from_value(approval.request.intent.clone())
            .map_err(|e| HostError::internal(format!("stored intent: {e}")))?;
        let Intent::Transaction { chain_id, from, to, value, ref input, max_total_fee } = call.intent else {
            return Err(HostError::internal("a layer-1 call without a transaction"));
        };
        let solution = approval.request.solution.ok_or_else(|| HostError::internal("a layer-1 call of no solution"))?;
        let row = self.store().solution(solution)?.ok_or_else(|| HostError::not_found("the solution is gone"))?;
        let runtime = self.runtime_ready(&row.spec.network).await?;
        if runtime.network.chain_id() != chain_id {
            return Err(HostError::invalid("the network serves another chain than the one approved"));
        }
        let known = self.store().transaction_by_approval(approval.id)?;
        let hash = match known {
            Some(known) => known.hash.parse().map_err(|_| HostError::internal("a stored hash"))?,
            None => {
                let digest: B256 =
                    approval.request.digest.parse().map_err(|_| HostError::internal("a stored digest"))?;
                let approved = Approved::new(call.intent.clone(), approval.id, digest)?;
                let request = CallRequest { from, to, value, input: input.clone() };
                let transactions = &runtime.transactions;
                let tx = transactions.prepare_within(&request, GAS_MARGIN_PERCENT, max_total_fee).await?;
                let signed = match self.vault().sign_transaction(call.owner, &tx, &approved) {
                    Ok(signed) => signed,
                    Err(error) => {
                        transactions.release(from, tx.nonce);
                        return Err(error.into());
                    }
                };
                let intent = JournalIntent {
                    solution: Some(solution),
                    actor: approval.request.requester["who"].as_str().unwrap_or_default().to_owned(),
                    action: "transaction".into(),
                    resource: call.function.clone(),
                    detail: json!({ "approval": approval.id, "hash": signed.hash, "value": value.to_string() }),
                };
                let stored = StoredTransaction {
                    hash: signed.hash,
                    chain_id,
                    from,
                    nonce: tx.nonce,
                    raw: signed.raw,
                    approval_id: i64::try_from(approval.id).ok(),
                    solution: Some(solution),
                    purpose: call.role.clone(),
                    status: TransactionStatus::Stored,
                };
                self.journaled(intent, async { Ok(transactions.submit(stored).await?) }).await?;
                signed.hash
            }
        };
        // Idempotent by the approval: a crash between these writes is made good by the next run.
        let transfer = self.store().create_transfer(
            &NewTransfer {
                solution,
                kind: if call.role == "deposit" { TransferKind::Deposit } else { TransferKind::Withdrawal },
                amount: value.to_string(),
                asset: "ETH".into(),
                stage: "sent".into(),
                stages: json!(["sent", "included", "confirmed"]),
                plugin: false,
                approval_id: Some(approval.id),
                tx_hash: Some(hash.to_string()),
                detail: json!({ "function": call.function }),
            },
            now(),
        )?;
        if let Ok(status) = runtime.transactions.follow(hash) {
            let status = status.borrow().clone();
            self.note_status(hash, &status)?;
        }
        let outcome = json!({ "transaction": hash, "transfer": transfer.id });
        self.store().finish_approval(approval.id, Ok(&outcome))?;
        self.follow_transaction(&runtime.transactions, hash);
        Ok(())
    }

    async fn execute_sign(&self, approval: &Approval) -> Result<(), HostError> {
        let sign: SignIntent = serde_json::from_value(approval.request.intent.clone())
            .map_err(|e| HostError::internal(format!("stored intent: {e}")))?;
        let digest: B256 = approval.request.digest.parse().map_err(|_| HostError::internal("a stored digest"))?;
        let approved = Approved::new(sign.intent, approval.id, digest)?;
        let signature = self.vault().sign_message(sign.owner, &approved)?;
        let outcome = json!({ "signature": format!("0x{}", hex::encode(signature)) });
        self.store().finish_approval(approval.id, Ok(&outcome))?;
        Ok(())
    }

    fn approval_view(&self, approval: &Approval) -> Result<ApprovalView, HostError> {
        let request = &approval.request;
        let shown: Shown = serde_json::from_value(request.shown.clone())
            .map_err(|e| HostError::internal(format!("stored request: {e}")))?;
        let causes: Vec<Cause> = serde_json::from_value(request.cause.clone()).unwrap_or_default();
        let solution = match request.solution {
            Some(id) => self.store().solution(id)?.map(|row| row.spec.name),
            None => None,
        };
        let expired = approval.state == ApprovalState::Pending && request.expires_at <= now();
        let state = if expired { ApprovalState::Expired } else { approval.state };
        Ok(ApprovalView {
            id: i64::try_from(approval.id).unwrap_or(i64::MAX),
            kind: request.kind.clone(),
            solution,
            state: state.as_str().to_owned(),
            sentence: shown.sentence,
            rows: shown.rows,
            warnings: shown.warnings,
            causes: causes.iter().map(cause_text).collect(),
            digest: request.digest.clone(),
            created_at: i64::try_from(request.created_at).unwrap_or(i64::MAX),
            expires_at: i64::try_from(request.expires_at).unwrap_or(i64::MAX),
            outcome: approval.outcome.clone().unwrap_or(Json::Null),
        })
    }
}

/// Words for a cause; the call id lets a caller find what it caused.
fn cause_text(cause: &Cause) -> String {
    match &cause.call_id {
        Some(id) => format!("{} called {} (id {id})", cause.caller, cause.action),
        None => format!("{} called {}", cause.caller, cause.action),
    }
}

/// True for errors that time or an unlock mends; the request stays approved.
fn later(error: &HostError) -> bool {
    error.code == code::DISCONNECTED || error.code == code::UNAUTHORIZED
}

fn pending() -> ApprovalFilter {
    ApprovalFilter { state: Some(ApprovalState::Pending), ..ApprovalFilter::default() }
}

fn key(id: i64) -> Result<u64, HostError> {
    u64::try_from(id).map_err(|_| HostError::not_found(format!("there is no request {id}; see `entresol approvals`")))
}
