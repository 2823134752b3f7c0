//! Private Unix sockets in the wallet's home, as the control socket and the browsers' socket have them: the directory
//! is 0700, the file 0600, and the peer's user id is looked at before the first byte is read.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroize;

use crate::error::ApiError;

/// Longest path of a Unix socket on Linux: `sun_path` holds 108 bytes, the last one zero.
const PATH_LIMIT: usize = 107;

/// Pause after a failed `accept`, such as "too many open files", so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Opens a socket in the home. The caller holds the home's exclusive lock, so that a socket file found there is a dead
/// one's.
pub(crate) fn bind(home: &Path, name: &str) -> Result<UnixListener, ApiError> {
    let path = home.join(name);
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

/// A listener that lets in processes of this user only, and so many at a time.
pub(crate) struct Door {
    listener: UnixListener,
    what: &'static str,
    places: Arc<Semaphore>,
    own_uid: u32,
}

impl Door {
    /// `what`: its name in the log.
    pub(crate) fn new(listener: UnixListener, what: &'static str, places: usize) -> Self {
        let own_uid = rustix::process::geteuid().as_raw();
        Self { listener, what, places: Arc::new(Semaphore::new(places)), own_uid }
    }

    /// The next connection of this user, with its place.
    pub(crate) async fn next(&self) -> (UnixStream, UCred, OwnedSemaphorePermit) {
        loop {
            // A flood waits in the kernel's queue of connections, not in our memory.
            let accepted = async {
                let place = Arc::clone(&self.places).acquire_owned().await.map_err(io::Error::other)?;
                io::Result::Ok((self.listener.accept().await?.0, place))
            };
            let (stream, place) = match accepted.await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "{} cannot accept", self.what);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Before the first byte: who is it?
            match stream.peer_cred() {
                Ok(peer) if peer.uid() == self.own_uid => return (stream, peer, place),
                Ok(peer) => {
                    tracing::warn!(uid = peer.uid(), "a process of another user was turned away from {}", self.what);
                }
                Err(error) => tracing::warn!(%error, "the peer of {} is unknown", self.what),
            }
        }
    }
}

pub(crate) enum Line {
    Whole(Vec<u8>),
    TooLong,
    End,
}

/// One line without its newline. Reads no further than `limit` bytes of it.
pub(crate) async fn read_line(reader: &mut (impl AsyncBufRead + Unpin), limit: usize) -> io::Result<Line> {
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
        if line.len() + taken > limit {
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
