//! The task that brings the node's own transactions to layer 1.
//!
//! It holds nothing: the core says what is open and what is due, and signs and stores before anything is broadcast.
//! After a kill the same transactions are found open and looked up by hash, never made again with a new nonce.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::SolInterface;
use entresol_durable::write_point;
use payments_contract::PaymentsGateway::PaymentsGatewayErrors;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::args::Role;
use crate::core::{Core, CoreGone, CoreHandle, Job, Purse};
use crate::fees::{Ceilings, Urgency};
use crate::gateway;
use crate::layer1::{Layer1, Layer1Error, Whereabouts};
use crate::rpc::{Notice, chain_text};
use crate::store::{OutgoingTransaction, Purpose, TransactionState};

/// Gas beyond the estimate, in percent: the state may differ a little in the block.
const GAS_MARGIN_PERCENT: u64 = 25;

/// Looks after a refused job only now and then; what refuses it (an empty bond, an overdue item) lasts.
const REFUSED_PAUSE: Duration = Duration::from_secs(2);

/// Prices are asked anew after this.
const PRICE_AGE: Duration = Duration::from_secs(1);

/// Bond and balance are looked at once in so many ticks.
const WATCH_TICKS: u32 = 10;

/// A transaction that was sent so many times and is in no block is stuck.
const STUCK_RESENDS: u32 = 10;

/// Gas of a full batch, rounded up: 960 payments at the 4 893 that one costs in a batch of 512.
const BATCH_GAS: u64 = 5_000_000;

/// The key should be able to pay so many full batches.
const RESERVE: u64 = 3;

/// Gas of the dearest contest: the most that a layer-1 transaction may have.
const CONTEST_GAS: u64 = 1 << 24;

/// The task.
#[derive(Debug)]
pub(crate) struct Transactions {
    pub(crate) layer1: Layer1,
    pub(crate) core: CoreHandle,
    pub(crate) sender: Address,
    /// Operator: keep the bond at least this high, in wei; zero leaves it alone.
    pub(crate) keep_bond: U256,
    pub(crate) role: Role,
    pub(crate) ceilings: Ceilings,
    pub(crate) tick: Duration,
    /// See `--resend-ms`.
    pub(crate) resend: Duration,
    pub(crate) stop: CancellationToken,
}

/// What the task remembers between two looks. Not kept over a restart: all times start anew.
#[derive(Default)]
struct Memory {
    /// Since when transactions wait in the endpoint's pool.
    waiting: HashMap<B256, Instant>,
    /// Since when the place of a nonce waits, however often its transaction was sent; and whether that was told.
    stuck: HashMap<u64, (Instant, bool)>,
    /// What was open at the last look: what is not any more was mined, or replaced.
    open: HashMap<B256, Purpose>,
    /// When prices were last asked, and whether a batch that can wait was affordable.
    priced: Option<(Instant, bool)>,
    /// When bond and balance were last looked at.
    watched: Option<Instant>,
    /// What was refused last, and how often in a row.
    refused: Option<(String, u32)>,
}

enum Failure {
    Layer1(Layer1Error),
    CoreGone,
}

impl From<Layer1Error> for Failure {
    fn from(error: Layer1Error) -> Self {
        Self::Layer1(error)
    }
}

impl From<CoreGone> for Failure {
    fn from(_: CoreGone) -> Self {
        Self::CoreGone
    }
}

impl Transactions {
    /// Runs until stopped, or until the core is gone.
    pub(crate) async fn run(self) {
        let mut memory = Memory::default();
        loop {
            let mut pause = self.tick;
            match self.once(&mut memory).await {
                Ok(()) => memory.refused = None,
                Err(Failure::CoreGone) => return,
                Err(Failure::Layer1(error)) => {
                    pause = pause.max(REFUSED_PAUSE);
                    let text = refusal(&error);
                    let before = memory.refused.take().filter(|(before, _)| *before == text);
                    let times = before.map_or(1, |(_, times)| times.saturating_add(1));
                    // Once is no alarm: somebody else's transaction may have come first, as with two who contest the
                    // same batch, and the next look at layer 1 shows it. The third time is no news.
                    if times == 2 && matches!(error, Layer1Error::Refused { .. }) {
                        let told = format!("layer 1 refuses the next transaction: {text}");
                        if self.alert("refused", told, json!({})).await.is_err() {
                            return;
                        }
                    }
                    memory.refused = Some((text, times));
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn alert(&self, kind: &'static str, text: String, facts: Value) -> Result<(), CoreGone> {
        let told = move |core: &mut Core| {
            core.notify(Notice::alert(kind, text, facts));
            Ok(())
        };
        self.core.run(told).await
    }

    async fn once(&self, memory: &mut Memory) -> Result<(), Failure> {
        self.watch(memory).await?;
        let affordable = self.affordable(memory).await?;
        let work = self.core.run(move |core| Ok(core.due(affordable))).await?;
        self.count_settled(&work.open, memory).await?;
        memory.waiting.retain(|hash, _| work.open.iter().any(|(open, _)| open.hash == *hash));
        memory.stuck.retain(|nonce, _| work.open.iter().any(|(open, _)| open.nonce == *nonce));
        let mut outcome = Ok(());
        for (place, (open, urgency)) in work.open.iter().enumerate() {
            // Outbid by a later one with the same nonce: it may still be mined, but is not sent again.
            let outbid = work.open[place + 1..].iter().any(|(later, _)| later.nonce == open.nonce);
            self.tell_stuck(open, memory).await?;
            // One that is refused must not keep the others from being looked after.
            match self.look_after(open, *urgency, outbid, memory).await {
                Err(Failure::CoreGone) => return Err(Failure::CoreGone),
                looked => outcome = outcome.and(looked),
            }
        }
        outcome?;
        let Some(mut job) = work.job else { return Ok(()) };
        if matches!(job.purpose, Purpose::Batch(_)) && !self.keep_bond.is_zero() {
            let bond = gateway::bond(&self.layer1).await?;
            if bond < self.keep_bond {
                let missing = self.keep_bond - bond;
                job = self.core.run(move |core| Ok(core.bond_job(missing))).await?;
            }
        }
        self.send(job, memory).await
    }

    /// Counts the gas of transactions that were settled since the last look.
    async fn count_settled(&self, open: &[(OutgoingTransaction, Urgency)], memory: &mut Memory) -> Result<(), Failure> {
        let now: HashMap<B256, Purpose> = open.iter().map(|(open, _)| (open.hash, open.purpose)).collect();
        let settled: Vec<_> = memory.open.iter().filter(|(hash, _)| !now.contains_key(*hash)).collect();
        for (hash, purpose) in settled {
            // One that was replaced has no receipt.
            if let Some(cost) = self.layer1.cost(*hash).await? {
                self.core.metrics().mined(purpose.name(), cost.success, cost.gas, cost.price);
            }
        }
        memory.open = now;
        Ok(())
    }

    /// Whether layer 1 is cheap enough for a batch that can wait.
    async fn affordable(&self, memory: &mut Memory) -> Result<bool, Failure> {
        if self.ceilings.batch.is_none() {
            return Ok(true);
        }
        match memory.priced {
            Some((asked, affordable)) if asked.elapsed() < PRICE_AGE => Ok(affordable),
            _ => {
                let affordable = Urgency::Patient.bid(self.layer1.fees().await?, self.ceilings).is_some();
                memory.priced = Some((Instant::now(), affordable));
                Ok(affordable)
            }
        }
    }

    /// Looks at the bond and at what the key can pay, now and then.
    async fn watch(&self, memory: &mut Memory) -> Result<(), Failure> {
        if memory.watched.is_some_and(|looked| looked.elapsed() < self.tick * WATCH_TICKS) {
            return Ok(());
        }
        let balance = self.layer1.balance(self.sender).await?;
        let gas = match self.role {
            Role::Operator => BATCH_GAS * RESERVE,
            Role::Replica => CONTEST_GAS,
        };
        let needed = U256::from(self.layer1.fees().await?.max_fee).saturating_mul(U256::from(gas));
        let bond = match self.role {
            Role::Operator => Some(gateway::bond(&self.layer1).await?),
            Role::Replica => None,
        };
        memory.watched = Some(Instant::now());
        let purse = Purse { account: self.sender, balance, needed, bond };
        Ok(self
            .core
            .run(move |core| {
                core.look_into(purse);
                Ok(())
            })
            .await?)
    }

    /// A transaction that does not get into a block, however much it bids.
    async fn tell_stuck(&self, open: &OutgoingTransaction, memory: &mut Memory) -> Result<(), Failure> {
        let (since, told) = memory.stuck.entry(open.nonce).or_insert_with(|| (Instant::now(), false));
        if *told || since.elapsed() < self.resend * STUCK_RESENDS {
            return Ok(());
        }
        *told = true;
        let facts =
            json!({ "transaction": open.hash, "nonce": open.nonce.to_string(), "purpose": open.purpose.name() });
        let text = format!(
            "the {} with nonce {} is in no block yet: see whether its fee reaches --max-fee-per-gas or \
             --contest-max-fee, and whether --rpc passes transactions on",
            open.purpose.name(),
            open.nonce
        );
        Ok(self.alert("stuck", text, facts).await?)
    }

    /// A transaction that was sent, or should have been.
    async fn look_after(
        &self,
        open: &OutgoingTransaction,
        urgency: Urgency,
        outbid: bool,
        memory: &mut Memory,
    ) -> Result<(), Failure> {
        let whereabouts = self.layer1.whereabouts(open.hash).await?;
        let state = match whereabouts {
            // Its event tells the core, together with the batch it is about.
            Whereabouts::Mined { success: true, .. } => return Ok(()),
            Whereabouts::Mined { success: false, block } => {
                tracing::warn!(hash = %open.hash, purpose = ?open.purpose, "a transaction of this node reverted");
                TransactionState::Reverted { block }
            }
            Whereabouts::Unknown if self.layer1.nonce(self.sender).await? > open.nonce => {
                // It may have been mined between the two questions.
                if self.layer1.whereabouts(open.hash).await? != Whereabouts::Unknown {
                    return Ok(());
                }
                TransactionState::Replaced
            }
            Whereabouts::Pending | Whereabouts::Unknown if outbid => return Ok(()),
            // Some endpoints keep what bids too little, others drop it and refuse it from then on.
            Whereabouts::Pending | Whereabouts::Unknown => {
                let since = memory.waiting.entry(open.hash).or_insert_with(Instant::now);
                return match whereabouts {
                    _ if since.elapsed() >= urgency.patience(self.resend) => {
                        // Whether it comes to a higher bid or not: not again at once.
                        *since = Instant::now();
                        self.outbid(open, urgency).await
                    }
                    Whereabouts::Unknown => self.broadcast(&open.raw).await,
                    _ => Ok(()),
                };
            }
        };
        let hash = open.hash;
        self.core.run(move |core| core.resolve(hash, state)).await?;
        Ok(())
    }

    /// A transaction that nobody mines: its fee is too low by now.
    async fn outbid(&self, open: &OutgoingTransaction, urgency: Urgency) -> Result<(), Failure> {
        let hash = open.hash;
        let Some(fees) = urgency.bid(self.layer1.fees().await?, self.ceilings) else { return Ok(()) };
        let Some(outgoing) = self.core.run(move |core| core.outbid(hash, fees)).await? else { return Ok(()) };
        tracing::warn!(old = %hash, new = %outgoing.hash, "not mined in time; sending it again with a higher fee");
        self.broadcast(&outgoing.raw).await
    }

    async fn send(&self, job: Job, memory: &mut Memory) -> Result<(), Failure> {
        let gas = self.layer1.estimate(self.sender, job.value, &job.input).await?;
        let gas = gas.saturating_add(gas.saturating_mul(GAS_MARGIN_PERCENT) / 100);
        let Some(fees) = job.urgency.bid(self.layer1.fees().await?, self.ceilings) else { return Ok(()) };
        let nonce = self.layer1.nonce(self.sender).await?;
        let signed = self.core.run(move |core| core.sign(job, nonce, gas, fees)).await?;
        let Some(outgoing) = signed else { return Ok(()) };
        memory.open.insert(outgoing.hash, outgoing.purpose);
        tracing::info!(hash = %outgoing.hash, purpose = ?outgoing.purpose, "sending");
        self.broadcast(&outgoing.raw).await
    }

    async fn broadcast(&self, raw: &Bytes) -> Result<(), Failure> {
        Ok(write_point!("node.transaction.broadcast", self.layer1.broadcast(raw).await)?)
    }
}

/// The gateway's own words where it has some.
fn refusal(error: &Layer1Error) -> String {
    if let Layer1Error::Refused { data: Some(data), .. } = error
        && let Ok(reason) = PaymentsGatewayErrors::abi_decode(data)
    {
        return format!("{reason:?}");
    }
    chain_text(error)
}
