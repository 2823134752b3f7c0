//! Callers: whoever calls a plugin's actions from outside. A grant lets a caller *ask*, and see the state it names;
//! what passes without asking is the business of [`crate::policy`].

use crate::error::HostError;
use serde::{Deserialize, Serialize};

/// Longest origin, profile or app name.
const MAX_NAME: usize = 256;

/// A website's origin within one browser profile, a named local app, or another solution. All have the same grants,
/// approvals, policies and limits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
pub enum Caller {
    /// A website.
    Site {
        /// The paired browser profile.
        profile: String,
        /// Origin as the browser filled it in, `https://shop.example`.
        origin: String,
    },
    /// A local app with a secret of its own.
    App {
        /// Its name.
        name: String,
    },
    /// Another solution.
    Solution {
        /// Its local id.
        id: i64,
    },
}

impl Caller {
    /// The canonical text, under which grants and policies are kept. Two callers never share one.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            // The profile has no colon (see `parse`), so that no pair can be read as another pair.
            Self::Site { profile, origin } => format!("site:{profile}:{origin}"),
            Self::App { name } => format!("app:{name}"),
            Self::Solution { id } => format!("solution:{id}"),
        }
    }

    /// Reads the canonical text.
    ///
    /// # Errors
    /// Says what a caller looks like.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let wrong = || {
            HostError::invalid(format!(
                "{text:?} is no caller: site:PROFILE:https://shop.example, app:NAME or solution:ID"
            ))
        };
        let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
        if rest.len() > MAX_NAME || rest.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(wrong());
        }
        match kind {
            "site" => {
                let (profile, origin) = rest.split_once(':').ok_or_else(wrong)?;
                let url = url::Url::parse(origin).map_err(|_| wrong())?;
                let exact = matches!(url.scheme(), "https" | "http") && url.origin().ascii_serialization() == origin;
                if profile.is_empty() || !exact {
                    return Err(wrong());
                }
                Ok(Self::Site { profile: profile.to_owned(), origin: origin.to_owned() })
            }
            "app" => {
                crate::networks::check_name("app name", rest)?;
                Ok(Self::App { name: rest.to_owned() })
            }
            "solution" => Ok(Self::Solution { id: rest.parse().map_err(|_| wrong())? }),
            _ => Err(wrong()),
        }
    }
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Site { profile, origin } => write!(f, "{origin} (browser profile {profile})"),
            Self::App { name } => write!(f, "the local app {name}"),
            Self::Solution { id } => write!(f, "the plugin of solution {id}"),
        }
    }
}

/// What a grant lets its caller do: the caveats of ERC-2255, typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Caveats {
    /// Actions it may ask for.
    #[serde(default)]
    pub actions: Vec<String>,
    /// State names it may see.
    #[serde(default)]
    pub state: Vec<String>,
}
