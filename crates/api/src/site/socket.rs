//! Transport: `site.sock` in the wallet's home, as private as the control socket. One message a line. The other end is
//! `entresol bridge`, which a browser starts; who started it proves nothing, so the handshake is the same.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{sink, stream};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::task::TaskTracker;

use super::connection::{Frame, converse};
use super::{MAX_BROWSERS, MAX_MESSAGE, Site};
use crate::error::ApiError;
use crate::unix::{self, Door, Line};

/// Its file in the home.
const SITE_SOCKET: &str = "site.sock";

/// Where the browsers' socket of a home directory lies.
#[must_use]
pub fn site_socket_path(home: &Path) -> PathBuf {
    home.join(SITE_SOCKET)
}

/// Opens the browsers' socket. The caller holds the home's exclusive lock.
///
/// Call it inside a Tokio runtime.
///
/// # Errors
/// As [`bind`](crate::bind).
pub fn bind_site(home: &Path) -> Result<UnixListener, ApiError> {
    unix::bind(home, SITE_SOCKET)
}

/// Serves until the site's token is cancelled.
pub async fn serve_site(site: Arc<Site>, listener: UnixListener) {
    let door = Door::new(listener, "the browsers' socket", MAX_BROWSERS);
    let connections = TaskTracker::new();
    while let Some((stream, _, place)) = site.stop.run_until_cancelled(door.next()).await {
        let site = Arc::clone(&site);
        connections.spawn(async move {
            connection(&site, stream).await;
            drop(place);
        });
    }
    connections.close();
    connections.wait().await;
}

async fn connection(site: &Arc<Site>, stream: UnixStream) {
    let (read, write) = stream.into_split();
    let incoming = stream::unfold(Some(BufReader::new(read)), |reader| async move {
        let mut reader = reader?;
        match unix::read_line(&mut reader, MAX_MESSAGE).await {
            Ok(Line::Whole(line)) => {
                let frame = String::from_utf8(line).map_or(Frame::Odd, Frame::Text);
                Some((Ok(frame), Some(reader)))
            }
            Ok(Line::TooLong) => Some((Ok(Frame::Odd), None)),
            Ok(Line::End) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    let outgoing = sink::unfold(write, |mut write, text: String| async move {
        let mut line = text.into_bytes();
        line.push(b'\n');
        write.write_all(&line).await?;
        io::Result::Ok(write)
    });
    converse(site, incoming, outgoing).await;
}
