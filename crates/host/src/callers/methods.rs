//! What a caller can ask for, as a table: the listeners for websites and apps walk it, and what is not here does not
//! exist for them. Each method comes through [`Host::authorize`] with the caller that the listener has established.

use super::Caller;
use crate::Host;
use crate::error::HostError;
use crate::messages::{CallInput, CallerGrantInput};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

type Handler = fn(Host, Caller, Json) -> BoxFuture<'static, Result<Json, HostError>>;

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
        (self.handler)(host.clone(), caller.clone(), params).await
    }
}

fn params<T: DeserializeOwned>(given: Json) -> Result<T, HostError> {
    serde_json::from_value(given).map_err(|e| HostError::invalid(format!("params: {e}")))
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

/// Every method of a caller.
pub static CALLER_METHODS: &[CallerMethod] = &[
    CallerMethod {
        name: "layer2_call",
        sample: || json!({ "solution": "sample", "action": "sample" }),
        handler: |host, caller, given| {
            Box::pin(async move {
                let input: CallInput = params(given)?;
                host.call_as(&caller, input, Vec::new()).await
            })
        },
    },
    CallerMethod {
        name: "layer2_getState",
        sample: || json!({ "solution": "sample" }),
        handler: |host, caller, given| {
            Box::pin(async move {
                let wanted: Wanted = params(given)?;
                answer(host.state_as(&caller, &wanted.solution, wanted.names).await?)
            })
        },
    },
    CallerMethod {
        name: "layer2_getSolutions",
        sample: || json!({}),
        handler: |host, caller, given| {
            Box::pin(async move {
                let Nothing {} = params(given)?;
                answer(host.solutions_as(&caller).await?)
            })
        },
    },
    CallerMethod {
        name: "wallet_requestPermissions",
        sample: || json!({ "solution": "sample", "actions": ["sample"] }),
        handler: |host, caller, given| {
            Box::pin(async move {
                let mut input: CallerGrantInput = params(given)?;
                // Who asks is known to the listener, whatever the request says.
                input.caller = None;
                answer(host.caller_request(&caller, input).await?)
            })
        },
    },
];
