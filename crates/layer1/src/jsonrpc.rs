//! JSON-RPC over HTTP to one endpoint after another.
//!
//! Own code rather than a general client, for three rules: answers are bounded in size, redirects are not followed,
//! and an endpoint that was lost must prove its chain id again before a word of it is believed.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::{Host, Url};

use crate::error::Layer1Error;

/// Longest time to establish a connection. Slow mobile networks need a few seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time for one request; `eth_getLogs` on public endpoints takes up to half of it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer taken. A full block of receipts is below 10 MiB; a lying endpoint must not fill the memory.
const ANSWER_LIMIT: usize = 32 * 1024 * 1024;
/// How much of an endpoint's words goes into an error text.
const MESSAGE_LIMIT: usize = 500;

struct Endpoint {
    url: Url,
    shown: String,
    client: reqwest::Client,
    verified: AtomicBool,
}

/// The endpoints of one network.
pub(crate) struct Rpc {
    name: String,
    chain_id: u64,
    endpoints: Vec<Endpoint>,
    current: AtomicUsize,
    next_id: AtomicU64,
}

impl fmt::Debug for Rpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rpc").field("name", &self.name).field("chain_id", &self.chain_id).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    result: Value,
    error: Option<ErrorObject>,
}

#[derive(Deserialize)]
struct ErrorObject {
    code: i64,
    #[serde(default)]
    message: String,
    data: Option<Value>,
}

impl Rpc {
    pub(crate) fn new(name: &str, chain_id: u64, urls: &[Url]) -> Result<Self, Layer1Error> {
        if urls.is_empty() {
            return Err(Layer1Error::Config(format!("network \"{name}\" has no RPC URL; give it one")));
        }
        let endpoints = urls.iter().map(Endpoint::new).collect::<Result<_, _>>()?;
        let current = AtomicUsize::new(0);
        Ok(Self { name: name.to_owned(), chain_id, endpoints, current, next_id: AtomicU64::new(1) })
    }

    /// Calls `method`; tries every endpoint once, beginning with the one that answered last.
    ///
    /// Every method of this crate may be sent twice: reads, and `eth_sendRawTransaction`, whose second sending is
    /// "already known".
    pub(crate) async fn request(&self, method: &str, params: Value) -> Result<Value, Layer1Error> {
        let first = self.current.load(Ordering::Relaxed);
        let mut last = Layer1Error::Closed;
        for step in 0..self.endpoints.len() {
            let index = (first + step) % self.endpoints.len();
            let Some(endpoint) = self.endpoints.get(index) else { break };
            let result = match self.verify(endpoint).await {
                Ok(()) => endpoint.request(self.next_id(), method, &params).await,
                Err(error) => Err(error),
            };
            match result {
                Err(error @ (Layer1Error::Unreachable { .. } | Layer1Error::ChainIdMismatch { .. })) => {
                    endpoint.verified.store(false, Ordering::Relaxed);
                    // The wrong chain is the graver of two mishaps: it is the one to tell.
                    if !matches!(last, Layer1Error::ChainIdMismatch { .. }) {
                        last = error;
                    }
                }
                other => {
                    self.current.store(index, Ordering::Relaxed);
                    return other;
                }
            }
        }
        Err(last)
    }

    /// As [`Self::request`], parsed.
    pub(crate) async fn get<T: DeserializeOwned>(&self, method: &str, params: Value) -> Result<T, Layer1Error> {
        let value = self.request(method, params).await?;
        T::deserialize(value)
            .map_err(|error| Layer1Error::BadAnswer { method: method.to_owned(), reason: error.to_string() })
    }

    async fn verify(&self, endpoint: &Endpoint) -> Result<(), Layer1Error> {
        if endpoint.verified.load(Ordering::Relaxed) {
            return Ok(());
        }
        let found = endpoint.chain_id(self.next_id()).await?;
        if found != self.chain_id {
            return Err(Layer1Error::ChainIdMismatch {
                name: self.name.clone(),
                endpoint: endpoint.shown.clone(),
                expected: self.chain_id,
                found,
            });
        }
        endpoint.verified.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Makes every endpoint prove its chain id again before its next answer.
    pub(crate) fn doubt(&self) {
        for endpoint in &self.endpoints {
            endpoint.verified.store(false, Ordering::Relaxed);
        }
    }

    fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }
}

/// The chain id that `url` serves, whatever it is.
pub(crate) async fn chain_id_of(url: &Url) -> Result<u64, Layer1Error> {
    Endpoint::new(url)?.chain_id(1).await
}

impl Endpoint {
    fn new(url: &Url) -> Result<Self, Layer1Error> {
        let shown = shown(url);
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Layer1Error::Config(format!(
                "{shown} is not an RPC URL; it must begin with http:// or https://"
            )));
        }
        // An error means that a provider is already there, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(url) {
            // A node on this machine is never reached through a proxy, whatever the environment says.
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| Layer1Error::Config(format!("{shown}: {}", chain(&error))))?;
        Ok(Self { url: url.clone(), shown, client, verified: AtomicBool::new(false) })
    }

    async fn chain_id(&self, id: u64) -> Result<u64, Layer1Error> {
        let value = self.request(id, "eth_chainId", &json!([])).await?;
        value
            .as_str()
            .and_then(|text| text.strip_prefix("0x"))
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .ok_or_else(|| bad("eth_chainId", "not a hexadecimal number of 64 bits"))
    }

    async fn request(&self, id: u64, method: &str, params: &Value) -> Result<Value, Layer1Error> {
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
            Some(error) => Err(Layer1Error::Rpc {
                method: method.to_owned(),
                code: error.code,
                message: error.message.chars().take(MESSAGE_LIMIT).collect(),
                data: error.data,
            }),
            None if status.is_success() => Ok(answer.result),
            None => Err(unreachable(format!("HTTP status {status}"))),
        }
    }
}

fn bad(method: &str, reason: &str) -> Layer1Error {
    Layer1Error::BadAnswer { method: method.to_owned(), reason: reason.to_owned() }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Scheme, host and port: what may be shown of an RPC URL.
fn shown(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{}://{host}:{port}", url.scheme()),
        (Some(host), None) => format!("{}://{host}", url.scheme()),
        (None, _) => format!("{}:", url.scheme()),
    }
}

/// An error and its causes in one line; reqwest's own text names only the outermost.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let words = inner.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
