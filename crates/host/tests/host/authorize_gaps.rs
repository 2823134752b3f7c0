//! Every method of every listener and of the wallet object, asked for by somebody who may not. The lists *are* the
//! dispatch tables: a method that is added without a refusal, or without parameters to try it with, stands in the list
//! of gaps, and the list must be equal to `tests/authorize_gaps.txt` at the repository's root, which is empty.

use crate::consent::*;
use crate::support::*;
use entresol_api::site::{ROUTES as SITE_ROUTES, Site, SiteServer};
use entresol_api::{Control, METHODS, Method, Proof};
use entresol_host::callers::{CALLER_METHODS, CallerMethod};
use entresol_host::error::code;
use entresol_host::{Actor, Caller, Needs, WALLET_METHODS};
use entresol_web::{ROUTES, WebServer};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

const GOLDEN: &str = include_str!("../../../../tests/authorize_gaps.txt");
/// Parameters with which each method of the control socket would run, were it allowed; `{}` for those not in it. They
/// name nothing that exists: a method that looks before it asks who is there is found by that.
const SAMPLES: &str = include_str!("../../../../tests/control_samples.json");

/// What every plugin has, because it is its own: the solution that the host started is the permission, and a solution
/// that does not run has none of it.
const OF_EVERY_PLUGIN: [&str; 13] = [
    "wallet.getLayer2State",
    "wallet.updateLayer2State",
    "wallet.trackTransfer",
    "wallet.updateTransfer",
    "wallet.schedule",
    "wallet.cancel",
    "wallet.notify",
    "wallet.displayUi",
    "wallet.updateUi",
    // A caller of the other solution, with grants of its own there.
    "wallet.callPlugin",
    // Puts a question before the user.
    "wallet.requestPermission",
    // A connection is its own permission: checked when opened, closed by a revocation.
    "network.send",
    "network.close",
];

/// What any caller may ask: it sees only what it was granted, which is nothing.
const OF_EVERY_CALLER: [&str; 3] = ["layer2_getSolutions", "eth_accounts", "wallet_getPermissions"];

/// What any caller is answered the same: nothing in it is about the caller, or about the user.
const THE_SAME_FOR_ALL: [&str; 3] = ["eth_chainId", "net_version", "web3_clientVersion"];

/// Puts a question before the user, and tells nothing before the answer.
const QUESTIONS: [&str; 2] = ["eth_requestAccounts", "layer2_addSolution"];

/// Gives back what the caller holds, which is nothing.
const GIVES_BACK: [&str; 1] = ["wallet_revokePermissions"];

/// What any browser may fetch from the wallet's own address: it holds nothing of the wallet.
const OF_EVERY_BROWSER: [&str; 4] = ["/", "/style.css", "/app.js", "/icon.svg"];

fn stranger() -> Caller {
    Caller::App { name: "nobody".into() }
}

/// Methods of the control socket that do not refuse somebody who is no user.
async fn control_gaps<'a>(wallet: &Wallet, methods: impl Iterator<Item = &'a Method>) -> Vec<String> {
    let samples: Json = serde_json::from_str(SAMPLES).expect("JSON");
    let mut gaps = Vec::new();
    for method in methods {
        let sample = samples.get(method.name).cloned().unwrap_or_else(|| json!({}));
        // A control of its own for each: wrong passphrases slow the next ones down.
        let actor = Actor::Caller(stranger());
        let control = Control::for_stranger(wallet.host().clone(), None, CancellationToken::new(), actor);
        let asked = tokio::time::timeout(DEADLINE, method.ask(&control, sample)).await.expect("an answer in time");
        match asked {
            Err(error) if error.code == code::UNAUTHORIZED => {}
            Err(error) => gaps.push(format!("control {}: refused otherwise: {} {error}", method.name, error.code)),
            Ok(answer) => gaps.push(format!("control {}: answered {answer}", method.name)),
        }
    }
    gaps
}

async fn wallet_gaps(wallet: &Wallet, bare: i64) -> Vec<String> {
    let mut gaps = Vec::new();
    for row in WALLET_METHODS {
        // A solution that is not there is nobody, whatever it asks.
        let nobody = Actor::Plugin { solution: 9_999 };
        let others = [nobody, Actor::Caller(stranger()), Actor::Page, USER];
        for actor in others {
            let refused = wallet.host().wallet_request(&actor, row.name, (row.sample)()).await;
            if !matches!(&refused, Err(error) if error.code == code::UNAUTHORIZED) {
                gaps.push(format!("wallet object {} for {actor}: {refused:?}", row.name));
            }
        }
        // A plugin that was granted nothing.
        if OF_EVERY_PLUGIN.contains(&row.name) {
            if !matches!(row.needs, Needs::Nothing) {
                gaps.push(format!("wallet object {}: needs a permission, and is listed as everybody's", row.name));
            }
            continue;
        }
        let plugin = Actor::Plugin { solution: bare };
        let asked = tokio::time::timeout(DEADLINE, wallet.host().wallet_request(&plugin, row.name, (row.sample)()));
        let refused = asked.await.expect("an answer in time");
        if !matches!(&refused, Err(error) if error.code == code::UNAUTHORIZED && error.message.contains("not granted"))
        {
            gaps.push(format!("wallet object {}: {refused:?}", row.name));
        }
    }
    gaps
}

/// Every `solution` in the parameters, however deep, is this one.
fn with_solution(value: &mut Json, solution: &str) {
    match value {
        Json::Object(fields) => fields.iter_mut().for_each(|(name, value)| match name.as_str() {
            "solution" => *value = json!(solution),
            _ => with_solution(value, solution),
        }),
        Json::Array(list) => list.iter_mut().for_each(|value| with_solution(value, solution)),
        _ => {}
    }
}

/// A question waits for the user, and is gone with the one who asked.
async fn only_asks(wallet: &Wallet, method: &'static CallerMethod) -> Result<(), String> {
    let (host, given) = (wallet.host().clone(), (method.sample)());
    let asking = tokio::spawn(async move { method.run(&host, &stranger(), given).await });
    let waits = until("the question waits or is answered", async || match asking.is_finished() {
        true => Some(None),
        false => queue(wallet.host()).await.pop().map(Some),
    })
    .await;
    match waits {
        Some(request) if request.sentence.contains("the local app nobody") => {}
        Some(request) => return Err(format!("the question does not say who asks: {}", request.sentence)),
        None => return Err(format!("answered without the user: {:?}", asking.await)),
    }
    asking.abort();
    until("it leaves the queue", async || queue(wallet.host()).await.is_empty().then_some(())).await;
    Ok(())
}

async fn caller_gaps(wallet: &Wallet) -> Vec<String> {
    let mut gaps = Vec::new();
    for method in CALLER_METHODS {
        if QUESTIONS.contains(&method.name) {
            gaps.extend(only_asks(wallet, method).await.err().map(|why| format!("caller {}: {why}", method.name)));
        } else {
            let mut given = (method.sample)();
            for solution in ["probe", "nobody"] {
                with_solution(&mut given, solution);
                let answered = method.run(wallet.host(), &stranger(), given.clone()).await;
                let fits = match method.name {
                    name if OF_EVERY_CALLER.contains(&name) => answered.as_ref().is_ok_and(|a| a == &json!([])),
                    name if GIVES_BACK.contains(&name) => answered.as_ref().is_ok_and(Json::is_null),
                    name if THE_SAME_FOR_ALL.contains(&name) => {
                        let other = method.run(wallet.host(), &bot(), given.clone()).await;
                        answered.as_ref().is_ok_and(|a| a.is_string() && other.is_ok_and(|other| *a == other))
                    }
                    _ => matches!(&answered, Err(error) if error.code == code::UNAUTHORIZED),
                };
                if !fits {
                    gaps.push(format!("caller {}: {answered:?}", method.name));
                }
            }
        }
        let odd = Caller::Site { profile: "p:q".into(), origin: "https://shop.example".into() };
        let refused = method.run(wallet.host(), &odd, (method.sample)()).await;
        if !matches!(&refused, Err(error) if error.code == code::UNAUTHORIZED) {
            gaps.push(format!("caller {} for a caller of odd parts: {refused:?}", method.name));
        }
    }
    gaps
}

/// The status of a request without a cookie that is right in everything else.
async fn knock(server: &WebServer, method: &str, host: &str, path: &str) -> u16 {
    let own = server.address();
    let script = match method {
        "POST" => format!(
            "Origin: http://{own}\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/json\r\n\
             X-Entresol-Token: {}\r\nContent-Length: 2\r\n",
            "0".repeat(64)
        ),
        _ => String::new(),
    };
    let body = if method == "POST" { "{}" } else { "" };
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{script}Connection: close\r\n\r\n{body}");
    status(own, &request).await
}

/// The status with which these bytes are answered.
async fn status(address: std::net::SocketAddr, request: &str) -> u16 {
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("read");
    let text = String::from_utf8_lossy(&answer);
    text.split_whitespace().nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

async fn web_gaps(wallet: &Wallet) -> Vec<String> {
    let stop = CancellationToken::new();
    let server = WebServer::start(wallet.host().clone(), 0, stop.clone()).await.expect("served");
    let own = server.address().to_string();
    let mut gaps = Vec::new();
    for route in ROUTES {
        let path = route.path.replace("{token}", &"0".repeat(64)).replace("{session}", &"0".repeat(64));
        let path = path.replace("{name}", "probe");
        let elsewhere = knock(&server, route.method, "evil.example", &path).await;
        if elsewhere != 421 {
            gaps.push(format!("page {} under another name: {elsewhere}", route.path));
        }
        let without = knock(&server, route.method, &own, &path).await;
        let open = route.method == "GET" && OF_EVERY_BROWSER.contains(&route.path) && without == 200;
        if without != 403 && !open {
            gaps.push(format!("page {} without a session: {without}", route.path));
        }
    }
    stop.cancel();
    server.ended().await;
    gaps
}

/// The listeners of sites and apps: another name for the loopback, and a caller without what makes it one.
async fn site_gaps(wallet: &Wallet) -> Vec<String> {
    let stop = CancellationToken::new();
    let site = Site::new(wallet.host().clone(), None, stop.clone());
    let server = SiteServer::start(site, 0).await.expect("served");
    let own = server.address().to_string();
    let mut gaps = Vec::new();
    for route in SITE_ROUTES {
        let path = route.path.replace("{name}", "nobody").replace("{secret}", &"0".repeat(64));
        let ask = async |host: &str| {
            let body = match route.method {
                "POST" => "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n[]",
                _ => "\r\n",
            };
            let head = format!("{} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n", route.method);
            status(server.address(), &format!("{head}{body}")).await
        };
        for (host, expect) in [("evil.example", 421), (own.as_str(), 403)] {
            let came = ask(host).await;
            if came != expect {
                gaps.push(format!("listener {} {} as {host}: {came}", route.method, route.path));
            }
        }
    }
    stop.cancel();
    server.ended().await;
    gaps
}

/// A method whose handler forgets to ask who is there.
static FORGETFUL: Method =
    Method::new("forgetful", Proof::Free, |_, _, _| Box::pin(async { Ok(json!("the whole wallet")) }));
/// One that takes parameters that nobody has thought of.
static UNTRIED: Method = Method::new("untried", Proof::Free, |_, _, _| {
    Box::pin(async { Err(entresol_api::RpcError::new(code::INVALID_PARAMS, "missing field `moon`")) })
});

#[tokio::test(flavor = "multi_thread")]
async fn every_method_of_every_table_is_refused_to_a_stranger() {
    let (_anvil, wallet, gateway) = world().await;
    wallet.install("bare", CONSENT, Some(gateway)).await.expect("installed");
    wallet.plugin("bare", "running").await;
    for permission in wallet.host().grants(&USER, "bare").await.expect("grants") {
        wallet.host().grant_revoke(&USER, "bare", &permission).await.expect("revoked");
    }
    let bare = wallet.host().solution(&USER, "bare").await.expect("there").id;
    let before = wallet.host().approvals(&USER, true).await.expect("approvals").len();
    let mut gaps = control_gaps(&wallet, METHODS.iter()).await;
    gaps.extend(wallet_gaps(&wallet, bare).await);
    gaps.extend(caller_gaps(&wallet).await);
    gaps.extend(web_gaps(&wallet).await);
    gaps.extend(site_gaps(&wallet).await);
    let found = gaps.iter().map(|gap| format!("{gap}\n")).collect::<String>();
    assert_eq!(found, GOLDEN, "methods that a stranger can use, or that are not tried");
    let after = wallet.host().approvals(&USER, true).await.expect("approvals").len();
    assert_eq!(after, before + QUESTIONS.len(), "nothing else was asked for");
    println!(
        "authorize coverage: {} methods of the control socket, {} of the wallet object, {} of callers, {} pages; {} gaps",
        METHODS.len(),
        WALLET_METHODS.len(),
        CALLER_METHODS.len(),
        ROUTES.len(),
        gaps.len()
    );
    assert!(METHODS.len() > 20 && WALLET_METHODS.len() > 20 && CALLER_METHODS.len() >= 30 && ROUTES.len() >= 30);

    // The walk itself: methods that forget are reported, and nothing else is.
    let with = METHODS.iter().filter(|method| method.name == "status").chain([&FORGETFUL, &UNTRIED]);
    let reported = control_gaps(&wallet, with).await;
    assert_eq!(reported.len(), 2, "{reported:?}");
    assert!(reported[0].starts_with("control forgetful: answered"), "{reported:?}");
    assert!(
        reported[1].starts_with("control untried: refused otherwise") && reported[1].contains("moon"),
        "{reported:?}"
    );
    wallet.host().shutdown().await;
}
