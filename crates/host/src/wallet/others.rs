//! Other solutions' actions, further permissions, wake-ups, notices and screens.

use super::{Request, export_warnings};
use crate::approvals::{Proposal, Requester};
use crate::error::{HostError, code};
use crate::interface::{Typed, typed_value};
use crate::messages::CallInput;
use crate::solutions::permission_text;
use crate::text::row;
use crate::{Actor, Caller, Host, now, wire};
use alloy::primitives::keccak256;
use entresol_package::{Manifest, Permission};
use entresol_store::{Approval, JournalIntent};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

/// What the user decides when a plugin asks for an optional permission.
#[derive(Debug, Serialize, Deserialize)]
struct PermissionPlan {
    solution: i64,
    /// The grant's canonical text.
    permission: String,
}

impl PermissionPlan {
    fn digest(&self) -> String {
        let text = format!("entresol permission\0{}\0{}", self.solution, self.permission);
        keccak256(text).to_string()
    }
}

impl Host {
    /// Another solution's action. This solution is its caller, for everyone whose calls are open here.
    pub(super) async fn call_plugin(&self, request: Request) -> Result<Json, HostError> {
        let solution = match &request.params["solution"] {
            Json::String(name) => name.clone(),
            other => wire::uint(other)
                .map(|id| id.to_string())
                .ok_or_else(|| HostError::invalid("callPlugin: solution is the handle or id of a solution"))?,
        };
        let action = request.params["action"].as_str();
        let action = action.ok_or_else(|| HostError::invalid("callPlugin: state the action"))?.to_owned();
        let params = match request.params.get("params").map(wire::untag) {
            None | Some(Json::Null) => Map::new(),
            Some(Json::Object(params)) => params,
            Some(_) => return Err(HostError::invalid("callPlugin: params is an object by parameter name")),
        };
        let input = CallInput { solution: solution.clone(), action: action.clone(), params, id: None };
        let caller = Caller::Solution { id: request.running.id };
        let answer = self.call_as(&caller, input, request.causes.clone()).await?;
        // The answer is plain JSON for every caller; a script gets the values that the action declares.
        let running = self.running(self.find(&solution)?.id)?;
        tagged(&running.interface.action(&action)?.returns, &answer)
    }

    /// Asks the user for one of the manifest's `optionalPermissions`.
    pub(super) async fn request_permission(&self, request: Request) -> Result<Json, HostError> {
        let running = &request.running;
        let wanted = wanted_permission(&request.params["permission"])?;
        let row_of = self.store().solution(running.id)?.ok_or_else(|| HostError::not_found("the solution is gone"))?;
        let manifest: Manifest = serde_json::from_value(row_of.spec.manifest)
            .map_err(|e| HostError::internal(format!("stored manifest: {e}")))?;
        let optional = manifest.optional();
        // What was asked for at install and refused is not asked for again: only the user brings it up.
        if !optional.contains(&wanted) {
            let words: Vec<String> = optional.iter().map(ToString::to_string).collect();
            return Err(HostError::unauthorized(format!(
                "requestPermission: the manifest's optionalPermissions have no such entry; they are: {}",
                if words.is_empty() { "none".to_owned() } else { words.join("; ") }
            )));
        }
        let mut held = self.permissions(running.id)?;
        if held.contains(&wanted) {
            return Ok(json!(true));
        }
        let plan = PermissionPlan { solution: running.id, permission: permission_text(&wanted)? };
        held.push(wanted.clone());
        let warnings = if matches!(wanted, Permission::Network { .. }) { export_warnings(&held) } else { Vec::new() };
        let view = self
            .submit(Proposal {
                solution: Some(running.id),
                causes: request.causes.clone(),
                rows: vec![row("Solution", running.name.clone()), row("May", wanted.to_string())],
                warnings,
                ..Proposal::new(
                    "permission",
                    Requester::of(&Actor::Plugin { solution: running.id }),
                    plan.digest(),
                    &plan,
                    format!("Give {} one more permission, until you take it back?", running.name),
                )?
            })
            .await?;
        self.outcome(view.id).await?;
        Ok(json!(true))
    }

    /// Writes an approved permission; it holds at once, also for the running plugin.
    pub(crate) async fn execute_permission(&self, approval: &Approval) -> Result<(), HostError> {
        let plan: PermissionPlan = serde_json::from_value(approval.request.intent.clone())
            .map_err(|e| HostError::internal(format!("a stored permission: {e}")))?;
        if plan.digest() != approval.request.digest {
            return Err(HostError::internal("a stored permission is not the one that was approved"));
        }
        let permission: Permission = serde_json::from_str(&plan.permission)
            .map_err(|e| HostError::internal(format!("a stored permission: {e}")))?;
        let intent = JournalIntent {
            solution: Some(plan.solution),
            actor: approval.decided_by.clone().unwrap_or_default(),
            action: "grant".into(),
            resource: permission.to_string(),
            detail: json!({ "approval": approval.id }),
        };
        let grant = async { Ok(self.store().add_grant(plan.solution, &plan.permission, now())?) };
        self.journaled(intent, grant).await?;
        self.store().finish_approval(approval.id, Ok(&json!({ "granted": permission.to_string() })))?;
        Ok(())
    }

    pub(super) async fn schedule(&self, request: &Request) -> Result<Json, HostError> {
        self.add_job(request.running.id, &request.params["job"])
    }

    pub(super) async fn cancel(&self, request: &Request) -> Result<Json, HostError> {
        self.cancel_job(request.running.id, &request.params["name"])
    }

    pub(super) async fn notify(&self, request: &Request) -> Result<Json, HostError> {
        self.plugin_notice(&request.running, &request.params["notice"])
    }

    pub(super) async fn show_screen(&self, request: &Request) -> Result<Json, HostError> {
        self.display_ui(&request.running, &request.params["screen"], &request.params["options"]).await
    }

    pub(super) async fn change_screen(&self, request: &Request) -> Result<Json, HostError> {
        let id = wire::untag(&request.params["id"]);
        self.update_ui(&request.running, &id, &request.params["screen"])
    }
}

/// `{ network: "wss://…" }`, `{ layer1: "blocks" }` or `{ sign: "message" }`, as an entry of `optionalPermissions`.
fn wanted_permission(given: &Json) -> Result<Permission, HostError> {
    let wrong = || {
        HostError::invalid(
            "requestPermission takes one entry of optionalPermissions: { network: URL }, { layer1: \"blocks\" } or \
             { sign: \"message\" }",
        )
    };
    let fields = given.as_object().filter(|fields| fields.len() == 1).ok_or_else(wrong)?;
    let (kind, value) = fields.iter().next().ok_or_else(wrong)?;
    let shape = match kind.as_str() {
        "network" => json!({ "kind": "network", "target": value }),
        "layer1" | "sign" => json!({ "kind": kind, "access": value }),
        _ => return Err(wrong()),
    };
    serde_json::from_value(shape).map_err(|_| wrong())
}

/// A plain answer as the values that its types say.
fn tagged(returns: &[Typed], answer: &Json) -> Result<Json, HostError> {
    let value = |one: &Typed, value: &Json| {
        let typed = typed_value(&one.ty, value);
        typed.map(|typed| wire::from_abi(&typed)).map_err(|why| HostError::new(code::PLUGIN_ERROR, why))
    };
    match returns {
        [] => Ok(wire::tag(answer)),
        [one] => value(one, answer),
        many => {
            let fields = many.iter().map(|one| Ok((one.name.clone(), value(one, &answer[&one.name])?)));
            Ok(Json::Object(fields.collect::<Result<_, HostError>>()?))
        }
    }
}
