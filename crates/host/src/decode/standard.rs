//! Standard functions of tokens: ERC-20, ERC-721, ERC-1155, ERC-677, ERC-777, EIP-2612, EIP-3009, wrapped ETH, Permit2
//! and multicalls. Also the classification that policies go by: which selectors move tokens or allowances.

use super::{Call, Known, argument_rows, arguments, signature};
use crate::messages::Row;
use crate::text::{ether, row};
use crate::token::{self, Tokens};
use alloy::dyn_abi::DynSolValue;
use alloy::json_abi::Function;
use alloy::primitives::{Address, U256};
use std::sync::LazyLock;

/// How deep calls in calls are explained.
const MAX_DEPTH: usize = 3;
/// Most calls of one multicall that are explained.
const MAX_CALLS: usize = 32;

/// What a standard function does.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) title: String,
    pub(super) rows: Vec<Row>,
    pub(super) warnings: Vec<String>,
    pub(super) recipients: Vec<Address>,
    pub(super) token_amount: Option<(Address, U256)>,
}

/// Functions that move tokens or the right to move them.
const MOVING: [&str; 37] = [
    // ERC-20 and ERC-721 share transferFrom and approve.
    "transfer(address to, uint256 amount)",
    "transferFrom(address from, address to, uint256 amount)",
    "approve(address spender, uint256 amount)",
    "increaseAllowance(address spender, uint256 added)",
    "decreaseAllowance(address spender, uint256 subtracted)",
    "increaseApproval(address spender, uint256 added)",
    "decreaseApproval(address spender, uint256 subtracted)",
    "burnFrom(address account, uint256 amount)",
    // EIP-2612, and DAI's own.
    "permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)",
    "permit(address owner, address spender, uint256 value, uint256 deadline, bytes signature)",
    "permit(address holder, address spender, uint256 nonce, uint256 expiry, bool allowed, uint8 v, bytes32 r, bytes32 s)",
    // EIP-3009.
    "transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s)",
    "receiveWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s)",
    // ERC-677, ERC-1363, ERC-777.
    "transferAndCall(address to, uint256 amount, bytes data)",
    "transferAndCall(address to, uint256 amount)",
    "transferFromAndCall(address from, address to, uint256 amount, bytes data)",
    "transferFromAndCall(address from, address to, uint256 amount)",
    "approveAndCall(address spender, uint256 amount, bytes data)",
    "approveAndCall(address spender, uint256 amount)",
    "send(address to, uint256 amount, bytes data)",
    "operatorSend(address from, address to, uint256 amount, bytes data, bytes operatorData)",
    "authorizeOperator(address operator)",
    // ERC-721 and ERC-1155.
    "safeTransferFrom(address from, address to, uint256 tokenId)",
    "safeTransferFrom(address from, address to, uint256 tokenId, bytes data)",
    "safeTransferFrom(address from, address to, uint256 id, uint256 amount, bytes data)",
    "safeBatchTransferFrom(address from, address to, uint256[] ids, uint256[] amounts, bytes data)",
    "setApprovalForAll(address operator, bool approved)",
    // Permit2 (the canonical contract's functions, wherever it stands).
    "approve(address token, address spender, uint160 amount, uint48 expiration)",
    "transferFrom(address from, address to, uint160 amount, address token)",
    "transferFrom((address from, address to, uint160 amount, address token)[] transferDetails)",
    "permit(address owner, ((address token, uint160 amount, uint48 expiration, uint48 nonce) details, address spender, uint256 sigDeadline) permitSingle, bytes signature)",
    "permit(address owner, ((address token, uint160 amount, uint48 expiration, uint48 nonce)[] details, address spender, uint256 sigDeadline) permitBatch, bytes signature)",
    "permitTransferFrom(((address token, uint256 amount) permitted, uint256 nonce, uint256 deadline) permit, (address to, uint256 requestedAmount) transferDetails, address owner, bytes signature)",
    "permitTransferFrom(((address token, uint256 amount)[] permitted, uint256 nonce, uint256 deadline) permit, (address to, uint256 requestedAmount)[] transferDetails, address owner, bytes signature)",
    "permitWitnessTransferFrom(((address token, uint256 amount) permitted, uint256 nonce, uint256 deadline) permit, (address to, uint256 requestedAmount) transferDetails, address owner, bytes32 witness, string witnessTypeString, bytes signature)",
    "permitWitnessTransferFrom(((address token, uint256 amount)[] permitted, uint256 nonce, uint256 deadline) permit, (address to, uint256 requestedAmount)[] transferDetails, address owner, bytes32 witness, string witnessTypeString, bytes signature)",
    "lockdown((address token, address spender)[] approvals)",
];

/// Functions that carry other calls within.
const MULTICALLS: [&str; 7] = [
    "multicall(bytes[] data)",
    "multicall(uint256 deadline, bytes[] data)",
    "multicall(bytes32 previousBlockhash, bytes[] data)",
    "aggregate((address target, bytes callData)[] calls)",
    "tryAggregate(bool requireSuccess, (address target, bytes callData)[] calls)",
    "aggregate3((address target, bool allowFailure, bytes callData)[] calls)",
    "aggregate3Value((address target, bool allowFailure, uint256 value, bytes callData)[] calls)",
];

/// Wrapped ETH.
const WRAPPED: [&str; 2] = ["deposit()", "withdraw(uint256 amount)"];

struct Table {
    moving: Vec<Function>,
    multicalls: Vec<Function>,
    wrapped: Vec<Function>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let parse = |list: &[&str]| list.iter().filter_map(|text| signature::parse(text)).collect();
    Table { moving: parse(&MOVING), multicalls: parse(&MULTICALLS), wrapped: parse(&WRAPPED) }
});

/// True for a function that moves tokens or allowances, or carries calls within that could.
#[must_use]
pub fn moves_tokens(selector: [u8; 4]) -> bool {
    TABLE.moving.iter().chain(&TABLE.multicalls).any(|function| function.selector() == selector)
}

/// As [`moves_tokens`], and looks into multicalls: one whose calls can all be read and move nothing is none.
#[must_use]
pub fn input_moves_tokens(input: &[u8]) -> bool {
    inner_moves_tokens(input, 0)
}

fn inner_moves_tokens(input: &[u8], depth: usize) -> bool {
    let Some(selector) = input.first_chunk::<4>() else { return false };
    if TABLE.moving.iter().any(|function| function.selector() == *selector) {
        return true;
    }
    let Some(function) = TABLE.multicalls.iter().find(|function| function.selector() == *selector) else {
        return false;
    };
    match inner_calls(function, input) {
        Some(calls) if depth < MAX_DEPTH => calls.iter().any(|call| inner_moves_tokens(&call.input, depth + 1)),
        _ => true,
    }
}

struct InnerCall {
    /// None: the contract calls itself.
    target: Option<Address>,
    value: U256,
    input: Vec<u8>,
}

fn inner_calls(function: &Function, input: &[u8]) -> Option<Vec<InnerCall>> {
    let values = arguments(function, input).ok()?;
    let list = values.last()?.as_array()?;
    list.iter()
        .map(|item| match item {
            DynSolValue::Bytes(input) => Some(InnerCall { target: None, value: U256::ZERO, input: input.clone() }),
            DynSolValue::Tuple(members) => {
                let value = members.iter().find_map(|member| member.as_uint()).map_or(U256::ZERO, |(value, _)| value);
                Some(InnerCall {
                    target: members.first()?.as_address(),
                    value,
                    input: members.last()?.as_bytes()?.into(),
                })
            }
            _ => None,
        })
        .collect()
}

pub(super) fn explain(call: &Call<'_>, known: &Known<'_>, depth: usize) -> Option<Facts> {
    let selector = call.input.first_chunk::<4>()?;
    let all = TABLE.moving.iter().chain(&TABLE.multicalls).chain(&TABLE.wrapped);
    for function in all.filter(|function| function.selector() == *selector) {
        let Ok(values) = arguments(function, call.input) else { continue };
        if TABLE.multicalls.iter().any(|other| other.signature() == function.signature()) {
            return Some(multicall(call, known, function, depth));
        }
        return Some(one(call, known.tokens, function, &values));
    }
    // The arguments do not read as the standard's: the selector alone is reason enough to warn.
    moves_tokens(*selector).then(|| Facts {
        title: format!("Call a function with the selector 0x{} of a token standard", hex::encode(selector)),
        rows: vec![row("Calldata", super::bytes_text(call.input))],
        warnings: vec![
            "The selector is one that moves tokens or allowances, but the arguments do not fit: be careful.".to_owned(),
        ],
        recipients: Vec::new(),
        token_amount: None,
    })
}

/// Values by place, of types that the decoder has checked.
struct Values<'a>(&'a [DynSolValue]);

impl Values<'_> {
    fn address(&self, place: usize) -> Address {
        self.0.get(place).and_then(DynSolValue::as_address).unwrap_or_default()
    }

    fn uint(&self, place: usize) -> U256 {
        self.0.get(place).and_then(DynSolValue::as_uint).map_or(U256::ZERO, |(value, _)| value)
    }

    fn bool(&self, place: usize) -> bool {
        self.0.get(place).and_then(DynSolValue::as_bool).unwrap_or_default()
    }

    fn tuple(&self, place: usize) -> Values<'_> {
        Values(self.0.get(place).and_then(DynSolValue::as_tuple).unwrap_or_default())
    }

    /// The list at `place`: every item by its members.
    fn tuples(&self, place: usize) -> Vec<Values<'_>> {
        let list = self.0.get(place).and_then(DynSolValue::as_array).unwrap_or_default();
        list.iter().map(|item| Values(item.as_tuple().unwrap_or_default())).collect()
    }
}

/// An allowance so large that it never ends: 2^127 of the smallest unit is more than any token has.
#[must_use]
pub fn is_unlimited(amount: U256) -> bool {
    amount.bit_len() >= 128
}

fn one(call: &Call<'_>, tokens: &Tokens, function: &Function, values: &[DynSolValue]) -> Facts {
    let v = Values(values);
    let mut facts = Facts {
        title: String::new(),
        rows: argument_rows(&function.inputs, values),
        warnings: Vec::new(),
        recipients: Vec::new(),
        token_amount: None,
    };
    let show = |address: Address| address.to_checksum(None);
    let token = |address: Address| token::name(tokens, address);
    // ERC-721 has the same selectors with a token's number in the amount's place; it has no decimals.
    let amount_of = |address: Address, amount: U256| match tokens.get(&address) {
        Some(known) if known.decimals.is_some() => known.amount(address, amount),
        _ => format!("{amount} units, or the one with this number, of {}", token::name(tokens, address)),
    };
    let to = call.to;
    match function.signature().as_str() {
        "transfer(address,uint256)"
        | "transferAndCall(address,uint256,bytes)"
        | "transferAndCall(address,uint256)"
        | "send(address,uint256,bytes)" => {
            facts.title = format!("Send {} to {}", amount_of(to, v.uint(1)), show(v.address(0)));
            facts.recipients = vec![v.address(0)];
            facts.token_amount = Some((to, v.uint(1)));
        }
        "transferFrom(address,address,uint256)"
        | "transferFromAndCall(address,address,uint256,bytes)"
        | "transferFromAndCall(address,address,uint256)"
        | "safeTransferFrom(address,address,uint256)"
        | "safeTransferFrom(address,address,uint256,bytes)"
        | "operatorSend(address,address,uint256,bytes,bytes)"
        | "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)"
        | "receiveWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)" => {
            let (from, recipient) = (v.address(0), v.address(1));
            facts.title = format!("Move {} from {} to {}", amount_of(to, v.uint(2)), show(from), show(recipient));
            facts.recipients = vec![recipient];
            facts.token_amount = Some((to, v.uint(2)));
        }
        "safeTransferFrom(address,address,uint256,uint256,bytes)" => {
            let (from, recipient) = (show(v.address(0)), show(v.address(1)));
            facts.title =
                format!("Move {} of number {} of {} from {from} to {recipient}", v.uint(3), v.uint(2), token(to));
            facts.recipients = vec![v.address(1)];
            facts.token_amount = Some((to, v.uint(3)));
        }
        "safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)" => {
            facts.title =
                format!("Move several of {} from {} to {}", token(to), show(v.address(0)), show(v.address(1)));
            facts.recipients = vec![v.address(1)];
        }
        "approve(address,uint256)"
        | "approveAndCall(address,uint256,bytes)"
        | "approveAndCall(address,uint256)"
        | "increaseAllowance(address,uint256)"
        | "increaseApproval(address,uint256)" => {
            let more = if function.name.starts_with("increase") { " more" } else { "" };
            allow(&mut facts, tokens, to, v.address(0), v.uint(1), more);
        }
        "decreaseAllowance(address,uint256)" | "decreaseApproval(address,uint256)" => {
            facts.title = format!("Let {} take {} less", show(v.address(0)), amount_of(to, v.uint(1)));
            facts.token_amount = Some((to, U256::ZERO));
        }
        "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)"
        | "permit(address,address,uint256,uint256,bytes)" => {
            allow(&mut facts, tokens, to, v.address(1), v.uint(2), "");
        }
        "permit(address,address,uint256,uint256,bool,uint8,bytes32,bytes32)" => {
            let amount = if v.bool(4) { U256::MAX } else { U256::ZERO };
            allow(&mut facts, tokens, to, v.address(1), amount, "");
        }
        "burnFrom(address,uint256)" => {
            facts.title = format!("Destroy {} of {}", amount_of(to, v.uint(1)), show(v.address(0)));
            facts.token_amount = Some((to, v.uint(1)));
        }
        "setApprovalForAll(address,bool)" => {
            let operator = v.address(0);
            facts.recipients = vec![operator];
            if v.bool(1) {
                facts.title = format!("Let {} take EVERYTHING you own of {}", show(operator), token(to));
                facts.token_amount = Some((to, U256::MAX));
                facts.warnings.push(format!(
                    "{} could from then on move ALL that you own of {}, now and later, without asking.",
                    show(operator),
                    token(to)
                ));
            } else {
                facts.title = format!("Take back from {} the right to move {}", show(operator), token(to));
                facts.token_amount = Some((to, U256::ZERO));
            }
        }
        "authorizeOperator(address)" => {
            facts.title = format!("Let {} take EVERYTHING you own of {}", show(v.address(0)), token(to));
            facts.recipients = vec![v.address(0)];
            facts.token_amount = Some((to, U256::MAX));
            facts.warnings.push(format!("{} could from then on move ALL that you own of it.", show(v.address(0))));
        }
        "approve(address,address,uint160,uint48)" => {
            allow(&mut facts, tokens, v.address(0), v.address(1), v.uint(2), " through Permit2");
        }
        "transferFrom(address,address,uint160,address)" => {
            let (from, recipient, token) = (v.address(0), v.address(1), v.address(3));
            facts.title = format!("Move {} from {} to {}", amount_of(token, v.uint(2)), show(from), show(recipient));
            facts.recipients = vec![recipient];
            facts.token_amount = Some((token, v.uint(2)));
        }
        "transferFrom((address,address,uint160,address)[])" => {
            let items = v.tuples(0);
            facts.title = format!("Move tokens by Permit2 in {} transfers", items.len());
            facts.recipients = items.iter().map(|item| item.address(1)).collect();
        }
        "permit(address,((address,uint160,uint48,uint48),address,uint256),bytes)" => {
            let permit = v.tuple(1);
            let details = permit.tuple(0);
            let spender = permit.address(1);
            allow(&mut facts, tokens, details.address(0), spender, details.uint(1), " through Permit2");
        }
        "permit(address,((address,uint160,uint48,uint48)[],address,uint256),bytes)" => {
            let permit = v.tuple(1);
            facts.title = format!("Let {} take several tokens through Permit2", show(permit.address(1)));
            facts.recipients = vec![permit.address(1)];
            facts.warnings.push(format!("{} may then take these tokens without asking.", show(permit.address(1))));
        }
        "permitTransferFrom(((address,uint256),uint256,uint256),(address,uint256),address,bytes)"
        | "permitWitnessTransferFrom(((address,uint256),uint256,uint256),(address,uint256),address,bytes32,string,bytes)" =>
        {
            let (permit, details) = (v.tuple(0), v.tuple(1));
            let token = permit.tuple(0).address(0);
            let amount = amount_of(token, details.uint(1));
            facts.title = format!("Move {amount} from {} to {}", show(v.address(2)), show(details.address(0)));
            facts.recipients = vec![details.address(0)];
            facts.token_amount = Some((token, details.uint(1)));
        }
        "lockdown((address,address)[])" => {
            facts.title = "Take back rights to move tokens through Permit2".to_owned();
        }
        "deposit()" => {
            let (paid, contract) = (ether(call.value), show(to));
            facts.title = format!("Call deposit() with {paid} on {contract} (a wrapped-ETH token gives tokens for it)");
        }
        "withdraw(uint256)" => {
            let (amount, contract) = (v.uint(0), show(to));
            facts.title = format!("Call withdraw({amount}) on {contract} (a wrapped-ETH token gives ETH for tokens)");
        }
        other => {
            facts.title = format!("Move tokens by {other}");
            let items = v.tuples(1);
            facts.recipients = items.iter().map(|item| item.address(0)).collect();
        }
    }
    facts
}

fn allow(facts: &mut Facts, tokens: &Tokens, token: Address, spender: Address, amount: U256, how: &str) {
    let (name, shown) = (token::name(tokens, token), spender.to_checksum(None));
    facts.recipients = vec![spender];
    facts.token_amount = Some((token, amount));
    if amount.is_zero() {
        facts.title = format!("Take back from {shown} the right to move {name}{how}");
    } else if is_unlimited(amount) {
        facts.token_amount = Some((token, U256::MAX));
        facts.title = format!("Let {shown} take an UNLIMITED amount of {name}{how}");
        facts.warnings.push(format!(
            "UNLIMITED allowance: {shown} could from then on take ALL that you own of {name}, now and later, without \
             asking."
        ));
    } else {
        let number = match tokens.get(&token) {
            Some(known) if known.decimals.is_some() => String::new(),
            // ERC-721 has the same selector, with a number in the amount's place.
            _ => format!(", or the one with the number {amount}"),
        };
        let amount = format!("{}{number}", token::amount(tokens, token, amount));
        facts.title = format!("Let {shown} take up to {amount}{how}");
        facts.warnings.push(format!("{shown} may then take up to {amount} without asking again."));
    }
}

fn multicall(call: &Call<'_>, known: &Known<'_>, function: &Function, depth: usize) -> Facts {
    let calls = inner_calls(function, call.input).unwrap_or_default();
    let mut facts = Facts {
        title: format!("{} calls in one", calls.len()),
        rows: Vec::new(),
        warnings: Vec::new(),
        recipients: Vec::new(),
        token_amount: None,
    };
    if depth >= MAX_DEPTH || calls.len() > MAX_CALLS {
        facts.warnings.push("The calls within this call are too many or too deep to be shown.".to_owned());
        facts.rows.push(row("Calldata", super::bytes_text(call.input)));
        return facts;
    }
    for (number, inner) in calls.iter().enumerate() {
        let number = number + 1;
        let to = inner.target.unwrap_or(call.to);
        // A contract that calls another is the sender there; one that calls itself keeps the sender.
        let from = if inner.target.is_some() { call.to } else { call.from };
        let one = Call { chain_id: call.chain_id, from, to, value: inner.value, input: &inner.input };
        let abi = if to == call.to { known.abi } else { &[] };
        let decoded = super::explain(&one, &Known { abi, ..*known }, depth + 1);
        let value = if inner.value.is_zero() { String::new() } else { format!(", with {}", ether(inner.value)) };
        facts.rows.push(row(format!("Call {number}"), format!("{} on {}{value}", decoded.title, to.to_checksum(None))));
        facts.rows.extend(decoded.rows.into_iter().map(|inner| row(format!("{number}. {}", inner.label), inner.value)));
        facts.warnings.extend(decoded.warnings.into_iter().map(|text| format!("Call {number}: {text}")));
        facts.recipients.extend(decoded.recipients);
    }
    facts
}

/// For the test that every line of the tables is understood.
#[cfg(test)]
pub(super) fn table_sizes() -> [usize; 3] {
    [TABLE.moving.len(), TABLE.multicalls.len(), TABLE.wrapped.len()]
}

#[cfg(test)]
pub(super) const fn table_lengths() -> [usize; 3] {
    [MOVING.len(), MULTICALLS.len(), WRAPPED.len()]
}
