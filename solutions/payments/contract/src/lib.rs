//! Bindings to `PaymentsGateway.sol`, the layer-1 contract of the reference payments layer 2.
//!
//! The contract itself lies in `contracts/`, what solc made of it in `artifacts/` (rebuilt and compared byte for
//! byte by `cargo xtask contracts --check`). This crate has no IO: it encodes calls, decodes events, errors and
//! results, and makes the deployment transaction's input. Amounts are wei, times unix seconds, unless said otherwise.
//!
//! `PaymentsGateway` below is compiled by alloy from the Solidity signatures; a test compares every selector and
//! topic with the ABI in the artifact, so the two cannot drift apart.

mod artifact;
mod bindings;

pub use artifact::{ArtifactError, Deployment, abi, creation_code, runtime_code};
pub use bindings::{ILayer2Gateway, PaymentsGateway};

/// The most messages, and the most inbox items, in one chunk (`MAX_CHUNK`).
pub const MAX_CHUNK: usize = 8;
/// The most chunks, and so the most claimed roots, in one batch (`MAX_CHUNKS`).
pub const MAX_CHUNKS: usize = 120;
/// Bytes of one message record in a batch (`RECORD_SIZE`).
pub const RECORD_SIZE: usize = 122;
/// Inbox item kind: value sent in by `deposit`.
pub const KIND_DEPOSIT: u8 = 1;
/// Inbox item kind: `requestExit`, or `requestWithdrawPayment` with an empty message; withdraws everything.
pub const KIND_FORCED_EXIT: u8 = 2;
/// Inbox item kind: a signed `Withdraw` posted with `requestWithdrawPayment`.
pub const KIND_POSTED_WITHDRAW: u8 = 3;

#[cfg(test)]
mod tests;
