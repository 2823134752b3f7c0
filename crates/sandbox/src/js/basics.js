
// Console, timers, randomness, text. Continues primordials.js.

const define = (name, value) => defineProperty(globalThis, name, { __proto__: null, value, writable: true, enumerable: false, configurable: true });
/** A class of ours: nothing a script does to it may change what another part of the script, or the glue, relies on. */
const frozenClass = (Class, tag) => {
    if (tag) defineProperty(Class.prototype, SymbolToStringTag, { __proto__: null, value: tag });
    freeze(Class.prototype);
    return freeze(Class);
};

// Call sites would hand the script the function objects of the glue that called it.
defineProperty(ErrorC, "prepareStackTrace", { __proto__: null, value: undefined, writable: false, configurable: false });
// The web's other name of the global object: packages that are older than `globalThis` look for it.
define("self", globalThis);
// No second clock, and none that is finer than Date.
delete globalThis.performance;

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
        const parts = [];
        let [open, close] = ["{ ", " }"];
        let left = 0;
        if (isView(value)) {
            const tag = typedArrayTag(value);
            if (tag === undefined) return "[DataView]";
            const length = typedArrayLength(value);
            for (let i = 0; i < min(length, MOST_ITEMS); i++) push(parts, inspect(value[i], depth + 1, seen));
            left = length - parts.length;
            [open, close] = [`${tag}(${length}) [ `, " ]"];
        } else if (isArray(value)) {
            const length = value.length;
            for (let i = 0; i < min(length, MOST_ITEMS); i++) push(parts, inspect(value[i], depth + 1, seen));
            left = length - parts.length;
            [open, close] = ["[ ", " ]"];
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
const log = (level, values) => {
    const parts = [];
    for (let i = 0; i < values.length; i++) push(parts, inspect(values[i], 0, new SetC()));
    native.log(level, wellFormed(join(parts, " ")));
};
const consoleObject = { __proto__: null };
for (const name of keys(LEVELS)) {
    consoleObject[name] = freeze({ [name](...values) { log(LEVELS[name], values); } }[name]);
}
consoleObject.assert = freeze((condition, ...values) => { if (!condition) log(3, ["Assertion failed:", ...values]); });
define("console", freeze(consoleObject));

// ---- Timers ------------------------------------------------------------------------------------------------------

const LONGEST_DELAY = 2 ** 31 - 1;
const timers = new MapC();
let lastTimer = 0;
const startTimer = (callback, delay, values, repeat) => {
    if (typeof callback !== "function") throw new TypeErrorC("a timer needs a function");
    delay = trunc(+delay);
    if (!(delay >= 1)) delay = 1;
    if (delay > LONGEST_DELAY) delay = LONGEST_DELAY;
    // Intervals below ten milliseconds only burn the turn budget of everybody.
    if (repeat) delay = max(delay, 10);
    do lastTimer = lastTimer % LONGEST_DELAY + 1; while (mapHas(timers, lastTimer));
    const id = lastTimer;
    native.timer(id, delay);
    mapSet(timers, id, { __proto__: null, callback, delay, values, repeat });
    return id;
};
const stopTimer = (id) => { if (mapDelete(timers, id)) native.clearTimer(id); };
const onTimer = (id) => {
    const timer = mapGet(timers, id);
    if (timer === undefined) return;
    if (timer.repeat) native.timer(id, timer.delay);
    else mapDelete(timers, id);
    apply(timer.callback, undefined, timer.values);
};
define("setTimeout", freeze(function setTimeout(callback, delay = 0, ...values) { return startTimer(callback, delay, values, false); }));
define("setInterval", freeze(function setInterval(callback, delay = 0, ...values) { return startTimer(callback, delay, values, true); }));
define("clearTimeout", freeze(function clearTimeout(id) { stopTimer(id); }));
define("clearInterval", freeze(function clearInterval(id) { stopTimer(id); }));

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
        if (!isView(array) || INTEGER_ARRAYS[typedArrayTag(array)] === undefined) throw new TypeErrorC("getRandomValues needs an integer typed array");
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

// ---- Text --------------------------------------------------------------------------------------------------------

const bytesOf = (source) => {
    if (source === undefined) return new Uint8ArrayC(0);
    if (isView(source)) {
        return typedArrayTag(source) === undefined
            ? new Uint8ArrayC(viewBufferOf(source), viewOffsetOf(source), viewLengthOf(source))
            : new Uint8ArrayC(bufferOf(source), byteOffsetOf(source), byteLengthOf(source));
    }
    return new Uint8ArrayC(arrayBufferSlice(source, 0)); // throws TypeError when it is no ArrayBuffer
};

class TextEncoder {
    get encoding() { return "utf-8"; }
    encode(text = "") { return native.encode(wellFormed(`${text}`)); }
    encodeInto(text, target) {
        if (typedArrayTag(target) !== "Uint8Array") throw new TypeErrorC("encodeInto needs a Uint8Array");
        text = wellFormed(`${text}`);
        const room = typedArrayLength(target);
        let read = 0;
        let written = 0;
        while (read < text.length) {
            const unit = charCodeAt(text, read);
            const units = unit >= 0xd800 && unit < 0xdc00 ? 2 : 1;
            const size = unit < 0x80 ? 1 : unit < 0x800 ? 2 : units === 2 ? 4 : 3;
            if (written + size > room) break;
            setBytes(target, native.encode(slice(text, read, read + units)), written);
            read += units;
            written += size;
        }
        return { read, written };
    }
}
define("TextEncoder", frozenClass(TextEncoder, "TextEncoder"));

class TextDecoder {
    #fatal;
    #ignoreBom;
    #rest = new Uint8ArrayC(0);
    #started = false;
    constructor(label = "utf-8", options = {}) {
        const name = lowerCase(trim(`${label}`));
        if (name !== "utf-8" && name !== "utf8" && name !== "unicode-1-1-utf-8") throw new RangeErrorC(`the encoding ${label} is not known here, only utf-8`);
        this.#fatal = !!options?.fatal;
        this.#ignoreBom = !!options?.ignoreBOM;
    }
    get encoding() { return "utf-8"; }
    get fatal() { return this.#fatal; }
    get ignoreBOM() { return this.#ignoreBom; }
    decode(source, options = {}) {
        const stream = !!options?.stream;
        let bytes = bytesOf(source);
        const kept = typedArrayLength(this.#rest);
        if (kept) {
            const joined = new Uint8ArrayC(kept + typedArrayLength(bytes));
            setBytes(joined, this.#rest);
            setBytes(joined, bytes, kept);
            bytes = joined;
        }
        const decoded = native.decode(bytes, this.#fatal, stream);
        if (decoded === null) {
            this.#rest = new Uint8ArrayC(0);
            this.#started = false;
            throw new TypeErrorC("the bytes are not valid UTF-8");
        }
        let text = decoded[0];
        this.#rest = stream ? new Uint8ArrayC(arrayBufferSlice(bufferOf(bytes), byteOffsetOf(bytes) + decoded[1], byteOffsetOf(bytes) + byteLengthOf(bytes))) : new Uint8ArrayC(0);
        if (!this.#started && text !== "") {
            if (!this.#ignoreBom && charCodeAt(text, 0) === 0xfeff) text = slice(text, 1);
            this.#started = true;
        }
        if (!stream) this.#started = false;
        return text;
    }
}
define("TextDecoder", frozenClass(TextDecoder, "TextDecoder"));
