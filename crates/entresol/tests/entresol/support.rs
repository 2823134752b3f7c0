//! Real processes for the tests, ended with them.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_entresol");
pub(crate) const PASSPHRASE: &str = "correct horse battery";

/// Longest time for one thing to come true on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A command of the program, with none of the caller's own wallet in its environment.
pub(crate) fn entresol() -> Command {
    let mut command = Command::new(PROGRAM);
    for name in ["ENTRESOL_HOME", "ENTRESOL_PASSPHRASE_FILE", "ENTRESOL_KILL_AT"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// What a finished command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Its JSON, of a command that went well.
    pub(crate) fn json(&self) -> Json {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// What it told a person, of a command that went well; it holds these words.
    #[track_caller]
    pub(crate) fn says(&self, words: &[&str]) -> &str {
        assert_eq!(self.code, 0, "{self:?}");
        for word in words {
            assert!(self.out.contains(word), "`{word}` is missing in:\n{}", self.out);
        }
        &self.out
    }

    /// The command failed with this exit code, and its error holds these words.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "`{word}` is missing in {self:?}");
        }
    }
}

/// Polls until `look` gives something.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {} s in vain: {what}", LIMIT.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A child process and its group, killed when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) child: Child,
    /// Its first line.
    pub(crate) ready: Json,
}

impl Running {
    /// Starts a server and waits for its ready line.
    pub(crate) fn start(command: Command) -> Self {
        Self::start_or_say(command, String::new)
    }

    /// The same; should it end before, the failure says also what `words` gives.
    fn start_or_say(mut command: Command, words: impl FnOnce() -> String) -> Self {
        let mut child = command.stdout(Stdio::piped()).process_group(0).spawn().expect("started");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        let mut reader = BufReader::new(stdout);
        // Pretty or compact, the ready value ends with the first whole JSON text.
        let ready = loop {
            let read = reader.read_line(&mut line).expect("readable");
            if let Ok(ready) = serde_json::from_str(&line) {
                break ready;
            }
            if read == 0 {
                panic!("a server ended before it was ready; it said {line:?} {}", words());
            }
        };
        Self { child, ready }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("small")
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid()).expect("a process id");
        rustix::process::kill_process(pid, signal).expect("alive");
    }

    /// Asks it to end, and waits.
    pub(crate) fn stop(mut self) -> i32 {
        self.signal(rustix::process::Signal::TERM);
        self.child.wait().expect("waited").code().unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = rustix::process::Pid::from_raw(self.pid()) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Sets a path's mode.
pub(crate) fn open_up(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
}

/// A wallet in a directory of its own, its daemon not yet running.
#[derive(Debug)]
pub(crate) struct Wallet {
    pub(crate) dir: tempfile::TempDir,
}

impl Wallet {
    /// An empty place for one.
    pub(crate) fn nowhere() -> Self {
        let wallet = Self { dir: tempfile::tempdir().expect("a directory") };
        wallet.secret("passphrase", PASSPHRASE);
        wallet
    }

    pub(crate) fn new() -> Self {
        let wallet = Self::nowhere();
        wallet.run(&["init"]).json();
        wallet
    }

    /// A copy of the program and a way to it for users who are strangers here; the wallet's home stays closed to them.
    pub(crate) fn for_strangers(&self) -> PathBuf {
        let program = self.dir.path().join("entresol");
        std::fs::copy(PROGRAM, &program).expect("copied");
        open_up(&program, 0o755);
        open_up(self.dir.path(), 0o711);
        program
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// Writes a private file.
    pub(crate) fn secret(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).expect("written");
        open_up(&path, 0o600);
        path
    }

    /// A command on this wallet, with its passphrase at hand.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = entresol();
        command.arg("--json").arg("--home").arg(self.home());
        command.arg("--passphrase-file").arg(self.dir.path().join("passphrase"));
        command.args(arguments);
        command
    }

    /// What a person sees: as [`run`](Self::run), without `--json`.
    pub(crate) fn tell(&self, arguments: &[&str]) -> Said {
        let mut command = entresol();
        command.arg("--home").arg(self.home());
        command.arg("--passphrase-file").arg(self.dir.path().join("passphrase"));
        Said::of(command.args(arguments).output().expect("started"))
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        Said::of(self.command(arguments).output().expect("started"))
    }

    /// As [`run`](Self::run), without a passphrase.
    pub(crate) fn run_without_passphrase(&self, arguments: &[&str]) -> Said {
        let mut command = entresol();
        command.arg("--json").arg("--home").arg(self.home()).args(arguments);
        Said::of(command.output().expect("started"))
    }

    pub(crate) fn daemon(&self) -> Running {
        self.daemon_in(&[])
    }

    /// A daemon with these in its environment.
    pub(crate) fn daemon_in(&self, environment: &[(&str, OsString)]) -> Running {
        let mut command = self.command(&["daemon", "--poll-ms", "100"]);
        command.stderr(Stdio::null()).envs(environment.iter().map(|(name, value)| (name, value)));
        Running::start(command)
    }

    /// Writes a package of one script; `layer2` is added to its manifest.
    pub(crate) fn script(&self, name: &str, layer2: Json, script: &str) -> PathBuf {
        let folder = self.dir.path().join(name);
        std::fs::create_dir(&folder).expect("made");
        let mut manifest = json!({
            "name": name, "version": "1.0.0", "type": "module", "main": "index.js",
            "layer2": { "apiVersion": 1, "dataVersion": 1, "title": name, "description": "A script of a test." },
        });
        for (field, value) in layer2.as_object().expect("an object") {
            manifest["layer2"][field] = value.clone();
        }
        std::fs::write(folder.join("package.json"), manifest.to_string()).expect("written");
        std::fs::write(folder.join("index.js"), script).expect("written");
        folder
    }

    /// Approves the request that a proposal gave; gives it as it is afterwards.
    pub(crate) fn approve(&self, proposal: &Said) -> Json {
        let request = proposal.json();
        let id = request["id"].to_string();
        self.run(&["approvals", "approve", &id, "--digest", request["digest"].as_str().expect("a digest")]).json()
    }
}

/// The local chain with the payments layer 2 on it.
#[derive(Debug)]
pub(crate) struct Devnet {
    pub(crate) running: Running,
    _temporary: tempfile::TempDir,
}

impl Devnet {
    pub(crate) fn start(options: &[&str]) -> Self {
        // Killed at the end, it cannot tidy up after itself.
        let temporary = tempfile::tempdir().expect("a directory");
        let log = temporary.path().join("stderr");
        let stderr = std::fs::File::create(&log).expect("created");
        let mut command = entresol();
        command.args(["--json", "devnet"]).args(options).env("TMPDIR", temporary.path()).stderr(stderr);
        let words = || std::fs::read_to_string(&log).unwrap_or_default();
        Self { running: Running::start_or_say(command, words), _temporary: temporary }
    }

    pub(crate) fn fact(&self, name: &str) -> String {
        self.running.ready[name].as_str().unwrap_or_else(|| panic!("{name} in {}", self.running.ready)).to_owned()
    }
}

/// Demos run two at a time at most: each is half a dozen processes.
#[derive(Debug)]
pub(crate) struct Place;

static PLACES: (Mutex<u32>, Condvar) = (Mutex::new(2), Condvar::new());

impl Place {
    pub(crate) fn take() -> Self {
        let mut free = PLACES.0.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = PLACES.1.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *PLACES.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        PLACES.1.notify_one();
    }
}

/// Runs a demo to its end, in a temporary directory that must be empty afterwards.
pub(crate) fn demo(arguments: &[&str], environment: &[(&str, OsString)]) -> Said {
    let _place = Place::take();
    let temporary = tempfile::tempdir().expect("a directory");
    let mut command = entresol();
    command.args(["--json", "demo"]).args(arguments).env("TMPDIR", temporary.path());
    for (name, value) in environment {
        command.env(name, value);
    }
    let said = Said::of(command.output().expect("started"));
    if said.code == 0 {
        assert_empty(temporary.path());
    }
    said
}

#[track_caller]
pub(crate) fn assert_empty(dir: &Path) {
    let left: Vec<_> = std::fs::read_dir(dir).expect("readable").collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// Copies a folder of plain files.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("readable") {
        let entry = entry.expect("readable");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

/// A wallet with a running daemon on a chain with the payments layer 2, the solution not yet added.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) devnet: Devnet,
    pub(crate) wallet: Wallet,
    pub(crate) daemon: Running,
}

impl House {
    pub(crate) fn new() -> Self {
        let wallet = Wallet::new();
        let daemon = wallet.daemon();
        let devnet = Devnet::start(&[]);
        Self::on(devnet, wallet, daemon)
    }

    /// The owner has 10 ETH.
    pub(crate) fn rich() -> Self {
        Self::rich_on(Wallet::new(), &[])
    }

    /// As [`rich`](Self::rich), for this wallet, on a chain with these options.
    pub(crate) fn rich_on(wallet: Wallet, options: &[&str]) -> Self {
        let daemon = wallet.daemon();
        let owner = wallet.run(&["account", "list"]).json()[0]["address"].as_str().expect("an address").to_owned();
        let devnet = Devnet::start(&[&["--fund", &owner], options].concat());
        Self::on(devnet, wallet, daemon)
    }

    fn on(devnet: Devnet, wallet: Wallet, daemon: Running) -> Self {
        wallet.run(&["network", "add", "devnet", &devnet.fact("rpc")]).json();
        Self { devnet, wallet, daemon }
    }

    /// Ends the daemon and starts it again.
    pub(crate) fn restart_daemon(&mut self) {
        self.daemon.signal(rustix::process::Signal::TERM);
        assert!(self.daemon.child.wait().expect("waited").success(), "the daemon did not end well");
        self.daemon = self.wallet.daemon();
    }

    pub(crate) fn add(&self, changes: &[&str]) -> Said {
        let (plugin, gateway, node) =
            (self.devnet.fact("plugin"), self.devnet.fact("gateway"), self.devnet.fact("node"));
        let mut arguments = vec!["solution", "add"];
        let mut given = vec!["--gateway", &gateway, "--url", &node, "--network", "devnet"];
        let (script, changes) = match changes.split_first() {
            Some((script, rest)) if !script.starts_with("--") => (*script, rest),
            _ => (plugin.as_str(), changes),
        };
        // A changed option takes the usual one's place.
        for pair in changes.chunks(2) {
            if let Some(at) = given.iter().position(|option| *option == pair[0]) {
                given[at + 1] = pair[1];
            } else {
                given.extend(pair);
            }
        }
        arguments.push(script);
        arguments.extend(given);
        self.wallet.run(&arguments)
    }

    pub(crate) fn install(&self, changes: &[&str]) {
        let approved = self.wallet.approve(&self.add(changes));
        assert_eq!(approved["state"], "done", "{approved}");
    }

    pub(crate) fn solutions(&self) -> usize {
        self.wallet.run(&["solution", "list"]).json().as_array().expect("a list").len()
    }

    pub(crate) fn pending(&self) -> usize {
        self.wallet.run(&["approvals"]).json().as_array().expect("a list").len()
    }

    /// Refused with these words; no request was made, no solution added.
    #[track_caller]
    pub(crate) fn refuses(&self, changes: &[&str], words: &[&str]) {
        let before = (self.solutions(), self.pending());
        self.add(changes).fails(1, words);
        assert_eq!((self.solutions(), self.pending()), before, "something changed");
    }

    pub(crate) fn state(&self, solution: &str) -> Json {
        self.wallet.run(&["state", solution]).json()["state"].clone()
    }

    /// Installs a script of a few lines, without a gateway; gives its folder.
    pub(crate) fn install_script(&self, name: &str, layer2: Json, script: &str) -> PathBuf {
        let folder = self.wallet.script(name, layer2, script);
        let add = ["solution", "add", folder.to_str().expect("text"), "--network", "devnet", "--name", name];
        let approved = self.wallet.approve(&self.wallet.run(&add));
        assert_eq!(approved["state"], "done", "{approved}");
        self.runs(name);
        folder
    }

    /// Waits until a solution's plugin runs.
    pub(crate) fn runs(&self, name: &str) {
        until("the plugin runs", || {
            let view = self.wallet.run(&["solution", "show", name]).json();
            (view["plugin"] == "running").then_some(())
        });
    }
}
