// Measures the same scripts in Node and prints one JSON object: names and numbers, times in the units of the caller.
import { Worker } from "node:worker_threads";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const here = dirname(process.argv[1]);
const bundles = JSON.parse(process.argv[2]);
const said = {};
const now = () => performance.now();
const middle = (times, share = 0.5) => times.sort((a, b) => a - b)[Math.round((times.length - 1) * share)];
const start = (path) => new Worker(join(here, "worker.mjs"), { workerData: { path } });
const ask = (worker, action, value) => new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
    worker.postMessage(JSON.stringify({ t: "call", id: 1, action, params: { value } }));
});
const pss = () => Number(/^Pss:\s+(\d+)/m.exec(readFileSync("/proc/self/smaps_rollup", "utf8"))[1]) / 1024;

for (const { name, path, first } of bundles) {
    const times = [];
    for (let i = 0; i < 12; i++) {
        const begun = now();
        const worker = start(path);
        await ask(worker, ...first);
        times.push(now() - begun);
        await worker.terminate();
    }
    said[`start ${name}`] = middle(times);
    const before = pss();
    const idle = [];
    for (let i = 0; i < 20; i++) {
        idle.push(start(path));
        await ask(idle[i], ...first);
    }
    said[`memory ${name}`] = (pss() - before) / idle.length;
    for (const worker of idle) await worker.terminate();
}

const echo = join(here, "echo.mjs");
writeFileSync(echo, "export default class { constructor() { this.layer2Interface = { actions: [{ name: 'echo', call: ({ value }) => value }] }; } }");
for (const flight of [1, 16]) {
    const worker = start(echo);
    const value = { toAddress: "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", value: { $n: "1000000000000" } };
    const run = (count) => new Promise((resolve) => {
        const begun = [];
        const times = [];
        let sent = 0;
        const send = () => { begun.push(now()); worker.postMessage(JSON.stringify({ t: "call", id: sent++, action: "echo", params: { value } })); };
        const done = (text) => {
            JSON.parse(text);
            times.push(now() - begun.shift());
            if (times.length === count) { worker.off("message", done); resolve(times); } else if (sent < count) send();
        };
        worker.on("message", done);
        for (let i = 0; i < flight; i++) send();
    });
    await run(4000);
    const begun = now();
    const times = await run(40000);
    said[`calls ${flight} rate`] = 40000 / (now() - begun) * 1000;
    said[`calls ${flight} p50`] = middle(times);
    said[`calls ${flight} p99`] = middle(times, 0.99);
    await worker.terminate();
}

const crypto = start(bundles[1].path);
const each = async (action, value, count) => {
    await ask(crypto, action, value);
    const times = [];
    for (let i = 0; i < 3; i++) {
        const begun = now();
        await ask(crypto, action, value);
        times.push((now() - begun) * 1000 / count);
    }
    return middle(times, 0);
};
for (const [size, count] of [[32, 2000], [65536, 20]]) {
    said[`keccak ${size}`] = await each("keccak", { n: count, size }, count);
    said[`sha ${size}`] = await each("sha", { n: count, size }, count);
}
said.sign = await each("sign", 20, 20);
said.verify = await each("verify", 20, 20);
await crypto.terminate();
console.log(JSON.stringify(said));
