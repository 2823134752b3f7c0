//! Accounts that pay each other, and remember everything.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use alloy::primitives::{Address, B256};
use futures_util::{SinkExt, StreamExt};
use payments_protocol::{Leaf, Message, SignedReceipt};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::Dice;
use crate::world::{Client, ETHER, User, World};

/// A receipt that was handed out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handed {
    pub(crate) sequence: u64,
    pub(crate) message: B256,
    pub(crate) hash: B256,
    pub(crate) previous: B256,
}

/// An account as its owner knows it.
struct Account {
    user: User,
    nonce: u64,
    /// Its latest message.
    head: B256,
}

/// All accounts, all receipts.
pub(crate) struct Load {
    world: Arc<World>,
    node: watch::Receiver<Client>,
    accounts: Vec<tokio::sync::Mutex<Account>>,
    addresses: Vec<Address>,
    /// Wei, by what was signed.
    balances: Vec<AtomicU64>,
    receipts: Mutex<Vec<Handed>>,
    latencies: Mutex<Vec<u32>>,
    retries: AtomicU64,
}

impl Load {
    pub(crate) fn new(world: Arc<World>, accounts: usize, node: watch::Receiver<Client>) -> Self {
        let users: Vec<User> =
            (1..=accounts).map(|number| User::new(u16::try_from(number).expect("fewer accounts"))).collect();
        Self {
            world,
            node,
            addresses: users.iter().map(|user| user.address).collect(),
            balances: users.iter().map(|_| AtomicU64::new(ETHER as u64)).collect(),
            accounts: users
                .into_iter()
                .map(|user| tokio::sync::Mutex::new(Account { user, nonce: 0, head: B256::ZERO }))
                .collect(),
            receipts: Mutex::default(),
            latencies: Mutex::default(),
            retries: AtomicU64::new(0),
        }
    }

    pub(crate) fn addresses(&self) -> Vec<Address> {
        self.addresses.clone()
    }

    pub(crate) fn handed_out(&self) -> usize {
        self.receipts.lock().unwrap().len()
    }

    pub(crate) fn receipts(&self) -> Vec<Handed> {
        self.receipts.lock().unwrap().clone()
    }

    pub(crate) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// What each account must be: balance, nonce, latest message.
    pub(crate) async fn expected(&self) -> Vec<(Address, Leaf)> {
        let mut expected = Vec::new();
        for (place, account) in self.accounts.iter().enumerate() {
            let account = account.lock().await;
            let balance = u128::from(self.balances[place].load(Ordering::Relaxed));
            let leaf = Leaf { balance, withdrawn: 0, nonce: account.nonce, head: account.head };
            expected.push((account.user.address, leaf));
        }
        expected
    }

    /// Median and 99th percentile, in milliseconds, since the last time it was asked: from the first try of a payment
    /// to its receipt, restarts of the operator included.
    pub(crate) fn latency(&self) -> (Value, Value) {
        let mut latencies = std::mem::take(&mut *self.latencies.lock().unwrap());
        latencies.sort_unstable();
        let at = |part: f64| {
            let micros = latencies.get(((latencies.len() as f64 * part) as usize).min(latencies.len().max(1) - 1));
            micros.map_or(Value::Null, |micros| json!(f64::from(*micros / 10) / 100.0))
        };
        (at(0.5), at(0.99))
    }

    /// Pays for `length`, at `rate` payments a second in all, or as fast as answers come; gives the number of receipts.
    pub(crate) async fn run(&self, senders: usize, rate: Option<f64>, length: Duration, seed: u64) -> usize {
        let before = self.handed_out();
        let end = Instant::now() + length;
        let period = rate.map(|rate| Duration::from_secs_f64(senders as f64 / rate));
        let sending = (0..senders).map(|sender| async move {
            let mut dice = Dice(seed.wrapping_mul(1_000_003).wrapping_add(sender as u64));
            let mut due = Instant::now();
            while Instant::now() < end {
                if let Some(period) = period {
                    tokio::time::sleep_until(due.into()).await;
                    // After an outage it goes on at its pace instead of catching up.
                    due = (due + period).max(Instant::now() - period);
                }
                // Each sender has accounts of its own, so that none waits for another's answer.
                let own = self.accounts.len().div_ceil(senders);
                let place = (sender + senders * dice.below(own as u64) as usize) % self.accounts.len();
                self.pay(place, &mut dice).await;
            }
        });
        futures_util::future::join_all(sending).await;
        self.handed_out() - before
    }

    /// One payment, sent again until there is a receipt.
    async fn pay(&self, place: usize, dice: &mut Dice) {
        let mut account = self.accounts[place].lock().await;
        let to = dice.below(self.accounts.len() as u64) as usize;
        let value = 1 + dice.below(1_000);
        let leaf = Leaf { nonce: account.nonce, head: account.head, ..Leaf::default() };
        let message = Message::payment(account.user.address, &leaf, self.addresses[to], u128::from(value), 0);
        let id = message.id();
        let signed = json!([account.user.sign(&self.world, message)]);
        let start = Instant::now();
        let receipt: SignedReceipt = loop {
            let node = self.node.borrow().clone();
            match node.try_call("l2_sendMessage", signed.clone()).await {
                Ok(receipt) => break serde_json::from_value(receipt).expect("a receipt"),
                Err(error) => match error["code"].as_i64() {
                    // Nobody there, stopping, busy, catching up: the same message again is the same promise.
                    None | Some(-32_603 | -32_017 | -32_018) => {
                        self.retries.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    Some(_) => panic!("an honest message was refused: {error}"),
                },
            }
        };
        assert_eq!(receipt.receipt.message_id, id, "the receipt is for another message");
        account.nonce += 1;
        account.head = id;
        self.balances[place].fetch_sub(value, Ordering::Relaxed);
        self.balances[to].fetch_add(value, Ordering::Relaxed);
        let micros = u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX);
        self.latencies.lock().unwrap().push(micros);
        let (sequence, previous) = (receipt.receipt.sequence, receipt.receipt.previous_receipt);
        let hash = receipt.receipt.hash();
        self.receipts.lock().unwrap().push(Handed { sequence, message: id, hash, previous });
    }
}

static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
static CUT_OFF: AtomicU64 = AtomicU64::new(0);
static MISSED: AtomicU64 = AtomicU64::new(0);

/// Subscribes to everything, reads nothing for a while, and connects anew.
pub(crate) async fn slow_subscriber(node: watch::Receiver<Client>, accounts: Vec<Address>) {
    loop {
        let address = node.borrow().websocket();
        let Ok((mut socket, _)) = tokio_tungstenite::connect_async(address).await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        let topics = accounts.iter().take(60).map(|account| json!(["account", account]));
        for params in topics.chain([json!(["batches"]), json!(["alerts"])]) {
            let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "l2_subscribe", "params": params });
            if socket.send(Frame::text(request.to_string())).await.is_err() {
                break;
            }
        }
        tokio::time::sleep(Duration::from_secs(25)).await;
        // What the buffers of the connection hold, and then: its end, or news that it missed something.
        loop {
            match tokio::time::timeout(Duration::from_secs(1), socket.next()).await {
                Ok(Some(Ok(frame))) if frame.to_text().is_ok_and(|text| text.contains("\"missed\"")) => {
                    MISSED.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(_)) | None) => {
                    CUT_OFF.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Err(_) => break,
            }
        }
    }
}

pub(crate) fn slow_subscriber_report() -> Value {
    json!({
        "connections": CONNECTIONS.load(Ordering::Relaxed),
        "cutOff": CUT_OFF.load(Ordering::Relaxed),
        "toldThatItMissed": MISSED.load(Ordering::Relaxed),
    })
}
