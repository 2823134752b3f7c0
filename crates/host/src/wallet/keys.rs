//! Layer-2 accounts: derived, signed with, and (by a permission of its own) handed to the script.

use super::{Request, message_bytes, signature_json};
use crate::error::HostError;
use crate::solutions::Running;
use crate::text::quoted;
use crate::{Host, now, wire};
use alloy::dyn_abi::TypedData;
use alloy::primitives::B256;
use entresol_package::Permission;
use entresol_store::JournalIntent;
use entresol_vault::SubtreePayload;
use secrecy::ExposeSecret;
use serde_json::{Value as Json, json};

impl Host {
    pub(super) async fn get_account(&self, request: &Request) -> Result<Json, HostError> {
        let running = &request.running;
        let wanted = request.params.get("index").filter(|index| !index.is_null());
        let wanted = wanted.map(|given| index_of(given, "getAccount")).transpose()?;
        let known = self.store().account_indices(running.id)?;
        if let Some(index) = wanted.filter(|index| known.contains(index)) {
            return self.account_json(running, index);
        }
        // A look at an account that may have been used before a restore: it is not the solution's for that.
        if let Some(index) = wanted
            && request.params["options"]["peek"] == true
        {
            return self.account_json(running, index);
        }
        if self.vault().is_locked() {
            return Err(HostError::unauthorized(
                "getAccount: the wallet is locked, and a new account needs its seed; unlock it (`entresol unlock`)",
            ));
        }
        let index = match wanted {
            None => self.store().next_account_index(running.id, now())?,
            Some(index) => {
                self.store().note_account_index(running.id, index, now())?;
                index
            }
        };
        self.account_json(running, index)
    }

    pub(super) async fn get_accounts(&self, request: &Request) -> Result<Json, HostError> {
        let indices = self.store().account_indices(request.running.id)?;
        indices.into_iter().map(|index| self.account_json(&request.running, index)).collect()
    }

    fn account_json(&self, running: &Running, index: u32) -> Result<Json, HostError> {
        let account = self.layer2_account(running, index, "getAccount")?;
        Ok(json!({
            "index": index,
            "path": account.path,
            "address": account.address.to_checksum(None),
            "publicKey": wire::bytes(&account.public_key),
        }))
    }

    /// The public side of a layer-2 account.
    ///
    /// # Errors
    /// Locked, with what to do.
    pub(super) fn layer2_account(
        &self,
        running: &Running,
        index: u32,
        what: &str,
    ) -> Result<entresol_vault::Account, HostError> {
        self.refuse_closed(running, what)?;
        Ok(self.vault().subtree_account(&running.key_path, index)?)
    }

    /// Layer-2 keys work while the seed is open, or while this subtree was kept open.
    pub(super) fn refuse_closed(&self, running: &Running, what: &str) -> Result<(), HostError> {
        if self.layer2_keys_open(running) {
            return Ok(());
        }
        Err(HostError::unauthorized(format!(
            "{what}: the wallet is locked and the layer-2 keys of {} with it; unlock it (`entresol unlock`), or let \
             its layer-2 keys stay open when it locks",
            running.name
        ))
        .with(json!({ "needs": "unlock" })))
    }

    pub(super) fn layer2_keys_open(&self, running: &Running) -> bool {
        self.vault().subtree_is_open(&running.key_path)
    }

    /// The index, if it is one of this solution's accounts.
    pub(super) fn known_account(&self, running: &Running, given: &Json, what: &str) -> Result<u32, HostError> {
        let index = index_of(given, what)?;
        if self.store().account_indices(running.id)?.contains(&index) {
            return Ok(index);
        }
        Err(HostError::invalid(format!("{what}: account {index} was never asked for; getAccount first")))
    }

    pub(super) async fn sign_with_account(&self, request: &Request) -> Result<Json, HostError> {
        let running = &request.running;
        let index = self.known_account(running, &request.params["index"], "signWithAccount")?;
        self.refuse_closed(running, "signWithAccount")?;
        let payload = payload(&request.params["payload"])?;
        let intent = JournalIntent {
            solution: Some(running.id),
            actor: running.name.clone(),
            action: "sign with account".into(),
            resource: format!("{}/{index}", running.key_path),
            detail: json!({ "kind": payload_kind(&payload) }),
        };
        let sign = async { Ok(self.vault().sign_with_subtree(&running.key_path, index, &payload)?) };
        let signature = self.journaled(intent, sign).await?;
        signature_json(&format!("0x{}", hex::encode(signature)))
    }

    /// The private key of a layer-2 account, for schemes the wallet does not know.
    pub(super) async fn export_private_key(&self, request: &Request) -> Result<Json, HostError> {
        let running = &request.running;
        let index = self.known_account(running, &request.params["index"], "exportPrivateKey")?;
        let intent = JournalIntent {
            solution: Some(running.id),
            actor: running.name.clone(),
            action: "export private key".into(),
            resource: format!("{}/{index}", running.key_path),
            detail: causes_detail(request),
        };
        let export = async { Ok(self.vault().export_subtree_key(&running.key_path, index)?) };
        let key = self.journaled(intent, export).await?;
        Ok(Json::String(key.expose_secret().to_owned()))
    }

    /// 32 bytes of the subtree's own, the same for the same label.
    pub(super) async fn get_secret(&self, request: &Request) -> Result<Json, HostError> {
        let running = &request.running;
        let label = match request.params["label"].as_str() {
            Some(label) if !label.is_empty() && label.len() <= MAX_LABEL => label,
            _ => return Err(HostError::invalid(format!("getSecret: label is a string of 1 to {MAX_LABEL} bytes"))),
        };
        let intent = JournalIntent {
            solution: Some(running.id),
            actor: running.name.clone(),
            action: "get secret".into(),
            resource: quoted(label),
            detail: causes_detail(request),
        };
        let derive = async { Ok(self.vault().subtree_secret(&running.key_path, label)?) };
        let secret = self.journaled(intent, derive).await?;
        Ok(wire::bytes(secret.expose()))
    }
}

/// Longest label of a secret in bytes.
const MAX_LABEL: usize = 256;

fn causes_detail(request: &Request) -> Json {
    json!({ "causes": request.causes.iter().map(|cause| cause.caller.as_str()).collect::<Vec<_>>() })
}

pub(super) fn index_of(given: &Json, what: &str) -> Result<u32, HostError> {
    wire::uint(given)
        .and_then(|index| u32::try_from(index).ok())
        .filter(|index| *index < 1 << 31)
        .ok_or_else(|| HostError::invalid(format!("{what}: index must be a whole number below 2^31")))
}

fn payload(json: &Json) -> Result<SubtreePayload, HostError> {
    if let Some(hash) = json.get("hash") {
        let text = wire::untag(hash);
        let hash: B256 = text
            .as_str()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| HostError::invalid("signWithAccount: hash must be 32 bytes"))?;
        return Ok(SubtreePayload::Hash(hash));
    }
    if let Some(typed) = json.get("typedData") {
        let typed: TypedData = serde_json::from_value(wire::untag(typed))
            .map_err(|e| HostError::invalid(format!("signWithAccount: typedData: {e}")))?;
        return Ok(SubtreePayload::TypedData(typed));
    }
    match json.get("message") {
        Some(message) => Ok(SubtreePayload::Message(message_bytes(message)?)),
        None => Err(HostError::invalid("signWithAccount takes { hash }, { typedData } or { message }")),
    }
}

const fn payload_kind(payload: &SubtreePayload) -> &'static str {
    match payload {
        SubtreePayload::Hash(_) => "hash",
        SubtreePayload::TypedData(_) => "typed data",
        SubtreePayload::Message(_) => "message",
    }
}

/// Plain warnings of an install that asks for keys in the script's own hands.
pub(crate) fn export_warnings(permissions: &[Permission]) -> Vec<String> {
    let exports = permissions.iter().any(|permission| matches!(permission, Permission::Keys { export: true, .. }));
    if !exports {
        return Vec::new();
    }
    let mut warnings = vec![
        "It asks to hold the private keys of its layer-2 accounts itself. Whatever it signs with them, this wallet \
         neither sees nor can stop, and locking the wallet does not take them back."
            .to_owned(),
    ];
    if permissions.iter().any(|permission| matches!(permission, Permission::Network { .. })) {
        warnings.push(
            "It asks for the network as well: it can send those private keys to somebody else. Grant both together \
             only to a publisher whom you would trust with all the money on this layer 2."
                .to_owned(),
        );
    }
    warnings
}
