//! Which balances and allowances may change by a call, so that they are read before and after.

use std::collections::BTreeSet;

use alloy::primitives::{Address, U256};
use alloy::sol;
use alloy::sol_types::SolCall as _;
use serde_json::{Value, json};

use super::claims::{Claim, RawLog, claims};
use crate::network::CallRequest;

/// Most reads of each of the two times. A read costs some 25 000 gas, and an endpoint simulates a few blocks' worth.
const MOST_READS: usize = 160;
/// Gas of one read; a balance behind two proxies needs half of it.
const READ_GAS: u64 = 100_000;

sol! {
    function balanceOf(address account) external view returns (uint256);
    function allowance(address owner, address spender) external view returns (uint256);
    function ownerOf(uint256 id) external view returns (address);
    function getApproved(uint256 id) external view returns (address);
    function isApprovedForAll(address owner, address operator) external view returns (bool);
    interface Multi {
        function balanceOf(address account, uint256 id) external view returns (uint256);
    }
}

/// One value to read from a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Read {
    pub(super) token: Address,
    pub(super) what: What,
}

/// Which value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Balance { account: Address },
    Allowance { owner: Address, spender: Address },
    OwnerOf { id: U256 },
    Approved { id: U256, owner: Address },
    All { owner: Address, operator: Address },
    MultiBalance { account: Address, id: U256 },
}

impl Read {
    /// As a call of nobody in particular.
    pub(super) fn to_json(self) -> Value {
        let data = match self.what {
            What::Balance { account } => balanceOfCall { account }.abi_encode(),
            What::Allowance { owner, spender } => allowanceCall { owner, spender }.abi_encode(),
            What::OwnerOf { id } => ownerOfCall { id }.abi_encode(),
            What::Approved { id, .. } => getApprovedCall { id }.abi_encode(),
            What::All { owner, operator } => isApprovedForAllCall { owner, operator }.abi_encode(),
            What::MultiBalance { account, id } => Multi::balanceOfCall { account, id }.abi_encode(),
        };
        let data = alloy::primitives::Bytes::from(data);
        json!({ "from": Address::ZERO, "to": self.token, "data": data, "gas": format!("{READ_GAS:#x}") })
    }
}

/// What is read.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) reads: Vec<Read>,
    /// False when there would be more than is read.
    pub(super) complete: bool,
}

impl Plan {
    /// From the logs of a first run, and the contracts whose storage is touched.
    ///
    /// Every contract that is called, touched or logs may be a token; every account that stands in a log or in the call
    /// data may hold one. The caller's own balances and allowances come first: they must not fall behind the cap.
    pub(super) fn new(call: &CallRequest, logs: &[RawLog], touched: &[Address]) -> Self {
        let mut tokens = Ordered::default();
        let mut accounts = Ordered::default();
        let mut spenders = Ordered::default();
        let mut plan = Ordered::default();
        let called = call.to.into_to();
        if let Some(to) = called {
            tokens.add(to);
        }
        accounts.add(call.from);
        for word in words(&call.input) {
            spenders.add(word);
        }
        for log in logs.iter().filter(|log| !log.is_ether()) {
            tokens.add(log.address);
            for claim in claims(log) {
                claimed(log.address, claim, &mut plan, &mut accounts, &mut spenders);
            }
        }
        for contract in touched {
            tokens.add(*contract);
        }
        if let Some(to) = called {
            accounts.add(to);
            spenders.add(to);
        }
        for account in spenders.items.iter().chain(touched) {
            accounts.add(*account);
        }
        for token in &tokens.items {
            plan.add(Read { token: *token, what: What::Balance { account: call.from } });
        }
        for token in &tokens.items {
            for other in spenders.items.iter().filter(|other| **other != call.from) {
                plan.add(Read { token: *token, what: What::Allowance { owner: call.from, spender: *other } });
            }
        }
        for (token, operator) in
            called.into_iter().flat_map(|to| words(&call.input).into_iter().map(move |one| (to, one)))
        {
            plan.add(Read { token, what: What::All { owner: call.from, operator } });
        }
        for token in &tokens.items {
            for account in &accounts.items {
                plan.add(Read { token: *token, what: What::Balance { account: *account } });
            }
        }
        for token in &tokens.items {
            for owner in spenders.items.iter().filter(|owner| **owner != call.from) {
                plan.add(Read { token: *token, what: What::Allowance { owner: *owner, spender: call.from } });
            }
        }
        let mut reads = plan.items;
        let complete = reads.len() <= MOST_READS;
        reads.truncate(MOST_READS);
        Self { reads, complete }
    }
}

fn claimed(
    token: Address,
    claim: Claim,
    plan: &mut Ordered<Read>,
    accounts: &mut Ordered<Address>,
    spenders: &mut Ordered<Address>,
) {
    let mut read = |what| plan.add(Read { token, what });
    match claim {
        Claim::Ether { .. } => {}
        Claim::Erc20 { from, to, .. } => {
            for account in [from, to] {
                read(What::Balance { account });
                accounts.add(account);
            }
            spenders.add(from);
        }
        Claim::Erc721 { id, .. } => read(What::OwnerOf { id }),
        Claim::Erc1155 { from, to, id, .. } => {
            for account in [from, to] {
                read(What::MultiBalance { account, id });
            }
        }
        Claim::Allowance { owner, spender, .. } => read(What::Allowance { owner, spender }),
        Claim::Approved { owner, id, .. } => read(What::Approved { id, owner }),
        Claim::All { owner, operator, .. } => read(What::All { owner, operator }),
    }
}

/// The words of call data that look like addresses: twelve zero bytes, then no small number.
fn words(input: &[u8]) -> Vec<Address> {
    let arguments = input.get(4..).unwrap_or_default();
    let words = arguments.chunks_exact(32).filter(|word| {
        let (front, back) = word.split_at(12);
        front.iter().all(|byte| *byte == 0) && back.iter().take(8).any(|byte| *byte != 0)
    });
    words.map(|word| Address::from_slice(word.get(12..).unwrap_or_default())).collect()
}

/// In the order of the first mention, each once.
#[derive(Debug)]
struct Ordered<T> {
    items: Vec<T>,
    seen: BTreeSet<T>,
}

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self { items: Vec::new(), seen: BTreeSet::new() }
    }
}

impl<T: Copy + Ord> Ordered<T> {
    fn add(&mut self, item: T) {
        if self.seen.insert(item) {
            self.items.push(item);
        }
    }
}
