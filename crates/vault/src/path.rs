//! Derivation paths that a solution may have, as a type: a [`SubtreePath`] that exists is allowed.
//!
//! Default roots take from ERC-1775 ("App Keys", a draft) its aim and the form of its early path scheme:
//! - followed: an application has keys of its own, apart from the accounts, which come back from the seed and the
//!   application's identity alone; they lie below `m/43'/60'/1775'` (BIP-43's purpose, Ethereum's coin type, the ERC's
//!   number), at a hash of that identity cut into hardened levels;
//! - different: the identity is the chain, the gateway and the package instead of a website's name; its hash is
//!   keccak256, of which 124 bits are kept as 4 levels of 31 bits, instead of an ENS namehash as 16 levels of 16 bits;
//!   there is no level for a persona;
//! - not followed: the ERC's later text, which gives up paths for keccak256(private key ‖ origin), and its method that
//!   hands the key itself to a website.
//!
//! So these are not the keys that another wallet with ERC-1775 would derive.

use std::fmt;
use std::str::FromStr;

use alloy::primitives::{Address, keccak256};
use serde::{Deserialize, Serialize};

/// First level of every default root: multi-account hierarchies, which is not a money purpose (SLIP-43 numbering is
/// not used for keys).
const DEFAULT_ROOT: [u32; 3] = [43, 60, 1775];

/// Levels of a default root that come from its hash: 4 · 31 = 124 bits, so that nobody can find a package name that
/// lands on another package's root.
const HASHED_LEVELS: u32 = 4;

/// More levels than any scheme uses; bounds the work and stays far from BIP-32's 255.
const MAX_LEVELS: usize = 16;

/// Fewer levels would claim a whole purpose or coin.
const MIN_LEVELS: usize = 3;

/// One hardened level; numbers go up to 2³¹ − 1.
const HARDENED: u32 = 1 << 31;

/// Purposes under which wallets keep money, with the standard that says so.
const MONEY_PURPOSES: [(u32, &str); 8] = [
    (0, "BIP-32 wallets"),
    (44, "BIP-44 wallets, this one's own owner accounts among them"),
    (45, "BIP-45 multi-signature wallets"),
    (48, "BIP-48 multi-signature wallets"),
    (49, "BIP-49 wallets"),
    (84, "BIP-84 wallets"),
    (86, "BIP-86 wallets"),
    (83_696_968, "BIP-85, which makes whole wallets of one"),
];

/// Why a path is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Not `m/…`.
    #[error("a path starts with \"m/\", such as m/43'/60'/1775'/7'")]
    Start,
    /// A level that is no plain number with one hardening mark.
    #[error(
        "level {level} is not a plain number below 2147483648; write digits only, without sign, spaces or leading zeros"
    )]
    Number {
        /// Level, counted from 1.
        level: usize,
    },
    /// A level without hardening mark: its public key together with one child key would give away its parent.
    #[error("level {level} is not hardened; write it with an apostrophe, such as 7'")]
    NotHardened {
        /// Level, counted from 1.
        level: usize,
    },
    /// Too few or too many levels.
    #[error("the path has {found} levels; a solution's root has {MIN_LEVELS} to {MAX_LEVELS}")]
    Levels {
        /// Levels found.
        found: usize,
    },
    /// A path that belongs to wallets.
    #[error(
        "m/{purpose}' is where money lies ({owner}); a plugin never gets keys there, choose a path such as m/43'/60'/1775'/7'"
    )]
    Money {
        /// The first level.
        purpose: u32,
        /// Who uses it.
        owner: &'static str,
    },
    /// The parent of every default root.
    #[error("m/43'/60'/1775' holds the default roots of all solutions; choose a path below it or elsewhere")]
    AboveDefaults,
}

/// The root of a solution's keys: hardened at every level, in one spelling, outside every wallet's paths.
///
/// ```
/// use entresol_vault::SubtreePath;
/// let path: SubtreePath = "m/43h/60H/1775'/7'".parse()?;
/// assert_eq!(path.to_string(), "m/43'/60'/1775'/7'");
/// assert!("m/44'/60'/0'".parse::<SubtreePath>().is_err());
/// # Ok::<(), entresol_vault::PathError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SubtreePath {
    /// Each below 2³¹, the hardening bit left out.
    levels: Vec<u32>,
}

impl SubtreePath {
    /// The root a solution gets when it states none: `m/43'/60'/1775'/` and four levels of
    /// keccak256(chain, gateway, package). The same after a restore from the seed, another one for every other script.
    #[must_use]
    pub fn default_for(chain_id: u64, gateway: Option<Address>, package: &str) -> Self {
        let mut text = b"entresol subtree v1\n".to_vec();
        text.extend(chain_id.to_be_bytes());
        text.push(u8::from(gateway.is_some()));
        text.extend(gateway.unwrap_or_default().as_slice());
        text.extend(package.as_bytes());
        let hash = keccak256(text);
        let mut bits = [0; 16];
        bits.copy_from_slice(&hash[..16]);
        let bits = u128::from_be_bytes(bits);
        // The mask keeps 31 bits, so the cast loses nothing.
        let hashed = (0..HASHED_LEVELS).map(|level| ((bits >> (97 - 31 * level)) & u128::from(HARDENED - 1)) as u32);
        Self { levels: DEFAULT_ROOT.into_iter().chain(hashed).collect() }
    }

    /// True when one of the two is the other or lies below it, so that keys would be shared.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.levels.starts_with(&other.levels) || other.levels.starts_with(&self.levels)
    }

    /// BIP-32 child numbers, hardened.
    pub(crate) fn child_numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.levels.iter().map(|level| level | HARDENED)
    }
}

fn level(number: usize, text: &str) -> Result<u32, PathError> {
    let digits = text.strip_suffix(['\'', 'h', 'H']);
    let (digits, hardened) = digits.map_or((text, false), |digits| (digits, true));
    let plain = !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    let value = digits.parse().ok().filter(|value| plain && *value < HARDENED);
    let value = value.ok_or(PathError::Number { level: number })?;
    if hardened { Ok(value) } else { Err(PathError::NotHardened { level: number }) }
}

impl FromStr for SubtreePath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let rest = text.strip_prefix("m/").ok_or(PathError::Start)?;
        let found = rest.split('/').count();
        // Checked before the rest is kept: the text may be long and hostile.
        if found > MAX_LEVELS {
            return Err(PathError::Levels { found });
        }
        let levels =
            rest.split('/').enumerate().map(|(index, text)| level(index + 1, text)).collect::<Result<Vec<_>, _>>()?;
        if let Some((purpose, owner)) = MONEY_PURPOSES.iter().find(|(purpose, _)| levels.first() == Some(purpose)) {
            return Err(PathError::Money { purpose: *purpose, owner });
        }
        if DEFAULT_ROOT.starts_with(&levels) {
            return Err(PathError::AboveDefaults);
        }
        if found < MIN_LEVELS {
            return Err(PathError::Levels { found });
        }
        Ok(Self { levels })
    }
}

impl fmt::Display for SubtreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("m")?;
        self.levels.iter().try_for_each(|level| write!(f, "/{level}'"))
    }
}

impl From<SubtreePath> for String {
    fn from(path: SubtreePath) -> Self {
        path.to_string()
    }
}

impl TryFrom<String> for SubtreePath {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests;
