//! Actions called from outside, and the state a plugin publishes.

mod typed;

use self::typed::{call_ask, check_result, confirmation_rows, sentence, shown_param};
use crate::approvals::{Proposal, Requester};
use crate::callers::Caller;
use crate::error::{HostError, code};
use crate::interface::{Action, Interface};
use crate::messages::{CallInput, Row, StateView};
use crate::plugin::{Cause, Status, stopped, undelivered};
use crate::policies::{Settlement, locked_error};
use crate::solutions::{Running, plain_state};
use crate::{Actor, Host, Operation, locked, now, wire};
use alloy::primitives::keccak256;
use entresol_store::{Approval, CallState, JournalIntent as Intent, NewCall};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use std::time::Duration;

/// How long a plugin may take for its rows of an approval.
const CONFIRMATION_TIME: Duration = Duration::from_secs(5);
/// Calls that one caller may have open.
const MAX_OPEN_CALLS: usize = 32;

impl Host {
    /// Calls an action of a solution and gives its result.
    ///
    /// With an `id`, the result is kept: the same id again gives the same result without a second effect. A call that
    /// a crash cut off answers "outcome unknown" (-32002), never a silent retry.
    ///
    /// # Errors
    /// Not authorised, wrong parameters, and whatever the plugin answers.
    pub async fn call(&self, actor: &Actor, input: CallInput) -> Result<Json, HostError> {
        self.authorize(actor, &Operation::Decide, "call")?;
        let solution = self.find(&input.solution)?;
        let running = self.running(solution.id)?;
        let action = running.interface.action(&input.action)?.clone();
        let params = action.typed_params(&input.params)?;
        let caller = actor.to_string();
        let cause = Cause {
            // The same person, at a terminal or on the page.
            caller: Cause::USER.to_owned(),
            key: Cause::USER.to_owned(),
            action: action.name.clone(),
            call_id: input.id.clone(),
            read_only: action.read_only,
        };
        let intent = Intent {
            solution: Some(solution.id),
            actor: caller.clone(),
            action: "call".into(),
            resource: format!("{}.{}", solution.spec.name, action.name),
            detail: json!({ "params": input.params, "id": input.id }),
        };
        let call = async {
            let answer = running.plugin.call(&action.name, params.clone(), vec![cause]).await?;
            check_result(&action, &answer)
        };
        let Some(id) = input.id else {
            return self.journaled(intent, call).await;
        };
        let new = NewCall {
            caller: caller.clone(),
            call_id: id.clone(),
            solution: solution.id,
            action: action.name.clone(),
            digest: keccak256(params.to_string()).to_string(),
        };
        match self.store().begin_call(&new, now())? {
            CallState::Finished { result } => return finished(&result),
            CallState::Running { .. } => {
                let here = locked(&self.inner.calls).contains(&(caller.clone(), id.clone()));
                return Err(if here {
                    HostError::new(code::LIMIT, format!("call {id:?} is still running; wait for it"))
                } else {
                    HostError::new(
                        code::OUTCOME_UNKNOWN,
                        format!(
                            "the outcome of call {id:?} is unknown: the wallet stopped while it ran; look at \
                             `entresol state {}` and `entresol approvals` before you call again with another id",
                            solution.spec.name
                        ),
                    )
                });
            }
            CallState::New => {}
        }
        locked(&self.inner.calls).insert((caller.clone(), id.clone()));
        let result = self.journaled(intent, call).await;
        if result.is_err() && self.inner.cancel.is_cancelled() {
            // The wallet is ending: what the script had done by then nobody knows, and the next start says so.
            return result;
        }
        let kept = match &result {
            Ok(value) => json!({ "ok": value }),
            Err(error) => json!({ "error": error.to_json() }),
        };
        let stored = self.store().finish_call(&caller, &id, &kept, now());
        locked(&self.inner.calls).remove(&(caller, id));
        stored?;
        result
    }

    /// The published state; with `refresh` the plugin is asked for fresh values first.
    ///
    /// # Errors
    /// Not authorised; not found; with `refresh`, whatever the plugin answers.
    pub async fn state(
        &self,
        actor: &Actor,
        solution: &str,
        names: Option<Vec<String>>,
        refresh: bool,
    ) -> Result<StateView, HostError> {
        self.authorize(actor, &Operation::Read, "state")?;
        let row = self.find(solution)?;
        let running = self.running(row.id)?;
        if refresh {
            let fresh = running.plugin.hook("getLayer2State", json!(names)).await?;
            if fresh.is_object() {
                self.publish(row.id, &fresh)?;
            }
        }
        let (version, mut state) = plain_state(&running);
        if let (Some(names), Json::Object(map)) = (names, &mut state) {
            map.retain(|name, _| names.contains(name));
        }
        Ok(StateView { solution: row.spec.name, version, state })
    }

    /// A caller calls an action. An action that only reads is run; any other asks the user, unless policies cover the
    /// caller and everyone it acts for (`inherited`: the open callers of the plugin that calls). With an id the result
    /// is kept, and the same id again gives the same result.
    ///
    /// # Errors
    /// 4100 without a grant or while the seed is locked, 4001 when the user says no, -32002 when a crash cut the call
    /// off, wrong parameters, and whatever the plugin answers.
    pub async fn call_as(&self, caller: &Caller, input: CallInput, inherited: Vec<Cause>) -> Result<Json, HostError> {
        let _open = self.open_call(caller)?;
        let actor = Actor::Caller(caller.clone());
        // One answer for "not there" and "not granted": a caller learns of nothing that it was not granted.
        let unknown = |_| refused(&input);
        let id = self.id_of(&input.solution).map_err(unknown)?;
        self.authorize(
            &actor,
            &Operation::Ask { solution: id, action: input.action.clone() },
            &format!("{}.{}", input.solution, input.action),
        )
        .map_err(|_| refused(&input))?;
        if self.vault().is_locked() {
            return Err(locked_error());
        }
        refuse_cycle(caller, id, &inherited)?;
        let running = self.running(id)?;
        let action = running.interface.action(&input.action)?.clone();
        if !action.read_only && !inherited.is_empty() && inherited.iter().all(|cause| cause.read_only) {
            return Err(HostError::unauthorized(format!(
                "{}: only actions declared readOnly are open, and those cause nothing",
                action.name
            )));
        }
        let params = action.typed_params(&input.params)?;
        let plan = CallPlan {
            caller: caller.clone(),
            solution: id,
            action: action.name.clone(),
            params,
            call_id: input.id.clone(),
            inherited,
        };
        let causes = self.causes_of(&plan, &action)?;
        if action.read_only {
            self.store().count(id, "readOnly call", 1);
            let answer = running.plugin.call(&action.name, plan.params.clone(), causes).await?;
            return check_result(&action, &answer);
        }
        let digest = plan.digest()?;
        let request_key = input.id.as_deref().map(|id| request_key(caller, id));
        match self.known_request(request_key.as_deref())? {
            Some(known) if known.digest != digest => return Err(other_call()),
            Some(_) => {}
            // The user is not asked for what cannot be done.
            None => {
                if let Status::Stopped(why) = running.plugin.status() {
                    return Err(undelivered(stopped(&why)));
                }
            }
        }
        let says = self.confirmation(&running, &action, &plan.params).await;
        let words = self.caller_words(caller)?;
        let ask = call_ask(&action, &plan.params);
        let row = |label: &str, value: String| Row { label: label.to_owned(), value };
        let mut rows = vec![
            row("Caller", words.clone()),
            row("Solution", running.name.clone()),
            row("Action", action.signature()),
        ];
        for param in &action.params {
            rows.push(row(&param.name, shown_param(param, &plan.params[&param.name])));
        }
        let mut warnings = Vec::new();
        if !action.params.iter().any(|param| param.role.as_deref() == Some("amount")) {
            warnings.push("The plugin does not say what this costs: read its rows, and ask it if in doubt.".to_owned());
        }
        let question = sentence(&words, &running.name, &action, &ask);
        let view = self.submit(Proposal {
            request_key,
            solution: Some(id),
            causes,
            rows,
            warnings,
            says,
            ask: Some(ask),
            ..Proposal::new("call", Requester::of(&actor), digest.clone(), &plan, question)?
        });
        let view = view.await?;
        // Two calls with one id came at the same time: the request is the first one's.
        if view.digest != digest {
            return Err(other_call());
        }
        // A call without an id leaves the queue with its caller: nobody would get its result.
        let unnamed = input.id.is_none().then(|| self.waits_for(&view));
        let outcome = self.outcome(view.id).await?;
        drop(unnamed);
        Ok(outcome["result"].clone())
    }

    /// Carries out a call that the user or a policy agreed to, once: a crash in between is told, never tried again.
    pub(crate) async fn execute_caller_call(&self, approval: &Approval) -> Result<(), HostError> {
        let plan: CallPlan = serde_json::from_value(approval.request.intent.clone())
            .map_err(|e| HostError::internal(format!("a stored call: {e}")))?;
        let (caller, call_id) = (plan.caller.key(), format!("approval:{}", approval.id));
        let running = match self.running(plan.solution) {
            Ok(running) => running,
            Err(error) => return self.fail(approval.id, &undelivered(error)),
        };
        let action = running.interface.action(&plan.action)?.clone();
        // The grant may have been taken back between the decision and this moment.
        let ask = Operation::Ask { solution: plan.solution, action: action.name.clone() };
        if let Err(error) = self.authorize(&Actor::Caller(plan.caller.clone()), &ask, &action.name) {
            return self.fail(approval.id, &undelivered(error));
        }
        let gone = plan.call_id.is_none() && approval.decided_at.is_none_or(|at| at < self.inner.started_at);
        let new = NewCall {
            caller: caller.clone(),
            call_id: call_id.clone(),
            solution: plan.solution,
            action: action.name.clone(),
            digest: approval.request.digest.clone(),
        };
        let kept = match self.store().begin_call(&new, now())? {
            CallState::Finished { result } => result,
            CallState::Running { .. } => {
                let words = "the outcome is unknown: the wallet stopped while the call ran; look at the solution's \
                             state before you call again";
                return self.fail(approval.id, &HostError::new(code::OUTCOME_UNKNOWN, words));
            }
            CallState::New if gone => {
                let words = "the wallet stopped before the call began; nothing has happened: call again";
                return self.fail(approval.id, &undelivered(HostError::new(code::DISCONNECTED, words)));
            }
            CallState::New => {
                let intent = Intent {
                    solution: Some(plan.solution),
                    actor: caller.clone(),
                    action: "call".into(),
                    resource: format!("{}.{}", running.name, action.name),
                    detail: json!({ "approval": approval.id, "by": approval.decided_by, "id": plan.call_id }),
                };
                let causes = self.causes_of(&plan, &action)?;
                let call = async {
                    let answer = running.plugin.call(&action.name, plan.params.clone(), causes).await?;
                    check_result(&action, &answer)
                };
                let kept = match self.journaled(intent, call).await {
                    Ok(value) => json!({ "ok": value }),
                    // The wallet is ending: what the script had done by then nobody knows, and the next start says so.
                    Err(_) if self.inner.cancel.is_cancelled() => return Ok(()),
                    Err(error) => json!({ "error": error.to_json() }),
                };
                self.store().finish_call(&caller, &call_id, &kept, now())?;
                kept
            }
        };
        match finished(&kept) {
            Ok(result) => {
                self.store().finish_approval(approval.id, Ok(&json!({ "result": result })))?;
                self.settle(approval.id, Settlement::Whole)
            }
            Err(error) => self.fail(approval.id, &error),
        }
    }

    /// The plugin's own rows for the approval of a call. A plugin that fails, lies about their shape or takes long has
    /// none: the wallet's rows stand by themselves.
    async fn confirmation(&self, running: &Running, action: &Action, params: &Json) -> Vec<Row> {
        if !action.confirmation {
            return Vec::new();
        }
        let asked = running.plugin.confirm(&action.name, params.clone());
        match tokio::time::timeout(CONFIRMATION_TIME, asked).await {
            Ok(Ok(answer)) => confirmation_rows(&wire::untag(&answer)),
            Ok(Err(error)) => {
                tracing::debug!(solution = %running.name, %error, "no confirmation rows");
                Vec::new()
            }
            Err(_) => Vec::new(),
        }
    }

    /// The call itself and those it acts for, as the called plugin's requests will show them. What a call that only
    /// reads brings along may cause nothing either.
    fn causes_of(&self, plan: &CallPlan, action: &Action) -> Result<Vec<Cause>, HostError> {
        let words = self.caller_words(&plan.caller)?;
        let mut causes: Vec<Cause> = Vec::new();
        for inherited in &plan.inherited {
            let caller = if inherited.caller.contains(", through ") {
                inherited.caller.clone()
            } else {
                format!("{}, through {words}", inherited.caller)
            };
            causes.push(Cause {
                caller,
                key: inherited.key.clone(),
                action: action.name.clone(),
                call_id: inherited.call_id.clone(),
                read_only: action.read_only,
            });
        }
        causes.push(Cause {
            caller: words,
            key: plan.caller.key(),
            action: action.name.clone(),
            call_id: plan.call_id.clone(),
            read_only: action.read_only,
        });
        Ok(causes)
    }

    /// What a caller may see of the solutions: those it holds a grant on, with the actions and state names of the grant.
    ///
    /// # Errors
    /// The database.
    pub async fn solutions_as(&self, caller: &Caller) -> Result<Vec<Json>, HostError> {
        self.caller_solutions(caller)
    }

    pub(crate) fn caller_solutions(&self, caller: &Caller) -> Result<Vec<Json>, HostError> {
        self.authorize(&Actor::Caller(caller.clone()), &Operation::Introduce, "layer2_getSolutions")?;
        let mut seen = Vec::new();
        for solution in self.store().solutions()? {
            let Some(caveats) = self.caveats(&caller.key(), solution.id)? else { continue };
            let interface = Interface::parse(&solution.spec.interface)?;
            let actions = interface.actions.iter().filter(|action| caveats.actions.contains(&action.name));
            seen.push(json!({
                "id": solution.id,
                "name": solution.spec.name,
                "title": solution.spec.title,
                "actions": actions.map(Action::view).collect::<Vec<_>>(),
                "state": caveats.state,
            }));
        }
        Ok(seen)
    }

    /// The published state as far as a caller's grant names it.
    ///
    /// # Errors
    /// 4100 for a name, or a solution, that is not granted.
    pub async fn state_as(
        &self,
        caller: &Caller,
        solution: &str,
        names: Option<Vec<String>>,
    ) -> Result<StateView, HostError> {
        let actor = Actor::Caller(caller.clone());
        let refused = |_| HostError::unauthorized(format!("{solution}: not granted to this caller"));
        let row = self.find(solution).map_err(refused)?;
        let granted = self.caveats(&caller.key(), row.id)?.unwrap_or_default().state;
        let names = names.unwrap_or(granted);
        if names.is_empty() {
            return Err(HostError::unauthorized(format!("{solution}: not granted to this caller")));
        }
        for name in &names {
            let see = Operation::See { solution: row.id, name: name.clone() };
            self.authorize(&actor, &see, solution).map_err(refused)?;
        }
        let (version, mut state) = plain_state(&*self.running(row.id)?);
        if let Json::Object(map) = &mut state {
            map.retain(|name, _| names.contains(name));
        }
        Ok(StateView { solution: row.spec.name, version, state })
    }

    /// Counts a caller's open calls for as long as the guard lives.
    pub(crate) fn open_call(&self, caller: &Caller) -> Result<OpenCall, HostError> {
        let key = caller.key();
        let mut open = locked(&self.inner.open_calls);
        let count = open.entry(key.clone()).or_default();
        if *count >= MAX_OPEN_CALLS {
            return Err(HostError::new(code::LIMIT, format!("{MAX_OPEN_CALLS} calls are open already; await some")));
        }
        *count += 1;
        Ok(OpenCall { host: self.clone(), key })
    }

    /// Merges `patch` (tagged values) into the published state, durably; `null` removes a name.
    pub(crate) fn publish(&self, solution: i64, patch: &Json) -> Result<(), HostError> {
        /// Largest published state, as JSON text.
        const LARGEST: usize = 256 * 1024;
        let running = self.running(solution)?;
        let Json::Object(patch) = patch else {
            return Err(HostError::invalid("updateLayer2State takes an object of names and values"));
        };
        let mut merged: Map<String, Json> = match &running.state.borrow().1 {
            Json::Object(map) => map.clone(),
            _ => Map::new(),
        };
        for (name, value) in patch {
            if value.is_null() {
                merged.remove(name);
            } else {
                merged.insert(name.clone(), value.clone());
            }
        }
        let merged = Json::Object(merged);
        if running.state.borrow().1 == merged {
            return Ok(());
        }
        if merged.to_string().len() > LARGEST {
            return Err(HostError::new(code::LIMIT, format!("the published state is larger than {LARGEST} bytes")));
        }
        self.store().put_layer2_state(solution, &merged, now())?;
        running.state.send_modify(|(version, state)| {
            *version += 1;
            *state = merged;
        });
        self.changed();
        Ok(())
    }
}

/// What an approval of kind `call` keeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CallPlan {
    pub(crate) caller: Caller,
    pub(crate) solution: i64,
    pub(crate) action: String,
    /// Tagged values by name.
    pub(crate) params: Json,
    pub(crate) call_id: Option<String>,
    pub(crate) inherited: Vec<Cause>,
}

impl CallPlan {
    pub(crate) fn digest(&self) -> Result<String, HostError> {
        let bytes = serde_json::to_vec(self).map_err(|e| HostError::internal(e.to_string()))?;
        Ok(keccak256([b"entresol call\0".as_slice(), &bytes].concat()).to_string())
    }
}

/// One open call of a caller.
pub(crate) struct OpenCall {
    host: Host,
    key: String,
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let mut open = locked(&self.host.inner.open_calls);
        if let Some(count) = open.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.key);
            }
        }
    }
}

/// Name of a caller's request. A caller's key holds no space, so no two callers share a name, whatever their ids.
fn request_key(caller: &Caller, id: &str) -> String {
    format!("call:{} {id}", caller.key())
}

fn other_call() -> HostError {
    HostError::invalid("this id was used for another call; choose a new id for each call that is not the same")
}

/// A plugin never meets itself again along a chain of calls.
fn refuse_cycle(caller: &Caller, target: i64, inherited: &[Cause]) -> Result<(), HostError> {
    let own = Caller::Solution { id: target };
    if *caller == own || inherited.iter().any(|cause| cause.key == own.key()) {
        return Err(HostError::unauthorized("callPlugin: this solution is among the callers already (a cycle)"));
    }
    Ok(())
}

/// The one answer to whatever a caller was not granted.
fn refused(input: &CallInput) -> HostError {
    HostError::unauthorized(format!(
        "{}.{} is not granted to this caller; ask for it with wallet_requestPermissions",
        input.solution, input.action
    ))
}

/// A kept result as it was given the first time.
fn finished(kept: &Json) -> Result<Json, HostError> {
    match kept.get("error") {
        None => Ok(kept["ok"].clone()),
        Some(error) => Err(HostError {
            code: error["code"].as_i64().and_then(|c| i32::try_from(c).ok()).unwrap_or(code::INTERNAL),
            message: error["message"].as_str().unwrap_or_default().to_owned(),
            data: error["data"].clone(),
        }),
    }
}

#[cfg(test)]
mod tests;
