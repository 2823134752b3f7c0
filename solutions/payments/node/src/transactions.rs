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
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::core::{CoreGone, CoreHandle, Job};
use crate::gateway;
use crate::layer1::{Layer1, Layer1Error, Whereabouts};
use crate::rpc::{Notice, chain_text};
use crate::store::{OutgoingTransaction, Purpose, TransactionState};

/// Gas beyond the estimate, in percent: the state may differ a little in the block.
const GAS_MARGIN_PERCENT: u64 = 25;

/// Looks after a refused job only now and then; what refuses it (an empty bond, an overdue item) lasts.
const REFUSED_PAUSE: Duration = Duration::from_secs(2);

/// The task.
#[derive(Debug)]
pub(crate) struct Transactions {
    pub(crate) layer1: Layer1,
    pub(crate) core: CoreHandle,
    pub(crate) sender: Address,
    /// Operator: keep the bond at least this high, in wei; zero leaves it alone.
    pub(crate) keep_bond: U256,
    pub(crate) tick: Duration,
    /// See `--resend-ms`.
    pub(crate) resend: Duration,
    pub(crate) stop: CancellationToken,
}

/// Since when transactions are known to wait in the endpoint's pool. Not kept over a restart: the time starts anew.
type Waiting = HashMap<B256, Instant>;

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
        // What was refused last, and how often in a row.
        let mut refused: Option<(String, u32)> = None;
        let mut waiting = Waiting::default();
        loop {
            let mut pause = self.tick;
            match self.once(&mut waiting).await {
                Ok(()) => refused = None,
                Err(Failure::CoreGone) => return,
                Err(Failure::Layer1(error)) => {
                    pause = pause.max(REFUSED_PAUSE);
                    let text = refusal(&error);
                    let before = refused.take().filter(|(before, _)| *before == text);
                    let times = before.map_or(1, |(_, times)| times.saturating_add(1));
                    // Once is no alarm: somebody else's transaction may have come first, as with two who contest the
                    // same batch, and the next look at layer 1 shows it. The third time is no news.
                    if times == 2 && matches!(error, Layer1Error::Refused { .. }) {
                        let notice = Notice::alert(
                            "refused",
                            format!("layer 1 refuses the next transaction: {text}"),
                            json!({}),
                        );
                        if self
                            .core
                            .run(move |core| {
                                core.notify(notice);
                                Ok(())
                            })
                            .await
                            .is_err()
                        {
                            return;
                        }
                    }
                    refused = Some((text, times));
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn once(&self, waiting: &mut Waiting) -> Result<(), Failure> {
        let work = self.core.run(|core| Ok(core.due())).await?;
        waiting.retain(|hash, _| work.open.iter().any(|open| open.hash == *hash));
        let mut outcome = Ok(());
        for (place, open) in work.open.iter().enumerate() {
            // Outbid by a later one with the same nonce: it may still be mined, but is not sent again.
            let outbid = work.open[place + 1..].iter().any(|later| later.nonce == open.nonce);
            // One that is refused must not keep the others from being looked after.
            match self.look_after(open, outbid, waiting).await {
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
        self.send(job).await
    }

    /// A transaction that was sent, or should have been.
    async fn look_after(&self, open: &OutgoingTransaction, outbid: bool, waiting: &mut Waiting) -> Result<(), Failure> {
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
                let since = waiting.entry(open.hash).or_insert_with(Instant::now);
                return match whereabouts {
                    _ if since.elapsed() >= self.resend => self.outbid(open).await,
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
    async fn outbid(&self, open: &OutgoingTransaction) -> Result<(), Failure> {
        let (hash, fees) = (open.hash, self.layer1.fees().await?);
        let Some(outgoing) = self.core.run(move |core| core.outbid(hash, fees)).await? else { return Ok(()) };
        tracing::warn!(old = %hash, new = %outgoing.hash, "not mined in time; sending it again with a higher fee");
        self.broadcast(&outgoing.raw).await
    }

    async fn send(&self, job: Job) -> Result<(), Failure> {
        let gas = self.layer1.estimate(self.sender, job.value, &job.input).await?;
        let gas = gas.saturating_add(gas.saturating_mul(GAS_MARGIN_PERCENT) / 100);
        let fees = self.layer1.fees().await?;
        let nonce = self.layer1.nonce(self.sender).await?;
        let signed = self.core.run(move |core| core.sign(job, nonce, gas, fees)).await?;
        let Some(outgoing) = signed else { return Ok(()) };
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
