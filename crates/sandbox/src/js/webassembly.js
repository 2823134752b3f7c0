
// The JavaScript WebAssembly API, for scripts that may have it. Continues clone.js.
//
// Modules, tables and globals are the host's (src/webassembly.rs) and known by number; a memory is an ordinary buffer
// in here, which the host's modules work in. Questions to the host and its answers are lists without a prototype.

const WEBASSEMBLY = 2;
const PAGE = 65536;
const MOST_PAGES = 65536;
const NOBODY = 4294967295;
/** The first argument of a constructor that is called from here. */
const INTERNAL = freeze({ __proto__: null });
const weakSetAdd = uncurry(WeakSet.prototype.add);
const scratch = new DataViewC(new ArrayBufferC(8));
const ofView = (name) => uncurry(DataViewC.prototype[name]);
const setters = {
    __proto__: null,
    i32: ofView("setInt32"), i64: ofView("setBigInt64"), f32: ofView("setFloat32"), f64: ofView("setFloat64"),
};
const getters = {
    __proto__: null,
    i32: ofView("getInt32"), i64: ofView("getBigInt64"), f32: ofView("getFloat32"), f64: ofView("getFloat64"),
};
const { asIntN: bigIntAsIntN } = BigIntC;
const getBits = ofView("getBigUint64");
const setBits = ofView("setBigUint64");

const wasmErrors = { __proto__: null, RangeError: RangeErrorC, TypeError: TypeErrorC };
for (const name of ["CompileError", "LinkError", "RuntimeError"]) {
    const Type = { [name]: function (message = undefined, options = undefined) {
        const target = new.target ?? Type;
        return primordials.ReflectConstruct(ErrorC, [message, options], target);
    } }[name];
    setPrototypeOf(Type, ErrorC);
    defineProperty(Type, "length", { __proto__: null, value: 1 });
    const prototype = create(ErrorC.prototype);
    hidden(prototype, "constructor", Type);
    hidden(prototype, "name", name);
    hidden(prototype, "message", "");
    defineProperty(Type, "prototype", { __proto__: null, value: freeze(prototype), writable: false });
    wasmErrors[name] = freeze(Type);
}
const { CompileError, LinkError, RuntimeError } = wasmErrors;

/** What the host's answer says, or the error that it is. */
const answered = (text) => {
    const answer = parse(text);
    if (answer[0] === "") return answer[1];
    if (answer[0] === "thrown") native.wasmThrown();
    throw new wasmErrors[answer[0]](answer[1]);
};
const asked = (name, ...list) => answered(native.call(WEBASSEMBLY, name, stringify(copyList(list))));
/** The same with bytes: the answer comes as bytes. */
const askedBytes = (name, bytes) => answered(native.decode(native.call(WEBASSEMBLY, name, bytes), false, false)[0]);

/** `[EnforceRange] unsigned long`. */
const unsigned = (value, what) => {
    const number = trunc(+value);
    if (!(number >= 0 && number <= 4294967295)) throw new TypeErrorC(`${what} must be a whole number of 32 bits`);
    return number + 0;
};
const bytesToCompile = (source) => {
    const isBytes = isView(source) || (typeof source === "object" && source !== null && brand(arrayBufferLength, source));
    if (!isBytes) throw new TypeErrorC("WebAssembly needs an ArrayBuffer, a typed array or a DataView");
    return bytesOf(source);
};
/** Initial and most, of a memory or a table. */
const sizes = (descriptor, what) => {
    const { maximum } = descriptor;
    let { initial } = descriptor;
    const { minimum } = descriptor;
    if (initial === undefined) initial = minimum;
    else if (minimum !== undefined) throw new TypeErrorC(`${what}: either initial or minimum`);
    if (initial === undefined) throw new TypeErrorC(`${what} needs an initial size`);
    const first = unsigned(initial, `${what}: initial`);
    const last = maximum === undefined ? null : unsigned(maximum, `${what}: maximum`);
    if (last !== null && last < first) throw new RangeErrorC(`${what}: the maximum is below the initial size`);
    return { __proto__: null, first, last };
};

// ---- Memories ----------------------------------------------------------------------------------------------------

/** By their numbers. */
const memoryRecords = bareList();
const pagesOf = (record) => arrayBufferLength(record.buffer) / PAGE;
/** Pages before, or -1. The old buffer is detached, as the standard says. */
const growMemory = (number, delta) => {
    const record = memoryRecords[number];
    const before = pagesOf(record);
    const after = before + delta;
    if (after > (record.maximum ?? MOST_PAGES)) return -1;
    let buffer;
    try {
        buffer = transferBuffer(record.buffer, after * PAGE);
    } catch {
        return -1;
    }
    record.buffer = buffer;
    weakSetAdd(memoryBuffers, buffer);
    native.wasmMemory(number, buffer);
    return before;
};
native.wasmSetup((text) => new RuntimeError(text), growMemory);
// Only growing detaches the buffer of a memory: the standard's detach key.
for (const name of ["transfer", "transferToFixedLength", "transferToImmutable"]) {
    const original = ArrayBufferC.prototype[name];
    if (original === undefined) continue;
    const guarded = { [name](length = undefined) {
        if (weakSetHas(memoryBuffers, this)) throw new TypeErrorC("the buffer of a WebAssembly.Memory cannot be transferred");
        return length === undefined ? apply(original, this, []) : apply(original, this, [length]);
    } }[name];
    hidden(ArrayBufferC.prototype, name, guarded);
}

let memoryNumber;
class Memory {
    #number;
    constructor(descriptor, maximum = undefined) {
        if (descriptor !== INTERNAL) need(arguments.length, 1);
        let first = maximum?.first;
        let last = maximum?.last;
        if (descriptor !== INTERNAL) {
            if (descriptor === undefined || descriptor === null) throw new TypeErrorC("WebAssembly.Memory needs a descriptor");
            const given = dictionary(descriptor, "the descriptor");
            ({ first, last } = sizes(given, "WebAssembly.Memory"));
            if (first > MOST_PAGES || last > MOST_PAGES) throw new RangeErrorC(`WebAssembly.Memory: a memory has at most ${MOST_PAGES} pages`);
            if (given.shared) throw new TypeErrorC("WebAssembly.Memory: shared memories are not supported here");
        }
        let buffer;
        try {
            buffer = new ArrayBufferC(first * PAGE);
        } catch {
            throw new RangeErrorC(`WebAssembly.Memory: there is no room for ${first} pages; ask for more memory in the manifest`);
        }
        const number = asked("memory");
        this.#number = number;
        weakSetAdd(memoryBuffers, buffer);
        memoryRecords[number] = { __proto__: null, buffer, maximum: last, object: this };
        native.wasmMemory(number, buffer);
    }
    get buffer() { return memoryRecords[this.#number].buffer; }
    grow(delta) {
        const number = this.#number;
        need(arguments.length, 1);
        const before = growMemory(number, unsigned(delta, "the number of pages"));
        if (before === -1) throw new RangeErrorC("WebAssembly.Memory.grow: the memory cannot grow by that much");
        return before;
    }
    static {
        memoryNumber = (value) => (typeof value === "object" && value !== null && #number in value ? value.#number : -1);
    }
}

// ---- Values ------------------------------------------------------------------------------------------------------

/** A value as the host's number of 64 bits. */
const toBits = (type, value) => {
    if (type === "funcref") {
        if (value === null) return `${NOBODY}`;
        const number = native.wasmNumber(value);
        if (number === -1) throw new TypeErrorC("only null and functions that WebAssembly has exported are references to functions");
        return `${number}`;
    }
    if (type === "v128") throw new TypeErrorC("a vector of 128 bits is no value of JavaScript");
    if (type !== "i64") value = +value;
    else value = bigIntAsIntN(64, value);
    // A conversion may have run the script's code: nothing of it comes between these.
    setBits(scratch, 0, 0n, true);
    setters[type](scratch, 0, value, true);
    return bigIntToString(getBits(scratch, 0, true));
};
const fromBits = (type, bits) => {
    if (type === "funcref") return bits === `${NOBODY}` ? null : native.wasmFunction(+bits);
    if (type === "v128") throw new TypeErrorC("a vector of 128 bits is no value of JavaScript");
    setBits(scratch, 0, BigIntC(bits), true);
    return getters[type](scratch, 0, true);
};
const typeNamed = (name) => {
    const text = `${name}`;
    switch (text) {
        case "i32": case "i64": case "f32": case "f64": case "v128": case "funcref": return text;
        case "anyfunc": return "funcref";
        case "externref": throw new TypeErrorC("externref is not supported here: keep objects in a list and pass their places");
    }
    throw new TypeErrorC(`${text} is no type of WebAssembly`);
};

// ---- Tables ------------------------------------------------------------------------------------------------------

const tableObjects = bareList();
const functionNumber = (value, what) => {
    if (value === null) return NOBODY;
    const number = native.wasmNumber(value);
    if (number === -1) throw new TypeErrorC(`${what}: a table holds null and functions that WebAssembly has exported`);
    return number;
};
let tableNumber;
class Table {
    #number;
    constructor(descriptor, value = undefined) {
        if (descriptor === INTERNAL) {
            this.#number = value;
        } else {
            need(arguments.length, 1);
            if (descriptor === undefined || descriptor === null) throw new TypeErrorC("WebAssembly.Table needs a descriptor");
            const given = dictionary(descriptor, "the descriptor");
            if (typeNamed(given.element) !== "funcref") throw new TypeErrorC("WebAssembly.Table: element must be \"anyfunc\"");
            const { first, last } = sizes(given, "WebAssembly.Table");
            this.#number = asked("table", first, last, value === undefined ? NOBODY : functionNumber(value, "WebAssembly.Table"));
        }
        tableObjects[this.#number] = this;
    }
    get length() { return asked("table.size", this.#number); }
    get(index) {
        const number = this.#number;
        need(arguments.length, 1);
        const found = asked("table.get", number, unsigned(index, "the index"));
        return found === NOBODY ? null : native.wasmFunction(found);
    }
    set(index, value = undefined) {
        const number = this.#number;
        need(arguments.length, 1);
        const at = unsigned(index, "the index");
        asked("table.set", number, at, arguments.length < 2 ? NOBODY : functionNumber(value, "WebAssembly.Table.set"));
    }
    grow(delta, value = undefined) {
        const number = this.#number;
        need(arguments.length, 1);
        const by = unsigned(delta, "the number of entries");
        return asked("table.grow", number, by, value === undefined ? NOBODY : functionNumber(value, "WebAssembly.Table.grow"));
    }
    static {
        tableNumber = (value) => (typeof value === "object" && value !== null && #number in value ? value.#number : -1);
    }
}

// ---- Globals -----------------------------------------------------------------------------------------------------

const globalObjects = bareList();
let globalRecord;
class Global {
    #record;
    constructor(descriptor, value = undefined) {
        if (descriptor === INTERNAL) {
            this.#record = value;
        } else {
            need(arguments.length, 1);
            if (descriptor === undefined || descriptor === null) throw new TypeErrorC("WebAssembly.Global needs a descriptor");
            const given = dictionary(descriptor, "the descriptor");
            const mutable = !!given.mutable;
            const type = typeNamed(given.value);
            if (value === undefined) value = type === "i64" ? 0n : type === "funcref" ? null : 0;
            this.#record = { __proto__: null, type, mutable, number: asked("global", type, mutable, toBits(type, value)) };
        }
        globalObjects[this.#record.number] = this;
    }
    get value() {
        const { type, number } = this.#record;
        if (type === "v128") return fromBits(type);
        return fromBits(type, asked("global.get", number));
    }
    set value(value) {
        const { type, mutable, number } = this.#record;
        if (!mutable) throw new TypeErrorC("WebAssembly.Global: it is immutable");
        asked("global.set", number, toBits(type, value));
    }
    valueOf() {
        const { type, number } = this.#record;
        if (type === "v128") return fromBits(type);
        return fromBits(type, asked("global.get", number));
    }
    static {
        globalRecord = (value) => (typeof value === "object" && value !== null && #record in value ? value.#record : null);
    }
}

// ---- Modules -----------------------------------------------------------------------------------------------------

let moduleRecord;
class Module {
    #record;
    constructor(bytes) {
        need(arguments.length, 1);
        const made = askedBytes("compile", bytesToCompile(bytes));
        const found = made[1];
        this.#record = { __proto__: null, number: made[0], imports: found[0], exports: found[1], memory: found[2], memoryImported: found[3] };
    }
    static exports(module) {
        const { exports } = recordOf(module);
        const list = new ArrayC();
        for (let i = 0; i < exports.length; i++) put(list, i, { name: exports[i][0], kind: exports[i][1] });
        return list;
    }
    static imports(module) {
        const { imports } = recordOf(module);
        const list = new ArrayC();
        for (let i = 0; i < imports.length; i++) put(list, i, { module: imports[i][0], name: imports[i][1], kind: imports[i][2][0] });
        return list;
    }
    static {
        moduleRecord = (value) => (typeof value === "object" && value !== null && #record in value ? value.#record : null);
    }
}
const recordOf = (value) => {
    const record = moduleRecord(value);
    if (record === null) throw new TypeErrorC("this is no WebAssembly.Module");
    return record;
};
const put = (list, at, value) => defineProperty(list, at, { __proto__: null, value, writable: true, enumerable: true, configurable: true });

// ---- Instances ---------------------------------------------------------------------------------------------------

/** What a module imports, as the host names it. */
const importsOf = (record, importObject) => {
    const given = bareList();
    let memory = null;
    if (importObject !== undefined && (typeof importObject !== "object" && typeof importObject !== "function" || importObject === null)) {
        throw new TypeErrorC("WebAssembly.Instance: the imports must be an object");
    }
    const { imports } = record;
    if (imports.length > 0 && importObject === undefined) throw new TypeErrorC("WebAssembly.Instance: the module needs imports, so an object of them");
    for (let i = 0; i < imports.length; i++) {
        const from = imports[i][0];
        const name = imports[i][1];
        const kind = imports[i][2];
        const what = `WebAssembly.Instance: import ${from}.${name}`;
        const space = importObject[from];
        if (typeof space !== "object" && typeof space !== "function" || space === null) throw new TypeErrorC(`${what}: "${from}" is no object`);
        const value = space[name];
        switch (kind[0]) {
            case "function": {
                if (typeof value !== "function") throw new LinkError(`${what} is no function`);
                const number = native.wasmNumber(value);
                push(given, number === -1 ? copyList(["callback", native.wasmCallback(kind[1] > 1 ? several(value, kind[1]) : value)]) : copyList(["function", number]));
                break;
            }
            case "memory": {
                memory = memoryNumber(value);
                if (memory === -1) throw new LinkError(`${what} is no WebAssembly.Memory`);
                const found = memoryRecords[memory];
                if (pagesOf(found) < kind[1]) throw new LinkError(`${what} has ${pagesOf(found)} pages; the module needs ${kind[1]}`);
                if (kind[2] !== null && (found.maximum === null || found.maximum > kind[2])) throw new LinkError(`${what} may grow beyond the ${kind[2]} pages of the module`);
                break;
            }
            case "table": {
                const number = tableNumber(value);
                if (number === -1) throw new LinkError(`${what} is no WebAssembly.Table`);
                push(given, copyList(["table", number]));
                break;
            }
            default: {
                const found = globalRecord(value);
                let number = found?.number;
                if (found === null) {
                    const fits = kind[1] === "i64" ? typeof value === "bigint" : kind[1] === "funcref" ? value === null || native.wasmNumber(value) !== -1 : typeof value === "number" && kind[1] !== "v128";
                    if (!fits || kind[2]) throw new LinkError(`${what} is no ${kind[2] ? "mutable WebAssembly.Global" : `global or value of type ${kind[1]}`}`);
                    number = new Global({ __proto__: null, value: kind[1], mutable: false }, value);
                    number = globalRecord(number).number;
                }
                push(given, copyList(["global", number]));
            }
        }
    }
    return { __proto__: null, given, memory };
};
/** A function of the script with several results, as a list of ours that is as long as it has to be. */
const several = (fn, results) => (...list) => {
    const given = copyList([...apply(fn, undefined, list)]);
    if (given.length !== results) throw new TypeErrorC(`a function that a module imports gave ${given.length} results; the module expects ${results}`);
    return given;
};
const exportsOf = (record, importObject) => {
    const { given, memory: imported } = importsOf(record, importObject);
    let memory = imported;
    if (record.memory !== null && !record.memoryImported) {
        const own = new Memory(INTERNAL, { __proto__: null, first: record.memory[0], last: record.memory[1] });
        memory = memoryNumber(own);
    }
    const made = asked("instantiate", record.number, given, memory);
    const exports = create(null);
    for (let i = 0; i < made.length; i++) {
        const number = made[i][1];
        let value;
        switch (made[i][0]) {
            case "function": value = native.wasmFunction(number); break;
            case "memory": value = memoryRecords[memory].object; break;
            case "table": value = tableObjects[number] ?? new Table(INTERNAL, number); break;
            default: value = globalObjects[number] ?? new Global(INTERNAL, { __proto__: null, type: made[i][2], mutable: made[i][3], number });
        }
        defineProperty(exports, record.exports[i][0], { __proto__: null, value, writable: true, enumerable: true, configurable: true });
    }
    return freeze(exports);
};
class Instance {
    #exports;
    constructor(module, importObject = undefined) {
        if (module !== INTERNAL) {
            need(arguments.length, 1);
            this.#exports = exportsOf(recordOf(module), importObject);
        } else {
            this.#exports = importObject;
        }
    }
    get exports() { return this.#exports; }
}

// ---- The namespace -----------------------------------------------------------------------------------------------

const later = (work) => new PromiseC((resolve) => resolve(work()));
const instanceLater = (module, importObject) => then(primordials.PromiseResolve(), () => new Instance(INTERNAL, exportsOf(recordOf(module), importObject)));
const namespace = {
    validate(bytes) {
        need(arguments.length, 1);
        return askedBytes("validate", bytesToCompile(bytes));
    },
    compile(bytes) {
        const given = arguments.length;
        return later(() => {
            need(given, 1);
            return new Module(bytes);
        });
    },
    instantiate(source, importObject = undefined) {
        const given = arguments.length;
        return later(() => {
            need(given, 1);
            if (importObject !== undefined && (typeof importObject !== "object" && typeof importObject !== "function" || importObject === null)) {
                throw new TypeErrorC("WebAssembly.instantiate: the imports must be an object");
            }
            if (moduleRecord(source) !== null) return instanceLater(source, importObject);
            const module = new Module(source);
            return then(instanceLater(module, importObject), (instance) => ({ module, instance }));
        });
    },
};
for (const name of ["validate", "compile", "instantiate"]) freeze(namespace[name]);
for (const Class of [Module, Instance, Memory, Table, Global]) hidden(namespace, Class.name, frozenClass(Class, `WebAssembly.${Class.name}`));
for (const name of ["CompileError", "LinkError", "RuntimeError"]) hidden(namespace, name, wasmErrors[name]);
defineProperty(namespace, SymbolToStringTag, { __proto__: null, value: "WebAssembly", configurable: true });
for (const name of ["exports", "imports"]) freeze(Module[name]);
define("WebAssembly", namespace);
