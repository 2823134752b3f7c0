// attacks: stack
// expect: says "RangeError"
// lifted: says "done"
//
// Recursion through a trap.
export default {
    run() {
        let depth = 0;
        const p = new Proxy({}, { get(t, key, self) { return ++depth < 400 ? self[key] : 0; } });
        try { p.x; } catch (error) { return error.name; }
        return "done";
    },
};
