//! The user's own sending and signing on layer 1, and what it costs.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::ApprovalView;

/// Parameters of `send`: ETH, or a token of ERC-20, from an own account to anybody.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SendInput {
    /// Name of the layer-1 network.
    pub network: String,
    /// Index of the own account.
    #[serde(default)]
    pub from: u32,
    /// Recipient; in mixed case with a right EIP-55 checksum.
    pub to: String,
    /// Decimal string in the smallest unit (wei), or with `whole` in whole units such as `1.5`. Never rounded.
    pub amount: String,
    /// The amount is in whole ETH, or whole units of the token by its own decimals.
    #[serde(default)]
    pub whole: bool,
    /// Contract of the token; ETH when absent.
    #[serde(default)]
    pub token: Option<String>,
    /// How soon it should be included; `normal` when absent.
    #[serde(default)]
    pub speed: entresol_layer1::FeeSpeed,
    /// Idempotency: the same key gives the same approval.
    #[serde(default)]
    pub request_key: Option<String>,
}

/// Parameters of `sign_message` and `sign_typed_data`: a signature by the user's own hand. Exactly one of `text`, `hex`
/// and `typed_data` is given.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignInput {
    /// Index of the own account.
    #[serde(default)]
    pub from: u32,
    /// A message (EIP-191).
    #[serde(default)]
    pub text: Option<String>,
    /// The message as 0x-hex bytes.
    #[serde(default)]
    pub hex: Option<String>,
    /// Typed data (EIP-712): the object, or its text.
    #[serde(default)]
    pub typed_data: Option<Json>,
    /// Network whose chain id the typed data must name.
    #[serde(default)]
    pub network: Option<String>,
    /// Idempotency: the same key gives the same approval.
    #[serde(default)]
    pub request_key: Option<String>,
}

/// Parameters of `speed_up` and `cancel_transaction`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplaceInput {
    /// Hash of the transaction that waits.
    pub transaction: String,
    /// How soon it should be included now; `fast` when absent.
    #[serde(default = "fast")]
    pub speed: entresol_layer1::FeeSpeed,
    /// Idempotency: the same key gives the same approval.
    #[serde(default)]
    pub request_key: Option<String>,
}

const fn fast() -> entresol_layer1::FeeSpeed {
    entresol_layer1::FeeSpeed::Fast
}

/// Answer of `speed_up`: one of the two.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replacement {
    /// Hash of the replacement, sent within the fee that was approved before.
    pub transaction: Option<String>,
    /// The request for a higher fee than the approved one.
    pub approval: Option<ApprovalView>,
}

/// A transaction that is not settled.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenTransactionView {
    /// Hash.
    pub transaction: String,
    /// Name of the layer-1 network.
    pub network: String,
    /// Sender.
    pub from: String,
    /// Its nonce.
    pub nonce: u64,
    /// What it is for, in a word.
    pub purpose: String,
    /// The approval that allowed it.
    pub approval: Option<i64>,
    /// `stored`, `broadcast`, `superseded` or `included`.
    pub state: String,
    /// Why it waits and what to do, when it has waited for long.
    pub stuck: Option<String>,
}

/// Answer of `fees`: what a transaction costs now.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FeesView {
    /// Name of the layer-1 network.
    pub network: String,
    /// Cheap, and slow when blocks are full.
    pub slow: FeeView,
    /// In one of the next blocks as a rule.
    pub normal: FeeView,
    /// In the next block as a rule.
    pub fast: FeeView,
}

/// One speed; wei as decimal strings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FeeView {
    /// Base fee of the block, wei per gas.
    pub base_fee: String,
    /// Most that is paid, wei per gas.
    pub max_fee_per_gas: String,
    /// What the block's builder gets, wei per gas.
    pub max_priority_fee_per_gas: String,
    /// What sending ETH to an account costs now, wei.
    pub transfer: String,
}
