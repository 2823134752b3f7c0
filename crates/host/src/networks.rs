//! Layer-1 networks at work: connecting again and again, following transactions into transfers, and telling plugins of
//! blocks and gateway events.

use crate::error::{HostError, code};
use crate::gateway::Gateway;
use crate::messages::{NetworkInput, NetworkView};
use crate::solutions::Running;
use crate::{Actor, Capability, Host, Operation, locked, now};
use alloy::primitives::{B256, Bytes};
use entresol_layer1::{
    Layer1Error, LogEvent, LogFollower, Network, NetworkConfig, Position, StoredTransaction, TransactionLog,
    TransactionLogError, TransactionStatus, Transactions,
};
use entresol_store::{Store, TransactionState, TransactionUpdate};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use url::Url;

/// Pause before a network or follower that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Blocks after which an inclusion counts as settled on a real chain.
const CONFIRMATIONS: u64 = 12;
/// Chain ids of development chains, where one block is enough.
const DEVELOPMENT: [u64; 2] = [1337, 31337];

/// How far a plugin is told of its gateway's events, as the store keeps it.
#[derive(Serialize, Deserialize)]
struct Cursor {
    #[serde(flatten)]
    position: Position,
    /// The events up to the position that it may not have been told of.
    #[serde(default)]
    untold: Vec<LogEvent>,
}

/// A connected network.
#[derive(Clone)]
pub(crate) struct Runtime {
    pub(crate) network: Network,
    pub(crate) transactions: Transactions,
}

struct Slot {
    runtime: watch::Sender<Option<Runtime>>,
    problem: Mutex<Option<String>>,
}

/// All networks of the wallet.
#[derive(Default)]
pub(crate) struct Networks {
    slots: Mutex<BTreeMap<String, Arc<Slot>>>,
}

impl Networks {
    pub(crate) fn ready(&self) -> Vec<(String, Runtime)> {
        let slots = locked(&self.slots);
        slots.iter().filter_map(|(name, slot)| Some((name.clone(), slot.runtime.borrow().clone()?))).collect()
    }

    pub(crate) fn close(&self) {
        for (_, runtime) in self.ready() {
            runtime.network.close();
        }
        locked(&self.slots).clear();
    }

    fn slot(&self, name: &str) -> Option<Arc<Slot>> {
        locked(&self.slots).get(name).cloned()
    }
}

impl Host {
    /// Adds a layer-1 network after checking that its endpoint serves the chain it should.
    ///
    /// # Errors
    /// Not authorised; another chain id; the name is taken by another chain; no endpoint answers.
    pub async fn network_add(&self, actor: &Actor, input: NetworkInput) -> Result<NetworkView, HostError> {
        self.authorize(actor, &Operation::Decide, "network_add")?;
        check_name("network name", &input.name)?;
        let mut urls = Vec::new();
        for text in &input.rpc_urls {
            let url = Url::parse(text).map_err(|e| HostError::invalid(format!("RPC URL {text:?}: {e}")))?;
            urls.push(url);
        }
        let first = urls.first().ok_or_else(|| HostError::invalid("a network needs at least one RPC URL"))?;
        let chain_id = match input.chain_id {
            Some(id) => id,
            None => entresol_layer1::probe_chain_id(first).await?,
        };
        if let Some(known) = self.store().network(&input.name)?
            && known.chain_id != chain_id
        {
            return Err(HostError::invalid(format!(
                "network {:?} is chain {} already; choose another name for chain {chain_id}",
                input.name, known.chain_id
            )));
        }
        let record = entresol_store::Network {
            name: input.name.clone(),
            chain_id,
            rpc_urls: input.rpc_urls.clone(),
            confirmations: input.confirmations.unwrap_or(confirmations(chain_id)).max(1),
        };
        self.add_network(record, urls).await?;
        let views = self.network_views()?;
        views.into_iter().find(|view| view.name == input.name).ok_or_else(|| HostError::internal("the network is gone"))
    }

    /// Adds a network, or replaces the settings of the one with this name, once its endpoint has shown its chain id.
    pub(crate) async fn add_network(&self, record: entresol_store::Network, urls: Vec<Url>) -> Result<(), HostError> {
        let network = Network::connect(self.network_config(&record, urls)).await?;
        network.close();
        self.note_first_network()?;
        self.store().put_network(&record)?;
        if let Some(slot) = self.inner.networks.slot(&record.name)
            && let Some(old) = slot.runtime.borrow().clone()
        {
            old.network.close();
        }
        let name = record.name.clone();
        self.start_network(record);
        let _ = tokio::time::timeout(RETRY * 10, self.runtime_ready(&name)).await;
        self.access_changed();
        Ok(())
    }

    /// The networks and how they are.
    ///
    /// # Errors
    /// Not authorised.
    pub async fn networks(&self, actor: &Actor) -> Result<Vec<NetworkView>, HostError> {
        self.authorize(actor, &Operation::Read, "networks")?;
        self.network_views()
    }

    pub(crate) fn network_views(&self) -> Result<Vec<NetworkView>, HostError> {
        let mut views = Vec::new();
        for record in self.store().networks()? {
            let slot = self.inner.networks.slot(&record.name);
            let runtime = slot.as_ref().and_then(|slot| slot.runtime.borrow().clone());
            let problem = match (&slot, &runtime) {
                (_, Some(runtime)) => match &*runtime.network.health().borrow() {
                    entresol_layer1::Health::Connected => None,
                    entresol_layer1::Health::Unreachable { reason }
                    | entresol_layer1::Health::Stale { reason, .. }
                    | entresol_layer1::Health::Disagree { reason } => Some(reason.clone()),
                },
                (Some(slot), None) => Some(locked(&slot.problem).clone().unwrap_or_else(|| "connecting".to_owned())),
                (None, None) => Some("not started".to_owned()),
            };
            views.push(NetworkView {
                name: record.name,
                chain_id: record.chain_id,
                rpc_urls: record.rpc_urls,
                confirmations: record.confirmations,
                head: runtime.map(|runtime| runtime.network.head().borrow().number),
                problem,
            });
        }
        Ok(views)
    }

    fn network_config(&self, record: &entresol_store::Network, urls: Vec<Url>) -> NetworkConfig {
        let mut config = NetworkConfig::new(&record.name, record.chain_id, urls);
        config.confirmations = record.confirmations;
        config.poll_interval = self.inner.config.poll_interval;
        if DEVELOPMENT.contains(&record.chain_id) {
            // Such a chain makes blocks on demand: standing still is no fault.
            config.stale_after = Duration::MAX;
        }
        config
    }

    /// Connects in the background, again and again until it succeeds; then takes up what was open.
    pub(crate) fn start_network(&self, record: entresol_store::Network) {
        let slot = Arc::new(Slot { runtime: watch::Sender::new(None), problem: Mutex::new(None) });
        locked(&self.inner.networks.slots).insert(record.name.clone(), Arc::clone(&slot));
        let (host, cancel) = (self.clone(), self.child_token());
        self.spawn(async move {
            let urls: Vec<Url> = record.rpc_urls.iter().filter_map(|text| Url::parse(text).ok()).collect();
            let config = host.network_config(&record, urls);
            let connecting = async {
                loop {
                    match Network::connect(config.clone()).await {
                        Ok(network) => return network,
                        Err(error) => {
                            tracing::warn!(network = %record.name, %error, "layer 1 does not answer; trying again");
                            *locked(&slot.problem) = Some(error.to_string());
                            host.changed();
                            tokio::time::sleep(RETRY).await;
                        }
                    }
                }
            };
            let network = tokio::select! { () = cancel.cancelled() => return, network = connecting => network };
            let log = Arc::new(Log { host: host.clone() });
            let transactions = Transactions::new(network.clone(), log);
            match transactions.resume().await {
                Ok(hashes) => hashes.into_iter().for_each(|hash| host.follow_transaction(&transactions, hash)),
                Err(error) => tracing::error!(network = %record.name, %error, "open transactions were not taken up"),
            }
            slot.runtime.send_replace(Some(Runtime { network, transactions }));
            host.changed();
            host.resume_approved();
        });
    }

    /// The network, connected.
    ///
    /// # Errors
    /// Not found; not connected now (4900), with the reason.
    pub(crate) fn runtime(&self, name: &str) -> Result<Runtime, HostError> {
        let slot = self.inner.networks.slot(name).ok_or_else(|| no_network(name))?;
        let runtime = slot.runtime.borrow().clone();
        runtime.ok_or_else(|| {
            let problem = locked(&slot.problem).clone().unwrap_or_else(|| "still connecting".to_owned());
            HostError::new(code::DISCONNECTED, format!("network {name:?} is not connected: {problem}"))
        })
    }

    /// Waits until the network is connected.
    pub(crate) async fn runtime_ready(&self, name: &str) -> Result<Runtime, HostError> {
        let slot = self.inner.networks.slot(name).ok_or_else(|| no_network(name))?;
        let mut receiver = slot.runtime.subscribe();
        let ready = receiver.wait_for(Option::is_some).await;
        let runtime = ready.ok().and_then(|runtime| runtime.clone());
        runtime.ok_or_else(|| HostError::new(code::DISCONNECTED, format!("network {name:?} was closed")))
    }

    /// Moves the stages of the transfers that hang on a transaction, forward and back.
    pub(crate) fn follow_transaction(&self, transactions: &Transactions, hash: B256) {
        let Ok(mut status) = transactions.follow(hash) else { return };
        let runtime = Runtime { network: transactions.network().clone(), transactions: transactions.clone() };
        self.follow_deadline(runtime, hash);
        let (host, cancel) = (self.clone(), self.child_token());
        self.spawn(async move {
            loop {
                let now_is = status.borrow_and_update().clone();
                if let Err(error) = host.note_status(hash, &now_is) {
                    tracing::error!(%hash, %error, "a transfer's stage could not be stored");
                }
                tokio::select! {
                    () = cancel.cancelled() => return,
                    changed = status.changed() => if changed.is_err() { return },
                }
            }
        });
    }

    /// Brings the transfers of a transaction to its stage.
    pub(crate) fn note_status(&self, hash: B256, status: &TransactionStatus) -> Result<(), HostError> {
        if let Some(transaction) = self.store().transaction(&hash.to_string())?
            && let Some(approval) = transaction.approval_id
        {
            self.settle_transaction(approval, hash, status)?;
        }
        self.note_transfers(hash, status)?;
        self.changed();
        Ok(())
    }

    /// Tells a plugin of blocks and of its gateway's events for as long as it runs.
    pub(crate) fn follow_layer1(&self, running: &Arc<Running>) {
        if running.gateway_address.is_some() {
            let (host, running) = (self.clone(), Arc::clone(running));
            self.spawn(async move {
                let cancel = running.cancel.clone();
                let work = async {
                    loop {
                        if let Err(error) = host.gateway_events(&running).await {
                            tracing::debug!(solution = %running.name, %error, "gateway events pause");
                        }
                        tokio::time::sleep(RETRY / 2).await;
                    }
                };
                tokio::select! { () = cancel.cancelled() => {}, () = work => {} }
            });
        }
        let (host, running) = (self.clone(), Arc::clone(running));
        self.spawn(async move {
            let cancel = running.cancel.clone();
            let work = async {
                loop {
                    if let Err(error) = host.blocks(&running).await {
                        tracing::debug!(solution = %running.name, %error, "blocks pause");
                    }
                    tokio::time::sleep(RETRY / 2).await;
                }
            };
            tokio::select! { () = cancel.cancelled() => {}, () = work => {} }
        });
    }

    /// At least once and in order. What is going to be told is written before, so that whatever the plugin was told of is
    /// also taken back when its block is gone; the cursor moves when the hook's promise has resolved.
    async fn gateway_events(&self, running: &Running) -> Result<(), HostError> {
        let (Some(address), Some(gateway)) = (running.gateway_address, running.gateway.as_ref()) else {
            return Ok(());
        };
        let runtime = self.runtime_ready(&running.network).await?;
        let kept: Option<Cursor> = self.store().cursor(running.id)?.and_then(|json| serde_json::from_value(json).ok());
        let position = kept.as_ref().map(|cursor| cursor.position.clone());
        if let Some(Cursor { position, untold }) = kept
            && !untold.is_empty()
        {
            self.tell_events(running, gateway, &untold).await?;
            self.keep_cursor(running, position, Vec::new())?;
        }
        let mut follower = LogFollower::new(runtime.network.clone(), address, running.from_block, position);
        loop {
            let batch = match follower.next().await {
                Ok(batch) => batch,
                Err(Layer1Error::Closed) => return Err(HostError::new(code::DISCONNECTED, "the network was closed")),
                Err(error) => return Err(error.into()),
            };
            if !batch.events.is_empty() {
                self.keep_cursor(running, batch.position.clone(), batch.events.clone())?;
                self.tell_events(running, gateway, &batch.events).await?;
            }
            // Positions without events are kept only now and then: a crash asks the endpoint again, no more.
            if !batch.events.is_empty() || batch.reorg_depth > 0 {
                self.keep_cursor(running, batch.position, Vec::new())?;
            }
        }
    }

    fn keep_cursor(&self, running: &Running, position: Position, untold: Vec<LogEvent>) -> Result<(), HostError> {
        let cursor =
            serde_json::to_value(Cursor { position, untold }).map_err(|e| HostError::internal(e.to_string()))?;
        Ok(self.store().put_cursor(running.id, &cursor)?)
    }

    async fn tell_events(&self, running: &Running, gateway: &Gateway, events: &[LogEvent]) -> Result<(), HostError> {
        let actor = Actor::Plugin { solution: running.id };
        for event in events {
            self.authorize(&actor, &Operation::Use(Capability::Layer1Events), "layer-1 events")?;
            let mut told = gateway.decode_log(&event.log.topics, &event.log.data);
            if let Json::Object(told) = &mut told {
                told.insert("removed".into(), json!(event.removed));
                told.insert("blockNumber".into(), json!(event.log.block_number));
                told.insert("blockHash".into(), json!(event.log.block_hash));
                told.insert("transactionHash".into(), json!(event.log.transaction_hash));
                told.insert("logIndex".into(), json!(event.log.log_index));
            }
            running.plugin.hook("onGatewayEvent", told).await?;
        }
        Ok(())
    }

    /// Only the newest head matters; a plugin that is slow skips blocks.
    async fn blocks(&self, running: &Running) -> Result<(), HostError> {
        let actor = Actor::Plugin { solution: running.id };
        let runtime = self.runtime_ready(&running.network).await?;
        let mut head = runtime.network.head();
        loop {
            self.authorize(&actor, &Operation::Use(Capability::Layer1Blocks), "layer-1 blocks")?;
            let block = *head.borrow_and_update();
            let told = json!({
                "number": block.number,
                "hash": block.hash,
                "timestamp": block.timestamp,
                "reorgDepth": block.reorg_depth,
            });
            running.plugin.hook("onBlock", told).await?;
            head.changed().await.map_err(|_| HostError::new(code::DISCONNECTED, "the network was closed"))?;
        }
    }
}

/// The word for a transaction's status as a transfer's stage.
pub(crate) fn stage(status: &TransactionStatus) -> &'static str {
    match status {
        TransactionStatus::Stored | TransactionStatus::Broadcast | TransactionStatus::Superseded => "sent",
        TransactionStatus::Included(inclusion) | TransactionStatus::Confirmed(inclusion) if !inclusion.success => {
            "failed"
        }
        TransactionStatus::Included(_) => "included",
        TransactionStatus::Confirmed(_) => "confirmed",
        TransactionStatus::Failed { .. } | TransactionStatus::Replaced => "failed",
    }
}

fn no_network(name: &str) -> HostError {
    HostError::not_found(format!("there is no network {name:?}; add it with `entresol network add {name} RPC_URL`"))
}

/// Blocks until an inclusion on this chain counts as settled.
pub(crate) fn confirmations(chain_id: u64) -> u64 {
    if DEVELOPMENT.contains(&chain_id) { 1 } else { CONFIRMATIONS }
}

/// Short handles: lower-case letters, digits and hyphens.
pub(crate) fn check_name(field: &str, name: &str) -> Result<(), HostError> {
    let fits = (1..=32).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits {
        return Ok(());
    }
    Err(HostError::invalid(format!(
        "{field} {name:?}: a lower-case letter, then at most 31 lower-case letters, digits and hyphens"
    )))
}

/// The store as layer1's durable list of transactions.
struct Log {
    host: Host,
}

impl Log {
    fn store(&self) -> &Store {
        self.host.store()
    }
}

impl TransactionLog for Log {
    fn insert(&self, new: &StoredTransaction) -> Result<(), TransactionLogError> {
        let at = now();
        let known = self.store().transaction(&new.hash.to_string())?;
        if known.is_some() {
            return Ok(());
        }
        self.store().insert_transaction(&stored_row(new, at))?;
        Ok(())
    }

    fn replace(&self, old: B256, new: &StoredTransaction) -> Result<(), TransactionLogError> {
        self.store().replace_transaction(&old.to_string(), &stored_row(new, now()))?;
        Ok(())
    }

    fn update(&self, hash: B256, status: &TransactionStatus) -> Result<(), TransactionLogError> {
        let state = match status {
            TransactionStatus::Stored => TransactionState::Stored,
            TransactionStatus::Broadcast => TransactionState::Broadcast,
            TransactionStatus::Superseded => TransactionState::Superseded,
            TransactionStatus::Included(_) => TransactionState::Included,
            TransactionStatus::Confirmed(inclusion) if inclusion.success => TransactionState::Confirmed,
            TransactionStatus::Confirmed(_) | TransactionStatus::Failed { .. } => TransactionState::Failed,
            TransactionStatus::Replaced => TransactionState::Replaced,
        };
        let mut update = TransactionUpdate::state(state);
        if let Some(inclusion) = status.inclusion() {
            update.block_number = Some(inclusion.block_number);
            update.block_hash = Some(inclusion.block_hash.to_string());
            update.success = Some(inclusion.success);
            update.gas_used = Some(inclusion.gas_used);
            update.effective_gas_price = Some(inclusion.effective_gas_price.to_string());
            if !inclusion.success {
                update.failure = Some("the transaction was included and reverted".to_owned());
            }
        }
        if let TransactionStatus::Failed { reason } = status {
            update.failure = Some(reason.clone());
        }
        self.store().update_transaction(&hash.to_string(), &update, now())?;
        Ok(())
    }

    fn open(&self, chain_id: u64) -> Result<Vec<StoredTransaction>, TransactionLogError> {
        let rows = self.store().open_transactions(chain_id)?;
        rows.into_iter().map(open_transaction).collect()
    }

    fn settled(&self, chain_id: u64, most: usize) -> Result<Vec<StoredTransaction>, TransactionLogError> {
        let rows = self.store().settled_transactions(chain_id, u32::try_from(most).unwrap_or(u32::MAX))?;
        rows.into_iter().map(open_transaction).collect()
    }
}

fn stored_row(new: &StoredTransaction, at: u64) -> entresol_store::Transaction {
    entresol_store::Transaction {
        hash: new.hash.to_string(),
        chain_id: new.chain_id,
        from: format!("{:#x}", new.from),
        nonce: new.nonce,
        raw: new.raw.to_string(),
        approval_id: new.approval_id.and_then(|id| u64::try_from(id).ok()),
        solution: new.solution,
        purpose: new.purpose.clone(),
        state: TransactionState::Stored,
        block_number: None,
        block_hash: None,
        success: None,
        gas_used: None,
        effective_gas_price: None,
        failure: None,
        created_at: at,
        updated_at: at,
    }
}

fn open_transaction(row: entresol_store::Transaction) -> Result<StoredTransaction, TransactionLogError> {
    let inclusion = match (row.block_number, &row.block_hash) {
        (Some(block_number), Some(hash)) => Some(entresol_layer1::Inclusion {
            block_number,
            block_hash: hash.parse::<B256>()?,
            gas_used: row.gas_used.unwrap_or_default(),
            effective_gas_price: row.effective_gas_price.and_then(|text| text.parse().ok()).unwrap_or_default(),
            success: row.success.unwrap_or_default(),
        }),
        _ => None,
    };
    let status = match (row.state, inclusion) {
        (TransactionState::Included, Some(inclusion)) => TransactionStatus::Included(inclusion),
        // One that reverted is stored as failed, with its block.
        (TransactionState::Confirmed | TransactionState::Failed, Some(inclusion)) => {
            TransactionStatus::Confirmed(inclusion)
        }
        (TransactionState::Replaced, _) => TransactionStatus::Replaced,
        (TransactionState::Stored, _) => TransactionStatus::Stored,
        (TransactionState::Superseded, _) => TransactionStatus::Superseded,
        _ => TransactionStatus::Broadcast,
    };
    Ok(StoredTransaction {
        hash: row.hash.parse::<B256>()?,
        chain_id: row.chain_id,
        from: row.from.parse()?,
        nonce: row.nonce,
        raw: row.raw.parse::<Bytes>()?,
        approval_id: row.approval_id.and_then(|id| i64::try_from(id).ok()),
        solution: row.solution,
        purpose: row.purpose,
        status,
    })
}
