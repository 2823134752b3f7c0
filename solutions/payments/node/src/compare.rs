//! A replica's second opinion on its operator's answers.
//!
//! **Who owns whom.** The core owns the [`Book`] (what the operator was seen to promise) and the [`Opinion`] (what
//! `l2_status` says about it). One task, [`Comparison`], asks the operator's node and hands every answer to the core,
//! which judges it against its own replay. The task holds nothing that matters: after a kill it goes on from the book.
//!
//! What is compared: the chain of receipts (no gap, each pointing to the one before, the operator's signature, the same
//! today as yesterday), the root after the newest true batch, the leaves of accounts that the newest batch touched, and
//! whether what was promised comes to layer 1.

mod book;
mod judge;
mod operator;

pub(crate) use book::{Book, Finding};

use std::collections::VecDeque;
use std::time::Duration;

use alloy::primitives::B256;
use payments_protocol::SignedReceipt;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use book::Promised;
use operator::{Answer, OperatorClient};

use crate::core::{CoreGone, CoreHandle, now_ms};

/// Receipts asked for at once; the most that a node gives.
const PAGE: u64 = 256;

/// Pages in one round, so that roots are compared although an endless chain of receipts is being read.
const PAGES: usize = 64;

/// Overdue promises about which the operator is asked in one round.
const ASKED: usize = 8;

/// Longest pause after the operator's node gave no answer.
const TROUBLE_PAUSE: Duration = Duration::from_secs(5);

/// What this replica thinks of its operator.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) book: Book,
    /// Address of the operator's node without what may be secret in it.
    pub(crate) url: String,
    /// Age at which a promise that is not on layer 1 counts as withheld, in milliseconds.
    withheld_after_ms: u64,
    /// Promises that are not in a standing batch, by sequence number.
    open: VecDeque<Promised>,
    /// Contradictions of this kind are final.
    proven: bool,
    /// What the operator said in the last round and this replica knows to be otherwise.
    mismatch: Option<Value>,
    /// The same in the round that goes on.
    found: Option<Value>,
    /// Rounds in which the operator's root differed while it looked at another layer-1 block.
    doubts: u32,
    /// The oldest promise that is withheld.
    withheld: Option<Value>,
    /// Why the operator cannot be asked, while it cannot.
    trouble: Option<String>,
}

impl Comparison {
    /// Takes over what is known from before.
    pub(crate) fn new(book: Book, url: String, withheld_after_ms: u64) -> Result<Self, crate::store::StoreError> {
        let proven = !book.evidence()?.is_empty();
        let mut comparison = Self {
            book,
            url,
            withheld_after_ms,
            open: VecDeque::new(),
            proven,
            mismatch: None,
            found: None,
            doubts: 0,
            withheld: None,
            trouble: None,
        };
        comparison.rescan()?;
        Ok(comparison)
    }

    /// Goes through all promises again: what stood on layer 1 may not any more.
    pub(crate) fn rescan(&mut self) -> Result<(), crate::store::StoreError> {
        self.open = self.book.promises(0, usize::MAX)?.into();
        Ok(())
    }

    /// For `l2_status`.
    pub(crate) fn show(&self) -> Result<Value, crate::store::StoreError> {
        let proof = match self.proven {
            true => self.book.evidence()?.pop(),
            false => None,
        };
        let alert = proof.or_else(|| self.mismatch.clone()).or_else(|| self.withheld.clone());
        Ok(json!({
            "operatorUrl": self.url,
            "agrees": alert.is_none(),
            "checkedSequence": self.book.next().to_string(),
            "openPromises": self.open.len().to_string(),
            "trouble": self.trouble,
            "alert": alert,
        }))
    }
}

/// The task that asks.
pub(crate) struct Asking {
    pub(crate) core: CoreHandle,
    pub(crate) operator: OperatorClient,
    pub(crate) poll: Duration,
    pub(crate) stop: CancellationToken,
}

pub(crate) use operator::client;

/// Why a round ended early.
enum Ended {
    /// The operator's node did not answer, or not as one.
    Trouble(String),
    CoreGone,
}

impl From<CoreGone> for Ended {
    fn from(_: CoreGone) -> Self {
        Self::CoreGone
    }
}

impl Asking {
    /// Runs until stopped, or until the core is gone.
    pub(crate) async fn run(self) {
        loop {
            let trouble = match self.round().await {
                Ok(()) => None,
                Err(Ended::Trouble(why)) => Some(why),
                Err(Ended::CoreGone) => return,
            };
            let pause = if trouble.is_some() { self.poll.max(TROUBLE_PAUSE) } else { self.poll };
            if self.core.run(move |core| core.compared(trouble)).await.is_err() {
                return;
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn round(&self) -> Result<(), Ended> {
        let told = self.ask("l2_status", json!([])).await?;
        self.core.run(move |core| core.compare_status(&told)).await?;
        self.receipts().await?;
        for (address, batch) in self.core.run(|core| Ok(core.accounts_to_compare())).await? {
            // That it does not know the batch yet, or any more, is no contradiction.
            if let Answer::Result(told) =
                self.operator.ask("l2_getAccount", json!([address, batch.to_string()])).await.map_err(Ended::Trouble)?
            {
                self.core.run(move |core| core.compare_account(address, batch, &told)).await?;
            }
        }
        let overdue = self.core.run(|core| Ok(core.overdue_promises(now_ms(), ASKED))).await?;
        for (sequence, id) in overdue {
            if let Answer::Result(told) =
                self.operator.ask("l2_getMessage", json!([id])).await.map_err(Ended::Trouble)?
            {
                self.core.run(move |core| core.excuse(sequence, id, &told)).await?;
            }
        }
        Ok(())
    }

    async fn receipts(&self) -> Result<(), Ended> {
        for _ in 0..PAGES {
            // The newest receipt is asked for again every time: it points to all before it, so an operator that
            // changes any of them now contradicts itself in this one.
            let next = self.core.run(|core| Ok(core.receipts_seen())).await?;
            let from = next.saturating_sub(1);
            let page = self.ask("l2_getReceipts", json!([from.to_string(), PAGE.to_string()])).await?;
            let receipts: Vec<SignedReceipt> = serde_json::from_value(page["receipts"].clone())
                .map_err(|error| Ended::Trouble(format!("l2_getReceipts does not read: {error}")))?;
            if receipts.len() as u64 > PAGE {
                return Err(Ended::Trouble("l2_getReceipts answers with more than was asked for".to_owned()));
            }
            self.core.run(move |core| core.compare_receipts(&receipts, now_ms())).await?;
            if self.core.run(|core| Ok(core.receipts_seen())).await? == next {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn ask(&self, method: &str, params: Value) -> Result<Value, Ended> {
        match self.operator.ask(method, params).await.map_err(Ended::Trouble)? {
            Answer::Result(result) => Ok(result),
            Answer::Error(error) => Err(Ended::Trouble(format!("{method}: {error}"))),
        }
    }
}

/// Sequence number and message id of a promise.
type Promise = (u64, B256);
