//! The layer-1 node for development and tests: the real `anvil`, without Node and without an installation.
//!
//! Asked in this order: `ENTRESOL_ANVIL`, the cache, the npm registry (platform package, pinned hash), `PATH`.

use std::env;
use std::path::{Path, PathBuf};

use entresol_durable::{create_private_dir, write_file_atomically, write_point};

use crate::registry::{Registry, RegistryError};
use crate::tarball::{self, Limits, TarballError};
use crate::{Integrity, IntegrityError};

/// Environment variable with the path of an `anvil` to use instead.
pub const ANVIL_VARIABLE: &str = "ENTRESOL_ANVIL";

/// The version that is fetched.
pub const VERSION: &str = "1.7.1";

/// Largest tarball; 1.7.1 is 19 MB.
const TARBALL_LIMIT: u64 = 128 << 20;

/// What is pinned of one platform's package.
struct Pin {
    os: &'static str,
    arch: &'static str,
    package: &'static str,
    /// Of the tarball, as the registry states it.
    tarball: &'static str,
    /// The file in it, and the digest under which the cached copy is checked on every use.
    path: &'static str,
    executable: &'static str,
}

/// Taken from the registry's answers for version 1.7.1; the executables' digests from the tarballs.
const PINS: &[Pin] = &[Pin {
    os: "linux",
    arch: "x86_64",
    package: "@foundry-rs/anvil-linux-amd64",
    tarball: "sha512-+XmShybEaxfCrr0OUUZwYEy2OnYZt5pHH9TzBtLv3+VrK0O/ANuNSVEahqNhKHlgX7GRJ59383ofNhxkRWIYTg==",
    path: "bin/anvil",
    executable: "sha512-lDtZZVwW3BebARNse5oGWUpuPe2+BMvdI3ye2iqTCLlWzkpiYB6m5iEszviiJwdRzdJep89j/pyQuNiGHE1Mgg==",
}];

/// No `anvil` was found.
#[derive(Debug, thiserror::Error)]
pub enum AnvilError {
    /// `ENTRESOL_ANVIL` names no file.
    #[error("{ANVIL_VARIABLE} is {0:?}, which is no file; set it to the path of anvil, or unset it")]
    Variable(PathBuf),
    /// It cannot be fetched, and `PATH` has none.
    #[error("anvil {VERSION} cannot be fetched, and none is on PATH: {hint}")]
    NotFound {
        /// What to do.
        hint: String,
        /// Why the registry could not give it.
        #[source]
        source: Option<RegistryError>,
    },
    /// Other bytes than pinned: refused, and `PATH` is not tried instead, so that nobody overlooks it.
    #[error(transparent)]
    Integrity(#[from] IntegrityError),
    /// The package is not what it was.
    #[error("the anvil package cannot be read")]
    Tarball(#[from] TarballError),
    /// The cache cannot be written.
    #[error("anvil cannot be kept in {path}; give another cache by ENTRESOL_CACHE", path = .path.display())]
    Cache {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Gives the path of an `anvil` that can be started, fetching it into `cache_dir` when needed. `progress` hears bytes
/// so far and, when known, in total; it is not called when nothing is fetched.
///
/// # Errors
/// [`AnvilError`], which says what to set.
pub async fn locate_or_fetch(
    cache_dir: &Path,
    progress: impl FnMut(u64, Option<u64>) + Send,
) -> Result<PathBuf, AnvilError> {
    if let Some(path) = env::var_os(ANVIL_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from) {
        return if path.is_file() { Ok(path) } else { Err(AnvilError::Variable(path)) };
    }
    let Some(pin) = PINS.iter().find(|pin| pin.os == env::consts::OS && pin.arch == env::consts::ARCH) else {
        return on_path().ok_or_else(|| AnvilError::NotFound {
            hint: format!(
                "no package is pinned for {} on {}; install Foundry and put anvil on PATH, or set {ANVIL_VARIABLE}",
                env::consts::OS,
                env::consts::ARCH
            ),
            source: None,
        });
    };
    let path = cache_dir.join(format!("anvil-{VERSION}")).join("anvil");
    if let Some(cached) = cached(pin, &path) {
        return Ok(cached);
    }
    // Two tests of one process need not fetch it twice; two processes may, and the last one's rename wins.
    static FETCHING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _fetching = FETCHING.lock().await;
    if let Some(cached) = cached(pin, &path) {
        return Ok(cached);
    }
    match fetch(pin, &path, progress).await {
        Err(Failed::Registry(RegistryError::Integrity(error))) => Err(error.into()),
        Err(Failed::Registry(error)) => on_path().ok_or_else(|| AnvilError::NotFound {
            hint: format!("put anvil on PATH, set {ANVIL_VARIABLE} to it, or let npm's registry be reached"),
            source: Some(error),
        }),
        Err(Failed::Final(error)) => Err(*error),
        Ok(()) => Ok(path),
    }
}

/// The cached copy, unless a byte of it has changed.
fn cached(pin: &Pin, path: &Path) -> Option<PathBuf> {
    let expected: Integrity = pin.executable.parse().ok()?;
    let bytes = std::fs::read(path).ok()?;
    match expected.verify("the cached anvil", &bytes) {
        Ok(()) => Some(path.to_owned()),
        Err(error) => {
            tracing::warn!(%error, "fetching anvil again");
            None
        }
    }
}

enum Failed {
    Registry(RegistryError),
    Final(Box<AnvilError>),
}

async fn fetch(pin: &Pin, path: &Path, progress: impl FnMut(u64, Option<u64>) + Send) -> Result<(), Failed> {
    let integrity = |text: &str| text.parse::<Integrity>().map_err(|error| Failed::Final(Box::new(error.into())));
    let (tarball, executable) = (integrity(pin.tarball)?, integrity(pin.executable)?);
    let registry = Registry::from_environment().map_err(Failed::Registry)?;
    let fetched = registry
        .fetch(pin.package, VERSION, Some(&tarball), TARBALL_LIMIT, progress)
        .await
        .map_err(Failed::Registry)?;
    let files =
        tarball::read(&fetched.bytes, Limits::EXECUTABLE).map_err(|error| Failed::Final(Box::new(error.into())))?;
    let bytes =
        files.into_iter().find(|(name, _)| name.as_str() == pin.path).map(|(_, bytes)| bytes).unwrap_or_default();
    executable.verify("anvil's executable", &bytes).map_err(|error| Failed::Final(Box::new(error.into())))?;
    let keep = || {
        path.parent().map_or(Ok(()), create_private_dir)?;
        write_point!("package.anvil.write", write_file_atomically(path, &bytes, true))
    };
    keep().map_err(|source| Failed::Final(Box::new(AnvilError::Cache { path: path.to_owned(), source })))
}

fn on_path() -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join("anvil")).find(|path| path.is_file())
}

#[cfg(test)]
mod tests;
