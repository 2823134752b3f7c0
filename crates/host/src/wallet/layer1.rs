//! Layer-1 transactions of a solution: deposit, withdraw, fundAccount. The host encodes the call from the manifest's
//! allow-list; what is approved is the intent, what was estimated is shown with it.

use super::contracts::Contracts;
use super::execute::{Before, CallIntent, Signer};
use super::{Request, token};
use crate::approvals::{GAS_MARGIN_PERCENT, Proposal, Requester, transaction};
use crate::effects::Told;
use crate::error::{HostError, code};
use crate::gateway::{EncodedCall, parse_address};
use crate::messages::{ApprovalView, FundInput, GatewayCallInput};
use crate::plugin::Cause;
use crate::policy::{Ask, TokenAmount, What, selector};
use crate::solutions::Running;
use crate::text::{ether, row};
use crate::{Actor, Capability, Host, Operation, wire};
use alloy::primitives::{Address, Bytes, U256};
use entresol_layer1::{CallRequest, Fees, Network};
use entresol_package::manifest::{GATEWAY, Role};
use serde_json::Value as Json;
use std::sync::Arc;

/// The ceiling on the fee is this many times what it would cost now: room for a rising base fee and one replacement.
const FEE_HEADROOM: u64 = 3;
/// Roles that `withdraw` may name.
const OUT: [Role; 3] = [Role::Withdraw, Role::Defend, Role::Call];

/// A call before it is encoded.
#[derive(Default)]
struct Wanted {
    contract: Option<String>,
    function: String,
    args: Vec<Json>,
    value: U256,
    token: Option<TokenAmount>,
    /// A layer-2 account that sends it; the owner otherwise.
    from: Option<u32>,
    /// Block until which it must be included.
    deadline: Option<u64>,
}

/// Who sends a transaction, and how its fee was reckoned.
struct Sender {
    address: Address,
    signer: Signer,
    words: String,
    /// What to do when it has too little.
    remedy: String,
}

/// A fee as it is shown and approved, in wei.
#[derive(Clone, Copy)]
struct Fee {
    now: U256,
    ceiling: U256,
}

impl Fee {
    fn of(gas: u64, fees: Fees) -> Self {
        let limit = gas.saturating_add(gas.saturating_mul(GAS_MARGIN_PERCENT) / 100);
        Self {
            now: U256::from(gas).saturating_mul(U256::from(fees.base_fee + fees.max_priority_fee_per_gas)),
            ceiling: U256::from(limit)
                .saturating_mul(U256::from(fees.max_fee_per_gas))
                .saturating_mul(U256::from(FEE_HEADROOM)),
        }
    }

    fn words(self) -> String {
        format!("about {}, at most {}", ether(self.now), ether(self.ceiling))
    }
}

pub(super) fn needs_deposit(running: &Running, params: &Json) -> Result<Vec<Capability>, HostError> {
    let call = &params["call"];
    let gateway = running.contracts.get(None)?;
    let name = call["function"].as_str().or_else(|| gateway.abi.first(Role::Deposit)).unwrap_or_default();
    let allowed = gateway.abi.allowed(name, &[Role::Deposit])?;
    Ok(vec![contract_capability(GATEWAY, &allowed.function.signature())])
}

pub(super) fn needs_withdraw(running: &Running, params: &Json) -> Result<Vec<Capability>, HostError> {
    let call = &params["call"];
    let name = call["function"].as_str().ok_or_else(|| HostError::invalid("withdraw: state the function"))?;
    let contract = running.contracts.get(text(call, "contract")?)?;
    let allowed = contract.abi.allowed(name, &OUT)?;
    let mut needs = vec![contract_capability(&contract.name, &allowed.function.signature())];
    if given(call, "from") {
        needs.push(Capability::Keys);
    }
    Ok(needs)
}

fn contract_capability(contract: &str, function: &str) -> Capability {
    Capability::Contract { contract: contract.to_owned(), function: function.to_owned() }
}

/// True for a call of role defend from a layer-2 account: it protects the user's value, costs the owner nothing, and
/// so never asks.
pub(super) fn is_defence(running: &Running, params: &Json) -> bool {
    let call = &params["call"];
    let role = || {
        let contract = running.contracts.get(text(call, "contract").ok()?).ok()?;
        contract.abi.allowed(call["function"].as_str()?, &OUT).ok().map(|allowed| allowed.role)
    };
    given(call, "from") && role() == Some(Role::Defend)
}

/// True when a layer-2 key is to sign the transaction.
pub(super) fn from_layer2(params: &Json) -> bool {
    given(&params["call"], "from")
}

impl Host {
    pub(super) async fn plugin_deposit(&self, request: Request) -> Result<Json, HostError> {
        let (running, call) = (&request.running, &request.params["call"]);
        only(call, "deposit", &["function", "args", "value", "token"])?;
        let gateway = running.contracts.get(None)?;
        let function = text(call, "function")?.or_else(|| gateway.abi.first(Role::Deposit)).unwrap_or_default();
        let token = call.get("token").filter(|token| !token.is_null()).map(token_amount).transpose()?;
        let value = match (call.get("value").filter(|value| !value.is_null()), token) {
            (None, Some(_)) => U256::ZERO,
            (value, _) => value
                .and_then(wire::uint)
                .ok_or_else(|| HostError::invalid("deposit: value must be a BigInt of wei"))?,
        };
        let args = self.deposit_args(running, function, call.get("args"))?;
        let wanted = Wanted { function: function.to_owned(), args, value, token, ..Wanted::default() };
        let requester = Requester::of(&Actor::Plugin { solution: running.id });
        let view =
            self.propose_call(running, requester, &[Role::Deposit], wanted, request.causes.clone(), None).await?;
        self.outcome(view.id).await
    }

    pub(super) async fn plugin_withdraw(&self, request: Request) -> Result<Json, HostError> {
        let (running, call) = (&request.running, &request.params["call"]);
        only(call, "withdraw", &["contract", "function", "args", "from", "deadline"])?;
        let args = match call.get("args").filter(|args| !args.is_null()) {
            None => Vec::new(),
            Some(Json::Array(args)) => args.clone(),
            Some(_) => return Err(HostError::invalid("withdraw: args must be a list")),
        };
        let from = call.get("from").filter(|from| !from.is_null());
        let from = from.map(|index| self.known_account(running, index, "withdraw: from")).transpose()?;
        let deadline = call.get("deadline").filter(|deadline| !deadline.is_null());
        let deadline = deadline.map(|block| {
            wire::uint(block)
                .and_then(|block| u64::try_from(block).ok())
                .ok_or_else(|| HostError::invalid("withdraw: deadline must be the number of a block"))
        });
        let wanted = Wanted {
            contract: text(call, "contract")?.map(str::to_owned),
            function: text(call, "function")?.unwrap_or_default().to_owned(),
            args,
            from,
            deadline: deadline.transpose()?,
            ..Wanted::default()
        };
        let requester = Requester::of(&Actor::Plugin { solution: running.id });
        let view = self.propose_call(running, requester, &OUT, wanted, request.causes.clone(), None).await?;
        self.outcome(view.id).await
    }

    pub(super) async fn fund_account(&self, request: Request) -> Result<Json, HostError> {
        let running = &request.running;
        let index = self.known_account(running, &request.params["index"], "fundAccount")?;
        let value = wire::uint(&request.params["value"])
            .filter(|value| !value.is_zero())
            .ok_or_else(|| HostError::invalid("fundAccount: value must be a BigInt of wei above zero"))?;
        let requester = Requester::of(&Actor::Plugin { solution: running.id });
        let view = self.propose_funding(running, index, value, requester, request.causes.clone(), None).await?;
        self.outcome(view.id).await
    }

    /// The user proposes to send ETH to a layer-2 account of a solution, such as for the fee of an exit.
    ///
    /// # Errors
    /// Not authorised; no such account; too little ETH.
    pub async fn fund(&self, actor: &Actor, input: FundInput) -> Result<ApprovalView, HostError> {
        self.authorize(actor, &Operation::Propose, "fund")?;
        if let Some(known) = self.known_request(input.request_key.as_deref())? {
            return Ok(known);
        }
        let running = self.running(self.find(&input.solution)?.id)?;
        let value = U256::from_str_radix(&input.value, 10).ok().filter(|value| !value.is_zero());
        let value = value
            .ok_or_else(|| HostError::invalid(format!("fund: {:?} is not an amount of wei above zero", input.value)))?;
        let known = self.store().account_indices(running.id)?;
        if !known.contains(&input.account) {
            let known: Vec<String> = known.iter().map(ToString::to_string).collect();
            let has =
                if known.is_empty() { "it has none yet".to_owned() } else { format!("it has {}", known.join(", ")) };
            return Err(HostError::invalid(format!(
                "{} has no layer-2 account {}; {has}",
                running.name, input.account
            )));
        }
        self.propose_funding(&running, input.account, value, Requester::of(actor), Vec::new(), input.request_key).await
    }

    async fn propose_funding(
        &self,
        running: &Running,
        index: u32,
        value: U256,
        requester: Requester,
        causes: Vec<Cause>,
        request_key: Option<String>,
    ) -> Result<ApprovalView, HostError> {
        let to = self.layer2_account(running, index, "fundAccount")?.address;
        let sender = self.sender(running, None)?;
        let runtime = self.runtime(&running.network)?;
        let call = CallRequest { from: sender.address, to: to.into(), value, input: Bytes::new() };
        let balance = runtime.network.balance(sender.address).await?;
        refuse_poor(&sender, balance, value, U256::ZERO, &running.network)?;
        let fee = Fee::of(runtime.network.estimate_gas(&call).await?, runtime.network.fees().await?);
        refuse_poor(&sender, balance, value, fee.now, &running.network)?;
        let intent = transaction(runtime.network.chain_id(), &call, fee.ceiling);
        let rows = vec![
            row("Network", format!("{} (chain {})", running.network, runtime.network.chain_id())),
            row("From", sender.words.clone()),
            row("To", format!("{} (layer-2 account {index} of {})", to.to_checksum(None), running.name)),
            row("Sends", ether(value)),
            row("Fee", fee.words()),
        ];
        let sentence = format!("Send {} to a layer-2 account of {}, for its own fees?", ether(value), running.name);
        let ask = Ask { what: What::Other, amount: value, fee: fee.ceiling, token: None, recipients: vec![to] };
        let warnings = vec![format!("The plugin of {} alone decides what this account does with it.", running.name)];
        let stored = CallIntent {
            intent: intent.clone(),
            signer: sender.signer,
            network: running.network.clone(),
            role: "fund".to_owned(),
            function: String::new(),
            deadline: None,
            before: None,
        };
        self.submit(Proposal {
            request_key,
            solution: Some(running.id),
            causes,
            rows,
            warnings,
            ask: Some(ask),
            ..Proposal::new("fund", requester, intent.digest().to_string(), &stored, sentence)?
        })
        .await
    }

    /// The user proposes a deposit to a solution's gateway.
    ///
    /// # Errors
    /// Not authorised; the function, an argument or the amount does not fit.
    pub async fn deposit(&self, actor: &Actor, input: GatewayCallInput) -> Result<ApprovalView, HostError> {
        self.authorize(actor, &Operation::Propose, "deposit")?;
        if let Some(known) = self.known_request(input.request_key.as_deref())? {
            return Ok(known);
        }
        let running = self.running(self.find(&input.solution)?.id)?;
        let value = input.value.as_deref().unwrap_or("0");
        let value = U256::from_str_radix(value, 10)
            .map_err(|_| HostError::invalid(format!("deposit: {value:?} is not an amount of wei")))?;
        let first = input.function.as_deref().or(running.contracts.get(None)?.abi.first(Role::Deposit));
        let function = first.ok_or_else(|| HostError::invalid("this solution has no deposit function"))?.to_owned();
        let args = input.args.map(Json::Array);
        let args = self.deposit_args(&running, &function, args.as_ref())?;
        let wanted = Wanted { function, args, value, ..Wanted::default() };
        let requester = Requester::of(actor);
        self.propose_call(&running, requester, &[Role::Deposit], wanted, Vec::new(), input.request_key).await
    }

    /// The user proposes a zero-value call of a withdraw, defend or call function of a solution's gateway.
    ///
    /// # Errors
    /// Not authorised; the function or an argument does not fit; the call would fail.
    pub async fn withdraw(&self, actor: &Actor, input: GatewayCallInput) -> Result<ApprovalView, HostError> {
        self.authorize(actor, &Operation::Propose, "withdraw")?;
        if let Some(known) = self.known_request(input.request_key.as_deref())? {
            return Ok(known);
        }
        if input.value.is_some() {
            return Err(HostError::invalid("withdraw carries no value"));
        }
        let running = self.running(self.find(&input.solution)?.id)?;
        let first = input.function.as_deref().or(running.contracts.get(None)?.abi.first(Role::Withdraw));
        let function = first.ok_or_else(|| HostError::invalid("this solution has no withdraw function"))?.to_owned();
        let wanted = Wanted { function, args: input.args.unwrap_or_default(), ..Wanted::default() };
        self.propose_call(&running, Requester::of(actor), &OUT, wanted, Vec::new(), input.request_key).await
    }

    /// A deposit that takes one address goes to the first layer-2 account unless another is stated.
    fn deposit_args(&self, running: &Running, name: &str, args: Option<&Json>) -> Result<Vec<Json>, HostError> {
        if let Some(args) = args.filter(|args| !args.is_null()) {
            return args.as_array().cloned().ok_or_else(|| HostError::invalid("deposit: args must be a list"));
        }
        if !running.contracts.get(None)?.abi.takes_one_address(name) {
            return Ok(Vec::new());
        }
        let account = self.layer2_account(running, 0, "deposit")?;
        Ok(vec![Json::String(account.address.to_checksum(None))])
    }

    /// The addresses among a call's arguments that are not the user's: neither the owner nor a layer-2 account that
    /// this solution has asked for.
    fn foreign_addresses(&self, running: &Running, args: &[Json]) -> Result<Vec<Address>, HostError> {
        fn collect(value: &Json, found: &mut Vec<Address>) {
            match value {
                Json::String(text) => found.extend(text.parse::<Address>()),
                Json::Array(list) => list.iter().for_each(|one| collect(one, found)),
                Json::Object(map) => map.values().for_each(|one| collect(one, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        args.iter().for_each(|arg| collect(arg, &mut found));
        if found.is_empty() {
            return Ok(found);
        }
        let mut own = vec![self.owner(running.owner)?.address];
        let mut indices = self.store().account_indices(running.id)?;
        indices.push(0);
        // Locked, they count as anybody's.
        own.extend(indices.into_iter().filter_map(|index| Some(self.layer2_account(running, index, "").ok()?.address)));
        found.retain(|address| !own.contains(address));
        Ok(found)
    }

    fn sender(&self, running: &Running, from: Option<u32>) -> Result<Sender, HostError> {
        Ok(match from {
            None => {
                let owner = self.owner(running.owner)?;
                Sender {
                    address: owner.address,
                    signer: Signer::Owner { index: running.owner },
                    words: format!("{} (account {})", owner.address.to_checksum(None), running.owner),
                    remedy: "send ETH to it first".to_owned(),
                }
            }
            Some(index) => {
                let account = self.layer2_account(running, index, "withdraw: from")?;
                let address = account.address.to_checksum(None);
                Sender {
                    address: account.address,
                    signer: Signer::Layer2 { index },
                    words: format!("{address} (layer-2 account {index} of {})", running.name),
                    remedy: format!("fundAccount({index}, value) first"),
                }
            }
        })
    }

    /// What the call changes now, in words; where the endpoint cannot tell, that it succeeds.
    async fn changes(&self, network: &Network, call: &CallRequest, sender: &Sender, gas: u64) -> Told {
        match self.simulated(network, call, Some(&sender.words)).await {
            Ok(told) => told,
            Err(error) => {
                tracing::debug!(%error, "a call could not be simulated");
                let mut told = Told::default();
                told.rows.push(row("Checked", format!("the call succeeds on the newest block ({gas} gas)")));
                told.warnings.push("Your node cannot simulate: changes of tokens and allowances are not shown.".into());
                told
            }
        }
    }

    async fn propose_call(
        &self,
        running: &Arc<Running>,
        requester: Requester,
        roles: &[Role],
        wanted: Wanted,
        causes: Vec<Cause>,
        request_key: Option<String>,
    ) -> Result<ApprovalView, HostError> {
        let contract = running.contracts.get(wanted.contract.as_deref())?;
        let call = contract.abi.encode(&wanted.function, roles, &wanted.args, wanted.value)?;
        let runtime = self.runtime(&running.network)?;
        let (network, chain_id) = (&runtime.network, runtime.network.chain_id());
        let sender = self.sender(running, wanted.from)?;
        let value = wanted.value;
        let request =
            CallRequest { from: sender.address, to: contract.address.into(), value, input: call.input.clone() };
        let balance = network.balance(sender.address).await?;
        refuse_poor(&sender, balance, value, U256::ZERO, &running.network)?;
        let fees = network.fees().await?;
        let (before, gas, mut told) = match wanted.token {
            None => {
                let gas = network.estimate_gas(&request).await?;
                (None, gas, self.changes(network, &request, &sender, gas).await)
            }
            Some(moved) => {
                let plan = token::plan(network, contract.address, &request, moved).await?;
                let fee = Fee::of(plan.approve_gas, fees);
                let intent = transaction(chain_id, &plan.approve, fee.ceiling);
                let mut told = self.changes(network, &plan.approve, &sender, plan.approve_gas).await;
                told.rows.retain(|row| row.label != "Checked");
                told.rows.push(row("Checked", plan.checked));
                (Some((Before { intent, token: moved.token, amount: moved.amount }, fee)), plan.gas, told)
            }
        };
        let fee = Fee::of(gas, fees);
        let fee_now = fee.now.saturating_add(before.as_ref().map_or(U256::ZERO, |(_, fee)| fee.now));
        refuse_poor(&sender, balance, value, fee_now, &running.network)?;
        let intent = transaction(chain_id, &request, fee.ceiling);

        let words = Contracts::words(&contract.name, &running.name);
        let mut rows =
            vec![row("Network", format!("{} (chain {chain_id})", running.network)), row("From", sender.words.clone())];
        if let (Some((before, fee)), Some(moved)) = (&before, wanted.token) {
            rows.push(row("First", format!("allow {words} to take exactly {} of the token", moved.amount)));
            rows.push(row("Token", moved.token.to_checksum(None)));
            rows.push(row(
                "First calls",
                format!("approve({}, {})", contract.address.to_checksum(None), before.amount),
            ));
            rows.push(row("First fee", fee.words()));
        }
        rows.push(row("To", format!("{} ({words})", contract.address.to_checksum(None))));
        rows.push(row("Sends", ether(value)));
        rows.push(row("Calls", call.signature.clone()));
        rows.extend(call.arguments.iter().map(|(name, value)| row(name, value.clone())));
        rows.push(row("Fee", fee.words()));
        rows.append(&mut told.rows);
        let mut warnings = told.warnings;
        // What the function is by the standards of tokens, whatever the manifest calls it.
        let decoded = self.explain(network, &request, &[]).await?;
        if decoded.moves_tokens {
            rows.push(row("Does", decoded.title));
            warnings.extend(decoded.warnings);
        }
        if let Some(deadline) = wanted.deadline {
            rows.push(row("Until block", deadline.to_string()));
            warnings.extend(self.deadline_warning(network, deadline).await?);
        }
        let (kind, sentence) = sentence(&call, &words, &running.name, value, wanted.token);
        let passes = (call.role == Role::Defend && wanted.from.is_some()).then_some("role defend");
        let ask = Ask {
            what: What::Contract {
                address: contract.address,
                signature: call.signature.clone(),
                selector: selector(&call.input),
            },
            amount: value,
            fee: before.as_ref().map_or(fee.ceiling, |(_, first)| first.ceiling.saturating_add(fee.ceiling)),
            token: wanted.token,
            // Whom the call names: a policy with recipients must know them too, the user's own accounts apart.
            recipients: self.foreign_addresses(running, &wanted.args)?,
        };
        let stored = CallIntent {
            intent,
            signer: sender.signer,
            network: running.network.clone(),
            role: call.role.name().to_owned(),
            function: call.signature,
            deadline: wanted.deadline,
            before: before.map(|(before, _)| before),
        };
        self.submit(Proposal {
            request_key,
            solution: Some(running.id),
            causes,
            rows,
            warnings,
            ask: Some(ask),
            passes,
            ..Proposal::new(kind, requester, stored.digest().to_string(), &stored, sentence)?
        })
        .await
    }
}

fn sentence(
    call: &EncodedCall,
    contract: &str,
    solution: &str,
    value: U256,
    token: Option<TokenAmount>,
) -> (&'static str, String) {
    let name = call.signature.split('(').next().unwrap_or_default();
    match call.role {
        Role::Deposit => {
            let what = match token {
                None => ether(value),
                Some(moved) if value.is_zero() => {
                    format!("{} of the token {}", moved.amount, moved.token.to_checksum(None))
                }
                Some(moved) => {
                    format!("{} and {} of the token {}", ether(value), moved.amount, moved.token.to_checksum(None))
                }
            };
            ("deposit", format!("Deposit {what} into {solution}?"))
        }
        Role::Withdraw => ("withdraw", format!("Call {name} on {contract}, to take value out?")),
        Role::Defend => ("withdraw", format!("Call {name} on {contract}, to protect your value?")),
        Role::Call => ("withdraw", format!("Call {name} on {contract}?")),
    }
}

/// The sender must have the value and, once it is known, the fee.
fn refuse_poor(sender: &Sender, balance: U256, value: U256, fee: U256, network: &str) -> Result<(), HostError> {
    if balance >= value.saturating_add(fee) {
        return Ok(());
    }
    let needed = match (value.is_zero(), fee.is_zero()) {
        (true, _) => format!("a fee of about {} is needed", ether(fee)),
        (false, true) => format!("{} are needed, and the fee", ether(value)),
        (false, false) => format!("{} and a fee of about {} are needed", ether(value), ether(fee)),
    };
    let address = sender.address.to_checksum(None);
    Err(HostError::new(
        code::TRANSACTION_REJECTED,
        format!("account {address} has {} on {network}; {needed}; {}", ether(balance), sender.remedy),
    ))
}

fn given(call: &Json, name: &str) -> bool {
    call.get(name).is_some_and(|value| !value.is_null())
}

fn text<'a>(call: &'a Json, name: &str) -> Result<Option<&'a str>, HostError> {
    match call.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(_) => Err(HostError::invalid(format!("{name} must be a string"))),
    }
}

/// Options that this wallet does not know: ignoring one would change what is asked for.
fn only(call: &Json, what: &str, known: &[&str]) -> Result<(), HostError> {
    let fields = call.as_object().ok_or_else(|| HostError::invalid(format!("{what} takes an object")))?;
    match fields.iter().find(|(name, value)| !value.is_null() && !known.contains(&name.as_str())) {
        Some((name, _)) => {
            Err(HostError::invalid(format!("{what} does not take {name:?}; it takes {}", known.join(", "))))
        }
        None => Ok(()),
    }
}

fn token_amount(token: &Json) -> Result<TokenAmount, HostError> {
    only(token, "deposit: token", &["address", "amount"])?;
    let address = parse_address("deposit: token.address", token["address"].as_str().unwrap_or_default())?;
    let amount = wire::uint(&token["amount"])
        .filter(|amount| !amount.is_zero())
        .ok_or_else(|| HostError::invalid("deposit: token.amount must be a BigInt above zero"))?;
    Ok(TokenAmount { token: address, amount })
}
