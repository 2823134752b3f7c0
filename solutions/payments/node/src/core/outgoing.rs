//! The node's own layer-1 transactions: what is due, and what became of what was sent. One at a time, so that a nonce
//! is never in doubt: the next transaction is made when the one before is settled.

use alloy::consensus::{TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Decodable2718;
use alloy::primitives::{B256, Bytes, TxKind, U256};

use super::{Core, now_ms};
use crate::adversary::Adversary;
use crate::args::Role;
use crate::chain::Verdict;
use crate::fees::{PATIENT_PART, Urgency};
use crate::gateway;
use crate::layer1::Fees;
use crate::sequencer::Plan;
use crate::store::{OutgoingTransaction, Purpose, StoreError, TransactionState};

/// A transaction that should be made now.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) purpose: Purpose,
    pub(crate) input: Bytes,
    /// Wei sent along.
    pub(crate) value: U256,
    pub(crate) urgency: Urgency,
    /// See [`Core::sign`].
    epoch: u64,
}

/// What the transactions task should look after.
#[derive(Clone, Debug, Default)]
pub(crate) struct Work {
    /// Sent, or to be sent again, and not settled; and how soon each must be mined.
    pub(crate) open: Vec<(OutgoingTransaction, Urgency)>,
    /// To be made; only when nothing is open.
    pub(crate) job: Option<Job>,
}

impl Core {
    /// What is due now. `affordable`: layer 1 is cheap enough for a batch that can wait.
    pub(crate) fn due(&mut self, affordable: bool) -> Work {
        let open: Vec<_> = self.open_transactions().map(|open| (open.clone(), self.urgency(open.purpose))).collect();
        if !open.is_empty() || !self.chain.synced || self.setup.key.is_none() {
            return Work { open, job: None };
        }
        let job = match self.setup.role {
            Role::Operator => self.next_batch(affordable),
            Role::Replica => self.next_contest(),
        };
        Work { open, job }
    }

    /// How soon a transaction must be mined.
    fn urgency(&self, purpose: Purpose) -> Urgency {
        match purpose {
            Purpose::Contest(id) => {
                let time = self.chain.batch_at(id).map_or(0, |batch| batch.block.timestamp);
                let elapsed = self.chain.head.timestamp.saturating_sub(time);
                Urgency::Contest { elapsed, window: self.chain.terms.challenge }
            }
            Purpose::Batch(_) | Purpose::Bond if self.is_forced() => Urgency::Forced,
            Purpose::Batch(_) | Purpose::Bond => Urgency::Patient,
        }
    }

    /// Whether an inbox item or a promise has waited for a quarter of FORCE.
    fn is_forced(&self) -> bool {
        let patience = self.chain.terms.force / PATIENT_PART;
        let now = self.chain.head.timestamp;
        let item = self.chain.waiting_items().first().is_some_and(|item| now.saturating_sub(item.time) >= patience);
        let promise = self.sequencer.as_ref().and_then(|sequencer| sequencer.pending().next());
        item || promise.is_some_and(|promise| (now_ms() / 1000).saturating_sub(promise.time) >= patience)
    }

    fn next_batch(&mut self, affordable: bool) -> Option<Job> {
        let confirmed = self.chain.confirmed_items(self.setup.confirmations);
        let forced = self.is_forced();
        let (sequencer, key) = (self.sequencer.as_ref()?, self.setup.key.as_ref()?);
        let adversary = self.adversary.as_ref();
        let waits = sequencer.pending_count() > 0 || confirmed > self.chain.inbox_cursor();
        if !waits && !adversary.is_some_and(Adversary::never_rests) {
            self.waiting_since = None;
            self.waits_for_gas = false;
            return None;
        }
        let now = now_ms();
        let since = *self.waiting_since.get_or_insert(now);
        let ripe = now.saturating_sub(since) >= self.setup.batch_age_ms || sequencer.is_full();
        self.waits_for_gas = ripe && !affordable && !forced;
        if !forced && (!ripe || !affordable) {
            return None;
        }
        let plan = match sequencer.plan(&self.chain, key.address(), confirmed) {
            Ok(plan) => plan,
            Err(error) => {
                tracing::error!(%error, "no batch could be built");
                return None;
            }
        };
        let plan = match adversary {
            Some(adversary) => adversary.batch(&self.chain, plan, key.address()),
            None => plan,
        };
        let Plan { batch, accumulator } = plan?;
        let input = batch.submission(accumulator).encode();
        let urgency = if forced { Urgency::Forced } else { Urgency::Patient };
        Some(Job { purpose: Purpose::Batch(batch.id), input, value: U256::ZERO, urgency, epoch: self.epoch })
    }

    /// The earliest mismatch, as long as it can be contested.
    fn next_contest(&self) -> Option<Job> {
        let fault = self.chain.fault()?;
        let Verdict::False { contest, .. } = &fault.verdict else { return None };
        let deadline = fault.block.timestamp.saturating_add(self.chain.terms.challenge);
        if self.chain.head.timestamp >= deadline {
            return None;
        }
        let (purpose, input) = (Purpose::Contest(fault.event.id), gateway::contest_input(contest));
        Some(Job { purpose, input, value: U256::ZERO, urgency: self.urgency(purpose), epoch: self.epoch })
    }

    /// A job that raises the bond by `value`.
    pub(crate) fn bond_job(&self, value: U256) -> Job {
        let urgency = self.urgency(Purpose::Bond);
        Job { purpose: Purpose::Bond, input: gateway::bond_input(), value, urgency, epoch: self.epoch }
    }

    /// Signs and stores the transaction of a job. `None` when the world moved on since the job was made: a batch built
    /// on what is no longer so would only burn gas.
    pub(crate) fn sign(
        &mut self,
        job: Job,
        nonce: u64,
        gas_limit: u64,
        fees: Fees,
    ) -> Result<Option<OutgoingTransaction>, StoreError> {
        let Some(key) = &self.setup.key else { return Ok(None) };
        // New messages only make the next batch longer; what this one builds on must be the same.
        let still_due = match job.purpose {
            Purpose::Bond => true,
            Purpose::Batch(_) => job.epoch == self.epoch,
            // Whoever buries a false batch under one more with every block must not keep its contest from being sent.
            Purpose::Contest(_) => self.next_contest().is_some_and(|now| now.input == job.input),
        };
        if !still_due {
            return Ok(None);
        }
        if self.open_transactions().next().is_some() {
            return Ok(None);
        }
        let (hash, raw) = key.sign_transaction(TxEip1559 {
            chain_id: self.chain.domain.chain_id(),
            nonce,
            gas_limit,
            max_fee_per_gas: fees.max_fee,
            max_priority_fee_per_gas: fees.max_priority_fee,
            to: TxKind::Call(self.chain.domain.gateway()),
            value: job.value,
            access_list: Default::default(),
            input: job.input,
        });
        let outgoing = OutgoingTransaction { hash, nonce, purpose: job.purpose, raw, state: TransactionState::Open };
        self.store().put_transaction(&outgoing)?;
        self.transactions.push(outgoing.clone());
        if let Purpose::Batch(_) = job.purpose {
            self.waiting_since = None;
            if let Some(adversary) = &mut self.adversary {
                adversary.posted();
            }
        }
        Ok(Some(outgoing))
    }

    /// Signs and stores the same transaction once more, with the same nonce and higher fees. One of the two is mined.
    /// `None` when it is settled, or replaced already, or bids all that it may.
    pub(crate) fn outbid(&mut self, hash: B256, fees: Fees) -> Result<Option<OutgoingTransaction>, StoreError> {
        let Some(old) = self.open_transactions().find(|open| open.hash == hash).cloned() else { return Ok(None) };
        let newest = self.open_transactions().filter(|open| open.nonce == old.nonce).last();
        if newest.is_some_and(|newest| newest.hash != hash) {
            return Ok(None);
        }
        let Some(key) = &self.setup.key else { return Ok(None) };
        let Ok(TxEnvelope::Eip1559(signed)) = TxEnvelope::decode_2718(&mut old.raw.as_ref()) else {
            return Err(StoreError::Damaged(format!("the stored transaction {hash} does not read back")));
        };
        let mut transaction = signed.strip_signature();
        transaction.max_fee_per_gas = fees.max_fee.max(outbidding(transaction.max_fee_per_gas));
        if transaction.max_fee_per_gas > fees.ceiling {
            return Ok(None);
        }
        transaction.max_priority_fee_per_gas = fees
            .max_priority_fee
            .max(outbidding(transaction.max_priority_fee_per_gas))
            .min(transaction.max_fee_per_gas);
        let (hash, raw) = key.sign_transaction(transaction);
        let outgoing = OutgoingTransaction { hash, raw, ..old };
        self.store().put_transaction(&outgoing)?;
        self.transactions.push(outgoing.clone());
        Ok(Some(outgoing))
    }

    /// Records what became of a transaction.
    pub(crate) fn resolve(&mut self, hash: B256, state: TransactionState) -> Result<(), StoreError> {
        let Some(place) = self.transactions.iter().position(|transaction| transaction.hash == hash) else {
            return Ok(());
        };
        if self.transactions[place].state != state {
            self.store().set_transaction(hash, state)?;
            self.transactions[place].state = state;
        }
        Ok(())
    }

    /// Open transactions that the gateway's events show to be in a block.
    pub(super) fn settle(&mut self, seen: &[(B256, u64)]) -> Result<(), StoreError> {
        for (hash, block) in seen {
            self.resolve(*hash, TransactionState::Done { block: *block })?;
        }
        Ok(())
    }

    /// Transactions whose blocks were dropped are open again: they are looked up and, if need be, sent again as they
    /// are, with their nonce.
    pub(super) fn reopen(&mut self, from: u64) -> Result<(), StoreError> {
        let dropped: Vec<B256> = self
            .transactions
            .iter()
            .filter(|transaction| match transaction.state {
                TransactionState::Done { block } | TransactionState::Reverted { block } => block >= from,
                TransactionState::Open | TransactionState::Replaced => false,
            })
            .map(|transaction| transaction.hash)
            .collect();
        for hash in dropped {
            self.resolve(hash, TransactionState::Open)?;
        }
        Ok(())
    }
}

/// The least that layer-1 nodes take instead of a fee they have seen: a tenth more; an eighth is on the safe side.
fn outbidding(fee: u128) -> u128 {
    fee.saturating_add(fee / 8).saturating_add(1)
}
