//! Runs `run()` of a bundle inside. Shared by the tests of packages and of standards.

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
pub(crate) struct Host;

impl HostCalls for Host {
    fn call(&mut self, name: &str, _: &[u8]) -> Result<Vec<u8>, String> {
        Err(format!("no host call {name}"))
    }
}

/// Twice an ordinary plugin's: ethers unpacks its tables for ENS names into about 50 MB.
const MEMORY: usize = 128 << 20;

pub(crate) fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(None).expect("the committed engine compiles"))
}

/// What `run()` of a script comes to inside, its timers fired in order.
pub(crate) fn inside(source: &str) -> Value {
    let limits =
        Limits { turn: Duration::from_secs(120), memory_bytes: MEMORY, webassembly: true, ..Limits::default() };
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
                Outgoing::Log { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        timers.sort_unstable();
        assert!(!timers.is_empty(), "the script waits for something that never comes");
        let (_, id) = timers.remove(0);
        work.extend(instance.fire_timer(id).expect("a turn"));
    }
}
