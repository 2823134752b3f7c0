//! What a plugin may use up: every limit that a manifest can ask to have set otherwise, with its default, its ceiling
//! and the reason. `docs/plugins/limits.md` says the same to authors; a test compares the two.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{ByteSize, ManifestError, Permission};

/// A limit that is set for each solution. Its spelling is the one of `"permissions": { "limits": { … } }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LimitName {
    /// Memory when the script has been evaluated, before it is asked anything.
    StartMemory,
    /// Milliseconds of CPU time of one turn.
    TurnTime,
    /// Percent of one core, over time.
    CpuShare,
    /// Milliseconds of CPU time that may be used before the share counts.
    CpuBurst,
    /// Calls that may wait before the script has seen them.
    Mailbox,
    /// Calls and hooks that the script may have open.
    OpenCalls,
    /// Requests of the script to the wallet that may be under way.
    HostCalls,
    /// Requests of the script to the wallet in a minute.
    RequestsPerMinute,
    /// Messages and timer orders of one turn.
    MessagesPerTurn,
    /// Timers that may wait.
    Timers,
    /// Bytes of log text of one turn.
    LogPerTurn,
    /// Bytes of log text in a minute.
    LogPerMinute,
    /// Writes to the local database in a minute.
    DatabaseWritesPerMinute,
    /// Bytes written to the local database in a minute.
    DatabaseBytesPerMinute,
    /// Connections that may be open.
    Connections,
    /// Bytes sent and received in a minute, connections and `fetch` together.
    NetworkBytesPerMinute,
}

/// What a number of a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Pieces, written as a number.
    Count,
    /// Milliseconds, written as a number.
    Milliseconds,
    /// Percent of one core, written as a number.
    Percent,
    /// Bytes, written as `"16 MiB"`.
    Bytes,
}

/// One limit: what holds without a word of the manifest, and what can be asked for.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Its name.
    pub name: LimitName,
    /// What it counts.
    pub unit: Unit,
    /// What holds when the manifest does not ask, or the user has refused.
    pub default: u64,
    /// Below this the plugin would not work at all.
    pub least: u64,
    /// More cannot be asked for.
    pub ceiling: u64,
    /// Why the default and the ceiling are what they are.
    pub reason: &'static str,
    /// The wallet's words for the install screen; `{}` is the value.
    sentence: &'static str,
}

const MIB: u64 = 1 << 20;

#[rustfmt::skip]
const fn limit(
    name: LimitName, unit: Unit, [least, default, ceiling]: [u64; 3], sentence: &'static str, reason: &'static str,
) -> Limit {
    Limit { name, unit, default, least, ceiling, reason, sentence }
}

/// Every limit, in the order of the document: least, default, ceiling.
pub const LIMITS: [Limit; 16] = [
    limit(
        LimitName::StartMemory,
        Unit::Bytes,
        [8 * MIB, 48 * MIB, 256 * MIB],
        "fill {} of memory before it is asked anything",
        "what evaluation leaves is kept as a snapshot of each version, in memory and on disk; ethers leaves 6 MiB",
    ),
    limit(
        LimitName::TurnTime,
        Unit::Milliseconds,
        [100, 5_000, 30_000],
        "compute for {} at a stretch",
        "long enough for a block of proofs in JavaScript, short enough that a loop is found before the user gives up",
    ),
    limit(
        LimitName::CpuShare,
        Unit::Percent,
        [5, 50, 100],
        "use {} of a processor core all the time",
        "an instance that computes for ever leaves as much again for others even on a small machine",
    ),
    limit(
        LimitName::CpuBurst,
        Unit::Milliseconds,
        [1_000, 10_000, 60_000],
        "compute for {} before its share of the processor counts",
        "nobody who works for seconds now and then, as at a start, is held back",
    ),
    limit(
        LimitName::Mailbox,
        Unit::Count,
        [16, 256, 4_096],
        "let {} calls wait",
        "a queue hides a plugin that does not keep up; callers are told at once instead",
    ),
    limit(
        LimitName::OpenCalls,
        Unit::Count,
        [16, 512, 4_096],
        "work on {} calls at a time",
        "each holds parameters in the script's memory and a caller who waits",
    ),
    limit(
        LimitName::HostCalls,
        Unit::Count,
        [4, 64, 512],
        "make {} requests to the wallet at a time",
        "each may hold a connection to layer 1 or a place in the queue of approvals",
    ),
    limit(
        LimitName::RequestsPerMinute,
        Unit::Count,
        [600, 300_000, 3_000_000],
        "make {} requests to the wallet in a minute",
        "5 000 a second: more than any plugin has been seen to need, and little enough to serve",
    ),
    limit(
        LimitName::MessagesPerTurn,
        Unit::Count,
        [100, 1_000, 10_000],
        "send {} messages at a stretch",
        "what a turn sends is held in memory until the turn ends",
    ),
    limit(LimitName::Timers, Unit::Count, [16, 512, 8_192], "let {} timers wait", "each is a task of the wallet"),
    limit(
        LimitName::LogPerTurn,
        Unit::Bytes,
        [4 << 10, 64 << 10, MIB],
        "log {} at a stretch",
        "held in memory until the turn ends",
    ),
    limit(
        LimitName::LogPerMinute,
        Unit::Bytes,
        [64 << 10, MIB, 16 * MIB],
        "log {} in a minute",
        "the log is on the user's disk; one plugin must not push out what others said",
    ),
    limit(
        LimitName::DatabaseWritesPerMinute,
        Unit::Count,
        [60, 12_000, 120_000],
        "write to its database {} times in a minute",
        "every write waits for the disk, and all solutions share it",
    ),
    limit(
        LimitName::DatabaseBytesPerMinute,
        Unit::Bytes,
        [MIB, 64 * MIB, 1024 * MIB],
        "write {} to its database in a minute",
        "the quota bounds what stays, this what the disk has to bear",
    ),
    limit(
        LimitName::Connections,
        Unit::Count,
        [1, 8, 64],
        "hold {} network connections",
        "several nodes to compare, and no swarm",
    ),
    limit(
        LimitName::NetworkBytesPerMinute,
        Unit::Bytes,
        [MIB, 64 * MIB, 1024 * MIB],
        "send and receive {} in a minute",
        "about what a slow line carries; more takes the line from everybody else at home",
    ),
];

impl LimitName {
    /// Its row of [`LIMITS`].
    #[must_use]
    pub fn limit(self) -> &'static Limit {
        // A test walks the names: each stands at its own place.
        &LIMITS[self as usize]
    }
}

impl Limit {
    /// Its name as a manifest spells it.
    #[must_use]
    pub fn spelling(&self) -> String {
        serde_json::to_value(self.name).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// A value in words: `512`, `30 s`, `50 %`, `16 MiB`.
    #[must_use]
    pub fn say(&self, value: u64) -> String {
        match self.unit {
            Unit::Count => value.to_string(),
            Unit::Milliseconds if value.is_multiple_of(1000) => format!("{} s", value / 1000),
            Unit::Milliseconds => format!("{value} ms"),
            Unit::Percent => format!("{value} %"),
            Unit::Bytes => ByteSize::new(value).to_string(),
        }
    }

    /// The wallet's sentence for the install screen.
    #[must_use]
    pub fn sentence(&self, value: u64) -> String {
        let words = self.sentence.replace("{}", &self.say(value));
        format!("{words} (usual: {})", self.say(self.default))
    }
}

/// A value in a manifest: a number, or a size such as `"16 MiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Json", into = "Json")]
pub enum LimitValue {
    /// Of anything but bytes.
    Number(u64),
    /// Of bytes.
    Size(ByteSize),
}

impl TryFrom<Json> for LimitValue {
    type Error = String;

    fn try_from(value: Json) -> Result<Self, String> {
        match &value {
            Json::Number(number) => number.as_u64().map(Self::Number),
            Json::String(text) => return text.parse().map(Self::Size),
            _ => None,
        }
        .ok_or_else(|| format!("{value} is no limit; write a whole number, or a size such as \"16 MiB\""))
    }
}

impl From<LimitValue> for Json {
    fn from(value: LimitValue) -> Self {
        match value {
            LimitValue::Number(number) => number.into(),
            LimitValue::Size(size) => size.to_string().into(),
        }
    }
}

/// `"limits"` of a manifest.
pub(super) type Asked = BTreeMap<LimitName, LimitValue>;

pub(super) fn validate(field: &str, asked: &Asked) -> Result<(), ManifestError> {
    for (name, value) in asked {
        let limit = name.limit();
        let field = format!("{field}.{}", limit.spelling());
        let number = match (*value, limit.unit) {
            (LimitValue::Size(size), Unit::Bytes) => size.bytes(),
            (LimitValue::Number(number), Unit::Count | Unit::Milliseconds | Unit::Percent) => number,
            (LimitValue::Number(_), Unit::Bytes) => {
                return Err(ManifestError::new(field, "is a size; write it as \"16 MiB\""));
            }
            (LimitValue::Size(_), unit) => {
                let what = match unit {
                    Unit::Milliseconds => "a number of milliseconds",
                    Unit::Percent => "a number of percent",
                    _ => "a number",
                };
                return Err(ManifestError::new(field, format!("is {what}, not a size")));
            }
        };
        if !(limit.least..=limit.ceiling).contains(&number) {
            let (least, most) = (limit.say(limit.least), limit.say(limit.ceiling));
            let problem = format!("{} is not between {least} and {most}", limit.say(number));
            return Err(ManifestError::new(field, problem));
        }
    }
    Ok(())
}

pub(super) fn list(asked: &Asked) -> impl Iterator<Item = Permission> + '_ {
    asked.iter().map(|(name, value)| {
        let value = match value {
            LimitValue::Number(number) => *number,
            LimitValue::Size(size) => size.bytes(),
        };
        Permission::Limit { name: *name, value }
    })
}

/// What holds for one solution: the defaults, and what was granted beyond them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSet([u64; LIMITS.len()]);

impl LimitSet {
    /// The limits that these grants leave. A grant that is out of bounds, as from a database of a later wallet, is cut.
    #[must_use]
    pub fn granted(grants: &[Permission]) -> Self {
        let mut set = Self(LIMITS.map(|limit| limit.default));
        for grant in grants {
            if let Permission::Limit { name, value } = grant {
                let limit = name.limit();
                set.0[*name as usize] = (*value).clamp(limit.least, limit.ceiling);
            }
        }
        set
    }

    /// The value of one limit.
    #[must_use]
    pub fn get(&self, name: LimitName) -> u64 {
        self.0[name as usize]
    }

    /// The value of a limit that counts something in memory.
    #[must_use]
    pub fn count(&self, name: LimitName) -> usize {
        usize::try_from(self.get(name)).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} to {}, usually {}",
            self.spelling(),
            self.say(self.least),
            self.say(self.ceiling),
            self.say(self.default)
        )
    }
}

#[cfg(test)]
mod tests;
