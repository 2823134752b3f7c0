//! What monitoring reads.

use payments_node::NodeArgs;
use serde_json::json;

use crate::world::{ETHER, User, World, start};

/// One scrape, as `name{labels}` → value; every line must read.
async fn scrape(address: std::net::SocketAddr) -> std::collections::HashMap<String, f64> {
    let response = reqwest::get(format!("http://{address}/metrics")).await.expect("an answer");
    let kind = response.headers()["content-type"].to_str().expect("text").to_owned();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    let text = response.text().await.expect("text");
    let mut values = std::collections::HashMap::new();
    let mut family = String::new();
    for line in text.lines() {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            family = typed.split(' ').next().expect("a name").to_owned();
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            assert!(name.starts_with(&family), "{line} stands under {family}");
            let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
            assert!(values.insert(name.to_owned(), value).is_none(), "{name} stands twice");
        }
    }
    values
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_what_an_operator_must_know() {
    let world = World::new().await;
    let (off, _client) = start(world.replica_args(false)).await;
    assert_eq!(off.metrics_address(), None, "off by default");
    off.stop().await.expect("a clean stop");

    let args = NodeArgs { metrics_listen: Some(([127, 0, 0, 1], 0).into()), ..world.operator_args() };
    let (node, client) = start(args).await;
    let address = node.metrics_address().expect("it answers");
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;
    alice.pay(&world, &client, bob.address, 7).await;
    client.until_balance(bob.address, 7).await;
    let too_much = payments_protocol::Message::payment(bob.address, &bob.next(&client).await, alice.address, 8, 0);
    client.try_call("l2_sendMessage", json!([bob.sign(&world, too_much)])).await.expect_err("refused");
    client.until_status("all is settled", |s| s["openTransactions"] == json!([]) && s["purse"].is_object()).await;

    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let values = loop {
        let values = scrape(address).await;
        // The task that sends counts a little later than the core.
        if values.get("entresol_payments_transactions_total{purpose=\"batch\"}") == Some(&2.0) {
            break values;
        }
        assert!(std::time::Instant::now() < deadline, "the batches are not counted: {values:?}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let value = |name: &str| {
        let name = format!("entresol_payments_{name}");
        values.get(&name).copied().unwrap_or_else(|| panic!("there is no {name}"))
    };
    for (name, expected) in [
        ("messages_accepted_total", 1.0),
        ("messages_refused_total{reason=\"insufficient_balance\"}", 1.0),
        ("receipts", 1.0),
        ("pending_messages", 0.0),
        ("batches_standing", 2.0),
        ("batches_verified", 2.0),
        ("commit_seconds_count", 1.0),
        ("commit_seconds_bucket{le=\"+Inf\"}", 1.0),
        ("transactions_reverted_total{purpose=\"batch\"}", 0.0),
        ("bond_wei", 1e18),
        ("halted", 0.0),
        ("synced", 1.0),
        ("inbox_waiting", 0.0),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    assert!(value("gas_used_total{purpose=\"batch\"}") > 100_000.0);
    assert!(value("gas_wei_total{purpose=\"batch\"}") > 0.0 && value("key_balance_wei") > value("key_needed_wei"));
    node.stop().await.expect("a clean stop");
}
