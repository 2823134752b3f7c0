//! `cargo xtask bench websites`: what a website waits for, by the parts of the way.
//!
//! One JSON object in a line for each figure, as `xtask/src/bench.rs` describes. Everything is real: Chromium with the
//! extension, the bridge, the daemon, a plugin in its sandbox, a chain. Beside it runs a second Chromium with the same
//! extension, before a native program that answers every request at once (this one, started by the browser): what it
//! takes there is the browser's own part. The cases take turns, so that what the machine does besides meets them all.
//!
//! A page's clock has steps of 0.1 ms, and so have the figures of single requests.

#![allow(clippy::print_stdout, reason = "figures are the output of a bench")]
#![allow(clippy::disallowed_methods, reason = "files of the bench's own, thrown away at its end")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value as Json, json};

use cdp::{Browser, Page, extension};
use site::Pages;
use stage::{EXTENSION_ID, Stage};

#[allow(dead_code, reason = "the browser's tests use the rest")]
#[path = "../tests/browser/cdp.rs"]
mod cdp;
#[allow(dead_code, reason = "the browser's tests use the rest")]
#[path = "../tests/browser/site.rs"]
mod site;
#[allow(dead_code, reason = "the browser's tests use the rest")]
#[path = "../tests/browser/stage.rs"]
mod stage;
#[allow(dead_code, reason = "the program's tests use the rest")]
#[path = "../tests/entresol/support.rs"]
mod support;

/// Turns of each case, and requests in a turn. Calls that go on to layer 1 stay below what one site may burst.
const TURNS: usize = 8;
const REQUESTS: usize = 100;
/// Requests before the first that counts.
const WARM: usize = 50;
/// Calls for the throughput, and how many are under way at a time: below what one caller may have open.
const MANY: usize = 2_000;
const AT_ONCE: usize = 16;

/// A plugin that does nothing but answer.
const SCRIPT: &str = r#"export default class { constructor() { this.layer2Interface = { actions: [
  { name: "next", readOnly: true, call: ({ value }) => value + 1n,
    params: [{ name: "value", type: "uint" }], returns: [{ name: "next", type: "uint" }] }] }; } }"#;

const FUNCTIONS: &str = "window.times = async (count, request) => {
  const taken = [];
  for (let i = 0; i < count; i += 1) {
    const start = performance.now();
    await request();
    taken.push(performance.now() - start);
  }
  return taken;
};
window.perSecond = async (count, atOnce, request) => {
  const start = performance.now();
  await Promise.all(Array.from({ length: atOnce }, () => times(count / atOnce, request)));
  return count / ((performance.now() - start) / 1000);
};
window.refused = (promise) => promise.then(() => { throw new Error('it was not refused') }, () => {});";

/// The call that goes to layer 1: the balance of an account, asked of a contract that is none.
const CALL: &str = r#"{"to":"0x00000000000000000000000000000000000c0ffe","data":"0x70a08231"}"#;

fn main() {
    if std::env::args().nth(1).is_some_and(|first| first.starts_with("chrome-extension://")) {
        // Started by the browser. Its end is the browser's business.
        let _ = answer_at_once();
        return;
    }
    let stage = Stage::plain(Pages::default().text("/frame.html", "<!doctype html><title>frame</title>"));
    stage.house.install_script("bench", json!({}), SCRIPT);
    let page = stage.open("127.0.0.1");
    let asked = page.start("ask('eth_requestAccounts')");
    stage.approve();
    page.finish(asked).expect("connected");
    let caller = stage.caller("127.0.0.1");
    stage.house.wallet.run(&["callers", "grant", &caller, "bench", "--action", "next"]).json();
    page.until("ethereum.layer2.bench?.next");
    assert_eq!(page.eval("ethereum.layer2.bench.next({ value: 1n })"), "2");
    page.eval(FUNCTIONS);
    // A frame of a site that the user has not allowed in frames: the extension's worker itself says no.
    page.eval(
        "new Promise((done) => { window.frame = document.createElement('iframe'); frame.onload = done; \
         frame.src = '/frame.html'; document.body.append(frame); })",
    );
    let echo = Browser::start(Some(&extension()), install_echo);
    let echo_page = echo.open(&stage.site.url("127.0.0.1", "/"));
    echo_page.until("ask('eth_chainId').then(() => true, () => false)");
    echo_page.eval(FUNCTIONS);
    let rpc = stage.house.devnet.fact("rpc");
    let mut direct = Direct::new(&rpc);

    let cases = [
        (&page, "refused(frame.contentWindow.ethereum.request({ method: 'eth_chainId' }))"),
        (&echo_page, "ask('eth_chainId')"),
        (&page, "refused(ask('no_such_method'))"),
        (&page, "ask('eth_chainId')"),
        (&page, "ethereum.layer2.bench.next({ value: 1n })"),
    ];
    let call = format!("ask('eth_call', [{CALL}, 'latest'])");
    let mut all = vec![Vec::new(); cases.len() + 2];
    for turn in 0..=TURNS {
        let count = if turn == 0 { WARM } else { REQUESTS };
        let mut taken: Vec<_> = cases.iter().map(|(page, request)| times(page, count, request)).collect();
        taken.push(times(&page, count, &call));
        taken.push((0..count).map(|_| direct.call()).collect());
        if turn > 0 {
            all.iter_mut().zip(taken).for_each(|(all, taken)| all.extend(taken));
        }
    }
    let speed = |page: &Page, request: &str| {
        page.eval(&format!("perSecond({MANY}, {AT_ONCE}, () => {request})")).as_f64().expect("a number")
    };
    let plugin_speed = speed(&page, cases[4].1);
    let echo_speed = speed(&echo_page, cases[1].1);

    let [worker, native, listener, host, plugin, through, straight] = all.as_mut_slice() else {
        unreachable!("seven cases")
    };
    let own = median(native);
    say("page → worker → page, p50", median(worker), "ms", None);
    say("page → native program → page (the browser's own part), p50", own, "ms", None);
    say("page → native program → page (the browser's own part), p99", high(native), "ms", None);
    say("page → wallet's listener → page (no such method), p50", median(listener), "ms", Some(("browser's own", own)));
    say("page → wallet → page (eth_chainId), p50", median(host), "ms", Some(("browser's own", own)));
    say("page → plugin → page (an action that reads), p50", median(plugin), "ms", Some(("browser's own", own)));
    let own_high = high(native);
    say("page → plugin → page (an action that reads), p99", high(plugin), "ms", Some(("browser's own", own_high)));
    say("above the browser's own part, p50", median(plugin) - own, "ms", None);
    say("calls of a plugin, 16 at a time", plugin_speed, "calls/s", Some(("browser's own", echo_speed)));
    let (fast, slow) = (median(straight), high(straight));
    say("eth_call through the page, p50", median(through), "ms", Some(("straight to the endpoint", fast)));
    say("eth_call through the page, p99", high(through), "ms", Some(("straight to the endpoint", slow)));
    drop(echo);
}

/// Milliseconds of so many requests, one after another.
fn times(page: &Page, count: usize, request: &str) -> Vec<f64> {
    let taken = page.eval(&format!("times({count}, () => {request})"));
    taken.as_array().expect("a list").iter().map(|one| one.as_f64().expect("a number")).collect()
}

/// The endpoint, over one connection that stays.
struct Direct {
    stream: BufReader<TcpStream>,
    request: String,
}

impl Direct {
    fn new(url: &str) -> Self {
        let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let stream = TcpStream::connect(&address).expect("the chain listens");
        stream.set_nodelay(true).expect("set");
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{CALL},"latest"]}}"#);
        let length = body.len();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        Self { stream: BufReader::new(stream), request }
    }

    /// Milliseconds of one call.
    fn call(&mut self) -> f64 {
        let start = Instant::now();
        self.stream.get_mut().write_all(self.request.as_bytes()).expect("sent");
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("a line");
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().expect("a number");
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("an answer");
        let taken = start.elapsed().as_secs_f64() * 1e3;
        let answer: Json = serde_json::from_slice(&body).expect("JSON");
        assert!(answer["result"].is_string(), "{answer}");
        taken
    }
}

/// Puts this program before the browser in the wallet's place.
fn install_echo(profile: &Path) {
    let folder = profile.join("NativeMessagingHosts");
    std::fs::create_dir_all(&folder).expect("made");
    let manifest = json!({
        "name": "com.entresol.bridge", "description": "answers at once", "type": "stdio",
        "path": std::env::current_exe().expect("known"),
        "allowed_origins": [format!("chrome-extension://{EXTENSION_ID}/")],
    });
    std::fs::write(folder.join("com.entresol.bridge.json"), manifest.to_string()).expect("written");
}

/// The other end of native messaging: the extension's protocol with nothing behind it.
fn answer_at_once() -> std::io::Result<()> {
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut say = |message: Json| {
        let text = message.to_string();
        let length = u32::try_from(text.len()).unwrap_or_default();
        output.write_all(&[&length.to_le_bytes(), text.as_bytes()].concat())?;
        output.flush()
    };
    say(json!({ "type": "challenge", "version": 1, "nonce": "A".repeat(43) }))?;
    loop {
        let mut length = [0; 4];
        input.read_exact(&mut length)?;
        let mut text = vec![0; u32::from_le_bytes(length) as usize];
        input.read_exact(&mut text)?;
        let message: Json = serde_json::from_slice(&text)?;
        match message["type"].as_str() {
            Some("hello") => say(json!({ "type": "welcome", "profile": "echo" }))?,
            Some("request") => say(json!({
                "type": "response", "document": message["document"], "id": message["id"], "result": "0x7a69",
            }))?,
            Some("popup") => say(json!({
                "type": "popup", "id": message["id"], "profile": "echo", "locked": false, "grants": [], "accounts": [],
                "approvals": [], "web": null,
            }))?,
            _ => {}
        }
    }
}

fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

fn high(values: &mut [f64]) -> f64 {
    quantile(values, 0.99)
}

fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len() - 1;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the last index")]
    let at = (last as f64 * part).round() as usize;
    values[at.min(last)]
}

fn say(name: &str, value: f64, unit: &str, baseline: Option<(&str, f64)>) {
    let mut figure: Json = json!({ "name": name, "value": value, "unit": unit });
    if let Some((baseline, than)) = baseline {
        figure["baseline"] = json!(baseline);
        figure["baseline_value"] = json!(than);
        figure["ratio"] = json!(value / than);
    }
    println!("{figure}");
}
