//! What plugins, and the wallet itself, tell the user without asking anything.

use crate::error::HostError;
use crate::messages::NoticeView;
use crate::solutions::Running;
use crate::text::clean;
use crate::{Actor, Host, Operation, now};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// Notices of one plugin in a minute.
const MAX_A_MINUTE: usize = 10;
/// The minute of the limit.
const MINUTE: Duration = Duration::from_secs(60);
/// Longest text, in characters.
const MAX_TEXT: usize = 300;
/// Most notices in one answer.
const MAX_LISTED: u32 = 200;
/// How urgent a notice may be.
const LEVELS: [&str; 4] = ["info", "success", "warning", "danger"];

impl Host {
    /// A plugin's notice: `{ level, text, action? }`, the action one of its own.
    pub(crate) fn plugin_notice(&self, running: &Running, given: &Json) -> Result<Json, HostError> {
        let wrong = |what: &str| HostError::invalid(format!("notify: {what}"));
        let level = given["level"].as_str().unwrap_or("info");
        if !LEVELS.contains(&level) {
            return Err(wrong(&format!("level is {}", LEVELS.join(", "))));
        }
        let text = given["text"].as_str().filter(|text| !text.trim().is_empty());
        let text = clean(text.ok_or_else(|| wrong("text is missing"))?, MAX_TEXT);
        let action = match &given["action"] {
            Json::Null => None,
            Json::String(name) if running.interface.action(name).is_ok() => Some(name.clone()),
            _ => return Err(wrong("action is the name of an action that this plugin declares")),
        };
        self.inner.rates.take(running.id, "notify", MAX_A_MINUTE, MINUTE)?;
        let data = json!({ "plugin": true, "action": action });
        let id = self.store().add_notice(running.id, level, &text, Some(&data), now())?;
        self.changed();
        Ok(json!(id))
    }

    /// A notice in the wallet's own words.
    pub(crate) fn notice(&self, solution: Option<i64>, level: &str, text: &str) {
        match self.store().add_notice(solution, level, text, None, now()) {
            Ok(_) => self.changed(),
            Err(error) => tracing::error!(%error, text, "a notice could not be kept"),
        }
    }

    /// The newest notices, newest first.
    ///
    /// # Errors
    /// Not authorised.
    pub async fn notices(&self, actor: &Actor, unread_only: bool) -> Result<Vec<NoticeView>, HostError> {
        self.authorize(actor, &Operation::Read, "notices")?;
        let mut views = Vec::new();
        for notice in self.store().notices(MAX_LISTED, unread_only)? {
            let solution = match notice.solution {
                Some(id) => self.store().solution(id)?.map(|row| row.spec.name),
                None => None,
            };
            let data = notice.action.unwrap_or(Json::Null);
            views.push(NoticeView {
                id: notice.id,
                solution,
                plugin: data["plugin"] == true,
                level: notice.level,
                text: notice.text,
                action: data["action"].as_str().map(str::to_owned),
                created_at: notice.created_at,
                read: notice.read,
            });
        }
        Ok(views)
    }

    /// Marks a notice as seen.
    ///
    /// # Errors
    /// Not authorised; not found.
    pub async fn notice_read(&self, actor: &Actor, id: u64) -> Result<(), HostError> {
        self.authorize(actor, &Operation::Propose, "notice_read")?;
        self.store().read_notice(id)?;
        self.changed();
        Ok(())
    }
}
