//! Callers that wait for a decision: a request leaves the queue with the last of those who would get its answer.

use super::{Proposal, pending};
use crate::error::HostError;
use crate::messages::ApprovalView;
use crate::{Host, locked};
use entresol_store::NewApproval;
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::sync::Mutex;

/// How many wait for each request.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    counts: Mutex<HashMap<i64, usize>>,
}

/// Somebody waits for the answer to a request, as long as this lives. When nobody does any more, the request leaves the
/// queue, if it is still undecided.
pub(crate) struct Leaves {
    host: Host,
    id: i64,
    digest: String,
}

impl Host {
    /// Waits for this request together with whoever waits for it already.
    pub(crate) fn waits_for(&self, view: &ApprovalView) -> Leaves {
        *locked(&self.inner.waiting.counts).entry(view.id).or_default() += 1;
        Leaves { host: self.clone(), id: view.id, digest: view.digest.clone() }
    }

    /// Puts a caller's question before the user and gives its outcome. The question leaves the queue when this future is
    /// dropped. For questions that can be asked twice without being meant twice: the same question of the same caller
    /// that waits already is answered once for both. Not for what has an effect each time. Where the question is not
    /// `open` any more, because its answer came in between, nobody is asked, and the outcome is `null`.
    ///
    /// # Errors
    /// 4001 when the user says no or does not answer; too many questions; what its execution failed with.
    pub(crate) async fn ask_once(
        &self,
        proposal: Proposal,
        open: impl FnOnce() -> Result<bool, HostError>,
    ) -> Result<Json, HostError> {
        let Some((view, waits)) = self.shared(proposal, open)? else { return Ok(Json::Null) };
        let outcome = self.outcome(view.id).await;
        drop(waits);
        outcome
    }

    fn shared(
        &self,
        proposal: Proposal,
        open: impl FnOnce() -> Result<bool, HostError>,
    ) -> Result<Option<(ApprovalView, Leaves)>, HostError> {
        // Held until the request is counted: the last one to leave does not take it away from one who joins.
        let mut counts = locked(&self.inner.waiting.counts);
        let who = serde_json::to_value(&proposal.requester).map_err(|e| HostError::internal(e.to_string()))?;
        let same = |request: &NewApproval| {
            request.requester == who && request.kind == proposal.kind && request.digest == proposal.digest
        };
        let at = crate::now();
        let waits = self.store().approvals(pending())?.into_iter().filter(|one| one.request.expires_at > at);
        // What was just agreed to is as good as waiting: its effect is being written.
        let known = waits.chain(self.store().open_approved()?).find(|one| same(&one.request));
        let view = match known {
            Some(approval) => self.approval_view(&approval)?,
            None if !open()? => return Ok(None),
            None => self.propose(proposal)?,
        };
        *counts.entry(view.id).or_default() += 1;
        let waits = Leaves { host: self.clone(), id: view.id, digest: view.digest.clone() };
        Ok(Some((view, waits)))
    }

    /// After a restart nobody waits for the answers that sites and apps had asked for without a name to ask again by.
    pub(crate) fn expire_unnamed(&self) -> Result<(), HostError> {
        self.expire_requests("its caller left", |request| {
            let who = request.requester["who"].as_str().unwrap_or_default();
            let gone = who.starts_with("site:") || who.starts_with("app:");
            let unnamed_call = request.kind == "call" && request.intent["call_id"] == json!(null);
            let unnamed_bundle = request.kind == "bundle" && request.intent["named"] == json!(false);
            request.request_key.is_none() && (gone || unnamed_call) || unnamed_bundle
        })
    }
}

impl Drop for Leaves {
    fn drop(&mut self) {
        let mut counts = locked(&self.host.inner.waiting.counts);
        let Some(count) = counts.get_mut(&self.id) else { return };
        *count -= 1;
        if *count == 0 {
            counts.remove(&self.id);
            if let Ok(id) = u64::try_from(self.id) {
                self.host.expire_request(id, &self.digest, "its caller left");
            }
        }
    }
}
