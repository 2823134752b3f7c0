//! What the node's key can pay, and the operator's bond.

use alloy::primitives::{Address, U256};
use serde_json::{Value, json};

use super::Core;
use crate::rpc::Notice;

/// What was found when it was last looked at. All amounts in wei.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Purse {
    /// The node's own layer-1 account.
    pub(crate) account: Address,
    /// What it has.
    pub(crate) balance: U256,
    /// What the next transactions may cost at the prices of the moment.
    pub(crate) needed: U256,
    /// The operator's bond at the gateway; not of a replica.
    pub(crate) bond: Option<U256>,
}

impl Purse {
    /// For `l2_status`.
    pub(crate) fn show(&self) -> Value {
        json!({
            "account": self.account,
            "balance": self.balance.to_string(),
            "needed": self.needed.to_string(),
            "bond": self.bond.map(|bond| bond.to_string()),
        })
    }

    fn low(&self, min_bond: u128) -> Option<String> {
        match self.bond {
            Some(bond) if bond < U256::from(min_bond) => Some(format!(
                "the bond is {bond} wei, below {min_bond} the gateway takes no batch: bond more, or give --keep-bond"
            )),
            _ if self.balance < self.needed => Some(format!(
                "{} has {} wei and may soon need {}: send ETH to it",
                self.account, self.balance, self.needed
            )),
            _ => None,
        }
    }
}

impl Core {
    /// Takes what was found; alerts when it became too little.
    pub(crate) fn look_into(&mut self, purse: Purse) {
        let min_bond = self.chain.terms.min_bond;
        let was_low = self.purse.as_ref().is_some_and(|before| before.low(min_bond).is_some());
        // After a halt nothing more is posted, and the bond is for the taking.
        if let Some(text) = purse.low(min_bond).filter(|_| !was_low && !self.chain.halted) {
            self.notify(Notice::alert("bond-low", text, purse.show()));
        }
        self.purse = Some(purse);
    }
}
