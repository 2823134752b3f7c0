//! A gateway in the EVM, the model of it, and a replica. Every call goes to the model first; the gateway must agree.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::SolCall;
use payments_contract::{Deployment, PaymentsGateway as Gateway, creation_code};
use payments_protocol::{
    Batch, Chunk, Contest, Domain, Item, ItemKind, Record, SignedMessage, State, Submission, Witness,
};

use crate::calls::{claim_call, contest_call, submission_call};
use crate::chain::{CHAIN_ID, Chain, GAS_LIMIT, Point, Revert, Transaction};
use crate::chance::Chance;
use crate::follower::Follower;
use crate::invariants;
use crate::model::{CHALLENGE, ETH, Expected, FORCE, MIN_BOND, Model, Verdict, refused};
use crate::people::{ANYONE, OPERATOR, accounts};

/// How often what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) steps: u64,
    pub(crate) batches: u64,
    pub(crate) false_batches: u64,
    pub(crate) messages: u64,
    pub(crate) effective: u64,
    pub(crate) contests: u64,
    pub(crate) refused_contests: u64,
    pub(crate) roll_backs: u64,
    pub(crate) reorganisations: u64,
    pub(crate) resubmissions: u64,
    pub(crate) claims: u64,
    pub(crate) halts: u64,
    pub(crate) refusals: u64,
    pub(crate) most_gas: u64,
}

/// A point of the history that a reorganisation can take it back to.
pub(crate) struct Checkpoint {
    chain: Point,
    model: Model,
    follower: Follower,
}

pub(crate) struct World {
    pub(crate) chain: Chain,
    pub(crate) gateway: Address,
    pub(crate) domain: Domain,
    pub(crate) model: Model,
    pub(crate) follower: Follower,
    /// Every state that anybody knows, by its root; knowledge outlives forks.
    pub(crate) known: HashMap<B256, State>,
    /// Ids of all messages that their sender has signed for this gateway, on any fork.
    pub(crate) signed: HashSet<B256>,
    /// Messages that were ever sent, on any fork, as they lay in batches.
    pub(crate) pool: Vec<Record>,
    /// Withdrawals that were ever signed.
    pub(crate) withdrawals: Vec<SignedMessage>,
    /// Batches that once stood.
    pub(crate) fallen: Vec<Submission>,
    pub(crate) checkpoints: Vec<Checkpoint>,
    pub(crate) counts: Counts,
    /// What happened, to be read when something breaks.
    pub(crate) log: Vec<String>,
    /// The operator does nothing.
    pub(crate) silent: bool,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::numbered(0)
    }

    /// The gateway that is deployed on a fresh chain after this many others.
    pub(crate) fn numbered(others: usize) -> Self {
        let mut chain = Chain::new(1_800_000_000);
        for account in accounts().chain([ANYONE.address]) {
            chain.set_balance(account, 1_000_000 * ETH);
        }
        let operator = OPERATOR.address;
        let deployment = Deployment { operator, challenge: CHALLENGE, force: FORCE, min_bond: MIN_BOND };
        let code = creation_code(&deployment).unwrap();
        let deployed: Vec<Address> = (0..=others).map(|_| chain.deploy(ANYONE.address, code.clone())).collect();
        let gateway = *deployed.last().unwrap();
        let domain = Domain::new(CHAIN_ID, gateway);
        let mut world = Self {
            chain,
            gateway,
            domain,
            model: Model { operator, ..Model::default() },
            follower: Follower::new(domain),
            known: HashMap::from([(B256::ZERO, State::new())]),
            signed: HashSet::new(),
            pool: Vec::new(),
            withdrawals: Vec::new(),
            fallen: Vec::new(),
            checkpoints: Vec::new(),
            counts: Counts::default(),
            log: Vec::new(),
            silent: false,
        };
        world.bond(operator, MIN_BOND);
        world
    }

    pub(crate) fn note(&mut self, what: impl Into<String>) {
        let line = format!("{:>6} {}", self.chain.now - 1_800_000_000, what.into());
        self.log.push(line);
    }

    /// Sends a call; it must go as the model says.
    pub(crate) fn send(
        &mut self,
        from: Address,
        value: u128,
        call: &impl SolCall,
        expected: Expected,
    ) -> Option<Rc<Transaction>> {
        let result = self.chain.send(from, self.gateway, value, call);
        match &result {
            Ok(transaction) => self.counts.most_gas = self.counts.most_gas.max(transaction.gas),
            Err(_) => self.counts.refusals += 1,
        }
        agree(expected, &result);
        self.follower.follow(&self.chain.transactions);
        result.ok()
    }

    pub(crate) fn view<C: SolCall>(&mut self, call: C) -> C::Return {
        self.chain.view(self.gateway, &call)
    }

    /// The state after the last standing batch, if anybody knows it.
    pub(crate) fn tip(&self) -> Option<State> {
        self.known.get(&self.model.root(self.model.tip())).cloned()
    }

    // ---- Inbox ----

    pub(crate) fn enter(&mut self, from: Address, value: u128, call: &impl SolCall, expected: Expected) {
        let Some(transaction) = self.send(from, value, call, expected) else { return };
        let event: Gateway::InboxItem = transaction.event();
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
        assert_eq!((item.time, item.depositor), (self.chain.now, from));
        self.model.enter(item);
    }

    // ---- Bond ----

    pub(crate) fn bond(&mut self, from: Address, value: u128) {
        let expected = self.model.running().and(match from == OPERATOR.address {
            true if value == 0 => refused::<Gateway::BadValue>(),
            true => Ok(()),
            false => refused::<Gateway::NotOperator>(),
        });
        if self.send(from, value, &Gateway::bondCall {}, expected).is_some() {
            self.model.bond += value;
        }
    }

    pub(crate) fn unbond(&mut self, from: Address) {
        let expected = match from == OPERATOR.address {
            false => refused::<Gateway::NotOperator>(),
            true if !self.model.is_final(self.model.tip(), self.chain.now) => refused::<Gateway::NotFinal>(),
            true if self.model.bond == 0 => refused::<Gateway::BadValue>(),
            true => Ok(()),
        };
        if let Some(transaction) = self.send(from, 0, &Gateway::unbondCall {}, expected) {
            assert_eq!(transaction.event::<Gateway::Unbonded>().amount, U256::from(self.model.bond));
            self.model.bond = 0;
        }
    }

    // ---- Batches ----

    /// What everybody can know of a batch's chunks, and of the states that they lead to.
    fn judge(&mut self, batch: &Batch, items: &[Item]) -> Vec<Verdict> {
        let chunks = batch.chunks(items).unwrap();
        let before = [self.model.root(batch.id - 1)];
        let previous = before.iter().chain(&batch.roots).copied().collect::<Vec<_>>();
        let mut verdicts = Vec::new();
        for ((chunk, previous), claimed) in chunks.iter().zip(previous).zip(&batch.roots) {
            let Some(mut state) = self.known.get(&previous).cloned() else {
                verdicts.push(Verdict::Unknown);
                continue;
            };
            let report = chunk.apply(&self.domain, &mut state, batch.proposer);
            self.known.insert(report.root, state);
            verdicts.push(if report.root == *claimed { Verdict::Right(report) } else { Verdict::False(report.root) });
        }
        verdicts
    }

    /// Sends a batch, true or false, from here or from a past that is no more. Every chunk of it must be contestable if and
    /// only if it is false, and a batch that anybody can be wronged by must not be possible.
    pub(crate) fn submit(&mut self, chance: &mut Chance, from: Address, submission: &Submission) -> bool {
        let now = self.chain.now;
        let expected = self.model.submission(now, from, submission);
        let Some(transaction) = self.send(from, 0, &submission_call(submission), expected) else { return false };
        assert_eq!(transaction.input, submission.encode(), "alloy and the protocol encode the submission differently");
        let start = self.model.cursor();
        let items = self.model.inbox.range(start, submission.inbox_end).unwrap().to_vec();
        let batch = submission.clone().into_batch(from, start);
        let verdicts = self.judge(&batch, &items);
        self.model.submitted(now, batch, items, verdicts);
        let standing = Rc::clone(self.model.standing.last().unwrap());
        self.counts.batches += 1;
        self.counts.messages += standing.batch.records.len() as u64 / Record::LENGTH as u64;
        self.counts.false_batches += u64::from(!standing.is_right());
        if self.model.standing.iter().all(|standing| standing.is_right()) {
            self.counts.effective += invariants::after_a_batch(self);
        }
        // An honest chunk of every other batch; every false one.
        let checked = chance.below(2 * standing.verdicts.len());
        for chunk in 0..standing.verdicts.len() {
            if chunk == checked || matches!(standing.verdicts[chunk], Verdict::False(_)) {
                invariants::invariants_5_and_6_contestable_iff_false(self, standing.batch.id, chunk);
            }
        }
        true
    }

    /// The proof of a chunk, if anybody can make one.
    pub(crate) fn proof(&self, id: u64, chunk: usize) -> Option<Contest> {
        let standing = self.model.batch(id)?;
        let batch = &standing.batch;
        let previous = match chunk.checked_sub(1) {
            None => self.model.root(id - 1),
            Some(previous) => *batch.roots.get(previous)?,
        };
        let before = self.known.get(&previous)?;
        let chunks: Vec<Chunk> = batch.chunks(&standing.items).unwrap();
        Some(Contest::prove(&self.domain, batch, before, chunk, chunks.get(chunk)?, *batch.roots.get(chunk)?))
    }

    /// What a contest of this chunk should come to now.
    pub(crate) fn contest_expected(&self, id: u64, chunk: usize) -> Expected {
        self.model.contestable(id, self.chain.now)?;
        match self.model.batch(id).unwrap().verdicts[chunk] {
            Verdict::False(_) => Ok(()),
            Verdict::Right(_) => refused::<Gateway::NotFraud>(),
            Verdict::Unknown => unreachable!("no proof can be made of it"),
        }
    }

    /// Contests a chunk of a standing batch.
    pub(crate) fn contest(&mut self, from: Address, id: u64, chunk: usize) {
        let Some(proof) = self.proof(id, chunk) else { return };
        let expected = self.contest_expected(id, chunk);
        let standing = self.model.batch(id).cloned().unwrap();
        let Some(transaction) = self.send(from, 0, &contest_call(&proof), expected) else {
            self.counts.refused_contests += 1;
            return;
        };
        self.counts.contests += 1;
        self.counts.roll_backs += 1;
        let event: Gateway::Contested = transaction.event();
        let Verdict::False(correct) = standing.verdicts[chunk] else { unreachable!("the model agreed") };
        assert_eq!((event.id, event.chunk, event.challenger), (U256::from(id), U256::from(chunk), from));
        assert_eq!((event.claimedRoot, event.correctRoot), (standing.batch.roots[chunk], correct));
        self.lose(id - 1);
        let (burned, escrowed) = self.model.fall(self.chain.now, id, from);
        let slashed: Gateway::BondSlashed = transaction.event();
        assert_eq!((slashed.burned, slashed.escrowed), (U256::from(burned), U256::from(escrowed)));
    }

    /// Keeps the batches above this id as ones that once stood: somebody will try them again.
    fn lose(&mut self, id: u64) {
        for standing in self.model.standing.iter().skip(usize::try_from(id).unwrap()) {
            let accumulator = self.model.inbox.accumulator(standing.batch.inbox_end).unwrap();
            self.fallen.push(standing.batch.submission(accumulator));
        }
    }

    // ---- Leaving ----

    /// What a claim by this witness should come to now; `signed`: with the account's fitting `ClaimTo`.
    pub(crate) fn claim_expected(
        &self,
        from: Address,
        id: u64,
        witness: &Witness,
        recipient: Address,
        signed: bool,
    ) -> Expected {
        let account = witness.account;
        let due = self.due(witness);
        let proves = witness.verify(self.model.root(id), account).is_ok();
        self.model.claimable(id, self.chain.now).and_then(|()| {
            if recipient.is_zero() {
                refused::<Gateway::ZeroAddress>()
            } else if !proves {
                refused::<Gateway::BadWitness>()
            } else if due <= self.model.claimed(account) {
                refused::<Gateway::NothingToClaim>()
            } else if recipient != account && from != account && !signed {
                refused::<Gateway::BadSignature>()
            } else {
                Ok(())
            }
        })
    }

    /// Up to where a claim by this witness raises `claimed`.
    fn due(&self, witness: &Witness) -> u128 {
        witness.withdrawn + if self.model.halted { witness.balance } else { 0 }
    }

    /// Claims by this witness; `signature` and `due` as in `ClaimTo`.
    pub(crate) fn claim(
        &mut self,
        from: Address,
        id: u64,
        witness: &Witness,
        recipient: Address,
        signature: Bytes,
        signed: bool,
    ) {
        let (account, due) = (witness.account, self.due(witness));
        let expected = self.claim_expected(from, id, witness, recipient, signed);
        let before = self.chain.balance(recipient);
        if let Some(transaction) = self.send(from, 0, &claim_call(id, witness, recipient, signature), expected) {
            let paid = self.model.claim(account, due);
            let event: Gateway::Claimed = transaction.event();
            assert_eq!((event.account, event.recipient), (account, recipient));
            assert_eq!((event.amount, event.total), (U256::from(paid), U256::from(due)));
            assert_eq!(self.chain.balance(recipient), before + U256::from(paid));
            self.counts.claims += 1;
        }
    }

    /// What `halt` should come to now.
    pub(crate) fn halt_expected(&self) -> Expected {
        self.model.running().and(match self.model.is_overdue(self.chain.now) {
            true => Ok(()),
            false => refused::<Gateway::NotOverdue>(),
        })
    }

    pub(crate) fn halt(&mut self, from: Address) {
        let expected = self.halt_expected();
        if self.send(from, 0, &Gateway::haltCall {}, expected).is_some() {
            self.model.halted = true;
            self.counts.halts += 1;
            self.note("halted");
        }
    }

    pub(crate) fn reclaim(&mut self, index: u64) {
        let expected = self.model.reclaim(index);
        let call = Gateway::reclaimDepositCall { index };
        if self.send(ANYONE.address, 0, &call, expected).is_some() {
            self.model.reclaimed(index);
        }
    }

    pub(crate) fn collect(&mut self, reward: usize) {
        let expected = self.model.collection(reward, self.chain.now);
        let call = Gateway::collectRewardCall { reward: U256::from(reward) };
        if let Some(transaction) = self.send(ANYONE.address, 0, &call, expected) {
            let entry = &mut self.model.rewards[reward];
            entry.paid = true;
            let event: Gateway::RewardCollected = transaction.event();
            assert_eq!((event.challenger, event.amount), (entry.challenger, U256::from(entry.amount)));
        }
    }

    // ---- Forks ----

    pub(crate) fn checkpoint(&mut self) -> Checkpoint {
        Checkpoint { chain: self.chain.point(), model: self.model.clone(), follower: self.follower.clone() }
    }

    /// Takes layer 1 back. What was signed and what was known stays so; what stood may be tried again.
    pub(crate) fn reorganise(&mut self, to: &Checkpoint) {
        let common = self.model.standing.iter().zip(&to.model.standing);
        let common = common.take_while(|(a, b)| a.batch.commitment() == b.batch.commitment()).count();
        self.lose(common as u64);
        self.restore(to);
    }

    /// The same, of what was only tried.
    pub(crate) fn restore(&mut self, to: &Checkpoint) {
        self.chain.reorganise(&to.chain);
        self.model = to.model.clone();
        self.follower = to.follower.clone();
    }
}

/// The gateway did what the model says.
#[track_caller]
pub(crate) fn agree<T>(expected: Expected, result: &Result<T, Revert>) {
    let found = result.as_ref().map(|_| ()).map_err(Revert::selector);
    let name = |expected: &Expected| match expected {
        Ok(()) => "goes through".to_owned(),
        Err(selector) => error_name(*selector),
    };
    assert!(expected == found, "the model says: {}; the gateway: {}", name(&expected), name(&found));
}

fn error_name(selector: [u8; 4]) -> String {
    let errors = payments_contract::abi().unwrap();
    let found = errors.errors().find(|error| error.selector() == selector);
    found.map_or_else(|| format!("an unknown error {}", alloy::hex::encode(selector)), |error| error.name.clone())
}

/// Layer 1 takes no transaction above this, and so no rule of the gateway may need more.
pub(crate) const MOST_GAS: u64 = GAS_LIMIT;
