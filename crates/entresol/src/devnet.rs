//! A local chain with the payments layer 2 on it: anvil, the gateway, the operator's node.
//!
//! Everything here is a throw-away: anvil's accounts have keys that the whole world knows, and anvil itself signs the
//! deployment. None of it is used outside chain id 31337, and none of it passes through the wallet.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy::primitives::{Address, U256, address};
use anyhow::{Context as _, bail};
use entresol_layer1::{Network, NetworkConfig};
use payments_contract::Deployment;
use serde_json::{Value as Json, json};
use url::Url;

use crate::cli;
use crate::context::Context;
use crate::output::{Output, Progress, table};
use crate::process::{Guarded, Signals, Spec, args};

/// Anvil's chain id.
pub(crate) const CHAIN_ID: u64 = 31337;

/// One of anvil's well-known accounts, each with 10 000 ETH.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) address: Address,
    /// Private key, hex.
    pub(crate) key: &'static str,
}

/// Deploys the gateway and hands out ETH.
pub(crate) const BANK: Known = Known {
    address: address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
    key: "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
};

/// Orders messages and submits batches.
pub(crate) const OPERATOR: Known = Known {
    address: address!("70997970C51812dc3A010C7d01b50e0d17dc79C8"),
    key: "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
};

/// Pays for contests.
pub(crate) const CHALLENGER: Known = Known {
    address: address!("3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
    key: "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
};

/// Bond without which no batch is accepted; the operator keeps four times that, so that it can lose half of it in a
/// contest and go on.
pub(crate) const MIN_BOND: u128 = 1_000_000_000_000_000_000;

/// What `devnet --fund` gives: 10 ETH.
const GIFT: U256 = U256::from_limbs([10_000_000_000_000_000_000, 0, 0, 0]);

/// Longest time for a process to say that it is ready.
pub(crate) const READY: Duration = Duration::from_secs(30);

/// Time between looks at layer 1.
pub(crate) const POLL: Duration = Duration::from_millis(100);

/// A receipt's facts.
#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    pub(crate) hash: String,
    pub(crate) gas_used: u64,
    /// Gas used times the price paid, in wei.
    pub(crate) fee: U256,
    pub(crate) contract: Option<Address>,
    pub(crate) block: u64,
}

/// A running anvil.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) anvil: Guarded,
    pub(crate) url: Url,
    network: Network,
}

/// Finds anvil, or fetches it with progress.
pub(crate) async fn anvil_path(out: Output) -> anyhow::Result<PathBuf> {
    let cache = entresol_package::default_cache_dir()
        .context("there is no place for downloads: HOME is not set; name one in ENTRESOL_CACHE")?;
    let progress = Progress::new(out, "looking for anvil");
    let path = entresol_package::anvil::locate_or_fetch(&cache, |done, total| {
        let total = total.map_or_else(String::new, |total| format!(" of {}", mib(total)));
        progress.say(format!("fetching anvil: {}{total}", mib(done)));
    })
    .await?;
    Ok(path)
}

fn mib(bytes: u64) -> String {
    format!("{}.{} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20)
}

impl Chain {
    /// Starts anvil; its log is also where it says its port.
    pub(crate) async fn start(anvil: &Path, dir: &Path, port: u16) -> anyhow::Result<Self> {
        let log = dir.join("anvil.log");
        let port = port.to_string();
        let chain_id = CHAIN_ID.to_string();
        // Otherwise anvil puts its old states, soon gigabytes, into the user's home, and leaves them there when it is killed.
        let states = dir.join("states");
        let states = states.to_str().context("the temporary directory's name is not UTF-8; set TMPDIR to another")?;
        // A block a second besides one for each transaction, so that what waits for blocks goes on.
        let arguments = [
            ["--host", "127.0.0.1"],
            ["--port", &port],
            ["--chain-id", &chain_id],
            ["--block-time", "1"],
            ["--cache-path", states],
        ];
        let arguments = arguments.into_iter().flatten().chain(["--mixed-mining"]);
        let mut anvil = Guarded::start(Spec {
            name: "anvil",
            program: anvil,
            args: args(arguments),
            kill_at: None,
            log: &log,
            read: false,
        })?;
        let url = listening(&mut anvil, &log).await?;
        let config = NetworkConfig {
            confirmations: 1,
            poll_interval: POLL,
            ..NetworkConfig::new("devnet", CHAIN_ID, vec![url.clone()])
        };
        let network = Network::connect(config).await.context("anvil does not answer")?;
        Ok(Self { anvil, url, network })
    }

    /// A raw request.
    pub(crate) async fn request(&self, method: &str, params: Json) -> anyhow::Result<Json> {
        self.network.request(method, params).await.with_context(|| format!("{method} on the local chain"))
    }

    /// Balance in wei at the head.
    pub(crate) async fn balance(&self, address: Address) -> anyhow::Result<U256> {
        Ok(self.network.balance(address).await?)
    }

    /// Transactions sent so far.
    pub(crate) async fn nonce(&self, address: Address) -> anyhow::Result<u64> {
        number(&self.request("eth_getTransactionCount", json!([address, "latest"])).await?)
    }

    /// Sends a transaction that anvil signs for one of its own accounts, and waits for it.
    pub(crate) async fn send(&self, transaction: Json) -> anyhow::Result<Receipt> {
        let hash = self.request("eth_sendTransaction", json!([transaction])).await?;
        self.mined(hash.as_str().context("anvil gave no transaction hash")?).await
    }

    /// Waits for the receipt of a transaction that was sent.
    pub(crate) async fn mined(&self, hash: &str) -> anyhow::Result<Receipt> {
        for _ in 0..100 {
            if let Some(receipt) = self.receipt(hash).await? {
                return Ok(receipt);
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("transaction {hash} was not mined; is anvil still running?")
    }

    /// The receipt of a transaction that succeeded; `None` when it is not mined yet.
    async fn receipt(&self, hash: &str) -> anyhow::Result<Option<Receipt>> {
        let receipt = self.request("eth_getTransactionReceipt", json!([hash])).await?;
        if receipt.is_null() {
            return Ok(None);
        }
        if receipt["status"] != "0x1" {
            bail!("transaction {hash} failed on layer 1");
        }
        let gas_used = number(&receipt["gasUsed"])?;
        let price = number(&receipt["effectiveGasPrice"])?;
        Ok(Some(Receipt {
            hash: hash.to_owned(),
            gas_used,
            fee: U256::from(gas_used) * U256::from(price),
            contract: serde_json::from_value(receipt["contractAddress"].clone()).ok().flatten(),
            block: number(&receipt["blockNumber"])?,
        }))
    }

    /// Deploys the payments gateway.
    pub(crate) async fn deploy(&self, challenge: u64, force: u64) -> anyhow::Result<(Address, Receipt)> {
        let deployment = Deployment { operator: OPERATOR.address, challenge, force, min_bond: MIN_BOND };
        let code = payments_contract::creation_code(&deployment)?;
        let receipt = self.send(json!({ "from": BANK.address, "data": code })).await?;
        let gateway = receipt.contract.context("the deployment gave no address")?;
        Ok((gateway, receipt))
    }

    /// Gives ETH from the bank.
    pub(crate) async fn give(&self, to: Address, wei: U256) -> anyhow::Result<Receipt> {
        self.send(json!({ "from": BANK.address, "to": to, "value": wei })).await
    }

    /// Moves the chain's clock, and mines a block there.
    pub(crate) async fn advance(&self, seconds: u64) -> anyhow::Result<()> {
        self.request("evm_increaseTime", json!([seconds])).await?;
        self.request("evm_mine", json!([])).await?;
        Ok(())
    }

    /// The newest block's number.
    pub(crate) async fn height(&self) -> anyhow::Result<u64> {
        number(&self.request("eth_blockNumber", json!([])).await?)
    }

    /// Logs of a contract with this first topic.
    pub(crate) async fn logs(
        &self,
        from: u64,
        contract: Address,
        topic: impl serde::Serialize,
    ) -> anyhow::Result<Vec<Json>> {
        let filter = json!([{ "fromBlock": format!("{from:#x}"), "address": contract, "topics": [topic] }]);
        let logs = self.request("eth_getLogs", filter).await?;
        Ok(serde_json::from_value(logs)?)
    }
}

/// Where anvil says that it listens.
async fn listening(anvil: &mut Guarded, log: &Path) -> anyhow::Result<Url> {
    let deadline = tokio::time::Instant::now() + READY;
    while tokio::time::Instant::now() < deadline {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        // Only a whole line: the port may be half written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        if let Some(address) = whole.lines().find_map(|line| line.strip_prefix("Listening on ")) {
            return Url::parse(&format!("http://{}", address.trim())).context("anvil's address cannot be read");
        }
        if anvil.ended()?.is_some() {
            bail!("anvil ended at once: {}", anvil.last_words());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bail!("anvil did not start; see {}", log.display())
}

/// A hexadecimal quantity.
pub(crate) fn number(value: &Json) -> anyhow::Result<u64> {
    let text = value.as_str().unwrap_or_default();
    u64::from_str_radix(text.trim_start_matches("0x"), 16).with_context(|| format!("{value} is not a quantity"))
}

/// How a payments node is started.
#[derive(Clone, Debug)]
pub(crate) struct NodeSetup {
    /// `operator` or `replica`.
    pub(crate) role: &'static str,
    pub(crate) name: &'static str,
    pub(crate) dir: PathBuf,
    pub(crate) key_file: PathBuf,
    pub(crate) rpc: Url,
    pub(crate) gateway: Address,
    pub(crate) from_block: u64,
    /// Where it answers; port 0 until it has said which port it took.
    pub(crate) listen: SocketAddr,
    /// Value of `--misbehave`.
    pub(crate) misbehave: Option<&'static str>,
}

impl NodeSetup {
    /// Starts the node and waits until it answers; `None` when it ended before that. Remembers its port.
    pub(crate) async fn start(&mut self, kill_at: Option<&str>) -> anyhow::Result<(Guarded, bool)> {
        let program = std::env::current_exe()?;
        let (data, log) = (self.dir.join(self.name), self.dir.join(format!("{}.log", self.name)));
        let text = |value: &dyn std::fmt::Display| value.to_string();
        let mut arguments = args(["node", "payments", "--json", "--role", self.role]);
        arguments.extend(args(["--rpc", self.rpc.as_str(), "--chain-id", &text(&CHAIN_ID)]));
        arguments.extend(args(["--gateway", &text(&self.gateway), "--from-block", &text(&self.from_block)]));
        arguments.extend(args(["--listen", &text(&self.listen), "--poll-ms", &text(&POLL.as_millis())]));
        arguments.extend(args(["--batch-age-ms", "200"]));
        arguments.extend(["--data-dir".into(), data.into_os_string()]);
        let key = if self.role == "operator" { "--operator-key-file" } else { "--challenger-key-file" };
        arguments.extend([key.into(), self.key_file.clone().into_os_string()]);
        if self.role == "operator" {
            arguments.extend(args(["--keep-bond", &text(&(MIN_BOND * 4))]));
        }
        if let Some(fault) = self.misbehave {
            arguments.extend(args(["--misbehave", fault]));
        }
        let mut node = Guarded::start(Spec {
            name: self.name,
            program: &program,
            args: arguments,
            kill_at,
            log: &log,
            read: true,
        })?;
        let Some(line) = node.line(READY).await? else { return Ok((node, false)) };
        let ready: Json = serde_json::from_str(&line).with_context(|| format!("{} said {line:?}", self.name))?;
        let url = Url::parse(ready["listening"].as_str().unwrap_or_default()).context("the node gave no address")?;
        if let Some(port) = url.port() {
            self.listen.set_port(port);
        }
        Ok((node, true))
    }

    /// The node's WebSocket address.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.listen)
    }
}

/// Writes a private key for a node to read.
pub(crate) fn write_key(dir: &Path, name: &str, known: Known) -> anyhow::Result<PathBuf> {
    let path = dir.join(format!("{name}.key"));
    entresol_durable::write_file_atomically(&path, known.key.as_bytes(), false)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// `entresol devnet`.
pub(crate) async fn run(context: &Context, options: &cli::Devnet) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let temporary = tempfile::Builder::new().prefix("entresol-devnet-").tempdir()?;
    let dir = match &options.dir {
        Some(dir) => std::path::absolute(dir)?,
        None => temporary.path().to_owned(),
    };
    entresol_durable::create_private_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let mut running = None;
    let outcome = tokio::select! {
        started = start(context, options, &dir, &mut running) => started,
        () = signals.any() => Ok(()),
    };
    if outcome.is_ok()
        && let Some((chain, node)) = &mut running
    {
        tokio::select! {
            () = signals.any() => {}
            status = chain.anvil.wait() => bail!("anvil ended ({}); see {}", status?, dir.display()),
            status = node.wait() => bail!("the node ended ({}): {}", status?, node.last_words()),
        }
    }
    if let Some((chain, node)) = running {
        node.stop().await;
        chain.anvil.stop().await;
    }
    outcome
}

async fn start(
    context: &Context,
    options: &cli::Devnet,
    dir: &Path,
    running: &mut Option<(Chain, Guarded)>,
) -> anyhow::Result<()> {
    let anvil = anvil_path(context.out).await?;
    let progress = Progress::new(context.out, "starting the chain");
    let chain = Chain::start(&anvil, dir, options.rpc_port).await?;
    progress.say("deploying the gateway");
    let (gateway, receipt) = chain.deploy(options.challenge, options.force).await?;
    for account in &options.fund {
        chain.give(*account, GIFT).await?;
    }
    progress.say("starting the node");
    let mut setup = NodeSetup {
        role: "operator",
        name: "operator",
        dir: dir.to_owned(),
        key_file: write_key(dir, "operator", OPERATOR)?,
        rpc: chain.url.clone(),
        gateway,
        from_block: receipt.block,
        listen: SocketAddr::from(([127, 0, 0, 1], options.node_port)),
        misbehave: None,
    };
    let (node, ready) = setup.start(None).await?;
    if !ready {
        bail!("the node ended at once: {}", node.last_words());
    }
    let plugin = dir.join("payments-plugin");
    crate::plugin_files::write(&plugin)?;
    drop(progress);
    let accounts = [BANK, OPERATOR, CHALLENGER]
        .map(|known| json!({ "address": known.address, "key": format!("0x{}", known.key) }));
    let facts = json!({
        "chainId": CHAIN_ID,
        "rpc": chain.url.as_str(),
        "gateway": gateway,
        "fromBlock": receipt.block,
        "node": setup.url(),
        "plugin": plugin,
        "challengeSeconds": options.challenge,
        "forceSeconds": options.force,
        "accounts": accounts,
        "dir": dir,
    });
    *running = Some((chain, node));
    context.out.either(&facts, |facts| {
        let text = |name: &str| facts[name].as_str().map_or_else(|| facts[name].to_string(), str::to_owned);
        let mut rows = vec![
            ["Layer-1 endpoint".to_owned(), text("rpc")],
            ["Chain id".to_owned(), text("chainId")],
            ["Gateway".to_owned(), text("gateway")],
            ["Layer-2 node".to_owned(), text("node")],
            ["Plugin".to_owned(), text("plugin")],
            ["Challenge window".to_owned(), format!("{} s", options.challenge)],
        ];
        for (role, account) in [("Bank", BANK), ("Operator", OPERATOR), ("Challenger", CHALLENGER)] {
            rows.push([format!("{role} (everybody knows this key)"), format!("{} 0x{}", account.address, account.key)]);
        }
        let (rpc, plugin, gateway, node) = (text("rpc"), text("plugin"), text("gateway"), text("node"));
        format!(
            "{}\n\
             Go on in another terminal:\n  \
             entresol network add devnet {rpc}\n  \
             entresol solution add {plugin} --network devnet --name payments --gateway {gateway} --url {node}\n  \
             entresol approvals\n\
             The owner account needs ETH for deposits: `entresol account list` tells its address; give it some by\n\
             starting `entresol devnet --fund ADDRESS`. Ctrl-C ends everything.",
            table(&[], rows),
        )
    })
}
