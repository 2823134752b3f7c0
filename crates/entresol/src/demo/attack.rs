//! One attack, failing: the operator posts a batch with a false root, a replica contests it, the batch falls, and what
//! honest users did in it takes effect in the next one.

use alloy::primitives::{B256, U256};
use alloy::sol_types::SolEvent;
use anyhow::{Context as _, ensure};
use payments_contract::PaymentsGateway;
use serde_json::{Value as Json, json};

use super::report::Step;
use super::stage::{ANY_PORT, Node, Stage};
use super::steps::{SHOP, account_of, amount, make_payment};
use super::wallet::PATIENCE;
use crate::devnet::{CHALLENGER, NodeSetup, write_key};
use crate::units::ether_of;

/// What the shop pays in the batch that is false.
const VALUE: u128 = 50_000_000_000_000_000;

pub(super) async fn play(stage: &mut Stage, account: &str) -> anyhow::Result<()> {
    let since = stage.begin("attack", "the operator turns false");
    let mut setup = stage.operator.as_ref().context("the operator was not started")?.setup.clone();
    let from = stage.chain()?.height().await?;

    let replica = NodeSetup {
        role: "replica",
        name: "replica",
        key_file: write_key(stage.dir(), "challenger", CHALLENGER)?,
        listen: ANY_PORT,
        ..setup.clone()
    };
    stage.replica = Some(Node::new(replica, stage.options.kill_node_at.clone()));
    stage.tend().await?;

    // The same operator, database, key and port; only its honesty is another.
    if let Some(mut honest) = stage.operator.take() {
        honest.stop().await;
        setup = honest.setup.clone();
    }
    setup.misbehave = Some("false-root-once");
    stage.operator = Some(Node::new(setup, None));
    stage.tend().await?;

    let message = make_payment(stage, SHOP, account, VALUE).await?;
    let contested = stage
        .until("a replica contests the false batch", PATIENCE, async |stage| {
            let logs = stage.chain()?.logs(from, stage.gateway, PaymentsGateway::Contested::SIGNATURE_HASH).await?;
            Ok(logs.into_iter().next())
        })
        .await?;
    let hash = contested["transactionHash"].as_str().context("the contest's log names no transaction")?.to_owned();
    let receipt = stage.chain()?.mined(&hash).await?;
    let event = decode(&contested)?;
    ensure!(event.claimedRoot != event.correctRoot, "the contest proved nothing");
    ensure!(event.challenger == CHALLENGER.address, "another account contested");
    stage.facts.insert(
        "attack".to_owned(),
        json!({
            "batch": event.id.to_string(),
            "falseRoot": event.claimedRoot,
            "correctRoot": event.correctRoot,
            "challenger": event.challenger,
            "transaction": hash,
            "gas": receipt.gas_used,
        }),
    );
    let what = format!("batch {} with a false root was contested by a replica, and fell", event.id);
    stage.done(since, Step { what, id: Some(hash), gas: Some(receipt.gas_used), ..Step::default() });

    let since = stage.begin("recovery", "the operator goes on honestly");
    let account = account.to_owned();
    stage
        .until("the payment takes effect in an honest batch", PATIENCE, async |stage| {
            let state = stage.state(super::steps::PAYER).await?;
            let entry = account_of(&state, &account);
            let arrived = entry.is_some_and(|entry| {
                amount(&entry["balance"]) == Some(U256::from(VALUE)) && entry["finality"] != "soft"
            });
            Ok(arrived.then_some(()))
        })
        .await?;
    let what = format!("{} paid in the fallen batch took effect in an honest one", ether_of(U256::from(VALUE)));
    stage.done(since, Step { what, id: Some(message), ..Step::default() });
    Ok(())
}

fn decode(log: &Json) -> anyhow::Result<PaymentsGateway::Contested> {
    let topics: Vec<B256> = serde_json::from_value(log["topics"].clone())?;
    let data: alloy::primitives::Bytes = serde_json::from_value(log["data"].clone())?;
    PaymentsGateway::Contested::decode_raw_log(topics, &data).context("the contest's log cannot be read")
}
