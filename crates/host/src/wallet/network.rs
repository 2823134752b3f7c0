//! The outside: reads of layer 1, and the network hosts that were granted.

use super::Request;
use crate::error::HostError;
use crate::plugin::fetch::{fetch, same_endpoint};
use crate::reads::read_layer1;
use crate::solutions::Running;
use crate::{Capability, Host, wire};
use serde_json::{Value as Json, json};
use url::Url;

/// Largest answer of `layer1.request` in bytes: what fits in one message to the script.
const MAX_ANSWER: usize = 768 * 1024;

pub(super) fn needs_url(_running: &Running, params: &Json) -> Result<Vec<Capability>, HostError> {
    Ok(vec![Capability::Network(url_of(params)?)])
}

fn url_of(params: &Json) -> Result<Url, HostError> {
    let text = params["url"].as_str().unwrap_or_default();
    Url::parse(text).map_err(|e| HostError::invalid(format!("{text:?}: {e}")))
}

impl Host {
    pub(super) async fn layer1_request(&self, request: &Request) -> Result<Json, HostError> {
        let wanted = request.params["method"].as_str().unwrap_or_default();
        let args = request.params.get("params").map(wire::untag).unwrap_or_else(|| json!([]));
        let network = self.runtime(&request.running.network)?.network;
        let answer = read_layer1(&network, "layer1.request", wanted, args, MAX_ANSWER).await?;
        Ok(wire::tag(&answer))
    }

    /// A URL of the solution comes from the user's hand and may be private; those of a manifest may not.
    fn own_hand(&self, running: &Running, url: &Url) -> bool {
        self.inner.config.allow_private_urls && running.urls.iter().any(|own| same_endpoint(own, url))
    }

    pub(super) async fn network_fetch(&self, request: &Request) -> Result<Json, HostError> {
        let url = url_of(&request.params)?;
        let own_hand = self.own_hand(&request.running, &url);
        let budget = &request.running.budgets.network_bytes;
        budget.take(request.params["init"]["body"].to_string().len() as u64)?;
        let answer = fetch(&url, own_hand, &request.params["init"]).await?;
        // Too much has come already; what is asked for next is refused for a while.
        budget.charge(answer["body"].to_string().len() as u64);
        Ok(answer)
    }

    pub(super) async fn network_connect(&self, request: &Request) -> Result<Json, HostError> {
        let url = url_of(&request.params)?;
        let own_hand = self.own_hand(&request.running, &url);
        let text = request.params["url"].as_str().unwrap_or_default();
        let id = self.connections().connect(self, &request.running, text, own_hand).await?;
        Ok(json!({ "connection": id }))
    }

    pub(super) async fn network_send(&self, request: &Request) -> Result<Json, HostError> {
        let id = request.params["connection"].as_u64().unwrap_or_default();
        self.connections().send(&request.running, id, &request.params["data"]).await?;
        Ok(Json::Null)
    }

    pub(super) async fn network_close(&self, request: &Request) -> Result<Json, HostError> {
        let id = request.params["connection"].as_u64().unwrap_or_default();
        self.connections().close(request.running.id, id);
        Ok(Json::Null)
    }
}
