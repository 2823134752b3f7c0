//! The whole house with a browser before it: chain, layer 2, wallet, bridge, a paired Chromium, a site.

use serde_json::{Value as Json, json};

use crate::cdp::{Begun, Browser, Page, extension};
use crate::site::{Pages, Site};
use crate::support::{House, Said, until};

/// Id of the extension, from the key in its manifest.
pub(crate) const EXTENSION_ID: &str = "ijcahggkbmdcnigjaboponnchegbnaae";
/// The name of the browser's profile in the wallet.
pub(crate) const PROFILE: &str = "home";
/// Somebody to pay.
pub(crate) const SHOP: &str = "0x00000000000000000000000000000000000000AA";

/// A page that writes down all that it is told.
pub(crate) const PAGE: &str = "<!doctype html><meta charset=utf-8><title>page</title><h1>A page</h1><script>
  window.told = [];
  for (const name of ['connect', 'disconnect', 'accountsChanged', 'chainChanged', 'message', 'layer2Changed']) {
    ethereum.on(name, (data) => told.push({ name, data: data instanceof Error ? { code: data.code } : data }));
  }
  window.ask = (method, params) => ethereum.request({ method, params });
  window.heard = (name) => told.filter((one) => one.name === name).map((one) => one.data);
</script>";

#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) house: House,
    pub(crate) site: Site,
    // Dropped before the wallet is: it ends the bridge that it started.
    pub(crate) browser: Option<Browser>,
}

impl Stage {
    /// Everything, the payments layer 2 installed and 1 ETH deposited in it.
    pub(crate) fn paying(pages: Pages) -> Self {
        let house = House::rich();
        house.install(&["--name", "payments"]);
        house.runs("payments");
        let deposit = house.wallet.run(&["deposit", "payments", "1 ether"]);
        house.wallet.approve(&deposit);
        until("the deposit is credited", || {
            let balance = house.state("payments")["balance"].as_str().map(str::to_owned)?;
            (balance == "1000000000000000000").then_some(())
        });
        Self::on(house, pages)
    }

    /// A wallet on a chain, without a layer 2.
    pub(crate) fn plain(pages: Pages) -> Self {
        Self::on(House::new(), pages)
    }

    fn on(house: House, pages: Pages) -> Self {
        let browser = Browser::start(Some(&extension()), |profile| {
            let profile = profile.to_str().expect("text");
            house.wallet.run(&["bridge", "install", "--browser", "chromium", "--user-data-dir", profile]).json();
        });
        let stage = Self { house, site: pages.text("/", PAGE).serve(), browser: Some(browser) };
        stage.pair();
        stage
    }

    pub(crate) fn browser(&self) -> &Browser {
        self.browser.as_ref().expect("it runs")
    }

    /// As the user does it: the popup shows a code, the terminal takes it.
    fn pair(&self) {
        let popup = self.popup(None);
        popup.until("document.querySelector('main button')?.textContent === 'Get a code'");
        popup.eval("document.querySelector('main button').click()");
        let code = popup.until("document.querySelector('.code')?.textContent");
        let code = code.as_str().expect("text");
        self.house.wallet.run(&["bridge", "pair", code, "--name", PROFILE]).json();
        popup.until("document.getElementById('state').textContent === 'Connected'");
        popup.close();
    }

    /// The popup in a tab of its own, as it is for a tab.
    pub(crate) fn popup(&self, of: Option<&Page>) -> Page {
        let page = format!("chrome-extension://{EXTENSION_ID}/popup.html");
        // The browser numbers tabs; only the extension knows the numbers.
        let popup = self.browser().open(&format!("{page}?tab=-1"));
        if let Some(of) = of {
            let own = popup.eval("chrome.tabs.getCurrent().then((tab) => tab.id)");
            self.browser().call("Target.activateTarget", json!({ "targetId": of.target }));
            let active = "chrome.tabs.query({ active: true, currentWindow: true }).then(([tab]) => tab.id)";
            let tab = popup.until(&format!("{active}.then((id) => id !== {own} && id)"));
            popup.go(&format!("{page}?tab={tab}"));
        }
        popup
    }

    /// A tab on the site under a name, connected to the wallet.
    pub(crate) fn open(&self, host: &str) -> Page {
        let page = self.browser().open(&self.site.url(host, "/"));
        page.until("heard('connect').length > 0");
        page
    }

    /// The site under a name, as the wallet calls it.
    pub(crate) fn caller(&self, host: &str) -> String {
        format!("site:{PROFILE}:{}", self.site.origin(host))
    }

    /// Lets a site ask for payments and see the balance.
    pub(crate) fn grant(&self, host: &str) -> u64 {
        let caller = self.caller(host);
        let given = ["callers", "grant", &caller, "payments", "--action", "makePayment", "--state", "balance"];
        self.house.wallet.run(&given).json()["id"].as_u64().expect("a number")
    }

    /// The one request that waits, when it does.
    pub(crate) fn pending(&self) -> Json {
        until("one request waits", || {
            let list = self.house.wallet.run(&["approvals"]).json();
            let list = list.as_array().expect("a list");
            assert!(list.len() <= 1, "{list:?}");
            list.first().cloned()
        })
    }

    /// Nothing waits (any more).
    pub(crate) fn nothing_waits(&self) {
        until("nothing waits", || (self.house.pending() == 0).then_some(()));
    }

    /// Approves what waits, as it stands there.
    pub(crate) fn approve(&self) -> Json {
        let request = self.pending();
        let (id, digest) = (request["id"].to_string(), request["digest"].as_str().expect("a digest").to_owned());
        let said: Said = self.house.wallet.run(&["approvals", "approve", &id, "--digest", &digest]);
        said.json()
    }

    /// Rejects what waits.
    pub(crate) fn reject(&self) {
        let id = self.pending()["id"].to_string();
        self.house.wallet.run(&["approvals", "reject", &id, "--yes"]).json();
    }

    /// Begins a payment on a page.
    pub(crate) fn pay(&self, page: &Page, wei: u64) -> Begun {
        page.start(&format!("ethereum.layer2.payments.makePayment({{ toAddress: '{SHOP}', value: {wei}n }})"))
    }

    /// What the layer 2 says is left.
    pub(crate) fn balance(&self) -> Json {
        self.house.state("payments")["balance"].clone()
    }
}

/// An error of a page has this code and is an `Error`.
#[track_caller]
pub(crate) fn refused(outcome: Result<Json, Json>, code: i64, words: &[&str]) {
    let error = outcome.expect_err("refused");
    assert_eq!(error["code"], code, "{error}");
    assert_eq!(error["isError"], true, "{error}");
    let message = error["message"].as_str().expect("text");
    for word in words {
        assert!(message.contains(word), "`{word}` is missing in {message}");
    }
}

/// A transaction's hash, a message's id.
#[track_caller]
pub(crate) fn is_hash(value: &Json) {
    let text = value.as_str().unwrap_or_default();
    assert!(text.len() == 66 && text.starts_with("0x"), "{value}");
}

/// Nobody is told anything.
pub(crate) fn nothing() -> Json {
    json!([])
}
