//! The dispatch table: every method of the control socket, by name.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use entresol_host::messages::{
    ActivityFilter, CallInput, CallerGrantInput, ConnectionInput, Decision, DialsInput, ExitInput, FundInput,
    GatewayCallInput, LedgerFilter, NetworkInput, PolicyInput, ReplaceInput, SendInput, Settings, SignInput,
    SolutionInput, UpdateInput,
};
use entresol_host::screen::Answer as ScreenAnswer;
use entresol_host::{Actor, Host, Operation};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;

use crate::protocol::{RpcError, codes};
use crate::session::{Now, SESSION_LENGTH, SessionKey, Sessions};

/// Longest wait of `approval_wait` and `changes_wait`: the caller asks again after that.
const LONGEST_POLL: Duration = Duration::from_secs(60);

/// Makes a one-time address of the local web page; the error says why there is none.
pub type WebLink = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// What a method asks of the peer, beyond its user id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Reading and proposing: nothing.
    Free,
    /// Deciding for the user: an open passphrase session on that terminal. The host refuses without one; the table
    /// says it for readers and for the test that holds both to the same.
    Session,
    /// The passphrase itself stands in the parameters.
    Passphrase,
}

/// What a handler gives.
#[doc(hidden)]
pub type Answer = Pin<Box<dyn Future<Output = Result<Json, RpcError>> + Send>>;

/// One method of the control socket.
#[derive(Debug)]
pub struct Method {
    /// Name on the wire.
    pub name: &'static str,
    /// What it asks of the peer.
    pub proof: Proof,
    handler: fn(Arc<Control>, SessionKey, Json) -> Answer,
}

impl Method {
    /// A row for a table of one's own: the test that walks [`METHODS`] adds one that forgets to ask who is there.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(name: &'static str, proof: Proof, handler: fn(Arc<Control>, SessionKey, Json) -> Answer) -> Self {
        Self { name, proof, handler }
    }

    /// Runs the method for a peer that has no session.
    ///
    /// # Errors
    /// What the method answers.
    #[doc(hidden)]
    pub async fn ask(&self, control: &Arc<Control>, params: Json) -> Result<Json, RpcError> {
        self.run(Arc::clone(control), SessionKey::of_peer(u32::MAX, None, u64::MAX), params).await
    }

    /// Runs the method for a peer.
    pub(crate) fn run(&self, control: Arc<Control>, peer: SessionKey, params: Json) -> Answer {
        (self.handler)(control, peer, params)
    }

    /// The method of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        METHODS.iter().find(|method| method.name == name)
    }
}

/// What the handlers work on: one a daemon.
pub struct Control {
    host: Host,
    web_link: Option<WebLink>,
    /// Where local apps reach the wallet, if its port could be had.
    site: Option<SocketAddr>,
    stop: CancellationToken,
    sessions: Mutex<Sessions>,
    /// Locks by the user that the sessions know of.
    locks: AtomicU64,
    /// Whom every peer is taken for; the user, except in the test that asks as a stranger.
    stranger: Option<Actor>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

impl Control {
    /// `stop` is cancelled by the method `shutdown`; the daemon waits for it.
    #[must_use]
    pub fn new(host: Host, web_link: Option<WebLink>, site: Option<SocketAddr>, stop: CancellationToken) -> Arc<Self> {
        Self::made(host, web_link, site, stop, None)
    }

    /// A control whose every peer is `actor`: what is refused to whoever is not the user.
    #[doc(hidden)]
    #[must_use]
    pub fn for_stranger(host: Host, web_link: Option<WebLink>, stop: CancellationToken, actor: Actor) -> Arc<Self> {
        Self::made(host, web_link, None, stop, Some(actor))
    }

    fn made(
        host: Host,
        web_link: Option<WebLink>,
        site: Option<SocketAddr>,
        stop: CancellationToken,
        stranger: Option<Actor>,
    ) -> Arc<Self> {
        Arc::new(Self { host, web_link, site, stop, sessions: Mutex::default(), stranger, locks: AtomicU64::new(0) })
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        // The map is whole between any two statements, so a panic elsewhere cannot have left it half changed.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn actor(&self, peer: &SessionKey) -> Actor {
        if let Some(stranger) = &self.stranger {
            return stranger.clone();
        }
        let mut sessions = self.sessions();
        // Whoever locks the wallet on its page means the terminals too.
        let locks = self.host.locks();
        if self.locks.swap(locks, Ordering::SeqCst) != locks {
            sessions.close_all();
        }
        Actor::User { session: sessions.is_open(peer, Now::read()) }
    }
}

fn params<T: DeserializeOwned>(method: &str, value: Json) -> Result<T, RpcError> {
    serde_json::from_value(value).map_err(|e| RpcError::new(codes::INVALID_PARAMS, format!("{method}: {e}")))
}

fn result<T: Serialize>(value: T) -> Result<Json, RpcError> {
    serde_json::to_value(value).map_err(|e| RpcError::new(codes::INTERNAL, format!("cannot write the answer: {e}")))
}

fn poll(timeout_ms: u64) -> Duration {
    Duration::from_millis(timeout_ms).min(LONGEST_POLL)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Passphrase {
    passphrase: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AccountImport {
    private_key: String,
    passphrase: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountExport {
    account: u32,
    passphrase: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PassphraseChange {
    passphrase: String,
    new_passphrase: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Backup {
    /// Absolute, as the daemon has a working directory of its own.
    file: PathBuf,
    passphrase: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Network {
    network: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MaybeNetwork {
    #[serde(default)]
    network: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScreenAnswered {
    id: u64,
    answer: ScreenAnswer,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScreenEvent {
    id: u64,
    field: String,
    value: Json,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Solution {
    solution: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MaybeSolution {
    #[serde(default)]
    solution: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StateInput {
    solution: String,
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default)]
    refresh: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct All {
    #[serde(default)]
    all: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Id {
    id: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    code: String,
    #[serde(default)]
    name: Option<String>,
}

/// Of a browser profile or an app.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    name: String,
}

/// Number of a caller's grant, a policy, a screen or a notice.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Number {
    id: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallerName {
    caller: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DryRun {
    policy: PolicyInput,
    /// Unix milliseconds.
    since: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ApprovalWait {
    id: i64,
    #[serde(default)]
    finished: bool,
    timeout_ms: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChangesWait {
    after: u64,
    timeout_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Permission {
    solution: String,
    permission: String,
}

/// One row of the table: `method!("name", proof, ParamsType, |control, peer, actor, params| body)`; the body is async
/// and gives a serialisable value or an error that becomes an [`RpcError`].
macro_rules! method {
    ($name:literal, $proof:ident, $params:ty, |$control:ident, $peer:pat_param, $actor:pat_param, $input:pat_param| $body:expr) => {
        Method {
            name: $name,
            proof: Proof::$proof,
            handler: |control, peer, value| {
                Box::pin(async move {
                    let $input: $params = params($name, value)?;
                    let $actor = control.actor(&peer);
                    let ($control, $peer) = (control, peer);
                    result($body)
                })
            },
        }
    };
}

/// Every method of the control socket.
pub static METHODS: &[Method] = &[
    // The wallet.
    method!("status", Free, Nothing, |c, _, actor, _| {
        let mut status = c.host.status(&actor).await?;
        status.site = c.site.map(|site| format!("http://{site}"));
        status
    }),
    method!("session_open", Passphrase, Passphrase, |c, peer, actor, input| {
        c.host.verify_passphrase(&actor, &SecretString::from(input.passphrase)).await?;
        c.sessions().open(peer, Now::read());
        json!({ "expiresInMs": SESSION_LENGTH.as_secs() * 1000 })
    }),
    method!("lock", Free, Nothing, |c, _, actor, _| c.host.lock(&actor).await?),
    method!("unlock", Passphrase, Passphrase, |c, _, actor, input| {
        c.host.unlock(&actor, &SecretString::from(input.passphrase)).await?
    }),
    method!("accounts", Free, Nothing, |c, _, actor, _| c.host.accounts(&actor).await?),
    method!("account_add", Free, Nothing, |c, _, actor, _| c.host.account_add(&actor).await?),
    method!("account_import", Passphrase, AccountImport, |c, _, actor, input| {
        let (key, passphrase) = (SecretString::from(input.private_key), SecretString::from(input.passphrase));
        c.host.account_import(&actor, &key, &passphrase).await?
    }),
    method!("account_export", Passphrase, AccountExport, |c, _, actor, input| {
        let passphrase = SecretString::from(input.passphrase);
        let key = c.host.account_export(&actor, input.account, &passphrase).await?;
        json!({ "privateKey": key.expose_secret() })
    }),
    method!("passphrase_change", Passphrase, PassphraseChange, |c, _, actor, input| {
        let (old, new) = (SecretString::from(input.passphrase), SecretString::from(input.new_passphrase));
        c.host.passphrase_change(&actor, &old, &new).await?;
        c.sessions().close_all();
    }),
    method!("backup", Passphrase, Backup, |c, _, actor, input| {
        let passphrase = SecretString::from(input.passphrase);
        let bytes = c.host.backup(&actor, &input.file, &passphrase).await?;
        json!({ "file": input.file, "bytes": bytes })
    }),
    method!("settings", Free, Nothing, |c, _, actor, _| c.host.settings(&actor).await?),
    method!("settings_set", Session, Settings, |c, _, actor, input| c.host.settings_set(&actor, input).await?),
    // The user's own transactions and signatures.
    method!("send", Free, SendInput, |c, _, actor, input| c.host.send_own(&actor, input).await?),
    method!("sign", Free, SignInput, |c, _, actor, input| c.host.sign_own(&actor, input).await?),
    method!("fees", Free, Network, |c, _, actor, input| c.host.fees(&actor, &input.network).await?),
    method!("transactions", Free, MaybeNetwork, |c, _, actor, input| {
        c.host.open_transactions(&actor, input.network.as_deref()).await?
    }),
    // Proposing is free; within the fee that was approved it is done at once, and the host asks for a session.
    method!("transaction_speed_up", Free, ReplaceInput, |c, _, actor, input| c.host.speed_up(&actor, input).await?),
    method!("transaction_cancel", Free, ReplaceInput, |c, _, actor, input| {
        c.host.cancel_transaction(&actor, input).await?
    }),
    // Layer 1.
    method!("network_add", Session, NetworkInput, |c, _, actor, input| c.host.network_add(&actor, input).await?),
    method!("networks", Free, Nothing, |c, _, actor, _| c.host.networks(&actor).await?),
    // Solutions.
    method!("solution_add", Free, SolutionInput, |c, _, actor, input| c.host.solution_add(&actor, input).await?),
    method!("solutions", Free, Nothing, |c, _, actor, _| c.host.solutions(&actor).await?),
    method!("solution", Free, Solution, |c, _, actor, input| c.host.solution(&actor, &input.solution).await?),
    method!("solution_update", Free, UpdateInput, |c, _, actor, input| c.host.solution_update(&actor, input).await?),
    method!("solution_remove", Session, Solution, |c, _, actor, input| {
        c.host.solution_remove(&actor, &input.solution).await?
    }),
    method!("solution_restart", Free, Solution, |c, _, actor, input| {
        c.host.solution_restart(&actor, &input.solution).await?
    }),
    method!("solution_dials", Session, DialsInput, |c, _, actor, input| c.host.dials_set(&actor, input).await?),
    method!("gateway", Free, Solution, |c, _, actor, input| c.host.gateway(&actor, &input.solution).await?),
    method!("call", Session, CallInput, |c, _, actor, input| c.host.call(&actor, input).await?),
    method!("state", Free, StateInput, |c, _, actor, input| {
        c.host.state(&actor, &input.solution, input.names, input.refresh).await?
    }),
    // Value.
    method!("deposit", Free, GatewayCallInput, |c, _, actor, input| c.host.deposit(&actor, input).await?),
    method!("withdraw", Free, GatewayCallInput, |c, _, actor, input| c.host.withdraw(&actor, input).await?),
    method!("fund", Free, FundInput, |c, _, actor, input| c.host.fund(&actor, input).await?),
    method!("exit", Free, ExitInput, |c, _, actor, input| c.host.exit(&actor, input).await?),
    method!("ledger", Free, LedgerFilter, |c, _, actor, input| c.host.ledger(&actor, input).await?),
    method!("transfers", Free, MaybeSolution, |c, _, actor, input| {
        c.host.transfers(&actor, input.solution.as_deref()).await?
    }),
    // Approvals.
    method!("approvals", Free, All, |c, _, actor, input| c.host.approvals(&actor, input.all).await?),
    method!("approval", Free, Id, |c, _, actor, input| c.host.approval(&actor, input.id).await?),
    method!("approval_decide", Session, Decision, |c, _, actor, input| c.host.approval_decide(&actor, input).await?),
    method!("approval_wait", Free, ApprovalWait, |c, _, actor, input| {
        c.host.approval_wait(&actor, input.id, input.finished, poll(input.timeout_ms)).await?
    }),
    method!("changes_wait", Free, ChangesWait, |c, _, actor, input| {
        c.host.changes_wait(&actor, input.after, poll(input.timeout_ms)).await?
    }),
    // Records and permissions.
    method!("activity", Free, ActivityFilter, |c, _, actor, input| c.host.activity(&actor, input).await?),
    method!("grants", Free, Solution, |c, _, actor, input| c.host.grants(&actor, &input.solution).await?),
    method!("grants_refused", Free, Solution, |c, _, actor, input| {
        c.host.grants_refused(&actor, &input.solution).await?
    }),
    method!("grant_revoke", Session, Permission, |c, _, actor, input| {
        c.host.grant_revoke(&actor, &input.solution, &input.permission).await?
    }),
    method!("grant_add", Session, Permission, |c, _, actor, input| {
        c.host.grant_add(&actor, &input.solution, &input.permission).await?
    }),
    // Plugins.
    method!("plugin_inspect", Free, Solution, |c, _, actor, input| {
        c.host.plugin_inspect(&actor, &input.solution).await?
    }),
    method!("plugin_record", Session, Solution, |c, _, actor, input| {
        c.host.plugin_record(&actor, &input.solution).await?
    }),
    method!("plugin_record_stop", Session, Solution, |c, _, actor, input| {
        c.host.plugin_record_stop(&actor, &input.solution).await?
    }),
    // Callers and policies.
    method!("callers", Free, Nothing, |c, _, actor, _| c.host.callers(&actor).await?),
    method!("caller_grant", Session, CallerGrantInput, |c, _, actor, input| {
        c.host.caller_grant(&actor, input).await?
    }),
    method!("caller_revoke", Session, Number, |c, _, actor, input| c.host.caller_revoke(&actor, input.id).await?),
    method!("caller_connections", Free, Nothing, |c, _, actor, _| c.host.caller_connections(&actor).await?),
    method!("caller_connect", Session, ConnectionInput, |c, _, actor, input| {
        c.host.caller_connect(&actor, input).await?
    }),
    method!("caller_disconnect", Session, CallerName, |c, _, actor, input| {
        c.host.caller_disconnect(&actor, &input.caller).await?
    }),
    method!("policies", Free, Nothing, |c, _, actor, _| c.host.policies(&actor).await?),
    method!("policy_add", Session, PolicyInput, |c, _, actor, input| c.host.policy_add(&actor, input).await?),
    method!("policy_revoke", Session, Number, |c, _, actor, input| c.host.policy_revoke(&actor, input.id).await?),
    method!("policy_resume", Session, Number, |c, _, actor, input| c.host.policy_resume(&actor, input.id).await?),
    method!("policy_dry_run", Free, DryRun, |c, _, actor, input| {
        c.host.policy_dry_run(&actor, input.policy, input.since).await?
    }),
    // Browser profiles and local apps.
    method!("pairings", Free, Nothing, |c, _, actor, _| c.host.pairings(&actor).await?),
    method!("pair", Session, Code, |c, _, actor, input| {
        c.host.pair(&actor, &input.code, input.name.as_deref()).await?
    }),
    method!("profiles", Free, Nothing, |c, _, actor, _| c.host.profiles(&actor).await?),
    method!("profile_remove", Session, Name, |c, _, actor, input| c.host.profile_remove(&actor, &input.name).await?),
    method!("app_add", Session, Name, |c, _, actor, input| {
        c.host.authorize(&actor, &Operation::Decide, "app_add")?;
        let Some(site) = c.site else {
            let why = "the port for apps is taken; end the program that has it and start the daemon again, or give it \
                       another with --site-port";
            return Err(RpcError::new(codes::INTERNAL, why));
        };
        let secret = c.host.app_add(&actor, &input.name).await?;
        json!({ "name": input.name, "url": format!("http://{site}/app/{}/{secret}", input.name) })
    }),
    method!("apps", Free, Nothing, |c, _, actor, _| c.host.apps(&actor).await?),
    method!("app_remove", Session, Name, |c, _, actor, input| c.host.app_remove(&actor, &input.name).await?),
    // What plugins show.
    method!("screens", Free, Nothing, |c, _, actor, _| c.host.screens(&actor).await?),
    method!("screen_answer", Free, ScreenAnswered, |c, _, actor, input| {
        c.host.screen_answer(&actor, input.id, input.answer).await?
    }),
    method!("screen_event", Free, ScreenEvent, |c, _, actor, input| {
        c.host.screen_event(&actor, input.id, &input.field, input.value).await?
    }),
    method!("screen_close", Free, Number, |c, _, actor, input| c.host.screen_close(&actor, input.id).await?),
    method!("notices", Free, All, |c, _, actor, input| c.host.notices(&actor, !input.all).await?),
    method!("notice_read", Free, Number, |c, _, actor, input| c.host.notice_read(&actor, input.id).await?),
    // The daemon.
    // Whoever opens this address sees the whole wallet and decides for its user, so making one is deciding.
    method!("web_link", Session, Nothing, |c, _, actor, _| {
        c.host.authorize(&actor, &Operation::Decide, "web_link")?;
        let Some(link) = &c.web_link else {
            return Err(RpcError::new(codes::INTERNAL, "this daemon runs without the web page; use the command line"));
        };
        link().map_err(|why| RpcError::new(codes::INTERNAL, why))?
    }),
    method!("shutdown", Free, Nothing, |c, _, actor, _| {
        c.host.authorize(&actor, &Operation::Propose, "shutdown")?;
        c.stop.cancel();
        Json::Null
    }),
];

#[cfg(test)]
mod tests;
