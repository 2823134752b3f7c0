//! The processes of the demo, and the one rule that makes it survive crashes: whatever waits calls [`Stage::tend`]
//! again and again, and `tend` starts a process that died anew.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use alloy::primitives::Address;
use anyhow::{Context as _, bail};
use entresol_api::Client;
use entresol_host::messages::ApprovalView;
use serde_json::{Map, Value as Json, json};
use tempfile::TempDir;

use super::report::{Step, ms_since};
use crate::cli;
use crate::devnet::{Chain, NodeSetup, POLL, READY};
use crate::output::{Output, Progress, note, visible};
use crate::process::{CommandOutput, Guarded, Spec, args, was_killed};

/// How often a process may die of itself before the demo gives up.
const RESTARTS: u32 = 3;

/// Passphrase of the demo's wallet, which lives as long as the demo.
const PASSPHRASE: &str = "a throw-away wallet";

/// A process that is started again when it dies.
#[derive(Debug, Default)]
pub(super) struct Supervised {
    process: Option<Guarded>,
    /// It should be running.
    wanted: bool,
    starts: u32,
    deaths: u32,
}

/// A node and how to start it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) setup: NodeSetup,
    state: Supervised,
    /// Write point of its first start.
    kill_at: Option<String>,
}

impl Node {
    pub(super) fn new(setup: NodeSetup, kill_at: Option<String>) -> Self {
        Self { setup, state: Supervised { wanted: true, ..Supervised::default() }, kill_at }
    }

    /// Ends it; it stays down.
    pub(super) async fn stop(&mut self) {
        self.state.wanted = false;
        if let Some(process) = self.state.process.take() {
            process.stop().await;
        }
    }
}

/// Everything that runs, and what was found out so far.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) out: Output,
    pub(super) options: cli::Demo,
    temp: Option<TempDir>,
    dir: PathBuf,
    pub(super) chain: Option<Chain>,
    pub(super) gateway: Address,
    /// The wallet's owner account 0.
    pub(super) owner: Address,
    pub(super) operator: Option<Node>,
    pub(super) replica: Option<Node>,
    daemon: Supervised,
    pub(super) client: Option<Client>,
    pub(super) steps: Vec<Step>,
    /// Calls of actions so far: part of every call's id, so that two calls of one step never share one.
    pub(super) acts: u32,
    pub(super) facts: Map<String, Json>,
    pub(super) current: &'static str,
    progress: Option<Progress>,
    /// Requests that people have seen.
    shown: Vec<i64>,
}

impl Stage {
    pub(super) fn new(out: Output, options: cli::Demo) -> anyhow::Result<Self> {
        let temp =
            tempfile::Builder::new().prefix("entresol-demo-").tempdir().context("cannot make a temporary directory")?;
        let dir = temp.path().to_owned();
        let kills =
            options.kill_daemon_at.is_some() || options.kill_node_at.is_some() || options.kill_command_at.is_some();
        let mut facts = Map::new();
        if kills {
            facts.insert("killed".to_owned(), json!(false));
        }
        entresol_durable::write_file_atomically(&dir.join("passphrase"), PASSPHRASE.as_bytes(), false)?;
        Ok(Self {
            out,
            options,
            temp: Some(temp),
            dir,
            chain: None,
            gateway: Address::ZERO,
            owner: Address::ZERO,
            operator: None,
            replica: None,
            daemon: Supervised::default(),
            client: None,
            steps: Vec::new(),
            acts: 0,
            facts,
            current: "start",
            progress: None,
            shown: Vec::new(),
        })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn home(&self) -> PathBuf {
        self.dir.join("home")
    }

    pub(super) fn passphrase_file(&self) -> PathBuf {
        self.dir.join("passphrase")
    }

    pub(super) fn passphrase(&self) -> &'static str {
        PASSPHRASE
    }

    pub(super) fn chain(&self) -> anyhow::Result<&Chain> {
        self.chain.as_ref().context("the chain is not running yet")
    }

    /// A new step: its name stands in every error from here on.
    pub(super) fn begin(&mut self, step: &'static str, doing: &str) -> Instant {
        self.current = step;
        match &self.progress {
            Some(progress) => progress.say(doing),
            None => self.progress = Some(Progress::new(self.out, doing)),
        }
        Instant::now()
    }

    /// The step is done.
    pub(super) fn done(&mut self, since: Instant, step: Step) {
        let step = Step { step: self.current, ms: ms_since(since), ..step };
        let line = format!("✓ {:<10} {}", step.step, visible(&step.what));
        match &self.progress {
            Some(progress) if !self.out.is_json() => progress.above(line),
            _ => {}
        }
        self.steps.push(step);
    }

    /// Shows a request to people, once, as it was read before it is decided.
    pub(super) fn show(&mut self, request: &ApprovalView) {
        if self.out.is_json() || self.shown.contains(&request.id) {
            return;
        }
        self.shown.push(request.id);
        if let Some(progress) = &self.progress {
            progress.above(crate::commands::approvals::show(request));
        }
    }

    /// Runs a command of this program to its end.
    pub(super) async fn command(&self, arguments: &[&str], kill_at: Option<&str>) -> anyhow::Result<CommandOutput> {
        let mut all = args(["--json", "--home"]);
        all.push(self.home().into_os_string());
        all.push("--passphrase-file".into());
        all.push(self.passphrase_file().into_os_string());
        all.extend(args(arguments));
        crate::process::output(&std::env::current_exe()?, &all, kill_at).await
    }

    /// The wallet's daemon, from now on.
    pub(super) async fn start_daemon(&mut self) -> anyhow::Result<()> {
        self.daemon.wanted = true;
        self.tend().await
    }

    /// Starts whatever should run and does not. Called wherever the demo waits.
    pub(super) async fn tend(&mut self) -> anyhow::Result<()> {
        if let Some(chain) = &mut self.chain
            && let Some(status) = chain.anvil.ended()?
        {
            bail!("anvil ended by itself ({status}): {}", chain.anvil.last_words());
        }
        for replica in [false, true] {
            let node = if replica { &mut self.replica } else { &mut self.operator };
            let Some(node) = node else { continue };
            while let Some(first) = node.state.due(&mut self.facts)? {
                let kill_at = node.kill_at.as_deref().filter(|_| first);
                let (process, _ready) = node.setup.start(kill_at).await?;
                // One that ended before it was ready is found dead by the next turn of the loop.
                node.state.process = Some(process);
            }
        }
        while let Some(first) = self.daemon.due(&mut self.facts)? {
            self.client = None;
            let kill_at = self.options.kill_daemon_at.as_deref().filter(|_| first);
            let program = std::env::current_exe()?;
            let mut arguments = args(["--json", "--home"]);
            arguments.push(self.dir.join("home").into_os_string());
            arguments.push("--passphrase-file".into());
            arguments.push(self.dir.join("passphrase").into_os_string());
            arguments.extend(args(["daemon", "--poll-ms", &POLL.as_millis().to_string()]));
            let log = self.dir.join("daemon.log");
            let mut process = Guarded::start(Spec {
                name: "daemon",
                program: &program,
                args: arguments,
                kill_at,
                log: &log,
                read: true,
            })?;
            let _ready = process.line(READY).await?;
            self.daemon.process = Some(process);
        }
        Ok(())
    }

    /// Waits until `look` finds something, tending the processes meanwhile.
    pub(super) async fn until<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut look: impl AsyncFnMut(&mut Self) -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            self.tend().await?;
            if let Some(found) = look(self).await? {
                return Ok(found);
            }
            if Instant::now() > deadline {
                bail!("waited {} s in vain: {what}", limit.as_secs());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// A command was killed at its write point.
    pub(super) fn note_death(&mut self, status: ExitStatus) {
        note_kill(&mut self.facts, status);
    }

    /// How to go on by hand, for `--keep`.
    pub(super) fn by_hand(&self) -> String {
        let own = std::env::current_exe().unwrap_or_else(|_| "entresol".into());
        let entresol = format!("{} --home {}", own.display(), self.home().display());
        format!(
            "Everything goes on running until Ctrl-C. In another terminal:\n  \
             export ENTRESOL_PASSPHRASE_FILE={}\n  {entresol} status\n  {entresol} state payments\n  \
             {entresol} deposit payments '0.5 ether'\n  {entresol} approvals\n  {entresol} transfers --watch",
            self.passphrase_file().display()
        )
    }

    /// Ends everything, the last started first. With `keep` the directory with the logs stays, and is returned.
    pub(super) async fn end(mut self, keep: bool) -> Option<PathBuf> {
        self.progress = None;
        self.client = None;
        self.daemon.wanted = false;
        if let Some(daemon) = self.daemon.process.take() {
            daemon.stop().await;
        }
        for mut node in [self.replica.take(), self.operator.take()].into_iter().flatten() {
            node.stop().await;
        }
        if let Some(chain) = self.chain.take() {
            chain.anvil.stop().await;
        }
        let temp = self.temp.take()?;
        if keep {
            return Some(temp.keep());
        }
        if let Err(error) = temp.close() {
            note(format!("a temporary directory is left behind: {error}"));
        }
        None
    }
}

impl Supervised {
    /// `Some(first)` when the process should be started now, `first` telling whether it never was.
    fn due(&mut self, facts: &mut Map<String, Json>) -> anyhow::Result<Option<bool>> {
        if !self.wanted {
            return Ok(None);
        }
        if let Some(process) = &mut self.process {
            let Some(status) = process.ended()? else { return Ok(None) };
            let words = process.last_words();
            self.process = None;
            self.deaths += 1;
            note_kill(facts, status);
            if self.deaths > RESTARTS || !was_killed(status) {
                bail!("a process ended by itself ({status}): {words}");
            }
        }
        self.starts += 1;
        Ok(Some(self.starts == 1))
    }
}

/// A process that was told to kill itself has done so.
fn note_kill(facts: &mut Map<String, Json>, status: ExitStatus) {
    if let Some(killed) = facts.get_mut("killed").filter(|_| was_killed(status)) {
        *killed = Json::Bool(true);
    }
}

/// A free port of this machine's own.
pub(super) const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
