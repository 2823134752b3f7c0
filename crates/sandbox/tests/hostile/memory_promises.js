// attacks: memory
// expect: ended Memory
// lifted: says "done"
//
// Promises that nobody resolves, each with somebody who waits.
export default {
    run() {
        const all = [];
        for (let i = 0; i < 200000; i++) { const p = new Promise(() => {}); p.then(() => {}); all.push(p); }
        return "done";
    },
};
