//! Operators that break the protocol on purpose: `--misbehave`, for tests and demonstrations on local chains.
//!
//! All that they do otherwise than an honest operator is here: the batch they post, the receipts they hand out. What
//! they do not do (replay a batch wrongly, refuse a contest) no operator can do to others.

use alloy::primitives::{Address, B256, Bytes};
use payments_protocol::{Batch, Message, Receipt, ReceiptTree, Record, Signature, SignedReceipt, State};

use crate::args::Misbehave;
use crate::chain::Chain;
use crate::key::NodeKey;
use crate::sequencer::{Plan, Sequencer};
use crate::store::LoggedMessage;

/// One dishonest operator.
#[derive(Debug)]
pub(crate) struct Adversary {
    kind: Misbehave,
    /// Whether a batch of this process was sent.
    posted: bool,
}

impl Adversary {
    pub(crate) fn new(kind: Misbehave) -> Self {
        Self { kind, posted: false }
    }

    /// It posts although nothing waits to be posted.
    pub(crate) fn never_rests(&self) -> bool {
        self.kind == Misbehave::Thief
    }

    /// A batch was signed.
    pub(crate) fn posted(&mut self) {
        self.posted = true;
    }

    /// What it posts where an honest operator would post `honest`.
    pub(crate) fn batch(&self, chain: &Chain, honest: Option<Plan>, proposer: Address) -> Option<Plan> {
        match self.kind {
            Misbehave::FalseRootOnce if !self.posted => {
                let mut plan = honest?;
                if let Some(root) = plan.batch.roots.last_mut() {
                    root.0[31] ^= 1;
                }
                Some(said(plan))
            }
            Misbehave::FalseRootOnce | Misbehave::Equivocate => honest,
            Misbehave::Silent => None,
            Misbehave::Thief => steal(chain, honest, proposer),
        }
    }

    /// The receipt that is handed out for a message of the log, if it is not the honest one. An equivocating operator
    /// gives every second message the place of the one before.
    pub(crate) fn receipt(
        &self,
        chain: &Chain,
        key: &NodeKey,
        sequencer: &Sequencer,
        logged: &LoggedMessage,
    ) -> Option<SignedReceipt> {
        let before = logged.sequence.checked_sub(1).filter(|before| before % 2 == 0)?;
        let before = sequencer.at(before).filter(|_| self.kind == Misbehave::Equivocate)?;
        sign(chain, key, Receipt { message_id: logged.id, ..before.receipt() })
    }

    /// A receipt for a message that contradicts a promised one: the same money, promised to two payees in one place of
    /// the order.
    pub(crate) fn second_promise(
        &self,
        chain: &Chain,
        key: &NodeKey,
        sequencer: &Sequencer,
        message: &Message,
    ) -> Option<SignedReceipt> {
        let same_place = |known: &&LoggedMessage| known.record.from == message.from && known.nonce == message.nonce;
        let first = sequencer.pending().find(same_place)?;
        match self.kind {
            Misbehave::Equivocate => sign(chain, key, Receipt { message_id: message.id(), ..first.receipt() }),
            _ => None,
        }
    }
}

/// A receipt in a group of its own.
fn sign(chain: &Chain, key: &NodeKey, receipt: Receipt) -> Option<SignedReceipt> {
    let tree = ReceiptTree::new([receipt])?;
    let signature = key.sign(tree.group().digest(&chain.domain));
    Some(SignedReceipt { receipt, group: tree.path(receipt.sequence), signature })
}

/// A batch after which everybody's money is the proposer's, ready to be claimed. On top of a false batch: one more that
/// does nothing, to bury it.
fn steal(chain: &Chain, honest: Option<Plan>, proposer: Address) -> Option<Plan> {
    if chain.halted {
        return None;
    }
    if let Some(last) = chain.last().filter(|_| chain.fault().is_some()) {
        return Some(said(filler(chain, proposer, last.event.root)));
    }
    let mut plan = honest.unwrap_or_else(|| filler(chain, proposer, B256::ZERO));
    let items = chain.inbox.range(plan.batch.inbox_start, plan.batch.inbox_end).unwrap_or_default();
    let replayed = plan.batch.chunks(items).ok()?.iter().fold(chain.verified_state(), |mut state, chunk| {
        chunk.apply(&chain.domain, &mut state, proposer);
        state
    });
    let loot = stolen(&replayed, proposer);
    if loot.root() == replayed.root() {
        return None;
    }
    *plan.batch.roots.last_mut()? = loot.root();
    Some(said(plan))
}

/// Everybody's balance, withdrawn by `thief`.
fn stolen(state: &State, thief: Address) -> State {
    let mut loot = state.clone();
    let mut sum = 0u128;
    for (account, leaf) in state.iter().filter(|(account, _)| *account != thief) {
        sum = sum.saturating_add(leaf.balance);
        loot.set(account, payments_protocol::Leaf { balance: 0, ..leaf });
    }
    let leaf = loot.leaf(thief);
    loot.set(thief, payments_protocol::Leaf { withdrawn: leaf.withdrawn.saturating_add(sum), ..leaf });
    loot
}

/// A batch of one record without effect, which claims `root`.
fn filler(chain: &Chain, proposer: Address, root: B256) -> Plan {
    let nothing = Record {
        kind: 0,
        from: Address::ZERO,
        to: Address::ZERO,
        value: 0,
        fee_gwei: 0,
        signature: Signature { r: B256::ZERO, s: B256::ZERO, v: 0 },
    };
    let cursor = chain.inbox_cursor();
    let batch = Batch {
        id: chain.next_id(),
        previous_commitment: chain.last_commitment(),
        proposer,
        inbox_start: cursor,
        inbox_end: cursor,
        roots: vec![root],
        records: Bytes::from(Record::encode_all(&[nothing])),
    };
    Plan { batch, accumulator: chain.inbox.accumulator(cursor).unwrap_or_default() }
}

fn said(plan: Plan) -> Plan {
    tracing::warn!(batch = plan.batch.id, "ADVERSARY: this batch claims a false root");
    plan
}
