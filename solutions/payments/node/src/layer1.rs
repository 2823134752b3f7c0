//! What the node asks of layer 1, and the walk along its blocks.

mod follower;

pub(crate) use follower::{Depths, Follower, Step, StepBlock, WINDOW};

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes, U64, U256};
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;
use url::Url;

/// Longest time one request to layer 1 may take. A node that hangs is worse than one that says it is cut off: the
/// challenge window goes on meanwhile.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// What went wrong between this node and layer 1.
#[derive(Debug, Error)]
pub enum Layer1Error {
    /// No answer, or one that is no JSON-RPC.
    #[error("layer 1 does not answer properly")]
    Transport(#[source] reqwest::Error),
    /// The endpoint answered with an error.
    #[error("layer 1 refused {method}: {message}")]
    Refused {
        /// JSON-RPC method.
        method: &'static str,
        /// The endpoint's words.
        message: String,
        /// The endpoint's `data`, for a revert the revert bytes.
        data: Option<Bytes>,
    },
    /// The endpoint serves another chain.
    #[error("the endpoint serves chain {found}, this node is set up for chain {expected}; give the right --rpc")]
    ChainId {
        /// The chain this node follows.
        expected: u64,
        /// The chain the endpoint serves.
        found: u64,
    },
    /// The endpoint contradicts itself, or left something out.
    #[error("layer 1 answered inconsistently: {0}")]
    Inconsistent(String),
    /// The HTTP client could not be built.
    #[error("no HTTP client could be built")]
    Client(#[source] reqwest::Error),
}

/// One block, as far as the node cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockRef {
    pub(crate) number: u64,
    pub(crate) hash: B256,
    pub(crate) parent: B256,
    /// Seconds since 1970, by the block's own clock.
    pub(crate) timestamp: u64,
}

/// A log of the gateway, with the transaction's input where the event needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GatewayLog {
    pub(crate) block_number: u64,
    pub(crate) block_hash: B256,
    pub(crate) log_index: u64,
    pub(crate) transaction: B256,
    pub(crate) topics: Vec<B256>,
    pub(crate) data: Bytes,
    /// Input of the transaction, for batches only: their records lie there and nowhere else.
    pub(crate) input: Option<Bytes>,
}

/// How a transaction stands on layer 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    /// Not in a block and not known to the endpoint.
    Unknown,
    /// Waiting to be mined.
    Pending,
    /// In a block.
    Mined {
        /// Number of the block.
        block: u64,
        /// False when it reverted.
        success: bool,
    },
}

/// What a transaction cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) success: bool,
    pub(crate) gas: u64,
    /// Wei per gas.
    pub(crate) price: u128,
}

/// Fee bid for one transaction, in wei per gas.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fees {
    /// What the newest block burns.
    pub(crate) base: u128,
    pub(crate) max_fee: u128,
    pub(crate) max_priority_fee: u128,
    /// Most that may be bid for this transaction, however often it is sent again.
    pub(crate) ceiling: u128,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    result: Value,
    error: Option<ErrorReply>,
}

#[derive(Deserialize)]
struct ErrorReply {
    message: String,
    #[serde(default)]
    data: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeaderReply {
    number: U64,
    hash: B256,
    parent_hash: B256,
    timestamp: U64,
    base_fee_per_gas: Option<U256>,
}

impl HeaderReply {
    fn reference(&self) -> BlockRef {
        BlockRef { number: self.number.to(), hash: self.hash, parent: self.parent_hash, timestamp: self.timestamp.to() }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogReply {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
    block_number: U64,
    block_hash: B256,
    transaction_hash: B256,
    log_index: U64,
    #[serde(default)]
    removed: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TransactionReply {
    to: Option<Address>,
    input: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceiptReply {
    block_number: U64,
    status: U64,
    gas_used: U64,
    #[serde(default)]
    effective_gas_price: Option<U256>,
}

/// A connection to one layer-1 endpoint, for one gateway. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Layer1 {
    client: reqwest::Client,
    url: Url,
    calls: Arc<AtomicU64>,
    gateway: Address,
    chain_id: u64,
}

impl Layer1 {
    /// Connects and checks the chain id; `expected` is what the arguments or the store say, if they do.
    pub(crate) async fn connect(url: Url, gateway: Address, expected: Option<u64>) -> Result<Self, Layer1Error> {
        // A second installation is refused and harmless: the first provider stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(Layer1Error::Client)?;
        let mut layer1 = Self { client, url, calls: Arc::default(), gateway, chain_id: expected.unwrap_or(0) };
        let found = layer1.ask_chain_id().await?;
        layer1.chain_id = expected.unwrap_or(found);
        layer1.check_chain_id().await?;
        Ok(layer1)
    }

    pub(crate) fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Asks again whether the endpoint still serves the right chain; done after every failed request.
    pub(crate) async fn check_chain_id(&self) -> Result<(), Layer1Error> {
        let found = self.ask_chain_id().await?;
        if found != self.chain_id {
            return Err(Layer1Error::ChainId { expected: self.chain_id, found });
        }
        Ok(())
    }

    async fn ask_chain_id(&self) -> Result<u64, Layer1Error> {
        Ok(self.ask::<U64>("eth_chainId", json!([])).await?.to())
    }

    async fn ask<T: for<'a> Deserialize<'a>>(&self, method: &'static str, params: Value) -> Result<T, Layer1Error> {
        let result = self.request(method, params).await?;
        serde_json::from_value(result).map_err(|error| Layer1Error::Inconsistent(format!("{method}: {error}")))
    }

    async fn request(&self, method: &'static str, params: Value) -> Result<Value, Layer1Error> {
        let id = self.calls.fetch_add(1, Ordering::Relaxed);
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        // The address may hold an access token: it must not appear in errors, logs or alerts.
        let transport = |error: reqwest::Error| Layer1Error::Transport(error.without_url());
        let response = self.client.post(self.url.clone()).json(&request).send().await.map_err(transport)?;
        // Some endpoints answer a JSON-RPC error with an HTTP error; the body says more.
        let status = response.status();
        let body = response.bytes().await.map_err(transport)?;
        let reply: Reply = serde_json::from_slice(&body)
            .map_err(|error| Layer1Error::Inconsistent(format!("{method}: HTTP {status}, and {error}")))?;
        match reply.error {
            None => Ok(reply.result),
            Some(ErrorReply { message, data }) => {
                Err(Layer1Error::Refused { method, message, data: revert_data(&data) })
            }
        }
    }

    async fn value<T: for<'a> Deserialize<'a>>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<Option<T>, Layer1Error> {
        let value = self.request(method, params).await?;
        if value.is_null() {
            return Ok(None);
        }
        serde_json::from_value(value).map(Some).map_err(|error| Layer1Error::Inconsistent(format!("{method}: {error}")))
    }

    /// The block at `tag`: a number in 0x-hex, `latest`, `safe` or `finalized`.
    async fn header(&self, tag: &str) -> Result<Option<HeaderReply>, Layer1Error> {
        self.value("eth_getBlockByNumber", json!([tag, false])).await
    }

    pub(crate) async fn head(&self) -> Result<BlockRef, Layer1Error> {
        let header = self.header("latest").await?;
        header.map(|h| h.reference()).ok_or_else(|| Layer1Error::Inconsistent("there is no latest block".to_owned()))
    }

    /// The block at `safe` or `finalized`; `None` where the chain has none yet.
    pub(crate) async fn tagged(&self, tag: &'static str) -> Result<Option<BlockRef>, Layer1Error> {
        match self.header(tag).await {
            Ok(header) => Ok(header.map(|h| h.reference())),
            Err(Layer1Error::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn block(&self, number: u64) -> Result<Option<BlockRef>, Layer1Error> {
        Ok(self.header(&format!("{number:#x}")).await?.map(|h| h.reference()))
    }

    pub(crate) async fn has_code(&self) -> Result<bool, Layer1Error> {
        let code: Bytes = self.ask("eth_getCode", json!([self.gateway, "latest"])).await?;
        Ok(!code.is_empty())
    }

    /// The gateway's logs of one block, by its hash, in order.
    pub(crate) async fn logs_of(&self, block: B256) -> Result<Vec<GatewayLog>, Layer1Error> {
        self.logs(json!([{ "address": self.gateway, "blockHash": block }])).await
    }

    /// The gateway's logs of a range of old blocks, in order.
    pub(crate) async fn logs_between(&self, from: u64, to: u64) -> Result<Vec<GatewayLog>, Layer1Error> {
        let (from, to) = (format!("{from:#x}"), format!("{to:#x}"));
        self.logs(json!([{ "address": self.gateway, "fromBlock": from, "toBlock": to }])).await
    }

    async fn logs(&self, params: Value) -> Result<Vec<GatewayLog>, Layer1Error> {
        let replies: Vec<LogReply> = self.value("eth_getLogs", params).await?.unwrap_or_default();
        let mut logs: Vec<GatewayLog> = replies
            .into_iter()
            // The filter asked for this gateway; an endpoint that answers with more must not be believed.
            .filter(|log| log.address == self.gateway && !log.removed)
            .map(|log| GatewayLog {
                block_number: log.block_number.to(),
                block_hash: log.block_hash,
                log_index: log.log_index.to(),
                transaction: log.transaction_hash,
                topics: log.topics,
                data: log.data,
                input: None,
            })
            .collect();
        logs.sort_by_key(|log| (log.block_number, log.log_index));
        Ok(logs)
    }

    /// Input of a top-level transaction to the gateway.
    pub(crate) async fn input_of(&self, transaction: B256) -> Result<Bytes, Layer1Error> {
        let reply: Option<TransactionReply> = self.value("eth_getTransactionByHash", json!([transaction])).await?;
        let reply = reply.ok_or_else(|| Layer1Error::Inconsistent(format!("{transaction} has logs but is unknown")))?;
        if reply.to != Some(self.gateway) {
            return Err(Layer1Error::Inconsistent(format!(
                "{transaction} submitted a batch but did not call the gateway"
            )));
        }
        Ok(reply.input)
    }

    pub(crate) async fn whereabouts(&self, transaction: B256) -> Result<Whereabouts, Layer1Error> {
        if let Some(receipt) = self.value::<ReceiptReply>("eth_getTransactionReceipt", json!([transaction])).await? {
            let success = receipt.status.to::<u64>() == 1;
            return Ok(Whereabouts::Mined { block: receipt.block_number.to(), success });
        }
        let known: Option<TransactionReply> = self.value("eth_getTransactionByHash", json!([transaction])).await?;
        Ok(if known.is_some() { Whereabouts::Pending } else { Whereabouts::Unknown })
    }

    /// What a transaction cost, if it is in a block.
    pub(crate) async fn cost(&self, transaction: B256) -> Result<Option<Cost>, Layer1Error> {
        let receipt: Option<ReceiptReply> = self.value("eth_getTransactionReceipt", json!([transaction])).await?;
        Ok(receipt.map(|receipt| Cost {
            success: receipt.status.to::<u64>() == 1,
            gas: receipt.gas_used.to(),
            price: receipt.effective_gas_price.unwrap_or_default().try_into().unwrap_or(u128::MAX),
        }))
    }

    /// Number of transactions of `account` that are in blocks.
    pub(crate) async fn nonce(&self, account: Address) -> Result<u64, Layer1Error> {
        Ok(self.ask::<U64>("eth_getTransactionCount", json!([account, "latest"])).await?.to())
    }

    /// Wei that `account` has.
    pub(crate) async fn balance(&self, account: Address) -> Result<U256, Layer1Error> {
        self.ask("eth_getBalance", json!([account, "latest"])).await
    }

    /// A bid that stays valid through six full blocks in a row (each raises the base fee by an eighth), plus a tip.
    pub(crate) async fn fees(&self) -> Result<Fees, Layer1Error> {
        let header = self.header("latest").await?;
        let base: u128 = header.and_then(|h| h.base_fee_per_gas).unwrap_or_default().try_into().unwrap_or(u128::MAX);
        let tip: u128 = match self.ask::<U256>("eth_maxPriorityFeePerGas", json!([])).await {
            Ok(tip) => tip.try_into().unwrap_or(1_000_000_000),
            Err(Layer1Error::Refused { .. }) => 1_000_000_000,
            Err(error) => return Err(error),
        };
        let max_fee = base.saturating_mul(2).saturating_add(tip);
        Ok(Fees { base, max_fee, max_priority_fee: tip, ceiling: u128::MAX })
    }

    /// Gas for a call to the gateway; a call that would revert is [`Layer1Error::Refused`]. Asked of the newest block:
    /// some endpoints would count what lies in their pool, so that a contest which somebody bids too little for, and
    /// which is never mined, kept everybody else's from being sent.
    pub(crate) async fn estimate(&self, from: Address, value: U256, input: &Bytes) -> Result<u64, Layer1Error> {
        let call = json!([{ "from": from, "to": self.gateway, "value": value, "input": input }, "latest"]);
        Ok(self.ask::<U64>("eth_estimateGas", call).await?.to())
    }

    /// Result of a read of the gateway at the newest block.
    pub(crate) async fn call(&self, input: &Bytes) -> Result<Bytes, Layer1Error> {
        self.ask("eth_call", json!([{ "to": self.gateway, "input": input }, "latest"])).await
    }

    /// Hands a signed transaction to layer 1. That it is known already is a success.
    pub(crate) async fn broadcast(&self, raw: &Bytes) -> Result<(), Layer1Error> {
        match self.ask::<B256>("eth_sendRawTransaction", json!([raw])).await {
            Ok(_) => Ok(()),
            Err(Layer1Error::Refused { message, .. }) if is_known(&message) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Endpoints word this differently; a wrong guess costs a look at the receipt, nothing more.
fn is_known(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("already known") || message.contains("already imported")
}

/// Revert bytes out of an error's `data`: a hex string, or an object that holds one.
fn revert_data(data: &Value) -> Option<Bytes> {
    data.as_str().or_else(|| data.get("data")?.as_str())?.parse().ok()
}

#[cfg(test)]
mod tests;
