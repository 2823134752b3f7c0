//! Heavy work by [`Engine::compute`] beside the same asset in wasmtime without anything around it, in one run.

use std::time::{Duration, Instant};

use entresol_sandbox::{ComputeLimits, Engine};
use wasmtime::{Linker, Module, Store};

const WORK: &[u8] = include_bytes!("../../assets/work.wasm");

/// Times of one comparison.
#[derive(Clone, Copy, Debug)]
pub struct Compared {
    /// wasmtime directly: no interruption, no gate, its own thread.
    pub direct: Duration,
    /// [`Engine::compute`], from the call to the output.
    pub compute: Duration,
}

impl Compared {
    /// How many times as long.
    pub fn ratio(&self) -> f64 {
        self.compute.as_secs_f64() / self.direct.as_secs_f64()
    }
}

/// The shortest of `times` runs each, taken in turn so that both see the same machine. `rounds` digests of a digest:
/// pure arithmetic, 64 rounds of SHA-256 over registers and a small table.
pub fn chain(engine: &Engine, rounds: u32, times: usize) -> Compared {
    compare(engine, "chain", &rounds.to_le_bytes(), times)
}

/// The same over `bytes` bytes of input: copying in, reading memory, arithmetic.
pub fn sha256(engine: &Engine, bytes: usize, times: usize) -> Compared {
    compare(engine, "sha256", &vec![7; bytes], times)
}

/// The least that a computation costs: nothing is computed.
pub fn echo(engine: &Engine, bytes: usize, times: usize) -> Compared {
    compare(engine, "echo", &vec![7; bytes], times)
}

fn compare(engine: &Engine, export: &str, input: &[u8], times: usize) -> Compared {
    let limits = ComputeLimits { cpu: Duration::from_secs(600), ..ComputeLimits::default() };
    let asset = engine.asset(WORK).expect("the asset compiles");
    let plain = wasmtime::Engine::default();
    let module = Module::from_binary(&plain, WORK).expect("the asset compiles");
    let mut linker = Linker::new(&plain);
    linker.func_wrap("entresol", "progress", |_: f64, _: f64| {}).expect("links");
    linker.func_wrap("entresol", "fail", |_: u32, _: u32| {}).expect("links");
    let linked = linker.instantiate_pre(&module).expect("links");
    let direct = || {
        let mut store = Store::new(&plain, ());
        let instance = linked.instantiate(&mut store).expect("instantiates");
        let memory = instance.get_memory(&mut store, "memory").expect("has a memory");
        let allocate = instance.get_typed_func::<u32, u32>(&mut store, "allocate").expect("is there");
        let entry = instance.get_typed_func::<(u32, u32), u64>(&mut store, export).expect("is there");
        let length = u32::try_from(input.len()).expect("fits");
        let at = allocate.call(&mut store, length).expect("allocates");
        memory.write(&mut store, at as usize, input).expect("fits");
        let packed = entry.call(&mut store, (at, length)).expect("computes");
        let mut output = vec![0; (packed & u64::from(u32::MAX)) as usize];
        memory.read(&store, (packed >> 32) as usize, &mut output).expect("is there");
        output
    };
    let ours = || engine.compute(&asset, export, input.to_vec(), &limits).expect("starts").wait().expect("computes");
    assert_eq!(direct(), ours(), "both compute the same");
    let timed = |work: &dyn Fn() -> Vec<u8>| {
        let begun = Instant::now();
        std::hint::black_box(work());
        begun.elapsed()
    };
    let mut best = Compared { direct: Duration::MAX, compute: Duration::MAX };
    for _ in 0..times {
        best.direct = best.direct.min(timed(&direct));
        best.compute = best.compute.min(timed(&ours));
    }
    best
}
