//! ERC-7730 descriptors: JSON files that say how a contract's calls are shown. The user puts them below
//! `<home>/descriptors`; none comes with the wallet or from a network.
//!
//! Of the format this is read: `context.contract.deployments`, `display.formats` by function signature, and fields with
//! `path`, `label` and the formats `raw`, `amount`, `tokenAmount`, `addressName`, `date` (others are shown raw).
//! A descriptor chooses words and units. It hides nothing: arguments that it does not name are shown all the same.

use super::{Call, argument_rows, arguments, signature, value_text};
use crate::messages::Row;
use crate::text::{clean, ether, quoted, row};
use crate::token::{self, Tokens};
use alloy::dyn_abi::DynSolValue;
use alloy::json_abi::{Function, Param};
use alloy::primitives::{Address, U256};
use serde_json::Value as Json;
use std::path::Path;

/// Most descriptor files that are read.
const MAX_FILES: usize = 2000;
/// Largest descriptor: those of the public registry are below 200 KiB.
const MAX_FILE: u64 = 1 << 20;
/// How deep folders are searched: the public registry has two levels.
const MAX_FOLDERS: usize = 4;
/// Longest label or intent, in characters.
const LONGEST_WORDS: usize = 80;

/// The descriptors that the user keeps.
#[derive(Clone, Debug, Default)]
pub struct Descriptors {
    list: Vec<Descriptor>,
}

#[derive(Clone, Debug)]
struct Descriptor {
    /// The file's name: who says so.
    name: String,
    deployments: Vec<(u64, Address)>,
    formats: Vec<Format>,
}

#[derive(Clone, Debug)]
struct Format {
    function: Function,
    intent: String,
    fields: Vec<Field>,
}

#[derive(Clone, Debug)]
struct Field {
    path: String,
    label: String,
    format: String,
    params: Json,
}

/// A call in a descriptor's words.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) title: String,
    pub(super) rows: Vec<Row>,
    pub(super) warnings: Vec<String>,
}

impl Descriptors {
    /// Reads every `.json` file below `folder`, in order of their names. A file that does not fit is left out and said
    /// why; a folder that is not there is empty.
    #[must_use]
    pub fn load(folder: &Path) -> (Self, Vec<String>) {
        let (mut all, mut problems, mut files) = (Self::default(), Vec::new(), Vec::new());
        find_files(folder, 0, &mut files);
        files.sort();
        for path in files {
            let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
            let text = std::fs::metadata(&path).and_then(|meta| {
                if meta.len() > MAX_FILE { Ok(None) } else { std::fs::read_to_string(&path).map(Some) }
            });
            let result = match text {
                Err(error) => Err(error.to_string()),
                Ok(None) => Err(format!("larger than {MAX_FILE} bytes")),
                Ok(Some(text)) => all.add(&name, &text),
            };
            if let Err(why) = result {
                problems.push(format!("descriptor {name}: {why}"));
            }
        }
        (all, problems)
    }

    /// Adds one descriptor. Parts of the format that are not read make it be refused, not half understood.
    ///
    /// # Errors
    /// Names the field that does not fit.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), String> {
        let json: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let name = clean(name, LONGEST_WORDS);
        if json.get("includes").is_some() {
            return Err("`includes` is not read; put everything into one file".to_owned());
        }
        let list = json.pointer("/context/contract/deployments").and_then(Json::as_array);
        let list = list.ok_or("context.contract.deployments is missing (only contracts are read)")?;
        let mut deployments = Vec::new();
        for (index, one) in list.iter().enumerate() {
            let address = one["address"].as_str().and_then(|text| text.parse().ok());
            let (Some(chain), Some(address)) = (one["chainId"].as_u64(), address) else {
                return Err(format!("context.contract.deployments[{index}]: a chainId and an address are needed"));
            };
            deployments.push((chain, address));
        }
        let formats = json.pointer("/display/formats").and_then(Json::as_object);
        let formats = formats.ok_or("display.formats is missing")?;
        let mut known = Vec::new();
        for (signature, format) in formats {
            let at = format!("display.formats[{signature:?}]");
            let function = signature::parse(signature).ok_or_else(|| format!("{at}: not a function with its types"))?;
            let fields = format["fields"].as_array().ok_or_else(|| format!("{at}.fields is missing"))?;
            let mut read = Vec::new();
            for (index, field) in fields.iter().enumerate() {
                read.push(read_field(&json, field).map_err(|why| format!("{at}.fields[{index}]: {why}"))?);
            }
            let intent = match &format["intent"] {
                Json::String(text) => text.clone(),
                Json::Object(parts) => parts.values().filter_map(Json::as_str).collect::<Vec<_>>().join(" "),
                _ => function.name.clone(),
            };
            known.push(Format { function, intent, fields: read });
        }
        self.list.push(Descriptor { name, deployments, formats: known });
        Ok(())
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn find(&self, call: &Call<'_>) -> Option<(&Descriptor, &Format)> {
        let selector = call.input.first_chunk::<4>()?;
        let mut fitting = self.list.iter().filter(|one| one.deployments.contains(&(call.chain_id, call.to)));
        fitting.find_map(|one| Some((one, one.formats.iter().find(|f| f.function.selector() == *selector)?)))
    }

    /// Tokens whose units the descriptor wants for this call: their symbol and decimals should be asked for first.
    #[must_use]
    pub fn tokens_of(&self, call: &Call<'_>) -> Vec<Address> {
        let Some((_, format)) = self.find(call) else { return Vec::new() };
        let Ok(values) = arguments(&format.function, call.input) else { return Vec::new() };
        let fields = format.fields.iter().filter(|field| field.format == "tokenAmount");
        fields.filter_map(|field| token_of(field, call, &format.function, &values)).collect()
    }

    pub(super) fn explain(&self, call: &Call<'_>, tokens: &Tokens) -> Option<Shown> {
        let (descriptor, format) = self.find(call)?;
        let values = arguments(&format.function, call.input).ok()?;
        let mut shown = Shown {
            title: format!("{} (in the words of your descriptor {})", quoted(&clip(&format.intent)), descriptor.name),
            rows: vec![row("Calls", format.function.signature())],
            warnings: Vec::new(),
        };
        let mut named = Vec::new();
        for field in &format.fields {
            let found = look_up(&field.path, call, &format.function, &values);
            if found.is_empty() {
                let path = quoted(&clip(&field.path));
                shown.warnings.push(format!("The descriptor {} names {path}, which is not there.", descriptor.name));
            }
            for value in found {
                let text = show(field, &value.value, call, &format.function, &values, tokens);
                shown.rows.push(row(clip(&field.label), text));
                // Of a list or tuple only the part with this path was named.
                if value.whole {
                    named.extend(value.argument);
                }
            }
        }
        for (position, (param, value)) in format.function.inputs.iter().zip(&values).enumerate() {
            if !named.contains(&position) {
                shown.rows.extend(argument_rows(std::slice::from_ref(param), std::slice::from_ref(value)));
            }
        }
        Some(shown)
    }
}

fn find_files(folder: &Path, depth: usize, files: &mut Vec<std::path::PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        // Links are not followed: only what lies below the folder is the user's choice.
        let Ok(kind) = entry.file_type() else { continue };
        let path = entry.path();
        if kind.is_dir() && depth < MAX_FOLDERS {
            find_files(&path, depth + 1, files);
        } else if kind.is_file() && path.extension().is_some_and(|e| e == "json") && files.len() < MAX_FILES {
            files.push(path);
        }
    }
}

fn clip(text: &str) -> String {
    clean(text, LONGEST_WORDS)
}

/// A field, or the definition it refers to with its own entries on top.
fn read_field(root: &Json, field: &Json) -> Result<Field, String> {
    if field.get("fields").is_some() {
        return Err("nested `fields` are not read; write each path out".to_owned());
    }
    let text = |json: &Json, name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
    let definition = match text(field, "$ref") {
        None => Json::Null,
        Some(reference) => {
            let name = reference.strip_prefix("$.display.definitions.").unwrap_or_default();
            let found = root.pointer("/display/definitions").and_then(|all| all.get(name)).cloned();
            found.ok_or_else(|| format!("{reference:?} is not there"))?
        }
    };
    let either = |name: &str| text(field, name).or_else(|| text(&definition, name));
    let path = text(field, "path").ok_or("`path` is missing")?;
    let params = field.get("params").or_else(|| definition.get("params")).cloned().unwrap_or(Json::Null);
    Ok(Field {
        label: either("label").unwrap_or_else(|| path.clone()),
        format: either("format").unwrap_or_else(|| "raw".to_owned()),
        path,
        params,
    })
}

struct Found {
    value: DynSolValue,
    /// Place of the argument it lies in.
    argument: Option<usize>,
    /// It is that whole argument.
    whole: bool,
}

/// The values at a path: `amount`, `#.params.tokenIn`, `path.[0]`, `orders.[].maker`, `@.value`.
fn look_up(path: &str, call: &Call<'_>, function: &Function, values: &[DynSolValue]) -> Vec<Found> {
    if let Some(container) = path.strip_prefix("@.") {
        let value = match container {
            "value" => DynSolValue::Uint(call.value, 256),
            "to" => DynSolValue::Address(call.to),
            "from" => DynSolValue::Address(call.from),
            "chainId" => DynSolValue::Uint(U256::from(call.chain_id), 256),
            _ => return Vec::new(),
        };
        return vec![Found { value, argument: None, whole: true }];
    }
    let path = path.strip_prefix("#.").unwrap_or(path);
    let mut parts = path.split('.');
    let first = parts.next().unwrap_or_default();
    let Some(position) = function.inputs.iter().position(|param| param.name == first) else { return Vec::new() };
    let (Some(param), Some(value)) = (function.inputs.get(position), values.get(position)) else { return Vec::new() };
    let mut found = vec![(param.components.as_slice(), value)];
    let mut whole = true;
    for part in parts {
        let before = std::mem::take(&mut found);
        for (components, value) in before {
            step(part, components, value, &mut found);
        }
        whole &= part == "[]";
    }
    let found = found.into_iter();
    found.map(|(_, value)| Found { value: value.clone(), argument: Some(position), whole }).collect()
}

fn step<'a>(
    part: &str,
    components: &'a [Param],
    value: &'a DynSolValue,
    found: &mut Vec<(&'a [Param], &'a DynSolValue)>,
) {
    let index = part.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match (index, value) {
        (Some(index), DynSolValue::Array(items) | DynSolValue::FixedArray(items)) => {
            let one = match index.parse::<i64>() {
                Ok(place) if place >= 0 => usize::try_from(place).ok().and_then(|place| items.get(place)),
                // -1 is the last.
                Ok(place) => items
                    .len()
                    .checked_add_signed(isize::try_from(place).unwrap_or(isize::MIN))
                    .and_then(|p| items.get(p)),
                Err(_) if index.is_empty() => {
                    found.extend(items.iter().map(|item| (components, item)));
                    None
                }
                Err(_) => None,
            };
            found.extend(one.map(|item| (components, item)));
        }
        (None, DynSolValue::Tuple(members)) => {
            let place = components.iter().position(|param| param.name == part);
            if let Some((place, member)) = place.and_then(|place| Some((place, members.get(place)?))) {
                found.push((&components[place].components, member));
            }
        }
        _ => {}
    }
}

fn token_of(field: &Field, call: &Call<'_>, function: &Function, values: &[DynSolValue]) -> Option<Address> {
    if let Some(path) = field.params["tokenPath"].as_str() {
        return look_up(path, call, function, values).first().and_then(|found| found.value.as_address());
    }
    field.params["token"].as_str().and_then(|text| text.parse().ok())
}

fn show(
    field: &Field,
    value: &DynSolValue,
    call: &Call<'_>,
    function: &Function,
    values: &[DynSolValue],
    tokens: &Tokens,
) -> String {
    let number = value.as_uint().map(|(number, _)| number);
    match (field.format.as_str(), number) {
        ("amount", Some(wei)) => ether(wei),
        ("tokenAmount", Some(amount)) => match token_of(field, call, function, values) {
            Some(token) => token::amount(tokens, token, amount),
            None => format!("{amount} units of a token that the descriptor does not name"),
        },
        ("date", Some(seconds)) if field.params["encoding"] == "blockheight" => format!("block {seconds}"),
        ("date", Some(seconds)) => match u64::try_from(seconds) {
            Ok(seconds) => format!("{} ({seconds})", crate::siwe::time_text(seconds.saturating_mul(1000))),
            Err(_) => format!("{seconds} seconds: no time that anybody sees"),
        },
        _ => value_text(value),
    }
}
