// A shop in one page. It pays by the `makePayment` action of the payments layer 2 where the wallet has it, and by a plain
// transaction on layer 1 with any other wallet. An order's id is the call's id: a reload in between pays once.

import { requestLayer2, RDNS, watchState, watchWallets } from "../../sdk/provider/index.js";

/** @import { AnnouncedWallet, EntresolProvider, Hex } from "../../sdk/provider/index.js" */
/** @typedef {{ name: string, about: string, price: bigint, bean: string }} Good */

const asked = new URLSearchParams(location.search);
/** Who is paid; on the development chain the last of anvil's accounts. `?seller=0x…` names another. */
const SELLER = /** @type {Hex} */ (asked.get("seller") ?? "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720");
/** The user's name for the payments layer 2; `?solution=…` names another. */
const SOLUTION = asked.get("solution") ?? "payments";
/** Where the one unfinished layer-2 order is kept over a reload. */
const OPEN = "shop.order";

const MILLI = 10n ** 15n;
/** @type {Good[]} */
const GOODS = [
  { name: "Entresol Blend", about: "Chocolate, hazelnut. A step above the ground floor.", price: 4n * MILLI, bean: "#6b4226" },
  { name: "Sequencer", about: "Bright and in order: bergamot, then peach.", price: 6n * MILLI, bean: "#a0632f" },
  { name: "Finality", about: "Dark. There is no way back from it.", price: 9n * MILLI, bean: "#3a241a" },
];

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);
/** Wei as ether, without its trailing zeros. @param {bigint} wei */
const ether = (wei) => `${wei / 10n ** 18n}.${(wei % 10n ** 18n).toString().padStart(18, "0")}`.replace(/\.?0+$/, "") + " ETH";
/** @param {string} text */
const short = (text) => `${text.slice(0, 8)}…${text.slice(-6)}`;

/** @type {AnnouncedWallet | undefined} */
let wallet;
/** @type {Hex | undefined} */
let account;
/** The wallet's provider, where it is Entresol. @type {EntresolProvider | undefined} */
let entresol;
/** @type {any} */
let layer2;
let endWatching = () => {};

const buttons = GOODS.map((good) => {
  const card = byId("good").content.cloneNode(true);
  card.querySelector(".bean").style.setProperty("--bean", good.bean);
  card.querySelector("h3").textContent = good.name;
  card.querySelector("p").textContent = good.about;
  const button = card.querySelector("button");
  button.textContent = ether(good.price);
  button.onclick = () => void buy(good);
  byId("goods").append(card);
  return button;
});

watchWallets((found) => {
  byId("hint").textContent = "Choose one that is installed here:";
  const button = document.createElement("button");
  const icon = document.createElement("img");
  icon.alt = "";
  // Any extension announces what it likes: only a picture that is in the text itself is shown.
  if (/^data:image\//.test(found.info.icon)) icon.src = found.info.icon;
  button.append(icon, found.info.name);
  button.dataset.rdns = found.info.rdns;
  button.onclick = () => void connect(found);
  byId("wallets").append(button);
});
setTimeout(() => {
  if (byId("wallets").childElementCount === 0) byId("hint").textContent = "No wallet found. Install one and come back.";
}, 1_500);

/** @param {AnnouncedWallet} found */
async function connect(found) {
  const { provider } = found;
  try {
    const accounts = await provider.request({ method: "eth_requestAccounts", params: [] });
    wallet = found;
    provider.on("accountsChanged", use);
    use(accounts);
  } catch (error) {
    byId("hint").textContent = words(error);
    return;
  }
  byId("connect").hidden = true;
  if (found.info.rdns !== RDNS) return;
  const own = /** @type {EntresolProvider} */ (provider);
  entresol = own;
  byId("allow").hidden = false;
  byId("ask").onclick = () => void allow(own);
  const known = await own.request({ method: "layer2_getSolutions", params: [] });
  if (known.some((solution) => solution.name === SOLUTION)) await allow(own);
}

/** @param {readonly Hex[]} accounts */
function use(accounts) {
  account = accounts[0];
  byId("account").textContent = account ? short(account) : "the wallet is locked";
  for (const button of buttons) button.disabled = account === undefined;
}

/** @param {EntresolProvider} provider */
async function allow(provider) {
  byId("ask").disabled = true;
  try {
    layer2 = await requestLayer2(provider, { solution: SOLUTION, actions: ["makePayment"], state: ["balance"] });
    endWatching();
    endWatching = await watchState(provider, SOLUTION, ({ balance }) => {
      byId("amount").textContent = ether(BigInt(balance ?? 0));
      byId("balance").hidden = false;
    });
    byId("allow").hidden = true;
  } catch (error) {
    byId("allow").querySelector("p").textContent = words(error);
    return;
  } finally {
    byId("ask").disabled = false;
  }
  const open = JSON.parse(localStorage.getItem(OPEN) ?? "null");
  const good = GOODS.find(({ name }) => name === open?.good);
  if (good) await payOnLayer2(good, open.id);
}

/** @param {Good} good */
const buy = (good) => (layer2 ? payOnLayer2(good, crypto.randomUUID()) : payOnLayer1(good));

/** @param {Good} good @param {string} id */
async function payOnLayer2(good, id) {
  const tell = order(good);
  localStorage.setItem(OPEN, JSON.stringify({ good: good.name, id }));
  for (;;) {
    try {
      const message = await layer2.makePayment({ toAddress: SELLER, value: good.price }, { id });
      tell("paid", `paid on layer 2: ${short(message)}`);
    } catch (/** @type {any} */ error) {
      if (error?.code === 4900 && !entresol?.isConnected()) {
        // The wallet went away with the order: what became of it is told by the same id, when it is back. (With the
        // wallet there, this code is the layer 2's own: its node does not answer.)
        tell("waiting", "Your wallet is not running. The order goes on when it is back.");
        await back(/** @type {EntresolProvider} */ (entresol));
        tell("waiting", "waits for your wallet…");
        continue;
      }
      tell("failed", words(error));
    }
    localStorage.removeItem(OPEN);
    return;
  }
}

/** Waits until a wallet that went away runs again and is unlocked. @param {EntresolProvider} provider */
function back(provider) {
  return new Promise((resolve) => {
    const look = async () => {
      const accounts = await provider.request({ method: "eth_accounts", params: [] }).catch(() => []);
      if (accounts.length === 0) return;
      provider.removeListener("connect", look);
      provider.removeListener("accountsChanged", look);
      resolve(null);
    };
    provider.on("connect", look);
    provider.on("accountsChanged", look);
  });
}

/** @param {Good} good */
async function payOnLayer1(good) {
  const tell = order(good);
  if (wallet === undefined || account === undefined) return;
  const { provider } = wallet;
  try {
    const transaction = { from: account, to: SELLER, value: /** @type {Hex} */ (`0x${good.price.toString(16)}`) };
    const hash = await provider.request({ method: "eth_sendTransaction", params: [transaction] });
    tell("sent", `sent on layer 1: ${short(hash)}`);
    for (;;) {
      const receipt = await provider.request({ method: "eth_getTransactionReceipt", params: [hash] });
      if (receipt) return tell(BigInt(receipt.status) === 1n ? "paid" : "failed", `in block ${BigInt(receipt.blockNumber)}`);
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  } catch (error) {
    tell("failed", words(error));
  }
}

/** A line in the list of orders; gives what changes it. @param {Good} good */
function order(good) {
  const [line, name, state] = [document.createElement("li"), document.createElement("b"), document.createElement("span")];
  name.textContent = `${good.name}, ${ether(good.price)}`;
  line.append(name, state);
  byId("list").prepend(line);
  byId("orders").hidden = false;
  /** @param {string} now @param {string} text */
  const tell = (now, text) => {
    line.dataset.state = now;
    state.textContent = text;
  };
  tell("waiting", "waits for your wallet…");
  return tell;
}

/** @param {any} error */
function words(error) {
  if (error?.code === 4001) return "You said no in your wallet.";
  return String(error?.message ?? error);
}
