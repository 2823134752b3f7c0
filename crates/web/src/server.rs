//! Binding, one-time links, ending.
//!
//! Ownership: [`WebServer`] is a handle. One task serves until the token it was given is cancelled; sessions live and end
//! with it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use entresol_host::Host;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::events::Streams;
use crate::guard::Authority;
use crate::routes::router;
use crate::runs::Runs;
use crate::sessions::{Secret, Sessions};

/// The page could not be served.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The port cannot be bound.
    #[error("the local page cannot use port {port} on 127.0.0.1; choose another with --web-port, or 0 for a free one")]
    Bind {
        /// The port asked for.
        port: u16,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// The running page. Clones are handles to the same one.
#[derive(Clone)]
pub struct WebServer {
    address: SocketAddr,
    sessions: Arc<Mutex<Sessions>>,
    tasks: TaskTracker,
}

impl std::fmt::Debug for WebServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebServer").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What the handlers work on.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) host: Host,
    pub(crate) sessions: Arc<Mutex<Sessions>>,
    /// Open event streams.
    pub(crate) streams: Streams,
    /// The user's own calls from these pages.
    pub(crate) runs: Runs,
    pub(crate) stop: CancellationToken,
}

impl Context {
    pub(crate) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        locked(&self.sessions)
    }
}

impl WebServer {
    /// Serves `host` on `127.0.0.1:port` (0: a free port) until `stop` is cancelled.
    ///
    /// # Errors
    /// [`WebError::Bind`].
    pub async fn start(host: Host, port: u16, stop: CancellationToken) -> Result<Self, WebError> {
        let bind = |source| WebError::Bind { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let sessions = Arc::new(Mutex::default());
        let runs = Runs::default();
        let context =
            Context { host, sessions: Arc::clone(&sessions), streams: Streams::default(), runs, stop: stop.clone() };
        let router = router(context, Authority(address.to_string()));
        let tasks = TaskTracker::new();
        tasks.spawn(async move {
            // Open connections are dropped, not waited for: a browser keeps them for minutes.
            let served = stop.run_until_cancelled(async { axum::serve(listener, router).await }).await;
            if let Some(Err(error)) = served {
                tracing::error!(%error, "the local page ended");
            }
        });
        tasks.close();
        Ok(Self { address, sessions, tasks })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes a link that opens one session, once, within five minutes. Whoever has it sees the wallet and decides for
    /// its user: the caller has checked that the passphrase was given on the terminal that gets it.
    ///
    /// # Errors
    /// [`WebError::Random`].
    pub fn link(&self) -> Result<String, WebError> {
        let token = locked(&self.sessions).add_link(random()?, Instant::now());
        Ok(format!("http://{}/enter/{token}", self.address))
    }

    /// Waits until it has ended, after its token was cancelled.
    pub async fn ended(&self) {
        self.tasks.wait().await;
    }
}

pub(crate) fn random() -> Result<Secret, WebError> {
    let mut secret = Secret::default();
    getrandom::fill(&mut secret).map_err(WebError::Random)?;
    Ok(secret)
}

/// A poisoned lock means that another request panicked; the maps are whole between statements.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
