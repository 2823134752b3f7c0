//! Reorganisations as the wallet's user and the plugin see them: a deposit that disappears, comes back, changes its
//! block; and what the policy that let it pass has reserved.

use crate::consent::*;
use crate::support::*;
use alloy::primitives::U256;
use entresol_host::messages::{CallInput, NetworkInput, PolicyInput, PolicyView, ReplaceInput, TransferView};
use entresol_host::policy::{DAY_MS, Rule};
use entresol_layer1::Network;
use serde_json::{Value as Json, json};

/// Blocks until an inclusion counts as settled: room for a reorganisation before that.
const CONFIRMATIONS: u64 = 6;
const DEPTH: u64 = 3;

async fn rpc(network: &Network, method: &str, params: Json) -> Json {
    network.request(method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
}

async fn mine(network: &Network, blocks: u64) {
    rpc(network, "anvil_mine", json!([format!("{blocks:#x}")])).await;
}

/// A chain on which blocks come only when the test says so, a gateway, a probe and a policy for its bot.
async fn world() -> (Anvil, Wallet, Network, PolicyView) {
    let anvil = Anvil::start().await;
    let gateway = anvil.deploy().await;
    let wallet = Wallet::new(&anvil).await;
    let slower = NetworkInput {
        name: "dev".into(),
        rpc_urls: vec![anvil.url.clone()],
        chain_id: None,
        confirmations: Some(CONFIRMATIONS),
    };
    wallet.host().network_add(&USER, slower).await.expect("changed");
    wallet.install("probe", CONSENT, Some(gateway)).await.expect("installed");
    wallet.plugin("probe", "running").await;
    grant(&wallet, &bot(), &["topUp"]).await;
    let limit = U256::from(50_000_000_000_000_000_u64);
    let rule = Rule {
        actions: vec!["topUp".into()],
        contracts: vec!["deposit(address)".into()],
        per_call: limit,
        per_window: limit,
        window_ms: DAY_MS,
        max_count: None,
        recipients: None,
        tokens: Vec::new(),
    };
    let input = PolicyInput { caller: bot().key(), solution: "probe".into(), rule, expires_at: None };
    let policy = wallet.host().policy_add(&USER, input).await.expect("a policy");
    let network = anvil.network().await;
    rpc(&network, "evm_setAutomine", json!([false])).await;
    // Blocks to reorganise, below the deposit's.
    mine(&network, DEPTH).await;
    (anvil, wallet, network, policy)
}

async fn staged(wallet: &Wallet, stage: &str) -> TransferView {
    until(&format!("the transfer is {stage}"), async || {
        let transfers = wallet.host().transfers(&USER, Some("probe")).await.expect("transfers");
        transfers.into_iter().find(|transfer| transfer.stage == stage)
    })
    .await
}

/// What the plugin was told, in order, as soon as it is `count` events.
async fn told(wallet: &Wallet, count: usize) -> Vec<String> {
    until(&format!("the plugin is told {count} things"), async || {
        let state = wallet.host().state(&USER, "probe", None, false).await.expect("a state").state;
        let told: Vec<String> =
            state["events"].as_str().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        (told.len() == count).then_some(told)
    })
    .await
}

/// What the plugin was told, in order, as soon as this is the last of it.
async fn told_until(wallet: &Wallet, last: &str) -> Vec<String> {
    until(&format!("the plugin is told {last}"), async || {
        let state = wallet.host().state(&USER, "probe", None, false).await.expect("a state").state;
        let told: Vec<String> =
            state["events"].as_str().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        (told.last().map(String::as_str) == Some(last)).then_some(told)
    })
    .await
}

async fn reserved(wallet: &Wallet, policy: &PolicyView) -> PolicyView {
    let all = wallet.host().policies(&USER).await.expect("policies");
    all.into_iter().find(|one| one.id == policy.id).expect("there")
}

fn fees(policy: &PolicyView) -> U256 {
    policy.used_fees.parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn row_25_a_deposit_that_disappears_goes_back_and_forward_again() {
    let (_anvil, wallet, network, policy) = world().await;
    asked(&wallet, &bot(), "topUp", json!({ "value": "5" }), None).await.expect("sent under the policy");
    let sent = staged(&wallet, "sent").await;
    let open = reserved(&wallet, &policy).await;
    assert_eq!(open.used, "10", "the call's five are settled, the deposit's reserved");
    mine(&network, 1).await;
    let first = staged(&wallet, "included").await;
    assert_eq!(first.id, sent.id);
    let events = told(&wallet, 1).await;
    assert_eq!(events, [format!("+Deposited@{}", first.block.expect("a block"))]);
    assert_eq!(fees(&reserved(&wallet, &policy).await), fees(&open), "included is not settled: the ceiling counts");

    // The chain takes another turn, without the deposit.
    rpc(&network, "anvil_reorg", json!([DEPTH, []])).await;
    let gone = staged(&wallet, "sent").await;
    assert_eq!((gone.id, gone.block), (sent.id, None));
    let events = told(&wallet, 2).await;
    assert_eq!(events[1], events[0].replace('+', "-"), "taken back exactly as it was told");
    assert_eq!(reserved(&wallet, &policy).await.used, "10", "it may still come: nothing is given back");

    // It comes back, in another block, and is settled in the end.
    until("it is in a block again", async || {
        mine(&network, 1).await;
        let transfers = wallet.host().transfers(&USER, Some("probe")).await.expect("transfers");
        (transfers[0].stage == "included").then_some(())
    })
    .await;
    let events = told(&wallet, 3).await;
    assert!(events[2].starts_with("+Deposited@") && events[2] != events[0], "{events:?}");
    mine(&network, CONFIRMATIONS).await;
    let settled = staged(&wallet, "confirmed").await;
    assert_eq!((settled.id, settled.transaction), (sent.id, sent.transaction), "one deposit, one transaction");
    let after = reserved(&wallet, &policy).await;
    assert_eq!(after.used, "10");
    assert!(fees(&after) < fees(&open), "the real fee counts now: {} of {}", after.used_fees, open.used_fees);
    assert_eq!(wallet.host().transfers(&USER, Some("probe")).await.expect("transfers").len(), 1);
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_25_a_deposit_that_changes_its_block_also_while_the_wallet_is_away() {
    let (_anvil, mut wallet, network, policy) = world().await;
    asked(&wallet, &bot(), "topUp", json!({ "value": "5" }), None).await.expect("sent under the policy");
    staged(&wallet, "sent").await;
    let snapshot = rpc(&network, "evm_snapshot", json!([])).await;
    mine(&network, 1).await;
    let first = staged(&wallet, "included").await;
    told(&wallet, 1).await;
    let before = reserved(&wallet, &policy).await;
    wallet.stop().await;
    // Nobody looks while the chain goes back to before the deposit and on without it.
    assert_eq!(rpc(&network, "evm_revert", json!([snapshot])).await, json!(true));
    rpc(&network, "anvil_dropAllTransactions", json!([])).await;
    mine(&network, 2).await;
    wallet.restart().await;
    wallet.plugin("probe", "running").await;
    let back = staged(&wallet, "sent").await;
    assert_eq!((back.id, back.block), (first.id, None));
    assert_eq!(reserved(&wallet, &policy).await.used, before.used);
    until("it is in a block again", async || {
        mine(&network, 1).await;
        let transfers = wallet.host().transfers(&USER, Some("probe")).await.expect("transfers");
        matches!(transfers[0].stage.as_str(), "included" | "confirmed").then_some(())
    })
    .await;
    mine(&network, CONFIRMATIONS).await;
    let settled = staged(&wallet, "confirmed").await;
    assert!(settled.block > first.block, "{:?} after {:?}", settled.block, first.block);
    // The plugin, started afresh, was told of the loss and of the return; and of the deposit itself once more where the
    // wallet stopped before it knew that the plugin had heard.
    let first = format!("Deposited@{}", first.block.expect("a block"));
    let events = told_until(&wallet, &format!("+Deposited@{}", settled.block.expect("a block"))).await;
    let (again, rest) = events.split_at(events.len() - 2);
    assert_eq!(rest[0], format!("-{first}"));
    assert!(again.is_empty() || again == [format!("+{first}")], "{events:?}");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_25_what_the_plugin_was_told_is_taken_back_also_when_it_never_said_that_it_heard() {
    let (_anvil, mut wallet, network, _) = world().await;
    let deaf = CallInput { solution: "probe".into(), action: "deaf".into(), params: Default::default(), id: None };
    wallet.host().call(&USER, deaf).await.expect("deaf");
    asked(&wallet, &bot(), "topUp", json!({ "value": "5" }), None).await.expect("sent under the policy");
    staged(&wallet, "sent").await;
    let snapshot = rpc(&network, "evm_snapshot", json!([])).await;
    mine(&network, 1).await;
    let first = staged(&wallet, "included").await.block.expect("a block");
    told(&wallet, 1).await;
    wallet.stop().await;
    assert_eq!(rpc(&network, "evm_revert", json!([snapshot])).await, json!(true));
    rpc(&network, "anvil_dropAllTransactions", json!([])).await;
    mine(&network, 2).await;
    wallet.restart().await;
    wallet.plugin("probe", "running").await;
    let events = told_until(&wallet, &format!("-Deposited@{first}")).await;
    assert_eq!(events, [format!("+Deposited@{first}"), format!("-Deposited@{first}")], "again, then taken back");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_that_was_cancelled_gives_its_money_back_to_the_policy() {
    let (_anvil, wallet, network, policy) = world().await;
    asked(&wallet, &bot(), "topUp", json!({ "value": "5" }), None).await.expect("sent under the policy");
    let sent = staged(&wallet, "sent").await;
    let open = reserved(&wallet, &policy).await;
    assert_eq!((open.used.as_str(), open.used_count), ("10", 2));
    let cancel = ReplaceInput {
        transaction: sent.transaction.expect("a hash"),
        speed: entresol_layer1::FeeSpeed::Fast,
        request_key: None,
    };
    let proposed = wallet.host().cancel_transaction(&USER, cancel).await.expect("proposed");
    decide(&wallet, &proposed).await;
    wallet.host().approval_wait(&USER, proposed.id, true, DEADLINE).await.expect("there");
    assert_eq!(reserved(&wallet, &policy).await.used, "10", "nobody knows yet which of the two is mined");
    mine(&network, CONFIRMATIONS + 1).await;
    until("the deposit's part is given back", async || {
        let now = reserved(&wallet, &policy).await;
        (now.used == "5" && now.used_count == 1 && fees(&now) < fees(&open)).then_some(())
    })
    .await;
    wallet.host().shutdown().await;
}
