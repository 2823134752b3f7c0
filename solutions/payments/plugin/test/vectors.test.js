// The JavaScript side of the protocol against the golden vectors of the Rust side: `node --test`.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { keccak256 } from "./keccak.js";

// In the wallet the host gives this global.
const eth = {
  /** @param {string} data */
  keccak256: (data) => keccak256(data.startsWith("0x") ? Uint8Array.from(Buffer.from(data.slice(2), "hex")) : new TextEncoder().encode(data)),
};
Object.defineProperty(globalThis.crypto, "eth", { value: eth });
const { Domain, encodePosted, leafOf, rootOf } = await import("../index.js");

/** @param {string} name */
const vectors = (name) => JSON.parse(readFileSync(new URL(`../../protocol/vectors/${name}.json`, import.meta.url), "utf8"));
const ZERO = "0x" + "0".repeat(64);

const messages = vectors("messages");
const domain = new Domain(Number(messages.domain.chainId), messages.domain.gateway);

test("keccak256 of nothing and of a long text is what it should be", () => {
  const hex = (/** @type {string} */ text) => Buffer.from(eth.keccak256(text)).toString("hex");
  assert.equal(hex(""), "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
  assert.equal(hex("transfer(address,uint256)").slice(0, 8), "a9059cbb");
});

test("the domain separator", () => assert.equal(domain.separator, messages.domain.separator));

test("ids and digests of messages", () => {
  for (const { signed, id, digest } of messages.messages) {
    const type = signed.kind === "payment" ? "Payment" : "Withdraw";
    assert.equal(domain.hash(type, signed), id);
    assert.equal(domain.digest(type, signed), digest);
  }
});

test("latestMessage of a posted Withdraw", () => {
  const posted = messages.messages.filter((/** @type {any} */ each) => each.latestMessage);
  assert.equal(posted.length, 2);
  for (const { signed, latestMessage } of posted) assert.equal(encodePosted(signed, signed.signature), latestMessage);
});

test("ClaimTo and Receipt", () => {
  assert.equal(domain.hash("ClaimTo", messages.claimTo.claim), messages.claimTo.hash);
  assert.equal(domain.digest("ClaimTo", messages.claimTo.claim), messages.claimTo.digest);
  assert.equal(domain.hash("Receipt", messages.receipt.signed), messages.receipt.hash);
});

test("typed data names the fields in the order of the type", () => {
  const [{ signed }] = messages.messages;
  const typed = domain.typedData("Payment", signed);
  assert.deepEqual(typed.types.Payment.map(({ name }) => name), ["from", "to", "value", "fee", "nonce", "prev"]);
  assert.deepEqual(typed.message, Object.fromEntries(typed.types.Payment.map(({ name }) => [name, signed[name]])));
});

test("proofs lead to the root, of accounts and of the absence of one", () => {
  const { root, proofs, steps } = vectors("tree");
  for (const { account, witness } of proofs) assert.equal(rootOf(account, witness), root);
  const last = new Map(steps.map(({ account, leaf }) => [account, leaf]));
  for (const { account, witness } of proofs) {
    const { balance, withdrawn, nonce, head } = leafOf(account, witness);
    assert.deepEqual({ balance, withdrawn, nonce, head }, last.get(account) ?? { balance: "0", withdrawn: "0", nonce: "0", head: ZERO });
  }
  assert.ok(proofs.some(({ account, witness }) => witness.account !== account), "a neighbour's leaf proves that an account has none");
  let before = ZERO;
  for (const step of steps) {
    assert.equal(rootOf(step.account, step.witnessBefore), before);
    before = step.root;
  }
});

test("an account's own leaf is no neighbour's, however it is spelled", () => {
  const { proofs } = vectors("tree");
  for (const { account, witness } of proofs.filter(({ account, witness }) => witness.account === account)) {
    // Each of these numbers is the same word in the leaf's hash; some have a path that begins like the account's.
    const spelled = [BigInt(account).toString(), ` ${account}`, [account]];
    for (let zeros = 1; zeros < 100; zeros++) spelled.push(`0x${"0".repeat(zeros)}${account.slice(2)}`, "0".repeat(zeros) + BigInt(account));
    for (const owner of spelled) assert.equal(rootOf(account, { ...witness, account: owner }), null, String(owner));
  }
  // A leaf whose head is zero is the hash of four words and of nothing: that is no pair of nodes.
  const hex = (/** @type {string} */ data) => "0x" + Buffer.from(eth.keccak256(data)).toString("hex");
  const word = (/** @type {bigint | string} */ value) => BigInt(value).toString(16).padStart(64, "0");
  const [{ account }] = proofs.filter(({ account }) => BigInt(hex(account)) >> 255n);
  const alone = "0x" + [account, 5n, 0n, 0n].map(word).join("");
  const nothing = { account, balance: "0", withdrawn: "0", nonce: "0", head: ZERO };
  assert.equal(rootOf(account, { ...nothing, siblings: [alone] }), null);
  assert.equal(rootOf(account, { ...nothing, balance: "5", siblings: [] }), hex(alone + ZERO.slice(2)));
  for (const change of [
    { siblings: null }, { siblings: "0x" }, { siblings: [null] }, { head: "0x" }, { head: undefined }, { balance: 5 }, { balance: "-1" },
    { balance: "0x5" }, { balance: "" }, { nonce: null }, { withdrawn: "1".repeat(40) }, { account: undefined },
  ]) assert.equal(rootOf(account, { ...nothing, siblings: [], ...change }), null, JSON.stringify(change));
  assert.equal(rootOf(account, null), null);
});

test("a proof that was changed leads elsewhere", () => {
  const { root, proofs } = vectors("tree");
  const [{ account, witness }, other] = proofs;
  for (const change of [
    { balance: String(BigInt(witness.balance) + 1n) }, { withdrawn: "12345" }, { nonce: "99" }, { head: "0x" + "77".repeat(32) },
    { siblings: witness.siblings.slice(1) }, { siblings: [...witness.siblings, ZERO] }, { siblings: [ZERO, ...witness.siblings] },
    { account: other.account }, { siblings: Array(161).fill(ZERO) },
  ]) assert.notEqual(rootOf(account, { ...witness, ...change }), root, JSON.stringify(change));
  assert.notEqual(rootOf(other.account, witness), root);
});
