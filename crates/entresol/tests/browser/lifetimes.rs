//! What ends and comes back while a page is open: the wallet, the worker, the page itself.

use serde_json::json;

use crate::site::Pages;
use crate::stage::{SHOP, Stage, is_hash, nothing, refused};
use crate::support::until;

#[test]
fn a_page_goes_on_when_the_wallet_was_restarted() {
    let mut stage = Stage::paying(Pages::default());
    stage.grant("127.0.0.1");
    let page = stage.open("127.0.0.1");
    page.until("ethereum.layer2.payments?.makePayment");
    let paying = stage.pay(&page, 5);
    stage.pending();

    stage.house.daemon.signal(rustix::process::Signal::TERM);
    stage.house.daemon.child.wait().expect("waited");
    refused(page.finish(paying), 4900, &[]);
    page.until("heard('disconnect').some((one) => one.code === 4900)");
    assert_eq!(page.eval("ethereum.isConnected()"), false);
    page.until("Object.keys(ethereum.layer2).length === 0");
    refused(page.attempt("ask('eth_chainId')"), 4900, &["entresol daemon"]);

    page.eval("told.length = 0");
    stage.house.daemon = stage.house.wallet.daemon();
    page.until("heard('connect').length === 1");
    assert_eq!(page.eval("ask('eth_chainId')"), "0x7a69");
    stage.house.wallet.run(&["unlock"]).json();
    page.until("ethereum.layer2.payments?.makePayment");
    // What the lost connection had asked for is not asked twice.
    stage.nothing_waits();
    stage.house.runs("payments");
    let paying = stage.pay(&page, 6);
    stage.approve();
    is_hash(&page.finish(paying).expect("paid"));
}

#[test]
fn a_page_goes_on_when_the_browser_has_stopped_the_worker() {
    let stage = Stage::plain(Pages::default());
    let page = stage.open("127.0.0.1");
    let asked = page.start("ask('eth_requestAccounts')");
    stage.pending();
    let stop = |what: &str| {
        let worker = until(what, || stage.browser().worker());
        // The line stands, so that what is heard below is of the next one.
        page.until("ethereum.isConnected()");
        page.eval("told.length = 0");
        stage.browser().call("Target.closeTarget", json!({ "targetId": worker }));
        page.until("heard('disconnect').length === 1");
        worker
    };
    let first = stop("the worker runs");
    // What it had been asked is over, for the page and for the wallet.
    refused(page.finish(asked), 4900, &["ask again"]);
    stage.nothing_waits();
    // The page's next request wakes another one, on a line of its own.
    assert_eq!(page.eval("ask('eth_chainId')"), "0x7a69");
    let second = stop("another worker runs");
    assert_ne!(first, second);
    // It is called again by itself as well: events go on without a request.
    page.until("heard('connect').length === 1");
    stage.house.wallet.run(&["callers", "connect", &stage.caller("127.0.0.1")]).json();
    page.until("heard('accountsChanged').length === 1");
}

#[test]
fn a_page_from_the_back_forward_cache_is_told_what_it_missed() {
    let stage = Stage::plain(Pages::default().text("/next", "<!doctype html><title>next</title>"));
    let page = stage.open("127.0.0.1");
    assert_eq!(page.eval("ask('eth_accounts')"), nothing());
    page.eval(
        "window.mark = 'the same document'; window.addEventListener('pageshow', (e) => (window.kept = e.persisted))",
    );
    page.eval("window.pending = ask('eth_requestAccounts').then(() => 'granted', (error) => error.code); null");
    stage.pending();
    page.go(&stage.site.url("127.0.0.1", "/next"));
    stage.nothing_waits();
    stage.house.wallet.run(&["callers", "connect", &stage.caller("127.0.0.1")]).json();
    page.back();
    page.until("window.mark === 'the same document'");
    assert_eq!(page.eval("window.kept"), true, "the browser kept the document: nothing of ours stood in its way");
    assert_eq!(page.eval("pending"), 4900);
    page.until("heard('accountsChanged').length === 1");
    assert_eq!(page.eval("ask('eth_chainId')"), "0x7a69");
    assert_eq!(page.eval("heard('connect').length"), 2);
}

#[test]
fn a_call_with_an_id_survives_a_reload_and_pays_once() {
    let stage = Stage::paying(Pages::default());
    stage.grant("127.0.0.1");
    let page = stage.open("127.0.0.1");
    page.until("ethereum.layer2.payments?.makePayment");
    let pay =
        format!("ethereum.layer2.payments.makePayment({{ toAddress: '{SHOP}', value: 5n }}, {{ id: 'order-1' }})");
    let _ = page.start(&pay);
    let request = stage.pending();
    page.reload();
    page.until("ethereum.layer2.payments?.makePayment");
    // The same question, still there, and the reloaded page waits for it.
    let again = page.start(&pay);
    assert_eq!(stage.pending()["id"], request["id"]);
    stage.approve();
    let paid = page.finish(again).expect("paid");
    is_hash(&paid);
    assert_eq!(page.eval(&pay), paid, "kept for this caller");
    until("it was paid once", || (stage.balance() == "999999999999999995").then_some(()));
    // Without an id, the request left with its document.
    let _ = stage.pay(&page, 5);
    stage.pending();
    page.reload();
    stage.nothing_waits();
}
