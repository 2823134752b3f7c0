//! The payments protocol: an optimistic rollup of ETH payments whose data lies on layer 1.
//!
//! This crate is the specification in code. It has no input and no output, no clock and no randomness:
//! the node, a replaying wallet, the benches and the fuzzers call the same functions, and the gateway
//! contract computes the same values (held together by the golden vectors in `vectors/`).
//!
//! # How the parts hang together
//! - [`message`]: what an account signs: [`Payment` and `Withdraw`](message::Message), their ids and digests (EIP-712), and the
//!   122-byte [`Record`](message::Record) by which a message lies in a batch.
//! - [`signature`]: strict secp256k1 signatures; what layer 1's `ecrecover` would take, minus the malleable half.
//! - [`state`]: the accounts, a sparse Merkle tree of depth 160 with [witnesses](state::Witness). Cloning is O(1), so every
//!   batch can keep the state it left behind.
//! - [`inbox`]: deposits and withdrawal requests in layer-1 order, and their accumulators.
//! - [`transition`]: the total function from (state, message or item) to (state, [`Outcome`](transition::Outcome)).
//! - [`batch`]: chunks, leaves, commitment, `submitBatch`'s calldata; building and replaying.
//! - [`contest`]: what `contest` needs to prove one wrong chunk, and the contract's own check of it without any state.
//! - [`claim`] and [`receipt`]: the two other EIP-712 statements: an exit to another recipient, the operator's promise.
//! - [`wire`]: the JSON forms (quantities are decimal strings, bytes are 0x-hex).
//!
//! # Invariants
//! - No function here panics on any input. Arithmetic after the checks wraps, as in the contract, so no root can make it fail.
//! - The sum of `balance + withdrawn` over all leaves equals the value of the deposits consumed.
//! - `nonce` and `withdrawn` of an account never fall.
//! - Replaying the batches from layer 1 alone gives the incrementally kept state.

pub mod batch;
pub mod claim;
pub mod contest;
pub mod domain;
pub mod inbox;
pub mod message;
pub mod receipt;
pub mod signature;
pub mod state;
pub mod transition;
pub mod wire;

mod abi;

pub use batch::{Batch, BatchError, BuiltBatch, Chunk, ChunkReport, Preimage, Rehearsal, Replay, Submission};
pub use claim::ClaimTo;
pub use contest::{BadWitness, Contest};
pub use domain::Domain;
pub use inbox::{Inbox, Item, ItemKind};
pub use message::{Kind, Message, MessageError, PostedWithdraw, Record, SignedMessage};
pub use receipt::{Receipt, SignedReceipt};
pub use signature::{Signature, SignatureError, sign_digest};
pub use state::{Leaf, State, Witness, WitnessError};
pub use transition::{Effect, Outcome, Reason};

#[cfg(test)]
mod golden;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod testing;
