//! The listener: one task a connection, requests of a connection one after another.
//!
//! `serve` (accepting) → `connection` (read a line, run, answer) → a task of its own per request. A connection that
//! ends while its request runs leaves the request running to its end; its place in [`MAX_CONNECTIONS`] is free only
//! then, so the number of running requests is bounded by the same number. All end with the token of [`serve`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeroize::Zeroize;

use crate::error::ApiError;
use crate::protocol::{self, MAX_LINE, Request, RpcError, codes};
use crate::session::SessionKey;
use crate::table::{Control, Method};
use crate::unix::{self, Door, Line};

/// Connections at one time. A person has a handful of terminals and watchers; more is a flood, and waits.
pub const MAX_CONNECTIONS: usize = 64;

/// How long requests that run at shutdown may still take before they are dropped.
const GRACE: Duration = Duration::from_secs(2);

/// Its file in the home.
const CONTROL_SOCKET: &str = "control.sock";

/// Where the control socket of a home directory lies.
#[must_use]
pub fn socket_path(home: &Path) -> PathBuf {
    home.join(CONTROL_SOCKET)
}

/// Opens the control socket: directory 0700, file 0600. The caller holds the home's exclusive lock, so that a socket
/// file found there is a dead one's.
///
/// Call it inside a Tokio runtime.
///
/// # Errors
/// [`ApiError`] when others may enter the directory, when the path is too long, or from the file system.
pub fn bind(home: &Path) -> Result<UnixListener, ApiError> {
    unix::bind(home, CONTROL_SOCKET)
}

/// Serves until `stop` is cancelled; running requests then get a moment to end.
pub async fn serve(control: Arc<Control>, listener: UnixListener, stop: CancellationToken) {
    let door = Door::new(listener, "the control socket", MAX_CONNECTIONS);
    let connections = TaskTracker::new();
    let counter = AtomicU64::new(0);
    while let Some((stream, peer, place)) = stop.run_until_cancelled(door.next()).await {
        let peer = SessionKey::of_peer(peer.uid(), peer.pid(), counter.fetch_add(1, Ordering::Relaxed));
        let (control, stop, tasks) = (Arc::clone(&control), stop.clone(), connections.clone());
        connections.spawn(async move {
            if let Err(error) = connection(&control, stream, peer, Arc::new(place), &stop, &tasks).await {
                tracing::debug!(%error, "a control connection ended");
            }
        });
    }
    connections.close();
    let _ = tokio::time::timeout(GRACE, connections.wait()).await;
}

async fn connection(
    control: &Arc<Control>,
    stream: UnixStream,
    peer: SessionKey,
    place: Arc<OwnedSemaphorePermit>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut reader = BufReader::new(read);
    loop {
        let line = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            line = unix::read_line(&mut reader, MAX_LINE) => line?,
        };
        let mut line = match line {
            Line::End => return Ok(()),
            Line::TooLong => {
                let why = format!("a request is at most {MAX_LINE} bytes long");
                let error = RpcError::new(codes::INVALID_REQUEST, why);
                write.write_all(&protocol::answer(&serde_json::Value::Null, Err(error))).await?;
                return Ok(());
            }
            Line::Whole(line) => line,
        };
        let request = protocol::parse(&line);
        // It may hold a passphrase.
        line.zeroize();
        let mut answer = match request {
            Err((id, error)) => protocol::answer(&id, Err(error)),
            Ok(Request { id, method, params }) => {
                let outcome = match Method::by_name(&method) {
                    None => Err(RpcError::new(codes::METHOD_NOT_FOUND, format!("there is no method `{method}`"))),
                    Some(method) => {
                        let run = method.run(Arc::clone(control), peer, params);
                        let place = Arc::clone(&place);
                        let task = tasks.spawn(async move {
                            let outcome = run.await;
                            drop(place);
                            outcome
                        });
                        task.await.unwrap_or_else(|failure| {
                            tracing::error!(method = method.name, %failure, "a method failed");
                            Err(RpcError::new(
                                codes::INTERNAL,
                                format!("`{}` failed in the daemon; see its log", method.name),
                            ))
                        })
                    }
                };
                protocol::answer(&id, outcome)
            }
        };
        let written = write.write_all(&answer).await;
        // It may hold an exported key.
        answer.zeroize();
        written?;
    }
}
