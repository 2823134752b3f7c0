//! `eth_sendTransaction`: a transaction that a site or an app asks for. Decoded, simulated and shown with the caller;
//! asked each time, by no policy; what would fail is refused before anybody is asked.
//!
//! What the wallet decides itself: fees (hints for prices are not looked at), the gas limit (its own estimate, or the
//! caller's where that is higher), the nonce. A caller may state the nonce, as deployment scripts do whose contracts'
//! addresses depend on it: then the transaction is sent with that one or not at all, after those before it.

use super::asking::{self, Asking};
use crate::approvals::{CallIntent, Proposal, Signer, transaction};
use crate::callers::Asked;
use crate::duties::{OwnIntent, Planned, Reviewed};
use crate::error::{HostError, code};
use crate::messages::Row;
use crate::text::{ether, row};
use crate::{Host, networks::Runtime};
use alloy::primitives::{Address, Bytes, TxKind, U256, keccak256};
use entresol_layer1::{CallRequest, FeeSpeed, Network};
use serde::Deserialize;
use serde_json::Value as Json;

/// Largest calldata, in bytes: pools of nodes take no transaction above 128 KiB.
const MAX_DATA: usize = 120 << 10;
/// Recipients of one call that are compared with those the user knows.
const MAX_RECIPIENTS: usize = 8;

/// A transaction as JSON-RPC has it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Given {
    from: Json,
    to: Json,
    value: Json,
    data: Json,
    input: Json,
    gas: Json,
    /// The same, as ethers 5 and its pages write it.
    gas_limit: Json,
    gas_price: Json,
    max_fee_per_gas: Json,
    max_priority_fee_per_gas: Json,
    nonce: Json,
    chain_id: Json,
    #[serde(rename = "type")]
    kind: Json,
    access_list: Json,
}

/// `eth_sendTransaction` [transaction]; gives its hash once it is broadcast.
pub(crate) async fn send_transaction(mut asked: Asked) -> Result<Json, HostError> {
    let given: Given = asked.object()?;
    let from = asking::address(&given.from, "eth_sendTransaction: from")?;
    let asking = Asking::new(&asked, from)?;
    let call = call(from, &given.to, &given.value, &[&given.data, &given.input], "eth_sendTransaction")?;
    refuse_kinds(&given)?;
    let (name, runtime) = asking.network()?;
    let network = &runtime.network;
    check_chain(&given.chain_id, network)?;
    let least_gas = given_gas(&given)?;
    let nonce = nonce(&asking.host, &given.nonce, from, &runtime).await?;
    for (field, price) in [
        ("gasPrice", &given.gas_price),
        ("maxFeePerGas", &given.max_fee_per_gas),
        ("maxPriorityFeePerGas", &given.max_priority_fee_per_gas),
    ] {
        // Not used, and a mistake of the caller's all the same.
        (!price.is_null()).then(|| asking::quantity(price, field)).transpose()?;
    }

    let described = describe(&asking.host, network, &call).await?;
    let (words, speed) = (asking.from(), FeeSpeed::default());
    let what = ether(call.value);
    let planned =
        Planned { from: &words, what: &what, call: &call, before: &[], fees_before: U256::ZERO, speed, least_gas };
    let Reviewed { price, told } = asking.host.review(network, &planned).await?;
    let mut rows = vec![row("Network", format!("{name} (chain {})", network.chain_id())), row("From", words)];
    rows.extend(described.rows);
    rows.extend(told.rows);
    rows.extend(nonce.map(|nonce| row("Nonce", format!("{nonce}: it is sent with this one or not at all"))));
    rows.push(price.row());
    let mut warnings = described.warnings;
    warnings.extend(told.warnings);
    let stored = CallIntent {
        intent: transaction(network.chain_id(), &call, price.ceiling),
        signer: Signer::Owner { index: asking.owner },
        network: name,
        role: "send".to_owned(),
        function: described.function,
        deadline: None,
        before: None,
    };
    let digest = stored.digest().to_string();
    let intent = OwnIntent { least_gas, nonce, ..OwnIntent::new(stored, speed) };
    let sentence = format!("{} asks you to {}. Allow it?", asking.words, described.sentence);
    let proposal = Proposal::new("send", asking.requester(), digest, &intent, sentence)?;
    let outcome = asking.ask(Proposal { rows, warnings, ..proposal }).await?;
    Ok(outcome["transaction"].clone())
}

/// A call out of its fields; `data` are the names that calldata goes by, and those given must agree.
pub(super) fn call(
    from: Address,
    to: &Json,
    value: &Json,
    data: &[&Json],
    what: &str,
) -> Result<CallRequest, HostError> {
    let value = if value.is_null() { U256::ZERO } else { asking::quantity(value, &format!("{what}: value"))? };
    let mut input: Option<Vec<u8>> = None;
    for given in data.iter().filter(|given| !given.is_null()) {
        let bytes = asking::bytes(given.as_str().unwrap_or_default(), &format!("{what}: data"))?;
        if input.as_ref().is_some_and(|first| *first != bytes) {
            return Err(HostError::invalid(format!("{what}: data and input differ; state one of them")));
        }
        input = Some(bytes);
    }
    let input = input.unwrap_or_default();
    if input.len() > MAX_DATA {
        return Err(HostError::new(code::LIMIT, format!("{what}: data: more than {MAX_DATA} bytes")));
    }
    let to = match to {
        Json::Null => TxKind::Create,
        Json::String(text) if text.is_empty() || text == "0x" => TxKind::Create,
        given => TxKind::Call(asking::address(given, &format!("{what}: to"))?),
    };
    if to.is_create() && input.is_empty() {
        return Err(HostError::invalid(format!("{what}: state to, or the code of a contract to be created as data")));
    }
    Ok(CallRequest { from, to, value, input: Bytes::from(input) })
}

/// The chain that is stated must be the one the caller looks at.
fn check_chain(given: &Json, network: &Network) -> Result<(), HostError> {
    if given.is_null() {
        return Ok(());
    }
    let (stated, own) = (asking::quantity(given, "eth_sendTransaction: chainId")?, network.chain_id());
    if stated == U256::from(own) {
        return Ok(());
    }
    Err(HostError::unauthorized(format!(
        "eth_sendTransaction: the transaction is for chain {stated}, you are on chain {own}; ask for \
         wallet_switchEthereumChain first"
    )))
}

/// What the wallet sends is of type 2 with an empty access list. Types 0 and 1 say the same with other prices; the others
/// carry what nobody has been shown.
fn refuse_kinds(given: &Given) -> Result<(), HostError> {
    if !given.kind.is_null() && asking::small(&given.kind, "eth_sendTransaction: type")? > 2 {
        return Err(HostError::invalid("eth_sendTransaction: type: 0x0, 0x1 and 0x2 are known"));
    }
    match &given.access_list {
        Json::Null => Ok(()),
        Json::Array(list) if list.is_empty() => Ok(()),
        _ => Err(HostError::invalid("eth_sendTransaction: accessList: leave it out; the wallet sends none")),
    }
}

fn given_gas(given: &Given) -> Result<u64, HostError> {
    let mut gas = 0;
    for one in [&given.gas, &given.gas_limit].into_iter().filter(|one| !one.is_null()) {
        gas = asking::small(one, "eth_sendTransaction: gas")?.max(gas);
    }
    Ok(gas)
}

/// The nonce that is stated: the account's next, or one behind requests that wait and state those in between.
async fn nonce(host: &Host, given: &Json, from: Address, runtime: &Runtime) -> Result<Option<u64>, HostError> {
    if given.is_null() {
        return Ok(None);
    }
    let stated = asking::small(given, "eth_sendTransaction: nonce")?;
    let next = runtime.transactions.next_nonce(from).await?;
    let promised: Vec<u64> = host.sends_before(from, stated)?.into_iter().map(|(_, nonce)| nonce).collect();
    if stated >= next && (next..stated).all(|nonce| promised.contains(&nonce)) {
        return Ok(Some(stated));
    }
    Err(HostError::invalid(format!(
        "eth_sendTransaction: nonce {stated}: the next of this account is {next}; leave it out, and the wallet chooses"
    )))
}

/// A call in the words of the approval.
pub(super) struct Described {
    /// `send 1 ETH to 0x…`.
    pub(super) sentence: String,
    pub(super) rows: Vec<Row>,
    pub(super) warnings: Vec<String>,
    /// For the journal: the selector, empty for a transfer of ETH.
    pub(super) function: String,
}

/// Says what a call is: whom it reaches, what it carries, what its calldata mean, and whether the user knows them.
pub(super) async fn describe(host: &Host, network: &Network, call: &CallRequest) -> Result<Described, HostError> {
    let decoded = host.explain(network, call, &[]).await?;
    let (mut rows, mut warnings) = (Vec::new(), Vec::new());
    let TxKind::Call(to) = call.to else {
        let with = if call.value.is_zero() { String::new() } else { format!(" and send {} to it", ether(call.value)) };
        rows.push(row("Creates", decoded.title));
        rows.push(row("Sends", ether(call.value)));
        rows.extend(decoded.rows);
        rows.push(row("Code digest", keccak256(&call.input).to_string()));
        let sentence = format!("create a contract{with}");
        return Ok(Described { sentence, rows, warnings: decoded.warnings, function: "create".to_owned() });
    };
    let shown = to.to_checksum(None);
    rows.push(row("To", shown.clone()));
    rows.push(row("Sends", ether(call.value)));
    if call.input.is_empty() {
        rows.extend(host.recipient_row(network, to).await?);
        warnings.extend(host.recipient_warnings(to, None)?);
        let sentence = format!("send {} to {shown}", ether(call.value));
        return Ok(Described { sentence, rows, warnings, function: String::new() });
    }
    if network.code(to).await?.is_empty() {
        warnings.push(format!("There is no contract at {shown}: the calldata do nothing there now."));
    }
    warnings.extend(host.look_alikes(to)?);
    for recipient in decoded.recipients.iter().filter(|recipient| **recipient != to).take(MAX_RECIPIENTS) {
        warnings.extend(host.recipient_warnings(*recipient, Some(to))?);
    }
    let with = if call.value.is_zero() { String::new() } else { format!(", with {}", ether(call.value)) };
    let sentence = format!("call {shown}{with} ({})", decoded.title);
    rows.push(row("Calls", decoded.title));
    rows.extend(decoded.rows);
    warnings.extend(decoded.warnings);
    let selector = call.input.get(..4).unwrap_or(&call.input);
    Ok(Described { sentence, rows, warnings, function: format!("0x{}", hex::encode(selector)) })
}
