//! The owner's own signature, asked for by a plugin: always before the user, and never of what could be used elsewhere.

use super::{Request, message_bytes, signature_json};
use crate::approvals::{Proposal, Requester, SignIntent};
use crate::error::HostError;
use crate::messages::Row;
use crate::policy::{Ask, What};
use crate::solutions::Running;
use crate::text::quoted;
use crate::{Actor, Capability, Host, wire};
use alloy::dyn_abi::TypedData;
use alloy::primitives::{Bytes, U256};
use entresol_vault::Intent;
use serde_json::Value as Json;

/// Typed data whose signature moves tokens or allowances by itself.
const PERMITS: [&str; 6] =
    ["Permit", "PermitSingle", "PermitBatch", "PermitTransferFrom", "PermitBatchTransferFrom", "Approve"];

/// Typed data and messages are permissions of their own.
pub(super) fn needs(_running: &Running, params: &Json) -> Result<Vec<Capability>, HostError> {
    let typed = params["payload"].get("typedData").is_some();
    Ok(vec![if typed { Capability::SignTypedData } else { Capability::SignMessage }])
}

impl Host {
    pub(super) async fn sign(&self, request: Request) -> Result<Json, HostError> {
        let (running, payload) = (&request.running, &request.params["payload"]);
        let owner = self.owner(running.owner)?;
        let row = |label: &str, value: String| Row { label: label.to_owned(), value };
        let mut rows =
            vec![row("Signed by", format!("{} (account {})", owner.address.to_checksum(None), running.owner))];
        let intent = match (payload.get("typedData"), payload.get("message")) {
            (Some(typed), None) => {
                let typed = wire::untag(typed);
                let chain_id = self.store().network(&running.network)?.map(|network| network.chain_id);
                check_typed_data(&typed, chain_id, running)?;
                rows.push(row("Type", quoted(typed["primaryType"].as_str().unwrap_or_default())));
                rows.push(row("Domain", typed["domain"].to_string()));
                rows.push(row("Message", typed["message"].to_string()));
                Intent::TypedData { from: owner.address, typed_data: typed }
            }
            (None, Some(message)) => {
                let bytes = message_bytes(message)?;
                let text = String::from_utf8_lossy(&bytes);
                if looks_like_siwe(&text) {
                    return Err(HostError::unauthorized("a sign-in message (EIP-4361) is never signed for a plugin"));
                }
                rows.push(row("Message", quoted(&text)));
                Intent::Message { from: owner.address, message: Bytes::from(bytes) }
            }
            _ => return Err(HostError::invalid("sign takes { typedData } or { message }")),
        };
        let stored = SignIntent { intent: intent.clone(), owner: running.owner };
        let ask =
            Ask { what: What::Signature, amount: U256::ZERO, fee: U256::ZERO, token: None, recipients: Vec::new() };
        let view = self
            .submit(Proposal {
                kind: "sign",
                requester: Requester::of(&Actor::Plugin { solution: running.id }),
                request_key: None,
                solution: Some(running.id),
                causes: request.causes.clone(),
                digest: intent.digest().to_string(),
                intent: serde_json::to_value(&stored).map_err(|e| HostError::internal(e.to_string()))?,
                sentence: format!("Sign this with your own account for {}?", running.name),
                rows,
                warnings: Vec::new(),
                says: Vec::new(),
                ask: Some(ask),
                passes: None,
            })
            .await?;
        let outcome = self.outcome(view.id).await?;
        signature_json(outcome["signature"].as_str().unwrap_or_default())
    }
}

/// The owner signs typed data for the solution's own chain and contract only, and nothing that moves tokens by itself.
fn check_typed_data(typed: &Json, chain_id: Option<u64>, running: &Running) -> Result<(), HostError> {
    let parsed: TypedData =
        serde_json::from_value(typed.clone()).map_err(|e| HostError::invalid(format!("sign: typedData: {e}")))?;
    let own_chain = parsed.domain.chain_id.is_some() && parsed.domain.chain_id == chain_id.map(U256::from);
    let own_contract =
        parsed.domain.verifying_contract.is_some() && parsed.domain.verifying_contract == running.gateway_address;
    if !own_chain || !own_contract {
        return Err(HostError::unauthorized(
            "sign: typed data must name this solution's own chainId and its gateway as verifyingContract",
        ));
    }
    if PERMITS.contains(&parsed.primary_type.as_str()) {
        return Err(HostError::unauthorized(format!(
            "sign: a {} moves tokens by itself and is refused",
            parsed.primary_type
        )));
    }
    Ok(())
}

/// EIP-4361: the words every sign-in message carries.
fn looks_like_siwe(text: &str) -> bool {
    text.contains(" wants you to sign in with your Ethereum account:")
}
