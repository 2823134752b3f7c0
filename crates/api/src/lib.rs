//! The control socket: JSON-RPC 2.0, one request a line, over a Unix socket in the wallet's home directory.
//!
//! This crate translates and decides nothing: who may do what is said by `host.authorize`. What it does know is who
//! is at the other end: the peer's user id is checked before the first byte is read, and a *passphrase session*
//! (ten minutes, for one terminal, as with sudo) is what turns a request into one that may decide.
//!
//! Who owns whom: [`serve`] owns the listener and one task a connection; a connection owns its socket and runs its
//! requests one after another, each on a task of its own, so that a caller who hangs up does not cut a plugin's
//! action in half. Everything ends with the cancellation token given to [`serve`].
//!
//! - [`METHODS`]: the dispatch table, name → handler. A test walks it.
//! - [`Control`]: what the handlers work on.
//! - [`Client`]: the other end, for the CLI, tests and tools.

mod client;
mod error;
mod protocol;
mod server;
mod session;
pub mod site;
mod table;
mod unix;

pub use client::{Client, ClientError};
pub use error::ApiError;
pub use protocol::{MAX_LINE, RpcError, codes};
pub use server::{MAX_CONNECTIONS, bind, serve, socket_path};
pub use session::{SESSION_LENGTH, SessionKey};
pub use table::{Answer, Control, METHODS, Method, Proof, WebLink};
