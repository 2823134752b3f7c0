//! JSON-RPC 2.0: requests, answers, errors. No transport in here.

mod limits;
mod methods;
mod server;
mod subscriptions;

pub(crate) use limits::Limits;
pub(crate) use methods::chain_text;
pub(crate) use server::Server;
pub(crate) use subscriptions::{Interest, Interests, Notice, Topic};

use std::time::Duration;

use payments_protocol::SignedReceipt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Largest request, in bytes. The largest sensible one (a signed message) is below 2 kB.
pub(crate) const MAX_REQUEST: usize = 64 * 1024;

/// Longest time that open connections have to end in good order when the node stops.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// Most calls in one JSON-RPC batch request.
const MAX_CALLS: usize = 64;

/// An error as the caller sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RpcError {
    pub(crate) code: i64,
    pub(crate) message: String,
    pub(crate) data: Option<Value>,
}

/// The node's own error codes. The numbers are part of the interface.
pub(crate) mod code {
    /// Not JSON.
    pub(crate) const PARSE: i64 = -32700;
    /// JSON, but no request.
    pub(crate) const INVALID_REQUEST: i64 = -32600;
    /// No such method.
    pub(crate) const METHOD: i64 = -32601;
    /// Parameters of a wrong shape.
    pub(crate) const PARAMS: i64 = -32602;
    /// The node's own fault.
    pub(crate) const INTERNAL: i64 = -32603;
    /// What was asked for does not exist (yet, or any more).
    pub(crate) const NOT_FOUND: i64 = -32001;
    /// The signature is malformed or not the sender's.
    pub(crate) const BAD_SIGNATURE: i64 = -32010;
    /// The nonce is not the next one; `data.expected` is.
    pub(crate) const WRONG_NONCE: i64 = -32011;
    /// The balance does not cover value and fee; `data.balance` is what is there.
    pub(crate) const INSUFFICIENT_BALANCE: i64 = -32012;
    /// `prev` is not the sender's latest message; `data.expected` is.
    pub(crate) const WRONG_PREV: i64 = -32013;
    /// A layer-1 exit of the sender is waiting; no receipts until it is served.
    pub(crate) const EXIT_PENDING: i64 = -32014;
    /// This node orders nothing.
    pub(crate) const NOT_OPERATOR: i64 = -32015;
    /// The gateway is halted.
    pub(crate) const HALTED: i64 = -32016;
    /// Too many requests are waiting; try again.
    pub(crate) const BUSY: i64 = -32017;
    /// The node has not caught up with layer 1 yet; try again.
    pub(crate) const SYNCING: i64 = -32018;
}

impl RpcError {
    pub(crate) fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    pub(crate) fn with(code: i64, message: impl Into<String>, data: Value) -> Self {
        Self { code, message: message.into(), data: Some(data) }
    }

    pub(crate) fn params(message: impl Into<String>) -> Self {
        Self::new(code::PARAMS, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(code::NOT_FOUND, message)
    }

    fn value(&self) -> Value {
        match &self.data {
            Some(data) => json!({ "code": self.code, "message": self.message, "data": data }),
            None => json!({ "code": self.code, "message": self.message }),
        }
    }
}

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    /// `None` for a notification, which gets no answer.
    pub(crate) id: Option<Value>,
    pub(crate) method: String,
    pub(crate) params: Value,
}

/// What arrived in one message.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// One call.
    One(Call),
    /// Several, or what is wrong with each.
    Many(Vec<Result<Call, Value>>),
    /// Nothing usable; the answer to send.
    Refused(Value),
}

#[derive(Deserialize)]
struct RawCall {
    jsonrpc: String,
    #[serde(default, deserialize_with = "present")]
    id: Option<Value>,
    method: String,
    #[serde(default)]
    params: Value,
}

/// Tells `"id": null` (a call with a null id) from no id (a notification).
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Reads what arrived. Never fails: whatever is wrong has an answer.
pub(crate) fn parse(bytes: &[u8]) -> Incoming {
    match serde_json::from_slice::<Value>(bytes) {
        Err(error) => {
            Incoming::Refused(failure(Value::Null, &RpcError::new(code::PARSE, format!("not JSON: {error}"))))
        }
        Ok(Value::Array(calls)) if calls.is_empty() || calls.len() > MAX_CALLS => {
            let error = RpcError::new(code::INVALID_REQUEST, format!("1 to {MAX_CALLS} calls at once"));
            Incoming::Refused(failure(Value::Null, &error))
        }
        Ok(Value::Array(calls)) => Incoming::Many(calls.into_iter().map(call).collect()),
        Ok(value) => match call(value) {
            Ok(call) => Incoming::One(call),
            Err(answer) => Incoming::Refused(answer),
        },
    }
}

fn call(value: Value) -> Result<Call, Value> {
    let id = value.get("id").filter(|id| id.is_string() || id.is_number()).cloned().unwrap_or(Value::Null);
    let refuse = |why: String| failure(id.clone(), &RpcError::new(code::INVALID_REQUEST, why));
    let raw: RawCall = serde_json::from_value(value).map_err(|error| refuse(error.to_string()))?;
    if raw.jsonrpc != "2.0" {
        return Err(refuse("jsonrpc must be \"2.0\"".to_owned()));
    }
    if raw.id.as_ref().is_some_and(|id| !id.is_string() && !id.is_number() && !id.is_null()) {
        return Err(refuse("id must be a string or a number".to_owned()));
    }
    Ok(Call { id: raw.id, method: raw.method, params: raw.params })
}

/// What a call gives.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Outcome {
    Value(Value),
    /// Written as it is: most of what a busy operator says, and a tree of values for each costs as much as ordering it.
    Receipt(Box<SignedReceipt>),
}

/// The answer to one request, as it goes out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    /// JSON.
    pub(crate) text: String,
    /// Seconds after which to come again, when the one call that was made met a rate limit.
    pub(crate) retry_after: Option<String>,
}

impl From<Value> for Reply {
    fn from(answer: Value) -> Self {
        let retry_after = answer["error"]["data"]["retryAfter"].as_str().map(str::to_owned);
        Self { text: answer.to_string(), retry_after }
    }
}

/// The answer to a call that succeeded.
pub(crate) fn success(id: Value, result: &Outcome) -> Reply {
    #[derive(Serialize)]
    struct Success<'a> {
        jsonrpc: &'static str,
        id: &'a Value,
        result: &'a Outcome,
    }
    let text = serde_json::to_string(&Success { jsonrpc: "2.0", id: &id, result });
    match text {
        Ok(text) => Reply { text, retry_after: None },
        Err(error) => failure(id, &RpcError::new(code::INTERNAL, error.to_string())).into(),
    }
}

/// The answer to a call that failed.
pub(crate) fn failure(id: Value, error: &RpcError) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": error.value() })
}

/// A notification of a subscription.
pub(crate) fn notification(subscription: u64, topic: &str, result: Value) -> Value {
    let params = json!({ "subscription": subscription.to_string(), "topic": topic, "result": result });
    json!({ "jsonrpc": "2.0", "method": "l2_subscription", "params": params })
}

#[cfg(test)]
mod tests;
