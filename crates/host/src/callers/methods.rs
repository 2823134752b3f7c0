//! What a caller can ask for, as a table: the listeners for websites and apps walk it, and what is not here does not
//! exist for them. Each method comes through [`Host::authorize`] with the caller that the listener has established.

use super::Caller;
use crate::Host;
use crate::error::{HostError, code};
use crate::messages::CallInput;
use crate::site::{self, Bucket};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

/// Largest parameters of one request in bytes: the largest contract that can be deployed is 48 KiB of code and as much
/// again of arguments, in hex twice that; a bundle holds a few of them.
const MAX_PARAMS: usize = 512 * 1024;

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
    bucket: Bucket,
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
    /// -32005 for a caller that asks too often or too much at once, parameters that do not fit, and what the method
    /// answers: 4100 for whatever is not granted.
    pub async fn run(&self, host: &Host, caller: &Caller, params: Json) -> Result<Json, HostError> {
        host.inner.caller_rates.take(&caller.key(), self.bucket)?;
        let size = crate::reads::size(&params);
        if size > MAX_PARAMS {
            let words = format!("{}: the parameters have {size} bytes, at most {MAX_PARAMS} are taken", self.name);
            return Err(HostError::new(code::LIMIT, words).with(json!({ "size": size, "limit": MAX_PARAMS })));
        }
        (self.handler)(Asked { host: host.clone(), caller: caller.clone(), method: self.name, params }).await
    }
}

impl Asked {
    /// The parameters as one value: an object, or a list of one object; nothing is an empty object.
    ///
    /// # Errors
    /// They do not fit, by field.
    pub(crate) fn object<T: DeserializeOwned>(&mut self) -> Result<T, HostError> {
        let mut given = match self.params.take() {
            Json::Null => json!({}),
            Json::Array(list) => match <[Json; 1]>::try_from(list) {
                Ok([one]) => one,
                Err(list) if list.is_empty() => json!({}),
                Err(_) => return Err(HostError::invalid(format!("{}: params: one object, not several", self.method))),
            },
            other => other,
        };
        // A solution goes by its number as well as by its handle.
        if let Some(solution) = given.get_mut("solution")
            && solution.is_i64()
        {
            *solution = json!(solution.to_string());
        }
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

/// A row that the wallet answers by itself.
const fn row(name: &'static str, sample: fn() -> Json, handler: Handler) -> CallerMethod {
    CallerMethod { name, sample, bucket: Bucket::Own, handler }
}

/// A read that goes out to the caller's network.
const fn read(name: &'static str) -> CallerMethod {
    CallerMethod { name, sample: || json!([]), bucket: Bucket::Layer1, handler: |asked| Box::pin(site::read(asked)) }
}

/// A row that asks the caller's network about what it is given.
const fn tries(name: &'static str, sample: fn() -> Json, handler: Handler) -> CallerMethod {
    CallerMethod { name, sample, bucket: Bucket::Layer1, handler }
}

/// An account for the samples; nobody's.
const ANYBODY: &str = "0x0000000000000000000000000000000000000001";

/// Every method of a caller.
pub static CALLER_METHODS: &[CallerMethod] = &[
    // Accounts, networks and permissions (`site`).
    row("eth_accounts", || json!([]), |asked| Box::pin(site::eth_accounts(asked))),
    row("eth_requestAccounts", || json!([]), |asked| Box::pin(site::eth_request_accounts(asked))),
    row("eth_chainId", || json!([]), |asked| Box::pin(site::eth_chain_id(asked))),
    row("net_version", || json!([]), |asked| Box::pin(site::net_version(asked))),
    row("web3_clientVersion", || json!([]), |asked| Box::pin(site::web3_client_version(asked))),
    row("wallet_switchEthereumChain", || json!([{ "chainId": "0x1" }]), |asked| Box::pin(site::switch_chain(asked))),
    row(
        "wallet_addEthereumChain",
        || {
            json!([{
                "chainId": "0x64", "chainName": "Sample", "rpcUrls": ["https://rpc.sample.example"],
                "nativeCurrency": { "name": "Sample", "symbol": "SMP", "decimals": 18 },
            }])
        },
        |asked| Box::pin(site::add_chain(asked)),
    ),
    row(
        "wallet_requestPermissions",
        || json!([{ "layer2": { "solution": "sample", "actions": ["sample"] } }]),
        |asked| Box::pin(site::request_permissions(asked)),
    ),
    row("wallet_getPermissions", || json!([]), |asked| Box::pin(site::get_permissions(asked))),
    row(
        "wallet_revokePermissions",
        || json!([{ "eth_accounts": {}, "layer2": { "solution": "sample" } }]),
        |asked| Box::pin(site::revoke_permissions(asked)),
    ),
    // Signatures and transactions, asked for in the name of an own account (`site`).
    row("personal_sign", || json!(["0x68656c6c6f", ANYBODY]), |asked| Box::pin(site::personal_sign(asked))),
    row("eth_signTypedData_v4", || json!([ANYBODY, "{}"]), |asked| Box::pin(site::sign_typed_data(asked))),
    tries(
        "eth_sendTransaction",
        || json!([{ "from": ANYBODY, "to": ANYBODY, "value": "0x1" }]),
        |asked| Box::pin(site::send_transaction(asked)),
    ),
    row("eth_sign", || json!([ANYBODY, "0x00"]), |asked| Box::pin(site::refused(asked))),
    row("eth_signTransaction", || json!([{ "from": ANYBODY }]), |asked| Box::pin(site::refused(asked))),
    row("eth_signTypedData", || json!([[], ANYBODY]), |asked| Box::pin(site::refused(asked))),
    row("eth_signTypedData_v1", || json!([[], ANYBODY]), |asked| Box::pin(site::refused(asked))),
    row("eth_signTypedData_v3", || json!([ANYBODY, "{}"]), |asked| Box::pin(site::refused(asked))),
    // Bundles of calls (EIP-5792).
    tries(
        "wallet_sendCalls",
        || json!([{ "version": "2.0.0", "from": ANYBODY, "chainId": "0x1", "atomicRequired": false, "calls": [] }]),
        |asked| Box::pin(site::send_calls(asked)),
    ),
    tries("wallet_getCallsStatus", || json!(["0x01"]), |asked| Box::pin(site::calls_status(asked))),
    row("wallet_showCallsStatus", || json!(["0x01"]), |asked| Box::pin(site::show_calls(asked))),
    row("wallet_getCapabilities", || json!([ANYBODY]), |asked| Box::pin(site::capabilities(asked))),
    // Layer 2.
    row(
        "layer2_addSolution",
        || json!({ "layer2Script": "npm:sample@1.0.0" }),
        |asked| Box::pin(site::add_solution(asked)),
    ),
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
    // Reads of layer 1, on the caller's network.
    read("eth_blobBaseFee"),
    read("eth_blockNumber"),
    read("eth_call"),
    read("eth_estimateGas"),
    read("eth_feeHistory"),
    read("eth_gasPrice"),
    read("eth_getBalance"),
    read("eth_getBlockByHash"),
    read("eth_getBlockByNumber"),
    read("eth_getBlockReceipts"),
    read("eth_getBlockTransactionCountByHash"),
    read("eth_getBlockTransactionCountByNumber"),
    read("eth_getCode"),
    read("eth_getLogs"),
    read("eth_getProof"),
    read("eth_getStorageAt"),
    read("eth_getTransactionByBlockHashAndIndex"),
    read("eth_getTransactionByBlockNumberAndIndex"),
    read("eth_getTransactionByHash"),
    read("eth_getTransactionCount"),
    read("eth_getTransactionReceipt"),
    read("eth_maxPriorityFeePerGas"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use entresol_layer1::READ_METHODS;

    #[test]
    fn every_read_stands_in_the_table_and_nothing_twice() {
        for name in READ_METHODS {
            assert!(CallerMethod::by_name(name).is_some(), "{name}");
        }
        for (at, method) in CALLER_METHODS.iter().enumerate() {
            assert!(CALLER_METHODS[..at].iter().all(|other| other.name != method.name), "{} twice", method.name);
            // Besides reads, what is tried on layer 1 before the user is asked, and what looks for receipts there.
            let tried = ["eth_sendTransaction", "wallet_sendCalls", "wallet_getCallsStatus"].contains(&method.name);
            // The wallet itself knows these.
            let known = ["eth_chainId", "net_version", "web3_clientVersion"].contains(&method.name);
            let goes_out = READ_METHODS.contains(&method.name) && !known || tried;
            assert_eq!(method.bucket == Bucket::Layer1, goes_out, "{} is in the wrong bucket", method.name);
        }
    }
}
