// attacks: memory
// expect: ended Memory
// lifted: says "done"
//
// The same without a `catch`: the instance ends, as nobody knows what did not happen.
export default {
    run() {
        const all = [];
        queueMicrotask(() => { while (all.length < 40) all.push(new Uint8Array(1 << 20)); });
        return new Promise((resolve) => setTimeout(resolve, 1, "done"));
    },
};
