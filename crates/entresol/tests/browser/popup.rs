//! What the user sees behind the icon, from the first start to a request that waits. With `ENTRESOL_PICTURES=FOLDER` it
//! is also drawn there.

use serde_json::json;

use crate::cdp::{Browser, Page, extension};
use crate::site::Pages;
use crate::stage::{EXTENSION_ID, PAGE, PROFILE, Stage, nothing};
use crate::support::{House, until};

/// A picture of the popup as wide as the browser draws it.
fn picture(popup: &Page, name: &str) {
    let Some(folder) = std::env::var_os("ENTRESOL_PICTURES") else { return };
    let height = popup.eval("Math.ceil(document.body.getBoundingClientRect().height)");
    let size = json!({ "width": 372, "height": height, "deviceScaleFactor": 2, "mobile": false });
    popup.call("Emulation.setDeviceMetricsOverride", size);
    for scheme in ["light", "dark"] {
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        popup.call("Emulation.setEmulatedMedia", media);
        popup.screenshot(&std::path::Path::new(&folder).join(format!("popup-{name}-{scheme}.png")));
    }
}

fn says(popup: &Page, words: &str) {
    popup.until(&format!("document.body.innerText.includes({})", json!(words)));
}

#[test]
fn the_popup_shows_the_site_its_grants_what_waits_and_a_lock() {
    let stage = Stage::paying(Pages::default());
    let page = stage.open("127.0.0.1");
    let popup = stage.popup(Some(&page));
    says(&popup, &stage.site.origin("127.0.0.1"));
    says(&popup, "Nothing was granted to it");
    says(&popup, &format!("Profile “{PROFILE}”"));
    picture(&popup, "stranger");

    stage.house.wallet.run(&["callers", "connect", &stage.caller("127.0.0.1")]).json();
    stage.grant("127.0.0.1");
    let address = stage.house.wallet.run(&["account", "list"]).json()[0]["address"].as_str().expect("text").to_owned();
    for words in [address.as_str(), "It may ask payments for:", "makePayment", "sees balance"] {
        says(&popup, words);
    }
    page.until("ethereum.layer2.payments?.makePayment");
    let paying = stage.pay(&page, 5);
    let id = stage.pending()["id"].to_string();
    says(&popup, "One request waits for you".to_uppercase().as_str());
    says(&popup, &format!("entresol approvals approve {id}"));
    // The number stands on the icon as well.
    popup.until("chrome.action.getBadgeText({}).then((text) => text === '1')");
    picture(&popup, "waiting");
    stage.reject();
    assert_eq!(page.finish(paying).expect_err("rejected")["code"], 4001);
    popup.until("chrome.action.getBadgeText({}).then((text) => text === '')");
    popup.until("!document.body.innerText.includes('entresol approvals approve')");

    stage.house.wallet.run(&["lock"]).json();
    says(&popup, "entresol unlock");
    picture(&popup, "locked");
    // The popup is no page that anybody can frame or script: nothing inline, nothing from elsewhere.
    let blocked = "new Promise((resolve) => { addEventListener('securitypolicyviolation', (e) => resolve(e.effectiveDirective)); \
                   const script = document.createElement('script'); script.textContent = '1'; document.body.append(script) })";
    assert_eq!(popup.eval(blocked), "script-src-elem");
}

#[test]
fn a_browser_that_may_not_start_programs_is_paired_by_a_port() {
    let mut house = House::new();
    let status = house.wallet.run(&["status"]).json();
    let address = status["site"].as_str().expect("an address").trim_end_matches('/').to_owned();
    let port: u16 = address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let site = Pages::default().text("/", PAGE).serve();
    let browser = Browser::start(Some(&extension()), |_| ());
    let popup = browser.open(&format!("chrome-extension://{EXTENSION_ID}/popup.html"));
    says(&popup, "entresol bridge install --browser chromium");
    picture(&popup, "missing");
    popup.eval("document.querySelector('details').open = true; document.querySelector('input').value = '0'; null");
    popup.eval(&format!(
        "document.querySelector('input').value = '{port}'; document.querySelector('form button').click()"
    ));
    popup.until("document.querySelector('main button')?.textContent === 'Get a code'");
    picture(&popup, "unpaired");
    popup.eval("document.querySelector('main button').click()");
    let code = popup.until("document.querySelector('.code')?.textContent");
    let code = code.as_str().expect("text");
    says(&popup, &format!("entresol bridge pair {code}"));
    picture(&popup, "code");
    house.wallet.run(&["bridge", "pair", code, "--name", PROFILE]).json();
    says(&popup, "Connected");

    let page = browser.open(&site.url("127.0.0.1", "/"));
    page.until("heard('connect').length === 1");
    assert_eq!(page.eval("ask('eth_accounts')"), nothing());
    // The wallet goes, and comes back on the same port.
    house.daemon.signal(rustix::process::Signal::TERM);
    house.daemon.child.wait().expect("waited");
    says(&popup, "Not running");
    picture(&popup, "down");
    page.until("heard('disconnect').length === 1");
    let mut command = house.wallet.command(&["daemon", "--poll-ms", "100"]);
    command.args(["--site-port", &port.to_string()]).stderr(std::process::Stdio::null());
    house.daemon = crate::support::Running::start(command);
    page.until("heard('connect').length === 2");
    says(&popup, "Connected");
    // A profile that is removed has nothing more, at once.
    house.wallet.run(&["bridge", "remove", PROFILE]).json();
    until("the page is refused", || {
        page.attempt("ask('eth_chainId')").err().filter(|error| error["code"] == 4100).map(drop)
    });
    popup.until("document.querySelector('main button')?.textContent === 'Get a code'");
}
