//! Plugins as the daemon runs them: how fast they start, what they weigh, what a call costs, and the same JavaScript in
//! Node in the same run.
//!
//! `cargo xtask bench sandbox` runs it. Each line of the output is one figure as JSON: `name`, `value`, `unit`; `aim`,
//! `aim_is` (`most` or `least`) and `met` where one was set; `baseline`, `baseline_value` and `ratio` where there is
//! something to compare with. A start is a plugin's whole start as in the daemon: restored (or evaluated), constructed
//! with its context, the interface read and checked, an action called, its answer read. Requests to the wallet are
//! answered at once, by a table.
//!
//! It lies beside the host as it measures the host's own glue, interface reading and cryptography.

#![allow(clippy::print_stdout, reason = "the figures are its output")]
#![allow(clippy::disallowed_methods, reason = "files of its own, in a temporary directory")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that fails has nothing to say")]

#[path = "sandbox/beside.rs"]
mod beside;
#[path = "sandbox/calls.rs"]
mod calls;
#[path = "../../sandbox/benches/support/compute.rs"]
#[allow(unreachable_pub, reason = "shared with a test")]
mod compute;
#[path = "sandbox/host.rs"]
mod host;
#[path = "sandbox/memory.rs"]
mod memory;
#[path = "../../sandbox/tests/packages/npm.rs"]
#[allow(dead_code, reason = "Node is asked by a script of its own here")]
mod npm;
#[path = "sandbox/plugin.rs"]
mod plugin;
#[path = "sandbox/start.rs"]
mod start;
#[path = "../tests/host/support.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod support;

use std::time::Duration;

use serde_json::{Value, json};

/// A script to measure with.
pub(crate) struct Bundle {
    pub(crate) name: &'static str,
    pub(crate) source: String,
    /// The action that is called first, and its parameter `value`.
    pub(crate) first: (&'static str, Value),
}

fn main() {
    let payments = include_str!("../../../solutions/payments/plugin/index.js");
    // Minified, as their authors would publish them.
    let bundles = [
        Bundle { name: "payments", source: payments.to_owned(), first: ("newAccount", Value::Null) },
        Bundle {
            name: "crypto bundle",
            source: npm::bundle("measured/crypto.js", true),
            first: ("first", Value::Null),
        },
        Bundle {
            name: "ethers bundle",
            source: npm::bundle("measured/ethers.js", true),
            first: ("first", Value::Null),
        },
    ];
    for bundle in &bundles {
        figure(&format!("{}, source", bundle.name), bundle.source.len() as f64 / 1000.0, "KB").say();
    }
    // `cargo bench … -- start calls` measures these alone.
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |part: &str| named.is_empty() || named.iter().any(|name| name == part);
    // For a profiler: `repeat payments` starts one bundle again and again, `repeat payments disk` with a new engine each
    // time; `repeat calls` and `repeat host` call.
    if let [what, name, rest @ ..] = &named[..]
        && what == "repeat"
    {
        match name.as_str() {
            "host" => return host::repeat(),
            "calls" => return calls::repeat(),
            _ => {}
        }
        let bundle = bundles.iter().find(|bundle| bundle.name.starts_with(name.as_str())).expect("a bundle");
        return start::repeat(bundle, 300, rest.iter().any(|word| word == "disk"));
    }
    let beside = beside::run(&bundles);
    if wanted("start") {
        start::measure(&bundles, &beside);
        start::phases(&bundles);
    }
    if named.iter().any(|name| name == "phases") {
        start::phases(&bundles);
    }
    if wanted("calls") {
        calls::round_trips(&beside);
    }
    if wanted("host") {
        host::measure();
    }
    if wanted("cryptography") {
        calls::cryptography(&bundles[1], &beside);
    }
    if wanted("compute") {
        heavy_work();
    }
    if wanted("memory") {
        memory::measure(&bundles, &beside);
    }
}

/// `compute()` beside wasmtime without anything around it.
fn heavy_work() {
    let engine = entresol_sandbox::Engine::new(None).expect("an engine");
    let say = |name: &str, row: compute::Compared, aim: bool| {
        let ours = figure(&format!("compute: {name}"), milliseconds(row.compute), "ms");
        let direct = milliseconds(row.direct);
        ours.beside("wasmtime directly", direct).say();
        if aim {
            figure(&format!("compute by wasmtime directly: {name}"), row.ratio(), "×").at_most(1.3).say();
        }
    };
    say("300 000 digests of a digest", compute::chain(&engine, 300_000, 12), true);
    say("sha256 of 8 MiB", compute::sha256(&engine, 8 << 20, 12), true);
    say("echo of 1 KiB", compute::echo(&engine, 1 << 10, 200), false);
}

/// One figure in the making.
pub(crate) struct Figure(Value);

pub(crate) fn figure(name: &str, value: f64, unit: &str) -> Figure {
    Figure(json!({ "name": name, "value": rounded(value), "unit": unit }))
}

impl Figure {
    /// What it was meant to be at most.
    pub(crate) fn at_most(self, aim: f64) -> Self {
        self.aim(aim, "most", |value, aim| value <= aim)
    }

    /// What it was meant to be at least.
    pub(crate) fn at_least(self, aim: f64) -> Self {
        self.aim(aim, "least", |value, aim| value >= aim)
    }

    fn aim(mut self, aim: f64, is: &str, met: impl Fn(f64, f64) -> bool) -> Self {
        let value = self.0["value"].as_f64().unwrap();
        self.0["aim"] = json!(aim);
        self.0["aim_is"] = json!(is);
        self.0["met"] = json!(met(value, aim));
        self
    }

    /// What it is compared with, in the same unit and run; the ratio is this by that.
    pub(crate) fn beside(mut self, name: &str, value: f64) -> Self {
        let ratio = self.0["value"].as_f64().unwrap() / value;
        self.0["baseline"] = json!(name);
        self.0["baseline_value"] = json!(rounded(value));
        self.0["ratio"] = json!(rounded(ratio));
        self
    }

    pub(crate) fn say(self) {
        println!("{}", self.0);
    }
}

/// Four digits that matter.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10f64.powi(3 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

/// The value below which this share of them lies.
pub(crate) fn quantile(times: &mut [Duration], share: f64) -> Duration {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * share).round() as usize]
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

pub(crate) fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
