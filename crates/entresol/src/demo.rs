//! The whole way, with real processes on a chain of its own: fetch and start anvil, deploy the gateway, start the
//! operator's node, make a wallet, start the daemon, install the payments solution, deposit, pay, withdraw, wait out
//! the challenge window, claim; then an operator that posts a false root is caught by a replica.
//!
//! - [`stage`]: the processes; one that dies is started again, so that the demo survives a kill at any moment
//! - [`wallet`]: talking to the daemon so that a crash in between changes nothing about the end
//! - [`steps`], [`attack`]: what happens, in order
//! - [`report`]: the facts, as a table and as JSON

mod attack;
mod report;
mod stage;
mod steps;
mod wallet;

use std::process::ExitCode;

use clap::ValueEnum;

use crate::cli;
use crate::context::Context;
use crate::exit;
use crate::output::note;
use crate::process::Signals;
use report::Report;
use stage::Stage;

/// Steps whose request can be rejected by `--reject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rejectable {
    /// Installing the payments solution
    Install,
    /// The deposit of 1 ETH
    Deposit,
    /// Asking the gateway for the money back
    Withdraw,
    /// Claiming it
    Claim,
}

impl Rejectable {
    /// The step's name in the report.
    pub(crate) fn step(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Deposit => "deposit",
            Self::Withdraw => "withdraw",
            Self::Claim => "claim",
        }
    }
}

/// Runs the demo. Ends with 0, with 1 naming the step that failed, or with 4 when `--reject` did what it should.
pub(crate) async fn run(context: &Context, options: &cli::Demo) -> anyhow::Result<ExitCode> {
    if std::env::var_os(crate::logging::LOG).is_some() {
        crate::logging::start();
    }
    let mut signals = Signals::listen()?;
    let mut stage = Stage::new(context.out, options.clone())?;
    let outcome = tokio::select! {
        outcome = steps::play(&mut stage) => outcome,
        () = signals.any() => Err(Interrupted.into()),
    };
    let report = Report::new(&stage, outcome.as_ref().err());
    if outcome.is_ok() && options.keep {
        report.print(context.out)?;
        context.out.line(stage.by_hand());
        signals.any().await;
        stage.end(false).await;
        return Ok(ExitCode::SUCCESS);
    }
    let failed = report.failed();
    let kept = stage.end(failed).await;
    report.print(context.out)?;
    if let Some(dir) = kept {
        note(format!("The processes' logs are kept in {}", dir.display()));
    }
    Ok(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if report.rejected() => ExitCode::from(exit::REJECTED),
        Err(_) => ExitCode::from(exit::FAILED),
    })
}

/// Ctrl-C, or a signal that asks for the end.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
struct Interrupted;

/// The rejection that `--reject` asked for, after it was seen that nothing moved.
#[derive(Debug, thiserror::Error)]
#[error("the request was rejected, as --reject asked: {0}")]
struct Rejected(String);
