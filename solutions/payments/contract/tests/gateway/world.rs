//! A gateway on a chain of its own, and the model (the Rust protocol) beside it.

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::rpc::types::TransactionReceipt;
use alloy::sol_types::{SolCall, SolEvent};
use payments_contract::{Deployment, PaymentsGateway as Gateway, creation_code};
use payments_protocol::{
    Batch, BuiltBatch, Contest, Domain, Inbox, Item, ItemKind, Leaf, Message, Record, Replay, SignedMessage, State,
    Witness, signature::address_of,
};
use secp256k1::SecretKey;

use crate::calls::submission_call;
pub(crate) use crate::calls::{claim_call, contest_call};
use crate::chain::{Chain, Revert, passed};

pub(crate) const ETH: u128 = 1_000_000_000_000_000_000;
pub(crate) const GWEI: u128 = 1_000_000_000;
pub(crate) const CHALLENGE: u64 = 3600;
pub(crate) const FORCE: u64 = 1200;
pub(crate) const MIN_BOND: u128 = 24 * ETH / 10;

/// Someone with a key, and with ETH on layer 1.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) key: SecretKey,
    pub(crate) address: Address,
}

/// The person of this name; always the same.
pub(crate) fn person(name: &str) -> Person {
    let key = SecretKey::from_secret_bytes(keccak256(name).0).unwrap();
    Person { address: address_of(&key.public_key()), key }
}

/// A standing batch of the model with the state after it.
#[derive(Clone)]
pub(crate) struct Standing {
    pub(crate) batch: Batch,
    pub(crate) state: State,
}

pub(crate) struct World {
    pub(crate) chain: Chain,
    pub(crate) gateway: Address,
    pub(crate) domain: Domain,
    pub(crate) operator: Address,
    pub(crate) alice: Person,
    pub(crate) bob: Person,
    pub(crate) carol: Person,
    /// Owns nothing on layer 2: sends what anyone may send.
    pub(crate) anyone: Address,
    pub(crate) inbox: Inbox,
    pub(crate) standing: Vec<Standing>,
}

impl World {
    /// A bonded gateway.
    pub(crate) async fn new() -> Self {
        let world = Self::with_operator(person("operator").address).await;
        world.bond(MIN_BOND).await;
        world
    }

    pub(crate) async fn with_operator(operator: Address) -> Self {
        Self::on(Chain::start(31337).await, operator).await
    }

    /// A gateway without bond on this chain.
    pub(crate) async fn on(chain: Chain, operator: Address) -> Self {
        let [alice, bob, carol, anyone] = ["alice", "bob", "carol", "anyone"].map(person);
        for account in [alice.address, bob.address, carol.address, anyone.address, operator] {
            chain.set_balance(account, 1_000 * ETH).await;
        }
        let deployment = Deployment { operator, challenge: CHALLENGE, force: FORCE, min_bond: MIN_BOND };
        let receipt = passed(chain.send(anyone.address, None, 0, creation_code(&deployment).unwrap()).await);
        let gateway = receipt.contract_address.unwrap();
        Self {
            chain,
            gateway,
            domain: Domain::new(31337, gateway),
            operator,
            alice,
            bob,
            carol,
            anyone: anyone.address,
            inbox: Inbox::new(),
            standing: Vec::new(),
        }
    }

    // ---- Layer 1 ----

    pub(crate) async fn call(
        &self,
        from: Address,
        value: u128,
        call: impl SolCall,
    ) -> Result<TransactionReceipt, Revert> {
        self.chain.send(from, Some(self.gateway), value, call.abi_encode()).await
    }

    pub(crate) async fn view<C: SolCall>(&self, call: C) -> C::Return {
        passed(self.chain.view(self.gateway, call).await)
    }

    pub(crate) async fn bond(&self, wei: u128) {
        passed(self.call(self.operator, wei, Gateway::bondCall {}).await);
    }

    pub(crate) async fn bond_balance(&self) -> u128 {
        self.view(Gateway::bondBalanceCall {}).await.to()
    }

    pub(crate) async fn next_id(&self) -> u64 {
        self.view(Gateway::nextIdCall {}).await.to()
    }

    pub(crate) async fn claimed(&self, account: Address) -> u128 {
        self.view(Gateway::claimedCall { account }).await.to()
    }

    pub(crate) async fn halted(&self) -> bool {
        self.view(Gateway::haltedCall {}).await
    }

    /// The one event of this kind.
    #[track_caller]
    pub(crate) fn event<E: SolEvent>(&self, receipt: &TransactionReceipt) -> E {
        let mut found = receipt.logs().iter().filter_map(|log| E::decode_log(&log.inner).ok());
        let event = found.next().unwrap_or_else(|| panic!("no {}", E::SIGNATURE));
        assert_eq!(event.address, self.gateway);
        assert!(found.next().is_none(), "two {}", E::SIGNATURE);
        event.data
    }

    // ---- Inbox ----

    pub(crate) async fn deposit(&mut self, to: Address, value: u128) -> Item {
        let receipt = passed(self.call(self.anyone, value, Gateway::depositCall { to }).await);
        self.entered(&receipt)
    }

    pub(crate) async fn request_exit(&mut self, who: Address) -> Item {
        let receipt = passed(self.call(who, 0, Gateway::requestExitCall {}).await);
        self.entered(&receipt)
    }

    pub(crate) async fn post_withdraw(&mut self, signed: &SignedMessage) -> Item {
        let call = Gateway::requestWithdrawPaymentCall { from: signed.message.from, latestMessage: posted(signed) };
        let receipt = passed(self.call(self.anyone, 0, call).await);
        self.entered(&receipt)
    }

    /// Puts the item of a transaction into the model's inbox, made from its event alone.
    pub(crate) fn entered(&mut self, receipt: &TransactionReceipt) -> Item {
        let event: Gateway::InboxItem = self.event(receipt);
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
        item
    }

    // ---- Messages, by the state after the last standing batch ----

    pub(crate) fn state(&self) -> State {
        self.standing.last().map(|standing| standing.state.clone()).unwrap_or_default()
    }

    pub(crate) fn leaf(&self, account: Address) -> Leaf {
        self.state().leaf(account)
    }

    pub(crate) fn pay(&self, from: &Person, to: Address, value: u128, fee: u128) -> SignedMessage {
        Message::payment(from.address, &self.leaf(from.address), to, value, fee).sign(&self.domain, &from.key)
    }

    pub(crate) fn withdraw(&self, from: &Person, value: u128, fee: u128) -> SignedMessage {
        Message::withdraw(from.address, &self.leaf(from.address), value, fee).sign(&self.domain, &from.key)
    }

    /// `count` payments of one sender in a row, each linked to the one before.
    pub(crate) fn payments(&self, from: &Person, to: Address, value: u128, fee: u128, count: usize) -> Vec<Record> {
        let mut leaf = self.leaf(from.address);
        (0..count)
            .map(|_| {
                let message = Message::payment(from.address, &leaf, to, value, fee);
                leaf = Leaf { nonce: leaf.nonce + 1, head: message.id(), ..leaf };
                message.sign(&self.domain, &from.key).record().unwrap()
            })
            .collect()
    }

    // ---- Batches ----

    /// An honest batch of everything in the inbox and these records.
    pub(crate) fn build(&self, records: &[Record]) -> BuiltBatch {
        self.build_up_to(self.inbox.len(), records)
    }

    pub(crate) fn build_up_to(&self, inbox_end: u64, records: &[Record]) -> BuiltBatch {
        let (id, commitment, start) = match self.standing.last() {
            None => (1, B256::ZERO, 0),
            Some(last) => (last.batch.id + 1, last.batch.commitment(), last.batch.inbox_end),
        };
        let items = self.inbox.range(start, inbox_end).unwrap();
        Batch::build(&self.domain, &self.state(), id, commitment, self.operator, start, items, records).unwrap()
    }

    pub(crate) fn submission(&self, batch: &Batch) -> Gateway::submitBatchCall {
        submission_call(&batch.submission(self.inbox.accumulator(batch.inbox_end).unwrap()))
    }

    /// Sends a batch, true or false, without taking it into the model.
    pub(crate) async fn submit(&self, batch: &Batch) -> Result<TransactionReceipt, Revert> {
        self.call(self.operator, 0, self.submission(batch)).await
    }

    /// Sends an honest batch of everything in the inbox and these records.
    pub(crate) async fn advance_with(&mut self, records: &[Record]) -> TransactionReceipt {
        let built = self.build(records);
        let receipt = passed(self.submit(&built.batch).await);
        self.standing.push(Standing { batch: built.batch, state: built.state });
        receipt
    }

    /// Alice owns this much, in a standing batch.
    pub(crate) async fn with_alice(mut self, value: u128) -> Self {
        self.deposit(self.alice.address, value).await;
        self.advance_with(&[]).await;
        self
    }

    /// The last batch becomes final.
    pub(crate) async fn finalise(&self) {
        self.chain.advance(CHALLENGE + 1).await;
    }

    // ---- Contests ----

    pub(crate) fn items_of(&self, batch: &Batch) -> &[Item] {
        self.inbox.range(batch.inbox_start, batch.inbox_end).unwrap()
    }

    /// The proof that a replay finds of this batch on top of the last standing one, and the root it comes to.
    #[track_caller]
    pub(crate) fn fraud(&self, batch: &Batch) -> (Contest, B256) {
        match batch.replay(&self.domain, &self.state(), self.items_of(batch)).unwrap() {
            Replay::Different { contest, computed, .. } => (*contest, computed),
            Replay::Equal { .. } => panic!("the batch is honest"),
        }
    }

    pub(crate) async fn contest(&self, from: Address, contest: &Contest) -> Result<TransactionReceipt, Revert> {
        self.call(from, 0, contest_call(contest)).await
    }

    /// Submits a false batch on top of the last standing one and takes it down by what a replay finds. The contract
    /// must come to the model's root.
    pub(crate) async fn falls(&self, batch: &Batch) -> TransactionReceipt {
        passed(self.submit(batch).await);
        let (contest, computed) = self.fraud(batch);
        let receipt = passed(self.contest(self.anyone, &contest).await);
        let event: Gateway::Contested = self.event(&receipt);
        assert_eq!((event.id, event.chunk), (U256::from(batch.id), U256::from(contest.chunk)));
        assert_eq!((event.claimedRoot, event.correctRoot), (contest.claimed_root, computed));
        assert_eq!(self.next_id().await, batch.id);
        receipt
    }

    // ---- Claims ----

    pub(crate) fn witness(&self, account: Address) -> Witness {
        self.state().witness(account)
    }

    /// Claims at the last standing batch of the model.
    pub(crate) async fn claim(&self, account: Address) -> Result<TransactionReceipt, Revert> {
        self.claim_to(self.anyone, account, account, Bytes::new()).await
    }

    pub(crate) async fn claim_to(
        &self,
        from: Address,
        account: Address,
        recipient: Address,
        signature: impl Into<Bytes>,
    ) -> Result<TransactionReceipt, Revert> {
        let batch = self.standing.last().map_or(0, |standing| standing.batch.id);
        self.call(from, 0, claim_call(batch, &self.witness(account), recipient, signature)).await
    }
}

pub(crate) fn posted(signed: &SignedMessage) -> Bytes {
    payments_protocol::PostedWithdraw::of(signed).encode()
}

pub(crate) fn records(signed: &[SignedMessage]) -> Vec<Record> {
    signed.iter().map(|signed| signed.record().unwrap()).collect()
}
