//! Websites, browsers, apps and other solutions: who may ask, and for what.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Parameters of `caller_grant` (the user's own hand) and of a caller's request for a grant.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CallerGrantInput {
    /// `site:PROFILE:ORIGIN`, `app:NAME` or `solution:ID`; a caller's own request has none.
    #[serde(default)]
    pub caller: Option<String>,
    /// Handle or id of the solution.
    pub solution: String,
    /// Actions it may ask for.
    #[serde(default)]
    pub actions: Vec<String>,
    /// State names it may see.
    #[serde(default)]
    pub state: Vec<String>,
    /// Ends by itself, Unix milliseconds.
    #[serde(default)]
    pub expires_at: Option<u64>,
}

/// A caller's grant on one solution.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallerGrantView {
    /// Number.
    pub id: u64,
    /// Canonical caller.
    pub caller: String,
    /// Handle of the solution.
    pub solution: String,
    /// Actions it may ask for.
    pub actions: Vec<String>,
    /// State names it may see.
    pub state: Vec<String>,
    /// Unix milliseconds.
    pub granted_at: u64,
    /// Ends by itself, Unix milliseconds.
    pub expires_at: Option<u64>,
}

/// Parameters of `caller_connect`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectionInput {
    /// `site:PROFILE:ORIGIN` or `app:NAME`.
    pub caller: String,
    /// Owner accounts that it will see, in this order; the first owner when empty.
    #[serde(default)]
    pub accounts: Vec<u32>,
    /// Name of the network that it looks at; the wallet's first when absent.
    #[serde(default)]
    pub network: Option<String>,
}

/// What a caller sees of layer 1.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionView {
    /// Canonical caller.
    pub caller: String,
    /// The accounts, in the order in which it sees them.
    pub accounts: Vec<ConnectedAccount>,
    /// Name of its network.
    pub network: String,
    /// Chain id of that network.
    pub chain_id: u64,
    /// Unix milliseconds.
    pub changed_at: u64,
}

/// An owner account that a caller sees.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectedAccount {
    /// The owner's index.
    pub index: u32,
    /// Its address; unknown while the seed is locked and it was never looked up.
    pub address: Option<String>,
}

/// What a browser's popup shows of its page's caller: nothing of others but how many requests wait in all.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallerPopup {
    /// The addresses that it sees now.
    pub accounts: Vec<String>,
    /// Its permissions, as `wallet_getPermissions` gives them.
    pub grants: Vec<Json>,
    /// Its own requests that wait for the user.
    pub approvals: Vec<CallerPopupApproval>,
    /// Requests that wait, of everybody.
    pub pending: u64,
    /// The seed is locked.
    pub locked: bool,
}

/// A request of the page's own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallerPopupApproval {
    /// Number of the approval.
    pub id: i64,
    /// The wallet's sentence.
    pub sentence: String,
    /// Canonical caller.
    pub caller: String,
}

/// A browser that shows a code.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PairingView {
    /// The name that it proposes, its own words.
    pub proposed: String,
    /// Until then the code can be confirmed, Unix milliseconds.
    pub expires_at: u64,
}

/// A paired browser profile.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfileView {
    /// Its name, as it stands in its callers.
    pub name: String,
    /// The first bytes of its key's SHA-256.
    pub key: String,
    /// Unix milliseconds.
    pub paired_at: u64,
}

/// A local app.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppView {
    /// Its name.
    pub name: String,
    /// Unix milliseconds.
    pub added_at: u64,
}
