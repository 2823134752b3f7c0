//! The host: solutions, plugin actors, capability calls, grants, approvals and transfers. It ties the crates of the
//! ground floor (vault, store, layer1, sandbox, package) together and is the one place that decides
//! ([`Host::authorize`]).
//!
//! | module | what is there |
//! |---|---|
//! | [`messages`] | plain data in and out |
//! | [`authorize`](mod@authorize) | the one decision |
//! | `solutions` | proposing, installing, removing; starting plugins |
//! | `plugin` | the actor around one sandbox instance, its glue, its connections |
//! | `wallet` | what a script may ask for: the wallet object |
//! | `calls` | actions called from outside, published state |
//! | `approvals` | the queue, the decision, the execution of what was approved |
//! | `networks` | layer-1 networks, followed transactions, gateway events |
//! | [`interface`], [`gateway`], `wire` | types: declared actions, contract functions, values on the boundary |

mod approvals;
pub mod authorize;
pub mod callers;
mod calls;
pub mod decode;
pub mod effects;
pub mod error;
pub mod gateway;
pub mod interface;
pub mod lookalike;
pub mod messages;
mod networks;
mod notices;
mod plugin;
mod policies;
pub mod policy;
mod schedule;
pub mod screen;
mod screens;
pub mod siwe;
mod solutions;
mod text;
pub mod token;
pub mod typed_data;
mod wallet;
mod wire;

pub use authorize::{Actor, Capability, Operation};
pub use callers::Caller;
pub use error::HostError;
pub use plugin::Cause;
pub use wallet::{Effect, Needs, Request, WALLET_METHODS, WalletMethod, WhileLocked};

use entresol_sandbox::Engine;
use entresol_store::{JournalFilter, JournalIntent, Store};
use entresol_vault::{Account, Vault};
use messages::{AccountView, ActivityView, Status};
use networks::Networks;
use plugin::connections::Connections;
use secrecy::SecretString;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Most owner accounts that can be listed; a longer list is a mistake.
const MAX_OWNERS: u32 = 100;
/// Longest wait of one `*_wait` method.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Settings of a host.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// The wallet's home: approved packages are kept below it.
    pub home: PathBuf,
    /// Pause between two looks at layer 1.
    pub poll_interval: Duration,
    /// The user's own hand may name private and loopback URLs for a solution's network.
    pub allow_private_urls: bool,
}

/// The host. Clones are handles to the same one.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    config: HostConfig,
    vault: Vault,
    store: Store,
    engine: Engine,
    networks: Networks,
    solutions: Mutex<HashMap<i64, Arc<solutions::Running>>>,
    connections: Connections,
    changes: watch::Sender<u64>,
    /// Calls with an idempotency id that run in this process: `(caller, id)`.
    calls: Mutex<HashSet<(String, String)>>,
    /// Owner accounts that were looked up: addresses are no secret and stay known while the seed is locked.
    owners: Mutex<HashMap<u32, Account>>,
    /// Held while a request is counted and added.
    proposing: Mutex<()>,
    /// Approvals that are being executed in this process.
    executing: Mutex<HashSet<u64>>,
    screens: screens::Screens,
    schedule: schedule::Schedule,
    rates: wallet::Rates,
    /// Open calls by caller.
    open_calls: Mutex<HashMap<String, usize>>,
    /// When this process began, Unix milliseconds.
    started_at: u64,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("home", &self.inner.config.home).finish_non_exhaustive()
    }
}

/// A lock whose holder panicked is taken all the same: every critical section leaves its data whole.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Unix milliseconds: the one place where the host reads the clock.
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Host {
    /// Starts everything that was running before: networks, plugins, open transactions, approved requests.
    ///
    /// Networks that do not answer are tried again in the background; nothing waits for them here.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn start(config: HostConfig, vault: Vault, store: Store, engine: Engine) -> Result<Self, HostError> {
        let host = Self {
            inner: Arc::new(Inner {
                config,
                vault,
                store,
                engine,
                networks: Networks::default(),
                solutions: Mutex::default(),
                connections: Connections::default(),
                changes: watch::Sender::new(0),
                calls: Mutex::default(),
                owners: Mutex::default(),
                proposing: Mutex::default(),
                executing: Mutex::default(),
                screens: screens::Screens::default(),
                schedule: schedule::Schedule::default(),
                rates: wallet::Rates::default(),
                open_calls: Mutex::default(),
                started_at: now(),
                cancel: CancellationToken::new(),
                tasks: TaskTracker::new(),
            }),
        };
        for network in host.store().networks()? {
            host.start_network(network);
        }
        for solution in host.store().solutions()? {
            host.start_solution(&solution)?;
        }
        host.settle_open()?;
        host.resume_approved();
        Ok(host)
    }

    /// Ends every task and waits for them. What is durable goes on at the next start.
    pub async fn shutdown(&self) {
        self.inner.cancel.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        locked(&self.inner.solutions).clear();
        self.inner.networks.close();
    }

    /// What the daemon is and does.
    ///
    /// # Errors
    /// Not authorised; the database.
    pub async fn status(&self, actor: &Actor) -> Result<Status, HostError> {
        self.authorize(actor, &Operation::Read, "status")?;
        let pending = self.pending_approvals()?;
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            home: self.inner.config.home.display().to_string(),
            locked: self.vault().is_locked(),
            networks: self.network_views()?,
            solutions: self.store().solutions()?.len() as u64,
            pending_approvals: pending as u64,
            changes: *self.inner.changes.borrow(),
        })
    }

    /// The owner accounts with their balances.
    ///
    /// # Errors
    /// Not authorised; the vault is locked.
    pub async fn accounts(&self, actor: &Actor) -> Result<Vec<AccountView>, HostError> {
        self.authorize(actor, &Operation::Read, "accounts")?;
        let mut views = Vec::new();
        for index in 0..self.owner_count()? {
            views.push(self.account_view(index).await?);
        }
        Ok(views)
    }

    /// Adds the next owner account `m/44'/60'/0'/0/i`.
    ///
    /// # Errors
    /// Not authorised; too many.
    pub async fn account_add(&self, actor: &Actor) -> Result<AccountView, HostError> {
        self.authorize(actor, &Operation::Propose, "account_add")?;
        let count = self.owner_count()?;
        if count >= MAX_OWNERS {
            return Err(HostError::new(error::code::LIMIT, format!("there are {MAX_OWNERS} owner accounts already")));
        }
        self.store().put_meta("owner_count", &json!(count + 1))?;
        self.changed();
        self.account_view(count).await
    }

    async fn account_view(&self, index: u32) -> Result<AccountView, HostError> {
        let account = self.owner(index)?;
        let mut balances = BTreeMap::new();
        for (name, runtime) in self.inner.networks.ready() {
            if let Ok(balance) = runtime.network.balance(account.address).await {
                balances.insert(name, balance.to_string());
            }
        }
        Ok(AccountView { index, address: account.address.to_checksum(None), path: account.path, balances })
    }

    pub(crate) fn owner(&self, index: u32) -> Result<Account, HostError> {
        if let Some(known) = locked(&self.inner.owners).get(&index) {
            return Ok(known.clone());
        }
        let account = self.vault().owner(index)?;
        locked(&self.inner.owners).insert(index, account.clone());
        Ok(account)
    }

    pub(crate) fn owner_count(&self) -> Result<u32, HostError> {
        let count = self.store().meta("owner_count")?.and_then(|value| value.as_u64());
        Ok(count.and_then(|n| u32::try_from(n).ok()).unwrap_or(1).max(1))
    }

    /// Waits until something that a screen could show has changed since `after`, at most `timeout` (and a minute).
    ///
    /// # Errors
    /// Not authorised.
    pub async fn changes_wait(&self, actor: &Actor, after: u64, timeout: Duration) -> Result<u64, HostError> {
        self.authorize(actor, &Operation::Read, "changes_wait")?;
        let mut changes = self.inner.changes.subscribe();
        let wait = changes.wait_for(|version| *version > after);
        let _ = tokio::time::timeout(timeout.min(LONGEST_WAIT), wait).await;
        Ok(*self.inner.changes.borrow())
    }

    /// The newest rows of the activity journal, newest first.
    ///
    /// # Errors
    /// Not authorised; no such solution.
    pub async fn activity(
        &self,
        actor: &Actor,
        limit: u32,
        solution: Option<&str>,
    ) -> Result<Vec<ActivityView>, HostError> {
        self.authorize(actor, &Operation::Read, "activity")?;
        let solution = solution.map(|name| self.find(name)).transpose()?.map(|row| row.id);
        let rows = self.store().journal(&JournalFilter {
            limit: Some(limit.min(10_000)),
            solution,
            ..JournalFilter::default()
        })?;
        Ok(rows
            .into_iter()
            .map(|row| ActivityView {
                id: row.id as i64,
                at: row.started_at as i64,
                actor: row.intent.actor,
                action: row.intent.action,
                resource: row.intent.resource,
                detail: row.intent.detail,
                outcome: row.result.map(|result| match result.get("error").and_then(Json::as_str) {
                    Some(error) => format!("error: {error}"),
                    None => "ok".to_owned(),
                }),
            })
            .collect())
    }

    /// True when this is the wallet's passphrase; slow on purpose.
    ///
    /// # Errors
    /// Wrong passphrase (code 4100).
    pub async fn verify_passphrase(&self, passphrase: &SecretString) -> Result<(), HostError> {
        let (vault, passphrase) = (self.vault().clone(), passphrase.clone());
        blocking(move || vault.verify_passphrase(&passphrase)).await
    }

    /// Locks the seed: nothing is signed until it is unlocked.
    ///
    /// # Errors
    /// Not authorised.
    pub async fn lock(&self, actor: &Actor) -> Result<(), HostError> {
        self.authorize(actor, &Operation::Propose, "lock")?;
        self.vault().lock();
        self.changed();
        Ok(())
    }

    /// Unlocks the seed and goes on with what was approved meanwhile.
    ///
    /// # Errors
    /// Wrong passphrase.
    pub async fn unlock(&self, passphrase: &SecretString) -> Result<(), HostError> {
        let (vault, passphrase) = (self.vault().clone(), passphrase.clone());
        blocking(move || vault.unlock(&passphrase)).await?;
        self.resume_approved();
        self.changed();
        Ok(())
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.inner.vault
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.inner.connections
    }

    /// Something that a screen could show has changed.
    pub(crate) fn changed(&self) {
        self.inner.changes.send_modify(|version| *version += 1);
    }

    pub(crate) fn child_token(&self) -> CancellationToken {
        self.inner.cancel.child_token()
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.inner.tasks.spawn(task);
    }

    /// Writes the intent, runs the effect, writes the outcome: a crash in between leaves an open intent.
    pub(crate) async fn journaled<T>(
        &self,
        intent: JournalIntent,
        effect: impl Future<Output = Result<T, HostError>>,
    ) -> Result<T, HostError> {
        let id = self.store().journal_intent(&intent, now())?;
        let result = effect.await;
        let outcome = match &result {
            Ok(_) => json!({ "ok": true }),
            Err(error) => json!({ "error": error.message, "code": error.code }),
        };
        self.store().journal_outcome(id, &outcome, now())?;
        result
    }
}

/// Runs slow synchronous work off the async threads.
pub(crate) async fn blocking<T: Send + 'static, E: Into<HostError> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, HostError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(Into::into),
        Err(join) => Err(HostError::internal(format!("a worker failed: {join}"))),
    }
}
