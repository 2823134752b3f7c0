// attacks: stack
// expect: says "RangeError"
// lifted: says "done"
//
// Recursion through a getter.
export default {
    run() {
        let depth = 0;
        const o = { get x() { return ++depth < 600 ? this.x : 0; } };
        try { o.x; } catch (error) { return error.name; }
        return "done";
    },
};
