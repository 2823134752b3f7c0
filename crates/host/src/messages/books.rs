//! What happened: the activity journal, and the ledger of what moved and what it cost.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// One row of the activity journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivityView {
    /// Number.
    pub id: i64,
    /// When the intent was written.
    pub at: i64,
    /// Who acted.
    pub actor: String,
    /// What they did.
    pub action: String,
    /// On what.
    pub resource: String,
    /// Without keys and without database values.
    pub detail: Json,
    /// `ok`, `error: …`, or none where the daemon stopped in between.
    pub outcome: Option<String>,
}

/// Parameters of `activity`; the default is the newest rows of everything.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ActivityFilter {
    /// The newest so many, 10 000 at most.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Handle or id of a solution.
    #[serde(default)]
    pub solution: Option<String>,
    /// Who acted, exactly as the rows say.
    #[serde(default)]
    pub actor: Option<String>,
    /// What they did, exactly as the rows say.
    #[serde(default)]
    pub action: Option<String>,
    /// Not before this time, Unix milliseconds.
    #[serde(default)]
    pub since: Option<u64>,
    /// Before this time, Unix milliseconds.
    #[serde(default)]
    pub until: Option<u64>,
    /// Only rows older than this one: the next page.
    #[serde(default)]
    pub before: Option<u64>,
}

/// Parameters of `ledger`; the default is everything.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LedgerFilter {
    /// Handle or id of a solution.
    #[serde(default)]
    pub solution: Option<String>,
    /// Not before this time, Unix milliseconds.
    #[serde(default)]
    pub since: Option<u64>,
    /// Before this time, Unix milliseconds.
    #[serde(default)]
    pub until: Option<u64>,
}

/// One line of the books: something was moved, or a fee was paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerRow {
    /// When it was made, Unix milliseconds.
    pub at: u64,
    /// `deposit`, `withdrawal`, `payment-in`, `payment-out`, or what a layer-1 transaction was for: `send`, `fund`, ….
    pub kind: String,
    /// Handle of the solution, if it concerns one.
    pub solution: Option<String>,
    /// Decimal string in the asset's smallest unit; `0` where nothing moved but the fee.
    pub amount: String,
    /// `ETH`, a token's address, or what the plugin calls it.
    pub asset: String,
    /// Sender of a layer-1 transaction.
    pub from: Option<String>,
    /// Recipient, or the contract that was called.
    pub counterparty: Option<String>,
    /// Wei that the layer-1 transaction has cost, once included.
    pub fee: Option<String>,
    /// Layer-1 transaction.
    pub transaction: Option<String>,
    /// How far it is: `broadcast`, `included`, `confirmed`, `failed`; a plugin's own word where it tracks it.
    pub state: String,
    /// True where amount, asset and state are the plugin's words.
    pub plugin: bool,
}
