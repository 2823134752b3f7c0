//! JSON-RPC over HTTP and WebSocket, to one endpoint after another.
//!
//! Own code rather than a general client, for three rules: answers are bounded in size, redirects are not followed,
//! and an endpoint that was lost must prove its chain id again before a word of it is believed.

mod http;
mod ws;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Notify;
use url::{Host, Url};

use crate::error::Layer1Error;
use http::Http;
use ws::{Ws, WsError};

/// Longest time to establish a connection. Slow mobile networks need a few seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer taken. A full block of receipts is below 10 MiB; a lying endpoint must not fill the memory.
const ANSWER_LIMIT: usize = 32 * 1024 * 1024;
/// How much of an endpoint's words goes into an error text.
const MESSAGE_LIMIT: usize = 500;
/// Longest wait for an endpoint when all are asked the same: a slow one must not hold up the head.
const COMPARE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an endpoint that did not answer then is not asked again for comparison.
const COMPARE_REST: Duration = Duration::from_secs(30);

enum Transport {
    Http(Http),
    Ws(Ws),
}

struct Endpoint {
    shown: String,
    transport: Transport,
    /// The connection on which the chain id was proved; 0 is none. HTTP has one connection, number 1.
    verified: AtomicU64,
    /// The connection on which new heads are announced.
    subscribed: AtomicU64,
    /// It fell behind the others: asked last.
    behind: AtomicBool,
    /// Not asked for comparison before this.
    rests_until: Mutex<Option<Instant>>,
}

/// The endpoints of one network.
pub(crate) struct Rpc {
    name: String,
    chain_id: u64,
    endpoints: Vec<Endpoint>,
    current: AtomicUsize,
    next_id: AtomicU64,
    wake: Arc<Notify>,
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

impl ErrorObject {
    fn into_error(self, method: &str) -> Layer1Error {
        Layer1Error::Rpc {
            method: method.to_owned(),
            code: self.code,
            message: self.message.chars().take(MESSAGE_LIMIT).collect(),
            data: self.data,
        }
    }
}

/// What one endpoint of several answered.
pub(crate) struct Said<T> {
    /// Which; for [`Rpc::prefer`] and [`Rpc::set_behind`].
    pub(crate) index: usize,
    /// Scheme, host and port.
    pub(crate) endpoint: String,
    /// Its answer.
    pub(crate) answer: T,
}

impl Rpc {
    /// Needs a tokio runtime where a URL is a WebSocket.
    pub(crate) fn new(name: &str, chain_id: u64, urls: &[Url]) -> Result<Self, Layer1Error> {
        if urls.is_empty() {
            return Err(Layer1Error::Config(format!("network \"{name}\" has no RPC URL; give it one")));
        }
        let wake = Arc::new(Notify::new());
        let endpoints = urls.iter().map(|url| Endpoint::new(url, &wake)).collect::<Result<_, _>>()?;
        let current = AtomicUsize::new(0);
        Ok(Self { name: name.to_owned(), chain_id, endpoints, current, next_id: AtomicU64::new(1), wake })
    }

    /// Resolves when an endpoint announces a new head over its WebSocket.
    pub(crate) async fn announced(&self) {
        self.wake.notified().await;
    }

    /// How many endpoints there are.
    pub(crate) fn count(&self) -> usize {
        self.endpoints.len()
    }

    /// Calls `method`; tries every endpoint once, beginning with the one that answered last; those behind come last.
    ///
    /// Every method of this crate may be sent twice: reads, and `eth_sendRawTransaction`, whose second sending is
    /// "already known".
    pub(crate) async fn request(&self, method: &str, params: Value) -> Result<Value, Layer1Error> {
        let first = self.current.load(Ordering::Relaxed);
        let count = self.endpoints.len();
        let mut order: Vec<usize> = (0..count).map(|step| (first + step) % count).collect();
        order.sort_by_key(|index| self.endpoints.get(*index).is_some_and(|one| one.behind.load(Ordering::Relaxed)));
        let mut last = Layer1Error::Closed;
        for index in order {
            let Some(endpoint) = self.endpoints.get(index) else { break };
            match self.ask(endpoint, method, &params).await {
                Err(error @ (Layer1Error::Unreachable { .. } | Layer1Error::ChainIdMismatch { .. })) => {
                    // The wrong chain is the graver of two mishaps: it is the one to tell.
                    if !matches!(last, Layer1Error::ChainIdMismatch { .. }) {
                        last = error;
                    }
                }
                // Another endpoint may have more to give; where none has, this is what is told.
                Err(error) if is_exhausted(&error) => last = error,
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
        parse(method, self.request(method, params).await?)
    }

    /// Asks all endpoints the same, at the same time; gives the answers of those that answer.
    pub(crate) async fn each<T: DeserializeOwned>(&self, method: &str, params: Value) -> Vec<Said<T>> {
        let now = Instant::now();
        let asked = self.endpoints.iter().enumerate().filter(|(_, endpoint)| !endpoint.rests(now));
        let answers = asked.map(|(index, endpoint)| {
            let params = &params;
            async move {
                let asking = async { parse(method, self.ask(endpoint, method, params).await?) };
                let answer = tokio::time::timeout(COMPARE_TIMEOUT, asking).await;
                endpoint.rest(if answer.is_err() { Some(Instant::now() + COMPARE_REST) } else { None });
                Some(Said { index, endpoint: endpoint.shown.clone(), answer: answer.ok()?.ok()? })
            }
        });
        join_all(answers).await.into_iter().flatten().collect()
    }

    /// Asks this endpoint first from now on.
    pub(crate) fn prefer(&self, index: usize) {
        self.current.store(index, Ordering::Relaxed);
    }

    /// Notes whether an endpoint is behind the others.
    pub(crate) fn set_behind(&self, index: usize, behind: bool) {
        if let Some(endpoint) = self.endpoints.get(index) {
            endpoint.behind.store(behind, Ordering::Relaxed);
        }
    }

    /// One endpoint, which proves its chain id first if this connection has not.
    async fn ask(&self, endpoint: &Endpoint, method: &str, params: &Value) -> Result<Value, Layer1Error> {
        let result = self.ask_verified(endpoint, method, params).await;
        if matches!(result, Err(Layer1Error::Unreachable { .. } | Layer1Error::ChainIdMismatch { .. })) {
            endpoint.verified.store(0, Ordering::Relaxed);
        }
        result
    }

    async fn ask_verified(&self, endpoint: &Endpoint, method: &str, params: &Value) -> Result<Value, Layer1Error> {
        for _ in 0..2 {
            let epoch = self.verify(endpoint).await?;
            match &endpoint.transport {
                Transport::Http(http) => return http.request(self.next_id(), method, params).await,
                Transport::Ws(ws) => match ws.request(self.next_id(), method, params, Some(epoch)).await {
                    Ok((value, _)) => return Ok(value),
                    Err(WsError::Other(error)) => return Err(error),
                    // The connection is a new one: it proves its chain id, once more.
                    Err(WsError::OtherEpoch) => endpoint.verified.store(0, Ordering::Relaxed),
                },
            }
        }
        Err(Layer1Error::Unreachable {
            endpoint: endpoint.shown.clone(),
            reason: "the connection is lost again and again".to_owned(),
        })
    }

    /// The connection on which the endpoint has proved its chain id.
    async fn verify(&self, endpoint: &Endpoint) -> Result<u64, Layer1Error> {
        let epoch = endpoint.verified.load(Ordering::Relaxed);
        if epoch != 0 {
            return Ok(epoch);
        }
        let (found, epoch) = endpoint.chain_id(self.next_id()).await?;
        if found != self.chain_id {
            return Err(Layer1Error::ChainIdMismatch {
                name: self.name.clone(),
                endpoint: endpoint.shown.clone(),
                expected: self.chain_id,
                found,
            });
        }
        endpoint.verified.store(epoch, Ordering::Relaxed);
        if let Transport::Ws(ws) = &endpoint.transport
            && endpoint.subscribed.swap(epoch, Ordering::Relaxed) != epoch
        {
            // Optional: without it the head is found by polling, as over HTTP.
            let subscribed = ws.request(self.next_id(), "eth_subscribe", &json!(["newHeads"]), Some(epoch)).await;
            if subscribed.is_err() {
                tracing::debug!(endpoint = %endpoint.shown, "the endpoint announces no new heads");
            }
        }
        Ok(epoch)
    }

    /// Makes every endpoint prove its chain id again before its next answer.
    pub(crate) fn doubt(&self) {
        for endpoint in &self.endpoints {
            endpoint.verified.store(0, Ordering::Relaxed);
        }
    }

    fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }
}

/// The chain id that `url` serves, whatever it is.
pub(crate) async fn chain_id_of(url: &Url) -> Result<u64, Layer1Error> {
    let (found, _) = Endpoint::new(url, &Arc::new(Notify::new()))?.chain_id(1).await?;
    Ok(found)
}

impl Endpoint {
    fn new(url: &Url, wake: &Arc<Notify>) -> Result<Self, Layer1Error> {
        // An error means that a provider is already there, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let shown = shown(url);
        let transport = match url.scheme() {
            "http" | "https" => Transport::Http(Http::new(url)?),
            "ws" | "wss" if url.has_host() => Transport::Ws(Ws::new(url, Arc::clone(wake))),
            _ => {
                return Err(Layer1Error::Config(format!(
                    "{shown} is not an RPC URL; it must begin with http://, https://, ws:// or wss://"
                )));
            }
        };
        Ok(Self {
            shown,
            transport,
            verified: AtomicU64::new(0),
            subscribed: AtomicU64::new(0),
            behind: AtomicBool::new(false),
            rests_until: Mutex::new(None),
        })
    }

    async fn chain_id(&self, id: u64) -> Result<(u64, u64), Layer1Error> {
        let nothing = json!([]);
        let (value, epoch) = match &self.transport {
            Transport::Http(http) => (http.request(id, "eth_chainId", &nothing).await?, 1),
            Transport::Ws(ws) => match ws.request(id, "eth_chainId", &nothing, None).await {
                Ok(answer) => answer,
                Err(WsError::Other(error)) => return Err(error),
                Err(WsError::OtherEpoch) => return Err(Layer1Error::Closed),
            },
        };
        let found = value
            .as_str()
            .and_then(|text| text.strip_prefix("0x"))
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .ok_or_else(|| bad("eth_chainId", "not a hexadecimal number of 64 bits"))?;
        Ok((found, epoch))
    }

    fn rests(&self, now: Instant) -> bool {
        self.rests_until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| now < until)
    }

    fn rest(&self, until: Option<Instant>) {
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

/// The endpoint will not serve more for now: 429 of HTTP, and "limit exceeded" of EIP-1474.
fn is_exhausted(error: &Layer1Error) -> bool {
    matches!(error, Layer1Error::Rpc { code: 429 | -32005, .. })
}

fn parse<T: DeserializeOwned>(method: &str, value: Value) -> Result<T, Layer1Error> {
    T::deserialize(value)
        .map_err(|error| Layer1Error::BadAnswer { method: method.to_owned(), reason: error.to_string() })
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
