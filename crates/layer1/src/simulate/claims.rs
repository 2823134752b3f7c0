//! What tokens say in their logs. It need not be true.

use alloy::primitives::{Address, B256, Bytes, U256, address};
use alloy::sol;
use alloy::sol_types::SolEvent as _;
use serde::Deserialize;

/// Under this address `eth_simulateV1` with `traceTransfers` writes moving ether, as if it were a token. No contract can
/// write under it: nobody knows a key or a creation that leads to it.
const ETHER: Address = address!("eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");

sol! {
    /// ERC-20; ERC-721 has the same selector with a third topic in place of the data.
    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);
    /// ERC-721 and ERC-1155.
    event ApprovalForAll(address indexed owner, address indexed operator, bool approved);
    /// ERC-1155.
    event TransferSingle(address indexed operator, address indexed from, address indexed to, uint256 id, uint256 value);
    event TransferBatch(address indexed operator, address indexed from, address indexed to, uint256[] ids, uint256[] values);
}

/// A log of a simulated call.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct RawLog {
    pub(super) address: Address,
    #[serde(default)]
    pub(super) topics: Vec<B256>,
    #[serde(default)]
    pub(super) data: Bytes,
}

impl RawLog {
    /// Ether that moves, in the form of `eth_simulateV1`.
    pub(super) fn ether(from: Address, to: Address, value: U256) -> Self {
        let log = Transfer { from, to, value }.encode_log_data();
        Self { address: ETHER, topics: log.topics().to_vec(), data: log.data }
    }

    pub(super) fn is_ether(&self) -> bool {
        self.address == ETHER
    }
}

/// What a log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    Ether { from: Address, to: Address, amount: U256 },
    Erc20 { from: Address, to: Address, amount: U256 },
    Erc721 { from: Address, to: Address, id: U256 },
    Erc1155 { from: Address, to: Address, id: U256, amount: U256 },
    Allowance { owner: Address, spender: Address, amount: U256 },
    Approved { owner: Address, spender: Address, id: U256 },
    All { owner: Address, operator: Address, approved: bool },
}

/// Reads a log; empty where it is about something else. Batches give several claims.
pub(super) fn claims(log: &RawLog) -> Vec<Claim> {
    let Some(selector) = log.topics.first() else { return Vec::new() };
    let account = |index: usize| log.topics.get(index).map(|topic| Address::from_word(*topic)).unwrap_or_default();
    let (from, to) = (account(1), account(2));
    let third = || log.topics.get(3).map(|topic| U256::from_be_bytes(topic.0));
    let word = || (log.data.len() == 32).then(|| U256::from_be_slice(&log.data));
    let one = |claim: Option<Claim>| claim.into_iter().collect();
    match (*selector, log.topics.len()) {
        (Transfer::SIGNATURE_HASH, 3) if log.is_ether() => one(word().map(|amount| Claim::Ether { from, to, amount })),
        (Transfer::SIGNATURE_HASH, 3) => one(word().map(|amount| Claim::Erc20 { from, to, amount })),
        (Transfer::SIGNATURE_HASH, 4) => one(third().map(|id| Claim::Erc721 { from, to, id })),
        (Approval::SIGNATURE_HASH, 3) => {
            one(word().map(|amount| Claim::Allowance { owner: from, spender: to, amount }))
        }
        (Approval::SIGNATURE_HASH, 4) => one(third().map(|id| Claim::Approved { owner: from, spender: to, id })),
        (ApprovalForAll::SIGNATURE_HASH, 3) => {
            one(word().map(|word| Claim::All { owner: from, operator: to, approved: !word.is_zero() }))
        }
        (TransferSingle::SIGNATURE_HASH, 4) => {
            let body = TransferSingle::abi_decode_data(&log.data).ok();
            one(body.map(|(id, amount)| Claim::Erc1155 { from: account(2), to: account(3), id, amount }))
        }
        (TransferBatch::SIGNATURE_HASH, 4) => {
            let Ok((ids, amounts)) = TransferBatch::abi_decode_data(&log.data) else { return Vec::new() };
            let pairs = ids.into_iter().zip(amounts);
            pairs.map(|(id, amount)| Claim::Erc1155 { from: account(2), to: account(3), id, amount }).collect()
        }
        _ => Vec::new(),
    }
}
