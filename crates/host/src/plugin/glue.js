// The host's side inside the sandbox. Evaluated before the script, with the raw `boundary`, which the script never
// sees: it turns messages into the objects of the plugin API and back. Everything it needs later is captured here,
// before any foreign line runs.
"use strict";
((boundary) => {
  const { parse, stringify } = JSON;
  const { freeze, create, keys, getPrototypeOf, setPrototypeOf, defineProperty } = Object;
  const { isArray } = Array;
  const apply = Reflect.apply;
  const ownKeys = Reflect.ownKeys;
  const PromiseCtor = Promise;
  const promisePrototype = Promise.prototype;
  const promiseThen = promisePrototype.then;
  const resolved = (value) => new PromiseCtor((yes) => yes(value));
  // Whatever the script does, whoever waits gets one answer: `constructor` keeps `then` from asking the script for a
  // species, which could throw past us (and past an `await`) when what was asked for is on its way already.
  const follow = (done, told) => {
    defineProperty(done, "constructor", { __proto__: null, value: undefined });
    return apply(promiseThen, done, told);
  };
  const objectPrototype = Object.prototype;
  const MapCtor = Map;
  const mapGet = Map.prototype.get, mapSet = Map.prototype.set, mapDelete = Map.prototype.delete;
  const ErrorCtor = Error, TypeErrorCtor = TypeError;
  const BytesCtor = Uint8Array;
  const typeTag = Object.getOwnPropertyDescriptor(getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag).get;
  const bytesLength = Object.getOwnPropertyDescriptor(getPrototypeOf(Uint8Array.prototype), "length").get;
  const toText = String, toBig = BigInt;
  const slice = String.prototype.slice, startsWith = String.prototype.startsWith;
  const parseHex = parseInt;
  const HEX = freeze(Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, "0")));
  const MAX_DEPTH = 64;

  // ---- values: JSON + BigInt + Uint8Array (crates/host/src/wire.rs is the other half) ----
  // Not `instanceof`, which asks the script.
  const isBytes = (v) => apply(typeTag, v, []) === "Uint8Array";
  const toHex = (bytes, from = 0, to = apply(bytesLength, bytes, [])) => {
    let text = "0x";
    for (let i = from; i < to; i++) text += HEX[bytes[i]];
    return text;
  };
  const includes = String.prototype.includes;
  const fromHex = (text) => {
    const n = (text.length - 2) >> 1;
    const bytes = new BytesCtor(n);
    for (let i = 0; i < n; i++) bytes[i] = parseHex(apply(slice, text, [2 + 2 * i, 4 + 2 * i]), 16);
    return bytes;
  };
  const bare = () => create(null);
  // Defined and not set, and without a prototype: no setter and no half descriptor of the script's takes part.
  const put = (object, key, value) =>
    defineProperty(object, key, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
  const wellFormed = String.prototype.toWellFormed;
  // Of a text alone the engine asks nobody anything; half a surrogate is no JSON to the host.
  const quote = (text) => stringify(apply(wellFormed, text, []));
  // Written by hand: the engine's own `stringify` asks values for `toJSON`, and tells setters in `Array.prototype` of
  // what it is writing, so that a script could change the glue's messages on their way out.
  const write = (value, depth = 0) => {
    if (depth > MAX_DEPTH) throw new TypeErrorCtor("a value is nested deeper than " + MAX_DEPTH);
    switch (typeof value) {
      case "bigint": return '{"$n":"' + toText(value) + '"}';
      case "string": return quote(value);
      case "boolean": return value ? "true" : "false";
      case "number":
        if (value !== value || value === Infinity || value === -Infinity) throw new TypeErrorCtor("NaN and Infinity cannot cross the boundary");
        return toText(value);
      case "undefined": return "null";
      case "object": break;
      default: throw new TypeErrorCtor("a " + typeof value + " cannot cross the boundary");
    }
    if (value === null) return "null";
    if (isBytes(value)) return '{"$b":"' + toHex(value) + '"}';
    if (isArray(value)) {
      let list = "[";
      const n = value.length;
      for (let i = 0; i < n; i++) list += (i ? "," : "") + write(value[i], depth + 1);
      return list + "]";
    }
    let object = "";
    const names = keys(value);
    for (let i = 0; i < names.length; i++) {
      const name = names[i];
      const inner = value[name];
      if (inner === undefined) continue;
      const escaped = names.length === 1 && name[0] === "$" ? "$" + name : name;
      object += (object ? "," : "") + quote(escaped) + ":" + write(inner, depth + 1);
    }
    return "{" + object + "}";
  };
  const decode = (value) => {
    if (value === null || typeof value !== "object") return value;
    if (isArray(value)) {
      for (let i = 0; i < value.length; i++) put(value, i, decode(value[i]));
      return value;
    }
    const names = keys(value);
    if (names.length === 1 && names[0][0] === "$") {
      const name = names[0];
      if (name === "$n") return toBig(value.$n);
      if (name === "$b") return fromHex(value.$b);
      const object = {};
      put(object, apply(slice, name, [1]), decode(value[name]));
      return object;
    }
    const object = {};
    for (let i = 0; i < names.length; i++) put(object, names[i], decode(value[names[i]]));
    return object;
  };
  // ---- errors ----
  const describe = (error) => {
    const out = bare();
    out.code = -32011; out.message = "the plugin threw something that is no error"; out.data = "null"; out.stack = "";
    try {
      if (error !== null && typeof error === "object") {
        const code = error.code, message = error.message, stack = error.stack, name = error.name;
        if (typeof code === "number" && code === (code | 0)) out.code = code;
        if (typeof message === "string") out.message = (typeof name === "string" && name !== "Error" && typeof code !== "number" ? name + ": " : "") + message;
        if (typeof stack === "string") out.stack = stack;
        if (error.data !== undefined) out.data = write(error.data);
      } else if (typeof error === "string") out.message = error;
    } catch { /* a trap in a getter: the text above stays */ }
    return out;
  };
  const toError = (plain) => {
    const error = new ErrorCtor(plain.message);
    put(error, "code", plain.code);
    if (plain.data !== null && plain.data !== undefined) put(error, "data", decode(plain.data));
    return error;
  };

  // ---- requests to the host ----
  let nextId = 1;
  const waiting = new MapCtor();
  const request = (method, params) => new PromiseCtor((yes, no) => {
    const id = nextId++;
    boundary.post('{"t":"request","id":' + id + ',"method":' + quote(method) + ',"params":' + write(params) + "}"); // throws when it is too large: nobody waits for an answer then
    apply(mapSet, waiting, [id, { yes, no }]);
  });
  const method = (name, ...names) => (...args) => {
    const params = bare();
    for (let i = 0; i < names.length; i++) if (args[i] !== undefined) params[names[i]] = args[i];
    return request(name, params);
  };
  const host = (object) => {
    const names = ownKeys(object);
    for (let i = 0; i < names.length; i++) if (typeof object[names[i]] === "function") freeze(object[names[i]]);
    return freeze(setPrototypeOf(object, null));
  };

  const wallet = host({
    getAccount: method("wallet.getAccount", "index", "options"),
    getAccounts: method("wallet.getAccounts"),
    signWithAccount: method("wallet.signWithAccount", "index", "payload"),
    exportPrivateKey: method("wallet.exportPrivateKey", "index"),
    getSecret: method("wallet.getSecret", "label"),
    deposit: method("wallet.deposit", "call"),
    withdraw: method("wallet.withdraw", "call"),
    fundAccount: method("wallet.fundAccount", "index", "value"),
    sign: method("wallet.sign", "payload"),
    persist: method("wallet.persist", "key", "value"),
    getFromLocalDb: method("wallet.getFromLocalDb", "key"),
    deleteFromLocalDb: method("wallet.deleteFromLocalDb", "key"),
    listLocalDb: method("wallet.listLocalDb", "prefix"),
    batchLocalDb: method("wallet.batchLocalDb", "ops"),
    confirmRestored: method("wallet.confirmRestored"),
    getLayer2State: method("wallet.getLayer2State"),
    updateLayer2State: method("wallet.updateLayer2State", "patch"),
    trackTransfer: method("wallet.trackTransfer", "transfer"),
    updateTransfer: method("wallet.updateTransfer", "id", "stage"),
    schedule: method("wallet.schedule", "job"),
    cancel: method("wallet.cancel", "name"),
    notify: method("wallet.notify", "notice"),
    displayUi: method("wallet.displayUi", "screen", "options"),
    updateUi: method("wallet.updateUi", "id", "screen"),
    callPlugin: method("wallet.callPlugin", "solution", "action", "params"),
    requestPermission: method("wallet.requestPermission", "permission"),
  });

  // crypto.eth: curve and hash operations done by the host, synchronously and by bytes (crypto.rs is the other half).
  // What the script gives is read once, and nothing of it is asked for anything but its bytes.
  const callHost = boundary.call;
  const decoder = new TextDecoder();
  const decodeText = decoder.decode;
  const encoder = new TextEncoder();
  const encodeText = encoder.encode;
  const utf8 = (text) => apply(encodeText, encoder, [text]);
  const bytesSet = BytesCtor.prototype.set;
  const ADDRESS = 42, PAIR = 97, MOST_BATCH = 1024;
  const asHex = (data, index) => {
    if (typeof data === "string") return data;
    if (isBytes(data)) return toHex(data);
    throw new TypeErrorCtor("argument " + index + " must be bytes or a 0x-hex string");
  };
  const hash = (name) => {
    const named = name + ".text";
    return (data) => {
      if (isBytes(data)) return callHost(name, data);
      if (typeof data === "string") return callHost(named, utf8(data));
      throw new TypeErrorCtor(name + ": argument 1 must be bytes or a string");
    };
  };
  const batch = (list) => {
    const n = isArray(list) ? list.length : -1;
    if (!(n >= 0 && n <= MOST_BATCH)) throw new TypeErrorCtor("recoverBatch takes a list of at most " + MOST_BATCH + " { hash, signature }");
    const out = [];
    if (n === 0) return out;
    const all = new BytesCtor(n * PAIR);
    let text = null;
    for (let i = 0; i < n; i++) {
      const { hash: digest, signature } = list[i] ?? bare();
      const plain = isBytes(digest) && isBytes(signature);
      if (text === null && plain) {
        // What has another length stays zero, which is nobody's signature.
        if (apply(bytesLength, digest, []) === 32 && apply(bytesLength, signature, []) === PAIR - 32) {
          apply(bytesSet, all, [digest, i * PAIR]);
          apply(bytesSet, all, [signature, i * PAIR + 32]);
        }
        continue;
      }
      if (text === null) {
        text = "";
        for (let k = 0; k < i; k++) text += toHex(all, k * PAIR, k * PAIR + 32) + " " + toHex(all, k * PAIR + 32, k * PAIR + PAIR) + ",";
      }
      const readable = (typeof digest === "string" || isBytes(digest)) && (typeof signature === "string" || isBytes(signature));
      const one = readable ? asHex(digest, 1) + " " + asHex(signature, 2) : "";
      // A comma would make two of one.
      text += (apply(includes, one, [","]) ? "" : one) + (i < n - 1 ? "," : "");
    }
    const answer = text === null ? apply(decodeText, decoder, [callHost("recoverBatch", all)]) : callHost("recoverBatch.text", text);
    for (let i = 0; i < n; i++) {
      const address = apply(slice, answer, [i * ADDRESS, (i + 1) * ADDRESS]);
      put(out, i, address[0] === "0" ? address : null);
    }
    return out;
  };
  const eth = host({
    keccak256: hash("keccak256"),
    sha256: hash("sha256"),
    recover: (digest, signature) => {
      if (!isBytes(digest) || !isBytes(signature)) return callHost("recover.text", asHex(digest, 1) + " " + asHex(signature, 2));
      if (apply(bytesLength, digest, []) !== 32) throw new ErrorCtor("recover: the hash must have 32 bytes");
      const all = new BytesCtor(32 + apply(bytesLength, signature, []));
      apply(bytesSet, all, [digest]);
      apply(bytesSet, all, [signature, 32]);
      return apply(decodeText, decoder, [callHost("recover", all)]);
    },
    verify: (digest, signature, address) => {
      if (typeof address !== "string" || address.length !== ADDRESS) throw new TypeErrorCtor("verify: the third argument is no address");
      if (!isBytes(digest) || !isBytes(signature)) return callHost("verify.text", address + " " + asHex(digest, 1) + " " + asHex(signature, 2)) === "1";
      if (apply(bytesLength, digest, []) !== 32) return false;
      const claimed = utf8(address);
      if (apply(bytesLength, claimed, []) !== ADDRESS) throw new TypeErrorCtor("verify: the third argument is no address");
      const all = new BytesCtor(ADDRESS + 32 + apply(bytesLength, signature, []));
      apply(bytesSet, all, [claimed]);
      apply(bytesSet, all, [digest, ADDRESS]);
      apply(bytesSet, all, [signature, ADDRESS + 32]);
      return callHost("verify", all)[0] === 1;
    },
    recoverBatch: batch,
  });
  defineProperty(globalThis.crypto, "eth", { __proto__: null, value: eth, enumerable: true });

  // ---- heavy work: a WebAssembly asset beside the script ----
  // Bytes go by host calls, in pieces that fit into one; what is asked goes by requests, which are authorised.
  const PIECE = 1 << 18;
  const typedArray = getPrototypeOf(Uint8Array.prototype);
  const getter = (name) => Object.getOwnPropertyDescriptor(typedArray, name).get;
  const bytesBuffer = getter("buffer"), bytesOffset = getter("byteOffset");
  const ticketOf = (open) => open[0] + open[1] * 0x100 + open[2] * 0x10000 + open[3] * 0x1000000;
  const handIn = (open, bytes) => {
    const buffer = apply(bytesBuffer, bytes, []), offset = apply(bytesOffset, bytes, []);
    const length = apply(bytesLength, bytes, []);
    for (let at = 0; at < length; at += PIECE) {
      const size = length - at < PIECE ? length - at : PIECE;
      const piece = new BytesCtor(4 + size);
      apply(bytesSet, piece, [open]);
      apply(bytesSet, piece, [new BytesCtor(buffer, offset + at, size), 4]);
      callHost("compute.write", piece);
    }
  };
  const compute = (order) => new PromiseCtor((yes, no) => {
    if (order === null || typeof order !== "object") throw new TypeErrorCtor("compute takes { asset, export, input }");
    const { asset, export: entry, input, onProgress, signal } = order;
    if (typeof asset !== "string" || typeof entry !== "string") throw new TypeErrorCtor("compute: asset and export must be strings");
    if (onProgress !== undefined && typeof onProgress !== "function") throw new TypeErrorCtor("compute: onProgress must be a function");
    let bytes = input;
    if (input === undefined || input === null) bytes = new BytesCtor(0);
    else if (typeof input === "string") bytes = apply(encodeText, encoder, [input]);
    if (!isBytes(bytes)) throw new TypeErrorCtor("compute: input must be a Uint8Array or a string");
    if (signal && signal.aborted) { no(signal.reason); return; }
    const open = callHost("compute.open", new BytesCtor(0));
    const ticket = ticketOf(open);
    const asked = (name, params) => { params.ticket = ticket; return request(name, params); };
    handIn(open, bytes);
    const run = bare();
    run.asset = asset; run.export = entry;
    // A host call and no request: of those only so many may be open, and what is given up must end all the same.
    const giveUp = (reason) => { callHost("compute.cancel", open); no(reason); };
    follow(asked("compute.run", run), [() => yes(callHost("compute.read", open)), giveUp]);
    if (signal) signal.addEventListener("abort", () => giveUp(signal.reason));
    if (onProgress) {
      const watch = (seen) => {
        const params = bare();
        params.seen = seen;
        follow(asked("compute.progress", params), [(told) => {
          if (told === null) return;
          onProgress(host({ done: told.done, total: told.total }));
          watch(told);
        }, () => {}]);
      };
      watch(null);
    }
  });

  // ---- the plugin ----
  let plugin = null;
  let interfaceActions = null;
  const connectionOf = (answer, url) => {
    const id = answer.connection;
    return host({
      id, url,
      send: (data) => request("network.send", { connection: id, data }),
      close: () => request("network.close", { connection: id }),
    });
  };
  const responseOf = ({ status, headers, body }) => host({
    status, ok: status >= 200 && status < 300, headers: host(headers),
    bytes: () => resolved(body),
    text: () => resolved(apply(decodeText, decoder, [body])),
    json: () => new PromiseCtor((yes) => yes(parse(apply(decodeText, decoder, [body])))),
  });
  const instantiate = (context) => {
    const exported = boundary.script();
    const layer1 = host({
      networkId: context.layer1.networkId,
      ownerAddress: context.layer1.ownerAddress,
      contracts: context.layer1.contracts,
      request: (call) => request("layer1.request", call),
    });
    const network = host({
      urls: freeze(context.network.urls),
      connect: (url) => follow(request("network.connect", { url }), [(answer) => connectionOf(answer, url)]),
      // What a `Response` of the web has, as far as it makes sense without streams.
      fetch: (url, init) => follow(request("network.fetch", { url, init: init ?? {} }), [responseOf]),
    });
    const given = host({ wallet, layer1, network, compute: freeze(compute), solution: freeze(context.solution) });
    let made;
    if (typeof exported !== "function") throw new TypeErrorCtor("the script exports no class and no function: `export default class …` or `module.exports = class …`");
    try { made = new exported(given); } catch (error) {
      // A plain factory (an arrow function cannot be constructed).
      if (error instanceof TypeErrorCtor && !exported.prototype) made = exported(given); else throw error;
    }
    if (made === null || typeof made !== "object") throw new TypeErrorCtor("the script's class or factory gave no object");
    return made;
  };
  const readInterface = (made) => {
    const declared = made.layer2Interface;
    if (declared === null || typeof declared !== "object") throw new TypeErrorCtor("layer2Interface is missing");
    interfaceActions = new MapCtor();
    const actions = [];
    const list = declared.actions ?? [];
    for (let i = 0; i < list.length; i++) {
      const action = list[i];
      const { name, call, description, params, returns, readOnly, confirmation } = action;
      if (typeof call !== "function") throw new TypeErrorCtor("layer2Interface.actions[" + i + "].call is no function");
      apply(mapSet, interfaceActions, [name, { call, confirmation }]);
      const plain = bare();
      plain.name = name;
      if (description !== undefined) plain.description = description;
      plain.params = params ?? [];
      plain.returns = returns ?? [];
      plain.readOnly = readOnly === true;
      plain.confirmation = typeof confirmation === "function";
      put(actions, actions.length, plain);
    }
    const out = bare();
    out.actions = actions;
    out.state = declared.state ?? [];
    return out;
  };

  const fail = (id, error) => {
    const tell = ({ code, message, data, stack }) => boundary.post('{"t":"done","id":' + id + ',"error":{"code":' + code +
      ',"message":' + quote(message) + ',"data":' + data + ',"stack":' + quote(stack) + "}}");
    try { tell(describe(error)); } catch { tell(describe("the plugin failed with an error that is too large to be told")); }
  };
  const finish = (id, work) => {
    let result;
    try { result = work(); } catch (error) { fail(id, error); return; }
    const told = [(value) => {
      try { boundary.post('{"t":"done","id":' + id + ',"ok":' + write(value) + "}"); } catch (error) { fail(id, error); }
    }, (error) => fail(id, error)];
    // An ordinary promise is followed by the `then` that was captured: the script may have replaced its own.
    try {
      if (getPrototypeOf(result) === promisePrototype) { follow(result, told); return; }
    } catch { /* nothing that could have a prototype, a proxy, or a promise that was sealed: as any other value */ }
    follow(new PromiseCtor((yes) => yes(result)), told);
  };

  boundary.onMessage = (text) => {
    // What is absent is absent, whatever the script has put into Object.prototype.
    const message = setPrototypeOf(parse(text), null);
    switch (message.t) {
      case "start":
        finish(message.id, () => {
          plugin = instantiate(decode(message.context));
          return readInterface(plugin);
        });
        return;
      case "call":
        finish(message.id, () => {
          const action = apply(mapGet, interfaceActions, [message.action]);
          if (!action) throw new ErrorCtor("there is no action " + message.action);
          return apply(action.call, undefined, [decode(message.params), freeze(decode(message.context))]);
        });
        return;
      case "confirm":
        finish(message.id, () => {
          const action = apply(mapGet, interfaceActions, [message.action]);
          if (!action || typeof action.confirmation !== "function") return null;
          return apply(action.confirmation, undefined, [decode(message.params)]);
        });
        return;
      case "hook":
        finish(message.id, () => {
          const arg = decode(message.arg);
          const run = (name, value) => {
            const hook = plugin[name];
            return typeof hook === "function" ? apply(hook, plugin, [value]) : null;
          };
          if (message.hook !== "onStart" || !arg || !arg.updated) return run(message.hook, arg);
          // The data of the version before are brought up to date before anything else runs.
          const before = new PromiseCtor((yes) => yes(run("onUpdate", arg.updated)));
          defineProperty(before, "constructor", { __proto__: null, value: undefined });
          return apply(promiseThen, before, [() => run("onStart", arg)]);
        });
        return;
      case "reply": {
        const waiter = apply(mapGet, waiting, [message.id]);
        if (!waiter) return;
        apply(mapDelete, waiting, [message.id]);
        if (message.error) waiter.no(toError(message.error)); else waiter.yes(decode(message.ok));
        return;
      }
    }
  };
})(boundary);
