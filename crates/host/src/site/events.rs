//! What a caller is told of by itself.

use crate::Host;
use crate::callers::Caller;
use serde_json::{Value as Json, json};
use tokio::sync::watch;

/// One event of EIP-1193, or `layer2Changed`.
#[derive(Clone, Debug, PartialEq)]
pub struct CallerEvent {
    /// `connect`, `disconnect`, `accountsChanged`, `chainChanged`, `message` or `layer2Changed`.
    pub name: &'static str,
    /// As the page gets it.
    pub data: Json,
}

/// A caller's events, as long as this is held. See [`Host::caller_events`].
#[derive(Debug)]
pub struct CallerEvents {
    host: Host,
    caller: Caller,
    changes: watch::Receiver<u64>,
    begun: bool,
}

impl Host {
    /// What `caller` is told of by itself: filtered by what it may see before it is made.
    #[must_use]
    pub fn caller_events(&self, caller: &Caller) -> CallerEvents {
        CallerEvents {
            host: self.clone(),
            caller: caller.clone(),
            changes: self.inner.changes.subscribe(),
            begun: false,
        }
    }
}

impl CallerEvents {
    /// The next event; `None` when the wallet ends. Cancel safe: an event that was not given is given next time.
    pub async fn next(&mut self) -> Option<CallerEvent> {
        if !self.begun {
            self.begun = true;
            if let Ok(chain) = self.host.caller_chain(&self.caller) {
                return Some(CallerEvent {
                    name: "connect",
                    data: json!({ "chainId": format!("{:#x}", chain.chain_id) }),
                });
            }
        }
        let cancel = self.host.child_token();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return None,
                changed = self.changes.changed() => changed.ok()?,
            }
        }
    }
}
