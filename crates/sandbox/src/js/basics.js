
// Console, timers, randomness, code from text. Continues primordials.js.

const define = (name, value) => defineProperty(globalThis, name, { __proto__: null, value, writable: true, enumerable: false, configurable: true });
/** As on the web: too few arguments are a mistake of their own. */
const need = (given, wanted) => { if (given < wanted) throw new TypeErrorC(`${wanted} argument${wanted === 1 ? "" : "s"} required, but only ${given} present`); };
/** A dictionary of Web IDL. */
const dictionary = (value, what) => {
    if (value === undefined || value === null) return { __proto__: null };
    if (typeof value !== "object" && typeof value !== "function") throw new TypeErrorC(`${what} must be an object`);
    return value;
};
/**
 * A class of ours: nothing a script does to it may change what another part of the script, or the glue, relies on.
 * Its members can be enumerated, as those of the web's interfaces.
 */
const frozenClass = (Class, tag) => {
    for (const owner of [Class, Class.prototype]) {
        for (const name of ownKeys(owner)) {
            const member = getOwnPropertyDescriptor(owner, name);
            if (typeof name !== "string" || name === "constructor" || (owner === Class && typeof member.value !== "function") || !member.configurable) continue;
            defineProperty(owner, name, { __proto__: null, enumerable: true });
            for (const part of ["value", "get", "set"]) if (typeof member[part] === "function") freeze(member[part]);
        }
    }
    if (tag) defineProperty(Class.prototype, SymbolToStringTag, { __proto__: null, value: tag, configurable: true });
    freeze(Class.prototype);
    return freeze(Class);
};

// Call sites would hand the script the function objects of the glue that called it.
defineProperty(ErrorC, "prepareStackTrace", { __proto__: null, value: undefined, writable: false, configurable: false });
// The web's other name of the global object: packages that are older than `globalThis` look for it.
define("self", globalThis);
// No second clock, and none that is finer than Date.
delete globalThis.performance;
// No threads, so nothing to share memory with.
delete globalThis.SharedArrayBuffer;

// ---- Code from text ----------------------------------------------------------------------------------------------

// What was approved is what runs: text cannot become code, as on a page whose policy forbids it. The constructors
// stay, as `instanceof` needs them, and refuse; the engine's own are reachable from nowhere any more.
const noCode = () => { throw new EvalErrorC("text cannot become code here (eval, Function): bundle what is to run into the script"); };
const plainFunction = function Function() { noCode(); };
defineProperty(plainFunction, "length", { __proto__: null, value: 1 });
for (const [prototype, constructor] of [
    [FunctionC.prototype, plainFunction],
    [getPrototypeOf(async function () {}), function AsyncFunction() { noCode(); }],
    [getPrototypeOf(function* () {}), function GeneratorFunction() { noCode(); }],
    [getPrototypeOf(async function* () {}), function AsyncGeneratorFunction() { noCode(); }],
]) {
    defineProperty(constructor, "prototype", { __proto__: null, value: prototype, writable: false });
    if (constructor !== plainFunction) setPrototypeOf(constructor, plainFunction);
    defineProperty(prototype, "constructor", { __proto__: null, value: freeze(constructor) });
}
define("Function", plainFunction);
define("eval", freeze({ eval(source) { return typeof source === "string" ? noCode() : source; } }.eval));

// ---- Console -----------------------------------------------------------------------------------------------------

const MOST_DEPTH = 4;
const MOST_ITEMS = 50;

/** A value as text for people. Never throws: what cannot be read is named instead. */
const inspect = (value, depth, seen) => {
    switch (typeof value) {
        case "string": return depth === 0 ? value : stringify(value);
        case "bigint": return `${bigIntToString(value)}n`;
        case "symbol": return symbolToString(value);
        case "function": return "[function]";
        case "object": break;
        default: return `${value}`;
    }
    if (value === null) return "null";
    try {
        if (isError(value)) {
            const stack = value.stack;
            return errorToString(value) + (typeof stack === "string" && stack ? `\n${stack}` : "");
        }
        if (setHas(seen, value)) return "[circular]";
        if (depth > MOST_DEPTH) return "[…]";
        setAdd(seen, value);
        const parts = bareList();
        let open = "{ ";
        let close = " }";
        let left = 0;
        if (isView(value)) {
            const tag = typedArrayTag(value);
            if (tag === undefined) return "[DataView]";
            const length = typedArrayLength(value);
            for (let i = 0; i < min(length, MOST_ITEMS); i++) push(parts, inspect(value[i], depth + 1, seen));
            left = length - parts.length;
            open = `${tag}(${length}) [ `;
            close = " ]";
        } else if (isArray(value)) {
            const length = value.length;
            for (let i = 0; i < min(length, MOST_ITEMS); i++) push(parts, inspect(value[i], depth + 1, seen));
            left = length - parts.length;
            open = "[ ";
            close = " ]";
        } else {
            const tag = objectToString(value);
            if (tag === "[object Date]") return dateToISO(value);
            if (tag === "[object RegExp]") return regExpToString(value);
            if (tag === "[object Promise]") return "[promise]";
            if (tag === "[object Map]" && value instanceof MapC) {
                mapForEach(value, (item, key) => {
                    if (parts.length < MOST_ITEMS) push(parts, `${inspect(key, depth + 1, seen)} => ${inspect(item, depth + 1, seen)}`);
                });
                left = mapSize(value) - parts.length;
                open = `Map(${mapSize(value)}) { `;
            } else if (tag === "[object Set]" && value instanceof SetC) {
                setForEach(value, (item) => { if (parts.length < MOST_ITEMS) push(parts, inspect(item, depth + 1, seen)); });
                left = setSize(value) - parts.length;
                open = `Set(${setSize(value)}) { `;
            } else {
                const names = keys(value);
                for (let i = 0; i < min(names.length, MOST_ITEMS); i++) {
                    push(parts, `${names[i]}: ${inspect(value[names[i]], depth + 1, seen)}`);
                }
                left = names.length - parts.length;
            }
        }
        if (left > 0) push(parts, `… ${left} more`);
        setDelete(seen, value);
        return parts.length ? open + join(parts, ", ") + close : trim(open) + trim(close);
    } catch {
        return "[unreadable]";
    }
};
const LEVELS = { __proto__: null, debug: 0, trace: 0, log: 1, info: 1, dir: 1, table: 1, warn: 2, error: 3 };
/** `%s` and its like of a first text take the values behind it, as the Console standard says. */
const format = (values) => {
    if (values.length < 2 || typeof values[0] !== "string" || indexOf(values[0], "%") === -1) return values;
    const template = values[0];
    let text = "";
    let next = 1;
    let i = 0;
    for (; i < template.length; i++) {
        const kind = template[i] === "%" ? template[i + 1] : undefined;
        if (kind === "%") text += "%";
        else if (kind === undefined || next >= values.length || indexOf("sdifoOc", kind) === -1) {
            text += template[i];
            continue;
        } else {
            const value = values[next++];
            if (kind === "s") text += typeof value === "object" && value !== null ? inspect(value, 1, new SetC()) : inspect(value, 0, new SetC());
            else if (kind === "o" || kind === "O") text += inspect(value, 1, new SetC());
            else if (kind !== "c") text += typeof value === "symbol" || typeof value === "object" ? "NaN" : kind === "f" ? `${toFloat(value)}` : `${toInt(value, 10)}`;
        }
        i++;
    }
    const rest = copyList([text]);
    for (; next < values.length; next++) push(rest, values[next]);
    return rest;
};
let indent = "";
const indented = (text) => {
    let out = indent;
    for (let i = 0; i < text.length; i++) out += text[i] === "\n" ? `\n${indent}` : text[i];
    return out;
};
const log = (level, values) => {
    values = format(values);
    const parts = bareList();
    for (let i = 0; i < values.length; i++) push(parts, inspect(values[i], 0, new SetC()));
    const text = join(parts, " ");
    native.log(level, wellFormed(indent === "" ? text : indented(text)));
};
const labelled = (first, values) => {
    const list = copyList([first]);
    for (let i = 0; i < values.length; i++) push(list, values[i]);
    return list;
};
const MOST_INDENT = 32;
const MOST_LABELS = 100;
const counts = new MapC();
const begun = new MapC();
const label = (text) => (text === undefined ? "default" : `${text}`);
const elapsed = (name, values) => {
    const since = mapGet(begun, name);
    if (since === undefined) return log(2, [`there is no timer ${name}`]);
    log(1, labelled(`${name}: ${dateNow() - since} ms`, values));
};
const consoleObject = { __proto__: null };
for (const name of keys(LEVELS)) {
    consoleObject[name] = freeze({ [name](...values) { log(LEVELS[name], values); } }[name]);
}
const consoleMethods = {
    assert(condition = false, ...values) { if (!condition) log(3, labelled("Assertion failed:", values)); },
    group(...values) {
        if (values.length) log(1, values);
        if (indent.length < MOST_INDENT) indent += "  ";
    },
    groupCollapsed(...values) { apply(consoleMethods.group, undefined, values); },
    groupEnd() { indent = slice(indent, 2); },
    count(name = undefined) {
        name = label(name);
        const count = (mapGet(counts, name) ?? 0) + 1;
        if (count > 1 || mapSize(counts) < MOST_LABELS) mapSet(counts, name, count);
        log(1, [`${name}: ${count}`]);
    },
    countReset(name = undefined) { mapDelete(counts, label(name)); },
    time(name = undefined) {
        name = label(name);
        if (!mapHas(begun, name) && mapSize(begun) < MOST_LABELS) mapSet(begun, name, dateNow());
    },
    timeLog(name = undefined, ...values) { elapsed(label(name), values); },
    timeEnd(name = undefined) {
        elapsed(label(name), []);
        mapDelete(begun, label(name));
    },
    clear() {},
};
for (const name of keys(consoleMethods)) consoleObject[name] = freeze(consoleMethods[name]);
define("console", freeze(consoleObject));

// ---- Timers ------------------------------------------------------------------------------------------------------

const LONGEST_DELAY = 2 ** 31 - 1;
const timers = new MapC();
let lastTimer = 0;
const startTimer = (callback, delay, values, repeat) => {
    if (typeof callback !== "function") throw new TypeErrorC("a timer needs a function");
    // Web IDL's `long`; the embedder's own least delay is one millisecond.
    delay = max(+delay | 0, 1);
    // Intervals below ten milliseconds only burn the turn budget of everybody.
    if (repeat) delay = max(delay, 10);
    do lastTimer = lastTimer % LONGEST_DELAY + 1; while (mapHas(timers, lastTimer));
    const id = lastTimer;
    native.timer(id, delay);
    mapSet(timers, id, { __proto__: null, callback, delay, values, repeat });
    return id;
};
const stopTimer = (id) => { id = +id | 0; if (mapDelete(timers, id)) native.clearTimer(id); };
const onTimer = (id) => {
    const timer = mapGet(timers, id);
    if (timer === undefined) return;
    if (timer.repeat) native.timer(id, timer.delay);
    else mapDelete(timers, id);
    apply(timer.callback, globalThisC, timer.values);
};
define("setTimeout", freeze(function setTimeout(callback, delay = 0, ...values) { need(arguments.length, 1); return startTimer(callback, delay, values, false); }));
define("setInterval", freeze(function setInterval(callback, delay = 0, ...values) { need(arguments.length, 1); return startTimer(callback, delay, values, true); }));
define("clearTimeout", freeze(function clearTimeout(id = 0) { stopTimer(id); }));
define("clearInterval", freeze(function clearInterval(id = 0) { stopTimer(id); }));

// ---- Randomness --------------------------------------------------------------------------------------------------

const INTEGER_ARRAYS = { __proto__: null, Int8Array: 1, Uint8Array: 1, Uint8ClampedArray: 1, Int16Array: 2, Uint16Array: 2, Int32Array: 4, Uint32Array: 4, BigInt64Array: 8, BigUint64Array: 8 };
/** Web Crypto's own limit for one call. */
const MOST_RANDOM = 65536;
const randomBytes = (length) => {
    const bytes = new Uint8ArrayC(length);
    native.random(bytes);
    return bytes;
};
const hexDigits = (bytes, start, end) => {
    let text = "";
    for (let i = start; i < end; i++) text += padStart(numberToString(bytes[i], 16), 2, "0");
    return text;
};
const cryptoObject = {
    __proto__: null,
    getRandomValues: freeze(function getRandomValues(array) {
        if (!isView(array)) throw new TypeErrorC("getRandomValues needs an integer typed array");
        if (INTEGER_ARRAYS[typedArrayTag(array)] === undefined) throw new DOMExceptionC("getRandomValues needs an integer typed array", "TypeMismatchError");
        const length = byteLengthOf(array);
        if (length > MOST_RANDOM) throw new DOMExceptionC(`at most ${MOST_RANDOM} bytes at once`, "QuotaExceededError");
        native.random(new Uint8ArrayC(bufferOf(array), byteOffsetOf(array), length));
        return array;
    }),
    randomUUID: freeze(function randomUUID() {
        const bytes = randomBytes(16);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        return `${hexDigits(bytes, 0, 4)}-${hexDigits(bytes, 4, 6)}-${hexDigits(bytes, 6, 8)}-${hexDigits(bytes, 8, 10)}-${hexDigits(bytes, 10, 16)}`;
    }),
};
// The prelude may add to it (the embedder's own crypto); `seal` freezes it before the script runs.
define("crypto", cryptoObject);

// The engine seeds its own generator with the time, which is coarse here and known outside.
let pool = new Uint8ArrayC(0);
let used = 0;
defineProperty(Math, "random", {
    __proto__: null,
    value: freeze(function random() {
        if (used === typedArrayLength(pool)) {
            pool = randomBytes(448);
            used = 0;
        }
        let bits = 0;
        for (let i = 0; i < 6; i++) bits = bits * 256 + pool[used++];
        bits = bits * 32 + (pool[used++] & 31);
        return bits / 2 ** 53;
    }),
    writable: true,
    configurable: true,
});
