//! What the node bids for its layer-1 transactions, and how long it waits before it bids more. No IO.
//!
//! A batch may wait for cheaper gas, but neither a promise nor an inbox item waits longer than a quarter of FORCE: from
//! then on price is no matter. A contest never waits: a false batch that becomes final costs everybody everything, so the
//! bid rises with the part of the challenge window that is over.

use std::time::Duration;

use crate::layer1::Fees;

/// The part of FORCE after which what waits for a batch is posted at any price: one in this many.
pub(crate) const PATIENT_PART: u64 = 4;

/// How much more than the market a contest bids when its window ends, in percent.
const CONTEST_RISE: u128 = 300;

/// A transaction is not sent again more often than layer 1 makes blocks.
const BLOCK: Duration = Duration::from_secs(12);

/// Most wei per gas that the operator allows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ceilings {
    /// For batches and bonds that can wait.
    pub(crate) batch: Option<u128>,
    /// For contests.
    pub(crate) contest: Option<u128>,
}

/// How soon a transaction must be mined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// It may wait for cheaper gas.
    Patient,
    /// FORCE does not allow waiting.
    Forced,
    /// A contest; so many seconds of so many are over.
    Contest {
        /// Seconds since the batch's block.
        elapsed: u64,
        /// CHALLENGE.
        window: u64,
    },
}

impl Urgency {
    /// What to bid at these prices; `None`: wait for better ones.
    pub(crate) fn bid(self, market: Fees, ceilings: Ceilings) -> Option<Fees> {
        match self {
            Self::Forced => Some(market),
            Self::Patient => {
                let ceiling = ceilings.batch.unwrap_or(u128::MAX);
                (market.price() <= ceiling).then(|| market.capped(ceiling))
            }
            Self::Contest { elapsed, window } => {
                let over = u128::from(elapsed.min(window)) * CONTEST_RISE / u128::from(window.max(1));
                let raise = |fee: u128| fee.saturating_add(fee.saturating_mul(over) / 100);
                let raised =
                    Fees { max_fee: raise(market.max_fee), max_priority_fee: raise(market.max_priority_fee), ..market };
                Some(raised.capped(ceilings.contest.unwrap_or(u128::MAX)))
            }
        }
    }

    /// Time after which a transaction that nobody mines is sent again with a higher bid. `resend`: see `--resend-ms`.
    pub(crate) fn patience(self, resend: Duration) -> Duration {
        match self {
            Self::Patient | Self::Forced => resend,
            Self::Contest { elapsed, window } => {
                let left = window.saturating_sub(elapsed);
                let share = resend.as_secs_f64() * left as f64 / window.max(1) as f64;
                Duration::from_secs_f64(share).clamp(BLOCK.min(resend), resend)
            }
        }
    }
}

impl Fees {
    /// Wei per gas that a transaction pays in the next block.
    pub(crate) fn price(&self) -> u128 {
        self.base.saturating_add(self.max_priority_fee)
    }

    fn capped(self, ceiling: u128) -> Self {
        let max_fee = self.max_fee.min(ceiling);
        Self { max_fee, max_priority_fee: self.max_priority_fee.min(max_fee), ceiling, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKET: Fees = Fees { base: 100, max_fee: 210, max_priority_fee: 10, ceiling: u128::MAX };

    fn ceilings(batch: u128, contest: u128) -> Ceilings {
        Ceilings { batch: Some(batch), contest: Some(contest) }
    }

    #[test]
    fn a_batch_waits_while_layer_1_is_dear_unless_it_is_forced() {
        assert!(Urgency::Patient.bid(MARKET, ceilings(109, 0)).is_none());
        let bid = Urgency::Patient.bid(MARKET, ceilings(110, 0)).expect("cheap enough");
        assert_eq!((bid.max_fee, bid.max_priority_fee, bid.ceiling), (110, 10, 110));
        let bid = Urgency::Forced.bid(MARKET, ceilings(1, 1)).expect("at any price");
        assert_eq!((bid.max_fee, bid.ceiling), (210, u128::MAX));
        assert_eq!(Urgency::Patient.bid(MARKET, Ceilings::default()).map(|bid| bid.max_fee), Some(210));
    }

    #[test]
    fn a_contest_bids_more_and_sooner_as_its_window_shrinks() {
        let contest = |elapsed| Urgency::Contest { elapsed, window: 600 };
        let bid =
            |elapsed, most| contest(elapsed).bid(MARKET, ceilings(1, most)).expect("a contest never waits").max_fee;
        assert_eq!([bid(0, 10_000), bid(300, 10_000), bid(600, 10_000)], [210, 525, 840]);
        assert_eq!(bid(600, 400), 400);
        let resend = Duration::from_secs(60);
        let wait = |elapsed| contest(elapsed).patience(resend).as_secs();
        assert_eq!([wait(0), wait(300), wait(599)], [60, 30, 12]);
        assert_eq!(contest(599).patience(Duration::from_secs(1)), Duration::from_secs(1));
        assert_eq!(Urgency::Patient.patience(resend), resend);
    }
}
