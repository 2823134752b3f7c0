//! A layer 1 made of real event encodings, for tests of what is folded from it.

use alloy::primitives::{Address, B256, Bytes};
use alloy::sol_types::SolEvent;
use payments_contract::PaymentsGateway;
use payments_protocol::{Batch, Domain, Item, ItemKind, SignedMessage, signature::address_of};
use secp256k1::{PublicKey, SecretKey};

use super::*;

pub(crate) const OPERATOR: Address = Address::repeat_byte(0x0f);
pub(crate) const CHALLENGE: u64 = 100;
const SECONDS_A_BLOCK: u64 = 12;

pub(crate) fn domain() -> Domain {
    Domain::new(31_337, Address::repeat_byte(0x9a))
}

pub(crate) fn tx(number: u64) -> B256 {
    B256::from(U256::from(number))
}

fn log<E: SolEvent>(event: &E, transaction: B256, input: Option<Bytes>) -> GatewayLog {
    let data = event.encode_log_data();
    GatewayLog {
        block_number: 0,
        block_hash: B256::ZERO,
        log_index: 0,
        transaction,
        topics: data.topics().to_vec(),
        data: data.data,
        input,
    }
}

pub(crate) fn item_log(item: &Item) -> GatewayLog {
    let event = PaymentsGateway::InboxItem {
        index: item.index,
        kind: item.kind as u8,
        who: item.who,
        value: item.value,
        fee: item.fee,
        time: item.time,
        messageId: item.message_id,
        depositor: item.depositor,
    };
    log(&event, tx(1_000 + item.index), None)
}

pub(crate) fn batch_log(event: &BatchEvent, transaction: B256) -> GatewayLog {
    let input = event.input.clone();
    let event = PaymentsGateway::BatchSubmitted {
        id: U256::from(event.id),
        commitment: event.commitment,
        proposer: event.proposer,
        inboxStart: event.inbox_start,
        inboxEnd: event.inbox_end,
        root: event.root,
    };
    log(&event, transaction, Some(input))
}

pub(crate) struct User {
    key: SecretKey,
    pub(crate) address: Address,
}

impl User {
    pub(crate) fn new(number: u8) -> Self {
        let key = SecretKey::from_secret_bytes([number; 32]).expect("in range");
        Self { key, address: address_of(&PublicKey::from_secret_key(&key)) }
    }

    pub(crate) fn pay(&self, leaf: &Leaf, to: Address, value: u128) -> SignedMessage {
        payments_protocol::Message::payment(self.address, leaf, to, value, 0).sign(&domain(), &self.key)
    }
}

/// A layer 1 and the view of it.
pub(crate) struct Layer1 {
    pub(crate) chain: Chain,
    blocks: Vec<StepBlock>,
    fork: u8,
}

impl Layer1 {
    pub(crate) fn new() -> Self {
        let terms = Terms { operator: OPERATOR, challenge: CHALLENGE, force: 1_000, min_bond: 0 };
        Self { chain: Chain::new(domain(), terms, FinalAt::Latest), blocks: Vec::new(), fork: 1 }
    }

    /// Mines a block with these logs and tells the view.
    pub(crate) fn mine(&mut self, mut logs: Vec<GatewayLog>) -> Changes {
        let number = self.blocks.len() as u64;
        let hash = B256::from([&[self.fork; 24][..], &number.to_be_bytes()].concat().try_into().unwrap_or([0; 32]));
        let parent = self.blocks.last().map_or(B256::ZERO, |step| step.block.hash);
        let block = BlockRef { number, hash, parent, timestamp: number * SECONDS_A_BLOCK };
        for (index, log) in logs.iter_mut().enumerate() {
            (log.block_number, log.block_hash, log.log_index) = (number, hash, index as u64);
        }
        self.blocks.push(StepBlock { block, logs });
        let step = Step {
            drop_from: None,
            blocks: self.blocks[self.blocks.len() - 1..].to_vec(),
            head: block,
            depths: Depths::default(),
            synced: true,
        };
        self.chain.apply(step, &|_, _| false)
    }

    /// Drops the newest blocks; the next ones are of another fork.
    pub(crate) fn reorganise(&mut self, depth: usize) -> Changes {
        let from = self.blocks.len() - depth;
        self.blocks.truncate(from);
        self.fork += 1;
        let head = self.blocks.last().expect("a block is left").block;
        let drop_from = Some(from as u64);
        let step = Step { drop_from, blocks: Vec::new(), head, depths: Depths::default(), synced: true };
        self.chain.apply(step, &|_, _| false)
    }

    /// The newest `count` blocks as the follower tells them, on top of a fork from `drop_from` on.
    pub(crate) fn news(&self, drop_from: Option<u64>, count: usize) -> Step {
        let head = self.blocks.last().expect("a block").block;
        let blocks = self.blocks[self.blocks.len() - count..].to_vec();
        Step { drop_from, blocks, head, depths: Depths::default(), synced: true }
    }

    /// Number of blocks.
    pub(crate) fn height(&self) -> usize {
        self.blocks.len()
    }

    /// The view of somebody who reads the same layer 1 for the first time.
    pub(crate) fn fresh(&self) -> Chain {
        self.remembered(HashSet::new()).0
    }

    /// The view after a restart with these notes, and whether they added up.
    pub(crate) fn remembered(&self, found: HashSet<Key>) -> (Chain, bool) {
        let mut chain = Layer1::new().chain;
        let head = self.blocks.last().expect("a block").block;
        let blocks = self.blocks.clone();
        let step = Step { drop_from: None, blocks, head, depths: Depths::default(), synced: true };
        let (_, adds_up) = chain.remember(step, found, &|_, _| false);
        (chain, adds_up)
    }

    pub(crate) fn item(&self, kind: ItemKind, who: Address, value: u128) -> Item {
        Item {
            index: self.chain.inbox.len(),
            kind,
            who,
            value,
            fee: 0,
            time: self.blocks.len() as u64,
            message_id: B256::ZERO,
            depositor: who,
        }
    }

    pub(crate) fn deposit(&mut self, who: Address, value: u128) -> Changes {
        let item = self.item(ItemKind::Deposit, who, value);
        self.mine(vec![item_log(&item)])
    }

    /// Submits a batch as it is, true or not, in a block of its own.
    pub(crate) fn submit(&mut self, batch: &Batch) -> Changes {
        let accumulator = self.chain.inbox.accumulator(batch.inbox_end).expect("known");
        let event = BatchEvent {
            id: batch.id,
            commitment: batch.commitment(),
            proposer: batch.proposer,
            inbox_start: batch.inbox_start,
            inbox_end: batch.inbox_end,
            root: batch.last_root(),
            input: batch.submission(accumulator).encode(),
        };
        let transaction = tx(batch.id + 100 * u64::from(self.fork));
        self.mine(vec![batch_log(&event, transaction)])
    }

    /// An honest batch of every waiting item and these messages.
    pub(crate) fn batch(&self, messages: &[SignedMessage]) -> Batch {
        let chain = &self.chain;
        let records: Vec<_> = messages.iter().map(|message| message.record().expect("fits")).collect();
        let previous = chain.last_commitment();
        let before = chain.state_after(chain.next_id() - 1).unwrap_or_else(|| chain.verified_state());
        let built = Batch::build(
            &chain.domain,
            &before,
            chain.next_id(),
            previous,
            OPERATOR,
            chain.inbox_cursor(),
            chain.waiting_items(),
            &records,
        );
        built.expect("a batch").batch
    }

    pub(crate) fn contested(&mut self, id: u64) -> Changes {
        let event = PaymentsGateway::Contested {
            id: U256::from(id),
            challenger: Address::repeat_byte(0xcc),
            chunk: U256::ZERO,
            claimedRoot: B256::ZERO,
            correctRoot: B256::ZERO,
        };
        self.mine(vec![log(&event, tx(5_000 + id), None)])
    }
}
