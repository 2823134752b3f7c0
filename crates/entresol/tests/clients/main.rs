//! Clients that no one here wrote, as npm has them: against the address of a local app, and in a browser. And what is
//! here for the authors of websites: the types, the shop.

#![allow(clippy::disallowed_methods, reason = "tests write files of their own")]

mod app;
#[allow(dead_code, reason = "the browser's tests use the rest")]
#[path = "../browser/cdp.rs"]
mod cdp;
mod npm;
mod page;
mod shop;
#[allow(dead_code, reason = "the browser's tests use the rest")]
#[path = "../browser/site.rs"]
mod site;
#[allow(dead_code, reason = "the browser's tests use the rest")]
#[path = "../browser/stage.rs"]
mod stage;
#[allow(dead_code, reason = "the program's other tests use the rest")]
#[path = "../entresol/support.rs"]
mod support;
mod types;
