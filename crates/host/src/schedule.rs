//! Durable wake-ups: a plugin asks for one at a time or at a block, and its hook `onSchedule` is called at least once,
//! also after a restart. A job is deleted when the hook's promise has resolved.
//!
//! **Who owns whom.** One task per running solution reads its jobs from the store, waits for the nearest (time, block,
//! or a change of the list) and calls the hook. It ends with the solution.

use crate::error::{HostError, code};
use crate::solutions::Running;
use crate::{Host, locked, now, wire};
use entresol_store::Job;
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// Jobs of one solution.
const MAX_JOBS: usize = 64;
/// Longest name of a job, in bytes.
const MAX_NAME: usize = 64;
/// Largest data of a job, as JSON text.
const MAX_DATA: usize = 4096;
/// Longest sleep: the clock may be set, and a machine may wake from sleep.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// Pause before a job whose hook failed is tried again; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Wakes the tasks when the list of their jobs has changed.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    wakes: Mutex<HashMap<i64, Arc<Notify>>>,
}

impl Schedule {
    fn wake(&self, solution: i64) -> Arc<Notify> {
        Arc::clone(locked(&self.wakes).entry(solution).or_default())
    }
}

/// When a job is to be tried again after its hook failed.
struct Retry {
    at: u64,
    pause: Duration,
}

impl Host {
    /// Stores a job under its name, in place of one of the same name.
    pub(crate) fn add_job(&self, solution: i64, given: &Json) -> Result<Json, HostError> {
        let wanted = wanted(given, now())?;
        let known = self.store().jobs(solution)?;
        if known.len() >= MAX_JOBS && !known.iter().any(|job| job.name == wanted.name) {
            return Err(HostError::new(code::LIMIT, format!("{MAX_JOBS} jobs are scheduled already; cancel one")));
        }
        let job = self.store().put_job(solution, &wanted.name, wanted.at, wanted.block, &wanted.data, now())?;
        self.inner.schedule.wake(solution).notify_one();
        Ok(told(&job))
    }

    /// Takes a job back; tells whether there was one.
    pub(crate) fn cancel_job(&self, solution: i64, given: &Json) -> Result<Json, HostError> {
        let name = given.as_str().or(given["name"].as_str());
        let name = name.ok_or_else(|| HostError::invalid("cancel: state the job's name"))?;
        Ok(json!(self.store().delete_job(solution, name)?))
    }

    /// Wakes a plugin at its times and blocks for as long as it runs.
    pub(crate) fn follow_schedule(&self, running: &Arc<Running>) {
        let (host, running) = (self.clone(), Arc::clone(running));
        self.spawn(async move {
            let cancel = running.cancel.clone();
            let mut retries = HashMap::new();
            let work = async {
                loop {
                    if let Err(error) = host.run_jobs(&running, &mut retries).await {
                        tracing::error!(solution = %running.name, %error, "the schedule pauses");
                        tokio::time::sleep(FIRST_PAUSE).await;
                    }
                }
            };
            tokio::select! { () = cancel.cancelled() => {}, () = work => {} }
        });
    }

    /// Calls the hook for every job that is due, or waits until one may be.
    async fn run_jobs(&self, running: &Running, retries: &mut HashMap<u64, Retry>) -> Result<(), HostError> {
        let wake = self.inner.schedule.wake(running.id);
        let jobs = self.store().jobs(running.id)?;
        retries.retain(|id, _| jobs.iter().any(|job| job.id == *id));
        let mut head = self.runtime(&running.network).ok().map(|runtime| runtime.network.head());
        let block = head.as_mut().map(|head| head.borrow_and_update().number);
        let at = now();
        let mut next = at + u64::try_from(LONGEST_SLEEP.as_millis()).unwrap_or(u64::MAX);
        let mut fired = false;
        for job in &jobs {
            let due = job.at_ms.is_some_and(|time| time <= at)
                || job.block.zip(block).is_some_and(|(wanted, block)| wanted <= block);
            let earliest = retries.get(&job.id).map_or(0, |retry| retry.at);
            if due && earliest <= at {
                self.fire(running, job, retries).await?;
                fired = true;
            } else if due {
                next = next.min(earliest);
            } else if let Some(time) = job.at_ms {
                next = next.min(time);
            }
        }
        // What was fired took its time, and the plugin may have asked for more: look again.
        if fired {
            return Ok(());
        }
        let for_block = jobs.iter().any(|job| job.block.is_some());
        let mut pause = Duration::from_millis(next.saturating_sub(now()));
        if for_block && head.is_none() {
            pause = pause.min(FIRST_PAUSE);
        }
        let new_block = async {
            // A closed network has no more blocks; the next look finds another, or none.
            let changed = match head.as_mut().filter(|_| for_block) {
                Some(head) => head.changed().await.is_ok(),
                None => false,
            };
            if !changed {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
            () = new_block => {}
        }
        Ok(())
    }

    async fn fire(&self, running: &Running, job: &Job, retries: &mut HashMap<u64, Retry>) -> Result<(), HostError> {
        match running.plugin.hook("onSchedule", told(job)).await {
            Ok(_) => {
                self.store().finish_job(job.id)?;
            }
            Err(error) => {
                tracing::debug!(solution = %running.name, job = %job.name, %error, "onSchedule failed; tried again");
                let pause = retries.get(&job.id).map_or(FIRST_PAUSE, |retry| (retry.pause * 2).min(LONGEST_PAUSE));
                let at = now() + u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                retries.insert(job.id, Retry { at, pause });
            }
        }
        Ok(())
    }
}

/// A job as the script sees it.
fn told(job: &Job) -> Json {
    json!({ "name": job.name, "at": job.at_ms, "block": job.block, "data": job.data })
}

#[derive(Debug)]
struct Wanted {
    name: String,
    at: Option<u64>,
    block: Option<u64>,
    data: Json,
}

/// `{ name, at | after | block, data? }`; `at` and `after` in milliseconds.
fn wanted(given: &Json, now: u64) -> Result<Wanted, HostError> {
    let wrong = |what: &str| HostError::invalid(format!("schedule: {what}"));
    let fields = given.as_object().ok_or_else(|| wrong("takes { name, at | after | block, data? }"))?;
    if let Some(unknown) = fields.keys().find(|k| !matches!(k.as_str(), "name" | "at" | "after" | "block" | "data")) {
        return Err(wrong(&format!("does not know {unknown:?}; it takes name, at, after, block, data")));
    }
    let name = given["name"].as_str().filter(|name| !name.is_empty() && name.len() <= MAX_NAME);
    let name = name.ok_or_else(|| wrong(&format!("name is a string of 1 to {MAX_NAME} bytes")))?.to_owned();
    let number = |field: &str| match given.get(field).filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => wire::uint(value)
            .and_then(|number| u64::try_from(number).ok())
            .filter(|number| *number <= 1 << 53)
            .map(Some)
            .ok_or_else(|| wrong(&format!("{field} must be a whole number"))),
    };
    let (at, after, block) = (number("at")?, number("after")?, number("block")?);
    if [at, after, block].iter().flatten().count() != 1 {
        return Err(wrong("state one of at (Unix milliseconds), after (milliseconds) and block"));
    }
    let data = given.get("data").cloned().unwrap_or(Json::Null);
    if data.to_string().len() > MAX_DATA {
        return Err(HostError::new(code::LIMIT, format!("schedule: data has at most {MAX_DATA} bytes as JSON")));
    }
    Ok(Wanted { name, at: at.or(after.map(|after| now.saturating_add(after))), block, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_names_one_moment() {
        let job = wanted(&json!({ "name": "a", "after": 50, "data": { "$n": "1" } }), 1000).expect("fits");
        assert_eq!((job.at, job.block, job.data), (Some(1050), None, json!({ "$n": "1" })));
        let job = wanted(&json!({ "name": "a", "block": { "$n": "7" } }), 1000).expect("fits");
        assert_eq!((job.at, job.block), (None, Some(7)));
        for (bad, words) in [
            (json!("a"), "takes"),
            (json!({ "name": "a" }), "one of"),
            (json!({ "name": "a", "at": 1, "block": 1 }), "one of"),
            (json!({ "name": "", "at": 1 }), "name"),
            (json!({ "name": "x".repeat(65), "at": 1 }), "name"),
            (json!({ "name": "a", "at": -1 }), "at"),
            (json!({ "name": "a", "at": 1.5 }), "at"),
            (json!({ "name": "a", "every": 1 }), "every"),
            (json!({ "name": "a", "at": 1, "data": "x".repeat(4096) }), "data"),
        ] {
            let error = wanted(&bad, 0).expect_err("refused");
            assert!(error.message.contains(words), "{bad}: {error}");
        }
    }
}
