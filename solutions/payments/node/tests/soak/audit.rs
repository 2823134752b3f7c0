//! What must be true at the end.
//!
//! - The receipts handed out have the sequences 0, 1, 2, … without gap or double, each points to the one before, and
//!   the operator knows of no more. Those that are looked up are the same again, and the operator's.
//! - On the replica, which reads layer 1 alone, every account has the balance that the signed payments make, and its
//!   nonce and head are those of the last message that it has a receipt for. The head is a hash over all of the
//!   account's messages: so each of them took effect, once, in order.
//! - Balances sum up to what was deposited; operator and replica have the same root; nobody is accused.

use std::time::{Duration, Instant};

use payments_protocol::{Leaf, SignedReceipt};
use serde_json::{Value, json};

use crate::Dice;
use crate::keeper::{Keeper, Kept};
use crate::load::Load;
use crate::world::{Client, ETHER, OPERATOR, World};

/// Longest time for everything promised to stand.
const PATIENCE: Duration = Duration::from_secs(900);

/// Messages that are looked up one by one.
const LOOKED_UP: usize = 500;

/// Waits until everything that was promised stands.
pub(crate) async fn settled(operator: &Keeper) {
    until_settled(&operator.client().borrow().clone()).await;
}

async fn until_settled(node: &Client) -> Value {
    let start = Instant::now();
    loop {
        let status = node.try_call("l2_status", json!([])).await;
        let settled = |s: &Value| {
            s["pending"] == "0"
                && s["inbox"]["consumed"] == s["inbox"]["length"]
                && s["synced"] == true
                && s["fault"].is_null()
        };
        if status.as_ref().is_ok_and(settled) {
            return status.expect("just seen");
        }
        assert!(start.elapsed() < PATIENCE, "it does not settle: {status:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) async fn audit(world: &World, load: &Load, operator: &Kept, replica: &Kept, seed: u64) -> Value {
    let start = Instant::now();
    let status = until_settled(&operator.client).await;
    loop {
        let copy = replica.client.status().await;
        if copy["root"] == status["root"] && copy["standing"] == status["standing"] {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "the replica does not follow: {copy}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let mut receipts = load.receipts();
    receipts.sort_by_key(|receipt| receipt.sequence);
    for (place, receipt) in receipts.iter().enumerate() {
        assert_eq!(receipt.sequence, place as u64, "a sequence is missing or given twice");
        let before = place.checked_sub(1).map_or_else(Default::default, |before| receipts[before].hash);
        assert_eq!(receipt.previous, before, "receipt {place} does not point to the one before");
    }
    assert_eq!(status["receipts"], receipts.len().to_string());

    let mut sum = 0;
    let expected = load.expected().await;
    for (address, leaf) in &expected {
        let account = replica.client.account(*address).await;
        let found: Leaf = serde_json::from_value(account.clone()).expect("a leaf");
        assert_eq!(found, *leaf, "{address}");
        sum += found.balance;
    }
    assert_eq!(sum, ETHER * expected.len() as u128);

    let mut dice = Dice(seed);
    for _ in 0..LOOKED_UP.min(receipts.len()) {
        let receipt = receipts[dice.below(receipts.len() as u64) as usize];
        let told = operator.client.call("l2_getMessage", json!([receipt.message])).await;
        assert_eq!(told["effective"], true, "{told}");
        let again: SignedReceipt = serde_json::from_value(told["receipt"].clone()).expect("a receipt");
        assert_eq!((again.receipt.sequence, again.receipt.hash()), (receipt.sequence, receipt.hash));
        assert_eq!(again.signer(&world.domain), Ok(OPERATOR), "{told}");
    }
    json!({
        "receipts": receipts.len(),
        "lost": 0,
        "accountsAsSigned": expected.len(),
        "messagesLookedUp": LOOKED_UP.min(receipts.len()),
        "batches": status["standing"],
        "gatewayWei": world.eth(world.gateway).await.to_string(),
        "settledAfterSeconds": start.elapsed().as_secs(),
    })
}
