//! What a call would change, found out before anybody signs it.

use alloy::primitives::{Address, I256, U256};
use serde::Serialize;

use crate::error::Layer1Error;
use crate::network::{CallRequest, Network};

/// What a call would change if it were included now.
///
/// The state of now is not the state of the block that includes it: another's transaction may come before. Effects
/// inform an approval; they do not bind the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effects {
    /// False when it would revert.
    pub success: bool,
    /// Why it would revert, in the contract's words, capped.
    pub reason: Option<String>,
    /// Gas used.
    pub gas_used: u64,
    /// Ether that moves, per account; the fee is not in it. Accounts without change are left out.
    pub ether: Vec<EtherChange>,
    /// Tokens that move, per token and account.
    pub tokens: Vec<TokenChange>,
    /// Allowances that are different afterwards.
    pub allowances: Vec<AllowanceChange>,
    /// The JSON-RPC method that gave this: `eth_simulateV1`, `debug_traceCall` or `eth_call`.
    pub method: &'static str,
    /// True when token balances and allowances were read before and after in the same simulation. False: there may be
    /// changes that are not listed, and tokens are shown as their events claim.
    pub complete: bool,
}

/// A change of an account's ether.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EtherChange {
    /// Whose.
    pub account: Address,
    /// Wei; negative when it leaves.
    pub delta: I256,
}

/// A change of what an account has of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenChange {
    /// The token's contract.
    pub token: Address,
    /// Whose.
    pub account: Address,
    /// What changes.
    pub kind: TokenChangeKind,
}

/// What changes, by the token's standard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "standard", rename_all = "lowercase")]
pub enum TokenChangeKind {
    /// Fungible (ERC-20).
    Erc20 {
        /// In the token's smallest unit; negative when it leaves.
        delta: I256,
    },
    /// One of its kind (ERC-721).
    Erc721 {
        /// Which.
        id: U256,
        /// True when the account gets it, false when it gives it away.
        received: bool,
    },
    /// Several of a kind (ERC-1155).
    Erc1155 {
        /// Which kind.
        id: U256,
        /// How many; negative when they leave.
        delta: I256,
    },
}

/// An allowance that is different afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AllowanceChange {
    /// The token's contract.
    pub token: Address,
    /// Who allows.
    pub owner: Address,
    /// Who may take.
    pub spender: Address,
    /// What may be taken afterwards.
    pub amount: Allowance,
}

/// What may be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "standard", content = "value", rename_all = "lowercase")]
pub enum Allowance {
    /// ERC-20: up to this amount, in the token's smallest unit; 0 takes the allowance back.
    Erc20(U256),
    /// ERC-721: the one with this id.
    Nft(U256),
    /// ERC-721 and ERC-1155 `setApprovalForAll`: everything, or no longer anything.
    All(bool),
}

impl Network {
    /// What `call` would change now.
    ///
    /// A call that would revert is no error: its effects have `success: false` and the reason.
    ///
    /// # Errors
    /// Those of [`Network::request`] where no endpoint answers.
    pub async fn simulate(&self, call: &CallRequest) -> Result<Effects, Layer1Error> {
        let mut effects = Effects {
            success: true,
            reason: None,
            gas_used: 0,
            ether: Vec::new(),
            tokens: Vec::new(),
            allowances: Vec::new(),
            method: "eth_call",
            complete: false,
        };
        match self.estimate_gas(call).await {
            Ok(gas) => effects.gas_used = gas,
            Err(Layer1Error::Reverted { reason, .. }) => {
                effects.success = false;
                effects.reason = Some(reason);
                return Ok(effects);
            }
            Err(error) => return Err(error),
        }
        if !call.value.is_zero() && call.from != call.to {
            let value = I256::try_from(call.value).unwrap_or(I256::MAX);
            effects.ether.push(EtherChange { account: call.from, delta: -value });
            effects.ether.push(EtherChange { account: call.to, delta: value });
        }
        Ok(effects)
    }
}
