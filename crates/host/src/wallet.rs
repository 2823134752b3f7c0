//! The wallet object: what a script may ask for. Each request comes through [`Host::authorize`] with the solution the
//! host started, never with what the script says it is.

use crate::approvals::{CallIntent, GAS_MARGIN_PERCENT, Proposal, Requester, SignIntent, Signer};
use crate::error::{HostError, code};
use crate::messages::{ApprovalView, GatewayCallInput, Row, TransferView};
use crate::plugin::Cause;
use crate::plugin::fetch::{fetch, same_endpoint};
use crate::policy::{Ask, What, selector};
use crate::solutions::Running;
use crate::text::{ether, quoted};
use crate::{Actor, Capability, Host, Operation, blocking, now, wire};
use alloy::dyn_abi::TypedData;
use alloy::primitives::{B256, Bytes, U256};
use entresol_layer1::{CallRequest, READ_METHODS};
use entresol_package::Permission;
use entresol_package::manifest::Role;
use entresol_store::{JournalIntent, KvOp, TransferFilter};
use entresol_vault::{Intent, SubtreePayload};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use url::Url;

/// Longest key of the local database.
const MAX_KEY: usize = 512;
/// Most operations in one batch.
const MAX_BATCH: usize = 1000;
/// The ceiling on the fee is this many times what it would cost now: room for a rising base fee and one replacement.
const FEE_HEADROOM: u64 = 3;
/// Typed data whose signature moves tokens or allowances by itself.
const PERMITS: [&str; 6] =
    ["Permit", "PermitSingle", "PermitBatch", "PermitTransferFrom", "PermitBatchTransferFrom", "Approve"];

impl Host {
    /// Answers one request of a script. `causes` are the calls that are open in it.
    pub(crate) async fn plugin_request(
        &self,
        solution: i64,
        method: &str,
        params: Json,
        causes: Vec<Cause>,
    ) -> Result<Json, HostError> {
        let running = self.running(solution)?;
        let actor = Actor::Plugin { solution };
        let allow = |capability| self.authorize(&actor, &Operation::Use(capability), method);
        self.store().count(solution, method, 1);
        match method {
            "wallet.getAccount" => {
                allow(Capability::Keys)?;
                self.get_account(&running, params.get("index"))
            }
            "wallet.getAccounts" => {
                allow(Capability::Keys)?;
                let indices = self.store().account_indices(solution)?;
                indices.into_iter().map(|index| self.account_json(&running, index)).collect()
            }
            "wallet.signWithAccount" => {
                allow(Capability::Keys)?;
                self.sign_with_account(&running, &params).await
            }
            "wallet.deposit" => {
                let call = &params["call"];
                let gateway = gateway_of(&running)?;
                let name = call["function"].as_str().or_else(|| gateway.0.first(Role::Deposit)).unwrap_or_default();
                let allowed = gateway.0.allowed(name, &[Role::Deposit])?;
                allow(Capability::Contract(allowed.function.signature()))?;
                let value = wire::uint(&call["value"])
                    .ok_or_else(|| HostError::invalid("deposit: value must be a BigInt of wei"))?;
                let args = self.deposit_args(&running, name, call.get("args"))?;
                let view = self.propose_call(
                    &running,
                    Requester::of(&actor),
                    &[Role::Deposit],
                    name,
                    &args,
                    value,
                    causes,
                    None,
                );
                self.outcome(view.await?.id).await
            }
            "wallet.withdraw" => {
                let call = &params["call"];
                let name =
                    call["function"].as_str().ok_or_else(|| HostError::invalid("withdraw: state the function"))?;
                let roles = [Role::Withdraw, Role::Defend, Role::Call];
                let allowed = gateway_of(&running)?.0.allowed(name, &roles)?;
                allow(Capability::Contract(allowed.function.signature()))?;
                refuse(call, &["from", "deadline", "contract"])?;
                let args = call["args"].as_array().cloned().unwrap_or_default();
                let view =
                    self.propose_call(&running, Requester::of(&actor), &roles, name, &args, U256::ZERO, causes, None);
                self.outcome(view.await?.id).await
            }
            "wallet.sign" => {
                let payload = &params["payload"];
                let typed = payload.get("typedData").is_some();
                allow(if typed { Capability::SignTypedData } else { Capability::SignMessage })?;
                let view = self.propose_signature(&running, &actor, payload, causes).await?;
                let outcome = self.outcome(view.id).await?;
                signature_json(outcome["signature"].as_str().unwrap_or_default())
            }
            "wallet.persist" => {
                allow(Capability::LocalDatabase)?;
                let key = database_key(&params["key"])?;
                let value = params.get("value").cloned().unwrap_or(Json::Null).to_string().into_bytes();
                let (store, quota) = (self.store().clone(), self.quota(solution)?);
                blocking(move || store.kv_put(solution, &key, &value, quota)).await?;
                Ok(Json::Null)
            }
            "wallet.getFromLocalDb" => {
                allow(Capability::LocalDatabase)?;
                let found = self.store().kv_get(solution, &database_key(&params["key"])?)?;
                found.map_or(Ok(Json::Null), |bytes| database_value(&bytes))
            }
            "wallet.deleteFromLocalDb" => {
                allow(Capability::LocalDatabase)?;
                self.store().kv_delete(solution, &database_key(&params["key"])?)?;
                Ok(Json::Null)
            }
            "wallet.listLocalDb" => {
                allow(Capability::LocalDatabase)?;
                let prefix = params["prefix"].as_str().unwrap_or_default();
                Ok(json!(self.store().kv_keys(solution, prefix)?))
            }
            "wallet.batchLocalDb" => {
                allow(Capability::LocalDatabase)?;
                let ops = batch(&params["ops"])?;
                let (store, quota) = (self.store().clone(), self.quota(solution)?);
                blocking(move || store.kv_batch(solution, &ops, quota)).await?;
                Ok(Json::Null)
            }
            "wallet.getLayer2State" => {
                allow(Capability::State)?;
                Ok(running.state.borrow().1.clone())
            }
            "wallet.updateLayer2State" => {
                allow(Capability::State)?;
                self.publish(solution, &params["patch"])?;
                Ok(Json::Null)
            }
            "layer1.request" => {
                allow(Capability::Layer1Read)?;
                let wanted = params["method"].as_str().unwrap_or_default();
                if !READ_METHODS.contains(&wanted) {
                    return Err(HostError::new(
                        code::UNSUPPORTED,
                        format!("layer1.request: {wanted:?} is not a read; allowed: {}", READ_METHODS.join(", ")),
                    ));
                }
                let args = params.get("params").map(wire::untag).unwrap_or_else(|| json!([]));
                let answer = self.runtime(&running.network)?.network.request(wanted, args).await?;
                Ok(wire::tag(&answer))
            }
            "network.connect" | "network.fetch" => {
                let text = params["url"].as_str().unwrap_or_default();
                let url = Url::parse(text).map_err(|e| HostError::invalid(format!("{text:?}: {e}")))?;
                allow(Capability::Network(url.clone()))?;
                // The solution's own URLs come from the user's hand; those of a manifest do not.
                let own_hand =
                    self.inner.config.allow_private_urls && running.urls.iter().any(|own| same_endpoint(own, &url));
                if method == "network.fetch" {
                    return fetch(&url, own_hand, &params["init"]).await;
                }
                let id = self.connections().connect(self, &running, text, own_hand).await?;
                Ok(json!({ "connection": id }))
            }
            "network.send" => {
                let id = params["connection"].as_u64().unwrap_or_default();
                self.connections().send(solution, id, &params["data"]).await?;
                Ok(Json::Null)
            }
            "network.close" => {
                self.connections().close(solution, params["connection"].as_u64().unwrap_or_default());
                Ok(Json::Null)
            }
            other => Err(HostError::new(code::UNSUPPORTED, format!("{other} is not supported by this wallet"))),
        }
    }

    fn get_account(&self, running: &Running, index: Option<&Json>) -> Result<Json, HostError> {
        let index = match index.filter(|index| !index.is_null()) {
            None => self.store().next_account_index(running.id, now())?,
            Some(given) => {
                let index = wire::uint(given)
                    .and_then(|index| u32::try_from(index).ok())
                    .ok_or_else(|| HostError::invalid("getAccount: index must be a whole number below 2^31"))?;
                self.store().note_account_index(running.id, index, now())?;
                index
            }
        };
        self.account_json(running, index)
    }

    fn account_json(&self, running: &Running, index: u32) -> Result<Json, HostError> {
        let account = self.vault().subtree_account(&running.key_path, index)?;
        Ok(json!({
            "index": index,
            "path": account.path,
            "address": account.address.to_checksum(None),
            "publicKey": wire::bytes(&account.public_key),
        }))
    }

    async fn sign_with_account(&self, running: &Running, params: &Json) -> Result<Json, HostError> {
        let index = params.get("index").and_then(wire::uint).and_then(|index| u32::try_from(index).ok());
        let index = index.ok_or_else(|| HostError::invalid("signWithAccount: index must be a whole number"))?;
        if !self.store().account_indices(running.id)?.contains(&index) {
            return Err(HostError::invalid(format!(
                "signWithAccount: account {index} was never asked for; getAccount first"
            )));
        }
        let payload = payload(&params["payload"])?;
        let intent = JournalIntent {
            solution: Some(running.id),
            actor: running.name.clone(),
            action: "sign with account".into(),
            resource: format!("{}/{index}", running.key_path),
            detail: json!({ "kind": payload_kind(&payload) }),
        };
        let signature = self
            .journaled(intent, async { Ok(self.vault().sign_with_subtree(&running.key_path, index, &payload)?) })
            .await?;
        signature_json(&format!("0x{}", hex::encode(signature)))
    }

    fn quota(&self, solution: i64) -> Result<u64, HostError> {
        let grants = self.permissions(solution)?;
        let quota = grants.iter().find_map(|grant| match grant {
            Permission::LocalDatabase { quota, .. } => Some(quota.bytes()),
            _ => None,
        });
        Ok(quota.unwrap_or_default())
    }

    /// The user proposes a deposit to a solution's gateway.
    ///
    /// # Errors
    /// Not authorised; the function, an argument or the amount does not fit.
    pub async fn deposit(&self, actor: &Actor, input: GatewayCallInput) -> Result<ApprovalView, HostError> {
        self.authorize(actor, &Operation::Propose, "deposit")?;
        if let Some(known) = self.known_request(input.request_key.as_deref())? {
            return Ok(known);
        }
        let running = self.running(self.find(&input.solution)?.id)?;
        let value = input.value.as_deref().unwrap_or("0");
        let value = U256::from_str_radix(value, 10)
            .map_err(|_| HostError::invalid(format!("deposit: {value:?} is not an amount of wei")))?;
        let gateway = gateway_of(&running)?.0;
        let first = input.function.as_deref().or_else(|| gateway.first(Role::Deposit));
        let name = first.ok_or_else(|| HostError::invalid("this solution has no deposit function"))?.to_owned();
        let args = input.args.map(|args| json!(args));
        let args = self.deposit_args(&running, &name, args.as_ref())?;
        let requester = Requester::of(actor);
        self.propose_call(&running, requester, &[Role::Deposit], &name, &args, value, Vec::new(), input.request_key)
            .await
    }

    /// The user proposes a zero-value call of a withdraw, defend or call function of a solution's gateway.
    ///
    /// # Errors
    /// Not authorised; the function or an argument does not fit; the call would fail.
    pub async fn withdraw(&self, actor: &Actor, input: GatewayCallInput) -> Result<ApprovalView, HostError> {
        self.authorize(actor, &Operation::Propose, "withdraw")?;
        if let Some(known) = self.known_request(input.request_key.as_deref())? {
            return Ok(known);
        }
        if input.value.is_some() {
            return Err(HostError::invalid("withdraw carries no value"));
        }
        let running = self.running(self.find(&input.solution)?.id)?;
        let roles = [Role::Withdraw, Role::Defend, Role::Call];
        let first = input.function.as_deref().or_else(|| gateway_of(&running).ok()?.0.first(Role::Withdraw));
        let name = first.ok_or_else(|| HostError::invalid("this solution has no withdraw function"))?.to_owned();
        let args = input.args.unwrap_or_default();
        let requester = Requester::of(actor);
        self.propose_call(&running, requester, &roles, &name, &args, U256::ZERO, Vec::new(), input.request_key).await
    }

    /// A deposit that takes one address goes to the first layer-2 account unless another is stated.
    fn deposit_args(&self, running: &Running, name: &str, args: Option<&Json>) -> Result<Vec<Json>, HostError> {
        if let Some(args) = args.filter(|args| !args.is_null()) {
            return args.as_array().cloned().ok_or_else(|| HostError::invalid("deposit: args must be a list"));
        }
        if !gateway_of(running)?.0.takes_one_address(name) {
            return Ok(Vec::new());
        }
        let account = self.vault().subtree_account(&running.key_path, 0)?;
        Ok(vec![json!(account.address.to_checksum(None))])
    }

    #[allow(clippy::too_many_arguments, reason = "each is a part of the intent or of who asks for it")]
    async fn propose_call(
        &self,
        running: &Arc<Running>,
        requester: Requester,
        roles: &[Role],
        name: &str,
        args: &[Json],
        value: U256,
        causes: Vec<Cause>,
        request_key: Option<String>,
    ) -> Result<ApprovalView, HostError> {
        refuse_read_only(&causes, name)?;
        let (gateway, address) = gateway_of(running)?;
        let call = gateway.encode(name, roles, args, value)?;
        let runtime = self.runtime(&running.network)?;
        let owner = self.owner(running.owner)?;
        let request = CallRequest { from: owner.address, to: address, value, input: call.input.clone() };
        let balance = runtime.network.balance(owner.address).await?;
        if balance < value {
            return Err(HostError::new(
                code::TRANSACTION_REJECTED,
                format!(
                    "account {} has {} on {}; {} are needed, and the fee; send ETH to it first",
                    owner.address.to_checksum(None),
                    ether(balance),
                    running.network,
                    ether(value)
                ),
            ));
        }
        let gas = runtime.network.estimate_gas(&request).await?;
        let gas_limit = gas + gas * GAS_MARGIN_PERCENT / 100;
        let fees = runtime.network.fees().await?;
        let fee_now = U256::from(gas) * U256::from(fees.base_fee + fees.max_priority_fee_per_gas);
        let ceiling = U256::from(gas_limit) * U256::from(fees.max_fee_per_gas) * U256::from(FEE_HEADROOM);
        if balance < value.saturating_add(fee_now) {
            return Err(HostError::new(
                code::TRANSACTION_REJECTED,
                format!(
                    "account {} has {}; {} and a fee of about {} are needed",
                    owner.address.to_checksum(None),
                    ether(balance),
                    ether(value),
                    ether(fee_now)
                ),
            ));
        }
        let intent = Intent::Transaction {
            chain_id: runtime.network.chain_id(),
            from: owner.address,
            to: address,
            value,
            input: call.input.clone(),
            max_total_fee: ceiling,
        };
        let row = |label: &str, value: String| Row { label: label.to_owned(), value };
        let mut rows = vec![
            row("Network", format!("{} (chain {})", running.network, runtime.network.chain_id())),
            row("From", format!("{} (account {})", owner.address.to_checksum(None), running.owner)),
            row("To", format!("{} (the gateway of {})", address.to_checksum(None), running.name)),
            row("Sends", ether(value)),
            row("Calls", call.signature.clone()),
        ];
        rows.extend(call.arguments.iter().map(|(name, value)| row(name, value.clone())));
        rows.push(row("Fee", format!("about {}, at most {}", ether(fee_now), ether(ceiling))));
        rows.push(row("Checked", format!("the call succeeds on the newest block ({gas} gas)")));
        let name = call.signature.split('(').next().unwrap_or_default();
        let (kind, sentence) = match call.role {
            Role::Deposit => ("deposit", format!("Deposit {} into {}?", ether(value), running.name)),
            Role::Withdraw => {
                ("withdraw", format!("Call {name} on the gateway of {}, to take value out?", running.name))
            }
            Role::Defend => {
                ("withdraw", format!("Call {name} on the gateway of {}, to protect your value?", running.name))
            }
            Role::Call => ("withdraw", format!("Call {name} on the gateway of {}?", running.name)),
        };
        let stored = CallIntent {
            intent: intent.clone(),
            network: running.network.clone(),
            signer: Signer::Owner { index: running.owner },
            role: call.role.name().to_owned(),
            function: call.signature,
            deadline: None,
        };
        let ask = Ask {
            what: What::Contract { address, signature: stored.function.clone(), selector: selector(&call.input) },
            amount: value,
            fee: ceiling,
            token: None,
            recipients: Vec::new(),
        };
        self.submit(Proposal {
            kind,
            requester,
            request_key,
            solution: Some(running.id),
            causes,
            digest: intent.digest().to_string(),
            intent: serde_json::to_value(&stored).map_err(|e| HostError::internal(e.to_string()))?,
            sentence,
            rows,
            warnings: Vec::new(),
            says: Vec::new(),
            ask: Some(ask),
            passes: None,
        })
        .await
    }

    async fn propose_signature(
        &self,
        running: &Running,
        actor: &Actor,
        payload: &Json,
        causes: Vec<Cause>,
    ) -> Result<ApprovalView, HostError> {
        refuse_read_only(&causes, "sign")?;
        let owner = self.owner(running.owner)?;
        let row = |label: &str, value: String| Row { label: label.to_owned(), value };
        let mut rows =
            vec![row("Signed by", format!("{} (account {})", owner.address.to_checksum(None), running.owner))];
        let intent = if let Some(typed) = payload.get("typedData") {
            let typed = wire::untag(typed);
            let chain_id = self.store().network(&running.network)?.map(|network| network.chain_id);
            check_typed_data(&typed, chain_id, running)?;
            let kind = typed["primaryType"].as_str().unwrap_or_default();
            rows.push(row("Type", quoted(kind)));
            rows.push(row("Domain", typed["domain"].to_string()));
            rows.push(row("Message", typed["message"].to_string()));
            Intent::TypedData { from: owner.address, typed_data: typed }
        } else {
            let bytes = message_bytes(&payload["message"])?;
            let text = String::from_utf8_lossy(&bytes);
            if looks_like_siwe(&text) {
                return Err(HostError::unauthorized("a sign-in message (EIP-4361) is never signed for a plugin"));
            }
            rows.push(row("Message", quoted(&text)));
            Intent::Message { from: owner.address, message: Bytes::from(bytes) }
        };
        let stored = SignIntent { intent: intent.clone(), owner: running.owner };
        self.submit(Proposal {
            kind: "sign",
            requester: Requester::of(actor),
            request_key: None,
            solution: Some(running.id),
            causes,
            digest: intent.digest().to_string(),
            intent: serde_json::to_value(&stored).map_err(|e| HostError::internal(e.to_string()))?,
            sentence: format!("Sign this with your own account for {}?", running.name),
            rows,
            warnings: Vec::new(),
            says: Vec::new(),
            ask: None,
            passes: None,
        })
        .await
    }

    /// Deposits and withdrawals, newest first.
    ///
    /// # Errors
    /// Not authorised; not found.
    pub async fn transfers(&self, actor: &Actor, solution: Option<&str>) -> Result<Vec<TransferView>, HostError> {
        self.authorize(actor, &Operation::Read, "transfers")?;
        let solution = solution.map(|name| self.find(name)).transpose()?.map(|row| row.id);
        let mut views = Vec::new();
        for row in self.store().transfers(TransferFilter { solution, ..TransferFilter::default() })? {
            let name = self.store().solution(row.transfer.solution)?.map(|found| found.spec.name);
            let transaction = match &row.transfer.tx_hash {
                Some(hash) => self.store().transaction(hash)?,
                None => None,
            };
            views.push(TransferView {
                id: i64::try_from(row.id).unwrap_or(i64::MAX),
                solution: name.unwrap_or_else(|| row.transfer.solution.to_string()),
                kind: row.transfer.kind.as_str().to_owned(),
                function: row.transfer.detail["function"].as_str().unwrap_or_default().to_owned(),
                amount: row.transfer.amount,
                stage: row.transfer.stage,
                gas_used: transaction.as_ref().and_then(|tx| tx.gas_used),
                block: transaction.as_ref().and_then(|tx| tx.block_number),
                transaction: row.transfer.tx_hash,
                approval: row.transfer.approval_id.and_then(|id| i64::try_from(id).ok()),
                created_at: i64::try_from(row.created_at).unwrap_or(i64::MAX),
            });
        }
        Ok(views)
    }
}

fn gateway_of(running: &Running) -> Result<(&crate::gateway::Gateway, alloy::primitives::Address), HostError> {
    match (&running.gateway, running.gateway_address) {
        (Some(gateway), Some(address)) => Ok((gateway, address)),
        _ => Err(HostError::invalid(format!("{} has no gateway contract", running.name))),
    }
}

/// With only `readOnly` calls open, nothing that costs or binds may be asked for.
fn refuse_read_only(causes: &[Cause], what: &str) -> Result<(), HostError> {
    if !causes.is_empty() && causes.iter().all(|cause| cause.read_only) {
        return Err(HostError::unauthorized(format!(
            "{what}: only actions declared readOnly are open, and those cause nothing"
        )));
    }
    Ok(())
}

/// Options that a later version knows; ignoring one would change what is asked for.
fn refuse(call: &Json, names: &[&str]) -> Result<(), HostError> {
    match names.iter().find(|name| call.get(**name).is_some_and(|value| !value.is_null())) {
        Some(name) => Err(HostError::new(code::UNSUPPORTED, format!("withdraw: {name} is not supported yet"))),
        None => Ok(()),
    }
}

fn database_key(key: &Json) -> Result<String, HostError> {
    match key.as_str() {
        Some(key) if !key.is_empty() && key.len() <= MAX_KEY => Ok(key.to_owned()),
        _ => Err(HostError::invalid(format!("a database key is a string of 1 to {MAX_KEY} bytes"))),
    }
}

fn database_value(bytes: &[u8]) -> Result<Json, HostError> {
    serde_json::from_slice(bytes).map_err(|e| HostError::internal(format!("a stored value: {e}")))
}

/// `[{ put: key, value }, { delete: key }, { expect: key, value }]`.
fn batch(ops: &Json) -> Result<Vec<KvOp>, HostError> {
    let list = ops.as_array().ok_or_else(|| HostError::invalid("batchLocalDb takes a list"))?;
    if list.len() > MAX_BATCH {
        return Err(HostError::new(code::LIMIT, format!("batchLocalDb takes at most {MAX_BATCH} operations")));
    }
    list.iter()
        .map(|op| {
            let value = || op.get("value").cloned().unwrap_or(Json::Null).to_string().into_bytes();
            if let Some(key) = op.get("put") {
                Ok(KvOp::Put { key: database_key(key)?, value: value() })
            } else if let Some(key) = op.get("delete") {
                Ok(KvOp::Delete { key: database_key(key)? })
            } else if let Some(key) = op.get("expect") {
                let absent = op.get("value").is_none_or(Json::is_null);
                Ok(KvOp::Expect { key: database_key(key)?, value: if absent { None } else { Some(value()) } })
            } else {
                Err(HostError::invalid(
                    "batchLocalDb: each operation is { put, value }, { delete } or { expect, value }",
                ))
            }
        })
        .collect()
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

fn message_bytes(message: &Json) -> Result<Vec<u8>, HostError> {
    if let Some(text) = message.as_str() {
        return Ok(text.as_bytes().to_vec());
    }
    wire::untag(message)
        .as_str()
        .and_then(|text| hex::decode(text.strip_prefix("0x")?).ok())
        .ok_or_else(|| HostError::invalid("message must be a string or bytes"))
}

/// A signature as the script gets it: 0x-hex of `r ‖ s ‖ v` and its parts.
fn signature_json(signature: &str) -> Result<Json, HostError> {
    let bytes = hex::decode(signature.trim_start_matches("0x")).unwrap_or_default();
    if bytes.len() != 65 {
        return Err(HostError::internal("a signature of another length than 65 bytes"));
    }
    Ok(json!({
        "signature": signature,
        "r": format!("0x{}", hex::encode(&bytes[..32])),
        "s": format!("0x{}", hex::encode(&bytes[32..64])),
        "v": bytes[64],
    }))
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
