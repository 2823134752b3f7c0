//! The node of the payments layer 2: an operator or a replica behind one JSON-RPC port.
//!
//! **Who owns whom.** [`run`] starts one *core* thread (changes all state, takes every decision) with its *committer*
//! (writes promises, answers) and the *admission* threads (check signatures), one *follower* task (reads layer 1, tells
//! the core block by block), one *transactions* task (broadcasts what the core has signed and stored), on a replica
//! with `--operator-url` one task that asks the operator's node, and the JSON-RPC server. Everything that changes something reaches the core through one bounded queue; receipts are handed out after
//! their group is on the disk. When the cancellation token fires, the server stops accepting, the tasks end, and the core
//! ends last, after its queue is empty and everything is answered.
//!
//! What is *true* is what layer 1 says: the standing batches and the inbox are rebuilt from its events. What the
//! operator *promised* is the append-only message log: every receipted message that stands in no batch is queued
//! again, in order, whatever layer 1 did to the batches it was in.

mod admission;
mod adversary;
mod alerts;
mod args;
mod chain;
mod compare;
pub mod config;
mod core;
mod error;
mod exit;
mod fees;
mod gateway;
mod key;
mod layer1;
mod metrics;
mod monitor;
mod node;
mod parallel;
mod rpc;
mod sequencer;
mod show;
mod store;
mod transactions;

pub use args::{FinalAt, LogFormat, Misbehave, NodeArgs, PaymentsArgs, PaymentsCommand, Role};
pub use error::{Layer1Error, NodeError, StoreError};
pub use exit::{ExitArgs, ExitCall, ExitReport, Maturing, UnservedDeposit, Waiting, exit_from_layer1};
pub use node::Node;

use serde::Serialize;

/// What the caller is told once the node answers on its port.
#[derive(Clone, Debug, Serialize)]
pub struct Ready {
    /// WebSocket address, `ws://127.0.0.1:PORT`. The same port answers HTTP POST.
    pub listening: String,
    /// Where `GET /metrics` answers, `http://127.0.0.1:PORT/metrics`; absent without `--metrics-listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<String>,
}

/// Runs a node until SIGTERM or SIGINT. `ready` is called once, when the port answers.
///
/// # Errors
/// Anything that stops the node from starting: unreadable key file, wrong chain id, no gateway at the address, a store
/// of another gateway, a port in use; or a store that can no longer be written.
pub async fn run(args: NodeArgs, ready: impl FnOnce(&Ready) + Send) -> Result<(), NodeError> {
    let signals = node::signals().await?;
    let node = Node::start(args).await?;
    let metrics = node.metrics_address().map(|address| format!("http://{address}/metrics"));
    ready(&Ready { listening: format!("ws://{}", node.address()), metrics });
    node.until(signals).await
}
