//! A page finds the wallet as it finds any other, and cannot change what it found.

use serde_json::json;

use crate::cdp::{Browser, extension};
use crate::site::Pages;

/// Listens before and asks again after, as EIP-6963 wants it from a page.
const FIND: &str = "<!doctype html><title>find</title><script>
  window.early = [];
  addEventListener('eip6963:announceProvider', (event) => early.push(event.detail));
  dispatchEvent(new Event('eip6963:requestProvider'));
</script>";

#[test]
fn a_page_finds_the_wallet_by_eip_6963_and_cannot_change_it() {
    let site = Pages::default().text("/", FIND).serve();
    let browser = Browser::start(Some(&extension()), |_| ());
    let page = browser.open(&site.url("127.0.0.1", "/"));
    assert_eq!(page.eval("early.length"), 1, "asked before its scripts ended, answered at once");
    assert_eq!(
        page.eval("({ name: early[0].info.name, rdns: early[0].info.rdns, icon: early[0].info.icon.slice(0, 26) })"),
        json!({ "name": "Entresol", "rdns": "example.entresol", "icon": "data:image/svg+xml;base64," })
    );
    let uuid = page.eval("early[0].info.uuid");
    let version_4 = "/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(early[0].info.uuid)";
    assert_eq!(page.eval(version_4), true, "{uuid}");
    assert_eq!(page.eval("early[0].provider === window.ethereum"), true);
    for frozen in ["early[0]", "early[0].info", "early[0].provider", "ethereum.layer2"] {
        assert_eq!(page.eval(&format!("Object.isFrozen({frozen})")), true, "{frozen}");
    }
    // Asked again, the same provider and the same uuid.
    page.eval("dispatchEvent(new Event('eip6963:requestProvider'))");
    assert_eq!(page.eval("early.length === 2 && early[1].info.uuid === early[0].info.uuid"), true);
    // Another page has another one.
    let other = browser.open(&site.url("127.0.0.1", "/"));
    assert_ne!(other.eval("early[0].info.uuid"), uuid);
    // No wallet is there yet, and the page is told what to do.
    let error = page.attempt("ethereum.request({ method: 'eth_chainId' })").expect_err("no wallet");
    assert_eq!(error["code"], 4900, "{error}");
    assert_eq!(error["isError"], true, "{error}");
    assert!(error["message"].as_str().expect("text").contains("entresol bridge install"), "{error}");
}

#[test]
fn a_wallet_that_was_there_first_stays() {
    let site = Pages::default().text("/", FIND).serve();
    let browser = Browser::start(Some(&extension()), |_| ());
    let page = browser.blank();
    page.call("Page.enable", json!({}));
    let mine = "Object.defineProperty(window, 'ethereum', { value: 'another wallet' })";
    page.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": mine, "runImmediately": true }));
    page.go(&site.url("127.0.0.1", "/"));
    assert_eq!(page.eval("window.ethereum"), "another wallet");
    assert_eq!(page.eval("early[0].info.name"), "Entresol", "still found by EIP-6963");
}
