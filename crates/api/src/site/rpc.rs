//! JSON-RPC 2.0 for local apps: one request or a batch in the body of a POST. The address holds the app's name and its
//! secret; who has it is that app.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use entresol_host::callers::CallerMethod;
use entresol_host::{Caller, Host};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value as Json, json};

use super::http::{answer, refuse};
use super::{BATCH_WIDTH, MAX_BATCH, MAX_MESSAGE, Site};
use crate::protocol::{RpcError, codes};

/// How long the body of a request may take.
const BODY_TIME: Duration = Duration::from_secs(30);

/// `POST /app/{name}/{secret}`.
pub(super) async fn app(
    State(site): State<Arc<Site>>,
    Path((name, secret)): Path<(String, String)>,
    body: Body,
) -> Response {
    let refused = || refuse(StatusCode::FORBIDDEN, "no app has this address; make one with `entresol app add NAME`");
    let entered = match site.host.app_enter(&name, &secret) {
        Ok(Some(entered)) => entered,
        Ok(None) => return refused(),
        Err(error) => return answer(StatusCode::OK, &response(&Json::Null, Err(error.into()))),
    };
    let Some(_place) = site.app_place(&name) else {
        return refuse(StatusCode::TOO_MANY_REQUESTS, "this app has too many requests open; wait for their answers");
    };
    let Ok(Ok(body)) = tokio::time::timeout(BODY_TIME, axum::body::to_bytes(body, MAX_MESSAGE)).await else {
        let why = format!("the body is at most {MAX_MESSAGE} bytes, sent within {} s", BODY_TIME.as_secs());
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, &why);
    };
    // Dropped, it ends what it runs: a client that hangs up waits for nothing.
    tokio::select! {
        // The removal before what it brings about, such as that a request is withdrawn.
        biased;
        () = site.host.app_removed(&entered) => refused(),
        answered = serve(&site.host, &entered.caller, &body) => answered,
        () = site.stop.cancelled() => refuse(StatusCode::SERVICE_UNAVAILABLE, "the wallet is ending"),
    }
}

async fn serve(host: &Host, caller: &Caller, body: &[u8]) -> Response {
    let wrong =
        |code, why: String| answer(StatusCode::BAD_REQUEST, &response(&Json::Null, Err(RpcError::new(code, why))));
    let given: Json = match serde_json::from_slice(body) {
        Ok(given) => given,
        Err(error) => return wrong(codes::PARSE, format!("the body is not JSON: {error}")),
    };
    let answers = match given {
        Json::Array(list) if list.is_empty() => {
            return wrong(codes::INVALID_REQUEST, "a batch has at least one request".to_owned());
        }
        Json::Array(list) if list.len() > MAX_BATCH => {
            return wrong(codes::INVALID_REQUEST, format!("a batch has at most {MAX_BATCH} requests"));
        }
        Json::Array(list) => {
            // A few at a time, begun and answered in the order of the batch.
            let run = stream::iter(list).map(|one| call(host, caller, one)).buffered(BATCH_WIDTH);
            let answers: Vec<Json> = run.filter_map(std::future::ready).collect().await;
            (!answers.is_empty()).then_some(Json::Array(answers))
        }
        one => call(host, caller, one).await,
    };
    match answers {
        Some(answers) => answer(StatusCode::OK, &answers),
        // Nothing but notifications.
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

/// One request; none for a notification.
async fn call(host: &Host, caller: &Caller, request: Json) -> Option<Json> {
    let invalid = |id: &Json, why: &str| Some(response(id, Err(RpcError::new(codes::INVALID_REQUEST, why))));
    let Json::Object(mut request) = request else {
        return invalid(&Json::Null, "a request is an object");
    };
    let id = request.remove("id");
    if !matches!(id, None | Some(Json::Null | Json::String(_) | Json::Number(_))) {
        return invalid(&Json::Null, "an `id` is a string or a number");
    }
    let shown = id.clone().unwrap_or_default();
    if request.get("jsonrpc").and_then(Json::as_str) != Some("2.0") {
        return invalid(&shown, "a request needs `\"jsonrpc\":\"2.0\"`");
    }
    let Some(Json::String(method)) = request.remove("method") else {
        return invalid(&shown, "a request needs a `method`");
    };
    let outcome = match request.remove("params").unwrap_or_default() {
        Json::Null => run(host, caller, &method, json!([])).await,
        params @ (Json::Array(_) | Json::Object(_)) => run(host, caller, &method, params).await,
        _ => Err(RpcError::new(codes::INVALID_PARAMS, "`params` is an array or an object")),
    };
    // Without an id it is a notification: done, and not spoken of.
    id.map(|id| response(&id, outcome))
}

async fn run(host: &Host, caller: &Caller, method: &str, params: Json) -> Result<Json, RpcError> {
    match CallerMethod::by_name(method) {
        Some(method) => Ok(method.run(host, caller, params).await?),
        None => Err(unknown(codes::METHOD_NOT_FOUND, method)),
    }
}

/// Longest method name that is repeated in an error.
const SHOWN_NAME: usize = 64;

/// The error of a method that is not there: 4200 for sites (EIP-1193), -32601 for apps (JSON-RPC 2.0).
pub(super) fn unknown(code: i32, method: &str) -> RpcError {
    let name: String = method.chars().take(SHOWN_NAME).collect();
    RpcError::new(code, format!("this wallet has no method {name:?}"))
}

/// A response as it stands on the wire.
pub(super) fn response(id: &Json, outcome: Result<Json, RpcError>) -> Json {
    match outcome {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
    }
}
