//! Packages of npm for tests and measurements, installed once from a lock file.
//!
//! Where packages come from is npm's own configuration; what comes is held by the lock file's hashes. Nothing of a
//! package runs while it is installed.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

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
