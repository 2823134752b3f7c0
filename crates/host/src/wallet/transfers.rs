//! The user's history of value: deposits and withdrawals as layer 1 tells them, and what plugins track themselves.

use super::Request;
use crate::error::HostError;
use crate::messages::TransferView;
use crate::text::clean;
use crate::{Actor, Host, Operation, now, wire};
use entresol_store::{NewTransfer, TransferFilter, TransferKind, TransferUpdate};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// Most stages of one transfer.
const MAX_STAGES: usize = 8;
/// Longest name of a stage or an asset, in characters.
const MAX_NAME: usize = 32;
/// Most transfers that one plugin may add in a minute.
const MAX_A_MINUTE: usize = 120;
/// Most changes of stage in a minute.
const MAX_UPDATES_A_MINUTE: usize = 1200;
/// Most transfers that one plugin may add in a day: what a disk bears for years.
const MAX_A_DAY: usize = 10_000;
/// The minute of the limits above.
const MINUTE: Duration = Duration::from_secs(60);
/// The day of the limit above.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Host {
    /// A transfer that the plugin itself follows: the amount, the asset and the stages are its words.
    pub(super) async fn track_transfer(&self, request: &Request) -> Result<Json, HostError> {
        let solution = request.running.id;
        let new = new_transfer(solution, &request.params["transfer"])?;
        self.inner.rates.take(solution, "trackTransfer", MAX_A_MINUTE, MINUTE)?;
        self.inner.rates.take(solution, "trackTransfer (a day)", MAX_A_DAY, DAY)?;
        let transfer = self.store().create_transfer(&new, now())?;
        self.changed();
        Ok(json!(transfer.id))
    }

    /// Another of its own stages, forwards or back.
    pub(super) async fn update_transfer(&self, request: &Request) -> Result<Json, HostError> {
        let solution = request.running.id;
        let id = wire::uint(&request.params["id"])
            .and_then(|id| u64::try_from(id).ok())
            .ok_or_else(|| HostError::invalid("updateTransfer: id must be the number that trackTransfer gave"))?;
        // One answer for "not there", "another's" and "the wallet's own": a plugin learns of nothing else.
        let unknown = || HostError::not_found(format!("updateTransfer: this plugin tracks no transfer {id}"));
        let known = self.store().transfer(id).map_err(|_| unknown())?;
        if known.transfer.solution != solution || !known.transfer.plugin {
            return Err(unknown());
        }
        let stage = clean(request.params["stage"].as_str().unwrap_or_default(), MAX_NAME);
        let stages: Vec<&str> = known.stages.as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        if !stages.contains(&stage.as_str()) {
            return Err(HostError::invalid(format!(
                "updateTransfer: {stage:?} is not one of its stages: {}",
                stages.join(", ")
            )));
        }
        self.inner.rates.take(solution, "updateTransfer", MAX_UPDATES_A_MINUTE, MINUTE)?;
        self.store().update_transfer(id, &TransferUpdate { stage: Some(stage), ..TransferUpdate::default() }, now())?;
        self.changed();
        Ok(Json::Null)
    }

    /// Deposits and withdrawals, newest first.
    ///
    /// # Errors
    /// Not authorised; not found.
    pub async fn transfers(&self, actor: &Actor, solution: Option<&str>) -> Result<Vec<TransferView>, HostError> {
        self.authorize(actor, &Operation::Read, "transfers")?;
        let solution = solution.map(|name| self.find(name)).transpose()?.map(|row| row.id);
        let mut views = Vec::new();
        for row in self.store().transfers(TransferFilter { solution, ..TransferFilter::default() })? {
            let name = self.store().solution(row.transfer.solution)?.map(|found| found.spec.name);
            let transaction = match &row.transfer.tx_hash {
                Some(hash) => self.store().transaction(hash)?,
                None => None,
            };
            views.push(TransferView {
                id: i64::try_from(row.id).unwrap_or(i64::MAX),
                solution: name.unwrap_or_else(|| row.transfer.solution.to_string()),
                kind: row.transfer.kind.as_str().to_owned(),
                function: row.transfer.detail["function"].as_str().unwrap_or_default().to_owned(),
                amount: row.transfer.amount,
                stage: row.transfer.stage,
                gas_used: transaction.as_ref().and_then(|tx| tx.gas_used),
                block: transaction.as_ref().and_then(|tx| tx.block_number),
                transaction: row.transfer.tx_hash,
                asset: row.transfer.asset,
                plugin: row.transfer.plugin,
                approval: row.transfer.approval_id.and_then(|id| i64::try_from(id).ok()),
                created_at: i64::try_from(row.created_at).unwrap_or(i64::MAX),
            });
        }
        Ok(views)
    }
}

fn new_transfer(solution: i64, given: &Json) -> Result<NewTransfer, HostError> {
    let wrong = |what: &str| HostError::invalid(format!("trackTransfer: {what}"));
    let kind = match given["kind"].as_str() {
        Some("deposit") => TransferKind::Deposit,
        Some("withdrawal") => TransferKind::Withdrawal,
        Some("payment-in") => TransferKind::PaymentIn,
        Some("payment-out") => TransferKind::PaymentOut,
        _ => return Err(wrong("kind is deposit, withdrawal, payment-in or payment-out")),
    };
    let amount = wire::uint(&given["amount"]).ok_or_else(|| wrong("amount must be a BigInt in the asset's unit"))?;
    let name = |value: &Json| value.as_str().filter(|text| !text.is_empty()).map(|text| clean(text, MAX_NAME));
    let asset = match &given["asset"] {
        Json::Null => "ETH".to_owned(),
        other => name(other).ok_or_else(|| wrong("asset must be a short text"))?,
    };
    let stages: Option<Vec<String>> = given["stages"].as_array().and_then(|list| list.iter().map(name).collect());
    let stages = stages.filter(|stages| {
        let distinct = stages.iter().enumerate().all(|(i, stage)| !stages[..i].contains(stage));
        (1..=MAX_STAGES).contains(&stages.len()) && distinct
    });
    let stages = stages.ok_or_else(|| wrong(&format!("stages are 1 to {MAX_STAGES} different short texts")))?;
    Ok(NewTransfer {
        solution,
        kind,
        amount: amount.to_string(),
        asset,
        stage: stages[0].clone(),
        stages: json!(stages),
        plugin: true,
        approval_id: None,
        tx_hash: None,
        detail: json!({}),
    })
}
