//! Putting the parts together, and taking them apart again.

use std::net::SocketAddr;
use std::time::Duration;

use payments_protocol::Domain;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::args::{FinalAt, NodeArgs, Role};
use crate::chain::Chain;
use crate::compare::{self, Book, Comparison};
use crate::core::{Core, CoreHandle, Setup};
use crate::error::NodeError;
use crate::fees::Ceilings;
use crate::gateway::Terms;
use crate::key::NodeKey;
use crate::layer1::{Follower, Layer1};
use crate::monitor::Monitor;
use crate::rpc::{Limits, Server, chain_text};
use crate::store::{Identity, SqliteStore, Store, StoreError};
use crate::transactions::Transactions;

/// Chains on which nothing of value lies: the only ones for built-in adversaries and for trusting the newest block.
pub(crate) const LOCAL_CHAINS: [u64; 2] = [31_337, 1_337];

/// Seconds after which a promise that is not on layer 1 counts as withheld, unless FORCE is short. An operator may
/// wait for cheaper layer-1 gas, but an hour is more than its users were told.
const WITHHELD_AFTER: u64 = 3_600;

/// Pause after layer 1 failed to answer.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);

/// A running node.
#[derive(Debug)]
pub struct Node {
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    core: CoreHandle,
    tasks: JoinSet<Result<(), NodeError>>,
    core_end: oneshot::Receiver<Result<(), StoreError>>,
    stop: CancellationToken,
}

impl Node {
    /// Starts a node; it answers on its port when this returns, and may still be catching up with layer 1.
    ///
    /// # Errors
    /// See [`run`](crate::run).
    pub async fn start(args: NodeArgs) -> Result<Self, NodeError> {
        let key = read_key(&args)?;
        let mut store = SqliteStore::open(&args.data_dir)?;
        let remembered = store.identity()?.map(|identity| identity.chain_id);
        let layer1 = Layer1::connect(args.rpc.clone(), args.gateway, args.chain_id.or(remembered)).await?;
        let chain_id = layer1.chain_id();
        let local = LOCAL_CHAINS.contains(&chain_id);
        if args.misbehave.is_some() && !local {
            return Err(NodeError::Argument(format!(
                "--misbehave is for chains 31337 and 1337 only, this is chain {chain_id}"
            )));
        }
        if !layer1.has_code().await? {
            return Err(NodeError::NoGateway(args.gateway));
        }
        let terms = Terms::read(&layer1).await?;
        if let (Role::Operator, Some(key)) = (args.role, &key)
            && key.address() != terms.operator
        {
            return Err(NodeError::Argument(format!(
                "--operator-key-file holds the key of {}, the gateway's operator is {}",
                key.address(),
                terms.operator
            )));
        }
        store.claim(&Identity {
            chain_id,
            gateway: args.gateway,
            role: args.role.name().to_owned(),
            from_block: args.from_block,
        })?;
        let final_at = args.final_at.unwrap_or(if local { FinalAt::Latest } else { FinalAt::Finalized });
        let domain = Domain::new(chain_id, args.gateway);
        let sender = key.as_ref().map(NodeKey::address);
        let limits = Limits {
            reads: args.reads_per_second,
            sends: args.sends_per_second,
            connections: args.max_connections,
            connections_per_client: args.max_connections_per_client,
            subscriptions: args.max_subscriptions,
            loopback: args.limit_loopback,
        };
        let setup = Setup {
            role: args.role,
            key,
            confirmations: args.confirmations,
            batch_age_ms: args.batch_age_ms,
            misbehave: args.misbehave,
        };
        let chain = Chain::new(domain, terms, final_at);
        let server =
            Server::bind(args.listen).await.map_err(|source| NodeError::Listen { address: args.listen, source })?;
        let monitor = match args.metrics_listen {
            Some(address) => {
                Some(Monitor::bind(address).await.map_err(|source| NodeError::Listen { address, source })?)
            }
            None => None,
        };
        let asked = args.operator_url.as_ref().map(compare::client).transpose()?;
        let comparison = match &asked {
            Some(operator) => {
                let withheld_after = args.withheld_after_s.unwrap_or(WITHHELD_AFTER.min(terms.force / 2));
                let book = Book::open(&args.data_dir, domain, terms.operator)?;
                Some(Comparison::new(book, operator.shown(), withheld_after.saturating_mul(1_000))?)
            }
            None => None,
        };
        let (mut core, known) = Core::load(setup, chain, Box::new(store))?;
        core.comparison = comparison;
        let (core, core_end) = core.start().map_err(NodeError::Thread)?;
        let stop = CancellationToken::new();
        let (mut tasks, address) = (JoinSet::new(), server.address());
        let serving = server.serve(core.clone(), limits, stop.clone());
        tasks.spawn(async move { serving.await.map_err(NodeError::Serve) });
        let metrics_address = monitor.as_ref().map(Monitor::address);
        if let Some(monitor) = monitor {
            let serving = monitor.serve(core.clone(), stop.clone());
            tasks.spawn(async move { serving.await.map_err(NodeError::Serve) });
        }
        let poll = Duration::from_millis(args.poll_ms.max(1));
        tasks.spawn(follow(
            Follower::new(layer1.clone(), args.from_block, final_at == FinalAt::Finalized, known),
            layer1.clone(),
            core.clone(),
            poll,
            stop.clone(),
        ));
        if let Some(operator) = asked {
            let asking = compare::Asking { core: core.clone(), operator, poll, stop: stop.clone() };
            tasks.spawn(async move {
                asking.run().await;
                Ok(())
            });
        }
        if let Some(sender) = sender {
            let tick = poll.min(Duration::from_millis(args.batch_age_ms.max(1)));
            let transactions = Transactions {
                layer1,
                core: core.clone(),
                sender,
                keep_bond: args.keep_bond,
                role: args.role,
                ceilings: Ceilings { batch: args.max_fee_per_gas, contest: args.contest_max_fee },
                tick,
                resend: Duration::from_millis(args.resend_ms),
                stop: stop.clone(),
            };
            tasks.spawn(async move {
                transactions.run().await;
                Ok(())
            });
        }
        Ok(Self { address, metrics_address, core, tasks, core_end, stop })
    }

    /// Where it answers.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where `GET /metrics` answers, with `--metrics-listen`.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Stops it and waits until everything that was accepted is durable.
    ///
    /// # Errors
    /// What stopped it before, if something did.
    pub async fn stop(self) -> Result<(), NodeError> {
        self.stop.cancel();
        self.ended().await
    }

    /// Waits until the node ends by itself, which is always an error, or until `quit` resolves.
    pub(crate) async fn until(mut self, quit: impl Future<Output = ()>) -> Result<(), NodeError> {
        let early = tokio::select! {
            () = quit => Ok(()),
            task = self.tasks.join_next() => task.map_or(Ok(()), finished),
        };
        self.stop().await.and(early)
    }

    async fn ended(mut self) -> Result<(), NodeError> {
        let mut outcome = Ok(());
        while let Some(task) = self.tasks.join_next().await {
            outcome = outcome.and(finished(task));
        }
        self.core.stop().await;
        match self.core_end.await {
            Ok(core) => outcome.and(core.map_err(NodeError::from)),
            Err(_) => outcome.and(Err(NodeError::Broken("the core ended without a word".to_owned()))),
        }
    }
}

fn finished(task: Result<Result<(), NodeError>, JoinError>) -> Result<(), NodeError> {
    task.unwrap_or_else(|error| Err(NodeError::Broken(format!("a task of the node failed: {error}"))))
}

/// Resolves at SIGTERM or SIGINT.
pub(crate) async fn signals() -> Result<impl Future<Output = ()>, NodeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(NodeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(NodeError::Signals)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn read_key(args: &NodeArgs) -> Result<Option<NodeKey>, NodeError> {
    let refuse = |text: &str| Err(NodeError::Argument(text.to_owned()));
    match args.role {
        Role::Operator if args.challenger_key_file.is_some() => refuse("--challenger-key-file is for --role replica"),
        Role::Replica if args.operator_key_file.is_some() => refuse("--operator-key-file is for --role operator"),
        Role::Operator if args.contest_max_fee.is_some() => refuse("--contest-max-fee is for --role replica"),
        Role::Replica if args.max_fee_per_gas.is_some() => refuse("--max-fee-per-gas is for --role operator"),
        Role::Operator if args.operator_url.is_some() => refuse("--operator-url is for --role replica"),
        _ if args.withheld_after_s.is_some() && args.operator_url.is_none() => {
            refuse("--withheld-after-s needs --operator-url")
        }
        Role::Replica if args.misbehave.is_some() => refuse("--misbehave is for --role operator"),
        Role::Operator => match &args.operator_key_file {
            Some(path) => NodeKey::read(path).map(Some),
            None => refuse("--role operator needs --operator-key-file"),
        },
        Role::Replica => args.challenger_key_file.as_deref().map(NodeKey::read).transpose(),
    }
}

/// Brings the core what layer 1 says, block by block, until stopped.
async fn follow(
    mut follower: Follower,
    layer1: Layer1,
    core: CoreHandle,
    poll: Duration,
    stop: CancellationToken,
) -> Result<(), NodeError> {
    let mut troubled = false;
    while !stop.is_cancelled() {
        // After trouble the endpoint may be another one, so its chain is checked before it is believed again.
        let looked = match troubled {
            true => match layer1.check_chain_id().await {
                Ok(()) => follower.look().await,
                Err(error) => Err(error),
            },
            false => follower.look().await,
        };
        let pause = match looked {
            Ok(step) => {
                let synced = step.as_ref().is_none_or(|step| step.synced);
                let calmed = core.run(|core| {
                    core.set_trouble(None);
                    Ok(())
                });
                if calmed.await.is_err() {
                    return Ok(());
                }
                if let Some(step) = step
                    && core.layer1(step).await.is_err()
                {
                    return Ok(());
                }
                if !watch_the_inbox(&layer1, &core).await {
                    return Ok(());
                }
                troubled = false;
                if synced { poll } else { Duration::ZERO }
            }
            Err(error) => {
                troubled = true;
                let text = chain_text(&error);
                if core
                    .run(move |core| {
                        core.set_trouble(Some(text));
                        Ok(())
                    })
                    .await
                    .is_err()
                {
                    return Ok(());
                }
                poll.max(TROUBLE_PAUSE)
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    Ok(())
}

/// Says that an inbox item is late, if it is by the gateway's own word: a roll-back may have given it more time. False
/// when the core is gone.
async fn watch_the_inbox(layer1: &Layer1, core: &CoreHandle) -> bool {
    match core.run(|core| Ok(core.item_is_late())).await {
        Ok(true) => {}
        Ok(false) => return true,
        Err(_) => return false,
    }
    let grace = match crate::gateway::grace(layer1).await {
        Ok(grace) => grace,
        // The next look asks again.
        Err(error) => {
            tracing::warn!("the gateway does not say whether a late inbox item has grace: {}", chain_text(&error));
            return true;
        }
    };
    let told = core.run(move |core| {
        core.alarm_at_age(grace);
        Ok(())
    });
    told.await.is_ok()
}
