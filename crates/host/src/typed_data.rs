//! EIP-712 typed data: read strictly, shown completely, with its digests.
//!
//! What is shown must be what is signed: a field that no type declares, a domain that hashes otherwise than it reads, a
//! name that stands twice are errors, not things to pass over. The digests are the numbers that a second device or a
//! second person can compare.

mod strict;

use crate::error::HostError;
use crate::messages::Row;
use crate::text::{clean, quoted_whole, row};
use alloy::dyn_abi::TypedData;
use alloy::primitives::{Address, B256, U256, keccak256};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

pub use strict::parse_text;

/// How deep values may be nested.
const MAX_DEPTH: usize = 16;
/// Most values: more cannot be read by anybody.
const MAX_VALUES: usize = 500;
/// Most types, and most fields of one.
const MAX_TYPES: usize = 64;
/// The type of the domain.
const DOMAIN: &str = "EIP712Domain";
/// EIP-712's fields of the domain, in its order.
const DOMAIN_FIELDS: [(&str, &str); 5] = [
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
    ("salt", "bytes32"),
];

/// Types whose signature moves tokens, orders or allowances by itself: EIP-2612, Permit2, EIP-3009, Seaport, 0x, CoW,
/// UniswapX, ERC-7683, meta-transactions (EIP-2771), Safe, ERC-4337, delegations.
const MOVING: [&str; 41] = [
    "Permit",
    "PermitSingle",
    "PermitBatch",
    "PermitTransferFrom",
    "PermitBatchTransferFrom",
    "PermitWitnessTransferFrom",
    "PermitBatchWitnessTransferFrom",
    "PermitForAll",
    "Approve",
    "Approval",
    "TransferWithAuthorization",
    "ReceiveWithAuthorization",
    "Transfer",
    "OrderComponents",
    "BulkOrder",
    "Order",
    "OrderParameters",
    "MakerOrder",
    "Maker",
    "LimitOrder",
    "RfqOrder",
    "OtcOrder",
    "ERC721Order",
    "ERC1155Order",
    "DutchOrder",
    "ExclusiveDutchOrder",
    "V2DutchOrder",
    "CrossChainOrder",
    "GaslessCrossChainOrder",
    "SafeTx",
    "SafeMessage",
    "ForwardRequest",
    "MetaTransaction",
    "UserOperation",
    "PackedUserOperation",
    "Execute",
    "Call",
    "Calls",
    "Batch",
    "Delegation",
    "Authorization",
];

/// Typed data that was read.
#[derive(Clone, Debug)]
pub struct Typed {
    /// The type that is signed.
    pub primary_type: String,
    /// Chain of the domain.
    pub chain_id: Option<U256>,
    /// Contract of the domain.
    pub verifying_contract: Option<Address>,
    /// The domain, field by field.
    pub domain_rows: Vec<Row>,
    /// The message, value by value, with types.
    pub message_rows: Vec<Row>,
    /// Why a signature of this moves tokens by itself, if it does.
    pub moving: Option<String>,
    /// keccak256 of the domain.
    pub domain_separator: B256,
    /// keccak256 of the message.
    pub struct_hash: B256,
    /// What is signed.
    pub digest: B256,
}

impl Typed {
    /// Reads the object of `eth_signTypedData_v4`. A string is not taken: see [`parse_text`].
    ///
    /// # Errors
    /// Names the field that does not fit.
    pub fn read(json: &Json) -> Result<Self, HostError> {
        read(json).map_err(|why| HostError::invalid(format!("typed data: {why}")))
    }

    /// Everything that is shown: type, domain, message, digests.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = vec![row("Type", clean(&self.primary_type, 64))];
        rows.extend(self.domain_rows.iter().cloned());
        rows.extend(self.message_rows.iter().cloned());
        rows.push(row("Domain hash", self.domain_separator.to_string()));
        rows.push(row("Message hash", self.struct_hash.to_string()));
        rows.push(row("Signs", self.digest.to_string()));
        rows
    }

    /// The domain names the chain that the account is on.
    ///
    /// # Errors
    /// Another chain (4100).
    pub fn check_chain(&self, chain_id: u64) -> Result<(), HostError> {
        match self.chain_id {
            Some(stated) if stated != U256::from(chain_id) => Err(HostError::unauthorized(format!(
                "sign: the typed data are for chain {stated}, the account is on chain {chain_id}; switch the network"
            ))),
            _ => Ok(()),
        }
    }

    /// What a plugin may ask for: its own chain and one of its own `contracts`, and nothing that moves tokens.
    ///
    /// # Errors
    /// Another chain or contract, none stated, or a kind that moves tokens (4100).
    pub fn check_own(&self, chain_id: u64, contracts: &[Address]) -> Result<(), HostError> {
        let own_chain = self.chain_id == Some(U256::from(chain_id));
        let own_contract = self.verifying_contract.is_some_and(|contract| contracts.contains(&contract));
        if !own_chain || !own_contract {
            return Err(HostError::unauthorized(
                "sign: typed data must name this solution's own chainId and its gateway as verifyingContract",
            ));
        }
        match &self.moving {
            Some(_) => Err(HostError::unauthorized(format!(
                "sign: a {} moves tokens by itself and is refused",
                clean(&self.primary_type, 64)
            ))),
            None => Ok(()),
        }
    }

    /// What the user must read before signing by his own hand, or for a site.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(why) = &self.moving {
            warnings.push(why.clone());
        }
        if self.chain_id.is_none() {
            warnings.push("The domain names no chain: the signature may be used on every chain.".to_owned());
        }
        if self.verifying_contract.is_none() {
            warnings.push("The domain names no contract: nobody can say who will accept the signature.".to_owned());
        }
        warnings
    }
}

type Types = BTreeMap<String, Vec<(String, String)>>;

fn read(json: &Json) -> Result<Typed, String> {
    let object = json.as_object().ok_or("an object is needed")?;
    only(object, &["types", "primaryType", "domain", "message"], "")?;
    let types = read_types(object.get("types").ok_or("types is missing")?)?;
    let primary_type = object.get("primaryType").and_then(Json::as_str).ok_or("primaryType is missing")?;
    if primary_type == DOMAIN {
        return Err("primaryType: EIP712Domain alone says nothing; refused".to_owned());
    }
    let fields = types.get(primary_type).ok_or_else(|| format!("primaryType: there is no type {primary_type:?}"))?;
    let domain = object.get("domain").and_then(Json::as_object).ok_or("domain is missing")?;
    let domain_rows = read_domain(&types, domain)?;
    let message = object.get("message").and_then(Json::as_object).ok_or("message is missing")?;
    let mut shower = Shower { types: &types, rows: Vec::new() };
    shower.fields(fields, message, "", 0)?;
    let message_rows = shower.rows;

    let parsed: TypedData = serde_json::from_value(json.clone()).map_err(|error| error.to_string())?;
    let domain_separator = parsed.domain.separator();
    let struct_hash = parsed.hash_struct().map_err(|error| error.to_string())?;
    let digest = parsed.eip712_signing_hash().map_err(|error| error.to_string())?;
    let text = [b"\x19\x01".as_slice(), domain_separator.as_slice(), struct_hash.as_slice()].concat();
    if keccak256(text) != digest {
        return Err("the digest is not the one of domain and message".to_owned());
    }
    Ok(Typed {
        moving: moving(&types, primary_type),
        primary_type: primary_type.to_owned(),
        chain_id: parsed.domain.chain_id,
        verifying_contract: parsed.domain.verifying_contract,
        domain_rows,
        message_rows,
        domain_separator,
        struct_hash,
        digest,
    })
}

fn only(object: &Map<String, Json>, names: &[&str], at: &str) -> Result<(), String> {
    match object.keys().find(|key| !names.contains(&key.as_str())) {
        Some(key) => Err(format!("{at}{key:?} is not known here; expected {}", names.join(", "))),
        None => Ok(()),
    }
}

fn read_types(json: &Json) -> Result<Types, String> {
    let object = json.as_object().ok_or("types must be an object")?;
    if object.len() > MAX_TYPES {
        return Err(format!("types: more than {MAX_TYPES}"));
    }
    let mut types = Types::new();
    for (name, fields) in object {
        if !is_identifier(name) || is_plain_type(name) {
            return Err(format!("types: {name:?} is no name of a struct"));
        }
        let list = fields.as_array().ok_or_else(|| format!("types.{name} must be a list"))?;
        if list.len() > MAX_TYPES {
            return Err(format!("types.{name}: more than {MAX_TYPES} fields"));
        }
        let mut known: Vec<(String, String)> = Vec::new();
        for (index, field) in list.iter().enumerate() {
            let at = format!("types.{name}[{index}]");
            let field = field.as_object().ok_or_else(|| format!("{at} must be an object"))?;
            only(field, &["name", "type"], &format!("{at}: "))?;
            let text =
                |key: &str| field.get(key).and_then(Json::as_str).ok_or_else(|| format!("{at}.{key} is missing"));
            let (field_name, ty) = (text("name")?, text("type")?);
            if !is_identifier(field_name) {
                return Err(format!("{at}.name: {field_name:?} is no name"));
            }
            if known.iter().any(|(other, _)| other == field_name) {
                return Err(format!("{at}.name: {field_name:?} stands twice in {name}"));
            }
            known.push((field_name.to_owned(), ty.to_owned()));
        }
        types.insert(name.clone(), known);
    }
    for (name, fields) in &types {
        for (field, ty) in fields {
            let base = ty.split('[').next().unwrap_or_default();
            if !is_plain_type(base) && !types.contains_key(base) {
                return Err(format!("types.{name}.{field}: the type {ty:?} is not known"));
            }
        }
    }
    Ok(types)
}

fn is_identifier(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '$')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$')
}

/// The atomic and dynamic types of EIP-712; `uint` and `int` are refused because libraries hash them differently.
fn is_plain_type(ty: &str) -> bool {
    let sized = |prefix: &str, fits: fn(usize) -> bool| {
        let digits = ty.strip_prefix(prefix).filter(|digits| !digits.starts_with('0'));
        digits.and_then(|digits| digits.parse().ok()).is_some_and(fits)
    };
    let integer = |bits: usize| bits.is_multiple_of(8) && (8..=256).contains(&bits);
    matches!(ty, "bool" | "address" | "string" | "bytes")
        || sized("uint", integer)
        || sized("int", integer)
        || sized("bytes", |size| (1..=32).contains(&size))
}

/// The domain must hash as it reads: only the five fields of EIP-712, in its order, each declared and each there.
fn read_domain(types: &Types, domain: &Map<String, Json>) -> Result<Vec<Row>, String> {
    only(domain, &DOMAIN_FIELDS.map(|(name, _)| name), "domain: ")?;
    let present: Vec<_> = DOMAIN_FIELDS.iter().filter(|(name, _)| domain.contains_key(*name)).collect();
    if let Some(declared) = types.get(DOMAIN) {
        let same = declared.len() == present.len()
            && declared.iter().zip(&present).all(|((name, ty), (known, known_ty))| name == known && ty == known_ty);
        if !same {
            let expected: Vec<_> = present.iter().map(|(name, ty)| format!("{ty} {name}")).collect();
            return Err(format!("types.EIP712Domain is not what domain holds: expected ({})", expected.join(", ")));
        }
    }
    if present.is_empty() {
        return Err("domain is empty: the signature would be good anywhere".to_owned());
    }
    let mut rows = Vec::new();
    for (name, ty) in present {
        let value = domain.get(*name).ok_or("domain")?;
        let shown = plain_value(ty, value).map_err(|why| format!("domain.{name}: {why}"))?;
        rows.push(row(format!("Domain {name} ({ty})"), shown));
    }
    Ok(rows)
}

struct Shower<'a> {
    types: &'a Types,
    rows: Vec<Row>,
}

impl Shower<'_> {
    fn fields(
        &mut self,
        fields: &[(String, String)],
        object: &Map<String, Json>,
        at: &str,
        depth: usize,
    ) -> Result<(), String> {
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        only(object, &names, &format!("message{at}: "))?;
        for (name, ty) in fields {
            let label = format!("{at}.{name}");
            let value = object.get(name).ok_or_else(|| format!("message{label} is missing"))?;
            self.value(ty, value, &label, depth + 1)?;
        }
        Ok(())
    }

    fn value(&mut self, ty: &str, value: &Json, at: &str, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("message{at}: nested deeper than {MAX_DEPTH}"));
        }
        if self.rows.len() >= MAX_VALUES {
            return Err(format!("message: more than {MAX_VALUES} values; nobody reads that"));
        }
        let label = at.trim_start_matches('.');
        if let Some((inner, size)) = ty.strip_suffix(']').and_then(|open| open.rsplit_once('[')) {
            let items = value.as_array().ok_or_else(|| format!("message{at}: a list ({ty}) is needed"))?;
            if !size.is_empty() && size.parse().ok() != Some(items.len()) {
                return Err(format!("message{at}: {ty} has {size} items, {} were given", items.len()));
            }
            if items.is_empty() {
                self.rows.push(row(format!("{label} ({ty})"), "an empty list"));
            }
            for (index, item) in items.iter().enumerate() {
                self.value(inner, item, &format!("{at}[{index}]"), depth + 1)?;
            }
            return Ok(());
        }
        if let Some(fields) = self.types.get(ty) {
            let object = value.as_object().ok_or_else(|| format!("message{at}: an object ({ty}) is needed"))?;
            if fields.is_empty() {
                self.rows.push(row(format!("{label} ({ty})"), "an empty struct"));
            }
            return self.fields(fields, object, at, depth);
        }
        let shown = plain_value(ty, value).map_err(|why| format!("message{at}: {why}"))?;
        self.rows.push(row(format!("{label} ({ty})"), shown));
        Ok(())
    }
}

/// One value as it is hashed: numbers in decimal, addresses with checksum, strings quoted.
fn plain_value(ty: &str, value: &Json) -> Result<String, String> {
    let given = || clean(&value.to_string(), 80);
    let wrong = || format!("{} is no {ty}", given());
    match ty {
        "bool" => value.as_bool().map(|b| b.to_string()).ok_or_else(wrong),
        "string" => value.as_str().map(|text| quoted_whole(text, crate::decode::MAX_STRING)).ok_or_else(wrong),
        "address" => {
            let text = value.as_str().filter(|text| text.len() == 42 && text.starts_with("0x")).ok_or_else(wrong)?;
            crate::gateway::parse_address("it", text).map(|a| a.to_checksum(None)).map_err(|_| wrong())
        }
        _ if ty.starts_with("bytes") => {
            let text = value.as_str().and_then(|text| text.strip_prefix("0x")).ok_or_else(wrong)?;
            let bytes = hex::decode(text).map_err(|_| wrong())?;
            match ty["bytes".len()..].parse::<usize>() {
                Ok(size) if bytes.len() != size => Err(format!("{} is no {ty}: {} bytes", given(), bytes.len())),
                _ => Ok(crate::decode::bytes_text(&bytes)),
            }
        }
        _ => {
            // A number of JSON may have been rounded by whoever wrote it; only whole ones below 2^53 are exact.
            let text = match value {
                Json::String(text) => text.clone(),
                Json::Number(number) if number.as_i64().is_some_and(|n| n.unsigned_abs() < 1 << 53) => {
                    number.to_string()
                }
                _ => return Err(format!("{}; write large numbers as strings", wrong())),
            };
            let digits = text.strip_prefix('-').unwrap_or(&text);
            let written = match digits.strip_prefix("0x") {
                Some(hex) => !text.starts_with('-') && !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit()),
                None => !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()),
            };
            if !written {
                return Err(wrong());
            }
            let parsed = alloy::dyn_abi::DynSolType::parse(ty).map_err(|_| wrong())?;
            let number = parsed.coerce_json(&Json::String(text)).map_err(|_| wrong())?;
            Ok(crate::decode::value_text(&number))
        }
    }
}

/// Why a signature of this type moves something by itself: by its name, or by the shape of what it holds.
fn moving(types: &Types, primary_type: &str) -> Option<String> {
    let mut reached = vec![primary_type];
    let mut next = 0;
    while let Some(name) = reached.get(next).copied() {
        next += 1;
        for (_, ty) in types.get(name).into_iter().flatten() {
            let base = ty.split('[').next().unwrap_or_default();
            if let Some((known, _)) = types.get_key_value(base)
                && !reached.contains(&known.as_str())
            {
                reached.push(known);
            }
        }
    }
    let known = |name: &&str| MOVING.iter().any(|moving| moving.eq_ignore_ascii_case(name));
    if let Some(name) = reached.iter().copied().find(known) {
        return Some(format!(
            "Whoever has this signature can move tokens with it, without another question: a {name} is an order, a \
             permission or a transaction by itself."
        ));
    }
    let has = |name: &str, field: &str| {
        types.get(name).into_iter().flatten().any(|(known, _)| known.eq_ignore_ascii_case(field))
    };
    let shape = |name: &&str| {
        has(name, "spender")
            || has(name, "operator")
            || has(name, "offerer")
            || (has(name, "token") && (has(name, "amount") || has(name, "value")))
            || (has(name, "to") && has(name, "data"))
    };
    reached.into_iter().find(shape).map(|name| {
        let name = clean(name, 64);
        format!("A {name} looks like a permission to move tokens: whoever has this signature may be able to use it.")
    })
}

#[cfg(test)]
mod tests;
