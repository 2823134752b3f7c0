//! What a call would change, found out before anybody signs it.

mod assemble;
mod claims;
mod reads;

use alloy::primitives::{Address, Bytes, I256, U256};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::Layer1Error;
use crate::network::{CallRequest, Network};
use crate::revert;
use crate::tracker::quantity;
use assemble::assemble;
use claims::RawLog;
use reads::{Plan, Read};

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
    /// The JSON-RPC method that gave this: `eth_simulateV1`, `debug_traceCall` or `eth_call`; [`UNTRIED`] where none did.
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

/// Stands for the method where a call behind others could not be tried at all.
pub const UNTRIED: &str = "untried";

impl Network {
    /// What `call` would change now.
    ///
    /// `eth_simulateV1` is asked twice: once for the logs, which name the tokens and accounts that may be concerned, and
    /// once more with every balance and allowance in question read before and after in the same simulated block. So a
    /// token is shown as it is, whatever its events claim. Endpoints without it are asked for `debug_traceCall`, where
    /// tokens are shown as their events claim, and at last for `eth_call`; both are not [complete](Effects::complete).
    ///
    /// A call that would revert is no error: its effects have `success: false` and the reason.
    ///
    /// # Errors
    /// Those of [`Network::request`] where no endpoint answers.
    pub async fn simulate(&self, call: &CallRequest) -> Result<Effects, Layer1Error> {
        self.simulate_after(&[], call).await
    }

    /// As [`Network::simulate`], with the calls of `before` carried out first. Only `eth_simulateV1` can do that: where the
    /// endpoint has it not, the effects of a call with others before it say `"untried"` and nothing else.
    ///
    /// # Errors
    /// As [`Network::simulate`].
    pub async fn simulate_after(&self, before: &[CallRequest], call: &CallRequest) -> Result<Effects, Layer1Error> {
        match self.simulate_blocks(before, call).await {
            Err(error) if is_no_answer(&error) => return Err(error),
            Err(error) if lacks_funds(&error) => return Ok(refused("eth_simulateV1", &error)),
            Err(error) => tracing::debug!(%error, "eth_simulateV1 gives nothing; trying debug_traceCall"),
            Ok(effects) => return Ok(effects),
        }
        if !before.is_empty() {
            return Ok(nothing(UNTRIED));
        }
        match self.trace(call).await {
            Err(error) if is_no_answer(&error) => return Err(error),
            Err(error) if lacks_funds(&error) => return Ok(refused("debug_traceCall", &error)),
            Err(error) => tracing::debug!(%error, "debug_traceCall gives nothing; trying eth_call"),
            Ok(effects) => return Ok(effects),
        }
        self.only_call(call).await
    }

    async fn simulate_blocks(&self, before: &[CallRequest], call: &CallRequest) -> Result<Effects, Layer1Error> {
        let method = "eth_simulateV1";
        let mut calls: Vec<Value> = before.iter().map(CallRequest::to_json).collect();
        let earlier = calls.len();
        calls.push(call.to_json());
        let first = self.run_calls(&calls).await?;
        let outcome = match first.last() {
            Some(outcome) if first.len() == calls.len() => outcome,
            _ => return Err(odd(method, "it has not one result for each call")),
        };
        if !outcome.success() {
            return Ok(Effects { complete: true, ..outcome.effects(method) });
        }
        let touched = self.touched(call).await;
        let all_known = touched.is_some();
        let plan = Plan::new(call, &outcome.logs, &touched.unwrap_or_default());
        let reads: Vec<Value> = plan.reads.iter().copied().map(Read::to_json).collect();
        calls.truncate(earlier);
        calls.extend(reads.iter().cloned());
        calls.push(call.to_json());
        calls.extend(reads);
        let second = match self.run_calls(&calls).await {
            Ok(second) if second.len() == calls.len() => second,
            Err(error) if is_no_answer(&error) => return Err(error),
            // Too many reads for this endpoint: what the events claim is better than nothing.
            _ => return Ok(assemble(outcome.effects(method), &outcome.logs, &[], &[], &[], false)),
        };
        let count = plan.reads.len();
        let answer = |at: usize| second.get(at).and_then(Outcome::word);
        let before: Vec<_> = (0..count).map(|read| answer(earlier + read)).collect();
        let after: Vec<_> = (0..count).map(|read| answer(earlier + count + 1 + read)).collect();
        let main = second.get(earlier + count).ok_or_else(|| odd(method, "a result is missing"))?;
        if !main.success() {
            return Ok(Effects { complete: true, ..main.effects(method) });
        }
        Ok(assemble(main.effects(method), &main.logs, &plan.reads, &before, &after, plan.complete && all_known))
    }

    /// Runs calls one after the other in one simulated block on top of the head.
    async fn run_calls(&self, calls: &[Value]) -> Result<Vec<Outcome>, Layer1Error> {
        let asked = json!({ "blockStateCalls": [{ "calls": calls }], "traceTransfers": true, "validation": false });
        let mut blocks: Vec<SimulatedBlock> = self.get("eth_simulateV1", json!([asked, "latest"])).await?;
        match (blocks.pop(), blocks.is_empty()) {
            (Some(block), true) => Ok(block.calls),
            _ => Err(odd("eth_simulateV1", "it does not hold one block")),
        }
    }

    /// The contracts whose storage the call touches, where the endpoint tells: also those that write no logs.
    /// `None` where it does not.
    async fn touched(&self, call: &CallRequest) -> Option<Vec<Address>> {
        let list: Result<AccessListAnswer, _> =
            self.get("eth_createAccessList", json!([call.to_json(), "latest"])).await;
        match list {
            Ok(list) => Some(list.access_list.into_iter().map(|item| item.address).collect()),
            Err(error) => {
                tracing::debug!(%error, "no access list; only contracts that write logs are looked at");
                None
            }
        }
    }

    async fn trace(&self, call: &CallRequest) -> Result<Effects, Layer1Error> {
        let method = "debug_traceCall";
        let options = json!({ "tracer": "callTracer", "tracerConfig": { "withLog": true } });
        let frame: Frame = self.get(method, json!([call.to_json(), "latest", options])).await?;
        if let Some(words) = &frame.error {
            let reason = Some(revert::reason(frame.output.as_ref().map_or(&[], |output| output.as_ref()), words));
            return Ok(Effects { success: false, reason, gas_used: frame.gas_used, ..nothing(method) });
        }
        let mut logs = Vec::new();
        frame.collect(&mut logs);
        let effects = Effects { gas_used: frame.gas_used, ..nothing(method) };
        Ok(assemble(effects, &logs, &[], &[], &[], false))
    }

    /// Whether it reverts, and the ether that goes with it: all that `eth_call` tells.
    async fn only_call(&self, call: &CallRequest) -> Result<Effects, Layer1Error> {
        let method = "eth_call";
        let gas_used = match self.call(call).await {
            Ok(_) => self.estimate_gas(call).await,
            Err(error) => Err(error),
        };
        match gas_used {
            Ok(gas_used) => {
                // What a creation is sent goes to an address that is not known yet: what leaves counts.
                let log = RawLog::ether(call.from, call.to.into_to().unwrap_or_default(), call.value);
                Ok(assemble(Effects { gas_used, ..nothing(method) }, &[log], &[], &[], &[], false))
            }
            Err(Layer1Error::Reverted { reason, .. }) => {
                Ok(Effects { success: false, reason: Some(reason), ..nothing(method) })
            }
            Err(error) if lacks_funds(&error) => Ok(refused(method, &error)),
            Err(error) => Err(error),
        }
    }
}

/// Effects of a call that changes nothing, as far as `method` tells.
fn nothing(method: &'static str) -> Effects {
    Effects {
        success: true,
        reason: None,
        gas_used: 0,
        ether: Vec::new(),
        tokens: Vec::new(),
        allowances: Vec::new(),
        method,
        complete: false,
    }
}

fn refused(method: &'static str, error: &Layer1Error) -> Effects {
    Effects { success: false, reason: Some(error.to_string()), ..nothing(method) }
}

/// Asking in another way does not help.
fn is_no_answer(error: &Layer1Error) -> bool {
    matches!(error, Layer1Error::Unreachable { .. } | Layer1Error::ChainIdMismatch { .. } | Layer1Error::Closed)
}

fn lacks_funds(error: &Layer1Error) -> bool {
    matches!(error, Layer1Error::Rpc { message, .. } if message.to_ascii_lowercase().contains("insufficient funds"))
}

fn odd(method: &str, reason: &str) -> Layer1Error {
    Layer1Error::BadAnswer { method: method.to_owned(), reason: reason.to_owned() }
}

#[derive(Deserialize)]
struct SimulatedBlock {
    calls: Vec<Outcome>,
}

/// What one simulated call did.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    #[serde(default)]
    return_data: Bytes,
    #[serde(default)]
    logs: Vec<RawLog>,
    #[serde(deserialize_with = "quantity")]
    gas_used: u64,
    status: U256,
    error: Option<OutcomeError>,
}

#[derive(Deserialize)]
struct OutcomeError {
    #[serde(default)]
    message: String,
    data: Option<Bytes>,
}

impl Outcome {
    fn success(&self) -> bool {
        self.status == U256::ONE
    }

    /// The one word that a successful read returns.
    fn word(&self) -> Option<U256> {
        (self.success() && self.return_data.len() == 32).then(|| U256::from_be_slice(&self.return_data))
    }

    fn effects(&self, method: &'static str) -> Effects {
        let reason = (!self.success()).then(|| {
            let (words, data) = match &self.error {
                Some(error) => (error.message.as_str(), error.data.clone().unwrap_or_default()),
                None => ("execution failed", Bytes::new()),
            };
            let data = if self.return_data.is_empty() { data } else { self.return_data.clone() };
            revert::reason(&data, words)
        });
        Effects { success: self.success(), reason, gas_used: self.gas_used, ..nothing(method) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccessListAnswer {
    access_list: Vec<AccessListItem>,
}

#[derive(Deserialize)]
struct AccessListItem {
    address: Address,
}

/// A call within a call, as geth's `callTracer` writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Frame {
    #[serde(rename = "type")]
    kind: String,
    from: Address,
    to: Option<Address>,
    value: Option<U256>,
    #[serde(default, deserialize_with = "quantity")]
    gas_used: u64,
    output: Option<Bytes>,
    error: Option<String>,
    #[serde(default)]
    logs: Vec<RawLog>,
    #[serde(default)]
    calls: Vec<Frame>,
}

impl Frame {
    /// The logs of what was not undone, and ether that moved as if it were a token's. The depth is bounded by the JSON
    /// parser (128).
    fn collect(&self, logs: &mut Vec<RawLog>) {
        if self.error.is_some() {
            return;
        }
        let moves = matches!(self.kind.as_str(), "CALL" | "CREATE" | "CREATE2" | "SELFDESTRUCT");
        if let (true, Some(to), Some(value)) = (moves, self.to, self.value) {
            logs.push(RawLog::ether(self.from, to, value));
        }
        logs.extend(self.logs.iter().cloned());
        for call in &self.calls {
            call.collect(logs);
        }
    }
}

#[cfg(test)]
mod tests;
