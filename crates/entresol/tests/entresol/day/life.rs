//! The wallet of the day: its directories, its daemon (started again when it was killed), and the words with it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use alloy::primitives::Address;
use entresol_api::socket_path;
use entresol_durable::KILL_AT;
use entresol_vault::{KdfCost, Vault};
use serde_json::{Value as Json, json};

use super::chain::Chain;
use super::model::Model;
use crate::support::{LIMIT, entresol};

/// Of BIP-39's own vectors; its entropy looks like nothing else.
pub(crate) const PHRASE: &str = "ozone drill grab fiber curtain grace pudding thank cruise elder eight picnic";
/// The passphrase in the morning.
pub(crate) const MORNING: &str = "quartz-lantern in the morning";
/// The passphrase in the evening.
pub(crate) const EVENING: &str = "velvet-harbour in the evening";
/// A key of the user's from elsewhere.
pub(crate) const IMPORTED: &str = "0x8b5a1d90c37e42f6a1b9e08d7c3f5261940e7dbb2a6c18f35d4907e6ac1f2b83";

/// Why a step did not come to its end.
#[derive(Debug)]
pub(crate) enum Cut {
    /// The daemon is gone.
    Gone,
    /// The daemon said no.
    Refused { code: i64, words: String },
}

pub(crate) type Step<T = ()> = Result<T, Cut>;

/// What went over the socket, for whoever looks for secrets in it.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Method, and the whole line.
    pub(crate) asked: Vec<(String, String)>,
    pub(crate) answered: Vec<String>,
}

#[derive(Debug)]
struct Daemon {
    child: Child,
    socket: BufReader<UnixStream>,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Day {
    pub(crate) chain: Chain,
    /// The wallet's side: `home`, `tmp`, `log`.
    pub(crate) dir: tempfile::TempDir,
    /// What the user has at hand: passphrase files, packages, the backup.
    pub(crate) desk: tempfile::TempDir,
    pub(crate) model: Model,
    pub(crate) traffic: Traffic,
    /// Passphrases that may be the right one: the second while a change was cut off.
    pub(crate) passphrases: Vec<&'static str>,
    /// Where the daemon (or the command) kills itself, as long as it has not.
    pub(crate) kill_at: Option<String>,
    pub(crate) killed: bool,
    /// Further environment of the daemon.
    pub(crate) environment: Vec<(&'static str, String)>,
    pub(crate) with_page: bool,
    /// The daemon, and whoever looks at it, without the capability that lets root look at everybody.
    pub(crate) untraced: bool,
    daemon: Option<Daemon>,
    next: u64,
}

impl Day {
    pub(crate) fn new(anvil: &Path, kill_at: Option<String>) -> Self {
        Self::within(tempfile::tempdir().expect("a directory"), anvil, kill_at)
    }

    /// A new wallet below this directory.
    pub(crate) fn within(dir: tempfile::TempDir, anvil: &Path, kill_at: Option<String>) -> Self {
        let home = dir.path().join("home");
        entresol_durable::create_private_dir(&home).expect("made");
        std::fs::create_dir(dir.path().join("tmp")).expect("made");
        // As the other tests have it: what a guess costs is not what is tested here.
        let cost = KdfCost { memory_kib: 64, passes: 1, lanes: 1 };
        Vault::create(&home.join("keystore.json"), Some(&PHRASE.into()), &MORNING.into(), cost).expect("created");
        Self {
            chain: Chain::start(anvil),
            dir,
            desk: tempfile::tempdir().expect("a directory"),
            model: Model::default(),
            traffic: Traffic::default(),
            passphrases: vec![MORNING],
            kill_at,
            killed: false,
            environment: Vec::new(),
            with_page: false,
            untraced: false,
            daemon: None,
            next: 1,
        }
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.dir.path().join("log")).unwrap_or_default()).into_owned()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("running").child.id()
    }

    /// A command on this wallet, with the kill that is still to come if `kill` says so.
    pub(crate) fn command(&self, passphrase: &str, kill: bool) -> Command {
        let file = self.secret("passphrase", passphrase);
        let mut command = entresol();
        command.arg("--json").arg("--home").arg(self.home()).arg("--passphrase-file").arg(file);
        command.env("TMPDIR", self.dir.path().join("tmp"));
        if let (true, Some(at)) = (kill, &self.kill_at) {
            command.env(KILL_AT, at);
        }
        command
    }

    /// Lets a browser start the bridge; done again when the command was killed in the middle.
    pub(crate) fn install_bridge(&mut self) {
        let data = self.dir.path().join("browser");
        let install = |day: &Self| {
            let mut command = day.command(day.passphrases[0], true);
            command.args(["bridge", "install", "--browser", "chromium", "--user-data-dir"]).arg(&data);
            command.output().expect("started")
        };
        let mut output = install(self);
        if output.status.signal() == Some(9) && self.kill_at.is_some() {
            self.was_killed();
            output = install(self);
        }
        assert!(output.status.success(), "{output:?}");
        let manifest = data.join("NativeMessagingHosts/com.entresol.bridge.json");
        let manifest: Json = serde_json::from_slice(&std::fs::read(manifest).expect("there")).expect("whole");
        assert!(Path::new(manifest["path"].as_str().expect("a path")).exists(), "{manifest}");
    }

    /// Writes a private file on the desk.
    pub(crate) fn secret(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.desk.path().join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("set");
        path
    }

    /// Starts the daemon; when it kills itself while starting, once more.
    pub(crate) fn start(&mut self) -> Result<(), String> {
        loop {
            match self.try_start(self.passphrases[0]) {
                Ok(()) => {
                    self.passphrases.truncate(1);
                    match self.connected() {
                        Ok(()) => return Ok(()),
                        Err(Cut::Gone) => self.reap()?,
                        Err(Cut::Refused { words, .. }) => return Err(words),
                    }
                }
                Err(status) if status.signal() == Some(9) && self.kill_at.is_some() => self.was_killed(),
                // The change of the passphrase was cut off: it is the old one or the new one.
                Err(_) if self.passphrases.len() > 1 => {
                    self.passphrases.remove(0);
                }
                Err(status) => return Err(format!("the daemon does not start ({status}): {}", self.last_words())),
            }
        }
    }

    fn try_start(&mut self, passphrase: &str) -> Result<(), ExitStatus> {
        let log = self.dir.path().join("log");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log");
        let mut command = self.command(passphrase, true);
        command.args(["daemon", "--poll-ms", "50"]);
        if !self.with_page {
            command.arg("--no-web");
        }
        command.envs(self.environment.iter().map(|(name, value)| (*name, value)));
        if self.untraced {
            command = without_tracing(&command);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(log).process_group(0).spawn().expect("started");
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        let mut said = String::new();
        // Pretty or compact, the ready value ends with the first whole JSON text.
        while serde_json::from_str::<Json>(&said).is_err() {
            if lines.read_line(&mut said).unwrap_or_default() == 0 {
                return Err(child.wait().expect("waited"));
            }
        }
        match UnixStream::connect(socket_path(&self.home())) {
            Ok(stream) => {
                stream.set_read_timeout(Some(LIMIT)).expect("set");
                self.daemon = Some(Daemon { child, socket: BufReader::new(stream) });
                Ok(())
            }
            Err(_) => Err(child.wait().expect("waited")),
        }
    }

    /// Until then it answers that it is still connecting.
    fn connected(&mut self) -> Step {
        self.until("layer 1 answers", |day| {
            let networks = day.list("networks", json!({}))?;
            Ok(networks.iter().all(|network| network["problem"].is_null()).then_some(()))
        })
    }

    /// The daemon is gone: sees that it was the kill that was asked for, and starts it again.
    pub(crate) fn start_again(&mut self) -> Result<(), String> {
        self.reap()?;
        self.start()
    }

    fn reap(&mut self) -> Result<(), String> {
        let mut daemon = self.daemon.take().ok_or("there was no daemon")?;
        let status = daemon.child.wait().expect("waited");
        if status.signal() != Some(9) || self.kill_at.is_none() {
            return Err(format!("the daemon ended by itself ({status}): {}", self.last_words()));
        }
        self.was_killed();
        Ok(())
    }

    fn was_killed(&mut self) {
        self.kill_at = None;
        self.killed = true;
    }

    /// kill -9 by hand.
    pub(crate) fn kill(&mut self) {
        drop(self.daemon.take());
    }

    /// How the daemon ended, that was told to.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.daemon.take().expect("running").child.wait().expect("waited")
    }

    /// Ends the daemon in good order; false when it was killed instead, at the point that was asked for.
    pub(crate) fn stop(&mut self) -> Result<bool, String> {
        let Some(mut daemon) = self.daemon.take() else { return Ok(true) };
        let pid = rustix::process::Pid::from_child(&daemon.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let status = daemon.child.wait().expect("waited");
        match status.signal() {
            Some(9) if self.kill_at.is_some() => {
                self.was_killed();
                Ok(false)
            }
            _ if status.success() => Ok(true),
            _ => Err(format!("the daemon ended badly ({status}): {}", self.last_words())),
        }
    }

    pub(crate) fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// One call over the control socket. Opens a passphrase session when one is wanted.
    pub(crate) fn call(&mut self, method: &str, params: Json) -> Step<Json> {
        match self.call_once(method, &params) {
            Err(Cut::Refused { code: 4100, words }) if words.contains("\"needs\":\"session\"") => {
                let passphrase = self.passphrases[0];
                self.call_once("session_open", &json!({ "passphrase": passphrase }))?;
                self.call_once(method, &params)
            }
            outcome => outcome,
        }
    }

    fn call_once(&mut self, method: &str, params: &Json) -> Step<Json> {
        let id = self.next;
        self.next += 1;
        let line = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string();
        let Some(daemon) = &mut self.daemon else { return Err(Cut::Gone) };
        let sent = daemon.socket.get_mut().write_all(format!("{line}\n").as_bytes());
        self.traffic.asked.push((method.to_owned(), line));
        sent.map_err(|_| Cut::Gone)?;
        let mut answer = String::new();
        let read = daemon.socket.read_line(&mut answer);
        if let Err(error) = &read {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "{method}: no answer in {LIMIT:?}");
        }
        let whole = read.is_ok() && answer.ends_with('\n');
        self.traffic.answered.push(answer.clone());
        if !whole {
            return Err(Cut::Gone);
        }
        let answer: Json = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer["id"], id, "{answer}");
        match answer.get("error") {
            None => Ok(answer["result"].clone()),
            Some(error) => {
                Err(Cut::Refused { code: error["code"].as_i64().unwrap_or_default(), words: error.to_string() })
            }
        }
    }

    /// A list that a method gives.
    pub(crate) fn list(&mut self, method: &str, params: Json) -> Step<Vec<Json>> {
        Ok(self.call(method, params)?.as_array().expect("a list").clone())
    }

    /// Approves a request (once, however often it is asked) and waits for its end.
    pub(crate) fn approve(&mut self, request: &Json, refuse: &[&str]) -> Step<Json> {
        let id = &request["id"];
        let mut now = self.call("approval", json!({ "id": id }))?;
        if now["state"] == "pending" {
            let decision = json!({ "id": id, "approve": true, "digest": now["digest"], "refuse": refuse });
            now = self.call("approval_decide", decision)?;
        }
        let deadline = Instant::now() + LIMIT;
        while now["state"] == "approved" {
            assert!(Instant::now() < deadline, "it has no end: {now}");
            now = self.call("approval_wait", json!({ "id": id, "finished": true, "timeoutMs": 2000 }))?;
        }
        assert_eq!(now["state"], "done", "{now}");
        Ok(now)
    }

    /// Polls until `look` gives something; a block is mined from time to time for what waits for one.
    pub(crate) fn until<T>(&mut self, what: &str, mut look: impl FnMut(&mut Self) -> Step<Option<T>>) -> Step<T> {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(found) = look(self)? {
                return Ok(found);
            }
            if Instant::now() > deadline {
                let mut requests = self.list("approvals", json!({ "all": true }))?;
                requests.retain(|one| one["state"] != "done");
                panic!("waited in vain: {what}\nrequests: {requests:?}\n{}", self.last_words());
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Calls an action with an id of its own. Where a crash has left its outcome unknown, the actions of the day can be
    /// called again: what they did they do not do twice.
    pub(crate) fn act(&mut self, solution: &str, action: &str, params: Json) -> Step<Json> {
        let name = format!("{solution}.{action} {params}");
        for attempt in 1..=3 {
            let input =
                json!({ "solution": solution, "action": action, "params": params, "id": format!("{attempt} {name}") });
            match self.call("call", input.clone()) {
                Err(Cut::Refused { code: -32002, .. }) => {}
                Ok(result) => {
                    self.model.acted.push((input, result.clone()));
                    return Ok(result);
                }
                Err(other) => return Err(other),
            }
        }
        panic!("{name}: three outcomes unknown after one kill")
    }

    pub(crate) fn owner(&mut self, index: usize) -> Step<Address> {
        let accounts = self.list("accounts", json!({}))?;
        Ok(accounts[index]["address"].as_str().expect("an address").parse().expect("an address"))
    }
}

/// The same command; run by root, without the capability to look into every process.
pub(crate) fn without_tracing(command: &Command) -> Command {
    let mut bare = if rustix::process::getuid().is_root() {
        let mut bare = Command::new("setpriv");
        bare.args(["--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace", "--"]).arg(command.get_program());
        bare
    } else {
        Command::new(command.get_program())
    };
    bare.args(command.get_args()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bare.env(name, value),
            None => bare.env_remove(name),
        };
    }
    bare
}
