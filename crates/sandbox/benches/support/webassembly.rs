//! A module by the JavaScript `WebAssembly` API of a script, beside the same module in wasmtime directly and in Node.

use std::process::Command;
use std::time::{Duration, Instant};

use entresol_sandbox::{Engine, HostCalls, Instance, Limits, ModuleKind, Outgoing, Script};
use wasmtime::{Linker, Module, Store};

const WORK: &[u8] = include_bytes!("../../assets/work.wasm");

/// Digests of a digest: a call that computes for long.
const ROUNDS: u32 = 300_000;
/// Bytes that are hashed in one call: a call that reads memory.
const BYTES: u32 = 8 << 20;
/// Calls that do next to nothing.
const CALLS: u32 = 200_000;

/// `sha256` of no bytes is the shortest call the asset has that takes and gives numbers; `echo` computes nothing.
const SCRIPT: &str = "
const it = new WebAssembly.Instance(new WebAssembly.Module(WORK), { entresol: { progress() {}, fail() {} } }).exports;
const place = (bytes) => { const at = it.allocate(bytes.length); new Uint8Array(it.memory.buffer).set(bytes, at); return at; };
const back = new WebAssembly.Instance(new WebAssembly.Module(BACK), { e: { f: (x) => x } }).exports;
const plain = (at, length) => at;
const work = {
    chain(rounds) { it.chain(place(new Uint8Array(new Uint32Array([rounds]).buffer)), 4); },
    sha256(bytes) { it.sha256(it.allocate(bytes), bytes); },
    calls(times) { for (let i = 0; i < times; i++) it.echo(i, 1); },
    imports(times) { for (let i = 0; i < times; i++) back.go(i); },
    functions(times) { for (let i = 0; i < times; i++) plain(i, 1); },
};
";

/// `(module (import \"e\" \"f\" (func $f (param i32) (result i32))) (func (export \"go\") (param i32) (result i32) (call $f (local.get 0))))`
const BACK: &[u8] = &[
    0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 127, 1, 127, 2, 7, 1, 1, 101, 1, 102, 0, 0, 3, 2, 1, 0, 7, 6, 1, 2,
    103, 111, 0, 1, 10, 8, 1, 6, 0, 32, 0, 16, 0, 11,
];

struct Nothing;

impl HostCalls for Nothing {
    fn call(&mut self, name: &str, _: &[u8]) -> Result<Vec<u8>, String> {
        Err(format!("no host call {name}"))
    }
}

/// Rows of the measurement, as JSON: the shortest of `times` runs each, milliseconds.
pub fn rows(engine: &Engine, times: usize) -> Vec<serde_json::Value> {
    let source = format!("const WORK = new Uint8Array({WORK:?}), BACK = new Uint8Array({BACK:?});\n{SCRIPT}");
    [
        ("chain", ROUNDS, direct("chain", &ROUNDS.to_le_bytes(), times)),
        ("sha256", BYTES, direct("sha256", &vec![0; BYTES as usize], times)),
        ("calls", CALLS, direct_calls(times)),
        ("imports", CALLS, None),
        ("functions", CALLS, None),
    ]
    .into_iter()
    .map(|(name, amount, direct)| {
        let inside = inside(engine, &source, name, amount, times);
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        serde_json::json!({
            "what": name,
            "amount": amount,
            "direct_ms": direct.map(milliseconds),
            "script_ms": milliseconds(inside),
            "ratio": direct.map(|direct| inside.as_secs_f64() / direct.as_secs_f64()),
            "node_ms": node(&source, name, amount, times),
        })
    })
    .collect()
}

fn inside(engine: &Engine, source: &str, name: &str, amount: u32, times: usize) -> Duration {
    let limits = Limits { webassembly: true, turn: Duration::from_secs(60), cpu_percent: 100, ..Limits::default() };
    let glue = Script {
        name: "glue.js",
        source: "boundary.onMessage = (text) => { const [name, amount] = JSON.parse(text); boundary.script()[name](amount); boundary.post('done'); };",
        kind: ModuleKind::CommonJs,
    };
    let source = format!("{source}\nexport default work;");
    let script = Script { name: "script.js", source: &source, kind: ModuleKind::EsModule };
    let mut best = Duration::MAX;
    for _ in 0..times {
        let (mut instance, _) =
            Instance::start(engine, &limits, &[glue], Some(script), Box::new(Nothing)).expect("starts");
        let message = format!("[{name:?},{amount}]");
        let begun = Instant::now();
        let outgoing = instance.turn(message.as_bytes()).expect("computes");
        best = best.min(begun.elapsed());
        assert_eq!(outgoing, [Outgoing::Message(b"done".to_vec())]);
    }
    best
}

fn direct(export: &str, input: &[u8], times: usize) -> Option<Duration> {
    let plain = wasmtime::Engine::default();
    let module = Module::from_binary(&plain, WORK).expect("the asset compiles");
    let mut linker = Linker::new(&plain);
    linker.func_wrap("entresol", "progress", |_: f64, _: f64| {}).expect("links");
    linker.func_wrap("entresol", "fail", |_: u32, _: u32| {}).expect("links");
    let timed = || {
        let mut store = Store::new(&plain, ());
        let instance = linker.instantiate(&mut store, &module).expect("instantiates");
        let memory = instance.get_memory(&mut store, "memory").expect("has a memory");
        let allocate = instance.get_typed_func::<u32, u32>(&mut store, "allocate").expect("is there");
        let entry = instance.get_typed_func::<(u32, u32), u64>(&mut store, export).expect("is there");
        let length = u32::try_from(input.len()).expect("fits");
        let at = allocate.call(&mut store, length).expect("allocates");
        memory.write(&mut store, at as usize, input).expect("fits");
        let begun = Instant::now();
        std::hint::black_box(entry.call(&mut store, (at, length)).expect("computes"));
        begun.elapsed()
    };
    (0..times).map(|_| timed()).min()
}

fn direct_calls(times: usize) -> Option<Duration> {
    let plain = wasmtime::Engine::default();
    let module = Module::from_binary(&plain, WORK).expect("the asset compiles");
    let mut linker = Linker::new(&plain);
    linker.func_wrap("entresol", "progress", |_: f64, _: f64| {}).expect("links");
    linker.func_wrap("entresol", "fail", |_: u32, _: u32| {}).expect("links");
    let mut store = Store::new(&plain, ());
    let instance = linker.instantiate(&mut store, &module).expect("instantiates");
    let entry = instance.get_typed_func::<(u32, u32), u64>(&mut store, "echo").expect("is there");
    let mut timed = || {
        let begun = Instant::now();
        for i in 0..CALLS {
            std::hint::black_box(entry.call(&mut store, (i, 1)).expect("computes"));
        }
        begun.elapsed()
    };
    (0..times).map(|_| timed()).min()
}

/// Milliseconds in Node; nothing where there is no Node.
fn node(source: &str, name: &str, amount: u32, times: usize) -> Option<f64> {
    let main = format!(
        "{source}\nlet best = Infinity;\nfor (let i = 0; i < {times}; i++) {{ const begun = performance.now(); work.{name}({amount}); best = Math.min(best, performance.now() - begun); }}\nconsole.log(best);"
    );
    let said = Command::new("node").args(["-e", &main]).output().ok()?;
    String::from_utf8(said.stdout).ok()?.trim().parse().ok()
}
