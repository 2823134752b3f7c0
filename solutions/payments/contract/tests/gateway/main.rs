//! `PaymentsGateway` on a real anvil, with the Rust protocol as the model beside it. One anvil a test.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test crate: what fails here fails the test, and says why"
)]

mod attacks;
mod batches;
mod bond;
#[path = "../shared/calls.rs"]
mod calls;
mod chain;
mod chance;
mod claims;
mod code;
mod deploy;
#[path = "../shared/forest.rs"]
mod forest;
mod fraud;
mod gas;
mod halt;
mod inbox;
mod light;
mod list;
mod natspec;
mod world;
