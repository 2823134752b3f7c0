//! What acts: the gate of every POST, and what is bound to what.

use entresol_host::Actor;
use entresol_host::messages::ApprovalView;
use entresol_web::ROUTES;
use serde_json::{Value, json};

use crate::support::{PASSPHRASE, Reply, Visit, Wallet, request};

/// Every act of the router.
fn acts() -> Vec<&'static str> {
    let names: Vec<_> = ROUTES
        .iter()
        .filter(|route| route.method == "POST")
        .filter_map(|route| route.path.rsplit('/').next())
        .collect();
    assert!(names.len() >= 15, "{names:?}");
    names
}

fn told(reply: &Reply) -> Value {
    serde_json::from_str(&reply.body).unwrap_or_else(|error| panic!("{error}: {} {}", reply.status, reply.body))
}

async fn asked(wallet: &Wallet) -> ApprovalView {
    wallet.handle.approval(&Actor::Page, 1).await.expect("there")
}

/// A wallet with one request that waits.
async fn waiting() -> (Wallet, Visit) {
    let shown = json!({ "sentence": "Do it?", "rows": [], "warnings": [] });
    let wallet = Wallet::with_request(request(shown)).await;
    let visit = wallet.visit().await;
    (wallet, visit)
}

#[tokio::test]
async fn row_01_row_02_no_act_passes_with_one_thing_wrong_and_every_one_is_tried() {
    let (wallet, visit) = waiting().await;
    let other = wallet.visit().await;
    let (port, upper) = (wallet.port(), visit.token.to_uppercase());
    let (prefix, longer) = (visit.token[..63].to_owned(), format!("{}0", visit.token));
    let rebound = [format!("attacker.example:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")];
    let near = format!("http://127.0.0.1:{}", port ^ 1);
    let wrong: Vec<(&str, Option<&str>, u16)> = vec![
        ("cookie", None, 403),
        ("cookie", Some(&other.cookie), 403),
        ("x-entresol-token", None, 403),
        ("x-entresol-token", Some(""), 403),
        ("x-entresol-token", Some(&other.token), 403),
        ("x-entresol-token", Some(&upper), 403),
        ("x-entresol-token", Some(&prefix), 403),
        ("x-entresol-token", Some(&longer), 403),
        ("origin", None, 403),
        ("origin", Some("null"), 403),
        ("origin", Some("https://attacker.example"), 403),
        ("origin", Some(&near), 403),
        ("host", Some(&rebound[0]), 421),
        ("host", Some(&rebound[1]), 421),
        ("host", Some(&rebound[2]), 421),
        ("sec-fetch-site", None, 403),
        ("sec-fetch-site", Some("none"), 403),
        ("sec-fetch-site", Some("same-site"), 403),
        ("sec-fetch-site", Some("cross-site"), 403),
        ("content-type", None, 415),
        ("content-type", Some("text/plain"), 415),
        ("content-type", Some("application/x-www-form-urlencoded"), 415),
        ("content-type", Some("multipart/form-data; boundary=x"), 415),
        ("content-type", Some("application/json; charset=utf-8"), 415),
    ];
    let decision = json!({ "id": 1, "approve": true, "digest": "0x00" }).to_string();
    for act in acts() {
        let body = if act == "decide" { decision.as_str() } else { "{}" };
        for (header, value, status) in &wrong {
            let same = *header == "x-entresol-token" && *value == Some(visit.token.as_str());
            let reply = wallet.act(&visit, act, body, Some((header, *value))).await;
            // The digits of a token can be the same in upper case.
            assert!(same || reply.status == *status, "{act} with {header}: {value:?}: {} {}", reply.status, reply.body);
            assert!(same || told(&reply)["error"].is_string());
        }
    }
    assert_eq!(asked(&wallet).await.state, "pending", "nothing was decided by all that");
    assert!(!wallet.handle.status(&Actor::Page).await.expect("a status").locked);
    // And with everything right it is.
    let decided = wallet.act(&visit, "decide", &decision, None).await;
    assert_eq!((decided.status, told(&decided)["go"].clone()), (200, json!("approvals/1")), "{}", decided.body);
}

#[tokio::test]
async fn row_02_two_of_a_header_are_none() {
    let (wallet, visit) = waiting().await;
    let own = wallet.origin();
    let body = json!({ "id": 1, "approve": true, "digest": "0x00" }).to_string();
    for twice in ["origin", "sec-fetch-site", "content-type", "x-entresol-token"] {
        let length = body.len().to_string();
        let mut headers = visit.headers(&own, &length);
        let again = *headers.iter().find(|(name, _)| *name == twice).expect("there");
        headers.push(again);
        let reply = wallet.post(&format!("{}do/decide", visit.session), &headers, &body).await;
        assert!(matches!(reply.status, 403 | 415), "{twice}: {}", reply.status);
    }
    assert_eq!(asked(&wallet).await.state, "pending");
}

#[tokio::test]
async fn row_06_row_09_a_decision_holds_for_the_digest_that_was_shown() {
    let (wallet, visit) = waiting().await;
    for (id, digest, status) in [(1, "0x01", 400), (1, "", 400), (2, "0x00", 404), (-1, "0x00", 404)] {
        let body = json!({ "id": id, "approve": true, "digest": digest }).to_string();
        let reply = wallet.act(&visit, "decide", &body, None).await;
        assert_eq!(reply.status, status, "{id} {digest}: {}", reply.body);
    }
    for body in ["", "[]", "{}", "null", r#"{"id":1,"approve":true,"digest":"0x00","session":true}"#] {
        assert_eq!(wallet.act(&visit, "decide", body, None).await.status, 400, "{body}");
    }
    assert_eq!(asked(&wallet).await.state, "pending");
    let body = json!({ "id": 1, "approve": false, "digest": "0x00" }).to_string();
    assert_eq!(wallet.act(&visit, "decide", &body, None).await.status, 200);
    let rejected = asked(&wallet).await;
    assert_eq!((rejected.state.as_str(), rejected.decided_by.as_deref()), ("rejected", Some("page")));
    // Once.
    assert_ne!(wallet.act(&visit, "decide", &body, None).await.status, 200);
    let page = wallet.get(&format!("{}approvals/1", visit.session), &[("cookie", &visit.cookie)]).await;
    assert!(page.body.contains("Rejected") && page.body.contains("you, on this page"), "{}", page.body);
}

#[tokio::test]
async fn row_04_a_locked_wallet_decides_nothing_until_the_passphrase_and_guesses_slow_down() {
    let (wallet, visit) = waiting().await;
    assert_eq!(wallet.act(&visit, "lock", "{}", None).await.status, 200);
    let body = json!({ "id": 1, "approve": true, "digest": "0x00" }).to_string();
    let refused = wallet.act(&visit, "decide", &body, None).await;
    assert_eq!(refused.status, 403);
    assert!(told(&refused)["error"].as_str().is_some_and(|why| why.contains("unlock")), "{}", refused.body);
    let page = wallet.get(&format!("{}approvals", visit.session), &[("cookie", &visit.cookie)]).await;
    assert!(!page.body.contains("data-decide") && page.body.contains("name=\"passphrase\""), "{}", page.body);
    let unlock = |passphrase: &str| json!({ "passphrase": passphrase }).to_string();
    for _ in 0..3 {
        assert_eq!(wallet.act(&visit, "unlock", &unlock("wrong"), None).await.status, 403);
    }
    // Terminals wait for the page's guesses: there is one limiter.
    let terminal = Actor::User { session: false };
    let slowed = wallet.handle.unlock(&terminal, &PASSPHRASE.into()).await.expect_err("slowed down");
    let wait = slowed.data["retryAfterMs"].as_u64().expect("a time");
    assert_eq!(wallet.act(&visit, "unlock", &unlock(PASSPHRASE), None).await.status, 429);
    assert!(wait > 0, "{slowed:?}");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let status = wallet.act(&visit, "unlock", &unlock(PASSPHRASE), None).await.status;
        if status == 200 {
            break;
        }
        assert_eq!(status, 429, "the right passphrase is only put off");
        assert!(std::time::Instant::now() < deadline, "put off for ever");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(wallet.act(&visit, "decide", &body, None).await.status, 200);
}

#[tokio::test]
async fn signing_out_ends_one_session() {
    let (wallet, visit) = waiting().await;
    let other = wallet.visit().await;
    assert_eq!(wallet.act(&visit, "leave", "{}", None).await.status, 200);
    assert_eq!(wallet.get(&visit.session, &[("cookie", &visit.cookie)]).await.status, 403);
    assert_eq!(wallet.act(&visit, "lock", "{}", None).await.status, 403);
    assert_eq!(wallet.get(&other.session, &[("cookie", &other.cookie)]).await.status, 200);
}

#[tokio::test]
async fn nonsense_in_a_body_is_an_answer() {
    let (wallet, visit) = waiting().await;
    let deep = "[".repeat(100_000);
    let long = format!("{{\"passphrase\":\"{}\"}}", "x".repeat(300 << 10));
    for act in acts() {
        for body in ["\u{0}", "{\"__proto__\":1}", "{\"id\":1e400}", deep.as_str(), long.as_str()] {
            let reply = wallet.act(&visit, act, body, None).await;
            // Of a body that is too long the rest is not read: the server hangs up.
            let hung_up = reply.status == 0 && body.len() > 256 << 10;
            assert!(matches!(reply.status, 400 | 413) || hung_up, "{act}: {} {}", reply.status, reply.body);
        }
    }
    assert_eq!(wallet.get(&visit.session, &[("cookie", &visit.cookie)]).await.status, 200);
}
