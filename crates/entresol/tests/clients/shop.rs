//! The shop of `examples/`, as a visitor sees it.

use crate::npm;
use crate::site::Pages;
use crate::stage::Stage;

const SHOP: &str = "/examples/shop/index.html";
/// Somebody to pay on layer 2.
const SELLER: &str = "0x00000000000000000000000000000000000000aa";

#[test]
fn the_shop_is_paid_on_layer_1_and_on_layer_2_and_once_over_a_reload() {
    let stage = Stage::paying(Pages::default().folder(&npm::repository()));
    let url = stage.site.url("127.0.0.1", &format!("{SHOP}?seller={SELLER}"));
    let page = stage.browser().open(&url);
    let choose = "document.querySelector('#wallets button[data-rdns=\"example.entresol\"]')";
    let first = "document.querySelector('#goods button')";
    let order = |text: &str| format!("document.querySelector('#list li:first-child').textContent.includes('{text}')");
    page.until(choose);
    page.eval(&format!("{choose}.click()"));
    stage.approve();
    page.until(&format!("!{first}.disabled"));

    // Layer 1, as with any wallet.
    page.eval(&format!("{first}.click()"));
    let request = stage.approve();
    assert!(request["sentence"].as_str().expect("text").contains("0.004 ETH"), "{request}");
    page.until("document.querySelector('#list li:first-child').dataset.state === 'paid'");

    // Layer 2: granted, the balance is there, and follows a payment.
    page.until("!document.getElementById('allow').hidden");
    page.eval("document.getElementById('ask').click()");
    stage.approve();
    page.until("document.getElementById('amount').textContent === '1 ETH'");
    page.eval(&format!("{first}.click()"));
    page.until(&order("waits"));
    stage.approve();
    page.until(&order("paid on layer 2"));
    page.until("document.getElementById('amount').textContent === '0.996 ETH'");

    // No is no.
    page.eval(&format!("{first}.click()"));
    stage.reject();
    page.until(&order("You said no"));

    // A reload while the wallet asks: the same request is found again, and pays once.
    page.eval(&format!("{first}.click()"));
    let waiting = stage.pending();
    page.go(&url);
    page.until(choose);
    assert_eq!(stage.pending()["id"], waiting["id"]);
    page.eval(&format!("{choose}.click()"));
    page.until("document.querySelector('#list li') !== null");
    stage.approve();
    page.until(&order("paid on layer 2"));
    page.until("document.getElementById('amount').textContent === '0.992 ETH'");
    stage.nothing_waits();
    assert_eq!(page.eval("localStorage.getItem('shop.order')"), serde_json::Value::Null);
}
