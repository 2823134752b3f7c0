//! The other end of the control socket.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use zeroize::Zeroize;

use crate::protocol::RpcError;
use crate::server::socket_path;

/// Longest answer line: the activity journal and a plugin's state are the large ones.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// Why a call over the control socket did not give a result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody listens on the socket.
    #[error("the daemon is not running; start it with `entresol daemon`")]
    NotRunning {
        /// Where its socket would be.
        socket: PathBuf,
    },
    /// The socket is another user's.
    #[error("{} belongs to another user; name your own wallet by --home", .socket.display())]
    Forbidden {
        /// The socket.
        socket: PathBuf,
    },
    /// The connection broke; whether the call took effect is not known.
    #[error("the connection to the daemon broke; see whether it still runs with `entresol status`")]
    Broken(#[source] io::Error),
    /// The daemon answered with an error.
    #[error(transparent)]
    Rpc(RpcError),
    /// The daemon answered something else than was expected.
    #[error("the daemon's answer to `{method}` cannot be read; are the daemon and this program of one version?")]
    Answer {
        /// The method that was called.
        method: String,
        /// What did not fit.
        source: serde_json::Error,
    },
}

impl ClientError {
    /// The daemon's own error, if it is one.
    #[must_use]
    pub fn rpc(&self) -> Option<&RpcError> {
        match self {
            Self::Rpc(error) => Some(error),
            _ => None,
        }
    }
}

/// A connection to the daemon. Calls run one after another.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    next_id: u64,
}

impl Client {
    /// Connects to the daemon of a home directory.
    ///
    /// # Errors
    /// [`ClientError::NotRunning`] when nobody listens, [`ClientError::Broken`] otherwise.
    pub async fn connect(home: &Path) -> Result<Self, ClientError> {
        let socket = socket_path(home);
        let stream = UnixStream::connect(&socket).await.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning { socket },
            io::ErrorKind::PermissionDenied => ClientError::Forbidden { socket },
            _ => ClientError::Broken(error),
        })?;
        let (read, writer) = stream.into_split();
        Ok(Self { reader: BufReader::new(read), writer, next_id: 1 })
    }

    /// Calls a method. `params` is an object (or `()` for none).
    ///
    /// # Errors
    /// [`ClientError::Rpc`] carries the daemon's error; after [`ClientError::Broken`] the client is of no more use.
    pub async fn call(&mut self, method: &str, params: impl Serialize) -> Result<Json, ClientError> {
        let id = self.next_id;
        self.next_id += 1;
        let answer_error = |source| ClientError::Answer { method: method.to_owned(), source };
        let params = serde_json::to_value(params).map_err(answer_error)?;
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let mut line = request.to_string().into_bytes();
        line.push(b'\n');
        let written = self.writer.write_all(&line).await;
        // It may hold a passphrase.
        line.zeroize();
        written.map_err(ClientError::Broken)?;
        let mut answer = Vec::new();
        (&mut self.reader).take(MAX_ANSWER).read_until(b'\n', &mut answer).await.map_err(ClientError::Broken)?;
        if answer.last() != Some(&b'\n') {
            return Err(ClientError::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        let read: Result<Json, _> = serde_json::from_slice(&answer);
        // It may hold an exported key.
        answer.zeroize();
        let mut answer = read.map_err(answer_error)?;
        match answer.get_mut("error").map(Json::take) {
            Some(error) => Err(ClientError::Rpc(serde_json::from_value(error).map_err(answer_error)?)),
            None => Ok(answer.get_mut("result").map(Json::take).unwrap_or_default()),
        }
    }

    /// Calls a method and reads its answer as `T`.
    ///
    /// # Errors
    /// As [`call`](Self::call), and [`ClientError::Answer`] when the result has another shape.
    pub async fn get<T: DeserializeOwned>(&mut self, method: &str, params: impl Serialize) -> Result<T, ClientError> {
        let answer = self.call(method, params).await?;
        serde_json::from_value(answer).map_err(|source| ClientError::Answer { method: method.to_owned(), source })
    }
}
