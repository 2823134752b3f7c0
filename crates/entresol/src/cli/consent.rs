//! Who may do what: callers, policies, permissions, requests.

use clap::{ArgGroup, Args, Subcommand};

/// `entresol approvals …`
#[derive(Debug, Subcommand)]
pub(crate) enum Approvals {
    /// List the requests that wait
    List {
        /// Decided ones too
        #[arg(long)]
        all: bool,
    },
    /// Show one request in full
    Show {
        /// Its number
        id: i64,
    },
    /// Show one request in full, then approve it
    Approve(Approve),
    /// Reject a request
    Reject(Decide),
}

/// `entresol approvals approve`
#[derive(Debug, Args)]
pub(crate) struct Approve {
    #[command(flatten)]
    pub(crate) decide: Decide,
    /// Grant everything but this permission of an installation: its number among the rows "May", or words that only
    /// it has; may be given several times
    #[arg(long, value_name = "PERMISSION", num_args = 1..)]
    pub(crate) refuse: Vec<String>,
    /// Of a request to connect: let the caller see this account instead of those shown; may be given several times
    #[arg(long = "account", value_name = "N")]
    pub(crate) accounts: Vec<u32>,
}

/// `entresol approvals approve|reject`
#[derive(Debug, Args)]
pub(crate) struct Decide {
    /// Number of the request
    pub(crate) id: i64,
    /// Decide without being asked again
    #[arg(long)]
    pub(crate) yes: bool,
    /// Decide only if this is the digest of the request (from `approvals show`)
    #[arg(long, value_name = "HEX")]
    pub(crate) digest: Option<String>,
    /// Do not wait for what comes of it
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// `entresol grants …`
#[derive(Debug, Subcommand)]
pub(crate) enum Grants {
    /// List what a solution's plugin may do
    List {
        /// Handle or id
        solution: String,
    },
    /// Give a permission that the package asks for and does not have
    Add(Permission),
    /// Take a permission away, at once
    Revoke(Permission),
}

/// `entresol grants add|revoke`
#[derive(Debug, Args)]
pub(crate) struct Permission {
    /// Handle or id
    pub(crate) solution: String,
    /// The permission as `grants list` shows it, or words that only it has
    pub(crate) permission: String,
}

/// `entresol callers …`
#[derive(Debug, Subcommand)]
pub(crate) enum Callers {
    /// List who may ask for what, and who sees which accounts
    List,
    /// List who sees which accounts, and on which network
    Connected,
    /// Let a website or app see accounts without its asking; every signature and transaction still asks you
    Connect(CallerConnect),
    /// Take a caller's accounts back, at once
    Disconnect {
        /// Who: site:PROFILE:https://shop.example or app:NAME
        caller: String,
    },
    /// Let a caller ask for actions of a solution and see its state; every action still asks you
    Grant(CallerGrant),
    /// Take a caller's grant back, at once; its policies on that solution end with it
    Revoke {
        /// Number of the grant, from `callers list`
        id: u64,
    },
}

/// `entresol callers connect`
#[derive(Debug, Args)]
pub(crate) struct CallerConnect {
    /// Who: site:PROFILE:https://shop.example or app:NAME
    pub(crate) caller: String,
    /// An account that it will see; may be given several times (default: account 0)
    #[arg(long = "account", value_name = "N")]
    pub(crate) accounts: Vec<u32>,
    /// The network that it looks at (default: the wallet's first)
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<String>,
}

/// `entresol callers grant`
#[derive(Debug, Args)]
pub(crate) struct CallerGrant {
    /// Who: site:PROFILE:https://shop.example, app:NAME or solution:HANDLE
    pub(crate) caller: String,
    /// Handle or id of the solution that it may call
    pub(crate) solution: String,
    /// An action that it may ask for; may be given several times
    #[arg(long = "action", value_name = "NAME", required_unless_present = "state")]
    pub(crate) actions: Vec<String>,
    /// A state name that it may see; may be given several times
    #[arg(long = "state", value_name = "NAME")]
    pub(crate) state: Vec<String>,
    /// Ends by itself: `30d`, or a date such as 2026-12-31 (UTC)
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<String>,
}

/// `entresol policy …`
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// List the policies and what they have let pass
    List,
    /// Let a caller's requests pass without asking you, within limits
    Add(PolicyRule),
    /// End a policy
    Revoke {
        /// Number of the policy, from `policy list`
        id: u64,
    },
    /// Let a paused policy pass requests again
    Resume {
        /// Number of the policy, from `policy list`
        id: u64,
    },
    /// Show what a policy would have let pass in the past; changes nothing
    Try {
        #[command(flatten)]
        rule: PolicyRule,
        /// How far to look back: `7d`, or a date such as 2026-12-31 (UTC)
        #[arg(long, value_name = "WHEN", default_value = "7d")]
        since: String,
    },
}

/// What a policy says.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("period").required(true).args(["per_day", "per_week", "per_month"]))]
pub(crate) struct PolicyRule {
    /// Whose requests: site:PROFILE:https://shop.example, app:NAME or solution:HANDLE
    pub(crate) caller: String,
    /// Handle or id of the solution that is called
    pub(crate) solution: String,
    /// An action that passes; may be given several times
    #[arg(long = "action", value_name = "NAME", required = true)]
    pub(crate) actions: Vec<String>,
    /// Most that one request may cost, fee included: `0.1 ether`
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) per_call: String,
    /// Most within any 24 hours, fees included: `0.5 ether`
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) per_day: Option<String>,
    /// Most within any 7 days instead
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) per_week: Option<String>,
    /// Most within any 30 days instead
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) per_month: Option<String>,
    /// Most requests within that day, week or month
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Only this address may receive; may be given several times [default: anybody]
    #[arg(long = "to", value_name = "ADDRESS")]
    pub(crate) recipients: Vec<String>,
    /// A layer-1 function that passes too when such an action calls it, such as `deposit(address)`; may be given
    /// several times [default: every layer-1 call asks you]
    #[arg(long = "contract", value_name = "FUNCTION")]
    pub(crate) contracts: Vec<String>,
    /// Limits of a token, in its smallest unit: contract, most a request, most in the day, week or month; may be
    /// given several times [default: no token moves]
    #[arg(long = "token", num_args = 3, value_names = ["ADDRESS", "PER_CALL", "PER_PERIOD"])]
    pub(crate) tokens: Vec<String>,
    /// Ends by itself: `30d`, or a date such as 2026-12-31 (UTC) [default: never]
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<String>,
}
