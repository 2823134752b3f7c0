//! What the wallet says of its plugins' logs: the only place where a plugin's own lines go.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, Once, PoisonError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// How many lines each plugin of this process logged.
static LINES: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

/// Hears, from now on, what this process says of plugins.
pub(super) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Ear).expect("no other test listens"));
}

/// Lines of this plugin that were kept.
pub(super) fn lines(plugin: &str) -> usize {
    LINES.lock().unwrap_or_else(PoisonError::into_inner).get(plugin).copied().unwrap_or_default()
}

struct Ear;

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "plugin"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut said = Said::default();
        event.record(&mut said);
        if !said.of_the_wallet {
            *LINES.lock().unwrap_or_else(PoisonError::into_inner).entry(said.solution).or_default() += 1;
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Said {
    solution: String,
    /// It tells of lines that were dropped.
    of_the_wallet: bool,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "solution" => self.solution = format!("{value:?}").trim_matches('"').to_owned(),
            "dropped" => self.of_the_wallet = true,
            _ => {}
        }
    }
}
