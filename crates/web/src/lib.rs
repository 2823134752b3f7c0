//! The wallet's local page, on `127.0.0.1`: what the wallet knows, and where the user decides.
//!
//! | module | what is there |
//! |---|---|
//! | [`server`] | binding, one-time links, ending |
//! | `routes` | [`ROUTES`], who is let in, the pages that are read |
//! | `acts` | what acts: the gate of every POST, and what it asks of the host |
//! | `events` | a tick for each change, so that an open page is never stale |
//! | `guard` | what every request must pass and every response carries: host, origin, fetch metadata, headers |
//! | `sessions` | one-time links and what they open |
//! | `pages` | the pages as HTML, from the host's plain data |
//! | `form` | inputs for ABI types, and what comes back from them |
//! | `runs` | the user's own calls that are at work |
//! | `text` | foreign words, amounts and times for people |
//! | `app.js` | the script: acts, swaps a changed page in, arms buttons |
//!
//! **Who may look and decide.** A link with a random token, made for a terminal that proved the passphrase, opens one
//! session. A session has three secrets: its path, its cookie and its token. The cookie is bound to that path, because
//! cookies know no ports: a server on another port of this machine never gets it, since no browser sends it there. The
//! token stands in the session's pages, for their script alone: whatever acts must show it, and only a page of ours can
//! read it. Once the wallet is locked, the host refuses to decide until the passphrase was given again.
//!
//! **What a page may do.** Run our one script and nothing else: no inline script, no frame, no form that leaves, no
//! foreign resource (Content-Security-Policy), no HTML out of strings (trusted types). Buttons that decide work only
//! after what they decide was visible for a moment, and again after each change; the decision names the digest of what
//! was shown, and the host compares.

mod acts;
mod events;
mod form;
mod guard;
mod pages;
mod routes;
mod runs;
pub mod server;
mod sessions;
mod text;

pub use routes::{ROUTES, Route};
pub use server::{WebError, WebServer};
