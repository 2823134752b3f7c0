//! The page of a real host, over raw sockets: what a browser would never send can be sent, and every byte of the answer
//! seen. Tests are named after the rows of SECURITY.md.

mod acts;
mod live;
mod support;

use entresol_web::ROUTES;
use serde_json::json;
use support::{Reply, Wallet, request};

/// Pages that hold nothing of the wallet.
const OPEN: [&str; 4] = ["/", "/style.css", "/app.js", "/icon.svg"];

/// Every address there is, for a session: the router's own, and some that are not there. Not the stream of events, whose
/// answer has no end.
fn every_path(session: &str) -> Vec<String> {
    let own = ROUTES.iter().filter(|route| !route.path.ends_with("/events")).map(|route| {
        let path = route.path.replace("/w/{session}/", session).replace("{name}", "none");
        path.replace("{token}", &"0".repeat(64))
    });
    own.chain([format!("{session}nothing"), "/favicon.ico".to_owned(), "/w/".to_owned()]).collect()
}

#[track_caller]
fn has_every_header(reply: &Reply) {
    let policy = reply.header("content-security-policy").expect("a policy");
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "connect-src 'self'",
        "style-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.split(';').any(|part| part.trim() == rule), "{rule}: {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    assert_eq!(reply.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn a_link_opens_the_page_once() {
    let wallet = Wallet::start().await;
    let (session, cookie) = wallet.enter().await;
    let reply = wallet.get(&session, &[("cookie", &cookie)]).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(reply.body.contains("Overview") && reply.body.contains(&wallet.address), "{}", reply.body);
    for path in
        ["approvals", "approvals/all", "solutions", "callers", "accounts", "send", "transfers", "activity", "notices"]
    {
        let reply = wallet.get(&format!("{session}{path}"), &[("cookie", &cookie)]).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        // One script, ours, by its address.
        assert_eq!(reply.body.matches("<script").count(), 1, "{path}");
        assert!(reply.body.contains(r#"<script src="/app.js" defer></script>"#), "{path}");
    }
    assert_eq!(wallet.get(&format!("{session}approvals/99"), &[("cookie", &cookie)]).await.status, 404);
    let link = wallet.server.link().expect("a link");
    let path = link.strip_prefix(&wallet.origin()).expect("our own address").to_owned();
    assert_eq!(wallet.get(&path, &[]).await.status, 303);
    let again = wallet.get(&path, &[]).await;
    assert_eq!(again.status, 403);
    assert!(again.body.contains("entresol web") && again.header("set-cookie").is_none(), "{}", again.body);
}

#[tokio::test]
async fn the_cookie_is_kept_from_scripts_other_sites_and_other_ports() {
    let wallet = Wallet::start().await;
    let link = wallet.server.link().expect("a link");
    let reply = wallet.get(link.strip_prefix(&wallet.origin()).expect("our own address"), &[]).await;
    let cookie = reply.header("set-cookie").expect("a cookie");
    let session = reply.header("location").expect("a place");
    // Cookies know no ports; a path that nobody can guess is what keeps this one from our neighbours.
    for part in ["; HttpOnly", "; SameSite=Strict", &format!("; Path={session}")] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    assert_eq!(session.len(), "/w/".len() + 64 + "/".len());
}

#[tokio::test]
async fn nothing_is_shown_without_both_secrets_of_one_session() {
    let wallet = Wallet::start().await;
    let (session, cookie) = wallet.enter().await;
    let (other_session, other_cookie) = wallet.enter().await;
    for path in every_path(&session) {
        for headers in [&[][..], &[("cookie", other_cookie.as_str())], &[("cookie", "entresol=00")]] {
            let reply = wallet.get(&path, headers).await;
            let open = OPEN.contains(&path.as_str()) && reply.status == 200;
            assert!(matches!(reply.status, 403..=405) || open, "{path}: {}", reply.status);
            assert!(!reply.body.contains(&wallet.address), "{path}");
            has_every_header(&reply);
        }
    }
    assert_eq!(wallet.get(&other_session, &[("cookie", &cookie)]).await.status, 403);
    let guessed = format!("/w/{}/", "0".repeat(64));
    assert_eq!(wallet.get(&guessed, &[("cookie", &cookie)]).await.status, 403);
    assert_eq!(wallet.get(&session, &[("cookie", &cookie)]).await.status, 200, "and with both it is");
}

#[tokio::test]
async fn row_1_dns_rebinding_every_route_refuses_another_host() {
    let wallet = Wallet::start().await;
    let (session, cookie) = wallet.enter().await;
    let (own, port) = (wallet.host(), wallet.port());
    let rebound = [
        "attacker.example".to_owned(),
        format!("attacker.example:{port}"),
        format!("{own}.attacker.example"),
        format!("{own}.attacker.example:{port}"),
        format!("attacker.example@{own}"),
        "127.0.0.1".to_owned(),
        format!("127.0.0.1:{}", port ^ 1),
        format!("127.0.0.1:0{port}"),
        format!("127.0.0.2:{port}"),
        format!("localhost:{port}"),
        format!("[::1]:{port}"),
        format!("0.0.0.0:{port}"),
        format!("127.1:{port}"),
        String::new(),
    ];
    for path in every_path(&session) {
        for host in &rebound {
            let origin = format!("http://{host}");
            for headers in [
                vec![("cookie", cookie.as_str())],
                // Host == Origin proves nothing.
                vec![("cookie", cookie.as_str()), ("origin", origin.as_str()), ("sec-fetch-site", "same-origin")],
            ] {
                let reply = wallet.get_as(Some(host), &path, &headers).await;
                assert!(matches!(reply.status, 400 | 421), "{path} for {host:?}: {}", reply.status);
                assert!(!reply.body.contains(&wallet.address));
            }
        }
        let none = wallet.get_as(None, &path, &[("cookie", &cookie)]).await;
        assert!(matches!(none.status, 400 | 421), "{path} without a host: {}", none.status);
    }
}

#[tokio::test]
async fn row_1_dns_rebinding_two_hosts_and_absolute_targets_are_refused() {
    let wallet = Wallet::start().await;
    let (session, cookie) = wallet.enter().await;
    let own = wallet.host();
    let twice = format!(
        "GET {session} HTTP/1.1\r\nHost: {own}\r\nHost: attacker.example\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
    );
    assert!(matches!(wallet.raw(&twice).await.status, 400 | 421));
    let absolute = format!(
        "GET http://attacker.example{session} HTTP/1.1\r\nHost: {own}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
    );
    assert!(matches!(wallet.raw(&absolute).await.status, 400 | 421));
    let good = format!("GET {session} HTTP/1.1\r\nHost: {own}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
    assert_eq!(wallet.raw(&good).await.status, 200);
}

#[tokio::test]
async fn row_2_cross_site_requests_are_refused_and_get_no_permission() {
    let wallet = Wallet::start().await;
    let (session, cookie) = wallet.enter().await;
    let foreign = [
        ("origin", "https://attacker.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:1"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "anything"),
    ];
    for path in every_path(&session) {
        for header in foreign {
            let reply = wallet.get(&path, &[("cookie", &cookie), header]).await;
            assert_eq!(reply.status, 403, "{path} with {header:?}");
            assert!(!reply.body.contains(&wallet.address));
            has_every_header(&reply);
        }
    }
    let own = wallet.origin();
    let reply = wallet.get(&session, &[("cookie", &cookie), ("origin", &own), ("sec-fetch-site", "same-origin")]).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn row_2_cross_site_links_do_not_use_up_a_link() {
    let wallet = Wallet::start().await;
    let link = wallet.server.link().expect("a link");
    let path = link.strip_prefix(&wallet.origin()).expect("our own address").to_owned();
    assert_eq!(wallet.get(&path, &[("sec-fetch-site", "cross-site")]).await.status, 403);
    assert_eq!(wallet.send("HEAD", &path, &[]).await.status, 405);
    assert_eq!(wallet.get(&path, &[]).await.status, 303, "still good");
}

#[tokio::test]
async fn row_2_methods_that_the_page_does_not_have_are_refused() {
    let wallet = Wallet::start().await;
    let (session, cookie) = wallet.enter().await;
    for path in every_path(&session) {
        for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "BREW"] {
            let reply = wallet.send(method, &path, &[("cookie", &cookie), ("content-length", "0")]).await;
            assert_eq!(reply.status, 405, "{method} {path}");
            has_every_header(&reply);
        }
        // A form of another page, or a link that posts: no script of ours.
        let reply = wallet.send("POST", &path, &[("cookie", &cookie), ("content-length", "0")]).await;
        assert_eq!(reply.status, 403, "POST {path}");
        has_every_header(&reply);
    }
}

#[tokio::test]
async fn a_link_from_elsewhere_leads_to_the_door_and_no_further() {
    let wallet = Wallet::start().await;
    let (session, cookie) = wallet.enter().await;
    let link = [("cookie", cookie.as_str()), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
    let door = wallet.get("/", &link).await;
    assert_eq!(door.status, 200, "{}", door.body);
    assert!(
        door.body.contains("entresol web") && !door.body.contains(&wallet.address) && !door.body.contains(&session)
    );
    assert_eq!(wallet.get(&session, &link).await.status, 403);
    let framed = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")];
    assert_eq!(wallet.get("/", &framed).await.status, 403);
}

#[tokio::test]
async fn row_3_websocket_upgrades_are_refused_from_every_origin() {
    let wallet = Wallet::start().await;
    let (session, cookie) = wallet.enter().await;
    let own = wallet.origin();
    for origin in ["https://attacker.example", "null", own.as_str()] {
        let reply = wallet
            .get(
                &session,
                &[
                    ("cookie", &cookie),
                    ("origin", origin),
                    ("connection", "upgrade"),
                    ("upgrade", "websocket"),
                    ("sec-websocket-version", "13"),
                    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
                ],
            )
            .await;
        assert_eq!(reply.status, 403, "{origin}");
    }
}

#[tokio::test]
async fn row_6_clickjacking_no_page_may_be_framed() {
    let wallet = Wallet::start().await;
    let (session, cookie) = wallet.enter().await;
    for path in every_path(&session) {
        has_every_header(&wallet.get(&path, &[("cookie", &cookie)]).await);
    }
}

#[tokio::test]
async fn row_22_hostile_text_in_a_stored_request_is_shown_and_harmless() {
    const HOSTILE: &str = "<script>alert(1)</script>\u{202e}\u{1b}[2J\u{200b}<img src=x onerror=alert(1)>";
    let wallet = Wallet::with_request(request(json!({
        "sentence": HOSTILE,
        "rows": [{ "label": HOSTILE, "value": HOSTILE }],
        "warnings": [HOSTILE]
    })))
    .await;
    let (session, cookie) = wallet.enter().await;
    let reply = wallet.get(&format!("{session}approvals"), &[("cookie", &cookie)]).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    for bad in ["<script>", "<img src=x", "\u{202e}", "\u{1b}", "\u{200b}"] {
        assert!(!reply.body.contains(bad), "{bad:?}: {}", reply.body);
    }
    assert!(reply.body.contains("U+202E") && reply.body.contains("U+001B") && reply.body.contains("U+200B"));
    assert!(reply.body.contains("&lt;script&gt;"));
    assert!(reply.body.contains("entresol approvals approve 1 --digest"), "{}", reply.body);
}

#[tokio::test]
async fn nonsense_on_the_wire_is_answered_or_dropped_and_the_next_visitor_is_served() {
    let wallet = Wallet::start().await;
    let (session, cookie) = wallet.enter().await;
    let own = wallet.host();
    let long = "x".repeat(1 << 20);
    for bytes in [
        "\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}garbage\r\n\r\n".to_owned(),
        format!("GET /w/%ff%00/ HTTP/1.1\r\nHost: {own}\r\nConnection: close\r\n\r\n"),
        format!("GET /w/../../etc/passwd HTTP/1.1\r\nHost: {own}\r\nConnection: close\r\n\r\n"),
        format!("GET /enter/{} HTTP/1.1\r\nHost: {own}\r\nConnection: close\r\n\r\n", "%00".repeat(40)),
        format!("GET {session} HTTP/1.1\r\nHost: {own}\r\nCookie: {long}\r\nConnection: close\r\n\r\n"),
        format!(
            "GET {session} HTTP/1.1\r\nHost: {own}\r\nCookie: ;;=;entresol;entresol=;\r\nConnection: close\r\n\r\n"
        ),
    ] {
        let reply = wallet.raw(&bytes).await;
        assert_ne!(reply.status, 200, "{:?}", &bytes[..bytes.len().min(60)]);
        assert!(!reply.body.contains(&wallet.address));
    }
    assert_eq!(wallet.get(&session, &[("cookie", &cookie)]).await.status, 200);
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_says_what_to_do() {
    let wallet = Wallet::start().await;
    let port = wallet.port();
    let stop = tokio_util::sync::CancellationToken::new();
    let error = entresol_web::WebServer::start(wallet.handle.clone(), port, stop).await.expect_err("taken");
    assert!(error.to_string().contains(&port.to_string()) && error.to_string().contains("--web-port"), "{error}");
}

#[tokio::test]
async fn it_ends_with_its_token() {
    let wallet = Wallet::start().await;
    wallet.stop.cancel();
    wallet.server.ended().await;
    assert!(tokio::net::TcpStream::connect(wallet.server.address()).await.is_err());
}
