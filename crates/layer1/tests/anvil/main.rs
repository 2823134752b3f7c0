//! Layer 1 against a real anvil.
#![allow(clippy::disallowed_methods, reason = "files of the tests' own; no durable writes of the project")]

mod endpoints;
mod proxy;
mod replacing;
mod simulating;
mod support;

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::Arc;

use alloy::sol_types::{Revert, SolError};
use entresol_layer1::*;
use serde_json::json;
use support::*;

const REORG_DEPTH: u64 = 3;

#[tokio::test]
async fn a_wrong_chain_id_is_refused_with_both_numbers() {
    let anvil = Anvil::start().await;
    let error = Network::connect(NetworkConfig { chain_id: 1, ..anvil.config() }).await.expect_err("refused");
    assert!(matches!(error, Layer1Error::ChainIdMismatch { expected: 1, found: CHAIN, .. }), "{error}");
    assert_eq!(probe_chain_id(&anvil.url()).await.expect("answers"), CHAIN);
}

#[tokio::test]
async fn the_head_is_followed_and_a_reorganisation_seen_with_its_depth() {
    let anvil = Anvil::start().await;
    let network = anvil.connect().await;
    let first = *network.head().borrow();
    for number in first.number + 1..first.number + 6 {
        mine(&network, 1).await;
        let head = head(&network, |head| head.number == number).await;
        assert_eq!(head.reorg_depth, 0);
    }
    let before = *network.head().borrow();
    rpc(&network, "anvil_reorg", json!([REORG_DEPTH, []])).await;
    let after = head(&network, |head| head.reorg_depth > 0).await;
    assert_eq!((after.number, after.reorg_depth), (before.number, REORG_DEPTH));
    assert_ne!(after.hash, before.hash);
}

#[tokio::test]
async fn reads_reverts_and_fees() {
    let anvil = Anvil::start().await;
    let network = anvil.connect().await;
    let reverter = deploy(&network, REVERTER).await;
    assert_eq!(network.code(reverter).await.expect("code"), REVERTER.parse::<Bytes>().expect("hex"));
    assert!(network.code(BOB).await.expect("code").is_empty());
    assert_eq!(network.balance(BOB).await.expect("balance"), U256::from(10_000) * U256::from(10).pow(U256::from(18)));
    let reason = Revert::from("the window is closed").abi_encode();
    let call = CallRequest { from: ALICE, to: reverter.into(), value: U256::ZERO, input: reason.into() };
    for error in
        [network.call(&call).await.expect_err("reverts"), network.estimate_gas(&call).await.expect_err("reverts")]
    {
        assert!(matches!(&error, Layer1Error::Reverted { reason, .. } if reason == "the window is closed"), "{error}");
    }
    let custom = CallRequest { input: "0xdeadbeef".parse().expect("hex"), ..call };
    let error = network.estimate_gas(&custom).await.expect_err("reverts");
    assert!(error.to_string().contains("0xdeadbeef"), "{error}");
    let fees = network.fees().await.expect("fees");
    assert_eq!(fees.max_fee_per_gas, fees.base_fee * 2 + fees.max_priority_fee_per_gas);
    assert_eq!(network.estimate_gas(&transfer(1)).await.expect("an estimate"), 21_000);
    let error = network.request("no_such_method", json!([])).await.expect_err("unknown");
    assert!(matches!(error, Layer1Error::Rpc { .. }), "{error}");
}

#[tokio::test]
async fn logs_come_in_order_and_are_taken_back_by_a_reorganisation() {
    let anvil = Anvil::start().await;
    let network = anvil.connect().await;
    let echo = deploy(&network, ECHO).await;
    let mut follower = LogFollower::new(network.clone(), echo, 0, None);
    poke(&network, Some(echo), "0x01").await;
    poke(&network, Some(echo), "0x02").await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.extend(next_events(&mut follower).await.events);
    }
    let data: Vec<_> = seen.iter().map(|event| event.log.data.to_vec()).collect();
    assert_eq!(data, [[1], [2]]);
    assert!(seen.iter().all(|event| !event.removed));

    // Both calls fall out; a third comes in.
    rpc(&network, "anvil_reorg", json!([2, []])).await;
    let batch = next_events(&mut follower).await;
    let removed: Vec<_> = batch.events.iter().filter(|event| event.removed).map(|event| event.log.clone()).collect();
    assert_eq!(removed, [seen[1].log.clone(), seen[0].log.clone()], "exactly what was delivered, newest first");
    assert_eq!(batch.reorg_depth, 2);
}

#[tokio::test]
async fn logs_are_taken_back_also_after_a_restart() {
    let anvil = Anvil::start().await;
    let network = anvil.connect().await;
    let echo = deploy(&network, ECHO).await;
    let mut follower = LogFollower::new(network.clone(), echo, 0, None);
    poke(&network, Some(echo), "0x07").await;
    let batch = next_events(&mut follower).await;
    let delivered = batch.events[0].log.clone();
    let text = serde_json::to_string(&batch.position).expect("serialised");
    drop(follower);
    drop(network);

    // Nobody looks while the chain is reorganised and goes on.
    let elsewhere = anvil.connect().await;
    rpc(&elsewhere, "anvil_reorg", json!([1, []])).await;
    mine(&elsewhere, 3).await;
    poke(&elsewhere, Some(echo), "0x08").await;
    drop(elsewhere);

    let network = anvil.connect().await;
    let position = serde_json::from_str(&text).expect("parsed");
    let mut follower = LogFollower::new(network, echo, 0, Some(position));
    let batch = next_events(&mut follower).await;
    assert_eq!(batch.events[0], LogEvent { log: delivered, removed: true });
    let data: Vec<_> = batch.events.iter().skip(1).map(|event| (event.log.data.to_vec(), event.removed)).collect();
    assert_eq!(data, [(vec![8], false)]);
}

#[tokio::test]
async fn a_snapshot_reverted_takes_logs_back_though_the_chain_only_became_shorter() {
    let anvil = Anvil::start().await;
    let network = anvil.connect().await;
    let echo = deploy(&network, ECHO).await;
    let mut follower = LogFollower::new(network.clone(), echo, 0, None);
    let snapshot = rpc(&network, "evm_snapshot", json!([])).await;
    poke(&network, Some(echo), "0x01").await;
    assert!(!next_events(&mut follower).await.events[0].removed);
    assert_eq!(rpc(&network, "evm_revert", json!([snapshot])).await, json!(true));
    let batch = next_events(&mut follower).await;
    assert!(batch.events[0].removed);
    assert_eq!(batch.events.len(), 1);
}

#[tokio::test]
async fn many_blocks_behind_are_read_in_ranges() {
    let anvil = Anvil::start().await;
    let network = anvil.connect().await;
    let echo = deploy(&network, ECHO).await;
    for data in ["0x01", "0x02", "0x03"] {
        poke(&network, Some(echo), data).await;
        mine(&network, 60).await;
    }
    let top = block_number(&network).await;
    head(&network, |head| head.number == top).await;
    let mut follower = LogFollower::new(network, echo, 0, None).with_range(50);
    let (mut data, mut batches) = (Vec::new(), 0);
    while follower.position().next_block() <= top {
        let batch = follower.next().await.expect("a batch");
        data.extend(batch.events.iter().map(|event| event.log.data.to_vec()));
        batches += 1;
    }
    assert_eq!(data, [[1], [2], [3]]);
    assert!((4..8).contains(&batches), "{batches} batches for {top} blocks");
}

#[tokio::test]
async fn a_transaction_is_stored_sent_included_and_confirmed() {
    let anvil = Anvil::start().await;
    let network = anvil.connect().await;
    let home = tempfile::tempdir().expect("a directory");
    let log = Arc::new(FileLog::at(&home.path().join("log")));
    let transactions = Transactions::new(network.clone(), log.clone());
    let tx = transactions.prepare(&transfer(5), 20).await.expect("prepared");
    assert_eq!((tx.nonce, tx.gas_limit, tx.chain_id), (0, 25_200, CHAIN));
    let signed = sign(tx);
    let mut receiver = transactions.submit(signed.clone()).await.expect("sent");
    let included = status(&mut receiver, |status| status.inclusion().is_some()).await;
    assert!(included.inclusion().expect("in a block").success);
    assert!(!included.is_settled(), "one block of two");
    mine(&network, 1).await;
    let confirmed = status(&mut receiver, TransactionStatus::is_settled).await;
    assert!(matches!(confirmed, TransactionStatus::Confirmed(inclusion) if inclusion.gas_used == 21_000));
    assert_eq!(log.all()[0].status, confirmed, "the log knows it too");
    // The same again is the same, not a second payment.
    let again = transactions.submit(signed).await.expect("followed");
    assert_eq!(*again.borrow(), confirmed);
    assert_eq!(rpc(&network, "eth_getTransactionCount", json!([ALICE, "latest"])).await, json!("0x1"));
}

#[tokio::test]
async fn nonces_differ_are_given_back_and_leave_no_gap() {
    let anvil = Anvil::start().await;
    let home = tempfile::tempdir().expect("a directory");
    let log = Arc::new(FileLog::at(&home.path().join("log")));
    let transactions = Transactions::new(anvil.connect().await, log);
    let call = transfer(1);
    let (first, second) = tokio::join!(transactions.prepare(&call, 0), transactions.prepare(&call, 0));
    let mut nonces = [first.expect("prepared").nonce, second.expect("prepared").nonce];
    nonces.sort_unstable();
    assert_eq!(nonces, [0, 1]);
    transactions.release(ALICE, 0);
    let third = transactions.prepare(&transfer(1), 0).await.expect("prepared");
    assert_eq!(third.nonce, 0);
    let mut receiver = transactions.submit(sign(third)).await.expect("sent");
    status(&mut receiver, |status| status.inclusion().is_some()).await;
}

#[tokio::test]
async fn a_refused_transaction_fails_with_the_reason_and_frees_its_nonce() {
    let anvil = Anvil::start().await;
    let home = tempfile::tempdir().expect("a directory");
    let log = Arc::new(FileLog::at(&home.path().join("log")));
    let transactions = Transactions::new(anvil.connect().await, log.clone());
    let mut tx = transactions.prepare(&transfer(1), 0).await.expect("prepared");
    tx.value = U256::from(10).pow(U256::from(30));
    let error = transactions.submit(sign(tx)).await.expect_err("refused");
    assert!(error.to_string().to_lowercase().contains("insufficient funds"), "{error}");
    assert!(matches!(log.all()[0].status, TransactionStatus::Failed { .. }));
    assert_eq!(transactions.prepare(&transfer(1), 0).await.expect("prepared").nonce, 0);
}

#[tokio::test]
async fn a_fee_above_the_approved_ceiling_is_refused_and_below_it_lowered() {
    let anvil = Anvil::start().await;
    let network = anvil.connect().await;
    let home = tempfile::tempdir().expect("a directory");
    let transactions = Transactions::new(network.clone(), Arc::new(FileLog::at(&home.path().join("log"))));
    let fees = network.fees().await.expect("fees");
    let ceiling = U256::from(21_000) * U256::from(fees.base_fee + 1);
    let within = |max_total_fee| Terms { max_total_fee, ..Terms::default() };
    let tx = transactions.prepare_within(&transfer(1), within(ceiling)).await.expect("lowered");
    assert!(U256::from(tx.gas_limit) * U256::from(tx.max_fee_per_gas) <= ceiling);
    let error = transactions.prepare_within(&transfer(1), within(U256::from(1))).await.expect_err("refused");
    assert!(matches!(error, Layer1Error::FeeAboveCeiling { .. }), "{error}");
    transactions.submit(sign(tx)).await.expect("anvil takes it at the lowered fee");
}

#[tokio::test]
async fn a_reorganisation_takes_an_inclusion_back_and_the_transaction_comes_in_again() {
    let anvil = Anvil::start().await;
    let network = Network::connect(NetworkConfig { confirmations: 5, ..anvil.config() }).await.expect("connected");
    let home = tempfile::tempdir().expect("a directory");
    let log = Arc::new(FileLog::at(&home.path().join("log")));
    let transactions = Transactions::new(network.clone(), log);
    let tx = transactions.prepare(&transfer(5), 0).await.expect("prepared");
    let mut receiver = transactions.submit(sign(tx)).await.expect("sent");
    let first = *status(&mut receiver, |s| s.inclusion().is_some()).await.inclusion().expect("in a block");
    mine(&network, 1).await;
    rpc(&network, "evm_setAutomine", json!([false])).await;
    rpc(&network, "anvil_reorg", json!([2, []])).await;
    status(&mut receiver, |status| *status == TransactionStatus::Broadcast).await;
    mine(&network, 1).await;
    let again = *status(&mut receiver, |s| s.inclusion().is_some()).await.inclusion().expect("in a block");
    assert_ne!(again.block_hash, first.block_hash);
    mine(&network, 5).await;
    let confirmed = status(&mut receiver, TransactionStatus::is_settled).await;
    assert_eq!(confirmed, TransactionStatus::Confirmed(again));
}

#[tokio::test]
async fn a_nonce_used_elsewhere_ends_as_replaced() {
    let anvil = Anvil::start().await;
    let network = anvil.connect().await;
    let home = tempfile::tempdir().expect("a directory");
    let log = Arc::new(FileLog::at(&home.path().join("log")));
    let transactions = Transactions::new(network.clone(), log.clone());
    rpc(&network, "evm_setAutomine", json!([false])).await;
    let tx = transactions.prepare(&transfer(5), 0).await.expect("prepared");
    let mut receiver = transactions.submit(sign(tx)).await.expect("sent");
    assert_eq!(*receiver.borrow(), TransactionStatus::Broadcast);
    // The same account outbids it from another wallet.
    let outbid = json!({ "from": ALICE, "to": BOB, "nonce": "0x0", "gas": "0x5208", "gasPrice": "0x174876e800" });
    rpc(&network, "eth_sendTransaction", json!([outbid])).await;
    mine(&network, 3).await;
    assert_eq!(status(&mut receiver, TransactionStatus::is_settled).await, TransactionStatus::Replaced);
    assert_eq!(log.all()[0].status, TransactionStatus::Replaced);
}

#[tokio::test]
async fn while_anvil_is_gone_errors_are_clear_and_afterwards_everything_goes_on() {
    let mut anvil = Anvil::start().await;
    let network = anvil.connect().await;
    let home = tempfile::tempdir().expect("a directory");
    let transactions = Transactions::new(network.clone(), Arc::new(FileLog::at(&home.path().join("log"))));
    let signed = sign(transactions.prepare(&transfer(5), 0).await.expect("prepared"));
    let old = *network.head().borrow();
    anvil.kill();

    let error = network.balance(ALICE).await.expect_err("gone");
    let text = error.to_string();
    assert!(
        error.is_temporary() && text.contains("does not answer") && text.contains("check that the node runs"),
        "{text}"
    );
    let mut health = network.health();
    health.wait_for(|health| matches!(health, Health::Unreachable { .. })).await.expect("told");
    let mut receiver = transactions.submit(signed).await.expect("stored, and will be sent");
    assert_eq!(*receiver.borrow(), TransactionStatus::Stored);

    let _anvil = Anvil::start_with(anvil.port, &["--timestamp", "1800000000"]).await;
    health.wait_for(|health| *health == Health::Connected).await.expect("told");
    let included = status(&mut receiver, |status| status.inclusion().is_some()).await;
    assert!(included.inclusion().expect("in a block").success);
    head(&network, |head| head.hash != old.hash).await;
}

#[tokio::test]
async fn another_chain_behind_the_same_address_is_refused() {
    let mut anvil = Anvil::start().await;
    let network = anvil.connect().await;
    anvil.kill();
    let mut health = network.health();
    health.wait_for(|health| matches!(health, Health::Unreachable { .. })).await.expect("told");
    let _other = Anvil::start_with(anvil.port, &["--chain-id", "5"]).await;
    let wrong = |health: &Health| matches!(health, Health::Unreachable { reason } if reason.contains("chain id 5"));
    health.wait_for(wrong).await.expect("told");
    let error = network.balance(ALICE).await.expect_err("refused");
    assert!(matches!(error, Layer1Error::ChainIdMismatch { expected: CHAIN, found: 5, .. }), "{error}");
}

#[tokio::test]
async fn the_last_handle_ends_the_tracker() {
    let anvil = Anvil::start().await;
    let network = anvil.connect().await;
    let mut head = network.head();
    let follower = LogFollower::new(network.clone(), BOB, u64::MAX, None);
    let waiting = tokio::spawn({
        let mut follower = follower;
        async move { follower.next().await }
    });
    network.close();
    assert!(matches!(waiting.await.expect("no panic"), Err(Layer1Error::Closed)));
    drop(network);
    let gone = tokio::time::timeout(POLL * 100, async { while head.changed().await.is_ok() {} });
    gone.await.expect("the sender is gone");
}

/// What a child of the two tests below does: it sends one transaction, and is killed at the write point.
#[tokio::test]
async fn child_that_sends_one_transaction() {
    let (Ok(url), Ok(path)) = (std::env::var("CHILD_URL"), std::env::var("CHILD_LOG")) else { return };
    let config = NetworkConfig::new("test", CHAIN, vec![url.parse().expect("a URL")]);
    let network = Network::connect(config).await.expect("connected");
    let transactions = Transactions::new(network, Arc::new(FileLog::at(path.as_ref())));
    let tx = transactions.prepare(&transfer(5), 0).await.expect("prepared");
    transactions.submit(sign(tx)).await.expect("sent");
}

async fn crash_and_resume(moment: &str) {
    let anvil = Anvil::start().await;
    let network = anvil.connect().await;
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("log");
    let child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "child_that_sends_one_transaction"])
        .env("CHILD_URL", anvil.url().as_str())
        .env("CHILD_LOG", &path)
        .env("ENTRESOL_KILL_AT", format!("layer1.transaction.broadcast:{moment}"))
        .output()
        .expect("the child ran");
    assert_eq!(child.status.signal(), Some(9), "{}", String::from_utf8_lossy(&child.stdout));

    let log = Arc::new(FileLog::at(&path));
    let stored = log.all();
    assert_eq!(stored.len(), 1, "stored before it was broadcast");
    assert_eq!(stored[0].status, TransactionStatus::Stored);
    // "pending": anvil takes a transaction first and mines it a moment later.
    let count = number(&rpc(&network, "eth_getTransactionCount", json!([ALICE, "pending"])).await);
    assert_eq!(count, u64::from(moment == "after"), "the chain has it only if the broadcast happened");

    let transactions = Transactions::new(network.clone(), log.clone());
    assert_eq!(transactions.resume().await.expect("resumed"), [stored[0].hash]);
    mine(&network, 2).await;
    let mut receiver = transactions.follow(stored[0].hash).expect("followed");
    let confirmed = status(&mut receiver, TransactionStatus::is_settled).await;
    assert!(matches!(confirmed, TransactionStatus::Confirmed(inclusion) if inclusion.success));
    let count = number(&rpc(&network, "eth_getTransactionCount", json!([ALICE, "latest"])).await);
    assert_eq!(count, 1, "one transaction, one nonce");
    assert_eq!(log.all().len(), 1);
}

#[tokio::test]
async fn killed_just_before_the_broadcast_it_is_found_and_sent_with_the_same_nonce() {
    crash_and_resume("before").await;
}

#[tokio::test]
async fn killed_just_after_the_broadcast_it_is_found_and_not_sent_again() {
    crash_and_resume("after").await;
}
