//! Callers: websites, local apps and other solutions that may ask a solution for something.

use std::collections::BTreeMap;

use entresol_host::Caller;
use entresol_host::messages::{CallerGrantInput, CallerGrantView, ConnectionInput, ConnectionView, SolutionView};
use serde_json::json;

use crate::cli::{CallerGrant, Callers};
use crate::context::{Context, Daemon};
use crate::output::{table, visible};
use crate::times;

pub(crate) async fn callers(context: &Context, command: Option<Callers>) -> anyhow::Result<()> {
    let mut daemon = context.daemon().await?;
    match command.unwrap_or(Callers::List) {
        Callers::List => {
            let list: Vec<CallerGrantView> = daemon.get("callers", json!({})).await?;
            let connected: Vec<ConnectionView> = daemon.get("caller_connections", json!({})).await?;
            let names = Names::read(&mut daemon).await?;
            context.out.either(&list, |list| {
                let mut parts = Vec::new();
                if !list.is_empty() {
                    parts.push(grants_table(list, &names));
                }
                if !connected.is_empty() {
                    parts.push(connections_table(&connected, &names));
                }
                if parts.is_empty() {
                    return "No website, app or other solution may ask for anything.".to_owned();
                }
                parts.join("\n")
            })
        }
        Callers::Connected => {
            let connected: Vec<ConnectionView> = daemon.get("caller_connections", json!({})).await?;
            context.out.either(&connected, |connected| {
                if connected.is_empty() {
                    return "No website or app sees an account.".to_owned();
                }
                connections_table(connected, &Names::default())
            })
        }
        Callers::Connect(args) => {
            let input = ConnectionInput {
                caller: caller_key(&mut daemon, &args.caller).await?,
                accounts: args.accounts,
                network: args.network,
            };
            let connected: ConnectionView = daemon.get("caller_connect", input).await?;
            context.out.either(&connected, |connected| {
                let mut text = connections_table(std::slice::from_ref(connected), &Names::default());
                text.push_str("\nEach signature and transaction still waits for you.");
                text
            })
        }
        Callers::Disconnect { caller } => {
            let caller = caller_key(&mut daemon, &caller).await?;
            daemon.call("caller_disconnect", json!({ "caller": caller })).await?;
            context.out.either(&json!({ "disconnected": caller }), |_| {
                "It sees no account any more; what it had asked for in their name has left the queue.".to_owned()
            })
        }
        Callers::Grant(args) => grant(context, &mut daemon, args).await,
        Callers::Revoke { id } => {
            daemon.call("caller_revoke", json!({ "id": id })).await?;
            context.out.either(&json!({ "revoked": id }), |_| {
                "The grant is taken back, at once; policies of this caller on that solution have ended with it."
                    .to_owned()
            })
        }
    }
}

async fn grant(context: &Context, daemon: &mut Daemon, args: CallerGrant) -> anyhow::Result<()> {
    let input = CallerGrantInput {
        caller: Some(caller_key(daemon, &args.caller).await?),
        solution: args.solution,
        actions: args.actions,
        state: args.state,
        expires_at: args.until.as_deref().map(times::future).transpose()?,
    };
    let grant: CallerGrantView = daemon.get("caller_grant", input).await?;
    let names = Names::read(daemon).await?;
    context.out.either(&grant, |grant| {
        let who = visible(&names.words(&grant.caller));
        let mut text = grants_table(std::slice::from_ref(grant), &names);
        text.push_str(&format!("\nFrom now on {who} may ask for this."));
        if !grant.actions.is_empty() {
            text.push_str(&format!(
                " Each request still waits for you, unless you make a policy (`entresol policy add {} {} …`).",
                visible(&grant.caller),
                visible(&grant.solution)
            ));
        }
        text
    })
}

fn grants_table(list: &[CallerGrantView], names: &Names) -> String {
    table(
        &["#", "Caller", "Solution", "May ask for", "May see", "Until"],
        list.iter().map(|grant| {
            [
                grant.id.to_string(),
                names.words(&grant.caller),
                grant.solution.clone(),
                grant.actions.join(", "),
                grant.state.join(", "),
                grant.expires_at.map_or_else(|| "you revoke it".to_owned(), times::utc),
            ]
        }),
    )
}

fn connections_table(list: &[ConnectionView], names: &Names) -> String {
    table(
        &["Caller", "Sees", "Network"],
        list.iter().map(|connected| {
            let accounts = connected.accounts.iter().map(|account| match &account.address {
                Some(address) => format!("{address} (account {})", account.index),
                None => format!("account {}", account.index),
            });
            [
                names.words(&connected.caller),
                accounts.collect::<Vec<_>>().join(", "),
                format!("{} (chain {})", connected.network, connected.chain_id),
            ]
        }),
    )
}

/// The canonical text of a caller; `solution:` may be followed by a handle instead of a number.
pub(crate) async fn caller_key(daemon: &mut Daemon, text: &str) -> anyhow::Result<String> {
    if let Some(name) = text.strip_prefix("solution:")
        && name.parse::<i64>().is_err()
    {
        let solution: SolutionView = daemon.get("solution", json!({ "solution": name })).await?;
        return Ok(Caller::Solution { id: solution.id }.key());
    }
    Ok(Caller::parse(text)?.key())
}

/// Handles of the solutions by id, to name callers.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<i64, String>);

impl Names {
    pub(crate) async fn read(daemon: &mut Daemon) -> anyhow::Result<Self> {
        let solutions: Vec<SolutionView> = daemon.get("solutions", json!({})).await?;
        Ok(Self(solutions.into_iter().map(|solution| (solution.id, solution.name)).collect()))
    }

    /// A canonical caller in words.
    pub(crate) fn words(&self, key: &str) -> String {
        match Caller::parse(key) {
            Ok(Caller::Solution { id }) => match self.0.get(&id) {
                Some(name) => format!("the plugin of {name}"),
                None => format!("the plugin of solution {id}, which is removed"),
            },
            Ok(caller) => caller.to_string(),
            Err(_) => key.to_owned(),
        }
    }
}
