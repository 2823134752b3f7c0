// @ts-check
// The script of the wallet's page. It asks for acts, swaps the changed page in, and arms buttons. It makes no HTML out
// of strings: the browser refuses that here (trusted types), and what is swapped in was parsed as a document of ours.
"use strict";

/** How long what is decided must have been visible before a button works: nobody reads faster, and a click that was
 *  meant for something else is over by then. In milliseconds. */
const ARMING = 700;
/** Least time between two looks, in milliseconds. */
const LOOK = 150;
/** Looks that nothing asked for, such as for balances, in milliseconds. */
const IDLE = 30_000;

/** @param {string} name @returns {string} */
const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.getAttribute("content") ?? "";
const base = meta("entresol-base");
const token = meta("entresol-token");

/** @param {string} text @param {boolean} [wrong] */
function announce(text, wrong = false) {
  const banner = document.getElementById("connection");
  if (!banner) return;
  banner.textContent = text;
  banner.hidden = text === "";
  banner.classList.toggle("wrong", wrong);
}

// --- Acts -----------------------------------------------------------------------------------------------------------

/**
 * Asks for an act.
 * @param {string} name @param {unknown} input
 * @returns {Promise<{ say?: string, go?: string, result?: string, error?: string }>}
 */
async function ask(name, input) {
  try {
    const answer = await fetch(`${base}do/${name}`, {
      method: "POST",
      mode: "same-origin",
      credentials: "same-origin",
      redirect: "error",
      headers: { "content-type": "application/json", "x-entresol-token": token },
      body: JSON.stringify(input),
    });
    return await answer.json();
  } catch {
    return { error: "The wallet does not answer. Is its daemon running?" };
  }
}

/**
 * Shows an answer where it was asked for.
 * @param {Element | null} output
 * @param {{ say?: string, go?: string, result?: string, error?: string }} answer
 */
function tell(output, answer) {
  if (answer.go !== undefined) {
    location.assign(answer.go.startsWith("/") ? answer.go : base + answer.go);
    return;
  }
  const words = answer.error ?? answer.say ?? "";
  if (!output) {
    announce(words, answer.error !== undefined);
    return;
  }
  output.replaceChildren(words);
  output.classList.toggle("wrong", answer.error !== undefined);
  if (answer.result !== undefined) {
    const result = document.createElement("pre");
    result.textContent = answer.result;
    output.append(result);
  }
}

/** The values of a form; `a.b` stands for `b` within `a`. @param {HTMLFormElement} form */
function values(form) {
  /** @type {Record<string, any>} */
  const found = JSON.parse(form.dataset.fixed ?? "{}");
  for (const field of form.elements) {
    if (!(field instanceof HTMLInputElement || field instanceof HTMLSelectElement || field instanceof HTMLTextAreaElement)) continue;
    if (field.name === "") continue;
    const value = field instanceof HTMLInputElement && field.type === "checkbox" ? field.checked : field.value;
    const [outer, inner] = field.name.split(".", 2);
    if (inner === undefined) found[outer] = value;
    else (found[outer] ??= {})[inner] = value;
  }
  return found;
}

/** Runs something once at a time for a button. @param {HTMLButtonElement | null} button @param {() => Promise<void>} work */
async function once(button, work) {
  if (button?.classList.contains("busy")) return;
  button?.classList.add("busy");
  try {
    await work();
  } finally {
    button?.classList.remove("busy");
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  // No form leaves the page; the browser would refuse it too.
  event.preventDefault();
  if (!(form instanceof HTMLFormElement) || form.dataset.act === undefined) return;
  const button = /** @type {HTMLButtonElement | null} */ (form.querySelector('button[type="submit"]'));
  if (!event.isTrusted || (button && !isArmed(button))) return;
  const act = form.dataset.act;
  void once(button, async () => {
    const output = form.querySelector("output");
    output?.replaceChildren("…");
    const answer = await ask(act, values(form));
    if ("clear" in form.dataset) form.reset();
    tell(output, answer);
    look();
  });
});

document.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest("button") : null;
  // Scripts that were injected could only click like this; a person's clicks are trusted.
  if (!button || !event.isTrusted || !isArmed(button)) return;
  if (button.dataset.copy !== undefined) return void copy(button, button.dataset.copy);
  if (button.dataset.decide !== undefined) return void once(button, () => decide(button));
  if (button.dataset.press !== undefined) return void once(button, () => press(button));
  const act = button.dataset.act;
  if (act === undefined) return;
  void once(button, async () => {
    tell(button.parentElement?.querySelector(":scope > output") ?? null, await ask(act, JSON.parse(button.dataset.fixed ?? "{}")));
    look();
  });
});

/** @param {HTMLButtonElement} button @param {string} text */
async function copy(button, text) {
  const words = button.textContent;
  await navigator.clipboard.writeText(text);
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = words), 1500);
}

/** @param {HTMLButtonElement} button */
async function decide(button) {
  const request = /** @type {HTMLElement | null} */ (button.closest("[data-request]"));
  if (!request) return;
  const approve = button.dataset.decide === "approve";
  const boxes = /** @type {HTMLInputElement[]} */ ([...request.querySelectorAll("input[data-refuse], input[data-account]")]);
  /** @type {Record<string, unknown>} */
  const decision = { id: Number(request.dataset.request), approve, digest: request.dataset.digest };
  const refuse = boxes.filter((box) => "refuse" in box.dataset && !box.checked).map((box) => box.dataset.refuse);
  if (approve && refuse.length > 0) decision.refuse = refuse;
  const accounts = boxes.filter((box) => "account" in box.dataset);
  if (approve && accounts.length > 0) {
    const chosen = accounts.filter((box) => box.checked).map((box) => Number(box.dataset.account));
    // None would mean those that were asked for.
    if (chosen.length === 0) return tell(request.querySelector("output"), { error: "Tick at least one account, or reject." });
    decision.accounts = chosen;
  }
  tell(request.querySelector("output"), await ask("decide", decision));
  look();
}

// --- Screens of plugins ---------------------------------------------------------------------------------------------

/** @param {Element} field */
function fieldValue(field) {
  return field instanceof HTMLInputElement && field.type === "checkbox" ? field.checked : /** @type {HTMLInputElement} */ (field).value;
}

/** @param {HTMLButtonElement} button */
async function press(button) {
  const screen = /** @type {HTMLElement | null} */ (button.closest("[data-screen]"));
  if (!screen) return;
  /** @type {Record<string, unknown>} */
  const fields = {};
  for (const field of screen.querySelectorAll("[data-field]")) {
    fields[/** @type {HTMLElement} */ (field).dataset.field ?? ""] = fieldValue(field);
  }
  const answer = { button: button.dataset.press, fields };
  tell(screen.querySelector("output"), await ask("screen-answer", { id: Number(screen.dataset.screen), answer }));
  look();
}

document.addEventListener("change", (event) => {
  const field = event.target;
  if (!(field instanceof HTMLElement) || field.dataset.field === undefined) return;
  const screen = /** @type {HTMLElement | null} */ (field.closest("[data-screen]"));
  if (!screen) return;
  void ask("screen-event", { id: Number(screen.dataset.screen), field: field.dataset.field, value: fieldValue(field) });
});

// --- Arming ---------------------------------------------------------------------------------------------------------

/** What is on the screen now. @type {Set<Element>} */
const visible = new Set();
/** Scopes whose sentence was seen since they last changed. @type {WeakSet<Element>} */
const seen = new WeakSet();
/** Timers of buttons that are being armed. @type {Map<Element, number>} */
const arming = new Map();

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    // Most of it, or all that fits.
    if (entry.intersectionRatio >= 0.6 || entry.intersectionRect.height >= innerHeight / 2) visible.add(entry.target);
    else visible.delete(entry.target);
  }
  arm();
}, { threshold: [0, 0.3, 0.6, 1] });

/** @param {Element} button */
function isArmed(button) {
  return !button.hasAttribute("data-arm") || button.hasAttribute("data-armed");
}

/** Starts the clock of every button that may begin; stops those that may not. */
function arm() {
  const awake = document.visibilityState === "visible";
  for (const scope of document.querySelectorAll("[data-scope]")) {
    const sentence = scope.querySelector("[data-see]");
    if (awake && (!sentence || visible.has(sentence))) seen.add(scope);
    for (const button of scope.querySelectorAll("button[data-arm]")) {
      const ready = awake && seen.has(scope) && visible.has(button);
      if (!ready) disarm(button);
      else if (!button.hasAttribute("data-armed") && !arming.has(button)) {
        arming.set(button, setTimeout(() => {
          arming.delete(button);
          button.setAttribute("data-armed", "");
          button.removeAttribute("disabled");
        }, ARMING));
      }
    }
    const hint = scope.querySelector(".hint");
    if (hint) hint.textContent = seen.has(scope) ? "" : "Read the request above first.";
  }
}

/** @param {Element} button */
function disarm(button) {
  clearTimeout(arming.get(button));
  arming.delete(button);
  button.removeAttribute("data-armed");
  button.setAttribute("disabled", "");
}

/** Everything must be seen again: the window came from behind another, or the page has changed. @param {ParentNode} [within] */
function rearm(within = document) {
  for (const button of within.querySelectorAll("button[data-arm]")) disarm(button);
  arm();
}

function watch() {
  for (const one of document.querySelectorAll("[data-see], button[data-arm]")) watcher.observe(one);
  arm();
}

// --- The live page --------------------------------------------------------------------------------------------------

/** @type {number | undefined} */
let looking;
let again = false;

/** Looks at this page again soon, once for many calls. */
function look() {
  if (looking !== undefined) {
    again = true;
    return;
  }
  looking = setTimeout(async () => {
    await refresh();
    looking = undefined;
    if (again) {
      again = false;
      look();
    }
  }, LOOK);
}

/** Fetches this page as a document: scripts in it never run. @returns {Promise<Document | null>} */
function fetched() {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("GET", location.href.split("#")[0]);
    request.responseType = "document";
    request.timeout = 20_000;
    request.onload = () => {
      if (request.status === 403) over();
      resolve(request.status === 200 || request.status === 404 ? request.responseXML : null);
    };
    request.onerror = request.ontimeout = () => resolve(null);
    request.send();
  });
}

async function refresh() {
  const page = await fetched();
  if (!page || !page.querySelector("main")) return;
  adopt(document.body, page.body);
  watch();
  clocks();
}

function over() {
  announce("This session is over. Run `entresol web` in a terminal for a new link.", true);
  // Nothing of the wallet stays on the screen of a session that has ended.
  document.querySelector("main")?.replaceChildren();
  events?.close();
}

/** Makes `old` what `fresh` is, and leaves alone what is the same: focus, what was typed and what is folded out stay.
 *  @param {Element} old @param {Element} fresh */
function adopt(old, fresh) {
  if (old.isEqualNode(fresh) || old.hasAttribute("data-keep") || old.tagName === "NOSCRIPT") return;
  const scope = old.hasAttribute("data-scope");
  const before = scope ? content(old) : "";
  attributes(old, fresh);
  const wanted = new Set([...fresh.children].map(key));
  let place = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    const same = match(place, next);
    if (!same) {
      old.insertBefore(document.importNode(next, true), place);
      continue;
    }
    // What stood between is gone, unless it only comes later: then what was found moves up.
    while (place && place !== same && !(place instanceof Element && wanted.has(key(place)))) place = drop(place);
    if (place === same) place = same.nextSibling;
    else old.insertBefore(same, place);
    if (same instanceof Element) adopt(same, /** @type {Element} */ (next));
    else if (same.nodeValue !== next.nodeValue) same.nodeValue = next.nodeValue;
  }
  while (place) place = drop(place);
  // What is decided has changed under the hand: it must be seen again.
  if (scope && content(old) !== before) {
    seen.delete(old);
    for (const button of old.querySelectorAll("button[data-arm]")) disarm(button);
  }
}

/** What a person reads in a scope, without what this script has written there. @param {Element} scope */
function content(scope) {
  const copy = /** @type {HTMLElement} */ (scope.cloneNode(true));
  for (const own of copy.querySelectorAll("[data-keep]")) own.remove();
  return `${scope.getAttribute("data-digest") ?? ""}${copy.textContent}`;
}

/** Removes a node; gives the one after it. @param {Node} node */
function drop(node) {
  const after = node.nextSibling;
  node.parentNode?.removeChild(node);
  return after;
}

/** What tells an element from its neighbours. @param {Element} element */
function key(element) {
  const names = ["id", "name", "class", "data-act", "data-fixed", "data-refuse", "data-account", "data-field", "data-screen"];
  return [element.tagName, ...names.map((name) => (name === "class" ? element.classList[0] : element.getAttribute(name)) ?? "")].join("\n");
}

/** The node at `place` or behind it that `next` is a newer form of. @param {Node | null} place @param {Node} next */
function match(place, next) {
  if (!(next instanceof Element)) return place?.nodeType === next.nodeType ? place : null;
  for (let one = place; one; one = one.nextSibling) {
    if (one instanceof Element && key(one) === key(next)) return one;
  }
  return null;
}

/** @param {Element} old @param {Element} fresh */
function attributes(old, fresh) {
  const armed = old.hasAttribute("data-arm");
  /** @param {string} name */
  const ours = (name) => (armed && (name === "disabled" || name === "data-armed")) || (name === "open" && old.tagName === "DETAILS") || (name === "class" && old.classList.contains("busy"));
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !ours(name)) old.removeAttribute(name);
  for (const { name, value } of [...fresh.attributes]) if (old.getAttribute(name) !== value && !ours(name)) old.setAttribute(name, value);
}

/** Writes how long each request still waits. */
function clocks() {
  for (const one of document.querySelectorAll("[data-left]")) {
    const left = Number(/** @type {HTMLElement} */ (one).dataset.left) - Date.now();
    const minutes = Math.ceil(left / 60_000);
    one.textContent = left <= 0 ? "(over)" : minutes > 90 ? `(${Math.round(minutes / 60)} hours left)` : `(${minutes} min left)`;
  }
}

/** @type {EventSource | undefined} */
let events;

/** One stream while the page is looked at: a browser has few connections for one address. */
function listen() {
  if (document.visibilityState !== "visible" || base === "") {
    events?.close();
    events = undefined;
    return;
  }
  if (events && events.readyState !== EventSource.CLOSED) return;
  events = new EventSource(`${base}events`);
  events.addEventListener("open", () => announce(""));
  events.addEventListener("open", look);
  events.addEventListener("change", look);
  events.addEventListener("error", () => {
    announce("The wallet does not answer; trying again. What stands here may be old.", true);
    if (events?.readyState === EventSource.CLOSED) setTimeout(() => (look(), listen()), 3000);
  });
}

if (base !== "") {
  document.addEventListener("visibilitychange", () => {
    rearm();
    listen();
    if (document.visibilityState === "visible") look();
  });
  // A window that was behind another one until now: a click may have been meant for that one.
  window.addEventListener("focus", () => rearm());
  window.addEventListener("pageshow", (event) => event.persisted && look());
  setInterval(() => document.visibilityState === "visible" && look(), IDLE);
  setInterval(clocks, 20_000);
  watch();
  clocks();
  listen();
}
