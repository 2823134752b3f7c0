//! The real engine, real threads, real deadlines: what a script can do, and what it cannot.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::*;
use crate::{LogLevel, ModuleKind};

mod corpus;
mod globals;
mod hostile;
mod isolation;
mod snapshots;
mod webassembly;

/// One compiled engine for all tests of this process.
fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(None).expect("the committed engine compiles"))
}

/// Glue as an embedder would write it: a message is JSON with the name of an export and its parameter, the answer is
/// what the export's promise came to.
const GLUE: &str = r#"
    const { JSONParse, JSONStringify, PromiseResolve, PromisePrototypeThen, ReflectApply, Object } = primordials;
    boundary.onMessage = (text) => {
        const { name, value } = JSONParse(text);
        const answer = (key, result) => boundary.post(JSONStringify({ __proto__: null, [key]: result }));
        const run = new primordials.Promise((resolve) => resolve(ReflectApply(boundary.script()[name], undefined, [value])));
        PromisePrototypeThen(run, (result) => answer("result", result), (error) => answer("error", `${error}`));
    };
"#;

const PRELUDE: Script<'static> = Script { name: "glue.js", source: GLUE, kind: ModuleKind::CommonJs };

/// Host calls of the tests: `echo`, `reverse`, `fail`, `panic`; repeatable randomness and a clock of their own.
struct Host;

impl HostCalls for Host {
    fn call(&mut self, name: &str, payload: &[u8]) -> Result<Vec<u8>, String> {
        match name {
            "echo" => Ok(payload.to_vec()),
            "reverse" => Ok(payload.iter().rev().copied().collect()),
            "panic" => panic!("asked to"),
            _ => Err(format!("no host call {name}")),
        }
    }

    fn random(&mut self, into: &mut [u8]) -> Result<(), String> {
        for (i, byte) in into.iter_mut().enumerate() {
            *byte = (i * 37 + 11) as u8;
        }
        Ok(())
    }

    fn now_millis(&mut self) -> u64 {
        1_700_000_000_123
    }
}

fn limits() -> Limits {
    Limits { turn: Duration::from_secs(20), ..Limits::default() }
}

fn quick() -> Limits {
    Limits { turn: Duration::from_millis(300), memory_bytes: 16 << 20, ..Limits::default() }
}

fn start_with(limits: &Limits, kind: ModuleKind, source: &str) -> Result<(Instance, Vec<Outgoing>), SandboxError> {
    let script = Script { name: "script.js", source, kind };
    Instance::start(engine(), limits, &[PRELUDE], Some(script), Box::new(Host))
}

fn start(source: &str) -> Instance {
    let (instance, outgoing) = start_with(&limits(), ModuleKind::EsModule, source).expect("the script starts");
    assert_eq!(outgoing, [], "nothing is said before it is asked");
    instance
}

fn ask(instance: &mut Instance, name: &str, value: &str) -> Result<Vec<Outgoing>, SandboxError> {
    instance.turn(format!(r#"{{"name":"{name}","value":{value}}}"#).as_bytes())
}

fn messages(outgoing: Vec<Outgoing>) -> Vec<String> {
    let text = |one| match one {
        Outgoing::Message(bytes) => Some(String::from_utf8(bytes).expect("messages are UTF-8")),
        _ => None,
    };
    outgoing.into_iter().filter_map(text).collect()
}

/// Evaluates `expression` in an async function and gives what it came to, as JSON; timers fire in order at once.
fn result_of(expression: &str) -> String {
    let mut instance = start(&format!("export default {{ async run() {{ return {expression}; }} }};"));
    run_to_answer(&mut instance)
}

fn run_to_answer(instance: &mut Instance) -> String {
    let mut due = VecDeque::new();
    let mut outgoing = ask(instance, "run", "null").expect("the turn ends well");
    loop {
        for one in outgoing {
            match one {
                Outgoing::Message(text) => return String::from_utf8(text).expect("messages are UTF-8"),
                Outgoing::Timer { id, delay_ms } => due.push_back((delay_ms, id)),
                Outgoing::ClearTimer { id } => due.retain(|(_, waiting)| *waiting != id),
                other => panic!("unexpected: {other:?}"),
            }
        }
        due.make_contiguous().sort_by_key(|(delay, _)| *delay);
        let (_, id) = due.pop_front().expect("an answer, or a timer that leads to one");
        outgoing = instance.fire_timer(id).expect("the turn ends well");
    }
}

#[track_caller]
fn check(expression: &str, expected: &str) {
    assert_eq!(result_of(expression), format!(r#"{{"result":{expected}}}"#), "{expression}");
}

#[test]
fn an_es_module_answers_through_its_default_export() {
    let mut instance =
        start("export default { add: ({ a, b }) => a + b, async later(x) { await null; return [x]; } };");
    assert_eq!(messages(ask(&mut instance, "add", r#"{"a":40,"b":2}"#).expect("well")), [r#"{"result":42}"#]);
    assert_eq!(messages(ask(&mut instance, "later", r#""é☂𝄞""#).expect("well")), [r#"{"result":["é☂𝄞"]}"#]);
}

#[test]
fn a_module_without_a_default_export_gives_its_namespace() {
    let mut instance = start("export const run = () => typeof boundary + typeof primordials;");
    assert_eq!(run_to_answer(&mut instance), r#"{"result":"undefinedundefined"}"#);
}

#[test]
fn common_js_is_run_as_a_function_and_may_hold_a_transpiled_default() {
    for source in [
        "module.exports = { run() { return 7; } };",
        "exports.run = function () { return 7; }; // no newline at the end",
        "exports.__esModule = true; exports.default = { run: () => 7 };",
    ] {
        let (mut instance, _) = start_with(&limits(), ModuleKind::CommonJs, source).expect("the script starts");
        assert_eq!(run_to_answer(&mut instance), r#"{"result":7}"#);
    }
}

#[test]
fn a_prelude_may_be_a_module_and_capture_the_boundary() {
    let glue = Script {
        name: "glue.mjs",
        source: "const mine = boundary; mine.onMessage = (text) => mine.post(text + typeof mine.script());",
        kind: ModuleKind::EsModule,
    };
    let script = Script { name: "s", source: "export default function () {}", kind: ModuleKind::EsModule };
    let (mut instance, _) =
        Instance::start(engine(), &limits(), &[glue], Some(script), Box::new(Host)).expect("starts");
    assert_eq!(messages(instance.turn(b"a ").expect("well")), ["a function"]);
    let (mut bare, _) = Instance::start(engine(), &limits(), &[glue], None, Box::new(Host)).expect("starts");
    assert_eq!(messages(bare.turn(b"a ").expect("well")), ["a undefined"]);
}

#[test]
fn imports_are_refused_and_say_what_to_do() {
    for (kind, source) in [
        (ModuleKind::EsModule, "import 'fs'; export default 1;"),
        (ModuleKind::EsModule, "import glue from 'glue.js'; export default 1;"),
        (ModuleKind::EsModule, "await import('script.js');"),
        (ModuleKind::CommonJs, "require('ethers');"),
    ] {
        match start_with(&limits(), kind, source) {
            Err(SandboxError::Script { message, .. }) => assert!(message.contains("bundle what it needs"), "{message}"),
            other => panic!("{source}: {other:?}"),
        }
    }
}

#[test]
fn an_evaluation_that_fails_says_where() {
    let source = "\nfunction inner() { throw new RangeError('no'); }\n\ninner();";
    for kind in [ModuleKind::EsModule, ModuleKind::CommonJs] {
        match start_with(&limits(), kind, source) {
            Err(SandboxError::Script { message, stack }) => {
                assert_eq!(message, "RangeError: no");
                assert!(stack.contains("inner (script.js:2:"), "{stack}");
                assert!(stack.contains("script.js:4:"), "{stack}");
            }
            other => panic!("{other:?}"),
        }
    }
    match start_with(&limits(), ModuleKind::EsModule, "let a = ;") {
        Err(SandboxError::Script { message, stack }) => {
            assert!(message.starts_with("SyntaxError"), "{message}");
            assert!(stack.contains("script.js:1:"), "{stack}");
        }
        other => panic!("{other:?}"),
    }
    let waits = start_with(&limits(), ModuleKind::EsModule, "await new Promise(() => {});");
    assert!(matches!(waits, Err(SandboxError::Script { message, .. }) if message.contains("top-level await")));
}

#[test]
fn errors_that_nobody_catches_are_reported_with_the_scripts_own_stack() {
    let mut instance = start(
        "export default {
            reject() { (async function lost() { null.x; })(); Promise.reject('bare'); return 1; },
            late() { const p = Promise.reject(new Error('caught late')); queueMicrotask(() => p.catch(() => {})); return 2; },
            micro() { queueMicrotask(function boom() { throw new Error('micro'); }); return 3; },
            odd() { Promise.reject({ toString() { throw 1; } }); return 4; },
        };",
    );
    let outgoing = ask(&mut instance, "reject", "null").expect("the instance goes on");
    let reports: Vec<_> = outgoing.iter().filter(|one| matches!(one, Outgoing::Uncaught { .. })).collect();
    assert_eq!(reports.len(), 2, "{outgoing:?}");
    assert!(
        matches!(reports[0], Outgoing::Uncaught { message, stack } if message.starts_with("TypeError") && stack.contains("lost (script.js:2:"))
    );
    assert!(matches!(reports[1], Outgoing::Uncaught { message, stack } if message == "bare" && stack.is_empty()));
    assert_eq!(ask(&mut instance, "late", "null").expect("well"), [Outgoing::Message(br#"{"result":2}"#.to_vec())]);
    let outgoing = ask(&mut instance, "micro", "null").expect("well");
    assert!(
        outgoing.iter().any(|one| matches!(one, Outgoing::Uncaught { message, stack } if message == "Error: micro" && stack.contains("boom (script.js:"))),
        "{outgoing:?}"
    );
    let outgoing = ask(&mut instance, "odd", "null").expect("well");
    assert!(
        outgoing
            .iter()
            .any(|one| matches!(one, Outgoing::Uncaught { message, .. } if message.contains("cannot be printed")))
    );
}

#[test]
fn host_calls_answer_in_the_type_they_were_asked_in() {
    let glue = Script {
        name: "glue.js",
        kind: ModuleKind::CommonJs,
        source: r#"
            boundary.onMessage = () => {
                boundary.post(boundary.call("reverse", "abc"));
                boundary.post(JSON.stringify([...boundary.call("reverse", new Uint8Array([1, 2, 3, 0, 255]).subarray(1))]));
                boundary.post(String(boundary.call("echo", new Uint8Array(0)).length) + boundary.call("echo"));
                try { boundary.call("nothing"); } catch (error) { boundary.post(`${error instanceof Error} ${error.message}`); }
                try { boundary.call("echo", new Uint8Array(2000000)); } catch (error) { boundary.post(error.message); }
            };"#,
    };
    let (mut instance, _) = Instance::start(engine(), &limits(), &[glue], None, Box::new(Host)).expect("starts");
    assert_eq!(
        messages(instance.turn(b"").expect("well")),
        [
            "cba",
            "[255,0,3,2]",
            "0",
            "true no host call nothing",
            "the payload of 2000000 bytes is larger than the host takes"
        ]
    );
}

#[test]
fn a_panicking_host_call_ends_the_instance_and_nothing_else() {
    let glue = Script {
        name: "glue.js",
        kind: ModuleKind::CommonJs,
        source: "boundary.onMessage = (text) => boundary.post(boundary.call(text, 'x'));",
    };
    let started = || Instance::start(engine(), &limits(), &[glue], None, Box::new(Host)).expect("starts").0;
    let (mut lost, mut neighbour) = (started(), started());
    assert!(matches!(lost.turn(b"panic"), Err(SandboxError::Host(HostFault::Panicked))));
    assert!(matches!(lost.turn(b"echo"), Err(SandboxError::Host(HostFault::Panicked))));
    assert_eq!(messages(neighbour.turn(b"echo").expect("well")), ["x"]);
}

#[test]
fn timers_fire_once_and_intervals_again() {
    let mut instance = start(
        "export default { run() {
            let n = 0;
            setTimeout((a, b) => console.log('timeout', a, b), 50, 1, 'two');
            const repeat = setInterval(() => { console.log('tick', ++n); if (n === 2) clearInterval(repeat); }, 20);
            clearTimeout(setTimeout(() => console.log('never'), 5));
            clearTimeout(undefined); clearTimeout(999);
        } };",
    );
    let outgoing = ask(&mut instance, "run", "null").expect("well");
    let [
        Outgoing::Timer { id: one, delay_ms: 50 },
        Outgoing::Timer { id: two, delay_ms: 20 },
        Outgoing::Timer { id: three, .. },
        Outgoing::ClearTimer { id: cleared },
        Outgoing::Message(_),
    ] = outgoing.as_slice()
    else {
        panic!("{outgoing:?}")
    };
    assert_eq!(three, cleared);
    let log = |text: &str| Outgoing::Log { level: LogLevel::Info, text: text.to_owned() };
    assert_eq!(instance.fire_timer(*three).expect("well"), []);
    assert_eq!(instance.fire_timer(*one).expect("well"), [log("timeout 1 two")]);
    assert_eq!(instance.fire_timer(*one).expect("well"), []);
    assert_eq!(instance.fire_timer(*two).expect("well"), [Outgoing::Timer { id: *two, delay_ms: 20 }, log("tick 1")]);
    assert_eq!(
        instance.fire_timer(*two).expect("well"),
        [Outgoing::Timer { id: *two, delay_ms: 20 }, log("tick 2"), Outgoing::ClearTimer { id: *two }]
    );
    assert_eq!(instance.fire_timer(*two).expect("well"), []);
    assert_eq!(instance.fire_timer(4_000_000_000).expect("well"), []);
}

#[test]
fn a_message_without_a_handler_is_an_uncaught_error() {
    let (mut instance, _) = Instance::start(engine(), &limits(), &[], None, Box::new(Host)).expect("starts");
    let outgoing = instance.turn(b"hello").expect("the instance goes on");
    assert!(
        matches!(&outgoing[..], [Outgoing::Uncaught { message, .. }] if message.contains("onMessage is not set")),
        "{outgoing:?}"
    );
}

#[test]
fn bytes_that_are_not_utf8_arrive_as_replacement_characters_and_lone_surrogates_leave_as_such() {
    let glue = Script {
        name: "glue.js",
        kind: ModuleKind::CommonJs,
        source: "boundary.onMessage = (text) => boundary.post(text + '\\ud800');",
    };
    let (mut instance, _) = Instance::start(engine(), &limits(), &[glue], None, Box::new(Host)).expect("starts");
    assert_eq!(messages(instance.turn(b"a\xff\x00b").expect("well")), ["a\u{fffd}\0b\u{fffd}"]);
}

#[test]
fn instances_can_move_between_threads() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let mut instance = is_send(start("export default { run: () => 1 };"));
    let answer = std::thread::spawn(move || run_to_answer(&mut instance)).join().expect("no panic");
    assert_eq!(answer, r#"{"result":1}"#);
}
