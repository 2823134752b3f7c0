//! The wallet's keys: one BIP-39 seed in a sealed file, the accounts below it, and signatures.
//!
//! Nothing outside this crate can hold a seed: its interface takes and gives plain data (paths, intents, addresses,
//! signatures), so that it could become a process of its own. These secrets leave it, and no others:
//! - the [`DatabaseKey`], which lies sealed in the same file so that one passphrase opens the wallet;
//! - the phrase, once, when the wallet is created;
//! - the private key of an owner account, for its passphrase each time ([`Vault::export_owner_key`]);
//! - a private key or a derived secret of a solution's own subtree, while the seed is open
//!   ([`Vault::export_subtree_key`], [`Vault::subtree_secret`]).
//!
//! Keys in memory lie on pages of their own that the system does not write to a swap file
//! ([`Vault::memory_locked`] tells whether it agreed), and are wiped when they are no longer needed. The library types
//! that sign exist for the moment of use only.
//!
//! Two kinds of keys, two rules:
//! - an **owner** account (`m/44'/60'/0'/0/index`, or an imported key) signs only what an [`Approved`] intent says,
//!   and the vault compares the transaction with that intent field by field;
//! - a **subtree** account lies below a solution's [`SubtreePath`], which can never be, contain or lie in a wallet path;
//!   it signs what the solution's plugin asks for.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests write files of their own"))]

mod error;
mod intent;
mod kdf;
mod keys;
mod keystore;
mod locked;
mod mnemonic;
mod path;
mod secret;
mod signing;
mod vault;

pub mod backup;

pub use error::VaultError;
pub use intent::{Approved, Intent};
pub use kdf::KdfCost;
pub use path::{PathError, SubtreePath};
pub use secret::{DatabaseKey, SecretBytes32};
pub use signing::{SignedTransaction, SubtreePayload};
pub use vault::{Account, Vault};

#[cfg(test)]
mod tests;
