//! The daemon's own way into a plugin, without a wallet around it: for `benches/sandbox.rs`, which measures it.

use super::budgets::Budgets;
use super::{Program, crypto, instantiate, prepare};
use crate::HostError;
use entresol_package::manifest::LimitSet;
use entresol_sandbox::{Engine, HostCalls, Instance, Limits, ModuleKind, Outgoing, SandboxError};
use serde_json::Value as Json;
use std::sync::Arc;

/// An ES module that is installed: what the daemon keeps of it between its lives.
#[derive(Debug)]
pub struct Installed(Program);

impl Installed {
    /// Takes the source; `context` is what its constructor is given.
    #[must_use]
    pub fn new(file: &str, source: &str, limits: &Limits, context: &Json) -> Self {
        Self(Program {
            solution: 0,
            name: file.to_owned(),
            script: prepare(limits, file.to_owned(), source.to_owned(), ModuleKind::EsModule),
            budgets: Arc::new(Budgets::new(LimitSet::granted(&[]))),
            context: context.clone(),
            desk: Arc::default(),
            interface_digest: String::new(),
        })
    }

    /// Evaluates or restores the script and goes no further.
    ///
    /// # Errors
    /// The script does not start.
    pub fn restore(&self, engine: &Engine) -> Result<Instance, SandboxError> {
        Instance::start_prepared(engine, &self.0.script, host_calls(), None).map(|(instance, _)| instance)
    }

    /// Starts it as a plugin: evaluated or restored, constructed, its interface read.
    ///
    /// # Errors
    /// As for any plugin that does not start.
    pub fn start(&self, engine: &Engine) -> Result<(Instance, Vec<Outgoing>), HostError> {
        instantiate(engine, &self.0, None).map(|(instance, outgoing, _)| (instance, outgoing))
    }
}

/// What answers a plugin's synchronous calls.
#[must_use]
pub fn host_calls() -> Box<dyn HostCalls> {
    Box::new(crypto::Crypto)
}
