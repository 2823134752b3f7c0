//! A host on a real anvil with a real gateway, and a plugin that tries things.

use alloy::primitives::{Address, address};
use entresol_host::messages::{ApprovalView, CallInput, Decision, NetworkInput, SolutionInput};
use entresol_host::{Actor, Host, HostConfig, HostError};
use entresol_layer1::{Network, NetworkConfig};
use entresol_sandbox::Engine;
use entresol_store::Store;
use entresol_vault::{KdfCost, Vault};
use payments_contract::Deployment;
use serde_json::{Value as Json, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use tempfile::TempDir;

/// Longest wait for anything; reached only when a test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(40);
/// The user with an open passphrase session.
pub(crate) const USER: Actor = Actor::User { session: true };
/// The first of anvil's well-known development accounts, unlocked there.
pub(crate) const RICH: Address = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
/// A well-known test phrase (BIP-39's own).
const PHRASE: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
/// The passphrase of the tests' wallet.
pub(crate) const PASSPHRASE: &str = "correct horse battery staple";

/// anvil as a child; killed when dropped.
pub(crate) struct Anvil {
    child: Child,
    pub(crate) url: String,
}

impl Anvil {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With further arguments.
    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        let cache = entresol_package::default_cache_dir().expect("a cache directory");
        let path = entresol_package::anvil::locate_or_fetch(&cache, |_, _| {}).await.expect("anvil");
        let mut child = Command::new(path)
            .args(["--port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("anvil starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if let Some(address) = line.strip_prefix("Listening on ") {
                    let _ = sender.send(address.to_owned());
                }
            }
        });
        let address = receiver.recv_timeout(DEADLINE).expect("anvil listens");
        Self { child, url: format!("http://{address}") }
    }

    /// A connection beside the wallet's, for setting things up.
    pub(crate) async fn network(&self) -> Network {
        let url = self.url.parse().expect("a URL");
        Network::connect(NetworkConfig::new("beside", 31337, vec![url])).await.expect("connected")
    }

    /// Deploys the payments gateway.
    pub(crate) async fn deploy(&self) -> Address {
        let network = self.network().await;
        let code =
            payments_contract::creation_code(&Deployment { operator: RICH, challenge: 60, force: 600, min_bond: 1 })
                .expect("the artifact");
        let sent = json!([{ "from": RICH, "data": code, "gas": "0x989680" }]);
        let hash = network.request("eth_sendTransaction", sent).await.expect("sent");
        let receipt = until("the gateway is deployed", async || {
            let receipt = network.request("eth_getTransactionReceipt", json!([hash])).await.expect("an answer");
            (!receipt.is_null()).then_some(receipt)
        })
        .await;
        receipt["contractAddress"].as_str().expect("deployed").parse().expect("an address")
    }

    pub(crate) async fn give(&self, to: &str, wei: &str) {
        self.network().await.request("anvil_setBalance", json!([to, wei])).await.expect("set");
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP server that answers every request the same; gives its URL and what it was sent.
pub(crate) async fn serve(answer: String) -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let mut length = 0;
            while !request[..length].ends_with(b"ping") {
                match socket.read(&mut request[length..]).await {
                    Ok(0) | Err(_) => break,
                    Ok(more) => length += more,
                }
            }
            let _ = sender.send(String::from_utf8_lossy(&request[..length]).into_owned());
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    (url, receiver)
}

/// Polls until `look` finds something.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited {DEADLINE:?} in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A wallet with its home.
pub(crate) struct Wallet {
    pub(crate) home: TempDir,
    host: Option<Host>,
    /// A handle to the host's own vault, for locking with layer-2 keys kept open.
    pub(crate) vault: Vault,
}

impl Wallet {
    /// A wallet whose owner has 10 ETH on `anvil`.
    pub(crate) async fn new(anvil: &Anvil) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let cost = KdfCost { memory_kib: 64, passes: 1, lanes: 1 };
        Vault::create(&home.path().join("keystore.json"), Some(&PHRASE.into()), &PASSPHRASE.into(), cost)
            .expect("created");
        let (host, vault) = start(home.path(), entresol_host::IDLE_STOP).await;
        let input =
            NetworkInput { name: "dev".into(), rpc_urls: vec![anvil.url.clone()], chain_id: None, confirmations: None };
        host.network_add(&USER, input).await.expect("added");
        let owner = host.accounts(&USER).await.expect("accounts")[0].address.clone();
        anvil.give(&owner, "0x8ac7230489e80000").await;
        Self { home, host: Some(host), vault }
    }

    pub(crate) fn host(&self) -> &Host {
        self.host.as_ref().expect("running")
    }

    /// Stops; [`restart`](Self::restart) goes on.
    pub(crate) async fn stop(&mut self) {
        if let Some(host) = self.host.take() {
            host.shutdown().await;
        }
    }

    /// Stops and starts, as a new process of the daemon would.
    pub(crate) async fn restart(&mut self) {
        self.restart_with(entresol_host::IDLE_STOP).await;
    }

    /// As [`restart`](Self::restart), with plugins that sleep sooner.
    pub(crate) async fn restart_with(&mut self, idle_stop: Duration) {
        self.stop().await;
        let home = self.home.path().to_owned();
        let (host, vault) = start(&home, idle_stop).await;
        (self.host, self.vault) = (Some(host), vault);
        self.host().runtime_is_up().await;
    }

    /// Adds and approves a solution made of `script`.
    pub(crate) async fn install(
        &self,
        name: &str,
        script: &str,
        gateway: Option<Address>,
    ) -> Result<ApprovalView, HostError> {
        let folder = self.home.path().join(format!("source-{name}"));
        write_package(&folder, script, gateway.is_some());
        let proposed = self.host().solution_add(&USER, input(name, &folder, gateway)).await?;
        Ok(self.approve(&proposed).await)
    }

    pub(crate) async fn approve(&self, approval: &ApprovalView) -> ApprovalView {
        let decision = Decision {
            id: approval.id,
            approve: true,
            digest: approval.digest.clone(),
            refuse: Vec::new(),
            accounts: Vec::new(),
        };
        self.host().approval_decide(&USER, decision).await.expect("decided");
        self.host().approval_wait(&USER, approval.id, true, DEADLINE).await.expect("there")
    }

    pub(crate) async fn reject(&self, approval: &ApprovalView) {
        let decision = Decision {
            id: approval.id,
            approve: false,
            digest: approval.digest.clone(),
            refuse: Vec::new(),
            accounts: Vec::new(),
        };
        self.host().approval_decide(&USER, decision).await.expect("decided");
    }

    /// The one request that waits, as soon as it does.
    pub(crate) async fn waiting(&self) -> ApprovalView {
        until("a request waits", async || self.host().approvals(&USER, false).await.expect("approvals").pop()).await
    }

    pub(crate) async fn call(&self, solution: &str, action: &str, params: Json) -> Result<Json, HostError> {
        self.call_as(solution, action, params, None).await
    }

    pub(crate) async fn call_as(
        &self,
        solution: &str,
        action: &str,
        params: Json,
        id: Option<&str>,
    ) -> Result<Json, HostError> {
        let input = CallInput {
            solution: solution.into(),
            action: action.into(),
            params: params.as_object().cloned().unwrap_or_default(),
            id: id.map(Into::into),
        };
        tokio::time::timeout(DEADLINE, self.host().call(&USER, input)).await.expect("an answer in time")
    }

    /// Waits until the plugin's status starts with `status`.
    pub(crate) async fn plugin(&self, solution: &str, status: &str) {
        until("the plugin has the status", async || {
            let view = self.host().solution(&USER, solution).await.expect("there");
            view.plugin.starts_with(status).then_some(())
        })
        .await;
    }
}

trait Up {
    async fn runtime_is_up(&self);
}

impl Up for Host {
    async fn runtime_is_up(&self) {
        until("the network is connected", async || {
            self.networks(&USER).await.expect("networks").iter().all(|n| n.problem.is_none()).then_some(())
        })
        .await;
    }
}

/// Starts a host on a home that is there.
pub(crate) async fn start(home: &Path, idle_stop: Duration) -> (Host, Vault) {
    let (vault, key) = Vault::open(&home.join("keystore.json"), &PASSPHRASE.into()).expect("opened");
    let store = Store::open(&home.join("wallet.db"), key.expose()).expect("opened");
    let cache = entresol_package::default_cache_dir().expect("a cache directory").join("engine");
    let engine = Engine::new(Some(&cache)).expect("the engine");
    let config = HostConfig {
        home: home.to_owned(),
        poll_interval: Duration::from_millis(50),
        allow_private_urls: true,
        kdf_cost: entresol_vault::KdfCost { memory_kib: 64, passes: 1, lanes: 1 },
        idle_stop,
    };
    (Host::start(config, vault.clone(), store, engine).await.expect("started"), vault)
}

pub(crate) fn input(name: &str, folder: &Path, gateway: Option<Address>) -> SolutionInput {
    SolutionInput {
        name: Some(name.into()),
        network: "dev".into(),
        gateway: gateway.map(|address| address.to_string()),
        network_urls: Vec::new(),
        key_path: None,
        script: format!("folder:{}", folder.display()),
        owner: 0,
        from_block: None,
        request_key: None,
    }
}

#[allow(clippy::disallowed_methods, reason = "a file of the test's own")]
pub(crate) fn write_package(folder: &PathBuf, script: &str, gateway: bool) {
    std::fs::create_dir_all(folder).expect("made");
    let mut manifest = json!({
        "name": "probe", "version": "1.0.0", "type": "module", "main": "index.js",
        "layer2": {
            "apiVersion": 1, "title": "Probe", "description": "tries things",
            "permissions": {
                "keys": { "curve": "secp256k1" }, "localDatabase": { "quota": "64 KiB" },
                "layer1": ["read", "blocks", "events"], "sign": ["typedData", "message"], "network": ["$networkUrl"]
            }
        }
    });
    if gateway {
        manifest["layer2"]["contracts"] = json!({ "gateway": {
            "abi": ["function deposit(address to) payable returns (uint256)", "function requestExit() returns (uint256)",
                    "function unbond()", "event Deposited(address indexed depositor, address indexed to, uint256 value, uint256 index)"],
            "deposit": ["deposit"], "withdraw": ["requestExit"]
        } });
    }
    std::fs::write(folder.join("package.json"), manifest.to_string()).expect("written");
    std::fs::write(folder.join("index.js"), script).expect("written");
}

#[allow(clippy::disallowed_methods, reason = "a file of the test's own")]
pub(crate) fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
}
