//! A chain of the day's own: anvil, and a few words with it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use alloy::primitives::{Address, U256, address};
use payments_contract::Deployment;
use serde_json::{Value as Json, json};

use crate::support::{Said, entresol, until};

/// The first of anvil's well-known development accounts, unlocked there.
const RICH: Address = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");

/// anvil's program, fetched if need be.
pub(crate) fn anvil() -> PathBuf {
    let said = Said::of(entresol().args(["--json", "debug", "fetch-anvil"]).output().expect("started"));
    said.json()["anvil"].as_str().expect("a path").into()
}

/// One transaction as the chain has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mined {
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) value: U256,
    pub(crate) nonce: u64,
    pub(crate) fee: U256,
    pub(crate) success: bool,
}

/// Asks anvil at a host and port; panics with its error.
pub(crate) fn ask(address: &str, method: &str, params: &Json) -> Json {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let mut stream = TcpStream::connect(address).expect("anvil listens");
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    let answer: Json = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}"));
    assert!(answer.get("error").is_none(), "{method}: {answer}");
    answer["result"].clone()
}

/// anvil, killed when dropped.
#[derive(Debug)]
pub(crate) struct Chain {
    child: Child,
    address: String,
    pub(crate) gateway: Address,
}

impl Chain {
    /// Starts anvil with the payments gateway on it.
    pub(crate) fn start(anvil: &Path) -> Self {
        let mut chain = Self::empty(anvil, 31337);
        let deployment = Deployment { operator: RICH, challenge: 60, force: 600, min_bond: 1 };
        let code = payments_contract::creation_code(&deployment).expect("the artifact");
        let hash = chain.ask("eth_sendTransaction", json!([{ "from": RICH, "data": code, "gas": "0x989680" }]));
        let receipt = until("the gateway is deployed", || {
            Some(chain.ask("eth_getTransactionReceipt", json!([hash]))).filter(|receipt| !receipt.is_null())
        });
        chain.gateway = receipt["contractAddress"].as_str().expect("deployed").parse().expect("an address");
        chain
    }

    /// Starts anvil with nothing on it.
    pub(crate) fn empty(anvil: &Path, chain_id: u64) -> Self {
        let mut command = Command::new(anvil);
        command.args(["--port", "0", "--chain-id", &chain_id.to_string()]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.process_group(0).spawn().expect("anvil starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let address = loop {
            let line = lines.next().expect("anvil says where it listens").expect("text");
            if let Some(address) = line.strip_prefix("Listening on ") {
                break address.trim().to_owned();
            }
        };
        // It goes on writing; nobody reading would stop it.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { child, address, gateway: Address::ZERO }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// One JSON-RPC request, a connection of its own.
    pub(crate) fn ask(&self, method: &str, params: Json) -> Json {
        ask(&self.address, method, &params)
    }

    pub(crate) fn mine(&self) {
        self.ask("evm_mine", json!([]));
    }

    pub(crate) fn head(&self) -> u64 {
        number(&self.ask("eth_blockNumber", json!([])))
    }

    /// With it, each transaction gets its block at once; without, they wait in the pool.
    pub(crate) fn automine(&self, on: bool) {
        self.ask("evm_setAutomine", json!([on]));
    }

    pub(crate) fn give(&self, to: Address, wei: U256) {
        self.ask("anvil_setBalance", json!([to, wei]));
    }

    pub(crate) fn balance(&self, of: Address) -> U256 {
        serde_json::from_value(self.ask("eth_getBalance", json!([of, "latest"]))).expect("a quantity")
    }

    pub(crate) fn nonce(&self, of: Address) -> u64 {
        number(&self.ask("eth_getTransactionCount", json!([of, "latest"])))
    }

    /// Every transaction of these accounts, in the order of the blocks.
    pub(crate) fn mined(&self, from: &[Address]) -> Vec<Mined> {
        let mut found = Vec::new();
        for block in 0..=self.head() {
            let block = self.ask("eth_getBlockByNumber", json!([format!("{block:#x}"), true]));
            for transaction in block["transactions"].as_array().expect("a list") {
                let sender: Address = serde_json::from_value(transaction["from"].clone()).expect("an address");
                if !from.contains(&sender) {
                    continue;
                }
                let receipt = self.ask("eth_getTransactionReceipt", json!([transaction["hash"]]));
                found.push(Mined {
                    from: sender,
                    to: serde_json::from_value(transaction["to"].clone()).expect("an address"),
                    value: serde_json::from_value(transaction["value"].clone()).expect("a quantity"),
                    nonce: number(&transaction["nonce"]),
                    fee: U256::from(number(&receipt["gasUsed"])) * U256::from(number(&receipt["effectiveGasPrice"])),
                    success: receipt["status"] == "0x1",
                });
            }
        }
        found
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn number(value: &Json) -> u64 {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no quantity"));
    u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("a quantity")
}
