//! Actions called from outside, and the state a plugin publishes.

use crate::error::{HostError, code};
use crate::interface::{Action, typed_value};
use crate::messages::{CallInput, StateView};
use crate::plugin::Cause;
use crate::solutions::plain_state;
use crate::{Actor, Host, Operation, locked, now, wire};
use alloy::primitives::keccak256;
use entresol_store::{CallState, JournalIntent as Intent, NewCall};
use serde_json::{Map, Value as Json, json};

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
            caller: caller.clone(),
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
            let answer = running.plugin.call(&action.name, params.clone(), cause).await?;
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

/// The action's answer against its declared types, as plain JSON: one value, or an object by name.
fn check_result(action: &Action, answer: &Json) -> Result<Json, HostError> {
    let wrong = |name: &str, why: String| {
        HostError::new(
            code::PLUGIN_ERROR,
            format!("the plugin's answer to {} does not fit: {name}: {why}", action.name),
        )
    };
    match action.returns.as_slice() {
        [] => Ok(wire::untag(answer)),
        [one] => {
            let value = match answer {
                Json::Object(map) if map.contains_key(&one.name) => &map[&one.name],
                other => other,
            };
            let typed = typed_value(&one.ty, value).map_err(|why| wrong(&one.name, why))?;
            Ok(wire::untag(&wire::from_abi(&typed)))
        }
        many => {
            let mut result = Map::new();
            for one in many {
                let typed = typed_value(&one.ty, &answer[&one.name]).map_err(|why| wrong(&one.name, why))?;
                result.insert(one.name.clone(), wire::untag(&wire::from_abi(&typed)));
            }
            Ok(Json::Object(result))
        }
    }
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
