//! A call of an own account before anybody is asked about it: whether the account can pay, what it costs, what it would
//! change, what it is in words, and who the user knows. The user's own sending and what sites ask for are looked at by
//! the same eyes.

use super::{FEE_HEADROOM, OwnIntent, REMEMBERED};
use crate::approvals::GAS_MARGIN_PERCENT;
use crate::decode::{self, erc7730::Descriptors};
use crate::effects::Told;
use crate::error::{HostError, code};
use crate::messages::Row;
use crate::text::{ether, row};
use crate::token::{self, Tokens};
use crate::{Host, blocking, lookalike};
use alloy::json_abi::Function;
use alloy::primitives::{Address, TxKind, U256};
use entresol_layer1::{CallRequest, FeeSpeed, Fees, Network, UNTRIED};
use entresol_store::{Approval, ApprovalFilter, ApprovalState};
use entresol_vault::Intent;

/// Gas taken for a call that no endpoint can try behind the calls before it.
const UNTRIED_GAS: u64 = 500_000;
/// A simulated call used so much; the estimate that a call alone would get is a little higher (refunds, the 63/64 rule).
const TRIED_MARGIN_PERCENT: u64 = 20;
/// What a call costs.
pub(crate) struct Price {
    pub(crate) now: U256,
    pub(crate) ceiling: U256,
}

impl Price {
    pub(crate) fn of(gas: u64, fees: &Fees) -> Self {
        Self::at_least(gas, 0, fees)
    }

    /// With a gas limit that somebody asked for, where it is higher than the wallet's own.
    pub(crate) fn at_least(gas: u64, least_gas: u64, fees: &Fees) -> Self {
        let limit = gas.saturating_add(gas.saturating_mul(GAS_MARGIN_PERCENT) / 100).max(least_gas);
        let most = U256::from(limit) * U256::from(fees.max_fee_per_gas);
        Self {
            now: U256::from(gas) * U256::from(fees.base_fee.saturating_add(fees.max_priority_fee_per_gas)),
            ceiling: most.saturating_mul(U256::from(FEE_HEADROOM)),
        }
    }

    pub(crate) fn row(&self) -> Row {
        row("Fee", format!("about {}, at most {}", ether(self.now), ether(self.ceiling)))
    }
}

/// A call that an own account is to make.
pub(crate) struct Planned<'a> {
    /// The account, in words.
    pub(crate) from: &'a str,
    /// What it sends, in words.
    pub(crate) what: &'a str,
    pub(crate) call: &'a CallRequest,
    /// The calls that are to go before it.
    pub(crate) before: &'a [CallRequest],
    /// The fees of those.
    pub(crate) fees_before: U256,
    pub(crate) speed: FeeSpeed,
    /// Least gas limit.
    pub(crate) least_gas: u64,
}

/// A call that was looked at.
pub(crate) struct Reviewed {
    pub(crate) price: Price,
    pub(crate) told: Told,
}

impl Host {
    /// Looks at a planned call: what it costs and changes.
    ///
    /// # Errors
    /// The account has too little; the call would fail (-32003, with the contract's reason); layer 1 does not answer.
    pub(crate) async fn review(&self, network: &Network, planned: &Planned<'_>) -> Result<Reviewed, HostError> {
        let Planned { from, what, call, before, fees_before, speed, least_gas } = *planned;
        let balance = network.balance(call.from).await?;
        let value = before.iter().fold(call.value, |sum, one| sum.saturating_add(one.value));
        if balance < value {
            let (has, name) = (ether(balance), network.name());
            return Err(too_little(&format!("{from} has {has} on {name}; {what} is to be sent, and the fee")));
        }
        // Alone it is estimated as it will be sent; behind others only the simulation can say.
        let alone = match before.is_empty() {
            true => Some(network.estimate_gas(call).await?),
            false => None,
        };
        let (effects, told) = self.simulated_after(network, before, call, None).await?;
        if told.fails {
            return Err(HostError::new(code::TRANSACTION_REJECTED, told.warnings.join(" ")));
        }
        let gas = match alone {
            Some(gas) => gas,
            None if effects.method == UNTRIED => UNTRIED_GAS,
            None => effects.gas_used.saturating_add(effects.gas_used / 100 * TRIED_MARGIN_PERCENT),
        };
        let price = Price::at_least(gas, least_gas, &network.fees_at(speed).await?);
        let fee = fees_before.saturating_add(price.now);
        if balance < value.saturating_add(fee) {
            let (has, value, fee) = (ether(balance), ether(value), ether(fee));
            return Err(too_little(&format!("{from} has {has}; {value} and a fee of about {fee} are needed")));
        }
        Ok(Reviewed { price, told })
    }

    /// Says whether the recipient is a contract.
    pub(crate) async fn recipient_row(&self, network: &Network, to: Address) -> Result<Option<Row>, HostError> {
        let contract = !network.code(to).await?.is_empty();
        Ok(contract.then(|| row("Recipient", "a contract: what it does with this is its own affair")))
    }

    /// Explains a call: the given ABI, standards, the user's descriptors, hints; with the units of the tokens involved.
    pub(crate) async fn explain(
        &self,
        network: &Network,
        request: &CallRequest,
        abi: &[Function],
    ) -> Result<decode::Decoded, HostError> {
        let folder = self.inner.config.home.join("descriptors");
        let (descriptors, problems) = blocking(move || Ok::<_, HostError>(Descriptors::load(&folder))).await?;
        for problem in problems {
            tracing::warn!(%problem, "a descriptor was left out");
        }
        let TxKind::Call(to) = request.to else { return Ok(decode::creation(&request.input)) };
        let call = decode::Call {
            chain_id: network.chain_id(),
            from: request.from,
            to,
            value: request.value,
            input: &request.input,
        };
        let first = decode::decode(&call, &decode::Known { abi, descriptors: &descriptors, tokens: &Tokens::new() });
        let mut wanted = descriptors.tokens_of(&call);
        wanted.extend(first.token_amount.map(|(token, _)| token));
        if wanted.is_empty() {
            return Ok(first);
        }
        let tokens = token::read_all(network, wanted).await?;
        Ok(decode::decode(&call, &decode::Known { abi, descriptors: &descriptors, tokens: &tokens }))
    }

    /// What the user must read about a recipient.
    pub(crate) fn recipient_warnings(&self, to: Address, token: Option<Address>) -> Result<Vec<String>, HostError> {
        Ok(lookalike::warnings(to, &self.known_addresses(token)?))
    }

    /// What the user must read about a contract that is called.
    pub(crate) fn look_alikes(&self, to: Address) -> Result<Vec<String>, HostError> {
        Ok(lookalike::look_alikes(to, &self.known_addresses(None)?))
    }

    /// Own accounts, the wallet's contracts, and the recipients of the user's own approved requests. What merely
    /// arrived, or appears on the chain, makes nobody known.
    fn known_addresses(&self, token: Option<Address>) -> Result<lookalike::Known, HostError> {
        let mut known = lookalike::Known { own: self.own_accounts()?, ..lookalike::Known::default() };
        if let Some(token) = token {
            known.contracts.insert(token, "the contract of this very token".to_owned());
        }
        for solution in self.store().solutions()? {
            if let Some(gateway) = solution.spec.gateway.as_deref().and_then(|text| text.parse().ok()) {
                known.contracts.insert(gateway, format!("the gateway of {}", solution.spec.name));
            }
        }
        let filter =
            ApprovalFilter { state: Some(ApprovalState::Done), limit: Some(REMEMBERED), ..ApprovalFilter::default() };
        for approval in self.store().approvals(filter)? {
            if approval.request.kind != "send" {
                continue;
            }
            if let Some(recipient) = recipient(&approval) {
                known.recipients.insert(recipient, format!("an earlier recipient, request {}", approval.id));
            }
        }
        Ok(known)
    }
}

/// Who got something by an own sending; nobody for one of nothing.
fn recipient(approval: &Approval) -> Option<Address> {
    let own: OwnIntent = serde_json::from_value(approval.request.intent.clone()).ok()?;
    let Intent::Transaction { to: TxKind::Call(to), value, input, .. } = own.call.intent else { return None };
    if input.is_empty() {
        return (!value.is_zero()).then_some(to);
    }
    // Nothing else makes anybody known: whom a site lets the user empower is no recipient of theirs.
    let (to, amount) = crate::ledger::token_transfer(&input)?;
    (!amount.is_zero()).then_some(to)
}

pub(super) fn too_little(why: &str) -> HostError {
    HostError::new(code::TRANSACTION_REJECTED, why)
}
