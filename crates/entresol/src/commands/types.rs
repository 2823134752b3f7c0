//! `entresol types`: what a solution's actions take and give, as TypeScript for whoever writes a website or an app.
//!
//! The file extends the global interface `Layer2Solutions`, which is also what `@entresol/provider` types
//! `ethereum.layer2` with, so that it is of use with that package and without it. Names come from the daemon, which
//! has checked that they are identifiers. All else that a plugin wrote stands in comments and cannot leave them.

use std::fmt::Write as _;

use alloy::dyn_abi::DynSolType;
use entresol_host::messages::{ActionView, ParamView, SolutionView};
use serde_json::json;

use crate::context::Context;
use crate::output::visible;

/// Longest text of a plugin in one comment; its descriptions are shorter already, roles and units have no limit.
const LONGEST: usize = 500;

/// Elements up to which a fixed array becomes a tuple.
const SHORT: usize = 4;

pub(crate) async fn types(context: &Context, solution: &str) -> anyhow::Result<()> {
    let view: SolutionView = context.daemon().await?.get("solution", json!({ "solution": solution })).await?;
    let file = TypesFile {
        solution: view.name.clone(),
        interface: interface_name(&view.name),
        package: view.package.clone(),
        interface_digest: view.interface_digest.clone(),
        typescript: typescript(&view),
        actions: view.actions,
        state: view.state_types,
    };
    context.out.either(&file, |file| file.typescript.clone())
}

/// What `--json` prints.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct TypesFile {
    solution: String,
    /// Name of the interface in `typescript`.
    interface: String,
    package: String,
    /// Changes whenever the plugin declares something else.
    interface_digest: String,
    typescript: String,
    actions: Vec<ActionView>,
    state: Vec<ParamView>,
}

/// Which way a value goes: a call takes what JavaScript has for it, an answer is what JSON holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Into the wallet.
    In,
    /// Out of an action: the wallet has checked it.
    Out,
    /// Published state: what the plugin says, in the form it likes.
    State,
}

/// The whole file.
fn typescript(view: &SolutionView) -> String {
    let (name, interface) = (&view.name, interface_name(&view.name));
    let mut out = String::new();
    let mut line = |text: &str| {
        out.push_str(text);
        out.push('\n');
    };
    line(&format!("// Layer-2 solution {}: {}.", visible(name), visible(&view.package)));
    line(&format!("// Interface {}.", visible(&view.interface_digest)));
    line("// Made by `entresol types`; make it again when the digest changes. Quoted texts are the plugin's own.");
    line("");
    line(&doc("", &[format!("Actions of {}, titled {}.", comment(name), quote(&view.title))]));
    line(&format!("export interface {interface} {{"));
    for action in &view.actions {
        line(&action_lines(action));
    }
    line("}");
    line("");
    let about =
        "What the plugin publishes, as far as it is granted. The wallet does not hold it to the types declared.";
    line(&doc("", &[about.to_owned()]));
    line(&format!("export interface {interface}State {{"));
    for state in &view.state_types {
        line(&doc("  ", &[about_value(state)]));
        line(&format!("  readonly {}?: {};", state.name, of(&state.ty, Way::State)));
    }
    line("}");
    line("");
    line("declare global {");
    line("  /** Solutions by the name they have in `ethereum.layer2`. */");
    line("  interface Layer2Solutions {");
    line(&format!("    {}: {interface};", key(name)));
    line("  }");
    line("  /** Their published state by the same name. */");
    line("  interface Layer2States {");
    line(&format!("    {}: {interface}State;", key(name)));
    line("  }");
    line("}");
    out
}

fn action_lines(action: &ActionView) -> String {
    let mut about = Vec::new();
    if !action.description.is_empty() {
        about.push(quote(&action.description));
    }
    about.push(if action.read_only {
        "Only reads: passes without asking the user.".to_owned()
    } else {
        "Asks the user, unless a policy covers it.".to_owned()
    });
    about.push(format!("`{}`", comment(&action.signature)));
    for result in &action.returns {
        about.push(format!("@returns {}: {}", result.name, about_value(result)));
    }
    let mut text = doc("  ", &about);
    let _ = write!(text, "\n  {}(", action.name);
    if action.params.is_empty() {
        text.push_str("params?: Record<string, never>, options?: { id?: string }): ");
    } else {
        text.push_str("params: {\n");
        for param in &action.params {
            let _ = writeln!(text, "{}", doc("    ", &[about_value(param)]));
            let _ = writeln!(text, "    {}: {};", param.name, of(&param.ty, Way::In));
        }
        text.push_str("  }, options?: { id?: string }): ");
    }
    let result = match action.returns.as_slice() {
        [] => "unknown".to_owned(),
        [one] => of(&one.ty, Way::Out),
        many => {
            let fields: Vec<_> = many.iter().map(|one| format!("{}: {}", one.name, of(&one.ty, Way::Out))).collect();
            format!("{{ {} }}", fields.join("; "))
        }
    };
    let _ = write!(text, "Promise<{result}>;");
    text
}

/// `uint256, "amount", in "wei"`.
fn about_value(value: &ParamView) -> String {
    let mut text = comment(&value.ty);
    if let Some(role) = &value.role {
        let _ = write!(text, ", {}", quote(role));
    }
    if let Some(unit) = &value.unit {
        let _ = write!(text, ", in {}", quote(unit));
    }
    text
}

/// The TypeScript type of an ABI type.
fn of(ty: &str, way: Way) -> String {
    // The daemon has parsed it before; whatever it may be, a caller may then give anything.
    DynSolType::parse(ty).map_or_else(|_| "unknown".to_owned(), |parsed| typed(&parsed, way))
}

fn typed(ty: &DynSolType, way: Way) -> String {
    match ty {
        DynSolType::Bool => "boolean".to_owned(),
        DynSolType::String => "string".to_owned(),
        DynSolType::Int(_) | DynSolType::Uint(_) => match way {
            Way::In => "bigint | number | string".to_owned(),
            Way::Out => "string".to_owned(),
            // A BigInt comes as a decimal string, but a plugin may publish a plain number.
            Way::State => "string | number".to_owned(),
        },
        // The provider writes bytes as hex on their way in.
        DynSolType::Bytes | DynSolType::FixedBytes(_) if way == Way::In => "`0x${string}` | Uint8Array".to_owned(),
        DynSolType::Address | DynSolType::Bytes | DynSolType::FixedBytes(_) | DynSolType::Function => {
            "`0x${string}`".to_owned()
        }
        DynSolType::Array(inner) => list(inner, way),
        DynSolType::FixedArray(inner, size) => {
            // Nested ones stay lists: their tuples would multiply.
            let flat = !matches!(**inner, DynSolType::Array(_) | DynSolType::FixedArray(..) | DynSolType::Tuple(_));
            match flat && (1..=SHORT).contains(size) {
                true => format!("readonly [{}]", vec![typed(inner, way); *size].join(", ")),
                false => list(inner, way),
            }
        }
        // ABI types have no names for a tuple's parts; plugins like to publish them as objects.
        DynSolType::Tuple(_) if way == Way::State => {
            "Readonly<Record<string, unknown>> | readonly unknown[]".to_owned()
        }
        DynSolType::Tuple(parts) => {
            format!("readonly [{}]", parts.iter().map(|part| typed(part, way)).collect::<Vec<_>>().join(", "))
        }
        #[allow(unreachable_patterns, reason = "alloy adds a variant under a feature that another crate may turn on")]
        _ => "unknown".to_owned(),
    }
}

fn list(inner: &DynSolType, way: Way) -> String {
    let inner = typed(inner, way);
    // A type of several words needs brackets before `[]`.
    if inner.contains(' ') { format!("readonly ({inner})[]") } else { format!("readonly {inner}[]") }
}

/// `payments` → `Layer2Payments`, `my-rollup-2` → `Layer2MyRollup2`.
fn interface_name(handle: &str) -> String {
    let mut name = "Layer2".to_owned();
    for word in handle.split(|c: char| !c.is_ascii_alphanumeric()) {
        let mut chars = word.chars();
        name.extend(chars.next().map(|first| first.to_ascii_uppercase()));
        name.extend(chars);
    }
    name
}

/// A property name, in quotes where it is no identifier.
fn key(name: &str) -> String {
    let identifier = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if identifier { name.to_owned() } else { json!(visible(name)).to_string() }
}

/// A comment of these paragraphs.
fn doc(indent: &str, lines: &[String]) -> String {
    match lines {
        [one] => format!("{indent}/** {one} */"),
        many => {
            let mut text = format!("{indent}/**");
            for line in many {
                let _ = write!(text, "\n{indent} * {line}");
            }
            let _ = write!(text, "\n{indent} */");
            text
        }
    }
}

/// A plugin's text in quotes, for a comment.
fn quote(text: &str) -> String {
    format!("\"{}\"", comment(text).replace('"', "'"))
}

/// Text for a comment: one line, nothing that acts, no end of a comment, no tag of a documentation tool.
fn comment(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = words.chars().take(LONGEST).collect();
    if short.len() < words.len() {
        short.push('…');
    }
    visible(&short).replace("*/", "*\\/").replace('@', "\\@")
}

#[cfg(test)]
mod tests;
