//! What a transaction has to pay now (EIP-1559).

use alloy::primitives::U256;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::Layer1Error;
use crate::network::{Network, latest};

/// How many recent blocks an estimate looks at: four minutes of Ethereum.
const HISTORY: u64 = 20;
/// The priority fee where no endpoint names one: 1 gwei, which every chain includes.
const FALLBACK_PRIORITY_FEE: u128 = 1_000_000_000;
/// The least priority fee that is offered: what geth's block builder asks by default (`--miner.gasprice`).
const LEAST_PRIORITY_FEE: u128 = 1_000_000;

/// How soon a transaction should be included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeeSpeed {
    /// Cheap: it waits when blocks are full. The 10th percentile of recent tips.
    Slow,
    /// In one of the next blocks as a rule. The median of recent tips.
    #[default]
    Normal,
    /// In the next block as a rule. The 90th percentile of recent tips.
    Fast,
}

impl FeeSpeed {
    /// Where this speed stands in the percentiles asked for.
    const fn index(self) -> usize {
        match self {
            Self::Slow => 0,
            Self::Normal => 1,
            Self::Fast => 2,
        }
    }

    /// By how many quarters of the base fee the maximal fee may outgrow it. A full block raises the base fee by an
    /// eighth: 5/4 lasts one full block, 2 lasts five, 3 lasts nine.
    const fn quarters(self) -> u128 {
        match self {
            Self::Slow => 5,
            Self::Normal => 8,
            Self::Fast => 12,
        }
    }
}

/// EIP-1559 fees for a transaction sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fees {
    /// Base fee of the next block, or of the newest where the endpoint tells no more; wei per gas.
    pub base_fee: u128,
    /// Some base fees, depending on the speed, plus the priority fee; wei per gas.
    pub max_fee_per_gas: u128,
    /// What the block's builder gets, wei per gas.
    pub max_priority_fee_per_gas: u128,
}

impl Fees {
    fn at(speed: FeeSpeed, base_fee: u128, priority: u128) -> Self {
        let room = base_fee.saturating_mul(speed.quarters()) / 4;
        Self { base_fee, max_fee_per_gas: room.saturating_add(priority), max_priority_fee_per_gas: priority }
    }

    /// Lowers the fees so that gas × maximal fee stays below `ceiling` wei, as long as the base fee of now is still
    /// paid.
    pub(crate) fn within(self, gas_limit: u64, ceiling: U256) -> Result<Self, Layer1Error> {
        let gas = U256::from(gas_limit);
        if gas.saturating_mul(U256::from(self.max_fee_per_gas)) <= ceiling {
            return Ok(self);
        }
        let affordable = ceiling.checked_div(gas).unwrap_or(U256::MAX);
        let max_fee_per_gas = u128::try_from(affordable).unwrap_or(u128::MAX);
        if max_fee_per_gas < self.base_fee {
            return Err(Layer1Error::FeeAboveCeiling {
                needed: gas.saturating_mul(U256::from(self.base_fee)),
                ceiling,
            });
        }
        let max_priority_fee_per_gas = self.max_priority_fee_per_gas.min(max_fee_per_gas);
        Ok(Self { max_fee_per_gas, max_priority_fee_per_gas, ..self })
    }
}

/// The answer of `eth_feeHistory`, as far as it is needed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct History {
    base_fee_per_gas: Vec<U256>,
    #[serde(default)]
    gas_used_ratio: Vec<f64>,
    #[serde(default)]
    reward: Option<Vec<Vec<U256>>>,
}

impl History {
    /// The base fee of the next block: the list has one entry more than there are blocks.
    fn next_base_fee(&self) -> Option<u128> {
        self.base_fee_per_gas.last().and_then(|fee| u128::try_from(*fee).ok()).filter(|fee| *fee > 0)
    }

    /// The median over the blocks that held transactions. Empty blocks report a tip of zero that nobody paid.
    fn priority(&self, speed: FeeSpeed) -> Option<u128> {
        let rewards = self.reward.as_ref()?;
        let used = |block: usize| self.gas_used_ratio.get(block).is_none_or(|ratio| *ratio > 0.0);
        let mut tips: Vec<u128> = rewards
            .iter()
            .enumerate()
            .filter(|(block, _)| used(*block))
            .filter_map(|(_, tips)| u128::try_from(*tips.get(speed.index())?).ok())
            .collect();
        tips.sort_unstable();
        tips.get(tips.len() / 2).copied()
    }
}

impl Network {
    /// EIP-1559 fees for a transaction sent now, at ordinary speed.
    ///
    /// # Errors
    /// Those of [`Network::fees_at`].
    pub async fn fees(&self) -> Result<Fees, Layer1Error> {
        self.fees_at(FeeSpeed::Normal).await
    }

    /// EIP-1559 fees for a transaction sent now: tips of the last 20 blocks (`eth_feeHistory`), and where the endpoint
    /// has none, `eth_maxPriorityFeePerGas`, then `eth_gasPrice` less the base fee.
    ///
    /// # Errors
    /// Those of [`Network::request`]; [`Layer1Error::BadAnswer`] on a chain without base fee.
    pub async fn fees_at(&self, speed: FeeSpeed) -> Result<Fees, Layer1Error> {
        let asked = json!([format!("{HISTORY:#x}"), "latest", [10, 50, 90]]);
        let history = optional(self.get::<History>("eth_feeHistory", asked).await)?;
        let base_fee = match history.as_ref().and_then(History::next_base_fee) {
            Some(fee) => fee,
            None => latest(self.rpc()).await?.base_fee_per_gas.ok_or_else(|| Layer1Error::BadAnswer {
                method: "eth_getBlockByNumber".to_owned(),
                reason: "the chain has no base fee, so it does not know EIP-1559".to_owned(),
            })?,
        };
        let priority = match history.and_then(|history| history.priority(speed)) {
            Some(priority) => priority,
            None => self.suggested_priority_fee(base_fee).await?,
        };
        Ok(Fees::at(speed, base_fee, priority.max(LEAST_PRIORITY_FEE)))
    }

    async fn suggested_priority_fee(&self, base_fee: u128) -> Result<u128, Layer1Error> {
        let wei = |fee: U256| u128::try_from(fee).unwrap_or(u128::MAX);
        if let Some(fee) = optional(self.get::<U256>("eth_maxPriorityFeePerGas", json!([])).await)? {
            return Ok(wei(fee));
        }
        let price = optional(self.get::<U256>("eth_gasPrice", json!([])).await)?;
        Ok(price.map_or(FALLBACK_PRIORITY_FEE, |price| wei(price).saturating_sub(base_fee)))
    }
}

/// Methods of advice are optional on many endpoints: an endpoint's refusal is no failure.
fn optional<T>(result: Result<T, Layer1Error>) -> Result<Option<T>, Layer1Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Layer1Error::Rpc { .. } | Layer1Error::BadAnswer { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
