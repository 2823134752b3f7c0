//! A real anvil, contracts of a few bytes, a signer, and a log of transactions in a file.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use alloy::consensus::{SignableTransaction, TxEnvelope};
use alloy::eips::eip2718::{Decodable2718, Encodable2718};
use alloy::primitives::{Signature, address, b256};
use entresol_layer1::*;
use k256::ecdsa::SigningKey;
use serde_json::{Value, json};
use url::Url;

/// Longest wait for anything; reached only when a test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
pub(crate) const POLL: Duration = Duration::from_millis(50);
pub(crate) const CHAIN: u64 = 31_337;
/// The first of anvil's well-known development accounts, and its well-known key.
pub(crate) const ALICE: Address = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
const ALICE_KEY: B256 = b256!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
/// The second of them.
pub(crate) const BOB: Address = address!("70997970C51812dc3A010C7d01b50e0d17dc79C8");

/// Writes its call data as a log with topic 1.
pub(crate) const ECHO: &str = "3660006000376001366000a100";
/// Reverts with its call data.
pub(crate) const REVERTER: &str = "366000600037366000fd";

/// anvil as a child; killed when dropped.
pub(crate) struct Anvil {
    child: Child,
    pub(crate) port: u16,
}

impl Anvil {
    pub(crate) async fn start() -> Self {
        Self::start_with(0, &[]).await
    }

    pub(crate) async fn start_with(port: u16, arguments: &[&str]) -> Self {
        let cache = entresol_package::default_cache_dir().expect("a home or ENTRESOL_CACHE");
        let path = entresol_package::anvil::locate_or_fetch(&cache, |_, _| {}).await.expect("anvil");
        let mut child = Command::new(path)
            .args(["--port", &port.to_string()])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("anvil starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, receiver) = mpsc::channel();
        // Reads to the end, so that anvil never waits for a full pipe.
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if let Some(address) = line.strip_prefix("Listening on ") {
                    let _ = sender.send(address.to_owned());
                }
            }
        });
        let address = receiver.recv_timeout(DEADLINE).expect("anvil listens");
        let port = address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        Self { child, port }
    }

    pub(crate) fn url(&self) -> Url {
        format!("http://127.0.0.1:{}", self.port).parse().expect("a URL")
    }

    pub(crate) fn config(&self) -> NetworkConfig {
        NetworkConfig { poll_interval: POLL, confirmations: 2, ..NetworkConfig::new("test", CHAIN, vec![self.url()]) }
    }

    pub(crate) async fn connect(&self) -> Network {
        Network::connect(self.config()).await.expect("connected")
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) async fn rpc(network: &Network, method: &str, params: Value) -> Value {
    network.request(method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
}

pub(crate) async fn mine(network: &Network, blocks: u64) {
    rpc(network, "anvil_mine", json!([format!("{blocks:#x}")])).await;
}

pub(crate) async fn block_number(network: &Network) -> u64 {
    number(&rpc(network, "eth_blockNumber", json!([])).await)
}

pub(crate) fn number(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().expect("hex").trim_start_matches("0x"), 16).expect("a number")
}

/// Sends from Alice, by anvil's own signing, as a neighbour would; gives the receipt.
pub(crate) async fn poke(network: &Network, to: Option<Address>, data: &str) -> Value {
    let mut transaction = json!({ "from": ALICE, "data": data, "gas": "0x30d40" });
    if let Some(to) = to {
        transaction["to"] = json!(to);
    }
    let hash = rpc(network, "eth_sendTransaction", json!([transaction])).await;
    let start = Instant::now();
    loop {
        let receipt = rpc(network, "eth_getTransactionReceipt", json!([hash])).await;
        if !receipt.is_null() {
            return receipt;
        }
        assert!(start.elapsed() < DEADLINE, "never mined");
        tokio::time::sleep(POLL).await;
    }
}

/// Deploys runtime code.
pub(crate) async fn deploy(network: &Network, runtime: &str) -> Address {
    let length = runtime.len() / 2;
    // codecopy(0, 12, length); return(0, length)
    let receipt = poke(network, None, &format!("0x60{length:02x}600c60003960{length:02x}6000f3{runtime}")).await;
    serde_json::from_value(receipt["contractAddress"].clone()).expect("deployed")
}

/// A transfer from Alice.
pub(crate) fn transfer(value: u64) -> CallRequest {
    CallRequest { from: ALICE, to: BOB.into(), value: U256::from(value), input: Bytes::new() }
}

/// The transaction that was signed.
pub(crate) fn decoded(stored: &StoredTransaction) -> TxEip1559 {
    match TxEnvelope::decode_2718_exact(&stored.raw).expect("a transaction") {
        TxEnvelope::Eip1559(signed) => signed.strip_signature(),
        other => panic!("{other:?}"),
    }
}

/// Signs as Alice, as the vault would.
pub(crate) fn sign(tx: TxEip1559) -> StoredTransaction {
    let key = SigningKey::from_slice(ALICE_KEY.as_slice()).expect("a key");
    let (chain_id, nonce) = (tx.chain_id, tx.nonce);
    let signature = key.sign_prehash_recoverable(tx.signature_hash().as_slice()).expect("signed");
    let envelope = TxEnvelope::from(tx.into_signed(Signature::from(signature)));
    StoredTransaction {
        hash: *envelope.tx_hash(),
        chain_id,
        from: ALICE,
        nonce,
        raw: envelope.encoded_2718().into(),
        approval_id: None,
        solution: None,
        purpose: "test".to_owned(),
        status: TransactionStatus::Stored,
    }
}

/// Waits for a status that `accept` likes.
pub(crate) async fn status(
    receiver: &mut tokio::sync::watch::Receiver<TransactionStatus>,
    accept: impl Fn(&TransactionStatus) -> bool,
) -> TransactionStatus {
    let wait = async { receiver.wait_for(|status| accept(status)).await.expect("the task lives").clone() };
    match tokio::time::timeout(DEADLINE, wait).await {
        Ok(status) => status,
        Err(_) => panic!("still {:?}", receiver.borrow()),
    }
}

/// Waits for a head that `accept` likes.
pub(crate) async fn head(network: &Network, accept: impl Fn(&Head) -> bool) -> Head {
    let mut receiver = network.head();
    let found = tokio::time::timeout(DEADLINE, receiver.wait_for(|head| accept(head))).await;
    *found.unwrap_or_else(|_| panic!("still {:?}", network.head().borrow())).expect("the tracker lives")
}

/// Batches until one has an event.
pub(crate) async fn next_events(follower: &mut LogFollower) -> LogBatch {
    let start = Instant::now();
    while start.elapsed() < DEADLINE {
        let batch = tokio::time::timeout(DEADLINE, follower.next()).await.expect("in time").expect("a batch");
        if !batch.events.is_empty() {
            return batch;
        }
    }
    panic!("no event came");
}

/// A durable log: one JSON line per change, flushed.
pub(crate) struct FileLog(PathBuf);

impl FileLog {
    pub(crate) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    fn append(&self, line: &Value) -> Result<(), TransactionLogError> {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.0)?;
        writeln!(file, "{line}")?;
        file.sync_all()?;
        Ok(())
    }

    /// Every transaction with its last status.
    pub(crate) fn all(&self) -> Vec<StoredTransaction> {
        let Ok(file) = File::open(&self.0) else { return Vec::new() };
        let mut all: Vec<StoredTransaction> = Vec::new();
        for line in BufReader::new(file).lines().map_while(Result::ok) {
            let mut line: Value = serde_json::from_str(&line).expect("a line");
            if line["insert"].is_null() {
                let hash: B256 = serde_json::from_value(line["hash"].take()).expect("a hash");
                let one = all.iter_mut().find(|one| one.hash == hash).expect("inserted before");
                one.status = serde_json::from_value(line["status"].take()).expect("a status");
            } else {
                all.push(serde_json::from_value(line["insert"].take()).expect("a transaction"));
            }
        }
        all
    }
}

impl TransactionLog for FileLog {
    fn insert(&self, transaction: &StoredTransaction) -> Result<(), TransactionLogError> {
        self.append(&json!({ "insert": transaction }))
    }

    fn update(&self, hash: B256, status: &TransactionStatus) -> Result<(), TransactionLogError> {
        self.append(&json!({ "hash": hash, "status": status }))
    }

    fn settled(&self, chain_id: u64, most: usize) -> Result<Vec<StoredTransaction>, TransactionLogError> {
        let is_settled = |status: &TransactionStatus| {
            matches!(status, TransactionStatus::Confirmed(_) | TransactionStatus::Replaced)
        };
        let all = self.all().into_iter().rev();
        Ok(all.filter(|one| one.chain_id == chain_id && is_settled(&one.status)).take(most).collect())
    }

    fn open(&self, chain_id: u64) -> Result<Vec<StoredTransaction>, TransactionLogError> {
        let mut all = self.all();
        all.retain(|one| one.chain_id == chain_id && !one.status.is_settled());
        Ok(all)
    }
}
