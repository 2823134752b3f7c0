//! The listener: one task a connection, requests of a connection one after another.
//!
//! `serve` (accepting) → `connection` (read a line, run, answer) → a task of its own per request. A connection that
//! ends while its request runs leaves the request running to its end; its place in [`MAX_CONNECTIONS`] is free only
//! then, so the number of running requests is bounded by the same number. All end with the token of [`serve`].

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeroize::Zeroize;

use crate::error::ApiError;
use crate::protocol::{self, MAX_LINE, Request, RpcError, codes};
use crate::session::SessionKey;
use crate::table::{Control, Method};

/// Connections at one time. A person has a handful of terminals and watchers; more is a flood, and waits.
pub const MAX_CONNECTIONS: usize = 64;

/// How long requests that run at shutdown may still take before they are dropped.
const GRACE: Duration = Duration::from_secs(2);

/// Pause after a failed `accept`, such as "too many open files", so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Longest path of a Unix socket on Linux: `sun_path` holds 108 bytes, the last one zero.
const PATH_LIMIT: usize = 107;

/// Where the control socket of a home directory lies.
#[must_use]
pub fn socket_path(home: &Path) -> PathBuf {
    home.join("control.sock")
}

/// Opens the control socket: directory 0700, file 0600. The caller holds the home's exclusive lock, so that a socket
/// file found there is a dead one's.
///
/// Call it inside a Tokio runtime.
///
/// # Errors
/// [`ApiError`] when others may enter the directory, when the path is too long, or from the file system.
pub fn bind(home: &Path) -> Result<UnixListener, ApiError> {
    let path = socket_path(home);
    let length = path.as_os_str().len();
    if length > PATH_LIMIT {
        return Err(ApiError::LongPath { path, limit: PATH_LIMIT });
    }
    let failed = |source| ApiError::Socket { path: path.clone(), source };
    let mode = std::fs::metadata(home).map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(ApiError::OpenHome { path: home.to_owned(), mode });
    }
    remove_dead(&path).map_err(failed)?;
    let listener = UnixListener::bind(&path).map_err(failed)?;
    // Until here the directory's mode alone keeps others out, which is enough.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

#[allow(clippy::disallowed_methods, reason = "the socket is no durable state: it is made anew at every start")]
fn remove_dead(socket: &Path) -> io::Result<()> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Serves until `stop` is cancelled; running requests then get a moment to end.
pub async fn serve(control: Arc<Control>, listener: UnixListener, stop: CancellationToken) {
    let own_uid = rustix::process::geteuid().as_raw();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = TaskTracker::new();
    let counter = AtomicU64::new(0);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let (stream, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the control socket cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Before the first byte: who is it?
        let peer = match stream.peer_cred() {
            Ok(peer) if peer.uid() == own_uid => {
                SessionKey::of_peer(peer.uid(), peer.pid(), counter.fetch_add(1, Ordering::Relaxed))
            }
            Ok(peer) => {
                tracing::warn!(uid = peer.uid(), "a process of another user was turned away from the control socket");
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket's peer is unknown");
                continue;
            }
        };
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

async fn accept(listener: &UnixListener, places: &Arc<Semaphore>) -> io::Result<(UnixStream, OwnedSemaphorePermit)> {
    // A flood waits in the kernel's queue of connections, not in our memory.
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    Ok((listener.accept().await?.0, place))
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
            line = read_line(&mut reader) => line?,
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

enum Line {
    Whole(Vec<u8>),
    TooLong,
    End,
}

/// One line without its newline. Reads no further than [`MAX_LINE`] bytes of it.
async fn read_line(reader: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Line> {
    let mut line = Vec::new();
    loop {
        let available = reader.fill_buf().await?;
        if available.is_empty() {
            // A line cut short by the end of the stream was not a request.
            line.zeroize();
            return Ok(Line::End);
        }
        let newline = available.iter().position(|byte| *byte == b'\n');
        let taken = newline.unwrap_or(available.len());
        if line.len() + taken > MAX_LINE {
            return Ok(Line::TooLong);
        }
        line.extend_from_slice(available.get(..taken).unwrap_or_default());
        reader.consume(newline.map_or(taken, |at| at + 1));
        if newline.is_some() {
            return Ok(Line::Whole(line));
        }
    }
}

#[cfg(test)]
mod tests;
