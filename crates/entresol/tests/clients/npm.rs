//! The clients' packages, installed once for all tests from the lock file beside this one.
//!
//! Where packages come from is npm's own configuration; what comes is held by the lock file's hashes. Nothing of a
//! package runs while it is installed.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A folder with `node_modules` of what a `package.json` and its lock file in `from` name.
pub(crate) fn install(from: &Path) -> PathBuf {
    let files = ["package.json", "package-lock.json"].map(|name| std::fs::read(from.join(name)).expect("readable"));
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("npm-{:016x}", hasher.finish()));
    let lock = std::fs::File::create(place.with_extension("lock")).expect("made");
    // Held until the file is dropped; another test's process waits here, and then finds everything done.
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("locked");
    if place.join("done").exists() {
        return place;
    }
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place).expect("made");
    for (name, text) in ["package.json", "package-lock.json"].iter().zip(&files) {
        std::fs::write(place.join(name), text).expect("written");
    }
    let said = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(&place)
        .output()
        .expect("npm is installed (cargo xtask test does it)");
    assert!(said.status.success(), "npm could not install: {}", String::from_utf8_lossy(&said.stderr));
    std::fs::write(place.join("done"), "").expect("written");
    place
}

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
