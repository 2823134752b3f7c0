//! What people sign and what is made of it: messages that fit, and all the ways in which they do not.

use alloy::primitives::{Address, B256, U256, keccak256};
use payments_protocol::transition::apply_record;
use payments_protocol::{Domain, Kind, Leaf, Message, Record, Signature, SignedMessage, State};

use crate::chain::CHAIN_ID;
use crate::chance::Chance;
use crate::model::{ETH, GWEI};
use crate::people::{EVERYONE, OPERATOR, Person};
use crate::world::World;

/// The other signature of the same message by the same key: s in the upper half.
pub(crate) fn twin(record: &Record) -> Record {
    let order = U256::from_be_bytes(alloy::hex!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"));
    let signature = &record.signature;
    // A signature that is made up can have any s.
    let s = order.checked_sub(U256::from_be_bytes(signature.s.0)).unwrap_or_default();
    let v = if signature.v == 27 { 28 } else { 27 };
    Record { signature: Signature { s: B256::from(s.to_be_bytes()), v, ..*signature }, ..*record }
}

pub(crate) fn someone(chance: &mut Chance) -> &'static Person {
    if chance.once_in(12) { &OPERATOR } else { chance.of(&EVERYONE) }
}

/// Signs, and lets the world know that it was signed for this gateway.
pub(crate) fn sign(world: &mut World, message: Message, key: &Person) -> SignedMessage {
    if message.from == key.address {
        world.signed.insert(message.id());
    }
    let signed = message.sign(&world.domain, &key.key);
    if signed.message.kind == Kind::Withdraw {
        world.withdrawals.push(signed.clone());
    }
    signed
}

/// A message as its sender would sign it next on this state.
fn next(chance: &mut Chance, state: &State, from: &Person) -> Message {
    let leaf = state.leaf(from.address);
    let to = someone(chance).address;
    let value = match chance.below(6) {
        0 => 0,
        // The last wei.
        1 => leaf.balance,
        2 => leaf.balance / 2,
        _ => (1 + chance.below(200) as u128) * ETH / 1000,
    };
    let fee = chance.below(3) as u128 * 1000 * GWEI;
    let value = if chance.once_in(10) { value } else { value.min(leaf.balance.saturating_sub(fee)) };
    // Or somebody who was never heard of.
    let to = if chance.once_in(16) { Address::from_word(keccak256(from.address)) } else { to };
    match chance.below(4) {
        0 => Message::withdraw(from.address, &leaf, value, fee),
        _ => Message::payment(from.address, &leaf, to, value, fee),
    }
}

/// A record for the next place of a batch on this state.
pub(crate) fn record(world: &mut World, chance: &mut Chance, state: &State) -> Record {
    // Whoever has something to lose, mostly.
    let mut from = someone(chance);
    for _ in 0..3 {
        if state.leaf(from.address).balance == 0 {
            from = someone(chance);
        }
    }
    let message = next(chance, state, from);
    let record = match chance.below(24) {
        0 => {
            let nonce = message.nonce.wrapping_add([1, u64::MAX, 7][chance.below(3)]);
            sign(world, Message { nonce, ..message }, from)
        }
        1 => sign(world, Message { prev: B256::repeat_byte(1), ..message }, from),
        // More than there is.
        2 => {
            let value = state.leaf(from.address).balance + 1 + u128::from(chance.once_in(2)) * ETH;
            sign(world, Message { value, ..message }, from)
        }
        // For another gateway, another chain; by another key.
        3 => message.sign(&Domain::new(CHAIN_ID, Address::repeat_byte(7)), &from.key),
        4 => message.sign(&Domain::new(1, world.gateway), &from.key),
        5 => {
            let thief = someone(chance);
            sign(world, message, thief)
        }
        6 => {
            let kind = if message.kind == Kind::Payment { Kind::Withdraw } else { Kind::Payment };
            sign(world, Message { kind, ..message }, from)
        }
        _ => sign(world, message, from),
    };
    let message = &record.message;
    let record = Record {
        kind: message.kind as u8,
        from: message.from,
        to: message.to,
        value: message.value,
        fee_gwei: u32::try_from(message.fee / GWEI).unwrap(),
        signature: record.signature,
    };
    match chance.below(24) {
        0 => twin(&record),
        1 => Record { value: record.value + 1, ..record },
        2 => Record { fee_gwei: record.fee_gwei + 1, ..record },
        3 => Record { to: chance.of(&EVERYONE).address, ..record },
        4 => Record { kind: [0, 3, 255][chance.below(3)], ..record },
        5 => Record { from: Address::ZERO, ..record },
        6 => {
            let v = [0, 1, 26, 29, 37, 255][chance.below(6)];
            Record { signature: Signature { v, ..record.signature }, ..record }
        }
        7 => Record { signature: Signature { r: B256::ZERO, ..record.signature }, ..record },
        8 => Record { signature: Signature { s: B256::repeat_byte(0xff), ..record.signature }, ..record },
        // What was sent before, on this fork or on one that is no more.
        9..=11 if !world.pool.is_empty() => *chance.of(&world.pool),
        _ => record,
    }
}

/// Records for a batch on this state, each made with an eye on those before; the state afterwards.
pub(crate) fn records(world: &mut World, chance: &mut Chance, state: &mut State, count: usize) -> Vec<Record> {
    (0..count)
        .map(|_| {
            let record = record(world, chance, state);
            apply_record(&world.domain, state, &record);
            world.pool.push(record);
            record
        })
        .collect()
}

/// A signed withdrawal to post in the inbox: fresh by what people know, or an old one.
pub(crate) fn withdrawal(world: &mut World, chance: &mut Chance) -> SignedMessage {
    if chance.once_in(3) && !world.withdrawals.is_empty() {
        return chance.of(&world.withdrawals).clone();
    }
    let from = someone(chance);
    let leaf: Leaf = world.tip().unwrap_or_default().leaf(from.address);
    let value = if chance.once_in(3) { leaf.balance } else { chance.below(100) as u128 * ETH / 1000 };
    let message = Message::withdraw(from.address, &leaf, value, chance.below(2) as u128 * GWEI);
    sign(world, message, from)
}
