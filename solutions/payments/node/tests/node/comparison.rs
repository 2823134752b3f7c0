//! A replica against an operator that tells other people something else.

use std::os::unix::process::ExitStatusExt;
use std::sync::{Arc, Mutex};

use alloy::primitives::B256;
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use entresol_durable::REGISTRY;
use payments_node::NodeArgs;
use payments_protocol::{Receipt, SignedReceipt};
use secp256k1::SecretKey;
use serde_json::{Value, json};

use crate::world::{Client, ETHER, FORCE, OPERATOR, OPERATOR_KEY, RICH, User, World, spawn, start};

/// Changes an answer: method, result.
type Lie = Box<dyn Fn(&str, &mut Value) + Send>;

/// What stands between the replica and an honest node: an operator's own server that lies.
#[derive(Clone)]
struct Liar {
    honest: Client,
    lie: Arc<Mutex<Lie>>,
    url: url::Url,
}

impl Liar {
    async fn new(honest: &Client) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound")).parse().expect("an address");
        let liar = Self { honest: honest.clone(), lie: Arc::new(Mutex::new(Box::new(|_, _| ()))), url };
        let router = Router::new().route("/", post(answer)).with_state(liar.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        liar
    }

    fn tell(&self, lie: impl Fn(&str, &mut Value) + Send + 'static) {
        *self.lie.lock().unwrap() = Box::new(lie);
    }
}

async fn answer(State(liar): State<Liar>, axum::Json(request): axum::Json<Value>) -> axum::Json<Value> {
    let method = request["method"].as_str().unwrap_or_default().to_owned();
    let mut reply = match liar.honest.try_call(&method, request["params"].clone()).await {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": 1, "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": 1, "error": error }),
    };
    (liar.lie.lock().unwrap())(&method, &mut reply["result"]);
    axum::Json(reply)
}

fn comparing(world: &World, operator: &url::Url) -> NodeArgs {
    NodeArgs { operator_url: Some(operator.clone()), ..world.replica_args(false) }
}

/// Another receipt in the same place, as only the operator can sign it.
fn forge(world: &World, receipt: &Value) -> SignedReceipt {
    let honest: SignedReceipt = serde_json::from_value(receipt.clone()).expect("a receipt");
    let key: [u8; 32] = hex::decode(OPERATOR_KEY).expect("hex").try_into().expect("32 bytes");
    let key = SecretKey::from_secret_bytes(key).expect("in range");
    Receipt { message_id: B256::repeat_byte(0xee), ..honest.receipt }.sign(&world.domain, &key)
}

async fn until_checked(copy: &Client, sequence: &str) {
    copy.until_status("the receipts are seen", |s| s["comparison"]["checkedSequence"] == sequence).await;
}

async fn until_alert(copy: &Client, kind: &str) -> Value {
    let of_kind = |alerts: &Value| alerts.as_array().and_then(|all| all.iter().find(|a| a["kind"] == kind).cloned());
    let what = format!("there is an alert of kind {kind}");
    let alerts = copy.until("l2_getAlerts", json!([]), &what, |alerts| of_kind(alerts).is_some()).await;
    of_kind(&alerts).expect("just seen")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_operator_is_agreed_with_and_other_balances_and_roots_are_found_out() {
    let world = World::new().await;
    let (operator, client) = start(world.operator_args()).await;
    let liar = Liar::new(&client).await;
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;
    let (replica, copy) = start(comparing(&world, &liar.url)).await;
    alice.pay(&world, &client, bob.address, 7).await;
    let last = alice.pay(&world, &client, bob.address, 7).await;
    copy.until_balance(bob.address, 14).await;
    until_checked(&copy, "2").await;
    let agrees = |status: &Value| status["comparison"]["agrees"] == true;
    let status = copy.until_status("nothing is open", |s| s["comparison"]["openPromises"] == "0").await;
    assert!(agrees(&status), "{status}");
    assert_eq!(status["comparison"]["operatorUrl"], liar.url.as_str().trim_end_matches('/'));
    assert_eq!(copy.call("l2_getEvidence", json!([])).await, json!([]));
    // It serves what it saw.
    let page = copy.call("l2_getReceipts", json!(["1"])).await;
    assert_eq!((&page["receipts"], &page["next"]), (&json!([last]), &json!("2")));

    for (method, field) in [("l2_getAccount", "balance"), ("l2_status", "root")] {
        liar.tell(move |asked, result| {
            if asked == method {
                result[field] = json!(B256::repeat_byte(3));
            }
        });
        let status = copy.until_status("the lie is found out", |s| !agrees(s)).await;
        let text = status["comparison"]["alert"]["text"].as_str().unwrap_or_default();
        assert!(text.contains(field), "{text}");
        liar.tell(|_, _| ());
        copy.until_status("the truth is seen", agrees).await;
    }
    assert_eq!(until_alert(&copy, "comparison").await["facts"]["told"], json!(B256::repeat_byte(3)));
    replica.stop().await.expect("a clean stop");
    operator.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contradicting_receipt_is_evidence_even_after_a_restart() {
    let world = World::new().await;
    let (operator, client) = start(world.operator_args()).await;
    let liar = Liar::new(&client).await;
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;
    let first = alice.pay(&world, &client, bob.address, 7).await;
    let second = alice.pay(&world, &client, bob.address, 7).await;
    let (replica, copy) = start(comparing(&world, &liar.url)).await;
    until_checked(&copy, "2").await;
    // A payee holds another receipt than the one that the operator shows here.
    let held = forge(&world, &first);
    assert_eq!(copy.call("l2_submitReceipt", json!([first])).await["contradicts"], false);
    assert_eq!(copy.call("l2_submitReceipt", json!([held])).await["contradicts"], true);
    replica.stop().await.expect("a clean stop");

    let other = json!(forge(&world, &second));
    let shown = json!({ "receipts": [other], "next": "2" });
    liar.tell(move |asked, result| {
        if asked == "l2_getReceipts" {
            *result = shown.clone();
        }
    });
    let (replica, copy) = start(comparing(&world, &liar.url)).await;
    let two = |evidence: &Value| evidence.as_array().is_some_and(|all| all.len() == 2);
    let evidence = copy.until("l2_getEvidence", json!([]), "both are proven", two).await;
    for (proof, honest) in evidence.as_array().expect("a list").iter().zip([&first, &second]) {
        assert_eq!(proof["first"], *honest);
        let [one, two] = ["first", "second"]
            .map(|name| serde_json::from_value::<SignedReceipt>(proof[name].clone()).expect("a receipt"));
        assert!(one.equivocates(&two, &world.domain, OPERATOR), "{proof}");
    }
    let alert = until_alert(&copy, "equivocation").await;
    assert_eq!(alert["facts"]["second"], other);
    assert_eq!(copy.status().await["comparison"]["agrees"], false);
    // A stranger's receipt is no evidence.
    let stranger = held.receipt.sign(&world.domain, &SecretKey::from_secret_bytes([9; 32]).expect("in range"));
    let refused = copy.try_call("l2_submitReceipt", json!([stranger])).await.expect_err("refused");
    assert_eq!(refused["code"], -32010, "{refused}");
    replica.stop().await.expect("a clean stop");
    operator.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_that_does_not_come_to_layer_1_is_withheld_until_it_does() {
    let world = World::new().await;
    let (operator, client) = start(world.operator_args()).await;
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;
    operator.stop().await.expect("a clean stop");
    // It promises, and does not post.
    let silent = NodeArgs { batch_age_ms: 86_400_000, ..world.operator_args() };
    let (operator, client) = start(silent).await;
    let liar = Liar::new(&client).await;
    let args = NodeArgs { withheld_after_s: Some(1), ..comparing(&world, &liar.url) };
    let (replica, copy) = start(args).await;
    let receipt = alice.pay(&world, &client, bob.address, 7).await;
    let alert = until_alert(&copy, "withheld").await;
    assert_eq!((&alert["facts"]["receipt"], &alert["facts"]["message"]), (&receipt, &receipt["messageId"]));
    copy.until_status("it shows", |s| s["comparison"]["alert"]["kind"] == "withheld").await;
    operator.stop().await.expect("a clean stop");

    let (operator, _client) = start(world.operator_args()).await;
    copy.until_balance(bob.address, 7).await;
    // The old node's address answers no more, which is no reason to call what was posted withheld.
    copy.until_status("it is withheld no more", |s| s["comparison"]["alert"].is_null()).await;
    copy.until_status("the operator cannot be asked", |s| s["comparison"]["trouble"].is_string()).await;
    replica.stop().await.expect("a clean stop");
    operator.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_item_that_nobody_serves_is_told_at_half_time_and_when_overdue() {
    let world = World::new().await;
    let (replica, copy) = start(world.replica_args(false)).await;
    world.deposit(RICH, 1).await;
    world.pass(FORCE / 2 + 1).await;
    assert_eq!(until_alert(&copy, "withheld").await["facts"]["index"], "0");
    world.pass(FORCE / 2 + 1).await;
    assert_eq!(until_alert(&copy, "overdue").await["facts"]["index"], "0");
    // Said once each, and of anybody's money alike.
    world.pass(1).await;
    copy.until_status("the block is seen", |s| s["head"]["number"] == "6").await;
    assert_eq!(copy.call("l2_getAlerts", json!([])).await.as_array().map(Vec::len), Some(2));
    replica.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparing_replica_killed_at_its_write_points_goes_on() {
    let world = World::new().await;
    let (operator, client) = start(world.operator_args()).await;
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;
    let receipt = alice.pay(&world, &client, bob.address, 7).await;
    let points: Vec<_> = REGISTRY.iter().filter(|point| point.in_comparison()).collect();
    assert_eq!(points.len(), 2);
    for point in points {
        for moment in ["before", "after"] {
            let args = NodeArgs {
                data_dir: world.dir.path().join(format!("{}-{moment}", point.name)),
                ..comparing(&world, client.url())
            };
            let kill_at = format!("{}:{moment}", point.name);
            let (mut child, _) = spawn(&args, Some(&kill_at)).await;
            assert_eq!(child.wait().await.expect("it died").signal(), Some(9), "{kill_at}");
            let (replica, copy) = start(args).await;
            until_checked(&copy, "1").await;
            let page = copy.call("l2_getReceipts", json!(["0"])).await;
            assert_eq!(page["receipts"], json!([receipt]), "{kill_at}");
            assert_eq!(copy.status().await["comparison"]["agrees"], true, "{kill_at}");
            replica.stop().await.expect("a clean stop");
        }
    }
    operator.stop().await.expect("a clean stop");
}
