//! `entresol node payments exit --from-layer1`: out of the layer 2 with nothing but a layer-1 endpoint.
//!
//! Reads all events of the gateway, replays every batch, and builds the proof and the call that claims. It needs no node,
//! no operator, no store and no plugin: this is the way that stays when all of these are gone.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use alloy::consensus::TxEip1559;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256};
use clap::Args;
use entresol_durable::write_point;
use payments_protocol::{Domain, Item, ItemKind, claim};
use serde::Serialize;
use url::Url;

use crate::args::FinalAt;
use crate::chain::Chain;
use crate::error::NodeError;
use crate::gateway::{self, Terms};
use crate::key::NodeKey;
use crate::layer1::{Follower, Layer1, Layer1Error, Whereabouts};
use crate::node::LOCAL_CHAINS;

/// Looks in a row that may fail to bring anything new before the endpoint is given up.
const PATIENCE: u32 = 64;

/// Longest wait for the claim to be in a block.
const MINING: Duration = Duration::from_secs(600);

/// Gas beyond the estimate, in percent.
const GAS_MARGIN_PERCENT: u64 = 25;

/// Arguments of `entresol node payments exit`.
#[derive(Clone, Debug, Args)]
pub struct ExitArgs {
    /// Read layer 1 and nothing else. The only way there is so far.
    #[arg(long, required = true)]
    pub from_layer1: bool,

    /// Layer-1 JSON-RPC endpoint (http or https). It must have the gateway's whole history of events.
    #[arg(long, value_name = "URL")]
    pub rpc: Url,

    /// Address of the payments gateway contract.
    #[arg(long, value_name = "ADDRESS")]
    pub gateway: Address,

    /// Layer-2 account whose ETH is wanted.
    #[arg(long, value_name = "ADDRESS")]
    pub account: Address,

    /// Chain id the endpoint must have.
    #[arg(long, value_name = "ID")]
    pub chain_id: Option<u64>,

    /// Block in which the gateway was deployed, or any earlier one.
    #[arg(long, value_name = "BLOCK", default_value_t = 0)]
    pub from_block: u64,

    /// Layer-1 block that ends the challenge window. Default: latest on chains 1337 and 31337, else finalized.
    #[arg(long, value_enum)]
    pub final_at: Option<FinalAt>,

    /// Send what pays the account now, paid for by the key in this file (64 hex digits, mode 0600). Any key will do:
    /// the ETH goes to the account. Without it the calls are only printed.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

/// What layer 1 says of an account's way out. Amounts in wei as decimal strings, times in Unix seconds.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExitReport {
    /// The account.
    pub account: Address,
    /// The gateway.
    pub gateway: Address,
    /// The chain.
    pub chain_id: String,
    /// Newest block that was read, and its time.
    pub block: String,
    /// Time of that block.
    pub time: String,
    /// Whether the gateway is halted: then balances are paid as well.
    pub halted: bool,
    /// Newest batch that stands, that was replayed and is true, and that is final.
    pub standing: String,
    /// See `standing`.
    pub verified: String,
    /// See `standing`.
    #[serde(rename = "final")]
    pub final_batch: String,
    /// What lies in the layer 2 after the newest true batch.
    pub balance: String,
    /// What was withdrawn ever, after the newest true batch.
    pub withdrawn: String,
    /// What was claimed ever, without what `transaction` claims.
    pub claimed: String,
    /// What can be claimed now, or was claimed by `transaction`.
    pub claimable: String,
    /// What can be claimed in all if the gateway is halted as things stand, once its last batch is final.
    pub after_halt: String,
    /// The batch that is claimed from.
    pub batch: String,
    /// The call that claims; absent when there is nothing to claim now.
    pub call: Option<ExitCall>,
    /// What can be claimed later without anybody's doing.
    pub maturing: Vec<Maturing>,
    /// Exit requests and posted withdrawals of the account that no batch has served.
    pub waiting: Vec<Waiting>,
    /// Deposits to the account that no batch has consumed, and that were not paid back.
    pub deposits: Vec<UnservedDeposit>,
    /// What to do next, in sentences.
    pub next: Vec<String>,
    /// Hash of the transaction that claimed, when it was sent.
    pub transaction: Option<B256>,
}

/// A call to send to layer 1.
#[derive(Clone, Debug, Serialize)]
pub struct ExitCall {
    /// The gateway.
    pub to: Address,
    /// Input of the call.
    pub input: Bytes,
}

/// Money that becomes claimable with time.
#[derive(Clone, Debug, Serialize)]
pub struct Maturing {
    /// The batch that must become final.
    pub batch: String,
    /// How much more can be claimed then.
    pub amount: String,
    /// When its challenge window ends.
    pub at: String,
}

/// A request that waits for the operator.
#[derive(Clone, Debug, Serialize)]
pub struct Waiting {
    /// Index in the inbox.
    pub index: String,
    /// When anybody can halt the gateway because of it; a later roll-back may give it grace once.
    pub overdue: String,
}

/// A deposit that waits for the operator, or after a halt for nobody.
#[derive(Clone, Debug, Serialize)]
pub struct UnservedDeposit {
    /// Index in the inbox.
    pub index: String,
    /// Wei.
    pub value: String,
    /// When anybody can halt the gateway because of it; a later roll-back may give it grace once.
    pub overdue: String,
    /// The call that pays it back to the account; absent before a halt.
    pub call: Option<ExitCall>,
    /// Hash of the transaction that paid it back, when it was sent.
    pub transaction: Option<B256>,
}

/// Reads layer 1 and says how the account gets its money; with a key file, claims what can be claimed.
///
/// # Errors
/// Layer 1 does not answer or contradicts itself; there is no gateway; the key file cannot be used; the claim reverts.
pub async fn exit_from_layer1(args: &ExitArgs) -> Result<ExitReport, NodeError> {
    let key = args.key_file.as_deref().map(NodeKey::read).transpose()?;
    let layer1 = Layer1::connect(args.rpc.clone(), args.gateway, args.chain_id).await?;
    if !layer1.has_code().await? {
        return Err(NodeError::NoGateway(args.gateway));
    }
    let terms = Terms::read(&layer1).await?;
    let local = LOCAL_CHAINS.contains(&layer1.chain_id());
    let final_at = args.final_at.unwrap_or(if local { FinalAt::Latest } else { FinalAt::Finalized });
    let mut chain = Chain::new(Domain::new(layer1.chain_id(), args.gateway), terms, final_at);
    let mut follower = Follower::new(layer1.clone(), args.from_block, final_at == FinalAt::Finalized, Vec::new());
    let mut idle = 0;
    while !chain.synced && idle < PATIENCE {
        let Some(step) = follower.look().await? else { break };
        idle = if step.blocks.is_empty() { idle + 1 } else { 0 };
        // No signature was checked before by anybody who could vouch for it.
        chain.apply(step, &|_, _: &_| false);
    }
    if !chain.synced {
        return Err(Layer1Error::Inconsistent("its newest block changes faster than it can be read".to_owned()).into());
    }
    let grace = gateway::grace(&layer1).await?;
    let mut report = report(&chain, args.account, grace);
    for deposit in std::mem::take(&mut report.deposits) {
        // A deposit that was paid back stays in the inbox; the contract alone says so.
        let index = deposit.index.parse().unwrap_or(u64::MAX);
        if !chain.halted || gateway::is_reclaimable(&layer1, index).await? {
            report.deposits.push(deposit);
        }
    }
    if let (Some(key), Some(call)) = (&key, &report.call) {
        report.transaction = Some(send(&layer1, key, call).await?);
    }
    for deposit in &mut report.deposits {
        if let (Some(key), Some(call)) = (&key, &deposit.call) {
            deposit.transaction = Some(send(&layer1, key, call).await?);
        }
    }
    report.next = advice(&chain, args.account, &report);
    Ok(report)
}

/// `grace`: items below the second were given the first as their time, by a roll-back.
fn report(chain: &Chain, account: Address, grace: (u64, u64)) -> ExitReport {
    let newest = chain.leaf(account);
    let claimed = chain.claimed(account);
    let standing = chain.next_id() - 1;
    // After a halt the gateway pays from the last standing batch only, once it is final. Before that from any final one:
    // a false one that nobody contested does not keep anybody from what is due by those before it.
    let from = if chain.halted { standing } else { chain.final_id().min(chain.verified_id()) };
    let ready = chain.is_final(from);
    let state = chain.state_after(from).filter(|_| ready);
    let due = |leaf| U256::from(claim::claimable(&leaf, chain.halted));
    let witness = state.as_ref().map(|state| (state.leaf(account), state.witness(account)));
    let claimable = witness.as_ref().map_or(U256::ZERO, |(leaf, _)| due(*leaf).saturating_sub(claimed));
    let call = witness
        .filter(|_| !claimable.is_zero())
        .map(|(_, witness)| ExitCall { to: chain.domain.gateway(), input: gateway::claim_input(from, &witness) });
    let maturing = maturing(chain, account, if ready { from } else { 0 }, claimed);
    let overdue = |item: &Item| {
        let since = item.time.max(if item.index < grace.1 { grace.0 } else { 0 });
        since.saturating_add(chain.terms.force).to_string()
    };
    let (mut waiting, mut deposits) = (Vec::new(), Vec::new());
    for item in chain.waiting_items().iter().filter(|item| item.who == account) {
        let (index, overdue) = (item.index.to_string(), overdue(item));
        if item.kind != ItemKind::Deposit {
            waiting.push(Waiting { index, overdue });
            continue;
        }
        let call = ExitCall { to: chain.domain.gateway(), input: gateway::reclaim_input(item.index) };
        let call = chain.halted.then_some(call);
        deposits.push(UnservedDeposit { index, value: item.value.to_string(), overdue, call, transaction: None });
    }
    ExitReport {
        account,
        gateway: chain.domain.gateway(),
        chain_id: chain.domain.chain_id().to_string(),
        block: chain.head.number.to_string(),
        time: chain.head.timestamp.to_string(),
        halted: chain.halted,
        standing: standing.to_string(),
        verified: chain.verified_id().to_string(),
        final_batch: chain.final_id().to_string(),
        balance: newest.balance.to_string(),
        withdrawn: newest.withdrawn.to_string(),
        claimed: claimed.to_string(),
        claimable: claimable.to_string(),
        after_halt: U256::from(claim::claimable(&newest, true)).saturating_sub(claimed).to_string(),
        batch: from.to_string(),
        call,
        maturing,
        waiting,
        deposits,
        next: Vec::new(),
        transaction: None,
    }
}

/// What later batches add, batch by batch.
fn maturing(chain: &Chain, account: Address, from: u64, claimed: U256) -> Vec<Maturing> {
    let mut before = chain
        .state_after(from)
        .map_or(claimed, |state| U256::from(claim::claimable(&state.leaf(account), chain.halted)).max(claimed));
    let mut all = Vec::new();
    // After a halt only the last one counts.
    let first = if chain.halted { chain.verified_id().max(from + 1) } else { from + 1 };
    for id in first..=chain.verified_id() {
        let (Some(state), Some(batch)) = (chain.state_after(id), chain.batch_at(id)) else { continue };
        let due = U256::from(claim::claimable(&state.leaf(account), chain.halted));
        if due > before {
            all.push(Maturing {
                batch: id.to_string(),
                amount: (due - before).to_string(),
                at: batch.block.timestamp.saturating_add(chain.terms.challenge).to_string(),
            });
            before = due;
        }
    }
    all
}

fn advice(chain: &Chain, account: Address, report: &ExitReport) -> Vec<String> {
    let mut next = Vec::new();
    if let Some(fault) = chain.fault() {
        let id = fault.event.id;
        next.push(if chain.is_final(id) {
            format!(
                "batch {id} is false, and nobody contested it in time: claim now what batches before it pay; what is \
                 true after it the gateway does not know"
            )
        } else {
            format!(
                "batch {id} is false: run a replica with --challenger-key-file, which contests it, and start this again"
            )
        });
    }
    if report.call.is_some() && report.transaction.is_none() {
        next.push("send the call to claim, from any account; or start this with --key-file FILE".to_owned());
    }
    if let Some(first) = report.maturing.first() {
        next.push(format!(
            "{} wei more can be claimed from Unix time {} on: start this again then",
            first.amount, first.at
        ));
    }
    for deposit in report.deposits.iter().filter(|deposit| deposit.transaction.is_none()) {
        let UnservedDeposit { index, value, overdue, .. } = deposit;
        next.push(if deposit.call.is_some() {
            format!(
                "send the call that pays back deposit {index}, from any account; or start this with --key-file FILE"
            )
        } else {
            format!(
                "deposit {index} of {value} wei waits for a batch; if none takes it until Unix time {overdue}, anybody \
                 can call halt(), after which it is paid back"
            )
        });
    }
    if chain.halted || chain.leaf(account).balance == 0 {
        return next;
    }
    match report.waiting.first() {
        None => next.push(format!(
            "the balance of {} wei is still in the layer 2: call requestExit() on the gateway from {account}",
            report.balance
        )),
        Some(first) => next.push(format!(
            "an exit is asked for; if no batch serves it until Unix time {}, anybody can call halt(), after which \
             everything is paid",
            first.overdue
        )),
    }
    next
}

async fn send(layer1: &Layer1, key: &NodeKey, call: &ExitCall) -> Result<B256, NodeError> {
    let gas = layer1.estimate(key.address(), U256::ZERO, &call.input).await?;
    let (fees, nonce) = (layer1.fees().await?, layer1.nonce(key.address()).await?);
    let (hash, raw) = key.sign_transaction(TxEip1559 {
        chain_id: layer1.chain_id(),
        nonce,
        gas_limit: gas.saturating_add(gas.saturating_mul(GAS_MARGIN_PERCENT) / 100),
        max_fee_per_gas: fees.max_fee,
        max_priority_fee_per_gas: fees.max_priority_fee,
        to: TxKind::Call(call.to),
        value: U256::ZERO,
        access_list: Default::default(),
        input: call.input.clone(),
    });
    // Nothing is stored: a claim that is sent twice pays once.
    write_point!("node.transaction.broadcast", layer1.broadcast(&raw).await)?;
    let sent = Instant::now();
    loop {
        match layer1.whereabouts(hash).await? {
            Whereabouts::Mined { success: true, .. } => return Ok(hash),
            Whereabouts::Mined { success: false, .. } => {
                return Err(NodeError::Claim(format!("{hash} reverted; start this again to see what is claimable")));
            }
            Whereabouts::Pending | Whereabouts::Unknown if sent.elapsed() > MINING => {
                return Err(NodeError::Claim(format!("{hash} was sent and is in no block yet; look for it later")));
            }
            Whereabouts::Pending | Whereabouts::Unknown => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
}
