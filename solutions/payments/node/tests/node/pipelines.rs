//! Many messages under way at once: nobody has to wait for one receipt before the next message.

use futures_util::{SinkExt, StreamExt};
use payments_protocol::{Leaf, Message, SignedReceipt};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::world::{Client, ETHER, OPERATOR, User, World, start};

/// Payments of one account, each built on the one before, as calls numbered from 0.
fn chain_of(world: &World, payer: &User, leaf: &mut Leaf, to: &User, count: usize) -> Vec<Value> {
    let calls = (0..count).map(|id| {
        let message = Message::payment(payer.address, leaf, to.address, 1, 0);
        (leaf.nonce, leaf.head) = (leaf.nonce + 1, message.id());
        json!({ "jsonrpc": "2.0", "id": id, "method": "l2_sendMessage", "params": [payer.sign(world, message)] })
    });
    calls.collect()
}

/// Each receipt is checked alone, whatever was signed with it.
fn all_signed(world: &World, answers: &[Value]) {
    for answer in answers {
        let signed: SignedReceipt = serde_json::from_value(answer["result"].clone()).expect("a receipt");
        assert_eq!(signed.signer(&world.domain), Ok(OPERATOR), "{answer}");
    }
}

/// Sequences of the receipts in the order of the calls.
fn sequences(mut answers: Vec<Value>) -> Vec<u64> {
    answers.sort_by_key(|answer| answer["id"].as_u64());
    let sequence = |answer: &Value| answer["result"]["sequence"].as_str().and_then(|text| text.parse().ok());
    answers.iter().map(|answer| sequence(answer).unwrap_or_else(|| panic!("no receipt: {answer}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_one_account_are_taken_in_their_order_without_waiting() {
    let world = World::new().await;
    let (node, client) = start(world.operator_args()).await;
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;
    let mut leaf = alice.next(&client).await;

    // One batch request over HTTP.
    let calls = chain_of(&world, &alice, &mut leaf, &bob, 64);
    let answers = post(&client, &Value::from(calls)).await;
    all_signed(&world, &answers);
    assert_eq!(sequences(answers), (0..64).collect::<Vec<_>>());

    // One connection: more than may wait unanswered, nothing is read before all is sent.
    let calls = chain_of(&world, &alice, &mut leaf, &bob, 200);
    let (mut socket, _) = connect_async(client.websocket()).await.expect("connected");
    for call in &calls {
        socket.feed(Frame::text(call.to_string())).await.expect("sent");
    }
    socket.flush().await.expect("sent");
    let mut answers = Vec::new();
    while answers.len() < calls.len() {
        let frame = socket.next().await.expect("open").expect("readable");
        answers.push(serde_json::from_str(&frame.into_text().expect("text")).expect("JSON"));
    }
    all_signed(&world, &answers);
    // Made again from the log: the same receipts, with the same way to the same signature.
    answers.sort_by_key(|answer| answer["id"].as_u64());
    let page = client.call("l2_getReceipts", json!(["64", "200"])).await;
    assert_eq!(page["receipts"], answers.iter().map(|answer| answer["result"].clone()).collect::<Value>());
    assert_eq!(sequences(answers), (64..264).collect::<Vec<_>>());

    // One wrong signature refuses its own message and, by the nonce, those of its account that follow: nobody else's.
    let mut calls = chain_of(&world, &alice, &mut leaf, &bob, 3);
    calls[1]["params"][0]["value"] = json!("2");
    calls.extend(chain_of(&world, &bob, &mut bob.next(&client).await, &alice, 2));
    let answers = post(&client, &Value::from(calls)).await;
    let codes: Vec<_> = answers.iter().map(|answer| answer["error"]["code"].as_i64()).collect();
    assert_eq!(codes, [None, Some(-32010), Some(-32011), None, None]);
    client.until_balance(bob.address, 263).await;
    node.stop().await.expect("a clean stop");
}

async fn post(client: &Client, request: &Value) -> Vec<Value> {
    let url = client.websocket().replace("ws://", "http://");
    let response = reqwest::Client::new().post(url).json(request).send().await.expect("an answer");
    response.json().await.expect("a list of answers")
}
