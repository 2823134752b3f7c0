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
//! | `lifecycle` | looking at plugins, recording them |
//! | `wallet` | what a script may ask for: the wallet object, [`WALLET_METHODS`] |
//! | `schedule`, `notices`, `screens` | what plugins have waiting, said and shown |
//! | `calls` | actions called from outside, published state |
//! | `site` | what websites and local apps see of layer 1, and what they are told |
//! | `dials` | how much of the layer-2 node a plugin takes into the wallet |
//! | `approvals` | the queue, the decision, the execution of what was approved |
//! | `profiles`, `apps` | who may connect from outside: paired browsers, local apps |
//! | `attempts` | wrong passphrases slow the next ones down |
//! | `networks` | layer-1 networks, followed transactions, gateway events |
//! | [`interface`], [`gateway`], `wire` | types: declared actions, contract functions, values on the boundary |

mod approvals;
mod apps;
mod attempts;
pub mod authorize;
mod backup;
pub mod callers;
mod calls;
pub mod decode;
mod dials;
mod duties;
pub mod effects;
pub mod error;
mod exit;
#[doc(hidden)]
pub mod fuzzing;
pub mod gateway;
mod inspect;
pub mod interface;
mod keys;
mod ledger;
mod lifecycle;
pub mod lookalike;
pub mod messages;
mod networks;
mod notices;
mod plugin;
mod policies;
pub mod policy;
mod profiles;
mod reads;
mod schedule;
pub mod screen;
mod screens;
mod site;
pub mod siwe;
mod solutions;
mod text;
pub mod token;
pub mod typed_data;
mod wallet;
mod wire;

pub use apps::Entered;
pub use authorize::{Actor, Capability, Operation};
pub use backup::{DATABASE, KEYSTORE, restore};
pub use callers::Caller;
pub use error::HostError;
pub use lifecycle::RECORDINGS;
pub use plugin::Cause;
#[doc(hidden)]
pub use plugin::measured;
pub use profiles::{CODE_LIFETIME, KEY_LENGTH, MAX_CODES, Pairing};
pub use site::{CallerEvent, CallerEvents};
pub use wallet::{Effect, Needs, Request, WALLET_METHODS, WalletMethod, WhileLocked};

use entresol_sandbox::Engine;
use entresol_store::{JournalFilter, JournalIntent, Store};
use entresol_vault::{Account, KdfCost, Vault};
use messages::{ActivityFilter, ActivityView, Status};
use networks::Networks;
use plugin::connections::Connections;
use serde_json::{Value as Json, json};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Rows of the activity journal when no number is asked for.
const ACTIVITY_ROWS: u32 = 100;
/// Most rows of the activity journal at once.
const MOST_ACTIVITY: u32 = 10_000;
/// Longest wait of one `*_wait` method.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Idle time before a plugin sleeps: somebody who uses a page or a terminal finds it awake, and one that is left alone
/// gives its memory back soon.
pub const IDLE_STOP: Duration = Duration::from_secs(5 * 60);

/// Settings of a host.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// The wallet's home: approved packages are kept below it.
    pub home: PathBuf,
    /// Pause between two looks at layer 1.
    pub poll_interval: Duration,
    /// The user's own hand may name private and loopback URLs for a solution's network.
    pub allow_private_urls: bool,
    /// What one guess of a new passphrase, or of a backup's, costs.
    pub kdf_cost: KdfCost,
    /// How long nothing must have happened in a plugin before its instance ends; what is asked of it next starts
    /// another. [`IDLE_STOP`] unless a test is in a hurry.
    pub idle_stop: Duration,
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
    /// Held while a solution's plugin is replaced by hand: nobody starts it twice.
    lives: tokio::sync::Mutex<()>,
    /// Memory of all plugins' computations.
    computing: plugin::pool::Pool,
    connections: Connections,
    changes: watch::Sender<u64>,
    /// Grows when what some caller may see has changed (and `changes` then grows too): events of callers read the
    /// database only then.
    access: AtomicU64,
    caller_rates: site::CallerRates,
    /// Calls with an idempotency id that run in this process: `(caller, id)`.
    calls: Mutex<HashSet<(String, String)>>,
    /// Owner accounts that were looked up: addresses are no secret and stay known while the seed is locked.
    owners: Mutex<HashMap<u32, Account>>,
    /// Held while a request is counted and added.
    proposing: Mutex<()>,
    /// Approvals that are being executed in this process.
    executing: Mutex<HashSet<u64>>,
    /// Callers that wait for decisions.
    waiting: approvals::Waiting,
    /// Locked while a passphrase is being checked, so that attempts run one at a time.
    attempts: tokio::sync::Mutex<attempts::Attempts>,
    screens: screens::Screens,
    schedule: schedule::Schedule,
    rates: wallet::Rates,
    deadlines: wallet::Deadlines,
    /// Open calls by caller.
    open_calls: Mutex<HashMap<String, usize>>,
    /// When the user was last there, Unix milliseconds.
    last_use: AtomicU64,
    /// When this process began, Unix milliseconds.
    started_at: u64,
    /// Browsers that show a code.
    codes: Mutex<Vec<profiles::Waiting>>,
    /// How many peers were removed: connections look then whether theirs is among them.
    removals: watch::Sender<u64>,
    /// How often the user has locked the wallet since then.
    locks: AtomicU64,
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
                lives: tokio::sync::Mutex::default(),
                computing: plugin::pool::Pool::default(),
                connections: Connections::default(),
                changes: watch::Sender::new(0),
                access: AtomicU64::new(0),
                caller_rates: site::CallerRates::default(),
                calls: Mutex::default(),
                owners: Mutex::default(),
                proposing: Mutex::default(),
                executing: Mutex::default(),
                waiting: approvals::Waiting::default(),
                attempts: tokio::sync::Mutex::default(),
                screens: screens::Screens::default(),
                schedule: schedule::Schedule::default(),
                rates: wallet::Rates::default(),
                deadlines: wallet::Deadlines::default(),
                open_calls: Mutex::default(),
                last_use: AtomicU64::new(now()),
                started_at: now(),
                codes: Mutex::default(),
                removals: watch::Sender::new(0),
                locks: AtomicU64::new(0),
                cancel: CancellationToken::new(),
                tasks: TaskTracker::new(),
            }),
        };
        host.count_epoch()?;
        host.start_auto_lock();
        for network in host.store().networks()? {
            host.start_network(network);
        }
        for solution in host.store().solutions()? {
            host.start_solution(&solution, solutions::Begin::WhenAsked, Vec::new())?;
        }
        host.settle_open()?;
        host.expire_unnamed()?;
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
        if let Err(error) = self.count_epoch() {
            tracing::error!(%error, "the end of this run was not counted");
        }
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
            // The listener's business, which adds it.
            site: None,
        })
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

    /// Rows of the activity journal, newest first.
    ///
    /// # Errors
    /// Not authorised; no such solution.
    pub async fn activity(&self, actor: &Actor, filter: ActivityFilter) -> Result<Vec<ActivityView>, HostError> {
        self.authorize(actor, &Operation::Read, "activity")?;
        let solution = filter.solution.as_deref().map(|name| self.find(name)).transpose()?.map(|row| row.id);
        let rows = self.store().journal(&JournalFilter {
            limit: Some(filter.limit.unwrap_or(ACTIVITY_ROWS).min(MOST_ACTIVITY)),
            solution,
            actor: filter.actor,
            action: filter.action,
            since: filter.since,
            until: filter.until,
            before_id: filter.before,
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

    /// Accounts, networks or grants of some caller have changed, or the solutions that they name.
    pub(crate) fn access_changed(&self) {
        self.inner.access.fetch_add(1, Ordering::Release);
        self.changed();
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
        // What happened has happened: a full disk must not turn it into "nothing was changed". The intent stays open.
        if let Err(error) = self.store().journal_outcome(id, &outcome, now()) {
            tracing::error!(journal = id, error = %error::chain(&error), "the outcome of an action was not written");
        }
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
