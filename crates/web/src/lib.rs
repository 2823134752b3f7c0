//! The wallet's local page: what the wallet knows, on `127.0.0.1`, without JavaScript. It only reads; deciding happens
//! on the command line, and each request shows the command for it.
//!
//! | module | what is there |
//! |---|---|
//! | [`server`] | binding, routes, ending |
//! | `guard` | what every request must pass and every response carries: host, origin, fetch metadata, headers |
//! | `sessions` | one-time links and what they open |
//! | `pages` | the pages as HTML, from the host's plain data |
//! | `text` | foreign words, amounts and times for people |
//!
//! **Who may look.** A link with a random token, made for a terminal that proved the passphrase, opens one session. A
//! session has two secrets: its path and its cookie. The cookie is bound to that path, because cookies know no ports: a
//! server on another port of this machine never gets it, since no browser sends it there.
//!
//! **What a page may do.** Nothing: no script, no frame, no form, no foreign resource (Content-Security-Policy), and the
//! actor it asks the host as ([`entresol_host::Actor::Page`]) is one that only reads.

mod guard;
mod pages;
pub mod server;
mod sessions;
mod text;

pub use server::{ROUTES, Route, WebError, WebServer};
