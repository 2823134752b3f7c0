//! Packages of npm run inside, as they are: bundled by esbuild, each put to the same use inside and in Node.

#![allow(clippy::disallowed_methods, reason = "tests write files of their own")]

mod npm;

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::time::Duration;

use entresol_sandbox::{Engine, HostCalls, Instance, Limits, ModuleKind, Outgoing, Script};
use serde_json::Value;

/// Answers one message with what `run()` of the script came to.
const GLUE: &str = r#"
    const { JSONStringify, PromisePrototypeThen } = primordials;
    boundary.onMessage = () => {
        const done = new primordials.Promise((resolve) => resolve(boundary.script().run()));
        PromisePrototypeThen(done, (result) => boundary.post(JSONStringify({ __proto__: null, result })),
            (error) => boundary.post(JSONStringify({ __proto__: null, error: `${error}\n${error?.stack}` })));
    };
"#;

/// Nothing of the host is called by these scripts; time and randomness are the real ones.
struct Host;

impl HostCalls for Host {
    fn call(&mut self, name: &str, _: &[u8]) -> Result<Vec<u8>, String> {
        Err(format!("no host call {name}"))
    }
}

/// Twice an ordinary plugin's: ethers unpacks its tables for ENS names into about 50 MB.
const MEMORY: usize = 128 << 20;

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(None).expect("the committed engine compiles"))
}

/// What `run()` of a script comes to inside, its timers fired in order.
fn inside(source: &str) -> Value {
    let limits = Limits { turn: Duration::from_secs(120), memory_bytes: MEMORY, ..Limits::default() };
    let glue = Script { name: "glue.js", source: GLUE, kind: ModuleKind::CommonJs };
    let script = Script { name: "bundle.js", source, kind: ModuleKind::EsModule };
    let (mut instance, outgoing) =
        Instance::start(engine(), &limits, &[glue], Some(script), Box::new(Host)).expect("the bundle starts");
    let mut work = VecDeque::from(outgoing);
    work.extend(instance.turn(b"run").expect("a turn"));
    let mut timers = Vec::new();
    loop {
        while let Some(item) = work.pop_front() {
            match item {
                Outgoing::Message(text) => {
                    let answer: Value = serde_json::from_slice(&text).expect("JSON");
                    assert!(answer.get("error").is_none(), "{}", answer["error"].as_str().unwrap_or_default());
                    return answer["result"].clone();
                }
                Outgoing::Timer { id, delay_ms } => timers.push((delay_ms, id)),
                Outgoing::ClearTimer { id } => timers.retain(|timer| timer.1 != id),
                Outgoing::Log { text, .. } => println!("console: {text}"),
                other => panic!("{other:?}"),
            }
        }
        timers.sort_unstable();
        assert!(!timers.is_empty(), "the script waits for something that never comes");
        let (_, id) = timers.remove(0);
        work.extend(instance.fire_timer(id).expect("a turn"));
    }
}

fn check(case: &str) {
    let bundle = npm::bundle(&format!("cases/{case}.js"), false);
    let outside: Value = serde_json::from_str(&npm::node(&bundle)).expect("JSON");
    let inside = inside(&bundle);
    let (inside, outside) = (inside.as_object().expect("an object"), outside.as_object().expect("an object"));
    assert_eq!(inside.keys().collect::<Vec<_>>(), outside.keys().collect::<Vec<_>>());
    for (name, value) in outside {
        assert_eq!(&inside[name], value, "{case}: {name} inside, in Node");
    }
}

/// A test for each file of `cases/`; another one proves that none is forgotten.
macro_rules! packages {
    ($($test:ident: $case:literal,)*) => {
        $(#[test] fn $test() { check($case); })*
        const CASES: &[&str] = &[$($case),*];
    };
}

packages! {
    noble_curves_signs_and_verifies_as_in_node: "noble-curves",
    noble_hashes_hashes_as_in_node: "noble-hashes",
    ethers_works_as_in_node: "ethers",
    viem_works_as_in_node: "viem",
    scure_bip32_derives_as_in_node: "scure-bip32",
    rlp_encodes_as_in_node: "rlp",
    buffer_reads_and_writes_as_in_node: "buffer",
    zod_parses_as_in_node: "zod",
}

#[test]
fn each_case_has_a_test() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packages/cases");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("readable")
        .map(|entry| entry.expect("an entry").path().file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    let mut cases = CASES.to_vec();
    cases.sort_unstable();
    assert_eq!(names, cases);
}
