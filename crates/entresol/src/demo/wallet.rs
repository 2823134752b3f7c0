//! Talking to the daemon so that its death in between changes nothing about the end.
//!
//! - Reads are asked again.
//! - Proposals carry a request key: the same key gives the same request.
//! - Decisions read the request again before they are repeated; each is made by a second process, with the intent
//!   that it read there.
//! - A plugin's action carries an id. When the answer is "outcome unknown", what is published and which requests it
//!   caused tell whether it happened; only if it did not, it is called again, with a new id.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use entresol_api::{Client, ClientError, RpcError, codes};
use entresol_host::error::code;
use entresol_host::messages::{ApprovalView, StateView};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use super::stage::Stage;
use crate::devnet::POLL;
use crate::output::visible;

/// Longest time for one thing to happen: a request to be executed, an answer to come.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How long published state may take to tell, after a crash, whether an action took effect.
const HINDSIGHT: Duration = Duration::from_secs(3);

/// An action is called at most this often.
const CALLS: u32 = 6;

/// What came of an action.
#[derive(Debug)]
pub(super) struct Acted {
    /// Its result, or what hindsight found in place of it.
    pub(super) result: Json,
    /// The request it caused, if any.
    pub(super) approval: Option<ApprovalView>,
}

impl Stage {
    /// Calls a method that may be called twice; waits for a daemon that is being started again.
    pub(super) async fn ask(&mut self, method: &str, params: impl Serialize) -> anyhow::Result<Json> {
        let params = serde_json::to_value(params)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.tend().await?;
            let outcome = match self.connected().await {
                Ok(client) => client.call(method, &params).await,
                Err(error) => Err(error),
            };
            let outcome = match outcome {
                Err(error) if wants_session(&error) => match self.open_session().await {
                    Ok(()) => continue,
                    Err(error) => Err(error),
                },
                outcome => outcome,
            };
            match outcome {
                Ok(answer) => return Ok(answer),
                Err(ClientError::Broken(_) | ClientError::NotRunning { .. }) if Instant::now() < deadline => {
                    self.client = None;
                    tokio::time::sleep(POLL / 2).await;
                }
                // A daemon that was just started again is still connecting to the chain. Of a plugin's state the same
                // code says that its node is down, which the caller wants to know.
                Err(ClientError::Rpc(error))
                    if error.code == code::DISCONNECTED && method != "state" && Instant::now() < deadline =>
                {
                    tokio::time::sleep(POLL).await;
                }
                Err(error) => return Err(error).with_context(|| format!("{method} failed")),
            }
        }
    }

    /// As [`ask`](Self::ask), read as `T`.
    pub(super) async fn get<T: DeserializeOwned>(&mut self, method: &str, params: impl Serialize) -> anyhow::Result<T> {
        Ok(serde_json::from_value(self.ask(method, params).await?)?)
    }

    async fn connected(&mut self) -> Result<&mut Client, ClientError> {
        let client = match self.client.take() {
            Some(client) => client,
            None => Client::connect(&self.home()).await?,
        };
        Ok(self.client.insert(client))
    }

    /// The session is this terminal's, so it serves the second processes too; a daemon that was started again has
    /// forgotten it.
    async fn open_session(&mut self) -> Result<(), ClientError> {
        let passphrase = self.passphrase();
        self.connected().await?.call("session_open", json!({ "passphrase": passphrase })).await?;
        Ok(())
    }

    /// The published state of a solution, with fresh values when the plugin can give them.
    pub(super) async fn state(&mut self, solution: &str) -> anyhow::Result<Json> {
        let answer = self.ask("state", json!({ "solution": solution, "refresh": true })).await;
        let answer = match answer {
            // The plugin is being started, or its node is down: what it published last will do, or the next look.
            Err(error) if rpc(&error).is_some() => match self.ask("state", json!({ "solution": solution })).await {
                Err(error) if rpc(&error).is_some() => return Ok(Json::Null),
                answer => answer?,
            },
            answer => answer?,
        };
        Ok(serde_json::from_value::<StateView>(answer)?.state)
    }

    /// Reads a request in a second process, and decides it there, naming the intent that was read.
    pub(super) async fn decide(&mut self, id: i64, approve: bool) -> anyhow::Result<ApprovalView> {
        let deadline = Instant::now() + PATIENCE;
        let id_text = id.to_string();
        loop {
            self.tend().await?;
            let read = self.command(&["approvals", "show", &id_text], None).await?;
            let mut words = read.stderr;
            if read.status.success() {
                let request: ApprovalView = serde_json::from_str(&read.stdout).context("the request cannot be read")?;
                if request.state != "pending" {
                    return Ok(request);
                }
                self.show(&request);
                let verb = if approve { "approve" } else { "reject" };
                let arguments = ["approvals", verb, &id_text, "--digest", &request.digest, "--no-wait"];
                let decided = self.command(&arguments, None).await?;
                if decided.status.success() {
                    return serde_json::from_str(&decided.stdout).context("the decision's answer cannot be read");
                }
                words = decided.stderr;
            }
            // The daemon may have died before or after the decision was written: read the request again.
            if Instant::now() > deadline {
                bail!("request {id} could not be decided: {}", visible(&words));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until what was approved has an end, and that a good one.
    pub(super) async fn executed(&mut self, id: i64) -> anyhow::Result<ApprovalView> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let wait = json!({ "id": id, "finished": true, "timeoutMs": 500 });
            let request: ApprovalView = self.get("approval_wait", wait).await?;
            match request.state.as_str() {
                "done" => return Ok(request),
                "approved" | "pending" if Instant::now() < deadline => {}
                "approved" | "pending" => bail!("request {id} was not executed in {} s", PATIENCE.as_secs()),
                _ => bail!("request {id} is {}: {}", request.state, visible(&request.outcome.to_string())),
            }
        }
    }

    /// Number of the newest request.
    async fn newest_request(&mut self) -> anyhow::Result<i64> {
        let list: Vec<ApprovalView> = self.get("approvals", json!({ "all": true })).await?;
        Ok(list.iter().map(|request| request.id).max().unwrap_or(0))
    }

    /// Requests of a solution after `before`, the oldest first.
    async fn requests_after(&mut self, before: i64, solution: &str) -> anyhow::Result<Vec<ApprovalView>> {
        let mut list: Vec<ApprovalView> = self.get("approvals", json!({ "all": true })).await?;
        list.retain(|request| request.id > before && request.solution.as_deref() == Some(solution));
        list.sort_by_key(|request| request.id);
        Ok(list)
    }

    /// Calls an action; decides the request it causes with `approve`. `hindsight` tells from outside whether the calls
    /// with these ids took effect; it is asked where the answer was lost.
    pub(super) async fn act(
        &mut self,
        solution: &str,
        action: &str,
        params: Json,
        approve: bool,
        mut hindsight: impl AsyncFnMut(&mut Self, &[String]) -> anyhow::Result<Option<Json>>,
    ) -> anyhow::Result<Acted> {
        let before = self.newest_request().await?;
        self.acts += 1;
        let mut ids = Vec::new();
        let mut last = String::new();
        for attempt in 1..=CALLS {
            if attempt > 1
                && let Some(result) = self.look_back(&ids, before, solution, approve, &mut hindsight).await?
            {
                let approval = self.requests_after(before, solution).await?.into_iter().rfind(|r| r.state == "done");
                return Ok(Acted { result, approval });
            }
            let id = format!("demo-{}-{}-{attempt}", self.current, self.acts);
            ids.push(id.clone());
            let input = json!({ "solution": solution, "action": action, "params": params, "id": id });
            match self.call_deciding(input, before, solution, approve).await {
                Ok(result) => {
                    let approval = self.requests_after(before, solution).await?.pop();
                    return Ok(Acted { result, approval });
                }
                Err(error) => {
                    let Some(known) = rpc(&error) else { return Err(error) };
                    if !is_passing(known) {
                        return Err(error);
                    }
                    last = known.message.clone();
                    tokio::time::sleep(POLL).await;
                }
            }
        }
        bail!("{action} was called {CALLS} times in vain; the last answer: {}", visible(&last))
    }

    /// One call with one id, however often the connection breaks, deciding what it asks for meanwhile.
    async fn call_deciding(&mut self, input: Json, before: i64, solution: &str, approve: bool) -> anyhow::Result<Json> {
        let deadline = Instant::now() + PATIENCE * 2;
        loop {
            self.tend().await?;
            let mut client = match Client::connect(&self.home()).await {
                Ok(client) => client,
                Err(ClientError::Broken(_) | ClientError::NotRunning { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(POLL / 2).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let call = client.call("call", &input);
            tokio::pin!(call);
            let outcome = loop {
                tokio::select! {
                    biased;
                    outcome = &mut call => break outcome,
                    () = tokio::time::sleep(POLL) => {}
                }
                if Instant::now() > deadline {
                    bail!("{} did not answer", input["action"]);
                }
                for request in self.requests_after(before, solution).await? {
                    if request.state == "pending" {
                        self.decide(request.id, approve).await?;
                    }
                }
            };
            match outcome {
                Ok(answer) => return Ok(answer),
                // The same id again: the daemon tells the result, or that it does not know it.
                Err(ClientError::Broken(_)) if Instant::now() < deadline => {}
                Err(error) if wants_session(&error) => {
                    // Opened, or the daemon is gone again: the next turn will see. Only its own refusal is an end.
                    if let Err(error @ ClientError::Rpc(_)) = self.open_session().await {
                        return Err(error.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether earlier calls took effect: first what they asked for is brought to its end, then the state is read.
    async fn look_back(
        &mut self,
        ids: &[String],
        before: i64,
        solution: &str,
        approve: bool,
        hindsight: &mut impl AsyncFnMut(&mut Self, &[String]) -> anyhow::Result<Option<Json>>,
    ) -> anyhow::Result<Option<Json>> {
        for request in self.requests_after(before, solution).await? {
            if request.state == "done" {
                return Ok(Some(request.outcome));
            }
            if request.state == "pending" {
                self.decide(request.id, approve).await?;
            }
            if approve && matches!(request.state.as_str(), "pending" | "approved") {
                match self.executed(request.id).await {
                    Ok(request) => return Ok(Some(request.outcome)),
                    // A failed one (its transaction would revert, say) has to be asked for again.
                    Err(error) => tracing::debug!(%error, "a request of a lost call failed"),
                }
            }
        }
        let deadline = Instant::now() + HINDSIGHT;
        loop {
            self.tend().await?;
            if let Some(found) = hindsight(self, ids).await? {
                return Ok(Some(found));
            }
            if Instant::now() > deadline {
                return Ok(None);
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

fn wants_session(error: &ClientError) -> bool {
    error.rpc().is_some_and(RpcError::wants_session)
}

/// The daemon's own error inside another one, if there is one.
pub(super) fn rpc(error: &anyhow::Error) -> Option<&RpcError> {
    error.downcast_ref::<ClientError>().and_then(ClientError::rpc)
}

/// What the payments node answers when it is too busy, or has not caught up with layer 1 after a start: nothing
/// happened, ask again (see the node's own list of codes).
const NODE_WAITS: [i32; 2] = [-32017, -32018];

/// True for what time or another call mends: outcome unknown, node or chain away, plugin being started, still running.
fn is_passing(error: &RpcError) -> bool {
    [codes::OUTCOME_UNKNOWN, code::DISCONNECTED, code::PLUGIN_STOPPED, code::LIMIT].contains(&error.code)
        || NODE_WAITS.contains(&error.code)
}
