//! What comes in from outside: arguments, key files, requests, web pages, signals.

use std::path::Path;

use futures_util::{SinkExt, StreamExt};
use payments_node::{Misbehave, Node, NodeArgs, Role};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{connect_async, tungstenite};

use crate::world::{CHALLENGER_KEY, Client, ETHER, User, World, spawn, start};

/// Starts a node that must refuse to start; gives the error with its sources.
async fn refusal(args: NodeArgs) -> String {
    match Node::start(args).await {
        Ok(_) => panic!("it started"),
        Err(error) => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(inner) = source {
                text = format!("{text}: {inner}");
                source = inner.source();
            }
            text
        }
    }
}

fn check(text: &str, expected: &str) {
    assert!(text.contains(expected), "{text:?} does not say {expected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setup_is_refused_with_what_to_change() {
    let world = World::new().await;
    let good = world.operator_args();
    check(&refusal(NodeArgs { operator_key_file: None, ..good.clone() }).await, "--operator-key-file");
    check(
        &refusal(NodeArgs { role: Role::Replica, ..good.clone() }).await,
        "--operator-key-file is for --role operator",
    );
    check(
        &refusal(NodeArgs { chain_id: Some(1), ..good.clone() }).await,
        "the endpoint serves chain 31337, this node is set up for chain 1",
    );
    let nowhere = alloy::primitives::Address::repeat_byte(1);
    check(&refusal(NodeArgs { gateway: nowhere, ..good.clone() }).await, "there is no contract at 0x0101");
    let other = world.key_file("other.key", CHALLENGER_KEY);
    check(
        &refusal(NodeArgs { operator_key_file: Some(other), ..good.clone() }).await,
        "the gateway's operator is 0xf39F",
    );
    let dead = "http://127.0.0.1:1".parse().expect("a URL");
    check(&refusal(NodeArgs { rpc: dead, ..good.clone() }).await, "layer 1 cannot be used");

    let (node, _) = start(good.clone()).await;
    let taken = NodeArgs { listen: node.address(), data_dir: world.dir.path().join("second"), ..good.clone() };
    check(&refusal(taken).await, "give another --listen");
    node.stop().await.expect("a clean stop");
    let replica = NodeArgs { data_dir: good.data_dir, ..world.replica_args(false) };
    check(&refusal(replica).await, "give another --data-dir");
}

#[tokio::test(flavor = "multi_thread")]
async fn built_in_faults_are_refused_outside_the_local_chains() {
    let world = World::on_chain(5).await;
    let args = NodeArgs { chain_id: Some(5), misbehave: Some(Misbehave::FalseRootOnce), ..world.operator_args() };
    check(&refusal(args).await, "--misbehave is for chains 31337 and 1337 only");
}

async fn socket(
    client: &Client,
) -> tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>> {
    connect_async(client.websocket()).await.expect("a WebSocket").0
}

async fn ask<S>(socket: &mut S, text: String) -> Value
where
    S: SinkExt<Frame, Error = tungstenite::Error> + StreamExt<Item = Result<Frame, tungstenite::Error>> + Unpin,
{
    socket.send(Frame::text(text)).await.expect("sent");
    receive(socket).await
}

async fn receive<S: StreamExt<Item = Result<Frame, tungstenite::Error>> + Unpin>(socket: &mut S) -> Value {
    let deadline = std::time::Duration::from_secs(60);
    let frame = tokio::time::timeout(deadline, socket.next()).await.expect("in time").expect("open").expect("a frame");
    serde_json::from_str(frame.to_text().expect("text")).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_hear_of_their_account_and_of_batches_only() {
    let world = World::new().await;
    let (node, client) = start(world.operator_args()).await;
    let (alice, bob) = (User::new(1), User::new(2));
    let mut accounts = socket(&client).await;
    let subscribed = ask(
        &mut accounts,
        json!({ "jsonrpc": "2.0", "id": 1, "method": "l2_subscribe", "params": ["account", alice.address] })
            .to_string(),
    )
    .await;
    let mut batches = socket(&client).await;
    ask(
        &mut batches,
        json!({ "jsonrpc": "2.0", "id": 1, "method": "l2_subscribe", "params": ["batches"] }).to_string(),
    )
    .await;

    world.deposit(bob.address, 1).await;
    world.deposit(alice.address, ETHER).await;
    loop {
        let told = receive(&mut accounts).await;
        assert_eq!(
            (&told["method"], &told["params"]["subscription"]),
            (&json!("l2_subscription"), &subscribed["result"])
        );
        let account = &told["params"]["result"];
        assert_eq!(account["address"], json!(alice.address));
        if account["balance"] == ETHER.to_string() {
            break;
        }
    }
    let told = receive(&mut batches).await;
    assert_eq!((&told["params"]["topic"], &told["params"]["result"]["verdict"]), (&json!("batches"), &json!("true")));
    node.stop().await.expect("a clean stop");
    // A stopping node says goodbye to those who listen.
    while let Some(Ok(frame)) = accounts.next().await {
        assert!(frame.is_text() || frame.is_close());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_gets_errors_and_the_node_goes_on() {
    let world = World::new().await;
    let (node, client) = start(world.operator_args()).await;
    let mut socket = socket(&client).await;
    for (text, code) in [
        ("\u{0}", -32700),
        ("[]", -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"l2_nothing"}"#, -32601),
        (r#"{"jsonrpc":"2.0","id":1,"method":"l2_getAccount"}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"l2_getAccount","params":["0x12"]}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"l2_getBatch","params":["-1"]}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"l2_getBatch","params":["99999999999999999999"]}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"l2_getBatch","params":["18446744073709551615"]}"#, -32001),
        (r#"{"jsonrpc":"2.0","id":1,"method":"l2_getMessages","params":{}}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"l2_sendMessage","params":[{}]}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"l2_getContestWitness","params":["1","0"]}"#, -32001),
        (r#"{"jsonrpc":"2.0","id":1,"method":"l2_subscribe","params":["everything"]}"#, -32602),
    ] {
        let answer = ask(&mut socket, text.to_owned()).await;
        assert_eq!(answer["error"]["code"], code, "{text}: {answer}");
    }
    socket.send(Frame::text("x".repeat(100_000))).await.ok();
    // The oversized message costs its sender the connection, nobody else anything.
    while let Some(Ok(_)) = socket.next().await {}
    assert_eq!(client.status().await["role"], "operator");
    node.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn web_pages_are_not_answered() {
    let world = World::new().await;
    let (node, client) = start(world.operator_args()).await;
    let http = reqwest::Client::new();
    let url = client.websocket().replace("ws://", "http://");
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "l2_status" });
    let post = |origin: Option<&'static str>, kind: &'static str| {
        let post = http.post(&url).header("content-type", kind).body(request.to_string());
        origin.map_or(post.try_clone().expect("a body"), |origin| post.header("origin", origin)).send()
    };
    assert_eq!(post(None, "application/json").await.expect("answered").status(), 200);
    assert_eq!(post(Some("https://example.org"), "application/json").await.expect("answered").status(), 403);
    assert_eq!(post(Some("null"), "application/json").await.expect("answered").status(), 403);
    assert_eq!(post(None, "text/plain").await.expect("answered").status(), 415);
    let mut upgrade = client.websocket().into_client_request().expect("a request");
    upgrade.headers_mut().insert("origin", "https://example.org".parse().expect("a value"));
    assert!(matches!(connect_async(upgrade).await, Err(tungstenite::Error::Http(answer)) if answer.status() == 403));
    node.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_node_stops_by_itself_and_shows_no_key() {
    let world = World::new().await;
    let args = world.operator_args();
    let (mut child, client) = spawn(&args, None).await;
    let client = client.expect("it answers");
    client.until_status("it has caught up", |status| status["synced"] == true).await;
    let id = child.id().expect("it runs");
    let told = std::process::Command::new("kill").args(["-TERM", &id.to_string()]).status().expect("sent");
    assert!(told.success());
    assert_eq!(child.wait().await.expect("it ended").code(), Some(0));
    assert!(!holds(&args.data_dir, &hex::decode(crate::world::OPERATOR_KEY).expect("hex")));
    assert!(!holds(&args.data_dir, crate::world::OPERATOR_KEY.as_bytes()));
}

/// Whether any file of a folder holds these bytes.
fn holds(folder: &Path, bytes: &[u8]) -> bool {
    let mut files = 0;
    let found = std::fs::read_dir(folder).expect("a folder").any(|entry| {
        files += 1;
        let content = std::fs::read(entry.expect("an entry").path()).expect("a file");
        content.windows(bytes.len()).any(|window| window == bytes)
    });
    assert!(files > 0);
    found
}
