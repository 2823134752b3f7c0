
// Events, aborting, URLs, structuredClone. Continues basics.js.

// ---- Events and aborting -----------------------------------------------------------------------------------------

class Event {
    #type;
    constructor(type) { this.#type = `${type}`; }
    get type() { return this.#type; }
    target = null;
    defaultPrevented = false;
    preventDefault() { this.defaultPrevented = true; }
}
define("Event", frozenClass(Event, "Event"));

class EventTarget {
    #listeners = [];
    addEventListener(type, listener, options) {
        if (listener === null || listener === undefined) return;
        const once = typeof options === "object" && options !== null && !!options.once;
        for (let i = 0; i < this.#listeners.length; i++) {
            const known = this.#listeners[i];
            if (known.type === type && known.listener === listener) return;
        }
        push(this.#listeners, { __proto__: null, type: `${type}`, listener, once });
    }
    removeEventListener(type, listener) {
        const kept = [];
        for (let i = 0; i < this.#listeners.length; i++) {
            const known = this.#listeners[i];
            if (known.type !== type || known.listener !== listener) push(kept, known);
        }
        this.#listeners = kept;
    }
    dispatchEvent(event) {
        event.target = this;
        const now = sliceArray(this.#listeners);
        for (let i = 0; i < now.length; i++) {
            const { type, listener, once } = now[i];
            if (type !== event.type) continue;
            if (once) this.removeEventListener(type, listener);
            if (typeof listener === "function") apply(listener, this, [event]);
            else listener.handleEvent(event);
        }
        return !event.defaultPrevented;
    }
}
define("EventTarget", frozenClass(EventTarget, "EventTarget"));

let makeSignal;
let abortSignal;
const aborted = () => new DOMExceptionC("the operation was aborted", "AbortError");
class AbortSignal extends EventTarget {
    #aborted = false;
    #reason = undefined;
    #onabort = null;
    static #allowed = false;
    static {
        makeSignal = () => {
            AbortSignal.#allowed = true;
            try { return new AbortSignal(); } finally { AbortSignal.#allowed = false; }
        };
        abortSignal = (signal, reason) => {
            if (signal.#aborted) return;
            signal.#aborted = true;
            signal.#reason = reason === undefined ? aborted() : reason;
            const event = new Event("abort");
            if (typeof signal.#onabort === "function") apply(signal.#onabort, signal, [event]);
            signal.dispatchEvent(event);
        };
    }
    constructor() {
        if (!AbortSignal.#allowed) throw new TypeErrorC("use an AbortController");
        super();
    }
    get aborted() { return this.#aborted; }
    get reason() { return this.#reason; }
    get onabort() { return this.#onabort; }
    set onabort(listener) { this.#onabort = listener; }
    throwIfAborted() { if (this.#aborted) throw this.#reason; }
    static abort(reason) {
        const signal = makeSignal();
        abortSignal(signal, reason);
        return signal;
    }
    static timeout(milliseconds) {
        const signal = makeSignal();
        startTimer(() => abortSignal(signal, new DOMExceptionC("the operation took too long", "TimeoutError")), milliseconds, [], false);
        return signal;
    }
    static any(signals) {
        const signal = makeSignal();
        for (const source of signals) {
            if (source.aborted) {
                abortSignal(signal, source.reason);
                break;
            }
            source.addEventListener("abort", () => abortSignal(signal, source.reason), { once: true });
        }
        return signal;
    }
}
define("AbortSignal", frozenClass(AbortSignal, "AbortSignal"));

class AbortController {
    #signal = makeSignal();
    get signal() { return this.#signal; }
    abort(reason) { abortSignal(this.#signal, reason); }
}
define("AbortController", frozenClass(AbortController, "AbortController"));

// ---- URLs: the host's parser, which follows the URL standard -----------------------------------------------------

const SERVICE = 1;
/** Asks the sandbox itself (not the embedder); texts only, so that no `toJSON` of the script is asked. */
const service = (name, texts) => {
    let list = "";
    for (let i = 0; i < texts.length; i++) list += (i ? "," : "") + stringify(wellFormed(`${texts[i]}`));
    return native.call(SERVICE, name, `[${list}]`);
};

let follow;
class URLSearchParams {
    #pairs = [];
    #changed = null;
    static {
        /** The parameters of a URL: `changed(text)` is called after each change of theirs. */
        follow = (params, text, changed) => {
            params.#changed = changed;
            params.#pairs = parse(service("form.parse", [text]));
        };
    }
    constructor(init = "") {
        if (typeof init === "object" && init !== null) {
            if (typeof init[SymbolIterator] === "function") {
                for (const pair of init) {
                    const both = [...pair];
                    if (both.length !== 2) throw new TypeErrorC("each parameter is a pair of name and value");
                    push(this.#pairs, [wellFormed(`${both[0]}`), wellFormed(`${both[1]}`)]);
                }
            } else {
                const names = keys(init);
                for (let i = 0; i < names.length; i++) push(this.#pairs, [wellFormed(names[i]), wellFormed(`${init[names[i]]}`)]);
            }
            return;
        }
        const text = `${init}`;
        this.#pairs = parse(service("form.parse", [text[0] === "?" ? slice(text, 1) : text]));
    }
    #update() { if (this.#changed) this.#changed(this.toString()); }
    get size() { return this.#pairs.length; }
    append(name, value) {
        push(this.#pairs, [wellFormed(`${name}`), wellFormed(`${value}`)]);
        this.#update();
    }
    delete(name, value) {
        const kept = [];
        for (let i = 0; i < this.#pairs.length; i++) {
            const pair = this.#pairs[i];
            if (pair[0] !== `${name}` || (value !== undefined && pair[1] !== `${value}`)) push(kept, pair);
        }
        this.#pairs = kept;
        this.#update();
    }
    get(name) {
        for (let i = 0; i < this.#pairs.length; i++) if (this.#pairs[i][0] === `${name}`) return this.#pairs[i][1];
        return null;
    }
    getAll(name) {
        const found = [];
        for (let i = 0; i < this.#pairs.length; i++) if (this.#pairs[i][0] === `${name}`) push(found, this.#pairs[i][1]);
        return found;
    }
    has(name, value) {
        for (let i = 0; i < this.#pairs.length; i++) {
            const pair = this.#pairs[i];
            if (pair[0] === `${name}` && (value === undefined || pair[1] === `${value}`)) return true;
        }
        return false;
    }
    set(name, value) {
        const kept = [];
        let done = false;
        for (let i = 0; i < this.#pairs.length; i++) {
            const pair = this.#pairs[i];
            if (pair[0] !== `${name}`) push(kept, pair);
            else if (!done) {
                push(kept, [pair[0], wellFormed(`${value}`)]);
                done = true;
            }
        }
        if (!done) push(kept, [wellFormed(`${name}`), wellFormed(`${value}`)]);
        this.#pairs = kept;
        this.#update();
    }
    sort() {
        sort(this.#pairs, (a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
        this.#update();
    }
    forEach(callback, self) {
        for (let i = 0; i < this.#pairs.length; i++) apply(callback, self, [this.#pairs[i][1], this.#pairs[i][0], this]);
    }
    *entries() { for (let i = 0; i < this.#pairs.length; i++) yield [this.#pairs[i][0], this.#pairs[i][1]]; }
    *keys() { for (let i = 0; i < this.#pairs.length; i++) yield this.#pairs[i][0]; }
    *values() { for (let i = 0; i < this.#pairs.length; i++) yield this.#pairs[i][1]; }
    [SymbolIterator]() { return this.entries(); }
    toString() {
        const texts = [];
        for (let i = 0; i < this.#pairs.length; i++) {
            push(texts, this.#pairs[i][0]);
            push(texts, this.#pairs[i][1]);
        }
        return service("form.serialize", texts);
    }
}
define("URLSearchParams", frozenClass(URLSearchParams, "URLSearchParams"));

class URL {
    #parts;
    #params = null;
    constructor(url, base) {
        const answer = base === undefined ? service("url.parse", [`${url}`]) : service("url.parse", [`${url}`, `${base}`]);
        if (answer === "") throw new TypeErrorC(`not a valid URL: ${url}`);
        this.#parts = parse(answer);
    }
    static canParse(url, base) { return (base === undefined ? service("url.parse", [`${url}`]) : service("url.parse", [`${url}`, `${base}`])) !== ""; }
    static parse(url, base) { return URL.canParse(url, base) ? new URL(url, base) : null; }
    #set(name, value) {
        this.#parts = parse(service(`url.set.${name}`, [this.#parts.href, `${value}`]));
        if (this.#params) this.#follow();
    }
    #follow() {
        const text = this.#parts.search;
        follow(this.#params, text[0] === "?" ? slice(text, 1) : text, (query) => {
            this.#parts = parse(service("url.set.search", [this.#parts.href, query]));
        });
    }
    get searchParams() {
        if (!this.#params) {
            this.#params = new URLSearchParams();
            this.#follow();
        }
        return this.#params;
    }
    get href() { return this.#parts.href; }
    set href(value) {
        const answer = service("url.parse", [`${value}`]);
        if (answer === "") throw new TypeErrorC(`not a valid URL: ${value}`);
        this.#parts = parse(answer);
        if (this.#params) this.#follow();
    }
    get origin() { return this.#parts.origin; }
    get protocol() { return this.#parts.protocol; }
    set protocol(value) { this.#set("protocol", value); }
    get username() { return this.#parts.username; }
    set username(value) { this.#set("username", value); }
    get password() { return this.#parts.password; }
    set password(value) { this.#set("password", value); }
    get host() { return this.#parts.host; }
    set host(value) { this.#set("host", value); }
    get hostname() { return this.#parts.hostname; }
    set hostname(value) { this.#set("hostname", value); }
    get port() { return this.#parts.port; }
    set port(value) { this.#set("port", value); }
    get pathname() { return this.#parts.pathname; }
    set pathname(value) { this.#set("pathname", value); }
    get search() { return this.#parts.search; }
    set search(value) { this.#set("search", value); }
    get hash() { return this.#parts.hash; }
    set hash(value) { this.#set("hash", value); }
    toString() { return this.#parts.href; }
    toJSON() { return this.#parts.href; }
}
define("URL", frozenClass(URL, "URL"));

// ---- structuredClone ---------------------------------------------------------------------------------------------

const refuse = (what) => { throw new DOMExceptionC(`${what} cannot be cloned`, "DataCloneError"); };
const cloneProperties = (from, to, seen) => {
    const names = keys(from);
    for (let i = 0; i < names.length; i++) {
        defineProperty(to, names[i], { __proto__: null, value: clone(from[names[i]], seen), writable: true, enumerable: true, configurable: true });
    }
    return to;
};
const brand = (get, value) => { try { get(value); return true; } catch { return false; } };
const clone = (value, seen) => {
    if (typeof value === "function" || typeof value === "symbol") refuse(`a ${typeof value}`);
    if (typeof value !== "object" || value === null) return value;
    if (mapHas(seen, value)) return mapGet(seen, value);
    const known = (copy) => { mapSet(seen, value, copy); return copy; };
    if (isArray(value)) {
        const copy = known(new ArrayC());
        copy.length = value.length;
        return cloneProperties(value, copy, seen);
    }
    if (brand(arrayBufferLength, value)) return known(arrayBufferSlice(value, 0));
    if (isView(value)) {
        const tag = typedArrayTag(value);
        if (tag === undefined) return known(new DataViewC(clone(viewBufferOf(value), seen), viewOffsetOf(value), viewLengthOf(value)));
        return known(new typedArrays[tag](clone(bufferOf(value), seen), byteOffsetOf(value), typedArrayLength(value)));
    }
    if (brand(dateTime, value)) return known(new DateC(dateTime(value)));
    if (brand(mapSize, value)) {
        const copy = known(new MapC());
        const pairs = [];
        mapForEach(value, (item, key) => { push(pairs, key); push(pairs, item); });
        for (let i = 0; i < pairs.length; i += 2) mapSet(copy, clone(pairs[i], seen), clone(pairs[i + 1], seen));
        return copy;
    }
    if (brand(setSize, value)) {
        const copy = known(new SetC());
        const items = [];
        setForEach(value, (item) => push(items, item));
        for (let i = 0; i < items.length; i++) setAdd(copy, clone(items[i], seen));
        return copy;
    }
    if (isError(value)) {
        const Type = errorTypes[`${value.name}`] ?? ErrorC;
        const copy = known(new Type(`${value.message}`));
        defineProperty(copy, "stack", { __proto__: null, value: `${value.stack}`, writable: true, enumerable: false, configurable: true });
        if (hasOwn(value, "cause")) {
            defineProperty(copy, "cause", { __proto__: null, value: clone(value.cause, seen), writable: true, enumerable: false, configurable: true });
        }
        return copy;
    }
    switch (objectToString(value)) {
        case "[object RegExp]": return known(new RegExpC(regExpSource(value), regExpFlags(value)));
        case "[object Number]": return known(ObjectC(+value));
        case "[object String]": return known(ObjectC(`${value}`));
        case "[object Boolean]": return known(ObjectC(value.valueOf()));
        case "[object Promise]": case "[object WeakMap]": case "[object WeakSet]": case "[object WeakRef]": return refuse("this object");
    }
    return cloneProperties(value, known({}), seen);
};
define("structuredClone", freeze(function structuredClone(value, options) {
    if (options?.transfer?.length) refuse("a transfer list is not supported here: the value");
    return clone(value, new MapC());
}));
