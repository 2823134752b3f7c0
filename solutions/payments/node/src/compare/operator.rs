//! A small JSON-RPC client for the operator's node. What it says is not believed, and its answers are bounded.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use url::Url;

use crate::error::NodeError;
use crate::rpc::chain_text;

/// Longest time for one answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Largest answer: 256 receipts are below 400 kB.
const MAX_ANSWER: usize = 1 << 20;

/// What the operator's node said.
#[derive(Debug)]
pub(crate) enum Answer {
    Result(Value),
    /// Its words.
    Error(String),
}

/// The client.
#[derive(Clone, Debug)]
pub(crate) struct OperatorClient {
    http: reqwest::Client,
    url: Url,
}

/// A client for the node at `url` (http, https, ws or wss: the same port answers HTTP POST).
pub(crate) fn client(url: &Url) -> Result<OperatorClient, NodeError> {
    let mut url = url.clone();
    let scheme = match url.scheme() {
        "ws" | "http" => "http",
        "wss" | "https" => "https",
        other => {
            return Err(NodeError::Argument(format!(
                "--operator-url: unknown scheme {other:?}, expected http, https, ws or wss"
            )));
        }
    };
    if url.set_scheme(scheme).is_err() {
        return Err(NodeError::Argument("--operator-url is no address of a node".to_owned()));
    }
    // A second installation is refused and harmless: the first provider stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| NodeError::Argument(format!("--operator-url: no HTTP client could be built: {error}")))?;
    Ok(OperatorClient { http, url })
}

impl OperatorClient {
    /// The address without user, password, path and query, where secrets may lie.
    pub(crate) fn shown(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Asks once.
    pub(crate) async fn ask(&self, method: &str, params: Value) -> Result<Answer, String> {
        let transport = |error: reqwest::Error| chain_text(&error.without_url());
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let response = self.http.post(self.url.clone()).json(&request).send().await.map_err(transport)?;
        let (status, mut chunks) = (response.status(), response.bytes_stream());
        let mut body = Vec::new();
        while let Some(chunk) = chunks.next().await {
            body.extend_from_slice(&chunk.map_err(transport)?);
            if body.len() > MAX_ANSWER {
                return Err(format!("{method}: the answer is longer than {MAX_ANSWER} bytes"));
            }
        }
        let mut reply: Value =
            serde_json::from_slice(&body).map_err(|_| format!("{method}: HTTP {status}, no JSON"))?;
        match reply.get_mut("error").filter(|error| !error.is_null()) {
            Some(error) => Ok(Answer::Error(error["message"].as_str().unwrap_or("an error without words").to_owned())),
            None => Ok(Answer::Result(reply["result"].take())),
        }
    }
}
