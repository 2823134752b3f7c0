//! The gateway contract's events, read strictly.
//!
//! A log that this code cannot read is kept as [`GatewayEvent::Unreadable`]: a gateway that speaks otherwise than its
//! bindings is an alarm, never a reason to skip silently.

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::{SolCall, SolError, SolEvent};
use payments_contract::PaymentsGateway;
use payments_protocol::{Contest, Item, ItemKind, Preimage, Witness};

use crate::layer1::{GatewayLog, Layer1, Layer1Error};

/// What happened at the gateway.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum GatewayEvent {
    /// An inbox item.
    Item(Item),
    /// A batch stands.
    Batch(BatchEvent),
    /// Batch `id` and all later ones fell.
    Contested { id: u64, challenger: Address, chunk: u64 },
    /// `account` has claimed `total` wei in all.
    Claimed { account: Address, total: U256 },
    /// The gateway is halted.
    Halted,
    /// Nothing the node follows.
    Other,
    /// A log that does not read as what it claims to be.
    Unreadable(String),
}

/// A batch as its event and its transaction tell it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BatchEvent {
    pub(crate) id: u64,
    pub(crate) commitment: B256,
    pub(crate) proposer: Address,
    pub(crate) inbox_start: u64,
    pub(crate) inbox_end: u64,
    /// Claimed root of its last chunk.
    pub(crate) root: B256,
    /// Whole input of the transaction, selector included.
    pub(crate) input: Bytes,
}

/// True for logs whose transaction input is part of what they say.
pub(crate) fn needs_input(log: &GatewayLog) -> bool {
    log.topics.first() == Some(&PaymentsGateway::BatchSubmitted::SIGNATURE_HASH)
}

/// Reads one log.
pub(crate) fn read(log: &GatewayLog) -> GatewayEvent {
    event(log).unwrap_or_else(|error| {
        GatewayEvent::Unreadable(format!("log {} of {}: {error}", log.log_index, log.transaction))
    })
}

fn event(log: &GatewayLog) -> Result<GatewayEvent, String> {
    let Some(topic) = log.topics.first() else { return Ok(GatewayEvent::Other) };
    let event = match *topic {
        PaymentsGateway::InboxItem::SIGNATURE_HASH => {
            let event: PaymentsGateway::InboxItem = decode(log)?;
            GatewayEvent::Item(Item {
                index: event.index,
                kind: ItemKind::from_byte(event.kind).ok_or_else(|| format!("item kind {}", event.kind))?,
                who: event.who,
                value: event.value,
                fee: event.fee,
                time: event.time,
                message_id: event.messageId,
                depositor: event.depositor,
            })
        }
        PaymentsGateway::BatchSubmitted::SIGNATURE_HASH => {
            let event: PaymentsGateway::BatchSubmitted = decode(log)?;
            GatewayEvent::Batch(BatchEvent {
                id: id(event.id)?,
                commitment: event.commitment,
                proposer: event.proposer,
                inbox_start: event.inboxStart,
                inbox_end: event.inboxEnd,
                root: event.root,
                input: log.input.clone().unwrap_or_default(),
            })
        }
        PaymentsGateway::Contested::SIGNATURE_HASH => {
            let event: PaymentsGateway::Contested = decode(log)?;
            GatewayEvent::Contested { id: id(event.id)?, challenger: event.challenger, chunk: id(event.chunk)? }
        }
        PaymentsGateway::Claimed::SIGNATURE_HASH => {
            let event: PaymentsGateway::Claimed = decode(log)?;
            GatewayEvent::Claimed { account: event.account, total: event.total }
        }
        PaymentsGateway::Halted::SIGNATURE_HASH => GatewayEvent::Halted,
        _ => GatewayEvent::Other,
    };
    Ok(event)
}

fn decode<E: SolEvent>(log: &GatewayLog) -> Result<E, String> {
    E::decode_raw_log_validate(log.topics.iter().copied(), &log.data).map_err(|error| error.to_string())
}

/// Batch ids ascend from 1 by one, so a 64-bit id is never too small for an honest gateway.
fn id(value: U256) -> Result<u64, String> {
    value.try_into().map_err(|_| format!("id {value} is too large"))
}

/// What the gateway was deployed with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Who may submit batches.
    pub(crate) operator: Address,
    /// Seconds during which a batch can be contested.
    pub(crate) challenge: u64,
    /// Seconds within which an inbox item must be consumed.
    pub(crate) force: u64,
    /// Wei of bond without which no batch is accepted.
    pub(crate) min_bond: u128,
}

impl Terms {
    /// Reads them from the contract.
    pub(crate) async fn read(layer1: &Layer1) -> Result<Self, Layer1Error> {
        Ok(Self {
            operator: view(layer1, PaymentsGateway::OPERATORCall {}).await?,
            challenge: view(layer1, PaymentsGateway::CHALLENGECall {}).await?,
            force: view(layer1, PaymentsGateway::FORCECall {}).await?,
            min_bond: view(layer1, PaymentsGateway::MIN_BONDCall {}).await?,
        })
    }
}

/// The operator's bond now, in wei.
pub(crate) async fn bond(layer1: &Layer1) -> Result<U256, Layer1Error> {
    view(layer1, PaymentsGateway::bondBalanceCall {}).await
}

/// Time and end of the latest grace: items below the second are not overdue before the first + FORCE.
pub(crate) async fn grace(layer1: &Layer1) -> Result<(u64, u64), Layer1Error> {
    let grace = view(layer1, PaymentsGateway::graceCall {}).await?;
    Ok((grace.floor, grace.end))
}

/// Input that raises the bond by the call's value.
pub(crate) fn bond_input() -> Bytes {
    PaymentsGateway::bondCall {}.abi_encode().into()
}

/// Input that contests a batch.
pub(crate) fn contest_input(contest: &Contest) -> Bytes {
    let Preimage { id, previous_commitment, proposer, inbox_start, inbox_end, leaves } = contest.preimage.clone();
    let call = PaymentsGateway::contestCall {
        batch: PaymentsGateway::Preimage {
            id: U256::from(id),
            previousCommitment: previous_commitment,
            proposer,
            inboxStart: inbox_start,
            inboxEnd: inbox_end,
            leaves,
        },
        chunk: U256::from(contest.chunk),
        previous: PaymentsGateway::Opening { dataHash: contest.previous_data_hash, root: contest.previous_root },
        claimedRoot: contest.claimed_root,
        items: contest.items.iter().map(item_argument).collect(),
        records: contest.records.clone(),
        witnesses: contest.witnesses.iter().map(witness_argument).collect(),
    };
    call.abi_encode().into()
}

/// Input that claims what `witness` shows, at a batch; paid to the account itself.
pub(crate) fn claim_input(batch: u64, witness: &Witness) -> Bytes {
    let call = PaymentsGateway::claimCall {
        batch: U256::from(batch),
        witness: witness_argument(witness),
        recipient: witness.account,
        signature: Bytes::new(),
    };
    call.abi_encode().into()
}

/// Input that pays a deposit back which no batch consumed, after a halt.
pub(crate) fn reclaim_input(index: u64) -> Bytes {
    PaymentsGateway::reclaimDepositCall { index }.abi_encode().into()
}

/// Whether a deposit that no batch consumed was not paid back yet. Only after a halt.
pub(crate) async fn is_reclaimable(layer1: &Layer1, index: u64) -> Result<bool, Layer1Error> {
    match layer1.call(&reclaim_input(index)).await {
        Ok(_) => Ok(true),
        // Another revert hides nothing: who sends the call sees it.
        Err(Layer1Error::Refused { data: Some(data), .. }) => {
            Ok(!data.starts_with(&PaymentsGateway::NotReclaimable::SELECTOR))
        }
        Err(error) => Err(error),
    }
}

fn item_argument(item: &Item) -> PaymentsGateway::Item {
    PaymentsGateway::Item {
        kind: item.kind as u8,
        who: item.who,
        value: item.value,
        fee: item.fee,
        time: item.time,
        messageId: item.message_id,
        depositor: item.depositor,
    }
}

fn witness_argument(witness: &Witness) -> PaymentsGateway::Witness {
    PaymentsGateway::Witness {
        account: witness.account,
        balance: witness.balance,
        withdrawn: witness.withdrawn,
        nonce: witness.nonce,
        head: witness.head,
        siblings: witness.siblings.clone(),
    }
}

async fn view<C: SolCall>(layer1: &Layer1, call: C) -> Result<C::Return, Layer1Error> {
    let answer = layer1.call(&call.abi_encode().into()).await?;
    C::abi_decode_returns_validate(&answer)
        .map_err(|_| Layer1Error::Inconsistent("the contract at --gateway is no payments gateway".to_owned()))
}

#[cfg(test)]
mod tests;
