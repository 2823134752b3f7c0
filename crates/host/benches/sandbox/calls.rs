//! What a call costs, and what cryptography costs inside, from the host, natively and in Node.

use std::time::{Duration, Instant};

use alloy::primitives::{Address, keccak256};
use entresol_sandbox::Engine;
use k256::ecdsa::SigningKey;
use secp256k1::Message;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::beside::Beside;
use crate::{Bundle, figure, microseconds, milliseconds, plugin, quantile};

const ECHO: &str = "export default class {
    constructor() {
        this.layer2Interface = { actions: [{ name: 'echo', params: [], call: ({ value }) => value }], state: [] };
    }
}";
const CALLS: usize = 40_000;

pub(crate) fn round_trips(beside: &Beside) {
    let engine = Engine::new(None).expect("an engine");
    let echo = Bundle { name: "echo", source: ECHO.to_owned(), first: ("echo", Value::Null) };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let value =
        json!({ "toAddress": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "value": { "$n": "1000000000000" } });
    for flight in [1, 16] {
        let mut runner = plugin::start(&engine, &echo, 0).into_runner();
        let value = value.clone();
        let (mut times, took) = runtime.block_on(async {
            tokio::spawn(async move {
                plugin::calls(&mut runner, "echo", &json!(1), CALLS / 10, flight).await;
                let begun = Instant::now();
                (plugin::calls(&mut runner, "echo", &value, CALLS, flight).await, begun.elapsed())
            })
            .await
            .expect("no panic")
        });
        let node = |what: &str| beside.number(&format!("calls {flight} {what}"));
        let worker = "Node, a worker";
        let half = milliseconds(quantile(&mut times, 0.5));
        let half = figure(&format!("call and answer, {flight} in flight, p50"), half, "ms");
        let half = if flight == 1 { half.at_most(0.1) } else { half };
        half.beside(worker, node("p50")).say();
        figure(&format!("call and answer, {flight} in flight, p99"), milliseconds(quantile(&mut times, 0.99)), "ms")
            .beside(worker, node("p99"))
            .say();
        let rate = figure(&format!("calls a second, {flight} in flight"), CALLS as f64 / took.as_secs_f64(), "1/s");
        let rate = if flight == 16 { rate.at_least(20_000.0) } else { rate };
        rate.beside(worker, node("rate")).say();
    }
}

/// Calls with 16 in flight again and again, for a profiler.
pub(crate) fn repeat() {
    let engine = Engine::new(None).expect("an engine");
    let echo = Bundle { name: "echo", source: ECHO.to_owned(), first: ("echo", Value::Null) };
    let mut runner = plugin::start(&engine, &echo, 0).into_runner();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let task = runtime.spawn(async move {
        let value =
            json!({ "toAddress": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "value": { "$n": "1000000000000" } });
        plugin::calls(&mut runner, "echo", &value, 5 * CALLS, 16).await.len()
    });
    runtime.block_on(task).expect("no panic");
}

/// The time of one of `count` times `work`.
fn each(count: u32, mut work: impl FnMut()) -> f64 {
    let begun = Instant::now();
    for _ in 0..count {
        work();
    }
    microseconds(begun.elapsed() / count)
}

pub(crate) fn cryptography(bundle: &Bundle, beside: &Beside) {
    let engine = Engine::new(None).expect("an engine");
    let mut instance = plugin::start(&engine, bundle, 0);
    // Of three, the least disturbed; a call that does nothing costs nothing that shows.
    let mut inside = |action: &str, value: Value, count: u32| {
        let mut times: Vec<Duration> = (0..3)
            .map(|_| {
                let begun = Instant::now();
                plugin::ask(&mut instance, action, &value);
                begun.elapsed()
            })
            .collect();
        microseconds(quantile(&mut times, 0.0) / count)
    };
    let key = SigningKey::from_slice(&[0x46; 32]).expect("a key");
    let hash = keccak256("measured");
    let (signature, recovery) = key.sign_prehash_recoverable(hash.as_slice()).expect("signed");
    let mut signed = signature.to_bytes().to_vec();
    signed.push(27 + recovery.to_byte());
    let (hash_text, signed_text) = (hash.to_string(), format!("0x{}", hex::encode(&signed)));

    for (label, size, count) in [("32 B", 32, 2000), ("64 KiB", 64 << 10, 20)] {
        let data = vec![7u8; size];
        let params = json!({ "n": count, "size": size });
        let native = each(count, || {
            std::hint::black_box(keccak256(std::hint::black_box(&data)));
        });
        figure(&format!("keccak256 of {label} by the host"), inside("hostKeccak", params.clone(), count), "µs")
            .beside("native", native)
            .say();
        let native = each(count, || {
            std::hint::black_box(Sha256::digest(std::hint::black_box(&data)));
        });
        figure(&format!("sha256 of {label} by the host"), inside("hostSha", params.clone(), count), "µs")
            .beside("native", native)
            .say();
        figure(&format!("keccak256 of {label} in JavaScript"), inside("keccak", params.clone(), count), "µs")
            .beside("Node", beside.number(&format!("keccak {size}")))
            .say();
        figure(&format!("sha256 of {label} in JavaScript"), inside("sha", params, count), "µs")
            .beside("Node", beside.number(&format!("sha {size}")))
            .say();
    }
    let native = each(200, || {
        // The library that the host takes.
        let id = if recovery.is_y_odd() { RecoveryId::One } else { RecoveryId::Zero };
        let signature = RecoverableSignature::from_compact(&signed[..64], id).expect("a signature");
        let key = signature.recover_ecdsa(Message::from_digest(hash.0)).expect("recovered");
        std::hint::black_box(Address::from_raw_public_key(&key.serialize_uncompressed()[1..]));
    });
    let params = json!({ "n": 200, "hash": hash_text, "signature": signed_text });
    figure("recover by the host", inside("hostRecover", params.clone(), 200), "µs").beside("native", native).say();
    figure("recover by the host, a batch of 200", inside("hostRecoverBatch", params, 200), "µs")
        .beside("native", native)
        .say();
    figure("secp256k1 sign in JavaScript", inside("sign", json!(20), 20), "µs")
        .beside("Node", beside.number("sign"))
        .say();
    figure("secp256k1 verify in JavaScript", inside("verify", json!(20), 20), "µs")
        .beside("Node", beside.number("verify"))
        .say();
}
