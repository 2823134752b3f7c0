//! Policies: what may pass without asking. Pure decisions over plain data; the store keeps the sums, [`crate::Host`]
//! ties both together.
//!
//! **Grant = may ask. Policy = may pass without asking.** A policy names its caller and one solution; it limits each
//! request and a rolling window, recipients, tokens and its own life. What is not written in it does not pass.

use crate::error::HostError;
use alloy::primitives::{Address, U256};
use serde::{Deserialize, Serialize};

/// Longest rolling window: 90 days.
pub const LONGEST_WINDOW_MS: u64 = 90 * DAY_MS;
/// A day in milliseconds.
pub const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Most entries of any list in a rule.
const MAX_ENTRIES: usize = 64;

/// Wei as a decimal string in JSON.
mod wei {
    use alloy::primitives::U256;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &U256, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<U256, D::Error> {
        let text = String::deserialize(deserializer)?;
        // An empty text would be read as zero.
        let digits = Some(&text).filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
        digits
            .and_then(|digits| U256::from_str_radix(digits, 10).ok())
            .ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not a decimal number of wei")))
    }
}

/// What a caller wants, as a policy looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ask {
    /// What sort of thing.
    pub what: What,
    /// Wei that move: the action's parameters of role `amount`, or the value of a transaction.
    #[serde(with = "wei")]
    pub amount: U256,
    /// Ceiling on the fee in wei; zero for an action.
    #[serde(with = "wei")]
    pub fee: U256,
    /// A token and its amount in the token's smallest unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenAmount>,
    /// Who receives: the action's parameters of role `recipient`.
    #[serde(default)]
    pub recipients: Vec<Address>,
}

/// An amount of one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenAmount {
    /// The token's contract.
    pub token: Address,
    /// In the token's smallest unit.
    #[serde(with = "wei")]
    pub amount: U256,
}

/// The sorts of things that are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
pub enum What {
    /// An action of the solution.
    Action {
        /// Its name.
        name: String,
    },
    /// A layer-1 call to one of the solution's contracts.
    Contract {
        /// The contract.
        address: Address,
        /// Canonical signature, `deposit(address)`.
        signature: String,
        /// First four bytes of the calldata.
        selector: [u8; 4],
    },
    /// A signature of the owner: no policy covers it.
    Signature,
    /// A transaction that no policy covers: ETH to a layer-2 account, a replacement.
    Other,
}

/// The rule of a policy: every limit that is stated must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Actions that pass.
    pub actions: Vec<String>,
    /// Layer-1 functions that pass when one of these actions caused them (canonical signatures); none by default.
    #[serde(default)]
    pub contracts: Vec<String>,
    /// Most wei of one request (amount and ceiling on the fee together).
    #[serde(with = "wei")]
    pub per_call: U256,
    /// Most wei in the window, amounts and fees together.
    #[serde(with = "wei")]
    pub per_window: U256,
    /// Length of the rolling window in milliseconds.
    pub window_ms: u64,
    /// Most requests in the window, if limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_count: Option<u64>,
    /// Only these receive; anybody when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients: Option<Vec<Address>>,
    /// Limits per token; a token that is not here does not move.
    #[serde(default)]
    pub tokens: Vec<TokenLimit>,
}

/// Limits for one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenLimit {
    /// The token's contract.
    pub token: Address,
    /// Most of one request, in the token's smallest unit.
    #[serde(with = "wei")]
    pub per_call: U256,
    /// Most in the window.
    #[serde(with = "wei")]
    pub per_window: U256,
}

/// What went through a policy within its window: reserved and settled, not what was released.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Wei of amounts.
    pub amount: U256,
    /// Wei of fees.
    pub fee: U256,
    /// Requests.
    pub count: u64,
    /// Of the token in question, in its smallest unit.
    pub token: U256,
}

impl Rule {
    /// Checks a rule before it is kept.
    ///
    /// # Errors
    /// Names the field that is wrong.
    pub fn check(&self) -> Result<(), HostError> {
        let wrong = |field: &str, why: &str| Err(HostError::invalid(format!("policy: {field}: {why}")));
        if self.actions.is_empty() {
            return wrong("actions", "name at least one action");
        }
        if self.window_ms == 0 || self.window_ms > LONGEST_WINDOW_MS {
            return wrong("windowMs", "between one millisecond and 90 days");
        }
        if self.per_call > self.per_window {
            return wrong("perCall", "larger than perWindow: it could never be used up");
        }
        if self.max_count == Some(0) {
            return wrong("maxCount", "zero lets nothing pass; revoke the policy instead");
        }
        if self.recipients.as_ref().is_some_and(Vec::is_empty) {
            return wrong("recipients", "an empty list lets nothing pass; leave it out for anybody");
        }
        for (index, limit) in self.tokens.iter().enumerate() {
            if self.tokens[..index].iter().any(|other| other.token == limit.token) {
                return wrong("tokens", "a token stands twice");
            }
            if limit.per_call > limit.per_window {
                return wrong("tokens", "perCall larger than perWindow: it could never be used up");
            }
        }
        let longest =
            [self.actions.len(), self.contracts.len(), self.tokens.len(), self.recipients.as_ref().map_or(0, Vec::len)];
        if longest.iter().any(|length| *length > MAX_ENTRIES) {
            return wrong("lists", "at most 64 entries each");
        }
        Ok(())
    }

    /// The limit for a token, if the rule has one.
    #[must_use]
    pub fn token_limit(&self, token: Address) -> Option<&TokenLimit> {
        self.tokens.iter().find(|limit| limit.token == token)
    }

    /// Decides whether `ask`, made while the caller's `action` is open, passes after `spent` in the window.
    ///
    /// # Errors
    /// The first limit that does not hold, in words.
    pub fn decide(&self, action: &str, ask: &Ask, spent: &Spent) -> Result<(), String> {
        if !self.actions.iter().any(|name| name == action) {
            return Err(format!("the action {action} is not in the policy"));
        }
        match &ask.what {
            What::Action { name } if self.actions.contains(name) => {}
            What::Action { name } => return Err(format!("the action {name} is not in the policy")),
            What::Contract { address, signature, selector } => {
                if !self.contracts.contains(signature) {
                    return Err(format!("the layer-1 function {signature} is not in the policy"));
                }
                if crate::decode::moves_tokens(*selector) {
                    // A limit for another token says nothing of this one, not even where nothing of that one moves.
                    if ask.token.is_none_or(|moved| moved.token != *address) {
                        return Err(format!("{signature} moves tokens and the policy has no limit for them"));
                    }
                }
            }
            What::Signature => return Err("no policy covers the owner's signature".to_owned()),
            What::Other => return Err("no policy covers this".to_owned()),
        }
        let cost = ask.amount.saturating_add(ask.fee);
        if cost > self.per_call {
            return Err("more than the policy's limit for one request".to_owned());
        }
        if spent.amount.saturating_add(spent.fee).saturating_add(cost) > self.per_window {
            return Err("more than the policy's limit for its window".to_owned());
        }
        if self.max_count.is_some_and(|most| spent.count >= most) {
            return Err("the policy's number of requests in its window is used up".to_owned());
        }
        if let Some(allowed) = &self.recipients {
            if ask.recipients.is_empty() && matches!(ask.what, What::Action { .. }) {
                return Err("the policy names recipients and the action states none".to_owned());
            }
            if let Some(other) = ask.recipients.iter().find(|address| !allowed.contains(address)) {
                return Err(format!("{} is not among the policy's recipients", other.to_checksum(None)));
            }
        }
        if let Some(moved) = ask.token {
            if !ask.amount.is_zero() {
                return Err("a token and ether at once: no policy covers that".to_owned());
            }
            let limit = self
                .token_limit(moved.token)
                .ok_or_else(|| format!("the token {} is not in the policy", moved.token.to_checksum(None)))?;
            if moved.amount > limit.per_call {
                return Err("more of the token than the policy's limit for one request".to_owned());
            }
            if spent.token.saturating_add(moved.amount) > limit.per_window {
                return Err("more of the token than the policy's limit for its window".to_owned());
            }
        }
        Ok(())
    }
}

/// The first four bytes of calldata; zeros where there are fewer.
#[must_use]
pub fn selector(input: &[u8]) -> [u8; 4] {
    let mut selector = [0; 4];
    for (to, from) in selector.iter_mut().zip(input) {
        *to = *from;
    }
    selector
}

#[cfg(test)]
mod tests;
