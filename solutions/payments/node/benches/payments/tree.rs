//! What the tree of accounts costs: time for each payment, memory for each account.

use std::time::Instant;

use alloy::primitives::{Address, keccak256};
use payments_protocol::{Leaf, State};

use crate::{median, say};

/// Payments of one round: a full batch.
const PAYMENTS: usize = 960;
/// Payments for each root.
const CHUNK: usize = 8;
const ROUNDS: usize = 5;

fn account(number: usize) -> Address {
    Address::from_slice(&keccak256(number.to_be_bytes())[..20])
}

/// Resident memory in bytes.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0.0);
    pages * 4096.0
}

pub(crate) fn measure(sizes: &[usize]) {
    for size in sizes {
        let before = resident();
        let mut state: State =
            (0..*size).map(|n| (account(n), Leaf { balance: 1 << 60, nonce: 1, ..Leaf::default() })).collect();
        let begun = Instant::now();
        state.root();
        let hashed = begun.elapsed().as_secs_f64();
        let memory = (resident() - before) / *size as f64;
        let mut times = Vec::new();
        for round in 0..ROUNDS {
            let begun = Instant::now();
            for n in 0..PAYMENTS {
                // Spread over the accounts, so that nothing is shared but the way to the root.
                let place = (round * PAYMENTS + n) * 7_919;
                for (who, value) in [(place, u128::MAX), (place + 1, 1)] {
                    let account = account(who % size);
                    let leaf = state.leaf(account);
                    state.set(account, Leaf { balance: leaf.balance.wrapping_add(value), ..leaf });
                }
                if n % CHUNK == CHUNK - 1 {
                    std::hint::black_box(state.root());
                }
            }
            times.push(begun.elapsed().as_secs_f64() * 1e6 / PAYMENTS as f64);
        }
        say(&format!("tree, a payment among {size} accounts"), median(times), "µs", None, None);
        say(&format!("tree, memory of one of {size} accounts"), memory, "bytes", None, None);
        say(&format!("tree, all hashes of {size} accounts"), hashed, "s", None, None);
    }
}
