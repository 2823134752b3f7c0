//! Hostile scripts of every kind and an honest one, as an embedder runs them: shared by the test and the bench.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use entresol_sandbox::{
    Engine, HostCalls, Input, Instance, Limits, LogLevel, Meter, ModuleKind, Outgoing, Runner, SandboxError, Script,
};
use tokio::time::Instant;

/// What becomes of a hostile script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its CPU time of a turn is used up.
    Deadline,
    /// Its memory is full.
    Memory,
    /// The engine's own stack is.
    Stack,
    /// It posts, or orders timers, without end.
    Flood,
    /// It breaks no limit of a turn and is held back when its share of CPU is used up.
    HeldBack,
    /// It logs without end: the rest is dropped, and how much is said.
    Cut,
    /// An error of its own that is reported; it does no harm.
    Reported,
}

/// Name, what its `run` does, what becomes of it.
pub(crate) const KINDS: [(&str, &str, Fate); 25] = [
    ("endless loop", "for (;;) {}", Fate::Deadline),
    ("loop that catches", "for (;;) { try { for (;;) {} } catch {} finally { continue; } }", Fate::Deadline),
    ("microtask storm", "queueMicrotask(function again() { queueMicrotask(again); });", Fate::Deadline),
    ("promise storm", "(async () => { for (;;) await null; })();", Fate::Deadline),
    ("promise chain", "const again = () => { Promise.resolve().then(again); }; again();", Fate::Deadline),
    ("backtracking regexp", "/^(a+)+$/.test('a'.repeat(40) + 'b');", Fate::Deadline),
    ("growing BigInt", "let x = 3n; for (;;) x = x * x % (1n << 60000n);", Fate::Deadline),
    ("sorting", "const a = Array.from({ length: 20000 }, (_, i) => -i); for (;;) a.sort();", Fate::Deadline),
    ("searching text", "const s = 'a'.repeat(4e6); for (;;) s.indexOf('b');", Fate::Deadline),
    ("host services", "for (;;) new URL('http://a/' + Math.random());", Fate::Deadline),
    ("randomness", "const b = new Uint8Array(60000); for (;;) crypto.getRandomValues(b);", Fate::Deadline),
    ("endless toJSON", "JSON.stringify({ toJSON() { for (;;); } });", Fate::Deadline),
    ("endless getter", "return { get x() { for (;;); } };", Fate::Deadline),
    ("endless proxy", "return new Proxy({}, { ownKeys() { for (;;); } });", Fate::Deadline),
    ("endless thenable", "return { then() { for (;;); } };", Fate::Deadline),
    ("arrays", "setTimeout(() => { const all = []; for (;;) all.push(new Uint8Array(100000)); }, 1);", Fate::Memory),
    ("small objects", "setTimeout(() => { let list = null; for (;;) list = { list }; }, 1);", Fate::Memory),
    ("map", "setTimeout(() => { const m = new Map(); for (let i = 0; ; i++) m.set(i, [i]); }, 1);", Fate::Memory),
    ("nested JSON", "setTimeout(() => JSON.parse('['.repeat(200000)), 1);", Fate::Stack),
    ("message storm", "for (;;) { try { send('x'.repeat(1000)); } catch {} }", Fate::Flood),
    ("timer storm", "for (;;) clearTimeout(setTimeout(() => {}));", Fate::Flood),
    (
        "storm of short turns",
        "setTimeout(function again() { setTimeout(again); let n = 0; for (let i = 0; i < 2e5; i++) n += i; }, 1);",
        Fate::HeldBack,
    ),
    (
        "intervals",
        "for (let i = 0; i < 500; i++) setInterval(() => { for (let n = 0; n < 2e4; n++); }, 10);",
        Fate::HeldBack,
    ),
    ("log storm", "for (let i = 0; i < 1e5; i++) console.log('flood', i);", Fate::Cut),
    ("recursion", "const f = () => f(); setTimeout(f, 1);", Fate::Reported),
];

const GLUE: &str = r#"
    const { JSONParse, JSONStringify, PromisePrototypeThen, ReflectApply } = primordials;
    globalThis.send = (text) => boundary.post(text);
    boundary.onMessage = (text) => {
        const { name, value } = JSONParse(text);
        const answer = (key, result) => boundary.post(JSONStringify({ __proto__: null, [key]: result }));
        const run = new primordials.Promise((resolve) => resolve(ReflectApply(boundary.script()[name], undefined, [value])));
        PromisePrototypeThen(run, (result) => answer("result", result), (error) => answer("error", `${error}`));
    };
"#;

struct Host;

impl HostCalls for Host {
    fn call(&mut self, name: &str, _: &[u8]) -> Result<Vec<u8>, String> {
        Err(format!("no host call {name}"))
    }
}

/// Starts a script whose `run` is `body`, beside the honest `greet`.
pub(crate) async fn start(engine: &Engine, limits: &Limits, body: &str) -> Result<Runner, SandboxError> {
    let source = format!(
        "export default {{ run() {{ {body} }}, greet: ({{ name, items }}) => ({{ hello: name, sum: items.reduce((a, b) => a + b, 0) }}) }};"
    );
    let (engine, limits) = (engine.clone(), limits.clone());
    let started = tokio::task::spawn_blocking(move || {
        let prelude = Script { name: "glue.js", source: GLUE, kind: ModuleKind::CommonJs };
        let script = Script { name: "script.js", source: &source, kind: ModuleKind::EsModule };
        Instance::start(&engine, &limits, &[prelude], Some(script), Box::new(Host))
    });
    Ok(started.await.expect("a start does not panic")?.0.into_runner())
}

/// What was seen of a hostile script.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) messages: AtomicU64,
    pub(crate) dropped_logs: AtomicU64,
    pub(crate) uncaught: AtomicU64,
}

/// Calls `run` and serves its timers until it has ended, and gives the reason.
pub(crate) async fn provoke(mut runner: Runner, seen: &Seen) -> SandboxError {
    let mut due = BinaryHeap::new();
    let _ = runner.send(Input::Message(br#"{"name":"run","value":null}"#.to_vec()));
    loop {
        let next = due.peek().map(|Reverse((at, _))| *at);
        let far = Instant::now() + Duration::from_secs(3600);
        tokio::select! {
            outcome = runner.next() => match outcome {
                None => return SandboxError::Cancelled,
                Some(Err(reason)) => return reason,
                Some(Ok(outgoing)) => {
                    for one in outgoing {
                        match one {
                            Outgoing::Timer { id, delay_ms } => {
                                due.push(Reverse((Instant::now() + Duration::from_millis(delay_ms), id)));
                            }
                            Outgoing::Message(_) => { seen.messages.fetch_add(1, Ordering::Relaxed); }
                            Outgoing::Uncaught { .. } => { seen.uncaught.fetch_add(1, Ordering::Relaxed); }
                            Outgoing::Log { level: LogLevel::Warn, text } if text.contains("were dropped") => {
                                seen.dropped_logs.fetch_add(1, Ordering::Relaxed);
                            }
                            _ => {}
                        }
                    }
                }
            },
            () = tokio::time::sleep_until(next.unwrap_or(far)) => {
                if let Some(Reverse((_, id))) = due.pop() {
                    let _ = runner.send(Input::Timer(id));
                }
            }
        }
    }
}

/// One honest call and the time until its answer.
pub(crate) async fn greet(runner: &mut Runner, number: usize) -> Duration {
    let started = Instant::now();
    let message = format!(r#"{{"name":"greet","value":{{"name":"n{number}","items":[1,2,3,{number}]}}}}"#);
    runner.send(Input::Message(message.into_bytes())).expect("it is alive");
    let outgoing = runner.next().await.expect("an answer").expect("a turn that ends well");
    let taken = started.elapsed();
    let expected = format!(r#"{{"result":{{"hello":"n{number}","sum":{}}}}}"#, number + 6);
    assert_eq!(outgoing, [Outgoing::Message(expected.into_bytes())]);
    taken
}

/// The honest one has the limits of any plugin.
pub(crate) async fn honest(engine: &Engine) -> (Runner, Meter) {
    let runner = start(engine, &Limits::default(), "").await.expect("it starts");
    let meter = runner.meter();
    (runner, meter)
}
