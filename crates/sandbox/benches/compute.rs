//! `cargo bench -p entresol-sandbox --bench compute`: heavy work and a script's own
//! modules against wasmtime directly, as JSON.
#![allow(clippy::print_stdout, missing_docs, unreachable_pub, reason = "a measurement is there to be printed")]

#[path = "support/compute.rs"]
mod compute;
#[path = "support/webassembly.rs"]
mod webassembly;

use entresol_sandbox::Engine;

fn main() {
    let engine = Engine::new(None).expect("the engine fits this build");
    let rows = [
        ("chain, 300 000 rounds", compute::chain(&engine, 300_000, 12)),
        ("sha256 of 8 MiB", compute::sha256(&engine, 8 << 20, 12)),
        ("echo of 1 KiB", compute::echo(&engine, 1 << 10, 200)),
    ];
    let mut rows: Vec<_> = rows
        .iter()
        .map(|(name, row)| {
            serde_json::json!({
                "what": name,
                "direct_ms": row.direct.as_secs_f64() * 1e3,
                "compute_ms": row.compute.as_secs_f64() * 1e3,
                "ratio": row.ratio(),
            })
        })
        .collect();
    rows.extend(webassembly::rows(&engine, 7));
    println!("{}", serde_json::json!(rows));
}
