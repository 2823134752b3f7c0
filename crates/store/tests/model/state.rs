//! The model: plain lists, and each operation in the fewest words.

use entresol_store::{
    Approval, ApprovalFilter, ApprovalState, CallerGrant, CallerGrantFilter, Decision, NewApproval, NewReservation,
    NewTransfer, Policy, PolicyFilter, PolicyState, Reservation, ReservationState, ReservationView, Store, StoreError,
    Transfer, TransferFilter, TransferUpdate,
};
use proptest::test_runner::TestCaseError;
use serde_json::{Value, json};

use crate::operations::{Operation, Uses};

const TOKEN: &str = "0x70";
/// Length of the policies' window in milliseconds.
const WINDOW: u64 = 200;

#[derive(Debug, Default)]
pub(crate) struct Model {
    grants: Vec<CallerGrant>,
    policies: Vec<Policy>,
    reservations: Vec<Reservation>,
    approvals: Vec<Approval>,
    transfers: Vec<Transfer>,
}

/// What came of an operation: nothing, or the sort of error.
type Outcome = Result<(), &'static str>;

fn sort(error: &StoreError) -> &'static str {
    match error {
        StoreError::NotFound { .. } => "not found",
        StoreError::NotApproved { .. } => "not approved",
        StoreError::NotPending { .. } => "not pending",
        StoreError::DigestMismatch { .. } => "another digest",
        StoreError::ApprovalExpired { .. } => "expired",
        StoreError::PolicyRevoked { .. } => "revoked",
        StoreError::PolicyInactive { .. } => "inactive",
        StoreError::PolicyRefused { .. } => "refused",
        StoreError::ReservationReleased { .. } => "released",
        StoreError::Database(_) => "database",
        _ => "something else",
    }
}

fn request(key: Option<u8>, now: u64, lasts: u64) -> NewApproval {
    NewApproval {
        kind: "call".to_owned(),
        requester: json!("app"),
        request_key: key.map(|key| key.to_string()),
        solution: None,
        cause: json!([]),
        intent: json!({ "at": now }),
        digest: "0xaa".to_owned(),
        shown: Value::Null,
        created_at: now,
        expires_at: now + lasts,
    }
}

fn transfer(operation: &Operation) -> Option<NewTransfer> {
    let Operation::Transfer { solution, kind, approval, plugin } = operation else { return None };
    Some(NewTransfer {
        solution: *solution,
        kind: *kind,
        amount: "1".to_owned(),
        asset: "ETH".to_owned(),
        stage: "0".to_owned(),
        stages: json!(["0", "1", "2"]),
        plugin: *plugin,
        approval_id: *approval,
        tx_hash: None,
        detail: Value::Null,
    })
}

fn reservations(uses: &Uses, subject: &str) -> Vec<NewReservation> {
    let one = |(policy, (amount, fee, token)): (&u64, &(u64, u64, bool))| NewReservation {
        policy: *policy,
        subject: subject.to_owned(),
        amount: amount.to_string(),
        fee: fee.to_string(),
        token: token.then(|| TOKEN.to_owned()),
        detail: json!({ "n": amount }),
    };
    uses.iter().map(one).collect()
}

fn caller(n: u8) -> String {
    format!("app:{n}")
}

/// A policy's rule is a limit of amount and fees together in the window, for each token apart.
fn check(view: &ReservationView<'_>, new: &[NewReservation], now: u64) -> Result<(), String> {
    for one in new {
        let policy = view.policy(one.policy).map_err(|error| error.to_string())?;
        let sum = view
            .window(one.policy, one.token.as_deref(), now.saturating_sub(WINDOW))
            .map_err(|error| error.to_string())?;
        let total: u64 =
            [&sum.amount, &sum.fee, &one.amount, &one.fee].map(|n| n.parse::<u64>().expect("small")).iter().sum();
        if total > policy.rule["limit"].as_u64().expect("a limit") {
            return Err(format!("{total} is too much"));
        }
    }
    Ok(())
}

/// Does it to the database.
pub(crate) fn carry_out(store: &Store, operation: &Operation, now: u64) -> Outcome {
    use Operation as O;
    let result = match operation {
        O::Grant { caller: who, solution, caveat, lasts, approval } => {
            let outcome = json!("granted");
            let approval = approval.map(|id| (id, &outcome));
            let expires = lasts.map(|lasts| now + lasts);
            store.put_caller_grant(&caller(*who), *solution, &json!(caveat), expires, approval, now).map(|_| ())
        }
        O::Revoke { id } => store.revoke_caller_grant(*id, now).map(|_| ()),
        O::Policy { caller: who, solution, limit, lasts } => {
            let rule = json!({ "limit": limit });
            store.put_policy(&caller(*who), *solution, &rule, lasts.map(|lasts| now + lasts), now).map(|_| ())
        }
        O::PolicyState { id, state } => store.set_policy_state(*id, *state, Some("why"), now).map(|_| ()),
        O::Reserve { uses, subject } => {
            let new = reservations(uses, &format!("call:{subject}"));
            store.reserve(&new, |view| check(view, &new, now), now).map(|_| ())
        }
        O::Settle { subject, amount, fee } => {
            let (amount, fee) = (amount.map(|n| n.to_string()), fee.map(|n| n.to_string()));
            store.settle_reservations(subject, amount.as_deref(), fee.as_deref(), now).map(|_| ())
        }
        O::Release { subject } => store.release_reservations(subject, now).map(|_| ()),
        O::Create { key, lasts } => store.create_approval(&request(*key, now, *lasts)).map(|_| ()),
        O::Pass { key, uses } => {
            let (new, uses) = (request(*key, now, 100), reservations(uses, "filled in"));
            store.create_decided_approval(&new, "policy", &uses, |view| check(view, &uses, now), now).map(|_| ())
        }
        O::Decide { id, digest, decision, choice } => {
            let digest = if *digest { "0xAA" } else { "0xbb" };
            store.decide_approval(*id, digest, *decision, &json!(choice), "user", now).map(|_| ())
        }
        O::Expire => store.expire_approvals(now).map(|_| ()),
        O::Finish { id, done } => {
            let outcome = json!({ "at": now });
            store.finish_approval(*id, if *done { Ok(&outcome) } else { Err(&outcome) }).map(|_| ())
        }
        O::Transfer { .. } => transfer(operation).map_or(Ok(()), |new| store.create_transfer(&new, now).map(|_| ())),
        O::Move { id, stage } => {
            let update = TransferUpdate { stage: Some(stage.to_string()), ..TransferUpdate::default() };
            store.update_transfer(*id, &update, now).map(|_| ())
        }
        O::Crash | O::Reopen => Ok(()),
    };
    result.map_err(|error| sort(&error))
}

fn found<T>(list: &mut [T], id: u64) -> Result<&mut T, &'static str> {
    usize::try_from(id).ok().and_then(|id| list.get_mut(id.checked_sub(1)?)).ok_or("not found")
}

impl Model {
    /// Does it to the lists: ids count from one, as nothing is ever taken out.
    pub(crate) fn carry_out(&mut self, operation: &Operation, now: u64) -> Outcome {
        use Operation as O;
        match operation {
            O::Grant { caller: who, solution, caveat, lasts, approval } => {
                exists(*solution)?;
                if let Some(id) = approval {
                    let approval = found(&mut self.approvals, *id)?;
                    end(approval, ApprovalState::Done, json!("granted"))?;
                    approval.request.solution = Some(*solution);
                }
                let held = |one: &&mut CallerGrant| {
                    one.caller == caller(*who) && one.solution == *solution && one.revoked_at.is_none()
                };
                self.grants.iter_mut().filter(held).for_each(|one| one.revoked_at = Some(now));
                self.grants.push(CallerGrant {
                    id: self.grants.len() as u64 + 1,
                    caller: caller(*who),
                    solution: *solution,
                    caveats: json!(caveat),
                    granted_at: now,
                    expires_at: lasts.map(|lasts| now + lasts),
                    revoked_at: None,
                });
            }
            O::Revoke { id } => {
                found(&mut self.grants, *id)?.revoked_at.get_or_insert(now);
            }
            O::Policy { caller: who, solution, limit, lasts } => {
                exists(*solution)?;
                self.policies.push(Policy {
                    id: self.policies.len() as u64 + 1,
                    caller: caller(*who),
                    solution: *solution,
                    rule: json!({ "limit": limit }),
                    state: PolicyState::Active,
                    reason: None,
                    created_at: now,
                    updated_at: now,
                    expires_at: lasts.map(|lasts| now + lasts),
                });
            }
            O::PolicyState { id, state } => {
                let policy = found(&mut self.policies, *id)?;
                if policy.state == *state {
                    return Ok(());
                }
                if policy.state == PolicyState::Revoked {
                    return Err("revoked");
                }
                (policy.state, policy.reason, policy.updated_at) = (*state, Some("why".to_owned()), now);
            }
            O::Reserve { uses, subject } => self.reserve(uses, &format!("call:{subject}"), now)?,
            O::Settle { subject, amount, fee } => {
                for one in self.reservations.iter_mut().filter(|one| one.subject == *subject) {
                    if one.state != ReservationState::Settled {
                        (one.state, one.ended_at) = (ReservationState::Settled, Some(now));
                        amount.iter().for_each(|n| one.reservation.amount = n.to_string());
                        fee.iter().for_each(|n| one.reservation.fee = n.to_string());
                    }
                }
            }
            O::Release { subject } => {
                for one in self.reservations.iter_mut().filter(|one| one.subject == *subject) {
                    if one.state == ReservationState::Reserved {
                        (one.state, one.ended_at) = (ReservationState::Released, Some(now));
                    }
                }
            }
            O::Create { key, lasts } => self.ask(request(*key, now, *lasts), None),
            O::Pass { key, uses } => {
                if !self.is_known(*key) {
                    self.reserve(uses, &format!("approval:{}", self.approvals.len() + 1), now)?;
                    self.ask(request(*key, now, 100), Some(now));
                }
            }
            O::Decide { id, digest, decision, choice } => {
                let approval = found(&mut self.approvals, *id)?;
                if approval.state != ApprovalState::Pending {
                    return Err("not pending");
                }
                if !digest {
                    return Err("another digest");
                }
                approval.state = match decision {
                    Decision::Approve if now >= approval.expires_at => return Err("expired"),
                    Decision::Approve => ApprovalState::Approved,
                    Decision::Reject => ApprovalState::Rejected,
                    Decision::Expire => ApprovalState::Expired,
                };
                (approval.choice, approval.decided_by) = (json!(choice), Some("user".to_owned()));
                approval.decided_at = Some(now);
            }
            O::Expire => {
                for one in &mut self.approvals {
                    if one.state == ApprovalState::Pending && now >= one.expires_at {
                        (one.state, one.decided_by) = (ApprovalState::Expired, Some("time".to_owned()));
                        one.decided_at = Some(now);
                    }
                }
            }
            O::Finish { id, done } => {
                let approval = found(&mut self.approvals, *id)?;
                if !matches!(approval.state, ApprovalState::Done | ApprovalState::Failed) {
                    let state = if *done { ApprovalState::Done } else { ApprovalState::Failed };
                    end(approval, state, json!({ "at": now }))?;
                }
            }
            O::Transfer { solution, approval, .. } => {
                if let Some(id) = approval {
                    if self.transfers.iter().any(|one| one.approval_id == Some(*id)) {
                        return Ok(());
                    }
                    found(&mut self.approvals, *id).map_err(|_| "database")?;
                }
                exists(*solution).map_err(|_| "database")?;
                let id = self.transfers.len() as u64 + 1;
                let new = transfer(operation);
                self.transfers.extend(new.map(|transfer| Transfer { id, transfer, created_at: now, updated_at: now }));
            }
            O::Move { id, stage } => {
                let transfer = found(&mut self.transfers, *id)?;
                if transfer.stage != stage.to_string() {
                    transfer.transfer.stage = stage.to_string();
                    transfer.updated_at = now;
                }
            }
            O::Crash | O::Reopen => {}
        }
        Ok(())
    }

    fn is_known(&self, key: Option<u8>) -> bool {
        key.is_some_and(|key| self.approvals.iter().any(|one| one.request_key == Some(key.to_string())))
    }

    fn ask(&mut self, request: NewApproval, passed_at: Option<u64>) {
        if request
            .request_key
            .as_ref()
            .is_some_and(|key| self.approvals.iter().any(|one| one.request_key.as_ref() == Some(key)))
        {
            return;
        }
        self.approvals.push(Approval {
            id: self.approvals.len() as u64 + 1,
            request,
            state: if passed_at.is_some() { ApprovalState::Approved } else { ApprovalState::Pending },
            choice: Value::Null,
            decided_by: passed_at.map(|_| "policy".to_owned()),
            decided_at: passed_at,
            outcome: None,
        });
    }

    fn reserve(&mut self, uses: &Uses, subject: &str, now: u64) -> Outcome {
        let held = |policy: u64| self.reservations.iter().find(|one| one.policy == policy && one.subject == subject);
        if uses.keys().any(|policy| held(*policy).is_some_and(|one| one.state == ReservationState::Released)) {
            return Err("released");
        }
        if uses.keys().all(|policy| held(*policy).is_some()) {
            return Ok(());
        }
        for id in uses.keys() {
            if !found(&mut self.policies, *id)?.is_active(now) {
                return Err("inactive");
            }
        }
        for (id, (amount, fee, token)) in uses {
            let counts = |one: &&Reservation| {
                one.policy == *id
                    && match one.state {
                        ReservationState::Reserved => true,
                        ReservationState::Settled => one.ended_at >= Some(now.saturating_sub(WINDOW)),
                        ReservationState::Released => false,
                    }
            };
            let number = |text: &str| text.parse::<u64>().expect("small");
            let amounts: u64 = self
                .reservations
                .iter()
                .filter(counts)
                .filter(|one| one.token.is_some() == *token)
                .map(|one| number(&one.amount))
                .sum();
            let fees: u64 = self.reservations.iter().filter(counts).map(|one| number(&one.fee)).sum();
            if amounts + fees + amount + fee > found(&mut self.policies, *id)?.rule["limit"].as_u64().expect("a limit")
            {
                return Err("refused");
            }
        }
        for reservation in reservations(uses, subject) {
            if self.reservations.iter().any(|one| one.policy == reservation.policy && one.subject == subject) {
                continue;
            }
            let id = self.reservations.len() as u64 + 1;
            let state = ReservationState::Reserved;
            self.reservations.push(Reservation { id, reservation, state, reserved_at: now, ended_at: None });
        }
        Ok(())
    }
}

fn exists(solution: i64) -> Outcome {
    if (1..=2).contains(&solution) { Ok(()) } else { Err("not found") }
}

fn end(approval: &mut Approval, state: ApprovalState, outcome: Value) -> Outcome {
    if approval.state != ApprovalState::Approved {
        return Err("not approved");
    }
    (approval.state, approval.outcome) = (state, Some(outcome));
    Ok(())
}

/// The database holds what the model holds.
pub(crate) fn holds(store: &Store, model: &Model) -> Result<(), TestCaseError> {
    let fail = |error: StoreError| TestCaseError::fail(error.to_string());
    let grants = store.caller_grants(&CallerGrantFilter::default()).map_err(fail)?;
    proptest::prop_assert_eq!(&grants, &model.grants);
    proptest::prop_assert_eq!(&store.policies(&PolicyFilter::default()).map_err(fail)?, &model.policies);
    proptest::prop_assert_eq!(&store.approvals(ApprovalFilter::default()).map_err(fail)?, &model.approvals);
    proptest::prop_assert_eq!(&store.transfers(TransferFilter::default()).map_err(fail)?, &model.transfers);
    let mut all = Vec::new();
    for policy in &model.policies {
        all.extend(store.reservations(policy.id, u32::MAX).map_err(fail)?);
    }
    all.sort_by_key(|one| one.id);
    proptest::prop_assert_eq!(&all, &model.reservations);
    let open: Vec<_> =
        model.reservations.iter().filter(|one| one.state == ReservationState::Reserved).cloned().collect();
    proptest::prop_assert_eq!(&store.open_reservations().map_err(fail)?, &open);
    // One grant at a time for each caller and solution.
    let active = |now| CallerGrantFilter { active_at: Some(now), ..CallerGrantFilter::default() };
    let now = model.grants.iter().map(|one| one.granted_at).max().unwrap_or(0);
    let expected: Vec<_> = model.grants.iter().filter(|one| one.is_active(now)).cloned().collect();
    proptest::prop_assert_eq!(&store.caller_grants(&active(now)).map_err(fail)?, &expected);
    Ok(())
}
