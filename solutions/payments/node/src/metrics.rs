//! What an operator's monitoring reads: counts kept here, gauges read from the core when they are asked for.
//!
//! The Prometheus text format is a few lines to write, and the node has few families: a crate for it would be longer than
//! this file. Counts start at zero with the process, as Prometheus expects.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::core::{Core, now_ms};
use crate::rpc::code;

/// Upper bounds of the commit histogram, in microseconds: from a fast disk's flush to a disk in trouble.
const BOUNDS: [u64; 10] = [500, 1_000, 2_000, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_000_000];

/// Counts of one process.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    accepted: AtomicU64,
    refused: Mutex<BTreeMap<&'static str, u64>>,
    requests: AtomicU64,
    rate_limited: AtomicU64,
    cut_off: AtomicU64,
    connections: AtomicI64,
    subscriptions: AtomicI64,
    transactions: Mutex<BTreeMap<&'static str, Spent>>,
    commits: [AtomicU64; BOUNDS.len()],
    commits_in_all: AtomicU64,
    commit_micros: AtomicU64,
}

type Reading = fn(&Spent) -> f64;

#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    count: u64,
    reverted: u64,
    gas: u64,
    /// As a floating number: Prometheus knows no other, and wei go beyond 64 bits.
    wei: f64,
}

impl Metrics {
    /// A message was promised.
    pub(crate) fn accept(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// A message was refused with this error code.
    pub(crate) fn refuse(&self, code: i64) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(reason(code)).or_default() += 1;
    }

    /// A request arrived.
    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// A request met a rate limit.
    pub(crate) fn rate_limit(&self) {
        self.rate_limited.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was closed because it read too slowly.
    pub(crate) fn cut_off(&self) {
        self.cut_off.fetch_add(1, Ordering::Relaxed);
    }

    /// A group of promises became durable.
    pub(crate) fn commit(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        for (bound, count) in BOUNDS.iter().zip(&self.commits) {
            if micros <= *bound {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.commits_in_all.fetch_add(1, Ordering::Relaxed);
        self.commit_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// A transaction of this node is in a block.
    pub(crate) fn mined(&self, purpose: &'static str, success: bool, gas: u64, price: u128) {
        let mut transactions = self.transactions.lock().unwrap_or_else(PoisonError::into_inner);
        let spent = transactions.entry(purpose).or_default();
        spent.count += 1;
        spent.reverted += u64::from(!success);
        spent.gas = spent.gas.saturating_add(gas);
        spent.wei += gas as f64 * price as f64;
    }

    /// A WebSocket connection opened (1) or closed (-1).
    pub(crate) fn connection(&self, change: i64) {
        self.connections.fetch_add(change, Ordering::Relaxed);
    }

    /// Subscriptions that began, or ended (negative).
    pub(crate) fn subscriptions(&self, change: i64) {
        self.subscriptions.fetch_add(change, Ordering::Relaxed);
    }

    /// Everything in the text format. `queue`: commands that wait for the core.
    pub(crate) fn text(&self, core: &Core, queue: usize) -> String {
        let mut page = Page::default();
        page.family("messages_accepted_total", "counter", "Messages promised.");
        page.value("messages_accepted_total", "", load(&self.accepted));
        page.family("messages_refused_total", "counter", "Messages refused, by reason.");
        for (reason, count) in self.refused.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            page.value("messages_refused_total", &format!("reason=\"{reason}\""), *count as f64);
        }
        page.one("requests_total", "counter", "JSON-RPC requests.", load(&self.requests));
        page.one("rate_limited_total", "counter", "Requests refused by a rate limit.", load(&self.rate_limited));
        page.one("cut_off_total", "counter", "Connections closed because they read too slowly.", load(&self.cut_off));
        page.one("connections", "gauge", "Open WebSocket connections.", gauge(&self.connections));
        page.one("subscriptions", "gauge", "Active subscriptions.", gauge(&self.subscriptions));
        page.one("queue_depth", "gauge", "Commands that wait for the core.", queue as f64);
        self.commits_into(&mut page);
        self.transactions_into(&mut page);
        gauges(core, &mut page);
        page.text
    }

    fn commits_into(&self, page: &mut Page) {
        page.family("commit_seconds", "histogram", "Time in which a group of promises became durable.");
        for (bound, count) in BOUNDS.iter().zip(&self.commits) {
            page.value("commit_seconds_bucket", &format!("le=\"{}\"", *bound as f64 / 1e6), load(count));
        }
        page.value("commit_seconds_bucket", "le=\"+Inf\"", load(&self.commits_in_all));
        page.value("commit_seconds_sum", "", load(&self.commit_micros) / 1e6);
        page.value("commit_seconds_count", "", load(&self.commits_in_all));
    }

    fn transactions_into(&self, page: &mut Page) {
        let transactions = self.transactions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let families: [(&str, &str, Reading); 4] = [
            ("transactions_total", "Transactions of this node that are in blocks.", |spent| spent.count as f64),
            ("transactions_reverted_total", "Those of them that reverted.", |spent| spent.reverted as f64),
            ("gas_used_total", "Gas that they used.", |spent| spent.gas as f64),
            ("gas_wei_total", "Wei that they paid for gas.", |spent| spent.wei),
        ];
        for (name, help, read) in families {
            page.family(name, "counter", help);
            for (purpose, spent) in &transactions {
                page.value(name, &format!("purpose=\"{purpose}\""), read(spent));
            }
        }
    }
}

/// What the core knows.
fn gauges(core: &Core, page: &mut Page) {
    let chain = &core.chain;
    let now = now_ms() / 1_000;
    let since = |time: u64| now.saturating_sub(time) as f64;
    let pending = core.sequencer.as_ref();
    let count = pending.map_or(0, |sequencer| sequencer.pending_count());
    page.one("pending_messages", "gauge", "Promised messages that are in no batch.", count as f64);
    let oldest = pending.and_then(|sequencer| sequencer.pending().next()).map_or(0.0, |message| since(message.time));
    page.one("pending_age_seconds", "gauge", "Age of the oldest of them.", oldest);
    let receipts = pending.map_or(0, |sequencer| sequencer.receipts());
    page.one("receipts", "gauge", "Receipts ever given.", receipts as f64);
    for (name, help, id) in [
        ("batches_standing", "Newest standing batch.", chain.next_id() - 1),
        ("batches_verified", "Newest batch that was replayed and is true.", chain.verified_id()),
        ("batches_final", "Newest final batch.", chain.final_id()),
    ] {
        page.one(name, "gauge", help, id as f64);
    }
    page.one("fault", "gauge", "1 while a standing batch is false.", flag(chain.fault().is_some()));
    page.one("halted", "gauge", "1 when the gateway is halted.", flag(chain.halted));
    page.one("synced", "gauge", "1 when layer 1 was read to its end.", flag(chain.synced));
    page.one("layer1_trouble", "gauge", "1 while layer 1 cannot be followed.", flag(core.layer1_trouble.is_some()));
    page.one("layer1_head", "gauge", "Number of the newest layer-1 block.", chain.head.number as f64);
    page.one("layer1_head_age_seconds", "gauge", "Age of that block.", since(chain.head.timestamp));
    let waiting = chain.waiting_items();
    page.one("inbox_waiting", "gauge", "Inbox items that no batch has consumed.", waiting.len() as f64);
    let oldest = waiting.first().map_or(0.0, |item| chain.head.timestamp.saturating_sub(item.time) as f64);
    page.one("inbox_age_seconds", "gauge", "Age of the oldest of them, by layer 1's clock.", oldest);
    page.one("force_seconds", "gauge", "Age at which the gateway can be halted.", chain.terms.force as f64);
    let open = core.open_transactions().count();
    page.one("open_transactions", "gauge", "Transactions of this node that are in no block.", open as f64);
    page.one("waits_for_gas", "gauge", "1 while a batch waits for cheaper gas.", flag(core.waits_for_gas));
    if let Some(purse) = &core.purse {
        page.one("key_balance_wei", "gauge", "What the node's key has.", f64::from(purse.balance));
        page.one("key_needed_wei", "gauge", "What it should have.", f64::from(purse.needed));
        if let Some(bond) = purse.bond {
            page.one("bond_wei", "gauge", "The operator's bond.", f64::from(bond));
        }
    }
    page.one("min_bond_wei", "gauge", "The bond that a batch needs.", chain.terms.min_bond as f64);
    let comparison = core.comparison();
    if let Some(agrees) = comparison["agrees"].as_bool() {
        page.one("comparison_agrees", "gauge", "1 while the operator's answers agree with the replay.", flag(agrees));
    }
    page.family("alerts_total", "counter", "Alerts, by kind.");
    for (kind, count) in core.alerts.counts() {
        page.value("alerts_total", &format!("kind=\"{kind}\""), count as f64);
    }
}

fn load(count: &AtomicU64) -> f64 {
    count.load(Ordering::Relaxed) as f64
}

fn gauge(value: &AtomicI64) -> f64 {
    value.load(Ordering::Relaxed) as f64
}

fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}

/// One word for an error code.
fn reason(refusal: i64) -> &'static str {
    match refusal {
        code::PARAMS => "malformed",
        code::BAD_SIGNATURE => "bad_signature",
        code::WRONG_NONCE => "wrong_nonce",
        code::WRONG_PREV => "wrong_prev",
        code::INSUFFICIENT_BALANCE => "insufficient_balance",
        code::EXIT_PENDING => "exit_pending",
        code::NOT_OPERATOR => "not_operator",
        code::HALTED => "halted",
        code::BUSY => "busy",
        code::SYNCING => "syncing",
        _ => "other",
    }
}

/// A page in the text format, under one prefix.
#[derive(Default)]
struct Page {
    text: String,
}

/// What all names begin with.
const PREFIX: &str = "entresol_payments_";

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string never fails.
        let _ = writeln!(self.text, "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &str, value: f64) {
        let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = writeln!(self.text, "{PREFIX}{name}{labels} {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        self.value(name, "", value);
    }
}
