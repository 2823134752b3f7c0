//! What an account signs, and how it lies in a batch.
//!
//! ```text
//! Payment (address from,address to,uint256 value,uint256 fee,uint64 nonce,bytes32 prev)
//! Withdraw(address from,uint256 value,uint256 fee,uint64 nonce,bytes32 prev)
//! ```
//! A message's **id** is its EIP-712 struct hash, never its signature bytes. `nonce` and `prev` come from the sender's leaf
//! (`prev` = id of the account's latest effective message), so a record need not carry them: a record whose signer meant another
//! nonce or head recovers to some other address and has no effect.
//!
//! Values and fees are in wei. A record holds the value in 12 bytes and the fee in whole gwei in 4 bytes.

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use secp256k1::SecretKey;
use serde::{Deserialize, Serialize};

use crate::{
    abi,
    domain::Domain,
    signature::{Signature, SignatureError, sign_digest},
    state::Leaf,
};

/// Wei in one gwei: the unit of a record's fee.
pub const GWEI: u128 = 1_000_000_000;
/// Largest value of a record: 12 bytes of wei (7.9 · 10^10 ETH).
pub const MAX_VALUE: u128 = (1 << 96) - 1;
/// Largest fee of a record in wei: 4 bytes of gwei (4.29 ETH).
pub const MAX_FEE: u128 = u32::MAX as u128 * GWEI;

/// What a message does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Moves value to another account of this layer 2.
    Payment = 1,
    /// Moves value from `balance` to `withdrawn`, whence it can be claimed on layer 1.
    Withdraw = 2,
}

impl Kind {
    /// The kind with this record byte.
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Payment),
            2 => Some(Self::Withdraw),
            _ => None,
        }
    }
}

/// A message before it is signed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// What it does.
    pub kind: Kind,
    /// The account that pays and signs.
    pub from: Address,
    /// The payee; zero for a withdrawal.
    pub to: Address,
    /// Wei, at most [`MAX_VALUE`].
    #[serde(with = "crate::wire::decimal")]
    pub value: u128,
    /// Wei, whole gwei, at most [`MAX_FEE`]; goes to the proposer of the batch.
    #[serde(with = "crate::wire::decimal")]
    pub fee: u128,
    /// The sender's nonce before this message.
    #[serde(with = "crate::wire::decimal")]
    pub nonce: u64,
    /// The sender's head before this message: id of its latest effective message, zero at first.
    pub prev: B256,
}

/// Why a message can never take effect or cannot be put into a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The value does not fit a record.
    #[error("the value {0} wei is above 2^96 - 1; split the payment")]
    Value(u128),
    /// The fee does not fit a record.
    #[error("the fee {0} wei must be a whole number of gwei and below 4.29 ETH")]
    Fee(u128),
    /// The sender is the zero address.
    #[error("the sender is the zero address")]
    ZeroSender,
    /// A payment to the zero address.
    #[error("a payment needs a recipient; to leave the layer 2, withdraw")]
    ZeroRecipient,
    /// A withdrawal with a recipient.
    #[error("a withdrawal names no recipient; the claim does")]
    WithdrawTo,
    /// The signature is not well formed.
    #[error("the signature cannot be used")]
    Signature(#[source] SignatureError),
    /// The signature is someone else's, or over other fields.
    #[error("signed by {0}, not by the sender; was it signed with this nonce, prev, chain and gateway?")]
    Signer(Address),
    /// Bytes that are no posted withdrawal.
    #[error(
        "a posted Withdraw has {POSTED_LENGTH} bytes (value, fee, nonce, prev, r, s, v) in range, these {0} bytes are not that"
    )]
    Posted(usize),
}

impl Message {
    /// A payment as the account with this leaf would send it next.
    pub fn payment(from: Address, leaf: &Leaf, to: Address, value: u128, fee: u128) -> Self {
        Self { kind: Kind::Payment, from, to, value, fee, nonce: leaf.nonce, prev: leaf.head }
    }

    /// A withdrawal as the account with this leaf would send it next.
    pub fn withdraw(from: Address, leaf: &Leaf, value: u128, fee: u128) -> Self {
        let to = Address::ZERO;
        Self { kind: Kind::Withdraw, from, to, value, fee, nonce: leaf.nonce, prev: leaf.head }
    }

    /// The id: EIP-712 struct hash.
    pub fn id(&self) -> B256 {
        match self.kind {
            Kind::Payment => {
                abi::hash([&payment_type_hash(), &self.from, &self.to, &self.value, &self.fee, &self.nonce, &self.prev])
            }
            Kind::Withdraw => {
                let (value, fee) = (U256::from(self.value), U256::from(self.fee));
                withdraw_id(self.from, value, fee, self.nonce, self.prev)
            }
        }
    }

    /// What the sender signs.
    pub fn digest(&self, domain: &Domain) -> B256 {
        domain.digest(self.id())
    }

    /// Signs with a key (tests, benches and the command line; wallets sign typed data themselves).
    pub fn sign(self, domain: &Domain, key: &SecretKey) -> SignedMessage {
        let signature = sign_digest(key, self.digest(domain));
        SignedMessage { message: self, signature }
    }

    /// The checks that need no signature and no state.
    pub fn check(&self) -> Result<(), MessageError> {
        if self.value > MAX_VALUE {
            return Err(MessageError::Value(self.value));
        }
        if self.fee > MAX_FEE || !self.fee.is_multiple_of(GWEI) {
            return Err(MessageError::Fee(self.fee));
        }
        if self.from.is_zero() {
            return Err(MessageError::ZeroSender);
        }
        match self.kind {
            Kind::Payment if self.to.is_zero() => Err(MessageError::ZeroRecipient),
            Kind::Withdraw if !self.to.is_zero() => Err(MessageError::WithdrawTo),
            Kind::Payment | Kind::Withdraw => Ok(()),
        }
    }
}

/// A message with its sender's signature.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedMessage {
    /// What was signed.
    #[serde(flatten)]
    pub message: Message,
    /// Of [`Message::digest`], by [`Message::from`].
    #[serde(with = "crate::wire::signature")]
    pub signature: Signature,
}

impl SignedMessage {
    /// Everything that can be checked without state: ranges, recipient, signature ranges, signer.
    pub fn check(&self, domain: &Domain) -> Result<(), MessageError> {
        self.message.check()?;
        let digest = self.message.digest(domain);
        let signer = self.signature.recover(digest).map_err(MessageError::Signature)?;
        if signer == self.message.from { Ok(()) } else { Err(MessageError::Signer(signer)) }
    }

    /// The 122 bytes that go into a batch. Fails when value or fee do not fit.
    pub fn record(&self) -> Result<Record, MessageError> {
        self.message.check()?;
        let fee_gwei = u32::try_from(self.message.fee / GWEI).map_err(|_| MessageError::Fee(self.message.fee))?;
        Ok(Record {
            kind: self.message.kind as u8,
            from: self.message.from,
            to: self.message.to,
            value: self.message.value,
            fee_gwei,
            signature: self.signature,
        })
    }
}

/// A message as it lies in a batch: `kind 1 | from 20 | to 20 | value 12 | fee 4 (gwei) | r 32 | s 32 | v 1`, big endian.
///
/// Any 122 bytes are a record; most have no effect. `encode` is the inverse of `decode` for every one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// 1 payment, 2 withdrawal, anything else without effect.
    pub kind: u8,
    /// The account that pays.
    pub from: Address,
    /// The payee; zero for a withdrawal.
    pub to: Address,
    /// Wei, below 2^96 (higher bits are dropped by `encode`).
    pub value: u128,
    /// Gwei.
    pub fee_gwei: u32,
    /// As it stands, in range or not.
    pub signature: Signature,
}

impl Record {
    /// Bytes of one record.
    pub const LENGTH: usize = 122;

    /// Reads one record; total.
    pub fn decode(bytes: &[u8; Self::LENGTH]) -> Self {
        let mut value = [0u8; 16];
        value[4..].copy_from_slice(&bytes[41..53]);
        let mut fee = [0u8; 4];
        fee.copy_from_slice(&bytes[53..57]);
        Self {
            kind: bytes[0],
            from: Address::from_slice(&bytes[1..21]),
            to: Address::from_slice(&bytes[21..41]),
            value: u128::from_be_bytes(value),
            fee_gwei: u32::from_be_bytes(fee),
            signature: Signature {
                r: B256::from_slice(&bytes[57..89]),
                s: B256::from_slice(&bytes[89..121]),
                v: bytes[121],
            },
        }
    }

    /// Reads a blob of records, or `None` if its length is no multiple of 122.
    pub fn decode_all(blob: &[u8]) -> Option<Vec<Self>> {
        let (records, rest) = blob.as_chunks::<{ Self::LENGTH }>();
        rest.is_empty().then(|| records.iter().map(Self::decode).collect())
    }

    /// Writes one record.
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0u8; Self::LENGTH];
        bytes[0] = self.kind;
        bytes[1..21].copy_from_slice(self.from.as_slice());
        bytes[21..41].copy_from_slice(self.to.as_slice());
        bytes[41..53].copy_from_slice(&self.value.to_be_bytes()[4..]);
        bytes[53..57].copy_from_slice(&self.fee_gwei.to_be_bytes());
        bytes[57..].copy_from_slice(&self.signature.to_bytes());
        bytes
    }

    /// Writes records one after another.
    pub fn encode_all<'a>(records: impl IntoIterator<Item = &'a Self>) -> Vec<u8> {
        records.into_iter().flat_map(Self::encode).collect()
    }

    /// The fee in wei.
    pub fn fee(&self) -> u128 {
        u128::from(self.fee_gwei) * GWEI
    }

    /// The message this record is for a sender with this leaf; `None` if the kind is unknown.
    pub fn message(&self, sender: &Leaf) -> Option<Message> {
        Some(Message {
            kind: Kind::from_byte(self.kind)?,
            from: self.from,
            to: self.to,
            value: self.value,
            fee: self.fee(),
            nonce: sender.nonce,
            prev: sender.head,
        })
    }
}

/// A signed `Withdraw` posted on layer 1: the `latestMessage` of `requestWithdrawPayment(from, latestMessage)`.
///
/// `abi.encode(uint256 value, uint256 fee, uint64 nonce, bytes32 prev, bytes32 r, bytes32 s, uint8 v)`. The gateway checks the
/// signature when it is posted; the transition takes it iff its id fits the leaf. Its fee is signed, and not charged here.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PostedWithdraw {
    /// Wei.
    #[serde(with = "crate::wire::decimal")]
    pub value: u128,
    /// Wei; signed but not charged on this way.
    #[serde(with = "crate::wire::decimal")]
    pub fee: u128,
    /// The sender's nonce before this message.
    #[serde(with = "crate::wire::decimal")]
    pub nonce: u64,
    /// The sender's head before this message.
    pub prev: B256,
    /// Of the `Withdraw`, by `from`.
    #[serde(with = "crate::wire::signature")]
    pub signature: Signature,
}

/// Bytes of an encoded [`PostedWithdraw`]: seven words.
const POSTED_LENGTH: usize = 7 * 32;

impl PostedWithdraw {
    /// The posted form of a signed withdrawal.
    pub fn of(signed: &SignedMessage) -> Self {
        let Message { value, fee, nonce, prev, .. } = signed.message;
        Self { value, fee, nonce, prev, signature: signed.signature }
    }

    /// The message's id, given the sender that the call names.
    pub fn id(&self, from: Address) -> B256 {
        withdraw_id(from, U256::from(self.value), U256::from(self.fee), self.nonce, self.prev)
    }

    /// Seven ABI words.
    pub fn encode(&self) -> Bytes {
        let Signature { r, s, v } = self.signature;
        let words = abi::encode([&self.value, &self.fee, &self.nonce, &self.prev, &r, &s, &v]);
        Bytes::copy_from_slice(words.as_flattened())
    }

    /// Reads seven ABI words; each must be in its type's range.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let wrong = || MessageError::Posted(bytes.len());
        let (words, rest) = bytes.as_chunks::<32>();
        let ([value, fee, nonce, prev, r, s, v], []) = (words, rest) else {
            return Err(wrong());
        };
        let number = |word: &[u8; 32]| u128::try_from(U256::from_be_bytes(*word)).map_err(|_| wrong());
        Ok(Self {
            value: number(value)?,
            fee: number(fee)?,
            nonce: number(nonce)?.try_into().map_err(|_| wrong())?,
            prev: B256::from(*prev),
            signature: Signature {
                r: B256::from(*r),
                s: B256::from(*s),
                v: number(v)?.try_into().map_err(|_| wrong())?,
            },
        })
    }
}

/// Struct hash of a `Withdraw`.
pub fn withdraw_id(from: Address, value: U256, fee: U256, nonce: u64, prev: B256) -> B256 {
    abi::hash([&withdraw_type_hash(), &from, &value, &fee, &nonce, &prev])
}

/// EIP-712 type hash of `Payment`.
pub fn payment_type_hash() -> B256 {
    keccak256("Payment(address from,address to,uint256 value,uint256 fee,uint64 nonce,bytes32 prev)")
}

/// EIP-712 type hash of `Withdraw`.
pub fn withdraw_type_hash() -> B256 {
    keccak256("Withdraw(address from,uint256 value,uint256 fee,uint64 nonce,bytes32 prev)")
}

#[cfg(test)]
mod tests;
