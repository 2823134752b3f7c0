//! The relay between a browser and the daemon: native messages on standard input and output, lines on `site.sock`. It
//! understands nothing but what it must: it holds no key and is believed nothing.
//!
//! Ends when the browser closes standard input. While the daemon is not there it says `down` and tries again; at every
//! new connection the daemon's challenge begins everything anew.

use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

use entresol_api::site::{MAX_MESSAGE, site_socket_path};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

/// Pause before the next try to reach the daemon.
const RETRY: Duration = Duration::from_millis(250);
/// Longest pause after connections that the daemon has ended at once.
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// A connection that lived so long was a good one.
const GOOD: Duration = Duration::from_secs(2);
/// Longest line of the daemon, in bytes: an answer to a read of layer 1 is the largest.
const MAX_LINE: u64 = 64 * 1024 * 1024;
/// Native messages to the browser have at most 1 MiB, or the port is closed. As text within JSON each character may
/// take two bytes, and what stands around it some more.
const PART: usize = 400 * 1024;
/// Longest native message to the browser that is sent whole.
const WHOLE: usize = 1000 * 1024;
/// Messages of the browser that wait for the daemon.
const WAITING: usize = 16;

/// Relays until the browser closes its end.
pub(super) async fn relay(home: &Path) -> anyhow::Result<()> {
    let (to, mut messages) = mpsc::channel(WAITING);
    let input = input();
    tokio::spawn(async move {
        let mut input = BufReader::new(input);
        // An error is an end, too: the browser is gone.
        while let Ok(Some(message)) = read_native(&mut input).await {
            if to.send(message).await.is_err() {
                return;
            }
        }
    });
    Relay { output: Native { output: output(), parts: 0 }, stale: false }.run(home, &mut messages).await
}

/// Standard input. A browser gives a pipe, which the runtime waits for by itself; the general one hands each piece from
/// thread to thread, which on a busy machine takes longer than all that the wallet does.
fn input() -> Box<dyn AsyncRead + Send + Unpin> {
    match io::stdin().as_fd().try_clone_to_owned().and_then(pipe::Receiver::from_owned_fd) {
        Ok(pipe) => Box::new(pipe),
        Err(_) => Box::new(tokio::io::stdin()),
    }
}

/// Standard output, in the same way.
fn output() -> Box<dyn AsyncWrite + Send + Unpin> {
    match io::stdout().as_fd().try_clone_to_owned().and_then(pipe::Sender::from_owned_fd) {
        Ok(pipe) => Box::new(pipe),
        Err(_) => Box::new(tokio::io::stdout()),
    }
}

/// What the browser has sent.
#[derive(Debug, PartialEq, Eq)]
enum FromBrowser {
    Message(Vec<u8>),
    /// So long that it was not read.
    TooLong,
}

/// One native message: its length in four bytes, little-endian, then JSON.
async fn read_native(input: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<FromBrowser>> {
    let length = match input.read_u32_le().await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        length => length?,
    };
    let length = usize::try_from(length).map_err(io::Error::other)?;
    if length > MAX_MESSAGE {
        return Ok(Some(FromBrowser::TooLong));
    }
    let mut message = vec![0; length];
    input.read_exact(&mut message).await?;
    Ok(Some(FromBrowser::Message(message)))
}

/// The browser's end of the pipe.
struct Native<O> {
    output: O,
    /// Messages that were split.
    parts: u64,
}

impl<O: AsyncWrite + Unpin> Native<O> {
    /// Writes a message, in parts when it is too long for one.
    async fn write(&mut self, message: &str) -> io::Result<()> {
        if message.len() <= WHOLE {
            return self.write_one(message).await;
        }
        self.parts += 1;
        let pieces = pieces(message);
        for (index, text) in pieces.iter().enumerate() {
            let part = json!({
                "type": "part", "message": self.parts, "index": index, "count": pieces.len(), "text": text });
            self.write_one(&part.to_string()).await?;
        }
        Ok(())
    }

    async fn write_one(&mut self, message: &str) -> io::Result<()> {
        let length = u32::try_from(message.len()).map_err(io::Error::other)?;
        // As one piece: the browser is woken once.
        self.output.write_all(&[&length.to_le_bytes(), message.as_bytes()].concat()).await?;
        self.output.flush().await
    }
}

/// A text in pieces of at most [`PART`] bytes, none of which cuts a character.
fn pieces(mut text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    while !text.is_empty() {
        let (piece, rest) = text.split_at(text.floor_char_boundary(PART));
        pieces.push(piece);
        text = rest;
    }
    pieces
}

/// Why a connection to the daemon is over.
enum End {
    Browser,
    Daemon,
    /// The browser wrote more than a message may be.
    TooLong,
}

struct Relay<O> {
    output: Native<O>,
    /// A connection was lost: what the browser has written before it knew belongs to the lost one. A new connection
    /// begins with its `hello`.
    stale: bool,
}

impl<O: AsyncWrite + Unpin> Relay<O> {
    async fn run(mut self, home: &Path, messages: &mut mpsc::Receiver<FromBrowser>) -> anyhow::Result<()> {
        let socket = site_socket_path(home);
        let (mut told, mut pause) = (false, RETRY);
        loop {
            let why = match UnixStream::connect(&socket).await {
                Ok(stream) => {
                    told = false;
                    let began = Instant::now();
                    match self.connected(stream, messages).await? {
                        End::Browser => return Ok(()),
                        End::TooLong => return self.too_long().await,
                        End::Daemon => {}
                    }
                    // A daemon that refuses at once is not asked at once again.
                    pause = if began.elapsed() < GOOD { (pause * 2).min(LONGEST_RETRY) } else { RETRY };
                    "the connection to the wallet broke"
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    "the wallet belongs to another user; run `entresol bridge install` as yourself"
                }
                Err(_) => "the wallet is not running; start it with `entresol daemon`",
            };
            self.stale = true;
            if !told {
                told = true;
                self.output.write(&json!({ "type": "down", "why": why }).to_string()).await?;
            }
            let again = tokio::time::sleep(pause);
            tokio::pin!(again);
            loop {
                tokio::select! {
                    () = &mut again => break,
                    message = messages.recv() => match message {
                        None => return Ok(()),
                        Some(FromBrowser::TooLong) => return self.too_long().await,
                        // Nobody is there to have it.
                        Some(FromBrowser::Message(_)) => {}
                    },
                }
            }
        }
    }

    async fn connected(
        &mut self,
        stream: UnixStream,
        messages: &mut mpsc::Receiver<FromBrowser>,
    ) -> anyhow::Result<End> {
        let (read, mut write) = stream.into_split();
        let (stale, output) = (&mut self.stale, &mut self.output);
        // Both ways at once: neither may wait for the other.
        let up = async {
            loop {
                match messages.recv().await {
                    None => return Ok(End::Browser),
                    Some(FromBrowser::TooLong) => return Ok::<_, io::Error>(End::TooLong),
                    Some(FromBrowser::Message(message)) if *stale && !is_hello(&message) => {}
                    Some(FromBrowser::Message(mut message)) => {
                        *stale = false;
                        // Within JSON a line break is nothing but space.
                        message.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
                        message.push(b'\n');
                        if write.write_all(&message).await.is_err() {
                            // What it has said before it went is still to be passed on, to the last byte.
                            std::future::pending::<()>().await;
                        }
                    }
                }
            }
        };
        let down = async {
            let mut reader = BufReader::new(read);
            loop {
                let mut line = Vec::new();
                let read = (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line).await;
                if read.is_err() || line.pop() != Some(b'\n') {
                    return Ok::<_, io::Error>(End::Daemon);
                }
                let Ok(text) = String::from_utf8(line) else { return Ok(End::Daemon) };
                output.write(&text).await?;
            }
        };
        Ok(tokio::select! {
            end = up => end?,
            end = down => end?,
        })
    }

    async fn too_long(&mut self) -> anyhow::Result<()> {
        let why = format!("a message is at most {MAX_MESSAGE} bytes long");
        self.output.write(&json!({ "type": "refused", "why": why }).to_string()).await?;
        Ok(())
    }
}

#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(borrow, rename = "type")]
    kind: &'a str,
}

fn is_hello(message: &[u8]) -> bool {
    serde_json::from_slice::<Typed<'_>>(message).is_ok_and(|message| message.kind == "hello")
}

#[cfg(test)]
mod tests;
