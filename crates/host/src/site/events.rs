//! What a caller is told of by itself.
//!
//! [`CallerEvents`] owns nothing but what its caller saw last. It looks again whenever the host has changed, compares,
//! and what is different is an event; so nothing is told that could not have been asked for, and a listener that is slow
//! skips what was overtaken. Looking is cheap where nothing of this caller's has changed: the database is read only when
//! somebody's access did (`Host::access_changed`), and of a plugin's state only the version is compared. It ends with
//! the host, or when it is dropped.

use super::chains::hex;
use crate::callers::{Caller, Caveats};
use crate::error::{HostError, code};
use crate::solutions::Running;
use crate::{Host, locked, now, wire};
use entresol_layer1::Health;
use serde_json::{Map, Value as Json, json};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Pause after the database could not be read, until it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// One event of EIP-1193, or `layer2Changed`.
#[derive(Clone, Debug, PartialEq)]
pub struct CallerEvent {
    /// `connect`, `disconnect`, `accountsChanged`, `chainChanged`, `message` or `layer2Changed`.
    pub name: &'static str,
    /// As the page gets it: `{ chainId }`, an error, the addresses, the chain id, `{ type, data }`, the answer of
    /// `layer2_getSolutions`.
    pub data: Json,
}

/// A caller's events, as long as this is held. See [`Host::caller_events`].
pub struct CallerEvents {
    host: Host,
    caller: Caller,
    changes: watch::Receiver<u64>,
    cancel: CancellationToken,
    /// Found, and not yet given.
    found: VecDeque<CallerEvent>,
    /// What the caller saw when it was looked at last; nothing before the first time.
    seen: Option<Seen>,
    /// When to look again by itself.
    again: Option<tokio::time::Instant>,
}

/// What a caller sees.
struct Seen {
    access: u64,
    locked: bool,
    accounts: Vec<String>,
    network: String,
    chain_id: u64,
    /// The network's health, while it is connected.
    health: Option<watch::Receiver<Health>>,
    connected: bool,
    solutions: Vec<Json>,
    states: Vec<State>,
    /// The next grant that ends by itself, Unix milliseconds.
    expires_at: Option<u64>,
}

/// The granted part of one solution's state.
struct State {
    solution: i64,
    handle: String,
    names: Vec<String>,
    running: Weak<Running>,
    version: u64,
    /// Tagged values by name.
    values: Map<String, Json>,
}

impl std::fmt::Debug for CallerEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallerEvents").field("caller", &self.caller).finish_non_exhaustive()
    }
}

impl Host {
    /// What `caller` is told of by itself: filtered by what it may see before it is made. The first are `connect` with
    /// the chain, and `layer2Changed` when it holds a grant; a caller of odd parts is told nothing.
    #[must_use]
    pub fn caller_events(&self, caller: &Caller) -> CallerEvents {
        CallerEvents {
            host: self.clone(),
            caller: caller.clone(),
            changes: self.inner.changes.subscribe(),
            cancel: self.child_token(),
            found: VecDeque::new(),
            seen: None,
            again: None,
        }
    }
}

impl CallerEvents {
    /// The next event; `None` when the wallet ends, or for a caller that there cannot be. Cancel safe: an event that was not given is given next time.
    pub async fn next(&mut self) -> Option<CallerEvent> {
        loop {
            if let Some(event) = self.found.pop_front() {
                return Some(event);
            }
            if self.seen.is_some() || self.again.is_some() {
                self.changed().await?;
            }
            if self.cancel.is_cancelled() {
                return None;
            }
            self.changes.borrow_and_update();
            self.again = None;
            if let Err(error) = self.look() {
                if error.code == code::UNAUTHORIZED {
                    return None;
                }
                tracing::warn!(caller = %self.caller, %error, "what a caller sees could not be read");
                self.again = Some(tokio::time::Instant::now() + RETRY);
            }
        }
    }

    /// Waits until something may be different.
    async fn changed(&mut self) -> Option<()> {
        let again = self.again;
        let expiry = self.seen.as_ref().and_then(|seen| seen.expires_at).map(|at| {
            // Longer than a day is looked at once a day: a clock may be set meanwhile.
            tokio::time::Instant::now()
                + Duration::from_millis(at.saturating_sub(now())).min(Duration::from_secs(86_400))
        });
        let timer = async {
            match [again, expiry].into_iter().flatten().min() {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let health = self.seen.as_mut().and_then(|seen| seen.health.as_mut());
        let network = async {
            let changed = match health {
                Some(health) => health.changed().await.is_ok(),
                None => false,
            };
            // A network that was closed says nothing more: whoever closed it tells of what comes in its place.
            if !changed {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = self.cancel.cancelled() => None,
            changed = self.changes.changed() => changed.ok(),
            () = network => Some(()),
            () = timer => Some(()),
        }
    }

    /// Compares what the caller sees now with what it saw.
    fn look(&mut self) -> Result<(), HostError> {
        let access = self.host.inner.access.load(Ordering::Acquire);
        let locked = self.host.vault().is_locked();
        let same = self.seen.as_ref().is_some_and(|seen| {
            seen.access == access && seen.locked == locked && seen.expires_at.is_none_or(|at| now() < at)
        });
        if same {
            if let Some(seen) = &mut self.seen {
                seen.health = health_of(&self.host, &seen.network);
            }
        } else {
            let fresh = self.read(access, locked)?;
            let before = self.seen.replace(fresh);
            self.compare(before.as_ref());
        }
        self.compare_connected();
        self.compare_states();
        Ok(())
    }

    fn read(&self, access: u64, locked: bool) -> Result<Seen, HostError> {
        let (host, caller) = (&self.host, &self.caller);
        let solutions = host.caller_solutions(caller)?;
        let accounts = host.caller_addresses(caller)?;
        let chain = host.caller_chain(caller);
        let (network, chain_id) = match chain {
            Ok(chain) => (chain.name, chain.chain_id),
            // A wallet without a network is not connected to anything.
            Err(error) if error.code == code::DISCONNECTED => (String::new(), 0),
            Err(error) => return Err(error),
        };
        let grants = host.grants_of(caller)?;
        let mut states = Vec::new();
        for grant in &grants {
            let caveats: Caveats = serde_json::from_value(grant.caveats.clone())
                .map_err(|e| HostError::internal(format!("a stored grant: {e}")))?;
            if caveats.state.is_empty() {
                continue;
            }
            let before = self.seen.as_ref().and_then(|seen| {
                seen.states.iter().find(|state| state.solution == grant.solution && state.names == caveats.state)
            });
            states.push(match before {
                Some(before) => before.again(),
                None => State::begin(host, grant.solution, host.solution_name(grant.solution)?, caveats.state),
            });
        }
        let health = health_of(host, &network);
        Ok(Seen {
            access,
            locked,
            accounts: accounts.iter().map(|address| address.to_checksum(None)).collect(),
            network,
            chain_id,
            health,
            connected: self.seen.as_ref().is_some_and(|seen| seen.connected),
            solutions,
            states,
            expires_at: grants.iter().filter_map(|grant| grant.expires_at).min(),
        })
    }

    fn compare(&mut self, before: Option<&Seen>) {
        let Some(seen) = &mut self.seen else { return };
        let found = &mut self.found;
        let mut tell = |name, data| found.push_back(CallerEvent { name, data });
        match before {
            None => {
                // The network first: a page waits for it before it does anything.
                if is_connected(seen.health.as_ref()) {
                    seen.connected = true;
                    tell("connect", json!({ "chainId": hex(seen.chain_id) }));
                }
                if !seen.solutions.is_empty() {
                    tell("layer2Changed", json!(seen.solutions));
                }
            }
            Some(before) => {
                if before.chain_id != seen.chain_id {
                    tell("chainChanged", json!(hex(seen.chain_id)));
                }
                if before.accounts != seen.accounts {
                    tell("accountsChanged", json!(seen.accounts));
                }
                if before.solutions != seen.solutions {
                    tell("layer2Changed", json!(seen.solutions));
                }
            }
        }
    }

    fn compare_connected(&mut self) {
        let Some(seen) = &mut self.seen else { return };
        let connected = is_connected(seen.health.as_ref());
        if connected == seen.connected {
            return;
        }
        seen.connected = connected;
        self.found.push_back(if connected {
            CallerEvent { name: "connect", data: json!({ "chainId": hex(seen.chain_id) }) }
        } else {
            let words = "the wallet's network does not answer; it goes on trying";
            CallerEvent { name: "disconnect", data: json!({ "code": code::DISCONNECTED, "message": words }) }
        });
    }

    fn compare_states(&mut self) {
        let Some(seen) = &mut self.seen else { return };
        for state in &mut seen.states {
            let Some(running) = locked(&self.host.inner.solutions).get(&state.solution).cloned() else { continue };
            if state.update(&running) {
                let shown: Map<String, Json> =
                    state.values.iter().map(|(name, value)| (name.clone(), wire::untag(value))).collect();
                self.found.push_back(CallerEvent {
                    name: "message",
                    data: json!({
                        "type": "layer2_stateChanged",
                        "data": { "solution": state.solution, "name": state.handle, "state": shown },
                    }),
                });
            }
        }
    }
}

impl State {
    fn begin(host: &Host, solution: i64, handle: String, names: Vec<String>) -> Self {
        let mut state = Self { solution, handle, names, running: Weak::new(), version: 0, values: Map::new() };
        if let Some(running) = locked(&host.inner.solutions).get(&solution) {
            state.update(running);
        }
        state
    }

    fn again(&self) -> Self {
        Self {
            solution: self.solution,
            handle: self.handle.clone(),
            names: self.names.clone(),
            running: Weak::clone(&self.running),
            version: self.version,
            values: self.values.clone(),
        }
    }

    /// True when a granted name has another value than before. Versions are those of one life of the plugin.
    fn update(&mut self, running: &Arc<Running>) -> bool {
        let published = running.state.borrow();
        let (version, document) = &*published;
        if self.version == *version && std::ptr::eq(self.running.as_ptr(), Arc::as_ptr(running)) {
            return false;
        }
        (self.version, self.running) = (*version, Arc::downgrade(running));
        let mut values = Map::new();
        for name in &self.names {
            if let Some(value) = document.get(name) {
                values.insert(name.clone(), value.clone());
            }
        }
        if values == self.values {
            return false;
        }
        self.values = values;
        true
    }
}

fn health_of(host: &Host, network: &str) -> Option<watch::Receiver<Health>> {
    let mut health = host.runtime(network).ok()?.network.health();
    // What is looked at now is no news later.
    health.mark_unchanged();
    Some(health)
}

/// A head that stands still, or endpoints that disagree, still answer: only what does not answer is disconnected.
fn is_connected(health: Option<&watch::Receiver<Health>>) -> bool {
    health.is_some_and(|health| !matches!(*health.borrow(), Health::Unreachable { .. }))
}
