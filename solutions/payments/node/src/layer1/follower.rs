//! The walk along layer 1: parent hash by parent hash, back to the fork after a reorganisation.

use std::collections::VecDeque;

use super::{BlockRef, GatewayLog, Layer1, Layer1Error};

/// Blocks that are remembered and compared. A reorganisation deeper than this rebuilds the node from `--from-block`.
pub(crate) const WINDOW: usize = 256;

/// Blocks whose logs are asked for in one go while catching up, far below the window.
const RANGE: u64 = 2_000;

/// Blocks read one by one in one step, so that the core hears of progress.
const STEP: u64 = 64;

/// One block and what the gateway did in it.
#[derive(Clone, Debug)]
pub(crate) struct StepBlock {
    pub(crate) block: BlockRef,
    pub(crate) logs: Vec<GatewayLog>,
}

/// Layer 1's own word on what will stay. `None` where it was not asked or does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Depths {
    /// Unlikely to be reorganised away.
    pub(crate) safe: Option<BlockRef>,
    /// Never reorganised away.
    pub(crate) finalized: Option<BlockRef>,
}

/// News from layer 1: first forget, then append.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Forget every block with this number or a higher one.
    pub(crate) drop_from: Option<u64>,
    /// New blocks, ascending. While catching up, old blocks without logs are left out.
    pub(crate) blocks: Vec<StepBlock>,
    /// The newest block of layer 1.
    pub(crate) head: BlockRef,
    /// How deep layer 1 says its blocks are.
    pub(crate) depths: Depths,
    /// True when `blocks` reaches up to `head`.
    pub(crate) synced: bool,
}

/// The walker. Its memory is rebuilt from the store, so it keeps nothing itself.
#[derive(Debug)]
pub(crate) struct Follower {
    layer1: Layer1,
    from_block: u64,
    ask_depths: bool,
    known: VecDeque<BlockRef>,
    told_synced: bool,
    last_depths: Depths,
}

impl Follower {
    /// `known`: the newest blocks the core has, ascending; empty at the first start.
    pub(crate) fn new(layer1: Layer1, from_block: u64, ask_depths: bool, known: Vec<BlockRef>) -> Self {
        let mut known = VecDeque::from(known);
        while known.len() > WINDOW {
            known.pop_front();
        }
        Self { layer1, from_block, ask_depths, known, told_synced: false, last_depths: Depths::default() }
    }

    /// Looks once. `None` when nothing is new. The step counts as told once it is returned: the caller must give it
    /// to the core, or end.
    pub(crate) async fn look(&mut self) -> Result<Option<Step>, Layer1Error> {
        let head = self.layer1.head().await?;
        let depths = match self.ask_depths {
            true => {
                Depths { safe: self.layer1.tagged("safe").await?, finalized: self.layer1.tagged("finalized").await? }
            }
            false => Depths::default(),
        };
        if self.known.back().map(|tip| tip.hash) == Some(head.hash) && self.told_synced && depths == self.last_depths {
            return Ok(None);
        }
        let known_before = self.known.clone();
        let outcome = self.walk(head, depths).await;
        if outcome.is_err() {
            // Nothing was told, so nothing may be forgotten either.
            self.known = known_before;
        }
        outcome
    }

    async fn walk(&mut self, head: BlockRef, depths: Depths) -> Result<Option<Step>, Layer1Error> {
        let mut drop_from = self.fork().await?;
        let mut next = match self.known.back() {
            Some(tip) => tip.number + 1,
            None => self.from_block,
        };
        let mut blocks = Vec::new();
        if head.number.saturating_sub(next) > WINDOW as u64 {
            let last = (next + RANGE - 1).min(head.number - WINDOW as u64);
            blocks = self.range(next, last).await?;
            next = last + 1;
        }
        let end = head.number.min(next + STEP - 1);
        while next <= end {
            let block = if next == head.number { head } else { self.existing(next).await? };
            if self.known.back().is_some_and(|tip| tip.number + 1 == next && tip.hash != block.parent) {
                // Layer 1 turned while it was being read. What was read so far stands; the next look finds the fork.
                break;
            }
            let logs = self.with_inputs(self.layer1.logs_of(block.hash).await?).await?;
            self.remember(block);
            blocks.push(StepBlock { block, logs });
            next += 1;
        }
        if self.known.is_empty() && drop_from.is_some() {
            // The whole window went: start over.
            drop_from = Some(0);
        }
        let synced = self.known.back().map(|tip| tip.hash) == Some(head.hash);
        self.told_synced = synced;
        self.last_depths = depths;
        Ok(Some(Step { drop_from, blocks, head, depths, synced }))
    }

    /// Goes back to the newest remembered block that layer 1 still has. Returns the first number to forget.
    async fn fork(&mut self) -> Result<Option<u64>, Layer1Error> {
        let mut dropped = None;
        while let Some(tip) = self.known.back().copied() {
            match self.layer1.block(tip.number).await? {
                Some(block) if block.hash == tip.hash => return Ok(dropped),
                _ => {
                    dropped = Some(tip.number);
                    self.known.pop_back();
                }
            }
        }
        // Deeper than the window: the window's start says nothing about what lies before it.
        Ok(dropped.map(|_| 0))
    }

    async fn range(&mut self, from: u64, to: u64) -> Result<Vec<StepBlock>, Layer1Error> {
        let logs = self.with_inputs(self.layer1.logs_between(from, to).await?).await?;
        let mut blocks: Vec<StepBlock> = Vec::new();
        for log in logs {
            match blocks.last_mut() {
                Some(last) if last.block.number == log.block_number => last.logs.push(log),
                _ => {
                    let block = self.existing(log.block_number).await?;
                    blocks.push(StepBlock { block, logs: vec![log] });
                }
            }
        }
        if blocks.last().is_none_or(|last| last.block.number != to) {
            blocks.push(StepBlock { block: self.existing(to).await?, logs: Vec::new() });
        }
        for step in &blocks {
            if step.logs.iter().any(|log| log.block_hash != step.block.hash) {
                return Err(Layer1Error::Inconsistent(format!(
                    "block {} changed while it was read",
                    step.block.number
                )));
            }
            self.remember(step.block);
        }
        Ok(blocks)
    }

    async fn existing(&self, number: u64) -> Result<BlockRef, Layer1Error> {
        let block = self.layer1.block(number).await?;
        block.ok_or_else(|| Layer1Error::Inconsistent(format!("block {number} lies below the head but is unknown")))
    }

    async fn with_inputs(&self, mut logs: Vec<GatewayLog>) -> Result<Vec<GatewayLog>, Layer1Error> {
        for log in &mut logs {
            if crate::gateway::needs_input(log) {
                log.input = Some(self.layer1.input_of(log.transaction).await?);
            }
        }
        Ok(logs)
    }

    fn remember(&mut self, block: BlockRef) {
        self.known.push_back(block);
        if self.known.len() > WINDOW {
            self.known.pop_front();
        }
    }
}
