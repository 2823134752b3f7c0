//! Calls through the whole host: the caller and its grant, the solution's row, the parameters' types, the actor, the glue,
//! the result's types. The action only reads, so nothing is journaled: what a durable write costs, the bench `store` says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use entresol_host::Caller;
use entresol_host::messages::{CallInput, CallerGrantInput};
use serde_json::json;

use crate::support::{Anvil, USER, Wallet};
use crate::{figure, milliseconds, quantile};

const CALLS: usize = 20_000;
const SCRIPT: &str = "export default class {
    layer2Interface = {
        actions: [{
            name: 'echo', readOnly: true, call: ({ value }) => value,
            params: [{ name: 'toAddress', type: 'address' }, { name: 'value', type: 'uint256' }],
            returns: [{ name: 'value', type: 'uint256' }],
        }],
        state: [],
    };
}";

pub(crate) fn round_trips(calls: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let anvil = Anvil::start().await;
        let wallet = Arc::new(Wallet::new(&anvil).await);
        wallet.install("plain", SCRIPT, None).await.expect("installed");
        let caller = Caller::Site { profile: "p".into(), origin: "https://shop.example".into() };
        let grant = CallerGrantInput {
            caller: Some(caller.key()),
            solution: "plain".into(),
            actions: vec!["echo".into()],
            state: Vec::new(),
            expires_at: None,
        };
        wallet.host().caller_grant(&USER, grant).await.expect("granted");
        many(&wallet, &caller, 16, calls / 10).await;
        for flight in [1, 16] {
            let begun = Instant::now();
            let mut times = many(&wallet, &caller, flight, calls).await;
            let took = begun.elapsed();
            let half = figure(
                &format!("call through the host, {flight} in flight, p50"),
                milliseconds(quantile(&mut times, 0.5)),
                "ms",
            );
            if flight == 1 { half.at_most(0.1) } else { half }.say();
            let late = milliseconds(quantile(&mut times, 0.99));
            figure(&format!("call through the host, {flight} in flight, p99"), late, "ms").say();
            let rate = times.len() as f64 / took.as_secs_f64();
            let rate = figure(&format!("calls a second through the host, {flight} in flight"), rate, "1/s");
            if flight == 16 { rate.at_least(20_000.0) } else { rate }.say();
        }
        wallet.host().shutdown().await;
    });
}

/// So many at a time.
async fn many(wallet: &Arc<Wallet>, caller: &Caller, flight: usize, calls: usize) -> Vec<Duration> {
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..flight {
        let (wallet, caller) = (Arc::clone(wallet), caller.clone());
        callers.spawn(async move {
            let mut times = Vec::with_capacity(calls / flight);
            let params = json!({ "toAddress": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "value": "1000000000000" });
            let params = params.as_object().expect("an object").clone();
            for _ in 0..calls / flight {
                let input =
                    CallInput { solution: "plain".into(), action: "echo".into(), params: params.clone(), id: None };
                let begun = Instant::now();
                let answer = wallet.host().call_as(&caller, input, Vec::new()).await.expect("an answer");
                times.push(begun.elapsed());
                assert_eq!(answer, json!("1000000000000"));
            }
            times
        });
    }
    callers.join_all().await.concat()
}

/// The same again and again, for a profiler.
pub(crate) fn repeat() {
    round_trips(5 * CALLS);
}

pub(crate) fn measure() {
    round_trips(CALLS);
}
