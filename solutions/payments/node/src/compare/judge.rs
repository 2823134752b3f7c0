//! The core's part of the comparison: the operator's answers against this replica's own replay.

use alloy::primitives::{Address, B256};
use payments_protocol::{Message, SignedReceipt};
use serde_json::{Value, json};

use super::{Comparison, Finding, Promise};
use crate::core::{Core, now_ms};
use crate::rpc::{Notice, RpcError, code};
use crate::show;
use crate::store::StoreError;

/// Accounts of the newest batch whose leaves are compared in one round.
const ACCOUNTS: usize = 8;

/// Rounds in a row in which the operator may speak of a batch that this replica knows otherwise while the two look at
/// different layer-1 blocks: a reorganisation passes, a lie stays.
const DOUBTS: u32 = 20;

/// What of an account follows from the batch alone.
const LEAF: [&str; 5] = ["balance", "withdrawn", "nonce", "head", "root"];

impl Core {
    /// The operator's `l2_status`.
    pub(crate) fn compare_status(&mut self, told: &Value) -> Result<(), StoreError> {
        let own = show::status(self);
        for name in ["chainId", "gateway", "operator"] {
            if told[name] != own[name] {
                self.differs(&format!("the operator's node names another {name}"), &told[name], &own[name]);
                return Ok(());
            }
        }
        if told["synced"] != true || own["synced"] != true {
            return Ok(());
        }
        let verified = told["verified"].as_str().and_then(|id| id.parse::<u64>().ok());
        // What this replica has of the batch that the operator speaks of.
        let mine = verified.and_then(|id| self.chain.state_after(id)).map(|state| json!(state.root()));
        let same_view = told["head"]["hash"] == own["head"]["hash"];
        let agrees = match same_view {
            true => told["verified"] == own["verified"] && told["root"] == own["root"],
            false => mine.as_ref().is_none_or(|mine| told["root"] == *mine),
        };
        let Some(comparison) = &mut self.comparison else { return Ok(()) };
        comparison.doubts = if agrees { 0 } else { comparison.doubts.saturating_add(1) };
        if !agrees && (same_view || comparison.doubts >= DOUBTS) {
            let text = format!("the operator's root after batch {} is not the replayed one", told["verified"]);
            let told = json!({ "verified": told["verified"], "root": told["root"] });
            self.differs(&text, &told, &json!({ "verified": own["verified"], "root": own["root"] }));
        }
        Ok(())
    }

    /// Accounts to ask about, and the batch after which.
    pub(crate) fn accounts_to_compare(&self) -> Vec<(Address, u64)> {
        let id = self.chain.verified_id();
        let accounts = self.chain.batch_at(id).map(|batch| batch.accounts()).unwrap_or_default();
        accounts.into_iter().take(ACCOUNTS).map(|account| (account, id)).collect()
    }

    /// The operator's `l2_getAccount` at a batch.
    pub(crate) fn compare_account(&mut self, account: Address, batch: u64, told: &Value) -> Result<(), StoreError> {
        let Ok(own) = show::account(self, account, Some(batch)) else { return Ok(()) };
        // Another commitment is another batch: one of the two nodes looks at another fork, which the status tells.
        if told["commitment"] != own["commitment"] {
            return Ok(());
        }
        if let Some(name) = LEAF.iter().find(|name| told[**name] != own[**name]) {
            let text = format!("the operator tells another {name} of {account} after batch {batch}");
            self.differs(&text, &told[*name], &own[*name]);
        }
        Ok(())
    }

    /// Sequence number of the first receipt that was not seen yet.
    pub(crate) fn receipts_seen(&self) -> u64 {
        self.comparison.as_ref().map_or(0, |comparison| comparison.book.next())
    }

    /// A page of the operator's receipts, asked for from the newest one that was seen on.
    pub(crate) fn compare_receipts(&mut self, page: &[SignedReceipt], now_ms: u64) -> Result<(), StoreError> {
        let Some(comparison) = &mut self.comparison else { return Ok(()) };
        let before = comparison.book.next();
        if let Some(newest) = before.checked_sub(1)
            && page.first().is_none_or(|first| first.receipt.sequence != newest)
        {
            let held = comparison.book.receipt(newest)?;
            let text = format!("the operator does not show receipt {newest} any more, which it has given");
            self.differs(&text, &json!(page.first()), &json!(held));
            return Ok(());
        }
        let findings = comparison.book.follow(page, now_ms)?;
        comparison.open.extend(comparison.book.promises(before, usize::MAX)?);
        for finding in findings {
            self.found(finding);
        }
        Ok(())
    }

    /// A receipt that a caller holds: kept, and held against what the operator showed here.
    pub(crate) fn bring_receipt(&mut self, signed: &SignedReceipt) -> Result<Result<Value, RpcError>, StoreError> {
        let Some(comparison) = &mut self.comparison else { return Ok(Err(compares_nothing())) };
        let finding = comparison.book.bring(signed, now_ms())?;
        if let Finding::Forged(why) = finding {
            return Ok(Err(RpcError::new(code::BAD_SIGNATURE, format!("this is no receipt of the operator: {why}"))));
        }
        let contradicts = matches!(finding, Finding::Evidence { .. });
        self.found(finding);
        Ok(Ok(json!({ "contradicts": contradicts })))
    }

    /// Promises that this replica has known for too long and that are not on layer 1: sequence number and message.
    pub(crate) fn overdue_promises(&self, now_ms: u64, limit: usize) -> Vec<Promise> {
        let Some(comparison) = &self.comparison else { return Vec::new() };
        let late = |seen_ms: u64| now_ms.saturating_sub(seen_ms) >= comparison.withheld_after_ms;
        let overdue = comparison.open.iter().filter(|promised| late(promised.seen_ms));
        overdue
            .filter(|promised| !self.took_effect(promised.message))
            .take(limit)
            .map(|promised| (promised.sequence, promised.message))
            .collect()
    }

    /// The operator's `l2_getMessage` about an overdue promise. A message whose nonce went to a forced exit, or to
    /// another message of its sender, can take effect no more: that is nobody's fault.
    pub(crate) fn excuse(&mut self, sequence: u64, id: B256, told: &Value) -> Result<(), StoreError> {
        let Ok(message) = serde_json::from_value::<Message>(told.clone()) else { return Ok(()) };
        let used_up = message.id() == id && self.chain.leaf(message.from).nonce > message.nonce;
        if let Some(comparison) = &mut self.comparison
            && used_up
        {
            comparison.open.retain(|promised| promised.sequence != sequence);
        }
        Ok(())
    }

    /// The end of a round. `trouble`: why it ended early.
    pub(crate) fn compared(&mut self, trouble: Option<String>) -> Result<(), StoreError> {
        let overdue = self.overdue_promises(now_ms(), usize::MAX);
        let Some(comparison) = &mut self.comparison else { return Ok(()) };
        let mut open = std::mem::take(&mut comparison.open);
        open.retain(|promised| !self.took_effect(promised.message));
        let (chain, Some(comparison)) = (&self.chain, &mut self.comparison) else { return Ok(()) };
        comparison.open = open;
        if trouble.is_none() || comparison.found.is_some() {
            comparison.mismatch = comparison.found.take();
        }
        if comparison.trouble.is_none()
            && let Some(why) = &trouble
        {
            tracing::warn!(operator = comparison.url, "the operator's node cannot be compared: {why}");
        }
        comparison.trouble = trouble;
        let (Some((sequence, message)), true) = (overdue.first(), chain.synced) else {
            comparison.withheld = None;
            return Ok(());
        };
        if comparison.withheld.is_some() {
            return Ok(());
        }
        let text = format!("receipt {sequence} was given, but its message is not on layer 1");
        let receipt = comparison.book.receipt(*sequence)?;
        let facts = json!({ "message": message, "receipt": receipt, "overdue": overdue.len().to_string() });
        let notice = Notice::alert("withheld", text, facts);
        comparison.withheld = Some(notice.body.clone());
        self.notify(notice);
        Ok(())
    }

    /// For `l2_status`.
    pub(crate) fn comparison(&self) -> Value {
        // A book that cannot be read ends the node at its next write; until then there is nothing to say.
        self.comparison.as_ref().and_then(|comparison| comparison.show().ok()).unwrap_or(Value::Null)
    }

    /// `l2_getEvidence`.
    pub(crate) fn evidence(&self) -> Result<Value, RpcError> {
        let comparison = self.comparison.as_ref().ok_or_else(compares_nothing)?;
        let evidence = comparison.book.evidence();
        evidence.map(|all| json!(all)).map_err(|error| RpcError::new(code::INTERNAL, error.to_string()))
    }

    fn found(&mut self, finding: Finding) {
        match finding {
            Finding::Fits => {}
            Finding::Forged(why) => {
                self.differs(
                    "the operator's node shows a receipt that is not the operator's",
                    &json!(why),
                    &json!(null),
                );
            }
            Finding::Gap { expected, got } => {
                self.differs(
                    "the operator's node leaves receipts out",
                    &json!(got.to_string()),
                    &json!(expected.to_string()),
                );
            }
            Finding::Evidence { text, body } => {
                if let Some(comparison) = &mut self.comparison {
                    comparison.proven = true;
                }
                self.notify(Notice::alert("equivocation", text, body));
            }
        }
    }

    /// The operator says what this replica knows to be otherwise. Told when it is news.
    fn differs(&mut self, text: &str, told: &Value, own: &Value) {
        let Some(comparison) = &mut self.comparison else { return };
        let facts = json!({ "operatorUrl": comparison.url, "told": told, "own": own });
        let says = |alert: &Option<Value>| alert.as_ref().is_some_and(|alert| alert["text"] == text);
        if says(&comparison.found) || says(&comparison.mismatch) {
            comparison.found = comparison.found.take().or_else(|| comparison.mismatch.clone());
            return;
        }
        let notice = Notice::alert("comparison", text, facts);
        comparison.found = Some(notice.body.clone());
        self.notify(notice);
    }
}

/// What a node without `--operator-url` says.
fn compares_nothing() -> RpcError {
    RpcError::not_found("this node compares nothing; ask a replica that was started with --operator-url")
}

impl Comparison {
    /// Receipts as they were shown, from a sequence number on.
    pub(crate) fn receipts(&self, from: u64, limit: usize) -> Result<Vec<SignedReceipt>, StoreError> {
        let promises = self.book.promises(from, limit)?;
        let mut receipts = Vec::with_capacity(promises.len());
        for promised in promises {
            receipts.extend(self.book.receipt(promised.sequence)?);
        }
        Ok(receipts)
    }
}
