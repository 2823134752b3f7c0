//! The injected provider, used by libraries and pages as npm has them, in a real browser with the real extension; and
//! the shop of `examples/`.

use std::process::Command;
use std::time::Instant;

use serde_json::{Value as Json, json};

use crate::app::{PAID, check, foundry, script};
use crate::cdp::Page;
use crate::npm;
use crate::site::Pages;
use crate::stage::Stage;
use crate::support::{LIMIT, Said};

/// The page that runs a bundled script.
const HOST: &str = "<!doctype html><meta charset=utf-8><title>client</title><script src=/client.js></script>";

/// A script of this folder with everything that it imports, as one plain script.
fn bundled(name: &str) -> String {
    let mut command = Command::new(npm::clients().join("node_modules/.bin/esbuild"));
    command.arg(script(name)).args(["--bundle", "--format=iife", "--target=chrome121", "--log-level=error"]);
    let said = Said::of(command.output().expect("started"));
    assert_eq!(said.code, 0, "{}", said.err);
    said.out
}

/// Approves every request of the wallet until `ended` gives something; `look` sees each request before.
#[track_caller]
fn approving<T>(stage: &Stage, mut look: impl FnMut(&Json), mut ended: impl FnMut() -> Option<T>) -> T {
    let wallet = &stage.house.wallet;
    let deadline = Instant::now() + LIMIT * 2;
    loop {
        if let Some(end) = ended() {
            return end;
        }
        for request in wallet.run(&["approvals"]).json().as_array().expect("a list") {
            look(request);
            let (id, digest) = (request["id"].to_string(), request["digest"].as_str().expect("a digest"));
            let said = wallet.run(&["approvals", "approve", &id, "--digest", digest]);
            assert_eq!(said.code, 0, "{request}: {said:?}");
        }
        assert!(Instant::now() < deadline, "a page does not end");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

fn library(name: &str) {
    let stage = Stage::paying(Pages::default().text("/client.html", HOST).text("/client.js", bundled(name)));
    let page = stage.browser().open(&stage.site.url("127.0.0.1", "/client.html"));
    let run = format!(
        "void run('{PAID}').then((ok) => (window.end = {{ ok }}), (e) => (window.end = {{ error: String(e) }}))"
    );
    page.eval(&run);
    let (origin, mut approved) = (stage.site.origin("127.0.0.1"), Vec::new());
    let look = |request: &Json| {
        assert!(request["sentence"].as_str().expect("text").contains(&origin), "the site is not named: {request}");
        approved.push(request["kind"].as_str().expect("text").to_owned());
    };
    let end = approving(&stage, look, || Some(page.eval("window.end ?? null")).filter(Json::is_object));
    let owner = stage.house.wallet.run(&["account", "list"]).json()[0]["address"].clone();
    assert!(end["ok"].is_object(), "{end}");
    check(owner.as_str().expect("an address"), &end["ok"], &approved);
}

#[test]
fn ethers_in_a_page_finds_the_wallet_and_uses_it() {
    library("page-ethers.js");
}

#[test]
fn viem_in_a_page_finds_the_wallet_and_uses_it() {
    library("page-viem.js");
}

/// The test page asks most of its questions only of a provider that calls itself MetaMask: this one does, and is the
/// wallet's own in all else.
const CALLED_METAMASK: &str = "addEventListener('eip6963:announceProvider', (event) => {
  const { info, provider } = event.detail;
  if (info.rdns !== 'example.entresol') return;
  const called = new Proxy({ isMetaMask: true }, { get: (own, name) => (name in own ? own[name] : provider[name]) });
  const detail = { info: { ...info, uuid: crypto.randomUUID(), name: 'Entresol, called MetaMask', rdns: 'example.called' }, provider: called };
  dispatchEvent(new CustomEvent('eip6963:announceProvider', { detail }));
});";

/// Presses a button of the test page, approves what follows, and gives what stands in `result` then.
fn press(stage: &Stage, page: &Page, button: &str, result: &str) -> String {
    page.eval(&format!("document.getElementById('{result}').textContent = ''"));
    page.until(&format!("!document.getElementById('{button}').disabled"));
    page.eval(&format!("document.getElementById('{button}').click()"));
    let text = format!("document.getElementById('{result}').textContent.trim()");
    approving(
        stage,
        |_| (),
        || {
            let text = page.eval(&text).as_str().unwrap_or_default().to_owned();
            Some(text).filter(|text| !text.is_empty())
        },
    )
}

#[test]
fn the_test_page_of_another_wallet_connects_signs_and_sends() {
    let stage = Stage::paying(Pages::default().folder(&npm::clients().join("node_modules/@metamask/test-dapp/dist")));
    let wallet = &stage.house.wallet;
    let owner = wallet.run(&["account", "list"]).json()[0]["address"].as_str().expect("an address").to_owned();
    let page = stage.browser().blank();
    page.call("Page.enable", json!({}));
    page.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": CALLED_METAMASK }));
    page.go(&stage.site.url("127.0.0.1", "/index.html"));
    let choose =
        "[...document.querySelectorAll('#providers button')].find((one) => one.textContent.includes('called'))";
    page.until(&format!("{choose} !== undefined"));
    page.eval(&format!("{choose}.click()"));
    page.until("document.getElementById('chainId').textContent === '0x7a69'");

    let accounts = press(&stage, &page, "connectButton", "accounts");
    assert!(accounts.eq_ignore_ascii_case(&owner), "{accounts}");

    let signature = press(&stage, &page, "personalSign", "personalSignResult");
    assert!(signature.len() == 132 && signature.starts_with("0x"), "{signature}");
    // The page's own comparison minds capital letters in an address; cast does not.
    let mut verify = foundry("cast");
    verify.args(["wallet", "verify", "--address", &owner, "Example `personal_sign` message", &signature]);
    let verified = Said::of(verify.output().expect("started"));
    assert_eq!(verified.code, 0, "{verified:?}");
    let typed = press(&stage, &page, "signTypedDataV4", "signTypedDataV4Result");
    assert!(typed.len() == 132 && typed.starts_with("0x"), "{typed}");
    let recovered = press(&stage, &page, "signTypedDataV4Verify", "signTypedDataV4VerifyResult");
    assert!(recovered.eq_ignore_ascii_case(&owner), "{recovered}");

    // Sign-in with Ethereum: the page's messages name chain 1, which this wallet has not; and then another site.
    let refused = press(&stage, &page, "siwe", "siweResult");
    assert!(refused.contains("chain 1"), "a sign-in for another chain: {refused}");
    let refused = press(&stage, &page, "siweBadDomain", "siweResult");
    assert!(refused.contains("metamask.badactor.io"), "a sign-in for another site: {refused}");

    let permissions = press(&stage, &page, "getPermissions", "permissionsResult");
    assert!(permissions.contains("eth_accounts"), "{permissions}");

    // It sends nothing to an address of its own, twice: with a fee of its own, and with one of an older kind.
    for button in ["sendEIP1559Button", "sendButton"] {
        let before = sent(&stage, &owner);
        page.until(&format!("!document.getElementById('{button}').disabled"));
        page.eval(&format!("document.getElementById('{button}').click()"));
        approving(&stage, |_| (), || (sent(&stage, &owner) > before).then_some(()));
    }
}

/// Transactions of an account that layer 1 has.
fn sent(stage: &Stage, account: &str) -> u64 {
    let mut command = foundry("cast");
    command.args(["nonce", account, "--rpc-url", &stage.house.devnet.fact("rpc")]);
    let said = Said::of(command.output().expect("started"));
    assert_eq!(said.code, 0, "{said:?}");
    said.out.trim().parse().expect("a number")
}
