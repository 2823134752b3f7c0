//! What an owner's key may be asked to do, and the proof that the user agreed to it.

use alloy::primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::VaultError;

/// Separates these digests from every other use of keccak256.
const DOMAIN: &[u8] = b"entresol intent v1\n";

/// The same for several intents under one approval.
const SEVERAL: &[u8] = b"entresol intents v1\n";

/// Exactly what is agreed to. The nonce and the price of gas are not part of it: the host may replace a transaction at
/// the same nonce as long as the whole fee stays under the ceiling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Intent {
    /// A layer-1 transaction.
    Transaction {
        /// EIP-155 chain id.
        chain_id: u64,
        /// The owner's address.
        from: Address,
        /// The contract or account; [`TxKind::Create`] for a transaction whose calldata makes a new contract.
        to: TxKind,
        /// Wei.
        value: U256,
        /// Calldata.
        input: Bytes,
        /// Wei: gas limit times fee per gas may not exceed it.
        max_total_fee: U256,
    },
    /// A message signed as EIP-191 (`personal_sign`).
    Message {
        /// The owner's address.
        from: Address,
        /// The message without prefix.
        message: Bytes,
    },
    /// EIP-712 typed data.
    TypedData {
        /// The owner's address.
        from: Address,
        /// The whole object: types, domain, primaryType, message.
        typed_data: Value,
    },
}

impl Intent {
    /// Digest of this intent, for the approval: the same for equal intents, different for all others.
    #[must_use]
    pub fn digest(&self) -> B256 {
        let mut text = DOMAIN.to_vec();
        // Every part has a fixed length within its kind, so that no two intents have one text.
        match self {
            Self::Transaction { chain_id, from, to, value, input, max_total_fee } => {
                // A creation is a kind of its own: it has no recipient, which is not the same as the zero address.
                text.push(if to.is_create() { 4 } else { 1 });
                text.extend(chain_id.to_be_bytes());
                text.extend(from.as_slice());
                text.extend(to.to().map_or(&[][..], |to| to.as_slice()));
                text.extend(value.to_be_bytes::<32>());
                text.extend(keccak256(input).as_slice());
                text.extend(max_total_fee.to_be_bytes::<32>());
            }
            Self::Message { from, message } => {
                text.push(2);
                text.extend(from.as_slice());
                text.extend(keccak256(message).as_slice());
            }
            Self::TypedData { from, typed_data } => {
                text.push(3);
                text.extend(from.as_slice());
                let mut canonical = String::new();
                write_canonical(typed_data, &mut canonical);
                text.extend(keccak256(canonical).as_slice());
            }
        }
        keccak256(text)
    }

    /// Digest of several intents that are agreed to together and carried out in this order.
    #[must_use]
    pub fn digest_in_order(intents: &[Self]) -> B256 {
        let mut text = SEVERAL.to_vec();
        intents.iter().for_each(|intent| text.extend(intent.digest().as_slice()));
        keccak256(text)
    }

    /// The owner's address that is to sign.
    #[must_use]
    pub const fn from(&self) -> Address {
        match self {
            Self::Transaction { from, .. } | Self::Message { from, .. } | Self::TypedData { from, .. } => *from,
        }
    }
}

/// JSON with sorted keys and no spaces: what `serde_json` keeps of an object's order depends on features that other
/// crates may turn on. Recursion is bounded by the depth that `serde_json` accepts (128).
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            write_list(out, ['{', '}'], entries, |out, (key, value)| {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write_canonical(value, out);
            });
        }
        Value::Array(items) => write_list(out, ['[', ']'], items, |out, item| write_canonical(item, out)),
        scalar => out.push_str(&scalar.to_string()),
    }
}

fn write_list<T>(
    out: &mut String,
    brackets: [char; 2],
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut String, T),
) {
    out.push(brackets[0]);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(brackets[1]);
}

/// An intent together with the approval of exactly that intent. The only thing an owner's key signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    intent: Intent,
    approval_id: u64,
}

impl Approved {
    /// Binds an intent to its approval.
    ///
    /// # Errors
    /// [`NotTheApprovedIntent`](VaultError::NotTheApprovedIntent) when `approved_digest`, the digest that the decision
    /// was made for, is not the intent's.
    pub fn new(intent: Intent, approval_id: u64, approved_digest: B256) -> Result<Self, VaultError> {
        if intent.digest() == approved_digest {
            Ok(Self { intent, approval_id })
        } else {
            Err(VaultError::NotTheApprovedIntent { approval_id })
        }
    }

    /// Binds one of several intents that were agreed to together ([`Intent::digest_in_order`]) to their approval.
    ///
    /// # Errors
    /// [`NotTheApprovedIntent`](VaultError::NotTheApprovedIntent) when the digest is another one, or there is no intent
    /// at `position`.
    pub fn in_order(
        intents: &[Intent],
        position: usize,
        approval_id: u64,
        approved_digest: B256,
    ) -> Result<Self, VaultError> {
        match intents.get(position) {
            Some(intent) if Intent::digest_in_order(intents) == approved_digest => {
                Ok(Self { intent: intent.clone(), approval_id })
            }
            _ => Err(VaultError::NotTheApprovedIntent { approval_id }),
        }
    }

    /// What was approved.
    #[must_use]
    pub const fn intent(&self) -> &Intent {
        &self.intent
    }

    /// The approval's number.
    #[must_use]
    pub const fn approval_id(&self) -> u64 {
        self.approval_id
    }
}

#[cfg(test)]
mod tests;
