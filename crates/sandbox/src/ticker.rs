//! One thread per engine that lets time pass for running turns.
//!
//! wasmtime checks a counter, the epoch, at every loop and call of the guest. The ticker raises it, so that each
//! running guest looks at its account and at who waits (`gate.rs`): every [`CONTENDED_TICK`] while somebody waits,
//! else every [`Limits::TICK`](crate::Limits::TICK), and not at all while nothing runs. It also lets in those whose
//! share of CPU has filled again.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::Limits;
use crate::gate::Shared;

/// How finely CPU is shared out while there are more turns than cores.
pub(crate) const CONTENDED_TICK: Duration = Duration::from_millis(1);

/// The thread's work; ends with the gate.
pub(crate) fn tick(shared: &Arc<Shared>) {
    let mut last = Instant::now();
    let mut state = shared.lock();
    while !state.stopped() {
        let now = Instant::now();
        let grants = state.dispatch(now);
        if !grants.is_empty() {
            drop(state);
            Shared::grant(shared, grants);
            state = shared.lock();
            continue;
        }
        // A period without any turn is the last one: turns that follow one another in quick succession do not wake
        // this thread each time.
        let period = if state.is_contended(now) { CONTENDED_TICK } else { Limits::TICK };
        let tick_at = (state.is_running() || state.has_run()).then_some(last + period);
        if tick_at.is_some_and(|at| at <= now) {
            last = now;
            state.forget_runs();
            shared.raise_epoch();
            continue;
        }
        // Asleep without a tick ahead, though perhaps until somebody's share has filled: a turn that begins wakes it.
        let idle = tick_at.is_none();
        state.set_idle(idle);
        state = match [tick_at, state.earliest_due()].into_iter().flatten().min() {
            Some(at) => {
                let left = at.saturating_duration_since(now);
                shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
            }
            None => shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
        state.set_idle(false);
        if idle {
            last = Instant::now();
        }
    }
}
