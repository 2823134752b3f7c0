//! The listeners for callers from outside: browsers (the *extension protocol*) and local apps (JSON-RPC over HTTP).
//!
//! Both end in [`CALLER_METHODS`](entresol_host::callers::CALLER_METHODS) with a caller that was established here:
//! a website by its origin *and* the paired browser profile that vouches for it, an app by its secret. Nothing here
//! decides what a caller may do.
//!
//! | module | |
//! |---|---|
//! | `message` | what goes over the wire between the extension and the wallet |
//! | `machine` | the extension protocol as a state machine without IO |
//! | `connection` | one connection: the machine, its requests and events, over any transport |
//! | `socket` | transport: `site.sock` in the home, one message a line, for `entresol bridge` |
//! | `http` | the HTTP listener on 127.0.0.1: [`ROUTES`], its guard, and the WebSocket transport |
//! | `rpc` | JSON-RPC 2.0 for local apps, batches included |
//!
//! Who owns whom: a connection owns its documents, a document its requests and its stream of events, each a task that is
//! dropped with its owner; what a dropped request had put before the user leaves the queue, save what has an id of its
//! own. An HTTP request of an app ends with its TCP connection. All end with the token of [`Site`].

mod connection;
mod http;
mod machine;
mod message;
mod rpc;
mod socket;

pub use http::{EXTENSION_ID, ROUTES, Route, SiteServer};
pub use message::{PROTOCOL_VERSION, challenge_text};
pub use socket::{bind_site, serve_site, site_socket_path};

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use entresol_host::Host;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Longest message of an extension and longest body of an app, in bytes. The largest things sent are contract code
/// (EIP-3860: at most 48 KiB a transaction, twice that in hexadecimal) and bundles of a few of them.
pub const MAX_MESSAGE: usize = 1024 * 1024;
/// Browser connections at a time, of all transports: a person has a handful of browsers.
pub const MAX_BROWSERS: usize = 32;
/// HTTP connections at a time; more wait to be accepted. Scripts open one for each request that waits for the user.
pub const MAX_HTTP: usize = 256;
/// Documents (tabs and frames) of one connection. Each is looked at when something changes.
pub const MAX_DOCUMENTS: usize = 512;
/// Requests that one document may have open. Above what pages do, below what would make others wait.
pub const MAX_DOCUMENT_REQUESTS: usize = 64;
/// Requests that all documents of one connection may have open.
pub const MAX_CONNECTION_REQUESTS: usize = 512;
/// Requests that one app may have open, a batch counted as one.
pub const MAX_APP_REQUESTS: usize = 64;
/// Requests in one batch.
pub const MAX_BATCH: usize = 100;
/// Requests of one batch that run at a time.
pub const BATCH_WIDTH: usize = 8;

/// What every listener for callers works on: one a daemon.
pub struct Site {
    host: Host,
    /// Address of the wallet's own page, if there is one.
    page: Option<String>,
    stop: CancellationToken,
    browsers: Arc<Semaphore>,
    /// Places for requests, by app. It has at most as many entries as the wallet has had apps.
    apps: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").finish_non_exhaustive()
    }
}

impl Site {
    /// `page`: where the wallet's own page is, told to paired extensions. Everything ends with `stop`.
    #[must_use]
    pub fn new(host: Host, page: Option<String>, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self { host, page, stop, browsers: Arc::new(Semaphore::new(MAX_BROWSERS)), apps: Mutex::default() })
    }

    /// A place for one more request of an app, if it has one left.
    fn app_place(&self, app: &str) -> Option<OwnedSemaphorePermit> {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        let places = apps.entry(app.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(MAX_APP_REQUESTS)));
        Arc::clone(places).try_acquire_owned().ok()
    }
}
