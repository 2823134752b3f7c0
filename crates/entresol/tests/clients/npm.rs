//! The clients' packages, installed once for all tests from the lock file beside this one.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

#[path = "../../../sandbox/tests/packages/install.rs"]
mod installer;

use installer::install;

/// The public clients.
pub(crate) fn clients() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| install(&source()))
}

/// The type checker that the repository's JavaScript is checked with.
pub(crate) fn type_checker() -> PathBuf {
    let place = install(&repository().join("xtask/typescript"));
    place.join("node_modules/typescript/bin/tsc")
}

/// This folder of the repository.
pub(crate) fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// The repository's root.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}
