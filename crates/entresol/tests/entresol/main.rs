//! The program from outside: real processes, a real chain, and what happens when they are given the wrong things or
//! killed at the wrong moment.

#![allow(clippy::disallowed_methods, reason = "tests write files of their own")]

mod bundles;
mod canary;
mod cli;
mod consent;
mod crash;
mod day;
mod demo;
mod disk;
mod duties;
mod node;
mod payments;
mod plugins;
mod processes;
mod sites;
mod socket;
mod support;
