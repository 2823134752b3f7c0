//! The wallet's keys: one BIP-39 seed in a sealed file, the accounts below it, and signatures.
//!
//! Nothing outside this crate can hold a seed: its interface takes and gives plain data (paths, intents, addresses,
//! signatures), so that it could become a process of its own. The one secret that leaves is the [`DatabaseKey`], which
//! lies sealed in the same file so that one passphrase opens the wallet, and the phrase, once, when it is created.
//!
//! Two kinds of keys, two rules:
//! - an **owner** account (`m/44'/60'/0'/0/index`) signs only what an [`Approved`] intent says, and the vault compares
//!   the transaction with that intent field by field;
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
