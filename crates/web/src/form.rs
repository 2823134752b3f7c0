//! Typed forms: an input for each ABI type, and the texts that come back as the JSON that the host expects. The host
//! checks the types; here is what a text field can get wrong in a way that only the form can explain.

use entresol_host::messages::ParamView;
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use crate::text::shown;

/// Units of wei that a form offers, with their decimals.
const UNITS: &[(&str, usize)] = &[("ETH", 18), ("gwei", 9), ("wei", 0)];

/// Id of the list of addresses that a form may suggest.
pub(crate) const KNOWN: &str = "known-addresses";

/// What a type is to a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Yes,
    Whole,
    Address,
    Bytes,
    Text,
    /// Lists and tuples: JSON.
    Json,
}

fn kind(ty: &str) -> Kind {
    match ty {
        _ if ty.ends_with(']') || ty.starts_with('(') => Kind::Json,
        "bool" => Kind::Yes,
        "address" => Kind::Address,
        "string" => Kind::Text,
        _ if ty.starts_with("uint") || ty.starts_with("int") => Kind::Whole,
        _ if ty.starts_with("bytes") => Kind::Bytes,
        _ => Kind::Json,
    }
}

fn is_wei(param: &ParamView) -> bool {
    param.unit.as_deref() == Some("wei") && param.ty.starts_with("uint") && kind(&param.ty) == Kind::Whole
}

/// A select of the units of an amount.
pub(crate) fn units(name: &str, label: &str) -> Markup {
    html! {
        select name=(name) aria-label={ "Unit of " (label) } {
            @for (unit, _) in UNITS { option value=(unit) { (unit) } }
        }
    }
}

/// The inputs of an action's parameters. `id` makes their ids unique on the page.
pub(crate) fn inputs(id: &str, params: &[ParamView]) -> Markup {
    html! {
        @for param in params {
            @let name = format!("params.{}", param.name);
            @let id = format!("{id}-{}", param.name);
            @let label = html! { (shown(&words(&param.name))) " " small { (shown(&param.ty)) } };
            @match kind(&param.ty) {
                Kind::Yes => label.check { input type="checkbox" name=(name) id=(id); span { (label) } },
                Kind::Json => div.field {
                    label for=(id) { (label) }
                    textarea name=(name) id=(id) rows="3" spellcheck="false" placeholder=(example(&param.ty)) {}
                    small { "JSON, such as " code { (example(&param.ty)) } }
                },
                Kind::Whole if is_wei(param) => div.field {
                    label for=(id) { (label) }
                    div.amount {
                        input type="text" name=(name) id=(id) inputmode="decimal" autocomplete="off" placeholder="0.0";
                        (units(&format!("units.{}", param.name), &param.name))
                    }
                },
                one => div.field {
                    label for=(id) { (label) }
                    input type="text" name=(name) id=(id) autocomplete="off" spellcheck="false"
                        class=[matches!(one, Kind::Address | Kind::Bytes).then_some("code")]
                        list=[(one == Kind::Address && param.role.as_deref() != Some("recipient")).then_some(KNOWN)]
                        inputmode=[(one == Kind::Whole).then_some("numeric")]
                        placeholder=[match one { Kind::Address | Kind::Bytes => Some("0x…"), Kind::Whole => Some("0"), _ => None }];
                },
            }
        }
    }
}

/// `toAddress` as `to address`: a name that a person can read. What is no such name stays as it is.
pub(crate) fn words(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() && out.ends_with(|before: char| before.is_ascii_lowercase()) {
            out.push(' ');
            out.push(c.to_ascii_lowercase());
        } else {
            out.push(if c == '_' { ' ' } else { c });
        }
    }
    out
}

/// A value of the type, to show its shape.
fn example(ty: &str) -> String {
    if let Some((inner, _)) = ty.strip_suffix(']').and_then(|rest| rest.rsplit_once('[')) {
        return format!("[{}, …]", example(inner));
    }
    if let Some(inner) = ty.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        return format!("[{}]", members(inner).into_iter().map(example).collect::<Vec<_>>().join(", "));
    }
    match kind(ty) {
        Kind::Yes => "true".to_owned(),
        Kind::Whole => "\"1\"".to_owned(),
        Kind::Address | Kind::Bytes => "\"0x…\"".to_owned(),
        Kind::Text | Kind::Json => "\"text\"".to_owned(),
    }
}

/// The members of a tuple, at its outermost commas.
fn members(inner: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0_usize, 0, Vec::new());
    for (at, c) in inner.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                found.push(inner.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(inner.get(start..).unwrap_or_default());
    found.retain(|member| !member.is_empty());
    found
}

/// The texts of a form as the values of the parameters.
///
/// # Errors
/// Names the parameter and says how it is written.
pub(crate) fn values(
    params: &[ParamView],
    given: &Map<String, Value>,
    units: &Map<String, Value>,
) -> Result<Map<String, Value>, String> {
    if let Some(unknown) = given.keys().find(|name| !params.iter().any(|param| param.name == **name)) {
        return Err(format!("the action has no parameter {unknown:?} any more; load the page again"));
    }
    let mut values = Map::new();
    for param in params {
        let named = |why: String| format!("{}: {why}", words(&param.name));
        let value = given.get(&param.name);
        let text = value.and_then(Value::as_str).unwrap_or_default();
        let trimmed = text.trim();
        let value = match kind(&param.ty) {
            Kind::Yes => Value::Bool(value.and_then(Value::as_bool).unwrap_or_default()),
            Kind::Text => Value::String(text.to_owned()),
            _ if trimmed.is_empty() => return Err(named("a value is needed".to_owned())),
            Kind::Whole if is_wei(param) => {
                let unit = units.get(&param.name).and_then(Value::as_str).unwrap_or("wei");
                Value::String(wei(trimmed, unit).map_err(named)?)
            }
            Kind::Whole => Value::String(trimmed.to_owned()),
            Kind::Address | Kind::Bytes => json!(trimmed),
            Kind::Json => serde_json::from_str(trimmed)
                .map_err(|error| named(format!("this is no JSON ({error}); write it like {}", example(&param.ty))))?,
        };
        values.insert(param.name.clone(), value);
    }
    Ok(values)
}

/// An amount in one of [`UNITS`] as wei, exact.
///
/// # Errors
/// Says how an amount is written.
pub(crate) fn wei(text: &str, unit: &str) -> Result<String, String> {
    let text = text.trim();
    let decimals = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, decimals)| *decimals);
    let decimals = decimals.ok_or_else(|| format!("{unit:?} is not one of the units; load the page again"))?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let ends = text.ends_with('.') || whole.is_empty();
    if text.is_empty() || ends || !digits(whole) || !digits(fraction) || text.len() > 80 {
        return Err(format!("{text:?} is no amount; write it like 0.5, with a point"));
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > decimals {
        return Err(format!("{text} {unit} is finer than one wei"));
    }
    let all = format!("{whole}{fraction}{}", "0".repeat(decimals - fraction.len()));
    let wei = all.trim_start_matches('0');
    Ok(if wei.is_empty() { "0".to_owned() } else { wei.to_owned() })
}

#[cfg(test)]
mod tests;
