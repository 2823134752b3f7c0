// What the user sees behind the icon: whether the wallet is there, what this site may do, what waits for a decision.
// It decides nothing: decisions are made in the wallet, and the commands for them stand here. Everything is text.

/** @typedef {import("./wallet.js").Standing} Standing */
/** @typedef {{ id: number, sentence: string, caller: string }} Approval */
/** @typedef {{ solution: string, actions: string[], state: string[] }} Grant */
/** @typedef {{ locked: boolean, grants: Grant[], accounts: string[], approvals: Approval[], web: string | null }} About */
/** @typedef {{ origin: string, allowed: boolean, embedded: boolean }} Frame */
/** @typedef {{ wallet: Standing, socketPort: number | null, origin: string | null, frames: Frame[], about: About | null }} Status */

/** @param {string} id */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {string} classes
 * @param {...(Node | string)} inside
 */
function make(tag, classes, ...inside) {
  const made = document.createElement(tag);
  if (classes !== "") made.className = classes;
  made.append(...inside);
  return made;
}

/** @param {string} title @param {...(Node | string)} inside */
const card = (title, ...inside) => make("section", "", ...(title === "" ? [] : [make("h2", "", title)]), ...inside);

/** @param {string} text @param {string} [classes] */
const line = (text, classes = "") => make("p", classes, text);

/** A command to type, with a button that copies it. @param {string} text */
function command(text) {
  const copy = make("button", "small", "Copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    copy.textContent = "Copied";
  });
  return make("div", "command", make("code", "", text), copy);
}

/** @param {string} text @param {object} message @param {string} [classes] */
function button(text, message, classes = "") {
  const made = make("button", classes, text);
  made.addEventListener("click", () => port.postMessage(message));
  return made;
}

/** @param {Standing} wallet @param {About | null} about @returns {[string, string]} */
function heading({ state }, about) {
  switch (state) {
    case "ready":
      return about?.locked === true ? ["Locked", "wait"] : ["Connected", "good"];
    case "unpaired":
    case "code":
      return ["Not paired yet", "wait"];
    case "refused":
      return ["Refused", "bad"];
    case "down":
      return ["Not running", "bad"];
    case "missing":
      return ["Not installed", "bad"];
    default:
      return ["Connecting", "wait"];
  }
}

/** @param {Status} status @returns {HTMLElement[]} */
function connection({ wallet, socketPort }) {
  switch (wallet.state) {
    case "unpaired":
      return [
        card(
          "Pair this browser",
          line("The wallet does not know this browser profile yet. Get a code here, then type it in your terminal."),
          button("Get a code", { type: "pair" }),
        ),
      ];
    case "code": {
      const code = wallet.code ?? "";
      if (Date.now() >= (wallet.expiresAt ?? 0)) {
        return [card("Pair this browser", line("The code has expired."), button("Get another code", { type: "pair" }))];
      }
      const minutes = Math.ceil(((wallet.expiresAt ?? 0) - Date.now()) / 60_000);
      return [
        card(
          "Pair this browser",
          make("span", "code", code),
          line("Type this in your terminal, or the code on the wallet’s page:"),
          command(`entresol bridge pair ${code}`),
          line(`It is good for ${minutes === 1 ? "one more minute" : `${minutes} more minutes`}, once.`, "quiet"),
        ),
      ];
    }
    case "refused":
      return [card("The wallet said no", line(wallet.why, "sentence"), button("Try again", { type: "retry" }))];
    case "down":
      return [
        card(
          "The wallet is not running",
          line("Start it in your terminal; this browser connects by itself."),
          command("entresol daemon"),
          ...(wallet.why === "" ? [] : [line(wallet.why, "quiet sentence")]),
        ),
      ];
    case "missing":
      return [
        card(
          "This browser cannot find the wallet",
          line("Let the browser know the wallet once, then try again:"),
          command(`entresol bridge install --browser ${installName()}`),
          button("Try again", { type: "retry" }),
          socket(socketPort),
        ),
      ];
    case "connecting":
      return [card("", line("Looking for the wallet…", "quiet"))];
    default:
      return [];
  }
}

function installName() {
  /** @type {{ brand: string }[]} */
  const brands = /** @type {any} */ (navigator).userAgentData?.brands ?? [];
  const has = (/** @type {string} */ name) => brands.some(({ brand }) => brand === name);
  if (navigator.userAgent.includes("Firefox/")) return "firefox";
  if (has("Brave")) return "brave";
  if (has("Microsoft Edge")) return "edge";
  return has("Google Chrome") ? "chrome" : "chromium";
}

/** For browsers that may not start programs (snap and flatpak packages). @param {number | null} known */
function socket(known) {
  const input = make("input", "");
  input.type = "number";
  input.min = "1";
  input.max = "65535";
  input.placeholder = "port";
  input.ariaLabel = "Port of the wallet";
  input.value = known === null ? "" : String(known);
  const form = make("form", "", input, make("button", "small", "Connect"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    port.postMessage({ type: "socketPort", port: input.valueAsNumber });
  });
  const words = "Where the browser may not start programs (snap, flatpak), give the port that `entresol status` names:";
  const details = make("details", "", make("summary", "", "Connect by a port instead"), line(words), form);
  details.open = known !== null;
  return details;
}

/** @param {About} about */
function waiting({ approvals = [] }) {
  if (approvals.length === 0) return [];
  const items = approvals.map(({ id, sentence }) =>
    make("li", "", line(sentence, "sentence"), command(`entresol approvals approve ${id}`)),
  );
  const title = approvals.length === 1 ? "One request waits for you" : `${approvals.length} requests wait for you`;
  return [card(title, make("ul", "", ...items))];
}

/** @param {string[]} names */
const chips = (names) => make("div", "chips", ...names.map((name) => make("span", "chip", name)));

/** @param {string | null} origin @param {About | null} about */
function site(origin, about) {
  if (origin === null) {
    return card("This page", line("This page is no website, so it sees no wallet.", "quiet"));
  }
  const inside = [line(origin, "origin")];
  const { accounts = [], grants = [] } = about ?? {};
  if (accounts.length > 0) {
    const seen = accounts.map((address) => make("code", "", address));
    inside.push(make("p", "", accounts.length === 1 ? "It sees your account " : "It sees your accounts ", ...seen));
  }
  for (const { solution, actions = [], state = [] } of grants) {
    const names = [...actions, ...state.map((name) => `sees ${name}`)];
    inside.push(make("div", "", `It may ask ${solution} for:`, chips(names)));
  }
  if (about !== null && accounts.length === 0 && grants.length === 0) {
    inside.push(line("Nothing was granted to it: it sees no account and no layer 2.", "quiet"));
  }
  return card("This site", ...inside);
}

/** @param {Frame[]} frames */
function embedding(frames) {
  const items = frames.map(({ origin, allowed, embedded }) => {
    const box = make("input", "");
    box.type = "checkbox";
    box.checked = allowed;
    box.addEventListener("change", () => port.postMessage({ type: "frames", origin, allowed: box.checked }));
    const words = embedded
      ? make("span", "", "Let ", make("span", "origin", origin), ", embedded in this page, use the wallet")
      : make("span", "", "Let this site use the wallet also when another page embeds it");
    return make("li", "", make("label", "", box, words));
  });
  return items.length === 0 ? [] : [card("Frames", make("ul", "", ...items))];
}

/** @param {Status} status */
function show(status) {
  const { wallet, about, origin, frames } = status;
  const [words, tone] = heading(wallet, about);
  const state = element("state");
  state.textContent = words;
  state.className = `state ${tone}`;
  const locked =
    about?.locked === true
      ? [card("The wallet is locked", line("Sites see no account until it is open:"), command("entresol unlock"))]
      : [];
  const pending = about === null ? [] : waiting(about);
  const here = origin === null && wallet.state !== "ready" ? [] : [site(origin, about)];
  const parts = [...connection(status), ...locked, ...pending, ...here, ...embedding(frames)];
  element("main").replaceChildren(...parts);
  element("profile").textContent = wallet.state === "ready" ? `Profile “${wallet.profile}”` : "";
  const web = /** @type {HTMLAnchorElement} */ (element("web"));
  web.hidden = !about?.web?.startsWith("http://127.0.0.1:");
  if (!web.hidden && about?.web) web.href = about.web;
}

const port = chrome.runtime.connect({ name: "popup" });
let last = "";
port.onMessage.addListener((status) => {
  // Nothing moves under the user's hand while nothing has changed.
  const text = JSON.stringify(status);
  if (text === last) return;
  last = text;
  show(status);
});
port.onDisconnect.addListener(() => location.reload());

// Opened in a tab of its own, it shows the tab that its address names.
const named = new URL(location.href).searchParams.get("tab");
const [active] = named === null ? await chrome.tabs.query({ active: true, currentWindow: true }) : [];
const tab = named === null ? active?.id : Number(named);
const look = () => port.postMessage({ type: "look", tab });
look();
setInterval(look, 1_000);
