// A plugin in a worker of Node: a heap of its own and messages, as near as Node comes to a sandbox.
import { parentPort, workerData } from "node:worker_threads";
import { createHash } from "node:crypto";

const bytes = (data) => (typeof data === "string" ? Buffer.from(data.replace(/^0x/, ""), data.startsWith("0x") ? "hex" : "utf8") : data);
// What the wallet adds; Node has no keccak256, and for a start it is the time that counts.
globalThis.crypto.eth = { keccak256: (data) => new Uint8Array(createHash("sha3-256").update(bytes(data)).digest()) };
const answers = {
    getAccounts: [], listLocalDb: [],
    getAccount: { index: 0, path: "m/43'/60'/1775'/0", address: "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", publicKey: new Uint8Array(33).fill(2) },
};
const wallet = new Proxy({}, { get: (_, name) => async () => answers[name] ?? null });
const down = async () => { throw Object.assign(new Error("nothing is there"), { code: 4900 }); };
const { default: Plugin } = await import(workerData.path);
const plugin = new Plugin({
    wallet,
    layer1: { networkId: 31337, ownerAddress: "0x" + "00".repeat(20), contracts: { gateway: "0x5FbDB2315678afecb367f032d93F642f64180aa3" }, request: down },
    network: { urls: ["ws://127.0.0.1:9545"], connect: down, fetch: down },
    solution: { id: 1, name: "one", title: "Measured" },
});
await plugin.onStart?.({ restored: false });
const actions = new Map(plugin.layer2Interface.actions.map(({ name, call }) => [name, call]));
parentPort.on("message", async (text) => {
    const { id, action, params } = JSON.parse(text);
    const ok = await actions.get(action)(params, { caller: "you" });
    parentPort.postMessage(JSON.stringify({ t: "done", id, ok: ok ?? null }));
});
