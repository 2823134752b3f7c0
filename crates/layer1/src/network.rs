//! One network: a chain behind one or more RPC URLs.
//!
//! Ownership: [`Network`] is a handle; the last clone ends the tracker's task. The task owns the [`Tracker`] and the
//! sending ends of two watches: the head and the health. Nobody else writes them.

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes, TxKind, U64, U256};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use crate::error::Layer1Error;
use crate::jsonrpc::{self, Rpc};
use crate::poll::Poll;
use crate::revert;
use crate::tracker::{Block, BlockRef, Tracker};

/// The JSON-RPC methods that plugins and sites may pass through to layer 1: reads only. The caller of
/// [`Network::request`] applies it.
pub const READ_METHODS: &[&str] = &[
    "eth_blobBaseFee",
    "eth_blockNumber",
    "eth_call",
    "eth_chainId",
    "eth_estimateGas",
    "eth_feeHistory",
    "eth_gasPrice",
    "eth_getBalance",
    "eth_getBlockByHash",
    "eth_getBlockByNumber",
    "eth_getBlockReceipts",
    "eth_getBlockTransactionCountByHash",
    "eth_getBlockTransactionCountByNumber",
    "eth_getCode",
    "eth_getLogs",
    "eth_getProof",
    "eth_getStorageAt",
    "eth_getTransactionByBlockHashAndIndex",
    "eth_getTransactionByBlockNumberAndIndex",
    "eth_getTransactionByHash",
    "eth_getTransactionCount",
    "eth_getTransactionReceipt",
    "eth_maxPriorityFeePerGas",
    "net_version",
    "web3_clientVersion",
];

/// What makes a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkConfig {
    /// Short name, unique in the wallet.
    pub name: String,
    /// The chain id (EIP-155) that every endpoint must serve.
    pub chain_id: u64,
    /// RPC URLs: http, https, ws or wss, mixed as they come; the first that answers is used.
    pub rpc_urls: Vec<Url>,
    /// Blocks until something counts as confirmed; 1 means: included in the head.
    pub confirmations: u64,
    /// Pause between two looks at the head.
    pub poll_interval: Duration,
    /// How many recent blocks are remembered, and so how deep a reorganisation can be told exactly.
    pub reorg_limit: u64,
    /// How long the head may stand still. An endpoint that stands still while another moves is left; when all stand
    /// still, the network is [`Health::Stale`]. [`Duration::MAX`] on chains that make blocks only on demand.
    pub stale_after: Duration,
    /// Every so many blocks the endpoints are compared, where there are several; see [`Health::Disagree`].
    pub compare_every: u64,
}

impl NetworkConfig {
    /// A network with the usual settings: 12 confirmations, a look every 4 seconds, 64 blocks remembered (two epochs:
    /// what Ethereum calls final), 3 minutes of patience with a head that stands still (15 slots of Ethereum), and the
    /// endpoints compared with every block.
    #[must_use]
    pub fn new(name: &str, chain_id: u64, rpc_urls: Vec<Url>) -> Self {
        Self {
            name: name.to_owned(),
            chain_id,
            rpc_urls,
            confirmations: 12,
            poll_interval: Duration::from_secs(4),
            reorg_limit: 64,
            stale_after: Duration::from_secs(180),
            compare_every: 1,
        }
    }
}

/// The newest block of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Height.
    pub number: u64,
    /// Hash of the block.
    pub hash: B256,
    /// Hash of the block below it.
    pub parent_hash: B256,
    /// Unix seconds, as the block says.
    pub timestamp: u64,
    /// How many blocks of the previous head's chain are no longer in this one; 0 is the ordinary case. A reader that
    /// skipped heads sees only the last step: what must be exact uses [`LogFollower`](crate::LogFollower).
    pub reorg_depth: u64,
}

/// Whether the network's endpoints answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// The last look succeeded.
    Connected,
    /// The last look failed; it is repeated.
    Unreachable {
        /// The error of the last look, with what to do.
        reason: String,
    },
    /// Endpoints answer, and none of them has a new block for longer than [`NetworkConfig::stale_after`]. The head, and
    /// with it balances and confirmations, are old.
    Stale {
        /// When the head moved last, Unix seconds.
        since: u64,
        /// The same in words, with what to do.
        reason: String,
    },
    /// The endpoints are on different chains: one of them lies or follows a fork. Nothing is confirmed while this lasts.
    Disagree {
        /// Which endpoint says what about which block, with what to do.
        reason: String,
    },
}

/// A call of a contract, a transfer of value when `input` is empty, or the creation of a contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRequest {
    /// Sender; [`Address::ZERO`] for a read that nobody in particular makes.
    pub from: Address,
    /// The contract or recipient; [`TxKind::Create`] where `input` makes a new contract.
    pub to: TxKind,
    /// Value in wei.
    pub value: U256,
    /// Call data: selector and arguments.
    pub input: Bytes,
}

impl CallRequest {
    /// The call object of `eth_call` and its family.
    pub(crate) fn to_json(&self) -> Value {
        let mut call = json!({ "from": self.from, "value": self.value, "data": self.input });
        // A creation has no such field; not every endpoint takes `null` for that.
        if let TxKind::Call(to) = self.to {
            call["to"] = json!(to);
        }
        call
    }
}

/// The chain id that `url` serves, whatever it is; for proposing a network.
///
/// # Errors
/// [`Layer1Error::Unreachable`], [`Layer1Error::BadAnswer`], or [`Layer1Error::Config`] for a URL that is not HTTP.
pub async fn probe_chain_id(url: &Url) -> Result<u64, Layer1Error> {
    jsonrpc::chain_id_of(url).await
}

/// A connected network. Clones are handles to the same connection and tracker.
#[derive(Clone, Debug)]
pub struct Network {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: NetworkConfig,
    rpc: Arc<Rpc>,
    head: watch::Receiver<Head>,
    health: watch::Receiver<Health>,
    recent: watch::Receiver<Arc<Vec<BlockRef>>>,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

impl Network {
    /// Connects: checks the chain id, reads the head, starts the tracker.
    ///
    /// # Errors
    /// [`Layer1Error::ChainIdMismatch`], [`Layer1Error::Unreachable`], [`Layer1Error::Config`].
    pub async fn connect(config: NetworkConfig) -> Result<Self, Layer1Error> {
        if config.reorg_limit == 0 || config.poll_interval.is_zero() || config.stale_after.is_zero() {
            let text = "poll interval, reorg limit and the patience with a head that stands still must be above zero";
            return Err(Layer1Error::Config(text.to_owned()));
        }
        let rpc = Arc::new(Rpc::new(&config.name, config.chain_id, &config.rpc_urls)?);
        let first = latest(&rpc).await?;
        let tracker = Tracker::new(first, config.reorg_limit);
        let (head_sender, head) = watch::channel(tracker.head());
        let (recent_sender, recent) = watch::channel(Arc::new(tracker.recent()));
        let (health_sender, health) = watch::channel(Health::Connected);
        let stop = CancellationToken::new();
        let poll = Poll::new(&config, Arc::clone(&rpc), tracker, head_sender, recent_sender, health_sender);
        tokio::spawn(stop.clone().run_until_cancelled_owned(poll.run()));
        let _stop_on_drop = stop.clone().drop_guard();
        Ok(Self { inner: Arc::new(Inner { config, rpc, head, health, recent, stop, _stop_on_drop }) })
    }

    /// The chain id, as registered and checked.
    #[must_use]
    pub fn chain_id(&self) -> u64 {
        self.inner.config.chain_id
    }

    /// The network's name in the wallet.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.config.name
    }

    /// All settings.
    #[must_use]
    pub fn config(&self) -> &NetworkConfig {
        &self.inner.config
    }

    /// The newest block; changes with every head.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<Head> {
        self.inner.head.clone()
    }

    /// Whether the endpoints answer; changes when that changes.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.inner.health.clone()
    }

    /// Stops the tracker for all clones; waiting calls end with [`Layer1Error::Closed`].
    pub fn close(&self) {
        self.inner.stop.cancel();
    }

    /// False while the endpoints are on different chains ([`Health::Disagree`]): then nothing is to be confirmed.
    #[must_use]
    pub fn endpoints_agree(&self) -> bool {
        !matches!(*self.inner.health.borrow(), Health::Disagree { .. })
    }

    /// The recent chain as the tracker knows it, oldest first.
    pub(crate) fn recent(&self) -> Arc<Vec<BlockRef>> {
        Arc::clone(&self.inner.recent.borrow())
    }

    /// A raw JSON-RPC call. The caller decides which methods it lets through ([`READ_METHODS`]).
    ///
    /// # Errors
    /// [`Layer1Error::Rpc`] with the endpoint's error, [`Layer1Error::Unreachable`] and the others of transport.
    pub async fn request(&self, method: &str, params: Value) -> Result<Value, Layer1Error> {
        self.inner.rpc.request(method, params).await
    }

    pub(crate) fn rpc(&self) -> &Rpc {
        &self.inner.rpc
    }

    /// As [`Network::request`], parsed.
    pub(crate) async fn get<T: serde::de::DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> Result<T, Layer1Error> {
        self.inner.rpc.get(method, params).await
    }

    /// The code of `address`; empty where no contract is.
    ///
    /// # Errors
    /// Those of [`Network::request`].
    pub async fn code(&self, address: Address) -> Result<Bytes, Layer1Error> {
        self.get("eth_getCode", json!([address, "latest"])).await
    }

    /// The balance of `address` in wei.
    ///
    /// # Errors
    /// Those of [`Network::request`].
    pub async fn balance(&self, address: Address) -> Result<U256, Layer1Error> {
        self.get("eth_getBalance", json!([address, "latest"])).await
    }

    /// Runs a call against the head without a transaction; gives the return data.
    ///
    /// # Errors
    /// [`Layer1Error::Reverted`] with the contract's reason, and those of [`Network::request`].
    pub async fn call(&self, call: &CallRequest) -> Result<Bytes, Layer1Error> {
        let result = self.get("eth_call", json!([call.to_json(), "latest"])).await;
        result.map_err(revert::recognise)
    }

    /// The gas that `call` needs as a transaction, without margin.
    ///
    /// # Errors
    /// [`Layer1Error::Reverted`] with the contract's reason, and those of [`Network::request`].
    pub async fn estimate_gas(&self, call: &CallRequest) -> Result<u64, Layer1Error> {
        let result: Result<U64, _> = self.get("eth_estimateGas", json!([call.to_json(), "latest"])).await;
        Ok(result.map_err(revert::recognise)?.to())
    }
}

pub(crate) async fn latest(rpc: &Rpc) -> Result<Block, Layer1Error> {
    rpc.get("eth_getBlockByNumber", json!(["latest", false])).await
}
