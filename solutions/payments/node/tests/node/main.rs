//! The node against a real layer 1: anvil, the real contract, real processes, a real database.

#![allow(clippy::unwrap_used, reason = "tests")]

mod adversary;
mod base;
mod comparison;
mod edges;
mod exit;
mod fees;
mod limits;
mod metrics;
mod operator;
mod pipelines;
mod replica;
mod restarts;
mod rollback;
mod world;
