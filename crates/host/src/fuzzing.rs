//! What a script can send and be sent, as one function of bytes: for the fuzzer (`fuzz/`), which sees no private parts.

use crate::interface::{Interface, typed_value};
use crate::plugin::crypto::Crypto;
use crate::{plugin, wire};
use entresol_sandbox::{Engine, HostCalls as _, Instance, Limits, ModuleKind, Script};
use serde_json::Value as Json;
use std::cell::RefCell;
use std::sync::OnceLock;
use std::time::Duration;

/// A script with an action of each kind of answer, so that calls have somewhere to go.
const SCRIPT: &str = "export default class { constructor({ wallet }) { this.layer2Interface = { actions: [
  { name: 'echo', call: (value) => value, params: [{ name: 'value', type: 'string' }], confirmation: (value) => [value] },
  { name: 'ask', call: (value) => wallet.persist('key', value), params: [] } ], state: [] }; }
  onBlock(block) { return block; } onNetworkMessage(message) { throw message; } }";

/// Any bytes: the first chooses a door, the rest goes through it.
///
/// # Panics
/// What came through was changed on its way, or a script's message was taken for a fault of the host.
pub fn boundary(data: &[u8]) {
    let Some((door, rest)) = data.split_first() else { return };
    match door % 6 {
        0 => with_json(rest, |json| assert_eq!(wire::untag(&wire::tag(json)), *json)),
        1 => with_json(rest, interface),
        2 => with_named(rest, |ty, value| {
            with_json(value, |json| {
                if let Ok(typed) = typed_value(ty, json) {
                    let _ = wire::untag(&wire::from_abi(&typed));
                }
            });
        }),
        3 => with_named(rest, |name, payload| {
            let _ = Crypto.call(name, payload);
        }),
        4 => with_json(rest, |json| {
            let _ = plugin::script_error(json).to_json();
        }),
        _ => deliver(rest),
    }
}

fn with_json(bytes: &[u8], then: impl FnOnce(&Json)) {
    if let Ok(json) = serde_json::from_slice(bytes) {
        then(&json);
    }
}

/// A name, a zero byte, the rest.
fn with_named(bytes: &[u8], then: impl FnOnce(&str, &[u8])) {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    if let (Some(Ok(name)), Some(rest)) = (parts.next().map(std::str::from_utf8), parts.next()) {
        then(name, rest);
    }
}

/// An interface as a script declares it, and parameters for its first action.
fn interface(json: &Json) {
    let Ok(interface) = Interface::parse(&json["interface"]) else { return };
    let digest = interface.digest().expect("what was accepted has a digest");
    let again = Interface::parse(&json["interface"]).and_then(|again| again.digest());
    assert_eq!(again.expect("it was accepted before"), digest);
    for action in &interface.actions {
        let _ = (action.view(), action.signature());
        if let Some(params) = json["params"].as_object() {
            let _ = action.typed_params(params);
        }
    }
}

/// A message to the real glue in a real guest: it may end this guest, never be the host's fault.
fn deliver(text: &[u8]) {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    thread_local! { static GUEST: RefCell<Option<Instance>> = const { RefCell::new(None) }; }
    GUEST.with_borrow_mut(|guest| {
        if guest.as_ref().is_none_or(|guest| guest.ended().is_some()) {
            let engine = ENGINE.get_or_init(|| Engine::new(None).expect("the engine"));
            let limits = Limits { memory_bytes: 16 << 20, turn: Duration::from_millis(500), ..Limits::default() };
            let script = Script { name: "fuzzed", source: SCRIPT, kind: ModuleKind::EsModule };
            let started = Instance::start(engine, &limits, &[plugin::GLUE], Some(script), Box::new(Crypto));
            *guest = Some(started.expect("it starts").0);
        }
        if let Some(Err(error)) = guest.as_mut().map(|guest| guest.turn(text)) {
            assert!(error.is_guests_doing(), "{error:?}");
        }
    });
}
