//! What a page does to its own world does not reach ours, nor other pages.

use serde_json::json;

use crate::site::Pages;
use crate::stage::{EXTENSION_ID, Stage, nothing, refused};

/// Puts itself in the place of everything that a provider could use, and writes down what passes through.
const TAMPER: &str = "<!doctype html><title>tamper</title><script>
  window.messages = [];
  addEventListener('message', (event) => messages.push(String(event.data)), true);
  window.leaks = [];
  const { apply, construct } = Reflect;
  function replace(object, name) {
    const original = object[name];
    Object.defineProperty(object, name, { configurable: true, writable: true, value: function (...given) {
      if (window.watching) leaks[leaks.length] = name;
      return new.target ? construct(original, given, new.target) : apply(original, this, given);
    } });
    object[name].prototype = original.prototype;
  }
  const trap = (name) => Object.defineProperty(Object.prototype, name, {
    configurable: true,
    set(value) {
      if (window.watching) leaks[leaks.length] = `set ${name}`;
      Object.defineProperty(this, name, { value, writable: true, configurable: true, enumerable: true });
    },
    get() {
      if (window.watching) leaks[leaks.length] = `get ${name}`;
      return undefined;
    },
  });
  function tamper() {
    for (const [object, names] of [
      [Map.prototype, ['get', 'set', 'delete', 'forEach', 'has']], [Set.prototype, ['add', 'delete', 'forEach']],
      [Promise.prototype, ['then', 'catch']], [JSON, ['parse', 'stringify']],
      [Array.prototype, ['push', 'slice', 'map', 'forEach', 'join', 'at']], [MessagePort.prototype, ['postMessage']],
      [Function.prototype, ['call', 'apply', 'bind']], [EventTarget.prototype, ['dispatchEvent', 'addEventListener']],
      [Object, ['freeze', 'create', 'defineProperty', 'keys', 'entries', 'assign']], [Number, ['isSafeInteger']],
      [String.prototype, ['slice', 'toLowerCase', 'charCodeAt']], [Reflect, ['apply', 'get']],
      [Array.prototype, [Symbol.iterator]], [window, ['Error', 'Promise', 'Map', 'Set', 'CustomEvent', 'postMessage']],
    ]) for (const name of names) replace(object, name);
    for (const name of ['resolve', 'reject', 'waiting', 'listener', 'once', 'since', 'line', 'port']) trap(name);
    Object.defineProperty(MessageEvent.prototype, 'data', { get() { leaks[leaks.length] = 'data'; } });
  }
</script>";

#[test]
fn row_05_a_page_sees_nothing_of_what_is_behind_the_provider() {
    let stage = Stage::plain(Pages::default().text("/tamper", TAMPER));
    let page = stage.browser().open(&stage.site.url("127.0.0.1", "/tamper"));
    assert_eq!(page.eval("ask => ask, ethereum.request({ method: 'eth_chainId' })"), "0x7a69");
    page.eval("tamper(); null");
    // Asked, told and refused through what it has put in our way.
    let script = "(() => {
      window.answers = [];
      ethereum.on('accountsChanged', (accounts) => { answers[answers.length] = accounts; });
      window.watching = true;
      const asked = ethereum.request({ method: 'eth_chainId' });
      const refused = ethereum.request({ method: 'no_such', params: ['0x00', '0x00'] });
      ethereum.layer2;
      ethereum.isConnected();
      window.watching = false;
      window.asked = asked;
      window.refused = refused;
      return null;
    })()";
    page.eval(script);
    // What comes back is watched as well: nobody else's code runs in this page meanwhile.
    page.eval("(window.watching = true, null)");
    stage.house.wallet.run(&["callers", "connect", &stage.caller("127.0.0.1")]).json();
    page.until("answers.length === 1");
    page.eval("(window.watching = false, null)");
    assert_eq!(page.eval("asked"), "0x7a69");
    assert_eq!(page.attempt("refused").expect_err("refused")["code"], 4200);
    assert_eq!(page.eval("leaks.filter((name) => name !== 'ours')"), nothing());
    // The line was handed over before the page's first line ran, and nobody saw it.
    assert_eq!(page.eval("messages"), nothing());
    // What is handed out cannot be changed, nor led elsewhere.
    let changed = "'use strict'; ethereum.request = () => 'mine'";
    assert!(page.attempt(changed).is_err());
    assert!(page.attempt("'use strict'; ethereum.layer2 = {}").is_err());
    // The extension itself is out of reach: its files, its messages, its worker's storage.
    assert_eq!(page.eval("typeof chrome === 'undefined' || chrome.runtime === undefined"), true);
    let file = format!("fetch('chrome-extension://{EXTENSION_ID}/popup.html').then(() => 'read', () => 'refused')");
    assert_eq!(page.eval(&file), "refused");
    let framed = format!(
        "new Promise((resolve) => {{ const frame = document.createElement('iframe'); \
         frame.src = 'chrome-extension://{EXTENSION_ID}/popup.html'; frame.onload = () => {{ \
         try {{ resolve(frame.contentDocument === null ? 'refused' : frame.contentDocument.title) }} \
         catch (e) {{ resolve('refused') }} }}; document.body.append(frame) }})"
    );
    assert_eq!(page.eval(&framed), "refused");
}

#[test]
fn row_15_a_page_that_sends_what_nobody_can_read_does_not_cut_off_the_others() {
    let stage = Stage::plain(Pages::default());
    let (page, other) = (stage.open("127.0.0.1"), stage.open("localhost"));
    // Half of a surrogate pair, depth without end, a megabyte, cycles: each is an answer to this page alone.
    for params in [
        "['\\ud800']",
        "[{ '\\udc00': 1 }]",
        "(() => { let a = []; for (let i = 0; i < 2000; i++) a = [a]; return a })()",
    ] {
        refused(page.attempt(&format!("ask('eth_call', {params})")), -32602, &["params"]);
    }
    refused(page.attempt("ask('eth_call', ['x'.repeat(1 << 21)])"), -32602, &["at most"]);
    refused(page.attempt("ask('eth_call', ['\u{20ac}'.repeat(400000)])"), -32602, &["at most"]);
    refused(page.attempt("(() => { const a = []; a[0] = a; return ask('eth_call', a) })()"), -32602, &["JSON"]);
    refused(page.attempt("ask('eth_call', [1n])"), -32602, &["JSON"]);
    refused(page.attempt("ask('\\ud800')"), -32602, &["method"]);
    refused(page.attempt("ask(7)"), -32600, &["method"]);
    refused(page.attempt("ask('eth_call', 7)"), -32600, &["params"]);
    refused(page.attempt("ethereum.request()"), -32600, &["object"]);
    // A flood is answered, request by request.
    let flood = "Promise.all(Array.from({ length: 1000 }, () => ask('eth_chainId').then(() => 'answer', (e) => e.code))) \
                 .then((all) => Object.keys(Object.groupBy(all, (one) => one)).sort())";
    let kinds = page.eval(flood);
    assert_eq!(kinds, json!(["-32005", "answer"]));
    // Nobody lost the wallet over it.
    for one in [&page, &other] {
        assert_eq!(one.eval("heard('disconnect')"), nothing());
        assert_eq!(one.eval("heard('connect').length"), 1);
        assert_eq!(one.eval("ask('eth_chainId')"), "0x7a69");
    }
}
