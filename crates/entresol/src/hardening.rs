//! What the operating system does for a process that holds keys.
//!
//! A core dump would write the seed to the disk, and a debugger of the same user could read it from memory. Both are
//! turned off at the start of the daemon, before the passphrase is asked for. A process that is not dumpable cannot be
//! attached to by another one of the same user, and its files in /proc belong to root.

/// Turns core dumps and debuggers off for this process. Its children get the same limit on core dumps, but can be
/// attached to: they hold no keys.
///
/// # Errors
/// The system refuses; the daemon does not start then.
#[cfg(target_os = "linux")]
pub(crate) fn harden() -> anyhow::Result<()> {
    use anyhow::Context as _;
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).context("cannot turn off core dumps")?;
    // Also where the system pipes core dumps to a program, which the limit does not stop everywhere.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).context("cannot turn off debuggers")
}

/// Elsewhere this is the system's default to set; the user is told.
#[cfg(not(target_os = "linux"))]
pub(crate) fn harden() -> anyhow::Result<()> {
    tracing::warn!("core dumps are turned off on Linux only; turn them off for this system (`ulimit -c 0`)");
    Ok(())
}
