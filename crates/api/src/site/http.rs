//! The HTTP listener on 127.0.0.1: local apps, and extensions where native messaging cannot be had.
//!
//! Browsers reach the loopback too, so every request passes [`guard`] before any handler: the exact `Host` (DNS
//! rebinding), no sign of a page behind it (`Origin`, `Sec-Fetch-Site`), and an extension's origin for the WebSocket.
//! What a browser fills in keeps *pages* out; programs can claim anything, and are kept out by an app's secret and by the
//! challenge to the paired key.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::ws::{Message, WebSocket};
use axum::extract::{Request, State, WebSocketUpgrade};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value as Json;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::connection::{Frame, converse};
use super::{MAX_HTTP, MAX_MESSAGE, Site, rpc};
use crate::error::ApiError;
use crate::protocol::{RpcError, codes};

/// Id of our extension in Chromium and its kin, fixed by the public key in its manifest.
pub const EXTENSION_ID: &str = "ijcahggkbmdcnigjaboponnchegbnaae";
/// Pause after a failed `accept`, so that the loop does not spin.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Headers of every response, also of refusals. None of them opens anything to another origin.
const HEADERS: &[(&str, &str)] = &[
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-store"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// The running listener. Clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct SiteServer {
    address: SocketAddr,
    tasks: TaskTracker,
}

impl SiteServer {
    /// Serves on `127.0.0.1:port` (0: a free port) until the site's token is cancelled.
    ///
    /// # Errors
    /// [`ApiError::Port`].
    pub async fn start(site: Arc<Site>, port: u16) -> Result<Self, ApiError> {
        let failed = |source| ApiError::Port { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let names = Names(Arc::new([address.to_string(), format!("localhost:{}", address.port())]));
        let listener = Bounded { listener, places: Arc::new(Semaphore::new(MAX_HTTP)) };
        let (router, stop) = (router(Arc::clone(&site), names), site.stop.clone());
        let tasks = TaskTracker::new();
        tasks.spawn(async move {
            // Open connections are dropped, not waited for: their handlers end by the same token.
            let served = stop.run_until_cancelled(async { axum::serve(listener, router).await }).await;
            if let Some(Err(error)) = served {
                tracing::error!(%error, "the listener for apps ended");
            }
        });
        tasks.close();
        Ok(Self { address, tasks })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has ended, after the site's token was cancelled.
    pub async fn ended(&self) {
        self.tasks.wait().await;
    }
}

/// One route.
pub struct Route {
    /// The one method that it answers.
    pub method: &'static str,
    /// Pattern of its path.
    pub path: &'static str,
    /// True where a WebSocket is opened.
    pub upgrade: bool,
    handler: fn() -> MethodRouter<Arc<Site>>,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Route").field("method", &self.method).field("path", &self.path).finish_non_exhaustive()
    }
}

/// Everything that the listener answers.
pub static ROUTES: &[Route] = &[
    Route { method: "POST", path: "/app/{name}/{secret}", upgrade: false, handler: || post(rpc::app) },
    Route { method: "GET", path: EXTENSION, upgrade: true, handler: || get(extension) },
];

/// Path of the WebSocket.
const EXTENSION: &str = "/extension";

/// The names under which the listener may be reached.
#[derive(Clone, Debug)]
struct Names(Arc<[String; 2]>);

fn router(site: Arc<Site>, names: Names) -> Router {
    let routes = ROUTES.iter().fold(Router::new(), |router, route| router.route(route.path, (route.handler)()));
    routes
        .fallback(async || refuse(StatusCode::NOT_FOUND, "there is nothing here; see `entresol app list`"))
        .with_state(site)
        .layer(middleware::from_fn_with_state(names, guard))
}

/// The outermost layer: refuses, or lets through; then sets the headers.
async fn guard(State(names): State<Names>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&names, &request) {
        Some((status, why)) => refuse(status, why),
        None => next.run(request).await,
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        response = refuse(StatusCode::METHOD_NOT_ALLOWED, "this address is for `POST` with a JSON-RPC request");
    }
    for (name, value) in HEADERS {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// Why a request is refused.
fn refusal(names: &Names, request: &Request) -> Option<(StatusCode, &'static str)> {
    let headers = request.headers();
    // DNS rebinding: a name of the attacker that resolves to 127.0.0.1 arrives with the attacker's Host. Compared whole,
    // with the port; never a prefix, never with what the request says elsewhere.
    let host = only(headers, &header::HOST);
    if !host.is_some_and(|host| names.0.iter().any(|name| name == host))
        || request.uri().authority().is_some_and(|named| Some(named.as_str()) != host)
    {
        return Some((StatusCode::MISDIRECTED_REQUEST, "this wallet answers only at the address that it printed"));
    }
    if request.uri().query().is_some() {
        return Some((StatusCode::NOT_FOUND, "no address of this wallet has a query"));
    }
    if request.uri().path() == EXTENSION {
        if request.method() != Method::GET {
            return Some((StatusCode::METHOD_NOT_ALLOWED, "this address is for the browser extension"));
        }
        // Only browsers keep to it, and that is what it is for: the challenge is for everybody else.
        if !only(headers, &header::ORIGIN).is_some_and(is_extension) {
            return Some((StatusCode::FORBIDDEN, "only the wallet's browser extension may connect here"));
        }
        return None;
    }
    // Whatever a page has sent says where it comes from; programs have no reason to. Node's own `fetch` says its mode,
    // and no more.
    let of_a_page = |name: &str| name.starts_with("sec-fetch-") && name != "sec-fetch-mode";
    let from_a_page = headers.keys().any(|name| *name == header::ORIGIN || of_a_page(name.as_str()));
    if from_a_page {
        return Some((
            StatusCode::FORBIDDEN,
            "web pages use the browser extension; this address is for local programs",
        ));
    }
    if headers.contains_key(header::UPGRADE) {
        return Some((StatusCode::FORBIDDEN, "there is no WebSocket at this address"));
    }
    if request.method() != Method::POST {
        return Some((StatusCode::METHOD_NOT_ALLOWED, "this address is for `POST` with a JSON-RPC request"));
    }
    if !is_json(headers) {
        return Some((StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content type is `application/json`"));
    }
    None
}

/// Our extension in Chromium and its kin; any extension in Firefox, which gives each installation an id of its own.
fn is_extension(origin: &str) -> bool {
    let uuid = |text: &str| {
        let groups: Vec<&str> = text.split('-').collect();
        let lower_hex = |group: &str| group.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) && groups.iter().all(|group| lower_hex(group))
    };
    origin.strip_prefix("chrome-extension://").is_some_and(|id| id == EXTENSION_ID)
        || origin.strip_prefix("moz-extension://").is_some_and(uuid)
}

/// `application/json`, with the one character set that JSON has or without.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = only(headers, &header::CONTENT_TYPE) else { return false };
    let mut parts = value.split(';').map(str::trim);
    parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"))
        && parts.next().is_none_or(|charset| charset.eq_ignore_ascii_case("charset=utf-8"))
        && parts.next().is_none()
}

/// The value of a header that stands exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// A refusal in the form that JSON-RPC clients show to people.
pub(super) fn refuse(status: StatusCode, why: &str) -> Response {
    let code = match status {
        StatusCode::TOO_MANY_REQUESTS => codes::LIMIT,
        StatusCode::FORBIDDEN | StatusCode::MISDIRECTED_REQUEST => codes::UNAUTHORISED,
        _ => codes::INVALID_REQUEST,
    };
    let mut refused = answer(status, &rpc::response(&Json::Null, Err(RpcError::new(code, why))));
    // Nor does it keep a place: pages' requests end here, and browsers would hold their connections for minutes.
    refused.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    refused
}

/// A JSON body.
pub(super) fn answer(status: StatusCode, body: &Json) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

async fn extension(State(site): State<Arc<Site>>, upgrade: WebSocketUpgrade) -> Response {
    let Ok(place) = Arc::clone(&site.browsers).try_acquire_owned() else {
        return refuse(StatusCode::TOO_MANY_REQUESTS, "too many browsers are connected; close one");
    };
    upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE).on_upgrade(move |socket| async move {
        browse(&site, socket).await;
        drop(place);
    })
}

async fn browse(site: &Arc<Site>, socket: WebSocket) {
    let (write, read) = socket.split();
    let incoming = read.take_while(|message| std::future::ready(!matches!(message, Ok(Message::Close(_))))).filter_map(
        async |message| match message {
            Ok(Message::Text(text)) => Some(Ok(Frame::Text(text.as_str().to_owned()))),
            Ok(Message::Ping(_) | Message::Pong(_)) => None,
            Ok(_) => Some(Ok(Frame::Odd)),
            Err(error) => Some(Err(io::Error::other(error))),
        },
    );
    let outgoing = write.sink_map_err(io::Error::other).with(async |text: String| io::Result::Ok(Message::from(text)));
    converse(site, incoming, outgoing).await;
}

/// A listener with so many connections at a time; more wait in the kernel's queue.
struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl axum::serve::Listener for Bounded {
    type Io = Placed;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Placed, SocketAddr) {
        loop {
            let accepted = async {
                let place = Arc::clone(&self.places).acquire_owned().await.map_err(io::Error::other)?;
                let (stream, address) = self.listener.accept().await?;
                // Answers are small, and whoever waits for one waits for the user or for the chain.
                stream.set_nodelay(true)?;
                io::Result::Ok((Placed { stream, _place: place }, address))
            };
            match accepted.await {
                Ok(accepted) => return accepted,
                Err(error) => {
                    tracing::warn!(%error, "the listener for apps cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection with its place.
struct Placed {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Placed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
