//! `cargo xtask test`: every check, in an order that finds cheap mistakes first.
//!
//! All steps run even when one has failed, so that one run tells everything. Plain `cargo test` runs the tests: it is
//! there wherever Rust is, and the slow tests wait for processes more than they compute.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::contracts::ContractsArgs;
use crate::{contracts, deep, engine, fuzz, install, javascript};

/// Options of `cargo xtask test`.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct TestArgs {
    /// Run only these steps (`--step lint --step tests`).
    #[arg(long = "step", value_name = "NAME")]
    only: Vec<String>,
    /// Instead of the steps, the long runs of these names (none: all), which write their evidence to docs/evidence.
    #[arg(long, value_name = "NAME", num_args = 0.., conflicts_with = "only")]
    deep: Option<Vec<String>>,
    #[command(flatten)]
    options: deep::DeepOptions,
}

/// One check.
struct Step {
    name: &'static str,
    run: fn() -> anyhow::Result<()>,
}

const STEPS: &[Step] = &[
    Step { name: "format", run: format },
    Step { name: "javascript", run: javascript::run },
    Step { name: "contracts", run: contracts_are_current },
    Step { name: "engine", run: || engine::run(true) },
    Step { name: "lint", run: lint },
    Step { name: "build", run: || cargo(&["test", "--release", "--workspace", "--no-run"]) },
    Step { name: "tests", run: tests },
    Step { name: "fuzz", run: fuzz::replay_all },
];

/// Runs the steps and prints a table; the last line says how it ended.
///
/// # Errors
/// Some step failed, or `--step` names none.
pub(crate) fn run(arguments: &TestArgs) -> anyhow::Result<()> {
    if let Some(names) = &arguments.deep {
        return deep::run(names, &arguments.options);
    }
    for name in &arguments.only {
        let names = STEPS.iter().map(|step| step.name).collect::<Vec<_>>().join(", ");
        ensure!(STEPS.iter().any(|step| step.name == name), "there is no step {name:?}; the steps are {names}");
    }
    let begun = Instant::now();
    let mut report = Vec::new();
    for step in STEPS.iter().filter(|step| arguments.only.is_empty() || arguments.only.iter().any(|n| n == step.name)) {
        println!("\n== {} ==", step.name);
        let start = Instant::now();
        let result = (step.run)();
        if let Err(error) = &result {
            println!("{} FAILED: {error:#}", step.name);
        }
        report.push((step.name, result.is_ok(), start.elapsed()));
    }
    println!();
    for (name, passed, took) in &report {
        println!("{name:<12} {:<6} {:>8}", if *passed { "ok" } else { "FAILED" }, seconds(*took));
    }
    println!("{:<12} {:<6} {:>8}\n", "in all", "", seconds(begun.elapsed()));
    let failed: Vec<_> = report.iter().filter(|(_, passed, _)| !passed).map(|(name, ..)| *name).collect();
    if !failed.is_empty() {
        bail!("failed: {}; run one alone with `cargo xtask test --step NAME`", failed.join(", "));
    }
    println!("all {} steps passed", report.len());
    Ok(())
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn format() -> anyhow::Result<()> {
    install::ensure_components()?;
    cargo(&["fmt", "--all", "--check"]).context("run `cargo xtask fmt`")
}

/// In the release profile, as everything else: build scripts (OpenSSL and SQLCipher among them) then run once for
/// lint, tests and demo. The dependencies' metadata is built for the lints besides; that is the smaller part.
fn lint() -> anyhow::Result<()> {
    install::ensure_components()?;
    cargo(&["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

fn contracts_are_current() -> anyhow::Result<()> {
    install::ensure_programs(&["node", "npm"], &["nodejs", "npm"])?;
    contracts::run(ContractsArgs { check: true })
}

/// Among them are those of the extension, in the browser of its users.
fn tests() -> anyhow::Result<()> {
    install::ensure_programs(&["chromium"], &["chromium"])?;
    cargo(&["test", "--release", "--workspace", "--no-fail-fast"])
}

/// Runs cargo at the repository's root.
///
/// # Errors
/// It fails.
pub(crate) fn cargo(arguments: &[&str]) -> anyhow::Result<()> {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(repository()?);
    forget_own_package(&mut command);
    println!("cargo {}", arguments.join(" "));
    let status = command.status().context("cargo does not start")?;
    ensure!(status.success(), "cargo {} failed ({status})", arguments.join(" "));
    Ok(())
}

/// Takes away what the cargo that started us has set for the package xtask: it must not reach other builds.
pub(crate) fn forget_own_package(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
}

/// The repository's root.
///
/// # Errors
/// Not started by cargo.
pub(crate) fn repository() -> anyhow::Result<PathBuf> {
    let xtask = env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask`")?;
    Path::new(&xtask).parent().map(Path::to_owned).context("xtask has no parent folder")
}
