//! What a simulated call changes, in words: ETH, tokens and allowances of the user's own accounts.
//!
//! A simulation informs; it binds nothing. The block that includes the call may be another one, and a contract may
//! behave otherwise in it: the rows say how they were found out.

use crate::messages::Row;
use crate::text::{ether, quoted, row};
use crate::token::{self, Tokens};
use crate::{Host, HostError, decode};
use alloy::primitives::{Address, I256};
use entresol_layer1::{Allowance, CallRequest, Effects, Network, TokenChangeKind, UNTRIED};
use std::collections::BTreeMap;

/// Most rows of changes; a call that changes more cannot be read by anybody.
const MAX_ROWS: usize = 64;

/// The user's own accounts by address, with the names that rows use.
pub type Own = BTreeMap<Address, String>;

/// Effects in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Changes, and how they were found out.
    pub rows: Vec<Row>,
    /// What the user must read.
    pub warnings: Vec<String>,
    /// The call would fail now.
    pub fails: bool,
}

/// Tokens that `effects` speak of: their symbol and decimals should be asked for first.
#[must_use]
pub fn tokens_of(effects: &Effects) -> Vec<Address> {
    let changes = effects.tokens.iter().map(|change| change.token);
    changes.chain(effects.allowances.iter().map(|change| change.token)).take(MAX_ROWS).collect()
}

/// Says what changes for the user's `own` accounts. What changes for others is theirs.
#[must_use]
pub fn tell(effects: &Effects, own: &Own, tokens: &Tokens) -> Told {
    let mut told = Told { fails: !effects.success, ..Told::default() };
    if told.fails {
        let why = effects.reason.as_deref().map(|reason| format!(": {}", quoted(reason))).unwrap_or_default();
        told.warnings.push(format!("The call would FAIL on the newest block{why}. Its fee would be lost."));
    }
    let label = "Changes";
    for change in &effects.ether {
        if let Some(name) = own.get(&change.account)
            && !change.delta.is_zero()
        {
            told.rows.push(row(label, format!("{name}: {}{}", sign(change.delta), ether(change.delta.unsigned_abs()))));
        }
    }
    for change in &effects.tokens {
        let Some(name) = own.get(&change.account) else { continue };
        let text = match &change.kind {
            TokenChangeKind::Erc20 { delta } if delta.is_zero() => continue,
            TokenChangeKind::Erc20 { delta } => {
                format!("{}{}", sign(*delta), token::amount(tokens, change.token, delta.unsigned_abs()))
            }
            TokenChangeKind::Erc721 { id, received } => {
                let sign = if *received { '+' } else { '−' };
                format!("{sign}the one with number {id} of {}", token::name(tokens, change.token))
            }
            TokenChangeKind::Erc1155 { id, delta } => {
                let (sign, amount) = (sign(*delta), delta.unsigned_abs());
                format!("{sign}{amount} of number {id} of {}", token::name(tokens, change.token))
            }
        };
        told.rows.push(row(label, format!("{name}: {text}")));
    }
    for change in &effects.allowances {
        let Some(name) = own.get(&change.owner) else { continue };
        let (spender, of) = (change.spender.to_checksum(None), token::name(tokens, change.token));
        match &change.amount {
            Allowance::Erc20(amount) if amount.is_zero() => {
                told.rows.push(row("Allows", format!("{name}: {spender} may no longer take any of {of}")));
            }
            Allowance::Erc20(amount) if decode::standard::is_unlimited(*amount) => {
                told.rows.push(row("Allows", format!("{name}: {spender} may take an UNLIMITED amount of {of}")));
                told.warnings.push(format!(
                    "UNLIMITED allowance: {spender} could from then on take ALL that {name} owns of {of}, now and later."
                ));
            }
            Allowance::Erc20(amount) => {
                let amount = token::amount(tokens, change.token, *amount);
                told.rows.push(row("Allows", format!("{name}: {spender} may take up to {amount}")));
            }
            Allowance::Nft(id) => {
                told.rows.push(row("Allows", format!("{name}: {spender} may take the one with number {id} of {of}")));
            }
            Allowance::All(true) => {
                told.rows.push(row("Allows", format!("{name}: {spender} may take EVERYTHING of {of}")));
                told.warnings.push(format!(
                    "{spender} could from then on take ALL that {name} owns of {of}, now and later, without asking."
                ));
            }
            Allowance::All(false) => {
                told.rows.push(row("Allows", format!("{name}: {spender} may no longer take anything of {of}")));
            }
        }
    }
    if told.rows.len() > MAX_ROWS {
        let left = told.rows.len() - MAX_ROWS;
        told.rows.truncate(MAX_ROWS);
        told.warnings.push(format!("{left} more changes are not shown."));
    }
    if told.rows.is_empty() && !told.fails && effects.complete {
        told.rows.push(row(label, "nothing of yours, besides the fee"));
    }
    if !told.fails {
        told.rows.push(row("Checked", checked(effects)));
    }
    if !effects.complete && !told.fails {
        told.warnings.push(incomplete(effects.method).to_owned());
    }
    told
}

fn sign(delta: I256) -> char {
    if delta.is_negative() { '−' } else { '+' }
}

fn checked(effects: &Effects) -> String {
    let gas = effects.gas_used;
    match effects.method {
        "eth_call" => format!("the call succeeds on the newest block ({gas} gas)"),
        UNTRIED => "not at all: it comes behind other calls, and your node cannot try several".to_owned(),
        method => format!("simulated on the newest block by {method} ({gas} gas)"),
    }
}

fn incomplete(method: &str) -> &'static str {
    match method {
        UNTRIED => {
            "Your node cannot simulate several calls: nobody has tried whether this one succeeds, or what it changes."
        }
        "eth_call" => {
            "Your node cannot simulate: only success was checked. Changes of tokens and allowances are not shown."
        }
        _ => {
            "Your node simulates in part: changes of tokens are shown as their contracts claim, and some may be missing."
        }
    }
}

impl Host {
    /// The user's owner accounts, under the names that rows use.
    pub(crate) fn own_accounts(&self) -> Result<Own, HostError> {
        let mut own = Own::new();
        for index in 0..self.owner_count()? {
            if let Ok(account) = self.owner(index) {
                own.insert(account.address, format!("account {index}"));
            }
        }
        for account in self.vault().imported() {
            own.insert(account.address, format!("account {} (imported)", account.address.to_checksum(None)));
        }
        Ok(own)
    }

    /// Simulates a call and says what it would change for the user's accounts; `signer` is one of them, whatever else
    /// it is (a layer-2 account).
    pub(crate) async fn simulated(
        &self,
        network: &Network,
        call: &CallRequest,
        signer: Option<&str>,
    ) -> Result<Told, HostError> {
        Ok(self.simulated_after(network, &[], call, signer).await?.1)
    }

    /// As [`simulated`](Self::simulated), behind other calls.
    pub(crate) async fn simulated_after(
        &self,
        network: &Network,
        before: &[CallRequest],
        call: &CallRequest,
        signer: Option<&str>,
    ) -> Result<(Effects, Told), HostError> {
        let effects = network.simulate_after(before, call).await?;
        let mut own = self.own_accounts()?;
        if let Some(name) = signer {
            own.entry(call.from).or_insert_with(|| name.to_owned());
        }
        let tokens = token::read_all(network, tokens_of(&effects)).await?;
        let told = tell(&effects, &own, &tokens);
        Ok((effects, told))
    }
}

#[cfg(test)]
mod tests;
