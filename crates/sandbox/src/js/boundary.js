
// What the embedder's prelude gets, and what the engine calls. Continues clone.js; ends the function.

const EMBEDDER = 0;
let onMessage = null;
const boundary = {
    __proto__: null,
    /** Gives the embedder a message. RangeError when it is too large. */
    post(text) { native.post(wellFormed(`${text}`)); },
    /** Asks the embedder, at once: a string for a string, a Uint8Array for a Uint8Array. */
    call(name, payload = "") {
        return native.call(EMBEDDER, wellFormed(`${name}`), typedArrayTag(payload) === "Uint8Array" ? payload : wellFormed(`${payload}`));
    },
    /** The script's exports; undefined while there is no script. */
    script() { return native.script(); },
    /** A log line: 0 debug, 1 info, 2 warning, 3 error. */
    log(level, text) { native.log(level, wellFormed(`${text}`)); },
    get onMessage() { return onMessage; },
    set onMessage(handler) {
        if (typeof handler !== "function") throw new TypeErrorC("boundary.onMessage needs a function");
        onMessage = handler;
    },
};
for (const name of ["post", "call", "script", "log"]) freeze(boundary[name]);
freeze(boundary);

return {
    __proto__: null,
    boundary,
    primordials: freeze(primordials),
    onMessage(text) {
        if (onMessage === null) throw new ErrorC("a message arrived and boundary.onMessage is not set");
        apply(onMessage, undefined, [text]);
    },
    onTimer,
    /** Called when the prelude is done: what it added to `crypto` stays, nothing can be changed any more. */
    seal() { freeze(cryptoObject); },
};
