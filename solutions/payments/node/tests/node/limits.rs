//! What one client may ask of a node, and how a node ends.

use futures_util::{SinkExt, StreamExt};
use payments_node::NodeArgs;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::world::{Client, ETHER, User, World, start};

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

fn limited(world: &World) -> NodeArgs {
    NodeArgs { limit_loopback: true, ..world.operator_args() }
}

async fn connect(client: &Client) -> Result<Socket, tungstenite::Error> {
    connect_async(client.websocket()).await.map(|(socket, _)| socket)
}

async fn ask(socket: &mut Socket, method: &str, params: Value) -> Value {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    socket.send(Frame::text(request.to_string())).await.expect("sent");
    let frame = socket.next().await.expect("open").expect("a frame");
    serde_json::from_str(frame.to_text().expect("text")).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_too_much_is_told_when_to_come_again() {
    let world = World::new().await;
    let (node, client) = start(NodeArgs { sends_per_second: 1, ..limited(&world) }).await;
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;
    // Malformed, but they count.
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "l2_sendMessage", "params": [{}] });
    let http = reqwest::Client::new();
    let post = async |body: Value| http.post(client.url().clone()).json(&body).send().await.expect("answered");
    let mut refused = None;
    for _ in 0..200 {
        let answers: Vec<Value> = post(json!(vec![call.clone(); 64])).await.json().await.expect("JSON");
        assert!(answers.iter().any(|answer| answer["error"]["code"] == -32017), "{answers:?}");
        let response = post(call.clone()).await;
        if response.status() == 429 {
            let after = response.headers()["retry-after"].to_str().expect("text").to_owned();
            refused = Some((after, response.json::<Value>().await.expect("JSON")));
            break;
        }
    }
    let (after, body) = refused.expect("that many at once are too many");
    assert_eq!((after.as_str(), &body["error"]["code"]), ("1", &json!(-32017)), "{body}");
    assert_eq!(body["error"]["data"]["retryAfter"], "1");
    // Readings are counted apart, and after a while messages are taken again.
    client.status().await;
    let what = "the message is taken";
    let message = payments_protocol::Message::payment(alice.address, &alice.next(&client).await, bob.address, 1, 0);
    client
        .until("l2_sendMessage", json!([alice.sign(&world, message)]), what, |receipt| receipt["sequence"].is_string())
        .await;
    node.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_and_subscriptions_of_one_client_are_bounded() {
    let world = World::new().await;
    let args = NodeArgs { max_connections_per_client: 2, max_subscriptions: 3, ..limited(&world) };
    let (node, client) = start(args).await;
    let mut first = connect(&client).await.expect("a connection");
    let second = connect(&client).await.expect("a connection");
    let third = connect(&client).await;
    assert!(matches!(third, Err(tungstenite::Error::Http(answer)) if answer.status() == 429));
    for _ in 0..3 {
        assert!(ask(&mut first, "l2_subscribe", json!(["batches"])).await["result"].is_string());
    }
    assert_eq!(ask(&mut first, "l2_subscribe", json!(["batches"])).await["error"]["code"], -32017);
    // One that ended counts no more.
    drop(second);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while connect(&client).await.is_err() {
        assert!(std::time::Instant::now() < deadline, "the place is not given back");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    node.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_does_not_read_is_cut_off_and_the_others_hear_everything() {
    let world = World::new().await;
    let args = NodeArgs { metrics_listen: Some(([127, 0, 0, 1], 0).into()), ..world.operator_args() };
    let (node, client) = start(args).await;
    let metrics = format!("http://{}/metrics", node.metrics_address().expect("it answers"));
    let alice = User::new(1);
    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;
    // Every payment to herself is told 64 times to the one that does not read.
    let mut idle = connect(&client).await.expect("a connection");
    for _ in 0..64 {
        ask(&mut idle, "l2_subscribe", json!(["account", alice.address])).await;
    }
    let mut reader = connect(&client).await.expect("a connection");
    ask(&mut reader, "l2_subscribe", json!(["account", alice.address])).await;
    let heard = tokio::spawn(async move {
        while let Some(Ok(frame)) = reader.next().await {
            let told: Value = serde_json::from_str(frame.to_text().expect("text")).unwrap_or_default();
            assert!(told["params"]["result"]["missed"].is_null(), "{told}");
            if told["params"]["result"]["balance"] == "0" {
                return true;
            }
        }
        false
    });
    let mut payments = 0;
    loop {
        alice.pay(&world, &client, alice.address, 1).await;
        payments += 1;
        let text = reqwest::get(&metrics).await.expect("an answer").text().await.expect("text");
        if text.contains("\nentresol_payments_cut_off_total 1\n") {
            break;
        }
        assert!(payments < 5_000, "it is never cut off");
    }
    // It reads at last: what was under way, and the end.
    while let Some(Ok(_)) = idle.next().await {}
    alice.withdraw(&world, &client, ETHER).await;
    assert!(heard.await.expect("no panic"), "the other one heard to the end");
    node.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_node_says_so_and_does_not_wait_for_who_hangs() {
    let world = World::new().await;
    let (node, client) = start(world.operator_args()).await;
    let mut socket = connect(&client).await.expect("a connection");
    assert_eq!(ask(&mut socket, "l2_status", json!([])).await["result"]["role"], "operator");
    // Half a request, for ever.
    let address = node.address();
    let mut hanging = tokio::net::TcpStream::connect(address).await.expect("a connection");
    tokio::io::AsyncWriteExt::write_all(&mut hanging, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Le").await.expect("sent");
    let stopped = tokio::spawn(node.stop());
    let mut last = None;
    while let Some(Ok(frame)) = socket.next().await {
        last = Some(frame);
    }
    let Some(Frame::Close(Some(close))) = last else { panic!("no goodbye: {last:?}") };
    assert_eq!((close.code, close.reason.as_str()), (CloseCode::Away, "the node is stopping"));
    let ended = tokio::time::timeout(std::time::Duration::from_secs(60), stopped).await;
    ended.expect("it ends").expect("no panic").expect("a clean stop");
    drop(hanging);
}
