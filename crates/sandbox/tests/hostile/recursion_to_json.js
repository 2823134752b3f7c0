// attacks: stack
// expect: says "RangeError"
// lifted: says "done"
//
// Recursion through `toJSON`.
export default {
    run() {
        let depth = 0;
        const o = { toJSON() { return ++depth < 300 && JSON.stringify(o) ? 0 : 1; } };
        try { JSON.stringify(o); } catch (error) { return error.name; }
        return "done";
    },
};
