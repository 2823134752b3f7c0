//! Calls that must be included until a block.

use crate::Host;
use crate::error::HostError;
use entresol_layer1::Network;

/// Fewer blocks than this until the deadline are called doubtful.
const FEW_BLOCKS: u64 = 5;

impl Host {
    /// A plain warning when the deadline is near.
    ///
    /// # Errors
    /// The deadline has passed.
    pub(super) async fn deadline_warning(&self, network: &Network, deadline: u64) -> Result<Option<String>, HostError> {
        let head = network.head().borrow().number;
        if deadline <= head {
            return Err(HostError::invalid(format!(
                "withdraw: the deadline, block {deadline}, has passed (now {head})"
            )));
        }
        let left = deadline - head;
        Ok((left < FEW_BLOCKS).then(|| {
            format!("Only {left} blocks are left until the deadline: it is doubtful that the call is included in time.")
        }))
    }
}
