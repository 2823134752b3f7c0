//! Hostile scripts against what only a whole wallet has: its limits by the minute, its database, its permissions. The
//! sibling of the sandbox's corpus: each script in `hostile/` names what it attacks, the manifest that holds it, the
//! one that does not, and what becomes of it under each.

use crate::support::*;
use entresol_host::HostError;
use entresol_host::error::code;
use entresol_host::messages::{CallerGrantInput, PluginView};
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::{Value as Json, json};
use std::time::Duration;
use tokio::net::TcpListener;

mod heard;

/// What the header of a script says. Besides the limit, its manifests and its outcomes:
///
/// | line | |
/// |---|---|
/// | `calls: N` | so many calls at once; the outcome is how many were refused while the others wait |
/// | `logs: N` | the outcome also says whether so many lines of its log were kept |
/// | `shows: share` | the outcome is that it is held back, as soon as it is |
/// | `beside: itself` | it is installed twice, and `plant` is called in the other, `beside`; it is lifted by attacking in `beside` |
/// | `takes: NAME` | what `plant` gave is this parameter of the attack |
/// | `grants: ACTION` | lifted by a grant of this action of `beside` instead |
struct Script<'a> {
    source: &'a str,
}

impl<'a> Script<'a> {
    fn may(&self, key: &str) -> Option<&'a str> {
        let start = format!("// {key}: ");
        self.source.lines().find_map(|line| line.strip_prefix(&start))
    }

    fn field(&self, key: &str) -> &'a str {
        self.may(key).unwrap_or_else(|| panic!("the header has no {key}"))
    }

    /// Installs it with these permissions.
    async fn install(&self, wallet: &Wallet, name: &str, permissions: &str) {
        let folder = wallet.home.path().join(format!("hostile-{name}"));
        write_package(&folder, self.source, false);
        let permissions: Json = serde_json::from_str(permissions).expect("the header's permissions are JSON");
        let manifest = json!({
            "name": "hostile", "version": "1.0.0", "type": "module", "main": "index.js",
            "layer2": { "apiVersion": 1, "title": "Hostile", "permissions": permissions }
        });
        write(&folder.join("package.json"), &manifest.to_string());
        let mut wanted = input(name, &folder, None);
        if permissions.get("network").is_some() {
            wanted.network_urls.push(node().await);
        }
        let proposed = wallet.host().solution_add(&USER, wanted).await.expect("proposed");
        let done = wallet.approve(&proposed).await;
        assert_eq!(done.state, "done", "{:?}", done.outcome);
    }

    /// What comes of attacking in this solution.
    async fn attack(&self, wallet: &Wallet, name: &str, params: Json) -> String {
        if let Some(calls) = self.may("calls") {
            return refused(wallet, name, calls.parse().expect("a number")).await;
        }
        let call = async { said(wallet.call(name, "attack", params).await) };
        if let Some(lines) = self.may("logs") {
            heard::listen();
            let said = call.await;
            let kept = heard::lines(&format!("{name}/index.js")) >= lines.parse().expect("a number");
            return format!("{said}; {} of them kept", if kept { "all" } else { "not all" });
        }
        match self.may("shows") {
            None => call.await,
            Some("share") => tokio::select! {
                said = call => said,
                () = until("it is held back", async || (inspect(wallet, name).await.throttled_micros > 0).then_some(())) => {
                    "held back".to_owned()
                }
            },
            Some(other) => panic!("nothing shows {other:?}"),
        }
    }

    async fn prove(&self) {
        let anvil = Anvil::start().await;
        let wallet = Wallet::new(&anvil).await;
        self.install(&wallet, "held", self.field("held")).await;
        let (mut planted, mut place) = (json!({}), "lifted");
        if self.may("beside").is_some() {
            place = "beside";
            self.install(&wallet, place, self.field("wide")).await;
            let gave = wallet.call(place, "plant", json!({})).await.expect("planted");
            if let Some(name) = self.may("takes") {
                planted[name] = gave;
            }
        } else {
            self.install(&wallet, place, self.field("wide")).await;
        }
        let held = self.attack(&wallet, "held", planted.clone()).await;
        assert_eq!(held, self.field("expect"), "as it is");
        if let Some(action) = self.may("grants") {
            place = "held";
            grant(&wallet, place, "beside", action).await;
        }
        let lifted = self.attack(&wallet, place, planted).await;
        assert_eq!(lifted, self.field("lifted"), "with {} lifted", self.field("attacks"));
        assert_ne!(held, lifted);
        wallet.host().shutdown().await;
    }
}

fn said(answer: Result<Json, HostError>) -> String {
    match answer {
        Ok(answer) => answer.as_str().unwrap_or_default().to_owned(),
        Err(error) if error.code == code::PLUGIN_STOPPED => "stopped".to_owned(),
        Err(error) => format!("{} {}", error.code, error.message),
    }
}

async fn inspect(wallet: &Wallet, name: &str) -> PluginView {
    wallet.host().plugin_inspect(&USER, name).await.expect("it is there")
}

/// How many of so many calls are refused, when each other one waits or is open; and in which words.
async fn refused(wallet: &Wallet, name: &str, calls: usize) -> String {
    let mut under_way: FuturesUnordered<_> = (0..calls).map(|_| wallet.call(name, "attack", json!({}))).collect();
    let mut words = Vec::new();
    loop {
        let view = inspect(wallet, name).await;
        // Its `onStart` is open before it has started.
        let taken = view.waiting + if view.status == "running" { view.open } else { 0 };
        if words.len() + usize::try_from(taken).expect("few") == calls {
            break;
        }
        let soon = tokio::time::sleep(Duration::from_millis(10));
        tokio::select! {
            () = soon => {}
            Some(answer) = under_way.next() => {
                let error = answer.expect_err("none is answered");
                assert_eq!(error.code, code::LIMIT, "{error}");
                words.push(error.message);
            }
        }
    }
    let count = words.len();
    words.dedup();
    let words = words.iter().map(|words| format!(": {}", words.split(';').next().unwrap_or_default()));
    format!("{count} refused{}", words.collect::<String>())
}

/// Lets a solution call an action of another.
async fn grant(wallet: &Wallet, caller: &str, solution: &str, action: &str) {
    let caller = wallet.host().solution(&USER, caller).await.expect("there").id;
    let input = CallerGrantInput {
        caller: Some(format!("solution:{caller}")),
        solution: solution.into(),
        actions: vec![action.into()],
        state: Vec::new(),
        expires_at: None,
    };
    wallet.host().caller_grant(&USER, input).await.expect("granted");
}

/// A node that takes every connection and reads what is sent.
async fn node() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
                while let Some(Ok(_)) = socket.next().await {}
            });
        }
    });
    url
}

async fn prove(source: &str) {
    Script { source }.prove().await;
}

/// A test for each script, and the list of them.
macro_rules! corpus {
    ($($name:ident)*) => {
        const CORPUS: &[&str] = &[$(stringify!($name)),*];
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            prove(include_str!(concat!("hostile/", stringify!($name), ".js"))).await;
        })*
    };
}

corpus! {
    connections connections_at_once database_bytes database_quota database_writes endless log_lines mailbox network_bytes
    open_calls others_actions others_database others_keys others_secret others_state permission_missing processor_burst
    processor_share requests requests_at_once timers
}

#[test]
fn every_script_of_the_corpus_has_a_test() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/hostile");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder of the corpus")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.ends_with(".js"))
        .collect();
    files.sort();
    assert_eq!(files, CORPUS.iter().map(|name| format!("{name}.js")).collect::<Vec<_>>());
}
