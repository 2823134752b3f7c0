
// structuredClone, by the HTML standard. Continues url.js.

const refuse = (what) => { throw new DOMExceptionC(`${what} cannot be cloned`, "DataCloneError"); };
/** What a value is, told by what only the real thing can answer: tags and prototypes are the script's own. */
const brand = (get, value) => { try { get(value); return true; } catch { return false; } };
const brands = [
    ["a WeakMap", (value) => weakMapHas(value, allowed)], ["a WeakSet", (value) => weakSetHas(value, allowed)], ["a WeakRef", weakRefDeref],
    ["a symbol", symbolValue],
];
const cloneProperties = (from, to, seen) => {
    const names = keys(from);
    for (let i = 0; i < names.length; i++) {
        // A getter that ran before may have deleted it.
        if (i > 0 && !hasOwn(from, names[i])) continue;
        defineProperty(to, names[i], { __proto__: null, value: clone(from[names[i]], seen), writable: true, enumerable: true, configurable: true });
    }
    return to;
};
const hidden = (object, name, value) => defineProperty(object, name, { __proto__: null, value, writable: true, enumerable: false, configurable: true });
const cloneBuffer = (buffer, seen) => {
    if (mapHas(seen, buffer)) return mapGet(seen, buffer);
    if (bufferDetached(buffer)) refuse("a detached ArrayBuffer");
    const copy = bufferResizable(buffer)
        ? new ArrayBufferC(arrayBufferLength(buffer), { __proto__: null, maxByteLength: bufferMost(buffer) })
        : new ArrayBufferC(arrayBufferLength(buffer));
    setBytes(new Uint8ArrayC(copy), new Uint8ArrayC(buffer));
    mapSet(seen, buffer, copy);
    return copy;
};
const cloneError = (value, known) => {
    const name = value.name;
    const Type = errorTypes[name === undefined ? "Error" : `${name}`] ?? ErrorC;
    const message = getOwnPropertyDescriptor(value, "message");
    const copy = known(message !== undefined && "value" in message ? new Type(`${message.value}`) : new Type());
    const stack = value.stack;
    if (typeof stack === "string") hidden(copy, "stack", stack);
    return copy;
};
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
    if (brand(arrayBufferLength, value)) return cloneBuffer(value, seen);
    if (isView(value)) {
        const tag = typedArrayTag(value);
        const source = tag === undefined ? viewBufferOf(value) : bufferOf(value);
        const buffer = clone(source, seen);
        if (tag === undefined) return known(new DataViewC(buffer, viewOffsetOf(value), viewLengthOf(value)));
        return known(new typedArrays[tag](buffer, byteOffsetOf(value), typedArrayLength(value)));
    }
    if (brand(dateTime, value)) return known(new DateC(dateTime(value)));
    if (brand(mapSize, value)) {
        const copy = known(new MapC());
        const pairs = bareList();
        mapForEach(value, (item, key) => { push(pairs, key); push(pairs, item); });
        for (let i = 0; i < pairs.length; i += 2) mapSet(copy, clone(pairs[i], seen), clone(pairs[i + 1], seen));
        return copy;
    }
    if (brand(setSize, value)) {
        const copy = known(new SetC());
        const items = bareList();
        setForEach(value, (item) => push(items, item));
        for (let i = 0; i < items.length; i++) setAdd(copy, clone(items[i], seen));
        return copy;
    }
    if (value !== RegExpPrototype && brand(regExpSource, value)) return known(new RegExpC(regExpSource(value), regExpFlags(value)));
    if (brand(numberValue, value)) return known(new NumberC(numberValue(value)));
    if (brand(stringValue, value)) return known(new StringC(stringValue(value)));
    if (brand(booleanValue, value)) return known(new BooleanC(booleanValue(value)));
    if (brand(bigIntValue, value)) return known(ObjectC(bigIntValue(value)));
    if (brand(exceptionName, value)) {
        const copy = known(new DOMExceptionC(exceptionMessage(value), exceptionName(value)));
        const stack = value.stack;
        if (typeof stack === "string") hidden(copy, "stack", stack);
        return copy;
    }
    if (isError(value)) return cloneError(value, known);
    for (let i = 0; i < brands.length; i++) if (brand(brands[i][1], value)) refuse(brands[i][0]);
    if (isTarget(value) || isEvent(value) || isURL(value)) refuse("an object of the platform");
    switch (objectToString(value)) {
        case "[object Promise]": case "[object Generator]": case "[object FinalizationRegistry]": return refuse("this object");
    }
    return cloneProperties(value, known({}), seen);
};
/** Buffers that nobody but their memory may detach (webassembly.js). */
const memoryBuffers = new WeakSet();
define("structuredClone", freeze(function structuredClone(value, options = undefined) {
    need(arguments.length, 1);
    const { transfer } = dictionary(options, "the second argument");
    const list = transfer === undefined ? [] : [...transfer];
    const seen = new MapC();
    for (let i = 0; i < list.length; i++) {
        if (typeof list[i] !== "object" || list[i] === null || !brand(arrayBufferLength, list[i])) refuse("only an ArrayBuffer can be transferred; this value");
        if (bufferDetached(list[i])) refuse("a detached ArrayBuffer");
        if (weakSetHas(memoryBuffers, list[i])) refuse("the buffer of a WebAssembly.Memory");
        if (mapHas(seen, list[i])) refuse("a buffer that is transferred twice");
        mapSet(seen, list[i], list[i]);
    }
    // First the copy, then the originals are detached: a value that cannot be cloned detaches nothing.
    const copy = clone(value, new MapC());
    for (let i = 0; i < list.length; i++) transferBuffer(list[i]);
    return copy;
}));
