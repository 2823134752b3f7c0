//! The task that brings the node's own transactions to layer 1.
//!
//! It holds nothing: the core says what is open and what is due, and signs and stores before anything is broadcast.
//! After a kill the same transactions are found open and looked up by hash, never made again with a new nonce.

use std::time::Duration;

use alloy::primitives::{Bytes, U256};
use entresol_durable::write_point;
use payments_contract::PaymentsGateway::PaymentsGatewayErrors;
use alloy::sol_types::SolInterface;
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
    pub(crate) sender: alloy::primitives::Address,
    /// Operator: keep the bond at least this high, in wei; zero leaves it alone.
    pub(crate) keep_bond: U256,
    pub(crate) tick: Duration,
    pub(crate) stop: CancellationToken,
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
        let mut refused: Option<String> = None;
        loop {
            let mut pause = self.tick;
            match self.once().await {
                Ok(()) => refused = None,
                Err(Failure::CoreGone) => return,
                Err(Failure::Layer1(error)) => {
                    pause = pause.max(REFUSED_PAUSE);
                    let text = refusal(&error);
                    // The same refusal again is no news.
                    if refused.as_ref() != Some(&text) && matches!(error, Layer1Error::Refused { .. }) {
                        let notice = Notice::alert("refused", format!("layer 1 refuses the next transaction: {text}"), json!({}));
                        if self.core.run(move |core| { core.notify(notice); Ok(()) }).await.is_err() {
                            return;
                        }
                    }
                    refused = Some(text);
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn once(&self) -> Result<(), Failure> {
        let work = self.core.run(|core| Ok(core.due())).await?;
        for open in &work.open {
            self.look_after(open).await?;
        }
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
    async fn look_after(&self, open: &OutgoingTransaction) -> Result<(), Failure> {
        let state = match self.layer1.whereabouts(open.hash).await? {
            Whereabouts::Pending => return Ok(()),
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
            Whereabouts::Unknown => return self.broadcast(&open.raw).await,
        };
        let hash = open.hash;
        self.core.run(move |core| core.resolve(hash, state)).await?;
        Ok(())
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
