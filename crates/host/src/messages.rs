//! What goes in and out of the host's methods: plain data, the same on the control socket, in the CLI's `--json` and
//! on the web page. Field names are camelCase; wei are decimal strings; bytes and addresses 0x-hex; times are Unix
//! milliseconds.

mod books;
mod callers;
mod plugin;
mod transactions;

pub use books::*;
pub use callers::*;
pub use plugin::{PluginErrorView, PluginView, RecordingView};
pub use transactions::*;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Answer of `status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// The wallet's home directory.
    pub home: String,
    /// True while the seed is locked: nothing can be signed for callers.
    pub locked: bool,
    /// Layer-1 networks and what their block trackers say.
    pub networks: Vec<NetworkView>,
    /// Number of solutions that are not removed.
    pub solutions: u64,
    /// Approvals that wait for the user.
    pub pending_approvals: u64,
    /// Grows with every change that a screen could show; see `changes_wait`.
    pub changes: u64,
    /// Where local apps, and extensions without native messaging, reach the wallet.
    #[serde(default)]
    pub site: Option<String>,
}

/// A layer-1 network.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkView {
    /// The user's name for it.
    pub name: String,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Endpoints, first one first.
    pub rpc_urls: Vec<String>,
    /// Blocks after which an inclusion counts as settled.
    pub confirmations: u64,
    /// Number of the newest block seen, none before the first.
    pub head: Option<u64>,
    /// What is wrong with it now, in words, if anything.
    pub problem: Option<String>,
}

/// Parameters of `network_add`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkInput {
    /// The user's name for it.
    pub name: String,
    /// At least one endpoint (http or https).
    pub rpc_urls: Vec<String>,
    /// Expected chain id; taken from the endpoint when absent, and pinned.
    #[serde(default)]
    pub chain_id: Option<u64>,
    /// Blocks after which an inclusion counts as settled; 12 when absent (1 on the development chain ids).
    #[serde(default)]
    pub confirmations: Option<u64>,
}

/// A layer-1 account of the user.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountView {
    /// Index `i` in `m/44'/60'/0'/0/i`.
    pub index: u32,
    /// EIP-55 address.
    pub address: String,
    /// Derivation path; of an imported key that it was imported.
    pub path: String,
    /// A single key that was imported: the words do not restore it.
    #[serde(default)]
    pub imported: bool,
    /// Balance in wei per network name; absent where the network does not answer.
    pub balances: std::collections::BTreeMap<String, String>,
}

/// Parameters of `solution_add`: the inputs of the specification, under its names or ours.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SolutionInput {
    /// Short handle, `^[a-z][a-z0-9-]{0,31}$`; made from the package's title when absent.
    #[serde(default)]
    pub name: Option<String>,
    /// Name of the layer-1 network.
    pub network: String,
    /// Gateway contract on layer 1.
    #[serde(default, alias = "layer2SolutionContractAddress")]
    pub gateway: Option<String>,
    /// Where the layer-2 network answers.
    #[serde(default, alias = "layer2NetworkUrl")]
    pub network_urls: Vec<String>,
    /// Root of the plugin's keys; the default root when absent.
    #[serde(default, alias = "layer2KeyDerivationPath")]
    pub key_path: Option<String>,
    /// `folder:PATH`, `tarball:PATH` or `npm:NAME@VERSION`.
    #[serde(alias = "layer2Script")]
    pub script: String,
    /// Index of the owner account.
    #[serde(default)]
    pub owner: u32,
    /// First layer-1 block of interest; the block of installation when absent.
    #[serde(default)]
    pub from_block: Option<u64>,
    /// Idempotency: the same key gives the same approval.
    #[serde(default)]
    pub request_key: Option<String>,
}

/// Parameters of `solution_update`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateInput {
    /// Handle or id of the solution.
    pub solution: String,
    /// `folder:PATH`, `tarball:PATH` or `npm:NAME@VERSION`.
    #[serde(alias = "layer2Script")]
    pub script: String,
    /// Take also a version that is older than the one there, or has the same number.
    #[serde(default)]
    pub allow_not_newer: bool,
    /// Idempotency: the same key gives the same approval.
    #[serde(default)]
    pub request_key: Option<String>,
}

/// Parameters of `solution_dials`: where the dials shall stand. Those that are absent stay.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DialsInput {
    /// Handle or id of the solution.
    pub solution: String,
    /// `node`, `nodes` or `peers`, as far as the plugin offers it.
    #[serde(default)]
    pub networking: Option<String>,
    /// `node`, `light` or `full`, as far as the plugin offers it.
    #[serde(default)]
    pub state: Option<String>,
    /// `node`, `own` or `all`, as far as the plugin offers it.
    #[serde(default)]
    pub history: Option<String>,
}

/// One dial of a solution.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DialView {
    /// `networking`, `state` or `history`.
    pub name: String,
    /// Where it stands.
    pub position: String,
    /// Where it may stand, the plugin's default first.
    pub positions: Vec<String>,
}

/// A registered solution.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SolutionView {
    /// Local id.
    pub id: i64,
    /// Short handle.
    pub name: String,
    /// Title from the manifest (the plugin's words).
    pub title: String,
    /// Layer-1 network.
    pub network: String,
    /// Gateway contract, if any.
    pub gateway: Option<String>,
    /// Layer-2 URLs.
    pub network_urls: Vec<String>,
    /// Root of the plugin's keys.
    pub key_path: String,
    /// Owner account.
    pub owner: u32,
    /// Package name and version.
    pub package: String,
    /// SHA-512 of the package, hex.
    pub package_sha512: String,
    /// `active`, `suspended` or `removed`.
    pub status: String,
    /// `asleep` (it starts when it is asked for something), `starting`, `running`, `failed: …` or `stopped`.
    pub plugin: String,
    /// Digest of the interface pinned at install, 0x-hex.
    pub interface_digest: String,
    /// Actions as the plugin declared them.
    pub actions: Vec<ActionView>,
    /// Names of the published state.
    pub state_names: Vec<String>,
    /// The same names with the types the plugin declares for them.
    #[serde(default)]
    pub state_types: Vec<ParamView>,
    /// Permissions granted.
    pub grants: Vec<String>,
    /// How much of the layer-2 node the plugin takes into the wallet.
    #[serde(default)]
    pub dials: Vec<DialView>,
}

/// One typed action.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionView {
    /// Name.
    pub name: String,
    /// The plugin's description.
    pub description: String,
    /// Solidity-style signature, e.g. `makePayment(address toAddress, uint256 value)`.
    pub signature: String,
    /// Parameters in order.
    pub params: Vec<ParamView>,
    /// Results in order: with one the call gives its value, with several an object by name, with none whatever the
    /// plugin answers.
    #[serde(default)]
    pub returns: Vec<ParamView>,
    /// True when the action declares that it only reads.
    pub read_only: bool,
}

/// One typed parameter.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParamView {
    /// Name.
    pub name: String,
    /// Solidity ABI type.
    #[serde(rename = "type")]
    pub ty: String,
    /// Unit, such as `wei`, if declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Role, such as `amount` or `recipient`, if declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// One row of an approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Label.
    pub label: String,
    /// Value, complete (addresses are never shortened).
    pub value: String,
}

/// A request that waits for the user's decision, or did.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalView {
    /// Number.
    pub id: i64,
    /// `install`, `deposit`, `withdraw`, `sign`.
    pub kind: String,
    /// Handle of the solution it concerns, if there is one yet.
    pub solution: Option<String>,
    /// `pending`, `approved`, `rejected`, `expired`, `done` or `failed`.
    pub state: String,
    /// The wallet's own sentence.
    pub sentence: String,
    /// What is decided, row by row, in the wallet's words.
    pub rows: Vec<Row>,
    /// Plain warnings.
    pub warnings: Vec<String>,
    /// The plugin's own rows, quoted: shown below the wallet's under the plugin's name.
    #[serde(default)]
    pub says: Vec<Row>,
    /// Callers on whose behalf it is asked, in words.
    pub causes: Vec<String>,
    /// Digest of the intent; a decision must name it.
    pub digest: String,
    /// Created, Unix milliseconds.
    pub created_at: i64,
    /// Falls out of the queue at this time.
    pub expires_at: i64,
    /// Who decided: the user, a policy by its number, a rule of the wallet's.
    #[serde(default)]
    pub decided_by: Option<String>,
    /// What came of it: `{ transaction?, transfer?, solution?, signature?, error? }`.
    pub outcome: Json,
}

/// Parameters of `approval_decide`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Decision {
    /// Number of the approval.
    pub id: i64,
    /// True to approve, false to reject.
    pub approve: bool,
    /// The digest that was shown; another one is refused.
    pub digest: String,
    /// Permissions of an install that are refused, as its rows name them; the rest is granted.
    #[serde(default)]
    pub refuse: Vec<String>,
    /// Of a request to connect: the owner accounts that the caller will see; those shown when empty.
    #[serde(default)]
    pub accounts: Vec<u32>,
}

/// Parameters of `deposit` and `withdraw`: a proposal of a layer-1 call to the gateway.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayCallInput {
    /// Handle or id of the solution.
    pub solution: String,
    /// Function; the first of the role when absent.
    #[serde(default)]
    pub function: Option<String>,
    /// Arguments as JSON; for a deposit with one address parameter, the first layer-2 account when absent.
    #[serde(default)]
    pub args: Option<Vec<Json>>,
    /// Wei (decimal string); only for deposits.
    #[serde(default)]
    pub value: Option<String>,
    /// Idempotency: the same key gives the same approval.
    #[serde(default)]
    pub request_key: Option<String>,
}

/// Parameters of `call`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CallInput {
    /// Handle or id of the solution.
    pub solution: String,
    /// Name of the action.
    pub action: String,
    /// Values by parameter name.
    #[serde(default)]
    pub params: serde_json::Map<String, Json>,
    /// Idempotency id: the result is kept; a crash in between answers "outcome unknown" (code -32002).
    #[serde(default)]
    pub id: Option<String>,
}

/// Answer of `state`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StateView {
    /// Handle.
    pub solution: String,
    /// Grows with every `updateLayer2State` since the daemon's start.
    pub version: u64,
    /// The published document.
    pub state: Json,
}

/// A deposit or withdrawal, followed stage by stage.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransferView {
    /// Number.
    pub id: i64,
    /// Handle.
    pub solution: String,
    /// `deposit`, `withdrawal`, `payment-in` or `payment-out`.
    pub kind: String,
    /// Called function.
    pub function: String,
    /// Decimal string in the asset's smallest unit: wei for `ETH`.
    pub amount: String,
    /// `ETH`, a token's address, or what the plugin calls it.
    #[serde(default)]
    pub asset: String,
    /// True where the plugin itself tracks it: amount, asset and stage are its words.
    #[serde(default)]
    pub plugin: bool,
    /// `sent`, `included`, `confirmed`, `failed`; a stage of the plugin's own where it tracks it.
    pub stage: String,
    /// Layer-1 transaction.
    pub transaction: Option<String>,
    /// Gas used, once included.
    pub gas_used: Option<u64>,
    /// Block of inclusion, once included.
    pub block: Option<u64>,
    /// The approval behind it.
    pub approval: Option<i64>,
    /// Created, Unix milliseconds.
    pub created_at: i64,
}

/// Parameters of `policy_add` and `policy_dry_run`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyInput {
    /// Canonical caller.
    pub caller: String,
    /// Handle or id of the solution.
    pub solution: String,
    /// What passes.
    pub rule: crate::policy::Rule,
    /// Ends by itself, Unix milliseconds.
    #[serde(default)]
    pub expires_at: Option<u64>,
}

/// A policy and what it has let pass in its window.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyView {
    /// Number.
    pub id: u64,
    /// Canonical caller.
    pub caller: String,
    /// Handle of the solution.
    pub solution: String,
    /// `active`, `paused`, `expired` or `revoked`.
    pub state: String,
    /// Why it is paused or revoked.
    pub reason: Option<String>,
    /// What passes.
    pub rule: crate::policy::Rule,
    /// Wei that passed in the window, reserved ones included.
    pub used: String,
    /// Wei of fees in the window.
    pub used_fees: String,
    /// Requests in the window.
    pub used_count: u64,
    /// Unix milliseconds.
    pub created_at: u64,
    /// Ends by itself, Unix milliseconds.
    pub expires_at: Option<u64>,
}

/// Answer of `policy_dry_run`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DryRunView {
    /// Requests that would have passed without asking.
    pub passed: u64,
    /// Wei of those.
    pub total: String,
    /// Every request of that caller, oldest first.
    pub rows: Vec<DryRunRow>,
}

/// One request of the past, and what the policy would have said.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DryRunRow {
    /// When it was asked, Unix milliseconds.
    pub at: u64,
    /// The caller's action.
    pub action: String,
    /// Kind of the request: `call`, `deposit`, …
    pub kind: String,
    /// Wei.
    pub amount: String,
    /// What became of it then.
    pub decided: String,
    /// True if the policy would have let it pass.
    pub passes: bool,
    /// The limit that would have stopped it.
    pub reason: Option<String>,
}

/// Something a plugin, or the wallet itself, told the user.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NoticeView {
    /// Number.
    pub id: u64,
    /// Handle of the solution it is from or about; none for the wallet's own.
    pub solution: Option<String>,
    /// True where the words are the plugin's: quote and attribute them.
    pub plugin: bool,
    /// `info`, `success`, `warning` or `danger`.
    pub level: String,
    /// The words, cleaned and capped.
    pub text: String,
    /// An action of the solution that goes with it.
    pub action: Option<String>,
    /// Created, Unix milliseconds.
    pub created_at: u64,
    /// The user has seen it.
    pub read: bool,
}

/// A screen that a plugin shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScreenView {
    /// Number, for `screen_answer`.
    pub id: u64,
    /// Handle of the solution.
    pub solution: String,
    /// True while the plugin waits for an answer, which closes the screen.
    pub asks: bool,
    /// The checked tree.
    pub screen: Json,
    /// The same for a terminal, in the plugin's frame.
    pub text: String,
}

/// The wallet's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The seed locks by itself when the user has not decided anything for so long; 0 for never.
    pub auto_lock_seconds: u64,
    /// Layer-2 accounts stay open for their plugins while the seed is locked, so that these can watch and defend.
    pub layer2_while_locked: bool,
}

/// Parameters of `exit`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExitInput {
    /// Handle or id of the solution; a removed one by its id.
    pub solution: String,
    /// Index of the layer-2 account.
    #[serde(default)]
    pub account: u32,
    /// Where the account lacks ETH for the fee: propose to send it some from the owner, instead of an error.
    #[serde(default)]
    pub fund: bool,
    /// Idempotency: the same key gives the same approval.
    #[serde(default)]
    pub request_key: Option<String>,
}

/// Answer of `gateway`: what the wallet itself finds on layer 1, beside what the plugin claims.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayView {
    /// Handle of the solution.
    pub solution: String,
    /// The contract.
    pub address: String,
    /// What it is: proxy, implementation, token, interface, publisher's word.
    pub rows: Vec<Row>,
    /// What the user must read.
    pub warnings: Vec<String>,
    /// Wei that the gateway counts as locked for the solution's accounts; absent where it does not say.
    pub locked_balance: Option<String>,
    /// What the plugin publishes as balance, in its own words; absent where it publishes none.
    pub claimed_balance: Option<Json>,
    /// ETH of the contract, wei.
    pub contract_balance: String,
    /// Whether the contract could pay everybody, in words; says so when it cannot be told.
    pub solvency: String,
}

/// Parameters of `fund`: ETH to a layer-2 account, by the user's own hand.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FundInput {
    /// Handle or id of the solution.
    pub solution: String,
    /// Index of the layer-2 account.
    pub account: u32,
    /// Wei (decimal string).
    pub value: String,
    /// Idempotency: the same key gives the same approval.
    #[serde(default)]
    pub request_key: Option<String>,
}
