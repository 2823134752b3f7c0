// What the package does by itself. That a real page finds the real extension is tested in a browser.

import assert from "node:assert/strict";
import { test } from "node:test";

import { discover, RDNS, requestLayer2, watchState, watchWallets } from "../index.js";

/** Announces a wallet now and whenever it is asked for, as EIP-6963 has it. */
function announce(target, rdns, provider = { request: async () => null }) {
  const detail = Object.freeze({ info: Object.freeze({ uuid: crypto.randomUUID(), name: rdns, icon: "data:,", rdns }), provider });
  const say = () => target.dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail }));
  target.addEventListener("eip6963:requestProvider", say);
  say();
  return detail;
}

test("finds the wallet that is there, among others", async () => {
  const target = new EventTarget();
  announce(target, "com.other");
  const entresol = announce(target, RDNS);
  assert.equal(await discover({ target }), entresol);
});

test("finds a wallet that comes late, and stops listening", async () => {
  const target = new EventTarget();
  const finding = discover({ target, timeoutMs: 60_000 });
  const entresol = announce(target, RDNS);
  assert.equal(await finding, entresol);
});

test("says so when there is none", async () => {
  const target = new EventTarget();
  announce(target, "com.other");
  assert.equal(await discover({ target, timeoutMs: 1 }), undefined);
});

test("an announcement that is none is passed over", async () => {
  const target = new EventTarget();
  for (const detail of [undefined, null, {}, { info: null }, { info: { rdns: RDNS } }, { info: { uuid: 1, rdns: RDNS }, provider: {} }]) {
    target.dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail }));
  }
  const finding = discover({ target, timeoutMs: 60_000 });
  target.dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail: { info: { uuid: "1", rdns: RDNS } } }));
  const entresol = announce(target, RDNS);
  assert.equal(await finding, entresol);
});

test("tells of each wallet once, until it is ended", () => {
  const target = new EventTarget();
  const seen = [];
  const first = announce(target, "com.first");
  const end = watchWallets((wallet) => seen.push(wallet), target);
  const second = announce(target, "com.second");
  target.dispatchEvent(new Event("eip6963:requestProvider"));
  assert.deepEqual(seen, [first, second]);
  end();
  announce(target, "com.third");
  assert.equal(seen.length, 2);
});

/** The least of a provider: answers from a table, and tells events. */
class Provider {
  layer2 = {};
  asked = [];
  #listeners = [];
  constructor(answers) {
    this.answers = answers;
  }
  async request({ method, params }) {
    this.asked.push(method);
    const answer = this.answers[method];
    return typeof answer === "function" ? answer(params) : answer;
  }
  on(event, listener) {
    this.#listeners.push({ event, listener });
  }
  removeListener(event, listener) {
    this.#listeners = this.#listeners.filter((one) => one.event !== event || one.listener !== listener);
  }
  emit(event, value) {
    for (const one of this.#listeners.filter((one) => one.event === event)) one.listener(value);
  }
  get listening() {
    return this.#listeners.length;
  }
}

const payments = { id: 3, name: "payments", title: "Payments", actions: [{ name: "makePayment" }], state: ["balance"] };

test("what is granted already is not asked for again", async () => {
  const provider = new Provider({ layer2_getSolutions: [payments] });
  provider.layer2 = { payments: { makePayment() {} } };
  const found = await requestLayer2(provider, { solution: "payments", actions: ["makePayment"], state: ["balance"] });
  assert.equal(found, provider.layer2.payments);
  assert.deepEqual(provider.asked, ["layer2_getSolutions"]);
});

test("a new grant keeps what the old one had, and is waited for", async () => {
  let wanted;
  const provider = new Provider({
    layer2_getSolutions: [payments],
    wallet_requestPermissions([{ layer2 }]) {
      wanted = layer2;
      // The answer first, the event with the new actions after it.
      setTimeout(() => {
        provider.layer2 = { payments: { makePayment() {}, claim() {} } };
        provider.emit("layer2Changed", []);
      });
      return [];
    },
  });
  provider.layer2 = { payments: { makePayment() {} } };
  const found = await requestLayer2(provider, { solution: "payments", actions: ["claim"], state: ["accounts"] });
  assert.deepEqual(wanted, { solution: "payments", actions: ["makePayment", "claim"], state: ["balance", "accounts"] });
  assert.ok("claim" in found);
  assert.equal(provider.listening, 0);
});

test("state is told at once and after each change of this solution, until it is ended", async () => {
  const seen = [];
  const provider = new Provider({ layer2_getSolutions: [payments], layer2_getState: { state: { balance: "1" } } });
  const end = await watchState(provider, "payments", (state) => seen.push(state.balance));
  const change = (solution, balance) =>
    provider.emit("message", { type: "layer2_stateChanged", data: { solution, state: { balance } } });
  change("payments", "2");
  change("other", "3");
  change(3, "4");
  provider.emit("message", { type: "eth_subscription", data: {} });
  end();
  change("payments", "5");
  assert.deepEqual(seen, ["1", "2", "4"]);
});

test("a change that overtakes the first answer is not undone by it", async () => {
  const seen = [];
  const provider = new Provider({
    layer2_getSolutions: [payments],
    layer2_getState() {
      provider.emit("message", { type: "layer2_stateChanged", data: { solution: "payments", state: { balance: "2" } } });
      return { state: { balance: "1" } };
    },
  });
  await watchState(provider, "payments", (state) => seen.push(state.balance));
  assert.deepEqual(seen, ["2"]);
});

test("who may not see the state is told so, and nothing listens on", async () => {
  const provider = new Provider({
    layer2_getSolutions: [],
    layer2_getState() {
      throw Object.assign(new Error("not granted"), { code: 4100 });
    },
  });
  await assert.rejects(watchState(provider, "payments", () => {}), { code: 4100 });
  assert.equal(provider.listening, 0);
});
