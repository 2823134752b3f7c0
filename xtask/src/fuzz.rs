//! `cargo xtask fuzz`: lets libFuzzer look for inputs that reach new code, and replays what it found.
//!
//! Only our own crates are instrumented: this program stands before rustc for the workspace's members
//! (`RUSTC_WORKSPACE_WRAPPER`) and adds LLVM's coverage pass, which stable Rust has. Third-party crates stay as the
//! other builds made them.

#![allow(clippy::disallowed_methods, reason = "a developer's tool: what it writes is under version control")]

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::{install, test};

/// Set while this program stands before rustc.
const WRAPPER: &str = "ENTRESOL_FUZZ_RUSTC";

/// LLVM's coverage pass as libFuzzer wants it.
const INSTRUMENT: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    // One unit a crate: edges are then the same wherever it is built.
    "-Ccodegen-units=1",
];

/// The doors, as `fuzz/src/lib.rs` names them.
const TARGETS: &[&str] = &["boundary", "manifest", "screens", "webassembly"];

/// How much of the coverage that was recorded a replay must reach: what is inlined where changes with the code around.
const LEAST: f64 = 0.95;

/// Minutes without a new edge after which coverage counts as grown.
const STILL_MINUTES: u64 = 5;

/// Longest time for one input.
const SECONDS_AN_INPUT: u64 = 10;

/// Options of `cargo xtask fuzz`.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct FuzzArgs {
    /// Which door; all of them when none is named.
    target: Option<String>,
    /// Minutes for each door; it goes on while new edges are found.
    #[arg(long, default_value_t = 20)]
    minutes: u64,
    /// Most minutes for a door whose coverage goes on growing; three times `--minutes` when absent.
    #[arg(long)]
    most_minutes: Option<u64>,
    /// Seed of the first run, so that it can be repeated.
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Only replay the committed corpus, and check that it reaches the coverage that was recorded.
    #[arg(long)]
    replay: bool,
    /// Print one JSON document instead of lines.
    #[arg(long)]
    json: bool,
}

/// When this program was started as rustc's wrapper: runs rustc and gives its exit code.
pub(crate) fn as_wrapper() -> Option<u8> {
    std::env::var_os(WRAPPER)?;
    let mut arguments = std::env::args_os().skip(1);
    let rustc = arguments.next()?;
    let arguments: Vec<OsString> = arguments.collect();
    let mut command = Command::new(rustc);
    // Questions about the compiler itself, and build scripts, stay as they are.
    let is_build_script = arguments.iter().any(|argument| argument == "build_script_build");
    command.args(&arguments);
    if arguments.iter().any(|argument| argument == "--crate-name") && !is_build_script {
        command.args(INSTRUMENT);
    }
    Some(command.status().ok().and_then(|status| status.code()).and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Fuzzes or replays.
///
/// # Errors
/// There is no such door, a finding, or a replay that reaches less than was recorded.
pub(crate) fn run(arguments: &FuzzArgs) -> anyhow::Result<()> {
    let chosen: Vec<&str> = match &arguments.target {
        None => TARGETS.to_vec(),
        Some(name) => {
            ensure!(TARGETS.contains(&name.as_str()), "there is no door {name:?}; there are {}", TARGETS.join(", "));
            vec![name.as_str()]
        }
    };
    // Of what is built now, wherever the branch is in an hour.
    let commit = commit()?;
    let program = build()?;
    let mut reports = Vec::new();
    for target in chosen {
        let report =
            if arguments.replay { replay(&program, target)? } else { fuzz(&program, target, arguments, &commit)? };
        if !arguments.json {
            println!(
                "{target}: {} edges, {} inputs, {} executions",
                report["edges"], report["corpus"], report["executions"]
            );
        }
        reports.push(report);
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&json!({ "fuzz": reports }))?);
    }
    Ok(())
}

/// Replays every committed corpus: a step of `cargo xtask test`.
///
/// # Errors
/// A finding, or less coverage than was recorded.
pub(crate) fn replay_all() -> anyhow::Result<()> {
    run(&FuzzArgs { target: None, minutes: 0, seed: 1, most_minutes: None, replay: true, json: false })
}

/// Builds the instrumented program and gives its path.
fn build() -> anyhow::Result<PathBuf> {
    // libFuzzer is C++.
    install::ensure_programs(&["c++"], &["g++"])?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // The whole workspace's features, so that third-party crates are those of the tests.
    command.args(["build", "--release", "--workspace", "--bin", "entresol-fuzz"]);
    command.args(["--features", "entresol-fuzz/libfuzzer", "--message-format", "json-render-diagnostics"]);
    test::forget_own_package(&mut command);
    command.current_dir(test::repository()?).stdout(Stdio::piped());
    command.env("RUSTC_WORKSPACE_WRAPPER", std::env::current_exe()?).env(WRAPPER, "1");
    let output = command.spawn().context("cargo does not start")?.wait_with_output()?;
    ensure!(output.status.success(), "the fuzzer does not build ({})", output.status);
    String::from_utf8(output.stdout)?
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "entresol-fuzz")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo names no program")
}

/// The committed corpus as a folder of files.
fn unpacked(target: &str, into: &Path) -> anyhow::Result<usize> {
    fs::create_dir_all(into)?;
    let text = fs::read_to_string(corpus_path(target)?).unwrap_or_default();
    for (number, line) in text.lines().enumerate() {
        fs::write(into.join(format!("{number:05}")), STANDARD.decode(line).context("the corpus is base64")?)?;
    }
    Ok(text.lines().count())
}

fn corpus_path(target: &str) -> anyhow::Result<PathBuf> {
    Ok(test::repository()?.join("fuzz/corpus").join(target))
}

fn evidence_path(target: &str) -> anyhow::Result<PathBuf> {
    Ok(test::repository()?.join("docs/evidence").join(format!("fuzz-{target}.json")))
}

/// What libFuzzer said.
#[derive(Default)]
struct Said {
    /// Seconds, executions and edges, whenever edges grew.
    growth: Vec<(u64, u64, u64)>,
    edges: u64,
    executions: u64,
    seconds: u64,
}

impl Said {
    /// Adds another run over the same inputs, which went on where this one had ended.
    fn go_on(&mut self, more: &Self) {
        let grown = more.growth.iter().filter(|(.., edges)| *edges > self.edges);
        let later = grown.map(|(at, runs, edges)| (self.seconds + at, self.executions + runs, *edges));
        self.growth.extend(later);
        self.edges = self.edges.max(more.edges);
        self.executions += more.executions;
        self.seconds += more.seconds;
    }
}

/// Runs libFuzzer; a finding is an error that names the input's file.
fn libfuzzer(program: &Path, target: &str, folders: &[&Path], options: &[String]) -> anyhow::Result<Said> {
    let findings = test::repository()?.join("fuzz/findings");
    fs::create_dir_all(&findings)?;
    let mut command = Command::new(program);
    command.env("ENTRESOL_FUZZ_TARGET", target).args(options);
    command.arg(format!("-timeout={SECONDS_AN_INPUT}")).arg("-rss_limit_mb=4096");
    command.arg(format!("-artifact_prefix={}/{target}-", findings.display())).args(folders);
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().context("the fuzzer does not start")?;
    let begun = Instant::now();
    let (mut said, mut last) = (Said::default(), Vec::new());
    for line in BufReader::new(child.stderr.take().context("piped")?).lines() {
        let line = line?;
        // `#4096 NEW    cov: 1234 ft: 4567 corp: 89/10Kb …`
        if let (Some(executions), Some(edges)) = (number_after(&line, "#"), number_after(&line, "cov: ")) {
            if edges > said.edges {
                said.growth.push((begun.elapsed().as_secs(), executions, edges));
            }
            (said.edges, said.executions) = (said.edges.max(edges), said.executions.max(executions));
        }
        last.push(line);
        if last.len() > 40 {
            last.remove(0);
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{target}: a finding ({status}); its input lies in fuzz/findings\n{}", last.join("\n"));
    }
    said.seconds = begun.elapsed().as_secs();
    Ok(said)
}

fn number_after(line: &str, word: &str) -> Option<u64> {
    let (_, rest) = line.split_once(word)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn fuzz(program: &Path, target: &str, arguments: &FuzzArgs, commit: &str) -> anyhow::Result<Value> {
    let work = tempfile::tempdir()?;
    let (grown, least) = (work.path().join("grown"), work.path().join("least"));
    unpacked(target, &grown)?;
    fs::create_dir_all(&least)?;
    let begun = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let run = |minutes: u64, seed: u32| {
        let options =
            [format!("-max_total_time={}", minutes * 60), format!("-seed={seed}"), "-max_len=8192".to_owned()];
        libfuzzer(program, target, &[&grown], &options)
    };
    let mut said = run(arguments.minutes, arguments.seed)?;
    let most = arguments.most_minutes.unwrap_or(3 * arguments.minutes);
    let more = STILL_MINUTES.min(arguments.minutes);
    let (mut still, mut seed) = (0, arguments.seed);
    while still == 0 && said.seconds / 60 + more <= most {
        seed += 1;
        let before = said.edges;
        said.go_on(&run(more, seed)?);
        still = if said.edges > before { 0 } else { more };
    }
    // The fewest inputs that reach the same.
    libfuzzer(program, target, &[&least, &grown], &["-merge=1".to_owned()])?;
    let corpus = pack(&least, &corpus_path(target)?)?;
    let replayed = libfuzzer(program, target, &[&least], &["-runs=0".to_owned()])?;
    let report = json!({
        "target": target,
        "commit": commit,
        "seeds": [arguments.seed, seed],
        "seconds": said.seconds,
        "begun": begun,
        "executions": said.executions,
        "edges": replayed.edges,
        "edgesWhileFuzzing": said.edges,
        "corpus": corpus,
        "minutesWithoutGrowthAtTheEnd": still,
        "secondsExecutionsEdges": said.growth,
        "findings": 0,
    });
    fs::create_dir_all(evidence_path(target)?.parent().context("a folder")?)?;
    fs::write(evidence_path(target)?, serde_json::to_string_pretty(&report)? + "\n")?;
    Ok(report)
}

/// Writes a folder of inputs as one file, in an order that does not depend on names; gives how many they are.
fn pack(folder: &Path, to: &Path) -> anyhow::Result<usize> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder)? {
        lines.push(STANDARD.encode(fs::read(entry?.path())?));
    }
    lines.sort_by(|a, b| a.len().cmp(&b.len()).then(a.cmp(b)));
    fs::create_dir_all(to.parent().context("a folder")?)?;
    fs::write(to, lines.join("\n") + "\n")?;
    Ok(lines.len())
}

fn replay(program: &Path, target: &str) -> anyhow::Result<Value> {
    let work = tempfile::tempdir()?;
    let corpus = unpacked(target, work.path())?;
    ensure!(corpus > 0, "{target}: there is no corpus; run `cargo xtask fuzz {target}`");
    let said = libfuzzer(program, target, &[work.path()], &["-runs=0".to_owned()])?;
    let evidence: Value = serde_json::from_str(&fs::read_to_string(evidence_path(target)?)?)?;
    let recorded = evidence["edges"].as_u64().context("the evidence names its edges")?;
    #[allow(clippy::cast_precision_loss, reason = "numbers of edges are small")]
    let part = said.edges as f64 / recorded as f64;
    ensure!(
        part >= LEAST,
        "{target}: the corpus reaches {} edges, {recorded} were recorded; run `cargo xtask fuzz {target}` and commit what it writes",
        said.edges
    );
    Ok(
        json!({ "target": target, "edges": said.edges, "recorded": recorded, "corpus": corpus, "executions": said.executions }),
    )
}

fn commit() -> anyhow::Result<String> {
    let output = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(test::repository()?).output()?;
    ensure!(output.status.success(), "git does not say the commit");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
