//! The shop of `examples/`, as a visitor sees it.

use crate::cdp::Page;
use crate::npm;
use crate::site::Pages;
use crate::stage::Stage;

const SHOP: &str = "/examples/shop/index.html";
/// Somebody to pay on layer 2.
const SELLER: &str = "0x00000000000000000000000000000000000000aa";

/// The button that chooses this wallet, and the first thing on sale.
const CHOOSE: &str = "document.querySelector('#wallets button[data-rdns=\"example.entresol\"]')";
const FIRST: &str = "document.querySelector('#goods button')";

/// The page has found the wallet, which was chosen there and may show its account.
fn chosen(stage: &Stage, url: &str) -> Page {
    let page = stage.browser().open(url);
    page.until(CHOOSE);
    page.eval(&format!("{CHOOSE}.click()"));
    stage.approve();
    page.until(&format!("!{FIRST}.disabled"));
    page
}

/// The page may ask for payments and shows the balance.
fn granted(stage: &Stage, page: &Page) {
    page.until("!document.getElementById('allow').hidden");
    page.eval("document.getElementById('ask').click()");
    stage.approve();
    page.until("document.getElementById('amount').textContent === '1 ETH'");
}

/// Whether the newest order says this.
fn order(text: &str) -> String {
    format!("document.querySelector('#list li:first-child').textContent.includes('{text}')")
}

#[test]
fn an_order_goes_on_when_the_wallet_was_killed_and_is_paid_once() {
    let mut stage = Stage::paying(Pages::default().folder(&npm::repository()));
    let page = chosen(&stage, &stage.site.url("127.0.0.1", &format!("{SHOP}?seller={SELLER}")));
    granted(&stage, &page);
    page.eval(&format!("{FIRST}.click()"));
    let waiting = stage.pending();
    stage.house.daemon.signal(rustix::process::Signal::KILL);
    stage.house.daemon.child.wait().expect("waited");
    page.until(&order("not running"));
    stage.house.daemon = stage.house.wallet.daemon();
    stage.house.wallet.run(&["unlock"]).json();
    page.until(&order("waits for"));
    assert_eq!(stage.pending()["id"], waiting["id"], "the same question");
    stage.house.runs("payments");
    stage.approve();
    page.until(&order("paid on layer 2"));
    page.until("document.getElementById('amount').textContent === '0.996 ETH'");
    stage.nothing_waits();
    assert_eq!(page.eval("localStorage.getItem('shop.order')"), serde_json::Value::Null);
}

#[test]
fn the_shop_is_paid_on_layer_1_and_on_layer_2_and_once_over_a_reload() {
    let stage = Stage::paying(Pages::default().folder(&npm::repository()));
    let url = stage.site.url("127.0.0.1", &format!("{SHOP}?seller={SELLER}"));
    let page = chosen(&stage, &url);

    // Layer 1, as with any wallet.
    page.eval(&format!("{FIRST}.click()"));
    let request = stage.approve();
    assert!(request["sentence"].as_str().expect("text").contains("0.004 ETH"), "{request}");
    page.until("document.querySelector('#list li:first-child').dataset.state === 'paid'");

    // Layer 2: granted, the balance is there, and follows a payment.
    granted(&stage, &page);
    page.eval(&format!("{FIRST}.click()"));
    page.until(&order("waits"));
    stage.approve();
    page.until(&order("paid on layer 2"));
    page.until("document.getElementById('amount').textContent === '0.996 ETH'");

    // No is no.
    page.eval(&format!("{FIRST}.click()"));
    stage.reject();
    page.until(&order("You said no"));

    // A reload while the wallet asks: the same request is found again, and pays once.
    page.eval(&format!("{FIRST}.click()"));
    let waiting = stage.pending();
    page.go(&url);
    page.until(CHOOSE);
    assert_eq!(stage.pending()["id"], waiting["id"]);
    page.eval(&format!("{CHOOSE}.click()"));
    page.until("document.querySelector('#list li') !== null");
    stage.approve();
    page.until(&order("paid on layer 2"));
    page.until("document.getElementById('amount').textContent === '0.992 ETH'");
    stage.nothing_waits();
    assert_eq!(page.eval("localStorage.getItem('shop.order')"), serde_json::Value::Null);
}
