//! One WebSocket connection: a task that reads and calls, a task that writes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures_util::stream::{FuturesUnordered, SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::{Shared, Subscriptions, answer};
use crate::rpc::{Notice, Reply, notification};

/// Answers and notifications that wait for a peer to read. A peer that lets more pile up is cut off.
const OUTBOX: usize = 1_024;

/// Calls of one connection that are not answered yet; it is not read from while there are so many. A share of the places
/// that all messages have, so that one connection does not take them all.
const MAX_UNANSWERED: usize = 512;

/// A peer that takes longer than this to read one message is cut off.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a peer that is cut off may take to read why.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Why a connection ends.
enum Ending {
    /// The peer is gone, or asked for it.
    Theirs,
    /// The node stops: what was accepted is answered first.
    Stopping,
    /// The peer reads too slowly; what waits for it is dropped.
    TooSlow,
}

/// Serves one connection to its end.
pub(super) async fn serve(socket: WebSocket, peer: SocketAddr, shared: Shared) {
    let metrics = Arc::clone(shared.core.metrics());
    metrics.connection(1);
    let (sink, mut stream) = socket.split();
    let (outbox, queue) = mpsc::channel(OUTBOX);
    let (cut, cut_off) = oneshot::channel();
    let writer = tokio::spawn(write(sink, queue, cut_off));
    let mut subscriptions = Some(Subscriptions::new(&shared.core));
    let ending = converse(&mut stream, &outbox, peer, &shared, &mut subscriptions).await;
    drop(subscriptions);
    let (frame, at_once) = match ending {
        Ending::Theirs => (None, false),
        Ending::Stopping => (Some((close_code::AWAY, "the node is stopping")), false),
        Ending::TooSlow => {
            metrics.cut_off();
            (Some((close_code::POLICY, "you read too slowly: connect and subscribe again")), true)
        }
    };
    let frame = frame.map(|(code, reason)| CloseFrame { code, reason: reason.into() });
    match at_once {
        true => {
            // The writer has ended when the peer is gone.
            let _ = cut.send(frame);
        }
        false => {
            let _ = tokio::time::timeout(WRITE_TIMEOUT, outbox.send(Message::Close(frame))).await;
        }
    }
    drop(outbox);
    // It ends by itself: its writes have time limits.
    let _ = writer.await;
    metrics.connection(-1);
}

async fn converse(
    stream: &mut SplitStream<WebSocket>,
    outbox: &mpsc::Sender<Message>,
    peer: SocketAddr,
    shared: &Shared,
    subscriptions: &mut Option<Subscriptions>,
) -> Ending {
    let mut notices = shared.core.notices();
    let mut unanswered = FuturesUnordered::new();
    let mut calls_under_way = 0;
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => {
                // What was accepted is answered.
                while let Some((_, answer)) = unanswered.next().await {
                    if !queued(outbox, answer).await {
                        return Ending::TooSlow;
                    }
                }
                return Ending::Stopping;
            }
            Some((calls, answer)) = unanswered.next() => {
                calls_under_way -= calls;
                if !queued(outbox, answer).await {
                    return Ending::TooSlow;
                }
            }
            () = outbox.closed() => return Ending::Theirs,
            incoming = stream.next(), if calls_under_way < MAX_UNANSWERED => {
                let bytes = match incoming {
                    Some(Ok(Message::Text(text))) => Bytes::from(text),
                    Some(Ok(Message::Binary(bytes))) => bytes,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Ending::Theirs,
                };
                let (calls, answer) = answer(shared, peer, &bytes, subscriptions);
                let mut answer = Box::pin(answer);
                // Polled now, so that calls reach the core in the order in which they came.
                match std::future::poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await {
                    Poll::Ready(answer) => {
                        if !queued(outbox, answer).await {
                            return Ending::TooSlow;
                        }
                    }
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
                    Err(broadcast::error::RecvError::Closed) => return Ending::Stopping,
                };
                for value in outgoing {
                    match outbox.try_send(text(&value)) {
                        Ok(()) => {}
                        Err(mpsc::error::TrySendError::Full(_)) => return Ending::TooSlow,
                        Err(mpsc::error::TrySendError::Closed(_)) => return Ending::Theirs,
                    }
                }
            }
        }
    }
}

/// Puts an answer, if there is one, into the outbox. A peer that asks and does not read is not read from either; false
/// when that lasts too long.
async fn queued(outbox: &mpsc::Sender<Message>, answer: Option<Reply>) -> bool {
    let Some(answer) = answer else { return true };
    // A writer that has ended ends the connection by itself.
    tokio::time::timeout(WRITE_TIMEOUT, outbox.send(Message::Text(answer.text.into()))).await.is_ok()
}

/// Writes until the outbox ends, the peer does not read, or the connection is cut off.
async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut queue: mpsc::Receiver<Message>,
    mut cut_off: oneshot::Receiver<Option<CloseFrame>>,
) {
    let mut cut_is_open = true;
    loop {
        let message = tokio::select! {
            biased;
            frame = &mut cut_off, if cut_is_open => match frame {
                Ok(frame) => {
                    let _ = tokio::time::timeout(LAST_WORD, sink.send(Message::Close(frame))).await;
                    return;
                }
                // Not cut off: the rest of the outbox is written.
                Err(_) => {
                    cut_is_open = false;
                    continue;
                }
            },
            message = queue.recv() => message,
        };
        let Some(message) = message else { return };
        let mut sending = Box::pin(tokio::time::timeout(WRITE_TIMEOUT, sink.send(message)));
        let cut = tokio::select! {
            written = &mut sending => match written {
                Ok(Ok(())) => continue,
                _ => return,
            },
            cut = &mut cut_off, if cut_is_open => cut,
        };
        // Nothing can be said in the middle of a message: either way it is finished first.
        match cut {
            Ok(frame) => {
                if let Ok(Ok(Ok(()))) = tokio::time::timeout(LAST_WORD, sending).await {
                    let _ = tokio::time::timeout(LAST_WORD, sink.send(Message::Close(frame))).await;
                }
                return;
            }
            Err(_) => {
                cut_is_open = false;
                let Ok(Ok(())) = sending.await else { return };
            }
        }
    }
}

fn text(value: &Value) -> Message {
    Message::Text(value.to_string().into())
}

fn matching(subscriptions: Option<&Subscriptions>, notice: &Notice) -> Vec<Value> {
    let active = subscriptions.map(|s| s.active.as_slice()).unwrap_or_default();
    let wanted = active.iter().filter(|(_, topic, _)| *topic == notice.topic);
    wanted.map(|(id, topic, _)| notification(*id, topic.name(), notice.body.clone())).collect()
}

/// The node itself was too busy for this connection: its peer learns that it missed something, and asks anew.
fn lagged(subscriptions: Option<&Subscriptions>, missed: u64) -> Vec<Value> {
    let active = subscriptions.map(|s| s.active.as_slice()).unwrap_or_default();
    active.iter().map(|(id, topic, _)| notification(*id, topic.name(), json!({ "missed": missed }))).collect()
}
