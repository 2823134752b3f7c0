//! anvil with a gateway on it, layer-2 accounts, and a client of the node.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy::primitives::{Address, B256, Bytes, U256, address};
use alloy::sol_types::{SolCall, SolEvent};
use clap::{Parser, ValueEnum};
use payments_contract::{Deployment, PaymentsGateway, creation_code};
use payments_node::{Node, NodeArgs, Role};
use payments_protocol::{Domain, Leaf, Message, SignedMessage, signature::address_of};
use secp256k1::{PublicKey, SecretKey};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use url::Url;

/// anvil's first account: deploys and operates. Its key is public knowledge.
pub(crate) const OPERATOR: Address = address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
pub(crate) const OPERATOR_KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
/// anvil's second account: deposits.
pub(crate) const RICH: Address = address!("0x70997970C51812dc3A010C7d01b50e0d17dc79C8");
/// Key of anvil's third account, which contests.
pub(crate) const CHALLENGER_KEY: &str = "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a";

pub(crate) const ETHER: u128 = 1_000_000_000_000_000_000;
/// Seconds of the test gateway's challenge window.
pub(crate) const CHALLENGE: u64 = 600;
/// Seconds within which the test gateway's operator must serve an inbox item.
pub(crate) const FORCE: u64 = 86_400;
/// Longest a condition is waited for: the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A JSON-RPC client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: Url,
}

impl Client {
    pub(crate) fn new(url: Url) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { http: reqwest::Client::builder().timeout(PATIENCE).build().expect("a client"), url }
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The node's WebSocket address.
    pub(crate) fn websocket(&self) -> String {
        self.url.as_str().replace("http://", "ws://")
    }

    /// The `result`, or the `error` object.
    pub(crate) async fn try_call(&self, method: &str, params: Value) -> Result<Value, Value> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let response = self.http.post(self.url.clone()).json(&request).send().await;
        let response = response.map_err(|error| json!({ "message": error.to_string() }))?;
        let mut reply: Value = response.json().await.map_err(|error| json!({ "message": error.to_string() }))?;
        match reply.get_mut("error").filter(|error| !error.is_null()) {
            Some(error) => Err(error.take()),
            None => Ok(reply["result"].take()),
        }
    }

    pub(crate) async fn call(&self, method: &str, params: Value) -> Value {
        self.try_call(method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    pub(crate) async fn status(&self) -> Value {
        self.call("l2_status", json!([])).await
    }

    pub(crate) async fn account(&self, address: Address) -> Value {
        self.call("l2_getAccount", json!([address])).await
    }

    /// Waits until `holds` of a call's result.
    pub(crate) async fn until(&self, method: &str, params: Value, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let answer = self.try_call(method, params.clone()).await;
            if let Ok(value) = &answer
                && holds(value)
            {
                return answer.expect("just seen");
            }
            assert!(start.elapsed() < PATIENCE, "waited too long until {what}; last answer: {answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn until_status(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        self.until("l2_status", json!([]), what, holds).await
    }

    pub(crate) async fn until_balance(&self, account: Address, balance: u128) -> Value {
        let what = format!("{account} has {balance} wei");
        self.until("l2_getAccount", json!([account]), &what, |a| a["balance"] == balance.to_string()).await
    }
}

/// A layer 1 with a gateway.
pub(crate) struct World {
    pub(crate) anvil: Arc<Child>,
    pub(crate) layer1: Client,
    pub(crate) rpc: Url,
    pub(crate) gateway: Address,
    pub(crate) domain: Domain,
    pub(crate) dir: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::on_chain(31_337).await
    }

    pub(crate) async fn on_chain(chain_id: u64) -> Self {
        let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let anvil = entresol_package::anvil::locate_or_fetch(&cache, |_, _| ()).await.expect("anvil");
        let mut child = Command::new(anvil)
            .args(["--port", "0", "--chain-id", &chain_id.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("anvil starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let address = loop {
            let line = lines.next_line().await.expect("readable").expect("anvil says where it listens");
            if let Some(address) = line.strip_prefix("Listening on ") {
                break address.trim().to_owned();
            }
        };
        // anvil blocks on a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let rpc: Url = format!("http://{address}").parse().expect("an address");
        let layer1 = Client::new(rpc.clone());
        Self::deploy(Arc::new(child), layer1, rpc, chain_id).await
    }

    /// Another gateway on the same chain.
    pub(crate) async fn sibling(&self) -> Self {
        let chain_id = self.domain.chain_id();
        Self::deploy(Arc::clone(&self.anvil), self.layer1.clone(), self.rpc.clone(), chain_id).await
    }

    async fn deploy(anvil: Arc<Child>, layer1: Client, rpc: Url, chain_id: u64) -> Self {
        // Elsewhere than on the local chains the contract demands longer times and a higher bond.
        let local = matches!(chain_id, 1_337 | 31_337);
        let (challenge, min_bond) = if local { (CHALLENGE, ETHER) } else { (604_800, 3 * ETHER) };
        let terms = Deployment { operator: OPERATOR, challenge, force: FORCE, min_bond };
        let code = creation_code(&terms).expect("the artifact");
        let receipt = send(&layer1, json!({ "from": OPERATOR, "input": code, "gas": "0x1000000" })).await;
        let gateway: Address = receipt["contractAddress"].as_str().expect("deployed").parse().expect("an address");
        let domain = Domain::new(chain_id, gateway);
        let world = Self { anvil, layer1, rpc, gateway, domain, dir: tempfile::tempdir().expect("a folder") };
        world.send(OPERATOR, ETHER, PaymentsGateway::bondCall {}).await;
        world
    }

    /// Sends a call to the gateway from one of anvil's accounts, and checks that it succeeded.
    pub(crate) async fn send<C: SolCall>(&self, from: Address, value: u128, call: C) -> Value {
        let input = Bytes::from(call.abi_encode());
        self.send_input(from, value, input).await
    }

    pub(crate) async fn send_input(&self, from: Address, value: u128, input: Bytes) -> Value {
        let request =
            json!({ "from": from, "to": self.gateway, "value": U256::from(value), "input": input, "gas": "0x800000" });
        let receipt = send(&self.layer1, request).await;
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        receipt
    }

    pub(crate) async fn deposit(&self, to: Address, value: u128) {
        self.send(RICH, value, PaymentsGateway::depositCall { to }).await;
    }

    /// Sends a call that the gateway must refuse; gives the receipt.
    pub(crate) async fn send_refused<C: SolCall>(&self, from: Address, call: C) -> Value {
        self.send_input_refused(from, Bytes::from(call.abi_encode())).await
    }

    pub(crate) async fn send_input_refused(&self, from: Address, input: Bytes) -> Value {
        let request = json!({ "from": from, "to": self.gateway, "input": input, "gas": "0x800000" });
        let receipt = send(&self.layer1, request).await;
        assert_eq!(receipt["status"], "0x0", "{receipt}");
        receipt
    }

    /// Lets anvil send transactions of an account whose key it does not have, with ETH for the gas.
    pub(crate) async fn lend(&self, account: Address, wei: u128) {
        self.layer1.call("anvil_impersonateAccount", json!([account])).await;
        self.layer1.call("anvil_setBalance", json!([account, U256::from(wei)])).await;
    }

    /// Every event of a kind that the gateway has emitted, in order.
    pub(crate) async fn events<E: SolEvent>(&self) -> Vec<E> {
        let filter = json!([{ "address": self.gateway, "fromBlock": "0x0", "topics": [E::SIGNATURE_HASH] }]);
        let logs = self.layer1.call("eth_getLogs", filter).await;
        let read = |log: &Value| {
            let topics: Vec<B256> = serde_json::from_value(log["topics"].clone()).expect("topics");
            let data: Bytes = serde_json::from_value(log["data"].clone()).expect("data");
            E::decode_raw_log(topics, &data).expect("the event")
        };
        logs.as_array().expect("a list").iter().map(read).collect()
    }

    /// What a read of the gateway says.
    pub(crate) async fn view<C: SolCall>(&self, call: C) -> C::Return {
        let request = json!({ "to": self.gateway, "input": Bytes::from(call.abi_encode()) });
        let answer: Bytes =
            serde_json::from_value(self.layer1.call("eth_call", json!([request, "latest"])).await).expect("bytes");
        C::abi_decode_returns(&answer).expect("the view's result")
    }

    /// Waits until `holds`, a question to layer 1.
    pub(crate) async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let start = Instant::now();
        while !holds().await {
            assert!(start.elapsed() < PATIENCE, "waited too long until {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Claims for an account what `node` says it can claim, as a stranger would; gives the wei that it was paid.
    pub(crate) async fn claim(&self, node: &Client, account: Address) -> u128 {
        let before = self.eth(account).await;
        let proof = node.call("l2_getExitProof", json!([account])).await;
        let input: Bytes = serde_json::from_value(proof["call"]["input"].clone()).expect("calldata");
        self.send_input(RICH, 0, input).await;
        let paid: u128 = (self.eth(account).await - before).to();
        assert_eq!(proof["claimable"], paid.to_string());
        paid
    }

    /// Lets the layer-1 clock jump.
    pub(crate) async fn pass(&self, seconds: u64) {
        self.layer1.call("evm_increaseTime", json!([seconds])).await;
        self.layer1.call("evm_mine", json!([])).await;
    }

    pub(crate) async fn eth(&self, account: Address) -> U256 {
        let balance = self.layer1.call("eth_getBalance", json!([account, "latest"])).await;
        balance.as_str().expect("a quantity").parse().expect("a quantity")
    }

    pub(crate) fn key_file(&self, name: &str, key: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        entresol_durable::write_file_atomically(&path, key.as_bytes(), false).expect("written");
        path
    }

    pub(crate) fn operator_args(&self) -> NodeArgs {
        NodeArgs {
            operator_key_file: Some(self.key_file("operator.key", OPERATOR_KEY)),
            keep_bond: U256::from(ETHER),
            ..self.args(Role::Operator, "operator")
        }
    }

    pub(crate) fn replica_args(&self, challenger: bool) -> NodeArgs {
        let key = challenger.then(|| self.key_file("challenger.key", CHALLENGER_KEY));
        NodeArgs { challenger_key_file: key, ..self.args(Role::Replica, "replica") }
    }

    /// As a command line without any other flag would have it, but with the haste that tests need.
    fn args(&self, role: Role, folder: &str) -> NodeArgs {
        let gateway = self.gateway.to_string();
        let data_dir = self.dir.path().join(folder);
        let required = ["node", "--rpc", self.rpc.as_str(), "--gateway", &gateway, "--role", role_name(role)];
        let Arguments { node } = Arguments::parse_from(
            required.into_iter().map(OsString::from).chain(["--data-dir".into(), data_dir.into_os_string()]),
        );
        NodeArgs { chain_id: Some(self.domain.chain_id()), poll_ms: 20, batch_age_ms: 50, ..node }
    }
}

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    node: NodeArgs,
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Operator => "operator",
        Role::Replica => "replica",
    }
}

async fn send(layer1: &Client, request: Value) -> Value {
    let hash = layer1.call("eth_sendTransaction", json!([request])).await;
    layer1.until("eth_getTransactionReceipt", json!([hash]), "a transaction is mined", |r| !r.is_null()).await
}

/// Starts a node in this process.
pub(crate) async fn start(args: NodeArgs) -> (Node, Client) {
    let node = Node::start(args).await.unwrap_or_else(|error| panic!("{error:?}"));
    let client = Client::new(format!("http://{}", node.address()).parse().expect("an address"));
    client.until_status("it has caught up", |status| status["synced"] == true).await;
    (node, client)
}

/// The example beside this test's own executable.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("an executable");
    test.ancestors().nth(2).expect("target/PROFILE/deps/test").join("examples/payments-node")
}

/// A node in a process of its own; no client when it died before it answered.
pub(crate) async fn spawn(args: &NodeArgs, kill_at: Option<&str>) -> (Child, Option<Client>) {
    spawn_as(Command::new(program()), args, kill_at).await
}

/// The same with another program.
pub(crate) async fn spawn_as(mut command: Command, args: &NodeArgs, kill_at: Option<&str>) -> (Child, Option<Client>) {
    let role = role_name(args.role);
    command
        .args(["--role", role, "--rpc", args.rpc.as_str(), "--gateway", &args.gateway.to_string()])
        .args(["--poll-ms", &args.poll_ms.to_string(), "--batch-age-ms", &args.batch_age_ms.to_string()])
        .args(["--keep-bond", &args.keep_bond.to_string(), "--resend-ms", &args.resend_ms.to_string()])
        .arg("--data-dir")
        .arg(&args.data_dir)
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    for (flag, file) in
        [("--operator-key-file", &args.operator_key_file), ("--challenger-key-file", &args.challenger_key_file)]
    {
        if let Some(file) = file {
            command.arg(flag).arg(file);
        }
    }
    if let Some(misbehave) = args.misbehave.and_then(|misbehave| misbehave.to_possible_value()) {
        command.args(["--misbehave", misbehave.get_name()]);
    }
    if let Some(url) = &args.operator_url {
        command.args(["--operator-url", url.as_str()]);
    }
    if let Some(kill_at) = kill_at {
        command.env(entresol_durable::KILL_AT, kill_at);
    }
    let mut child = command.spawn().expect("the example is built with the tests");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let line = lines.next_line().await.expect("readable");
    let client = line.map(|line| {
        let ready: Value = serde_json::from_str(&line).expect("one line of JSON");
        let address = ready["listening"].as_str().unwrap_or_else(|| panic!("it did not start: {line}"));
        Client::new(address.replace("ws://", "http://").parse().expect("an address"))
    });
    (child, client)
}

/// A node in a process of its own, killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) client: Client,
}

impl Process {
    /// Starts it and waits until it has caught up with layer 1.
    pub(crate) async fn start(args: &NodeArgs) -> Self {
        let (child, client) = spawn(args, None).await;
        let client = client.expect("it answers");
        client.until_status("it has caught up", |status| status["synced"] == true).await;
        Self { child, client }
    }

    /// kill -9
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("killed");
    }
}

/// A layer-2 account.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) key: SecretKey,
    pub(crate) address: Address,
}

impl User {
    pub(crate) fn new(number: u16) -> Self {
        let mut key = [0x77; 32];
        key[..2].copy_from_slice(&number.to_be_bytes());
        let key = SecretKey::from_secret_bytes(key).expect("in range");
        Self { key, address: address_of(&PublicKey::from_secret_key(&key)) }
    }

    /// The account as a message would continue it, promises included.
    pub(crate) async fn next(&self, node: &Client) -> Leaf {
        let account = node.account(self.address).await;
        serde_json::from_value(account["pending"].clone()).expect("a leaf")
    }

    pub(crate) fn sign(&self, world: &World, message: Message) -> SignedMessage {
        message.sign(&world.domain, &self.key)
    }

    pub(crate) async fn pay(&self, world: &World, node: &Client, to: Address, value: u128) -> Value {
        let message = Message::payment(self.address, &self.next(node).await, to, value, 0);
        node.call("l2_sendMessage", json!([self.sign(world, message)])).await
    }

    pub(crate) async fn withdraw(&self, world: &World, node: &Client, value: u128) -> Value {
        let message = Message::withdraw(self.address, &self.next(node).await, value, 0);
        node.call("l2_sendMessage", json!([self.sign(world, message)])).await
    }
}

/// Id of the message that a receipt is for.
pub(crate) fn message_of(receipt: &Value) -> B256 {
    receipt["messageId"].as_str().unwrap_or_else(|| panic!("no receipt: {receipt}")).parse().expect("an id")
}
