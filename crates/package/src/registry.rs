//! An npm registry client that configures itself as npm does.
//!
//! The address comes from npm's own configuration, never from this source: the environment (`npm_config_registry`),
//! the project's, the user's and the global `.npmrc`, and at last `npm config get registry`, which knows npm's
//! default. TLS trust is the system's store plus npm's `cafile`, `ca` and `NODE_EXTRA_CA_CERTS`; proxies come from the
//! environment or npm's `https-proxy`, `proxy`, `noproxy`. TLS checking cannot be turned off (`strict-ssl=false` is
//! not followed).

mod client;
mod config;

pub use client::{Fetched, Registry, RegistryError};
pub use config::{ConfigError, NpmConfig};

/// True for names that npm accepts for new packages: `name` or `@scope/name`.
#[must_use]
pub fn is_valid_name(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '_', '-'])
            && part.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~'))
    };
    name.len() <= 214
        && match name.strip_prefix('@') {
            Some(scoped) => scoped.split_once('/').is_some_and(|(scope, name)| part(scope) && part(name)),
            None => part(name),
        }
}

/// True for one exact version (`1.2.3`, `1.2.3-rc.1`), never a range or a tag.
#[must_use]
pub fn is_exact_version(version: &str) -> bool {
    version.len() <= 128 && semver::Version::parse(version).is_ok()
}

/// How two exact versions stand to each other, as npm orders them: what follows a `+` says nothing. None where one of
/// them is no version.
#[must_use]
pub fn compare_versions(one: &str, other: &str) -> Option<std::cmp::Ordering> {
    let parse = |text| semver::Version::parse(text).ok();
    Some(parse(one)?.cmp_precedence(&parse(other)?))
}
