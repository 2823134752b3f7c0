//! Clients that no one here wrote, as npm has them: against the address of a local app, and in a browser.

#![allow(clippy::disallowed_methods, reason = "tests write files of their own")]

#[allow(dead_code, reason = "the clients come next")]
mod npm;
#[allow(dead_code, reason = "the program's other tests use the rest")]
#[path = "../entresol/support.rs"]
mod support;
mod types;
