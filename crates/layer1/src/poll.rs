//! The tracker's task: follows the head, leaves an endpoint that stands still, compares the endpoints.
//!
//! It owns the [`Tracker`] and the sending ends of three watches: the head, the recent chain, the health. One look per
//! interval, and one whenever an endpoint announces a head over its WebSocket.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use alloy::primitives::{B256, U64};
use serde_json::json;
use tokio::sync::watch;

use crate::error::Layer1Error;
use crate::jsonrpc::{Rpc, Said};
use crate::network::{Head, Health, NetworkConfig, latest};
use crate::tracker::{Block, BlockRef, Tracker, Want};

/// Least pause between two looks, so that an endpoint which announces heads without end does not cause as many looks.
const LEAST_PAUSE: Duration = Duration::from_millis(50);
/// While the head stands still the other endpoints are asked every so often within the patience.
const LOOKS_WITHIN_PATIENCE: u32 = 4;

/// An endpoint whose newest block is older than this only lags, and is no witness.
const WITNESS_AGE: Duration = Duration::from_secs(180);
/// So many blocks are the time that news needs between endpoints.
const SLACK: u64 = 3;

pub(crate) struct Poll {
    rpc: Arc<Rpc>,
    tracker: Tracker,
    interval: Duration,
    confirmations: u64,
    stale_after: Duration,
    compare_every: u64,
    head: watch::Sender<Head>,
    recent: watch::Sender<Arc<Vec<BlockRef>>>,
    health: watch::Sender<Health>,
    /// When the head moved last, by both clocks.
    moved: (Instant, u64),
    /// When the others were asked last about a head that stands still.
    asked: Instant,
    /// Head at the last comparison.
    compared: Option<u64>,
    disagreement: Option<String>,
    stale: Option<Health>,
}

impl Poll {
    pub(crate) fn new(
        config: &NetworkConfig,
        rpc: Arc<Rpc>,
        tracker: Tracker,
        head: watch::Sender<Head>,
        recent: watch::Sender<Arc<Vec<BlockRef>>>,
        health: watch::Sender<Health>,
    ) -> Self {
        Self {
            rpc,
            tracker,
            interval: config.poll_interval,
            confirmations: config.confirmations.max(1),
            stale_after: config.stale_after,
            compare_every: config.compare_every.max(1),
            head,
            recent,
            health,
            moved: (Instant::now(), now()),
            asked: Instant::now(),
            compared: None,
            disagreement: None,
            stale: None,
        }
    }

    pub(crate) async fn run(mut self) {
        loop {
            let health = match self.look().await {
                Ok(()) => self.verdict(),
                Err(error) => {
                    // Half a walk is worth nothing once the chain may have moved on.
                    self.tracker.abandon();
                    match self.disagreement {
                        // A quarrel is not settled by an endpoint's silence.
                        Some(_) => self.verdict(),
                        None => Health::Unreachable { reason: error.to_string() },
                    }
                }
            };
            self.tell(health);
            let least = LEAST_PAUSE.min(self.interval);
            tokio::time::sleep(least).await;
            tokio::select! {
                () = tokio::time::sleep(self.interval.saturating_sub(least)) => {}
                () = self.rpc.announced() => {}
            }
        }
    }

    fn verdict(&self) -> Health {
        match (&self.disagreement, &self.stale) {
            (Some(reason), _) => Health::Disagree { reason: reason.clone() },
            (None, Some(stale)) => stale.clone(),
            (None, None) => Health::Connected,
        }
    }

    fn tell(&self, now: Health) {
        self.health.send_if_modified(|health| {
            let changed = *health != now;
            if changed {
                match &now {
                    Health::Connected => tracing::info!("layer 1 answers again"),
                    Health::Unreachable { reason } => tracing::warn!(%reason, "layer 1 is away"),
                    Health::Stale { reason, .. } => tracing::warn!(%reason, "layer 1 stands still"),
                    Health::Disagree { reason } => tracing::error!(%reason, "layer 1 is of two minds"),
                }
                *health = now;
            }
            changed
        });
    }

    async fn look(&mut self) -> Result<(), Layer1Error> {
        let mut want = self.tracker.offer(latest(&self.rpc).await?);
        while let Some(wanted) = want {
            let block: Option<Block> = match wanted {
                Want::Hash(hash) => self.rpc.get("eth_getBlockByHash", json!([hash, false])).await?,
                Want::Number(number) => self.rpc.get("eth_getBlockByNumber", json!([U64::from(number), false])).await?,
            };
            want = self.tracker.answer(wanted, block);
        }
        let head = self.tracker.head();
        let is_new = head != *self.head.borrow();
        if is_new {
            self.moved = (Instant::now(), now());
            self.stale = None;
        }
        // Before the head is published: who wakes on it must not confirm what the endpoints quarrel about.
        self.compare(&head).await;
        if self.disagreement.is_some() {
            self.tell(self.verdict());
        }
        if is_new {
            if head.reorg_depth > 0 {
                tracing::info!(number = head.number, depth = head.reorg_depth, "layer 1 was reorganised");
                // It can be another chain behind the same address by now.
                self.rpc.doubt();
            }
            // The chain first: who wakes on the head looks into it.
            self.recent.send_replace(Arc::new(self.tracker.recent()));
            self.head.send_replace(head);
        } else {
            self.watch_standstill(&head).await;
        }
        Ok(())
    }

    /// The head did not move for long: asks the other endpoints. Who moved on is followed from now on; when nobody did,
    /// the network is stale.
    async fn watch_standstill(&mut self, head: &Head) {
        let pause = self.stale_after / LOOKS_WITHIN_PATIENCE;
        if self.moved.0.elapsed() < self.stale_after || (self.stale.is_some() && self.asked.elapsed() < pause) {
            return;
        }
        self.asked = Instant::now();
        let said: Vec<Said<Block>> = self.rpc.each("eth_getBlockByNumber", json!(["latest", false])).await;
        let best = said.iter().max_by_key(|one| one.answer.number);
        if let Some(best) = best.filter(|best| best.answer.number > head.number) {
            tracing::warn!(endpoint = %best.endpoint, number = best.answer.number, "the endpoint stood still; using another");
            for one in &said {
                self.rpc.set_behind(one.index, one.answer.number <= head.number);
            }
            self.rpc.prefer(best.index);
            return;
        }
        if self.stale.is_none() {
            let minutes = self.stale_after.as_secs_f64() / 60.0;
            let (those, check) = match self.rpc.count() {
                1 => ("the endpoint has", "check that its node is in sync, or add another RPC URL"),
                _ => ("no endpoint has", "check that their nodes are in sync"),
            };
            let reason = format!(
                "{those} a new block for more than {minutes:.1} minutes (block {} is still the newest): balances and \
                 confirmations are old; {check}",
                head.number
            );
            self.stale = Some(Health::Stale { since: self.moved.1, reason });
        }
    }

    /// Compares the hash of the newest block that counts as confirmed over all endpoints that answer.
    async fn compare(&mut self, head: &Head) {
        if self.rpc.count() < 2 {
            return;
        }
        let due = self.compared.is_none_or(|last| head.number.abs_diff(last) >= self.compare_every);
        if !due && self.disagreement.is_none() {
            return;
        }
        let height = head.number.saturating_add(1).saturating_sub(self.confirmations);
        let said = self.blocks_at(height).await;
        // Who did not answer is asked again with the next look.
        if said.len() == self.rpc.count() {
            self.compared = Some(head.number);
        }
        let known = said.iter().filter(|one| one.answer.is_some()).count();
        let mut behind = Vec::new();
        for one in &said {
            // Where nobody has the block, the chain became shorter, and nobody is behind.
            let is_behind = known > 0 && one.answer.is_none();
            self.rpc.set_behind(one.index, is_behind);
            if is_behind {
                behind.push(one.index);
            }
        }
        let mut found = quarrel(height, &said);
        if found.is_none() && !behind.is_empty() {
            found = self.compare_with_those_behind(head, &behind).await;
        }
        // One endpoint alone cannot settle what two quarrel about.
        if found.is_some() || said.len() > 1 {
            self.disagreement = found;
        }
    }

    /// Who is behind is compared where it is. Who does not have the block that is about to count as confirmed, and yet
    /// follows the chain by the clock, does not vouch for it: a liar who runs ahead alone is not believed.
    async fn compare_with_those_behind(&self, head: &Head, behind: &[usize]) -> Option<String> {
        let tips: Vec<Said<Block>> = self.rpc.each("eth_getBlockByNumber", json!(["latest", false])).await;
        let those = || tips.iter().filter(|tip| behind.contains(&tip.index));
        let lowest = those().map(|tip| tip.answer.number).min()?;
        let height = lowest.saturating_add(1).saturating_sub(self.confirmations);
        if let Some(found) = quarrel(height, &self.blocks_at(height).await) {
            return Some(found);
        }
        // With very few confirmations a gap of some blocks is only the time that news needs.
        let slack = if self.confirmations <= SLACK { SLACK } else { 0 };
        let distance = self.confirmations.saturating_add(slack);
        let patience = self.stale_after.min(WITNESS_AGE).as_secs();
        let odd = those().find(|tip| {
            let is_fresh = now().saturating_sub(tip.answer.timestamp) < patience;
            is_fresh && tip.answer.number.saturating_add(distance) <= head.number
        })?;
        Some(format!(
            "{} says that the newest block is {} and was made just now, another endpoint says {}; one of them is behind, \
             lies or follows another chain. Nothing is confirmed until they agree; remove the RPC URL you trust less",
            odd.endpoint, odd.answer.number, head.number
        ))
    }

    async fn blocks_at(&self, height: u64) -> Vec<Said<Option<Block>>> {
        self.rpc.each("eth_getBlockByNumber", json!([U64::from(height), false])).await
    }
}

/// In words, when two endpoints have different blocks at a height.
fn quarrel(height: u64, said: &[Said<Option<Block>>]) -> Option<String> {
    let blocks: Vec<(&str, B256)> =
        said.iter().filter_map(|one| Some((one.endpoint.as_str(), one.answer.as_ref()?.hash))).collect();
    let (_, first) = blocks.first()?;
    if blocks.iter().all(|(_, hash)| hash == first) {
        return None;
    }
    let list: Vec<String> = blocks.iter().map(|(endpoint, hash)| format!("{endpoint} has {hash}")).collect();
    Some(format!(
        "the endpoints disagree about block {height}: {}; one of them lies or follows a fork. Nothing is confirmed until \
         they agree; remove the RPC URL you trust less",
        list.join(", ")
    ))
}

/// Unix seconds.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
