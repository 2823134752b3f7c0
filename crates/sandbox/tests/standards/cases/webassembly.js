// The JavaScript WebAssembly API: shapes, memories that are buffers, values, imports, errors.

const bytes = (name) => Uint8Array.from(MODULES[name].match(/../g), (pair) => parseInt(pair, 16));
const instance = (name, imports) => new WebAssembly.Instance(new WebAssembly.Module(bytes(name)), imports).exports;
const thrown = (work) => { try { return ["no error", String(work())]; } catch (error) { return [error.name, error instanceof Error, error.constructor === globalThis[error.name] || error.constructor === WebAssembly[error.name]]; } };
/** With the text, where Node's is what programs look for. */
const trapped = (work) => { try { return String(work()); } catch (error) { return `${error.name}: ${error.message}`; } };
const text = (view, at, length) => String.fromCharCode(...new Uint8Array(view, at, length));
const shape = (object) => Reflect.ownKeys(object).map((key) => {
    const { get, set, value, enumerable } = Object.getOwnPropertyDescriptor(object, key);
    return [String(key), enumerable, typeof get, typeof set, typeof value, typeof value === "function" ? value.length : null];
}).filter(([key]) => !["Tag", "JSTag", "Exception", "prototype", "customSections", "compileStreaming", "instantiateStreaming", "type", "arguments", "caller"].includes(key)).sort();

export async function run() {
    const seen = {};
    // Whether members can be replaced is the sandbox's own matter; everything else of their shape is the standard's.
    seen.namespace = shape(WebAssembly);
    seen.tag = [String(WebAssembly), typeof WebAssembly];
    for (const name of ["Module", "Instance", "Memory", "Table", "Global"]) {
        const Class = WebAssembly[name];
        seen[`shape of ${name}`] = [shape(Class).filter(([key]) => key !== "name" && key !== "length"), shape(Class.prototype), Class.name, Class.length, String(Class.prototype)];
        seen[`${name} without new`] = thrown(() => Class({}))[0];
    }
    for (const name of ["CompileError", "LinkError", "RuntimeError"]) {
        const error = new WebAssembly[name]("why", { cause: 7 });
        seen[name] = [error.name, error.message, error.cause, String(error), error instanceof Error, Object.getPrototypeOf(WebAssembly[name]) === Error, WebAssembly[name]("no new") instanceof WebAssembly[name], Object.prototype.toString.call(error), WebAssembly[name].length];
    }

    seen.validate = [WebAssembly.validate(bytes("memory")), WebAssembly.validate(new Uint8Array(8)), WebAssembly.validate(bytes("memory").buffer), thrown(() => WebAssembly.validate("text")), thrown(() => WebAssembly.validate())];
    seen.broken = [thrown(() => new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0]))), thrown(() => new WebAssembly.Module(new Uint8Array(0))), thrown(() => new WebAssembly.Module()), thrown(() => new WebAssembly.Module(7))];
    const module = new WebAssembly.Module(bytes("imports"));
    seen.imports = WebAssembly.Module.imports(module);
    seen.exports = WebAssembly.Module.exports(module);
    seen["statics of others"] = [thrown(() => WebAssembly.Module.imports({})), thrown(() => WebAssembly.Module.exports())];

    // A memory and its buffer are one.
    const memory = instance("memory");
    seen.hello = [text(memory.memory.buffer, 8, 5), memory.load8(8), memory.memory.buffer.byteLength, memory.size()];
    const view = new Uint8Array(memory.memory.buffer);
    view[100] = 77;
    memory.store(104, -2);
    seen.aliases = [memory.load8(100), [...view.subarray(104, 108)], memory.memory.buffer === memory.memory.buffer];
    seen.edges = [65532, 65533, 65536, -1, -4, 2147483647, -2147483648].map((at) => trapped(() => memory.load(at)));
    seen.far = [0, 1, -1, 4].map((at) => trapped(() => memory.far(at)));
    seen.stored = [65524, 65525, -8].map((at) => trapped(() => memory.store64(at, 1n)));
    seen.grown = [memory.grow(1), memory.size(), view.length, memory.memory.buffer.byteLength, memory.load8(100), memory.load(65536), memory.memory.grow(0), memory.memory.grow(1), memory.size(), memory.grow(2), memory.grow(-1), memory.grow(65536), thrown(() => memory.memory.grow(2)), thrown(() => memory.memory.grow(-1)), thrown(() => memory.memory.grow()), memory.size()];
    seen["beyond the growth"] = [196604, 196605, 262144].map((at) => trapped(() => memory.load(at)));
    const before = memory.memory.buffer;
    memory.memory.grow(0);
    seen["growing by nothing"] = [before.byteLength, before === memory.memory.buffer, memory.memory.buffer.byteLength];
    seen.ranges = [trapped(() => memory.fill(196600, 9, 8)), trapped(() => memory.fill(196601, 9, 8)), trapped(() => memory.copy(0, 8, 5)), trapped(() => memory.copy(-1, 0, 2)), trapped(() => memory.init(20, 0, 5)), trapped(() => memory.init(20, 1, 5)), trapped(() => memory.drop()), trapped(() => memory.init(20, 0, 1)), text(memory.memory.buffer, 0, 30)];
    seen.vector = String(memory.vector(8));
    seen.detach = [thrown(() => memory.memory.buffer.transfer()), memory.memory.buffer.byteLength, memory.load8(8)];

    const own = new WebAssembly.Memory({ initial: 1, maximum: 3 });
    seen["a memory"] = [own.buffer.byteLength, own.grow(2), own.buffer.byteLength, thrown(() => own.grow(1)), own.buffer instanceof ArrayBuffer];
    seen["memories refused"] = [{}, { initial: -1 }, { initial: 65537 }, { initial: 2, maximum: 1 }, undefined, 7, { initial: "x" }, { initial: 1n }].map((one) => thrown(() => new WebAssembly.Memory(one)));
    seen["no pages"] = [new WebAssembly.Memory({ initial: 0 }).buffer.byteLength, new WebAssembly.Memory({ initial: "1" }).buffer.byteLength];
    seen["the buffer of another"] = thrown(() => Object.getOwnPropertyDescriptor(WebAssembly.Memory.prototype, "buffer").get.call({}));

    // Values.
    const values = instance("values");
    seen.i32 = [1, -1, 4294967295, 2 ** 40 + 5, 1.9, NaN, "12", null, undefined, true].map((value) => values.i32(value));
    seen.i64 = [1n, -1n, 2n ** 64n + 5n, -(2n ** 63n), true, "12"].map((value) => String(values.i64(value)));
    seen.f32 = [1.1, -0, NaN, 1e40, "1.5"].map((value) => String(values.f32(value)));
    seen.f64 = [1.1, -0, NaN, Infinity, "1.5"].map((value) => Object.is(values.f64(value), Number(value)));
    seen.wrong = [() => values.i32(1n), () => values.i64(1), () => values.i32(Symbol()), () => values.func(() => {}), () => values.func(undefined), () => values.vector(1), () => values.i64()].map((work) => thrown(work));
    seen.func = [values.func(null), values.func(values.none) === values.none];
    seen.several = [values.several(1, 2n, 3.5).map(String), Array.isArray(values.several(1, 2n, 3)), values.none(), values.many(...Array.from({ length: 20 }, (_, i) => i + 1))];
    seen.traps = [() => values.unreachable(), () => values.divide(1, 0), () => values.truncate(NaN)].map(trapped);
    // One word for both, where Node has two.
    seen.overflows = [thrown(() => values.divide(-2147483648, -1)), thrown(() => values.truncate(1e300))];
    seen["after traps"] = [values.divide(7, 2), values.saturate(1e300), values.saturate(NaN), String(values.factorial(20n, 1n)), values.extend(200)];
    seen.functions = [values.several.length, values.none.name === values.none.name, typeof values.none, String(Object.prototype.toString.call(values.none)), values.none instanceof Function, thrown(() => new values.none())[0], Object.keys(values).length, Object.isFrozen(values), Object.getPrototypeOf(values), Reflect.apply(values.i32, {}, [3]), values.i32.call(null, 4), values.i32.bind(null, 5)(), "prototype" in values.none];
    seen.names = Object.values(values).map((value) => value.name);

    // Imports.
    const called = [];
    const table = new WebAssembly.Table({ element: "anyfunc", initial: 2, maximum: 10 });
    const variable = new WebAssembly.Global({ value: "i64", mutable: true }, 41n);
    const shared = new WebAssembly.Memory({ initial: 2, maximum: 8 });
    let action = (x) => x * 2;
    const env = { call(...list) { called.push(list, this === undefined || this === globalThis); return action(...list); }, several: (x) => [Number(x), 2.5], memory: shared, table, constant: 16, variable };
    const it = new WebAssembly.Instance(module, { env }).exports;
    seen.placed = [text(shared.buffer, 16, 6), it.started.value, it.memory === shared, it.table === table, it.variable === variable, it.constant.value, it.own.value];
    seen.called = [it.callIt(21), it.callSeveral(3n), called, it.call(4), it.call === env.call, it.call === it.call, it.seven()];
    seen.indirect = [it.callIndirect(0), trapped(() => it.callIndirect(1)), trapped(() => it.callIndirect(5)), table.get(0) === it.seven, table.get(1), table.length];
    table.set(1, it.seven);
    seen["a table that was set"] = [it.callIndirect(1), table.grow(3), table.length, table.get(4), trapped(() => it.callIndirect(4)), thrown(() => table.grow(100)), thrown(() => table.get(5)), thrown(() => table.set(5)), thrown(() => table.set(0, () => {})), thrown(() => table.get(-1))];
    table.set(0);
    seen.emptied = [table.get(0), trapped(() => it.callIndirect(0))];
    it.bump();
    seen.globals = [String(variable.value), thrown(() => { variable.value = 1; }), (variable.value = 7n, it.bump(), String(variable.valueOf())), (it.own.value = -2.5, it.own.value), thrown(() => { it.constant.value = 1; })];
    const error = new Error("mine");
    action = () => { throw error; };
    try { it.callIt(1); } catch (caught) { seen.thrown = [caught === error, caught.message]; }
    action = () => { throw "bare"; };
    try { it.callIt(1); } catch (caught) { seen["thrown bare"] = caught; }
    action = (x) => (x > 0 ? it.callIt(x - 1) + 1 : 100);
    seen.nested = it.callIt(30);
    action = () => { shared.grow(1); return shared.buffer.byteLength / 65536; };
    seen["grown within a call"] = [it.callIt(0), it.load(65536 * 2 + 5), it.load(16), shared.buffer.byteLength / 65536, trapped(() => it.load(65536 * 3))];
    action = () => 1n;
    seen["an import's wrong answers"] = [thrown(() => it.callIt(1)), (env.several = 1, thrown(() => it.callSeveral(1n)))];
    action = () => ({ valueOf: () => 9 });
    seen["an import's object"] = it.callIt(1);
    const link = (change) => thrown(() => new WebAssembly.Instance(module, { env: { call() {}, several() {}, memory: shared, table, constant: 16, variable, ...change } }));
    seen.links = [link({ call: 7 }), link({ memory: {} }), link({ memory: new WebAssembly.Memory({ initial: 0, maximum: 8 }) }), link({ memory: new WebAssembly.Memory({ initial: 1 }) }), link({ memory: new WebAssembly.Memory({ initial: 1, maximum: 9 }) }), link({ table: new WebAssembly.Table({ element: "anyfunc", initial: 1, maximum: 10 }) }), link({ table: null }), link({ constant: 1n }), link({ constant: variable }), link({ variable: 5n }), link({ variable: new WebAssembly.Global({ value: "i64" }, 1n) }), link({ several: values.none }), link({ constant: 65534 })];
    seen["no imports"] = [thrown(() => new WebAssembly.Instance(module)), thrown(() => new WebAssembly.Instance(module, {})), thrown(() => new WebAssembly.Instance(module, 7)), thrown(() => new WebAssembly.Instance({}, {}))];
    const chained = new WebAssembly.Instance(module, { env: { ...env, call: it.callIt, several: () => [1, 1] } }).exports;
    action = (x) => x + 1000;
    seen["functions of another instance"] = [chained.callIt(1), chained.call === it.callIt, chained.memory === it.memory];
    seen.tables = [thrown(() => new WebAssembly.Table({ element: "i32", initial: 1 })), thrown(() => new WebAssembly.Table({ element: "anyfunc" })), thrown(() => new WebAssembly.Table({ element: "anyfunc", initial: 2, maximum: 1 })), new WebAssembly.Table({ element: "anyfunc", initial: 2 }, it.seven).get(1) === it.seven];
    seen["globals made"] = [["i32", 7.9], ["i64", 7n], ["f32", 1.1], ["f64", 1.1], ["i32"], ["i64"], ["f64"], ["anyfunc", null]].map(([value, first]) => String(new WebAssembly.Global({ value }, first).value));
    seen["globals refused"] = [thrown(() => new WebAssembly.Global({ value: "i64" }, 1)), thrown(() => new WebAssembly.Global({ value: "i31" }, 1)), thrown(() => new WebAssembly.Global()), thrown(() => new WebAssembly.Global({ value: "i32" }, 1n))];

    // Promises.
    const both = await WebAssembly.instantiate(bytes("values"));
    seen.instantiated = [Object.keys(both), both.instance instanceof WebAssembly.Instance, both.module instanceof WebAssembly.Module, both.instance.exports.i32(3)];
    seen["of a module"] = [(await WebAssembly.instantiate(both.module)) instanceof WebAssembly.Instance, (await WebAssembly.compile(bytes("values"))) instanceof WebAssembly.Module];
    const rejected = (promise) => promise.then(() => "no error", (why) => why.name);
    seen.rejected = [await rejected(WebAssembly.compile(new Uint8Array(3))), await rejected(WebAssembly.compile()), await rejected(WebAssembly.instantiate(bytes("imports"))), await rejected(WebAssembly.instantiate(bytes("imports"), { env: { ...env, call: 1 } })), await rejected(WebAssembly.instantiate(7)), await rejected(WebAssembly.instantiate(bytes("values"), 7))];
    let order = [];
    const promise = WebAssembly.instantiate(both.module, {}).then(() => order.push("instantiated"));
    order.push("after the call");
    await promise;
    seen.order = order;
    return seen;
}
