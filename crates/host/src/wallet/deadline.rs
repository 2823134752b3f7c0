//! Calls that must be included by a block: the fee is raised, within what was approved, the nearer the block comes, and
//! the user is told early when it may not be enough.
//!
//! **Who owns whom.** One task per transaction with a deadline, started with its follower. A replacement has a task of its
//! own; the one of the replaced transaction ends.

use super::execute::CallIntent;
use crate::error::{HostError, code};
use crate::networks::Runtime;
use crate::{Host, locked};
use alloy::primitives::B256;
use entresol_layer1::{FeeSpeed, Network, TransactionStatus};
use entresol_store::Approval;
use entresol_vault::Intent;
use std::collections::HashSet;
use std::sync::Mutex;

/// Fewer blocks than this until the deadline are called doubtful.
const FEW_BLOCKS: u64 = 5;
/// Of the blocks that are left, one in so many is waited before the fee is raised: the raises come closer together.
const PATIENCE: u64 = 4;

/// Transactions whose deadline is watched in this process.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    watched: Mutex<HashSet<B256>>,
}

/// What to do for a transaction that is not included.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Wait,
    Raise(FeeSpeed),
    Over,
}

/// `since`: the head when the transaction was sent, or taken up after a start.
fn step(since: u64, head: u64, deadline: u64) -> Step {
    if head >= deadline {
        return Step::Over;
    }
    let patience = (deadline.saturating_sub(since) / PATIENCE).max(1);
    if head.saturating_sub(since) < patience {
        return Step::Wait;
    }
    // The first raise may be an ordinary one; what still waits then pays what it takes.
    let left = deadline - head;
    Step::Raise(if left > FEW_BLOCKS * PATIENCE { FeeSpeed::Normal } else { FeeSpeed::Fast })
}

/// A transaction whose deadline is watched.
struct Watched {
    hash: B256,
    deadline: u64,
    approval: Approval,
    call: CallIntent,
}

impl Watched {
    fn words(&self) -> String {
        let name = self.call.function.split('(').next().unwrap_or_default();
        format!("The call {name}, which must be included by block {},", self.deadline)
    }
}

impl Host {
    /// A plain warning when the deadline is near.
    ///
    /// # Errors
    /// The deadline has passed.
    pub(super) async fn deadline_warning(&self, network: &Network, deadline: u64) -> Result<Option<String>, HostError> {
        let head = network.head().borrow().number;
        if deadline <= head {
            return Err(HostError::invalid(format!(
                "withdraw: the deadline, block {deadline}, has passed (now {head})"
            )));
        }
        let left = deadline - head;
        Ok((left < FEW_BLOCKS).then(|| {
            format!("Only {left} blocks are left until the deadline: it is doubtful that the call is included in time.")
        }))
    }

    /// Watches the deadline of a transaction, if it has one, once in this process.
    pub(crate) fn follow_deadline(&self, runtime: Runtime, hash: B256) {
        let watched = match self.deadline_of(hash) {
            Ok(Some(watched)) => watched,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%hash, %error, "a deadline could not be read");
                return;
            }
        };
        if !locked(&self.inner.deadlines.watched).insert(hash) {
            return;
        }
        let (host, cancel) = (self.clone(), self.child_token());
        self.spawn(async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = host.watch_deadline(&runtime, &watched) => {}
            }
            locked(&host.inner.deadlines.watched).remove(&hash);
        });
    }

    fn deadline_of(&self, hash: B256) -> Result<Option<Watched>, HostError> {
        let row = self.store().transaction(&hash.to_string())?;
        let Some(approval) = row.and_then(|row| row.approval_id) else { return Ok(None) };
        let approval = self.store().approval(approval)?;
        // Other kinds of intents have no such field, and no deadline.
        let Ok(call) = serde_json::from_value::<CallIntent>(approval.request.intent.clone()) else { return Ok(None) };
        Ok(call.deadline.map(|deadline| Watched { hash, deadline, approval, call }))
    }

    async fn watch_deadline(&self, runtime: &Runtime, watched: &Watched) {
        let Ok(status) = runtime.transactions.follow(watched.hash) else { return };
        let mut head = runtime.network.head();
        let since = head.borrow_and_update().number;
        let solution = watched.approval.request.solution;
        let (mut warned, mut told_late) = (false, false);
        loop {
            if head.changed().await.is_err() {
                return;
            }
            let block = head.borrow_and_update().number;
            let now_is = status.borrow().clone();
            match now_is {
                // In a block: it may still be undone until it is confirmed.
                TransactionStatus::Included(_) => continue,
                TransactionStatus::Stored | TransactionStatus::Broadcast => {}
                TransactionStatus::Superseded
                | TransactionStatus::Confirmed(_)
                | TransactionStatus::Failed { .. }
                | TransactionStatus::Replaced => return,
            }
            let left = watched.deadline.saturating_sub(block);
            match step(since, block, watched.deadline) {
                Step::Wait => {}
                Step::Over => {
                    let text = format!("{} was not included in time. Look at its solution now.", watched.words());
                    return self.notice(solution, "danger", &text);
                }
                Step::Raise(speed) => match self.raise(runtime, watched, speed).await {
                    Ok(()) => return,
                    Err(error) if !warned => {
                        warned = true;
                        let why = if error.code == code::TRANSACTION_REJECTED {
                            "the fee that it would take now is above the ceiling that was approved".to_owned()
                        } else {
                            error.message
                        };
                        let text = format!("{} waits, with {left} blocks left: {why}.", watched.words());
                        self.notice(solution, "warning", &text);
                    }
                    Err(error) => tracing::debug!(hash = %watched.hash, %error, "the fee was not raised"),
                },
            }
            if left < FEW_BLOCKS && !told_late {
                told_late = true;
                let text = format!("{} still waits, with {left} blocks left.", watched.words());
                self.notice(solution, "danger", &text);
            }
        }
    }

    /// Replaces the transaction by itself with a higher fee, within the ceiling that was approved.
    async fn raise(&self, runtime: &Runtime, watched: &Watched, speed: FeeSpeed) -> Result<(), HostError> {
        let Intent::Transaction { max_total_fee, .. } = watched.call.intent else {
            return Err(HostError::internal("a layer-1 call without a transaction"));
        };
        let approved = watched.call.approved(&watched.approval, false)?;
        let tx = runtime.transactions.prepare_replacement(watched.hash, speed, max_total_fee).await?;
        let solution = watched.approval.request.solution;
        let who = "wallet (deadline)".to_owned();
        let hash = self.broadcast(runtime, &watched.call, solution, &tx, &approved, Some(watched.hash), who).await?;
        self.follow_transaction(&runtime.transactions, hash);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fee_is_raised_more_often_the_nearer_the_deadline() {
        assert_eq!(step(100, 109, 200), Step::Wait);
        assert_eq!(step(100, 125, 200), Step::Raise(FeeSpeed::Normal));
        assert_eq!(step(125, 143, 200), Step::Raise(FeeSpeed::Normal));
        assert_eq!(step(185, 188, 200), Step::Raise(FeeSpeed::Fast));
        assert_eq!(step(198, 198, 200), Step::Wait);
        assert_eq!(step(198, 199, 200), Step::Raise(FeeSpeed::Fast));
        assert_eq!(step(198, 200, 200), Step::Over);
        assert_eq!(step(300, 301, 200), Step::Over);
        // From far away to the end: a bounded number of raises, each an eighth dearer at least.
        let (mut since, mut raises) = (0, 0);
        for head in 0..100_000 {
            if matches!(step(since, head, 100_000), Step::Raise(_)) {
                (since, raises) = (head, raises + 1);
            }
        }
        assert!((10..60).contains(&raises), "{raises}");
    }
}
