//! A replica that has nothing but layer 1: the inputs of successful transactions, and their logs.

use std::rc::Rc;

use alloy::primitives::{Address, B256};
use alloy::sol_types::SolCall;
use payments_contract::PaymentsGateway as Gateway;
use payments_protocol::{Batch, Domain, Inbox, Item, ItemKind, Replay, State, Submission};

use crate::chain::Transaction;

/// A batch as layer 1 tells of it, and what replaying it comes to.
#[derive(Clone)]
pub(crate) struct Followed {
    pub(crate) batch: Batch,
    /// The state after it; none at or after the first that is false.
    pub(crate) state: Option<State>,
}

#[derive(Clone)]
pub(crate) struct Follower {
    domain: Domain,
    /// How many transactions it has read.
    read: usize,
    pub(crate) inbox: Inbox,
    pub(crate) standing: Vec<Followed>,
    /// The first batch that is false and the chunk that is, if one is.
    pub(crate) fraud: Option<(u64, usize)>,
    pub(crate) claims: Vec<(Address, u128)>,
    pub(crate) halted: bool,
}

impl Follower {
    pub(crate) fn new(domain: Domain) -> Self {
        Self {
            domain,
            read: 0,
            inbox: Inbox::new(),
            standing: Vec::new(),
            fraud: None,
            claims: Vec::new(),
            halted: false,
        }
    }

    /// Reads what is new.
    pub(crate) fn follow(&mut self, transactions: &[Rc<Transaction>]) {
        for transaction in transactions.get(self.read..).unwrap_or_default() {
            self.take(transaction);
        }
        self.read = transactions.len();
    }

    fn take(&mut self, transaction: &Transaction) {
        for event in transaction.events::<Gateway::InboxItem>() {
            let item = Item {
                index: event.index,
                kind: ItemKind::from_byte(event.kind).unwrap(),
                who: event.who,
                value: event.value,
                fee: event.fee,
                time: event.time,
                message_id: event.messageId,
                depositor: event.depositor,
            };
            self.inbox.push(item).unwrap();
        }
        for event in transaction.events::<Gateway::BatchSubmitted>() {
            // By the protocol's own decoder, and by alloy's of the ABI: the encoding is canonical.
            let submission = Submission::decode(&transaction.input).unwrap();
            let call = Gateway::submitBatchCall::abi_decode(&transaction.input).unwrap();
            assert_eq!((&call.roots, &call.records), (&submission.roots, &submission.records));
            let start = self.standing.last().map_or(0, |last| last.batch.inbox_end);
            assert_eq!((event.inboxStart, event.proposer), (start, transaction.from));
            let batch = submission.into_batch(transaction.from, start);
            assert_eq!((event.commitment, event.root), (batch.commitment(), batch.last_root()));
            let state = self.replay(&batch);
            self.standing.push(Followed { batch, state });
        }
        for event in transaction.events::<Gateway::Contested>() {
            let id: u64 = event.id.to();
            self.standing.truncate(usize::try_from(id).unwrap() - 1);
            if self.fraud.is_some_and(|(fraud, _)| fraud >= id) {
                self.fraud = None;
            }
        }
        for event in transaction.events::<Gateway::Claimed>() {
            self.claims.push((event.account, event.amount.to()));
        }
        self.halted |= transaction.events::<Gateway::Halted>().next().is_some();
    }

    fn replay(&mut self, batch: &Batch) -> Option<State> {
        let before = match self.standing.last() {
            None => State::new(),
            Some(last) => last.state.clone()?,
        };
        let items = self.inbox.range(batch.inbox_start, batch.inbox_end).unwrap();
        match batch.replay(&self.domain, &before, items).unwrap() {
            Replay::Equal { state, .. } => Some(state),
            Replay::Different { chunk, .. } => {
                self.fraud.get_or_insert((batch.id, chunk));
                None
            }
        }
    }

    /// Whether another replica that read the same came to the same.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        let roots = |follower: &Self| -> Vec<(B256, Option<B256>)> {
            let standing = follower.standing.iter();
            standing.map(|one| (one.batch.commitment(), one.state.as_ref().map(State::root))).collect()
        };
        roots(self) == roots(other)
            && self.inbox.accumulator(self.inbox.len()) == other.inbox.accumulator(other.inbox.len())
            && self.fraud == other.fraud
            && self.claims == other.claims
            && self.halted == other.halted
    }
}
