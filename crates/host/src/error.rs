//! One error type for everything the host answers: a JSON-RPC code, words that name the fix, and data.

use serde_json::{Value as Json, json};

/// Codes of JSON-RPC 2.0, EIP-1193 and EIP-1474 that the host uses.
pub mod code {
    /// EIP-1193: the user said no.
    pub const REJECTED: i32 = 4001;
    /// EIP-1193: not authorised.
    pub const UNAUTHORIZED: i32 = 4100;
    /// EIP-1193: not supported.
    pub const UNSUPPORTED: i32 = 4200;
    /// EIP-3326: the wallet does not know this chain.
    pub const UNKNOWN_CHAIN: i32 = 4902;
    /// EIP-1193: disconnected (node or chain does not answer).
    pub const DISCONNECTED: i32 = 4900;
    /// JSON-RPC: parameters that do not fit.
    pub const INVALID_PARAMS: i32 = -32602;
    /// JSON-RPC: our own fault.
    pub const INTERNAL: i32 = -32603;
    /// EIP-1474: what is asked for does not exist.
    pub const NOT_FOUND: i32 = -32001;
    /// EIP-1474 "resource unavailable": an earlier call with this id was cut off; its outcome is not known.
    pub const OUTCOME_UNKNOWN: i32 = -32002;
    /// EIP-1474 "transaction rejected": the layer-1 call would fail or did fail.
    pub const TRANSACTION_REJECTED: i32 = -32003;
    /// EIP-5792: a capability that is not optional is not supported.
    pub const UNSUPPORTED_CAPABILITY: i32 = 5700;
    /// EIP-5792: the bundle is for another chain.
    pub const UNSUPPORTED_CHAIN: i32 = 5710;
    /// EIP-5792: there is a bundle with this id already.
    pub const DUPLICATE_BUNDLE: i32 = 5720;
    /// EIP-5792: there is no bundle with this id.
    pub const UNKNOWN_BUNDLE: i32 = 5730;
    /// EIP-5792: more calls than the wallet takes.
    pub const BUNDLE_TOO_LARGE: i32 = 5740;
    /// EIP-5792: all calls or none cannot be had.
    pub const NOT_ATOMIC: i32 = 5760;
    /// EIP-1474: a limit is exceeded.
    pub const LIMIT: i32 = -32005;
    /// The plugin was stopped by one of its limits or failed.
    pub const PLUGIN_STOPPED: i32 = -32010;
    /// The plugin's script threw an error without a code of its own.
    pub const PLUGIN_ERROR: i32 = -32011;
    /// An `expect` of `batchLocalDb` does not hold: read again and retry.
    pub const EXPECTATION_FAILED: i32 = -32012;
}

/// An error of the host. `Display` gives the message only.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct HostError {
    /// See [`code`].
    pub code: i32,
    /// What is wrong and what to do.
    pub message: String,
    /// More, for programs; `null` when there is nothing.
    pub data: Json,
}

impl HostError {
    /// An error with `code` and `message`.
    #[must_use]
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: Json::Null }
    }

    /// The same error with `data`.
    #[must_use]
    pub fn with(mut self, data: Json) -> Self {
        self.data = data;
        self
    }

    /// Parameters that do not fit.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(code::INVALID_PARAMS, message)
    }

    /// Refused by [`authorize`](crate::authorize).
    #[must_use]
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(code::UNAUTHORIZED, message)
    }

    /// Nothing by that name.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(code::NOT_FOUND, message)
    }

    /// Our own fault.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(code::INTERNAL, message)
    }

    /// `{ code, message, data }`, as it crosses every boundary.
    #[must_use]
    pub fn to_json(&self) -> Json {
        json!({ "code": self.code, "message": self.message, "data": self.data })
    }
}

/// The message of `error` and of everything beneath it, joined by ": ".
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

impl From<entresol_store::StoreError> for HostError {
    fn from(error: entresol_store::StoreError) -> Self {
        use entresol_store::StoreError as E;
        let code = match &error {
            E::NotFound { .. } => code::NOT_FOUND,
            E::ExpectationFailed { .. } => code::EXPECTATION_FAILED,
            E::QuotaExceeded { .. } | E::AccountsExhausted { .. } => code::LIMIT,
            E::NameTaken { .. }
            | E::PeerTaken { .. }
            | E::KeyPathTaken { .. }
            | E::SolutionChanged { .. }
            | E::NotPending { .. }
            | E::DigestMismatch { .. }
            | E::ApprovalExpired { .. }
            | E::CallIdReused { .. } => code::INVALID_PARAMS,
            _ => code::INTERNAL,
        };
        let data = match &error {
            E::QuotaExceeded { used, quota } => json!({ "used": used, "quota": quota }),
            E::ExpectationFailed { key } => json!({ "key": key }),
            _ => Json::Null,
        };
        Self::new(code, chain(&error)).with(data)
    }
}

impl From<entresol_layer1::Layer1Error> for HostError {
    fn from(error: entresol_layer1::Layer1Error) -> Self {
        use entresol_layer1::Layer1Error as E;
        let code = match &error {
            E::Unreachable { .. } | E::Closed => code::DISCONNECTED,
            E::Reverted { .. }
            | E::Rejected { .. }
            | E::FeeAboveCeiling { .. }
            | E::NonceNotNext { .. }
            | E::NotReplaceable { .. } => code::TRANSACTION_REJECTED,
            E::ChainIdMismatch { .. } | E::Config(_) => code::INVALID_PARAMS,
            E::UnknownTransaction(_) => code::NOT_FOUND,
            _ => code::INTERNAL,
        };
        Self::new(code, chain(&error))
    }
}

impl From<entresol_vault::VaultError> for HostError {
    fn from(error: entresol_vault::VaultError) -> Self {
        use entresol_vault::VaultError as E;
        let code = match &error {
            E::Locked | E::WrongPassphrase => code::UNAUTHORIZED,
            E::NotTheApprovedIntent { .. } => code::INTERNAL,
            _ => code::INVALID_PARAMS,
        };
        Self::new(code, chain(&error))
    }
}

impl From<entresol_package::PackageError> for HostError {
    fn from(error: entresol_package::PackageError) -> Self {
        Self::invalid(chain(&error))
    }
}
