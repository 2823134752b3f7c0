//! One turn of a guest, on a thread of the sandbox, with a permit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use crate::account::Account;
use crate::gate::Permit;
use crate::machine::{Machine, Stop, why};
use crate::{Engine, HostFault, Input, Outgoing, SandboxError};

/// Runs `work` on a thread of the sandbox as soon as the account may run, and waits for it.
pub(crate) fn on_thread<T: Send + 'static>(
    engine: &Engine,
    account: &Arc<Account>,
    work: impl FnOnce(Permit) -> T + Send + 'static,
) -> Result<T, HostFault> {
    let (answer, answered) = sync_channel(1);
    let job = move |permit: Result<Permit, HostFault>| {
        // What `work` owns is dropped by a panic, so nobody sees it half changed.
        let ran = |permit| catch_unwind(AssertUnwindSafe(|| work(permit))).map_err(|_| HostFault::Panicked);
        let _ = answer.send(permit.and_then(ran));
    };
    engine.gate().submit(account, Box::new(job));
    answered.recv().unwrap_or(Err(HostFault::Panicked))
}

/// A visit of this thread to the machine begins.
pub(crate) fn enter(machine: &mut Machine, permit: Permit) {
    machine.store.data_mut().permit = Some(permit);
    // Every tick calls back. Set once a visit: setting it again would move a tick that is due into the future.
    machine.store.set_epoch_deadline(1);
}

/// The visit ends: the permit goes to the next.
pub(crate) fn leave(machine: &mut Machine, account: &Account) {
    account.set_memory(machine.memory.data_size(&machine.store));
    machine.store.data_mut().permit = None;
}

/// Takes one input, and gives what was asked of the embedder.
pub(crate) fn turn(machine: &mut Machine, input: Input) -> Result<Vec<Outgoing>, SandboxError> {
    if let Input::Timer(id) = input
        && !machine.store.data_mut().take_timer(id)
    {
        return Ok(Vec::new());
    }
    let guest = machine.store.data_mut();
    guest.asked = true;
    guest.begin_turn();
    if let Some(permit) = &guest.permit {
        permit.count_turn();
    }
    let outcome = match input {
        Input::Message(message) => machine.message(&message),
        Input::Timer(id) => machine.timer(id),
    };
    end_turn(machine, outcome)
}

/// What came of a turn.
pub(crate) fn end_turn(machine: &mut Machine, outcome: Result<(), Stop>) -> Result<Vec<Outgoing>, SandboxError> {
    let guest = machine.store.data_mut();
    let in_time = guest.permit.as_mut().map_or(Ok(()), Permit::end_turn);
    match outcome.and_then(|()| in_time.map_err(Stop::Known)) {
        Ok(()) => Ok(guest.end_turn()),
        Err(stop) => Err(why(guest, stop)),
    }
}
