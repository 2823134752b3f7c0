const same = (value) => structuredClone(value);

export async function run() {
    for (const value of [undefined, null, true, 5, -0, NaN, Infinity, 10n ** 30n, "text"]) await ask(`primitive ${typeof value} ${Object.is(value, -0) ? "-0" : String(value)}`, () => same(value));
    for (const [name, value] of Object.entries({ function: () => {}, symbol: Symbol("s"), inside: { f() {} }, symbolObject: Object(Symbol("x")), weakMap: new WeakMap(), weakSet: new WeakSet(), weakRef: new WeakRef({}), promise: Promise.resolve()})) await ask(`refused ${name}`, () => same(value));
    for (const [name, value] of Object.entries({ event: new Event("x"), target: new EventTarget(), signal: AbortSignal.abort() })) await standard(`refused ${name}`, () => same(value), "throws DataCloneError (DOMException)");
    await ask("nothing", () => structuredClone());
    for (const value of [new Number(5), new Number(-0), new String("s"), new Boolean(false), Object(5n)]) {
        await ask(`wrapper ${Object.prototype.toString.call(value)} ${value}${Object.is(value.valueOf(), -0)}`, () => { const c = same(value); return [typeof c, Object.prototype.toString.call(c), c.valueOf(), c !== value]; });
    }
    await ask("false stays false", () => same(new Boolean(false)).valueOf());
    await ask("date", () => [same(new Date(5)).getTime(), same(new Date(NaN)).getTime(), same(Object.assign(new Date(5), { extra: 1 })).extra]);
    await ask("regexp", () => { const r = /a\/b/giu; r.lastIndex = 3; const c = same(r); return [c.source, c.flags, c.lastIndex, c.test("A/B")]; });
    await ask("array", () => { const c = same(Object.assign([1, , 3], { extra: 7 })); return [c.length, 1 in c, c.extra, Array.isArray(c)]; });
    await ask("long array", () => { const a = []; a.length = 10; a[9] = 1; return [same(a).length, Object.keys(same(a))]; });
    await ask("object", () => { class Own { a = 1; get b() { return 2; } static c = 3; } const o = new Own(); Object.defineProperty(o, "hidden", { value: 1 }); o[Symbol("s")] = 1; const c = same(o); return [c, Object.getPrototypeOf(c) === Object.prototype, Object.getOwnPropertyNames(c)]; });
    await ask("no prototype", () => Object.getPrototypeOf(same(Object.create(null, { a: { value: 1, enumerable: true } }))) === Object.prototype);
    await ask("getter", () => { const c = same({ get a() { return 7; } }); return Object.getOwnPropertyDescriptor(c, "a"); });
    await ask("getter throws", () => same({ get a() { throw new RangeError("mine"); } }));
    await ask("frozen", () => { const c = same(Object.freeze({ a: 1 })); c.a = 2; return c.a; });
    await ask("getter deletes", () => { const o = { get a() { delete o.b; return 1; }, b: 2 }; return Object.keys(same(o)); });
    await ask("proto as a name", () => { const c = same(JSON.parse('{"__proto__":{"x":1}}')); return [Object.keys(c), c.x]; });
    await ask("cycles", () => { const o = { list: [] }; o.self = o; o.list.push(o, o.list); const c = same(o); return [c.self === c, c.list[0] === c, c.list[1] === c.list, c !== o]; });
    await ask("the same twice", () => { const x = {}; const c = same([x, x]); return c[0] === c[1]; });
    await ask("map and set", () => { const k = {}; const m = new Map([[k, 1], ["self", null]]); m.set("self", m); const s = new Set([k, m]); const c = same({ m, s, k }); return [c.m.get(c.k), c.m.get("self") === c.m, c.s.has(c.k), c.s.has(c.m), c.s.size, Object.keys(same(Object.assign(new Map(), { p: 1 })))]; });
    await ask("map keeps its order", () => [...same(new Map([["b", 1], ["a", 2]])).keys()]);
    await ask("subclasses", () => { class M extends Map {} class A extends Array {} return [same(new M([[1, 2]])).constructor === Map, same(A.from([1])).constructor === Array]; });
    await ask("buffers", () => { const b = new Uint8Array([1, 2, 3, 4]).buffer; const c = same({ b, v: new Uint8Array(b, 1, 2), w: new Uint16Array(b), d: new DataView(b, 2) }); return [c.v, c.v.buffer === c.b, c.w.buffer === c.b, c.d.byteOffset, c.d.byteLength, c.b !== b, c.v.byteOffset, c.b.byteLength]; });
    for (const Type of [Int8Array, Uint8ClampedArray, Int32Array, Float32Array, Float64Array, BigInt64Array, BigUint64Array]) await ask(`view ${Type.name}`, () => same(new Type(2)));
    await ask("transfer", () => { const b = new Uint8Array([1, 2]).buffer; const c = structuredClone({ b, v: new Uint8Array(b) }, { transfer: [b] }); return [b.byteLength, c.b.byteLength, c.v, c.v.buffer === c.b]; });
    await ask("transfer alone", () => { const b = new ArrayBuffer(3); structuredClone(null, { transfer: [b] }); return b.byteLength; });
    await ask("transfer twice", () => { const b = new ArrayBuffer(3); return structuredClone(b, { transfer: [b, b] }); });
    await standard("transfer detached", () => { const b = new ArrayBuffer(3); structuredClone(b, { transfer: [b] }); return structuredClone(b, { transfer: [b] }); }, "throws DataCloneError (DOMException)");
    await ask("clone detached", () => { const b = new ArrayBuffer(3); structuredClone(b, { transfer: [b] }); return structuredClone(b); });
    await standard("transfer an object", () => structuredClone({}, { transfer: [{}] }), "throws DataCloneError (DOMException)");
    await ask("transfer and fail", () => { const b = new ArrayBuffer(3); try { structuredClone({ b, f() {} }, { transfer: [b] }); } catch (e) { return [e.name, b.byteLength]; } });
    for (const error of [new Error("e"), new TypeError("t"), new RangeError("r"), new SyntaxError("s"), new URIError("u"), new EvalError("v"), new ReferenceError("f")]) await ask(`error ${error.name}`, () => { const c = same(error); return [c.name, c.message, c.constructor.name, typeof c.stack, c.stack === error.stack]; });
    await ask("error of its own class", () => { class Mine extends RangeError { name = "Mine"; extra = 1; } const c = same(new Mine("m")); return [c.name, c.message, c.constructor.name, c.extra]; });
    await ask("error named otherwise", () => { const e = new Error("x"); e.name = "TypeError"; return same(e) instanceof TypeError; });
    await ask("error with a message on its prototype", () => { const e = Object.create(Error.prototype); return Object.prototype.toString.call(same(e)); });
    await standard("exception", () => { const c = same(new DOMException("m", "AbortError")); return [c.name, c.message, c.code, c instanceof DOMException]; }, ["AbortError", "m", 20, true]);
    await ask("tags do not lie", () => { const o = { [Symbol.toStringTag]: "Date", a: 1 }; return same(o).a; });
    await ask("deep", () => { let o = {}; for (let i = 0; i < 200; i++) o = { o }; let c = same(o), n = 0; while (c.o) { c = c.o; n++; } return n; });
    return answers;
}
