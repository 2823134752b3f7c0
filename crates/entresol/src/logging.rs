//! The log on standard error, for people or for programs.

use std::fmt;
use std::io::IsTerminal;

use anyhow::Context as _;
use payments_node::LogFormat;
use serde_json::{Map, Value as Json, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::registry::LookupSpan;

use crate::output::visible_json;

/// Environment variable with the log filter, in tracing's syntax.
pub(crate) const LOG: &str = "ENTRESOL_LOG";

/// Logs as text, as the environment says. Standard output is for the ready line.
pub(crate) fn start() {
    start_as(LogFormat::Text, filter());
}

/// Logs in this form; `level` (a level, or directives in tracing's syntax) goes before the environment.
///
/// # Errors
/// The level does not read.
pub(crate) fn start_with(format: LogFormat, level: Option<&str>) -> anyhow::Result<()> {
    let filter = match level {
        Some(level) => EnvFilter::try_new(level)
            .with_context(|| format!("--log-level {level:?} does not read; take error, warn, info, debug or trace"))?,
        None => filter(),
    };
    start_as(format, filter);
    Ok(())
}

fn filter() -> EnvFilter {
    EnvFilter::try_from_env(LOG).unwrap_or_else(|_| EnvFilter::new("info"))
}

fn start_as(format: LogFormat, filter: EnvFilter) {
    // A log that cannot be written (a full disk) is lost; by default the writer complains on standard error, and panics
    // when that is full too.
    let log = tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let _ = match format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.event_format(JsonLines).try_init(),
    };
}

/// One JSON object a line: `{timestamp, level, target, message, fields?}`. What an event carries lies in `fields`, so that
/// no name of a field hides one of these. The `json` feature of the library would do the same with `message` among them,
/// but changes features of crates below, and everything above those would be compiled once more.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let mut line = json!({
            "timestamp": timestamp,
            "level": metadata.level().as_str(),
            "target": metadata.target(),
            "message": fields.0.remove("message").unwrap_or_default(),
        });
        if !fields.0.is_empty() {
            line["fields"] = fields.0.into();
        }
        writeln!(writer, "{}", visible_json(&line, false))
    }
}

#[derive(Default)]
struct Fields(Map<String, Json>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}
