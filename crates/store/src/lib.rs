//! The wallet's one database: encrypted SQLite, opened by the daemon alone.
//!
//! [`Store::open`] takes the 32-byte key that the vault keeps; every page of the file is encrypted with it (SQLCipher,
//! raw key). The interface is synchronous and made of plain records; what a record means is the business of the crate
//! that asked for it. Time comes in as an argument, in unix milliseconds, so that callers can run under simulation.
//!
//! **Durable when it returns.** Each write is one transaction in write-ahead-log mode with `synchronous = FULL`,
//! committed under a [write point](entresol_durable::write_point) of its own: what a method has acknowledged is there
//! after `kill -9`, and what it had not is not there in part.
//!
//! **Shapes.** Amounts are decimal strings (wei does not fit in a JSON number), addresses and hashes are lower-case
//! `0x` hex, times are unix milliseconds, numbers are at most 2⁶³ − 1 (SQLite's integers).

mod accounts;
mod amount;
mod approvals;
mod callers;
mod calls;
mod connections;
mod database;
mod error;
mod group;
mod journal;
mod kv;
mod layer2;
mod meta;
mod networks;
mod notices;
mod peers;
mod policies;
mod reservations;
mod row;
mod schedule;
mod schema;
mod solutions;
mod transactions;
mod transfers;
mod upkeep;

pub use approvals::{Approval, ApprovalFilter, ApprovalState, Decision, NewApproval};
pub use callers::{CallerGrant, CallerGrantFilter};
pub use calls::{CALL_RESULT_KEPT_MS, CallState, NewCall};
pub use connections::CallerConnection;
pub use database::Store;
pub use error::StoreError;
pub use journal::{Counter, JournalEntry, JournalFilter, JournalIntent};
pub use kv::{KvEntry, KvOp};
pub use networks::Network;
pub use notices::{NOTICES_KEPT, Notice};
pub use peers::{App, Callers, Profile};
pub use policies::{Policy, PolicyFilter, PolicyState};
pub use reservations::{NewReservation, Reservation, ReservationState, ReservationView, WindowSum};
pub use schedule::Job;
pub use solutions::{Consent, Grant, NewSolution, Solution, SolutionStatus, SolutionUpdate};
pub use transactions::{Transaction, TransactionState, TransactionUpdate};
pub use transfers::{NewTransfer, Transfer, TransferFilter, TransferKind, TransferUpdate};

/// A solution's id: local to this wallet, never used twice.
pub type SolutionId = i64;

#[cfg(test)]
mod tests;
