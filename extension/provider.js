// The provider that a page sees: EIP-1193, announced by EIP-6963, with the layer-2 actions that the user granted.
//
// It runs in the page's own world, so nothing here is a secret and nothing here is trusted: whoever the page is, the
// worker is told by the browser. What is done here is done for honest pages: built-ins are taken into constants before
// any of the page's lines runs, what is handed out is frozen, and a page that breaks its own prototypes gets no state of
// ours and no other page's.
"use strict";

(() => {
  // --- Built-ins, as they are before the page runs. Methods take their `this` as the first argument.
  /** @type {<T, A extends unknown[], R>(method: (this: T, ...args: A) => R) => (self: T, ...args: A) => R} */
  const unbound = Function.prototype.bind.bind(Function.prototype.call);
  const { apply } = Reflect;
  const { create, defineProperty, freeze, hasOwn, getOwnPropertyDescriptor } = Object;
  const { parse, stringify } = JSON;
  const { isArray } = Array;
  const { isSafeInteger } = Number;
  const [PromiseNow, ErrorNow, MapNow, SetNow, CustomEventNow] = [Promise, Error, Map, Set, CustomEvent];
  const [StringNow, Bytes, report] = [String, Uint8Array, globalThis.reportError];
  /** @type {(map: Map<any, any>, key: unknown) => any} */
  const mapGet = unbound(Map.prototype.get);
  /** @type {(map: Map<any, any>, key: unknown, value: unknown) => unknown} */
  const mapSet = unbound(Map.prototype.set);
  /** @type {(map: Map<any, any>, key: unknown) => boolean} */
  const mapDelete = unbound(Map.prototype.delete);
  /** @type {(map: Map<any, any>, visit: (value: any, key: any) => void) => void} */
  const mapForEach = unbound(Map.prototype.forEach);
  /** @type {(set: Set<any>, value: unknown) => unknown} */
  const setAdd = unbound(Set.prototype.add);
  /** @type {(set: Set<any>, value: unknown) => boolean} */
  const setDelete = unbound(Set.prototype.delete);
  /** @type {(set: Set<any>, visit: (value: any) => void) => void} */
  const setForEach = unbound(Set.prototype.forEach);
  const sliceText = unbound(String.prototype.slice);
  const lower = unbound(String.prototype.toLowerCase);
  const upper = unbound(String.prototype.toUpperCase);
  const codeAt = unbound(String.prototype.charCodeAt);
  const hexOf = unbound(Number.prototype.toString);
  /** @type {(promise: Promise<any>, done: (value: any) => void, failed: (error: any) => void) => unknown} */
  const then = unbound(Promise.prototype.then);
  const portSend = unbound(MessagePort.prototype.postMessage);
  const typedArrayTag = unbound(
    /** @type {() => string | undefined} */ (
      /** @type {PropertyDescriptor} */ (
        getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)
      ).get
    ),
  );
  const eventData = unbound(
    /** @type {() => unknown} */ (
      /** @type {PropertyDescriptor} */ (getOwnPropertyDescriptor(MessageEvent.prototype, "data")).get
    ),
  );
  /** @type {(target: EventTarget, type: string, listener: (event: any) => void) => void} */
  const listen = unbound(EventTarget.prototype.addEventListener);
  const dispatch = unbound(EventTarget.prototype.dispatchEvent);
  const page = window;

  // --- Limits.
  /** Characters of one request; the wallet's own limit is of the same order. */
  const MAX_REQUEST = 1 << 20;
  /** Requests of one document that wait at one time. */
  const MAX_WAITING = 256;
  /** Names that never become a property: what `await` or a conversion looks for, and what the language gave meaning. */
  const RESERVED = /** @type {Record<string, true>} */ (create(null));
  for (const name of ["then", "constructor", "toString", "valueOf", "toJSON", "prototype", "__proto__"]) {
    RESERVED[name] = true;
  }

  // --- Errors: real `Error` objects with the codes of EIP-1193, EIP-1474 and JSON-RPC.
  /**
   * @param {number} code
   * @param {string} message
   * @param {unknown} [data]
   */
  function rpcError(code, message, data) {
    const error = new ErrorNow(message);
    /** @param {string} name @param {unknown} value */
    const set = (name, value) =>
      defineProperty(error, name, nullish({ value, enumerable: name !== "name", configurable: true, writable: true }));
    set("name", "ProviderRpcError");
    set("code", code);
    if (data !== undefined) set("data", data);
    return error;
  }

  /**
   * The same properties on an object without a prototype, so that the page's prototypes add none.
   *
   * @template {object} T
   * @param {T} from
   * @returns {T}
   */
  function nullish(from) {
    const to = create(null);
    for (const key in from) if (hasOwn(from, key)) to[key] = from[key];
    return to;
  }

  // --- The line to the content script: one port, handed over before the page runs. Texts of JSON in both directions.
  const { port1: line, port2: theirs } = new MessageChannel();
  /** @type {Map<number, { resolve: (value: unknown) => void, reject: (error: Error) => void, method: string }>} */
  const waiting = new MapNow();
  let waitingCount = 0;
  let lastId = 0;
  let opened = false;

  /** @param {object} message */
  const say = (message) => portSend(line, stringify(nullish(message)));

  function open() {
    if (opened) return;
    opened = true;
    say({ type: "open" });
  }

  /**
   * JSON of one value; with `rich`, as parameters of layer-2 actions are written: BigInt as decimal text, bytes as hex.
   *
   * @param {unknown} value
   * @param {boolean} rich
   * @returns {string | undefined}
   */
  function encode(value, rich) {
    return stringify(value, (_key, item) => {
      if (typeof item === "bigint" && rich) return StringNow(item);
      if (typeof item === "object" && item !== null && rich && isBytes(item)) return hex(item);
      return item;
    });
  }

  /** @param {object} value @returns {value is Uint8Array} */
  function isBytes(value) {
    return typedArrayTag(/** @type {any} */ (value)) === "Uint8Array";
  }

  /** @param {Uint8Array} bytes */
  function hex(bytes) {
    // A copy: its length and items are then nobody else's.
    const copy = new Bytes(bytes);
    let text = "0x";
    for (let at = 0; at < copy.length; at += 1) {
      const byte = /** @type {number} */ (copy[at]);
      text += (byte < 16 ? "0" : "") + hexOf(byte, 16);
    }
    return text;
  }

  /**
   * @param {string} method
   * @param {unknown} params
   * @returns {Promise<unknown>}
   */
  function ask(method, params) {
    return new PromiseNow((resolve, reject) => {
      if (waitingCount >= MAX_WAITING) {
        reject(rpcError(-32005, `${MAX_WAITING} requests of this page wait already; await some of them first`));
        return;
      }
      let text;
      try {
        text = encode(params, sliceText(method, 0, 7) === "layer2_");
      } catch (error) {
        reject(rpcError(-32602, `params: not JSON: ${/** @type {any} */ (error)?.message}`));
        return;
      }
      if (text !== undefined && text.length > MAX_REQUEST) {
        reject(rpcError(-32602, `params: ${text.length} characters of JSON, at most ${MAX_REQUEST} are accepted`));
        return;
      }
      opened = true;
      lastId += 1;
      waitingCount += 1;
      mapSet(waiting, lastId, nullish({ resolve, reject, method }));
      say({ type: "request", id: lastId, method, params: text ?? null });
    });
  }

  /**
   * EIP-1193.
   *
   * @param {{ method: string, params?: readonly unknown[] | object }} given
   * @returns {Promise<unknown>}
   */
  function request(given) {
    const wrong = (/** @type {string} */ why) =>
      new PromiseNow((_resolve, reject) => reject(rpcError(-32600, `request: ${why}`)));
    if (typeof given !== "object" || given === null || isArray(given)) return wrong("give an object { method, params }");
    const { method, params } = given;
    if (typeof method !== "string" || method === "" || method.length > 128) return wrong("method: give its name");
    if (params !== undefined && params !== null && typeof params !== "object") {
      return wrong("params: give a list or an object");
    }
    return ask(method, params ?? undefined);
  }

  // --- Events.
  /** @typedef {{ listener: (value: any) => void, once: boolean, since: number }} Entry */
  /** @type {Map<string, Set<Entry>>} */
  const listeners = new MapNow();
  let added = 0;

  /**
   * @param {string} event
   * @param {(value: any) => void} listener
   * @param {boolean} once
   */
  function subscribe(event, listener, once) {
    if (typeof listener !== "function") throw rpcError(-32602, "listener: give a function");
    let entries = mapGet(listeners, event);
    if (entries === undefined) {
      entries = new SetNow();
      mapSet(listeners, event, entries);
    }
    added += 1;
    setAdd(entries, nullish({ listener, once, since: added }));
    open();
    return provider;
  }

  /**
   * @param {string} event
   * @param {(value: any) => void} listener
   */
  function unsubscribe(event, listener) {
    const entries = mapGet(listeners, event);
    let last;
    if (entries !== undefined) {
      setForEach(entries, (entry) => {
        if (entry.listener === listener) last = entry;
      });
      if (last !== undefined) setDelete(entries, last);
    }
    return provider;
  }

  /**
   * @param {string} event
   * @param {unknown} value
   */
  function emit(event, value) {
    const entries = mapGet(listeners, event);
    if (entries === undefined) return;
    const until = added;
    setForEach(entries, (entry) => {
      if (entry.since > until) return;
      if (entry.once) setDelete(entries, entry);
      try {
        apply(entry.listener, provider, [value]);
      } catch (error) {
        report(error);
      }
    });
  }

  // --- What the wallet last told, so that a page that was away is told what changed meanwhile.
  let connected = false;
  /** @type {string | undefined} */
  let chainId;
  /** @type {string | undefined} */
  let accounts;

  /** @param {unknown} value */
  function accountsAre(value) {
    const text = stringify(value);
    const changed = accounts !== undefined && text !== accounts;
    accounts = text;
    return changed;
  }

  /** @param {unknown} value */
  function chainIs(value) {
    if (typeof value !== "string") return false;
    const changed = chainId !== undefined && value !== chainId;
    chainId = value;
    return changed;
  }

  /** @param {any} data */
  function nowConnected(data) {
    const id = data !== null && typeof data === "object" && hasOwn(data, "chainId") ? data.chainId : undefined;
    connected = true;
    const moved = chainIs(id);
    emit("connect", freeze({ chainId: id }));
    if (moved) emit("chainChanged", id);
    if (accounts === undefined) return;
    const ended = () => {};
    then(
      ask("eth_accounts", []),
      // `settle` has compared it.
      ended,
      ended,
    );
  }

  /**
   * @param {string} event
   * @param {any} data
   */
  function happened(event, data) {
    switch (event) {
      case "connect":
        nowConnected(data);
        break;
      case "disconnect":
        if (!connected) break;
        connected = false;
        emit("disconnect", rpcError(isSafeInteger(data.code) ? data.code : 4900, StringNow(data.message), undefined));
        break;
      case "accountsChanged":
        // The answer to `eth_requestAccounts` may have told it already.
        if (accounts === undefined || stringify(data) !== accounts) {
          accounts = stringify(data);
          emit(event, data);
        }
        break;
      case "chainChanged":
        if (chainId === undefined || chainId !== data) {
          chainIs(data);
          emit(event, data);
        }
        break;
      case "layer2Changed":
        layer2 = inject(data);
        emit(event, data);
        break;
      case "message":
        emit(event, data);
        break;
    }
  }

  /** @param {any} message */
  function settle(message) {
    const asked = mapGet(waiting, message.id);
    if (asked === undefined) return;
    mapDelete(waiting, message.id);
    waitingCount -= 1;
    if (hasOwn(message, "error")) {
      const { error } = message;
      asked.reject(rpcError(error.code, error.message, hasOwn(error, "data") ? error.data : undefined));
      return;
    }
    const { result } = message;
    if (asked.method === "eth_chainId") chainIs(result);
    const about = asked.method === "eth_accounts" || asked.method === "eth_requestAccounts";
    const changed = about && accountsAre(result);
    asked.resolve(result);
    if (changed) emit("accountsChanged", parse(/** @type {string} */ (accounts)));
  }

  line.onmessage = (event) => {
    const text = eventData(event);
    if (typeof text !== "string") return;
    const message = parse(text);
    if (message.type === "response") settle(message);
    else if (message.type === "event") happened(message.event, message.data);
    else if (message.type === "lost") {
      // What was granted is told again by the wallet that comes back.
      layer2 = EMPTY;
      happened("disconnect", nullish({ code: 4900, message: message.why }));
    }
  };

  // --- `ethereum.layer2.<solution>.<action>(params, { id })`.
  /**
   * @typedef {(params?: Record<string, unknown>, options?: { id?: string }) => Promise<unknown>} Layer2Action
   * @typedef {Readonly<Record<string, Layer2Action>>} Layer2Solution
   * @typedef {Readonly<Record<string, Layer2Solution>>} Layer2
   */
  const EMPTY = /** @type {Layer2} */ (freeze(create(null)));
  let layer2 = EMPTY;

  /**
   * @param {unknown} id
   * @param {string} action
   * @returns {Layer2Action}
   */
  function actionOf(id, action) {
    return freeze((/** @type {any} */ params = {}, /** @type {any} */ options = undefined) => {
      const call = create(null);
      call.solution = StringNow(id);
      call.action = action;
      call.params = params;
      const key = options === null || options === undefined ? undefined : options.id;
      if (key !== undefined) call.id = key;
      return ask("layer2_call", call);
    });
  }

  /**
   * What a title is as a name: `My Payments` is `myPayments`.
   *
   * @param {unknown} title
   */
  function aliasOf(title) {
    if (typeof title !== "string" || title.length > 64) return "";
    let [alias, capital] = ["", false];
    for (let at = 0; at < title.length; at += 1) {
      const code = codeAt(title, at);
      const letter = (code >= 65 && code <= 90) || (code >= 97 && code <= 122);
      const digit = code >= 48 && code <= 57 && alias !== "";
      if (!letter && !digit) {
        capital = true;
        continue;
      }
      const one = sliceText(title, at, at + 1);
      if (alias === "") alias = lower(one);
      else alias += capital ? upper(one) : one;
      capital = false;
    }
    return alias;
  }

  /**
   * The granted solutions as objects: by id always, by handle and by title where only one of them is called so.
   *
   * @param {any} solutions
   * @returns {Layer2}
   */
  function inject(solutions) {
    if (!isArray(solutions)) return EMPTY;
    const all = create(null);
    /** @type {Map<string, Layer2Solution | null>} */
    const named = new MapNow();
    for (let at = 0; at < solutions.length; at += 1) {
      const { id, name, title, actions } = solutions[at];
      if (!isSafeInteger(id) || !isArray(actions)) continue;
      const actionsNow = create(null);
      for (let action = 0; action < actions.length; action += 1) {
        const called = actions[action]?.name;
        if (typeof called === "string" && RESERVED[called] !== true) actionsNow[called] = actionOf(id, called);
      }
      const solution = freeze(actionsNow);
      all[StringNow(id)] = solution;
      const aliases = new SetNow();
      setAdd(aliases, typeof name === "string" ? name : "");
      setAdd(aliases, aliasOf(title));
      setForEach(aliases, (alias) => {
        if (alias === "" || RESERVED[alias] === true) return;
        mapSet(named, alias, mapGet(named, alias) === undefined ? solution : null);
      });
    }
    mapForEach(named, (solution, alias) => {
      if (solution !== null && !hasOwn(all, alias)) all[alias] = solution;
    });
    return freeze(all);
  }

  // --- What the page gets.
  /** @param {string} event @param {(value: any) => void} listener */
  const on = (event, listener) => subscribe(event, listener, false);
  const provider = freeze({
    isEntresol: true,
    request,
    isConnected: () => connected,
    on,
    addListener: on,
    /** @param {string} event @param {(value: any) => void} listener */
    once: (event, listener) => subscribe(event, listener, true),
    off: unsubscribe,
    removeListener: unsubscribe,
    /** @param {string} [event] */
    removeAllListeners(event) {
      if (event === undefined) mapForEach(listeners, (_entries, name) => mapDelete(listeners, name));
      else mapDelete(listeners, event);
      return provider;
    },
    /** @type {Layer2} The granted layer-2 solutions and their actions; a new object whenever the grants change. */
    get layer2() {
      open();
      return layer2;
    },
  });

  const random = crypto.getRandomValues(new Uint8Array(16));
  random[6] = (/** @type {number} */ (random[6]) & 0x0f) | 0x40;
  random[8] = (/** @type {number} */ (random[8]) & 0x3f) | 0x80;
  const digits = sliceText(hex(random), 2);
  const cuts = [0, 8, 12, 16, 20, 32];
  const uuid = cuts.slice(1).map((end, at) => digits.slice(cuts[at], end)).join("-");
  // The icon of icons/icon.svg.
  const ICON =
    "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHZpZXdCb3g9IjAgMC" +
    "AxMjggMTI4Ij48ZGVmcz48bGluZWFyR3JhZGllbnQgaWQ9ImEiIHgyPSIwIiB5Mj0iMSI+PHN0b3Agc3RvcC1jb2xvcj0iIz" +
    "JmNmY5OCIvPjxzdG9wIG9mZnNldD0iMSIgc3RvcC1jb2xvcj0iIzE2Mzc0ZiIvPjwvbGluZWFyR3JhZGllbnQ+PC9kZWZzPj" +
    "xyZWN0IHg9IjQiIHk9IjQiIHdpZHRoPSIxMjAiIGhlaWdodD0iMTIwIiByeD0iMjgiIGZpbGw9InVybCgjYSkiLz48cGF0aC" +
    "BkPSJNMjggMzJoNzJ2MTJIMjh6TTI4IDg4aDcydjEySDI4eiIgZmlsbD0iI2Y2ZjVmMiIvPjxwYXRoIGQ9Ik0yOCA0NGgxMH" +
    "Y0NEgyOHpNOTAgNDRoMTB2NDRIOTB6IiBmaWxsPSIjZjZmNWYyIiBvcGFjaXR5PSIuNTUiLz48cGF0aCBkPSJNMzggNjBoMz" +
    "h2MTJIMzh6IiBmaWxsPSIjZjJiNTQ0Ii8+PC9zdmc+";
  const info = freeze({ uuid, name: "Entresol", icon: ICON, rdns: "example.entresol" });
  const detail = freeze({ info, provider });
  const announce = () => {
    dispatch(page, new CustomEventNow("eip6963:announceProvider", nullish({ detail })));
  };
  if (!("ethereum" in page)) {
    defineProperty(page, "ethereum", nullish({ value: provider, enumerable: true, configurable: true, writable: true }));
    dispatch(page, new Event("ethereum#initialized"));
  }
  // The content script takes the port now, or calls for it when it comes after this. No page script has run yet.
  const offer = () => {
    const event = new MessageEvent("entresol:provider", { cancelable: true, ports: [theirs] });
    return !page.dispatchEvent(event);
  };
  if (!offer()) page.addEventListener("entresol:content", () => void offer(), { once: true });
  listen(page, "eip6963:requestProvider", announce);
  announce();
})();
