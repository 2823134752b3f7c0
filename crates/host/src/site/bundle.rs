//! Bundles of calls (EIP-5792, version 2.0.0): one question for several transactions, sent one after the other.
//!
//! A bundle *is* its request: the id names it (`request_key`), the intent holds every call, the outcome says how it
//! ended, and each call's transaction is found by its note. So there is nothing beside it that could disagree after a
//! crash, and a page that was loaded anew asks by the id. Each transaction is bound to its own intent and ceiling; the
//! next is sent only when the one before it is in a block and has succeeded. All or nothing cannot be promised by an
//! account without code, and is refused.

use super::asking::{self, Asking};
use super::send::{call, describe};
use crate::approvals::{CallIntent, Proposal, Signer, transaction};
use crate::callers::{Asked, Caller};
use crate::duties::{Planned, Reviewed};
use crate::error::{HostError, code};
use crate::messages::Row;
use crate::text::{ether, quoted, row};
use crate::wallet::{End, Step};
use crate::{Actor, Host, Operation, now};
use alloy::primitives::{B256, U256};
use entresol_layer1::FeeSpeed;
use entresol_store::{Approval, ApprovalState, Transaction};
use entresol_vault::{Approved, Intent};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use std::time::Duration;

/// The version that is spoken.
const VERSION: &str = "2.0.0";
/// Most calls of one bundle: more can hardly be read.
const MAX_CALLS: usize = 16;
/// Longest id, in bytes: what EIP-5792 allows.
const MAX_ID: usize = 4096;
/// Notices that all callers together may put up in a minute.
const SHOWN_A_MINUTE: usize = 6;
/// What a call's transaction is for, in the user's list.
const PURPOSE: &str = "send";
const MINUTE: Duration = Duration::from_secs(60);

/// What an approval of kind `bundle` keeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Bundle {
    caller: Caller,
    bundle_id: String,
    /// The caller chose the id and so can ask by it, whatever happens to its page.
    named: bool,
    network: String,
    signer: Signer,
    calls: Vec<Intent>,
}

impl Bundle {
    /// What is approved: every call, in this order.
    pub(crate) fn digest(&self) -> B256 {
        Intent::digest_in_order(&self.calls)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Given {
    version: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    from: Json,
    chain_id: Json,
    #[serde(default)]
    atomic_required: bool,
    calls: Vec<GivenCall>,
    #[serde(default)]
    capabilities: Map<String, Json>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenCall {
    #[serde(default)]
    to: Json,
    #[serde(default)]
    value: Json,
    #[serde(default)]
    data: Json,
    #[serde(default)]
    capabilities: Map<String, Json>,
}

/// `wallet_sendCalls`: gives the bundle's id once the user has agreed. With an id of the caller's own the question stays
/// when the page goes.
pub(crate) async fn send_calls(mut asked: Asked) -> Result<Json, HostError> {
    let given: Given = asked.object()?;
    let from = match &given.from {
        Json::Null => asked.host.caller_addresses(&asked.caller)?.into_iter().next().unwrap_or_default(),
        from => asking::address(from, "wallet_sendCalls: from")?,
    };
    let asking = Asking::new(&asked, from)?;
    check(&given)?;
    let (name, runtime) = asking.network()?;
    let network = &runtime.network;
    let chain_id = network.chain_id();
    if asking::quantity(&given.chain_id, "wallet_sendCalls: chainId")? != U256::from(chain_id) {
        let words = format!("wallet_sendCalls: this caller is on chain {chain_id}; switch the chain first");
        return Err(HostError::new(code::UNSUPPORTED_CHAIN, words));
    }
    let named = given.id.is_some();
    let id = given.id.map_or_else(random_id, Ok)?;
    let key = request_key(&asking.caller, &id);
    if asking.host.known_request(Some(&key))?.is_some() {
        let words = format!("wallet_sendCalls: there is a bundle with the id {} already", quoted(&id));
        return Err(HostError::new(code::DUPLICATE_BUNDLE, words));
    }

    let words = asking.from();
    let count = given.calls.len();
    let mut rows = vec![row("Network", format!("{name} (chain {chain_id})")), row("From", words.clone())];
    let (mut warnings, mut calls, mut intents) = (Vec::new(), Vec::new(), Vec::new());
    let (mut fee, mut ceiling) = (U256::ZERO, U256::ZERO);
    for (position, given) in given.calls.iter().enumerate() {
        let number = position + 1;
        let field = format!("wallet_sendCalls: call {number}");
        let call = call(from, &given.to, &given.value, &[&given.data], &field)?;
        let described = describe(&asking.host, network, &call).await?;
        let what = ether(call.value);
        let planned = Planned {
            from: &words,
            what: &what,
            call: &call,
            before: &calls,
            fees_before: fee,
            speed: FeeSpeed::default(),
            least_gas: 0,
        };
        let Reviewed { price, told } = asking
            .host
            .review(network, &planned)
            .await
            .map_err(|error| HostError { message: format!("call {number} of {count}: {}", error.message), ..error })?;
        let shown = described.rows.into_iter().chain(told.rows).chain([price.row()]);
        rows.extend(shown.map(|shown| Row { label: format!("{number}. {}", shown.label), value: shown.value }));
        warnings
            .extend(described.warnings.into_iter().chain(told.warnings).map(|text| format!("Call {number}: {text}")));
        fee = fee.saturating_add(price.now);
        ceiling = ceiling.saturating_add(price.ceiling);
        intents.push(transaction(chain_id, &call, price.ceiling));
        calls.push(call);
    }
    let value = calls.iter().fold(U256::ZERO, |sum, call| sum.saturating_add(call.value));
    rows.push(row("Together", format!("{} in {count} transactions", ether(value))));
    rows.push(row("Fees together", format!("about {}, at most {}", ether(fee), ether(ceiling))));
    if count > 1 {
        warnings.push("One after the other: when a call fails, those before it stay done.".to_owned());
    }
    let bundle = Bundle {
        caller: asking.caller.clone(),
        bundle_id: id.clone(),
        named,
        network: name,
        signer: Signer::Owner { index: asking.owner },
        calls: intents,
    };
    let sentence = format!("{} asks you for {count} transactions, one after the other. Allow them?", asking.words);
    let proposal = Proposal::new("bundle", asking.requester(), bundle.digest().to_string(), &bundle, sentence)?;
    let proposal = Proposal { request_key: Some(key), rows, warnings, ..proposal };
    let view = asking.host.submit(asking.caused(proposal, Some(id.clone()))).await?;
    // Nobody could ever ask for one without a name of the caller's own.
    let waits = (!named).then(|| asking.host.waits_for(&view));
    let agreed = asking.host.agreed(view.id).await;
    drop(waits);
    agreed?;
    Ok(json!({ "id": id }))
}

/// `wallet_getCallsStatus` [id].
pub(crate) async fn calls_status(mut asked: Asked) -> Result<Json, HostError> {
    let (approval, bundle) = known_bundle(&mut asked)?;
    let host = &asked.host;
    let transactions = (0..bundle.calls.len())
        .map(|position| host.noted_transaction(&note(approval.id, position)))
        .collect::<Result<Vec<_>, _>>()?;
    let network = host.store().network(&bundle.network)?;
    let chain_id = network.map_or(0, |network| network.chain_id);
    let over = approval.state == ApprovalState::Pending && approval.request.expires_at <= now();
    let state = if over { ApprovalState::Expired } else { approval.state };
    let mut receipts = Vec::new();
    for transaction in transactions.iter().flatten().filter(|one| one.success.is_some()) {
        let runtime = host.runtime(&bundle.network)?;
        let receipt = runtime.network.request("eth_getTransactionReceipt", json!([transaction.hash])).await?;
        if receipt.is_object() {
            receipts.push(plain_receipt(&receipt));
        }
    }
    Ok(json!({
        "version": VERSION,
        "id": bundle.bundle_id,
        "chainId": format!("{chain_id:#x}"),
        "status": status(state, &transactions),
        "atomic": false,
        "receipts": receipts,
    }))
}

/// `wallet_showCallsStatus` [id]: a notice that says which request it was.
pub(crate) async fn show_calls(mut asked: Asked) -> Result<Json, HostError> {
    let (approval, _) = known_bundle(&mut asked)?;
    let host = &asked.host;
    host.inner.rates.take(0, "wallet_showCallsStatus", SHOWN_A_MINUTE, MINUTE)?;
    let words = host.caller_words(&asked.caller)?;
    let state = approval.state.as_str();
    host.notice(None, "info", &format!("{words} asks you to look at its calls: request {} is {state}.", approval.id));
    Ok(Json::Null)
}

/// `wallet_getCapabilities` [account, chains]: what can be had on the chains that are named (the caller's own where none
/// is): nothing beyond the calls themselves.
pub(crate) async fn capabilities(mut asked: Asked) -> Result<Json, HostError> {
    let params = asked.list()?;
    let from = asking::address(params.first().unwrap_or(&Json::Null), "wallet_getCapabilities: the account")?;
    let asking = Asking::new(&asked, from)?;
    let known = asking.host.store().networks()?;
    let wanted = match params.get(1) {
        None | Some(Json::Null) => vec![asking.host.caller_chain(&asking.caller)?.chain_id],
        Some(Json::Array(list)) if list.len() <= MAX_CALLS => list
            .iter()
            .map(|chain| asking::small(chain, "wallet_getCapabilities: chain"))
            .collect::<Result<Vec<_>, _>>()?,
        Some(_) => {
            let words = format!("wallet_getCapabilities: a list of at most {MAX_CALLS} chain ids");
            return Err(HostError::invalid(words));
        }
    };
    let here = wanted.into_iter().filter(|chain| known.iter().any(|network| network.chain_id == *chain));
    let unsupported = json!({ "atomic": { "status": "unsupported" } });
    Ok(Json::Object(here.map(|chain| (format!("{chain:#x}"), unsupported.clone())).collect()))
}

impl Host {
    /// The call of a bundle that is under way whose transaction has this hash, or the nonce of it.
    pub(crate) fn bundled_call(&self, hash: &str) -> Result<Option<(Approval, CallIntent, Approved)>, HostError> {
        let same = self.store().transactions_of_same_nonce(hash)?;
        for approval in self.store().open_approved()?.into_iter().filter(|one| one.request.kind == "bundle") {
            let bundle = read(&approval)?;
            for (position, intent) in bundle.calls.iter().enumerate() {
                let noted = self.noted_transaction(&note(approval.id, position))?;
                if !noted.is_some_and(|noted| same.iter().any(|one| one.hash == noted.hash)) {
                    continue;
                }
                let digest = approval.request.digest.parse().map_err(|_| HostError::internal("a stored digest"))?;
                let approved = Approved::in_order(&bundle.calls, position, approval.id, digest)?;
                let call = CallIntent {
                    intent: intent.clone(),
                    signer: bundle.signer,
                    network: bundle.network.clone(),
                    role: PURPOSE.to_owned(),
                    function: String::new(),
                    deadline: None,
                    before: None,
                };
                return Ok(Some((approval, call, approved)));
            }
        }
        Ok(None)
    }

    /// Sends the calls of an approved bundle. After a crash it goes on behind the last call that was sent; none is sent
    /// twice.
    pub(crate) async fn execute_bundle(&self, approval: &Approval) -> Result<(), HostError> {
        let bundle = read(approval)?;
        let digest = approval.request.digest.parse().map_err(|_| HostError::internal("a stored digest"))?;
        let runtime = self.runtime_ready(&bundle.network).await?;
        let count = bundle.calls.len();
        for position in 0..count {
            let approved = Approved::in_order(&bundle.calls, position, approval.id, digest)?;
            if !matches!(approved.intent(), Intent::Transaction { chain_id, .. } if *chain_id == runtime.network.chain_id())
            {
                return Err(HostError::invalid("the network serves another chain than the one approved"));
            }
            let step = Step {
                approved,
                signer: bundle.signer,
                function: "wallet_sendCalls",
                purpose: PURPOSE,
                noted: Some(note(approval.id, position)),
            };
            let ended = self.send_in_order(approval, &runtime, &step).await;
            let why = match ended {
                Ok(End::Success) => continue,
                Ok(End::Reverted) => "it reverted".to_owned(),
                Ok(End::Never(why)) => why,
                Err(error) if error.code == code::TRANSACTION_REJECTED => error.message,
                Err(error) => return Err(error),
            };
            let words = format!(
                "call {} of {count} failed: {why}; the {position} before it are done, those behind it are not sent",
                position + 1
            );
            return Err(HostError::new(code::TRANSACTION_REJECTED, words));
        }
        let hashes = (0..count).map(|position| self.noted_transaction(&note(approval.id, position)));
        let hashes = hashes.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().map(|one| one.hash);
        self.store().finish_approval(approval.id, Ok(&json!({ "transactions": hashes.collect::<Vec<_>>() })))?;
        Ok(())
    }
}

fn check(given: &Given) -> Result<(), HostError> {
    let wrong = |words: String| Err(HostError::invalid(format!("wallet_sendCalls: {words}")));
    if given.version != VERSION {
        return wrong(format!("version {} is not known, {VERSION} is", quoted(&given.version)));
    }
    if given.atomic_required {
        let words = "wallet_sendCalls: atomicRequired: this wallet sends the calls one after the other; ask without it";
        return Err(HostError::new(code::NOT_ATOMIC, words));
    }
    if given.calls.is_empty() {
        return wrong("calls: at least one".to_owned());
    }
    if given.calls.len() > MAX_CALLS {
        let words = format!("wallet_sendCalls: {} calls; at most {MAX_CALLS} in one bundle", given.calls.len());
        return Err(HostError::new(code::BUNDLE_TOO_LARGE, words).with(json!({ "most": MAX_CALLS })));
    }
    if given.id.as_ref().is_some_and(|id| id.is_empty() || id.len() > MAX_ID) {
        return wrong(format!("id: a text of at most {MAX_ID} bytes"));
    }
    let asked = given.calls.iter().map(|call| &call.capabilities).chain([&given.capabilities]).flatten();
    match asked.into_iter().find(|(_, options)| options["optional"] != json!(true)) {
        None => Ok(()),
        Some((name, _)) => {
            let words = format!("wallet_sendCalls: the capability {} is not supported; make it optional", quoted(name));
            Err(HostError::new(code::UNSUPPORTED_CAPABILITY, words))
        }
    }
}

/// How far a bundle is: 100 under way, 200 all done, 400 nothing was sent and nothing will be, 500 reverted, 600 reverted or
/// ended behind calls that are done.
fn status(state: ApprovalState, transactions: &[Option<Transaction>]) -> u16 {
    let succeeded = transactions.iter().flatten().filter(|one| one.success == Some(true)).count();
    let reverted = transactions.iter().flatten().any(|one| one.success == Some(false));
    // A reorganisation may have taken back what was there already.
    let open = transactions.iter().flatten().any(|one| one.success.is_none() && one.state.is_open());
    match state {
        ApprovalState::Pending | ApprovalState::Approved => 100,
        ApprovalState::Rejected | ApprovalState::Expired => 400,
        ApprovalState::Done | ApprovalState::Failed if open => 100,
        _ if succeeded == transactions.len() => 200,
        _ if succeeded > 0 => 600,
        _ if reverted => 500,
        _ => 400,
    }
}

/// The part of a receipt that EIP-5792 names.
fn plain_receipt(receipt: &Json) -> Json {
    let logs = receipt["logs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let logs: Vec<Json> = logs
        .iter()
        .map(|log| json!({ "address": log["address"], "data": log["data"], "topics": log["topics"] }))
        .collect();
    json!({
        "logs": logs,
        "status": receipt["status"],
        "blockHash": receipt["blockHash"],
        "blockNumber": receipt["blockNumber"],
        "gasUsed": receipt["gasUsed"],
        "transactionHash": receipt["transactionHash"],
    })
}

/// The bundle of this caller with the id among the parameters.
fn known_bundle(asked: &mut Asked) -> Result<(Approval, Bundle), HostError> {
    asked.host.authorize(&Actor::Caller(asked.caller.clone()), &Operation::ReadLayer1, asked.method)?;
    let params = asked.list()?;
    let id = asking::text(&params, 0, &format!("{}: the id", asked.method))?;
    let known = asked.host.store().approval_by_request_key(&request_key(&asked.caller, id))?;
    let approval = known.ok_or_else(|| {
        HostError::new(code::UNKNOWN_BUNDLE, format!("{}: there is no bundle with the id {}", asked.method, quoted(id)))
    })?;
    let bundle = read(&approval)?;
    Ok((approval, bundle))
}

fn read(approval: &Approval) -> Result<Bundle, HostError> {
    serde_json::from_value(approval.request.intent.clone())
        .map_err(|e| HostError::internal(format!("a stored bundle: {e}")))
}

/// Name of a bundle's request. A caller's key holds no space, so no two callers share a name, whatever their ids.
fn request_key(caller: &Caller, id: &str) -> String {
    format!("bundle:{} {id}", caller.key())
}

/// The setting that keeps the hash of a call's transaction.
fn note(approval: u64, position: usize) -> String {
    format!("bundle:{approval}:{position}")
}

fn random_id() -> Result<String, HostError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| HostError::internal(format!("no random numbers: {e}")))?;
    Ok(format!("0x{}", hex::encode(bytes)))
}

#[cfg(test)]
mod tests;
