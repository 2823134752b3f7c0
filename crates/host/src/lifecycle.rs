//! Looking at plugins from outside, and recording what they do.

use crate::error::{HostError, chain, code};
use crate::messages::{PluginView, RecordingView};
use crate::{Actor, Host, Operation, now};
use entresol_durable::create_private_dir;
use entresol_sandbox::record::Recorder;
use entresol_store::JournalIntent as Intent;
use serde_json::json;
use std::path::PathBuf;

/// Where recordings lie, below the wallet's home.
pub const RECORDINGS: &str = "recordings";
/// Most recordings that are kept: what is there already is the user's to remove.
const MOST_RECORDINGS: usize = 100;

impl Host {
    /// What a solution's plugin uses, and its last errors.
    ///
    /// # Errors
    /// Not authorised; not found; the plugin was stopped for good.
    pub async fn plugin_inspect(&self, actor: &Actor, name: &str) -> Result<PluginView, HostError> {
        self.authorize(actor, &Operation::Read, "plugin_inspect")?;
        let solution = self.find(name)?;
        let running = self.running(solution.id)?;
        let mut view = running.plugin.vitals().view();
        view.solution = running.name.clone();
        view.status = running.plugin.status().to_string();
        view.waiting += running.plugin.in_mailbox() as u64;
        view.background = running.background;
        view.memory_limit = running.plugin.memory_limit as u64;
        view.connections = self.connections().count(solution.id) as u64;
        Ok(view)
    }

    /// Starts a solution's plugin afresh, with everything that enters it written to a file below the wallet's home. The
    /// file holds whatever the plugin gets to know, also its secrets.
    ///
    /// # Errors
    /// Not authorised; not found; it is being recorded already; the file cannot be made.
    pub async fn plugin_record(&self, actor: &Actor, name: &str) -> Result<RecordingView, HostError> {
        self.authorize(actor, &Operation::Decide, "plugin_record")?;
        let solution = self.find(name)?;
        let running = self.running(solution.id)?;
        if let Some(file) = running.plugin.vitals().view().recording {
            return Err(HostError::invalid(format!(
                "{} is being recorded already, to {file}; end that first with `entresol plugin record {} --stop`",
                running.name, running.name
            )));
        }
        let directory = self.inner.config.home.join(RECORDINGS);
        let intent = Intent {
            solution: Some(solution.id),
            actor: actor.to_string(),
            action: "record".into(),
            resource: running.name.clone(),
            detail: json!({}),
        };
        let note = json!({
            "solution": running.name,
            "package": format!("{}@{}", solution.spec.package_name, solution.spec.package_version),
            "packageSha512": solution.spec.package_sha512,
            "recordedAt": now(),
            "wallet": env!("CARGO_PKG_VERSION"),
        });
        self.journaled(intent, async {
            let file = file_for(&directory, &running.name)?;
            let recorder = Recorder::create(&file, &note.to_string());
            let recorder = recorder.map_err(|error| HostError::new(code::LIMIT, chain(&error)))?;
            running.plugin.record(recorder).await?;
            self.changed();
            Ok(RecordingView { solution: running.name.clone(), file: file.display().to_string(), running: true })
        })
        .await
    }

    /// Ends the recording of a solution's plugin, which goes on as it is.
    ///
    /// # Errors
    /// Not authorised; not found; it is not being recorded; the recording could not be written whole.
    pub async fn plugin_record_stop(&self, actor: &Actor, name: &str) -> Result<RecordingView, HostError> {
        self.authorize(actor, &Operation::Decide, "plugin_record_stop")?;
        let solution = self.find(name)?;
        let running = self.running(solution.id)?;
        let file = running.plugin.vitals().view().recording.ok_or_else(|| {
            HostError::invalid(format!(
                "{} is not being recorded: it ended by itself, or `entresol plugin record {}` was never said",
                running.name, running.name
            ))
        })?;
        running.plugin.seal().await?;
        self.changed();
        Ok(RecordingView { solution: running.name.clone(), file, running: false })
    }
}

/// A new name in the directory of the recordings, which is this user's alone.
fn file_for(directory: &std::path::Path, solution: &str) -> Result<PathBuf, HostError> {
    let there = |error: std::io::Error| HostError::internal(format!("{}: {error}", directory.display()));
    create_private_dir(directory).map_err(there)?;
    let kept = std::fs::read_dir(directory).map_err(there)?.count();
    if kept >= MOST_RECORDINGS {
        return Err(HostError::new(
            code::LIMIT,
            format!("there are {kept} recordings in {}; remove some of them", directory.display()),
        ));
    }
    Ok(directory.join(format!("{solution}-{}.recording", now())))
}
