//! Layer 1: networks, the block tracker, gateway logs and transactions.
//!
//! | module | what it owns |
//! |---|---|
//! | [`network`] | one chain behind one or more RPC URLs, HTTP and WebSocket; each proves its chain id before it is believed, several are compared |
//! | [`tracker`] | the recent chain as a parent-hash walk: which block is the head, how deep was a reorganisation (no IO) |
//! | [`logs`] | one contract's logs, at least once and in order, taken back (`removed`) when their block is undone |
//! | [`fees`] | what a transaction pays now: slow, normal, fast (EIP-1559) |
//! | [`simulate`] | what a call would change: ether, tokens, allowances, read before and after in one simulated block |
//! | [`nonce`] | which nonce the next transaction of an account gets (no IO) |
//! | [`transactions`] | sending: stored first, broadcast second, followed to its confirmations, found again after a crash |
//!
//! Three rules hold throughout. This crate **never signs**: it is handed signed bytes. A transaction is **stored before
//! it is broadcast** and after a crash is looked for by its hash, never sent again under a new nonce. **Every status
//! can go backwards**: a reorganisation is ordinary.
//!
//! Nothing an RPC endpoint answers can panic: answers are bounded in size, parsed strictly, and wrong ones are
//! [`Layer1Error`]s.

pub mod error;
pub mod fees;
mod jsonrpc;
pub mod logs;
pub mod network;
pub mod nonce;
mod poll;
mod revert;
pub mod simulate;
pub mod tracker;
pub mod transactions;

pub use alloy::consensus::TxEip1559;
pub use alloy::primitives::{Address, B256, Bytes, I256, U256};
pub use error::Layer1Error;
pub use fees::{FeeSpeed, Fees};
pub use logs::{Log, LogBatch, LogEvent, LogFollower, Position};
pub use network::{CallRequest, Head, Health, Network, NetworkConfig, READ_METHODS, probe_chain_id};
pub use simulate::{Allowance, AllowanceChange, Effects, EtherChange, TokenChange, TokenChangeKind, UNTRIED};
pub use transactions::{
    Inclusion, OpenTransaction, StoredTransaction, Stuck, StuckReason, Terms, TransactionLog, TransactionLogError,
    TransactionStatus, Transactions,
};
