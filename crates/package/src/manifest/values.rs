//! Values of a manifest that have rules of their own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ENTRY_LIMIT, ManifestError};

/// A number of bytes, written `"16 MiB"`, `"64 KiB"`, `"1 GiB"` or `"512 B"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(u64);

const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl ByteSize {
    /// `count` bytes.
    #[must_use]
    pub const fn new(count: u64) -> Self {
        Self(count)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no size; write it as \"16 MiB\" (units B, KiB, MiB, GiB)");
        let (number, unit) = text.split_once(' ').ok_or_else(wrong)?;
        let factor = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1;
        if number.is_empty() || number.len() > 9 || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        let count: u64 = number.parse().map_err(|_| wrong())?;
        count.checked_mul(factor).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) =
            UNITS.iter().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor)).unwrap_or(&UNITS[3]);
        write!(f, "{} {unit}", self.0 / factor)
    }
}

impl TryFrom<String> for ByteSize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

/// A layer-1 network by its CAIP-2 name, `eip155:<chain id>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Chain(u64);

impl Chain {
    /// The network with this EIP-155 chain id.
    #[must_use]
    pub const fn new(id: u64) -> Self {
        Self(id)
    }

    /// The EIP-155 chain id.
    #[must_use]
    pub const fn id(self) -> u64 {
        self.0
    }
}

impl FromStr for Chain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" names no chain; write it as \"eip155:1\"");
        let id = text.strip_prefix("eip155:").ok_or_else(wrong)?;
        // One spelling only: no sign, no leading zero.
        if id.is_empty() || id.starts_with('0') || !id.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        id.parse().map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "eip155:{}", self.0)
    }
}

impl TryFrom<String> for Chain {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Chain> for String {
    fn from(chain: Chain) -> Self {
        chain.to_string()
    }
}

/// A file of the package: relative, `/`-separated, without `.`, `..`, empty or hidden tricks. A leading `./` is
/// dropped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackagePath(String);

/// Longest path inside a package, in bytes.
const PATH_LIMIT: usize = 256;

impl PackagePath {
    /// The path, without a leading `./`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PackagePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shown: String = text.chars().take(80).collect();
        let path = text.strip_prefix("./").unwrap_or(text);
        if path.is_empty() || path.len() > PATH_LIMIT {
            return Err(format!("{shown:?} is no file path of 1 to {PATH_LIMIT} bytes"));
        }
        if path.starts_with('/') {
            return Err(format!("{shown:?} is absolute; paths are relative to the package"));
        }
        if path.chars().any(|c| c == '\\' || c == ':' || c.is_control()) {
            return Err(format!("{shown:?} has a character that paths of a package may not have"));
        }
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(format!("{shown:?} has an empty, \".\" or \"..\" part; a path stays inside the package"));
        }
        Ok(Self(path.to_owned()))
    }
}

impl fmt::Display for PackagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PackagePath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PackagePath> for String {
    fn from(path: PackagePath) -> Self {
        path.0
    }
}

/// Characters that change how neighbouring text reads: bidirectional controls and invisible ones. They are refused in
/// what a publisher writes for the install screen.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

pub(super) fn check_text(field: &str, text: &str, least: usize, most: usize) -> Result<(), ManifestError> {
    let count = text.trim().chars().count();
    if count < least || text.chars().count() > most {
        return Err(ManifestError::new(field, format!("needs {least} to {most} characters")));
    }
    if let Some(odd) = text.chars().find(|&c| is_deceptive(c)) {
        let problem = format!("has the control or invisible character U+{:04X}", u32::from(odd));
        return Err(ManifestError::new(field, problem));
    }
    Ok(())
}

pub(super) fn check_count(field: &str, count: usize) -> Result<(), ManifestError> {
    if count > ENTRY_LIMIT {
        return Err(ManifestError::new(field, format!("has {count} entries; at most {ENTRY_LIMIT}")));
    }
    Ok(())
}

/// A layer-2 network address: `ws`, `wss`, `http` or `https`, a host, no user name.
pub(super) fn check_url(field: &str, text: &str) -> Result<(), ManifestError> {
    let wrong = |problem: &str| ManifestError::new(field, format!("{text:?} {problem}"));
    let url = url::Url::parse(text).map_err(|_| wrong("is no URL"))?;
    if !matches!(url.scheme(), "ws" | "wss" | "http" | "https") {
        return Err(wrong("is not a ws, wss, http or https URL"));
    }
    if !url.has_host() {
        return Err(wrong("names no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("carries a user name or a password"));
    }
    if url.fragment().is_some() {
        return Err(wrong("has a fragment (#…)"));
    }
    Ok(())
}
