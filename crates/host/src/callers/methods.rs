//! What a caller can ask for, as a table: the listeners for websites and apps walk it, and what is not here does not
//! exist for them. Each method comes through [`Host::authorize`] with the caller that the listener has established.

use super::Caller;
use crate::error::HostError;
use crate::messages::{CallInput, CallerGrantInput};
use crate::{Host, site};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

type Handler = fn(Asked) -> BoxFuture<'static, Result<Json, HostError>>;

/// A request as it comes to its method.
pub(crate) struct Asked {
    pub(crate) host: Host,
    /// Whom the listener has established; never what the request says.
    pub(crate) caller: Caller,
    /// The row's own name: rows may share a handler.
    pub(crate) method: &'static str,
    /// As EIP-1193 has them: a list or an object, `null` when absent.
    pub(crate) params: Json,
}

/// One method that a caller can ask for.
pub struct CallerMethod {
    /// `layer2_call`.
    pub name: &'static str,
    /// Parameters that fit, for the test that walks the table.
    pub sample: fn() -> Json,
    handler: Handler,
}

impl std::fmt::Debug for CallerMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallerMethod").field("name", &self.name).finish_non_exhaustive()
    }
}

impl CallerMethod {
    /// The method of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        CALLER_METHODS.iter().find(|method| method.name == name)
    }

    /// Runs the method.
    ///
    /// # Errors
    /// Parameters that do not fit, and what the method answers: 4100 for whatever is not granted.
    pub async fn run(&self, host: &Host, caller: &Caller, params: Json) -> Result<Json, HostError> {
        (self.handler)(Asked { host: host.clone(), caller: caller.clone(), method: self.name, params }).await
    }
}

impl Asked {
    /// The parameters as one value: an object, or a list of one object; nothing is an empty object.
    ///
    /// # Errors
    /// They do not fit, by field.
    pub(crate) fn object<T: DeserializeOwned>(&mut self) -> Result<T, HostError> {
        let given = match self.params.take() {
            Json::Null => json!({}),
            Json::Array(list) => match <[Json; 1]>::try_from(list) {
                Ok([one]) => one,
                Err(list) if list.is_empty() => json!({}),
                Err(_) => return Err(HostError::invalid(format!("{}: params: one object, not several", self.method))),
            },
            other => other,
        };
        serde_json::from_value(given).map_err(|e| HostError::invalid(format!("{}: params: {e}", self.method)))
    }

    /// The parameters as a list, as most methods of Ethereum have them; nothing is an empty list.
    ///
    /// # Errors
    /// They are no list.
    pub(crate) fn list(&mut self) -> Result<Vec<Json>, HostError> {
        match self.params.take() {
            Json::Null => Ok(Vec::new()),
            Json::Array(list) => Ok(list),
            // EIP-1193 allows an object; a method with one parameter that is an object has been called so.
            Json::Object(one) if one.is_empty() => Ok(Vec::new()),
            one @ Json::Object(_) => Ok(vec![one]),
            other => Err(HostError::invalid(format!("{}: params: a list, not {other}", self.method))),
        }
    }
}

fn answer(value: impl serde::Serialize) -> Result<Json, HostError> {
    serde_json::to_value(value).map_err(|e| HostError::internal(e.to_string()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    solution: String,
    #[serde(default)]
    names: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// A row of the table.
const fn row(name: &'static str, sample: fn() -> Json, handler: Handler) -> CallerMethod {
    CallerMethod { name, sample, handler }
}

/// Every method of a caller.
pub static CALLER_METHODS: &[CallerMethod] = &[
    // Accounts and networks (`site`).
    row("eth_accounts", || json!([]), |asked| Box::pin(site::eth_accounts(asked))),
    row("eth_chainId", || json!([]), |asked| Box::pin(site::eth_chain_id(asked))),
    // Layer 2.
    row(
        "layer2_call",
        || json!({ "solution": "sample", "action": "sample" }),
        |mut asked| {
            Box::pin(async move {
                let input: CallInput = asked.object()?;
                asked.host.call_as(&asked.caller, input, Vec::new()).await
            })
        },
    ),
    row(
        "layer2_getState",
        || json!({ "solution": "sample" }),
        |mut asked| {
            Box::pin(async move {
                let wanted: Wanted = asked.object()?;
                answer(asked.host.state_as(&asked.caller, &wanted.solution, wanted.names).await?)
            })
        },
    ),
    row(
        "layer2_getSolutions",
        || json!({}),
        |mut asked| {
            Box::pin(async move {
                let Nothing {} = asked.object()?;
                answer(asked.host.solutions_as(&asked.caller).await?)
            })
        },
    ),
    row(
        "wallet_requestPermissions",
        || json!({ "solution": "sample", "actions": ["sample"] }),
        |mut asked| {
            Box::pin(async move {
                let mut input: CallerGrantInput = asked.object()?;
                // Who asks is known to the listener, whatever the request says.
                input.caller = None;
                answer(asked.host.caller_request(&asked.caller, input).await?)
            })
        },
    ),
];
