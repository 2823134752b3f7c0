// attacks: memory
// expect: ended Memory
// lifted: says "done"
//
// Small strings, with a `catch` around each: a heap that is full cannot be caught.
export default {
    run() {
        const all = [];
        for (let i = 0; i < 40000; i++) { try { all.push("x".repeat(1000) + i); } catch { i--; } }
        return "done";
    },
};
