// attacks: WebAssembly by permission
// expect: says ["undefined",false]
// lifted: says ["object",true]
//
// Without the permission there is nothing to call, not even something that refuses.
export default {
    run() {
        return [typeof WebAssembly, "WebAssembly" in globalThis];
    },
};
