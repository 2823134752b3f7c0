//! The owner's own signature, asked for by a plugin: always before the user, and never of what could be used elsewhere.

use super::{Request, message_bytes, signature_json};
use crate::approvals::{Proposal, Requester, SignIntent};
use crate::duties::message_rows;
use crate::error::HostError;
use crate::policy::{Ask, What};
use crate::siwe::looks_like_siwe;
use crate::solutions::Running;
use crate::text::row;
use crate::typed_data::Typed;
use crate::{Actor, Capability, Host, wire};
use alloy::primitives::{Bytes, U256};
use entresol_vault::Intent;
use serde_json::Value as Json;

/// Typed data and messages are permissions of their own.
pub(super) fn needs(_running: &Running, params: &Json) -> Result<Vec<Capability>, HostError> {
    let typed = params["payload"].get("typedData").is_some();
    Ok(vec![if typed { Capability::SignTypedData } else { Capability::SignMessage }])
}

impl Host {
    pub(super) async fn sign(&self, request: Request) -> Result<Json, HostError> {
        let (running, payload) = (&request.running, &request.params["payload"]);
        let owner = self.owner(running.owner)?;
        let mut rows =
            vec![row("Signed by", format!("{} (account {})", owner.address.to_checksum(None), running.owner))];
        let mut warnings = Vec::new();
        let intent = match (payload.get("typedData"), payload.get("message")) {
            (Some(typed), None) => {
                let typed = wire::untag(typed);
                let network = self.store().network(&running.network)?;
                let network = network.ok_or_else(|| HostError::not_found("the solution's network is gone"))?;
                // The solution's own chain and contract only, and nothing that moves tokens by itself.
                let read = Typed::read(&typed)?;
                read.check_own(network.chain_id, running.gateway_address.as_slice())?;
                rows.extend(read.rows());
                Intent::TypedData { from: owner.address, typed_data: typed }
            }
            (None, Some(message)) => {
                let bytes = message_bytes(message)?;
                if looks_like_siwe(&String::from_utf8_lossy(&bytes)) {
                    return Err(HostError::unauthorized("a sign-in message (EIP-4361) is never signed for a plugin"));
                }
                let (shown, told) = message_rows(&bytes)?;
                rows.extend(shown);
                warnings.extend(told);
                Intent::Message { from: owner.address, message: Bytes::from(bytes) }
            }
            _ => return Err(HostError::invalid("sign takes { typedData } or { message }")),
        };
        let stored = SignIntent { intent: intent.clone(), owner: running.owner };
        let ask =
            Ask { what: What::Signature, amount: U256::ZERO, fee: U256::ZERO, token: None, recipients: Vec::new() };
        let view = self
            .submit(Proposal {
                solution: Some(running.id),
                causes: request.causes.clone(),
                rows,
                warnings,
                ask: Some(ask),
                ..Proposal::new(
                    "sign",
                    Requester::of(&Actor::Plugin { solution: running.id }),
                    intent.digest().to_string(),
                    &stored,
                    format!("Sign this with your own account for {}?", running.name),
                )?
            })
            .await?;
        let outcome = self.outcome(view.id).await?;
        signature_json(outcome["signature"].as_str().unwrap_or_default())
    }
}
