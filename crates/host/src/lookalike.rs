//! Recipients that only look like somebody the user knows.
//!
//! Who copies an address out of a history compares its beginning and its end. Attackers make addresses with the same
//! ends and put them into the history by transfers of nothing. So only those count as known to whom the user's own
//! approved requests sent something; what arrives, or merely appears on the chain, makes nobody known.

use alloy::primitives::Address;
use std::collections::BTreeMap;

/// Hex digits at both ends together that people compare, and the fewest at one end: a chance resemblance of two
/// addresses is rarer than one in two hundred million.
const ENDS: usize = 8;
const FEWEST: usize = 2;
/// Most edits (digit changed, left out, put in) that still look like a slip of the hand. Two addresses of chance differ
/// by about thirty.
const SLIPS: usize = 8;

/// Whom the user knows.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The user's own accounts, with their names.
    pub own: BTreeMap<Address, String>,
    /// Recipients of the user's own approved requests.
    pub recipients: BTreeMap<Address, String>,
    /// Contracts of the wallet, with their names: gateways, and the token of this very transfer.
    pub contracts: BTreeMap<Address, String>,
}

/// What the user must read about a recipient. Empty for one that is known, or resembles nobody.
#[must_use]
pub fn warnings(recipient: Address, known: &Known) -> Vec<String> {
    let shown = recipient.to_checksum(None);
    if recipient.is_zero() {
        return vec![format!("{shown} is the zero address: what is sent there is lost.")];
    }
    if let Some(name) = known.contracts.get(&recipient) {
        return vec![format!("{shown} is {name}: a contract, not a person. What is sent there may be lost.")];
    }
    if let Some(name) = known.own.get(&recipient) {
        return vec![format!("{shown} is {name}, your own account.")];
    }
    if known.recipients.contains_key(&recipient) {
        return Vec::new();
    }
    let mut warnings = Vec::new();
    if recipient.as_slice()[..18].iter().all(|b| *b == 0) {
        warnings.push(format!("{shown} is almost the zero address: nobody is likely to hold its key."));
    }
    warnings.extend(look_alikes(recipient, known));
    if warnings.is_empty() {
        warnings.push(format!("You have not sent anything to {shown} before."));
    }
    warnings
}

/// Warnings for an address that is none of the known ones and resembles some.
#[must_use]
pub fn look_alikes(address: Address, known: &Known) -> Vec<String> {
    let all = || known.own.iter().chain(&known.recipients).chain(&known.contracts);
    if all().any(|(other, _)| *other == address) {
        return Vec::new();
    }
    let resembled = all().filter(|(other, _)| resembles(address, **other));
    let warning = |(other, name): (&Address, &String)| {
        format!(
            "LOOK-ALIKE: {} is not {} ({name}), it only resembles it. Addresses like this are made to deceive: compare \
             every digit.",
            address.to_checksum(None),
            other.to_checksum(None)
        )
    };
    resembled.map(warning).collect()
}

/// True for two different addresses that people take for one another.
#[must_use]
pub fn resembles(one: Address, other: Address) -> bool {
    if one == other {
        return false;
    }
    let (one, other) = (hex::encode(one), hex::encode(other));
    let start = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let end = one.bytes().rev().zip(other.bytes().rev()).take_while(|(a, b)| a == b).count();
    (start >= FEWEST && end >= FEWEST && start + end >= ENDS) || distance(one.as_bytes(), other.as_bytes()) <= SLIPS
}

/// Edit distance of Levenshtein.
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.iter().enumerate() {
            let next = (diagonal + usize::from(a != b)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests;
