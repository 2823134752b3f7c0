//! The network that a caller looks at: which it is, changing to another one (EIP-3326), proposing one (EIP-3085).

use super::{Connection, FIRST_NETWORK};
use crate::approvals::{Proposal, Requester};
use crate::callers::{Asked, Caller};
use crate::error::{HostError, code};
use crate::networks::check_name;
use crate::plugin::connections::resolve;
use crate::text::{quoted, row};
use crate::{Actor, Host, Operation};
use alloy::primitives::keccak256;
use entresol_store::{Approval, JournalIntent, Network};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use url::Url;

/// Most RPC URLs of a network that a site proposes.
const MAX_URLS: usize = 4;
/// Longest name of a network or coin that a site proposes, in bytes.
const MAX_TEXT: usize = 100;

/// `eth_chainId` (EIP-695), as the caller's network is registered: also while it does not answer.
pub(crate) async fn eth_chain_id(asked: Asked) -> Result<Json, HostError> {
    asked.host.authorize(&Actor::Caller(asked.caller.clone()), &Operation::Introduce, asked.method)?;
    Ok(json!(hex(asked.host.caller_chain(&asked.caller)?.chain_id)))
}

/// `net_version`: the same, in decimal.
pub(crate) async fn net_version(asked: Asked) -> Result<Json, HostError> {
    asked.host.authorize(&Actor::Caller(asked.caller.clone()), &Operation::Introduce, asked.method)?;
    Ok(json!(asked.host.caller_chain(&asked.caller)?.chain_id.to_string()))
}

/// `web3_clientVersion`: the wallet's own; which endpoint the user has is not told.
pub(crate) async fn web3_client_version(asked: Asked) -> Result<Json, HostError> {
    asked.host.authorize(&Actor::Caller(asked.caller.clone()), &Operation::Introduce, asked.method)?;
    Ok(json!(concat!("entresol/", env!("CARGO_PKG_VERSION"))))
}

/// A chain id as EIP-1193 has it.
pub(crate) fn hex(chain_id: u64) -> String {
    format!("{chain_id:#x}")
}

/// Reads a chain id: `0x` and lower- or upper-case hex without leading zeros, as EIP-3326 has it.
fn parse_chain_id(text: &str) -> Result<u64, HostError> {
    let wrong = || HostError::invalid(format!("chainId {text:?}: 0x-hex without leading zeros, such as \"0x1\""));
    let digits = text.strip_prefix("0x").filter(|digits| !digits.starts_with('0')).ok_or_else(wrong)?;
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    u64::from_str_radix(digits, 16).map_err(|_| wrong())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Switch {
    chain_id: String,
}

/// `wallet_switchEthereumChain` (EIP-3326). It changes what this caller looks at and nothing else, so the user is not
/// asked: each transaction and signature shows its chain.
pub(crate) async fn switch_chain(mut asked: Asked) -> Result<Json, HostError> {
    asked.host.authorize(&Actor::Caller(asked.caller.clone()), &Operation::ReadLayer1, asked.method)?;
    let Switch { chain_id } = asked.object()?;
    let chain_id = parse_chain_id(&chain_id)?;
    let Asked { host, caller, .. } = asked;
    let network = host.known_chain(&caller, chain_id)?.ok_or_else(|| {
        HostError::new(
            code::UNKNOWN_CHAIN,
            format!("the wallet knows no chain {}; propose it with wallet_addEthereumChain", hex(chain_id)),
        )
    })?;
    host.look_at(&caller, network.name, &caller.key()).await?;
    Ok(Json::Null)
}

/// What a site says of a chain (EIP-3085). Explorers and icons are not used: nothing is fetched or linked on a site's word.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Add {
    chain_id: String,
    chain_name: String,
    native_currency: Coin,
    rpc_urls: Vec<String>,
    #[serde(default, rename = "blockExplorerUrls")]
    _block_explorer_urls: Json,
    #[serde(default, rename = "iconUrls")]
    _icon_urls: Json,
}

#[derive(Deserialize)]
struct Coin {
    name: String,
    symbol: String,
    decimals: u8,
}

/// What an approval of kind `network` keeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NetworkPlan {
    caller: Caller,
    name: String,
    chain_id: u64,
    rpc_urls: Vec<String>,
}

impl NetworkPlan {
    pub(crate) fn digest(&self) -> Result<String, HostError> {
        let bytes = serde_json::to_vec(self).map_err(|e| HostError::internal(e.to_string()))?;
        Ok(keccak256([b"entresol network\0".as_slice(), &bytes].concat()).to_string())
    }
}

/// `wallet_addEthereumChain` (EIP-3085). A chain that the wallet knows stays as it is, whatever the site says of it.
/// Otherwise the user is asked, and nothing is fetched before they say yes.
pub(crate) async fn add_chain(mut asked: Asked) -> Result<Json, HostError> {
    asked.host.authorize(&Actor::Caller(asked.caller.clone()), &Operation::ReadLayer1, asked.method)?;
    let add: Add = asked.object()?;
    let Asked { host, caller, .. } = asked;
    let chain_id = parse_chain_id(&add.chain_id)?;
    if let Some(known) = host.known_chain(&caller, chain_id)? {
        host.look_at(&caller, known.name, &caller.key()).await?;
        return Ok(Json::Null);
    }
    for (field, text) in
        [("chainName", &add.chain_name), ("name", &add.native_currency.name), ("symbol", &add.native_currency.symbol)]
    {
        if text.is_empty() || text.len() > MAX_TEXT {
            return Err(HostError::invalid(format!("{field}: 1 to {MAX_TEXT} bytes")));
        }
    }
    if add.native_currency.decimals != 18 {
        return Err(HostError::invalid("nativeCurrency.decimals: the wallet counts in wei, which are 18"));
    }
    if add.rpc_urls.is_empty() || add.rpc_urls.len() > MAX_URLS {
        return Err(HostError::invalid(format!("rpcUrls: 1 to {MAX_URLS}")));
    }
    for text in &add.rpc_urls {
        public_https("rpcUrls", text)?;
    }
    let plan = NetworkPlan {
        caller: caller.clone(),
        name: host.free_network_name(&add.chain_name, chain_id)?,
        chain_id,
        rpc_urls: add.rpc_urls,
    };
    let coin = &add.native_currency;
    let mut rows = vec![
        row("Caller", caller.to_string()),
        row("Chain id", chain_id.to_string()),
        row("Name in this wallet", plan.name.clone()),
        row("It calls the chain", quoted(&add.chain_name)),
        row("It calls the coin", format!("{} ({})", quoted(&coin.name), quoted(&coin.symbol))),
    ];
    rows.extend(plan.rpc_urls.iter().map(|url| row("RPC URL", quoted(url))));
    let proposal = Proposal {
        rows,
        warnings: vec![
            "Whoever runs these URLs sees which of your accounts you look at, and can show false balances there. \
             Nothing has been asked of them so far."
                .to_owned(),
        ],
        ..Proposal::new(
            "network",
            Requester::of(&Actor::Caller(caller.clone())),
            plan.digest()?,
            &plan,
            format!("Add chain {chain_id}, which {caller} proposes, to this wallet?"),
        )?
    };
    host.ask_once(proposal, || Ok(true)).await?;
    Ok(Json::Null)
}

/// A URL that a site may name: https, without user or password, and not to this machine or its neighbours as far as the
/// text tells. Where a name leads is checked when it is used.
pub(super) fn public_https(field: &str, text: &str) -> Result<Url, HostError> {
    let wrong = |why: &str| HostError::invalid(format!("{field} {text:?}: {why}"));
    let url = Url::parse(text).map_err(|e| wrong(&e.to_string()))?;
    if !matches!(url.scheme(), "https" | "wss") {
        return Err(wrong("https only"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("without user and password"));
    }
    let public = match url.host() {
        Some(url::Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            // Names that lead to this machine or its neighbours by their ending (RFC 6761, RFC 6762, RFC 8375).
            let local = ["localhost", "local", "internal", "home.arpa", "lan", "test", "invalid"];
            name.contains('.') && !local.iter().any(|end| name == *end || name.ends_with(&format!(".{end}")))
        }
        Some(url::Host::Ipv4(address)) => crate::plugin::connections::is_public(address.into()),
        Some(url::Host::Ipv6(address)) => crate::plugin::connections::is_public(address.into()),
        None => false,
    };
    if !public {
        return Err(wrong("it leads to this machine or its neighbours; only its user can name that"));
    }
    Ok(url)
}

impl Host {
    /// The network with this chain id: the one that the caller looks at already, or the first by name.
    fn known_chain(&self, caller: &Caller, chain_id: u64) -> Result<Option<Network>, HostError> {
        let now = self.caller_chain(caller)?;
        if now.chain_id == chain_id {
            return Ok(Some(now));
        }
        Ok(self.store().networks()?.into_iter().find(|network| network.chain_id == chain_id))
    }

    async fn look_at(&self, caller: &Caller, network: String, actor: &str) -> Result<(), HostError> {
        let before = self.connection(caller)?;
        if before.network.as_deref() == Some(&network) {
            return Ok(());
        }
        let connection = Connection { accounts: before.accounts, network: Some(network) };
        self.write_connection(caller, connection, "switch network", actor, None).await
    }

    /// A name for a network that a site proposes: made of what it calls it, never one that is taken.
    fn free_network_name(&self, called: &str, chain_id: u64) -> Result<String, HostError> {
        let words = called.to_lowercase();
        let mut name: String = words
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .skip_while(|c| !c.is_ascii_alphabetic())
            .take(20)
            .collect();
        while name.contains("--") {
            name = name.replace("--", "-");
        }
        let name = name.trim_end_matches('-').to_owned();
        let free = |name: &str| Ok::<_, HostError>(self.store().network(name)?.is_none());
        if !name.is_empty() && check_name("network name", &name).is_ok() && free(&name)? {
            return Ok(name);
        }
        let numbered = format!("chain-{chain_id}");
        if free(&numbered)? {
            return Ok(numbered);
        }
        Err(HostError::invalid(format!("a network {numbered:?} is there already, with another chain id")))
    }

    /// Adds the network that the user agreed to, once its endpoint serves the chain it should, and lets the caller look
    /// at it.
    pub(crate) async fn execute_network(&self, approval: &Approval) -> Result<(), HostError> {
        let plan: NetworkPlan = serde_json::from_value(approval.request.intent.clone())
            .map_err(|e| HostError::internal(format!("a stored network: {e}")))?;
        let added = match self.known_chain(&plan.caller, plan.chain_id)? {
            // Another way led to it since, or this one did before a crash: it stays as it is.
            Some(known) => Ok(known.name),
            None => self.add_proposed(&plan).await,
        };
        match added {
            Ok(name) => {
                self.look_at(&plan.caller, name.clone(), "user").await?;
                self.store().finish_approval(approval.id, Ok(&json!({ "network": name })))?;
                self.access_changed();
                Ok(())
            }
            // Whatever it is, the caller is told now: it does not wait until an endpoint answers some day.
            Err(error) => self.fail(approval.id, &error),
        }
    }

    async fn add_proposed(&self, plan: &NetworkPlan) -> Result<String, HostError> {
        let mut urls = Vec::new();
        for text in &plan.rpc_urls {
            let url = public_https("rpcUrls", text)?;
            // A public name that leads to a private address.
            resolve(&url, false).await.map_err(|error| HostError::invalid(error.message))?;
            urls.push(url);
        }
        let record = Network {
            name: plan.name.clone(),
            chain_id: plan.chain_id,
            rpc_urls: plan.rpc_urls.clone(),
            confirmations: crate::networks::confirmations(plan.chain_id),
        };
        let intent = JournalIntent {
            solution: None,
            actor: "user".into(),
            action: "add network".into(),
            resource: record.name.clone(),
            detail: json!({ "chainId": record.chain_id, "rpcUrls": record.rpc_urls, "proposedBy": plan.caller.key() }),
        };
        self.journaled(intent, self.add_network(record, urls)).await?;
        Ok(plan.name.clone())
    }

    /// Notes which network was there first, before another one is added.
    pub(crate) fn note_first_network(&self) -> Result<(), HostError> {
        if self.store().meta(FIRST_NETWORK)?.is_some() {
            return Ok(());
        }
        match self.store().networks()?.first() {
            Some(first) => Ok(self.store().put_meta(FIRST_NETWORK, &json!(first.name))?),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
