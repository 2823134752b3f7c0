//! `--config FILE`: the flags of a node in TOML, under the same names.
//!
//! A file becomes flags in front of those that were given, and the later of two flags wins: so every value is checked by
//! the one parser, and a flag beats the file. Secrets have no key: the flags only take paths of the files they lie in.

use std::ffi::OsString;
use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches, Args, Command};
use serde_json::{Map, Value as Json};

use crate::args::NodeArgs;
use crate::error::NodeError;

/// Largest file that is read; a full one is below 4 kB.
const MAX_FILE: u64 = 1 << 20;

/// Flags that make no sense in a file.
const NOT_IN_FILE: [&str; 3] = ["config", "print-config", "help"];

/// Puts the content of `--config FILE`, if it stands there, between the command and its other flags. `command`: the words
/// after the program's name after which a node's flags follow, such as `["node", "payments"]`.
///
/// # Errors
/// The file cannot be read, is no TOML, or has a key or a kind of value that no flag has. The text names file and key.
pub fn with_config(arguments: Vec<OsString>, command: &[&str]) -> Result<Vec<OsString>, NodeError> {
    let Some(start) = after(&arguments, command) else { return Ok(arguments) };
    let Some(file) = value_of(&arguments[start..], "--config") else { return Ok(arguments) };
    let flags = read(Path::new(&file))?;
    let mut all = arguments;
    all.splice(start..start, flags);
    Ok(all)
}

/// All values in force, as a file for `--config`. `matches`: what clap made of a node's flags.
#[must_use]
pub fn print(matches: &ArgMatches) -> String {
    let mut text = String::new();
    for flag in flags() {
        let (Some(name), id) = (flag.get_long(), flag.get_id().as_str()) else { continue };
        let Ok(Some(mut values)) = matches.try_get_raw(id) else { continue };
        let Some(value) = values.next_back().map(|value| value.to_string_lossy().into_owned()) else { continue };
        // Only what reads back as it stands: a folder may be called `007`.
        let number = value.parse::<i64>().is_ok_and(|number| number.to_string() == value);
        let bare = number || (is_switch(&flag) && value.parse::<bool>().is_ok());
        // A JSON string is a TOML string.
        let value = if bare { value } else { serde_json::Value::from(value).to_string() };
        text.push_str(&format!("{name} = {value}\n"));
    }
    text
}

fn flags() -> Vec<Arg> {
    let command = NodeArgs::augment_args(Command::new("node"));
    let wanted = |flag: &&Arg| flag.get_long().is_some_and(|name| !NOT_IN_FILE.contains(&name));
    command.get_arguments().filter(wanted).cloned().collect()
}

fn is_switch(flag: &Arg) -> bool {
    matches!(flag.get_action(), ArgAction::SetTrue)
}

/// Where the flags of `command` begin: after its last word. Options of the program may stand between the words.
fn after(arguments: &[OsString], command: &[&str]) -> Option<usize> {
    command.iter().try_fold(1, |from, word| {
        let rest = arguments.get(from..)?;
        Some(from + rest.iter().position(|argument| argument == word)? + 1)
    })
}

fn value_of(arguments: &[OsString], flag: &str) -> Option<OsString> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == flag {
            return arguments.next().cloned();
        }
        if let Some(value) = argument.to_str().and_then(|text| text.strip_prefix(flag)?.strip_prefix('=')) {
            return Some(value.into());
        }
    }
    None
}

fn read(path: &Path) -> Result<Vec<OsString>, NodeError> {
    let shown = path.display();
    let refuse = |why: String| NodeError::Argument(format!("{shown}: {why}"));
    let length = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?.len();
    if length > MAX_FILE {
        return Err(refuse(format!("{length} bytes are no configuration; the most is {MAX_FILE}")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    let table: Map<String, Json> = basic_toml::from_str(&text).map_err(|error| refuse(error.to_string()))?;
    let known = flags();
    let mut arguments = Vec::new();
    for (key, value) in table {
        let Some(flag) = known.iter().find(|flag| flag.get_long() == Some(key.as_str())) else {
            let names: Vec<_> = known.iter().filter_map(|flag| flag.get_long()).collect();
            return Err(refuse(format!("unknown key {key:?}; the keys are the long flags: {}", names.join(", "))));
        };
        let value = match (value, is_switch(flag)) {
            (Json::Bool(on), true) => {
                if on {
                    arguments.push(format!("--{key}").into());
                }
                continue;
            }
            (_, true) => return Err(refuse(format!("{key}: expected true or false"))),
            (Json::String(text), false) => text,
            (Json::Number(number), false) if number.is_i64() || number.is_u64() => number.to_string(),
            _ => return Err(refuse(format!("{key}: expected a string or a whole number"))),
        };
        // In one word, so that no value is ever taken for a flag.
        arguments.push(format!("--{key}={value}").into());
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests;
