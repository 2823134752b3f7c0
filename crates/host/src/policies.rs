//! Policies at work: making them, asking them, keeping their sums right across crashes, and trying one on the past.
//!
//! **Reserved before the effect, settled or released after.** A request that passes is stored as decided together with
//! its reservations, in one transaction that reads the sums and writes the rows. What the effect really cost is written
//! when it is known; what never happened is given back. After a crash [`Host::settle_open`] looks at every reservation
//! that has no end and gives it one, on the safe side: what may have happened counts.

use crate::approvals::Shown;
use crate::callers::Caller;
use crate::duties::CANCEL;
use crate::error::{HostError, code};
use crate::messages::{DryRunRow, DryRunView, PolicyInput, PolicyView};
use crate::plugin::Cause;
use crate::policy::{Ask, Rule, Spent};
use crate::{Actor, Host, Operation, now};
use alloy::primitives::{B256, U256};
use entresol_layer1::TransactionStatus;
use entresol_store::{
    Approval, ApprovalFilter, ApprovalState, JournalIntent, NewReservation, Policy, PolicyFilter, PolicyState,
    ReservationState, ReservationView, TransactionState, WindowSum,
};
use serde_json::{Value as Json, json};

/// Longest look back of a dry run.
const LONGEST_LOOK_MS: u64 = 90 * crate::policy::DAY_MS;
/// Most requests that a dry run looks at.
const MOST_LOOKED_AT: u32 = 10_000;

/// A policy that covers one cause of a request.
#[derive(Clone, Debug)]
pub(crate) struct Cover {
    pub(crate) policy: u64,
    pub(crate) rule: Rule,
    pub(crate) action: String,
}

impl Host {
    /// The user makes a policy.
    ///
    /// # Errors
    /// Not authorised; the caller has no grant for these actions; a limit makes no sense.
    pub async fn policy_add(&self, actor: &Actor, input: PolicyInput) -> Result<PolicyView, HostError> {
        self.authorize(actor, &Operation::Decide, "policy_add")?;
        let (caller, solution) = self.policy_subject(&input)?;
        let granted = self.caveats(&caller.key(), solution)?.unwrap_or_default();
        if let Some(missing) = input.rule.actions.iter().find(|action| !granted.actions.contains(action)) {
            return Err(HostError::invalid(format!(
                "{} may not even ask for {missing}: grant it first with `entresol callers grant`",
                caller.key()
            )));
        }
        if input.expires_at.is_some_and(|at| at <= now()) {
            return Err(HostError::invalid("expiresAt lies in the past"));
        }
        // What the gateway is now is what the user agrees to: a proxy that changes later pauses the policy.
        self.gateway_is_unchanged(solution).await?;
        let rule = serde_json::to_value(&input.rule).map_err(|e| HostError::internal(e.to_string()))?;
        let intent = JournalIntent {
            solution: Some(solution),
            actor: actor.to_string(),
            action: "policy".into(),
            resource: caller.key(),
            detail: rule.clone(),
        };
        let write = async { Ok(self.store().put_policy(&caller.key(), solution, &rule, input.expires_at, now())?) };
        let policy = self.journaled(intent, write).await?;
        self.changed();
        self.policy_view(&policy)
    }

    /// The policies that are not revoked.
    ///
    /// # Errors
    /// Not authorised.
    pub async fn policies(&self, actor: &Actor) -> Result<Vec<PolicyView>, HostError> {
        self.authorize(actor, &Operation::Read, "policies")?;
        let all = self.store().policies(&PolicyFilter::default())?;
        all.iter()
            .filter(|policy| policy.state != PolicyState::Revoked)
            .map(|policy| self.policy_view(policy))
            .collect()
    }

    /// Ends a policy. What it has reserved is still settled.
    ///
    /// # Errors
    /// Not authorised; not found.
    pub async fn policy_revoke(&self, actor: &Actor, id: u64) -> Result<(), HostError> {
        self.authorize(actor, &Operation::Decide, "policy_revoke")?;
        self.policy_state(actor, id, PolicyState::Revoked, Some("revoked by the user")).await
    }

    /// Lets a paused policy pass requests again, after the user has looked at why it was paused.
    ///
    /// # Errors
    /// Not authorised; not found; revoked.
    pub async fn policy_resume(&self, actor: &Actor, id: u64) -> Result<(), HostError> {
        self.authorize(actor, &Operation::Decide, "policy_resume")?;
        self.policy_state(actor, id, PolicyState::Active, None).await
    }

    async fn policy_state(
        &self,
        actor: &Actor,
        id: u64,
        state: PolicyState,
        reason: Option<&str>,
    ) -> Result<(), HostError> {
        let policy = self.store().policy(id)?;
        if policy.state == PolicyState::Revoked {
            return Err(HostError::not_found(format!("there is no policy {id}; see `entresol policy list`")));
        }
        let intent = JournalIntent {
            solution: Some(policy.solution),
            actor: actor.to_string(),
            action: format!("policy {state}"),
            resource: policy.caller,
            detail: json!({ "policy": id }),
        };
        self.journaled(intent, async { Ok(self.store().set_policy_state(id, state, reason, now())?) }).await?;
        self.changed();
        Ok(())
    }

    /// What a rule would have passed: every request of that caller since `since`, in order, each with the rule's answer.
    /// Nothing is written.
    ///
    /// # Errors
    /// Not authorised; no such caller or solution; a limit makes no sense.
    pub async fn policy_dry_run(&self, actor: &Actor, input: PolicyInput, since: u64) -> Result<DryRunView, HostError> {
        self.authorize(actor, &Operation::Read, "policy_dry_run")?;
        let (caller, solution) = self.policy_subject(&input)?;
        let since = since.max(now().saturating_sub(LONGEST_LOOK_MS));
        let filter = ApprovalFilter { solution: Some(solution), limit: Some(MOST_LOOKED_AT), ..Default::default() };
        let mut passed: Vec<(u64, Ask)> = Vec::new();
        let mut rows = Vec::new();
        for approval in self.store().approvals(filter)? {
            if approval.request.created_at < since {
                continue;
            }
            let Some((cause, ask)) = asked(&approval, &caller.key()) else { continue };
            let at = approval.request.created_at;
            let from = at.saturating_sub(input.rule.window_ms);
            let spent = spent_of(passed.iter().filter(|(when, _)| *when > from).map(|(_, ask)| ask), &ask);
            let verdict = input.rule.decide(&cause.action, &ask, &spent);
            if verdict.is_ok() {
                passed.push((at, ask.clone()));
            }
            rows.push(DryRunRow {
                at,
                action: cause.action,
                kind: approval.request.kind.clone(),
                amount: ask.amount.to_string(),
                decided: approval.state.as_str().to_owned(),
                passes: verdict.is_ok(),
                reason: verdict.err(),
            });
        }
        let total = passed.iter().fold(U256::ZERO, |sum, (_, ask)| sum.saturating_add(ask.amount));
        Ok(DryRunView { passed: passed.len() as u64, total: total.to_string(), rows })
    }

    fn policy_subject(&self, input: &PolicyInput) -> Result<(Caller, i64), HostError> {
        let caller = Caller::parse(&input.caller)?;
        let solution = self.find(&input.solution)?;
        input.rule.check()?;
        let interface = crate::interface::Interface::parse(&solution.spec.interface)?;
        for action in &input.rule.actions {
            interface.action(action)?;
        }
        Ok((caller, solution.id))
    }

    /// Policies that let a request pass: one for each distinct cause, or none at all.
    pub(crate) fn covers(&self, solution: i64, causes: &[Cause], ask: &Ask) -> Result<Option<Vec<Cover>>, HostError> {
        if causes.is_empty() {
            return Ok(None);
        }
        let mut covers: Vec<Cover> = Vec::new();
        for cause in causes {
            // The user's own call is consent to the action and to nothing that follows from it.
            if cause.key == Cause::USER || cause.key == Cause::CONFIRMATION {
                return Ok(None);
            }
            // A grant that has ended, also while its call is open, takes its policies with it.
            let granted = self.caveats(&cause.key, solution)?.unwrap_or_default();
            if !granted.actions.contains(&cause.action) {
                return Ok(None);
            }
            let filter = PolicyFilter {
                caller: Some(cause.key.clone()),
                solution: Some(solution),
                state: Some(PolicyState::Active),
            };
            let mut found = None;
            for policy in self.store().policies(&filter)? {
                if policy.expires_at.is_some_and(|at| at <= now()) {
                    continue;
                }
                let rule: Rule = serde_json::from_value(policy.rule)
                    .map_err(|e| HostError::internal(format!("a stored policy: {e}")))?;
                let since = now().saturating_sub(rule.window_ms);
                let spent = self.spent(policy.id, ask, since)?;
                if rule.decide(&cause.action, ask, &spent).is_ok() {
                    found = Some(Cover { policy: policy.id, rule, action: cause.action.clone() });
                    break;
                }
            }
            match found {
                None => return Ok(None),
                Some(cover) if covers.iter().any(|other| other.policy == cover.policy) => {}
                Some(cover) => covers.push(cover),
            }
        }
        Ok(Some(covers))
    }

    fn spent(&self, policy: u64, ask: &Ask, since: u64) -> Result<Spent, HostError> {
        spent(ask, |token| self.store().policy_window(policy, token, since))
    }

    /// Gives back or writes down what a policy's request has cost, once that is known.
    pub(crate) fn settle(&self, approval: u64, end: Settlement) -> Result<(), HostError> {
        let subject = subject(approval);
        match end {
            Settlement::Nothing => self.store().release_reservations(&subject, now()),
            Settlement::Whole => self.store().settle_reservations(&subject, None, None, now()),
            Settlement::Fee(fee) => self.store().settle_reservations(&subject, None, Some(&fee.to_string()), now()),
            Settlement::OnlyFee(fee) => {
                self.store().settle_reservations(&subject, Some("0"), Some(&fee.to_string()), now())
            }
        }?;
        Ok(())
    }

    /// Ends the reservations of a request that failed. What was signed may be with a node already: as long as its
    /// transaction is open, the money counts.
    pub(crate) fn settle_failed(&self, approval: &Approval) -> Result<(), HostError> {
        match self.store().transaction_by_approval(approval.id)? {
            Some(transaction) if transaction.state.is_open() => Ok(()),
            Some(transaction) if transaction.success.is_some() => self.settle(approval.id, Settlement::Whole),
            _ => self.settle(approval.id, failed_settlement(approval)),
        }
    }

    /// Brings the reservations of an approval up to what its transaction has come to.
    pub(crate) fn settle_transaction(
        &self,
        approval: u64,
        hash: B256,
        status: &TransactionStatus,
    ) -> Result<(), HostError> {
        let end = match status {
            TransactionStatus::Confirmed(inclusion) => {
                let fee = U256::from(inclusion.gas_used) * U256::from(inclusion.effective_gas_price);
                if inclusion.success { Settlement::Fee(fee) } else { Settlement::OnlyFee(fee) }
            }
            TransactionStatus::Failed { .. } => Settlement::Nothing,
            // Replaced by one of another approval: a cancel, or something that another wallet of this seed has sent.
            // The same call with a fee that the user agreed to later has happened all the same.
            TransactionStatus::Replaced if self.store().transaction_by_approval(approval)?.is_none() => {
                let others = self.store().transactions_of_same_nonce(&hash.to_string())?;
                let again = others.iter().any(|other| {
                    other.hash != hash.to_string()
                        && other.purpose != CANCEL
                        && other.state != TransactionState::Replaced
                });
                if again { Settlement::Whole } else { Settlement::Nothing }
            }
            // On its way, or replaced by another transaction of the same approval.
            _ => return Ok(()),
        };
        self.settle(approval, end)
    }

    /// Gives every reservation that a crash left open its end.
    pub(crate) fn settle_open(&self) -> Result<(), HostError> {
        for reservation in self.store().open_reservations()? {
            debug_assert_eq!(reservation.state, ReservationState::Reserved);
            let Some(id) = reservation.subject.strip_prefix("approval:").and_then(|id| id.parse().ok()) else {
                continue;
            };
            let approval = self.store().approval(id)?;
            match approval.state {
                ApprovalState::Done if approval.request.kind == "call" => self.settle(id, Settlement::Whole)?,
                ApprovalState::Failed => self.settle_failed(&approval)?,
                ApprovalState::Rejected | ApprovalState::Expired => self.settle(id, Settlement::Nothing)?,
                // Approved: taken up again. Done with a transaction: followed to its end.
                _ => {}
            }
        }
        Ok(())
    }

    /// Pauses every policy on a solution: what they rested on has changed.
    pub(crate) fn pause_policies(&self, solution: i64, reason: &str) {
        match self.each_policy(None, Some(solution), PolicyState::Paused, reason) {
            Ok(0) => {}
            Ok(paused) => self.notice(
                Some(solution),
                "warning",
                &format!("{paused} policies are paused: {reason}. Look at it, then `entresol policy resume`."),
            ),
            Err(error) => tracing::error!(solution, %error, "policies were not paused"),
        }
    }

    /// Ends every policy on a solution that is removed.
    pub(crate) fn end_policies(&self, solution: i64) -> Result<(), HostError> {
        self.each_policy(None, Some(solution), PolicyState::Revoked, "the solution was removed").map(drop)
    }

    /// Ends every policy of a caller on a solution.
    pub(crate) fn revoke_policies(&self, caller: &str, solution: i64, reason: &str) -> Result<(), HostError> {
        self.each_policy(Some(caller), Some(solution), PolicyState::Revoked, reason).map(|_| ())
    }

    /// Moves every such policy that is not there yet, and says how many.
    fn each_policy(
        &self,
        caller: Option<&str>,
        solution: Option<i64>,
        state: PolicyState,
        reason: &str,
    ) -> Result<usize, HostError> {
        let filter = PolicyFilter { caller: caller.map(Into::into), solution, state: None };
        let mut changed = 0;
        for policy in self.store().policies(&filter)? {
            if policy.state != PolicyState::Revoked && policy.state != state {
                self.store().set_policy_state(policy.id, state, Some(reason), now())?;
                changed += 1;
            }
        }
        self.changed();
        Ok(changed)
    }

    fn policy_view(&self, policy: &Policy) -> Result<PolicyView, HostError> {
        let rule: Rule = serde_json::from_value(policy.rule.clone())
            .map_err(|e| HostError::internal(format!("a stored policy: {e}")))?;
        let sum = self.store().policy_window(policy.id, None, now().saturating_sub(rule.window_ms))?;
        let expired = policy.expires_at.is_some_and(|at| at <= now());
        Ok(PolicyView {
            id: policy.id,
            caller: policy.caller.clone(),
            solution: self.solution_name(policy.solution)?,
            state: if expired { "expired".to_owned() } else { policy.state.as_str().to_owned() },
            reason: policy.reason.clone(),
            rule,
            used: sum.amount,
            used_fees: sum.fee,
            used_count: sum.count,
            created_at: policy.created_at,
            expires_at: policy.expires_at,
        })
    }
}

/// What became of a request that a policy let pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// It never happened.
    Nothing,
    /// It happened, or may have: everything that was reserved counts.
    Whole,
    /// It happened at this fee.
    Fee(U256),
    /// Only the fee was paid.
    OnlyFee(U256),
}

/// The rows that a passing request reserves.
pub(crate) fn reservations(covers: &[Cover], ask: &Ask) -> Vec<NewReservation> {
    let amount = ask.token.map_or(ask.amount, |moved| moved.amount);
    let token = ask.token.map(|moved| format!("{:#x}", moved.token));
    let row = |cover: &Cover| NewReservation {
        policy: cover.policy,
        subject: String::new(),
        amount: amount.to_string(),
        fee: ask.fee.to_string(),
        token: token.clone(),
        detail: Json::Null,
    };
    covers.iter().map(row).collect()
}

/// Reads the sums again inside the transaction that reserves: two requests cannot both be the last one that fits.
pub(crate) fn still_fits<'a>(
    covers: &'a [Cover],
    ask: &'a Ask,
    at: u64,
) -> impl FnOnce(&ReservationView<'_>) -> Result<(), String> + 'a {
    move |view| {
        for cover in covers {
            let since = at.saturating_sub(cover.rule.window_ms);
            let spent = spent(ask, |token| view.window(cover.policy, token, since));
            cover.rule.decide(&cover.action, ask, &spent.map_err(|e| e.message)?)?;
        }
        Ok(())
    }
}

/// The store's name for an approval's reservations.
pub(crate) fn subject(approval: u64) -> String {
    format!("approval:{approval}")
}

/// What a failed request of a policy's has cost: nothing where the script never saw it or nothing was sent.
fn failed_settlement(approval: &Approval) -> Settlement {
    let undelivered = approval.outcome.as_ref().is_some_and(|outcome| outcome["data"]["delivered"] == json!(false));
    // A script that says "failed" is no proof that nothing happened.
    if approval.request.kind == "call" && !undelivered { Settlement::Whole } else { Settlement::Nothing }
}

/// The sums of a policy's window as numbers; `window` reads those of one token, or of ether.
fn spent<E>(ask: &Ask, window: impl Fn(Option<&str>) -> Result<WindowSum, E>) -> Result<Spent, HostError>
where
    HostError: From<E>,
{
    let number = |text: &str| {
        U256::from_str_radix(text, 10).map_err(|_| HostError::internal("a stored amount is no decimal number"))
    };
    let sum = window(None)?;
    let token = match ask.token {
        Some(moved) => number(&window(Some(&format!("{:#x}", moved.token)))?.amount)?,
        None => U256::ZERO,
    };
    Ok(Spent { amount: number(&sum.amount)?, fee: number(&sum.fee)?, count: sum.count, token })
}

/// What a request asked on behalf of `caller`.
fn asked(approval: &Approval, caller: &str) -> Option<(Cause, Ask)> {
    let shown: Shown = serde_json::from_value(approval.request.shown.clone()).ok()?;
    let causes: Vec<Cause> = serde_json::from_value(approval.request.cause.clone()).ok()?;
    let cause = causes.into_iter().find(|cause| cause.key == caller)?;
    Some((cause, shown.ask?))
}

fn spent_of<'a>(passed: impl Iterator<Item = &'a Ask>, ask: &Ask) -> Spent {
    passed.fold(Spent::default(), |mut sum, other| {
        sum.amount = sum.amount.saturating_add(other.amount);
        sum.fee = sum.fee.saturating_add(other.fee);
        sum.count += 1;
        if let (Some(moved), Some(wanted)) = (other.token, ask.token)
            && moved.token == wanted.token
        {
            sum.token = sum.token.saturating_add(moved.amount);
        }
        sum
    })
}

/// The error a caller gets while the seed is locked, policy or not.
pub(crate) fn locked_error() -> HostError {
    HostError::new(code::UNAUTHORIZED, "the wallet is locked; its user unlocks it with `entresol unlock`")
        .with(json!({ "locked": true }))
}

#[cfg(test)]
mod tests;
