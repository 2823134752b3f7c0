//! What can be done, with small numbers so that operations meet one another.

use std::ops::RangeInclusive;

use entresol_store::{Decision, PolicyState, TransferKind};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

/// Under policy (key): amount, fee, and whether in a token.
pub(crate) type Uses = std::collections::BTreeMap<u64, (u64, u64, bool)>;

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Grant {
        caller: u8,
        solution: i64,
        caveat: u8,
        lasts: Option<u64>,
        approval: Option<u64>,
    },
    Revoke {
        id: u64,
    },
    Policy {
        caller: u8,
        solution: i64,
        limit: u64,
        lasts: Option<u64>,
    },
    PolicyState {
        id: u64,
        state: PolicyState,
    },
    Reserve {
        uses: Uses,
        subject: u8,
    },
    Settle {
        subject: String,
        amount: Option<u64>,
        fee: Option<u64>,
    },
    Release {
        subject: String,
    },
    Create {
        key: Option<u8>,
        lasts: u64,
    },
    Pass {
        key: Option<u8>,
        uses: Uses,
    },
    Decide {
        id: u64,
        digest: bool,
        decision: Decision,
        choice: u8,
    },
    Expire,
    Finish {
        id: u64,
        done: bool,
    },
    Transfer {
        solution: i64,
        kind: TransferKind,
        approval: Option<u64>,
        plugin: bool,
    },
    Move {
        id: u64,
        stage: u8,
    },
    /// The process is killed between two operations.
    Crash,
    /// The database is closed and opened again.
    Reopen,
}

fn subject() -> impl Strategy<Value = String> {
    prop_oneof![(0..4_u8).prop_map(|n| format!("call:{n}")), (1..8_u64).prop_map(|id| format!("approval:{id}"))]
}

fn uses() -> impl Strategy<Value = Uses> {
    btree_map(1..4_u64, (0..40_u64, 0..5_u64, any::<bool>()), 0..3)
}

fn decision() -> impl Strategy<Value = Decision> {
    prop_oneof![3 => Just(Decision::Approve), 1 => Just(Decision::Reject), 1 => Just(Decision::Expire)]
}

fn policy_state() -> impl Strategy<Value = PolicyState> {
    prop_oneof![3 => Just(PolicyState::Active), 2 => Just(PolicyState::Paused), 1 => Just(PolicyState::Revoked)]
}

fn kind() -> impl Strategy<Value = TransferKind> {
    proptest::sample::select(TransferKind::ALL)
}

// Solutions 1 and 2 are there, 3 is not.
fn operation() -> impl Strategy<Value = Operation> {
    use Operation as O;
    let id = || 1..9_u64;
    prop_oneof![
        3 => (0..3_u8, 1..4_i64, any::<u8>(), option::of(0..300_u64), option::weighted(0.3, id())).prop_map(
            |(caller, solution, caveat, lasts, approval)| O::Grant { caller, solution, caveat, lasts, approval }),
        2 => id().prop_map(|id| O::Revoke { id }),
        3 => (0..3_u8, 1..4_i64, 0..120_u64, option::of(0..400_u64))
            .prop_map(|(caller, solution, limit, lasts)| O::Policy { caller, solution, limit, lasts }),
        2 => (1..4_u64, policy_state()).prop_map(|(id, state)| O::PolicyState { id, state }),
        5 => (uses(), 0..4_u8).prop_map(|(uses, subject)| O::Reserve { uses, subject }),
        3 => (subject(), option::of(0..40_u64), option::of(0..5_u64))
            .prop_map(|(subject, amount, fee)| O::Settle { subject, amount, fee }),
        2 => subject().prop_map(|subject| O::Release { subject }),
        4 => (option::of(0..4_u8), 0..400_u64).prop_map(|(key, lasts)| O::Create { key, lasts }),
        4 => (option::of(0..4_u8), uses()).prop_map(|(key, uses)| O::Pass { key, uses }),
        4 => (id(), prop::bool::weighted(0.9), decision(), any::<u8>())
            .prop_map(|(id, digest, decision, choice)| O::Decide { id, digest, decision, choice }),
        1 => Just(O::Expire),
        3 => (id(), any::<bool>()).prop_map(|(id, done)| O::Finish { id, done }),
        3 => (1..4_i64, kind(), option::of(id()), any::<bool>())
            .prop_map(|(solution, kind, approval, plugin)| O::Transfer { solution, kind, approval, plugin }),
        3 => (id(), 0..3_u8).prop_map(|(id, stage)| O::Move { id, stage }),
        1 => Just(O::Crash),
        1 => Just(O::Reopen),
    ]
}

/// A life of so many operations.
pub(crate) fn operations(length: RangeInclusive<usize>) -> impl Strategy<Value = Vec<Operation>> {
    vec(operation(), length)
}
