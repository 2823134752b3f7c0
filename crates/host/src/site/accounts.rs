//! The accounts that a caller sees: asked for, chosen by the user, taken back.

use super::Connection;
use crate::approvals::{Proposal, Requester};
use crate::callers::{Asked, Caller};
use crate::error::HostError;
use crate::messages::{ConnectedAccount, ConnectionInput, ConnectionView, Decision, Row};
use crate::policies::locked_error;
use crate::text::row;
use crate::{Actor, Host, Operation, now};
use alloy::primitives::{Address, keccak256};
use entresol_store::{Approval, CallerConnection, JournalIntent};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Most accounts of one caller: a longer list is a mistake.
const MAX_ACCOUNTS: usize = 32;

/// What an approval of kind `connect` keeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ConnectPlan {
    caller: Caller,
    /// The accounts shown; the user may say yes to others.
    accounts: Vec<u32>,
}

impl ConnectPlan {
    pub(crate) fn digest(&self) -> Result<String, HostError> {
        let bytes = serde_json::to_vec(self).map_err(|e| HostError::internal(e.to_string()))?;
        Ok(keccak256([b"entresol connect\0".as_slice(), &bytes].concat()).to_string())
    }
}

/// `eth_accounts` (EIP-1474): the addresses granted to the caller, none while the seed is locked.
pub(crate) async fn eth_accounts(asked: Asked) -> Result<Json, HostError> {
    asked.host.authorize(&Actor::Caller(asked.caller.clone()), &Operation::Introduce, asked.method)?;
    Ok(addresses(&asked.host.caller_addresses(&asked.caller)?))
}

/// `eth_requestAccounts` (EIP-1102): as `eth_accounts`, after asking the user where there is nothing to give yet.
pub(crate) async fn eth_request_accounts(asked: Asked) -> Result<Json, HostError> {
    let Asked { host, caller, method, .. } = asked;
    host.authorize(&Actor::Caller(caller.clone()), &Operation::Introduce, method)?;
    if host.vault().is_locked() {
        return Err(locked_error());
    }
    let none = || Ok(host.connection(&caller)?.accounts.is_empty());
    if none()? {
        host.ask_for_accounts(&caller, none).await?;
    }
    Ok(addresses(&host.caller_addresses(&caller)?))
}

fn addresses(list: &[Address]) -> Json {
    json!(list.iter().map(|address| address.to_checksum(None)).collect::<Vec<_>>())
}

impl Host {
    /// Asks the user which accounts `caller` may see, as long as the question is `open`, and waits for the answer.
    pub(super) async fn ask_for_accounts(
        &self,
        caller: &Caller,
        open: impl FnOnce() -> Result<bool, HostError>,
    ) -> Result<(), HostError> {
        let mut accounts = self.connection(caller)?.accounts;
        if accounts.is_empty() {
            accounts.push(0);
        }
        let plan = ConnectPlan { caller: caller.clone(), accounts };
        let chain = self.caller_chain(caller)?;
        let mut rows = vec![row("Caller", caller.to_string())];
        rows.extend(self.account_rows(&plan.accounts)?);
        rows.push(row("Network", format!("{} (chain {})", chain.name, chain.chain_id)));
        let proposal = Proposal {
            rows,
            warnings: vec![
                "It sees the addresses, and with them everything that is public about them. It may ask for signatures \
                 and transactions; each asks you again. To choose other accounts, say yes with --account N."
                    .to_owned(),
            ],
            ..Proposal::new(
                "connect",
                Requester::of(&Actor::Caller(caller.clone())),
                plan.digest()?,
                &plan,
                format!("Let {caller} see your accounts?"),
            )?
        };
        self.ask_once(proposal, open).await.map(|_| ())
    }

    /// The accounts that the user chose while saying yes, checked; `null` when they chose none.
    pub(crate) fn chosen_accounts(&self, approval: &Approval, decision: &Decision) -> Result<Json, HostError> {
        if decision.accounts.is_empty() {
            return Ok(Json::Null);
        }
        if approval.request.kind != "connect" {
            return Err(HostError::invalid("accounts can only be chosen for a request to connect"));
        }
        self.check_accounts(&decision.accounts)?;
        Ok(json!({ "accounts": decision.accounts }))
    }

    fn check_accounts(&self, accounts: &[u32]) -> Result<(), HostError> {
        if accounts.len() > MAX_ACCOUNTS {
            return Err(HostError::invalid(format!("at most {MAX_ACCOUNTS} accounts for one caller")));
        }
        for (at, index) in accounts.iter().enumerate() {
            self.known_owner(*index)?;
            if accounts[..at].contains(index) {
                return Err(HostError::invalid(format!("account {index} is named twice")));
            }
        }
        Ok(())
    }

    /// Connects the caller as the user decided.
    pub(crate) async fn execute_connect(&self, approval: &Approval) -> Result<(), HostError> {
        let plan: ConnectPlan = serde_json::from_value(approval.request.intent.clone())
            .map_err(|e| HostError::internal(format!("a stored request to connect: {e}")))?;
        let chosen: Vec<u32> = serde_json::from_value(approval.choice["accounts"].clone()).unwrap_or_default();
        let accounts = if chosen.is_empty() { plan.accounts } else { chosen };
        let network = self.connection(&plan.caller)?.network;
        self.write_connection(
            &plan.caller,
            Connection { accounts, network },
            "connect caller",
            "user",
            Some(approval.id),
        )
        .await
    }

    /// Writes what a caller sees, and tells it.
    pub(super) async fn write_connection(
        &self,
        caller: &Caller,
        connection: Connection,
        action: &str,
        actor: &str,
        approval: Option<u64>,
    ) -> Result<(), HostError> {
        let outcome = json!({ "accounts": connection.accounts });
        let intent = JournalIntent {
            solution: None,
            actor: actor.to_owned(),
            action: action.to_owned(),
            resource: caller.key(),
            detail: json!({ "accounts": connection.accounts, "network": connection.network }),
        };
        let kept = CallerConnection {
            caller: caller.key(),
            accounts: connection.accounts,
            network: connection.network,
            changed_at: now(),
        };
        let finished = approval.map(|id| (id, &outcome));
        self.journaled(intent, async { Ok(self.store().put_connection(&kept, finished)?) }).await?;
        self.access_changed();
        Ok(())
    }

    /// The user lets a caller see accounts by their own hand, without its asking; an app is made so.
    ///
    /// # Errors
    /// Not authorised; no such caller, account or network.
    pub async fn caller_connect(&self, actor: &Actor, input: ConnectionInput) -> Result<ConnectionView, HostError> {
        self.authorize(actor, &Operation::Decide, "caller_connect")?;
        let caller = Caller::parse(&input.caller)?;
        if matches!(caller, Caller::Solution { .. }) {
            return Err(HostError::invalid("a solution has accounts of its own; only sites and apps are connected"));
        }
        self.check_accounts(&input.accounts)?;
        if let Some(name) = &input.network
            && self.store().network(name)?.is_none()
        {
            return Err(HostError::not_found(format!("there is no network {name:?}; see `entresol network list`")));
        }
        let accounts = if input.accounts.is_empty() { vec![0] } else { input.accounts };
        let connection = Connection { accounts, network: input.network };
        self.write_connection(&caller, connection, "connect caller", &actor.to_string(), None).await?;
        self.connection_view(&caller.key())
    }

    /// Takes a caller's accounts back, at once. What it had asked for in their name leaves the queue.
    ///
    /// # Errors
    /// Not authorised; it is not connected.
    pub async fn caller_disconnect(&self, actor: &Actor, caller: &str) -> Result<(), HostError> {
        self.authorize(actor, &Operation::Decide, "caller_disconnect")?;
        let caller = Caller::parse(caller)?;
        if self.connection(&caller)?.accounts.is_empty() {
            return Err(HostError::not_found(format!("{} sees no accounts; see `entresol callers`", caller.key())));
        }
        self.disconnect(&caller, actor).await
    }

    /// Takes the accounts back for whoever may: the user, or the caller itself. Its network stays chosen.
    pub(super) async fn disconnect(&self, caller: &Caller, actor: &Actor) -> Result<(), HostError> {
        let network = self.connection(caller)?.network;
        let nothing = Connection { accounts: Vec::new(), network };
        self.write_connection(caller, nothing, "disconnect caller", &actor.to_string(), None).await?;
        let who = json!(caller.key());
        // Questions about grants are no use of the accounts.
        let others = ["connect", "caller", "propose", "network", "install", "call"];
        self.expire_requests("its accounts were taken back", |request| {
            request.requester["who"] == who && !others.contains(&request.kind.as_str())
        })
    }

    /// What callers see of layer 1: those that see something.
    ///
    /// # Errors
    /// Not authorised.
    pub async fn caller_connections(&self, actor: &Actor) -> Result<Vec<ConnectionView>, HostError> {
        self.authorize(actor, &Operation::Read, "caller_connections")?;
        let all = self.store().caller_connections()?;
        all.iter().filter(|kept| !kept.accounts.is_empty()).map(|kept| self.connection_view(&kept.caller)).collect()
    }

    fn connection_view(&self, caller: &str) -> Result<ConnectionView, HostError> {
        let parsed = Caller::parse(caller)?;
        let chain = self.caller_chain(&parsed)?;
        let kept = self.store().caller_connection(caller)?;
        let (accounts, changed_at) = kept.map(|kept| (kept.accounts, kept.changed_at)).unwrap_or_default();
        Ok(ConnectionView {
            caller: caller.to_owned(),
            accounts: accounts
                .into_iter()
                // An account that was never looked up cannot be derived while the seed is locked.
                .map(|index| ConnectedAccount {
                    index,
                    address: self.owner(index).ok().map(|account| account.address.to_checksum(None)),
                })
                .collect(),
            network: chain.name,
            chain_id: chain.chain_id,
            changed_at,
        })
    }

    fn account_rows(&self, accounts: &[u32]) -> Result<Vec<Row>, HostError> {
        let rows = accounts.iter().map(|index| {
            Ok(row("Account", format!("{} (account {index})", self.owner(*index)?.address.to_checksum(None))))
        });
        rows.collect()
    }
}
