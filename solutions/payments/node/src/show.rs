//! The JSON of the node's answers: quantities as decimal strings, bytes as 0x-hex.

use alloy::primitives::{Address, B256, U256};
use payments_protocol::{Contest, Effect, Leaf, Outcome, ReceiptTree, Record, Submission, claim};
use serde::Serialize;
use serde_json::{Value, json};

use crate::chain::{Chain, Place, StandingBatch, Verdict};
use crate::core::{Core, Purse};
use crate::gateway::{self, BatchEvent, GatewayEvent};
use crate::layer1::BlockRef;
use crate::rpc::{RpcError, code};
use crate::store::{LoggedMessage, StoreError};

/// Entries of one page of `l2_getMessages`.
const PAGE: u64 = 256;

/// Most receipts of one `l2_getReceipts`.
const RECEIPTS: usize = 256;

/// A protocol type in its own JSON form.
fn form<T: Serialize>(value: &T) -> Value {
    // The protocol's types have string keys and no failing serialiser.
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// `l2_status`.
pub(crate) fn status(core: &Core) -> Value {
    let chain = &core.chain;
    let terms = &chain.terms;
    let fault = chain.fault().map(|batch| {
        json!({ "batch": batch.event.id.to_string(), "verdict": batch.verdict.name(), "reason": batch.verdict.alarm() })
    });
    json!({
        "role": core.setup.role.name(),
        "chainId": chain.domain.chain_id().to_string(),
        "gateway": chain.domain.gateway(),
        "operator": terms.operator,
        "challenge": terms.challenge.to_string(),
        "force": terms.force.to_string(),
        "minBond": terms.min_bond.to_string(),
        "confirmations": core.setup.confirmations.to_string(),
        "head": {
            "number": chain.head.number.to_string(),
            "hash": chain.head.hash,
            "timestamp": chain.head.timestamp.to_string(),
        },
        "synced": chain.synced,
        "layer1Trouble": core.layer1_trouble,
        "standing": (chain.next_id() - 1).to_string(),
        "verified": chain.verified_id().to_string(),
        "final": chain.final_id().to_string(),
        "base": chain.base.id.to_string(),
        "root": chain.verified_state().root(),
        "inbox": {
            "length": chain.inbox.len().to_string(),
            "confirmed": chain.confirmed_items(core.setup.confirmations).to_string(),
            "consumed": chain.inbox_cursor().to_string(),
        },
        "pending": core.sequencer.as_ref().map_or(0, |sequencer| sequencer.pending_count()).to_string(),
        "receipts": core.sequencer.as_ref().map_or(0, |sequencer| sequencer.receipts()).to_string(),
        "openTransactions": core.open_transactions().map(|transaction| transaction.hash).collect::<Vec<_>>(),
        "waitsForGas": core.waits_for_gas,
        "purse": core.purse.as_ref().map(Purse::show),
        "halted": chain.halted,
        // A fault built in on purpose, for tests and demonstrations.
        "adversary": core.setup.misbehave.is_some(),
        "fault": fault,
        "comparison": core.comparison(),
        // Raised since the start, by kind.
        "alerts": core.alerts.counts(),
    })
}

/// `l2_getAccount`. `batch`: the newest true one when not named.
pub(crate) fn account(core: &Core, address: Address, batch: Option<u64>) -> Result<Value, RpcError> {
    let chain = &core.chain;
    let batch = batch.unwrap_or_else(|| chain.verified_id());
    let state = chain.state_after(batch).ok_or_else(|| no_state(chain, batch))?;
    let leaf = state.leaf(address);
    let soft = core.sequencer.as_ref().map_or_else(|| chain.leaf(address), |s| s.soft_leaf(address));
    let waiting: U256 = chain
        .waiting_items()
        .iter()
        .filter(|item| item.who == address && item.kind == payments_protocol::ItemKind::Deposit)
        .fold(U256::ZERO, |sum, item| sum.saturating_add(U256::from(item.value)));
    Ok(json!({
        "address": address,
        "balance": leaf.balance.to_string(),
        "withdrawn": leaf.withdrawn.to_string(),
        "nonce": leaf.nonce.to_string(),
        "head": leaf.head,
        "claimed": chain.claimed(address).to_string(),
        "pending": form(&soft),
        "depositsWaiting": waiting.to_string(),
        "exitWaiting": chain.exit_waits(address),
        "batch": batch.to_string(),
        "commitment": commitment(chain, batch),
        "root": state.root(),
        "proof": form(&state.witness(address)),
        "finality": chain.finality(batch),
    }))
}

/// Of a batch from the base on; zero for genesis.
fn commitment(chain: &Chain, batch: u64) -> B256 {
    match chain.batch_at(batch) {
        Some(standing) => standing.event.commitment,
        None if batch == chain.base.id => chain.base.commitment,
        None => B256::ZERO,
    }
}

fn no_batch(batch: u64) -> RpcError {
    RpcError::not_found(format!("batch {batch} does not stand, or is not true"))
}

/// The store of what is old does not answer. The node ends at its next write.
fn unread(error: StoreError) -> RpcError {
    RpcError::new(code::INTERNAL, error.to_string())
}

/// States are kept from the base on.
fn no_state(chain: &Chain, batch: u64) -> RpcError {
    if batch == 0 || batch >= chain.base.id {
        return no_batch(batch);
    }
    let base = chain.base.id;
    RpcError::not_found(format!("the state after batch {batch} is kept no more, it is long final; ask from {base} on"))
}

/// A batch without its data, for lists and subscriptions.
pub(crate) fn batch_summary(chain: &Chain, batch: &StandingBatch) -> Value {
    let finality = if batch.verdict.is_true() { chain.finality(batch.event.id) } else { "none" };
    summary(
        chain,
        &batch.event,
        batch.transaction,
        batch.block,
        (batch.verdict.name(), batch.verdict.alarm()),
        finality,
    )
}

fn summary(
    chain: &Chain,
    event: &BatchEvent,
    transaction: B256,
    block: BlockRef,
    verdict: (&str, Option<String>),
    finality: &str,
) -> Value {
    json!({
        "id": event.id.to_string(),
        "commitment": event.commitment,
        "proposer": event.proposer,
        "inboxStart": event.inbox_start.to_string(),
        "inboxEnd": event.inbox_end.to_string(),
        "root": event.root,
        "transaction": transaction,
        "block": { "number": block.number.to_string(), "hash": block.hash, "timestamp": block.timestamp.to_string() },
        "contestableUntil": block.timestamp.saturating_add(chain.terms.challenge).to_string(),
        "verdict": verdict.0,
        "reason": verdict.1,
        "finality": finality,
    })
}

/// `l2_getBatch`.
pub(crate) fn batch(core: &Core, id: u64) -> Result<Value, RpcError> {
    if (1..=core.chain.base.id).contains(&id) {
        return settled_batch(core, id);
    }
    let standing = core.chain.batch_at(id).ok_or_else(|| no_batch(id))?;
    let mut value = batch_summary(&core.chain, standing);
    let outcomes: Vec<Vec<Value>> =
        standing.reports().iter().map(|report| report.outcomes.iter().map(outcome).collect()).collect();
    if let Some(object) = value.as_object_mut() {
        object.insert("outcomes".to_owned(), json!(outcomes));
        if let Some(batch) = &standing.batch {
            object.insert("previousCommitment".to_owned(), json!(batch.previous_commitment));
            object.insert("roots".to_owned(), json!(batch.roots));
            object.insert("records".to_owned(), json!(batch.records));
        }
    }
    Ok(value)
}

/// A batch below the base, from its event and what was noted of it.
fn settled_batch(core: &Core, id: u64) -> Result<Value, RpcError> {
    let damaged = || RpcError::new(code::INTERNAL, format!("batch {id} does not read back from the node's database"));
    let (step, outcomes) = core.below().batch(id).map_err(unread)?.ok_or_else(damaged)?;
    let log = step.logs.first().ok_or_else(damaged)?;
    let GatewayEvent::Batch(event) = gateway::read(log) else { return Err(damaged()) };
    let submission = Submission::decode(&event.input).map_err(|_| damaged())?;
    let batch = submission.into_batch(event.proposer, event.inbox_start);
    let outcomes: Vec<Vec<Value>> =
        outcomes.iter().map(|chunk| chunk.iter().map(|outcome| written(outcome)).collect()).collect();
    let mut value = summary(&core.chain, &event, log.transaction, step.block, ("true", None), "final");
    if let Some(object) = value.as_object_mut() {
        object.insert("outcomes".to_owned(), json!(outcomes));
        object.insert("previousCommitment".to_owned(), json!(batch.previous_commitment));
        object.insert("roots".to_owned(), json!(batch.roots));
        object.insert("records".to_owned(), json!(batch.records));
    }
    Ok(value)
}

/// An outcome as the store keeps it.
fn written(outcome: &str) -> Value {
    serde_json::from_str(outcome).unwrap_or(Value::Null)
}

/// What an item or record did, in one object.
pub(crate) fn outcome(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::NoEffect(reason) => json!({ "effective": false, "reason": reason.to_string() }),
        Outcome::Effective(Effect::Message { id, message }) => {
            let mut value = form(message);
            if let Some(object) = value.as_object_mut() {
                object.insert("id".to_owned(), json!(id));
                object.insert("effective".to_owned(), json!(true));
            }
            value
        }
        Outcome::Effective(Effect::Deposit { account, value }) => {
            json!({ "effective": true, "kind": "deposit", "to": account, "value": value.to_string() })
        }
        Outcome::Effective(Effect::ForcedExit { account, value, head }) => {
            json!({ "effective": true, "kind": "forcedExit", "from": account, "value": value.to_string(), "id": head })
        }
        Outcome::Effective(Effect::PostedWithdraw { account, value, id }) => {
            json!({ "effective": true, "kind": "postedWithdraw", "from": account, "value": value.to_string(), "id": id })
        }
    }
}

fn placed(chain: &Chain, place: Place) -> Value {
    let transaction = chain.batch_at(place.batch).map(|batch| batch.transaction);
    let value = chain.outcome(place).map_or(Value::Null, outcome);
    with_place(value, place, transaction, chain.finality(place.batch))
}

/// The same below the base.
fn settled(outcome: &str, place: Place, transaction: B256) -> Value {
    with_place(written(outcome), place, Some(transaction), "final")
}

fn with_place(mut value: Value, place: Place, transaction: Option<B256>, state: &str) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.insert("place".to_owned(), place_form(place, transaction));
        object.insert("state".to_owned(), json!(state));
    }
    value
}

fn place_form(place: Place, transaction: Option<B256>) -> Value {
    json!({
        "batch": place.batch.to_string(),
        "chunk": place.chunk.to_string(),
        "index": place.index.to_string(),
        "transaction": transaction,
    })
}

/// A promised message that has taken no effect yet.
fn promised(core: &Core, message: &LoggedMessage, tree: &mut Option<ReceiptTree>) -> Value {
    let leaf = Leaf { nonce: message.nonce, head: message.prev, ..Leaf::default() };
    let mut value = message.record.message(&leaf).map_or(Value::Null, |message| form(&message));
    if let Some(object) = value.as_object_mut() {
        object.insert("id".to_owned(), json!(message.id));
        object.insert("state".to_owned(), json!("pending"));
        object.insert("receipt".to_owned(), form(&core.receipt(message, tree)));
    }
    value
}

/// `l2_getMessages`: what touched the account in standing batches from a cursor on, and what is promised. The cursor
/// counts from the history's beginning: first what lies below the base, then what lies above it.
pub(crate) fn messages(core: &Core, address: Address, cursor: u64) -> Result<Value, RpcError> {
    let (base, above) = (core.chain.base.id, core.chain.history(address));
    let below = if base == 0 { 0 } else { core.below().history_len(address, base).map_err(unread)? };
    let len = below.saturating_add(above.len() as u64);
    // A roll-back made the history shorter than what the caller has seen.
    let reset = cursor > len;
    let start = cursor.min(len);
    let end = len.min(start + PAGE);
    let mut page = Vec::new();
    if start < below {
        let rows = core.below().history(address, start, end.min(below) - start, base).map_err(unread)?;
        page.extend(rows.iter().map(|row| settled(&row.outcome, row.place, row.transaction)));
    }
    let index = |place: u64| usize::try_from(place.saturating_sub(below)).unwrap_or(usize::MAX).min(above.len());
    page.extend(above[index(start)..index(end)].iter().map(|place| placed(&core.chain, *place)));
    let touches = |record: &Record| record.from == address || record.to == address;
    let mut tree = None;
    let pending: Vec<Value> = core
        .sequencer
        .iter()
        .flat_map(|sequencer| sequencer.pending())
        .filter(|message| touches(&message.record))
        .take(usize::try_from(PAGE).unwrap_or(usize::MAX))
        .map(|message| promised(core, message, &mut tree))
        .collect();
    Ok(json!({ "messages": page, "cursor": end.to_string(), "more": end < len, "reset": reset, "pending": pending }))
}

/// `l2_getMessage`.
pub(crate) fn message(core: &Core, id: B256) -> Result<Value, RpcError> {
    let logged = core.message(id).map_err(unread)?;
    let found = match core.chain.place(id) {
        Some(place) => Some(placed(&core.chain, place)),
        None if core.chain.base.id == 0 => None,
        None => core
            .below()
            .effect(id, core.chain.base.id)
            .map_err(unread)?
            .map(|row| settled(&row.outcome, row.place, row.transaction)),
    };
    if let Some(mut value) = found {
        if let (Some(object), Some(logged)) = (value.as_object_mut(), &logged) {
            object.insert("receipt".to_owned(), form(&core.receipt(logged, &mut None)));
        }
        return Ok(value);
    }
    let logged = logged.ok_or_else(|| RpcError::not_found("no such message is known here"))?;
    let mut value = promised(core, &logged, &mut None);
    if logged.nonce < core.chain.leaf(logged.record.from).nonce
        && let Some(object) = value.as_object_mut()
    {
        // Its nonce went to another message or exit of the sender: it can take effect no more.
        object.insert("state".to_owned(), json!("superseded"));
    }
    Ok(value)
}

/// `l2_getReceipts`: the operator's chain of receipts from a sequence number on, or what a comparing replica saw of it. `next` is where to go on; below `from` it says
/// that this operator has given fewer receipts than the caller knows of.
pub(crate) fn receipts(core: &Core, from: u64, limit: u64) -> Result<Value, RpcError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(RECEIPTS);
    let (receipts, known): (Vec<_>, _) = match (&core.sequencer, &core.comparison) {
        (Some(sequencer), _) => {
            let (messages, mut tree) = (core.receipted(from, limit).map_err(unread)?, None);
            let receipts = messages.iter().map_while(|message| core.receipt(message, &mut tree));
            (receipts.collect(), sequencer.receipts())
        }
        (None, Some(comparison)) => {
            let receipts = comparison.receipts(from, limit);
            let receipts = receipts.map_err(|error| RpcError::new(code::INTERNAL, error.to_string()))?;
            (receipts, comparison.book.next())
        }
        (None, None) => {
            return Err(RpcError::new(
                code::NOT_OPERATOR,
                "this node has no receipts; ask the operator's node, or a replica with --operator-url",
            ));
        }
    };
    let next = from.min(known).saturating_add(receipts.len() as u64);
    Ok(json!({ "receipts": form(&receipts), "next": next.to_string() }))
}

/// `l2_getContestWitness`: the proof for one chunk, of the false chunk when none is named.
pub(crate) fn contest_witness(core: &Core, id: u64, chunk: Option<usize>) -> Result<Value, RpcError> {
    if (1..=core.chain.base.id).contains(&id) {
        let text = format!("batch {id} is long final: it can be contested no more, and what proves it is not kept");
        return Err(RpcError::not_found(text));
    }
    let standing = core.chain.batch_at(id).ok_or_else(|| no_batch(id))?;
    let contest = match (&standing.verdict, chunk) {
        (Verdict::False { contest, .. }, None) => contest.as_ref().clone(),
        (_, None) => return Err(RpcError::params("the batch is not false; name the chunk to prove")),
        (_, Some(chunk)) => prove(&core.chain, standing, chunk)
            .ok_or_else(|| RpcError::not_found("there is no such chunk, or nothing to prove it from"))?,
    };
    let input = gateway::contest_input(&contest);
    let gateway = core.chain.domain.gateway();
    Ok(json!({ "contest": form(&contest), "call": { "to": gateway, "input": input } }))
}

fn prove(chain: &Chain, standing: &StandingBatch, chunk: usize) -> Option<Contest> {
    let batch = standing.batch.as_ref()?;
    let before = chain.state_after(standing.event.id.checked_sub(1)?)?;
    let items = chain.inbox.range(batch.inbox_start, batch.inbox_end)?;
    Contest::of_chunk(&chain.domain, batch, &before, items, chunk)
}

/// `l2_getExitProof`: everything that `claim` needs.
pub(crate) fn exit_proof(core: &Core, address: Address) -> Result<Value, RpcError> {
    let chain = &core.chain;
    // After a halt the gateway pays from the last standing batch only, once it is final.
    let id = if chain.halted { chain.next_id() - 1 } else { chain.final_id() };
    if !chain.is_final(id) {
        return Err(RpcError::not_found(format!("after the halt claims wait until batch {id} is final")));
    }
    let state = chain
        .state_after(id)
        .ok_or_else(|| RpcError::new(code::NOT_FOUND, "the final batch is not true; see l2_status"))?;
    let (leaf, witness) = (state.leaf(address), state.witness(address));
    let claimed = chain.claimed(address);
    let due = U256::from(claim::claimable(&leaf, chain.halted));
    let newest = chain.leaf(address);
    Ok(json!({
        "account": address,
        "batch": id.to_string(),
        "root": state.root(),
        "proof": form(&witness),
        "withdrawn": leaf.withdrawn.to_string(),
        "claimed": claimed.to_string(),
        "claimedAfter": due.to_string(),
        "claimable": due.saturating_sub(claimed).to_string(),
        // What later, not yet final batches add.
        "maturing": newest.withdrawn.saturating_sub(leaf.withdrawn).to_string(),
        "halted": chain.halted,
        // The proof of an account without a leaf may show a neighbour's: nothing to claim with.
        "call": (witness.account == address)
            .then(|| json!({ "to": chain.domain.gateway(), "input": gateway::claim_input(id, &witness) })),
    }))
}
