//! Websites in a real browser, with the extension as it is.

#![allow(clippy::disallowed_methods, reason = "tests write files of their own")]

mod answers;
#[allow(dead_code, reason = "other tests and benches use the rest")]
mod cdp;
#[allow(dead_code, reason = "the program's other tests use the rest")]
#[path = "../entresol/day/chain.rs"]
mod chain;
mod chains;
mod discovery;
mod lifetimes;
mod matrix;
mod page;
mod pays;
mod popup;
mod public;
#[allow(dead_code, reason = "other tests and benches use the rest")]
mod site;
mod stage;
#[allow(dead_code, reason = "the program's other tests use the rest")]
#[path = "../entresol/support.rs"]
mod support;
mod tampering;
