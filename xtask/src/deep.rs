//! `cargo xtask test --deep [NAME…]`: the runs that take too long for every change, and the evidence that they leave.
//!
//! A run is a program of its own crate (a test or the node itself) with more of everything than CI has patience for. When it
//! passes, what it reports is written to `docs/evidence/payments-NAME.json`, with the commit it ran on: committed, it is
//! what the documents' claims rest on, and tests replay parts of it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::{soak, test};

/// How much of it.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct DeepOptions {
    /// `--deep histories`: how many histories of the gateway.
    #[arg(long, default_value_t = 10_000, value_name = "NUMBER")]
    histories: u64,
    /// `--deep histories`: begin no more of them after this many minutes, and report how many there were.
    #[arg(long, default_value_t = 240, value_name = "MINUTES")]
    histories_minutes: u64,
    /// First seed of a deep run.
    #[arg(long, default_value_t = 1_000_000, value_name = "SEED")]
    seed: u64,
    /// `--deep soak`: how long.
    #[arg(long, default_value_t = 30.0, value_name = "MINUTES")]
    minutes: f64,
}

/// One long run.
struct Run {
    name: &'static str,
    /// Gives what it found as a JSON object; what went wrong as an error, with the seed to see it again.
    run: fn(&DeepOptions) -> anyhow::Result<Value>,
}

const RUNS: &[Run] = &[
    Run { name: "histories", run: histories },
    Run { name: "soak", run: |options| soak::run(options.minutes, options.seed) },
];

/// Does the runs that are named, or all of them, and writes their evidence.
///
/// # Errors
/// There is no run of that name, or one failed: then its evidence is left as it was.
pub(crate) fn run(names: &[String], options: &DeepOptions) -> anyhow::Result<()> {
    for name in names {
        let known = RUNS.iter().map(|run| run.name).collect::<Vec<_>>().join(", ");
        ensure!(RUNS.iter().any(|run| run.name == name), "there is no deep run {name:?}; there are {known}");
    }
    for run in RUNS.iter().filter(|run| names.is_empty() || names.iter().any(|name| name == run.name)) {
        println!("\n== deep: {} ==", run.name);
        // Of what is built now, wherever the branch is in an hour.
        let (commit, changed) = commit()?;
        let begun = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let start = Instant::now();
        let mut evidence = (run.run)(options).with_context(|| format!("deep run {}", run.name))?;
        let fields = evidence.as_object_mut().context("a run reports a JSON object")?;
        fields.insert("commit".to_owned(), json!(commit));
        // Evidence of a tree that no commit has would be nobody's to repeat.
        fields.insert("uncommittedChanges".to_owned(), json!(changed));
        fields.insert("begun".to_owned(), json!(begun));
        fields.insert("seconds".to_owned(), json!(start.elapsed().as_secs()));
        fields.insert("result".to_owned(), json!("passed"));
        let path = evidence_path(run.name)?;
        #[allow(clippy::disallowed_methods, reason = "a developer's tool: what it writes is under version control")]
        fs::write(&path, serde_json::to_string_pretty(&evidence)? + "\n")?;
        println!("wrote {}", path.display());
        if run.name == "soak" {
            soak::draw(&evidence)?;
        }
    }
    Ok(())
}

/// Where a run's evidence lies.
fn evidence_path(name: &str) -> anyhow::Result<PathBuf> {
    Ok(test::repository()?.join("docs/evidence").join(format!("payments-{name}.json")))
}

/// The commit that is checked out, and whether tracked files differ from it.
fn commit() -> anyhow::Result<(String, bool)> {
    let git = |arguments: &[&str]| -> anyhow::Result<String> {
        let output = Command::new("git").args(arguments).current_dir(test::repository()?).output()?;
        ensure!(output.status.success(), "git {} fails", arguments.join(" "));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    Ok((git(&["rev-parse", "HEAD"])?, !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty()))
}

/// The payments contract against the Rust protocol, in random histories: the test that CI runs with few of them.
fn histories(options: &DeepOptions) -> anyhow::Result<Value> {
    let report = tempfile::NamedTempFile::new()?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Of the whole workspace, as the tests are: one package alone would build its dependencies anew, with fewer features.
    command.args(["test", "--release", "--workspace", "--test", "histories", "random_histories"]);
    command.args(["--", "--nocapture"]);
    command.env("PAYMENTS_HISTORIES", options.histories.to_string());
    command.env("PAYMENTS_HISTORIES_MINUTES", options.histories_minutes.to_string());
    command.env("PAYMENTS_HISTORIES_SEED", options.seed.to_string());
    command.env("PAYMENTS_HISTORIES_REPORT", report.path());
    test::forget_own_package(&mut command);
    let status = command.current_dir(test::repository()?).status().context("cargo does not start")?;
    ensure!(status.success(), "a history fails; the seed and its steps are above ({status})");
    Ok(serde_json::from_str(&fs::read_to_string(report.path())?)?)
}
