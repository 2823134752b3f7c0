//! The wallet object: what a script may ask for, as a table. [`Host::plugin_request`] walks it: a method that is not
//! here does not exist, and each request comes through [`Host::authorize`] with the solution the host started, never
//! with what the script says it is.

mod compute;
mod contracts;
mod database;
mod deadline;
mod execute;
mod keys;
mod layer1;
mod network;
mod others;
mod rates;
mod signatures;
mod state;
mod token;
mod transfers;

pub(crate) use contracts::Contracts;
pub(crate) use database::mark_restored;
pub(crate) use deadline::Deadlines;
pub(crate) use execute::{CallIntent, End, Signer, Step};
pub(crate) use keys::export_warnings;
pub(crate) use rates::Rates;

use crate::error::{HostError, code};
use crate::plugin::Cause;
use crate::solutions::Running;
use crate::{Actor, Capability, Host, Operation, wire};
use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// One request of a script.
pub struct Request {
    running: Arc<Running>,
    params: Json,
    /// The calls that are open in the script.
    causes: Vec<Cause>,
}

/// Which permission a method needs.
pub enum Needs {
    /// None: every plugin has it.
    Nothing,
    /// These capabilities, which may depend on the parameters.
    #[allow(private_interfaces, reason = "only this crate can call it")]
    Capabilities(fn(&Running, &Json) -> Result<Vec<Capability>, HostError>),
}

/// What a method does in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It looks only.
    Read,
    /// It changes what belongs to the plugin alone: its keys' use, its data, its connections.
    Own,
    /// It asks for something that costs or binds the user: the user or a policy decides, and calls that only read
    /// may not cause it.
    Asks,
}

/// What the locked seed does to a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhileLocked {
    /// Nothing.
    Works,
    /// Hooks may use it, callers' calls may not, whatever their policies.
    NotForCallers,
    /// Nobody may use it.
    Refused,
}

type Handler = fn(Host, Request) -> BoxFuture<'static, Result<Json, HostError>>;
type Test = fn(&Running, &Json) -> bool;

/// One method that a script can ask for.
pub struct WalletMethod {
    /// `wallet.getAccount`.
    pub name: &'static str,
    /// The permission.
    pub needs: Needs,
    /// What it does.
    pub effect: Effect,
    /// While the seed is locked.
    pub while_locked: WhileLocked,
    /// Parameters that succeed with the grant, as far as that is possible without knowing the chain.
    pub sample: fn() -> Json,
    /// It signs with a key of the plugin, or gives one away: refused for a `critical` database after a restore.
    signs: Test,
    /// It protects the user's value: neither the locked seed nor calls that only read stop it.
    defends: Test,
    handler: Handler,
}

impl std::fmt::Debug for WalletMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WalletMethod").field("name", &self.name).field("effect", &self.effect).finish_non_exhaustive()
    }
}

impl WalletMethod {
    const fn new(name: &'static str, needs: Needs, effect: Effect, sample: fn() -> Json, handler: Handler) -> Self {
        let while_locked = match effect {
            Effect::Read | Effect::Own => WhileLocked::Works,
            Effect::Asks => WhileLocked::NotForCallers,
        };
        Self { name, needs, effect, while_locked, sample, signs: never, defends: never, handler }
    }

    const fn signs(mut self, test: Test) -> Self {
        self.signs = test;
        self
    }

    const fn defends(mut self, test: Test) -> Self {
        self.defends = test;
        self
    }

    const fn while_locked(mut self, rule: WhileLocked) -> Self {
        self.while_locked = rule;
        self
    }
}

fn never(_: &Running, _: &Json) -> bool {
    false
}

fn always(_: &Running, _: &Json) -> bool {
    true
}

const KEYS: Needs = Needs::Capabilities(|_, _| Ok(vec![Capability::Keys]));
const EXPORT: Needs = Needs::Capabilities(|_, _| Ok(vec![Capability::KeyExport]));
const DATABASE: Needs = Needs::Capabilities(|_, _| Ok(vec![Capability::LocalDatabase]));
const LAYER1_READ: Needs = Needs::Capabilities(|_, _| Ok(vec![Capability::Layer1Read]));

const COMPUTE: Needs = Needs::Capabilities(|_, _| Ok(vec![Capability::Compute]));

/// `handle!(method)`: the row's handler calls `Host::method` with the request.
macro_rules! handle {
    (&$method:ident) => {
        |host, request| Box::pin(async move { host.$method(&request).await })
    };
    ($method:ident) => {
        |host, request| Box::pin(async move { host.$method(request).await })
    };
}

/// Every method of the wallet object, of `layer1` and of `network`. What is not here answers 4200.
pub static WALLET_METHODS: &[WalletMethod] = &[
    WalletMethod::new("wallet.getAccount", KEYS, Effect::Own, || json!({ "index": 0 }), handle!(&get_account)),
    WalletMethod::new("wallet.getAccounts", KEYS, Effect::Read, || json!({}), handle!(&get_accounts)),
    WalletMethod::new(
        "wallet.signWithAccount",
        KEYS,
        Effect::Own,
        || json!({ "index": 0, "payload": { "message": "sample" } }),
        handle!(&sign_with_account),
    )
    .signs(always)
    .while_locked(WhileLocked::NotForCallers),
    WalletMethod::new(
        "wallet.exportPrivateKey",
        EXPORT,
        Effect::Own,
        || json!({ "index": 0 }),
        handle!(&export_private_key),
    )
    .signs(always)
    .while_locked(WhileLocked::Refused),
    WalletMethod::new("wallet.getSecret", EXPORT, Effect::Own, || json!({ "label": "sample" }), handle!(&get_secret))
        .signs(always)
        .while_locked(WhileLocked::Refused),
    WalletMethod::new(
        "wallet.deposit",
        Needs::Capabilities(layer1::needs_deposit),
        Effect::Asks,
        || json!({ "call": { "value": { "$n": "1" } } }),
        handle!(plugin_deposit),
    ),
    WalletMethod::new(
        "wallet.withdraw",
        Needs::Capabilities(layer1::needs_withdraw),
        Effect::Asks,
        || json!({ "call": { "function": "requestExit", "args": [] } }),
        handle!(plugin_withdraw),
    )
    .signs(|_, params| layer1::from_layer2(params))
    .defends(layer1::is_defence),
    WalletMethod::new(
        "wallet.fundAccount",
        KEYS,
        Effect::Asks,
        || json!({ "index": 0, "value": { "$n": "1" } }),
        handle!(fund_account),
    ),
    WalletMethod::new(
        "wallet.sign",
        Needs::Capabilities(signatures::needs),
        Effect::Asks,
        || json!({ "payload": { "message": "sample" } }),
        handle!(sign),
    )
    .signs(always),
    WalletMethod::new(
        "wallet.persist",
        DATABASE,
        Effect::Own,
        || json!({ "key": "sample", "value": 1 }),
        handle!(&persist),
    ),
    WalletMethod::new(
        "wallet.getFromLocalDb",
        DATABASE,
        Effect::Read,
        || json!({ "key": "sample" }),
        handle!(&get_from_local_db),
    ),
    WalletMethod::new(
        "wallet.deleteFromLocalDb",
        DATABASE,
        Effect::Own,
        || json!({ "key": "sample" }),
        handle!(&delete_from_local_db),
    ),
    WalletMethod::new(
        "wallet.listLocalDb",
        DATABASE,
        Effect::Read,
        || json!({ "prefix": "" }),
        handle!(&list_local_db),
    ),
    WalletMethod::new(
        "wallet.batchLocalDb",
        DATABASE,
        Effect::Own,
        || json!({ "ops": [{ "put": "sample", "value": 1 }] }),
        handle!(&batch_local_db),
    ),
    WalletMethod::new("wallet.confirmRestored", DATABASE, Effect::Own, || json!({}), handle!(&confirm_restored)),
    WalletMethod::new("wallet.getLayer2State", Needs::Nothing, Effect::Read, || json!({}), handle!(&own_layer2_state)),
    WalletMethod::new(
        "wallet.updateLayer2State",
        Needs::Nothing,
        Effect::Own,
        || json!({ "patch": { "sample": 1 } }),
        handle!(&update_layer2_state),
    ),
    // The user's own history, wake-ups, words and screens: bounded, and shown as the plugin's.
    WalletMethod::new(
        "wallet.trackTransfer",
        Needs::Nothing,
        Effect::Own,
        || json!({ "transfer": { "kind": "deposit", "amount": { "$n": "1" }, "stages": ["seen", "done"] } }),
        handle!(&track_transfer),
    ),
    WalletMethod::new(
        "wallet.updateTransfer",
        Needs::Nothing,
        Effect::Own,
        || json!({ "id": 1, "stage": "done" }),
        handle!(&update_transfer),
    ),
    WalletMethod::new(
        "wallet.schedule",
        Needs::Nothing,
        Effect::Own,
        || json!({ "job": { "name": "sample", "after": 1000 } }),
        handle!(&schedule),
    ),
    WalletMethod::new("wallet.cancel", Needs::Nothing, Effect::Own, || json!({ "name": "sample" }), handle!(&cancel)),
    WalletMethod::new(
        "wallet.notify",
        Needs::Nothing,
        Effect::Own,
        || json!({ "notice": { "level": "info", "text": "sample" } }),
        handle!(&notify),
    ),
    WalletMethod::new(
        "wallet.displayUi",
        Needs::Nothing,
        Effect::Own,
        || json!({ "screen": { "type": "Text", "children": "sample" } }),
        handle!(&show_screen),
    ),
    WalletMethod::new(
        "wallet.updateUi",
        Needs::Nothing,
        Effect::Own,
        || json!({ "id": 1, "screen": { "type": "Text", "children": "sample" } }),
        handle!(&change_screen),
    ),
    // The permission is a caller's grant on the other solution; what it may cause is decided there.
    WalletMethod::new(
        "wallet.callPlugin",
        Needs::Nothing,
        Effect::Own,
        || json!({ "solution": "sample", "action": "sample", "params": {} }),
        handle!(call_plugin),
    )
    .while_locked(WhileLocked::NotForCallers),
    WalletMethod::new(
        "wallet.requestPermission",
        Needs::Nothing,
        Effect::Asks,
        || json!({ "permission": { "layer1": "blocks" } }),
        handle!(request_permission),
    ),
    WalletMethod::new(
        "layer1.request",
        LAYER1_READ,
        Effect::Read,
        || json!({ "method": "eth_chainId", "params": [] }),
        handle!(&layer1_request),
    ),
    WalletMethod::new(
        "network.connect",
        Needs::Capabilities(network::needs_url),
        Effect::Own,
        || json!({ "url": "ws://sample.invalid" }),
        handle!(&network_connect),
    ),
    WalletMethod::new(
        "network.fetch",
        Needs::Capabilities(network::needs_url),
        Effect::Own,
        || json!({ "url": "http://sample.invalid", "init": {} }),
        handle!(&network_fetch),
    ),
    // An open connection is its own permission: it was checked when it was opened, and a revocation closes it.
    WalletMethod::new(
        "network.send",
        Needs::Nothing,
        Effect::Own,
        || json!({ "connection": 0, "data": "sample" }),
        handle!(&network_send),
    ),
    WalletMethod::new(
        "network.close",
        Needs::Nothing,
        Effect::Own,
        || json!({ "connection": 0 }),
        handle!(&network_close),
    ),
    // Numbers in, numbers out: an asset reaches nothing of the wallet.
    WalletMethod::new(
        "compute.run",
        COMPUTE,
        Effect::Own,
        || json!({ "ticket": 0, "asset": "sample", "export": "sample" }),
        handle!(&compute_run),
    ),
    WalletMethod::new("compute.progress", COMPUTE, Effect::Read, || json!({ "ticket": 0 }), handle!(&compute_progress)),
];

impl Host {
    /// One request of the wallet object by whoever `actor` is, with no call open: the test that walks the table asks
    /// with it.
    ///
    /// # Errors
    /// 4100 for anybody but the plugin of a running solution; what the method answers.
    #[doc(hidden)]
    pub async fn wallet_request(&self, actor: &Actor, method: &str, params: Json) -> Result<Json, HostError> {
        match actor {
            Actor::Plugin { solution } => self.plugin_request(*solution, method, params, Vec::new()).await,
            _ => Err(HostError::unauthorized(format!("{method} is not for {actor}"))),
        }
    }

    /// Answers one request of a script. `causes` are the calls that are open in it.
    pub(crate) async fn plugin_request(
        &self,
        solution: i64,
        method: &str,
        params: Json,
        causes: Vec<Cause>,
    ) -> Result<Json, HostError> {
        let Ok(running) = self.running(solution) else {
            return Err(HostError::unauthorized(format!("{method} is for the plugin of a running solution")));
        };
        let Some(row) = WALLET_METHODS.iter().find(|row| row.name == method) else {
            return Err(HostError::new(code::UNSUPPORTED, format!("{method} is not supported by this wallet")));
        };
        running.budgets.requests.take(1)?;
        self.store().count(solution, method, 1);
        let needs = match row.needs {
            Needs::Nothing => vec![Capability::State],
            Needs::Capabilities(needs) => needs(&running, &params)?,
        };
        let actor = Actor::Plugin { solution };
        for capability in needs {
            self.authorize(&actor, &Operation::Use(capability), method)?;
        }
        let defends = (row.defends)(&running, &params);
        if row.effect == Effect::Asks && !defends {
            refuse_read_only(&causes, method)?;
        }
        if !defends {
            self.refuse_locked(row, &causes)?;
        }
        let request = Request { running, params, causes };
        if (row.signs)(&request.running, &request.params) {
            self.refuse_restored(&request, method)?;
        }
        (row.handler)(self.clone(), request).await
    }

    fn refuse_locked(&self, row: &WalletMethod, causes: &[Cause]) -> Result<(), HostError> {
        let from_callers = causes.iter().any(|cause| cause.key != Cause::USER);
        let refused = match row.while_locked {
            WhileLocked::Works => false,
            WhileLocked::NotForCallers => from_callers,
            WhileLocked::Refused => true,
        };
        if refused && self.vault().is_locked() {
            let words = format!("{}: the wallet is locked; unlock it first (`entresol unlock`)", row.name);
            return Err(HostError::unauthorized(words).with(json!({ "needs": "unlock" })));
        }
        Ok(())
    }
}

/// With only `readOnly` calls open, nothing that costs or binds may be asked for.
fn refuse_read_only(causes: &[Cause], what: &str) -> Result<(), HostError> {
    if !causes.is_empty() && causes.iter().all(|cause| cause.read_only) {
        return Err(HostError::unauthorized(format!(
            "{what}: only actions declared readOnly are open, and those cause nothing"
        )));
    }
    Ok(())
}

fn message_bytes(message: &Json) -> Result<Vec<u8>, HostError> {
    if let Some(text) = message.as_str() {
        return Ok(text.as_bytes().to_vec());
    }
    wire::untag(message)
        .as_str()
        .and_then(|text| hex::decode(text.strip_prefix("0x")?).ok())
        .ok_or_else(|| HostError::invalid("message must be a string or bytes"))
}

/// A signature as the script gets it: 0x-hex of `r ‖ s ‖ v` and its parts.
fn signature_json(signature: &str) -> Result<Json, HostError> {
    let bytes = hex::decode(signature.trim_start_matches("0x")).unwrap_or_default();
    if bytes.len() != 65 {
        return Err(HostError::internal("a signature of another length than 65 bytes"));
    }
    Ok(json!({
        "signature": signature,
        "r": format!("0x{}", hex::encode(&bytes[..32])),
        "s": format!("0x{}", hex::encode(&bytes[32..64])),
        "v": bytes[64],
    }))
}

#[cfg(test)]
mod tests;
