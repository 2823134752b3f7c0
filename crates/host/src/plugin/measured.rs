//! The daemon's own way into a plugin, without a wallet around it: for `benches/sandbox.rs`, which measures it.

use super::budgets::Budgets;
use super::{Program, crypto, instantiate};
use crate::HostError;
use entresol_package::manifest::LimitSet;
use entresol_sandbox::{Engine, HostCalls, Instance, Limits, ModuleKind, Outgoing};
use serde_json::Value as Json;
use std::sync::Arc;

/// Starts an ES module as a plugin: evaluated or restored, constructed, its interface read.
///
/// # Errors
/// As for any plugin that does not start.
pub fn start(
    engine: &Engine,
    file: &str,
    source: &str,
    limits: &Limits,
    context: &Json,
) -> Result<(Instance, Vec<Outgoing>), HostError> {
    let program = Program {
        solution: 0,
        name: file.to_owned(),
        file: file.to_owned(),
        source: source.to_owned(),
        kind: ModuleKind::EsModule,
        limits: limits.clone(),
        budgets: Arc::new(Budgets::new(LimitSet::granted(&[]))),
        context: context.clone(),
        desk: std::sync::Arc::default(),
        interface_digest: String::new(),
    };
    instantiate(engine, &program, None).map(|(instance, outgoing, _)| (instance, outgoing))
}

/// What answers a plugin's synchronous calls.
#[must_use]
pub fn host_calls() -> Box<dyn HostCalls> {
    Box::new(crypto::Crypto)
}
