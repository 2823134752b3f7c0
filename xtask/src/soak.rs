//! `cargo xtask test --deep soak`: half an hour of payments through real processes that are killed, and its graph.
//!
//! The run itself is the test target `soak` of the payments node; it prints one JSON object. The graph in
//! `docs/payments-soak.svg` is drawn from the evidence and from nothing else.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::test;

/// Where the graph lies.
const GRAPH: &str = "docs/payments-soak.svg";

/// Runs it; gives what it reports.
///
/// # Errors
/// Something acknowledged was lost, a balance is not what was signed, or a node does not come up again.
pub(crate) fn run(minutes: f64, seed: u64) -> anyhow::Result<Value> {
    let cargo = || {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        test::forget_own_package(&mut command);
        command
    };
    // The program that is killed is an example beside the test.
    let root = test::repository()?;
    let build = ["build", "--release", "--quiet", "--workspace", "--example", "payments-node"];
    let built = cargo().args(build).current_dir(&root).status().context("cargo does not start")?;
    ensure!(built.success(), "the node does not build ({built})");
    let (minutes, seed) = (minutes.to_string(), seed.to_string());
    let output = cargo()
        .args(["test", "--release", "--quiet", "--workspace", "--test", "soak", "--"])
        .args(["--minutes", &minutes, "--seed", &seed])
        .current_dir(&root)
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo does not start")?
        .wait_with_output()?;
    ensure!(output.status.success(), "the soak failed; what is wrong is above ({})", output.status);
    let text = String::from_utf8(output.stdout).context("the soak's report is not text")?;
    let report = text.lines().rfind(|line| line.starts_with('{')).context("the soak reports nothing")?;
    serde_json::from_str(report).context("the soak's report is not JSON")
}

/// Draws the graph of a run that was kept.
///
/// # Errors
/// The evidence holds no samples, or the file cannot be written.
pub(crate) fn draw(evidence: &Value) -> anyhow::Result<()> {
    #[allow(clippy::disallowed_methods, reason = "a developer's tool: what it writes is under version control")]
    fs::write(test::repository()?.join(GRAPH), graph(evidence)?)?;
    println!("wrote {GRAPH}");
    Ok(())
}

/// Width of the graph, and its margins at the left and at the right, in pixels.
const WIDTH: f64 = 760.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
/// Height of one panel, and what lies between two.
const HEIGHT: f64 = 110.0;
const GAP: f64 = 46.0;

/// One panel: what it is called, and its lines.
struct Panel {
    title: &'static str,
    /// Column of the samples, colour, what it is.
    lines: &'static [(&'static str, &'static str, &'static str)],
}

const PANELS: &[Panel] = &[
    Panel { title: "payments acknowledged a second", lines: &[("paymentsPerSecond", "#1f6f8b", "payments/s")] },
    Panel {
        title: "time to a receipt, ms (median; it includes restarts)",
        lines: &[("latencyMsP50", "#1f6f8b", "p50")],
    },
    Panel {
        title: "resident memory, MB",
        lines: &[("operatorRssMb", "#b5442e", "operator"), ("replicaRssMb", "#5b7f3a", "replica")],
    },
    Panel {
        title: "kills so far",
        lines: &[("operatorKills", "#b5442e", "operator"), ("replicaKills", "#5b7f3a", "replica")],
    },
];

/// The graph, as SVG.
fn graph(evidence: &Value) -> anyhow::Result<String> {
    let samples = evidence["samples"].as_array().context("the evidence holds no samples")?;
    let number = |sample: &Value, column: &str| sample[column].as_f64();
    let last = samples.iter().filter_map(|sample| number(sample, "seconds")).fold(1.0, f64::max);
    let height = (HEIGHT + GAP) * PANELS.len() as f64 + 30.0;
    let mut svg = String::new();
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">"#
    )?;
    writeln!(svg, r##"<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>"##)?;
    for (place, panel) in PANELS.iter().enumerate() {
        let top = (HEIGHT + GAP) * place as f64 + 30.0;
        let columns = panel.lines.iter().map(|(column, ..)| *column);
        let most = columns.flat_map(|column| samples.iter().filter_map(move |sample| number(sample, column)));
        let most = round_up(most.fold(0.0, f64::max));
        let x = |seconds: f64| LEFT + (WIDTH - LEFT - RIGHT) * seconds / last;
        let y = |value: f64| top + HEIGHT * (1.0 - value / most);
        writeln!(svg, r#"<text x="{LEFT}" y="{:.1}">{}</text>"#, top - 8.0, panel.title)?;
        for part in [0.0, 0.5, 1.0] {
            let (value, level) = (most * part, y(most * part));
            writeln!(
                svg,
                r##"<line x1="{LEFT}" x2="{:.1}" y1="{level:.1}" y2="{level:.1}" stroke="#dddddd"/>"##,
                WIDTH - RIGHT
            )?;
            writeln!(svg, r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{value}</text>"#, LEFT - 6.0, level + 4.0)?;
        }
        for (line, (column, colour, name)) in panel.lines.iter().enumerate() {
            let points = samples.iter().filter_map(|s| Some((number(s, "seconds")?, number(s, column)?)));
            let points: Vec<String> = points.map(|(t, value)| format!("{:.1},{:.1}", x(t), y(value))).collect();
            let points = points.join(" ");
            writeln!(svg, r#"<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>"#)?;
            let at = WIDTH - RIGHT - 80.0 * (panel.lines.len() - 1 - line) as f64;
            writeln!(svg, r#"<text x="{at:.1}" y="{:.1}" text-anchor="end" fill="{colour}">{name}</text>"#, top - 8.0)?;
        }
        writeln!(svg, r#"<text x="{LEFT}" y="{:.1}">0 min</text>"#, top + HEIGHT + 15.0)?;
        let (end, below) = (WIDTH - RIGHT, top + HEIGHT + 15.0);
        writeln!(svg, r#"<text x="{end:.1}" y="{below:.1}" text-anchor="end">{:.0} min</text>"#, last / 60.0)?;
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// The next number of one digit and zeros, at least 1.
fn round_up(most: f64) -> f64 {
    let step = 10f64.powf(most.max(1.0).log10().floor());
    (most.max(1.0) / step).ceil() * step
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_committed_graph_is_what_the_evidence_gives() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        // There is none before the first run.
        let Ok(evidence) = fs::read_to_string(root.join("docs/evidence/payments-soak.json")) else { return };
        let evidence = serde_json::from_str(&evidence).expect("JSON");
        let committed = fs::read_to_string(root.join(GRAPH)).expect("the graph");
        assert_eq!(graph(&evidence).expect("a graph"), committed);
    }

    #[test]
    fn a_graph_has_a_line_a_column_and_skips_what_is_missing() {
        let samples = json!({ "samples": [
            { "seconds": 0.0, "paymentsPerSecond": 10 },
            { "seconds": 60.0, "paymentsPerSecond": 20, "latencyMsP50": null },
        ] });
        let svg = graph(&samples).expect("a graph");
        assert_eq!(svg.matches("<polyline").count(), 6);
        assert!(svg.contains("70.0,85.0 740.0,30.0"), "{svg}");
        assert!(graph(&json!({})).is_err());
        assert_eq!([0.2, 9.0, 11.0, 950.0, 1_000.0].map(round_up), [1.0, 9.0, 20.0, 1_000.0, 1_000.0]);
    }
}
