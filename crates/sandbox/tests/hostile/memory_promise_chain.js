// attacks: memory
// expect: ended Memory
// lifted: says "done"
//
// A promise that resolves to a promise that resolves to a promise: none can be freed.
export default {
    run() {
        let n = 0;
        const again = () => (++n < 200000 ? Promise.resolve().then(again) : "done");
        return again();
    },
};
