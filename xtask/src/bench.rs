//! `cargo xtask bench`: measures, and prints figures that a machine can read.
//!
//! A bench prints one JSON object in a line for each figure: `name`, `value`, `unit` and, where there is something to
//! compare with, measured in the same session: `baseline`, `baseline_value`, `ratio`.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::{install, test};

/// Options of `cargo xtask bench`.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct BenchArgs {
    /// Which bench; all of them when none is named.
    name: Option<String>,
    /// One JSON document instead of a table.
    #[arg(long)]
    json: bool,
}

struct Bench {
    name: &'static str,
    about: &'static str,
    /// Programs besides Rust, and their packages.
    programs: &'static [&'static str],
    /// Arguments of cargo.
    cargo: &'static [&'static str],
}

const BENCHES: &[Bench] = &[
    Bench {
        name: "store",
        about: "key-value data of 10 000 solutions: reads, durable writes, group commit",
        programs: &[],
        cargo: &["bench", "--quiet", "--profile", "release", "--package", "entresol-store", "--bench", "kv"],
    },
    Bench {
        name: "neighbours",
        about: "calls of one plugin, alone and beside fifty hostile ones: its instance, and through the whole host",
        programs: &[],
        cargo: &[
            "bench",
            "--quiet",
            "--profile",
            "release",
            "--package",
            "entresol-sandbox",
            "--package",
            "entresol-host",
            "--bench",
            "neighbours",
        ],
    },
    Bench {
        name: "wallet",
        about: "unlocking the seed, and the start of the daemon with 100 solutions",
        programs: &[],
        cargo: &["bench", "--quiet", "--profile", "release", "--package", "entresol", "--bench", "wallet"],
    },
    Bench {
        name: "payments",
        about: "the payments node: messages accepted, latency, replay from layer 1, its tree; the machine's limit beside it",
        programs: &[],
        cargo: &["bench", "--quiet", "--profile", "release", "--package", "payments-node", "--bench", "payments"],
    },
    Bench {
        name: "sandbox",
        about: "plugins: cold start, memory, calls, cryptography; the same JavaScript in Node beside them",
        programs: &["node", "npm"],
        cargo: &["bench", "--quiet", "--profile", "release", "--package", "entresol-host", "--bench", "sandbox"],
    },
    Bench {
        name: "websites",
        about: "a page's requests through browser, extension, bridge and daemon to a plugin and to layer 1",
        programs: &["chromium"],
        cargo: &["bench", "--quiet", "--profile", "release", "--package", "entresol", "--bench", "websites"],
    },
];

/// Runs the bench named, or all.
///
/// # Errors
/// There is no such bench; it fails, or says something that is no figure.
pub(crate) fn run(arguments: &BenchArgs) -> anyhow::Result<()> {
    let chosen: Vec<_> =
        BENCHES.iter().filter(|bench| arguments.name.as_ref().is_none_or(|name| bench.name == name)).collect();
    let list =
        || BENCHES.iter().map(|bench| format!("  {}: {}", bench.name, bench.about)).collect::<Vec<_>>().join("\n");
    ensure!(
        !chosen.is_empty(),
        "there is no bench {:?}; there are\n{}",
        arguments.name.as_deref().unwrap_or(""),
        list()
    );
    let mut all = Vec::new();
    for bench in chosen {
        let figures = measure(bench)?;
        if !arguments.json {
            print(bench, &figures);
        }
        all.push(json!({ "bench": bench.name, "figures": figures }));
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&json!({ "benches": all }))?);
    }
    Ok(())
}

fn measure(bench: &Bench) -> anyhow::Result<Vec<Value>> {
    if !bench.programs.is_empty() {
        install::ensure_programs(bench.programs, bench.programs)?;
    }
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(bench.cargo).current_dir(test::repository()?).stdout(Stdio::piped());
    test::forget_own_package(&mut command);
    let output = command.spawn().context("cargo does not start")?.wait_with_output()?;
    ensure!(output.status.success(), "bench {} failed ({})", bench.name, output.status);
    let text = String::from_utf8(output.stdout).context("the output of the bench is not text")?;
    text.lines().map(|line| figure(line).with_context(|| format!("bench {} printed {line:?}", bench.name))).collect()
}

/// One line of a bench's output.
fn figure(line: &str) -> anyhow::Result<Value> {
    let value: Value = serde_json::from_str(line).context("not JSON")?;
    ensure!(
        value["name"].is_string() && value["value"].is_number() && value["unit"].is_string(),
        "no name, value, unit"
    );
    Ok(value)
}

fn print(bench: &Bench, figures: &[Value]) {
    println!("\n{}: {}", bench.name, bench.about);
    for figure in figures {
        let text = |name: &str| figure[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| figure[name].as_f64().unwrap_or_default();
        print!("{:<46} {:>12} {:<10}", text("name"), rounded(number("value")), text("unit"));
        if figure["baseline"].is_string() {
            print!(
                " {:>8} × {} ({})",
                format!("{:.2}", number("ratio")),
                text("baseline"),
                rounded(number("baseline_value"))
            );
        }
        if let Some(aim) = figure["aim"].as_f64() {
            let most = if figure["aim_is"] == "least" { "≥" } else { "≤" };
            let met = if figure["met"] == true { "met" } else { "NOT MET" };
            print!("  aim {most} {}: {met}", if aim < 10.0 { aim.to_string() } else { rounded(aim) });
        }
        println!();
    }
}

fn rounded(value: f64) -> String {
    if value < 100.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_bench_is_refused_with_the_list() {
        let arguments = BenchArgs { name: Some("no-such".to_owned()), json: true };
        let error = run(&arguments).expect_err("refused").to_string();
        assert!(error.contains("no-such") && BENCHES.iter().all(|bench| error.contains(bench.name)), "{error}");
    }

    #[test]
    fn a_figure_has_a_name_a_value_and_a_unit() {
        assert!(figure(r#"{"name":"a","value":1.5,"unit":"s"}"#).is_ok());
        for line in ["", "Running", r#"{"name":"a","value":"1","unit":"s"}"#, r#"{"name":"a","value":1}"#] {
            assert!(figure(line).is_err(), "{line:?}");
        }
    }
}
