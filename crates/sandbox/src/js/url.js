
// URL and URLSearchParams. Continues events.js. The host's parser follows the URL standard.

const SERVICE = 1;
/** Asks the sandbox itself (not the embedder); texts only, so that no `toJSON` of the script is asked. */
const service = (name, texts) => {
    let list = "";
    for (let i = 0; i < texts.length; i++) list += (i ? "," : "") + stringify(wellFormed(`${texts[i]}`));
    return native.call(SERVICE, name, `[${list}]`);
};

const pairOf = (name, value) => ({ __proto__: null, name, value });
const pairsOf = (text) => {
    const pairs = bareList();
    const list = parse(service("form.parse", [text]));
    for (let i = 0; i < list.length; i++) push(pairs, pairOf(list[i][0], list[i][1]));
    return pairs;
};
const append = (list, value) => defineProperty(list, list.length, { __proto__: null, value, writable: true, enumerable: true, configurable: true });

// What `entries`, `keys` and `values` give: alive, it sees what is changed while it is walked.
let walk;
class ParametersIterator {
    #params;
    #at;
    #index = 0;
    static {
        walk = (params, at) => {
            const iterator = new ParametersIterator();
            iterator.#params = params;
            iterator.#at = at;
            return iterator;
        };
    }
    next() {
        const value = this.#at === null ? undefined : this.#at(this.#params, this.#index++);
        if (value === undefined) this.#at = null;
        return { value, done: value === undefined };
    }
}
defineProperty(ParametersIterator.prototype, "constructor", { __proto__: null, value: ObjectC });
setPrototypeOf(ParametersIterator.prototype, getPrototypeOf(getPrototypeOf([][SymbolIterator]())));
frozenClass(ParametersIterator, "URLSearchParams Iterator");

let follow;
let isURL;
/** Names and values as the standard wants them; too few arguments are told first. */
const scalar = (value) => wellFormed(`${value}`);
class URLSearchParams {
    #pairs = bareList();
    #changed = null;
    static {
        /** The parameters of a URL: `changed(text)` is called after each change of theirs. */
        follow = (params, text, changed) => {
            params.#changed = changed;
            params.#pairs = pairsOf(text);
        };
    }
    constructor(init = "") {
        if ((typeof init === "object" && init !== null) || typeof init === "function") {
            const iterator = init[SymbolIterator];
            if (iterator !== undefined && iterator !== null) {
                for (const pair of init) {
                    if ((typeof pair !== "object" || pair === null) && typeof pair !== "function") throw new TypeErrorC("each parameter is a pair of name and value");
                    const both = [...pair];
                    if (both.length !== 2) throw new TypeErrorC("each parameter is a pair of name and value");
                    push(this.#pairs, pairOf(scalar(both[0]), scalar(both[1])));
                }
            } else {
                const found = new MapC();
                const names = ownKeys(init);
                for (let i = 0; i < names.length; i++) {
                    const descriptor = getOwnPropertyDescriptor(init, names[i]);
                    if (descriptor !== undefined && descriptor.enumerable) mapSet(found, scalar(names[i]), scalar(init[names[i]]));
                }
                mapForEach(found, (value, name) => push(this.#pairs, pairOf(name, value)));
            }
            return;
        }
        const text = scalar(init);
        this.#pairs = pairsOf(text[0] === "?" ? slice(text, 1) : text);
    }
    /** Throws for another object, at once and not at the first step. */
    #own() { return this.#pairs && this; }
    #update() { if (this.#changed) this.#changed(this.#text()); }
    #text() {
        const texts = bareList();
        for (let i = 0; i < this.#pairs.length; i++) {
            push(texts, this.#pairs[i].name);
            push(texts, this.#pairs[i].value);
        }
        return service("form.serialize", texts);
    }
    get size() { return this.#pairs.length; }
    append(name, value) {
        need(arguments.length, 2);
        push(this.#pairs, pairOf(scalar(name), scalar(value)));
        this.#update();
    }
    delete(name, value = undefined) {
        need(arguments.length, 1);
        name = scalar(name);
        if (value !== undefined) value = scalar(value);
        // In place: an iterator may be walking the list.
        const pairs = this.#pairs;
        let left = 0;
        for (let i = 0; i < pairs.length; i++) {
            if (pairs[i].name !== name || (value !== undefined && pairs[i].value !== value)) pairs[left++] = pairs[i];
        }
        pairs.length = left;
        this.#update();
    }
    get(name) {
        need(arguments.length, 1);
        name = scalar(name);
        for (let i = 0; i < this.#pairs.length; i++) if (this.#pairs[i].name === name) return this.#pairs[i].value;
        return null;
    }
    getAll(name) {
        need(arguments.length, 1);
        name = scalar(name);
        const found = [];
        for (let i = 0; i < this.#pairs.length; i++) if (this.#pairs[i].name === name) append(found, this.#pairs[i].value);
        return found;
    }
    has(name, value = undefined) {
        need(arguments.length, 1);
        name = scalar(name);
        if (value !== undefined) value = scalar(value);
        for (let i = 0; i < this.#pairs.length; i++) {
            const pair = this.#pairs[i];
            if (pair.name === name && (value === undefined || pair.value === value)) return true;
        }
        return false;
    }
    set(name, value) {
        need(arguments.length, 2);
        name = scalar(name);
        value = scalar(value);
        const pairs = this.#pairs;
        let done = false;
        let left = 0;
        for (let i = 0; i < pairs.length; i++) {
            if (pairs[i].name !== name) pairs[left++] = pairs[i];
            else if (!done) {
                done = true;
                pairs[left++] = pairOf(name, value);
            }
        }
        pairs.length = left;
        if (!done) push(pairs, pairOf(name, value));
        this.#update();
    }
    sort() {
        sort(this.#pairs, (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
        this.#update();
    }
    forEach(callback, self = undefined) {
        need(arguments.length, 1);
        if (typeof callback !== "function") throw new TypeErrorC("forEach needs a function");
        for (let i = 0; i < this.#pairs.length; i++) apply(callback, self, [this.#pairs[i].value, this.#pairs[i].name, this]);
    }
    entries() { return walk(this.#own(), (params, i) => (i < params.#pairs.length ? [params.#pairs[i].name, params.#pairs[i].value] : undefined)); }
    keys() { return walk(this.#own(), (params, i) => (i < params.#pairs.length ? params.#pairs[i].name : undefined)); }
    values() { return walk(this.#own(), (params, i) => (i < params.#pairs.length ? params.#pairs[i].value : undefined)); }
    toString() { return this.#text(); }
}
defineProperty(URLSearchParams.prototype, SymbolIterator, { __proto__: null, value: URLSearchParams.prototype.entries, writable: true, configurable: true });
define("URLSearchParams", frozenClass(URLSearchParams, "URLSearchParams"));

class URL {
    #parts;
    #params = null;
    static { isURL = (value) => #parts in value; }
    constructor(url, base = undefined) {
        need(arguments.length, 1);
        const answer = base === undefined ? service("url.parse", [`${url}`]) : service("url.parse", [`${url}`, `${base}`]);
        if (answer === "") throw new TypeErrorC(`not a valid URL: ${url}`);
        this.#parts = parse(answer);
    }
    static canParse(url, base = undefined) {
        need(arguments.length, 1);
        return (base === undefined ? service("url.parse", [`${url}`]) : service("url.parse", [`${url}`, `${base}`])) !== "";
    }
    static parse(url, base = undefined) {
        need(arguments.length, 1);
        url = `${url}`;
        if (base !== undefined) base = `${base}`;
        return canParse(url, base) ? new URL(url, base) : null;
    }
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
const canParse = URL.canParse;
define("URL", frozenClass(URL, "URL"));

