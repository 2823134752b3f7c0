//! Tools that the checks need besides Rust.
//!
//! A missing tool is never a skipped check. As root on a system with apt-get (a CI machine, a container) it is
//! installed; elsewhere the error names the package, because a build should not change somebody's machine unasked.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

/// Makes sure that every one of `programs` is on `PATH`, installing `packages` when one is not.
///
/// # Errors
/// A program is missing and cannot be installed; the message says what to do.
pub(crate) fn ensure_programs(programs: &[&str], packages: &[&str]) -> anyhow::Result<()> {
    let missing = missing(programs);
    if missing.is_empty() {
        return Ok(());
    }
    let what = missing.join(", ");
    let by_hand = format!("{what} not found; install {} (Debian's names)", packages.join(" "));
    ensure!(is_root() && on_path("apt-get").is_some(), "{by_hand}");
    println!("installing {} for {what}", packages.join(" "));
    let apt = |arguments: &[&str]| -> anyhow::Result<()> {
        let status = Command::new("apt-get")
            .args(["-q", "-y", "-o", "DPkg::Lock::Timeout=120"])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .status()
            .context("apt-get does not start")?;
        ensure!(status.success(), "apt-get {} failed; {by_hand}", arguments.join(" "));
        Ok(())
    };
    apt(&["update"])?;
    apt(&[&["install", "--no-install-recommends"], packages].concat())?;
    let still = self::missing(programs);
    if !still.is_empty() {
        bail!("{} still not found after installing {}", still.join(", "), packages.join(" "));
    }
    Ok(())
}

/// Makes sure that `cargo fmt` and `cargo clippy` are there.
///
/// # Errors
/// They are missing, and rustup is too or fails.
pub(crate) fn ensure_components() -> anyhow::Result<()> {
    for (program, component) in [("cargo-fmt", "rustfmt"), ("cargo-clippy", "clippy")] {
        if runs(program) {
            continue;
        }
        ensure!(on_path("rustup").is_some(), "{program} not found; install Rust's {component}");
        let status = Command::new("rustup").args(["component", "add", component]).status()?;
        ensure!(status.success(), "rustup component add {component} failed");
    }
    Ok(())
}

/// rustup leaves a proxy on `PATH` also for a component that is not installed: only starting it tells.
fn runs(program: &str) -> bool {
    let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

fn missing<'a>(programs: &[&'a str]) -> Vec<&'a str> {
    programs.iter().copied().filter(|program| on_path(program).is_none()).collect()
}

fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(program)).find(|path| path.is_file())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_there_needs_no_installation() {
        ensure_programs(&["sh"], &["no-such-package"]).expect("sh is on PATH");
        assert_eq!(missing(&["sh", "no-such-program"]), ["no-such-program"]);
    }
}
