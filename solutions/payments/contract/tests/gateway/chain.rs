//! A real anvil, one a test, killed at the test's end.

use std::fmt::Debug;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use alloy::primitives::{Address, Bytes, U256};
use alloy::rpc::types::TransactionReceipt;
use alloy::sol_types::{SolCall, SolError};
use entresol_package::anvil;
use serde_json::{Value, json};

/// Gas limit of every transaction: what layer 1 allows one (EIP-7825).
pub(crate) const GAS_LIMIT: u64 = 1 << 24;

pub(crate) struct Chain {
    anvil: Child,
    client: reqwest::Client,
    url: String,
}

impl Drop for Chain {
    fn drop(&mut self) {
        let _ = self.anvil.kill();
        let _ = self.anvil.wait();
    }
}

/// What a reverted transaction returned.
#[derive(Debug)]
pub(crate) struct Revert(pub(crate) Bytes);

impl Chain {
    pub(crate) async fn start(chain_id: u64) -> Self {
        Self::start_as(chain_id, "osaka").await
    }

    /// With the rules of layer 1 as of this upgrade.
    pub(crate) async fn start_as(chain_id: u64, hardfork: &str) -> Self {
        // reqwest is built without a default; a second installation fails, and that is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let cache = entresol_package::default_cache_dir()
            .unwrap_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"));
        let program = anvil::locate_or_fetch(&cache, |_, _| ()).await.unwrap();
        let mut anvil = Command::new(program)
            .args(["--port", "0", "--chain-id", &chain_id.to_string(), "--auto-impersonate"])
            .args(["--hardfork", hardfork])
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(anvil.stdout.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map(Result::unwrap)
            .find_map(|line| line.strip_prefix("Listening on ").map(str::to_owned))
            .expect("anvil ended before it listened");
        // Someone has to read on, or anvil stops when the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        let chain = Self { anvil, client: reqwest::Client::new(), url: format!("http://{address}") };
        // Not the zero address, where bonds burn.
        chain.request("anvil_setCoinbase", json!([Address::repeat_byte(0xcb)])).await;
        chain
    }

    /// The result, or the error object.
    async fn ask(&self, method: &str, params: Value) -> Result<Value, Value> {
        let question = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer = self.client.post(&self.url).json(&question).send().await.unwrap();
        let mut answer: Value = answer.json().await.unwrap();
        match answer["error"].take() {
            Value::Null => Ok(answer["result"].take()),
            error => Err(error),
        }
    }

    pub(crate) async fn request(&self, method: &str, params: Value) -> Value {
        self.ask(method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Sends a transaction, real gas, real block. `Err` is what it reverted with.
    pub(crate) async fn send(
        &self,
        from: Address,
        to: Option<Address>,
        value: u128,
        input: impl Into<Bytes>,
    ) -> Result<TransactionReceipt, Revert> {
        let transaction = json!([{
            "from": from, "to": to, "value": U256::from(value), "input": input.into(),
            "gas": format!("{GAS_LIMIT:#x}"),
        }]);
        let hash = self.request("eth_sendTransaction", transaction).await;
        let receipt = self.receipt(&hash).await;
        if receipt.status() {
            return Ok(receipt);
        }
        let trace = self.request("debug_traceTransaction", json!([hash, { "tracer": "callTracer" }])).await;
        assert_ne!(receipt.gas_used, GAS_LIMIT, "out of gas: {trace}");
        Err(Revert(serde_json::from_value(trace["output"].clone()).unwrap_or_default()))
    }

    /// The receipt, which anvil has an instant after it answered.
    async fn receipt(&self, hash: &Value) -> TransactionReceipt {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match self.request("eth_getTransactionReceipt", json!([hash])).await {
                Value::Null if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(2)).await,
                receipt => return serde_json::from_value(receipt).unwrap(),
            }
        }
    }

    /// A view's answer; `Err` is what it reverted with.
    pub(crate) async fn view<C: SolCall>(&self, to: Address, call: C) -> Result<C::Return, Revert> {
        let call = json!([{ "to": to, "input": Bytes::from(call.abi_encode()) }, "latest"]);
        match self.ask("eth_call", call).await {
            Ok(answer) => {
                let answer: Bytes = serde_json::from_value(answer).unwrap();
                Ok(C::abi_decode_returns(&answer).unwrap())
            }
            Err(error) => Err(Revert(serde_json::from_value(error["data"].clone()).unwrap_or_default())),
        }
    }

    pub(crate) async fn balance(&self, account: Address) -> U256 {
        let answer = self.request("eth_getBalance", json!([account, "latest"])).await;
        serde_json::from_value(answer).unwrap()
    }

    pub(crate) async fn set_balance(&self, account: Address, wei: u128) {
        self.request("anvil_setBalance", json!([account, U256::from(wei)])).await;
    }

    pub(crate) async fn set_code(&self, account: Address, code: &[u8]) {
        self.request("anvil_setCode", json!([account, Bytes::copy_from_slice(code)])).await;
    }

    /// The last block's time.
    pub(crate) async fn now(&self) -> u64 {
        let block = self.request("eth_getBlockByNumber", json!(["latest", false])).await;
        let time: U256 = serde_json::from_value(block["timestamp"].clone()).unwrap();
        time.to()
    }

    /// Time passes, and a block with it.
    pub(crate) async fn advance(&self, seconds: u64) {
        self.request("evm_increaseTime", json!([seconds])).await;
        self.request("evm_mine", json!([])).await;
    }

    /// The next transaction's block has exactly this time.
    pub(crate) async fn next_at(&self, time: u64) {
        self.request("evm_setNextBlockTimestamp", json!([time])).await;
    }

    pub(crate) async fn snapshot(&self) -> Value {
        self.request("evm_snapshot", json!([])).await
    }

    pub(crate) async fn revert_to(&self, snapshot: &Value) {
        assert_eq!(self.request("evm_revert", json!([snapshot])).await, json!(true));
    }
}

/// The transaction was refused with this error, and no other.
#[track_caller]
pub(crate) fn refused<E: SolError>(result: Result<impl Debug, Revert>) -> E {
    match result {
        Ok(passed) => panic!("{} was expected, but this passed: {passed:?}", E::SIGNATURE),
        Err(Revert(data)) => {
            E::abi_decode(&data).unwrap_or_else(|_| panic!("{} was expected, not {}", E::SIGNATURE, describe(&data)))
        }
    }
}

/// Passed.
#[track_caller]
pub(crate) fn passed<T>(result: Result<T, Revert>) -> T {
    result.unwrap_or_else(|Revert(data)| panic!("refused: {}", describe(&data)))
}

fn describe(data: &Bytes) -> String {
    use alloy::sol_types::SolInterface;
    match payments_contract::PaymentsGateway::PaymentsGatewayErrors::abi_decode(data) {
        Ok(error) => format!("{error:?}"),
        Err(_) => format!("bytes {data}"),
    }
}
