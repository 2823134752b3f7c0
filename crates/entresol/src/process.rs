//! Child processes that never outlive this one.
//!
//! Three nets, each for what the one before cannot catch: a [`Guarded`] child is stopped when it is dropped; it leads
//! a process group of its own, so that what it started goes with it, and so that Ctrl-C reaches this program first;
//! and it is started through `entresol debug tied`, which asks the kernel to kill it when this process dies, be it by
//! `kill -9` (prctl(2), PR_SET_PDEATHSIG; Linux only).
//!
//! That signal follows the *thread* that started the child: start children on the main thread.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use entresol_durable::KILL_AT;
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::signal::unix::{self, SignalKind, signal};

/// How long a child may take to end after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(3);

/// A running child process.
#[derive(Debug)]
pub(crate) struct Guarded {
    name: String,
    child: Child,
    group: Option<Pid>,
    stdout: Option<BufReader<ChildStdout>>,
    log: PathBuf,
}

/// What to start.
#[derive(Debug)]
pub(crate) struct Spec<'a> {
    /// For messages: `the daemon`.
    pub(crate) name: &'a str,
    /// Program.
    pub(crate) program: &'a Path,
    /// Arguments.
    pub(crate) args: Vec<OsString>,
    /// Write point at which the child kills itself, if any.
    pub(crate) kill_at: Option<&'a str>,
    /// File for its standard error, and for its standard output if that is not read.
    pub(crate) log: &'a Path,
    /// True to read lines from its standard output.
    pub(crate) read: bool,
}

impl Guarded {
    /// Starts a child.
    pub(crate) fn start(spec: Spec<'_>) -> anyhow::Result<Self> {
        let log = append(spec.log).with_context(|| format!("cannot write {}", spec.log.display()))?;
        let mut command = tied(spec.program, &spec.args, spec.kill_at)?;
        command.stdin(Stdio::null()).stderr(log.try_clone()?);
        command.stdout(if spec.read { Stdio::piped() } else { log.into() });
        let mut child = command.spawn().with_context(|| format!("cannot start {}", spec.name))?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let stdout = child.stdout.take().map(BufReader::new);
        Ok(Self { name: spec.name.to_owned(), child, group, stdout, log: spec.log.to_owned() })
    }

    /// The next line of its standard output; `None` when it has ended instead.
    pub(crate) async fn line(&mut self, wait: Duration) -> anyhow::Result<Option<String>> {
        let Some(stdout) = &mut self.stdout else { return Ok(None) };
        let mut line = String::new();
        match tokio::time::timeout(wait, stdout.read_line(&mut line)).await {
            Ok(Ok(0)) => Ok(None),
            Ok(Ok(_)) => Ok(Some(line.trim_end().to_owned())),
            Ok(Err(error)) => Err(error).with_context(|| format!("cannot read from {}", self.name)),
            Err(_) => bail!("{} said nothing for {} s; see its log {}", self.name, wait.as_secs(), self.log.display()),
        }
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// The end of its log, for error messages.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Asks it to end (SIGTERM), then kills it.
    pub(crate) async fn stop(mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::TERM);
            if tokio::time::timeout(GRACE, self.child.wait()).await.is_err() {
                tracing::warn!("{} did not end; killed", self.name);
            }
        }
        // Dropping kills what is left of the group.
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // An error means that nobody is left to signal.
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// True when a process ended by SIGKILL, as at a write point.
pub(crate) fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::KILL.as_raw())
}

/// A finished command's standard output, or the end of its standard error as the error.
pub(crate) async fn output(program: &Path, args: &[OsString], kill_at: Option<&str>) -> anyhow::Result<CommandOutput> {
    let mut command = tied(program, args, kill_at)?;
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.context("cannot start a command")?;
    Ok(CommandOutput {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// See [`output`].
#[derive(Debug)]
pub(crate) struct CommandOutput {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A command in a process group of its own that the kernel ends with this process.
fn tied(program: &Path, args: &[OsString], kill_at: Option<&str>) -> anyhow::Result<Command> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(own);
    let parent = rustix::process::getpid().as_raw_nonzero().to_string();
    command.args(["debug", "tied", "--parent", &parent, "--"]).arg(program).args(args);
    // A wallet of the caller's must not be mistaken for the one meant here.
    for name in [KILL_AT, "ENTRESOL_HOME", "ENTRESOL_PASSPHRASE_FILE"] {
        command.env_remove(name);
    }
    if let Some(kill_at) = kill_at {
        command.env(KILL_AT, kill_at);
    }
    command.process_group(0).kill_on_drop(true);
    Ok(command)
}

/// `entresol debug tied`: asks for the parent's death signal, then becomes the program. Returns only an error.
pub(crate) fn run_tied(parent: i32, command: &[OsString]) -> anyhow::Error {
    let Some((program, args)) = command.split_first() else { return anyhow::anyhow!("no program is named") };
    #[cfg(target_os = "linux")]
    {
        if let Err(error) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
            return anyhow::Error::from(error).context("cannot tie the program to its parent");
        }
        // The parent may have died before the line above.
        if rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get()) != Some(parent) {
            return anyhow::anyhow!("the parent process {parent} has ended");
        }
    }
    let error = std::process::Command::new(program).args(args).exec();
    anyhow::Error::from(error).context(format!("cannot run {}", Path::new(program).display()))
}

#[allow(clippy::disallowed_methods, reason = "a log file: nothing is lost if its last lines are")]
fn append(path: &Path) -> std::io::Result<File> {
    File::options().create(true).append(true).open(path)
}

/// Arguments from text.
pub(crate) fn args<S: AsRef<OsStr>>(list: impl IntoIterator<Item = S>) -> Vec<OsString> {
    list.into_iter().map(|arg| arg.as_ref().to_owned()).collect()
}

/// Ctrl-C, SIGTERM and SIGHUP, listened to from the moment it is made.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hangup: unix::Signal,
}

impl Signals {
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Resolves with the first of them.
    pub(crate) async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
