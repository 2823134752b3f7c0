// The extension's worker: who asks is what the browser says (`sender.origin`), never what a message says. Opaque origins
// are refused, frames are unless the user allowed their origin, and each document gets only what the wallet sent for it.

import { Wallet } from "./wallet.js";

/** Longest wait for a line to the wallet while a request lies here. */
const CONNECT_LIMIT = 15_000;
/** Pause between looks at what waits for the user, while something of a page is open. */
const LOOK_PAUSE = 3_000;
/** Bytes of one request: the wallet reads no longer message, and what stands around the parameters is short. */
const MAX_REQUEST = (1 << 20) - 4096;
/** Depth of parameters: what is deeper nobody can read, and the wallet would end the line of all pages for it. */
const MAX_DEPTH = 64;
/** Below the 30 s after which the browser ends a worker that only holds a WebSocket. */
const SOCKET_PAUSE = 20_000;

/**
 * One document of the browser.
 *
 * @typedef {object} Page
 * @property {number} number
 * @property {chrome.runtime.Port} port
 * @property {string | null} origin `null`: opaque or no website; it is refused.
 * @property {boolean} frame
 * @property {number} tab
 * @property {boolean} asked
 * @property {boolean} opened The wallet knows it, on the line of now.
 * @property {Set<number>} running
 * @property {{ id: number, method: string, params?: unknown, since: number }[]} queue Until the line stands.
 */

/** @type {Map<number, Page>} */
const pages = new Map();
/** @type {Set<chrome.runtime.Port>} */
const popups = new Set();
/** Origins that may ask from within other pages, as the user chose. @type {Set<string>} */
let frames = new Set();
let lastPage = 0;
let lastLook = 0;
/** @type {Map<number, (answer: any) => void>} */
const looks = new Map();

const wallet = new Wallet(received, moved);

// By default content scripts may read and write what is stored, and they live in the pages' own processes.
void chrome.storage.local.setAccessLevel?.({ accessLevel: "TRUSTED_CONTEXTS" });

const settled = chrome.storage.local.get(["frames", "socketPort"]).then(settings);

/** @param {Record<string, unknown>} stored */
function settings(stored) {
  const list = Array.isArray(stored.frames) ? stored.frames : [];
  frames = new Set(list.filter((origin) => typeof origin === "string"));
  wallet.socketPort = Number.isSafeInteger(stored.socketPort) ? Number(stored.socketPort) : undefined;
}

/**
 * The origin of a website, as the browser filled it in; anything else is nobody.
 *
 * @param {string | undefined} origin
 */
function website(origin) {
  if (origin === undefined || origin === "null" || !URL.canParse(origin)) return null;
  const url = new URL(origin);
  return (url.protocol === "https:" || url.protocol === "http:") && url.origin === origin ? origin : null;
}

chrome.runtime.onConnect.addListener((port) => {
  const { sender } = port;
  if (sender?.id !== chrome.runtime.id) {
    port.disconnect();
  } else if (port.name === "popup" && sender.origin === location.origin) {
    openPopup(port);
  } else if (port.name === "document" && sender.tab?.id !== undefined) {
    openPage(port, sender, sender.tab.id);
  } else {
    port.disconnect();
  }
});

/**
 * @param {chrome.runtime.Port} port
 * @param {chrome.runtime.MessageSender} sender
 * @param {number} tab
 */
function openPage(port, sender, tab) {
  lastPage += 1;
  /** @type {Page} */
  const page = {
    number: lastPage,
    port,
    origin: website(sender.origin),
    // What is not known to be a page of its own is a frame.
    frame: sender.frameId !== 0,
    tab,
    asked: false,
    opened: false,
    running: new Set(),
    queue: [],
  };
  pages.set(page.number, page);
  port.onDisconnect.addListener(() => {
    void chrome.runtime.lastError;
    pages.delete(page.number);
    closeAtWallet(page);
  });
  port.onMessage.addListener((message) => void settled.then(() => request(page, message)));
  void settled.then(() => {
    if (refusal(page) !== undefined) return;
    if (wallet.standing.state === "ready") openAtWallet(page);
    else wallet.wake();
  });
}

/** Why this document may not ask at all. @param {Page} page */
function refusal(page) {
  if (page.origin === null) return "this page has no origin of its own (a sandbox, a data: page): wallets do not talk to it";
  if (page.frame && !frames.has(page.origin)) {
    return `${page.origin} is embedded in another page: allow it in Entresol's popup, or open it in a tab of its own`;
  }
  return undefined;
}

/** @param {Page} page @param {object} message */
function tell(page, message) {
  if (pages.get(page.number) === page) page.port.postMessage(message);
}

/** @param {Page} page @param {number} id @param {number} code @param {string} message */
function refuse(page, id, code, message) {
  tell(page, { type: "response", id, error: { code, message } });
}

/** @param {Page} page @param {any} given */
function request(page, given) {
  const { id, method, params } = given ?? {};
  if (given?.type !== "request" || !Number.isSafeInteger(id) || id < 0 || page.running.has(id)) return;
  const wrong = unfit(method, params);
  if (wrong !== undefined) {
    refuse(page, id, -32602, wrong);
    return;
  }
  page.asked = true;
  const why = refusal(page);
  if (why !== undefined) {
    refuse(page, id, 4100, why);
    tellPopups();
    return;
  }
  const entry = params === undefined ? { id, method } : { id, method, params };
  switch (wallet.standing.state) {
    case "ready":
      openAtWallet(page);
      page.running.add(id);
      wallet.send({ type: "request", document: page.number, ...entry });
      look();
      break;
    case "connecting":
      page.queue.push({ ...entry, since: Date.now() });
      setTimeout(() => overdue(page, id), CONNECT_LIMIT);
      wallet.wake();
      break;
    default: {
      const { code, message } = away();
      wallet.wake();
      refuse(page, id, code, message);
    }
  }
}

/**
 * Why the wallet would end the line at this, whoever wrote it: a page must not be able to cut off the others.
 *
 * @param {unknown} method
 * @param {unknown} params
 */
function unfit(method, params) {
  if (typeof method !== "string" || method.length > 128 || !method.isWellFormed()) return "method: give its name";
  if (params === undefined) return undefined;
  if (typeof params !== "object" || params === null) return "params: give a list or an object";
  const problem = unreadable(params, MAX_DEPTH);
  if (problem !== undefined) return `params: ${problem}`;
  const text = JSON.stringify(params);
  // A character takes at most three bytes: short texts need no counting.
  const bytes = text.length * 3 <= MAX_REQUEST ? 0 : new TextEncoder().encode(text).length;
  return bytes > MAX_REQUEST ? `params: ${bytes} bytes of JSON, at most ${MAX_REQUEST} are accepted` : undefined;
}

/** @param {unknown} value @param {number} depth @returns {string | undefined} */
function unreadable(value, depth) {
  if (typeof value === "string") return value.isWellFormed() ? undefined : "a text with half of a surrogate pair";
  if (typeof value !== "object" || value === null) return undefined;
  if (depth === 0) return `nested deeper than ${MAX_DEPTH}`;
  for (const [key, item] of Object.entries(value)) {
    const problem = unreadable(key, depth) ?? unreadable(item, depth - 1);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** What a page is told while there is no wallet for it. */
function away() {
  const { state, why } = wallet.standing;
  switch (state) {
    case "unpaired":
    case "code":
      return { code: 4100, message: "this browser is not paired with the wallet yet: click Entresol's icon" };
    case "refused":
      return { code: 4100, message: `the wallet refused this browser: ${why}` };
    case "missing":
      return {
        code: 4900,
        message: "Entresol is not known to this browser: run `entresol bridge install` and click Entresol's icon",
      };
    default:
      return { code: 4900, message: "the wallet is not running: start it with `entresol daemon`" };
  }
}

/** @param {Page} page @param {number} id */
function overdue(page, id) {
  const at = page.queue.findIndex((entry) => entry.id === id);
  if (at < 0) return;
  page.queue.splice(at, 1);
  refuse(page, id, 4900, "the wallet does not answer");
}

/** @param {Page} page */
function openAtWallet(page) {
  if (page.opened) return;
  page.opened = true;
  wallet.send({ type: "open", document: page.number, origin: page.origin });
}

/** @param {Page} page */
function closeAtWallet(page) {
  if (page.opened && wallet.standing.state === "ready") wallet.send({ type: "close", document: page.number });
  page.opened = false;
}

/** The line to the wallet stands otherwise than before. */
function moved() {
  const { state } = wallet.standing;
  if (state === "ready") {
    for (const page of pages.values()) {
      if (refusal(page) !== undefined) continue;
      openAtWallet(page);
      for (const { id, method, params } of page.queue.splice(0)) request(page, { type: "request", id, method, params });
    }
  } else {
    for (const page of pages.values()) {
      if (!page.opened) continue;
      page.opened = false;
      page.running.clear();
      tell(page, { type: "lost", why: away().message });
    }
    if (state !== "connecting") dropQueues();
    for (const done of looks.values()) done(null);
    looks.clear();
  }
  look();
  tellPopups();
}

function dropQueues() {
  const { code, message } = away();
  for (const page of pages.values()) for (const { id } of page.queue.splice(0)) refuse(page, id, code, message);
}

/** @param {any} message */
function received(message) {
  if (message.type === "popup") {
    looks.get(message.id)?.(message);
    looks.delete(message.id);
    return;
  }
  const page = pages.get(message.document);
  if (page === undefined || !page.opened) return;
  if (message.type === "response" && page.running.delete(message.id)) {
    const { id, result, error } = message;
    tell(page, error === undefined ? { type: "response", id, result } : { type: "response", id, error });
    look();
  } else if (message.type === "event") {
    tell(page, { type: "event", event: message.event, data: message.data });
    tellPopups();
  }
}

// --- What waits for the user: the badge, and the popup.

/** @type {ReturnType<typeof setTimeout> | undefined} */
let looking;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let nextLook;

/** Looks soon, and again while something of a page waits or the line has to be kept. */
function look() {
  if (looking !== undefined) return;
  looking = setTimeout(async () => {
    looking = undefined;
    const answer = await summary(null);
    badge(answer);
    if (wallet.standing.state !== "ready") return;
    const busy = popups.size > 0 || [...pages.values()].some((page) => page.running.size > 0);
    const pause = busy ? LOOK_PAUSE : SOCKET_PAUSE;
    clearTimeout(nextLook);
    if (busy || wallet.standing.via === "websocket") nextLook = setTimeout(look, pause);
  }, 100);
}

/** @param {any} answer */
function badge(answer) {
  const count = Array.isArray(answer?.approvals) ? answer.approvals.length : 0;
  void chrome.action.setBadgeBackgroundColor({ color: "#a86400" });
  void chrome.action.setBadgeText({ text: count === 0 ? "" : String(count) });
}

/**
 * What the wallet tells the popup about a site.
 *
 * @param {string | null} origin
 * @returns {Promise<any>}
 */
function summary(origin) {
  if (wallet.standing.state !== "ready") return Promise.resolve(null);
  return new Promise((resolve) => {
    lastLook += 1;
    looks.set(lastLook, resolve);
    wallet.send({ type: "popup", id: lastLook, origin });
  });
}

/** Tabs by popup. @type {Map<chrome.runtime.Port, number>} */
const tabs = new Map();

/** @param {chrome.runtime.Port} port */
function openPopup(port) {
  popups.add(port);
  port.onDisconnect.addListener(() => {
    popups.delete(port);
    tabs.delete(port);
  });
  port.onMessage.addListener((message) => void settled.then(() => popupSays(port, message)));
  void settled.then(() => wallet.wake());
}

/** @param {chrome.runtime.Port} port @param {any} message */
async function popupSays(port, message) {
  switch (message?.type) {
    case "look":
      tabs.set(port, Number(message.tab));
      break;
    case "pair":
      wallet.pair(browserName());
      break;
    case "retry":
      wallet.restart();
      break;
    case "frames":
      await allowFrames(String(message.origin), message.allowed === true);
      break;
    case "socketPort": {
      const given = Number(message.port);
      const fits = Number.isSafeInteger(given) && given > 0 && given < 65_536;
      wallet.socketPort = fits ? given : undefined;
      await chrome.storage.local.set({ socketPort: fits ? given : null });
      wallet.restart();
      break;
    }
  }
  await tellPopup(port);
}

/** @param {string} origin @param {boolean} allowed */
async function allowFrames(origin, allowed) {
  if (website(origin) === null) return;
  if (allowed) frames.add(origin);
  else frames.delete(origin);
  await chrome.storage.local.set({ frames: [...frames] });
  for (const page of pages.values()) {
    if (!page.frame || page.origin !== origin) continue;
    if (allowed && wallet.standing.state === "ready") {
      openAtWallet(page);
    } else if (!allowed && page.opened) {
      closeAtWallet(page);
      page.running.clear();
      tell(page, { type: "lost", why: "the user no longer allows this site in frames" });
    }
  }
}

/** Its name beside the pairing code. */
function browserName() {
  /** @type {{ brand: string }[]} */
  const brands = /** @type {any} */ (navigator).userAgentData?.brands ?? [];
  const known = ["Brave", "Microsoft Edge", "Google Chrome", "Opera", "Vivaldi", "Chromium"];
  const firefox = navigator.userAgent.includes("Firefox/") ? "Firefox" : "Chromium";
  return known.find((name) => brands.some(({ brand }) => brand === name)) ?? firefox;
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let telling;

function tellPopups() {
  if (popups.size === 0) return;
  clearTimeout(telling);
  telling = setTimeout(() => {
    for (const port of popups) void tellPopup(port);
  }, 50);
}

/** @param {chrome.runtime.Port} port */
async function tellPopup(port) {
  const tab = tabs.get(port);
  const shown = [...pages.values()].filter((page) => page.tab === tab);
  const top = shown.find((page) => !page.frame);
  const origin = top?.origin ?? null;
  const embedded = new Set(shown.filter((page) => page.frame && page.asked).map((page) => page.origin));
  embedded.delete(null);
  embedded.delete(origin);
  const about = await summary(origin);
  if (about !== null) badge(about);
  if (!popups.has(port)) return;
  port.postMessage({
    type: "status",
    wallet: wallet.standing,
    socketPort: wallet.socketPort ?? null,
    origin,
    frames: [...(origin === null ? [] : [origin]), ...embedded].map((name) => ({
      origin: name,
      allowed: frames.has(/** @type {string} */ (name)),
      embedded: name !== origin,
    })),
    about,
  });
}
