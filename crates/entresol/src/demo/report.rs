//! The facts of a demo, for people as a table and for programs as one JSON object.

use std::time::Instant;

use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use super::stage::Stage;
use super::{Interrupted, Rejected};
use crate::output::{Output, note, table, visible};

/// One finished step.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Step {
    /// Short name, the same in every run.
    pub(super) step: &'static str,
    /// What happened.
    pub(super) what: String,
    /// What the user approved for it, in the wallet's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) approved: Option<String>,
    /// Layer-1 transaction or layer-2 message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    /// Layer-1 gas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gas: Option<u64>,
    /// How long it took, in milliseconds.
    pub(super) ms: u64,
}

/// Milliseconds since `start`.
pub(super) fn ms_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// What is printed at the end.
#[derive(Debug)]
pub(super) struct Report {
    steps: Vec<Step>,
    facts: Map<String, Json>,
    /// Step and error, unless all went well.
    failure: Option<(&'static str, String)>,
    rejected: bool,
    interrupted: bool,
    /// Everything goes on running.
    kept: bool,
}

impl Report {
    pub(super) fn new(stage: &Stage, error: Option<&anyhow::Error>) -> Self {
        Self {
            steps: stage.steps.clone(),
            facts: stage.facts.clone(),
            failure: error.map(|error| (stage.current, format!("{error:#}"))),
            rejected: error.is_some_and(anyhow::Error::is::<Rejected>),
            interrupted: error.is_some_and(anyhow::Error::is::<Interrupted>),
            kept: error.is_none() && stage.options.keep,
        }
    }

    /// True for a failure that somebody has to look into.
    pub(super) fn failed(&self) -> bool {
        self.failure.is_some() && !self.rejected && !self.interrupted
    }

    pub(super) fn rejected(&self) -> bool {
        self.rejected
    }

    fn json(&self) -> Json {
        let mut object = Map::new();
        object.insert("ok".to_owned(), json!(self.failure.is_none()));
        if let Some((step, error)) = &self.failure {
            object.insert("step".to_owned(), json!(step));
            object.insert("error".to_owned(), json!(error));
            object.insert("rejected".to_owned(), json!(self.rejected));
        }
        object.insert("steps".to_owned(), json!(self.steps));
        object.extend(self.facts.clone());
        Json::Object(object)
    }

    pub(super) fn print(&self, out: Output) -> anyhow::Result<()> {
        if out.is_json() {
            return out.json(&self.json());
        }
        let rows = self.steps.iter().map(|step| {
            [
                step.step.to_owned(),
                step.what.clone(),
                step.approved.clone().unwrap_or_default(),
                step.id.clone().unwrap_or_default(),
                step.gas.map(|gas| gas.to_string()).unwrap_or_default(),
                format!("{}.{:03} s", step.ms / 1000, step.ms % 1000),
            ]
        });
        if !self.steps.is_empty() {
            out.line(table(&["Step", "What", "Approved", "Transaction or message", "Layer-1 gas", "Time"], rows));
        }
        if let Some(web) = self.facts.get("web").and_then(Json::as_str) {
            out.line(match self.kept {
                true => format!("The wallet's page: {} (works once)", visible(web)),
                false => format!("The wallet's page was at {}; `entresol demo --keep` leaves it open.", visible(web)),
            });
        }
        match &self.failure {
            None => out.line("All steps went as they should."),
            Some((step, error)) if self.rejected => out.line(format!("Stopped at step `{step}`: {}", visible(error))),
            Some((step, error)) => note(format!("error: step `{step}`: {}", visible(error))),
        }
        Ok(())
    }
}
