// Between the page and the worker, in a world of its own that no page can reach.
//
// Every message is read field by field and made anew, in both directions: what a page adds to one goes nowhere. Who the
// page is, is not said here at all: the worker learns it from the browser. One port to the worker per document.
"use strict";

(() => {
  /** Characters of one request: the provider keeps to less, a page that talks past the provider has to as well. */
  const MAX_REQUEST = 4 << 20;
  /** Requests that wait at one time. */
  const MAX_WAITING = 256;
  /** Pauses before the worker is called again by itself; a request of the page calls it at once. */
  const PAUSES = [1_000, 5_000, 30_000];
  const AWAY = "the wallet's extension was stopped; the request may have been seen or not: ask again";
  const EVENTS = ["accountsChanged", "chainChanged", "connect", "disconnect", "message", "layer2Changed"];

  /** The page's end of the line. @type {MessagePort | undefined} */
  let page;
  /** The worker's end. @type {chrome.runtime.Port | undefined} */
  let worker;
  /** The page wants events, so that a lost worker is called again. */
  let wanted = false;
  let failures = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let retry;
  /** Requests that the worker has and has not answered. @type {Set<number>} */
  const waiting = new Set();

  /** @param {object} message */
  const tell = (message) => page?.postMessage(JSON.stringify(message));
  /** @param {number} id @param {number} code @param {string} message */
  const refuse = (id, code, message) => tell({ type: "response", id, error: { code, message } });

  /** @param {string} why */
  function lost(why) {
    // First, so that a page that hears 4900 finds `isConnected()` false: an action of a layer 2 has the same code for its
    // own node.
    tell({ type: "lost", why });
    for (const id of waiting) refuse(id, 4900, why);
    waiting.clear();
  }

  function connect() {
    clearTimeout(retry);
    retry = undefined;
    if (worker !== undefined) return worker;
    /** @type {chrome.runtime.Port} */
    let port;
    try {
      port = chrome.runtime.connect({ name: "document" });
    } catch {
      // The extension was updated or removed: this document's scripts belong to the old one.
      return undefined;
    }
    worker = port;
    port.onMessage.addListener((message) => fromWorker(message));
    port.onDisconnect.addListener(() => {
      // Read, so that the browser does not report it as forgotten.
      void chrome.runtime.lastError;
      if (worker !== port) return;
      worker = undefined;
      lost(AWAY);
      again();
    });
    return port;
  }

  function again() {
    if (!wanted || retry !== undefined) return;
    const pause = PAUSES[Math.min(failures, PAUSES.length - 1)];
    failures += 1;
    retry = setTimeout(() => {
      retry = undefined;
      connect();
    }, pause);
  }

  /** @param {any} given */
  function fromWorker(given) {
    if (typeof given !== "object" || given === null) return;
    failures = 0;
    if (given.type === "response" && waiting.delete(given.id)) {
      const { id, error } = given;
      if (error === undefined) {
        tell({ type: "response", id, result: given.result ?? null });
      } else {
        const code = Number.isSafeInteger(error?.code) ? error.code : -32603;
        const data = error?.data;
        tell({ type: "response", id, error: { code, message: String(error?.message), data } });
      }
    } else if (given.type === "event" && EVENTS.includes(given.event)) {
      tell({ type: "event", event: given.event, data: given.data ?? null });
    } else if (given.type === "lost") {
      lost(String(given.why));
    }
  }

  /** @param {unknown} text */
  function fromPage(text) {
    if (typeof text !== "string" || text.length > MAX_REQUEST) return;
    if (isPrerendering()) {
      // Nobody looks at this page yet, and maybe nobody ever will.
      document.addEventListener("prerenderingchange", () => fromPage(text), { once: true });
      return;
    }
    let given;
    let params;
    try {
      given = JSON.parse(text);
      params = typeof given?.params === "string" ? JSON.parse(given.params) : undefined;
    } catch {
      return;
    }
    if (typeof given !== "object" || given === null) return;
    if (given.type === "open") {
      wanted = true;
      connect();
      return;
    }
    const { type, id, method } = given;
    if (type !== "request" || !Number.isSafeInteger(id) || id < 0 || typeof method !== "string" || method.length > 128) return;
    if (waiting.has(id)) return;
    if (waiting.size >= MAX_WAITING) {
      refuse(id, -32005, `${MAX_WAITING} requests of this page wait already`);
      return;
    }
    if (params !== undefined && (typeof params !== "object" || params === null)) {
      refuse(id, -32602, "params: give a list or an object");
      return;
    }
    wanted = true;
    const port = connect();
    if (port === undefined) {
      refuse(id, 4900, "the wallet's extension was updated or removed; reload the page");
      return;
    }
    waiting.add(id);
    port.postMessage(params === undefined ? { type, id, method } : { type, id, method, params });
  }

  // The provider hands its port over in an event, before the page's first line runs and without a turn in between: a
  // page that writes its document anew (`document.open`) takes all listeners of its window away. Whichever script is
  // the second finds the other; that it was taken is said by `preventDefault`, and this listener is the first there is.
  /** @param {Event} event */
  function handOver(event) {
    const port = event instanceof MessageEvent ? event.ports[0] : undefined;
    if (port === undefined || page !== undefined) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    window.removeEventListener("entresol:provider", handOver, true);
    page = port;
    port.onmessage = (message) => fromPage(message.data);
    begin();
  }
  window.addEventListener("entresol:provider", handOver, true);
  window.dispatchEvent(new Event("entresol:content"));

  const isPrerendering = () => "prerendering" in document && document.prerendering === true;

  /** A page of its own is told at once what it may see. Frames wait until they ask, a prerendered page until it is shown. */
  function begin() {
    if (window !== window.top) return;
    if (isPrerendering()) {
      document.addEventListener("prerenderingchange", begin, { once: true });
      return;
    }
    wanted = true;
    connect();
  }

  // A document in the back-forward cache has no port: with one, the browser would end it, and the page would wait for
  // answers that cannot come.
  window.addEventListener("pagehide", () => {
    clearTimeout(retry);
    retry = undefined;
    const port = worker;
    worker = undefined;
    if (port === undefined) return;
    port.disconnect();
    lost("the page was left; ask again");
  }, true);
  window.addEventListener("pageshow", (event) => {
    if (event.persisted && wanted) connect();
  }, true);
})();
