// What the plugin concludes from leaves, receipts, inbox items and nodes' answers: `node --test`.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { keccak256 } from "./keccak.js";
import { address, recover, sign } from "./secp256k1.js";

// In the wallet the host gives this global.
const eth = {
  /** @param {string} data */
  keccak256: (data) => keccak256(data.startsWith("0x") ? Uint8Array.from(Buffer.from(data.slice(2), "hex")) : new TextEncoder().encode(data)),
  recover,
};
Object.defineProperty(globalThis.crypto, "eth", { value: eth });
const { Domain, alarmScreen, groupOf, contradicts, differences, effectiveIn, fateOf, headOfItem, inEther, isSigned } = await import("../index.js");

/** @param {string} name */
const vectors = (name) => JSON.parse(readFileSync(new URL(`../../protocol/vectors/${name}.json`, import.meta.url), "utf8"));
const ZERO = "0x" + "0".repeat(64);
const messages = vectors("messages");
const domain = new Domain(Number(messages.domain.chainId), messages.domain.gateway);

const KEY = 0x1234n, OPERATOR = address(KEY), STRANGER = 0x99n;
/** @param {string} sequence @param {string} id @param {string} previous @param {bigint} [key] */
const receipt = (sequence, id, previous, key = KEY) => {
  const fields = { messageId: id, sequence, previousReceipt: previous, time: "1700000000" };
  return { ...fields, signature: sign(domain.digest("Receipt", fields), key) };
};
/** The same, signed as a group of its own. @param {string} sequence @param {string} id @param {string} previous */
const grouped = (sequence, id, previous) => {
  const { signature: _, ...fields } = receipt(sequence, id, previous);
  const signed = { ...fields, group: { first: sequence, count: "1", previousReceipt: previous, path: [] } };
  const group = groupOf(domain, signed) ?? assert.fail("it is its own group");
  return { ...signed, signature: sign(domain.digest("ReceiptGroup", group), KEY) };
};
const id = (/** @type {string} */ digit) => "0x" + digit.repeat(64);

test("the golden receipt is its signer's", () => {
  const { signed } = messages.receipt;
  const signer = recover(domain.digest("Receipt", messages.receipt.alone), messages.receipt.alone.signature);
  assert.ok(isSigned(domain, signer, signed));
  assert.ok(isSigned(domain, signer, messages.receipt.alone), "from before there were groups");
  assert.ok(!isSigned(domain, OPERATOR, signed));
  assert.ok(!isSigned(domain, signer, { ...signed, sequence: "13" }));
  assert.ok(!isSigned(domain, signer, { ...signed, signature: "0x00" }));
});

test("each golden receipt of a group leads to its root, and none that lies about its place", () => {
  const { group, groupHash, root, alone } = messages.receipt;
  const signer = recover(domain.digest("Receipt", alone), alone.signature);
  for (const signed of group) {
    const found = groupOf(domain, signed) ?? assert.fail("it is in its group");
    assert.equal(found.root, root);
    assert.equal(domain.hash("ReceiptGroup", found), groupHash);
    const { path } = signed.group;
    for (const lie of [
      { count: "2" }, { count: "4" }, { count: "0" }, { count: "4097" }, { first: "10" }, { first: "12" }, { previousReceipt: id("9") },
      { path: [...path, ZERO] }, { path: path.slice(1) }, { path: path.map(() => id("9")) }, { path: path.map((/** @type {string} */ hash) => hash.slice(0, -2)) }, { path: null },
    ]) assert.ok(!isSigned(domain, signer, { ...signed, group: { ...signed.group, ...lie } }), JSON.stringify(lie));
    for (const lie of [{ sequence: "11" }, { sequence: "12" }, { sequence: "13" }, { sequence: "14" }].filter(({ sequence }) => sequence !== signed.sequence)) {
      assert.ok(!isSigned(domain, signer, { ...signed, ...lie }), JSON.stringify(lie));
    }
    assert.ok(!isSigned(domain, signer, { ...signed, group: undefined }), "the group is what was signed");
  }
});

test("two promises in one place contradict each other whatever their groups", () => {
  const { group, alone } = messages.receipt;
  const signer = recover(domain.digest("Receipt", alone), alone.signature);
  assert.ok(!contradicts(domain, signer, group[1], alone), "the same promise, signed otherwise");
  assert.ok(!contradicts(domain, signer, group[0], group[1]) && !contradicts(domain, signer, group[1], group[2]), "a chain");
  const one = grouped("5", id("a"), id("1")), other = grouped("5", id("b"), id("1"));
  assert.ok(contradicts(domain, OPERATOR, one, other));
  assert.ok(contradicts(domain, OPERATOR, one, receipt("5", id("b"), id("1"))));
  assert.ok(contradicts(domain, OPERATOR, one, grouped("6", id("b"), id("7"))), "it does not stand on the one before");
  assert.ok(!contradicts(domain, OPERATOR, one, { ...other, group: { ...other.group, first: "4", count: "2", path: [id("1")] } }));
});

test("a node that spells an honest operator's receipts otherwise accuses nobody", () => {
  const one = grouped("5", id("a"), id("1"));
  const hash = domain.hash("Receipt", { ...one });
  const next = receipt("6", id("b"), hash);
  for (const previousReceipt of [hash, String(BigInt(hash)), hash.replace("0x", "0X"), "0x" + hash.slice(2).toUpperCase()]) {
    assert.ok(isSigned(domain, OPERATOR, { ...next, previousReceipt }));
    assert.ok(!contradicts(domain, OPERATOR, one, { ...next, previousReceipt }), previousReceipt);
  }
  for (const nothing of [null, {}, { sequence: "6" }, { sequence: "x" }, { ...next, group: {} }]) assert.ok(!contradicts(domain, OPERATOR, one, nothing));
});

test("two promises in one place contradict each other, and only the operator's signatures count", () => {
  const one = receipt("5", id("a"), id("1")), other = receipt("5", id("b"), id("1"));
  assert.ok(contradicts(domain, OPERATOR, one, other));
  assert.ok(contradicts(domain, OPERATOR, other, one));
  assert.ok(!contradicts(domain, OPERATOR, one, one), "the same receipt again is no contradiction");
  assert.ok(!contradicts(domain, OPERATOR, one, receipt("5", id("b"), id("1"), STRANGER)), "a node cannot accuse the operator");
  assert.ok(!contradicts(domain, OPERATOR, { ...one, signature: other.signature }, other));
});

test("a promise must stand on the one before it", () => {
  const one = receipt("5", id("a"), id("1"));
  const next = receipt("6", id("b"), domain.hash("Receipt", one));
  assert.ok(!contradicts(domain, OPERATOR, one, next));
  assert.ok(contradicts(domain, OPERATOR, one, receipt("6", id("b"), id("7"))));
  assert.ok(contradicts(domain, OPERATOR, receipt("6", id("b"), id("7")), one), "in any order");
  assert.ok(!contradicts(domain, OPERATOR, one, receipt("7", id("b"), id("7"))), "what lies between is not known");
});

test("a leaf tells which own messages took effect", () => {
  /** @type {Map<string, any>} */
  const own = new Map();
  let prev = id("f");
  for (const [at, digit] of ["a", "b", "c"].entries()) {
    own.set(id(digit), { nonce: String(7 + at), prev });
    prev = id(digit);
  }
  // Signed in the place of b, and had no effect.
  const rival = { nonce: "8", prev: id("a") };
  own.set(id("d"), rival);
  const fate = (/** @type {any} */ effects, /** @type {string} */ digit) => fateOf(effects, id(digit), own.get(id(digit)));
  const all = effectiveIn({ nonce: "10", head: id("c") }, own);
  assert.deepEqual(["a", "b", "c", "d"].map((digit) => fate(all, digit)), ["effective", "effective", "effective", "superseded"]);
  const two = effectiveIn({ nonce: "9", head: id("b").toUpperCase().replace("0X", "0x") }, own);
  assert.deepEqual(["a", "b", "c", "d"].map((digit) => fate(two, digit)), ["effective", "effective", "pending", "superseded"]);
  // Its nonce fits still: pending, never failed.
  const one = effectiveIn({ nonce: "8", head: id("a") }, own);
  assert.deepEqual(["a", "b", "c", "d"].map((digit) => fate(one, digit)), ["effective", "pending", "pending", "pending"]);
  // A head that is not one's own: nothing is known of what lies below it.
  const foreign = effectiveIn({ nonce: "9", head: id("e") }, own);
  assert.deepEqual(["a", "b", "c"].map((digit) => fate(foreign, digit)), ["unknown", "unknown", "pending"]);
  // A nonce that does not fit its head proves nothing.
  assert.equal(effectiveIn({ nonce: "12", head: id("c") }, own).ids.size, 0);
  assert.equal(fate(effectiveIn({ nonce: "0", head: ZERO }, own), "a"), "pending");
});

test("heads of inbox items: the golden ones", () => {
  const { domain: of, batches } = vectors("batches");
  const there = new Domain(Number(of.chainId), of.gateway);
  let exits = 0;
  for (const batch of batches) {
    const items = batch.items ?? [];
    const outcomes = batch.chunks.flatMap((/** @type {any} */ chunk) => chunk.outcomes ?? []);
    items.forEach((/** @type {any} */ item, /** @type {number} */ at) => {
      const kind = { deposit: 1, forcedExit: 2, postedWithdraw: 3 }[/** @type {"deposit"} */ (item.kind)] ?? item.kind;
      const head = headOfItem(there, { ...item, kind });
      if (kind === 1) assert.equal(head, null);
      if (kind === 3) assert.equal(head, item.messageId);
      if (kind !== 2) return;
      exits++;
      assert.equal(head, outcomes[at].forcedExit, JSON.stringify(item));
    });
  }
  assert.ok(exits > 0, "the vectors have no forced exit");
});

test("nodes are compared at one batch only", () => {
  const leaf = { batch: "3", balance: "5", withdrawn: "0", nonce: "1", head: id("a"), root: id("b"), commitment: id("c") };
  assert.deepEqual(differences(leaf, { ...leaf, head: leaf.head.toUpperCase().replace("0X", "0x") }), []);
  assert.deepEqual(differences(leaf, { ...leaf, balance: "6", root: id("d") }), ["balance", "root"]);
  assert.deepEqual(differences(leaf, { ...leaf, batch: "4", balance: "6" }), [], "another batch is no disagreement");
});

test("amounts for people", () => {
  for (const [wei, words] of [["0", "0 ETH"], ["1", "0.000000000000000001 ETH"], ["1500000000000000000", "1.5 ETH"], ["20000000000000000000", "20 ETH"]]) assert.equal(inEther(wei), words);
});

test("the screen offers what helps, and nothing that does not", () => {
  const facts = {
    alarms: [{ kind: "withheld", level: "alarm", text: "late" }], force: 86_400n, challenge: 604_800n, progress: "", busy: false,
    accounts: [{ index: 0, address: OPERATOR, money: 10n ** 18n, foreign: false, asked: false }, { index: 1, address: OPERATOR, money: 0n, foreign: false, asked: false }],
  };
  const buttons = (/** @type {any} */ tree) => tree.children.filter((/** @type {any} */ each) => each.type === "Button").map((/** @type {any} */ each) => each.props.name);
  const text = JSON.stringify(alarmScreen(facts));
  for (const words of ["1 ETH", "24 hours", "7 days", "does not appear on layer 1", "before you approve it"]) assert.ok(text.includes(words), words);
  assert.deepEqual(buttons(alarmScreen(facts)), ["leave", "later"]);
  const asked = { ...facts, accounts: [{ ...facts.accounts[0], asked: true }] };
  assert.deepEqual(buttons(alarmScreen(asked)), ["later"], "nobody asks twice");
  const overdue = { ...asked, alarms: [{ kind: "overdue", level: "alarm", text: "late" }] };
  assert.deepEqual(buttons(alarmScreen(overdue)), ["halt", "later"]);
  const halted = { ...facts, alarms: [{ kind: "halted", level: "alarm", text: "over" }] };
  assert.deepEqual(buttons(alarmScreen(halted)), ["claim", "later"]);
  const foreign = { ...facts, alarms: [{ kind: "foreign-head", level: "alarm", text: "who?" }], accounts: [{ ...facts.accounts[0], foreign: true }] };
  assert.deepEqual(buttons(alarmScreen(foreign)), ["leave", "mine-0", "later"]);
  assert.ok(alarmScreen({ ...facts, busy: true }).children.filter((/** @type {any} */ each) => each.type === "Button").every((/** @type {any} */ each) => each.props.disabled));
});
