//! JSON-RPC over WebSocket.
//!
//! Ownership: [`Ws`] is the handle, a task owns the socket and ends with the handle. The task connects when something is
//! asked, and after a loss waits longer each time before it tries again; meanwhile requests fail at once, so that another
//! endpoint is asked. Each connection has a number, its *epoch*: who proved the chain id on one connection has proved
//! nothing on the next, so a request names the epoch it may be sent on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use url::Url;

use super::{ANSWER_LIMIT, CONNECT_TIMEOUT, ErrorObject, bad, chain, shown};
use crate::error::Layer1Error;

/// Longest time for one request, as over HTTP. Later the connection is taken for dead.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How often time-outs are looked for and silent connections pinged.
const TICK: Duration = Duration::from_secs(5);
/// A connection on which nothing came for so long is dead: pings are answered at once.
const SILENCE: Duration = Duration::from_secs(30);
/// First and longest pause before a lost connection is tried again.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// Requests that wait for the task. More wait outside.
const QUEUE: usize = 64;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why a request over WebSocket brought nothing.
pub(super) enum WsError {
    /// The connection it was meant for is gone, and it was not sent: prove the chain id on the new one.
    OtherEpoch,
    /// Anything else.
    Other(Layer1Error),
}

struct Command {
    id: u64,
    method: String,
    params: Value,
    epoch: Option<u64>,
    reply: oneshot::Sender<Result<(Value, u64), WsError>>,
}

/// One endpoint over WebSocket.
pub(super) struct Ws {
    shown: String,
    commands: mpsc::Sender<Command>,
}

impl Ws {
    /// Starts the task; `wake` is told of every new head that the endpoint announces.
    pub(super) fn new(url: &Url, wake: Arc<Notify>) -> Self {
        let shown = shown(url);
        let (commands, inbox) = mpsc::channel(QUEUE);
        let task = Task { url: url.clone(), shown: shown.clone(), inbox, wake, epoch: 0 };
        tokio::spawn(task.run());
        Self { shown, commands }
    }

    /// Gives the result and the epoch of the connection it came over.
    pub(super) async fn request(
        &self,
        id: u64,
        method: &str,
        params: &Value,
        epoch: Option<u64>,
    ) -> Result<(Value, u64), WsError> {
        let (reply, answer) = oneshot::channel();
        let command = Command { id, method: method.to_owned(), params: params.clone(), epoch, reply };
        let gone = || WsError::Other(unreachable(&self.shown, "the connection was closed".to_owned()));
        self.commands.send(command).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn unreachable(shown: &str, reason: String) -> Layer1Error {
    Layer1Error::Unreachable { endpoint: shown.to_owned(), reason }
}

struct Task {
    url: Url,
    shown: String,
    inbox: mpsc::Receiver<Command>,
    wake: Arc<Notify>,
    epoch: u64,
}

/// A request under way.
struct Pending {
    method: String,
    since: Instant,
    reply: oneshot::Sender<Result<(Value, u64), WsError>>,
}

/// What comes in: an answer, or a notification of a subscription.
#[derive(Deserialize)]
struct Incoming {
    id: Option<u64>,
    #[serde(default)]
    result: Value,
    error: Option<ErrorObject>,
    method: Option<String>,
}

impl Task {
    /// Not connected: waits for something to ask, then connects unless that failed a moment ago.
    async fn run(mut self) {
        let mut pause = BACK_OFF.0;
        let mut closed: Option<(Instant, String)> = None;
        while let Some(command) = self.inbox.recv().await {
            if let Some((until, reason)) = &closed
                && Instant::now() < *until
            {
                let _ = command.reply.send(Err(WsError::Other(unreachable(&self.shown, reason.clone()))));
                continue;
            }
            let reason = match self.connect().await {
                Ok(socket) => {
                    self.epoch += 1;
                    let since = Instant::now();
                    let Some(reason) = self.serve(socket, command).await else { return };
                    if since.elapsed() > BACK_OFF.1 {
                        pause = BACK_OFF.0;
                    }
                    reason
                }
                Err(reason) => {
                    let _ = command.reply.send(Err(WsError::Other(unreachable(&self.shown, reason.clone()))));
                    reason
                }
            };
            tracing::debug!(endpoint = %self.shown, %reason, "a WebSocket connection was lost");
            closed = Some((Instant::now() + pause, reason));
            pause = (pause * 2).min(BACK_OFF.1);
        }
    }

    async fn connect(&self) -> Result<Socket, String> {
        let config = WebSocketConfig::default().max_message_size(Some(ANSWER_LIMIT)).max_frame_size(Some(ANSWER_LIMIT));
        let connecting = tokio_tungstenite::connect_async_with_config(self.url.as_str(), Some(config), true);
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok((socket, _))) => Ok(socket),
            Ok(Err(error)) => Err(words(&error)),
            Err(_) => Err(format!("no connection within {} seconds", CONNECT_TIMEOUT.as_secs())),
        }
    }

    /// Connected: sends requests and hands out answers until the connection is lost, and says why; `None` when the
    /// handle is gone.
    async fn serve(&mut self, socket: Socket, first: Command) -> Option<String> {
        let (mut sink, mut stream) = socket.split();
        let mut pending: BTreeMap<u64, Pending> = BTreeMap::new();
        let mut heard = Instant::now();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut next = Some(first);
        let reason = loop {
            if let Some(command) = next.take() {
                if command.epoch.is_some_and(|epoch| epoch != self.epoch) {
                    let _ = command.reply.send(Err(WsError::OtherEpoch));
                    continue;
                }
                let Command { id, method, params, reply, .. } = command;
                let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
                pending.insert(id, Pending { method, since: Instant::now(), reply });
                if let Err(error) = sink.send(Message::text(body.to_string())).await {
                    break words(&error);
                }
            }
            tokio::select! {
                command = self.inbox.recv() => match command {
                    Some(command) => next = Some(command),
                    None => return None,
                },
                message = stream.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        heard = Instant::now();
                        self.take(text.as_str(), &mut pending);
                    }
                    Some(Ok(Message::Close(_))) | None => break "the endpoint closed the connection".to_owned(),
                    Some(Ok(_)) => heard = Instant::now(),
                    Some(Err(error)) => break words(&error),
                },
                _ = tick.tick() => {
                    if pending.values().any(|one| one.since.elapsed() > REQUEST_TIMEOUT) || heard.elapsed() > SILENCE {
                        break "no answer in time".to_owned();
                    }
                    if let Err(error) = sink.send(Message::Ping(Vec::new().into())).await {
                        break words(&error);
                    }
                }
            }
        };
        for (_, one) in pending {
            let _ = one.reply.send(Err(WsError::Other(unreachable(&self.shown, reason.clone()))));
        }
        Some(reason)
    }

    fn take(&self, text: &str, pending: &mut BTreeMap<u64, Pending>) {
        let Ok(incoming) = serde_json::from_str::<Incoming>(text) else {
            tracing::debug!(endpoint = %self.shown, "a WebSocket message that is no JSON-RPC");
            return;
        };
        if incoming.method.as_deref() == Some("eth_subscription") {
            // Only that something is new: what it is will be asked for and checked.
            self.wake.notify_one();
            return;
        }
        let Some(one) = incoming.id.and_then(|id| pending.remove(&id)) else { return };
        let result = match incoming.error {
            Some(error) => Err(WsError::Other(error.into_error(&one.method))),
            None => Ok((incoming.result, self.epoch)),
        };
        let _ = one.reply.send(result);
    }
}

/// What went wrong, never with the URL, which can hold an API key.
fn words(error: &tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Http(response) => format!("HTTP status {} instead of a WebSocket", response.status()),
        tungstenite::Error::Url(_) => "the URL cannot be used for a WebSocket".to_owned(),
        tungstenite::Error::Capacity(_) => {
            bad("a request", &format!("it is longer than {ANSWER_LIMIT} bytes")).to_string()
        }
        other => chain(other),
    }
}
