const log = async (work) => { const seen = []; await new Promise((done) => work((...values) => seen.push(...values), done)); return seen; };

export async function run() {
    await ask("order", () => log((say, done) => { setTimeout(() => { say("timeout"); done(); }, 0); Promise.resolve().then(() => say("promise")); queueMicrotask(() => say("microtask")); say("now"); }));
    await ask("by delay", () => log((say, done) => { setTimeout(() => { say(30); done(); }, 30); setTimeout(() => say(10), 10); setTimeout(() => say(20), 20); }));
    await ask("same delay in order", () => log((say, done) => { for (let i = 0; i < 5; i++) setTimeout(say, 5, i); setTimeout(done, 10); }));
    await ask("arguments", () => log((say, done) => setTimeout((...values) => { say(...values); done(); }, 1, "a", 2, null)));
    await ask("microtasks between timers", () => log((say, done) => { setTimeout(() => { say(1); queueMicrotask(() => say("m")); }, 1); setTimeout(() => { say(2); done(); }, 2); }));
    await ask("cleared", () => log((say, done) => { const id = setTimeout(() => say("never"), 1); clearTimeout(id); clearTimeout(id); setTimeout(done, 5); }));
    await ask("cleared in another", () => log((say, done) => { let later; setTimeout(() => { say("first"); clearTimeout(later); }, 1); later = setTimeout(() => say("never"), 3); setTimeout(done, 6); }));
    await ask("interval", () => log((say, done) => { let n = 0; const id = setInterval(() => { say(++n); if (n === 3) { clearInterval(id); setTimeout(done, 30); } }, 10); }));
    await ask("clearTimeout stops an interval", () => log((say, done) => { const id = setInterval(() => say("never"), 10); clearTimeout(id); setTimeout(done, 30); }));
    await ask("clearing nothing", () => [clearTimeout(), clearTimeout(null), clearTimeout(undefined), clearInterval(-1), clearTimeout(12345)]);
    await ask("delays that are no numbers", () => log((say, done) => { setTimeout(() => say("a"), undefined); setTimeout(() => say("b"), "1"); setTimeout(() => say("c"), -5); setTimeout(() => say("d"), null); setTimeout(() => say("e"), NaN); setTimeout(done, 10); }));
    await ask("nothing to call", () => setTimeout());
    await ask("an object to call", () => setTimeout({}));
    await ask("a task that throws stops nothing else", () => log((say, done) => { queueMicrotask(() => say("one")); queueMicrotask(() => say("two")); setTimeout(done, 1); }));
    await ask("queueMicrotask of a text", () => queueMicrotask("x"));
    await ask("queueMicrotask of nothing", () => queueMicrotask());
    await ask("queueMicrotask gives", () => queueMicrotask(() => {}));
    await ask("await order", () => log((say, done) => { (async () => { say(1); await null; say(3); await new Promise((r) => r()); say(5); done(); })(); say(2); Promise.resolve().then(() => {}).then(() => say(4)); }));
    await ask("thenables", () => log((say, done) => { Promise.resolve({ then(yes) { say("then"); yes("value"); } }).then((value) => { say(value); done(); }); say("now"); }));
    await ask("unhandled and handled later", async () => { const p = Promise.reject(new Error("later")); try { await p; } catch (e) { return e.message; } });
    await ask("all kinds of all", async () => [await Promise.all([1, Promise.resolve(2)]), (await Promise.allSettled([Promise.reject(new Error("x")), 1])).map((one) => one.status), await Promise.race([new Promise(() => {}), 3]), await Promise.any([Promise.reject(new Error("x")), 4])]);
    await ask("random values", () => { const a = new Uint8Array(32); return [crypto.getRandomValues(a) === a, a.some((one) => one !== 0), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID())]; });
    for (const [name, make] of Object.entries({ floats: () => new Float32Array(1), view: () => new DataView(new ArrayBuffer(1)), tooMany: () => new Uint8Array(65537), big: () => new BigInt64Array(2), clamped: () => new Uint8ClampedArray(2), none: () => new Uint8Array(0) })) {
        await ask(`random ${name}`, () => crypto.getRandomValues(make()).length);
    }
    await standard("random no view", () => crypto.getRandomValues([1]), "throws TypeError");
    await standard("random buffer", () => crypto.getRandomValues(new ArrayBuffer(1)), "throws TypeError");
    await ask("globals are not enumerable or are", () => ["setTimeout", "URL", "TextEncoder", "AbortController", "structuredClone"].map((name) => typeof globalThis[name]));
    return answers;
}
