//! JSON-RPC over HTTP.

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::{ANSWER_LIMIT, Answer, CONNECT_TIMEOUT, bad, chain, is_loopback, shown};
use crate::error::Layer1Error;

/// Longest time for one request; `eth_getLogs` on public endpoints takes up to half of it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// One endpoint over HTTP.
pub(super) struct Http {
    url: Url,
    shown: String,
    client: reqwest::Client,
}

impl Http {
    pub(super) fn new(url: &Url) -> Result<Self, Layer1Error> {
        let shown = shown(url);
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(url) {
            // A node on this machine is never reached through a proxy, whatever the environment says.
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| Layer1Error::Config(format!("{shown}: {}", chain(&error))))?;
        Ok(Self { url: url.clone(), shown, client })
    }

    pub(super) async fn request(&self, id: u64, method: &str, params: &Value) -> Result<Value, Layer1Error> {
        let unreachable = |reason: String| Layer1Error::Unreachable { endpoint: self.shown.clone(), reason };
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let sent = self.client.post(self.url.clone()).json(&body).send().await;
        // `without_url`: the URL can hold an API key.
        let mut response = sent.map_err(|error| unreachable(chain(&error.without_url())))?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| unreachable(chain(&e.without_url())))? {
            if bytes.len() + chunk.len() > ANSWER_LIMIT {
                return Err(bad(method, &format!("it is longer than {ANSWER_LIMIT} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        let Ok(answer) = serde_json::from_slice::<Answer>(&bytes) else {
            if !status.is_success() {
                return Err(unreachable(format!("HTTP status {status}")));
            }
            return Err(bad(method, "not a JSON-RPC answer"));
        };
        match answer.error {
            Some(error) => Err(error.into_error(method)),
            None if status.is_success() => Ok(answer.result),
            None => Err(unreachable(format!("HTTP status {status}"))),
        }
    }
}
