//! Permissions as ERC-2255 has them: `eth_accounts`, and `layer2` for a solution's actions and state.
//!
//! A permission object is `{ invoker, parentCapability, caveats: [{ type, value }], date }`, with the wallet's number of
//! the grant as `id` where there is one.

use crate::callers::{Asked, Caller, Caveats};
use crate::error::HostError;
use crate::messages::{CallerGrantInput, CallerPopup, CallerPopupApproval};
use crate::policies::locked_error;
use crate::{Actor, Host, Operation};
use entresol_store::{ApprovalFilter, ApprovalState, CallerGrant};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

/// Most solutions in one request: each is a question to the user.
const MAX_SOLUTIONS: usize = 4;

/// A solution as callers name it: the number or the handle that `layer2_getSolutions` gives.
#[derive(Deserialize)]
#[serde(untagged)]
enum Handle {
    Id(i64),
    Name(String),
}

impl From<Handle> for String {
    fn from(handle: Handle) -> Self {
        match handle {
            Handle::Id(id) => id.to_string(),
            Handle::Name(name) => name,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    solution: Handle,
    #[serde(default)]
    actions: Vec<String>,
    #[serde(default)]
    state: Vec<String>,
    #[serde(default)]
    expires_at: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenBack {
    #[serde(default)]
    solution: Option<Handle>,
}

/// One value, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

impl<T> OneOrMore<T> {
    fn list(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::More(more) => more,
        }
    }
}

/// What a request names, by permission.
struct Named<T> {
    accounts: bool,
    layer2: Vec<T>,
}

/// Reads `[{ eth_accounts: {}, layer2: … }]`.
fn named<T: serde::de::DeserializeOwned>(asked: &mut Asked) -> Result<Named<T>, HostError> {
    let method = asked.method;
    let given: Map<String, Json> = asked.object()?;
    if given.is_empty() {
        return Err(HostError::invalid(format!(
            "{method}: name a permission, [{{ \"eth_accounts\": {{}} }}] or [{{ \"layer2\": {{ … }} }}]"
        )));
    }
    let mut named = Named { accounts: false, layer2: Vec::new() };
    for (name, value) in given {
        match name.as_str() {
            "eth_accounts" if value.is_object() => named.accounts = true,
            "eth_accounts" => return Err(HostError::invalid(format!("{method}: eth_accounts: an object"))),
            "layer2" => {
                let list: OneOrMore<T> = serde_json::from_value(value).map_err(|_| {
                    HostError::invalid(format!("{method}: layer2: {{ solution, actions, state }}, or a list of them"))
                })?;
                named.layer2 = list.list();
            }
            other => {
                return Err(HostError::invalid(format!(
                    "{method}: there is no permission {other:?}; there are eth_accounts and layer2"
                )));
            }
        }
    }
    if named.layer2.len() > MAX_SOLUTIONS {
        return Err(HostError::invalid(format!("{method}: at most {MAX_SOLUTIONS} solutions at once")));
    }
    Ok(named)
}

/// `wallet_requestPermissions`: answers with all permissions of the caller when the user has said yes to what was asked
/// for. Several are asked for one after the other; what was granted before a no stays granted.
pub(crate) async fn request_permissions(mut asked: Asked) -> Result<Json, HostError> {
    asked.host.authorize(&Actor::Caller(asked.caller.clone()), &Operation::Introduce, asked.method)?;
    let Named { accounts, layer2 } = named::<Wanted>(&mut asked)?;
    let Asked { host, caller, .. } = asked;
    if accounts && host.vault().is_locked() {
        return Err(locked_error());
    }
    let mut questions = Vec::new();
    for wanted in layer2 {
        let input = CallerGrantInput {
            // Who asks is known to the listener, whatever the request says.
            caller: None,
            solution: wanted.solution.into(),
            actions: wanted.actions,
            state: wanted.state,
            expires_at: wanted.expires_at,
        };
        questions.push(host.grant_proposal(&caller, input)?);
    }
    if accounts {
        host.ask_for_accounts(&caller, || Ok(true)).await?;
    }
    for question in questions {
        host.ask_once(question, || Ok(true)).await?;
    }
    Ok(json!(host.permissions_of(&caller)?))
}

/// `wallet_getPermissions`: what the caller holds.
pub(crate) async fn get_permissions(asked: Asked) -> Result<Json, HostError> {
    asked.host.authorize(&Actor::Caller(asked.caller.clone()), &Operation::Introduce, asked.method)?;
    Ok(json!(asked.host.permissions_of(&asked.caller)?))
}

/// `wallet_revokePermissions`: the caller gives back what it holds. `layer2` without a solution stands for all of them.
/// What it does not hold is as good as given back.
pub(crate) async fn revoke_permissions(mut asked: Asked) -> Result<Json, HostError> {
    let actor = Actor::Caller(asked.caller.clone());
    asked.host.authorize(&actor, &Operation::Introduce, asked.method)?;
    let Named { accounts, layer2 } = named::<GivenBack>(&mut asked)?;
    let Asked { host, caller, .. } = asked;
    if accounts && !host.connection(&caller)?.accounts.is_empty() {
        host.disconnect(&caller, &actor).await?;
    }
    for back in layer2 {
        let only = match back.solution {
            Some(handle) => match host.find(&String::from(handle)) {
                Ok(solution) => Some(solution.id),
                Err(_) => continue,
            },
            None => None,
        };
        for grant in host.grants_of(&caller)? {
            if only.is_none_or(|id| id == grant.solution) {
                host.revoke_caller_grant(&grant, &actor).await?;
            }
        }
    }
    Ok(Json::Null)
}

impl Host {
    /// What `caller` holds, as ERC-2255 writes it.
    pub(super) fn permissions_of(&self, caller: &Caller) -> Result<Vec<Json>, HostError> {
        let invoker = match caller {
            Caller::Site { origin, .. } => origin.clone(),
            other => other.key(),
        };
        let mut held = Vec::new();
        let kept = self.store().caller_connection(&caller.key())?;
        if let Some(kept) = kept.filter(|kept| !kept.accounts.is_empty()) {
            let seen = self.caller_addresses(caller)?;
            let seen: Vec<String> = seen.iter().map(|address| address.to_checksum(None)).collect();
            held.push(json!({
                "invoker": invoker,
                "parentCapability": "eth_accounts",
                "date": kept.changed_at,
                "caveats": [{ "type": "restrictReturnedAccounts", "value": seen }],
            }));
        }
        for grant in self.grants_of(caller)? {
            held.push(permission(&invoker, &grant)?);
        }
        Ok(held)
    }

    /// What a browser's popup shows of the caller that its page is. It takes no request: the popup is the extension's.
    ///
    /// # Errors
    /// No such caller; the database.
    pub fn caller_view_for_popup(&self, caller: &Caller) -> Result<CallerPopup, HostError> {
        self.authorize(&Actor::Caller(caller.clone()), &Operation::Introduce, "popup")?;
        let (who, at) = (json!(caller.key()), crate::now());
        let filter = ApprovalFilter { state: Some(ApprovalState::Pending), ..ApprovalFilter::default() };
        let waiting = self.store().approvals(filter)?;
        let waiting: Vec<_> = waiting.iter().filter(|approval| approval.request.expires_at > at).collect();
        let own = waiting.iter().filter(|approval| approval.request.requester["who"] == who).map(|approval| {
            let view = self.approval_view(approval)?;
            Ok(CallerPopupApproval { id: view.id, sentence: view.sentence, caller: caller.key() })
        });
        let seen = self.caller_addresses(caller)?;
        Ok(CallerPopup {
            accounts: seen.iter().map(|address| address.to_checksum(None)).collect(),
            grants: self.permissions_of(caller)?,
            approvals: own.collect::<Result<_, HostError>>()?,
            pending: waiting.len() as u64,
            locked: self.vault().is_locked(),
        })
    }
}

/// A grant on a solution as a permission.
fn permission(invoker: &str, grant: &CallerGrant) -> Result<Json, HostError> {
    let held: Caveats = serde_json::from_value(grant.caveats.clone())
        .map_err(|e| HostError::internal(format!("a stored grant: {e}")))?;
    let mut caveats = vec![
        json!({ "type": "solution", "value": grant.solution }),
        json!({ "type": "actions", "value": held.actions }),
        json!({ "type": "state", "value": held.state }),
    ];
    if let Some(at) = grant.expires_at {
        caveats.push(json!({ "type": "expiresAt", "value": at }));
    }
    Ok(json!({
        "id": grant.id.to_string(),
        "invoker": invoker,
        "parentCapability": "layer2",
        "date": grant.granted_at,
        "caveats": caveats,
    }))
}
