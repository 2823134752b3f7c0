//! Reads of layer 1 that plugins and callers pass through: the ones of [`READ_METHODS`], answers up to a size, and
//! `eth_getLogs` over ranges that no endpoint would take at once.

use crate::error::{HostError, code};
use alloy::primitives::U64;
use entresol_layer1::{Layer1Error, Network, READ_METHODS};
use serde::Serialize;
use serde_json::{Value as Json, json};

/// Blocks asked for at once in `eth_getLogs`; fewer where the endpoint allows less.
const LOG_RANGE: u64 = 2000;
/// Most blocks of one `eth_getLogs`.
const MAX_LOG_RANGE: u64 = 1_000_000;

/// Asks `network`, if `method` is a read, for an answer of at most `limit` bytes. `asked` names what the requester has
/// called, for the words of an error.
///
/// # Errors
/// 4200 for what is no read, -32005 for an answer that is too large, and those of the endpoint.
pub(crate) async fn read_layer1(
    network: &Network,
    asked: &str,
    method: &str,
    params: Json,
    limit: usize,
) -> Result<Json, ReadError> {
    if !READ_METHODS.contains(&method) {
        let words = format!("{asked}: {method:?} is not a read; allowed: {}", READ_METHODS.join(", "));
        return Err(HostError::new(code::UNSUPPORTED, words).into());
    }
    let answer = match method {
        "eth_getLogs" => logs(network, params, limit).await?,
        _ => network.request(method, params).await?,
    };
    let size = size(&answer);
    if size > limit {
        return Err(HostError::new(
            code::LIMIT,
            format!("{asked}: the answer has {size} bytes, at most {limit} are given; ask for less"),
        )
        .with(json!({ "size": size, "limit": limit }))
        .into());
    }
    Ok(answer)
}

/// Bytes of a value as JSON text, without writing it.
pub(crate) fn size(value: &impl Serialize) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}

/// Our own refusal, or the endpoint's: a site is given the endpoint's own code and data, by which libraries tell a
/// revert from a failure.
#[derive(Debug)]
pub(crate) enum ReadError {
    Own(HostError),
    Layer1(Layer1Error),
}

impl From<HostError> for ReadError {
    fn from(error: HostError) -> Self {
        Self::Own(error)
    }
}

impl From<Layer1Error> for ReadError {
    fn from(error: Layer1Error) -> Self {
        Self::Layer1(error)
    }
}

impl From<ReadError> for HostError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Own(error) => error,
            ReadError::Layer1(error) => error.into(),
        }
    }
}

impl ReadError {
    /// As the endpoint said it, for a caller that reads layer 1 with a library of its own.
    pub(crate) fn into_said(self) -> HostError {
        /// Longest words of an endpoint, in characters: a revert's reason is in them.
        const LONGEST: usize = 2000;
        match self {
            Self::Layer1(Layer1Error::Rpc { code: said, message, data, .. }) => {
                // 3 is a revert. The codes of EIP-1193 are the wallet's to give: no endpoint says that the user refused.
                let code = i32::try_from(said).ok().filter(|said| *said < 0 || *said == 3).unwrap_or(code::INTERNAL);
                HostError::new(code, crate::text::clean(&message, LONGEST)).with(data.unwrap_or_default())
            }
            other => other.into(),
        }
    }
}

/// `eth_getLogs` in parts. A filter by block hash, or one whose ends are tags, goes out as it is.
async fn logs(network: &Network, args: Json, limit: usize) -> Result<Json, ReadError> {
    let head = network.head().borrow().number;
    let filter = &args[0];
    let end = |name: &str| match filter.get(name).and_then(Json::as_str) {
        None | Some("latest") => Some(head),
        Some("earliest") => Some(0),
        Some(hex) => hex.parse::<U64>().ok().map(|number| number.to::<u64>()),
    };
    let by_hash = filter.get("blockHash").is_some();
    let (Some(from), Some(to), false) = (end("fromBlock"), end("toBlock"), by_hash || !filter.is_object()) else {
        return Ok(network.request("eth_getLogs", args).await?);
    };
    if from > to {
        return Err(HostError::invalid("eth_getLogs: fromBlock is above toBlock").into());
    }
    if to - from >= MAX_LOG_RANGE {
        let words = format!("eth_getLogs: at most {MAX_LOG_RANGE} blocks at once");
        return Err(HostError::new(code::LIMIT, words).into());
    }
    let (mut all, mut bytes, mut range, mut next) = (Vec::new(), 0, LOG_RANGE, from);
    while next <= to {
        let last = next.saturating_add(range - 1).min(to);
        let mut part = filter.clone();
        part["fromBlock"] = json!(U64::from(next));
        part["toBlock"] = json!(U64::from(last));
        match network.request("eth_getLogs", json!([part])).await {
            Ok(Json::Array(found)) => {
                bytes += found.iter().map(size).sum::<usize>();
                if bytes > limit {
                    return Err(HostError::new(
                        code::LIMIT,
                        format!("eth_getLogs: more than {limit} bytes of logs up to block {last}; ask for less"),
                    )
                    .with(json!({ "block": last, "limit": limit }))
                    .into());
                }
                all.extend(found);
                next = last.saturating_add(1);
            }
            Ok(_) => return Err(HostError::internal("the endpoint's answer to eth_getLogs is no list").into()),
            // Endpoints limit the range, or the size of the answer, each in its own words.
            Err(Layer1Error::Rpc { .. } | Layer1Error::BadAnswer { .. }) if last > next => {
                range = ((last - next) / 2).max(1);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Json::Array(all))
}
