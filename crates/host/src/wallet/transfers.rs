//! The user's history of value: deposits and withdrawals as layer 1 tells them, and what plugins track themselves.

use crate::error::HostError;
use crate::messages::TransferView;
use crate::{Actor, Host, Operation};
use entresol_store::TransferFilter;

impl Host {
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
                approval: row.transfer.approval_id.and_then(|id| i64::try_from(id).ok()),
                created_at: i64::try_from(row.created_at).unwrap_or(i64::MAX),
            });
        }
        Ok(views)
    }
}
