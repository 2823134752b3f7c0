//! WebSocket connections of plugins. They belong to the host: a plugin names a granted URL and gets messages; it never
//! has a socket. The address is resolved, checked and then connected to, so that a name cannot point elsewhere between
//! the check and the connection (SSRF).

use crate::error::{HostError, code};
use crate::solutions::Running;
use crate::{Host, locked, wire};
use entresol_package::manifest::LimitName;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_util::sync::CancellationToken;
use url::Url;

/// Largest message in either direction: what the sandbox takes in one message, less the envelope.
const MAX_MESSAGE: usize = 512 * 1024;
/// Messages that may wait to be sent on one connection.
const OUTBOX: usize = 64;
/// Longest wait for a connection to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

struct Connection {
    solution: i64,
    outbox: mpsc::Sender<Message>,
    cancel: CancellationToken,
}

/// All connections of all plugins.
#[derive(Default)]
pub(crate) struct Connections {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Connection>>,
}

impl Connections {
    /// Opens a connection for a plugin. The caller has checked that the URL is granted; `own_hand` says that the user
    /// named it, so that it may be private.
    pub(crate) async fn connect(
        &self,
        host: &Host,
        running: &Arc<Running>,
        url: &str,
        own_hand: bool,
    ) -> Result<u64, HostError> {
        let most = running.budgets.most(LimitName::Connections);
        let room = |open: &HashMap<u64, Connection>| {
            if open.values().filter(|connection| connection.solution == running.id).count() < most {
                return Ok(());
            }
            Err(HostError::new(code::LIMIT, format!("{most} connections are open already; close one")))
        };
        room(&locked(&self.open))?;
        let parsed = Url::parse(url).map_err(|e| HostError::invalid(format!("{url:?}: {e}")))?;
        if !matches!(parsed.scheme(), "ws" | "wss") {
            return Err(HostError::invalid(format!("{url:?}: connect takes ws or wss")));
        }
        let opening = async {
            let stream = TcpStream::connect(resolve(&parsed, own_hand).await?.as_slice()).await.map_err(down(url))?;
            let _ = stream.set_nodelay(true);
            let _ = rustls::crypto::ring::default_provider().install_default();
            let config =
                WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
            let (socket, _) = tokio_tungstenite::client_async_tls_with_config(url, stream, Some(config), None)
                .await
                .map_err(down(url))?;
            Ok::<_, HostError>(socket)
        };
        let socket = tokio::time::timeout(CONNECT_TIMEOUT, opening)
            .await
            .map_err(|_| HostError::new(code::DISCONNECTED, format!("{url} does not answer; try again later")))??;
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let (outbox, mut queue) = mpsc::channel::<Message>(OUTBOX);
        let cancel = running.cancel.child_token();
        let mut open = locked(&self.open);
        // Others may have been opened meanwhile.
        room(&open)?;
        open.insert(id, Connection { solution: running.id, outbox, cancel: cancel.clone() });
        drop(open);
        let (mut sink, mut source) = socket.split();
        let (host, running, url) = (host.clone(), Arc::clone(running), url.to_owned());
        host.clone().spawn(async move {
            let reason = loop {
                tokio::select! {
                    () = cancel.cancelled() => break "closed by the plugin".to_owned(),
                    message = queue.recv() => match message {
                        Some(message) => if let Err(error) = sink.send(message).await { break error.to_string() },
                        None => break "closed by the plugin".to_owned(),
                    },
                    message = source.next() => {
                        let bytes = message.as_ref().map_or(0, |message| message.as_ref().map_or(0, Message::len));
                        // What has come is let in; what comes next waits until the budget has room again.
                        let pause = running.budgets.network_bytes.charge(bytes as u64);
                        let mut told = json!({ "connection": id, "url": url });
                        match message {
                            Some(Ok(Message::Text(text))) => told["text"] = json!(text.as_str()),
                            Some(Ok(Message::Binary(bytes))) => told["bytes"] = wire::bytes(&bytes),
                            Some(Ok(Message::Close(_))) | None => break "closed by the other side".to_owned(),
                            Some(Ok(_)) => continue,
                            Some(Err(error)) => break error.to_string(),
                        }
                        // One message at a time: a slow plugin slows its node, not the daemon.
                        let hook = running.plugin.hook("onNetworkMessage", told);
                        tokio::select! { () = cancel.cancelled() => break "closed by the plugin".to_owned(), result = hook => {
                            if let Err(error) = result {
                                tracing::debug!(solution = %running.name, %error, "onNetworkMessage failed");
                            }
                        } }
                        if !pause.is_zero() {
                            tokio::select! { () = cancel.cancelled() => break "closed by the plugin".to_owned(), () = tokio::time::sleep(pause) => {} }
                        }
                    }
                }
            };
            let _ = sink.close().await;
            let was_open = locked(&host.connections().open).remove(&id).is_some();
            if was_open && !running.cancel.is_cancelled() {
                let told = json!({ "connection": id, "url": url, "closed": true, "reason": reason });
                let _ = running.plugin.hook("onNetworkMessage", told).await;
            }
        });
        Ok(id)
    }

    /// Sends text or bytes; waits while the connection is slow.
    pub(crate) async fn send(&self, running: &Running, id: u64, data: &Json) -> Result<(), HostError> {
        let message = match (data.as_str(), wire::untag(data)) {
            (Some(text), _) => Message::Text(Utf8Bytes::from(text)),
            (None, Json::String(hex_text)) => {
                let bytes = hex::decode(hex_text.trim_start_matches("0x"));
                Message::Binary(bytes.map_err(|_| HostError::invalid("send takes a string or bytes"))?.into())
            }
            _ => return Err(HostError::invalid("send takes a string or bytes")),
        };
        if message.len() > MAX_MESSAGE {
            return Err(HostError::new(code::LIMIT, format!("a message has at most {MAX_MESSAGE} bytes")));
        }
        running.budgets.network_bytes.take(message.len() as u64)?;
        let outbox = locked(&self.open)
            .get(&id)
            .filter(|connection| connection.solution == running.id)
            .map(|connection| connection.outbox.clone());
        let closed = || HostError::new(code::DISCONNECTED, "the connection is closed; connect again");
        outbox.ok_or_else(closed)?.send(message).await.map_err(|_| closed())
    }

    /// Closes one connection of a plugin, without telling it.
    pub(crate) fn close(&self, solution: i64, id: u64) {
        let mut open = locked(&self.open);
        if open.get(&id).is_some_and(|connection| connection.solution == solution)
            && let Some(connection) = open.remove(&id)
        {
            connection.cancel.cancel();
        }
    }

    /// Open connections of a plugin.
    pub(crate) fn count(&self, solution: i64) -> usize {
        locked(&self.open).values().filter(|connection| connection.solution == solution).count()
    }

    /// Closes all connections of a plugin, without telling it.
    pub(crate) fn close_all(&self, solution: i64) {
        locked(&self.open).retain(|_, connection| {
            if connection.solution == solution {
                connection.cancel.cancel();
            }
            connection.solution != solution
        });
    }
}

pub(super) fn down<E: std::fmt::Display>(url: &str) -> impl FnOnce(E) -> HostError {
    let url = url.to_owned();
    move |error| HostError::new(code::DISCONNECTED, format!("{url} does not answer: {error}"))
}

/// The addresses of a URL's host that may be connected to.
pub(crate) async fn resolve(url: &Url, own_hand: bool) -> Result<Vec<SocketAddr>, HostError> {
    let host = url.host_str().ok_or_else(|| HostError::invalid(format!("{url}: no host")))?;
    let port = url.port_or_known_default().unwrap_or(443);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let all: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await.map_err(down(url.as_str()))?.collect();
    let allowed: Vec<SocketAddr> = all.iter().copied().filter(|address| own_hand || is_public(address.ip())).collect();
    if allowed.is_empty() && !all.is_empty() {
        return Err(HostError::unauthorized(format!(
            "{url} leads to a private address; only a URL that you gave yourself when adding the solution may do so"
        )));
    }
    Ok(allowed)
}

/// A client for one request to this URL: it connects to the addresses that were checked and to no others (SSRF), through
/// no proxy, and follows no redirect.
pub(crate) async fn client_for(url: &Url, own_hand: bool, timeout: Duration) -> Result<reqwest::Client, HostError> {
    let host = url.host_str().ok_or_else(|| HostError::invalid(format!("{url}: no host")))?;
    let addresses = resolve(url, own_hand).await?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .resolve_to_addrs(host, &addresses)
        .timeout(timeout)
        .build()
        .map_err(|e| HostError::internal(format!("the HTTP client: {e}")))
}

/// Addresses of the public internet: everything else could be this machine or its neighbours.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_broadcast()
                || v4.is_documentation()
                || v4.is_multicast()
                || a == 0
                || (a == 100 && (64..128).contains(&b))
                || (a == 198 && (18..20).contains(&b))
                || a >= 240)
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_public(IpAddr::V4(v4)),
            None => {
                (v6.segments()[0] & 0xe000) == 0x2000
                    && !(v6.segments()[0] == 0x2002
                        || v6.segments()[..2] == [0x2001, 0]
                        || v6.segments()[..2] == [0x2001, 0xdb8])
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_17_only_public_addresses_are_public() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "::1",
            "fe80::1",
            "fc00::1",
            "::ffff:127.0.0.1",
            "2002:7f00:1::",
        ] {
            assert!(!is_public(private.parse().expect("an address")), "{private}");
        }
        for public in ["1.1.1.1", "8.8.8.8", "2606:4700::1111"] {
            assert!(is_public(public.parse().expect("an address")), "{public}");
        }
    }
}
