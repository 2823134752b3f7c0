//! Accounts and actions for this crate's tests.

use alloy::primitives::{Address, B256, address, keccak256};
use secp256k1::SecretKey;

use crate::{
    Domain, Item, ItemKind, Message, Record, SignedMessage, State, message::withdraw_id, signature::address_of,
};

/// The gateway of the tests, on anvil's chain id.
pub(crate) fn domain() -> Domain {
    Domain::new(31337, address!("0x5fbdb2315678afecb367f032d93f642f64180aa3"))
}

/// Someone with a key.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) key: SecretKey,
    pub(crate) address: Address,
}

/// The person with this number; always the same.
pub(crate) fn person(number: u8) -> Person {
    let key = SecretKey::from_secret_bytes(keccak256([number]).0).unwrap();
    Person { address: address_of(&key.public_key()), key }
}

impl Person {
    pub(crate) fn pay(&self, state: &State, to: Address, value: u128, fee: u128) -> SignedMessage {
        Message::payment(self.address, &state.leaf(self.address), to, value, fee).sign(&domain(), &self.key)
    }

    pub(crate) fn withdraw(&self, state: &State, value: u128, fee: u128) -> SignedMessage {
        Message::withdraw(self.address, &state.leaf(self.address), value, fee).sign(&domain(), &self.key)
    }
}

pub(crate) fn record(signed: &SignedMessage) -> Record {
    signed.record().unwrap()
}

pub(crate) fn deposit(index: u64, who: Address, value: u128) -> Item {
    Item {
        index,
        kind: ItemKind::Deposit,
        who,
        value,
        fee: 0,
        time: 1_700_000_000 + index,
        message_id: B256::ZERO,
        depositor: person(200).address,
    }
}

pub(crate) fn forced_exit(index: u64, who: Address) -> Item {
    Item { kind: ItemKind::ForcedExit, value: 0, depositor: who, ..deposit(index, who, 0) }
}

pub(crate) fn posted(index: u64, state: &State, who: Address, value: u128, fee: u128) -> Item {
    let leaf = state.leaf(who);
    let message_id = withdraw_id(
        who,
        alloy::primitives::U256::from(value),
        alloy::primitives::U256::from(fee),
        leaf.nonce,
        leaf.head,
    );
    Item { kind: ItemKind::PostedWithdraw, fee, message_id, ..deposit(index, who, value) }
}

/// A state in which these people have a balance each.
pub(crate) fn funded(balances: &[(u8, u128)]) -> State {
    balances
        .iter()
        .map(|&(number, balance)| (person(number).address, crate::Leaf { balance, ..Default::default() }))
        .collect()
}

/// One ETH in wei.
pub(crate) const ETHER: u128 = 1_000_000_000_000_000_000;
