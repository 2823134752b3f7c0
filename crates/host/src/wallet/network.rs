//! The outside: reads of layer 1, and the network hosts that were granted.

use super::Request;
use crate::error::{HostError, code};
use crate::plugin::fetch::{fetch, same_endpoint};
use crate::solutions::Running;
use crate::{Capability, Host, wire};
use alloy::primitives::U64;
use entresol_layer1::{Layer1Error, Network, READ_METHODS};
use serde_json::{Value as Json, json};
use url::Url;

/// Largest answer of `layer1.request` in bytes: what fits in one message to the script.
const MAX_ANSWER: usize = 768 * 1024;
/// Blocks asked for at once in `eth_getLogs`; fewer where the endpoint allows less.
const LOG_RANGE: u64 = 2000;
/// Most blocks of one `eth_getLogs`.
const MAX_LOG_RANGE: u64 = 1_000_000;

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
        if !READ_METHODS.contains(&wanted) {
            return Err(HostError::new(
                code::UNSUPPORTED,
                format!("layer1.request: {wanted:?} is not a read; allowed: {}", READ_METHODS.join(", ")),
            ));
        }
        let args = request.params.get("params").map(wire::untag).unwrap_or_else(|| json!([]));
        let network = self.runtime(&request.running.network)?.network;
        let answer =
            if wanted == "eth_getLogs" { logs(&network, args).await? } else { network.request(wanted, args).await? };
        let size = answer.to_string().len();
        if size > MAX_ANSWER {
            return Err(HostError::new(
                code::LIMIT,
                format!("layer1.request: the answer has {size} bytes, at most {MAX_ANSWER} are given; ask for less"),
            )
            .with(json!({ "size": size, "limit": MAX_ANSWER })));
        }
        Ok(wire::tag(&answer))
    }

    /// A URL of the solution comes from the user's hand and may be private; those of a manifest may not.
    fn own_hand(&self, running: &Running, url: &Url) -> bool {
        self.inner.config.allow_private_urls && running.urls.iter().any(|own| same_endpoint(own, url))
    }

    pub(super) async fn network_fetch(&self, request: &Request) -> Result<Json, HostError> {
        let url = url_of(&request.params)?;
        let own_hand = self.own_hand(&request.running, &url);
        fetch(&url, own_hand, &request.params["init"]).await
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
        self.connections().send(request.running.id, id, &request.params["data"]).await?;
        Ok(Json::Null)
    }

    pub(super) async fn network_close(&self, request: &Request) -> Result<Json, HostError> {
        let id = request.params["connection"].as_u64().unwrap_or_default();
        self.connections().close(request.running.id, id);
        Ok(Json::Null)
    }
}

/// `eth_getLogs` over a range that no endpoint would take at once. A filter by block hash, or one whose ends are tags,
/// goes out as it is.
async fn logs(network: &Network, args: Json) -> Result<Json, HostError> {
    let head = network.head().borrow().number;
    let filter = &args[0];
    let end = |name: &str| match filter.get(name).and_then(Json::as_str) {
        None | Some("latest") => Some(head),
        Some("earliest") => Some(0),
        Some(hex) => hex.parse::<U64>().ok().map(|number| number.to::<u64>()),
    };
    let by_hash = filter.get("blockHash").is_some();
    let (Some(from), Some(to), false) = (end("fromBlock"), end("toBlock"), by_hash) else {
        return Ok(network.request("eth_getLogs", args).await?);
    };
    if from > to {
        return Err(HostError::invalid("eth_getLogs: fromBlock is above toBlock"));
    }
    if to - from >= MAX_LOG_RANGE {
        return Err(HostError::new(code::LIMIT, format!("eth_getLogs: at most {MAX_LOG_RANGE} blocks at once")));
    }
    let (mut all, mut size, mut range, mut next) = (Vec::new(), 0, LOG_RANGE, from);
    while next <= to {
        let last = next.saturating_add(range - 1).min(to);
        let mut part = filter.clone();
        part["fromBlock"] = json!(U64::from(next));
        part["toBlock"] = json!(U64::from(last));
        match network.request("eth_getLogs", json!([part])).await {
            Ok(Json::Array(found)) => {
                size += found.iter().map(|log| log.to_string().len()).sum::<usize>();
                if size > MAX_ANSWER {
                    return Err(HostError::new(
                        code::LIMIT,
                        format!("eth_getLogs: more than {MAX_ANSWER} bytes of logs up to block {last}; ask for less"),
                    )
                    .with(json!({ "block": last, "limit": MAX_ANSWER })));
                }
                all.extend(found);
                next = last.saturating_add(1);
            }
            Ok(_) => return Err(HostError::new(code::INTERNAL, "the endpoint's answer to eth_getLogs is no list")),
            // Endpoints limit the range, or the size of the answer, each in its own words.
            Err(Layer1Error::Rpc { .. } | Layer1Error::BadAnswer { .. }) if last > next => {
                range = ((last - next) / 2).max(1);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Json::Array(all))
}
