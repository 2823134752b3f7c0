//! Function signatures as people write them, with names also within tuples:
//! `exactInputSingle((address tokenIn, uint24 fee) params)`. The ABI library reads names at the outermost level only.

use alloy::dyn_abi::DynSolType;
use alloy::json_abi::{Function, Param, StateMutability};

/// How deep tuples may be nested.
const MAX_DEPTH: usize = 8;

/// Reads `[function] name(params)`; nothing may follow.
pub(super) fn parse(text: &str) -> Option<Function> {
    let text = text.trim();
    let text = text.strip_prefix("function ").unwrap_or(text).trim_start();
    let open = text.find('(')?;
    let name = text[..open].trim();
    if !is_name(name) {
        return None;
    }
    let mut rest = &text[open..];
    let inputs = params(&mut rest, 0)?;
    let function =
        Function { name: name.to_owned(), inputs, outputs: Vec::new(), state_mutability: StateMutability::NonPayable };
    rest.trim().is_empty().then_some(function)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '$')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$')
}

/// `(type name, …)`; leaves `rest` behind the closing parenthesis.
fn params(rest: &mut &str, depth: usize) -> Option<Vec<Param>> {
    if depth > MAX_DEPTH {
        return None;
    }
    *rest = rest.strip_prefix('(')?.trim_start();
    let mut list = Vec::new();
    if let Some(after) = rest.strip_prefix(')') {
        *rest = after;
        return Some(list);
    }
    loop {
        list.push(param(rest, depth)?);
        *rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix(',') {
            *rest = after.trim_start();
        } else {
            *rest = rest.strip_prefix(')')?;
            return Some(list);
        }
    }
}

fn param(rest: &mut &str, depth: usize) -> Option<Param> {
    let tuple = rest.strip_prefix("tuple").filter(|after| after.starts_with('(')).unwrap_or(rest);
    let (base, components) = if tuple.starts_with('(') {
        *rest = tuple;
        ("tuple".to_owned(), params(rest, depth + 1)?)
    } else {
        let word = take(rest, |c| c.is_ascii_alphanumeric());
        let base = match word {
            "uint" => "uint256",
            "int" => "int256",
            other => other,
        };
        (base.to_owned(), Vec::new())
    };
    let arrays = take(rest, |c| c == '[' || c == ']' || c.is_ascii_digit());
    let ty = format!("{base}{arrays}");
    // Checks the name of the type and the brackets; a tuple stands in as a plain type.
    let stand_in = if components.is_empty() && base != "tuple" { ty.clone() } else { format!("bool{arrays}") };
    DynSolType::parse(&stand_in).ok()?;
    let mut name = "";
    loop {
        *rest = rest.trim_start();
        let word = take(rest, |c| c.is_ascii_alphanumeric() || c == '_' || c == '$');
        match word {
            "" => break,
            "memory" | "calldata" | "storage" | "payable" => {}
            word if name.is_empty() => name = word,
            _ => return None,
        }
    }
    if !name.is_empty() && !is_name(name) {
        return None;
    }
    Some(Param { ty, name: name.to_owned(), components, internal_type: None })
}

fn take<'a>(rest: &mut &'a str, fits: impl Fn(char) -> bool) -> &'a str {
    let end = rest.find(|c| !fits(c)).unwrap_or(rest.len());
    let (taken, after) = rest.split_at(end);
    *rest = after;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_within_tuples_are_read() {
        let function = parse("function place((address maker,uint[2][] prices)[] orders, string  memory note)").unwrap();
        assert_eq!(function.signature(), "place((address,uint256[2][])[],string)");
        assert_eq!(function.inputs[0].components[1].name, "prices");
        assert_eq!((function.inputs[0].name.as_str(), function.inputs[1].name.as_str()), ("orders", "note"));
        assert_eq!(parse("claim()").unwrap().selector(), Function::parse("claim()").unwrap().selector());
        for wrong in [
            "",
            "x",
            "x(",
            "x(uint",
            "x(uint9)",
            "x(uint a b)",
            "x(uint[)",
            "x() y",
            "x((uint)",
            "1x()",
            "x(,)",
            "x(uint a,)",
            "x(nothing)",
            &"x(".repeat(50),
        ] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn foreign_text_never_panics(text in "[a-z0-9(), \\[\\]]{0,60}|\\PC{0,60}") {
            let _ = parse(&text);
        }
    }
}
