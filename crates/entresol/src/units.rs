//! Amounts as people write them: `0.5 ether`, `20 gwei`, `7` (wei).

use alloy::primitives::U256;
use alloy::primitives::utils::format_ether;
use anyhow::{Context, bail};

const UNITS: &[(&str, usize)] = &[("wei", 0), ("gwei", 9), ("ether", 18), ("eth", 18)];

/// Reads an amount in wei. A unit follows the number, with or without a space; a plain whole number is wei.
pub(crate) fn parse_amount(text: &str) -> anyhow::Result<U256> {
    amount(text, true)
}

/// Reads an amount only if it names its unit; `None` when the text is something else.
pub(crate) fn amount_with_unit(text: &str) -> Option<U256> {
    amount(text, false).ok()
}

fn amount(text: &str, plain: bool) -> anyhow::Result<U256> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = unit.trim();
    let decimals = match UNITS.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name)) {
        Some((_, decimals)) => *decimals,
        None if unit.is_empty() && plain && !number.contains('.') => 0,
        None if unit.is_empty() => {
            bail!("`{text}` needs a unit; write `{text} ether`, `{text} gwei` or a whole number of wei")
        }
        None => bail!("`{unit}` in `{text}` is not a unit; use wei, gwei or ether"),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || (number.contains('.') && fraction.is_empty()) || fraction.contains('.') {
        bail!("`{text}` is not an amount; write it like `0.5 ether`");
    }
    if fraction.len() > decimals {
        bail!("`{text}` is finer than one wei; use at most {decimals} digits after the point");
    }
    let digits = format!("{whole}{fraction}{}", "0".repeat(decimals - fraction.len()));
    U256::from_str_radix(&digits, 10)
        .with_context(|| format!("`{text}` is too large; an amount has at most 78 digits of wei"))
}

/// `wei` (decimal string) for people; text that is no number stays as it is.
pub(crate) fn ether(wei: &str) -> String {
    match U256::from_str_radix(wei, 10) {
        Ok(value) => ether_of(value),
        Err(_) => wei.to_owned(),
    }
}

/// `0.5 ETH`, without needless zeros.
pub(crate) fn ether_of(wei: U256) -> String {
    let text = format_ether(wei);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{} ETH", if text.is_empty() { "0" } else { text })
}

/// `1.5 gwei` of wei (decimal string); text that is no number stays as it is.
pub(crate) fn gwei(wei: &str) -> String {
    match U256::from_str_radix(wei, 10) {
        Ok(value) => format!("{} gwei", decimal(value, 9)),
        Err(_) => wei.to_owned(),
    }
}

/// A number of the smallest unit in whole units, exact, without needless zeros.
pub(crate) fn decimal(value: U256, decimals: usize) -> String {
    let digits = format!("{value:0>width$}", width = decimals + 1, value = value.to_string());
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

#[cfg(test)]
mod tests;
