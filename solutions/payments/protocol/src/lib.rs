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
//! - [`light`]: what a wallet checks that does not replay: its own leaf, and who paid it.
//! - [`claim`] and [`receipt`]: the two other EIP-712 statements: an exit to another recipient, the operator's promise.
//! - [`wire`]: the JSON forms (quantities are decimal strings, bytes are 0x-hex).
//!
//! # What the gateway adds
//! The contract keeps what needs layer 1's clock and money, and decides it alone:
//! - **standing**: `id < nextId`; nothing may be read of any other id. **Contestable**: standing, not genesis, `now < time + CHALLENGE`.
//!   **Final**: standing and `now ≥ time + CHALLENGE`; a final batch never falls. A contest that proves one chunk false sets
//!   `nextId` to that batch's id, whatever stands above.
//! - **overdue**: inbox item *i* is overdue when `now > max(time_i, i < graceEnd ? floor : 0) + FORCE`. A roll-back sets `floor = now` and
//!   `graceEnd` = the inbox's length iff the newest final batch has consumed all of the grace before: one grace an item. While the oldest
//!   unserved item is overdue no batch is taken, and anyone may halt the gateway, for ever.
//! - **claims** pay `withdrawn − claimed` at a final batch; after a halt `balance + withdrawn − claimed` at the last standing one, once
//!   it is final ([`claim::claimable`]). Deposits that no standing batch consumed are then paid back.
//!
//! A payment is *soft* with the operator's receipt, *sequenced* when a replica has replayed every chunk up to it equal, *final* when its batch is.
//!
//! # Other implementations
//! `vectors/*.json` with their README are for implementations in other languages: ids, digests, records, leaves, witnesses, roots, commitments,
//! calldata, outcomes, and complete arguments of `contest`.
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
pub mod light;
pub mod message;
pub mod receipt;
pub mod signature;
pub mod state;
pub mod transition;
pub mod wire;

mod abi;

pub use batch::{
    Batch, BatchError, BuiltBatch, Chunk, ChunkReport, Preimage, Rehearsal, RehearsedChunk, Replay, Submission,
};
pub use claim::ClaimTo;
pub use contest::{BadWitness, Contest};
pub use domain::Domain;
pub use inbox::{Inbox, Item, ItemKind};
pub use message::{Kind, Message, MessageError, PostedWithdraw, Record, SignedMessage};
pub use receipt::{GroupPath, Receipt, ReceiptError, ReceiptGroup, ReceiptTree, SignedReceipt};
pub use signature::{Signature, SignatureError, sign_digest};
pub use state::{Leaf, State, Witness, WitnessError};
pub use transition::{Effect, Outcome, Reason};

#[cfg(test)]
mod golden;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod testing;
