// attacks: only the documented globals
// expect: says []
// lifted: says ["boundary"]
//
// Whatever else is there. The list is the one of the documentation.
export default {
    run() {
        const documented = new Set(`globalThis console setTimeout setInterval clearTimeout clearInterval crypto TextEncoder TextDecoder Event EventTarget CustomEvent reportError
            AbortSignal AbortController URL URLSearchParams atob btoa structuredClone queueMicrotask DOMException Headers Blob File FormData
            Object Function Error EvalError RangeError ReferenceError SyntaxError TypeError URIError InternalError AggregateError SuppressedError
            Array parseInt parseFloat isNaN isFinite Infinity NaN undefined Number Boolean String Math Reflect Symbol eval escape unescape
            decodeURI decodeURIComponent encodeURI encodeURIComponent Date RegExp JSON Proxy Map Set WeakMap WeakSet WeakRef FinalizationRegistry
            Promise BigInt Iterator ArrayBuffer SharedArrayBuffer DataView Uint8ClampedArray Int8Array Uint8Array Int16Array Uint16Array Int32Array
            Uint32Array BigInt64Array BigUint64Array Float16Array Float32Array Float64Array DisposableStack AsyncDisposableStack
            self reportError CustomEvent MessageChannel MessagePort`.split(/\s+/));
        return Reflect.ownKeys(globalThis).map(String).filter((name) => !documented.has(name) && name !== "Symbol(Symbol.toStringTag)");
    },
};
