//! One port: JSON-RPC over HTTP POST and over WebSocket, at `/`.
//!
//! Each WebSocket connection has one task that reads, calls and writes; notifications arrive in the same task from a
//! broadcast channel. A connection that reads too slowly misses notifications and is told so; it never slows the core.
//! Calls do not wait for each other's answers, neither those of one batch nor those of one connection: they reach the
//! core in the order in which they came, and are answered as each is done.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::future::{Either, join_all, ready};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, broadcast};
use tokio_util::sync::CancellationToken;

use super::{
    Call, Incoming, Interest, MAX_REQUEST, Notice, RpcError, Topic, code, failure, methods, notification, parse,
    success,
};
use crate::core::CoreHandle;
use crate::metrics::Metrics;

/// WebSocket connections at one time. Each costs a task and a small buffer.
const MAX_CONNECTIONS: usize = 1_024;

/// Subscriptions of one connection.
const MAX_SUBSCRIPTIONS: usize = 64;

/// Calls of one connection that are not answered yet; it is not read from while there are so many. A share of the places
/// that all messages have, so that one connection does not take them all.
const MAX_UNANSWERED: usize = 512;

/// A peer that takes longer than this to read an answer is cut off.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct Shared {
    core: CoreHandle,
    connections: Arc<Semaphore>,
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

    /// Answers until `stop`.
    pub(crate) async fn serve(self, core: CoreHandle, stop: CancellationToken) -> std::io::Result<()> {
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let shared = Shared { core, connections, stop: stop.clone() };
        let router = Router::new()
            .route("/", post(over_http).get(over_websocket))
            .layer(DefaultBodyLimit::max(MAX_REQUEST))
            .with_state(shared);
        axum::serve(self.listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
    }
}

/// A web page must not reach a node on loopback: browsers name the page's origin, other programs send none. Threats
/// 1 to 3 (DNS rebinding, cross-site requests and sockets).
fn from_a_browser(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site")
}

async fn over_http(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
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
    match answer(&shared.core, &body, &mut None).1.await {
        Some(answer) => axum::Json(answer).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn over_websocket(State(shared): State<Shared>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    if from_a_browser(&headers) {
        return (StatusCode::FORBIDDEN, "web pages are not answered").into_response();
    }
    let Ok(permit) = Arc::clone(&shared.connections).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many connections").into_response();
    };
    upgrade.max_message_size(MAX_REQUEST).max_frame_size(MAX_REQUEST).on_upgrade(move |socket| async move {
        connection(socket, shared).await;
        drop(permit);
    })
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

async fn connection(socket: WebSocket, shared: Shared) {
    let metrics = Arc::clone(shared.core.metrics());
    metrics.connection(1);
    converse(socket, shared).await;
    metrics.connection(-1);
}

async fn converse(mut socket: WebSocket, shared: Shared) {
    let mut notices = shared.core.notices();
    let mut subscriptions = Some(Subscriptions::new(&shared.core));
    let mut unanswered = FuturesUnordered::new();
    let mut calls_under_way = 0;
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => break,
            Some((calls, answer)) = unanswered.next() => {
                calls_under_way -= calls;
                if let Some(answer) = answer
                    && !send(&mut socket, &answer).await
                {
                    return;
                }
            }
            incoming = socket.recv(), if calls_under_way < MAX_UNANSWERED => {
                let bytes = match incoming {
                    Some(Ok(Message::Text(text))) => Bytes::from(text),
                    Some(Ok(Message::Binary(bytes))) => bytes,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                };
                let (calls, answer) = answer(&shared.core, &bytes, &mut subscriptions);
                let mut answer = Box::pin(answer);
                // Polled now, so that calls reach the core in the order in which they came.
                match std::future::poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await {
                    Poll::Ready(Some(answer)) if !send(&mut socket, &answer).await => return,
                    Poll::Ready(_) => {}
                    Poll::Pending => {
                        calls_under_way += calls;
                        unanswered.push(answer.map(move |answer| (calls, answer)));
                    }
                }
            }
            notice = notices.recv() => {
                let outgoing = match notice {
                    Ok(notice) => matching(subscriptions.as_ref(), &notice),
                    Err(broadcast::error::RecvError::Lagged(missed)) => lagged(subscriptions.as_ref(), missed),
                    Err(broadcast::error::RecvError::Closed) => break,
                };
                for value in outgoing {
                    if !send(&mut socket, &value).await {
                        return;
                    }
                }
            }
        }
    }
    let _ = tokio::time::timeout(WRITE_TIMEOUT, socket.close()).await;
}

async fn send(socket: &mut WebSocket, value: &Value) -> bool {
    let text = Message::Text(value.to_string().into());
    matches!(tokio::time::timeout(WRITE_TIMEOUT, socket.send(text)).await, Ok(Ok(())))
}

fn matching(subscriptions: Option<&Subscriptions>, notice: &Notice) -> Vec<Value> {
    let active = subscriptions.map(|s| s.active.as_slice()).unwrap_or_default();
    let wanted = active.iter().filter(|(_, topic, _)| *topic == notice.topic);
    wanted.map(|(id, topic, _)| notification(*id, topic.name(), notice.body.clone())).collect()
}

/// A slow reader learns that it missed something, and asks anew.
fn lagged(subscriptions: Option<&Subscriptions>, missed: u64) -> Vec<Value> {
    let active = subscriptions.map(|s| s.active.as_slice()).unwrap_or_default();
    active.iter().map(|(id, topic, _)| notification(*id, topic.name(), json!({ "missed": missed }))).collect()
}

/// How many calls a request makes, and the answer to it. Subscriptions change at once, everything else when the future is
/// polled.
fn answer(
    core: &CoreHandle,
    bytes: &[u8],
    subscriptions: &mut Option<Subscriptions>,
) -> (usize, impl Future<Output = Option<Value>> + Send + use<>) {
    match parse(bytes) {
        Incoming::Refused(answer) => (1, Either::Left(ready(Some(answer)))),
        Incoming::One(call) => (1, Either::Right(Either::Left(one(core, call, subscriptions)))),
        Incoming::Many(calls) => {
            let count = calls.len();
            let calls = calls.into_iter().map(|call| match call {
                Ok(call) => Either::Left(one(core, call, subscriptions)),
                Err(answer) => Either::Right(ready(Some(answer))),
            });
            let answers = join_all(calls.collect::<Vec<_>>());
            let all = async move {
                let answers: Vec<Value> = answers.await.into_iter().flatten().collect();
                (!answers.is_empty()).then_some(Value::Array(answers))
            };
            (count, Either::Right(Either::Right(all)))
        }
    }
}

fn one(
    core: &CoreHandle,
    call: Call,
    subscriptions: &mut Option<Subscriptions>,
) -> impl Future<Output = Option<Value>> + Send + use<> {
    let Call { id, method, params } = call;
    core.metrics().request();
    let outcome = match method.as_str() {
        "l2_subscribe" => Either::Left(ready(subscribe(core, subscriptions, &params))),
        "l2_unsubscribe" => Either::Left(ready(unsubscribe(subscriptions, &params))),
        _ => {
            let core = core.clone();
            Either::Right(async move { methods::call(&core, &method, params).await })
        }
    };
    async move {
        let outcome = outcome.await;
        Some(match outcome {
            Ok(result) => success(id?, result),
            Err(error) => failure(id?, &error),
        })
    }
}

fn subscribe(core: &CoreHandle, subscriptions: &mut Option<Subscriptions>, params: &Value) -> Result<Value, RpcError> {
    let Some(subscriptions) = subscriptions else {
        return Err(RpcError::new(code::INVALID_REQUEST, "subscribing needs a WebSocket connection"));
    };
    let topic = Topic::parse(params)?;
    if subscriptions.active.len() >= MAX_SUBSCRIPTIONS {
        return Err(RpcError::new(
            code::BUSY,
            format!("{MAX_SUBSCRIPTIONS} subscriptions are the most a connection has"),
        ));
    }
    subscriptions.next += 1;
    let interest = match topic {
        Topic::Account(account) => Some(core.interests().listen(account)),
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
