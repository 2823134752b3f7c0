//! One port: JSON-RPC over HTTP POST and over WebSocket, at `/`.
//!
//! **Who owns whom.** Each WebSocket connection has one task that reads and calls, and one that writes, with a bounded
//! outbox between them; notifications reach the first from a broadcast channel. A peer that does not read fills its outbox
//! and is cut off: it slows neither the core nor anybody else. When the node stops, the connections answer what they have
//! accepted, say goodbye and end within [`GRACE`].
//!
//! Calls do not wait for each other's answers, neither those of one batch nor those of one connection: they reach the
//! core in the order in which they came, and are answered as each is done.

mod connection;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use std::future::ready;

use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::future::{Either, join_all};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::limits::{Kind, Limiter, Limits};
use super::{Call, GRACE, Incoming, Interest, MAX_REQUEST, Outcome, Reply, RpcError, Topic, code};
use super::{failure, methods, parse, success};
use crate::core::CoreHandle;
use crate::metrics::Metrics;

#[derive(Clone)]
struct Shared {
    core: CoreHandle,
    connections: Arc<Semaphore>,
    limiter: Arc<Limiter>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

/// A bound port, not yet answering.
#[derive(Debug)]
pub(crate) struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`, and what was accepted before it for at most [`GRACE`] longer.
    pub(crate) async fn serve(self, core: CoreHandle, limits: Limits, stop: CancellationToken) -> std::io::Result<()> {
        let connections = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
        let (limiter, tracker) = (Arc::new(Limiter::new(limits)), TaskTracker::new());
        let shared = Shared { core, connections, limiter, tracker: tracker.clone(), stop: stop.clone() };
        let router = Router::new()
            .route("/", post(over_http).get(over_websocket))
            .layer(DefaultBodyLimit::max(MAX_REQUEST))
            .with_state(shared)
            .into_make_service_with_connect_info::<SocketAddr>();
        let serving = async {
            let served =
                axum::serve(self.listener, router).with_graceful_shutdown(stop.clone().cancelled_owned()).await;
            // Upgraded connections are no longer the server's.
            tracker.close();
            tracker.wait().await;
            served
        };
        tokio::select! {
            served = serving => served,
            // Somebody sends his request byte by byte, or does not read his answer.
            () = async { stop.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
        }
    }
}

/// A web page must not reach a node on loopback: browsers name the page's origin, other programs send none. Threats
/// 1 to 3 (DNS rebinding, cross-site requests and sockets).
fn from_a_browser(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site")
}

async fn over_http(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if from_a_browser(&headers) {
        return (StatusCode::FORBIDDEN, "web pages are not answered").into_response();
    }
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(';').next().is_some_and(|kind| kind.trim() == "application/json"));
    if !is_json {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json").into_response();
    }
    let answer = answer(&shared, peer, &body, &mut None).1.await;
    match answer {
        Some(Reply { text, retry_after }) => {
            let json = [(header::CONTENT_TYPE, "application/json")];
            match retry_after {
                Some(seconds) => {
                    (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds)], json, text).into_response()
                }
                None => (json, text).into_response(),
            }
        }
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn over_websocket(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if from_a_browser(&headers) {
        return (StatusCode::FORBIDDEN, "web pages are not answered").into_response();
    }
    let Ok(permit) = Arc::clone(&shared.connections).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many connections").into_response();
    };
    if !shared.limiter.connect(peer.ip()) {
        return (StatusCode::TOO_MANY_REQUESTS, "too many connections from your address").into_response();
    }
    let counted = Counted { limiter: Arc::clone(&shared.limiter), peer };
    // Counted from here on, so that a stopping node waits for an upgrade that is under way.
    let token = shared.tracker.token();
    upgrade.max_message_size(MAX_REQUEST).max_frame_size(MAX_REQUEST).on_upgrade(move |socket| async move {
        connection::serve(socket, peer, shared).await;
        drop((permit, counted, token));
    })
}

/// A connection that counts, until it is dropped: also when the upgrade comes to nothing.
struct Counted {
    limiter: Arc<Limiter>,
    peer: SocketAddr,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.limiter.disconnect(self.peer.ip());
    }
}

/// The subscriptions of one connection. They count until it is dropped.
struct Subscriptions {
    next: u64,
    active: Vec<(u64, Topic, Option<Interest>)>,
    metrics: Arc<Metrics>,
}

impl Subscriptions {
    fn new(core: &CoreHandle) -> Self {
        Self { next: 0, active: Vec::new(), metrics: Arc::clone(core.metrics()) }
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        self.metrics.subscriptions(-(self.active.len() as i64));
    }
}

/// How many calls a request makes, and the answer to it. Subscriptions change at once, everything else when the future is
/// polled.
fn answer(
    shared: &Shared,
    peer: SocketAddr,
    bytes: &[u8],
    subscriptions: &mut Option<Subscriptions>,
) -> (usize, impl Future<Output = Option<Reply>> + Send + use<>) {
    match parse(bytes) {
        Incoming::Refused(answer) => (1, Either::Left(ready(Some(answer.into())))),
        Incoming::One(call) => (1, Either::Right(Either::Left(one(shared, peer, call, subscriptions)))),
        Incoming::Many(calls) => {
            let count = calls.len();
            let calls = calls.into_iter().map(|call| match call {
                Ok(call) => Either::Left(one(shared, peer, call, subscriptions)),
                Err(answer) => Either::Right(ready(Some(answer.into()))),
            });
            let answers = join_all(calls.collect::<Vec<_>>());
            let all = async move {
                let answers: Vec<String> = answers.await.into_iter().flatten().map(|reply: Reply| reply.text).collect();
                let text = format!("[{}]", answers.join(","));
                (!answers.is_empty()).then_some(Reply { text, retry_after: None })
            };
            (count, Either::Right(Either::Right(all)))
        }
    }
}

fn one(
    shared: &Shared,
    peer: SocketAddr,
    call: Call,
    subscriptions: &mut Option<Subscriptions>,
) -> impl Future<Output = Option<Reply>> + Send + use<> {
    let Call { id, method, params } = call;
    shared.core.metrics().request();
    let outcome = match (allowed(shared, peer, &method), method.as_str()) {
        (Err(error), _) => Either::Left(ready(Err(error))),
        (Ok(()), "l2_subscribe") => Either::Left(ready(subscribe(shared, subscriptions, &params).map(Outcome::Value))),
        (Ok(()), "l2_unsubscribe") => Either::Left(ready(unsubscribe(subscriptions, &params).map(Outcome::Value))),
        (Ok(()), _) => {
            let core = shared.core.clone();
            Either::Right(async move { methods::call(&core, &method, params).await })
        }
    };
    async move {
        let outcome = outcome.await;
        Some(match outcome {
            Ok(result) => success(id?, &result),
            Err(error) => failure(id?, &error).into(),
        })
    }
}

fn allowed(shared: &Shared, peer: SocketAddr, method: &str) -> Result<(), RpcError> {
    let kind = match method {
        "l2_sendMessage" | "l2_submitReceipt" => Kind::Send,
        _ => Kind::Read,
    };
    shared.limiter.take(peer.ip(), kind, Instant::now()).map_err(|wait| {
        shared.core.metrics().rate_limit();
        let seconds = wait.as_secs_f64().ceil().max(1.0);
        let text = format!("too many requests from your address; try again in {seconds} s");
        RpcError::with(code::BUSY, text, json!({ "retryAfter": seconds.to_string() }))
    })
}

fn subscribe(shared: &Shared, subscriptions: &mut Option<Subscriptions>, params: &Value) -> Result<Value, RpcError> {
    let Some(subscriptions) = subscriptions else {
        return Err(RpcError::new(code::INVALID_REQUEST, "subscribing needs a WebSocket connection"));
    };
    let topic = Topic::parse(params)?;
    let most = shared.limiter.limits().subscriptions;
    if subscriptions.active.len() >= most {
        return Err(RpcError::new(code::BUSY, format!("{most} subscriptions are the most a connection has")));
    }
    subscriptions.next += 1;
    let interest = match topic {
        Topic::Account(account) => Some(shared.core.interests().listen(account)),
        Topic::Batches | Topic::Alerts => None,
    };
    subscriptions.active.push((subscriptions.next, topic, interest));
    subscriptions.metrics.subscriptions(1);
    Ok(json!(subscriptions.next.to_string()))
}

fn unsubscribe(subscriptions: &mut Option<Subscriptions>, params: &Value) -> Result<Value, RpcError> {
    let id = params.get(0).and_then(Value::as_str).and_then(|text| text.parse::<u64>().ok());
    let id = id.ok_or_else(|| RpcError::params("l2_unsubscribe takes the id that l2_subscribe gave"))?;
    let Some(subscriptions) = subscriptions else { return Ok(json!(false)) };
    let before = subscriptions.active.len();
    subscriptions.active.retain(|(active, _, _)| *active != id);
    let ended = before - subscriptions.active.len();
    subscriptions.metrics.subscriptions(-(ended as i64));
    Ok(json!(ended > 0))
}
