//! What any wallet does for its user: sending ETH and tokens, signing by the user's own hand, and help for transactions
//! that wait. Everything is a request like any other: shown in full, decided with a passphrase session, bound to its
//! intent.
//!
//! No policy covers any of it, and no plugin reaches it. What sites and apps ask for in the name of an own account (see
//! `site`) is looked at, bound and carried out by the same code.

mod replace;
mod review;
mod sign;

pub(crate) use replace::CANCEL;
pub(crate) use review::{Planned, Price, Reviewed};
pub(crate) use sign::{Signable, message_rows};

use crate::approvals::{CallIntent, GAS_MARGIN_PERCENT, Proposal, Requester, Signer, transaction};
use crate::error::{HostError, code};
use crate::gateway::parse_address;
use crate::messages::{ApprovalView, FeeView, FeesView, Row, SendInput};
use crate::networks::Runtime;
use crate::text::{ether, quoted, row};
use crate::token::{self, Token};
use crate::{Actor, Host, Operation, now};
use alloy::primitives::{Address, B256, Bytes, U256};
use entresol_layer1::{
    CallRequest, FeeSpeed, Fees, Layer1Error, Network, StoredTransaction, Terms, TransactionStatus, Transactions,
    TxEip1559,
};
use entresol_store::{Approval, ApprovalFilter, ApprovalState, JournalIntent};
use entresol_vault::{Approved, Intent};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The ceiling on the fee is this many times the most that a transaction would cost at the chosen speed: room for a
/// rising base fee and one replacement.
const FEE_HEADROOM: u64 = 3;
/// Gas of sending ETH to an account without code.
const TRANSFER_GAS: u64 = 21_000;
/// Done requests that are searched for earlier recipients, newest first.
const REMEMBERED: u32 = 5_000;

/// A call as [`CallIntent`], and how soon it should be included: others read the call out of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OwnIntent {
    #[serde(flatten)]
    pub(crate) call: CallIntent,
    #[serde(default)]
    pub(crate) speed: FeeSpeed,
    /// The transaction that it takes the place of.
    #[serde(default)]
    pub(crate) replaces: Option<B256>,
    /// Least gas limit.
    #[serde(default)]
    pub(crate) least_gas: u64,
    /// The nonce that it must have: it waits for those before it, and is never sent with another.
    #[serde(default)]
    pub(crate) nonce: Option<u64>,
}

impl OwnIntent {
    /// A call of an own account, as soon as `speed` says.
    pub(crate) const fn new(call: CallIntent, speed: FeeSpeed) -> Self {
        Self { call, speed, replaces: None, least_gas: 0, nonce: None }
    }
}

impl Host {
    /// Proposes to send ETH or a token of ERC-20.
    ///
    /// # Errors
    /// Not authorised; an input that does not fit, by name; too little of it; the call would fail.
    pub async fn send_own(&self, actor: &Actor, input: SendInput) -> Result<ApprovalView, HostError> {
        self.authorize(actor, &Operation::Propose, "send")?;
        if let Some(known) = self.known_request(input.request_key.as_deref())? {
            return Ok(known);
        }
        let runtime = self.runtime(&input.network)?;
        let network = &runtime.network;
        let owner = self.owner(input.from)?;
        let to = parse_address("to", &input.to)?;
        let token = input.token.as_deref().map(|text| parse_address("token", text)).transpose()?;
        let asset = match token {
            None => None,
            Some(address) => Some((address, self.sane_token(network, address).await?)),
        };
        let decimals = match &asset {
            None => Some(18),
            Some((_, token)) => token.decimals,
        };
        let amount = read_amount(&input.amount, input.whole, decimals)?;
        let call = match &asset {
            None => CallRequest { from: owner.address, to: to.into(), value: amount, input: Bytes::new() },
            Some((token, _)) => {
                let input = token::transfer_input(to, amount);
                CallRequest { from: owner.address, to: (*token).into(), value: U256::ZERO, input }
            }
        };
        let from = format!("{} (account {})", owner.address.to_checksum(None), input.from);
        let what = match &asset {
            None => ether(amount),
            Some((address, token)) => token.amount(*address, amount),
        };
        if let Some((address, token)) = &asset {
            let has = token::balance(network, *address, owner.address).await?.unwrap_or_default();
            if has < amount {
                return Err(review::too_little(&format!(
                    "{from} has {}; {what} is to be sent",
                    token.amount(*address, has)
                )));
            }
        }
        let planned = Planned {
            from: &from,
            what: &what,
            call: &call,
            before: &[],
            fees_before: U256::ZERO,
            speed: input.speed,
            least_gas: 0,
        };
        let Reviewed { price, told } = self.review(network, &planned).await?;
        let mut warnings = self.recipient_warnings(to, token)?;
        let mut rows = vec![
            row("Network", format!("{} (chain {})", input.network, network.chain_id())),
            row("From", from),
            row("To", to.to_checksum(None)),
            row("Sends", what.clone()),
        ];
        rows.extend(self.recipient_row(network, to).await?);
        if let Some((address, _)) = &asset {
            let decoded = self.explain(network, &call, &[]).await?;
            rows.push(row("Token contract", address.to_checksum(None)));
            rows.push(row("Calls", decoded.title));
        }
        rows.extend(told.rows);
        warnings.extend(told.warnings);
        rows.push(row("Speed", speed_text(input.speed)));
        rows.push(price.row());
        let call = CallIntent {
            intent: transaction(network.chain_id(), &call, price.ceiling),
            network: input.network,
            signer: Signer::Owner { index: input.from },
            role: "send".to_owned(),
            function: if token.is_some() { "transfer(address,uint256)".to_owned() } else { String::new() },
            deadline: None,
            before: None,
        };
        let intent = OwnIntent::new(call, input.speed);
        let sentence = format!("Send {what} to {}?", to.to_checksum(None));
        self.propose_own("send", actor, None, input.request_key, &intent, sentence, rows, warnings).await
    }

    /// What a transaction costs now, at three speeds.
    ///
    /// # Errors
    /// Not authorised; no such network; it does not answer.
    pub async fn fees(&self, actor: &Actor, network: &str) -> Result<FeesView, HostError> {
        self.authorize(actor, &Operation::Read, "fees")?;
        let runtime = self.runtime(network)?;
        let view = async |speed| {
            let fees = runtime.network.fees_at(speed).await?;
            let price = Price::of(TRANSFER_GAS, &fees);
            Ok::<_, HostError>(FeeView {
                base_fee: fees.base_fee.to_string(),
                max_fee_per_gas: fees.max_fee_per_gas.to_string(),
                max_priority_fee_per_gas: fees.max_priority_fee_per_gas.to_string(),
                transfer: price.now.to_string(),
            })
        };
        Ok(FeesView {
            network: network.to_owned(),
            slow: view(FeeSpeed::Slow).await?,
            normal: view(FeeSpeed::Normal).await?,
            fast: view(FeeSpeed::Fast).await?,
        })
    }

    /// A token that can be sent: a contract that answers as one.
    async fn sane_token(&self, network: &Network, address: Address) -> Result<Token, HostError> {
        let shown = address.to_checksum(None);
        if network.code(address).await?.is_empty() {
            return Err(HostError::invalid(format!("token: there is no contract at {shown} on {}", network.name())));
        }
        let token = token::read(network, address).await?;
        if token::balance(network, address, address).await?.is_none() {
            return Err(HostError::invalid(format!("token: the contract at {shown} does not answer like a token")));
        }
        Ok(token)
    }

    #[allow(clippy::too_many_arguments, reason = "each is a part of what is shown or of what is signed")]
    async fn propose_own(
        &self,
        kind: &'static str,
        actor: &Actor,
        solution: Option<i64>,
        request_key: Option<String>,
        intent: &OwnIntent,
        sentence: String,
        rows: Vec<Row>,
        warnings: Vec<String>,
    ) -> Result<ApprovalView, HostError> {
        self.submit(Proposal {
            request_key,
            solution,
            rows,
            warnings,
            ..Proposal::new(kind, Requester::of(actor), intent.call.digest().to_string(), intent, sentence)?
        })
        .await
    }

    /// Signs, stores and broadcasts an approved sending, replacement or cancellation. After a crash the stored
    /// transaction is found by its approval, never made again.
    pub(crate) async fn execute_own(&self, approval: &Approval) -> Result<(), HostError> {
        let own: OwnIntent = serde_json::from_value(approval.request.intent.clone())
            .map_err(|e| HostError::internal(format!("stored intent: {e}")))?;
        let Intent::Transaction { chain_id, from, to, value, ref input, max_total_fee } = own.call.intent else {
            return Err(HostError::internal("a transaction without one"));
        };
        let runtime = self.runtime_ready(&own.call.network).await?;
        if runtime.network.chain_id() != chain_id {
            return Err(HostError::invalid("the network serves another chain than the one approved"));
        }
        let transactions = &runtime.transactions;
        let hash = match self.store().transaction_by_approval(approval.id)? {
            Some(known) => known.hash.parse().map_err(|_| HostError::internal("a stored hash"))?,
            None => {
                let digest = approval.request.digest.parse().map_err(|_| HostError::internal("a stored digest"))?;
                let approved = Approved::new(own.call.intent.clone(), approval.id, digest)?;
                let tx = match (own.replaces, approval.request.kind.as_str()) {
                    (Some(old), "cancel") => transactions.prepare_cancel(old, max_total_fee).await?.1,
                    (Some(old), _) => transactions.prepare_replacement(old, own.speed, max_total_fee).await?,
                    (None, _) => {
                        let request = CallRequest { from, to, value, input: input.clone() };
                        let terms = Terms {
                            gas_margin_percent: GAS_MARGIN_PERCENT,
                            least_gas: own.least_gas,
                            max_total_fee,
                            nonce: own.nonce,
                        };
                        let tx = self.prepared_in_turn(approval.id, transactions, &request, terms).await?;
                        match runtime.network.fees_at(own.speed).await {
                            Ok(fees) => at_speed(tx, &fees, max_total_fee),
                            Err(error) => {
                                transactions.release(from, tx.nonce);
                                return Err(error.into());
                            }
                        }
                    }
                };
                let who = approval.request.requester["who"].as_str().unwrap_or_default().to_owned();
                let solution = approval.request.solution;
                self.broadcast(&runtime, &own.call, solution, &tx, &approved, own.replaces, who).await?
            }
        };
        self.store().finish_approval(approval.id, Ok(&json!({ "transaction": hash })))?;
        self.follow_transaction(transactions, hash);
        Ok(())
    }

    /// Prepares a transaction; one that must have a certain nonce waits until those before it have theirs.
    async fn prepared_in_turn(
        &self,
        approval: u64,
        transactions: &Transactions,
        request: &CallRequest,
        terms: Terms,
    ) -> Result<TxEip1559, HostError> {
        let mut changes = self.inner.changes.subscribe();
        loop {
            changes.borrow_and_update();
            match transactions.prepare_within(request, terms).await {
                Err(Layer1Error::NonceNotNext { wanted, next })
                    if wanted > next
                        && self.sends_before(request.from, wanted)?.iter().any(|(id, _)| *id != approval) => {}
                other => return Ok(other?),
            }
            changes.changed().await.map_err(|_| HostError::new(code::DISCONNECTED, "the wallet is ending"))?;
        }
    }

    /// The requests of an account that are not sent yet and are to have a nonce below `nonce`.
    pub(crate) fn sends_before(&self, from: Address, nonce: u64) -> Result<Vec<(u64, u64)>, HostError> {
        let mut found = Vec::new();
        for state in [ApprovalState::Pending, ApprovalState::Approved] {
            let filter = ApprovalFilter { state: Some(state), ..ApprovalFilter::default() };
            for approval in self.store().approvals(filter)? {
                let over = state == ApprovalState::Pending && approval.request.expires_at <= now();
                if approval.request.kind != "send" || over {
                    continue;
                }
                if let Ok(own) = serde_json::from_value::<OwnIntent>(approval.request.intent.clone())
                    && own.call.intent.from() == from
                    && let Some(stated) = own.nonce.filter(|stated| *stated < nonce)
                {
                    found.push((approval.id, stated));
                }
            }
        }
        Ok(found)
    }

    /// Signs a prepared transaction within what was approved, stores it and broadcasts it.
    #[allow(clippy::too_many_arguments, reason = "each is a part of what is signed or of what is noted about it")]
    pub(crate) async fn broadcast(
        &self,
        runtime: &Runtime,
        call: &CallIntent,
        solution: Option<i64>,
        tx: &TxEip1559,
        approved: &Approved,
        replaces: Option<B256>,
        who: String,
    ) -> Result<B256, HostError> {
        let from = approved.intent().from();
        // A bundle has several transactions: none of them is found by its approval.
        let of_bundle = self.store().approval(approved.approval_id())?.request.kind == "bundle";
        let signed = match self.sign_call(call.signer, solution, tx, approved) {
            Ok(signed) => signed,
            Err(error) => {
                if replaces.is_none() {
                    runtime.transactions.release(from, tx.nonce);
                }
                return Err(error);
            }
        };
        let hash = signed.hash;
        let intent = JournalIntent {
            solution,
            actor: who,
            action: if replaces.is_some() { "replace transaction" } else { "transaction" }.to_owned(),
            resource: call.function.clone(),
            detail: json!({
                "approval": approved.approval_id(), "hash": hash, "value": tx.value.to_string(), "replaces": replaces,
            }),
        };
        let stored = StoredTransaction {
            hash,
            chain_id: tx.chain_id,
            from,
            nonce: tx.nonce,
            raw: signed.raw,
            approval_id: if of_bundle { None } else { i64::try_from(approved.approval_id()).ok() },
            solution,
            purpose: call.role.clone(),
            status: TransactionStatus::Stored,
        };
        self.journaled(intent, async {
            match replaces {
                Some(old) => runtime.transactions.submit_replacement(old, stored).await?,
                None => runtime.transactions.submit(stored).await?,
            };
            Ok(())
        })
        .await?;
        Ok(hash)
    }
}

/// The transaction with the fees of another speed, as far as the ceiling reaches.
fn at_speed(mut tx: TxEip1559, fees: &Fees, ceiling: U256) -> TxEip1559 {
    if U256::from(tx.gas_limit) * U256::from(fees.max_fee_per_gas) <= ceiling {
        tx.max_fee_per_gas = fees.max_fee_per_gas;
        tx.max_priority_fee_per_gas = fees.max_priority_fee_per_gas;
    }
    tx
}

/// `1.5` in whole units, or a whole number of the smallest; exact in either case.
fn read_amount(text: &str, whole: bool, decimals: Option<u8>) -> Result<U256, HostError> {
    let wrong = |why: &str| HostError::invalid(format!("amount {}: {why}", quoted(text)));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let (units, fraction) = text.split_once('.').unwrap_or((text, ""));
    if units.is_empty() || !digits(units) || !digits(fraction) || (text.contains('.') && fraction.is_empty()) {
        return Err(wrong("not a decimal number"));
    }
    let places = match (whole, decimals) {
        (false, _) => 0,
        (true, Some(decimals)) => usize::from(decimals),
        (true, None) => return Err(wrong("the token names no decimals; state it in the smallest unit")),
    };
    if fraction.len() > places {
        let most = if places == 0 { "it is in the smallest unit, a whole number" } else { "too many decimals" };
        return Err(wrong(most));
    }
    let amount = U256::from_str_radix(&format!("{units}{fraction:0<places$}"), 10).map_err(|_| wrong("too large"))?;
    if amount.is_zero() { Err(wrong("nothing would be sent")) } else { Ok(amount) }
}

const fn speed_text(speed: FeeSpeed) -> &'static str {
    match speed {
        FeeSpeed::Slow => "slow: cheap, and it waits when blocks are full",
        FeeSpeed::Normal => "normal: in one of the next blocks as a rule",
        FeeSpeed::Fast => "fast: in the next block as a rule",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly_or_refused() {
        let cases = [
            ("1.5", true, Some(6), Ok(1_500_000)),
            ("1500000", false, Some(6), Ok(1_500_000)),
            ("0.000001", true, Some(6), Ok(1)),
            ("5", true, Some(0), Ok(5)),
            ("1.5000000", true, Some(6), Err("too many decimals")),
            ("1.5", false, Some(6), Err("smallest unit")),
            ("1", true, None, Err("names no decimals")),
            ("0", false, None, Err("nothing")),
            ("0.0", true, Some(6), Err("nothing")),
            ("", false, None, Err("not a decimal")),
            (".5", true, Some(6), Err("not a decimal")),
            ("5.", true, Some(6), Err("not a decimal")),
            ("-5", false, None, Err("not a decimal")),
            ("0x5", false, None, Err("not a decimal")),
            ("1e18", false, None, Err("not a decimal")),
            (&"9".repeat(80), false, None, Err("too large")),
        ];
        for (text, whole, decimals, expect) in cases {
            match (read_amount(text, whole, decimals), expect) {
                (Ok(amount), Ok(expect)) => assert_eq!(amount, U256::from(expect), "{text}"),
                (Err(error), Err(words)) => assert!(error.message.contains(words), "{text}: {error}"),
                (got, expect) => panic!("{text}: {got:?}, expected {expect:?}"),
            }
        }
    }
}
