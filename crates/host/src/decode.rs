//! What a layer-1 call does, in words.
//!
//! The first of these that knows the call explains it: the ABI that the caller gives (a solution's contracts), the
//! standard functions of tokens ([`standard`]), ERC-7730 descriptors that the user keeps ([`erc7730`]), and at last
//! hints from a short list of selectors, marked as guesses: four bytes are no proof. What a standard function would do
//! to tokens is said in any case, whatever an ABI calls it. What nobody knows is a loud warning.
//!
//! Pure: tokens' symbols and decimals come in as data.

pub mod erc7730;
mod signature;
pub mod standard;

use crate::messages::Row;
use crate::text::{clean, ether, quoted_whole, row};
use crate::token::Tokens;
use alloy::dyn_abi::{DynSolValue, JsonAbiExt};
use alloy::json_abi::{Function, Param};
use alloy::primitives::{Address, U256, keccak256};
use erc7730::Descriptors;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

pub use standard::{input_moves_tokens, moves_tokens};

/// Most rows that one call is shown in; what is left out is said.
const MAX_ROWS: usize = 200;
/// Longest string shown whole, in characters.
pub(crate) const MAX_STRING: usize = 4000;
/// Longest bytes shown whole; of longer ones the beginning, the length and the digest.
const MAX_BYTES: usize = 1024;

/// A call to be explained.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Sender.
    pub from: Address,
    /// Contract or recipient.
    pub to: Address,
    /// Wei.
    pub value: U256,
    /// Calldata.
    pub input: &'a [u8],
}

/// What is known beforehand.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Functions of the called contract, from whoever vouches for it.
    pub abi: &'a [Function],
    /// ERC-7730 descriptors.
    pub descriptors: &'a Descriptors,
    /// Tokens that were asked for symbol and decimals.
    pub tokens: &'a Tokens,
}

/// Where an explanation comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The ABI that the caller gave.
    Abi,
    /// The built-in table of standard functions.
    Standard,
    /// A descriptor that the user keeps.
    Erc7730,
    /// A guess from the selector.
    Hint,
    /// Nobody knows it.
    Unknown,
}

/// A call in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decoded {
    /// One line.
    pub title: String,
    /// Arguments, complete.
    pub rows: Vec<Row>,
    /// What the user must read.
    pub warnings: Vec<String>,
    /// Who says so.
    pub source: Source,
    /// Who gets value or power over tokens by it.
    pub recipients: Vec<Address>,
    /// The token and the amount that it moves or allows at most. A call that [`input_moves_tokens`] and has none here
    /// cannot be bounded.
    pub token_amount: Option<(Address, U256)>,
    /// It can move tokens or allowances.
    pub moves_tokens: bool,
}

/// Explains `call`.
#[must_use]
pub fn decode(call: &Call<'_>, known: &Known<'_>) -> Decoded {
    let mut decoded = explain(call, known, 0);
    if decoded.rows.len() > MAX_ROWS {
        let left = decoded.rows.len() - MAX_ROWS;
        decoded.rows.truncate(MAX_ROWS);
        decoded.warnings.push(format!("{left} more rows of this call are not shown: it is too long to be read."));
    }
    decoded
}

/// What can be said of a transaction that makes a new contract.
#[must_use]
pub fn creation(code: &[u8]) -> Decoded {
    Decoded {
        title: format!("Create a contract ({} bytes of code)", code.len()),
        rows: vec![row("Code", bytes_text(code))],
        warnings: vec!["A new contract is created: the wallet cannot say what its code does.".to_owned()],
        source: Source::Standard,
        recipients: Vec::new(),
        token_amount: None,
        moves_tokens: false,
    }
}

fn explain(call: &Call<'_>, known: &Known<'_>, depth: usize) -> Decoded {
    let base = Decoded {
        title: String::new(),
        rows: Vec::new(),
        warnings: Vec::new(),
        source: Source::Unknown,
        recipients: if call.value.is_zero() { Vec::new() } else { vec![call.to] },
        token_amount: None,
        moves_tokens: input_moves_tokens(call.input),
    };
    if call.input.is_empty() {
        let title = format!("Send {} to {}", ether(call.value), call.to.to_checksum(None));
        return Decoded { title, source: Source::Standard, ..base };
    }
    let Some(selector) = call.input.first_chunk::<4>() else { return unknown(call, base) };
    // What a standard function would do stands there whatever somebody's ABI calls it.
    let standard = standard::explain(call, known, depth);
    let base = match &standard {
        Some(facts) => Decoded {
            warnings: facts.warnings.clone(),
            recipients: [base.recipients, facts.recipients.clone()].concat(),
            token_amount: facts.token_amount,
            ..base
        },
        None => base,
    };
    if let Some(function) = known.abi.iter().find(|function| function.selector() == *selector) {
        let mut decoded = Decoded { title: format!("Call {}", function.signature()), source: Source::Abi, ..base };
        match arguments(function, call.input) {
            Ok(values) => decoded.rows = argument_rows(&function.inputs, &values),
            Err(why) => {
                decoded.warnings.push(format!("The calldata does not fit {}: {why}.", function.signature()));
                decoded.rows = vec![row("Calldata", bytes_text(call.input))];
            }
        }
        if let Some(facts) = standard {
            decoded.rows.insert(0, row("Does", facts.title));
        }
        return decoded;
    }
    if let Some(facts) = standard {
        return Decoded { title: facts.title, rows: facts.rows, source: Source::Standard, ..base };
    }
    if let Some(shown) = known.descriptors.explain(call, known.tokens) {
        let warnings = [base.warnings, shown.warnings].concat();
        return Decoded { title: shown.title, rows: shown.rows, source: Source::Erc7730, warnings, ..base };
    }
    if let Some((function, values)) = hint(call.input) {
        let mut decoded = Decoded { source: Source::Hint, ..base };
        decoded.title = format!("Perhaps {} (a guess)", function.signature());
        decoded.rows = argument_rows(&function.inputs, &values);
        decoded.warnings.push(format!(
            "{} is only a guess from the function's four-byte selector: the contract may do something else.",
            function.signature()
        ));
        return decoded;
    }
    unknown(call, base)
}

fn unknown(call: &Call<'_>, base: Decoded) -> Decoded {
    let selector = hex::encode(call.input.get(..4).unwrap_or(call.input));
    let text = format!("unknown function 0x{selector}, {} bytes", call.input.len());
    let mut decoded = Decoded { title: format!("Call an {text}"), source: Source::Unknown, ..base };
    decoded.rows = vec![row("Calldata", bytes_text(call.input))];
    let capital = format!("U{}", &text[1..]);
    decoded.warnings.push(format!("{capital}: the wallet cannot say what this does."));
    decoded
}

/// The arguments of `input` as `function` declares them: the whole calldata and nothing besides.
fn arguments(function: &Function, input: &[u8]) -> Result<Vec<DynSolValue>, String> {
    let body = input.get(4..).unwrap_or_default();
    let values = function.abi_decode_input(body).map_err(|_| "the arguments cannot be read".to_owned())?;
    match function.abi_encode_input(&values) {
        Ok(again) if again == input => Ok(values),
        _ => Err("it carries more, or is written otherwise, than its arguments need".to_owned()),
    }
}

/// A row for every argument, with name and type; tuples and lists of tuples by their members.
pub(crate) fn argument_rows(params: &[Param], values: &[DynSolValue]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (position, (param, value)) in params.iter().zip(values).enumerate() {
        let name = if param.name.is_empty() { format!("#{position}") } else { clean(&param.name, 64) };
        add_rows(&mut rows, &name, &param.ty, &param.components, value);
    }
    rows
}

fn add_rows(rows: &mut Vec<Row>, name: &str, ty: &str, components: &[Param], value: &DynSolValue) {
    // One more than is shown, so that the cut is noticed.
    if rows.len() > MAX_ROWS {
        return;
    }
    match value {
        DynSolValue::Tuple(members) if !members.is_empty() => {
            for (position, member) in members.iter().enumerate() {
                let param = components.get(position);
                let label = match param {
                    Some(param) if !param.name.is_empty() => format!("{name}.{}", clean(&param.name, 64)),
                    _ => format!("{name}.#{position}"),
                };
                let (ty, inner) =
                    param.map_or(("", [].as_slice()), |param| (param.ty.as_str(), param.components.as_slice()));
                add_rows(rows, &label, ty, inner, member);
            }
        }
        DynSolValue::Array(items) | DynSolValue::FixedArray(items) => {
            if items.is_empty() {
                rows.push(row(format!("{name} ({ty})"), "an empty list"));
            }
            let inner = ty.rfind('[').map_or(ty, |end| &ty[..end]);
            for (position, item) in items.iter().enumerate() {
                add_rows(rows, &format!("{name}[{position}]"), inner, components, item);
            }
        }
        plain => rows.push(row(format!("{name} ({ty})"), value_text(plain))),
    }
}

/// One value in full; strings are foreign words and quoted.
pub(crate) fn value_text(value: &DynSolValue) -> String {
    match value {
        DynSolValue::Bool(b) => b.to_string(),
        DynSolValue::Int(i, _) => i.to_string(),
        DynSolValue::Uint(u, _) => u.to_string(),
        DynSolValue::Address(address) => address.to_checksum(None),
        DynSolValue::FixedBytes(word, size) => format!("0x{}", hex::encode(&word[..*size])),
        DynSolValue::Function(f) => f.to_string(),
        DynSolValue::Bytes(bytes) => bytes_text(bytes),
        DynSolValue::String(text) => quoted_whole(text, MAX_STRING),
        DynSolValue::Array(list) | DynSolValue::FixedArray(list) | DynSolValue::Tuple(list) => {
            format!("[{}]", list.iter().map(value_text).collect::<Vec<_>>().join(", "))
        }
        #[allow(unreachable_patterns, reason = "alloy adds a variant under a feature that another crate may turn on")]
        _ => "a value that cannot be shown".to_owned(),
    }
}

/// Bytes as hex; long ones by their beginning, length and digest.
pub(crate) fn bytes_text(bytes: &[u8]) -> String {
    if bytes.len() <= MAX_BYTES {
        return format!("0x{}", hex::encode(bytes));
    }
    let (start, digest) = (hex::encode(&bytes[..MAX_BYTES]), keccak256(bytes));
    format!("0x{start}… ({} bytes, keccak256 {digest})", bytes.len())
}

/// Functions that are met often. Another function may have the same selector: what is found here is a guess.
const HINTS: [&str; 30] = [
    "swapExactTokensForTokens(uint256 amountIn, uint256 amountOutMin, address[] path, address to, uint256 deadline)",
    "swapTokensForExactTokens(uint256 amountOut, uint256 amountInMax, address[] path, address to, uint256 deadline)",
    "swapExactETHForTokens(uint256 amountOutMin, address[] path, address to, uint256 deadline)",
    "swapExactTokensForETH(uint256 amountIn, uint256 amountOutMin, address[] path, address to, uint256 deadline)",
    "exactInputSingle((address tokenIn, address tokenOut, uint24 fee, address recipient, uint256 deadline, uint256 amountIn, uint256 amountOutMinimum, uint160 sqrtPriceLimitX96) params)",
    "exactInputSingle((address tokenIn, address tokenOut, uint24 fee, address recipient, uint256 amountIn, uint256 amountOutMinimum, uint160 sqrtPriceLimitX96) params)",
    "exactInput((bytes path, address recipient, uint256 deadline, uint256 amountIn, uint256 amountOutMinimum) params)",
    "execute(bytes commands, bytes[] inputs, uint256 deadline)",
    "execute(bytes commands, bytes[] inputs)",
    "execute(address to, uint256 value, bytes data)",
    "execTransaction(address to, uint256 value, bytes data, uint8 operation, uint256 safeTxGas, uint256 baseGas, uint256 gasPrice, address gasToken, address refundReceiver, bytes signatures)",
    "addLiquidityETH(address token, uint256 amountTokenDesired, uint256 amountTokenMin, uint256 amountETHMin, address to, uint256 deadline)",
    "supply(address asset, uint256 amount, address onBehalfOf, uint16 referralCode)",
    "borrow(address asset, uint256 amount, uint256 interestRateMode, uint16 referralCode, address onBehalfOf)",
    "repay(address asset, uint256 amount, uint256 interestRateMode, address onBehalfOf)",
    "withdraw(address asset, uint256 amount, address to)",
    "submit(address referral)",
    "stake(uint256 amount)",
    "unstake(uint256 amount)",
    "claim()",
    "mint(address to, uint256 amount)",
    "mint(uint256 amount)",
    "burn(uint256 amount)",
    "deposit(uint256 assets, address receiver)",
    "deposit(address to)",
    "requestExit()",
    "transferOwnership(address newOwner)",
    "renounceOwnership()",
    "upgradeTo(address newImplementation)",
    "upgradeToAndCall(address newImplementation, bytes data)",
];

static HINT_FUNCTIONS: LazyLock<Vec<Function>> =
    LazyLock::new(|| HINTS.iter().filter_map(|text| signature::parse(text)).collect());

/// A known function whose selector fits and whose arguments read exactly.
fn hint(input: &[u8]) -> Option<(&'static Function, Vec<DynSolValue>)> {
    let selector = input.first_chunk::<4>()?;
    let mut fitting = HINT_FUNCTIONS.iter().filter(|function| function.selector() == *selector);
    fitting.find_map(|function| Some((function, arguments(function, input).ok()?)))
}

#[cfg(test)]
mod tests;
