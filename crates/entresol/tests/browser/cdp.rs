//! A real Chromium, spoken to by its own debugging protocol: no driver between, so that nothing is switched off that a
//! user's browser has (a driver's defaults hide the back-forward cache, for one).
//!
//! One connection to the browser with a session for each page. Calls block; what takes long is begun and finished later.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value as Json, json};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

/// Longest time for the browser to answer, or for a condition of a page to come true.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Quiet, and no request leaves the machine: the browser finds loopback names only.
const FLAGS: &[&str] = &[
    "--headless=new",
    "--remote-debugging-port=0",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--disable-search-engine-choice-screen",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-default-browser-check",
    "--no-first-run",
    "--password-store=basic",
    "--use-mock-keychain",
    "--disable-features=DisableLoadExtensionCommandLineSwitch,Translate,OptimizationHints,MediaRouter",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE *.localhost",
    "--window-size=1100,820",
];

/// A browser with a profile of its own, ended with it.
#[derive(Debug)]
pub(crate) struct Browser {
    child: Child,
    line: Arc<Mutex<Line>>,
    profile: tempfile::TempDir,
}

#[derive(Debug)]
struct Line {
    socket: WebSocket<TcpStream>,
    last: u64,
    /// Answers to what was begun and is not finished yet.
    answers: Vec<Json>,
    events: VecDeque<Json>,
}

/// Events that nobody waits for are forgotten at some point.
const KEPT_EVENTS: usize = 10_000;

/// A call that runs.
#[derive(Debug)]
#[must_use = "finish it"]
pub(crate) struct Begun(u64);

impl Browser {
    /// A browser with this unpacked extension. `prepare` gets the profile's folder before the browser sees it.
    pub(crate) fn start(extension: Option<&Path>, prepare: impl FnOnce(&Path)) -> Self {
        let profile = tempfile::tempdir().expect("a directory");
        prepare(profile.path());
        let mut command = Command::new("chromium");
        command.args(FLAGS).arg(format!("--user-data-dir={}", profile.path().display()));
        if rustix::process::getuid().is_root() {
            command.arg("--no-sandbox");
        }
        if let Some(extension) = extension {
            let extension = extension.display();
            command.arg(format!("--load-extension={extension}"));
            command.arg(format!("--disable-extensions-except={extension}"));
        }
        command.arg("about:blank").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.process_group(0).spawn().expect("chromium is installed (cargo xtask test does it)");
        let told = profile.path().join("DevToolsActivePort");
        let (port, path) = wait("the browser says its port", || {
            let text = std::fs::read_to_string(&told).ok()?;
            let (port, path) = text.split_once('\n')?;
            Some((port.parse::<u16>().ok()?, path.trim().to_owned())).filter(|(_, path)| !path.is_empty())
        });
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the browser listens");
        stream.set_nodelay(true).expect("set");
        let (socket, _) = tungstenite::client(format!("ws://127.0.0.1:{port}{path}"), stream).expect("a WebSocket");
        let line = Line { socket, last: 0, answers: Vec::new(), events: VecDeque::new() };
        Self { child, line: Arc::new(Mutex::new(line)), profile }
    }

    /// The folder of its profile.
    pub(crate) fn profile(&self) -> &Path {
        self.profile.path()
    }

    /// A method of the browser itself.
    pub(crate) fn call(&self, method: &str, params: Json) -> Json {
        let mut line = lock(&self.line);
        let begun = line.begin(None, method, params);
        line.finish(&begun).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// A tab on this address, when its load event has fired.
    pub(crate) fn open(&self, url: &str) -> Page {
        let page = self.blank();
        page.go(url);
        page
    }

    /// An empty tab.
    pub(crate) fn blank(&self) -> Page {
        let made = self.call("Target.createTarget", json!({ "url": "about:blank" }));
        self.attach(made["targetId"].as_str().expect("a target"))
    }

    /// A session with a target.
    pub(crate) fn attach(&self, target: &str) -> Page {
        let attached = self.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        let session = attached["sessionId"].as_str().expect("a session").to_owned();
        let page = Page { line: Arc::clone(&self.line), session, target: target.to_owned() };
        page.call("Runtime.enable", json!({}));
        page
    }

    /// Everything that the browser runs now: pages, frames, workers.
    pub(crate) fn targets(&self) -> Vec<Json> {
        let found = self.call("Target.getTargets", json!({}));
        found["targetInfos"].as_array().expect("a list").clone()
    }

    /// The running worker of the extension.
    pub(crate) fn worker(&self) -> Option<String> {
        let targets = self.targets();
        let worker = targets.iter().find(|target| {
            target["type"] == "service_worker"
                && target["url"].as_str().is_some_and(|url| url.starts_with("chrome-extension://"))
        });
        worker.map(|target| target["targetId"].as_str().expect("text").to_owned())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked first, it ends the programs that it started.
        if let Ok(mut line) = self.line.lock() {
            let _ = line.begin(None, "Browser.close", json!({}));
            let deadline = Instant::now() + Duration::from_secs(5);
            while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// A tab, a frame's process or a worker.
#[derive(Debug)]
pub(crate) struct Page {
    line: Arc<Mutex<Line>>,
    session: String,
    pub(crate) target: String,
}

impl Page {
    /// A method of this session.
    #[track_caller]
    pub(crate) fn call(&self, method: &str, params: Json) -> Json {
        let begun = self.begin(method, params);
        lock(&self.line).finish(&begun).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Starts a method and goes on.
    pub(crate) fn begin(&self, method: &str, params: Json) -> Begun {
        lock(&self.line).begin(Some(&self.session), method, params)
    }

    /// Goes to an address and waits until it has loaded. A page that goes elsewhere by itself, before this or in the middle of
    /// it, takes over: then once more.
    pub(crate) fn go(&self, url: &str) {
        self.call("Page.enable", json!({}));
        self.call("Page.setLifecycleEventsEnabled", json!({ "enabled": true }));
        let deadline = Instant::now() + LIMIT;
        loop {
            self.forget("Page.lifecycleEvent");
            let gone = self.call("Page.navigate", json!({ "url": url }));
            match gone.get("errorText").and_then(Json::as_str) {
                None => {}
                Some("net::ERR_ABORTED") if Instant::now() < deadline => continue,
                Some(_) => panic!("{url}: {gone}"),
            }
            // Without a loader it was a place on the same page.
            let Some(loader) = gone.get("loaderId") else { return };
            let loaded = self
                .event("Page.lifecycleEvent", |event| event["name"] == "load" && event["frameId"] == gone["frameId"]);
            if loaded["loaderId"] == *loader {
                return;
            }
            assert!(Instant::now() < deadline, "{url}: the page goes elsewhere again and again, last {loaded}");
        }
    }

    /// Loads the page again.
    pub(crate) fn reload(&self) {
        self.call("Page.enable", json!({}));
        self.forget("Page.loadEventFired");
        self.call("Page.reload", json!({}));
        self.event("Page.loadEventFired", |_| true);
    }

    /// Goes back in the tab's history.
    pub(crate) fn back(&self) {
        let history = self.call("Page.getNavigationHistory", json!({}));
        let at = history["currentIndex"].as_u64().expect("a number");
        let index = usize::try_from(at).expect("small").checked_sub(1).expect("there is a page before");
        let entry = history["entries"][index]["id"].clone();
        self.call("Page.navigateToHistoryEntry", json!({ "entryId": entry }));
    }

    /// The value of an expression, awaited if it is a promise.
    #[track_caller]
    pub(crate) fn eval(&self, expression: &str) -> Json {
        self.finish(self.start(expression)).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// The same, where what it threw is an answer too: `{ message, code, data }`.
    pub(crate) fn attempt(&self, expression: &str) -> Result<Json, Json> {
        self.finish(self.start(expression))
    }

    /// Begins an expression; what it promises comes later.
    pub(crate) fn start(&self, expression: &str) -> Begun {
        // What is thrown has to come as data: by itself the protocol gives a text of it.
        let wrapped = format!(
            "(async () => {{ try {{ return {{ value: await (0, eval)({}) }} }} \
             catch (e) {{ return {{ error: {{ message: String(e?.message ?? e), code: e?.code, data: e?.data, \
             isError: e instanceof Error }} }} }} }})()",
            Json::from(expression)
        );
        let params = json!({ "expression": wrapped, "awaitPromise": true, "returnByValue": true, "userGesture": true });
        self.begin("Runtime.evaluate", params)
    }

    /// The end of what was begun.
    pub(crate) fn finish(&self, begun: Begun) -> Result<Json, Json> {
        let answer = lock(&self.line).finish(&begun).map_err(|error| json!({ "message": error }))?;
        if let Some(details) = answer.get("exceptionDetails") {
            return Err(json!({ "message": details }));
        }
        let value = &answer["result"]["value"];
        match value.get("error") {
            Some(error) => Err(error.clone()),
            None => Ok(value.get("value").cloned().unwrap_or(Json::Null)),
        }
    }

    /// Waits until an expression is neither false, null nor zero; gives it. The page may be loading meanwhile.
    #[track_caller]
    pub(crate) fn until(&self, expression: &str) -> Json {
        let mut last = Json::Null;
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            match self.attempt(expression) {
                Ok(value) if !matches!(&value, Json::Null | Json::Bool(false)) && value != 0 && value != "" => {
                    return value;
                }
                Ok(value) | Err(value) => last = value,
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("waited {} s in vain for {expression}; last {last}", LIMIT.as_secs());
    }

    /// Waits for an event of this session.
    pub(crate) fn event(&self, name: &str, fits: impl Fn(&Json) -> bool) -> Json {
        lock(&self.line).event(&self.session, name, fits)
    }

    /// Forgets events of this name that came already.
    pub(crate) fn forget(&self, name: &str) {
        let mut line = lock(&self.line);
        line.events.retain(|event| event["method"] != name || event["sessionId"] != self.session);
    }

    /// A picture of the whole page.
    pub(crate) fn screenshot(&self, file: &Path) {
        // A tab behind another one is not drawn.
        self.call("Page.bringToFront", json!({}));
        let taken = self.call("Page.captureScreenshot", json!({ "captureBeyondViewport": true }));
        let data = taken["data"].as_str().expect("base64");
        let bytes = base64::engine::general_purpose::STANDARD.decode(data).expect("base64");
        std::fs::write(file, bytes).expect("written");
    }

    /// Closes the tab, or ends the worker.
    pub(crate) fn close(self) {
        let mut line = lock(&self.line);
        let begun = line.begin(None, "Target.closeTarget", json!({ "targetId": self.target }));
        line.finish(&begun).expect("closed");
    }
}

impl Line {
    fn begin(&mut self, session: Option<&str>, method: &str, params: Json) -> Begun {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        // A browser that has gone is told by the next answer that does not come.
        let _ = self.socket.send(Message::text(message.to_string()));
        Begun(self.last)
    }

    fn finish(&mut self, begun: &Begun) -> Result<Json, String> {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(at) = self.answers.iter().position(|answer| answer["id"] == begun.0) {
                let answer = self.answers.swap_remove(at);
                return match answer.get("error") {
                    Some(error) => Err(error["message"].as_str().unwrap_or_default().to_owned()),
                    None => Ok(answer["result"].clone()),
                };
            }
            self.read(deadline)?;
        }
    }

    fn event(&mut self, session: &str, name: &str, fits: impl Fn(&Json) -> bool) -> Json {
        let deadline = Instant::now() + LIMIT;
        loop {
            let found = self
                .events
                .iter()
                .position(|event| event["sessionId"] == session && event["method"] == name && fits(&event["params"]));
            if let Some(at) = found {
                let event = self.events.remove(at).expect("it was there");
                return event["params"].clone();
            }
            self.read(deadline).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    /// Takes one message in.
    fn read(&mut self, deadline: Instant) -> Result<(), String> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(format!("the browser said nothing for {} s", LIMIT.as_secs()));
        }
        self.socket.get_ref().set_read_timeout(Some(left)).map_err(|e| e.to_string())?;
        let text = match self.socket.read() {
            Ok(Message::Text(text)) => text,
            Ok(_) => return Ok(()),
            Err(tungstenite::Error::Io(e))
                if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
            {
                return Ok(());
            }
            Err(error) => return Err(error.to_string()),
        };
        let message: Json = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        if message.get("id").is_some() {
            self.answers.push(message);
        } else {
            self.events.push_back(message);
            if self.events.len() > KEPT_EVENTS {
                self.events.pop_front();
            }
        }
        Ok(())
    }
}

fn lock(line: &Mutex<Line>) -> std::sync::MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Polls until `look` gives something.
fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {} s in vain: {what}", LIMIT.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The unpacked extension of this repository.
pub(crate) fn extension() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../extension").canonicalize().expect("the extension")
}
