//! `cargo xtask`: what the README's commands and CI run.
//!
//! `cargo xtask test` is the whole check. The other commands are its steps, for when one of them fails.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool for developers")]

mod bench;
mod contracts;
mod deep;
#[cfg(test)]
mod documents;
mod engine;
mod fuzz;
mod install;
mod javascript;
mod soak;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds and checks this repository", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything that must hold before a change goes in; installs what it needs where it may.
    Test(test::TestArgs),
    /// Compile the payments gateway, or check that the committed artifact is what the source gives.
    Contracts(contracts::ContractsArgs),
    /// Build the sandbox's JavaScript engine, or check that the committed one is what the source gives.
    Engine {
        /// Compare with the committed engine instead of writing it; fails when a byte differs.
        #[arg(long)]
        check: bool,
    },
    /// All JavaScript: syntax, types, the plugin's own tests.
    Javascript,
    /// Measure, beside a baseline of the same session.
    Bench(bench::BenchArgs),
    /// Look for inputs that break a door to the wallet, or replay those that were kept.
    Fuzz(fuzz::FuzzArgs),
    /// Format the code.
    Fmt,
}

fn main() -> ExitCode {
    if let Some(code) = fuzz::as_wrapper() {
        return ExitCode::from(code);
    }
    let result = match Arguments::parse().command {
        Command::Test(arguments) => test::run(&arguments),
        Command::Contracts(arguments) => contracts::run(arguments),
        Command::Engine { check } => engine::run(check),
        Command::Javascript => javascript::run(),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Fmt => test::cargo(&["fmt", "--all"]),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
