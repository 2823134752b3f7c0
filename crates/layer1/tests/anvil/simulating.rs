//! Effects of calls of real contracts, by each of the three methods.

use alloy::sol;
use alloy::sol_types::SolCall;
use entresol_layer1::*;
use serde_json::{Value, json};

use crate::proxy::{Mode, Proxy};
use crate::support::*;

sol! {
    function transfer(address to, uint256 value);
    function approve(address spender, uint256 value);
    function transferFrom(address from, address to, uint256 value);
    function gift(address to);
    function claim();
    function setApprovalForAll(address operator, bool approved);
    function safeTransferFrom(address from, address to, uint256 id, uint256 value, bytes data);
}

/// Compiled from `tests/contracts/Tokens.sol`; how, stands there.
const TOKENS: &str = include_str!("../contracts/Tokens.json");

async fn create(network: &Network, name: &str, arguments: &[Address]) -> Address {
    let codes: Value = serde_json::from_str(TOKENS).expect("JSON");
    let mut data = codes[name].as_str().expect("a contract").to_owned();
    for argument in arguments {
        data.push_str(&argument.into_word().to_string()[2..]);
    }
    let hash = rpc(network, "eth_sendTransaction", json!([{ "from": ALICE, "data": data, "gas": "0x2dc6c0" }])).await;
    let start = std::time::Instant::now();
    loop {
        let receipt = rpc(network, "eth_getTransactionReceipt", json!([hash])).await;
        if !receipt.is_null() {
            assert_eq!(receipt["status"], "0x1", "{name}");
            return serde_json::from_value(receipt["contractAddress"].clone()).expect("deployed");
        }
        assert!(start.elapsed() < DEADLINE, "never mined");
        tokio::time::sleep(POLL).await;
    }
}

fn call(to: Address, call: &impl SolCall) -> CallRequest {
    CallRequest { from: ALICE, to: to.into(), value: U256::ZERO, input: call.abi_encode().into() }
}

fn signed(value: i64) -> I256 {
    I256::try_from(value).expect("fits")
}

fn erc20(token: Address, account: Address, delta: i64) -> TokenChange {
    TokenChange { token, account, kind: TokenChangeKind::Erc20 { delta: signed(delta) } }
}

#[track_caller]
fn same<T: PartialEq + std::fmt::Debug>(found: &[T], expected: &[T]) {
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for one in expected {
        assert!(found.contains(one), "{one:?} is not in {found:?}");
    }
}

async fn simulated(network: &Network, call: &CallRequest) -> Effects {
    let effects = network.simulate(call).await.expect("simulated");
    assert!(effects.success, "{effects:?}");
    assert_eq!((effects.method, effects.complete), ("eth_simulateV1", true), "{effects:?}");
    effects
}

#[tokio::test]
async fn ether_out() {
    let anvil = Anvil::start().await;
    let network = anvil.connect().await;
    let effects = simulated(&network, &transfer(5)).await;
    let change = |account, delta| EtherChange { account, delta: signed(delta) };
    same(&effects.ether, &[change(ALICE, -5), change(BOB, 5)]);
    assert!(effects.tokens.is_empty() && effects.allowances.is_empty());
    assert_eq!(effects.gas_used, 21_000);
}

#[tokio::test]
async fn erc20_transfer_approve_and_transfer_from() {
    let anvil = Anvil::start().await;
    let network = anvil.connect().await;
    let token = create(&network, "Token", &[ALICE]).await;
    let (to, value) = (BOB, U256::from(30));
    let effects = simulated(&network, &call(token, &transferCall { to, value })).await;
    same(&effects.tokens, &[erc20(token, ALICE, -30), erc20(token, BOB, 30)]);
    assert!(effects.allowances.is_empty() && effects.ether.is_empty());

    let allowed = |owner, spender, amount| AllowanceChange {
        token,
        owner,
        spender,
        amount: Allowance::Erc20(U256::from(amount)),
    };
    let effects = simulated(&network, &call(token, &approveCall { spender: BOB, value })).await;
    same(&effects.allowances, &[allowed(ALICE, BOB, 30)]);
    assert!(effects.tokens.is_empty());

    let approve = call(token, &approveCall { spender: BOB, value });
    poke(&network, Some(token), &approve.input.to_string()).await;
    let spend = transferFromCall { from: ALICE, to: BOB, value: U256::from(12) };
    let effects = simulated(&network, &CallRequest { from: BOB, ..call(token, &spend) }).await;
    same(&effects.tokens, &[erc20(token, ALICE, -12), erc20(token, BOB, 12)]);
    same(&effects.allowances, &[allowed(ALICE, BOB, 18)]);
}

#[tokio::test]
async fn a_token_that_lies_is_shown_as_it_is() {
    let anvil = Anvil::start().await;
    let network = anvil.connect().await;
    let liar = create(&network, "Liar", &[ALICE]).await;
    // Asked for one, it moves all, without a log.
    let effects = simulated(&network, &call(liar, &transferCall { to: BOB, value: U256::from(1) })).await;
    same(&effects.tokens, &[erc20(liar, ALICE, -1_000), erc20(liar, BOB, 1_000)]);
    // Asked to allow one, it allows everything, without a log.
    let effects = simulated(&network, &call(liar, &approveCall { spender: BOB, value: U256::from(1) })).await;
    let amount = Allowance::Erc20(U256::MAX);
    same(&effects.allowances, &[AllowanceChange { token: liar, owner: ALICE, spender: BOB, amount }]);
    // Its log claims a gift.
    let effects = simulated(&network, &call(liar, &giftCall { to: ALICE })).await;
    same(&effects.tokens, &[]);
}

#[tokio::test]
async fn a_trap_that_takes_a_silent_token_and_ether_is_seen_through() {
    let anvil = Anvil::start().await;
    let network = anvil.connect().await;
    let liar = create(&network, "Liar", &[ALICE]).await;
    let trap = create(&network, "Trap", &[liar, BOB]).await;
    let claim = CallRequest { value: U256::from(9), ..call(trap, &claimCall {}) };
    let effects = simulated(&network, &claim).await;
    same(&effects.tokens, &[erc20(liar, ALICE, -1_000), erc20(liar, trap, 1_000)]);
    let change = |account, delta| EtherChange { account, delta: signed(delta) };
    same(&effects.ether, &[change(ALICE, -9), change(BOB, 9)]);
}

#[tokio::test]
async fn tokens_of_other_standards() {
    let anvil = Anvil::start().await;
    let network = anvil.connect().await;
    let nft = create(&network, "Nft", &[ALICE]).await;
    let id = U256::from(7);
    let effects = simulated(&network, &call(nft, &transferFromCall { from: ALICE, to: BOB, value: id })).await;
    let piece = |account, received| TokenChange { token: nft, account, kind: TokenChangeKind::Erc721 { id, received } };
    same(&effects.tokens, &[piece(ALICE, false), piece(BOB, true)]);
    let effects = simulated(&network, &call(nft, &approveCall { spender: BOB, value: id })).await;
    let allowed = |amount| AllowanceChange { token: nft, owner: ALICE, spender: BOB, amount };
    same(&effects.allowances, &[allowed(Allowance::Nft(id))]);
    let all = setApprovalForAllCall { operator: BOB, approved: true };
    same(&simulated(&network, &call(nft, &all)).await.allowances, &[allowed(Allowance::All(true))]);

    let multi = create(&network, "Multi", &[ALICE]).await;
    let (id, value) = (U256::from(3), U256::from(20));
    let send = safeTransferFromCall { from: ALICE, to: BOB, id, value, data: Bytes::new() };
    let effects = simulated(&network, &call(multi, &send)).await;
    let change = |account, delta| TokenChange {
        token: multi,
        account,
        kind: TokenChangeKind::Erc1155 { id, delta: signed(delta) },
    };
    same(&effects.tokens, &[change(ALICE, -20), change(BOB, 20)]);
}

#[tokio::test]
async fn reverts_have_their_reason_by_every_method() {
    let anvil = Anvil::start().await;
    let proxy = Proxy::to(anvil.url()).await;
    let network = Network::connect(NetworkConfig { rpc_urls: vec![proxy.url.clone()], ..anvil.config() }).await;
    let network = network.expect("connected");
    let nft = create(&network, "Nft", &[ALICE]).await;
    let steal = call(nft, &transferFromCall { from: BOB, to: ALICE, value: U256::from(7) });
    let token = create(&network, "Token", &[ALICE]).await;
    let too_much = call(token, &transferCall { to: BOB, value: U256::from(2_000) });
    let poor = CallRequest { value: U256::from(10).pow(U256::from(30)), ..transfer(1) };
    let methods: [&[&str]; 3] = [&[], &["eth_simulateV1"], &["eth_simulateV1", "debug_traceCall"]];
    for (without, method) in methods.into_iter().zip(["eth_simulateV1", "debug_traceCall", "eth_call"]) {
        proxy.set(Mode::Without(without));
        for (call, words) in [(&steal, "not yours"), (&too_much, "0x"), (&poor, "nsufficient funds")] {
            let effects = network.simulate(call).await.expect("simulated");
            let reason = effects.reason.clone().unwrap_or_default();
            assert!(!effects.success && reason.contains(words), "{method}: {effects:?}");
            assert!(effects.tokens.is_empty() && effects.ether.is_empty(), "{method}: {effects:?}");
            assert_eq!(effects.method, method);
        }
    }
}

#[tokio::test]
async fn without_simulation_the_trace_tells_and_without_that_the_call() {
    let anvil = Anvil::start().await;
    let proxy = Proxy::to(anvil.url()).await;
    let network = Network::connect(NetworkConfig { rpc_urls: vec![proxy.url.clone()], ..anvil.config() }).await;
    let network = network.expect("connected");
    let token = create(&network, "Token", &[ALICE]).await;
    let liar = create(&network, "Liar", &[ALICE]).await;
    let trap = create(&network, "Trap", &[liar, BOB]).await;
    let send = call(token, &transferCall { to: BOB, value: U256::from(30) });
    let claim = CallRequest { value: U256::from(9), ..call(trap, &claimCall {}) };
    let change = |account, delta| EtherChange { account, delta: signed(delta) };

    proxy.set(Mode::Without(&["eth_simulateV1"]));
    let effects = network.simulate(&send).await.expect("traced");
    assert_eq!((effects.method, effects.complete, effects.success), ("debug_traceCall", false, true));
    same(&effects.tokens, &[erc20(token, ALICE, -30), erc20(token, BOB, 30)]);
    let effects = network.simulate(&claim).await.expect("traced");
    same(&effects.ether, &[change(ALICE, -9), change(BOB, 9)]);
    same(&effects.tokens, &[]);

    proxy.set(Mode::Without(&["eth_simulateV1", "debug_traceCall"]));
    let effects = network.simulate(&claim).await.expect("called");
    assert_eq!((effects.method, effects.complete, effects.success), ("eth_call", false, true));
    same(&effects.ether, &[change(ALICE, -9), change(trap, 9)]);
    assert!(effects.gas_used > 21_000);

    // Without the access list the silent token behind the trap is not found, and the effects say that they may lack something.
    proxy.set(Mode::Without(&["eth_createAccessList"]));
    let effects = network.simulate(&claim).await.expect("simulated");
    assert_eq!((effects.method, effects.complete), ("eth_simulateV1", false));
    same(&effects.tokens, &[]);
}
