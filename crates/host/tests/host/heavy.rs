//! Heavy work, from the install screen to the script's promise.

use crate::support::{Anvil, DEADLINE, USER, Wallet, input, until};
use entresol_host::HostError;
use entresol_host::messages::{ApprovalView, Decision};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::TcpListener;

const SCRIPT: &str = include_str!("heavy.js");
const WORK: &[u8] = include_bytes!("../../../sandbox/assets/work.wasm");
const MAY: &str = "run heavy computations beside itself, each with up to 32 MiB of memory and 20 s of processor time";

async fn propose(wallet: &Wallet, name: &str, asset: Json, seconds: u32) -> Result<ApprovalView, HostError> {
    propose_within(wallet, name, asset, seconds, json!({})).await
}

#[allow(clippy::disallowed_methods, reason = "files of the test's own")]
async fn propose_within(
    wallet: &Wallet,
    name: &str,
    asset: Json,
    seconds: u32,
    limits: Json,
) -> Result<ApprovalView, HostError> {
    let folder = wallet.home.path().join(format!("source-{name}"));
    std::fs::create_dir_all(&folder).expect("made");
    let manifest = json!({
        "name": "heavy", "version": "1.0.0", "type": "module", "main": "index.js",
        "layer2": {
            "apiVersion": 1, "title": "Heavy", "assets": [asset],
            "permissions": { "compute": { "memory": "32 MiB", "seconds": seconds }, "limits": limits }
        }
    });
    std::fs::write(folder.join("package.json"), manifest.to_string()).expect("written");
    std::fs::write(folder.join("index.js"), SCRIPT).expect("written");
    std::fs::write(folder.join("work.wasm"), WORK).expect("written");
    wallet.host().solution_add(&USER, input(name, &folder, None)).await
}

fn in_package() -> Json {
    json!({ "name": "work", "path": "work.wasm", "sha256": hex::encode(Sha256::digest(WORK)), "size": WORK.len() })
}

async fn install(wallet: &Wallet, name: &str, seconds: u32) {
    let proposed = propose(wallet, name, in_package(), seconds).await.expect("proposed");
    wallet.approve(&proposed).await;
    wallet.plugin(name, "running").await;
}

async fn ask(wallet: &Wallet, name: &str, asset: &str, entry: &str, input: &str) -> String {
    let params = json!({ "asset": asset, "entry": entry, "input": input });
    wallet.call(name, "ask", params).await.expect("answers").as_str().expect("text").to_owned()
}

fn digest_of(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(Sha256::digest(bytes)))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asset_is_shown_at_install_and_computes_for_the_script() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    let proposed = propose(&wallet, "heavy", in_package(), 20).await.expect("proposed");
    let shown =
        |label: &str, part: &str| proposed.rows.iter().any(|row| row.label == label && row.value.contains(part));
    assert!(shown("May", MAY), "{:?}", proposed.rows);
    assert!(
        shown("Asset", &hex::encode(Sha256::digest(WORK))) && shown("Asset", "in the package"),
        "{:?}",
        proposed.rows
    );
    wallet.approve(&proposed).await;
    wallet.plugin("heavy", "running").await;
    for size in [0, 1, 300_000] {
        let digest = wallet.call("heavy", "sha", json!({ "size": size })).await.expect("computed");
        assert_eq!(digest, digest_of(&vec![7; size]));
    }
    assert_eq!(
        wallet.call("heavy", "text", json!({ "input": "grüße" })).await.expect("computed"),
        digest_of("grüße".as_bytes())
    );
    let chain = wallet.call("heavy", "chain", json!({ "rounds": "300000" })).await.expect("computed");
    let expected = (0..300_000).fold(vec![0; 32], |digest, _| Sha256::digest(digest).to_vec());
    assert_eq!(chain["digest"], format!("0x{}", hex::encode(expected)));
    let told = chain["told"].as_array().expect("a list");
    let done: Vec<f64> = told.iter().map(|one| one[0].as_f64().expect("a number")).collect();
    assert!(done.windows(2).all(|pair| pair[0] < pair[1]), "it only grows: {done:?}");
    let said = wallet.call("heavy", "large", json!({})).await.expect("answers");
    assert_eq!(said, json!(["the input of 17825792 bytes is larger than the 16777216 that a computation takes", true]));
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_is_an_error_the_script_can_catch_and_the_plugin_goes_on() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    install(&wallet, "heavy", 1).await;
    for (asset, entry, expected) in [
        ("work", "spin", "-32005 time the computation took more processor time"),
        ("work", "hoard", "-32005 memory the computation needs more memory"),
        ("work", "huge", "-32005 size the output of 2147483647 bytes"),
        ("work", "crash", "-32011 trap the computation stopped: wasm trap"),
        ("work", "refuse", "-32011 failed the computation failed: because"),
        (
            "work",
            "prove",
            "-32602 asset the asset does not keep to the interface of assets: it has no export \"prove\"",
        ),
        ("other", "spin", "-32602 undefined compute: there is no asset \"other\"; the manifest has: work"),
    ] {
        let said = ask(&wallet, "heavy", asset, entry, "because").await;
        assert!(said.starts_with(expected), "{entry}: {said}");
    }
    let throwing = wallet.call("heavy", "throwing", json!({})).await;
    assert!(throwing.is_ok(), "{throwing:?}");
    let odd = wallet.call("heavy", "odd", json!({})).await.expect("answers");
    expect_test::expect![[r#"
        [
          "TypeError: compute takes { asset, export, input }",
          "TypeError: compute takes { asset, export, input }",
          "TypeError: compute: asset and export must be strings",
          "TypeError: compute: asset and export must be strings",
          "TypeError: compute: input must be a Uint8Array or a string",
          "TypeError: compute: input must be a Uint8Array or a string",
          "TypeError: compute: onProgress must be a function",
          "no"
        ]"#]]
    .assert_eq(&serde_json::to_string_pretty(&odd).expect("JSON"));
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mailbox_is_free_while_it_computes_and_a_cancelled_run_ends() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    install(&wallet, "heavy", 600).await;
    assert_eq!(wallet.call("heavy", "begin", json!({})).await.expect("runs"), json!(2));
    for round in 0..20 {
        let text = round.to_string();
        assert_eq!(wallet.call("heavy", "echo", json!({ "text": text })).await.expect("answers"), json!(text));
    }
    assert_eq!(wallet.call("heavy", "end", json!({})).await.expect("answers"), json!("changed my mind"));
    // More than may be open: those that have no place hear it at once, the others wait until they are cancelled.
    let storm = wallet.call("heavy", "storm", json!({})).await.expect("answers");
    assert_eq!(storm["first"], "more than 32 computations at once: await some first");
    let said = storm["said"].as_array().expect("a list");
    // The run that was cancelled just before may still have its place.
    let fits = |open: u32| {
        let refused = format!("{} more than 32 computations at once: await some first", 40 - open);
        said.contains(&json!(format!("{open} enough"))) && said.contains(&json!(refused))
    };
    assert!(fits(32) || fits(31), "{said:?}");
    // All of it is over: there is room for honest work again.
    let again = until("there is room", async || wallet.call("heavy", "text", json!({ "input": "x" })).await.ok());
    assert_eq!(again.await, digest_of(b"x"));
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_15_what_is_given_up_ends_however_many_requests_are_open() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    let proposed = propose_within(&wallet, "heavy", in_package(), 600, json!({ "hostCalls": 4 })).await;
    wallet.approve(&proposed.expect("proposed")).await;
    wallet.plugin("heavy", "running").await;
    let answered = async || {
        let view = wallet.host().plugin_inspect(&USER, "heavy").await.expect("it is there");
        (view.open_requests == 0).then_some(())
    };
    for _ in 0..2 {
        until("no request is open", answered).await;
        // Two that run and tell: four requests are open, which is all there may be, and all places are taken.
        assert_eq!(wallet.call("heavy", "pair", json!({})).await.expect("answers"), json!(["enough", "enough"]));
        let free = until("there is room", async || wallet.call("heavy", "text", json!({ "input": "x" })).await.ok());
        assert_eq!(free.await, digest_of(b"x"));
    }
    // Tickets whose run was refused are not kept: the second time there are as many as before.
    for _ in 0..2 {
        until("no request is open", answered).await;
        let said = wallet.call("heavy", "refused", json!({})).await.expect("answers");
        assert_eq!(said, json!({ "done": 4, "refused": 28, "full": 8 }));
    }
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_permission_nothing_is_computed() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    let proposed = propose(&wallet, "refused", in_package(), 20).await.expect("proposed");
    let decision = Decision {
        id: proposed.id,
        approve: true,
        digest: proposed.digest.clone(),
        refuse: vec![MAY.to_owned()],
        accounts: Vec::new(),
    };
    wallet.host().approval_decide(&USER, decision).await.expect("decided");
    wallet.host().approval_wait(&USER, proposed.id, true, DEADLINE).await.expect("there");
    wallet.plugin("refused", "running").await;
    let said = ask(&wallet, "refused", "work", "echo", "x").await;
    assert!(said.starts_with("4100 "), "{said}");
    // Given later, it works; taken back, it no longer does.
    wallet.host().grant_add(&USER, "refused", MAY).await.expect("granted");
    assert_eq!(ask(&wallet, "refused", "work", "echo", "x").await, "done");
    wallet.host().grant_revoke(&USER, "refused", MAY).await.expect("revoked");
    let said = ask(&wallet, "refused", "work", "echo", "x").await;
    assert!(said.starts_with("4100 "), "{said}");
    wallet.host().shutdown().await;
}

/// Answers every request with these bytes, and counts.
fn serve(bytes: Vec<u8>) -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/work.wasm", listener.local_addr().expect("an address"));
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = Vec::new();
            let mut piece = [0; 1024];
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut piece) {
                    Ok(read @ 1..) => request.extend_from_slice(&piece[..read]),
                    _ => break,
                }
            }
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&bytes));
        }
    });
    (url, count)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asset_with_a_url_is_fetched_once_and_must_have_the_hash() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    let (url, count) = serve(WORK.to_vec());
    let fetched = |url: &str| json!({ "name": "work", "url": url, "sha256": hex::encode(Sha256::digest(WORK)), "size": WORK.len() });
    for name in ["first", "second"] {
        let proposed = propose(&wallet, name, fetched(&url), 20).await.expect("proposed");
        wallet.approve(&proposed).await;
        wallet.plugin(name, "running").await;
        assert_eq!(ask(&wallet, name, "work", "echo", "x").await, "done");
    }
    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 1, "the second solution finds it");
    let mut other = WORK.to_vec();
    let last = other.len() - 1;
    other[last] ^= 1;
    // What is already there by its hash is not fetched again, so the hash is another one.
    let (wrong, _) = serve(other);
    let mut asset = fetched(&wrong);
    asset["sha256"] = json!("11".repeat(32));
    let refused = propose(&wallet, "third", asset, 20).await.expect_err("another file");
    assert!(refused.message.contains("layer2.assets.work.sha256: is 1111"), "{refused}");
    let (long, _) = serve([WORK, b"more"].concat());
    let mut asset = fetched(&long);
    asset["sha256"] = json!("22".repeat(32));
    let refused = propose(&wallet, "fourth", asset, 20).await.expect_err("a longer file");
    assert!(refused.message.contains("answers with more than the"), "{refused}");
    wallet.host().shutdown().await;
}

/// A counter in a module's own memory, which the script reads through the memory's buffer.
const COUNTER: &str = "
const WASM = new Uint8Array([0,97,115,109,1,0,0,0,1,5,1,96,0,1,127,3,2,1,0,5,3,1,0,1,7,17,2,6,109,101,109,111,114,121,2,0,4,110,101,120,116,0,0,10,22,1,20,0,65,0,65,0,40,2,0,65,1,106,54,2,0,65,0,40,2,0,11]);
export default class Counter {
  constructor() {
    this.there = typeof WebAssembly;
    if (this.there === 'object') this.module = new WebAssembly.Instance(new WebAssembly.Module(WASM)).exports;
    this.layer2Interface = { actions: [{ name: 'next', call: () => this.next(), params: [] }], state: [] };
  }
  next() {
    if (!this.module) return this.there;
    return [this.module.next(), new Uint32Array(this.module.memory.buffer)[0]].join();
  }
}";

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::disallowed_methods, reason = "files of the test's own")]
async fn a_script_has_webassembly_when_its_package_asks_and_the_user_agrees() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    for (name, permissions, expected) in
        [("with", json!({ "webassembly": true }), ["1,1", "2,2"]), ("without", json!({}), ["undefined", "undefined"])]
    {
        let folder = wallet.home.path().join(format!("source-{name}"));
        std::fs::create_dir_all(&folder).expect("made");
        let manifest = json!({
            "name": "counter", "version": "1.0.0", "type": "module", "main": "index.js",
            "layer2": { "apiVersion": 1, "title": "Counter", "permissions": permissions }
        });
        std::fs::write(folder.join("package.json"), manifest.to_string()).expect("written");
        std::fs::write(folder.join("index.js"), COUNTER).expect("written");
        let proposed = wallet.host().solution_add(&USER, input(name, &folder, None)).await.expect("proposed");
        let said = proposed
            .rows
            .iter()
            .any(|row| row.label == "May" && row.value.contains("faster program parts (WebAssembly)"));
        assert_eq!(said, name == "with", "{:?}", proposed.rows);
        wallet.approve(&proposed).await;
        wallet.plugin(name, "running").await;
        for expected in expected {
            assert_eq!(wallet.call(name, "next", json!({})).await.expect("answers"), json!(expected));
        }
    }
    wallet.host().shutdown().await;
}
