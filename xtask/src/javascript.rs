//! `cargo xtask javascript`: syntax of every JavaScript file, types, and the tests that need neither wallet nor browser.
//!
//! What the files do inside the wallet is tested from Rust, in the sandbox or the browser they run in.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::{install, test};

/// Folders whose `tsconfig.json` says what is type-checked, from the repository's root.
const TYPED: &[&str] = &["solutions/payments/plugin", "sdk/provider", "examples/shop", "extension"];

/// Folders with tests for `node --test`.
const TESTED: &[&str] = &["solutions/payments/plugin", "sdk/provider"];

/// Where the type checker is pinned, from the repository's root.
const TYPE_CHECKER: &str = "xtask/typescript";

/// Checks all JavaScript files that git knows.
///
/// # Errors
/// Names the files that do not parse, or says which check failed above.
pub(crate) fn run() -> anyhow::Result<()> {
    install::ensure_programs(&["node", "npm"], &["nodejs", "npm"])?;
    let root = test::repository()?;
    syntax(&root)?;
    types(&root)?;
    for folder in TESTED {
        let tests =
            Command::new("node").args(["--test", "--test-reporter=spec"]).current_dir(root.join(folder)).status()?;
        ensure!(tests.success(), "`node --test` fails in {folder}");
    }
    Ok(())
}

fn syntax(root: &Path) -> anyhow::Result<()> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.js", "*.mjs", "*.cjs"])
        .current_dir(root)
        .output()
        .context("git does not start")?;
    ensure!(listed.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&listed.stderr));
    let text = String::from_utf8(listed.stdout).context("a file name is not UTF-8")?;
    let files: Vec<_> = text.split('\0').filter(|name| !name.is_empty() && root.join(name).is_file()).collect();
    ensure!(!files.is_empty(), "no JavaScript found, so nothing was checked");
    let broken: Vec<_> = files.iter().filter(|file| !parses(root, file)).copied().collect();
    ensure!(broken.is_empty(), "does not parse: {}", broken.join(", "));
    println!("{} JavaScript files parse", files.len());
    Ok(())
}

fn parses(root: &Path, file: &str) -> bool {
    Command::new("node").args(["--check", file]).current_dir(root).status().is_ok_and(|status| status.success())
}

/// The types in comments, with the pinned checker in a folder of its own: the work tree stays clean.
fn types(root: &Path) -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    for name in ["package.json", "package-lock.json"] {
        #[expect(clippy::disallowed_methods, reason = "a temporary folder")]
        std::fs::copy(root.join(TYPE_CHECKER).join(name), work.path().join(name))?;
    }
    let npm = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(&work)
        .output()
        .context("npm does not start")?;
    let said = String::from_utf8_lossy(&npm.stderr);
    ensure!(npm.status.success(), "npm could not install the type checker; is its registry reachable?\n{said}");
    let program = work.path().join("node_modules/typescript/bin/tsc");
    for folder in TYPED {
        let checked = Command::new("node").arg(&program).args(["--project", folder]).current_dir(root).status()?;
        ensure!(checked.success(), "the types in {folder} do not fit");
        println!("the types of {folder} fit");
    }
    Ok(())
}
