//! The plugin that passes requests on, and the contracts of these tests.

use crate::support::*;
use alloy::primitives::{Address, U256};
use entresol_host::HostError;
use entresol_host::messages::{ApprovalView, CallerGrantInput};
use entresol_layer1::Network;
use serde_json::{Value as Json, json};

/// The script.
pub(crate) const SCRIPT: &str = include_str!("probe-wallet.js");

/// Everything that a probe may be granted.
pub(crate) fn everything() -> Json {
    json!({
        "keys": { "curve": "secp256k1" }, "localDatabase": { "quota": "64 KiB" },
        "layer1": ["read", "blocks", "events"], "sign": ["typedData", "message"], "network": ["$networkUrl"]
    })
}

/// What a probe's package declares.
#[derive(Clone)]
pub(crate) struct Package {
    pub(crate) permissions: Json,
    pub(crate) optional: Json,
    pub(crate) contracts: Json,
}

impl Default for Package {
    fn default() -> Self {
        Self { permissions: everything(), optional: json!({}), contracts: json!({}) }
    }
}

/// The test's `App` as a gateway, with every role.
pub(crate) fn app_contract() -> Json {
    json!({
        "abi": ["function deposit(address to) payable", "function depositToken(address token, uint256 value)",
                "function withdraw(uint256 value)", "function contest(uint256 batch)", "function poke(uint256 times)",
                "function close(bool now_)", "event Deposited(address indexed from, address indexed to, uint256 value)"],
        "deposit": ["deposit", "depositToken"], "withdraw": ["withdraw"], "defend": ["contest"], "call": ["poke"]
    })
}

/// The `App` under another name, at an address per chain.
pub(crate) fn further_contract(chain: &str, address: Address) -> Json {
    let mut contract = app_contract();
    contract["addresses"] = json!({ chain: address });
    contract["deposit"] = json!([]);
    contract
}

impl Wallet {
    /// Proposes a probe.
    pub(crate) async fn propose_probe(
        &self,
        name: &str,
        package: &Package,
        gateway: Option<Address>,
    ) -> Result<ApprovalView, HostError> {
        let folder = self.home.path().join(format!("source-{name}"));
        write_package(&folder, SCRIPT, false);
        let manifest = json!({
            "name": "probe", "version": "1.0.0", "type": "module", "main": "index.js",
            "layer2": {
                "apiVersion": 1, "title": "Probe", "permissions": package.permissions,
                "optionalPermissions": package.optional, "contracts": package.contracts,
            }
        });
        write(&folder.join("package.json"), &manifest.to_string());
        self.host().solution_add(&USER, input(name, &folder, gateway)).await
    }

    /// Installs a probe and waits until it runs.
    pub(crate) async fn probe(&self, name: &str, package: &Package, gateway: Option<Address>) {
        let proposed = self.propose_probe(name, package, gateway).await.expect("proposed");
        let done = self.approve(&proposed).await;
        assert_eq!(done.state, "done", "{:?}", done.outcome);
        self.plugin(name, "running").await;
    }

    /// Lets a probe call a method, on the user's behalf.
    pub(crate) async fn ask(&self, name: &str, method: &str, args: Json) -> Result<Json, HostError> {
        self.through(name, "ask", method, args).await
    }

    /// The same by another of its actions.
    pub(crate) async fn through(&self, name: &str, action: &str, method: &str, args: Json) -> Result<Json, HostError> {
        let answer = self.call(name, action, json!({ "method": method, "args": args.to_string() })).await?;
        Ok(serde_json::from_str(answer.as_str().expect("a text")).expect("JSON"))
    }

    /// A call that puts a request before the user; gives its answer once the request was approved.
    pub(crate) async fn ask_approved(
        &self,
        name: &str,
        method: &str,
        args: Json,
    ) -> (ApprovalView, Result<Json, HostError>) {
        let (answer, request) = tokio::join!(self.ask(name, method, args), async {
            let request = self.waiting().await;
            self.approve(&request).await;
            request
        });
        (request, answer)
    }

    /// Lets the local app `shop` ask for these actions of a probe.
    pub(crate) async fn grant_shop(&self, name: &str, actions: &[&str]) {
        let input = CallerGrantInput {
            caller: Some("app:shop".into()),
            solution: name.into(),
            actions: actions.iter().map(|&action| action.into()).collect(),
            state: Vec::new(),
            expires_at: None,
        };
        self.host().caller_grant(&USER, input).await.expect("granted");
    }

    /// No request waits, and none was made besides the installs.
    pub(crate) async fn assert_nothing_was_asked(&self) {
        let all = self.host().approvals(&USER, true).await.expect("approvals");
        assert!(all.iter().all(|one| one.kind == "install"), "{all:?}");
    }
}

impl Anvil {
    /// Deploys one of the test's contracts.
    pub(crate) async fn deploy_test(&self, name: &str) -> Address {
        let contracts: Json = serde_json::from_str(include_str!("contracts/Tests.json")).expect("JSON");
        let code = contracts[name].as_str().expect("a contract").to_owned();
        let network = self.network().await;
        let sent = json!([{ "from": RICH, "data": code, "gas": "0x4c4b40" }]);
        let hash = network.request("eth_sendTransaction", sent).await.expect("sent");
        let receipt = until("the contract is deployed", async || {
            let receipt = network.request("eth_getTransactionReceipt", json!([hash])).await.expect("an answer");
            (!receipt.is_null()).then_some(receipt)
        })
        .await;
        receipt["contractAddress"].as_str().expect("deployed").parse().expect("an address")
    }

    /// Sends a call from anvil's own rich account, mined at once.
    pub(crate) async fn send(&self, to: Address, input: &str) {
        let network = self.network().await;
        let sent = json!([{ "from": RICH, "to": to, "data": input, "gas": "0x4c4b40" }]);
        network.request("eth_sendTransaction", sent).await.expect("sent");
    }

    /// Mines blocks.
    pub(crate) async fn mine(&self, blocks: u64) {
        self.network().await.request("anvil_mine", json!([format!("0x{blocks:x}")])).await.expect("mined");
    }

    /// Turns mining with every transaction on or off.
    pub(crate) async fn automine(&self, on: bool) {
        self.network().await.request("evm_setAutomine", json!([on])).await.expect("set");
    }
}

/// Four bytes of a function and its words, as calldata.
pub(crate) fn calldata(signature: &str, words: &[U256]) -> String {
    let mut data = alloy::primitives::keccak256(signature)[..4].to_vec();
    words.iter().for_each(|word| data.extend(word.to_be_bytes::<32>()));
    format!("0x{}", hex::encode(data))
}

/// An address as a word.
pub(crate) fn word(address: Address) -> U256 {
    U256::from_be_bytes(address.into_word().0)
}

/// Reads one word from a contract.
pub(crate) async fn read(network: &Network, to: Address, signature: &str, words: &[U256]) -> U256 {
    let call = json!([{ "to": to, "data": calldata(signature, words) }, "latest"]);
    let answer = network.request("eth_call", call).await.expect("an answer");
    answer.as_str().expect("hex").parse().expect("a word")
}
