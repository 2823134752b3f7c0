//! Every route of every HTTP listener, from the routers' own tables, asked for in every way that it must not answer.
//!
//! Each route has one request that is right. A variation changes one thing about it, and must be refused: no success, no
//! redirection, no upgrade, nothing of the wallet, no header that opens the answer to another origin.

use std::io::Write as _;

use entresol_api::site::{EXTENSION_ID, ROUTES as SITE};
use entresol_web::ROUTES as WEB;
use serde_json::json;

use super::http::{Raw, parts};
use crate::support::{Running, Wallet};

/// A route with its right request.
struct Right {
    name: String,
    address: String,
    request: Raw,
    /// What the right request is answered with.
    status: u16,
    upgrade: bool,
    /// The wallet's page.
    web: bool,
    /// Within a session of the page.
    session: bool,
}

struct Listeners {
    _daemon: Running,
    wallet: Wallet,
    rights: Vec<Right>,
}

impl Listeners {
    fn new() -> Self {
        let wallet = Wallet::new();
        let daemon = wallet.daemon();
        let url = wallet.run(&["app", "add", "forge"]).json()["url"].as_str().expect("an address").to_owned();
        let mut rights = Vec::new();
        for route in SITE {
            let (authority, path) = parts(&url);
            let request = match route.upgrade {
                true => Raw::get(authority, route.path)
                    .upgrade()
                    .with("Origin", &format!("chrome-extension://{EXTENSION_ID}")),
                false => Raw::rpc(&url, &json!({ "jsonrpc": "2.0", "id": 1, "method": "layer2_getSolutions" })),
            };
            let pattern = route.path.replace("{name}/{secret}", path.strip_prefix("/app/").unwrap_or_default());
            rights.push(Right {
                name: format!("{} {}", route.method, route.path),
                address: authority.to_owned(),
                request: request.target(&pattern),
                status: if route.upgrade { 101 } else { 200 },
                upgrade: route.upgrade,
                web: false,
                session: false,
            });
        }
        rights.extend(pages(&wallet));
        let listeners = Self { _daemon: daemon, wallet, rights };
        for right in &listeners.rights {
            let came = right.request.send(&right.address);
            assert_eq!(came.status, right.status, "{}: the right request is answered: {came:?}", right.name);
        }
        listeners
    }

    /// Each variation of each route that it is for; every one must be refused.
    fn refuse(&self, row: &str, variations: impl Fn(&Right) -> Vec<(String, Raw)>) {
        let (mut tried, mut wrong) = (0, Vec::new());
        for right in &self.rights {
            for (what, request) in variations(right) {
                tried += 1;
                let came = request.send(&right.address);
                let opened = came.head.to_ascii_lowercase().contains("access-control-");
                let refused = came.status == 0 || ((400..500).contains(&came.status) && came.status != right.status);
                let kept = !right.web && came.status != 0 && came.status != 413 && !closes(&came);
                if !refused || opened || kept || came.header("location").is_some() {
                    wrong.push(format!("{}, {what}: {came:?}", right.name));
                }
            }
        }
        let _ = writeln!(
            std::io::stderr(),
            "{row}: {}/{tried} variations of {} routes refused",
            tried - wrong.len(),
            self.rights.len()
        );
        assert!(wrong.is_empty() && tried > 0, "{}", wrong.join("\n"));
    }
}

/// What is refused before its handler keeps no connection; the WebSocket's own refusals and a body that is no JSON are
/// answers like others.
fn closes(came: &super::http::Came) -> bool {
    came.header("connection") == Some("close") || matches!(came.status, 400 | 426)
}

/// The wallet's pages and what its script may ask for, within a session. An act is asked for with a body that is none: it
/// passes every guard and does nothing.
fn pages(wallet: &Wallet) -> Vec<Right> {
    let entered = wallet.run(&["web"]).json()["url"].as_str().expect("a link").to_owned();
    let (authority, target) = parts(&entered);
    let came = Raw::get(authority, target).send(authority);
    let home = came.header("location").expect("a session").to_owned();
    let session = home.split('/').nth(2).expect("its path").to_owned();
    let cookie = came.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie").to_owned();
    let page = Raw::get(authority, &home).with("Cookie", &cookie).send(authority);
    let token = page.body.split("name=\"entresol-token\" content=\"").nth(1).and_then(|rest| rest.split('"').next());
    let token = token.expect("a token");
    // What a name or a number stands in, the page's own tests walk.
    let routes = WEB.iter().filter(|route| !route.path.contains("{name}") && !route.path.contains("{token}"));
    routes
        .map(|route| {
            let request = Raw::get(authority, &route.path.replace("{session}", &session)).with("Cookie", &cookie);
            let (request, status) = match route.method {
                "POST" => {
                    let request = request.method("POST").with("Origin", &format!("http://{authority}"));
                    let request = request.with("Sec-Fetch-Site", "same-origin").with("X-Entresol-Token", token);
                    (request.with("Content-Type", "application/json").body("7"), 400)
                }
                _ => (request, 200),
            };
            Right {
                name: format!("page {} {}", route.method, route.path),
                address: authority.to_owned(),
                request,
                status,
                upgrade: false,
                web: true,
                session: route.path.contains("{session}"),
            }
        })
        .collect()
}

/// Threat 1: a name of the attacker's that resolves to the loopback.
#[test]
fn row_01_no_route_answers_under_another_name() {
    let listeners = Listeners::new();
    listeners.refuse("row 1", |right| {
        let port: u16 = right.address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let other = if port == u16::MAX { 1 } else { port + 1 };
        let mut hosts = vec![
            "evil.example".to_owned(),
            format!("evil.example:{port}"),
            "127.0.0.1".to_owned(),
            "localhost".to_owned(),
            format!("127.0.0.1:{other}"),
            format!("127.0.0.1.:{port}"),
            format!("127.0.0.1:{port}.evil.example"),
            format!("evil.example@127.0.0.1:{port}"),
            format!("127.0.0.1.evil.example:{port}"),
            format!("localhost.:{port}"),
            format!("localhost.evil.example:{port}"),
            format!("[::1]:{port}"),
            format!("127.1:{port}"),
            format!("0.0.0.0:{port}"),
            format!("2130706433:{port}"),
            format!("127.0.0.1:0{port}"),
            format!("http://127.0.0.1:{port}"),
            String::new(),
            "*".to_owned(),
        ];
        if right.web {
            hosts.push(format!("localhost:{port}"));
        }
        let mut all: Vec<_> =
            hosts.iter().map(|host| (format!("Host {host:?}"), right.request.clone().with("Host", host))).collect();
        let request = &right.request;
        all.push(("no Host".to_owned(), request.clone().without("Host")));
        all.push(("Host twice".to_owned(), request.clone().and("Host", &right.address)));
        all.push(("another Host beside it".to_owned(), request.clone().and("Host", "evil.example")));
        let absolute = |authority: &str| format!("http://{authority}{}", request.target);
        all.push(("another authority in the target".to_owned(), request.clone().target(&absolute("evil.example"))));
        let foreign = request.clone().target(&absolute(&right.address)).with("Host", "evil.example");
        all.push(("another Host than the target's".to_owned(), foreign));
        let mut old = request.clone().without("Host");
        old.version = "HTTP/1.0";
        all.push(("HTTP/1.0 without Host".to_owned(), old));
        for name in ["X-Forwarded-Host", "Forwarded", "X-Original-Host"] {
            let beside = request.clone().with("Host", "evil.example").with(name, &right.address);
            all.push((format!("the right name in {name}"), beside));
        }
        all
    });
}

/// Threat 2: a page that makes the browser send something here.
#[test]
fn row_02_no_route_answers_a_request_of_another_site() {
    let listeners = Listeners::new();
    let other = listeners.wallet.run(&["app", "add", "other"]).json();
    let (_, other) = parts(other["url"].as_str().expect("an address"));
    let others_secret = other.strip_prefix("/app/other/").expect("its path").to_owned();
    listeners.refuse("row 2", |right| {
        let request = &right.request;
        let mut all = Vec::new();
        let mut add = |what: &str, raw: Raw| all.push((what.to_owned(), raw));
        let port = right.address.rsplit(':').next().expect("a port");
        for origin in [
            "null",
            "",
            "https://evil.example",
            "http://127.0.0.1",
            "http://evil.example:80",
            &format!("https://{}", right.address),
            &format!("http://localhost:{port}"),
            &format!("http://{}.evil.example", right.address),
            "file://",
            "chrome-extension://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "moz-extension://x",
        ] {
            add(&format!("Origin {origin:?}"), request.clone().with("Origin", origin));
        }
        if !right.upgrade {
            for site in ["cross-site", "same-site", "nonsense", ""] {
                add(&format!("Sec-Fetch-Site {site:?}"), request.clone().with("Sec-Fetch-Site", site));
            }
            add("two sites", request.clone().with("Sec-Fetch-Site", "none").and("Sec-Fetch-Site", "cross-site"));
        }
        for method in ["OPTIONS", "PUT", "DELETE", "PATCH", "HEAD", "TRACE", "PROPFIND", "get", "XYZ"] {
            add(&format!("method {method}"), request.clone().method(method));
        }
        let preflight = request.clone().method("OPTIONS").with("Origin", "https://evil.example");
        let preflight = preflight.with("Access-Control-Request-Method", "POST").body("");
        add("a preflight", preflight.clone());
        add("a preflight for the private network", preflight.with("Access-Control-Request-Private-Network", "true"));
        if right.request.method == "POST" {
            add("no content type at all", request.clone().without("Content-Type"));
            add("GET with a body", request.clone().method("GET"));
        } else {
            add("POST", request.clone().method("POST").with("Content-Type", "text/plain").body("x"));
        }
        if right.session {
            add("no cookie", request.clone().without("Cookie"));
            add("another cookie", request.clone().with("Cookie", &format!("entresol={}", "0".repeat(64))));
            add("another session", request.clone().target(&format!("/w/{}/", "0".repeat(64))));
        }
        if !right.web {
            add("a query", request.clone().target(&format!("{}?x=1", request.target)));
            add("one segment more", request.clone().target(&format!("{}/x", request.target)));
        }
        if !right.web && !right.upgrade {
            for kind in [
                "text/plain",
                "text/plain;charset=UTF-8",
                "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=x",
                "text/json",
                "application/jsonp",
                "application/json, text/plain",
                "application/json; charset=utf-16",
                "application/json; x=y",
                "",
            ] {
                add(&format!("content type {kind:?}"), request.clone().with("Content-Type", kind));
            }
            add("no content type", request.clone().without("Content-Type"));
            add("two content types", request.clone().and("Content-Type", "text/plain"));
            add("GET", request.clone().method("GET").without("Content-Type").body(""));
            for site in ["none", "same-origin"] {
                add(&format!("Sec-Fetch-Site {site}"), request.clone().with("Sec-Fetch-Site", site));
            }
            add("a browser's destination", request.clone().with("Sec-Fetch-Dest", "empty"));
            add("a browser's user", request.clone().with("Sec-Fetch-User", "?1"));
            add("its own Origin", request.clone().with("Origin", &format!("http://{}", right.address)));
            let secret = request.target.strip_prefix("/app/forge/").expect("its path").to_owned();
            let flipped = format!("{}{}", if secret.starts_with('0') { '1' } else { '0' }, &secret[1..]);
            for (what, path) in [
                ("another secret", format!("/app/forge/{}", "0".repeat(64))),
                ("one digit changed", format!("/app/forge/{flipped}")),
                ("the secret cut short", format!("/app/forge/{}", &secret[..63])),
                ("the secret and more", format!("/app/forge/{secret}0")),
                ("the secret in capitals", format!("/app/forge/{}", secret.to_uppercase())),
                ("no secret", "/app/forge/".to_owned()),
                ("no secret at all", "/app/forge".to_owned()),
                ("another app's secret", format!("/app/forge/{others_secret}")),
                ("the secret under another name", format!("/app/other/{secret}")),
                ("the secret under no name", format!("/app//{secret}")),
                ("the name in capitals", format!("/app/FORGE/{secret}")),
                ("the name encoded", format!("/app/forge%20/{secret}")),
                ("a path that climbs", format!("/app/other/../forge/{secret}x")),
                ("a trailing stroke", format!("/app/forge/{secret}/")),
                ("the root", "/".to_owned()),
                ("an asterisk", "*".to_owned()),
            ] {
                add(what, request.clone().target(&path));
            }
            add("a body that is too long", request.clone().body(&" ".repeat(1024 * 1024 + 1)));
            add("no body", request.clone().body("").with("Content-Length", "0"));
            add("a form's body", request.clone().with("Content-Type", "text/plain").body("{\"jsonrpc\":\"2.0\"}="));
        }
        all
    });
}

/// Threat 3: a page that opens a WebSocket.
#[test]
fn row_03_no_route_opens_a_websocket_for_a_page() {
    let listeners = Listeners::new();
    listeners.refuse("row 3", |right| {
        let mut all = Vec::new();
        let mut add = |what: String, raw: Raw| all.push((what, raw));
        let own = format!("http://{}", right.address);
        let ours = format!("chrome-extension://{EXTENSION_ID}");
        let handshake = right.request.clone().upgrade();
        if !right.upgrade {
            // There is none here, whoever asks.
            for origin in ["https://evil.example", &own, &ours] {
                add(format!("an upgrade, Origin {origin}"), handshake.clone().with("Origin", origin));
            }
            add("an upgrade".to_owned(), handshake.clone().without("Origin"));
            add("an upgrade by GET".to_owned(), handshake.method("GET").without("Origin").body(""));
            return all;
        }
        for origin in [
            "https://evil.example",
            "http://localhost",
            &own,
            "null",
            "",
            "file://",
            "chrome-extension://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            &format!("{ours}/"),
            &format!("{ours}.evil.example"),
            &ours.to_uppercase(),
            "moz-extension://",
            "moz-extension://0f8fad5b-d9cb-469f-a165-70867728950e.evil.example",
            "safari-web-extension://0f8fad5b-d9cb-469f-a165-70867728950e",
        ] {
            add(format!("Origin {origin:?}"), handshake.clone().with("Origin", origin));
        }
        add("no Origin".to_owned(), handshake.clone().without("Origin"));
        add("two origins".to_owned(), handshake.clone().and("Origin", "https://evil.example"));
        add("two right origins".to_owned(), handshake.clone().and("Origin", &ours));
        let elsewhere = handshake.clone().with("Origin", "https://evil.example").with("Sec-WebSocket-Origin", &ours);
        add("the right origin elsewhere".to_owned(), elsewhere);
        add("no upgrade".to_owned(), handshake.clone().without("Upgrade"));
        add("another upgrade".to_owned(), handshake.clone().with("Upgrade", "h2c"));
        add("no connection".to_owned(), handshake.clone().without("Connection"));
        add("no key".to_owned(), handshake.clone().without("Sec-WebSocket-Key"));
        add("another version".to_owned(), handshake.clone().with("Sec-WebSocket-Version", "8"));
        add("POST".to_owned(), handshake.clone().method("POST"));
        add("another name".to_owned(), handshake.with("Host", "evil.example"));
        all
    });
    // And one that is let in is served nothing but a challenge until it has answered that.
    let right = listeners.rights.iter().find(|right| right.upgrade).expect("a route");
    for (what, message) in [
        ("a request", json!({ "type": "request", "document": 1, "id": 1, "method": "eth_accounts" })),
        ("a page", json!({ "type": "open", "document": 1, "origin": "https://shop.example" })),
        ("a cookie's worth", json!({ "type": "hello", "version": 1, "key": "", "signature": "" })),
    ] {
        let said = super::socket::said(&right.address, &message);
        let kinds: Vec<_> = said.iter().map(|one| one["type"].as_str().unwrap_or_default()).collect();
        match what {
            "a request" => {
                assert_eq!(kinds, ["challenge", "response", "refused"], "{said:?}");
                assert_eq!(said[1]["error"]["code"], 4100);
            }
            _ => assert_eq!(kinds, ["challenge", "refused"], "{what}: {said:?}"),
        }
    }
}
