//! Payers with their keys, and the load they make through the node's WebSocket.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use payments_protocol::{Domain, Leaf, Message, signature::address_of};
use secp256k1::{PublicKey, SecretKey};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::world::{Client, User, World};

/// Calls in one frame: the most that the node takes.
const CALLS: usize = 64;
/// Frames under way on one connection: as many calls as the node lets one have.
const WINDOW: usize = 8;
/// Connections. The messages of one account go over one of them, or their order would be lost.
const CONNECTIONS: usize = 6;

struct Payer {
    key: SecretKey,
    address: alloy::primitives::Address,
    leaf: Leaf,
}

impl Payer {
    fn new(number: usize) -> Self {
        let mut secret = [0x77; 32];
        secret[..8].copy_from_slice(&(number as u64 + 1).to_be_bytes());
        let key = SecretKey::from_secret_bytes(secret).expect("in range");
        Self { key, address: address_of(&PublicKey::from_secret_key(&key)), leaf: Leaf::default() }
    }

    /// The next payment of this account, as a call.
    fn pay(&mut self, domain: &Domain, to: alloy::primitives::Address, value: u128) -> Value {
        let message = Message::payment(self.address, &self.leaf, to, value, 0);
        (self.leaf.nonce, self.leaf.head) = (self.leaf.nonce + 1, message.id());
        let signed = message.sign(domain, &self.key);
        json!({ "jsonrpc": "2.0", "id": 1, "method": "l2_sendMessage", "params": [signed] })
    }
}

/// All payers.
pub(crate) struct Crowd {
    domain: Domain,
    payers: Vec<Payer>,
}

impl Crowd {
    /// Payers with money from `rich`, who is known to the node.
    pub(crate) async fn new(world: &World, client: &Client, payers: usize, rich: User) -> Self {
        let leaf = rich.next(client).await;
        let mut crowd = Self { domain: world.domain, payers: (0..payers).map(Payer::new).collect() };
        let mut source = Payer { key: rich.key, address: rich.address, leaf };
        let calls: Vec<Value> =
            crowd.payers.iter().map(|payer| source.pay(&world.domain, payer.address, 1 << 40)).collect();
        send_all(client, vec![frames(&calls)]).await;
        // The order of the first round is not the order of the tree.
        crowd.payers.reverse();
        crowd
    }

    /// Calls for each connection: `count` payments of the first `accounts` payers, in turns.
    fn calls(&mut self, accounts: usize, count: usize) -> Vec<Vec<Value>> {
        let accounts = accounts.min(self.payers.len());
        let mut calls = vec![Vec::new(); CONNECTIONS.min(accounts)];
        let connections = calls.len();
        for n in 0..count {
            let from = n % accounts;
            let to = self.payers[(from + 1) % self.payers.len()].address;
            let to = if to == self.payers[from].address { alloy::primitives::Address::repeat_byte(9) } else { to };
            calls[from % connections].push(self.payers[from].pay(&self.domain, to, 1));
        }
        calls
    }

    /// Pays 1 wei each to `count` accounts that nobody has the keys of, numbered from `from` on.
    pub(crate) async fn fill(&mut self, client: &Client, from: usize, count: usize) {
        let mut calls = vec![Vec::new(); CONNECTIONS.min(self.payers.len())];
        let connections = calls.len();
        for n in 0..count {
            let to = alloy::primitives::Address::from_word(alloy::primitives::keccak256((from + n).to_be_bytes()));
            calls[n % connections].push(self.payers[n % connections].pay(&self.domain, to, 1));
        }
        let lanes = calls.iter().map(|calls| frames(calls)).collect();
        assert_eq!(send_all(client, lanes).await, count, "every payment has its receipt");
    }

    /// Sends as fast as the node takes; messages a second.
    pub(crate) async fn burst(&mut self, client: &Client, accounts: usize, count: usize) -> f64 {
        let lanes: Vec<_> = self.calls(accounts, count).iter().map(|calls| frames(calls)).collect();
        let begun = Instant::now();
        let answered = send_all(client, lanes).await;
        assert_eq!(answered, count, "every payment has its receipt");
        count as f64 / begun.elapsed().as_secs_f64()
    }

    /// Sends single calls at a steady rate; p50 and p99 of the time from when a call was due to its receipt, in ms.
    pub(crate) async fn paced(&mut self, client: &Client, accounts: usize, count: usize, rate: f64) -> (f64, f64) {
        let lanes = self.calls(accounts, count);
        let each = Duration::from_secs_f64(lanes.len() as f64 / rate);
        let tasks: Vec<_> = lanes
            .into_iter()
            .map(|calls| {
                let numbered = calls.into_iter().enumerate().map(|(n, mut call)| {
                    call["id"] = json!(n);
                    call.to_string()
                });
                let frames: Vec<String> = numbered.collect();
                tokio::spawn(paced(client.websocket(), frames, each))
            })
            .collect();
        let mut times = Vec::with_capacity(count);
        for task in tasks {
            times.extend(task.await.expect("a connection"));
        }
        times.sort_by(f64::total_cmp);
        (times[times.len() / 2], times[times.len() * 99 / 100])
    }
}

fn frames(calls: &[Value]) -> Vec<String> {
    calls.chunks(CALLS).map(|calls| Value::from(calls.to_vec()).to_string()).collect()
}

async fn send_all(client: &Client, lanes: Vec<Vec<String>>) -> usize {
    let tasks: Vec<_> = lanes.into_iter().map(|frames| tokio::spawn(lane(client.websocket(), frames))).collect();
    let mut answered = 0;
    for task in tasks {
        answered += task.await.expect("a connection");
    }
    answered
}

/// One connection with a window of frames under way; gives the receipts it got.
async fn lane(url: String, frames: Vec<String>) -> usize {
    let (socket, _) = tokio_tungstenite::connect_async(url).await.expect("connected");
    let (mut sink, mut stream) = socket.split();
    let (mut answered, mut waiting) = (0, 0);
    let mut frames = frames.into_iter();
    loop {
        while waiting < WINDOW
            && let Some(frame) = frames.next()
        {
            sink.send(Frame::text(frame)).await.expect("sent");
            waiting += 1;
        }
        if waiting == 0 {
            return answered;
        }
        answered += receipts(stream.next().await.expect("open").expect("readable"));
        waiting -= 1;
    }
}

fn receipts(frame: Frame) -> usize {
    let text = frame.into_text().expect("text");
    assert!(!text.contains("\"error\""), "refused: {text}");
    text.matches("\"messageId\"").count()
}

async fn paced(url: String, frames: Vec<String>, each: Duration) -> Vec<f64> {
    let (socket, _) = tokio_tungstenite::connect_async(url).await.expect("connected");
    let (mut sink, mut stream) = socket.split();
    let mut times = Vec::new();
    let (begun, count) = (Instant::now(), frames.len());
    let mut frames = frames.into_iter().enumerate().peekable();
    while times.len() < count {
        let next = frames.peek().map(|(n, _)| begun + each.mul_f64(*n as f64));
        tokio::select! {
            () = tokio::time::sleep_until(next.unwrap_or(begun).into()), if next.is_some() => {
                // The timer ticks in milliseconds: everything that is due by now goes out.
                while let Some((_, frame)) = frames.next_if(|(n, _)| begun + each.mul_f64(*n as f64) <= Instant::now()) {
                    sink.send(Frame::text(frame)).await.expect("sent");
                }
            }
            frame = stream.next() => {
                let text = frame.expect("open").expect("readable").into_text().expect("text");
                let answer: Value = serde_json::from_str(&text).expect("JSON");
                assert!(answer["result"]["messageId"].is_string(), "refused: {answer}");
                let due = begun + each.mul_f64(answer["id"].as_f64().expect("its number"));
                times.push(due.elapsed().as_secs_f64() * 1_000.0);
            }
        }
    }
    times
}
