//! Syntax of every JavaScript file of the repository, with the parser of Node.
//!
//! What the files do is tested from Rust, in the sandbox they run in.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::{install, test};

/// Checks all files that git knows.
///
/// # Errors
/// Names the files that do not parse.
pub(crate) fn run() -> anyhow::Result<()> {
    install::ensure_programs(&["node"], &["nodejs"])?;
    let root = test::repository()?;
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.js", "*.mjs", "*.cjs"])
        .current_dir(&root)
        .output()
        .context("git does not start")?;
    ensure!(listed.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&listed.stderr));
    let text = String::from_utf8(listed.stdout).context("a file name is not UTF-8")?;
    let files: Vec<_> = text.split('\0').filter(|name| !name.is_empty() && root.join(name).is_file()).collect();
    ensure!(!files.is_empty(), "no JavaScript found, so nothing was checked");
    let broken: Vec<_> = files.iter().filter(|file| !parses(&root, file)).copied().collect();
    ensure!(broken.is_empty(), "does not parse: {}", broken.join(", "));
    println!("{} files parse", files.len());
    Ok(())
}

fn parses(root: &Path, file: &str) -> bool {
    Command::new("node").args(["--check", file]).current_dir(root).status().is_ok_and(|status| status.success())
}
