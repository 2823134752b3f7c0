//! Replacement, cancellation, transactions that are stuck, and reorganisations that undo what was confirmed.

use std::sync::Arc;

use entresol_layer1::*;
use serde_json::json;

use crate::proxy::{Mode, Proxy};
use crate::support::*;

const NO_CEILING: U256 = U256::MAX;

struct Desk {
    anvil: Anvil,
    network: Network,
    log: Arc<FileLog>,
    transactions: Transactions,
    home: tempfile::TempDir,
}

impl Desk {
    /// Confirmed with two blocks, buried with `reorg_limit`; blocks only on demand.
    async fn open(reorg_limit: u64) -> Self {
        let anvil = Anvil::start().await;
        let network = Network::connect(NetworkConfig { reorg_limit, ..anvil.config() }).await.expect("connected");
        rpc(&network, "evm_setAutomine", json!([false])).await;
        let home = tempfile::tempdir().expect("a directory");
        let log = Arc::new(FileLog::at(&home.path().join("log")));
        let transactions = Transactions::new(network.clone(), log.clone());
        Self { anvil, network, log, transactions, home }
    }

    async fn send(&self, value: u64) -> (B256, tokio::sync::watch::Receiver<TransactionStatus>) {
        let stored = sign(self.transactions.prepare(&transfer(value), 0).await.expect("prepared"));
        (stored.hash, self.transactions.submit(stored).await.expect("sent"))
    }

    async fn count(&self) -> u64 {
        number(&rpc(&self.network, "eth_getTransactionCount", json!([ALICE, "latest"])).await)
    }
}

#[tokio::test]
async fn a_replacement_wins_and_the_old_one_ends_as_replaced() {
    let desk = Desk::open(64).await;
    let (old, mut old_status) = desk.send(5).await;
    let tx = desk.transactions.prepare_replacement(old, FeeSpeed::Fast, NO_CEILING).await.expect("prepared");
    let first = decoded(&desk.log.all()[0]);
    assert_eq!((tx.nonce, tx.to, tx.value, tx.gas_limit), (first.nonce, first.to, first.value, first.gas_limit));
    assert!(tx.max_fee_per_gas * 8 >= first.max_fee_per_gas * 9);
    assert!(tx.max_priority_fee_per_gas * 8 >= first.max_priority_fee_per_gas * 9);
    let new = sign(tx);
    let new_hash = new.hash;
    let mut new_status = desk.transactions.submit_replacement(old, new).await.expect("sent");
    assert_eq!(*old_status.borrow(), TransactionStatus::Superseded);
    assert_eq!(desk.transactions.open().len(), 2, "both are followed");
    mine(&desk.network, 2).await;
    let confirmed = status(&mut new_status, TransactionStatus::is_settled).await;
    assert!(matches!(confirmed, TransactionStatus::Confirmed(_)), "{confirmed:?}");
    assert_eq!(status(&mut old_status, TransactionStatus::is_settled).await, TransactionStatus::Replaced);
    assert_eq!(desk.count().await, 1, "one of the two");
    let logged: Vec<_> = desk.log.all().into_iter().map(|one| (one.hash, one.status)).collect();
    assert_eq!(logged, [(old, TransactionStatus::Replaced), (new_hash, confirmed)]);
    let error = desk.transactions.prepare_cancel(old, NO_CEILING).await.expect_err("too late");
    assert!(matches!(error, Layer1Error::NotReplaceable { .. }), "{error}");
}

#[tokio::test]
async fn a_cancelled_transaction_moves_nothing() {
    let desk = Desk::open(64).await;
    let before = desk.network.balance(BOB).await.expect("a balance");
    let (old, mut old_status) = desk.send(5).await;
    let (call, tx) = desk.transactions.prepare_cancel(old, NO_CEILING).await.expect("prepared");
    assert_eq!((call.from, call.to, call.value), (ALICE, ALICE.into(), U256::ZERO));
    let mut cancel = desk.transactions.submit_replacement(old, sign(tx)).await.expect("sent");
    mine(&desk.network, 2).await;
    status(&mut cancel, |status| matches!(status, TransactionStatus::Confirmed(_))).await;
    status(&mut old_status, |status| *status == TransactionStatus::Replaced).await;
    assert_eq!(desk.network.balance(BOB).await.expect("a balance"), before);
}

#[tokio::test]
async fn the_old_one_may_win_and_a_reorganisation_turns_it_round() {
    let desk = Desk::open(64).await;
    let snapshot = rpc(&desk.network, "evm_snapshot", json!([])).await;
    let (old, mut old_status) = desk.send(5).await;
    // The replacement is stored and lost on its way: the node never sees it, and mines the old one.
    let proxy = Proxy::to(desk.anvil.url()).await;
    let beside = Network::connect(NetworkConfig { rpc_urls: vec![proxy.url.clone()], ..desk.anvil.config() }).await;
    let transactions = Transactions::new(beside.expect("connected"), desk.log.clone());
    assert_eq!(transactions.resume().await.expect("resumed"), [old]);
    let mut old_beside = transactions.follow(old).expect("followed");
    let tx = transactions.prepare_replacement(old, FeeSpeed::Normal, NO_CEILING).await.expect("prepared");
    proxy.set(Mode::Down);
    let new = sign(tx);
    let mut new_status = transactions.submit_replacement(old, new.clone()).await.expect("stored");
    mine(&desk.network, 1).await;
    proxy.set(Mode::Pass);
    status(&mut old_beside, |status| status.inclusion().is_some()).await;
    status(&mut new_status, |status| *status == TransactionStatus::Superseded).await;
    mine(&desk.network, 1).await;
    status(&mut old_beside, |status| matches!(status, TransactionStatus::Confirmed(_))).await;
    status(&mut new_status, |status| *status == TransactionStatus::Replaced).await;
    status(&mut old_status, |status| matches!(status, TransactionStatus::Confirmed(_))).await;

    // All of that is undone; now the replacement is broadcast again, being the higher offer, and is mined.
    assert_eq!(rpc(&desk.network, "evm_revert", json!([snapshot])).await, json!(true));
    status(&mut old_beside, |status| status.inclusion().is_none()).await;
    status(&mut new_status, |status| *status == TransactionStatus::Broadcast).await;
    mine(&desk.network, 4).await;
    status(&mut new_status, |status| matches!(status, TransactionStatus::Confirmed(_))).await;
    status(&mut old_beside, |status| *status == TransactionStatus::Replaced).await;
    assert_eq!(desk.count().await, 1);
}

#[tokio::test]
async fn a_replacement_above_the_ceiling_is_refused_and_a_refused_one_leaves_the_old() {
    let desk = Desk::open(64).await;
    let (old, mut old_status) = desk.send(5).await;
    let error = desk.transactions.prepare_replacement(old, FeeSpeed::Fast, U256::from(1)).await.expect_err("too low");
    assert!(matches!(error, Layer1Error::FeeAboveCeiling { .. }), "{error}");
    // Without a bump the node refuses it.
    let mut same = decoded(&desk.log.all()[0]);
    same.value = U256::from(6);
    let refused = sign(same);
    let error = desk.transactions.submit_replacement(old, refused.clone()).await.expect_err("underpriced");
    assert!(error.to_string().to_lowercase().contains("underpriced"), "{error}");
    status(&mut old_status, |status| *status == TransactionStatus::Broadcast).await;
    // Its nonce is still the old one's.
    assert_eq!(desk.transactions.prepare(&transfer(7), 0).await.expect("prepared").nonce, 1);
    // And nobody else gets it by mistake.
    let mut other = decoded(&desk.log.all()[0]);
    other.value = U256::from(8);
    let error = desk.transactions.submit(sign(other)).await.expect_err("taken");
    assert!(error.to_string().contains("nonce 0 belongs to"), "{error}");
    mine(&desk.network, 2).await;
    status(&mut old_status, |status| matches!(status, TransactionStatus::Confirmed(_))).await;
}

#[tokio::test]
async fn stuck_transactions_say_why() {
    let desk = Desk::open(64).await;
    let words = |hash| {
        let transactions = desk.transactions.clone();
        async move { transactions.is_stuck(hash, 0).await.expect("answered").expect("stuck").reason }
    };
    // Nonce 1 goes out while nonce 0 is given back: a gap.
    let first = desk.transactions.prepare(&transfer(1), 0).await.expect("prepared");
    let (behind, mut behind_status) = desk.send(2).await;
    desk.transactions.release(ALICE, first.nonce);
    assert_eq!(words(behind).await, StuckReason::NonceGap { missing: 0, nonce: 1 });
    assert!(desk.transactions.is_stuck(behind, 5).await.expect("answered").is_none(), "not for so long yet");
    // The next one fills it.
    let (filler, mut filler_status) = desk.send(3).await;
    assert_eq!(desk.transactions.open().iter().find(|one| one.hash == filler).expect("open").nonce, 0);
    mine(&desk.network, 1).await;
    status(&mut filler_status, |status| status.inclusion().is_some()).await;
    status(&mut behind_status, |status| status.inclusion().is_some()).await;
    assert!(desk.transactions.is_stuck(behind, 0).await.expect("answered").is_none(), "it is included");
    // The base fee outgrows what was offered.
    let (poor, _) = desk.send(4).await;
    rpc(&desk.network, "anvil_setNextBlockBaseFeePerGas", json!(["0x174876e800"])).await;
    mine(&desk.network, 1).await;
    let reason = words(poor).await;
    assert!(matches!(reason, StuckReason::Underpriced { .. }), "{reason}");
    // Speeding it up helps.
    let tx = desk.transactions.prepare_replacement(poor, FeeSpeed::Fast, NO_CEILING).await.expect("prepared");
    let mut rich = desk.transactions.submit_replacement(poor, sign(tx)).await.expect("sent");
    mine(&desk.network, 1).await;
    status(&mut rich, |status| status.inclusion().is_some()).await;
}

#[tokio::test]
async fn a_node_that_lost_a_transaction_gets_it_again() {
    let desk = Desk::open(64).await;
    let (hash, mut receiver) = desk.send(5).await;
    rpc(&desk.network, "anvil_dropTransaction", json!([hash])).await;
    mine(&desk.network, 1).await;
    // The next look broadcasts it again.
    let start = std::time::Instant::now();
    while rpc(&desk.network, "eth_getTransactionByHash", json!([hash])).await.is_null() {
        assert!(start.elapsed() < DEADLINE, "never broadcast again");
        tokio::time::sleep(POLL).await;
    }
    mine(&desk.network, 1).await;
    status(&mut receiver, |status| status.inclusion().is_some()).await;
}

#[tokio::test]
async fn a_confirmed_transaction_goes_back_comes_again_in_another_block_and_is_buried() {
    let desk = Desk::open(8).await;
    mine(&desk.network, 3).await;
    let (_, mut receiver) = desk.send(5).await;
    mine(&desk.network, 3).await;
    let TransactionStatus::Confirmed(first) = status(&mut receiver, TransactionStatus::is_settled).await else {
        panic!("confirmed")
    };
    // Deeper than the confirmations: taken back all the same.
    rpc(&desk.network, "anvil_reorg", json!([4, []])).await;
    status(&mut receiver, |status| *status == TransactionStatus::Broadcast).await;
    assert_eq!(desk.log.all()[0].status, TransactionStatus::Broadcast, "the log went back, too");
    mine(&desk.network, 2).await;
    let TransactionStatus::Confirmed(second) = status(&mut receiver, TransactionStatus::is_settled).await else {
        panic!("confirmed again")
    };
    assert_ne!(first.block_hash, second.block_hash);
    mine(&desk.network, 8).await;
    // Buried: the watch ends, and the status stays.
    let end = tokio::time::timeout(DEADLINE, async { while receiver.changed().await.is_ok() {} });
    end.await.expect("the watch ends");
    assert_eq!(*receiver.borrow(), TransactionStatus::Confirmed(second));
    assert!(desk.transactions.open().is_empty());
    assert_eq!(desk.count().await, 1);
}

#[tokio::test]
async fn after_a_restart_a_confirmed_transaction_is_still_taken_back() {
    let desk = Desk::open(64).await;
    let (hash, mut receiver) = desk.send(5).await;
    mine(&desk.network, 2).await;
    status(&mut receiver, TransactionStatus::is_settled).await;
    let Desk { anvil, network, log, transactions, home: _home } = desk;
    drop(transactions);
    rpc(&network, "anvil_reorg", json!([2, []])).await;
    drop(network);
    let network = anvil.connect().await;
    let transactions = Transactions::new(network.clone(), log);
    assert_eq!(transactions.resume().await.expect("resumed"), [hash]);
    let mut receiver = transactions.follow(hash).expect("followed");
    status(&mut receiver, |status| *status == TransactionStatus::Broadcast).await;
    mine(&network, 2).await;
    status(&mut receiver, |status| matches!(status, TransactionStatus::Confirmed(_))).await;
}

#[tokio::test]
async fn a_snapshot_reverted_takes_an_inclusion_back_and_the_transaction_goes_out_again() {
    let desk = Desk::open(64).await;
    mine(&desk.network, 3).await;
    let snapshot = rpc(&desk.network, "evm_snapshot", json!([])).await;
    let (_, mut receiver) = desk.send(5).await;
    mine(&desk.network, 1).await;
    let first = *status(&mut receiver, |s| s.inclusion().is_some()).await.inclusion().expect("in a block");
    assert_eq!(rpc(&desk.network, "evm_revert", json!([snapshot])).await, json!(true));
    status(&mut receiver, |status| *status == TransactionStatus::Broadcast).await;
    mine(&desk.network, 3).await;
    let again = status(&mut receiver, |status| matches!(status, TransactionStatus::Confirmed(_))).await;
    assert_ne!(again.inclusion().expect("in a block").block_hash, first.block_hash);
}

#[tokio::test]
async fn fees_rise_with_the_speed() {
    let anvil = Anvil::start().await;
    let network = anvil.connect().await;
    for tip in 1..=9_u64 {
        let tip = format!("{:#x}", tip * 1_000_000_000);
        let sent = json!({ "from": ALICE, "to": BOB, "maxPriorityFeePerGas": tip, "maxFeePerGas": "0x174876e800" });
        rpc(&network, "eth_sendTransaction", json!([sent])).await;
    }
    let top = block_number(&network).await;
    head(&network, |head| head.number >= top).await;
    let slow = network.fees_at(FeeSpeed::Slow).await.expect("fees");
    let normal = network.fees_at(FeeSpeed::Normal).await.expect("fees");
    let fast = network.fees_at(FeeSpeed::Fast).await.expect("fees");
    assert_eq!(network.fees().await.expect("fees"), normal);
    assert!(slow.max_fee_per_gas < normal.max_fee_per_gas && normal.max_fee_per_gas < fast.max_fee_per_gas);
    assert!(slow.max_priority_fee_per_gas <= normal.max_priority_fee_per_gas);
    let expect = 1_000_000_000..=9_000_000_000_u128;
    assert!(expect.contains(&normal.max_priority_fee_per_gas), "{normal:?}");
    // Endpoints without the history name fees all the same.
    let proxy = Proxy::to(anvil.url()).await;
    proxy.set(Mode::Without(&["eth_feeHistory", "eth_maxPriorityFeePerGas"]));
    let bare = NetworkConfig { rpc_urls: vec![proxy.url.clone()], ..anvil.config() };
    let fees = Network::connect(bare).await.expect("connected").fees().await.expect("fees");
    assert!(fees.max_fee_per_gas >= fees.base_fee && fees.max_priority_fee_per_gas > 0, "{fees:?}");
    assert_eq!(proxy.asked("eth_gasPrice").len(), 1);
}

#[tokio::test]
async fn a_refusal_of_the_only_endpoint_frees_the_nonce_at_once() {
    let anvil = Anvil::start().await;
    let proxy = Proxy::to(anvil.url()).await;
    proxy.set(Mode::Refuse("intrinsic gas too low"));
    let config = NetworkConfig { rpc_urls: vec![proxy.url.clone()], ..anvil.config() };
    let home = tempfile::tempdir().expect("a directory");
    let log = Arc::new(FileLog::at(&home.path().join("log")));
    let transactions = Transactions::new(Network::connect(config).await.expect("connected"), log);
    let tx = transactions.prepare(&transfer(1), 0).await.expect("prepared");
    assert!(matches!(transactions.submit(sign(tx)).await, Err(Layer1Error::Rejected { .. })));
    assert_eq!(transactions.prepare(&transfer(1), 0).await.expect("prepared").nonce, 0);
}
