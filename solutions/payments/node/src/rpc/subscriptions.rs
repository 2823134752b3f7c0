//! What subscribers are told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy::primitives::Address;
use serde_json::{Value, json};

use super::RpcError;

/// What one subscription wants to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    /// Changes of one account: promised, sequenced, final, rolled back.
    Account(Address),
    /// Batches that appear, are verified, become final or fall.
    Batches,
    /// What a user or an operator should look at: false batches, contests, reorganisations, halts.
    Alerts,
}

impl Topic {
    /// Reads the parameters of `l2_subscribe`: `["account", address]`, `["batches"]` or `["alerts"]`.
    pub(crate) fn parse(params: &Value) -> Result<Self, RpcError> {
        let part = |i: usize| params.get(i).and_then(Value::as_str);
        match (part(0), part(1)) {
            (Some("account"), Some(address)) => {
                let address = address.parse().map_err(|_| RpcError::params("account needs a 20-byte 0x-address"))?;
                Ok(Self::Account(address))
            }
            (Some("account"), None) => Err(RpcError::params("account needs an address as second parameter")),
            (Some("batches"), _) => Ok(Self::Batches),
            (Some("alerts"), _) => Ok(Self::Alerts),
            _ => Err(RpcError::params("subscribe to \"account\" (with an address), \"batches\" or \"alerts\"")),
        }
    }

    /// The name in the notification.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Account(_) => "account",
            Self::Batches => "batches",
            Self::Alerts => "alerts",
        }
    }
}

/// Something that happened, for whoever wants to hear it.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    pub(crate) topic: Topic,
    pub(crate) body: Value,
}

impl Notice {
    pub(crate) fn alert(kind: &str, text: impl Into<String>, facts: Value) -> Self {
        let text = text.into();
        tracing::warn!(target: "payments_node::alert", kind, %facts, "{text}");
        Self { topic: Topic::Alerts, body: json!({ "kind": kind, "text": text, "facts": facts }) }
    }
}

/// Which accounts somebody listens for. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interests {
    accounts: Arc<Mutex<HashMap<Address, usize>>>,
}

/// One listener's interest in one account, until it is dropped.
#[derive(Debug)]
pub(crate) struct Interest {
    interests: Interests,
    account: Address,
}

impl Interests {
    /// Whether anybody listens for the account.
    pub(crate) fn wants(&self, account: Address) -> bool {
        self.lock().contains_key(&account)
    }

    /// Registers a listener.
    pub(crate) fn listen(&self, account: Address) -> Interest {
        *self.lock().entry(account).or_default() += 1;
        Interest { interests: self.clone(), account }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Address, usize>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        let mut accounts = self.interests.lock();
        if let Some(listeners) = accounts.get_mut(&self.account) {
            *listeners -= 1;
            if *listeners == 0 {
                accounts.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_wanted_as_long_as_somebody_listens() {
        let interests = Interests::default();
        let (one, other) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let (first, second) = (interests.listen(one), interests.clone().listen(one));
        assert!(interests.wants(one) && !interests.wants(other));
        drop(first);
        assert!(interests.wants(one));
        drop(second);
        assert!(!interests.wants(one));
    }
}
