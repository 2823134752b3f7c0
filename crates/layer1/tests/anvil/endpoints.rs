//! Several endpoints: WebSocket beside HTTP, fail-over, heads that stand still, endpoints that disagree, gaps.

use std::sync::Arc;
use std::time::Duration;

use entresol_layer1::*;
use serde_json::json;
use url::Url;

use crate::proxy::{Mode, Proxy};
use crate::support::*;

fn websocket(anvil: &Anvil) -> Url {
    format!("ws://127.0.0.1:{}", anvil.port).parse().expect("a URL")
}

async fn health(network: &Network, accept: impl Fn(&Health) -> bool) -> Health {
    let mut health = network.health();
    let found = tokio::time::timeout(DEADLINE, health.wait_for(|health| accept(health))).await;
    found.unwrap_or_else(|_| panic!("still {:?}", network.health().borrow())).expect("the task lives").clone()
}

#[tokio::test]
async fn over_websocket_everything_works_and_a_new_head_wakes_the_tracker() {
    let anvil = Anvil::start().await;
    assert_eq!(probe_chain_id(&websocket(&anvil)).await.expect("answers"), CHAIN);
    // Polling alone would take longer than the deadline.
    let slow = DEADLINE * 2;
    let config = NetworkConfig { rpc_urls: vec![websocket(&anvil)], poll_interval: slow, ..anvil.config() };
    let network = Network::connect(config).await.expect("connected");
    let before = network.head().borrow().number;
    // From elsewhere, so that nothing but the announcement can tell.
    mine(&anvil.connect().await, 1).await;
    head(&network, |head| head.number == before + 1).await;
    let home = tempfile::tempdir().expect("a directory");
    let transactions = Transactions::new(network.clone(), Arc::new(FileLog::at(&home.path().join("log"))));
    let tx = transactions.prepare(&transfer(5), 0).await.expect("prepared");
    let mut receiver = transactions.submit(sign(tx)).await.expect("sent");
    status(&mut receiver, |status| status.inclusion().is_some()).await;
}

#[tokio::test]
async fn a_wrong_chain_over_websocket_is_refused() {
    let anvil = Anvil::start().await;
    let config = NetworkConfig { rpc_urls: vec![websocket(&anvil)], chain_id: 1, ..anvil.config() };
    let error = Network::connect(config).await.expect_err("refused");
    assert!(matches!(error, Layer1Error::ChainIdMismatch { expected: 1, found: CHAIN, .. }), "{error}");
}

#[tokio::test]
async fn a_lost_websocket_is_connected_again_and_must_prove_its_chain() {
    let mut anvil = Anvil::start().await;
    let config = NetworkConfig { rpc_urls: vec![websocket(&anvil)], ..anvil.config() };
    let network = Network::connect(config).await.expect("connected");
    anvil.kill();
    health(&network, |health| matches!(health, Health::Unreachable { .. })).await;
    let error = network.balance(ALICE).await.expect_err("gone");
    assert!(error.is_temporary() && error.to_string().contains("check that the node runs"), "{error}");
    let mut other = Anvil::start_with(anvil.port, &["--chain-id", "5"]).await;
    health(&network, |h| matches!(h, Health::Unreachable { reason } if reason.contains("chain id 5"))).await;
    other.kill();
    let _again = Anvil::start_with(anvil.port, &[]).await;
    health(&network, |health| *health == Health::Connected).await;
    assert!(!network.balance(ALICE).await.expect("answers").is_zero());
}

#[tokio::test]
async fn an_http_endpoint_takes_over_from_a_websocket_and_back() {
    let mut first = Anvil::start().await;
    let second = Proxy::to(first.url()).await;
    second.set(Mode::Down);
    let urls = vec![websocket(&first), second.url.clone()];
    let network = Network::connect(NetworkConfig { rpc_urls: urls, ..first.config() }).await.expect("connected");
    network.balance(ALICE).await.expect("the WebSocket answers");
    // The node behind the WebSocket goes, another one appears behind the second address.
    let other = Anvil::start().await;
    second.point_at(other.url());
    second.set(Mode::Pass);
    first.kill();
    network.balance(ALICE).await.expect("the second takes over at once");
    let _again = Anvil::start_with(first.port, &[]).await;
    second.set(Mode::Down);
    let start = std::time::Instant::now();
    while let Err(error) = network.balance(ALICE).await {
        assert!(start.elapsed() < DEADLINE, "{error}");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test]
async fn an_endpoint_that_stands_still_is_left_for_one_that_moves() {
    let anvil = Anvil::start().await;
    let still = Proxy::to(anvil.url()).await;
    let direct = anvil.connect().await;
    let newest = rpc(&direct, "eth_getBlockByNumber", json!(["latest", false])).await;
    still.set(Mode::Frozen(newest));
    let config = NetworkConfig {
        rpc_urls: vec![still.url.clone(), anvil.url()],
        stale_after: Duration::from_millis(300),
        // Only the watchdog is to find it.
        compare_every: u64::MAX,
        ..anvil.config()
    };
    let network = Network::connect(config).await.expect("connected");
    mine(&direct, 3).await;
    let top = block_number(&direct).await;
    head(&network, |head| head.number == top).await;
    // It stays with the one that moves.
    mine(&direct, 1).await;
    head(&network, |head| head.number == top + 1).await;
}

#[tokio::test]
async fn when_nobody_moves_the_network_is_stale_until_a_block_comes() {
    let anvil = Anvil::start().await;
    let config = NetworkConfig { stale_after: Duration::from_millis(200), ..anvil.config() };
    let network = Network::connect(config).await.expect("connected");
    let stale = health(&network, |health| matches!(health, Health::Stale { .. })).await;
    let Health::Stale { since, reason } = stale else { panic!("{stale:?}") };
    assert!(since > 1_700_000_000 && reason.contains("new block") && reason.contains("another RPC URL"), "{reason}");
    mine(&network, 1).await;
    health(&network, |health| *health == Health::Connected).await;
}

#[tokio::test]
async fn nothing_is_confirmed_while_endpoints_disagree() {
    // Of another time: two anvils of the same second make the same empty blocks.
    let (honest, forked) = (Anvil::start().await, Anvil::start_with(0, &["--timestamp", "1700000000"]).await);
    let second = Proxy::to(honest.url()).await;
    let urls = vec![honest.url(), second.url.clone()];
    let network = Network::connect(NetworkConfig { rpc_urls: urls, ..honest.config() }).await.expect("connected");
    let home = tempfile::tempdir().expect("a directory");
    let transactions = Transactions::new(network.clone(), Arc::new(FileLog::at(&home.path().join("log"))));
    mine(&network, 3).await;
    // The second endpoint goes to another chain with the same id, of the same height.
    let beside = forked.connect().await;
    mine(&beside, 20).await;
    second.point_at(forked.url());
    let tx = transactions.prepare(&transfer(5), 0).await.expect("prepared");
    let mut receiver = transactions.submit(sign(tx)).await.expect("sent");
    let quarrel = health(&network, |health| matches!(health, Health::Disagree { .. })).await;
    let Health::Disagree { reason } = quarrel else { panic!("{quarrel:?}") };
    for url in [honest.url(), second.url.clone()] {
        assert!(reason.contains(url.as_str().trim_end_matches('/')), "{reason}");
    }
    let included = *status(&mut receiver, |s| s.inclusion().is_some()).await.inclusion().expect("in a block");
    let top = block_number(&network).await + 6;
    mine(&network, 6).await;
    head(&network, |head| head.number == top).await;
    let another = transactions.prepare(&transfer(6), 0).await.expect("prepared");
    let mut later = transactions.submit(sign(another)).await.expect("sent");
    status(&mut later, |status| status.inclusion().is_some()).await;
    assert_eq!(*receiver.borrow(), TransactionStatus::Included(included), "seven blocks deep, and not confirmed");
    // Silence settles nothing.
    second.set(Mode::Down);
    mine(&network, 2).await;
    head(&network, |head| head.number == top + 3).await;
    assert!(!network.endpoints_agree());
    // Agreement does.
    second.point_at(honest.url());
    second.set(Mode::Pass);
    health(&network, |health| *health == Health::Connected).await;
    mine(&network, 1).await;
    assert_eq!(status(&mut receiver, TransactionStatus::is_settled).await, TransactionStatus::Confirmed(included));
}

#[tokio::test]
async fn an_endpoint_that_runs_ahead_alone_is_not_believed() {
    let (honest, liar) = (Anvil::start().await, Anvil::start().await);
    mine(&honest.connect().await, 1).await;
    // Far ahead, and its blocks are its own.
    mine(&liar.connect().await, 200).await;
    let urls = vec![liar.url(), honest.url()];
    let network = Network::connect(NetworkConfig { rpc_urls: urls, ..honest.config() }).await.expect("connected");
    health(&network, |health| matches!(health, Health::Disagree { .. })).await;
}

#[tokio::test]
async fn after_a_gap_logs_are_filled_in_within_the_ranges_an_endpoint_allows() {
    let anvil = Anvil::start().await;
    let direct = anvil.connect().await;
    let echo = deploy(&direct, ECHO).await;
    let proxy = Proxy::to(anvil.url()).await;
    let config = NetworkConfig { rpc_urls: vec![proxy.url.clone()], ..anvil.config() };
    let network = Network::connect(config).await.expect("connected");
    let mut follower = LogFollower::new(network.clone(), echo, 0, None);
    poke(&direct, Some(echo), "0x01").await;
    assert_eq!(next_events(&mut follower).await.events[0].log.data.to_vec(), [1]);

    proxy.set(Mode::Down);
    health(&network, |health| matches!(health, Health::Unreachable { .. })).await;
    // Far more blocks than the tracker remembers, and a log every now and then.
    for data in 2..=6_u8 {
        poke(&direct, Some(echo), &format!("0x{data:02x}")).await;
        mine(&direct, 60).await;
    }
    proxy.set(Mode::Range(25));
    let top = block_number(&direct).await;
    head(&network, |head| head.number == top).await;
    let mut data = Vec::new();
    while follower.position().next_block() <= top {
        let batch = follower.next().await.expect("a batch");
        assert!(batch.events.iter().all(|event| !event.removed));
        data.extend(batch.events.into_iter().map(|event| event.log.data.to_vec()));
    }
    assert_eq!(data, [[2], [3], [4], [5], [6]], "each once, in order");
    assert!(proxy.asked("eth_getLogs").len() >= 12, "300 blocks in pieces of 25");
}
