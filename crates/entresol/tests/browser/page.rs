//! The wallet's own page in a real browser: reading, deciding and acting by real clicks and keys.

use std::time::Instant;

use serde_json::{Value as Json, json};

use crate::cdp::{Browser, LIMIT, Page};
use crate::site::Pages;
use crate::stage::Stage;
use crate::support::{House, PASSPHRASE, until};

const FRIEND: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

/// A tab of the wallet's page, opened by a link of the terminal.
struct Tab {
    page: Page,
    base: String,
}

impl Tab {
    fn open(browser: &Browser, house: &House) -> Self {
        let link = house.wallet.run(&["web"]).json()["url"].as_str().expect("a link").to_owned();
        let page = browser.open(&link);
        page.call("Page.bringToFront", json!({}));
        let tab = Self { page, base: String::new() };
        let base = tab.until("location.pathname.startsWith('/w/') && location.href");
        Self { base: base.as_str().expect("an address").to_owned(), ..tab }
    }

    fn go(&self, path: &str) {
        self.page.go(&format!("{}{path}", self.base));
        self.front();
    }

    /// Before every other tab.
    fn front(&self) {
        self.page.call("Page.bringToFront", json!({}));
    }

    /// The value of an expression. Evaluated as it is: the page itself allows no `eval`.
    fn look(&self, expression: &str) -> Json {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let told = self.page.call("Runtime.evaluate", params);
        assert!(told.get("exceptionDetails").is_none(), "{expression}: {told}");
        told["result"]["value"].clone()
    }

    /// Waits until an expression gives something.
    #[track_caller]
    fn until(&self, expression: &str) -> Json {
        let deadline = Instant::now() + LIMIT;
        loop {
            // The page may be on its way to another one: then it is asked again.
            let wrapped = format!("(async () => ({{ value: await ({expression}) }}))()");
            let params = json!({ "expression": wrapped, "returnByValue": true, "awaitPromise": true });
            let value = self.page.finish(self.page.begin("Runtime.evaluate", params)).unwrap_or_default();
            if !matches!(&value, Json::Null | Json::Bool(false)) && value != "" {
                return value;
            }
            if Instant::now() >= deadline {
                panic!("waited in vain for {expression}; the page says {}", self.look("document.body.innerText"));
            }
            std::thread::sleep(std::time::Duration::from_millis(30));
        }
    }

    /// Waits until the page says these words.
    #[track_caller]
    fn says(&self, words: &str) {
        self.until(&format!("document.body.innerText.includes({})", Json::from(words)));
    }

    /// Presses and releases the mouse on an element, as a person would, whether it is armed or not.
    #[track_caller]
    fn press(&self, selector: &str) {
        // A live page moves: the place is where the element stands still.
        let found = format!(
            "(async () => {{ const one = document.querySelector({}); if (!one) return null; \
             one.scrollIntoView({{ block: 'center' }}); \
             const place = () => {{ const box = one.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }}; \
             const before = place(); await new Promise((done) => setTimeout(done, 100)); \
             return one.isConnected && before.join() === place().join() && before; }})()",
            Json::from(selector)
        );
        let at = self.until(&found);
        for (kind, buttons) in [("mouseMoved", 0), ("mousePressed", 1), ("mouseReleased", 0)] {
            let event =
                json!({ "type": kind, "x": at[0], "y": at[1], "button": "left", "buttons": buttons, "clickCount": 1 });
            self.page.call("Input.dispatchMouseEvent", event);
        }
    }

    /// A click when the button may be clicked.
    #[track_caller]
    fn click(&self, selector: &str) {
        let ready = format!(
            "(() => {{ const one = document.querySelector({}); one?.scrollIntoView({{ block: 'center' }}); \
             return one && !one.disabled; }})()",
            Json::from(selector)
        );
        self.until(&ready);
        self.press(selector);
    }

    /// Reads a request and decides it: the sentence first, then the button below it.
    #[track_caller]
    fn decide(&self, verdict: &str) {
        self.until(
            "(() => { document.querySelector('[data-see]')?.scrollIntoView({ block: 'center' }); \
             return document.readyState === 'complete' && document.querySelector('.hint')?.textContent === ''; })()",
        );
        self.click(&format!("[data-decide={verdict}]"));
    }

    /// Puts the cursor into a field and writes. By focus, not by place: a live page may move under the mouse.
    #[track_caller]
    fn write(&self, selector: &str, text: &str) {
        let selector = Json::from(selector);
        self.until(&format!(
            "(() => {{ const one = document.querySelector({selector}); one?.focus(); \
             return one !== null && document.activeElement === one; }})()"
        ));
        self.page.call("Input.insertText", json!({ "text": text }));
    }
}

fn pending(house: &House) -> Json {
    house.wallet.run(&["approvals"]).json()
}

#[test]
fn row_06_a_request_comes_without_a_reload_and_its_button_works_only_after_it_was_seen() {
    let house = House::rich();
    let browser = Browser::start(None, |_| ());
    let tab = Tab::open(&browser, &house);
    tab.go("approvals");
    tab.says("No request waits for you");
    // Watches from within when the request stands there and when its button comes to life.
    tab.look(
        "window.mark = 'not loaded again'; window.times = {}; new MutationObserver(() => {
           const button = document.querySelector('[data-decide=approve]');
           if (button) times.there ??= performance.now();
           if (button && !button.disabled) times.armed ??= performance.now();
         }).observe(document.body, { subtree: true, childList: true, attributes: true }); 1",
    );
    // A window that comes to the front again and again: for this test the first moment lasts.
    tab.look("window.restless = setInterval(() => window.dispatchEvent(new Event('focus')), 100); 1");
    house.wallet.run(&["send", "0.2 ether", FRIEND]).json();
    tab.until("document.querySelector('[data-request]') !== null");
    // A click in it does nothing, and neither does one later that no person made.
    tab.press("[data-decide=approve]");
    assert_eq!(tab.look("times.armed === undefined"), true);
    tab.look("clearInterval(restless); window.dispatchEvent(new Event('focus')); times.there = performance.now(); 1");
    tab.until("times.armed !== undefined");
    tab.look("document.querySelector('[data-decide=approve]').click()");
    let waited = tab.look("times.armed - times.there").as_f64().expect("a number");
    assert!(waited >= 690.0, "armed after {waited} ms");
    assert_eq!(tab.look("window.mark"), "not loaded again");
    assert_eq!(pending(&house).as_array().expect("a list").len(), 1, "nothing was decided yet");
    // What stands there is what the terminal shows.
    let shown = pending(&house)[0].clone();
    for words in [shown["sentence"].clone(), shown["digest"].clone()]
        .iter()
        .chain(shown["rows"].as_array().expect("rows").iter().map(|row| &row["value"]))
    {
        tab.says(words.as_str().expect("text"));
    }
    // While the window is behind another one the button sleeps; afterwards it must be seen again.
    tab.look("window.dispatchEvent(new Event('focus')); 1");
    assert_eq!(tab.look("document.querySelector('[data-decide=approve]').disabled"), true);
    tab.decide("approve");
    tab.says("Done.");
    tab.says("you, on this page");
    let done = house.wallet.run(&["approvals", "show", &shown["id"].to_string()]).json();
    assert_eq!((&done["state"], &done["decidedBy"]), (&json!("done"), &json!("page")), "{done}");
}

#[test]
fn a_deposit_and_a_payment_by_forms_and_what_is_typed_survives_every_change() {
    let house = House::rich();
    house.install(&["--name", "payments"]);
    house.runs("payments");
    let browser = Browser::start(None, |_| ());
    let tab = Tab::open(&browser, &house);
    tab.go("solutions/payments");
    tab.write("#deposit-value", "1.5");
    tab.click("form[data-act=deposit] button[type=submit]");
    tab.says("Request 2");
    tab.says("1.5 ETH");
    tab.decide("approve");
    tab.says("Done.");
    tab.go("solutions/payments");
    // The state comes by itself.
    tab.says("1.5 ETH");
    let form = "#action-makePayment";
    tab.write(&format!("{form} [name='params.toAddress']"), FRIEND);
    tab.write(&format!("{form} [name='params.value']"), "0.2");
    let looks =
        "performance.getEntriesByType('resource').filter((one) => one.initiatorType === 'xmlhttprequest').length";
    let before = tab.look(looks).as_u64().expect("a number");
    house.wallet.run(&["account", "add"]).json();
    tab.until(&format!("{looks} > {before}"));
    let typed = tab.look(&format!(
        "[document.querySelector(`{form} [name='params.toAddress']`).value, document.activeElement.name, document.activeElement.value]"
    ));
    assert_eq!(typed, json!([FRIEND, "params.value", "0.2"]));
    tab.click(&format!("{form} button[type=submit]"));
    tab.until(&format!("document.querySelector('{form} output').textContent.includes('Done')"));
    tab.says("1.3 ETH");
    // A text that is no address says so at its form.
    tab.look(&format!("document.querySelector(`{form} [name='params.toAddress']`).value = ''; 1"));
    tab.write(&format!("{form} [name='params.toAddress']"), "somebody");
    tab.click(&format!("{form} button[type=submit]"));
    tab.until(&format!("document.querySelector('{form} output.wrong')?.textContent.includes('toAddress')"));
    // A call that needs a yes waits for it on another page, and goes on when its own page is left.
    let account = house.state("payments")["accounts"][0]["address"].as_str().expect("an address").to_owned();
    tab.write("#action-requestWithdrawPayment [name='params.fromAddress']", &account);
    tab.click("#action-requestWithdrawPayment button[type=submit]");
    tab.until("document.querySelector('#action-requestWithdrawPayment output').textContent.includes('At work')");
    tab.until("document.querySelector('.count')?.textContent === '1'");
    tab.go("approvals");
    tab.says("user called requestWithdrawPayment");
    tab.decide("approve");
    tab.says("Done.");
    tab.go("solutions/payments");
    tab.until("[...document.querySelectorAll('.run')].filter((run) => run.querySelector('.badge.good')).length === 2");
}

#[test]
fn row_29_a_screen_is_answered_inside_the_frame_of_its_plugin() {
    let house = House::new();
    let script = "export default class { constructor({ wallet }) { this.layer2Interface = { actions: [
        { name: 'order', description: 'asks', params: [], returns: [{ name: 'answer', type: 'string' }], call: async () => {
            const screen = { type: 'Form', props: { name: 'order' }, children: [
                { type: 'Heading', children: 'Soup?' },
                { type: 'Image', props: { svg: '<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 9 9\"><circle r=\"4\"/></svg>', alt: 'a bowl' } },
                { type: 'Field', props: { label: 'Dish' }, children: [{ type: 'Input', props: { name: 'dish', required: true } }] },
                { type: 'Checkbox', props: { name: 'hot', label: 'Hot' } },
                { type: 'Button', props: { name: 'send', submit: true, variant: 'primary' }, children: 'Order' } ] };
            return JSON.stringify(await wallet.displayUi(screen, { ask: true })); } },
      ], state: [] }; } }";
    house.install_script("kitchen", json!({}), script);
    let browser = Browser::start(None, |_| ());
    let tab = Tab::open(&browser, &house);
    tab.go("solutions/kitchen");
    tab.click("#action-order button[type=submit]");
    // It comes while the call is at work.
    tab.until("document.querySelector('[data-screen]') !== null");
    tab.says("The plugin “kitchen” asks you");
    tab.until(
        "document.querySelector('img.picture').complete && document.querySelector('img.picture').naturalWidth > 0",
    );
    tab.write("[data-field=dish]", "Borscht");
    tab.click("[data-field=hot]");
    tab.click("[data-press=send]");
    tab.until("document.querySelector('[data-screen]') === null");
    tab.says("Borscht");
    tab.until("document.querySelector('.run .badge.good') !== null");
    // Screens never stand where requests are decided.
    tab.click("#action-order button[type=submit]");
    tab.until("document.querySelector('[data-screen]') !== null");
    tab.go("approvals");
    assert_eq!(tab.look("document.body.innerText.includes('Soup')"), false);
}

#[test]
fn a_site_sees_the_accounts_that_were_ticked_and_a_browser_is_removed_and_paired_again() {
    let stage = Stage::plain(Pages::default());
    let second = stage.house.wallet.run(&["account", "add"]).json()["address"].clone();
    let tab = Tab::open(stage.browser(), &stage.house);
    tab.go("approvals");
    let site = stage.open("127.0.0.1");
    let asked = site.start("ask('eth_requestAccounts')");
    stage.pending();
    tab.front();
    tab.until("document.querySelector('[data-account]') !== null");
    tab.says(&stage.site.origin("127.0.0.1"));
    // The request shows the first account; the user wants the other one seen, and none would mean the first.
    tab.click("[data-account='0']");
    tab.decide("approve");
    tab.says("Tick at least one account");
    tab.click("[data-account='1']");
    tab.decide("approve");
    assert_eq!(site.finish(asked).expect("connected"), json!([second]));
    tab.go("callers");
    tab.says(&stage.site.origin("127.0.0.1"));
    tab.click("[data-act='caller-disconnect']");
    site.until("heard('accountsChanged').at(-1)?.length === 0");
    // The page has lost a section then, and what stands below it has moved.
    tab.says("Nobody was granted anything yet");
    // The browser goes, and comes back by the code that its popup shows.
    tab.click("[data-act='profile-remove']");
    tab.until("document.querySelector(`[data-act='profile-remove']`) === null");
    let popup = stage.popup(None);
    popup.until("document.querySelector('main button')?.textContent === 'Get a code'");
    popup.eval("document.querySelector('main button').click()");
    let code = popup.until("document.querySelector('.code')?.textContent");
    tab.front();
    tab.says("waits to be paired");
    tab.write("#pair-code", code.as_str().expect("text"));
    tab.write("#pair-name", "again");
    tab.click("form[data-act=pair] button");
    popup.until("document.getElementById('state').textContent === 'Connected'");
    tab.until("document.querySelector(`[data-act='profile-remove']`) !== null");
    tab.says("again");
}

#[test]
fn row_06_row_22_the_browser_holds_the_page_to_its_policy() {
    let house = House::new();
    let browser = Browser::start(None, |_| ());
    let tab = Tab::open(&browser, &house);
    // No HTML out of strings, no code out of strings, no script that somebody puts in.
    let tries = tab.look(
        "(() => { const refused = (work) => { try { work(); return false; } catch { return true; } };
           window.ran = false;
           const inline = document.createElement('script');
           const put = refused(() => { inline.textContent = 'window.ran = true'; document.body.append(inline); });
           return [refused(() => { document.querySelector('main').innerHTML = '<b>x</b>'; }), put || !window.ran, window.ran]; })()",
    );
    assert_eq!(tries, json!([true, true, false]));
    let sent = tab.look("fetch('http://127.0.0.1:1/').then(() => 'sent', (error) => error.name)");
    assert_eq!(sent, "TypeError");
    // Another site neither frames the page nor reads it nor acts on it.
    let origin = tab.base.split("/w/").next().expect("an origin").to_owned();
    let html = format!(
        "<!doctype html><iframe src='{}'></iframe><script>window.done = Promise.all([
           fetch('{}', {{ credentials: 'include' }}).then(() => 'read', () => 'refused'),
           fetch('{}do/lock', {{ method: 'POST', credentials: 'include', headers: {{ 'content-type': 'application/json' }}, body: '{{}}' }})
             .then(() => 'read', () => 'refused') ])</script>",
        tab.base, tab.base, tab.base
    );
    let site = Pages::default().text("/", &html).serve();
    let other = browser.open(&site.url("127.0.0.1", "/"));
    assert_eq!(other.eval("window.done"), json!(["refused", "refused"]));
    let frames = other.call("Page.getFrameTree", json!({}));
    let framed = &frames["frameTree"]["childFrames"][0]["frame"];
    assert!(framed["url"].as_str().is_none_or(|url| !url.starts_with(&origin)), "{framed}");
    assert_eq!(house.wallet.run(&["status"]).json()["locked"], false);
}

#[test]
fn row_04_the_page_locks_and_unlocks_and_a_used_session_is_over() {
    let house = House::rich();
    let browser = Browser::start(None, |_| ());
    let tab = Tab::open(&browser, &house);
    house.wallet.run(&["send", "0.1 ether", FRIEND]).json();
    tab.go("approvals");
    // The terminal has an open passphrase session, from the link; locking on the page ends it too.
    let decide = ["solution", "remove", "none"];
    house.wallet.run_without_passphrase(&decide).fails(1, &["no solution"]);
    tab.click("[data-act=lock]");
    tab.says("Unlock the wallet above to decide");
    house.wallet.run_without_passphrase(&decide).fails(1, &["--passphrase-file"]);
    assert_eq!(tab.look("document.querySelector('[data-decide]') === null"), true);
    tab.write("#passphrase", "not this one");
    tab.click("form.unlock button");
    tab.until("document.querySelector('form.unlock output.wrong') !== null");
    assert_eq!(tab.look("document.querySelector('#passphrase').value"), "", "it is not kept in the field");
    tab.write("#passphrase", PASSPHRASE);
    tab.click("form.unlock button");
    tab.until("document.querySelector('form.unlock') === null && document.querySelector('[data-decide]') !== null");
    tab.decide("reject");
    tab.says("Rejected");
    until("the request is rejected", || pending(&house).as_array().expect("a list").is_empty().then_some(()));
    tab.click("[data-act=leave]");
    tab.says("entresol web");
    tab.go("");
    tab.says("This session is over");
}
