//! Money is safe even if the operator is a thief. Every adversary is a process, or a stranger with an account on layer 1.

mod equivocate;
mod flood;
mod griefer;
mod reorg;
mod rivals;
mod silent;
mod stranger;
mod thief;

use alloy::primitives::Address;
use payments_contract::PaymentsGateway;
use payments_protocol::Message;
use serde_json::{Value, json};

use crate::world::{Client, User, World};

/// Gwei, the unit of fees, in wei.
const GWEI: u128 = 1_000_000_000;

/// Pays with a fee for the operator; gives the receipt.
async fn pay(world: &World, node: &Client, from: &User, to: Address, value: u128, fee: u128) -> Value {
    let message = Message::payment(from.address, &from.next(node).await, to, value, fee);
    node.call("l2_sendMessage", json!([from.sign(world, message)])).await
}

/// Waits until nothing that was promised waits for a batch, and everything in the inbox is consumed.
async fn settled(world: &World, node: &Client) -> Value {
    let items = world.view(PaymentsGateway::inboxLengthCall {}).await.to_string();
    let done = |s: &Value| s["pending"] == "0" && s["inbox"]["consumed"] == items && s["fault"].is_null();
    node.until_status("everything promised stands", done).await
}

/// A decimal string as a number.
fn number(value: &Value) -> u128 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value} is no quantity"))
}
