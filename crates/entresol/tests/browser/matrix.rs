//! Who a document is for the wallet, by every way in which one can come about.

use serde_json::{Value as Json, json};

use crate::cdp::Page;
use crate::site::Pages;
use crate::stage::Stage;

/// Asks for the accounts and tells whoever collects.
const PROBE: &str = "
  const name = new URLSearchParams(location.search).get('name') ?? window.probeName;
  (async () => {
    const found = { name, origin: self.origin, answer: 'no provider' };
    try {
      if (window.ethereum) {
        const accounts = await ethereum.request({ method: 'eth_accounts' });
        found.answer = accounts.length > 0 ? 'account' : 'nothing';
      }
    } catch (error) {
      found.answer = String(error.code);
    }
    window.found = found;
    if (window !== top) parent.postMessage(found, '*');
  })();";

/// A page with one frame of each kind, on `HERE`, `SAMESITE` and `ELSEWHERE`.
const FRAMES: &str = "<!doctype html><title>matrix</title><body><script>
  window.results = {};
  addEventListener('message', ({ data }) => { if (data?.name) results[data.name] = data; });
  const probe = `<script>window.probeName = 'NAME';PROBE<\\/script>`;
  const html = (name) => '<!doctype html>' + probe.replace('NAME', name);
  function frame(properties) {
    const made = document.createElement('iframe');
    for (const [key, value] of Object.entries(properties)) made.setAttribute(key, value);
    document.body.append(made);
    return made;
  }
  frame({ src: '/probe?name=same-origin' });
  frame({ src: 'SAMESITE/probe?name=same-site' });
  frame({ src: 'ELSEWHERE/probe?name=cross-site' });
  frame({ srcdoc: html('srcdoc') });
  frame({ src: URL.createObjectURL(new Blob([html('blob')], { type: 'text/html' })) });
  frame({ src: 'data:text/html,' + encodeURIComponent(html('data')) });
  frame({ src: '/probe?name=sandboxed', sandbox: 'allow-scripts' });
  frame({ srcdoc: html('sandboxed-srcdoc'), sandbox: 'allow-scripts' });
  frame({ src: '/sandbox?name=sandboxed-by-header' });
  const blank = frame({});
  blank.contentDocument.write(html('about-blank'));
  blank.contentDocument.close();
</script>";

/// Everything that a page can say about itself, it says as another.
const FORGER: &str = "<!doctype html><title>forger</title><script>
  const victim = new URLSearchParams(location.search).get('victim');
  const lies = { origin: victim, url: victim + '/', sender: { origin: victim, frameId: 0, id: 'EXTENSION' }, frameId: 0,
    document: 1, tab: { id: 1 }, profile: 'home', caller: `site:home:${victim}` };
  window.seen = [];
  const note = (how) => (value) => seen.push({ how, value: JSON.parse(JSON.stringify(value ?? null)) });
  const failed = (how) => (error) => seen.push({ how, value: { code: error.code ?? String(error) } });
  async function forge() {
    const tried = [];
    const attempt = (how, promise) => tried.push(promise.then(note(how), failed(how)));
    attempt('fields of the request', ethereum.request({ method: 'eth_accounts', params: [], ...lies }));
    attempt('parameters as an object', ethereum.request({ method: 'eth_accounts', params: lies }));
    attempt('parameters as a list', ethereum.request({ method: 'eth_accounts', params: [lies] }));
    attempt('a provider of its own this', ethereum.request.call({ ...lies, request: null }, { method: 'eth_accounts' }));
    for (const type of ['request', 'open', 'hello', 'welcome', 'popup', 'response']) {
      const message = { type, id: 1, method: 'eth_accounts', params: [], ...lies };
      window.postMessage(message, '*');
      window.postMessage(JSON.stringify(message), '*');
      document.dispatchEvent(new CustomEvent(type, { detail: message }));
      dispatchEvent(new MessageEvent('message', { data: message, origin: victim, source: window }));
    }
    // A second line to the content script, and to one of another frame.
    for (const target of [window, document.querySelector('iframe')?.contentWindow].filter(Boolean)) {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = ({ data }) => note('a port of its own')(data);
      dispatchEvent(new Event('entresol:content'));
      target.dispatchEvent(new MessageEvent('entresol:provider', { ports: [port2], cancelable: true }));
      port1.postMessage(JSON.stringify({ type: 'open', ...lies }));
      port1.postMessage(JSON.stringify({ type: 'request', id: 7, method: 'eth_accounts', params: '[]', ...lies }));
    }
    try { document.domain = new URL(victim).hostname; } catch {}
    try { Object.defineProperty(window, 'origin', { value: victim }); } catch {}
    try { Object.defineProperty(document, 'URL', { value: victim }); } catch {}
    history.replaceState(lies, '', '/' + encodeURIComponent(victim));
    const base = document.createElement('base');
    base.href = victim;
    document.head.append(base);
    attempt('after lying about its address', ethereum.request({ method: 'eth_accounts' }));
    attempt('a method of the line', ethereum.request({ method: 'open', params: lies }));
    if (globalThis.chrome?.runtime?.connect) {
      try {
        const port = chrome.runtime.connect('EXTENSION', { name: 'document' });
        port.onMessage.addListener(note('a port to the worker'));
        port.postMessage({ type: 'request', id: 1, method: 'eth_accounts', params: [], ...lies });
      } catch (error) { failed('a port to the worker')(error); }
    }
    await Promise.all(tried);
    return seen;
  }
</script>";

fn row(name: &str, origin: &str, before: &str, allowed: &str) -> (String, [String; 3]) {
    (name.to_owned(), [origin.to_owned(), before.to_owned(), allowed.to_owned()])
}

/// What the frames of the page found.
fn collect(page: &Page) -> Json {
    page.until("Object.keys(results).length === 10");
    page.eval("results")
}

#[test]
fn row_05_each_document_is_who_the_browser_says_whatever_it_says_itself() {
    let probe = format!("<!doctype html><title>probe</title><script>{PROBE}</script>");
    let pages = Pages::default()
        .text("/probe", &probe)
        .text("/sandbox", &probe)
        .header("/sandbox", "Content-Security-Policy: sandbox allow-scripts")
        .text("/forger", FORGER.replace("EXTENSION", crate::stage::EXTENSION_ID));
    // The frames' page names the port, which is known only then.
    let elsewhere = Pages::default().text("/probe", &probe).serve();
    let same_site = elsewhere.origin("pay.shop.localhost");
    let cross_site = elsewhere.origin("other.localhost");
    let frames =
        FRAMES.replace("PROBE", PROBE.trim()).replace("SAMESITE", &same_site).replace("ELSEWHERE", &cross_site);
    let stage = Stage::plain(pages.text("/frames", frames));
    let here = stage.site.origin("shop.localhost");
    for origin in [&here, &same_site, &cross_site] {
        stage.house.wallet.run(&["callers", "connect", &format!("site:home:{origin}")]).json();
    }

    // Before, and after the user has allowed frames of all three sites in the popup.
    let page = stage.browser().open(&stage.site.url("shop.localhost", "/frames"));
    let before = collect(&page);
    let popup = stage.popup(Some(&page));
    popup.until("document.querySelectorAll('input[type=checkbox]').length === 3");
    for at in 0..3 {
        popup.eval(&format!("document.querySelectorAll('input[type=checkbox]')[{at}].click()"));
        popup.until(&format!("document.querySelectorAll('input[type=checkbox]:checked').length === {}", at + 1));
    }
    page.reload();
    let after = collect(&page);

    let open = |url: &str| {
        let page = stage.browser().open(url);
        page.until("window.found");
        let found = page.eval("found");
        page.close();
        found
    };
    let file = stage.house.wallet.dir.path().join("probe.html");
    std::fs::write(&file, &probe).expect("written");
    let blob = "open(URL.createObjectURL(new Blob([html('blob')], { type: 'text/html' }))) !== null";
    let known: Vec<Json> = stage.browser().targets();
    assert_eq!(page.eval(blob), true);
    let opened = crate::support::until("the blob's tab", || {
        let fresh =
            stage.browser().targets().into_iter().find(|one| !known.iter().any(|k| k["targetId"] == one["targetId"]));
        fresh.filter(|target| target["type"] == "page")
    });
    let tab = stage.browser().attach(opened["targetId"].as_str().expect("text"));
    tab.until("window.found");
    let alone = [
        ("page of its own", open(&stage.site.url("shop.localhost", "/probe?name=top"))),
        ("page of its own, not granted", open(&stage.site.url("evil.localhost", "/probe?name=top"))),
        ("page of its own, other port", open(&elsewhere.url("shop.localhost", "/probe?name=top"))),
        ("page of its own, sandboxed by header", open(&stage.site.url("shop.localhost", "/sandbox?name=top"))),
        ("blob: of its own", tab.eval("found")),
        ("data: of its own", open(&format!("data:text/html,{}", probe.replace('%', "%25").replace('#', "%23")))),
        ("file: of its own", open(&format!("file://{}", file.display()))),
    ];

    let mut table = Vec::new();
    for (name, found) in &alone {
        let text = |field: &str| found[field].as_str().unwrap_or("?").to_owned();
        table.push(((*name).to_owned(), [text("origin"), text("answer"), text("answer")]));
    }
    for (name, found) in before.as_object().expect("an object") {
        let text = |value: &Json| value.as_str().unwrap_or("?").to_owned();
        let cells = [text(&found["origin"]), text(&found["answer"]), text(&after[name]["answer"])];
        table.push((format!("frame: {name}"), cells));
    }
    println!("{:<38} {:<34} {:<12} {:<12}", "document", "its origin", "frames off", "frames on");
    for (name, [origin, off, on]) in &table {
        println!("{name:<38} {origin:<34} {off:<12} {on:<12}");
    }

    let evil = stage.site.origin("evil.localhost");
    let other_port = elsewhere.origin("shop.localhost");
    let mut expected = vec![
        row("page of its own", &here, "account", "account"),
        row("page of its own, not granted", &evil, "nothing", "nothing"),
        row("page of its own, other port", &other_port, "nothing", "nothing"),
        row("page of its own, sandboxed by header", "null", "4100", "4100"),
        row("blob: of its own", &here, "account", "account"),
        row("data: of its own", "null", "no provider", "no provider"),
        row("file: of its own", "null", "no provider", "no provider"),
        row("frame: same-origin", &here, "4100", "account"),
        row("frame: same-site", &same_site, "4100", "account"),
        row("frame: cross-site", &cross_site, "4100", "account"),
        row("frame: srcdoc", &here, "4100", "account"),
        row("frame: about-blank", &here, "4100", "account"),
        row("frame: blob", &here, "4100", "account"),
        row("frame: data", "null", "4100", "4100"),
        row("frame: sandboxed", "null", "4100", "4100"),
        row("frame: sandboxed-srcdoc", "null", "4100", "4100"),
        row("frame: sandboxed-by-header", "null", "4100", "4100"),
    ];
    expected.sort();
    table.sort();
    assert_eq!(table, expected);

    // The forger gets what its own origin gets: nothing, by any of its ways.
    let forger = stage.browser().open(&format!("{}?victim={here}", stage.site.url("evil.localhost", "/forger")));
    let seen = forger.eval("forge()");
    println!("a page that forges every field it can: {seen}");
    let seen = seen.as_array().expect("a list");
    assert!(seen.len() >= 6, "{seen:?}");
    for one in seen {
        let nothing = one["value"] == json!([]) || one["value"].get("code").is_some();
        assert!(nothing, "{one}");
    }
    assert!(seen.iter().any(|one| one["value"] == json!([])), "none of its requests was served: {seen:?}");
    assert!(!seen.iter().any(|one| one["how"] == "a port of its own"), "{seen:?}");
    assert!(!stage.house.wallet.run(&["approvals"]).out.contains("evil"), "it made a request");
}
