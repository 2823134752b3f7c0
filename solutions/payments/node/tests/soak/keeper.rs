//! A node that is killed again and again, and started again each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use entresol_durable::{Process, REGISTRY};
use payments_node::NodeArgs;
use serde_json::{Value, json};
use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Dice;
use crate::world::{Client, spawn};

#[derive(Clone, Copy, PartialEq)]
enum Mood {
    /// Lives.
    Calm,
    /// Is killed.
    Wild,
}

#[derive(Default)]
struct Counters {
    process: AtomicU32,
    /// At any moment.
    killed: AtomicU64,
    /// At a write point.
    at_write_points: AtomicU64,
}

/// One node and who kills it.
pub(crate) struct Keeper {
    mood: watch::Sender<Mood>,
    client: watch::Receiver<Client>,
    counters: Arc<Counters>,
    task: JoinHandle<Child>,
}

/// A node that is killed no more.
pub(crate) struct Kept {
    _child: Child,
    pub(crate) client: Client,
    counters: Arc<Counters>,
}

impl Keeper {
    pub(crate) async fn start(name: &'static str, args: NodeArgs, longest_life: Duration, seed: u64) -> Self {
        let counters = Arc::new(Counters::default());
        let (child, client) = spawn(&args, None).await;
        counters.process.store(child.id().expect("it runs"), Ordering::Relaxed);
        let (publish, client) = watch::channel(client.expect("it answers"));
        let (mood, moods) = watch::channel(Mood::Calm);
        let keep = Keep { name, args, longest_life, dice: Dice(seed), publish, moods, counters: Arc::clone(&counters) };
        Self { mood, client, counters, task: tokio::spawn(keep.run(child)) }
    }

    /// Where it answers at the moment.
    pub(crate) fn client(&self) -> watch::Receiver<Client> {
        self.client.clone()
    }

    /// Kills from now on.
    pub(crate) fn unleash(&self) {
        self.mood.send_replace(Mood::Wild);
    }

    /// Kills no more; the node runs.
    pub(crate) async fn calm(self) -> Kept {
        self.mood.send_replace(Mood::Calm);
        drop(self.mood);
        let child = self.task.await.expect("it runs again");
        Kept { _child: child, client: self.client.borrow().clone(), counters: self.counters }
    }

    pub(crate) fn rss_mb(&self) -> Value {
        rss(Some(self.counters.process.load(Ordering::Relaxed)))
    }

    pub(crate) fn kills(&self) -> u64 {
        self.counters.killed.load(Ordering::Relaxed) + self.counters.at_write_points.load(Ordering::Relaxed)
    }
}

impl Kept {
    pub(crate) fn report(&self) -> Value {
        json!({
            "atAnyMoment": self.counters.killed.load(Ordering::Relaxed),
            "atWritePoints": self.counters.at_write_points.load(Ordering::Relaxed),
        })
    }
}

/// Resident memory of a process in MB; null while there is none.
pub(crate) fn rss(process: Option<u32>) -> Value {
    let status = process.and_then(|process| std::fs::read_to_string(format!("/proc/{process}/status")).ok());
    let line = status.as_deref().and_then(|status| status.lines().find(|line| line.starts_with("VmRSS:")));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kilobytes.map_or(Value::Null, |kilobytes| json!((kilobytes / 102.4).round() / 10.0))
}

struct Keep {
    name: &'static str,
    args: NodeArgs,
    longest_life: Duration,
    dice: Dice,
    publish: watch::Sender<Client>,
    moods: watch::Receiver<Mood>,
    counters: Arc<Counters>,
}

impl Keep {
    async fn run(mut self, mut child: Child) -> Child {
        loop {
            // The first change lets it loose, the second (or the keeper's end) leaves it running.
            let wild = *self.moods.borrow_and_update() == Mood::Wild;
            if !wild {
                if self.moods.changed().await.is_err() {
                    return child;
                }
                continue;
            }
            let life = self.longest_life.mul_f64((5 + self.dice.below(95)) as f64 / 100.0);
            let ended = tokio::select! {
                _ = child.wait() => &self.counters.at_write_points,
                () = tokio::time::sleep(life) => &self.counters.killed,
                _ = self.moods.changed() => &self.counters.killed,
            };
            ended.fetch_add(1, Ordering::Relaxed);
            child.kill().await.expect("killed");
            child = self.again().await;
        }
    }

    /// Starts it until it answers; it may be killed before.
    async fn again(&mut self) -> Child {
        let points: Vec<_> = REGISTRY.iter().filter(|point| point.process == Process::Node).collect();
        loop {
            let calm = *self.moods.borrow() == Mood::Calm || self.moods.has_changed().is_err();
            let point = points[self.dice.below(points.len() as u64) as usize].name;
            let moment = if self.dice.below(2) == 0 { "before" } else { "after" };
            let kill_at = format!("{point}:{moment}:{}", 1 + self.dice.below(60));
            // Every other life has a write point at which it ends.
            let armed = !calm && self.dice.below(2) == 0;
            let (mut child, client) = spawn(&self.args, armed.then_some(kill_at.as_str())).await;
            if let Some(client) = client {
                self.counters.process.store(child.id().unwrap_or(0), Ordering::Relaxed);
                self.publish.send_replace(client);
                return child;
            }
            let status = child.wait().await.expect("a child");
            assert!(armed, "{} does not start: {status}", self.name);
            self.counters.at_write_points.fetch_add(1, Ordering::Relaxed);
        }
    }
}
