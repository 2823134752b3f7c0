//! Doors of the wallet through which strangers' bytes come in, each as a function of bytes that must never panic.
//!
//! `cargo xtask fuzz` lets libFuzzer look for inputs that reach new code; what it found lies in `corpus/`, one input a
//! line (base64), and is replayed by a test of this crate and, with its coverage, by `cargo xtask fuzz --replay`.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use entresol_host::screen::{Answer, Screen, render_text};
use entresol_package::Manifest;
use entresol_sandbox::{Computation, ComputeError, ComputeLimits, Engine};
use serde_json::Value as Json;

/// One door.
#[derive(Debug)]
pub struct Target {
    /// Its name on the command line and of its corpus.
    pub name: &'static str,
    /// What comes in there.
    pub about: &'static str,
    /// Takes any bytes; a panic, a hang or endless memory is a finding.
    pub run: fn(&[u8]),
}

/// Every door.
pub const TARGETS: &[Target] = &[
    Target {
        name: "boundary",
        about: "messages between script and host, both ways",
        run: entresol_host::fuzzing::boundary,
    },
    Target { name: "manifest", about: "a package's manifest", run: manifest },
    Target { name: "screens", about: "screens of plugins and their answers", run: screens },
    Target { name: "webassembly", about: "assets of packages: compiled, run, their memory read", run: webassembly },
];

/// Where a target's corpus is committed.
#[must_use]
pub fn corpus_path(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// The inputs of a committed corpus.
///
/// # Errors
/// The file is not there or a line of it is not base64.
pub fn corpus(target: &str) -> Result<Vec<Vec<u8>>, String> {
    let path = corpus_path(target);
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    text.lines().map(|line| STANDARD.decode(line).map_err(|error| format!("{}: {error}", path.display()))).collect()
}

fn manifest(data: &[u8]) {
    let Ok(json) = serde_json::from_slice::<Json>(data) else { return };
    let Ok(manifest) = Manifest::from_json(&json) else { return };
    let _ = (manifest.requested(), manifest.optional());
    for contract in manifest.contracts.values() {
        let _ = (contract.functions(), contract.all_functions(), contract.events());
    }
    for chain in [1, u64::MAX] {
        let _ = manifest.knows_gateway(chain, [0; 20].into());
        let _ = manifest.knows_url(chain, "wss://node.example");
    }
}

/// Which export, how long an input, the input, and an asset.
fn webassembly(data: &[u8]) {
    const EXPORTS: [&str; 3] = ["run", "grow", "loop"];
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let [export, length, rest @ ..] = data else { return };
    let Some((input, wasm)) = rest.split_at_checked(usize::from(*length)) else { return };
    // As a module of a script: what its rewriter accepts comes out of it valid.
    assert_ne!(entresol_sandbox::rewritten_is_valid(wasm), Some(false));
    let engine = ENGINE.get_or_init(|| Engine::new(None).expect("the engine"));
    let limits = ComputeLimits {
        memory_bytes: 2 << 20,
        cpu: Duration::from_millis(20),
        input_bytes: 255,
        output_bytes: 1 << 16,
    };
    let export = EXPORTS[usize::from(*export) % EXPORTS.len()];
    let ran = engine
        .asset(wasm)
        .and_then(|asset| engine.compute(&asset, export, input.to_vec(), &limits))
        .and_then(Computation::wait);
    match ran {
        Ok(output) => assert!(output.len() <= limits.output_bytes),
        // Whatever an asset does is its own doing.
        Err(error) => assert!(!matches!(error, ComputeError::Host(_)), "{error:?}"),
    }
}

/// A screen, and after a line break the user's answer to it.
fn screens(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let Some(Ok(json)) = parts.next().map(serde_json::from_slice::<Json>) else { return };
    let Ok(screen) = Screen::parse(&json) else { return };
    for width in [20, 80] {
        let text = render_text(&screen, "A plugin", width);
        // What stands on a terminal must not steer it.
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
    let answer = parts.next().and_then(|rest| serde_json::from_slice::<Answer>(rest).ok());
    if let Some(Ok(completed)) = answer.map(|answer| screen.answer(&answer)) {
        // An answer that was completed is complete.
        assert_eq!(screen.answer(&completed).expect("it fits its own screen"), completed);
    }
}
