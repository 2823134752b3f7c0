//! Requests to the user: the queue, the decision, and the execution of what was approved.
//!
//! A request is durable before anybody sees it, a decision before anything happens, and what was approved is executed
//! again after a crash until its end is written: the transaction is found by its approval, never sent twice.

mod waiting;

pub(crate) use waiting::Waiting;

use crate::callers::CallerPlan;
use crate::calls::CallPlan;
use crate::error::{HostError, chain, code};
use crate::messages::{ApprovalView, Decision, Row};
use crate::plugin::Cause;
use crate::policies::{locked_error, reservations, still_fits};
use crate::policy::Ask;
use crate::site::{Bundle, ConnectPlan, NetworkPlan, ProposePlan};
use crate::solutions::{install_plan, update_plan};
use crate::{Actor, Host, LONGEST_WAIT, Operation, locked, now};
use alloy::primitives::U256;
use entresol_layer1::CallRequest;
use entresol_store::{Approval, ApprovalFilter, ApprovalState, NewApproval, StoreError};
use entresol_vault::Intent;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::time::Duration;

pub(crate) use crate::wallet::{CallIntent, Signer};

/// How long a request waits for the user.
const TIME_TO_LIVE: Duration = Duration::from_secs(3600);
/// Requests of one requester that may wait at once.
const MAX_PENDING: usize = 16;
/// Requests of all callers and plugins together that may wait at once: new names for callers cost nothing.
const MAX_WAITING: usize = 256;
/// Decided requests that are looked at for a cool-down.
const RECENT: u32 = 100;
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
#[derive(Clone)]
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
    /// Rows of the plugin's `confirmation`, shown below the wallet's under its name.
    pub(crate) says: Vec<Row>,
    /// What a policy would look at; without it no policy lets the request pass.
    pub(crate) ask: Option<Ask>,
    /// A rule of the wallet's own by which the request passes without asking (`role defend`).
    pub(crate) passes: Option<&'static str>,
}

impl Proposal {
    /// A request of nobody's cause, for no solution, that no policy lets pass.
    pub(crate) fn new(
        kind: &'static str,
        requester: Requester,
        digest: String,
        intent: &impl Serialize,
        sentence: String,
    ) -> Result<Self, HostError> {
        Ok(Self {
            kind,
            requester,
            request_key: None,
            solution: None,
            causes: Vec::new(),
            intent: serde_json::to_value(intent).map_err(|e| HostError::internal(e.to_string()))?,
            digest,
            sentence,
            rows: Vec::new(),
            warnings: Vec::new(),
            says: Vec::new(),
            ask: None,
            passes: None,
        })
    }
}

/// The intent of a layer-1 transaction whose fees may reach the ceiling.
pub(crate) fn transaction(chain_id: u64, call: &CallRequest, ceiling: U256) -> Intent {
    Intent::Transaction {
        chain_id,
        from: call.from,
        to: call.to,
        value: call.value,
        input: call.input.clone(),
        max_total_fee: ceiling,
    }
}

/// What was shown, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Shown {
    pub(crate) sentence: String,
    pub(crate) rows: Vec<Row>,
    pub(crate) warnings: Vec<String>,
    /// The plugin's own rows, below the wallet's.
    #[serde(default)]
    pub(crate) says: Vec<Row>,
    /// What a policy would look at: for dry runs.
    #[serde(default)]
    pub(crate) ask: Option<Ask>,
}

/// An owner's signature as the approval's intent keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SignIntent {
    pub(crate) intent: Intent,
    pub(crate) owner: u32,
}

impl Host {
    /// Puts a request before the user, or lets it pass: by the wallet's own rule, or by policies that cover every cause.
    /// The same request key gives the same request.
    pub(crate) async fn submit(&self, proposal: Proposal) -> Result<ApprovalView, HostError> {
        if let Some(known) = self.known_request(proposal.request_key.as_deref())? {
            return Ok(known);
        }
        let from_callers = proposal.causes.iter().any(|cause| cause.key != Cause::USER);
        if self.vault().is_locked() && from_callers && proposal.passes.is_none() {
            return Err(locked_error());
        }
        if let Some(rule) = proposal.passes {
            let approval =
                self.store().create_decided_approval(&new_approval(proposal)?, rule, &[], |_| Ok(()), now())?;
            return self.decided(approval);
        }
        if let (Some(solution), Some(ask)) = (proposal.solution, proposal.ask.clone())
            && let Some(covers) = self.covers(solution, &proposal.causes, &ask)?
            // Where the chain cannot be asked, the user is.
            && self.gateway_is_unchanged(solution).await.unwrap_or(false)
        {
            let names: Vec<String> = covers.iter().map(|cover| cover.policy.to_string()).collect();
            let decided_by = format!("policy {}", names.join(", "));
            let rows = reservations(&covers, &ask);
            let at = now();
            let new = new_approval(proposal.clone())?;
            match self.store().create_decided_approval(&new, &decided_by, &rows, still_fits(&covers, &ask, at), at) {
                Ok(approval) => return self.decided(approval),
                // Another request took what was left: the user is asked.
                Err(StoreError::PolicyRefused { .. } | StoreError::PolicyInactive { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.propose(proposal)
    }

    fn decided(&self, approval: Approval) -> Result<ApprovalView, HostError> {
        let view = self.approval_view(&approval)?;
        self.changed();
        self.execute(approval);
        Ok(view)
    }

    /// Puts a request into the queue, durably.
    fn propose(&self, proposal: Proposal) -> Result<ApprovalView, HostError> {
        let new = new_approval(proposal)?;
        // Counting and adding are one step: requests come from many tasks at once.
        let _one_at_a_time = locked(&self.inner.proposing);
        self.check_room(&new.requester)?;
        let approval = self.store().create_approval(&new)?;
        self.changed();
        self.approval_view(&approval)
    }

    /// Whether a requester may put one more request into the queue: what costs something is looked for only then.
    ///
    /// # Errors
    /// Too many requests wait; too many were rejected just before.
    pub(crate) fn room_for(&self, requester: &Requester) -> Result<(), HostError> {
        self.check_room(&serde_json::to_value(requester).map_err(|e| HostError::internal(e.to_string()))?)
    }

    fn check_room(&self, requester: &Json) -> Result<(), HostError> {
        self.store().expire_approvals(now())?;
        let waiting = self.store().approvals(pending())?;
        let foreign = |requester: &Json| !is_own_hand(&requester["who"]);
        if foreign(requester)
            && waiting.iter().filter(|approval| foreign(&approval.request.requester)).count() >= MAX_WAITING
        {
            return Err(HostError::new(code::LIMIT, "too many requests wait for the user; ask again later"));
        }
        if waiting.iter().filter(|approval| approval.request.requester == *requester).count() >= MAX_PENDING {
            return Err(HostError::new(
                code::LIMIT,
                format!("{MAX_PENDING} requests wait for a decision already; decide them with `entresol approvals`"),
            ));
        }
        self.cool_down(requester)
    }

    /// After several rejections in a row a requester waits before it may ask again. The user's own hand never waits.
    fn cool_down(&self, requester: &Json) -> Result<(), HostError> {
        if is_own_hand(&requester["who"]) {
            return Ok(());
        }
        let at = now();
        let recent = ApprovalFilter { limit: Some(RECENT), ..ApprovalFilter::default() };
        let mut rejections = Vec::new();
        for approval in self.store().approvals(recent)?.iter().rev() {
            if approval.request.requester != *requester {
                continue;
            }
            match (approval.state, approval.decided_by.as_deref()) {
                (ApprovalState::Rejected, _) => rejections.extend(approval.decided_at),
                // Only a yes of the user's own ends the row: what a policy lets pass, or time ends, says nothing.
                (ApprovalState::Approved | ApprovalState::Done | ApprovalState::Failed, Some("user" | "page")) => break,
                _ => {}
            }
        }
        let wait = cool_down(&rejections, at);
        if wait == 0 {
            return Ok(());
        }
        Err(HostError::new(
            code::LIMIT,
            format!("the user rejected the last {} requests; ask again in {} s", rejections.len(), wait.div_ceil(1000)),
        )
        .with(json!({ "retryAfterMs": wait })))
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
        let before = self.store().approval(id)?;
        let choice = self.choice(&before, &decision)?;
        let approval =
            self.store().decide_approval(id, &decision.digest, verdict, &choice, &actor.to_string(), now())?;
        self.changed();
        if decision.approve {
            self.execute(approval.clone());
        }
        self.approval_view(&approval)
    }

    /// What the user narrows or chooses while saying yes: permissions of an install that they refuse, accounts that a
    /// caller will see.
    fn choice(&self, approval: &Approval, decision: &Decision) -> Result<Json, HostError> {
        let accounts = self.chosen_accounts(approval, decision)?;
        if decision.refuse.is_empty() {
            return Ok(accounts);
        }
        let request = &approval.request;
        let asked = crate::solutions::asked_permissions(&request.kind, &request.intent)?.ok_or_else(|| {
            HostError::invalid("only permissions of an install or an update can be refused one by one")
        })?;
        for refused in &decision.refuse {
            if !asked.iter().any(|permission| permission.to_string() == *refused) {
                return Err(HostError::invalid(format!(
                    "this {} does not ask for {refused:?}; see `entresol approvals show {}`",
                    request.kind, approval.id
                )));
            }
        }
        Ok(json!({ "refuse": decision.refuse }))
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
            // Nobody tells of a request whose time is over: its waiter looks by itself.
            let expiry = (approval.state == ApprovalState::Pending).then(|| {
                let left = approval.request.expires_at.saturating_sub(now()) + 1;
                tokio::time::Instant::now() + Duration::from_millis(left)
            });
            match [deadline, expiry].into_iter().flatten().min() {
                Some(until) => {
                    if tokio::time::timeout_at(until, changed).await.is_err()
                        && deadline.is_some_and(|deadline| deadline <= tokio::time::Instant::now())
                    {
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
            )
            .with(outcome["data"].clone())),
            state => Err(undecided(state, id)),
        }
    }

    /// Waits until the user has agreed to a request, whatever comes of it.
    ///
    /// # Errors
    /// 4001 when the user says no or does not answer.
    pub(crate) async fn agreed(&self, id: i64) -> Result<(), HostError> {
        let approval = self.wait_approval(key(id)?, false, None).await?;
        match approval.state {
            ApprovalState::Approved | ApprovalState::Done | ApprovalState::Failed => Ok(()),
            state => Err(undecided(state, id)),
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

    /// Takes requests out of the queue that nobody may decide any more.
    pub(crate) fn expire_requests(&self, why: &str, which: impl Fn(&NewApproval) -> bool) -> Result<(), HostError> {
        for approval in self.store().approvals(pending())? {
            if which(&approval.request) {
                self.expire_request(approval.id, &approval.request.digest, why);
            }
        }
        Ok(())
    }

    /// Takes one request out of the queue, if it still waits.
    pub(crate) fn expire_request(&self, id: u64, digest: &str, why: &str) {
        let expired =
            self.store().decide_approval(id, digest, entresol_store::Decision::Expire, &Json::Null, why, now());
        if expired.is_ok() {
            self.changed();
        }
    }

    /// Carries out an approved request, once at a time.
    fn execute(&self, approval: Approval) {
        // A request key may have led to another request, which waits or has its end.
        if approval.state != ApprovalState::Approved {
            return;
        }
        if !locked(&self.inner.executing).insert(approval.id) {
            return;
        }
        let host = self.clone();
        self.spawn(async move {
            let (id, kind) = (approval.id, approval.request.kind.clone());
            let cancel = host.child_token();
            let work = async {
                check_intent(&approval)?;
                match kind.as_str() {
                    "install" => host.execute_install(&approval).await,
                    "update" => host.execute_update(&approval).await,
                    "connect" => host.execute_connect(&approval).await,
                    "network" => host.execute_network(&approval).await,
                    "propose" => host.execute_propose(&approval).await,
                    "caller" => host.execute_caller(id, &approval.request.intent).await,
                    "call" => host.execute_caller_call(&approval).await,
                    "deposit" | "withdraw" | "fund" | "exit" => host.execute_call(&approval).await,
                    "permission" => host.execute_permission(&approval).await,
                    "sign" => host.execute_sign(&approval).await,
                    "send" | "replace" | "cancel" => host.execute_own(&approval).await,
                    "bundle" => host.execute_bundle(&approval).await,
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
                    if let Err(error) = host.fail(id, &error) {
                        tracing::error!(approval = id, error = %chain(&error), "the end of a request was not stored");
                    }
                }
                Some(Ok(())) | None => {}
            }
            locked(&host.inner.executing).remove(&id);
            host.changed();
        });
    }

    /// Writes that a request failed, and gives back what its policies had reserved.
    pub(crate) fn fail(&self, approval: u64, error: &HostError) -> Result<(), HostError> {
        let outcome = json!({ "error": error.message, "code": error.code, "data": error.data });
        let failed = self.store().finish_approval(approval, Err(&outcome))?;
        self.settle_failed(&failed)
    }

    pub(crate) fn approval_view(&self, approval: &Approval) -> Result<ApprovalView, HostError> {
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
            says: shown.says,
            causes: causes.iter().map(cause_text).collect(),
            digest: request.digest.clone(),
            created_at: i64::try_from(request.created_at).unwrap_or(i64::MAX),
            expires_at: i64::try_from(request.expires_at).unwrap_or(i64::MAX),
            decided_by: approval.decided_by.clone(),
            outcome: approval.outcome.clone().unwrap_or(Json::Null),
        })
    }
}

/// What a requester is told of a request that the user did not agree to.
fn undecided(state: ApprovalState, id: i64) -> HostError {
    let why = match state {
        ApprovalState::Rejected => format!("the user rejected request {id}"),
        _ => format!("request {id} expired without a decision"),
    };
    HostError::new(code::REJECTED, why)
}

/// Compares what is about to be carried out with what was decided, whatever happened to the database in between.
fn check_intent(approval: &Approval) -> Result<(), HostError> {
    let request = &approval.request;
    let stored = |e: serde_json::Error| HostError::internal(format!("stored intent: {e}"));
    let intent = request.intent.clone();
    let digest = match request.kind.as_str() {
        "install" => install_plan(&intent)?.digest()?,
        "update" => update_plan(&intent)?.digest()?,
        "connect" => serde_json::from_value::<ConnectPlan>(intent).map_err(stored)?.digest()?,
        "network" => serde_json::from_value::<NetworkPlan>(intent).map_err(stored)?.digest()?,
        "propose" => serde_json::from_value::<ProposePlan>(intent).map_err(stored)?.digest()?,
        "caller" => serde_json::from_value::<CallerPlan>(intent).map_err(stored)?.digest()?,
        "call" => serde_json::from_value::<CallPlan>(intent).map_err(stored)?.digest()?,
        "deposit" | "withdraw" | "fund" | "send" | "replace" | "cancel" | "exit" => {
            serde_json::from_value::<CallIntent>(intent).map_err(stored)?.digest().to_string()
        }
        "sign" => serde_json::from_value::<SignIntent>(intent).map_err(stored)?.intent.digest().to_string(),
        "bundle" => serde_json::from_value::<Bundle>(intent).map_err(stored)?.digest().to_string(),
        // The others compare by themselves where they are carried out.
        _ => return Ok(()),
    };
    if digest.eq_ignore_ascii_case(&request.digest) {
        return Ok(());
    }
    Err(HostError::invalid("what is stored is not what was approved; nothing was done, ask again"))
}

/// How long a requester waits after rejections at these times (newest first): nothing for the first two, then a
/// minute, doubled by each further one up to an hour.
fn cool_down(rejections: &[u64], at: u64) -> u64 {
    const PATIENCE: usize = 3;
    const FIRST_MS: u64 = 60_000;
    const LONGEST_MS: u64 = 3_600_000;
    let Some(newest) = rejections.iter().max() else { return 0 };
    if rejections.len() < PATIENCE {
        return 0;
    }
    let doublings = u32::try_from(rejections.len() - PATIENCE).unwrap_or(u32::MAX).min(10);
    let wait = FIRST_MS.saturating_mul(1 << doublings).min(LONGEST_MS);
    (newest + wait).saturating_sub(at)
}

fn new_approval(proposal: Proposal) -> Result<NewApproval, HostError> {
    let shown = Shown {
        sentence: proposal.sentence,
        rows: proposal.rows,
        warnings: proposal.warnings,
        says: proposal.says,
        ask: proposal.ask,
    };
    let json = |e: serde_json::Error| HostError::internal(e.to_string());
    let at = now();
    Ok(NewApproval {
        kind: proposal.kind.to_owned(),
        requester: serde_json::to_value(&proposal.requester).map_err(json)?,
        request_key: proposal.request_key,
        solution: proposal.solution,
        cause: serde_json::to_value(&proposal.causes).map_err(json)?,
        intent: proposal.intent,
        digest: proposal.digest,
        shown: serde_json::to_value(&shown).map_err(json)?,
        created_at: at,
        expires_at: at + u64::try_from(TIME_TO_LIVE.as_millis()).unwrap_or(u64::MAX),
    })
}

/// True for the user, at a terminal or on the wallet's page.
fn is_own_hand(who: &Json) -> bool {
    matches!(who.as_str(), Some("user" | "page"))
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

pub(crate) fn pending() -> ApprovalFilter {
    ApprovalFilter { state: Some(ApprovalState::Pending), ..ApprovalFilter::default() }
}

fn key(id: i64) -> Result<u64, HostError> {
    u64::try_from(id).map_err(|_| HostError::not_found(format!("there is no request {id}; see `entresol approvals`")))
}

#[cfg(test)]
mod tests;
