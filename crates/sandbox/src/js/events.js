
// Events and aborting, by the DOM standard. There is no tree: an event visits its target alone. Continues text.js.

/** Tells the embedder of an error that nobody catches, and goes on: a rejection without a handler is reported. */
const reportError = (error) => { reject(error); };
define("reportError", freeze(function reportErrorOf(error) {
    need(arguments.length, 1);
    reportError(error);
}));
defineProperty(globalThis.reportError, "name", { __proto__: null, value: "reportError" });

// ---- Events ------------------------------------------------------------------------------------------------------

let dispatch;
let trusted;
let isEvent;
class Event {
    #type;
    #bubbles;
    #cancelable;
    #composed;
    #time = dateNow();
    #target = null;
    #current = null;
    #phase = 0;
    #trusted = false;
    #stopped = false;
    #stoppedNow = false;
    #canceled = false;
    #passive = false;
    #dispatching = false;
    static {
        isEvent = (value) => #type in value;
        trusted = (type) => {
            const event = new Event(type);
            event.#trusted = true;
            return event;
        };
        /** `visit(event, capturing)` calls the listeners of one phase; it says before each whether the event may go on. */
        dispatch = (event, target, listeners) => {
            if (event.#dispatching) throw new DOMExceptionC("the event is being dispatched already", "InvalidStateError");
            event.#dispatching = true;
            event.#target = event.#current = target;
            event.#phase = 2;
            for (let phase = 0; phase < 2; phase++) {
                if (event.#stopped) break;
                for (let i = 0; i < listeners.length && !event.#stoppedNow; i++) {
                    const one = listeners[i];
                    if (one.removed || one.type !== event.#type || one.capture !== (phase === 0)) continue;
                    if (one.once) one.remove();
                    event.#passive = one.passive;
                    try {
                        if (typeof one.listener === "function") apply(one.listener, target, [event]);
                        else {
                            const handle = one.listener.handleEvent;
                            if (typeof handle !== "function") throw new TypeErrorC("the listener's handleEvent is no function");
                            apply(handle, one.listener, [event]);
                        }
                    } catch (error) {
                        reportError(error);
                    }
                    event.#passive = false;
                }
            }
            event.#dispatching = event.#stopped = event.#stoppedNow = false;
            event.#phase = 0;
            event.#current = null;
            return !event.#canceled;
        };
    }
    constructor(type, init = undefined) {
        need(arguments.length, 1);
        this.#type = wellFormed(`${type}`);
        const { bubbles, cancelable, composed } = dictionary(init, "the second argument");
        this.#bubbles = !!bubbles;
        this.#cancelable = !!cancelable;
        this.#composed = !!composed;
    }
    get type() { return this.#type; }
    get target() { return this.#target; }
    get srcElement() { return this.#target; }
    get currentTarget() { return this.#current; }
    composedPath() { return this.#current === null ? [] : [this.#current]; }
    get eventPhase() { return this.#phase; }
    stopPropagation() { this.#stopped = true; }
    stopImmediatePropagation() { this.#stopped = this.#stoppedNow = true; }
    get cancelBubble() { return this.#stopped; }
    set cancelBubble(value) { if (value) this.#stopped = true; }
    get bubbles() { return this.#bubbles; }
    get cancelable() { return this.#cancelable; }
    preventDefault() { if (this.#cancelable && !this.#passive) this.#canceled = true; }
    get defaultPrevented() { return this.#canceled; }
    get returnValue() { return !this.#canceled; }
    set returnValue(value) { if (!value) this.preventDefault(); }
    get composed() { return this.#composed; }
    get isTrusted() { return this.#trusted; }
    get timeStamp() { return this.#time; }
}
for (const where of [Event, Event.prototype]) {
    for (const [name, value] of [["NONE", 0], ["CAPTURING_PHASE", 1], ["AT_TARGET", 2], ["BUBBLING_PHASE", 3]]) {
        defineProperty(where, name, { __proto__: null, value, enumerable: true });
    }
}
define("Event", frozenClass(Event, "Event"));

class CustomEvent extends Event {
    #detail;
    constructor(type, init = undefined) {
        super(type, init);
        const { detail } = dictionary(init, "the second argument");
        this.#detail = detail === undefined ? null : detail;
    }
    get detail() { return this.#detail; }
}
define("CustomEvent", frozenClass(CustomEvent, "CustomEvent"));

// Set by AbortSignal, which is a target itself.
let isSignal;
let onAbort;

const capturing = (options) => !!(typeof options === "object" && options !== null || typeof options === "function" ? options.capture : options);
let isTarget;
class EventTarget {
    #listeners = bareList();
    static { isTarget = (value) => #listeners in value; }
    #remove(index) {
        const kept = bareList();
        for (let i = 0; i < this.#listeners.length; i++) {
            if (i === index) this.#listeners[i].removed = true;
            else push(kept, this.#listeners[i]);
        }
        // A new list: one that is being walked stays as it is.
        this.#listeners = kept;
    }
    #find(type, listener, capture) {
        for (let i = 0; i < this.#listeners.length; i++) {
            const known = this.#listeners[i];
            if (known.type === type && known.listener === listener && known.capture === capture) return i;
        }
        return -1;
    }
    addEventListener(type, listener, options = undefined) {
        need(arguments.length, 2);
        type = wellFormed(`${type}`);
        if (listener === undefined) listener = null;
        if (listener !== null && typeof listener !== "function" && typeof listener !== "object") throw new TypeErrorC("a listener is a function or an object with handleEvent");
        const more = typeof options === "object" && options !== null || typeof options === "function";
        const capture = capturing(options);
        const once = more && !!options.once;
        const passive = more && !!options.passive;
        const signal = more ? options.signal : undefined;
        if (signal !== undefined && !(typeof signal === "object" && signal !== null && isSignal(signal))) throw new TypeErrorC("the signal must be an AbortSignal");
        if (signal !== undefined && signal.aborted || listener === null || this.#find(type, listener, capture) !== -1) return;
        const known = { __proto__: null, type, listener, capture, once, passive, removed: false, remove: null };
        known.remove = () => {
            const index = indexOfItem(this.#listeners, known);
            if (index !== -1) this.#remove(index);
        };
        // A new list here too: what is added while an event is dispatched hears the next one.
        const list = copyList(this.#listeners);
        push(list, known);
        this.#listeners = list;
        if (signal !== undefined) onAbort(signal, known.remove);
    }
    removeEventListener(type, listener, options = undefined) {
        need(arguments.length, 2);
        const index = this.#find(wellFormed(`${type}`), listener, capturing(options));
        if (index !== -1) this.#remove(index);
    }
    dispatchEvent(event) {
        need(arguments.length, 1);
        if (typeof event !== "object" || event === null || !isEvent(event)) throw new TypeErrorC("dispatchEvent needs an Event");
        return dispatch(event, this, this.#listeners);
    }
}
const dispatchOn = uncurry(EventTarget.prototype.dispatchEvent);
const listenOn = uncurry(EventTarget.prototype.addEventListener);
define("EventTarget", frozenClass(EventTarget, "EventTarget"));

// ---- Aborting ----------------------------------------------------------------------------------------------------

let makeSignal;
let abortSignal;
const allowed = {};
class AbortSignal extends EventTarget {
    #aborted = false;
    #reason = undefined;
    #handler = null;
    #listening = false;
    /** Functions to run before the event. */
    #algorithms = bareList();
    /** Signals that `any` made of this one, and for those the signals they follow. */
    #dependents = new SetC();
    #sources = null;
    static {
        isSignal = (value) => #aborted in value;
        makeSignal = () => new AbortSignal(allowed);
        onAbort = (signal, algorithm) => { push(signal.#algorithms, algorithm); };
        abortSignal = (signal, reason) => {
            if (signal.#aborted) return;
            const reached = copyList([signal]);
            const mark = (one, why) => {
                one.#aborted = true;
                one.#reason = why;
            };
            mark(signal, reason === undefined ? new DOMExceptionC("the operation was aborted", "AbortError") : reason);
            setForEach(signal.#dependents, (dependent) => {
                if (dependent.#aborted) return;
                mark(dependent, signal.#reason);
                push(reached, dependent);
            });
            for (let i = 0; i < reached.length; i++) {
                const one = reached[i];
                const algorithms = one.#algorithms;
                one.#algorithms = bareList();
                for (let k = 0; k < algorithms.length; k++) algorithms[k]();
                dispatchOn(one, trusted("abort"));
                // Nothing happens twice: let go of what only aborting could need.
                setClear(one.#dependents);
                if (one.#sources !== null) {
                    setForEach(one.#sources, (source) => { setDelete(source.#dependents, one); });
                    one.#sources = null;
                }
            }
        };
    }
    constructor(key) {
        if (key !== allowed) throw new TypeErrorC("Illegal constructor: use an AbortController");
        super();
    }
    get aborted() { return this.#aborted; }
    get reason() { return this.#reason; }
    throwIfAborted() { if (this.#aborted) throw this.#reason; }
    get onabort() { return this.#handler; }
    set onabort(handler) {
        this.#handler = typeof handler === "function" || typeof handler === "object" ? handler : null;
        if (this.#listening) return;
        // In the order of listeners it stands where it was first set.
        this.#listening = true;
        listenOn(this, "abort", (event) => { if (typeof this.#handler === "function") apply(this.#handler, this, [event]); });
    }
    static abort(reason = undefined) {
        const signal = makeSignal();
        abortSignal(signal, reason);
        return signal;
    }
    static timeout(milliseconds) {
        need(arguments.length, 1);
        const delay = trunc(+milliseconds);
        if (!(delay >= 0 && delay <= 2 ** 53 - 1)) throw new TypeErrorC("a timeout is a number of milliseconds, 0 or more");
        const signal = makeSignal();
        startTimer(() => abortSignal(signal, new DOMExceptionC("the operation took too long", "TimeoutError")), min(delay, LONGEST_DELAY), [], false);
        return signal;
    }
    static any(signals) {
        need(arguments.length, 1);
        const list = copyList([...signals]);
        for (let i = 0; i < list.length; i++) {
            if (typeof list[i] !== "object" || list[i] === null || !isSignal(list[i])) throw new TypeErrorC("AbortSignal.any takes AbortSignals");
        }
        const signal = makeSignal();
        for (let i = 0; i < list.length; i++) {
            if (list[i].#aborted) {
                signal.#aborted = true;
                signal.#reason = list[i].#reason;
                return signal;
            }
        }
        signal.#sources = new SetC();
        const follow = (source) => {
            setAdd(signal.#sources, source);
            setAdd(source.#dependents, signal);
        };
        for (let i = 0; i < list.length; i++) {
            // What depends on others is followed through to those.
            if (list[i].#sources !== null) setForEach(list[i].#sources, follow);
            else follow(list[i]);
        }
        return signal;
    }
}
// Its one argument is ours alone.
defineProperty(AbortSignal, "length", { __proto__: null, value: 0 });
define("AbortSignal", frozenClass(AbortSignal, "AbortSignal"));

class AbortController {
    #signal = makeSignal();
    get signal() { return this.#signal; }
    abort(reason = undefined) { abortSignal(this.#signal, reason); }
}
define("AbortController", frozenClass(AbortController, "AbortController"));
