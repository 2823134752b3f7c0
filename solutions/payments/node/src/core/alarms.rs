//! Alarms that time raises: a false batch that still stands, an inbox item that nobody serves.

use alloy::primitives::B256;
use serde_json::json;

use super::Core;
use crate::args::Role;
use crate::rpc::Notice;

/// What was said already, so that it is said once.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// False batch for which the half-time alarm was raised.
    half_time: Option<B256>,
    /// Inbox item, and how far its time had run.
    item: Option<(u64, Age)>,
    /// The gateway's latest grace: items below the second have the first as their time, if theirs is earlier.
    grace: (u64, u64),
}

/// How far an inbox item's time has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    /// Half of FORCE is over.
    Half,
    /// All of it: the gateway can be halted.
    Over,
}

impl Core {
    /// A false batch that still stands when half of its challenge window is over needs a human.
    pub(super) fn alarm_at_half_time(&mut self) {
        let Some(fault) = self.chain.fault() else { return };
        let commitment = fault.event.commitment;
        let half = fault.block.timestamp.saturating_add(self.chain.terms.challenge / 2);
        if self.chain.head.timestamp < half || self.said.half_time == Some(commitment) {
            return;
        }
        let facts = json!({ "batch": fault.event.id.to_string(), "transaction": fault.transaction });
        let text = format!("batch {} is false and half of its challenge window is over: contest it", fault.event.id);
        self.said.half_time = Some(commitment);
        self.notify(Notice::alert("half-time", text, facts));
    }

    /// How late the oldest inbox item is that nobody serves, where that was not said yet: its index, its age, and the
    /// seconds for which it has waited. Only once the node has caught up: before that every item looks unserved.
    fn late_item(&self) -> Option<(u64, Age, u64)> {
        if !self.chain.synced || self.chain.halted {
            return None;
        }
        let (now, force) = (self.chain.head.timestamp, self.chain.terms.force);
        let item = self.chain.waiting_items().first()?;
        let (floor, end) = self.said.grace;
        let since = if item.index < end { item.time.max(floor) } else { item.time };
        let waited = now.saturating_sub(since);
        let age = match waited {
            waited if waited > force => Age::Over,
            waited if waited > force / 2 => Age::Half,
            _ => return None,
        };
        let said = self.said.item.is_some_and(|(index, said)| index == item.index && said >= age);
        (!said).then_some((item.index, age, waited))
    }

    /// Whether [`alarm_at_age`](Self::alarm_at_age) has something to say, unless a roll-back gave the item grace.
    pub(crate) fn item_is_late(&self) -> bool {
        self.late_item().is_some()
    }

    /// The operator does not serve the inbox. `grace`: what the gateway says of it now. Asked for, not derived from the
    /// events: it depends on which batch was final in the second of the roll-back.
    pub(crate) fn alarm_at_age(&mut self, grace: (u64, u64)) {
        self.said.grace = grace;
        let Some((index, age, waited)) = self.late_item() else { return };
        let Some(item) = self.chain.waiting_items().first() else { return };
        let force = self.chain.terms.force;
        let facts = json!({
            "index": item.index.to_string(),
            "account": item.who,
            "waited": waited.to_string(),
            "force": force.to_string(),
        });
        let (kind, text) = match (age, self.setup.role) {
            (Age::Over, _) => ("overdue", format!("inbox item {index} is overdue: anybody can call halt()")),
            (Age::Half, Role::Operator) => (
                "overdue",
                format!("inbox item {index} waits for half of FORCE: post a batch, or the gateway is halted"),
            ),
            (Age::Half, Role::Replica) => {
                ("withheld", format!("inbox item {index} waits for half of FORCE: the operator does not serve it"))
            }
        };
        self.said.item = Some((index, age));
        self.notify(Notice::alert(kind, text, facts));
    }
}

#[cfg(test)]
mod tests;
