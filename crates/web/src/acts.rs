//! What the pages' script asks for. Every act passes the same gate (see [`run`]) and asks the host as the page: the host
//! decides whether it may be.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use entresol_host::error::code;
use entresol_host::messages::{CallInput, Decision, DialsInput, GatewayCallInput, SendInput};
use entresol_host::screen::Answer;
use entresol_host::{Actor, HostError};
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::form;
use crate::guard::{TOKEN, only, refused};
use crate::routes::{OVER, Visitor};
use crate::server::Context;
use crate::text;

/// How long a page waits for the end of a call before it says that it is at work. Most calls end sooner; one that asks
/// the user does not.
const PATIENCE: Duration = Duration::from_millis(1500);

/// What a request that acts is made of.
pub(crate) type Asked = (State<Context>, Path<String>, HeaderMap, Bytes);

/// What an act answers: `say` for the user, `go` to another page of the session.
type Told = Result<Value, HostError>;

const PAGE: Actor = Actor::Page;

/// The gate: path and cookie of one session, then its token, then parameters without anything unknown; only then the act.
pub(crate) async fn run<I, F>(asked: Asked, act: impl FnOnce(Visitor, I) -> F) -> Response
where
    I: DeserializeOwned,
    F: Future<Output = Told>,
{
    let (State(context), Path(session), headers, body) = asked;
    let Ok((visitor, _)) = Visitor::admit(context, session, &headers) else {
        return refused(StatusCode::FORBIDDEN, OVER);
    };
    if !only(&headers, &TOKEN).is_some_and(|token| visitor.admitted.may_act(token)) {
        return refused(StatusCode::FORBIDDEN, "This page is stale. Load it again.");
    }
    let input = match serde_json::from_slice(&body) {
        Ok(input) => input,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &text::plain(&error.to_string())),
    };
    match act(visitor, input).await {
        Ok(told) => Json(told).into_response(),
        Err(error) => {
            let status = match error.code {
                code::UNAUTHORIZED => StatusCode::FORBIDDEN,
                code::LIMIT => StatusCode::TOO_MANY_REQUESTS,
                code::NOT_FOUND => StatusCode::NOT_FOUND,
                code::INVALID_PARAMS => StatusCode::BAD_REQUEST,
                code::INTERNAL => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::CONFLICT,
            };
            refused(status, &text::plain(&error.message))
        }
    }
}

fn said(words: &str) -> Told {
    Ok(json!({ "say": words }))
}

/// To a request, where it is decided.
fn to_request(id: i64) -> Told {
    Ok(json!({ "go": format!("approvals/{id}") }))
}

/// Nothing is needed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// The number of something.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Number {
    id: u64,
}

pub(crate) async fn decide(visitor: Visitor, decision: Decision) -> Told {
    let id = decision.id;
    visitor.context.host.approval_decide(&PAGE, decision).await?;
    to_request(id)
}

pub(crate) async fn lock(visitor: Visitor, _: Nothing) -> Told {
    visitor.context.host.lock(&PAGE).await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unlock {
    passphrase: String,
}

pub(crate) async fn unlock(visitor: Visitor, input: Unlock) -> Told {
    visitor.context.host.unlock(&PAGE, &SecretString::from(input.passphrase)).await?;
    Ok(json!({}))
}

/// Ends this session; the wallet stays as it is.
pub(crate) async fn leave(visitor: Visitor, _: Nothing) -> Told {
    visitor.context.sessions().close(&visitor.session);
    Ok(json!({ "go": "/" }))
}

pub(crate) async fn account_add(visitor: Visitor, _: Nothing) -> Told {
    let account = visitor.context.host.account_add(&PAGE).await?;
    said(&format!("Account {} is {}.", account.index, account.address))
}

/// Fields of the form that sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Send {
    network: String,
    from: String,
    to: String,
    amount: String,
    #[serde(default)]
    token: String,
    speed: String,
}

pub(crate) async fn send(visitor: Visitor, input: Send) -> Told {
    let token = Some(input.token.trim()).filter(|token| !token.is_empty());
    let own: SendInput = serde_json::from_value(json!({
        "network": input.network,
        "from": input.from.parse::<u32>().map_err(|_| HostError::invalid("choose one of your accounts"))?,
        "to": input.to.trim(),
        "amount": input.amount.trim(),
        "whole": true,
        "token": token,
        "speed": input.speed,
    }))
    .map_err(|error| HostError::invalid(error.to_string()))?;
    to_request(visitor.context.host.send_own(&PAGE, own).await?.id)
}

/// An action's form: texts and checkboxes by parameter, units of those that have one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    solution: String,
    action: String,
    #[serde(default)]
    params: Map<String, Value>,
    #[serde(default)]
    units: Map<String, Value>,
}

pub(crate) async fn call(visitor: Visitor, input: Call) -> Told {
    let host = visitor.context.host.clone();
    let view = host.solution(&PAGE, &input.solution).await?;
    let action = view.actions.iter().find(|action| action.name == input.action);
    let action = action.ok_or_else(|| HostError::new(code::NOT_FOUND, "the plugin has no such action any more"))?;
    let params = form::values(&action.params, &input.params, &input.units).map_err(HostError::invalid)?;
    // Refused here, not in a task that nobody looks at.
    host.authorize(&PAGE, &entresol_host::Operation::Decide, "call")?;
    let runs = visitor.context.runs.clone();
    let id = runs
        .begin(&view.name, &action.name)
        .ok_or_else(|| HostError::new(code::LIMIT, "many calls are at work already; wait for them"))?;
    let call = CallInput { solution: view.name, action: input.action, params, id: None };
    // A task of its own: leaving the page does not cut a call off that may wait for an approval on another page.
    let work = tokio::spawn(async move {
        let result = host.call(&PAGE, call).await;
        runs.end(id, result.clone().map_err(|error| error.message));
        result
    });
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(Ok(Ok(answer))) if answer.is_null() => said("Done."),
        Ok(Ok(Ok(answer))) => Ok(json!({ "say": "Done. The plugin answers:", "result": text::lines(&answer) })),
        Ok(Ok(Err(error))) => Err(error),
        Ok(Err(_)) => Err(HostError::new(code::INTERNAL, "the call failed within the wallet; see its log")),
        Err(_) => {
            said("At work. If it needs your approval, that waits under Approvals; its end is shown on this page.")
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deposit {
    solution: String,
    value: String,
    unit: String,
}

pub(crate) async fn deposit(visitor: Visitor, input: Deposit) -> Told {
    let wei = form::wei(&input.value, &input.unit).map_err(HostError::invalid)?;
    let input = GatewayCallInput { solution: input.solution, value: Some(wei), ..GatewayCallInput::default() };
    to_request(visitor.context.host.deposit(&PAGE, input).await?.id)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Permission {
    solution: String,
    permission: String,
}

pub(crate) async fn grant_add(visitor: Visitor, input: Permission) -> Told {
    visitor.context.host.grant_add(&PAGE, &input.solution, &input.permission).await?;
    said("It is allowed.")
}

pub(crate) async fn grant_revoke(visitor: Visitor, input: Permission) -> Told {
    visitor.context.host.grant_revoke(&PAGE, &input.solution, &input.permission).await?;
    said("It is taken back.")
}

pub(crate) async fn caller_revoke(visitor: Visitor, input: Number) -> Told {
    visitor.context.host.caller_revoke(&PAGE, input.id).await?;
    said("It is taken back.")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Caller {
    caller: String,
}

pub(crate) async fn caller_disconnect(visitor: Visitor, input: Caller) -> Told {
    visitor.context.host.caller_disconnect(&PAGE, &input.caller).await?;
    said("It sees your accounts no more.")
}

/// The code of a browser, and the user's name for it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pair {
    code: String,
    #[serde(default)]
    name: String,
}

pub(crate) async fn pair(visitor: Visitor, input: Pair) -> Told {
    let name = Some(input.name.trim()).filter(|name| !name.is_empty());
    let profile = visitor.context.host.pair(&PAGE, input.code.trim(), name).await?;
    said(&format!("The browser {} is paired.", profile.name))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Name {
    name: String,
}

pub(crate) async fn profile_remove(visitor: Visitor, input: Name) -> Told {
    visitor.context.host.profile_remove(&PAGE, &input.name).await?;
    said("The browser is removed, with all that its websites were granted.")
}

pub(crate) async fn app_remove(visitor: Visitor, input: Name) -> Told {
    visitor.context.host.app_remove(&PAGE, &input.name).await?;
    said("The app is removed, with all that it was granted.")
}

pub(crate) async fn policy_revoke(visitor: Visitor, input: Number) -> Told {
    visitor.context.host.policy_revoke(&PAGE, input.id).await?;
    said("The policy has ended.")
}

pub(crate) async fn policy_resume(visitor: Visitor, input: Number) -> Told {
    visitor.context.host.policy_resume(&PAGE, input.id).await?;
    said("The policy holds again.")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Solution {
    solution: String,
}

pub(crate) async fn solution_restart(visitor: Visitor, input: Solution) -> Told {
    visitor.context.host.solution_restart(&PAGE, &input.solution).await?;
    said("The plugin starts afresh.")
}

pub(crate) async fn solution_dials(visitor: Visitor, input: DialsInput) -> Told {
    visitor.context.host.dials_set(&PAGE, input).await?;
    said("The dials are moved; the plugin is told.")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answered {
    id: u64,
    answer: Answer,
}

pub(crate) async fn screen_answer(visitor: Visitor, input: Answered) -> Told {
    visitor.context.host.screen_answer(&PAGE, input.id, input.answer).await?;
    said("The plugin has your answer.")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changed {
    id: u64,
    field: String,
    value: Value,
}

pub(crate) async fn screen_event(visitor: Visitor, input: Changed) -> Told {
    visitor.context.host.screen_event(&PAGE, input.id, &input.field, input.value).await?;
    Ok(json!({}))
}

pub(crate) async fn screen_close(visitor: Visitor, input: Number) -> Told {
    visitor.context.host.screen_close(&PAGE, input.id).await?;
    said("The screen is closed.")
}

pub(crate) async fn notice_read(visitor: Visitor, input: Number) -> Told {
    visitor.context.host.notice_read(&PAGE, input.id).await?;
    Ok(json!({}))
}
