//! JSON-RPC 2.0 as it stands on the wire: requests without batches, one line each.

use entresol_host::HostError;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Longest request line in bytes. Ample for every method; a longer line ends the connection, because what follows
/// it cannot be told from its tail.
pub const MAX_LINE: usize = 1024 * 1024;

/// Error codes of this crate; those of the host pass through unchanged.
pub mod codes {
    /// The line is not JSON (JSON-RPC 2.0).
    pub const PARSE: i32 = -32700;
    /// The JSON is not a request (JSON-RPC 2.0).
    pub const INVALID_REQUEST: i32 = -32600;
    /// No such method (JSON-RPC 2.0).
    pub const METHOD_NOT_FOUND: i32 = -32601;
    /// The parameters do not fit (JSON-RPC 2.0).
    pub const INVALID_PARAMS: i32 = -32602;
    /// The daemon's own fault (JSON-RPC 2.0).
    pub const INTERNAL: i32 = -32603;
    /// It cannot be known whether the call took effect (plugin-api.md §3).
    pub const OUTCOME_UNKNOWN: i32 = -32002;
    /// Too many wrong passphrases (EIP-1474 "limit exceeded").
    pub const LIMIT: i32 = -32005;
    /// Not authorised (EIP-1193).
    pub const UNAUTHORISED: i32 = 4100;
    /// Not supported (EIP-1193).
    pub const UNSUPPORTED: i32 = 4200;
    /// The user said no (EIP-1193).
    pub const REJECTED: i32 = 4001;
}

/// An error as it stands on the wire. `Display` is the message alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// JSON-RPC, EIP-1193 or EIP-1474 code.
    pub code: i32,
    /// What went wrong and what to do about it.
    pub message: String,
    /// Facts for programs, such as `{"needs":"session"}`; null when there are none.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub data: Json,
}

impl RpcError {
    /// An error without data.
    #[must_use]
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: Json::Null }
    }

    /// True when the same request would pass after `session_open`.
    #[must_use]
    pub fn wants_session(&self) -> bool {
        self.code == codes::UNAUTHORISED && self.data.get("needs").and_then(Json::as_str) == Some("session")
    }
}

impl From<HostError> for RpcError {
    fn from(error: HostError) -> Self {
        Self { code: error.code, message: error.message, data: error.data }
    }
}

/// A request, checked for its shape.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: Json,
    pub(crate) method: String,
    pub(crate) params: Json,
}

/// Reads one line. The error carries the id to answer with (null when it could not be read).
pub(crate) fn parse(line: &[u8]) -> Result<Request, (Json, RpcError)> {
    let value: Json = serde_json::from_slice(line)
        .map_err(|e| (Json::Null, RpcError::new(codes::PARSE, format!("the line is not JSON: {e}"))))?;
    let refuse = |id: &Json, why: &str| (id.clone(), RpcError::new(codes::INVALID_REQUEST, why));
    let Json::Object(mut object) = value else {
        return Err(refuse(&Json::Null, "a request is one JSON object a line (no batches)"));
    };
    let id = object.remove("id").unwrap_or(Json::Null);
    if !matches!(id, Json::String(_) | Json::Number(_)) {
        return Err(refuse(&Json::Null, "a request needs an `id` (string or number)"));
    }
    if object.get("jsonrpc").and_then(Json::as_str) != Some("2.0") {
        return Err(refuse(&id, "a request needs `\"jsonrpc\":\"2.0\"`"));
    }
    let Some(Json::String(method)) = object.remove("method") else {
        return Err(refuse(&id, "a request needs a `method`"));
    };
    let params = match object.remove("params") {
        None | Some(Json::Null) => Json::Object(serde_json::Map::new()),
        Some(params @ Json::Object(_)) => params,
        Some(_) => {
            let error = RpcError::new(codes::INVALID_PARAMS, "`params` is an object keyed by parameter name");
            return Err((id, error));
        }
    };
    Ok(Request { id, method, params })
}

/// One answer line, newline included.
pub(crate) fn answer(id: &Json, outcome: Result<Json, RpcError>) -> Vec<u8> {
    let value = match outcome {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
    };
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests;
