//! The books: everything that was moved and every fee that was paid, one line each, for the user's own accounting.
//!
//! Layer-1 transactions speak for themselves: sender, recipient and amount are read out of the signed bytes. What
//! happened on a layer 2 is known from the plugin that tracks it, and marked as its words.

use crate::error::HostError;
use crate::messages::{LedgerFilter, LedgerRow};
use crate::{Actor, Host, Operation};
use alloy::consensus::{Transaction as _, TxEnvelope};
use alloy::eips::eip2718::Decodable2718;
use alloy::primitives::{Address, U256, hex};
use entresol_store::{Transaction, TransactionState, TransferFilter};

/// Most lines of either kind.
const MOST_ROWS: u32 = 100_000;
/// `transfer(address,uint256)` of ERC-20.
const TRANSFER: [u8; 4] = [0xa9, 0x05, 0x9c, 0xbb];

impl Host {
    /// Every layer-1 transaction of the wallet that was or may be included, and what plugins track, oldest first.
    ///
    /// # Errors
    /// Not authorised; not found.
    pub async fn ledger(&self, actor: &Actor, filter: LedgerFilter) -> Result<Vec<LedgerRow>, HostError> {
        self.authorize(actor, &Operation::Read, "ledger")?;
        let solution = filter.solution.as_deref().map(|name| self.find(name)).transpose()?.map(|row| row.id);
        let mut rows = Vec::new();
        for transaction in self.store().transactions(solution, MOST_ROWS)? {
            // Another one took its nonce, or is to: that one has a line.
            if matches!(transaction.state, TransactionState::Replaced | TransactionState::Superseded) {
                continue;
            }
            let name = transaction.solution.map(|id| self.solution_name(id)).transpose()?;
            let mut row = of_transaction(&transaction, name);
            let moved = transaction.approval_id.map(|id| self.store().transfer_by_approval(id)).transpose()?.flatten();
            if let Some(moved) = moved {
                row.kind = moved.kind.as_str().to_owned();
                if transaction.state != TransactionState::Failed {
                    row.amount.clone_from(&moved.amount);
                    row.asset.clone_from(&moved.asset);
                }
            }
            rows.push(row);
        }
        let tracked = TransferFilter {
            solution,
            since: filter.since,
            until: filter.until,
            limit: Some(MOST_ROWS),
            ..Default::default()
        };
        for transfer in self.store().transfers(tracked)?.into_iter().filter(|transfer| transfer.plugin) {
            rows.push(LedgerRow {
                at: transfer.created_at,
                kind: transfer.kind.as_str().to_owned(),
                solution: Some(self.solution_name(transfer.solution)?),
                amount: transfer.amount.clone(),
                asset: transfer.asset.clone(),
                from: None,
                counterparty: None,
                fee: None,
                transaction: transfer.tx_hash.clone(),
                state: transfer.stage.clone(),
                plugin: true,
            });
        }
        let (since, until) = (filter.since.unwrap_or(0), filter.until.unwrap_or(u64::MAX));
        rows.retain(|row| (since..until).contains(&row.at));
        rows.sort_by_key(|row| row.at);
        Ok(rows)
    }
}

fn of_transaction(transaction: &Transaction, solution: Option<String>) -> LedgerRow {
    let (to, value, input) = signed(&transaction.raw).unwrap_or_default();
    let (counterparty, amount, asset) = match (token_transfer(&input), to) {
        (Some((recipient, amount)), Some(token)) if value.is_zero() => {
            (Some(recipient), amount, token.to_checksum(None))
        }
        _ => (to, value, "ETH".to_owned()),
    };
    let fee = transaction.gas_used.zip(transaction.effective_gas_price.as_deref()).and_then(|(gas, price)| {
        let price = U256::from_str_radix(price, 10).ok()?;
        Some(price.saturating_mul(U256::from(gas)).to_string())
    });
    let failed = transaction.state == TransactionState::Failed;
    LedgerRow {
        at: transaction.created_at,
        kind: transaction.purpose.clone(),
        solution,
        amount: if failed { "0".to_owned() } else { amount.to_string() },
        asset,
        from: transaction.from.parse::<Address>().ok().map(|address| address.to_checksum(None)),
        counterparty: counterparty.map(|address| address.to_checksum(None)),
        fee,
        transaction: Some(transaction.hash.clone()),
        state: transaction.state.as_str().to_owned(),
        plugin: false,
    }
}

/// Recipient (none of a creation), value and calldata of signed bytes.
fn signed(raw: &str) -> Option<(Option<Address>, U256, Vec<u8>)> {
    let bytes = hex::decode(raw).ok()?;
    let envelope = TxEnvelope::decode_2718(&mut bytes.as_slice()).ok()?;
    Some((envelope.to(), envelope.value(), envelope.input().to_vec()))
}

/// Recipient and amount of a token's `transfer`.
pub(crate) fn token_transfer(input: &[u8]) -> Option<(Address, U256)> {
    let arguments = input.strip_prefix(&TRANSFER).filter(|arguments| arguments.len() == 64)?;
    let (recipient, amount) = arguments.split_at(32);
    Some((Address::from_slice(recipient.get(12..)?), U256::from_be_slice(amount)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(state: TransactionState, raw: &str) -> Transaction {
        Transaction {
            hash: "0x11".into(),
            chain_id: 1,
            from: "0x9858effd232b4033e47d90003d41ec34ecaeda94".into(),
            nonce: 0,
            raw: raw.into(),
            approval_id: None,
            solution: None,
            purpose: "send".into(),
            state,
            block_number: Some(1),
            block_hash: None,
            success: Some(true),
            gas_used: Some(21_000),
            effective_gas_price: Some("2000000000".into()),
            failure: None,
            created_at: 5,
            updated_at: 5,
        }
    }

    #[test]
    fn a_token_transfer_is_read_out_of_its_calldata() {
        let mut input = TRANSFER.to_vec();
        input.extend([0; 12]);
        input.extend([0xaa; 20]);
        input.extend(U256::from(1500).to_be_bytes::<32>());
        assert_eq!(token_transfer(&input), Some((Address::repeat_byte(0xaa), U256::from(1500))));
        input.push(0);
        assert_eq!(token_transfer(&input), None);
        assert_eq!(token_transfer(&[]), None);
    }

    #[test]
    fn the_fee_is_counted_also_where_nothing_moved() {
        // EIP-155's example: 1 ETH to 0x3535…, legacy.
        let raw = "0xf86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83";
        let row = of_transaction(&sent(TransactionState::Confirmed, raw), None);
        assert_eq!((row.amount.as_str(), row.asset.as_str()), ("1000000000000000000", "ETH"));
        assert_eq!(row.counterparty.as_deref(), Some("0x3535353535353535353535353535353535353535"));
        assert_eq!(row.fee.as_deref(), Some("42000000000000"));
        let row = of_transaction(&sent(TransactionState::Failed, raw), None);
        assert_eq!((row.amount.as_str(), row.fee.as_deref()), ("0", Some("42000000000000")));
    }
}
